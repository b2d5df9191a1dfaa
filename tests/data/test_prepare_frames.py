"""Tables in memory give the dataset that the same rows give from a Parquet file, under the same rules."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hup
from hup.data.dataset import EVENTS, ITEMS, SESSIONS, TAXONOMY
from hup.errors import HupError

pandas = pytest.importorskip("pandas")

MAPPING = hup.Mapping.validated(
    {
        "tables": [{"user": "who", "item": "sku", "behavior": "what", "timestamp": "at"}],
        "categories": {"columns": ["department", "kind"]},
    }
)


def rows(n=40):
    return {
        "who": [f"u{place // 8}" for place in range(n)],
        "at": [1_700_000_000_000 + 1000 * place for place in range(n)],
        "sku": [place % 7 for place in range(n)],
        "what": ["view" if place % 3 else "cart" for place in range(n)],
        "department": ["home"] * n,
        "kind": [f"k{place % 7 % 2}" for place in range(n)],
        "price": [1.5] * n,
    }


@pytest.fixture(scope="module")
def of_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("file")
    pq.write_table(pa.table(rows()), folder / "events.parquet")
    return hup.prepare(folder / "events.parquet", map=MAPPING, out=folder / "dataset")


def same(one, other):
    assert one.fingerprint == other.fingerprint
    for name in (EVENTS, SESSIONS, ITEMS, TAXONOMY):
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name


MAKERS = {
    "Arrow table": lambda: pa.table(rows()),
    "Arrow batch": lambda: pa.record_batch(rows()),
    "reader, many batches": lambda: pa.RecordBatchReader.from_batches(
        pa.table(rows()).schema, pa.table(rows()).to_batches(max_chunksize=3)
    ),
    "pandas": lambda: pandas.DataFrame(rows()),
    "pandas, odd index": lambda: pandas.DataFrame(rows()).set_index(pandas.Index(range(100, 140))),
    "pandas, categories": lambda: pandas.DataFrame(rows()).astype({"who": "category", "kind": "category"}),
    "DuckDB": lambda: duckdb.from_arrow(pa.table(rows())),
    "string views": lambda: pa.table(rows()).set_column(0, "who", pa.array(rows()["who"], pa.string_view())),
    "dictionaries": lambda: pa.table(rows()).set_column(3, "what", pa.array(rows()["what"]).dictionary_encode()),
    "whole floats": lambda: pandas.DataFrame(rows()).astype({"sku": "float64"}),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_dataset_is_that_of_the_parquet_file(name, of_file, tmp_path):
    same(hup.prepare(MAKERS[name](), map=MAPPING, out=tmp_path / "dataset"), of_file)


@pytest.mark.slow
@settings(max_examples=5)
@given(st.data())
def test_any_rows_good_and_bad(tmp_path_factory, data):
    """The dataset, and what was wrong, are those of the Parquet file."""
    folder = tmp_path_factory.mktemp("any")
    n = data.draw(st.integers(6, 30))
    table = pa.table(
        {
            "user": pa.array(data.draw(st.lists(st.sampled_from(["a", "b"]), min_size=n, max_size=n))),
            "item": pa.array(data.draw(st.lists(st.sampled_from([1, 2, 3, None]), min_size=n, max_size=n)), pa.int32()),
            "timestamp": pa.array(range(1_700_000_000, 1_700_000_000 + n), pa.timestamp("s")),
            "behavior": pa.array(["view"] * n),
        }
    )
    pq.write_table(table, folder / "events.parquet")
    answers = []
    for number, source in enumerate((folder / "events.parquet", table, table.to_pandas())):
        try:
            dataset = hup.prepare(source, out=folder / str(number), max_reject_share=1)
            rejects = pq.read_table(dataset.path / "rejects.parquet").drop_columns("file").to_pylist()
            answers.append((dataset.fingerprint, rejects))
        except HupError as error:
            answers.append(str(error).split(".")[0])
    # pandas turns integers with gaps into floats, whose rows are written alike.
    assert answers[0] == answers[1] == answers[2]


def test_a_bad_row_is_named_by_its_number(tmp_path):
    frame = pandas.DataFrame(rows())
    frame.loc[16, "sku"] = None
    with pytest.raises(HupError, match=r"item is missing .1, first at row 17, token"):
        hup.prepare(frame, map=MAPPING, out=tmp_path / "dataset", max_reject_share=0)
    dataset = hup.prepare(frame, map=MAPPING, out=tmp_path / "dataset")
    bad = pq.read_table(dataset.path / "rejects.parquet").to_pylist()[0]
    assert (bad["file"], bad["line"], bad["reason"]) == ("table in memory", 17, "item is missing")
    assert hup.validate(frame, map=MAPPING).examples["item is missing"][0].startswith("row 17")


def test_append_takes_a_table(of_file, tmp_path):
    first, second = pa.table(rows(40)).slice(0, 24), pa.table(rows(40)).slice(24)
    hup.prepare(first, map=MAPPING, out=tmp_path / "grown")
    grown = hup.append(tmp_path / "grown", second.to_pandas(), map=MAPPING)
    assert grown.manifest.counts.events == of_file.manifest.counts.events
    assert [source.file for source in grown.manifest.sources] == ["table in memory"] * 2


def test_tables_with_own_names_need_no_mapping(tmp_path):
    names = {"who": "user", "at": "timestamp", "sku": "item", "what": "behavior"}
    names |= {"department": "category_1", "kind": "category_2"}
    dataset = hup.prepare(pandas.DataFrame(rows()).rename(columns=names), out=tmp_path / "dataset")
    assert dataset.levels == 2


def failing():
    def batches():
        yield pa.record_batch(rows(3))
        raise RuntimeError("the line went dead")

    return pa.RecordBatchReader.from_batches(pa.record_batch(rows(3)).schema, batches())


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (lambda: pandas.DataFrame(rows()), {}, "What do these columns mean.*hup.propose_mapping"),
        (lambda: pa.table(rows()).drop_columns("sku"), {"map": MAPPING}, "no column 'sku'"),
        (lambda: pandas.DataFrame(rows()).assign(sku=["x"] + [1] * 39), {"map": MAPPING}, "column sku.*astype"),
        (lambda: pa.table(rows()).slice(0, 0), {"map": MAPPING}, "The table has no rows"),
        (lambda: pa.table(rows()), {"format": "jd"}, "JD lines are read from files"),
        (lambda: pa.table(rows()), {"query": "SELECT 1"}, "A query names what it reads"),
        (lambda: pa.table(rows()), {"engine": "spark"}, "leave engine='spark' out"),
        (lambda: [pandas.DataFrame(rows())], {}, "list of tables, expected one"),
        (failing, {"map": MAPPING}, "cannot be read: Unknown error: the line went dead"),
        (lambda: 7, {}, "of type int, expected a path, a list of paths"),
    ],
)
def test_what_is_refused(table, options, message, tmp_path):
    with pytest.raises(HupError, match=message):
        hup.prepare(table(), out=tmp_path / "dataset", **options)
    assert not (tmp_path / "dataset").exists()


def test_a_mapping_is_proposed_for_tables_and_files_alike(tmp_path):
    frame = pandas.DataFrame(rows()).rename(columns={"what": "action", "who": "visitor_id"})
    frame.to_csv(tmp_path / "clicks.csv", sep=";", index=False)
    of_frame, of_table = hup.propose_mapping(frame), hup.propose_mapping(pa.Table.from_pandas(frame))
    assert of_frame.mapping == of_table.mapping
    of_path = hup.propose_mapping(str(tmp_path / "clicks.csv"))
    assert of_path.tree["tables"][0] == {
        **of_frame.tree["tables"][0],
        "delimiter": ";",
        "timestamp": of_path.tree["tables"][0]["timestamp"],
    }
    same(
        hup.prepare(tmp_path / "clicks.csv", map=of_path.mapping, out=tmp_path / "a"),
        hup.prepare(frame, map=of_frame.mapping, out=tmp_path / "b"),
    )


def test_files_of_different_columns_have_no_one_mapping(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,timestamp\nx,1,1700000000\n")
    (tmp_path / "b.csv").write_text("sku,name\n1,lamp\n")
    with pytest.raises(HupError, match="2 tables of different columns"):
        hup.propose_mapping(tmp_path)
    with pytest.raises(HupError, match="There is no file"):
        hup.propose_mapping("nowhere.csv")


def test_an_index_without_a_name_is_no_column(tmp_path):
    """As pandas leaves one behind after rows were chosen: it would travel with the items, and be shown."""
    items = pandas.DataFrame({"sku": ["a", "b", "c"], "name": ["A", "B", "C"]}).iloc[[2, 0, 1]]
    assert "__index_level_0__" in pa.Table.from_pandas(items).column_names
    table = {"user": ["u"] * 3, "item": ["a", "b", "c"], "behavior": ["view"] * 3, "timestamp": [1.7e9] * 3}
    frame = pandas.DataFrame(table).iloc[[0, 2, 1]]
    dataset = hup.prepare(frame, items=items, out=tmp_path / "dataset")
    assert list(dataset.item_columns.info.columns) == ["name"]
    assert "__index_level_0__" not in str(hup.propose_mapping(frame))
