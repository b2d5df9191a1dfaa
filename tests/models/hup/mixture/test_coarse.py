"""Likings of a large vocabulary, from 8 bits a number: near the products, and what is likely is exact."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hup import native
from hup.models.hup.mixture.single import tables
from hup.models.hup.mixture.single.tables import coarse
from hup.native.library import _compiler

from ....helpers.mixtures import mixture, output_of
from .test_kernel import both, states_of

pytestmark = pytest.mark.skipif(native.load("single_answer") is None, reason="no C++ compiler is there")

vectors = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 70), st.integers(1, 9)),
    elements=st.floats(-100, 100, width=32),
)


def rows_of(numbers: np.ndarray, n: int, d: int) -> np.ndarray:
    """Undo the order in which numbers lie."""
    return numbers.transpose(0, 2, 1, 3).reshape(-1, numbers.shape[1] * 2)[:n, :d]


@given(vectors)
def test_every_number_is_within_half_a_step(given_vectors):
    n, d = given_vectors.shape
    numbers, steps = coarse(given_vectors)
    assert numbers.dtype == np.int8
    assert len(steps) == len(numbers) * 32
    made = rows_of(numbers, n, d) * steps[:n, None]
    assert (np.abs(made - given_vectors) <= steps[:n, None] * 0.501 + 1e-37).all()


@pytest.fixture(scope="module", params=["native", "plain"])
def product(request, tmp_path_factory):
    """The product of the kernel, as it is compiled here, and as it is for a processor without AVX2."""
    plain = request.param == "plain"
    if plain and platform.machine() != "x86_64":
        pytest.skip("it is what is compiled here")
    folder = tmp_path_factory.mktemp("coarse")
    (folder / "product.cpp").write_text(
        '#include "coarse.hpp"\n'
        'extern "C" void product(const int8_t* numbers, const float* steps, int64_t n, int64_t d, const float* x, '
        "float* to) {\n"
        "    const hup::CoarseFactor factor(x, d);\n"
        "    for (int64_t low = 0; low < n; low += hup::TOGETHER)\n"
        "        hup::coarse_product({numbers, steps}, low, std::min(n, low + hup::TOGETHER), factor, to + low);\n"
        "}\n"
    )
    flags = ["-std=c++17", "-O3", "-march=x86-64" if plain else "-march=native", "-fPIC", "-shared"]
    compiler, sources = _compiler(), Path(native.__file__).parent
    assert compiler is not None
    made = folder / "product.so"
    subprocess.run([compiler, *flags, f"-I{sources}", str(folder / "product.cpp"), "-o", str(made)], check=True)
    call = ctypes.CDLL(str(made)).product
    call.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 2 + [ctypes.c_void_p] * 2

    def multiply(numbers: np.ndarray, steps: np.ndarray, n: int, x: np.ndarray) -> np.ndarray:
        to, kept = np.full(len(steps), np.nan, dtype=np.float32), np.ascontiguousarray(numbers)
        call(kept.ctypes.data, steps.ctypes.data, n, len(x), x.ctypes.data, to.ctypes.data)
        return to[:n]

    return multiply


@settings(max_examples=60)
@given(given_vectors=vectors, seed=st.integers(0, 9))
def test_products_are_those_of_the_rounded_numbers(product, given_vectors, seed):
    n, d = given_vectors.shape
    x = np.random.default_rng(seed).normal(size=d).astype(np.float32) * 10 ** (seed % 3)
    numbers, steps = coarse(given_vectors)
    expected = (rows_of(numbers, n, d) * steps[:n, None]) @ x - steps[:n] ** 2 * (x @ x) / 24
    room = 127 * steps[:n].max() * np.abs(x).max() * d  # x itself is rounded to 16 bits
    np.testing.assert_allclose(product(numbers, steps, n, x), expected, rtol=1e-4, atol=float(room) / 30_000 + 1e-12)


def test_nothing_multiplied_is_nothing(product):
    numbers, steps = coarse(np.zeros((3, 5), dtype=np.float32))
    assert product(numbers, steps, 3, np.zeros(5, dtype=np.float32)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("shares", [(0.2, 0.3, 0.3), (0.9, 0.1, 0.0), (0.0, 0.0, 0.5), (1.0, 0.0, 1.0)])
def test_answers_are_those_of_exact_likings(dataset, monkeypatch, shares):
    monkeypatch.setattr(tables, "COARSE_FROM", 0)
    model = mixture(dataset, "mixture.visits=6", "mixture.earlier=10")
    network = output_of(model).network
    similar = network.similar
    assert similar is not None
    similar.cluster(torch.nn.functional.normalize(torch.randn_like(similar.kept), dim=1))
    dense, followed, strength = shares
    network.weights.data[:] = torch.tensor([dense, 0.0, strength, 0.0, 0.5])
    network.weights.data[0, 1] = followed
    differs = 0.0
    for state in states_of(model, dataset, 12):
        kernel, exact = both(output_of(model), state)
        for level in network.ranked:
            found, expected = kernel.of(level), exact.of(level)
            np.testing.assert_allclose(found.known, expected.known, atol=2e-5)
            np.testing.assert_allclose(found.probability, expected.probability, atol=2e-5)
            differs = max(differs, float(np.abs(found.known - expected.known).max()))
            best = np.argsort(-expected.known, kind="stable")[:10].tolist()
            theirs, mine = exact.levels[level].contributions(best), kernel.levels[level].contributions(best)
            np.testing.assert_allclose(mine.profile, theirs.profile, atol=2e-5)
    assert differs > 0
