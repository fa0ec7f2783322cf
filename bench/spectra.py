"""Streamed PCA against the same in one piece by NumPy and scikit-learn; exact Jacobian norms against torch.func.

One process, one thread; the contestants take turns, and the smallest of several processor times counts. The targets
are loose: they catch a routine that has become slow, and nothing is decided by them. NumPy's and scikit-learn's one
piece is what cannot be streamed; its product and its solver are those of another BLAS.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import naive
import numpy as np
import torch
from sklearn.decomposition import PCA as SklearnPCA
from torch import nn

from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.spectra.pca import PCA
from eigenfall.types import Responses

REPEATS = 5
SHAPES = {"units": (6000, 600), "stimuli": (600, 6000)}
SOLVERS = {"units": "covariance_eigh", "stimuli": "full"}
CHUNK = 250


def timed(contestants: dict[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Smallest processor time of each, in seconds; every repeat runs them all in turn."""
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(repeats):
        for name, run in contestants.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    return best


def spectra(side: str) -> dict[str, float]:
    stimuli, units = SHAPES[side]
    rows = torch.randn(stimuli, units, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chunks = rows.split(CHUNK)
    streamed = Responses(chunks=lambda: (chunk[None] for chunk in chunks))
    contestants: dict[str, Callable[[], object]] = {
        "eigenfall, streamed": lambda: PCA()(streamed),
        "eigenfall, in memory": lambda: PCA()(Responses(values=rows[None])),
        "scikit-learn": lambda: SklearnPCA(svd_solver="covariance_eigh" if side == "units" else "full").fit(
            rows.numpy()
        ),
    }
    if side == "units":
        contestants["NumPy in one piece"] = lambda: naive.eigenvalues_at_once(rows)
    else:
        centred = rows.numpy() - rows.numpy().mean(0)
        contestants["NumPy in one piece"] = lambda: np.linalg.svd(centred, compute_uv=False)
    return timed(contestants)


def jacobians() -> dict[str, float]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)).eval()
    inputs = torch.rand(256, 784)
    generator = torch.Generator().manual_seed(0)
    every = torch.func.vmap(torch.func.jacrev(model), chunk_size=64)
    return timed(
        {
            "eigenfall, exact": lambda: Frobenius()(model, inputs, "outputs", generator),
            "eigenfall, 1 projection": lambda: Frobenius(projections=1)(model, inputs, "outputs", generator),
            "vmap(jacrev)": lambda: every(inputs).flatten(1).norm(dim=1),
        }
    )


def table(title: str, times: dict[str, float]) -> None:
    print(title)
    for name, seconds in times.items():
        print(f"  {name:24s} {1000 * seconds:9.1f} ms")


def target(name: str, ratio: float, most: float) -> bool:
    held = ratio <= most
    print(f"{name} ratio {ratio:.2f} <= {most:.2f} {'PASS' if held else 'FAIL'}")
    return held


def main() -> int:
    torch.set_num_threads(1)
    found = {side: spectra(side) for side in SHAPES}
    for side, times in found.items():
        table(f"PCA, {SHAPES[side][0]} stimuli × {SHAPES[side][1]} units, float64, on the side of the {side}", times)
    norms = jacobians()
    table("‖J‖_F of the logits, 784-256-256-10, 256 inputs, float32", norms)
    print()
    units, stimuli = found["units"], found["stimuli"]
    held = [
        target("streamed/numpy, units", units["eigenfall, streamed"] / units["NumPy in one piece"], 2.0),
        target("streamed/scikit-learn, units", units["eigenfall, streamed"] / units["scikit-learn"], 1.6),
        target("streamed/in-memory, stimuli", stimuli["eigenfall, streamed"] / stimuli["eigenfall, in memory"], 1.5),
        target("streamed/numpy-svd, stimuli", stimuli["eigenfall, streamed"] / stimuli["NumPy in one piece"], 1.0),
        target("streamed/scikit-learn, stimuli", stimuli["eigenfall, streamed"] / stimuli["scikit-learn"], 1.0),
        target("exact/vmap-jacrev", norms["eigenfall, exact"] / norms["vmap(jacrev)"], 1.3),
        target("projection/exact", norms["eigenfall, 1 projection"] / norms["eigenfall, exact"], 0.5),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
