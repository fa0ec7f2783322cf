"""Sanger's rule beside a slow twin, and what it must converge to: the leading components, in order."""

from dataclasses import replace

import pytest
import torch
from exact import refusal, seeded
from planted import learnt, planted
from torch.testing import assert_close

from eigenfall.rules.oja import Oja
from eigenfall.rules.sanger import Sanger
from eigenfall.types import Progress
from eigenfall.types.learning import placed

FAST = Sanger(scale="none", learning_rate=0.2, schedule="constant")  # the planted λ₁ is 4


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
        changes = [torch.zeros_like(row) for row in weights]
        for x in batch:
            left = x - mean  # what the units so far leave over
            for unit, row in enumerate(weights):
                y = float(row @ (x - mean))
                left = left - y * row
                changes[unit] += y * left / len(batch)
        weights = [row + rate * change for row, change in zip(weights, changes, strict=True)]
    return torch.stack(weights)


@pytest.mark.parametrize(
    "rule",
    [
        Sanger(),
        Sanger(scale="none", learning_rate=0.02, schedule="constant"),
        Sanger(centre="running", learning_rate=0.5),
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


def test_units_find_the_leading_components_in_order():
    inputs, components = planted()
    weights = learnt(FAST, inputs, 4, 600).weights[0]
    assert_close((weights @ components.T).abs(), torch.eye(5).double()[:4], rtol=0, atol=1e-9)
    assert_close(weights @ weights.T, torch.eye(4).double(), rtol=0, atol=1e-9)


def test_as_many_units_as_inputs_find_every_component():
    inputs, components = planted()
    weights = learnt(FAST, inputs, 5, 600).weights[0]
    assert_close((weights @ components.T).abs(), torch.eye(5).double(), rtol=0, atol=1e-6)


def test_one_unit_is_ojas():
    inputs, _ = planted()
    one, other = (learnt(rule, inputs, 1, 30).weights for rule in (Sanger(0.3), Oja(0.3)))
    assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_unit_does_not_see_those_after_it():
    inputs, _ = planted()
    rule = Sanger()
    few, many = (placed(rule.start(5, units, [seeded(0)]), inputs) for units in (2, 4))
    many.weights[:, :2] = few.weights
    for step in range(20):
        few, many = (rule(state, inputs[None], Progress(step, 20, 0, 1), []) for state in (few, many))
    assert_close(many.weights[:, :2], few.weights, rtol=1e-12, atol=1e-12)


def test_centred_outputs_are_uncorrelated():
    inputs, _ = planted(mean=torch.tensor([3.0, -4.0, 0.0, 0.0, 12.0]).double())
    rule = replace(FAST, centre="running")
    outputs = rule.layer(learnt(rule, inputs, 3, 400))(inputs)
    assert_close(
        outputs.T @ outputs / len(inputs), torch.diag(torch.tensor([4.0, 2.0, 1.0])).double(), atol=1e-6, rtol=0
    )
    assert_close(outputs.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-12)


def test_more_units_than_inputs():
    assert refusal(Sanger().start, 5, 6, [seeded(0)]) == (
        "Expected at most 5 units for 5 inputs, got 6. Use units=5 or fewer: inputs have no further component to find."
    )


def test_a_rate_that_blows_up():
    inputs, _ = planted()
    said = refusal(learnt, Sanger(learning_rate=5.0, scale="none"), inputs, 2, 100)
    assert said.startswith("Expected finite outputs, got a layer that has blown up by step ")
    assert said.endswith(". Use a learning_rate below 5, or scale=power.")


def test_a_rate_that_is_not_positive():
    assert refusal(Sanger, learning_rate=-1.0) == (
        "Expected learning_rate above 0, got -1. Leave it out for the default."
    )
