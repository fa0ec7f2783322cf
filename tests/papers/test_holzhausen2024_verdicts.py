"""Verdicts on numbers over seeds: closed forms, and rates of error over simulated seeds."""

import math

import pytest
import torch

from eigenfall.papers import verdicts
from eigenfall.papers.holzhausen2024.ensembles import below
from eigenfall.papers.holzhausen2024.fronts import crossing, front, reaches
from eigenfall.statistics import t_interval, welch_interval
from eigenfall.types import Answer, Claim, Estimate

FIVE = (1.0, 1.1, 0.9, 1.05, 0.95)


def times(factor):
    return [factor * value for value in FIVE]


def drawn(mean, spread, source, seeds=5):
    return (mean + spread * torch.randn(seeds, generator=source, dtype=torch.float64)).exp().tolist()


# --------------------------------------------------------------------------------- bands


def test_a_mean_inside_its_band_holds_and_one_outside_fails():
    claim = Claim("7.1", "§7.1", "accuracy", low=0.9, high=1.2)
    assert verdicts.band(claim, FIVE).verdict == "HOLDS"
    assert verdicts.band(claim, times(2.0)).verdict == "FAILS"
    answer = verdicts.band(claim, FIVE)
    assert (answer.number.value, answer.number.low, answer.number.high) == t_interval(FIVE)
    assert answer.seeds == 5


def test_fewer_than_five_seeds_are_shown_with_their_count_and_not_tested():
    claim = Claim("7.1", "§7.1", "accuracy", low=0.9, high=1.2)
    answer = verdicts.band(claim, FIVE[:4])
    assert answer.verdict == "NOT TESTED"
    assert answer.told.endswith("; 4 seeds of 5")
    assert verdicts.band(claim, FIVE[:1]).told == "1; 1 seed of 5"


# --------------------------------------------------------------------------------- orders


def test_an_order_whose_every_interval_parts_holds():
    answer = verdicts.order({"KH": times(4.0), "L2": times(2.0), "BP": FIVE}, "L3 units")
    assert answer.verdict == "HOLDS"
    assert answer.told.startswith("KH 3.99, L2 1.99, BP 0.997 L3 units; ")


def test_an_order_fails_where_one_neighbour_is_reversed_beyond_doubt():
    answer = verdicts.order({"KH": FIVE, "L2": times(2.0), "BP": times(0.5)})
    assert answer.verdict == "FAILS"
    assert "KH is 0.5 [" in answer.told
    assert answer.number.high < 1


def test_an_order_is_open_where_an_interval_reaches_over_one():
    assert verdicts.order({"KH": times(1.01), "L2": FIVE}).verdict == "OPEN"


def test_an_order_holds_its_neighbours_against_a_shared_level():
    """Welch's interval of the logarithms at 1 − .05/2 for two pairs."""
    first, second, third = times(1.2), FIVE, times(0.5)
    answer = verdicts.order({"a": first, "b": second, "c": third})
    logs = [[math.log(value) for value in some] for some in (first, second)]
    expected = tuple(math.exp(end) for end in welch_interval(*logs, 0.975))
    assert (answer.number.value, answer.number.low, answer.number.high) == pytest.approx(expected)


def test_of_nets_that_are_equal_an_order_rarely_holds_or_fails():
    """Type I: at most 2.5 % each for one pair; 400 draws, bound at three standard deviations."""
    source = torch.Generator().manual_seed(0)
    found = [verdicts.order({"a": drawn(0.0, 0.1, source), "b": drawn(0.0, 0.1, source)}).verdict for _ in range(400)]
    limit = 400 * 0.025 + 3 * math.sqrt(400 * 0.025 * 0.975)
    assert found.count("HOLDS") <= limit
    assert found.count("FAILS") <= limit


def test_of_nets_that_differ_an_order_mostly_holds():
    source = torch.Generator().manual_seed(1)
    found = [verdicts.order({"a": drawn(0.4, 0.1, source), "b": drawn(0.0, 0.1, source)}).verdict for _ in range(100)]
    assert found.count("HOLDS") >= 95


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_seed_without_a_number_leaves_an_order_untested(bad):
    answer = verdicts.order({"KH": (*FIVE[:4], bad), "BP": FIVE})
    assert (answer.verdict, answer.told) == ("NOT TESTED", "KH: no number in 1 of 5 seeds")


# ------------------------------------------------------------------------------- nearness


