"""What workers make of what Spark hands them, without Spark: however lines come in batches, rows are the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hup.data.engines import spark_workers
from hup.data.engines.csv_stream import CsvRows
from hup.data.engines.jsonl_stream import JsonlRows
from hup.data.engines.reader import Dialect, with_place_fields
from hup.data.engines.spark_workers import Lines, TableRows, Typing, _files, unpacked

ALL = "SELECT * FROM raw_rows"
NAMES = dict.fromkeys(range(3), ("x", "y"))


def batch(lines: list[tuple[int | None, bytes]]) -> pa.RecordBatch:
    files, values = zip(*lines, strict=True) if lines else ((), ())
    columns = [pa.array(files, pa.int32()), pa.array(values, pa.binary())]
    return pa.record_batch(columns, names=["hup_file", "hup_line"])


def blocks(*batches: pa.RecordBatch) -> list[tuple[int, list[bytes | None]]]:
    return [(file, list(lines)) for file, lines in _files(iter(batches))]


def rows(batches: Iterator[pa.RecordBatch]) -> list[dict]:
    found = [row for each in batches for row in each.to_pylist()]
    return sorted(found, key=lambda row: (row["hup_file"], row["hup_row"]))


def typed(worker: Typing, *batches: pa.RecordBatch) -> pa.Table:
    packed = [value for each in worker(iter(batches)) for value in each["rows"].to_pylist()]
    return pa.Table.from_batches([each for value in packed for each in unpacked(value)], worker.schema())


def test_lines_go_on_in_the_next_batch_and_headers_are_left_out():
    parts = [batch([(0, b"x"), (0, b"1")]), batch([]), batch([(0, b"2"), (1, b"x"), (1, b"3"), (1, b"4")])]
    parts += [batch([(2, b"x")]), batch([(2, b"")])]
    assert blocks(*parts) == [(0, [b"x\n1", b"2"]), (1, [b"x\n3\n4"]), (2, [b"x", b""])]
    found = rows(Lines(CsvRows(Dialect(), dict.fromkeys(range(3), ("x",)), ("x",), 1))(iter(parts)))
    assert [(row["hup_file"], row["hup_row"], row["x"]) for row in found] == [
        (0, 2, "1"),
        (0, 3, "2"),
        (1, 2, "3"),
        (1, 3, "4"),
        (2, 2, None),
    ]


def test_a_line_too_long_is_none(monkeypatch):
    monkeypatch.setattr(spark_workers, "MAX_LINE_BYTES", 3)
    lines = batch([(0, line) for line in (b"long", b"", b"abc", b"longer", b"x")])
    assert blocks(lines) == [(0, [None, b"\nabc", None, b"x"])]
    found = rows(Lines(CsvRows(Dialect(), {0: ("x",)}, ("x",), 0))(iter([lines])))
    assert [(row["hup_row"], row["x"]) for row in found] == [(1, None), (2, None), (3, "abc"), (4, None), (5, "x")]
    assert [row["hup_row"] for row in rows(Lines(JsonlRows([0], ("x",), Dialect()))(iter([lines])))] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("parse", "seen"),
    [
        (Lines(CsvRows(Dialect(), NAMES, ("y",), 1)), batch([(None, b"1,2")])),
        (Lines(JsonlRows([0], ("y",), Dialect())), batch([(0, b"{}"), (None, b"{}")])),
        (
            TableRows((pa.field("a", pa.int64()),)),
            pa.record_batch([[1], pa.array([None], pa.int32()), [1]], names=["a", "hup_file", "hup_row"]),
        ),
    ],
    ids=["csv", "json", "parquet"],
)
def test_rows_of_no_known_file_and_of_files_in_pieces(parse, seen):
    """Where it is not known how many lines came before, none can be numbered."""
    with pytest.raises(Exception, match="A file was cut into pieces, or is none of those that were listed"):
        typed(Typing(parse, ALL), seen)


TEXTS = st.lists(
    st.sampled_from([b"1,a", b"2,", b"", b"\r", b'3,"b"', b'"4', b'x",5', b"6,\xff", b"7,8,9", b'"",""']), max_size=12
)


@given(files=st.lists(TEXTS, min_size=1, max_size=3), sizes=st.lists(st.integers(1, 5), min_size=1))
def test_rows_do_not_depend_on_batches(files, sizes):
    """Lines of a file come in order, in batches of any size, perhaps along with those of other files."""
    parse = Lines(CsvRows(Dialect(), NAMES, ("y", "x"), 1))
    expected = rows(
        each for file, lines in enumerate(files) for each in parse(iter([batch([(file, line) for line in lines])]))
    )
    waiting = [(file, line) for file, lines in enumerate(files) for line in lines]
    batches, n = [], 0
    while waiting:
        n += 1
        size = sizes[n % len(sizes)]
        batches.append(batch(waiting[:size]))
        waiting = waiting[size:]
    assert rows(parse(iter(batches))) == expected


def test_json_in_workers():
    lines = batch([(0, b'{"a": {"b": 1.50}}'), (0, b"junk"), (0, b'{"a": "x"}\r')])
    found = typed(Typing(Lines(JsonlRows([0], ("a.b", "a"), Dialect())), ALL), lines)
    assert found.schema == with_place_fields([pa.field("a.b", pa.string()), pa.field("a", pa.string())])
    assert rows(iter(found.to_batches())) == [
        {
            "a.b": "1.5",
            "a": '{"b":1.5}',
            "hup_file": 0,
            "hup_row": 1,
            "hup_problem": "nested value in column 'a': expected text or a number, found an object",
            "hup_text": '{"a": {"b": 1.50}}',
        },
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


def test_a_partition_of_no_rows_gives_none():
    for parse in (Lines(CsvRows(Dialect(), NAMES, ("y",), 1)), Lines(JsonlRows([0], ("y",), Dialect()))):
        assert typed(Typing(parse, ALL)).num_rows == 0
        assert typed(Typing(parse, ALL), batch([])).num_rows == 0


@pytest.mark.parametrize(
    "parse",
    [Lines(CsvRows(Dialect(), {0: ("x", "y")}, ("y",), 1)), Lines(JsonlRows([0], ("y",), Dialect()))],
    ids=["csv", "json"],
)
def test_workers_need_no_hup(parse, tmp_path):
    """What is sent to workers holds the code of this package: they may have none, or another version."""
    cloudpickle = pytest.importorskip("pyspark.cloudpickle", reason="no PySpark")
    from hup.data.engines.spark_workers import pickled_by_value

    with pickled_by_value():
        sent = cloudpickle.dumps(Typing(parse, f"SELECT *, hup_row + 1 AS next FROM ({ALL})"))
    (tmp_path / "sent").write_bytes(sent)
    script = """
import sys
sys.modules["hup"] = None
import pyarrow as pa
from pyspark import cloudpickle
work = cloudpickle.loads(open(sys.argv[1], "rb").read())
lines = pa.record_batch([pa.array([0, 0], pa.int32()), pa.array([b"x,y", b'1,2'])], names=["hup_file", "hup_line"])
[packed] = work(iter([lines]))
print(pa.ipc.open_stream(packed["rows"][0].as_py()).read_all()["next"].to_pylist()[-1:])
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "sent")], capture_output=True, text=True)
    assert done.stdout.strip() == "[3]", done.stderr
