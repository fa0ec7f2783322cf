"""Streamed PCA against the same in one piece by NumPy and scikit-learn; exact Jacobian norms against torch.func; cvPCA,
resampled eigenmoments and the reading of a file against the direct way.

One process, one thread; the contestants take turns, and the smallest of several processor times counts. The targets of
the first two are loose: they catch a routine that has become slow, and nothing is decided by them. NumPy's and
scikit-learn's one piece is what cannot be streamed; its product and its solver are those of another BLAS.

The direct cvPCA decomposes the swapped responses themselves in every shuffle, which takes minutes: one shuffle of it is
timed, once, and counts ten times. The direct eigenmoments form differences and their products from the responses in
every resampling: ten of them are timed, and count 23 times. Both must give the same numbers. A file is read warm, from
its path to its Gram, beside the bare product of all that is in it.
"""

import os
import sys
import tempfile
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

from eigenfall import grams
from eigenfall.recordings.file import File
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.spectra.meme import MEME
from eigenfall.spectra.pca import PCA
from eigenfall.stages import seeded, seeds
from eigenfall.types import Responses

REPEATS = 5
SHAPES = {"units": (6000, 600), "stimuli": (600, 6000)}
SOLVERS = {"units": "covariance_eigh", "stimuli": "full"}
CHUNK = 250
SHUFFLES, RESAMPLES, TIMED_RESAMPLES = 10, 230, 10
CVPCA, SMALL, MOMENTS, STREAM = (2800, 10_000), (300, 1000), (500, 10_000), (1000, 100_000)
"""Stimuli and units, of two repeats each."""


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


def recorded(stimuli: int, units: int) -> torch.Tensor:
    """Two repeats of a power law of exponent 1 with noise of the signal's size, float64."""
    scores = torch.randn(stimuli, units, generator=seeded(0)) * torch.arange(1, units + 1) ** -0.5
    basis = torch.randn(units, min(units, 500), generator=seeded(1)) / units**0.5
    signal = scores[:, : basis.shape[1]] @ basis.T
    return (signal + signal.std() * torch.randn(2, stimuli, units, generator=seeded(2))).double()


def coins(stimuli: int) -> torch.Tensor:
    """What `CvPCA(shuffles=10)` tosses with a generator of seed 0."""
    return torch.stack([torch.rand(stimuli, generator=seeded(seed)) < 0.5 for seed in seeds(seeded(0), SHUFFLES)])


def cross_validated() -> tuple[dict[str, float], float]:
    """Seconds of ten shuffles, and the largest difference from the direct way over λ₁: one shuffle, ten if small."""
    small = recorded(*SMALL)
    truth, _ = naive.cross_validated(*small.numpy(), coins(SMALL[0]).numpy())
    found = CvPCA(shuffles=SHUFFLES)(Responses(values=small), seeded(0)).eigenvalues.numpy()
    errors = [float(np.abs(found - truth).max() / truth[0])]
    responses, first = recorded(*CVPCA), {}

    def ours() -> None:
        for stage in CvPCA(shuffles=SHUFFLES).working(Responses(values=responses), seeded(0)):
            first.update({name: made for name, made in stage.made.items() if name == "shuffle 0"})

    def direct() -> None:
        first["direct"], _ = naive.cross_validated(*responses.numpy(), coins(CVPCA[0])[:1].numpy())

    times = timed({"eigenfall, 10 shuffles": ours, "direct, 1 shuffle": direct}, repeats=1)
    own = first["shuffle 0"][0].numpy() / (CVPCA[0] - 1)
    errors.append(float(np.abs(own - first["direct"]).max() / own[0]))
    return times, max(errors)


