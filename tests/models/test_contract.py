"""What every recommender must do, whatever it is: found by importing all modules of ``hup.models`` and
``hup.recommender``."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

import hup.models
import hup.recommender
from hup.config import Config, Section
from hup.data.dataset import Dataset
from hup.data.taxonomy import Taxonomy
from hup.errors import HupError
from hup.evaluation import evaluate
from hup.models.counted.by_level import ByLevel
from hup.models.hup.ablations import ABLATIONS, INGREDIENTS
from hup.models.hup.model import HUP
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores
from hup.recommender.kinds import KINDS, load, model_class
from hup.recommender.recommendations import Recommendations
from hup.recommender.restriction import Restriction
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.events import Event

from ..helpers.live_sessions import live_events


def all_recommenders() -> list[type[Recommender]]:
    for room in (hup.models, hup.recommender):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)

    def below(cls: type) -> Iterator[type]:
        for child in cls.__subclasses__():
            yield child
            yield from below(child)

    ours = {cls for cls in below(Recommender) if cls.__module__.startswith("hup.") and not inspect.isabstract(cls)}
    return sorted(ours, key=lambda cls: cls.__name__)


RECOMMENDERS = all_recommenders()

#: So that all are fitted at once, and none chooses anything by the validation split.
QUICK = (
    "training.epochs=1",
    "network.hidden=8",
    "embeddings.skipgram_epochs=2",
    "epochs=2",
    "iterations=2",
)


#: The same, of single kinds.
FIXED = {
    "lightgbm": ["trees=3", "patience=0", "folds=2", "vector_epochs=1"],
    "slist+recency": ["weights={item=[0.6, 0.4], category=[0.5, 0.5]}"],
    "vsknn+recency": ["weights={item=[0.6, 0.4], category=[0.5, 0.5]}"],
    "stan+item-knn+recency": ["weights={item=[0.4, 0.2, 0.4], category=[0.3, 0.2, 0.5]}"],
}


@dataclass(frozen=True)
class Made:
    """One way of making a recommender."""

    kind: type[Recommender]
    overrides: tuple[str, ...] = ()
    preset: str = "paper"

    def __call__(self) -> Recommender:
        config = Config.preset(self.preset) if self.kind is HUP else self.kind.options()
        return self.kind(config.changed([*known_keys(config, QUICK), *FIXED.get(self.kind.kind, ()), *self.overrides]))


def known_keys(config: Section, overrides: Iterable[str]) -> list[str]:
    """Those of the overrides whose key the configuration has."""
    tree = config.model_dump()

    def has(key: str) -> bool:
        *sections, leaf = key.split(".")
        return leaf in reduce(lambda node, name: node.get(name, {}), sections, tree)

    return [override for override in overrides if has(override.partition("=")[0])]


MAKERS = {kind.kind: Made(kind) for kind in RECOMMENDERS}
MAKERS |= {f"hup-{name}": Made(HUP, overrides) for name, overrides in ABLATIONS.items()}
MAKERS["by-level-mixed"] = Made(ByLevel, ("settings={item=[\"decay='constant'\"], category_1=['neighbors=3']}",))
MAKERS["hup-best"] = Made(HUP, preset="best")
MAKERS["best-gru"] = Made(HUP, INGREDIENTS["gru"], preset="best")


#: Levels and missing categories by pairs; the fourth shop has nothing that none of these has.
SHOPS = ["K=1", "K=1, bare", "K=3, bare", pytest.param("K=3", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=SHOPS)
def dataset(request, shops, bare_shops) -> Dataset:
    return {"K=1": shops[1], "K=3": shops[3], **bare_shops}[request.param]


@pytest.fixture(scope="module", params=MAKERS)
def make(request) -> Made:
    return MAKERS[request.param]


@pytest.fixture(scope="module")
def model(make, dataset) -> Recommender:
    model = make()
    assert model.fit(dataset) is model
    return model


@pytest.fixture(scope="module")
def answered(model, dataset) -> dict[str, Scores]:
    """What the model says of all test sessions, each level by itself."""
    given = histories(dataset)
    return {level: model.score(given, level) for level in levels_of(dataset)}


def levels_of(dataset: Dataset) -> list[str]:
    return ["item", *(f"category_{k}" for k in range(dataset.levels, 0, -1))]


def sizes(dataset: Dataset) -> dict[str, int]:
    """Size of the training vocabulary by level."""
    return {"item": dataset.n_train_items} | {
        f"category_{k}": size for k, size in enumerate(dataset.n_train_categories, 1)
    }


def histories(dataset: Dataset, sessions: object = None) -> Histories:
    sessions = dataset.sessions("test") if sessions is None else sessions
    return histories_and_targets(dataset, np.asarray(sessions, dtype=np.int64))[0]


def by_code(scores: Scores) -> dict[int, float]:
    """Scores of the first history by code."""
    return dict(enumerate(scores.known[0].tolist())) | {
        code: one for (row, code), one in own_of(scores).items() if not row
    }


def assert_same(first: Scores, second: Scores) -> None:
    """The order of the own codes, and how far they are padded, is left to the model."""
    np.testing.assert_allclose(first.known, second.known, rtol=1e-5, atol=1e-5)
    one, other = own_of(first), own_of(second)
    assert one.keys() == other.keys()
    np.testing.assert_allclose([*one.values()], [other[place] for place in one], rtol=1e-5, atol=1e-5)


def own_of(scores: Scores) -> dict[tuple[int, int], float]:
    """Scores of the histories' own codes by row and code."""
    rows, columns = torch.nonzero(scores.own_codes >= 0, as_tuple=True)
    codes = scores.own_codes[rows, columns].tolist()
    return dict(zip(zip(rows.tolist(), codes, strict=True), scores.own[rows, columns].tolist(), strict=True))


