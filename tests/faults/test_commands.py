"""Faults as a user meets them: one sentence, nothing half-written, and what was stopped goes on once that is mended."""

import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pagerecords
import pytest
import torch
from exact import refusal
from faults.test_records import as_nobody, full, locked, longest_file  # noqa: F401
from pageoutline import outline
from safetensors import SafetensorError
from safetensors.torch import load_file

from eigenfall import records, runs
from eigenfall.architectures.imported import Imported
from eigenfall.architectures.mlp import MLP
from eigenfall.cli import main
from eigenfall.datasets.digits import Digits
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.index import listed
from eigenfall.plans import Plan
from eigenfall.report import page
from eigenfall.runs import execute
from eigenfall.settings import Run
from eigenfall.sweep import execute_all
from eigenfall.training import Training

PLAN = Plan(fits=(LeastSquares(first_rank=2),), draws=0, smoothness_inputs=0, preset="none")
RUN = Run(
    data=Digits(), architecture=MLP(widths=(24,)), training=Training(batch_size=64, epochs=None, steps=12), plan=PLAN
)
TRAIN = ["train", "--steps", "5", "--preset", "none", "--draws", "0", "--smoothness-inputs", "0", "--workers", "1"]
FULL = "got a full disk. Free some space and run again; what was finished before is whole."
FORBIDDEN = "got no permission. Choose another folder, or have its permissions changed."


def finished(run, root):
    return records.load([event.record for event in execute(run, root)][-1])


def equal(first, second):
    mine, theirs = records.weights(first), records.weights(second)
    return first.measurement.rows == second.measurement.rows and all(
        torch.equal(mine[key], theirs[key]) for key in mine
    )


def said(capsys):
    """The last line on standard error, as text without a traceback."""
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text.strip().splitlines()[-1].strip()


# ------------------------------------------------------------------------------- full disks


def test_training_on_a_full_disk_says_so_and_goes_on_when_there_is_room(tmp_path, monkeypatch):
    whole = finished(RUN, tmp_path / "whole")
    monkeypatch.setattr(runs, "CHECKPOINT_SECONDS", -1.0)
    root = tmp_path / "full"
    key = records.run_hash(whole.run)
    with longest_file(500):
        (event,) = [event for event in execute_all([RUN], root) if event.ends]
    path = root / ".partial" / key / "checkpoint.safetensors"
    assert event.error == f"Expected to write {path}, {FULL}"
    assert [file for file in root.rglob("*") if file.is_file()] == []
    assert equal(finished(RUN, root), whole)


def test_a_page_that_finds_a_full_disk_leaves_the_one_before(full, capsys):  # noqa: F811
    folder = full / "page"
    folder.mkdir()
    (folder / "report.html").write_text("of yesterday")
    made = pagerecords.responses_record()
    assert refusal(lambda: page.write([made], folder / "report.html", "t" * 200_000, "c")) == (
        f"Expected to write {folder / 'report.html'}, {FULL}"
    )
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    assert (folder / "report.html").read_text() == "of yesterday"


# -------------------------------------------------------------------------------- read-only


def test_commands_that_may_not_write_say_so(tmp_path, locked, capsys):  # noqa: F811
    made = finished(RUN, tmp_path / "runs")

    def commands(folder):
        yield [*TRAIN, "--output", str(folder / "runs")]
        yield ["report", str(made.path), "--output", str(folder / "page.html")]
        yield ["export", str(made.path), "--output", str(folder / "rows.csv")]

    assert [main(command) for command in commands(tmp_path / "own")] == [0, 0, 0]
    capsys.readouterr()
    with as_nobody():
        told = [(main(command), said(capsys)) for command in commands(locked)]
    assert [code for code, _ in told] == [2, 2, 2]
    assert told[0][1].endswith(FORBIDDEN)
    assert [sentence for _, sentence in told[1:]] == [
        f"eigenfall: Expected to write {locked / name}, {FORBIDDEN}" for name in ("page.html", "rows.csv")
    ]
    assert [path.name for path in locked.iterdir()] == ["rows.json"]


