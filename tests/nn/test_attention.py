"""Attention (Eq. 5) and ragged sums against a loop over queries."""

from __future__ import annotations

import itertools

import pytest
import torch

from hup.nn.attention import Attention
from hup.nn.ragged import segment_softmax, segment_sum


@pytest.mark.parametrize("signal_size", [0, 3])
@pytest.mark.parametrize("hidden", [0, 5])
@pytest.mark.parametrize("squash", [False, True])
def test_context_and_weights_follow_eq5(signal_size, hidden, squash):
    torch.manual_seed(0)
    attention = Attention(4, signal_size, hidden, squash=squash).double()
    y = torch.randn(6, 4, dtype=torch.float64)
    signal = torch.randn(6, signal_size, dtype=torch.float64) if signal_size else None
    last = torch.randn(3, 4, dtype=torch.float64)
    steps = [[0, 1, 2], [1], [5, 3, 4, 0]]
    query = torch.tensor([q for q, s in enumerate(steps) for _ in s])
    context, weights = attention(y, signal, last, torch.tensor(list(itertools.chain(*steps))), query)

    place = 0
    for q, own in enumerate(steps):
        scores = []
        for i in own:
            layer = attention.output(y[i]) + attention.last(last[q])
            if attention.signal is not None:
                layer = layer + attention.signal(signal[i])
            score = attention.score(torch.tanh(layer)) if attention.score is not None else layer
            scores.append(torch.tanh(score) if squash else score)
        alpha = torch.softmax(torch.cat(scores), 0)
        torch.testing.assert_close(weights[place : place + len(own)], alpha)
        torch.testing.assert_close(context[q], sum(a * y[i] for a, i in zip(alpha, own, strict=True)))
        place += len(own)


def test_two_layer_attention_can_give_one_step_nearly_all_weight():
    attention = Attention(2, 0, 20)
    with torch.no_grad():
        attention.output.weight.fill_(5.0)
        attention.score.weight.fill_(5.0)
    y = torch.tensor([[-1.0, -1.0]] * 9 + [[1.0, 1.0]])
    _, weights = attention(y, None, torch.zeros(1, 2), torch.arange(10), torch.zeros(10, dtype=torch.long))
    assert float(weights[-1].detach()) > 0.99


def test_tanh_on_scores_caps_a_weight():
    attention = Attention(2, 0, 0, squash=True)
    with torch.no_grad():
        attention.output.weight.fill_(50.0)
    y = torch.tensor([[-1.0, -1.0]] * 39 + [[1.0, 1.0]])
    _, weights = attention(y, None, torch.zeros(1, 2), torch.arange(40), torch.zeros(40, dtype=torch.long))
    assert float(weights[-1].detach()) == pytest.approx(torch.e**2 / (torch.e**2 + 39), rel=1e-4)


def test_softmax_is_stable_and_sums_to_one():
    scores = torch.tensor([1000.0, 999.0, -1000.0, 3.0])
    weights = segment_softmax(scores, torch.tensor([0, 0, 2, 2]), 3)
    torch.testing.assert_close(segment_sum(weights, torch.tensor([0, 0, 2, 2]), 3), torch.tensor([1.0, 0.0, 1.0]))


def test_softmax_gradient_equals_finite_differences():
    scores = torch.randn(5, dtype=torch.float64, requires_grad=True)
    segment = torch.tensor([0, 0, 0, 1, 1])
    assert torch.autograd.gradcheck(lambda s: segment_softmax(s, segment, 2), scores)
