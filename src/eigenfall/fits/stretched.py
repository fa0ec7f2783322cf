"""Stretched exponential in the rank.

    ln λₙ = c − r n^β,   r ≥ 0,   .02 ≤ β ≤ 4

    minimise over β, r, c:   Σₙ wₙ (ln λₙ − ln law(n))²,   wₙ = 1/n or 1,   n = first_rank … last_rank

For a given β this is a straight line in u = (n^β − 1)/β, which becomes ln n as β goes to 0: there lies the power law,
with r and c without end, and the lower bound stops short of it. The misfit is computed on a grid of β at once, and the
root of its derivative is found beside the best.

Source: Laherrère & Sornette 1998, Eur. Phys. J. B 2, doi:10.1007/s100510050276.
Differs from the source: there the stretched exponential is the distribution of sizes, here it is the rank law.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import scipy
import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.bins import Weights
from eigenfall.types import Spectrum, SpectrumFit
from eigenfall.windows import Window, fitted, need_ranks, need_window, windowed

BETAS = (0.02, 4.0)
GRID = 64


@dataclass(frozen=True)
class Stretched:
    """A law that falls as a stretched exponential, by least squares in ln λ.

    Attributes:
        first_rank: first rank of the window, counted from 1.
        last_rank: last rank of the window, included; two below the numerical rank if that is less, unless `clip` is
            off. `None`: the numerical rank itself.
        weights: "1/n", every decade of ranks counts alike; or "none".
        clip: shorten a window that passes the numerical rank; off, refuse one that passes the last rank.
    """

    cite: ClassVar[str] = "laherrere1998"
    holds_power_law: ClassVar[bool] = False
    first_rank: int = 11
    last_rank: int | None = 500
    weights: Weights = "1/n"
    clip: bool = True

    def __post_init__(self) -> None:
        need_window(self.first_rank, self.last_rank)

    def __call__(self, spectrum: Spectrum) -> SpectrumFit:
        """Fit λₙ = scale · exp(−rate · n^beta) inside the window.

        Args:
            spectrum: eigenvalues `(ranks,)`, in rank order, in squared response units such as (ΔF/F)².

        Returns:
            The fit; `alpha` is the local exponent, rate · beta · n^beta, at the geometric middle of the window. A
            `beta` at one of its bounds is said.

        Raises:
            ValueError: if more than 5 % of the window is not positive, fewer than four ranks are left, or, without
                `clip`, the window passes the last rank.
        """
        window = windowed(spectrum, self.first_rank, self.last_rank, self.weights, self.clip)
        need_ranks(len(window.ranks), self.first_rank, spectrum, least=4)
        beta, notices = _beta(window)
        slope, level = _line(window, torch.tensor([beta], dtype=torch.float64))[:2]
        if slope <= 0:
            slope, beta = torch.zeros(1, dtype=torch.float64), 1.0
            level = ((window.weights * window.logs).sum() / window.weights.sum())[None]
            notices = ["rate is at its bound, 0: the spectrum does not fall, and beta has no meaning."]
        rate = float(slope) / beta
        return fitted(
            window,
            spectrum,
            "stretched",
            {
                "rate": rate,
                "beta": beta,
                "alpha": rate * beta * window.middle**beta,
                "scale": math.exp(float(level) + rate),
            },
            "stretched",
            notices=notices,
        )


def _line(window: Window, betas: Float64[Tensor, " betas"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For each β: slope and level of ln λ = level − slope · u, Σ w rest², and half its derivative in β."""
    w, y, x = window.weights / window.weights.sum(), window.logs, window.ranks.log()
    b = betas[:, None]
    u = torch.expm1(b * x) / b
    u_mean, y_mean = u @ w, w @ y
    off = u - u_mean[:, None]
    slope = -(off * (y - y_mean)) @ w / (off.square() @ w)
    rest = y - y_mean + slope[:, None] * off
    changes = (x * torch.exp(b * x) - u) / b
    return slope, y_mean + slope * u_mean, rest.square() @ w, slope * ((rest * changes) @ w)


def _beta(window: Window) -> tuple[float, list[str]]:
    """β of the least misfit, and whether it is at a bound."""
    low, high = BETAS
    betas = torch.logspace(math.log10(low), math.log10(high), GRID, dtype=torch.float64)
    _, _, costs, slopes = _line(window, betas)
    best = int(costs.argmin())

    def rises(beta: float) -> float:
        return float(_line(window, torch.tensor([beta], dtype=torch.float64))[3])

    if best == 0 and slopes[0] >= 0:
        return low, [f"beta is at its bound, {low:g}: the spectrum falls no faster than a power law."]
    if best == GRID - 1 and slopes[-1] <= 0:
        return high, [f"beta is at its bound, {high:g}: the spectrum ends more abruptly than the law can."]
    first, last = float(betas[max(0, best - 1)]), float(betas[min(GRID - 1, best + 1)])
    if rises(first) * rises(last) >= 0:  # flat to rounding
        return float(betas[best]), []
    return float(scipy.optimize.brentq(rises, first, last, xtol=1e-13, rtol=1e-14)), []  # pyright: ignore[reportArgumentType]
