"""Kaplan-Meier curves: against scipy, by hand, against the accuracy under attack, and on planted censoring."""

import math

import pytest
import torch
from exact import refusal, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eigenfall.statistics import wilson
from eigenfall.survival import of_distances, survival
from eigenfall.types import LpBall, RobustnessCurve


def test_by_hand():
    # 1 falls of 6, one is censored at 2, 2 fall of 4 at 3, 1 falls of 2 at 4, one is censored at 5
    found = survival([1.0, 2, 3, 3, 4, 5], [True, False, True, True, True, False])
    assert found.times.tolist() == [1, 3, 4]
    assert found.at_risk.tolist() == [6, 4, 2]
    assert found.share.tolist() == pytest.approx([5 / 6, 5 / 6 * 2 / 4, 5 / 6 * 2 / 4 / 2])
    greenwood = [1 / 30, 1 / 30 + 2 / 8, 1 / 30 + 2 / 8 + 1 / 2]
    errors = [share * math.sqrt(total) for share, total in zip(found.share.tolist(), greenwood)]
    assert found.error.tolist() == pytest.approx(errors)
    assert (found.inputs, found.censored, found.largest, found.before) == (6, 2, 5.0, 6)
    assert found.quantile()[0] == 3
    assert found.at(0.5)[0] == 1
    assert found.at(3.0)[0] == found.at(3.9)[0] == pytest.approx(5 / 12)


def random_times(count, seed, ties):
    fall = -torch.rand(count, generator=seeded(seed), dtype=torch.float64).log()
    stop = -1.5 * torch.rand(count, generator=seeded(seed + 1), dtype=torch.float64).log()
    if ties:
        fall, stop = (fall * 5).ceil() / 5, (stop * 5).ceil() / 5
    return fall.minimum(stop), fall <= stop


