"""What stands beside an exponent, to judge it by: intervals, other windows and laws, curves, simulations.

Each is a piece of its own, and one that is refused is said to have been; the others stand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from eigenfall import parts
from eigenfall.fits.brokenlaw import BrokenLaw
from eigenfall.fits.cutoff import Cutoff
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.lognormal import Lognormal
from eigenfall.fits.marchenkopastur import MarchenkoPastur
from eigenfall.fits.stretched import Stretched
from eigenfall.intervals import Halves, halving, with_interval
from eigenfall.plans import Plan
from eigenfall.population import Population, population_of
from eigenfall.recorded import Recorded
from eigenfall.rivals import scoring
from eigenfall.simulated import redrawn, simulating
from eigenfall.slopes import local_slopes, sensitivity
from eigenfall.stages import Working, kept_under, seeded, seeds, under
from eigenfall.subsampling import over_units, subsampling
from eigenfall.types import Diagnostics, LocalSlopes, Moments, SimulatedBias, Spectrum, SpectrumFit

RIVALS = (BrokenLaw, Cutoff, Stretched, Lognormal)

Pieces = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Estimated:
    """What one estimator made of the recording.

    Attributes:
        key: its name, numbered if there are several of it.
        estimator: the part.
        estimate: what it made.
        laws: parts of kind fits that read it; the first makes the exponent.
        fit: the first law's fit; `None` if it was refused.
        refusal: why.
    """

    key: str
    estimator: Any
    estimate: Spectrum | Moments
    laws: tuple[Any, ...]
    fit: SpectrumFit | None
    refusal: str = ""


@dataclass(frozen=True, eq=False)
class Beside:
    """What stands beside an exponent, and what could not be had, in words."""

    fit: SpectrumFit
    diagnostics: Diagnostics
    refusals: tuple[str, ...]


def population_from(recorded: Recorded, found: list[Estimated]) -> Population | None:
    """The population to simulate: the law of MEME, or else of the first estimator, with noise like the recording's."""
    if recorded.whole is None:
        return None
    fits = [one.fit for one in found if one.fit is not None and one.fit.law == "power"]
    fits = [fit for fit in fits if fit.target == "signal population"] or fits
    if not fits or "scale" not in fits[0].parameters:
        return None
    law = {name: fits[0].parameters[name].value for name in ("scale", "alpha")}
    if recorded.size[0] > 1:
        return population_of(recorded.whole, "power", law)
    return Population("power", law, recorded.size[2], noise_scale=0.0, noise_alpha=1.0, alignment=0.0)


def _tried(work: Working[Any], refusals: list[str], what: str) -> Working[Any]:
    """The value of some work; `None` if it is refused, and why is added to the refusals."""
    try:
        return (yield from work)
    except ValueError as reason:
        refusals.append(f"No {what}: {reason}")
        return None


