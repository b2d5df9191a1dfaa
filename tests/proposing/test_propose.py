"""Mappings proposed from names and contents, and their TOML."""

from __future__ import annotations

import datetime as dt
import json
import tomllib

import pyarrow as pa
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect, TableSource
from hup.data.log_source import find_sources
from hup.data.tables.mapping import NULLS, Mapping, load_mapping
from hup.errors import HupError
from hup.proposing.propose import propose_mapping
from hup.proposing.sample import find_dialect, sample_tables
from hup.proposing.synonyms import category_number, name_fit
from hup.proposing.toml import proposal_toml
from hup.simulator import SimulatorConfig, simulate

N = 400


def table(**columns) -> pa.Table:
    """Columns of N rows: lists as they are, functions called with the row's number."""
    return pa.table({name: [make(n) for n in range(N)] if callable(make) else make for name, make in columns.items()})


def found(proposal) -> dict[str, tuple[str, ...]]:
    return {choice.role: choice.columns for choice in proposal.choices if choice.columns}


def toml(proposal) -> Mapping:
    return Mapping.validated(tomllib.loads(proposal_toml(proposal, "log.csv", "hup prepare")))


ENGLISH = table(
    visitorId=lambda n: f"v{n % 30}",
    productId=lambda n: n % 50,
    ts=lambda n: 1_600_000_000_000 + 1000 * n,
    action=lambda n: ["view", "cart", "buy"][n % 3],
    price=lambda n: n + 0.5,
)


def test_names_in_camel_case_and_a_table_without_sessions():
    proposal = propose_mapping(ENGLISH)
    assert found(proposal) == {
        "user": ("visitorId",),
        "timestamp": ("ts",),
        "item": ("productId",),
        "behavior": ("action",),
    }
    assert proposal.mapping.sequence_by == "gap"
    assert proposal.mapping.tables[0].timestamp.unit == "ms"
    assert proposal.mapping.categories.none
    assert toml(proposal) == proposal.mapping


def test_german_names_and_numbered_categories():
    proposal = propose_mapping(
        table(
            Zeitpunkt=lambda n: f"2023-05-{n // 20 + 1:02d} 10:{n % 60:02d}:00",
            Kundennummer=lambda n: f"K{n % 40}",
            Sitzung=lambda n: n // 7,
            Artikelnummer=lambda n: n % 80,
            Aktion=lambda n: ["Ansicht", "Warenkorb", "Kauf"][n % 3],
            Warengruppe1=lambda n: f"W{n % 4}",
            Warengruppe2=lambda n: f"W{n % 12}",
            Verweildauer=lambda n: n % 50,
        ),
        delimiter=";",
    )
    assert found(proposal) == {
        "user": ("Kundennummer",),
        "session": ("Sitzung",),
        "timestamp": ("Zeitpunkt",),
        "item": ("Artikelnummer",),
        "behavior": ("Aktion",),
        "dwell": ("Verweildauer",),
        "categories": ("Warengruppe1", "Warengruppe2"),
    }
    assert proposal.mapping.tables[0].delimiter == ";"
    assert proposal.mapping.sequence_by == "session"
    assert proposal.remarks == (
        "Zeitpunkt: the times name no zone; UTC is assumed. Set zone to the shop's, such as Europe/Berlin.",
    )
    assert toml(proposal) == proposal.mapping


def test_numbered_categories_may_be_finest_first():
    columns = table(cat_l1=lambda n: n % 60, cat_l2=lambda n: n % 12, cat_l3=lambda n: n % 3)
    proposal = propose_mapping(
        pa.table([*ENGLISH.columns, *columns.columns], [*ENGLISH.column_names, *columns.column_names])
    )
    assert found(proposal)["categories"] == ("cat_l3", "cat_l2", "cat_l1")


def with_column(**columns) -> pa.Table:
    more = table(**columns)
    return pa.table([*ENGLISH.columns, *more.columns], [*ENGLISH.column_names, *more.column_names])


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (lambda n: f"home.room{n % 3}.thing{n % 9}", {"delimiter": "."}),
        (lambda n: None if n % 3 else f"home > room{n % 5}", {"delimiter": " > "}),
        (lambda n: f"{n % 40}/{n % 4}", {"delimiter": "/", "finest_first": True}),
    ],
)
def test_paths_in_one_column(make, keys):
    proposal = propose_mapping(with_column(category_path=make))
    assert proposal.tree["categories"] == {"column": "category_path", **keys}
    assert toml(proposal) == proposal.mapping


