"""What `eigenfall reproduce nassar2020` does: runs, bands, claims, controls, figures, page."""

from collections.abc import Sequence
from pathlib import Path

from eigenfall.check import need, one_of
from eigenfall.commands import screen
from eigenfall.commands.reproducing import (
    SLOW,
    claim_rows,
    every_run,
    executed,
    need_plotly,
    pictures,
    show_claims,
    sizes,
)
from eigenfall.commands.summary import command_line, summarised
from eigenfall.papers.found import Scale
from eigenfall.papers.nassar2020 import answers, bands, figures
from eigenfall.papers.nassar2020.answers import Line
from eigenfall.papers.nassar2020.claims import judged
from eigenfall.papers.nassar2020.experiments import EXPERIMENTS, finished_before
from eigenfall.papers.nassar2020.found import Found, gathered
from eigenfall.papers.nassar2020.runs import Kind, arms, runs
from eigenfall.papers.nassar2020.sizes import SIZES, Net
from eigenfall.report import reproduction, templates
from eigenfall.report.numbers import percent, value_and_interval
from eigenfall.report.reproduction import Doubt
from eigenfall.report.tables import Cell, Row, Table
from eigenfall.rows import row
from eigenfall.settings import Run
from eigenfall.types import Estimate, Judged, Record
from eigenfall.types import Row as Number

TITLE = "Nassar et al. 2020, redrawn"
GROUPS: dict[str, tuple[Kind, ...]] = {
    "The nets of the paper, and what should stand beside them": ("paper", "beside"),
    "Plain training stopped early: the path that arms are matched on by their clean accuracy": ("stop",),
    "Sweeps of strengths, and variants of the appendix": ("sweep", "variant"),
}
NAMES: dict[Net, str] = {"deep": "several hidden layers", "shallow": "one hidden layer", "cnn": "convolutional"}
READING = (
    "Each claim is measured twice: as the paper's own code measures (basis once an epoch, PGD of 40 steps of .01 on "
    "cross-entropy), and as it should be (basis renewed when stale, worst case per image over three losses and two "
    "starts, with checks). A gain is a difference of accuracy in points, paired by seed, with its 95 % interval, "
    "widened for the number of ε that are asked together: it HOLDS above 0, FAILS below it and is OPEN over it. That "
    f"something is not enough HOLDS where the gain lies below {5:g} points. Fewer than three seeds, another scale, or "
    "a check that FAILs: NOT TESTED, with the reason."
)


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
    """Run what is asked for, hold it against bands, judge every claim, draw every figure, write the page."""
    need_plotly(interactive)
    output = output or Path("runs") / f"nassar2020-{scale}"
    asked = _asked(scale, figure, arm, seeds)
    records, problems = executed(asked, output, workers, SIZES[scale, "deep"].device, scale, SLOW)
    if figure:
        _drawn(records, scale, figure, output, json)
    elif records:
        problems += _told(records, scale, output, json, interactive)
    if problems:
        raise ValueError("\n".join(problems))


