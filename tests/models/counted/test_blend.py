from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hup.data.dataset import Dataset
from hup.data.folds import folds
from hup.errors import HupError
from hup.evaluation import evaluate
from hup.evaluation.metrics import gain
from hup.models.counted import blend
from hup.models.counted.blend import Blend, SLISTRecency, STANItemKNNRecency, VSKNNRecency
from hup.models.counted.blend_weights import DEFAULT_RECENCY, weight_grid
from hup.models.counted.item_knn import ItemKNN
from hup.models.counted.shares import ComponentShares, Shortlist, recency_shares
from hup.models.counted.slist import SLIST
from hup.models.counted.stan import STAN
from hup.models.counted.vsknn import VSKNN
from hup.recommender.candidates import target_ranks
from hup.recommender.kinds import load
from hup.recommender.recency import Recency
from hup.sessions.batches import histories_and_targets

from ...helpers.neighbor_sessions import N_KNOWN, Sessions, histories, log_of

KINDS: list[type[Blend]] = [SLISTRecency, VSKNNRecency, STANItemKNNRecency]
SESSIONS = [[1, 3, 1], [2, 0], [4, 5, 0], [0, 1]]


def made(kind: type[Blend], *overrides: str) -> Blend:
    return kind(kind.options().changed(overrides))


def fixed(kind: type[Blend], *weights: float, overrides: Sequence[str] = ()) -> Blend:
    return made(kind, f"weights={{item={list(weights)}, category={list(weights)}}}", *overrides)


@pytest.fixture(scope="module", params=["K=1", "K=1, bare", "K=3, bare", pytest.param("K=3", marks=pytest.mark.slow)])
def shop(request, shops, bare_shops) -> Dataset:
    return {"K=1": shops[1], "K=3": shops[3], **bare_shops}[request.param]


# ---------------------------------------------------------------------- weights


@pytest.mark.parametrize(("kind", "steps"), [(VSKNNRecency, 5), (STANItemKNNRecency, 3)])
def test_the_weights_gain_most_over_all_folds_and_have_the_most_recency_of_those(kind, steps, shop):
    """By the evaluation itself, tried one by one on all candidates, each fold by a model of what came before it."""
    model = made(kind, f"steps={steps}").fit(shop)
    n = len(next(iter(model.weights.values())))
    tried = weight_grid(n, steps)
    parts = [fold.dataset for fold in folds(shop, 5_000)]
    assert len(parts) == 3
    gains = {level: np.zeros(len(tried)) for level in model.levels}
    for place, weights in enumerate(tried):
        for part in parts:
            ranks = evaluate(fixed(kind, *weights).fit(part), part, rows=()).ranks[kind.kind]
            for level in model.levels:
                gains[level][place] += np.nansum(gain(ranks[level]))
    for level, weights in model.weights.items():
        if not gains[level].any():  # no session has a category
            assert weights == (*[(1 - DEFAULT_RECENCY) / (n - 1)] * (n - 1), DEFAULT_RECENCY)
        else:
            assert weights == tried[int(np.argmax(np.round(gains[level], 9)))]
    assert model.metrics == {"weights": {level: list(weights) for level, weights in model.weights.items()}}


