"""The registry of parts, and the one grammar in which a part is written.

A folder is a kind, a file in it a part, the file's one public dataclass with `__call__` the part's class. A part is
written `name`, `name@preset`, `name:setting=value,setting=value`, or `package.module:Class` for somebody else's (a name
with a dot is dotted; its first `:` belongs to it). A tuple's values are joined by `/`; one value alone is a tuple of
one. `none`, `true`, `false`. A value with a comma, or a part within a part, stands in brackets (`grammar.py`).
"""

import contextlib
import dataclasses
import importlib
import importlib.metadata
import inspect
import operator
import os
import pkgutil
import sys
import types
import typing
import warnings
from collections import defaultdict
from functools import lru_cache, partial
from typing import Any, NamedTuple

from eigenfall.check import need, one_of
from eigenfall.contracts import need_contract
from eigenfall.defaults import is_left_out
from eigenfall.grammar import split, text_of, value_of

KINDS = (
    "architectures",
    "attacks",
    "checks",
    "corruptions",
    "datasets",
    "dimensions",
    "fits",
    "heads",
    "penalties",
    "recordings",
    "rules",
    "smoothness",
    "spectra",
)
HELD = {"rule": "rules", "head": "heads"}
"""Settings that hold a part of another kind than the part's own."""


# ------------------------------------------------------------------------------- registry


def _own(kind: str) -> dict[str, str]:
    """The module of each of our parts of a kind, by its name."""
    package = importlib.import_module(f"eigenfall.{kind}")
    found = {found.name: f"eigenfall.{kind}.{found.name}" for found in pkgutil.iter_modules(package.__path__)}
    return {name: place for name, place in found.items() if not name.startswith("_")}


class _Brought(NamedTuple):
    """A part of an installed package."""

    place: str  # `module` or `module:Class`; extras that an entry point names are none of ours
    package: str

    def __str__(self) -> str:
        return f"{self.place} (of the package {self.package})"


def _brought(kind: str) -> dict[str, list[_Brought]]:
    """Entry points of installed packages by name; two that lead to one place count once."""
    return _entry_points(tuple(_seen(path) for path in sys.path)).get(kind, {})


def _seen(path: str) -> tuple[str, int]:
    """A place of packages, and when something in it last came or went."""
    with contextlib.suppress(OSError):
        return path, os.stat(path or ".").st_mtime_ns
    return path, 0


@lru_cache(maxsize=1)
def _entry_points(places: tuple[tuple[str, int], ...]) -> dict[str, dict[str, list[_Brought]]]:
    """Entry points of every kind, read anew when a place of packages has changed.

    The distributions are asked, not `entry_points`: its points lose their package once `importlib_metadata` is
    imported, as dask does.
    """
    found: dict[str, dict[str, dict[str, _Brought]]] = defaultdict(lambda: defaultdict(dict))
    seen: set[str] = set()
    for package in importlib.metadata.distributions(path=[path for path, _ in places]):
        points = [point for point in package.entry_points if point.group.partition(".")[0] == "eigenfall"]
        if not points or package.metadata["Name"] in seen:  # the first on the path hides others of its name
            continue
        seen.add(package.metadata["Name"])
        for point in points:
            place = f"{point.module}:{point.attr}" if point.attr else point.module
            kind = point.group.partition(".")[2]
            found[kind][point.name].setdefault(place, _Brought(place, package.metadata["Name"]))
    return {kind: {name: list(several.values()) for name, several in named.items()} for kind, named in found.items()}


def names(kind: str) -> tuple[str, ...]:
    """Names of the parts of a kind, in alphabetical order: ours, and those of entry points."""
    one_of(kind, KINDS, "kind of part")
    return tuple(sorted({*_own(kind), *_brought(kind)}))


