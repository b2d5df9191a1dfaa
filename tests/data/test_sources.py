"""Which files a list of sources means, and what they are called."""

from pathlib import Path

import pytest

import hup
from hup.data.log_source import find_sources
from hup.errors import HupError


@pytest.fixture
def tree(tmp_path):
    for name in ("b.txt", "a.txt", "sub/c.txt.gz", "sub/.hidden", "_temporary/part", "out/x", "out.rejects.parquet"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    (tmp_path / "out.partial-12").mkdir()
    (tmp_path / "out.partial-12/x").touch()
    return tmp_path


def names(*sources, out="out", notes=None):
    root = Path(sources[0]).parent if sources else Path()
    found = find_sources(sources, root / out, ([] if notes is None else notes).append)
    return [file.name for file in found]


def test_folder_in_order_of_name_without_hidden_files_and_the_dataset_itself(tree):
    found = find_sources([tree], tree / "out", lambda note: None)
    assert [file.name for file in found] == ["a.txt", "b.txt", "sub/c.txt"]
    assert [file.bytes for file in found] == [5, 5, len("sub/c.txt.gz")]


def test_order_given_and_names_from_the_common_folder(tree):
    assert names(tree / "b.txt", tree / "sub/c.txt.gz", tree / "a.txt") == ["b.txt", "sub/c.txt", "a.txt"]
    assert names(tree / "sub/c.txt.gz") == ["c.txt"]


def test_globs(tree):
    assert names(tree / "*.txt") == ["a.txt", "b.txt"]
    assert names(tree / "**/*.gz") == ["c.txt"]


def test_one_file_twice_is_used_once(tree):
    (tree / "link.txt").symlink_to(tree / "a.txt")
    notes = []
    assert names(tree / "a.txt", tree / "sub/../a.txt", tree / "link.txt", notes=notes) == ["a.txt"]
    assert len(notes) == 2


def test_packed_and_plain_side_by_side_keep_two_names(tree):
    (tree / "a.txt.gz").touch()
    assert names(tree / "a.txt", tree / "a.txt.gz") == ["a.txt", "a.txt.gz"]


def test_a_file_whose_name_looks_like_a_pattern(tree):
    (tree / "log[1].txt").touch()
    assert names(tree / "log[1].txt") == ["log[1].txt"]


def test_the_dataset_as_its_own_source(tree):
    with pytest.raises(HupError, match="belongs to the dataset"):
        names(tree / "out.rejects.parquet")


@pytest.mark.parametrize("sources", [7, [7], {"user": ["a"]}])
def test_what_is_no_path_is_told_with_what_is_expected(tmp_path, sources):
    with pytest.raises(HupError, match="expected a path, a list of paths"):
        hup.prepare(sources, out=tmp_path / "dataset")
    assert not list(tmp_path.iterdir())


def test_paths_may_come_one_by_one(tree):
    with pytest.raises(HupError, match="No source given"):
        hup.prepare(iter(()), out=tree / "dataset")
