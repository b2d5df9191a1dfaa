"""Answers to many users, each made by the kernel that answers one: a fraction of the time of tensors of all scores.

Where items are many, what is hardly likely may be a trifle off, as in :mod:`~.kernel`: to recommend from, not to rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from hup.models.hup.mixture.single.kernel import KernelAnswer, MixtureKernel
from hup.models.hup.mixture.visits import RunTable
from hup.recommender.candidates import LevelScores, Scores
from hup.sessions.batches import Histories
from hup.sessions.levels import Level


class KernelAnswers:
    """What the mixture answers at the ends of ``B`` sessions, on as many threads as PyTorch has.

    Parameters
    ----------
    kernel : MixtureKernel
    table : RunTable
        Of all sessions.
    profiles : mapping of Level to Tensor
        ``(B, d)``; empty where the pyramid takes no part.
    least : float
        Probability of what no part of the mixture knows.
    """

    def __init__(
        self, kernel: MixtureKernel, table: RunTable, profiles: Mapping[Level, Tensor], *, least: float
    ) -> None:
        self.kernel, self.least = kernel, least
        vectors = {level: vector.float().contiguous().numpy() for level, vector in profiles.items()}
        self._known = np.empty((len(table.offsets) - 1, sum(kernel.sizes)), dtype=np.float32)
        kernel.tables  # noqa: B018 - they are made before several threads ask for them

        def one(row: int) -> KernelAnswer:
            own = {level: vector[row] for level, vector in vectors.items()}
            of_session = table.of_runs(slice(table.offsets[row], table.offsets[row + 1]))
            return kernel.answer(of_session, own, self._known[row])

        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            self._answers = list(threads.map(one, range(len(self._known))))

    def scores(self, histories: Histories) -> LevelScores:
        """Give the probabilities as scores of these histories."""
        return LevelScores(lambda level: self._scores(histories, Level(level)), self._origins)

    def _scores(self, histories: Histories, level: Level) -> Scores:
        number = self.kernel.levels[level]
        own = histories.own_unknown(level, self.kernel.sizes[number]).codes
        values = np.full(own.shape, self.least, dtype=np.float32)
        for row in (own >= 0).any(dim=1).nonzero().squeeze(1).tolist():
            said = self._answers[row].of(level)
            at, which = (own[row].numpy()[:, None] == said.code).nonzero()
            values[row, at] += said.probability[which]
        return Scores(torch.from_numpy(self._known[:, self.kernel.span(number)]), torch.from_numpy(values), own)

    def _origins(self, level: str, row: Tensor, code: Tensor) -> Tensor:
        """Shares of repeat, memory, popularity and profile, as :func:`.origin_shares` gives them."""
        rows, codes, number = row.numpy(), code.numpy(), self.kernel.levels[Level(level)]
        shares = np.empty((len(rows), 4), dtype=np.float32)
        order = np.argsort(rows, kind="stable")
        starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
        for places in np.split(order, starts[1:]) if len(order) else []:
            answer = self._answers[rows[places[0]]]
            made = answer.contributions(number, len(answer.visits(number)[0]), codes[places].tolist())
            told = [made.repeat.sum(axis=1), made.memory.sum(axis=1), made.profile]
            total = np.maximum(np.maximum(made.total, sum(told)), 1e-30)
            repeat, memory, profile = told
            shares[places] = (np.stack([repeat, memory, total - sum(told), profile]) / total).T
        return torch.from_numpy(shares)
