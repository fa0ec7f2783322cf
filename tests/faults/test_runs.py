"""A run that is killed goes on from its checkpoint, bit-equal; a failure does not touch the others."""

import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file

from eigenfall import cli, records, runs
from eigenfall.architectures.mlp import MLP
from eigenfall.datasets.digits import Digits
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.penalties.spectral import Spectral
from eigenfall.plans import Plan
from eigenfall.recordings.powerlaw import PowerLaw
from eigenfall.runs import execute
from eigenfall.settings import Run
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.subnormals import zeroed
from eigenfall.sweep import execute_all, isolated
from eigenfall.training import Training

PLAN = Plan(fits=(LeastSquares(first_rank=2),), draws=0, smoothness_inputs=0, preset="none")
RUN = Run(
    arm="both",
    data=Digits(),
    architecture=MLP(widths=(24, 24)),
    penalties=(Spectral(strength=2.0, tau=3, refresh="every_epoch"), JacobianNorm(strength=0.01)),
    training=Training(batch_size=64, epochs=None, steps=150),
    plan=PLAN,
)

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from eigenfall import runs, sweep
from faults.test_runs import RUN
runs.CHECKPOINT_SECONDS = 0.05
for event in sweep.execute_all([RUN], Path({root!r})):
    print(event.stage, event.done, flush=True)
"""


def executed(run, root):
    (last,) = [event for event in execute_all([run], root) if event.record or event.error]
    assert not last.error
    return records.load(last.record)


def test_killed_half_way_it_goes_on_bit_equal(tmp_path):
    whole = executed(RUN, tmp_path / "whole")
    script = SCRIPT.format(tests=str(Path(__file__).parents[1]), root=str(tmp_path / "killed"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("training") and int(line.split()[1]) >= 60:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    assert records.load_all(tmp_path / "killed") == []  # nothing looks finished
    (checkpoint,) = (tmp_path / "killed" / ".partial").iterdir()
    reached = records.read_checkpoint(tmp_path / "killed", checkpoint.name)
    assert reached is not None
    resumed = executed(RUN, tmp_path / "killed")
    mine, theirs = records.weights(resumed), records.weights(whole)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert resumed.measurement.rows == whole.measurement.rows
    assert [entry["step"] for entry in resumed.history] == [entry["step"] for entry in whole.history]
    assert not (tmp_path / "killed" / ".partial").exists()


def test_what_a_refresh_measured_is_kept_over_a_kill(tmp_path, monkeypatch):
    """Update 7 is the first after a refresh, and no row is of it: the checkpoint holds what it logged for that of 8."""
    monkeypatch.setattr(runs, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(runs, "LOGGED_STEPS", 8)  # of 16: a row for every second
    penalty = Spectral(tau=3, refresh="every_k_steps", k_steps=3)
    run = replace(RUN, penalties=(penalty,), training=Training(batch_size=64, epochs=None, steps=16))
    whole = records.load([event.record for event in execute(run, tmp_path / "whole")][-1])
    stopped = execute(run, tmp_path / "stopped")
    next(event for event in stopped if event.stage == "training" and event.done == 8)
    stopped.close()
    resumed = records.load([event.record for event in execute(run, tmp_path / "stopped")][-1])
    assert resumed.history == whole.history
    keys = [f"spectral/hidden1/{what}" for what in ("alpha", "s_R", "true_R")]
    rows = {row["step"]: [key in row for key in keys] for row in whole.history}
    assert (rows[6], rows[8], rows[10], rows[12]) == ([False] * 3, [True] * 3, [True] * 3, [False] * 3)


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import multiprocessing
from dataclasses import replace
from faults.test_runs import RUN
from eigenfall.sweep import execute_all
if __name__ == "__main__":
    long = replace(RUN, training=replace(RUN.training, steps=100_000))
    for event in execute_all([long, replace(long, seed=1)], Path({root!r}), workers=2):
        pids = " ".join(str(child.pid) for child in multiprocessing.active_children())
        print(event.stage, "|", pids, flush=True)
"""


def alive(pid):
    """Whether a process runs; one that has ended and waits to be buried does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_workers_of_a_driver_that_was_killed_stop(tmp_path):
    """They would go on with its runs, beside whoever takes them up again."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(tests=str(Path(__file__).parents[1]), root=str(tmp_path / "runs")))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("training"):
            break
    workers = [int(pid) for pid in line.partition("|")[2].split()]
    assert len(workers) == 2
    assert all(map(alive, workers))
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def test_the_same_run_twice_gives_the_same_numbers(tmp_path):
    first, second = executed(RUN, tmp_path / "a"), executed(RUN, tmp_path / "b")
    assert first.measurement.rows == second.measurement.rows
    assert first.name == second.name


