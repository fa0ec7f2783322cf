"""Several runs: one after the other, side by side in processes of one thread each, or on a cluster."""

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from eigenfall import parts, records
from eigenfall.attempts import isolated
from eigenfall.dispatch import on_cluster
from eigenfall.runs import Event, digest_of
from eigenfall.settings import Run, follows, name_of, settings_of
from eigenfall.workers import LOOK_AGAIN, put_off_event, side_by_side


def execute_all(runs: Sequence[Run], root: Path, workers: int = 1, cluster: Any = None) -> Iterator[Event]:
    """Several runs, side by side in as many processes as there are workers, one thread each, or on a cluster.

    A run that fails does not stop the others. Ctrl-C ends the workers; what is finished is kept, and the same call
    goes on from the last checkpoints. Several calls on one folder share the runs: nothing is run twice.

    Args:
        runs: what to do; their names, arm and seed, should differ.
        root: folder of the records; workers of a cluster must see it under the same path.
        workers: how many processes, or jobs of a queue.
        cluster: a scheduler's address, a `distributed.Client`, a cluster of Dask's, or `clients.Jobs` of a queue;
            `None`: this machine.
    """
    try:
        if cluster is None and (workers <= 1 or len(runs) <= 1):
            yield from _in_turn(runs, root)
            return
        there = finished_before(runs, root)
        for place, record in there.items():
            yield Event(name_of(runs[place]), "finished", record=record, again=True)
        left = [run for place, run in enumerate(runs) if place not in there]
        if left and cluster is not None:
            yield from on_cluster(left, root, cluster, workers)
        elif left:
            yield from side_by_side(left, root, slots_for(left, min(workers, len(left))))
    finally:
        records.tidy(root)


def _in_turn(runs: Sequence[Run], root: Path) -> Iterator[Event]:
    """One after the other in this process; those that another process has come last."""
    held: list[Any] = []
    waiting, told = deque(runs), set[str]()
    asked = 0
    while waiting:
        run = waiting.popleft()
        asked += 1
        for event in isolated(run, root, held):
            if event.elsewhere:
                waiting.append(run)
                yield put_off_event(event, event.name in told)
                told.add(event.name)
                if asked >= len(waiting):
                    time.sleep(LOOK_AGAIN)
                    asked = 0
            else:
                asked = 0
                yield event


def finished_before(runs: Sequence[Run], root: Path) -> dict[int, Path]:
    """Records of those runs that are finished, by the run's place; each data set is read once.

    Runs whose hash only a model tells are not looked at, nor those whose data cannot be read: whoever executes them
    will see.
    """
    there = {path.name[-12:]: path for path in root.iterdir() if records.is_finished(path)} if root.is_dir() else {}
    digests: dict[str, str] = {}
    found: dict[int, Path] = {}
    for place, run in enumerate(runs) if there else ():
        part = run.data if run.recording is None else run.recording
        if not follows(run):
            continue
        try:
            spelt = f"{run.recording is None} {parts.spell(part)}"
            if spelt not in digests:
                digests[spelt] = digest_of(part())
            key = records.run_hash(settings_of(run, digests[spelt]))[:12]
        except Exception:  # whatever it is, the run will say
            continue
        if key in there:
            found[place] = there[key]
    return found


def slots_for(runs: Sequence[Run], workers: int) -> list[str]:
    """What each worker may see of the GPUs: one, in turn, if a run may be on any; else nothing is said."""
    devices = gpus() if any(run.device in ("auto", "cuda") for run in runs) else []
    return [devices[worker % len(devices)] if devices else "" for worker in range(workers)]


def gpus() -> list[str]:
    """The CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(device) for device in range(torch.cuda.device_count())]
