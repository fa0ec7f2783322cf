"""The spectral penalty: the released algorithm, refreshes, the exploit, and everything that can go wrong."""

import math
from contextlib import nullcontext
from dataclasses import replace

import naive
import pytest
import torch
from codes import code, passed, reference, rotation, started, total
from exact import power_law, seeded
from torch.testing import assert_close

from eigenfall import bases
from eigenfall.excess import exponent
from eigenfall.parts import read
from eigenfall.penalties import spectral
from eigenfall.penalties._spectral import EXCESS
from eigenfall.penalties.spectral import CHECK_EVERY, LEVEL, PRESETS, Spectral

PUBLISHED = PRESETS["nassar2020"]


def exact_code(values, seed=0, turn=0):
    """Responses whose sample covariance has exactly these eigenvalues."""
    rows = torch.randn(200, len(values), generator=seeded(seed), dtype=torch.float64)
    white = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)[0] * math.sqrt(199)
    return white * values.sqrt() @ rotation(len(values), turn).T


# ------------------------------------------------------------------ the released algorithm


@pytest.mark.parametrize("tau", [0, 10])
@pytest.mark.parametrize("samples", [20, 90])
def test_the_preset_is_the_released_loop(tau, samples):
    part = replace(PUBLISHED, tau=tau, strength=5.0)
    rows = {"hidden1": code(300, 30, 2.0), "hidden2": code(300, 25, 1.5, seed=1, turn=1)}
    batch = {name: values[:samples].clone().requires_grad_() for name, values in rows.items()}
    found = part(passed(batch), started(part, rows), seeded(0))
    looped = sum(
        naive.released_excess(batch[name], naive.released_basis(values), 1.0, tau) for name, values in rows.items()
    )
    assert_close(found.total, 5 * looped, rtol=1e-10, atol=0)
    for values in batch.values():
        ours, theirs = (torch.autograd.grad(value, values, retain_graph=True)[0] for value in (found.total, 5 * looped))
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-10


def test_the_bench_s_vectorised_form_is_the_same_number():
    batch, basis = code(80, 30, 2.0), naive.released_basis(code(300, 30, 2.0))
    assert_close(naive.vectorised_excess(batch, basis, 1.0, 10), naive.released_excess(batch, basis, 1.0, 10))


def test_the_preset_asks_for_every_row_in_eval_mode():
    seen = []
    state = started(PUBLISHED, code(), seen=seen)
    (indices, mode), *more = seen
    assert_close(indices, torch.arange(200))
    assert (mode, more, state.due) == ("eval", [], "epoch")
    assert state.basis["hidden1"].shape == (30, 30)


def test_the_preset_is_known_by_its_name():
    assert read("penalties", "spectral@nassar2020") == PUBLISHED


@pytest.mark.parametrize("part", [PUBLISHED, Spectral(), Spectral(anchor="window"), Spectral(anchor="trace")], ids=str)
def test_nothing_is_asked_of_an_exact_power_law(part):
    """Defect 4 of Holzhausen et al.'s code: with an anchor the loss is 0 on a law of any scale."""
    rows = exact_code(power_law(1.0, 30).eigenvalues)
    for scale in (1.0, 20.0):
        assert float(total(part, scale * rows, started(part, scale * rows))) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("part", [PUBLISHED, Spectral(anchor="tau")], ids=["nassar2020", "default, anchor tau"])
def test_scale_and_rotation_with_a_fresh_basis(part):
    """Defect 4 of Holzhausen et al.'s code: with an anchor the loss knows no unit."""
    rows = code(300, 30, 2.0)
    plain = rows[:80].clone().requires_grad_()
    scaled = (3 * rows[:80]).requires_grad_()
    turned = rows[:80] @ rotation(30, 5)
    value = total(part, plain, started(part, rows))
    (gradient,) = torch.autograd.grad(value, plain)
    value_scaled = total(part, scaled, started(part, 3 * rows))
    (gradient_scaled,) = torch.autograd.grad(value_scaled, scaled)
    assert_close(value_scaled, value)
    assert_close(gradient_scaled, gradient / 3)
    assert_close(total(part, turned, started(part, rows @ rotation(30, 5))), value.detach())


