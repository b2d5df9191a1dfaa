"""HUP as its users see it: recommendations, profiles, folders, and what it says when something is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from hup.config import Config
from hup.data.dataset import Dataset
from hup.data.taxonomy import NO_CATEGORY, extended_path
from hup.errors import HupError
from hup.models.hup.model import HUP
from hup.recommender.kinds import load
from hup.recommender.model_folder import FORMAT_VERSION
from hup.recommender.recommendations import Recommendations
from hup.sessions.batches import histories_and_targets
from hup.sessions.events import Event


@pytest.fixture(scope="module")
def model(dataset, tiny) -> HUP:
    return HUP(tiny).fit(dataset)


@pytest.fixture(scope="module")
def folder(shops, tiny, tmp_path_factory) -> Path:
    """A model's folder, with weights that nobody trained."""
    folder = tmp_path_factory.mktemp("folder") / "model"
    HUP(tiny).initialise(shops[3]).save_pretrained(folder)
    return folder


def history(dataset: Dataset, session: int) -> list[Event]:
    """Events of a test session before its target, as an application has them."""
    given, _ = histories_and_targets(dataset, np.array([session]))
    start, names = int(dataset.offsets[session]), dataset.item_names
    events = []
    for at in range(start, start + given.item.numel()):
        path = dataset.taxonomy.paths[dataset.item[at]]
        events.append(
            Event(
                item=names[dataset.item[at]],
                behavior=dataset.behaviors[dataset.behavior[at]].code,
                categories=tuple(dataset.taxonomy.names[k][code] for k, code in enumerate(path)),
                interval=float(dataset.interval[at]),
                dwell=float(dataset.dwell[at]),
            )
        )
    return events


def some_sessions(dataset: Dataset) -> list[int]:
    """Test sessions, among them one on an unknown item and one that has left one."""
    sessions = list(dataset.sessions("test"))
    current, left = [], []
    for session in sessions:
        items = histories_and_targets(dataset, np.array([session]))[0].item
        unknown = (items >= dataset.n_train_items).tolist()
        (current if unknown[-1] else left if any(unknown) else []).append(session)
    assert current
    assert left
    return [*sessions[:3], current[0], left[0]]


def names_of(answer: Recommendations) -> list[str]:
    return [found.name for found in answer.ranked]


# ---------------------------------------------------------------------- recommend


def test_recommendations_are_the_best_scores(model, dataset):
    """All candidates of an evaluation, in its order: the vocabulary and the session's own, without the current item."""
    items = dataset.item_names
    for session in some_sessions(dataset):
        given, _ = histories_and_targets(dataset, np.array([session]))
        events = history(dataset, session)
        for level in model.levels:
            scores = model.score(given, level)
            names = items if level == "item" else dataset.taxonomy.names[int(level[9:]) - 1]
            codes = [*range(scores.known.shape[1]), *scores.own_codes[0].tolist()]
            expected = dict(zip(codes, [*scores.known[0].tolist(), *scores.own[0].tolist()], strict=True))
            if level == "item":
                expected.pop(int(given.current("item")))
            answer = model.recommend(events, level, k=len(items) + 99)
            assert (answer.level, answer.basis) == (level, "profile")
            assert sorted(names_of(answer)) == sorted(names[code] for code in expected)
            found = [recommendation.score for recommendation in answer.ranked]
            np.testing.assert_allclose(found, sorted(expected.values(), reverse=True), atol=1e-5)
            if level == "item":  # item names are unique
                wanted = {items[code]: score for code, score in expected.items()}
                np.testing.assert_allclose(found, [wanted[name] for name in names_of(answer)], atol=1e-5)
            assert model.recommend(events, level, k=4).ranked == answer.ranked[:4]


