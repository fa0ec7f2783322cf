"""The figures of the atlas: each outcome against what may explain it, and what goes with what.

Their numbers lie beside them as CSV, a row for each run or correlation.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eigenfall.associations import Association
from eigenfall.atlas import answers, drawn
from eigenfall.atlas.answers import FROM_ONE, OUTCOMES
from eigenfall.atlas.points import ALPHA, CLEAN, DISTANCE, MARGIN, NOISE, SLOPE, WORST, gathered
from eigenfall.papers.drawn.canvas import number
from eigenfall.papers.figuring import Figure
from eigenfall.papers.found import Found
from eigenfall.rows import row
from eigenfall.types import Atlas, Row

ACROSS = (ALPHA, SLOPE, MARGIN, CLEAN)
"""What an outcome is drawn against."""
SHORT = {DISTANCE: "smallest perturbation", WORST: "worst case", NOISE: "noise"}


def atlas_of(found: Found) -> Atlas:
    """The atlas of what the runs came to."""
    records = [record for by_seed in found.records.values() for record in by_seed.values()]
    return gathered(records, found.scale)


def told(atlas: Atlas, outcome: str) -> str:
    """What a figure of an outcome shows, in a sentence made from the numbers."""
    parts = []
    for architecture in atlas.architectures:
        found = answers.associations(atlas, architecture, outcome)
        where = f"{architecture}: " if len(atlas.architectures) > 1 else ""
        if found:
            parts.append(where + ", ".join(f"{name} {answers.with_ends(one.partial)}" for name, one in found.items()))
    if parts:
        return f"Rank correlation of {SHORT[outcome]} with the others held: {'; '.join(parts)}"
    architecture = next(iter(atlas.architectures))
    means = {method: atlas.mean(method, architecture, outcome).value for method in atlas.methods(architecture)}
    first = max(means, key=lambda method: means[method])
    return f"{SHORT[outcome].capitalize()}: {first} has most, {number(means[first])}; too few methods for a correlation"


def by_outcome(atlas: Atlas) -> dict[str, dict[str, Association]]:
    """Associations of each outcome of each architecture, by its name in words; α as it is, and in its distance from 1.

    That of |α − 1| is of a second reckoning, in which it stands in the place of α.
    """
    made = {}
    for architecture in atlas.architectures:
        where = f"{architecture}: " if len(atlas.architectures) > 1 else ""
        for outcome in OUTCOMES:
            found = answers.associations(atlas, architecture, outcome)
            if found:
                other = answers.associations(atlas, architecture, outcome, FROM_ONE)
                beside = {FROM_ONE: other[FROM_ONE]} if other else {}
                made[f"{where}{SHORT[outcome]}"] = {**found, **beside}
    return made


def _scatter(outcome: str) -> Figure:
    def draw(found: Found, _: Any) -> Any:
        atlas = atlas_of(found)
        return drawn.scattered(shown(atlas), outcome, ACROSS, {ALPHA: 1.0}, told(atlas, outcome), not_shown(atlas))

    def rows(found: Found, _: Any) -> list[Row]:
        return [
            {"method": point.method, "architecture": point.architecture, "seed": point.seed, "run": point.run}
            | {name: point.value(name) for name in (outcome, *ACROSS)}
            | {"left out of correlations": answers.why_not(point)}
            for point in atlas_of(found).points
        ]

    shows = "a run each, and the mean of each method, against α, ‖J‖, margin and clean accuracy"
    return Figure(f"{SHORT[outcome].capitalize()} of every method", shows, (), draw, (), (), rows)


def shown(atlas: Atlas) -> Atlas:
    """The runs that are drawn: all that are right on more than half of the images."""
    return replace(atlas, points=tuple(point for point in atlas.points if point.value(CLEAN) > answers.HALF))


def not_shown(atlas: Atlas) -> str:
    """Which methods are not drawn, or not in every panel, and why; empty if all are."""
    drawn_there = shown(atlas).points
    lost = dict.fromkeys(point.method for point in atlas.points if point not in drawn_there)
    bare = dict.fromkeys(point.method for point in drawn_there if not math.isfinite(point.value(ALPHA)))
    told = [f"Not drawn, as wrong on half of the images or more: {', '.join(lost)}." if lost else ""]
    told.append(f"Not in the first panel, for want of an exponent: {', '.join(bare)}." if bare else "")
    return " ".join(filter(None, told))


def _draw_correlations(found: Found, _: Any) -> Any:
    by = by_outcome(atlas_of(found))
    return drawn.correlated(by, parted(by))


def parted(by: Mapping[str, Mapping[str, Association]]) -> str:
    """What each outcome goes with beyond its interval, in a sentence."""
    told = []
    for outcome, found in by.items():
        names = [name for name, one in found.items() if answers.told_apart(one.partial)]
        told.append(f"{outcome} with {' and '.join(names) or 'none of these'}")
    return f"With the others held, what goes together beyond its interval: {'; '.join(told)}"


def _correlation_rows(found: Found, _: Any) -> list[Row]:
    return correlation_rows(atlas_of(found))


def correlation_rows(atlas: Atlas) -> list[Row]:
    """Every correlation as tidy rows, with the others held and alone."""
    told: list[Row] = []
    for outcome, by in by_outcome(atlas).items():
        for name, one in by.items():
            about = {
                "outcome": outcome,
                "with": name,
                "models": one.models,
                "methods": one.groups,
                "scale": atlas.scale,
            }
            told.append(row("association", one.partial, held="the others", **about))
            told.append(row("association", one.raw, held="none", **about))
    return told


FIGURES: dict[str, Figure] = {
    "distance": _scatter(DISTANCE),
    "worst-case": _scatter(WORST),
    "noise": _scatter(NOISE),
    "correlations": Figure(
        "What goes with robustness",
        "rank correlations of each outcome, with the others held and alone",
        (),
        _draw_correlations,
        (),
        (),
        _correlation_rows,
    ),
}
"""By name, as their files have it. That of correlations is drawn only where there are any."""


def drawable(atlas: Atlas) -> list[str]:
    """Names of the figures that these runs make."""
    return [name for name in FIGURES if (by_outcome(atlas) if name == "correlations" else shown(atlas).points)]


def headings(atlas: Atlas) -> dict[str, str]:
    """What each figure was found to show, by name: its text for whoever does not see it."""
    told_of = {name: told(atlas, outcome) for name, outcome in zip(("distance", "worst-case", "noise"), OUTCOMES)}
    return told_of | {"correlations": parted(by_outcome(atlas))}
