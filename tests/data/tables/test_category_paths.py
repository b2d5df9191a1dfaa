"""Ragged paths to paths of K names, rule by rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hup.data.tables.categories import SEPARATOR, build_tree, resolve_paths
from hup.data.tables.mapping_rules import CategoryRules

DOTTED = {"column": "category_code", "delimiter": "."}
PLACE = {"column": "city", "delimiter": ",", "finest_first": True}
THREE = {"columns": ("department", "category", "kind")}
IN_TREE = {
    "items": {"file": "items.csv", "item": "item", "category": "category"},
    "parents": {"file": "tree.csv", "category": "category", "parent": "parent"},
}
FLAGS = ("missing", "extended", "cut", "filled", "unlisted")


def resolve(raw, rules, **more):
    return resolve_paths(raw, CategoryRules(**rules), **more)


def shown(resolved):
    return [path.replace(SEPARATOR, " > ") for path in resolved.paths]


def flags(resolved):
    """For each raw category the kinds it is of."""
    return [" ".join(name for name in FLAGS if getattr(resolved, name)[row]) for row in range(len(resolved.paths))]


def test_delimited():
    raw = ["electronics.audio.headphone", "electronics.smartphone", " toys ", None, "", "a..b", "..", "x.y.z.w"]
    resolved = resolve(raw, DOTTED, levels=3)
    assert shown(resolved) == [
        "electronics > audio > headphone",
        "electronics > smartphone > smartphone",
        "toys > toys > toys",
        *["(none) > (none) > (none)"] * 2,
        "a > b > b",
        "(none) > (none) > (none)",
        "x > y > z",
    ]
    assert flags(resolved) == ["", "extended", "extended", "missing", "missing", "extended", "missing", "cut"]
    assert resolved.notes == (
        "Categories above level 3 stand for themselves at the finer levels: 3, such as electronics.smartphone; toys; "
        "a..b.",
        "Categories below level 3 count as the one of level 3 that they lie in: 1, such as x.y.z.w.",
    )


@pytest.mark.parametrize(
    ("raw", "rules", "levels", "K"),
    [
        (["a.b", "c"], {}, None, 2),
        (["a.b.c.d.e.f.g"], {}, None, 5),
        (["a.b.c.d.e.f.g"], {"levels": 7}, None, 7),
        (["a.b.c.d.e.f.g"], {"levels": 7}, 2, 2),
        ([None], {}, None, 1),
        ([], {}, None, 1),
    ],
)
def test_number_of_levels(raw, rules, levels, K):
    resolved = resolve(raw, {**DOTTED, **rules}, levels=levels)
    assert resolved.levels == K
    assert all(len(path.split(SEPARATOR)) == K for path in resolved.paths)


def test_finest_first_of_a_stated_number_of_levels():
    raw = ["Paris, France", "Cambridge, Ontario, Canada", "Monaco", ", Rome,, Italy", "A, B, , C, D", ",, A, B, C"]
    assert shown(resolve(raw, {**PLACE, "levels": 2})) == [
        "France > Paris",
        "Canada > Cambridge, Ontario",
        "Monaco > Monaco",
        "Italy > Rome",
        "D > A, B, , C",
        "C > A, B",
    ]


def test_finest_first_of_any_number_of_levels():
    resolved = resolve(["Paris, France", "Cambridge, Ontario, Canada"], PLACE)
    assert shown(resolved) == ["France > Paris > Paris", "Canada > Ontario > Cambridge"]
    assert shown(resolve(["Cambridge, Ontario, Canada"], {**PLACE, "levels": 2}, levels=1)) == ["Canada"]


def test_columns_keep_their_levels():
    raw = [
        "\x1f".join(values) for values in ("abc", ["a", "", "c"], ["", "b", "c"], ["", "", "c"], ["a", "b", ""], "   ")
    ]
    resolved = resolve([*raw, None], THREE)
    assert resolved.levels == 3
    assert shown(resolved) == [
        "a > b > c",
        "a > a > c",
        "(none) > b > c",
        "(none) > (none) > c",
        "a > b > b",
        "(none) > (none) > (none)",
        "(none) > (none) > (none)",
    ]
    assert flags(resolved) == ["", "filled", "filled", "filled", "extended", "missing", "missing"]
    assert "Categories with a gap in their path take the coarser name there, if any: 3, such as a > … > c" in "".join(
        resolved.notes
    )


def test_columns_that_are_always_empty_at_the_end_are_no_levels_unless_stated():
    assert resolve(["a\x1fb\x1f", "a\x1f\x1f"], THREE).levels == 2
    assert resolve(["a\x1f\x1f", None], THREE).levels == 1
    assert resolve(["a\x1f\x1f"], {**THREE, "levels": 3}).levels == 3


def test_a_path_that_only_its_cut_part_names_is_missing():
    assert flags(resolve(["\x1f\x1fc", "a\x1fb\x1fc"], THREE, levels=1)) == ["missing filled", "cut"]


def test_columns_of_an_item_table():
    rules = {"items": {"file": "items.csv", "item": "item", "columns": ("first", "second")}}
    assert shown(resolve(["a\x1fb", "a\x1f"], rules)) == ["a > b", "a > a"]


def test_one_name_in_an_item_table():
    rules = {"items": {"file": "items.csv", "item": "item", "category": "category"}}
    resolved = resolve(["a.b", " c\x1fd "], rules)
    assert shown(resolved) == ["a.b", "c d"]


def test_in_a_tree():
    tree = build_tree(["1", "2", "3", "4"], [None, "1", "2", "3"])
    resolved = resolve(["3", "2", " 1", "9", None, "4"], IN_TREE, tree=tree)
    assert shown(resolved) == [
        "1 > 2 > 3 > 3",
        "1 > 2 > 2 > 2",
        "1 > 1 > 1 > 1",
        "9 > 9 > 9 > 9",
        "(none) > (none) > (none) > (none)",
        "1 > 2 > 3 > 4",
    ]
    assert flags(resolved) == ["extended", "extended", "extended", "extended unlisted", "missing", ""]
    assert resolved.notes[-1] == "Categories that the table of parents does not know are taken as roots: 1, such as 9."


def test_levels_follow_from_the_categories_used_not_from_the_tree():
    tree = build_tree([str(number) for number in range(50)], [None, *(str(number) for number in range(49))])
    assert resolve(["1"], IN_TREE, tree=tree).levels == 2
    deep = resolve(["1", "49"], IN_TREE, tree=tree)
    assert (deep.levels, flags(deep)) == (5, ["extended", "cut"])
    assert shown(deep)[1] == "0 > 1 > 2 > 3 > 4"
    assert resolve(["49"], IN_TREE, tree=tree, levels=20).paths[0].split(SEPARATOR) == [str(k) for k in range(20)]


def test_one_name_under_two_parents_is_two_paths():
    assert len(set(resolve(["men.shoes", "women.shoes"], DOTTED).paths)) == 2


words = st.text(st.sampled_from("ab.\x1f\t ,(none)"), max_size=12)


@given(
    raw=st.lists(st.one_of(st.none(), words), max_size=8),
    rules=st.sampled_from([DOTTED, PLACE, {**PLACE, "levels": 2}, THREE, IN_TREE]),
    levels=st.one_of(st.none(), st.integers(1, 6)),
    knots=st.lists(st.tuples(st.sampled_from("ab.,"), st.sampled_from("ab.,")), max_size=8),
)
def test_any_text_becomes_a_whole_path(raw, rules, levels, knots):
    tree = build_tree(*zip(*knots, strict=True)) if "parents" in rules and knots else None
    resolved = resolve(raw, rules, levels=levels, tree=tree)
    assert len(resolved.paths) == len(raw)
    for row, path in enumerate(resolved.paths):
        parts = path.split(SEPARATOR)
        assert len(parts) == resolved.levels
        assert all(part and part == part.strip() and part.isprintable() for part in parts)
        assert resolved.missing[row] == all(part == "(none)" for part in parts)
        # Below a name there is always one.
        named = [part != "(none)" for part in parts]
        assert named == sorted(named)
        assert not (resolved.missing[row] and (resolved.extended[row] or resolved.cut[row]))
    assert len(resolved.notes) == sum(getattr(resolved, name).any() for name in FLAGS[1:])
