"""What is a candidate, what a model says of candidates, and the rank of each session's target among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.data.taxonomy import NO_CATEGORY
from hup.errors import HupError
from hup.recommender.known_scores import KnownScores, Matrix, refuse_nan
from hup.recommender.vocabulary import Seen, Vocabulary
from hup.sessions.batches import Histories
from hup.sessions.levels import Level


class Scores:
    """Scores of one level for ``B`` histories; higher is better.

    Parameters
    ----------
    known : Tensor or KnownScores
        ``(B, n_known)``, every code of the training vocabulary: a matrix, or what makes one. Ranks are counted many
        times as fast in products of vectors, or in what all sessions have in common, as in a matrix.
    own : Tensor
        ``(B, U)``, the history's own codes that the vocabulary lacks.
    own_codes : Tensor
        ``(B, U)`` int64, their codes, ``-1`` = padding.

    Attributes
    ----------
    of_known : KnownScores
    own, own_codes : Tensor
        As given.
    """

    def __init__(self, known: Tensor | KnownScores, own: Tensor, own_codes: Tensor) -> None:
        self.of_known: KnownScores = Matrix(known) if isinstance(known, Tensor) else known
        self.own, self.own_codes = own, own_codes

    @property
    def known(self) -> Tensor:
        """Scores of the training vocabulary as a matrix, ``(B, n_known)``."""
        return self.of_known.dense


#: Makes of a level, rows of a batch and codes ``(M,)`` the shares ``(M, 4)`` of where each probability comes from.
Origins = Callable[[str, Tensor, Tensor], Tensor]


class LevelScores:
    """What a model answers for one batch: ``answer[level]`` gives the :class:`Scores` of a level, made on demand.

    Scores of all levels at once would fill the memory of a large shop. What they are made of is settled when the batch
    is asked about, so an answer never changes, and threads that ask about different batches do not meet.

    Parameters
    ----------
    score : callable
        Makes the scores of a level.
    origins : callable, optional
        Given a level, rows of the batch and codes, ``(M,)`` each, the shares ``(M, 4)`` of repeat, memory, popularity
        and profile; None where scores are no probabilities.
    """

    def __init__(self, score: Callable[[str], Scores], origins: Origins | None = None) -> None:
        self._score = score
        self.origins = origins

    def __getitem__(self, level: str) -> Scores:
        """Score every candidate of a level.

        Raises
        ------
        HupError
            The model has no such level.
        """
        return self._score(level)


def excluded_codes(histories: Histories, level: str, no_category: Sequence[int]) -> Tensor:
    """Code that is no candidate of each history, ``(B,)`` int64; -1 = there is none.

    Parameters
    ----------
    histories : Histories
    level : str
        ``"item"`` or ``"category_k"``.
    no_category : sequence of int
        Of the vocabulary or the taxonomy, for level 1 … K.
    """
    level = Level(level)
    if level.is_category:
        return torch.full((len(histories),), no_category[level.k - 1])
    return histories.current(level)


def excluded_code(vocabulary: Vocabulary, items: Mapping[str, Seen], current: str, level: str) -> int:
    """Code that is no candidate of one live session; -1 = there is none.

    Parameters
    ----------
    vocabulary : Vocabulary
    items : mapping of str to Seen
        Those of the session by name. Where training saw every item in a category, one without has a code of its own.
    current : str
        The item that the user is on.
    level : str
        ``"item"`` or ``"category_k"``.
    """
    level = Level(level)
    if not level.is_category:
        return items[current].code
    own = (seen.path[level.k - 1] for seen in items.values() if has_no_category(seen, level))
    return next(own, vocabulary.no_category[level.k - 1])


def has_no_category(seen: Seen, level: str) -> bool:
    """Tell whether an item has no category at a level; at the levels of items none lacks one."""
    k = Level(level).k
    return k > 0 and seen.names[:k] == (NO_CATEGORY,) * k


def target_ranks(
    scores: Scores,
    targets: Tensor,
    *,
    excluded: Tensor | None = None,
    candidates: Tensor | None = None,
    name: str = "the model",
) -> NDArray[np.float64]:
    """Rank of each target: the number of candidates, itself included, that score at least as high.

    So ties count against the model: where all scores are equal, the rank is the number of candidates.

    Parameters
    ----------
    scores : Scores
        One level's scores for ``B`` sessions.
    targets : Tensor
        ``(B,)`` int64 codes; ``-1`` = not known, which is no candidate.
    excluded : Tensor, optional
        ``(B,)`` int64, a code per session that is no candidate (the item the user is on); ``-1`` excludes nothing.
    candidates : Tensor, optional
        ``(B, n_known)`` bool, the known codes that are candidates; by default all. A session's own codes always are.
    name : str
        Who scored, for the error message.

    Returns
    -------
    ndarray
        ``(B,)`` float64; ``inf`` where the target is no candidate.

    Raises
    ------
    HupError
        A candidate's score is NaN.
    """
    known, own = scores.of_known, scores.own
    device, n_known = known.device, known.shape[1]
    targets = targets.to(device)
    own_codes = scores.own_codes.to(device)
    own_candidates = own_codes >= 0
    if candidates is not None:
        candidates = candidates.to(device)
        known = Matrix(scores.known, candidates)
    if excluded is not None:
        excluded = excluded.to(device)
        own_candidates &= own_codes != excluded[:, None]
    refuse_nan(own.masked_fill(own_codes < 0, 0), name)

    # The target's score, from whichever half holds it. Both halves are compared in their common precision.
    dtype = torch.promote_types(known.dtype, own.dtype)
    is_known = (targets >= 0) & (targets < n_known)
    is_own = (own_codes == targets[:, None]) & own_candidates
    own_score = own.masked_fill(~is_own, -torch.inf).amax(dim=1) if own.shape[1] else own.new_zeros(len(targets))
    score, is_candidate = own_score.to(dtype), is_own.any(dim=1)
    rank = ((own >= score[:, None]) & own_candidates).sum(dim=1)
    if n_known:
        at = targets.clamp(0, n_known - 1)
        score = torch.where(is_known, known.at(at).to(dtype), score)
        is_candidate |= is_known if candidates is None else is_known & _of_each(candidates, at)
        rank = known.at_least(score, name) + ((own >= score[:, None]) & own_candidates).sum(dim=1)
    if excluded is not None:
        is_candidate &= targets != excluded
        if n_known:
            at = excluded.clamp(0, n_known - 1)
            counted = (excluded >= 0) & (excluded < n_known) & (known.at(at).to(dtype) >= score)
            rank -= (counted if candidates is None else counted & _of_each(candidates, at)).long()
    out = rank.double().masked_fill(~is_candidate, torch.inf)
    return out.cpu().numpy()


def widened(scores: Scores, size: int) -> Scores:
    """Lay the scores of a model that knows fewer codes out for a vocabulary of ``size`` codes.

    Codes that the model does not know but the session has visited keep the model's scores; the others get the lowest
    score of all.

    Parameters
    ----------
    scores : Scores
        Of the model, whose ``known`` is ``(B, n)`` with n at most ``size``.
    size : int
        Number of known codes wanted.
    """
    missing = size - scores.of_known.shape[1]
    if missing == 0:
        return scores
    known, own_codes = scores.known, scores.own_codes
    dtype = torch.promote_types(known.dtype, scores.own.dtype)
    out = torch.nn.functional.pad(known.to(dtype), (0, missing), value=-torch.inf)
    rows, columns = torch.nonzero((own_codes >= 0) & (own_codes < size), as_tuple=True)
    out[rows, own_codes[rows, columns]] = scores.own[rows, columns].to(dtype)
    return Scores(out, scores.own, own_codes.masked_fill(own_codes < size, -1))


def refuse_other_candidates(scores: Scores, histories: Histories, level: str, size: int, row: str) -> None:
    """Hold a model to the candidates of the protocol: it does not choose what is ranked.

    Raises
    ------
    HupError
        If there is not one score for each of ``size`` codes and each of the session's own codes beyond them.
    """
    expected = (len(histories), size)
    if scores.of_known.shape != expected:
        raise HupError(
            f"{row} gave scores of shape {scores.of_known.shape} at level {level}, expected {expected}: a score "
            f"for each session and code of the training split. Evaluate it on the dataset that it was trained on."
        )
    own = histories.own_unknown(level, size).codes
    given = scores.own_codes.cpu()
    if scores.own.shape != given.shape or not torch.equal(_sorted(given, own), _sorted(own, given)):
        raise HupError(
            f"{row} did not score exactly the session's own codes that training never saw at level {level}. "
            f"Recommender.score must answer for all of Histories.own_unknown(level, n_known)."
        )


def _of_each(values: Tensor, codes: Tensor) -> Tensor:
    """Look one code ``(B,)`` of each row ``(B, n)`` up."""
    return values[torch.arange(len(codes), device=values.device), codes]


def _sorted(codes: Tensor, other: Tensor) -> Tensor:
    """Sort each row, largest first, and pad it to the width of ``other``."""
    missing = max(0, other.shape[1] - codes.shape[1])
    return torch.nn.functional.pad(codes, (0, missing), value=-1).sort(dim=1, descending=True).values
