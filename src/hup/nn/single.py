"""The pyramid for one user and one item run at a time, in NumPy; :class:`~hup.nn.pyramid.Pyramid` is for batches.

A live profile moves by a step or two. Then the matrices are small, and the machinery around each operation on tensors
costs more than the operation. Weights are read where the pyramid has them; tests hold both equal at every prefix. Where
a compiler is there, a kernel takes the steps (:mod:`hup.nn.single_kernel`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import Tensor

from hup.nn.attention import Attention
from hup.nn.behavior_lstm import BehaviorLSTM
from hup.nn.gru import GRU
from hup.nn.pyramid import Pyramid
from hup.nn.pyramid_level import PyramidLevel
from hup.nn.single_kernel import PyramidKernel
from hup.nn.tables import Inputs, TreeTable, VectorTable
from hup.sessions.levels import ITEM, Level, ranked_levels

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Ended(NamedTuple):
    """Ended steps of a level: ``(S, H)`` hidden and cell states, ``(S,)`` attention signals."""

    hidden: Floats
    cell: Floats
    signal: Ints

    def last(self, n: int) -> Ended:
        """Take the last ``n`` steps, 0 or more."""
        first = len(self.signal) - n
        return Ended(self.hidden[first:], self.cell[first:], self.signal[first:])

    def followed_by(self, more: Ended) -> Ended:
        """Put more steps behind them."""
        return Ended(
            np.concatenate([self.hidden, more.hidden]),
            np.concatenate([self.cell, more.cell]),
            np.concatenate([self.signal, more.signal]),
        )


@dataclass(frozen=True)
class Run:
    """An item run, as codes.

    Attributes
    ----------
    item : int
    path : tuple of int
        Categories, coarsest first.
    behavior, interval : ndarray
        ``(n,)`` int64, behavior codes and buckets of the intervals of its events.
    dwell : list of int
        Bucket of the dwell for micro, item, category_K … category_1.
    """

    item: int
    path: tuple[int, ...]
    behavior: Ints
    interval: Ints
    dwell: list[int]


class SinglePyramid:
    """A pyramid's twin; dropout takes no part.

    Parameters
    ----------
    pyramid : Pyramid
        Its weights are shared: what is changed in place is seen.
    """

    def __init__(self, pyramid: Pyramid) -> None:
        self.kernel = PyramidKernel.of(pyramid)
        self.layout, self.lender = pyramid.layout, pyramid.lender
        self.hidden_size = pyramid.hidden_size
        reads: dict[int, _Reads] = {}
        self._levels = []
        for number, name in enumerate(pyramid.level_names):
            level, inputs = pyramid.levels[name], pyramid.inputs[name]
            assert isinstance(level, PyramidLevel)
            assert isinstance(inputs, Inputs)
            shared = reads.setdefault(id(inputs), _Reads(inputs))
            self._levels.append(_Level(name, level, shared, is_micro=self.layout[number] == 0))

    def start(self) -> tuple[Ended, ...]:
        """Give what has ended before the first event: nothing."""
        none = np.zeros((0, self.hidden_size), dtype=np.float32)
        return (Ended(none, none, np.zeros(0, dtype=np.int64)),) * len(self._levels)

    def steps(self, run: Run, before: Sequence[Ended], ended: Sequence[bool] | None = None) -> list[Ended]:
        """Run all levels over an item run, from what has ended before it.

        Parameters
        ----------
        run : Run
        before : sequence of Ended
            Of every level; its last step is gone on from.
        ended : sequence of bool, optional
            For micro, item, category_K … category_1: whether the level's run ends with this one. Levels where it does
            not take no step. Default: all do, as where a profile is asked for.

        Returns
        -------
        list of Ended
            Of every level, the new steps alone: one for each event at the micro level, one or none above.
        """
        return self._steps(run, before, ended) if self.kernel is None else self._compiled(run, before, ended)

    def _compiled(self, run: Run, before: Sequence[Ended], ended: Sequence[bool] | None) -> list[Ended]:
        """Run all levels in one call."""
        assert self.kernel is not None, "there is no kernel"
        made = []
        for number, states in enumerate(self.kernel.steps(run, before, ended)):
            layout = self.layout[self.lender[number]]
            if ended is None or ended[layout]:
                made.append(Ended(*states, run.behavior if layout == 0 else np.array([run.dwell[layout]])))
            else:
                made.append(before[number].last(0))
        return made

    def _steps(self, run: Run, before: Sequence[Ended], ended: Sequence[bool] | None) -> list[Ended]:
        """Run one level after the other."""
        made: list[Ended] = []
        for number, level in enumerate(self._levels):
            if self.lender[number] != number:
                made.append(made[self.lender[number]])
            elif ended is not None and not ended[self.layout[number]]:
                made.append(before[number].last(0))
            else:
                made.append(level.step(run, run.dwell[self.layout[number]], before[number], made[-1] if made else None))
        return made

    def profiles(self, run: Run, before: Sequence[Ended]) -> list[Floats]:
        """Give the profile ``(d,)`` of every level after an open run."""
        if self.kernel is not None and all(level.attention is None for level in self._levels):
            return self.kernel.profiles(run, before)
        opened = self.steps(run, before)
        return [self.profile(number, *states)[0] for number, states in enumerate(zip(before, opened, strict=True))]

    def profile(self, number: int, before: Ended, opened: Ended) -> tuple[Floats, Floats]:
        """Give the profile ``(d,)`` of a level after an open run, and the attention on all steps, ``(S,)``."""
        return self._levels[number].profile(before, opened)


class _Reads:
    """What levels read: the tables of :class:`~hup.nn.tables.Inputs`."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self.behavior, self.interval, self.dwell = (
            array(table.weight) for table in (inputs.behavior, inputs.interval, inputs.dwell)
        )
        levels = (ITEM, *ranked_levels(len(inputs.categories))[:0:-1])
        self.tables = {level: _lookup(inputs.table(level)) for level in levels}

    def behaviors(self, codes: Ints) -> Floats:
        """e_b of behaviors, ``(n, size)``; unknown ones take the mean."""
        found: Floats = self.behavior[codes]
        if (codes < 0).any():
            found[codes < 0] = self._inputs.behavior.means()[-1].numpy()
        return found

    def vector(self, level: Level, run: Run) -> Floats:
        """e_v, or e_c of a level, of a run."""
        return self.tables[level](level.pick(run.item, run.path), run.path)

    def micro(self, run: Run, dwell: int) -> Floats:
        """e_i of §4.1 of every event, ``(n, size)``."""
        n = len(run.behavior)
        of_run = np.concatenate(
            [table(level.pick(run.item, run.path), run.path) for level, table in self.tables.items()]
        )
        parts = [np.broadcast_to(of_run, (n, len(of_run)))]
        if self._inputs.micro_signals:
            of_dwell = self.dwell[dwell]
            parts += [
                self.behaviors(run.behavior),
                np.broadcast_to(of_dwell, (n, len(of_dwell))),
                self.interval[run.interval],
            ]
        return np.concatenate(parts, axis=1)


