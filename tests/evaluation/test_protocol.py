"""The protocol against a slow reading of it, session by session and candidate by candidate."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hup.evaluation.protocol as protocol
from hup.data.statistics import split_bounds
from hup.data.taxonomy import extended_path
from hup.errors import HupError
from hup.evaluation import evaluate
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores
from hup.recommender.recency import Recency
from hup.sessions.batches import Histories


def toy_score(code: int, current: int, level: str) -> float:
    """A score that depends on the session, with many ties."""
    return float((7 * code + 3 * current + len(level)) % 4)


def angles(n: int) -> np.ndarray:
    return 0.05 * np.arange(n) ** 1.5


class Toy(Recommender):
    """Scores by :func:`toy_score`; no two of its items' vectors are equally near to a third."""

    kind = "toy"

    def tensors(self):
        return {}

    def restore(self, tensors):
        raise NotImplementedError

    def fit(self, dataset):
        self.sizes = protocol.vocabulary_sizes(dataset)
        return self

    def item_vectors(self):
        angle = torch.from_numpy(angles(self.sizes["item"]))
        return torch.stack([angle.cos(), angle.sin()], dim=1)

    def score(self, histories: Histories, level: str) -> Scores:
        n_known = self.sizes[level]
        current = histories.current(level).tolist()
        own = histories.own_unknown(level, n_known).codes
        own_score = [
            [toy_score(code, c, level) for code in codes] for codes, c in zip(own.tolist(), current, strict=True)
        ]
        return Scores(
            known=torch.tensor([[toy_score(code, c, level) for code in range(n_known)] for c in current]),
            own=torch.tensor(own_score).reshape(own.shape),
            own_codes=own,
        )


def slow_ranks(dataset, row: str, level: str, split: str, neighbors: int | None) -> tuple[list[float], list[bool]]:
    """The default protocol in plain loops."""

    def codes(item_codes):
        column = None if level == "item" else int(level[-1]) - 1
        return [c if column is None else int(dataset.taxonomy.paths[c, column]) for c in item_codes]

    sessions = [
        dataset.item[dataset.offsets[s] : dataset.offsets[s + 1]].tolist() for s in range(len(dataset.offsets) - 1)
    ]
    training = [codes(sessions[s]) for s in dataset.sessions("train")]
    known = {code for session in training for code in session}
    visits = dict.fromkeys(known, 0)
    for session in training:
        for i, code in enumerate(session):
            visits[code] += i == 0 or session[i - 1] != code
    ranks, repeats = [], []
    for s in dataset.sessions(split):
        items = sessions[s]
        length = max(i + 1 for i in range(len(items)) if items[i] != items[-1])
        history, target = codes(items[:length]), codes(items[-1:])[0]
        candidates = set(known)
        if neighbors is not None and level == "item":
            angle = angles(dataset.n_train_items)
            cosine = np.cos(angle[:, None] - angle[None, :])
            candidates = set()
            for item in set(history) & known:
                candidates |= set(np.argsort(-cosine[item])[:neighbors].tolist())
        candidates |= set(history) - known
        if level == "item":
            candidates.discard(history[-1])
        else:
            none = dataset.taxonomy.no_category[int(level[-1]) - 1]
            candidates.discard(none)
            if target == none:
                ranks.append(math.nan)
                repeats.append(False)
                continue

        def score(code, history=history):
            if row == "toy":
                return toy_score(code, history[-1], level)
            last_seen = max((i for i, c in enumerate(history) if c == code), default=-1)
            return (last_seen if row == "recency" else -1, visits.get(code, 0))

        if target in candidates:
            ranks.append(float(sum(score(code) >= score(target) for code in candidates)))
        else:
            ranks.append(math.inf)
        repeats.append(target in history)
    return ranks, repeats


@st.composite
def logs(draw):
    """Sessions of two item runs or more; later ones bring items, and categories, that training never saw."""
    n_items = draw(st.integers(3, 12))
    path = st.tuples(st.sampled_from("AB"), st.sampled_from("abc")) | st.just(extended_path([], 2))
    categories = draw(st.lists(path, min_size=n_items, max_size=n_items))
    paths = {str(i): path for i, path in enumerate(categories)}
    session = st.lists(st.sampled_from(sorted(paths)), min_size=2, max_size=9).filter(lambda s: len(set(s)) > 1)
    train = draw(st.lists(session, min_size=1, max_size=4))
    rest = draw(st.lists(session, min_size=2, max_size=8))
    middle = draw(st.integers(1, len(rest) - 1))
    return train + rest, paths, (len(train), len(train) + middle)