def test_columns_that_nest_and_columns_that_do_not():
    nested = with_column(subcategory=lambda n: f"s{n % 20}", department=lambda n: f"d{n % 4}")
    assert found(propose_mapping(nested))["categories"] == ("department", "subcategory")
    crossed = with_column(category=lambda n: f"s{n % 20}", department=lambda n: f"d{n % 7}")
    assert found(propose_mapping(crossed))["categories"] == ("category",)


def test_decimal_numbers_are_no_paths():
    assert "categories" not in found(propose_mapping(with_column(category=lambda n: f"{n}.5")))


def test_contents_decide_where_names_say_nothing():
    proposal = propose_mapping(
        table(
            a=lambda n: dt.datetime(2020, 1, 1) + dt.timedelta(minutes=n),
            b=lambda n: ["view", "purchase"][n % 2],
            c=lambda n: n % 90,
            d=lambda n: n % 11,
        )
    )
    assert found(proposal) == {"timestamp": ("a",), "behavior": ("b",)}
    assert proposal.mapping is None
    by_role = {choice.role: choice for choice in proposal.choices}
    assert by_role["item"].candidates == ("c", "d")
    assert "needed" in by_role["item"].why
    text = proposal_toml(proposal, "log.csv", "hup prepare")
    assert '# item = "c"' in text
    assert "columns left: c, d" in text
    with pytest.raises(HupError, match=r"key tables\[0\].item is missing"):
        toml(proposal)
    filled = text.replace('# item = "c"', 'item = "c"').replace('# user = "c"', 'user = "d"')
    assert Mapping.validated(tomllib.loads(filled)).tables[0].item == ("c",)


def test_two_columns_of_times_without_telling_names_are_not_guessed():
    proposal = propose_mapping(table(a=lambda n: "2020-01-01", b=lambda n: "2020-01-02", item=lambda n: n))
    assert "timestamp" not in found(proposal)


def test_what_looks_wrong_for_its_name_is_not_taken():
    proposal = propose_mapping(
        table(timestamp=lambda n: f"day {n}", action=lambda n: f"action {n}", item=lambda n: n / 7, user_id=lambda n: n)
    )
    assert found(proposal) == {"user": ("user_id",)}


def test_category_columns_are_no_items():
    assert found(propose_mapping(with_column(item_category=lambda n: f"c{n % 5}"))) == {
        **found(propose_mapping(ENGLISH)),
        "categories": ("item_category",),
    }


def test_text_that_stands_for_nothing_is_told():
    odd = ENGLISH.set_column(0, "visitorId", pa.array([f"v{n}" if n % 4 else "NA" for n in range(N)]))
    proposal = propose_mapping(odd)
    assert proposal.mapping.nulls == (*NULLS, "NA")
    assert proposal.remarks == ("visitorId: 'NA' is taken to mean missing (100 of 400 rows).",)