class _Level:
    """One level; see :class:`~hup.nn.pyramid_level.PyramidLevel`."""

    def __init__(self, name: Level, level: PyramidLevel, reads: _Reads, *, is_micro: bool) -> None:
        self.name, self.reads, self.is_micro, self.tanh = name, reads, is_micro, level.tanh
        self.cell = None if level.rnn is None else _cell(level.rnn)
        self.head, self.bias = array(level.head.weight), array(level.head.bias)
        self.attention = None if level.attention is None else _attention(level.attention)

    def step(self, run: Run, dwell: int, before: Ended, below: Ended | None) -> Ended:
        """Go on over a run, from the last step before it."""
        assert self.cell is not None, "the layer of another level stands in"
        if self.is_micro:
            x, signal, interval = self.reads.micro(run, dwell), run.behavior, run.interval
        else:
            own = self.reads.vector(self.name, run)
            x = (own if below is None else np.concatenate([own, below.hidden[-1]]))[None]
            signal, interval = np.array([dwell]), run.interval[-1:]
        if len(before.signal):
            hidden, cell = before.hidden[-1], before.cell[-1]
        else:
            hidden = cell = np.zeros(before.hidden.shape[1], dtype=np.float32)
        return Ended(*self.cell(x, self.reads.interval[interval], self._signals(signal), hidden, cell), signal)

    def profile(self, before: Ended, opened: Ended) -> tuple[Floats, Floats]:
        """Attend, and make the profile (§4.5)."""
        if self.attention is None:
            weights = np.zeros(len(before.signal) + len(opened.signal), dtype=np.float32)
            weights[-1], context = 1, opened.hidden[-1]
        else:
            y = np.concatenate([before.hidden, opened.hidden])
            signal = self._signals(np.concatenate([before.signal, opened.signal]))
            weights = self.attention(y, signal)
            context = weights @ y
        vector = self.head @ context + self.bias
        return (np.tanh(vector) if self.tanh else vector), weights

    def _signals(self, codes: Ints) -> Floats:
        """a_i of Eq. 4 and 5, ``(n, size)``: the behavior at the micro level, the dwell above."""
        return self.reads.behaviors(codes) if self.is_micro else self.reads.dwell[codes]


_Lookup = Callable[[int, tuple[int, ...]], Floats]
_Cell = Callable[[Floats, Floats, Floats, Floats, Floats], tuple[Floats, Floats]]


def array(tensor: Tensor) -> Floats:
    """Give the numbers of a tensor, shared."""
    values: Floats = tensor.detach().numpy()
    return values


