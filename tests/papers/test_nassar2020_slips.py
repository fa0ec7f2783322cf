"""Slips of the follow-up's penalty: each arm differs by what its name says, ratios and words of planted records."""

import math
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from exact import power_law

from eigenfall.architectures.shlp import PRESETS as SHLP
from eigenfall.papers.nassar2020 import slipfigure, slipratios, slips
from eigenfall.papers.nassar2020.found import gathered
from eigenfall.papers.nassar2020.runs import EPOCH_BASIS
from eigenfall.papers.nassar2020.sizes import SIZES
from eigenfall.penalties.spectral import PRESETS as SPECTRAL
from eigenfall.statistics import t_interval
from eigenfall.types import (
    Estimate,
    GaussianNoise,
    LpBall,
    Measurement,
    Record,
    RobustnessCurve,
    Spectrum,
    SpectrumFit,
)

SIZE = SIZES["small", "shallow"]
EVERY = tuple(slips.SLIPS)

CHANGED = {
    "pre-activation": {"layers": ("hidden1.transform",)},
    "no anchor": {"anchor": "absolute"},
    "last batch": {"rows": 600, "fixed": False, "mode": "train"},
    "second moments": {"centre": 0.02},
    "narrow batch": {},
    "strength 1, τ 0": {"strength": 1.0, "tau": 0},
}


def changed(one, other):
    """Settings of a part that differ, with the other's values."""
    names = [setting.name for setting in fields(one)]
    return {name: getattr(other, name) for name in names if getattr(one, name) != getattr(other, name)}


def the(name):
    return slips.arm(slips.CASES[name], "small")


# --------------------------------------------------------------------------------- arms


@pytest.mark.parametrize("slip", EVERY)
def test_a_slip_alone_changes_its_settings_and_no_other(slip):
    made, none = the(f"slips only {slip}"), the("slips none")
    assert changed(none.penalties[0], made.penalties[0]) == CHANGED[slip]
    narrow = {"batch_size": 200, "epochs": None, "steps": 2040} if slip == "narrow batch" else {}
    assert changed(none.training, made.training) == narrow
    assert made.architecture == none.architecture


@pytest.mark.parametrize("slip", EVERY)
def test_a_slip_mended_changes_its_settings_and_no_other(slip):
    """But for the batch: the basis is made of as many rows as a batch has, so that it has more of them too."""
    mended, every = the(f"slips all but {slip}"), the("slips all")
    back = {name: getattr(EPOCH_BASIS, name) for name in CHANGED[slip]}
    found = changed(every.penalties[0], mended.penalties[0])
    assert found == (back if slip != "narrow batch" else {"rows": 600})
    assert (mended.training != every.training) == (slip == "narrow batch")
    assert mended.architecture == every.architecture


def test_the_first_n_add_one_slip_after_the_other():
    path = [slips.CASES[f"slips {name}"] for _, name in slipratios.path()]
    assert [case.slips for case in path] == [EVERY[:count] for count in range(1, len(EVERY) + 1)]
    assert path[0].name == f"slips only {EVERY[0]}"
    assert path[-1].name == "slips all"


def test_without_a_slip_it_is_the_published_penalty_and_with_all_that_of_the_follow_up():
    assert slips.penalty((), SIZE) == EPOCH_BASIS
    theirs = replace(SPECTRAL["holzhausen2024"], rows=200)
    assert slips.penalty(EVERY, SIZE, "currents") == replace(theirs, centre=slips.CENTRE)


def test_an_unknown_slip_is_refused():
    with pytest.raises(ValueError) as refusal:
        slips.penalty(("typo",), SIZE)
    assert str(refusal.value).startswith("Expected a known slip, got 'typo'. ")


def test_narrow_batches_have_as_many_updates_and_half_as_many_samples_as_units():
    narrow = slips.training(("narrow batch",), SIZE)
    assert narrow.batch_size * 2 == SIZE.network.widths[0]
    assert narrow.steps_for(SIZE.data.train) == SIZE.training.steps_for(SIZE.data.train) == 2040


