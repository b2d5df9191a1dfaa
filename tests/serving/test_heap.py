"""Full collections leave out what has been there for long."""

from __future__ import annotations

import gc

import pytest

from hup.serving.heap import spare_what_stays


@pytest.fixture(autouse=True)
def as_before():
    callbacks = list(gc.callbacks)
    yield
    gc.callbacks[:] = callbacks
    gc.unfreeze()


class Loop:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_is_not_looked_at_again():
    kept = Loop()
    spare_what_stays()
    assert all(one is not kept for one in gc.get_objects())
    later = Loop()
    assert any(one is later for one in gc.get_objects())
    gc.collect()
    assert all(one is not later for one in gc.get_objects())


def test_what_nobody_needs_is_freed_before_it_would_be_spared():
    spare_what_stays()
    before = gc.get_freeze_count()
    for _ in range(1_000):
        Loop()
    spare_what_stays()
    assert gc.get_freeze_count() < before + 500


def test_it_may_be_said_again():
    spare_what_stays()
    n = len(gc.callbacks)
    spare_what_stays()
    assert len(gc.callbacks) == n
