"""Flags of a command from values by name, as a table or another command gives them."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from eigenfall.check import need, one_of
from eigenfall.commands.flags import Measuring
from eigenfall.grammar import value_of
from eigenfall.grids import text_of


def names(flags: type) -> tuple[str, ...]:
    """Every flag of a class of flags, those of what is measured among them."""
    own = [field.name for field in dataclasses.fields(flags) if field.name != "measuring"]
    return (*own, *(field.name for field in dataclasses.fields(Measuring)))


def given(flags: Any, settings: Mapping[str, Any], command: str) -> Any:
    """A class of flags from values.

    Args:
        flags: `TrainRuns` or `LearnRuns`.
        settings: texts, numbers, truth values, or lists of them for what may be given several times; `none` and an
            empty list are nothing.
        command: whose flags they are, for the refusals.

    Raises:
        ValueError: for an unknown name, with the nearest one, or a value of another type.
    """
    for name in settings:
        one_of(name, names(flags), f"flag of {command}")
    found: dict[str, Any] = {}
    for made in (flags, Measuring):
        hints = typing.get_type_hints(made)
        own = {name: value for name, value in settings.items() if name in hints}
        found[made.__name__] = {name: _typed(value, hints[name], name, command) for name, value in own.items()}
    return flags(measuring=Measuring(**found[Measuring.__name__]), **found[flags.__name__])


def _typed(value: Any, hint: Any, name: str, command: str) -> Any:
    """A value as its flag's type."""
    if typing.get_origin(hint) is tuple:
        several = value if isinstance(value, list | tuple) else [] if value == "none" else [value]
        return tuple(_typed(one, typing.get_args(hint)[0], name, command) for one in several)
    need(
        isinstance(value, bool | int | float | str),
        expected=f"one value for {name}",
        got=repr(value),
        remedy="Only what may be given several times takes a list.",
    )
    if hint is str or (isinstance(hint, types.UnionType) and str in typing.get_args(hint) and value != "none"):
        return text_of(value)
    try:
        return value_of(text_of(value), hint, name, text_of)
    except ValueError as reason:
        raise ValueError(str(reason).replace("`eigenfall parts`", f"`eigenfall {command} --help`")) from reason