def test_an_arm_is_held_against_plain_training_of_its_own_net_and_batches():
    for case in slips.cases():
        beside, made = slips.arm(slips.CASES[case.beside], "small"), slips.arm(case, "small")
        assert slips.CASES[case.beside].plain
        assert beside.penalties == ()
        assert (beside.architecture, beside.training) == (made.architecture, made.training)
        assert beside.seeds == made.seeds == (0, 1, 2)


def test_their_net_is_their_preset_on_images_in_their_unit():
    runs = [run for run in slips.runs("small", seeds=[0]) if run.arm.startswith("theirs")]
    assert {run.architecture for run in runs} == {replace(SHLP["holzhausen2024_spectral"], width=400)}
    assert {run.data.scaling for run in runs} == {"l3"}
    (training,) = {run.training for run in runs}
    assert (training.batch_size, training.epochs, training.decay, training.amsgrad) == (200, 20, (9, 3.0), False)
    assert runs[0].plan.epsilons[1] == pytest.approx(0.05 / 4.27, abs=1e-5)


def test_runs_are_of_three_seeds_what_matters_most_first_and_none_at_quick():
    runs = slips.runs("small")
    assert len({(run.arm, run.seed) for run in runs}) == len(runs) == 3 * len(slips.cases()) == 69
    first = [slips.CASES[run.arm].first for run in runs]
    assert first == sorted(first, reverse=True)
    assert first.count(True) == 51
    assert {run.plan.attacked_inputs for run in runs} == {500}
    assert slips.runs("quick") == []
    assert [(run.arm, run.seed) for run in slips.runs("small", ["slips all"], [1])] == [("slips all", 1)]


# --------------------------------------------------------------------------- planted records


def curve(budgets, shares, noise=False, inputs=100):
    """Of so many inputs the first share are right at each budget."""
    broken = torch.stack([torch.arange(inputs) >= round(share * inputs) for share in shares])[None]
    return RobustnessCurve(
        threat=GaussianNoise() if noise else LpBall(),
        attacks={"one": "one"},
        epsilons=budgets,
        broken=broken,
        clean_correct=torch.ones(inputs, dtype=torch.bool),
        flip_probability=broken.double() if noise else None,
        distances=None if noise else torch.full((inputs,), math.inf, dtype=torch.float64),
    )


def planted(arm, seed, worst, exponent=1.5, currents="hidden1.transform", l3=False, clean=0.96):
    """A record of which `worst` of 100 images are left at .05, .5 at .02 and .8 under noise."""
    at = slips.in_l3 if l3 else float
    curves = {
        "headline": curve((at(0.02), at(0.05)), (0.5, worst)),
        "noise": curve((at(0.1), at(0.3)), (0.9, 0.8), noise=True),
    }
    fits = {
        layer: SpectrumFit({"alpha": Estimate(value)}, (11, 399), (11, 399))
        for layer, value in (("hidden1", exponent), (currents, 2 * exponent))
    }
    rows = ({"quantity": "clean_accuracy", "value": clean},)
    spectra = {currents: Spectrum(torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64), 3, 100)}
    measurement = Measurement(arm, spectra=spectra, fits=fits, curves=curves, rows=rows)
    return Record(Path(f"{arm}-s{seed}"), {"arm": arm, "seed": seed}, {}, measurement)


PLAIN = (0.10, 0.08, 0.12)


def found_of(arms):
    """Records of the plain arms, and of those given by their ratios to it for each seed."""
    told = {"slips plain": (1.0,) * 3, "slips plain, narrow batch": (1.0,) * 3, "theirs plain": (1.0,) * 3} | arms
    records = []
    for arm, ratios in told.items():
        theirs = arm.startswith("theirs")
        for seed, (ratio, plain) in enumerate(zip(ratios, PLAIN)):
            currents = "currents" if theirs else "hidden1.transform"
            records.append(planted(arm, seed, ratio * plain, currents=currents, l3=theirs))
    return gathered(records, "small")


THERE, AWAY = (3.0, 4.0, 3.5), (1.0, 1.25, 0.75)
FLIPPED = {
    "slips none": THERE,
    "slips all": (0.0, 0.25, 0.0),
    **{f"slips only {slip}": AWAY if slip == "pre-activation" else THERE for slip in EVERY},
    **{f"slips all but {slip}": THERE if slip == "pre-activation" else AWAY for slip in EVERY},
}


