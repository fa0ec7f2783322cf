"""BCM: loops over inputs and units, selective units, the risk it descends, and what inhibition makes of a layer."""

import math
from dataclasses import replace

import pytest
import torch
from exact import refusal, seeded
from lessons import DOUBLE, check_indifference, check_stores, drawn, generators, learnt, started
from torch.testing import assert_close

from eigenfall.rules.bcm import BCM, State
from eigenfall.types import Progress, one_seed, placed

VARIANTS = [
    BCM(0.02, schedule, share, inhibition, modification, step, start_weights=weights)
    for share, inhibition, modification in ((0.3, 0.0, "over_threshold"), (1.0, 0.4, "plain"), (0.3, 0.9, "plain"))
    for step, schedule, weights in (
        ("power", "constant", "uniform"),
        ("mean", "linear", "normal"),
        ("largest", "linear", "normal"),
    )
]


def looped(part, weights, thresholds, batch, before, rate):
    """One step for one seed after the batches before it, as lists: an input, a unit and a weight at a time."""
    units, inputs = len(weights), len(weights[0])

    def inhibited(values):
        others = [[values[j] for j in range(units) if j != k] for k in range(units)]
        return [values[k] - part.inhibition * sum(others[k]) / len(others[k]) for k in range(units)]

    responses = [inhibited([sum(w[i] * v[i] for i in range(inputs)) for w in weights]) for v in batch]
    share = max(part.threshold_rate, 1 / (len(before) + 1))
    thresholds = [
        (1 - share) * theta + share * sum(y[k] ** 2 for y in responses) / len(batch)
        for k, theta in enumerate(thresholds)
    ]
    change = [[0.0] * inputs for _ in range(units)]
    for v, y in zip(batch, responses):
        phi = [y[k] * (y[k] - thresholds[k]) for k in range(units)]
        if part.modification == "over_threshold":
            phi = [one / theta for one, theta in zip(phi, thresholds)]
        drive = inhibited(phi)
        for k in range(units):
            for i in range(inputs):
                change[k][i] += drive[k] * v[i]
    scale = max(abs(entry) for row in change for entry in row) if part.step == "largest" else len(batch)
    if part.step == "power":
        seen = [v for other in (*before, batch) for v in other]
        scale *= sum(entry**2 for v in seen for entry in v) / len(seen)
    moved = [[w + rate * entry / scale for w, entry in zip(*rows)] for rows in zip(weights, change)]
    return moved, thresholds


