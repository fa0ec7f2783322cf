"""Second moments on a cluster of two processes: those that are found here, whatever is ready first."""

import asyncio
import os
import sys
import threading
import time
from dataclasses import replace

import distributed
import h5py
import numpy as np
import pytest
import torch
import zarr
from chunks import Cut, Deadly, Late, Uneven, Unreadable
from exact import refusal, seeded
from torch.testing import assert_close

from eigenfall import cluster, dispatch, grams, records, repeats, streams
from eigenfall.architectures.mlp import MLP
from eigenfall.clients import Jobs, queued
from eigenfall.datasets.digits import Digits
from eigenfall.exponents import measuring_responses
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.penalties.spectral import Spectral
from eigenfall.plans import Plan
from eigenfall.recordings.file import File
from eigenfall.recordings.hdf5 import HDF5
from eigenfall.recordings.powerlaw import PowerLaw
from eigenfall.recordings.zarr import Zarr
from eigenfall.settings import Run, settings_of
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.stages import consumed
from eigenfall.sweep import execute_all
from eigenfall.training import Training
from eigenfall.types import Responses

FIELDS = ("matrix", "across", "means", "per_unit")


@pytest.fixture(scope="module")
def workers():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as started,
        distributed.Client(started, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def small(monkeypatch):
    """Files in pieces of at most a thousand values."""
    monkeypatch.setattr(streams, "PIECE", 1000)


def drawn(count=2, stimuli=20, units=90):
    """Responses with a large mean, and two units that are constant, one of them in the first pieces only."""
    values = torch.randn(count, stimuli, units, generator=seeded(0), dtype=torch.float64)
    values = values + 3 * torch.arange(units)
    values[:, :, 7] = 0.1
    values[:, : stimuli // 2, 5] = 2.5
    return values


def cut(values, width=4, over="units", made=Cut, told=True, **more):
    axis = 2 if over == "units" else 1
    size = tuple(values.shape) if told else None
    return Responses(chunks=made(values, width, axis, **more), chunked_over=over, size=size, name="session")


def near(found, truth, share=1e-10):
    """Equal to a share of the largest entry in all that a Gram carries."""
    assert found.dropped == truth.dropped
    assert (found.side, found.stimuli, found.units, found.repeats, found.averaged, found.name) == (
        truth.side,
        truth.stimuli,
        truth.units,
        truth.repeats,
        truth.averaged,
        truth.name,
    )
    for name in FIELDS:
        one, other = getattr(found, name), getattr(truth, name)
        assert (one is None) == (other is None), name
        if one is not None:
            largest = float(other.nan_to_num().abs().max())
            assert_close(one, other, rtol=0, atol=share * largest, equal_nan=True, msg=name)


# ---------------------------------------------------------------------------- known answers


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("over, stimuli, units", [("units", 20, 90), ("stimuli", 90, 20)])
def test_the_second_moments_are_those_found_here(count, over, stimuli, units, workers):
    values = drawn(count, stimuli, units)
    found = cluster.gram(cut(values, over=over), workers)
    assert found.dropped == {"constant units": 1}
    near(found, grams.gram(Responses(values=values, name="session")))


@pytest.mark.parametrize("over, side", [("units", "stimuli"), ("stimuli", "units")])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("width", [1, 300])
def test_a_side_that_is_asked_for(over, side, told, width, workers):
    values = drawn(2, 25, 24)
    found = cluster.gram(cut(values, width, over, told=told), workers, side=side)
    near(found, grams.gram(Responses(values=values, name="session"), side=side))


@pytest.mark.parametrize("kind", ["npy", "hdf5", "zarr"])
def test_files_are_read_by_the_workers(kind, tmp_path, workers, small):
    values, told = drawn(2, 20, 150).numpy(), {"axes": "repeats stimuli units"}
    path = tmp_path / f"session.{kind}"
    if kind == "npy":
        np.save(path, values)
        part = File(path, **told)
    elif kind == "hdf5":
        with h5py.File(path, "w") as file:
            file["responses"] = values
        part = HDF5(path, **told)
    else:
        zarr.open_group(str(path), mode="w").create_array("responses", data=values)
        part = Zarr(path, **told)
    stream = replace(part, memory=1e-9)()
    assert len(stream.chunks()) == 6
    near(cluster.gram(stream, workers), grams.gram(part()))


def test_an_address_is_enough_and_missing_repeats_are_averaged_on_the_way(tmp_path, workers, small):
    values = drawn(3, 20, 150)
    values[2, 4] = torch.nan
    np.save(tmp_path / "session.npy", values.numpy())
    two = repeats.two(File(tmp_path / "session.npy", "repeats stimuli units", memory=1e-9)())
    found = cluster.gram(two, workers.scheduler.address)
    assert (found.repeats, found.name) == (2, "session")
    near(found, grams.gram(two))
    assert workers.status == "running"


def test_products_may_be_of_float32(workers):
    values = drawn(2, 20, 90)
    exact = grams.gram(Responses(values=values, name="session"))
    mixed = cluster.gram(cut(values), workers, precision="mixed")
    assert 0 < float((mixed.matrix - exact.matrix).abs().max()) < 1e-6 * float(exact.matrix.abs().max())


def test_a_spectrum_from_a_cluster_is_the_local_one(workers, monkeypatch):
    monkeypatch.setattr("eigenfall.recordings.powerlaw.BLOCK", 50)
    stream = PowerLaw(stimuli=30, units=400, memory=1e-9)()
    assert len(stream.chunks()) == 8
    found = CvPCA(shuffles=5)(cluster.gram(stream, workers), seeded(0))
    truth = CvPCA(shuffles=5)(stream, seeded(0))
    largest = float(truth.eigenvalues[0])
    assert_close(found.eigenvalues, truth.eigenvalues, rtol=0, atol=1e-10 * largest)
    assert (found.stimuli, found.units, found.repeats) == (truth.stimuli, truth.units, truth.repeats)


# --------------------------------------------------------------------- order, and interruption


def test_what_is_ready_first_does_not_matter(workers):
    values = drawn(2, 20, 48)
    prompt, late = (cluster.gram(cut(values, made=made), workers) for made in (Cut, Late))
    for name in ("matrix", "across", "per_unit"):
        assert torch.equal(getattr(prompt, name), getattr(late, name))


@pytest.mark.parametrize("over", ["units", "stimuli"])
def test_an_interrupted_reading_goes_on(over, workers):
    stream = cut(drawn(2, 64, 64), over=over)
    side = "stimuli" if over == "units" else "units"
    stages = cluster.gramming(stream, workers, side=side)
    first = next(stages)
    assert (first.what, first.done, first.total) == ("second moments", 4, 16)  # two threads, runs of two pieces
    kept = {name: tensor.clone() for name, tensor in first.made.items()}
    stages.close()
    rest = cut(drawn(2, 64, 64), over=over, made=Unreadable, error=OSError("read again"))  # piece 2 is not
    (found,) = consumed(cluster.gramming(rest, workers, side=side, kept=kept))
    whole = cluster.gram(stream, workers, side=side)
    assert torch.equal(found.matrix, whole.matrix)
    assert torch.equal(found.per_unit, whole.per_unit)
    (here,) = consumed(grams.gramming(stream, side=side, kept=kept))
    near(here, whole)


def test_groups_of_units_are_those_drawn_here(workers):
    stream, groups = cut(drawn(2, 20, 256)), grams.Groups(4, 2, seed=3)
    here = consumed(grams.gramming(stream, side="stimuli", groups=groups))
    stages = cluster.gramming(stream, workers, groups=groups)
    kept = {name: tensor.clone() for name, tensor in next(stages).made.items()}
    stages.close()
    for found in (
        consumed(cluster.gramming(stream, workers, groups=groups)),
        consumed(cluster.gramming(stream, workers, groups=groups, kept=kept)),
        consumed(grams.gramming(stream, side="stimuli", groups=groups, kept=kept)),
    ):
        assert len(found) == len(here) == 7
        for one, other in zip(found, here):
            near(one, other)


def test_a_recording_is_measured_alike(workers):
    stream = cut(PowerLaw(stimuli=60, units=256, noise=0.3)().values)
    plan = Plan(spectra=(CvPCA(shuffles=2),), fits=(LeastSquares(2, 20),), draws=4, simulations=0, dimensions=())
    here = consumed(measuring_responses(stream, plan))
    there = consumed(measuring_responses(stream, replace(plan, cluster=workers.scheduler.address)))
    assert len(here.rows) == len(there.rows) > 30
    for one, other in zip(here.rows, there.rows):
        assert one["quantity"] == other["quantity"]
        assert one["value"] == pytest.approx(other["value"], rel=1e-9, abs=1e-9)
    assert "units" in there.diagnostics["cvpca"].over


def dropping_to(count, client):
    """How many tasks the scheduler has, once it has heard of those that nobody wants any more."""
    until = time.monotonic() + 5
    while (found := client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))) > count:
        if time.monotonic() > until:
            break
        time.sleep(0.02)
    return found


