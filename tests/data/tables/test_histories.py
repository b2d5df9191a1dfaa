"""Histories against a plain walk over rows, one at a time."""

import math
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.data.tables import histories
from hup.data.tables.histories import HistoryRules
from hup.data.tables.table_sessions import HistoryCounts, write_histories

N_FILES = 3
TYPES = {
    "key": pa.int64(),
    "file": pa.int32(),
    "item_id": pa.int32(),
    "behavior": pa.uint8(),
    "time_ms": pa.int64(),
    "interval": pa.float32(),
    "dwell": pa.float32(),
}


def reference(rows, rules):
    """Do what `write_histories` does with lists and dictionaries."""
    counts = dict.fromkeys(HistoryCounts().__dict__, 0)
    counts["rows"] = len(rows)
    used, short, by_file = [], [], [0] * N_FILES
    for key, history in groupby(rows, lambda row: row["key"]):
        history = list(history)
        sessions = plain_sessions(history, rules, counts)
        for part, session in enumerate(sessions):
            table = (key, part, len(sessions), session[0]["time_ms"], session[-1]["time_ms"], len(session))
            if len({row["item_id"] for row in session}) < 2:
                short.append(table)
                counts["short_sessions"] += 1
                counts["short_events"] += len(session)
                continue
            used.append((table, plain_times(session, rules, counts)))
            counts["events"] += len(session)
            for row in session:
                by_file[row["file"]] += 1
    return used, short, by_file, counts


def plain_sessions(history, rules, counts):
    ids, contents, rows = set(), set(), []
    for row in history:
        name = row.get("event_id")
        content = (row["time_ms"], row["item_id"], row["behavior"])
        if name is not None and name in ids:
            counts["duplicates"] += 1
            continue
        ids.add(name)
        if rules.drop_repeated_rows and content in contents:
            counts["repeated_rows"] += 1
            continue
        contents.add(content)
        rows.append(row)
    sessions = [[rows[0]]]
    for before, row in pairwise(rows):
        if rules.by == "gap" and row["time_ms"] - before["time_ms"] > rules.idle_gap_ms:
            sessions.append([])
        sessions[-1].append(row)
    if rules.last_events is not None:
        counts["older_events"] += sum(max(0, len(session) - rules.last_events) for session in sessions)
        sessions = [session[-rules.last_events :] for session in sessions]
    if rules.by == "user":
        (rows,) = sessions
        sessions = []
        while rows:
            sessions.insert(0, rows[-rules.window :])
            rows = rows[: -rules.window]
    return sessions


def plain_times(session, rules, counts):
    def stated(row, name):
        value = row.get(name)
        return None if value is None or math.isnan(value) else value

    events = []
    for place, row in enumerate(session):
        interval = stated(row, "interval")
        if interval is None and place + 1 < len(session):
            interval = (session[place + 1]["time_ms"] - row["time_ms"]) / 1000
        events.append([row["item_id"], row["behavior"], interval, None])
    start = 0
    while start < len(session):
        end = start
        while end < len(session) and session[end]["item_id"] == session[start]["item_id"]:
            end += 1
        dwell = (session[end]["time_ms"] - session[start]["time_ms"]) / 1000 if end < len(session) else None
        for row in session[start:end]:
            dwell = stated(row, "dwell") if stated(row, "dwell") is not None else dwell
        if dwell is not None and dwell > rules.dwell_cap_ms / 1000:
            dwell = rules.dwell_cap_ms / 1000
            counts["capped_dwells"] += 1
        for event in events[start:end]:
            event[3] = dwell
        start = end
    return [(item, behavior, number(interval), number(dwell)) for item, behavior, interval, dwell in events]


def number(value):
    """As float32 has it, and None for NaN, so that rows compare."""
    return None if value is None or math.isnan(value) else float(np.float32(value))


def found(cut):
    """What `write_histories` wrote, in the form of the reference."""
    columns = [column.tolist() for column in cut.events().values()]
    events = [(item, behavior, number(i), number(d)) for item, behavior, i, d in zip(*columns, strict=True)]
    table = cut.sessions
    names = ("key", "part", "parts", "start_ms", "end_ms", "length")
    rows = list(zip(*(getattr(table, name).tolist() for name in names), strict=True))
    stretches = zip(table.offset.tolist(), table.length.tolist(), strict=True)
    used = [(row, events[start : start + length]) for row, (start, length) in zip(rows, stretches, strict=True)]
    assert sum(table.length) == len(events)
    names = ("key", "part", "parts", "start_ms", "length")
    short = list(zip(*(getattr(cut.short, name).tolist() for name in names), strict=True))
    assert len(short) == len(cut.short)
    assert len(used) == len(table)
    return used, short, cut.used_by_file.tolist(), cut.counts.__dict__


