"""How an exponent depends on how many units and stimuli there are, and its interval over units.

Curves: the estimate from random subsets of 2⁰, 2⁻¹, … 2⁻⁷ of all, as far down as the fit takes them. One that is flat
at its right end has converged; one that is not says what more units or stimuli would do.
Over units: half-samples without replacement, as over stimuli: √(h / (N − h)) · s.d. over halves of h units. Units drawn
anew change what is measured: the spectrum of these units is the target of every estimator here.

Source: Stringer et al. 2019, Nature 571, doi:10.1038/s41586-019-1346-5 (fractions of neurons and of stimuli).
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from eigenfall.check import need
from eigenfall.intervals import SHARE_REFUSED, centred_on, shortening
from eigenfall.recorded import Recorded, some_of
from eigenfall.stages import Working, seeded, seeds
from eigenfall.types import Estimate, Gram, Responses, SpectrumFit, Stage, Subsampling

HALVINGS = 7


def subsampling(
    recorded: Recorded,
    estimator: Any,
    fit: Any,
    whole: SpectrumFit,
    over: Literal["units", "stimuli"],
    generator: torch.Generator,
    subsets: int = 2,
    kept: Mapping[str, Tensor] | None = None,
) -> Working[Subsampling]:
    """The exponent at fractions of the units or of the stimuli.

    Args:
        recorded: the recording.
        estimator: a part of kind spectra.
        fit: a part of kind fits; its window is shortened to what a subset holds.
        whole: its fit of the whole recording.
        over: what is left out.
        generator: subsets are drawn with it.
        subsets: how many at each fraction.
        kept: pieces of an earlier call that did not end.
    """
    pieces, name = dict(kept or {}), whole.estimator
    total = recorded.size[2] if over == "units" else recorded.size[1]
    counts = [total >> step for step in range(1, HALVINGS + 1)]
    if over == "units":
        counts = [count for count in counts if count >= recorded.fewest_units]
    found = [(total, [_flat(whole, total)])]
    for number, (count, seed) in enumerate(zip(counts, seeds(generator, len(counts)))):
        here = []
        for draw in range(subsets):
            piece = f"{over} {count} {draw}"
            if piece not in pieces:
                pieces[piece] = _one(recorded, estimator, fit, over, count, seeded(seed), draw)
            here.append(pieces[piece])
            done = number * subsets + draw + 1
            yield Stage(f"subsets of the {over}, {name}", done, len(counts) * subsets, {piece: pieces[piece]})
        here = [one for one in here if len(one)]
        if not here:
            break
        found.append((count, here))
    found.reverse()
    return Subsampling(
        over=over,
        counts=torch.tensor([round(float(here[0][3])) for _, here in found]),
        alphas=tuple(Estimate(sum(float(one[0]) for one in here) / len(here)) for _, here in found),
        subsets=tuple(len(here) for _, here in found),
        windows=tuple((int(here[0][1]), int(here[0][2])) for _, here in found),
    )


def over_units(
    recorded: Recorded,
    estimator: Any,
    fit: Any,
    whole: SpectrumFit,
    generator: torch.Generator,
    draws: int = 10,
    level: float = 0.95,
    kept: Mapping[str, Tensor] | None = None,
) -> Working[Estimate]:
    """The exponent with its interval over units; without one if more than 5 % of the halves are refused.

    Args:
        recorded: the recording, of four units or groups of units at least.
        estimator: a part of kind spectra.
        fit: a part of kind fits.
        whole: its fit of the whole recording.
        generator: halves are drawn with it.
        draws: how many.
        level: nominal coverage.
        kept: pieces of an earlier call that did not end.

    Raises:
        ValueError: for fewer than two draws, or fewer than four units or groups of units.
    """
    units = recorded.size[2]
    need(
        draws >= 2 and 4 * recorded.fewest_units <= units,
        expected="at least two draws, of four units or groups of units",
        got=f"draws={draws}, {units} units that can be told apart by {recorded.fewest_units}",
        remedy="Allow more memory, or switch the interval over units off.",
    )
    pieces = dict(kept or {})
    for draw, seed in enumerate(seeds(generator, draws)):
        piece = f"half {draw}"
        if piece not in pieces:
            pieces[piece] = _one(recorded, estimator, fit, "units", units // 2, seeded(seed))
        yield Stage(f"halves of the units, {whole.estimator}", draw + 1, draws, {piece: pieces[piece]})
    found = [one for draw in range(draws) if len(one := pieces[f"half {draw}"])]
    if draws - len(found) > SHARE_REFUSED * draws or len(found) < 2:
        return Estimate(whole.alpha)
    drawn = sum(float(one[3]) for one in found) / len(found)
    estimate = centred_on(whole.alpha, [float(one[0]) for one in found], drawn, units, level)
    return Estimate(estimate.value, estimate.low, estimate.high, level, "units")


def _flat(fit: SpectrumFit, count: float) -> Tensor:
    """Exponent, window, how many were kept."""
    return torch.tensor([fit.alpha, *fit.used, count], dtype=torch.float64)


def _one(
    recorded: Recorded, estimator: Any, fit: Any, over: str, count: int, generator: torch.Generator, place: int = 0
) -> Tensor:
    """The same of one subset; empty where it is too small."""
    try:
        if over == "units":
            given: Responses | Gram = recorded.with_units(count, generator, place)
        else:
            given = recorded.with_stimuli(some_of(recorded.size[1], count, generator, place))
        estimate = estimator(given, generator)
        return _flat(shortening(fit)(estimate), estimate.units if over == "units" else estimate.stimuli)
    except ValueError:
        return torch.zeros(0, dtype=torch.float64)
