"""Figures of the nouns: `plot(value, ax)`, one drawing per noun, matplotlib imported when called.

Colours are Okabe and Ito's (2008), in order of contrast on white; a mark or a line style always goes with them. Greys
are for references. A list or tuple of values of one type is one thing measured with several seeds: it is drawn as a
mean with a band.
"""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from eigenfall.check import need
from eigenfall.figures import robustness, smoothness, spectrum, style
from eigenfall.figures.robustness import guessing, survival
from eigenfall.figures.spectrum import exponents
from eigenfall.figures.style import across_seeds, series
from eigenfall.types import Measurement, RobustnessCurve, Smoothness, Spectrum, SpectrumFit

__all__ = ["across_seeds", "exponents", "guessing", "plot", "series", "survival"]


def plot(
    value: Any,
    ax: Any = None,
    label: str | None = None,
    order: int | None = None,
    fit: SpectrumFit | Sequence[SpectrumFit] | None = None,
) -> Any:
    """Draw a result.

    Args:
        value: a `Spectrum`, `SpectrumFit`, `Smoothness`, `RobustnessCurve` or `Measurement`, or a list of one of the
            first four: the same thing with several seeds.
        ax: matplotlib axes; `None` makes a figure. A `Measurement` makes its own, a panel per part.
        label: what the legend calls it; its own name if `None`.
        order: which colour and mark, from 0; `None` takes the next that is free on these axes.
        fit: for a `Spectrum`, its fit (or one per seed): drawn inside its window, ranks outside it are grey.

    Returns:
        The axes, with a legend; for a `Measurement` an array of them.

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
        not fits or isinstance(values[0], Spectrum),
        expected="a Spectrum to go with the fit",
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


@_draw.register(Measurement)
def _(first: Measurement, values: tuple, ax: Any, label: str | None, order: int | None, fits: tuple) -> Any:
    import numpy
    from matplotlib import pyplot

    need(
        ax is None and len(values) == 1,
        expected="one Measurement, and no axes: it makes a panel per part",
        got="axes" if ax is not None else f"{len(values)} of them",
        remedy="Plot its spectra, smoothness and curves one by one on axes of your own.",
    )
    parts = [*first.spectra, *(["smoothness"] if first.smoothness else []), *(["curves"] if first.curves else [])]
    need(bool(parts), expected="something measured", got="an empty Measurement", remedy="Measure before plotting.")
    figure, panels = pyplot.subplots(
        1, len(parts), figsize=(4.6 * len(parts), 4.2), layout="constrained", squeeze=False
    )
    figure.suptitle(style.plain(first.name if label is None else label))
    for panel, part in zip(panels[0], parts):
        if part in first.spectra:
            plot(first.spectra[part], panel, part, order, first.fits.get(part))
        elif part == "smoothness":
            for place, (name, value) in enumerate(first.smoothness.items()):
                plot(value, panel, name, place)
        else:
            shown = [name for name in ("headline", "fgsm", "noise") if name in first.curves] or [*first.curves]
            for place, name in enumerate(shown):
                plot(first.curves[name], panel, name, place)
    return numpy.asarray(panels[0])
