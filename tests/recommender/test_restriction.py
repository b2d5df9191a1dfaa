"""Which items may come: by name, by category, and none that was seen; where they are named."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from hup.data.taxonomy import NO_CATEGORY
from hup.errors import HupError
from hup.recommender.recommendations import own_candidates, popular, rank
from hup.recommender.restriction import Restriction
from hup.recommender.vocabulary import SessionReader
from hup.sessions.events import Event

from ..helpers.vocabularies import vocabulary_of

PATHS = {"a": ("x", "p"), "b": ("x", "q"), "c": ("y", "p"), "d": ("x", "p"), "bare": (NO_CATEGORY, NO_CATEGORY)}
OWN = {"new": ("x", "p"), "newer": ("y", "p")}
WORDS = vocabulary_of(PATHS)
SESSION = "new newer b c"


def ranked(
    restriction: Restriction | None, level: str = "item", k: int = 9, session: str = "new newer b c"
) -> list[str]:
    """Names of what comes, of which each has a lower score than the one before; "c" is the current one."""
    events = [Event(name, "1", categories=(PATHS | OWN)[name]) for name in session.split()]
    items = SessionReader(WORDS).items(events)
    own = own_candidates(WORDS, items, level)
    known = -torch.arange(WORDS.size(level), dtype=torch.float32)
    found = rank(WORDS, items, "c", level, known, known.new_full((len(own),), -99), own, k, restriction=restriction)
    return [one.name if level == "item" else " > ".join(one.path) for one in found]


def test_nothing_is_left_out_without_a_restriction():
    assert ranked(None) == ranked(Restriction()) == ["a", "b", "d", "bare", "new", "newer"]
    assert Restriction().of_vocabulary(WORDS, "item") is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"only": ["d", "new", "nobody"]}, ["d", "new"]),
        ({"only": []}, []),
        ({"exclude": ["a", "newer"]}, ["b", "d", "bare", "new"]),
        ({"only": ["a", "d"], "exclude": ["a"]}, ["d"]),
        ({"within": "x"}, ["a", "b", "d", "new"]),
        ({"within": "x > p"}, ["a", "d", "new"]),
        ({"within": ("x", "p"), "exclude": ["a"]}, ["d", "new"]),
        ({"new_only": True}, ["a", "d", "bare"]),
        ({"new_only": True, "seen": ["d", "nobody"]}, ["a", "bare"]),
        ({"seen": ["d"]}, ["a", "b", "d", "bare", "new", "newer"]),
    ],
)
def test_what_may_come(options, expected):
    assert ranked(Restriction(**options)) == expected


def test_it_is_asked_before_the_list_is_cut():
    assert ranked(Restriction(exclude=["a", "b"]), k=2) == ["d", "bare"]


def test_categories():
    assert ranked(None, "category_2") == ["x > p", "x > q", "y > p"]
    assert ranked(Restriction(within="x"), "category_2") == ["x > p", "x > q"]
    assert ranked(Restriction(new_only=True), "category_2", session="b c") == ["x > p"]
    assert ranked(Restriction(new_only=True, seen=["a"]), "category_2", session="c") == ["x > q"]
    assert ranked(Restriction(within="y"), "category_1") == ["y"]


def test_popular_items_are_asked_too():
    assert {one.name for one in popular(WORDS, "item", 9, Restriction(within="x", exclude=["a"]))} == {"b", "d"}


def test_what_is_not_known_is_counted_and_said():
    asked = Restriction(only=["a", "u", "v"], exclude=["v", "w", "b"])
    assert asked.note(WORDS, nothing_left=False) == "The model does not know 3 of the 5 items that are named."
    assert Restriction(only=["a"]).note(WORDS, nothing_left=False) == ""
    assert "Nothing may come" in Restriction(only=["u"]).note(WORDS, nothing_left=True)


@pytest.mark.parametrize(
    ("options", "level", "message"),
    [
        ({"only": ["a"]}, "category_1", "only and exclude name items, but what is asked for is level category_1"),
        ({"exclude": ["a"]}, "category_2", "what is asked for is level category_2"),
        ({"within": "z"}, "item", "within is 'z', which is no category that the model knows"),
        ({"within": "p"}, "item", "category_1 has: x, y"),
        ({"within": "x > q"}, "category_1", "within is 'x > q', of category_2; level category_1 is coarser"),
    ],
)
def test_what_does_not_fit_is_told(options, level, message):
    with pytest.raises(HupError, match=message):
        Restriction(**options).check(WORDS, level)


def test_names_may_be_in_a_file(tmp_path):
    (tmp_path / "stock.txt").write_bytes(b"\xef\xbb\xbfa\r\nc d\n\n007\n")
    assert Restriction(only=tmp_path / "stock.txt").only == {"a", "c d", "007"}
    (tmp_path / "stock.csv").write_text('price,item\n3,007\n4,"a, b"\n')
    assert Restriction(exclude=str(tmp_path / "stock.csv")).exclude == {"007", "a, b"}
    (tmp_path / "one.csv").write_text("sku\n007\n")
    assert Restriction(only=tmp_path / "one.csv").only == {"007"}
    for values in (pa.array(["1", None]), pa.array([1, None]), pa.array(["1", None]).dictionary_encode()):
        pq.write_table(pa.table({"item": values, "price": [1.5, 2.5]}), tmp_path / "stock.parquet")
        assert Restriction(only=tmp_path / "stock.parquet").only == {"1"}


def test_a_file_that_does_not_do_is_told(tmp_path):
    with pytest.raises(HupError, match=r"Cannot read names from .*absent: No such file"):
        Restriction(only=tmp_path / "absent")
    (tmp_path / "stock.csv").write_text("sku,price\n007,3\n")
    with pytest.raises(HupError, match=r"stock\.csv has columns sku, price; expected one that is called item"):
        Restriction(only=tmp_path / "stock.csv")
    pq.write_table(pa.table({"item": [1.5]}), tmp_path / "stock.parquet")
    with pytest.raises(HupError, match=r"column item holds double, expected text or whole numbers"):
        Restriction(only=tmp_path / "stock.parquet")
    (tmp_path / "stock.txt").write_bytes(b"\xff")
    with pytest.raises(HupError, match=r"Cannot read names from .*stock\.txt"):
        Restriction(only=tmp_path / "stock.txt")