@settings(max_examples=60, deadline=None)
@given(log=logs(), batch_size=st.integers(1, 5), split=st.sampled_from(["test", "validation"]))
@pytest.mark.parametrize("neighbors", [None, 2])
def test_agrees_with_the_slow_reading(make_dataset, monkeypatch_module, log, batch_size, split, neighbors):
    monkeypatch_module.setattr(protocol, "NEIGHBORS", neighbors)
    dataset = make_dataset(*log)
    found = evaluate(
        Toy().fit(dataset),
        dataset,
        split=split,
        candidates="full" if neighbors is None else "neighbors",
        batch_size=batch_size,
    )
    assert found.levels == ["item", "category_2", "category_1"]
    assert list(found.ranks) == ["toy", "recency", "popularity"]
    for row, by_level in found.ranks.items():
        for level, ranks in by_level.items():
            expected_ranks, expected_repeat = slow_ranks(dataset, row, level, split, neighbors)
            np.testing.assert_array_equal(ranks, expected_ranks, f"{row}, {level}")
            assert found.repeat[level].tolist() == expected_repeat


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


LOG = ([["a", "b", "a"], ["a", "c"], ["b", "x", "b", "x"], ["y", "z"]], {name: ["A"] for name in "abcxyz"}, (1, 2))


def test_a_target_never_seen_is_a_miss_that_counts(make_dataset):
    found = evaluate(Toy().fit(make_dataset(*LOG)), make_dataset(*LOG))
    # b x b | x: x is the session's own. y | z: z is nobody's.
    assert np.isfinite(found.ranks["recency"]["item"]).tolist() == [True, False]
    item = found.rows["recency"]["item"]
    assert item["recall@20"] == 0.5
    assert item["ceiling"] == 0.5
    assert (item["repeat"]["sessions"], item["explore"]["sessions"]) == (1, 1)


def test_the_rows_are_fitted_on_training_alone(make_dataset):
    """What is after the training split changes no score."""
    sessions, paths, bounds = LOG
    other = [*sessions[:1], ["c", "c", "b", "c", "b", "a", "b", "a", "c"], *sessions[2:]]
    for log in (sessions, other):
        fitted = Recency().fit(make_dataset(log, paths, bounds))
        assert fitted.grades("item").tolist() == [2, 1]


def test_a_model_that_is_a_baseline_stands_once(make_dataset):
    dataset = make_dataset(*LOG)
    assert list(evaluate(Recency().fit(dataset), dataset).ranks) == ["recency", "popularity"]
    assert list(evaluate(Recency().fit(dataset), dataset, rows=()).ranks) == ["recency"]


def test_progress_counts_every_session(make_dataset):
    dataset = make_dataset(*LOG)
    steps: list[int] = []
    evaluate(Toy().fit(dataset), dataset, batch_size=1, progress=steps.append)
    assert steps == [1, 1]


def test_a_batch_of_scores_stays_within_its_bytes(make_dataset, monkeypatch):
    dataset = make_dataset(*LOG)
    monkeypatch.setattr(protocol, "SCORE_BLOCK_BYTES", 8 * dataset.n_train_items)
    steps: list[int] = []
    evaluate(Toy().fit(dataset), dataset, batch_size=100, progress=steps.append)
    assert steps == [1, 1]


def test_an_empty_split_is_an_error(make_dataset):
    sessions, paths, _ = LOG
    dataset = make_dataset(sessions, paths, (1, 4))
    with pytest.raises(HupError, match="no test sessions"):
        evaluate(Toy().fit(dataset), dataset)


def test_neighbors_need_item_vectors(make_dataset):
    dataset = make_dataset(*LOG)
    with pytest.raises(HupError, match="recency has no item vectors"):
        evaluate(Recency().fit(dataset), dataset, candidates="neighbors")


def test_a_model_of_another_dataset_is_refused(make_dataset):
    dataset = make_dataset(*LOG)
    model = Toy().fit(dataset)
    model.dataset_fingerprint = "0" * 64
    with pytest.raises(HupError, match="trained on another dataset"):
        evaluate(model, dataset)


