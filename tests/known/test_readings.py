"""Readings beside the headline: published grids and first flips, what corrects them, and that no check sees them."""

import math
from dataclasses import replace
from itertools import pairwise

import nets
import pytest
import torch
from exact import refusal
from torch import nn

from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.fgsm import PRESETS as FGSM_PRESETS
from eigenfall.attacks.noise import PRESETS as NOISE
from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD
from eigenfall.attacks.pgd import PRESETS as PGD_PRESETS
from eigenfall.datasets.digits import Digits
from eigenfall.measurement import measure
from eigenfall.plans import Plan
from eigenfall.presets import PRESETS, SEARCHES, Preset
from eigenfall.records import load, save
from eigenfall.report import arms, tables
from eigenfall.robustness import (
    Reading,
    first_flip,
    flip_lengths,
    gather,
    log_grid,
    of_reading,
    only,
    reading,
    relative_accuracy,
    robustness,
)
from eigenfall.settings import Run, parts_of
from eigenfall.stages import consumed
from eigenfall.types import GaussianNoise, LpBall, RobustnessCurve, Split

FREE, FGSM_CE, PGD_CE, ONE_DRAW = GaussianNoise(None), *(
    kept["holzhausen2024"] for kept in (FGSM_PRESETS, PGD_PRESETS, NOISE)
)  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# --------------------------------------------------------------------------------- grids


def test_a_grid_has_both_its_ends_and_steps_of_one_ratio():
    grid = log_grid(1e-6, 10**-1.5, 400)
    assert (grid[0], grid[-1], len(grid)) == (1e-6, 10**-1.5, 400)
    ratios = [after / before for before, after in pairwise(grid)]
    assert ratios == pytest.approx([10 ** (4.5 / 399)] * 399, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "points", "lows", "end", "steps"),
    [
        ("holzhausen2024", (400, 400), (1e-6, 1e-6), 10**-1.5, (1.0263, 1.0407)),
        ("holzhausen2024_small", (223, 227), (1e-4, 1e-3), 10**-1.5, (1.0263, 1.0407)),
        ("holzhausen2024_quick", (53, 88), (1e-3, 1e-3), 0.2, (1.108, 1.11)),
    ],
)
def test_published_grids(name, points, lows, end, steps):
    readings = PRESETS[name].readings
    for which, key in enumerate(("published_pgd", "published_random")):
        grid = readings[key].epsilons
        assert (len(grid), grid[0]) == (points[which], lows[which])
        assert grid[-1] == (end, pytest.approx(8.25, abs=0.005))[which]
        step = grid[1] / grid[0]
        assert step <= steps[which] + 5e-5
        with_one_less = step ** ((len(grid) - 1) / (len(grid) - 2))
        assert len(grid) == 400 or with_one_less > steps[which]
    assert (
        readings["published_fgsm"].epsilons == readings["minimal_linf"].epsilons == readings["published_pgd"].epsilons
    )


@pytest.mark.parametrize(("ends", "got"), [((0.0, 1.0, 5), "0, 1 and 5"), ((1.0, 1.0, 5), "1, 1 and 5"),
                                           ((0.1, 1.0, 1), "0.1, 1 and 1")])  # fmt: skip
def test_a_grid_that_cannot_be_is_refused(ends, got):
    assert refusal(log_grid, *ends) == (
        f"Expected two ends that ascend from above 0, and at least two points, got {got}. Use log_grid(1e-6, 1, 400), "
        "for instance."
    )


def test_a_reading_has_a_name_of_its_own():
    reading = Reading({"fgsm": FGSM()}, (0.1,))
    assert refusal(Preset, attacks={"fgsm": FGSM()}, headline=("fgsm",), readings={"fgsm": reading}) == (
        "Expected readings with names of their own, got fgsm for a curve as well. Name them after who reads, such as "
        "published_pgd."
    )


# ------------------------------------------------------------------------------ first flips


def one_by_one(model, data, propose, epsilons):
    """The published loop: image after image and budget after budget, until an image is flipped; batches of one."""
    flips, lengths, right_at = [], [], torch.zeros(len(epsilons))
    right = [int(model(x[None]).argmax()) == int(y) for x, y in zip(*vars(data).values())]
    for x, y, correct in zip(data.inputs, data.targets, right):
        flip, length = (math.inf, math.inf) if correct else (0.0, 0.0)
        for place, epsilon in enumerate(epsilons):
            moved = propose(model, x[None], y[None], epsilon)
            wrong = int(model(moved).argmax()) != int(y)
            right_at[place] += correct and not wrong
            if wrong and flip == math.inf:
                flip, length = epsilon, float((moved - x).norm())
        flips.append(flip)
        lengths.append(length)
    return flips, lengths, right_at / sum(right)


