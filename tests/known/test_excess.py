"""R against closed forms, finite differences and the measured table of the specification."""

import math

import naive
import pytest
import torch
from exact import power_law, seeded
from torch.autograd import gradcheck
from torch.testing import assert_close

from eigenfall.excess import anchor, current_eigenvalues, excess, exponent, projected_variances

SIDES = ("paper", "two_sided", "above", "below", "log")


def law(alpha=1.0, ranks=50):
    return power_law(alpha, ranks).eigenvalues


def gaussian(samples, eigenvalues, generator):
    return torch.randn(samples, len(eigenvalues), generator=generator, dtype=torch.float64) * eigenvalues.sqrt()


def preset(eigenvalues, alpha=1.0, tau=10):
    kappa = anchor(eigenvalues, alpha, tau, "tau")
    return excess(eigenvalues, kappa, alpha, tau, units=len(eigenvalues), zeros="skipped")


# ------------------------------------------------------------------------------ closed forms


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("how", ["tau", "ema", "window", "trace"])
def test_nothing_stands_off_an_exact_power_law(side, how):
    values = 7.0 * law(1.3)
    assert float(excess(values, anchor(values, 1.3, 10, how), 1.3, 10, side)) == pytest.approx(0, abs=1e-14)
    assert float(anchor(values, 1.3, 10, how)) == pytest.approx(7.0)


@pytest.mark.parametrize("tau", [0, 10])
def test_a_collapsed_tail_costs_one_per_rank(tau):
    values = torch.cat([law()[: tau + 1], torch.full((49 - tau,), 1e-30, dtype=torch.float64)])
    assert float(preset(values, tau=tau)) == pytest.approx((50 - tau - 1) / 50)
    assert float(excess(values, anchor(values, 1.0, tau, "tau"), 1.0, tau)) == pytest.approx(1)


def test_each_side_by_hand():
    # target at rank 3 is 1/3 and at rank 4 is 1/4: r = 1/2 and −1/2
    values = torch.tensor([9.0, 0.5, 0.5, 0.125], dtype=torch.float64)
    kappa = anchor(values, 1.0, 1, "tau")
    assert float(kappa) == 1
    expected = {
        "paper": (0.25 + 0.5 + 0.25) / 2,
        "two_sided": 0.25,
        "above": 0.125,
        "below": 0.125,
        "log": (math.log(1.5) ** 2 + math.log(2) ** 2) / 2,
    }
    for side, value in expected.items():
        assert float(excess(values, kappa, 1.0, 1, side)) == pytest.approx(value), side
        assert float(excess(values, kappa, 1.0, 1, side, units=4)) == pytest.approx(value / 2), side


def test_only_the_first_ranks_are_free():
    values = law()
    moved = values.clone()
    moved[:10] *= 5
    assert float(preset(moved)) == pytest.approx(0, abs=1e-14)
    moved[11] *= 2
    assert float(preset(moved)) == pytest.approx((1 + 1) / 50)


def test_zeros_are_kept_or_skipped():
    values = torch.cat([law()[:-1], torch.zeros(1, dtype=torch.float64)])
    kappa = anchor(values, 1.0, 10, "tau")
    assert float(excess(values, kappa, 1.0, 10)) == pytest.approx(1 / 39)
    assert float(excess(values, kappa, 1.0, 10, zeros="skipped")) == pytest.approx(0, abs=1e-14)
    assert float(excess(values, kappa, 1.0, 10, side="log")) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("side", SIDES)
def test_a_dead_code_is_held_against_nothing(side):
    values = torch.zeros(20, dtype=torch.float64, requires_grad=True)
    for how in ("tau", "window", "trace"):
        total = excess(values, anchor(values, 1.0, 5, how), 1.0, 5, side)
        (gradient,) = torch.autograd.grad(total, values)
        assert float(total.detach()) == 0
        assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=0)


def test_anchors_by_hand():
    values = torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)
    assert float(anchor(values, 2.0, 1, "tau")) == 16
    assert float(anchor(values, 1.0, 1, "absolute", scale=3.5)) == 3.5
    assert float(anchor(values, 1.0, 1, "trace")) == pytest.approx(15 / (1 + 1 / 2 + 1 / 3 + 1 / 4))
    assert float(anchor(values, 1.0, 1, "window", window=2)) == pytest.approx(math.sqrt(4 * 2 * 2 * 3))
    dead = torch.tensor([8.0, 4.0, 0.0, 1.0], dtype=torch.float64)
    assert float(anchor(dead, 1.0, 1, "window", window=2)) == pytest.approx(8)


