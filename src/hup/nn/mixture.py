"""One level's distribution over what comes next, from what was counted: repeat, memory and popularity.

``B(v) = π_r R(v) + π_m M(v) + π_e E(v)``: *repeat* points at what the session has been on, *memory* at what other
sessions were on near it, *explore* is popularity. What is missing to 1 is the probability of something *unseen*, that
no session has been on. At the start the parts are plain rules (recency; counts weighed by recency), and training moves
them away from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hup.nn.ragged import segment_softmax, segment_sum

N_RELATIONS = 3
_RECENCY = 2.0  # how fast an untrained pointer forgets: a code's weight falls with its place to this power
_NEVER = -1e9
_START = (1.0, 0.0, -1.0, -1.0)  # weights of the parts: repeat, memory, explore, unseen
_DAMPED = 0.5  # is added to every count of popularity


@dataclass(frozen=True)
class Look:
    """What one level shows of ``Q`` queries and their ``P`` visits.

    Attributes
    ----------
    query : Tensor
        ``(P,)`` int64, sorted.
    signals : Tensor
        ``(P, F)``.
    context : Tensor
        ``(Q, G)``.
    may_repeat : Tensor
        ``(P,)`` bool, visits that can come next.
    support : Tensor
        ``(P, 3)`` how much is known of the code's neighbours by relation; 0 = nothing.
    """

    query: Tensor
    signals: Tensor
    context: Tensor
    may_repeat: Tensor
    support: Tensor


@dataclass(frozen=True)
class Mixed:
    """Parts of the mixture.

    Attributes
    ----------
    weights : Tensor
        ``(Q, 4)``, π of repeat, memory, explore and unseen; a part that has nothing to say gets 0.
    repeat : Tensor
        ``(P,)``, summing to 1 over a query's visits.
    memory : Tensor
        ``(P, 3)`` attention on the visit's neighbours by relation, summing to 1 over a query's visits.
    """

    weights: Tensor
    repeat: Tensor
    memory: Tensor


class Attention(nn.Module):
    """Scores of visits: a linear rule that is there from the start, and a two-layer network that starts as nothing.

    Parameters
    ----------
    n_signals : int
    hidden : int
    n_scores : int
    start : float
        Of the rule: what the first signal counts.
    """

    def __init__(self, n_signals: int, hidden: int, n_scores: int, start: float) -> None:
        super().__init__()
        self.rule = nn.Linear(n_signals, n_scores, bias=False)
        self.signals = nn.Linear(n_signals, hidden)
        self.score = nn.Linear(hidden, n_scores, bias=False)
        nn.init.zeros_(self.rule.weight)
        nn.init.zeros_(self.score.weight)
        self.rule.weight.data[:, 0] = start

    def forward(self, signals: Tensor) -> Tensor:
        """Score visits with signals ``(P, F)``: ``(P, n_scores)``."""
        scores: Tensor = self.rule(signals) + self.score(torch.tanh(self.signals(signals)))
        return scores


class Mixture(nn.Module):
    """The mixture of one level.

    Parameters
    ----------
    counts : Tensor
        ``(n,)``, runs of every known code in training.
    n_signals, n_context : int
        Columns F and G.
    hidden : int
    repeat, memory : bool
        Whether there are such parts.
    """

    def __init__(
        self, counts: Tensor, n_signals: int, n_context: int, *, hidden: int, repeat: bool, memory: bool
    ) -> None:
        super().__init__()
        self.has = (repeat, memory, True, True)
        self.pointer = Attention(n_signals, hidden, 1, -_RECENCY)
        self.neighbors = Attention(n_signals + N_RELATIONS, hidden, N_RELATIONS, -1.0)
        self.context = nn.Linear(n_context + 1, hidden)
        self.part = nn.Linear(hidden, len(_START))
        nn.init.zeros_(self.part.weight)
        self.part.bias.data.copy_(torch.tensor(_START))
        self.counts: Tensor
        self.register_buffer("counts", counts)

    def forward(self, look: Look) -> Mixed:
        """Mix for every query; see :class:`Mixed`."""
        n_queries = len(look.context)
        scores = self.pointer(look.signals).squeeze(1)
        repeat = segment_softmax(scores.masked_fill(~look.may_repeat, _NEVER), look.query, n_queries) * look.may_repeat

        support = torch.log1p(look.support)
        known = look.support > 0
        flat = self.neighbors(torch.cat([look.signals, support], dim=1)).masked_fill(~known, _NEVER).reshape(-1)
        memory = (
            segment_softmax(flat, look.query.repeat_interleave(N_RELATIONS), n_queries).view(-1, N_RELATIONS) * known
        )

        supported = segment_sum((memory * support).sum(dim=1), look.query, n_queries) / 3
        hidden = self.context(torch.cat([look.context, supported.unsqueeze(1)], dim=1))
        always = torch.ones(n_queries, dtype=torch.bool, device=hidden.device)
        there = torch.stack(
            [
                segment_sum(look.may_repeat.float(), look.query, n_queries) > 0,
                segment_sum(known.any(dim=1).float(), look.query, n_queries) > 0,
                always,
                always,
            ],
            dim=1,
        )
        there = there & torch.tensor(self.has).to(hidden.device)
        weights = torch.softmax(self.part(torch.tanh(hidden)).masked_fill(~there, _NEVER), dim=1)
        return Mixed(weights, repeat, memory)


def popularity_mass(counts: Tensor) -> Tensor:
    """Popularity, not yet divided by its sum, of the shape of the counts; what nobody has been on has none."""
    return torch.where(counts > 0, counts + _DAMPED, 0)


def log_popularity(counts: Tensor) -> Tensor:
    """Logarithm of popularity, the bias of what a profile says; lowest, but a number, for what nobody has been on."""
    return torch.log(counts + _DAMPED)
