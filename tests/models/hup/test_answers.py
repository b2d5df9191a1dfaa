"""What is answered belongs to who asked: threads that ask about different batches do not meet."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest
import torch

from hup.config import Config
from hup.errors import HupError
from hup.models.hup.model import HUP
from hup.sessions.batches import Histories, histories_and_targets

QUICK = ("network.hidden=8", "embeddings.skipgram_epochs=1")
THREADS = 4


class Overtaken(HUP):
    """Whatever a call keeps on the model, every other call has put its own there before the first goes on."""

    meeting: Barrier | None = None

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if self.meeting is not None:
            with suppress(BrokenBarrierError):
                self.meeting.wait(timeout=5)


@pytest.fixture(scope="module", params=["paper", "best"])
def model(request, shops) -> Overtaken:
    return Overtaken(Config.preset(request.param, QUICK)).initialise(shops[3])


@pytest.fixture(scope="module")
def asked(shops) -> list[Histories]:
    """Batches of equal size, each of other sessions."""
    sessions = np.asarray(shops[3].sessions("test"))
    each = len(sessions) // THREADS
    return [histories_and_targets(shops[3], sessions[n * each : (n + 1) * each])[0] for n in range(THREADS)]


def test_threads_get_the_answers_to_their_own_batches(model, asked, monkeypatch):
    """Where a call leaves anything on the model, all calls do so before any of them reads it back."""

    def said(histories: Histories) -> dict[str, torch.Tensor]:
        return {level: model.score(histories, level).known for level in model.levels}

    alone = [said(histories) for histories in asked]
    assert not torch.equal(alone[0]["item"], alone[1]["item"])
    monkeypatch.setattr(Overtaken, "meeting", Barrier(THREADS))
    with ThreadPoolExecutor(THREADS) as threads:
        together = list(threads.map(said, asked))
    for expected, heard in zip(alone, together, strict=True):
        assert all(torch.equal(heard[level], expected[level]) for level in model.levels)


def test_an_answer_stays_what_it_was_when_others_are_asked(model, asked):
    """Each level of an answer is made when it is asked for, from what was settled when the batch was."""
    before = {level: model.score(asked[0], level) for level in model.levels}
    kept = dict(vars(model))
    answer = model.scores(asked[0])
    model.scores(asked[1])["item"]
    for level in reversed(model.levels):
        assert torch.equal(answer[level].known, before[level].known)
        assert torch.equal(answer[level].own, before[level].own)
        assert torch.equal(answer[level].own_codes, before[level].own_codes)
    assert vars(model).keys() == kept.keys()
    assert all(vars(model)[name] is value for name, value in kept.items())


def test_a_level_that_is_not_there_is_told(model, asked):
    with pytest.raises(HupError, match="no level 'category_4'; its levels are: item, category_3"):
        model.scores(asked[0])["category_4"]
