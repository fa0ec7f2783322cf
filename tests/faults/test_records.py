"""Kills, full disks, missing permissions and damaged files: a record is whole or absent, and says what is wrong."""

import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from eigenfall import records
from eigenfall.types import Measurement, Spectrum

RUN = {"arm": "plain", "seed": 0}
KEY = records.run_hash(RUN)


def measurement(ranks=3):
    return Measurement(
        "plain", spectra={"hidden1": Spectrum(torch.ones(ranks, dtype=torch.float64), stimuli=9, units=ranks)}
    )


def refused(act, *arguments):
    with pytest.raises(ValueError) as refusal:
        act(*arguments)
    return str(refusal.value)


# ---------------------------------------------------------------------------------- kills

WRITER = """
import os, random, signal, sys, time
import torch
from eigenfall import records
from eigenfall.types import Measurement, Spectrum

torch.set_num_threads(1)
root, mode = sys.argv[1:]

def write(number):
    value = float(number)
    spectrum = Spectrum(torch.full((20_000,), value, dtype=torch.float64), stimuli=9, units=20_000)
    run = {"arm": "plain", "seed": number}
    records.write_checkpoint(root, "c" * 64, {"number": number, "weights": torch.full((50_000,), value)})
    records.save(root, run, Measurement("plain", spectra={"h": spectrum}), {"w": torch.full((50_000,), value)})

def at_event(last):
    left = last
    def hook(event, arguments):
        nonlocal left
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

random.seed(0)
for number in range(10_000 if mode == "events" else 40):
    child = os.fork()
    if child == 0:
        if mode == "events":
            at_event(number + 1)
            write(number)
            os._exit(0)
        while True:
            write(number)
            number += 1000
    if mode == "moments":
        time.sleep(random.uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
print(number)
"""


@pytest.mark.parametrize("mode", ["events", "moments"])
def test_a_kill_at_any_moment_leaves_whole_records_and_a_whole_checkpoint(tmp_path, mode):
    """At each opening, renaming, making and removing of a file in turn, then at random moments."""
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path), mode], capture_output=True, text=True, check=True
    )
    found = records.load_all(tmp_path)
    for record in found:
        number = record.run["seed"]
        assert record.measurement.spectra["h"].eigenvalues.unique().tolist() == [number]
        assert records.weights(record)["w"].unique().tolist() == [number]
    checkpoint = records.read_checkpoint(tmp_path, "c" * 64)
    assert checkpoint is None or checkpoint["weights"].unique().tolist() == [checkpoint["number"]]
    if mode == "events":  # what random moments hit depends on the machine; that all of these are hit shows a real test
        interrupted = [path for path in (tmp_path / ".partial").glob("*/record-*") if path.is_dir()]
        assert found
        assert checkpoint is not None
        assert interrupted
        assert int(done.stdout) >= 12
        assert len(found) < int(done.stdout)


def test_what_a_kill_left_goes_when_the_run_finishes(tmp_path):
    left = tmp_path / ".partial" / KEY / "record-00000000"
    left.mkdir(parents=True)
    (left / "record.json").write_text("{")
    assert records.load_all(tmp_path) == []
    records.save(tmp_path, RUN, measurement())
    assert not left.exists()


def test_the_checkpoint_of_a_finished_run_goes_when_the_next_look_is_had(tmp_path):
    """A kill may come when the record has its name and the checkpoint is there still."""
    other = records.run_hash({"arm": "other", "seed": 0})
    records.save(tmp_path, RUN, measurement())
    for digest in (KEY, other):
        records.write_checkpoint(tmp_path, digest, {"step": 1})
    with records.claimed(tmp_path, KEY):
        records.tidy(tmp_path)
    assert records.read_checkpoint(tmp_path, KEY) == {"step": 1}  # somebody has it
    records.tidy(tmp_path)
    assert [path.name for path in (tmp_path / ".partial").iterdir()] == [other]
    records.drop_checkpoint(tmp_path, other)
    records.tidy(tmp_path)
    assert not (tmp_path / ".partial").exists()


# ---------------------------------------------------------------------------- full disks


