import pytest
import torch
from exact import seeded
from naive import covariance
from torch.testing import assert_close

from eigenfall import linalg
from eigenfall.linalg import UnitSide, symmetric_eigenvalues, symmetric_eigh


def symmetric(side, seed=0):
    matrix = torch.randn(side, side, generator=seeded(seed), dtype=torch.float64)
    return matrix + matrix.T


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


# ------------------------------------------------------------------------ eigenvalues


def test_eigenvalues_descend_and_vectors_go_with_them():
    matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    assert_close(symmetric_eigenvalues(matrix), torch.tensor([3.0, 1.0], dtype=torch.float64))
    values, vectors = symmetric_eigh(symmetric(30))
    assert (values[:-1] >= values[1:]).all()
    assert_close((vectors * values) @ vectors.T, symmetric(30))
    assert_close(vectors.T @ vectors, torch.eye(30, dtype=torch.float64))
    assert_close(values, symmetric_eigenvalues(symmetric(30)))


def test_float32_is_decomposed_in_float64_without_gradient():
    matrix = torch.diag(torch.tensor([1.0, 1e-12])).requires_grad_()
    values = symmetric_eigenvalues(matrix)
    assert values.dtype == torch.float64
    assert not values.requires_grad
    assert_close(values[1], torch.tensor(1e-12).double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("decompose", [symmetric_eigenvalues, symmetric_eigh])
def test_what_cannot_be_decomposed_is_refused(decompose):
    square = "Give a covariance or a Gram matrix."
    assert refused(lambda: decompose(torch.zeros(0, 0))) == f"Expected a square matrix, got shape (0, 0). {square}"
    broken = symmetric(3)
    broken[2, 1] = torch.nan
    assert refused(lambda: decompose(broken)) == (
        "Expected a finite matrix, got NaN or infinity in it. "
        "Look for NaN, or for diverged weights, in what it was computed from."
    )
    broken[2, 1] = -torch.inf
    assert refused(lambda: decompose(broken)).startswith("Expected a finite matrix")
    lopsided = torch.tensor([[1.0, 0.5], [0.0, 1.0]])
    assert refused(lambda: decompose(lopsided)) == (
        f"Expected a symmetric matrix, got entries that differ by 0.5 from their mirror image. {square}"
    )


def test_an_oblong_is_refused_without_the_type_checker():
    with pytest.raises(ValueError) as refusal:
        linalg._checked(torch.zeros(2, 3), 10)
    assert str(refusal.value) == ("Expected a square matrix, got shape (2, 3). Give a covariance or a Gram matrix.")


def test_a_side_beyond_32_bit_lapack_is_refused():
    assert refused(lambda: linalg._checked(torch.eye(4), 3)) == (
        "Expected a side of at most 3 on the CPU, got 4. Take fewer stimuli or units, or a GPU."
    )


def failing(times, monkeypatch, name="eigvalsh"):
    real, seen = getattr(torch.linalg, name), []

    def solver(matrix):
        seen.append(matrix)
        if len(seen) <= times:
            raise torch.linalg.LinAlgError("did not converge\nsecond line")
        return real(matrix)

    monkeypatch.setattr(torch.linalg, name, solver)
    return seen


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_failing_solver_is_tried_again_with_jitter(times, monkeypatch):
    truth = torch.linalg.eigvalsh(symmetric(20)).flip(0)
    seen = failing(times, monkeypatch)
    assert_close(symmetric_eigenvalues(symmetric(20)), truth, rtol=0, atol=256 * 2.0**-52 * float(symmetric(20).norm()))
    assert len(seen) == times + 1
    assert not torch.equal(seen[-1], symmetric(20))


def test_a_solver_that_always_fails_is_refused_in_one_sentence(monkeypatch):
    failing(99, monkeypatch, "eigh")
    assert refused(lambda: symmetric_eigh(symmetric(3))) == (
        "Expected a matrix whose eigenvalues converge, got 'did not converge' on the device, on the CPU and with "
        "jitter. Look at the matrix: its entries may span too many decades."
    )


# --------------------------------------------------------------------- second moments


def rows(stimuli, units, offset=0.0, seed=0):
    return torch.randn(stimuli, units, generator=seeded(seed), dtype=torch.float64) + offset


def test_sums_over_units_equal_the_definition():
    sums = UnitSide(5)
    sums.add(rows(11, 5))
    assert_close(sums.matrix / 10, covariance(rows(11, 5)), rtol=0, atol=1e-13)
    assert_close(sums.mean, rows(11, 5).mean(0))


def test_sums_of_two_machines_merge():
    first, second, whole = UnitSide(4), UnitSide(4), UnitSide(4)
    everything = rows(30, 4, offset=100.0)
    first.add(everything[:7])
    second.add(everything[7:])
    whole.add(everything)
    first.merge(second.count, second.mean, second.matrix)
    first.merge(0, second.mean, second.matrix)
    assert first.count == 30
    assert_close(first.matrix, whole.matrix, rtol=1e-12, atol=1e-11)


def test_a_large_mean_costs_no_digits():
    # E[xx'] - mm' would leave nothing at all here: 1e16 in squares, 1e-12 relative variance
    small = rows(200, 3)
    sums = UnitSide(3)
    for part in (small + 1e8).split(13):
        sums.add(part)
    shifted = (small + 1e8) - (small + 1e8).mean(0)
    assert_close(sums.matrix, shifted.T @ shifted, rtol=1e-7, atol=1e-6)


def test_mixed_precision_is_close_and_not_equal():
    exact, mixed = UnitSide(6), UnitSide(6, "mixed")
    for sums in (exact, mixed):
        sums.add(rows(500, 6))
    error = float((exact.matrix - mixed.matrix).abs().max() / exact.matrix.max())
    assert 0 < error < 1e-6


def test_blocks_do_not_change_the_sums(monkeypatch):
    whole = rows(40, 7)
    monkeypatch.setattr(linalg, "BLOCK", 20)
    monkeypatch.setattr(linalg, "PANEL", 3)
    sums = UnitSide(7)
    sums.add(whole)
    centred = whole - whole.mean(0)
    assert_close(sums.matrix, centred.T @ centred)


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_both_triangles_are_filled_however_many_panels_there_are(precision):
    whole = rows(10, 300)
    centred = whole - whole.mean(0)
    sums = UnitSide(300, precision)
    for part in whole.split(3):
        sums.add(part)
        assert torch.equal(sums.matrix, sums.matrix.T)
    assert_close(sums.matrix, centred.T @ centred, rtol=0, atol=1e-11 if precision == "float64" else 1e-4)
