"""Measurements of recordings for the tests of figures and pages, by the functions that measure: nothing is made up.

`measured` takes any responses with repeats; `session` is a simulated recording small enough for every test run, and
`v4` the macaque session that tests of real data use.
"""

import functools
import os
from dataclasses import replace
from pathlib import Path

import torch

from eigenfall import grams, records, repeats
from eigenfall.dimensions.levinabickel import LevinaBickel
from eigenfall.dimensions.participation import Participation
from eigenfall.dimensions.twonn import TwoNN
from eigenfall.fits.brokenlaw import BrokenLaw
from eigenfall.fits.cutoff import Cutoff
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.marchenkopastur import MarchenkoPastur
from eigenfall.fits.momentlaw import MomentLaw
from eigenfall.intervals import half_samples
from eigenfall.population import population_of
from eigenfall.recordings.file import File
from eigenfall.recordings.powerlaw import PowerLaw
from eigenfall.rivals import score
from eigenfall.simulated import redrawn, simulated
from eigenfall.slopes import local_slopes, sensitivity
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.spectra.meme import MEME
from eigenfall.spectra.pca import PCA
from eigenfall.statistics import t_interval
from eigenfall.subsets import of_stimuli, of_units
from eigenfall.types import Diagnostics, Estimate, Measurement, Subsampling

V4 = Path(os.environ.get("EIGENFALL_DATA", "data")) / "v4-responses" / "responses_201016.npy"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def curve(responses, over, estimator, fit, counts, subsets):
    """The exponent at each count of units or stimuli, on random subsets."""
    _, stimuli, units = responses.shape
    whole, take = (stimuli, of_stimuli) if over == "stimuli" else (units, of_units)
    alphas, windows, many = [], [], []
    for count in (*counts, whole):
        found = []
        for seed in range(1 if count == whole else subsets):
            chosen = torch.randperm(whole, generator=seeded(seed))[:count].sort().values
            found.append(fit(estimator(take(responses, chosen, whole), seeded(seed))))
        mean, low, high = t_interval([one.alpha for one in found])
        alphas.append(Estimate(mean, low, high, over="subsets"))
        windows.append((max(one.used[0] for one in found), min(one.used[1] for one in found)))
        many.append(len(found))
    return Subsampling(over, torch.tensor([*counts, whole]), tuple(alphas), tuple(many), tuple(windows))


def beside(responses, moments, population, spectrum, estimator, fit, further, counts, splits, runs):
    """All that stands beside the exponents of one spectrum."""
    bias = [simulated(population, moments.stimuli, estimator, each, seeded(1), runs) for each in (fit, *further)]
    of_trials = simulated(population, moments.stimuli, estimator, fit, seeded(2), runs, same_signal=True)
    laws = [replace(law, first_rank=fit.first_rank, last_rank=fit.last_rank) for law in (BrokenLaw(), Cutoff())]
    scores = score(responses, estimator, (fit, *laws, *further), seeded(3), splits)
    return Diagnostics(
        fits=tuple(law(spectrum) for law in (*further, laws[0])),
        windows=sensitivity(spectrum, fit),
        slopes=local_slopes(spectrum),
        subsampling=tuple(curve(responses, over, estimator, fit, counts[over], 4) for over in ("stimuli", "units")),
        bias=tuple(bias),
        laws=scores,
        over={"trials": redrawn(fit(spectrum), of_trials, "trials")},
    )


def measured(responses, first, last, splits=4, runs=4, resamples=40):
    """Everything that is measured on a recording with repeats."""
    two = repeats.two(responses)
    moments = grams.gram(two, side="stimuli")
    _, stimuli, units = two.shape
    counts = {"stimuli": (stimuli // 4, stimuli // 2), "units": (units // 4, units // 2)}
    fit = LeastSquares(first, last)
    meme_part = MEME(moments=6, pairings=2, resamples=resamples)
    meme = meme_part(moments, seeded())
    law = MomentLaw()(meme)
    population = population_of(moments, "power", {name: law.parameters[name].value for name in ("scale", "alpha")})
    estimators = {"cvpca": (CvPCA(shuffles=4), two, ()), "pca": (PCA(), two, (MarchenkoPastur(first, last),))}
    spectra, fits, diagnostics = {}, {"meme": law}, {}
    for name, (estimator, given, further) in estimators.items():
        spectra[name] = estimator(given, seeded())
        fits[name] = half_samples(given, spectra[name], estimator, fit, seeded(), 10)
        diagnostics[name] = beside(
            given, moments, population, spectra[name], estimator, fit, further, counts, splits, runs
        )
    of_law = simulated(population, stimuli, meme_part, MomentLaw(), seeded(1), 3)
    diagnostics["meme"] = Diagnostics(fits=(MomentLaw(breaks="grid", draws=20)(meme),), bias=(of_law,))
    dimensions = [Participation()(responses), TwoNN()(responses), LevinaBickel()(responses)]
    return Measurement(
        name=responses.name,
        spectra=spectra,
        fits={name: fits[name] for name in ("cvpca", "meme", "pca")},
        moments={"meme": meme},
        dimensions={one.name: one for one in dimensions},
        diagnostics=diagnostics,
        reliability=grams.reliability(grams.gram(two)),
        notices=(
            responses.understood,
            *responses.notices,
            *(f"{count} {what} left out." for what, count in two.dropped.items()),
        ),
    )


def saved(folder, responses, part, measurement):
    """The measurement as a record, written and read back."""
    run = {
        "verb": "measure",
        "arm": responses.name,
        "seed": 0,
        "inputs": "0",
        "recording": part,
        "measurement": {"spectrum": ("cvpca:shuffles=4", "meme:moments=6", "pca"), "fit": "leastsquares"},
    }
    return records.save(folder, run, measurement, parts=(CvPCA(), MEME(), PCA(), LeastSquares()))


@functools.cache
def simulated_session():
    responses = PowerLaw(stimuli=120, units=60, repeats=2, noise=1.0)(None)
    responses = replace(responses, name="session", understood="120 stimuli × 60 units × 2 repeats")
    return responses, measured(responses, 3, 40)


@functools.cache
def v4():
    responses = File(V4)()
    return responses, measured(responses, 5, 40, 2, 2, 20)
