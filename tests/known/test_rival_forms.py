"""The laws that fall faster than a power: cut off, stretched, lognormal."""

import math

import naive
import numpy as np
import pytest
import torch
from exact import power_law, seeded

from eigenfall.fits.cutoff import Cutoff
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.lognormal import Lognormal
from eigenfall.fits.stretched import BETAS, Stretched
from eigenfall.laws import eigenvalues, log_eigenvalues
from eigenfall.types import Spectrum

FORMS = {"cutoff": Cutoff, "stretched": Stretched, "lognormal": Lognormal}
PLANTED = {
    "cutoff": {"alpha_1": 0.7, "decay": 0.004},
    "stretched": {"rate": 0.9, "beta": 0.3},
    "lognormal": {"alpha_1": 0.4, "curvature": 0.08},
}


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def of(values):
    return Spectrum(values, stimuli=len(values) + 1, units=len(values))


def planted(law, scale=1.0, ranks=600, **changed):
    return of(eigenvalues(law, ranks, {**PLANTED[law], **changed, "scale": scale}))


def noisy(spectrum, seed=0, size=0.05):
    noise = torch.randn(len(spectrum.eigenvalues), generator=seeded(seed), dtype=torch.float64)
    return of(spectrum.eigenvalues * (size * noise).exp())


def parameters(fit):
    return {name: found.value for name, found in fit.parameters.items() if name != "alpha"}


def slope_at(law, found, rank):
    """−d ln λ / d ln n by central differences."""
    step = 1e-5
    ends = torch.tensor([rank * math.exp(-step), rank * math.exp(step)], dtype=torch.float64)
    below, above = log_eigenvalues(law, ends, found).tolist()
    return (below - above) / (2 * step)


# ------------------------------------------------------------------------ known answers


@pytest.mark.parametrize("weights", ["1/n", "none"])
@pytest.mark.parametrize("window", [(1, 598), (11, 500)])
@pytest.mark.parametrize("law", FORMS)
def test_its_own_law_is_found(law, window, weights):
    fit = FORMS[law](*window, weights=weights)(planted(law, scale=3.0))
    assert parameters(fit) == pytest.approx({**PLANTED[law], "scale": 3.0}, rel=1e-8)
    assert fit.misfit == pytest.approx(0, abs=1e-11)
    assert (fit.law, fit.method, fit.notices) == (law, law, ())


@pytest.mark.parametrize("beta", [0.05, 0.2, 0.5, 1.0, 1.9, 3.0])
def test_beta_is_found_to_ten_digits(beta):
    spectrum = of(eigenvalues("stretched", 60, {"rate": 3.0 / 60**beta, "beta": beta, "scale": 1.0}))
    assert parameters(Stretched(1, 58)(spectrum))["beta"] == pytest.approx(beta, abs=1e-10)


@pytest.mark.parametrize("law", FORMS)
def test_alpha_is_the_local_exponent_at_the_geometric_middle(law):
    fit = FORMS[law](11, 500)(planted(law))
    assert fit.alpha == pytest.approx(slope_at(law, {**PLANTED[law], "scale": 1.0}, math.sqrt(11 * 500)), rel=1e-6)


@pytest.mark.parametrize("weights", ["1/n", "none"])
@pytest.mark.parametrize("seed", range(3))
def test_linear_laws_equal_numpys_least_squares(weights, seed):
    n = np.arange(5, 301)
    w = 1 / n if weights == "1/n" else np.ones(len(n))
    for law, column in (("cutoff", -n), ("lognormal", -(np.log(n) ** 2))):
        spectrum = noisy(planted(law), seed)
        y = spectrum.eigenvalues.log().numpy()[4:300]
        (c, alpha_1, last), cost = naive.least_squares([np.ones(len(n)), -np.log(n), column], y, w)
        fit = FORMS[law](5, 300, weights)(spectrum)
        names = ("scale", "alpha_1", "decay" if law == "cutoff" else "curvature")
        assert [parameters(fit)[name] for name in names] == pytest.approx([math.exp(c), alpha_1, last], rel=1e-8)
        assert fit.misfit == pytest.approx(math.sqrt(cost / w.sum()), rel=1e-9)


@pytest.mark.parametrize("weights", ["1/n", "none"])
@pytest.mark.parametrize("seed", range(3))
def test_stretched_equals_a_search_by_narrowing_grids(weights, seed):
    spectrum = noisy(planted("stretched"), seed)
    beta, rate, scale = naive.stretched(spectrum.eigenvalues.numpy(), 5, 300, weights == "1/n")
    found = parameters(Stretched(5, 300, weights)(spectrum))
    assert [found[name] for name in ("beta", "rate", "scale")] == pytest.approx([beta, rate, scale], rel=1e-5)