@pytest.mark.parametrize("owner", ["session_id", "visitorId"])
@pytest.mark.parametrize("name", ["duration_s", "time_to_next"])
def test_a_duration_of_the_whole_session_is_no_dwell(owner, name):
    """It is known only when the session ends, and tells when."""
    sessions = [n // 4 for n in range(N)]  # a session has four rows, one after the other
    columns = {owner: [f"v{session % 30}" for session in sessions]}
    of_sessions = table(**{**dict(zip(ENGLISH.column_names, ENGLISH.columns, strict=True)), **columns})
    constant = of_sessions.append_column(name, pa.array([7 * session for session in sessions]))
    proposal = propose_mapping(constant)
    assert not {"dwell", "interval"} & found(proposal).keys()
    assert [remark for remark in proposal.remarks if remark.startswith(f"{name}: not taken for the ")]
    varying = of_sessions.append_column(name, pa.array(range(N)))
    assert {"dwell", "interval"} & found(propose_mapping(varying)).keys()


@pytest.mark.parametrize("as_text", [True, False])
def test_date_and_time_of_day_are_joined(as_text):
    start = dt.datetime(2024, 5, 1, 9, 5)
    moments = [start + dt.timedelta(minutes=7 * n) for n in range(N)]
    columns = {
        "COOKIE": [f"aaaa{n % 30}" for n in range(N)],
        "Date": [f"{moment:%Y-%m-%d}" if as_text else moment.date() for moment in moments],
        "Time": [f"{moment:%H:%M:%S}" if as_text else moment.time() for moment in moments],
        "Product": [f"p{n % 50}" for n in range(N)],
    }
    proposal = propose_mapping(pa.table(columns))
    assert found(proposal) == {"user": ("COOKIE",), "timestamp": ("Date", "Time"), "item": ("Product",)}
    timestamp = toml(proposal).tables[0].timestamp
    assert (timestamp.column, timestamp.time) == (("Date",), ("Time",))
    only_dates = propose_mapping(pa.table({name: columns[name] for name in ("COOKIE", "Date", "Product")}))
    assert toml(only_dates).tables[0].timestamp.time is None


def test_lists_of_json_lines_are_no_names_and_keep_no_row_from_the_sample(tmp_path):
    lines = [json.dumps({"user": f"u{n % 9}", "ts": 1_600_000_000 + n, "item": ["a", n], "sku": n}) for n in range(50)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    with DuckDBEngine(tmp_path / "spill") as engine:
        source = TableSource(files=tuple(find_sources([tmp_path / "log.jsonl"], tmp_path / "out", print)))
        samples, _ = sample_tables(source, engine)
    assert len(samples[0].rows) == 50
    assert found(propose_mapping(samples[0].rows))["item"] == ("sku",)


def test_lone_carriage_returns_are_told_as_elsewhere(tmp_path):
    (tmp_path / "log.csv").write_bytes(b"visitor_id,visited_at,sku\rann,2024-05-01 09:00:00,lamp\r")
    with DuckDBEngine(tmp_path / "spill") as engine:
        source = TableSource(files=tuple(find_sources([tmp_path / "log.csv"], tmp_path / "out", print)))
        with pytest.raises(HupError, match="Do lines end in a carriage return alone"):
            sample_tables(source, engine)


def test_names_in_chinese():
    columns = {
        "用户ID": [900_000 + n % 30 for n in range(N)],
        "商品ID": [500_000 + n % 50 for n in range(N)],
        "商品类目ID": [70_000 + n % 7 for n in range(N)],
        "行为类型": [["pv", "cart", "buy"][n % 3] for n in range(N)],
        "时间戳": [1_512_189_107 + n for n in range(N)],
    }
    roles = ("user", "item", "categories", "behavior", "timestamp")
    assert found(propose_mapping(pa.table(columns))) == dict(zip(roles, zip(columns), strict=True))


def test_an_email_is_a_user():
    renamed = ENGLISH.rename_columns(["Email", *ENGLISH.column_names[1:]])
    assert found(propose_mapping(renamed))["user"] == ("Email",)


@pytest.mark.parametrize(
    ("write", "is_id"),
    [
        (lambda n: f"{4_095_515_938 + n % 30}.{1_639_822_046 + n % 30}", True),
        (lambda n: f"{13_085 + n % 30}.0", True),
        (lambda n: f"{13_085 + n % 30}.5", False),
        (lambda n: f"52.{123_456 + n % 30}", False),
    ],
    ids=["client id", "whole float", "fraction", "degrees"],
)
def test_ids_that_look_like_decimals(write, is_id):
    users = ENGLISH.set_column(0, "visitorId", pa.array([write(n) for n in range(N)]))
    assert found(propose_mapping(users)).get("user") == (("visitorId",) if is_id else None)


def test_milliseconds_of_dwell():
    assert propose_mapping(with_column(dwell_ms=lambda n: n)).mapping.tables[0].dwell.unit == "ms"


def test_odd_names_and_values_survive_toml():
    odd = ENGLISH.rename_columns(["visitor id", 'product "id"', "t\ns", "action", "price"])
    odd = odd.set_column(3, "action", pa.array(["view\n# x = 1"] * N))
    proposal = propose_mapping(odd)
    assert toml(proposal) == proposal.mapping


def test_an_empty_table():
    empty = propose_mapping(ENGLISH.slice(0, 0))
    assert empty.mapping is None
    assert found(empty) == {}


# Known logs


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ("event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session", "rees46"),
        ("user_id,session_id,timestamp,step,action_type,reference,platform,city,device", "trivago"),
        ("timestamp,visitorid,event,itemid,transactionid", "retailrocket"),
        ("user_id,item_id,category_id,behavior,timestamp", "taobao"),
        ("session_id,timestamp,item_id,category", "yoochoose"),
        ("sessionId,userId,timeframe,eventdate,ordernumber,itemId", "diginetica"),
        ("item,user,timestamp", "standard"),
        ("user_id:token,item_id:token,rating:float,timestamp:float", "recbole"),
        ("Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem sku", "shopify-orders"),
        ("id,status,date_created_gmt,billing.email,line_items", "woocommerce"),
        ("idVisit,visitorId,visitIp,actionDetails", "matomo"),
        (
            "anonymousId,userId,messageId,timestamp,event,properties.product_id,properties.category",
            "segment",
        ),
        ("event_date,event_timestamp,event_name,event_params,user_pseudo_id,items", "ga4"),
        (
            "user_pseudo_id,ga_session_id,event_timestamp,event_name,item_id,item_category,item_category2,"
            "item_category3,item_category4,item_category5",
            "ga4-flat",
        ),
        (
            "event_id,domain_userid,domain_sessionid,derived_tstamp,"
            "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1,"
            "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1",
            "snowplow",
        ),
    ],
)
def test_known_columns_are_recognised(columns, name):
    proposal = propose_mapping(pa.table({column: ["1", "2"] for column in columns.split(",")}))
    assert proposal.known_as == name
    if name != "standard":
        assert proposal.mapping == load_mapping(name)
    assert toml(proposal) == proposal.mapping


