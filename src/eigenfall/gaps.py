"""Where responses are missing: whole repeats, which are left out and counted, and single values, which are refused.

A repeat of a stimulus is missing where all of its units are NaN. NaN in some units only is *torn*, and is refused; or
such units, or such presentations, are left out and counted; or, as the code of Stringer et al. 2019 does with whatever
is NaN, read as 0.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from eigenfall import axes
from eigenfall.check import need, one_of

Torn = Literal["refuse", "units", "presentations", "zero"]
"""What to do where a single unit is NaN: refuse; leave out such units, or such presentations; or read NaN as 0."""
TORN = ("refuse", "units", "presentations", "zero")

Slab = tuple[Literal["units", "stimuli"], int, Shaped[np.ndarray, "repeats _ _"]]
"""Part of an array: along which axis it was cut, where it begins, and what is in it, (repeats, stimuli, units)."""


@dataclass(frozen=True, eq=False)
class Gaps:
    """What is missing from an array of responses, and what of it is kept.

    Attributes:
        missing: which repeat of which stimulus is missing or left out, `(repeats, stimuli)`.
        units: which units are kept.
        stimuli: which stimuli are kept.
        dropped: what was left out, and how many.
        zero: whether NaN are read as 0.
    """

    missing: Bool[np.ndarray, "repeats stimuli"]
    units: Bool[np.ndarray, " units"]
    stimuli: Bool[np.ndarray, " stimuli"]
    dropped: Mapping[str, int]
    zero: bool = False

    @property
    def present(self) -> Shaped[np.ndarray, " kept"]:
        """How many repeats each stimulus that is kept has."""
        return (~self.missing).sum(0)[self.stimuli]

    @property
    def size(self) -> tuple[int, int, int]:
        """`(repeats, stimuli, units)` of what is kept."""
        return len(self.missing), int(self.stimuli.sum()), int(self.units.sum())

    def kept(self, slab: Slab) -> Tensor:
        """A copy of what is kept of a slab, `(repeats, stimuli, units)`, NaN for a missing repeat."""
        along, start, values = slab
        whole = slice(None)
        at = slice(start, start + values.shape[1 if along == "stimuli" else 2])
        stimuli, units = (at, whole) if along == "stimuli" else (whole, at)
        chosen = values
        if not self.stimuli[stimuli].all():
            chosen = chosen[:, self.stimuli[stimuli]]
        if not self.units[units].all():
            chosen = chosen[:, :, self.units[units]]
        copy = np.array(chosen, dtype=kind(values.dtype), order="C")
        if self.zero:
            np.nan_to_num(copy, copy=False, nan=0.0, posinf=None, neginf=None)
        elif self.missing.any():
            copy[self.missing[:, stimuli][:, self.stimuli[stimuli]]] = np.nan
        return torch.from_numpy(copy)


def kind(dtype: np.dtype) -> np.dtype:
    """float32 where it holds every value of a type, else float64."""
    exact = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.dtype(np.float32 if exact else np.float64)


def found(
    slabs: Iterable[Slab],
    size: tuple[int, int, int],
    samples: str,
    torn: Torn,
    row: Callable[[int, int], Shaped[np.ndarray, " units"]],
) -> Gaps:
    """The gaps of an array that is read once, slab by slab.

    Args:
        slabs: all of the array, once; none if it cannot hold NaN.
        size: `(repeats, stimuli, units)`.
        samples: what the second axis counts.
        torn: what to do with NaN in some units only.
        row: all units at a repeat and a stimulus, by their numbers.

    Raises:
        ValueError: for an infinite value; for torn NaN, unless they are to be left out; if nothing is left.
    """
    one_of(torn, TORN, "value of torn")
    repeats, stimuli, units = size
    by_sample, by_unit = np.zeros((repeats, stimuli), dtype=np.int64), np.zeros(units, dtype=np.int64)
    for along, start, piece in slabs:
        with np.errstate(all="ignore"):
            if np.isfinite(piece.sum()):
                continue
        _need_finite(piece, along, start, samples)
        empty = np.isnan(piece)
        at = slice(start, start + piece.shape[1 if along == "stimuli" else 2])
        by_sample[:, at if along == "stimuli" else slice(None)] += empty.sum(2)
        by_unit[at if along == "units" else slice(None)] += empty.sum((0, 1))
    everything = np.ones(units, dtype=bool), np.ones(stimuli, dtype=bool)
    if torn == "zero":
        counted = {"NaN, read as 0": int(by_unit.sum())} if by_unit.any() else {}
        return Gaps(np.zeros((repeats, stimuli), dtype=bool), *everything, counted, zero=bool(counted))
    missing = by_sample == units
    partly = (by_sample > 0) & ~missing
    if torn == "refuse" and partly.any():
        _refuse_torn(partly, row, samples)
    kept_units, kept_stimuli = everything
    dropped: dict[str, int] = {}
    if torn == "units" and partly.any():
        kept_units = by_unit == missing.sum()
        dropped["units with a NaN"] = int((~kept_units).sum())
        _need_some(kept_units, "unit", "every one has a NaN somewhere", "presentations")
    if torn == "presentations" and partly.any():
        dropped["presentations with a NaN"] = int(partly.sum())
    if missing.any() and samples != "presentations":
        dropped["missing repeats"] = int(missing.sum())
    if torn == "units":
        partly = np.zeros_like(partly)
    if samples == "presentations":
        kept_stimuli = ~(missing | partly)[0]
        if missing.any():
            dropped["presentations without a value"] = int(missing.sum())
        _need_some(kept_stimuli, "presentation", "every one has a NaN", "units")
        return Gaps(np.zeros_like(missing), kept_units, kept_stimuli, dropped)
    missing |= partly
    without = missing.all(0)
    if torn == "presentations" and without.any():
        kept_stimuli = ~without
        dropped[f"{samples} without a repeat"] = int(without.sum())
        _need_some(kept_stimuli, "repeat", "every one has a NaN", "units")
    elif without.any():
        need(
            False,
            expected="at least one repeat of everything",
            got=f"none at {samples} number {int(without.argmax())}, counted from 0",
            remedy="Leave it out of the file.",
        )
    return Gaps(missing, kept_units, kept_stimuli, dropped)


# -------------------------------------------------------------------------------- refusals


def _need_some(kept: np.ndarray, what: str, got: str, other: str) -> None:
    need(
        bool(kept.any()),
        expected=f"at least one {what} without NaN",
        got=f"none, as {got}",
        remedy=f"Set torn to {other}, or say the axes if they are mixed up.",
    )


def _need_finite(piece: np.ndarray, along: str, start: int, samples: str) -> None:
    infinite = np.argwhere(np.isinf(piece))
    if len(infinite):
        offset = [0, start, 0] if along == "stimuli" else [0, 0, start]
        need(
            False,
            expected="finite responses",
            got=f"an infinite value at {axes.place((infinite[0] + offset).tolist(), samples)}",
            remedy="Mend the file, or leave that unit out.",
        )


def _refuse_torn(partly: np.ndarray, row: Callable[[int, int], np.ndarray], samples: str) -> None:
    repeat, sample = (int(index) for index in np.argwhere(partly)[0])
    unit = int(np.argmax(np.isnan(row(repeat, sample))))
    need(
        False,
        expected="NaN only where a repeat is missing for all units",
        got=f"a single one at {axes.place((repeat, sample, unit), samples)}",
        remedy="Leave such units or such repeats out, with torn set to units or presentations, or say the axes.",
    )
