"""A head on cached responses is the joined model trained with its layer held fixed."""

from dataclasses import dataclass, replace

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall import readout
from eigenfall.adversarial import Adversarial
from eigenfall.attacks.fgsm import FGSM
from eigenfall.heads.linear import LinearHead
from eigenfall.heads.repu import RePUHead
from eigenfall.heads.tanh import TanhHead
from eigenfall.optimisation import Training
from eigenfall.readout import fit_head, fit_ridge, joined, unit_scale
from eigenfall.ridge import ridge_readout
from eigenfall.training import Diverged, train
from eigenfall.types import Split, Task

DOUBLE = torch.float64
HEADS = {
    "repu": RePUHead(power=2.5, scale=1.0),
    "tanh": TanhHead(power=2.0, beta=0.5, scale=1.0),
    "linear": LinearHead(),
    "standardised": LinearHead(standardise=True),
}
SETTINGS = Training(learning_rate=0.02, batch_size=16, epochs=4, schedule=((2, 0.005),))


def data(rows=70, seed=0, dtype=DOUBLE):
    inputs = torch.rand(rows, 2, 2, 2, generator=seeded(seed), dtype=dtype)
    return Split(inputs, (3 * inputs.flatten(1).mean(1) + inputs[:, 0, 0, 0]).long().clamp(0, 2))


def learnt(units=10, dtype=DOUBLE):
    layer = nn.Linear(8, units, bias=False)
    layer.weight = nn.Parameter(torch.randn(units, 8, generator=seeded(3), dtype=dtype) / 2, requires_grad=False)
    return layer


@pytest.fixture(params=HEADS)
def head(request):
    return HEADS[request.param]


def together(layer, head, settings=SETTINGS, validation=None, seed=5):
    """What anyone would do without a cache."""
    made = head(layer.out_features, 3, seeded(seed)).to(layer.weight)
    model = joined(layer, made)
    steps = list(train(model, data(), validation or data(30, 1), {}, settings, seed=seed, task=Task(objective=head)))
    return model, steps


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


# ------------------------------------------------------------------------------------ the cache


@pytest.mark.parametrize("budget", [readout.BUDGET, 0], ids=["held", "anew"])
@pytest.mark.parametrize("patience", [None, 1])
def test_it_is_the_joined_model_with_a_fixed_layer(head, budget, patience):
    layer, settings = learnt(), replace(SETTINGS, patience=patience)
    steps = list(fit_head(layer, head, data(), data(30, 1), 3, settings, seed=5, budget=budget))
    whole, others = together(layer, head, settings)
    assert len(steps) == len(others)
    for step, other in zip(steps, others):
        assert step.values == pytest.approx(other.values, rel=1e-10, abs=1e-12)
        assert (step.progress, step.last_of_epoch, step.last) == (other.progress, other.last_of_epoch, other.last)
    assert_close(weights(joined(layer, steps[-1].model)), weights(whole), rtol=1e-10, atol=1e-10)
    inputs = data(9, 7).inputs
    assert_close(joined(layer, steps[-1].model).eval()(inputs), whole.eval()(inputs), rtol=1e-10, atol=1e-10)


def test_the_layer_stays_as_it_was(head):
    layer = learnt()
    before = layer.weight.clone()
    for step in fit_head(layer, head, data(), data(30, 1), 3, SETTINGS):
        assert [name for name, _ in step.model.named_children()] == ["hidden1", "readout"]
    assert_close(layer.weight, before, rtol=0, atol=0)
    assert layer.training


def test_responses_are_computed_once(head):
    calls = []

    class Counting(nn.Module):
        def forward(self, inputs):
            calls.append(len(inputs))
            return inputs @ learnt().weight.T

    list(fit_head(Counting(), head, data(), data(30, 1), 3, SETTINGS))
    assert calls == [1, 70, 30]  # one to learn how many units there are


def test_responses_are_made_in_pieces(head, monkeypatch):
    whole = list(fit_head(learnt(), head, data(), data(30, 1), 3, SETTINGS))[-1]
    monkeypatch.setattr(readout, "REFERENCE_BATCH", 9)
    pieces = list(fit_head(learnt(), head, data(), data(30, 1), 3, SETTINGS))[-1]
    assert_close(weights(whole.model), weights(pieces.model), rtol=1e-10, atol=1e-10)


