"""Similarity matching beside a slow twin, and what it must converge to: the principal subspace."""

import math

import pytest
import torch
from exact import refusal, seeded
from planted import SPECTRUM, learnt, planted
from torch.testing import assert_close

from eigenfall.rules.similarity import Similarity, stable_below
from eigenfall.types import Progress
from eigenfall.types.learning import placed


def twin(weights, batches, rule, epochs):
    """The rule as it is written, one input at a time, the units settling by themselves until they rest."""
    units = len(weights)
    lateral = torch.eye(units).double()
    total, seen = torch.zeros_like(weights[0]), 0
    for epoch, batch in enumerate(batches):
        rate = rule.learning_rate
        if rule.schedule == "linear":
            rate *= 1 - epoch / epochs
        seen += len(batch)
        mean = torch.zeros_like(total)
        if rule.centre == "running":
            total = total + sum(batch)
            mean = total / seen
        hebbian, antihebbian = torch.zeros_like(weights), torch.zeros_like(lateral)
        for x in batch:
            y = torch.zeros(units).double()
            for _ in range(4000):
                y = y + 0.1 * (weights @ (x - mean) - lateral @ y - rule.threshold * y)
            for i in range(units):
                hebbian[i] += y[i] * (x - mean) / len(batch)
                for j in range(units):
                    antihebbian[i, j] += y[i] * y[j] / len(batch)
        weights = weights + 2 * rate * (hebbian - weights)
        lateral = lateral + rate / rule.tau * (antihebbian - lateral)
    return weights, lateral


@pytest.mark.parametrize(
    "rule",
    [
        Similarity(),
        Similarity(tau=0.3, learning_rate=0.1, schedule="constant"),
        Similarity(threshold=0.7, centre="running"),
    ],
    ids=str,
)
def test_it_equals_the_loop(rule):
    rows = torch.randn(16, 7, generator=seeded(3), dtype=torch.float64) + 0.5
    batches = rows.split((5, 1, 6, 4))
    state = placed(rule.start(7, 3, [seeded(0)]), rows)
    first = state.weights[0].clone()
    for epoch, batch in enumerate(batches):
        state = rule(state, batch[None], Progress(epoch, 4, epoch, 4), [])
    weights, lateral = twin(first, batches, rule, 4)
    assert_close(state.weights[0], weights, rtol=1e-12, atol=1e-12)
    assert_close(state.lateral[0], lateral, rtol=1e-12, atol=1e-12)
    assert state.seen == 16


@pytest.mark.parametrize("tau", [0.25, 0.5])
def test_the_layer_spans_the_principal_subspace(tau):
    inputs, components = planted()
    rule = Similarity(tau=tau, schedule="constant", learning_rate=0.1)
    state = learnt(rule, inputs, 3, 300)
    features = rule.layer(state).weight
    assert_close(features @ features.T, torch.eye(3).double(), rtol=0, atol=1e-7)
    cosines = torch.linalg.svdvals(features @ components[:3].T)  # of the principal angles
    assert_close(cosines, torch.ones(3).double(), rtol=0, atol=1e-9)
    assert_close(torch.linalg.eigvalsh(state.lateral[0]).flip(0), torch.tensor(SPECTRUM[:3]).double())


