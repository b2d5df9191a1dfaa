"""The Pyramid Recurrent Neural Network (Eq. 1-5 and §4.5): from micro-behaviors to one profile a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hup.config import Config
from hup.data.batches import Histories
from hup.data.levels import LevelSteps, PyramidSteps, level_names
from hup.nn.attention import Attention
from hup.nn.behavior_lstm import BehaviorLSTM
from hup.nn.tables import VectorTable


@dataclass(frozen=True)
class Closed:
    """What a level remembers of its ended runs: ``(S, H)`` hidden and cell states, ``(S,)`` attention signals."""

    hidden: Tensor
    cell: Tensor
    signal: Tensor


@dataclass(frozen=True)
class LevelProfile:
    """Profile of one level for ``Q`` queries.

    Attributes
    ----------
    vector : Tensor
        ``(Q, d)``, p_l of §4.5.
    weights : Tensor
        ``(P,)`` attention weights α of all pairs, query by query.
    step, query : Tensor
        ``(P,)``; the pair's step (closed steps first, then open ones) and its query.
    """

    vector: Tensor
    weights: Tensor
    step: Tensor
    query: Tensor


class Level(nn.Module):
    """One level: Behavior-LSTM, attention, dense layer.

    Parameters
    ----------
    input_size : int
    signal_size : int
        Size of the embedding of behavior type (micro level) or dwell (levels above).
    output_size : int
        Size of the profile.
    config : Config
    gates, signal : bool
        Whether the recurrent layer has time and behavior gates, and the attention its signal.
    """

    def __init__(
        self, input_size: int, signal_size: int, output_size: int, config: Config, *, gates: bool, signal: bool
    ) -> None:
        super().__init__()
        network, hidden = config.network, config.network.hidden
        self.rnn = BehaviorLSTM(
            input_size,
            hidden,
            config.embeddings.interval if gates else 0,
            signal_size if gates else 0,
            hard_gates=network.hard_gates,
        )
        self.attention = Attention(
            hidden, signal_size if signal else 0, network.attention_hidden, squash=network.attention_tanh
        )
        self.head = nn.Linear(hidden, output_size)
        self.tanh = network.head_tanh

    def run(
        self, x: Tensor, interval: Tensor, signal: Tensor, lengths: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Run the recurrence over ragged sequences; see :meth:`BehaviorLSTM.run`."""
        gates = self.rnn.interval_size > 0
        return self.rnn.run(x, interval if gates else None, signal if gates else None, lengths, state)

    def profile(self, y: Tensor, signal: Tensor, last: Tensor, step: Tensor, query: Tensor) -> LevelProfile:
        """Attend over ``y`` and make the profile; see :meth:`Attention.forward`."""
        context, weights = self.attention(y, signal if self.attention.signal else None, last, step, query)
        vector = self.head(context)
        return LevelProfile(torch.tanh(vector) if self.tanh else vector, weights, step, query)


