"""Open what an evaluation left behind, so that other figures follow from it without ranking anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hup.errors import HupError
from hup.evaluation.result import Evaluation


def read_evaluation(path: str | Path) -> Evaluation:
    """Read an evaluation that ``hup evaluate`` kept, or one that was written by both methods for it.

    What lists were counted for is not kept: it gives metrics of ranks alone (:meth:`Evaluation.at`).

    Parameters
    ----------
    path : path
        The figures, ``MODEL/evaluation/….json``; the ranks are in the Parquet file of the same name beside it.

    Raises
    ------
    HupError
        One of the files is not there or does not read.
    """
    figures, ranks = Path(path).with_suffix(".json"), Path(path).with_suffix(".parquet")
    for file in (figures, ranks):
        if not file.is_file():
            raise HupError(f"There is no {file}. Make it with `hup evaluate`.")
    try:
        content = json.loads(figures.read_text(encoding="utf-8"))
        levels = {row: list(by_level) for row, by_level in content["rows"].items()}
        return _evaluation(pq.read_table(ranks), content["dataset"], content["protocol"], levels)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise HupError(f"{figures} and {ranks.name} do not read as an evaluation ({error}). Evaluate again.") from error


def _evaluation(
    table: pa.Table, dataset: str, protocol: dict[str, object], levels_of: dict[str, list[str]]
) -> Evaluation:
    row, level = (np.array(table.column(name).to_pylist(), dtype=object) for name in ("row", "level"))
    session = table.column("session").to_numpy()
    rank = table.column("rank").to_numpy(zero_copy_only=False).astype(np.float64)
    rank[np.isnan(rank)] = np.inf  # no candidate; sessions that do not count at a level have no line there
    is_repeat = table.column("repeat").to_numpy(zero_copy_only=False).astype(bool)
    first, levels = next(iter(levels_of.items()))
    all_items = np.flatnonzero((row == first) & (level == "item"))
    sessions = session[all_items]
    ranks = {name: {one: np.full(len(sessions), np.nan) for one in of} for name, of in levels_of.items()}
    repeat = {one: np.zeros(len(sessions), dtype=bool) for one in levels}
    for name, by_level in ranks.items():
        for one, of_level in by_level.items():
            here = np.flatnonzero((row == name) & (level == one))
            place = np.searchsorted(sessions, session[here])
            of_level[place] = rank[here]
            repeat[one][place] = is_repeat[here]
    return Evaluation(
        dataset=dataset,
        protocol=protocol,
        sessions=sessions,
        session_names=table.column("session_name").take(pa.array(all_items)).to_pylist(),
        ranks=ranks,
        repeat=repeat,
        seed=int(str(protocol["seed"])),
    )