def with_text_id(row):
    return row if row.get("event_id") is None else {**row, "event_id": f"n{row['event_id']}"}


def batches(rows, cuts, id_type):
    """Rows as batches that end at `cuts`."""
    there = [name for name in [*TYPES, "event_id"] if rows and name in rows[0]]
    types = {**TYPES, "event_id": id_type}
    borders = [0, *sorted(min(place, len(rows)) for place in cuts), len(rows)]
    for start, end in pairwise(borders):
        part = rows[start:end]
        yield pa.record_batch({name: pa.array([row[name] for row in part], types[name]) for name in there})


times = st.integers(0, 8).map(lambda seconds: seconds * 500)
seconds = st.one_of(st.none(), st.just(math.nan), st.integers(0, 12).map(lambda half: half / 2))
event_ids = st.one_of(st.none(), st.integers(0, 9))


@st.composite
def logs(draw):
    columns = {
        "key": st.integers(0, 4).map(lambda key: key * 3),
        "file": st.integers(0, N_FILES - 1),
        "item_id": st.integers(0, 3),
        "behavior": st.integers(0, 2),
        "time_ms": times,
    }
    for name, values in (("event_id", event_ids), ("interval", seconds), ("dwell", seconds)):
        if draw(st.booleans()):
            columns[name] = values
    rows = draw(st.lists(st.fixed_dictionaries(columns), max_size=60))
    if draw(st.booleans()):
        rows = [{**row, "key": 7} for row in rows]
    return sorted(rows, key=lambda row: (row["key"], row["time_ms"]))


rules_of_any_kind = st.builds(
    HistoryRules,
    by=st.sampled_from(["session", "gap", "user"]),
    idle_gap_ms=st.sampled_from([0, 500, 1000, 2500]),
    window=st.integers(2, 8),
    last_events=st.one_of(st.none(), st.integers(1, 12)),
    dwell_cap_ms=st.sampled_from([0, 1000, 2500, 10**6]),
    drop_repeated_rows=st.booleans(),
)


@settings(max_examples=100)
@given(
    rows=logs(),
    rules=rules_of_any_kind,
    cuts=st.lists(st.integers(0, 60), max_size=8),
    block_rows=st.sampled_from([1, 3, 10, 100]),
    as_text=st.booleans(),
)
def test_against_a_plain_walk_wherever_batches_end(tmp_path_factory, rows, rules, cuts, block_rows, as_text):
    id_type = pa.int64()
    if as_text:
        id_type = pa.string()
        rows = [with_text_id(row) for row in rows]
    read = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histories, "BLOCK_ROWS", block_rows)
        folder = tmp_path_factory.mktemp("histories")
        cut = write_histories(folder, batches(rows, cuts, id_type), rules, N_FILES, read.append)
    used, short, by_file, counts = reference(rows, rules)
    short = [(key, part, parts, start, length) for key, part, parts, start, _end, length in short]
    assert found(cut) == (used, short, by_file, counts)
    assert sum(read) == len(rows)
    parts_of_rows = ("events", "duplicates", "repeated_rows", "older_events", "short_events")
    assert sum(counts[name] for name in parts_of_rows) == counts["rows"]


def row(key, time_ms, item_id, **others):
    return {"key": key, "file": 0, "item_id": item_id, "behavior": 0, "time_ms": time_ms, **others}


def written(tmp_path, rows, rules, id_type=None):
    return write_histories(tmp_path, batches(rows, [], id_type or pa.string()), rules, 1)


def test_a_pause_as_long_as_the_gap_cuts_not(tmp_path):
    rows = [row(0, 0, 1), row(0, 1000, 2), row(0, 2001, 1), row(0, 3001, 2)]
    table = written(tmp_path, rows, HistoryRules("gap", idle_gap_ms=1000)).sessions
    assert (table.part.tolist(), table.parts.tolist(), table.length.tolist()) == ([0, 1], [2, 2], [2, 2])
    assert (table.start_ms.tolist(), table.end_ms.tolist()) == ([0, 2001], [1000, 3001])