def test_scores_are_cosines_with_the_target_vectors(model, dataset):
    """An unknown item has the mean vector of the known items of its category."""
    cosine = torch.nn.functional.cosine_similarity
    session = some_sessions(dataset)[-1]
    given, _ = histories_and_targets(dataset, np.array([session]))
    profile = {level: torch.from_numpy(v) for level, v in model.profile(history(dataset, session)).items()}
    for level in model.levels:
        vectors = model.network.target_table(level).weight.detach()
        known = model.score(given, level).known[0]
        torch.testing.assert_close(known, cosine(profile[level][None], vectors), atol=1e-5, rtol=1e-5)
    scores, vectors = model.score(given, "item"), model.item_vectors()
    known_paths, n_known = dataset.taxonomy.paths[: dataset.n_train_items], dataset.n_train_categories[-1]
    checked = 0
    for code, score in zip(scores.own_codes[0].tolist(), scores.own[0].tolist(), strict=True):
        finest = dataset.taxonomy.paths[code, -1]
        if finest < n_known:
            mean = vectors[torch.from_numpy(known_paths[:, -1] == finest)].mean(0)
            assert score == pytest.approx(float(cosine(profile["item"], mean, dim=0)), abs=1e-5)
            checked += 1
    assert checked


def test_the_current_item_is_never_recommended(model, dataset):
    for session in some_sessions(dataset):
        events = history(dataset, session)
        answer = model.recommend(events, k=dataset.n_items)
        assert events[-1].item not in names_of(answer)
        assert {event.item for event in events[:-1]} - {events[-1].item} <= set(names_of(answer))


def test_the_current_category_is_recommended(model, dataset):
    events = history(dataset, some_sessions(dataset)[0])
    for k in range(1, dataset.levels + 1):
        paths = [found.path for found in model.recommend(events, f"category_{k}", k=999).ranked]
        assert events[-1].categories[:k] in paths
        assert len(set(paths)) == len(paths)


def test_what_the_session_has_is_marked_and_paths_are_names(model, dataset):
    items = dataset.item_names
    for session in some_sessions(dataset):
        events = history(dataset, session)
        own = {event.item for event in events}
        for found in model.recommend(events, k=999).ranked:
            assert found.seen == (found.name in own)
            path = dataset.taxonomy.paths[items.index(found.name)]
            assert found.path == tuple(dataset.taxonomy.names[k][code] for k, code in enumerate(path))
        for k in range(1, dataset.levels + 1):
            own_paths = {event.categories[:k] for event in events}
            for found in model.recommend(events, f"category_{k}", k=999).ranked:
                assert found.seen == (found.path in own_paths)
                assert found.name == found.path[-1]
                assert len(found.path) == k


def test_reasons_share_out_the_attention(model, dataset):
    events = history(dataset, some_sessions(dataset)[-1])
    for level in model.levels:
        reasons = model.recommend(events, level).reasons
        weights = [reason.weight for reason in reasons]
        assert sum(weights) == pytest.approx(1, abs=1e-5)
        assert weights == sorted(weights, reverse=True)
        if level == "item":
            own = {(event.item, event.categories) for event in events}
        else:
            own = {(path[-1], path) for path in (event.categories[: int(level[9:])] for event in events)}
        assert {(reason.name, reason.path) for reason in reasons} == own
        assert len(reasons) == len(own)


def test_reasons_keep_categories_of_the_same_name_apart(folder):
    paths = [("shoes", "red", "x"), ("hats", "red", "y"), ("hats", "red", "z"), ("hats",)]
    events = [Event(f"new {n}", "1", categories=path) for n, path in enumerate(paths)]
    reasons = load(folder).recommend(events, "category_2").reasons
    assert {(reason.name, reason.path) for reason in reasons} == {
        ("red", ("shoes", "red")),
        ("red", ("hats", "red")),
        ("hats", ("hats", "hats")),
    }
    assert sum(reason.weight for reason in reasons) == pytest.approx(1, abs=1e-5)


def test_answers_are_plain_data(model, dataset):
    answer = model.recommend(history(dataset, some_sessions(dataset)[-1]), k=3)
    plain = json.loads(json.dumps(answer.to_dict()))
    assert [row["name"] for row in plain["ranked"]] == names_of(answer)
    assert plain["ranked"][0].keys() == {"name", "score", "path", "seen", "origin"}
    assert plain["reasons"][0].keys() == {"name", "weight", "path"}
    assert (plain["level"], plain["basis"]) == ("item", "profile")


