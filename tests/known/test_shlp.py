"""The single-hidden-layer perceptron: its equation, its names, its first weights, and how it trains."""

from dataclasses import replace

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.adversarial import Adversarial
from eigenfall.architectures.shlp import PRESETS, SHLP
from eigenfall.attacks import pgd
from eigenfall.blocks import RePU
from eigenfall.heads.repu import RePUHead
from eigenfall.layers import hidden_names, hidden_of
from eigenfall.readout import joined
from eigenfall.scaling import l3_norms
from eigenfall.splits import assembled
from eigenfall.training import Training, train
from eigenfall.types import Examples, Split

EXACT = {"rtol": 1e-12, "atol": 1e-14}


def images(*shape, rows=40, classes=4, scaling="pixel", seed=0):
    inputs = torch.rand(rows, *shape, generator=seeded(seed))
    split = Split(inputs, torch.arange(rows) % classes)
    return assembled("pictures", (split, split, split), classes, scaling=scaling)


def built(seed=0, examples=None, **settings):
    return SHLP(**{"width": 7, **settings})(examples or images(1, 4, 4), seeded(seed))


@pytest.mark.parametrize("power", [1.0, 2.5])
@pytest.mark.parametrize("bias", [False, True])
def test_it_is_its_equation(power, bias):
    """Unit by unit, input by input, as it is written."""
    model = built(power=power, bias=bias).double()
    inputs = images(1, 4, 4).test.inputs[:3].double()
    logits, hidden = hidden_of(model, inputs, ["currents", "hidden1"])
    for row, image in enumerate(inputs):
        responses = []
        for unit in range(7):
            current = sum(w * x for w, x in zip(model.currents.weight[unit], image.flatten()))
            current = current + (model.currents.bias[unit] if bias else 0)
            assert_close(hidden["currents"][row, unit], current, **EXACT)
            responses.append(current**power if current > 0 else torch.zeros(()).double())
            assert_close(hidden["hidden1"][row, unit], responses[-1], **EXACT)
        for place in range(4):
            expected = sum(a * r for a, r in zip(model.readout.weight[place], responses)) + model.readout.bias[place]
            assert_close(logits[row, place], expected, **EXACT)


def test_its_names_are_those_of_a_learnt_model():
    learnt = joined(nn.Linear(16, 7, bias=False), RePUHead(power=1.0)(7, 4, seeded(0)))
    model = built()
    assert [name for name, _ in model.named_children()] == [name for name, _ in learnt.named_children()]
    assert {name: value.shape for name, value in model.state_dict().items()} == {
        name: value.shape for name, value in learnt.state_dict().items()
    }
    assert hidden_names(model) == ("hidden1",)


@pytest.mark.parametrize(
    "settings, order",
    [
        ({}, None),
        ({"batch_norm": True}, ["activation", "batch_norm"]),
        ({"dropout": 0.5}, ["activation", "dropout"]),
        ({"batch_norm": True, "dropout": 0.5}, ["activation", "batch_norm", "dropout"]),
    ],
)
def test_one_module_is_the_hidden_layer(settings, order):
    hidden = built(**settings).hidden1
    assert isinstance(hidden, RePU) if order is None else [name for name, _ in hidden.named_children()] == order


def test_first_weights_of_he():
    model = built(examples=images(3, 32, 32, rows=2), width=500, bias=True)
    weights = model.currents.weight.detach()
    # the mean of ‖W‖² is 2 · width, its variance 8 · width / inputs
    assert float(weights.square().sum()) == pytest.approx(1000, abs=4 * (8 * 500 / 3072) ** 0.5)
    assert float(weights.mean()) == pytest.approx(0, abs=4 * (2 / 3072 / weights.numel()) ** 0.5)
    kurtosis = float((weights / weights.std()).pow(4).mean())
    assert kurtosis == pytest.approx(3, abs=4 * (96 / weights.numel()) ** 0.5)
    assert torch.equal(model.currents.bias, torch.zeros(500))


def test_first_weights_of_torch():
    model = built(initial="torch", bias=True)
    for values in (model.currents.weight, model.currents.bias):
        assert 0 < float(values.detach().abs().max()) <= 1 / 4


def test_what_follows_the_activation_leaves_the_first_weights():
    plain, other = built(), built(batch_norm=True, dropout=0.3)
    for name in ("currents.weight", "readout.weight", "readout.bias"):
        assert torch.equal(plain.state_dict()[name], other.state_dict()[name])


