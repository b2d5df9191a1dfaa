"""A state is of bounded size, and within its bounds equal to the batch; as bytes it is the same state."""

from __future__ import annotations

import copy
import random
import re
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hup
from hup.models.hup.live.state import EVENTS_KEPT
from hup.models.hup.model import HUP
from hup.sessions.events import Event
from hup.sessions.levels import EVENTS_OF_RUN, pyramid_steps

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> hup.Dataset:
    from hup.simulator import SimulatorConfig

    folder = tmp_path_factory.mktemp("state")
    hup.simulate(SimulatorConfig(sessions=60, items=80, levels=2, seed=4), folder / "log.txt", format="jd")
    return hup.prepare([folder / "log.txt"], format="jd", out=folder / "dataset")


def model_of(dataset: hup.Dataset, preset: str) -> HUP:
    model = HUP(hup.Config.preset(preset, ("mixture.visits=20",))).initialise(dataset)
    torch.manual_seed(1)
    for name, parameter in model.network.named_parameters():
        if "weights" not in name and "counts" not in name:
            torch.nn.init.normal_(parameter.data, std=0.3)
    return model


@pytest.fixture(scope="module")
def best(dataset: hup.Dataset) -> HUP:
    return model_of(dataset, "best")


@pytest.fixture(scope="module")
def paper(dataset: hup.Dataset) -> HUP:
    return model_of(dataset, "paper")


def long_session(dataset: hup.Dataset, n_events: int, seed: int = 0, *, times: bool = True) -> list[Event]:
    """Known and unknown items, now and then hundreds of events on one of them."""
    rng = random.Random(seed)
    names, behaviors = dataset.item_names, [one.code for one in dataset.behaviors]
    events: list[Event] = []
    clock = 0.0
    while len(events) < n_events:
        unknown = rng.random() < 0.2
        item = f"new-{rng.randrange(30)}" if unknown else rng.choice(names[:50])
        for _ in range(rng.choice([1, 1, 2, 3, EVENTS_OF_RUN + 40 if rng.random() < 0.05 else 1])):
            clock += rng.randrange(60)
            path = (f"shelf-{item[-1]}", f"{item[-1]}-{item}") if unknown else ()
            told = {} if times else {"interval": float(rng.randrange(60))}
            events.append(Event(item, rng.choice([*behaviors, "?"]), clock if times else None, path, **told))
    return events[:n_events]


@pytest.mark.slow
@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("preset", ["best", "paper"])
def test_streaming_equals_batch_beyond_the_bounds(dataset, request, preset, times):
    model = request.getfixturevalue(preset)
    events = long_session(dataset, 700, seed=3, times=times)
    assert max(_run_lengths(events)) > EVENTS_OF_RUN
    assert len(_run_lengths(events)) > 3 * 20
    state, reader = None, model.output.live.reader
    looked_at = 0
    for number, event in enumerate(events, 1):
        state = model.update(state, event)
        if number % 97 and number != len(events):
            continue
        histories = reader.histories([events[:number]], None)
        with torch.inference_mode():
            batch = model.pyramid(histories, pyramid_steps(histories, model.buckets))
        for level, vector in model.profile(state).items():
            np.testing.assert_allclose(vector, batch[level].vector[0].numpy(), atol=TOLERANCE)
        for level in model.levels:
            scores = model.score(histories, level)
            found = {one.name: one.score for one in model.recommend(state, level=level, k=10_000).ranked if one.path}
            known = dict(zip(_names(model, level), scores.known[0].tolist(), strict=True))
            shared = [name for name in found if name in known]
            assert len(shared) >= 3
            assert [found[name] for name in shared] == pytest.approx([known[name] for name in shared], abs=TOLERANCE)
            looked_at += 1
    assert looked_at >= 8 * len(model.levels)


def _run_lengths(events: list[Event]) -> list[int]:
    lengths = [0]
    for before, event in zip([None, *events], events, strict=False):
        if before is not None and before.item != event.item:
            lengths.append(0)
        lengths[-1] += 1
    return lengths


def _names(model: HUP, level: str) -> list[str]:
    vocabulary = model.vocabulary
    return vocabulary.items if level == "item" else vocabulary.categories[int(level[-1]) - 1]


def test_a_state_stops_growing(dataset, best):
    """After 5,000 events it is no larger than after 1,000, and fits 32 KB; nothing in it is longer than its bound."""
    state, sizes = None, {}
    for number, event in enumerate(long_session(dataset, 5000, seed=1), 1):
        state = best.update(state, event)
        if number in (1000, 5000):
            sizes[number] = len(best.state_bytes(state))
            assert len(state.runs) == 20
            assert len(state.items) <= 21
            assert len(state.log) == EVENTS_KEPT
            assert all(len(ended.hidden) == 1 for ended in state.ended)
            assert len(state.open_run.events) <= EVENTS_OF_RUN
    assert sizes[5000] < 1.1 * sizes[1000]
    assert sizes[5000] < 32 * 1024