def test_an_empty_session_gets_what_is_popular(model, dataset):
    for level in model.levels:
        counts = model.vocabulary.counts[level]
        answer = model.recommend([], level, k=10_000)
        assert (answer.basis, answer.reasons) == ("popularity", ())
        assert len(answer.ranked) == len(counts) == model.vocabulary.size(level)
        shares = [found.score for found in answer.ranked]
        np.testing.assert_allclose(shares, sorted(counts / counts.sum(), reverse=True))
        assert not any(found.seen for found in answer.ranked)
        best = answer.ranked[0]
        names = model.vocabulary.items if level == "item" else model.vocabulary.categories[int(level[9:]) - 1]
        assert best.name == names[int(np.argmax(counts))]
        assert model.recommend([], level, k=2).ranked == answer.ranked[:2]


def test_no_category_is_never_recommended(bare_shops, tiny):
    for dataset in bare_shops.values():
        model = HUP(tiny).initialise(dataset)
        bare = next(
            i for i in range(dataset.n_train_items) if dataset.taxonomy.paths[i, 0] == dataset.taxonomy.no_category[0]
        )
        known = {"item": dataset.item_names[bare], "behavior": "1"}
        sessions = (
            [],
            [known],
            [{"item": "new", "behavior": "1"}],
            [{**known, "item": "x", "categories": [NO_CATEGORY]}, known],
        )
        for session in sessions:
            for level in model.levels[1:]:
                answer = model.recommend(session, level, k=10_000)
                assert all(NO_CATEGORY not in found.path for found in answer.ranked), (session, level)
                k = int(level[9:])
                assert len(answer.ranked) == dataset.n_train_categories[k - 1] - 1
                if not session and answer.ranked:
                    assert sum(found.score for found in answer.ranked) == pytest.approx(1)
            items = names_of(model.recommend(session, k=10_000))
            assert len(items) >= dataset.n_train_items - 1
        # As input it is a category like others.
        assert model.recommend([known], "category_1").reasons[0].name == NO_CATEGORY


def test_no_category_that_training_never_saw_is_not_recommended(model):
    answer = model.recommend([{"item": "new", "behavior": "1"}], "category_1", k=10_000)
    assert len(answer.ranked) == model.vocabulary.size("category_1")
    assert not any(found.seen for found in answer.ranked)


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
def test_a_live_path_of_any_length_is_completed_as_in_a_log(model, dataset, depth):
    """A session with a short path is one with the path that `hup prepare` would make of it."""
    whole = (*dataset.taxonomy.path_names(dataset.levels, int(dataset.taxonomy.paths[0, -1])), *"ab")
    given, completed = whole[:depth], extended_path(whole[:depth], dataset.levels)
    known = {"item": dataset.item_names[1], "behavior": "2"}
    answers = []
    for path in (given, completed):
        session = [
            {"item": "new", "behavior": "1", "categories": list(path)},
            known,
            {"item": "newer", "behavior": "1"},
        ]
        state = model.state(session)
        assert state.items["new"].names == completed
        assert min(state.items["new"].path) >= 0
        answers.append([model.recommend(state, level, k=10_000).to_dict() for level in model.levels])
    assert answers[0] == answers[1]


def test_an_item_of_the_vocabulary_keeps_its_path(model, dataset):
    item = dataset.item_names[0]
    state = model.state([{"item": item, "behavior": "1", "categories": ["something else"]}])
    assert state.items[item].names == dataset.taxonomy.path_names(dataset.levels, int(dataset.taxonomy.paths[0, -1]))


def test_a_folder_says_which_sessions_it_learned_from(shops, folder):
    assert HUP.from_pretrained(folder).dataset_bounds == shops[3].manifest.split.bounds


def test_a_session_that_nobody_knows_anything_about(model):
    answer = model.recommend([{"item": "new", "behavior": "Stare", "category_1": "unheard of"}], k=5)
    assert answer.basis == "profile"
    assert len(answer.ranked) == 5
    assert [reason.name for reason in answer.reasons] == ["new"]
    top = model.recommend([{"item": "new", "behavior": "1", "category_1": "unheard of"}], "category_1", k=999)
    assert {found.path for found in top.ranked if found.seen} == {("unheard of",)}
    assert len(top.ranked) == model.vocabulary.size("category_1") + 1


@pytest.mark.parametrize("k", [0, -3])
@pytest.mark.parametrize("session", [[], [{"item": "a", "behavior": "1"}]], ids=["empty", "one event"])
def test_k_below_one_is_told(model, session, k):
    with pytest.raises(HupError, match=f"k is {k}, expected a whole number, 1 or more"):
        model.recommend(session, k=k)


