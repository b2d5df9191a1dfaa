"""Tables of vectors, with an answer for codes never seen; what the pyramid reads of them; how far they differ."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hup.config import Embeddings
from hup.nn.ragged import segment_sum
from hup.sessions.batches import Histories
from hup.sessions.levels import ITEM, Level, ranked_levels

State = tuple[int, torch.device]


def _state(weight: Tensor) -> State:
    """Tell whether what was made of a weight is still right: it changes with its values, and with its device."""
    return weight._version, weight.device


class VectorTable(nn.Module):
    """One vector for each known code; a code beyond them takes the mean of its known siblings.

    An unknown item stands for the items of its finest known category, an unknown category for the children of its
    finest known ancestor, and a code without any known ancestor for all of them.

    Parameters
    ----------
    ancestors : Tensor
        ``(n, A)`` int64, codes of the ancestors of every known code, coarsest first. ``A`` may be 0.
    size : int
        Size of a vector.
    trainable : bool
    """

    ancestors: Tensor

    def __init__(self, ancestors: Tensor, size: int, *, trainable: bool = True) -> None:
        super().__init__()
        self.register_buffer("ancestors", ancestors, persistent=False)
        self.n_known = ancestors.shape[0]
        self.n_ancestors = [int(column.max()) + 1 if column.numel() else 0 for column in ancestors.unbind(1)]
        self.weight = nn.Parameter(torch.empty(self.n_known, size).uniform_(-0.05, 0.05), requires_grad=trainable)
        self._means: tuple[State, Tensor] | None = None
        self._unit: tuple[State, Tensor] | None = None

    def forward(self, codes: Tensor, ancestors: Tensor) -> Tensor:
        """Look vectors up.

        Parameters
        ----------
        codes : Tensor
            ``(…,)`` int64, any value; negative or beyond the table = unknown.
        ancestors : Tensor
            ``(…, A)`` int64, their ancestors, coarsest first; used where the code is unknown.
        """
        unknown = (codes < 0) | (codes >= self.n_known)
        vectors = functional.embedding(torch.where(unknown, 0, codes), self.weight)
        if not bool(unknown.any()):
            return vectors
        means = functional.embedding(torch.where(unknown, self._mean_row(ancestors), 0), self.means())
        return torch.where(unknown.unsqueeze(-1), means, vectors)

    def _mean_row(self, ancestors: Tensor) -> Tensor:
        row = ancestors.new_full(ancestors.shape[:-1], sum(self.n_ancestors))
        start = 0
        for level, size in enumerate(self.n_ancestors):  # finer levels overwrite coarser ones
            code = ancestors[..., level]
            row = torch.where((code >= 0) & (code < size), start + code, row)
            start += size
        return row

    def vectors(self) -> Tensor:
        """Vectors of all known codes, ``(n, size)``."""
        return self.weight

    def unit_vectors(self) -> Tensor:
        """Vectors of length 1, ``(n, size)``, without gradients; kept until the weights change."""
        if self._unit is None or self._unit[0] != _state(self.weight):
            self._unit = (_state(self.weight), functional.normalize(self.weight.detach(), dim=1))
        return self._unit[1]

    def means(self) -> Tensor:
        """Mean vectors ``(ΣA + 1, size)``: of each ancestor's known descendants, coarsest level first, then of all."""
        if not self.training and self._means is not None and self._means[0] == _state(self.weight):
            return self._means[1]
        parts = []
        for level, size in enumerate(self.n_ancestors):
            code = self.ancestors[:, level]
            count = torch.bincount(code, minlength=size).clamp(min=1)
            parts.append(segment_sum(self.weight, code, size) / count.unsqueeze(1))
        means = torch.cat([*parts, self.weight.mean(0, keepdim=True)])
        if not self.training:
            means = means.detach()
            self._means = (_state(self.weight), means)
        return means


class TreeTable(VectorTable):
    """Vectors that are sums: of one of the code's own and one for each of its ancestors.

    So an item that training has met once is read as an item of its categories, and an unknown code is what its known
    ancestors say; one without any is zero.

    Parameters
    ----------
    ancestors, size
        As for :class:`VectorTable`.

    Attributes
    ----------
    weight : Parameter
        ``(n, size)``, the codes' own.
    families : nn.ParameterList
        ``(n_a, size)`` for each level of ancestors, coarsest first.
    """

    def __init__(self, ancestors: Tensor, size: int) -> None:
        super().__init__(ancestors, size)
        self.families = nn.ParameterList(
            nn.Parameter(torch.empty(n, size).uniform_(-0.05, 0.05)) for n in self.n_ancestors
        )
        self._sums: tuple[tuple[State, ...], Tensor] | None = None

    def forward(self, codes: Tensor, ancestors: Tensor) -> Tensor:
        """Look vectors up; see :meth:`VectorTable.forward`."""
        vectors = _known_rows(self.weight, codes)
        for level, family in enumerate(self.families):
            vectors = vectors + _known_rows(family, ancestors[..., level])
        return vectors

    def vectors(self) -> Tensor:
        """Vectors of all known codes, ``(n, size)``; without gradients they are kept until the weights change."""
        if torch.is_grad_enabled():
            return self._summed()
        versions = (_state(self.weight), *(_state(family) for family in self.families))
        if self._sums is None or self._sums[0] != versions:
            self._sums = (versions, self._summed())
        return self._sums[1]

    def _summed(self) -> Tensor:
        vectors: Tensor = self.weight
        for level, family in enumerate(self.families):
            vectors = vectors + family.index_select(0, self.ancestors[:, level])
        return vectors


