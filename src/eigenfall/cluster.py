"""Second moments of a stream on a Dask cluster: workers read its pieces, and their sums are added up.

    runs of pieces     1-4    5-8   9-12   13-16  …     each read and summed by one worker
                         \\    /       \\     /
    neighbours            1-8         9-16              added up on a worker, pair by pair
                              \\      /
    a group                    1-16                     one run for each thread; it is fetched and added to the total

What is sent to a worker is where to read, not what was read. Two groups are under way at once, so workers hold about
three matrices a thread, and the caller two. Neighbours are added in the order of the stream, whichever is ready first:
with as many threads the numbers are the same to the last bit; with others, and against `grams.gram`, to rounding. The
pieces that a stage makes are those of `grams.gramming`, which can go on from them without a cluster, or the other way
round.

Sums: Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115 (`linalg.py`). Cluster: Dask, docs.dask.org.
"""

import math
import pickle
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eigenfall.check import given, need
from eigenfall.clients import connected, fetched, pickled
from eigenfall.grams.groups import Groups
from eigenfall.grams.readings import finished, need_stimuli, resumed, told
from eigenfall.grams.routes import Side
from eigenfall.grams.sums import OverStimuli, OverUnits, need_finite
from eigenfall.linalg import Precision
from eigenfall.stages import Working, consumed
from eigenfall.types import Gram, Responses, Stage

RUN = 16
"""How many pieces a worker sums at most before it hands its sums on."""

GROUPS = 4
"""A worker's share of the pieces comes in at least so many runs, if there are as many pieces."""

AHEAD = 2
"""How many groups of runs are under way at once."""


def gram(
    responses: Responses,
    address: Any,
    precision: Precision = "float64",
    side: Side | None = None,
    timeout: float = 10.0,
) -> Gram:
    """Second moments of all pairs of repeats, found by a cluster; equal to `grams.gram`.

    Args:
        responses: `(repeats, stimuli, units)` without missing repeats, in chunks that can be indexed and pickled: a
            file larger than its `memory`, a simulation in blocks, a class of your own. Workers must see what they read
            from, under the same path, and have eigenfall installed.
        address: a scheduler's, such as "tcp://node1:8786"; or a `distributed.Client`, or a cluster of Dask's.
        precision: "float64", or "mixed": products in float32, sums in float64.
        side: which axis the matrix is over, the other one than the chunks are cut along; `None`: the smaller.
        timeout: seconds to wait for the scheduler, and for a first worker.

    Raises:
        ValueError: where `grams.gram` raises it; for responses in memory, or in chunks along the side itself, or that
            cannot be indexed or sent; if no scheduler or worker answers, or a worker fails; without the extra
            `cluster`.
    """
    return consumed(gramming(responses, address, precision, side, timeout))[0]


def gramming(
    responses: Responses,
    address: Any,
    precision: Precision = "float64",
    side: Side | None = None,
    timeout: float = 10.0,
    groups: Groups | None = None,
    kept: Mapping[str, Tensor] | None = None,
) -> Working[tuple[Gram, ...]]:
    """As `gram`, run by run of pieces; with groups of units, the Gram of all of them, and after it that of each.

    Args:
        responses: as for `gram`.
        address: as for `gram`.
        precision: as for `gram`.
        side: as for `gram`.
        timeout: as for `gram`.
        groups: of units. Stimulus side only; workers then hold as many matrices for each that they would hold.
        kept: pieces of an earlier call that did not end, of this or of `grams.gramming`.
    """
    _need_side(responses, side)
    pieces = given(responses.chunks, "chunks", "none", "Give `chunks`.")()
    need(
        isinstance(pieces, Sequence),
        expected=f"chunks of {responses.name} that can be indexed, so that workers can ask for some of them",
        got=type(pieces).__name__,
        remedy="Let `chunks` return a sequence that makes a piece when it is asked for one.",
    )
    assert isinstance(pieces, Sequence)
    with connected(address, timeout) as client:
        work = _Work(
            pickled(responses.chunks, f"chunks of {responses.name}"),
            responses.chunked_over,
            precision,
            responses.name,
            groups,
        )
        sums = yield from _added(client, work, len(pieces), kept or {})
    return told(responses, *finished(sums, responses.shape, responses.name))