@pytest.mark.parametrize("level", ["category_4", "category_0", "micro", "items", ""])
def test_a_level_that_is_not_there_is_told_with_those_that_are(model, level):
    for session in ([], [{"item": "a", "behavior": "1"}]):
        with pytest.raises(HupError, match=rf"no level '{level}'; its levels are: item, .*category_1\.$"):
            model.recommend(session, level)


def test_the_wrong_event_of_a_session_is_named(model):
    good = {"item": "a", "behavior": "1", "timestamp": 5}
    with pytest.raises(HupError, match=r"^event 2: key 'item' is missing"):
        model.recommend([good, {"behavior": "1"}])
    with pytest.raises(HupError, match=r"^session: event 3 is older"):
        model.recommend([good, good, {**good, "timestamp": 4}])


# ---------------------------------------------------------------------- profiles and states


def test_a_profile_of_every_level(model, dataset):
    profile = model.profile(history(dataset, some_sessions(dataset)[0]))
    sizes = {"micro": 30, "item": 30} | {f"category_{k}": 8 for k in range(dataset.levels, 0, -1)}
    assert {level: len(vector) for level, vector in profile.items()} == sizes
    assert list(profile) == ["micro", *model.levels]
    assert all(isinstance(vector, np.ndarray) and vector.dtype == np.float32 for vector in profile.values())
    assert all(np.isfinite(vector).all() and vector.any() for vector in profile.values())


def test_a_state_is_as_good_as_its_events(model, dataset):
    events = history(dataset, some_sessions(dataset)[-1])
    state = None
    for event in events:
        state = model.update(state, event)
    as_mappings = [{"item": e.item, "behavior": e.behavior, "categories": e.categories} for e in events]
    times = [{"interval": e.interval, "dwell": e.dwell} for e in events]
    session = [a | b for a, b in zip(as_mappings, times, strict=True)]
    for level, vector in model.profile(state).items():
        np.testing.assert_array_equal(vector, model.profile(session)[level])
    assert model.recommend(state, k=5) == model.recommend(session, k=5) == model.recommend(events, k=5)
    assert model.state(state) is state


@pytest.mark.parametrize("now", [float("nan"), float("inf"), 1e300, 1.7e12])
def test_a_moment_must_be_seconds(model, now):
    session = [{"item": "a", "behavior": "1", "timestamp": 5}]
    for ask in (model.profile, model.recommend):
        with pytest.raises(HupError, match=r"^now is .*, expected "):
            ask(session, now=now)


def test_an_event_older_than_the_last_is_refused(model):
    state = model.update(None, {"item": "a", "behavior": "1", "timestamp": 5})
    with pytest.raises(HupError, match="older than one before it"):
        model.update(state, {"item": "b", "behavior": "1", "timestamp": 4})
    with pytest.raises(HupError, match="key 'behavior' is missing"):
        model.update(state, {"item": "b"})


def test_an_empty_session_has_no_profile(model):
    with pytest.raises(HupError, match="empty session has no profile"):
        model.profile([])


# ---------------------------------------------------------------------- beginnings


def test_a_model_that_is_not_fitted_says_so():
    model = HUP()
    assert model.config == Config.preset("best")
    event = {"item": "a", "behavior": "1"}
    for use in (
        lambda: model.recommend([]),
        lambda: model.profile([event]),
        lambda: model.update(None, event),
        lambda: model.save_pretrained("nowhere"),
        lambda: model.levels,
        lambda: model.item_vectors(),
    ):
        with pytest.raises(HupError, match="not fitted"):
            use()
    assert not Path("nowhere").exists()


def test_an_unknown_preset_is_told():
    with pytest.raises(HupError, match="no preset 'best of all'"):
        HUP("best of all")


def test_the_seed_gives_the_weights(shops):
    def weights(seed: int) -> dict[str, torch.Tensor]:
        config = Config.preset("paper", ["network.hidden=4", "embeddings.skipgram_epochs=1", f"training.seed={seed}"])
        return HUP(config).initialise(shops[3]).network.state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if name.endswith("weight")]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