def of_rows(scores: Scores, rows: list[int]) -> Scores:
    """The same of these rows."""
    return Scores(scores.known[rows], scores.own[rows], scores.own_codes[rows])


def finite(scores: Scores) -> bool:
    return bool(torch.isfinite(scores.known).all() and torch.isfinite(scores.own[scores.own_codes >= 0]).all())


# ---------------------------------------------------------------------- the walk itself


def test_the_walk_finds_them():
    assert {"HUP", "Popularity", "Recency"} <= {kind.__name__ for kind in RECOMMENDERS}


def test_each_has_a_kind_of_its_own_by_which_it_is_found():
    kinds = [kind.kind for kind in RECOMMENDERS]
    assert len(set(kinds)) == len(kinds)
    assert {kind: model_class(kind) for kind in KINDS} == {kind.kind: kind for kind in RECOMMENDERS}


@pytest.mark.parametrize("kind", RECOMMENDERS, ids=lambda kind: kind.kind)
def test_settings_to_try_are_valid_and_differ(kind):
    config = Config.preset("paper") if kind is HUP else kind.options()
    tried = [config.changed(overrides) for overrides in kind.tuning]
    assert kind.tuning[0] == ()
    assert len({config.model_dump_json() for config in tried}) == len(tried)


def test_the_shops_hold_what_training_lacks(dataset):
    """Otherwise much of what follows shows nothing."""
    given = histories(dataset)
    assert (given.item >= dataset.n_train_items).any()
    assert dataset.n_items > dataset.n_train_items
    if dataset.levels == 3:
        assert (given.categories[:, 2] >= dataset.n_train_categories[2]).any()


# ---------------------------------------------------------------------- scores


def test_scores_of_every_level(answered, dataset):
    given = histories(dataset)
    for level, n_known in sizes(dataset).items():
        scores = answered[level]
        assert scores.known.shape == (len(given), n_known)
        assert scores.own.shape == scores.own_codes.shape
        assert scores.own_codes.dtype == torch.int64
        assert scores.known.is_floating_point()
        assert not scores.known.requires_grad
        assert finite(scores)
        codes = given.codes(level).tolist()
        for b, (low, high) in enumerate(zip(given.offsets[:-1].tolist(), given.offsets[1:].tolist(), strict=True)):
            own = [code for code in scores.own_codes[b].tolist() if code >= 0]
            assert sorted(own) == sorted({code for code in codes[low:high] if code >= n_known})


def test_scores_tell_histories_or_candidates_apart(answered):
    """A model whose scores are all one would pass every other test here."""
    assert answered["item"].known.unique().numel() > 3


def test_asking_twice_or_in_another_order_changes_nothing(model, dataset, answered):
    again = histories(dataset)
    for level in reversed(levels_of(dataset)):
        assert_same(answered[level], model.score(again, level))


