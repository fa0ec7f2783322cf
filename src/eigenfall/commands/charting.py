"""What `eigenfall atlas` does: runs, table, figures, correlations, verdict, page."""

import math
from collections.abc import Sequence
from pathlib import Path

from eigenfall.atlas import answers, figures
from eigenfall.atlas.methods import runs
from eigenfall.atlas.points import ALPHA, CLEAN, DISTANCE, SLOPE, gathered
from eigenfall.atlas.sizes import SIZES
from eigenfall.check import need
from eigenfall.commands import screen
from eigenfall.commands.reproducing import SLOW, every_run, executed, need_plotly, sizes
from eigenfall.commands.summary import command_line, summarised
from eigenfall.papers import figuring
from eigenfall.papers.found import Found, Scale, by_arm
from eigenfall.report import atlas as pages
from eigenfall.report import templates
from eigenfall.report.numbers import value_and_interval
from eigenfall.report.reproduction import Doubt, Shown
from eigenfall.report.tables import Cell, Row, Table
from eigenfall.rows import row
from eigenfall.settings import Run
from eigenfall.types import Atlas, Record
from eigenfall.types import Row as Number

TITLE = "Atlas of representations"
SHOWN = {"clean, %": CLEAN, "distance": DISTANCE, "α": ALPHA, "‖J‖": SLOPE}
"""Columns of the table in the terminal, as many as fit there with their intervals; the page has them all."""


def chart(
    scale: Scale,
    method: Sequence[str],
    seeds: Sequence[int],
    workers: int,
    output: Path | None,
    json: str,
    interactive: bool = False,
) -> None:
    """Run what is asked for, print the table and the verdict, draw every figure, write the page."""
    need_plotly(interactive)
    output = output or Path("runs") / f"atlas-{scale}"
    asked = _asked(scale, method, seeds)
    records, problems = executed(asked, output, workers, SIZES[scale, "shallow"].device, scale, SLOW)
    if records:
        tell(records, scale, output, json, interactive)
    if problems:
        raise ValueError("\n".join(problems))


