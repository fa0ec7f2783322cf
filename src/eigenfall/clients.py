"""A Dask cluster: how it is reached, what is sent to its workers, and what is said when one of them fails.

Dask, docs.dask.org, comes with the extra `cluster`, and is imported when a cluster is asked for.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from eigenfall.check import need
from eigenfall.extras import imported

SENT = 10_000_000
"""How many bytes may be sent with each task."""


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
                f"Expected a Dask scheduler at {address!r}, got {_told(reason)}. Start one with `dask scheduler`, or "
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
        raise ValueError(f"Expected {what} that can be sent to workers, got {_told(reason)}. {remedy}") from reason
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
            f"Expected workers to {what}, got {_told(reason)}. See that they have eigenfall, what their pieces need, "
            "and enough memory, and see its files under the same path."
        ) from reason


def _told(reason: Exception) -> str:
    """What went wrong, in a line."""
    first = (str(reason).splitlines() or [""])[0].rstrip(".")
    return f"{type(reason).__name__}: {first}" if first else type(reason).__name__
