"""The mixture of one level: sums, what is masked, gradients against finite differences, softmax within classes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.nn.mixture import Look, Mixture, class_log_softmax

H, F, G, D, N = 4, 5, 3, 2, 6


def look(visits=(3, 1, 2), *, dtype=torch.float32, seed: int = 0) -> Look:
    """Queries with so many visits each; the last visit of each is the current code."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    counts = torch.tensor(visits)
    n_visits = int(counts.sum())
    may_repeat = torch.ones(n_visits, dtype=torch.bool)
    may_repeat[counts.cumsum(0) - 1] = False
    return Look(
        query=torch.repeat_interleave(torch.arange(len(visits)), counts),
        step=torch.randint(7, (n_visits,), generator=generator),
        outputs=random(7, H),
        last=random(len(visits), H),
        signals=random(n_visits, F),
        context=random(len(visits), G),
        may_repeat=may_repeat,
        support=random(n_visits, 3).clamp(min=0),
    )


def mixture(*, size: int = H, repeat: bool = True, memory: bool = True) -> Mixture:
    torch.manual_seed(0)
    made = Mixture(torch.full((N,), 1 / N), size, F, G, D, hidden=3, dropout=0.5, repeat=repeat, memory=memory)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter.data, std=0.5)
    return made.eval()


@pytest.mark.parametrize("size", [0, H])
@given(visits=st.lists(st.integers(1, 5), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_parts_are_distributions_and_what_has_nothing_to_say_gets_nothing(size, visits, seed):
    asked = look(visits, seed=seed)
    with torch.no_grad():
        mixed = mixture(size=size)(asked)
    assert mixed.weights.sum(dim=1).tolist() == pytest.approx([1.0] * len(visits), abs=1e-5)
    for query, count in enumerate(visits):
        mine = asked.query == query
        assert float(mixed.repeat[mine].sum()) == pytest.approx(float(count > 1), abs=1e-5)
        assert (float(mixed.weights[query, 0]) > 0) == (count > 1), "the current code alone cannot be repeated"
        there = bool((asked.support[mine] > 0).any())
        assert float(mixed.memory[mine].sum()) == pytest.approx(float(there), abs=1e-5)
        assert (float(mixed.weights[query, 1]) > 0) == there
    assert not mixed.memory[asked.support == 0].any()


@pytest.mark.parametrize(("part", "place"), [("repeat", 0), ("memory", 1)])
def test_a_part_that_is_left_out_has_no_weight(part, place):
    mixed = mixture(**{part: False})(look())
    assert not mixed.weights[:, place].any()
    assert mixed.weights.sum(dim=1).tolist() == pytest.approx([1.0] * 3)


def test_other_queries_of_a_batch_change_nothing():
    asked, made = look(), mixture()
    whole = made(asked)
    for query in range(3):
        mine = asked.query == query
        alone = Look(
            torch.zeros(int(mine.sum()), dtype=torch.long),
            asked.step[mine],
            asked.outputs,
            asked.last[query : query + 1],
            asked.signals[mine],
            asked.context[query : query + 1],
            asked.may_repeat[mine],
            asked.support[mine],
        )
        found = made(alone)
        assert torch.allclose(found.repeat, whole.repeat[mine], atol=1e-6)
        assert torch.allclose(found.memory, whole.memory[mine], atol=1e-6)
        assert torch.allclose(found.weights[0], whole.weights[query], atol=1e-6)


def test_gradients_are_those_of_finite_differences():
    made, asked = mixture().double(), look(dtype=torch.float64)

    def outcome(*parameters: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            for parameter, value in zip(made.parameters(), parameters, strict=True):
                parameter.copy_(value)
        names = [name for name, _ in made.named_parameters()]
        mixed = torch.func.functional_call(made, dict(zip(names, parameters, strict=True)), (asked,))
        return (mixed.repeat**2).sum() + (mixed.memory**2).sum() + (mixed.weights**2).sum() + mixed.preference.sum()

    start = tuple(parameter.detach().clone().requires_grad_() for parameter in made.parameters())
    assert torch.autograd.gradcheck(outcome, start)


def test_a_softmax_within_classes_sums_to_one_in_each():
    logits = torch.randn(4, N) * 30
    logits[0, 2] = -torch.inf
    classes = torch.tensor([0, 1, 0, 2, 1, 0])
    found = torch.exp(class_log_softmax(logits, classes, 4))
    assert found[0, 2] == 0
    for number in range(3):
        members = classes == number
        assert found[:, members].sum(dim=1).tolist() == pytest.approx([1.0] * 4, abs=1e-5)
        expected = torch.softmax(logits[:, members], dim=1)
        assert torch.allclose(found[:, members], expected, atol=1e-5)


def test_a_class_whose_only_member_is_left_out_has_nothing():
    logits = torch.tensor([[0.5, -torch.inf]])
    found = torch.exp(class_log_softmax(logits, torch.tensor([0, 1]), 2))
    assert found.tolist() == [[1.0, 0.0]]
