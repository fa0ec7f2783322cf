"""The axes of an array of responses: said in words or guessed, and told again.

    600 stimuli × 82 units × 5-9 repeats

| what there is | read as |
|---|---|
| two axes | stimuli × units |
| three, NaN along one of them together | units along that one; of the others the shorter is the repeats |
| three, the shortest first | repeats × stimuli × units |
| three, the shortest last | units × stimuli × repeats |

Source: (repeats, stimuli, units) is this package's order; units × conditions × trials is that of GSN (Kay et al. 2025).

A guess from the shape alone may be wrong: the values are asked whether they speak for it. Units differ from one another
more than stimuli do, so the share of the variance that lies between the means along an axis is larger for units; if the
means along an axis are all the same, units were centred or z-scored. What speaks against a guess, or leaves it open, is
told; the guess stands.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from eigenfall.check import need, one_of

WORDS = ("presentations", "repeats", "stimuli", "time", "units")
SAMPLES = ("stimuli", "time", "presentations")
"""What the second axis may count."""

OTHER_WORDS = {
    "repeats": ("repeat", "repetition", "repetitions", "trial", "trials"),
    "stimuli": ("stimulus", "condition", "conditions", "image", "images"),
    "time": ("times", "time_bin", "frame", "frames"),
    "presentations": ("presentation", "observation", "observations"),
    "units": (
        "unit",
        "neuroid",
        "neuroids",
        "neuron",
        "neurons",
        "cell",
        "cells",
        "roi",
        "rois",
        "channel",
        "channels",
    ),
}
"""What axes are called elsewhere, by our word."""

CLEARLY = 2.0
"""How many times longer, or more varied, one axis must be than another to be told from it."""

CORNER = 2**22
"""How many values a guess looks at in an array that stays on disk."""

SIDE = 2048
"""How many entries of an axis are asked whether they look like units."""


@dataclass(frozen=True)
class Axes:
    """What the axes of an array are.

    Attributes:
        names: a word for each axis, in the array's order.
        shape: the array's.
        guessed: whether nobody said so.
        doubts: what speaks against them, in words.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    guessed: bool = False
    doubts: tuple[str, ...] = ()

    @property
    def samples(self) -> str:
        """What the second axis counts: stimuli, time or presentations."""
        return next(name for name in SAMPLES if name in self.names)

    @property
    def order(self) -> tuple[int, ...]:
        """Where (repeats,) stimuli and units stand in the array."""
        return tuple(self.names.index(name) for name in ("repeats", self.samples, "units") if name in self.names)

    @property
    def size(self) -> tuple[int, int, int]:
        """`(repeats, stimuli, units)`."""
        *repeats, stimuli, units = (self.shape[axis] for axis in self.order)
        return (repeats or [1])[0], stimuli, units

    def turned(self, values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "repeats stimuli units"]:
        """The array, or a part of it that has all axes, as (repeats, stimuli, units); a view."""
        return values.transpose(self.order) if len(self.names) == 3 else values.transpose(self.order)[None]


def named(text: str) -> str | None:
    """Our word for an axis that is called by this one; `None` if nobody calls one so."""
    word = text.lower()
    return word if word in WORDS else next((ours for ours, others in OTHER_WORDS.items() if word in others), None)


# --------------------------------------------------------------------------- said or guessed


def said(text: str, shape: Sequence[int]) -> Axes:
    """The axes as the user said them: words between commas, blanks, slashes or ×.

    Raises:
        ValueError: for a word that is not known, with the nearest one, or words that do not fit the shape.
    """
    names = tuple(filter(None, re.split(r"[\s,/×]+", text)))
    for name in names:
        one_of(name, WORDS, "axis")
    three = len(shape) == 3
    need(
        len(names) == len(shape) == len(set(names))
        and "units" in names
        and ("repeats" in names) == three
        and sum(name in SAMPLES for name in names) == 1
        and not (three and "presentations" in names),
        expected=f"names for {len(shape)} axes, such as {'units stimuli repeats' if three else 'units stimuli'!r}",
        got=repr(text),
        remedy=f"The array's shape is {tuple(shape)}.",
    )
    found = Axes(names, tuple(shape))
    repeats, stimuli, _ = found.size
    if repeats > stimuli:
        return Axes(names, found.shape, doubts=(f"There are more repeats, {repeats}, than stimuli, {stimuli}.",))
    return found


def guessed(shape: Sequence[int], corner: Shaped[np.ndarray, "..."]) -> Axes:
    """The axes, from where NaN stand or else from the shape; what speaks against the guess goes with it.

    Args:
        shape: the whole array's.
        corner: the array, or the beginning of each of its axes.

    Raises:
        ValueError: for three axes of which the shortest is neither first nor last, or has one entry.
    """
    shape = tuple(shape)
    if len(shape) == 2:
        doubt = _doubt(corner, ("stimuli", "units"), open_doubted=True)
        return Axes(("stimuli", "units"), shape, True, doubt)
    units = together(corner)
    if units is not None:
        others = sorted((axis for axis in range(3) if axis != units), key=lambda axis: shape[axis])
        names = tuple("units" if axis == units else "repeats" if axis == others[0] else "stimuli" for axis in range(3))
        return Axes(names, shape, True, _hardly_shorter(shape, others[0], others[1]))
    shortest = int(np.argmin(shape))
    need(
        shortest != 1,
        expected="axes that can be guessed: repeats, the shortest, first or last",
        got=f"shape {shape}",
        remedy="Set axes, for instance 'stimuli repeats units'.",
    )
    names = ("repeats", "stimuli", "units") if shortest == 0 else ("units", "stimuli", "repeats")
    second = min((axis for axis in range(3) if axis != shortest), key=lambda axis: shape[axis])
    doubts = _hardly_shorter(shape, shortest, second) or _doubt(corner, names, open_doubted=shortest == 2)
    return Axes(names, shape, True, doubts)


