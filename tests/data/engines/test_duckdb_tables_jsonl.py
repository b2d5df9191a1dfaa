"""JSON lines through the engine, against Python's reader."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.data import line_blocks
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect, SourceFile, TableSource
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.errors import HupError


def write(path, *lines):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_columns_are_keys_of_the_first_lines(tmp_path, engine, as_source):
    write(tmp_path / "a.jsonl", {"user": 1, "item": {"id": 2, "of": {"x": [1]}}}, "[1]", {"later": None})
    write(tmp_path / "b.json", {"user": 1, "a.b": 2})
    (tmp_path / "c.ndjson").write_text("\n\n")
    names = ["user", "item.id", "item.of.x", "later", "a.b"]
    assert engine.reader.columns(as_source(tmp_path), Dialect()) == dict.fromkeys(names, "VARCHAR")


def test_values_are_text(tmp_path, read_rows):
    lines = [
        '{"user": "u\\u00e4\\n", "n": 12345678901234567890123, "item": {"id": "i/~1", "f": 1.50}, "a.b": 1, "x": true}',
        ' \t{"user": null, "item": {}, "a": {"b": "nested"}, "x": {"y": [1, "z"]}, "a/b~c": "slash"} \r',
        '{"user": "", "item": [7], "x": [1]}',
    ]
    path = write(tmp_path / "a.jsonl", *lines)
    rows, _ = read_rows(path, ["user", "n", "item.id", "a.b", "x", "a/b~c"])
    values = [tuple(row[name] for name in ("user", "n", "item.id", "a.b", "x", "a/b~c")) for row in rows]
    assert values == [
        ("uä\n", "12345678901234567890123", "i/~1", "1", "true", None),
        (None, None, None, "nested", '{"y":[1,"z"]}', "slash"),
        ("", None, None, None, "[1]", None),
    ]
    assert [row["hup_row"] for row in rows] == [1, 2, 3]


KEYS = st.sampled_from(["user", "item", "a.b", "a", "b", "x y", '"', "$", "*", "", "0", "é", "/", "~1"])
SCALARS = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(st.characters(codec="utf-8"), max_size=4)
OBJECTS = st.dictionaries(KEYS, SCALARS | st.dictionaries(KEYS, SCALARS, max_size=3), max_size=5)


def as_text(value):
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_written(text):
    """Read objects, which may escape characters in more than one way."""
    return json.loads(text) if text is not None and text.startswith('{"') else text


def lookup(value, name):
    """Give a key, or a key of a nested object."""
    if value.get(name) is not None:
        return value[name]
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def problem_of(value, names):
    """Say which of the keys is an object, if any."""
    nested = [name for name in names if isinstance(lookup(value, name), dict)]
    return f"nested value in column {nested[0]!r}: expected text or a number, found an object" if nested else None


LINES = st.one_of(
    OBJECTS.map(lambda value: (json.dumps(value), value)),
    OBJECTS.map(lambda value: (json.dumps(value, ensure_ascii=False, indent=None), value)),
    st.sampled_from(["[1]", "1", '"{}"', "null", '{"user": 1', '{"user": 1}}', "{user: 1}", "x", "{'a': 1}"]).map(
        lambda text: (text, "line is no JSON object")
    ),
    st.sampled_from(["", "  ", "\r"]).map(lambda text: (text, "empty line")),
    st.just((b'{"user": "\xff"}', "line is not UTF-8: byte 0xff at column 11")),
)


@pytest.fixture(scope="module")
def one_engine(tmp_path_factory):
    with DuckDBEngine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@settings(max_examples=50)
@given(lines=st.lists(LINES, max_size=15), block=st.sampled_from([1, 9, 4 << 20]))
def test_lines_come_back(tmp_path_factory, one_engine, lines, block):
    names = ["user", "a.b", "item.é", "item.$", "/", "~1", "item", '"', "*"]
    path = tmp_path_factory.mktemp("jsonl") / "f.jsonl"
    known = {"user": 1, **dict.fromkeys(names, 1)}
    raw_lines = [line if isinstance(line, bytes) else line.encode() for line, _ in lines]
    path.write_bytes(b"\n".join([json.dumps(known).encode(), *raw_lines]) + b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_blocks, "BLOCK_BYTES", block)
        source = TableSource(files=(SourceFile(path, "f", 1),))
        raw = one_engine.reader.read(source, Dialect(), names, Progress())
        rows = one_engine.collect(raw.typed(lambda _types: "SELECT * FROM raw_rows") + " ORDER BY hup_row").to_pylist()
    assert [row["hup_row"] for row in rows] == list(range(1, len(lines) + 2))
    for row, (line, value) in zip(rows[1:], lines, strict=True):
        if isinstance(value, str):
            text = line.decode(errors="replace") if isinstance(line, bytes) else line
            assert (row["hup_problem"], row["hup_text"].strip()) == (value, text.strip())
            assert {row[name] for name in names} == {None}
        else:
            problem = problem_of(value, names)
            assert (row["hup_problem"], row["hup_text"]) == (problem, line if problem else None)
            found = {name: as_written(row[name]) for name in names}
            assert found == {name: as_written(as_text(lookup(value, name))) for name in names}


def test_lists_and_objects_are_no_values(tmp_path, read_rows):
    """Each would be an id or a category of its own; text that looks like one is text."""
    values = [["x", "y"], {"x": 1}, [], "[x]", '{"x": 1}', 7, None]
    path = write(tmp_path / "a.jsonl", *({"user": "u", "item": value} for value in values))
    rows, _ = read_rows(path, ["user", "item"])
    problem = "nested value in column 'item': expected text or a number, found"
    kinds = ["a list", "an object", "a list"]
    assert [row["hup_problem"] for row in rows] == [*(f"{problem} {kind}" for kind in kinds), *[None] * 4]
    assert rows[0]["hup_text"] == '{"user": "u", "item": ["x", "y"]}'
    assert [row["item"] for row in rows[3:]] == ["[x]", '{"x": 1}', "7", None]


def test_files_empty_and_broken_off(tmp_path, read_rows, told):
    content = "".join(json.dumps({"user": f"u{n}"}) + "\n" for n in range(20_000)).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content)[:-2000])
    (tmp_path / "b.jsonl").write_bytes(b"")
    write(tmp_path / "c.jsonl", {"user": "last"}, '{"item": 1}')
    rows, raw = read_rows(tmp_path, ["user"], progress=told)
    n = len(rows) - 2
    assert 0 < n < 20_000
    assert [row["user"] for row in rows] == [*(f"u{n}" for n in range(n)), "last", None]
    assert [row["hup_file"] for row in rows] == [0] * n + [2, 2]
    assert raw.file_rejects[0] == FileReject("b.jsonl", None, "file is empty")
    assert (raw.file_rejects[1].file, raw.file_rejects[1].line) == ("a.jsonl", n + 1)
    assert told.bytes == sum(raw.sizes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "nothing to read"),
        (" \n\n", "nothing to read"),
        ('[\n{"user": 1},\n{"user": 2}\n]', "is one JSON list"),
        ('[{"user": 1}, {"user": 2}]', "is one JSON list"),
        ('{\n"user": 1\n}', r"none of the first 3 lines is a JSON object; the first begins with '\{'"),
        ('{"users": 1}', r"has no column 'user'\. Did you mean 'users'"),
        ('{"user": {"id": 1}}', r"has no column 'user'\. Did you mean 'user\.id'"),
    ],
)
def test_files_that_are_no_table(tmp_path, engine, as_source, told, content, message):
    write(tmp_path / "a.json", content)
    with pytest.raises(HupError, match=message):
        engine.reader.read(as_source(tmp_path), Dialect(), ["user"], told)


def test_lines_too_long(tmp_path, read_rows, monkeypatch):
    monkeypatch.setattr("hup.data.engines.text_files.MAX_LINE_BYTES", 5_000_000)
    path = write(tmp_path / "a.jsonl", {"user": "u1"}, {"user": "x" * 12_000_000}, {"user": "u3"})
    rows, _ = read_rows(path, ["user"])
    assert [(row["hup_row"], row["user"]) for row in rows] == [(1, "u1"), (2, None), (3, "u3")]
    assert rows[1]["hup_problem"].startswith("line is longer than")
