"""Printed answers: ids whole whatever the width, and what shops say of items in one line."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hup.cli import answers
from hup.recommender.recommendations import Recommendation, Recommendations


def printed(width, ranked, schema=None):
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "console", Console(file=out, width=width))
        answers.print_answer(Recommendations("item", tuple(ranked), (), "probability", "", schema))
    return out.getvalue()


def one(name, **item):
    return Recommendation(name, 0.5, ("lamps and more", "desk lamps of all kinds"), True, None, item)


@given(
    st.integers(20, 220),
    st.lists(st.text("QZX", min_size=1, max_size=90), min_size=1, max_size=4),
    st.lists(st.sampled_from(["a name of some length", "short"]), max_size=3),
)
def test_no_id_is_cut_at_any_width(width, names, said):
    """Letters of the ids stand in no other column, so they come one after the other."""
    schema = pa.schema([(f"column {n}", pa.string()) for n in range(len(said))])
    items = [one(name, **dict(zip(schema.names, said, strict=True))) for name in names]
    text = printed(width, items, schema)
    assert "".join(letter for letter in text if letter in "QZX") == "".join(names)


def test_an_id_stays_in_one_line_where_there_is_room():
    name = "SKU-2024-SUMMER-COLLECTION-DRESS-FLORAL-0001-XXL-BLUE"
    ranked = [one(name, title="A very long name of a summer dress with flowers on it " * 2)]
    schema = pa.schema([("title", pa.string())])
    assert name in printed(130, ranked, schema)
    assert name not in printed(80, ranked, schema)  # in pieces, one below the other


def test_what_a_shop_says_is_one_line_without_controls():
    ranked = [one("i1", title="two\nlines\x1b[31m\tred", price=None)]
    text = printed(200, ranked, pa.schema([("title", pa.string()), ("price", pa.float64())]))
    assert "two lines [31m red" in text
    assert "None" not in text
