"""Endings, and what is said about columns that are missing."""

import gzip
from pathlib import Path

import pytest

from hup.data.engines.reader import SourceFile
from hup.data.engines.table_files import check_columns, check_wanted, first_lines, nearest, require_rows, table_format
from hup.data.rejects import FileReject
from hup.errors import HupError


def files(*names):
    return [SourceFile(Path(name), name, 1) for name in names]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.parquet", "parquet"),
        ("a.pq", "parquet"),
        ("day.2020-01-01.parquet", "parquet"),
        ("A.CSV", "csv"),
        ("a.tsv.gz", "csv"),
        ("a.TXT.GZ", "csv"),
        ("yoochoose-clicks.dat.zst", "csv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson.zst", "jsonl"),
        ("a.json.gz", "jsonl"),
        ("a.arrow", "arrow"),
        ("a.feather", "arrow"),
        ("a.ipc", "arrow"),
    ],
)
def test_format_is_told_by_the_ending(name, format):
    assert table_format(files(name, name)) == format


@pytest.mark.parametrize("name", ["a", "README.md", "a.gz", "a.parquet.gz", "a.csv.zip", ".csv.xlsx"])
def test_unknown_endings(name):
    with pytest.raises(HupError, match=r"endings: \.parquet.*\.csv.*also followed by \.gz or \.zst"):
        table_format(files(name))


def test_mixed_formats_and_no_files():
    with pytest.raises(HupError, match=r"mixed: a\.csv is csv, b\.parquet is parquet"):
        table_format(files("a.csv", "b.parquet"))
    with pytest.raises(HupError, match="No files"):
        table_format([])


def test_missing_column_names_the_nearest_and_the_others():
    with pytest.raises(HupError, match=r"f\.csv has no column 'userid'\. Did you mean 'user_id'\? .*'user_id', 'x'"):
        check_columns("f.csv", ["user_id", "x"], ["x", "userid"])
    with pytest.raises(HupError, match=r"has no column 'zzz'\. It has 'a'\. Hint\.$"):
        check_columns("f.csv", ["a"], ["zzz"], " Hint.")
    with pytest.raises(HupError, match="and 70 more"):
        check_columns("f.csv", [f"c{n}" for n in range(100)], ["user"])
    check_columns("f.csv", ["a", "b", "b"], ["a"])


def test_a_column_there_twice():
    with pytest.raises(HupError, match="2 columns named 'a'"):
        check_columns("f.csv", ["a", "b", "a"], ["a"])


def test_nearest_ignores_case():
    assert nearest("USER_ID", ["user_id", "item"]) == "user_id"
    assert nearest("q", ["user_id"]) is None


@pytest.mark.parametrize("wanted", [["a", "hup_row"], ["HUP_FILE"], ["Item", "item"]])
def test_names_that_cannot_be_told_apart(wanted):
    with pytest.raises(HupError, match="Rename"):
        check_wanted(wanted)
    check_wanted(["a", "b", "a"])


def test_nothing_to_read_tells_why():
    rejects = [FileReject(f"{n}.csv", None, "file is empty") for n in range(7)]
    with pytest.raises(HupError, match=r"0\.csv: file is empty; 1\.csv.* and 2 more"):
        require_rows(7, rejects)
    require_rows(8, rejects)


@pytest.mark.parametrize("content", [b"a\nb\nc\nd", b"a\r\nb\r\nc\r\nd\r\n", b"\xef\xbb\xbfa\nb\nc\nd\n"])
def test_first_lines(tmp_path, content):
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    assert first_lines(path, 2) == ([b"a", b"b"], None)
    assert first_lines(path, 9) == ([b"a", b"b", b"c", b"d"], None)


def test_first_lines_of_a_broken_file(tmp_path):
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress(b"a\nb\n" * 1000)[:-9])
    lines, broken = first_lines(path, 10**6)
    assert lines[:2] == [b"a", b"b"]
    assert "gzip stream ends early" in broken
