"""Candidates of the learned order, and how it is learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hup.data.dataset import Dataset
from hup.models.hup.mixture import teaching
from hup.models.hup.mixture.neighbor_shares import WEIGHTS
from hup.models.hup.mixture.probabilities import Probabilities
from hup.models.hup.mixture.reranking import SIGNALS, Candidates
from hup.models.hup.mixture.teaching import Lesson, teach
from hup.nn.reranker import Reranker
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import ITEM
from hup.sessions.runs import training_runs

from ....helpers.mixtures import mixture, output_of


def asked_of(model, dataset: Dataset, n: int = 12) -> Probabilities:
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test"))[:n])
    return output_of(model).ask(histories)


@pytest.mark.parametrize("most", [7, 10**6])
def test_candidates_are_the_likeliest_items_but_the_current_one(dataset, most):
    asked = asked_of(mixture(dataset, f"mixture.reranked={most}"), dataset)
    known = asked.mixed(ITEM).known
    for row, current in enumerate(asked.current.tolist()):
        others = [code for code in range(known.shape[1]) if code != current]
        best = sorted(others, key=lambda code: -float(known[row, code]))[:most]
        found = [code for code in asked.candidates.code[row].tolist() if code != current]
        assert sorted(known[row, found].tolist()) == pytest.approx(sorted(known[row, best[: len(found)]].tolist()))


def test_signals_are_what_their_names_say(dataset):
    asked = asked_of(mixture(dataset), dataset)
    answer, candidates = asked.answers[ITEM], asked.candidates
    tables = [counts.toarray() for counts in answer.counts.co_visits.counts]
    names = {name: place for place, name in enumerate(SIGNALS)}
    n_signals, n_context = answer.visits.signals.shape[1], answer.visits.context.shape[1]
    assert len(names) + n_signals + n_context == candidates.signals.shape[2]

    def signal(name: str, row: int, column: int) -> float:
        return float(candidates.signals[row, column, names[name]])

    for row in range(len(candidates.code)):
        visits = [int(p) for p in np.flatnonzero(answer.visits.query == row)][::-1]  # the current one first
        codes = [int(answer.visits.code[p]) for p in visits]
        repeat = {code: float(answer.mixed.repeat[p]) for p, code in zip(visits, codes, strict=True)}
        for column in (0, 3, 9):
            code = int(candidates.code[row, column])
            probability = float(asked.mixed(ITEM).known[row, code])
            assert signal("probability", row, column) == pytest.approx(math.log(max(probability, 1e-9)), abs=1e-4)
            assert signal("popularity", row, column) == pytest.approx(
                math.log(float(answer.counts.popularity[code]) + 0.5), abs=1e-5
            )
            assert signal("visited", row, column) == (code in repeat)
            seen = answer.visits.signals[visits[codes.index(code)]] if code in repeat else np.zeros(n_signals)
            of_candidate = candidates.signals[row, column].tolist()
            assert of_candidate[len(names) : -n_context] == seen.tolist()
            assert of_candidate[-n_context:] == answer.visits.context[row].tolist()
            assert signal("repeat", row, column) == pytest.approx(math.log(repeat.get(code, 0) + 1e-3), abs=1e-5)
            for place, relation in enumerate(("after", "before", "together")):
                rows = [tables[place][c] if c < len(tables[place]) else np.zeros(1) for c in codes]
                totals = [float(one.sum()) for one in rows]
                shares = [one[code] / total if total > 0 else 0 for one, total in zip(rows, totals, strict=True)]
                for weight, weigh in WEIGHTS.items():
                    expected = sum(w * s for w, s in zip(weigh(np.arange(len(codes))), shares, strict=True))
                    assert signal(f"{weight}, {relation}", row, column) == pytest.approx(
                        math.log(expected + 1e-4), abs=1e-4
                    )
                assert signal(f"counts {relation}", row, column) == pytest.approx(
                    math.log1p(shares[0] * totals[0]), abs=1e-4
                )
                assert signal(f"support {relation}", row, column) == pytest.approx(math.log1p(totals[0]), abs=1e-4)
            for place, part in enumerate(("repeat", "memory", "explore", "unseen")):
                weight = max(float(answer.mixed.weights[row, place]), 1e-4)
                assert signal(f"weight of {part}", row, column) == pytest.approx(math.log(weight), abs=1e-5)


def test_candidates_share_what_they_have_and_the_others_keep_theirs(dataset):
    asked = asked_of(mixture(dataset, "mixture.reranked=9"), dataset)
    before, after, candidates = asked.mixed(ITEM).known, asked.counted(ITEM).known, asked.candidates
    assert not torch.equal(before, after)
    mass = candidates.probability.sum(dim=1)
    torch.testing.assert_close(after.gather(1, candidates.code).sum(dim=1), mass)
    others = torch.ones_like(before, dtype=torch.bool).scatter(1, candidates.code, value=False)
    assert torch.equal(before[others], after[others])


def test_without_strength_nothing_changes(dataset):
    asked = asked_of(mixture(dataset), dataset)
    asked.network.weights.data[0, 3] = 0.0
    torch.testing.assert_close(asked.counted(ITEM).known, asked.mixed(ITEM).known, atol=1e-7, rtol=1e-4)


def test_one_query_alone_is_what_it_is_among_others(dataset):
    model = mixture(dataset)
    together = asked_of(model, dataset).counted(ITEM).known
    sessions = np.asarray(dataset.sessions("test"))[:12]
    for row, session in enumerate(sessions.tolist()):
        histories, _ = histories_and_targets(dataset, np.asarray([session]))
        alone = output_of(model).ask(histories).counted(ITEM).known[0]
        torch.testing.assert_close(alone, together[row], atol=1e-6, rtol=1e-4)


def test_it_can_be_left_out(dataset):
    model = mixture(dataset, "mixture.reranked=0")
    model.tune(dataset)
    asked = asked_of(model, dataset)
    assert asked.network.reranker is None
    assert torch.equal(asked.counted(ITEM).known, asked.mixed(ITEM).known)


def test_the_sessions_of_a_lesson_are_in_none_of_the_counts_that_describe_them(dataset, monkeypatch):
    model = mixture(dataset)
    network = output_of(model).network
    seen: list[Candidates] = []
    before = Candidates.of.__func__

    def spy(cls, answer, known, current, most):
        seen.append(answer)
        return before(cls, answer, known, current, most)

    monkeypatch.setattr(Candidates, "of", classmethod(spy))
    items, offsets = training_runs(dataset, ITEM)
    n_sessions, size = len(offsets) - 1, network.co_visits[ITEM].size
    met = set()
    for number in range(teaching.FOLDS):
        seen.clear()
        assert network.reranker is not None
        teach(network, network.reranker, dataset, model.config)
        mine = [s for s in range(n_sessions) if s % teaching.FOLDS == number]
        runs = np.zeros(size)
        for session in set(range(n_sessions)) - set(mine):
            np.add.at(runs, items[offsets[session] : offsets[session + 1]], 1)
        assert seen[0].counts.popularity.tolist() == runs.tolist()
        assert seen[0].counts.co_visits.totals.sum() < network.co_visits[ITEM].totals.sum()
        met |= set(mine)
    assert met == set(range(n_sessions))


def test_a_lesson_teaches_which_signals_go_together():
    """The target has both signals or neither, all others have one of the two, so no sum of them can tell."""
    torch.manual_seed(0)
    reranker, n_queries = Reranker(2, 8), 3000
    first = (torch.rand(n_queries, 10, 1) < 0.5).float()
    signals, column = torch.cat([first, 1 - first], dim=2), torch.zeros(n_queries, dtype=torch.int64)
    signals[:, 0, 1] = signals[:, 0, 0]
    candidates = Candidates(column.unsqueeze(1).expand(-1, 10), torch.full((n_queries, 10), 0.1), signals)
    lesson = Lesson(candidates, column, torch.rand(n_queries) < 0.3)
    for number in range(8):
        teaching._learn(reranker, [lesson], 0.5, seed=number)
    said = torch.softmax(candidates.logits(reranker, 1.0), dim=1)[:, 0]
    assert float(said.min()) > 0.5


def test_lessons_teach_the_same_every_time(dataset):
    first, second = (mixture(dataset) for _ in range(2))
    for model in (first, second):
        network = output_of(model).network
        assert network.reranker is not None
        before = network.reranker.layers[0].weight.clone()
        torch.manual_seed(int(model is second))  # what has been drawn elsewhere changes nothing
        for _ in range(teaching.FOLDS):
            teach(network, network.reranker, dataset, model.config)
        assert not torch.equal(network.reranker.layers[0].weight, before)
    for one, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_log_too_short_for_folds_teaches_nothing(dataset, monkeypatch):
    model = mixture(dataset)
    network = output_of(model).network
    assert network.reranker is not None
    before = [parameter.clone() for parameter in network.reranker.layers.parameters()]
    monkeypatch.setattr(teaching, "_NEWEST", 0)
    teach(network, network.reranker, dataset, model.config)
    assert all(map(torch.equal, before, network.reranker.layers.parameters()))