def test_where_candidates_are_retrieved_the_weights_are_chosen_by_those(shops, monkeypatch):
    shop, asked = shops[3], []
    monkeypatch.setattr(blend, "NEIGHBORS", 4)
    monkeypatch.setattr("hup.evaluation.protocol.NEIGHBORS", 4)

    def vectors(dataset):
        asked.append(dataset.fingerprint)
        return torch.randn(dataset.n_train_items, 5, generator=torch.Generator().manual_seed(len(dataset)))

    model = made(VSKNNRecency, "steps=5")
    model.retrieval = vectors
    model.fit(shop)
    parts = [fold.dataset for fold in folds(shop, 5_000)]
    assert set(asked) == {part.fingerprint for part in parts}, "vectors of what came before each fold"
    gains = []
    for weights in weight_grid(2, 5):
        found = [
            evaluate(fixed(VSKNNRecency, *weights).fit(part), part, candidates="neighbors", vectors=vectors(part))
            for part in parts
        ]
        gains.append(sum(gain(one.ranks["vsknn+recency"]["item"]).sum() for one in found))
    assert model.weights["item"] == weight_grid(2, 5)[int(np.argmax(np.round(gains, 9)))]
    full = made(VSKNNRecency, "steps=5").fit(shop)
    assert full.weights["category_1"] == model.weights["category_1"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_components_are_fitted_on_all_of_training_afterwards(kind, shops):
    model = made(kind, "steps=2").fit(shops[3])
    given = [f"weights={{item={list(model.weights['item'])}, category={list(model.weights['category_1'])}}}"]
    again = made(kind, *given).fit(shops[3])
    for name, tensor in again.tensors().items():
        if not name.startswith("weights."):
            assert torch.equal(tensor, model.tensors()[name]), name


def test_the_test_split_decides_nothing(shops):
    shop = shops[3]
    item = shop.item.copy()
    item[shop.offsets[shop.sessions("test").start] :] = np.iinfo(np.int32).max
    assert made(VSKNNRecency).fit(replace(shop, item=item)).weights == made(VSKNNRecency).fit(shop).weights


def test_the_grid_of_weights():
    assert weight_grid(2, 2) == [(0, 1), (0.5, 0.5), (1, 0)]
    assert weight_grid(3, 2) == [(0, 0, 1), (0, 0.5, 0.5), (0.5, 0, 0.5), (0, 1, 0), (0.5, 0.5, 0), (1, 0, 0)]


def test_what_is_chosen_depends_on_the_shop(shops):
    """Otherwise the test above could pass without any choice."""
    chosen = {made(VSKNNRecency).fit(shops[levels]).weights["item"] for levels in (1, 3)}
    assert len(chosen) > 1 or next(iter(chosen)) not in {(0.0, 1.0), (1.0, 0.0)}


@pytest.mark.parametrize("limit", [{"SESSIONS_PER_BLOCK": 4}, {"BYTES_PER_BLOCK": 1}])
def test_the_size_of_a_block_changes_nothing(shops, monkeypatch, limit):
    whole = made(VSKNNRecency, "steps=4").fit(shops[3]).weights
    for name, value in limit.items():
        monkeypatch.setattr(blend, name, value)
    assert made(VSKNNRecency, "steps=4").fit(shops[3]).weights == whole


def test_only_so_many_sessions_are_read(shops, monkeypatch):
    read: list[int] = []

    def spied(dataset, sessions, *rest, **named):
        read.extend(sessions.tolist())
        return histories_and_targets(dataset, sessions, *rest, **named)

    monkeypatch.setattr(blend, "histories_and_targets", spied)
    made(VSKNNRecency, "enough_sessions=17").fit(shops[1])
    validation = shops[1].sessions("validation")
    assert len(validation) == 15
    assert sorted(read) == sorted([*validation, 90, 97] * 2)  # at two levels; two of the 15 before validation


@pytest.mark.parametrize(
    ("kind", "expected"), [(VSKNNRecency, (0.25, 0.75)), (STANItemKNNRecency, (0.125, 0.125, 0.75))]
)
def test_with_nothing_to_choose_by_recency_has_three_quarters(kind, expected, shops):
    split = shops[1].manifest.split
    bounds = split.bounds.model_copy(update={"train": (0, 6), "validation": (6, 6)})
    manifest = shops[1].manifest.model_copy(update={"split": split.model_copy(update={"bounds": bounds})})
    model = kind().fit(replace(shops[1], manifest=manifest))
    assert set(model.weights.values()) == {expected}


def test_fixed_weights_leave_validation_unread():
    """The toy log has no validation split at all."""
    model = fixed(VSKNNRecency, 0.3, 0.6).fit(log_of(SESSIONS))
    assert set(model.weights.values()) == {(0.3, 0.6)}
    with pytest.raises(KeyError, match="validation"):
        VSKNNRecency().fit(log_of(SESSIONS))
    with pytest.raises(KeyError, match="validation"):
        made(VSKNNRecency, "weights={item=[0.5, 0.5]}").fit(log_of(SESSIONS))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("weights.item=[0.5, 0.25, 0.25]", r"weights.item is \[0.5, 0.25, 0.25\], expected 2 .* vsknn, recency"),
        ("weights.category=[1.0]", r"weights.category is \[1.0\], expected 2"),
        ("weights.item=[0.0, 0.0]", "not all 0"),
        ("weights.item=[]", "expected 2"),
        ("weights.item=[-0.5, 0.5]", "weights"),
        ("weights.item=[inf, 0.5]", "weights"),
        ("weights.item='recency'", "weights"),
        ("weights.brand=[0.5, 0.5]", "brand"),
        ("weights=0.5", "weights"),
        ("steps=0", "steps"),
        ("recency_power=0.0", "recency_power"),
        ("vsknn.k=5", "k"),
    ],
)
def test_wrong_options_are_told(override, message):
    with pytest.raises(HupError, match=message):
        made(VSKNNRecency, override)


