"""Signal and noise redrawn together: the exponent scatters in redraws as it does over recordings of the population."""

from dataclasses import replace

import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.fits.momentlaw import MomentLaw
from eigenfall.population import Population, population_of, recording
from eigenfall.simulated import redrawn, simulated
from eigenfall.spectra.meme import MEME

MEME_PART = MEME(moments=6, pairings=4, resamples=20)
SETS = 25


@pytest.fixture(scope="module")
def redraws():
    truth = Population("power", {"scale": 1.0, "alpha": 1.0}, 200, 0.5, 1.0, alignment=1.0)
    found = []
    for seed in range(SETS):
        moments = recording(truth, 120, seeded(seed))
        estimate = MEME_PART(moments, seeded(seed))
        fit = MomentLaw()(estimate)
        law = {name: fit.parameters[name].value for name in ("scale", "alpha")}
        alike = population_of(moments, "power", law)
        bias = simulated(alike, 120, MEME_PART, MomentLaw(), seeded(1000 + seed), 20, like=estimate)
        found.append((bias, redrawn(fit, bias, "stimuli and trials")))
    return found


@pytest.mark.slow
def test_the_interval_holds_the_planted_exponent_as_often_as_it_says(redraws):
    held = sum(interval.low <= 1.0 <= interval.high for _, interval in redraws)
    assert held >= 20  # of 25; fewer once in a thousand at 95 %


@pytest.mark.slow
def test_redraws_scatter_as_the_recordings_themselves(redraws):
    scatter = float(torch.tensor([interval.value for _, interval in redraws]).std())
    redrawn_scatter = sum(bias.spread for bias, _ in redraws) / SETS
    assert 0.7 < redrawn_scatter / scatter < 1.4  # 25 recordings know a standard deviation to 14 %


def test_another_recording_has_its_own_moments_and_the_covariances_of_the_first():
    moments = recording(Population("power", {"scale": 1.0, "alpha": 1.0}, 60, 0.5, 1.0, 1.0), 40, seeded(0))
    part = MEME(moments=5, order="stored", resamples=12)  # one order, so that nothing is drawn
    estimate = part(moments, seeded(1))
    twice = part.again(replace(moments, matrix=4 * moments.matrix), estimate, seeded(2))
    assert_close(twice.values, estimate.values * 4.0 ** torch.arange(1, 6), rtol=1e-12, atol=0)
    assert torch.equal(twice.weighting, estimate.weighting)
    assert torch.equal(twice.covariance, estimate.covariance)
