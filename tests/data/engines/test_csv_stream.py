"""Delimited text against slow, obvious reading; any block size."""

import csv
import gzip
import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hup.data import line_blocks
from hup.data.engines import csv_parser
from hup.data.engines.csv_stream import csv_head
from hup.data.engines.reader import Dialect, SourceFile
from hup.data.engines.text_files import TextStream, text_rows
from hup.data.progress import Progress

BLOCKS = st.sampled_from([1, 7, 40, 4 << 20])


def read(path, wanted, block=4 << 20, dialect=None):
    """Give rows as tuples of line, wanted values, problem and text, sorted."""
    dialect = dialect or Dialect()
    file = SourceFile(path, path.name, path.stat().st_size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_blocks, "BLOCK_BYTES", block)
        patch.setattr(line_blocks, "_PACKED_BYTES", block)
        rows, rejects = text_rows("csv", [file], dialect, wanted)
        table = pa.Table.from_batches(TextStream([file], rows, Progress(), rejects).batches(), rows.schema)
    assert set(table["hup_file"].to_pylist()) <= {0}
    rows = [
        (row["hup_row"], *(row[name] for name in wanted), row["hup_problem"], row["hup_text"])
        for row in table.to_pylist()
    ]
    return sorted(rows, key=lambda row: row[0]), rejects


def written(value, quoted, delimiter):
    if value is None:
        return ""
    special = any(mark in value for mark in f'{delimiter}"\r\n')
    return '"' + value.replace('"', '""') + '"' if special or quoted or not value else value


VALUES = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), max_size=5)
VALUES |= st.text(',;"\n\r ab', max_size=6)


@given(
    rows=st.lists(st.tuples(*[st.tuples(VALUES, st.booleans())] * 3), max_size=12),
    block=BLOCKS,
    ending=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
def test_written_values_come_back_with_their_lines(tmp_path_factory, rows, block, ending, last, delimiter):
    text = delimiter.join(["a", "b b", '"c"']) + ending
    expected = []
    for row in rows:
        expected.append((text.count("\n") + 1, row[2][0], row[0][0], None, None))
        text += delimiter.join(written(value, quoted, delimiter) for value, quoted in row) + ending
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    path.write_bytes((text if last else text.removesuffix(ending)).encode())
    file = SourceFile(path, path.name, path.stat().st_size)
    dialect = Dialect(delimiter)
    if rows:
        assert read(path, ["c", "a"], block, dialect) == (expected, [])
    assert csv_head(file, dialect).names == ("a", "b b", "c")
    good = [row[1:3] for row in expected]
    slow = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), delimiter=delimiter))[1:]
    assert [(row[2], row[0]) for row in slow] == [(c or "", a or "") for c, a in good]


DAMAGE = {
    "none": (lambda fields: b",".join(fields), None),
    "unwanted bytes": (lambda fields: b",".join([fields[0], b"\xe9", fields[2]]), None),
    "inch": (lambda fields: b",".join([fields[0], b'5" x 7', fields[2]]), None),
    "two inches": (lambda fields: b",".join([fields[0], b'5" x 7"', fields[2]]), None),
    "few": (lambda fields: b",".join(fields[:2]), "wrong number of fields: 2 instead of 3"),
    "many": (lambda fields: b",".join([*fields, b"", b"x"]), "wrong number of fields: 5 instead of 3"),
    "blank": (lambda fields: b"", "empty line"),
    "bytes": (lambda fields: b",".join([b"\xc3" + fields[0], *fields[1:]]), "a is not UTF-8: byte 0xc3"),
    "few and bytes": (lambda fields: b"\xff," + fields[0], "wrong number of fields: 2 instead of 3"),
    "open": (lambda fields: b",".join([fields[0], b'"' + fields[1], fields[2]]), "quote is not closed"),
    "even but open": (lambda fields: b'x",' + b'"open,' + fields[2], "quote is not closed"),
    "return": (lambda fields: b",".join([fields[0], b"x\rx", fields[2]]), "carriage return within the line"),
}


@given(
    damages=st.lists(st.sampled_from(list(DAMAGE)), min_size=1, max_size=25),
    block=BLOCKS,
    ending=st.sampled_from([b"\n", b"\r\n"]),
    packed=st.booleans(),
)
def test_damage_costs_its_line_only(tmp_path_factory, damages, block, ending, packed):
    lines, expected = [b"a,b,c"], []
    for number, damage in enumerate(damages):
        fields = [b"a%d" % number, b"b", b"c%d" % number]
        spoil, problem = DAMAGE[damage]
        lines.append(spoil(fields))
        values = (None, None) if problem else (f"c{number}", f"a{number}")
        expected.append((number + 2, *values, problem, lines[-1].decode(errors="replace") if problem else None))
    content = ending.join(lines) + ending
    path = tmp_path_factory.mktemp("csv") / ("f.csv.gz" if packed else "f.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    rows, rejects = read(path, ["c", "a"], block)
    assert (rows, rejects) == (expected, [])


@pytest.mark.parametrize("block", [1, 4 << 20])
def test_quoted_newlines_go_on_only_as_far_as_they_may(tmp_path, block, monkeypatch):
    monkeypatch.setattr(csv_parser, "MAX_RECORD_BYTES", 40)
    path = tmp_path / "f.csv"
    long = b"x" * 20 + b"\n" + b"y" * 20
    path.write_bytes(b'a,b\n1,"two\nlines, ""q"""\n2,"' + long + b'"\n3,c\n4,"end')
    rows, _ = read(path, ["a", "b"], block)
    assert rows == [
        (2, "1", 'two\nlines, "q"', None, None),
        (4, None, None, "quote is not closed", '2,"' + "x" * 20),
        (5, None, None, "wrong number of fields: 1 instead of 2", "y" * 20 + '"'),
        (6, "3", "c", None, None),
        (7, None, None, "quote is not closed", '4,"end'),
    ]


def test_raw_text_is_cut(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("a,b\n" + "é" * 5000 + "\n")
    rows, _ = read(path, ["a"])
    assert rows == [(2, None, "wrong number of fields: 1 instead of 2", "é" * 1000)]


def test_header_given(tmp_path):
    path = tmp_path / "UserBehavior.csv"
    path.write_text("1,2\n3,4\n")
    rows, _ = read(path, ["item", "user"], dialect=Dialect(header=("user", "item")))
    assert [row[:3] for row in rows] == [(1, "2", "1"), (2, "4", "3")]


@pytest.mark.parametrize("block", [100_000, 4 << 20])
def test_lines_too_long_are_left_out(tmp_path, block, monkeypatch):
    monkeypatch.setattr("hup.data.engines.text_files.MAX_LINE_BYTES", 5_000_000)
    path = tmp_path / "f.csv"
    path.write_bytes(b'a,b\n1,2\n3,"open\n' + b"x" * 12_000_000 + b"\n5,6\n")
    rows, _ = read(path, ["a"], block)
    assert [row[:2] for row in rows] == [(2, "1"), (3, None), (4, None), (5, "5")]
    assert rows[1][2] == "quote is not closed"
    assert rows[2][2].startswith("line is longer than")
