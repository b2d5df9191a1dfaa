"""What a log may be read from, and where it may be written to: files, queries, URIs."""

from __future__ import annotations

import shlex
import tempfile

import pytest

from hup.data.engines.reader import SourceFile, TableSource
from hup.data.engines.remote_folder import local_twin
from hup.data.log_source import LogSource
from hup.data.prepare import prepare
from hup.errors import HupError

HEADER = "user,session,timestamp,item,behavior,category_1"
ROWS = ("ann,s1,1700000000,shoe,view,clothes", "ann,s1,1700000010,lamp,view,home")


def write(path, *rows, header=HEADER):
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_a_query_gives_no_jd_lines(tmp_path):
    with pytest.raises(HupError, match="A query gives rows of event tables"):
        prepare(query="SELECT 1", format="jd", out=tmp_path / "out")


@pytest.mark.parametrize("name", ["shop.duckdb", "shop.ddb", "shop.DB"])
def test_a_database_needs_a_query(tmp_path, name):
    (tmp_path / name).write_bytes(b"binary")
    with pytest.raises(HupError, match=rf"{name} is a database.*--query"):
        prepare(tmp_path / name, out=tmp_path / "out")


def test_tables_beside_other_files_are_not_guessed_at(tmp_path):
    days = tmp_path / "days"
    days.mkdir()
    write(days / "e.csv", *ROWS)
    (days / "README.txt").write_text("Read me.\n")
    for sources in (days, [days / "e.csv", days / "README.txt"]):
        with pytest.raises(
            HupError, match=r"tables of events \(.*e\.csv\) and other files \(.*README\.txt\).*--format"
        ):
            prepare(sources, out=tmp_path / "out")
    assert len(prepare(f"{days}/*.csv", out=tmp_path / "out")) == 1


def test_without_a_mapping_a_query_is_named_in_the_next_step(tmp_path):
    write(tmp_path / "e.csv", "1,2,3", header="visitor,product,when")
    query = f"SELECT * FROM '{tmp_path / 'e.csv'}'"
    with pytest.raises(HupError) as caught:
        prepare(query=query, out=tmp_path / "out")
    assert f"`hup map {shlex.join(['--query', query])} --out mapping.toml`" in str(caught.value)


def test_arguments_that_name_a_log(tmp_path):
    database = tmp_path / "my shop.duckdb"
    query = TableSource(query="SELECT 'a'", database=database)
    assert shlex.split(LogSource("events", query, None, ()).words) == [str(database), "--query", "SELECT 'a'"]
    files = TableSource(files=(SourceFile(tmp_path / "a b.csv", "a b.csv", 1),))
    assert shlex.split(LogSource("events", files, None, ()).words) == [str(tmp_path / "a b.csv")]
    assert LogSource("events", TableSource(uris=("s3a://a/b",)), None, ()).words == "SOURCE"


def test_tables_that_the_mapping_names_are_not_sought_among_uris(tmp_path):
    with pytest.raises(HupError, match=r"names the table item_properties.*name that by --map"):
        prepare("s3a://shop/events", map="retailrocket", engine="spark", out=tmp_path / "out")


@pytest.mark.parametrize("error", [HupError("no Spark"), KeyboardInterrupt()])
def test_what_fails_on_its_way_to_a_uri_leaves_nothing_here(tmp_path, monkeypatch, error):
    def fail(*_arguments):
        raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("hup.data.prepare.open_engine", fail)
    with pytest.raises(type(error)):
        prepare(write(tmp_path / "e.csv", *ROWS), out="s3a://shop/dataset", engine="spark")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_local_twins_stay_with_what_an_error_names(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with local_twin("s3a://shop/dataset") as twin:
        twin.mkdir()
    assert twin.is_dir()
    places = []

    def fail():
        with local_twin("s3a://shop/dataset") as twin:
            places.extend((twin, twin.with_name("dataset.rejects.parquet")))
            twin.mkdir()
            places[1].touch()
            raise ValueError("too many")

    with pytest.raises(ValueError, match="too many"):
        fail()
    assert [place.exists() for place in places] == [False, True]


def test_uris_need_spark(tmp_path):
    with pytest.raises(HupError, match="s3a://shop/events is read by Spark: add --engine spark"):
        prepare("s3a://shop/events", out=tmp_path / "out")