def test_batch_norm_standardises_the_layer():
    examples = images(1, 4, 4, rows=400)
    model = built(examples=examples, batch_norm=True).train()
    inputs = 4 * examples.train.inputs - 2  # of both signs, so that no unit is silent
    hidden = hidden_of(model, inputs, ["hidden1"])[1]["hidden1"].detach()
    assert_close(hidden.mean(0), torch.zeros(7), atol=1e-5, rtol=0)
    assert_close(hidden.var(0, correction=0), torch.ones(7), atol=1e-2, rtol=0)


def test_dropout_is_off_when_the_model_is_used():
    examples = images(1, 4, 4)
    plain, model = built(width=200).eval(), built(width=200, dropout=0.5).eval()
    inputs = examples.test.inputs
    assert torch.equal(model(inputs), plain(inputs))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hidden = hidden_of(model.train(), inputs, ["hidden1"])[1]["hidden1"]
    kept = hidden_of(plain, inputs, ["hidden1"])[1]["hidden1"]
    alive = kept > 0
    share = float(((hidden == 0) & alive).sum() / alive.sum())
    assert share == pytest.approx(0.5, abs=4 * (0.25 / int(alive.sum())) ** 0.5)
    assert_close(hidden[hidden > 0], 2 * kept[hidden > 0])


def test_presets_say_every_setting():
    plain = SHLP(width=2000, power=1.0, bias=False, batch_norm=False, dropout=0.0, initial="he")
    assert {"holzhausen2024": plain, "holzhausen2024_spectral": replace(plain, batch_norm=True)} == PRESETS
    model = PRESETS["holzhausen2024"](images(3, 32, 32, rows=2, classes=10), seeded(0))
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes == {"currents.weight": (2000, 3072), "readout.weight": (10, 2000), "readout.bias": (10,)}


def test_a_second_network_leaves_the_first_alone():
    """Defect 3 of the published code: settings and draws were shared."""
    first, generator = SHLP(width=7), seeded(0)
    model = first(images(1, 4, 4), generator)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    second = SHLP(width=3, power=2.0, bias=True, batch_norm=True, dropout=0.5, initial="torch")
    second(images(1, 4, 4), generator)(images(1, 4, 4).test.inputs)
    assert first == SHLP(width=7)
    assert model.hidden1.power == 1.0
    assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


# -------------------------------------------------------------------- trained on moved images


@pytest.mark.parametrize("settings", [{}, {"batch_norm": True, "dropout": 0.2}], ids=["plain", "all that can follow"])
def test_it_trains_on_attacked_images_in_the_l3_unit(settings):
    """The loss falls, and what the weights are fitted on stays inside the ball and the bounds of the data."""
    examples = images(1, 4, 4, scaling="l3")
    inputs = examples.train.inputs
    assert_close(l3_norms(inputs), torch.ones(40, dtype=torch.float64), atol=1e-6, rtol=0)
    assert (examples.unit, examples.bounds) == ("L3", (0.0, 1.0))
    against = Adversarial(pgd.PRESETS["madry2018"], 0.02, bounds=examples.bounds)
    fit = Training(batch_size=40, epochs=60, learning_rate=0.02, adversarial=against)
    nothing = Split(inputs[:0], examples.train.targets[:0])
    model = built(examples=examples, width=40, **settings)
    start = model.currents.weight.detach().clone()
    losses = [step.values["loss"] for step in train(model, examples.train, nothing, {}, fit)]
    assert losses[-1] < 0.8 * losses[0]
    assert not torch.equal(model.currents.weight, start)

    seen = []

    def watch(module, given):
        if module.training:
            seen.append(given[0].detach())

    model.flatten.register_forward_pre_hook(watch)
    step = next(train(model, examples.train, nothing, {}, replace(fit, epochs=1)))
    assert step.last
    (moved,) = seen
    order = torch.randperm(40, generator=seeded(0))
    apart = (moved - inputs[order]).abs()
    assert 0.019 < float(apart.max()) <= 0.02 + 1e-6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1


# ------------------------------------------------------------------------------ refusals


def test_refusals():
    assert refusal(built, width=0) == "Expected a width of 1 or more, got 0. Write for instance width=200."
    assert refusal(built, power=0.5) == "Expected a power of 1 or more, got 0.5. A power of 1 is a ReLU."
    assert refusal(built, dropout=1.0) == (
        "Expected dropout from 0 to below 1, got 1. It is the share of units that is left out."
    )
    flat = Split(torch.rand(20, 16, generator=seeded(0)), torch.arange(20) % 4)
    assert refusal(built, examples=Examples("rows", flat, flat, flat, 4)) == (
        "Expected inputs (inputs, channels, height, width) for an shlp, got shape (20, 16) in train of rows. "
        "Reshape the inputs, and leave some to train on."
    )
