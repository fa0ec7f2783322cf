"""The straight line through log eigenvalue against log rank that two exponents are read off.

    minimise over α, c:   Σₙ wₙ (ln λₙ + α ln n − c)²,   wₙ = 1/n or 1,   n = first_rank … last_rank

Source: Stringer et al. 2019, Nature 571, Methods, doi:10.1038/s41586-019-1346-5.
Differs from the source: ranks whose eigenvalue is ≤ 0 are left out and counted, and more than 5 % of them is refused.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from eigenfall.check import need
from eigenfall.types import Spectrum

Weights = Literal["1/n", "none"]
SHARE_LEFT_OUT = 0.05


@dataclass(frozen=True)
class Line:
    """An exponent with its window.

    Attributes:
        alpha: λₙ ∝ n^−alpha.
        used: first and last rank.
        notices: what a reader must know, in words.
    """

    alpha: float
    used: tuple[int, int]
    notices: tuple[str, ...]


def need_window(first_rank: int, last_rank: int) -> None:
    """Refuse a window that is none."""
    need(
        1 <= first_rank < last_rank,
        expected="1 ≤ first_rank < last_rank",
        got=f"first_rank={first_rank}, last_rank={last_rank}",
        remedy="Ranks count from 1, and the window includes both ends.",
    )


def line(spectrum: Spectrum, first_rank: int, last_rank: int, weights: Weights, clip: bool) -> Line:
    """The line inside a window of ranks.

    Args:
        spectrum: eigenvalues in rank order.
        first_rank: of the window.
        last_rank: of the window, included.
        weights: of the ranks.
        clip: end the window two below the numerical rank if that is less; off, refuse one that passes the last rank.

    Raises:
        ValueError: if fewer than three ranks are left, more than 5 % of the window is not positive, or, without `clip`,
            the window passes the last rank.
    """
    ranks = len(spectrum.eigenvalues)
    need(
        clip or last_rank <= ranks,
        expected=f"at least {last_rank} ranks",
        got=f"a spectrum of {ranks}",
        remedy=f"Use last_rank={ranks} or fewer, or record more stimuli.",
    )
    last = min(last_rank, spectrum.numerical_rank - 2) if clip else last_rank
    window = spectrum.eigenvalues.detach().cpu()[first_rank - 1 : max(last, 0)]
    n = torch.arange(first_rank, first_rank + len(window), dtype=torch.float64)
    usable = window > 0
    left_out = len(window) - int(usable.sum())
    need(
        left_out <= SHARE_LEFT_OUT * len(window),
        expected=f"at most 5 % of ranks {first_rank}–{last} without a positive eigenvalue",
        got=f"{left_out} of {len(window)}",
        remedy="End the window earlier: this spectrum is noise there.",
    )
    need(
        len(window) - left_out >= 3,
        expected="a window of at least three ranks",
        got=f"{len(window) - left_out}: it starts at rank {first_rank}, and the numerical rank is "
        f"{spectrum.numerical_rank} with S = {spectrum.stimuli} stimuli and {spectrum.units} units",
        remedy="Start the window earlier, or record more stimuli.",
    )
    x, y = n[usable].log(), window[usable].log()
    w = 1 / n[usable] if weights == "1/n" else torch.ones_like(x)
    x = x - (w * x).sum() / w.sum()
    alpha = -float((w * x * y).sum() / (w * x.square()).sum())
    notices = []
    if last < last_rank:
        notices.append(f"window shortened from ranks {first_rank}–{last_rank} to end at {last}.")
    if left_out:
        notices.append(f"{left_out} of {len(window)} ranks are not positive and were left out.")
    return Line(alpha, (first_rank, last), tuple(notices))
