"""The shape checker of the test run: beartype with the numeric tower of PEP 484 (an int is a float).

A function is checked in its first calls of each test, then left alone: all ten thousand of an attack's loop were half
of the suite's time, and the last find what the first found.
"""

import inspect
import sys
from functools import wraps

import jaxtyping
from beartype import BeartypeConf, beartype

CALLS = 5
"""Of a function, in a test; jaxtyping looks twice at each, at what goes in and at what comes out."""

LOOKING = beartype(conf=BeartypeConf(is_pep484_tower=True))

_counts: dict[object, int] = {}
_left: list[object] = []


def checked(function):
    """What jaxtyping calls in a function's place, with its arguments, to have their types looked at."""
    if not inspect.isfunction(function):
        return LOOKING(function)
    name = (function.__module__, function.__qualname__)
    looked = None

    @wraps(function)
    def counted(*arguments, **named):
        nonlocal looked
        looked = looked or LOOKING(function)  # made at the first call: many functions are never called by a worker
        _counts[name] = _counts.get(name, 0) + 1
        if _counts[name] >= 2 * CALLS:
            _leave(*name)
        return looked(*arguments, **named)

    return counted


def afresh():
    """Look at every function again."""
    for function in _left:
        del function.__no_type_check__
    _left.clear()
    _counts.clear()


def outermost(jaxtyped):
    """Have it leave alone a function within another, which it would make ready anew at each call of that."""

    @wraps(jaxtyped)
    def made(*given, **settings):
        decorate = jaxtyped(*given, **settings)
        if given:
            return decorate
        return lambda function: function if "<locals>" in function.__qualname__ else decorate(function)

    return made


jaxtyping.jaxtyped = outermost(jaxtyping.jaxtyped)


def _leave(module, name):
    """Let jaxtyping look at a function no more, if it can be found under its name.

    Not at a command: what marks it so would hide the types of its flags from the prompt.
    """
    if module.startswith("eigenfall.commands"):
        return
    found = sys.modules.get(module)
    for part in name.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    found = inspect.unwrap(getattr(found, "__func__", getattr(found, "fget", found)))
    if inspect.isfunction(found) and found.__qualname__ == name and found not in _left:
        found.__no_type_check__ = True
        _left.append(found)