def test_the_order_of_a_batch_changes_nothing(model, dataset, answered):
    order = np.random.default_rng(0).permutation(np.asarray(dataset.sessions("test")))
    shuffled = model.scores(histories(dataset, order))
    rows = (order - dataset.sessions("test").start).tolist()
    for level in levels_of(dataset):
        assert_same(shuffled[level], of_rows(answered[level], rows))


def test_all_levels_at_once_are_each_level_by_itself(model, dataset, answered):
    answer = model.scores(histories(dataset))
    for level in levels_of(dataset):
        assert_same(answer[level], answered[level])


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_the_company_in_a_batch_changes_nothing(model, dataset, answered, every):
    for row, session in [*enumerate(dataset.sessions("test"))][::every]:
        alone = model.scores(histories(dataset, [session]))
        for level in levels_of(dataset):
            assert_same(of_rows(answered[level], [row]), alone[level])


# ---------------------------------------------------------------------- what a model does not know


def strange(dataset: Dataset, rows: list[tuple[list[int], int, float]]) -> Histories:
    """A history of items that no vocabulary has for each path, behavior and time; the last of 7 events is a run."""
    items = torch.tensor([5, 5, 9, 9, 5, 8, 7]) + dataset.n_items
    n = len(items)
    paths, behaviors, times = (torch.tensor(part).repeat_interleave(n, dim=0) for part in zip(*rows, strict=True))
    return Histories(
        offsets=torch.arange(len(rows) + 1) * n,
        item=items.repeat(len(rows)),
        categories=paths,
        behavior=behaviors,
        interval=times,
        dwell=times,
    )


def test_unknown_items_categories_behaviors_and_times(model, dataset):
    unknown = list(dataset.n_categories)
    known = dataset.taxonomy.paths[0].tolist()
    paths = ([-1] * dataset.levels, unknown, [*known[:-1], unknown[-1]], known)
    thirty_years = 1e9
    rows = list(product(paths, (-1, 0), (float("nan"), 0.0, thirty_years)))
    given = strange(dataset, rows)
    answer = model.scores(given)
    for level in levels_of(dataset):
        scores = answer[level]
        assert finite(scores), level
        for row, own_codes in enumerate(scores.own_codes):
            own = set(given.codes(level)[given.offsets[row] : given.offsets[row + 1]].tolist())
            expected = {code for code in own if code >= sizes(dataset)[level]}
            assert set(own_codes[own_codes >= 0].tolist()) == expected, (level, rows[row])


def test_a_history_of_one_event(model, dataset):
    whole = histories(dataset)
    first = replace(
        whole,
        offsets=torch.tensor([0, 1]),
        **{name: getattr(whole, name)[:1] for name in ("item", "categories", "behavior", "interval", "dwell")},
    )
    for level in levels_of(dataset):
        scores = model.score(first, level)
        assert scores.known.shape[0] == 1
        assert finite(scores)


def test_a_level_that_is_not_there_is_told(model, dataset):
    for level in (f"category_{dataset.levels + 1}", "category_0", "brand"):
        with pytest.raises(HupError, match=level):
            model.score(histories(dataset), level)


def test_an_unfitted_model_says_so(make, dataset):
    with pytest.raises(HupError, match="fit"):
        make().score(histories(dataset), "item")


def test_no_category_takes_nobodys_place(model, dataset):
    """Every row is judged by the same sessions and candidates, and none of them is "no category"."""
    result = evaluate(model, dataset, rows=())
    for level in levels_of(dataset):
        ranks = result.ranks[model.name][level]
        _, targets = histories_and_targets(dataset, result.sessions)
        none = -1 if level == "item" else dataset.taxonomy.no_category[int(level[9:]) - 1]
        assert np.isnan(ranks).tolist() == (targets.codes(level) == none).tolist()
        n_candidates = sizes(dataset)[level] - (none >= 0)
        figures = result.rows[model.name][level]
        assert figures["sessions"] == int((~np.isnan(ranks)).sum())
        if not n_candidates:
            assert figures["recall@5"] is None


