"""The one rule of what is no candidate, for a batch and for a live session alike."""

from __future__ import annotations

import pytest

from hup.data.taxonomy import NO_CATEGORY
from hup.recommender.candidates import excluded_code, excluded_codes, has_no_category
from hup.recommender.vocabulary import SessionReader
from hup.sessions.events import Event
from hup.sessions.levels import ranked_levels

from ..helpers.vocabularies import vocabulary_of

NONE = (NO_CATEGORY, NO_CATEGORY)
ALL_IN_ONE = {"a": ("x", "p"), "b": ("x", "q"), "c": ("y", "p")}


@pytest.mark.parametrize("paths", [ALL_IN_ONE, {**ALL_IN_ONE, "bare": NONE}], ids=["all have one", "one has none"])
@pytest.mark.parametrize("last", ["a", "c", "new", "newer"])
def test_a_live_session_and_a_batch_exclude_the_same(paths, last):
    vocabulary = vocabulary_of(paths)
    categories = {"new": ("x", "p"), "newer": (), **paths}
    session = [Event(item, "1", 0.0, categories=categories[item]) for item in ("b", last)]
    reader = SessionReader(vocabulary)
    histories, items = reader.histories([session]), reader.items(session)
    assert (
        excluded_code(vocabulary, items, last, "item") == excluded_codes(histories, "item", vocabulary.no_category)[0]
    )
    for level in ranked_levels(2)[1:]:
        code = excluded_code(vocabulary, items, last, level)
        without = [seen for seen in items.values() if has_no_category(seen, level)]
        assert {seen.path[level.k - 1] for seen in without} <= {code}
        if not without:
            assert (
                code
                == excluded_codes(histories, level, vocabulary.no_category)[0]
                == vocabulary.no_category[level.k - 1]
            )
        if "bare" in paths:
            assert code == vocabulary.paths[vocabulary.item_codes["bare"], level.k - 1]


def test_no_item_lacks_one_at_the_levels_of_items():
    vocabulary = vocabulary_of(ALL_IN_ONE)
    seen = SessionReader(vocabulary).items([Event("newer", "1", 0.0)])["newer"]
    assert seen.names == NONE
    assert [has_no_category(seen, level) for level in ("micro", "item", "category_2", "category_1")] == [
        False,
        False,
        True,
        True,
    ]
