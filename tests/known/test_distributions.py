import math

import pytest
import torch
from exact import refusal, seeded
from scipy import stats
from torch.testing import assert_close

from eigenfall.distributions import bootstrapped, by_distance, distribution, quantile
from eigenfall.smoothnessrows import of_distance_bins, of_distribution, of_landscapes, of_lipschitz, of_smoothness
from eigenfall.statistics import t_interval
from eigenfall.types import Estimate, LandscapeSummary, LipschitzBound, Smoothness


def smoothness(values, **settings):
    return Smoothness("jacobian_norm", "outputs", torch.as_tensor(values).double(), scale=2.0, **settings)


def normal(count, seed=0):
    return torch.randn(count, generator=seeded(seed), dtype=torch.float64)


def test_quantiles_are_those_of_the_values():
    found = distribution(smoothness(torch.arange(101)), seeded(0), draws=50)
    numbers = (found.lower_quartile, found.median, found.upper_quartile, found.percentile_95)
    assert [one.value for one in numbers] == [25, 50, 75, 95]
    assert all(one.low < one.value < one.high and one.over == "images" for one in numbers)
    half = distribution(smoothness(torch.arange(101)), seeded(0), relative=True, draws=50)
    assert half.median.value == 25
    assert half.median.low == pytest.approx(found.median.low / 2, abs=3)
    assert (half.relative, found.relative) == (True, False)


def test_the_interval_of_a_median_covers_the_truth_as_often_as_it_says():
    held = 0
    for seed in range(200):
        low, high = (
            (found := bootstrapped(normal(60, seed), lambda x: x.quantile(0.5, dim=1), seeded(seed), 200)).low,
            found.high,
        )
        held += low <= 0 <= high
    assert 0.90 <= held / 200 <= 0.99


def test_the_interval_narrows_with_the_root_of_the_inputs():
    widths = []
    for count in (200, 3200):
        found = bootstrapped(normal(count), lambda x: x.mean(1), seeded(0), 2000)
        widths.append(found.high - found.low)
        assert widths[-1] == pytest.approx(2 * 1.96 * float(normal(count).std()) / math.sqrt(count), rel=0.1)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.15)


def test_what_does_not_compare_is_left_out_and_counted():
    ranks = torch.tensor([3, 3, 2, 3, 0])
    values = smoothness([1.0, 2, 50, 3, -math.inf], scaling="logarithmic", ranks=ranks)
    found = distribution(values, seeded(0), draws=10)
    assert (found.median.value, found.inputs, found.left_out, found.rank) == (2, 5, 2, 3)
    assert distribution(values, seeded(0), relative=True, draws=10).median.value == pytest.approx(2 - 3 * math.log(2))


def test_bins_hold_equal_counts_and_their_own_medians():
    distances, values = normal(103), normal(103, 1)
    found = by_distance(smoothness(values), smoothness(distances), seeded(0), bins=10, draws=20)
    assert sum(found.counts) == 103
    assert max(found.counts) - min(found.counts) == 1
    assert list(found.distances) == sorted(found.distances)
    order = distances.argsort()
    assert found.medians[0].value == pytest.approx(float(values[order[:11]].quantile(0.5)))
    assert found.correlation.value == pytest.approx(stats.spearmanr(distances, values)[0])
    assert found.correlation.low < found.correlation.value < found.correlation.high


def test_a_monotone_relation_has_correlation_one_and_ties_share_a_rank():
    distances = torch.arange(40.0).double() // 2
    found = by_distance(smoothness(-distances.exp()), smoothness(distances), seeded(0), bins=4, draws=20)
    assert found.correlation.value == pytest.approx(-1)
    assert (found.correlation.low, found.correlation.high) == pytest.approx((-1, -1))
    constant = by_distance(smoothness(torch.ones(40)), smoothness(distances), seeded(0), bins=4, draws=20)
    assert constant.correlation.value == 0


def test_infinite_distances_are_left_out():
    distances = normal(40).clone()
    distances[:3] = math.inf
    found = by_distance(smoothness(normal(40, 1)), smoothness(distances, scaling="free"), seeded(0), bins=4, draws=10)
    assert (found.left_out, sum(found.counts)) == (3, 37)


def test_the_same_generator_gives_the_same():
    found = [distribution(smoothness(normal(30)), seeded(3), draws=20) for _ in range(2)]
    assert found[0] == found[1]


def test_what_cannot_be_summed_up_is_refused():
    assert refusal(distribution, smoothness([math.nan, math.inf]), seeded(0)) == (
        "Expected a finite jacobian_norm at some input, got none at 2 inputs. Look for a dead layer."
    )
    assert refusal(by_distance, smoothness([1.0]), smoothness([1.0, 2.0]), seeded(0)) == (
        "Expected a distance for each value, got 2 distances and 1 values. Measure both on the same inputs."
    )
    assert refusal(by_distance, smoothness(normal(19)), smoothness(normal(19)), seeded(0)) == (
        "Expected two inputs or more for each of 10 bins, got 19. Take fewer bins, or more inputs."
    )
    assert refusal(bootstrapped, normal(0), lambda x: x.mean(1), seeded(0)) == (
        "Expected at least one value, got none. Measure more inputs."
    )
    assert refusal(bootstrapped, normal(3), lambda x: x.mean(1), seeded(0), draws=2) == (
        "Expected ten draws or more, got 2. Use draws=1000, which is the default."
    )


