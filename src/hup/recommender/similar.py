"""What is most like an item or a category, by what a model has learned or counted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hup.errors import HupError
from hup.recommender.best import best_columns
from hup.recommender.recommendations import Recommendation, known_names
from hup.recommender.restriction import PATH_MARK, Restriction
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.levels import Level


@dataclass(frozen=True)
class Likeness:
    """How like every known code of a level is to one of them.

    Attributes
    ----------
    values : Tensor
        ``(n_known,)``, higher is more like it; ``-inf`` = nothing is known of the pair.
    basis : str
        What they are: ``"cosine"`` of vectors, or ``"co-visits"``.
    """

    values: Tensor
    basis: str


def cosines(vectors: Tensor, code: int) -> Likeness:
    """Compare the vector of a code with all ``(n_known, d)``."""
    unit = functional.normalize(vectors.detach(), dim=1)
    return Likeness(unit @ unit[code], "cosine")


def code_of(vocabulary: Vocabulary, level: str, name: str | Sequence[str]) -> int:
    """Look up an item by its name, or a category by its path, of names or written ``"a > b"``.

    Raises
    ------
    HupError
        The model does not know it.
    """
    level = Level(level)
    if not level.is_category:
        if str(name) not in vocabulary.item_codes:
            raise HupError(f"The model does not know an item {name!r}.")
        return vocabulary.item_codes[str(name)]
    path = tuple(name.split(PATH_MARK) if isinstance(name, str) else name)
    if len(path) != level.k or path not in vocabulary.category_codes:
        shown = PATH_MARK.join(path)
        raise HupError(
            f"The model does not know a category {shown!r} of level {level}; expected a path of {level.k} names"
            f"{f' with{PATH_MARK}between them' if level.k > 1 else ''}."
        )
    return vocabulary.category_codes[path]


def most_like(
    vocabulary: Vocabulary, level: str, code: int, likeness: Likeness, k: int, restriction: Restriction | None
) -> tuple[Recommendation, ...]:
    """Take the ``k`` that are most like a code, never itself nor "no category"."""
    values = likeness.values.clone()
    values[
        [code, *Level(level).pick([], [[none] if none >= 0 else [] for none in vocabulary.no_category])]
    ] = -torch.inf
    allowed = None if restriction is None else restriction.of_vocabulary(vocabulary, level)
    if allowed is not None:
        values.masked_fill_(~allowed, -torch.inf)
    best = best_columns(values[None], k)
    ranked = []
    for place, score in zip(best.place[0].tolist(), best.score[0].tolist(), strict=True):
        if place >= 0:
            name, path = known_names(vocabulary, level, place)
            ranked.append(Recommendation(name, score, path, False))
    return tuple(ranked)