def test_a_threshold_takes_as_much_off_every_eigenvalue_and_switches_the_rest_off():
    inputs, _ = planted()
    rule = Similarity(threshold=0.75, schedule="constant", learning_rate=0.2)
    state = learnt(rule, inputs, 5, 600)
    outputs = rule.layer(state)(inputs)
    found = torch.linalg.eigvalsh(outputs.T @ outputs / len(inputs)).flip(0)
    assert_close(found, torch.tensor([3.25, 1.25, 0.25, 0.0, 0.0]).double(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("units", [5, 8])
def test_similarities_are_matched(units):
    """With as many units as components, or more, outputs' inner products are the inputs'."""
    inputs, _ = planted()
    rule = Similarity(schedule="constant", learning_rate=0.2)
    layer = rule.layer(learnt(rule, inputs, units, 400))
    assert_close(layer.weight.T @ layer.weight, torch.eye(5).double(), rtol=0, atol=1e-7)
    assert_close(layer(inputs) @ layer(inputs).T, inputs @ inputs.T, rtol=0, atol=1e-6)


def test_it_does_not_depend_on_the_unit_of_the_inputs_in_the_end():
    inputs, components = planted()
    rule = Similarity(schedule="constant", learning_rate=0.2)
    for factor in (1e-3, 1e3):
        features = rule.layer(learnt(rule, factor * inputs, 2, 400)).weight
        assert_close(torch.linalg.svdvals(features @ components[:2].T), torch.ones(2).double(), rtol=0, atol=1e-6)


def test_with_centring_it_is_the_covariance_that_counts():
    inputs, components = planted(mean=torch.tensor([3.0, -4.0, 0.0, 0.0, 12.0]).double())
    rule = Similarity(schedule="constant", learning_rate=0.2, centre="running")
    layer = rule.layer(learnt(rule, inputs, 2, 400))
    assert_close(torch.linalg.svdvals(layer.weight @ components[:2].T), torch.ones(2).double(), rtol=0, atol=1e-6)
    assert_close(layer(inputs).mean(0), torch.zeros(2).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("tau", [0.1, 0.25, 0.5])
def test_where_steps_begin_to_overshoot(tau):
    """The bound is where one unit near its component, the whole batch each time, no longer comes back."""
    for factor, comes_back in ((0.97, True), (1.03, False)):
        rate = factor * stable_below(tau)
        weight, lateral = 4 * (1 + 1e-6), 4.0  # along v₁, of eigenvalue 4
        for _ in range(400):
            y = weight / lateral
            weight, lateral = weight + 2 * rate * (4 * y - weight), lateral + rate / tau * (4 * y * y - lateral)
        assert (abs(weight / lateral - 1) < 1e-6) == comes_back


@pytest.mark.parametrize(("ratio", "tau"), [(4.0, 0.9), (4.0, 1.0), (100.0, 0.5), (100.0, 0.6), (1.0, 5.0)])
def test_where_a_pair_of_components_is_stable(ratio, tau):
    """τ < q / (2 q − 4), for a little exchange between two units in their places, moved on in small steps."""
    rate, q = 1e-3 * min(1, tau), ratio + 1 / ratio
    second = torch.diag(torch.tensor([ratio, 1.0]).double())
    weights, lateral = second.clone(), second.clone()
    weights[0, 1], weights[1, 0] = 1e-4, -1e-4
    sizes = []
    for step in range(20000):
        features = torch.linalg.solve(lateral, weights)
        if step % 10000 == 9999:
            sizes.append(float((features @ features.T - torch.eye(2)).norm()))
        weights = weights + 2 * rate * (features @ second - weights)
        lateral = lateral + rate / tau * (features @ second @ features.T - lateral)
    assert (sizes[1] < sizes[0]) == (tau * (2 * q - 4) < q)


@pytest.mark.parametrize(("rate", "tau", "bound"), [(0.5, 0.5, "0.5"), (0.2, 0.25, "0.191")])
def test_rates_that_overshoot(rate, tau, bound):
    assert refusal(Similarity, learning_rate=rate, tau=tau) == (
        f"Expected learning_rate below {bound} for tau={tau:g}, got {rate:g}. "
        "From there on each step overshoots what it aims at."
    )


def test_settings_out_of_range():
    assert refusal(Similarity, learning_rate=0.0) == (
        "Expected learning_rate above 0, got 0. Leave it out for the default."
    )
    for tau in (0.0, 0.6):
        assert refusal(Similarity, tau=tau) == (
            f"Expected tau above 0 and at most 0.5, got {tau:g}. "
            "With a larger one the principal subspace may be unstable."
        )
    assert refusal(Similarity, threshold=-1.0) == (
        "Expected a threshold of 0 or more, got -1. 0 keeps every component."
    )


def test_more_units_than_components():
    """Units that are left over fall silent, exactly so with a threshold."""
    inputs, components = planted()
    flat = inputs @ components[:2].T @ components[:2]
    for threshold, atol in ((0.0, 1e-3), (0.01, 1e-9)):
        rule = Similarity(schedule="constant", learning_rate=0.2, threshold=threshold)
        layer = rule.layer(learnt(rule, flat, 4, 400))
        assert_close(torch.linalg.svdvals(layer.weight)[2:], torch.zeros(2).double(), rtol=0, atol=atol)
        found = torch.linalg.svdvals(layer(flat)).square() / len(flat)
        assert_close(found, torch.tensor([4 - threshold, 2 - threshold, 0, 0]).double(), rtol=0, atol=1e-6)


def test_lateral_weights_that_cannot_be_solved_for():
    state = Similarity().start(5, 3, [seeded(0)])
    state.lateral[0, 2, 2] = 0
    said = (
        "Expected lateral weights that can be solved for, got units that have died out. "
        "Use a threshold above 0, or fewer units."
    )
    assert refusal(Similarity(), state, torch.ones(1, 3, 5), Progress(0, 1, 0, 1), []) == said
    assert refusal(Similarity().layer, state) == said
    assert Similarity(threshold=0.1).layer(state)(torch.ones(1, 5)).isfinite().all()


def test_inputs_that_are_not_finite():
    batch = torch.ones(1, 3, 5)
    batch[0, 1, 2] = math.inf
    assert refusal(Similarity(), Similarity().start(5, 2, [seeded(0)]), batch, Progress(0, 1, 0, 1), []) == (
        "Expected finite inputs, got NaN or infinity among them. Leave those inputs out."
    )
