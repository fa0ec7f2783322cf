"""What a basis is made from, and its staleness, against one-shot covariances and closed forms."""

import math

import naive
import pytest
import torch
from exact import power_law, seeded
from torch.testing import assert_close

from eigenfall.bases import (
    covariances,
    leading_eigenvectors,
    numerical_rank,
    reference_rows,
    staleness,
    tail_correlation,
)
from eigenfall.excess import anchor, excess
from eigenfall.linalg import symmetric_eigh


def rotation(units, seed=0):
    return torch.linalg.qr(torch.randn(units, units, generator=seeded(seed), dtype=torch.float64)).Q


def excess_of(values):
    return excess(values, anchor(values, 1.0, 5, "tau"), 1.0, 5)


def test_covariances_add_up_over_pieces():
    """Defect 4 of Holzhausen et al.'s code, which keeps the last piece alone: streamed is as good as at once."""
    rows = {"a": torch.randn(90, 7, generator=seeded(0)) + 100, "b": torch.randn(90, 4, generator=seeded(1))}
    pieces = [{name: values[start : start + 25] for name, values in rows.items()} for start in range(0, 90, 25)]
    for name, found in covariances(pieces, "float64").items():
        assert_close(found, naive.covariance(rows[name]), rtol=1e-12, atol=1e-12)


def test_covariance_in_the_model_s_own_precision():
    rows = torch.randn(90, 7, generator=seeded(0)) + 10
    found = covariances([{"a": rows[:50]}, {"a": rows[50:]}], "model")["a"]
    centred = rows - rows.mean(0)
    expected = centred.T @ centred / 90
    assert found.dtype == torch.float64
    assert_close(found, ((expected + expected.T) / 2).double(), rtol=1e-6, atol=1e-6)
    assert_close(found, found.float().double(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("precision, divisor", [("float64", 89), ("model", 90)])
def test_second_moments_about_a_number(precision, divisor):
    rows = torch.randn(90, 7, generator=seeded(0), dtype=torch.float64) + 2
    off = rows - 0.5
    expected = sum(torch.outer(row, row) for row in off) / divisor
    found = covariances([{"a": rows[:50]}, {"a": rows[50:]}], precision, 0.5)["a"]
    assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("precision", ["float64", "model"])
def test_a_layer_that_is_not_finite_is_named(precision):
    rows = torch.randn(9, 3, generator=seeded(0))
    rows[4, 1] = math.nan
    with pytest.raises(ValueError) as refusal:
        covariances([{"hidden2": rows}], precision)
    assert str(refusal.value) == (
        "Expected finite values in layer 'hidden2', got NaN or infinity. "
        "Lower the learning rate or the penalties' strength."
    )


def test_reference_rows():
    assert_close(reference_rows("all", 7, 3, False, seeded(0)), torch.arange(7))
    assert len(reference_rows("enough", 1000, 20, False, seeded(0))) == 200
    assert sorted(reference_rows("enough", 150, 20, False, seeded(0)).tolist()) == list(range(150))
    drawn = reference_rows(40, 1000, 3, False, seeded(0))
    assert len(set(drawn.tolist())) == 40
    assert len(reference_rows(4000, 50, 3, True, seeded(0))) == 4000


@pytest.mark.parametrize("wanted", [1, 8])
def test_rows_that_are_not_there_are_refused(wanted):
    with pytest.raises(ValueError) as refusal:
        reference_rows(wanted, 7, 3, False, seeded(0))
    assert str(refusal.value) == (
        f"Expected from 2 to 7 reference rows, got {wanted}. Use rows=all, or draw with replacement."
    )


def test_numerical_rank():
    values = torch.tensor([1.0, 1e-3, 1e-9, 1e-15, 0.0], dtype=torch.float64)
    assert numerical_rank(values, 100, False) == 3
    assert numerical_rank(values, 3, False) == 2
    assert numerical_rank(values, 100, True) == 2


def test_leading_eigenvectors():
    turn = rotation(60)
    matrix = turn @ torch.diag(power_law(1.0, 60).eigenvalues) @ turn.T
    values, vectors = leading_eigenvectors((matrix + matrix.T) / 2, 8, seeded(1))
    assert values.shape == (8,)
    assert_close(values, power_law(1.0, 8).eigenvalues, rtol=1e-4, atol=0)
    assert_close(vectors.T @ vectors, torch.eye(8, dtype=torch.float64), atol=1e-12, rtol=0)
    assert float((vectors * turn[:, :8]).sum(0).abs()[:4].min()) > 0.999


def test_tail_correlation_by_hand():
    rho = 0.3
    scaled = torch.tensor([[4.0, 2 * rho * 5], [2 * rho * 5, 25.0]], dtype=torch.float64)
    assert float(tail_correlation(scaled)) == pytest.approx(rho)
    with_dead = torch.block_diag(scaled, torch.zeros(1, 1, dtype=torch.float64))
    assert float(tail_correlation(with_dead)) == pytest.approx(rho * math.sqrt(2 / 6))
    assert float(tail_correlation(torch.ones(1, 1))) == 0


def test_a_fresh_basis_is_not_stale():
    turn = rotation(20)
    matrix = turn @ torch.diag(power_law(2.0, 20).eigenvalues) @ turn.T
    values, basis = symmetric_eigh((matrix + matrix.T) / 2)
    found = staleness((matrix + matrix.T) / 2, values, basis, 5, excess_of)
    assert found.off < 1e-7
    assert found.tail < 1e-7
    assert abs(found.excess) < 1e-9
    assert abs(found.alpha) < 1e-9
    assert found.true_alpha == pytest.approx(2)
    assert not found.stale


def test_a_turned_code_shows_a_flat_pseudo_spectrum():
    values = power_law(3.0, 20).eigenvalues
    turn = rotation(20, 7)
    matrix = turn @ torch.diag(values) @ turn.T
    found = staleness((matrix + matrix.T) / 2, values, torch.eye(20, dtype=torch.float64), 5, excess_of)
    assert found.true_excess == pytest.approx(float(excess_of(values)))
    assert found.excess > 0.3
    assert found.alpha > 0.5
    assert 0 < found.off < 1
    assert found.tail > 0.1
    assert found.stale


def test_off_diagonal_share_by_hand():
    matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    values, _ = symmetric_eigh(matrix)
    found = staleness(matrix, values, torch.eye(2, dtype=torch.float64), 0, lambda e: e.sum() * 0)
    assert found.off == pytest.approx(math.sqrt(2 / 10))
    assert found.tail == pytest.approx(0.5)
    assert found.alpha == pytest.approx(math.log(3, 2))
