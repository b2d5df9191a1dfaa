"""What the columns of a shop's event tables mean: the mapping, read from and written as TOML, and the built-in ones."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as AnyMapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from hup.data.tables.mapping_rules import (
    BehaviorRules,
    CategoryRules,
    MappingSection,
    SequenceRules,
    TableMapping,
    Words,
    as_tuple,
    nearest,
)
from hup.errors import HupError

# As a person would tell of a table.
_TABLE_KEYS = (
    *(
        "match",
        "delimiter",
        "encoding",
        "header",
        "explode",
        "user",
        "session",
        "event_id",
        "timestamp",
        "item",
        "item_optional",
    ),
    *("behavior", "interval", "dwell", "whole_ids", "categorised"),
)
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
NULLS = ("", "null", "NULL", "NaN", "nan", "None", "\\N")


class Mapping(MappingSection):
    """What the tables of a shop mean.

    Examples
    --------
    >>> load_mapping("rees46").tables[0].user
    ('user_id',)
    """

    name: str | None = None
    tables: Annotated[
        tuple[TableMapping, ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, dict) else as_tuple(value)),
    ]
    categories: CategoryRules
    behaviors: BehaviorRules = BehaviorRules()
    nulls: Words = Field(NULLS, description="text that means missing in any column; so does blank text")
    sequence: SequenceRules = SequenceRules()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.tables:  # not by min_length, whose complaint would follow that of every wrong table
            raise ValueError("tables is empty, expected at least one table")
        unmatched = [table for table in self.tables if table.match is None]
        if len(unmatched) > 1:
            raise ValueError(f"{len(unmatched)} of {len(self.tables)} tables have no match; expected at most one")
        if not any(table.categorised for table in self.tables):
            raise ValueError("no table is categorised; expected one, or none = true under [categories]")
        self._check_key()
        return self

    def _check_key(self) -> None:
        needed = "session" if self.sequence_by == "session" else "user"
        for number, table in enumerate(self.tables):
            if getattr(table, needed) is None:
                raise ValueError(
                    f"sequence.by is {self.sequence_by}, but tables[{number}] maps no {needed}; "
                    f"map it, or choose another sequence.by"
                )

    @property
    def sequence_by(self) -> Literal["session", "gap", "user"]:
        """How events become sequences: as stated, else by session where all tables map it, else by gap."""
        if self.sequence.by is not None:
            return self.sequence.by
        return "session" if all(table.session is not None for table in self.tables) else "gap"

    def with_sequence(self, **changes: Any) -> Mapping:
        """Copy with other sequence rules, checked.

        Raises
        ------
        HupError
            If a value does not fit, or the columns that it needs are not mapped.
        """
        tree = self.model_dump(mode="json", exclude_unset=True)
        return Mapping.validated({**tree, "sequence": {**tree.get("sequence", {}), **changes}}, "sequence options")

    @classmethod
    def validated(cls, tree: AnyMapping[str, Any], where: str = "mapping") -> Mapping:
        """Build from nested dictionaries, with a readable error for each key that is wrong."""
        try:
            return cls.model_validate(dict(tree))
        except ValidationError as error:
            raise HupError("\n".join(f"{where}: {_explain(e)}" for e in error.errors())) from None


def builtin_mappings() -> list[str]:
    """Names of the mappings that come with HUP, of well-known public logs."""
    files = resources.files("hup.mappings").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_mapping(name_or_path: str | Path) -> Mapping:
    """Read a built-in mapping or a TOML file.

    Raises
    ------
    HupError
        If there is no such mapping or file, or it does not read; the message names file, key and nearest key.
    """
    names = builtin_mappings()
    if str(name_or_path) in names:
        text = resources.files("hup.mappings").joinpath(f"{name_or_path}.toml").read_text(encoding="utf-8")
        return _parsed(text, f"built-in mapping {name_or_path}", str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        near = nearest(str(name_or_path), names)
        raise HupError(
            f"There is no mapping {str(name_or_path)!r}{near}. Built-in mappings: {', '.join(names)}; "
            "for tables of your own write a TOML file: hup map SOURCE --out mapping.toml."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise HupError(f"{path}: cannot be read as text ({error}).") from None
    return _parsed(text, str(path), None)


def _parsed(text: str, where: str, name: str | None) -> Mapping:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HupError(f"{where}: is no valid TOML: {error}.") from None
    return Mapping.validated({"name": name, **tree} if name else tree, where)


def standard_mapping(columns: Iterable[str]) -> Mapping | None:
    """Map a table that uses HUP's own names, as `hup simulate --format events` writes it; None for others.

    The names are item, timestamp, user and session (one suffices), behavior, event_id, interval, dwell, and
    category_1 … category_K, coarsest first.
    """
    present = set(columns)
    if not {"item", "timestamp"} <= present or not present & {"user", "session"}:
        return None
    roles = ("item", "timestamp", "user", "session", "event_id", "interval", "dwell")
    table: dict[str, Any] = {role: role for role in roles if role in present}
    table["behavior"] = "behavior" if "behavior" in present else {"value": "event"}
    levels = 0
    while f"category_{levels + 1}" in present:
        levels += 1
    categories = {"columns": [f"category_{level}" for level in range(1, levels + 1)]} if levels else {"none": True}
    return Mapping.validated({"name": "standard", "tables": [table], "categories": categories})


def to_toml(mapping: Mapping) -> str:
    """Write a mapping as TOML, without what is as by default."""
    sections = mapping_sections(mapping.model_dump(mode="json", exclude_defaults=True))
    return "\n\n".join("\n".join([*([title] if title else []), *_lines(keys)]) for title, keys in sections) + "\n"


def mapping_sections(tree: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Part a mapping, as nested dictionaries, into TOML sections: titles and keys."""
    tree = dict(tree)
    tables = tree.pop("tables")
    categories = dict(tree.pop("categories", {}))
    others = {name: tree.pop(name, {}) for name in ("behaviors", "sequence")}
    sides = {name: categories.pop(name) for name in ("items", "parents") if name in categories}
    sections = [
        ("", tree),
        *(("[[tables]]", {key: table[key] for key in _TABLE_KEYS if key in table}) for table in tables),
        ("[categories]", categories),
        *((f"[categories.{name}]", side) for name, side in sides.items()),
        *((f"[{name}]", keys) for name, keys in others.items()),
    ]
    return [(title, keys) for title, keys in sections if keys]


