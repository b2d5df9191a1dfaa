"""What is recommended at all, and how popular it is: coverage, Gini index, novelty and popularity bias.

The target's rank does not tell these: they are of whole lists. Lists are counted as they are made, code by code, and
are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hup.data.dataset import Dataset
from hup.recommender.best import best_codes, candidate_scores
from hup.recommender.candidates import Scores
from hup.sessions.levels import Level
from hup.sessions.runs import run_counts

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Exposure:
    """How often the codes of a level stood in the lists of one row.

    Lists have candidates alone; of equal scores those with lower codes come first. The catalogue is what training
    knows, "no category" not among it. A session's own codes that training never saw may be recommended, too: they count
    as not popular at all.

    Attributes
    ----------
    codes : ndarray
        ``(m,)``, those of the catalogue that were recommended in any list, ascending.
    runs : ndarray
        ``(m,)``, their runs in the training split: their popularity.
    counts : dict of int to ndarray
        By length of the list, ``(m,)``, the lists that each code stood in.
    unseen : dict of int to int
        By length of the list, places that went to what training never saw.
    catalogue : int
        Number of codes that there are.
    all_runs : int
        Runs of the training split.
    taken : float or None
        Mean runs of the targets, which is how popular what users really took is; None without targets.
    """

    codes: Integers
    runs: Integers
    counts: Mapping[int, Integers]
    unseen: Mapping[int, int]
    catalogue: int
    all_runs: int
    taken: float | None

    def figure(self, metric: str, k: int) -> float | None:
        """Work out a metric of :data:`hup.evaluation.choice.LIST_METRICS`; None where nothing was recommended.

        Parameters
        ----------
        metric : str
        k : int
            Length of the list.
        """
        if k not in self.counts or not (self.counts[k].any() or self.unseen[k]):
            return None
        return {
            "coverage": self.coverage,
            "gini": self.gini,
            "novelty": self.novelty,
            "popularity_bias": self.popularity_bias,
        }[metric](k)

    def coverage(self, k: int) -> float:
        """Share of the catalogue that stands in some list (catalogue coverage; Ge et al. 2010)."""
        return float(np.count_nonzero(self.counts[k])) / max(self.catalogue, 1)

    def gini(self, k: int) -> float | None:
        """Gini index of how often each code of the catalogue stands in lists (Shani and Gunawardana 2011).

        0 = all of them equally often, 1 = one has every place.
        """
        counts = np.sort(self.counts[k])
        n, total = self.catalogue, int(counts.sum())
        if not total or n < 2:
            return None
        # Codes that are in no list are the first in this order and add nothing.
        place = np.arange(n - len(counts) + 1, n + 1)
        return float(((2 * place - n - 1) * counts).sum() / (total * (n - 1)))

    def novelty(self, k: int) -> float | None:
        """Mean self-information of what is recommended, in bits: ``-log2`` of its share of all runs (Zhou et al. 2010).

        What training never saw would be endlessly novel, so it is left out.
        """
        counts = self.counts[k]
        if not counts.any():
            return None
        bits = -np.log2(np.maximum(self.runs, 1) / max(self.all_runs, 1))
        return float((counts * bits).sum() / counts.sum())

    def popularity_bias(self, k: int) -> float | None:
        """Popularity lift: by how much what is recommended is more popular than what users took.

        Average recommendation popularity (mean runs of what is recommended; Yin et al. 2012) over that of the targets,
        less 1 (Abdollahpouri et al. 2020, who have the user's profile where the targets stand here). 0 = as popular as
        what users took, 1 = twice as popular, -0.5 = half as popular.
        """
        if not self.taken:
            return None
        counts = self.counts[k]
        mean = float((counts * self.runs).sum()) / (int(counts.sum()) + self.unseen[k])
        return mean / self.taken - 1


class ExposureCount:
    """Counts lists of one level as batches of scores come.

    Parameters
    ----------
    dataset : Dataset
    level : str
    rows : sequence of str
        Names of the rows that are counted.
    cutoffs : sequence of int
        Lengths of the list.
    """

    def __init__(self, dataset: Dataset, level: str, rows: Sequence[str], cutoffs: Sequence[int]) -> None:
        self._runs = run_counts(dataset, level)
        self._no_category = Level(level).pick(-1, dataset.taxonomy.no_category)
        self._cutoffs = sorted(cutoffs)
        # By row and code, then one more for all that training never saw.
        self._counts = {row: np.zeros((len(cutoffs), len(self._runs) + 1), dtype=np.int32) for row in rows}
        self._targets = np.zeros(2, dtype=np.int64)  # how many, and their runs

    def take(self, targets: Integers) -> None:
        """Count what users took, ``(B,)`` codes."""
        known = targets[(targets >= 0) & (targets < len(self._runs))]
        self._targets += [len(targets), int(self._runs[known].sum())]

    def add(self, row: str, scores: Scores, excluded: Tensor, candidates: Tensor | None, judged: Tensor) -> None:
        """Count the lists of one batch.

        Parameters
        ----------
        row : str
        scores, excluded, candidates
            As for :func:`hup.recommender.candidates.target_ranks`.
        judged : Tensor
            ``(B,)`` bool, the sessions that count at this level.
        """
        if not judged.any():
            return
        own_codes = scores.own_codes.cpu()[judged]
        values = candidate_scores(
            Scores(scores.known.cpu()[judged], scores.own.cpu()[judged], own_codes), excluded.cpu()[judged]
        )
        n_known = len(self._runs)
        if candidates is not None:
            values[:, :n_known].masked_fill_(~candidates.cpu()[judged], -float("inf"))
        best = best_codes(values, own_codes, self._cutoffs[-1]).place.numpy()
        low = 0
        for place, k in enumerate(self._cutoffs):
            listed = best[:, low:k]
            codes, counts = np.unique(np.minimum(listed[listed >= 0], n_known), return_counts=True)
            self._counts[row][place:, codes] += counts.astype(np.int32)
            low = k

    def counts(self) -> Iterator[NDArray[Any]]:
        """Give all that is counted, so that the counts of others can be added to it."""
        yield self._targets
        yield from self._counts.values()

    def exposure(self, row: str) -> Exposure:
        """Tell what was counted of a row."""
        counts, unseen = self._counts[row][:, :-1], self._counts[row][:, -1]
        codes = np.flatnonzero(counts[-1])  # the longest lists hold all others
        targets, runs = self._targets.tolist()
        known = len(self._runs)
        has_none = 0 <= self._no_category < known
        return Exposure(
            codes=codes,
            runs=self._runs[codes],
            counts={k: counts[place, codes].astype(np.int64) for place, k in enumerate(self._cutoffs)},
            unseen={k: int(unseen[place]) for place, k in enumerate(self._cutoffs)},
            catalogue=known - has_none,
            all_runs=int(self._runs.sum()) - (int(self._runs[self._no_category]) if has_none else 0),
            taken=runs / targets if targets else None,
        )
