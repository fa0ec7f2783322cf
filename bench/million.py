"""A recording that fits nowhere: streamed from the simulator to an exponent, in the memory that was said beforehand.

    python bench/million.py                    40,000 units × 600 stimuli × 2 repeats, seconds
    python bench/million.py --full             1,000,000 units × 2,800 stimuli × 2 repeats, 22 GB of float32
    python bench/million.py --full --drawn     the same population's second moments drawn at once, without responses

Second moments from one reading; from them cvPCA with ten shuffles and its exponent over ranks 11-500; in full also
MEME. The process's own peak is held against 4 GB, and what making the Gram adds to it against what `grams.route`
states before it starts. What the simulator holds beside its blocks is told apart from that: one block is made before
the count begins. A rotation of the units changes no second moment, so that those of a recording can be drawn without
it (`population.py`): minutes instead of an hour, for the estimators alone.
"""

import argparse
import os
import platform
import resource
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from eigenfall import grams
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.momentlaw import MomentLaw
from eigenfall.population import Population, recording
from eigenfall.recordings.powerlaw import PowerLaw
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.spectra.meme import MEME
from eigenfall.stages import Working, seeded
from eigenfall.types import Gram

MOST_GB = 4.0
QUICK, FULL = (600, 40_000), (2800, 1_000_000)
EVERY_SECONDS = 30.0


def peak_gb() -> float:
    """The most that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-9


def watched(stages: Working):
    """The value of long work, which says now and then how far it is."""
    last = time.monotonic()
    while True:
        try:
            stage = next(stages)
        except StopIteration as finished:
            return finished.value
        if time.monotonic() - last > EVERY_SECONDS:
            last = time.monotonic()
            print(f"  {stage.what} {stage.done}/{stage.total}, peak {peak_gb():.2f} GB", file=sys.stderr, flush=True)


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1,000,000 units × 2,800 stimuli")
    parser.add_argument("--drawn", action="store_true", help="second moments drawn at once")
    parser.add_argument("--precision", choices=("float64", "mixed"), default="float64")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def estimated(moments: Gram, full: bool, seed: int) -> None:
    """Exponents from the second moments; MEME's in full only."""
    start = time.perf_counter()
    spectrum = watched(CvPCA().working(moments, seeded(seed)))
    print(f"{'cvPCA':12s}{time.perf_counter() - start:9.1f}{peak_gb():9.2f}")
    print(f"cvPCA, 10 shuffles: {LeastSquares()(spectrum)}", flush=True)
    if full:
        start = time.perf_counter()
        fit = MomentLaw()(watched(MEME().working(moments, seeded(seed))))
        print(f"{'MEME':12s}{time.perf_counter() - start:9.1f}{peak_gb():9.2f}")
        print(f"MEME, 10 moments: α = {fit.parameters['alpha']} over all {moments.units} ranks")


def drawn(stimuli: int, units: int, full: bool, seed: int) -> int:
    """The same, from second moments of the simulator's population that are drawn at once."""
    start, part = time.perf_counter(), PowerLaw(stimuli=stimuli, units=units, alpha=1.0, seed=seed, memory=0.01)
    shape = torch.arange(1, units + 1, dtype=torch.float64)
    scale = part.noise**2 * float((shape**-part.alpha).sum() / (shape**-part.noise_alpha).sum())
    population = Population(
        "power", {"scale": 1.0, "alpha": part.alpha}, units, scale, part.noise_alpha, part.alignment
    )
    moments = recording(population, stimuli, seeded(seed))
    print(f"{stimuli} stimuli × {units} units × 2 repeats: second moments, drawn at once; α = {part.alpha:g}")
    print(f"{'':12s}{'seconds':>9s}{'peak GB':>9s}")
    print(f"{'Gram':12s}{time.perf_counter() - start:9.1f}{peak_gb():9.2f}", flush=True)
    estimated(moments, full, seed)
    return 0


def main() -> int:
    torch.set_num_threads(1)
    how = asked()
    stimuli, units = FULL if how.full else QUICK
    if how.drawn:
        return drawn(stimuli, units, how.full, how.seed)
    simulator = PowerLaw(stimuli=stimuli, units=units, repeats=2, alpha=1.0, seed=how.seed, memory=0.01)
    responses = simulator()
    blocks = responses.chunks()
    size = f"{stimuli} stimuli × {units} units × 2 repeats, {len(blocks)} blocks, {8e-9 * stimuli * units:.1f} GB"
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, one thread, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )
    print(f"{size} in float32; α = {simulator.alpha:g}, noise {simulator.noise:g} standard deviations of the signal")
    start, imported = time.perf_counter(), peak_gb()
    blocks[0]
    begun, way = peak_gb(), grams.route(responses, how.precision)
    print(f"stated: {way}")
    print(f"{'':12s}{'seconds':>9s}{'peak GB':>9s}")
    print(f"{'imports':12s}{'':9s}{imported:9.2f}")
    print(f"{'a block':12s}{time.perf_counter() - start:9.1f}{begun:9.2f}")
    start = time.perf_counter()
    (moments,) = watched(grams.gramming(responses, how.precision))
    after = peak_gb()
    print(f"{'Gram':12s}{time.perf_counter() - start:9.1f}{after:9.2f}", flush=True)
    estimated(moments, how.full, how.seed)
    kept, small = after - begun <= way.peak_gb, peak_gb() < MOST_GB
    print(f"Gram growth {after - begun:.2f} GB <= stated {way.peak_gb:.2f} GB {'PASS' if kept else 'FAIL'}")
    print(f"peak {peak_gb():.2f} GB < {MOST_GB:.0f} GB {'PASS' if small else 'FAIL'}")
    return 0 if kept and small else 1


if __name__ == "__main__":
    sys.exit(main())
