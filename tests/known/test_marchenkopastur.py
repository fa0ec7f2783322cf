import math
from dataclasses import replace

import pytest
import torch
from exact import power_law, seeded

from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.marchenkopastur import ALPHAS, MarchenkoPastur, _predicted
from eigenfall.intervals import half_samples
from eigenfall.silverstein import sample_eigenvalues
from eigenfall.spectra.pca import PCA
from eigenfall.types import Responses, Spectrum


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def sample(alpha, stimuli, units, seed):
    """Spectrum of a Gaussian sample whose population spectrum is n^−alpha."""
    scale = power_law(alpha, units).eigenvalues.sqrt()
    rows = torch.randn(stimuli, units, generator=seeded(seed), dtype=torch.float64) * scale
    return PCA()(Responses(values=rows[None]))


def predicted(alpha, stimuli, units, scale=1.0):
    """The spectrum that such a sample is expected to have."""
    ranks = torch.arange(1, min(stimuli - 1, units) + 1)
    values = sample_eigenvalues(power_law(alpha, units).eigenvalues, stimuli - 1, ranks)
    return Spectrum(scale * values, stimuli=stimuli, units=units)


def mean(values):
    return sum(values) / len(values)


# ------------------------------------------------------------------------ known answers


@pytest.mark.parametrize("weights", ["1/n", "none"])
@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 1.03, 2.5])
@pytest.mark.parametrize("units", [150, 1000])
def test_its_own_prediction_is_inverted(alpha, units, weights):
    fit = MarchenkoPastur(5, 140, weights)(predicted(alpha, 300, units, scale=3.0))
    assert fit.alpha == pytest.approx(alpha, abs=1e-5)
    assert fit.parameters["scale"].value == pytest.approx(3.0, rel=1e-4)
    assert fit.misfit == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("alpha, of_window, of_head", [(1.0, 1.110, 0.905), (0.5, 0.683, 0.371)])
