"""Values as tidy rows."""

import math

import pytest
import torch
from exact import refusal

from eigenfall import rows
from eigenfall.distances import survivals
from eigenfall.statistics import t_interval, wilson
from eigenfall.types import Estimate, GaussianNoise, LpBall, RobustnessCurve


def curve(broken, epsilons=(0.1, 0.2), **more):
    broken = torch.tensor(broken)
    return RobustnessCurve(
        threat=more.pop("threat", LpBall()),
        attacks={"pgd": "pgd:steps=40"},
        epsilons=epsilons,
        broken=broken,
        clean_correct=more.pop("clean_correct", torch.ones(broken.shape[2], dtype=torch.bool)),
        **more,
    )


def test_a_row_leaves_out_what_does_not_apply():
    found = rows.row("alpha", Estimate(1.0), layer="hidden1", attack=None, unit="", reach=math.nan)
    assert found == {"quantity": "alpha", "value": 1.0, "layer": "hidden1"}


def test_a_row_keeps_a_value_that_is_not_a_number_so_that_its_absence_is_seen():
    assert math.isnan(rows.row("check", math.nan)["value"])


def test_an_estimate_brings_its_interval_and_what_was_resampled():
    found = rows.row("alpha", Estimate(1.0, 0.9, 1.1, over="stimuli"))
    assert (found["low"], found["high"], found["level"], found["over"]) == (0.9, 1.1, 0.95, "stimuli")


def test_robust_accuracy_is_wilsons_and_monotone_in_epsilon():
    broken = [[[True, False, False, False], [False, True, False, False]]]  # the first image recovers: it stays broken
    found = [entry for entry in rows.of_curve("headline", curve(broken)) if entry["quantity"] == "robust_accuracy"]
    assert [entry["value"] for entry in found] == [0.75, 0.5]
    assert (found[1]["low"], found[1]["high"]) == wilson(2, 4)[1:3]
    assert [entry["epsilon"] for entry in found] == [0.1, 0.2]


def test_relative_accuracy_is_over_clean_accuracy():
    broken = [[[True, True, False, False], [True, True, True, False]]]
    clean = torch.tensor([True, False, True, True])
    found = [
        entry["value"]
        for entry in rows.of_curve("headline", curve(broken, clean_correct=clean))
        if entry["quantity"] == "relative_robust_accuracy"
    ]
    assert found == [pytest.approx(0.5 / 0.75), pytest.approx(0.25 / 0.75)]


def test_a_failed_check_goes_with_the_headline():
    assert all(entry["verdict"] == "FAIL" for entry in rows.of_curve("headline", curve([[[True], [True]]]), "FAIL"))


def test_noise_has_its_mean_and_its_worst_draw():
    flips = torch.tensor([[[0.5, 0.0], [1.0, 0.25]]], dtype=torch.float64)
    found = list(
        rows.of_curve("noise", curve([[[True, False], [True, True]]], flip_probability=flips, threat=GaussianNoise()))
    )
    assert [entry["value"] for entry in found if entry["quantity"] == "noise_accuracy"] == [0.75, 0.375]
    assert [entry["value"] for entry in found if entry["quantity"] == "worst_draw_accuracy"] == [0.5, 0.0]


def quartile(some, name="median", unit="pixel", norm="Linf"):
    about = {"quantity": "critical_distance", "statistic": name, "unit": unit, "norm": norm}
    (found,) = [entry for entry in rows.of_curve("headline", some) if about.items() <= entry.items()]
    return found


def test_a_critical_distance_beyond_the_largest_epsilon_says_so_and_censoring_is_counted():
    distances = torch.tensor([0.05, math.inf, math.inf], dtype=torch.float64)
    some = curve([[[True, False, False], [True, False, False]]], distances=distances)
    assert quartile(some, "lower quartile")["value"] == 0.05
    assert (quartile(some)["value"], quartile(some)["beyond"], quartile(some)["censored"]) == (math.inf, "> 0.2", 2)
    some = curve([[[True, True, False], [True, True, False]]], distances=torch.tensor([0.05, 0.07, math.inf]).double())
    assert quartile(some)["value"] == pytest.approx(0.07)
    assert "beyond" not in quartile(some)
    assert (quartile(some)["censored"], quartile(some)["n"]) == (1, 3)


