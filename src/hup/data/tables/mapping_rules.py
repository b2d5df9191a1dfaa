"""The sections of a mapping: what the columns of tables are, where categories come from, how sequences are made."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PositiveFloat,
    field_validator,
    model_validator,
)

from hup.data.engines.plain_text import UTF8, check_delimiter, check_encoding
from hup.data.engines.reader import Dialect
from hup.data.tables.inner_columns import InnerColumns, Place, inner_place
from hup.errors import HupError

Unit = Literal["auto", "s", "ms", "us", "ns", "iso"]
#: What may follow a % in the format of a time; these mean the same to Python and to DuckDB.
FORMAT_LETTERS = "YymdbBHIMSfpzaA%"


def as_tuple(value: Any) -> Any:
    """Take a list, or one text, for a tuple; TOML has no tuples."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _as_list(value: tuple[str, ...]) -> str | list[str]:
    return value[0] if len(value) == 1 else list(value)


Text = Annotated[str, Field(min_length=1)]
#: A column, or several spellings of it of which the first that exists is taken; in TOML text or a list of texts.
Column = Annotated[
    tuple[Text, ...], Field(min_length=1), BeforeValidator(as_tuple), PlainSerializer(_as_list, return_type=Any)
]
Words = Annotated[tuple[str, ...], BeforeValidator(as_tuple), PlainSerializer(list, return_type=list[str])]


class MappingSection(BaseModel):
    """Part of a mapping: frozen, strict, without unknown keys."""

    # Strict, as otherwise levels = true would be 1 level.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _as_value(check: Callable[[str], str], value: str) -> str:
    """Check a value; pydantic tells of a ValueError where it stands in the mapping."""
    try:
        return check(value)
    except HupError as error:
        raise ValueError(str(error).rstrip(".")) from None


class _Delimited(MappingSection):
    """How the files of a table are written, where they are delimited text."""

    delimiter: str = Field(",", description="between fields: one character, or a few")
    encoding: str = Field(UTF8, description="of text")
    header: Words | None = Field(None, description="names of the columns, where the files have no header line")

    @field_validator("delimiter")
    @classmethod
    def _parts(cls, delimiter: str) -> str:
        return _as_value(check_delimiter, delimiter)

    @field_validator("encoding")
    @classmethod
    def _usual(cls, encoding: str) -> str:
        return _as_value(check_encoding, encoding)

    @property
    def dialect(self) -> Dialect:
        """The same for an engine."""
        return Dialect(self.delimiter, self.header, self.encoding)


class TimestampRule(MappingSection):
    """Column of the time and how it is written. In TOML a plain column name stands for ``{column = …}``."""

    column: Column
    time: Column | None = Field(None, description="column with the time of day, where column is the date only")
    unit: Unit = Field("auto", description="of numbers, since 1970; iso = text such as 2019-10-01 12:30:00")
    format: Text | None = Field(None, description="of text in another order, such as %d.%m.%Y %H:%M, as in strptime")
    zone: str = Field("UTC", description="IANA zone of times that name none; numbers count from 1970 UTC always")
    offset: Column | None = Field(None, description="column with a time that is added")
    offset_unit: Literal["s", "ms"] = "ms"

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone!r} is no time zone; expected a name such as UTC or Europe/Berlin") from None
        return zone

    @field_validator("format")
    @classmethod
    def _tells_a_day(cls, format: str | None) -> str | None:
        if format is None:
            return None
        found = re.findall("%(.?)", format)
        for letter in found:
            if letter not in FORMAT_LETTERS:
                known = ", ".join(f"%{known}" for known in FORMAT_LETTERS)
                raise ValueError(f"%{letter} in {format!r} is not known; expected {known}")
        if not (set(found) & {"Y", "y"} and set(found) & {"m", "b", "B"} and "d" in found):
            raise ValueError(f"{format!r} tells no day; expected year, month and day, such as %d.%m.%Y %H:%M")
        return format

    @model_validator(mode="after")
    def _of_text(self) -> Self:
        if self.format is not None and self.unit not in ("auto", "iso"):
            raise ValueError(f"format is that of text, but unit {self.unit} is one of numbers; leave one of them out")
        return self

    @model_validator(mode="after")
    def _of_a_date(self) -> Self:
        if self.time is not None and self.unit not in ("auto", "iso"):
            raise ValueError(f"time is the time of day of a date, but unit {self.unit} is one of numbers; leave it out")
        return self


