"""Everything about the spectrum of one recording: exponents by several estimators, and what stands beside them.

    responses → two repeats → second moments, once → each estimator → its fits → intervals, curves, simulated bias

Each is a piece of its own: what was finished before an interruption is not made again.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_type_hints

import torch
from torch import Tensor

from eigenfall import grams, parts, repeats
from eigenfall.check import need
from eigenfall.coverage import studied
from eigenfall.fits.brokenlaw import BrokenLaw
from eigenfall.fits.cutoff import Cutoff
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.lognormal import Lognormal
from eigenfall.fits.marchenkopastur import MarchenkoPastur
from eigenfall.fits.momentlaw import MomentLaw
from eigenfall.fits.stretched import Stretched
from eigenfall.intervals import Halves, halving, with_interval
from eigenfall.plans import Plan, Splitting
from eigenfall.population import Population, population_of
from eigenfall.recorded import Recorded, groups_for, recording
from eigenfall.rivals import scoring
from eigenfall.rows import of_diagnostics, of_dimension, of_exponent, of_reliability
from eigenfall.simulated import redrawn, simulating
from eigenfall.slopes import local_slopes, sensitivity
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.spectra.meme import MEME
from eigenfall.spectra.pca import PCA
from eigenfall.stages import Working, kept_under, seeded, seeds, under
from eigenfall.subsampling import over_units, subsampling
from eigenfall.types import (
    Diagnostics,
    Dimension,
    Gram,
    LocalSlopes,
    Measurement,
    Moments,
    Responses,
    Row,
    SimulatedBias,
    Spectrum,
    SpectrumFit,
    Stage,
)

LEFT_OUT = "lidar"
"""A dimension that is measured on request only: of embeddings, whose repeats are augmentations."""

GAUTHAMAN = parts.read("fits", "leastsquares@gauthaman2024")

RIVALS = (BrokenLaw, Cutoff, Stretched, Lognormal)

EIGENVECTORS = 14
"""How many matrices over the stimuli, or over the units, a shuffle of cvPCA holds at most, its solver's among them."""

Pieces = Mapping[str, Tensor]
Progressing = Generator[Stage, None, Measurement]


@dataclass(frozen=True, eq=False)
class _Estimated:
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
class _Beside:
    """What stands beside an exponent, and what could not be had, in words."""

    fit: SpectrumFit
    diagnostics: Diagnostics
    refusals: tuple[str, ...]


def measuring_responses(responses: Responses, plan: Plan, kept: Pieces | None = None) -> Progressing:
    """Spectra and exponents of a recording, piece by piece.

    Args:
        responses: `(repeats, stimuli, units)`, NaN for a missing repeat.
        plan: what is measured, and how.
        kept: pieces of an earlier call that did not end.

    Raises:
        ValueError: if an estimator refuses the recording, or no exponent can be had from any.
    """
    kept = kept or {}
    ready = _ready(responses, plan.split)
    _need_fits(plan)
    yield Stage("reading", 0, 0, said=_understood(ready, plan))
    reading, estimating, besides = seeds(seeded(plan.seed), 3)
    read = kept_under("gram", kept)
    work = recording(ready, seeded(reading), plan.precision, plan.memory, read, plan.cluster)
    recorded = yield from under("gram", work)
    found: list[_Estimated] = []
    for key, estimator in _named(plan.spectra or _usual(recorded.size[0])).items():
        found.append((yield from _estimated(recorded, key, estimator, plan, seeded(estimating), kept)))
    need(
        any(one.fit is not None for one in found),
        expected=f"an exponent of {ready.name}",
        got=f"none: {' '.join(one.refusal for one in found).rstrip('.')}",
        remedy="Choose another window with --fit, or record more stimuli.",
    )
    population = _population(recorded, found)
    beside: dict[str, _Beside] = {}
    for one in found:
        if one.fit is not None:
            work = _beside(recorded, one, population, plan, seeded(besides), kept_under(f"{one.key} beside", kept))
            beside[one.key] = yield from under(f"{one.key} beside", work)
    dimensions, refusals = yield from _dimensions(recorded, plan)
    return _measurement(responses, ready, recorded, found, beside, dimensions, refusals)


# ------------------------------------------------------------------------------------- the recording


