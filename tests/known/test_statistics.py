import math

import naive
import pytest
import torch
from exact import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eigenfall.statistics import (
    bootstrap,
    holm,
    mcnemar,
    normal_reach,
    paired_t,
    resampled_t,
    t_interval,
    t_reach,
    welch,
    welch_interval,
    wilson,
)


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_an_interval_reaches_as_far_as_scipys_distributions_say(level):
    assert normal_reach(level) == pytest.approx(stats.norm.interval(level)[1], rel=1e-12)
    for freedom in (1, 2, 4, 7.3, 99, 1e6):
        assert t_reach(level, freedom) == pytest.approx(stats.t.interval(level, freedom)[1], rel=1e-9)


# ------------------------------------------------------------------------------- Wilson


@pytest.mark.parametrize(
    "successes, trials, low, high",
    [(0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (1, 100, 0.00177, 0.05449), (500, 1000, 0.46907, 0.53093)],
)
def test_wilson_gives_the_reference_values(successes, trials, low, high):
    share, below, above, level = wilson(successes, trials)
    assert share == successes / trials
    assert level == 0.95
    assert below == pytest.approx(low, abs=1e-4)
    assert above == pytest.approx(high, abs=1e-4)


@pytest.mark.parametrize("trials, points", [(120, 8.8), (1000, 3.1), (10_000, 1.0)])
def test_half_width_of_wilson_at_one_half(trials, points):
    _, low, high, _ = wilson(trials // 2, trials)
    assert 50 * (high - low) == pytest.approx(points, abs=0.05)


def coverage(trials, share):
    """Exact coverage of Wilson's interval: the binomial probability of the counts whose interval holds the share."""
    counts = [k for k in range(trials + 1) if wilson(k, trials)[1] <= share <= wilson(k, trials)[2]]
    return float(stats.binom.pmf(counts, trials, share).sum())


@pytest.mark.parametrize("trials", [100, 250])
def test_wilson_covers_as_it_says(trials):
    found = [coverage(trials, share / 200) for share in range(4, 197, 4)]
    assert 0.945 <= sum(found) / len(found) <= 0.96
    assert min(found) >= 0.92


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=60, deadline=None)
def test_wilson_holds_its_share_inside_zero_and_one(count):
    share, low, high, _ = wilson(*count)
    assert 0 <= low <= share <= high <= 1


def test_wilson_refuses_what_is_no_proportion():
    assert refused(lambda: wilson(0, 0)) == (
        "Expected between 0 and n successes in n ≥ 1 trials, got 0 in 0. Give at least one input."
    )
    assert refused(lambda: wilson(3, 2)).startswith("Expected between 0 and n successes")


# ------------------------------------------------------------------- random splits of data


def test_splits_reach_as_far_as_the_formula_says():
    values = [0.3, 0.1, 0.4, 0.2, 0.35]
    mean, reach = resampled_t(values, 5, 1.0)
    variance = sum((value - 0.27) ** 2 for value in values) / 4
    assert mean == pytest.approx(0.27)
    assert reach == pytest.approx(2.776445 * math.sqrt((1 / 5 + 1) * variance), rel=1e-6)
    assert resampled_t(values, 5, 0.0)[1] == pytest.approx(t_interval(values)[2] - 0.27)


def test_many_splits_do_not_make_up_for_the_data():
    generator = seeded(0)
    few, many = (resampled_t(torch.randn(n, generator=generator).tolist(), n, 1.0)[1] for n in (50, 5000))
    assert many == pytest.approx(1.96, abs=0.05)
    assert few == pytest.approx(many, rel=0.3)


def test_held_out_means_are_covered_as_often_as_it_says():
    """Means of random thirds of 60 values: with the correction 95 % hold the truth, and without it few do."""
    generator, covered, naively = seeded(1), 0, 0
    for _ in range(300):
        data = torch.randn(60, generator=generator, dtype=torch.float64)
        values = [float(data[torch.randperm(60, generator=generator)[:20]].mean()) for _ in range(15)]
        mean, reach = resampled_t(values, 15, 20 / 40)
        covered += abs(mean) <= reach
        naively += t_interval(values)[1] <= 0 <= t_interval(values)[2]
    assert 0.92 <= covered / 300 <= 0.99
    assert naively / 300 < 0.75


def test_too_few_splits_are_refused():
    for values, splits in (([0.1], 1), ([0.1, 0.2], 3)):
        assert refused(lambda values=values, splits=splits: resampled_t(values, splits, 1.0)) == (
            f"Expected two splits or more, and a value of each, got {splits} splits and {len(values)} values. "
            "Take 20 splits."
        )


# ------------------------------------------------------------------------------------ t


def test_t_interval_of_three_values():
    mean, low, high = t_interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert high - mean == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    assert mean - low == pytest.approx(high - mean)


def test_t_interval_of_one_value_has_no_ends():
    mean, low, high = t_interval([0.25])
    assert mean == 0.25
    assert math.isnan(low)
    assert math.isnan(high)


def test_t_interval_refuses_nothing():
    assert refused(lambda: t_interval([])) == "Expected at least one value, got none. Give a run per seed."


def test_paired_t_of_a_textbook_case():
    # differences 1, 2, 3, 4, 5: t = 3 / (1.5811 / √5) = 4.2426, four degrees of freedom
    assert paired_t([2.0, 4, 6, 8, 10], [1.0, 2, 3, 4, 5]) == pytest.approx(0.013236, abs=1e-6)


def test_paired_t_and_welch_agree_with_scipy():
    first = torch.randn(7, generator=seeded(1), dtype=torch.float64).tolist()
    second = (torch.randn(7, generator=seeded(2), dtype=torch.float64) * 3 + 1).tolist()
    assert paired_t(first, second) == pytest.approx(float(stats.ttest_rel(first, second).pvalue), rel=1e-10)
    other = second[:4]
    assert welch(first, other) == pytest.approx(float(stats.ttest_ind(first, other, equal_var=False).pvalue), rel=1e-10)
    assert welch(first, other) == welch(other, first)


def test_welchs_interval_is_scipys():
    first = torch.randn(7, generator=seeded(1), dtype=torch.float64).tolist()
    second = (torch.randn(5, generator=seeded(2), dtype=torch.float64) * 3 + 1).tolist()
    theirs = stats.ttest_ind(first, second, equal_var=False)
    ends = theirs.confidence_interval(0.95)
    mean = sum(first) / 7 - sum(second) / 5
    assert welch_interval(first, second) == pytest.approx((mean, ends.low, ends.high), rel=1e-9)
    assert welch_interval([1.0, 1.0], [0.5, 0.5]) == (0.5, 0.5, 0.5)
    mean, low, high = welch_interval([1.0], [0.5, 0.6])
    assert mean == pytest.approx(0.45)
    assert math.isnan(low)
    assert math.isnan(high)


def test_welchs_interval_refuses_an_empty_side():
    assert refused(lambda: welch_interval([1.0], [])) == (
        "Expected at least one value on each side, got 1 and 0. Give a run per seed."
    )


def test_a_bootstrap_of_means_covers_as_often_as_it_says():
    covered, generator = 0, seeded(3)
    for _ in range(300):
        values = torch.randn(200, generator=generator, dtype=torch.float64)
        low, high = bootstrap(200, lambda drawn, values=values: values[drawn].mean(1), generator, draws=400)
        covered += low <= 0 <= high
    assert 0.92 <= covered / 300 <= 0.98


def test_a_bootstrap_over_few_seeds_is_refused():
    assert refused(lambda: bootstrap(5, lambda drawn: drawn[:, 0], seeded(0))) == (
        "Expected at least 10 rows for a bootstrap, got 5. Over few seeds use Student's interval, which is as wide as "
        "it must be."
    )


def test_a_bootstrap_over_five_would_be_a_third_too_narrow():
    values = torch.randn(2000, 5, generator=seeded(6), dtype=torch.float64)
    drawn = torch.randint(5, (200, 5), generator=seeded(7))
    ends = values[:, drawn].mean(2).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64), dim=1)
    theirs = values.std(1) / math.sqrt(5) * float(stats.t.ppf(0.975, 4)) * 2
    assert float((ends[1] - ends[0]).mean() / theirs.mean()) == pytest.approx(2 / 3, abs=0.06)


