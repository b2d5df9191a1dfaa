"""Visits against a plain loop over prefixes, and what hypothesis makes of sessions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.models.hup.mixture.visit_signals import CONTEXT, SIGNALS, visit_sizes
from hup.models.hup.mixture.visits import joined, last_runs, run_table, spread, visits_of
from hup.sessions.batches import Histories
from hup.sessions.levels import ITEM, Level

N_BEHAVIORS = 3
EVENT = st.tuples(
    st.integers(0, 4), st.integers(-1, N_BEHAVIORS - 1), st.one_of(st.just(math.nan), st.integers(0, 900))
)
SESSIONS = st.lists(st.lists(EVENT, min_size=1, max_size=14), min_size=1, max_size=4)


def histories(sessions) -> Histories:
    """Items 0-4 of two categories; the dwell of a run is the one of its last event."""
    events = [event for session in sessions for event in session]
    item = torch.tensor([event[0] for event in events])
    return Histories(
        offsets=torch.tensor([0, *np.cumsum([len(session) for session in sessions])]),
        item=item,
        categories=(item % 2).unsqueeze(1),
        behavior=torch.tensor([event[1] for event in events]),
        interval=torch.full((len(events),), 5.0),
        dwell=torch.tensor([float(event[2]) for event in events]),
    )


def runs_of_session(session) -> list[dict]:
    runs: list[dict] = []
    for item, behavior, dwell in session:
        if not runs or runs[-1]["item"] != item:
            runs.append({"item": item, "events": 0, "behaviors": np.zeros(N_BEHAVIORS)})
        runs[-1]["events"] += 1
        runs[-1]["dwell"] = 0.0 if math.isnan(dwell) else float(dwell)
        if behavior >= 0:
            runs[-1]["behaviors"][behavior] += 1
    return runs


def expected(session, level: str, most: int) -> list[dict]:
    """Every visit of every prefix of one session, one after the other; of the prefix's last ``most + 1`` runs."""
    found = []
    whole = runs_of_session(session)
    for end in range(len(whole)):
        begin = max(0, end - most)
        found += [one | {"at": end, "run": one["run"] + begin} for one in _at_the_end(whole[begin : end + 1], level)]
    return found


def _at_the_end(runs: list[dict], level: str) -> list[dict]:
    codes = [run["item"] if level == "item" else run["item"] % 2 for run in runs]
    found = []
    at = len(runs) - 1
    last = sorted({code: place for place, code in enumerate(codes)}.items(), key=lambda pair: pair[1])
    earlier = [place for place in range(at) if codes[place] == codes[at]]
    for number, (code, run) in enumerate(last):
        on_it = [place for place in range(run + 1) if codes[place] == code]
        dwell = sum(runs[place]["dwell"] for place in on_it if place != at)
        behaviors = sum(runs[place]["behaviors"] for place in on_it)
        since = len(last) - 1 - number
        signals = [
            math.log1p(since),
            math.log1p(at - run),
            math.log1p(len(on_it) - 1),
            math.log1p(sum(runs[place]["events"] for place in on_it)),
            math.log1p(dwell) / 5,
            0 if run == at else math.log1p(runs[run]["dwell"]) / 5,
            bool(earlier) and codes[earlier[-1] + 1] == code,
            bool(earlier) and earlier[-1] > 0 and codes[earlier[-1] - 1] == code,
            since == 0,
            since == 1,
            since == 2,
            math.log1p(runs[run]["events"]),
            math.log(at + 1) / 3,
            math.log(len(last)) / 3,
            *np.minimum(behaviors, 3) / 2,
            runs[run]["item"] % 2 == runs[at]["item"] % 2,
        ]
        context = [
            math.log(at + 1),
            math.log(len(last)),
            math.log(len(last) / (at + 1)),
            math.log(runs[at]["events"]),
            1,
            *np.minimum(runs[at]["behaviors"], 3) / 2,
        ]
        found.append({"run": run, "code": code, "signals": signals, "context": context})
    return found