def resampled() -> tuple[dict[str, float], float]:
    """Seconds of 230 resamplings with the Gram and one pairing, and of ten direct ones; their largest difference."""
    responses, made = recorded(*MOMENTS), {}
    part = MEME(pairings=1, weights="bootstrap", resamples=RESAMPLES)
    seed = seeds(seeded(seeds(seeded(0), 3)[2]), -(-RESAMPLES // TIMED_RESAMPLES))[0]
    order = torch.randint(0, MOMENTS[0], (TIMED_RESAMPLES, MOMENTS[0]), generator=seeded(seed)).numpy()

    def ours() -> None:
        for stage in part.working(Responses(values=responses), seeded(0)):
            made.update({name: tensor for name, tensor in stage.made.items() if name == "bootstrap 0"})

    def direct() -> None:
        found = [naive.resampled_eigenmoments(*responses.numpy(), one, part.moments, MOMENTS[1]) for one in order]
        made["direct"] = np.stack(found)

    times = timed({"eigenfall, 230 resamplings": ours, "direct, 10 resamplings": direct}, repeats=3)
    return times, float(np.abs(made["bootstrap 0"].numpy() / made["direct"] - 1).max())


def streamed() -> dict[str, float]:
    """Seconds of a file's Gram in mixed precision, and of one float32 product of all that is in it with itself."""
    stimuli, units = STREAM
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.npy"
        rows = torch.randn(2 * stimuli, units, generator=seeded(0))
        np.save(path, rows.view(2, stimuli, units).numpy())
        recording = File(path, axes="repeats stimuli units", memory=0.1)
        grams.gram(recording(), "mixed")  # so that the file is warm
        return timed(
            {
                "eigenfall, file to Gram": lambda: grams.gram(recording(), "mixed"),
                "one float32 product": lambda: rows @ rows.T,
            },
            repeats=2,
        )


def table(title: str, times: dict[str, float]) -> None:
    print(title)
    for name, seconds in times.items():
        print(f"  {name:26s} {1000 * seconds:9.1f} ms")


def target(name: str, ratio: float, most: float) -> bool:
    held = ratio <= most
    print(f"{name} ratio {ratio:.2f} <= {most:.2f} {'PASS' if held else 'FAIL'}")
    return held


def equal(name: str, error: float, most: float) -> bool:
    held = error <= most
    print(f"{name} difference {error:.1e} <= {most:.0e} {'PASS' if held else 'FAIL'}")
    return held


def main() -> int:
    torch.set_num_threads(1)
    found = {side: spectra(side) for side in SHAPES}
    for side, times in found.items():
        table(f"PCA, {SHAPES[side][0]} stimuli × {SHAPES[side][1]} units, float64, on the side of the {side}", times)
    shuffled, moved = cross_validated()
    table(f"cvPCA, {CVPCA[0]} stimuli × {CVPCA[1]} units × 2 repeats, float64, with its Gram", shuffled)
    moments, differing = resampled()
    table(f"MEME, {MOMENTS[0]} stimuli × {MOMENTS[1]} units × 2 repeats, float64, with its Gram and a pairing", moments)
    read = streamed()
    table(f"Gram of a warm .npy, {STREAM[0]} stimuli × {STREAM[1]} units × 2 repeats, mixed precision", read)
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
        target("cvPCA/direct", shuffled["eigenfall, 10 shuffles"] / (SHUFFLES * shuffled["direct, 1 shuffle"]), 1 / 3),
        equal("cvPCA/direct, over λ₁", moved, 1e-8),
        target(
            "resamplings/direct",
            moments["eigenfall, 230 resamplings"] / (RESAMPLES / TIMED_RESAMPLES * moments["direct, 10 resamplings"]),
            1 / 3,
        ),
        equal("resamplings/direct", differing, 1e-8),
        target("file/bare product", read["eigenfall, file to Gram"] / read["one float32 product"], 1 / 0.7),
        target("exact/vmap-jacrev", norms["eigenfall, exact"] / norms["vmap(jacrev)"], 1.3),
        target("projection/exact", norms["eigenfall, 1 projection"] / norms["eigenfall, exact"], 0.5),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
