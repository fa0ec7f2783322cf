"""Every figure of the paper, and those that should have stood beside them, drawn from records and kept as files.

Source: Holzhausen et al. 2024, arXiv:2405.00679; spec `holzhausen2024` §8.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigenfall.atomic import write_file
from eigenfall.check import need
from eigenfall.papers.holzhausen2024 import codefigures, robustfigures
from eigenfall.papers.holzhausen2024.drawn import canvas
from eigenfall.papers.holzhausen2024.found import Found
from eigenfall.papers.holzhausen2024.style import Semantics

BOTH: tuple[Semantics, ...] = ("published", "corrected")
COMPARED = ("KH", "BP", "L2", "JReg", "SpecReg")
BESIDE = ("KH", "decay of W", "spectral", "dropout", "adversarial")
RULES = ("KH", "Oja", "Sanger", "similarity", "SoftHebb", "BCM", "Földiák", "random", "images")
SPECTRAL = ("MNIST relu", "MNIST relu, spectral", "MNIST tanh", "MNIST tanh, spectral")
DOTS = 150
"""To the inch, of pictures."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        title: its name in the paper, or what it is.
        shows: what is to be seen, one sentence.
        needs: arms without which it is not drawn.
        draw: from what was found, and the semantics, to a matplotlib figure.
        semantics: those under which it differs, a picture each.
    """

    title: str
    shows: str
    needs: tuple[str, ...]
    draw: Callable[[Found, Semantics], Any]
    semantics: tuple[Semantics, ...] = BOTH


FIGURES: dict[str, Figure] = {
    "fig1": Figure(
        "Figure 1",
        "Accuracy against ε and critical distances under random noise, FGSM and PGD.",
        COMPARED,
        robustfigures.attacked_of(COMPARED),
    ),
    "fig2": Figure(
        "Figure 2",
        "Spectra of raw images, of an untrained layer and of KH, in nested subsets of units.",
        ("raw", "Init", "KH pruned"),
        codefigures.spectra_of(("raw", "Init", "KH pruned")),
    ),
    "fig3": Figure(
        "Figure 3",
        "The same of the five nets.",
        ("KH pruned", *COMPARED[1:]),
        codefigures.spectra_of(("KH pruned", *COMPARED[1:])),
    ),
    "fig4": Figure(
        "Figure 4",
        "Steepness of the hidden layer, and decisions, on one plane through one image.",
        COMPARED,
        codefigures.planes_of(COMPARED),
        ("published",),
    ),
    "figA1": Figure(
        "Figure A1",
        "The layer of KH before and after pruning.",
        ("KH", "KH pruned"),
        codefigures.pruning,
    ),
    "figA2": Figure(
        "Figure A2",
        "Median critical distance against test accuracy.",
        COMPARED,
        robustfigures.points_of(COMPARED),
    ),
    "curves": Figure(
        "Training curves",
        "Losses and accuracy over training, and how the units of KH came to their norm.",
        COMPARED,
        codefigures.training(COMPARED),
        (),
    ),
    "ensemble": Figure(
        "Ensemble",
        "Spectra of unpruned KH layers that differ in their seed, and how many keep λ_n ≤ λ_1/n.",
        ("KH",),
        codefigures.ensemble,
        ("published",),
    ),
    "spectral": Figure(
        "Spectral nets on MNIST",
        "Accuracy and distance with and without the spectral penalty.",
        SPECTRAL[:2],
        robustfigures.spectral_of(SPECTRAL),
    ),
    "fronts": Figure(
        "Fronts",
        "KH and what should have been compared, beside sweeps of weight decay and of the Jacobian's strength.",
        ("BP", "KH"),
        robustfigures.swept_beside(BESIDE, ("L2", "Jacobian")),
        ("corrected",),
    ),
    "rules": Figure(
        "Other local rules",
        "Local rules and controls under one head, beside a sweep of weight decay.",
        ("BP", "KH"),
        robustfigures.swept_beside(RULES, ("L2",)),
        ("corrected",),
    ),
}


def missing(name: str, found: Found) -> str:
    """Why a figure cannot be drawn, in words; empty if it can.

    Raises:
        ValueError: for an unknown figure.
    """
    needs = _figure(name).needs
    without = [arm for arm in needs if not found.has(arm)]
    if without:
        return f"no run of {', '.join(without)}"
    return "" if found.seeds(*needs) else f"no seed that {', '.join(needs)} share"


def draw(name: str, found: Found, semantics: Semantics = "published") -> Any:
    """One figure, stamped UNCONVERGED if a layer of its arms did not pass its gates.

    Args:
        name: of `FIGURES`.
        found: what the runs came to.
        semantics: the published reading, or the corrected one; what has but one is drawn in that.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: for an unknown figure, or if an arm that it needs has no record.
    """
    why = missing(name, found)
    need(not why, expected=f"records for {name}", got=why, remedy="Reproduce the arms that are missing first.")
    return FIGURES[name].draw(found, only if (only := _only(name)) else semantics)


def saved(found: Found, folder: Path, names: Sequence[str] = tuple(FIGURES)) -> list[Path]:
    """Draw figures and write each as SVG and as PNG; those with missing arms are left out.

    Args:
        found: what the runs came to.
        folder: made if it is not there.
        names: of `FIGURES`.

    Returns:
        The files: `fig1-published.svg`, `fig1-published.png`, …; a figure that no semantics changes has a bare name.
    """
    written = []
    for name in names:
        if missing(name, found):
            continue
        for semantics in FIGURES[name].semantics or (None,):
            stem = f"{name}-{semantics}" if semantics else name
            figure = draw(name, found, semantics or "published")
            for ending in ("svg", "png"):
                path = folder / f"{stem}.{ending}"
                write_file(path, content(figure, ending, stem))
                written.append(path)
    return written


def content(figure: Any, ending: str, name: str) -> bytes:
    """A figure as a file's bytes; the same figure gives the same ones."""
    import matplotlib

    buffer = io.BytesIO()
    rules: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": name}
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type")) if ending == "svg" else {"Software": None}
    with canvas.house(), matplotlib.rc_context(rules):
        figure.savefig(buffer, format=ending, dpi=DOTS, metadata=nothing)
    return buffer.getvalue()


def _figure(name: str) -> Figure:
    need(
        name in FIGURES,
        expected=f"a figure among {', '.join(FIGURES)}",
        got=repr(name),
        remedy="Name one of these.",
    )
    return FIGURES[name]


def _only(name: str) -> Semantics | None:
    """The one semantics of a figure that has no other."""
    held = FIGURES[name].semantics
    return held[0] if len(held) == 1 else None
