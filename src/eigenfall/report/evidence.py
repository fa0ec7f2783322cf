"""Figures of a recording: all spectra together, what one exponent is judged by, its units, dimensions by scale."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from eigenfall import figures
from eigenfall.figures.diagnostics import told_windows
from eigenfall.figures.style import plain
from eigenfall.report.numbers import digits, number, plus_minus, sentence
from eigenfall.report.pictures import Picture, svg
from eigenfall.report.recorded import Recorded, off, ranks, refused
from eigenfall.types import Diagnostics, LawScore, Spectrum, SpectrumFit, Subsampling


def together(one: Recorded) -> list[Picture]:
    """All spectra on the same axes, with the laws that moments gave; nothing for one spectrum alone."""
    spectra, order = one.measurement.spectra, one.order
    laws = {
        key: one.measurement.fits[key]
        for key in one.measurement.moments
        if key in one.measurement.fits and "scale" in one.measurement.fits[key].parameters
    }
    if not spectra or len(spectra) + len(laws) < 2:
        return []
    last = max(len(spectrum.eigenvalues) for spectrum in spectra.values())

    def draw(ax: Any) -> None:
        for key, spectrum in spectra.items():
            figures.plot(spectrum, ax, figures.called(key), order[key])
        for key, fit in laws.items():
            figures.moment_law(ax, fit, last, figures.series(order[key]), f"{plain(figures.called(key))}’s law")

    told = [
        f"{figures.called(key)} α = {sentence(fit.parameters['alpha'])}" for key, fit in one.measurement.fits.items()
    ]
    caption = "Each spectrum as it was estimated, none normalised."
    gone = [f"{figures.called(key)}’s does not hold (χ²)" for key, fit in laws.items() if refused(fit)]
    if laws:
        caption += " Lines without marks: the law whose moments are nearest; it has no spectrum of its own."
        caption += f" {'; '.join(gone)}." if gone else ""
    return [Picture("All estimators", svg(draw, f"Eigenvalues against rank. {'; '.join(told)}", 360), caption)]


def judged(one: Recorded, key: str) -> list[Picture]:
    """What a reader judges one estimator's exponent by."""
    measured, look = one.measurement, one.order[key]
    beside = measured.diagnostics.get(key, Diagnostics())
    fit = measured.fits.get(key)
    pictures = []
    if key in measured.spectra:
        pictures.append(_spectrum(measured.spectra[key], fit, key, look))
    if key in measured.moments:
        own = () if fit is None else (fit,)
        pictures.append(_moments(one, key, (*own, *beside.fits), look))
    if beside.slopes is not None:
        pictures.append(_slopes(beside, fit, look))
    pictures += [_fewer(curve, look) for curve in beside.subsampling]
    if len(beside.windows) > 1:
        told = told_windows(beside.windows)
        rows = len({one.used[0] for one in beside.windows})
        pictures.append(
            Picture(
                "Other windows",
                svg(lambda ax: figures.windows(ax, beside.windows), told, max(120, 34 * rows)),
                f"{told}. The stronger the colour, the farther from the own window: blue below, orange above.",
            )
        )
    if beside.bias:
        told = "; ".join(
            f"{figures.called(bias.method)} {plus_minus(off(bias))} over {bias.runs}" for bias in beside.bias
        )
        pictures.append(
            Picture(
                "Simulated at this size",
                svg(lambda ax: figures.plot(beside.bias, ax, order=look), f"Bias: {told}", 50 + 62 * len(beside.bias)),
                f"Found less planted: {told} simulated recordings.",
            )
        )
    if len(beside.laws) > 1:
        pictures.append(_laws(beside.laws, look))
    return pictures


def _spectrum(spectrum: Spectrum, fit: SpectrumFit | None, key: str, look: int) -> Picture:
    name = figures.called(key)
    told = "no fit" if fit is None else f"α = {sentence(fit.parameters['alpha'])} over ranks {ranks(fit)}"
    negative = int((spectrum.eigenvalues < 0).sum())
    below = f" {negative} of {len(spectrum.eigenvalues)} values below 0: open marks." if negative else ""
    return Picture(
        "Spectrum",
        svg(lambda ax: figures.plot(spectrum, ax, name, look, fit=fit), f"{name} against rank: {told}", 330),
        f"{told}. {spectrum.stimuli} stimuli, {spectrum.units} units, {spectrum.repeats} repeats; {spectrum.target} "
        f"{spectrum.of}.{below}",
    )


def _moments(one: Recorded, key: str, laws: Sequence[SpectrumFit], look: int) -> Picture:
    moments, name = one.measurement.moments[key], figures.called(key)
    told = [f"{law.law} law α = {sentence(law.parameters['alpha'])}{_misfit(law)}" for law in laws]
    finding = f"{len(moments.values)} moments of {name}: {'; '.join(told) or 'no law'}"
    return Picture(
        "Moments",
        svg(lambda ax: figures.plot(moments, ax, name, look, fit=tuple(laws)), finding),
        f"{finding}. {moments.stimuli} stimuli, {moments.units} units, {moments.repeats} repeats; {moments.target}. "
        "Exponents beyond the number of stimuli are those of the form.",
    )


