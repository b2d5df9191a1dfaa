"""Values inside of lists and objects as columns: named by their place, and a row for each element of one list."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hup.data.engines.jsonl_stream import NESTED, json_pointer
from hup.data.engines.reader import RAW_TEXT_CHARACTERS, quoted_name, quoted_text, select
from hup.data.tables.values import NULL_TYPE, is_text, plain_type, present
from hup.errors import HupError

_ENTRY = re.compile(r"(.+)\[([^\[\]]+)\]")
#: Where an entry has its value, if that is an object by type, as analytics tools export parameters of events.
_TYPED_VALUES = ("string_value", "int_value", "float_value", "double_value")
_PLACES = ("hup_file", "hup_row")
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class Place:
    """Where a value is inside of a column.

    Attributes
    ----------
    column : str
        Of the files.
    keys : tuple of str
        Of the objects on the way, the outermost first.
    entry : str or None
        What is there is a list of objects with a ``key`` and a ``value``; the value is that of the one with this key.
    """

    column: str
    keys: tuple[str, ...] = ()
    entry: str | None = None


def inner_place(name: str, there: Collection[str]) -> Place | None:
    """Read ``items.item_id`` or ``event_params[ga_session_id]``, where ``items`` and ``event_params`` are columns.

    Parameters
    ----------
    name : str
        As a mapping states it.
    there : collection of str
        Names of the columns that the files have.

    Returns
    -------
    Place or None
        None if no column has the beginning of `name`.
    """
    match = _ENTRY.fullmatch(name)
    base, entry = (match[1], match[2]) if match else (name, None)
    parts = base.split(".")
    for n in range(len(parts), 0, -1):
        column = ".".join(parts[:n])
        if column in there:
            return Place(column, tuple(parts[n:]), entry)
    return None


@dataclass(frozen=True)
class InnerColumns:
    """The columns of a table that are values inside of other columns.

    Attributes
    ----------
    places : dict of str to Place
        By the name that the mapping has for each.
    explode : Place or None
        Of a list of which each element becomes a row.
    """

    places: Mapping[str, Place] = field(default_factory=dict)
    explode: Place | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the files that hold lists or objects."""
        places = [*([] if self.explode is None else [self.explode]), *self.places.values()]
        return tuple(dict.fromkeys(place.column for place in places))

    def rows(self, types: Mapping[str, str], nulls: Sequence[str], where: str) -> tuple[str, dict[str, str]]:
        """Write what gives the rows with these columns.

        Parameters
        ----------
        types : mapping of str to str
            SQL types of the columns of ``raw_rows`` besides those of places.
        nulls : sequence of str
            Texts that mean missing.
        where : str
            Of the table, for errors.

        Returns
        -------
        rows : str
            What stands behind FROM: ``raw_rows`` with more columns, all of them text, and ``hup_part``, the number of
            the element in its list, 0 where there is none.
        types : dict of str to str
            SQL types of its columns besides those of places.

        Raises
        ------
        HupError
            If a column holds neither lists nor objects nor text, which may be JSON.
        """
        if not self.columns:
            return "(SELECT *, 0 AS hup_part FROM raw_rows)", dict(types)
        json = {column: f"hup_json_{number}" for number, column in enumerate(self.columns)}
        outer = {name: kind for name, kind in types.items() if name not in json}
        parsed = {name: quoted_name(name) for name in (*_PLACES, "hup_problem", "hup_text", *outer)}
        parsed |= {json[column]: _json(column, types[column], nulls, where) for column in json}
        parsed["hup_odd"] = _first(_no_json(column, types[column], nulls) for column in json)
        rows = f"({select(parsed, 'raw_rows')})"
        if self.explode is not None:
            rows = f"({self._exploded(rows, json, outer)})"
        values = {name: self._value(place, json) for name, place in self.places.items()}
        problem = _first(_is_nested(name, *value) for name, value in values.items())
        shown = f"concat_ws(' ', {', '.join(json.values())})[:{RAW_TEXT_CHARACTERS}]"
        columns = {
            **{name: quoted_name(name) for name in (*_PLACES, *outer)},
            "hup_part": "0" if self.explode is None else "hup_part",
            "hup_problem": f"coalesce(hup_problem, hup_odd, {problem})",
            "hup_text": f"coalesce(hup_text, CASE WHEN coalesce(hup_odd, {problem}) IS NOT NULL THEN {shown} END)",
            **{name: text for name, (text, _) in values.items()},
        }
        return f"({select(columns, rows)})", outer | dict.fromkeys(self.places, "VARCHAR")

    def _exploded(self, rows: str, json: Mapping[str, str], outer: Collection[str]) -> str:
        """Give a row for each element, and one without an element where the list has none."""
        assert self.explode is not None
        column = self.explode.column
        found = _inside(json[column], self.explode.keys)
        is_other = f"json_type({found}) <> 'NULL' AND len({_elements(found)}) IS NULL"
        name = ".".join((column, *self.explode.keys))
        odd = f"CASE WHEN {is_other} THEN {quoted_text(f'no list in column {name!r}')} END"
        kept = {name: quoted_name(name) for name in (*_PLACES, "hup_problem", "hup_text", *outer, *json.values())}
        listed = {**kept, "hup_odd": f"coalesce(hup_odd, {odd})", "hup_list": _elements(found)}
        elements = "CASE WHEN len(hup_list) > 0 THEN hup_list ELSE [NULL::JSON] END"
        numbers = "CASE WHEN len(hup_list) > 0 THEN range(1, len(hup_list) + 1) ELSE [0] END"
        many = {
            **kept,
            "hup_odd": "hup_odd",
            "hup_element": f"unnest({elements})",
            "hup_part": f"unnest({numbers})::INTEGER",
        }
        return select(many, f"({select(listed, rows)})")

    def _value(self, place: Place, json: Mapping[str, str]) -> tuple[str, str]:
        """Give a value as text and as JSON."""
        base, keys = json[place.column], place.keys
        if self.explode is not None and place.column == self.explode.column:
            n = len(self.explode.keys)
            if place.keys[:n] == self.explode.keys:
                base, keys = "hup_element", place.keys[n:]
        found = _inside(base, keys)
        if place.entry is None:
            return _text_of(found), found
        is_it = f"lambda entry: json_extract_string(entry, '/key') = {quoted_text(place.entry)}"
        value = f"json_extract(list_filter({_elements(found)}, {is_it})[1], '/value')"
        typed = ", ".join(f"json_extract_string({value}, '/{name}')" for name in _TYPED_VALUES)
        return f"CASE json_type({value}) WHEN 'OBJECT' THEN coalesce({typed}) ELSE {_text_of(value)} END", value


