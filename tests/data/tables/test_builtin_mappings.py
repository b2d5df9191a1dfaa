"""Built-in mappings read small files in the published shape of each log, written by hand."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import TableSource
from hup.data.log_source import find_sources
from hup.data.progress import Progress
from hup.data.tables.mapping import load_mapping
from hup.data.tables.rows import NOT_KEPT, typed_rows

NOW = 1_750_000_000_000


@pytest.fixture
def engine(tmp_path):
    with DuckDBEngine(tmp_path / "engine") as engine:
        yield engine


def read(engine, name, *paths: Path):
    """Type the events in `paths` with a built-in mapping; give rows in the order of files and lines."""
    mapping = load_mapping(name)
    rows, guesses = [], []
    for table in mapping.tables:
        fitting = [path for path in paths if fnmatch(path.name, table.match or "*")]
        part = TableSource(files=tuple(find_sources(fitting, Path("out"), print)))
        bound = table.bind(engine.reader.columns(part, table.dialect), mapping.categories)
        dialect = replace(table.dialect, nested=bound.inner.columns)
        raw = engine.reader.read(part, dialect, bound.columns(), Progress())
        found = typed_rows(raw, table, mapping, engine, NOW)
        rows += engine.collect(f'SELECT * FROM ({found.sql}) ORDER BY file, "row", part').to_pylist()
        guesses += found.guesses
    return rows, guesses


def columns(rows, *names):
    return [tuple(row[name] for name in names) for row in rows]


def ms(*date) -> int:
    return int(dt.datetime(*date, tzinfo=dt.UTC).timestamp() * 1000)


def test_rees46(engine, tmp_path):
    path = tmp_path / "2019-Oct.csv"
    path.write_text(
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
        "2019-10-01 00:00:00 UTC,view,11,9001,home.kitchen.mug,acme,35.79,501,aa-1\n"
        "2019-10-01 00:00:05 UTC,cart,12,9002,,,9.00,501,aa-1\n"
        "2019-10-01 00:00:06 UTC,purchase,12,9002,,,9.00,502,\n"
    )
    rows, guesses = read(engine, "rees46", path)
    assert columns(rows, "user", "session", "item", "category", "behavior", "time_ms", "reason") == [
        ("501", "aa-1", "11", "home.kitchen.mug", "view", ms(2019, 10, 1), None),
        ("501", "aa-1", "12", None, "cart", ms(2019, 10, 1, 0, 0, 5), None),
        ("502", None, "12", None, "purchase", ms(2019, 10, 1, 0, 0, 6), "session is missing"),
    ]
    assert guesses == ["event_time: times with a zone, 2019-10-01."]


def test_trivago(engine, tmp_path):
    actions = [
        ("search for item", "77"),
        ("interaction item image", "77"),
        ("search for item", "unknown"),
        ("filter selection", "Swimming Pool"),
        ("search for destination", "Lisbon, Portugal"),
        ("clickout item", "78"),
    ]
    path = tmp_path / "train.csv"
    path.write_text(
        "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,current_filters,impressions,prices\n"
        + "".join(
            f'U1,S1,154159952{step},{step},{action},"{item}",PT,"Lisbon, Portugal",mobile,,77|78,10|20\n'
            for step, (action, item) in enumerate(actions, start=1)
        )
    )
    rows, _ = read(engine, "trivago", path)
    assert columns(rows, "item", "left_out", "reason") == [
        ("77", None, None),
        ("77", None, None),
        (None, None, "item is missing"),
        ("Swimming Pool", NOT_KEPT, None),
        ("Lisbon, Portugal", NOT_KEPT, None),
        ("78", None, None),
    ]
    assert columns(rows, "session", "category")[0] == ("S1", "Lisbon, Portugal")
    assert [row["event_number"] for row in rows] == [1, 2, 3, 4, 5, 6]
    rules = load_mapping("trivago").categories
    assert (rules.delimiter, rules.finest_first, rules.levels) == (", ", True, 2)


def test_retailrocket(engine, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n"
        "1433224214164,992329,transaction,248676,4000\n"
        "1433224229496,111016,addtocart,318965,\n"
    )
    rows, guesses = read(engine, "retailrocket", path)
    assert columns(rows, "user", "session", "item", "behavior", "time_ms", "category", "reason")[1] == (
        *("992329", None, "248676", "transaction", 1433224214164, None, None),
    )
    assert guesses == ["timestamp: numbers are milliseconds since 1970, 2015-06-02."]
    mapping = load_mapping("retailrocket")
    assert mapping.sequence_by == "gap"
    assert mapping.categories.items.where == {"property": "categoryid"}
    assert mapping.categories.parents.parent == ("parentid",)


def test_taobao(engine, tmp_path):
    path = tmp_path / "UserBehavior.csv"
    path.write_text(
        "1,2268318,2520377,pv,1511544070\n"
        "1,2333346,2520771,buy,1511561733\n"
        "1,2576651,149192,cart,1511572885\n"
        "2,3830808,4181361,fav,-1511593493\n"
        "2,3830808,4181361,pv,2122867355\n"
    )
    rows, _ = read(engine, "taobao", path)
    assert columns(rows, "user", "item", "category", "behavior", "time_ms")[0] == (
        *("1", "2268318", "2520377", "pv", 1511544070000),
    )
    assert [row["reason"] for row in rows] == [
        *(None, None, None, "timestamp is not a time: -1511593493", "timestamp is in the future: 2122867355")
    ]


def test_yoochoose(engine, tmp_path):
    (tmp_path / "yoochoose-clicks.dat").write_text(
        "1,2014-04-07T10:51:09.277Z,214536502,0\n"
        "1,2014-04-07T10:54:09.868Z,214536500,S\n"
        "2,2014-04-07T13:56:37.614Z,214662742,12\n"
        "2,2014-04-07T13:57:19.373Z,214662743,1438313089\n"
    )
    (tmp_path / "yoochoose-buys.dat").write_text("2,2014-04-07T18:44:58.314Z,214662742,1046,1\n")
    rows, _ = read(engine, "yoochoose", tmp_path / "yoochoose-clicks.dat", tmp_path / "yoochoose-buys.dat")
    assert columns(rows, "session", "user", "item", "category", "behavior", "reason") == [
        ("1", None, "214536502", None, "click", None),
        ("1", None, "214536500", "S", "click", None),
        ("2", None, "214662742", "12", "click", None),
        ("2", None, "214662743", "1438313089", "click", None),
        ("2", None, "214662742", None, "buy", None),
    ]
    assert rows[0]["time_ms"] == ms(2014, 4, 7, 10, 51, 9) + 277


@pytest.mark.parametrize(
    "spelling", [("sessionId", "userId", "itemId"), ("session_id", "user_id", "item_id")], ids=lambda names: names[0]
)
def test_diginetica(engine, tmp_path, spelling):
    session, user, item = spelling
    (tmp_path / "train-item-views.csv").write_text(
        f"{session};{user};{item};timeframe;eventdate\n1;NA;81766;526309;2016-05-09\n1;17;31331;1031018;2016-05-09\n"
    )
    (tmp_path / "train-purchases.csv").write_text(
        f"{session};{user};timeframe;eventdate;ordernumber;{item}\n150;18278;17100868;2016-05-06;16421;25911\n"
    )
    rows, _ = read(engine, "diginetica", tmp_path / "train-item-views.csv", tmp_path / "train-purchases.csv")
    assert columns(rows, "session", "user", "item", "behavior", "time_ms", "reason") == [
        ("1", None, "81766", "view", ms(2016, 5, 9) + 526_309, None),
        ("1", "17", "31331", "view", ms(2016, 5, 9) + 1_031_018, None),
        ("150", "18278", "25911", "purchase", ms(2016, 5, 6) + 17_100_868, None),
    ]


def test_rees46_sample(engine, shared_data):
    rows, _ = read(engine, "rees46", shared_data / "rees46" / "events_2019_oct_17k.csv")
    reasons = Counter((row["reason"] or "good").split(":")[0] for row in rows)
    assert reasons == {"good": 17_434, "wrong number of fields": 1}
    good = [row for row in rows if row["reason"] is None]
    assert sum(row["category"] is None for row in good) == 5_746
    assert {row["behavior"] for row in good} == {"view", "cart", "purchase"}
    assert min(row["time_ms"] for row in good) == ms(2019, 10, 1)


def test_trivago_sample(engine, shared_data):
    path = shared_data / "trivago" / "trivago_100k.parquet"
    rows, guesses = read(engine, "trivago", path)
    source: pa.Table = pq.read_table(path)
    actions = Counter(source["action_type"].to_pylist())
    kept = load_mapping("trivago").behaviors.keep
    assert sum(row["left_out"] is None for row in rows) == sum(actions[action] for action in kept)
    assert sum(row["left_out"] == NOT_KEPT for row in rows) == 12_391
    assert Counter(row["reason"] for row in rows) == {None: 99_999, "item is missing": 4}
    assert [row["time_ms"] for row in rows] == [1000 * second for second in source["timestamp"].to_pylist()]
    assert all(", " in row["category"] for row in rows if row["category"])
    assert guesses == ["timestamp: numbers are seconds since 1970, 2018-11-07 to 2018-11-08."]
