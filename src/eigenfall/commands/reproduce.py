"""`eigenfall reproduce`: a paper's arms, ours beside the bands they are held against."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import tyro

from eigenfall.check import need, one_of
from eigenfall.commands import screen
from eigenfall.commands.summary import command_line, gathered, show, summarised
from eigenfall.commands.train import default_workers
from eigenfall.papers import nassar2020
from eigenfall.report.page import write
from eigenfall.rows import row
from eigenfall.sweep import execute_all
from eigenfall.types import Row


def reproduce(
    paper: Annotated[Literal["nassar2020"], tyro.conf.Positional] = "nassar2020",
    /,
    scale: Literal["small"] = "small",
    arm: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    seeds: tuple[int, ...] = (),
    workers: int = 0,
    output: Path | None = None,
    json: str = "",
) -> None:
    """Train a paper's arms and say which numbers lie inside their bands. Small scale: MNIST, about half an hour.

    What is finished is kept; the same command goes on from it. A number outside its band makes the command fail.

    Args:
        paper: nassar2020.
        scale: small: the multilayer perceptrons on 20 000 digits of MNIST.
        arm: only this arm; may be given several times.
        seeds: only these seeds; by default 0-4 for deep networks and 0-2 for shallow ones.
        workers: runs side by side; 0: as many as cores.
        output: folder of the records; by default runs/nassar2020-small.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    for name in arm:
        one_of(name, [each.name for each in nassar2020.SMALL], "arm")
    output = output or Path("runs") / f"{paper}-{scale}"
    runs = nassar2020.small_runs(arm, seeds)
    need(bool(runs), expected="at least one run", got="no arm with these seeds", remedy="Leave --seeds out.")
    finished, failed = screen.followed(execute_all(runs, output, workers or default_workers()), len(runs))
    found = gathered(finished)
    means = summarised(found)
    console = screen.printing(json)
    if found:
        show(found, "Small scale, MNIST", console)
        page = write(found, output / "report.html", "Nassar et al. 2020 at small scale, MNIST", command_line())
        console.print(f"Report: {page.resolve()}", markup=False, soft_wrap=True)
    judged = [held(band, entry) for band in nassar2020.BANDS if (entry := band.of(means)) is not None]
    screen.table(
        "Held against the bands",
        ("arm", "number", "ours (95 % over seeds)", "band", "verdict"),
        [
            (
                entry["arm"],
                f"{entry['claim']}",
                screen.with_interval(entry),
                f"{entry['band_low']:g}–{entry['band_high']:g}",
                entry["verdict"],
            )
            for entry in judged
        ],
        console,
    )
    order = ordered(means)
    if order is not None:
        console.print(f"Order {' > '.join(nassar2020.ORDER)}: {order['verdict']}", markup=False)
        judged.append(order)
    screen.emit([*(entry for record in found for entry in record.measurement.rows), *means, *judged], json)
    outside = [f"{entry['arm']}: {entry['claim']}" for entry in judged if entry["verdict"] == "FAILS"]
    problems = [f"{event.name}: {event.error}" for event in failed] + [f"Outside its band: {name}." for name in outside]
    if problems:
        raise ValueError("\n".join(problems))


def held(band: nassar2020.Band, found: Row) -> Row:
    """A band's number beside its band, with the verdict: NOT TESTED unless every seed of the arm went into the mean."""
    whole = found["seeds"] >= nassar2020.seeds_of(band.arm)
    verdict = "NOT TESTED" if not whole else "HOLDS" if band.low <= found["value"] <= band.high else "FAILS"
    told = {"claim": band.name, "band_low": band.low, "band_high": band.high, "verdict": verdict}
    return {**found, **told}


def ordered(means: tuple[Row, ...]) -> Row | None:
    """Whether the arms stand in their order at ε = .05; `None` if one is missing, or some of its seeds."""
    bands = {band.arm: band for band in nassar2020.BANDS if ("epsilon", 0.05) in band.says}
    found = [entry for arm in nassar2020.ORDER if (entry := bands[arm].of(means)) is not None]
    if len(found) < len(nassar2020.ORDER) or any(e["seeds"] < nassar2020.seeds_of(e["arm"]) for e in found):
        return None
    values = [entry["value"] for entry in found]
    holds = all(first > second for first, second in pairwise(values))
    told = {"claim": "order of worst-case accuracy at ε = 0.05", "arm": " > ".join(nassar2020.ORDER)}
    return row("order", float(holds), verdict="HOLDS" if holds else "FAILS", **told)