def test_the_bare_shops_are_bare(bare_shops):
    """Otherwise the test above shows nothing."""
    assert bare_shops["K=1, bare"].n_categories == (1,)
    assert bare_shops["K=1, bare"].taxonomy.no_category == (0,)
    some = bare_shops["K=3, bare"]
    assert min(some.taxonomy.no_category) >= 0
    assert min(some.n_train_categories) > max(some.taxonomy.no_category)
    targets = histories_and_targets(some, np.asarray(some.sessions("test")))[1]
    for k in (1, 2, 3):
        share = float((targets.codes(f"category_{k}") == some.taxonomy.no_category[k - 1]).double().mean())
        assert 0.1 < share < 0.6


# ---------------------------------------------------------------------- fit


#: What the profile weighs is chosen on validation after every epoch (mixture/test_weights.py), so it may matter there.
CHOOSES_ON_VALIDATION = {"hup-best", "best-gru"}


def with_other_sessions(dataset: Dataset, *, validation_matters: bool = False) -> Dataset:
    """The same training split; validation is of other known items and times, and reading test events would fail."""
    bounds = dataset.manifest.split.bounds
    validation, test = (dataset.offsets[bound] for bound in (bounds.validation[0], bounds.test[0]))
    rng = np.random.default_rng(5)
    item, behavior = dataset.item.copy(), dataset.behavior.copy()
    interval, dwell = dataset.interval.copy(), dataset.dwell.copy()
    item[validation:test] = rng.permutation(item[validation:test])
    behavior[validation:test] = rng.integers(0, 10, test - validation)
    interval[validation:test] *= 7
    if validation_matters:
        for mine, given in ((item, dataset.item), (behavior, dataset.behavior), (interval, dataset.interval)):
            mine[validation:test] = given[validation:test]
    item[test:] = np.iinfo(np.int32).max
    behavior[test:] = 255
    interval[test:] = dwell[test:] = np.nan
    paths = dataset.taxonomy.paths.copy()
    if not validation_matters:
        paths[dataset.n_train_items :] = rng.permutation(paths[dataset.n_train_items :])
    names = tuple([*known[:n], *("?" for _ in known[n:])] for known, n in zip_levels(dataset))
    return replace(
        dataset,
        item=item,
        behavior=behavior,
        interval=interval,
        dwell=dwell,
        taxonomy=Taxonomy(paths=paths, names=names, parents=dataset.taxonomy.parents),
    )


def zip_levels(dataset: Dataset) -> Iterator[tuple[list[str], int]]:
    return zip(dataset.taxonomy.names, dataset.n_train_categories, strict=True)


def test_fitting_again_gives_the_same_whatever_all_but_training_sessions_are(model, make, dataset, request, answered):
    """One epoch leaves nothing to select, so here the validation split must not matter either."""
    matters = any(name in request.node.name for name in CHOOSES_ON_VALIDATION)
    again = make().fit(with_other_sessions(dataset, validation_matters=matters))
    for level in levels_of(dataset):
        scores = again.score(histories(dataset), level)
        assert_same(scores, answered[level])
        assert torch.equal(scores.known, answered[level].known)


@pytest.mark.parametrize("dataset", ["K=1"], indirect=True)
def test_training_sessions_do_matter(answered, make, dataset):
    """The test above can fail: what it alters would show if it were read."""
    bounds = dataset.manifest.split.bounds
    item = dataset.item.copy()
    end = dataset.offsets[bounds.train[1]]
    item[:end] = np.random.default_rng(5).permutation(item[:end])
    other = make().fit(replace(dataset, item=item))
    assert not torch.allclose(other.score(histories(dataset), "item").known, answered["item"].known)


# ---------------------------------------------------------------------- folders


def test_a_saved_model_scores_the_same(model, dataset, answered, tmp_path: Path):
    model.name = "called otherwise"
    model.save_pretrained(tmp_path / "model")
    model.name = model.kind
    opened = load(tmp_path / "model")
    assert type(opened) is type(model)
    assert opened.name == "called otherwise"
    assert opened.config == model.config
    for level in levels_of(dataset):
        before, after = answered[level], opened.score(histories(dataset), level)
        assert torch.equal(before.known, after.known)
        assert torch.equal(before.own, after.own)
        assert torch.equal(before.own_codes, after.own_codes)


def test_a_folder_with_damaged_weights_is_told(model, tmp_path: Path):
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(HupError, match=r"model\.safetensors does not fit"):
        load(tmp_path / "model")


