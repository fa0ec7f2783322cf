"""Many settings from few words: a table of what all runs share, lists whose product is taken, and runs one by one.

    [run]    data = "digits"          shared by all
    [grid]   penalty = [a, b]         one run for each combination of the values
             strength = [1, 5]
    [[runs]] penalty = a              one run, with what is shared

A name in braces, as in `penalty = "spectral:strength={strength}"`, stands for the value of that name. What the names
and values mean is known to whoever reads the points.
"""

import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eigenfall.check import need, one_of

TABLES = ("run", "grid", "runs", "cluster")
BRACES = re.compile(r"\{([\w-]+)\}")
Settings = Mapping[str, Any]
"""Texts, numbers, truth values and lists of them by name."""


@dataclass(frozen=True)
class Grid:
    """What a sweep is to run.

    Attributes:
        run: settings that all runs share.
        grid: alternatives, by the setting that they are of; the product of all is run.
        runs: settings of single runs, beside those that are shared.
        cluster: where it is run, if not here.
    """

    run: Settings = field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    runs: tuple[Settings, ...] = ()
    cluster: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """Settings of one run, or of as many as it has seeds.

    Attributes:
        settings: by name, nothing in braces any more.
        name: what the grid says of it; empty outside a grid.
        spare: names that stand in braces somewhere, and need mean nothing by themselves.
        shared: names that it has from [run] alone.
    """

    settings: Settings
    name: str = ""
    spare: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()


def read(path: Path) -> Grid:
    """A sweep from its TOML file.

    Raises:
        ValueError: if it cannot be read, or holds a table that is not known or not as it should be.
    """
    need(path.is_file(), expected=f"a sweep in TOML at {path}", got="no such file", remedy="Look at the path.")
    try:
        content = tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise ValueError(f"Expected a sweep in TOML at {path}, got: {reason}. Mend that place.") from reason
    for name, table in content.items():
        one_of(name, TABLES, f"table of {path.name}")
        several = name == "runs"
        need(
            all(isinstance(one, dict) for one in table)
            if several and isinstance(table, list)
            else isinstance(table, dict) and not several,
            expected=f"{'tables [[runs]]' if several else f'a table [{name}]'} in {path.name}",
            got=repr(table),
            remedy=f"Write {'[[runs]]' if several else f'[{name}]'} above its settings.",
        )
    return grid_of(content.get("run", {}), content.get("grid", {}), content.get("runs", []), content.get("cluster", {}))


def grid_of(run: Settings, grid: Settings, runs: Iterable[Settings] = (), cluster: Settings | None = None) -> Grid:
    """A sweep from its tables; a hyphen in a name is as good as `_`.

    Raises:
        ValueError: for a name that stands twice, a table within a table, or no alternatives in the grid.
    """
    alternatives = _named(grid, "[grid]")
    for name, values in alternatives.items():
        need(
            isinstance(values, list | tuple) and len(values) > 0,
            expected=f"a list of values for {name} in [grid]",
            got=repr(values),
            remedy="Write them in brackets, or move it to [run] if there is one alone.",
        )
    return Grid(_named(run, "[run]"), alternatives, tuple(_named(one, "[[runs]]") for one in runs), dict(cluster or {}))


def _named(table: Settings, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        plain = name.replace("-", "_")
        need(plain not in found, expected=f"{name} once in {where}", got="it again", remedy="Leave one out.")
        need(
            not any(isinstance(one, dict) for one in (value if isinstance(value, list) else [value])),
            expected=f"a value of {name} in {where}",
            got="a table",
            remedy=f"Write {name} = …",
        )
        found[plain] = value
    return found


def merged(grid: Grid, run: Settings, alternatives: Settings) -> Grid:
    """A sweep with other settings, and other alternatives, put in the place of its own."""
    more = grid_of(run, alternatives)
    kept = {name: values for name, values in grid.grid.items() if name not in more.run}
    shared = {name: value for name, value in grid.run.items() if name not in more.grid}
    return replace(grid, run={**shared, **more.run}, grid={**kept, **more.grid})


def points(grid: Grid) -> list[Point]:
    """Every run that a sweep asks for: the product of the grid, then the single ones.

    A point's name says every value of the grid, but for those that stand in braces in another one, or nowhere in it.

    Raises:
        ValueError: for a name in braces that stands for nothing.
    """
    everywhere = [value for values in grid.grid.values() for value in values]
    everywhere += [value for table in (grid.run, *grid.runs) for value in table.values()]
    spare = frozenset(_in_braces(everywhere))
    found = []
    if grid.grid or not grid.runs:
        for values in itertools.product(*grid.grid.values()):
            chosen = dict(zip(grid.grid, values))
            settings = {**grid.run, **chosen}
            done = filled(settings)
            inside, used = _in_braces(list(values)), _in_braces(list(settings.values()))
            said = [key for key in chosen if key not in inside and (key in used or key not in spare)]
            name = " ".join(_said(key, done[key]) for key in said)
            found.append(Point(done, name, spare, frozenset(grid.run.keys() - chosen.keys())))
    for one in grid.runs:
        found.append(Point(filled({**grid.run, **one}), "", spare, frozenset(grid.run.keys() - one.keys())))
    return found


def _in_braces(value: Any) -> set[str]:
    """Names that stand in braces in a text or in a list of them, at any depth."""
    if isinstance(value, list | tuple):
        return set().union(*map(_in_braces, value))
    return {name.replace("-", "_") for name in BRACES.findall(value)} if isinstance(value, str) else set()


def _said(key: str, value: Any) -> str:
    """A value of the grid as the name of a point says it: a text by itself, a number after what it is of."""
    hyphened = key.replace("_", "-")
    if isinstance(value, list | tuple):
        return "+".join(map(text_of, value)) or f"no-{hyphened}"
    if value == "none":
        return f"no-{hyphened}"
    return value if isinstance(value, str) and value[:1].isalpha() else f"{hyphened}={text_of(value)}"


def filled(settings: Settings) -> dict[str, Any]:
    """Settings with every name in braces replaced by its value.

    Raises:
        ValueError: for a name in braces that stands for nothing, for several values, or for another name in braces.
    """

    def put(match: re.Match[str]) -> str:
        name = match[1].replace("-", "_")
        one_of(name, settings, "name in braces")
        value = settings[name]
        need(
            not isinstance(value, list | tuple) and not _in_braces(value),
            expected=f"one plain value for {match[0]}",
            got=repr(value),
            remedy="Give that name a number or a text.",
        )
        return text_of(value)

    def fill(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [fill(one) for one in value]
        return BRACES.sub(put, value) if isinstance(value, str) else value

    return {name: fill(value) for name, value in settings.items()}


def text_of(value: Any) -> str:
    """A value as it stands in the grammar of parts, a whole number without its `.0`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