def test_no_more_than_two_groups_are_under_way_and_none_is_left(workers):
    stages = cluster.gramming(cut(drawn(2, 20, 256)), workers)
    assert [(stage.done, stage.total) for stage in (next(stages), next(stages))] == [(16, 64), (32, 64)]
    assert dropping_to(3, workers) == 3  # the third group: two runs and their sum
    stages.close()
    assert dropping_to(0, workers) == 0


# --------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "responses, message",
    [
        (
            Responses(values=drawn()),
            "Expected chunks of responses that workers can read, got responses in memory. Use eigenfall.grams.gram, "
            "or read the file with a smaller `memory`.",
        ),
        (
            Responses(chunks=lambda: iter(drawn())),
            "Expected the size of responses, to choose the smaller side, got a stream that does not say. Set `size`, "
            "or `side`.",
        ),
        (
            cut(drawn(), over="stimuli"),
            "Expected chunks along the units, whose second moments over stimuli add up, got chunks along the stimuli. "
            "Store it in chunks of units, or take side='units'; eigenfall.grams.gram reads it as it is.",
        ),
        (
            Responses(chunks=lambda: iter(drawn()), size=(2, 90, 20)),
            "Expected chunks of responses that can be indexed, so that workers can ask for some of them, got "
            "list_iterator. Let `chunks` return a sequence that makes a piece when it is asked for one.",
        ),
        (
            Responses(chunks=lambda: [], size=(2, 1, 20), chunked_over="units"),
            "Expected at least two stimuli and one unit in responses, got 1 × 20. A covariance needs differences "
            "between stimuli.",
        ),
    ],
)
def test_what_does_not_add_up_in_pieces_is_refused_before_anything_is_sent(responses, message):
    if "list_iterator" in message:
        responses = replace(responses, chunks=lambda: iter([drawn()]))
    assert refusal(cluster.gram, responses, "tcp://127.0.0.1:1") == message