def test_a_folder_of_another_model_is_told(model, tmp_path: Path):
    model.save_pretrained(tmp_path / "model")
    other = next(kind for kind in RECOMMENDERS if kind is not type(model))
    with pytest.raises(HupError, match=re.escape(f"is of a model '{model.kind}', expected '{other.kind}'")):
        other.from_pretrained(tmp_path / "model")


# ---------------------------------------------------------------------- recommend


def events_of(dataset: Dataset, session: int) -> list[Event]:
    """A test session's history, as a shop would send it."""
    tree, names = dataset.taxonomy, dataset.item_names
    given = histories(dataset, [session])
    return [
        Event(
            item=names[item],
            behavior=dataset.behaviors[behavior].code,
            categories=tree.path_names(dataset.levels, int(tree.paths[item, -1])),
            interval=None if np.isnan(interval) else interval,
            dwell=None if np.isnan(dwell) else dwell,
        )
        for item, behavior, interval, dwell in zip(
            given.item.tolist(), given.behavior.tolist(), given.interval.tolist(), given.dwell.tolist(), strict=True
        )
    ]


@pytest.mark.parametrize("sessions", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_recommendations_are_the_best_scores(model, dataset, sessions):
    for session in list(dataset.sessions("test"))[:sessions]:
        given = histories(dataset, [session])
        together = model.scores(given)
        for level in levels_of(dataset):
            scores = by_code(together[level])
            if level == "item":
                scores.pop(int(given.item[-1]))
            else:
                scores.pop(dataset.taxonomy.no_category[int(level[9:]) - 1], None)
            answer = model.recommend(events_of(dataset, session), level, k=5)
            assert answer.level == level
            assert len(answer.ranked) == min(5, len(scores))
            best = sorted(scores.values(), reverse=True)[:5]
            np.testing.assert_allclose([one.score for one in answer.ranked], best, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------- many at once


def single(model: Recommender, dataset: Dataset, session: int, level: str, k: int, restriction=None) -> Recommendations:
    return model.recommend(live_events(dataset, session), level, k, restriction=restriction)


def assert_same_rows(rows: list[dict], answer: Recommendations) -> None:
    """Names in the same order, but where scores differ by rounding alone; scores and origins to five places."""
    assert [row["rank"] for row in rows] == list(range(1, len(answer.ranked) + 1))
    assert {row["level"] for row in rows} <= {answer.level}
    scores = [one.score for one in answer.ranked]
    np.testing.assert_allclose([row["score"] for row in rows], scores, rtol=1e-5, atol=1e-5)
    by_name = {(one.name, one.path): one for one in answer.ranked}
    for place, (row, one) in enumerate(zip(rows, answer.ranked, strict=True)):
        found = row["name"], tuple(row["path"])
        if found != (one.name, one.path):
            near = [score for score in scores if score != one.score and abs(score - one.score) <= 1e-6 * abs(one.score)]
            assert near, f"rank {place + 1} is {found}, expected {(one.name, one.path)}"
        origin = by_name[found].origin if found in by_name else None
        if one.origin is None:
            assert row["origin"] is None
        elif origin is not None:
            shares = {name: getattr(origin, name) for name in row["origin"]}
            assert row["origin"] == pytest.approx(shares, abs=1e-4)
            assert sum(row["origin"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("every", [12, pytest.param(6, marks=pytest.mark.slow)])
def test_many_at_once_are_each_by_itself(model, dataset, every):
    sessions = [*dataset.sessions("test")][::every]
    names = [dataset.session_name(session) for session in sessions]
    table = model.recommend_many(dataset, sessions=names, level="all", k=7)
    by_session: dict[tuple[str, str], list[dict]] = {}
    for row in table.to_pylist():
        by_session.setdefault((row["session"], row["level"]), []).append(row)
    assert [name for name, level in by_session if level == "item"] == names
    for session, name in zip(sessions, names, strict=True):
        for level in levels_of(dataset):
            assert_same_rows(by_session.get((name, level), []), single(model, dataset, session, level, 7))


@pytest.mark.parametrize("every", [20, pytest.param(10, marks=pytest.mark.slow)])
def test_many_at_once_are_each_by_itself_where_not_all_may_come(model, dataset, every):
    sessions = [*dataset.sessions("test")][1::every]
    names = [dataset.session_name(session) for session in sessions]
    own = [dataset.item_names[code] for code in range(dataset.n_train_items, dataset.n_items)]
    some = [*dataset.item_names[: dataset.n_train_items : 3], *own, "not there"]
    path = dataset.taxonomy.path_names(1, int(dataset.taxonomy.paths[0, 0]))
    questions = [
        ("item", Restriction(only=some)),
        ("item", Restriction(exclude=some[::2], within=path)),
        ("item", Restriction(only=some, new_only=True)),
        (f"category_{dataset.levels}", Restriction(new_only=True)),
        (f"category_{dataset.levels}", Restriction(within=path)),
    ]
    for level, restriction in questions:
        rows = model.recommend_many(dataset, sessions=names, level=level, k=40, restriction=restriction).to_pylist()
        for session, name in zip(sessions, names, strict=True):
            expected = single(model, dataset, session, level, 40, restriction)
            assert_same_rows([row for row in rows if row["session"] == name], expected)


#: Models that know of no pair of items: they rank by counts of single ones, or look up whole sessions.
KNOW_NO_PAIRS = {
    *("popularity", "recency", "vsknn", "vsknn+recency", "stan", "stan+item-knn+recency", "slist+recency", "lightgbm"),
    *("by-level", "by-level-mixed"),
}


def test_what_is_similar(model, dataset, request):
    if request.node.callspec.params["make"] in KNOW_NO_PAIRS:
        with pytest.raises(HupError, match="neither vectors nor counts of pairs"):
            model.similar(dataset.item_names[0])
        return
    counts = model.vocabulary.counts["item"]
    name = dataset.item_names[int(counts.argmax())]
    answer = model.similar(name, k=6)
    scores = [one.score for one in answer.ranked]
    assert 1 <= len(scores) <= 6
    assert scores == sorted(scores, reverse=True)
    assert name not in [one.name for one in answer.ranked]
    if hasattr(model, "item_vectors"):
        vectors = torch.nn.functional.normalize(model.item_vectors(), dim=1)
        expected = (vectors @ vectors[int(counts.argmax())]).sort(descending=True).values[1:7]
        assert answer.basis == "cosine"
        np.testing.assert_allclose(scores, expected, atol=1e-5)
    wanted = [one.name for one in answer.ranked[1:3]]
    restricted = model.similar(name, restriction=Restriction(only=[*wanted, name]))
    assert [one.name for one in restricted.ranked] == wanted
    with pytest.raises(HupError, match="does not know an item 'nobody'"):
        model.similar("nobody")


def test_what_is_similar_to_a_category(model, dataset, request):
    if request.node.callspec.params["make"] in KNOW_NO_PAIRS:
        return
    tree, level = dataset.taxonomy, f"category_{dataset.levels}"
    code = next((code for code in range(model.vocabulary.size(level)) if code != tree.no_category[-1]), None)
    if code is None:
        return  # a shop without categories
    path = tree.path_names(dataset.levels, code)
    answer = model.similar(path, level, k=3)
    assert answer.ranked == model.similar(" > ".join(path), level, k=3).ranked
    told = [one.path for one in answer.ranked]
    assert len(set(told)) == len(told)
    assert path not in told
    assert ("(none)",) * dataset.levels not in told
    with pytest.raises(HupError, match=r"does not know a category 'x' of level"):
        model.similar("x", level)


def test_an_empty_session_is_answered_with_popularity(model):
    answer = model.recommend([], k=3)
    assert answer.basis == "popularity"
    assert [one.score for one in answer.ranked] == sorted((one.score for one in answer.ranked), reverse=True)


def test_a_wrong_question_is_told(model, dataset):
    for k in (0, -3, True, 2.5, "3", None):
        with pytest.raises(HupError, match=f"k is {k!r}, expected a whole number"):
            model.recommend([], k=k)
    assert len(model.recommend([], k=np.int64(2)).ranked) == 2
    with pytest.raises(HupError, match="now is 'soon', expected a number of seconds"):
        model.recommend([{"item": "1", "behavior": "1", "timestamp": 1}], now="soon")
    with pytest.raises(HupError, match="'item' is array"):
        model.recommend([{"item": np.array([1, 2]), "behavior": "1"}])
    with pytest.raises(HupError, match="no level 'brand'"):
        model.recommend([], "brand")
    with pytest.raises(HupError, match="no timestamps"):
        model.recommend([Event("x", "1")], now=3.0)