@pytest.mark.parametrize("level", [ITEM, Level.category(1)])
@given(sessions=SESSIONS, most=st.one_of(st.just(1000), st.integers(1, 6)))
@settings(max_examples=100)
def test_visits_are_those_of_a_plain_loop(level, sessions, most):
    """A query sees its last ``most + 1`` runs, as if the session had begun there."""
    table = run_table(histories(sessions), N_BEHAVIORS)
    visits = visits_of(table, level, most=most)
    wanted = []
    for number, session in enumerate(sessions):
        shift = int(table.offsets[number])
        wanted += [one | {"at": one["at"] + shift, "run": one["run"] + shift} for one in expected(session, level, most)]
    assert visits.run.tolist() == [one["run"] for one in wanted]
    assert visits.query.tolist() == [one["at"] for one in wanted]
    assert visits.code.tolist() == [one["code"] for one in wanted]
    assert visits.signals == pytest.approx(np.asarray([one["signals"] for one in wanted]), abs=1e-5)
    assert visits.is_open.tolist() == [one["run"] == one["at"] for one in wanted]
    contexts = {one["at"]: one["context"] for one in wanted}
    assert visits.query_run.tolist() == sorted(contexts)
    assert visits.context == pytest.approx(np.asarray([contexts[at] for at in sorted(contexts)]), abs=1e-5)


@pytest.mark.parametrize("level", [ITEM, Level.category(1)])
@given(sessions=SESSIONS, most=st.integers(1, 4))
@settings(max_examples=40)
def test_asking_some_queries_gives_what_all_have_there(level, sessions, most):
    """With ``most = 1`` the ends of sessions alone."""
    table = run_table(histories(sessions), N_BEHAVIORS)
    asked = spread(table.offsets, most)
    every, some = visits_of(table, level, most=1000), visits_of(table, level, asked, most=1000)
    chosen = np.isin(every.query, asked)
    for name in ("run", "code", "is_open", "is_current", "signals"):
        assert np.array_equal(getattr(every, name)[chosen], getattr(some, name)), name
    assert np.array_equal(every.context[asked], some.context)
    assert np.array_equal(asked[some.query], every.query[chosen])
    if most == 1:
        assert asked.tolist() == last_runs(table).tolist()
        assert some.query.tolist() == table.session[some.run].tolist()


@given(sessions=SESSIONS)
@settings(max_examples=40)
def test_other_sessions_of_a_batch_change_nothing(sessions):
    together = visits_of(run_table(histories(sessions), N_BEHAVIORS), ITEM, most=1000)
    alone = [visits_of(run_table(histories([session]), N_BEHAVIORS), ITEM, most=1000) for session in sessions]
    assert together.signals == pytest.approx(np.concatenate([one.signals for one in alone]), abs=1e-5)


def test_the_targets_run_comes_behind_its_session():
    table = run_table(histories([[(1, 0, 5), (2, 0, 5)], [(3, 1, 5)]]), N_BEHAVIORS)
    whole = joined(table, np.asarray([7, 8]), np.asarray([[0], [1]]))
    assert whole.item.tolist() == [1, 2, 7, 3, 8]
    assert whole.categories[:, 0].tolist() == [1, 0, 0, 1, 1]
    assert whole.offsets.tolist() == [0, 3, 5]
    at = [2, 4]
    for name in ("events", "dwell", "behaviors"):
        assert not getattr(whole, name)[at].any(), "nothing is known of the targets' runs"
        assert np.array_equal(np.delete(getattr(whole, name), at, axis=0), getattr(table, name))


def test_sizes_are_those_of_the_columns():
    visits = visits_of(run_table(histories([[(1, 0, 5), (2, 0, 5)]]), N_BEHAVIORS), ITEM, most=1000)
    assert (visits.signals.shape[1], visits.context.shape[1]) == visit_sizes(N_BEHAVIORS, 1, earlier=False)
    assert visits.signals.shape[1] == len(SIGNALS) + N_BEHAVIORS + 1
    assert visits.context.shape[1] == len(CONTEXT) + N_BEHAVIORS


def test_runs_are_spread_evenly_and_the_last_is_among_them():
    assert spread(np.asarray([0, 4, 5, 15]), 3).tolist() == [1, 2, 3, 4, 8, 11, 14]
    assert spread(np.asarray([0, 4, 5]), 1).tolist() == [3, 4]
    assert spread(np.asarray([0, 4, 5]), 9).tolist() == [0, 1, 2, 3, 4]
