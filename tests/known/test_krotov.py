"""Krotov-Hopfield learning equals its definition, in every reading, and its winners end at ‖W‖_p = R."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.datasets.digits import Digits
from eigenfall.learning import Learning, learn
from eigenfall.parts import read
from eigenfall.rules.krotov import PRESETS, Krotov, State, _narrowed, in_order
from eigenfall.types import Progress, one_seed

INPUTS, UNITS, BATCH = 5, 8, 8
AT = Progress(step=10, steps=40, epoch=1, epochs=4)
READINGS = [
    Krotov(
        p=p,
        k=k,
        gate=gate,
        rank_on=rank_on,
        form=form,
        threshold=0.3,
        radius=radius,
        learning_rate=0.02 if form == "fast" else 0.002,  # a punished unit grows without end if it is let
    )
    for (p, radius), k, gate, rank_on, form in product(
        ((2.0, 1.0), (3.0, 1.0), (2.5, 0.7), (5.0, 1.3)),
        (2, 7),
        ("rank_k", "ranks_2_to_k", "threshold"),
        ("current", "q"),
        ("fast", "slow"),
    )
]


def images(seed=0, rows=BATCH, inputs=INPUTS):
    return torch.rand(1, rows, inputs, generator=seeded(seed), dtype=torch.float64)


def begun(rule, seeds=1, inputs=INPUTS, units=UNITS):
    state = rule.start(inputs, units, [seeded(seed) for seed in range(seeds)])
    weights = 0.4 * state.weights.double()  # currents of about 1 for every p
    return State(weights, rule._effective(weights))


def copied(state):
    return State(state.weights.clone(), state.effective.clone())


# ------------------------------------------------------------------------- the slow obvious twin


def effective(weight, p):
    return (1 if weight > 0 else -1 if weight < 0 else 0) * abs(weight) ** (p - 1)


def current(row, image, p):
    return sum(effective(w, p) * v for w, v in zip(row, image))


def gates(rule, weights, image):
    """g of each unit for one image, from its definition."""
    currents = [current(row, image, rule.p) for row in weights]
    norms = [sum(abs(w) ** rule.p for w in row) for row in weights]
    q = [i / norm ** ((rule.p - 1) / rule.p) for i, norm in zip(currents, norms)]
    if rule.gate == "threshold":
        return currents, [1.0 if each >= rule.threshold else -rule.delta if each >= 0 else 0.0 for each in q]
    judged = q if rule.rank_on == "q" else currents
    order = sorted(range(len(judged)), key=lambda unit: (-judged[unit], unit))
    g = [0.0] * len(judged)
    g[order[0]] = 1.0
    for rank in range(2, rule.k + 1):
        if rank == rule.k or rule.gate == "ranks_2_to_k":
            g[order[rank - 1]] = -rule.delta
    return currents, g


def changed(rule, weights, batch):
    """D of one batch."""
    change = [[0.0] * len(weights[0]) for _ in weights]
    for image in batch:
        currents, g = gates(rule, weights, image)
        for unit, row in enumerate(weights):
            for place, w in enumerate(row):
                change[unit][place] += g[unit] * (rule.radius**rule.p * image[place] - currents[unit] * w)
    return change


def stepped(rule, weights, batch, rate):
    """Weights after one batch, by loops over samples, units and inputs."""
    weights = [list(row) for row in weights]
    for piece in [batch] if rule.form == "fast" else [[image] for image in batch]:
        change = changed(rule, weights, piece)
        largest = max(abs(value) for row in change for value in row)
        scale = rate / max(largest, rule.smallest) if rule.form == "fast" else rate
        weights = [[w + scale * d for w, d in zip(row, moves)] for row, moves in zip(weights, change)]
    return weights


@pytest.mark.parametrize("rule", READINGS, ids=str)
def test_every_reading_equals_its_definition(rule):
    state, expected = begun(rule), begun(rule).weights[0].tolist()
    for step in range(2):
        batch = images(step)
        state = rule(state, batch, AT, [])
        expected = stepped(rule, expected, batch[0].tolist(), rule.rate(AT))
    assert_close(state.weights[0], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-13)
    assert_close(state.effective, rule._effective(state.weights), rtol=1e-14, atol=0)


@pytest.mark.parametrize("rule", [rule for rule in READINGS if rule.gate != "threshold"][::5], ids=str)
def test_rows_that_learn_alone_equal_the_dense_step(rule):
    few, whole = begun(rule, 3), begun(rule, 3)
    for step in range(5):
        batch = torch.cat([images(10 * step + seed) for seed in range(3)])
        for piece in (batch,) if rule.form == "fast" else batch.split(1, dim=1):
            rule._move_few(few, piece, 0.02)
            rule._move_all(whole, piece, 0.02)
    assert_close(few.weights, whole.weights, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("seeds", [1, 3])
def test_inputs_that_are_zero_throughout_are_spared_and_their_weights_decay_alike(seeds):
    rule = Krotov(k=3)
    batch = images(rows=200, inputs=30).expand(seeds, -1, -1).clone()
    batch[..., 4:15] = 0
    begin = begun(rule, seeds, inputs=30)
    narrow, _ = _narrowed(batch, begin.effective)
    assert narrow.shape == (seeds, 200, 19)
    few, whole = copied(begin), copied(begin)
    rule._move_few(few, batch, 0.02)
    rule._move_all(whole, batch, 0.02)
    assert_close(few.weights, whole.weights, rtol=1e-12, atol=1e-13)
    assert (few.weights != begin.weights)[..., 4:15].any()


def test_a_batch_that_uses_nearly_all_inputs_is_not_copied():
    batch, weights = images(), begun(Krotov()).effective
    assert all(one is other for one, other in zip(_narrowed(batch, weights), (batch, weights)))


@pytest.mark.parametrize(
    ("rule", "data", "batch"),
    [
        ("krotov@pnas_mnist", "mnist@nassar2020", 100),
        pytest.param("krotov@holzhausen_cifar", "cifar10@nassar2020", 50, marks=pytest.mark.slow),  # unpacked: 15 s
    ],
)
def test_a_hundred_steps_on_real_batches_equal_the_dense_form(rule, data, batch):
    rule = read("rules", rule)
    inputs = read("datasets", data)().train.inputs[: 100 * batch].flatten(1).double()
    inputs = inputs / torch.linalg.vector_norm(inputs, 3, dim=1, keepdim=True)
    few = begun(rule, 1, inputs.shape[1], 60)
    whole = copied(few)
    for piece in inputs[None].split(batch, dim=1):
        rule._move_few(few, piece, 0.02)
        rule._move_all(whole, piece, 0.02)
    assert_close(few.weights, whole.weights, rtol=0, atol=1e-10)


# ---------------------------------------------------------------------------- known answers


def learnt(rule, epochs=30, units=30, seeds=(0,)):
    data = Digits()().train.inputs
    *_, last = learn(rule, data, Learning(units=units, epochs=epochs, batch_size=50), seeds)
    return last.state


@pytest.mark.parametrize(("p", "radius"), [(2.0, 1.0), (3.0, 1.0), (3.0, 0.5), (2.5, 1.0)])
def test_units_that_win_end_at_their_radius(p, radius):
    rule = Krotov(p=p, k=2, delta=0.0, radius=radius, learning_rate=0.05)
    state = learnt(rule)
    currents = Digits()().train.inputs.flatten(1) @ state.effective[0].T
    wins = currents.argmax(1).bincount(minlength=30)
    norms = state.weights[0].abs().pow(p).sum(1).pow(1 / p)
    assert (wins > 20).sum() > 10
    assert_close(norms[wins > 20], torch.full_like(norms[wins > 20], radius), rtol=0.03, atol=0)


def test_a_lone_pattern_is_learnt_as_its_own_direction():
    # ⟨W, v⟩ W = R^p v at rest: W ∝ v, and ‖W‖_p = R
    rule = Krotov(p=3.0, delta=0.0, schedule="constant", form="slow", learning_rate=0.2)
    pattern = images(rows=1)
    state = begun(rule)
    for _ in range(800):
        state = rule(state, pattern, AT, [])
    winner = int((pattern[0] @ state.effective[0].T).argmax())
    assert_close(state.weights[0, winner], pattern[0, 0] / pattern.pow(3).sum().pow(1 / 3), rtol=1e-9, atol=1e-9)


def test_the_largest_change_of_a_step_is_the_rate():
    rule = Krotov(learning_rate=0.03, schedule="constant")
    before = begun(rule)
    after = rule(copied(before), images(), AT, [])
    assert float((after.weights - before.weights).abs().max()) == pytest.approx(0.03, rel=1e-12)


def test_a_small_start_falls_into_the_all_negative_attractor():
    # a unit that is punished while it is small turns against every image, and never wins again
    rule = Krotov(p=3.0, k=7, learning_rate=0.02)
    small, normal = (learnt(replace(rule, initial_sd=sd), epochs=100).weights[0] for sd in (0.01, 1.0))
    against = [float(((weights < 0).double().mean(1) > 0.95).double().mean()) for weights in (small, normal)]
    assert against[0] > 0.4
    assert against[1] < 0.3


@pytest.mark.parametrize("name", PRESETS)
def test_scaling_all_images_alike_changes_nothing(name):
    rule = replace(PRESETS[name], k=2)
    one, other = begun(rule), begun(rule)
    for step in range(3):
        one, other = rule(one, images(step), AT, []), rule(other, images(step) * 8, AT, [])
    assert_close(one.weights, other.weights, rtol=1e-10, atol=1e-12)


def test_the_order_of_a_batch_and_of_units_does_not_matter():
    rule, batch, order = Krotov(k=3), images(), torch.randperm(UNITS, generator=seeded(4))
    straight = rule(begun(rule), batch, AT, [])
    assert_close(rule(begun(rule), batch.flip(1), AT, []).weights, straight.weights, rtol=1e-12, atol=1e-13)
    start = begun(rule)
    shuffled = State(start.weights[:, order], start.effective[:, order])
    assert_close(rule(shuffled, batch, AT, []).weights, straight.weights[:, order], rtol=1e-12, atol=1e-13)


# -------------------------------------------------------------------------- ranks and schedules


def test_equal_currents_are_ranked_by_index():
    values = torch.randint(0, 5, (40, 30), generator=seeded(0)).double()
    ranked = in_order(values, 6)
    for row, found in zip(values.tolist(), ranked.tolist()):
        assert found == sorted(range(30), key=lambda unit: (-row[unit], unit))[:6]
    assert in_order(torch.zeros(2, 3, 4), 4).tolist() == [[[0, 1, 2, 3]] * 3] * 2


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("linear", [0.4, 0.3, 0.2, 0.1]),  # Krotov: ε₀ (1 − e/E), e = 0 … E − 1
        ("linear_from_second", [0.3, 0.2, 0.1, 0.0]),  # Holzhausen: e = 1 … E
        ("constant", [0.4] * 4),
    ],
)
def test_schedules(schedule, rates):
    rule = Krotov(learning_rate=0.4, schedule=schedule)
    assert [rule.rate(Progress(0, 8, epoch, 4)) for epoch in range(4)] == pytest.approx(rates)


def test_an_epoch_without_rate_changes_nothing():
    rule = Krotov(schedule="linear_from_second")
    before = begun(rule)
    after = rule(copied(before), images(), Progress(3, 4, 3, 4), [])
    assert torch.equal(after.weights, before.weights)


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("holzhausen_cifar", (3.0, 2, 0.4, 0.02, "linear_from_second", 1e-9, "l3")),
        ("holzhausen_mnist", (3.0, 7, 0.4, 0.04, "linear_from_second", 1e-9, "l3")),
        ("krotov_demo", (2.0, 2, 0.4, 0.02, "linear", 1e-30, "pixel")),
        ("pnas_mnist", (3.0, 7, 0.4, 0.04, "linear", 1e-30, "pixel")),
        ("pnas_cifar", (2.0, 2, 0.0, 0.02, "linear", 1e-30, "pixel")),
        ("talloen_cifar", (5.0, 2, 0.1, 0.02, "linear", 1e-30, "pixel")),
        ("talloen_mnist", (3.0, 7, 0.4, 0.04, "linear", 1e-30, "pixel")),
        ("talloen_fashion", (3.0, 5, 0.3, 0.04, "linear", 1e-30, "pixel")),
    ],
)
def test_presets_are_their_papers(preset, said):
    rule = PRESETS[preset]
    assert (rule.p, rule.k, rule.delta, rule.learning_rate, rule.schedule, rule.smallest, rule.scaling) == said
    assert (rule.radius, rule.gate, rule.rank_on, rule.form, rule.initial_sd) == (1.0, "rank_k", "current", "fast", 1.0)


# --------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "p=1.5",
            "Expected a Lebesgue norm p of 2 or more, got p=1.5. The papers use 2, 3 and 5: below 2, |W|^(p−2) has no "
            "bound where weights are near 0.",
        ),
        (
            "k=1",
            "Expected a punished rank k of 2 or more, got k=1. Rank 1 is the winner's; to punish nobody, use delta=0.",
        ),
        ("radius=0", "Expected radius above 0, got 0. Leave it out for the default."),
        ("learning_rate=-1", "Expected learning_rate above 0, got -1. Leave it out for the default."),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError) as raised:
        read("rules", f"krotov:{settings}")
    assert str(raised.value) == message


def test_more_ranks_than_units():
    with pytest.raises(ValueError) as raised:
        Krotov(k=7).start(10, 5, [seeded(0)])
    assert str(raised.value) == "Expected at least k=7 units, got 5. Use k=5 or less, or more units."


def test_a_layer_answers_with_currents_of_effective_weights():
    rule = Krotov(p=2.5)
    state = begun(rule, 2)
    layer = rule.layer(one_seed(state, 1))
    image = images()[0]
    expected = [[current(row, one, 2.5) for row in state.weights[1].tolist()] for one in image.tolist()]
    assert_close(layer(image), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)
