"""Softmax, BPR-max and TOP1 losses against slow NumPy, and the negatives that they see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hup.nn import losses
from hup.nn.losses import bpr_max, cross_entropy, top1
from hup.nn.taught import Negatives, Taught, draw_codes

#: Three histories with 3, 4 and 1 steps; two of the first turn have the same target.
HISTORY = [0, 0, 0, 1, 1, 1, 1, 2]
TURN = [0, 1, 2, 0, 1, 2, 3, 0]
TARGET = [0, 6, 3, 0, 3, 1, 2, 5]
SAMPLED = [2, 3, 5, 2]


@pytest.fixture
def taught() -> Taught:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Taught(drawn(8, 3), drawn(7, 3), drawn(7), *(torch.tensor(of) for of in (TARGET, HISTORY, TURN)))


def scores(taught: Taught) -> np.ndarray:
    return (taught.hidden @ taught.table.T + taught.bias).numpy()


def both(taught: Taught) -> Negatives:
    return taught.of_other_histories() + taught.drawn(torch.tensor(SAMPLED))


def negatives_of(step: int) -> list[int]:
    """Codes that both() should show a step: its block, by hand, and the sampled ones, without its own target."""
    blocks = [[0, 3, 7], [1, 4, 2], [5, 6]]
    block = next(block for block in blocks if step in block)
    codes = [TARGET[other] for other in block if HISTORY[other] != HISTORY[step]]
    return [code for code in codes + SAMPLED if code != TARGET[step]]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# ---------------------------------------------------------------------- negatives


def test_negatives_of_a_batch_are_targets_of_other_histories_at_about_the_same_turn(taught):
    found, expected = both(taught), scores(taught)
    assert found.scores.shape == (8, 3 + len(SAMPLED))
    for step in range(8):
        seen = found.scores[step][found.counted[step]].numpy()
        np.testing.assert_allclose(seen, expected[step][negatives_of(step)])


def test_one_history_alone_has_no_negatives_in_its_batch(taught):
    alone = replace(taught, history=torch.zeros(8, dtype=torch.long), turn=torch.arange(8))
    assert not alone.of_other_histories().counted.any()


def test_the_order_of_the_histories_changes_nothing(taught):
    other = torch.tensor([1, 2, 0])[taught.history]
    turned = replace(taught, history=other)
    for loss in (bpr_max, top1):
        # The first block of full turns is the same set; later ones are filled up in another order.
        first = [replace(of, **{k: getattr(of, k)[of.turn == 0] for k in ROWS}) for of in (taught, turned)]
        one, two = (loss(of.positive(), of.of_other_histories()) for of in first)
        torch.testing.assert_close(one, two)


ROWS = ("hidden", "target", "history", "turn")


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_codes_are_drawn_by_their_count_to_a_power(alpha):
    torch.manual_seed(0)
    counts = torch.tensor([1, 0, 4, 9, 100])
    share = np.bincount(draw_codes(counts, 100_000, alpha).numpy(), minlength=5) / 100_000
    weight = counts.numpy().astype(float) ** alpha
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.01)


# ---------------------------------------------------------------------- losses


def test_whole_softmax(taught):
    r = scores(taught)
    expected = np.mean([np.log(np.exp(row).sum()) - row[t] for row, t in zip(r, TARGET, strict=True)])
    assert float(cross_entropy(taught)) == pytest.approx(expected)


@pytest.mark.parametrize("most", [1, 14, 21, 34])
def test_whole_softmax_by_blocks_of_rows(taught, monkeypatch, most):
    parts = [part.requires_grad_() for part in (taught.hidden, taught.table, taught.bias)]
    whole = cross_entropy(taught)
    gradients = torch.autograd.grad(whole, parts)
    monkeypatch.setattr(losses, "SCORES_PER_BLOCK", most)
    by_blocks = cross_entropy(taught)
    torch.testing.assert_close(by_blocks, whole)
    for one, other in zip(torch.autograd.grad(by_blocks, parts), gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_sampled_softmax_with_its_correction(taught):
    sampled = [2, 3, 2]
    expected = []
    for row, target in zip(scores(taught), TARGET, strict=True):
        others = [np.exp(row[s]) * 7 / 3 for s in sampled if s != target]
        expected.append(np.log(np.exp(row[target]) + sum(others)) - row[target])
    assert float(cross_entropy(taught, torch.tensor(sampled))) == pytest.approx(np.mean(expected))


def test_the_sampled_softmax_comes_near_the_whole_one(taught):
    torch.manual_seed(0)
    sampled = torch.randint(7, (200_000,))
    # The target is counted once as itself and, in the sample, not again: what is left is the whole softmax.
    assert float(cross_entropy(taught, sampled)) == pytest.approx(float(cross_entropy(taught)), abs=0.01)


@pytest.mark.parametrize("elu", [0.5, 1.0])
def test_bpr_max(taught, elu):
    expected = []
    activated = np.where(scores(taught) >= 0, scores(taught), elu * (np.exp(scores(taught)) - 1))
    for step, row in enumerate(activated):
        negative = row[negatives_of(step)]
        weight = np.exp(negative) / np.exp(negative).sum()
        above = (weight * sigmoid(row[TARGET[step]] - negative)).sum()
        expected.append(-np.log(above + 1e-24) + 0.3 * (weight * negative**2).sum())
    found = bpr_max(taught.positive(), both(taught), regularization=0.3, elu=elu)
    assert float(found) == pytest.approx(np.mean(expected))


def test_scores_are_kept_near_0_as_much_as_the_target_above(taught):
    """Unless it is said how much."""
    given = taught.positive(), both(taught)
    none, twice = (float(bpr_max(*given, regularization=share)) for share in (0, 2))
    assert float(bpr_max(*given)) == pytest.approx((none + twice) / 2)


def test_top1(taught):
    expected = []
    for step, row in enumerate(np.tanh(scores(taught))):
        negative = row[negatives_of(step)]
        expected.append((sigmoid(negative - row[TARGET[step]]) + sigmoid(negative**2)).mean())
    assert float(top1(taught.positive(), both(taught))) == pytest.approx(np.mean(expected))


LOSSES = {
    "cross_entropy": cross_entropy,
    "sampled": lambda taught: cross_entropy(taught, torch.tensor(SAMPLED)),
    "bpr_max": lambda taught: bpr_max(taught.positive(), both(taught)),
    "top1": lambda taught: top1(taught.positive(), both(taught)),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_equal_finite_differences(taught, loss):
    def of(hidden: Tensor, table: Tensor, bias: Tensor) -> Tensor:
        return LOSSES[loss](replace(taught, hidden=hidden, table=table, bias=bias))

    parts = [of.clone().requires_grad_() for of in (taught.hidden, taught.table, taught.bias)]
    assert torch.autograd.gradcheck(of, parts)


@pytest.mark.parametrize("loss", [bpr_max, top1])
def test_steps_without_a_negative_do_not_count(taught, loss):
    negatives = both(taught)
    counted = negatives.counted.clone()
    counted[[1, 5]] = False
    rest = torch.tensor([0, 2, 3, 4, 6, 7])
    found = loss(taught.positive(), Negatives(negatives.scores, counted))
    torch.testing.assert_close(found, loss(taught.positive()[rest], Negatives(negatives.scores[rest], counted[rest])))


@pytest.mark.parametrize("loss", [bpr_max, top1])
def test_without_any_negative_the_loss_is_0(taught, loss):
    hidden = taught.hidden.clone().requires_grad_()
    given = replace(taught, hidden=hidden, history=torch.zeros(8, dtype=torch.long))
    found = loss(given.positive(), given.of_other_histories())
    assert float(found.detach()) == 0
    found.backward()
    assert not hidden.grad.any()


def test_nothing_to_learn_from_is_a_loss_of_0(taught):
    hidden = taught.hidden[:0].requires_grad_()
    none = replace(taught, hidden=hidden, **{name: getattr(taught, name)[:0] for name in ROWS[1:]})
    found = cross_entropy(none, torch.tensor([1]))
    assert float(found.detach()) == 0
    found.backward()
