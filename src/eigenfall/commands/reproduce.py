"""`eigenfall reproduce`: a paper's runs, its figures and claims, ours beside them."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import tyro

from eigenfall.check import need, one_of
from eigenfall.commands import screen
from eigenfall.commands.summary import command_line, gathered, show, summarised
from eigenfall.commands.train import workers_for
from eigenfall.papers import nassar2020
from eigenfall.report.page import write
from eigenfall.rows import row
from eigenfall.sweep import execute_all
from eigenfall.types import Row


def reproduce(
    paper: Annotated[Literal["nassar2020", "holzhausen2024"], tyro.conf.Positional] = "nassar2020",
    /,
    scale: Literal["quick", "small", "paper"] = "small",
    figure: str = "",
    arm: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    seeds: tuple[int, ...] = (),
    workers: int = 0,
    output: Path | None = None,
    json: str = "",
) -> None:
    """Redo a paper: its runs, its figures, and for each claim what it says, what we got, and a verdict.

    What is finished is kept; the same command goes on from it. Of nassar2020 there is the small scale, whose numbers
    are held against bands of other implementations: one outside of its band makes the command fail.

    Args:
        paper: nassar2020 or holzhausen2024.
        scale: quick: a subset of MNIST, minutes. small: MNIST, and for holzhausen2024 CIFAR-10, with smaller nets; half
            an hour for nassar2020, an hour and a half for holzhausen2024, on two cores. paper: as published, on a GPU.
        figure: only this figure and the runs that it needs: fig1, fig2, fig3, fig4, figA1, figA2, curves, ensemble,
            spectral, fronts, rules.
        arm: only this arm; may be given several times.
        seeds: only these seeds; by default five, of shallow networks of nassar2020 three.
        workers: runs side by side; 0: as many as cores.
        output: folder of the records; by default runs/PAPER-SCALE.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    if paper == "holzhausen2024":
        from eigenfall.commands import holzhausen2024

        holzhausen2024.reproduce(scale, figure, arm, seeds, workers, output, json)
        return
    need(
        scale == "small" and not figure,
        expected="nassar2020 at scale small, without a figure",
        got=f"--figure {figure}" if figure else f"--scale {scale}",
        remedy="Its other scales and its figures are a later part; holzhausen2024 has both.",
    )
    for name in arm:
        one_of(name, [each.name for each in nassar2020.SMALL], "arm")
    output = output or Path("runs") / f"{paper}-{scale}"
    runs = nassar2020.small_runs(arm, seeds)
    need(bool(runs), expected="at least one run", got="no arm with these seeds", remedy="Leave --seeds out.")
    finished, failed = screen.followed(execute_all(runs, output, workers_for(workers)), len(runs))
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
    problems = screen.failures(failed, len(runs)) + [f"Outside its band: {name}." for name in outside]
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