def by_fgsm(model, x, y, epsilon):
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), x)
    return (x + epsilon * gradient.sign()).clamp(0, 1).detach()


def by_pgd(model, x, y, epsilon):
    at, step = x.clone(), 0.01 if epsilon >= 0.01 else 0.1 * epsilon
    for _ in range(20):
        at.requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(at), y), at)
        at = x + (at.detach() + step * gradient.sign() - x).clamp(-epsilon, epsilon)
    return at.clamp(0, 1)


@pytest.mark.parametrize(("attack", "propose"), [(FGSM_CE, by_fgsm), (PGD_CE, by_pgd)], ids=["fgsm", "pgd"])
def test_batched_is_the_published_loop_over_images(attack, propose):
    model, held = nets.mlp().double(), nets.held_out(25)
    data, epsilons = Split(held.inputs.double(), held.targets), log_grid(0.005, 0.3, 8)
    curve = robustness(model, {"a": attack}, data, LpBall(), epsilons, seeded(), batch_size=7, block=25)
    flips, lengths, accuracies = one_by_one(model, data, propose, epsilons)
    assert first_flip(curve).tolist() == flips
    assert flip_lengths(curve).tolist() == pytest.approx(lengths, rel=1e-12)
    assert relative_accuracy(curve).tolist() == pytest.approx(accuracies.tolist(), abs=1e-6)
    assert accuracies[0] > 0.8 > 0.2 > accuracies[-1]
    assert 0.0 in flips  # a clean error is among them


def test_first_flips_of_noise_have_the_length_of_their_root_mean_square():
    model, data = nets.mlp(), nets.held_out(40)
    curve = robustness(model, {"noise": ONE_DRAW}, data, FREE, log_grid(0.05, 2.0, 12), seeded())
    assert torch.equal(flip_lengths(curve), first_flip(curve) * 8)
    assert curve.flip_probability is None
    assert first_flip(curve).unique().numel() > 4


def test_only_images_that_all_models_have_right():
    data, epsilons = nets.held_out(60), (0.05, 0.1)
    curves = [
        robustness(model, {"fgsm": FGSM_CE}, data, LpBall(), epsilons, seeded()) for model in (nets.mlp(), nets.cnn())
    ]
    common = curves[0].clean_correct & curves[1].clean_correct
    assert 0 < int(common.sum()) < int(curves[0].clean_correct.sum())
    for curve in curves:
        standing = [sum(not curve.broken[0, e, i] for i in range(60) if common[i]) / int(common.sum()) for e in (0, 1)]
        assert relative_accuracy(curve, common).tolist() == pytest.approx(standing)
        alone = Split(data.inputs[common], data.targets[common])
        model = nets.mlp() if curve is curves[0] else nets.cnn()
        again = robustness(model, {"fgsm": FGSM_CE}, alone, LpBall(), epsilons, seeded())
        assert relative_accuracy(again).tolist() == relative_accuracy(curve, common).tolist()


def test_of_repeated_noise_relative_accuracy_is_the_mean_over_draws():
    curve = robustness(nets.mlp(), {"noise": Noise(20)}, nets.held_out(40), GaussianNoise(), (0.3, 0.6), seeded())
    expected = 1 - curve.flip_probability[0][:, curve.clean_correct].mean(1)
    assert relative_accuracy(curve).tolist() == expected.tolist()


def test_what_says_no_relative_accuracy_or_length_is_refused():
    data = nets.held_out(8)
    curve = robustness(nets.mlp(), {"fgsm": FGSM()}, data, LpBall(), (0.1,), seeded())
    assert refusal(relative_accuracy, curve, torch.zeros(8, dtype=torch.bool)) == (
        "Expected at least one input that is right when clean, got none. Relative to no right answer there is no "
        "accuracy."
    )
    assert refusal(flip_lengths, only(curve, "fgsm")) == (
        "Expected a curve with the length of what broke each input, got one of fgsm without. One attack's part of a "
        "curve has none of its own: run it alone."
    )


# ---------------------------------------------------------- defect 7: a classifier of known distance