@pytest.mark.parametrize("law", FORMS)
def test_a_law_with_one_parameter_more_fits_better_than_the_power_law(law):
    spectrum = noisy(planted(law))
    fit = FORMS[law]()(spectrum)
    power = LeastSquares()(spectrum)
    assert fit.statistics["misfit_of_power"] == pytest.approx(power.misfit, rel=1e-10)
    assert fit.misfit < power.misfit


@pytest.mark.parametrize("law", FORMS)
def test_ranks_that_are_not_positive_are_left_out(law):
    spectrum = planted(law)
    spectrum.eigenvalues[[30, 99]] *= -1
    fit = FORMS[law]()(spectrum)
    assert fit.left_out == (31, 100)
    assert parameters(fit) == pytest.approx({**PLANTED[law], "scale": 1.0}, rel=1e-8)


# -------------------------------------------------------------------------- special cases


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.5])
def test_a_power_law_is_cut_off_nowhere_and_bends_nowhere(alpha):
    spectrum = power_law(alpha, 600)
    for law, parameter in (("cutoff", "decay"), ("lognormal", "curvature")):
        fit = FORMS[law]()(spectrum)
        assert parameters(fit)[parameter] == pytest.approx(0, abs=1e-12)
        assert parameters(fit)["alpha_1"] == pytest.approx(alpha, abs=1e-10)
        assert fit.alpha == pytest.approx(alpha, abs=1e-10)


@pytest.mark.parametrize(
    "law, parameter, said",
    [
        ("cutoff", "decay", "decay is at its bound, 0: this is the power law, and the spectrum is not cut off."),
        (
            "lognormal",
            "curvature",
            "curvature is at its bound, 0: this is the power law, and the spectrum does not bend down.",
        ),
    ],
)
def test_a_spectrum_that_bends_up_gives_the_power_law_and_says_so(law, parameter, said):
    spectrum = of(eigenvalues("broken", 600, {"alpha_1": 1.5, "break_rank": 40, "alpha": 0.7, "scale": 2.0}))
    fit, power = FORMS[law]()(spectrum), LeastSquares()(spectrum)
    assert parameters(fit)[parameter] == 0
    assert fit.alpha == pytest.approx(power.alpha, abs=1e-12)
    assert parameters(fit)["scale"] == pytest.approx(power.parameters["scale"].value, rel=1e-12)
    assert fit.misfit == pytest.approx(power.misfit, rel=1e-12)
    assert fit.notices == (said,)


def test_a_power_law_lies_beyond_the_lower_bound_of_beta():
    fit = Stretched()(power_law(1.2, 600))
    assert parameters(fit)["beta"] == BETAS[0]
    assert fit.alpha == pytest.approx(1.2, abs=0.01)
    assert fit.notices == ("beta is at its bound, 0.02: the spectrum falls no faster than a power law.",)


def test_a_spectrum_that_breaks_off_lies_beyond_the_upper_bound_of_beta():
    values = torch.cat([torch.ones(9, dtype=torch.float64), torch.full((3,), 0.1, dtype=torch.float64)])
    fit = Stretched(1, 10, clip=False)(of(values))
    assert parameters(fit)["beta"] == BETAS[1]
    assert fit.notices == ("beta is at its bound, 4: the spectrum ends more abruptly than the law can.",)


def test_a_spectrum_that_does_not_fall_is_flat():
    for values in (torch.ones(60, dtype=torch.float64), torch.linspace(1, 2, 60, dtype=torch.float64)):
        fit = Stretched(1, 58)(of(values))
        assert parameters(fit)["rate"] == 0
        assert fit.alpha == 0
        assert fit.notices == ("rate is at its bound, 0: the spectrum does not fall, and beta has no meaning.",)


def test_without_stretching_it_is_the_exponential():
    spectrum = of(eigenvalues("cutoff", 60, {"alpha_1": 0.0, "decay": 0.1, "scale": 2.0}))
    assert parameters(Stretched(1, 58)(spectrum)) == pytest.approx({"rate": 0.1, "beta": 1.0, "scale": 2.0}, rel=1e-9)
    assert parameters(Cutoff(1, 58)(spectrum)) == pytest.approx({"alpha_1": 0.0, "decay": 0.1, "scale": 2.0}, abs=1e-10)


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("law", FORMS)
def test_fewer_than_four_ranks_are_refused(law):
    assert refused(lambda: FORMS[law](5, 7)(planted(law))) == (
        "Expected a window of at least four ranks, got 3: it starts at rank 5, and the numerical rank is 600 with "
        "S = 601 stimuli and 600 units. Start the window earlier, or record more stimuli."
    )


@pytest.mark.parametrize("law", FORMS)
def test_a_window_that_is_none_is_refused(law):
    assert refused(lambda: FORMS[law](9, 3)) == (
        "Expected 1 ≤ first_rank < last_rank, got first_rank=9, last_rank=3. "
        "Ranks count from 1, and the window includes both ends."
    )
