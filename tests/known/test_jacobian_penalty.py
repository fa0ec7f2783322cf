"""The Jacobian penalty against exact norms, closed forms and finite differences."""

from dataclasses import replace

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


# ---------------------------------------------------------------- the preset of Holzhausen et al.

SLIP = PRESETS["holzhausen2024"]


@pytest.fixture
def shlp():
    """Currents of 6 units from 5 inputs without bias, a ReLU, a readout."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential()
        for name, module in (
            ("currents", nn.Linear(5, 6, bias=False)),
            ("hidden1", nn.ReLU()),
            ("readout", nn.Linear(6, 3)),
        ):
            model.add_module(name, module)
        return model.double()


def through(model, inputs):
    inputs = inputs.clone().requires_grad_()
    outputs, hidden = hidden_of(model, inputs, ["currents"])
    targets = torch.zeros(len(inputs), dtype=torch.int64)
    return ForwardPass(inputs, targets, outputs, hidden, dict(model.named_parameters()))


def rows(count):
    return torch.randn(count, 5, generator=seeded(7), dtype=torch.float64)


def as_published(weights, batch, generator):
    """The released loop on h = x Wᵀ: directions normalised by input once, then, flattened, over everything."""
    units, total = len(weights), 0.0
    for projection in range(3):
        v = torch.randn(batch, units, generator=generator, dtype=torch.float64).tolist()
        if projection == 0:
            lengths = [sum(value**2 for value in row) ** 0.5 for row in v]
        else:
            lengths = [sum(value**2 for row in v for value in row) ** 0.5] * batch
        for row, length in zip(v, lengths):
            for column in weights.T.tolist():
                product = sum(weight * value / length for weight, value in zip(column, row))
                total += units * product**2 / (3 * batch)
    return 1e-3 * total


@pytest.mark.parametrize("batch", [1, 2, 9])
def test_the_published_slip_is_its_loop(batch, shlp):
    found = SLIP(through(shlp, rows(batch)), None, seeded(4))
    looped = as_published(shlp.currents.weight.detach(), batch, seeded(4))
    assert float(found.total.detach()) == pytest.approx(looped, rel=1e-12)
    assert float(found.per_layer["currents"]) == pytest.approx(1e3 * looped, rel=1e-12)


def test_the_published_slip_asks_for_these_settings():
    assert JacobianNorm(strength=1e-3, layer="currents", projections=3, half=False, unit="first_input") == SLIP
    assert SLIP.layers == ("currents",)


@pytest.mark.parametrize("projections", [1, 3, None])
def test_currents_have_half_the_squared_norm_of_their_weights(projections, shlp):
    """Defects 1 and 2: for a linear target the mean is ½‖W‖², whatever the number of projections."""
    part = JacobianNorm(strength=1e-3, layer="currents", projections=projections)
    expected = 0.5e-3 * float(shlp.currents.weight.detach().square().sum())
    draws = torch.stack([part(through(shlp, rows(20)), None, seeded(seed)).total.detach() for seed in range(200)])
    error = float(draws.std()) / 200**0.5
    assert float(draws.mean()) == pytest.approx(expected, rel=1e-12, abs=4 * error if projections else 0)
    assert error < 0.01 * expected


@pytest.mark.parametrize("batch", [2, 20])
def test_the_published_slip_is_a_third_of_the_squared_norm(batch, shlp):
    expected = 1e-3 * (1 + 2 / batch) / 3 * float(shlp.currents.weight.detach().square().sum())
    draws = torch.stack([SLIP(through(shlp, rows(batch)), None, seeded(seed)).total.detach() for seed in range(600)])
    error = float(draws.std()) / 600**0.5
    assert float(draws.mean()) == pytest.approx(expected, abs=4 * error)
    assert error < 0.02 * expected


def test_each_slip_alone(shlp):
    """Without ½ the exact penalty is the norm; the slip of lengths begins with the second projection."""
    forward_pass, weights = through(shlp, rows(20)), shlp.currents.weight.detach()
    exact = JacobianNorm(strength=1.0, layer="currents", projections=None, half=False)
    assert_close(exact(forward_pass, None, seeded(0)).total.detach(), weights.square().sum())
    single = [replace(SLIP, projections=1, unit=unit) for unit in ("input", "first_input")]
    first, second = (part(forward_pass, None, seeded(0)).total for part in single)
    assert float(first.detach()) == float(second.detach())


@pytest.mark.parametrize(
    "part, factor",
    [
        (JacobianNorm(strength=1e-3, layer="currents", projections=None), 1e-3),
        (SLIP, 2e-3 * (1 + 2 / 20) / 3),
    ],
    ids=["exact", "published"],
)
def test_the_gradient_of_a_linear_target_decays_the_weights(part, factor, shlp):
    """Its mean is factor · W, and nothing else is moved: the penalty is weight decay of W."""
    weight, gradients = shlp.currents.weight, []
    for seed in range(600 if part is SLIP else 1):
        shlp.zero_grad()
        part(through(shlp, rows(20)), None, seeded(seed)).total.backward()
        gradients.append(weight.grad.clone())
        assert all(values.grad is None for values in shlp.readout.parameters())
    found = torch.stack(gradients)
    apart = (found.mean(0) - factor * weight.detach()).abs()
    assert bool((apart <= 4 * found.std(0, correction=0) / len(found) ** 0.5 + 1e-14).all())
    assert float(apart.norm()) < 0.05 * factor * float(weight.detach().norm())


@pytest.mark.parametrize("part", [SLIP, JacobianNorm(layer="currents", projections=None)], ids=["published", "exact"])
def test_a_linear_target_does_not_see_the_inputs(part, shlp):
    values = [part(through(shlp, scale * rows(20)), None, seeded(0)).total.detach() for scale in (1.0, -3.0)]
    assert_close(*values, rtol=1e-12, atol=0)


def test_the_default_target_is_the_logits_whose_gradient_sees_the_inputs(shlp):
    """Defects 1 and 5: another input, another gradient, in the readout too, and none is zero."""
    assert JacobianNorm().layer == "outputs"
    found = []
    for inputs in (rows(20), rows(20).flip(1)):
        shlp.zero_grad()
        JacobianNorm(strength=1.0, projections=None)(through(shlp, inputs), None, seeded(0)).total.backward()
        found.append([shlp.currents.weight.grad.clone(), shlp.readout.weight.grad.clone()])
    for one, other in zip(*found):
        assert float(one.norm()) > 0
        assert float((one - other).norm()) > 0.05 * float(one.norm())


def test_a_second_penalty_leaves_the_first_alone(shlp):
    """Defect 3 of the published code: settings lay on the class."""
    first = JacobianNorm()
    before = first(through(shlp, rows(9)), None, seeded(0)).total
    SLIP(through(shlp, rows(9)), None, seeded(0)).total.backward()
    assert first == JacobianNorm(strength=0.01, layer="outputs", projections=1, half=True, unit="input")
    assert float(first(through(shlp, rows(9)), None, seeded(0)).total.detach()) == float(before.detach())


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


@pytest.mark.parametrize("channels", [1, 3, 7])
def test_images_of_several_channels_have_the_norm_of_all_classes(channels):
    """However many channels the inputs have, C is the number of logits: four."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(channels, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(12, 4)).double()
    images = torch.rand(5, channels, 3, 3, generator=seeded(2), dtype=torch.float64)
    exact = naive.squared_jacobian(model, images) / 2

    def value(projections, seed):
        part = JacobianNorm(strength=1.0, projections=projections)
        inputs = images.clone().requires_grad_()
        outputs, hidden = hidden_of(model, inputs, [])
        targets = torch.zeros(len(inputs), dtype=torch.int64)
        forward_pass = ForwardPass(inputs, targets, outputs, hidden, dict(model.named_parameters()))
        return float(part(forward_pass, None, seeded(seed)).total.detach())

    assert value(None, 0) == pytest.approx(exact)
    drawn = torch.tensor([value(1, seed) for seed in range(300)], dtype=torch.float64)
    assert abs(float(drawn.mean()) - exact) < 4 * float(drawn.std()) / 300**0.5 < 0.3 * exact


def test_the_preset_is_the_released_one():
    assert PRESETS["nassar2020"] == JacobianNorm(strength=0.01, layer="outputs", projections=1, half=True, unit="input")
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