@pytest.mark.parametrize("count", [1, 2, 40, 101])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.95, 1.0])
def test_quantiles_by_partition_are_those_by_sorting(count, share):
    rows = torch.stack([normal(count), normal(count, 1).exp()])
    before = rows.clone()
    assert_close(quantile(share)(rows), rows.quantile(share, dim=1), rtol=1e-14, atol=1e-15)
    assert torch.equal(rows, before)


# ---------------------------------------------------------------------------------- rows


def test_rows_of_smoothness_say_rank_residual_and_what_was_left_out():
    ranks = torch.tensor([3, 3, 2])
    logs = [*of_smoothness(smoothness([1.0, 3, 50], scaling="logarithmic", ranks=ranks), seeded(0))]
    assert logs[0]["value"] == 2
    assert (logs[0]["n"], logs[0]["left_out"], logs[0]["rank"]) == (2, 1, 3)
    assert logs[-1]["quantity"] == "relative_jacobian_norm"
    assert logs[-1]["value"] == pytest.approx(2 - 3 * math.log(2))
    free = [*of_smoothness(smoothness([1.0, math.inf, 2], scaling="free"), seeded(0))]
    assert not [one for one in free if one["quantity"].startswith("relative")]
    assert free[0]["value"] == 1.5
    iterated = [*of_smoothness(smoothness([1.0, 2], residuals=torch.tensor([1e-5, 3e-5]).double()), seeded(0))]
    assert iterated[0]["largest_residual"] == pytest.approx(3e-5)
    assert [*of_smoothness(smoothness([math.nan]), seeded(0))] == []


def test_smoothness_is_given_raw_and_over_the_layers_scale():
    values = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    found = list(of_smoothness(Smoothness("jacobian_norm", "outputs", values, scale=4.0), seeded(0)))
    mean = next(entry for entry in found if entry["quantity"] == "jacobian_norm" and entry["statistic"] == "mean")
    relative = next(entry for entry in found if entry["quantity"] == "relative_jacobian_norm")
    assert (mean["value"], mean["low"], mean["high"]) == t_interval([1.0, 2.0, 3.0])
    assert relative["value"] == 0.5
    assert next(entry for entry in found if entry.get("statistic") == "median")["value"] == 2.0


def test_quantiles_of_smoothness_have_the_intervals_of_its_distribution():
    values = smoothness(torch.arange(1, 102))
    rows = {one["statistic"]: one for one in of_smoothness(values, seeded(0)) if one["quantity"] == values.quantity}
    median = distribution(values, seeded(0)).median
    assert (rows["median"]["value"], rows["median"]["low"], rows["median"]["high"]) == (51, median.low, median.high)
    assert rows["lower quartile"]["low"] < 26 < rows["lower quartile"]["high"] < rows["median"]["value"]


def test_rows_of_summaries_carry_their_intervals():
    found = [*of_distribution(distribution(smoothness(torch.arange(101)), seeded(0), draws=20))]
    assert [(one["statistic"], one["value"]) for one in found] == [
        ("lower quartile", 25), ("median", 50), ("upper quartile", 75), ("95th percentile", 95)
    ]  # fmt: skip
    assert all(one["low"] < one["value"] < one["high"] and one["n"] == 101 for one in found)
    binned = [*of_distance_bins(by_distance(smoothness(normal(40)), smoothness(normal(40, 1)), seeded(0), 4, draws=20))]
    assert [one["quantity"] for one in binned] == ["distance_correlation", *["median_at_distance"] * 4]
    assert binned[0]["n"] == 40
    assert [(one["n"], one["bin"]) for one in binned[1:]] == [(10, 1), (10, 2), (10, 3), (10, 4)]
    whole = LandscapeSummary("random", 8, 4, Estimate(2.0), Estimate(1.0), Estimate(0.5), Estimate(math.nan), 1)
    assert [(one["quantity"], one["n"], one["left_out"]) for one in of_landscapes(whole)] == [
        ("landscape_regions", 4, 1), ("landscape_boundary_per_area", 4, 1), ("landscape_base_share", 4, 1)
    ]  # fmt: skip
    bound = [*of_lipschitz(LipschitzBound(6.0, {"first": 2.0, "second": 6.0}))]
    assert [(one["value"], one.get("layer")) for one in bound] == [(6, None), (2, "first"), (6, "second")]


def test_relative_values_do_not_change_with_a_multiple_of_the_layer():
    ranks = torch.tensor([2, 2])
    for scaling, moved in (("proportional", [3.0, 6]), ("logarithmic", [1 + 2 * math.log(3), 2 + 2 * math.log(3)]),
                           ("free", [1.0, 2])):  # fmt: skip
        plain = Smoothness("q", "outputs", torch.tensor([1.0, 2]).double(), 2.0, "", scaling, ranks)
        other = Smoothness("q", "outputs", torch.tensor(moved).double(), 6.0, "", scaling, ranks)
        assert_close(plain.relative, other.relative)