class Pyramid(nn.Module):
    """All levels over shared embedding tables.

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
        sizes = config.embeddings
        depth = len(category_ancestors)
        self.level_names = level_names(depth)
        self.hidden_size = config.network.hidden
        trainable = sizes.targets == "trainable"
        self.item_targets = VectorTable(item_paths, sizes.item, trainable=trainable)
        self.category_targets = nn.ModuleList(
            VectorTable(a, sizes.category, trainable=trainable) for a in category_ancestors
        )
        own_inputs = sizes.inputs != "targets"
        self.item_inputs = VectorTable(item_paths, sizes.item) if own_inputs else self.item_targets
        self.category_inputs = (
            nn.ModuleList(VectorTable(a, sizes.category) for a in category_ancestors)
            if own_inputs
            else self.category_targets
        )
        self.behavior = VectorTable(torch.zeros(n_behaviors, 0, dtype=torch.long), sizes.behavior)
        self.interval = nn.Embedding(n_intervals, sizes.interval)
        self.dwell = nn.Embedding(n_dwells, sizes.dwell)
        for table in (self.interval, self.dwell):
            nn.init.uniform_(table.weight, -0.05, 0.05)

        micro_input = sizes.item + depth * sizes.category + sizes.behavior + sizes.dwell + sizes.interval
        hidden, network = config.network.hidden, config.network
        levels = [
            Level(micro_input, sizes.behavior, sizes.item, config, gates=True, signal=True),
            Level(sizes.item + hidden, sizes.dwell, sizes.item, config, gates=True, signal=True),
        ]
        for _ in range(depth):
            levels.append(
                Level(
                    sizes.category + hidden,
                    sizes.dwell,
                    sizes.category,
                    config,
                    gates=network.category_gates,
                    signal=network.category_attention_signal,
                )
            )
        self.levels = nn.ModuleDict(dict(zip(self.level_names, levels, strict=True)))

    def target_table(self, level: str) -> VectorTable:
        """Vectors that profiles of a level are compared with; the micro level's are the items'."""
        if level in ("micro", "item"):
            return self.item_targets
        table = self.category_targets[int(level.removeprefix("category_")) - 1]
        assert isinstance(table, VectorTable)
        return table

    def input_table(self, level: str) -> VectorTable:
        """Vectors that the layer of a level reads, "item" or "category_k"."""
        table = self.item_inputs if level == "item" else self.category_inputs[int(level.removeprefix("category_")) - 1]
        assert isinstance(table, VectorTable)
        return table

    def forward(
        self, histories: Histories, steps: PyramidSteps, levels: Sequence[str] | None = None
    ) -> dict[str, LevelProfile]:
        """Profiles of every level at every query.

        Parameters
        ----------
        histories : Histories
        steps : PyramidSteps
            From :func:`hup.data.levels.pyramid_steps` on the same histories.
        levels : sequence of str, optional
            Levels whose profiles are wanted; default all.
        """
        return self.open(histories, steps, self.fold(histories, steps), levels)

    def fold(
        self, histories: Histories, steps: PyramidSteps, before: Sequence[tuple[Tensor, Tensor]] | None = None
    ) -> list[Closed]:
        """Run all levels over their closed steps.

        Parameters
        ----------
        histories, steps
            As for :meth:`forward`.
        before : sequence of (Tensor, Tensor), optional
            ``(h, c)``, each ``(B, H)``, of every level before the first step; default zeros.
        """
        closed: list[Closed] = []
        for number, (name, of) in enumerate(zip(self.level_names, steps.levels, strict=True)):
            level = self._level(name)
            zeros = self.interval.weight.new_zeros(of.lengths.numel(), level.rnn.hidden_size)
            state = (zeros, zeros) if before is None else before[number]
            if number == 0:
                x = self._micro_input(histories, of.events, of.interval, of.dwell)
                signal = self._behavior(histories.behavior[of.events])
                codes = histories.behavior[of.events]
            else:
                x = torch.cat(
                    [self._vector(name, histories, of.events), closed[-1].hidden.index_select(0, of.below)], dim=1
                )
                signal = self.dwell(of.dwell)
                codes = of.dwell
            hidden, cell = level.run(x, self.interval(of.interval), signal, of.lengths, state)
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
            Of every level, as :meth:`fold` gives it, or as a live profile keeps it.
        """
        profiles: dict[str, LevelProfile] = {}
        below = None
        for number, (name, of) in enumerate(zip(self.level_names, steps.levels, strict=True)):
            level, memory = self._level(name), closed[number]
            state = (_before(memory.hidden, of), _before(memory.cell, of))
            if number == 0:
                dwell = torch.repeat_interleave(of.open_dwell, steps.open_lengths)
                x = self._micro_input(histories, steps.open_events, steps.open_interval, dwell)
                codes, lengths = histories.behavior[steps.open_events], steps.open_lengths
                interval, signal = steps.open_interval, self._behavior(codes)
            else:
                assert below is not None
                x = torch.cat([self._vector(name, histories, steps.queries), below], dim=1)
                codes, lengths = of.open_dwell, torch.ones_like(of.open_dwell)
                interval, signal = steps.open_interval[steps.open_lengths.cumsum(0) - 1], self.dwell(codes)
            y, _ = level.run(x, self.interval(interval), signal, lengths, state)
            below = y.index_select(0, lengths.cumsum(0) - 1)
            if levels is None or name in levels:
                step, query = _pairs(of, memory.hidden.shape[0], lengths)
                signals = torch.cat([memory.signal, codes])
                embedded = self._behavior(signals) if number == 0 else self.dwell(signals)
                profiles[name] = level.profile(torch.cat([memory.hidden, y]), embedded, below, step, query)
        return profiles

    def _level(self, name: str) -> Level:
        level = self.levels[name]
        assert isinstance(level, Level)
        return level

    def _behavior(self, codes: Tensor) -> Tensor:
        vectors: Tensor = self.behavior(codes, codes.unsqueeze(-1)[..., :0])
        return vectors

    def _vector(self, level: str, histories: Histories, events: Tensor) -> Tensor:
        """e_v, or e_c of a level, at some events."""
        if level == "item":
            vectors: Tensor = self.item_inputs(histories.item[events], histories.categories[events])
            return vectors
        k = int(level.removeprefix("category_"))
        categories = histories.categories[events]
        vectors = self.category_inputs[k - 1](categories[:, k - 1], categories[:, : k - 1])
        return vectors

    def _micro_input(self, histories: Histories, events: Tensor, interval: Tensor, dwell: Tensor) -> Tensor:
        """e_i of §4.1: item, categories (coarsest first), behavior, dwell and interval, side by side."""
        categories = [self._vector(f"category_{k}", histories, events) for k in range(1, histories.levels + 1)]
        behavior = self._behavior(histories.behavior[events])
        return torch.cat(
            [
                self._vector("item", histories, events),
                *categories,
                behavior,
                self.dwell(dwell),
                self.interval(interval),
            ],
            dim=1,
        )


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
