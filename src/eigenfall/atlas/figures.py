"""The figures of the atlas: each outcome against what may explain it, and what goes with what.

Their numbers lie beside them as CSV, a row for each run or correlation.
"""

import math
from typing import Any

from eigenfall.associations import Association
from eigenfall.atlas import answers, drawn
from eigenfall.atlas.answers import FROM_ONE, OUTCOMES
from eigenfall.atlas.points import ALPHA, CLEAN, DISTANCE, MARGIN, NOISE, SLOPE, WORST, gathered
from eigenfall.papers.drawn.canvas import number
from eigenfall.papers.figuring import Figure
from eigenfall.papers.found import Found
from eigenfall.papers.verdicts import with_interval
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
            parts.append(where + ", ".join(f"{name} {with_interval(one.partial)}" for name, one in found.items()))
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
        return drawn.scattered(atlas, outcome, ACROSS, {ALPHA: 1.0}, told(atlas, outcome), missing(atlas))

    def rows(found: Found, _: Any) -> list[Row]:
        return [
            {"method": point.method, "architecture": point.architecture, "seed": point.seed, "run": point.run}
            | {name: point.value(name) for name in (outcome, *ACROSS)}
            for point in atlas_of(found).points
        ]

    shows = "a run each, and the mean of each method, against α, ‖J‖, margin and clean accuracy"
    return Figure(f"{SHORT[outcome].capitalize()} of every method", shows, (), draw, (), (), rows)


def missing(atlas: Atlas) -> str:
    """Which methods have no exponent to be drawn, as a sentence; empty if all have."""
    without = [
        method
        for architecture in atlas.architectures
        for method in atlas.methods(architecture)
        if math.isnan(atlas.mean(method, architecture, ALPHA).value)
    ]
    return f"No exponent, so not in the first panel: {', '.join(dict.fromkeys(without))}." if without else ""


def _draw_correlations(found: Found, _: Any) -> Any:
    atlas = atlas_of(found)
    title = answers.what_goes_with_it(atlas, atlas.architectures[0])
    return drawn.correlated(by_outcome(atlas), title)


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
    return [name for name in FIGURES if name != "correlations" or by_outcome(atlas)] if atlas.points else []


def headings(atlas: Atlas) -> dict[str, str]:
    """What each figure was found to show, by name: its text for whoever does not see it."""
    told_of = {name: told(atlas, outcome) for name, outcome in zip(("distance", "worst-case", "noise"), OUTCOMES)}
    return told_of | {"correlations": " ".join(answers.findings(atlas))}
