"""A lock is had by one process at a time, goes with it however it ends, and leaves nothing behind."""

import subprocess
import sys

from exact import refusal

from eigenfall import locks
from eigenfall.locks import locked

HOLDER = """
import sys, time
from pathlib import Path
from eigenfall.locks import locked
with locked(Path(sys.argv[1])) as held:
    print(held, flush=True)
    time.sleep(60)
"""
CROWD = """
import os, sys
from pathlib import Path
from eigenfall.locks import locked
path, had = Path(sys.argv[1]), 0
while had < 150:
    with locked(path) as held:
        if held:
            os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
            os.unlink(sys.argv[2])
            had += 1
"""


def test_one_has_it_and_another_has_not(tmp_path):
    path = tmp_path / "run" / "lock"
    with locked(path) as first:
        with locked(path) as second:
            assert (first, second) == (True, False)
        assert path.exists()  # it goes with its holder
    with locked(path) as third:
        assert third


def test_nothing_is_left_but_what_was_put_beside_it(tmp_path):
    path = tmp_path / "run" / "lock"
    with locked(path):
        pass
    assert list(tmp_path.iterdir()) == []
    with locked(path):
        (path.parent / "checkpoint").touch()
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint"]


def test_a_file_that_was_put_in_its_place_is_let_be(tmp_path):
    path = tmp_path / "lock"
    with locked(path):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


def test_it_dies_with_its_process(tmp_path):
    path = tmp_path / "run" / "lock"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    with locked(path) as held:
        assert not held
    process.kill()
    process.wait()
    process.stdout.close()
    with locked(path) as held:
        assert held


def test_in_a_crowd_nobody_has_it_beside_another(tmp_path):
    """Its folder comes and goes all the while."""
    command = [sys.executable, "-c", CROWD, str(tmp_path / "run" / "lock"), str(tmp_path / "inside")]
    crowd = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=120)[1] for process in crowd] == ["", "", ""]
    assert [process.returncode for process in crowd] == [0, 0, 0]


def test_where_files_cannot_be_locked_everybody_gets_one(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with locked(tmp_path / "lock") as first, locked(tmp_path / "lock") as second:
        assert (first, second) == (True, True)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "run").write_text("a file")
    assert refusal(locked(tmp_path / "run" / "lock").__enter__) == (
        f"Expected to write {tmp_path / 'run' / 'lock'}, got a file where a folder is needed. Move the file, or choose "
        "another folder."
    )
