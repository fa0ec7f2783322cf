"""Runs on a Dask cluster: a task for each, its progress as events, its record in a folder that everybody sees.

A worker does one run at a time, in one thread, whatever threads it has: two in one process would share their random
numbers. Dask gives the run of a worker that was lost to another, which goes on from its last checkpoint; a run that
went down with several is given up. A driver that is lost takes its tasks with it: workers stop at the next event.
"""

import os
import queue
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from eigenfall.attempts import isolated, paced
from eigenfall.clients import Jobs, connected, queued, told
from eigenfall.extras import imported
from eigenfall.runs import Event
from eigenfall.settings import Run, name_of
from eigenfall.workers import LOOK_AGAIN, put_off_event

EVENTS_APART = 1.0
"""Seconds between the events of a run's progress that its worker sends."""
LOOK_AFTER = 10.0
"""Seconds after which it is seen whether workers are there, and jobs that are gone are asked for anew."""
TIMEOUT = 10.0
"""Seconds to wait for a scheduler, and for its first worker; jobs wait in their queue as long as it takes."""


# ------------------------------------------------------------------------------ on a worker

_ALONE = threading.Lock()
_HELD: list[Any] = []
"""What was read for the run before."""


def _one(run: Run, root: str, topic: str, number: int) -> Event | None:
    """A run, its progress told under the topic: its last event, or nothing if nobody waits for it any more."""
    distributed = imported("distributed", "cluster", "a Dask cluster")
    worker = distributed.get_worker()
    key = worker.get_current_task()
    with _ALONE:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        events = paced(isolated(run, Path(root), _HELD), EVENTS_APART)
        try:
            for event in events:
                if event.ends:
                    return event
                if _given_up(worker, key):
                    return None
                worker.log_event(topic, [number, {**asdict(event), "record": None}])
        finally:
            events.close()
            torch.set_num_threads(threads)
    return None


def _given_up(worker: Any, key: str) -> bool:
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled"


# ------------------------------------------------------------------------------- the driver


def on_cluster(runs: Sequence[Run], root: Path, cluster: Any, jobs: int = 1) -> Iterator[Event]:
    """Every run, wherever the cluster puts it.

    Args:
        runs: what to do.
        root: folder of the records; every worker must see it under the same path.
        cluster: a scheduler's address, a `distributed.Client`, a cluster of Dask's, or `clients.Jobs`.
        jobs: how many workers to ask for, with `clients.Jobs`.

    Raises:
        ValueError: without the extra `cluster`, or if no scheduler or worker answers.
    """
    root = root.resolve()
    with _opened(cluster, min(jobs, len(runs)), root) as client:
        yield from _Submitted(client, runs, root).events(min(jobs, len(runs)) if isinstance(cluster, Jobs) else 0)


def _opened(cluster: Any, jobs: int, root: Path) -> AbstractContextManager[Any]:
    return queued(cluster, jobs, root / ".jobs") if isinstance(cluster, Jobs) else connected(cluster, TIMEOUT)


class _Submitted:
    """Runs that a cluster has, and what comes back of them."""

    def __init__(self, client: Any, runs: Sequence[Run], root: Path) -> None:
        self.client, self.runs, self.root = client, runs, root
        self.topic = f"eigenfall-{secrets.token_hex(8)}"
        self.inbox: queue.SimpleQueue[tuple[int, dict[str, Any] | None]] = queue.SimpleQueue()
        self.futures: dict[int, Any] = {}
        self.put_off: list[tuple[float, int]] = []
        self.told: set[int] = set()

    def events(self, jobs: int) -> Iterator[Event]:
        """What happens, until every run is over; so many jobs are held up meanwhile."""
        self.client.subscribe_topic(self.topic, lambda stamped: self.inbox.put(tuple(stamped[1])))
        again = time.monotonic() + LOOK_AFTER
        lonely = False
        try:
            for number in range(len(self.runs)):
                yield from self._submit(number)
            while self.futures or self.put_off:
                yield from self._look_again()
                if time.monotonic() > again:
                    again = time.monotonic() + LOOK_AFTER
                    if jobs:
                        self.client.cluster.scale(jobs=jobs)
                    if (gone := self._nobody()) and not lonely:
                        yield Event(
                            name_of(self.runs[0]), "waiting", said="No worker is there; runs wait until one comes."
                        )
                    lonely = gone
                try:
                    number, what = self.inbox.get(timeout=LOOK_AGAIN / 4)
                except queue.Empty:
                    continue
                if number not in self.futures:  # it is over, and this came late
                    continue
                yield Event(**what) if what is not None else self._over(number, self.futures.pop(number))
        finally:
            with suppress(Exception):  # the scheduler may be gone
                self.client.cancel(list(self.futures.values()))
                self.client.unsubscribe_topic(self.topic)

    def _submit(self, number: int) -> Iterator[Event]:
        run = self.runs[number]
        try:
            future = self.client.submit(
                _one, run, os.fspath(self.root), self.topic, number, key=f"{self.topic}-{secrets.token_hex(8)}"
            )
        except Exception as reason:
            yield Event(
                name_of(run), "failed", error=f"Expected a run that can be sent to workers, got {told(reason)}."
            )
            return
        self.futures[number] = future
        future.add_done_callback(lambda _: self.inbox.put((number, None)))

    def _look_again(self) -> Iterator[Event]:
        """Send those again that another process had a while ago."""
        now = time.monotonic()
        due = [number for when, number in self.put_off if when <= now]
        self.put_off = [entry for entry in self.put_off if entry[0] > now]
        for number in due:
            yield from self._submit(number)

    def _over(self, number: int, future: Any) -> Event:
        """The last event of a task."""
        name = name_of(self.runs[number])
        try:
            event = future.result()
        except Exception as reason:
            return Event(
                name,
                "failed",
                error=f"Expected a worker to end this run, got {told(reason)}. See that workers have eigenfall, the "
                "run's parts and enough memory, and that the scheduler is up.",
            )
        if event is None:
            return Event(name, "failed", error="The cluster gave it up. The same command goes on from its checkpoint.")
        if event.elsewhere:
            self.put_off.append((time.monotonic() + LOOK_AGAIN, number))
            event = put_off_event(event, number in self.told)
            self.told.add(number)
        elif event.record is not None and not event.record.is_dir():
            return Event(
                name,
                "failed",
                error=f"Expected the record that a worker wrote at {event.record}, got nothing there. Let workers and "
                "this machine see one folder under the same path: --output.",
            )
        return event

    def _nobody(self) -> bool:
        """Whether the cluster is there and has no worker."""
        try:
            return not self.client.nthreads()
        except Exception:  # the scheduler is away; if it stays away, each task says so
            return False
