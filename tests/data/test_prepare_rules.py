"""What decides where rows disagree: order without places, where items lie, whose session it is."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.prepare import append, prepare
from hup.data.progress import Progress
from hup.data.tables.mapping import Mapping
from hup.data.validate import validate
from hup.errors import HupError

HEADER = "user,session,event_id,timestamp,item,behavior,category_1,category_2"
START = 1_700_000_000


def write(path, *rows, header=HEADER):
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def log_of(sessions, first=0):
    """Rows of sessions, each a list of (item, category), that follow on each other in time."""
    return [
        f"u{number},s{number},{number * 1000 + step},{START + number * 1000 + step},{item},view,x,{category}"
        for number, session in enumerate(sessions, first)
        for step, (item, category) in enumerate(session)
    ]


def leaf(dataset, item):
    code = dataset.item_names.index(item)
    return dataset.taxonomy.path_names(dataset.levels, int(dataset.taxonomy.paths[code, -1]))[-1]


COLUMNS = ("session", "timestamp", "item", "behavior", "category_1", "dwell")


def test_rows_of_a_query_come_in_any_order_and_give_one_dataset(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(f"s{n % 7}", START + n % 3, f"i{n % 4}", "view", "c", float(rng.integers(100))) for n in range(400)]
    prints = set()
    for seed in range(4):
        database = tmp_path / f"shop{seed}.duckdb"
        with duckdb.connect(str(database)) as connection:
            shuffled = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
            table = pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in shuffled])
            connection.register("shuffled", table)
            connection.execute("CREATE TABLE log AS FROM shuffled")
        prints.add(prepare(database, query="SELECT * FROM log", out=tmp_path / f"out{seed}").fingerprint)
    assert len(prints) == 1


def test_test_sessions_do_not_decide_however_early_they_begin(tmp_path):
    """The last session to end began first, and saw x elsewhere ten times before any other session began."""
    early = [f"u,long,{n},{START - 1000 + n},{'x' if n % 2 else 'y'},view,x,{'B' if n % 2 else 'Y'}" for n in range(20)]
    end = f"u,long,99,{START + 99_000},y,view,x,Y"
    others = log_of([[("x", "A"), ("z", "Z")]] * 9)
    dataset = prepare(write(tmp_path / "e.csv", *early, *others, end), out=tmp_path / "out")
    assert dataset.session_name(9) == "long"
    assert leaf(dataset, "x") == "A"


@pytest.mark.parametrize("seed", range(4))
def test_in_a_random_split_only_training_sessions_decide(tmp_path, seed):
    sessions = [
        [("x", "A" if n % 2 else "B"), (f"i{n}", "Z"), *[("x", "A" if n % 2 else "B")] * (n % 3)] for n in range(20)
    ]
    source = write(tmp_path / "e.csv", *log_of(sessions))
    dataset = prepare(source, out=tmp_path / "out", split="random", seed=seed)
    votes = {"A": 0, "B": 0}
    for place in dataset.sessions("train"):
        number = int(dataset.session_name(place)[1:])
        votes["A" if number % 2 else "B"] += sum(item == "x" for item, _category in sessions[number])
    if votes["A"] != votes["B"]:
        assert leaf(dataset, "x") == max(votes, key=votes.__getitem__)


def test_duplicates_and_dropped_sessions_have_no_vote(tmp_path):
    rows = log_of([[("x", "A"), ("y", "Y"), ("x", "A")]] * 5)
    again = [f"u0,s0,0,{START + 5},x,view,x,B"] * 50  # the event id of the first row
    alone = [f"u{n},t{n},1,{START + 9 * n},x,view,x,B" for n in range(30)]
    dataset = prepare(write(tmp_path / "e.csv", *rows, *again, *alone), out=tmp_path / "out", shares=(1, 0, 0))
    assert leaf(dataset, "x") == "A"
    assert (dataset.manifest.tree.items_moved, dataset.manifest.tree.events_moved) == (0, 0)


def test_rows_that_are_not_used_do_not_deepen_the_tree(tmp_path):
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        """
        [tables]
        user = "user"
        session = "session"
        timestamp = "timestamp"
        item = "item"
        behavior = { value = "view" }
        [categories]
        column = "path"
        delimiter = "."
        """
    )
    rows = [f"u,s1,{START + n},i{n % 2},a.b" for n in range(4)]
    source = write(tmp_path / "e.csv", *rows, f"u,s2,{START},q,a.b.c.d.e", header="user,session,timestamp,item,path")
    dataset = prepare(source, map=mapping, out=tmp_path / "out")
    assert dataset.levels == 2
    assert dataset.manifest.tree.items_extended == 0


def test_who_logs_in_late_has_one_session(tmp_path):
    rows = [f"{'ann' if n > 2 else ''},s1,{n},{START + n},i{n},view,x,y" for n in range(6)]
    dataset = prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out")
    assert [(dataset.session_name(n), dataset.session_user(n)) for n in range(len(dataset))] == [("s1", "ann")]
    assert dataset.offsets.tolist() == [0, 6]


def test_two_users_of_one_session_id_are_two_sessions(tmp_path):
    rows = [f"{('ann', 'bob', '')[n % 3]},s1,{n},{START + n},i{n},view,x,y" for n in range(9)]
    dataset = prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out")
    assert sorted(dataset.session_user(n) or "" for n in range(len(dataset))) == ["", "ann", "bob"]


def test_an_item_that_is_new_when_appended_lies_where_all_at_once_would_put_it(tmp_path):
    """Of the new sessions, the first 40 will be for training, of which most see z in A."""
    old = log_of([[("a", "A"), ("b", "B")]] * 100)
    new = log_of([[("z", "A" if n < 30 else "B"), (f"n{n % 5}", "B")] for n in range(100)], first=100)
    whole = prepare(write(tmp_path / "all.csv", *old, *new), out=tmp_path / "whole")
    prepare(write(tmp_path / "1.csv", *old), out=tmp_path / "grown")
    grown = append(tmp_path / "grown", write(tmp_path / "2.csv", *new))
    assert leaf(grown, "z") == leaf(whole, "z") == "A"
    assert grown.fingerprint == whole.fingerprint


def test_counts_of_the_tree_after_an_append_are_those_of_all_at_once(tmp_path):
    old = log_of([[("a", ""), ("b", "B"), ("c", "")]] * 10)
    new = log_of([[("a", ""), ("d", ""), ("e", "E")]] * 10, first=10)
    old, new = ([row.replace(",x,", ",,") if row.endswith(",") else row for row in part] for part in (old, new))
    whole = prepare(write(tmp_path / "all.csv", *old, *new), out=tmp_path / "whole")
    prepare(write(tmp_path / "1.csv", *old), out=tmp_path / "grown")
    grown = append(tmp_path / "grown", write(tmp_path / "2.csv", *new))
    assert grown.manifest.tree == whole.manifest.tree
    assert whole.manifest.tree.items_without_category == 3
    assert grown.manifest.left_out == whole.manifest.left_out


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: row.replace(",view,", ",,"),
        lambda row: row.replace(str(START)[:6], "soon"),
        lambda row: row.replace(str(START)[:6], "997000"),
    ],
    ids=["behavior", "time", "future"],
)
def test_a_log_without_a_usable_row_is_told_so(tmp_path, spoil):
    rows = [spoil(row) for row in log_of([[("x", "A"), ("y", "B")]] * 3)]
    with pytest.raises(HupError, match=r"100\.0% of 6 rows are malformed|No usable session"):
        prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out")
    with pytest.raises(HupError, match="No usable session"):
        prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out", max_reject_share=1)
    assert validate(tmp_path / "e.csv").problem


def test_a_kept_behavior_that_is_never_met_is_told(tmp_path):
    told = []

    class Listener(Progress):
        def note(self, message):
            told.append(message)

    table = {"user": "user", "session": "session", "item": "item", "behavior": "behavior", "timestamp": "timestamp"}
    mapping = Mapping.validated(
        {"tables": [table], "categories": {"columns": ["category_1"]}, "behaviors": {"keep": ["view", "crt"]}}
    )
    source = write(tmp_path / "e.csv", *log_of([[("x", "A"), ("y", "B")]] * 3))
    prepare(source, map=mapping, out=tmp_path / "out", progress=Listener())
    assert [message for message in told if "crt" in message]


def test_blank_lines_say_nothing(tmp_path):
    rows = log_of([[("x", "A"), ("y", "B")]] * 3)
    plain = prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "plain")
    airy = prepare(write(tmp_path / "f.csv", *(line for row in rows for line in (row, "")), ""), out=tmp_path / "airy")
    assert airy.fingerprint == plain.fingerprint
    assert airy.manifest.rejects.rows == 0


def test_a_stray_number_among_dates_is_one_bad_row(tmp_path):
    rows = [f"u,s{n // 4},{n},2024-05-01 10:{n:02}:00,i{n % 3},view,x,y" for n in range(40)]
    rows[7] = rows[7].replace("2024-05-01 10:07:00", "0")
    dataset = prepare(write(tmp_path / "e.csv", *rows), out=tmp_path / "out")
    assert dataset.manifest.rejects.by_reason == {"timestamp is not a time": 1}
    assert dataset.manifest.counts.events == 39


def test_never_and_always_do_not_take_forever(tmp_path):
    """Clocks are not followed through eight thousand years for rows that are refused anyway."""
    mapping = Mapping.validated(
        {
            "tables": [
                {
                    **{"user": "user", "item": "item", "behavior": "behavior"},
                    "timestamp": {"column": "timestamp", "zone": "Europe/Berlin"},
                }
            ],
            "categories": {"columns": ["category_1"]},
        }
    )
    rows = [f"u,s,{n},2024-05-01 10:{n:02}:00,i{n % 3},view,x,y" for n in range(40)]
    extremes = [f"u,s,{day},{day} 00:00:00,i,view,x,y" for day in ("9999-12-31", "0001-01-01")]
    dataset = prepare(write(tmp_path / "e.csv", *rows, *extremes), map=mapping, out=tmp_path / "out")
    assert set(dataset.manifest.rejects.by_reason) == {"timestamp is in the future", "timestamp is before 1973"}
    assert dataset.session_times(0)[0] == 1_714_550_400_000  # 08:00 UTC


def test_lines_that_end_as_on_old_macs(tmp_path):
    (tmp_path / "e.csv").write_bytes("\r".join((HEADER, *log_of([[("x", "A"), ("y", "B")]]))).encode())
    with pytest.raises(HupError, match=r"e\.csv, line 1: the header cannot be read.*carriage return alone"):
        prepare(tmp_path / "e.csv", out=tmp_path / "out", format="events")


def test_a_list_of_rejects_that_is_damaged_is_told_when_appending(tmp_path):
    prepare(write(tmp_path / "1.csv", *log_of([[("x", "A"), ("y", "B")]] * 3)), out=tmp_path / "grown")
    (tmp_path / "grown" / "rejects.parquet").write_text("x")
    new = write(tmp_path / "2.csv", *log_of([[("x", "A"), ("y", "B")]] * 3, first=10))
    with pytest.raises(HupError, match="does not read as rejected rows"):
        append(tmp_path / "grown", new)


def test_rows_of_item_tables_that_cannot_be_used_are_listed_and_reported(tmp_path):
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        """
        [tables]
        user = "user"
        session = "session"
        timestamp = "timestamp"
        item = "item"
        behavior = { value = "view" }
        [categories.items]
        file = "shelf*"
        item = "i"
        category = "c"
        """
    )
    (tmp_path / "shelf.csv").write_text("i,c\na,x\nb\nb,y,z\n,q\na,w\n")
    rows = [f"u,s1,{START + n},{'ab'[n % 2]}" for n in range(4)]
    source = write(tmp_path / "e.csv", *rows, header="user,session,timestamp,item")
    dataset = prepare(source, map=mapping, out=tmp_path / "out")
    assert dataset.manifest.rejects.by_reason == {"row of the item table cannot be used": 3}
    found = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert [(row["file"], row["line"], row["effect"]) for row in found] == [
        ("shelf.csv", 3, "noted"),
        ("shelf.csv", 4, "noted"),
        ("shelf.csv", 5, "noted"),
    ]
    assert validate(source, map=mapping).problems == {"row of the item table cannot be used": 3}
    mapping.write_text(mapping.read_text() + 'where = { c = "nowhere" }\n')
    with pytest.raises(HupError, match="the table of items has no usable row with c = 'nowhere'"):
        prepare(source, map=mapping, out=tmp_path / "other")