def half_space(count, distance, size=30):
    """Inputs at one L2 distance from the plane between two classes, and the classifier that has it."""
    normal = torch.randn(size, generator=seeded(1), dtype=torch.float64)
    normal = normal / normal.norm()
    model = nn.Linear(size, 2).double()
    with torch.no_grad():
        model.weight.copy_(torch.stack((normal, -normal)))
        model.bias.zero_()
    along = torch.randn(count, size, generator=seeded(2), dtype=torch.float64) * 0.05
    inputs = along - (along @ normal)[:, None] * normal + distance * normal
    return model, Split(inputs, torch.zeros(count).long()), normal


@pytest.mark.parametrize("points", [5, 60])
def test_corrected_readings_recover_the_distance_whatever_the_grid(points):
    model, data, normal = half_space(20, distance=0.3)
    for norm, exact in (("L2", 0.3), ("Linf", 0.3 / float(normal.abs().sum()))):
        curve = robustness(model, SEARCHES, data, LpBall(norm, None), log_grid(1e-3, 1.0, points), seeded())
        assert curve.distances.tolist() == pytest.approx([exact] * 20, rel=2e-3)


def test_sign_attacks_first_flip_within_a_step_above_the_distance():
    model, data, normal = half_space(20, distance=0.3)
    exact, grid = 0.3 / float(normal.abs().sum()), log_grid(1e-3, 1.0, 60)
    for attack in (FGSM_CE, PGD_CE):
        curve = robustness(model, {"a": attack}, data, LpBall("Linf", None), grid, seeded())
        flips = first_flip(curve)
        assert bool((flips >= exact).all() & (flips <= exact * grid[1] / grid[0]).all())
        lengths = flip_lengths(curve)
        assert lengths.tolist() == pytest.approx((flips * math.sqrt(30)).tolist(), rel=1e-9)


def test_first_flips_of_noise_are_those_of_independent_draws_and_fall_with_the_grid():
    """P(no flip up to ε_m) = Π_j Φ(d/ε_j): a half space at distance d has this in closed form."""
    distance, count = 0.3, 1500
    model, data, _ = half_space(count, distance)
    medians = {}
    for points in (20, 320):
        grid = log_grid(0.03, 3.0, points)
        curve = robustness(model, {"noise": ONE_DRAW}, data, FREE, grid, seeded(), batch_size=count, block=count)
        stands = torch.special.ndtr(distance / torch.tensor(grid, dtype=torch.float64)).cumprod(0)
        found = (first_flip(curve) > torch.tensor(grid, dtype=torch.float64)[:, None]).double().mean(1)
        assert float((found - stands).abs().max()) < 1.95 / math.sqrt(count)  # Kolmogorov, one in a thousand
        medians[points] = float(first_flip(curve).median())
    assert medians[20] > 1.3 * medians[320]
    same = robustness(model, {"noise": Noise(1)}, data, FREE, grid, seeded(), batch_size=count, block=count)
    assert float((first_flip(same) > 3.0).double().mean()) > 0.4  # one direction, longer and longer, half never flip


# ----------------------------------------------------------------------- beside a headline


SHORT = Preset(
    attacks={"margin": PGD(steps=5), "ce": PGD(loss="ce", steps=5), "fgsm": FGSM()},
    headline=("margin",),
    checks=PRESETS["quick"].checks,
)
READINGS = {
    "published_random": Reading({"noise": ONE_DRAW}, (0.1, 0.4, 1.0), "gaussian", clipped=False),
    "published_pgd": Reading({"pgd": PGD_CE}, (0.02, 0.05, 0.1)),
    "minimal_l2": Reading(SEARCHES, (0.5, 1.0), "L2"),
}


def test_neither_headline_nor_checks_see_a_reading():
    model, data, read = nets.mlp(), nets.held_out(40), replace(SHORT, readings=READINGS)
    with_, without = (gather(model, data, bundle, LpBall(), (0.05, 0.1)) for bundle in (read, SHORT))
    assert with_.curves.keys() - without.curves.keys() == READINGS.keys()
    assert with_.measured == without.measured
    assert with_.settings == without.settings
    for name, curve in without.curves.items():
        assert torch.equal(with_.curves[name].broken, curve.broken)
    for name, each in READINGS.items():
        curve = with_.curves[name]
        assert curve.epsilons == each.epsilons
        assert curve.threat.norm == each.norm
        assert curve.threat.bounds == ((0.0, 1.0) if each.clipped else None)
    assert read.shown == SHORT.shown