def test_ratios_inside_the_tolerance_hold_apart_from_it_fail_and_across_it_are_open():
    assert verdicts.near({"BP": (times(1.01), FIVE)}, 0.05).verdict == "HOLDS"
    assert verdicts.near({"BP": (times(1.2), FIVE)}, 0.05).verdict == "FAILS"
    noisy = [1.1 * value if place % 2 else value / 1.08 for place, value in enumerate(FIVE)]
    assert verdicts.near({"BP": (noisy, FIVE)}, 0.05).verdict == "OPEN"


def test_ratios_are_paired_by_seed():
    """The same factor at every seed has an interval of no width, however seeds differ."""
    answer = verdicts.near({"BP": (times(1.02), FIVE)}, 0.05)
    assert answer.number.high - answer.number.low == pytest.approx(0.0, abs=1e-9)
    assert answer.number.value == pytest.approx(1.02)


def test_the_number_is_that_of_the_ratio_furthest_from_one():
    answer = verdicts.near({"KH": (times(1.3), FIVE), "BP": (times(0.99), FIVE)}, 0.05, "FGSM / PGD")
    assert answer.told.startswith("FGSM / PGD: KH 1.3 [")
    assert answer.parts == pytest.approx({"KH": 1.3, "BP": 0.99})


def test_one_apart_makes_all_fail_though_another_is_near():
    assert verdicts.nearness([Estimate(1.0, 0.99, 1.01), Estimate(1.3, 1.2, 1.4)], 0.05) == "FAILS"


def test_void_and_untested_say_why():
    claim = Claim("Q4", "§7.8", "no gain", void="its target is not anchored")
    assert verdicts.void(claim, "0.4") == Answer("VOID", told="0.4; its target is not anchored")
    assert verdicts.untested("no run of KH").told == "no run of KH"


# --------------------------------------------------------------------------------- fronts


def test_a_front_is_read_between_its_points():
    assert crossing([(0.5, 1.0), (0.4, 3.0)], 0.45) == pytest.approx(2.0)


def test_of_several_crossings_the_most_robust_counts():
    """Accuracy rises with a little decay before it falls: the front is the upper branch."""
    path = [(0.40, 0.0), (0.44, 1.0), (0.36, 2.0)]
    assert crossing(path, 0.42) == pytest.approx(1.25)


def test_beyond_its_ends_a_sweep_has_no_front():
    assert math.isnan(crossing([(0.5, 1.0), (0.4, 3.0)], 0.55))
    assert math.isnan(crossing([], 0.5))


def test_a_net_that_a_point_beats_in_both_respects_has_no_lead():
    """At .42 the path crosses at 0 only, but its point at .5 is more accurate and further off."""
    path = [(0.6, 1.0), (0.5, 2.0), (0.4, -0.5)]
    assert crossing(path, 0.42) == pytest.approx(0.0)
    assert front(path, 0.42) == 2.0
    assert front(path, 0.55) == pytest.approx(1.5)


def test_below_its_end_a_sweep_bounds_and_does_not_reach():
    path = [(0.5, 1.0), (0.4, 3.0)]
    assert front(path, 0.2) == 3.0
    assert not reaches(path, 0.2)
    assert reaches(path, 0.4)
    assert math.isnan(front(path, 0.6))


def test_of_several_orders_any_of_which_would_do_each_has_a_higher_level():
    alone = verdicts.order({"a": times(1.2), "b": FIVE})
    among = verdicts.order({"a": times(1.2), "b": FIVE}, among=3)
    assert among.number.low < alone.number.low
    assert among.number.level == pytest.approx(1 - 0.05 / 3)


def test_points_of_equal_accuracy_give_the_more_robust():
    assert crossing([(0.5, 1.0), (0.5, 3.0)], 0.5) == 3.0


# ------------------------------------------------------------------------------- ensemble


def test_the_law_itself_meets_the_criterion_and_a_bump_anywhere_breaks_it():
    law = 1 / torch.arange(1, 101, dtype=torch.float64)
    assert below(law)
    assert below(7.0 * law)
    for rank in (2, 50, 100):
        bumped = law.clone()
        bumped[rank - 1] *= 1.001
        assert not below(bumped)


def test_a_steeper_law_meets_the_criterion_and_a_flatter_one_does_not():
    ranks = torch.arange(1, 101, dtype=torch.float64)
    assert below(ranks**-1.5)
    assert not below(ranks**-0.9)