def test_settings_name_the_run(tmp_path):
    other = executed(replace(RUN, penalties=()), tmp_path)
    assert other.name != executed(RUN, tmp_path).name
    assert len(records.load_all(tmp_path)) == 2


def test_a_failed_run_leaves_the_others_alone(tmp_path):
    wrong = replace(RUN, arm="wrong", plan=replace(PLAN, layers=("nothing",)))
    events = list(execute_all([wrong, RUN], tmp_path))
    assert [event.name for event in events if event.error] == ["wrong seed 0"]
    assert "got 'nothing'" in next(event.error for event in events if event.error)
    assert [record.run["arm"] for record in records.load_all(tmp_path)] == ["both"]


@pytest.mark.parametrize("before", [False, True])
def test_meanwhile_numbers_without_all_their_digits_are_zero_and_then_as_they_were(before, tmp_path):
    """Weights that decay come there, and make a pass many times as slow (`bench/subnormals.py`)."""
    torch.set_flush_denormal(before)
    try:
        events = isolated(RUN, tmp_path)
        next(events)
        assert zeroed()
        events.close()
        assert zeroed() == before
        assert (
            executed(replace(RUN, training=Training(steps=5, epochs=None)), tmp_path).versions["subnormals"] == "zero"
        )
        assert [event.error for event in isolated(replace(RUN, device="tpu"), tmp_path)] != [""]
        assert zeroed() == before
    finally:
        torch.set_flush_denormal(False)


def test_side_by_side_gives_the_same_numbers_as_one_after_the_other(tmp_path):
    some = [replace(RUN, seed=seed, training=replace(RUN.training, steps=40)) for seed in range(3)]
    assert not [event.error for event in execute_all(some, tmp_path / "two", workers=2) if event.error]
    assert not [event.error for event in execute_all(some, tmp_path / "one", workers=1) if event.error]
    two, one = records.load_all(tmp_path / "two"), records.load_all(tmp_path / "one")
    assert [record.name for record in two] == [record.name for record in one]
    assert [record.measurement.rows for record in two] == [record.measurement.rows for record in one]