def test_known_columns_in_text_that_is_written_otherwise():
    columns = pa.table({name: ["1", "2"] for name in ("timestamp", "visitorid", "event", "itemid", "transactionid")})
    proposal = propose_mapping(columns, ";", encoding="cp1252")
    assert proposal.known_as is None
    table = toml(proposal).tables[0]
    assert (table.delimiter, table.encoding, table.user) == (";", "cp1252", ("visitorid",))
    assert toml(proposal).categories == load_mapping("retailrocket").categories
    atomic = columns.rename_columns(["timestamp:float", "user_id:token", "a", "item_id:token", "b"])
    assert propose_mapping(atomic, "\t").known_as == "recbole"


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_simulated_logs_are_recognised(tmp_path, ending):
    path = tmp_path / f"log{ending}"
    simulate(SimulatorConfig(sessions=20, items=30, levels=2), path, format="events")
    with DuckDBEngine(tmp_path / "engine") as engine:
        samples, remarks = sample_tables(source(path), engine)
    proposal = propose_mapping(samples[0].rows)
    assert (proposal.known_as, remarks) == ("standard", [])
    assert found(proposal)["categories"] == ("category_1", "category_2")


@pytest.mark.parametrize(
    ("path", "name"), [("rees46/events_2019_oct_17k.csv", "rees46"), ("trivago/trivago_100k.parquet", "trivago")]
)
def test_samples_are_recognised_and_understood_without(tmp_path, shared_data, path, name):
    with DuckDBEngine(tmp_path / "engine") as engine:
        samples, _ = sample_tables(source(shared_data / path), engine)
    rows = samples[0].rows
    known = propose_mapping(rows)
    assert known.known_as == name
    # Under other names of some columns it is no known log, and comes out the same.
    spelt = {"product_id": "sku", "user_session": "visit", "session_id": "visit", "reference": "hotel_id"}
    renamed = rows.rename_columns([spelt.get(column, column) for column in rows.column_names])
    guessed = propose_mapping(renamed)
    assert guessed.known_as is None
    expected = {
        role: tuple(spelt.get(column, column) for column in columns)
        for role, columns in found(known).items()
        if role != "categories" or name == "rees46"  # a city is no category by its name
    }
    assert found(guessed) == expected
    if name == "rees46":
        assert guessed.tree["categories"] == {"column": "category_code", "delimiter": "."}