def _lookup(table: VectorTable) -> _Lookup:
    """Vector of a code by its path; see :class:`VectorTable` and :class:`TreeTable`."""
    own = array(table.weight)
    if not isinstance(table, TreeTable):

        def of_table(code: int, path: tuple[int, ...]) -> Floats:
            if 0 <= code < len(own):
                found: Floats = own[code]
                return found
            row = last = sum(table.n_ancestors)
            for size, ancestor in zip(reversed(table.n_ancestors), path[: len(table.n_ancestors)][::-1], strict=True):
                last -= size
                if 0 <= ancestor < size:
                    row = last + ancestor
                    break  # the finest one that is known
            return array(table.means()[row])

        return of_table
    families = [array(family) for family in table.families]

    def of_tree(code: int, path: tuple[int, ...]) -> Floats:
        total = np.zeros(own.shape[1], dtype=np.float32)
        for rows, at in ((own, code), *zip(families, path, strict=False)):
            if 0 <= at < len(rows):
                total += rows[at]
        return total

    return of_tree


def _cell(layer: BehaviorLSTM | GRU) -> _Cell:
    return _behavior_lstm(layer) if isinstance(layer, BehaviorLSTM) else _gru(layer)


def _behavior_lstm(layer: BehaviorLSTM) -> _Cell:
    """Eq. 4, one sequence."""
    size = layer.hidden_size
    weight_input, weight_hidden, bias = (array(one) for one in (layer.weight_input, layer.weight_hidden, layer.bias))
    gates = [None if one is None else array(one) for one in (layer.weight_interval, layer.weight_behavior)]
    sigmoid: Callable[[Floats], Floats] = _hard_sigmoid if layer.hard_gates else expit

    def run(x: Floats, interval: Floats, behavior: Floats, hidden: Floats, cell: Floats) -> tuple[Floats, Floats]:
        projected = x @ weight_input.T + bias
        scale, start = np.ones((len(x), size), dtype=np.float32), 4 * size
        for weight, signal in zip(gates, (interval, behavior), strict=True):
            if weight is not None:
                scale *= sigmoid(projected[:, start : start + size] + signal @ weight.T)
                start += size
        all_hidden, all_cell = np.empty((2, len(x), size), dtype=np.float32)
        for step in range(len(x)):
            moved = projected[step, : 4 * size] + weight_hidden @ hidden
            i, f, o = sigmoid(moved[:size]), sigmoid(moved[size : 2 * size]), sigmoid(moved[3 * size :])
            update = i * np.tanh(moved[2 * size : 3 * size])
            cell = f * cell + update * scale[step]
            hidden = o * np.tanh(cell)
            all_hidden[step], all_cell[step] = hidden, cell
        return all_hidden, all_cell

    return run


def _hard_sigmoid(x: Floats) -> Floats:
    clipped: Floats = np.clip(np.float32(0.2) * x + np.float32(0.5), 0, 1)
    return clipped


def _gru(layer: GRU) -> _Cell:
    """Run a gated recurrent unit as PyTorch has it, gate order r, z, n."""
    size, gru = layer.hidden_size, layer.gru
    names = ("weight_ih_l0", "bias_ih_l0", "weight_hh_l0", "bias_hh_l0")
    weight_input, bias_input, weight_hidden, bias_hidden = (array(gru.get_parameter(name)) for name in names)

    def run(x: Floats, interval: Floats, behavior: Floats, hidden: Floats, cell: Floats) -> tuple[Floats, Floats]:
        projected = x @ weight_input.T + bias_input
        out = np.empty((len(x), size), dtype=np.float32)
        for step, of_input in enumerate(projected):
            of_hidden = weight_hidden @ hidden + bias_hidden
            r, z = np.split(expit(of_input[: 2 * size] + of_hidden[: 2 * size]), 2)
            n = np.tanh(of_input[2 * size :] + r * of_hidden[2 * size :])
            out[step] = hidden = (1 - z) * n + z * hidden
        return out, out

    return run


def _attention(layer: Attention) -> Callable[[Floats, Floats], Floats]:
    """Eq. 5 of one query, which looks at all steps; the last one is its y_T."""
    output, bias, last = (array(one) for one in (layer.output.weight, layer.output.bias, layer.last.weight))
    of_signal = None if layer.signal is None else array(layer.signal.weight)
    score = None if layer.score is None else (array(layer.score.weight)[0], array(layer.score.bias))

    def weights(y: Floats, signal: Floats) -> Floats:
        hidden = y @ output.T + bias + last @ y[-1]
        if of_signal is not None:
            hidden = hidden + signal @ of_signal.T
        scores = hidden[:, 0] if score is None else np.tanh(hidden) @ score[0] + score[1]
        shares: Floats = softmax(np.tanh(scores) if layer.squash else scores)
        return shares

    return weights
