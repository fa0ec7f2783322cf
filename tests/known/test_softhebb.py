"""SoftHebb: loops over inputs and units, clusters found, hard winners, and the temperature at which units part."""

import math
from dataclasses import replace

import pytest
import torch
from exact import refusal, seeded
from lessons import check_indifference, check_stores, drawn, generators, learnt, started
from torch.testing import assert_close

from eigenfall.rules.softhebb import PRESETS, SoftHebb, State, critical_temperature
from eigenfall.types import Progress

VARIANTS = [
    SoftHebb(losers=losers, norm_power=power, step=step, schedule=schedule, temperature=0.7, start_norm=1.5)
    for losers in ("hebbian", "anti_hebbian")
    for power in (0.0, 0.5, 2.0)
    for step, schedule in (("mean", "constant"), ("largest", "linear"))
] + list(PRESETS.values())


def looped(part, weights, batch, rate):
    """One step for one seed, as lists: an input, a unit and a weight at a time."""
    units, inputs = len(weights), len(weights[0])
    change = [[0.0] * inputs for _ in range(units)]
    for v in batch:
        u = [sum(w[i] * v[i] for i in range(inputs)) for w in weights]
        top = max(u)
        e = [math.exp((current - top) / part.temperature) for current in u]
        for k in range(units):
            y = e[k] / sum(e)
            if part.losers == "anti_hebbian" and k != u.index(top):
                y = -y
            for i in range(inputs):
                change[k][i] += y * (v[i] - u[k] * weights[k][i])
    largest = max(abs(entry) for row in change for entry in row)
    scale = len(batch) if part.step == "mean" else largest
    found = []
    for w, row in zip(weights, change):
        distance = abs(math.sqrt(sum(entry**2 for entry in w)) - 1)
        factor = rate * (distance**part.norm_power if part.norm_power else 1.0)
        found.append([entry + factor * moved / scale for entry, moved in zip(w, row)])
    return found


@pytest.mark.parametrize("part", VARIANTS, ids=repr)
def test_it_is_the_loop_over_inputs_and_units(part):
    state, batches = started(part, 5, 4), drawn(steps=3)
    weights = state.weights[0].tolist()
    for epoch in range(2):
        rate = part.learning_rate * (1 - epoch / 2 if part.schedule == "linear" else 1)
        for batch in batches:
            weights = looped(part, weights, batch[0].tolist(), rate)
    expected = torch.tensor(weights, dtype=torch.float64)
    assert_close(learnt(part, state, batches, 2).weights[0], expected, rtol=1e-12, atol=1e-12)


def directions(count, inputs, seed=1):
    return torch.linalg.qr(torch.randn(inputs, inputs, generator=seeded(seed), dtype=torch.float64)).Q[:count]


def mixture(centres, seeds, batch, steps, noise=0.05):
    """Inputs of length 1 about one of the centres each."""
    generator = seeded(3)
    for _ in range(steps):
        which = torch.randint(len(centres), (seeds, batch), generator=generator)
        drift = torch.randn(seeds, batch, centres.shape[1], generator=generator, dtype=torch.float64)
        inputs = centres[which] + noise * drift
        yield inputs / inputs.norm(dim=2, keepdim=True)


def test_each_unit_finds_a_cluster_and_has_length_one():
    part, centres = SoftHebb(temperature=0.3, start_weights="normal", start_norm=1.0), directions(4, 10)
    state = learnt(part, started(part, 10, 4, seeds=3), list(mixture(centres, 3, 40, 30)), 25)
    assert_close(state.weights.norm(dim=2), torch.ones(3, 4, dtype=torch.float64), rtol=0, atol=1e-3)
    cosines = state.weights @ centres.T
    assert float(cosines.amax(2).min()) > 0.995
    for seed in cosines.argmax(2):
        assert sorted(seed.tolist()) == [0, 1, 2, 3]


def test_at_rest_the_change_is_nothing_and_every_length_is_one():
    part = SoftHebb(temperature=0.3, step="mean", learning_rate=0.5, schedule="constant", start_norm=0.5)
    batch = next(mixture(directions(3, 6), 1, 12, 1, noise=0.2))
    before = learnt(part, started(part, 6, 3), [batch] * 4000)
    after = learnt(part, before, [batch])
    assert_close(after.weights, before.weights, rtol=0, atol=1e-12)
    assert_close(before.weights.norm(dim=2), torch.ones(1, 3, dtype=torch.float64), rtol=0, atol=1e-9)
    shares = part.posteriors(batch @ before.weights.mT)
    pull = shares.mT @ batch
    assert_close(before.weights, pull / pull.norm(dim=2, keepdim=True), rtol=0, atol=1e-9)