def together(values: Shaped[np.ndarray, "..."]) -> int | None:
    """The one axis along which NaN are always together, as units are when a repeat is missing; `None` if none is."""
    if values.dtype.kind != "f":
        return None
    empty = np.isnan(values)
    if not empty.any():
        return None
    found = [axis for axis in range(values.ndim) if np.array_equal(empty.all(axis), empty.any(axis))]
    return found[0] if len(found) == 1 else None


def corner_of(shape: Sequence[int], whole: bool) -> tuple[slice, ...]:
    """What a guess looks at: everything, or the beginning of each axis, as much of it as of the others."""
    if whole:
        return tuple(slice(None) for _ in shape)
    left, lengths = float(CORNER), {}
    for number, axis in enumerate(sorted(range(len(shape)), key=lambda axis: shape[axis])):
        lengths[axis] = max(1, min(shape[axis], int(left ** (1 / (len(shape) - number)))))
        left /= lengths[axis]
    return tuple(slice(0, lengths[axis]) for axis in range(len(shape)))


# --------------------------------------------------------------------------------- doubts


def _hardly_shorter(shape: Sequence[int], repeats: int, other: int) -> tuple[str, ...]:
    if CLEARLY * shape[repeats] <= shape[other]:
        return ()
    return (
        f"The axis of length {shape[repeats]} is read as the repeats, but is hardly shorter than that of length "
        f"{shape[other]}: say the axes, for instance 'units stimuli repeats', if that is wrong.",
    )


def _doubt(corner: np.ndarray, names: tuple[str, ...], open_doubted: bool) -> tuple[str, ...]:
    """Whether the values speak against these names, or, if that is asked for, do not speak for them."""
    if corner.ndim == 3:
        axis = names.index("repeats")
        corner, names = corner.mean(axis, dtype=np.float64), tuple(name for name in names if name != "repeats")
    found = likelier_units(corner)
    if found == names.index("units") or (found is None and not open_doubted):
        return ()
    swapped = [{"stimuli": "units", "units": "stimuli"}[name] for name in names]
    why = "nothing in the values tells which" if found is None else "the values look like the latter"
    return (
        f"The axes may be {' × '.join(names)} or {' × '.join(swapped)}, and {why}: they are read as the former. "
        "If that is wrong, say the axes.",
    )


def likelier_units(values: Shaped[np.ndarray, "rows columns"]) -> int | None:
    """Along which of two axes the values look to have units; `None` if they do not tell.

    Of an axis with L entries of n values each, F is n times the variance of the means along it over the variance of all
    values: about 1 if the axis makes no difference, and 0 if units were centred. (F − 1)/n is the share of the variance
    that lies between its entries.
    """
    values = np.asarray(values[:SIDE, :SIDE], dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        spread = float(values.var())
    if min(values.shape) < 3 or not 0 < spread < np.inf:
        return None
    share, centred = [], []
    for axis in (0, 1):
        length, count = values.shape[axis], values.shape[1 - axis]
        ratio = count * float(values.mean(1 - axis).var()) / spread
        share.append((ratio - 1) / count if ratio > 1 + 4 * np.sqrt(2 / (length - 1)) else 0.0)
        centred.append(ratio < 1e-6)
    if centred[0] != centred[1]:
        return int(centred[1])
    more = int(np.argmax(share))
    return more if share[more] > CLEARLY * share[1 - more] else None


# ---------------------------------------------------------------------------------- told


def understood(size: tuple[int, int, int], present: Shaped[np.ndarray, " stimuli"], samples: str = "stimuli") -> str:
    """`600 stimuli × 82 units × 5-9 repeats`.

    Args:
        size: `(repeats, stimuli, units)`.
        present: how many repeats each stimulus has.
        samples: what the second axis counts.
    """
    low, high = int(present.min()), int(present.max())
    times = f"{low}-{high} repeats" if low < high else f"{high} repeat{'s' if high > 1 else ''}"
    what = "time points" if samples == "time" else samples
    return f"{size[1]} {what} × {size[2]} units × {times}"


def place(at: Sequence[int], samples: str = "stimuli") -> str:
    """`repeat 1, stimulus 13, unit 4, counted from 0`."""
    repeat, sample, unit = (int(index) for index in at)
    what = {"stimuli": "stimulus", "time": "time", "presentations": "presentation"}[samples]
    before = "" if samples == "presentations" else f"repeat {repeat}, "
    return f"{before}{what} {sample}, unit {unit}, counted from 0"
