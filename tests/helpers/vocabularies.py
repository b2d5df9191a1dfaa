"""Vocabularies of a few items, written by hand."""

from __future__ import annotations

import numpy as np

from hup.recommender.vocabulary import Vocabulary
from hup.sessions.levels import ranked_levels


def vocabulary_of(paths: dict[str, tuple[str, ...]], counts: dict[str, list[int]] | None = None) -> Vocabulary:
    """Items by name with their paths of two names; all visited once, if counts do not say otherwise."""

    coarse = list(dict.fromkeys(path[0] for path in paths.values()))
    fine = list(dict.fromkeys(paths.values()))
    codes = np.array([[coarse.index(path[0]), fine.index(path)] for path in paths.values()])
    names = (coarse, [path[-1] for path in fine])
    parents = (np.full(len(coarse), -1), np.array([coarse.index(path[0]) for path in fine]))
    ones = {
        level: np.ones(n, int) for level, n in zip(ranked_levels(2), (len(paths), len(fine), len(coarse)), strict=True)
    }
    return Vocabulary(
        list(paths), codes, names, parents, [], ones | {level: np.array(n) for level, n in (counts or {}).items()}
    )
