"""An answer as a table: of Arrow, with structures, or flat for a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hup.readable import require_pandas
from hup.recommender.code_names import PATH
from hup.recommender.table_formats import flat, json_value

if TYPE_CHECKING:
    import pandas as pd

    from hup.recommender.recommendations import Recommendation

SHARES = ("repeat", "memory", "popularity", "profile")
ORIGIN = pa.struct([(share, pa.float32()) for share in SHARES])


def answer_table(ranked: Sequence[Recommendation], columns: pa.Schema | None) -> pa.Table:
    """Lay out a ranked list.

    Parameters
    ----------
    ranked : sequence of Recommendation
    columns : Schema or None
        Of the items; None: nothing is carried of these.
    """
    origins = [
        None if one.origin is None else {share: getattr(one.origin, share) for share in SHARES} for one in ranked
    ]
    parts = {
        "rank": pa.array(range(1, len(ranked) + 1), pa.int32()),
        "name": pa.array([one.name for one in ranked], pa.string()),
        "path": pa.array([list(one.path) for one in ranked], PATH),
        "score": pa.array([one.score for one in ranked], pa.float32()),
        "seen": pa.array([one.seen for one in ranked], pa.bool_()),
        "origin": pa.array(origins, ORIGIN),
    }
    if columns is not None and len(columns):
        rows = [{name: one.item.get(name) for name in columns.names} for one in ranked]
        parts["item"] = pa.array(rows, pa.struct(list(columns)))
    return pa.table(parts)


def answer_frame(table: pa.Table) -> pd.DataFrame:
    """Make a data frame of an answer's table: paths are text, and the parts of structures columns of their own.

    Raises
    ------
    HupError
        pandas is not installed.
    """
    require_pandas()  # what Arrow says without it is for no person
    if not table.column("origin").null_count < table.num_rows:
        table = table.drop_columns("origin")
    frame: pd.DataFrame = flat(table).to_pandas()
    return frame


def answer_dict(one: Recommendation, columns: pa.Schema | None) -> dict[str, Any]:
    """Give one of a list as JSON has it; the item's columns as well, where any are carried."""
    told = asdict(one)
    item = told.pop("item")
    if columns is None:
        return told
    values = {name: item.get(name) for name in columns.names}
    plain = bool | int | float | str | None
    told["item"] = {name: value if isinstance(value, plain) else json_value(value) for name, value in values.items()}
    return told
