"""Spectra of the codes: nested subsets of units, and the fitted line.

    λₙ/λ₁ ≈ scale · n^−α,   n = first … last

Source: Holzhausen et al. 2024, arXiv:2405.00679, Figures 2 and 3.
Differs from the source: α is the exponent in λₙ ∝ n^−α, so that falling spectra have α > 0 where the paper prints the
slope −α; the window is shaded and the rounding floors are drawn; ranks are thinned to 60 evenly in log rank.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
from jaxtyping import Float64
from torch import Tensor

from eigenfall.figures.spectrum import shown_ranks
from eigenfall.figures.style import INK, REFERENCE, Series, plain
from eigenfall.papers.drawn import canvas

FAINTEST = 0.3


@dataclass(frozen=True)
class Line:
    """The fitted law λₙ/λ₁ = scale · n^−alpha.

    Attributes:
        first: first rank of its window, from 1.
        last: last rank of it, included.
        alpha: exponent.
        error: standard error of the fit over ranks, which depend on each other: no uncertainty of alpha.
        scale: of eigenvalues over the first.
        r2: share of the variance of ln λ that the line explains; NaN: not shown.
    """

    first: int
    last: int
    alpha: float
    error: float
    scale: float
    r2: float = math.nan


@dataclass(frozen=True, eq=False)
class Code:
    """Spectra of one model's code on one kind of input.

    Attributes:
        subsets: eigenvalues, largest first, by how many units are in the subset.
        line: fitted to the largest subset; `None`: not fitted.
        floors: where rounding begins as a share of the first eigenvalue, by number format.
    """

    subsets: Mapping[int, Float64[Tensor, " ranks"]]
    line: Line | None = None
    floors: Mapping[str, float] = field(default_factory=dict)


def spectra(
    found: Mapping[str, Mapping[str, Code]],
    title: str = "",
    stamp: str = "",
    study: Sequence[str] = (),
    note: str = "",
) -> Any:
    """Eigenvalues over the first against rank: a row per model, a column per kind of input.

    Args:
        found: by model, then by kind of input.
        title: what was found; "": the exponents.
        stamp: written across the figure.
        study: all models of the study in order, so that each keeps its look.
        note: ends the caption.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw.
    """
    names = canvas.need_models(found)
    inputs = tuple(dict.fromkeys(which for codes in found.values() for which in codes))
    sizes = sorted({size for codes in found.values() for code in codes.values() for size in code.subsets})
    canvas.need_models(map(str, sizes), "subset of units")
    look = canvas.looks(names, study)
    with canvas.house():
        figure = canvas.empty(2.2 + 2.35 * len(names), title or _exponents(found, inputs))
        panels = figure.subplots(len(names), len(inputs), squeeze=False, sharey="row")
        for row, (name, codes) in zip(panels, found.items()):
            _level(row[0], codes)
            for ax, which in zip(row, inputs):
                if which in codes:
                    _code(ax, codes[which], look[name], sizes)
                    ax.set_title(f"{plain(name)} on {plain(which)}")
                else:
                    ax.set_axis_off()
            row[0].set_ylabel("λₙ / λ₁")
        for ax in panels[-1]:
            ax.set_xlabel("rank n")
        shown = {line.get_gid() for ax in panels.flat for line in ax.get_lines()}
        floors = tuple(dict.fromkeys(one for codes in found.values() for code in codes.values() for one in code.floors))
        drawn = [one for one in floors if f"floor {one}" in shown]
        below = [one for one in floors if one not in drawn]
        caption = (
            "λₙ: variance of the centred code along its n-th principal component, largest first. Dots: nested subsets "
            "of the first m units, paler for smaller m. α ± standard error of a least-squares line in ln λ against ln "
            "n; ranks depend on each other, so that the error is no interval of α."
        )
        if below:
            caption += f" Rounding of {' and '.join(below)} lies below the axes."
        return canvas.finish(figure, _keys(sizes, drawn), f"{caption} {note}".strip(), stamp)


def _exponents(found: Mapping[str, Mapping[str, Code]], inputs: Sequence[str]) -> str:
    by_input = {which: {name: codes[which].line for name, codes in found.items() if which in codes} for which in inputs}
    words = [
        f"on {which} {canvas.told({name: line.alpha for name, line in lines.items() if line is not None})}"
        for which, lines in by_input.items() if any(lines.values())
    ]  # fmt: skip
    return f"α, λₙ ∝ n⁻ᵅ: {'; '.join(words)}" if words else "How fast the eigenvalues fall"


def _opacity(size: int, sizes: Sequence[int]) -> float:
    """From 30 % for the smallest subset of the figure to 100 % for the largest."""
    return 1.0 if len(sizes) < 2 else FAINTEST + (1 - FAINTEST) * sizes.index(size) / (len(sizes) - 1)


def _dashes(precision: str) -> Any:
    """Line style of a floor, the same in every panel: dots for float32, dashes for all others."""
    return (0, (1, 1.2)) if precision == "float32" else (0, (5, 2))


def _level(ax: Any, codes: Mapping[str, Code]) -> None:
    """Ordinate of a row: from the smallest share of λ₁, or a decade below the lowest floor, if that is more."""
    shares = [one / one[0] for code in codes.values() for one in code.subsets.values() if len(one) and one[0] > 0]
    low, high = canvas.positive_range(shares)
    floors = [floor for code in codes.values() for floor in code.floors.values() if floor > 0]
    ax.set_yscale("log")
    ax.set_ylim(min(max(low / 2, min(floors) / 10 if floors else 0.0), high / 10), 3 * high)


def _code(ax: Any, code: Code, look: Series, sizes: Sequence[int]) -> None:
    ax.set_xscale("log")
    for size, eigenvalues in sorted(code.subsets.items()):
        if len(eigenvalues) and eigenvalues[0] > 0:
            ranks = shown_ranks(len(eigenvalues))
            share = (eigenvalues / eigenvalues[0]).numpy()[ranks - 1]
            positive = share > 0
            ax.plot(ranks[positive], share[positive], marker="o", markersize=3.6, markeredgewidth=0, linestyle="",
                    color=look.colour, alpha=_opacity(size, sizes), gid=f"m={size}", zorder=3)  # fmt: skip
    for name, floor in code.floors.items():
        if floor >= ax.get_ylim()[0]:
            ax.axhline(floor, color=REFERENCE, linewidth=1, linestyle=_dashes(name), gid=f"floor {name}", zorder=1)
    if code.line is None:
        return
    line = code.line
    ends = numpy.array([line.first, line.last], dtype=float)
    ax.plot(ends, line.scale * ends**-line.alpha, color="black", linewidth=1.8, gid="fit", zorder=4)
    ax.axvspan(line.first, line.last, color=REFERENCE, alpha=0.13, linewidth=0, gid="window", zorder=0)
    words = f"α = {line.alpha:.2f} ± {line.error:.2f}\nranks {line.first}–{line.last}".replace("-", "−")
    if not math.isnan(line.r2):
        words += f", R² = {line.r2:.3f}".replace("-", "−")
    ax.text(0.03, 0.05, words, transform=ax.transAxes, va="bottom", fontsize=9.5, gid="alpha", zorder=6,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.5})  # fmt: skip


def _keys(sizes: Sequence[int], floors: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    keys: list[Any] = [
        Line2D([], [], marker="o", linestyle="", markersize=6, markeredgewidth=0, color=INK,
               alpha=_opacity(size, sizes), label=f"m = {size}")
        for size in sizes
    ]  # fmt: skip
    keys.append(Line2D([], [], color="black", linewidth=1.8, label="fitted line"))
    keys.append(Patch(facecolor=REFERENCE, alpha=0.25, label="its window"))
    for name in floors:
        keys.append(Line2D([], [], color=REFERENCE, linewidth=1, linestyle=_dashes(name), label=f"rounding, {name}"))
    return keys
