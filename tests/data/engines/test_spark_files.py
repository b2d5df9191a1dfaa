"""Places that only Spark knows: here by ``file:///``."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.engines.reader import Dialect, TableSource, is_uri
from hup.data.engines.spark_files import list_uris
from hup.errors import HupError


@pytest.mark.parametrize("text", ["s3a://bucket/x", "hdfs:///x", "file:///x", "abfss://c@a.net/", "dbfs:/x", "gs://b"])
def test_uris(text):
    assert is_uri(text)


@pytest.mark.parametrize("text", ["x.csv", "/a/b", "../x", "a:b", "C:\\x", "", "s3a", "x/file:///y", "*.csv"])
def test_paths_are_no_uris(text):
    assert not is_uri(text)


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2 é%20.csv", "b/1.csv", "_temporary/x.csv", ".hidden", "b/_SUCCESS", "b/.1.csv.crc"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("user,item\n1,2\n")
    (tmp_path / "in" / "a.csv.gz").write_bytes(gzip.compress(b"item,user\n3,4\n5,6\n"))
    return tmp_path / "in"


@pytest.mark.slow
def test_folders_files_and_globs(spark, folder):
    names = ["a.csv", "b/1.csv", "b/2 é%20.csv"]
    files = list_uris(spark.reader.spark, [f"file://{folder}"])
    assert [file.name for file in files] == names
    assert [file.bytes for file in files] == [len((folder / "a.csv.gz").read_bytes()), 14, 14]
    assert [
        file.name for file in list_uris(spark.reader.spark, [f"file://{folder}/b/*.csv", f"file://{folder}/b/1.csv"])
    ] == [
        "1.csv",
        "2 é%20.csv",
    ]
    assert [file.name for file in list_uris(spark.reader.spark, [f"file://{folder}/b/1.csv"])] == ["1.csv"]


@pytest.mark.slow
def test_rows_and_columns(spark, folder, as_source, read_rows):
    source = TableSource(uris=(f"file://{folder}",))
    assert list(spark.reader.columns(source, Dialect())) == ["item", "user"]
    (there, raw), (here, local) = (read_rows(each, ["user", "item"], engine=spark) for each in (source, folder))
    assert there == here
    assert [(row["user"], row["item"], row["hup_file"], row["hup_row"]) for row in there] == [
        ("4", "3", 0, 2),
        ("6", "5", 0, 3),
        ("1", "2", 1, 2),
        ("1", "2", 2, 2),
    ]
    assert (raw.files, raw.sizes) == (local.files, local.sizes)


@pytest.mark.slow
def test_parquet(spark, tmp_path, read_rows):
    pq.write_table(pa.table({"a": [3, 4]}), tmp_path / "x y.parquet")
    source = TableSource(uris=(f"file://{tmp_path}/x y.parquet",))
    rows, _ = read_rows(source, ["a"], engine=spark)
    assert [tuple(row.values())[:3] for row in rows] == [(3, 0, 1), (4, 0, 2)]
    (tmp_path / "x y.parquet").write_bytes(b"PAR1 and more, but no footer")
    with pytest.raises(HupError, match=r"file:///.*x y\.parquet cannot be read as Parquet"):
        spark.reader.columns(source, Dialect())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file:///nowhere/at/all", "There is no file file:///nowhere"),
        ("file:///nowhere/*.csv", "There is no file"),
        ("nosuchscheme://x/y", "cannot be listed: No FileSystem for scheme"),
    ],
)
def test_uris_that_lead_nowhere(spark, uri, words):
    with pytest.raises(HupError, match=words):
        spark.reader.columns(TableSource(uris=(uri,)), Dialect())
