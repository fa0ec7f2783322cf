"""What all figures of records share: the order of the arms, which keeps their looks, the unit, the stamp, the paper's
numbers as far as figures alone draw them (spec `holzhausen2024` §7.1, §7.3, §7.6, §7.7).
"""

import math
from collections.abc import Sequence

from eigenfall.papers.holzhausen2024.claims import DISTANCES
from eigenfall.papers.holzhausen2024.drawn import Unit
from eigenfall.papers.holzhausen2024.found import Found
from eigenfall.types import Record

STUDY = ("KH", "BP", "L2", "JReg", "SpecReg", "KH pruned", "Init", "raw")
"""The paper's own, in the order that gives each its look."""

PAPER_ACCURACIES = {"KH": 0.472, "BP": 0.562, "L2": 0.519, "JReg": 0.558, "SpecReg": 0.447}
PAPER_DISTANCES = {**DISTANCES, "SpecReg": (0.95, 0.037, 0.036)}
"""Medians under random noise, FGSM and PGD, in L3 units."""
PAPER_SHARES = {"images": 0.79, "white noise": 0.07, "both": 0.07}
"""Of 100 layers, those that keep λ_n ≤ λ_1/n."""
PAPER_SPECTRAL = {
    "MNIST relu": (0.982, 2.05),
    "MNIST relu, spectral": (0.970, 0.42),
    "MNIST tanh": (0.977, 0.95),
    "MNIST tanh, spectral": (0.922, 0.26),
}
"""Accuracy, and median distance under random noise."""


def unit_of(record: Record) -> Unit:
    """What a record's distances are counted in."""
    scale = record.measurement.curves["headline"].scale
    return Unit("L3 units", math.nan if scale is None else float(scale.double().mean()))


def of_the_papers_images(record: Record, name: str = "cifar10") -> bool:
    """Whether a record is of the data set that the paper's numbers are of: on another, its marks would mislead."""
    return str(record.run["data"]).partition(":")[0].partition("@")[0] == name


def stamp_of(found: Found, arms: Sequence[str]) -> str:
    """What is written across a figure some of whose layers did not pass their gates; empty if all did."""
    off = [arm for arm in arms if found.unconverged(arm)]
    return f"UNCONVERGED: {', '.join(off)}" if off else ""
