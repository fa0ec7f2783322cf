"""Runs side by side in processes of this machine, one thread each.

    driver   ──run──▶   worker 1        a pipe to each worker: one that is killed takes nothing but its own with it
       ▲  └───run──▶   worker 2
       └────events────────┘

Whichever worker is free is handed the next run. If one is killed, its run is taken up again from its last checkpoint,
once; if that kills again, the run has failed. A run that another process has is put off until that process ends.
"""

import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

import torch

from eigenfall.attempts import isolated, paced
from eigenfall.runs import Event
from eigenfall.settings import Run, name_of

EVENTS_APART = 0.1
"""Seconds between the events of a run's progress that its worker sends."""
AGAIN = 1
"""How often a run is taken up again after its process was killed."""
LOOK_AGAIN = 1.0
"""Seconds until it is seen whether a run that another process had can be had."""


# ------------------------------------------------------------------------------ in a worker


def _work(root: Path, pipe: Any, device: str, parent: int) -> None:
    """Take runs from the pipe until it is closed; deaf to Ctrl-C, which the driver answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if device:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    torch.set_num_threads(1)
    threading.Thread(target=_end_as_orphan, args=(parent,), daemon=True).start()
    held: list[Any] = []
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            run = pipe.recv()
            for event in paced(isolated(run, root, held), EVENTS_APART):
                pipe.send(event)


def _end_as_orphan(parent: int) -> None:
    """A driver that was killed ends nobody: its workers see that it is gone, and end themselves where they are."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


# ------------------------------------------------------------------------------- the driver


@dataclass(eq=False)
class _Worker:
    """A process, the pipe to it, and what it has been given.

    Attributes:
        process: of one thread.
        pipe: runs one way, events the other.
        number: of the run that it has; `None`: it is free.
    """

    process: Any
    pipe: Any
    number: int | None = None


@dataclass
class _Team:
    """The workers that there are; a slot for each that there may be.

    Attributes:
        root: folder of the records.
        slots: what each may see of the GPUs, as CUDA_VISIBLE_DEVICES; empty: all.
        at: who is in each slot.
    """

    root: Path
    slots: Sequence[str]
    at: dict[int, _Worker] = field(default_factory=dict)

    def free(self) -> _Worker | None:
        """A worker without a run, started if there is none and room for one."""
        for worker in self.at.values():
            if worker.number is None:
                return worker
        slot = next((slot for slot in range(len(self.slots)) if slot not in self.at), None)
        if slot is None:
            return None
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(self.root, theirs, self.slots[slot], os.getpid()), daemon=True)
        process.start()
        theirs.close()
        self.at[slot] = _Worker(process, ours)
        return self.at[slot]

    def busy(self) -> dict[Any, _Worker]:
        """Workers that have a run, by their pipes."""
        return {worker.pipe: worker for worker in self.at.values() if worker.number is not None}

    def bury(self, worker: _Worker) -> str:
        """Free the slot of a worker that has ended; how it ended."""
        self.at = {slot: other for slot, other in self.at.items() if other is not worker}
        worker.process.join()
        worker.pipe.close()
        code = worker.process.exitcode
        if code is not None and code < 0:
            return f"was killed ({signal.Signals(-code).name})"
        return f"ended by itself (exit code {code})"

    def end(self) -> None:
        """End everybody."""
        for worker in self.at.values():
            worker.process.terminate()
        for worker in self.at.values():
            worker.process.join()
            worker.pipe.close()


def side_by_side(runs: Sequence[Run], root: Path, slots: Sequence[str]) -> Iterator[Event]:
    """Every run, in as many processes as there are slots.

    Args:
        runs: what to do.
        root: folder of the records.
        slots: for each worker what it may see of the GPUs, as CUDA_VISIBLE_DEVICES; empty: all.
    """
    team = _Team(root, slots)
    waiting, put_off = deque(range(len(runs))), deque[tuple[float, int]]()
    killed: Counter[int] = Counter()
    told: set[int] = set()
    try:
        while waiting or put_off or team.busy():
            _hand_out(runs, team, waiting, put_off)
            pause = LOOK_AGAIN / 4 if put_off else None
            if not team.busy():
                time.sleep(pause or 0)
            for pipe in connection.wait(list(team.busy()), pause) if team.busy() else ():
                worker = team.busy()[pipe]
                number = worker.number
                assert number is not None
                try:
                    event = worker.pipe.recv()
                except (EOFError, OSError):
                    killed[number] += 1
                    yield _after_death(name_of(runs[number]), team.bury(worker), killed[number])
                    if killed[number] <= AGAIN:
                        waiting.appendleft(number)
                    continue
                if event.ends:
                    worker.number = None
                if event.elsewhere:
                    put_off.append((time.monotonic() + LOOK_AGAIN, number))
                    event = put_off_event(event, number in told)
                    told.add(number)
                yield event
    finally:
        team.end()


def _hand_out(runs: Sequence[Run], team: _Team, waiting: deque[int], put_off: deque[tuple[float, int]]) -> None:
    """Give each free worker a run: those that wait, then those that were put off."""
    while waiting or (put_off and put_off[0][0] <= time.monotonic()):
        worker = team.free()
        if worker is None:
            return
        worker.number = waiting.popleft() if waiting else put_off.popleft()[1]
        with suppress(OSError):  # it is dead: its pipe says so when it is read
            worker.pipe.send(runs[worker.number])


def put_off_event(event: Event, told: bool) -> Event:
    """What is said of a run that another process has: it is not over, and a reader hears of it once."""
    said = "" if told else f"{event.name}: another process has it; it is looked at again until that one has ended."
    return replace(event, said=said, elsewhere=False)


def _after_death(name: str, how: str, times: int) -> Event:
    if times <= AGAIN:
        return Event(name, "taken up again", said=f"{name}: its process {how}; it goes on from its last checkpoint.")
    return Event(
        name,
        "failed",
        error=f"Its process {how}, and so did the one that took it up again, perhaps for want of memory. "
        "Give it more, or fewer --workers.",
    )
