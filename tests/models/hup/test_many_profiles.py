"""Profiles of many users at once are those of each of them, whatever is left out of the pyramid."""

from __future__ import annotations

import numpy as np
import pytest

from hup.config import Config
from hup.errors import HupError
from hup.models.hup.ablations import ABLATIONS
from hup.models.hup.many_profiles import ManyProfiles
from hup.models.hup.model import HUP
from hup.recommender import many

from ...helpers.live_sessions import live_events
from ...helpers.returning_users import returning_users
from ...helpers.shops import TINY

CONFIGS = {name: Config.preset("paper", [*TINY, *overrides]) for name, overrides in ABLATIONS.items()}
CONFIGS |= {name: Config.preset(name, TINY) for name in ("paper", "authors", "best")}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return returning_users(tmp_path_factory.mktemp("returning"))


@pytest.mark.parametrize("name", CONFIGS)
def test_profiles_of_many_are_those_of_each(dataset, name, monkeypatch):
    """However few sessions are in a batch, or events at once."""
    monkeypatch.setattr(ManyProfiles, "sessions_per_batch", 5)
    monkeypatch.setattr(many, "_EVENTS_AT_ONCE", 30)
    model = HUP(CONFIGS[name]).initialise(dataset)
    sessions = [*dataset.sessions("test")][::5]
    done: list[int] = []
    names = [dataset.session_name(session) for session in sessions]
    rows = model.profiles(dataset, sessions=names, progress=done.append).to_pylist()
    assert sum(done) == len(sessions)
    expected = [model.profile(live_events(dataset, session)) for session in sessions]
    assert [(row["session"], row["level"]) for row in rows] == [
        (name, level) for name, profile in zip(names, expected, strict=True) for level in profile
    ]
    vectors = [vector for profile in expected for vector in profile.values()]
    for row, vector in zip(rows, vectors, strict=True):
        np.testing.assert_allclose(row["vector"], vector, rtol=1e-4, atol=1e-5)


def test_of_users_the_newest_session_counts(log):
    model = HUP(Config.preset("best", TINY)).initialise(log)
    table = model.profiles(log, users=["u5"]).to_pydict()
    assert set(table["user"]) == {"u5"}
    assert table["level"] == ["micro", "item", "category_2", "category_1"]
    stream = model.profile_stream(log)
    assert stream.read_all().equals(model.profiles(log, users="all"))


def test_a_model_without_profiles_says_so(dataset):
    model = HUP(Config.preset("best", [*TINY, "mixture.profile=false"])).initialise(dataset)
    with pytest.raises(HupError, match="trained without profiles"):
        model.profiles(dataset, sessions="all")


def test_a_dataset_of_another_shop_is_told(dataset, log):
    model = HUP(Config.preset("best", TINY)).initialise(dataset)
    with pytest.raises(HupError, match="was trained on another dataset"):
        model.profiles(log)