def test_a_model_of_another_vocabulary_is_refused(make_dataset):
    dataset = make_dataset(*LOG)
    model = Toy().fit(dataset)
    model.sizes = {**model.sizes, "item": 7}
    with pytest.raises(HupError, match=r"toy gave scores of shape \(2, 7\) at level item, expected \(2, 2\)"):
        evaluate(model, dataset)


def test_a_model_may_not_choose_the_candidates(make_dataset):
    class Forgetful(Toy):
        def score(self, histories, level):
            scores = super().score(histories, level)
            return Scores(scores.known, scores.own[:, :0], scores.own_codes[:, :0])

    dataset = make_dataset(*LOG)
    with pytest.raises(HupError, match="did not score exactly the session's own codes"):
        evaluate(Forgetful().fit(dataset), dataset)


NONE = extended_path([], 1)


def test_no_category_is_neither_target_nor_candidate(make_dataset):
    sessions = [["a", "x"], ["x", "b"], ["a", "x"], ["x", "a"], ["a", "x", "b"]]
    dataset = make_dataset(sessions, {"a": ["A"], "b": ["B"], "x": NONE}, (2, 2))
    assert dataset.taxonomy.no_category == (1,)
    found = evaluate(Toy().fit(dataset), dataset)
    for row, by_level in found.ranks.items():
        assert np.isnan(by_level["category_1"]).tolist() == [True, False, False], row
        assert not np.isnan(by_level["item"]).any()
    assert found.rows["recency"]["item"]["sessions"] == 3
    category = found.rows["recency"]["category_1"]
    # x | a: neither category is in the history, and A and B tie in popularity. a x | b: A is, so B comes after it.
    assert found.ranks["recency"]["category_1"][1:].tolist() == [2, 2]
    assert (category["sessions"], category["explore"]["sessions"], category["ceiling"]) == (2, 2, 1.0)


def test_a_log_without_any_category(make_dataset):
    sessions = [["a", "b"], ["b", "a"], ["a", "b", "c"], ["b", "a"]]
    dataset = make_dataset(sessions, dict.fromkeys("abc", NONE), (2, 2))
    found = evaluate(Toy().fit(dataset), dataset)
    for by_level in found.rows.values():
        category = by_level["category_1"]
        assert category["sessions"] == category["repeat"]["sessions"] == category["explore"]["sessions"] == 0
        assert category["recall@5"] is category["mrr@5_interval"] is category["ceiling"] is None
        assert by_level["item"]["sessions"] == 2
    assert found.below("popularity") == [] or all(line.startswith("item") for line in found.below("popularity"))


def grown(make_dataset, model_bounds=(2, 3), bounds=(4, 5)):
    """A dataset, one that was appended to it, and a model of the first that scores by `toy_score`."""
    sessions = [list(items) for items in ("ab", "ba", "ac", "cb", "cd", "dc", "adb", "eda")]
    paths = {name: [path] for name, path in zip("abcde", "AABCC", strict=True)}
    old = make_dataset(sessions[:4], paths, model_bounds)
    new = make_dataset(sessions, paths, bounds)
    new = replace(new, manifest=new.manifest.model_copy(update={"fingerprint": "e" * 64, "lineage": ["f" * 64]}))
    model = Toy().fit(old)
    model.dataset_fingerprint, model.dataset_bounds = old.fingerprint, old.manifest.split.bounds
    return old, new, model


@pytest.mark.parametrize("candidates", ["full", "neighbors"])
def test_a_model_of_what_the_dataset_was_appended_to_ranks_all_candidates(make_dataset, candidates):
    old, new, model = grown(make_dataset)
    assert (old.n_train_items, new.n_train_items) == (2, 3)
    found = evaluate(model, new, candidates=candidates)
    assert found.protocol["trained_on"] == "f" * 64
    ranks = found.ranks["toy"]["item"]
    sizes = protocol.vocabulary_sizes(old)

    def place(session, target):
        """Rank among a, b (known to the model), c (not) and the session's own, without the current item."""
        codes = {name: code for code, name in enumerate(new.item_names)}
        history = [codes[name] for name in session]
        candidates = (set(range(new.n_train_items)) | set(history)) - {history[-1]}

        def score(code):
            knows = code < sizes["item"] or code in history
            return toy_score(code, history[-1], "item") if knows else -math.inf

        if codes[target] not in candidates:
            return math.inf
        return sum(score(code) >= score(codes[target]) for code in candidates)

    # Toy has two items in A, so all are neighbours of each; c is a candidate where it was browsed, or for full.
    expected = [place("d", "c"), place("ad", "b"), place("ed", "a")]
    if candidates == "full":
        assert ranks.tolist() == expected
        assert ranks[0] == 3  # last of a, b, c
    else:
        assert ranks[0] == math.inf


