"""Everything about the spectrum of one recording: exponents by several estimators, and what stands beside them.

    responses → two repeats → second moments, once → each estimator → its fits → intervals, curves, simulated bias

Each is a piece of its own: what was finished before an interruption is not made again.
"""

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import torch

from eigenfall import grams, parts, repeats
from eigenfall.beside import Beside, Estimated, Pieces, beside_of, population_from
from eigenfall.check import need
from eigenfall.coverage import studied
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.marchenkopastur import MarchenkoPastur
from eigenfall.fits.momentlaw import MomentLaw
from eigenfall.plans import Plan, Splitting
from eigenfall.recorded import Recorded, groups_for, recording
from eigenfall.rows import of_diagnostics, of_dimension, of_exponent, of_reliability
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.spectra.meme import MEME
from eigenfall.spectra.pca import PCA
from eigenfall.stages import Working, kept_under, seeded, seeds, under
from eigenfall.types import (
    Dimension,
    Gram,
    Measurement,
    Moments,
    Responses,
    Row,
    Spectrum,
    SpectrumFit,
    Stage,
)

LEFT_OUT = "lidar"
"""A dimension that is measured on request only: of embeddings, whose repeats are augmentations."""

GAUTHAMAN = parts.read("fits", "leastsquares@gauthaman2024")

EIGENVECTORS = 14
"""How many matrices over the stimuli, or over the units, a shuffle of cvPCA holds at most, its solver's among them."""

Progressing = Generator[Stage, None, Measurement]


def measuring_responses(responses: Responses, plan: Plan, kept: Pieces | None = None) -> Progressing:
    """Spectra and exponents of a recording, piece by piece.

    Args:
        responses: `(repeats, stimuli, units)`, NaN for a missing repeat.
        plan: what is measured, and how.
        kept: pieces of an earlier call that did not end.

    Raises:
        ValueError: if an estimator refuses the recording. A fit that refuses a spectrum leaves no exponent: the
            spectrum is in the result, the reason among its notices.
    """
    kept = kept or {}
    ready = _ready(responses, plan.split)
    _need_fits(plan)
    yield Stage("reading", 0, 0, said=_understood(ready, plan))
    reading, estimating, besides = seeds(seeded(plan.seed), 3)
    read = kept_under("gram", kept)
    work = recording(ready, seeded(reading), plan.precision, plan.memory, read, plan.cluster)
    recorded = yield from under("gram", work)
    found: list[Estimated] = []
    for key, estimator in _named(plan.spectra or _usual(recorded.size)).items():
        found.append((yield from _estimated(recorded, key, estimator, plan, seeded(estimating), kept)))
    population = population_from(recorded, found)
    beside: dict[str, Beside] = {}
    for one in found:
        if one.fit is not None:
            work = beside_of(recorded, one, population, plan, seeded(besides), kept_under(f"{one.key} beside", kept))
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
    groups = sum(groups_for(size, plan.memory))
    way = grams.route(ready, plan.precision, plan.memory, groups + 1, "stimuli" if groups else None)
    side = size[1] if way.side == "stimuli" else size[2]
    way = replace(way, peak_gb=way.peak_gb + EIGENVECTORS * 8e-9 * side**2)
    return "\n".join(filter(None, [ready.understood, f"Estimated from {way}."]))


def _usual(size: tuple[int, int, int]) -> tuple[Any, ...]:
    """The estimators where none were asked for: those that the recording has repeats and stimuli for."""
    if size[0] == 1:
        return (PCA(),)
    return (CvPCA(), MEME()) if size[1] >= 2 * MEME().moments else (CvPCA(),)


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
) -> Working[Estimated]:
    """What an estimator makes of the whole recording, and its exponent."""
    if hasattr(estimator, "working"):
        estimate = yield from under(key, estimator.working(recorded.given, generator, kept_under(key, kept)))
    else:
        yield Stage(key, 0, 1)
        estimate = estimator(recorded.given, generator)
    laws = _laws(estimate, plan.fits)
    try:
        return Estimated(key, estimator, estimate, laws, laws[0](estimate))
    except ValueError as reason:
        return Estimated(key, estimator, estimate, laws, None, f"{key}: {reason}")


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
    found: list[Estimated],
    beside: Mapping[str, Beside],
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