def _misfit(law: SpectrumFit) -> str:
    return f" (χ² refuses it, {digits(law.statistics['chi2'])})" if refused(law) else ""


def _slopes(beside: Diagnostics, fit: SpectrumFit | None, look: int) -> Picture:
    assert beside.slopes is not None
    slopes = beside.slopes
    known = slopes.alpha.isfinite()
    told = "nowhere enough positive values"
    if fit is not None:
        known = known & (slopes.ranks >= fit.used[0]) & (slopes.ranks <= fit.used[1])
    if bool(known.any()):
        inside = slopes.alpha[known]
        where = "inside the window" if fit is not None else f"over {int(known.sum())} places"
        told = f"from {number(float(inside.min()), 2)} to {number(float(inside.max()), 2)} {where}"
    return Picture(
        "Local exponent",
        svg(
            lambda ax: figures.plot(slopes, ax, order=look, fit=fit),
            f"Local exponent at {len(slopes.ranks)} ranks: {told}",
        ),
        f"{told[0].upper()}{told[1:]}. A power law is a level line.",
    )


def _fewer(curve: Subsampling, look: int) -> Picture:
    first, last = curve.alphas[0], curve.alphas[-1]
    told = (
        f"α = {number(first.value, 2)} with {int(curve.counts[0])} {curve.over}, {number(last.value, 2)} with all "
        f"{int(curve.counts[-1])}"
    )
    moved = any(window != curve.windows[-1] for window in curve.windows)
    many = max(curve.subsets)
    bars = "" if all(math.isnan(alpha.low) for alpha in curve.alphas) else " Bars: 95 % interval over subsets."
    return Picture(
        f"Fewer {curve.over}",
        svg(lambda ax: figures.plot(curve, ax, order=look), f"Fewer {curve.over}: {told}"),
        f"{told}. Mean over {'up to ' if min(curve.subsets[:-1] or (many,)) != many else ''}{many} random subsets."
        f"{bars}{' Windows differ: so may what they say.' if moved else ''}",
    )


def _laws(scores: Sequence[LawScore], look: int) -> Picture:
    better = [score for score in scores if score.against_power.high < 0]
    worse = [score for score in scores if score.against_power.low > 0]
    names = ", ".join(figures.called(score.fit.method) for score in better)
    told = (
        f"{names} {'predicts' if len(better) == 1 else 'predict'} held-out stimuli better than the power law"
        if better
        else "no rival predicts held-out stimuli better than the power law"
    )
    told += f"; worse: {', '.join(figures.called(score.fit.method) for score in worse)}" if worse else ""
    rivals = sum(score.against_power.value != 0 for score in scores)
    return Picture(
        "Rival laws",
        svg(lambda ax: figures.plot(tuple(scores), ax, order=look), f"{rivals} rivals: {told}", 50 + 58 * rivals),
        f"{told[0].upper()}{told[1:]}, over {scores[0].splits} random halves; bars: 95 % interval. Error: root mean "
        "square of ln λ off the law.",
    )


def units(one: Recorded) -> Picture:
    """Signal share of each unit, and the signal-to-noise that it makes."""
    value = one.measurement.reliability
    assert value is not None
    known = value.signal_share[value.signal_share.isfinite()]
    middle = float(known.median()) if len(known) else float("nan")
    poor = int((known <= 0).sum())
    told = (
        f"signal-to-noise {_ratio(value.total)} over all units together, {_ratio(middle)} in the median one of "
        f"{len(known)}"
    )
    return Picture(
        "Signal share by unit",
        svg(lambda ax: figures.plot(value, ax), f"{told}; shares {number(value.total, 2)} and {number(middle, 2)}"),
        f"{told[0].upper()}{told[1:]}: share over one less share, of one repeat."
        + (f" {poor} units have none that repeats." if poor else ""),
    )


def _ratio(share: float) -> str:
    return digits(share / (1 - share)) if share < 1 else "∞"


def scales(one: Recorded) -> list[Picture]:
    """A figure per kind of scale, dimensions over the same one together."""
    by_scale: dict[str, list] = {}
    for value in one.measurement.dimensions.values():
        if value.scales is not None and value.by_scale is not None:
            by_scale.setdefault(value.scale, []).append(value)
    pictures = []
    for scale, group in by_scale.items():
        told = "; ".join(
            f"{figures.called(value.name)} {digits(float(value.by_scale[torch.argmin(value.scales)]))} at the "
            f"smallest, {digits(float(value.by_scale[torch.argmax(value.scales)]))} at the largest"
            for value in group
        )
        pictures.append(
            Picture(
                f"By {scale}" if scale else "By scale",
                svg(lambda ax, group=group: figures.plot(tuple(group), ax), f"Dimension by {scale}: {told}", 240),
                f"{told[0].upper()}{told[1:]}. Filled: the one in the table.",
            )
        )
    return pictures
