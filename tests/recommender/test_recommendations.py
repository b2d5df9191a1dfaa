"""What is told of a ranking: its order, names and paths, what of the session it came from, and what is popular."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.data.taxonomy import NO_CATEGORY
from hup.recommender.recommendations import origins_of, own_candidates, popular, rank, reasons
from hup.recommender.vocabulary import SessionReader, Vocabulary
from hup.sessions.events import Event

from ..helpers.vocabularies import vocabulary_of

# "p" is a category under both "x" and "y"; "new" and "newer" are of the session, in categories that nobody knows.
PATHS = {"a": ("x", "p"), "b": ("x", "q"), "c": ("y", "p"), "d": ("x", "p"), "bare": (NO_CATEGORY, NO_CATEGORY)}
OWN = {"new": ("x", "r"), "newer": ("z", "p"), "newest": (NO_CATEGORY, NO_CATEGORY)}
CATEGORIES = {**PATHS, **OWN}
SESSION = ["new", "b", "newer", "newest", "c"]


def vocabulary(counts: dict[str, list[int]] | None = None) -> Vocabulary:
    return vocabulary_of(PATHS, counts)


def items_of(names: list[str]):
    return SessionReader(vocabulary()).items([Event(name, "1", categories=CATEGORIES[name]) for name in names])


def everything(level: str, current: str) -> list[tuple[str, tuple[str, ...], bool]]:
    """All candidates of the session: names, paths, and whether it has them; known ones first, by code."""
    here = {CATEGORIES[name] for name in SESSION}
    if level == "item":
        known = [(name, path, name in SESSION) for name, path in PATHS.items()]
        own = [(name, path, True) for name, path in OWN.items()]
        return [one for one in known + own if one[0] != current]
    k = int(level[-1])
    paths = dict.fromkeys(path[:k] for path in (*PATHS.values(), *(OWN[name] for name in OWN)))
    return [(path[-1], path, path in {one[:k] for one in here}) for path in paths if path[0] != NO_CATEGORY]


@pytest.mark.parametrize("level", ["item", "category_2", "category_1"])
@pytest.mark.parametrize("current", ["c", "new"])
@given(seed=st.integers(0, 999), k=st.integers(1, 12))
def test_the_best_stand_first_with_their_names(level, current, seed, k):
    known_words, items = vocabulary(), items_of(SESSION)
    own = own_candidates(known_words, items, level)
    generator = torch.Generator().manual_seed(seed)
    known_scores = torch.randn(known_words.size(level), generator=generator)
    own_scores = torch.randn(len(own), generator=generator)
    names = [
        (known_words.items[code] if level == "item" else None, path)
        for code, path in enumerate(PATHS.values() if level == "item" else paths_of(known_words, int(level[-1])))
    ] + [(one.name if level == "item" else None, one.names) for one in own]
    scores = dict(zip(names, [*known_scores.tolist(), *own_scores.tolist()], strict=True))
    found = rank(known_words, items, current, level, known_scores.clone(), own_scores.clone(), own, k)
    candidates = everything(level, current)
    scored = [(scores[name if level == "item" else None, path], name, path, seen) for name, path, seen in candidates]
    expected = sorted(scored, reverse=True)[:k]
    assert [(one.score, one.name, one.path, one.seen) for one in found] == expected


def paths_of(known: Vocabulary, k: int) -> list[tuple[str, ...]]:
    return sorted((path for path in known.category_codes if len(path) == k), key=known.category_codes.__getitem__)


def test_where_a_probability_comes_from_is_asked_of_the_codes_that_are_told():
    known, items = vocabulary(), items_of(SESSION)
    own = own_candidates(known, items, "item")
    asked: list[int] = []

    def origins(codes):
        asked.extend(codes)
        return [f"of {code}" for code in codes]

    scores = torch.tensor([0.1, 0.9, 0.2, 0.3, 0.0]), torch.tensor([0.8, 0.05, 0.06])
    found = rank(known, items, "c", "item", *scores, own, 3, origins=origins)
    assert [one.name for one in found] == ["b", "new", "d"]
    assert asked == [1, items["new"].code, 3]
    assert [one.origin for one in found] == [f"of {code}" for code in asked]


def test_popular_is_what_most_runs_of_training_were_on():
    counts = {"item": [2, 5, 0, 5, 8], "category_2": [7, 5, 0, 8], "category_1": [12, 0, 8]}
    words = vocabulary(counts)
    items = popular(words, "item", 4)
    assert [(one.name, one.score) for one in items] == [("bare", 0.4), ("b", 0.25), ("d", 0.25), ("a", 0.1)]
    assert [one.path for one in items] == [PATHS[one.name] for one in items]
    fine = popular(words, "category_2", 9)
    assert [(one.path, one.score) for one in fine] == [
        (("x", "p"), pytest.approx(7 / 12)),
        (("x", "q"), pytest.approx(5 / 12)),
        (("y", "p"), 0),
    ]  # "no category" is nobody's answer, and has no share
    assert not any(one.seen or one.origin for one in (*items, *fine))


@given(weights=st.lists(st.floats(0, 1), min_size=len(SESSION), max_size=len(SESSION)))
@pytest.mark.parametrize("level", ["item", "category_2", "category_1"])
def test_reasons_are_the_sums_of_what_visits_weigh(level, weights):
    visited = ["b", "a", "d", "b", "newer"]
    found = reasons(items_of(visited), visited, level, weights)
    sums: dict[tuple[str, tuple[str, ...]], float] = {}
    for item, weight in zip(visited, weights, strict=True):
        path = CATEGORIES[item] if level == "item" else CATEGORIES[item][: int(level[-1])]
        key = (item if level == "item" else path[-1], path)
        sums[key] = sums.get(key, 0) + weight
    assert {(one.name, one.path): one.weight for one in found} == pytest.approx(sums)
    assert [one.weight for one in found] == sorted(sums.values(), reverse=True)


@given(
    repeat=st.lists(st.floats(0, 0.1), min_size=5, max_size=5),
    memory=st.lists(st.floats(0, 0.1), min_size=5, max_size=5),
    popularity=st.floats(0.01, 0.5),
    profile=st.floats(0, 0.5),
)
def test_an_origin_shares_a_probability_out(repeat, memory, popularity, profile):
    visited = ["b", "a", "d", "b", "newer"]
    score = sum(repeat) + sum(memory) + popularity + profile
    [found] = origins_of(items_of(visited), visited, "item", *map(np.asarray, ([score], [repeat], [memory], [profile])))
    shares = [part / score for part in (sum(repeat), sum(memory), popularity, profile)]
    assert [found.repeat, found.memory, found.popularity, found.profile] == pytest.approx(shares, abs=1e-9)
    by_visit = [(one + other) / score for one, other in zip(repeat, memory, strict=True)]
    whole = [one for one in reasons(items_of(visited), visited, "item", by_visit) if one.weight > 0][:3]
    assert [(one.name, one.weight) for one in found.runs] == [(one.name, pytest.approx(one.weight)) for one in whole]


def test_an_origin_of_more_than_the_probability_is_all_there_is():
    """What repeat, memory and profile bring was rounded up; popularity has nothing left."""
    found, nothing = origins_of(
        items_of(["b"]), ["b"], "item", *map(np.asarray, ([0.5, 0.0], [[0.3], [0.0]], [[0.15], [0.0]], [0.15, 0.0]))
    )
    assert (found.repeat, found.memory, found.popularity, found.profile) == (0.5, 0.25, 0, 0.25)
    assert (nothing.repeat, nothing.memory, nothing.runs) == (0, 0, ())
