"""A few kills of each job of `kills.py`; `docs/make_faults.py` makes the many, and their table."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def suite(*arguments):
    """Lines of a suite by job; in a process of its own, whose children can be forked."""
    command = [sys.executable, str(HERE / "kills.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {line["job"]: line for line in map(json.loads, done.stdout.splitlines())}


def faults(found):
    return [fault for line in found.values() for kill in line["kills"] for fault in kill["faults"]]


needs_processes = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")


@needs_processes
def test_a_few_kills_of_each_job_lose_nothing():
    found = suite("--moments", 1, "--writes", 1, "--times", 1)
    assert set(found) == {"training", "learning", "sweep", "report"}
    assert [len(line["kills"]) for line in found.values()] == [2] * 4
    assert faults(found) == []


@pytest.mark.slow
@needs_processes
def test_kills_show_who_writes_into_what_others_read():
    """Half of a checkpoint is found, and it stops whoever would go on from it."""
    found = faults(suite("--only", "training", "--moments", 0, "--writes", 3, "--times", 1, "--careless"))
    assert {kind for kind, _ in found} >= {"half"}
    assert any("got a damaged file" in sentence for _, sentence in found)


@pytest.mark.slow
@needs_processes
def test_many_kills_of_each_job_lose_nothing():
    found = suite("--moments", 43, "--writes", 15)
    kills = [kill for line in found.values() for kill in line["kills"]]
    assert len(kills) == 4 * 58
    assert sum(kill["at"] != "moment" for kill in kills) == 60
    assert {kill["victim"] for kill in kills} == {"driver", "worker"}
    assert faults(found) == []