def part_class(kind: str, name: str, foreign: bool = True) -> type:
    """Class of a part by its name, or by its dotted path `package.module:Class`.

    Args:
        kind: of the part.
        name: of the part.
        foreign: whether a dotted path may be imported, which runs what is in its module.

    Raises:
        ValueError: for an unknown name, with the nearest one; a name that two packages use; a class that cannot be
            imported, is no part, or cannot be called as parts of its kind are.
    """
    one_of(kind, KINDS, "kind of part")
    own, brought = _own(kind), _brought(kind)
    if ":" not in name:
        one_of(name, {*own, *brought}, f"part of kind {kind}")
    need(
        foreign or ":" not in name,
        expected=f"a part of kind {kind} that is installed here under a name of its own",
        got=repr(name),
        remedy="Importing it runs what is in its module: say that you trust the record that names it.",
    )
    place = own.get(name) or _place_of(kind, name, brought.get(name, []))
    if name in own and name in brought:
        others = ", ".join(map(str, brought[name]))
        warnings.warn(f"{name!r} is eigenfall's own part of kind {kind}. For {others} write its path.", stacklevel=2)
    found = _imported(place, name, brought.get(name, []) if name not in own else [])
    need(
        _is_part(found),
        expected=f"a frozen dataclass with __call__ at {name!r}",
        got=f"a {type(found).__name__}" if not inspect.isclass(found) else f"the class {found.__name__}",
        remedy="Write @dataclass(frozen=True) above the class, its settings as fields, and what it does in __call__.",
    )
    need_contract(kind, found, name)
    return found


def _place_of(kind: str, name: str, points: list[_Brought]) -> str:
    """Where the entry points of one name lead; a dotted path leads where it says."""
    need(
        len(points) < 2,
        expected=f"one part of kind {kind} with the name {name!r}",
        got=" and ".join(sorted(map(str, points))),
        remedy="Write the path of the one that you mean, or remove a package.",
    )
    return points[0].place if points else name


def _imported(place: str, name: str, points: list[_Brought]) -> Any:
    """What lies at `module` or `module:Class`."""
    module_path, _, attribute = place.partition(":")
    try:
        module = importlib.import_module(module_path)
        found = operator.attrgetter(attribute)(module) if attribute else None
    except (Exception, SystemExit) as reason:  # somebody else's module may raise anything while it is imported
        if module_path.startswith("eigenfall."):
            raise
        path = f"{name!r}, {points[0]}," if points else repr(name)
        raise ValueError(
            f"Expected {path} to be importable as package.module:Class, got {type(reason).__name__}: {reason}. "
            f"{'Mend the package, or remove it.' if points else 'Install the package, or mend the name.'}"
        ) from reason
    return found if attribute else _class_in(module)


def _is_part(found: Any) -> bool:
    settings = vars(found).get("__dataclass_params__") if inspect.isclass(found) else None
    return settings is not None and settings.frozen and any("__call__" in vars(base) for base in found.__mro__)


def _class_in(module: types.ModuleType) -> type:
    own = [
        value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and inspect.isclass(value)
        and value.__module__ == module.__name__
        and _is_part(value)
    ]
    need(
        len(own) == 1,
        expected=f"one public frozen dataclass with __call__ in {module.__name__}",
        got=", ".join(value.__name__ for value in own) or "none",
        remedy="A file is a part; give others a file of their own.",
    )
    return own[0]


def presets(kind: str, name: str) -> dict[str, Any]:
    """Named instances of a part's class, kept beside it."""
    return _presets(part_class(kind, name))


def _presets(made: type) -> dict[str, Any]:
    kept = getattr(importlib.import_module(made.__module__), "PRESETS", {})
    return {name: preset for name, preset in kept.items() if type(preset) is made}


def _kind_of(made: type) -> str | None:
    """Kind of one of our own classes."""
    package, _, rest = made.__module__.partition(".")
    kind = rest.partition(".")[0]
    return kind if package == "eigenfall" and kind in KINDS else None


def name_of(part: Any) -> str:
    """A part's name: its file's, or its entry point's, or its dotted path."""
    made = type(part)
    if _kind_of(made):
        return made.__module__.rpartition(".")[2]
    for kind in KINDS:
        for name, points in _brought(kind).items():
            module, _, attribute = points[0].place.partition(":")
            here = module == made.__module__ and attribute in ("", made.__qualname__)
            if here and len(points) == 1 and name not in _own(kind):
                return name
    return f"{made.__module__}:{made.__qualname__}"