@contextmanager
def longest_file(length):
    """No file may grow longer than this: to a writer, a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=["small disk", "short files"])
def full(request, tmp_path):
    """A folder with room for little more than small records."""
    if request.param == "short files":
        with longest_file(50_000):
            yield tmp_path
        return
    mounted = (
        os.geteuid() == 0
        and shutil.which("mount")
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(tmp_path)], capture_output=True, check=False
        )
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_costs_only_the_record_that_found_it(full):
    before = records.save(full, {"arm": "before"}, measurement())
    assert refused(records.save, full, RUN, measurement(20_000)) == (
        f"Expected to write {full / records.record_name(RUN)}, got a full disk. "
        "Free some space and run again; what was finished before is whole."
    )
    assert [record.name for record in records.load_all(full)] == [before.name]
    assert list((full / ".partial" / KEY).iterdir()) == []
    records.save(full, RUN, measurement())  # there is room for a small one still


def test_a_full_disk_leaves_the_checkpoint_before(full):
    records.write_checkpoint(full, KEY, {"step": 1})
    path = full / ".partial" / KEY / "checkpoint.safetensors"
    assert refused(records.write_checkpoint, full, KEY, {"step": 2, "weights": torch.zeros(40_000)}) == (
        f"Expected to write {path}, got a full disk. Free some space and run again; what was finished before is whole."
    )
    assert records.read_checkpoint(full, KEY) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_rows_before(full):
    path = full / "rows.json"
    records.write_rows(path, [{"value": 1.0}], [])
    before = path.read_bytes()
    message = refused(records.write_rows, path, [{"quantity": "alpha", "value": 1.0}] * 5000, [])
    assert message.startswith(f"Expected to write {path}, got a full disk.")
    assert path.read_bytes() == before
    assert list(full.iterdir()) == [path]


# ---------------------------------------------------------------------------- permissions


@contextmanager
def as_nobody():
    """Root may write anywhere: for a moment be somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def locked(tmp_path):
    """A folder that may be read, not written."""
    for parent in [tmp_path, *tmp_path.parents[:-1]]:
        if parent.owner() == Path.home().owner() and "pytest" in str(parent):
            parent.chmod(0o755)
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "rows.json").write_text("old")
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_is_named(locked):
    with as_nobody():
        messages = [
            refused(records.save, locked, RUN, measurement()),
            refused(records.save, locked / "runs", RUN, measurement()),
            refused(records.write_checkpoint, locked, KEY, {"step": 1}),
            refused(records.write_rows, locked / "rows.json", [], []),
        ]
    name = records.record_name(RUN)
    paths = (name, f"runs/{name}", f".partial/{KEY}/checkpoint.safetensors", "rows.json")
    assert messages == [
        f"Expected to write {locked / path}, got no permission. Choose another folder, or have its permissions changed."
        for path in paths
    ]
    assert [path.name for path in locked.iterdir()] == ["rows.json"]
    assert (locked / "rows.json").read_text() == "old"


def test_a_file_that_may_not_be_read_is_named(locked):
    locked.chmod(0o755)
    record = records.save(locked, RUN, measurement())
    (record.path / "record.json").chmod(0o000)
    with as_nobody():
        assert refused(records.load, record.path) == (
            f"Expected to read {record.path / 'record.json'}, got: Permission denied. Have its permissions changed."
        )


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "runs").write_text("mine")
    assert refused(records.save, tmp_path / "runs", RUN, measurement()) == (
        f"Expected to write {tmp_path / 'runs' / records.record_name(RUN)}, got a file where a folder is needed. "
        "Move the file, or choose another folder."
    )
    assert (tmp_path / "runs").read_text() == "mine"


# -------------------------------------------------------------------------- damaged records


@pytest.fixture
def record(tmp_path):
    return records.save(tmp_path / "runs", RUN, measurement(), {"w": torch.ones(3)})


MEND = "It was changed or cut short: restore it, or remove the record and run again."


def test_what_is_no_record_is_refused(tmp_path):
    assert refused(records.load, tmp_path / "none") == (
        f"Expected a record at {tmp_path / 'none'}, got no such folder. Give the folder of a finished run."
    )
    assert refused(records.load, tmp_path) == (
        f"Expected a record at {tmp_path}, got a folder without record.json. Give the folder of a finished run."
    )
    assert refused(records.load_all, tmp_path / "none") == (
        f"Expected a folder of records at {tmp_path / 'none'}, got no such folder. Give the one runs were written to."
    )


