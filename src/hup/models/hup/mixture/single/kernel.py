"""What the mixture answers one user, by a compiled kernel: the fast twin of :class:`.SingleMixture`.

The tables of a model are pointed at once, so an answer is one call; what is asked of it afterwards, another one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.single import structures as c
from hup.models.hup.mixture.single.contributions import Contributions
from hup.models.hup.mixture.single.counted import CountedLevel
from hup.models.hup.mixture.single.tables import MixtureTables
from hup.models.hup.mixture.visits import RunTable
from hup.native import load
from hup.nn.tables import TreeTable
from hup.sessions.levels import Level

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Marginal(NamedTuple):
    """Probabilities of one level: of the vocabulary ``(n,)``, and of what the session has beyond it ``(U,)``."""

    known: Floats
    code: Ints
    probability: Floats


class MixtureKernel:
    """Answers from a network's tables; see :meth:`of`."""

    def __init__(self, kernel: ctypes.CDLL, network: MixtureNetwork, levels: Mapping[Level, CountedLevel]) -> None:
        self.calls = c.Calls(kernel)
        self.network, self.counted = network, levels
        self.levels = {level: number for number, level in enumerate(levels)}
        self.sizes = [counted.co_visits.size for counted in levels.values()]
        tables = [network.pyramid.target_table(level) for level in levels]
        self._summed: list[Tensor] = [one for table in tables for one in table.parameters()]
        self._tables: tuple[list[int], MixtureTables] | None = None

    @classmethod
    def of(cls, network: MixtureNetwork, levels: Mapping[Level, CountedLevel]) -> Self | None:
        """Make it where there is a compiler; None otherwise, or where target vectors are no sums over the tree."""
        fits = all(isinstance(network.pyramid.target_table(level), TreeTable) for level in levels)
        kernel = load("single_answer") if fits else None
        return None if kernel is None else cls(kernel, network, levels)

    @property
    def tables(self) -> MixtureTables:
        """Tables as the kernel reads them; target vectors are summed anew when they have changed."""
        versions = [one._version for one in self._summed]
        if self._tables is None or self._tables[0] != versions:
            self._tables = versions, MixtureTables(self.network, self.counted)
        return self._tables[1]

    def span(self, number: int) -> slice:
        """Where the vocabulary of the level of a number lies among those of all levels."""
        first = sum(self.sizes[:number])
        return slice(first, first + self.sizes[number])

    def answer(self, table: RunTable, profiles: Mapping[Level, Floats], known: Floats | None = None) -> KernelAnswer:
        """Mix for the end of a session; parameters as for :meth:`SingleMixture.answer` and :class:`KernelAnswer`."""
        assert (table.earlier is None) == (self.network.most_earlier == 0), "the table has other signals"
        return KernelAnswer(self, table, [profiles[level] for level in self.levels] if profiles else [], known)


class KernelAnswer:
    """What the mixture answers at the end of one session; it has what :class:`SingleAnswer` has.

    Parameters
    ----------
    kernel : MixtureKernel
    table : RunTable
    profiles : list of ndarray
        Of every level, finest first; none where the pyramid takes no part.
    known : ndarray, optional
        Where the probabilities of the vocabularies of all levels are written, ``(sum of sizes,)``.
    """

    def __init__(
        self, kernel: MixtureKernel, table: RunTable, profiles: list[Floats], known: Floats | None = None
    ) -> None:
        self.kernel, self._tables = kernel, kernel.tables
        self.room = min(len(table.item), kernel.network.most_visits + 1)  # for visits
        self._known = np.empty(sum(kernel.sizes), dtype=np.float32) if known is None else known
        n_levels = len(kernel.sizes)
        of_profiles = (ctypes.c_void_p * n_levels)(*(one.ctypes.data for one in profiles))
        question = c.Question(
            len(table.item),
            table.item.ctypes.data,
            table.categories.ctypes.data,
            table.events.ctypes.data,
            table.dwell.ctypes.data,
            table.behaviors.ctypes.data,
            None if table.earlier is None else table.earlier.ctypes.data,
            of_profiles,
        )
        self._answer = kernel.calls.answer(self._tables.model, question, self._known.ctypes.data)

    def __del__(self) -> None:
        if hasattr(self, "_answer"):
            self.kernel.calls.forget(self._answer)

    @cached_property
    def levels(self) -> dict[Level, KernelLevel]:
        """What every level says by itself is made of."""
        return {level: KernelLevel(self, number) for level, number in self.kernel.levels.items()}

    def of(self, level: Level) -> Marginal:
        """Give the probabilities of a level, a marginal of the one distribution of all levels."""
        number = self.kernel.levels[level]
        code, probability = np.empty(self.room, dtype=np.int64), np.empty(self.room, dtype=np.float32)
        n = self.kernel.calls.own(self._answer, number, code.ctypes.data, probability.ctypes.data)
        return Marginal(self._known[self.kernel.span(number)], code[:n], probability[:n])

    def visits(self, number: int) -> tuple[list[int], list[float]]:
        """List the runs that are looked at of the level of a number, and the share of each in repeat and memory."""
        run, share = np.empty(self.room, dtype=np.int64), np.empty(self.room)
        n = self.kernel.calls.visits(self._answer, number, run.ctypes.data, share.ctypes.data)
        return run[:n].tolist(), share[:n].tolist()

    def contributions(self, number: int, n_visits: int, codes: Sequence[int]) -> Contributions:
        """Tell what brings about the probabilities of some codes of the level of a number."""
        asked = np.array(codes, dtype=np.int64)
        total, profile = np.empty((2, len(asked)), dtype=np.float32)
        repeat, memory = np.empty((2, len(asked), n_visits), dtype=np.float32)
        places = (one.ctypes.data for one in (total, repeat, memory, profile))
        self.kernel.calls.contributions(self._answer, number, asked.ctypes.data, len(asked), *places)
        return Contributions(total, repeat, memory, profile)


class KernelLevel:
    """What one level says is made of; it has what :class:`LevelAnswer` has."""

    def __init__(self, answer: KernelAnswer, number: int) -> None:
        self._answer, self._number = answer, number

    @cached_property
    def _visits(self) -> tuple[list[int], list[float]]:
        return self._answer.visits(self._number)

    @property
    def runs(self) -> list[int]:
        """Run of every visit."""
        return self._visits[0]

    def shares(self) -> list[float]:
        """Weigh the visits by what they bring to repeat and memory; they sum to 1."""
        return self._visits[1]

    def contributions(self, codes: Sequence[int]) -> Contributions:
        """Tell what brings about the probabilities of some codes."""
        return self._answer.contributions(self._number, len(self.runs), codes)
