"""The registry of parts, and the one grammar in which a part is written.

A folder is a kind, a file in it a part, the file's one public dataclass the part's class. A part is written
`name`, `name@preset`, `name:setting=value,setting=value`, or `package.module:Class` for somebody else's (a name with
a dot is dotted; its first `:` belongs to it). A tuple's values are joined by `/`; one value alone is a tuple of one.
A value with a comma, or a part within a part, stands in brackets.
"""

import dataclasses
import importlib
import importlib.metadata
import inspect
import pkgutil
import types
import typing
from pathlib import Path
from typing import Any, Literal

from eigenfall.check import need, one_of

KINDS = ("architectures", "attacks", "checks", "datasets", "fits", "penalties", "recordings", "smoothness", "spectra")


def _modules(kind: str) -> dict[str, str]:
    """Module path of each part of a kind by its name: ours, then those that entry points bring in."""
    package = importlib.import_module(f"eigenfall.{kind}")
    own = {found.name: f"eigenfall.{kind}.{found.name}" for found in pkgutil.iter_modules(package.__path__)}
    brought = importlib.metadata.entry_points(group=f"eigenfall.{kind}")
    return {**{point.name: point.value.partition(":")[0] for point in brought}, **own}


def names(kind: str) -> tuple[str, ...]:
    """Names of the parts of a kind, in alphabetical order."""
    one_of(kind, KINDS, "kind of part")
    return tuple(sorted(_modules(kind)))


