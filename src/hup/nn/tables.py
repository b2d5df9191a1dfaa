"""Tables of vectors that have an answer for codes they have never seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hup.nn.ragged import segment_sum


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
        self._means: tuple[int, Tensor] | None = None
        self._unit: tuple[int, Tensor] | None = None

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

    def unit_vectors(self) -> Tensor:
        """Vectors of length 1, ``(n, size)``, without gradients; kept until the weights change."""
        if self._unit is None or self._unit[0] != self.weight._version:
            self._unit = (self.weight._version, functional.normalize(self.weight.detach(), dim=1))
        return self._unit[1]

    def means(self) -> Tensor:
        """Mean vectors ``(ΣA + 1, size)``: of each ancestor's known descendants, coarsest level first, then of all."""
        if not self.training and self._means is not None and self._means[0] == self.weight._version:
            return self._means[1]
        parts = []
        for level, size in enumerate(self.n_ancestors):
            code = self.ancestors[:, level]
            count = torch.bincount(code, minlength=size).clamp(min=1)
            parts.append(segment_sum(self.weight, code, size) / count.unsqueeze(1))
        means = torch.cat([*parts, self.weight.mean(0, keepdim=True)])
        if not self.training:
            means = means.detach()
            self._means = (self.weight._version, means)
        return means
