"""Weight decay in closed form."""

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.penalties.weightdecay import PRESETS, WeightDecay
from eigenfall.types import ForwardPass, Reference


def passed(**parameters):
    return ForwardPass(torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64), torch.zeros(2, 2), {}, parameters)


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_half_the_sum_of_squares():
    weight, bias = leaf([1.0, 2.0], [3.0, 4.0]), leaf(5.0, 6.0)
    without = WeightDecay(strength=0.1)(passed(weight=weight, bias=bias), None, seeded(0))
    assert float(without.total.detach()) == pytest.approx(0.1 * 30 / 2)
    assert {name: float(value) for name, value in without.per_layer.items()} == {"weight": 15.0}
    whole = WeightDecay(strength=0.1, biases=True)(passed(weight=weight, bias=bias), None, seeded(0))
    assert float(whole.total.detach()) == pytest.approx(0.1 * 91 / 2)
    assert whole.state is None


def test_the_gradient_is_strength_times_the_weight():
    weight, bias = leaf([1.0, 2.0], [3.0, 4.0]), leaf(5.0, 6.0)
    WeightDecay(strength=0.1)(passed(weight=weight, bias=bias), None, seeded(0)).total.backward()
    assert_close(weight.grad, 0.1 * weight.detach())
    assert bias.grad is None


def test_the_preset_is_the_decay_inside_adam():
    def trained(inside):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
        part = PRESETS["nassar2020"]
        optimiser = torch.optim.Adam(model.parameters(), amsgrad=True, weight_decay=part.strength if inside else 0)
        inputs = torch.randn(20, 4, generator=seeded(0), dtype=torch.float64)
        for _ in range(20):
            loss = model(inputs).square().mean()
            if not inside:
                loss = loss + part(passed(**dict(model.named_parameters())), None, seeded(0)).total
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return {name: value.detach() for name, value in model.named_parameters()}

    assert_close(trained(inside=False), trained(inside=True), rtol=1e-7, atol=1e-9)


def test_the_other_preset_counts_without_the_half_and_with_biases():
    found = PRESETS["holzhausen2024"](passed(weight=leaf([1.0, 2.0]), bias=leaf(3.0)), None, seeded(0))
    assert float(found.total.detach()) == pytest.approx(5e-4 * 14)


def test_frozen_parameters_are_left_out():
    found = WeightDecay(1.0)(passed(a=leaf([2.0]), b=torch.ones(3, 3)), None, seeded(0))
    assert set(found.per_layer) == {"a"}


def test_nothing_to_decay():
    with pytest.raises(ValueError) as refusal:
        WeightDecay()(passed(bias=leaf(1.0)), None, seeded(0))
    assert str(refusal.value) == (
        "Expected a weight to decay, got parameters with fewer than two axes only. "
        "Switch `biases` on, or leave the penalty out."
    )
    with pytest.raises(ValueError) as refusal:
        WeightDecay(biases=True)(passed(), None, seeded(0))
    assert str(refusal.value) == (
        "Expected a weight to decay, got no parameters. Switch `biases` on, or leave the penalty out."
    )


def test_a_negative_strength():
    with pytest.raises(ValueError) as refusal:
        WeightDecay(strength=-1.0).start(Reference(0, lambda indices, mode: iter(())), seeded(0))
    assert str(refusal.value) == "Expected a strength of 0 or more, got -1.0. A negative one would blow the weights up."


# ------------------------------------------------------------------------------ some modules alone

WEIGHTS = {
    "currents.weight": ([1.0, 2.0], [3.0, 4.0]),  # ½ Σ θ² = 15
    "currents.bias": (2.0, 2.0),  # 4
    "currents2.weight": ([5.0, 5.0],),  # 25
    "readout.0.weight": ([4.0, 2.0],),  # 10
}


def layered():
    return {name: leaf(*values) for name, values in WEIGHTS.items()}


@pytest.mark.parametrize(
    ("modules", "biases", "halves"),
    [
        ((), False, {"currents.weight": 15, "currents2.weight": 25, "readout.0.weight": 10}),
        (("currents",), False, {"currents.weight": 15}),  # and not currents2
        (("currents",), True, {"currents.weight": 15, "currents.bias": 4}),
        (("readout",), False, {"readout.0.weight": 10}),  # what a module holds is its own
        (("readout.0", "currents2"), False, {"currents2.weight": 25, "readout.0.weight": 10}),
    ],
)
def test_named_modules_alone_are_decayed(modules, biases, halves):
    parameters = layered()
    found = WeightDecay(0.1, biases=biases, modules=modules)(passed(**parameters), None, seeded(0))
    assert {name: float(value) for name, value in found.per_layer.items()} == halves
    assert float(found.total.detach()) == pytest.approx(0.1 * sum(halves.values()))
    found.total.backward()
    for name, parameter in parameters.items():
        if name in halves:
            assert_close(parameter.grad, 0.1 * parameter.detach())
        else:
            assert parameter.grad is None


def test_a_module_that_has_no_parameter_is_refused_even_beside_one_that_has():
    for modules in (("readuot",), ("currents", "readuot"), ("current",)):
        assert refusal(WeightDecay(modules=modules), passed(**layered()), None, seeded(0)) == (
            f"Expected modules with parameters, got none in {modules[-1]}. Choose among: currents, currents2, "
            "readout.0."
        )


def test_nothing_to_decay_in_the_modules_that_are_named():
    with_scales = passed(**layered(), **{"norm.weight": leaf(1.0, 1.0)})
    assert refusal(WeightDecay(modules=("norm",)), with_scales, None, seeded(0)) == (
        "Expected a weight to decay, got none in norm. Switch `biases` on, or name other modules."
    )


def test_a_second_penalty_leaves_the_first_alone():
    first = WeightDecay(strength=0.1, modules=("currents",))
    before = first(passed(**layered()), None, seeded(0))
    second = WeightDecay(strength=3.0, biases=True, modules=("readout",))
    second(passed(**layered()), None, seeded(0))
    assert first == WeightDecay(strength=0.1, modules=("currents",))
    after = first(passed(**layered()), None, seeded(0))
    assert torch.equal(after.total, before.total)
    assert after.per_layer == before.per_layer
    assert (WeightDecay().modules, PRESETS["holzhausen2024"].modules) == ((), ())
