"""`eigenfall sweep`: a grid or a list of runs, here, on a Dask cluster, or as jobs of Slurm or PBS."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from eigenfall.check import need, one_of
from eigenfall.clients import Jobs
from eigenfall.commands import screen
from eigenfall.commands.given import given, names
from eigenfall.commands.learn import LearnRuns
from eigenfall.commands.summary import gathered, show_arms, summarised
from eigenfall.commands.train import TrainRuns, workers_for
from eigenfall.grids import Grid, Point, merged, points, read
from eigenfall.index import listing
from eigenfall.settings import Run, name_of
from eigenfall.sweep import execute_all, finished_before

FLAGS = {"train": TrainRuns, "learn": LearnRuns}
Words = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction]
"""A flag that may be given several times: a name, and its values."""


def sweep(
    file: Annotated[Path | None, tyro.conf.Positional] = None,
    /,
    settings: Annotated[Words, tyro.conf.arg(name="set")] = (),
    grid: Words = (),
    workers: int = 0,
    cluster: str = "",
    show: bool = False,
    output: Path = Path("runs"),
    json: str = "",
) -> None:
    """Train or learn once for each point of a grid, or for each entry of a list; keep a record of each.

    What is finished is not run again, what was stopped goes on from its last checkpoint, and several calls on one
    folder share the runs. Runs that fail are listed at the end, each with its reason.

    Args:
        file: a sweep in TOML: [run], flags of `eigenfall train` or, with command = "learn", of `eigenfall learn`;
            [grid], lists of alternatives; [[runs]], single runs; [cluster], settings of jobs.
        settings: a flag and its values, for all runs, such as --set steps 100; may be given several times.
        grid: a flag and its alternatives, such as --grid penalty none spectral:strength=5; may be given several times.
        workers: runs side by side; 0: as many as cores, or as GPUs. With slurm or pbs, how many jobs.
        cluster: address of a Dask scheduler, such as tcp://node1:8786; or slurm, or pbs; empty: this machine.
        show: list the runs, and which of them are finished; run none.
        output: folder of the records; on a cluster, one that every worker sees.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    asked = merged(read(file) if file is not None else Grid(), *_said(settings, grid))
    need(
        file is not None or bool(asked.grid),
        expected="a sweep",
        got="neither a file nor --grid",
        remedy="For instance: eigenfall sweep --set data digits --grid penalty none spectral:strength=5",
    )
    runs = runs_of(asked)
    if show:
        _show(runs, output, json)
        return
    where = cluster_of(asked, cluster)
    local = where is None
    count = workers_for(workers, runs[0].device) if local or workers < 0 else workers or 1
    paths, failed = screen.followed(execute_all(runs, output, count, where), len(runs))
    console = screen.printing(json)
    if paths:
        wanted, order = {path.name for path in paths}, list(dict.fromkeys(run.arm for run in runs))
        entries = [entry for entry in screen.watched(listing(output)) if entry.name in wanted]
        show_arms(sorted(entries, key=lambda entry: order.index(entry.run["arm"])), "Runs by arm", console)
        console.print(f"Records: {output.resolve()}", markup=False, soft_wrap=True)
    if json:
        found = gathered(paths)
        screen.emit([*(row for record in found for row in record.measurement.rows), *summarised(found)], json)
    if failed:
        for event in failed:
            screen.messages().print(f"  {event.name}: {event.error}", markup=False, soft_wrap=True)
        need(
            False,
            expected=f"{len(runs)} runs that finish",
            got=f"{len(failed)} that failed, each listed above with its reason",
            remedy="Mend what is said there; the same command runs only those again.",
        )


def _said(settings: Words, grid: Words) -> tuple[dict[str, Any], dict[str, Any]]:
    """Flags as tables: one value alone is that value, several are a list."""
    for flag, some in (("--set", settings), ("--grid", grid)):
        for words in some:
            need(
                len(words) > 1,
                expected=f"a name and a value after {flag}",
                got=" ".join(words) or "nothing",
                remedy=f"For instance {flag} data digits",
            )
    shared = {name: values[0] if len(values) == 1 else values for name, *values in settings}
    return shared, {name: values for name, *values in grid}


def runs_of(grid: Grid) -> list[Run]:
    """Every run of a sweep, those of one data set one after the other.

    Raises:
        ValueError: for an unknown flag, a value of another type, or two runs under one name.
    """
    found: dict[str, Run] = {}
    asked = points(grid)
    commands = {command_of(point) for point in asked}
    for point in asked:
        for run in _runs(point, commands):
            other = found.setdefault(name_of(run), run)
            need(
                other == run,
                expected="an arm of its own for each run of a sweep",
                got=f"{run.arm!r} for two that differ in more than their seed",
                remedy='Leave `arm` out of a grid, or put into it what varies, as in arm = "strength {strength}"; '
                "name each of [[runs]].",
            )
    by_data: dict[Any, list[Run]] = {}
    for run in found.values():
        by_data.setdefault(run.data, []).append(run)
    return [run for runs in by_data.values() for run in runs]


def _runs(point: Point, commands: Iterable[str]) -> list[Run]:
    """The runs of a point; what is shared by all and only the other command of the sweep knows is not its own."""
    command = command_of(point)
    known = names(FLAGS[command])
    elsewhere = {name for other in commands for name in names(FLAGS[other])} & point.shared
    settings = {
        name: value
        for name, value in point.settings.items()
        if name in known or name not in {"command", *point.spare, *elsewhere}
    }
    if point.name:
        settings.setdefault("arm", point.name)
    return given(FLAGS[command], settings, command).runs()


def command_of(point: Point) -> str:
    """Which command a point is of."""
    command = point.settings.get("command", "train")
    one_of(str(command), FLAGS, "command of a sweep")
    return command


def cluster_of(grid: Grid, asked: str) -> Any:
    """Where a sweep is run: an address, jobs of a queue, or `None`, here."""
    settings = dict(grid.cluster)
    address = settings.pop("address", "")
    where: str = asked or address
    if where in ("slurm", "pbs"):
        return Jobs(where, settings)
    need(
        not where or "://" in where,
        expected="the address of a Dask scheduler, slurm or pbs",
        got=repr(where),
        remedy="For instance --cluster tcp://node1:8786",
    )
    return where or None


def _show(runs: Sequence[Run], output: Path, json: str) -> None:
    """List runs: finished, begun or not begun."""
    done = finished_before(runs, output)
    console = screen.printing(json)
    lines = [(name_of(run), "finished" if place in done else "to run") for place, run in enumerate(runs)]
    screen.table(f"{len(runs)} runs, {len(done)} of them finished", ("run", ""), lines, console, numbers=False)
    about = [{"quantity": "finished", "arm": run.arm, "seed": run.seed} for run in runs]
    screen.emit([{**told, "value": float(place in done)} for place, told in enumerate(about)], json)
