"""The pool of what was counted and what a profile says, against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.nn.pooling import Pool

Q, M = 3, 5
NUMBER = st.floats(0, 1)
# Where nothing is similar the other parts say all, so that they need some share; of those tried 0.8 is the largest.
SHARES = st.tuples(NUMBER, st.floats(0, 0.9)).filter(lambda shares: sum(shares) <= 1)


def pool(seed: int) -> tuple[Pool, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand(Q, M, generator=generator, dtype=torch.float64)
    base = base / base.sum(dim=1, keepdim=True) * torch.tensor([[1.0], [0.7], [0.4]])
    base[:, 1] = 0
    liking = torch.randn(Q, M, generator=generator, dtype=torch.float64) * 3
    bias = torch.randn(Q, M, generator=generator, dtype=torch.float64)
    bias[1, 2] = -torch.inf
    similar = torch.rand(Q, M, generator=generator, dtype=torch.float64)
    similar = similar / similar.sum(dim=1, keepdim=True)
    similar[2] = 0
    return Pool.of(base, liking, bias, similar), base, liking, bias, similar


@given(shares=SHARES, strength=NUMBER, seed=st.integers(0, 99))
def test_it_is_the_formula_and_keeps_the_sum(shares, strength, seed):
    made, base, liking, bias, similar = pool(seed)
    said = made.probabilities(*shares, strength)
    of_dense, of_similar = shares
    for row in range(Q):
        mass = float(base[row].sum())
        scores = [math.exp(float(liking[row, v] + bias[row, v])) for v in range(M)]
        dense = [mass * score / sum(scores) for score in scores]
        raised = [
            (
                (1 - of_dense - of_similar) * float(base[row, v])
                + of_dense * dense[v]
                + of_similar * mass * float(similar[row, v])
            )
            * math.exp(strength * float(liking[row, v]))
            for v in range(M)
        ]
        expected = [mass * value / sum(raised) if sum(raised) else 0 for value in raised]
        assert said[row].tolist() == pytest.approx(expected, abs=1e-9)


def test_without_share_and_strength_it_is_what_was_counted():
    made, base, *_ = pool(0)
    assert torch.allclose(made.probabilities(0, 0, 0), base)


def test_all_of_the_share_ranks_as_the_dense_part_does():
    made, _, liking, bias, _ = pool(0)
    assert torch.equal(made.probabilities(1, 0, 0).argsort(dim=1), (liking + bias).argsort(dim=1))


@given(shares=SHARES, strength=NUMBER, seed=st.integers(0, 99))
def test_sums_give_the_probability_of_one_candidate_for_any_shares(shares, strength, seed):
    made, base, *_ = pool(seed)
    column = torch.tensor([0, 3, 4])
    of_one, of_all = made.sums(strength, column)
    weights = torch.tensor([1 - sum(shares), *shares], dtype=torch.float64)
    expected = made.probabilities(*shares, strength)[torch.arange(Q), column]
    said = (of_one @ weights) / (of_all @ weights) * base.sum(dim=1)
    assert torch.allclose(said, expected, atol=1e-9)
