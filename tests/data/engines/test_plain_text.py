"""Text of other encodings and with delimiters of several characters reads as UTF-8 with one would."""

from __future__ import annotations

import gzip

import pytest

from hup.data.engines.plain_text import check_delimiter, check_encoding
from hup.data.engines.reader import Dialect
from hup.errors import HupError


def values(rows, *names):
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("encoding", ["cp1252", "gb18030", "shift_jis", "utf-8"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl"])
def test_encodings(tmp_path, read_rows, engine, as_source, encoding, ending):
    name, item = {"cp1252": ("größe", "Tür"), "utf-8": ("größe", "Tür")}.get(encoding, ("商品", "本棚"))
    text = f'{{"{name}": "{item}", "user": "a"}}\n{{"{name}": "b", "user": "{item}"}}\n'
    if ending != "jsonl":
        text = f"{name},user\n{item},a\nb,{item}\n"
    raw = text.encode(encoding)
    path = tmp_path / f"log.{ending}"
    path.write_bytes(gzip.compress(raw) if ending.endswith("gz") else raw)
    dialect = Dialect(encoding=check_encoding(encoding))
    assert list(engine.reader.columns(as_source(path), dialect)) == [name, "user"]
    rows, _ = read_rows(path, [name, "user"], dialect)
    assert values(rows, name, "user", "hup_problem") == [(item, "a", None), ("b", item, None)]


def test_bytes_that_are_no_text_in_an_encoding_are_told(tmp_path, read_rows):
    (tmp_path / "log.csv").write_bytes(b"user,item\na,x\nb,\x81\xff\n\xe4,y\n")
    rows, _ = read_rows(tmp_path / "log.csv", ["user", "item"], Dialect(encoding="cp1252"))
    assert values(rows, "hup_row", "user", "item", "hup_problem") == [
        (2, "a", "x", None),
        (3, None, None, "item is not UTF-8: byte 0x81"),
        (4, "ä", "y", None),
    ]


@pytest.mark.parametrize("header", [None, ("user", "item", "rating", "time")])
def test_two_colons(tmp_path, read_rows, header):
    lines = ["1::1193::5::978300760", "1::a:b::3::978302109", '2::"x::y"::1::978301968', "2::x::1", ""]
    first = [] if header else ["user::item::rating::time"]
    (tmp_path / "ratings.dat").write_text("\n".join([*first, *lines]) + "\n")
    rows, _ = read_rows(tmp_path / "ratings.dat", ["user", "item", "time"], Dialect("::", header))
    line = 1 + len(first)
    assert values(rows, "hup_row", "item", "time", "hup_problem", "hup_text") == [
        (line, "1193", "978300760", None, None),
        (line + 1, "a:b", "978302109", None, None),
        (line + 2, "x\x1fy", "978301968", None, None),
        (line + 3, None, None, "wrong number of fields: 3 instead of 4", "2::x::1"),
        (line + 4, None, None, "empty line", ""),
    ]


@pytest.mark.parametrize("name", ["utf-16", "utf-32", "klingon", "", "hex"])
def test_encodings_that_cannot_be_read(name):
    with pytest.raises(HupError, match="cannot be read; expected one in which a newline is one byte"):
        check_encoding(name)


def test_encodings_have_usual_names():
    assert [check_encoding(name) for name in ("Latin-1", "UTF8", "windows-1252", "GBK")] == [
        *("iso8859-1", "utf-8", "cp1252", "gbk"),
    ]


@pytest.mark.parametrize("delimiter", ["", '"', "\n", "a\r", "é", "123456789"])
def test_delimiters_that_are_none(delimiter):
    with pytest.raises(HupError, match="cannot separate fields"):
        check_delimiter(delimiter)