# ---------------------------------------------------------------------- shortlist


shares_of_a_row = st.lists(st.sampled_from([0.0, 0.0, 0.0, 1e-9, 1e-6, 0.3, 0.5, 1.0]), min_size=9, max_size=9)


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.tuples(shares_of_a_row, shares_of_a_row, st.integers(0, 12), st.integers(-1, 12)), min_size=1),
    popularity=st.lists(st.integers(1, 9).map(lambda grade: grade / 9), min_size=9, max_size=9),
    weights=st.sampled_from([(0.0, 1.0), (1.0, 0.0), (0.5, 0.5), (0.2, 0.8)]),
)
def test_the_shortlist_gives_the_ranks_among_all_candidates(rows, popularity, weights):
    first, recency, targets, excluded = zip(*rows, strict=True)
    shares = ComponentShares(
        known=[torch.tensor(first), torch.tensor(recency)],
        popularity=torch.tensor(popularity),
        own=torch.tensor([[0.3, 1.0, 0.0]]).repeat(len(rows), 1),
        own_codes=torch.tensor([[9, 11, -1]]).repeat(len(rows), 1),
    )
    wanted, without = torch.tensor(targets), torch.tensor(excluded)
    for candidates in (None, torch.tensor(first) + torch.tensor(recency) < 0.6):
        expected = target_ranks(shares.blended(weights), wanted, excluded=without, candidates=candidates)
        np.testing.assert_array_equal(Shortlist(shares, wanted, without, candidates).ranks(weights), expected)


def test_the_shortlist_is_short():
    """What no component has an opinion of is counted, not listed."""
    nothing, none = torch.zeros(1, 5), torch.zeros(1, 0)
    some = torch.tensor([[0.0, 0.0, 0.5, 0.0, 0.0]])
    shares = ComponentShares([some, nothing], torch.tensor([0.3, 1.0, 0.6, 0.9, 0.8]), none, none.long())
    listed = Shortlist(shares, torch.tensor([0]), torch.tensor([4]))
    assert listed.codes.tolist() == [[0, 2, 4]]
    assert listed.ranks((0.5, 0.5)).tolist() == [4]


def test_the_shortlist_of_an_empty_vocabulary():
    nothing = torch.zeros(2, 0)
    own = torch.tensor([[1.0, 0.5], [1.0, 0.0]])
    shares = ComponentShares([nothing, nothing], torch.zeros(0), own, torch.tensor([[4, 3], [3, -1]]))
    listed = Shortlist(shares, torch.tensor([3, 3]), torch.tensor([-1, -1]))
    assert listed.codes.tolist() == [[4, 3], [3, -1]]
    assert listed.ranks((0.0, 1.0)).tolist() == [2, 1]


# ---------------------------------------------------------------------- scores


def plain_recency(rows: Sessions, power: float) -> list[dict[int, float]]:
    """Share of every own item by its rank among the distinct items, latest first, the current one aside."""
    found = []
    for row in rows:
        latest = list(dict.fromkeys(reversed(row)))
        found.append({item: max(rank, 1) ** -power for rank, item in enumerate(latest)})
    return found


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=10), min_size=1, max_size=4),
    power=st.sampled_from([0.3, 1.0]),
)
def test_recency_shares(rows, power):
    known, own, own_codes = recency_shares(histories(rows), "item", N_KNOWN, power)
    for b, expected in enumerate(plain_recency(rows, power)):
        found = {code: share for code, share in enumerate(known[b].tolist()) if share}
        found |= {code: s for code, s in zip(own_codes[b].tolist(), own[b].tolist(), strict=True) if code >= 0}
        assert found == pytest.approx(expected)


def test_at_category_levels_the_current_one_has_the_first_rank():
    known, own, own_codes = recency_shares(histories([[2, 9, 0, 2], [5]]), "category_1", 3, 1.0)
    assert known.tolist() == pytest.approx(np.array([[1 / 2, 1, 0], [0, 0, 1]]))
    assert own.tolist() == pytest.approx(np.array([[1 / 3], [0]]))
    assert own_codes.tolist() == [[3], [-1]]


