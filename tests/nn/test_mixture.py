"""The mixture of one level: sums, what is masked, gradients against finite differences, softmax within classes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hup.nn.mixture import N_RELATIONS, Look, Mixture, class_log_softmax, log_popularity

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


@given(visits=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_the_parts_are_those_of_a_plain_loop(visits, seed):
    """Query by query and visit by visit, straight from what the parts are said to be."""
    made, asked = mixture().double(), look(visits, dtype=torch.float64, seed=seed)
    with torch.no_grad():
        mixed = made(asked)
        for query in range(len(visits)):
            mine = (asked.query == query).nonzero().squeeze(1).tolist()
            last = asked.last[query]

            def scores(
                attention: torch.nn.Module, signals: torch.Tensor, visit: int, last: torch.Tensor
            ) -> torch.Tensor:
                read = attention.signals(signals) + attention.outputs(asked.outputs[asked.step[visit]])
                return attention.rule(signals) + attention.score(torch.tanh(read + attention.last(last)))

            repeat = {n: scores(made.pointer, asked.signals[n], n, last).exp() for n in mine if asked.may_repeat[n]}
            for n in mine:
                expected = float(repeat[n] / sum(repeat.values())) if n in repeat else 0
                assert float(mixed.repeat[n]) == pytest.approx(expected, abs=1e-9)
            support = asked.support.log1p()
            memory = {
                (n, relation): scores(made.neighbors, torch.cat([asked.signals[n], support[n]]), n, last)[
                    relation
                ].exp()
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
            chances = made.part(torch.tanh(made.context(told) + made.profile(last))).exp()
            chances = chances * torch.tensor([bool(repeat), bool(memory), True, True])
            assert mixed.weights[query].tolist() == pytest.approx((chances / chances.sum()).tolist(), abs=1e-9)
            assert mixed.preference[query].tolist() == pytest.approx(made.preference(last).tolist(), abs=1e-9)


# ---------------------------------------------------------------------- plain rules at the start


def untrained(*, n: int = N, counts: torch.Tensor | None = None, size: int = H) -> Mixture:
    counts = torch.full((n,), 5.0) if counts is None else counts
    return Mixture(counts, size, F, G, D, hidden=3, dropout=0.5, repeat=True, memory=True).eval()


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


def test_at_the_start_the_profile_takes_no_part():
    """Neither in what is said nor in what it would be weighed by once training has begun."""
    made = untrained()
    assert not any(parameter.any() for parameter in made.profile_parameters())
    one, other = look(), look()
    other.outputs[:], other.last[:] = one.outputs + 1, one.last - 1
    for name in ("weights", "repeat", "memory", "preference"):
        assert torch.equal(getattr(made(one), name), getattr(made(other), name)), name


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


def test_at_the_start_explore_is_popularity():
    """The chance of a code is its share of the visits, give or take less than one visit of each."""
    counts = torch.tensor([0.0, 1.0, 2.0, 10.0, 300.0, 4000.0])
    with torch.no_grad():
        made = untrained(counts=counts)
        preference = made(look()).preference
        chances = torch.softmax(made.logits(preference, torch.randn(N, D)), dim=1)
    assert (chances == chances[:1]).all()
    assert chances[0, 0] == 0
    # As many visits as the most popular one's 4000 make of each.
    visits = chances[0] / chances[0, -1] * counts[-1]
    assert (visits[1:] > counts[1:] - 1).all()
    assert (visits[1:] < counts[1:] + 1).all()
    assert torch.equal(
        made.logits(preference, torch.zeros(2, D), torch.tensor([3, 1]))[0], log_popularity(counts[[3, 1]])
    )


def test_what_is_liked_is_explored_by_its_angle():
    """Logits are popularity and cosine, which a vector's length does not change."""
    made = mixture()
    preference, vectors = torch.randn(4, D), torch.randn(N, D)
    with torch.no_grad():
        logits = made.logits(preference, vectors)
        liked = logits - log_popularity(made.counts)
        assert torch.allclose(made.logits(preference, vectors * 7), logits, atol=1e-5)
        assert torch.allclose(made.logits(preference * 2, vectors) - log_popularity(made.counts), 2 * liked, atol=1e-5)
        cosines = torch.cosine_similarity(preference[:, None], vectors[None], dim=2) * preference.norm(dim=1)[:, None]
        factor = liked / cosines
        assert torch.allclose(factor, factor[:1, :1].expand_as(factor), rtol=1e-3)
        codes = torch.tensor([4, 0, 2])
        assert torch.allclose(made.logits(preference, vectors[codes], codes), logits[:, codes], atol=1e-5)


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
