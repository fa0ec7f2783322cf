"""Földiák's layer: loops over inputs and units, the bars, firing rates that hold, and a layer that gradients pass."""

import math
from dataclasses import replace

import pytest
import torch
from exact import refusal, seeded
from lessons import DOUBLE, check_indifference, check_stores, drawn, generators, learnt, started
from torch.testing import assert_close

from eigenfall.rules.foldiak import Foldiak, State
from eigenfall.types import Progress, one_seed

VARIANTS = [
    Foldiak(output=output, schedule=schedule, probability=0.3, settle_steps=9, warm_up=2, slope=slope)
    for output, schedule, slope in (
        ("thresholded", "constant", 10.0),
        ("thresholded", "linear", 3.0),
        ("graded", "constant", 3.0),
    )
]


def settled(part, v, weights, lateral, thresholds):
    """y* of one input, as a list: a unit at a time."""
    y = [0.0] * len(weights)
    for _ in range(part.settle_steps):
        drives = [
            sum(q * x for q, x in zip(weights[k], v))
            + sum(w * other for w, other in zip(lateral[k], y))
            - thresholds[k]
            for k in range(len(y))
        ]
        y = [one + part.settle_size * (1 / (1 + math.exp(-part.slope * drive)) - one) for one, drive in zip(y, drives)]
    return y


def looped(part, weights, lateral, thresholds, batch, share, warming):
    """One step for one seed, as lists."""
    p, size, units = part.probability, len(batch), len(weights)
    outputs = [settled(part, v, weights, lateral, thresholds) for v in batch]
    if part.output == "thresholded":
        outputs = [[1.0 if one > 0.5 else 0.0 for one in y] for y in outputs]
    gamma = part.warm_up_rate if warming else part.threshold_rate * share
    new_thresholds = [t + gamma * sum(y[k] - p for y in outputs) / size for k, t in enumerate(thresholds)]
    if warming:
        return weights, lateral, new_thresholds
    new_weights = [
        [
            q + part.learning_rate * share * sum(y[k] * (v[i] - q) for v, y in zip(batch, outputs)) / size
            for i, q in enumerate(row)
        ]
        for k, row in enumerate(weights)
    ]
    new_lateral = [[0.0] * units for _ in range(units)]
    for k in range(units):
        for j in range(units):
            together = sum(y[k] * y[j] - p**2 for y in outputs) / size
            new = lateral[k][j] - part.lateral_rate * share * together
            new_lateral[k][j] = 0.0 if k == j or new > 0 else new
    return new_weights, new_lateral, new_thresholds