def test_pieces_that_cannot_be_sent_are_refused(workers):
    remedy = "Let `chunks` be a function or a class that opens its file when a piece is asked for."
    lock, size = threading.Lock(), (2, 20, 90)
    stream = Responses(chunks=lambda: [lock], chunked_over="units", size=size, name="session")
    assert refusal(cluster.gram, stream, workers) == (
        "Expected chunks of session that can be sent to workers, got TypeError: cannot pickle '_thread.lock' object. "
        f"{remedy}"
    )
    held = torch.zeros(2, 20, 40_000, dtype=torch.float64)
    assert refusal(cluster.gram, cut(held, 4000), workers) == (
        f"Expected chunks of session that say where to read, got 12.8 MB to send with each run of pieces. {remedy}"
    )


def test_a_scheduler_that_does_not_answer_is_refused():
    message = refusal(cluster.gram, cut(drawn()), "tcp://127.0.0.1:1", timeout=0.5)
    assert message.startswith("Expected a Dask scheduler at 'tcp://127.0.0.1:1', got ")
    assert message.endswith(". Start one with `dask scheduler`, or mend the address, such as tcp://node1:8786.")
    assert "Timed out trying to connect to tcp://127.0.0.1:1 after 0.5 s" in message


def test_a_cluster_without_workers_is_refused():
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as started:
        address = started.scheduler_address
        assert refusal(cluster.gram, cut(drawn()), started, timeout=0.2) == (
            f"Expected workers at {address}, got none within 0.2 s. Start some: dask worker {address}"
        )


def test_an_asynchronous_client_is_refused(workers):
    async def asked():
        async with distributed.Client(workers.scheduler.address, asynchronous=True, set_as_default=False) as client:
            return refusal(cluster.gram, cut(drawn()), client)

    assert asyncio.run(asked()) == (
        "Expected a client that waits for its results, got an asynchronous one. Give the scheduler's address."
    )


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert refusal(cluster.gram, cut(drawn()), "tcp://127.0.0.1:1") == (
        "Expected the package distributed for a Dask cluster, got none. Install it: pip install 'eigenfall[cluster]'"
    )


