"""The spectral penalty from some ranks of the tail, and from a random projection of a map, against the whole."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from codes import code, passed, reference, rotation, started, total
from exact import power_law, refusal, seeded
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from eigenfall import excess as law
from eigenfall.architectures.mlp import PRESETS as NETWORKS
from eigenfall.bases import random_projection, tail_correlation
from eigenfall.datasets.digits import PRESETS as DIGITS
from eigenfall.layers import hidden_of
from eigenfall.packing import opened, seal
from eigenfall.penalties.spectral import CHECK_EVERY, PRESETS, Spectral
from eigenfall.snapshots import flattened, unflattened
from eigenfall.training import Training, train
from eigenfall.types import Split

FULL = Spectral(order="identity", refresh="every_k_steps", k_steps=100)
SMALL = replace(FULL, tau=3)
"""Of a layer of 12 units it leaves a tail of 8 ranks, 5 … 12."""


def value_and_gradient(part, rows, state, seed=0):
    batch = rows.clone().requires_grad_()
    value = part(passed(batch), state, seeded(seed)).total
    (gradient,) = torch.autograd.grad(value, batch)
    return value.detach(), gradient


def every_subset(part, rows, state, count, tail_ranks):
    """Value and gradient of the part for each subset of the ranks, drawn until every one has come up."""
    wanted, found, seed = set(itertools.combinations(tail_ranks, count)), {}, 0
    while set(found) != wanted:
        drawn = tuple(law.drawn_ranks(count, part.tau, tail_ranks[-1], seeded(seed)).tolist())
        assert drawn in wanted
        if drawn not in found:
            found[drawn] = value_and_gradient(part, rows, state, seed)
        seed += 1
    return found


# --------------------------------------------------------------------------- the mean over draws


@pytest.mark.parametrize("side", ["paper", "two_sided", "above", "below", "log"])
@pytest.mark.parametrize("settings", [{}, {"anchor": "absolute", "scale": 0.3}, {"zeros": "skipped"}], ids=str)
def test_over_every_subset_value_and_gradient_are_the_full_ones(side, settings):
    counted = side == "log" or "zeros" in settings
    full = replace(SMALL, side=side, divisor="units" if counted else "terms", **settings)
    rows = code(60, 12, 1.6)
    state = started(full, rows)
    expected, gradient = value_and_gradient(full, rows[:20], state)
    found = every_subset(replace(full, subset=3), rows[:20], state, 3, range(5, 13))
    assert len(found) == math.comb(8, 3) == 56
    values, gradients = (torch.stack(list(some)) for some in zip(*found.values()))
    assert_close(values.mean(), expected, rtol=1e-12, atol=1e-13)
    assert_close(gradients.mean(0), gradient, rtol=1e-12, atol=1e-13)
    assert float(values.std()) > 0.01 * float(expected)


def test_the_variance_over_every_subset_is_the_one_documented():
    rows = code(60, 12, 1.6)
    state = started(SMALL, rows)
    found = every_subset(replace(SMALL, subset=3), rows[:20], state, 3, range(5, 13))
    values = torch.stack([value for value, _ in found.values()])
    along = ((rows[:20] - rows[:20].mean(0)) @ state.basis["hidden1"]).square().sum(0) / 19
    kappa = (0.9 * state.anchor["hidden1"] + 0.1 * along[3]) * 4
    ratio = along[4:] * torch.arange(5, 13) / kappa - 1
    terms = ratio**2 + ratio.relu()
    assert_close(values.var(correction=0), (1 - 3 / 8) * terms.var() / 3, rtol=1e-12, atol=0)


def test_the_mean_square_of_the_gradient_is_as_many_times_larger_as_ranks_are_fewer():
    """Columns of V are orthonormal, so what the ranks add to the gradient is too: E‖ĝ‖² = (T/k) ‖g‖²."""
    rows = code(60, 12, 1.6)
    state = started(SMALL, rows)
    _, gradient = value_and_gradient(SMALL, rows[:20], state)
    found = every_subset(replace(SMALL, subset=3), rows[:20], state, 3, range(5, 13))
    squares = torch.stack([drawn.square().sum() for _, drawn in found.values()])
    assert_close(squares.mean(), 8 / 3 * gradient.square().sum(), rtol=1e-12, atol=0)


def test_of_a_larger_layer_value_and_gradient_are_the_full_ones_in_the_mean():
    rows, full = code(700, 60, 1.5), FULL
    state = started(full, rows)
    expected, gradient = value_and_gradient(full, rows[:80], state)
    found = [value_and_gradient(replace(full, subset=8), rows[:80], state, seed) for seed in range(600)]
    values, gradients = (torch.stack(list(some)) for some in zip(*found))
    turns = torch.randn(60, 2, generator=seeded(1), dtype=torch.float64)
    for samples, mean in ((values, expected), (gradients @ turns, gradient @ turns)):
        error = samples.std(0) / 600**0.5
        assert bool((((samples.mean(0) - mean) / error).abs() < 4.5).all())


def test_every_subset_is_as_likely():
    draws = [tuple(law.drawn_ranks(3, 3, 12, generator).tolist()) for generator in [seeded(0)] for _ in range(11_200)]
    counts = torch.tensor([draws.count(drawn) for drawn in set(draws)], dtype=torch.float64)
    assert len(counts) == 56
    assert float(((counts - 200) ** 2 / 200).sum()) < 55 + 5 * math.sqrt(110)  # χ² of 55 degrees


# ------------------------------------------------------------------------------------- the twin


def variance_along(rows, direction):
    """Sample variance of the rows along a direction, one sample and one unit at a time."""
    mean = [sum(column) / len(rows) for column in zip(*rows)]
    along = [sum((h - m) * v for h, m, v in zip(row, mean, direction)) for row in rows]
    return sum(a * a for a in along) / (len(rows) - 1)


def looped(batches, basis, anchor, drawn, tau, memory):
    """R of batch after batch from the ranks drawn for each, divided by the number of terms; and the last anchor."""
    found, columns = [], basis.T.tolist()
    for batch, ranks in zip(batches, drawn):
        anchor = memory * anchor + (1 - memory) * variance_along(batch.tolist(), columns[tau])
        total = 0.0
        for n in ranks:
            r = variance_along(batch.tolist(), columns[n - 1]) / (anchor * (tau + 1) / n) - 1
            total += r**2 + max(0.0, r)
        tail = len(columns) - tau - 1
        found.append(tail / len(ranks) * total / tail)
    return found, anchor


def test_the_part_is_the_loop_over_several_steps():
    rows = code(300, 30, 1.7)
    part = replace(FULL, tau=5, subset=6, memory=0.8)
    state, generator = started(part, rows), seeded(3)
    basis, anchor = state.basis["hidden1"], float(state.anchor["hidden1"])
    batches, drawing, found = rows.split(25)[:5], seeded(3), []
    ranks = [law.drawn_ranks(6, 5, 30, drawing).tolist() for _ in batches]
    assert len({tuple(some) for some in ranks}) == 5
    for batch in batches:
        value = part(passed(batch), state, generator)
        found.append(float(value.total))
        state = value.state
    expected, last = looped(batches, basis, anchor, ranks, 5, 0.8)
    assert found == pytest.approx(expected, rel=1e-12)
    assert float(state.anchor["hidden1"]) == pytest.approx(last, rel=1e-12)


def test_all_ranks_drawn_are_the_whole_sum():
    values = power_law(1.6, 40).eigenvalues
    kappa = law.anchor(values, 1.0, 5, "tau")
    ranks = law.drawn_ranks(34, 5, 40, seeded(0))
    assert ranks.tolist() == list(range(7, 41))
    for side, units in itertools.product(("paper", "two_sided", "above", "below", "log"), (None, 40)):
        drawn = law.drawn_excess(values[6:], ranks, 34, kappa, 1.0, side, units)
        assert_close(drawn, law.excess(values, kappa, 1.0, 5, side, units), rtol=1e-12, atol=0)


@pytest.mark.parametrize("subset", [8, 100])
def test_no_fewer_than_there_are_is_all_bit_for_bit_and_draws_nothing(subset):
    rows, generator = code(60, 12, 1.6), seeded(0)
    part, before = replace(SMALL, subset=subset), generator.get_state()
    state = started(part, rows)
    found = part(passed(rows[:20]), state, generator)
    assert float(found.total) == float(total(SMALL, rows[:20], state))
    assert torch.equal(generator.get_state(), before)
    assert "hidden1/alpha_along_basis" in found.logged


# --------------------------------------------------------------------------- what it does not do


def test_no_other_column_is_touched():
    rows = code(300, 30, 1.6)
    part = replace(FULL, subset=4)
    state = started(part, rows)
    kept = [10, *(n - 1 for n in law.drawn_ranks(4, 10, 30, seeded(7)).tolist())]
    hidden = torch.full_like(state.basis["hidden1"], math.nan)
    hidden[:, kept] = state.basis["hidden1"][:, kept]
    found = value_and_gradient(part, rows[:50], replace(state, basis={"hidden1": hidden}), 7)
    assert_close(found, value_and_gradient(part, rows[:50], state, 7), rtol=0, atol=0)
    assert bool(torch.isfinite(found[1]).all())


@pytest.mark.parametrize("looked_at", [False, True])
def test_it_costs_two_products_with_the_columns_drawn(looked_at):
    rows = code(700, 64, 1.3)
    part = Spectral(order="identity", subset=9)
    state = replace(started(part, rows), age=CHECK_EVERY - 1 if looked_at else 0)
    batch = rows[:50].clone().requires_grad_()
    with FlopCounterMode(display=False) as counted:
        part(passed(batch), state, seeded(0)).total.backward()
    forward = backward = 2 * 50 * 64 * (9 + 1)
    assert counted.get_total_flops() == forward + backward + (2 * 50 * 9 * 9 if looked_at else 0)


def test_what_needs_every_rank_is_not_logged():
    rows = code(300)
    part = replace(FULL, subset=4)
    first = part(passed(rows[:50]), started(part, rows), seeded(0))
    assert set(first.logged) == {"age", "hidden1/alpha"}
    assert set(part(passed(rows[:50]), first.state, seeded(0)).logged) == {"age"}


# ----------------------------------------------------------------------------------- staleness


def test_pairs_of_the_columns_drawn_show_the_staleness_of_all():
    mixed = code(80, 9, 1.5) @ rotation(9, 4)
    moments = mixed.T @ mixed
    of_subsets = [
        tail_correlation(moments[list(some)][:, list(some)]).square() for some in itertools.combinations(range(9), 4)
    ]
    assert_close(torch.stack(of_subsets).mean(), tail_correlation(moments).square(), rtol=1e-12, atol=0)


def test_the_exploit_is_seen_from_the_columns_drawn():
    steep, turned = code(600, alpha=3.0), code(600, alpha=3.0, turn=9)
    part, generator = Spectral(order="identity", subset=8), seeded(0)
    for rows, expected in ((steep, "no"), (turned, "now")):
        state = started(part, steep)
        for _ in range(CHECK_EVERY):
            assert state.due == "no"
            state = part(passed(rows), state, generator).state
        assert state.due == expected


# ------------------------------------------------------------------------------------- training


def digits_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential()
        for name, module in (
            ("hidden1", nn.Conv2d(1, 6, 3)),
            ("flatten", nn.Flatten()),
            ("hidden2", nn.Linear(216, 20)),
            ("readout", nn.Linear(20, 10)),
        ):
            model.add_module(name, module)
        return model


def test_a_run_that_goes_on_is_the_run_that_never_stopped(tmp_path):
    examples = DIGITS["nassar2020"]()
    split = Split(examples.train.inputs[:400], examples.train.targets[:400])
    nothing = Split(split.inputs[:0], split.targets[:0])
    penalties = {"spectral": Spectral(tau=3, order="identity", subset=5, view="project", projected=24, max_age=4)}
    settings = Training(batch_size=50, epochs=None, steps=9)
    whole, half = digits_net(), digits_net()
    for step in train(whole, split, nothing, penalties, settings):
        if step.progress.step == 5:
            (tmp_path / "middle").write_bytes(seal(step.snapshot()))
    middle = opened(tmp_path / "middle")
    for _ in train(half, split, nothing, penalties, settings, start=middle):
        pass
    assert_close(dict(half.state_dict()), dict(whole.state_dict()), rtol=0, atol=0)
    assert middle["state/spectral/projection/hidden1"].shape == (216, 24)


def exponents(part, seed, steps):
    """True exponents of the three layers of a digits net after training, over ranks 11 … 63."""
    examples = DIGITS["nassar2020"]()
    model = NETWORKS["nassar2020_deep_quick"](examples, seeded(seed))
    settings = Training(learning_rate=3e-3, epochs=None, steps=steps, last_batch="drop")
    for _ in train(model, examples.train, examples.validation, {"spectral": part}, settings, seed=seed):
        pass
    with torch.no_grad():
        _, hidden = hidden_of(model.eval(), examples.train.inputs, ("hidden1", "hidden2", "hidden3"))
    return [
        float(law.exponent(torch.linalg.eigvalsh(torch.cov(values.double().T)).flip(0)[:63], 10))
        for values in hidden.values()
    ]


@pytest.mark.slow
def test_training_reaches_one_over_n_as_with_all_ranks():
    """Half of the 53 ranks, and so twice as many updates."""
    full = Spectral(strength=5.0, order="identity", refresh="every_k_steps", k_steps=5)
    all_ranks, half = (
        torch.tensor([exponents(replace(full, subset=subset), seed, steps) for seed in range(3)])
        for subset, steps in ((0, 2000), (26, 4000))
    )
    assert float((all_ranks - 1).abs().max()) < 0.2, all_ranks
    assert float((half - all_ranks).abs().max()) < 0.1, (all_ranks, half)
    assert float((half - all_ranks).mean(0).abs().max()) < 0.05, (all_ranks, half)


# ----------------------------------------------------------------------------- a map, projected

PROJECTED = Spectral(view="project", projected=20, tau=5, rows="all")


def maps(samples=300, seed=0):
    """Maps of 5 channels of 3 × 3 places, 45 units, that fall off as n^−1.5."""
    return code(samples, 45, 1.5, seed).reshape(samples, 5, 3, 3)


def test_it_is_the_penalty_of_the_projected_map():
    state = started(PROJECTED, maps())
    directions = state.projection["hidden1"]
    assert_close(directions.T @ directions, torch.eye(20, dtype=torch.float64))
    assert directions.shape == (45, 20)
    assert state.basis["hidden1"].shape == (20, 20)
    flat = maps().flatten(1) @ directions
    plain = replace(PROJECTED, view="flatten")
    alone = started(plain, flat)
    assert_close(state.anchor["hidden1"], alone.anchor["hidden1"])
    assert_close(total(PROJECTED, maps()[:80], state), total(plain, flat[:80], alone))
    found, expected = (
        part.staleness(some, reference(rows), seeded(0))["hidden1"]
        for part, some, rows in ((PROJECTED, state, maps(seed=1)), (plain, alone, maps(seed=1).flatten(1) @ directions))
    )
    assert found.true_alpha == pytest.approx(expected.true_alpha)
    assert found.excess == pytest.approx(expected.excess)


@pytest.mark.parametrize("estimator", ["fixed_basis", "low_rank"])
def test_a_subset_of_a_projected_map(estimator):
    full = replace(PROJECTED, order="identity", tau=11, estimator=estimator, ranks=20)
    state = started(full, maps())
    expected, gradient = value_and_gradient(full, maps()[:30], state)
    found = every_subset(replace(full, subset=3), maps()[:30], state, 3, range(13, 21))
    values, gradients = (torch.stack(list(some)) for some in zip(*found.values()))
    assert_close(values.mean(), expected, rtol=1e-12, atol=1e-13)
    assert_close(gradients.mean(0), gradient, rtol=1e-12, atol=1e-13)


def test_the_exact_estimator_sees_the_projected_map():
    part = replace(PROJECTED, estimator="exact", memory=0.0, anchor="tau")
    state = started(part, maps())
    flat = maps().flatten(1) @ state.projection["hidden1"]
    along = torch.linalg.eigvalsh(torch.cov(flat.T)).flip(0)
    r = torch.stack([along[n - 1] * n / (along[5] * 6) - 1 for n in range(7, 21)])
    assert_close(total(part, maps(), state), (r**2 + r.relu()).mean())


@pytest.mark.parametrize("precision", ["float64", "model"])
def test_directions_are_drawn_once_and_stay(precision):
    part = replace(PROJECTED, precision=precision, fixed=False, rows=100)
    state = started(part, maps())
    after = part.refreshed(part(passed(maps()[:80]), state, seeded(0)).state, reference(maps(seed=1)), seeded(1))
    assert_close(after.projection, state.projection, rtol=0, atol=0)
    assert not torch.equal(after.basis["hidden1"], state.basis["hidden1"])
    assert not torch.equal(part.start(reference(maps()), seeded(1)).projection["hidden1"], state.projection["hidden1"])


def test_directions_are_saved_and_restored(tmp_path):
    rows = maps().float()
    state = started(PROJECTED, rows)
    assert state.projection["hidden1"].dtype == torch.float32
    (tmp_path / "state").write_bytes(seal(flattened(state, "")))
    back = unflattened(replace(state, projection={}), opened(tmp_path / "state"), "", torch.device("cpu"))
    assert torch.equal(back.projection["hidden1"], state.projection["hidden1"])
    assert float(total(PROJECTED, rows[:80], back)) == float(total(PROJECTED, rows[:80], state))


def test_a_map_with_no_more_units_and_a_layer_without_places_are_taken_whole():
    rows = {"map": maps(), "small": maps()[:, :2], "dense": code(300, 30)}
    part = replace(PROJECTED, projected=18)
    state = started(part, rows)
    assert {name: values.shape for name, values in state.projection.items()} == {"map": (45, 18)}
    assert {name: len(values) for name, values in state.basis.items()} == {"map": 18, "small": 18, "dense": 30}
    alone = replace(part, view="flatten")
    few = {name: rows[name] for name in ("small", "dense")}
    found, expected = part(passed(rows), state, seeded(0)), alone(passed(few), started(alone, few), seeded(0))
    assert_close({name: found.per_layer[name] for name in few}, dict(expected.per_layer))


def test_a_wide_map_is_let_through_when_it_is_projected():
    started(replace(PROJECTED, max_units=20), maps())
    sentence = refusal(started, replace(PROJECTED, max_units=19), maps())
    assert sentence == (
        "Expected at most 19 units in layer 'hidden1', got 20. "
        "Use view=channels, pool or project for a convolutional map, or raise max_units."
    )


def test_projected_variances_lie_between_the_map_s():
    """Cauchy's interlacing: λₙ₊₂₅ ≤ μₙ ≤ λₙ for 20 of 45 directions."""
    values, directions = power_law(1.5, 45).eigenvalues, random_projection(45, 20, seeded(0))
    inside = torch.linalg.eigvalsh(directions.T @ (values[:, None] * directions)).flip(0)
    assert bool((inside <= values[:20]).all() and (inside >= values[25:]).all())


