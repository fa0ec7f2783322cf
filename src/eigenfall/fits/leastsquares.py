"""Straight line through log eigenvalue against log rank.

    minimise over α, c:   Σₙ wₙ (ln λₙ + α ln n − c)²,   wₙ = 1/n or 1,   n = first_rank … last_rank

Source: Stringer et al. 2019, Nature 571, Methods, doi:10.1038/s41586-019-1346-5.
Differs from the source: ranks whose eigenvalue is ≤ 0 are left out and counted, and more than 5 % of them is refused.
The source's code fits |λₙ|, which folds negative tail values upward; the preset `stringer2019` does too. It ends its
window two below the count of eigenvalues at the latest; ours ends two below their numerical rank.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.types import Estimate, Spectrum, SpectrumFit

SHARE_LEFT_OUT = 0.05
R2_RANKS = 100


@dataclass(frozen=True)
class LeastSquares:
    """Exponent of a spectrum by least squares in log-log.

    Attributes:
        first_rank: first rank of the window, counted from 1.
        last_rank: last rank of the window, included; two below the numerical rank if that is less, unless `clip` is
            off.
        weights: "1/n", every decade of ranks counts alike; or "none".
        clip: shorten a window that passes the numerical rank; off, refuse one that passes the last rank.
        fold: fit |λₙ|, as the source's code does.
    """

    cite: ClassVar[str] = "stringer2019"
    first_rank: int = 11
    last_rank: int = 500
    weights: Literal["1/n", "none"] = "1/n"
    clip: bool = True
    fold: bool = False

    def __post_init__(self) -> None:
        need(
            1 <= self.first_rank < self.last_rank,
            expected="1 ≤ first_rank < last_rank",
            got=f"first_rank={self.first_rank}, last_rank={self.last_rank}",
            remedy="Ranks count from 1, and the window includes both ends.",
        )

    def __call__(self, spectrum: Spectrum) -> SpectrumFit:
        """Fit λₙ = scale · n^−alpha inside the window.

        Args:
            spectrum: eigenvalues `(ranks,)`, in rank order, in squared response units such as (ΔF/F)².

        Returns:
            The fit with the window used and the ranks left out. `alpha` has no unit; `scale` has that of the
            eigenvalues.

        Raises:
            ValueError: if more than 5 % of the window is not positive, fewer than three ranks are left, or, without
                `clip`, the window passes the last rank.

        Example:
            >>> spectrum = power_law(alpha=1.0, ranks=100)
            >>> round(LeastSquares(1, 100)(spectrum).alpha, 6)
            1.0
        """
        last_rank = self._last_rank(spectrum)
        ranks = torch.arange(self.first_rank, last_rank + 1)
        window = spectrum.eigenvalues.detach().cpu()[self.first_rank - 1 : last_rank]
        values = window.abs() if self.fold else window
        usable = values > 0
        left_out = tuple(ranks[~usable].tolist())
        need(
            len(left_out) <= SHARE_LEFT_OUT * len(ranks),
            expected=f"at most 5 % of ranks {self.first_rank}–{last_rank} without a positive eigenvalue",
            got=f"{len(left_out)} of {len(ranks)}",
            remedy="End the window earlier: this spectrum is noise there.",
        )
        _need_three(int(usable.sum()), self.first_rank, spectrum)
        x, y = ranks[usable].double().log(), values[usable].log()
        w = 1 / ranks[usable].double() if self.weights == "1/n" else torch.ones_like(x)
        x_mean, y_mean = (w * x).sum() / w.sum(), (w * y).sum() / w.sum()
        alpha = -float((w * (x - x_mean) * (y - y_mean)).sum() / (w * (x - x_mean).square()).sum())
        intercept = float(y_mean) + alpha * float(x_mean)
        residuals = y - (intercept - alpha * x)
        return SpectrumFit(
            parameters={"alpha": Estimate(alpha), "scale": Estimate(math.exp(intercept))},
            asked=(self.first_rank, self.last_rank),
            used=(self.first_rank, last_rank),
            left_out=left_out,
            method="leastsquares",
            weights=self.weights,
            r2=_r2(values, self.first_rank, last_rank),
            misfit=float(((w * residuals.square()).sum() / w.sum()).sqrt()),
            target=spectrum.target,
            estimator=spectrum.estimator,
            stimuli=spectrum.stimuli,
            units=spectrum.units,
            notices=self._notices(window, last_rank, len(left_out)),
        )

    def _last_rank(self, spectrum: Spectrum) -> int:
        """Last rank of the window, shortened or refused."""
        ranks = len(spectrum.eigenvalues)
        if self.clip:
            last_rank = min(self.last_rank, spectrum.numerical_rank - 2)
            _need_three(last_rank - self.first_rank + 1, self.first_rank, spectrum)
            return last_rank
        need(
            self.last_rank <= ranks,
            expected=f"at least {self.last_rank} ranks",
            got=f"a spectrum of {ranks}",
            remedy=f"Use last_rank={ranks} or fewer, or record more stimuli.",
        )
        return self.last_rank

    def _notices(self, window: Float64[Tensor, " ranks"], last_rank: int, left_out: int) -> tuple[str, ...]:
        notices = []
        if last_rank < self.last_rank:
            notices.append(f"window shortened from ranks {self.first_rank}–{self.last_rank} to end at {last_rank}.")
        if left_out:
            notices.append(f"{left_out} of {len(window)} ranks are not positive and were left out.")
        if self.fold and bool((window < 0).any()):
            notices.append(
                f"{int((window < 0).sum())} of {len(window)} eigenvalues are negative and were folded upward."
            )
        return tuple(notices)


def _need_three(count: int, first_rank: int, spectrum: Spectrum) -> None:
    need(
        count >= 3,
        expected="a window of at least three ranks",
        got=f"{max(0, count)}: it starts at rank {first_rank}, and the numerical rank is {spectrum.numerical_rank} "
        f"with S = {spectrum.stimuli} stimuli and {spectrum.units} units",
        remedy="Start the window earlier, or record more stimuli.",
    )


def _r2(values: Float64[Tensor, " ranks"], first_rank: int, last_rank: int) -> float:
    """Squared correlation of ln n and ln λₙ at 100 log-spaced (rounded) ranks; NaN if either is constant."""
    grid = torch.logspace(0, 1, R2_RANKS, base=last_rank / first_rank, dtype=torch.float64) * first_rank
    ranks = grid.round().long().clamp(first_rank, last_rank)
    sampled = values[ranks - first_rank]
    x, y = ranks[sampled > 0].double().log(), sampled[sampled > 0].log()
    x, y = x - x.mean(), y - y.mean()
    if float(x.abs().max()) == 0 or float(y.abs().max()) < 1e-12:
        return math.nan
    return float((x * y).sum() ** 2 / (x.square().sum() * y.square().sum()))


PRESETS = {"stringer2019": LeastSquares(first_rank=11, last_rank=500, weights="1/n", clip=True, fold=True)}