@pytest.fixture(scope="module")
def found():
    """A measurement whose headline's budget is one of the noise's, too."""
    patch = pytest.MonkeyPatch()
    patch.setitem(PRESETS, "quick", replace(SHORT, readings=READINGS, checks=()))
    data = nets.held_out(60)
    plan = Plan(layers=None, smoothness_inputs=0, attacked_inputs=60, epsilons=(0.1,), noise=())
    value = measure(nets.mlp(), data.inputs, data.targets, plan=plan)
    yield value, Run(verb="measure", data=Digits(), plan=plan)
    patch.undo()


def read_by(model, data, readings, **settings):
    return consumed(reading(model, readings, data, LpBall(), **settings))


def hard(count=60):
    """Inputs with noise, so that several clean errors stand between the others; and which are right."""
    clean = nets.held_out(count)
    data = Split(
        (clean.inputs + 0.25 * torch.randn(clean.inputs.shape, generator=seeded(5))).clamp(0, 1), clean.targets
    )
    right = nets.mlp()(data.inputs).argmax(1) == data.targets
    assert 5 < int((~right).sum()) < count - 20
    assert not bool(right[: int(right.sum())].all())
    return data, right


def test_what_is_right_when_clean_is_attacked_as_if_there_were_nothing_else():
    data, right = hard()
    alone = Split(data.inputs[right], data.targets[right])
    readings = READINGS | {"repeated": Reading({"noise": Noise(draws=3)}, (0.1, 0.5), "gaussian", clipped=False)}
    found = read_by(nets.mlp(), data, readings, batch_size=9, block=16)
    for name, each in readings.items():
        threat = each.threat((0.0, 1.0), "pixel")
        curve = found[name]
        exact = robustness(nets.mlp(), each.attacks, alone, threat, each.epsilons, seeded(), batch_size=9, block=16)
        assert torch.equal(curve.clean_correct, right)
        assert torch.equal(curve.broken[..., right], exact.broken)
        assert bool(curve.broken[..., ~right].all())
        assert torch.equal(first_flip(curve)[right], first_flip(exact))
        assert first_flip(curve)[~right].unique().tolist() == [0.0]
        assert relative_accuracy(curve).tolist() == relative_accuracy(exact).tolist()
        for value, own, of_error in (
            (curve.distances, exact.distances, 0.0),
            (curve.distances_l2, exact.distances_l2, 0.0),
            (curve.flip_probability, exact.flip_probability, 1.0),
            (curve.found_by, exact.found_by, -1),
        ):
            assert (value is None) == (own is None)
            if value is not None:
                assert torch.equal(value[..., right], own)
                assert value[..., ~right].unique().tolist() == [of_error]
    assert found["repeated"].flip_probability is not None
    assert found["minimal_l2"].distances is not None


class Counted(nn.Module):
    """A model that notes which inputs it was asked for gradients at."""

    def __init__(self, model):
        super().__init__()
        self.model, self.asked = model, []

    def forward(self, inputs):
        if inputs.requires_grad:
            self.asked += inputs.detach().flatten(1).tolist()
        return self.model(inputs)


def test_clean_errors_are_not_attacked():
    data, right = hard()
    model = Counted(nets.mlp())
    read_by(model, data, {"one": Reading({"fgsm": FGSM_CE}, (0.02,))})
    assert sorted(model.asked) == sorted(data.inputs[right].tolist())


def test_of_no_right_answer_the_curve_says_so():
    data, right = hard()
    wrong = Split(data.inputs[~right], data.targets[~right])
    for name, curve in read_by(nets.mlp(), wrong, READINGS).items():
        assert not bool(curve.clean_correct.any())
        assert curve.broken.shape == (len(READINGS[name].attacks), len(READINGS[name].epsilons), len(wrong))
        assert bool(curve.broken.all())
        assert first_flip(curve).unique().tolist() == [0.0]
        told = list(of_reading(name, curve))
        assert "first_flip" not in {row["quantity"] for row in told}
        distances = [row["value"] for row in told if row["quantity"] == "critical_distance"]
        assert distances == ([] if curve.distances is None else [0.0] * len(distances))
        assert refusal(relative_accuracy, curve).startswith("Expected at least one input that is right when clean")
    model = Counted(nets.mlp())
    read_by(model, wrong, {"one": Reading({"fgsm": FGSM_CE}, (0.02,))})
    assert model.asked == [wrong.inputs[0].tolist()]


