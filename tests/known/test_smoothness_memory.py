"""What a measure's `memory` promises is kept by the tensors that it holds.

glibc keeps freed blocks of up to 32 MB for itself, so that a process may grow to two or three times that; here every
block is mapped on its own, and the peak of the process is that of the tensors.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import torch
from torch import nn
from eigenfall.smoothness.{module} import {part}

def held(what):
    lines = open("/proc/self/status").readlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))

torch.set_num_threads(1)
model = nn.Sequential(nn.Linear(400, 2000), nn.Tanh(), nn.Linear(2000, 10))
inputs = torch.rand(8000, 400)
measure = {part}(memory=0.1{settings})
measure(model, inputs[:2], "{layer}", torch.Generator().manual_seed(0))  # what is loaded on first use counts not
open("/proc/self/clear_refs", "w").write("5")
before = held("VmRSS")
measure(model, inputs[:{count}], "{layer}", torch.Generator().manual_seed(0))
print(held("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc")
@pytest.mark.parametrize(
    ("module", "part", "layer", "settings", "count"),
    [
        ("frobenius", "Frobenius", "outputs", "", 8000),
        ("spectralnorm", "SpectralNorm", "1", ", steps=2", 4000),
        *(
            pytest.param(*about, marks=pytest.mark.slow)
            for about in (
                ("spectralnorm", "SpectralNorm", "outputs", "", 8000),
                ("logvolume", "LogVolume", "outputs", "", 4000),
                ("distance", "Distance", "outputs", "", 8000),
            )
        ),
    ],
)
def test_the_peak_stays_below_the_budget(module, part, layer, settings, count):
    script = SCRIPT.format(module=module, part=part, layer=layer, settings=settings, count=count)
    mapped = os.environ | {"MALLOC_MMAP_THRESHOLD_": "100000"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=mapped)
    assert 0.2e8 < int(done.stdout) <= 1e8, done.stdout  # no idle promise either
