"""Packages that not everyone has, imported where they are used."""

import importlib
from types import ModuleType

from eigenfall.check import need


def imported(module: str, extra: str, what: str) -> ModuleType:
    """A module of an optional package.

    Args:
        module: its name.
        extra: the extra of eigenfall that brings it.
        what: what it is needed for.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as reason:
        need(
            isinstance(reason, ModuleNotFoundError) and reason.name == module.partition(".")[0],
            expected=f"{module} that can be imported, for {what}",
            got=f"{type(reason).__name__}: {reason}",
            remedy=f"Install it again: pip install --force-reinstall {module.partition('.')[0]}",
        )
        raise ValueError(
            f"Expected the package {module} for {what}, got none. Install it: pip install 'eigenfall[{extra}]'"
        ) from reason
