"""Two straight lines that meet at a break, through log eigenvalue against log rank.

    ln λₙ = c − α₁ ln n   up to rank B,   c − α₁ ln B − α (ln n − ln B)   beyond it

    minimise over B, α₁, α, c:   Σₙ wₙ (ln λₙ − ln law(n))²,   wₙ = 1/n or 1,   n = first_rank … last_rank

For a given B this is linear; the two slopes share no rank, so that all breaks have closed forms in running sums. Breaks
tried: 2, 4, …, 48 and 26 log-spaced whole ranks from 50 to the last one, those inside the window; least misfit wins.

Source: Pospisil & Pillow 2024, doi:10.1101/2024.02.16.580726, for the law and its breaks.
Differs from the source: it fits the law to eigenmoments; this fits it to a spectrum, with whatever bias that has.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.bins import Weights
from eigenfall.check import need
from eigenfall.momentfits import break_ranks
from eigenfall.types import Spectrum, SpectrumFit
from eigenfall.windows import Window, fitted, need_ranks, need_window, windowed

TIE = 1e-12
"""Breaks whose sums of squares differ by less than this share of the whole fit alike."""


@dataclass(frozen=True)
class BrokenLaw:
    """Exponents on either side of a break, by least squares in log-log.

    Attributes:
        first_rank: first rank of the window, counted from 1.
        last_rank: last rank of the window, included; two below the numerical rank if that is less, unless `clip` is
            off. `None`: the numerical rank itself.
        weights: "1/n", every decade of ranks counts alike; or "none".
        clip: shorten a window that passes the numerical rank; off, refuse one that passes the last rank.
    """

    cite: ClassVar[str] = "pospisil2024"
    first_rank: int = 1
    last_rank: int | None = 500
    weights: Weights = "1/n"
    clip: bool = True

    def __post_init__(self) -> None:
        need_window(self.first_rank, self.last_rank)

    def __call__(self, spectrum: Spectrum) -> SpectrumFit:
        """Fit a broken power law inside the window.

        Args:
            spectrum: eigenvalues `(ranks,)`, in rank order, in squared response units such as (ΔF/F)².

        Returns:
            The fit: `alpha_1` up to `break_rank`, `alpha` beyond it; `scale` is that of the first piece. Of breaks that
            fit alike the first is given, and said; so is a break at the end of those that were tried.

        Raises:
            ValueError: if more than 5 % of the window is not positive, fewer than five ranks are left, no break lies
                inside them, or, without `clip`, the window passes the last rank.

        Example:
            >>> from eigenfall import laws
            >>> values = laws.eigenvalues("broken", 500, {"alpha_1": 0.5, "break_rank": 16, "alpha": 1.2, "scale": 1})
            >>> fit = BrokenLaw()(Spectrum(values, stimuli=501, units=500))
            >>> {name: round(found.value, 6) for name, found in fit.parameters.items()}
            {'alpha_1': 0.5, 'break_rank': 16.0, 'alpha': 1.2, 'scale': 1.0}
        """
        window = windowed(spectrum, self.first_rank, self.last_rank, self.weights, self.clip)
        need_ranks(len(window.ranks), self.first_rank, spectrum, least=5)
        breaks = _breaks(window)
        costs = _costs(window, breaks)
        tied = (costs <= costs.min() + TIE * _spread(window)).nonzero()[:, 0]
        place = int(tied[0])
        rank = float(breaks[place])
        beyond = (window.ranks.log() - math.log(rank)).clamp_min(0)
        before = window.ranks.log() - beyond
        intercept, alpha_1, alpha = window.solved([torch.ones_like(before), -before, -beyond])
        return fitted(
            window,
            spectrum,
            "broken",
            {"alpha_1": alpha_1, "break_rank": rank, "alpha": alpha, "scale": math.exp(intercept)},
            "brokenlaw",
            notices=_notices(breaks, place, len(tied)),
        )


def _breaks(window: Window) -> Float64[Tensor, " breaks"]:
    """The breaks that leave at least two ranks of the window, themselves among them, on either side."""
    every = break_ranks(window.used[1]).double()
    found = every[(every >= window.ranks[1]) & (every <= window.ranks[-2])]
    need(
        len(found) > 0,
        expected="a break to try inside the window",
        got=f"none in ranks {window.used[0]}–{window.used[1]}: breaks are 2, 4, …, 48 and 26 log-spaced ranks from 50 "
        "on",
        remedy="Take a wider window.",
    )
    return found


def _spread(window: Window) -> float:
    """Σ w (y − ȳ)²."""
    y, w = window.logs, window.weights
    return float((w * (y - (w * y).sum() / w.sum()).square()).sum())


def _costs(window: Window, breaks: Float64[Tensor, " breaks"]) -> Float64[Tensor, " breaks"]:
    """Least Σ w (y − law)² for each break, from sums over the ranks up to it and beyond it.

    With p = (x − ln B) up to the break and t = (x − ln B) beyond it, the law is c − α₁p − αt, and Σ w p t = 0.
    """
    w, x = window.weights, window.ranks.log()
    y = window.logs - (w * window.logs).sum() / w.sum()
    sums = torch.stack([w, w * x, w * x * x, w * y, w * x * y]).cumsum(1)
    up_to = sums[:, torch.searchsorted(window.ranks, breaks, right=True) - 1]
    corner = breaks.log()

    def about_the_break(side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ones, linear, square, value, product = side
        return linear - corner * ones, square - 2 * corner * linear + corner**2 * ones, product - corner * value

    p, pp, py = about_the_break(up_to)
    t, tt, ty = about_the_break(sums[:, -1:] - up_to)
    level = (-p * py / pp - t * ty / tt) / (w.sum() - p * p / pp - t * t / tt)
    return (w * y * y).sum() - (py - p * level) / pp * py - (ty - t * level) / tt * ty


def _notices(breaks: Float64[Tensor, " breaks"], place: int, tied: int) -> list[str]:
    found = f"{breaks[place]:.0f}"
    if tied > 1:
        return [f"{tied} of {len(breaks)} breaks fit alike, the first at rank {found}: the window shows no break."]
    if place in (0, len(breaks) - 1):
        end = "first" if place == 0 else "last"
        return [f"the break, rank {found}, is the {end} that was tried: the window may hold none."]
    return []