@pytest.mark.parametrize("name", ["record.json", "arrays.npz"])
@pytest.mark.parametrize("place", [0, 0.5, 0.999])
def test_one_changed_byte_is_refused_by_the_name_of_its_file(record, name, place):
    path = record.path / name
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    assert (
        refused(records.load, record.path) == f"Expected {path} as it was written, got one with another SHA-256. {MEND}"
    )
    assert refused(records.load_all, record.path.parent) == refused(records.load, record.path)


def test_changed_weights_are_refused_when_they_are_read(record):
    path = record.path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    records.load(record.path)
    assert refused(records.weights, record) == (
        f"Expected {path} as it was written, got one with another SHA-256. {MEND}"
    )


@pytest.mark.parametrize("name", ["arrays.npz", "weights.safetensors"])
@pytest.mark.parametrize("keep", [0, 10, -1])
def test_a_file_cut_short_is_refused_by_its_name(record, name, keep):
    path = record.path / name
    path.write_bytes(path.read_bytes()[:keep])
    assert refused(records.load, record.path) == f"Expected {path} as it was written, got one of another length. {MEND}"


@pytest.mark.parametrize("name", ["arrays.npz", "weights.safetensors", "SHA256SUMS"])
def test_a_lost_file_is_refused_by_its_name(record, name):
    (record.path / name).unlink()
    assert refused(records.load, record.path) == (
        f"Expected {record.path / name} as it was written, got no such file. {MEND}"
    )


def test_a_lost_head_is_not_overlooked_in_a_folder(record):
    (record.path / "record.json").unlink()
    assert refused(records.load_all, record.path.parent) == (
        f"Expected a record at {record.path}, got a folder without record.json. Give the folder of a finished run."
    )


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"0" * 64 + b"  record.json\n"])
def test_wrong_sums_are_refused(record, text):
    (record.path / "SHA256SUMS").write_bytes(text)
    assert "got one with another SHA-256" in refused(records.load, record.path)


def rewritten(record, change=None, arrays=None):
    """A record whose contents somebody changed, sums included."""
    path = record.path / "record.json"
    content = json.loads(path.read_text())
    if arrays is not None:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        (record.path / "arrays.npz").write_bytes(buffer.getvalue())
        content["sizes"]["arrays.npz"] = len(buffer.getvalue())
    if change:
        change(content)
    path.write_text(json.dumps(content))
    names = ("record.json", "arrays.npz", "weights.safetensors")
    sums = [f"{hashlib.sha256((record.path / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (record.path / "SHA256SUMS").write_text("".join(sums))


def test_a_later_schema_is_refused(record):
    rewritten(record, lambda content: content.update(schema=2, eigenfall="9.0.0"))
    assert refused(records.load, record.path) == (
        f"Expected a record of schema 1 or older at {record.path}, got schema 2, written by eigenfall 9.0.0. "
        "Update eigenfall."
    )


def unknown_noun(content):
    content["eigenfall"], content["measurement"]["spectra"]["hidden1"]["$noun"] = "9.0.0", "Spektrum"


def test_a_value_of_a_later_eigenfall_is_refused(record):
    rewritten(record, unknown_noun)
    ours = records.versions()["eigenfall"]
    assert refused(records.load, record.path) == (
        f"Expected a record of values that eigenfall {ours} knows at {record.path}, got one of eigenfall 9.0.0 with "
        "others: Expected a known noun, got 'Spektrum'. Did you mean 'Spectrum'? Update eigenfall, or run again."
    )


class Trap:
    """What a stranger's pickle would do."""

    def __reduce__(self):
        return (os.mkdir, ("trapped",))


def test_a_pickled_array_is_never_opened(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rewritten(record, arrays={"measurement/spectra/hidden1/eigenvalues": np.array([Trap()], dtype=object)})
    assert "Object arrays cannot be loaded when allow_pickle=False" in refused(records.load, record.path)
    assert not (tmp_path / "trapped").exists()


def test_an_array_that_is_not_there_is_refused(record):
    rewritten(record, arrays={"other": np.zeros(3)})
    assert "Expected a known array, got 'measurement/spectra/hidden1/eigenvalues'" in refused(records.load, record.path)
