from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hup.behaviors import JD_BEHAVIORS
from hup.data.dataset import Behavior, Dataset
from hup.data.prepare import prepare
from hup.errors import HupError
from hup.recommender.vocabulary import CATEGORIES, ITEMS, Vocabulary

# "red" is a category under both "shoes" and "hats"; the last two of ten sessions are the test split.
PATHS = {"a": "shoes/red", "b": "shoes/blue", "c": "hats/red", "d": "hats/red", "e": "belts/red", "f": "shoes/green"}
TRAIN = ["ab", "ba", "cd", "aab", "dcb", "bad", "ca"]
SESSIONS = [*TRAIN, "ab", "ef", "fa"]


def token(item: str) -> str:
    return f"{item}+1+{PATHS[item]}+5+10"


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("vocabulary")
    lines = [" ".join(map(token, session)) for session in SESSIONS]
    (folder / "log.txt").write_text("\n".join(lines) + "\n")
    return prepare(folder / "log.txt", out=folder / "dataset")


@pytest.fixture
def vocabulary(small) -> Vocabulary:
    return Vocabulary.of(small)


def test_training_alone_is_known(vocabulary):
    assert vocabulary.items == ["a", "b", "c", "d"]
    assert vocabulary.categories == (["shoes", "hats"], ["red", "blue", "red"])
    assert [parents.tolist() for parents in vocabulary.parents] == [[-1, -1], [0, 0, 1]]
    assert vocabulary.paths.tolist() == [[0, 0], [0, 1], [1, 2], [1, 2]]
    assert vocabulary.levels == 2
    assert [vocabulary.size(level) for level in ("micro", "item", "category_2", "category_1")] == [4, 4, 3, 2]
    assert tuple(vocabulary.behaviors) == tuple(JD_BEHAVIORS)


def test_popularity_counts_runs_of_training(vocabulary):
    assert vocabulary.counts["item"].tolist() == [5, 5, 3, 3]
    assert vocabulary.counts["category_1"].tolist() == [6, 4]
    assert vocabulary.counts["category_2"].tolist() == [5, 5, 4]


def test_names_and_codes_are_each_others_way_back(vocabulary):
    assert vocabulary.item_codes == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert vocabulary.category_codes == {
        ("shoes",): 0,
        ("hats",): 1,
        ("shoes", "red"): 0,
        ("shoes", "blue"): 1,
        ("hats", "red"): 2,
    }
    for path, code in vocabulary.category_codes.items():
        assert vocabulary.category_path(len(path), code) == path


def test_ancestors(vocabulary):
    assert vocabulary.ancestors(1).shape == (2, 0)
    assert vocabulary.ancestors(2).tolist() == [[0], [0], [1]]


def test_ancestors_of_a_deep_tree(shops):
    vocabulary, tree = Vocabulary.of(shops[3]), shops[3].taxonomy
    for code, ancestors in enumerate(vocabulary.ancestors(3).tolist()):
        path = tree.paths[np.flatnonzero(tree.paths[:, 2] == code)[0]]
        assert ancestors == path[:2].tolist()
    assert vocabulary.ancestors(3).shape == (shops[3].n_train_categories[2], 2)


def test_behaviors_by_code_and_by_name(vocabulary):
    for index, behavior in enumerate(JD_BEHAVIORS):
        assert vocabulary.behavior_codes[behavior.code] == vocabulary.behavior_codes[behavior.name] == index
    assert "Sneeze" not in vocabulary.behavior_codes


def test_a_code_comes_before_a_name(vocabulary):
    """Codes are unique; a name that looks like another's code must not take its place."""
    odd = [Behavior(code="1", name="2"), Behavior(code="2", name="view")]
    codes = Vocabulary(**{**vars_of(vocabulary), "behaviors": odd}).behavior_codes
    assert codes == {"1": 0, "2": 1, "view": 1}


def vars_of(vocabulary: Vocabulary) -> dict[str, object]:
    names = ("items", "paths", "categories", "parents", "behaviors", "counts")
    return {name: getattr(vocabulary, name) for name in names}


@pytest.mark.parametrize("levels", [1, 3])
def test_saved_and_loaded_it_is_the_same(shops, levels, tmp_path):
    vocabulary = Vocabulary.of(shops[levels])
    vocabulary.save(tmp_path)
    loaded = Vocabulary.load(tmp_path, vocabulary.behaviors)
    assert (loaded.items, loaded.categories, loaded.behaviors) == (
        vocabulary.items,
        vocabulary.categories,
        vocabulary.behaviors,
    )
    assert np.array_equal(loaded.paths, vocabulary.paths)
    assert loaded.paths.dtype == np.int64
    for before, after in zip(vocabulary.parents, loaded.parents, strict=True):
        assert np.array_equal(before, after)
        assert after.dtype == np.int64
    assert loaded.counts.keys() == vocabulary.counts.keys()
    assert all(np.array_equal(loaded.counts[level], vocabulary.counts[level]) for level in vocabulary.counts)
    for k in range(1, levels + 1):
        assert loaded.ancestors(k).equal(vocabulary.ancestors(k))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ITEMS, CATEGORIES])


@pytest.mark.parametrize("name", [ITEMS, CATEGORIES])
def test_a_folder_that_is_not_whole_is_told(vocabulary, tmp_path, name):
    vocabulary.save(tmp_path)
    content = (tmp_path / name).read_bytes()

    def refusal() -> str:
        with pytest.raises(HupError) as error:
            Vocabulary.load(tmp_path, [])
        return str(error.value)

    (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert f"{name} does not read as Parquet" in refusal()
    table = pq.ParquetFile(Path(tmp_path / ITEMS if name == CATEGORIES else tmp_path / CATEGORIES)).read()
    pq.write_table(table, tmp_path / name)  # the other one's columns
    assert f"{name} has no column" in refusal()
    (tmp_path / name).unlink()
    assert f"{name} is missing" in refusal()