def test_corrected_bundles_have_no_published_readings():
    for name in ("holzhausen2024", "holzhausen2024_small", "holzhausen2024_quick"):
        released, corrected = PRESETS[name].readings, PRESETS[f"{name}_corrected"].readings
        assert corrected.keys() == {"repeated_random", "minimal_linf", "minimal_l2"}
        assert released.keys() - corrected.keys() == {"published_random", "published_fgsm", "published_pgd"}
        assert all(released[key] == each for key, each in corrected.items())
        (attack,) = corrected["repeated_random"].attacks.values()
        assert attack == Noise(draws=20)
        assert (corrected["repeated_random"].norm, corrected["repeated_random"].clipped) == ("gaussian", False)
        assert corrected["repeated_random"].epsilons == log_grid(0.01, 2.0, 14)
        assert replace(PRESETS[f"{name}_corrected"], readings={}) == PRESETS["quick"]


def test_repeated_noise_flips_as_often_as_it_must_whatever_the_grid():
    """P(flip at ε) = Φ(−d/ε) at distance d of a plane."""
    model, data, _ = half_space(400, distance=0.3)
    shares = {}
    for deviations in ((0.2, 0.6, 1.8), (0.2, 0.3, 0.6, 1.0, 1.8)):
        each = Reading({"noise": Noise(draws=20)}, deviations, "gaussian", clipped=False)
        curve = read_by(model, data, {"repeated_random": each})["repeated_random"]
        exact = torch.special.ndtr(-0.3 / torch.tensor(deviations, dtype=torch.float64))
        shares[len(deviations)] = curve.flip_probability[0]
        assert float((shares[len(deviations)].mean(1) - exact).abs().max()) < 4 * 0.5 / math.sqrt(400 * 20)
    assert torch.equal(shares[5][[0, 2, 4]], shares[3])


def test_rows_of_readings_are_distances_and_first_flips_only(found):
    rows = [row for row in found[0].rows if row.get("attack") in READINGS]
    told = {(row["attack"], row["quantity"]) for row in rows}
    assert told == {
        ("published_random", "first_flip"),
        ("published_pgd", "first_flip"),
        ("published_pgd", "critical_distance"),
        ("published_pgd", "perturbation_size"),
        ("minimal_l2", "first_flip"),
        ("minimal_l2", "critical_distance"),
    }
    assert len(rows) < 30


def test_first_flips_are_of_flipped_images_alone_in_both_units():
    flips = torch.tensor([[False, False, True, False, True], [False, True, True, False, True]])
    right = torch.tensor([True, True, True, True, False])
    curve = RobustnessCurve(
        GaussianNoise(None, "L3"), {"noise": "noise"}, (1.0, 2.0), flips[None], right, input_size=9,
        scale=torch.tensor([1.0, 10.0, 20.0, 1.0, 1.0]),
    )  # fmt: skip
    told = {(row["unit"], row["statistic"]): row for row in of_reading("published_random", curve)}
    # flipped: one at 1, one at 2, so lengths 3 and 6; two never, one a clean error
    assert {key: row["value"] for key, row in told.items()} == {
        ("L3", "lower quartile"): 3.75, ("L3", "median"): 4.5, ("L3", "upper quartile"): 5.25,
        ("pixel", "lower quartile"): 60.0, ("pixel", "median"): 60.0, ("pixel", "upper quartile"): 60.0,
    }  # fmt: skip
    assert {(row["n"], row["left_out"], row["norm"]) for row in told.values()} == {(2, 2, "L2")}
    assert list(of_reading("a", replace(curve, broken=torch.zeros(1, 2, 5, dtype=torch.bool)))) == []


def test_budgets_are_stored_and_what_was_used_is_cited(found, tmp_path):
    record = save(tmp_path, {"verb": "measure", "arm": "read", "seed": 0}, found[0])
    for name, each in READINGS.items():
        assert load(record.path).measurement.curves[name].epsilons == each.epsilons
    assert {ONE_DRAW, PGD_CE, *SEARCHES.values()} <= set(parts_of(found[1], found[0]))


def test_a_table_of_losses_holds_no_reading_of_another_norm(found, tmp_path):
    record = load(save(tmp_path, {"verb": "measure", "arm": "read", "seed": 0}, found[0]).path)
    table = tables.losses(arms.arms([record]))
    assert [heading for heading, _ in table.columns] == ["worst case", "margin", "ce", "published_pgd"]