def _need_side(responses: Responses, side: Side | None) -> None:
    """Refuse what workers cannot read in pieces whose second moments add up."""
    need(
        responses.chunks is not None,
        expected=f"chunks of {responses.name} that workers can read",
        got="responses in memory",
        remedy="Use eigenfall.grams.gram, or read the file with a smaller `memory`.",
    )
    if responses.shape is not None:
        need_stimuli(responses.shape, responses.name)
    given(
        side or responses.shape,
        expected=f"the size of {responses.name}, to choose the smaller side",
        got="a stream that does not say",
        remedy="Set `size`, or `side`.",
    )
    _, stimuli, units = responses.shape or (0, 0, 0)
    side = side or ("units" if units < stimuli else "stimuli")
    along = "units" if side == "stimuli" else "stimuli"
    need(
        responses.chunked_over == along,
        expected=f"chunks along the {along}, whose second moments over {side} add up",
        got=f"chunks along the {side}",
        remedy=f"Store it in chunks of {along}, or take side={along!r}; eigenfall.grams.gram reads it as it is.",
    )


# ----------------------------------------------------------------------------- on a worker


@dataclass(frozen=True)
class _Work:
    """What a worker must know to sum pieces.

    Attributes:
        chunks: pickled function that returns the pieces.
        over: along which axis they are cut.
        precision: of the products.
        name: of the responses.
        groups: of units.
    """

    chunks: bytes
    over: Side
    precision: Precision
    name: str
    groups: Groups | None = None


def _summed(work: _Work, first: int, stop: int) -> dict[str, Tensor]:
    """Sums over the pieces from the first to before the last."""
    pieces = pickle.loads(work.chunks)()
    sums: OverStimuli | OverUnits | None = None
    for place in range(first, stop):
        piece, name = pieces[place], f"piece {place} of {work.name}"
        need(
            piece.ndim == 3,
            expected="responses as (repeats, stimuli, units)",
            got=f"shape {tuple(piece.shape)} in {name}",
            remedy="For one repeat, add a first axis of length 1.",
        )
        if not bool(torch.isfinite(piece.sum(dtype=torch.float64))):
            need_finite(piece, name, 0, 0)
        if sums is None:
            over_units = work.over == "stimuli"
            sums = (
                OverUnits(piece, work.precision)
                if over_units
                else OverStimuli(piece, work.precision, work.groups, first)
            )
        sums.add(piece, name)
    assert sums is not None
    return sums.made()


def _joined(work: _Work, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sums over the pieces of both, which come one after the other; neither is changed."""
    sums = resumed(first, work.precision, work.groups)
    assert sums is not None
    sums.merge(second)
    return sums.made()


# ------------------------------------------------------------------------------- the caller


def _added(client: Any, work: _Work, count: int, kept: Mapping[str, Tensor]) -> Working[OverStimuli | OverUnits | None]:
    """Sums over all pieces, from groups of them."""
    total = resumed(kept, work.precision, work.groups)
    start = int(kept["at"]) if total is not None else 0
    groups: deque[tuple[int, int, Any]] = deque()
    try:
        while start < count or groups:
            while start < count and len(groups) < AHEAD:
                stop, sums = _group(client, work, start, count)
                groups.append((start, stop, sums))
                start = stop
                del sums
            first, stop, sums = groups[0]
            made = fetched(sums, f"read pieces {first} to {stop - 1} of {work.name}")
            groups.popleft()
            del sums  # the last reference to what workers hold
            if total is None:
                total = resumed(made, work.precision, work.groups)
            else:
                total.merge(made)
            del made
            assert total is not None
            yield Stage("second moments", stop, count, {**total.made(), "at": torch.tensor(stop)})
    finally:
        client.cancel([sums for _, _, sums in groups])
    return total


def _group(client: Any, work: _Work, start: int, count: int) -> tuple[int, Any]:
    """A run of pieces for each thread, added up pair by pair: where it ends, and its sums to come."""
    threads = max(1, sum(client.nthreads().values()))
    run = max(1, min(RUN, math.ceil(count / (GROUPS * threads))))
    stop = min(count, start + run * threads)
    level = [
        client.submit(_summed, work, first, min(first + run, stop), pure=False) for first in range(start, stop, run)
    ]
    while len(level) > 1:
        pairs = [level[place : place + 2] for place in range(0, len(level), 2)]
        level = [client.submit(_joined, work, *pair, pure=False) if len(pair) == 2 else pair[0] for pair in pairs]
    return stop, level[0]
