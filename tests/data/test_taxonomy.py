"""Category paths of K names, and the tree that is written and read back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hup.data.taxonomy import NO_CATEGORY, CodedItems, FirstAppearance, Taxonomy, coded_items, extended_path
from hup.errors import HupError


def coded(paths: list[tuple[str, ...]]) -> CodedItems:
    """Items 0, 1, 2 … of these paths, each seen once, in this order."""
    appearance = FirstAppearance(len(paths))
    appearance.encode(np.arange(len(paths)))
    items = pa.table({"item": [f"i{n}" for n in range(len(paths))], "path": ["\x1f".join(path) for path in paths]})
    return coded_items(items, appearance, len(paths[0]), "\x1f")


@pytest.mark.parametrize(
    ("parts", "levels", "expected"),
    [
        (["a", "b", "c"], 3, ("a", "b", "c")),
        (["electronics", "smartphone"], 3, ("electronics", "smartphone", "smartphone")),
        (["a"], 1, ("a",)),
        (["a"], 4, ("a", "a", "a", "a")),
        (["a", "b", "c"], 1, ("a",)),
        ([], 2, (NO_CATEGORY, NO_CATEGORY)),
        ((NO_CATEGORY,), 3, (NO_CATEGORY,) * 3),
    ],
)
def test_a_path_of_any_length_becomes_one_of_k_names(parts, levels, expected):
    assert extended_path(parts, levels) == expected
    assert extended_path(expected, levels) == expected


NAMES = st.sampled_from(["a", "b", "(none)", "x > y", "ö", ""])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.integers(1, 4).flatmap(lambda k: st.lists(st.tuples(*[NAMES] * k), min_size=1, max_size=12)))
def test_the_tree_comes_back(tmp_path, paths):
    made = coded(paths)
    pq.write_table(made.category_table(), tmp_path / "taxonomy.parquet")
    read = Taxonomy.read(tmp_path / "taxonomy.parquet", made.taxonomy.paths)
    assert read.names == made.taxonomy.names
    for ours, theirs in zip(read.parents, made.taxonomy.parents, strict=True):
        assert ours.dtype == np.int32
        assert ours.tolist() == theirs.tolist()
    levels = len(paths[0])
    # Every item's path can be told from the file alone.
    assert [read.path_names(levels, int(codes[-1])) for codes in read.paths] == paths
    for k in range(1, levels + 1):
        assert read.level_paths(k) == list(dict.fromkeys(path[:k] for path in paths))
        none = (NO_CATEGORY,) * k
        expected = read.level_paths(k).index(none) if none in read.level_paths(k) else -1
        assert read.no_category[k - 1] == expected


def test_rows_may_stand_in_any_order_and_have_a_readable_path(tmp_path):
    table = coded([("b", "x"), ("a", "x"), ("b", "y")]).category_table()
    assert table.column("path").to_pylist() == ["b", "a", "b > x", "a > x", "b > y"]
    pq.write_table(table.take([4, 1, 3, 0, 2]), tmp_path / "taxonomy.parquet")
    read = Taxonomy.read(tmp_path / "taxonomy.parquet")
    assert read.names == (["b", "a"], ["x", "x", "y"])
    assert [parents.tolist() for parents in read.parents] == [[-1, -1], [0, 1, 0]]
    assert read.paths.shape == (0, 2)


def test_a_category_below_another_is_not_no_category():
    tree = coded([("a", NO_CATEGORY), (NO_CATEGORY, "b")]).taxonomy
    assert tree.no_category == (1, -1)
    assert coded([("a",)]).taxonomy.no_category == (-1,)


def column(name, values):
    return lambda table: table.set_column(table.column_names.index(name), name, pa.array(values, table[name].type))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["parent"]), "does not read as a taxonomy|no column parent"),
        (lambda table: table.slice(0, 0), "has no categories"),
        (column("level", [1, 1, 3, 3]), "codes of level 2"),
        (column("level", [2, 2, 2, 2]), "codes of level 1"),
        (column("code", [0, 1, 0, 2]), "codes of level 2"),
        (column("code", [0, 0, 0, 1]), "codes of level 1"),
        (column("parent", [-1, -1, 0, 2]), "level 2 has a parent that does not exist"),
        (column("parent", [-1, -1, 0, -1]), "level 2 has a parent that does not exist"),
        (column("parent", [-1, 0, 0, 1]), "level 1 has a parent that does not exist"),
    ],
)
def test_what_is_no_tree_is_told(tmp_path, change, message):
    path = tmp_path / "taxonomy.parquet"
    pq.write_table(change(coded([("a", "x"), ("b", "y")]).category_table()), path)
    with pytest.raises(HupError, match=message):
        Taxonomy.read(path)


def test_no_file_and_another_file(tmp_path):
    with pytest.raises(HupError, match="There is no taxonomy"):
        Taxonomy.read(tmp_path / "taxonomy.parquet")
    (tmp_path / "taxonomy.parquet").write_bytes(b"junk" * 10)
    with pytest.raises(HupError, match="does not read as a taxonomy"):
        Taxonomy.read(tmp_path / "taxonomy.parquet")
