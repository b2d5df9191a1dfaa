"""Live answers have two twins, compiled kernels and NumPy; what asks for `twin` is proven of both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hup import native


@pytest.fixture(params=["kernel", "numpy"])
def twin(request, monkeypatch) -> Iterator[str]:
    """Models that are made in the test answer by this one."""
    if request.param == "numpy":
        monkeypatch.setenv("HUP_NATIVE", "0")
        native.load.cache_clear()
    elif native.load("single_answer") is None:
        pytest.skip("no C++ compiler is there, or kernels are turned off")
    yield request.param
    native.load.cache_clear()
