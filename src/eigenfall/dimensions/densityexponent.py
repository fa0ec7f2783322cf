"""Density exponent: how fast the density of eigenvalues falls, not the eigenvalues themselves.

    p(λ) ∝ λ^−a  where  λₙ ∝ n^−α,   a = 1 + 1/α

    line   α from the weighted line of `alphareq`                 Hill   a = 1 + K / Σₙ₌₁…K ln(λₙ / λ_K)

A density's tail is its largest values: Hill reads ranks 1 … K, the line any window.

Source: Hill 1975, The Annals of Statistics 3, 1163-1174, doi:10.1214/aos/1176343247; as the likelihood of a continuous
power law above λ_K, Clauset, Shalizi & Newman 2009, SIAM Review 51, doi:10.1137/070710111.
Differs from the sources: they have independent draws. Eigenvalues are ordered and repel one another, so that neither
the standard error (a − 1)/√K nor a Kolmogorov-Smirnov test holds for them; no interval is given.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need, one_of
from eigenfall.dimensions._eigenvalues import described, spectrum_of
from eigenfall.dimensions._line import line, need_window
from eigenfall.types import Dimension, Gram, Responses, Spectrum

FLAT = 1e-12
"""A slope below it is rounding."""


@dataclass(frozen=True)
class DensityExponent:
    """Exponent a of the density of eigenvalues; 1/(a − 1) is the rank exponent.

    Attributes:
        estimator: "line", from the rank exponent; or "hill", from the largest eigenvalues.
        first_rank: first rank of the window, counted from 1; with "hill", 1.
        last_rank: last rank of the window, included; if the numerical rank is less, two below it for the line, and that
            rank itself for Hill.
    """

    cite: ClassVar[str] = "hill1975"
    estimator: Literal["line", "hill"] = "line"
    first_rank: int = 11
    last_rank: int = 100

    def __post_init__(self) -> None:
        one_of(self.estimator, ("line", "hill"), "estimator")
        need_window(self.first_rank, self.last_rank)
        need(
            self.estimator == "line" or self.first_rank == 1,
            expected="first_rank=1 with estimator=hill",
            got=f"first_rank={self.first_rank}",
            remedy="The tail of a density begins at its largest value; use estimator=line for other windows.",
        )

    def __call__(self, responses: Responses | Gram | Spectrum) -> Dimension:
        """a of the total sample covariance, or of a spectrum.

        Args:
            responses: `(repeats, stimuli, units)`, averaged over repeats first; their Gram matrix; or a spectrum.

        Returns:
            The exponent, under the density convention; `of` says over which ranks. Hill's comes with its curve over K.

        Raises:
            ValueError: if nothing varies, the window has fewer than three ranks, more than 5 % of it (any of it, for
                Hill) is not positive, or the eigenvalues do not fall.

        Example:
            >>> print(DensityExponent()(power_law(alpha=0.5, ranks=1000)))
            density exponent = 3 (density convention)
        """
        spectrum = spectrum_of(responses)
        if self.estimator == "hill":
            return self._hill(spectrum)
        found = line(spectrum, self.first_rank, self.last_rank, "1/n", clip=True)
        _need_falling(found.alpha > FLAT, found.used)
        first, last = found.used
        of = f"rank exponent of eigenvalues, ranks {first}–{last}, weights 1/n,"
        dimension = described(spectrum, "density_exponent", 1 + 1 / found.alpha, "densityexponent:estimator=line", of)
        return replace(dimension, convention="density", notices=dimension.notices + found.notices)

    def _hill(self, spectrum: Spectrum) -> Dimension:
        last = min(self.last_rank, spectrum.numerical_rank)
        values = spectrum.eigenvalues.detach().cpu()[:last]
        need(
            last >= 3 and bool((values > 0).all()),
            expected=f"at least three eigenvalues up to rank {self.last_rank}, all positive",
            got=f"{last}, {int((values <= 0).sum())} of them not positive",
            remedy="End the window earlier.",
        )
        counts = torch.arange(2, last + 1, dtype=torch.float64)
        curve = _curve(values)
        _need_falling(bool(torch.isfinite(curve[-1])), (1, last))
        of = f"largest eigenvalues, ranks 1–{last},"
        value = float(curve[-1])
        dimension = described(spectrum, "density_exponent", value, "densityexponent:estimator=hill", of)
        shortened = (f"window shortened from ranks 1–{self.last_rank} to end at {last}.",) * (last < self.last_rank)
        return replace(
            dimension,
            convention="density",
            scales=counts,
            by_scale=curve,
            scale="largest eigenvalues",
            notices=dimension.notices + shortened,
        )


def _curve(values: Float64[Tensor, " ranks"]) -> Float64[Tensor, " scales"]:
    """a from the K largest eigenvalues, K = 2 … all; NaN where these are equal."""
    counts = torch.arange(1, len(values) + 1, dtype=torch.float64)
    excess = values.log().cumsum(0) - counts * values.log()
    excess = torch.where(excess > FLAT * counts, excess, torch.nan)
    return (1 + counts / excess)[1:]


def _need_falling(falls: bool, used: tuple[int, int]) -> None:
    need(
        falls,
        expected="eigenvalues that fall with the rank",
        got=f"none that do over ranks {used[0]}–{used[1]}",
        remedy="A flat spectrum has no density exponent: choose another window.",
    )


PRESETS = {"hill1975": DensityExponent(estimator="hill", first_rank=1, last_rank=100)}
