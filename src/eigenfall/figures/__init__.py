"""Figures of the nouns: `plot(value, ax)`, one drawing per noun, matplotlib imported when called.

Colours are Okabe and Ito's (2008), in order of contrast on white; a mark or a line style always goes with them. Greys
are for references. A list or tuple of values of one type is one thing measured with several seeds: it is drawn as a
mean with a band. Curves over stimuli, units or scales, simulations and rival laws are the exception: several of them
are drawn side by side.
"""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from eigenfall.check import need
from eigenfall.figures import (
    corruption,
    diagnostics,
    fields,
    landscape,
    panels,
    recording,
    robustness,
    smoothness,
    spectrum,
    style,
)
from eigenfall.figures.diagnostics import windows
from eigenfall.figures.names import called
from eigenfall.figures.recording import moment_law
from eigenfall.figures.robustness import guessing, survival
from eigenfall.figures.spectrum import exponents
from eigenfall.figures.style import across_seeds, series
from eigenfall.types import (
    ByDistance,
    Convergence,
    CorruptionCurve,
    Diagnostics,
    Dimension,
    Landscape,
    LawScore,
    LocalSlopes,
    Measurement,
    Moments,
    ReceptiveFields,
    Reliability,
    RobustnessCurve,
    SensitivityMap,
    SimulatedBias,
    Smoothness,
    Spectrum,
    SpectrumFit,
    Subsampling,
)

__all__ = ["across_seeds", "called", "exponents", "guessing", "moment_law", "plot", "series", "survival", "windows"]

FITTED = (Spectrum, Moments, LocalSlopes)
"""What takes a fit beside it."""


def plot(
    value: Any,
    ax: Any = None,
    label: str | None = None,
    order: int | None = None,
    fit: SpectrumFit | Sequence[SpectrumFit] | None = None,
) -> Any:
    """Draw a result.

    Args:
        value: a `Spectrum`, `SpectrumFit`, `Smoothness`, `ByDistance`, `RobustnessCurve`, `CorruptionCurve` or
            `LocalSlopes`, or a list of one of them: the same thing with several seeds; a `Moments`, a `Reliability`, a
            `Landscape`, a `SensitivityMap` of images, `ReceptiveFields`; a `Convergence` or a list of several,
            pooled; a `Subsampling`, `Dimension` with a curve over scales, `SimulatedBias` or `LawScore`, or a list of
            one of them, side by side; a `Measurement`, or the `Diagnostics` of one of its spectra.
        ax: matplotlib axes; `None` makes a figure. `Measurement` and `Diagnostics` make their own, a panel per part.
        label: what the legend calls it; its own name if `None`.
        order: which colour and mark, from 0; `None` takes the next that is free on these axes.
        fit: for a `Spectrum`, its fit (or one per seed): drawn inside its window, ranks outside it are grey; also for
            its `LocalSlopes`; for `Moments` the laws fitted to them.

    Returns:
        The axes, with a legend; for `Measurement` and `Diagnostics` an array of them.

    Raises:
        ValueError: for a value that no drawing exists for, an empty list, or a list of mixed types.
    """
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    kinds = sorted({type(entry).__name__ for entry in values})
    need(
        len(kinds) == 1,
        expected="values of one type",
        got=" and ".join(kinds) or "an empty list",
        remedy="Plot one type per call, on the same axes.",
    )
    fits = () if fit is None else tuple(fit) if isinstance(fit, list | tuple) else (fit,)
    need(
        not fits or isinstance(values[0], FITTED),
        expected="a Spectrum, Moments or LocalSlopes to go with the fit",
        got=f"a {kinds[0]}",
        remedy="Leave `fit` out.",
    )
    return _draw(values[0], values, ax, label, order, fits)


