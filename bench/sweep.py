"""What a sweep costs beside its runs, and how fast a list of thousands of records is.

    overhead = wall time / (sum of the runs' own times / workers),   start of the processes and imports included

Two hundred runs of at least a second each on the digits (`--runs` says otherwise), in as many workers as there are
cores; then the same runs on a Dask cluster of two workers, whose records must equal those to a millionth. Then three
thousand records, copies of one, are listed, once with nothing kept and once as it is the second time;
`records.load_all` reads three hundred of them, and its time is multiplied by ten.
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from eigenfall import records
from eigenfall.architectures.mlp import MLP
from eigenfall.attempts import isolated
from eigenfall.commands.train import default_workers
from eigenfall.datasets.digits import Digits
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.index import listed
from eigenfall.plans import Plan
from eigenfall.settings import Run
from eigenfall.sweep import execute_all
from eigenfall.training import Training

RUNS, RECORDS, READ = 200, 3000, 300
OVERHEAD, SECONDS, ALIKE = 1.25, 1.0, 1e-6

PLAN = Plan(fits=(LeastSquares(first_rank=2),), draws=20, smoothness_inputs=50, epsilons=(0.1,), attacked_inputs=50)
RUN = Run(data=Digits(), architecture=MLP(widths=(64, 64)), plan=PLAN)


def lasting(run: Run, folder: Path) -> Run:
    """The run with as many steps as take a second and a quarter when it runs alone."""
    steps, short = 200, replace(run, training=Training(epochs=None, steps=200))
    held = []
    first, second = (list(isolated(replace(short, seed=seed), folder, held))[-1].seconds for seed in (1000, 1001))
    each = min(first, second) / steps
    return replace(run, training=Training(epochs=None, steps=int(1.25 * SECONDS / each) + 1))


def overhead(count: int, folder: Path) -> bool:
    """Whether a sweep is quick enough."""
    run, workers = lasting(RUN, folder / "alone"), default_workers()
    start = time.monotonic()
    runs = [replace(run, seed=seed) for seed in range(count)]
    ends = [event for event in execute_all(runs, folder / "runs", workers) if event.ends]
    wall, seconds = time.monotonic() - start, [event.seconds for event in ends]
    assert not [event.error for event in ends if event.error]
    ratio = wall / (sum(seconds) / workers)
    print(
        f"{count} runs of {min(seconds):.2f} to {max(seconds):.2f} s, {workers} workers: {wall:.1f} s, "
        f"overhead {ratio:.3f}"
    )
    return ratio <= OVERHEAD and min(seconds) >= SECONDS


def elsewhere(count: int, folder: Path) -> bool:
    """Whether a Dask cluster of two workers gives the records that processes gave here."""
    from distributed import Client, LocalCluster

    run = records.load_all(folder / "runs")[0].run["training"]["steps"]
    runs = [replace(RUN, seed=seed, training=Training(epochs=None, steps=run)) for seed in range(count)]
    start = time.monotonic()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        ends = [event for event in execute_all(runs, folder / "dask", cluster=client) if event.ends]
    assert not [event.error for event in ends if event.error]
    wall, seconds = time.monotonic() - start, sum(event.seconds for event in ends)
    here, there = (records.load_all(folder / name) for name in ("runs", "dask"))
    assert [record.name for record in here] == [record.name for record in there]
    apart = max(apart_by(mine, theirs) for mine, theirs in zip(here, there))
    print(
        f"{count} runs on a Dask cluster of two: {wall:.1f} s, overhead {wall / (seconds / 2):.3f}, "
        f"records apart by at most {apart:.1e}"
    )
    return apart <= ALIKE


def apart_by(mine, theirs) -> float:
    """Largest difference between two records' weights and numbers."""
    one, other = records.weights(mine), records.weights(theirs)
    apart = max(float((one[name] - other[name]).abs().max()) for name in other)
    for row, twin in zip(mine.measurement.rows, theirs.measurement.rows, strict=True):
        assert row.keys() == twin.keys()
        if isinstance(row["value"], float) and row["value"] == row["value"]:
            apart = max(apart, abs(row["value"] - twin["value"]))
    return apart


def listing(folder: Path) -> bool:
    """Whether a list of thousands of records is quick enough."""
    made = next(event.record for event in isolated(replace(RUN, training=Training(epochs=2)), folder) if event.record)
    names = [f"copy-s{number}-{number:012x}" for number in range(RECORDS)]
    for number, name in enumerate(names):
        place = folder / ("some" if number < READ else "rest") / name
        place.mkdir(parents=True)
        for file in made.iterdir():
            os.link(file, place / file.name)
    some = timed(records.load_all, folder / "some") * RECORDS / READ
    for place in (folder / "some").iterdir():
        place.rename(folder / "rest" / place.name)
    fresh, again = timed(listed, folder / "rest"), timed(listed, folder / "rest")
    size = (folder / "rest" / ".index").stat().st_size
    print(
        f"{RECORDS} records: load_all {some:.1f} s, listed at first {fresh:.2f} s, then {again:.3f} s "
        f"({some / again:.0f} times as fast as load_all), {size / 1e6:.1f} MB"
    )
    return again < 1


def timed(function, folder):
    start = time.monotonic()
    function(folder)
    return time.monotonic() - start


def main() -> int:
    count = int(sys.argv[sys.argv.index("--runs") + 1]) if "--runs" in sys.argv else RUNS
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "sweep"
        held = [overhead(count, sweep), elsewhere(count, sweep), listing(Path(folder) / "list")]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
