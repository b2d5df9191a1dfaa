"""Tables of items and of parents: what they say, and which of their rows cannot be used."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import TableSource
from hup.data.log_source import LogSource
from hup.data.progress import Progress
from hup.data.tables.categories import SEPARATOR
from hup.data.tables.item_table import read_category_tables, side_files
from hup.data.tables.mapping import Mapping
from hup.errors import HupError

NOW = 1_700_000_000_000
TABLE = {"user": "u", "item": "i", "timestamp": "t", "behavior": "b"}
ONE = {"file": "items.csv", "item": "i", "category": "c"}
TWO = {"file": "items.csv", "item": "i", "columns": ["c1", "c2"]}
TIMED = {**ONE, "timestamp": {"column": "t", "unit": "ms"}}
TREE = {"file": "tree.csv", "category": "c", "parent": "p"}
DAY = 1_569_888_000_000  # 2019-10-01, ms
ITEM_ROW, PARENT_ROW = "row of the item table cannot be used: ", "row of the table of parents cannot be used: "


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory):
    with DuckDBEngine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture(params=["duckdb", pytest.param("spark", marks=pytest.mark.slow)])
def engine(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def read(engine, tmp_path):
    """Reads the tables in the folder of the test, given the text of some."""

    def read(items=None, parents=None, /, **texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.csv").write_text(text)
        categories = {"items": items or ONE, **({"parents": parents} if parents else {})}
        mapping = Mapping.validated({"tables": TABLE, "categories": categories})
        source = LogSource("events", TableSource(), mapping, (tmp_path,))
        return read_category_tables(source, mapping, engine, Progress(), NOW)

    return read


def held(engine, found) -> dict[str, list[tuple]]:
    """Spans by item, in order of time."""
    spans: dict[str, list[tuple]] = {}
    for row in engine.collect(f"SELECT * FROM {found.assigned} ORDER BY item, since_ms, until_ms").to_pylist():
        spans.setdefault(row["item"], []).append((row["category"], row["since_ms"], row["until_ms"]))
    return spans


def categories(engine, found) -> dict[str, str | None]:
    spans = held(engine, found)
    assert all(len(rows) == 1 for rows in spans.values())
    return {item: rows[0][0] for item, rows in spans.items()}


def rejects(engine, found) -> list[list[tuple]]:
    """Bad rows of each table in order of place."""
    tables = []
    for bad in found.bad:
        rows = engine.collect(f'SELECT * FROM {bad.rows} ORDER BY file, "row"')
        assert rows.schema == pa.schema(
            [("file", pa.int32()), ("row", pa.int64()), ("text", pa.string()), ("reason", pa.string())]
        )
        tables.append([(bad.files[r["file"]], r["row"], r["text"], r["reason"]) for r in rows.to_pylist()])
    return tables


# What is said


def test_a_row_with_all_its_columns_empty_has_no_category(engine, read):
    found = read(TWO, items="i,c1,c2\ncup,,\npan,a,\npot,,b\nlid,NULL,nan\n")
    assert categories(engine, found) == {"cup": None, "pan": f"a{SEPARATOR}", "pot": f"{SEPARATOR}b", "lid": None}


def test_the_last_row_of_an_item_counts(engine, read):
    found = read(items="i,c\ncup,z\npan,a\ncup,b\ncup,y\npan,a\npot,\n")
    assert categories(engine, found) == {"cup": "y", "pan": "a", "pot": None}
    assert found.notes == (
        "Items in several categories; the last row counts: 1, such as cup (3 categories, the last is y).",
    )


def test_the_last_file_counts(engine, read):
    found = read({**ONE, "file": "items*.csv"}, items1="i,c\ncup,z\ncup,a\n", items2="i,c\ncup,b\n")
    assert categories(engine, found) == {"cup": "b"}


def test_a_missing_category_takes_none_away(engine, read):
    found = read(items="i,c\ncup,a\ncup,\npan,\npan,b\n")
    assert categories(engine, found) == {"cup": "a", "pan": "b"}
    assert found.notes == ()


def test_at_most_three_items_in_several_categories_are_named(engine, read):
    rows = "".join(f"i{n},{c},x\n" for n in range(5) for c in "ab")
    (note,) = read(TWO, items="i,c1,c2\n" + rows).notes
    assert "the last row counts: 5, such as i0 (2 categories, the last is b > x); i1 (" in note
    assert "i2 (" in note
    assert "i3 (" not in note


def test_categories_since_a_time(engine, read):
    found = read(TIMED, items=f"i,c,t\ncup,b,{DAY + 5}\ncup,a,{DAY}\ncup,a,{DAY + 1}\ncup,,{DAY + 9}\n")
    always, never = -(2**62), 2**62
    assert held(engine, found) == {"cup": [("a", always, DAY + 5), ("b", DAY + 5, DAY + 9), (None, DAY + 9, never)]}
    assert found.notes == ()


def test_of_one_time_the_last_row_counts(engine, read):
    found = read(TIMED, items=f"i,c,t\ncup,a,{DAY}\ncup,z,{DAY + 5}\ncup,b,{DAY + 5}\n")
    spans = [span for span in held(engine, found)["cup"] if span[1] < span[2]]
    assert spans == [("a", -(2**62), DAY + 5), ("b", DAY + 5, 2**62)]


def test_events_get_the_category_of_their_time(engine, read):
    found = read(TIMED, items=f"i,c,t\ncup,a,{DAY}\ncup,b,{DAY + 5}\n")
    times = [DAY - 9, DAY + 4, DAY + 5, DAY]
    good = pa.table({"item": ["cup"] * 3 + ["pan"], "time_ms": times, "category": pa.nulls(4, pa.string())})
    engine.register("good", good)
    seen = engine.collect(f"SELECT * FROM ({found.of_events('FROM good')}) ORDER BY item, time_ms")
    assert seen["category"].to_pylist() == ["a", "a", "b", None]


# Rows that cannot be used


def test_good_tables_have_no_bad_rows(engine, read):
    found = read(TIMED, TREE, items=f"i,c,t\ncup,a,{DAY}\n", tree="c,p\na,b\nb,\n")
    assert rejects(engine, found) == [[], []]
    assert found.file_rejects == ()
    assert found.tree.parents == {"b": None, "a": "b"}


def test_bad_rows_of_an_item_table(engine, read):
    found = read(TWO, items="i,c1,c2\ncup,a,b\ntoo,few\n,a,b\nNULL,,\n")
    assert categories(engine, found) == {"cup": f"a{SEPARATOR}b"}
    assert rejects(engine, found) == [
        [
            ("items.csv", 3, "too,few", ITEM_ROW + "wrong number of fields: 2 instead of 3"),
            ("items.csv", 4, "i=, c1/c2=a/b", ITEM_ROW + "item is missing"),
            ("items.csv", 5, "i=, c1/c2=", ITEM_ROW + "item is missing"),
        ]
    ]


def test_bad_times_of_an_item_table(engine, read):
    lines = [f"cup,a,{DAY}", "cup,b,", "cup,b,soon", f"pan,b,{DAY}", "pan,c,5", f",b,{DAY}", "pan,d,NULL"]
    found = read(TIMED, items="\n".join(["i,c,t", *lines]))
    assert {item: [span[0] for span in spans] for item, spans in held(engine, found).items()} == {
        "cup": ["a"],
        "pan": ["b"],
    }
    assert rejects(engine, found)[0] == [
        ("items.csv", 3, "i=cup, c=b, t=", ITEM_ROW + "timestamp is missing"),
        ("items.csv", 4, "i=cup, c=b, t=soon", ITEM_ROW + "timestamp is not a time: soon"),
        ("items.csv", 6, "i=pan, c=c, t=5", ITEM_ROW + "timestamp is before 1973: 5"),
        ("items.csv", 7, f"i=, c=b, t={DAY}", ITEM_ROW + "item is missing"),
        ("items.csv", 8, "i=pan, c=d, t=", ITEM_ROW + "timestamp is missing"),
    ]


def test_rows_that_where_leaves_out_are_not_bad(engine, read):
    rules = {**ONE, "where": {"k": "category"}}
    found = read(rules, items="i,k,c\ncup,category,a\n,price,5\ncup,,7\nbroken\n,category,b\n")
    assert categories(engine, found) == {"cup": "a"}
    assert rejects(engine, found)[0] == [
        ("items.csv", 5, "broken", ITEM_ROW + "wrong number of fields: 1 instead of 3"),
        ("items.csv", 6, "i=, c=b, k=category", ITEM_ROW + "item is missing"),
    ]


def test_bad_rows_of_a_table_of_parents(engine, read):
    found = read(ONE, TREE, items="i,c\ncup,a\n", tree="c,p\na,b\nc\n,b\n")
    assert found.tree.parents == {"b": None, "a": "b"}
    assert rejects(engine, found)[0] == [
        ("tree.csv", 3, "c", PARENT_ROW + "wrong number of fields: 1 instead of 2"),
        ("tree.csv", 4, "c=, p=b", PARENT_ROW + "category is missing"),
    ]


def test_long_bad_rows_are_cut(engine, read):
    found = read(items=f"i,c\ncup,a\n,{'x' * 3000}\n")
    assert len(rejects(engine, found)[0][0][2]) == 1000


def test_files_that_cannot_be_used_are_told(engine, read):
    found = read({**ONE, "file": "items*.csv"}, TREE, items1="i,c\ncup,a\n", items2="", tree="c,p\na,b\n")
    assert [reject.file for reject in found.file_rejects] == ["items2.csv"]
    assert categories(engine, found) == {"cup": "a"}


def test_one_column_may_be_sought_and_given(engine, read):
    found = read({**ONE, "where": {"c": "a"}}, items="i,c\ncup,a\npan,b\n")
    assert categories(engine, found) == {"cup": "a"}


def test_types_that_are_no_ids_are_told_with_their_file(engine, read, tmp_path):
    pq.write_table(pa.table({"i": [True], "c": ["a"]}), tmp_path / "items.parquet")
    with pytest.raises(HupError, match=r"items\.parquet: Column 'i' holds true and false"):
        read({**ONE, "file": "items.parquet"})


# Where the files are


def test_folders_are_no_patterns(tmp_path):
    folder = tmp_path / "logs [1]*"
    folder.mkdir()
    (folder / "items.csv").write_text("i,c\n")
    (folder / "items[2].csv").write_text("i,c\n")
    source = LogSource("events", TableSource(), None, (folder,))
    assert [file.path for file in side_files(["*s.csv"], source, "table")] == [folder / "items.csv"]
    assert [file.path for file in side_files(["items[[]*"], source, "table")] == [folder / "items[2].csv"]


def test_folders_looked_in_are_listed_once(tmp_path):
    other = tmp_path / "other"
    source = LogSource("events", TableSource(), None, (tmp_path, other, tmp_path))
    with pytest.raises(HupError) as told:
        side_files(["items.csv"], source, "table of items")
    assert str(told.value) == f"The table of items items.csv is not there; looked in {tmp_path}, {other}."


def test_without_a_folder_that_is_told():
    with pytest.raises(HupError, match="looked in no folder: put the mapping beside them"):
        side_files(["items.csv"], LogSource("events", TableSource(), None, ()), "table of items")
