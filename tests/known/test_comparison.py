"""Runs held against one another on common images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from eigenfall.comparison import compare
from eigenfall.statistics import mcnemar, paired_t, t_interval
from eigenfall.types import LpBall, Measurement, Record, RobustnessCurve, Verdict


def record(arm, seed, broken, clean=None, epsilons=(0.1,), inputs="digest", norm="Linf"):
    broken = torch.tensor(broken)[None, None].expand(1, len(epsilons), -1)
    curve = RobustnessCurve(
        threat=LpBall(norm),
        attacks={"pgd": "pgd"},
        epsilons=epsilons,
        broken=broken,
        clean_correct=torch.ones(broken.shape[2], dtype=torch.bool) if clean is None else torch.tensor(clean),
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
