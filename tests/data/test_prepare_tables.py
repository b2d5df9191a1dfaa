"""`prepare` on event tables whose outcome is known."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.dataset import Dataset
from hup.data.prepare import prepare
from hup.data.progress import Progress
from hup.data.tables import numbering
from hup.data.tables.mapping import Mapping
from hup.errors import HupError

HEADER = "user,session,event_id,timestamp,item,behavior,category_1,category_2"
ROWS = (
    "ann,s1,1,1700000000,shoe,view,clothes,shoes",
    "ann,s1,2,1700000004,shoe,cart,clothes,shoes",
    "ann,s1,3,1700000010,lamp,view,home,light",
    "bob,s2,4,1700000100,lamp,view,home,light",
    "bob,s2,5,1700000160,shoe,view,clothes,shoes",
    "bob,s2,6,1700000161,lamp,view,home,light",
)
ALL_TRAIN = (1, 0, 0)
MINIMAL = {
    "tables": [{"user": "user", "item": "item", "behavior": "behavior", "timestamp": "timestamp"}],
    "categories": {"none": True},
}


def write(path, *rows, header=HEADER):
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_sessions_items_times_and_categories(tmp_path):
    source = write(tmp_path / "events.csv", *ROWS)
    dataset = prepare(source, out=tmp_path / "out", shares=ALL_TRAIN)
    assert dataset.item_names == ["shoe", "lamp"]
    assert dataset.offsets.tolist() == [0, 3, 6]
    assert dataset.item.tolist() == [0, 0, 1, 1, 0, 1]
    assert [dataset.behaviors[code].name for code in dataset.behavior] == [
        "view",
        "cart",
        "view",
        "view",
        "view",
        "view",
    ]
    np.testing.assert_array_equal(dataset.interval, np.float32([4, 6, np.nan, 60, 1, np.nan]))
    np.testing.assert_array_equal(dataset.dwell, np.float32([10, 10, np.nan, 60, 1, np.nan]))
    assert [dataset.taxonomy.path_names(2, code) for code in (0, 1)] == [("clothes", "shoes"), ("home", "light")]
    assert [dataset.session_name(i) for i in (0, 1)] == ["s1", "s2"]
    assert [dataset.session_user(i) for i in (0, 1)] == ["ann", "bob"]
    assert dataset.session_times(1) == (1_700_000_100_000, 1_700_000_161_000)
    assert dataset.manifest.time.model_dump() == {"first_ms": 1_700_000_000_000, "last_ms": 1_700_000_161_000}
    assert dataset.manifest.preparation.dwell_cap_seconds == 1800


def test_sessions_are_stored_in_order_of_their_end_whatever_the_order_of_rows(tmp_path):
    first = prepare(write(tmp_path / "a.csv", *ROWS), out=tmp_path / "a")
    turned = prepare(write(tmp_path / "b.csv", *reversed(ROWS)), out=tmp_path / "b")
    assert first.fingerprint == turned.fingerprint


@pytest.mark.slow
def test_formats_say_the_same(tmp_path):
    rows = [row.split(",") for row in ROWS]
    names = HEADER.split(",")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    columns["timestamp"] = [int(value) for value in columns["timestamp"]]
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "e.parquet")
    with pa.ipc.new_file(tmp_path / "e.arrow", table.schema) as writer:
        writer.write_table(table)
    write(tmp_path / "e.csv", *ROWS)
    lines = (str(row).replace("'", '"') for row in table.to_pylist())
    (tmp_path / "e.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pq.write_table(
        table.set_column(3, "timestamp", pa.array(columns["timestamp"], pa.timestamp("s", "UTC"))),
        tmp_path / "t.parquet",
    )
    database = duckdb.connect(str(tmp_path / "shop.duckdb"))
    database.execute(f"CREATE TABLE events AS FROM '{tmp_path / 'e.parquet'}'")
    database.close()
    prints = {
        name: prepare(tmp_path / name, out=tmp_path / f"out-{name}", format="events").fingerprint
        for name in ("e.parquet", "e.arrow", "e.csv", "e.jsonl", "t.parquet")
    }
    asked = "SELECT * FROM events"
    prints["query"] = prepare(tmp_path / "shop.duckdb", query=asked, out=tmp_path / "out-q").fingerprint
    asked = f"SELECT * FROM '{tmp_path / 'e.parquet'}'"
    prints["files"] = prepare(query=asked, out=tmp_path / "out-f").fingerprint
    assert len(set(prints.values())) == 1, prints


def test_a_folder_of_days_is_one_log(tmp_path):
    days = tmp_path / "days"
    days.mkdir()
    write(days / "1.csv", *ROWS[:2])
    write(days / "2.csv", *ROWS[2:])
    whole = prepare(write(tmp_path / "whole.csv", *ROWS), out=tmp_path / "a")
    parts = prepare(days, out=tmp_path / "b")
    assert parts.fingerprint == whole.fingerprint
    assert [(source.file, source.lines, source.used_events) for source in parts.manifest.sources] == [
        ("1.csv", 2, 2),
        ("2.csv", 4, 4),
    ]


def test_bad_rows_are_listed_with_their_place_and_the_good_ones_used(tmp_path):
    source = write(
        tmp_path / "events.csv",
        ROWS[0],
        "ann,s1,2,1700000004,,cart,clothes,shoes",
        ROWS[2],
        "ann,s1,9,soon,lamp,view,home,light",
        "ann,s1,9,1700000004",
        *ROWS[3:],
    )
    dataset = prepare(source, out=tmp_path / "out", max_reject_share=0.5)
    assert dataset.manifest.counts.events == 5
    rejects = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert [(row["file"], row["line"], row["reason"].split(":")[0], row["effect"]) for row in rejects] == [
        ("events.csv", 3, "item is missing", "dropped"),
        ("events.csv", 5, "timestamp is not a time", "dropped"),
        ("events.csv", 6, "wrong number of fields", "dropped"),
    ]
    assert "soon" in rejects[1]["reason"]
    assert "1700000004" in rejects[2]["token"]


def test_too_many_bad_rows_are_an_error_and_leave_the_list(tmp_path):
    source = write(tmp_path / "events.csv", *ROWS, *["ann,s1,2,never,shoe,cart,clothes,shoes"] * 3)
    with pytest.raises(
        HupError, match=r"33\.3% of 9 rows are malformed.*timestamp is not a time \(3, first at events.csv:8"
    ):
        prepare(source, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert pq.read_table(tmp_path / "out.rejects.parquet").num_rows == 3


def test_duplicates_by_event_id_are_left_out_and_counted(tmp_path):
    again = "ann,s1,2,1700000005,shoe,cart,clothes,shoes"
    dataset = prepare(write(tmp_path / "e.csv", *ROWS, again), out=tmp_path / "out")
    assert dataset.manifest.left_out == {"event id is repeated": 1}
    clean = prepare(write(tmp_path / "c.csv", *ROWS), out=tmp_path / "clean")
    assert dataset.fingerprint == clean.fingerprint


def test_event_ids_that_begin_anew_in_each_session_are_no_duplicates_of_a_user(tmp_path):
    rows = [f"ann,s{n // 2},{n % 2},{1_700_000_000 + n},item{n},view,a,b" for n in range(6)]
    source = write(tmp_path / "e.csv", *rows, rows[3])
    dataset = prepare(source, out=tmp_path / "out", sequence="user", shares=ALL_TRAIN)
    assert dataset.offsets.tolist() == [0, 6]
    assert dataset.manifest.left_out == {"event id is repeated": 1}


def test_ties_in_time_are_in_order_of_event_id_as_numbers(tmp_path):
    rows = [f"ann,s1,{number},1700000000,item{number},view,a,b" for number in (10, 9, 100, 2)]
    dataset = prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out", shares=ALL_TRAIN)
    assert dataset.item_names == ["item2", "item9", "item10", "item100"]


def test_ties_without_event_id_are_in_order_of_the_file(tmp_path):
    header = "user,session,timestamp,item,behavior,category_1"
    rows = [f"ann,s1,1700000000,{item},view,a" for item in ("z", "b", "y", "a")]
    dataset = prepare(write(tmp_path / "e.csv", *rows, header=header), out=tmp_path / "out", shares=ALL_TRAIN)
    assert dataset.item_names == ["z", "b", "y", "a"]


def test_sessions_cut_at_idle_gaps(tmp_path):
    header = "user,timestamp,item,behavior,category_1"
    times = (0, 600, 600 + 1801, 600 + 1900)
    rows = [f"ann,{1_700_000_000 + t},item{n},view,a" for n, t in enumerate(times)]
    source = write(tmp_path / "e.csv", *rows, header=header)
    dataset = prepare(source, out=tmp_path / "out", shares=ALL_TRAIN)
    assert dataset.offsets.tolist() == [0, 2, 4]
    assert [dataset.session_name(i) for i in (0, 1)] == ["ann#1", "ann#2"]
    longer = prepare(source, out=tmp_path / "longer", idle_gap_minutes=31, shares=ALL_TRAIN)
    assert len(longer) == 1
    assert longer.session_name(0) == "ann"


def test_whole_histories_in_windows_newest_full(tmp_path):
    rows = [f"ann,s{n},{n},{1_700_000_000 + 86400 * n},item{n},view,a,b" for n in range(7)]
    source = write(tmp_path / "e.csv", *rows)
    dataset = prepare(source, out=tmp_path / "out", sequence="user", window=3, shares=ALL_TRAIN)
    assert dataset.offsets.tolist() == [0, 3, 6]  # the oldest event is alone, and no session
    assert dataset.item_names == [f"item{n}" for n in range(1, 7)]
    recent = prepare(source, out=tmp_path / "recent", sequence="user", last_events=4, shares=ALL_TRAIN)
    assert recent.item_names == [f"item{n}" for n in range(3, 7)]
    assert recent.manifest.left_out == {"older than the last events kept": 3}


def test_long_dwells_count_as_the_cap(tmp_path):
    rows = ("ann,s1,1,1700000000,a,view,x,y", "ann,s1,2,1700009000,b,view,x,y", "ann,s1,3,1700009010,a,view,x,y")
    source = write(tmp_path / "e.csv", *rows)
    dataset = prepare(source, out=tmp_path / "out", dwell_cap_seconds=100)
    np.testing.assert_array_equal(dataset.dwell, np.float32([100, 10, np.nan]))
    np.testing.assert_array_equal(dataset.interval, np.float32([9000, 10, np.nan]))
    assert dataset.manifest.preparation.dwell_cap_seconds == 100


def test_training_decides_where_an_item_lies(tmp_path):
    """Most events of lamp are elsewhere, but those come after training."""
    rows = []
    for session in range(10):
        shelf = "old" if session < 7 else "new"
        for event in range(8 if session >= 7 else 2):
            item = "lamp" if event % 2 else f"other{session}"
            rows.append(
                f"u,s{session},{session * 100 + event},{1_700_000_000 + session * 1000 + event},{item},view,x,{shelf}"
            )
    dataset = prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out")
    lamp = dataset.item_names.index("lamp")
    assert dataset.taxonomy.path_names(2, dataset.taxonomy.paths[lamp, 1]) == ("x", "old")
    tree = dataset.manifest.tree
    assert (tree.items_moved, tree.events_moved) == (1, 12)
    rejects = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert rejects == [
        {
            "file": None,
            "line": None,
            "token": "lamp",
            "reason": "item has another category, too: x > new (12 events), used: x > old",
            "effect": "noted",
        }
    ]


def test_splits_are_by_time_and_training_ends_before_the_others(tmp_path):
    rng = np.random.default_rng(0)
    rows, event = [], 0
    for session in range(100):
        start = int(rng.integers(0, 100_000))
        for step in range(int(rng.integers(2, 6))):
            event += 1
            rows.append(f"u{session % 7},s{session},{event},{1_700_000_000 + start + 10 * step},i{step % 3},view,a,b")
    dataset = prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out")
    ends = [dataset.session_times(session)[1] for session in range(len(dataset))]
    assert ends == sorted(ends)
    assert len(dataset.sessions("train")) == 70


def test_left_out_behaviors_are_counted_not_rejected(tmp_path):
    mapping = Mapping.validated(
        {
            "tables": [
                {"user": "user", "session": "session", "item": "item", "behavior": "behavior", "timestamp": "timestamp"}
            ],
            "categories": {"columns": ["category_1", "category_2"]},
            "behaviors": {"keep": ["view"]},
        }
    )
    dataset = prepare(write(tmp_path / "e.csv", *ROWS), map=mapping, out=tmp_path / "out")
    assert dataset.manifest.left_out == {"behavior is not one to keep": 1}
    assert dataset.manifest.rejects.rows == 0
    assert [behavior.name for behavior in dataset.behaviors] == ["view"]


ZONES = (None, "UTC", "Europe/Berlin")
FORMS = ("parquet", "arrow", "query")
#: Every pair of a unit, a zone and a form, in as few prepared logs as hold them.
STORED = [
    (unit, zone, FORMS[(a + b) % 3]) for a, unit in enumerate(("s", "ms", "us", "ns")) for b, zone in enumerate(ZONES)
]


@pytest.mark.parametrize(("unit", "zone", "form"), STORED)
def test_native_timestamps_of_every_unit(tmp_path, unit, zone, form):
    """Pandas writes nanoseconds, with a zone where it has one."""
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    times = pa.array([1_700_000_000 * per_second, 1_700_000_005 * per_second], pa.timestamp(unit, zone))
    texts = {"user": "ann", "session": "s", "behavior": "view", "category_1": "c"}
    table = pa.table({**{name: [text] * 2 for name, text in texts.items()}, "item": ["a", "b"], "timestamp": times})
    pq.write_table(table, tmp_path / "e.parquet")
    with pa.ipc.new_file(tmp_path / "e.arrow", table.schema) as writer:
        writer.write_table(table)
    if form == "query":
        dataset = prepare(query=f"FROM '{tmp_path / 'e.parquet'}'", out=tmp_path / "out")
    else:
        dataset = prepare(tmp_path / f"e.{form}", out=tmp_path / "out")
    assert dataset.session_times(0) == (1_700_000_000_000, 1_700_000_005_000)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "has no rows"),
        (ROWS[:2], "No usable session: every session needs two item runs or more"),
    ],
)
def test_a_table_without_a_session_is_an_error(tmp_path, rows, message):
    with pytest.raises(HupError, match=message):
        prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_session_is_enough(tmp_path):
    dataset = prepare(write(tmp_path / "e.csv", *ROWS[:3]), out=tmp_path / "out")
    assert len(dataset) == 1


def test_columns_without_a_mapping_are_named_and_the_next_step_told(tmp_path):
    source = write(tmp_path / "e.csv", "1,2,3", header="visitor,product,when")
    with pytest.raises(HupError, match=r"visitor, product, when.*hup map .*e.csv --out mapping.toml"):
        prepare(source, out=tmp_path / "out")


def test_too_many_behaviors(tmp_path):
    rows = [f"ann,s1,{n},170000{n:04},item{n % 2},behavior{n},a,b" for n in range(300)]
    with pytest.raises(HupError, match=r"300 behaviors.*a dataset holds 255.*keep"):
        prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out")


def test_jd_lines_know_no_table_options(tmp_path):
    source = tmp_path / "log.txt"
    source.write_text("1+1+2+3+4 2+1+2+3+4\n")
    with pytest.raises(HupError, match="by, window: a JD line is a session"):
        prepare(source, out=tmp_path / "out", sequence="user", window=3)
    with pytest.raises(HupError, match="a mapping is for event tables"):
        prepare(source, out=tmp_path / "out", format="jd", map="rees46")


@pytest.mark.parametrize("options", [{"window": 1}, {"last_events": 1}])
def test_one_event_is_no_sequence(tmp_path, options):
    source = write(tmp_path / "e.csv", *ROWS)
    with pytest.raises(HupError, match=rf"sequence\.{next(iter(options))}: .*greater than or equal to 2 \(found 1\)"):
        prepare(source, out=tmp_path / "out", sequence="user", **options)
    with pytest.raises(HupError, match="greater than or equal to 2"):
        Mapping.validated({**MINIMAL, "sequence": options})


def test_interrupted_work_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("hup.data.prepare.write_dataset", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(write(tmp_path / "e.csv", *ROWS), out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["e.csv"]


def test_rees46_sample(shared_data, tmp_path):
    """17,435 lines, of which the last is cut off."""
    dataset = prepare(shared_data / "rees46" / "events_2019_oct_17k.csv", map="rees46", out=tmp_path / "out")
    counts = dataset.manifest.counts
    assert dataset.levels == 3
    assert (counts.sessions, counts.events, counts.items) == (2344, 13694, 5656)
    assert counts.categories == [14, 55, 111]
    assert dataset.manifest.rejects.by_reason["wrong number of fields"] == 1
    assert dataset.manifest.tree.items_without_category == 2494
    assert dataset.manifest.tree.events_without_category == 4632
    assert Dataset.open(tmp_path / "out").fingerprint == dataset.fingerprint


def test_trivago_sample(shared_data, tmp_path):
    dataset = prepare(shared_data / "trivago" / "trivago_100k.parquet", map="trivago", out=tmp_path / "out")
    assert dataset.levels == 2
    assert len(dataset) == 3361
    assert dataset.manifest.left_out["behavior is not one to keep"] == 12_391
    assert dataset.manifest.rejects.by_reason["item is missing"] == 4
    names = {dataset.taxonomy.path_names(2, code) for code in range(len(dataset.taxonomy.names[1]))}
    assert ("France", "Marseille") in names


@pytest.mark.parametrize("sequence", ["session", "gap", "user"])
def test_histories_of_robots_are_left_out_with_a_reason(tmp_path, monkeypatch, sequence):
    monkeypatch.setattr(numbering, "LONGEST_HISTORY", 10)
    header = "user,session,timestamp,item"
    rows = [f"u{n % 3},s{n % 3},{1_700_000_000 + n},i{n % 4}" for n in range(30)]  # ten events each: none too many
    robot = [f"robot,r,{1_700_000_000 + n},{'i' if n % 2 else 'j'}{n % 7}" for n in range(11)]
    (tmp_path / "log.csv").write_text("\n".join([header, *rows]) + "\n")
    (tmp_path / "robot.csv").write_text("\n".join([header, *robot, *rows]) + "\n")
    notes = []

    class Told(Progress):
        def note(self, message):
            notes.append(message)

    plain = prepare(tmp_path / "log.csv", out=tmp_path / "plain", sequence=sequence)
    made = prepare(tmp_path / "robot.csv", out=tmp_path / "made", sequence=sequence, progress=Told())
    assert made.fingerprint == plain.fingerprint
    assert made.manifest.rejects.by_reason == {"history has more than 10 events": 1}
    assert made.manifest.left_out == {"in a history of more than 10 events": 11}
    assert pq.read_table(made.path / "rejects.parquet").to_pylist() == [
        {
            "file": None,
            "line": None,
            "token": "r" if sequence == "session" else "robot",
            "reason": "history has more than 10 events: 11",
            "effect": "session dropped",
        }
    ]
    assert "Histories of more than 10 events, as only robots have, are left out: 1." in notes
