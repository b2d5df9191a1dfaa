"""What an evaluation found: ranks of every session, the figures that follow from them, and their files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hup.evaluation.metrics import cutoff, level_summary
from hup.files import write_aside

RANKS_SCHEMA = pa.schema(
    [
        ("row", pa.dictionary(pa.int32(), pa.string())),
        ("level", pa.dictionary(pa.int32(), pa.string())),
        ("session", pa.int64()),
        ("session_name", pa.string()),
        ("rank", pa.int32()),
        ("repeat", pa.bool_()),
    ]
)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Ranks and figures of one or more rows (the model and what stands beside it) on the same sessions.

    Attributes
    ----------
    dataset : str
        Fingerprint of the dataset.
    protocol : dict
        Every choice that the figures depend on, as it stands in the JSON.
    sessions : ndarray of int64, shape (n,)
        Session indices in the dataset, ascending.
    session_names : list of str
        Where each of them came from.
    ranks : dict of dict of ndarray
        ``ranks[row][level]`` is ``(n,)`` float64, 1 = best, ``inf`` where the target was no candidate, NaN where the
        target item has no category, so that the session does not count at this level. Every row has its NaN at the same
        sessions, so rows can be compared in pairs.
    repeat : dict of ndarray
        ``repeat[level]`` is ``(n,)`` bool: the target is already in the session's history.
    seed : int
        Seed of the bootstrap.
    """

    dataset: str
    protocol: dict[str, Any]
    sessions: NDArray[np.int64]
    session_names: list[str]
    ranks: dict[str, dict[str, NDArray[np.float64]]]
    repeat: dict[str, NDArray[np.bool_]]
    seed: int = 0

    @property
    def levels(self) -> list[str]:
        """Levels that were evaluated: ``"item"``, then ``"category_K"`` … ``"category_1"``."""
        return list(self.repeat)

    @cached_property
    def rows(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Figures, ``rows[row][level]``: see :func:`hup.evaluation.metrics.level_summary`. Fractions in [0, 1]."""
        return {
            row: {
                level: level_summary(ranks, self.repeat[level], cutoff(level), seed=self.seed)
                for level, ranks in by_level.items()
            }
            for row, by_level in self.ranks.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``hup evaluate --json`` writes."""
        return {
            "dataset": self.dataset,
            "protocol": self.protocol,
            "test_sessions": len(self.sessions),
            "rows": self.rows,
        }

    def to_json(self) -> str:
        """Return :meth:`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def write_json(self, path: str | Path) -> None:
        """Write the figures; the file appears whole or not at all.

        Raises
        ------
        HupError
            The file cannot be written.
        """
        content = self.to_json()
        with write_aside(Path(path)) as aside:
            aside.write_text(content, encoding="utf-8")

    def write_ranks(self, path: str | Path) -> None:
        """Write every session's ranks as Parquet; the file appears whole or not at all.

        Columns: ``row``, ``level``, ``session`` (index in the dataset), ``session_name``, ``rank`` (null where the
        target was no candidate), ``repeat``. A level has the sessions that have a target there.

        Raises
        ------
        HupError
            The file cannot be written.
        """
        with (
            write_aside(Path(path)) as aside,
            pq.ParquetWriter(aside, RANKS_SCHEMA, compression="zstd") as writer,
        ):
            names = pa.array(self.session_names, pa.string())
            for row, by_level in self.ranks.items():
                for level, every_rank in by_level.items():
                    counts = np.flatnonzero(~np.isnan(every_rank))
                    ranks = every_rank[counts]
                    is_candidate = np.isfinite(ranks)
                    columns = [
                        _repeated(row, len(ranks)),
                        _repeated(level, len(ranks)),
                        self.sessions[counts],
                        names.take(pa.array(counts)),
                        pa.array(np.where(is_candidate, ranks, 0).astype(np.int32), mask=~is_candidate),
                        self.repeat[level][counts],
                    ]
                    writer.write_table(pa.table(columns, schema=RANKS_SCHEMA))

    def below(self, row: str, reference: str = "recency") -> list[str]:
        """Say in plain words where a row is below another.

        Parameters
        ----------
        row, reference : str
            Names of rows.

        Returns
        -------
        list of str
            One line a level and metric, e.g. ``"item Recall@20: hup 12.0 %, recency 58.5 %"``; empty where nothing is
            below or one of the rows is missing.
        """
        if row == reference or row not in self.rows or reference not in self.rows:
            return []
        weaker = []
        for level in self.levels:
            for metric, title in (("recall", "Recall"), ("mrr", "MRR")):
                key = f"{metric}@{cutoff(level)}"
                ours, theirs = self.rows[row][level][key], self.rows[reference][level][key]
                if ours is not None and theirs is not None and ours < theirs:
                    name = f"{level} {title}@{cutoff(level)}"
                    weaker.append(f"{name}: {row} {100 * ours:.1f} %, {reference} {100 * theirs:.1f} %")
        return weaker


def _repeated(value: str, length: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(length, dtype=np.int32), [value])
