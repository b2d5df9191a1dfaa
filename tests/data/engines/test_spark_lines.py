"""Numbering lines of splits and parsing them in workers, without Spark: however files are cut, rows are the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hup.data.engines import spark_lines
from hup.data.engines.spark_lines import _number_splits, _worker
from hup.data.engines.spark_text import CsvLines, JsonLines, text_schema

KEYS = {"file:/a": 0, "file:/b": 1, "file:/c": 2}


def counted(path: str, start: int, lines: int, odd: int = 0) -> dict:
    row = {"hup_path": path, "hup_start": start, "lines": lines, "odd": odd}
    return row


def batch(lines: list[tuple[bytes, int | None]]) -> pa.RecordBatch:
    values, splits = zip(*lines, strict=True) if lines else ((), ())
    return pa.record_batch([pa.array(values, pa.binary()), pa.array(splits, pa.int32())], names=["value", "hup_split"])


def remembered(file: int, blocks: Iterator[bytes | None], line: int) -> Iterator[pa.RecordBatch]:
    """A parser that gives each block with file and number of the first line it was told."""
    for block in blocks:
        yield file, line, block  # type: ignore[misc]
        line += 1 if block is None else block.count(b"\n") + 1


def test_lines_of_splits_count_on():
    counts = [counted("file:/a", 0, 3), counted("file:/a", 40, 0), counted("file:/a", 80, 2), counted("file:/b", 0, 1)]
    splits, starts, whole = _number_splits(counts, KEYS)
    assert [(split.file, split.first_line, split.n_lines) for split in splits] == [
        (0, 1, 3),
        (0, 4, 0),
        (0, 4, 2),
        (1, 1, 1),
    ]
    assert starts == [("file:/a", 0, 0, 0), ("file:/a", 40, 1, 0), ("file:/a", 80, 2, 0), ("file:/b", 0, 3, 1)]
    assert whole == set()


def test_files_of_several_splits_with_odd_quotes_are_read_whole():
    counts = [
        counted("file:/a", 0, 3),
        counted("file:/a", 40, 1, odd=1),
        counted("file:/b", 0, 9, odd=2),
        counted("file:/c", 0, 1),
        counted("file:/c", 9, 1),
    ]
    assert _number_splits(counts, KEYS)[2] == {0}


def test_pieces_follow_on_and_headers_are_left_out():
    splits = _number_splits([counted("file:/a", 0, 3), counted("file:/a", 40, 2), counted("file:/b", 0, 2)], KEYS)[0]
    work = _worker(splits, remembered, header_lines=1)
    found = list(work(iter([batch([(b"head", 0), (b"1", 0)]), batch([]), batch([(b"2", 0), (b"3", 1), (b"4", 1)])])))
    assert found == [(0, 2, b"1"), (0, 3, b"2"), (0, 4, b"3\n4")]
    found = list(work(iter([batch([(b"3", 1), (b"4", 1), (b"head", 2), (b"x", 2), (b"head", 0)])])))
    assert found == [(0, 4, b"3\n4"), (1, 2, b"x")]


def test_a_line_too_long_is_none(monkeypatch):
    monkeypatch.setattr(spark_lines, "MAX_LINE_BYTES", 3)
    splits = _number_splits([counted("file:/a", 0, 5)], KEYS)[0]
    lines = batch([(b"long", 0), (b"", 0), (b"abc", 0), (b"longer", 0), (b"x", 0)])
    found = list(_worker(splits, remembered, 0)(iter([lines])))
    assert found == [(0, 1, None), (0, 2, b"\nabc"), (0, 4, None), (0, 5, b"x")]


@pytest.mark.parametrize("lines", [[(b"x", None)], [(b"x", 0), (b"y", 0)]])
def test_files_that_change_meanwhile(lines):
    splits = _number_splits([counted("file:/a", 0, 1)], KEYS)[0]
    with pytest.raises(RuntimeError, match="changed while they were read"):
        list(_worker(splits, remembered, 0)(iter([batch(lines)])))


TEXTS = st.lists(
    st.sampled_from([b"1,a", b"2,", b"", b"\r", b'3,"b"', b'"4', b'x",5', b"6,\xff", b"7,8,9", b'"",""']), max_size=12
)


@given(
    files=st.lists(TEXTS, min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    sizes=st.lists(st.integers(1, 5), min_size=1),
)
def test_rows_do_not_depend_on_how_files_are_cut(files, cuts, sizes):
    """Files with odd quotes come whole; all others may come in splits, in any order, in batches of any size."""
    paths = list(KEYS)[: len(files)]
    counts, pieces = [], []
    for path, lines in zip(paths, files, strict=True):
        odd = any(line.count(b'"') % 2 for line in lines)
        bounds = [0, *([] if odd else sorted(min(cut, len(lines)) for cut in cuts)), len(lines)]
        for start, (begin, end) in enumerate(pairwise(bounds)):
            pieces.append([(line, len(counts)) for line in lines[begin:end]])
            counts.append(counted(path, start, end - begin))
    splits = _number_splits(counts, KEYS)[0]
    parse = CsvLines(",", dict.fromkeys(KEYS.values(), ("x", "y")), ("y", "x"))
    whole = _worker(
        _number_splits([counted(p, 0, len(f)) for p, f in zip(paths, files, strict=True)], KEYS)[0], parse, 1
    )
    expected = rows(whole(iter([batch([(line, n) for line in lines]) for n, lines in enumerate(files)])))
    cut = [line for piece in pieces[::-1] for line in piece]
    batches, size = [], 0
    while cut:
        size += 1
        n = sizes[size % len(sizes)]
        batches.append(batch(cut[:n]))
        cut = cut[n:]
    assert rows(_worker(splits, parse, 1)(iter(batches))) == expected


def rows(batches: Iterator[pa.RecordBatch]) -> list[dict]:
    found = [row for each in batches for row in each.to_pylist()]
    return sorted(found, key=lambda row: (row["hup_file"], row["hup_row"]))


def test_json_in_workers():
    splits = _number_splits([counted("file:/a", 0, 3)], KEYS)[0]
    lines = batch([(b'{"a": {"b": 1.50}}', 0), (b"junk", 0), (b'{"a": "x"}\r', 0)])
    found = pa.Table.from_batches(_worker(splits, JsonLines(("a.b", "a")), 0)(iter([lines])), text_schema(["a.b", "a"]))
    assert rows(iter(found.to_batches())) == [
        {"a.b": "1.5", "a": '{"b":1.5}', "hup_file": 0, "hup_row": 1, "hup_problem": None, "hup_text": None},
        {
            "a.b": None,
            "a": None,
            "hup_file": 0,
            "hup_row": 2,
            "hup_problem": "line is no JSON object",
            "hup_text": "junk",
        },
        {"a.b": None, "a": "x", "hup_file": 0, "hup_row": 3, "hup_problem": None, "hup_text": None},
    ]


@pytest.mark.parametrize("parse", [CsvLines(",", {0: ("x", "y")}, ("y",)), JsonLines(("y",))], ids=["csv", "json"])
def test_workers_need_no_hup(parse, tmp_path):
    """What is sent to workers holds the code of this package: they may have none, or another version."""
    cloudpickle = pytest.importorskip("pyspark.cloudpickle", reason="no PySpark")
    from hup.data.engines.spark_workers import packed_rows, pickled_by_value

    splits = _number_splits([counted("file:/a", 0, 2)], KEYS)[0]
    with pickled_by_value():
        sent = cloudpickle.dumps((_worker(splits, parse, 1), packed_rows))
    (tmp_path / "sent").write_bytes(sent)
    script = """
import sys
sys.modules["hup"] = None
import pyarrow as pa
from pyspark import cloudpickle
work, pack = cloudpickle.loads(open(sys.argv[1], "rb").read())
lines = pa.record_batch([pa.array([b"x,y", b'1,2']), pa.array([0, 0], pa.int32())], names=["value", "hup_split"])
[rows] = work(iter([lines]))
[packed] = pack([rows])
print(pa.ipc.open_stream(packed["rows"][0].as_py()).read_all()["hup_row"].to_pylist())
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "sent")], capture_output=True, text=True)
    assert done.stdout.strip() == "[2]", done.stderr