@pytest.mark.parametrize("alpha, expected", [(1.0, 0.83), (2.0, 2.1)])
def test_how_steep_a_projected_law_is(alpha, expected):
    values, directions = power_law(alpha, 1200).eigenvalues, random_projection(1200, 170, seeded(0))
    inside = torch.linalg.eigvalsh(directions.T @ (values[:, None] * directions)).flip(0)
    assert float(law.exponent(inside, 10)) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened_before_it_is_projected(dtype):
    rows = maps().to(dtype)
    for part in (PROJECTED, replace(PROJECTED, order="identity", subset=4)):
        state = started(part, rows)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = total(part, rows[:80], state)
        assert_close(value, total(part, rows[:80].float(), state), rtol=1e-6, atol=0)


# ------------------------------------------------------------------------------------- refusals

REFUSALS = [
    ({"subset": -1}, "Expected subset of 0 or more, got -1. 0 takes every rank."),
    (
        {"subset": 100},
        'Expected order="identity" with a subset, got order="rank". '
        "A rank needs every eigenvalue of the batch: use identity, or subset=0.",
    ),
    (
        {"subset": 100, "order": "identity", "anchor": "window"},
        'Expected anchor="ema" or "absolute" with a subset, got anchor="window". '
        "It reads ranks that are not drawn: use ema, or subset=0.",
    ),
    (
        {"subset": 100, "order": "identity", "anchor": "trace"},
        'Expected anchor="ema" or "absolute" with a subset, got anchor="trace". '
        "It reads ranks that are not drawn: use ema, or subset=0.",
    ),
    (
        {"subset": 100, "order": "identity", "anchor": "tau"},
        'Expected an anchor that is not one eigenvalue of one batch with order="identity", got anchor="tau". '
        'Use anchor="ema" or "window".',
    ),
    (
        {"subset": 100, "order": "identity", "estimator": "exact"},
        'Expected estimator="fixed_basis" or "low_rank" with a subset, got estimator="exact". '
        "It finds all eigenvalues at once: use fixed_basis, or subset=0.",
    ),
    (
        {"subset": 100, "order": "identity", "zeros": "skipped"},
        "Expected a number of terms that is known without every rank, with a subset, "
        'got divisor="terms" with zeros="skipped". Use divisor=units, or subset=0.',
    ),
    (
        {"subset": 100, "order": "identity", "side": "log"},
        "Expected a number of terms that is known without every rank, with a subset, "
        'got divisor="terms" with side="log". Use divisor=units, or subset=0.',
    ),
    (
        {"subset": 1, "order": "identity"},
        'Expected a subset of 2 or more with refresh="auto", got 1. '
        "Staleness is seen between two columns: draw more, or use refresh=every_k_steps.",
    ),
    ({"projected": 0}, "Expected projected of 1 or more, got 0. Count in whole steps or ranks."),
]


@pytest.mark.parametrize("settings, sentence", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(settings, sentence):
    assert refusal(Spectral, **settings) == sentence


def test_the_paper_takes_every_rank():
    assert {part.subset for part in PRESETS.values()} == {0}
