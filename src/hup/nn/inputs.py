"""The embedding tables that the pyramid reads, and the input vectors that are made of them (§4.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hup.config import Embeddings
from hup.nn.tables import VectorTable
from hup.sessions.batches import Histories


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
        table = self.items if level == "item" else self.categories[int(level.removeprefix("category_")) - 1]
        assert isinstance(table, VectorTable)
        return table

    def behaviors(self, codes: Tensor) -> Tensor:
        """e_b of behavior codes ``(S,)``; unknown ones take the mean."""
        vectors: Tensor = self.behavior(codes, codes.unsqueeze(-1)[..., :0])
        return vectors

    def vector(self, level: str, histories: Histories, events: Tensor) -> Tensor:
        """e_v, or e_c of a level, at some events."""
        categories = histories.categories[events]
        if level == "item":
            vectors: Tensor = self.items(histories.item[events], categories)
            return vectors
        k = int(level.removeprefix("category_"))
        vectors = self.table(level)(categories[:, k - 1], categories[:, : k - 1])
        return vectors

    def micro(self, histories: Histories, events: Tensor, interval: Tensor, dwell: Tensor) -> Tensor:
        """e_i of §4.1: item, categories (coarsest first), behavior, dwell and interval, side by side."""
        parts = [self.vector("item", histories, events)]
        parts += [self.vector(f"category_{k}", histories, events) for k in range(1, histories.levels + 1)]
        if self.micro_signals:
            parts += [self.behaviors(histories.behavior[events]), self.dwell(dwell), self.interval(interval)]
        return torch.cat(parts, dim=1)
