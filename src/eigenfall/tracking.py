"""Runs as they go, in somebody's tracker: trackio or wandb, if they have one.

    events of runs  →  the same events;   beside them  init → log, log, … → finish  of the tracker, a run for each run

The two share an interface: `init(project=, name=, group=, config=)` gives a run with `log(numbers, step=)` and
`finish()`. Rows of the history go there as they come, at their step; at the end, every number of the record, under its
short name. A run that goes on from a checkpoint is a new run of the tracker, with its whole history; one that was
finished before is left out (`log_record` logs it).

Trackers fail: no network, no account, a full disk. Then a run says so once, and goes on without. What they print
goes to standard error.
"""

import contextlib
import importlib
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, Literal

from eigenfall import records
from eigenfall.check import need, one_of
from eigenfall.rows import labels
from eigenfall.runs import Event
from eigenfall.settings import Run, name_of, settings_of
from eigenfall.types import Record, Row

Tracker = Literal["none", "trackio", "wandb"]
BEGUN: Mapping[str, Mapping[str, Any]] = {"trackio": {}, "wandb": {"reinit": "create_new"}}
"""What `init` needs beside, so that several runs are open at once."""
FAILED: Mapping[str, Mapping[str, Any]] = {"trackio": {}, "wandb": {"exit_code": 1}}
"""What `finish` is told of a run that failed."""


def tracked(events: Iterable[Event], runs: Sequence[Run], tracker: str, project: str = "eigenfall") -> Iterator[Event]:
    """The same events; beside them, what they say goes to a tracker.

    Args:
        events: of runs, as they come.
        runs: whose events these are.
        tracker: trackio or wandb; "none": nothing happens.
        project: under which the tracker shows them.

    Raises:
        ValueError: if the tracker is not installed: before the first event is asked for.
    """
    if tracker == "none":
        return iter(events)
    return _following(events, {name_of(run): run for run in runs}, tracker, project, _package(tracker))


def log_record(record: Record, tracker: str, project: str = "eigenfall") -> None:
    """Log a finished run: its history, then every number.

    Args:
        record: of the run.
        tracker: trackio or wandb.
        project: under which the tracker shows it.

    Raises:
        ValueError: if the tracker is not installed. What it raises itself is let through.
    """
    log = _Log(_package(tracker), tracker, project)
    log.begin(f"{record.run['arm']} seed {record.run['seed']}", str(record.run["arm"]), dict(record.run))
    log.rows(record.history)
    log.numbers(record.measurement.rows)
    log.end()


def _package(tracker: str) -> ModuleType:
    """The tracker's package."""
    one_of(tracker, BEGUN, "tracker")
    try:
        return importlib.import_module(tracker)
    except ImportError as reason:
        need(
            isinstance(reason, ModuleNotFoundError) and reason.name == tracker,
            expected=f"{tracker} that can be imported, for --track {tracker}",
            got=f"{type(reason).__name__}: {reason}",
            remedy=f"Install it again: pip install --force-reinstall {tracker}",
        )
        raise ValueError(
            f"Expected the package {tracker} for --track {tracker}, got none. Install it: pip install {tracker}"
        ) from reason


class _Log:
    """One run of the tracker; begun when there is something to log."""

    def __init__(self, package: ModuleType, tracker: str, project: str):
        self.package, self.tracker, self.project = package, tracker, project
        self.run: Any = None
        self.broken = False
        self.layer_steps = self.step = 0

    def begin(self, name: str, arm: str, settings: Mapping[str, Any]) -> None:
        if self.run is None:
            with contextlib.redirect_stdout(sys.stderr):
                begun = BEGUN[self.tracker]
                self.run = self.package.init(project=self.project, name=name, group=arm, config=dict(settings), **begun)

    def rows(self, rows: Iterable[Row]) -> None:
        """Rows of a history, each at its step; those of a head come after those of its layer."""
        for row in rows:
            self.layer_steps = int(row.get("layer_step", self.layer_steps))
            self.step = self.layer_steps + int(row.get("step", 0))
            self._log(_named(row.items()))

    def numbers(self, rows: Sequence[Row]) -> None:
        """Every number of a record, at the last step."""
        self._log(_named((name, row["value"]) for name, row in zip(labels(rows), rows)))

    def end(self, failed: bool = False) -> None:
        if self.run is not None:
            run, self.run = self.run, None
            with contextlib.redirect_stdout(sys.stderr):
                run.finish(**(FAILED[self.tracker] if failed else {}))

    def _log(self, numbers: Mapping[str, float]) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self.run.log(dict(numbers), step=self.step)


def _named(pairs: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Numbers under names of letters, digits, _ and /, as trackers take them; what is no number is left out."""
    found: dict[str, float] = {}
    for name, value in pairs:
        if isinstance(value, int | float) and not (isinstance(value, float) and math.isnan(value)):
            safe = re.sub(r"[^A-Za-z0-9_/]", "_", name)
            while safe in found:
                safe += "_"
            found[safe] = value
    return found


def _following(
    events: Iterable[Event], runs: Mapping[str, Run], tracker: str, project: str, package: ModuleType
) -> Iterator[Event]:
    """Events as they come, logged on the way; what a tracker raises is said once for each run."""
    logs: dict[str, _Log] = {}
    try:
        for event in events:
            log = logs.setdefault(event.name, _Log(package, tracker, project))
            yield replace(event, said=_followed(log, event, runs[event.name]))
    finally:
        for log in logs.values():
            if not log.broken:
                with contextlib.suppress(Exception, SystemExit):
                    log.end(failed=True)


def _followed(log: _Log, event: Event, run: Run) -> str:
    """Log what an event says; what the event says on the screen, and how the tracker failed, if it did."""
    if log.broken or event.again:
        return event.said
    try:
        if event.logged or event.record is not None:
            settings = settings_of(run, "")
            del settings["inputs"]
            log.begin(event.name, run.arm, settings)
            log.rows(event.logged)
        if event.record is not None:
            record = records.load(event.record)
            if not log.step:  # it went on from a checkpoint after the last step
                log.rows(record.history)
            log.numbers(record.measurement.rows)
        if event.record is not None or event.error:
            log.end(failed=bool(event.error))
    except (Exception, SystemExit) as reason:  # a tracker may raise anything, and end the program
        log.broken = True
        told = (str(reason).splitlines() or [""])[0].rstrip(".")
        failed = f"WARN: {event.name}: {log.tracker} failed, {type(reason).__name__}: {told}."
        return "\n".join(filter(None, [event.said, f"{failed} The run goes on without it."]))
    return event.said
