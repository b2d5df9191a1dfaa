"""Exact nearest neighbours by cosine, in blocks, and the candidates they make for a session."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_BYTES = 128 * 2**20
PAIRS_PER_BLOCK = 4_096


def nearest_neighbors(vectors: Tensor, queries: Tensor, n: int, *, block_bytes: int = BLOCK_BYTES) -> Tensor:
    """Find the ``n`` vectors nearest to each queried one by cosine, exactly.

    A vector is its own neighbour, always the first. A zero vector has cosine 0 with everything. Among equal cosines at
    the end of the list it is not defined which are taken.

    Parameters
    ----------
    vectors : Tensor
        ``(V, d)`` float.
    queries : Tensor
        ``(Q,)`` int64, rows of ``vectors``.
    n : int
        Neighbours a query, itself among them; at most ``V`` are there to be found.
    block_bytes : int
        Most bytes that one block of similarities takes.

    Returns
    -------
    Tensor
        ``(Q, min(n, V))`` int32, nearest first; ``4 n Q`` bytes.
    """
    size = len(vectors)
    n = min(n, size)
    unit = torch.nn.functional.normalize(vectors, dim=1)
    out = torch.empty((len(queries), n), dtype=torch.int32, device=vectors.device)
    step = max(1, block_bytes // (max(size, 1) * unit.element_size()))
    for start in range(0, len(queries), step):
        chunk = queries[start : start + step].to(vectors.device)
        cosine = unit[chunk] @ unit.T
        # Rounding, a zero or a doubled vector must not push a query out of its own list.
        cosine[torch.arange(len(chunk), device=chunk.device), chunk] = torch.inf
        out[start : start + step] = cosine.topk(n, dim=1).indices
    return out


class NeighborLists:
    """The neighbour lists of a set of items, and the union of them over what each session browsed.

    Parameters
    ----------
    vectors : Tensor
        ``(V, d)``, the vectors of all known items.
    browsed : Tensor
        int64 codes whose lists will be asked for, in any order and number; codes not below ``V`` have no list.
    n : int
        Neighbours an item.

    Attributes
    ----------
    items : Tensor
        ``(Q,)``, the distinct known codes of ``browsed``, ascending.
    lists : Tensor
        ``(Q, min(n, V))`` int32, their neighbours.
    """

    def __init__(self, vectors: Tensor, browsed: Tensor, n: int) -> None:
        self.size = len(vectors)
        self.items = torch.unique(browsed[(browsed >= 0) & (browsed < self.size)]).to(vectors.device)
        self.lists = nearest_neighbors(vectors, self.items, n)

    def union(self, session: Tensor, item: Tensor, sessions: int) -> Tensor:
        """Mark, for each session, every item that is a neighbour of one of its items.

        Parameters
        ----------
        session, item : Tensor
            ``(N,)`` int64: event ``i`` is in row ``session[i]`` and has code ``item[i]``; unknown codes add nothing.
        sessions : int
            Number of rows, B.

        Returns
        -------
        Tensor
            ``(B, V)`` bool.
        """
        session, item = session.to(self.items.device), item.to(self.items.device)
        known = (item >= 0) & (item < self.size)
        # Each distinct (session, item) once: sessions come back to the same items many times.
        pairs = torch.unique(session[known] * self.size + item[known])
        mask = torch.zeros((sessions, self.size), dtype=torch.bool, device=pairs.device)
        for start in range(0, len(pairs), PAIRS_PER_BLOCK):
            chunk = pairs[start : start + PAIRS_PER_BLOCK]
            place = torch.searchsorted(self.items, chunk % self.size)
            at = (chunk // self.size)[:, None] * self.size + self.lists[place]
            mask.view(-1)[at.flatten()] = True
        return mask
