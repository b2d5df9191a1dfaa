"""What HUP shows of its attention: columns over the events of one history."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hup.config import Config
from hup.data.dataset import Dataset
from hup.models.hup.ablations import ABLATIONS
from hup.models.hup.model import HUP
from hup.recommender.attention import HasAttention
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.runs import runs_of

from ...helpers.shops import TINY


def one_history(dataset: Dataset, session: int) -> Histories:
    return histories_and_targets(dataset, np.array([session]))[0]


def made(dataset: Dataset, *overrides: str) -> HUP:
    model = HUP(Config.preset("paper", [*TINY, *overrides])).initialise(dataset)
    torch.manual_seed(2)
    for parameter in model.network.parameters():
        torch.nn.init.normal_(parameter.data, std=0.5)
    return model


@pytest.mark.parametrize("ablation", ["", *(name for name in ABLATIONS if name != "noatt")])
def test_columns_cover_the_history_run_by_run(dataset, ablation):
    model = made(dataset, *ABLATIONS.get(ablation, ()))
    assert isinstance(model, HasAttention)
    for session in list(dataset.sessions("test"))[:4]:
        history = one_history(dataset, session)
        columns = model.attention(history)
        assert [column.level for column in columns] == list(model.network.level_names)
        for column in columns:
            assert float(column.weights.sum()) == pytest.approx(1, abs=1e-5)
            if column.level == "micro" or ablation == "single":
                expected = torch.arange(history.item.numel())
                assert torch.equal(column.first, expected)
                assert torch.equal(column.last, expected)
            else:
                runs = runs_of(history, column.level)
                assert torch.equal(column.first, runs.first)
                assert torch.equal(column.last, runs.last)


def test_only_levels_with_a_loss_are_trained(dataset):
    history = one_history(dataset, dataset.sessions("test")[0])
    trained = {column.level: column.trained for column in made(dataset).attention(history)}
    assert trained.pop("micro") is False
    assert all(trained.values())
    with_micro = made(dataset, "loss.lambda_micro=0.1", "loss.lambda_item=0").attention(history)
    assert {column.level: column.trained for column in with_micro} == {**trained, "micro": True, "item": False}


def test_weights_are_those_of_the_reasons(dataset):
    model = made(dataset)
    session = dataset.sessions("test")[0]
    names = dataset.item_names
    history = one_history(dataset, session)
    tree = dataset.taxonomy
    events = [
        {
            "item": names[item],
            "behavior": dataset.behaviors[behavior].code,
            "categories": tree.path_names(dataset.levels, int(tree.paths[item, -1])),
            "interval": None if np.isnan(interval) else interval,
            "dwell": None if np.isnan(dwell) else dwell,
        }
        for item, behavior, interval, dwell in zip(
            *(getattr(history, part).tolist() for part in ("item", "behavior", "interval", "dwell")), strict=True
        )
    ]
    column = next(column for column in model.attention(history) if column.level == "item")
    by_item: dict[str, float] = {}
    for first, weight in zip(column.first.tolist(), column.weights.tolist(), strict=True):
        name = names[int(history.item[first])]
        by_item[name] = by_item.get(name, 0.0) + weight
    found = {reason.name: reason.weight for reason in model.recommend(events).reasons}
    assert found == pytest.approx(by_item, abs=1e-5)


def test_a_model_without_attention_shows_none(dataset):
    model = made(dataset, *ABLATIONS["noatt"])
    history = one_history(dataset, dataset.sessions("test")[0])
    assert model.attention(history) == ()
    weights = model.network(history, model_steps(model, history))["item"].weights
    assert weights.tolist() == [0.0] * (len(weights) - 1) + [1.0]


def model_steps(model: HUP, history: Histories):
    from hup.sessions.levels import pyramid_steps

    return pyramid_steps(history, model.buckets)
