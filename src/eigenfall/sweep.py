"""Several runs, one after the other or side by side in processes of one thread each."""

import multiprocessing
import os
import queue
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from eigenfall import records
from eigenfall.runs import Event, execute
from eigenfall.settings import Run, name_of


def _work(runs: Sequence[Run], root: Path, todo: Any, events: Any, parent: int) -> None:
    """One worker: takes runs by number until there are none, one thread, deaf to Ctrl-C (the parent ends it).

    A parent that was killed ends nobody: its workers see that they are orphans, and stop at the next event. What they
    had checkpointed is gone on from.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    held: list[Any] = []
    while True:
        try:
            number = todo.get_nowait()
        except queue.Empty:
            return
        for event in isolated(runs[number], root, held):
            if os.getppid() != parent:
                return
            events.put(event)


def isolated(run: Run, root: Path, held: list[Any] | None = None) -> Iterator[Event]:
    """A run whose failure is an event instead of an exception.

    Args:
        run: what to do.
        root: folder of the records.
        held: the part that read the data set or recording of the run before, and that; not read again where this run
            has the same part, else replaced.
    """
    held = [] if held is None else held
    try:
        part = run.data if run.recording is None else run.recording
        if not held or held[0] != part:
            held[:] = [part, part()]
        yield from execute(run, root, held[1])
    except (ValueError, OSError, RuntimeError) as reason:
        yield Event(name_of(run), "failed", error=f"{reason}")


def execute_all(runs: Sequence[Run], root: Path, workers: int = 1) -> Iterator[Event]:
    """Several runs, side by side in as many processes as there are workers, one thread each.

    A run that fails does not stop the others. Ctrl-C ends the workers; what is finished is kept, and the same call
    goes on from the last checkpoints.
    """
    if workers <= 1 or len(runs) <= 1:
        held: list[Any] = []
        for run in runs:
            yield from isolated(run, root, held)
        records.tidy(root)
        return
    context = multiprocessing.get_context("spawn")
    todo, events = context.Queue(), context.Queue()
    for number in range(len(runs)):
        todo.put(number)
    processes = [
        context.Process(target=_work, args=(runs, root, todo, events, os.getpid()), daemon=True) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    left = {name_of(run) for run in runs}
    try:
        while left:
            try:
                event = events.get(timeout=1.0)
            except queue.Empty:
                if not any(process.is_alive() for process in processes):
                    for name in sorted(left):
                        yield Event(
                            name, "failed", error="Its process ended without a word, perhaps for want of memory."
                        )
                    return
                continue
            if event.record is not None or event.error:
                left.discard(event.name)
            yield event
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        records.tidy(root)