class SecondsRule(MappingSection):
    """Column of a length of time. In TOML a plain column name stands for ``{column = …}``."""

    column: Column
    unit: Literal["s", "ms"] = "s"


class BehaviorRule(MappingSection):
    """Column of the behavior, or the one behavior of all rows. In TOML a plain name stands for ``{column = …}``."""

    column: Column | None = None
    value: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError('expected a column, or {value = "view"} where every row is of one kind')
        return self


def _in_column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str | list | tuple) else value


class TableMapping(_Delimited):
    """What the columns of one table are; a table is all files that `match`."""

    match: Text | None = Field(None, description='glob on file names, such as "*clicks*"; none: files no other takes')
    explode: Column | None = Field(None, description="a list, of which each element becomes a row")
    item: Column
    item_optional: bool = Field(False, description="true: rows without an item are left out and counted, not rejected")
    timestamp: Annotated[TimestampRule, BeforeValidator(_in_column)]
    behavior: Annotated[BehaviorRule, BeforeValidator(_in_column)]
    user: Column | None = None
    session: Column | None = None
    event_id: Column | None = Field(None, description="orders events of the same time; a repeated one is a duplicate")
    interval: Annotated[SecondsRule | None, BeforeValidator(_in_column)] = None
    dwell: Annotated[SecondsRule | None, BeforeValidator(_in_column)] = None
    whole_ids: Words = Field((), description="columns of ids that are written 13085.0 where 13085 is meant")
    categorised: bool = Field(True, description="false: this table lacks the category columns that others have")

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if self.user is None and self.session is None:
            raise ValueError("neither user nor session is mapped, expected one or both")
        return self

    def bind(self, columns: Iterable[str], categories: CategoryRules, where: str = "the table") -> BoundColumns:
        """Find this table's columns among those that there are.

        Parameters
        ----------
        columns : iterable of str
            Names of the columns that the files have.
        categories : CategoryRules
            Its columns are sought, too, if this table is categorised.
        where : str
            What has these columns, for errors.

        Raises
        ------
        HupError
            If a column is not there; the message names those that are, and the nearest.
        """
        there = list(columns)
        explode = None if self.explode is None else find_column(self.explode, there, f"{where}: explode", inner=True)
        if explode is not None:  # in some line of JSON it may be no list, but an object
            there = [name for name in there if not name.startswith(f"{explode}.")]
        exploded = None if explode is None else inner_place(explode, there)
        places: dict[str, Place] = {}

        def needed(names: Column, role: str) -> str:
            name = find_column(names, there, f"{where}: {role}", inner=True)
            place = inner_place(name, there)
            if place is not None and (name not in there or name == explode):
                places[name] = place
            return name

        def column(names: Column | None, role: str) -> str | None:
            return None if names is None else needed(names, role)

        for name in self.whole_ids:
            needed((name,), "whole_ids")
        paths: list[Column] = [(name,) for name in categories.columns]
        if categories.column is not None:
            paths = [categories.column]
        return BoundColumns(
            item=needed(self.item, "item"),
            timestamp=needed(self.timestamp.column, "timestamp"),
            time_of_day=column(self.timestamp.time, "timestamp.time"),
            offset=column(self.timestamp.offset, "timestamp.offset"),
            behavior=column(self.behavior.column, "behavior"),
            user=column(self.user, "user"),
            session=column(self.session, "session"),
            event_id=column(self.event_id, "event_id"),
            interval=column(self.interval.column if self.interval else None, "interval"),
            dwell=column(self.dwell.column if self.dwell else None, "dwell"),
            categories=tuple(needed(names, "category") for names in paths) if self.categorised else (),
            inner=InnerColumns(places, exploded),
        )

    def resolve(self, columns: Iterable[str], categories: CategoryRules, where: str = "the table") -> list[str]:
        """List the columns of the files that this table needs; see `bind`."""
        return self.bind(columns, categories, where).columns()


