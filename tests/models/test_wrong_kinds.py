"""What is given in place of something else is told in words, whichever model is asked."""

from __future__ import annotations

import pandas as pd
import pytest

import hup
from hup.config import Section
from hup.errors import HupError
from hup.models.hup.model import HUP
from hup.recommender.popularity import Popularity

EVENT = {"item": "1", "behavior": "1"}


@pytest.fixture(scope="module")
def models(shops, tiny):
    return Popularity().fit(shops[1]), HUP(tiny).initialise(shops[1])


@pytest.mark.parametrize("session", [5, "abc", EVENT, {}, pd.DataFrame([EVENT]), hup.Event.of(EVENT)])
def test_a_session_is_a_list_of_events(models, session):
    for model in models:
        with pytest.raises(HupError, match="expected a list of events"):
            model.recommend(session)


@pytest.mark.parametrize("session", [None, [], (), iter(())])
def test_an_empty_session_is_answered(models, session):
    for model in models:
        assert model.recommend(session, k=1).basis == "popularity"


def test_the_path_of_a_dataset_is_none(models):
    for model in models:
        asks = [
            model.recommend_many,
            model.recommend_stream,
            model.fit,
            lambda dataset, of=model: hup.evaluate(of, dataset),
        ]
        for ask in asks:
            with pytest.raises(HupError, match=r"The dataset is 'dataset', expected what hup\.Dataset\.open"):
                ask("dataset")
    with pytest.raises(HupError, match=r"The dataset is 'dataset'"):
        models[1].profiles("dataset")


def test_the_path_of_a_model_is_none(shops):
    with pytest.raises(HupError, match=r"The model is 'model', expected what hup\.load"):
        hup.evaluate("model", shops[1])


@pytest.mark.parametrize("config", [5, {"network": {}}, Section()])
def test_a_configuration_is_of_its_model(config):
    with pytest.raises(HupError, match="expected a Config"):
        HUP(config)


def test_names_of_a_restriction_are_a_list_or_a_file():
    with pytest.raises(HupError, match="5 is neither a list of names nor a file"):
        hup.Restriction(only=5)