def test_above_the_budget_nothing_is_held(monkeypatch):
    """70 + 30 inputs of 10 units in float64 are 8000 bytes."""
    asked = []
    responded = readout._responded
    monkeypatch.setattr(readout, "_responded", lambda layer, split: asked.append(len(split)) or responded(layer, split))
    next(fit_head(learnt(), HEADS["repu"], data(), data(30, 1), 3, SETTINGS, budget=8000))
    assert asked == [70, 30]
    next(fit_head(learnt(), HEADS["repu"], data(), data(30, 1), 3, SETTINGS, budget=7999))
    assert asked == [70, 30]


@pytest.mark.parametrize("budget", [readout.BUDGET, 0], ids=["held", "anew"])
def test_it_goes_on_bit_equal(head, budget):
    layer = learnt(dtype=torch.float32)
    splits = data(dtype=torch.float32), data(30, 1, dtype=torch.float32)
    steps = [
        (step.values, step.snapshot(), weights(step.model))
        for step in fit_head(layer, head, *splits, 3, SETTINGS, budget=budget)
    ]
    for killed in (0, 9, 13):
        again = list(fit_head(layer, head, *splits, 3, SETTINGS, budget=budget, start=steps[killed][1]))
        assert str([step.values for step in again]) == str([values for values, _, _ in steps[killed + 1 :]])
        assert_close(weights(again[-1].model), steps[-1][2], rtol=0, atol=0)


def test_without_validation(head):
    empty = Split(data().inputs[:0], data().targets[:0])
    step = list(fit_head(learnt(), head, data(), empty, 3, SETTINGS))[-1]
    assert "validation_accuracy" not in step.values
    assert_close(
        weights(step.model), weights(list(fit_head(learnt(), head, data(), data(30, 1), 3, SETTINGS))[-1].model)
    )


def test_a_layer_with_dropout_is_in_eval_mode_throughout():
    layer = nn.Sequential(learnt(), nn.Dropout(0.5))
    for budget in (readout.BUDGET, 0):
        found = list(fit_head(layer, RePUHead(2.0), data(), data(30, 1), 3, SETTINGS, budget=budget))[-1].model
        assert_close(
            weights(found),
            weights(list(fit_head(learnt(), RePUHead(2.0), data(), data(30, 1), 3, SETTINGS))[-1].model),
            rtol=1e-10,
            atol=1e-10,
        )


def test_joined_shares_its_modules():
    layer, made = learnt(), RePUHead()(10, 3, seeded(0)).double()
    model = joined(layer, made)
    assert [name for name, _ in model.named_children()] == ["flatten", "currents", "hidden1", "readout"]
    assert model.currents is layer
    inputs = data().inputs
    assert_close(model(inputs), made(layer(inputs.flatten(1))), rtol=0, atol=0)


# ----------------------------------------------------------------------------------- the scale


def test_at_unit_scale_responses_have_a_root_mean_square_of_one():
    layer, inputs = learnt(), data().inputs
    for power in (1.0, 4.5, 10.0):
        scale = unit_scale(layer, power, inputs)
        responses = RePUHead(power, scale)(10, 3, seeded(0)).hidden1(layer(inputs.flatten(1)))
        assert float(responses.square().mean()) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("made", [RePUHead(power=2.5), TanhHead(power=2.0, beta=0.5)], ids=["repu", "tanh"])
def test_a_head_without_a_scale_takes_that_of_the_training_inputs(made):
    layer = learnt()
    scale = unit_scale(layer, made.power, data().inputs)
    found, given = (
        list(fit_head(layer, one, data(), data(30, 1), 3, SETTINGS))[-1].model
        for one in (made, replace(made, scale=scale))
    )
    assert found.hidden1.scale == scale
    assert_close(weights(found), weights(given), rtol=0, atol=0)
    assert made(10, 3, seeded(0)).hidden1.scale == 1.0  # until it is fitted


