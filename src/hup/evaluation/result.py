"""What an evaluation found: ranks of every session, the figures that follow from them, and their files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hup.errors import HupError
from hup.evaluation.choice import DEFAULT, Choice
from hup.evaluation.exposure import Exposure
from hup.evaluation.frame import data_frame
from hup.evaluation.metrics import MAIN, RANK_METRICS, cutoff, level_summary
from hup.evaluation.overview import Overview
from hup.files import write_aside

if TYPE_CHECKING:
    import pandas as pd

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
    choice : Choice
        Which metrics are given, at which cut-offs.
    exposure : dict of dict of Exposure
        ``exposure[row][level]``, where a metric of whole lists was asked for.
    """

    dataset: str
    protocol: dict[str, Any]
    sessions: NDArray[np.int64]
    session_names: list[str]
    ranks: dict[str, dict[str, NDArray[np.float64]]]
    repeat: dict[str, NDArray[np.bool_]]
    seed: int = 0
    choice: Choice = DEFAULT
    exposure: Mapping[str, Mapping[str, Exposure]] = field(default_factory=dict)

    @property
    def levels(self) -> list[str]:
        """Levels that were evaluated: ``"item"``, then ``"category_K"`` … ``"category_1"``."""
        return list(self.repeat)

    @cached_property
    def rows(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Figures, ``rows[row][level]``: see :func:`hup.evaluation.metrics.level_summary`. Fractions in [0, 1].

        Metrics of whole lists, as ``"coverage@20"``, stand beside these where they were asked for; they have no
        interval and are not split.
        """
        return {
            row: {level: self._level(row, level, ranks) for level, ranks in by_level.items()}
            for row, by_level in self.ranks.items()
        }

    def _level(self, row: str, level: str, ranks: NDArray[np.float64]) -> dict[str, Any]:
        wanted: dict[int, list[str]] = {}
        of_lists = {}
        for metric, k in self.choice.figures(level):
            if metric in RANK_METRICS:
                wanted.setdefault(k, []).append(metric)
            else:
                of_lists[f"{metric}@{k}"] = self.exposure[row][level].figure(metric, k)
        return level_summary(ranks, self.repeat[level], wanted, seed=self.seed) | of_lists

    def at(self, *cutoffs: int, metrics: Sequence[str] | None = None) -> Self:
        """Tell the same rankings at other cut-offs, without ranking anew.

        Parameters
        ----------
        *cutoffs : int
            1 to 1,000; Recall and MRR at 20 for items and at 5 for categories come first, always.
        metrics : sequence of str, optional
            As for :func:`hup.evaluate`; default those that were asked for.

        Raises
        ------
        HupError
            There is no such metric or cut-off; or a metric of whole lists is wanted where they were not counted.
        """
        choice = Choice.of(self.choice.metrics if metrics is None else metrics, cutoffs)
        for level in self.levels if choice.needs_lists else ():
            counted = self.choice.cutoffs(level) if self.exposure else ()
            if missing := [k for k in choice.cutoffs(level) if k not in counted]:
                raise HupError(
                    f"Lists of {missing[0]} were not counted at level {level}, which {choice.of_lists[0]} needs. "
                    f"Evaluate again with these metrics and cut-offs."
                )
        return replace(self, choice=choice)

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

    def to_frame(self) -> pd.DataFrame:
        """Give all figures as a data frame of pandas, one a line.

        Columns: ``row``, ``level``, ``part`` (``"all"``, ``"repeat"`` or ``"explore"``), ``metric``, ``k``, ``value``,
        ``low`` and ``high`` (its 95 % interval), ``sessions``. Values are as in :attr:`rows`; what there is no figure
        for is missing.

        Raises
        ------
        HupError
            Pandas is not installed.
        """
        lines = []
        for row, by_level in self.rows.items():
            for level, figures in by_level.items():
                for part, of in {"all": figures, "repeat": figures["repeat"], "explore": figures["explore"]}.items():
                    for metric, k in self.choice.figures(level):
                        if (name := f"{metric}@{k}") in of:
                            low, high = of.get(f"{name}_interval") or (None, None)
                            lines.append((row, level, part, metric, k, of[name], low, high, of["sessions"]))
        columns = ("row", "level", "part", "metric", "k", "value", "low", "high", "sessions")
        return data_frame(columns, lines, ("value", "low", "high"))

    def __repr__(self) -> str:
        return self._overview().text()

    def _repr_html_(self) -> str:
        return self._overview().html()

    def _overview(self) -> Overview:
        """Lay out what stands first, for a person who looks at the result."""
        levels = [level for level in self.levels if next(iter(self.rows.values()))[level]["sessions"]]
        return Overview(
            f"Evaluation of {len(self.sessions):,} {self.protocol.get('split', '')} sessions".replace("  ", " "),
            levels,
            {
                row: {level: tuple(by_level[level][f"{metric}@{cutoff(level)}"] for metric in MAIN) for level in levels}
                for row, by_level in self.rows.items()
            },
        )

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
