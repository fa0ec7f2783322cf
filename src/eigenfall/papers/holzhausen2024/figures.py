"""Every figure of the paper, and those that should have stood beside them, drawn from records and kept as files.

Source: Holzhausen et al. 2024, arXiv:2405.00679; spec `holzhausen2024` §8.
"""

from functools import partial

from eigenfall.papers import figuring
from eigenfall.papers.figuring import Figure
from eigenfall.papers.holzhausen2024 import codefigures, ensembles, robustfigures
from eigenfall.papers.holzhausen2024.runs import arms

COMPARED = ("KH", "BP", "L2", "JReg", "SpecReg")
CODES = ("KH pruned", *COMPARED[1:])
SPECTRAL = ("MNIST relu", "MNIST relu, spectral", "MNIST tanh", "MNIST tanh, spectral")
BESIDE, RULES, SWEEPS = (
    tuple(arm.name for arm in arms("small") if arm.kind == kind) for kind in ("beside", "rule", "sweep")
)
L2_SWEEP = tuple(name for name in SWEEPS if name.startswith("L2 "))
FIGURES: dict[str, Figure] = {
    "fig1": Figure(
        "Figure 1",
        "accuracy against ε, and critical distances",
        COMPARED,
        robustfigures.attacked_of(COMPARED),
    ),
    "fig2": Figure(
        "Figure 2",
        "spectra of raw images, of an untrained layer and of KH",
        ("raw", "Init", "KH pruned"),
        codefigures.spectra_of(("raw", "Init", "KH pruned")),
        needs=("Init", "KH pruned"),
    ),
    "fig3": Figure("Figure 3", "spectra of the five nets", CODES, codefigures.spectra_of(CODES)),
    "fig4": Figure(
        "Figure 4",
        "steepness and decisions on one plane through one image",
        CODES,
        codefigures.planes_of(CODES),
        ("published",),
    ),
    "figA1": Figure("Figure A1", "the layer of KH before and after pruning", ("KH", "KH pruned"), codefigures.pruning),
    "figA2": Figure(
        "Figure A2", "median critical distance against test accuracy", COMPARED, robustfigures.points_of(COMPARED)
    ),
    "curves": Figure(
        "Training curves",
        "losses and accuracy, and how units of KH came to their norm",
        COMPARED,
        codefigures.training(COMPARED),
        (),
    ),
    "ensemble": Figure(
        "Ensemble",
        "spectra of KH layers that differ in their seed, and how many keep λ_n ≤ λ_1/n",
        ensembles.ARMS,
        codefigures.ensemble,
        ("published",),
        needs=("KH",),
    ),
    "spectral": Figure(
        "Spectral nets on MNIST",
        "accuracy and distance with and without the spectral penalty",
        SPECTRAL,
        robustfigures.spectral_of(SPECTRAL),
        needs=SPECTRAL[:2],
    ),
    "fronts": Figure(
        "Fronts",
        "KH and what should have been compared, beside sweeps of weight decay and of a Jacobian's strength",
        ("KH", "KH pruned", "BP", *BESIDE, *SWEEPS),
        robustfigures.swept_beside(("KH", "KH pruned", *BESIDE), ("L2", "Jacobian")),
        ("corrected",),
        needs=("KH", "BP"),
    ),
    "rules": Figure(
        "Other local rules",
        "local rules and controls under one head, beside a sweep of weight decay",
        ("KH", "KH pruned", "BP", *RULES, *L2_SWEEP),
        robustfigures.swept_beside(("KH", "KH pruned", *RULES), ("L2",)),
        ("corrected",),
        needs=("KH", "BP"),
    ),
}

heading = partial(figuring.heading, FIGURES)
missing = partial(figuring.missing, FIGURES)
draw = partial(figuring.draw, FIGURES)
saved = partial(figuring.saved, FIGURES)
