"""A Dask cluster: how it is reached, what is sent to its workers, and what is said when one of them fails.

Dask, docs.dask.org, comes with the extra `cluster`, and is imported when a cluster is asked for.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from eigenfall.check import need, one_of
from eigenfall.extras import imported

SENT = 10_000_000
"""How many bytes may be sent with each task."""
QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster"}
"""Queueing systems, and what dask-jobqueue calls them."""
SETTINGS: dict[str, type] = {
    "queue": str,
    "account": str,
    "walltime": str,
    "memory": str,
    "interface": str,
    "python": str,
    "log_directory": str,
    "local_directory": str,
    "job_script_prologue": list,
    "job_extra_directives": list,
    "resource_spec": str,
    "runs_per_job": int,
}
"""What may be said of jobs, in dask-jobqueue's words but for the last."""
MEMORY = "4GB"
"""Of a job that is not told."""


@dataclass(frozen=True)
class Jobs:
    """Workers that are jobs of a queueing system.

    Attributes:
        queue: slurm or pbs.
        settings: of each job: queue, account, walltime, memory (4GB unless told), interface, python, log_directory,
            local_directory, job_script_prologue and job_extra_directives (lists of lines), resource_spec (PBS), as
            dask-jobqueue means them; runs_per_job, how many processes of one thread it holds.
    """

    queue: Literal["slurm", "pbs"]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of(self.queue, QUEUES, "queueing system")
        for name, value in self.settings.items():
            one_of(name, SETTINGS, "setting of a job")
            need(
                isinstance(value, SETTINGS[name]),
                expected=f"{_KINDS[SETTINGS[name]]} for {name}",
                got=repr(value),
                remedy="See docs/sweeps.md, on Slurm and PBS.",
            )


_KINDS = {str: "text", list: "a list of lines", int: "a whole number"}


@contextmanager
def connected(address: Any, timeout: float) -> Iterator[Any]:
    """A client of a cluster that has a worker at least; closed afterwards if it was opened here.

    Args:
        address: a scheduler's, such as "tcp://node1:8786"; or a `distributed.Client`, or a cluster of Dask's.
        timeout: seconds to wait for the scheduler, and for a worker.

    Raises:
        ValueError: without the package, if nobody answers, or for an asynchronous client.
    """
    distributed = imported("distributed", "cluster", "a Dask cluster")
    if not isinstance(address, distributed.Client):
        try:
            opened = distributed.Client(address, timeout=timeout, set_as_default=False)
        except Exception as reason:
            raise ValueError(
                f"Expected a Dask scheduler at {address!r}, got {told(reason)}. Start one with `dask scheduler`, or "
                "mend the address, such as tcp://node1:8786."
            ) from reason
        with closing(opened), connected(opened, timeout) as client:
            yield client
        return
    need(
        not address.asynchronous,
        expected="a client that waits for its results",
        got="an asynchronous one",
        remedy="Give the scheduler's address.",
    )
    try:
        address.wait_for_workers(1, timeout=timeout)
    except TimeoutError as reason:
        raise ValueError(
            f"Expected workers at {address.scheduler.address}, got none within {timeout:g} s. "
            f"Start some: dask worker {address.scheduler.address}"
        ) from reason
    yield address


@contextmanager
def queued(jobs: Jobs, count: int, logs: Path) -> Iterator[Any]:
    """A client of a cluster whose workers are jobs; they are asked for here, and given up afterwards.

    Args:
        jobs: what they are.
        count: how many.
        logs: folder of what they print, unless the settings name one.

    Raises:
        ValueError: without the package, or if the queueing system cannot be asked.
    """
    jobqueue = imported("dask_jobqueue", "cluster", "jobs of Slurm or PBS")
    distributed = imported("distributed", "cluster", "a Dask cluster")
    settings = {"memory": MEMORY, "log_directory": str(logs), **jobs.settings}
    processes = settings.pop("runs_per_job", 1)
    try:
        cluster = getattr(jobqueue, QUEUES[jobs.queue])(cores=processes, processes=processes, **settings)
    except Exception as reason:
        raise ValueError(
            f"Expected to ask {jobs.queue} for jobs, got {told(reason)}. See that its commands are there, and the "
            "settings of [cluster]."
        ) from reason
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        cluster.scale(jobs=count)
        yield client


def pickled(chunks: Any, what: str) -> bytes:
    """A function that returns pieces, as it is sent with each task.

    Args:
        chunks: the function.
        what: it is called, in a refusal.

    Raises:
        ValueError: if it cannot be pickled, or holds what it should read.
    """
    cloudpickle = imported("cloudpickle", "cluster", "a Dask cluster")
    remedy = "Let `chunks` be a function or a class that opens its file when a piece is asked for."
    try:
        found = cloudpickle.dumps(chunks)
    except Exception as reason:
        raise ValueError(f"Expected {what} that can be sent to workers, got {told(reason)}. {remedy}") from reason
    need(
        len(found) <= SENT,
        expected=f"{what} that say where to read",
        got=f"{len(found) / 1e6:.3g} MB to send with each run of pieces",
        remedy=remedy,
    )
    return found


def fetched(future: Any, what: str) -> Any:
    """The result of a task.

    Args:
        future: the task's.
        what: workers do in it, in a refusal.

    Raises:
        ValueError: what a worker refuses, as it is; what it fails at, in one sentence.
    """
    try:
        return future.result()
    except Exception as reason:
        if isinstance(reason, ValueError) and str(reason).startswith("Expected "):
            raise
        raise ValueError(
            f"Expected workers to {what}, got {told(reason)}. See that they have eigenfall, what their pieces need, "
            "and enough memory, and see its files under the same path."
        ) from reason


def told(reason: Exception) -> str:
    """What went wrong, in a line."""
    first = (str(reason).splitlines() or [""])[0].rstrip(".")
    return f"{type(reason).__name__}: {first}" if first else type(reason).__name__