# Samples


def source(*paths) -> TableSource:
    return TableSource(files=tuple(find_sources(list(paths), paths[0].parent / "out", print)))


@pytest.mark.parametrize(
    ("name", "text", "dialect"),
    [
        ("a.csv", "user,item\n", Dialect()),
        ("a.csv", "\ufeffuser;item;a,b\n", Dialect(";")),
        ("a.txt", "user\titem\n", Dialect("\t")),
        ("a.csv", "user|item\n", Dialect("|")),
        ("a.csv", "", Dialect()),
        ("a.csv", "0,1,2\n", Dialect()),
        ("a.csv", "5,1001,view,1511544070\n", Dialect(",", ("column_1", "column_2", "column_3", "column_4"))),
        ("UserBehavior.csv", "1,2,3,pv,1511544070\n", Dialect(",", load_mapping("taobao").tables[0].header)),
        (
            "yoochoose-buys.dat",
            "2,2014-04-07T18:44:58.314Z,21,10,1\n",
            Dialect(",", load_mapping("yoochoose").tables[1].header),
        ),
    ],
)
def test_how_a_file_is_written(tmp_path, name, text, dialect):
    path = tmp_path / name
    path.write_text(text)
    assert find_dialect(source(path).files[0]) == dialect


def test_header_that_is_no_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(HupError, match=r"a\.csv, line 1 is not UTF-8 text"):
        find_dialect(source(path).files[0])


def test_files_of_the_same_columns_are_one_table(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("user,item\n1,2\n")
    (tmp_path / "c.csv").write_text("category,parent\n1,\n")
    (tmp_path / "README.md").write_text("# About\n")
    with DuckDBEngine(tmp_path / "engine") as engine:
        samples, remarks = sample_tables(source(*sorted(tmp_path.glob("*.*"))), engine)
        assert [[file.name for file in sample.files] for sample in samples] == [["a.csv", "b.csv"], ["c.csv"]]
        assert len(samples[0].rows) == 2
        assert remarks[0].startswith("README.md is left out: ")
        with pytest.raises(HupError, match="README"):
            sample_tables(source(tmp_path / "README.md"), engine)
        queried, _ = sample_tables(TableSource(query="SELECT 1 AS item, 2 AS user"), engine)
        assert queried[0].rows.column_names == ["item", "user"]


# Names


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("visitorid", "user"), ("customer_id", "user"), ("uid", "user"), ("KundenNr", "user"),
        ("shop_user_key", "user"),
        ("sid", "session"), ("user_session", "session"), ("visitId", "session"),
        ("event_time", "timestamp"), ("ts", "timestamp"), ("created_at", "timestamp"),
        ("product_id", "item"), ("SKU", "item"), ("Artikelnummer", "item"),
        ("action", "behavior"), ("event_type", "behavior"),
        ("category_code", "category"), ("dwellTime", "dwell"), ("duration", "dwell"),
    ],
)  # fmt: skip
def test_names_fit_their_role_best(name, role):
    roles = ("user", "session", "timestamp", "item", "behavior", "category", "dwell")
    scores = {other: name_fit(name, other) for other in roles}
    assert max(scores, key=lambda other: scores[other]) == role
    assert name_fit("price", role) == 0


@pytest.mark.parametrize(
    ("name", "number"),
    [("category_1", ("category", 1)), ("cat_l2", ("cat l", 2)), ("Warengruppe3", ("warengruppe", 3)),
     ("level1", ("level", 1)), ("category_2_name", ("category", 2)), ("c3", ("c", 3)),
     ("item_category2", ("item category", 2)), ("l2_category", ("category", 2)), ("类目2", ("类目", 2)),
     ("category", None), ("column_1", None), ("price_1", None), ("price_level_1", None)],
)  # fmt: skip
def test_numbered_categories(name, number):
    assert category_number(name) == number


@pytest.mark.parametrize(
    ("source", "message"), [("x.csv", "no file or folder x.csv"), ({"user": ["a"]}, "The source is of type dict")]
)
def test_what_is_no_table_is_told(source, message):
    with pytest.raises(HupError, match=message):
        propose_mapping(source)
