"""Coverage of the intervals and bias of the estimators, on simulated recordings whose exponent is known.

.venv/bin/python docs/make_intervals.py [--sets 400] [--workers 2]    studies what is missing, then draws the table

300 stimuli × 500 units × 2 repeats, signal n^−α of the population, noise n^−1 of twice or of half the signal's standard
deviation, with the signal's eigenvectors or with its own. Each data set is one line of runs/intervals/CELL.jsonl; a
second call goes on where the first was stopped. About three hours on two cores. The table goes to docs/intervals.md,
its numbers to src/eigenfall/coverage.json, from which reports quote them.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import takewhile
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from eigenfall import grams
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.marchenkopastur import MarchenkoPastur
from eigenfall.fits.momentlaw import MomentLaw
from eigenfall.intervals import half_samples
from eigenfall.recordings.powerlaw import PowerLaw
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.spectra.meme import MEME
from eigenfall.spectra.pca import PCA
from eigenfall.types import Gram, SpectrumFit

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "intervals.md"
KEPT = ROOT / "src" / "eigenfall" / "coverage.json"
SETS = ROOT / "runs" / "intervals"
START, END = "<!-- table: docs/make_intervals.py -->", "<!-- end of table -->"

CELLS = [(alpha, noise, alignment) for alpha in (0.7, 1.0, 1.3) for noise in (0.5, 2.0) for alignment in (1.0, 0.0)]
METHODS = ("meme", "cvpca", "pca", "marchenkopastur")
WINDOW = (11, 500)
STIMULI, UNITS = 300, 500
AT_ONCE = 10


def one(cell: tuple[float, float, float], number: int, methods: Iterable[str]) -> dict[str, list[float] | None]:
    """Exponent of one data set by each of these methods, with the ends of its interval; null for a refusal."""
    alpha, noise, alignment = cell
    found: dict[str, list[float] | None] = {}
    part = PowerLaw(
        stimuli=STIMULI, units=UNITS, alpha=alpha, noise=noise, noise_alpha=1.0, alignment=alignment, seed=number
    )
    moments = grams.gram(part(), side="stimuli")
    for name in methods:
        generator = torch.Generator().manual_seed(number)
        try:
            found[name] = list(_interval(_fitted(moments, name, generator)))
        except ValueError:
            found[name] = None  # as a user would be refused: counted in `without`
    return found


def _fitted(moments: Gram, name: str, generator: torch.Generator) -> SpectrumFit:
    """Exponent and interval by one method."""
    if name == "meme":
        return MomentLaw()(MEME()(moments, generator))
    estimator = CvPCA() if name == "cvpca" else PCA()
    fit = MarchenkoPastur(*WINDOW) if name == "marchenkopastur" else LeastSquares(*WINDOW)
    return half_samples(moments, estimator(moments, generator), estimator, fit, generator, draws=20)


def _interval(fit: SpectrumFit) -> Iterator[float]:
    alpha = fit.parameters["alpha"]
    for value in (alpha.value, alpha.low, alpha.high):
        yield round(value, 6)


def several(cell: tuple[float, float, float], todo: Iterable[tuple[int, list[str]]]) -> list[dict[str, Any]]:
    """Some data sets by the methods that they lack, in a process of its own."""
    torch.set_num_threads(1)
    return [{"set": number, **one(cell, number, methods)} for number, methods in todo]


def path(cell: tuple[float, float, float]) -> Path:
    return SETS / "alpha{:g}-noise{:g}-aligned{:g}.jsonl".format(*cell)


def done(cell: tuple[float, float, float]) -> dict[int, dict]:
    """Data sets of a cell by number, with the methods that are finished; a line that was cut short is not."""
    found: dict[int, dict] = {}
    if path(cell).is_file():
        lines = [line for line in path(cell).read_text().splitlines() if line.endswith("}")]
        for entry in map(json.loads, lines):
            found.setdefault(entry["set"], {}).update(entry)
    return found


def counted(cell: tuple[float, float, float]) -> list[dict]:
    """Data sets of a cell up to the first that lacks a method: what is left out depends on nothing that was found."""
    have = done(cell)
    whole = takewhile(lambda number: all(name in have.get(number, {}) for name in METHODS), range(len(have)))
    return [have[number] for number in whole]


def missing(cell: tuple[float, float, float], sets: int) -> list[tuple[int, list[str]]]:
    """Data sets of a cell, and the methods that each lacks."""
    have = done(cell)
    todo = [(number, [name for name in METHODS if name not in have.get(number, {})]) for number in range(sets)]
    return [(number, methods) for number, methods in todo if methods]


def study(sets: int, workers: int) -> None:
    """Every data set that is missing: some of every cell first."""
    SETS.mkdir(parents=True, exist_ok=True)
    todo = {cell: missing(cell, sets) for cell in CELLS}
    total = sum(map(len, todo.values()))
    work = [
        (cell, some[place : place + AT_ONCE])
        for place in range(0, sets, AT_ONCE)
        for cell, some in todo.items()
        if some[place : place + AT_ONCE]
    ]
    start, finished = time.monotonic(), 0
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = {pool.submit(several, cell, some): cell for cell, some in work}
        for future in as_completed(pending):
            with path(pending[future]).open("a") as lines:
                lines.writelines(json.dumps(entry) + "\n" for entry in future.result())
            finished += len(future.result())
            left = (time.monotonic() - start) * (total - finished) / finished
            print(f"\r{finished} of {total} data sets, {left / 60:.0f} min left ", end="", flush=True)
    print()


def summary(cell: tuple[float, float, float], name: str) -> dict[str, float | int | str]:
    """Bias, scatter and coverage of one method in one cell."""
    alpha, noise, alignment = cell
    tried = [entry[name] for entry in counted(cell)]
    found = torch.tensor([one for one in tried if one is not None], dtype=torch.float64)
    with_interval = found[~found[:, 1].isnan()]
    covered = float(((with_interval[:, 1] <= alpha) & (alpha <= with_interval[:, 2])).double().mean())
    return {
        "method": name,
        "alpha": alpha,
        "noise": noise,
        "alignment": alignment,
        "bias": round(float(found[:, 0].mean()) - alpha, 4),
        "spread": round(float(found[:, 0].std()), 4),
        "coverage": round(covered, 4),
        "error": round(math.sqrt(covered * (1 - covered) / len(with_interval)), 4),
        "width": round(float((with_interval[:, 2] - with_interval[:, 1]).median()), 4),
        "sets": len(with_interval),
        "window": [] if name == "meme" else list(WINDOW),
        "stimuli": STIMULI,
        "units": UNITS,
        "without": len(tried) - len(with_interval),
    }


def table(rows: list[dict]) -> str:
    """Bias ± scatter and coverage ± its binomial error, in Markdown."""
    names = {"meme": "MEME", "cvpca": "cvPCA", "pca": "PCA", "marchenkopastur": "PCA, Marčenko–Pastur"}
    lines = ["| α | noise/signal, s.d. | noise | " + " | ".join(f"{n}: bias ± s.d.; coverage" for n in names.values())]
    lines = [f"{lines[0]} |", "|---" * (3 + len(names)) + "|"]
    for cell in CELLS:
        here = {row["method"]: row for row in rows if (row["alpha"], row["noise"], row["alignment"]) == cell}
        about = f"| {cell[0]:g} | {cell[1]:g} | {'aligned' if cell[2] else 'its own axes'} | "
        lines.append(about + " | ".join(_cell(here[name]) for name in names if name in here) + " |")
    return "\n".join(lines)


def _cell(row: dict) -> str:
    return (
        f"{row['bias']:+.3f} ± {row['spread']:.3f}; {100 * row['coverage']:.1f} ± {100 * row['error']:.1f} % "
        f"of {row['sets']}"
    )


def draw() -> None:
    """Write the table from what is finished."""
    rows = [summary(cell, name) for cell in CELLS for name in METHODS if counted(cell)]
    KEPT.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    before, _, rest = PAGE.read_text().partition(START)
    PAGE.write_text(f"{before}{START}\n\n{table(rows)}\n\n{END}{rest.partition(END)[2]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--table-only", action="store_true")
    asked = parser.parse_args()
    if not asked.table_only:
        study(asked.sets, asked.workers)
    draw()


if __name__ == "__main__":
    main()