def test_scale_with_an_anchor_in_the_state_once_it_has_followed():
    part, rows = Spectral(), code(300, 30, 2.0)
    values = []
    for scale in (1.0, 3.0):
        state = started(part, rows)
        for _ in range(300):
            found = part(passed(scale * rows[:80]), state, seeded(0))
            state = found.state
        values.append(found.total)
    assert_close(values[0], values[1], rtol=1e-9, atol=0)
    assert float(total(part, 3 * rows[:80], started(part, rows))) != pytest.approx(float(values[0]), rel=0.1)


@pytest.mark.filterwarnings("ignore:Layer 'hidden1' has 11 ranks above rounding:UserWarning")
@pytest.mark.parametrize(
    "part, expected", [(PUBLISHED, 19 / 30), (Spectral(last_rank="units"), 1.0)], ids=["D", "terms"]
)
def test_a_collapsed_tail(part, expected):
    spectrum = torch.cat([power_law(1.0, 11).eigenvalues, torch.full((19,), 1e-14, dtype=torch.float64)])
    rows = exact_code(spectrum)
    assert float(total(part, rows, started(part, rows))) == pytest.approx(expected, rel=1e-6)


def test_the_average_anchor():
    part, rows = Spectral(memory=0.75), code()
    state = started(part, rows)
    along = torch.linalg.eigvalsh(torch.cov(rows.T)).flip(0)
    assert_close(state.anchor["hidden1"], along[10])
    after = part(passed(2 * rows), state, seeded(0)).state
    assert_close(after.anchor["hidden1"], 0.75 * along[10] + 0.25 * 4 * along[10])
    assert_close(state.anchor["hidden1"], along[10])


# --------------------------------------------------------------------------------- settings


def test_each_layer_has_its_own_settings():
    rows = {"a": code(turn=1, alpha=2.0), "b": code(turn=2, alpha=1.5)}
    both = Spectral(layers=("a", "b"), strength=(2.0, 3.0), alpha=(1.0, 1.4), tau=(5, 8))
    found = both(passed(rows), started(both, rows), seeded(0))
    alone = [
        total(
            Spectral(layers=(name,), strength=strength, alpha=alpha, tau=tau),
            rows,
            started(Spectral(layers=(name,), tau=tau), rows),
        )
        for name, strength, alpha, tau in (("a", 2.0, 1.0, 5), ("b", 3.0, 1.4, 8))
    ]
    assert_close(found.total, sum(alone))
    assert set(found.per_layer) == {"a", "b"}
    assert_close(found.total, 2 * found.per_layer["a"] + 3 * found.per_layer["b"])


def test_the_law_can_be_left_to_other_sides_and_divisors():
    rows = code(alpha=2.0)
    values = {
        side: float(total(Spectral(side=side), rows, started(Spectral(), rows)))
        for side in ("above", "below", "two_sided")
    }
    assert values["above"] + values["below"] == pytest.approx(values["two_sided"])
    terms, units = (
        float(total(replace(Spectral(), divisor=by), rows, started(Spectral(), rows))) for by in ("terms", "units")
    )
    assert terms * 19 == pytest.approx(units * 30)


def test_a_last_rank_that_is_given():
    part, rows = Spectral(last_rank=20, anchor="tau"), code(alpha=2.0)
    state = started(part, rows)
    assert state.basis["hidden1"].shape == (30, 20)
    along = torch.linalg.eigvalsh(torch.cov(rows.T)).flip(0)
    kept = [along[n - 1] / (along[10] * 11 / n) - 1 for n in range(12, 21)]
    assert float(total(part, rows, state)) == pytest.approx(float(sum(r**2 + r.relu() for r in kept)) / 9)


def test_ranks_that_cannot_rise_are_left_out():
    rows = torch.cat([code(units=20), torch.full((200, 10), 3.0, dtype=torch.float64)], 1)
    assert started(Spectral(), rows).basis["hidden1"].shape == (30, 20)
    few = Spectral(tau=3, estimator="low_rank", ranks=20)
    assert started(few, code()[:25]).basis["hidden1"].shape == (30, 20)
    assert started(replace(few, ranks=24), code()[:25]).basis["hidden1"].shape == (30, 24)


