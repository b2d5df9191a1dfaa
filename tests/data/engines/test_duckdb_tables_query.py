"""Queries over databases and files."""

import duckdb
import pyarrow as pa
import pytest

from hup.data.engines.reader import Dialect, TableSource
from hup.errors import HupError


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "it's.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE events AS SELECT range AS item, 'u' || range AS user FROM range(1000)")
        connection.execute("CREATE SCHEMA more")
        connection.execute("CREATE VIEW more.some AS SELECT * FROM main.events WHERE item < 3")
    return path


def rows_of(engine, told, query, columns, database=None):
    raw = engine.reader.read(TableSource(query=query, database=database), Dialect(), columns, told)
    assert (raw.files, raw.sizes, raw.file_rejects) == (("query",), (0,), [])
    engine.create_table("rows", raw.typed(lambda _types: "SELECT * FROM raw_rows"))
    return engine.collect("FROM rows").to_pylist()


@pytest.mark.parametrize("end", ["", ";", " -- only ';' three;\n", " ; /* é; */ ; -- x"])
def test_rows_have_no_place(engine, database, told, end):
    query = f"SELECT user, item, 'é;' AS x FROM events WHERE item < 3{end}"
    found = rows_of(engine, told, query, ["item", "x", "item"], database)
    assert sorted(row["item"] for row in found) == [0, 1, 2]
    assert found[0] == {**found[0], "x": "é;", "hup_file": 0, "hup_row": None, "hup_problem": None, "hup_text": None}
    source = TableSource(query=query, database=database)
    assert list(engine.reader.columns(source, Dialect()).items()) == [
        ("user", "VARCHAR"),
        ("item", "BIGINT"),
        ("x", "VARCHAR"),
    ]


def test_the_same_database_again(engine, database, told):
    for _again in range(2):
        assert len(rows_of(engine, told, "FROM more.some", ["item"], database)) == 3


def test_files_named_in_the_query(engine, tmp_path, told):
    (tmp_path / "a.csv").write_text("user,item\n1,2\n")
    [row] = rows_of(engine, told, f"SELECT item FROM '{tmp_path}/a.csv'", ["item"])
    assert row["item"] == 2


def test_names_of_ours_are_not_seen(engine, database, told):
    engine.register("events", pa.table({"user": ["ours"]}))
    engine.create_table("kept", "FROM events")
    assert len(rows_of(engine, told, "SELECT user FROM events", ["user"], database)) == 1000
    local = pa.table({"user": ["ours"]})
    for name in ("kept", "events", "local"):
        with pytest.raises(HupError, match=rf"query fails: Catalog Error: Table with name {name} does not exist"):
            rows_of(engine, told, f"SELECT user FROM {name}", ["user"])
    assert len(local) == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "must be one SELECT; found nothing"),
        ("DROP TABLE events", "must be one SELECT; found DROP"),
        ("INSERT INTO events SELECT * FROM events", "must be one SELECT; found INSERT"),
        ("COPY events TO 'x.csv'", "must be one SELECT; found COPY"),
        ("SELECT 1; SELECT 2", "must be one SELECT; found SELECT, SELECT"),
        ("SELEC 1", "query fails: Parser Error"),
        ("SELECT nothing FROM events", "query fails: Binder Error"),
        ("SELECT item AS user FROM event", "query fails: Catalog Error"),
        ("SELECT item AS usr FROM events", r"The query has no column 'user'\. Did you mean 'usr'\? It has 'usr'"),
        ("SELECT user::INT AS user FROM events", "query fails: Conversion Error"),
    ],
)
def test_queries_that_do_not_do(engine, database, told, query, message):
    with pytest.raises(HupError, match=message) as raised:
        rows_of(engine, told, query, ["user"], database)
    assert "\n" not in str(raised.value)


def test_databases_that_do_not_open(engine, tmp_path, told):
    with pytest.raises(HupError, match="There is no database"):
        rows_of(engine, told, "SELECT 1 AS x", ["x"], tmp_path / "none.db")
    (tmp_path / "x.db").write_text("user,item\n" * 1000)
    with pytest.raises(HupError, match=r"x\.db cannot be opened: IO Error"):
        rows_of(engine, told, "SELECT 1 AS x", ["x"], tmp_path / "x.db")


def test_more_rows_than_memory(engine, told):
    query = "SELECT range AS n, md5(range::VARCHAR) AS text FROM range(3_000_000) ORDER BY text"
    raw = engine.reader.read(TableSource(query=query), Dialect(), ["n"], told)
    engine.create_table("rows", raw.typed(lambda _types: "SELECT * FROM raw_rows"))
    [row] = engine.collect("SELECT sum(n)::BIGINT AS n FROM rows").to_pylist()
    assert row["n"] == 3_000_000 * 2_999_999 // 2


def test_places_of_spark(engine, told):
    source = TableSource(uris=("s3a://bucket/events/",))
    for work in (
        lambda: engine.reader.columns(source, Dialect()),
        lambda: engine.reader.read(source, Dialect(), ["x"], told),
    ):
        with pytest.raises(HupError, match="s3a://bucket/events/ is a place that only Spark reads"):
            work()