def _lines(keys: dict[str, Any]) -> list[str]:
    return [f"{toml_key(key)} = {toml_value(value)}" for key, value in keys.items() if value is not None]


def toml_key(key: str) -> str:
    """Write a key, quoted if it has to be."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def toml_value(value: Any) -> str:
    """Write text, numbers, truth values, lists and dictionaries of these as one line of TOML."""
    if isinstance(value, dict):
        if list(value) == ["column"]:
            return toml_value(value["column"])  # timestamps, behaviors and seconds may be the column alone
        return "{ " + ", ".join(_lines(value)) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(part) for part in value) + "]"
    # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _explain(error: Any) -> str:
    location: tuple[int | str, ...] = error["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if error["type"] == "extra_forbidden":
        keys = list(_section_at(location[:-1]).model_fields)
        return f"there is no key {key}{nearest(str(location[-1]), keys)}. Keys there: {', '.join(keys)}."
    if key == "categories" and error["type"] == "missing":
        return "categories are missing; name their columns under [categories], or write there none = true."
    if error["type"] == "missing":
        return f"key {key} is missing."
    message = re.sub("^Value error, ", "", error["msg"])
    given = f" (found {error['input']!r})" if error["type"] != "value_error" else ""
    return f"{key}: {message}{given}." if key else f"{message}."


def _section_at(location: Sequence[int | str]) -> type[BaseModel]:
    """Find the model whose keys stand at `location`."""
    section: type[BaseModel] = Mapping
    for part in location:
        if isinstance(part, str) and part in section.model_fields:
            section = _model_in(section.model_fields[part].annotation) or section
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in get_args(annotation) if (model := _model_in(argument))), None)
