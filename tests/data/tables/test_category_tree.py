"""Category trees from tables with holes and knots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hup.data.tables.categories import CategoryTree, build_tree, clean_name

names = st.sampled_from("abcdefghij")
rows = st.lists(st.tuples(st.one_of(st.none(), names), st.one_of(st.none(), names)), max_size=25)


def tree_of(*pairs):
    return build_tree([child for child, _parent in pairs], [parent for _child, parent in pairs])


def plain_parents(pairs):
    """Last named parent of each category; circles opened by walking from every category until one comes again."""
    table = {}
    for child, parent in pairs:
        if child is not None:
            table.setdefault(child, None)
            if parent is not None and parent != child:
                table[child] = parent
    for parent in list(table.values()):
        if parent is not None:
            table.setdefault(parent, None)
    circles = set()
    for start in table:
        walk = [start]
        while table[walk[-1]] is not None and table[walk[-1]] not in walk:
            walk.append(table[walk[-1]])
        if table[walk[-1]] == start:
            circles.add(frozenset(walk))
    for circle in circles:
        table[min(circle)] = None
    return table, circles


@given(rows=rows)
def test_against_plain_walks(rows):
    tree = tree_of(*rows)
    table, circles = plain_parents(rows)
    assert tree.parents == table
    assert {frozenset(circle) for circle in tree.cycles} == circles
    there = {child for child, _parent in rows if child is not None}
    assert tree.unknown_parents == tuple(sorted(set(table) - there))


@given(rows=rows, levels=st.integers(1, 12))
def test_every_path_leads_from_a_root_to_its_category(rows, levels):
    tree = tree_of(*rows)
    paths, depths, whole = tree.paths(levels), tree.depths(), tree.paths(100)
    for name, parent in tree.parents.items():
        assert whole[name][-1] == name
        assert len(set(whole[name])) == len(whole[name]) == depths[name]
        assert tree.parents[whole[name][0]] is None
        assert whole[name][:-1] == (() if parent is None else whole[parent])
        assert paths[name] == whole[name][:levels]


@given(rows=rows)
def test_a_circle_goes_from_its_root_down(rows):
    tree = tree_of(*rows)
    for circle in tree.cycles:
        assert circle[0] == min(circle)
        assert tree.parents[circle[0]] is None
        assert [tree.parents[name] for name in circle[1:]] == list(circle[:-1])


@given(rows=rows, seed=st.randoms())
def test_order_of_rows_matters_only_for_several_parents(rows, seed):
    tree = tree_of(*rows)
    shuffled = [row for row in rows if row[0] not in tree.several_parents]
    kept = tree_of(*shuffled)
    seed.shuffle(shuffled)
    again = tree_of(*shuffled)
    assert (again.parents, again.cycles, again.unknown_parents) == (kept.parents, kept.cycles, kept.unknown_parents)


def test_roots_are_written_in_three_ways():
    tree = tree_of(("shoes", "fashion"), ("fashion", None), ("toys", "toys"), ("lego", "toys"), ("pen", "office"))
    assert tree.paths(3) == {
        "fashion": ("fashion",),
        "shoes": ("fashion", "shoes"),
        "toys": ("toys",),
        "lego": ("toys", "lego"),
        "office": ("office",),
        "pen": ("office", "pen"),
    }
    assert (tree.unknown_parents, tree.cycles, tree.several_parents) == (("office",), (), {})
    assert tree.notes == ("Categories that are named as parents only are taken as roots: 1, such as office.",)


def test_the_last_of_several_parents_counts():
    tree = tree_of(("phone", "toys"), ("phone", "gadgets"), ("phone", "toys"), ("phone", None), ("toys", None))
    assert tree.parents["phone"] == "toys"
    assert tree.several_parents == {"phone": ("gadgets", "toys")}
    assert "Categories in several parents; the last one counts: 1, such as phone (in gadgets, then toys)." in tree.notes


def test_two_circles_and_what_hangs_from_them():
    tree = tree_of(("b", "c"), ("c", "a"), ("a", "b"), ("leaf", "b"), ("y", "x"), ("x", "y"), ("self", "self"))
    assert tree.cycles == (("a", "c", "b"), ("x", "y"))
    assert tree.paths(5)["leaf"] == ("a", "c", "b", "leaf")
    assert tree.notes == (
        "Categories that lie in each other in a circle; the first one becomes a root: 2 circles, such as "
        "a > c > b > a; x > y > x.",
    )


def test_examples_are_few():
    tree = tree_of(*((f"c{number:02}", f"p{number:02}") for number in range(30)))
    assert tree.notes == ("Categories that are named as parents only are taken as roots: 30, such as p00; p01; p02.",)
    big = [f"c{number:02}" for number in range(30)]
    assert (
        tree_of(*zip(big, big[1:] + big[:1], strict=True))
        .notes[0]
        .endswith("c00 > c29 > c28 > c27 > c26 > c25 > … > c00.")
    )


@pytest.mark.parametrize("shape", ["chain", "reversed chain", "circle"])
def test_deep_trees(shape):
    n = 100_000
    children = [f"{number:06}" for number in range(n)]
    parents = [None, *children[:-1]]
    if shape == "circle":
        parents[0] = children[-1]
    if shape == "reversed chain":
        children, parents = children[::-1], parents[::-1]
    tree = build_tree(children, parents)
    assert tree.depths()[f"{n - 1:06}"] == n
    assert tree.paths(3)[f"{n - 1:06}"] == ("000000", "000001", "000002")
    assert len(tree.cycles) == (shape == "circle")


def test_names_are_tidied():
    assert clean_name(" a\x1fb\t\n ") == "a b"
    assert clean_name(" \x00") == clean_name(None) == clean_name(" (none) ") == ""
    assert tree_of((" shoes ", "fashion\t"), ("", "x"), (None, "y")).parents == {"fashion": None, "shoes": "fashion"}


def test_no_rows():
    assert build_tree([], []) == CategoryTree({})
    assert build_tree([], []).notes == ()