def _ready(responses: Responses, split: Splitting) -> Responses:
    """The recording as estimators take it: two repeats, or those that all stimuli have."""
    shape = responses.shape
    several = (len(repeats.presence(responses)) if shape is None else shape[0]) > 1
    return repeats.two(responses, split) if several and split != "none" else repeats.complete(responses)


def _understood(ready: Responses, plan: Plan) -> str:
    """How the recording was read, and what measuring it will hold at most; before anything long begins.

    Beside the second moments of each group of units: those of all, of one subset, and what eigenvectors take.
    """
    size = grams.size_of(ready)
    count = groups_for(size, plan.memory)
    way = grams.route(ready, plan.precision, plan.memory, count + 2, "stimuli" if count else None)
    side = size[1] if way.side == "stimuli" else size[2]
    way = replace(way, peak_gb=way.peak_gb + EIGENVECTORS * 8e-9 * side**2)
    return "\n".join(filter(None, [ready.understood, f"Estimated from {way}."]))


def _usual(count: int) -> tuple[Any, ...]:
    return (CvPCA(), MEME()) if count > 1 else (PCA(),)


def _named(estimators: tuple[Any, ...]) -> dict[str, Any]:
    """Estimators by name; a second of the same name gets a number."""
    found: dict[str, Any] = {}
    for estimator in estimators:
        name = parts.name_of(estimator)
        same = sum(key.partition("#")[0] == name for key in found)
        found[f"{name}#{same + 1}" if same else name] = estimator
    return found


# ------------------------------------------------------------------------------------ the exponents


def _estimated(
    recorded: Recorded, key: str, estimator: Any, plan: Plan, generator: torch.Generator, kept: Pieces
) -> Working[_Estimated]:
    """What an estimator makes of the whole recording, and its exponent."""
    if hasattr(estimator, "working"):
        estimate = yield from under(key, estimator.working(recorded.given, generator, kept_under(key, kept)))
    else:
        yield Stage(key, 0, 1)
        estimate = estimator(recorded.given, generator)
    laws = _laws(estimate, plan.fits)
    try:
        return _Estimated(key, estimator, estimate, laws, laws[0](estimate))
    except ValueError as reason:
        return _Estimated(key, estimator, estimate, laws, None, f"{key}: {reason}")


def _reads_moments(fit: Any) -> bool:
    return getattr(fit, "reads", "spectrum") == "moments"


def _need_fits(plan: Plan) -> None:
    """Refuse fits of which none reads what any of the estimators gives."""
    if plan.spectra and plan.fits:
        gives = {parts.name_of(one) == "meme" for one in plan.spectra}
        reads = {_reads_moments(one) for one in plan.fits}
        need(
            bool(gives & reads),
            expected="a fit that reads what the estimators give",
            got=f"{', '.join(map(parts.name_of, plan.fits))} for {', '.join(map(parts.name_of, plan.spectra))}",
            remedy="momentlaw reads the moments of meme, every other fit a spectrum.",
        )


def _laws(estimate: Spectrum | Moments, asked: tuple[Any, ...]) -> tuple[Any, ...]:
    """The fits of an estimate: those asked for that read it, else the usual ones."""
    of_moments = isinstance(estimate, Moments)
    mine = [fit for fit in asked if _reads_moments(fit) == of_moments]
    if of_moments:
        return tuple(mine) or (MomentLaw(), MomentLaw(breaks="grid"))
    first = mine[0] if mine else GAUTHAMAN if estimate.target == "held-out" else LeastSquares()
    if len(mine) > 1 or not isinstance(first, LeastSquares):
        return tuple(mine)
    unweighted = replace(first, weights="none" if first.weights == "1/n" else "1/n")
    if estimate.target != "total sample":
        return first, unweighted
    return first, unweighted, MarchenkoPastur(first.first_rank, first.last_rank, first.weights)


# --------------------------------------------------------------------------------- what stands beside


def _population(recorded: Recorded, found: list[_Estimated]) -> Population | None:
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