@pytest.mark.parametrize("part", VARIANTS, ids=repr)
def test_it_is_the_loop_over_inputs_and_units(part):
    state, batches = started(part, 5, 4), drawn(steps=4)
    held = state.weights[0].tolist(), state.lateral[0].tolist(), state.thresholds[0].tolist()
    for step in range(12):
        share = 1 - step // 4 / 3 if part.schedule == "linear" else 1.0
        held = looped(part, *held, batches[step % 4][0].tolist(), share, step < part.warm_up)
    found = learnt(part, state, batches, 3)
    for value, expected in zip((found.weights, found.lateral, found.thresholds), held):
        assert_close(value[0], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    assert float(found.lateral.min()) < 0  # some inhibit each other by now


def bars(rows, generator, probability=0.125):
    """Images of 8 by 8 in which each of 16 bars is there with this probability, and which bars they have."""
    present = torch.rand(rows, 16, generator=generator) < probability
    images = present[:, :8, None] | present[:, None, 8:]
    return images.flatten(1).to(DOUBLE), present.to(DOUBLE)


@pytest.fixture(scope="module")
def schooled():
    """Two seeds of 16 units that have seen 12 000 images of bars, ten at a time, with the source's rates."""
    part, generator = Foldiak(), seeded(5)
    batches = [torch.stack([bars(10, generator)[0] for _ in range(2)]) for _ in range(1200)]
    return part, learnt(part, started(part, 64, 16, seeds=2), batches)


def test_of_images_of_bars_each_unit_learns_a_bar(schooled):
    part, state = schooled
    images, present = bars(2000, seeded(6))
    for seed in range(2):
        fires = (part.layer(one_seed(state, seed))(images) > 0.5).to(DOUBLE)
        likeness = torch.corrcoef(torch.cat([fires.T, present.T]))[:16, 16:]
        assert float(likeness.amax(1).min()) > 0.9
        assert sorted(likeness.argmax(1).tolist()) == list(range(16))
        bar = torch.eye(16, dtype=torch.float64)[likeness.argmax(1)]
        shapes = (bar[:, :8, None] + bar[:, None, 8:]).flatten(1)
        on, off = state.weights[seed][shapes > 0], state.weights[seed][shapes == 0]
        assert float(on.mean()) > 0.85
        assert float(on.min()) > 0.3 + float(off.max())


def test_units_fire_as_often_as_asked_and_independently(schooled):
    part, state = schooled
    images, _ = bars(4000, seeded(7))
    for seed in range(2):
        fires = (part.layer(one_seed(state, seed))(images) > 0.5).to(DOUBLE)
        assert_close(fires.mean(0), torch.full((16,), 0.125, dtype=torch.float64), rtol=0, atol=0.03)
        together = (fires.T @ fires / 4000).fill_diagonal_(0)
        assert float(together.max()) < 0.125**2 + 0.02


def test_lateral_weights_are_symmetric_and_never_excite(schooled):
    lateral = schooled[1].lateral
    assert torch.equal(lateral, lateral.mT)
    assert torch.equal(lateral.diagonal(dim1=1, dim2=2), torch.zeros(2, 16, dtype=torch.float64))
    assert float(lateral.max()) <= 0
    assert float(lateral.min()) < -1


def test_graded_outputs_keep_lateral_weights_symmetric_to_the_bit():
    part = replace(VARIANTS[2], warm_up=0)
    blank = part.start(5, 30, generators(1))
    lateral = learnt(part, blank, [batch.float() for batch in drawn(batch=33, steps=8)]).lateral
    assert torch.equal(lateral, lateral.mT)


def test_more_steps_of_settling_change_nothing_and_y_is_a_fixed_point(schooled):
    part, state = schooled
    images, _ = bars(200, seeded(8))
    longer = replace(part, settle_steps=2000)
    y = longer.layer(one_seed(state, 0))(images)
    drives = images @ state.weights[0].T + y @ state.lateral[0] - state.thresholds[0]
    assert_close(y, torch.sigmoid(part.slope * drives), rtol=0, atol=1e-9)
    short = part.layer(one_seed(state, 0))(images)
    assert float(((short > 0.5) == (y > 0.5)).double().mean()) > 0.995


def test_euler_steps_approach_the_differential_equation_at_first_order():
    generator = seeded(0)
    lateral = -torch.rand(1, 6, 6, generator=generator, dtype=torch.float64)
    lateral = (lateral + lateral.mT) / 2
    drives = torch.randn(1, 20, 6, generator=generator, dtype=torch.float64)

    def after(steps):
        return Foldiak(settle_steps=steps, settle_size=1 / steps, slope=3.0).settled(drives, lateral)

    finest = after(20000)
    errors = [float((after(steps) - finest).abs().max()) for steps in (20, 40, 80, 160)]
    slope = math.log(errors[-1] / errors[0]) / math.log(160 / 20)
    assert slope == pytest.approx(-1, abs=0.1)


def test_the_threshold_holds_the_rate_of_a_lone_unit():
    part = Foldiak(probability=0.2, learning_rate=1e-9, warm_up=0, threshold_rate=0.05, schedule="linear")
    inputs = torch.randn(1, 200, 5, generator=seeded(0), dtype=torch.float64)
    state = learnt(part, started(part, 5, 1), [inputs], 800)
    assert float((part.layer(state)(inputs[0]) > 0.5).double().mean()) == pytest.approx(0.2, abs=0.0051)


def test_while_it_warms_up_thresholds_alone_learn():
    part = Foldiak(warm_up=4, warm_up_rate=0.5)
    state, batches = started(part, 5, 4), drawn(steps=5)
    warm = learnt(part, state, batches[:4])
    assert torch.equal(warm.weights, state.weights)
    assert torch.equal(warm.lateral, state.lateral)
    assert not torch.equal(warm.thresholds, state.thresholds)
    assert not torch.equal(learnt(part, state, batches).weights, state.weights)


def test_a_first_state_has_unit_weights_and_no_inhibition():
    state = Foldiak().start(50, 7, generators(3))
    assert_close(state.weights.norm(dim=2), torch.ones(3, 7))
    assert float(state.weights.min()) >= 0
    assert torch.equal(state.lateral, torch.zeros(3, 7, 7))
    assert torch.equal(state.thresholds, torch.zeros(3, 7))


@pytest.mark.parametrize("part", VARIANTS, ids=repr)
def test_seeds_order_and_names_do_not_matter(part):
    check_indifference(part)
    check_stores(part)


def test_the_layer_settles_and_gradients_reach_its_inputs():
    part = Foldiak(slope=2.0, settle_steps=12, settle_size=0.2)
    generator = seeded(1)
    lateral = -torch.rand(1, 4, 4, generator=generator, dtype=torch.float64)
    weights = torch.randn(1, 4, 5, generator=generator, dtype=torch.float64)
    state = State(weights, lateral + lateral.mT, torch.rand(1, 4, generator=generator, dtype=torch.float64))
    layer = part.layer(state)
    inputs = torch.randn(3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    looped = [
        settled(part, v, state.weights[0].tolist(), state.lateral[0].tolist(), state.thresholds[0].tolist())
        for v in inputs.tolist()
    ]
    assert_close(layer(inputs), torch.tensor(looped, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(layer, (inputs,))
    state.weights.zero_()
    assert_close(layer(inputs), torch.tensor(looped, dtype=torch.float64))  # a copy


def test_the_layer_keeps_everything_in_buffers():
    part = VARIANTS[0]
    state = learnt(part, started(part, 5, 4), drawn(steps=4))
    layer, blank = part.layer(state), part.layer(started(part, 5, 4, first=1))
    assert sorted(layer.state_dict()) == ["lateral", "thresholds", "weights"]
    assert list(layer.parameters()) == []
    blank.load_state_dict(layer.state_dict())
    inputs = torch.randn(6, 5, generator=seeded(0), dtype=torch.float64)
    assert torch.equal(blank(inputs), layer(inputs))
    assert layer.float()(inputs.float()).dtype == torch.float32


def test_refusals():
    assert refusal(Foldiak, probability=1.0) == (
        "Expected probability between 0 and 1, got 1. It is the share of inputs on which a unit fires."
    )
    assert refusal(Foldiak, lateral_rate=0.0) == "Expected lateral_rate above 0, got 0. Leave it out for the default."
    assert refusal(Foldiak, settle_steps=0) == "Expected settle_steps above 0, got 0. Leave it out for the default."
    assert refusal(Foldiak, settle_size=1.5) == (
        "Expected settle_size of 1 or less, got 1.5. A longer step overshoots even a unit that nothing drives."
    )
    assert refusal(Foldiak, warm_up=-1) == "Expected warm_up of 0 or more, got -1. It counts batches."
    assert refusal(Foldiak().start, 0, 0, generators(1)) == (
        "Expected at least one input and one unit, got 0 inputs and 0 units. Use more."
    )
    state, at = started(Foldiak(), 5, 4, seeds=2), Progress(0, 1, 0, 1)
    assert refusal(Foldiak(), state, torch.zeros(2, 0, 5), at, generators(2)) == (
        "Expected at least one input in a batch, got an empty batch. Leave it out."
    )
    assert refusal(Foldiak(), state, torch.full((2, 3, 5), math.nan).double(), at, generators(2)) == (
        "Expected finite inputs, got NaN or infinity among them. Leave those inputs out."
    )
    assert refusal(Foldiak().layer, state) == (
        "Expected the state of one seed, got 2 seeds. Take one by eigenfall.types.one_seed(state, place)."
    )