def beside_of(
    recorded: Recorded,
    one: Estimated,
    population: Population | None,
    plan: Plan,
    generator: torch.Generator,
    kept: Pieces,
) -> Working[Beside]:
    """The exponent with its interval, and everything that stands beside it."""
    refusals: list[str] = []
    assert one.fit is not None
    halves, scores, biased, held, on_units, on_stimuli, of_units = map(seeded, seeds(generator, 7))
    estimate, fit, law, estimator = one.estimate, one.fit, one.laws[0], one.estimator
    windows, slopes, rivals, drawn, bias, over = (), None, None, None, (), {}
    if isinstance(estimate, Spectrum):
        if plan.draws >= 2:
            work = halving(recorded.given, estimate, estimator, halves, plan.draws, kept_under("halves", kept))
            drawn = yield from _tried(under("halves", work), refusals, "interval over stimuli")
        windows, slopes = _on_spectrum(estimate, law, refusals)
        if plan.draws >= 4 and isinstance(law, LeastSquares) and not law.bins_per_decade and not law.log_ranks:
            work = scoring(
                recorded.given,
                estimator,
                _rivals(law, fit),
                scores,
                splits=plan.draws // 2,
                kept=kept_under("rivals", kept),
            )
            rivals = yield from _tried(under("rivals", work), refusals, "comparison of laws")
    bias = yield from _simulated(recorded, one, population, plan, (biased, held), kept, refusals)
    if bias and plan.redraws:
        over["stimuli and trials"] = redrawn(fit, bias[0], "stimuli and trials")
    if len(bias) > 1:
        over["trials"] = redrawn(fit, bias[1], "trials")
    fits = list(_fits(estimate, fit, one.laws, drawn, refusals))
    if plan.draws >= 4:
        work = over_units(recorded, estimator, law, fit, of_units, plan.draws // 2, kept=kept_under("units", kept))
        units = yield from _tried(under("units", work), refusals, "interval over units")
        over |= {"units": units} if units is not None else {}
    curves = []
    axes: tuple[Literal["stimuli", "units"], ...] = ("stimuli", "units") if plan.subsets else ()
    for axis, own in zip(axes, (on_stimuli, on_units)):
        work = subsampling(recorded, estimator, law, fit, axis, own, plan.subsets, kept_under("curves", kept))
        curves.append((yield from under("curves", work)))
    diagnostics = Diagnostics(tuple(fits[1:]), windows, slopes, tuple(curves), bias[:1], rivals or (), over)
    return Beside(fits[0], diagnostics, tuple(refusals))


def _fits(
    estimate: Spectrum | Moments, fit: SpectrumFit, laws: tuple[Any, ...], drawn: Halves | None, refusals: list[str]
) -> Iterator[SpectrumFit]:
    """The fit of the first law and of the others, each with its interval if half-samples were drawn."""
    for place, law in enumerate(laws):
        try:
            whole = law(estimate) if place else fit
        except ValueError as reason:
            refusals.append(f"{parts.name_of(law)}: {reason}")
            continue
        yield whole if drawn is None else with_interval(whole, law, drawn)


def _on_spectrum(
    spectrum: Spectrum, law: Any, refusals: list[str]
) -> tuple[tuple[SpectrumFit, ...], LocalSlopes | None]:
    """Other windows, and local exponents."""
    windows, slopes = (), None
    if hasattr(law, "first_rank") and hasattr(law, "last_rank"):
        windows = sensitivity(spectrum, law)
    try:
        slopes = local_slopes(spectrum)
    except ValueError as reason:
        refusals.append(f"No local exponents: {reason}")
    return windows, slopes


def _rivals(law: LeastSquares, fit: SpectrumFit) -> tuple[Any, ...]:
    """Other laws in the window of the exponent; the population's power law too, for a sample without repeats."""
    window = {"first_rank": law.first_rank, "last_rank": law.last_rank, "weights": law.weights, "clip": law.clip}
    laws = (*RIVALS, MarchenkoPastur) if fit.target == "total sample" else RIVALS
    return (law, *(rival(**window) for rival in laws))


def _simulated(
    recorded: Recorded,
    one: Estimated,
    population: Population | None,
    plan: Plan,
    generators: tuple[torch.Generator, torch.Generator],
    kept: Pieces,
    refusals: list[str],
) -> Working[tuple[SimulatedBias, ...]]:
    """What the estimator says of recordings of this size; and, with repeats, of new trials of one of them.

    Redraws of signal and noise are these recordings, as many of them as were asked for.
    """
    if population is None or max(plan.simulations, plan.redraws) < 2:
        return ()
    found: list[SimulatedBias] = []
    like = one.estimate if isinstance(one.estimate, Moments) and hasattr(one.estimator, "again") else None
    for name, same, generator in zip(("simulated", "trials"), (False, True), generators):
        if same and (recorded.size[0] < 2 or not found or plan.simulations < 2):
            break
        work = simulating(
            population,
            recorded.size[1],
            one.estimator,
            one.laws[0],
            generator,
            plan.simulations if same else plan.redraws or plan.simulations,
            same,
            recorded.size[0],
            like,
            kept_under(name, kept),
        )
        bias = yield from _tried(under(name, work), refusals, "simulated bias")
        found += [bias] if bias is not None else []
    return tuple(found)
