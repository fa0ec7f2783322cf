"""What an estimator would say of recordings whose spectrum is known, at the user's own size and signal-to-noise.

A population with the law and the noise of a recording is recorded again and again, and estimated as the recording was.
The mean less the truth is the estimator's bias there, the spread its scatter over new stimuli and new noise; with the
signal held, over new noise alone. The truth is what the same fit says of the planted eigenvalues in the same window.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from eigenfall import parts
from eigenfall.check import need
from eigenfall.linalg import symmetric_eigenvalues
from eigenfall.population import Population, recording
from eigenfall.stages import Working, consumed, seeded, seeds
from eigenfall.statistics import t_interval, t_reach
from eigenfall.types import Estimate, Gram, Moments, SimulatedBias, Spectrum, SpectrumFit, Stage

Estimator = Callable[[Gram, torch.Generator], Spectrum | Moments]


def simulated(
    population: Population,
    stimuli: int,
    estimator: Any,
    fit: Any,
    generator: torch.Generator,
    runs: int = 8,
    same_signal: bool = False,
    repeats: int = 2,
    like: Moments | None = None,
) -> SimulatedBias:
    """Bias and scatter of an estimator's exponent at a given size.

    Args:
        population: what is recorded.
        stimuli: S of each recording.
        estimator: a part of kind spectra, called on a Gram matrix of two repeats.
        fit: a part of kind fits that reads what the estimator gives.
        generator: everything is drawn with it.
        runs: how many recordings.
        same_signal: the signal is drawn once, so that only noise differs.
        repeats: of each recording.
        like: what an estimator of moments made of the real recording: simulated ones are fitted with its covariances,
            which is quick, instead of with covariances of their own.

    Raises:
        ValueError: for fewer than two runs, or if more than half of the recordings cannot be fitted.
    """
    return consumed(simulating(population, stimuli, estimator, fit, generator, runs, same_signal, repeats, like))


def simulating(
    population: Population,
    stimuli: int,
    estimator: Any,
    fit: Any,
    generator: torch.Generator,
    runs: int = 8,
    same_signal: bool = False,
    repeats: int = 2,
    like: Moments | None = None,
    kept: Mapping[str, Tensor] | None = None,
) -> Working[SimulatedBias]:
    """As `simulated`, run by run; `kept` are pieces of an earlier call that did not end."""
    need(runs >= 2, expected="at least two simulated recordings", got=f"{runs}", remedy="Take eight or more.")
    pieces = dict(kept or {})
    signal, *each = seeds(generator, 1 + runs)
    estimate = estimator if like is None else partial(_again, estimator, like)
    for run, seed in enumerate(each):
        name = f"run {run}"
        if name not in pieces:
            own = seeded(signal if same_signal else seed + 1)
            pieces[name] = _one(population, stimuli, repeats, estimate, fit, seeded(seed), own)
        yield Stage(f"simulated recordings, {parts.name_of(estimator)}", run + 1, runs, {name: pieces[name]})
    found = torch.stack([pieces[f"run {run}"] for run in range(runs)])
    fitted = found[~found[:, 0].isnan()]
    need(
        2 * len(fitted) > runs and len(fitted) >= 2,
        expected="simulated recordings of this size that can be fitted",
        got=f"{runs - len(fitted)} of {runs} that cannot",
        remedy="Record more stimuli, or start the window earlier.",
    )
    mean, low, high = t_interval(fitted[:, 0].tolist())
    return SimulatedBias(
        estimator=parts.spell(estimator),
        method=parts.spell(fit),
        planted=dict(population.parameters),
        truth=_truth(population, stimuli, fit),
        sample_truth=float(fitted[:, 1].nanmean()),
        found=Estimate(mean, low, high, over="simulations"),
        spread=float(fitted[:, 0].std()),
        runs=len(fitted),
        stimuli=stimuli,
        units=population.units,
        signal_share=population.signal_share,
        alignment=population.alignment,
        noise_alpha=population.noise_alpha,
    )


def _again(estimator: Any, like: Moments, moments: Gram, generator: torch.Generator) -> Moments:
    return estimator.again(moments, like, generator)


def _one(
    population: Population,
    stimuli: int,
    repeats: int,
    estimator: Estimator,
    fit: Any,
    generator: torch.Generator,
    signal: torch.Generator,
) -> Tensor:
    """Exponent of one simulated recording, and that of its noise-free responses; NaN where there is no fit."""
    state = signal.get_state()
    moments = recording(population, stimuli, generator, repeats, signal=signal)
    alpha = _alpha(lambda: fit(estimator(moments, generator)))
    if getattr(fit, "reads", "spectrum") == "moments":
        return torch.tensor([alpha, float("nan")], dtype=torch.float64)
    signal.set_state(state)
    clean = recording(replace(population, noise_scale=0.0), stimuli, generator, repeats=1, signal=signal)
    eigenvalues = symmetric_eigenvalues(clean.matrix)[: min(stimuli - 1, population.units)] / (stimuli - 1)
    truth = _alpha(lambda: fit(Spectrum(eigenvalues, stimuli, population.units)))
    return torch.tensor([alpha, truth], dtype=torch.float64)


def _alpha(fitted: Callable[[], SpectrumFit]) -> float:
    try:
        return fitted().alpha
    except ValueError:
        return float("nan")


def _truth(population: Population, stimuli: int, fit: Any) -> float:
    """What the fit says of the planted eigenvalues, as many as a recording has; the planted exponent itself of a fit
    that is of the population, through moments or through what a sample makes of it."""
    if getattr(fit, "reads", "spectrum") == "moments" or hasattr(fit, "sampled"):
        return float(population.parameters["alpha"])
    ranks = min(stimuli - 1, population.units)
    return _alpha(lambda: fit(Spectrum(population.signal[:ranks], stimuli, population.units)))


def redrawn(fit: SpectrumFit, bias: SimulatedBias, over: str, level: float = 0.95) -> Estimate:
    """The exponent of a fit with the interval that redrawn recordings give it: normal scatter about the estimate.

    Args:
        fit: of the recording.
        bias: of recordings simulated from it.
        over: what was redrawn, for instance "stimuli and trials".
        level: nominal coverage.
    """
    reach = t_reach(level, bias.runs - 1) * bias.spread
    return Estimate(fit.alpha, fit.alpha - reach, fit.alpha + reach, level, over)
