"""The closed form of ‖J‖_F against autograd and against frobenius; planes of inputs, place by place."""

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.blocks import RePU, joined
from eigenfall.heads.repu import RePUHead
from eigenfall.hiddenlandscapes import hidden_landscape, repu_jacobian_norms
from eigenfall.planes import places, plane_points, random_planes
from eigenfall.smoothness.frobenius import Frobenius

INPUTS = torch.randn(7, 2, 3, generator=seeded(0), dtype=torch.float64)
WEIGHTS = torch.randn(5, 6, generator=seeded(1), dtype=torch.float64)
BIAS = torch.randn(5, generator=seeded(2), dtype=torch.float64)


def by_autograd(power, scale, bias=None):
    """The norm of the whole Jacobian, one input after the other."""
    norms = []
    for one in INPUTS:
        jacobian = torch.autograd.functional.jacobian(
            lambda x: (nn.functional.linear(x.flatten(), WEIGHTS, bias) / scale).relu() ** power, one
        )
        norms.append(jacobian.norm())
    return torch.stack(norms)


@pytest.mark.parametrize("power", [1.0, 1.25, 2.0, 4.5])
@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("bias", [None, BIAS], ids=["plain", "bias"])
def test_the_closed_form_is_what_autograd_finds(power, scale, bias):
    found = repu_jacobian_norms(WEIGHTS, INPUTS, power, scale, bias)
    assert_close(found, by_autograd(power, scale, bias), rtol=1e-12, atol=1e-12)


def test_a_relu_sums_the_rows_of_active_units():
    active = INPUTS.flatten(1) @ WEIGHTS.T > 0
    expected = torch.stack([WEIGHTS[rows].norm() for rows in active])
    assert_close(repu_jacobian_norms(WEIGHTS, INPUTS, 1.0), expected)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_silent_unit_and_no_input(power):
    assert repu_jacobian_norms(WEIGHTS, torch.zeros_like(INPUTS), power).tolist() == [0.0] * 7
    assert repu_jacobian_norms(WEIGHTS, INPUTS[:0], power).shape == (0,)


def test_scaling_inputs_scales_norms_by_a_power():
    once, twice = (repu_jacobian_norms(WEIGHTS, factor * INPUTS, 3.0) for factor in (1, 2))
    assert_close(twice, 4 * once)


def test_memory_changes_nothing():
    assert_close(repu_jacobian_norms(WEIGHTS, INPUTS, 2.0, memory=1e-9), repu_jacobian_norms(WEIGHTS, INPUTS, 2.0))


def model(power=2.0, scale=0.7):
    layer = nn.Linear(6, 5, bias=False, dtype=torch.float64)
    layer.weight.data = WEIGHTS.clone()
    return joined(layer.requires_grad_(False), RePUHead(power, scale)(5, 3, seeded(3)).double())


@pytest.mark.parametrize("power", [1.0, 4.5])
def test_it_is_what_frobenius_finds_of_hidden1(power):
    made = model(power)
    found = Frobenius(projections=None)(made, INPUTS, "hidden1", seeded(0)).values
    assert_close(repu_jacobian_norms(made.currents.weight, INPUTS, power, 0.7), found, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------------------------- planes


def test_a_plane_of_points_is_x0_and_two_orthonormal_directions():
    points = plane_points(INPUTS[0], seeded(4), extent=3.0, steps=5)
    assert points.shape == (5, 5, 2, 3)
    assert_close(points[2, 2], INPUTS[0])
    right, up = ((points[2, 4] - INPUTS[0]) / 3, (points[4, 2] - INPUTS[0]) / 3)
    gram = torch.stack([right.flatten(), up.flatten()])
    assert_close(gram @ gram.T, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-12)
    (plane,) = random_planes(INPUTS[:1], seeded(4))
    one = places(plane, torch.tensor([1.5], dtype=torch.float64), torch.tensor([-3.0], dtype=torch.float64))
    assert_close(points[0, 3], one[0])


@pytest.mark.parametrize("memory", [1.0, 1e-6])
def test_a_landscape_is_what_the_model_makes_of_each_point(memory):
    made = model()
    (plane,) = random_planes(INPUTS[:1], seeded(4))
    seen = hidden_landscape(made, plane, reach=3.0, steps=6, memory=memory)
    points = plane_points(INPUTS[0], seeded(4), extent=3.0, steps=6)
    for row in range(6):
        for column in range(6):
            point = points[row, column]
            jacobian = torch.autograd.functional.jacobian(lambda x: made.hidden1(made.currents(x.flatten())), point)
            logits = made(point[None])[0].detach()
            assert float(seen.norms[row, column]) == pytest.approx(float(jacobian.norm()), rel=1e-12)
            assert int(seen.classes[row, column]) == int(logits.argmax())
            assert float(seen.certainty[row, column]) == pytest.approx(float(logits.softmax(0).max()), rel=1e-12)
    assert (seen.reach, seen.plane) == (3.0, plane)
    assert made.training  # as it was found


def test_a_relu_counts_as_power_one_and_what_follows_it_is_left_out():
    (plane,) = random_planes(INPUTS[:1], seeded(4))
    plain = hidden_landscape(model(1.0, 1.0), plane, 3.0, 4)
    norm = nn.BatchNorm1d(5, dtype=torch.float64)
    norm.running_var.fill_(9.0)
    for hidden in (nn.ReLU(), nn.Sequential(OrderedDict(activation=RePU(1.0), batch_norm=norm))):
        other = model()
        other.hidden1 = hidden
        assert_close(hidden_landscape(other, plane, 3.0, 4).norms, plain.norms)


# ------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"power": 0.5}, "Expected a power of 1 or more, got 0.5. A power of 1 is a ReLU."),
        ({"scale": 0.0}, "Expected a scale above 0, got 0. A scale of 1 leaves currents as they are."),
        ({"memory": 0.0}, "Expected some memory, got memory=0. Use memory=1.0, in GB."),
        (
            {"inputs": INPUTS[:, :1]},
            "Expected inputs of 6 values, as the weights have, got 3. Give images of the data that the layer was made "
            "for.",
        ),
        (
            {"inputs": INPUTS / 0},
            "Expected a finite layer, got NaN or infinity at 7 of 7 places. Look for diverged weights, or inputs that "
            "are not finite.",
        ),
    ],
)
def test_norms_that_cannot_be(changed, message):
    assert refusal(repu_jacobian_norms, **{"weights": WEIGHTS, "inputs": INPUTS, "power": 2.0, **changed}) == message


def test_landscapes_that_cannot_be():
    (plane,) = random_planes(INPUTS[:1], seeded(4))
    assert refusal(hidden_landscape, model(), plane, 0.0, 4) == (
        "Expected a reach above 0 and 2 steps or more, got reach=0, steps=4. The paper's are 20 and 100."
    )
    assert refusal(plane_points, INPUTS[0], seeded(0), 3.0, 1) == (
        "Expected an extent above 0 and 2 steps or more, got extent=3, steps=1. Holzhausen et al. use 20 and 100."
    )
    other = model()
    other.hidden1 = nn.Tanh()
    assert refusal(hidden_landscape, other, plane, 3.0, 4) == (
        "Expected a model with linear currents, and hidden1 that begins with a rectified power or a ReLU, got currents "
        "Linear and hidden1 Tanh. Use frobenius of kind smoothness, which takes any layer."
    )
    lost = replace(plane, origin=plane.origin * torch.nan)
    assert refusal(hidden_landscape, model(), lost, 3.0, 4) == (
        "Expected a finite layer, got NaN or infinity at 16 of 16 places. Look for diverged weights, or inputs that "
        "are not finite."
    )
