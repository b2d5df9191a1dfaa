"""Earlier states of a dataset: what comes next is judged by a model of what came before, without the test split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hup.data.dataset import Dataset
from hup.data.manifest import SplitBounds, TrainVocabulary

#: The late part of training that is judged, too: so many stretches, each of such a share of it.
LATE_STRETCHES, LATE_SHARE = 2, 1 / 7


@dataclass(frozen=True)
class Fold:
    """Sessions to choose by, and the dataset as it was before them.

    Attributes
    ----------
    dataset : Dataset
        Its training split is all that came before, its test split the stretch that is judged. It has no validation
        split, and nothing that came later.
    sessions : ndarray
        ``(n,)`` int64, sessions of its test split to judge.
    """

    dataset: Dataset
    sessions: npt.NDArray[np.int64]


def folds(dataset: Dataset, enough: int) -> list[Fold]:
    """Divide what may be chosen by into time-ordered folds, the latest one first.

    The latest fold judges the validation split by all of training. On a small log that is too little to choose by: a
    hundred sessions tell two settings apart by the luck of three or four targets. So the late part of training is
    judged, too, in two stretches of a seventh of it, each by what came before that. As a split of 70 / 10 / 20 % makes
    a seventh of training as long as validation, three times as many sessions decide there. What is chosen is to be
    fitted again on all of training.

    Parameters
    ----------
    dataset : Dataset
        Its test split is not looked at.
    enough : int
        Sessions that suffice. They are taken from the latest fold first, evenly spaced over the one that has more than
        are needed, and there are no earlier folds then.
    """
    found, missing = [], enough
    for start, stop in _stretches(dataset):
        n = min(stop - start, missing)
        if not n:
            continue
        at = np.arange(n, dtype=np.int64) * (stop - start) // n
        found.append(Fold(earlier(dataset, start, stop), start + at))
        missing -= n
    return found


def _stretches(dataset: Dataset) -> Iterator[tuple[int, int]]:
    validation, stop = dataset.sessions("validation"), dataset.sessions("train").stop
    yield validation.start, validation.stop
    length = int(stop * LATE_SHARE)
    for _ in range(LATE_STRETCHES):
        yield stop - length, stop
        stop -= length


def earlier(dataset: Dataset, start: int, stop: int) -> Dataset:
    """Give the dataset as it was when its first ``stop`` sessions were all, split at ``start`` into training and test.

    Codes are numbered by first appearance, so they stay the same, and the vocabulary of a shorter training split is a
    prefix of the longer one's. The arrays are views. Items and categories that came later keep their names, which no
    session has; the manifest's counts stay those of the folder.

    Parameters
    ----------
    dataset : Dataset
    start, stop : int
        At least 1, and at most ``len(dataset)``.
    """
    end = int(dataset.offsets[stop])
    items = int(dataset.item[: dataset.offsets[start]].max()) + 1
    categories = (dataset.taxonomy.paths[:items].max(axis=0) + 1).tolist()
    bounds = SplitBounds(train=(0, start), validation=(start, start), test=(start, stop))
    manifest = dataset.manifest.model_copy(
        update={
            "split": dataset.manifest.split.model_copy(update={"bounds": bounds}),
            "train": TrainVocabulary(items=items, categories=categories, test_targets_known=None),
            "fingerprint": hashlib.sha256(f"{dataset.fingerprint} {start} {stop}".encode()).hexdigest(),
            "lineage": [],
        }
    )
    return replace(
        dataset,
        manifest=manifest,
        item=dataset.item[:end],
        behavior=dataset.behavior[:end],
        interval=dataset.interval[:end],
        dwell=dataset.dwell[:end],
        offsets=dataset.offsets[: stop + 1],
        _sessions=dataset._sessions.slice(0, stop),
    )
