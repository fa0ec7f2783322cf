import math

import matplotlib
import naive
import numpy as np
import pytest
import torch
from exact import power_law, seeded

from eigenfall import plot
from eigenfall.fits.brokenlaw import BrokenLaw, _breaks, _costs
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.laws import eigenvalues, log_eigenvalues
from eigenfall.types import Spectrum
from eigenfall.windows import windowed


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def of(values):
    return Spectrum(values, stimuli=len(values) + 1, units=len(values))


def broken(alpha_1=0.52, break_rank=16, alpha=1.2, scale=1.0, ranks=600):
    return of(
        eigenvalues("broken", ranks, {"alpha_1": alpha_1, "break_rank": break_rank, "alpha": alpha, "scale": scale})
    )


def noisy(spectrum, seed=0, size=0.1):
    noise = torch.randn(len(spectrum.eigenvalues), generator=seeded(seed), dtype=torch.float64)
    return of(spectrum.eigenvalues * (size * noise).exp())


def parameters(fit):
    return {name: found.value for name, found in fit.parameters.items()}


# ------------------------------------------------------------------------ known answers


@pytest.mark.parametrize("weights", ["1/n", "none"])
@pytest.mark.parametrize("alpha_1, break_rank, alpha", [(0.52, 16, 1.2), (1.5, 48, 0.4), (0.0, 2, 1.0), (0.6, 50, 0.7)])
def test_a_broken_law_is_found(alpha_1, break_rank, alpha, weights):
    fit = BrokenLaw(weights=weights)(broken(alpha_1, break_rank, alpha, scale=3.0))
    truth = {"alpha_1": alpha_1, "break_rank": break_rank, "alpha": alpha, "scale": 3.0}
    assert parameters(fit) == pytest.approx(truth, abs=1e-10)
    assert fit.misfit == pytest.approx(0, abs=1e-12)
    assert (fit.law, fit.method, fit.weights) == ("broken", "brokenlaw", weights)


@pytest.mark.parametrize("rank, error", [(57, 0.02), (150, 0.03), (301, 0.15)])
def test_a_break_between_those_that_are_tried_is_found_nearly(rank, error):
    fit = BrokenLaw()(broken(0.5, rank, 1.5))
    grid = sorted({round(b) for b in np.geomspace(50, 500, 26)})
    nearest = [b for b in grid if b <= rank][-1], next(b for b in grid if b >= rank)
    assert parameters(fit)["break_rank"] in nearest
    assert fit.alpha == pytest.approx(1.5, abs=error)


@pytest.mark.parametrize("weights", ["1/n", "none"])
@pytest.mark.parametrize("window", [(1, 500), (5, 120), (11, 59)])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_fits_break_by_break(window, weights, seed):
    spectrum = noisy(broken(), seed)
    truth = naive.broken_law(spectrum.eigenvalues.numpy(), *window, weights == "1/n")
    fit = parameters(BrokenLaw(*window, weights=weights)(spectrum))
    assert [fit[name] for name in ("break_rank", "alpha_1", "alpha", "scale")] == pytest.approx(truth, rel=1e-9)


def test_the_sums_of_squares_of_all_breaks_at_once():
    window = windowed(noisy(broken()), 1, 500)
    breaks = _breaks(window)
    assert breaks[:24].tolist() == list(range(2, 50, 2))
    assert breaks[24:].tolist() == sorted({round(b) for b in np.geomspace(50, 500, 26)})[:-1]
    n, y, w = (found.numpy() for found in (window.ranks, window.logs, window.weights))
    truth = [
        naive.least_squares([np.ones(500), np.log(np.minimum(n, b)), np.log(np.maximum(n, b) / b)], y, w)[1]
        for b in breaks.numpy()
    ]
    assert _costs(window, breaks).tolist() == pytest.approx(truth, rel=1e-9)


def test_misfit_stands_beside_that_of_the_power_law():
    spectrum = noisy(broken())
    fit = BrokenLaw(1, 400)(spectrum)
    assert fit.statistics["misfit_of_power"] == pytest.approx(LeastSquares(1, 400)(spectrum).misfit, rel=1e-10)
    assert fit.misfit < 0.7 * fit.statistics["misfit_of_power"]


def test_negative_ranks_are_left_out():
    spectrum = broken()
    spectrum.eigenvalues[[30, 99, 200]] *= -1
    fit = BrokenLaw()(spectrum)
    assert fit.left_out == (31, 100, 201)
    assert fit.alpha == pytest.approx(1.2, abs=1e-9)
    assert fit.notices == ("3 of 500 ranks are not positive and were left out.",)


def test_a_fit_is_drawn_along_its_law():
    matplotlib.use("Agg")
    fit = BrokenLaw(2, 400)(broken(scale=2.0))
    (line,) = [line for line in plot(fit).get_lines() if len(line.get_xdata())]
    x, y = torch.as_tensor(np.asarray(line.get_xdata())), np.asarray(line.get_ydata())
    assert (float(x[0]), float(x[-1])) == pytest.approx((2, 400))
    assert y == pytest.approx(log_eigenvalues("broken", x, parameters(fit)).exp().numpy())


# -------------------------------------------------------------------------- special cases


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_with_equal_slopes_it_is_the_power_law_and_a_tie_is_said(alpha):
    fit = BrokenLaw(5, 500)(power_law(alpha, 600))
    assert parameters(fit) == pytest.approx({"alpha_1": alpha, "break_rank": 6, "alpha": alpha, "scale": 1}, abs=1e-9)
    assert fit.notices == ("47 of 47 breaks fit alike, the first at rank 6: the window shows no break.",)


@pytest.mark.parametrize("first_rank, planted, end", [(3, 4, "first"), (5, 456, "last")])
def test_a_break_at_the_end_of_those_tried_is_said(first_rank, planted, end):
    fit = BrokenLaw(first_rank, 500)(broken(0.2, planted, 1.5))
    assert parameters(fit)["break_rank"] == planted
    assert fit.notices == (f"the break, rank {planted}, is the {end} that was tried: the window may hold none.",)


# ------------------------------------------------------------------------------ refusals


def test_fewer_than_five_ranks_are_refused():
    assert refused(lambda: BrokenLaw(5, 8)(broken())) == (
        "Expected a window of at least five ranks, got 4: it starts at rank 5, and the numerical rank is 600 with "
        "S = 601 stimuli and 600 units. Start the window earlier, or record more stimuli."
    )


def test_a_window_between_two_breaks_is_refused():
    assert refused(lambda: BrokenLaw(457, 499)(broken())) == (
        "Expected a break to try inside the window, got none in ranks 457–499: breaks are 2, 4, …, 48 and 26 "
        "log-spaced ranks from 50 on. Take a wider window."
    )


def test_a_million_ranks_take_one_pass():
    fit = BrokenLaw(1, 10**6)(broken(0.5, 26, 1.1, ranks=10**6 + 2))
    assert parameters(fit) == pytest.approx({"alpha_1": 0.5, "break_rank": 26, "alpha": 1.1, "scale": 1}, abs=1e-8)
    assert not math.isnan(fit.misfit)