def test_an_item_that_the_model_does_not_know_but_the_session_has(make_dataset):
    """It keeps the model's score for unknown items; it is not put last."""
    sessions = [["a", "b"], ["b", "a"], ["b", "c"], ["c", "b"], ["a", "c", "a", "b", "c"]]
    paths = {name: ["A"] for name in "abc"}
    old, new = make_dataset(sessions[:2], paths, (2, 2)), make_dataset(sessions, paths, (4, 4))
    new = replace(new, manifest=new.manifest.model_copy(update={"fingerprint": "e" * 64, "lineage": ["f" * 64]}))

    class KnowsItsUnknown(Toy):
        def score(self, histories, level):
            scores = super().score(histories, level)
            return Scores(scores.known, torch.full(scores.own.shape, 99.0), scores.own_codes)

    model = KnowsItsUnknown().fit(old)
    model.dataset_fingerprint, model.dataset_bounds = old.fingerprint, old.manifest.split.bounds
    for candidates in ("full", "neighbors"):
        assert evaluate(model, new, candidates=candidates).ranks["toy"]["item"].tolist() == [1.0]


def test_a_model_that_has_learned_from_the_sessions_is_refused(make_dataset):
    for model_bounds, bounds, split in (
        ((3, 4), (2, 3), "test"),
        ((2, 4), (2, 3), "test"),
        ((4, 4), (3, 5), "validation"),
    ):
        _old, new, model = grown(make_dataset, model_bounds, bounds)
        with pytest.raises(HupError, match=f"has learned from sessions that are in the {split} split"):
            evaluate(model, new, split=split)
    _old, new, model = grown(make_dataset, (2, 4), (3, 5))
    assert len(evaluate(model, new, split="validation").sessions) == 2  # those that its epoch was chosen by
    model.dataset_bounds = None
    with pytest.raises(HupError, match="does not say which sessions"):
        evaluate(model, new)


@pytest.mark.parametrize("old", range(1, 30))
def test_appending_never_puts_sessions_of_training_into_the_test_split(old):
    """With the same shares: what was learned from stays in front of what is judged by."""
    for shares in ((0.7, 0.1, 0.2), (0.5, 0.25, 0.25), (0.9, 0.0, 0.1), (0.34, 0.33, 0.33)):
        before = split_bounds(old, shares)
        for new in range(old, old + 40):
            after = split_bounds(new, shares)
            assert after.train[1] >= before.train[1]
            assert after.test[0] >= before.test[0]


def test_a_model_of_what_is_not_in_the_lineage_is_refused(make_dataset):
    _old, new, model = grown(make_dataset)
    model.dataset_fingerprint = "0" * 64
    with pytest.raises(HupError, match="--append"):
        evaluate(model, new)


def test_a_model_of_an_earlier_state_may_not_choose_the_candidates(make_dataset):
    class Forgetful(Toy):
        def score(self, histories, level):
            scores = super().score(histories, level)
            return Scores(scores.known, scores.own[:, :0], scores.own_codes[:, :0])

    old, new, model = grown(make_dataset)
    forgetful = Forgetful().fit(old)
    forgetful.dataset_fingerprint, forgetful.dataset_bounds = model.dataset_fingerprint, model.dataset_bounds
    with pytest.raises(HupError, match="did not score exactly the session's own codes"):
        evaluate(forgetful, new)


def test_an_unknown_row_is_an_error(make_dataset):
    dataset = make_dataset(*LOG)
    with pytest.raises(HupError, match=r"no row 'magic'.*recency, popularity"):
        evaluate(Toy().fit(dataset), dataset, rows=["magic"])


@pytest.mark.parametrize("option", ["split", "candidates", "last_interval"])
def test_an_unknown_choice_is_an_error(make_dataset, option):
    dataset = make_dataset(*LOG)
    with pytest.raises(HupError, match=r"no choice 'train' here; expected \w+ or \w+"):
        evaluate(Toy().fit(dataset), dataset, **{option: "train"})
