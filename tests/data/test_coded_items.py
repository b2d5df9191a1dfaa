"""Codes by first appearance, and the tree they make."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hup.data.taxonomy import FirstAppearance, coded_items


@given(chunks=st.lists(st.lists(st.integers(0, 30), max_size=20), max_size=6))
def test_codes_follow_first_appearance(chunks):
    appearance = FirstAppearance(31)
    codes = [code for chunk in chunks for code in appearance.encode(np.array(chunk, np.int32)).tolist()]
    stream = [number for chunk in chunks for number in chunk]
    order = list(dict.fromkeys(stream))
    assert codes == [order.index(number) for number in stream]
    assert appearance.ids().tolist() == order
    assert appearance.counts().tolist() == [stream.count(number) for number in order]


def test_one_name_under_two_parents_is_two_categories():
    appearance = FirstAppearance(5)
    appearance.encode(np.array([3, 0, 3, 2, 4], np.int32))
    items = pa.table({"item": list("abcde"), "path": ["A|x|1", "never|seen|0", "B|x|1", "A|y|1", "A|x|1"]})
    coded = coded_items(items, appearance, 3, "|")
    assert coded.items.to_pylist() == ["d", "a", "c", "e"]
    assert coded.item_events.tolist() == [2, 1, 1, 1]
    assert coded.taxonomy.names == (["A", "B"], ["y", "x", "x"], ["1", "1", "1"])
    assert [parents.tolist() for parents in coded.taxonomy.parents] == [[-1, -1], [0, 0, 1], [0, 1, 2]]
    assert coded.taxonomy.paths.tolist() == [[0, 0, 0], [0, 1, 1], [1, 2, 2], [0, 1, 1]]
    rows = coded.category_table().to_pylist()
    assert [(row["level"], row["code"], row["items"], row["events"]) for row in rows] == [
        (1, 0, 3, 4),
        (1, 1, 1, 1),
        (2, 0, 1, 2),
        (2, 1, 2, 2),
        (2, 2, 1, 1),
        (3, 0, 1, 2),
        (3, 1, 2, 2),
        (3, 2, 1, 1),
    ]
