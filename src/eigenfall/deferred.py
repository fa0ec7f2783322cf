"""Values by name that are worked out when they are first read: what a loop may tell, and mostly nobody asks for."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

Value = TypeVar("Value")


class Deferred(Mapping[str, Value]):
    """A mapping whose values are found at the first reading, then kept.

    A function holds what it needs until it is called; what it reads must not change meanwhile.

    Attributes:
        found: by name a value, or a function without arguments that gives it.
    """

    def __init__(self, found: Mapping[str, Value | Callable[[], Value]]) -> None:
        self._found: dict[str, Any] = dict(found)

    def __getitem__(self, name: str) -> Value:
        if callable(self._found[name]):
            self._found[name] = self._found[name]()
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __repr__(self) -> str:
        return repr(dict(self))

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def renamed(values: Mapping[str, Value], prefix: str) -> dict[str, Callable[[], Value]]:
    """Readings of a mapping's values, under names with a prefix."""
    return {f"{prefix}{name}": partial(values.__getitem__, name) for name in values}