def test_at_the_default_bounds_a_state_fits_32_kilobytes(dataset):
    model = HUP("best").initialise(dataset)
    earlier = [long_session(dataset, 200, seed) for seed in range(3, 9)]
    state = model.state(long_session(dataset, 2000, seed=2), earlier)
    assert len(state.runs) == len(state.earlier) == 128
    assert len(model.state_bytes(state)) <= 32 * 1024
    assert state.earlier == model.state(long_session(dataset, 2000, seed=2), earlier[-4:]).earlier, "the newest ones"


@pytest.mark.parametrize("preset", ["best", "paper"])
@given(n_events=st.integers(0, 60), seed=st.integers(0, 1000), times=st.booleans())
@settings(max_examples=25)
def test_bytes_give_the_same_state(dataset, request, preset, n_events, seed, times):
    model = request.getfixturevalue(preset)
    events = long_session(dataset, n_events, seed, times=times)
    state = model.state(events, earlier=[long_session(dataset, 5, seed + 1), long_session(dataset, 3, seed + 2)])
    data = model.state_bytes(state)
    again = model.state(data)
    assert again == state
    assert model.state_bytes(again) == data
    assert again.events == events[-EVENTS_KEPT:] == hup.stored_events(data)
    event = Event("new-1", "1", 1e6 if times else None)
    assert model.update(again, event) == model.update(state, event)
    if events:
        assert model.recommend(data, k=5) == model.recommend(state, k=5)


def test_what_was_stored_long_ago_still_goes_on(dataset, best):
    """Through bytes after every event is what it is without."""
    events = long_session(dataset, 400, seed=5)
    kept = model_state = None
    for event in events:
        kept = best.state_bytes(best.update(None if kept is None else best.state(kept), event))
        model_state = best.update(model_state, event)
    assert best.state(kept) == model_state


def test_another_model_begins_from_the_events(dataset, best, paper):
    events = long_session(dataset, 40)
    data = best.state_bytes(best.state(events))
    with pytest.raises(hup.HupError, match="another model"):
        paper.state(data)
    assert paper.state(hup.stored_events(data)) == paper.state(events)
    with pytest.raises(hup.HupError, match="another model"):
        paper.state_bytes(best.state(events))


def test_what_is_no_state_is_refused(dataset, best):
    data = best.state_bytes(best.state(long_session(dataset, 30)))
    for bad, message in (
        (b"", "no state"),
        (b"something else altogether", "no state"),
        (data[:4] + b"\x09" + data[5:], "version 9"),
        (data[:-1], "checksum"),
        (data[:40] + b"\0" + data[41:], "checksum"),
    ):
        for take in (best.state, hup.stored_events):
            with pytest.raises(hup.HupError, match=message):
                take(bad)


@given(data=st.binary(max_size=200))
@settings(max_examples=60)
def test_bytes_of_others_never_crash(best, data):
    """With a head and a checksum that are right, as only somebody makes them who means harm."""
    head = struct.pack("<4sBI", b"HUPs", 1, zlib.crc32(data))
    for take in (best.state, hup.stored_events):
        with pytest.raises(hup.HupError):
            take(head + data)


def test_a_state_that_was_tampered_with_is_refused(dataset, best):
    """The head is right and the model's digest, too, but the rest does not fit together."""
    import msgspec

    data = best.state_bytes(best.state(long_session(dataset, 30)))
    body = msgspec.msgpack.decode(data[9:])
    for place, value in (
        (1, body[1][:1]),  # items that runs point at
        (2, []),
        (3, body[3][:1]),
        (3, [[one[0][:-4], *one[1:]] for one in body[3]]),
        (4, body[4][:1]),
        (5, []),
        (7, [[*one[:3], []] for one in body[7]]),
        (11, [b"\xff"]),
    ):
        bad = copy.deepcopy(body)
        bad[place] = value
        packed = msgspec.msgpack.encode(bad)
        with pytest.raises(hup.HupError, match="damaged"):
            best.state(struct.pack("<4sBI", b"HUPs", 1, zlib.crc32(packed)) + packed)


def test_the_page_runs_as_written(dataset, best, root):
    (block,) = re.findall(r"^```python\n(.*?)^```$", (root / "docs/model.md").read_text(), re.MULTILINE | re.DOTALL)
    events = long_session(dataset, 30)
    names = {"model": best, "hup": hup, "state": best.state(events)}
    exec(compile(block, "docs/model.md", "exec"), names)
    assert names["state"] == best.state(events)
    assert names["events"] == events
