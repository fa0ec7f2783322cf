import math

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.smoothness._singular import leading
from eigenfall.smoothness.spectralnorm import SpectralNorm

ITERATED = {"exact_values": 0, "steps": 2000}


def built(*modules, dtype=torch.float64):
    """Modules with weights that depend on no global state."""
    model = nn.Sequential(*modules)
    generator = seeded(7)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 3
    return model.to(dtype)


def inputs(count=9, *shape, dtype=torch.float64):
    return torch.rand(count, *(shape or (6,)), generator=seeded(1), dtype=torch.float64).to(dtype)


def norms(model, at, layer="outputs", seed=0, **settings):
    return SpectralNorm(**settings)(model, at, layer, seeded(seed)).values


def jacobians(model, at):
    """Every Jacobian as a matrix, `(inputs, values, input values)`."""
    found = [torch.autograd.functional.jacobian(lambda x: model(x[None])[0].flatten(), one) for one in at]
    return torch.stack([one.flatten(1) for one in found])


@pytest.mark.parametrize("settings", [{}, ITERATED])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-5)])
def test_a_linear_map_has_the_largest_singular_value_of_its_weights(settings, dtype, tolerance):
    model = built(nn.Linear(6, 4), dtype=dtype)
    truth = torch.linalg.matrix_norm(model[0].weight.detach().double(), 2).expand(9)
    assert_close(norms(model, inputs(dtype=dtype), **settings), truth, rtol=tolerance, atol=0)


@pytest.mark.parametrize("settings", [{}, ITERATED])
def test_a_scaled_isometry_stretches_by_its_scale(settings):
    model = nn.Sequential(nn.Linear(6, 4, bias=False)).double()
    model[0].weight.data = 2.5 * torch.linalg.qr(torch.randn(6, 6, generator=seeded(0), dtype=torch.float64)).Q[:4]
    assert_close(norms(model, inputs(), **settings), torch.full((9,), 2.5, dtype=torch.float64))


@pytest.mark.parametrize("settings", [{}, ITERATED])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lies_within_a_thousandth_of_the_singular_values(settings, dtype):
    model = built(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 7), nn.ReLU(), dtype=dtype)
    at = inputs(5, 1, 6, 6, dtype=dtype)
    truth = torch.linalg.matrix_norm(jacobians(model.double(), at.double()), 2)
    found = norms(model.to(dtype), at, **settings)
    assert_close(found, truth, rtol=1e-3, atol=1e-12)
    assert (found <= truth * (1 + 1e-6)).all()


def test_the_iteration_never_passes_the_truth_and_says_how_far_it_is():
    model, at = built(nn.Linear(6, 70), nn.Tanh(), nn.Linear(70, 70)), inputs(20)
    truth = torch.linalg.matrix_norm(jacobians(model, at), 2)
    for steps in (1, 3, 400):
        found = SpectralNorm(steps=steps)(model, at, "outputs", seeded(0))
        assert (found.values <= truth * (1 + 1e-12)).all()
        # a squared singular value lies within the residual of the squared value
        squares = torch.linalg.svdvals(jacobians(model, at)).square()
        nearest = (squares - found.values.square()[:, None]).abs().amin(1)
        assert (nearest <= found.residuals * found.values.square() * (1 + 1e-9)).all()
        assert found.method == f"spectralnorm, at most {steps} power steps, lower bound"
    assert (found.residuals <= 1e-4).all()
    assert_close(found.values, truth, rtol=1e-3, atol=0)


def test_small_layers_are_exact_and_carry_no_residual():
    found = SpectralNorm()(built(nn.Linear(6, 64)), inputs(), "outputs", seeded(0))
    assert found.residuals is None
    assert (found.quantity, found.method) == ("spectral_norm", "spectralnorm, exact")
    assert SpectralNorm()(built(nn.Linear(6, 65)), inputs(), "outputs", seeded(0)).residuals is not None


def test_it_lies_between_the_frobenius_norm_over_root_rank_and_the_frobenius_norm():
    from eigenfall.smoothness.frobenius import Frobenius

    model = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    largest, whole = norms(model, inputs()), Frobenius()(model, inputs(), "outputs", seeded(0)).values
    assert (largest <= whole * (1 + 1e-12)).all()
    assert (whole <= math.sqrt(4) * largest * (1 + 1e-12)).all()


@pytest.mark.parametrize("chunk_size", [1, 7, 50])
def test_chunks_change_no_iteration(chunk_size):
    model, at = built(nn.Linear(6, 30), nn.Tanh(), nn.Linear(30, 20)), inputs(20)
    whole = SpectralNorm(exact_values=0, steps=7)(model, at, "outputs", seeded(0))
    parts = SpectralNorm(exact_values=0, steps=7, chunk_size=chunk_size)(model, at, "outputs", seeded(0))
    assert_close(parts.values, whole.values, rtol=1e-10, atol=0)
    assert_close(parts.residuals, whole.residuals, rtol=1e-6, atol=1e-12)


def test_a_layer_that_does_not_move_has_norm_zero():
    model = built(nn.Linear(6, 8), nn.ReLU())
    model[0].bias.data -= 100
    assert (norms(model, inputs()) == 0).all()
    assert (norms(model, inputs(), **ITERATED) == 0).all()


def test_squares_that_underflow_are_scaled_first():
    model = nn.Sequential(nn.Linear(6, 4)).double()
    model[0].weight.data = 1e-170 * torch.randn(4, 6, generator=seeded(0), dtype=torch.float64)
    truth = torch.linalg.matrix_norm(model[0].weight.detach() * 1e170, 2) * 1e-170
    assert_close(norms(model, inputs(1)), truth[None], rtol=1e-10, atol=0)


def test_the_direction_is_the_one_stretched_most():
    model, at = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)), inputs().requires_grad_()
    truth = torch.linalg.svd(jacobians(model, at.detach())).Vh[:, 0]
    for starts in (None, torch.randn(9, 6, generator=seeded(0), dtype=torch.float64)):
        found = leading(model(at), at, starts, 1e-10, 5000)
        assert_close((found.directions * truth).sum(1).abs(), torch.ones(9, dtype=torch.float64), rtol=0, atol=1e-6)


def test_settings_that_measure_nothing_are_refused():
    assert refusal(SpectralNorm, tolerance=0.0) == (
        "Expected exact_values of 0 or more, a tolerance above 0 and at least one step, "
        "got exact_values=64, tolerance=0.0, steps=200. Use tolerance=1e-4 and steps=200, which are the defaults."
    )
    assert refusal(SpectralNorm, chunk_size=0) == (
        "Expected some memory, and one input at a time or more, got memory=1.0, chunk_size=0. "
        "Use memory=1.0, in GB, which is the default."
    )


def test_diverged_weights_are_refused():
    model = built(nn.Linear(6, 8))
    model[0].weight.data[0, 0] = torch.inf
    for settings in ({}, ITERATED):
        assert refusal(norms, model, inputs(), **settings) == (
            "Expected a finite Jacobian of 'outputs', got NaN or infinity at 9 of 9 inputs. "
            "Look for diverged weights, or inputs that are not finite."
        )
