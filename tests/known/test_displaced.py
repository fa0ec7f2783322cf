"""Smoothness at noisy and at attacked inputs, and measures that a model refuses."""

import nets
import pytest
import torch
from exact import refusal, seeded
from torch import nn

from eigenfall.attacks.pgd import PGD
from eigenfall.displaced import displacing
from eigenfall.measurement import measure
from eigenfall.neighbourhoods import smoothing
from eigenfall.plans import Plan
from eigenfall.smoothness.distance import Distance
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.smoothnessrows import of_smoothness
from eigenfall.stages import consumed
from eigenfall.types import LpBall

PLAN = Plan(
    points=("noise", "adversarial"), epsilons=(0.02, 0.1, 0.3), noise=(0.2,), smoothness=(Frobenius(), Distance())
)


@pytest.fixture(scope="module")
def model():
    return nets.mlp()


@pytest.fixture(scope="module")
def some():
    return nets.held_out(30)


@pytest.fixture(scope="module")
def there(model, some):
    return consumed(smoothing(model, some.inputs, (), PLAN))["smoothness"]


@pytest.fixture(scope="module")
def found(model, some, there):
    return consumed(displacing(model, some, there, LpBall(), PLAN))


def test_each_measure_stands_at_each_kind_of_point(found, there):
    assert set(found["smoothness"]) - set(there) == {
        "outputs/jacobian_norm, noise σ = 0.2",
        "outputs/first_order_distance, noise σ = 0.2",
        "outputs/jacobian_norm, adversarial L∞ ε = 0.1",
        "outputs/first_order_distance, adversarial L∞ ε = 0.1",
    }
    assert {entry["points"] for entry in found["rows"]} == {"noise σ = 0.2", "adversarial L∞ ε = 0.1"}
    assert all("points" not in entry for one in there.values() for entry in of_smoothness(one, seeded(0)))


def test_values_are_those_of_the_part_at_the_moved_inputs_over_the_scale_at_the_inputs(found, there, model, some):
    moved = PGD(loss="margin")(model, some.inputs, some.targets, LpBall(), 0.1, seeded(0)).inputs
    noisy = (some.inputs + 0.2 * torch.randn(some.inputs.shape, generator=seeded(0))).clamp(0, 1)
    for inputs, points in ((moved, "adversarial L∞ ε = 0.1"), (noisy, "noise σ = 0.2")):
        value = found["smoothness"][f"outputs/jacobian_norm, {points}"]
        assert torch.allclose(value.values, Frobenius()(model, inputs, "outputs", seeded(0)).values)
        assert value.scale == there["outputs"].scale
    assert not torch.allclose(moved, some.inputs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"points": ("noise",), "noise": ()},
            "Expected noise above 0 for smoothness at points of kind noise, got none. Give --noise 0.1, say.",
        ),
        (
            {"points": ("adversarial",), "epsilons": (0.0,)},
            "Expected epsilons above 0 for smoothness at points of kind adversarial, got none. Give --epsilons 0.1, "
            "say.",
        ),
    ],
)
def test_a_plan_whose_points_have_no_budget_is_refused_before_anything_runs(settings, message):
    assert refusal(Plan, **settings) == message


def test_a_second_measure_of_the_same_at_the_same_points_is_numbered(model, some):
    plan = Plan(points=("noise",), smoothness=(Frobenius(), Frobenius(projections=2)))
    there = consumed(smoothing(model, some.inputs, (), plan))["smoothness"]
    found = consumed(displacing(model, some, there, LpBall(), plan))["smoothness"]
    assert list(found) == [
        "outputs",
        "outputs/jacobian_norm#2",
        "outputs/jacobian_norm, noise σ = 0.3",
        "outputs/jacobian_norm, noise σ = 0.3#2",
    ]


class NoGradient(nn.Module):
    """A perceptron whose outputs do not depend on its inputs by differentiable steps."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs):
        return self.model(inputs.detach())


def test_a_model_without_gradient_is_measured_in_all_else_and_p4_fails(model, some):
    plan = Plan(layers=None, preset="quick", epsilons=(0.1,), noise=(0.2,), attacked_inputs=20, smoothness_inputs=10)
    found = measure(NoGradient(model), some.inputs, some.targets, plan=plan)
    assert not found.smoothness
    assert found.notices[0] == (
        "outputs: Expected values of 'outputs' that depend on the inputs by differentiable steps, got values without a "
        "gradient. Name another layer, or take `detach` out of the model."
    )
    assert {verdict.check: verdict.verdict for verdict in found.verdicts}["p4"] == "FAIL"


def test_weights_that_are_not_finite_are_refused_before_anything_is_measured(some):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        model[1].weight[0, 0] = torch.nan
    assert refusal(measure, model, some.inputs, some.targets, plan=Plan(layers=None)).startswith(
        "Expected finite weights, got NaN or infinity in 1.weight."
    )
