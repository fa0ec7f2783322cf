"""Claims of Nassar et al. 2020 on planted records: each verdict can come out, and what takes a number away does."""

from dataclasses import replace

import pytest
from plantednassar import planted, record

from eigenfall.papers import verdicts
from eigenfall.papers.nassar2020 import answers, bands
from eigenfall.papers.nassar2020.claims import judged
from eigenfall.papers.nassar2020.found import Found, along, chosen, headline, matched, stops
from eigenfall.statistics import t_interval

STOPS = {
    f"shallow plain, {updates} updates": {"clean": clean, "robust": (0.8, robust, 0.1)}
    for updates, clean, robust in ((68, 0.91, 0.48), (136, 0.92, 0.31), (272, 0.93, 0.2), (510, 0.95, 0.12))
} | {"shallow plain, 1020 updates": {"clean": 0.96, "robust": (0.75, 0.09, 0.0)}}
PLAIN = {"clean": 0.965, "robust": lambda seed: (0.74 + 0.01 * seed, 0.07 + 0.005 * seed, 0.0), "alphas": (1.93,)}


def by_key(found):
    return {one.claim.key: one for one in judged(found)}


def shallow(**spectral):
    held = {"clean": 0.966, "robust": lambda seed: (0.86, 0.3 + 0.01 * seed, 0.01), "n90": 172.0} | spectral
    arms = {f"shallow spectral, {basis} basis": held for basis in ("epoch", "fresh")}
    return planted({"shallow plain": PLAIN, **STOPS, **arms})


# ------------------------------------------------------------------------ verdicts


def test_a_gain_is_the_paired_difference_with_students_interval():
    own, other = (3.0, 4.0, 5.5), (1.0, 2.5, 3.0)
    answer = verdicts.above([(own, other)], "%", 3)
    number = answer.number
    assert (number.value, number.low, number.high) == pytest.approx(t_interval([2.0, 1.5, 2.5]))
    assert answer.verdict == "HOLDS"
    assert verdicts.above([(other, own)], "%", 3).verdict == "FAILS"
    assert verdicts.above([(own, (2.0, 5.0, 4.0))], "%", 3).verdict == "OPEN"


def test_of_several_gains_each_must_lie_above_nothing_on_wider_intervals():
    sure, open_ = ((3.0, 4.0, 5.5), (1.0, 2.5, 3.0)), ((3.0, 4.0, 5.5), (2.0, 5.0, 4.0))
    lone, both = verdicts.above([sure], "", 3).number, verdicts.above([sure, sure], "", 3).number
    assert both.high - both.low > lone.high - lone.low
    assert verdicts.above([sure, open_], "", 3).verdict == "OPEN"
    assert verdicts.above([sure, (sure[1], sure[0])], "", 3).verdict == "FAILS"


def test_nothing_in_practice_is_a_gain_below_what_counts():
    plain = (16.0, 16.5, 15.5)
    assert verdicts.not_above((18.0, 18.6, 17.2), plain, 5.0, "%", 3).verdict == "HOLDS"
    assert verdicts.not_above((28.0, 28.6, 27.2), plain, 5.0, "%", 3).verdict == "FAILS"
    assert verdicts.not_above((18.0, 28.0, 22.0), plain, 5.0, "%", 3).verdict == "OPEN"
    told = verdicts.not_above((18.0, 18.6), (16.0, 16.5), 5.0, "%", 3)
    assert (told.verdict, told.told.endswith("; 2 seeds of 3")) == ("NOT TESTED", True)


# ------------------------------------------------------------------------ the matched control


def test_the_control_is_read_where_the_path_has_the_arms_accuracy():
    path = [(0.91, 0.5), (0.93, 0.3), (0.96, 0.0)]
    assert along(path, 0.92) == (pytest.approx(0.4), True)
    assert along(path, 0.945) == (pytest.approx(0.15), True)
    assert along(path, 0.91) == (0.5, True)
    assert along(path, 0.9) == (0.5, False)
    assert along(path, 0.97) == (0.0, False)