def test_a_distance_is_told_in_native_units_pixels_and_rms():
    """Inputs of 16 values, whose factor to pixels differs from image to image: the order may change."""
    some = curve(
        [[[True, True, True], [True, True, True]]],
        threat=LpBall("L2", None, "native"),
        distances=torch.tensor([0.1, 0.12, 0.2], dtype=torch.float64),
        input_size=16,
        scale=torch.tensor([3.0, 1.0, 0.5]),
    )
    assert quartile(some, unit="native", norm="L2")["value"] == pytest.approx(0.12)
    assert quartile(some, unit="native", norm="rms")["value"] == pytest.approx(0.03)
    assert quartile(some, unit="pixel", norm="L2")["value"] == pytest.approx(0.12)  # of 0.3, 0.12, 0.1
    assert quartile(some, "lower quartile", unit="pixel", norm="rms")["value"] == pytest.approx(0.1 / 4)


def test_an_unbroken_image_is_censored_at_the_budget_in_its_own_pixels():
    some = curve(
        [[[False, True, True], [False, True, True]]],
        threat=LpBall("Linf", None, "native"),
        distances=torch.tensor([math.inf, 0.12, 0.2], dtype=torch.float64),
        scale=torch.tensor([0.1, 1.0, 1.0]),  # tried up to 0.02 pixels: says nothing of what is above
    )
    assert quartile(some, "upper quartile", unit="pixel")["value"] == pytest.approx(0.2)
    assert quartile(some, "upper quartile", unit="native")["value"] == math.inf


def test_under_linf_the_l2_norm_is_that_of_what_broke_an_image():
    some = curve(
        [[[True, False, False, True], [True, True, False, True]]],
        distances=torch.tensor([0.1, 0.2, math.inf, 0.0], dtype=torch.float64),
        distances_l2=torch.tensor([0.4, 0.8, math.inf, 0.0], dtype=torch.float64),
        clean_correct=torch.tensor([True, True, True, False]),
        input_size=16,
    )
    found = {
        entry["norm"]: (entry["value"], entry["n"])
        for entry in rows.of_curve("headline", some)
        if entry["quantity"] == "perturbation_size"
    }
    assert found == {"L2": (pytest.approx(0.4), 2), "rms": (pytest.approx(0.1), 2)}


def test_noise_has_no_critical_distance():
    flips = torch.zeros(1, 2, 2, dtype=torch.float64)
    distances = torch.tensor([0.1, 0.2], dtype=torch.float64)
    noisy = curve([[[True, False], [True, True]]], flip_probability=flips, distances=distances)
    assert not [entry for entry in rows.of_curve("noise", noisy) if entry["quantity"] == "critical_distance"]
    assert refusal(survivals, noisy) == (
        "Expected a curve with the critical distance of each image, got one of pgd without. Use the headline: one "
        "attack's part of a curve has none of its own, nor has repeated noise."
    )


def test_no_image_in_common_is_refused():
    some = curve([[[True], [True]]], distances=torch.tensor([0.1], dtype=torch.float64))
    assert refusal(survivals, some, torch.tensor([False])) == (
        "Expected at least one image, got none. The models have no image in common that all of them classify correctly."
    )


def test_means_over_seeds_keep_what_the_rows_share():
    some = [
        {"quantity": "alpha", "value": value, "layer": "hidden1", "arm": "plain", "seed": seed, "last_rank": 60 + seed}
        for seed, value in enumerate((1.0, 1.2, 1.4))
    ]
    (found,) = rows.over_seeds(some)
    assert (found["value"], found["low"], found["high"]) == pytest.approx(t_interval([1.0, 1.2, 1.4]))
    assert found["seeds"] == 3
    assert found["over"] == "seeds"
    assert "last_rank" not in found  # it differs from seed to seed
    assert "seed" not in found


def test_arms_and_epsilons_are_not_mixed_in_means():
    some = [
        {"quantity": "robust_accuracy", "value": 0.5, "arm": arm, "epsilon": epsilon, "seed": 0}
        for arm in ("a", "b")
        for epsilon in (0.1, 0.2)
    ]
    assert len(rows.over_seeds(some)) == 4
