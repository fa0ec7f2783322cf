import math

import naive
import numpy as np
import pytest
import torch
from exact import power_law

from eigenfall.bins import log_spaced
from eigenfall.types import Spectrum
from eigenfall.windows import windowed


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def of(values):
    values = torch.as_tensor(values, dtype=torch.float64)
    return Spectrum(values, stimuli=len(values) + 1, units=len(values))


def wavy(ranks, alpha=1.0):
    return power_law(alpha, ranks).eigenvalues * (1 + 0.3 * torch.arange(ranks, dtype=torch.float64).cos())


# ------------------------------------------------------------------------------------ ranks


def test_every_rank_of_the_window_is_a_point():
    values = wavy(40)
    window = windowed(of(values), 3, 20)
    assert window.ranks.tolist() == list(range(3, 21))
    assert window.logs.tolist() == values[2:20].log().tolist()
    assert window.weights.tolist() == [1 / n for n in range(3, 21)]
    assert windowed(of(values), 3, 20, "none").weights.tolist() == [1.0] * 18
    assert (window.asked, window.used, window.weighting) == ((3, 20), (3, 20), "1/n")
    assert window.middle == pytest.approx(math.sqrt(60))


def test_without_a_last_rank_the_window_ends_at_the_numerical_rank():
    window = windowed(power_law(1.0, 90), 5, None)
    assert (window.asked, window.used, window.notices) == ((5, 90), (5, 90), ())
    assert windowed(power_law(1.0, 90), 5, None, clip=False).used == (5, 90)


def test_columns_are_solved_as_numpy_does():
    window = windowed(of(wavy(60)), 2, 50)
    n = window.ranks.numpy()
    truth, cost = naive.least_squares([np.ones(49), np.log(n), n], window.logs.numpy(), window.weights.numpy())
    found = window.solved([torch.ones(49, dtype=torch.float64), window.ranks.log(), window.ranks])
    assert found == pytest.approx(truth, rel=1e-10)
    rest = window.misfit(found[0] + found[1] * window.ranks.log() + found[2] * window.ranks)
    assert rest == pytest.approx(math.sqrt(cost / float(window.weights.sum())), rel=1e-10)


def test_columns_are_solved_to_the_same_bits_each_time():
    window, found, elsewhere = windowed(of(wavy(30)), 2, 25), set(), []
    for turn in range(300):
        elsewhere.append(torch.empty(37 * turn % 501, dtype=torch.uint8))  # memory lies differently
        x = window.ranks.log()
        found.add(tuple(window.solved([torch.ones_like(x), -x, -window.ranks])))
    assert len(found) == 1


def test_the_power_law_of_a_window():
    window = windowed(of(7 * power_law(1.2, 60).eigenvalues), 1, 50)
    assert window.power() == pytest.approx((1.2, math.log(7)), abs=1e-12)


# ------------------------------------------------------------------------------------- bins


@pytest.mark.parametrize("first, last, per_decade", [(1, 1000, 3), (11, 500, 3), (1, 500, 10), (5, 60, 2.5)])
def test_bins_are_those_made_rank_by_rank(first, last, per_decade):
    values = wavy(1002)
    window = windowed(of(values), first, last, bins_per_decade=per_decade)
    ranks, means = naive.bins(values.tolist(), first, last, per_decade)
    assert window.ranks.tolist() == pytest.approx(ranks)
    assert window.logs.exp().tolist() == pytest.approx(means)
    assert float(window.weights.sum()) == pytest.approx(sum(1 / n for n in range(first, last + 1)))


def test_bins_count_alike_where_ranks_do():
    window = windowed(of(wavy(600)), 1, 500, "none", bins_per_decade=3)
    assert window.weights.tolist() == [1.0] * len(window.ranks)


def test_many_bins_are_every_rank():
    spectrum = of(wavy(60))
    every, bins = windowed(spectrum, 2, 50), windowed(spectrum, 2, 50, bins_per_decade=1000)
    assert bins.ranks.tolist() == pytest.approx(every.ranks.tolist())
    assert bins.weights.tolist() == pytest.approx(every.weights.tolist())
    assert bins.power() == pytest.approx(every.power())


def test_negative_values_are_averaged_with_the_others_of_their_bin():
    values = power_law(0.0, 102).eigenvalues.clone()
    values[50:100:5] = -0.5
    window = windowed(of(values), 1, 100, bins_per_decade=3)
    assert window.left_out == ()
    assert window.notices == ("10 of 100 eigenvalues are negative and were averaged with others in their bins.",)
    assert float(window.logs.exp().min()) == pytest.approx(naive.bins(values.tolist(), 1, 100, 3)[1][-1])


def test_a_bin_without_a_positive_mean_is_left_out_with_all_its_ranks():
    values = power_law(0.5, 402).eigenvalues.clone()
    values[10:12] = -1.0  # ranks 11 and 12, a bin of their own
    window = windowed(of(values), 1, 400, bins_per_decade=12)
    assert window.left_out == (11, 12)
    assert window.notices == (
        "1 of 27 bins are not positive and were left out.",
        "2 of 400 eigenvalues are negative and were averaged with others in their bins.",
    )


def test_bins_of_noise_are_refused():
    values = power_law(0.0, 302).eigenvalues.clone()
    values[30:] *= -1
    assert refused(lambda: windowed(of(values), 1, 300, bins_per_decade=3)) == (
        "Expected at most 5 % of the 7 bins of ranks 1–300 without a positive mean, got 3 of 7. "
        "End the window earlier: this spectrum is noise there."
    )


def test_fewer_than_three_bins_are_refused():
    assert refused(lambda: windowed(power_law(1.0, 80), 11, 60, bins_per_decade=2)) == (
        "Expected at least three bins to fit, got 1 of the 1 bins of ranks 11–60. "
        "Take more bins per decade, or a wider window."
    )


# ------------------------------------------------------------------------- log-spaced ranks


def test_log_spaced_ranks_are_rounded_and_may_come_twice():
    truth = np.logspace(0, np.log10(1000), num=50).round().astype(int)
    assert log_spaced(1, 1000, 50).tolist() == truth.tolist()
    window = windowed(power_law(1.0, 1000), 1, None, "none", log_ranks=50)
    assert window.ranks.tolist() == truth.tolist()
    assert window.weights.tolist() == [1.0] * 50


def test_log_spaced_ranks_that_are_not_positive_are_left_out_once_and_counted_as_often_as_they_come():
    values = power_law(1.0, 1000).eigenvalues.clone()
    values[1] = 0.0  # rank 2 comes four times among fifty
    assert log_spaced(1, 1000, 50).tolist().count(2) == 4
    assert refused(lambda: windowed(of(values), 1, None, log_ranks=50)) == (
        "Expected at most 5 % of 50 log-spaced ranks of 1–1000 without a positive eigenvalue, got 4 of 50. "
        "End the window earlier: this spectrum is noise there."
    )
    values = power_law(1.0, 1000).eigenvalues.clone()
    values[2] = 0.0
    window = windowed(of(values), 1, None, log_ranks=100)
    assert log_spaced(1, 1000, 100).tolist().count(3) == 4
    assert window.left_out == (3,)
    assert len(window.ranks) == 96
    assert window.notices == ("4 of 100 ranks are not positive and were left out.",)
