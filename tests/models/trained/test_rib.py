"""RIB: its forward pass event by event, its attention, what it does not know, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from hup.models.trained.rib import RIB
from hup.recommender.attention import HasAttention
from hup.sessions.batches import histories_and_targets
from hup.training import Observer

QUICK = ("network.hidden=8", "embeddings.skipgram_epochs=2", "training.batch_size=16", "training.patience=0")


@pytest.fixture(scope="module")
def model(shops) -> RIB:
    made = RIB(RIB.options().changed(QUICK)).initialise(shops[3])
    torch.manual_seed(0)
    for parameter in made.network.parameters():
        torch.nn.init.normal_(parameter.data, std=0.4)
    return made


@pytest.mark.parametrize("level", ["item", "category_3", "category_1"])
def test_a_prediction_is_that_of_a_walk_over_the_events(model, shops, level):
    dataset, network = shops[3], model.network[level]
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    vectors, weights = network(histories, model.buckets)
    edges = torch.tensor(model.buckets.dwell)
    for b in range(len(histories)):
        h, outputs = torch.zeros(1, 1, 8), []
        low, high = int(histories.offsets[b]), int(histories.offsets[b + 1])
        for at in range(low, high):
            path = histories.categories[at]
            names = ["item", "category_3", "category_2", "category_1"] if level == "item" else [level]
            parts = []
            for name in names:
                k = 0 if name == "item" else int(name[9:])
                code = histories.item[at] if name == "item" else path[k - 1]
                parts.append(network.tables[name](code, path if name == "item" else path[: k - 1]))
            parts.append(network.behavior.weight[histories.behavior[at]])
            seconds = histories.dwell[at]
            bucket = 0 if bool(seconds.isnan()) else 1 + int((seconds > edges).sum())
            parts.append(network.dwell.weight[bucket])
            y, h = network.gru(torch.cat(parts).view(1, 1, -1), h)
            outputs.append(y.view(-1))
        y = torch.stack(outputs)
        alpha = torch.softmax(network.attention(y).squeeze(1), dim=0)
        torch.testing.assert_close(weights[low:high], alpha, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(vectors[b], network.head(alpha @ y), atol=1e-5, rtol=1e-4)


def test_scores_are_cosines_and_unknown_items_take_the_mean_of_their_leaf(model, shops):
    dataset = shops[3]
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    scores = model.score(histories, "item")
    vector = model.network["item"](histories, model.buckets)[0].detach()
    table = model.item_vectors()
    torch.testing.assert_close(scores.known[0], functional.cosine_similarity(vector[:1], table), atol=1e-5, rtol=1e-4)
    row, column = (scores.own_codes >= 0).nonzero()[0].tolist()
    code = int(scores.own_codes[row, column])
    leaf = dataset.taxonomy.paths[code, 2]
    siblings = dataset.taxonomy.paths[: dataset.n_train_items, 2] == leaf
    assert siblings.any()
    mean = table[torch.from_numpy(siblings)].mean(0, keepdim=True)
    expected = functional.cosine_similarity(vector[row : row + 1], mean)
    assert float(scores.own[row, column]) == pytest.approx(float(expected), abs=1e-5)


def test_attention_is_shown_event_by_event(model, shops):
    assert isinstance(model, HasAttention)
    history, _ = histories_and_targets(shops[3], np.array([shops[3].sessions("test")[0]]))
    (column,) = model.attention(history)
    assert (column.level, column.trained) == ("micro", True)
    assert column.first.tolist() == column.last.tolist() == list(range(history.item.numel()))
    assert float(column.weights.sum()) == pytest.approx(1, abs=1e-5)


def test_targets_are_frozen_and_the_loss_falls(shops):
    losses: list[float] = []

    class Watch(Observer):
        def epoch_done(self, record) -> None:
            losses.append(sum(record["loss"].values()))

    model = RIB(RIB.options().changed([*QUICK, "training.epochs=4", "training.learning_rate=0.01"]))
    model.fit(shops[1], observer=Watch())
    assert losses[-1] < losses[0] - 0.05
    before = model.first_vectors(shops[1])
    for level in model.levels:
        network = model.network[level]
        assert torch.equal(network.target.weight, before[level])
        assert not torch.equal(network.tables[level].weight, before[level])
    assert set(model.metrics["collapse"]) == set(model.levels)