def semantics(kind: str, part: Any) -> str:
    """Name of the preset that a part equals, or "default"; a part that is neither is "custom"."""
    one_of(kind, KINDS, "kind of part")
    fields = [field for field in dataclasses.fields(part) if field.init]
    if all(getattr(part, field.name) == _default(field) for field in fields):
        return "default"
    return next((name for name, preset in _presets(type(part)).items() if part == preset), "custom")


def _default(field: dataclasses.Field) -> Any:
    """A field's default; `MISSING` if there is none."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def headline(kind: str, name: str) -> str:
    """First line of a part's file: what it is."""
    text = inspect.getdoc(importlib.import_module(part_class(kind, name).__module__)) or ""
    return text.partition("\n")[0]


def attributes(kind: str, name: str) -> list[tuple[str, str, str]]:
    """Each setting of a part with its default and what its docstring says of it."""
    made = part_class(kind, name)
    hints = typing.get_type_hints(made)
    words: dict[str, str] = {}
    _, _, section = inspect.cleandoc(made.__doc__ or "").partition("Attributes:\n")
    for line in section.partition("\n\n")[0].splitlines():
        head, colon, rest = line.strip().partition(":")
        if colon and line.startswith("    ") and not line[4].isspace():
            words[head] = rest.strip()
        elif words:
            words[list(words)[-1]] += f" {line.strip()}"
    return [
        (
            field.name,
            "required"
            if _default(field) is dataclasses.MISSING
            else text_of(_default(field), hints[field.name], spell),
            words.get(field.name, ""),
        )
        for field in dataclasses.fields(made)
        if field.init
    ]


# -------------------------------------------------------------------------------- reading


def read(kind: str, text: str, foreign: bool = True) -> Any:
    """A part from its text in the grammar.

    Args:
        kind: of the part.
        text: the part, written.
        foreign: whether a dotted path in it may be imported, which runs what is in its module.

    Raises:
        ValueError: for an unknown part, preset or setting, with the nearest name, or a value of the wrong type.
    """
    name, _, settings = text.partition(":")
    first = settings.partition(":")[0]
    if "." in name.partition("@")[0] or (name not in names(kind) and first.partition("@")[0].isidentifier()):
        name, settings = f"{name}:{first}", settings[len(first) + 1 :]
    name, at, preset = name.partition("@")
    made = part_class(kind, name, foreign)
    fields = {field.name: field for field in dataclasses.fields(made) if field.init}
    chosen: dict[str, Any] = {}
    if at:
        known = _presets(made)
        one_of(preset, known, f"preset of {name}")
        chosen = {setting: getattr(known[preset], setting) for setting in fields}
    hints = typing.get_type_hints(made)
    given: set[str] = set()
    for piece in split(settings, ",") if settings else []:
        setting, equals, value = piece.partition("=")
        need(
            equals == "=",
            expected=f"setting=value in {text!r}",
            got=repr(piece),
            remedy="Join the two by an equals sign, and settings by a comma.",
        )
        one_of(setting, fields, f"setting of {name}")
        need(setting not in given, expected=f"{setting} once in {text!r}", got="it again", remedy="Leave one out.")
        given.add(setting)
        inner = partial(read, HELD.get(setting, kind), foreign=foreign)
        chosen[setting] = value_of(value, hints[setting], setting, inner)
    missing = [key for key, field in fields.items() if key not in chosen and _default(field) is dataclasses.MISSING]
    need(
        not missing,
        expected=f"{name} with {', '.join(missing)}",
        got=repr(text),
        remedy=f"Write {name}:{','.join(f'{setting}=…' for setting in missing)}",
    )
    return made(**chosen)


def spell(part: Any) -> str:
    """A part in the grammar with every field explicit; `read` gives an equal part back.

    Only settings that came later (`eigenfall.defaults.later`) are left out at their defaults.

    Numbers are written as their field's type: `strength=5` and `strength=5.0` are one part.

    Raises:
        ValueError: for a value that the grammar cannot write: NaN, a text with a bracket that stands alone.
    """
    hints = typing.get_type_hints(type(part))
    settings = [
        f"{field.name}={text_of(getattr(part, field.name), hints[field.name], spell)}"
        for field in dataclasses.fields(part)
        if field.init and not is_left_out(field, part)
    ]
    return f"{name_of(part)}:{','.join(settings)}" if settings else name_of(part)