def test_the_order_of_the_basis():
    rows = code(400, alpha=1.0)
    state = started(Spectral(), rows)
    by_rank, by_basis = (total(Spectral(order=order), rows[:30], state) for order in ("rank", "identity"))
    assert float(by_basis) > float(by_rank)
    along = ((rows[:30] - rows[:30].mean(0)) @ state.basis["hidden1"]).square().sum(0) / 29
    kappa = (0.9 * state.anchor["hidden1"] + 0.1 * along[10]) * 11
    r = torch.stack([along[n - 1] * n / kappa - 1 for n in range(12, 31)])
    assert_close(by_basis, (r**2 + r.relu()).mean())


@pytest.mark.parametrize("how, shape", [("channels", (14, 14)), ("pool", (14, 14)), ("flatten", (126, 126))])
def test_convolutional_maps(how, shape):
    maps = torch.randn(200, 14, 3, 3, generator=seeded(0), dtype=torch.float64)
    part = Spectral(view=how, rows="all")
    state = started(part, maps)
    assert state.basis["hidden1"].shape == shape
    assert bool(torch.isfinite(total(part, maps[:40], state)))


@pytest.mark.parametrize("last", ["units", 22])
def test_ranks_that_cannot_rise_and_are_held_all_the_same_are_told_of_once(last):
    """A linear layer of 30 units on 20 inputs has 20 ranks, whatever its weights."""
    rows = code(units=20) @ torch.randn(20, 30, generator=seeded(1), dtype=torch.float64)
    part = Spectral(last_rank=last, rows="all")
    with pytest.warns(UserWarning, match="cannot rise") as told:
        state = started(part, rows)
    assert [str(one.message) for one in told] == [
        f"Layer 'hidden1' has 20 ranks above rounding, and {30 if last == 'units' else 22} are held to the target: a "
        "direction without variance has no gradient and cannot rise. Use last_rank=rank."
    ]
    part.refreshed(part(passed(rows), state, seeded(0)).state, reference(rows), seeded(0))  # warnings are errors
    started(replace(part, last_rank="rank"), rows)


def test_columns_of_low_rank_are_those_of_the_whole():
    rows = code(400, 60, 1.5)
    low, whole = Spectral(estimator="low_rank", ranks=20), Spectral(last_rank=20)
    state = started(low, rows)
    assert state.basis["hidden1"].shape == (60, 20)
    assert_close(total(low, rows[:80], state), total(whole, rows[:80], started(whole, rows)), rtol=0.02, atol=0)


@pytest.mark.parametrize("samples", [20, 90])
def test_the_exact_estimator_takes_the_batch_s_own_eigenvalues(samples):
    part, rows = Spectral(estimator="exact", memory=0.0, anchor="tau"), code(400)
    state = started(part, rows)
    with pytest.warns(UserWarning, match="are too steep") as told:
        found = total(part, rows[:samples], state)
    assert [str(one.message) for one in told] == [
        f"{samples} samples for 30 units of layer 'hidden1': exact eigenvalues of fewer than ten samples per unit are "
        'too steep. Use estimator="fixed_basis", or larger batches.'
    ]
    along = torch.linalg.eigvalsh(torch.cov(rows[:samples].T)).flip(0)[: min(30, samples - 1)]
    r = torch.stack([along[n - 1] * n / (along[10] * 11) - 1 for n in range(12, len(along) + 1)])
    assert_close(found, (r**2 + r.relu()).mean())
    assert state.due == "no"


def test_the_exact_estimator_averages_over_batches():
    part, rows = Spectral(estimator="exact", memory=0.75, anchor="tau"), code(900)
    state = started(part, rows)
    batch = code(400, alpha=2.0, seed=3).requires_grad_()
    found = part(passed(batch), state, seeded(0))
    mixed = 0.75 * torch.cov(rows[state.indices].T) + 0.25 * torch.cov(batch.T)
    assert_close(found.state.covariance["hidden1"], mixed.detach())
    along = torch.linalg.eigvalsh(mixed).flip(0)
    r = torch.stack([along[n - 1] * n / (along[10].detach() * 11) - 1 for n in range(12, 31)])
    assert_close(found.total, (r**2 + r.relu()).mean())
    ours, theirs = (
        torch.autograd.grad(v, batch, retain_graph=True)[0] for v in (found.total, (r**2 + r.relu()).mean())
    )
    assert_close(ours, theirs, rtol=1e-7, atol=1e-12)


# -------------------------------------------------------------------------------- refreshes