def test_a_path_that_comes_back_is_read_where_it_first_has_the_accuracy():
    assert along([(0.91, 0.5), (0.95, 0.3), (0.93, 0.1), (0.96, 0.0)], 0.94) == (pytest.approx(0.35), True)


def test_each_seed_has_its_own_path():
    found = planted(
        {
            "shallow plain": PLAIN,
            **STOPS,
            "shallow spectral, epoch basis": {"clean": lambda seed: 0.915 + 0.01 * seed, "robust": (0.8, 0.4, 0.1)},
        }
    )
    own, control, told = matched(found, "shallow spectral, epoch basis", headline(0.05))
    assert own == [0.4] * 3
    assert control == pytest.approx([0.395, 0.255, 0.18])
    assert told == ""
    assert stops("small", "shallow")[-1] == "shallow plain"


def test_off_the_path_it_is_said():
    found = shallow(clean=0.99)
    told = matched(found, "shallow spectral, epoch basis", headline(0.05))[2]
    assert told == "off the stopping path in 3 of 3 seeds"
    assert "; off the stopping path in 3 of 3 seeds" in by_key(found)["M1"].published.told


# ------------------------------------------------------------------------ claims


def test_the_shallow_gain_holds_and_is_named_with_its_control():
    claims = by_key(shallow())
    assert (claims["C1"].published.verdict, claims["C1"].corrected.verdict) == ("HOLDS", "HOLDS")
    assert claims["M1"].corrected.verdict == "HOLDS"
    assert claims["C3"].corrected.verdict == "HOLDS"
    assert claims["C1"].claim.section == "What the paper claims (§9)"


def test_a_gain_that_is_early_stopping_fails_its_control():
    claims = by_key(shallow(clean=0.911, robust=lambda seed: (0.79 + 0.001 * seed, 0.3 + 0.01 * seed, 0.01)))
    assert claims["C1"].corrected.verdict == "HOLDS"
    assert claims["M1"].corrected.verdict == "FAILS"


def test_a_reversal_fails():
    claims = by_key(shallow(robust=lambda seed: (0.7, 0.05, 0.0)))
    assert claims["C1"].published.verdict == "FAILS"


def test_each_side_reads_its_own_attack():
    claims = by_key(shallow(robust=lambda seed: (0.7, 0.05, 0.0), published=(0.9, 0.5, 0.1)))
    assert (claims["C1"].published.verdict, claims["C1"].corrected.verdict) == ("HOLDS", "FAILS")


def test_a_failed_check_takes_the_corrected_number_away_and_leaves_the_published():
    claims = by_key(shallow(failed="i"))
    assert claims["C1"].published.verdict == "HOLDS"
    assert claims["C1"].corrected.verdict == "NOT TESTED"
    assert claims["C1"].corrected.told == (
        "shallow spectral, fresh basis: checks i FAIL: what attacks find is no measure of robustness"
    )


def test_a_missing_arm_and_too_few_seeds_are_not_tested():
    claims = by_key(planted({"shallow plain": PLAIN}))
    assert claims["C1"].published.told == "no run of shallow spectral, epoch basis"
    few = by_key(
        planted({"shallow plain": PLAIN, "shallow spectral, epoch basis": {"robust": (0.9, 0.5, 0.1)}}, seeds=2)
    )
    assert few["C1"].published.verdict == "NOT TESTED"
    assert few["C1"].published.told.endswith("; 2 seeds of 3")


def test_the_quick_scale_judges_nothing():
    arms = {"shallow plain": PLAIN, "shallow spectral, epoch basis": {"robust": (0.9, 0.5, 0.1)}}
    found = planted(arms, "quick")
    assert {answer.verdict for one in judged(found) for answer in (one.published, one.corrected)} == {"NOT TESTED"}
    assert by_key(found)["C1"].published.told.endswith("; tested at small, paper")
    assert answers.answer(found) == (
        "The quick scale checks that everything runs. It answers nothing: on the digits the gain of one hidden layer "
        "reverses, and seeds are few."
    )


