"""Partial rank correlations: closed forms, a slow twin, planted causes, coverage of the jackknife over groups."""

import math

import numpy as np
import pytest
from scipy import stats

from eigenfall.associations import associated, partial_rank_correlation


def planted(seed, groups=12, seeds=4):
    """x and z go together, y follows z alone."""
    generator = np.random.default_rng(seed)
    z = np.repeat(generator.normal(size=groups), seeds) + 0.2 * generator.normal(size=groups * seeds)
    x = z + 0.7 * generator.normal(size=len(z))
    y = z + 0.7 * generator.normal(size=len(z))
    return y.tolist(), {"x": x.tolist(), "z": z.tolist()}, [f"method {number // seeds}" for number in range(len(z))]


def test_without_others_it_is_spearmans():
    y, numbers, groups = planted(0)
    found = associated(y, {"x": numbers["x"]}, groups)["x"]
    assert found.raw.value == pytest.approx(stats.spearmanr(numbers["x"], y).statistic, abs=1e-12)
    assert found.partial.value == pytest.approx(found.raw.value, abs=1e-12)
    assert (found.models, found.groups) == (48, 12)


def test_with_one_other_it_is_the_closed_form():
    y, numbers, groups = planted(1)
    xy, xz, yz = (
        stats.spearmanr(one, other).statistic
        for one, other in ((numbers["x"], y), (numbers["x"], numbers["z"]), (y, numbers["z"]))
    )
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert associated(y, numbers, groups)["x"].partial.value == pytest.approx(expected, abs=1e-12)


def test_with_two_others_it_is_the_inverse_of_the_correlation_matrix():
    generator = np.random.default_rng(2)
    table = generator.normal(size=(60, 4)) @ generator.normal(size=(4, 4))
    precision = np.linalg.inv(np.corrcoef(stats.rankdata(table, axis=0).T))
    expected = -precision[0, 1] / math.sqrt(precision[0, 0] * precision[1, 1])
    assert partial_rank_correlation(table, 1, [2, 3]) == pytest.approx(expected, abs=1e-10)


def test_the_interval_is_the_jackknife_written_out():
    y, numbers, groups = planted(3)
    found = associated(y, numbers, groups)["z"].raw
    values = []
    for left in sorted(set(groups)):
        some = [number for number, group in enumerate(groups) if group != left]
        values.append(math.atanh(stats.spearmanr([numbers["z"][at] for at in some], [y[at] for at in some]).statistic))
    mean = sum(values) / 12
    error = math.sqrt(11 / 12 * sum((value - mean) ** 2 for value in values))
    whole, half = math.atanh(found.value), stats.t.ppf(0.975, 11) * error
    assert (found.low, found.high) == pytest.approx((math.tanh(whole - half), math.tanh(whole + half)), abs=1e-12)


def test_what_goes_along_only_through_another_has_no_partial_association():
    found = [associated(*planted(seed)) for seed in range(40)]
    assert sum(one["x"].raw.low > 0 for one in found) >= 30
    assert sum(one["z"].partial.low > 0 for one in found) >= 30
    assert sum(one["x"].partial.low <= 0 <= one["x"].partial.high for one in found) >= 34  # 38 expected, s.d. 1.4


def test_monotone_changes_of_any_number_change_nothing():
    y, numbers, groups = planted(4)
    bent = {"x": [math.exp(value) for value in numbers["x"]], "z": [value**3 for value in numbers["z"]]}
    assert associated([math.tanh(value) for value in y], bent, groups) == associated(y, numbers, groups)


def refused(*arguments):
    with pytest.raises(ValueError) as caught:
        associated(*arguments)
    return str(caught.value)


def test_refusals_say_what_to_do():
    y, numbers, groups = planted(5)
    assert refused(y, {"x": numbers["x"][:3]}, groups) == (
        "Expected numbers and groups of 48 models, as of the outcome, got x: 3, groups: 48. Leave out models that lack "
        "one."
    )
    assert refused(y, {"x": [math.nan] * 48}, groups) == (
        "Expected finite values, got NaN or infinity. Leave out models without a number."
    )
    assert refused(y, numbers, ["a", "b"] * 24) == "Expected three groups or more, got 2. Add other methods."
    assert refused(y[:6], {name: values[:6] for name, values in numbers.items()}, list("aabbcc")) == (
        "Expected more than 4 models without any one group, got 4. Add models, or ask of fewer numbers."
    )
    assert refused(y, {**numbers, "again": numbers["x"]}, groups) == (
        "Expected x, z, again of which none is constant or follows from the others, got ranks that do, in all models "
        "or without one group. Leave one of them out."
    )