def test_what_a_sample_distorts_is_undone(alpha, of_window, of_head):
    """T1 without noise: S = 500, N = 1000; straight lines miss, and depend on the window."""
    spectra = [sample(alpha, 500, 1000, seed) for seed in range(12)]
    for last_rank, line, error in ((498, of_window, 0.004), (100, of_head, 0.012)):
        fits = [MarchenkoPastur(11, last_rank)(spectrum) for spectrum in spectra]
        assert mean([fit.statistics["sample_alpha"] for fit in fits]) == pytest.approx(line, abs=error)
        assert mean([fit.alpha for fit in fits]) == pytest.approx(alpha, abs=0.01)
        assert mean([fit.parameters["scale"].value for fit in fits]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("stimuli, units", [(300, 100), (200, 2000), (200, 200)])
def test_more_stimuli_than_units_and_fewer(stimuli, units):
    found = [MarchenkoPastur(5, 90)(sample(1.0, stimuli, units, seed)).alpha for seed in range(10)]
    assert mean(found) == pytest.approx(1.0, abs=0.012)


def test_many_stimuli_make_it_a_straight_line():
    spectrum = power_law(1.3, 100)
    fit = MarchenkoPastur(5, 90)(replace(spectrum, stimuli=10**6))
    assert fit.alpha == pytest.approx(1.3, abs=1e-3)
    assert fit.statistics["sample_alpha"] == pytest.approx(LeastSquares(5, 90)(spectrum).alpha, abs=1e-12)


def test_means_that_were_taken_off_cost_a_degree_of_freedom():
    spectrum = predicted(1.0, 61, 200)
    assert MarchenkoPastur(5, 50)(spectrum).statistics["freedom"] == 60
    bare = MarchenkoPastur(5, 50)(replace(spectrum, stimuli=60, centred=False))
    assert bare.alpha == pytest.approx(MarchenkoPastur(5, 50)(spectrum).alpha, abs=1e-12)


def test_the_table_is_interpolated():
    for alpha, error in ((0.02, 3e-4), (0.49, 1e-6), (1.023, 1e-6), (2.51, 1e-6), (7.99, 1e-4)):
        logs, slopes = _predicted(alpha, (300, 199))
        truth = [
            sample_eigenvalues(power_law(near, 300).eigenvalues, 199, torch.arange(1, 200)).log()
            for near in (alpha, alpha - 1e-4, alpha + 1e-4)
        ]
        assert float((logs - truth[0]).abs().max()) < error
        assert float((slopes - (truth[2] - truth[1]) / 2e-4).abs().max()) < 100 * error


def test_the_law_says_what_a_sample_has():
    spectrum, part = predicted(1.0, 200, 300, scale=2.0), MarchenkoPastur(5, 150)
    ranks = torch.tensor([5.0, 40.0, 150.0], dtype=torch.float64)
    truth = spectrum.eigenvalues[[4, 39, 149]].log()
    assert part.sampled(part(spectrum), ranks).tolist() == pytest.approx(truth.tolist(), abs=1e-4)


# ------------------------------------------------------------------------------ what it says


def test_its_target_is_the_population():
    spectrum = predicted(1.0, 200, 300)
    fit = MarchenkoPastur(5, 150)(spectrum)
    assert (fit.target, fit.law, fit.method) == ("total population", "power", "marchenkopastur")
    assert fit.notices == ()
    signal = MarchenkoPastur(5, 150)(replace(spectrum, target="signal sample", estimator="cvpca"))
    assert signal.target == "signal population"
    assert signal.notices == (
        "only the finite number of stimuli is corrected for, not what noise does to the estimator.",
    )


def test_a_spectrum_flatter_than_white_noise_is_said():
    spectrum = Spectrum(torch.linspace(1.1, 1, 100, dtype=torch.float64), stimuli=200, units=100)
    fit = MarchenkoPastur(5, 90)(spectrum)
    assert fit.alpha == ALPHAS[0]
    assert fit.notices == ("alpha is at its bound, 0: no power law of the population gives this spectrum.",)


def test_half_samples_give_an_interval_about_the_population():
    """Half as many stimuli bend twice as much, and both are undone."""
    scale = power_law(1.0, 120).eigenvalues.sqrt()
    rows = torch.randn(160, 120, generator=seeded(1), dtype=torch.float64) * scale
    responses = Responses(values=rows[None])
    fit = half_samples(responses, PCA()(responses), PCA(), MarchenkoPastur(3, 60), seeded(0), draws=20)
    assert fit.target == "total population"
    found = fit.parameters["alpha"]
    assert found.low < 1 < found.high
    assert 0.02 < found.high - found.low < 0.3


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "changed, got",
    [({"target": "held-out"}, "a held-out spectrum"), ({"of": "weights"}, "a spectrum of the weights")],
)
def test_what_is_no_sample_covariance_is_refused(changed, got):
    assert refused(lambda: MarchenkoPastur()(replace(power_law(1.0, 600), **changed))) == (
        f"Expected the spectrum of a sample covariance, such as pca gives, got {got}. "
        "Only a sample is bent as this fit bends its law: use leastsquares."
    )


def test_more_ranks_than_the_sample_can_have_are_refused():
    assert refused(lambda: MarchenkoPastur(5, 90)(replace(power_law(1.0, 100), stimuli=80))) == (
        "Expected at most 79 ranks from 100 units and 79 degrees of freedom, got a window of ranks 5–90. "
        "Say how many stimuli and units the spectrum comes from."
    )


def test_the_exponent_that_is_kept_is_not_changed_by_a_second_fit():
    spectrum, part = predicted(1.2, 200, 300), MarchenkoPastur(5, 150)
    first = part(spectrum)
    part(predicted(0.7, 200, 300))
    assert part(spectrum) == first
    assert not math.isnan(first.misfit)
