"""Oja's rule beside a slow twin, and what it must converge to: the first principal component."""

import math

import pytest
import torch
from exact import refusal, seeded
from planted import learnt, planted
from torch.testing import assert_close

from eigenfall.rules.oja import Oja
from eigenfall.types import Progress
from eigenfall.types.learning import placed


def twin(weights, batches, rule, epochs):
    """The rule as it is written, one unit and one input at a time."""
    weights = [row.clone() for row in weights]
    seen, total, squares = 0, torch.zeros_like(weights[0]), 0.0
    for epoch, batch in enumerate(batches):
        seen += len(batch)
        mean = torch.zeros_like(total)
        if rule.centre == "running":
            total = total + sum(batch)
            mean = total / seen
        squares += sum(float((x - mean) @ (x - mean)) for x in batch)
        rate = rule.learning_rate
        if rule.schedule == "linear":
            rate *= 1 - epoch / epochs
        if rule.scale == "power":
            rate /= squares / seen
        for unit, row in enumerate(weights):
            change = torch.zeros_like(row)
            for x in batch:
                y = float(row @ (x - mean))
                change += y * ((x - mean) - y * row) / len(batch)
            weights[unit] = row + rate * change
    return torch.stack(weights)


@pytest.mark.parametrize(
    "rule",
    [
        Oja(),
        Oja(scale="none", learning_rate=0.02, schedule="constant"),
        Oja(centre="running", learning_rate=0.5),
        Oja(centre="running", scale="none", learning_rate=0.01),
    ],
    ids=str,
)
def test_it_equals_the_loop(rule):
    rows = torch.randn(60, 7, generator=seeded(3), dtype=torch.float64) + 0.5
    batches = rows.split((12, 1, 20, 15, 12))
    state = placed(rule.start(7, 4, [seeded(0)]), rows)
    first = state.weights[0].clone()
    for epoch, batch in enumerate(batches):
        state = rule(state, batch[None], Progress(epoch, 5, epoch, 5), [])
    assert_close(state.weights[0], twin(first, batches, rule, 5), rtol=1e-12, atol=1e-12)
    assert state.seen == 60


@pytest.mark.parametrize("scale", ["power", "none"])
def test_every_unit_finds_the_first_component(scale):
    inputs, components = planted()
    weights = learnt(Oja(learning_rate=0.5 if scale == "power" else 0.06, scale=scale), inputs, 3, 400).weights[0]
    assert_close(weights.norm(dim=1), torch.ones(3).double(), rtol=0, atol=1e-9)
    assert_close((weights @ components[0]).abs(), torch.ones(3).double(), rtol=0, atol=1e-9)


def test_the_angle_shrinks_as_the_gap_says():
    """Near v₁ a step shrinks tan(angle) by (1 + η (λ₂ − λ₁)) to first order: its part along v₂ by exactly that."""
    inputs, components = planted()
    rule = Oja(learning_rate=0.01, scale="none", schedule="constant")
    state = placed(rule.start(5, 1, [seeded(0)]), inputs)
    state.weights[0, 0] = components[0] + 1e-6 * components[1]
    for step in range(50):
        state = rule(state, inputs[None], Progress(step, 50, 0, 1), [])
    along = state.weights[0, 0] @ components.T
    assert float(along[1]) == pytest.approx(1e-6 * (1 + 0.01 * (2 - 4)) ** 50, rel=1e-6)


def test_without_centring_the_mean_is_part_of_the_second_moment():
    mean = torch.tensor([3.0, -4.0, 0.0, 0.0, 12.0]).double()
    inputs, components = planted(mean=mean)
    found = learnt(Oja(learning_rate=0.5), inputs, 1, 400)
    assert float(found.weights[0, 0] @ mean) ** 2 > 0.99 * 169
    found = learnt(Oja(learning_rate=0.5, centre="running"), inputs, 1, 400)
    assert float((found.weights[0, 0] @ components[0]).abs()) == pytest.approx(1, abs=1e-9)
    assert_close(found.mean[0], mean)


def test_a_layer_takes_the_mean_off():
    inputs, _ = planted(mean=torch.arange(5.0).double())
    rule = Oja(centre="running")
    state = learnt(rule, inputs, 2, 5)
    layer = rule.layer(state)
    assert_close(layer(inputs).mean(0), torch.zeros(2).double(), rtol=0, atol=1e-12)
    assert_close(layer(inputs), (inputs - inputs.mean(0)) @ state.weights[0].T)
    assert Oja().layer(learnt(Oja(), inputs, 2, 5)).bias is None


def test_the_rate_has_no_unit():
    inputs, _ = planted()
    one, other = (learnt(Oja(), factor * inputs, 2, 20).weights for factor in (1, 1000))
    assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_blank_inputs_teach_nothing():
    blank = torch.zeros(10, 5)
    state = Oja().start(5, 2, [seeded(0)])
    before = state.weights.clone()
    assert torch.equal(Oja()(state, blank[None], Progress(0, 1, 0, 1), []).weights, before)


def test_a_rate_that_blows_up():
    inputs, _ = planted()
    rule = Oja(learning_rate=5.0, scale="none")
    said = refusal(learnt, rule, inputs, 2, 100)
    assert said.startswith("Expected finite outputs, got a layer that has blown up by step ")
    assert said.endswith(". Use a learning_rate below 5, or scale=power.")
    assert 1 <= int(said.partition("step ")[2].partition(".")[0]) < 20


def test_a_blow_up_in_the_last_step():
    state = Oja().start(5, 1, [seeded(0)])
    state.weights[0, 0, 0] = math.inf
    assert refusal(Oja().layer, state) == (
        "Expected finite weights, got a layer that has blown up. Use a lower learning_rate."
    )


def test_inputs_that_are_not_finite():
    batch = torch.ones(1, 3, 5)
    batch[0, 1, 2] = math.nan
    assert refusal(Oja(), Oja().start(5, 2, [seeded(0)]), batch, Progress(0, 1, 0, 1), []) == (
        "Expected finite inputs, got NaN or infinity among them. Leave those inputs out."
    )


def test_a_rate_that_is_not_positive():
    assert refusal(Oja, learning_rate=0.0) == ("Expected learning_rate above 0, got 0. Leave it out for the default.")
