"""An ensemble of layers that differ in their seed: mean spectrum, range, and how many keep the bound.

    criterion: λₙ ≤ λ₁/n for all n

Source: Holzhausen et al. 2024, arXiv:2405.00679, and its released code.
"""

from collections.abc import Mapping
from typing import Any

import numpy
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.figures.style import INK, REFERENCE, Series, log_ticks, plain, series
from eigenfall.papers.drawn import canvas
from eigenfall.statistics import wilson


def within_bound(eigenvalues: Float64[Tensor, "layers ranks"]) -> Bool[Tensor, " layers"]:
    """Whether each layer has λₙ ≤ λ₁/n at every n, to rounding; the eigenvalues are in order, largest first."""
    ranks = torch.arange(1, eigenvalues.shape[1] + 1, dtype=torch.float64)
    return (eigenvalues * ranks <= eigenvalues[:, :1] * (1 + 1e-12)).all(1)


def ensemble(
    found: Mapping[str, Float64[Tensor, "layers ranks"]],
    paper: Mapping[str, float],
    title: str = "",
    stamp: str = "",
) -> Any:
    """Mean spectrum of an ensemble of layers with its range and the bound λ₁/n; how many layers keep the bound.

    Args:
        found: eigenvalues of the same layers in the same order, largest first, by kind of input.
        paper: share of layers that keep the bound in the paper, by kind of input, or "both" ("all" of more
            than two) for those that keep it on each; may be empty.
        title: what was found; "": the counts.
        stamp: written across the figure.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw, or kinds of input differ in their layers.
    """
    inputs = canvas.need_models(found, "kind of input")
    counts = {len(eigenvalues) for eigenvalues in found.values()}
    need(len(counts) == 1, expected="the same layers on every kind of input", got=f"{sorted(counts)} layers",
         remedy="Measure every layer on every kind.")  # fmt: skip
    layers = counts.pop()
    kept = {which: within_bound(eigenvalues) for which, eigenvalues in found.items()}
    if len(inputs) > 1:
        kept["both" if len(inputs) == 2 else "all"] = torch.stack(list(kept.values())).all(0)
    told = ", ".join(f"{which} {int(held.sum())}" for which, held in kept.items())
    with canvas.house():
        figure = canvas.empty(4.7, title or f"λₙ ≤ λ₁/n at every n in so many of {layers} layers: {told}")
        panels = figure.subplots(1, len(inputs) + 1)
        for place, (ax, which) in enumerate(zip(panels, inputs)):
            _mean(ax, found[which], series(place))
            ax.set_title(plain(which))
        panels[0].set_ylabel("eigenvalue λₙ, (response unit)²")
        _counts(panels[-1], kept, paper)
        keys = _ensemble_keys(bool(paper))
        caption = (
            f"Line: mean of {layers} layers, band: their range; the bound is that of the mean’s first eigenvalue. "
            f"Bars: layers whose own spectrum keeps λₙ ≤ λ₁/n at every n, with Wilson’s 95 % interval."
        )
        return canvas.finish(figure, keys, caption, stamp)


def _mean(ax: Any, eigenvalues: Float64[Tensor, "layers ranks"], look: Series) -> None:
    each = eigenvalues.numpy()
    ranks = numpy.arange(1, each.shape[1] + 1)
    mean = each.mean(0)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.plot(ranks, numpy.where(mean > 0, mean, numpy.nan), color=look.colour, linewidth=2, gid="series")
    low = numpy.where(each.min(0) > 0, each.min(0), numpy.nan)
    ax.fill_between(ranks, low, each.max(0), color=look.colour, alpha=0.25, linewidth=0, gid="range")
    ax.plot(ranks, mean[0] / ranks, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), gid="bound")
    ax.set_xlabel("rank n")
    log_ticks(ax)


def _counts(ax: Any, kept: Mapping[str, Bool[Tensor, " layers"]], paper: Mapping[str, float]) -> None:
    for place, (which, held) in enumerate(kept.items()):
        colour = INK if len(kept) > 1 and place == len(kept) - 1 else series(place).colour
        share, low, high, _ = wilson(int(held.sum()), len(held))
        ax.bar(place, 100 * share, width=0.6, facecolor=(colour, 0.45), edgecolor=colour, gid="series")
        ax.plot([place] * 2, [100 * low, 100 * high], color=colour, linewidth=1.6, gid="interval")
        ax.annotate(f"{int(held.sum())}/{len(held)}", (place, 107), va="center",
                    ha="center", fontsize=9.5)  # fmt: skip
        if which in paper:
            ax.plot(place, 100 * paper[which], marker="D", markersize=8, markerfacecolor="white", linestyle="",
                    markeredgecolor=INK, markeredgewidth=1.6, gid="paper", zorder=5)  # fmt: skip
    names = [plain(which, 14).replace(" ", "\n") for which in kept]
    ax.set_xticks(range(len(names)), names)
    ax.set_ylim(0, 112)
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.set_title("layers that keep the bound, %")


def _ensemble_keys(paper: bool) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    keys: list[Any] = [
        Line2D([], [], color=REFERENCE, linewidth=2, label="mean"),
        Patch(facecolor=REFERENCE, alpha=0.35, label="smallest to largest"),
        Line2D([], [], color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label="bound λ₁/n"),
    ]
    if paper:
        keys.append(Line2D([], [], linestyle="", marker="D", markersize=8, markerfacecolor="white",
                           markeredgecolor=INK, markeredgewidth=1.6, label="the paper’s share"))  # fmt: skip
    return keys
