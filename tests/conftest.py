"""What all tests share: the repository's root, the JD samples, simulated shops, and few threads."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from hup.data.dataset import Dataset

# Before anything imports torch. Tests run side by side, so more threads each would only get in each other's way.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Kernels for a GPU are run by Triton's interpreter, which has to be asked for before anything reads Triton.
os.environ.setdefault("TRITON_INTERPRET", "1")

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


@pytest.fixture(scope="session")
def shops(tmp_path_factory) -> dict[int, Dataset]:
    """A simulated dataset of one category level and one of three; their test splits have items that training lacks."""
    from .helpers.shops import simulated_shop  # not at the top: tests of the data room need no torch

    folder: Path = tmp_path_factory.mktemp("shops")
    return {levels: simulated_shop(folder, levels) for levels in (1, 3)}


@pytest.fixture(scope="session")
def bare_shops(shops) -> dict[str, Dataset]:
    """The same shops, where a third of the items of the second, and all of the first, have no category."""
    from .helpers.shops import bare_shop

    return {f"K={levels}, bare": bare_shop(shops[levels], share) for levels, share in ((1, 1.0), (3, 0.34))}