def test_whitening_and_the_last_layer():
    plain = {"clean": 0.965, "robust": lambda seed: (0.7, 0.15 + 0.002 * seed, 0.0), "alphas": (1.9, 1.9, 1.9)}
    last = {"clean": 0.952, "robust": lambda seed: (0.75, 0.17 + 0.003 * seed, 0.0), "alphas": (1.7, 1.7, 1.04)}
    white = {"clean": 0.97, "robust": lambda seed: (0.6, 0.02 + 0.002 * seed, 0.0), "alphas": (2.0, 0.1, 1.02)}
    arms = {"deep plain": plain, "deep whitened, last layer": white}
    arms |= {f"deep last layer, {basis} basis": last for basis in ("step", "fresh")}
    claims = by_key(planted(arms))
    assert (claims["C4"].published.verdict, claims["C4"].corrected.verdict) == ("HOLDS", "HOLDS")
    assert (claims["C5"].published.verdict, claims["C5"].corrected.verdict) == ("HOLDS", "HOLDS")


def test_batch_norm_is_a_difference_of_differences():
    arms = {
        "shallow plain": {"robust": lambda seed: (0.7, 0.1 + 0.01 * seed, 0.0)},
        "shallow spectral, epoch basis": {"robust": lambda seed: (0.9, 0.4 + 0.012 * seed, 0.0)},
        "shallow plain, no batch-norm": {"robust": lambda seed: (0.7, 0.2, 0.0)},
        "shallow spectral, epoch basis, no batch-norm": {"robust": lambda seed: (0.7, 0.25, 0.0)},
    }
    answer = by_key(planted(arms))["C2"].published
    assert answer.verdict == "HOLDS"
    assert answer.number.value == pytest.approx(30.2 - 5.0)


def test_the_strength_is_the_largest_that_validation_allows():
    numbers = {"deep plain": {"validation": 0.96}}
    numbers |= {
        f"deep {name}": {"validation": value}
        for name, value in (("spectral 0.1", 0.962), ("spectral 1", 0.951), ("spectral, fresh basis", 0.92))
    }
    found = planted(numbers)
    name, told = chosen(found, "deep", "spectral")
    assert (name, told) == ("deep spectral 1", "strength 1, the largest within 1 point of plain on validation")
    none = planted({"deep plain": {"validation": 0.96}, "deep spectral 0.1": {"validation": 0.9}})
    assert chosen(none, "deep", "spectral") == (
        "",
        "no strength of 0.1 keeps validation accuracy within 1 point of plain",
    )


# ------------------------------------------------------------------------ bands


@pytest.mark.parametrize("band", bands.BANDS, ids=lambda band: f"{band.arm} {band.name}")
def test_a_mean_inside_its_band_holds_and_outside_fails(band):
    def verdict(value, seeds=5):
        layer = int(band.name[-1]) if band.name.startswith("α") else 0
        settings = {"named": (value, value, value)}
        if "clean" in band.name:
            settings = {"clean": value}
        if layer:
            settings = {"alphas": tuple(value if place == layer else 7.0 for place in (1, 2, 3))}
        return {(one.arm, one.name): found for one, _, found in bands.held(planted({band.arm: settings}, seeds=seeds))}[
            band.arm, band.name
        ]

    width = band.high - band.low
    assert verdict((band.low + band.high) / 2) == "HOLDS"
    assert verdict(band.high + width / 10) == "FAILS"
    assert verdict(band.low - width / 10) == "FAILS"
    assert verdict((band.low + band.high) / 2, 2) == "NOT TESTED"


def test_the_order_of_arms_can_fail():
    def found(*values, seeds=5):
        return planted({arm: {"named": (value,) * 3} for arm, value in zip(bands.ORDER, values)}, seeds=seeds)

    assert bands.ordered(found(0.9, 0.3, 0.15)) == "HOLDS"
    assert bands.ordered(found(0.9, 0.1, 0.15)) == "FAILS"
    assert bands.ordered(found(0.9, 0.3)) is None
    assert bands.ordered(found(0.9, 0.3, 0.15, seeds=4)) == "NOT TESTED"