def test_posteriors_sum_to_one_and_are_the_mixture_of_bayes():
    part = SoftHebb(temperature=0.25)
    currents = 3 * torch.randn(2, 8, 5, generator=seeded(0), dtype=torch.float64)
    found = part.posteriors(currents)
    assert_close(found.sum(2), torch.ones(2, 8, dtype=torch.float64))
    weights = torch.nn.functional.normalize(torch.randn(5, 4, generator=seeded(1), dtype=torch.float64), dim=1)
    inputs = torch.randn(6, 4, generator=seeded(2), dtype=torch.float64)
    density = (-(inputs[:, None] - weights).square().sum(2) / (2 * part.temperature)).exp()
    assert_close(part.posteriors(inputs @ weights.T), density / density.sum(1, keepdim=True))


@pytest.mark.parametrize("losers", ["hebbian", "anti_hebbian"])
def test_cold_it_is_hard_winner_take_all(losers):
    part = SoftHebb(temperature=1e-9, losers=losers, step="mean", learning_rate=0.2, schedule="constant")
    state, batch = started(part, 5, 4), drawn(steps=1)[0]
    weights = state.weights[0]
    change = torch.zeros_like(weights)
    for v in batch[0]:
        currents = weights @ v
        winner = currents.argmax()
        change[winner] += v - currents[winner] * weights[winner]
    assert_close(learnt(part, state, [batch]).weights[0], weights + 0.2 * change / len(batch[0]))


def test_losers_of_the_other_sign_move_the_other_way():
    hebbian = SoftHebb(temperature=1.0, step="mean")
    state, batch = started(hebbian, 5, 4), drawn(steps=1, batch=1)[0]
    winner = int((state.weights[0] @ batch[0, 0]).argmax())
    same, turned = (
        learnt(part, state, [batch]).weights[0] - state.weights[0]
        for part in (hebbian, replace(hebbian, losers="anti_hebbian"))
    )
    signs = torch.where(torch.arange(4) == winner, 1.0, -1.0).double()
    assert_close(turned, same * signs[:, None])
    assert float(same.abs().amin()) > 0