@pytest.mark.parametrize("part", VARIANTS, ids=repr)
def test_it_is_the_loop_over_inputs_and_units(part):
    state, batches = started(part, 5, 4), drawn(steps=3)
    weights, thresholds = state.weights[0].tolist(), state.thresholds[0].tolist()
    before = []
    for step in range(6):
        rate = part.learning_rate * (1 - step // 3 / 2 if part.schedule == "linear" else 1)
        batch = batches[step % 3][0].tolist()
        weights, thresholds = looped(part, weights, thresholds, batch, before, rate)
        before.append(batch)
    found = learnt(part, state, batches, 2)
    assert_close(found.weights[0], torch.tensor(weights, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    assert_close(found.thresholds[0], torch.tensor(thresholds, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    assert found.seen == 42


def patterns(count, inputs=8):
    """Linearly independent inputs, positive and overlapping."""
    return torch.eye(count, inputs, dtype=torch.float64) + 0.2 * torch.rand(
        count, inputs, generator=seeded(2), dtype=torch.float64
    )


def responses(part, state, inputs):
    """`(seeds, units, inputs)`."""
    return torch.stack([part.layer(one_seed(state, k))(inputs).T for k in range(len(state.weights))])


@pytest.mark.parametrize(("modification", "rate"), [("over_threshold", 0.3), ("plain", 0.05)])
@pytest.mark.parametrize(("count", "inhibition"), [(2, 0.0), (5, 0.0), (5, 0.3)])
def test_a_unit_comes_to_respond_to_one_input_alone(count, inhibition, modification, rate):
    part = BCM(rate, threshold_rate=0.2, inhibition=inhibition, modification=modification)
    inputs = patterns(count)
    state = learnt(part, started(part, 8, 5, seeds=4), [inputs.expand(4, count, 8)] * 1500)
    found = responses(part, state, inputs)
    selective = torch.zeros(count, dtype=torch.float64)
    selective[-1] = count
    assert_close(found.sort(dim=2).values, selective.expand(4, 5, count), rtol=0, atol=1e-6)
    assert_close(state.thresholds, torch.full((4, 5), count, dtype=torch.float64), rtol=0, atol=1e-6)


def test_at_any_scale_of_the_inputs_it_learns_the_same_responses():
    inputs = patterns(5)
    found = []
    for scale in (1.0, 128.0):
        part = BCM(0.05, threshold_rate=0.2, start_norm=1 / scale)
        state = learnt(part, started(part, 8, 5), [scale * inputs[None]] * 50)
        found.append(responses(part, state, scale * inputs))
    assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


def test_one_input_at_a_time_it_does_so_too():
    part, inputs = BCM(0.02, threshold_rate=0.04), patterns(2)
    order = [int(place) for place in torch.randint(2, (200,), generator=seeded(0))]
    state = learnt(part, started(part, 8, 3), [inputs[None, place : place + 1] for place in order], 10)
    found = responses(part, state, inputs)[0].sort(dim=1).values
    assert_close(found, torch.tensor([[0.0, 2.0]] * 3).double(), rtol=0, atol=0.3)


def test_inhibition_makes_units_differ():
    inputs = patterns(5)
    preferred = {}
    for inhibition in (0.0, 0.6):
        part = BCM(0.2, threshold_rate=0.2, inhibition=inhibition)
        state = learnt(part, started(part, 8, 5, seeds=8), [inputs.expand(8, 5, 8)] * 800)
        found = responses(part, state, inputs)
        assert float(found.amax(2).min()) > 4  # each has its input
        preferred[inhibition] = sum(len(set(row.tolist())) for row in found.argmax(2)) / 8
    assert preferred[0.0] < 3.5
    assert preferred[0.6] > 4.3


@pytest.mark.parametrize("inhibition", [0.0, 0.7])
def test_it_descends_the_risk_of_intrator_and_cooper(inhibition):
    part = BCM(0.3, threshold_rate=1.0, inhibition=inhibition, modification="plain", step="mean")
    state, batch = started(part, 5, 4), drawn(steps=1, batch=30)[0]
    weights = state.weights[0].clone().requires_grad_()
    mixing = torch.full((4, 4), -inhibition / 3, dtype=torch.float64).fill_diagonal_(1.0)
    y = batch[0] @ (mixing @ weights).T
    risk = (y.square().mean(0).square() / 4 - y.pow(3).mean(0) / 3).sum()
    (gradient,) = torch.autograd.grad(risk, weights)
    moved = learnt(part, state, [batch]).weights[0] - state.weights[0]
    assert_close(moved, -0.3 * gradient, rtol=1e-10, atol=1e-12)


def test_what_has_only_negative_responses_falls_silent_unless_thresholds_are_fast():
    inputs = patterns(2, 3)
    state = State(-torch.ones(1, 1, 3).double(), torch.zeros(1, 1).double(), torch.zeros(1).double())

    def after(steps, **settings):
        part = BCM(0.05, **settings)
        return responses(part, learnt(part, state, [inputs[None]] * steps), inputs)

    for settings in ({"modification": "plain", "threshold_rate": 1.0}, {"threshold_rate": 0.05}):
        silent = after(800, **settings)
        assert float(silent.max()) <= 0
        assert float(silent.min()) > -0.1
    back = after(800, threshold_rate=0.5)
    assert_close(back.sort(dim=2).values, torch.tensor([[[0.0, 2.0]]]).double(), rtol=0, atol=1e-4)


def test_thresholds_must_be_faster_than_weights():
    """At y = θ = 1, with one input of length 1, the equations' Jacobian has the trace η − ρ and the determinant η ρ."""
    away = {}
    for share in (0.03, 0.08):
        part = BCM(0.05, schedule="constant", threshold_rate=share)
        state = State(torch.tensor([[[1.01]]]).double(), torch.ones(1, 1).double(), torch.ones(1).double(), seen=1000)
        away[share] = float(learnt(part, state, [torch.ones(1, 1, 1).double()] * 800).weights - 1)
    assert abs(away[0.03]) > 0.05
    assert abs(away[0.08]) < 1e-4


def test_thresholds_are_a_running_mean_and_at_first_the_plain_one():
    part, batches = BCM(learning_rate=1e-12, threshold_rate=0.25), drawn(steps=6)
    state = started(part, 5, 4)
    squares = torch.stack([(batch[0] @ state.weights[0].T).square().mean(0) for batch in batches])
    assert_close(learnt(part, state, batches[:4]).thresholds[0], squares[:4].mean(0), rtol=1e-8, atol=0)
    later = (squares[:4].mean(0) * 0.75 + 0.25 * squares[4]) * 0.75 + 0.25 * squares[5]
    assert_close(learnt(part, state, batches).thresholds[0], later, rtol=1e-8, atol=0)


def test_one_unit_has_nobody_to_be_inhibited_by():
    state, batches = started(BCM(), 5, 1), drawn(steps=2)
    alone, inhibited = (learnt(replace(BCM(), inhibition=share), state, batches) for share in (0.0, 0.5))
    assert_close(alone.weights, inhibited.weights)


@pytest.mark.parametrize("part", VARIANTS, ids=repr)
def test_seeds_order_and_names_do_not_matter(part):
    check_indifference(part)
    check_stores(part)


def test_the_layer_gives_inhibited_currents():
    part = BCM(inhibition=0.6)
    state = started(part, 5, 4)
    inputs = torch.randn(6, 5, generator=seeded(0), dtype=torch.float64)
    currents = inputs @ state.weights[0].T
    for unit in range(4):
        others = [other for other in range(4) if other != unit]
        expected = currents[:, unit] - 0.6 * currents[:, others].mean(1)
        assert_close(part.layer(state)(inputs)[:, unit], expected)
    assert_close(BCM().layer(state)(inputs), currents)


def test_first_weights_are_positive_unless_asked_otherwise():
    state = BCM(start_norm=2.0).start(300, 40, generators(2))
    assert float(state.weights.min()) >= 0
    assert float(state.weights.square().sum(2).mean().sqrt()) == pytest.approx(2.0, rel=0.02)
    assert torch.equal(state.thresholds, torch.zeros(2, 40))
    assert float(BCM(start_weights="normal").start(300, 40, generators(1)).weights.mean().abs()) < 0.05 / math.sqrt(300)
    assert placed(state, DOUBLE).thresholds.dtype == torch.float64


def test_refusals():
    assert refusal(BCM, learning_rate=-1.0) == "Expected learning_rate above 0, got -1. Leave it out for the default."
    assert refusal(BCM, start_norm=0.0) == "Expected start_norm above 0, got 0. Leave it out for the default."
    assert refusal(BCM, threshold_rate=0.0) == "Expected threshold_rate above 0, got 0. Leave it out for the default."
    assert refusal(BCM, threshold_rate=1.5) == (
        "Expected threshold_rate of 1 or less, got 1.5. It is the share of one batch in the running mean."
    )
    assert refusal(BCM, inhibition=1.0) == (
        "Expected inhibition of at least 0 and below 1, got 1. "
        "At 1 nothing would be left of what all units have in common."
    )
    assert refusal(BCM().start, 3, 0, generators(1)) == (
        "Expected at least one input and one unit, got 3 inputs and 0 units. Use more."
    )
    state = started(BCM(), 5, 4, seeds=2)
    assert refusal(BCM(), state, torch.zeros(2, 0, 5), Progress(0, 1, 0, 1), generators(2)) == (
        "Expected at least one input in a batch, got an empty batch. Leave it out."
    )
    assert refusal(BCM().layer, state) == (
        "Expected the state of one seed, got 2 seeds. Take one by eigenfall.types.one_seed(state, place)."
    )


def test_a_layer_that_blows_up_is_refused():
    part = BCM(learning_rate=1e3, modification="plain", step="mean")
    assert refusal(learnt, part, started(part, 5, 4), drawn(steps=40)) == (
        "Expected finite outputs, got a layer that has blown up by step 5. "
        "Use a learning_rate below 1000, or step=largest."
    )
    still = replace(part, step="largest")
    assert learnt(still, started(part, 5, 4), drawn(steps=4)).weights.isfinite().all()
