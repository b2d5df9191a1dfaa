"""The mixture of one level: sums, what is masked, gradients against finite differences, rules at the start."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.nn.mixture import N_RELATIONS, Look, Mixture, log_popularity, popularity_mass

F, G, N = 5, 3, 6


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
        signals=random(n_visits, F),
        context=random(len(visits), G),
        may_repeat=may_repeat,
        support=random(n_visits, 3).clamp(min=0),
    )


def mixture(*, repeat: bool = True, memory: bool = True) -> Mixture:
    torch.manual_seed(0)
    made = Mixture(torch.full((N,), 1 / N), F, G, hidden=3, repeat=repeat, memory=memory)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter.data, std=0.5)
    return made.eval()


@given(visits=st.lists(st.integers(1, 5), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_parts_are_distributions_and_what_has_nothing_to_say_gets_nothing(visits, seed):
    asked = look(visits, seed=seed)
    with torch.no_grad():
        mixed = mixture()(asked)
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
            asked.signals[mine],
            asked.context[query : query + 1],
            asked.may_repeat[mine],
            asked.support[mine],
        )
        found = made(alone)
        assert torch.allclose(found.repeat, whole.repeat[mine], atol=1e-6)
        assert torch.allclose(found.memory, whole.memory[mine], atol=1e-6)
        assert torch.allclose(found.weights[0], whole.weights[query], atol=1e-6)


@given(visits=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_the_parts_are_those_of_a_plain_loop(visits, seed):
    """Query by query and visit by visit, straight from what the parts are said to be."""
    made, asked = mixture().double(), look(visits, dtype=torch.float64, seed=seed)
    with torch.no_grad():
        mixed = made(asked)
        for query in range(len(visits)):
            mine = (asked.query == query).nonzero().squeeze(1).tolist()

            def scores(attention: torch.nn.Module, signals: torch.Tensor) -> torch.Tensor:
                return attention.rule(signals) + attention.score(torch.tanh(attention.signals(signals)))

            repeat = {n: scores(made.pointer, asked.signals[n]).exp() for n in mine if asked.may_repeat[n]}
            for n in mine:
                expected = float(repeat[n] / sum(repeat.values())) if n in repeat else 0
                assert float(mixed.repeat[n]) == pytest.approx(expected, abs=1e-9)
            support = asked.support.log1p()
            memory = {
                (n, relation): scores(made.neighbors, torch.cat([asked.signals[n], support[n]]))[relation].exp()
                for n in mine
                for relation in range(N_RELATIONS)
                if asked.support[n, relation] > 0
            }
            known = torch.zeros((), dtype=torch.float64)
            for n in mine:
                for relation in range(N_RELATIONS):
                    share = memory[n, relation] / sum(memory.values()) if (n, relation) in memory else known * 0
                    assert float(mixed.memory[n, relation]) == pytest.approx(float(share), abs=1e-9)
                    known = known + share * support[n, relation]
            # How much is known of the neighbours, a relation.
            told = torch.cat([asked.context[query], known[None] / N_RELATIONS])
            chances = made.part(torch.tanh(made.context(told))).exp()
            chances = chances * torch.tensor([bool(repeat), bool(memory), True, True])
            assert mixed.weights[query].tolist() == pytest.approx((chances / chances.sum()).tolist(), abs=1e-9)


# ---------------------------------------------------------------------- plain rules at the start


def untrained() -> Mixture:
    return Mixture(torch.full((N,), 5.0), F, G, hidden=3, repeat=True, memory=True).eval()


@given(visits=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_at_the_start_the_weights_of_the_parts_are_a_rule(visits, seed):
    """Back to what one knows rather than to neighbours, there rather than anywhere; alike for all sessions."""
    asked = look(visits, seed=seed)
    with torch.no_grad():
        weights = untrained()(asked).weights
    repeat, memory, explore, unseen = weights.T
    assert torch.allclose(explore, unseen)
    there = repeat > 0, memory > 0
    # As many times as likely wherever the part is there at all.
    for part, has in zip((repeat, memory), there, strict=True):
        odds = (part / explore)[has]
        assert (odds > 2).all()
        assert torch.allclose(odds, odds[:1].expand_as(odds))
    both = there[0] & there[1]
    assert (repeat[both] > 2 * memory[both]).all()


def test_at_the_start_recency_points_and_remembers():
    """A visit's weight falls with its place: to the power of two for going back, with itself for neighbours."""
    places = torch.tensor([4, 3, 2, 1, 0])
    asked = look((5,))
    asked.signals[:, 0] = torch.log1p(places)
    asked.support[:] = torch.tensor([1.0, 3.0, 9.0])
    with torch.no_grad():
        mixed = untrained()(asked)
    back = 1.0 / (1 + places[:-1]) ** 2
    assert mixed.repeat.tolist() == pytest.approx([*(back / back.sum()).tolist(), 0])
    near = (1.0 / (1 + places))[:, None].expand(5, N_RELATIONS)
    assert mixed.memory.flatten().tolist() == pytest.approx((near / near.sum()).flatten().tolist())


def test_explore_is_popularity():
    """A code's mass is its visits, give or take less than one; what nobody has been on has none."""
    counts = torch.tensor([0.0, 1.0, 2.0, 10.0, 300.0, 4000.0])
    mass = popularity_mass(counts)
    assert mass[0] == 0
    assert ((mass - counts).abs()[1:] < 1).all()
    assert torch.allclose(torch.log(mass[1:]), log_popularity(counts)[1:])
    # The bias of what a profile says is lowest there, and still a number: a profile may like what is new.
    assert torch.isfinite(log_popularity(counts)).all()
    assert (log_popularity(counts).diff() > 0).all()


def test_gradients_are_those_of_finite_differences():
    made, asked = mixture().double(), look(dtype=torch.float64)

    def outcome(*parameters: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            for parameter, value in zip(made.parameters(), parameters, strict=True):
                parameter.copy_(value)
        names = [name for name, _ in made.named_parameters()]
        mixed = torch.func.functional_call(made, dict(zip(names, parameters, strict=True)), (asked,))
        return (mixed.repeat**2).sum() + (mixed.memory**2).sum() + (mixed.weights**2).sum()

    start = tuple(parameter.detach().clone().requires_grad_() for parameter in made.parameters())
    assert torch.autograd.gradcheck(outcome, start)
