"""One level's distribution over what comes next: a mixture of repeat, neighbours and explore.

``P(v) = π_r R(v) + π_m M(v) + π_e E(v)``: *repeat* points at what the session has been on, *memory* at what other
sessions were on near it, *explore* is a softmax over the vocabulary. What is missing to 1 is the probability of
something *unseen*, that no session has been on. The profile of the level takes part in all three and in the weights π.
At the start the parts are plain rules (recency; counts weighed by recency; popularity), and training moves them away
from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hup.nn.ragged import segment_softmax, segment_sum

N_RELATIONS = 3
_RECENCY = 2.0  # how fast an untrained pointer forgets: a code's weight falls with its place to this power
_NEVER = -1e9
_START = (1.0, 0.0, -1.0, -1.0)  # weights of the parts: repeat, memory, explore, unseen
_DAMPED = 0.5  # is added to every count of popularity
_SCALE = 3.0


@dataclass(frozen=True)
class Look:
    """What one level shows of ``Q`` queries and their ``P`` visits.

    Attributes
    ----------
    query : Tensor
        ``(P,)`` int64, sorted.
    step : Tensor
        ``(P,)`` int64 row of ``outputs`` that belongs to the visit's run.
    outputs : Tensor
        ``(S, H)`` outputs of the item level.
    last : Tensor
        ``(Q, H)`` output of this level at each query.
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
    step: Tensor
    outputs: Tensor
    last: Tensor
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
    preference : Tensor
        ``(Q, d)``, what is compared with the vectors of the vocabulary.
    """

    weights: Tensor
    repeat: Tensor
    memory: Tensor
    preference: Tensor


class _Attention(nn.Module):
    """Scores of visits: a linear rule that is there from the start, and a two-layer network that starts as nothing."""

    def __init__(self, size: int, n_signals: int, hidden: int, n_scores: int, start: float) -> None:
        super().__init__()
        self.rule = nn.Linear(n_signals, n_scores, bias=False)
        self.signals = nn.Linear(n_signals, hidden)
        self.outputs = nn.Linear(size, hidden, bias=False) if size else None
        self.last = nn.Linear(size, hidden, bias=False) if size else None
        self.score = nn.Linear(hidden, n_scores, bias=False)
        nn.init.zeros_(self.rule.weight)
        nn.init.zeros_(self.score.weight)
        self.rule.weight.data[:, 0] = start
        for linear in (self.outputs, self.last):
            if linear is not None:
                nn.init.zeros_(linear.weight)

    def forward(self, signals: Tensor, look: Look, outputs: Tensor, last: Tensor) -> Tensor:
        hidden = self.signals(signals)
        if self.outputs is not None and self.last is not None:
            hidden = hidden + self.outputs(outputs).index_select(0, look.step)
            hidden = hidden + self.last(last).index_select(0, look.query)
        scores: Tensor = self.rule(signals) + self.score(torch.tanh(hidden))
        return scores


class Mixture(nn.Module):
    """The mixture of one level.

    Parameters
    ----------
    counts : Tensor
        ``(n,)``, runs of every known code in training.
    size : int
        Size H of the level's outputs; 0 = the parts see no profile.
    n_signals, n_context : int
        Columns F and G.
    vector_size : int
        Size d of the vectors of the vocabulary.
    hidden : int
    dropout : float
        Of the outputs that the parts see.
    repeat, memory : bool
        Whether there are such parts.
    """

    def __init__(
        self,
        counts: Tensor,
        size: int,
        n_signals: int,
        n_context: int,
        vector_size: int,
        *,
        hidden: int,
        dropout: float,
        repeat: bool,
        memory: bool,
    ) -> None:
        super().__init__()
        self.has = (repeat, memory, True, True)
        self.pointer = _Attention(size, n_signals, hidden, 1, -_RECENCY)
        self.neighbors = _Attention(size, n_signals + N_RELATIONS, hidden, N_RELATIONS, -1.0)
        self.context = nn.Linear(n_context + 1, hidden)
        self.profile = nn.Linear(size, hidden, bias=False) if size else None
        self.part = nn.Linear(hidden, len(_START))
        nn.init.zeros_(self.part.weight)
        if self.profile is not None:
            nn.init.zeros_(self.profile.weight)
        self.part.bias.data.copy_(torch.tensor(_START))
        self.preference = nn.Linear(size, vector_size) if size else None
        if self.preference is not None:
            nn.init.zeros_(self.preference.weight)
            nn.init.zeros_(self.preference.bias)
        self.vector_size = vector_size
        self.scale = nn.Parameter(torch.ones(()))
        self.dropout = nn.Dropout(dropout)
        self.counts: Tensor
        self.register_buffer("counts", counts)

    def profile_parameters(self) -> list[nn.Parameter]:
        """Parameters through which the profile takes part."""
        readers = (
            self.pointer.outputs,
            self.pointer.last,
            self.neighbors.outputs,
            self.neighbors.last,
            self.profile,
            self.preference,
        )
        return [parameter for reader in readers if reader is not None for parameter in reader.parameters()]

    def forward(self, look: Look) -> Mixed:
        """Mix for every query; see :class:`Mixed`."""
        n_queries = len(look.last)
        outputs, last = self.dropout(look.outputs), self.dropout(look.last)
        scores = self.pointer(look.signals, look, outputs, last).squeeze(1)
        repeat = segment_softmax(scores.masked_fill(~look.may_repeat, _NEVER), look.query, n_queries) * look.may_repeat

        support = torch.log1p(look.support)
        known = look.support > 0
        scores = self.neighbors(torch.cat([look.signals, support], dim=1), look, outputs, last)
        flat = scores.masked_fill(~known, _NEVER).reshape(-1)
        memory = (
            segment_softmax(flat, look.query.repeat_interleave(N_RELATIONS), n_queries).view(-1, N_RELATIONS) * known
        )

        supported = segment_sum((memory * support).sum(dim=1), look.query, n_queries) / 3
        hidden = self.context(torch.cat([look.context, supported.unsqueeze(1)], dim=1))
        if self.profile is not None:
            hidden = hidden + self.profile(last)
        always = torch.ones(n_queries, dtype=torch.bool)
        there = torch.stack(
            [
                segment_sum(look.may_repeat.float(), look.query, n_queries) > 0,
                segment_sum(known.any(dim=1).float(), look.query, n_queries) > 0,
                always,
                always,
            ],
            dim=1,
        )
        there = there & torch.tensor(self.has)
        weights = torch.softmax(self.part(torch.tanh(hidden)).masked_fill(~there, _NEVER), dim=1)
        preference = last.new_zeros(n_queries, self.vector_size) if self.preference is None else self.preference(last)
        return Mixed(weights, repeat, memory, preference)

    def logits(self, preference: Tensor, vectors: Tensor, codes: Tensor | None = None) -> Tensor:
        """Logits of explore: ``(Q, n)``, or of some codes only.

        Parameters
        ----------
        preference : Tensor
            ``(Q, d)``.
        vectors : Tensor
            ``(n, d)`` of the vocabulary, or of ``codes``.
        codes : Tensor, optional
            ``(m,)``.
        """
        prior = log_popularity(self.counts if codes is None else self.counts.index_select(0, codes))
        scaled = preference * (self.scale * _SCALE)
        return torch.addmm(prior, scaled, functional.normalize(vectors, dim=1).t())


def log_popularity(counts: Tensor) -> Tensor:
    """Logits of popularity, of the shape of the counts; what nobody has been on does not come."""
    return torch.where(counts > 0, torch.log(counts + _DAMPED), -torch.inf)


def class_log_softmax(logits: Tensor, classes: Tensor, n_classes: int) -> Tensor:
    """Log-softmax within classes of columns.

    Parameters
    ----------
    logits : Tensor
        ``(Q, n)``; ``-inf`` leaves a column out.
    classes : Tensor
        ``(n,)`` int64.
    n_classes : int
    """
    highest = logits.new_full((len(logits), n_classes), -torch.inf)
    highest = highest.scatter_reduce(1, classes.expand(logits.shape), logits.detach(), "amax")
    shifted = logits - highest.clamp(min=-1e30).index_select(1, classes)
    sums = logits.new_zeros(len(logits), n_classes).index_add(1, classes, torch.exp(shifted))
    return shifted - torch.log(sums.clamp(min=1e-30)).index_select(1, classes)