@dataclass(frozen=True)
class BoundColumns:
    """The columns of one table by what they are; None and () where the mapping has none, `inner` are in others."""

    item: str
    timestamp: str
    time_of_day: str | None
    offset: str | None
    behavior: str | None
    user: str | None
    session: str | None
    event_id: str | None
    interval: str | None
    dwell: str | None
    categories: tuple[str, ...]
    inner: InnerColumns

    def columns(self) -> list[str]:
        """List the columns of the files that are needed, each once."""
        outer = (name for name in self.names() if name not in self.inner.places)
        return list(dict.fromkeys((*outer, *self.inner.columns)))

    def names(self) -> list[str]:
        """List the columns, each once, in the order in which a row is shown."""
        order = (
            *(self.user, self.session, self.event_id, self.timestamp, self.time_of_day, self.offset),
            *(self.item, self.behavior, self.interval, self.dwell, *self.categories),
        )
        return list(dict.fromkeys(name for name in order if name is not None))


def find_column(names: Sequence[str], there: Sequence[str], where: str, inner: bool = False) -> str:
    """Give the first of `names` that is a column (or is `inner` to one), or tell which columns there are."""
    for name in names:
        if name in there or (inner and inner_place(name, there) is not None):
            return name
    wanted = " or ".join(repr(name) for name in names)
    shown = ", ".join(there)
    raise HupError(f"{where}: there is no column {wanted}{nearest(names[0], there)}. Columns there: {shown}.")


class ItemTable(_Delimited):
    """Files that say which category an item has."""

    file: Column = Field(description="names or globs, looked for beside the events and beside the mapping")
    item: Column
    category: Column | None = None
    columns: Words = Field((), description="instead of category: its K columns, coarsest first")
    timestamp: Annotated[TimestampRule | None, BeforeValidator(_in_column)] = Field(
        None, description="since when an item has this category"
    )
    where: dict[str, str] = Field(default_factory=dict, description="rows that count: column = text")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.category is None) != bool(self.columns):
            raise ValueError("expected one of category and columns")
        return self


class ParentTable(_Delimited):
    """Files that say which category lies in which."""

    file: Column
    category: Column
    parent: Column


class CategoryRules(MappingSection):
    """Where the category path of an item comes from."""

    columns: Words = Field((), description="K columns, coarsest first")
    column: Column | None = Field(None, description="one column with the whole path, parted by delimiter")
    delimiter: Text | None = Field(None, description="between the parts of a path")
    finest_first: bool = Field(False, description='the path is written from the finest level, as "City, Country"')
    items: ItemTable | None = None
    parents: ParentTable | None = None
    levels: int | None = Field(None, ge=1, le=20, description="K; by default that of the deepest path, at most 5")
    none: bool = Field(False, description="there are no categories")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [bool(self.columns), self.column is not None, self.items is not None, self.none]
        if sum(given) != 1:
            raise ValueError("expected exactly one of columns, column, items and none = true")
        if self.column is not None and self.delimiter is None and self.parents is None:
            raise ValueError(
                'a delimiter is missing: column is a whole path such as "a.b.c"; for one level write columns = ["…"]'
            )
        if self.delimiter is not None and (self.columns or self.none or (self.items and self.items.columns)):
            raise ValueError("delimiter is for a path in one column")
        if self.delimiter is None and self.finest_first:
            raise ValueError("finest_first is for a path with a delimiter")
        if self.parents is not None and (self.columns or self.none or self.delimiter is not None):
            raise ValueError("parents is for categories named in one column or in an item table, without a delimiter")
        return self


class BehaviorRules(MappingSection):
    """Which behaviors are used and how they are shown."""

    keep: Words | None = Field(None, description="as in the table; rows of others are left out, and counted")
    names: dict[str, Text] = Field(default_factory=dict, description="as in the table = as shown")
    order: Words = Field((), description="as shown; others come after, by name")


class SequenceRules(MappingSection):
    """How events become sequences; the command line may override each."""

    by: Literal["session", "gap", "user"] | None = Field(
        None, description="session: its id; gap: cut at idle times; user: whole histories. None: session where mapped"
    )
    idle_gap_minutes: PositiveFloat = 30.0
    window: int = Field(200, ge=2, description="by user: histories are cut into windows of at most so many events")
    last_events: int | None = Field(None, ge=2, description="keep only so many last events of a sequence")
    dwell_cap_seconds: PositiveFloat = Field(1800.0, description="longer dwells count as this")
    drop_repeated_rows: bool = Field(False, description="rows of the same time, item and behavior are one")


def nearest(word: str, words: Sequence[str]) -> str:
    """Give ``" (nearest: …)"`` for a misspelt word, or nothing."""
    folded = {other.casefold(): other for other in words}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.5)
    return f" (nearest: {folded[near[0]]})" if near else ""
