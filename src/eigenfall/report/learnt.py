"""What the page says and shows of layers that learnt by a local rule: gates, receptive fields, norms, their trend."""

from collections.abc import Sequence
from typing import Any

from eigenfall import figures
from eigenfall.figures.style import plain
from eigenfall.report import tables
from eigenfall.report.arms import Arm
from eigenfall.report.numbers import sentence
from eigenfall.report.pictures import Picture, svg
from eigenfall.types import Convergence, Estimate

READING = (
    "A layer learns from inputs alone. A unit that keeps winning comes to norm R; a layer counts as converged when few "
    "units are off it, none has turned against nearly all inputs, and most still answer to some. What is said of a "
    "layer that has not converged is said of the state it was stopped in."
)
COLUMNS = (
    ("units", "kept"),
    ("off norm R", "% of units"),
    ("nearly all negative", "% of units"),
    ("never win", "% of units"),
    ("never answer", "% of units"),
    ("gates", "seeds that hold"),
)


def layers(found: Sequence[Arm]) -> tables.Table | None:
    """Gates of each arm that has a learnt layer; `None` if none has."""
    rows = [tables.Row(arm.name, _cells(arm), order=arm.order) for arm in found if _fields(arm)]
    if not rows:
        return None
    return tables.Table("Gates of learnt layers, before pruning; means over seeds.", COLUMNS, tuple(rows))


def _fields(arm: Arm) -> list[Any]:
    return [one.fields for one in arm.measurements if one.fields is not None]


def _judged(arm: Arm) -> list[Convergence]:
    return [one.convergence for one in arm.measurements if one.convergence is not None]


def _cells(arm: Arm) -> tuple[tables.Cell, ...]:
    units, judged = _fields(arm), _judged(arm)
    kept = ", ".join(dict.fromkeys(str(one.units) for one in units))
    if not judged:
        return (tables.Cell(kept), *[tables.Cell("–")] * 4, tables.Cell("–", note="a rule without a radius"))
    held = sum(one.converged for one in judged)
    worst = "PASS" if held == len(judged) else "WARN"
    word = "" if held == len(judged) else " COLLAPSED" if any(one.collapsed for one in judged) else " UNCONVERGED"
    shares = (
        [one.unconverged for one in judged],
        [float(one.negative.double().mean()) for one in judged],
        [float(one.dead.double().mean()) for one in judged if one.dead is not None],
        [float(one.silent.double().mean()) for one in judged if one.silent is not None],
    )
    cells = (tables.Cell(f"{100 * sum(one) / len(one):.1f}" if one else "–") for one in shares)
    return tables.Cell(kept), *cells, tables.Cell(f"{held} of {len(judged)}{word}", box=worst)


def pictures(found: Sequence[Arm]) -> list[Picture]:
    """Receptive fields of each arm's first seed, norms of all, and how the share off the norm fell while learning."""
    shown = []
    for arm in found:
        images = [one for one in _fields(arm) if one.weights.ndim == 4 and one.weights.shape[1] in (1, 3)]
        if images:
            words = f"Weights of {len(images[0].weights)} of {images[0].units} units of {arm.name}"
            draw = _drawing(images[0], arm)
            shown.append(Picture(f"{arm.name}: receptive fields", svg(draw, words, 400), _caption(arm, images[0])))
    judged = [(arm, _judged(arm)) for arm in found if _judged(arm)]
    if judged:
        told = [f"{arm.name} {sentence(Estimate(100 * values[0].unconverged), ' % off')}" for arm, values in judged]

        def norms(ax: Any) -> None:
            for arm, values in judged:
                figures.plot(values, ax, arm.name, arm.order)

        caption = "Units of all seeds together, before pruning; the dotted line is where units that win arrive."
        shown.append(Picture("Norms", svg(norms, f"Norms of units over the radius; {'; '.join(told)}", 240), caption))
    return [*shown, *_trend(found)]


def _drawing(value: Any, arm: Arm) -> Any:
    return lambda ax: figures.plot(value, ax, plain(arm.name))


def _caption(arm: Arm, value: Any) -> str:
    colours = "red above 0, blue below" if value.weights.shape[1] == 1 else "colours about grey"
    return f"First units, seed {arm.seeds.partition(',')[0]}; {colours}, each unit on its own scale."


def _trend(found: Sequence[Arm]) -> list[Picture]:
    """Share of units off the norm after each epoch."""
    logged = {
        arm: [
            [(row["layer_epoch"], 100 * row["unconverged"]) for row in record.history if "unconverged" in row]
            for record in arm.records
        ]
        for arm in found
    }
    logged = {arm: [rows for rows in seeds if len(rows) > 1] for arm, seeds in logged.items()}
    if not any(logged.values()):
        return []

    def draw(ax: Any) -> None:
        for arm, seeds in logged.items():
            look = figures.series(arm.order)
            for place, rows in enumerate(seeds):
                name = "_" if place else plain(arm.name)
                ax.plot(*zip(*rows), color=look.colour, linestyle=look.line, linewidth=0.9, label=name)
        ax.set_ylim(0, 101)
        ax.set_xlabel("epoch of the layer’s learning")
        ax.set_ylabel("units off norm R, %")

    last = [f"{arm.name} {rows[0][-1][1]:.3g} %" for arm, rows in logged.items() if rows]
    return [
        Picture("Learning", svg(draw, f"Units off norm R; at the end {'; '.join(last)}", 240), "One line per seed.")
    ]