SPIKY = "deep spectral, step basis"


def with_spikes(found, last):
    """Logged exponents of 1.1 with three spikes to 1.3 in each seed, of so many seeds the last at the last update."""
    every = {}
    for seed, one in found.records[SPIKY].items():
        alphas = [4.0] * 24 + [1.1] * 76  # the first quarter is left out
        for spike in (30, 60, 99 if seed < last else 90):
            alphas[spike] = 1.3
        history = tuple({"step": step + 1, "spectral/hidden3/alpha": alpha} for step, alpha in enumerate(alphas))
        every[seed] = replace(one, history=history)
    return Found("small", {SPIKY: every})


def test_an_exponent_outside_its_band_is_told_with_how_often_training_leaves_its_median():
    found = planted({SPIKY: {"alphas": (1.0, 1.0, 1.2)}}, seeds=5)
    assert bands.spikes(found) == []  # nothing was logged
    (said,) = bands.spikes(with_spikes(found, last=2))
    assert said == (
        "deep spectral, step basis, hidden3: after the first quarter of training α of the batch has medians of 1.10 to "
        "1.10 and lies 0.07 above its run's own in 4.0% of 375 logged updates; so does the last of 2 of 5 seeds, as by "
        "chance with probability 0.01. The last lie 0.080 above their medians on average; without that the mean is "
        "1.120, inside."
    )


@pytest.mark.parametrize(("alpha", "last", "left"), [(1.2, 0, "1.200"), (1.2, 1, "1.160"), (1.6, 2, "1.520")])
def test_what_spikes_do_not_account_for_stays_outside(alpha, last, left):
    found = planted({SPIKY: {"alphas": (1.0, 1.0, alpha)}}, seeds=5)
    (said,) = bands.spikes(with_spikes(found, last))
    assert said.endswith(f"without that the mean is {left}, outside.")


def test_an_arm_without_a_path_has_no_control():
    arm = {"clean": 0.93, "robust": (0.8, 0.3, 0.1), "alphas": (1.05, 1.04, 1.06)}
    (line,) = answers.lines(planted({"deep spectral, step basis": arm}))
    assert (line.control, line.gain, line.off) == (None, None, "")


# ------------------------------------------------------------------------ the answer


def test_necessary_and_sufficient_are_read_off_the_arms():
    wobble = {"clean": lambda seed: 0.95 + 0.001 * seed}
    path = {
        name: {"clean": 0.9 + 0.01 * place, "robust": (0.8, 0.5 - 0.06 * place, 0.1), "alphas": (1.9, 1.9, 1.9)}
        for place, name in enumerate(stops("small", "deep"))
    }
    arms = path | {
        "deep Jacobian": wobble | {"robust": lambda seed: (0.9, 0.88 + 0.001 * seed, 0.5), "alphas": (1.7, 1.8, 2.0)},
        "deep spectral, step basis": wobble
        | {"robust": lambda seed: (0.7, 0.28 + 0.001 * seed, 0.0), "alphas": (1.05, 1.04, 1.06)},
        "deep whitened, last layer": wobble
        | {"robust": lambda seed: (0.6, 0.02 + 0.001 * seed, 0.0), "alphas": (2.0, 0.1, 1.02)},
    }  # fmt: skip
    found = planted(arms)
    told = answers.answer(found)
    assert "Deep: the most robust arm without 1/n in any layer is deep Jacobian (88.1 [" in told
    assert "with it in all deep spectral, step basis (28.1 [" in told
    assert "1/n is not necessary." in told
    assert "arms with 1/n in the last hidden layer" in told
    assert "deep whitened, last layer (" in told
    assert "1/n there is not sufficient." in told


def test_a_record_has_what_is_planted():
    found = record("deep plain", 3, clean=0.9, robust=(0.8, 0.4, 0.1))
    assert headline(0.05)(found) == pytest.approx(0.4)
    assert found.measurement.fits["hidden1"].alpha == 1.0
