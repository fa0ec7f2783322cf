import math

import naive
import pytest
import torch
from exact import power_law, seeded

from eigenfall.fits.brokenlaw import BrokenLaw
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.laws import eigenvalues
from eigenfall.slopes import local_slopes, sensitivity
from eigenfall.types import Spectrum


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def of(values):
    return Spectrum(values, stimuli=len(values) + 1, units=len(values))


# --------------------------------------------------------------------------- local slopes


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("ranks", [3, 20, 1000])
def test_a_power_law_has_one_slope_everywhere(alpha, ranks):
    found = local_slopes(power_law(alpha, ranks))
    assert found.alpha.tolist() == pytest.approx([alpha] * len(found.alpha), abs=1e-9)
    assert found.ranks.tolist() == sorted(found.ranks.tolist())
    assert 1 <= float(found.ranks[0]) <= float(found.ranks[-1]) <= ranks


def test_slopes_are_lines_through_stretches():
    noise = torch.randn(300, generator=seeded(0), dtype=torch.float64)
    values = power_law(1.0, 300).eigenvalues * (0.2 * noise).exp()
    found = local_slopes(of(values), span=4.0, places=30)
    for middle, alpha in zip(found.ranks.tolist(), found.alpha.tolist()):
        first = next(a for a in range(1, 301) if math.sqrt(a * max(a + 2, math.floor(4 * a))) == pytest.approx(middle))
        last = max(first + 2, 4 * first)
        assert alpha == pytest.approx(naive.exponent(values.tolist(), first, last, weighted=True), rel=1e-9)
    assert found.span == 4.0


def test_slopes_show_a_break():
    spectrum = of(eigenvalues("broken", 1000, {"alpha_1": 0.4, "break_rank": 40, "alpha": 1.4, "scale": 1.0}))
    found = local_slopes(spectrum)
    before, beyond = found.ranks < 40 / 3, found.ranks > 40 * 3
    assert found.alpha[before].tolist() == pytest.approx([0.4] * int(before.sum()), abs=1e-9)
    assert found.alpha[beyond].tolist() == pytest.approx([1.4] * int(beyond.sum()), abs=1e-9)


def test_there_is_no_slope_where_values_are_not_positive():
    values = power_law(1.0, 200).eigenvalues.clone()
    values[150:] *= torch.tensor([1.0, -1.0] * 25, dtype=torch.float64)
    found = local_slopes(of(values))
    assert not bool(found.alpha[found.ranks < 150 / math.sqrt(3)].isnan().any())
    assert bool(found.alpha[-1].isnan())


def test_slopes_end_at_the_numerical_rank():
    values = torch.cat([power_law(1.0, 60).eigenvalues, torch.full((40,), 1e-17, dtype=torch.float64)])
    assert float(local_slopes(of(values)).ranks[-1]) <= 60


def test_spans_and_spectra_without_slopes_are_refused():
    assert refused(lambda: local_slopes(power_law(1.0, 50), span=1.0)) == (
        "Expected a span above 1, got 1. It is the last rank of a stretch over its first."
    )
    assert refused(lambda: local_slopes(power_law(1.0, 2))) == (
        "Expected a window of at least three ranks, got 2: it starts at rank 1, and the numerical rank is 2 with S = 3 "
        "stimuli and 2 units. Start the window earlier, or record more stimuli."
    )


# -------------------------------------------------------------------------- other windows


def test_the_same_fit_in_other_windows():
    table = sensitivity(power_law(1.2, 700), LeastSquares())
    assert table[0] == LeastSquares()(power_law(1.2, 700))
    assert [fit.used for fit in table[1:6]] == [(3, 62), (3, 125), (3, 250), (3, 500), (3, 698)]
    assert {fit.used[0] for fit in table} == {3, 6, 11, 22, 44}
    assert {fit.used[1] for fit in table} == {62, 125, 250, 500, 698}
    assert len({fit.used for fit in table}) == len(table) == 22
    assert all(fit.used[1] >= 4 * fit.used[0] for fit in table)
    assert [fit.alpha for fit in table] == pytest.approx([1.2] * 22)
    assert all(fit.notices == () for fit in table)


def test_windows_show_that_the_exponent_is_theirs():
    spectrum = of(eigenvalues("broken", 700, {"alpha_1": 0.5, "break_rank": 40, "alpha": 1.5, "scale": 1.0}))
    found = [fit.alpha for fit in sensitivity(spectrum, LeastSquares())]
    assert max(found) - min(found) > 0.5


def test_settings_of_the_fit_are_kept():
    for fit in sensitivity(power_law(1.2, 300), LeastSquares(5, 200, "none")):
        assert fit.weights == "none"
    assert sensitivity(power_law(1.2, 300), BrokenLaw(2, 200))[3].law == "broken"


def test_a_short_spectrum_has_few_windows():
    table = sensitivity(power_law(1.0, 20), LeastSquares(2, 500))
    assert [fit.used for fit in table] == [(2, 18), (1, 4), (1, 9), (1, 18), (2, 9), (4, 18)]


def test_windows_that_are_refused_are_counted():
    values = power_law(1.0, 400).eigenvalues.clone()
    values[201::2] *= -1
    table = sensitivity(of(values), LeastSquares(11, 200))
    assert {fit.used[1] for fit in table} == {25, 50, 100, 200}
    assert len(table) == 14
    assert table[0].notices[-1] == (
        "5 of 18 other windows could not be fitted. Expected at most 5 % of ranks 3–398 without a positive eigenvalue, "
        "got 99 of 396. End the window earlier: this spectrum is noise there."
    )


def test_a_fit_without_a_window_is_refused():
    assert refused(lambda: sensitivity(power_law(1.0, 100), abs)) == (
        "Expected a fit with settings first_rank and last_rank, got builtin_function_or_method. "
        "Other windows can be tried only where a window is a setting."
    )
