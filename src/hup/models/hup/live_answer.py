"""What HUP answers for one live state: scores, what of the session they came from, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hup.models.hup.live import LiveProfiles, ProfileState
from hup.models.hup.mixture.output import MixtureNetwork, MixtureOutput
from hup.recommender.recommendations import Origin, OwnCandidate, origin_of


@dataclass(frozen=True)
class LiveAnswer:
    """What a live state is answered with.

    Attributes
    ----------
    known, own : Tensor
        ``(n_known,)`` and ``(U,)``, scores of the vocabulary and of the session's own candidates.
    visited : sequence of str
    weights : list of float
        Items of the session and the attention on them.
    origins : callable, optional
        Tells of codes where their probability comes from.
    """

    known: Tensor
    own: Tensor
    visited: Sequence[str]
    weights: list[float]
    origins: Callable[[Sequence[int]], Sequence[Origin]] | None = None


def ask_mixture(
    output: MixtureOutput,
    network: MixtureNetwork,
    live: LiveProfiles,
    state: ProfileState,
    level: str,
    own: Sequence[OwnCandidate],
    now: float | None,
) -> LiveAnswer:
    """Ask the mixture of a state that is not empty.

    Parameters
    ----------
    output, network, live
        Of the model.
    state : ProfileState
    level : str
        ``"item"`` or ``"category_k"``.
    own : sequence of OwnCandidate
        What the session has beyond the vocabulary.
    now : float, optional
        Seconds on the events' clock.
    """
    table = live.table(state)
    with torch.inference_mode():
        answers = output.answers_of(network, table, state.closed, live.run_open(state, now))
        current = torch.from_numpy(table.item[-1:])
        before = output.own_scores(network, answers, level, current)
        found = output.settled(network, answers, level, current, before)
    known = found.known
    by_code = dict(zip(found.code.tolist(), found.probability.tolist(), strict=True))
    before_by_code = dict(zip(before.code.tolist(), before.probability.tolist(), strict=True))
    own_scores = known.new_tensor([by_code.get(candidate.code, 0.0) for candidate in own])
    runs = state.visited(1)
    visited = [runs[run] for run in answers[level].visits.run.tolist()]

    def origins(chosen: Sequence[int]) -> list[Origin]:
        n_known = known.shape[1]
        scored = [float(before.known[0, code]) if code < n_known else before_by_code[code] for code in chosen]
        repeat, memory = output.contributions(answers[level], chosen, level)
        parts = zip(scored, repeat.tolist(), memory.tolist(), strict=True)
        return [origin_of(state.items, visited, level, *part) for part in parts]

    return LiveAnswer(known[0].clone(), own_scores, visited, answers[level].shares(), origins)
