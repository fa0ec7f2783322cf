"""A figure with a panel for each thing that was measured."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from eigenfall.check import need
from eigenfall.figures import diagnostics, style
from eigenfall.types import Diagnostics, Measurement

Drawing = Callable[..., Any]
"""Called with `ax=` the axes of its panel."""

IN_A_ROW = 4


def of_measurement(value: Measurement, plot: Callable[..., Any], order: int | None) -> list[Drawing]:
    """How each part of a measurement is drawn, by `plot`."""
    drawings: list[Drawing] = [
        partial(plot, one, label=name, order=order, fit=value.fits.get(name)) for name, one in value.spectra.items()
    ]
    for name, one in value.moments.items():
        own = (value.fits[name],) if name in value.fits else ()
        beside = value.diagnostics[name].fits if name in value.diagnostics else ()
        drawings.append(partial(plot, one, label=name, order=order, fit=(*own, *beside)))
    for quantity in dict.fromkeys(one.quantity for one in value.smoothness.values()):
        some = {one.layer: one for one in value.smoothness.values() if one.quantity == quantity}
        drawings.append(partial(_each, some, plot))
    drawings += [partial(plot, one, order=order) for one in value.by_distance.values()]
    if value.curves:
        shown = [name for name in ("headline", "fgsm", "noise") if name in value.curves] or [*value.curves]
        drawings.append(partial(_each, {name: value.curves[name] for name in shown}, plot))
    if value.corruptions is not None:
        drawings.append(partial(plot, value.corruptions, order=order))
    if value.landscape is not None:
        drawings.append(partial(plot, value.landscape, label="decisions on a plane, an illustration"))
    if value.reliability is not None:
        drawings.append(partial(plot, value.reliability))
    need(bool(drawings), expected="something measured", got="an empty Measurement", remedy="Measure before plotting.")
    return drawings


def of_diagnostics(value: Diagnostics, plot: Callable[..., Any], order: int | None) -> list[Drawing]:
    """How each part of what stands beside an exponent is drawn, by `plot`."""
    drawings: list[Drawing] = []
    if value.slopes is not None:
        drawings.append(partial(plot, value.slopes, order=order, fit=value.windows[:1]))
    if value.windows:
        drawings.append(lambda ax: style.legend(diagnostics.windows(ax, value.windows)))
    drawings += [partial(plot, one, order=order) for one in value.subsampling]
    drawings += [partial(plot, values, order=order) for values in (value.bias, value.laws) if values]
    need(bool(drawings), expected="something to draw", got="empty Diagnostics", remedy="Measure before plotting.")
    return drawings


def panels(drawings: Sequence[Drawing], title: str) -> Any:
    """A figure with a panel for each drawing, in rows of three if there are more than four; its axes."""
    import numpy
    from matplotlib import pyplot

    across = len(drawings) if len(drawings) <= IN_A_ROW else IN_A_ROW - 1
    down = -(-len(drawings) // across)
    figure, made = pyplot.subplots(
        down, across, figsize=(4.6 * across, 4.2 * down), layout="constrained", squeeze=False
    )
    figure.suptitle(style.plain(title))
    for panel in made.flat[len(drawings) :]:
        panel.remove()
    for panel, draw in zip(made.flat, drawings):
        draw(ax=panel)
    return numpy.asarray(made.flat[: len(drawings)])


def _each(values: Mapping[str, Any], plot: Callable[..., Any], ax: Any) -> None:
    for place, (name, value) in enumerate(values.items()):
        plot(value, ax, name, place)