def _class_in(module: types.ModuleType) -> type:
    own = [
        value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and dataclasses.is_dataclass(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and "__call__" in vars(value) or name == getattr(module, "PART", None)
    ]
    need(
        len(own) >= 1,
        expected=f"a dataclass with __call__ in {module.__name__}",
        got="none",
        remedy="A part's file holds one public class with __call__.",
    )
    return own[0]


def part_class(kind: str, name: str) -> type:
    """Class of a part by its name, or by its dotted path `package.module:Class`."""
    one_of(kind, KINDS, "kind of part")
    if "." in name:
        path, _, attribute = name.partition(":")
        try:
            return getattr(importlib.import_module(path), attribute)
        except (ImportError, AttributeError) as reason:
            raise ValueError(
                f"Expected {name!r} to be importable as package.module:Class, got {reason}. Install the package, or "
                "mend the name."
            ) from reason
    modules = _modules(kind)
    one_of(name, modules, f"part of kind {kind}")
    return _class_in(importlib.import_module(modules[name]))


def presets(kind: str, name: str) -> dict[str, Any]:
    """Named instances kept beside a part's class."""
    module = importlib.import_module(part_class(kind, name).__module__)
    return dict(getattr(module, "PRESETS", {}))


def split(text: str, separator: str) -> list[str]:
    """Pieces of a text between separators outside brackets."""
    pieces, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == separator and depth == 0:
            pieces.append(text[start:place])
            start = place + 1
    need(depth == 0, expected="as many [ as ]", got=repr(text), remedy="Close the bracket.")
    return [*pieces, text[start:]]


def _value(text: str, kind_of_field: Any, kind: str, setting: str) -> Any:
    """A setting's text as its field's type."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    origin, arguments = typing.get_origin(kind_of_field), typing.get_args(kind_of_field)
    if origin in (typing.Union, types.UnionType):
        if text == "none":
            need(type(None) in arguments, expected=f"a value for {setting}", got="none", remedy="Give one.")
            return None
        options = sorted(
            (argument for argument in arguments if argument is not type(None)),
            key=lambda argument: typing.get_origin(argument) is tuple or argument is str,
        )
        refusal: Exception | None = None
        for option in options:
            try:
                return _value(text, option, kind, setting)
            except ValueError as reason:
                refusal = reason
        raise refusal or ValueError(f"Expected a value for {setting}, got {text!r}. See `eigenfall parts {kind}`.")
    if origin is Literal:
        by_text = {str(argument): argument for argument in arguments}
        one_of(text, by_text, f"value of {setting}")
        return by_text[text]
    if origin is tuple:
        inner = arguments[0] if arguments else str
        pieces = [piece for piece in split(text, "/") if piece != ""]
        if len(arguments) > 1 and arguments[1] is not Ellipsis:
            need(
                len(pieces) == len(arguments),
                expected=f"{len(arguments)} values joined by / for {setting}",
                got=repr(text),
                remedy="Join them by /.",
            )
        return tuple(_value(piece, inner, kind, setting) for piece in pieces)
    if kind_of_field is bool:
        need(text in ("true", "false"), expected=f"true or false for {setting}", got=repr(text), remedy="Write one.")
        return text == "true"
    if kind_of_field in (int, float):
        try:
            return kind_of_field(text)
        except ValueError:
            what = "a whole number" if kind_of_field is int else "a number"
            raise ValueError(f"Expected {what} for {setting}, got {text!r}. Write it in digits.") from None
    if kind_of_field is Path:
        return Path(text)
    if kind_of_field is str:
        return text
    return read(kind, text)


def read(kind: str, text: str) -> Any:
    """A part from its text in the grammar.

    Raises:
        ValueError: for an unknown part, preset or setting, with the nearest name, or a value of the wrong type.
    """
    name, _, settings = text.partition(":")
    if "." in name.partition("@")[0]:
        attribute, _, settings = settings.partition(":")
        name = f"{name}:{attribute}"
    name, _, preset = name.partition("@")
    made = part_class(kind, name)
    chosen: dict[str, Any] = {}
    if preset:
        known = presets(kind, name)
        one_of(preset, known, f"preset of {name}")
        chosen = {field.name: getattr(known[preset], field.name) for field in dataclasses.fields(made)}
    hints = typing.get_type_hints(made)
    known_fields = [field.name for field in dataclasses.fields(made)]
    for piece in filter(None, split(settings, ",")):
        setting, equals, value = piece.partition("=")
        need(
            equals == "=", expected=f"setting=value in {text!r}", got=repr(piece), remedy="Join the two by an equals sign."
        )
        one_of(setting, known_fields, f"setting of {name}")
        chosen[setting] = _value(value, hints[setting], kind, setting)
    missing = [
        field.name
        for field in dataclasses.fields(made)
        if field.name not in chosen
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    need(
        not missing,
        expected=f"{name} with {', '.join(missing)}",
        got=repr(text),
        remedy=f"Write {name}:{missing[0] if missing else ''}=….",
    )
    return made(**chosen)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "/".join(_text(entry) for entry in value)
    if dataclasses.is_dataclass(value):
        return f"[{spell(value)}]"
    text = repr(value) if isinstance(value, float) else str(value)
    return f"[{text}]" if "," in text else text


def name_of(part: Any) -> str:
    """A part's name: its file's, or its dotted path if it is not ours."""
    made = type(part)
    if made.__module__.startswith("eigenfall."):
        return made.__module__.rpartition(".")[2]
    return f"{made.__module__}:{made.__qualname__}"


def spell(part: Any) -> str:
    """A part in the grammar with every field explicit; `read` gives an equal part back."""
    settings = ",".join(f"{field.name}={_text(getattr(part, field.name))}" for field in dataclasses.fields(part))
    return f"{name_of(part)}:{settings}" if settings else name_of(part)


def semantics(kind: str, part: Any) -> str:
    """Name of the preset that a part equals, or "default"; a part that is neither is "custom"."""
    if part == _default(type(part)):
        return "default"
    module = importlib.import_module(type(part).__module__)
    for name, preset in getattr(module, "PRESETS", {}).items():
        if part == preset:
            return name
    return "custom"


def _default(made: type) -> Any:
    try:
        return made()
    except TypeError:
        return None


def attributes(kind: str, name: str) -> list[tuple[str, str, str]]:
    """Each setting of a part with its default and what its docstring says of it."""
    made = part_class(kind, name)
    words: dict[str, str] = {}
    _, _, section = inspect.cleandoc(made.__doc__ or "").partition("Attributes:\n")
    current = ""
    for line in section.splitlines():
        if not line.strip():
            break
        head, colon, rest = line.strip().partition(":")
        if line.startswith("    ") and not line.startswith("     ") and colon and head.isidentifier():
            current = head
            words[current] = rest.strip()
        elif current:
            words[current] += f" {line.strip()}"
    return [
        (
            field.name,
            "required" if field.default is dataclasses.MISSING else _text(field.default),
            words.get(field.name, ""),
        )
        for field in dataclasses.fields(made)
    ]
