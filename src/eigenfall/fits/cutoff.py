"""Power law with an exponential cut-off in the rank.

    ln λₙ = c − α₁ ln n − δ n,   δ ≥ 0

    minimise over α₁, δ, c:   Σₙ wₙ (ln λₙ − ln law(n))²,   wₙ = 1/n or 1,   n = first_rank … last_rank

Linear in its parameters. If the least misfit has δ < 0, then δ = 0 and this is the power law.

Source: Li, Miramontes & Cocho 2010, Entropy 12, doi:10.3390/e12071743: Yule's function.
Differs from the source: the ranks of a window, weighted, and δ is never negative.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from eigenfall.bins import Weights
from eigenfall.types import Spectrum, SpectrumFit
from eigenfall.windows import fitted, need_ranks, need_window, windowed


@dataclass(frozen=True)
class Cutoff:
    """A power law that an exponential cuts off, by least squares in ln λ.

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
        """Fit λₙ = scale · n^−alpha_1 · exp(−decay · n) inside the window.

        Args:
            spectrum: eigenvalues `(ranks,)`, in rank order, in squared response units such as (ΔF/F)².

        Returns:
            The fit; `alpha` is the local exponent, alpha_1 + decay · n, at the geometric middle of the window.

        Raises:
            ValueError: if more than 5 % of the window is not positive, fewer than four ranks are left, or, without
                `clip`, the window passes the last rank.
        """
        window = windowed(spectrum, self.first_rank, self.last_rank, self.weights, self.clip)
        need_ranks(len(window.ranks), self.first_rank, spectrum, least=4)
        x = window.ranks.log()
        intercept, alpha_1, decay = window.solved([torch.ones_like(x), -x, -window.ranks])
        notices = []
        if decay < 0:
            (alpha_1, intercept), decay = window.power(), 0.0
            notices = ["decay is at its bound, 0: this is the power law, and the spectrum is not cut off."]
        return fitted(
            window,
            spectrum,
            "cutoff",
            {
                "alpha_1": alpha_1,
                "decay": decay,
                "alpha": alpha_1 + decay * window.middle,
                "scale": math.exp(intercept),
            },
            "cutoff",
            notices=notices,
        )