def _known_rows(table: Tensor, codes: Tensor) -> Tensor:
    """Rows of a table; zeros for codes that it does not have."""
    known = (codes >= 0) & (codes < len(table))
    return functional.embedding(torch.where(known, codes, 0), table) * known.unsqueeze(-1)


class Inputs(nn.Module):
    """Tables of items, categories, behavior types, dwell and interval buckets.

    Parameters
    ----------
    items : VectorTable
    categories : nn.ModuleList
        A VectorTable for each of category_1 … category_K.
    n_behaviors : int
    n_intervals, n_dwells : int
        Buckets, "not known" included.
    sizes : Embeddings
    micro_signals : bool
        Whether behavior type, dwell and interval are part of a micro-behavior's vector.
    """

    def __init__(
        self,
        items: VectorTable,
        categories: nn.ModuleList,
        n_behaviors: int,
        n_intervals: int,
        n_dwells: int,
        sizes: Embeddings,
        *,
        micro_signals: bool,
    ) -> None:
        super().__init__()
        self.items, self.categories = items, categories
        self.behavior = VectorTable(torch.zeros(n_behaviors, 0, dtype=torch.long), sizes.behavior)
        self.interval = nn.Embedding(n_intervals, sizes.interval)
        self.dwell = nn.Embedding(n_dwells, sizes.dwell)
        for table in (self.interval, self.dwell):
            nn.init.uniform_(table.weight, -0.05, 0.05)
        self.micro_signals = micro_signals
        self.micro_size = sizes.item + len(categories) * sizes.category
        if micro_signals:
            self.micro_size += sizes.behavior + sizes.dwell + sizes.interval

    def table(self, level: str) -> VectorTable:
        """Vectors of "item" or "category_k"."""
        level = Level(level)
        table = self.categories[level.k - 1] if level.is_category else self.items
        assert isinstance(table, VectorTable)
        return table

    def behaviors(self, codes: Tensor) -> Tensor:
        """e_b of behavior codes ``(S,)``; unknown ones take the mean."""
        vectors: Tensor = self.behavior(codes, codes.unsqueeze(-1)[..., :0])
        return vectors

    def vector(self, level: str, histories: Histories, events: Tensor) -> Tensor:
        """e_v, or e_c of a level, at some events."""
        table = self.table(level)
        vectors: Tensor = table(histories.codes(level)[events], histories.categories[events, : len(table.n_ancestors)])
        return vectors

    def micro(self, histories: Histories, events: Tensor, interval: Tensor, dwell: Tensor) -> Tensor:
        """e_i of §4.1: item, categories (coarsest first), behavior, dwell and interval, side by side."""
        parts = [self.vector(level, histories, events) for level in (ITEM, *ranked_levels(histories.levels)[:0:-1])]
        if self.micro_signals:
            parts += [self.behaviors(histories.behavior[events]), self.dwell(dwell), self.interval(interval)]
        return torch.cat(parts, dim=1)


#: Vectors pointing the same way on average, or spanning hardly more than one direction, cannot rank anything.
ALARM_COSINE = 0.9
ALARM_RANK = 1.5


@dataclass(frozen=True)
class Spread:
    """Spread of a table's vectors.

    Attributes
    ----------
    mean_cosine : float
        Mean cosine over all pairs of different vectors.
    effective_rank : float
        Exponential of the entropy of the normalised singular values, from 1 to the vector size (Roy and Vetterli 2007).
    vectors : int
        Number of rows.
    """

    mean_cosine: float
    effective_rank: float
    vectors: int

    @property
    def collapsed(self) -> bool:
        """Whether the table can hardly tell its rows apart."""
        return self.vectors > 1 and (self.mean_cosine > ALARM_COSINE or self.effective_rank < ALARM_RANK)


def spread(vectors: Tensor) -> Spread:
    """Measure a table, ``(n, d)``; a single vector has nothing to tell apart and never counts as collapsed."""
    n = vectors.shape[0]
    if n < 2:
        return Spread(1.0, 1.0, n)
    unit = functional.normalize(vectors.detach().double(), dim=1)
    # The sum over all pairs is the squared length of the sum of unit vectors.
    mean_cosine = (unit.sum(0).square().sum() - unit.square().sum()) / (n * (n - 1))
    # Singular values by way of the (d, d) Gram matrix: cheap for any number of rows.
    singular = torch.linalg.eigvalsh(unit.t() @ unit).clamp(min=0).sqrt()
    share = singular / singular.sum().clamp(min=torch.finfo(singular.dtype).tiny)
    entropy = -torch.special.xlogy(share, share).sum()
    return Spread(float(mean_cosine), float(entropy.exp()), n)


def unshared(network: nn.Module) -> dict[str, Tensor]:
    """Tensors of a network by name; a table that is used under two names has the first of them.

    Files of tensors refuse to hold one twice, and copying one twice would be a waste.
    """
    names: dict[int, str] = {}
    tensors = network.state_dict(keep_vars=True)
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), name)
    return {name: tensors[name].detach() for name in names.values()}
