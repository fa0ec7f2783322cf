"""Power law, single or broken, whose eigenmoments are nearest to estimated ones.

    minimise over c, α:   ‖C^(−1/2) (m(θ) − m̂)‖²,   mₚ(θ) = (1/N) Σᵢ λᵢᵖ,   ln λᵢ = c − α ln i on all ranks 1 … N
    with a break:         slope −α₁ up to rank B, −α beyond, continuous; the best of a grid of B

Ranks beyond the number of stimuli are extrapolated: the exponent is that of the form, and a spectrum of another form
beyond the stimuli may pass the misfit test.

The interval of a single law is first-order, from the moments' own covariance over stimuli and the slopes of the
weighted fit; that of a broken one is from redraws of normal moments with that covariance, each fitted with the whole
grid, so that the choice of the break is in it. Misfit: the minimum against χ² with K − 2 or K − 4 degrees of freedom,
as good as C is.

Source: Pospisil & Pillow 2024, doi:10.1101/2024.02.16.580726.
Differs from the source: Levenberg-Marquardt from the best of a grid instead of a bounded least squares from α = .01;
moments are divided by their standard deviation before the root is taken; the source's intervals redraw noise only.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import scipy
import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall import momentfits
from eigenfall.check import need
from eigenfall.statistics import normal_reach
from eigenfall.types import Estimate, Moments, SpectrumFit

FLATTEST = 0.05
"""Intervals of a flatter law are those at this exponent."""


@dataclass(frozen=True)
class MomentLaw:
    """Exponent of the signal of a population of stimuli, from its eigenmoments.

    Attributes:
        breaks: "none", one exponent; or "grid", two with the best break between them.
        moments: how many of the estimated moments, the first ones, are fitted; none: all.
        draws: redraws behind the interval of a broken law; 0: none.
        level: nominal coverage of the interval.
    """

    cite: ClassVar[str] = "pospisil2024"
    reads: ClassVar[str] = "moments"
    breaks: Literal["none", "grid"] = "none"
    moments: int | None = None
    draws: int = 200
    level: float = 0.95

    def __call__(self, moments: Moments) -> SpectrumFit:
        """Fit the law.

        Args:
            moments: m̂ₚ `(orders,)` in squared response units to the p-th power, with their covariances.

        Returns:
            The fit over all ranks, 1 to the number of units; `statistics` holds χ², its degrees of freedom and p.

        Raises:
            ValueError: for fewer moments than the law has parameters and one more, or moments without variance.
        """
        free = 2 if self.breaks == "none" else 4
        count = len(moments.values) if self.moments is None else self.moments
        need(
            free < count <= len(moments.values),
            expected=f"more than {free} and at most {len(moments.values)} moments for a law with {free} parameters",
            got=f"{count}",
            remedy="Estimate more moments, or fit a law with fewer parameters.",
        )
        values, units = moments.values[:count].cpu(), moments.units
        covariance, weighting = moments.covariance[:count, :count].cpu(), moments.weighting[:count, :count].cpu()
        root = momentfits.inverse_root(weighting)
        if self.breaks == "none":
            found = momentfits.fitted(values[None], root, units)
            parameters = self._single(found.theta[0], root, covariance, units)
        else:
            found = momentfits.broken(values[None], root, units)
            parameters = self._broken(found, values, root, covariance, units)
        cost = float(found.costs[0])
        return SpectrumFit(
            parameters=parameters,
            asked=(1, units),
            used=(1, units),
            method="momentlaw",
            weights="covariance",
            target=moments.target,
            estimator=moments.estimator,
            stimuli=moments.stimuli,
            units=units,
            notices=self._notices(found),
            law="power" if self.breaks == "none" else "broken",
            statistics={"chi2": cost, "freedom": count - free, "p": float(scipy.special.chdtrc(count - free, cost))},
        )

    def _single(
        self,
        theta: Float64[Tensor, "2"],
        root: Float64[Tensor, "orders orders"],
        covariance: Float64[Tensor, "orders orders"],
        units: int,
    ) -> dict[str, Estimate]:
        """Scale and exponent with first-order intervals."""
        beside = torch.stack([theta[0], theta[1].clamp_min(FLATTEST)])  # at 0 no moment depends on the exponent
        spread = momentfits.spread(beside, root, covariance, units).diagonal().clamp_min(0).sqrt()
        reach = normal_reach(self.level) * spread
        low, high = torch.stack([theta - reach, theta + reach]).tolist()
        ends = torch.tensor([low[0], high[0]], dtype=torch.float64).exp().tolist()
        return {
            "alpha": Estimate(
                float(theta[1]), max(low[1], 0.0), min(high[1], momentfits.STEEPEST), self.level, "stimuli"
            ),
            "scale": Estimate(float(theta[0].exp()), ends[0], ends[1], self.level, "stimuli"),
        }

    def _broken(
        self,
        found: momentfits.MomentFits,
        values: Float64[Tensor, " orders"],
        root: Float64[Tensor, "orders orders"],
        covariance: Float64[Tensor, "orders orders"],
        units: int,
    ) -> dict[str, Estimate]:
        """Scale, break and both exponents; intervals from redraws, each with its own break."""
        names = ("scale", "alpha_1", "alpha", "break_rank")
        own = _by_name(found)[0].tolist()
        if not self.draws:
            return {name: Estimate(value, level=self.level) for name, value in zip(names, own)}
        eigenvalues, vectors = torch.linalg.eigh(covariance)
        drawn = torch.randn(self.draws, len(values), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        moved = values + (drawn * eigenvalues.clamp_min(0).sqrt()) @ vectors.T
        every = _by_name(momentfits.broken(moved, root, units))
        ends = torch.tensor([0.5 - self.level / 2, 0.5 + self.level / 2], dtype=torch.float64)
        low, high = torch.quantile(every, ends, dim=0).tolist()
        return {
            name: Estimate(value, min(a, value), max(b, value), self.level, "stimuli")
            for name, value, a, b in zip(names, own, low, high)
        }

    def _notices(self, found: momentfits.MomentFits) -> tuple[str, ...]:
        slopes = found.theta[0, 1:]
        if bool((slopes <= 0).any()) or bool((slopes >= momentfits.STEEPEST).any()):
            return (f"WARN: an exponent stands at the edge of what is tried, 0 to {momentfits.STEEPEST:g}.",)
        return ()


def _by_name(found: momentfits.MomentFits) -> Float64[Tensor, "fits 4"]:
    """Scale, α₁, α and break of each fit."""
    assert found.breaks is not None
    return torch.cat([found.theta[:, :1].exp(), found.theta[:, 1:], found.breaks[:, None]], 1)


PRESETS = {
    "pospisil2024": MomentLaw(breaks="none", moments=10, draws=0, level=0.95),
    "pospisil2024broken": MomentLaw(breaks="grid", moments=10, draws=0, level=0.95),
}