def test_windows_end_with_the_newest_event(tmp_path):
    rows = [row(0, time, time % 2) for time in range(7)]
    table = written(tmp_path, rows, HistoryRules("user", window=3))
    assert table.sessions.start_ms.tolist() == [1, 4]
    assert table.short.start_ms.tolist() == [0]
    assert (table.sessions.part.tolist(), table.short.part.tolist()) == ([1, 2], [0])


def test_dwell_of_the_open_run_and_of_long_ones(tmp_path):
    rows = [row(0, 0, 1), row(0, 2000, 1), row(0, 5000, 2), row(0, 99_000, 3), row(0, 99_500, 3)]
    cut = written(tmp_path, rows, HistoryRules("session", dwell_cap_ms=60_000))
    np.testing.assert_array_equal(cut.events()["dwell"], np.array([5, 5, 60, np.nan, np.nan], np.float32))
    np.testing.assert_array_equal(cut.events()["interval"], np.array([2, 3, 94, 0.5, np.nan], np.float32))
    assert cut.counts.capped_dwells == 1


def test_stated_times_win(tmp_path):
    nothing = {"interval": None, "dwell": None}
    rows = [
        row(0, 0, 1, interval=7.5, dwell=1),
        row(0, 1000, 1, interval=None, dwell=9),
        row(0, 2000, 1, **nothing),
        row(0, 3000, 2, interval=math.nan, dwell=math.nan),
        row(0, 4000, 3, interval=8, dwell=70),
    ]
    events = written(tmp_path, rows, HistoryRules("session", dwell_cap_ms=60_000)).events()
    assert events["interval"].tolist() == [7.5, 1, 1, 1, 8]
    assert events["dwell"].tolist() == [9, 9, 9, 1, 60]


def test_an_event_id_repeats_only_within_its_history(tmp_path):
    rows = [
        row(key, time, time % 2, event_id=name) for key in (0, 1) for time, name in enumerate(["a", "b", "a", None])
    ]
    assert written(tmp_path, rows, HistoryRules("session")).counts.duplicates == 2


def test_of_many_events_with_one_id_the_first_stays(tmp_path):
    rows = [row(0, time, time % 50, event_id=f"n{time * 7 % 40}") for time in range(4000)]
    cut = written(tmp_path, rows, HistoryRules("session"))
    assert cut.counts.duplicates == 3960
    assert cut.events()["item_id"].tolist() == list(range(40))


def test_a_row_repeats_only_within_its_history(tmp_path):
    rows = [row(0, 0, 1), row(0, 5, 2), row(1, 5, 2), row(1, 5, 1), row(1, 5, 2)]
    cut = written(tmp_path, rows, HistoryRules("session", drop_repeated_rows=True))
    assert cut.counts.repeated_rows == 1
    assert cut.events()["item_id"].tolist() == [1, 2, 2, 1]


def test_no_event_has_an_id(tmp_path):
    rows = [row(0, 0, 1, event_id=None), row(0, 0, 2, event_id=None)]
    assert written(tmp_path, rows, HistoryRules("session"), pa.null()).counts.events == 2


def test_nothing_at_all(tmp_path):
    cut = write_histories(tmp_path, [], HistoryRules("session"), 2)
    assert found(cut) == ([], [], [0, 0], HistoryCounts().__dict__)


def test_only_short_sessions(tmp_path):
    cut = written(tmp_path, [row(0, 0, 1), row(1, 0, 1), row(1, 1, 1)], HistoryRules("session"))
    assert len(cut.sessions) == 0
    assert (cut.counts.short_sessions, cut.counts.short_events) == (2, 3)


@pytest.mark.parametrize("rows", [[row(0, 1, 1), row(0, 0, 1)], [row(1, 0, 1), row(0, 0, 1)]])
def test_rows_out_of_order_are_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="not in order of key and time"):
        written(tmp_path, rows, HistoryRules("session"))


def test_blocks_out_of_order_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(histories, "BLOCK_ROWS", 2)
    rows = [row(1, 0, 1), row(2, 0, 1), row(0, 0, 1), row(3, 0, 1)]
    with pytest.raises(ValueError, match="not in order of key and time"):
        write_histories(tmp_path, batches(rows, [2], pa.string()), HistoryRules("session"), 1)
