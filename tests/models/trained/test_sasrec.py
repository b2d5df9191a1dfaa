"""SASRec against a slow network of NumPy, step by step, and what it does with long sessions and many codes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from hup.errors import HupError
from hup.models.trained.gru4rec import GRU4Rec
from hup.models.trained.next_code import steps_of
from hup.models.trained.sasrec import SASRec, SASRecConfig, pieces
from hup.sessions.batches import Histories, histories_and_targets


def made(dataset, *overrides: str) -> SASRec:
    quick = ("network.hidden=8", "network.dropout=0.0", *overrides)
    model = SASRec(SASRecConfig().changed(quick)).initialise(dataset)
    for parameter in model.network.parameters():  # norms and biases begin as 1 and 0, which would hide mistakes
        torch.nn.init.normal_(parameter.data, std=0.5)
    return model


def asked(dataset) -> Histories:
    return histories_and_targets(dataset, np.asarray(dataset.sessions("test")))[0]


def norm(x: np.ndarray, layer: torch.nn.LayerNorm) -> np.ndarray:
    weight, bias = (part.detach().double().numpy() for part in (layer.weight, layer.bias))
    return (x - x.mean()) / np.sqrt(x.var() + layer.eps) * weight + bias


def dense(x: np.ndarray, weight: torch.Tensor, bias: torch.Tensor) -> np.ndarray:
    return weight.detach().double().numpy() @ x + bias.detach().double().numpy()


def attended(block, sequence: list[np.ndarray], heads: int) -> np.ndarray:
    """What the last step of a sequence sees of all of it."""
    attention = block.self_attn
    projected = [dense(x, attention.in_proj_weight, attention.in_proj_bias) for x in sequence]
    query, keys, values = projected[-1][:8], [p[8:16] for p in projected], [p[16:] for p in projected]
    out = []
    for part in np.split(np.arange(8), heads):
        score = np.array([query[part] @ key[part] for key in keys]) / np.sqrt(len(part))
        weight = np.exp(score) / np.exp(score).sum()
        out.append(sum(w * value[part] for w, value in zip(weight, values, strict=True)))
    return dense(np.concatenate(out), attention.out_proj.weight, attention.out_proj.bias)


def plain(network, codes: list[int], heads: int) -> np.ndarray:
    """Hidden state of the last of some codes, from these codes alone."""
    table, positions = (part.weight.detach().double().numpy() for part in (network.tables.inputs, network.positions))
    sequence = [table[code] * np.sqrt(8) + positions[place] for place, code in enumerate(codes)]
    for block in network.blocks:
        seen = [norm(x, block.norm1) for x in sequence]
        sequence = [x + attended(block, seen[: at + 1], heads) for at, x in enumerate(sequence)]
        for at, x in enumerate(sequence):
            inner = np.maximum(dense(norm(x, block.norm2), block.linear1.weight, block.linear1.bias), 0)
            sequence[at] = x + dense(inner, block.linear2.weight, block.linear2.bias)
    return norm(sequence[-1], network.norm)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("heads", "blocks", "most"), [(1, 2, 50), (2, 1, 3)])
def test_states_are_those_of_the_plain_network(dataset, heads, blocks, most, training):
    """Each from the codes of its piece up to it, and so from nothing that comes later."""
    model = made(dataset, f"network.heads={heads}", f"network.blocks={blocks}", f"network.max_length={most}")
    network = model.network["item"].train(training)
    given = histories_and_targets(dataset, np.asarray(dataset.sessions("test"))[:4])[0]
    steps = steps_of(given, "item", network.tables.n_known)
    with torch.set_grad_enabled(training):
        hidden = network.hidden(steps, given).detach().numpy()
    codes = steps.codes.tolist()
    for low, high in pairwise(steps.runs.offsets.tolist()):
        for at in range(low, high):
            begin = max(low, high - ((high - 1 - at) // most + 1) * most)
            np.testing.assert_allclose(hidden[at], plain(network, codes[begin : at + 1], heads), rtol=1e-3, atol=1e-4)


def test_sessions_are_cut_from_their_ends():
    assert pieces(torch.tensor([1, 3, 4, 7, 6]), 3).tolist() == [1, 3, 1, 3, 1, 3, 3, 3, 3]


def test_only_the_last_runs_count(dataset):
    model = made(dataset, "network.max_length=3")
    one, other = (torch.tensor([[*begin, 4, 7, 5]]) for begin in ([1, 2, 6, 3], [2, 3]))

    def scores(items: torch.Tensor) -> torch.Tensor:
        n = items.numel()
        path = torch.from_numpy(dataset.taxonomy.paths[items[0].numpy()].astype(np.int64))
        nothing = torch.full((n,), torch.nan)
        given = Histories(torch.tensor([0, n]), items[0], path, torch.zeros(n, dtype=torch.long), nothing, nothing)
        return model.score(given, "item").known

    torch.testing.assert_close(scores(one), scores(other))


def test_padding_is_no_longer_than_a_piece(dataset):
    model = made(dataset, "network.max_length=4")
    network = model.network["item"]
    shapes = []
    network.blocks[0].register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    given = asked(dataset)
    model.score(given, "item")
    lengths = steps_of(given, "item", network.tables.n_known).lengths
    assert int(lengths.max()) > 8
    assert shapes == [(int(((lengths + 3) // 4).sum()), 4, 8)]


@pytest.mark.parametrize(
    ("most", "overrides", "drawn"), [(9, (), True), (1000, (), False), (1000, ("negatives=7",), True)]
)
def test_the_softmax_goes_over_all_codes_unless_there_are_many(dataset, monkeypatch, most, overrides, drawn):
    model = made(dataset, *(f"network.{override}" for override in overrides))
    monkeypatch.setattr(SASRec, "whole_softmax", most)
    given = histories_and_targets(dataset, np.asarray(dataset.sessions("train")))
    before = torch.get_rng_state()
    model.losses(*given)
    assert torch.equal(before, torch.get_rng_state()) != drawn


def test_many_codes_are_more_than_for_other_models():
    assert SASRec.whole_softmax == 16_384 > GRU4Rec.whole_softmax


def test_heads_that_do_not_fit_are_told():
    with pytest.raises(HupError, match="hidden is 8, expected a multiple of heads, 3"):
        SASRecConfig().changed(["network.hidden=8", "network.heads=3"])