@pytest.mark.parametrize("ties", [False, True])
def test_scipy_finds_the_same_curve_and_greenwood_interval(ties):
    at, broken = random_times(40, 3, ties)
    found = survival(at, broken)
    theirs = stats.ecdf(stats.CensoredData(uncensored=at[broken].numpy(), right=at[~broken].numpy())).sf
    low, high = theirs.confidence_interval(method="linear")
    assert found.share.tolist() == pytest.approx(theirs.evaluate(found.times.numpy()).tolist(), abs=1e-12)
    z = float(stats.norm.ppf(0.975))
    for value, error, time in zip(found.share.tolist(), found.error.tolist(), found.times.tolist()):
        if value > 0:
            assert max(0.0, value - z * error) == pytest.approx(float(low.evaluate(time)), abs=1e-12)
            assert min(1.0, value + z * error) == pytest.approx(float(high.evaluate(time)), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_it_is_the_product_that_defines_it(entries):
    at, broken = zip(*entries)
    found = survival([float(time) for time in at], list(broken))
    share = 1.0
    for place, time in enumerate(sorted({time for time, fell in entries if fell})):
        risk = sum(other >= time for other in at)
        share *= 1 - sum(other == time and fell for other, fell in entries) / risk
        assert found.at_risk[place] == risk
        assert float(found.share[place]) == pytest.approx(share, abs=1e-12)
    assert bool((found.low <= found.share).all())
    assert bool((found.share <= found.high).all())
    assert bool((found.low >= 0).all() and (found.high <= 1).all())


def test_censoring_at_one_budget_gives_the_accuracy_and_its_interval():
    """S(ε) is the accuracy under attack, its interval Wilson's, at each budget of the grid: exactly."""
    epsilons = (0.05, 0.1, 0.2, 0.3)
    distances = torch.rand(300, generator=seeded(0), dtype=torch.float64) * 0.5
    distances[:20] = 0.0  # clean errors
    distances[distances > 0.3] = math.inf
    broken = torch.stack([distances <= epsilon for epsilon in epsilons])[None]
    curve = RobustnessCurve(LpBall(), {"a": "a"}, epsilons, broken, distances > 0, distances=distances)
    found = of_distances(distances, 0.3)
    for epsilon, estimate in zip(epsilons, curve.accuracy()):
        assert found.at(epsilon) == pytest.approx((estimate.value, estimate.low, estimate.high), abs=1e-12)
    assert found.at(0.0) == pytest.approx(wilson(280, 300)[:3], abs=1e-12)
    assert found.censored == int(distances.isinf().sum())


def test_none_and_all_broken_have_an_interval():
    none = of_distances(torch.full((10,), math.inf, dtype=torch.float64), 0.3)
    assert none.at(0.3) == pytest.approx(wilson(10, 10)[:3])
    assert none.quantile() == (math.inf, math.inf, math.inf)
    assert none.shown() == "> 0.3"
    every = of_distances(torch.linspace(0.01, 0.1, 10, dtype=torch.float64), 0.3)
    assert every.at(0.2) == pytest.approx(wilson(0, 10)[:3])
    assert math.isnan(float(every.error[-1]))


def test_median_and_quartiles():
    found = of_distances(torch.tensor([0.4, 0.1, 0.3, 0.2, *[math.inf] * 4], dtype=torch.float64), 0.5)
    assert [found.quantile(share)[0] for share in (0.25, 0.5, 0.75)] == [0.2, 0.4, math.inf]
    assert (found.shown(0.25), found.shown(0.75)) == ("0.2", "> 0.5")


def test_a_median_interval_covers_as_often_as_it_says():
    covered, truth = 0, math.log(2)
    for seed in range(400):
        at, broken = random_times(100, 7919 * seed, ties=False)
        _, low, high = survival(at, broken).quantile()
        covered += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.98


def planted(seed, count=4000):
    """Exponential distances of median 1, of which 30 % are censored at times of their own."""
    fall = -torch.rand(count, generator=seeded(seed), dtype=torch.float64).log() / math.log(2)
    # exponential censoring at 3/7 of the rate comes first in 3/7 ÷ (1 + 3/7) = 30 % of the cases
    stop = -torch.rand(count, generator=seeded(seed + 1), dtype=torch.float64).log() / math.log(2) * 7 / 3
    return fall.minimum(stop), fall <= stop


@pytest.mark.parametrize("seed", [0, 10, 20])
def test_planted_censoring_is_seen_through(seed):
    at, broken = planted(seed)
    assert float(broken.double().mean()) == pytest.approx(0.7, abs=0.03)
    assert survival(at, broken).quantile()[0] == pytest.approx(1.0, rel=0.05)
    assert float(at[broken].median()) < 0.8  # what dropping the censored would have said


def test_a_larger_budget_changes_nothing_below():
    """An image broken beyond ε_max stands as censored there: the median below is the same."""
    distances = torch.rand(500, generator=seeded(4), dtype=torch.float64)
    short = of_distances(torch.where(distances <= 0.6, distances, math.inf), 0.6)
    long = of_distances(distances, 1.0)
    assert short.quantile() == long.quantile()
    assert short.censored > 150
    assert short.at(0.6) == pytest.approx(long.at(0.6), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ([], []),
            "Expected at least one distance, and whether it is one that broke the input, for each, got shapes (0,) and "
            "(0,). Give both for the same inputs.",
        ),
        (
            ([0.1, math.inf], [True, False]),
            "Expected distances that are finite and not negative, got values from 0.1 to inf. Put an input that was "
            "never broken at the largest budget tried, as censored.",
        ),
    ],
)
def test_what_is_no_distance_is_refused(arguments, sentence):
    assert refusal(survival, *arguments) == sentence


def test_nothing_is_said_beyond_the_largest_budget():
    distances = torch.tensor([0.1, 0.4, math.inf], dtype=torch.float64)
    assert refusal(of_distances(distances, 0.5).at, 0.6) == (
        "Expected a budget from 0 to 0.5, the largest distance known, got 0.6. Attack with larger budgets to know more."
    )


def test_what_was_broken_beyond_the_budget_was_broken_there():
    found = of_distances(torch.tensor([0.1, 0.7, math.inf], dtype=torch.float64), 0.5)
    assert (found.times.tolist(), found.at_risk.tolist(), found.censored) == ([0.1, 0.7], [3, 2], 1)


def test_distances_beyond_the_budgets_leave_the_curve_the_share_that_stands():
    distances = torch.tensor([0.1, 0.4, 0.8, 1.6, torch.inf, torch.inf, 0.2, 0.9], dtype=torch.float64)
    found = of_distances(distances, 0.5)
    for epsilon in (0.15, 0.5, 0.85, 1.0, 1.5):
        assert found.at(epsilon)[0] == pytest.approx(float((distances > epsilon).double().mean()))
    assert found.censored == 2