def dues(part, steps, last_of_epoch=5):
    rows, found = code(400), []
    state = started(part, rows)
    for step in range(1, steps + 1):
        state = part(passed(rows[:200]), state, seeded(0)).state
        found.append(state.due)
        if state.due == "now" or (state.due == "epoch" and step % last_of_epoch == 0):
            state = part.refreshed(state, reference(rows), seeded(step))
    return found, state


def test_refresh_every_k_steps():
    found, state = dues(Spectral(refresh="every_k_steps", k_steps=3), 7)
    assert found == ["no", "no", "now", "no", "no", "now", "no"]
    assert (state.refreshes, state.age) == (2, 1)


def test_refresh_every_epoch():
    found, state = dues(Spectral(refresh="every_epoch"), 12)
    assert found == ["epoch"] * 12
    assert (state.refreshes, state.age) == (2, 2)


def test_auto_leaves_a_fresh_basis_until_it_is_too_old():
    found, state = dues(Spectral(max_age=25), 60)
    assert [step for step, due in enumerate(found, 1) if due == "now"] == [25, 50]
    assert (state.level, state.check_every) == (LEVEL, CHECK_EVERY)


def test_the_exploit_is_seen_and_undone():
    steep, turned = code(600, alpha=3.0), code(600, alpha=3.0, turn=9)
    part = Spectral(strength=1.0)
    state = started(part, steep)
    honest = float(total(part, steep, state))
    for step in range(CHECK_EVERY):
        assert state.due == "no", step
        found = part(passed(turned), state, seeded(0))
        state = found.state
    pseudo = float(Spectral(anchor="tau")(passed(turned), state, seeded(0)).total)
    assert pseudo < honest - 0.2
    assert state.due == "now"
    measured = part.staleness(state, reference(turned), seeded(0))["hidden1"]
    assert measured.stale
    assert measured.true_excess - measured.excess == pytest.approx(pseudo, abs=0.1)
    renewed = part.refreshed(state, reference(turned), seeded(0))
    assert float(renewed.measured["hidden1"][EXCESS]) > 0.1
    assert (renewed.due, renewed.age, renewed.refreshes) == ("no", 0, 1)
    assert (renewed.level, renewed.check_every) == (LEVEL / 2, CHECK_EVERY // 2)
    assert not part.staleness(renewed, reference(turned), seeded(0))["hidden1"].stale
    assert float(total(Spectral(anchor="tau"), turned, renewed)) == pytest.approx(honest, abs=0.05)
    logged = part(passed(turned), renewed, seeded(0)).logged
    assert float(logged["hidden1/s_R"]) > 0.1
    assert float(logged["hidden1/alpha"]) == pytest.approx(3.0, abs=0.1)
    assert float(logged["age"]) == 0
    again = part.refreshed(part(passed(turned), renewed, seeded(0)).state, reference(turned), seeded(0))
    assert (again.level, again.check_every) == (LEVEL, CHECK_EVERY)


def test_reference_rows_stay_or_change():
    for fixed in (True, False):
        seen, rows = [], code(900)
        part = Spectral(refresh="every_k_steps", fixed=fixed)
        state = part.start(reference(rows, seen), seeded(0))
        part.refreshed(state, reference(rows, seen), seeded(1))
        (first, mode), (second, _) = seen
        assert (len(first), mode) == (300, "train")
        assert torch.equal(first, second) is fixed


def test_staleness_is_measured_where_it_decides_or_is_read_and_nowhere_else(monkeypatch):
    measured, really = [], bases.staleness
    monkeypatch.setattr(spectral, "staleness", lambda *given: measured.append(1) or really(*given))
    rows, turned = code(600), code(600, turn=4)
    part = Spectral(refresh="every_k_steps", k_steps=1)
    state = started(part, rows)
    for step in range(15):
        found = part(passed(turned), state, seeded(0))
        state = part.refreshed(found.state, reference(turned), seeded(0))
        if step == 9:
            measured.clear()  # the checker of types has read some in its first calls, and now leaves them alone
    assert measured == []
    logged = part(passed(turned), state, seeded(0)).logged
    assert {"hidden1/s_R", "hidden1/true_R", "hidden1/alpha"} <= set(logged)
    assert measured == []
    numbers = {name: float(value) for name, value in logged.items()}
    assert measured == [1]  # once for all that it gives
    assert numbers["hidden1/s_R"] == float(state.measured["hidden1"][EXCESS])
    Spectral().refreshed(replace(state, due="now"), reference(turned), seeded(0))
    assert measured == [1, 1]  # `auto` reads it to look closer


def test_a_state_is_never_changed():
    part, rows = Spectral(), code(300)
    state = started(part, rows)
    before = {name: values.clone() for name, values in state.basis.items()}
    after = part.refreshed(part(passed(rows), state, seeded(0)).state, reference(code(300, turn=4)), seeded(0))
    assert_close(dict(state.basis), before, rtol=0, atol=0)
    assert (state.age, state.refreshes, after.refreshes) == (0, 0, 1)
    assert state.measured == {}


# ------------------------------------------------------- the presets of Holzhausen et al. 2024


def unanchored(hidden, basis, alpha, tau):
    """Their loss: e along V, sorted, against n^−α from rank τ + 2, e ≤ 0 skipped, the sum divided by the units."""
    units, along = hidden.shape[1], []
    centred = hidden - hidden.mean(0)
    for n in range(units):
        along.append(float(sum(float(row @ basis[:, n]) ** 2 for row in centred)) / (len(hidden) - 1))
    along.sort(reverse=True)
    found = 0.0
    for n in range(tau + 2, units + 1):
        if along[n - 1] > 0:
            ratio = along[n - 1] / n**-alpha - 1
            found += ratio**2 + max(0.0, ratio)
    return found / units


@pytest.mark.parametrize("name, settings", [("holzhausen2024", (1.0, 1.0, 0)), ("holzhausen2024_kh", (1e-3, 2.62, 10))])
def test_unanchored_presets_are_their_loop(name, settings):
    part, rows = replace(PRESETS[name], rows=80), {"currents": code(300, 30, 1.3)}
    assert (part.strength, part.alpha, part.tau) == settings
    strength, alpha, tau = settings
    state = started(part, rows)
    found = part(passed({"currents": rows["currents"][:20]}), state, seeded(0))
    looped = unanchored(rows["currents"][:20], state.basis["currents"], alpha, tau)
    assert float(found.total) == pytest.approx(strength * looped, rel=1e-12)
    assert float(found.per_layer["currents"]) == pytest.approx(looped, rel=1e-12)


def test_unanchored_presets_say_what_they_do():
    main, low = PRESETS["holzhausen2024"], PRESETS["holzhausen2024_kh"]
    assert replace(low, strength=1.0, alpha=1.0, tau=0) == main
    assert (main.layers, main.anchor, main.scale, main.divisor, main.zeros) == (
        ("currents",), "absolute", 1.0, "units", "skipped"
    )  # fmt: skip
    assert (main.rows, main.fixed, main.refresh, main.last_rank) == (1000, False, "every_epoch", "units")


def test_an_unanchored_loss_knows_a_unit():
    """It is 0 on n^−α of scale 1 alone; without its anchor the penalty asks for a size as well as for a shape."""
    part = replace(PRESETS["holzhausen2024"], rows=200)
    law = {"currents": exact_code(power_law(1.0, 30).eigenvalues)}
    assert float(total(part, law, started(part, law))) == pytest.approx(0, abs=1e-12)
    double = {"currents": 2**0.5 * law["currents"]}  # every eigenvalue is twice the target: 29 terms of 1 + 1
    assert float(total(part, double, started(part, double))) == pytest.approx(2 * 29 / 30, rel=1e-9)


def test_a_centre_makes_second_moments_of_the_basis_and_of_a_batch():
    """The slip of their code: a mean that is not taken off is the first eigenvalue, and V's first column."""
    rows = {"currents": code(300, 30) + 4}
    part = replace(PRESETS["holzhausen2024"], rows=300, precision="float64", centre=0.5)
    state = started(part, rows)
    off = rows["currents"] - 0.5
    moments = sum(torch.outer(row, row) for row in off)
    assert_close(state.basis["currents"].T @ (moments / 299) @ state.basis["currents"],
                 torch.linalg.eigvalsh(moments / 299).flip(0).diag(), rtol=1e-10, atol=1e-10)  # fmt: skip
    batch = rows["currents"][:20]
    along = sorted((float(((batch - 0.5) @ v).square().sum()) / 19 for v in state.basis["currents"].T), reverse=True)
    looped = sum((e * n - 1) ** 2 + max(0.0, e * n - 1) for n, e in enumerate(along, 1) if n >= 2 and e > 0) / 30
    assert float(total(part, {"currents": batch}, state)) == pytest.approx(looped, rel=1e-10)
    final = part.staleness(state, reference(rows), seeded(0))["currents"]
    assert final.true_alpha == pytest.approx(
        float(exponent(torch.linalg.eigvalsh(torch.cov(rows["currents"].T)).flip(0), 0)), rel=1e-8
    )


def test_exact_eigenvalues_have_no_centre():
    with pytest.raises(ValueError) as refusal:
        Spectral(estimator="exact", centre=0.02)
    assert str(refusal.value) == (
        'Expected estimator="fixed_basis" or "low_rank" with a centre, got estimator="exact". '
        "Its eigenvalues are a covariance's: leave centre out."
    )


def test_rows_are_as_many_as_a_batch_and_new_for_each_basis():
    seen, rows = [], {"currents": code(300, 30)}
    part = replace(PRESETS["holzhausen2024"], rows=50)
    state = part.start(reference(rows, seen), seeded(0))
    assert state.due == "epoch"
    part.refreshed(state, reference(rows, seen), seeded(1))
    (first, mode), (second, _) = seen
    assert (len(first), len(second), mode) == (50, 50, "train")
    assert len(set(first.tolist())) == 50
    assert not torch.equal(first, second)


@pytest.mark.parametrize("count", [20, 30])
def test_no_more_rows_than_units(count):
    """Defect 4: columns of V beyond the rows are arbitrary. The published presets take them, ours refuses."""
    rows = {"currents": code(300, 30)}
    published = replace(PRESETS["holzhausen2024"], rows=count)
    basis = started(published, rows).basis["currents"]
    assert basis.shape == (30, 30)
    seen = []
    started(published, rows, seen=seen)
    held = rows["currents"][seen[0][0]]
    spread = ((held - held.mean(0)) @ basis).var(0)
    assert float(spread[count - 1 :].max()) < 1e-12 * float(spread[0])  # where these rows have no variance at all
    with pytest.raises(ValueError) as refusal:
        started(Spectral(rows=count), rows)
    assert str(refusal.value) == (
        f"Expected more reference rows than 30, the ranks of layer 'currents', got {count}. "
        f"Use more rows, a narrower layer, or estimator=low_rank with fewer than {count} ranks."
    )
    assert started(Spectral(rows=31), rows).basis["currents"].shape == (30, 30)


def test_a_second_penalty_leaves_the_first_alone():
    """Defect 3 of the published code: settings lay on the class."""
    rows = {"currents": code(300, 30)}
    first, batch = Spectral(), {"currents": rows["currents"][:40]}
    state = started(first, rows)
    before = float(total(first, batch, state))
    second = replace(PRESETS["holzhausen2024_kh"], rows=60)
    second.refreshed(second(passed(batch), started(second, rows), seeded(0)).state, reference(rows), seeded(1))
    assert first == Spectral()
    assert float(total(first, batch, state)) == before


# ----------------------------------------------------------------------- what may go wrong


def test_fewer_samples_than_units():
    part, rows = Spectral(), code(300)
    batch = rows[:4].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(part, batch, started(part, rows)), batch)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient.norm()) > 0


