"""Paired tests between any two rows of a run, from the ranks of every session that its folder keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hup.evaluation.metrics import cutoff, recall, reciprocal_rank
from hup.evaluation.significance import paired_t_test
from hup.experiment.results import Results
from hup.experiment.run_folder import RunFolder

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """First row minus second, as a share, and the p-value of the paired t-test; None where it cannot be tested."""

    mean: float
    p: float | None


class PairedTests:
    """Compares rows of one run.

    Parameters
    ----------
    results : Results
        Differences to its reference row are taken from it, others from the ranks in its folder.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.rows = {row.row: row for row in results.rows}
        self._values: dict[tuple[str, str], dict[str, Floats] | None] = {}
        self._known = {(d.reference, d.row, d.level, d.metric): d for d in results.differences}

    def compare(self, first: str, second: str, level: str, metric: str) -> Comparison | None:
        """Compare two rows at a level; None where one of them has no figures there.

        Parameters
        ----------
        first, second : str
            Names of rows.
        level : str
        metric : {"recall", "mrr"}
        """
        if known := self._known.get((first, second, level, metric)):
            return Comparison(known.mean, known.p)
        if known := self._known.get((second, first, level, metric)):
            return Comparison(-known.mean, known.p)
        means = [self._mean(row, level, metric) for row in (first, second)]
        if means[0] is None or means[1] is None:
            return None
        values = [self._of(row, level) for row in (first, second)]
        p = None
        if values[0] is not None and values[1] is not None and len(values[0][metric]) == len(values[1][metric]):
            p = paired_t_test(values[0][metric], values[1][metric])
        return Comparison(means[0] - means[1], p)

    def _mean(self, row: str, level: str, metric: str) -> float | None:
        result = self.rows.get(row)
        if result is None or level not in result.levels:
            return None
        value: float | None = getattr(result.levels[level], metric).value
        return value

    def _of(self, row: str, level: str) -> dict[str, Floats] | None:
        """Values of every session, means over seeds; None where the folder has no such ranks."""
        if (row, level) not in self._values:
            folder = RunFolder(Path(self.results.path))
            paths = [folder.cell(row, seed) / "ranks.parquet" for seed in self.rows[row].seeds]
            self._values[row, level] = _per_session(paths, level)
        return self._values[row, level]


def _per_session(paths: list[Path], level: str) -> dict[str, Floats] | None:
    ranks = []
    for path in paths:
        try:
            table = pq.read_table(path, filters=[("level", "==", level)]).sort_by("session")
        except (OSError, pa.ArrowInvalid):
            return None
        rank = table.column("rank").to_numpy(zero_copy_only=False).astype(np.float64)
        ranks.append(np.where(np.isnan(rank), np.inf, rank))
    if not ranks or len({len(rank) for rank in ranks}) > 1:
        return None
    stacked, k = np.stack(ranks), cutoff(level)
    return {"recall": recall(stacked, k).mean(axis=0), "mrr": reciprocal_rank(stacked, k).mean(axis=0)}
