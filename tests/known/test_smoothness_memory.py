import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from torch import nn
from eigenfall.smoothness.{module} import {part}
torch.set_num_threads(1)
model = nn.Sequential(nn.Linear(400, {wide}), nn.Tanh(), nn.Linear({wide}, 10))
inputs = torch.rand(3000, 400)
measure = {part}(memory={memory}, {settings})
measure(model, inputs[:2], "{layer}", torch.Generator().manual_seed(0))  # what is loaded on first use counts not
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
measure(model, inputs, "{layer}", torch.Generator().manual_seed(0))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize(
    ("module", "part", "layer", "settings"),
    [
        ("frobenius", "Frobenius", "outputs", ""),
        ("spectralnorm", "SpectralNorm", "outputs", ""),
        ("spectralnorm", "SpectralNorm", "1", "steps=2"),
        ("logvolume", "LogVolume", "outputs", ""),
        ("distance", "Distance", "outputs", ""),
    ],
)
def test_the_peak_stays_below_the_budget(module, part, layer, settings):
    # all 3000 inputs at once would hold 3000 · 2000 · 4 = 24 MB for one layer's values, and rows 3000 · 10 · 400 · 8
    memory = 0.05
    script = SCRIPT.format(module=module, part=part, layer=layer, settings=settings, wide=2000, memory=memory)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1.2 * memory * 1e9
