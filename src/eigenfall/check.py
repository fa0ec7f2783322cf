"""One sentence form for every refusal: expected ..., got ..., what to do."""

import difflib
from collections.abc import Iterable
from typing import TypeVar

Given = TypeVar("Given")


def need(held: bool, expected: str, got: str, remedy: str) -> None:
    """Raise `ValueError` in the house form, unless `held`."""
    if not held:
        raise ValueError(f"Expected {expected}, got {got}. {remedy}")


def given(value: Given | None, expected: str, got: str, remedy: str) -> Given:
    """The value; `None` is refused in the house form."""
    if value is None:
        raise ValueError(f"Expected {expected}, got {got}. {remedy}")
    return value


def nearest(name: str, known: Iterable[str]) -> str:
    """`Did you mean 'x'?` for a misspelt name, or the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"There are: {', '.join(names)}." if names else "There are none."


def one_of(name: str, known: Iterable[str], what: str) -> None:
    """Refuse a name that is not among the known ones, offering the nearest."""
    names = list(known)
    if name not in names:  # the nearest name takes a while to find
        need(False, expected=f"a known {what}", got=repr(name), remedy=nearest(name, names))