def test_what_a_worker_fails_at_is_said_in_a_sentence(workers):
    stream = cut(drawn(), made=Unreadable, error=OSError("no such disk"))
    assert refusal(cluster.gram, stream, workers) == (
        "Expected workers to read pieces 0 to 5 of session, got OSError: no such disk. See that they have eigenfall, "
        "what their pieces need, and enough memory, and see its files under the same path."
    )


def bad(place, value):
    values = drawn()
    values[place] = value
    return values


@pytest.mark.parametrize(
    "responses, message",
    [
        (
            cut(bad((1, 4, 50), torch.nan)),
            "Expected finite piece 12 of session, got no finite repeat at repeat 1, stimulus 4, unit 2, counted from "
            "0. Leave that stimulus or unit out.",
        ),
        (
            cut(bad((1, 4, 50), torch.inf)),
            "Expected finite piece 12 of session, got an infinite value at repeat 1, stimulus 4, unit 2, counted from "
            "0. Leave that stimulus or unit out.",
        ),
        (
            cut(drawn(), made=Uneven),
            "Expected 20 stimuli in every chunk of units, got 19. Cut the chunks along the units only.",
        ),
        (
            cut(drawn(2, 90, 20), over="stimuli", made=Uneven),
            "Expected 20 units in every chunk of stimuli, got 19. Cut the chunks along the stimuli only.",
        ),
        (
            replace(cut(drawn()), size=(2, 20, 91)),
            "Expected 91 units from every reading of the chunks, got 90. Let the stream give the same units each time.",
        ),
        (
            cut(torch.ones(2, 20, 90)),
            "Expected session that vary over stimuli, got no variance in any unit. Look for a dead layer, or a "
            "constant input.",
        ),
        (
            Responses(chunks=Cut(drawn()[0], 90, 1), chunked_over="units", size=(1, 20, 90), name="session"),
            "Expected responses as (repeats, stimuli, units), got shape (20, 90) in piece 0 of session. For one "
            "repeat, add a first axis of length 1.",
        ),
    ],
)
def test_bad_pieces_are_refused_by_their_place(responses, message, workers):
    assert refusal(cluster.gram, responses, workers) == message


def test_a_stream_without_pieces_is_refused(workers):
    stream = Responses(chunks=Cut(drawn()[:, :, :0], 4, 2), chunked_over="units", name="session")
    assert refusal(cluster.gram, stream, workers, side="stimuli") == (
        "Expected at least two stimuli and one unit in session, got 0 × 0. A covariance needs differences between "
        "stimuli."
    )


# ------------------------------------------------------------------------------ last of all


def test_a_worker_that_dies_costs_its_run_only(workers, tmp_path):
    values = drawn()
    found = cluster.gram(cut(values, made=Deadly, once=tmp_path / "died"), workers)
    assert (tmp_path / "died").exists()
    near(found, grams.gram(Responses(values=values, name="session")))


# ---------------------------------------------------------------------------- runs on a cluster

PLAN = Plan(fits=(LeastSquares(first_rank=2),), draws=0, smoothness_inputs=0, preset="none")
RUN = Run(
    data=Digits(),
    architecture=MLP(widths=(24,)),
    penalties=(Spectral(tau=3),),
    training=Training(batch_size=64, epochs=None, steps=12),
    plan=PLAN,
)


def test_runs_on_a_cluster_give_the_records_that_they_give_here(tmp_path, workers):
    runs = [replace(RUN, seed=seed) for seed in range(3)]
    wrong = replace(RUN, arm="wrong", plan=replace(PLAN, layers=("nothing",)))
    there = [event for event in execute_all([*runs, wrong], tmp_path / "there", cluster=workers) if event.ends]
    [*execute_all([*runs, wrong], tmp_path / "here")]
    assert [event.name for event in there if event.error] == ["wrong seed 0"]
    assert "got 'nothing'" in next(event.error for event in there if event.error)
    found, truth = (records.load_all(tmp_path / folder) for folder in ("there", "here"))
    assert [record.name for record in found] == [record.name for record in truth]
    for mine, theirs in zip(found, truth):
        assert mine.measurement.rows == theirs.measurement.rows
        one, other = records.weights(mine), records.weights(theirs)
        assert max(float((one[name] - other[name]).abs().max()) for name in other) <= 1e-6
    again = [event for event in execute_all(runs, tmp_path / "there", cluster=workers) if event.ends]
    assert [event.again for event in again] == [True] * 3
    assert [path.name for path in (tmp_path / "there").glob(".partial/*/*")] == ["checkpoint.safetensors"]  # the wrong


