"""Candidates of the learned order, and how it is learned."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hup.data.dataset import Dataset
from hup.models.hup.mixture import lessons, teaching
from hup.models.hup.mixture.agreement import Distribution, agreed
from hup.models.hup.mixture.answer import Counts
from hup.models.hup.mixture.co_visits import count_co_visits
from hup.models.hup.mixture.lessons import Lesson
from hup.models.hup.mixture.neighbor_shares import WEIGHTS
from hup.models.hup.mixture.probabilities import Probabilities
from hup.models.hup.mixture.reranking import CATEGORY, POOLED, SIGNALS, Candidates
from hup.models.hup.mixture.teaching import teach
from hup.models.hup.mixture.visits import last_runs, run_table
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import ITEM
from hup.sessions.runs import training_runs

from ....helpers.mixtures import mixture, output_of


def asked_of(model, dataset: Dataset, n: int = 12) -> Probabilities:
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test"))[:n])
    return output_of(model).ask(histories)


def ordered(asked: Probabilities) -> Distribution:
    """Items in their learned order, before the levels agree anew."""
    network = asked.network
    return asked.candidates(ITEM).reranked(
        asked.unordered[ITEM], network.reranker(ITEM), network.weights_of(ITEM).reranking
    )


def side_by_side(said: Distribution) -> torch.Tensor:
    """Probabilities of the vocabulary, then of what sessions have beyond it."""
    return said.beside(said.known, said.probability, 0)


@torch.no_grad()
@pytest.mark.parametrize("most", [7, 10**6])
def test_candidates_are_the_likeliest_items_but_the_current_one(dataset, most):
    """New items of the session are among them."""
    asked = asked_of(mixture(dataset, f"mixture.reranked={most}"), dataset)
    said = asked.unordered[ITEM]
    n_beyond = 0
    for row, current in enumerate(asked.current.tolist()):
        beyond = zip(said.code[said.query == row].tolist(), said.probability[said.query == row].tolist(), strict=True)
        probability = dict(enumerate(said.known[row].tolist())) | dict(beyond)
        others = [code for code in probability if code != current]
        best = sorted(others, key=lambda code: -probability[code])[: min(most, said.known.shape[1])]
        found = [code for code in asked.candidates(ITEM).code[row].tolist() if code != current]
        expected = sorted(probability[code] for code in best[: len(found)])
        assert sorted(probability[code] for code in found) == pytest.approx(expected)
        n_beyond += sum(code >= said.known.shape[1] for code in found)
    assert n_beyond > 0


@torch.no_grad()
@pytest.mark.parametrize("place", [0, 1])
def test_signals_are_what_their_names_say(dataset, place):
    asked = asked_of(mixture(dataset), dataset)
    level = asked.network.ordered[place]
    answer, candidates = asked.answers[level], asked.candidates(level)
    said = (asked.items_ordered if place else asked.unordered)[level]
    tables = [counts.toarray() for counts in answer.counts.co_visits.counts]
    names = {name: place for place, name in enumerate(SIGNALS)}
    n_signals, n_context = answer.visits.signals.shape[1], answer.visits.context.shape[1]
    paths = asked.network.paths(level)
    n_categories = paths.shape[1] * len(CATEGORY)
    assert len(names) + n_signals + n_context + n_categories + len(POOLED) == candidates.signals.shape[2]

    def signal(name: str, row: int, column: int) -> float:
        return float(candidates.signals[row, column, names[name]])

    popularity, n_beyond = answer.counts.popularity.tolist(), 0
    for row in range(len(candidates.code)):
        visits = [int(p) for p in np.flatnonzero(answer.visits.query == row)][::-1]  # the current one first
        codes = [int(answer.visits.code[p]) for p in visits]
        repeat = {code: float(answer.mixed.repeat[p]) for p, code in zip(visits, codes, strict=True)}
        beyond = (candidates.code[row] >= len(popularity)).nonzero().squeeze(1).tolist()
        n_beyond += len(beyond)
        for column in {*range(0, len(candidates.code[0]), 4), *beyond}:
            code = int(candidates.code[row, column])
            probability = float(side_by_side(said)[row, candidates.column[row, column]])
            assert signal("probability", row, column) == pytest.approx(math.log(max(probability, 1e-9)), abs=1e-4)
            assert signal("popularity", row, column) == pytest.approx(
                math.log((popularity[code] if code < len(popularity) else 0) + 0.5), abs=1e-5
            )
            assert signal("visited", row, column) == (code in repeat)
            seen = answer.visits.signals[visits[codes.index(code)]] if code in repeat else np.zeros(n_signals)
            of_candidate = candidates.signals[row, column, len(names) : -len(POOLED)]
            assert of_candidate[:n_signals].tolist() == seen.tolist()
            assert of_candidate[n_signals : n_signals + n_context].tolist() == answer.visits.context[row].tolist()
            visited = answer.path[visits][:, : paths.shape[1]]  # the current one first
            path = paths[code].numpy() if code < len(paths) else visited[codes.index(code)]
            weight = 1 / np.arange(1, len(visits) + 1)
            shares = ((visited == path) * weight[:, None]).sum(axis=0) / weight.sum()
            expected = np.stack([visited[0] == path, shares], axis=1).ravel()
            assert of_candidate[n_signals + n_context :].tolist() == pytest.approx(expected.tolist())
            assert signal("repeat", row, column) == pytest.approx(math.log(repeat.get(code, 0) + 1e-3), abs=1e-5)
            for number, relation in enumerate(("after", "before", "together")):
                rows = [tables[number][c] if c < len(tables[number]) else np.zeros(1) for c in codes]
                totals = [float(one.sum()) for one in rows]
                known = code < len(popularity)
                shares = [one[code] / n if n > 0 and known else 0 for one, n in zip(rows, totals, strict=True)]
                for weight, weigh in WEIGHTS.items():
                    expected = sum(w * s for w, s in zip(weigh(np.arange(len(codes))), shares, strict=True))
                    assert signal(f"{weight}, {relation}", row, column) == pytest.approx(
                        math.log(expected + 1e-4), abs=1e-4
                    )
                assert signal(f"counts {relation}", row, column) == pytest.approx(
                    math.log1p(shares[0] * totals[0]), abs=1e-4
                )
                assert signal(f"support {relation}", row, column) == pytest.approx(math.log1p(totals[0]), abs=1e-4)
            for number, part in enumerate(("repeat", "memory", "explore", "unseen")):
                weight = max(float(answer.mixed.weights[row, number]), 1e-4)
                assert signal(f"weight of {part}", row, column) == pytest.approx(math.log(weight), abs=1e-5)
    assert n_beyond > 0 or place


@torch.no_grad()
def test_candidates_share_what_they_have_and_the_others_keep_theirs(dataset):
    asked = asked_of(mixture(dataset, "mixture.reranked=9"), dataset)
    before, after, candidates = (
        side_by_side(asked.unordered[ITEM]),
        side_by_side(ordered(asked)),
        asked.candidates(ITEM),
    )
    assert not torch.equal(before, after)
    mass = candidates.probability.sum(dim=1)
    torch.testing.assert_close(after.gather(1, candidates.column).sum(dim=1), mass)
    others = torch.ones_like(before, dtype=torch.bool).scatter(1, candidates.column, value=False)
    assert torch.equal(before[others], after[others])


@torch.no_grad()
@pytest.mark.parametrize(("strength", "trust"), [(1.0, 0.5), (0.5, 0.25**0.75)])
def test_the_further_the_order_is_followed_the_more_items_are_trusted(dataset, strength, trust):
    asked = asked_of(mixture(dataset), dataset)
    asked.network.weights.data[:, 3:] = torch.tensor([0.0, 0.25])
    asked.network.weigh(ITEM, reranking=strength)
    said = agreed(asked.alone | {ITEM: ordered(asked)}, asked.network.parents(), dict.fromkeys(asked.alone, trust))
    for level, expected in said.items():
        torch.testing.assert_close(asked.of(level).known, expected.known)
        assert not torch.allclose(asked.unordered[level].known, expected.known, rtol=1e-3)


@torch.no_grad()
def test_where_items_are_not_trusted_their_order_changes_no_category(dataset):
    """Of a short log most categories have no known item: what items say of these is next to nothing."""
    asked = asked_of(mixture(dataset), dataset)
    asked.network.weights.data[:, 3:] = torch.tensor([0.0, 0.0])
    asked.network.weigh(ITEM, reranking=1.0)
    assert not torch.allclose(asked.of(ITEM).known, asked.unordered[ITEM].known, rtol=1e-3)
    for level in asked.network.ranked[1:]:
        torch.testing.assert_close(asked.of(level).known, asked.unordered[level].known)


@torch.no_grad()
def test_without_strength_nothing_changes(dataset):
    asked = asked_of(mixture(dataset), dataset)
    asked.network.weights.data[:, 3] = 0.0
    assert asked.agreed is asked.unordered


@torch.no_grad()
def test_one_query_alone_is_what_it_is_among_others(dataset):
    model = mixture(dataset)
    together = asked_of(model, dataset).of(ITEM).known
    sessions = np.asarray(dataset.sessions("test"))[:12]
    for row, session in enumerate(sessions.tolist()):
        histories, _ = histories_and_targets(dataset, np.asarray([session]))
        alone = output_of(model).ask(histories).of(ITEM).known[0]
        torch.testing.assert_close(alone, together[row], atol=1e-6, rtol=1e-4)


@torch.no_grad()
def test_it_can_be_left_out(dataset):
    model = mixture(dataset, "mixture.reranked=0")
    model.tune(dataset)
    model.conclude(dataset, print)
    asked = asked_of(model, dataset)
    assert asked.network.ordered == ()
    assert asked.agreed is asked.unordered


@torch.no_grad()
def test_signals_of_the_profile_are_the_parts_of_the_pool(dataset):
    asked = asked_of(mixture(dataset), dataset)
    asked.network.weights.data[0, :3] = torch.tensor([0.3, 0.2, 0.4])
    candidates, pool = asked.candidates(ITEM), asked.pool(ITEM)
    counted, dense, similar, liking = candidates.signals[:, :, -len(POOLED) :].unbind(2)
    for found, part, weight in (counted, pool.base, 0.5), (dense, pool.dense, 0.3), (similar, pool.similar, 0.2):
        expected = (weight * part.gather(1, candidates.column)).clamp(min=1e-9).log()
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(liking, pool.liking.gather(1, candidates.column))


def teach_it(model, dataset: Dataset, most_sessions: int | None = None) -> None:
    output = output_of(model)
    settings = {"prefixes": 0.5, "neighbors": model.config.mixture.neighbors, "most_sessions": most_sessions, "seed": 3}
    teach(output.network, output._profiles, dataset, **settings)


def lessons_of(model, dataset: Dataset, monkeypatch, place: int = 0) -> list[Lesson]:
    """What is learned from of one level, 0 = items, fold by fold, and at last all of it."""
    network = output_of(model).network
    network.ordered = network.ordered[place : place + 1]
    seen: list[Lesson] = []
    before = teaching._learned

    def spy(lesson, rows, seed, passes):
        seen.append(lesson.of_queries(rows))
        return before(lesson, rows, seed, passes)

    monkeypatch.setattr(teaching, "_learned", spy)
    monkeypatch.setattr(teaching, "_SURE", -np.inf)
    teach_it(model, dataset)
    return seen


def test_validation_sessions_teach_and_each_is_judged_by_what_the_others_have_taught(dataset, monkeypatch):
    *folds, whole = lessons_of(mixture(dataset), dataset, monkeypatch)
    validation, train = set(dataset.sessions("validation")), set(dataset.sessions("train"))
    everyone = set(whole.session.tolist())
    assert everyone <= validation | train
    assert len(folds) == teaching.FOLDS
    left_out = [everyone - set(learned_from.session.tolist()) for learned_from in folds]
    assert set().union(*left_out) == everyone & validation
    assert sum(map(len, left_out)) == len(everyone & validation)


def test_the_likelihood_of_a_session_is_summed_by_what_the_others_teach():
    lesson, n_asked = some_lesson(60, 5), 40
    judged = teaching._judged(replace(lesson, session=torch.arange(60) // 4 * 7), n_asked, 3)
    assert judged.shape[2] == 10
    rows = torch.arange(60)
    for fold in range(teaching.FOLDS):
        left_out = (rows // 4 % teaching.FOLDS == fold) & (rows < n_asked)
        for number, learned in enumerate(teaching._learned(lesson, rows[~left_out], 3, len(judged))):
            for row in rows[left_out].view(-1, 4):
                some = lesson.of_queries(row)
                with torch.no_grad():
                    said = learned.of_comparable(some.signals)
                for column, strength in enumerate(teaching.RERANKINGS):
                    expected = float(some.likelihood(said, strength).sum())
                    assert judged[number, column, int(row[0]) // 4] == pytest.approx(expected, abs=1e-4)


def test_lessons_stand_at_the_ends_of_sessions_and_before(dataset, monkeypatch):
    *_, whole = lessons_of(mixture(dataset), dataset, monkeypatch)
    of_validation = whole.session >= dataset.sessions("validation").start
    for weight in whole.weight[of_validation], whole.weight[~of_validation]:
        ends = weight > 0.5  # what all have is half of the weight
        assert 0 < int(ends.sum()) < len(ends)
        assert len(weight[ends].unique()) == len(weight[~ends].unique()) == 1
        assert float(weight.sum()) == pytest.approx(len(ends), rel=1e-5)


@pytest.mark.parametrize("place", [0, 1])
def test_a_training_session_is_asked_what_the_others_have_counted(dataset, monkeypatch, place):
    """As a model would say that has counted all but its fold, by the same weights; the profile says nothing there."""
    model = mixture(dataset)
    network = output_of(model).network
    of = network.ordered[place]
    *_, whole = lessons_of(model, dataset, monkeypatch, place)
    n, reranker = len(dataset.sessions("train")), network.reranker(of)
    rows = (whole.session < n).nonzero().squeeze(1)
    n_asked = len(whole.session[rows].unique())
    assert 0.9 * n < n_asked <= n  # validation is short, so all of training is asked; some targets are far off
    items, offsets = training_runs(dataset, ITEM)
    fold = range(n - n // 7, n)  # the newest
    options, counts = model.config.mixture, {}
    for level in network.ranked:
        sessions = [
            [int(level.pick(item, dataset.taxonomy.paths[item])) for item in items[offsets[one] : offsets[one + 1]]]
            for one in range(fold.start)
        ]
        runs = [code for codes in sessions for code, _ in itertools.groupby(codes)]
        co_visits = count_co_visits(
            np.concatenate(sessions),
            offsets[: fold.start + 1],
            model.vocabulary.size(level),
            window=options.window,
            neighbors=options.neighbors,
            with_itself=level != ITEM,
        )
        popularity = [runs.count(code) for code in range(model.vocabulary.size(level))]
        counts[level] = Counts(co_visits, torch.tensor(popularity, dtype=torch.float32))
    for row in rows[(whole.session[rows] >= fold.start) & (whole.weight[rows] > 0.5)][:5].tolist():
        histories, targets = histories_and_targets(dataset, whole.session[row : row + 1].numpy())
        table = network.with_earlier(run_table(histories, network.n_behaviors), histories)
        with torch.no_grad():
            answers = network.answers(table, last_runs(table), counts)
            asked = Probabilities(network, answers, {}, histories.current(ITEM)).candidates(of)
        assert asked.code[0, whole.column[row]] == targets.codes(of)[0]
        torch.testing.assert_close(asked.logarithm[0], whole.logarithm[row], atol=1e-4, rtol=1e-4)
        n_seen = asked.signals.shape[2]
        silent = torch.zeros(len(asked.code[0]), len(POOLED))
        expected = ((asked.signals[0] - reranker.mean[:n_seen]) / reranker.spread[:n_seen]).clamp(-4, 4)
        torch.testing.assert_close(torch.cat([expected, silent], dim=1), whole.signals[row], atol=1e-3, rtol=1e-3)


def test_where_validation_sessions_are_enough_training_sessions_are_not_asked(dataset, monkeypatch):
    monkeypatch.setattr(lessons, "_ENOUGH", len(dataset.sessions("validation")))
    *_, whole = lessons_of(mixture(dataset), dataset, monkeypatch)
    assert set(whole.session.tolist()) <= set(dataset.sessions("validation"))


@pytest.mark.parametrize("place", [0, 1])
def test_a_lesson_says_what_will_be_asked_of_the_model(dataset, monkeypatch, place):
    """Candidates at the end of a session are those of an answer, but for the order that is not there yet."""
    model = mixture(dataset)
    of = output_of(model).network.ordered[place]
    *_, whole = lessons_of(model, dataset, monkeypatch, place)
    of_validation = whole.session >= dataset.sessions("validation").start
    rows = ((whole.weight > 0.5) & of_validation).nonzero().squeeze(1)[:5]
    for row in rows.tolist():
        histories, targets = histories_and_targets(dataset, whole.session[row : row + 1].numpy())
        network = output_of(model).network
        with torch.no_grad():
            asked = output_of(model).ask(histories).candidates(of)
        assert asked.code[0, whole.column[row]] == targets.codes(of)[0]
        torch.testing.assert_close(asked.logarithm[0], whole.logarithm[row], atol=1e-4, rtol=1e-4)
        expected = network.reranker(of).comparable(asked.signals[0])
        torch.testing.assert_close(expected, whole.signals[row], atol=1e-3, rtol=1e-3)


def test_a_lesson_teaches_which_signals_go_together():
    """The target has both signals or neither, all others have one of the two, so no sum of them can tell."""
    torch.manual_seed(0)
    n_queries = 3000
    first = (torch.rand(n_queries, 10, 1) < 0.5).float()
    signals, column = torch.cat([first, 1 - first], dim=2), torch.zeros(n_queries, dtype=torch.int64)
    signals[:, 0, 1] = signals[:, 0, 0]
    lesson = Lesson(torch.full((n_queries, 10), 0.1).log(), signals, column, torch.ones(n_queries), column)
    *_, learned = teaching._learned(lesson, torch.arange(n_queries), 1, teaching.most_passes(n_queries))
    said = torch.softmax(learned(signals), dim=1)[:, 0]
    assert float(said.min()) > 0.5


def some_lesson(n_queries: int, n_candidates: int) -> Lesson:
    torch.manual_seed(0)
    logarithm = torch.randn(n_queries, n_candidates).log_softmax(dim=1).sort(descending=True).values
    column, weight = torch.randint(n_candidates, (n_queries,)), torch.rand(n_queries)
    return Lesson(logarithm, torch.randn(n_queries, n_candidates, 2), column, weight, torch.arange(n_queries))


@pytest.mark.parametrize("n_candidates", [3, 16, 40])
def test_of_few_candidates_a_step_sees_all(n_candidates):
    lesson, rows = some_lesson(6, n_candidates), torch.tensor([4, 0, 5])
    whole, some = lesson.of_queries(rows), lesson.with_some(rows, torch.Generator().manual_seed(0))
    said = torch.randn(2)
    torch.testing.assert_close(some.likelihood(some.signals @ said, 1.0), whole.likelihood(whole.signals @ said, 1.0))
    assert some.session.tolist() == rows.tolist()


def test_of_many_candidates_those_that_a_step_sees_stand_for_all():
    lesson, rows, generator = some_lesson(5, 100), torch.arange(5), torch.Generator().manual_seed(0)
    sums, seen = torch.zeros(5), set()
    for _ in range(2000):
        some = lesson.with_some(rows, generator)
        torch.testing.assert_close(some.logarithm[:, 0], lesson.logarithm[rows, lesson.column])
        torch.testing.assert_close(some.signals[:, 0], lesson.signals[rows, lesson.column])
        sums += some.logarithm[:, 1:].exp().sum(dim=1) / 2000
        seen.add(int(torch.isfinite(some.logarithm).sum()))
    others = 1 - lesson.logarithm[rows, lesson.column].exp()
    torch.testing.assert_close(sums, others, atol=0.01, rtol=0)
    assert max(seen) <= 5 * 41


@pytest.mark.parametrize(
    ("n_queries", "batch", "passes"), [(1, 32, 24), (200, 32, 24), (3000, 93, 15), (20000, 128, 10)]
)
def test_few_lessons_are_gone_through_more_often_and_in_smaller_steps(n_queries, batch, passes):
    assert (teaching.batch_of(n_queries), teaching.most_passes(n_queries)) == (batch, passes)


@pytest.mark.parametrize("apart", [1, 4])
def test_what_can_be_learned_is_followed_however_far_apart_the_sessions_are(dataset, monkeypatch, apart):
    model = mixture(dataset)
    network = output_of(model).network
    network.ordered = network.ordered[:1]
    torch.manual_seed(0)
    n_queries, column = 400, torch.randint(10, (400,))
    signals = torch.randn(n_queries, 10, len(network.reranker(ITEM).mean))
    signals[torch.arange(n_queries), column, 3] += 4
    even = torch.full((n_queries, 10), 0.1).log()
    lesson = Lesson(even, signals, column, torch.ones(n_queries), torch.arange(n_queries) * apart)
    monkeypatch.setattr(teaching, "of_validation", lambda *_: lesson)
    monkeypatch.setattr(teaching, "of_training", lambda *_: None)
    teach_it(model, dataset)
    strength = network.weights_of(ITEM).reranking
    assert strength > 0.4
    said = torch.softmax(even + strength * network.reranker(ITEM).of_comparable(signals), dim=1)
    assert float(said[torch.arange(n_queries), column].mean()) > 0.9


def test_what_cannot_be_learned_is_not_followed(dataset, monkeypatch):
    """Signals that say nothing of the target: the folds show that what was learned is worth nothing elsewhere."""
    model = mixture(dataset)
    network = output_of(model).network
    network.ordered = network.ordered[:1]
    torch.manual_seed(0)
    n_queries = 400
    places = torch.arange(10).expand(n_queries, 10)
    candidates = Candidates(
        places,
        places,
        torch.full((n_queries, 10), 0.1),
        torch.randn(n_queries, 10, len(network.reranker(ITEM).mean)),
    )
    lesson = Lesson(
        candidates.logarithm,
        candidates.signals,
        torch.randint(10, (n_queries,)),
        torch.ones(n_queries),
        torch.arange(n_queries),
    )
    monkeypatch.setattr(teaching, "of_validation", lambda *_: lesson)
    monkeypatch.setattr(teaching, "of_training", lambda *_: None)
    teach_it(model, dataset)
    assert network.weights_of(ITEM).reranking == 0


def test_lessons_teach_the_same_every_time(dataset, monkeypatch):
    monkeypatch.setattr(teaching, "_SURE", -np.inf)
    first, second = (mixture(dataset) for _ in range(2))
    for model in (first, second):
        before = output_of(model).network.reranker(ITEM).layers[0].weight.clone()
        torch.manual_seed(int(model is second))  # what has been drawn elsewhere changes nothing
        teach_it(model, dataset)
        if model is second:
            teach_it(model, dataset)  # nor what was learned before
        assert not torch.equal(output_of(model).network.reranker(ITEM).layers[0].weight, before)
    for one, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_a_validation_split_no_order_is_followed(dataset):
    model = mixture(dataset)
    split = dataset.manifest.split
    bounds = split.bounds.model_copy(update={"validation": (split.bounds.train[1], split.bounds.train[1])})
    manifest = dataset.manifest.model_copy(update={"split": split.model_copy(update={"bounds": bounds})})
    teach_it(model, replace(dataset, manifest=manifest))
    assert [output_of(model).network.follows(level) for level in model.levels] == [0] * len(model.levels)


def test_a_single_session_teaches_nothing(dataset):
    model = mixture(dataset)
    teach_it(model, dataset, most_sessions=1)
    assert [output_of(model).network.follows(level) for level in model.levels] == [0] * len(model.levels)