def _asked(scale: Scale, method: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """The runs of what is asked for."""
    asked = runs(scale, method, seeds)
    have = sorted({seed for (at, _), size in SIZES.items() if at == scale for seed in size.seeds})
    need(
        bool(asked),
        expected=f"at least one run of seeds {', '.join(map(str, have))}",
        got=f"--seeds {' '.join(map(str, seeds))}",
        remedy="Leave --seeds out.",
    )
    return asked


def tell(records: Sequence[Record], scale: Scale, output: Path, json: str, interactive: bool = False) -> None:
    """Print the table and the verdict, draw figures, write pages and rows."""
    found, console = Found(scale, by_arm(records)), screen.printing(json)
    atlas = gathered(records, scale)
    for architecture in atlas.architectures:
        screen.table(
            f"{TITLE}, {scale}: {architecture}",
            ("method", *SHOWN),
            [
                (method, *(_printed(atlas, method, architecture, name) for name in SHOWN.values()))
                for method in atlas.methods(architecture)
            ],
            console,
        )
    for sentence in (answers.answer(atlas), *answers.findings(atlas)):
        console.print(sentence, markup=False, soft_wrap=True)
    screen.messages().print("Drawing figures, writing pages", style="dim")
    names = figures.drawable(atlas)
    drawn = figuring.saved(figures.FIGURES, found, output / "figures", names) if names else []
    every_run(records, output, TITLE, interactive)
    path = templates.write(output / "report.html", page_of(atlas, records, drawn))
    console.print(f"Report: {path.resolve()}", markup=False, soft_wrap=True)
    screen.emit([*summarised(records), *rows(atlas)], json)


def rows(atlas: Atlas) -> list[Number]:
    """The numbers of every method over its seeds, and every correlation, as tidy rows."""
    told: list[Number] = []
    for architecture in atlas.architectures:
        for method in atlas.methods(architecture):
            points = atlas.of(method, architecture)
            letters = sorted({letter for point in points for letter in point.failed})
            about = {"method": method, "architecture": architecture, "family": points[0].family, "scale": atlas.scale}
            about |= {"seeds": len(points), "failed": ", ".join(letters)}
            for name, axis in atlas.axes.items():
                mean = atlas.mean(method, architecture, name)
                if not math.isnan(mean.value):
                    told.append(row(f"atlas {name}", mean, says=axis.label, **about))
    return [*told, *figures.correlation_rows(atlas)]


def _printed(atlas: Atlas, method: str, architecture: str, name: str) -> str:
    """A mean with its interval in the terminal; FAIL where a check takes it away."""
    if atlas.axes[name].judged and any(point.failed for point in atlas.of(method, architecture)):
        return "FAIL"
    mean = atlas.mean(method, architecture, name)
    return "\n".join(filter(None, value_and_interval(mean)))


def page_of(atlas: Atlas, records: Sequence[Record], drawn: Sequence[Path]) -> str:
    """The page as text."""
    shown, alts = [], figures.headings(atlas)
    for path in drawn:
        if path.suffix == ".svg":
            figure = figures.FIGURES[path.stem]
            shown.append(Shown(figure.title, path.read_bytes(), alts[path.stem], f"Shown: {figure.shows}."))
    return pages.html(
        f"{TITLE}, scale {atlas.scale}",
        answers.QUESTION,
        answers.answer(atlas),
        answers.findings(atlas),
        [
            pages.methods(
                atlas,
                architecture,
                f"Every method on {atlas.data}, {architecture}: mean over seeds, under it the 95 % interval.",
            )
            for architecture in atlas.architectures
        ],
        _correlations(atlas),
        shown,
        _doubts(atlas, records),
        sizes({net: size for (at, net), size in SIZES.items() if at == atlas.scale}),
        command_line(),
        "runs.html",
    )


def _correlations(atlas: Atlas) -> Table | None:
    """Each outcome's correlations, with the others held and alone."""
    by = figures.by_outcome(atlas)
    made = []
    for outcome, found in by.items():
        for name, one in found.items():
            parted = answers.told_apart(one.partial)
            cells = [
                Cell(*value_and_interval(one.partial), box="" if parted else "OPEN", best=parted),
                Cell(*value_and_interval(one.raw)),
            ]
            made.append(Row(f"{outcome} with {name}", tuple(cells), f"{one.models} runs, {one.groups} methods"))
    if not made:
        return None
    caption = (
        "Rank correlations over runs; 95 % intervals by jackknife over methods. Bold: the interval lies off 0. |α − 1| "
        "is of a reckoning in which it stands in the place of α."
    )
    return Table(caption, (("the others held", "α, ‖J‖, margin, clean accuracy"), ("alone", "")), tuple(made), "")


def _doubts(atlas: Atlas, records: Sequence[Record]) -> list[Doubt]:
    """Checks that failed, runs that are not compared, what this scale cannot say, what the numbers are not."""
    told = []
    for architecture in atlas.architectures:
        for method in atlas.methods(architecture):
            letters = sorted({letter for point in atlas.of(method, architecture) for letter in point.failed})
            if letters:
                words = f"checks {', '.join(letters)}: what attacks find of it is no measure of robustness."
                told.append(Doubt(words, "FAIL", f"{method}, {architecture}"))
        out = answers.left_out(atlas, architecture)
        if out:
            listed = "; ".join(f"{method}: {why}" for method, why in out)
            told.append(Doubt(f"{listed}.", whom=f"Not compared, {architecture}"))
    unsettled = sorted({record.name for record in records if _unsettled(record)})
    if unsettled:
        words = f"Layers that had not settled when their rule ended: {', '.join(unsettled)}."
        told.append(Doubt(words, "WARN", "Learning"))
    told.append(
        Doubt(
            "One strength of each penalty, one schedule for all, nothing tuned: a method's place here is that of these "
            "settings, not of the best it can be. Runs of one method differ by their seed alone, so that correlations "
            "have as many independent points as there are methods.",
            whom="Settings",
        )
    )
    told.append(Doubt(SCALED[atlas.scale], whom="Scale"))
    return told


SCALED = {
    "quick": (
        "Digits of 8 × 8 pixels and 64 hidden units: it shows how methods lie to one another on a small problem, and "
        "nothing about larger ones."
    ),
    "small": "20 000 images of MNIST and nets of 200 units a layer: directions are tested, not sizes.",
    "paper": "CIFAR-10 without augmentation: no net comes near the best clean accuracy known.",
}


def _unsettled(record: Record) -> bool:
    """Whether a learnt layer's record warns that its weights had not settled."""
    return record.run["verb"] == "learn" and any(
        notice.startswith("WARN: currents") for notice in record.measurement.notices
    )