@pytest.mark.parametrize("inputs", ["skipgram", "random", "targets", "item_targets"])
@pytest.mark.parametrize("targets", ["skipgram", "trainable"])
def test_where_vectors_come_from(shops, inputs, targets):
    config = Config.preset(
        "paper",
        [
            "network.hidden=4",
            "embeddings.skipgram_epochs=1",
            f"embeddings.inputs={inputs}",
            f"embeddings.targets={targets}",
        ],
    )
    model = HUP(config)
    network = model.initialise(shops[3], model.first_vectors(shops[3])).network
    for level in ("item", "category_3", "category_1"):
        read, aimed_at = network.input_tables(level)[0], network.target_table(level)
        one = inputs == "targets" or (inputs == "item_targets" and level == "item")
        assert aimed_at.weight.requires_grad == (targets == "trainable")
        assert (read is aimed_at) == one
        begun = inputs in ("skipgram", "item_targets")
        assert torch.equal(read.weight, aimed_at.weight) == (one or (begun and targets == "skipgram"))
        if not one:
            assert read.weight.requires_grad


def test_vectors_of_items(model, dataset):
    vectors = model.item_vectors()
    assert vectors.shape == (dataset.n_train_items, 30)
    assert not vectors.requires_grad


# ---------------------------------------------------------------------- folders


@pytest.mark.parametrize("preset", ["paper", "authors"])
def test_a_folder_holds_the_whole_model(shops, preset, tmp_path):
    dataset = shops[3]
    model = HUP(
        Config.preset(preset, ["network.hidden=4", "embeddings.skipgram_epochs=1", "training.seed=3"])
    ).initialise(dataset)
    model.metrics = {"best_epoch": 2}
    model.save_pretrained(tmp_path / "new" / "model")
    opened = load(tmp_path / "new" / "model")
    assert opened.config == model.config
    assert opened.metrics == model.metrics
    assert opened.buckets == model.buckets
    assert opened.dataset_fingerprint == dataset.fingerprint
    assert not opened.network.training
    before, after = model.network.state_dict(), opened.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (opened.network.input_tables("item")[0] is opened.network.target_table("item")) == (preset == "authors")
    for session in dataset.sessions("test")[:3]:
        events = history(dataset, session)
        for level in model.levels:
            assert opened.recommend(events, level) == model.recommend(events, level)
            assert opened.recommend([], level) == model.recommend([], level)


def test_the_files_of_a_folder(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "categories.parquet",
        "config.json",
        "items.parquet",
        "metrics.json",
        "model.safetensors",
    ]