def test_exponent_of_a_power_law():
    assert float(exponent(3 * law(1.7), 10)) == pytest.approx(1.7)
    assert float(exponent(torch.cat([law(1.7), torch.zeros(5, dtype=torch.float64)]), 10)) == pytest.approx(1.7)
    assert math.isnan(float(exponent(law(1.7), 49)))


# -------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("zeros", ["kept", "skipped"])
@pytest.mark.parametrize("degenerate", [False, True])
def test_gradient_with_the_anchor_held(side, zeros, degenerate):
    values = law(1.6, 12) if not degenerate else torch.tensor([2.0, *[1.0] * 4, *[0.29] * 7], dtype=torch.float64)
    kappa = anchor(values, 1.0, 2, "tau")
    assert gradcheck(lambda e: excess(e, kappa, 1.0, 2, side, zeros=zeros), values.clone().requires_grad_())


@pytest.mark.parametrize("how", ["tau", "window", "trace"])
def test_the_anchor_carries_no_gradient(how):
    values = law(1.6, 12).requires_grad_()
    kappa = anchor(values, 1.0, 2, how)
    assert not kappa.requires_grad
    (with_it,) = torch.autograd.grad(excess(values, values[2] * 3, 1.0, 2), values)
    (held,) = torch.autograd.grad(excess(values, values[2].detach() * 3, 1.0, 2), values)
    assert_close(with_it, held, rtol=0, atol=0)


@pytest.mark.parametrize("samples", [5, 30])
def test_variances_along_a_basis(samples):
    responses = torch.randn(samples, 8, generator=seeded(0), dtype=torch.float64) + 3
    basis = torch.linalg.qr(torch.randn(8, 6, generator=seeded(1), dtype=torch.float64)).Q
    variances, projected = projected_variances(responses, basis)
    assert_close(variances, torch.diag(basis.T @ torch.cov(responses.T) @ basis), rtol=1e-12, atol=0)
    assert_close(projected, (responses - responses.mean(0)) @ basis)
    assert gradcheck(lambda h: projected_variances(h, basis)[0], responses.requires_grad_())
    (once,) = torch.autograd.grad(projected_variances(responses, basis)[0].square().sum(), responses, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        once.sum().backward()


def test_second_moments_along_a_basis():
    """About a number instead of the mean: what a slip of Holzhausen et al. 2024 makes of a covariance."""
    responses = torch.randn(30, 8, generator=seeded(0), dtype=torch.float64) + 3
    basis = torch.linalg.qr(torch.randn(8, 6, generator=seeded(1), dtype=torch.float64)).Q
    about = [sum(float((row - 0.5) @ basis[:, n]) ** 2 for row in responses) / 29 for n in range(6)]
    variances, projected = projected_variances(responses, basis, 0.5)
    assert_close(variances, torch.tensor(about, dtype=torch.float64), rtol=1e-12, atol=0)
    assert_close(projected, (responses - 0.5) @ basis)
    assert gradcheck(lambda h: projected_variances(h, basis, 0.5)[0], responses.requires_grad_())


@pytest.mark.parametrize("samples", [6, 30])
@pytest.mark.parametrize("remembered", [False, True])
def test_exact_eigenvalues_and_their_gradient(samples, remembered):
    responses = (torch.randn(samples, 8, generator=seeded(0), dtype=torch.float64)).requires_grad_()
    earlier = torch.diag(law(1.0, 8)) if remembered else None
    values, covariance = current_eigenvalues(responses, earlier, 0.7)
    batch = torch.cov(responses.T)
    expected = torch.linalg.eigvalsh(0.7 * earlier + 0.3 * batch if remembered else batch).flip(0)[: len(values)]
    assert len(values) == (samples if samples < 8 and not remembered else 8)
    assert (covariance is None) == (samples < 8 and not remembered)
    assert_close(values, expected, rtol=1e-10, atol=1e-12)
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)
    (ours,) = torch.autograd.grad(weights @ values[:5], responses)
    (theirs,) = torch.autograd.grad(weights @ expected[:5], responses)
    assert_close(ours, theirs, rtol=1e-8, atol=1e-12)


