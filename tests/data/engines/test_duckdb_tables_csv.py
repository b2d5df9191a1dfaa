"""Delimited files through the engine: what it says of them, and several at once."""

import gzip
from pathlib import Path

import pytest
import zstandard

from hup.data.engines.reader import Dialect
from hup.data.rejects import FileReject
from hup.errors import HupError


def test_columns_are_text(tmp_path, engine, as_source):
    (tmp_path / "a.csv").write_text('\ufeffuser,"item ""x""",price\n1,2,3.5\n')
    (tmp_path / "b.csv").write_text("extra,user\n")
    (tmp_path / "c.csv").write_text("")
    assert engine.reader.columns(as_source(tmp_path), Dialect()) == dict.fromkeys(
        ["user", 'item "x"', "price", "extra"], "VARCHAR"
    )
    assert list(engine.reader.columns(as_source(tmp_path / "a.csv"), Dialect(header=("x", "y", "z")))) == [
        "x",
        "y",
        "z",
    ]


def test_files_with_columns_in_other_orders(tmp_path, engine, read_rows, told):
    (tmp_path / "a.csv").write_text("user,item,price\nu1,i1,1\nu2,i2,2\n")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"item,user\ni3,u3\n,\n", mtime=0))
    (tmp_path / "c.csv.zst").write_bytes(zstandard.compress(b"x,y,item,user\n,,i4,u4"))
    (tmp_path / "d.csv").write_bytes(b"")
    (tmp_path / "e.csv").write_bytes(b"item,user\n")
    rows, raw = read_rows(tmp_path, ["user", "item", "user"], progress=told)
    place = {"hup_problem": None, "hup_text": None}
    assert rows == [
        {"user": "u1", "item": "i1", "hup_file": 0, "hup_row": 2, **place},
        {"user": "u2", "item": "i2", "hup_file": 0, "hup_row": 3, **place},
        {"user": "u3", "item": "i3", "hup_file": 1, "hup_row": 2, **place},
        {"user": None, "item": None, "hup_file": 1, "hup_row": 3, **place},
        {"user": "u4", "item": "i4", "hup_file": 2, "hup_row": 2, **place},
    ]
    assert raw.types == ({"user": "VARCHAR", "item": "VARCHAR"},)
    assert list(engine.types(raw.typed(lambda _types: "SELECT * FROM raw_rows")).items()) == [
        ("user", "VARCHAR"),
        ("item", "VARCHAR"),
        ("hup_file", "INTEGER"),
        ("hup_row", "BIGINT"),
        ("hup_problem", "VARCHAR"),
        ("hup_text", "VARCHAR"),
    ]
    assert raw.files == ("a.csv", "b.csv", "c.csv", "d.csv", "e.csv")
    assert raw.sizes == tuple(path.stat().st_size for path in sorted(tmp_path.glob("*.csv*")))
    assert raw.file_rejects == [
        FileReject("d.csv", None, "file is empty"),
        FileReject("e.csv", None, "file has no rows"),
    ]
    assert told.bytes == sum(raw.sizes)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_broken_off_file_is_used_as_far_as_it_goes(tmp_path, read_rows, suffix):
    content = b"user,item\n" + b"".join(b"u%d,i%d\n" % (n, n * n) for n in range(50_000))
    packed = gzip.compress(content, mtime=0) if suffix == ".gz" else zstandard.compress(content)
    (tmp_path / f"a.csv{suffix}").write_bytes(packed[: len(packed) // 2])
    rows, raw = read_rows(tmp_path, ["user"])
    assert 0 < len(rows) < 50_000
    assert [row["user"] for row in rows] == [f"u{n}" for n in range(len(rows))]
    assert [row["hup_row"] for row in rows] == list(range(2, len(rows) + 2))
    [reject] = raw.file_rejects
    assert (reject.file, reject.line) == ("a.csv", len(rows) + 2)
    assert "ends early" in reject.reason


def test_a_missing_column_names_file_and_nearest(tmp_path, engine, as_source, told):
    (tmp_path / "a.csv").write_text("user,item\n1,2\n")
    (tmp_path / "b.csv").write_text("users,item\n1,2\n")
    with pytest.raises(HupError, match=r"b\.csv has no column 'user'\. Did you mean 'users'\? It has 'users', 'item'"):
        engine.reader.read(as_source(tmp_path), Dialect(), ["user"], told)


def test_another_delimiter_is_suspected(tmp_path, engine, as_source, told):
    (tmp_path / "a.tsv").write_text("user\titem\n1\t2\n")
    with pytest.raises(HupError, match=r"has no column 'user'.* delimiter may be '\\t' rather than ','"):
        engine.reader.read(as_source(tmp_path / "a.tsv"), Dialect(), ["user"], told)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"nothing to read: a\.csv: file is empty"),
        (b"\xef\xbb\xbf", r"nothing to read: a\.csv: file is empty"),
        (b"user,item", r"nothing to read: a\.csv: file has no rows"),
        (b"user,user\n1,2\n", "2 columns named 'user'"),
        (gzip.compress(b"user,item\n", mtime=0), "packed, but not named so"),
        ("user,item\n1,2\n".encode("utf-16"), "header is not UTF-8 text"),
        (b"us\xe9r,item\n1,2\n", "line 1: the header is not UTF-8 text"),
    ],
)
def test_files_that_are_no_table(tmp_path, engine, as_source, told, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(HupError, match=message):
        engine.reader.read(as_source(tmp_path), Dialect(), ["user"], told)


def test_no_file_has_a_header(tmp_path, engine, as_source):
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(HupError, match="nothing to read"):
        engine.reader.columns(as_source(tmp_path), Dialect())


@pytest.mark.parametrize("delimiter", ["", ", , , , ,", '"', "\n", "é"])
def test_delimiters_that_are_none(tmp_path, engine, as_source, delimiter):
    (tmp_path / "a.csv").write_text("a,b\n")
    with pytest.raises(HupError, match="Delimiter"):
        engine.reader.columns(as_source(tmp_path), Dialect(delimiter))


def test_a_file_that_vanishes_while_it_is_read(tmp_path, engine, as_source, told):
    (tmp_path / "a.csv").write_text("user\n1\n")
    (tmp_path / "b.csv").write_text("user\n1\n")
    raw = engine.reader.read(as_source(tmp_path), Dialect(), ["user"], told)
    (tmp_path / "b.csv").unlink()
    with pytest.raises(HupError, match=r"b\.csv cannot be read: No such file"):
        engine.create_table("t", raw.typed(lambda _types: "SELECT * FROM raw_rows"))


def test_names_and_values_that_sql_might_misread(tmp_path, read_rows):
    name = "a \"b\" 'c' ;--"
    quoted = name.replace('"', '""')
    (tmp_path / "it's;[1]*.csv").write_bytes(f'"{quoted}",x\n\'"; --,\0\n'.encode())
    rows, raw = read_rows(tmp_path, [name, "x"])
    assert [(row[name], row["x"]) for row in rows] == [("'\"; --", "\0")]
    assert raw.files == ("it's;[1]*.csv",)


def test_events_of_rees46(shared_data, engine, as_source, told):
    path = shared_data / "rees46" / "events_2019_oct_17k.csv"
    columns = ["event_time", "event_type", "product_id", "category_code", "user_id", "user_session"]
    raw = engine.reader.read(as_source(path), Dialect(), columns, told)
    engine.create_table("events", raw.typed(lambda _types: "SELECT * FROM raw_rows"))
    lines = Path(path).read_text().splitlines()
    [bad] = engine.collect("FROM events WHERE hup_problem IS NOT NULL").to_pylist()
    assert (bad["hup_row"], bad["hup_problem"]) == (17436, "wrong number of fields: 8 instead of 9")
    assert bad["hup_text"] == lines[17435]
    good = engine.collect("FROM events WHERE hup_problem IS NULL ORDER BY hup_row").to_pylist()
    header = lines[0].split(",")
    assert good == [
        {
            **{name: dict(zip(header, line.split(","), strict=True))[name] or None for name in columns},
            **{"hup_file": 0, "hup_row": number, "hup_problem": None, "hup_text": None},
        }
        for number, line in enumerate(lines[1:-1], 2)
    ]
    assert len(good) == 17_434