def test_the_ratio_of_planted_records_is_that_of_each_seed_with_students_interval():
    standing = slipratios.standings(found_of({"slips none": THERE}))["slips none"]
    assert standing.each == pytest.approx(THERE)
    expected = [math.exp(end) for end in t_interval([math.log(ratio) for ratio in THERE])]
    assert [standing.ratio.value, standing.ratio.low, standing.ratio.high] == pytest.approx(expected)
    assert standing.ratio.value == pytest.approx(math.prod(THERE) ** (1 / 3))
    assert (standing.smaller.value, standing.noise.value) == (1.0, 1.0)
    assert (standing.alpha, standing.currents, standing.clean) == (1.5, 3.0, 0.96)
    assert standing.seeds == (0, 1, 2)
    assert standing.variance == 7
    assert standing.worst == pytest.approx(math.fsum(r * p for r, p in zip(THERE, PLAIN)) / 3)
    assert standing.there
    assert not standing.reversed


def test_a_net_of_which_nothing_is_left_counts_half_an_image():
    standing = slipratios.standings(found_of({"slips all": (0.0, 0.0, 0.0)}))["slips all"]
    assert standing.each == pytest.approx([0.005 / plain for plain in PLAIN])
    assert standing.reversed
    assert not standing.there


def test_arms_are_paired_with_the_plain_arm_of_their_batches_and_by_seed():
    records = [planted("slips plain", 0, 0.1), planted("slips plain, narrow batch", 0, 0.2)]
    records += [planted(arm, seed, 0.4) for arm in ("slips none", "slips all") for seed in (0, 1)]
    held = slipratios.standings(gathered(records, "small"))
    assert held["slips none"].each == pytest.approx((4.0,))
    assert held["slips all"].each == pytest.approx((2.0,))
    assert math.isnan(held["slips none"].ratio.low)
    assert held["slips none"].there


def test_only_the_first_images_count_where_more_were_attacked():
    record = planted("slips none", 0, 0.3)
    held = record.measurement.curves["headline"]
    more = replace(
        held,
        broken=torch.cat([held.broken] * 6, 2) & (torch.arange(600) < 500),  # the last hundred are right
        clean_correct=held.clean_correct.repeat(6),
        distances=torch.full((600,), math.inf, dtype=torch.float64),
    )
    record = replace(record, measurement=replace(record.measurement, curves={"headline": more}))
    assert slipratios.left("headline", 0.05)(record) == pytest.approx(0.3)


def test_the_matched_control_is_on_the_path_of_plain_training_stopped_early():
    """Stops at 90 and 96 % clean accuracy leave .4 and .1; an arm at 93 % is held against .25."""
    records = [planted("slips plain", seed, 0.1) for seed in range(3)]
    records += [planted("slips none", seed, 0.5, clean=0.93) for seed in range(3)]
    without = slipratios.standings(gathered(records, "small"))["slips none"].matched
    assert math.isnan(without.value)
    for seed in range(3):
        records.append(planted("shallow plain, 68 updates", seed, 0.4, clean=0.90))
        records.append(planted("shallow plain", seed, 0.1, clean=0.96))
    found = gathered(records, "small")
    held = slipratios.standings(found)["slips none"]
    assert (held.ratio.value, held.matched.value) == (pytest.approx(5), pytest.approx(2))
    assert "2 [2, 2] × plain stopped at its accuracy" in slipratios.reading(found)[0]


def test_two_arms_are_contrasted_over_the_seeds_that_both_have():
    held = slipratios.standings(found_of({"slips none": (4.0, 4.0, 2.0), "slips all": (2.0, 1.0)}))
    expected = [math.exp(end) for end in t_interval([math.log(0.5), math.log(0.25)])]
    found = slipratios.contrast(held["slips all"], held["slips none"])
    assert [found.value, found.low, found.high] == pytest.approx(expected)
    alone = replace(held["slips all"], seeds=(7, 8))
    assert math.isnan(slipratios.contrast(alone, held["slips none"]).value)


