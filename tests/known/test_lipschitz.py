import math

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.smoothness.lipschitz import Lipschitz
from eigenfall.smoothness.spectralnorm import SpectralNorm


def built(*modules):
    model = nn.Sequential(*modules)
    generator = seeded(7)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 3
    return model.double()


def inputs(count=5, width=6):
    return torch.rand(count, width, generator=seeded(1), dtype=torch.float64)


def measured(model, at, layer="outputs", **settings):
    return Lipschitz(**settings)(model, at, layer, seeded(0)).values


@pytest.mark.parametrize("directions", ["random", "stretched"])
def test_a_linear_map_has_its_own_norm_everywhere(directions):
    model = built(nn.Linear(6, 4))
    truth = torch.linalg.matrix_norm(model[0].weight.detach(), 2).expand(5)
    assert_close(measured(model, inputs(), directions=directions), truth, rtol=1e-9, atol=0)


class Bump(nn.Module):
    """Slope 1 but for a steep piece between .5 and .6."""

    def forward(self, x):
        return x + 9 * (x - 0.5).clamp(0, 0.1)


def test_a_steep_piece_nearby_is_found_along_the_way_and_not_beyond_the_radius():
    at = torch.tensor([[0.45]], dtype=torch.float64)
    assert_close(measured(Bump(), at, radius=0.04), torch.ones(1).double())
    assert_close(measured(Bump(), at, radius=0.1), torch.full((1,), 10.0).double())
    # one point at the end, in the flat beyond: only the quotient (.3 + .9)/.3 sees it
    assert_close(measured(Bump(), at, radius=0.3, points=1), torch.full((1,), 4.0).double())


def test_it_is_never_below_the_norm_at_the_input_nor_above_a_global_bound():
    model = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    found, here = measured(model, inputs()), SpectralNorm()(model, inputs(), "outputs", seeded(0)).values
    bound = math.prod(float(torch.linalg.matrix_norm(model[place].weight.detach(), 2)) for place in (0, 2))
    assert (found >= here).all()
    assert (found <= bound).all()


def test_segments_to_given_ends():
    at = torch.tensor([[0.45], [0.2]], dtype=torch.float64)
    ends = torch.tensor([[[0.55], [0.2]], [[0.3], [0.3]]], dtype=torch.float64)  # one ends where it begins
    for chunk_size in (None, 1):
        part = Lipschitz(points=2, chunk_size=chunk_size)
        found = part.between(Bump(), at, ends, "outputs", seeded(0))
        assert_close(found.values, torch.tensor([10.0, 1.0]).double())
        assert found.method == "lipschitz, 2 given segments, 2 points, lower bound"


def test_ends_are_clipped_to_the_bounds():
    class Beyond(nn.Module):
        def forward(self, x):
            return x + 9 * (x - 1).relu()

    at = torch.tensor([[0.95]], dtype=torch.float64)
    assert_close(measured(Beyond(), at, radius=0.2), torch.full((1,), 10.0).double())
    assert_close(measured(Beyond(), at, radius=0.2, bounds=(0.0, 1.0)), torch.ones(1).double())


def test_wide_layers_are_iterated_and_agree():
    model = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    exact = measured(model, inputs(2))
    assert_close(measured(model, inputs(2), exact_values=0, steps=2000), exact, rtol=1e-3, atol=0)


def test_settings_and_ends_that_do_not_fit_are_refused():
    assert refusal(Lipschitz, radius=0.0) == (
        "Expected a radius above 0, and at least one segment and one point on it, "
        "got radius=0.0, segments=4, points=4. Use radius=0.1, segments=4 and points=4, which are the defaults."
    )
    assert refusal(Lipschitz, steps=0) == (
        "Expected exact_values of 0 or more, a tolerance above 0 and at least one step, "
        "got exact_values=64, tolerance=0.0001, steps=0. Use tolerance=1e-4 and steps=200, which are the defaults."
    )
    assert refusal(Lipschitz().between, built(nn.Linear(6, 4)), inputs(), inputs(), "outputs", seeded(0)) == (
        "Expected ends of shape (segments, 5, 6), got (5, 6). "
        "Stack the perturbed inputs of each attack along a first axis."
    )