@pytest.mark.parametrize(
    ("kind", "parts", "weights"),
    [
        (SLISTRecency, {"slist": SLIST}, (0.4, 0.6)),
        (VSKNNRecency, {"vsknn": VSKNN}, (0.3, 0.7)),
        (STANItemKNNRecency, {"stan": STAN, "item_knn": ItemKNN}, (0.5, 0.2, 0.3)),
    ],
)
def test_scores_are_the_weighted_sum_of_shares(kind, parts, weights):
    log, rows = log_of([[1, 3, 1], [2, 0], [4, 5, 0], [0, 1, 4]]), [[3, 0, 8, 1], [9], [4, 1, 4]]
    model = fixed(kind, *weights).fit(log)
    scores = model.score(histories(rows), "item")
    fitted = [cls(getattr(model.config, name)).fit(log) for name, cls in parts.items()]
    recency = plain_recency(rows, model.config.recency_power)
    for b, row in enumerate(rows):
        expected = np.zeros(10)
        for part, weight in zip(fitted, weights[:-1], strict=True):
            evidence = np.append(part.evidence(histories([row]), "item")[0].numpy(), np.zeros(3))
            evidence[row[-1]] = 0
            expected += weight * evidence / (evidence.max() or 1)
        for item, share in recency[b].items():
            expected[item] += weights[-1] * share
        np.testing.assert_allclose(scores.known[b].numpy(), expected[:N_KNOWN], atol=2e-6)
        own = {
            code: s for code, s in zip(scores.own_codes[b].tolist(), scores.own[b].tolist(), strict=True) if code >= 0
        }
        assert own == pytest.approx({item: expected[item] for item in set(row) if item >= N_KNOWN})


def test_items_that_training_never_saw_are_recommended():
    scores = fixed(VSKNNRecency, 0.2, 0.8).fit(log_of(SESSIONS)).score(histories([[9, 1, 8, 3, 0]]), "item")
    assert scores.own_codes.tolist() == [[8, 9]]
    assert float(scores.own[0, 0]) > float(scores.known[0, 2])
    assert float(scores.own[0, 0]) > float(scores.own[0, 1]) > float(scores.known[0, 6])


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_weight_of_recency_alone_it_is_the_recency_row(kind, shop):
    n = len(made(kind).components())
    found = evaluate(fixed(kind, *[0.0] * n, 1.0).fit(shop), shop, rows=("recency",)).ranks
    for level, ranks in found[Recency.kind].items():
        np.testing.assert_array_equal(found[kind.kind][level], ranks)


# ---------------------------------------------------------------------- folders


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_scores_the_same(kind, shops, tmp_path: Path):
    model = made(kind, "steps=3").fit(shops[3])
    model.save_pretrained(tmp_path / "model")
    opened = load(tmp_path / "model")
    assert isinstance(opened, kind)
    assert opened.config == model.config
    assert opened.weights == model.weights
    assert opened.metrics == model.metrics
    given_histories = histories_and_targets(shops[3], np.asarray(shops[3].sessions("test")))[0]
    for level in model.levels:
        before, after = (m.score(given_histories, level) for m in (model, opened))
        assert torch.equal(before.known, after.known)
        assert torch.equal(before.own, after.own)
    prefixes = {name.partition(".")[0] for name in model.tensors()}
    assert prefixes == {"weights", *model.components()}


def test_fixed_weights_are_saved_with_the_configuration(tmp_path: Path):
    model = fixed(STANItemKNNRecency, 0.1, 0.2, 0.7).fit(log_of(SESSIONS))
    model.save_pretrained(tmp_path / "model")
    assert load(tmp_path / "model").config == model.config


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"weights.item": torch.tensor([0.5, 0.2, 0.3])}, "weights.item are 3, expected 2"),
        ({"weights.item": None}, "weights.item"),
        ({"vsknn.item.codes": None}, r"item\.codes"),
    ],
)
def test_tensors_of_another_model_are_told(damage, message, tmp_path: Path):
    fixed(VSKNNRecency, 0.5, 0.5).fit(log_of(SESSIONS)).save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    tensors = {**load_file(path), **damage}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)
    with pytest.raises(HupError, match=message):
        load(tmp_path / "model")


@pytest.mark.parametrize("kind", KINDS)
def test_an_unfitted_model_and_an_unknown_level_are_told(kind):
    with pytest.raises(HupError, match="not fitted"):
        kind().score(histories([[1]]), "item")
    model = fixed(kind, *[1.0] * (len(kind().components()) + 1)).fit(log_of(SESSIONS))
    with pytest.raises(HupError, match="no level 'brand'"):
        model.score(histories([[1]]), "brand")