def test_the_scale_is_in_the_currents_unit():
    layer, inputs = learnt(), data().inputs
    assert unit_scale(layer, 4.5, 1e-3 * inputs) == pytest.approx(1e-3 * unit_scale(layer, 4.5, inputs))


# ------------------------------------------------------------------------------ in closed form


def test_a_heads_readout_by_ridge():
    layer, head, validation = learnt(), RePUHead(2.5), data(30, 1)
    made, ridge = fit_ridge(layer, head, data(), validation, 3)
    rows = (layer(data().inputs.flatten(1)).relu() ** 2.5, data().targets)
    others = (layer(validation.inputs.flatten(1)).relu() ** 2.5, validation.targets)
    expected = ridge_readout(lambda: [rows], 3, validation=lambda: [others])
    assert_close(ridge.weight, expected.weight, rtol=1e-9, atol=1e-10)
    assert (ridge.strength, ridge.accuracies) == (expected.strength, expected.accuracies)
    whole = joined(layer, made.double())
    assert_close(whole(validation.inputs), others[0] @ ridge.weight.T + ridge.bias, rtol=1e-5, atol=1e-5)
    accuracy = float((whole(validation.inputs).argmax(1) == validation.targets).double().mean())
    assert accuracy == pytest.approx(ridge.accuracy)


def test_ridge_without_validation_leaves_one_out():
    empty = Split(data().inputs[:0], data().targets[:0])
    assert fit_ridge(learnt(), LinearHead(), data(), empty, 3)[1].chosen_by == "leave-one-out"


# -------------------------------------------------------------------------------------- refusals


@dataclass(frozen=True)
class Wild:
    """A head whose loss is not finite."""

    def __call__(self, units, classes, generator):
        return LinearHead()(units, classes, generator)

    def loss(self, outputs, targets):
        return outputs.sum() * float("inf")


def test_a_loss_that_is_not_finite():
    with pytest.raises(Diverged):
        next(fit_head(learnt(), Wild(), data(), data(30, 1), 3, SETTINGS))


def begun(budget):
    return next(fit_head(learnt(), LinearHead(), data(), data(30, 1), 3, SETTINGS, budget=budget)).snapshot()


REFUSALS = [
    (
        lambda: next(fit_head(learnt(), LinearHead(), data(), data(30, 1), 3, SETTINGS, start=begun(0))),
        "Expected a snapshot of this head, made under the same budget, "
        "got one of model/currents.layer.weight, model/readout.bias, model/readout.weight. "
        "Go on with the settings and the budget that the run began with, or begin anew.",
    ),
    (
        lambda: next(fit_head(nn.Linear(8, 4).double(), RePUHead(), data(), data(), 3, SETTINGS)),
        "Expected a layer that is held fixed, got parameters that require gradients: weight, bias. "
        "Call layer.requires_grad_(False).",
    ),
    (
        lambda: next(
            fit_head(learnt(), RePUHead(), data(), data(), 3, replace(SETTINGS, adversarial=Adversarial(FGSM(), 0.1)))
        ),
        "Expected training on inputs as they are, got adversarial training, whose attack moves inputs and not "
        "responses. Train joined(layer, head) by eigenfall.training.train.",
    ),
    (
        lambda: joined(learnt(), nn.Sequential(nn.ReLU(), nn.Linear(10, 3))),
        "Expected a head with hidden1 and readout, got one with 0, 1. Make it by a part of kind heads.",
    ),
    (
        lambda: unit_scale(learnt(), 4.5, torch.zeros(5, 8, dtype=DOUBLE)),
        "Expected a layer with a positive current for some input, got none among 50 currents. "
        "Look at the layer's gates: it may have collapsed.",
    ),
    (
        lambda: fit_ridge(learnt(), LinearHead(standardise=True), data(), data(), 3),
        "Expected a head whose activation is fixed, got a BatchNorm1d. "
        "Ridge regression centres the units itself; use linear without standardise.",
    ),
]


@pytest.mark.parametrize("wrong, sentence", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(wrong, sentence):
    assert refusal(wrong) == sentence
