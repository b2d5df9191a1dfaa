"""Whether a model may be evaluated on a dataset, and holding it to the candidates of the protocol."""

from __future__ import annotations

import torch
from torch import Tensor

from hup.data.dataset import Dataset
from hup.data.manifest import SplitBounds, SplitName
from hup.errors import HupError
from hup.recommender.base import Recommender, Scores
from hup.sessions.batches import Histories


def is_of_earlier_state(model: Recommender, dataset: Dataset) -> bool:
    """Tell whether a model was trained on a dataset that this one was appended to; codes are the same in both.

    Raises
    ------
    HupError
        If it was trained on any other dataset: codes mean something within one dataset and what it grew into only.
    """
    trained_on = getattr(model, "dataset_fingerprint", None)
    if trained_on is None or trained_on == dataset.fingerprint:
        return False
    if trained_on not in dataset.manifest.lineage:
        raise HupError(
            f"{model.name} was trained on another dataset (fingerprint {trained_on[:12]}) than {dataset.path} "
            f"({dataset.fingerprint[:12]}): its item codes would not match. Evaluate it on the dataset that it was "
            f"trained on, or on one that `hup prepare --append` made of that, or train on this one."
        )
    return True


def refuse_seen_sessions(model: Recommender, dataset: Dataset, split: SplitName) -> None:
    """Check that a model of an earlier state of the dataset learned nothing from the sessions of a split.

    Sessions keep their places when others are appended. Learned from is the training split of the earlier state and,
    where the test split is asked for, its validation split too, as the epoch was chosen by it.

    Raises
    ------
    HupError
        If the model did learn from some of them, or does not say from which sessions it learned.
    """
    learned: SplitBounds | None = getattr(model, "dataset_bounds", None)
    if learned is None:
        raise HupError(
            f"{model.name} does not say which sessions it was trained on; it could have seen some that it would be "
            f"judged by in {dataset.path}. Train it again."
        )
    used = [learned.train, learned.validation] if split == "test" else [learned.train]
    asked = dataset.sessions(split)
    for first, end in used:
        if max(first, asked.start) < min(end, asked.stop):
            raise HupError(
                f"{model.name} has learned from sessions that are in the {split} split of {dataset.path}: the two "
                f"were divided differently. Train on this dataset."
            )


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
    known, own_codes = scores.known, scores.own_codes
    missing = size - known.shape[1]
    if missing == 0:
        return scores
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
    if scores.known.shape != expected:
        raise HupError(
            f"{row} gave scores of shape {tuple(scores.known.shape)} at level {level}, expected {expected}: a score "
            f"for each session and code of the training split. Evaluate it on the dataset that it was trained on."
        )
    own = histories.own_unknown(level, size).codes
    given = scores.own_codes.cpu()
    if scores.own.shape != given.shape or not torch.equal(_sorted(given, own), _sorted(own, given)):
        raise HupError(
            f"{row} did not score exactly the session's own codes that training never saw at level {level}. "
            f"Recommender.score must answer for all of Histories.own_unknown(level, n_known)."
        )


def _sorted(codes: Tensor, other: Tensor) -> Tensor:
    """Sort each row, largest first, and pad it to the width of ``other``."""
    missing = max(0, other.shape[1] - codes.shape[1])
    return torch.nn.functional.pad(codes, (0, missing), value=-1).sort(dim=1, descending=True).values