def test_gradient_along_the_batch_own_basis_is_the_exact_one():
    responses = gaussian(60, law(1.2, 20), seeded(2)).requires_grad_()
    covariance = torch.cov(responses.T)
    basis = torch.linalg.eigh(covariance.detach()).eigenvectors
    (along,) = torch.autograd.grad(preset(projected_variances(responses, basis)[0].flip(0), tau=3), responses)
    (exact,) = torch.autograd.grad(preset(torch.linalg.eigvalsh(covariance).flip(0), tau=3), responses)
    assert_close(along, exact, rtol=1e-9, atol=1e-14)


def test_exact_gradient_is_finite_where_eigenvalues_are_equal():
    responses = torch.cat([torch.eye(6), -torch.eye(6)]).double().requires_grad_()
    values, _ = current_eigenvalues(responses)
    weights = torch.arange(6.0, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(weights @ values, responses)
    assert bool(torch.isfinite(gradient).all())
    # along any direction the sum of all eigenvalues, which is smooth, moves as the trace does
    (whole,) = torch.autograd.grad(current_eigenvalues(responses)[0].sum(), responses)
    assert_close(whole, 2 * responses.detach() / 11)


@pytest.mark.parametrize("alpha, tolerance", [(1.0, 1e-5), (2.0, 1e-4), (3.0, 1e-4)])
def test_float32_is_as_close_to_the_loop_in_float64_as_promised(alpha, tolerance):
    ranks = 200 if alpha < 3 else 100
    turn = torch.linalg.qr(torch.randn(ranks, ranks, generator=seeded(3), dtype=torch.float64)).Q
    rows = (gaussian(400, law(alpha, ranks), seeded(4)) @ turn.T).float()
    narrow, wide = rows.clone().requires_grad_(), rows.double().requires_grad_()
    basis = turn.float()
    preset(projected_variances(narrow, basis)[0].sort(descending=True).values).backward()
    naive.released_excess(wide, basis.double(), 1.0, 10).backward()
    assert float((narrow.grad.double() - wide.grad).norm() / wide.grad.norm()) < tolerance


# ------------------------------------------------------- facts measured in the specification


@pytest.mark.parametrize(
    "samples, mean, spread",
    [(50, 0.05, 0.05), (250, 0.03, 0.04), (500, 0.03, 0.03), (750, 0.02, 0.03), (2500, 0.01, 0.01)],
)
def test_projections_see_the_law_in_batches_of_any_size(samples, mean, spread):
    values, draws = law(1.0, 500), 10
    found = [
        projected_variances(gaussian(samples, values, seeded(draw)), torch.eye(500, dtype=torch.float64))[0]
        for draw in range(draws)
    ]
    excesses = [float(preset(along.sort(descending=True).values)) for along in found]
    assert sum(excesses) / draws == pytest.approx(mean, abs=3 * spread / math.sqrt(draws) + 0.005)
    alphas = [float(exponent(along[:400], 10)) for along in found]
    assert sum(alphas) / draws == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    "samples, alpha, mean, spread", [(500, 1.51, 0.33, 0.01), (750, 1.30, 0.21, 0.01), (2500, 1.08, 0.04, 0.01)]
)
def test_exact_batch_eigenvalues_are_biased_as_measured(samples, alpha, mean, spread):
    rows = gaussian(samples, law(1.0, 500), seeded(0))
    found, _ = current_eigenvalues(rows)
    assert float(preset(found)) == pytest.approx(mean, abs=3 * spread)
    assert float(exponent(found[:400], 10)) == pytest.approx(alpha, abs=0.03)


@pytest.mark.parametrize("zeros", ["kept", "skipped"])
def test_an_eigenvalue_that_is_no_number_is_not_passed_over(zeros):
    eigenvalues = torch.arange(1, 21, dtype=torch.float64) ** -1.0
    eigenvalues[15] = math.nan
    assert math.isnan(float(excess(eigenvalues, torch.tensor(1.0, dtype=torch.float64), 1.0, 3, zeros=zeros)))