def test_saving_again_replaces(shops, tiny, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    other = HUP(tiny).initialise(shops[1])
    other.save_pretrained(copy)
    assert load(copy).levels == ("item", "category_1")


def test_a_file_that_cannot_be_written_is_told(folder, tmp_path):
    (tmp_path / "model" / "model.safetensors").mkdir(parents=True)
    with pytest.raises(HupError, match=r"Cannot write .*model\.safetensors"):
        load(folder).save_pretrained(tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["model.safetensors"]


def edit_config(folder: Path, **changes: object) -> None:
    """Change keys of the configuration; None takes one away."""
    content = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def edit_items(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    items = change(pq.read_table(folder / "items.parquet"))
    pq.write_table(items, folder / "items.parquet")


def edit_weights(folder: Path, **changes: object) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path) | changes
    save_file({name: tensor for name, tensor in weights.items() if tensor is not None}, path)


def wide(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["config"]
    config["network"]["hidden"] = 9
    edit_config(folder, config=config)


def key_too_many(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["config"]
    config["network"]["width"] = 9
    edit_config(folder, config=config)


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


DAMAGE = {
    "no folder": (shutil.rmtree, r"model is not a model folder: it has no config.json\. Make one with `hup train"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "is not a model folder: it has no config.json"),
    "unfinished": (
        lambda folder: ((folder / "config.json").unlink(), (folder / "checkpoints").mkdir()),
        "has not finished; go on with `hup train DATASET --out .* --resume`",
    ),
    "config no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json does not read as JSON"),
    "config a list": (
        lambda folder: (folder / "config.json").write_text("[]"),
        "config.json does not hold a JSON object",
    ),
    "another format": (
        lambda folder: edit_config(folder, format_version=99),
        f"format_version 99; this version .* reads {FORMAT_VERSION}",
    ),
    "another model": (lambda folder: edit_config(folder, model="pop"), "is of a model 'pop', expected 'hup'"),
    "no buckets": (
        lambda folder: edit_config(folder, buckets=None),
        "config.json does not read as a model's .*'buckets'",
    ),
    "odd behaviors": (lambda folder: edit_config(folder, behaviors=[1]), "config.json does not read as a model's"),
    "key too many": (key_too_many, "config.json does not read as a model's .*no configuration key network.width"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors does not fit"),
    "cut weights": (cut_weights, "model.safetensors does not fit"),
    "other sizes": (wide, "model.safetensors does not fit the model's configuration: tensor .* expected"),
    "tensor missing": (
        lambda folder: edit_weights(folder, **{"inputs.micro.items.weight": None}),
        "model.safetensors does not fit .*tensor inputs.micro.items.weight",
    ),
    "tensor too many": (lambda folder: edit_weights(folder, more=torch.zeros(1)), "does not fit .*tensor more"),
    "numbers that are none": (
        lambda folder: edit_weights(folder, **{"inputs.micro.items.weight": torch.full((1,), torch.nan)}),
        "model.safetensors does not fit .*tensor inputs.micro.items.weight has numbers that are not finite",
    ),
    "items of another order": (
        lambda folder: edit_items(folder, lambda items: items.take(np.arange(len(items))[::-1])),
        "items.parquet is not the file that was saved with .*config.json. Copy the whole folder again",
    ),
    "one item many times": (
        lambda folder: edit_items(folder, lambda items: items.take(np.zeros(len(items), dtype=np.int64))),
        "items.parquet is not the file",
    ),
    "categories of another model": (
        lambda folder: pq.write_table(
            pq.read_table(folder / "categories.parquet").replace_schema_metadata({"by": "another"}),
            folder / "categories.parquet",
        ),
        "categories.parquet is not the file",
    ),
    "no digests": (lambda folder: edit_config(folder, digests=None), "config.json does not read .*'digests'"),
    "no items": (lambda folder: (folder / "items.parquet").unlink(), "items.parquet is missing"),
    "metrics no JSON": (lambda folder: (folder / "metrics.json").write_text("{"), "metrics.json does not read as JSON"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_folder_that_is_not_whole_is_told(folder, tmp_path, damage, message):
    copy = shutil.copytree(folder, tmp_path / "model")
    damage(copy)
    with pytest.raises(HupError, match=f"(?s){message}"):
        HUP.from_pretrained(copy)


def test_metrics_are_not_needed(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / "metrics.json").unlink()
    assert HUP.from_pretrained(copy).metrics == {}


def test_none_is_a_user_who_has_done_nothing_yet(model):
    assert model.recommend(None, k=3).basis == "popularity"
    with pytest.raises(HupError, match="empty session"):
        model.profile(None)


def test_a_state_knows_its_model(shops, tiny, folder):
    model, same = load(folder), load(folder)
    other = HUP(tiny.changed(["training.seed=7"])).initialise(shops[3])
    event = {"item": "1", "behavior": "1", "timestamp": 5.0}
    state = model.update(None, event)
    assert same.recommend(state) == model.recommend(state), "the same weights are the same model"
    for asked in (lambda: other.recommend(state), lambda: other.profile(state), lambda: other.update(state, event)):
        with pytest.raises(HupError, match="of another model"):
            asked()


def test_states_are_equal_where_their_events_are(folder):
    model = load(folder)
    events = [{"item": name, "behavior": "1", "timestamp": time} for name, time in (("1", 0), ("2", 5), ("1", 9))]
    state = model.state(events)
    assert state == state
    assert state == model.state(events)
    assert state != model.state(events[:2])
    assert state != model.state([*events[:2], {**events[2], "timestamp": 8}])
    assert state != events


def test_no_event_is_older_than_any_before_it(folder):
    """One without a time stands between; what update takes, state takes."""
    model = load(folder)
    events = [{"item": "1", "behavior": "1"} | time for time in ({"timestamp": 100}, {}, {"timestamp": 50})]
    state = model.update(model.update(None, events[0]), events[1])
    with pytest.raises(HupError, match="older than one before it"):
        model.update(state, events[2])
    with pytest.raises(HupError, match="older than the one before it"):
        model.state(events)
    assert model.update(state, {**events[2], "timestamp": 100}).latest == 100


def test_what_is_no_state_is_told(folder):
    with pytest.raises(HupError, match="expected what update"):
        load(folder).update({}, {"item": "1", "behavior": "1"})