def _beside(
    recorded: Recorded,
    one: _Estimated,
    population: Population | None,
    plan: Plan,
    generator: torch.Generator,
    kept: Pieces,
) -> Working[_Beside]:
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
    return _Beside(fits[0], diagnostics, tuple(refusals))


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
    one: _Estimated,
    population: Population | None,
    plan: Plan,
    generators: tuple[torch.Generator, torch.Generator],
    kept: Pieces,
    refusals: list[str],
) -> Working[tuple[SimulatedBias, ...]]:
    """What the estimator says of recordings of this size; and, with repeats, of new trials of one of them."""
    if population is None or plan.simulations < 2:
        return ()
    found: list[SimulatedBias] = []
    for name, same, generator in zip(("simulated", "trials"), (False, True), generators):
        if same and (recorded.size[0] < 2 or not found):
            break
        work = simulating(
            population,
            recorded.size[1],
            one.estimator,
            one.laws[0],
            generator,
            plan.simulations,
            same,
            kept_under(name, kept),
        )
        bias = yield from _tried(under(name, work), refusals, "simulated bias")
        found += [bias] if bias is not None else []
    return tuple(found)


# -------------------------------------------------------------------------------------- dimensions


def _dimensions(recorded: Recorded, plan: Plan) -> Working[tuple[dict[str, Dimension], list[str]]]:
    """Every measure of dimension that takes the recording."""
    found: dict[str, Dimension] = {}
    refusals: list[str] = []
    every = plan.dimensions
    if every is None:
        every = tuple(parts.part_class("dimensions", name)() for name in parts.names("dimensions") if name != LEFT_OUT)
    for number, part in enumerate(every):
        name = parts.name_of(part)
        yield Stage(f"dimension: {name}", number, len(every))
        takes = get_args(get_type_hints(type(part).__call__)["responses"])
        given = recorded.whole if recorded.whole is not None and Gram in takes else recorded.responses
        try:
            value = part(given)
        except ValueError as reason:
            refusals.append(f"No {name}: {reason}")
            continue
        found[f"{value.name}#{number}" if value.name in found else value.name] = value
    return found, refusals


# ------------------------------------------------------------------------------------- the result


def _measurement(
    responses: Responses,
    ready: Responses,
    recorded: Recorded,
    found: list[_Estimated],
    beside: Mapping[str, _Beside],
    dimensions: Mapping[str, Dimension],
    refusals: list[str],
) -> Measurement:
    """Everything as one value."""
    dropped = {**ready.dropped, **({} if recorded.whole is None else recorded.whole.dropped)}
    fits = {key: one.fit for key, one in beside.items()}
    diagnostics = {key: one.diagnostics for key, one in beside.items()}
    estimates = {one.key: one.estimate for one in found}
    reliability = None if recorded.whole is None else grams.reliability(recorded.whole)
    rows: list[Row] = []
    notices = [ready.understood, *ready.notices, *(f"{count} {what} left out." for what, count in dropped.items())]
    notices += _targets(fits)
    for one in found:
        notices += [f"{one.key}: {notice}" for notice in one.estimate.notices]
        if one.key not in fits:
            notices.append(f"WARN: {one.refusal}")
            continue
        law = one.laws[0]
        rows += of_exponent(one.estimate, fits[one.key], one.key, parts.semantics("fits", law), parts.spell(law))
        rows += of_diagnostics(diagnostics[one.key], one.key)
        notices += [f"{one.key}: {notice}" for notice in fits[one.key].notices]
        notices += [f"{one.key}: {notice}" for notice in beside[one.key].refusals]
        notices += [f"{one.key}: {said}" for said in studied(one.estimator, law)]
    rows += [row for dimension in dimensions.values() for row in of_dimension(dimension)]
    rows += of_reliability(reliability) if reliability is not None else []
    return Measurement(
        name=responses.name,
        spectra={key: value for key, value in estimates.items() if isinstance(value, Spectrum)},
        moments={key: value for key, value in estimates.items() if isinstance(value, Moments)},
        fits=fits,
        diagnostics=diagnostics,
        dimensions=dimensions,
        reliability=reliability,
        rows=tuple(rows),
        notices=tuple(filter(None, [*notices, *refusals])),
    )


def _targets(fits: Mapping[str, SpectrumFit]) -> list[str]:
    """A warning where exponents of different targets stand side by side."""
    targets = {fit.target: key for key, fit in fits.items()}
    if len(targets) < 2:
        return []
    named = "; ".join(f"{key}: {target}" for target, key in targets.items())
    return [f"WARN: these exponents have different targets ({named}). Compare like with like only."]