def _json(column: str, kind: str, nulls: Sequence[str], where: str) -> str:
    value = quoted_name(column)
    if is_text(kind):
        text = present(value, kind, nulls)
        return f"CASE WHEN json_valid({text}) THEN ({text})::JSON END"
    if kind == "JSON":
        return value
    if kind == NULL_TYPE:
        return "NULL::JSON"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP")):
        return f"to_json({value})"
    raise HupError(
        f"{where}: column {column!r} holds {plain_type(kind)}; expected lists or objects, as a part of it is mapped."
    )


def _no_json(column: str, kind: str, nulls: Sequence[str]) -> str:
    """Say of text that is no list or object that it is none."""
    if not is_text(kind):
        return "NULL"
    text = present(quoted_name(column), kind, nulls)
    # A CASE, as AND may look at its second part first, and what is no JSON has no type.
    kind = f"CASE WHEN json_valid({text}) THEN json_type({text}) ELSE 'none' END"
    said = quoted_text(f"no list or object in column {column!r}: ")
    is_none = f"{text} IS NOT NULL AND {kind} NOT IN ('ARRAY', 'OBJECT', 'NULL')"
    return f"CASE WHEN {is_none} THEN {said} || {quoted_name(column)}[:{_SHOWN_CHARACTERS}] END"


def _inside(json: str, keys: Sequence[str]) -> str:
    return f"json_extract({json}, {quoted_text(json_pointer(keys))})" if keys else json


def _text_of(json: str) -> str:
    return f"json_extract_string({json}, '$')"


def _elements(json: str) -> str:
    """List the elements of a JSON list; Parquet may have it as an object ``list`` of objects ``element``."""
    wrapped = f"CASE WHEN json_type({json}, '/list') = 'ARRAY' THEN json_extract({json}, '$.list[*].element') END"
    return f"CASE json_type({json}) WHEN 'ARRAY' THEN json_extract({json}, '$[*]') WHEN 'OBJECT' THEN {wrapped} END"


def _is_nested(name: str, text: str, json: str) -> str:
    """Say of a value that is a list or an object itself that it is one; few texts begin like one."""
    problem = quoted_text(f"{NESTED}{name!r}: expected text or a number, found ")
    kind = f"CASE WHEN left({text}, 1) IN ('[', '{{') THEN json_type({json}) END"
    return f"CASE {kind} WHEN 'ARRAY' THEN {problem} || 'a list' WHEN 'OBJECT' THEN {problem} || 'an object' END"


def _first(problems: Iterable[str]) -> str:
    return f"coalesce({', '.join([*problems, 'NULL::VARCHAR'])})"