@pytest.mark.parametrize("part", [PUBLISHED, Spectral()], ids=["nassar2020", "default"])
def test_constant_units(part):
    rows = torch.cat([code(), torch.full((200, 3), 3.0, dtype=torch.float64)], 1).float()
    batch = rows[:50].clone().requires_grad_()
    value = total(part, batch, started(part, rows))
    (gradient,) = torch.autograd.grad(value, batch)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient[:, 30:].abs().max()) < 1e-6 * float(gradient.abs().max())


def test_a_dead_layer_is_told_of():
    rows = torch.zeros(200, 30)
    with pytest.warns(UserWarning, match="nothing is held to the target") as told:
        state = started(Spectral(), rows)
    assert str(told[0].message) == (
        "Layer 'hidden1' has 0 ranks above zero and the first tau + 1 = 11 are free: nothing is held to the target. "
        "Use a smaller tau, or look at why the layer varies so little."
    )
    batch = rows[:20].clone().requires_grad_()
    value = total(Spectral(), batch, state)
    value.backward()
    assert float(value.detach()) == 0
    assert float(batch.grad.abs().max()) == 0


def test_not_a_number():
    rows = code()
    rows[7, 7] = math.nan
    with pytest.raises(ValueError) as refusal:
        started(Spectral(rows="all"), rows)
    assert str(refusal.value) == (
        "Expected finite values in layer 'hidden1', got NaN or infinity. "
        "Lower the learning rate or the penalties' strength."
    )


