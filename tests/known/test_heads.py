"""Heads against their formulas, and the published settings."""

import math

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.blocks import RePU
from eigenfall.heads import repu, tanh
from eigenfall.heads.linear import LinearHead
from eigenfall.heads.repu import RePUHead
from eigenfall.heads.tanh import TanhHead

DOUBLE = torch.float64


def logits(rows=6, classes=3, seed=0):
    return torch.randn(rows, classes, generator=seeded(seed), dtype=DOUBLE)


TARGETS = torch.tensor([0, 1, 2, 2, 1, 0])


# ------------------------------------------------------------------------------ the activation


def test_a_rectified_power():
    currents = torch.tensor([[-2.0, 0.0, 0.5, 3.0]], dtype=DOUBLE)
    assert_close(RePU(4.5)(currents), torch.tensor([[0.0, 0.0, 0.5**4.5, 3**4.5]], dtype=DOUBLE))
    assert_close(RePU(1.0)(currents), currents.relu())
    assert_close(RePU(4.5, scale=2.0)(currents), RePU(4.5)(currents) / 2**4.5)


def test_its_jacobian_in_closed_form():
    """‖∂a/∂v‖² = Σ n² ReLU(I)^{2(n−1)} ‖W‖² (specification §6.3)."""
    weights, inputs = logits(7, 5), logits(1, 5, seed=1)[0]
    jacobian = torch.autograd.functional.jacobian(lambda v: RePU(4.5)(weights @ v), inputs)
    currents = (weights @ inputs).relu()
    assert_close(jacobian.square().sum(), (4.5**2 * currents**7 * weights.square().sum(1)).sum())


def test_a_silent_unit_has_a_gradient_of_zero():
    currents = torch.tensor([0.0, -1.0, 1e-30], requires_grad=True)
    RePU(4.5)(currents).sum().backward()
    assert currents.grad.tolist() == [0.0, 0.0, 0.0]


def test_a_printed_model_tells_power_and_scale():
    assert str(RePU(4.5, 0.25)) == "RePU(power=4.5, scale=0.25)"  # what the hash of a measured model is of


# ----------------------------------------------------------------------------------- the losses


def test_cross_entropy_is_minus_the_log_of_the_probability():
    outputs = logits()
    expected = sum(-math.log(row.exp()[t] / row.exp().sum()) for row, t in zip(outputs, TARGETS)) / 6
    for head in (RePUHead(), LinearHead()):
        assert float(head.loss(outputs, TARGETS)) == pytest.approx(expected, rel=1e-12)
        assert_close(head.predictions(outputs), outputs.exp() / outputs.exp().sum(1, keepdim=True))


@pytest.mark.parametrize("loss_power, beta", [(6.0, 0.01), (6.0, 1.0), (2.0, 0.3), (1.0, 0.5), (3.5, 2.0)])
def test_the_distance_of_the_tanh_from_its_targets(loss_power, beta):
    outputs, expected = 2 * logits(), 0.0
    for row, target in zip(outputs.tolist(), TARGETS.tolist()):
        for place, z in enumerate(row):
            expected += abs(math.tanh(beta * z) - (1 if place == target else -1)) ** loss_power / 6
    head = TanhHead(loss_power=loss_power, beta=beta)
    assert float(head.loss(outputs, TARGETS)) == pytest.approx(expected, rel=1e-12)
    assert_close(head.predictions(outputs), (beta * outputs).tanh())


def test_an_undecided_tanh_head_loses_one_for_each_class():
    assert float(TanhHead().loss(torch.zeros(6, 3), TARGETS)) == 3.0


def test_a_saturated_tanh_still_has_a_gradient():
    """In float32 tanh(20) is 1 and |tanh − 1| is 0; the same distance by the sigmoid is 2 e^{−40}."""
    outputs = torch.tensor([[20.0, -20.0]], requires_grad=True)
    loss = TanhHead(beta=1.0, loss_power=1.0).loss(outputs, torch.tensor([0]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(4 * math.exp(-40), rel=1e-5)
    assert outputs.grad.tolist()[0] == pytest.approx([-4 * math.exp(-40), 4 * math.exp(-40)], rel=1e-5)
    assert float((outputs.detach().tanh() - torch.tensor([[1.0, -1.0]])).abs().sum()) == 0


def test_with_a_power_of_one_a_repu_head_is_a_perceptrons_last_two_layers():
    made = RePUHead(power=1.0)(5, 3, seeded(0))
    currents = torch.randn(6, 5, generator=seeded(1))
    assert_close(made(currents), made.readout(nn.functional.relu(currents)), rtol=0, atol=0)


def test_units_that_are_scaled_are_the_same_to_a_standardising_probe():
    responses = torch.randn(50, 5, generator=seeded(1), dtype=DOUBLE)
    made = LinearHead(standardise=True)(5, 3, seeded(0)).double()
    scaled = responses * torch.tensor([1.0, 10.0, 100.0, 1e3, 1e4], dtype=DOUBLE) + 5
    assert_close(made(responses), made(scaled), rtol=1e-4, atol=1e-4)  # batch-norm's ε of 1e-5
    assert_close(LinearHead()(5, 3, seeded(0)).hidden1(responses), responses, rtol=0, atol=0)


def test_scale_changes_the_unit_and_nothing_else():
    """Currents and scale doubled together are the same head."""
    currents = torch.randn(6, 5, generator=seeded(1))
    for head in (RePUHead, TanhHead):
        assert_close(
            head(scale=0.5)(5, 3, seeded(0))(currents), head(scale=1.0)(5, 3, seeded(0))(2 * currents), rtol=0, atol=0
        )


# -------------------------------------------------------------------------------- as published


def test_published_heads():
    assert [(name, part.power, part.scale) for name, part in repu.PRESETS.items()] == [("holzhausen2024", 4.5, 1.0)]
    assert [(name, part.power, part.loss_power, part.beta, part.scale) for name, part in tanh.PRESETS.items()] == [
        ("pnas_mnist", 4.5, 6.0, 0.01, 1.0),
        ("pnas_cifar", 10.0, 6.0, 0.01, 1.0),
    ]
    assert RePUHead()(5, 3, seeded(0)).readout.bias is not None
    assert TanhHead()(5, 3, seeded(0)).readout.bias is None


REFUSALS = [
    (RePUHead(power=0.5), "Expected a power of 1 or more, got 0.5. A power of 1 is a ReLU."),
    (TanhHead(power=0.5), "Expected a power of 1 or more, got 0.5. A power of 1 is a ReLU."),
    (
        RePUHead(scale=0.0),
        "Expected a scale above 0, got 0. "
        "A scale of 1 leaves currents as they are; eigenfall.readout.unit_scale finds one.",
    ),
    (TanhHead(loss_power=0.5), "Expected a loss_power of 1 or more, got 0.5. Krotov & Hopfield use 6."),
    (TanhHead(beta=0.0), "Expected a beta above 0, got 0. Krotov & Hopfield use 0.01."),
]


@pytest.mark.parametrize("head, sentence", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(head, sentence):
    assert refusal(head, 5, 3, seeded(0)) == sentence
