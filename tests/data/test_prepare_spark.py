"""Both engines make the same dataset, byte for byte in its data: of real logs, and of a dirty one."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.dataset import Dataset
from hup.data.prepare import append, prepare
from hup.data.validate import validate
from hup.errors import HupError
from hup.simulator import SimulatorConfig, simulate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark")]
FILES = ("events.arrow", "sessions.arrow", "items.arrow", "taxonomy.parquet", "rejects.parquet")


def assert_same(one: Dataset, other: Dataset) -> None:
    for name in FILES:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
    assert one.manifest == other.manifest


def on_both(tmp_path, *sources, **options) -> Dataset:
    duck = prepare(sources, out=tmp_path / "duckdb", **options)
    assert_same(prepare(sources, out=tmp_path / "spark", engine="spark", **options), duck)
    return duck


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    """Two files of a simulated log with ties, duplicates, bad rows, ragged and moving categories, odd names."""
    folder = tmp_path_factory.mktemp("dirty")
    simulate(SimulatorConfig(sessions=300, items=120, levels=3, seed=7), folder / "log.csv", format="events")
    header, *rows = (folder / "log.csv").read_text(encoding="utf-8").splitlines()
    (folder / "log.csv").unlink()
    rng = np.random.default_rng(0)
    spoilt = []
    for row in rows:
        user, session, event, time, item, behavior, *path = row.split(",")
        kind = rng.integers(0, 60)
        tie = str(int(time) // 60_000 * 60_000)  # to the minute: many events at one time
        fields = {
            0: [user, session, event, "soon", item, behavior, *path],
            1: [user, session, event, tie, "", behavior, *path],
            2: [user, "", event, tie, item, behavior, *path],
            3: [user, session, event, tie, item, behavior, path[0], "", ""],
            4: [user, session, event, tie, item, behavior, "", "", ""],
            5: [user, session, event, tie, item, behavior, path[0], "", path[2]],
            6: [user, session, event, tie, f'"{item}, ""new"""', behavior, *path],
            7: [user, session, event, tie, "Ünïcode ☃", behavior, *path],
            8: [user, session, event, "9999999999999", item, behavior, *path],
            9: [user, session, event, tie],
            10: [user, session, event, tie, item, behavior, "elsewhere", *path[1:]],
            11: [user, session, "", tie, item, behavior, *path],
        }.get(int(kind), [user, session, event, tie, item, behavior, *path])
        spoilt.append(",".join(fields))
        if kind == 12:
            spoilt.append(spoilt[-1])
    order = rng.permutation(len(spoilt))
    half = len(order) // 2
    for name, part in (("a.csv", order[:half]), ("b.csv", order[half:])):
        (folder / name).write_text("\n".join([header, *(spoilt[place] for place in part)]) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sequence": "gap", "idle_gap_minutes": 5.0, "last_events": 20},
        {"sequence": "user", "window": 25, "split": "random", "seed": 3},
    ],
    ids=["session", "gap", "user"],
)
def test_a_dirty_log(tmp_path, dirty, options):
    dataset = on_both(tmp_path, dirty, max_reject_share=0.5, **options)
    kinds = set(dataset.manifest.rejects.by_reason)
    expected = {"timestamp is not a time", "item is missing", "timestamp is in the future", "wrong number of fields"}
    assert expected | {"item has another category, too"} <= kinds
    assert dataset.manifest.left_out["event id is repeated"] > 0
    assert dataset.manifest.tree.items_extended + dataset.manifest.tree.items_moved > 0


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_lists_of_items(tmp_path, ending):
    rng = np.random.default_rng(2)
    events = [
        {
            "event_timestamp": (1_700_000_000 + 10 * n) * 10**6,
            "event_name": "view_item" if n % 3 else "purchase",
            "event_params": [
                {"key": "page", "value": {"int_value": None, "string_value": "/x"}},
                {"key": "ga_session_id", "value": {"int_value": n // 10, "string_value": None}},
            ],
            "user_pseudo_id": f"1.{n // 20}",
            "items": [{"item_id": f"i{item}", "item_category": f"c{item % 3}"} for item in rng.integers(0, 9, n % 4)],
        }
        for n in range(300)
    ]
    path = tmp_path / f"events.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(events), path)
    else:
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
    dataset = on_both(tmp_path, path, map="ga4")
    assert dataset.manifest.left_out["list of items is empty"] == 75


def test_another_encoding_and_delimiter(tmp_path):
    lines = [f"{n % 7}::ü{n % 5}::{1_700_000_000 + 60 * n}" for n in range(200)]
    (tmp_path / "ratings.dat").write_bytes("\n".join(lines).encode("cp1252"))
    (tmp_path / "m.toml").write_text(
        '[tables]\ndelimiter = "::"\nencoding = "cp1252"\nheader = ["u", "i", "t"]\nuser = "u"\nitem = "i"\n'
        'timestamp = "t"\nbehavior = { value = "view" }\n[categories]\nnone = true\n'
    )
    dataset = on_both(tmp_path, tmp_path / "ratings.dat", map=tmp_path / "m.toml")
    assert sorted(dataset.item_names) == [f"ü{n}" for n in range(5)]


def test_rees46(tmp_path, shared_data):
    on_both(tmp_path, shared_data / "rees46" / "events_2019_oct_17k.csv", map="rees46")


def test_trivago(tmp_path, shared_data):
    on_both(tmp_path, shared_data / "trivago" / "trivago_100k.parquet", map="trivago")


def test_tables_of_items_and_parents(tmp_path):
    folder = tmp_path / "rr"
    folder.mkdir()
    rng = np.random.default_rng(1)
    times = 1_433_000_000_000 + np.sort(rng.integers(0, 10**9, 2000))
    rows = [f"{time},{rng.integers(40)},view,{rng.integers(60)}," for time in times]
    (folder / "events.csv").write_text("\n".join(["timestamp,visitorid,event,itemid,transactionid", *rows]) + "\n")
    tree = [
        "categoryid,parentid",
        *(f"{child},{child // 2 or ''}" for child in range(1, 20)),
        "30,31",
        "31,30",
        "40,99",
    ]
    (folder / "category_tree.csv").write_text("\n".join(tree) + "\n")
    places = [*range(1, 20), 30, 31, 40, 77]
    moves = [
        f"{1_433_000_000_000 + rng.integers(0, 10**9)},{item},categoryid,{rng.choice(places)}"
        for item in rng.integers(0, 50, 200)
    ]
    (folder / "item_properties_part1.csv").write_text("\n".join(["timestamp,itemid,property,value", *moves]) + "\n")
    dataset = on_both(tmp_path, folder, map="retailrocket")
    assert dataset.manifest.tree.items_moved > 0
    assert dataset.manifest.tree.cycles == 1


def test_append(tmp_path, dirty):
    for name in ("duckdb", "spark"):
        prepare(dirty / "a.csv", out=tmp_path / name, max_reject_share=0.5)
    later = tmp_path / "later.csv"
    header, *rows = (dirty / "b.csv").read_text(encoding="utf-8").splitlines()
    moved = []
    for row in rows:
        head, time, tail = row.split(",")[:3], row.split(",")[3], row.split(",")[4:]
        if time.isdigit():
            moved.append(",".join([*head, str(int(time) + 10**9), *tail]))
    later.write_text("\n".join([header, *moved]) + "\n", encoding="utf-8")
    duck = append(tmp_path / "duckdb", later, max_reject_share=0.5)
    assert_same(append(tmp_path / "spark", later, max_reject_share=0.5, engine="spark"), duck)


def test_validate_finds_the_same(dirty):
    assert validate(dirty, engine="spark") == validate(dirty)


def test_uris_in_and_out(tmp_path, dirty):
    source, target = (dirty / "a.csv").as_uri(), (tmp_path / "remote").as_uri()
    prepare(source, out=target, engine="spark", max_reject_share=0.5)
    local = prepare(dirty / "a.csv", out=tmp_path / "local", max_reject_share=0.5)
    assert Dataset.open(tmp_path / "remote").fingerprint == local.fingerprint
    with pytest.raises(HupError, match=r"exists\. Choose another --out"):
        prepare(source, out=target, engine="spark")


def test_what_spark_does_not_do(tmp_path):
    (tmp_path / "log.txt").write_text("1+1+2+3+4 2+1+2+3+4\n")
    with pytest.raises(HupError, match="Spark is for event tables"):
        prepare(tmp_path / "log.txt", out=tmp_path / "out", engine="spark")


def test_the_memory_limit_holds_for_what_spark_has_read(tmp_path, dirty):
    with pytest.raises(HupError, match="Memory limit '1 thing' is not a size"):
        prepare(dirty, out=tmp_path / "out", engine="spark", memory_limit="1 thing")