def test_a_run_that_somebody_else_has_is_sent_again_until_it_can_be_had(tmp_path, workers, monkeypatch):
    monkeypatch.setattr(dispatch, "LOOK_AGAIN", 0.1)
    context = records.claimed(tmp_path, records.run_hash(settings_of(RUN, Digits()().digest)))
    assert context.__enter__()
    said, ended = [], []
    for event in execute_all([RUN], tmp_path, cluster=workers):
        if event.said:
            said.append(event.said)
            context.__exit__(None, None, None)
        ended += [event.name] if event.ends else []
    assert said == ["plain seed 0: another process has it; it is looked at again until that one has ended."]
    assert ended == ["plain seed 0"]


def test_whoever_stops_listening_stops_the_runs(tmp_path, workers):
    """The worker stops at the next event, keeps its checkpoint, and holds the run no more."""
    long = replace(RUN, training=replace(RUN.training, steps=20_000))
    events = execute_all([long], tmp_path, cluster=workers)
    next(event for event in events if event.stage == "training")
    events.close()
    key = records.run_hash(settings_of(long, Digits()().digest))
    deadline = time.monotonic() + 60
    held = False
    while not held and time.monotonic() < deadline:
        with records.claimed(tmp_path, key) as held:
            time.sleep(0.1)
    assert held


def test_no_scheduler_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "TIMEOUT", 0.5)
    said = refusal(list, execute_all([RUN], tmp_path / "runs", cluster="tcp://127.0.0.1:1"))
    assert said.startswith("Expected a Dask scheduler at 'tcp://127.0.0.1:1', got ")
    assert not (tmp_path / "runs").exists()


# ---------------------------------------------------------------------------- jobs of a queue

SBATCH = """#!/bin/sh
cp "$1" "$JOBS/script.$$"
[ -z "$JOBS_RUN" ] || setsid sh "$JOBS/script.$$" > "$JOBS/log.$$" 2>&1 &
echo "Submitted batch job $$"
"""


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A folder in which a stand-in for Slurm leaves the scripts of the jobs that it is asked for."""
    for name, text in {"sbatch": SBATCH, "qsub": SBATCH, "scancel": "#!/bin/sh\n", "qdel": "#!/bin/sh\n"}.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "jobs").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(tmp_path / "jobs"))
    return tmp_path / "jobs"


@pytest.mark.parametrize("kind, mark, line", [("slurm", "#SBATCH", "-p long"), ("pbs", "#PBS", "-q long")])
def test_jobs_are_asked_for_as_the_settings_say(kind, mark, line, queue):
    jobs = Jobs(kind, {"queue": "long", "walltime": "01:00:00", "runs_per_job": 3, "python": "/shared/python"})
    with queued(jobs, 2, queue / "logs") as client:
        deadline = time.monotonic() + 30
        while len(list(queue.glob("script.*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.nthreads() == {}
    first, second = (path.read_text() for path in queue.glob("script.*"))
    for script in (first, second):
        assert f"{mark} {line}" in script
        assert "01:00:00" in script
        assert "/shared/python -m distributed.cli.dask_worker" in script
        assert "--nworkers 3" in script
        assert "--nthreads 1" in script
        assert str(queue / "logs") in script


@pytest.mark.slow
def test_a_sweep_as_jobs_gives_the_records_that_it_gives_here(queue, tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS_RUN", "1")
    runs = [replace(RUN, seed=seed) for seed in range(3)]
    jobs = Jobs("slurm", {"python": sys.executable, "interface": "lo"})
    there = [event for event in execute_all(runs, tmp_path / "there", 2, jobs) if event.ends]
    [*execute_all(runs, tmp_path / "here")]
    assert [event.error for event in there] == [""] * 3
    found, truth = (records.load_all(tmp_path / folder) for folder in ("there", "here"))
    assert [one.measurement.rows for one in found] == [one.measurement.rows for one in truth]
