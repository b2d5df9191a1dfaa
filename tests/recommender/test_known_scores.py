"""Counting in products, in what is common, and in rows, against what anyone can read; with kernels and without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hup.errors import HupError
from hup.recommender import counting
from hup.recommender.candidates import Scores, target_ranks
from hup.recommender.known_scores import Common, Exceptions, Matrix, Products, below_all, bound

INF, NAN = float("inf"), float("nan")


@pytest.fixture(params=["kernel", "twin"], autouse=True)
def with_and_without_kernel(request, monkeypatch):
    if request.param == "twin":
        monkeypatch.setattr(counting, "load", lambda name: None)
    elif counting.load("ranks") is None:
        pytest.skip("no C++ compiler is there")


def rank(known, own, own_codes, target, excluded, candidates) -> float:
    """Count one session's candidates that score at least as high as its target."""
    scored = {code: score for code, score in enumerate(known) if candidates is None or candidates[code]}
    scored |= {code: score for code, score in zip(own_codes, own, strict=True) if code >= 0}
    scored.pop(excluded, None)
    if target not in scored:
        return INF
    return float(sum(score >= scored[target] for score in scored.values()))


@st.composite
def questions(draw):
    """Sessions with own codes, targets and what is excluded; among few numbers, so that much is equal."""
    n_sessions, n_known = draw(st.integers(1, 40)), draw(st.integers(0, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    own = np.full((n_sessions, draw(st.integers(0, 3))), -1)
    for row in own:
        some = rng.integers(0, len(row) + 1)
        row[:some] = n_known + rng.choice(6, some, replace=False)
    targets, excluded = rng.integers(-1, n_known + 6, (2, n_sessions))
    mask = rng.random((n_sessions, n_known)) < 0.5 if draw(st.booleans()) else None
    return rng, n_known, own, targets, excluded, mask


def agree(known, rng, own_codes, targets, excluded, mask):
    """Ranks among scores, however these are given, are what is read in the matrix."""
    own = torch.from_numpy(rng.integers(-2, 3, own_codes.shape)).to(known.dtype)
    found = target_ranks(
        Scores(known, own, torch.from_numpy(own_codes)),
        torch.from_numpy(targets),
        excluded=torch.from_numpy(excluded),
        candidates=None if mask is None else torch.from_numpy(mask),
    )
    rows = known if isinstance(known, torch.Tensor) else known.dense
    masks = [None] * len(rows) if mask is None else mask
    expected = [
        rank(*row) for row in zip(rows.tolist(), own.tolist(), own_codes, targets, excluded, masks, strict=True)
    ]
    assert found.tolist() == expected


@settings(deadline=None)
@given(question=questions(), d=st.integers(0, 9), with_bias=st.booleans(), dtype=st.sampled_from(["float", "double"]))
def test_ranks_among_products(question, d, with_bias, dtype):
    rng, n_known, own, targets, excluded, mask = question

    def whole(*shape):
        """Small whole numbers: their products are exact, in whatever order they are added up."""
        return getattr(torch.from_numpy(rng.integers(-1, 2, shape)), dtype)()

    bias = whole(n_known) if with_bias else None
    agree(Products(whole(len(own), d), whole(n_known, d), bias), rng, own, targets, excluded, mask)


@settings(deadline=None)
@given(question=questions(), dtype=st.sampled_from([torch.float32, torch.float64]), shared=st.booleans())
def test_ranks_among_rows(question, dtype, shared):
    rng, n_known, own, targets, excluded, mask = question
    values = torch.from_numpy(rng.choice([-INF, -1, -0.0, 0.0, 2, INF], (len(own), n_known))).to(dtype)
    if shared:
        values = values[:1].expand(len(own), -1)
    agree(values, rng, own, targets, excluded, mask)


@settings(deadline=None)
@given(question=questions(), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_ranks_among_exceptions(question, dtype):
    rng, n_known, own, targets, excluded, mask = question
    common = Common(torch.from_numpy(rng.integers(-2, 3, n_known)).to(dtype))
    row, code = np.nonzero(rng.random((len(own), n_known)) < 0.2)
    score = torch.from_numpy(rng.integers(-2, 3, len(row))).to(dtype)
    known = Exceptions(len(own), common, torch.from_numpy(row), torch.from_numpy(code), score)
    agree(known, rng, own, targets, excluded, mask)


@pytest.mark.parametrize("d", [1, 7, 30, 64, 200])
@pytest.mark.parametrize("with_bias", [False, True])
def test_a_target_always_counts_itself_whatever_is_rounded(d, with_bias):
    generator = torch.Generator().manual_seed(d)
    vectors = torch.randn(1_003, d, generator=generator)
    vectors[500:510] = vectors[3]  # equal vectors are equally good, wherever they stand
    bias = torch.zeros(1_003) if with_bias else None
    profiles = torch.randn(50, d, generator=generator)
    targets = torch.randint(1_003, (50,), generator=generator)
    known = Products(profiles, vectors, bias)
    assert (known.at_least(known.at(targets), "it") >= 1).all()
    of_equals = known.at(torch.full((50,), 3))
    assert (of_equals == known.at(torch.full((50,), 505))).all()
    assert (known.at_least(of_equals, "it") >= 11).all()
    expected = (known.dense.double() >= of_equals.double()[:, None] - 1e-4).sum(dim=1)
    assert (known.at_least(of_equals, "it") <= expected).all()


@pytest.mark.parametrize("n_known", [1, 6, 7, 300])
def test_nan_in_a_vector_is_an_error_that_names_the_model(n_known):
    vectors = torch.ones(n_known, 4)
    vectors[-1, 2] = NAN
    scores = Scores(Products(torch.ones(3, 4), vectors), torch.zeros(3, 0), torch.zeros(3, 0, dtype=torch.int64))
    with pytest.raises(HupError, match=r"deep thought gave scores that are not numbers .* for 3 of 3"):
        target_ranks(scores, torch.zeros(3, dtype=torch.int64), name="deep thought")


def test_nan_in_a_profile_is_that_sessions():
    profiles = torch.ones(20, 4)
    profiles[17, 0] = NAN
    with pytest.raises(HupError, match="for 1 of 20"):
        Products(profiles, torch.ones(9, 4)).at_least(torch.zeros(20), "it")


@pytest.mark.parametrize("where", ["common", "exception"])
def test_nan_among_exceptions(where):
    common = Common(torch.tensor([1.0, NAN if where == "common" else 2.0]))
    one = torch.zeros(1, dtype=torch.int64)
    known = Exceptions(2, common, one, one, torch.tensor([3.0 if where == "common" else NAN]))
    with pytest.raises(HupError, match=f"for {2 if where == 'common' else 1} of 2"):
        known.at_least(torch.zeros(2), "it")


def test_both_infinities_are_not_nan():
    vectors = torch.tensor([[INF], [-INF], [1.0]])
    assert Products(torch.ones(1, 1), vectors).at_least(torch.ones(1), "it").tolist() == [2]
    assert Matrix(vectors.t()).at_least(torch.ones(1), "it").tolist() == [2]


def test_what_overflows_is_as_high_as_anything():
    known = Products(torch.full((1, 2), 3e38), torch.tensor([[2.0, 2], [1, 0], [1, 0]]))
    assert known.at_least(known.at(torch.tensor([0])), "it").tolist() == [1]


@given(score=st.floats(allow_nan=False), value=st.floats(width=32, allow_nan=False))
def test_a_bound_in_single_precision_lets_the_same_numbers_through(score, value):
    wide = torch.tensor([score], dtype=torch.float64)
    assert bool((torch.tensor([value]) >= bound(wide, torch.float32)).all()) == (value >= score)


def test_own_codes_can_be_put_below_all_others():
    known = Products(torch.tensor([[1.0], [2.0], [-1.0]]), torch.tensor([[3.0], [-4.0]]))
    own = below_all(known, torch.tensor([[-1, -1], [2, 3], [5, -1]]))
    assert own[1].tolist() == [-9, -9]
    assert own[2, 0] == -4
    nothing = below_all(Products(torch.ones(1, 2), torch.zeros(0, 2)), torch.tensor([[0]]))
    assert nothing.tolist() == [[0]]


def test_what_has_no_kernel_is_counted_all_the_same():
    """Half precision, and rows that are not laid out as such."""
    values = torch.arange(12.0).view(4, 3).t()
    assert Matrix(values).at_least(torch.tensor([3.0, 3, 3]), "it").tolist() == [3, 3, 3]
    assert Matrix(values.half()).at_least(torch.full((3,), 3.0).half(), "it").tolist() == [3, 3, 3]
