"""One run among several: its failure is an event, and what was read for the run before it is not read again."""

import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from eigenfall.runs import Event, execute
from eigenfall.settings import Run, name_of
from eigenfall.subnormals import zeroing


def isolated(run: Run, root: Path, held: list[Any] | None = None) -> Iterator[Event]:
    """A run whose failure is an event instead of an exception; when its last event comes, it holds no lock any more.

    Meanwhile subnormal numbers are zero in this thread.

    Args:
        run: what to do.
        root: folder of the records.
        held: the part that read the data set or recording of the run before, and that; not read again where this run
            has the same part, else replaced.
    """
    held = [] if held is None else held
    last, start = None, time.monotonic()
    try:
        with zeroing():
            part = run.data if run.recording is None else run.recording
            if not held or held[0] != part:
                held[:] = [part, part()]
            for event in execute(run, root, held[1]):
                if event.ends:
                    last = event
                else:
                    yield event
    except (ValueError, OSError, RuntimeError) as reason:
        last = Event(name_of(run), "failed", error=f"{reason}" or type(reason).__name__)
    except Exception as reason:  # whatever somebody else's part raises
        last = Event(name_of(run), "failed", error=_told(reason))
    assert last is not None
    yield replace(last, seconds=time.monotonic() - start)


def _told(reason: Exception) -> str:
    """An error that is no refusal, in a line: what it is, and where it was raised."""
    where = traceback.extract_tb(reason.__traceback__)[-1]
    what = " ".join(f"{type(reason).__name__}: {reason}".split()).rstrip(".: ")
    return f"{what}, in {Path(where.filename).name}, line {where.lineno}."


def paced(events: Iterator[Event], seconds: float) -> Generator[Event, None, None]:
    """The same events, of mere progress at most one in so many seconds."""
    last = -seconds
    for event in events:
        now = time.monotonic()
        if event.ends or event.said or now - last >= seconds:
            yield event
            last = now
