"""JD lines with item names that need care: which sessions, in which order, with which categories."""

import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import SourceFile
from hup.data.jd_log import jd_log
from hup.data.prepare import prepare
from hup.data.progress import Progress

LINES = [
    [("lonely", "x/z"), ("c", "x/z")],
    [("lonely", "x/z"), ("lonely", "x/y")],
    [("a/b", "x/y"), ("c", "x/z")],
    [("a/b", "x/q"), ("c", "x/z")],
]


@pytest.fixture
def engine(tmp_path):
    with DuckDBEngine(tmp_path / "spill") as engine:
        yield engine


def text_of(lines):
    return "".join(" ".join(f"{item}+1+{path}+1+2" for item, path in line) + "\n" for line in lines)


def read(tmp_path, engine, seed=None, base=None):
    path = tmp_path / "log.txt"
    path.write_text(text_of(LINES))
    return jd_log([SourceFile(path, "log.txt", path.stat().st_size)], engine, Progress(), None, seed, base)


def rows(stream, *columns):
    return [tuple(row[column] for column in columns) for batch in stream() for row in batch.to_pylist()]


def paths(log):
    return dict(zip(log.items["item"].to_pylist(), log.items["path"].to_pylist(), strict=True))


def test_order_sessions_and_categories(tmp_path, engine):
    log = read(tmp_path, engine)
    names = log.items["item"].to_pylist()
    events = [(session, names[item]) for session, item in rows(log.events, "session", "item_id")]
    assert events == [(0, "lonely"), (0, "c"), (2, "a/b"), (2, "c"), (3, "a/b"), (3, "c")]
    assert log.n_events == 6
    assert log.sessions["session"].to_pylist() == ["log.txt:1", "log.txt:3", "log.txt:4"]
    assert paths(log) == {"a/b": "x/y", "c": "x/z", "lonely": "x/z"}
    assert rows(log.rejects, "file", "line", "token", "reason", "effect") == [
        ("log.txt", 2, None, "session has fewer than two item runs", "session dropped"),
        ("log.txt", 4, "a/b+1+x/q+1+2", "item has another category: x/q instead of x/y", "recategorised"),
    ]


def test_streams_begin_anew_in_any_order(tmp_path, engine):
    log = read(tmp_path, engine)
    events, rejects = rows(log.events, "session", "item_id"), rows(log.rejects, "line", "reason")
    assert (rows(log.rejects, "line", "reason"), rows(log.events, "session", "item_id")) == (rejects, events)


def test_known_paths_win_over_what_the_log_says(tmp_path, engine):
    (tmp_path / "base.txt").write_text(text_of([[("a/b", "k/k"), ("unseen", "x/y"), ("c", "x/z")]]))
    log = read(tmp_path, engine, base=prepare(tmp_path / "base.txt", out=tmp_path / "base", shares=(1, 0, 0)))
    assert paths(log) == {"a/b": "k/k", "c": "x/z", "lonely": "x/z"}
    assert rows(log.rejects, "line", "token", "reason", "effect")[1:] == [
        (3, "a/b+1+x/y+1+2", "item has another category: x/y instead of k/k", "noted"),
        (4, "a/b+1+x/q+1+2", "item has another category: x/q instead of k/k", "noted"),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_permutation_keeps_sessions_whole(tmp_path, engine, seed):
    log = read(tmp_path, engine, seed)
    sessions = [session for (session,) in rows(log.events, "session")]
    assert sessions[::2] == sessions[1::2]
    assert sorted(sessions[::2]) == [0, 2, 3]
    assert log.sessions["session"].to_pylist() == [f"log.txt:{session + 1}" for session in sessions[::2]]


def test_permutation_depends_on_the_seed_alone(tmp_path):
    orders = []
    for seed in (1, 1, 2, 3, 4, 5):
        with DuckDBEngine(tmp_path / "spill") as engine:
            orders.append(rows(read(tmp_path, engine, seed).events, "session"))
    assert orders[0] == orders[1]
    assert any(order != orders[0] for order in orders)