@singledispatch
def _draw(first: Any, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    known = ", ".join(made.__name__ for made in _draw.registry if made is not object)
    need(False, expected=f"one of {known}", got=f"a {type(first).__name__}", remedy="Plot one of its values.")


@_draw.register(Spectrum)
def _(first: Spectrum, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    order = style.free(ax) if order is None else order
    name = style.plain(first.name if label is None else label)
    spectrum.points(ax, values, name, style.series(order), fits)
    if fits:
        spectrum.law(ax, fits, style.series(order), name)
    return style.legend(ax)


@_draw.register(SpectrumFit)
def _(first: SpectrumFit, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    fresh = ax is None
    ax = style.axes(ax)
    order = (0 if fresh else max(style.free(ax) - 1, 0)) if order is None else order
    spectrum.law(ax, values, style.series(order), "" if label is None else style.plain(label))
    return style.legend(ax)


@_draw.register(Smoothness)
def _(first: Smoothness, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    order = style.free(ax) if order is None else order
    smoothness.ridge(ax, values, style.plain(first.layer if label is None else label), style.series(order))
    return ax


@_draw.register(RobustnessCurve)
def _(first: RobustnessCurve, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    order = style.free(ax) if order is None else order
    robustness.accuracy(
        ax, values, style.plain(robustness.kind(first) if label is None else label), style.series(order)
    )
    return style.legend(ax)


@_draw.register(ByDistance)
def _(first: ByDistance, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    order = style.free(ax) if order is None else order
    smoothness.against_distance(ax, values, style.plain(first.layer if label is None else label), style.series(order))
    return style.legend(ax)


@_draw.register(CorruptionCurve)
def _(first: CorruptionCurve, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    order = style.free(ax) if order is None else order
    words = f"mean of {len(first.corruptions)} corruptions" if label is None else label
    corruption.by_severity(ax, values, style.plain(words), style.series(order))
    return style.legend(ax)


@_draw.register(LocalSlopes)
def _(first: LocalSlopes, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    order = style.free(ax) if order is None else order
    diagnostics.slopes(ax, values, style.plain("local exponent" if label is None else label), style.series(order), fits)
    return style.legend(ax)


@_draw.register(Subsampling)
def _(first: Subsampling, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    for value in values:
        place = style.free(ax) if order is None else order
        words = f"subsets of the {value.over}" if label is None else label
        diagnostics.subsampled(ax, value, style.plain(words), style.series(place))
    overs = dict.fromkeys(value.over for value in values)
    ax.set_xlabel(f"{' or '.join(overs)} kept")
    return style.legend(ax)


@_draw.register(SimulatedBias)
def _(first: SimulatedBias, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    diagnostics.biases(ax, values, style.series(order or 0))
    return style.legend(ax)


@_draw.register(LawScore)
def _(first: LawScore, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    diagnostics.laws(ax, values, style.series(order or 0))
    return style.legend(ax)


@_draw.register(Moments)
def _(first: Moments, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    _need_one(values)
    ax = style.axes(ax)
    order = style.free(ax) if order is None else order
    words = called(first.estimator or "moments") if label is None else label
    recording.moments(ax, first, style.plain(words), style.series(order), fits)
    return style.legend(ax)


@_draw.register(Reliability)
def _(first: Reliability, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    _need_one(values)
    ax = style.axes(ax)
    words = "signal share" if label is None else label
    recording.reliability(ax, first, style.plain(words), style.series(order or 0))
    return style.legend(ax)


@_draw.register(Dimension)
def _(first: Dimension, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    for value in values:
        need(
            value.scales is not None and value.by_scale is not None,
            expected="a dimension with a curve over scales",
            got=f"{value.name}, one number",
            remedy="Print it: it has nothing to draw.",
        )
        need(
            value.scale == first.scale,
            expected=f"dimensions over the same scale, {first.scale!r}",
            got=f"{value.name} over {value.scale!r}",
            remedy="Plot it on axes of its own.",
        )
    ax = style.axes(ax)
    for value in values:
        place = style.free(ax) if order is None else order
        words = called(value.name) if label is None else label
        recording.by_scale(ax, value, style.plain(words), style.series(place))
    return style.legend(ax)


@_draw.register(Landscape)
def _(first: Landscape, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    _need_one(values)
    ax = style.axes(ax)
    landscape.decisions(ax, first, style.plain("decisions on a plane" if label is None else label))
    return ax


@_draw.register(SensitivityMap)
def _(first: SensitivityMap, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    _need_one(values)
    ax = style.axes(ax)
    landscape.sensitivities(ax, first, style.plain(first.layer if label is None else label))
    return ax


@_draw.register(ReceptiveFields)
def _(first: ReceptiveFields, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    _need_one(values)
    ax = style.axes(ax)
    fields.receptive(ax, first, style.plain("receptive fields" if label is None else label))
    return ax


@_draw.register(Convergence)
def _(first: Convergence, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    ax = style.axes(ax)
    order = style.free(ax) if order is None else order
    fields.norms(ax, values, style.plain("layer" if label is None else label), style.series(order))
    return style.legend(ax)


def _need_one(values: tuple) -> None:
    need(
        len(values) == 1,
        expected=f"one {type(values[0]).__name__} per call",
        got=f"{len(values)} of them",
        remedy="Plot the others on axes of their own.",
    )


# --------------------------------------------------------------------- a panel per part


@_draw.register(Measurement)
def _(first: Measurement, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    need(
        ax is None and len(values) == 1,
        expected="one Measurement, and no axes: it makes a panel per part",
        got="axes" if ax is not None else f"{len(values)} of them",
        remedy="Plot its spectra, smoothness and curves one by one on axes of your own.",
    )
    return panels.panels(panels.of_measurement(first, plot, order), first.name if label is None else label)


@_draw.register(Diagnostics)
def _(first: Diagnostics, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    need(
        ax is None and len(values) == 1,
        expected="one Diagnostics, and no axes: it makes a panel per part",
        got="axes" if ax is not None else f"{len(values)} of them",
        remedy="Plot its parts one by one on axes of your own.",
    )
    return panels.panels(panels.of_diagnostics(first, plot, order), label or "")
