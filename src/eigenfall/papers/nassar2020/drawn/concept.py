"""Figure 1: one stimulus on a circle, coded smoothly and fractally.

    h₂ₖ₋₁(θ) = √(2 λ₂ₖ₋₁) cos kθ,   h₂ₖ(θ) = √(2 λ₂ₖ) sin kθ,   λₙ = n^−α,   θ on a circle

whose covariance over θ is diagonal with the eigenvalues λₙ. A stimulus of d dimensions can be coded so that the code
has a derivative only if α > 1 + 2/d: on a circle α > 3; as d grows the border falls to 1.

Source: Nassar et al. 2020, arXiv:2012.04729, Figure 1 (a concept; its drawing is not copied); the bound is of Stringer
et al. 2019, Nature 571, doi:10.1038/s41586-019-1346-5.
Differs from the source: curves are seen along three random orthonormal directions of the code, since its first three
principal components are smooth curves whatever α.
"""

from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.figures.style import INK, log_ticks, series
from eigenfall.papers.drawn import canvas
from eigenfall.types import Row

ALPHAS = {"smooth, α = 4": 4.0, "at the border, α = 3": 3.0, "fractal, α = 1.04": 1.04}
UNITS, STIMULI = 1000, 4000
MARKED = [0, 9, 99, 999]


def code(alpha: float, units: int = UNITS, stimuli: int = STIMULI) -> Float64[Tensor, "stimuli units"]:
    """Responses to stimuli evenly around the circle; units are an even number, below the number of stimuli."""
    angles = torch.arange(stimuli, dtype=torch.float64) * (2 * torch.pi / stimuli)
    turns = angles[:, None] * torch.arange(1, units // 2 + 1, dtype=torch.float64)
    waves = torch.stack((turns.cos(), turns.sin()), 2).flatten(1)
    return waves * (2 * torch.arange(1, units + 1, dtype=torch.float64) ** -alpha).sqrt()


def seen(responses: Float64[Tensor, "stimuli units"]) -> Float64[Tensor, "stimuli three"]:
    """The same along three random orthonormal directions, the same for every code."""
    drawn = torch.randn(responses.shape[1], 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return responses @ torch.linalg.qr(drawn).Q


def rows() -> list[Row]:
    """Every number that `concept` draws: arm (the code), panel, x, y; curves are three panels, x being the angle."""
    found: list[Row] = []
    for name, alpha in ALPHAS.items():
        values = seen(code(alpha))
        for place in range(3):
            found += [
                {"arm": name, "seed": "", "panel": f"direction {place + 1}", "x": 2 * torch.pi * at / STIMULI, "y": y}
                for at, y in enumerate(values[:, place].tolist())
            ]
        found += [{"arm": name, "seed": "", "panel": "spectrum", "x": n, "y": n**-alpha} for n in range(1, UNITS + 1)]
    return found


def concept() -> Any:
    """The curves in three dimensions, and their spectra.

    Returns:
        The figure.
    """
    with canvas.house():
        figure = canvas.empty(6.6, "A spectrum that falls slowly makes a code fractal: no derivative by the stimulus")
        above, below = figure.subfigures(2, 1, height_ratios=(1.05, 1))
        for place, (name, alpha) in enumerate(ALPHAS.items()):
            ax: Any = above.add_subplot(1, len(ALPHAS), place + 1, projection="3d")
            values = seen(code(alpha))
            closed = torch.cat((values, values[:1])) / values.norm(dim=1).mean()
            ax.plot(*closed.T.numpy(), color=series(place).colour, linewidth=1.3 if alpha > 2 else 0.6, gid="code")
            ax.set_title(name, loc="center")
            for set_ticks, set_label, axis in zip(
                (ax.set_xticks, ax.set_yticks, ax.set_zticks), (ax.set_xlabel, ax.set_ylabel, ax.set_zlabel), "123"
            ):
                set_ticks([])
                set_label(f"direction {axis}", fontsize=8.5, labelpad=-12)
        ax = below.subplots(1, 1)
        ranks = torch.arange(1, UNITS + 1, dtype=torch.float64)
        for place, alpha in enumerate(ALPHAS.values()):
            look = series(place)
            ax.loglog(ranks, ranks**-alpha, color=look.colour, linestyle=look.line, linewidth=1.8, gid="spectrum",
                      marker=look.mark, markersize=6, markevery=MARKED)  # fmt: skip
        ax.loglog(ranks, 1 / ranks, color=INK, linewidth=1, linestyle=":", gid="guide")
        ax.set_ylim(1e-10, 2)
        ax.set_xlabel("rank n")
        ax.set_ylabel("eigenvalue λₙ, response²")
        log_ticks(ax)
        keys = [canvas.key(series(place), name) for place, name in enumerate(ALPHAS)]
        return canvas.finish(figure, [*keys, _inverse()], CAPTION, "")


CAPTION = (
    f"Codes of one stimulus θ on a circle by {UNITS} units with λₙ = n⁻ᵅ, along three random orthonormal directions, "
    "each on its own scale. With d stimulus dimensions a differentiable code needs α > 1 + 2/d: here d = 1, α > 3; for "
    "images, d large, the border is 1, and 1.04 was measured in mouse V1. The bound is of infinitely many ranks."
)


def _inverse() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=INK, linewidth=1, linestyle=":", label="1/n")