def test_without_spread_only_equality_counts():
    assert paired_t([1.0, 2.0], [1.0, 2.0]) == 1
    assert paired_t([1.0, 2.0], [0.5, 1.5]) == 0
    assert welch([1.0, 1.0], [1.0, 1.0]) == 1
    assert welch([1.0, 1.0], [2.0, 2.0]) == 0


def test_one_value_proves_nothing():
    assert math.isnan(paired_t([1.0], [2.0]))
    assert math.isnan(welch([1.0], [2.0, 3.0]))


def test_paired_t_refuses_what_is_no_pair():
    assert refused(lambda: paired_t([1.0, 2.0], [1.0])) == (
        "Expected pairs, got 2 and 1 values. Pair them by seed, or use Welch's test."
    )


def test_paired_t_rejects_a_true_null_as_often_as_it_says():
    draws = torch.randn(4000, 2, 5, generator=seeded(0), dtype=torch.float64).tolist()
    rejected = sum(paired_t(first, second) < 0.05 for first, second in draws) / len(draws)
    assert 0.04 <= rejected <= 0.06


# ----------------------------------------------------------------------- McNemar, Holm


@pytest.mark.parametrize("counts, p", [((0, 0), 1), ((0, 1), 0.5), ((5, 5), 1), ((0, 5), 1 / 32)])
def test_mcnemar_by_hand(counts, p):
    assert mcnemar(*counts) == pytest.approx(p, rel=1e-12)
    assert mcnemar(*reversed(counts)) == pytest.approx(p, rel=1e-12)


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_mcnemar_is_the_sum_of_its_terms(only_first, only_second):
    truth = naive.mcnemar(only_first, only_second) if only_first + only_second else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(truth, rel=1e-9)


def test_mcnemar_rejects_a_true_null_at_most_so_often():
    # exact: over how many of 1000 images two equal models differ on, at one in twenty
    rejected = 0.0
    for discordant in range(25, 81):
        lower = [k for k in range((discordant + 1) // 2) if mcnemar(k, discordant - k) < 0.05]
        share = 2 * float(stats.binom.pmf(lower, discordant, 0.5).sum())
        rejected += share * float(stats.binom.pmf(discordant, 1000, 0.05))
    assert 0.04 <= rejected <= 0.055


def test_mcnemar_refuses_negative_counts():
    assert refused(lambda: mcnemar(-1, 2)) == (
        "Expected two counts of discordant inputs, got -1 and 2. Count the inputs that one model alone gets right."
    )


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]) == []


def test_holm_leaves_a_test_that_was_not_made_out():
    adjusted = holm([0.02, math.nan, 0.01])
    assert math.isnan(adjusted[1])
    assert (adjusted[0], adjusted[2]) == pytest.approx((0.02, 0.02))


def test_holm_leaves_its_argument_alone():
    given_values = [0.5, 0.01]
    holm(given_values)
    assert given_values == [0.5, 0.01]