def test_a_solver_that_fails_once(monkeypatch):
    rows, solve, calls = code(), torch.linalg.eigh, []

    def failing(matrix):
        calls.append(matrix)
        if len(calls) == 1:
            raise torch.linalg.LinAlgError("did not converge")
        return solve(matrix)

    expected = total(Spectral(), rows, started(Spectral(), rows))
    monkeypatch.setattr(torch.linalg, "eigh", failing)
    assert_close(total(Spectral(), rows, started(Spectral(), rows)), expected, rtol=1e-6, atol=0)
    assert len(calls) == 2


def test_nothing_waits_for_the_device(monkeypatch):
    # tensors without values refuse to be looked at; autocast knows no such device
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    for part in (PUBLISHED, Spectral(), Spectral(order="identity", subset=5)):
        state = started(part, code(300, dtype=torch.float32))
        moved = {name: getattr(state, name) for name in ("basis", "anchor", "alpha")}
        moved = {name: {layer: v.to("meta") for layer, v in values.items()} for name, values in moved.items()}
        batch = torch.zeros(50, 30, device="meta", requires_grad=True)
        found = part(passed(batch), replace(state, **moved), seeded(0))
        found.total.backward()
        assert found.total.device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype):
    part, rows = Spectral(), code(300, dtype=torch.float32).to(dtype)
    state = started(part, rows)
    batch = rows[:80].clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = total(part, batch, state)
    assert value.dtype == torch.float32
    assert_close(value, total(part, rows[:80].float(), state))
    value.backward()
    assert batch.grad.dtype == dtype


