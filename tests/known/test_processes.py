"""The spectral penalty over several processes: the same numbers as one process with the joint batch."""

import re
import subprocess
import sys
from pathlib import Path

import joint
import pytest
import torch
from torch import multiprocessing
from torch.testing import assert_close

from eigenfall import processes


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of two processes found."""
    root = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(joint.work, (2, str(root)), nprocs=2)
    return [torch.load(root / f"{rank}.pt") for rank in range(2)]


@pytest.mark.filterwarnings("ignore:40 samples for:UserWarning")
@pytest.mark.parametrize("name", joint.PARTS)
def test_two_processes_are_one_with_the_joint_batch(name, found):
    alone = joint.trained(joint.PARTS[name])
    assert len(set(alone["values"])) == joint.STEPS
    for mine in found:
        mine = mine[name]
        assert mine["values"] == pytest.approx(alone["values"], rel=1e-9)
        assert_close(mine["weights"], alone["weights"], rtol=1e-9, atol=1e-10)
        assert (mine["refreshes"], mine["due"]) == (alone["refreshes"], alone["due"])
        for layer, basis in alone["basis"].items():
            assert_close((basis.T @ mine["basis"][layer]).diagonal().abs(), torch.ones(basis.shape[1]).double())
            assert mine["staleness"][layer] == pytest.approx(alone["staleness"][layer], rel=1e-6, abs=1e-6)
    if "exact" not in name:
        assert alone["refreshes"] >= 2
    assert_close(found[0][name]["basis"], found[1][name]["basis"], rtol=0, atol=0)


def test_in_single_precision(found):
    alone = joint.trained(joint.OFTEN, torch.float32)
    for mine in found:
        assert_close(mine["float32"]["weights"], alone["weights"], rtol=1e-5, atol=1e-5)
        assert mine["float32"]["values"] == pytest.approx(alone["values"], rel=1e-5)


def test_draws_are_the_first_process_s_whatever_the_generators(found):
    alone = joint.trained(joint.PARTS["rows drawn anew"])
    for mine in found:
        assert_close(mine["other seeds"]["weights"], alone["weights"], rtol=1e-9, atol=1e-10)


def test_shares_of_unlike_size(found):
    alone = joint.uneven_gradient()
    assert len(alone) == 4  # the readout has none
    for mine in found:
        assert_close(mine["uneven"], alone, rtol=1e-9, atol=1e-12)


def test_refusals(found):
    for mine in found:
        assert mine["refused"] == [
            "Expected one process to train under penalties in this loop, got a group of 2. "
            "Write the loop as docs/several-processes.md shows.",
            "Expected a reference row or more for each of 2 processes, got 1. Use more rows, or fewer processes.",
            "Expected one process to whiten by the batch in, got a group of 2, each with a part of it. "
            "Freeze the layer (eigenfall.whitening.freeze), or train in one process.",
        ]


def test_one_process_gives_back_what_it_got():
    rows = torch.randn(5, 3)
    assert (processes.count(), processes.place()) == (1, 0)
    assert processes.summed(rows) is rows
    assert processes.agreed(rows) is rows
    count, mean = processes.joint_mean(rows)
    assert count == 5
    assert torch.equal(mean, rows.mean(0))
    assert processes.share(torch.arange(4)).tolist() == [0, 1, 2, 3]


# ------------------------------------------------------------------------------------- the page

SCRIPT = Path(__file__).parents[2] / "examples" / "several_processes.py"


def test_the_page_shows_the_script():
    assert SCRIPT.read_text() in (SCRIPT.parents[1] / "docs" / "several-processes.md").read_text()


def printed(*command):
    """Exponent and s_R of each layer, as the script prints them."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [float(number) for number in re.findall(r"= (-?[\d.]+)", done.stdout)]


@pytest.mark.slow
def test_the_script_under_torchrun_ends_as_it_does_alone():
    alone = printed(str(SCRIPT))
    together = printed("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT))
    assert len(alone) == 4
    assert together == pytest.approx(alone, rel=1e-3, abs=1e-4)
