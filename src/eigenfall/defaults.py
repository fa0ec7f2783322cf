"""Settings that a part was given later: at their defaults the part is what it was, and so is all that names it."""

from dataclasses import Field, field
from typing import Any

LATER = "later"


def later(default: Any) -> Any:
    """A dataclass field that a written part leaves out at its default.

    The hash of a run holds its parts as they are written. A new setting whose default changes nothing must not make
    what is finished look unfinished.

    Example:
        >>> from dataclasses import dataclass, fields
        >>> @dataclass(frozen=True)
        ... class Part:
        ...     strength: float = 1.0
        ...     subset: int = later(0)
        >>> [is_left_out(setting, Part()) for setting in fields(Part)]
        [False, True]
    """
    return field(default=default, metadata={LATER: True})


def is_left_out(setting: Field, part: Any) -> bool:
    """Whether a setting came later and stands at its default."""
    return setting.metadata.get(LATER, False) and getattr(part, setting.name) == setting.default
