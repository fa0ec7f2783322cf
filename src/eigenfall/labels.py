"""Ids of stimuli, one for each presentation: numbers or names; and which presentations repeat which stimulus."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from eigenfall.check import need

LARGEST = "largest"
"""Stands for the largest id, which is often that of a grey screen."""

OFTEN = 4
"""How many times as often as the others a stimulus must be shown to look like a blank."""


def coded(
    ids: Any, presentations: int, without: Sequence[Hashable] = ()
) -> tuple[Int64[np.ndarray, " presentations"], list[Hashable], dict[str, int]]:
    """A number for the stimulus of each presentation, −1 where it is left out; the stimuli; what was left out.

    Raises:
        ValueError: for another number of ids than of presentations, an id to leave out that does not occur, or if no
            stimulus is left.
    """
    labels = [_plain(label) for label in (ids.tolist() if isinstance(ids, Tensor | np.ndarray) else ids)]
    need(
        len(labels) == presentations,
        expected=f"the stimulus of each of {presentations} presentations",
        got=f"{len(labels)} ids",
        remedy="Give one id per presentation, in the same order.",
    )
    known = list(dict.fromkeys(label for label in labels if label is not None))
    known = _ordered(known)
    need(bool(known), expected="at least one stimulus", got="no ids", remedy="Look at where the ids come from.")
    out = {_meant(one, known) for one in without}
    number = {label: place for place, label in enumerate(label for label in known if label not in out)}
    need(bool(number), expected="a stimulus that is kept", got="none", remedy="Leave fewer ids out.")
    codes = np.array([-1 if label is None else number.get(label, -1) for label in labels], dtype=np.int64)
    nameless = sum(label is None for label in labels)
    blank = sum(label is not None and label in out for label in labels)
    said = ", ".join(map(str, sorted(out, key=str)))
    dropped = {"presentations without a stimulus": nameless, f"presentations of stimulus {said}": blank}
    return codes, list(number), {what: count for what, count in dropped.items() if count}


def _ordered(known: list[Any]) -> list[Any]:
    """In the order of the ids, or, where these have none, as they came."""
    try:
        return sorted(known)
    except TypeError:
        return known


def need_ids(found: Any, name: str) -> np.ndarray:
    """The stimulus of each presentation, as an array with one axis.

    Raises:
        ValueError: if there is more than one axis with entries, or neither numbers nor text.
    """
    array = np.asarray(found)
    need(
        array.size > 0 and array.size == max(array.shape, default=0) and array.dtype.kind in "biufUS",
        expected=f"a number or a name for each presentation in {name!r}",
        got=f"{array.dtype} of shape {array.shape}",
        remedy="Give one id per presentation.",
    )
    return array.reshape(-1)


def _plain(label: Any) -> Hashable | None:
    """An id as plain Python: whole numbers as int, bytes as text; `None` for NaN and empty text, which are no ids."""
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, list):
        return tuple(label)
    if isinstance(label, bytes):
        label = label.decode()
    if isinstance(label, float):
        return None if label != label else int(label) if label.is_integer() else label
    return None if label == "" else label


def _meant(one: Hashable, known: Sequence[Hashable]) -> Hashable:
    """The id that is to be left out, also if it was given as text."""
    if one == LARGEST and one not in known:
        numbers = [label for label in known if isinstance(label, int | float)]
        need(bool(numbers), expected="numbers as ids, to leave out the largest", got="none", remedy="Name the id.")
        return max(numbers)
    found = next((label for label in known if label == one or str(label) == str(one)), None)
    need(
        found is not None,
        expected="an id that occurs, to leave it out",
        got=repr(one),
        remedy=f"Ids go from {known[0]!r} to {known[-1]!r}.",
    )
    return found


def table_of(codes: Int64[np.ndarray, " presentations"], stimuli: int) -> Int64[np.ndarray, "repeats kept"]:
    """Which presentation is each repeat of each stimulus, in temporal order; −1: none.

    Args:
        codes: number of the stimulus of each presentation, from 0.
        stimuli: how many there are; those without a presentation are left out.
    """
    counts = np.bincount(codes, minlength=stimuli)
    order = np.argsort(codes, kind="stable")
    start = np.cumsum(counts) - counts
    table = np.full((int(counts.max()), stimuli), -1, dtype=np.int64)
    table[np.arange(len(codes)) - start[codes[order]], codes[order]] = order
    return table[:, counts > 0]


def often(table: Int64[np.ndarray, "repeats stimuli"]) -> tuple[str, ...]:
    """What looks odd in how often stimuli were shown."""
    counts = (table >= 0).sum(0)
    if counts.max() == 1:
        return ("No stimulus was shown twice.",)
    usual = float(np.median(counts))
    if counts.max() > OFTEN * usual:
        return (
            f"One stimulus was shown {int(counts.max())} times, most {usual:g} times or fewer: if it is a blank, leave "
            "its id out.",
        )
    return ()