def _asked(scale: Scale, figure: str, arm: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """The runs of what is asked for: everything, some arms, or what a figure shows."""
    need(
        min(seeds, default=0) >= 0,
        expected="seeds from 0",
        got=f"{min(seeds, default=0)}",
        remedy="Use --seeds 0 1 2.",
    )
    known = [each.name for each in arms(scale)]
    for name in arm:
        one_of(name, known, "arm")
    if figure:
        one_of(figure, figures.FIGURES, "figure")
        arm = [*arm, *(name for name in figures.FIGURES[figure].arms if name in known)]
    asked = runs(scale, arm, seeds) if arm or not figure else []
    if figure in EXPERIMENTS:
        need(
            bool(EXPERIMENTS[figure].runs(scale, ())),
            expected=f"a scale at which the question of {figure} is asked",
            got=scale,
            remedy="Use --scale small.",
        )
        asked += EXPERIMENTS[figure].runs(scale, seeds)
    need(
        bool(asked) or bool(figure and not figures.FIGURES[figure].arms),
        expected="at least one run",
        got="no arm with these seeds",
        remedy="Leave --seeds out.",
    )
    return asked


def _drawn(records: Sequence[Record], scale: Scale, figure: str, output: Path, json: str) -> None:
    """Draw one figure, and say where it is."""
    found, console = gathered(records, scale), screen.printing(json)
    drawn = figures.saved(found, output / "figures", [figure])
    for path in drawn:
        console.print(f"Figure: {path.resolve()}", markup=False, soft_wrap=True)
    need(bool(drawn), expected=f"the runs of {figure}", got=figures.missing(figure, found), remedy="Leave --arm out.")
    for sentence in EXPERIMENTS[figure].reading(found) if figure in EXPERIMENTS else ():
        console.print(sentence, markup=False, soft_wrap=True)
    screen.emit([number for record in records for number in record.measurement.rows], json)


def _told(records: Sequence[Record], scale: Scale, output: Path, json: str, interactive: bool) -> list[str]:
    """Print bands and claims, draw figures, write pages and rows; what lies outside its band, in words."""
    found, console = gathered(records, scale), screen.printing(json)
    claims = judged(found)
    show_claims(f"Nassar et al. 2020 at scale {scale}", claims, console)
    held = bands.held(found) if scale == "small" else []
    if held:
        screen.table(
            "Held against the bands of two other implementations, under the named attack",
            ("arm", "number", "ours (95 % over seeds)", "band", "verdict"),
            [(band.arm, band.name, f"{mean}", f"{band.low:g}–{band.high:g}", verdict) for band, mean, verdict in held],
            console,
        )
        console.print(f"Order {' > '.join(bands.ORDER)}: {bands.ordered(found) or 'NOT TESTED'}", markup=False)
    for sentence in bands.spikes(found) if held else ():
        console.print(sentence, markup=False, soft_wrap=True)
    for sentence in (answers.answer(found), *answers.told_of_associations(found)):
        console.print(sentence, markup=False, soft_wrap=True)
    beside = gathered([*finished_before(scale, output), *records], scale)
    drawn = figures.saved(beside, output / "figures")
    every_run(records, output, TITLE, interactive)
    path = templates.write(output / "report.html", _page(found, beside, claims, drawn))
    console.print(f"Report: {path.resolve()}", markup=False, soft_wrap=True)
    screen.emit([*summarised(records), *rows(found, claims)], json)
    outside = [f"{band.arm}: {band.name}" for band, _, verdict in held if verdict == "FAILS"]
    outside += [f"the order {' > '.join(bands.ORDER)}"] if held and bands.ordered(found) == "FAILS" else []
    return [f"Outside its band: {name}." for name in outside]


def rows(found: Found, claims: Sequence[Judged]) -> list[Number]:
    """Claims, bands, and the numbers of every arm, as tidy rows."""
    told = claim_rows(claims, found.scale)
    for band, mean, verdict in bands.held(found) if found.scale == "small" else ():
        ends = {"band_low": band.low, "band_high": band.high, "verdict": verdict}
        told.append(row("band", mean, arm=band.arm, says=band.name, seeds=len(found.seeds(band.arm)), **ends))
    for line in answers.lines(found):
        about = {"arm": line.name, "seeds": line.seeds, "scale": found.scale, "failed": line.failed}
        told += [row(f"reproduced {what}", value, **about) for what, value in line.numbers.items()]
        if line.control is not None and line.gain is not None:
            told.append(row("matched control", line.control, off=line.off, **about))
            told.append(row("gain over matched control", line.gain, off=line.off, **about))
    for net in ("shallow", "deep", "cnn"):
        for what, one in answers.associations(found, net).items() if (found.scale, net) in SIZES else ():
            about = {"net": net, "with": what, "models": one.models, "arms": one.groups, "scale": found.scale}
            told += [row("association", one.raw, held="none", **about)]
            told += [row("association", one.partial, held="the other two", **about)]
    return told


def _page(found: Found, beside: Found, claims: Sequence[Judged], drawn: Sequence[Path]) -> str:
    """The page as text."""
    every = answers.lines(found)
    kinds = {arm.name: arm.kind for arm in arms(found.scale)}
    tables = [
        _table(f"{caption}: {NAMES[net]}.", [x for x in every if x.net == net and kinds[x.name] in group], found, net)
        for net in ("shallow", "deep", "cnn")
        for caption, group in GROUPS.items()
    ]
    return reproduction.html(
        f"{TITLE}, scale {found.scale}",
        answers.QUESTION,
        answers.answer(found),
        claims,
        [table for table in tables if table.rows],
        pictures(drawn, figures.heading),
        _doubts(found, claims),
        sizes({net: size for (at, net), size in SIZES.items() if at == found.scale}),
        command_line(),
        "runs.html",
        READING,
        [
            *answers.told_of_associations(found),
            *(bands.spikes(found) if found.scale == "small" else ()),
            *(sentence for one in EXPERIMENTS.values() for sentence in one.reading(beside)),
        ],
    )


def _table(caption: str, lines: Sequence[Line], found: Found, net: Net) -> Table:
    """Numbers of arms beside what plain training has at their clean accuracy."""
    told = answers.numbers(found.scale, net) if (found.scale, net) in SIZES else {}
    columns = [(_heading(what), "%" if _is_share(what) else "") for what in told]
    columns += [("matched control", "%"), ("gain over it", "points")]
    made = []
    for line in lines:
        cells = [_cell(what, line.numbers.get(what)) for what in told]
        cells += [_cell("clean", line.control), _cell("clean", line.gain)]
        made.append(Row(line.name, tuple(cells), note="; ".join(one for one in (line.off, line.failed) if one)))
    return Table(caption, tuple(columns), tuple(made))


def _heading(what: str) -> str:
    told = {"jacobian": "Jacobian norm", "named": "named worst case", "n90": "ranks with 90 %"}
    return told.get(what, what.replace("headline", "worst case, ε ="))


def _is_share(what: str) -> bool:
    return what in ("clean", "named", "published PGD") or what.startswith("headline")


def _cell(what: str, estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell("–")
    return Cell(*value_and_interval(percent(estimate) if _is_share(what) else estimate))


def _doubts(found: Found, claims: Sequence[Judged]) -> list[Doubt]:
    """Checks that failed, what this scale cannot say, runs whose basis was stale at their end."""
    told = [
        Doubt(f"{one}: its accuracy under attack is no number to quote.", "FAIL")
        for one in (found.failed(name) for name in found.records)
        if one
    ]
    told.append(Doubt(reproduction.tally(claims), whom="Verdicts"))
    if found.scale == "quick":
        told.append(
            Doubt(
                "Digits of 8 × 8 pixels and two seeds: the machinery is checked, nothing is judged. C1 reverses here.",
                whom="Scale",
            )
        )
    elif found.scale == "small":
        told.append(
            Doubt(
                "20 000 images and nets of 200 and 400 units, not 60 000 and 1 000 to 2 000: directions are tested, "
                "not sizes.",
                whom="Scale",
            )
        )
    return told