REFUSALS = [
    (
        lambda: Spectral(order="identity", anchor="tau"),
        'Expected an anchor that is not one eigenvalue of one batch with order="identity", got anchor="tau". '
        'Use anchor="ema" or "window".',
    ),
    (
        lambda: Spectral(estimator="exact", zeros="skipped"),
        'Expected zeros="kept" with estimator="exact", got zeros="skipped". '
        "Rounding alone would decide which eigenvalues of a batch are terms of the sum.",
    ),
    (
        lambda: Spectral(memory=1.0),
        "Expected a memory from 0 to below 1, got 1.0. 0.9 averages over about ten batches.",
    ),
    (
        lambda: Spectral(k_steps=0),
        "Expected k_steps of 1 or more, got 0. Count in whole steps or ranks.",
    ),
    (
        lambda: Spectral(tau=-1),
        "Expected tau of 0 or more, got -1. 10 is the paper's.",
    ),
    (
        lambda: Spectral(layers=("a", "b", "c"), alpha=(1.0, 1.2)),
        "Expected one value of alpha, or one per entry of layers (3), got 2. "
        "Name the layers in the order of the values.",
    ),
    (
        lambda: started(Spectral(tau=29), code()),
        "Expected more than tau + 1 = 30 units in layer 'hidden1', got 30. Use a smaller tau, or leave the layer out.",
    ),
    (
        lambda: started(Spectral(max_units=20), code()),
        "Expected at most 20 units in layer 'hidden1', got 30. "
        "Use view=channels, pool or project for a convolutional map, or raise max_units.",
    ),
    (
        lambda: started(Spectral(layers=("hiden1",)), code()),
        "Expected a known captured layer, got 'hiden1'. Did you mean 'hidden1'?",
    ),
    (
        lambda: started(Spectral(last_rank=31), code()),
        "Expected a last rank of at most 30 in layer 'hidden1', got 31. Use last_rank=30 or fewer.",
    ),
    (
        lambda: started(Spectral(rows=201), code()),
        "Expected from 2 to 200 reference rows, got 201. Use rows=all, or draw with replacement.",
    ),
    (
        lambda: total(Spectral(), code()[:1], started(Spectral(), code())),
        "Expected a batch of two or more, got one. Use last_batch=drop.",
    ),
]


@pytest.mark.parametrize("wrong, sentence", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(wrong, sentence):
    with pytest.raises(ValueError) as refusal:
        wrong()
    assert str(refusal.value) == sentence
