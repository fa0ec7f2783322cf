"""What `eigenfall reproduce holzhausen2024` does: runs, claims, figures, page."""

from collections.abc import Sequence
from pathlib import Path

from eigenfall.check import need, one_of
from eigenfall.commands import screen
from eigenfall.commands.reproducing import (
    claim_rows,
    every_run,
    executed,
    need_plotly,
    pictures,
    show_claims,
    sizes,
)
from eigenfall.commands.summary import command_line, summarised
from eigenfall.papers.holzhausen2024 import answers, figures
from eigenfall.papers.holzhausen2024.claims import judged
from eigenfall.papers.holzhausen2024.found import Found
from eigenfall.papers.holzhausen2024.found import gathered as by_arm
from eigenfall.papers.holzhausen2024.runs import Kind, arms, runs
from eigenfall.papers.holzhausen2024.sizes import SIZES, Scale
from eigenfall.report import reproduction, templates
from eigenfall.report.numbers import percent, value_and_interval
from eigenfall.report.reproduction import Doubt
from eigenfall.report.tables import Cell, Row, Table
from eigenfall.rows import row
from eigenfall.types import Estimate, Judged, Record
from eigenfall.types import Row as Number

TITLE = "Holzhausen et al. 2024, redrawn"
PARTS = {"main": "the five nets and what stands beside them", "spectral": "the spectral test of §7.7"}
HEADINGS = {
    "accuracy": ("test accuracy", "%"),
    "alpha": ("α of the currents", ""),
    "straightness": ("R² of its line", ""),
    "alpha_hidden": ("α after the activation", ""),
    "random": ("noise that flips half", "s.d., L3 units"),
    "linf": ("smallest perturbation", "L∞, L3 units"),
}
TABLES: dict[str, tuple[Kind, ...]] = {
    "The nets of the paper, and what should stand beside them; distances over each net's own right images.": (
        "paper",
        "beside",
    ),
    "Sweeps of weight decay and of the Jacobian of the logits: fronts, not points.": ("sweep",),
    "Other local rules, and layers that learn nothing, under the same power and readout.": ("rule",),
}


def reproduce(
    scale: Scale,
    figure: str,
    arm: Sequence[str],
    seeds: Sequence[int],
    workers: int,
    output: Path | None,
    json: str,
    interactive: bool = False,
) -> None:
    """Run what is asked for, judge every claim, draw every figure, write the page."""
    need_plotly(interactive)
    known = arms(scale)
    for name in arm:
        one_of(name, [each.name for each in known], "arm")
    if figure:
        one_of(figure, figures.FIGURES, "figure")
        arm = [*arm, *(name for name in figures.FIGURES[figure].arms if name in {each.name for each in known})]
    output = output or Path("runs") / f"holzhausen2024-{scale}"
    asked = runs(scale, arm, seeds)
    need(bool(asked), expected="at least one run", got="no arm with these seeds", remedy="Leave --seeds out.")
    slow = "the paper's scale takes weeks without a GPU; --scale small takes an hour and a half."
    records, problems = executed(asked, output, workers, SIZES[scale, "main"].device, scale, slow)
    if records:
        _told(records, scale, figure, output, json, interactive)
    if problems:
        raise ValueError("\n".join(problems))


def _told(records: Sequence[Record], scale: Scale, figure: str, output: Path, json: str, interactive: bool) -> None:
    """Print claims, draw figures, write pages and rows."""
    found, console = by_arm(records, scale), screen.printing(json)
    drawn = figures.saved(found, output / "figures", [figure] if figure else list(figures.FIGURES))
    if figure:
        for path in drawn:
            console.print(f"Figure: {path.resolve()}", markup=False, soft_wrap=True)
        need(
            bool(drawn), expected=f"the runs of {figure}", got=figures.missing(figure, found), remedy="Leave --arm out."
        )
        screen.emit([number for record in records for number in record.measurement.rows], json)
        return
    claims = judged(found)
    show_claims(f"Holzhausen et al. 2024 at scale {scale}", claims, console)
    console.print(answers.answer(found, claims), markup=False, soft_wrap=True)
    every_run(records, output, TITLE, interactive)
    path = templates.write(output / "report.html", _page(found, claims, drawn))
    console.print(f"Report: {path.resolve()}", markup=False, soft_wrap=True)
    screen.emit([*summarised(records), *rows(found, claims)], json)


def rows(found: Found, claims: Sequence[Judged]) -> list[Number]:
    """Claims, and the numbers of every arm, as tidy rows."""
    told = claim_rows(claims, found.scale)
    for line in answers.lines(found, [each.name for each in arms(found.scale)]):
        about = {"arm": line.name, "seeds": line.seeds, "scale": found.scale, "unconverged": line.unconverged}
        about["failed"] = line.failed
        told += [row(f"reproduced_{what}", value, **about) for what, value in line.numbers.items()]
        for family, lead in line.leads.items():
            if lead.number is not None:
                quantity = f"lead_over_{family.lower()}"
                told.append(row(quantity, lead.number, verdict=lead.verdict, told=lead.told, **about))
    return told


def _page(found: Found, claims: Sequence[Judged], drawn: Sequence[Path]) -> str:
    """The page as text."""
    names = {kinds: [each.name for each in arms(found.scale) if each.kind in kinds] for kinds in TABLES.values()}
    tables = [_table(caption, answers.lines(found, names[kinds])) for caption, kinds in TABLES.items()]
    return reproduction.html(
        f"{TITLE}, scale {found.scale}",
        answers.QUESTION,
        answers.answer(found, claims),
        claims,
        [table for table in tables if table.rows],
        pictures(drawn, figures.heading),
        _doubts(found, claims),
        sizes({PARTS[name]: size for (at, name), size in SIZES.items() if at == found.scale}),
        command_line(),
        "runs.html",
    )


def _table(caption: str, found: Sequence[answers.Line]) -> Table:
    """Numbers of arms, and their lead over weight decay at equal accuracy."""
    lines = []
    for line in found:
        cells = [_cell(what, line.numbers.get(what)) for what in HEADINGS]
        cells += [
            Cell("–") if lead.number is None else Cell(*value_and_interval(lead.number), box=lead.verdict)
            for lead in line.leads.values()
        ]
        lines.append(Row(line.name, tuple(cells), note=_note(line)))
    columns = (
        *HEADINGS.values(),
        *((f"lead over the {each} sweep", "× at its accuracy or above") for each in answers.FAMILIES),
    )
    return Table(caption, columns, tuple(lines))


def _note(line: answers.Line) -> str:
    told = f"UNCONVERGED: {line.unconverged}" if line.unconverged else ""
    return "; ".join(one for one in (told, line.failed) if one)


def _cell(what: str, estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell("–")
    return Cell(*value_and_interval(percent(estimate) if what == "accuracy" else estimate))


def _doubts(found: Found, claims: Sequence[Judged]) -> list[Doubt]:
    """Layers that did not pass their gates, claims that nothing tested, checks that failed."""
    told = [Doubt(found.unconverged(name), "UNCONVERGED") for name in found.records if found.unconverged(name)]
    failed = [one for one in (found.failed(name) for name in found.records) if one]
    told += [Doubt(f"{one}: its accuracy under attack is no number to quote.", "FAIL") for one in failed]
    told.append(Doubt(reproduction.tally(claims), whom="Verdicts"))
    if found.scale != "paper":
        size = SIZES[found.scale, "main"]
        told.append(
            Doubt(
                f"Nets have {size.units} units, not 2 000, and learn from fewer images and for fewer steps: numbers of "
                "the paper are not tested, its orders are.",
                whom="Scale",
            )
        )
    return told
