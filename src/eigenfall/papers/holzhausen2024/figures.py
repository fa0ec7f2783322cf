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
from eigenfall.papers.holzhausen2024 import codefigures, ensembles, robustfigures
from eigenfall.papers.holzhausen2024.drawn import canvas
from eigenfall.papers.holzhausen2024.found import Found
from eigenfall.papers.holzhausen2024.runs import arms
from eigenfall.papers.holzhausen2024.style import Semantics

BOTH: tuple[Semantics, ...] = ("published", "corrected")
COMPARED = ("KH", "BP", "L2", "JReg", "SpecReg")
CODES = ("KH pruned", *COMPARED[1:])
SPECTRAL = ("MNIST relu", "MNIST relu, spectral", "MNIST tanh", "MNIST tanh, spectral")
BESIDE, RULES, SWEEPS = (
    tuple(arm.name for arm in arms("small") if arm.kind == kind) for kind in ("beside", "rule", "sweep")
)
L2_SWEEP = tuple(name for name in SWEEPS if name.startswith("L2 "))
DOTS = 150
"""To the inch, of pictures."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        title: its name in the paper, or what it is.
        shows: what is to be seen, one sentence.
        arms: whose records it draws.
        draw: from what was found, and the semantics, to a matplotlib figure.
        semantics: those under which it differs, a picture each.
        needs: arms without which it is not drawn; empty: all of them. Others are named as missing.
    """

    title: str
    shows: str
    arms: tuple[str, ...]
    draw: Callable[[Found, Semantics], Any]
    semantics: tuple[Semantics, ...] = BOTH
    needs: tuple[str, ...] = ()


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


def heading(path: Path) -> str:
    """What a file that `saved` wrote shows, in words."""
    name, _, semantics = path.stem.partition("-")
    figure = _figure(name)
    return f"{figure.title}{f', {semantics}' if semantics else ''}: {figure.shows}"


def missing(name: str, found: Found) -> str:
    """Why a figure cannot be drawn, in words; empty if it can.

    Raises:
        ValueError: for an unknown figure.
    """
    figure = _figure(name)
    needs = figure.needs or figure.arms
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
    held = FIGURES[name].semantics
    return FIGURES[name].draw(found, held[0] if len(held) == 1 else semantics)


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
