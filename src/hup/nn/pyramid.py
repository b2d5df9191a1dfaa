"""The Pyramid Recurrent Neural Network (Eq. 1-5 and §4.5): from micro-behaviors to one profile a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hup.config import Config
from hup.nn.pyramid_level import LevelProfile, PyramidLevel
from hup.nn.tables import Inputs, TreeTable, VectorTable
from hup.sessions.batches import Histories
from hup.sessions.levels import ITEM, Level, LevelSteps, PyramidSteps, level_names


@dataclass(frozen=True)
class Opened:
    """What a level makes of the open run of every query.

    Attributes
    ----------
    outputs : Tensor
        ``(O, H)`` at the micro level, after each of the open events; above it ``(Q, H)``.
    last : Tensor
        ``(Q, H)``, the last one of each query, y_T of Eq. 5.
    signal : Tensor
        Attention signal of every row of ``outputs``.
    lengths : Tensor
        ``(Q,)`` rows of each query.
    """

    outputs: Tensor
    last: Tensor
    signal: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class Closed:
    """What a level remembers of its ended runs: ``(S, H)`` hidden and cell states, ``(S,)`` attention signals."""

    hidden: Tensor
    cell: Tensor
    signal: Tensor


class Pyramid(nn.Module):
    """All levels over shared embedding tables.

    Of the ablations, ``network.micro = false`` leaves the lowest level out, and ``network.single = true`` makes every
    level a layer of its own over the micro-behaviors, with tables of its own, so that no task learns from another.
    With ``network.category_levels = false`` category profiles are made of the item level's outputs.

    Parameters
    ----------
    item_paths : Tensor
        ``(n_items, K)`` int64, categories of every known item, coarsest first.
    category_ancestors : sequence of Tensor
        For category_1 … category_K: ``(n_k, k - 1)`` int64, ancestors of every known category, coarsest first.
    n_behaviors : int
    n_intervals, n_dwells : int
        Buckets, "not known" included.
    config : Config

    Attributes
    ----------
    level_names : tuple of str
        Levels that there are, bottom first.
    layout : tuple of int
        For each of them, which of ``PyramidSteps.levels`` are its steps.
    lender : tuple of int
        For each of them, the number of the level whose recurrent layer it has: mostly its own.
    """

    def __init__(
        self,
        item_paths: Tensor,
        category_ancestors: Sequence[Tensor],
        n_behaviors: int,
        n_intervals: int,
        n_dwells: int,
        config: Config,
    ) -> None:
        super().__init__()
        sizes, network = config.embeddings, config.network
        depth = len(category_ancestors)
        names = level_names(depth)
        self.level_names = names if network.micro and not network.single else names[1:]
        item = self.level_names.index(ITEM)
        self.lender = tuple(
            number if network.category_levels else min(number, item) for number in range(len(self.level_names))
        )
        self.layout = tuple(0 if network.single else names.index(self.level_names[lent]) for lent in self.lender)
        self.hidden_size = network.hidden

        def targets(ancestors: Tensor, size: int) -> VectorTable:
            if sizes.targets == "co_visits":
                return TreeTable(ancestors, size)
            return VectorTable(ancestors, size, trainable=sizes.targets == "trainable")

        self.item_targets = targets(item_paths, sizes.item)
        self.category_targets = nn.ModuleList(targets(a, sizes.category) for a in category_ancestors)

        def inputs() -> Inputs:
            own_items, own_categories = sizes.inputs in ("skipgram", "random"), sizes.inputs != "targets"
            return Inputs(
                VectorTable(item_paths, sizes.item) if own_items else self.item_targets,
                nn.ModuleList(VectorTable(a, sizes.category) for a in category_ancestors)
                if own_categories
                else self.category_targets,
                n_behaviors,
                n_intervals,
                n_dwells,
                sizes,
                micro_signals=network.micro_signals,
            )

        shared = None if network.single else inputs()
        self.inputs = nn.ModuleDict({name: shared or inputs() for name in self.level_names})
        self.levels = nn.ModuleDict()
        for number, name in enumerate(self.level_names):
            output = sizes.category if name.is_category else sizes.item
            if self.lender[number] != number:
                made = PyramidLevel(None, 0, sizes.dwell, output, network)
            elif self.layout[number] == 0:
                made = PyramidLevel(self._inputs(name).micro_size, sizes.interval, sizes.behavior, output, network)
            else:
                below = network.hidden if number else 0
                gates = network.category_gates if name.is_category else True
                made = PyramidLevel(
                    output + below,
                    sizes.interval,
                    sizes.dwell,
                    output,
                    network,
                    time_gate=gates is not False,
                    behavior_gate=gates is True,
                    signal=network.category_attention_signal or not name.is_category,
                )
            self.levels[name] = made

    def target_table(self, level: str) -> VectorTable:
        """Vectors that profiles of a level are compared with; the micro level's are the items'."""
        level = Level(level)
        table = self.category_targets[level.k - 1] if level.is_category else self.item_targets
        assert isinstance(table, VectorTable)
        return table

    def input_tables(self, level: str) -> list[VectorTable]:
        """Tables that are read of "item" or "category_k": one, or with ``network.single`` one a task."""
        tables: dict[int, VectorTable] = {}
        for name in self.level_names:
            table = self._inputs(name).table(level)
            tables.setdefault(id(table), table)
        return list(tables.values())

    def forward(
        self, histories: Histories, steps: PyramidSteps, levels: Sequence[str] | None = None
    ) -> dict[str, LevelProfile]:
        """Profiles of every level at every query.

        Parameters
        ----------
        histories : Histories
        steps : PyramidSteps
            From :func:`hup.sessions.levels.pyramid_steps` on the same histories.
        levels : sequence of str, optional
            Levels whose profiles are wanted; default all.
        """
        device = self.item_targets.weight.device
        if device.type != "cpu":
            histories, steps = histories.to(device), steps.to(device)
        return self.open(histories, steps, self.fold(histories, steps, levels), levels)

    def fold(self, histories: Histories, steps: PyramidSteps, levels: Sequence[str] | None = None) -> list[Closed]:
        """Run levels over their closed steps: the wanted ones, and those below, whose outputs they read.

        Parameters
        ----------
        histories, steps, levels
            As for :meth:`forward`.
        """
        closed: list[Closed] = []
        for number, name in enumerate(self._up_to(levels)):
            if self.lender[number] != number:
                closed.append(closed[self.lender[number]])
                continue
            level, inputs, of = self._level(name), self._inputs(name), steps.levels[self.layout[number]]
            zeros = inputs.interval.weight.new_zeros(of.lengths.numel(), self.hidden_size)
            if self.layout[number] == 0:
                x = inputs.micro(histories, of.events, of.interval, of.dwell)
                codes = histories.behavior[of.events]
                signal = inputs.behaviors(codes)
            else:
                x = inputs.vector(name, histories, of.events)
                if closed:
                    x = torch.cat([x, closed[-1].hidden.index_select(0, of.below)], dim=1)
                codes = of.dwell
                signal = inputs.dwell(codes)
            hidden, cell = level.run(x, inputs.interval(of.interval), signal, of.lengths, (zeros, zeros))
            closed.append(Closed(hidden, cell, codes))
        return closed

    def open(
        self,
        histories: Histories,
        steps: PyramidSteps,
        closed: Sequence[Closed],
        levels: Sequence[str] | None = None,
    ) -> dict[str, LevelProfile]:
        """Run every query's open run from the closed state before it, and attend over both.

        Parameters
        ----------
        histories, steps, levels
            As for :meth:`forward`.
        closed : sequence of Closed
            Of every level, as :meth:`fold` gives it.
        """
        profiles: dict[str, LevelProfile] = {}
        opened = self.run_open(histories, steps, closed)
        for number, name in enumerate(self.level_names[: len(closed)]):
            if levels is None or name in levels:
                level, inputs, of = self._level(name), self._inputs(name), steps.levels[self.layout[number]]
                memory, run = closed[number], opened[number]
                step, query = _pairs(of, memory.hidden.shape[0], run.lengths)
                signals = torch.cat([memory.signal, run.signal])
                embedded = inputs.behaviors(signals) if self.layout[number] == 0 else inputs.dwell(signals)
                outputs = torch.cat([memory.hidden, run.outputs])
                profiles[name] = level.profile(outputs, embedded, run.last, step, query)
        return profiles

    def run_open(self, histories: Histories, steps: PyramidSteps, closed: Sequence[Closed]) -> list[Opened]:
        """Run every query's open run through the levels that were folded, from the closed state before it.

        Parameters
        ----------
        histories, steps, closed
            As for :meth:`open`.
        """
        opened: list[Opened] = []
        for number, name in enumerate(self.level_names[: len(closed)]):
            if self.lender[number] != number:
                opened.append(opened[self.lender[number]])
                continue
            level, inputs, of = self._level(name), self._inputs(name), steps.levels[self.layout[number]]
            memory = closed[number]
            state = (_before(memory.hidden, of), _before(memory.cell, of))
            if self.layout[number] == 0:
                dwell = torch.repeat_interleave(of.open_dwell, steps.open_lengths)
                x = inputs.micro(histories, steps.open_events, steps.open_interval, dwell)
                codes, lengths, interval = (
                    histories.behavior[steps.open_events],
                    steps.open_lengths,
                    steps.open_interval,
                )
                signal = inputs.behaviors(codes)
            else:
                x = inputs.vector(name, histories, steps.queries)
                if opened:
                    x = torch.cat([x, opened[-1].last], dim=1)
                codes, lengths = of.open_dwell, torch.ones_like(of.open_dwell)
                interval, signal = steps.open_interval[steps.open_lengths.cumsum(0) - 1], inputs.dwell(codes)
            y, _ = level.run(x, inputs.interval(interval), signal, lengths, state)
            opened.append(Opened(y, y.index_select(0, lengths.cumsum(0) - 1), codes, lengths))
        return opened

    def _up_to(self, levels: Sequence[str] | None) -> tuple[str, ...]:
        """Name all levels up to the highest wanted one."""
        if levels is None:
            return self.level_names
        return self.level_names[: 1 + max(self.level_names.index(name) for name in levels)]

    def _level(self, name: str) -> PyramidLevel:
        level = self.levels[name]
        assert isinstance(level, PyramidLevel)
        return level

    def _inputs(self, name: str) -> Inputs:
        inputs = self.inputs[name]
        assert isinstance(inputs, Inputs)
        return inputs


def _before(states: Tensor, of: LevelSteps) -> Tensor:
    """State before each query's open run, ``(Q, H)``; zeros where nothing has ended."""
    with_zeros = torch.cat([states.new_zeros(1, states.shape[1]), states])
    return with_zeros.index_select(0, torch.where(of.before > of.first, of.before, 0))


def _pairs(of: LevelSteps, n_closed: int, open_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """All (step, query) pairs: each query with its closed steps, then its open ones (numbered after all closed)."""
    n_before = of.before - of.first
    counts = n_before + open_lengths
    query = torch.repeat_interleave(torch.arange(counts.numel(), device=counts.device), counts)
    place = torch.arange(query.numel(), device=counts.device) - (counts.cumsum(0) - counts)[query]
    open_start = n_closed + open_lengths.cumsum(0) - open_lengths
    step = torch.where(place < n_before[query], of.first[query] + place, open_start[query] + place - n_before[query])
    return step, query
