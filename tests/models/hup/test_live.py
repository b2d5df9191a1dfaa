"""Folding events one by one gives the same profiles as the batch forward pass, at every prefix."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch

import hup
from hup.models.hup.ablations import ABLATIONS, INGREDIENTS
from hup.models.hup.model import HUP
from hup.recommender.vocabulary import SessionReader
from hup.sessions.batches import Histories, open_item_run
from hup.sessions.events import Event
from hup.sessions.levels import pyramid_steps, ragged_arange

from ...helpers.live_sessions import live_events

TOLERANCE = 1e-5
CHUNK = 250  # sessions a batch: the prefixes of more at once would fill the memory


def random_weights(dataset: hup.Dataset, preset: str = "paper", overrides: tuple[str, ...] = ()) -> HUP:
    """Make a model whose weights are large enough for every gate and every step to matter."""
    model = HUP(hup.Config.preset(preset, overrides)).initialise(dataset)
    torch.manual_seed(1)
    for parameter in model.network.parameters():
        torch.nn.init.normal_(parameter.data, std=0.3)
    return model


def whole_sessions(dataset: hup.Dataset, sessions: np.ndarray) -> Histories:
    """Sessions to their last event, with all their times."""
    start = dataset.offsets[sessions]
    length = dataset.offsets[sessions + 1] - start
    at = ragged_arange(start, length)
    item = dataset.item[at].astype(np.int64)
    return Histories(
        offsets=torch.from_numpy(np.concatenate([[0], np.cumsum(length)])),
        item=torch.from_numpy(item),
        categories=torch.from_numpy(dataset.taxonomy.paths[item].astype(np.int64)),
        behavior=torch.from_numpy(dataset.behavior[at].astype(np.int64)),
        interval=torch.from_numpy(dataset.interval[at]),
        dwell=torch.from_numpy(dataset.dwell[at]),
    )


def every_prefix(histories: Histories, order: np.ndarray) -> Histories:
    """Every prefix of every history as a history of its own, its open times hidden; ``order`` shuffles the prefixes."""
    session = histories.session().numpy()
    start = histories.offsets.numpy()[:-1][session][order]
    length = order - start + 1
    at = ragged_arange(start, length)
    ends = np.cumsum(length)
    item = histories.item.numpy()[at]
    interval, dwell = histories.interval.numpy()[at], histories.dwell.numpy()[at]
    interval[ends - 1] = np.nan
    dwell[open_item_run(item, ends)] = np.nan
    return Histories(
        offsets=torch.from_numpy(np.concatenate([[0], ends])),
        item=torch.from_numpy(item),
        categories=histories.categories[at],
        behavior=histories.behavior[at],
        interval=torch.from_numpy(interval),
        dwell=torch.from_numpy(dwell),
    )


def batch_profiles(model: HUP, histories: Histories, seed: int) -> dict[str, np.ndarray]:
    """Profiles of every prefix by the batch pass, in company and order that the seed decides."""
    order = np.random.default_rng(seed).permutation(histories.item.numel())
    out: dict[str, np.ndarray] = {}
    for part in np.array_split(order, max(1, len(order) // 4000)):
        prefixes = every_prefix(histories, part)
        with torch.inference_mode():
            profiles = model.pyramid(prefixes, pyramid_steps(prefixes, model.buckets))
        for name, profile in profiles.items():
            out.setdefault(name, np.zeros((len(order), profile.vector.shape[1]), np.float32))[part] = profile.vector
    return out


def assert_live_equals_batch(model: HUP, dataset: hup.Dataset, sessions: np.ndarray) -> int:
    """Compare profiles after every event of every session; the number of comparisons."""
    compared = 0
    for chunk in np.array_split(sessions, max(1, len(sessions) // CHUNK)):
        expected = batch_profiles(model, whole_sessions(dataset, chunk), seed=int(chunk[0]))
        place = 0
        for session in chunk:
            state = None
            for event in live_events(dataset, int(session)):
                state = model.update(state, event)
                for name, vector in model.profile(state).items():
                    worst = np.abs(vector - expected[name][place]).max()
                    assert worst <= TOLERANCE, f"{dataset.session_name(int(session))}, level {name}: {worst}"
                    compared += 1
                place += 1
    return compared


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> hup.Dataset:
    from hup.simulator import SimulatorConfig

    folder = tmp_path_factory.mktemp("live")
    config = SimulatorConfig(sessions=120, items=150, levels=3, seed=4, mean_events=14)
    hup.simulate(config, folder / "log.txt", format="jd")
    # Items without a category, and ones whose path stops early, as event tables have them.
    tokens = [[token.split("+") for token in line.split()] for line in (folder / "log.txt").read_text().splitlines()]
    for token in (token for line in tokens for token in line):
        kind = crc32(token[0].encode()) % 5
        if kind < 2:
            top = token[2].split("/")[0]
            token[2] = "(none)/(none)/(none)" if kind else f"{top}/{top}/{top}"
    (folder / "log.txt").write_text("\n".join(" ".join("+".join(token) for token in line) for line in tokens) + "\n")
    # A log is never clean: rejected tokens join visits of different dwell into one run, and behaviors go missing.
    clean = (folder / "log.txt").read_text().split("+")
    fields = [("99" if place % 4 == 1 and place % 35 == 0 else field) for place, field in enumerate(clean)]
    (folder / "log.txt").write_text("+".join(fields))
    dataset = hup.prepare([folder / "log.txt"], format="jd", out=folder / "dataset")
    assert dataset.manifest.rejects.rows > 20
    run = np.diff(dataset.item) == 0
    assert (np.diff(dataset.dwell)[run] != 0).any(), "no run has two dwells"
    return dataset


#: Every how manieth session is looked at; of all of them it takes a minute.
STRIDES = pytest.mark.parametrize("stride", [12, pytest.param(1, marks=pytest.mark.slow)])


@STRIDES
@pytest.mark.parametrize("preset", ["paper", "authors"])
def test_three_levels_with_unknown_items(simulated, preset, stride):
    model = random_weights(simulated, preset)
    sessions = np.arange(len(simulated))[stride // 4 :: stride]
    items = [simulated.item[simulated.offsets[session] : simulated.offsets[session + 1]] for session in sessions]
    assert (np.concatenate(items) >= simulated.n_train_items).any(), "no item that training never saw"
    events = sum(map(len, items))
    assert assert_live_equals_batch(model, simulated, sessions) == events * 5


@STRIDES
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_every_ablation(simulated, ablation, stride):
    model = random_weights(simulated, "paper", ABLATIONS[ablation])
    assert model.output.live.pyramid.kernel is None, "vectors are no sums"
    sessions = np.arange(len(simulated))[:: -2 * stride]
    events = int(np.diff(simulated.offsets)[sessions].sum())
    assert assert_live_equals_batch(model, simulated, sessions) == events * len(model.pyramid.level_names)


@STRIDES
@pytest.mark.parametrize(
    "changes",
    [
        (),
        ("network.hard_gates=true",),
        ("network.attention=true",),
        INGREDIENTS["no-micro"],
        INGREDIENTS["no-category-levels"],
        *(ABLATIONS[name] for name in ("lstm", "tlstm")),
    ],
)
def test_best_by_kernel_and_without(simulated, changes, stride, twin):
    model = random_weights(simulated, "best", (*changes, "network.hidden=21", "embeddings.item=30"))
    assert (model.output.live.pyramid.kernel is None) == (twin == "numpy")
    sessions = np.arange(len(simulated))[3 :: -4 * stride]
    events = int(np.diff(simulated.offsets)[sessions].sum())
    assert assert_live_equals_batch(model, simulated, sessions) == events * len(model.pyramid.level_names)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("name", ["appliances", "computers"])
def test_every_prefix_of_every_session_of_the_jd_samples(shared_data: Path, tmp_path: Path, name: str, part: int):
    dataset = hup.prepare([shared_data / "jd" / f"{name}.txt"], format="jd", out=tmp_path / "dataset")
    sessions = np.arange(len(dataset))[part::4]
    events = int((np.diff(dataset.offsets)[sessions]).sum())
    assert assert_live_equals_batch(random_weights(dataset), dataset, sessions) == events * 3


def test_one_pass_over_all_prefixes_equals_the_batch_of_prefixes(simulated):
    model = random_weights(simulated)
    histories = whole_sessions(simulated, np.arange(30))
    last = histories.offsets[1:] - 1
    histories.interval[last] = torch.nan
    histories.dwell[torch.from_numpy(open_item_run(histories.item.numpy(), histories.offsets[1:].numpy()))] = torch.nan
    expected = batch_profiles(model, histories, seed=0)
    with torch.inference_mode():
        steps = pyramid_steps(histories, model.buckets, torch.arange(histories.item.numel()))
        profiles = model.pyramid(histories, steps)
    for name, profile in profiles.items():
        np.testing.assert_allclose(profile.vector.numpy(), expected[name], atol=TOLERANCE)


def test_the_clock_counts_at_query_time(simulated):
    model = random_weights(simulated)
    log = live_events(simulated, 3)
    # Timestamps alone: intervals and dwells follow from them.
    events = [Event(e.item, e.behavior, e.timestamp, e.categories) for e in log]
    reader = SessionReader(model.vocabulary)
    state = None
    for number, event in enumerate(events, 1):
        state = model.update(state, event)
        for now in (None, event.timestamp, event.timestamp + 30.0, event.timestamp + 5000.0):
            histories = reader.histories([events[:number]], [now])
            with torch.inference_mode():
                batch = model.pyramid(histories, pyramid_steps(histories, model.buckets))
            for name, vector in model.profile(state, now).items():
                np.testing.assert_allclose(vector, batch[name].vector[0].numpy(), atol=TOLERANCE)
    late, early = model.profile(state, events[-1].timestamp + 5000.0), model.profile(state, events[-1].timestamp)
    assert not np.allclose(late["item"], early["item"])


def test_states_are_values(simulated):
    """Folding an event in leaves the old state as it was, so two futures can grow from one past."""
    model = random_weights(simulated)
    events = live_events(simulated, 5)
    past = None
    for event in events[:6]:
        past = model.update(past, event)
    before = model.profile(past)
    one = model.update(past, events[6])
    other = model.update(past, Event("something new", "1", 1e6))
    for name, vector in model.profile(past).items():
        np.testing.assert_array_equal(vector, before[name])
    assert not np.allclose(model.profile(one)["item"], model.profile(other)["item"])


def test_items_without_categories_and_strange_behaviors_have_profiles(simulated):
    model = random_weights(simulated)
    state = None
    for event in (Event("x", "no such behavior"), Event("y", "1", categories=("nowhere",)), Event("x", "2")):
        state = model.update(state, event)
    assert all(np.isfinite(vector).all() for vector in model.profile(state).values())
    seen = {found.name for found in model.recommend(state, k=10_000).ranked if found.seen}
    assert seen == {"y"}  # x is the current item


def test_time_cannot_run_backwards(simulated):
    model = random_weights(simulated)
    state = model.update(None, Event("x", "1", 10.0))
    with pytest.raises(hup.HupError, match="older"):
        model.update(state, Event("x", "1", 9.0))


def test_new_categories_below_none_are_candidates(simulated):
    """A gap before all names is "no category" only down to where they begin."""
    model = random_weights(simulated)
    state = model.update(None, Event("x", "1", categories=("(none)", "new shelf")))
    state = model.update(state, Event("y", "1", categories=("new shop",)))
    found = {k: {one.path for one in model.recommend(state, k=10_000, level=f"category_{k}").ranked} for k in (1, 2, 3)}
    assert [("(none)", "new shelf", "new shelf")[:k] in found[k] for k in (1, 2, 3)] == [False, True, True]
    assert [("new shop",) * k in found[k] for k in (1, 2, 3)] == [True, True, True]
