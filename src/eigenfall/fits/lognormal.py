"""Parabola through log eigenvalue against log rank.

    ln λₙ = c − α₁ ln n − κ (ln n)²,   κ ≥ 0

    minimise over α₁, κ, c:   Σₙ wₙ (ln λₙ − ln law(n))²,   wₙ = 1/n or 1,   n = first_rank … last_rank

Linear in its parameters. If the least misfit has κ < 0, then κ = 0 and this is the power law.

Source: Li, Miramontes & Cocho 2010, Entropy 12, doi:10.3390/e12071743: the quadratic logarithmic function.
Differs from the source: the ranks of a window, weighted, and κ is never negative.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from eigenfall.bins import Weights
from eigenfall.types import Spectrum, SpectrumFit
from eigenfall.windows import fitted, need_ranks, need_window, windowed


@dataclass(frozen=True)
class Lognormal:
    """A law whose exponent rises with ln n, by least squares in log-log.

    Attributes:
        first_rank: first rank of the window, counted from 1.
        last_rank: last rank of the window, included; two below the numerical rank if that is less, unless `clip` is
            off. `None`: the numerical rank itself.
        weights: "1/n", every decade of ranks counts alike; or "none".
        clip: shorten a window that passes the numerical rank; off, refuse one that passes the last rank.
    """

    cite: ClassVar[str] = "li2010"
    first_rank: int = 11
    last_rank: int | None = 500
    weights: Weights = "1/n"
    clip: bool = True

    def __post_init__(self) -> None:
        need_window(self.first_rank, self.last_rank)

    def __call__(self, spectrum: Spectrum) -> SpectrumFit:
        """Fit ln λₙ = ln scale − alpha_1 · ln n − curvature · (ln n)² inside the window.

        Args:
            spectrum: eigenvalues `(ranks,)`, in rank order, in squared response units such as (ΔF/F)².

        Returns:
            The fit; `alpha` is the local exponent, alpha_1 + 2 · curvature · ln n, at the geometric middle of the
            window.

        Raises:
            ValueError: if more than 5 % of the window is not positive, fewer than four ranks are left, or, without
                `clip`, the window passes the last rank.
        """
        window = windowed(spectrum, self.first_rank, self.last_rank, self.weights, self.clip)
        need_ranks(len(window.ranks), self.first_rank, spectrum, least=4)
        middle = math.log(window.middle)
        off = window.ranks.log() - middle
        level, alpha, curvature = window.solved([torch.ones_like(off), -off, -off.square()])
        notices = []
        if curvature < 0:
            alpha, level = window.power()
            level, curvature = level - alpha * middle, 0.0
            notices = ["curvature is at its bound, 0: this is the power law, and the spectrum does not bend down."]
        alpha_1 = alpha - 2 * curvature * middle
        return fitted(
            window,
            spectrum,
            "lognormal",
            {
                "alpha_1": alpha_1,
                "curvature": curvature,
                "alpha": alpha,
                "scale": math.exp(level + alpha_1 * middle + curvature * middle**2),
            },
            "lognormal",
            notices=notices,
        )
