"""A mapping as TOML, which reads back as the same mapping."""

from __future__ import annotations

import json
import re
from typing import Any

from hup.data.tables.mapping import Mapping

# As a person would tell of a table.
_TABLE_KEYS = (
    *("match", "delimiter", "header", "user", "session", "event_id", "timestamp", "item", "behavior", "interval"),
    *("dwell", "categorised"),
)
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")


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
