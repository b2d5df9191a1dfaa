"""``hup similar``: what is most like an item, or a category."""

from __future__ import annotations

import json


def test_items(shop, invoke):
    done = invoke("similar", shop / "model", "tv1", "-k", 3, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["level"], answer["basis"], len(answer["ranked"])) == ("item", "cosine", 3)
    table = invoke("similar", shop / "model", "tv1", "-k", 3).stdout
    assert "Similar to tv1, level item" in table
    assert "in session" not in table
    assert all(one["name"] in table for one in answer["ranked"])


def test_categories(shop, invoke):
    done = invoke("similar", shop / "model", "screens > tv1", "--level", "category_2", "--json")
    assert {tuple(one["path"]) for one in json.loads(done.stdout)["ranked"]} == {
        ("screens", "tv0"),
        ("kitchen", "cups"),
    }


def test_within_a_category(shop, invoke):
    done = invoke("similar", shop / "model", "tv1", "--within", "kitchen", "--json")
    assert {one["name"] for one in json.loads(done.stdout)["ranked"]} == {f"cup{n}" for n in range(4)}


def test_what_is_wrong_is_told(shop, invoke):
    unknown = invoke("similar", shop / "model", "tv99")
    assert unknown.exit_code == 1
    assert "Error: The model does not know an item 'tv99'." in unknown.stderr
    assert (
        "a path of 2 names with > between them"
        in invoke("similar", shop / "model", "screens", "--level", "category_2").stderr
    )
    assert invoke("similar", shop / "model", "tv1", "-k", 0).exit_code == 2