@contextmanager
def mounted_read_only(folder):
    """A disk that nobody may write to."""
    bound = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True, check=False)
    if bound.returncode:
        pytest.skip("a disk can only be mounted by root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_what_is_finished_on_a_read_only_disk_is_listed_and_found(tmp_path):
    made = finished(RUN, tmp_path)
    with mounted_read_only(tmp_path):
        assert [entry.name for entry in listed(tmp_path)] == [made.name]
        (again,) = [event for event in execute_all([RUN], tmp_path) if event.ends]
        other = [event.error for event in execute_all([replace(RUN, seed=1)], tmp_path) if event.ends]
    assert (again.record, again.again) == (made.path, True)
    assert other[0].endswith(FORBIDDEN)


# ------------------------------------------------------------------ two processes on one record

TWICE = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from eigenfall.sweep import execute_all
from faults.test_commands import RUN
root, ready, other = map(Path, sys.argv[1:])
ready.touch()
while not other.exists():
    pass
print(*(event.again for event in execute_all([RUN], root) if event.ends))
"""


def test_two_processes_with_one_run_make_one_record(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    ready = [tmp_path / "one", tmp_path / "two"]
    commands = [
        [sys.executable, "-c", TWICE, str(tmp_path / "runs"), *map(str, places)] for places in (ready, ready[::-1])
    ]

    def told(command):
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(told, commands)) == ["False", "True"]  # run by one, found by the other
    assert equal(*records.load_all(tmp_path / "runs"), finished(RUN, tmp_path / "alone"))
    assert not (tmp_path / "runs" / ".partial").exists()


def test_a_record_that_another_process_wrote_meanwhile_is_not_written_over(tmp_path, monkeypatch):
    """As where files cannot be locked: both finish, and the one that comes second says so."""
    made = finished(RUN, tmp_path / "elsewhere")
    path = tmp_path / "runs" / made.name
    write = records.write_folder

    def second(*arguments):
        path.parent.mkdir(exist_ok=True)
        made.path.rename(path)
        write(*arguments)

    monkeypatch.setattr(records, "write_folder", second)
    assert refusal(lambda: finished(RUN, tmp_path / "runs")) == (
        f"Expected to write {path}, got one of that name. "
        "It was written meanwhile: read it, or remove it and run again."
    )
    assert records.load(path).measurement.rows == made.measurement.rows
    assert list((tmp_path / "runs" / ".partial").rglob("record-*")) == []


# ------------------------------------------------------------------------- damaged checkpoints


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:-9] + bytes(9 * [7])])
def test_a_damaged_checkpoint_is_named_and_the_run_starts_anew_without_it(tmp_path, damage, monkeypatch):
    monkeypatch.setattr(runs, "CHECKPOINT_SECONDS", -1.0)
    work = execute(RUN, tmp_path)
    next(event for event in work if event.done == 6)
    next(work)
    work.close()
    (path,) = tmp_path.glob(".partial/*/checkpoint.safetensors")
    path.write_bytes(damage(path.read_bytes()))
    (event,) = [event for event in execute_all([RUN], tmp_path) if event.ends]
    assert event.error == (
        f"Expected {path} as it was written, got a damaged file. Remove it; the run then starts anew."
    )
    path.unlink()
    assert equal(finished(RUN, tmp_path), finished(RUN, tmp_path / "whole"))


# ------------------------------------------------------------------------ a clock that goes back


@pytest.fixture
def back(monkeypatch):
    """A clock that goes back by a day whenever it is asked, the one that must not among them."""
    asked = 0

    def earlier(*_):
        nonlocal asked
        asked += 1
        return 2e9 - 86_400.0 * asked

    for name in ("time", "monotonic"):
        monkeypatch.setattr(time, name, earlier)
    monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * earlier()))


def test_a_run_does_not_mind_a_clock_that_goes_back(tmp_path, back):
    work = execute(RUN, tmp_path / "stopped")
    next(event for event in work if event.done == 6)
    work.close()
    assert equal(finished(RUN, tmp_path / "stopped"), finished(RUN, tmp_path / "whole"))


def test_a_checkpoint_from_the_future_is_gone_on_from(tmp_path, monkeypatch):
    whole = finished(RUN, tmp_path / "whole")
    monkeypatch.setattr(runs, "CHECKPOINT_SECONDS", -1.0)
    work = execute(RUN, tmp_path / "stopped")
    next(event for event in work if event.done == 6)
    next(work)
    work.close()
    for path in (tmp_path / "stopped").rglob("*"):
        os.utime(path, (4e9, 4e9))
    events = [*execute(RUN, tmp_path / "stopped")]
    assert next(event.done for event in events if event.stage == "training") == 7
    assert equal(records.load(events[-1].record), whole)


def test_a_record_that_is_older_than_the_list_is_read_anew(tmp_path):
    """Put in the place of another by somebody whose clock is behind."""
    made = records.save(tmp_path, {"arm": "a", "seed": 0}, replace(pagerecords.records()[0].measurement, notices=()))
    before = listed(tmp_path)
    rows = [dict(row) for row in before[0].rows]
    other = replace(made.measurement, rows=tuple({**row, "value": 0.123} for row in made.measurement.rows))
    for path in made.path.iterdir():
        path.unlink()
    made.path.rmdir()
    again = records.save(tmp_path, {"arm": "a", "seed": 0}, other)
    for path in again.path.iterdir():
        os.utime(path, (1e9, 1e9))
    assert [row["value"] for row in listed(tmp_path)[0].rows] == [0.123] * len(rows)


# ------------------------------------------------------------------------------- what is hostile


class Trap:
    """What a stranger's pickle would do."""

    def __reduce__(self):
        return (os.mkdir, ("trapped",))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_a_file_of_weights_runs_nothing(tmp_path, suffix, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("their_net.py").write_text("from torch import nn\ndef make_model():\n    return nn.Linear(64, 10)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for number, save in enumerate((torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap)))):
        path = tmp_path / f"w{number}{suffix}"
        save({"weight": Trap()}, path)
        part = Imported("their_net:make_model", weights=path)
        sentence = refusal(lambda part=part: part(Digits()(), torch.Generator()))
        assert sentence.startswith(f"Expected {'weights' if suffix == '.safetensors' else 'a state dict'}")
        assert str(path) in sentence
        with pytest.raises(SafetensorError):
            load_file(path)
    assert not (tmp_path / "trapped").exists()


def test_html_in_the_name_of_a_part_is_text_on_the_page(tmp_path):
    """As it is spelt on the command line, kept in a record, and drawn: in the figures too."""
    hostile = "</title><script>alert(1)</script><img src=x onerror=alert(2)>"
    made = finished(replace(RUN, arm=hostile), tmp_path / "runs")
    assert made.path.parent == tmp_path / "runs"
    path = page.write([made], tmp_path / "page.html", hostile, hostile)
    assert not {"script", "img"} & set(outline(path.read_text()).tags)