def test_of_equal_currents_the_first_wins():
    part = SoftHebb(losers="anti_hebbian", step="mean", temperature=1.0, learning_rate=1.0)
    state = State(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
    moved = learnt(part, state, [torch.tensor([[[2.0, 1.0]]])]).weights - state.weights
    assert_close(moved, torch.tensor([[[0.0, 0.5], [0.0, -0.5]]]))  # ½ · (v − 2 w), and its opposite


def test_the_rate_is_the_largest_change_of_a_step():
    part = SoftHebb(learning_rate=0.03)
    state = started(part, 5, 4, seeds=2)
    moved = learnt(part, state, drawn(seeds=2, steps=1)).weights - state.weights
    assert_close(moved.abs().amax((1, 2)), torch.full((2,), 0.03, dtype=torch.float64))
    still = State(torch.zeros(1, 2, 3))
    assert torch.equal(learnt(part, still, [torch.zeros(1, 4, 3)]).weights, torch.zeros(1, 2, 3))


def test_by_its_norm_a_unit_of_length_one_stands_still():
    part = SoftHebb(norm_power=0.5, step="mean")
    state = State(torch.tensor([[[1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0]]]).double())
    batch = drawn(inputs=3, steps=1)[0]
    moved = learnt(part, state, [batch]).weights - state.weights
    plain = learnt(replace(part, norm_power=0.0), state, [batch]).weights - state.weights
    assert_close(
        moved, plain * torch.tensor([0.0, math.sqrt(2), 1.0], dtype=torch.float64)[:, None], rtol=1e-12, atol=1e-15
    )


def test_units_part_below_the_critical_temperature_only():
    inputs = torch.tensor([[2.0, 0.6, 0.0], [2.0, -0.6, 0.0]]).double()
    critical = critical_temperature(inputs)
    assert critical == pytest.approx(0.6**2 / 2)
    apart = {}
    for share in (0.9, 1.1):
        part = SoftHebb(temperature=share * critical, step="mean", learning_rate=0.3, schedule="constant")
        agreed = torch.tensor([1.0, 0.0, 0.0]).double().expand(1, 4, 3)
        state = State(agreed + 1e-3 * torch.randn(1, 4, 3, generator=seeded(0), dtype=torch.float64))
        apart[share] = float(learnt(part, state, [inputs[None]] * 2000).weights.std(1).max())
    assert apart[0.9] > 0.1
    assert apart[1.1] < 1e-9


def test_near_agreement_differences_grow_as_the_docstring_says():
    inputs = torch.randn(30, 5, generator=seeded(4), dtype=torch.float64) + 1.5
    mean = inputs.mean(0)
    along = mean / mean.norm()
    across = inputs - mean - ((inputs - mean) @ along)[:, None] * along
    values, vectors = torch.linalg.eigh(across.T @ across / 30)
    part = SoftHebb(temperature=0.8, step="mean", learning_rate=1e-3, schedule="constant")
    assert critical_temperature(inputs) == pytest.approx(float(values[-1] / mean.norm()))
    assert critical_temperature(inputs[:3]) == pytest.approx(critical_temperature(torch.cat([inputs[:3]] * 4)))
    small = 1e-6 * vectors[:, -1]
    state = State(torch.stack([along + small, along - small])[None])
    moved = (learnt(part, state, [inputs[None]]).weights - state.weights)[0]
    growth = (moved[0] - moved[1]) @ vectors[:, -1] / 2e-6
    assert float(growth) == pytest.approx(1e-3 / 2 * float(values[-1] / 0.8 - mean.norm()), rel=1e-4)


def test_a_critical_temperature_scales_with_the_inputs_and_is_infinite_for_centred_ones():
    inputs = torch.rand(20, 4, generator=seeded(0), dtype=torch.float64)
    assert critical_temperature(2 * inputs) == pytest.approx(2 * critical_temperature(inputs))
    assert critical_temperature(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == math.inf


@pytest.mark.parametrize("part", VARIANTS, ids=repr)
def test_seeds_order_and_names_do_not_matter(part):
    check_indifference(part)
    check_stores(part)


@pytest.mark.parametrize(("distribution", "lowest"), [("normal", -math.inf), ("uniform", 0.0)])
def test_first_weights_have_the_length_asked_for(distribution, lowest):
    weights = SoftHebb(start_weights=distribution, start_norm=3.0).start(400, 50, generators(2)).weights
    assert weights.dtype == torch.float32
    assert float(weights.square().sum(2).mean().sqrt()) == pytest.approx(3.0, rel=0.02)
    assert float(weights.min()) >= lowest
    assert (weights.min() < 0) == (distribution == "normal")


def test_the_layer_gives_currents():
    state = started(SoftHebb(), 5, 4)
    layer = SoftHebb().layer(state)
    inputs = torch.randn(6, 5, generator=seeded(0), dtype=torch.float64)
    assert_close(layer(inputs), inputs @ state.weights[0].T)
    state.weights.zero_()
    assert float(layer(inputs).abs().max()) > 0  # a copy
    assert not any(parameter.requires_grad for parameter in layer.parameters())


def test_presets_are_the_released_networks():
    assert PRESETS["moraitis2022"].temperature == 1 / 12
    assert PRESETS["moraitis2022"].start_norm ** 2 == pytest.approx(35)
    assert PRESETS["journe2023"].losers == "anti_hebbian"
    assert PRESETS["journe2023"].norm_power == 0.5


def test_refusals():
    assert refusal(SoftHebb, temperature=0.0) == "Expected temperature above 0, got 0. Leave it out for the default."
    assert refusal(SoftHebb, start_norm=-1.0) == "Expected start_norm above 0, got -1. Leave it out for the default."
    assert refusal(SoftHebb, learning_rate=0.0) == (
        "Expected learning_rate above 0, got 0. Leave it out for the default."
    )
    assert refusal(SoftHebb, norm_power=-0.5) == (
        "Expected norm_power of 0 or more, got -0.5. A negative one would speed units up as they converge."
    )
    assert refusal(SoftHebb().start, 0, 2, generators(1)) == (
        "Expected at least one input and one unit, got 0 inputs and 2 units. Use more."
    )
    state, at = started(SoftHebb(), 5, 4, seeds=2), Progress(0, 1, 0, 1)
    assert refusal(SoftHebb(), state, torch.zeros(2, 0, 5), at, generators(2)) == (
        "Expected at least one input in a batch, got an empty batch. Leave it out."
    )
    assert refusal(SoftHebb(), state, torch.zeros(1, 3, 5), at, generators(2)) == (
        "Expected a batch (2, batch, 5): seeds, batch, inputs, got shape (1, 3, 5). "
        "Flatten the inputs, and give each seed its own batch."
    )
    assert refusal(SoftHebb().layer, state) == (
        "Expected the state of one seed, got 2 seeds. Take one by eigenfall.types.one_seed(state, place)."
    )


def test_a_layer_that_blows_up_is_refused():
    part = SoftHebb(step="mean", learning_rate=1e4, schedule="constant")
    assert refusal(learnt, part, started(part, 5, 4), drawn(steps=40)) == (
        "Expected finite outputs, got a layer that has blown up by step 7. "
        "Use a learning_rate below 10000, or step=largest."
    )
    inputs = drawn(steps=1)[0]
    inputs[0, 0, 0] = math.nan
    assert refusal(learnt, part, started(part, 5, 4), [inputs]) == (
        "Expected finite inputs, got NaN or infinity among them. Leave those inputs out."
    )
