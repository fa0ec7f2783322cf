"""Runs held against one another on common images."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import nets
import pytest
import torch
from exact import seeded

from eigenfall.attacks.pgd import PGD
from eigenfall.comparison import compare
from eigenfall.robustness import robustness
from eigenfall.statistics import mcnemar, paired_t, t_interval, welch, welch_interval, wilson
from eigenfall.types import LpBall, Measurement, Record, RobustnessCurve, Verdict


def record(arm, seed, broken, clean=None, epsilons=(0.1,), inputs="digest", norm="Linf", **more):
    more |= {"seed": more.pop("draws", 0)}
    broken = torch.tensor(broken)[None, None].expand(1, len(epsilons), -1)
    curve = RobustnessCurve(
        threat=LpBall(norm),
        attacks=more.pop("attacks", {"pgd": "pgd"}),
        epsilons=epsilons,
        broken=broken,
        clean_correct=torch.ones(broken.shape[2], dtype=torch.bool) if clean is None else torch.tensor(clean),
        **more,
    )
    return Record(
        path=Path(f"{arm}-s{seed}"),
        run={"arm": arm, "seed": seed, "inputs": inputs},
        versions={},
        measurement=Measurement(name=arm, curves={"headline": curve}),
    )


def images(right, of=20):
    return [False] * right + [True] * (of - right)


def test_a_run_against_its_copy_has_no_discordant_image():
    result = compare([record("a", 0, images(7)), record("b", 0, images(7))])
    assert result.rows[0]["value"] == 0.0
    assert result.rows[0]["p"] == 1.0


def test_a_model_against_its_copy_has_no_discordant_image():
    model, data, budgets = nets.mlp(), nets.held_out(64), (0.05, 0.1, 0.2)
    curves = [
        robustness(each, {"pgd": PGD(steps=5, restarts=2)}, data, LpBall(), budgets, seeded(4))
        for each in (model, copy.deepcopy(model))
    ]
    found = [
        Record(Path(arm), {"arm": arm, "seed": 4, "inputs": "d"}, {}, Measurement(arm, curves={"headline": curve}))
        for arm, curve in zip("ab", curves)
    ]
    assert not bool((curves[0].worst() ^ curves[1].worst()).any())
    result = compare(found)
    assert {(entry["value"], entry["p"]) for entry in result.rows} == {(0.0, 1.0)}
    assert {entry["value"] for entry in result.effects} == {0.0, 1.0}
    assert bool(curves[0].worst().any())


def test_one_seed_is_tested_on_images():
    result = compare([record("a", 0, images(5)), record("b", 0, images(12))])
    (everything, common) = result.rows
    assert everything["value"] == pytest.approx(7 / 20)
    assert everything["p"] == mcnemar(7, 0)
    assert everything["test"] == "McNemar mid-p"
    assert "low" not in everything
    assert common["subset"] == "common"


def test_several_seeds_are_tested_in_pairs():
    plain, other = (4, 5, 7), (9, 11, 12)
    found = [record("plain", seed, images(right)) for seed, right in enumerate(plain)]
    found += [record("other", seed, images(right)) for seed, right in enumerate(other)]
    entry = compare(found).rows[0]
    differences = [(b - a) / 20 for a, b in zip(plain, other)]
    assert (entry["value"], entry["low"], entry["high"]) == pytest.approx(t_interval(differences))
    assert entry["p"] == pytest.approx(paired_t([b / 20 for b in other], [a / 20 for a in plain]))
    assert entry["seeds"] == 3


def test_common_images_are_those_that_every_run_gets_right():
    clean = [False] * 5 + [True] * 15
    found = [record("a", 0, images(10), clean=clean), record("b", 0, images(12))]
    result = compare(found)
    assert result.common == 15
    common = next(entry for entry in result.rows if entry["subset"] == "common")
    assert common["n"] == 15
    assert common["value"] == pytest.approx(2 / 15)


def test_holm_over_all_that_is_tested():
    found = [record("a", 0, images(5)), record("b", 0, images(12)), record("c", 0, images(6))]
    result = compare(found, baseline="a")
    for entry in result.rows:
        assert entry["p"] <= entry["p_holm"] <= min(1.0, entry["p"] * len(result.rows)) + 1e-12


def test_few_seeds_are_said():
    assert compare([record("a", 0, images(5)), record("b", 0, images(6))]).notices == ("Fewer than 5 seeds: a, b.",)


def test_a_failed_check_is_said():
    broken = record("a", 0, images(5))
    verdict = Verdict("p3", "outputs are logits", "FAIL", finding="All outputs sum to 1.")
    measurement = replace(broken.measurement, verdicts=(verdict,))
    result = compare([replace(broken, measurement=measurement), record("b", 0, images(6))])
    assert result.notices[-1] == (
        "a-s0: check p3 FAILs, so its accuracy under attack does not stand. All outputs sum to 1."
    )


def test_it_prints_points_and_p():
    text = str(compare([record("a", 0, images(5)), record("b", 0, images(12))]))
    assert "+35.0 points" in text
    assert "McNemar mid-p" in text


@pytest.mark.parametrize(
    ("other", "what", "here", "there"),
    [
        ({"inputs": "another"}, "inputs", "another", "digest"),
        ({"epsilons": (0.2,)}, "epsilons", "(0.2,)", "(0.1,)"),
        ({"attacks": {"pgd": "pgd:steps=9"}}, "attacks", "pgd pgd:steps=9", "pgd pgd"),
        ({"block": 128}, "number of images in a block", "128", "0"),
    ],
)
def test_runs_measured_otherwise_are_refused(other, what, here, there):
    with pytest.raises(ValueError) as refusal:
        compare([record("a", 0, images(5)), record("b", 0, images(5), **other)])
    assert str(refusal.value) == (
        f"Expected runs with the same {what}, got b-s0 with {here} and a-s0 with {there}. Compare runs that were "
        "measured alike."
    )


def test_one_arm_is_refused():
    with pytest.raises(ValueError, match="Expected records of at least two arms, got 2 of 1"):
        compare([record("a", 0, images(5)), record("a", 1, images(5))])


def test_an_unknown_baseline_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'plain'"):
        compare([record("plain", 0, images(5)), record("b", 0, images(5))], baseline="plian")


def test_no_common_seed_is_refused():
    with pytest.raises(ValueError) as refusal:
        compare([record("a", 0, images(5)), record("b", 1, images(5))])
    assert str(refusal.value) == "Expected a seed that 'b' and 'a' share, got none. Train both with the same seeds."


def test_images_of_each_models_own_are_refused():
    with pytest.raises(ValueError) as refusal:
        compare([record("a", 0, images(5)), record("b", 0, images(5, of=19))])
    assert str(refusal.value) == (
        "Expected runs with the same number of attacked images, got b-s0 with 19 and a-s0 with 20. Attack all of them "
        "on the same images; those that every run gets right are found here, never per model."
    )


def test_other_draws_are_refused():
    with pytest.raises(ValueError) as refusal:
        compare([record("a", 0, images(5)), record("b", 0, images(5), draws=7)])
    assert str(refusal.value) == (
        "Expected the same draws of the attacks for both runs of seed 0, got attack seed 7 for 'b' and 0 for 'a'. "
        "Measure both with the same seed."
    )


def test_seeds_that_do_not_pair_are_tested_with_welch():
    plain, other = (4, 5, 7), (9, 11, 12, 15)
    found = [record("plain", seed, images(right)) for seed, right in enumerate(plain)]
    found += [record("other", 10 + seed, images(right)) for seed, right in enumerate(other)]
    result = compare(found)
    ours, theirs = [right / 20 for right in other], [right / 20 for right in plain]
    entry = result.rows[0]
    assert (entry["value"], entry["low"], entry["high"]) == pytest.approx(welch_interval(ours, theirs))
    assert entry["p"] == pytest.approx(welch(ours, theirs))
    assert (entry["test"], entry["seeds"], entry["baseline_seeds"]) == ("Welch", 4, 3)
    assert "other: fewer than two seeds are the baseline's, too: Welch's test, on unpaired seeds." in result.notices


def test_a_seed_that_one_side_alone_has_is_said():
    found = [record("plain", seed, images(5)) for seed in (0, 1, 2)]
    found += [record("other", seed, images(6)) for seed in (1, 2, 3)]
    result = compare(found)
    assert result.rows[0]["seeds"] == 2
    assert "other: not in its differences, since only one side has them: seeds 0, 3." in result.notices


def entry_of(rows, **about):
    (found,) = [entry for entry in rows if about.items() <= entry.items()]
    return found


def test_absolute_and_relative_on_all_and_on_common_images():
    clean = [False] * 5 + [True] * 15  # the first five are wrong before any attack
    broken = [True] * 5 + [False] * 6 + [True] * 9
    result = compare([record("a", 0, images(10)), record("b", 0, broken, clean=clean)])
    about = {"quantity": "robust_accuracy", "arm": "b"}
    assert entry_of(result.arms, subset="all", **about)["value"] == pytest.approx(6 / 20)
    assert entry_of(result.arms, subset="common", **about)["value"] == pytest.approx(6 / 15)
    assert entry_of(result.arms, subset="all", **about)["low"] == pytest.approx(wilson(6, 20)[1])
    relative = {"quantity": "relative_robust_accuracy", "arm": "b"}
    assert entry_of(result.arms, subset="all", **relative)["value"] == pytest.approx(6 / 15)
    assert entry_of(result.arms, subset="common", **relative)["value"] == pytest.approx(6 / 15)
    effect = entry_of(result.effects, quantity="relative_robust_accuracy_difference", subset="all")
    assert effect["value"] == pytest.approx(6 / 15 - 10 / 20)
    assert (result.inputs, result.common) == (20, 15)


def distant(arm, seed, factor, count=60, **more):
    """Distances 1, 2, … in steps of 0.001, times a factor; broken at 0.1 if below it."""
    distances = factor * torch.arange(1, count + 1, dtype=torch.float64) / 1000
    distances = torch.where(distances <= 0.1, distances, torch.inf)
    return record(arm, seed, distances.isfinite().tolist(), distances=distances, **more)


def test_the_ratio_of_medians_within_a_seed():
    result = compare([distant("a", 0, 1.0), distant("b", 0, 1.5)])
    effect = entry_of(result.effects, quantity="critical_distance_ratio", subset="all")
    assert effect["value"] == pytest.approx(1.5)
    assert (effect["low"], effect["high"]) == pytest.approx((1.5, 1.5))  # the same images are drawn for both
    assert effect["over"] == "images"
    assert "median distance all     × 1.5 [1.5, 1.5] over images" in str(result)


def test_the_ratio_of_medians_over_seeds_is_a_geometric_mean():
    factors = (1.2, 1.5, 1.4)
    found = [distant("a", seed, 1.0) for seed in range(3)]
    result = compare(found + [distant("b", seed, factor) for seed, factor in enumerate(factors)])
    mean, low, high = t_interval([math.log(factor) for factor in factors])
    effect = entry_of(result.effects, quantity="critical_distance_ratio", subset="all")
    assert (effect["value"], effect["low"], effect["high"]) == pytest.approx(tuple(map(math.exp, (mean, low, high))))
    assert effect["over"] == "seeds"


@pytest.mark.parametrize(
    ("ours", "theirs", "value", "beyond"),
    [
        (9.0, 1.0, math.inf, "> 3.33"),
        (1.0, 9.0, 0.0, "< 0.3"),
        (9.0, 9.0, math.nan, "medians beyond 0.1 on both sides"),
    ],
)
def test_a_median_beyond_the_largest_budget_leaves_a_bound(ours, theirs, value, beyond):
    result = compare([distant("a", 0, theirs), distant("b", 0, ours)])
    effect = entry_of(result.effects, quantity="critical_distance_ratio", subset="all")
    assert effect["value"] == pytest.approx(value, nan_ok=True)
    assert effect["beyond"] == beyond
    assert f"× {beyond}" in str(result)


def test_half_clean_errors_leave_no_ratio():
    errors = torch.zeros(20, dtype=torch.float64)
    found = [record(arm, 0, [True] * 20, clean=[False] * 20, distances=errors) for arm in "ab"]
    effect = entry_of(compare(found).effects, quantity="critical_distance_ratio", subset="all")
    assert math.isnan(effect["value"])
    assert effect["beyond"] == "a median is 0: half of the images are clean errors"


def test_distances_of_each_arm_on_both_sets_of_images():
    result = compare([distant("a", 0, 1.0), distant("b", 0, 2.0)])
    about = {"quantity": "critical_distance", "statistic": "median", "norm": "Linf", "subset": "all"}
    assert entry_of(result.arms, arm="b", **about)["value"] == pytest.approx(0.06)
    assert entry_of(result.arms, arm="b", **about)["censored"] == 10
    assert entry_of(result.arms, arm="a", **about)["value"] == pytest.approx(0.03)
