"""What datasets, models and live profiles say of themselves."""

from __future__ import annotations

import pyarrow as pa
import pytest
import torch

import hup
from hup.config import Config
from hup.models.hup.live.state import ProfileState
from hup.models.hup.model import HUP
from hup.readable import Readable, Summary
from hup.recommender.kinds import KINDS, model_class
from hup.recommender.popularity import Popularity

from .helpers.returning_users import returning_users


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    plain = returning_users(tmp_path_factory.mktemp("readable"))
    return hup.append(plain.path, items=pa.table({"item": plain.item_names, "name": plain.item_names}))


@pytest.fixture(scope="module")
def model(dataset):
    torch.set_num_threads(1)
    return HUP(Config.preset("best", ["network.hidden=8", "embeddings.skipgram_epochs=2"])).initialise(dataset)


def test_a_dataset(dataset):
    title, *lines = repr(dataset).splitlines()
    assert title == f"Dataset {dataset.path}"
    said = {line.split("  ")[1]: line.split("  ")[-1] for line in lines}
    counts = dataset.manifest.counts
    assert list(said) == ["sessions", "events", "items", "categories", "behaviors", "time", "item columns"]
    assert said["sessions"].startswith(f"{counts.sessions:,} (")
    assert said["events"] == f"{counts.events:,}"
    assert said["item columns"] == "name"
    assert "array" not in repr(dataset)
    assert "<td>events</td>" in dataset._repr_html_()


def test_a_model(model):
    lines = repr(model).splitlines()
    assert lines[0] == "HUP model"
    assert [line.split("  ")[1] for line in lines[1:]] == [
        "items",
        "categories",
        "behaviors",
        "fitted on",
        "item columns",
    ]
    assert "<table>" in model._repr_html_()


def test_models_of_every_kind_before_they_are_fitted():
    for kind in KINDS:
        model = model_class(kind)()
        assert repr(model) == f"{type(model).__name__} model, not fitted"


def test_a_model_with_a_name_of_its_own(dataset):
    popular = Popularity().fit(dataset)
    popular.name = "what sells"
    assert repr(popular).splitlines()[0] == "Popularity model 'what sells'"


def test_a_live_profile(model):
    state = None
    for n, item in enumerate(["x", "y", "x", "z", "z"]):
        state = model.update(state, {"item": item, "behavior": "view", "timestamp": 10.0 * n})
    title, *lines = repr(state).splitlines()
    assert title.startswith("Live profile: 5 events on 3 items remembered, of model ")
    assert lines[0].split() == ["on", "z"]
    assert sorted(lines[1].replace(",", "").split()) == ["before", "x", "y"]
    assert lines[2].split()[:3] == ["time", "40", "s"]
    assert repr(model.state([])).splitlines()[1].split() == ["on", "nothing", "yet"]
    assert "Live profile" in state._repr_html_()
    with_earlier = model.state([{"item": "x", "behavior": "view"}], earlier=[[{"item": "q", "behavior": "view"}]])
    assert "sessions before, with visits to items: 1" in repr(with_earlier)


def test_what_is_broken_can_be_looked_at():
    class Broken(Readable):
        def _summary(self) -> Summary:
            raise ValueError("no")

    assert "Broken object at" in repr(Broken())
    assert "Broken object at" in Broken()._repr_html_()
    assert "ProfileState object at" in repr(ProfileState.__new__(ProfileState))
    assert "Dataset object at" in repr(hup.Dataset.__new__(hup.Dataset))
    assert "HUP object at" in repr(HUP.__new__(HUP))
