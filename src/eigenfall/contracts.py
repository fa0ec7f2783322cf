"""What each kind of part is asked for: its calls, by place, and what it must carry.

A part of ours is held to this by the tests of its kind, somebody else's when it is first named.
"""

import inspect

from eigenfall.check import need

CALLS: dict[str, dict[str, tuple[str, ...]]] = {
    "architectures": {"__call__": ("examples", "generator")},
    "attacks": {"__call__": ("model", "inputs", "targets", "threat", "epsilon", "generator")},
    "checks": {"__call__": ("evidence",)},
    "corruptions": {"__call__": ("inputs", "severity", "generator")},
    "datasets": {"__call__": ()},
    "dimensions": {"__call__": ("responses",)},
    "fits": {"__call__": ("spectrum",)},
    "heads": {
        "__call__": ("units", "classes", "generator"),
        "loss": ("outputs", "targets"),
        "predictions": ("outputs",),
    },
    "penalties": {
        "start": ("reference", "generator"),
        "__call__": ("forward_pass", "state", "generator"),
        "refreshed": ("state", "reference", "generator"),
    },
    "recordings": {"__call__": ("generator",)},
    "rules": {
        "start": ("inputs", "units", "generators"),
        "__call__": ("state", "batch", "progress", "generators"),
        "layer": ("state",),
    },
    "smoothness": {"__call__": ("model", "inputs", "layer", "generator")},
    "spectra": {"__call__": ("responses", "generator")},
}
"""By kind, each method and the arguments that it is called with."""

CARRIED: dict[str, tuple[str, ...]] = {"checks": ("letter", "title")}
"""By kind, class attributes that every part has."""


def need_contract(kind: str, made: type, name: str) -> None:
    """Refuse a class that cannot be called as the parts of its kind are.

    Args:
        kind: of part.
        made: the class.
        name: under which it was asked for.

    Raises:
        ValueError: if a method is missing, or takes other arguments than it will be given, or an attribute is missing.
    """
    for method, arguments in CALLS[kind].items():
        found = inspect.getattr_static(made, method, None)
        need(
            found is not None and _takes(found, len(arguments)),
            expected=f"{name!r} to have {_written(method, arguments)}, as every part of kind {kind} has",
            got="none" if found is None else f"{method}{_signature(found)}",
            remedy="docs/adding-a-part.md tells what each kind is called with.",
        )
    missing = [attribute for attribute in CARRIED.get(kind, ()) if not hasattr(made, attribute)]
    need(
        not missing,
        expected=f"{name!r} to have a {' and a '.join(CARRIED.get(kind, ()))}, as every part of kind {kind} has",
        got=f"no {' and no '.join(missing)}",
        remedy="Write each as a ClassVar[str] above the settings.",
    )


def _written(method: str, arguments: tuple[str, ...]) -> str:
    return f"{method}({', '.join(('self', *arguments))})"


def _plain(found: object) -> object:
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


def _signature(found: object) -> str:
    """Names of what is taken, without types, which may be long."""
    plain = _plain(found)
    return f"({', '.join(inspect.signature(plain).parameters)})" if callable(plain) else ", which cannot be called"


def _takes(found: object, arguments: int) -> bool:
    """Whether a method can be called with so many arguments, all by place."""
    plain = _plain(found)
    if not callable(plain):
        return False
    given = arguments + (not isinstance(found, staticmethod))
    try:
        inspect.signature(plain).bind(*range(given))
    except TypeError:
        return False
    return True