def test_the_reading_names_the_slip_that_flips_the_conclusion():
    told = slipratios.reading(found_of(FLIPPED | {"theirs none": THERE}))
    assert told[0].startswith("Without a slip the published penalty is more robust than plain training at ε = 0.05: 3.")
    assert told[1].startswith("With all slips the published penalty is not more robust")
    assert told[2].startswith("Alone, pre-activation takes the effect away. Only each: pre-activation 0.979 [")
    assert told[3].startswith("Mended alone, pre-activation brings it back above plain. All but each: ")
    assert "no anchor 3.48 [2.43, 4.97] × plain and 1 [1, 1] × that without a slip, clean 96.0 %, α 1.50" in told[2]
    assert told[4].startswith("One after the other, in the order of the list: first 1: 0.979 [")
    assert told[5] == ("Total variance of the currents: without a slip 7, with the first alone 7, with all 7.")
    assert told[6].startswith("In their net the published penalty: 3.48 [2.43, 4.97] × plain (3 seeds;")
    assert len(told) == 7


def test_the_reading_has_both_slips_mended_at_once():
    both = {"slips all but pre-activation and no anchor": THERE}
    told = slipratios.reading(found_of(FLIPPED | both))
    assert told[4].startswith("With the first two mended and no other: 3.48 [2.43, 4.97] × plain (3 seeds;")


def test_an_exponent_is_fitted_over_the_ranks_that_there_are():
    record = planted("theirs none", 0, 0.3)
    short = power_law(alpha=1.3, ranks=300)
    held = replace(record, measurement=replace(record.measurement, fits={}, spectra={"hidden1": short}))
    assert slipratios.exponent("hidden1")(held) == pytest.approx(1.3)
    assert slipratios.exponent("hidden1")(record) == 1.5
    assert math.isnan(slipratios.exponent("none")(record))
    assert math.isnan(slipratios.variance("none")(record))


def test_the_reading_says_where_no_slip_or_several_flip_it():
    same = {name: THERE if name.startswith("slips only") or name == "slips none" else AWAY for name in FLIPPED}
    told = slipratios.reading(found_of(same))
    assert told[2].startswith("No slip alone takes the effect away. ")
    assert told[3].startswith("No slip mended alone brings it back. ")
    two = FLIPPED | {"slips only no anchor": AWAY}
    assert slipratios.reading(found_of(two))[2].startswith("Alone, pre-activation and no anchor take the effect away. ")


def test_the_reading_says_what_seeds_leave_open():
    """Away from plain's side of 1, but its ratio to the arm without slips reaches over 1."""
    open_yet = FLIPPED | {"slips only pre-activation": (0.5, 4.0, 4.5)}
    told = slipratios.reading(found_of(open_yet))
    assert told[2].startswith("Alone, pre-activation (not beyond doubt at 3 seeds) takes the effect away. ")
    one = {name: ratios[:1] for name, ratios in FLIPPED.items()}
    told = slipratios.reading(found_of(one))
    assert told[2].startswith("Alone, pre-activation (not beyond doubt at one seed) takes the effect away. ")
    assert told[3].startswith("Mended alone, pre-activation (not beyond doubt at one seed) brings it back")


def test_without_records_there_is_nothing_to_read():
    assert slipratios.reading(found_of({})) == []


def test_the_figure_has_a_line_per_arm_at_its_ratio():
    found = found_of(FLIPPED | {"theirs none": THERE})
    held = slipratios.standings(found)
    figure = slipfigure.draw(found)
    (ax,) = figure.axes
    marks = [line for line in ax.lines if line.get_gid() == "series"]
    assert [float(mark.get_xdata()[0]) for mark in marks] == [one.ratio.value for one in held.values()]
    bars = [line for line in ax.lines if line.get_gid() == "interval"]
    ends = [end for bar in bars for end in bar.get_xdata()]
    assert ends == [end for one in held.values() for end in (one.ratio.low, one.ratio.high)]
    seeds = [line for line in ax.lines if line.get_gid() == "seed"]
    assert [list(line.get_xdata()) for line in seeds] == [list(one.each) for one in held.values()]
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["published, no slip", "only pre-activation"]
    assert {text.get_text() for text in ax.texts} >= {"α", "α of I", "clean", "1.50", "3.00", "96.0"}


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError) as refusal:
        slipfigure.draw(found_of({}))
    assert (
        str(refusal.value) == "Expected at least one arm under the penalty to draw, got none. Measure before drawing."
    )
