"""What all tests share: the repository's root, the JD samples, and few threads."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

# Before anything imports torch. Tests run side by side, so more threads each would only get in each other's way.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell's background job ignores Ctrl-C, and all that it starts do, too; tests that send it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How fast a machine is says nothing about the code.
hypothesis.settings.register_profile("hup", deadline=None)
hypothesis.settings.load_profile("hup")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the public samples; where it is absent the test is skipped, which pytest's summary shows."""
    named = os.environ.get("HUP_SHARED_DATA")
    places = [Path(named)] if named else [folder / "shared" / "data" for folder in (ROOT, *ROOT.parents)]
    for place in places:
        if place.is_dir():
            return place
    pytest.skip(f"no samples: {named or 'shared/data beside or above the repository'} is not there")
