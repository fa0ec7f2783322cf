"""Labelled arrays as responses, by duck typing: presentation × neuroid with the stimulus of each presentation.

    assembly.dims      ('presentation', 'neuroid'), and perhaps 'time_bin'
    assembly.coords    stimulus_id and repetition along presentation

xarray's DataArray is one, and so are the assemblies of Brain-Score; nothing of either is imported. An array whose own
axes are repetitions, stimuli and units, by whatever of the usual names, is taken as it is.

Source: Schrimpf et al. 2020, Neuron 108, 413-423, doi:10.1016/j.neuron.2020.07.040: presentation × neuroid × time_bin.
Differs from the source: more than one time bin is refused unless their mean is asked for, as a spectrum depends on it.
"""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped

from eigenfall import axes, gaps, presentations
from eigenfall.check import need, one_of
from eigenfall.types import Responses

STIMULI = ("stimulus_id", "image_id", "stimulus", "image")
"""Coordinates that name the stimulus, the first that is there; else the only one with "stimulus" in its name."""

REPEATS = ("repetition", "repetition_id", "repeat", "trial")
"""Coordinates that number the presentations of a stimulus."""


@runtime_checkable
class Assembly(Protocol):
    """An array whose axes have names, and coordinates along them."""

    @property
    def dims(self) -> tuple[Hashable, ...]:
        """Names of the axes."""
        ...

    @property
    def coords(self) -> Mapping[Any, Any]:
        """Coordinates by name; each has `dims` and `values`."""
        ...

    @property
    def values(self) -> Any:
        """The array."""
        ...


def responses_of(
    assembly: Assembly,
    without: tuple[Hashable, ...] = (),
    time: Literal["refuse", "mean"] = "refuse",
    torn: gaps.Torn = "refuse",
    name: str = "",
) -> Responses:
    """Responses of an assembly.

    Args:
        assembly: with axes presentation × neuroid (× time_bin) in any order, and a coordinate that names the stimulus
            of each presentation; or with axes for repetitions, stimuli and units.
        without: stimuli that are left out; "largest", the largest id.
        time: what to do with several time bins: refuse, or take their mean.
        torn: what to do where a single unit is NaN: refuse; leave out such units, or such presentations; or read NaN as
            zero.
        name: what the responses are called; "": as the assembly is.

    Returns:
        Responses `(repeats, stimuli, units)`, presentations of a stimulus in the order of their repetition, if that is
        a coordinate, or else as they stand.

    Raises:
        ValueError: if the axes or the coordinates are others, or the values no numbers.
    """
    one_of(time, ("refuse", "mean"), "value of time")
    name = name or str(getattr(assembly, "name", "") or "assembly")
    names = [str(dim) for dim in assembly.dims]
    values = np.asarray(assembly.values)
    need(
        values.dtype.kind in "fiu" and values.size > 0,
        expected="an assembly of numbers",
        got=f"{values.dtype} of shape {values.shape}",
        remedy="Look at what it holds.",
    )
    values, names = _one_time(values, names, time)
    label = _stimulus(assembly, names)
    if label is None:
        return _as_it_is(values, names, torn, name)
    along = str(assembly.coords[label].dims[0])
    need(
        len(names) == 2,
        expected=f"axes {along} × units",
        got=" × ".join(names),
        remedy="Select or average over the other axes.",
    )
    rows = values if names[0] == along else values.T
    ids = np.asarray(assembly.coords[label].values)
    repetition = next((one for one in REPEATS if _lies_along(assembly, one, along)), None)
    order = np.arange(len(ids))
    if repetition is not None:
        order = np.argsort(np.asarray(assembly.coords[repetition].values), kind="stable")
    found = presentations.Arrangement(without, torn, memory=np.inf)(rows[order], ids[order].tolist(), name=name)
    return replace(found, understood=f"{found.understood}; stimuli by coordinate {label!r}")


def _one_time(values: np.ndarray, names: list[str], time: str) -> tuple[Shaped[np.ndarray, "..."], list[str]]:
    """Without the axis of time bins, if it is not the only one that counts samples."""
    words = [axes.named(name) for name in names]
    if "time" not in words or not {"stimuli", "presentations"} & set(words):
        return values, names
    axis = words.index("time")
    need(
        values.shape[axis] == 1 or time == "mean",
        expected="one time bin",
        got=f"{values.shape[axis]} along {names[axis]}",
        remedy=f"Select one, or set time to mean for assembly.mean({names[axis]!r}).",
    )
    return values.mean(axis), [name for name in names if name != names[axis]]


def _lies_along(assembly: Assembly, coordinate: str, along: str) -> bool:
    return coordinate in assembly.coords and tuple(map(str, assembly.coords[coordinate].dims)) == (along,)


def _stimulus(assembly: Assembly, names: list[str]) -> str | None:
    """The coordinate that names the stimulus of each presentation; `None` if the axes themselves are stimuli."""
    if {"repeats", "stimuli"} <= {axes.named(name) for name in names}:
        return None
    dims = {str(one): tuple(map(str, assembly.coords[one].dims)) for one in assembly.coords}
    flat = [one for one, dim in dims.items() if dim in {(name,) for name in names}]
    flat = [one for one in flat if axes.named(dims[one][0]) not in ("units", "time")]
    found = [one for one in STIMULI if one in flat][:1] or [one for one in flat if "stimulus" in one.lower()]
    if not found and "stimuli" in {axes.named(name) for name in names}:
        return None
    need(
        len(found) == 1,
        expected="a coordinate stimulus_id along the presentations",
        got=", ".join(flat) or "no coordinates",
        remedy="Add one, or name the axes repetition, stimulus and unit.",
    )
    return found[0]


def _as_it_is(values: np.ndarray, names: list[str], torn: gaps.Torn, name: str) -> Responses:
    """An array whose axes are repetitions, stimuli and units."""
    words = [axes.named(one) for one in names]
    need(
        None not in words,
        expected="axes that are repetitions, stimuli and units",
        got=" × ".join(names),
        remedy="Rename them to repetition, stimulus and unit.",
    )
    laid = axes.said(" ".join(str(word) for word in words), values.shape)
    turned = laid.turned(values)
    whole: gaps.Slab = ("units", 0, turned)
    scan = [whole] if values.dtype.kind == "f" else []
    found = gaps.found(scan, laid.size, laid.samples, torn, lambda repeat, stimulus: turned[repeat, stimulus])
    return Responses(
        values=found.kept(whole),
        sampled_over="time" if laid.samples == "time" else "stimuli",
        name=name,
        understood=axes.understood(found.size, found.present, laid.samples),
        dropped=found.dropped,
        notices=laid.doubts,
    )
