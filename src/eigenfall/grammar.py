"""Settings as text, and back by the type of their field.

    none, true, false, 5, 1e-3, word, features.3/fc1, [a,b], [pgd:steps=40,loss=dlr]

A tuple's values are joined by `/`; one value alone is a tuple of one. Brackets hold together what stands in them: a
value with a comma or a bracket, a part, a text that is empty or has a `/` among several, a text that would be read as a
word or a number. They are taken off once, from the innermost value that they hold.
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from eigenfall.check import need, one_of

PLAIN = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
Hint = Any
"""Type of a field: one of `PLAIN`, `None`, a `Literal`, a tuple or a union of them, or a part."""


def split(text: str, separator: str) -> list[str]:
    """Pieces of a text between separators outside brackets."""
    pieces, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if depth < 0:
            break
        if letter == separator and depth == 0:
            pieces.append(text[start:place])
            start = place + 1
    need(depth == 0, expected="every [ with its ]", got=repr(text), remedy="Close or open the bracket.")
    return [*pieces, text[start:]]


def _unwrapped(text: str) -> str:
    """A text without the one pair of brackets around the whole of it, if there is one."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if depth == 0:
            return text[1:-1] if letter == "]" and place == len(text) - 1 else text
    return text


def value_of(text: str, hint: Hint, setting: str, read: Callable[[str], Any]) -> Any:
    """A setting's text as its field's type.

    Args:
        text: as written after the equals sign.
        hint: the field's type.
        setting: its name, for the refusal.
        read: reads a part within a part.
    """
    if len(_options(hint)) > 1:
        return _first_that_fits(text, hint, setting, read)
    origin, arguments, inner = typing.get_origin(hint), typing.get_args(hint), _unwrapped(text)
    if origin is tuple:
        pieces = split(text, "/") if text else []
        hints = [arguments[0]] * len(pieces) if arguments[-1] is Ellipsis else list(arguments)
        if len(pieces) != len(hints):
            raise _unfit(text, hint, setting)
        return tuple(value_of(piece, one, setting, read) for piece, one in zip(pieces, hints, strict=True))
    if origin is Literal:
        by_text = {_word(argument): argument for argument in arguments}
        one_of(inner, by_text, f"value of {setting}")
        return by_text[inner]
    if hint in (str, Path):
        return hint(inner)
    if hint is bool and inner in ("true", "false"):
        return inner == "true"
    if hint in (int, float):
        try:
            number = hint(inner)
        except ValueError:
            raise _unfit(text, hint, setting) from None
        if number == number:  # NaN is no setting: it equals nothing, itself included
            return number
    if hint in PLAIN or hint is type(None):
        raise _unfit(text, hint, setting)
    return None if hint is Any and text == "none" else read(inner)


def text_of(value: Any, hint: Hint, spell: Callable[[Any], str]) -> str:
    """A setting's value as text that its field's type reads back; numbers take that type.

    Args:
        value: what the field holds.
        hint: the field's type.
        spell: writes a part within a part.
    """
    if len(_options(hint)) > 1:
        one = next((option for option in _options(hint) if _fits(value, option)), type(value))
        text = text_of(value, one, spell)
        if dataclasses.is_dataclass(value) or _reads_as(text, value, hint):
            return text
        return _readable(f"[{text}]", value, hint)
    if hint in (int, float) and isinstance(value, int | float):
        whole = isinstance(value, int) or value.is_integer()
        return _readable(repr(hint(value) if whole or hint is float else value), value, hint)
    if value is None or isinstance(value, bool):
        return _word(value)
    if isinstance(value, tuple):
        arguments = typing.get_args(hint) or (str, ...)
        hints = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return "/".join(_held(text_of(entry, one, spell), one) for entry, one in zip(value, hints, strict=True))
    if dataclasses.is_dataclass(value):
        return f"[{spell(value)}]"
    text = str(value)
    split(text, ",")
    return f"[{text}]" if any(letter in text for letter in ",[]") else text


def _options(hint: Hint) -> tuple[Hint, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _first_that_fits(text: str, hint: Hint, setting: str, read: Callable[[str], Any]) -> Any:
    """The value by the first type of a union that takes the text.

    Words and numbers come before texts, and a text with a `/` outside brackets is several before it is one; brackets
    around the whole say that it is no word and no number.
    """
    options = [option for option in _options(hint) if option is not type(None)]
    if text == "none" and len(options) < len(_options(hint)):
        return None
    if len(options) == 1:
        return value_of(text, options[0], setting, read)
    wrapped, several = _unwrapped(text) != text, len(split(text, "/")) > 1

    def rank(option: Hint) -> tuple[bool, bool]:
        texts = option in (str, Path) or typing.get_origin(option) is tuple
        return texts != wrapped, (typing.get_origin(option) is tuple) != several

    for option in sorted(options, key=rank):
        try:
            return value_of(text, option, setting, read)
        except ValueError:
            continue
    raise _unfit(text, hint, setting)


def _fits(value: Any, hint: Hint) -> bool:
    """Whether a value is of one of a union's types; whole numbers are numbers."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return any(value == argument and type(value) is type(argument) for argument in arguments)
    if origin is tuple:
        inner = arguments[:1] if arguments[-1] is Ellipsis else arguments
        return isinstance(value, tuple) and all(any(_fits(entry, one) for one in inner) for entry in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))


def _reads_as(text: str, value: Any, hint: Hint) -> bool:
    try:
        found = value_of(text, hint, "", str)
    except ValueError:
        return False
    return found == value and isinstance(found, str) == isinstance(value, str)


def _readable(text: str, value: Any, hint: Hint) -> str:
    need(
        _reads_as(text, value, hint),
        expected=f"{_words(hint)} that can be written as text and read again",
        got=repr(value),
        remedy="Choose another value.",
    )
    return text


def _held(text: str, hint: Hint) -> str:
    """One of several values: in brackets if it is empty or a `/` in it would part it."""
    return f"[{text}]" if hint in (str, Path) and _unwrapped(text) == text and ("/" in text or not text) else text


def _word(value: Any) -> str:
    return (
        {None: "none", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def _unfit(text: str, hint: Hint, setting: str) -> ValueError:
    return ValueError(f"Expected {_words(hint)} for {setting}, got {text!r}. `eigenfall parts` tells what it means.")


def _words(hint: Hint) -> str:
    """What a setting may be, as a user would say it."""
    arguments = typing.get_args(hint)
    if len(_options(hint)) > 1:
        return " or ".join(dict.fromkeys(_words(argument) for argument in arguments))
    if typing.get_origin(hint) is Literal:
        return " or ".join(map(_word, arguments))
    if typing.get_origin(hint) is tuple:
        if arguments[-1] is Ellipsis:
            return f"several of {_words(arguments[0])} joined by /"
        return " / ".join(map(_words, arguments))
    return "none" if hint is type(None) else PLAIN.get(hint, "a part")
