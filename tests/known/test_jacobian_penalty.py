"""The Jacobian penalty against exact norms, closed forms and finite differences."""

import naive
import pytest
import torch
from exact import seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.layers import hidden_of
from eigenfall.penalties.jacobian import PRESETS, JacobianNorm
from eigenfall.types import ForwardPass, Reference


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 4)).double()


def images(count=12):
    return torch.rand(count, 6, generator=seeded(1), dtype=torch.float64)


def passed(model, inputs):
    inputs = inputs.clone().requires_grad_()
    outputs, hidden = hidden_of(model, inputs, ["1"])
    targets = torch.zeros(len(inputs), dtype=torch.int64)
    return ForwardPass(inputs, targets, outputs, hidden, dict(model.named_parameters()))


def half_norm(part, model, inputs, seed=0):
    return part(passed(model, inputs), None, seeded(seed)).total / part.strength


@pytest.mark.parametrize("layer", ["outputs", "1"])
def test_every_direction_gives_the_exact_norm(layer, model):
    part = JacobianNorm(layer=layer, projections=None)
    function = model if layer == "outputs" else model[:2]
    found = part(passed(model, images()), None, seeded(0))
    assert float(found.total.detach()) == pytest.approx(0.01 * naive.squared_jacobian(function, images()) / 2)
    assert set(found.per_layer) == {layer}
    assert float(found.per_layer[layer]) == pytest.approx(naive.squared_jacobian(function, images()) / 2)
    assert found.state is None


@pytest.mark.parametrize("layer", ["outputs", "1"])
@pytest.mark.parametrize("projections", [1, 3])
def test_the_mean_over_draws_is_the_exact_norm(layer, projections, model):
    part = JacobianNorm(layer=layer, projections=projections)
    exact = float(half_norm(JacobianNorm(layer=layer, projections=None), model, images()).detach())
    draws = torch.stack([half_norm(part, model, images(), seed).detach() for seed in range(300)])
    assert float(draws.mean()) == pytest.approx(exact, abs=4 * float(draws.std()) / 300**0.5)
    assert float(draws.std()) / 300**0.5 < 0.02 * exact


def test_more_projections_vary_less(model):
    spreads = [
        float(
            torch.stack([half_norm(JacobianNorm(projections=m), model, images(), s).detach() for s in range(100)]).std()
        )
        for m in (1, 4, 16)
    ]
    assert spreads[0] / spreads[1] == pytest.approx(2, rel=0.35)
    assert spreads[1] / spreads[2] == pytest.approx(2, rel=0.35)


def test_a_linear_map_has_the_norm_of_its_weights():
    linear = nn.Linear(6, 4).double()
    found = half_norm(JacobianNorm(projections=None), nn.Sequential(linear, nn.Identity()), images())
    assert_close(found, linear.weight.square().sum() / 2)


def test_it_depends_on_the_inputs(model):
    part = JacobianNorm(projections=None)
    assert float(half_norm(part, model, images()).detach()) != float(half_norm(part, model, 3 * images()).detach())
    # where tanh is saturated, the map is flat
    assert float(half_norm(part, model, 1e4 * images()).detach()) < 1e-6


@pytest.mark.parametrize("projections", [1, None])
@pytest.mark.parametrize("layer", ["outputs", "1"])
def test_the_gradient_is_that_of_finite_differences(projections, layer, model):
    part = JacobianNorm(strength=1.0, layer=layer, projections=projections)
    weight = model[0].weight
    half_norm(part, model, images()).backward()
    direction = torch.randn(weight.shape, generator=seeded(2), dtype=torch.float64)
    along = float((weight.grad * direction).sum())
    assert abs(along) > 1e-3
    ends = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            weight += step * direction
        ends.append(float(half_norm(part, model, images()).detach()))
    assert along == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_convolutional_layers():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(18, 3)).double()
    inputs = torch.rand(3, 1, 5, 5, generator=seeded(0), dtype=torch.float64)
    found = half_norm(JacobianNorm(layer="1", projections=None), model, inputs)
    assert float(found.detach()) == pytest.approx(naive.squared_jacobian(model[:2], inputs) / 2)


def test_the_preset_is_the_released_one():
    assert PRESETS["nassar2020"] == JacobianNorm(strength=0.01, layer="outputs", projections=1)
    assert JacobianNorm().layers == ()
    assert JacobianNorm(layer="1").layers == ("1",)


def test_refusals(model):
    with pytest.raises(ValueError) as refusal:
        half_norm(JacobianNorm(layer="output"), model, images())
    assert str(refusal.value) == "Expected a layer that was captured, got 'output'. Did you mean 'outputs'?"
    still = passed(model, images())
    still = ForwardPass(still.inputs.detach(), still.targets, still.outputs, still.hidden, still.parameters)
    with pytest.raises(ValueError) as refusal:
        JacobianNorm()(still, None, seeded(0))
    assert str(refusal.value) == (
        "Expected inputs that require gradients, got inputs that do not. "
        "Set requires_grad on the inputs before the forward pass."
    )
    with pytest.raises(ValueError) as refusal:
        JacobianNorm(projections=0).start(Reference(0, lambda indices, mode: iter(())), seeded(0))
    assert str(refusal.value) == (
        "Expected 1 projection or more, or none for the exact norm, got 0. Use projections=1."
    )
