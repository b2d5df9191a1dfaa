"""Values of item columns as SQL: what is carried of each type, and what files of unlike types have in common."""

from __future__ import annotations

from collections.abc import Sequence

from hup.data.tables.values import NULL_TYPE, id_text, is_integer, is_text

_TEXT, _WHOLE, _NUMBER = "VARCHAR", "BIGINT", "DOUBLE"
_AS_THEY_ARE = ("BOOLEAN", "DATE")
_BYTES = ("BLOB", "BIT", "GEOMETRY")
_NESTED = ("STRUCT", "MAP", "UNION")


def value_type(kind: str) -> str | None:
    """Give the SQL type that values of the type `kind` are carried in; None: they are not.

    Numbers, truth and dates stay what they are. Moments are those of UTC. Lists and objects become JSON, and what is
    left text. Bytes, such as those of pictures, are nothing to print.
    """
    if kind.endswith("]") or kind.startswith(_NESTED):
        return _TEXT
    if kind.startswith(_BYTES):
        return None
    if kind in _AS_THEY_ARE:
        return kind
    if kind.startswith("TIMESTAMP"):
        return "TIMESTAMP"
    if kind in ("FLOAT", "DOUBLE"):
        return _NUMBER
    if kind.startswith("DECIMAL"):
        return kind
    return _WHOLE if is_integer(kind) and kind != "UBIGINT" else _TEXT


def common_type(types: Sequence[str | None]) -> str | None:
    """Give the type that holds values of several; None where one of them is not carried."""
    different = list(dict.fromkeys(types))
    if None in different or len(different) == 1:
        return None if None in different else different[0]
    is_number = all(kind in (_WHOLE, _NUMBER) or str(kind).startswith("DECIMAL") for kind in different)
    return _NUMBER if is_number else _TEXT


def value_sql(column: str, kind: str, carried_in: str, nulls: Sequence[str]) -> str:
    """Write a value of the type `kind` in the type that it is carried in; null where it is missing."""
    if kind == NULL_TYPE:
        value = "NULL"
    elif is_text(kind):
        value = id_text(column, kind, nulls, column)
    elif kind in ("FLOAT", "DOUBLE"):
        # By way of text: 0.1 of single precision is 0.1, not 0.10000000149.
        finite = f"CASE WHEN isfinite({column}::DOUBLE) THEN {column} END"
        value = f"({finite})::VARCHAR::DOUBLE" if kind == "FLOAT" else finite
    elif kind.endswith("]") or kind.startswith(_NESTED):
        value = f"CASE WHEN {column} IS NOT NULL THEN to_json({column}) END"
    else:
        value = column
    return f"({value})::{carried_in}"