def test_interrupted_it_keeps_what_is_finished(tmp_path):
    import signal

    arguments = ["train", "--steps", "40000", "--seeds", "3", "--workers", "2", "--preset", "none"]
    arguments += ["--output", str(tmp_path)]
    finish = ["train", "--arm", "done", "--steps", "5", "--preset", "none", "--draws", "0", "--output", str(tmp_path)]
    assert cli.main([*finish, "--workers", "1"]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "eigenfall", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / ".partial").glob("*/*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "What is finished is kept; the same command goes on from it." in text
    assert "Traceback" not in text
    assert [record.run["arm"] for record in records.load_all(tmp_path)] == ["done"]


@pytest.mark.parametrize("device", ["tpu", "cuda:99x"])
def test_a_device_that_is_not_there_is_refused(device, tmp_path):
    (event,) = [event for event in execute_all([replace(RUN, device=device)], tmp_path) if event.error]
    assert "Expected a device that this machine has" in event.error


def test_when_training_diverges_the_last_good_weights_are_kept_and_it_is_said_where(tmp_path):
    wild = replace(RUN, arm="wild", training=Training(optimiser="sgd", learning_rate=1e30, batch_size=64))
    (event,) = [event for event in execute_all([wild], tmp_path) if event.error]
    assert event.error.startswith("Expected a finite ")
    (path,) = tmp_path.glob(".partial/*/last-good.safetensors")
    assert event.error.endswith(f"They lie in {path}.")
    assert all(torch.isfinite(value).all() for value in load_file(path).values())
    assert records.load_all(tmp_path) == []


def test_a_recording_goes_on_from_what_was_finished(tmp_path):
    plan = Plan(
        spectra=(CvPCA(shuffles=6),), fits=(LeastSquares(2, 20),), draws=0, simulations=0, subsets=0, dimensions=()
    )
    run = Run(verb="measure", recording=PowerLaw(stimuli=60, units=40, noise=0.2), plan=plan)
    work = execute(run, tmp_path / "stopped")
    for event in work:
        if (event.stage, event.done) == ("cvPCA, shuffles", 4):
            break
    work.close()  # as Ctrl-C does
    (checkpoint,) = (tmp_path / "stopped" / ".partial").glob("*/checkpoint.safetensors")
    assert {f"cvpca/shuffle {number}" for number in range(4)} <= load_file(checkpoint).keys()
    again, whole = ([*execute(run, tmp_path / folder)][-1].record for folder in ("stopped", "whole"))
    assert records.load(again).measurement.rows == records.load(whole).measurement.rows
    assert not checkpoint.exists()


# ------------------------------------------------------------------------- data read once for several runs


@dataclass(frozen=True)
class CountedDigits(Digits):
    """The digits, counting how often they are read; with `validation=0` there is nothing to read."""

    reads: ClassVar[list[int]] = []

    def __call__(self):
        if self.validation == 0:
            raise OSError("The disk is gone.")
        self.reads.append(self.validation)
        return super().__call__()


@dataclass(frozen=True)
class CountedPowerLaw(PowerLaw):
    """The simulated recording, counting how often it is made."""

    reads: ClassVar[list[int]] = []

    def __call__(self):
        self.reads.append(self.stimuli)
        return super().__call__()


SHORT = replace(RUN, training=Training(batch_size=64, epochs=None, steps=5), data=CountedDigits(), penalties=())


@pytest.fixture(autouse=True)
def uncounted():
    CountedDigits.reads.clear()
    CountedPowerLaw.reads.clear()


def same(first, second):
    """Whether two folders hold the same records, to the bit."""
    one, two = ({record.name: record for record in records.load_all(folder)} for folder in (first, second))
    assert one.keys() == two.keys()
    for name in one:
        assert one[name].measurement.rows == two[name].measurement.rows
        mine, theirs = records.weights(one[name]), records.weights(two[name])
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    return len(one)


def test_data_are_read_once_as_long_as_they_are_the_same_and_anew_if_others(tmp_path):
    other = CountedDigits(validation=100)
    some = [replace(SHORT, seed=0), replace(SHORT, seed=1, data=CountedDigits()), replace(SHORT, arm="b", data=other),
            replace(SHORT, arm="c", data=other), replace(SHORT, seed=2)]  # fmt: skip
    held = []
    for run in some:
        assert not [event.error for event in isolated(run, tmp_path / "held", held) if event.error]
    assert CountedDigits.reads == [200, 100, 200]
    assert held[0] == CountedDigits()
    CountedDigits.reads.clear()
    for run in some:
        assert not [event.error for event in isolated(run, tmp_path / "fresh") if event.error]
    assert len(CountedDigits.reads) == 5
    assert same(tmp_path / "held", tmp_path / "fresh") == 5


def test_one_after_the_other_reads_once(tmp_path):
    assert not [event.error for event in execute_all([SHORT, replace(SHORT, seed=1)], tmp_path) if event.error]
    assert CountedDigits.reads == [200]


def test_data_that_cannot_be_read_fail_their_own_run_and_leave_what_is_held(tmp_path):
    held = []
    gone = replace(SHORT, arm="gone", data=CountedDigits(validation=0))
    errors = [
        [event.error for event in isolated(run, tmp_path, held) if event.error]
        for run in (SHORT, gone, replace(SHORT, seed=1))
    ]
    assert errors == [[], ["The disk is gone."], []]
    assert CountedDigits.reads == [200]


def test_a_recording_is_read_once_as_well_and_never_taken_for_a_data_set(tmp_path):
    plan = Plan(
        spectra=(CvPCA(shuffles=2),), fits=(LeastSquares(2, 20),), draws=0, simulations=0, subsets=0, dimensions=()
    )
    recorded = Run(verb="measure", recording=CountedPowerLaw(stimuli=60, units=40), plan=plan)
    some, held = [recorded, replace(recorded, seed=1), SHORT, recorded], []
    for run in some:
        assert not [event.error for event in isolated(run, tmp_path, held) if event.error]
    assert CountedPowerLaw.reads == [60, 60]
    assert CountedDigits.reads == [200]


def test_a_run_that_is_handed_its_data_gives_what_it_gives_when_it_reads_them(tmp_path):
    for run, folder, subject in ((SHORT, "handed", Digits()()), (SHORT, "reading", None)):
        assert [*execute(run, tmp_path / folder, subject)][-1].record
    assert CountedDigits.reads == [200]
    assert same(tmp_path / "handed", tmp_path / "reading") == 1
