"""The one rule of what is no candidate: the item that the user is on, and at category levels "no category"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hup.data.taxonomy import NO_CATEGORY
from hup.recommender.session_reader import Seen
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories
from hup.sessions.levels import Level


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
