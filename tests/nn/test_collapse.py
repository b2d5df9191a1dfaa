"""Measures of collapse on tables whose answer is known."""

from __future__ import annotations

import pytest
import torch

from hup.nn.tables import spread


def test_equal_vectors_have_collapsed():
    measure = spread(torch.ones(20, 5) + 1e-6 * torch.randn(20, 5))
    assert measure.collapsed
    assert measure.mean_cosine == pytest.approx(1, abs=1e-4)
    assert measure.effective_rank == pytest.approx(1, abs=1e-2)


def test_an_orthonormal_table_spans_everything():
    measure = spread(torch.eye(6))
    assert not measure.collapsed
    assert measure.mean_cosine == pytest.approx(0)
    assert measure.effective_rank == pytest.approx(6)


def test_mean_cosine_equals_the_plain_mean_over_pairs():
    vectors = torch.randn(7, 3, dtype=torch.float64)
    pairs = [torch.cosine_similarity(vectors[i], vectors[j], 0) for i in range(7) for j in range(7) if i != j]
    assert spread(vectors).mean_cosine == pytest.approx(float(torch.stack(pairs).mean()))


def test_vectors_on_one_line_have_collapsed_even_when_they_point_both_ways():
    assert spread(torch.tensor([[1.0, 2.0], [-1.0, -2.0], [2.0, 4.0], [-3.0, -6.0]])).collapsed


def test_one_vector_cannot_collapse():
    assert not spread(torch.ones(1, 4)).collapsed
