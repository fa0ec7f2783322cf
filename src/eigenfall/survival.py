"""Kaplan-Meier curve of critical distances: how many inputs still stand at each budget, with those never broken
counted.

    S(ε) = Π over distances t ≤ ε of (1 − d_t / n_t),   d_t inputs broken at t of the n_t at risk there
    Var S(ε) = S² Σ over t ≤ ε of d_t / (n_t (n_t − d_t))                                          (Greenwood)

An input that no attack broke is right-censored at the largest budget that was tried: it stood there, and may fall
anywhere above. Leaving it out would make every model look weaker, and the stronger it is the more so.

Source: Kaplan & Meier 1958, JASA 53, 457-481; Greenwood 1926; interval: Rothman 1978, J. Chronic Dis. 31, 557-560;
interval of a quantile: Brookmeyer & Crowley 1982, Biometrics 38, 29-41.
Differs from the textbooks' S ± z·s.d.: the interval is Wilson's, for as many inputs as give Greenwood's variance,
S(1 − S)/Var. It never leaves [0, 1], has width where S is 0 or 1, and where all censoring is at the largest budget it
is the interval of the accuracy under attack itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from eigenfall.check import need
from eigenfall.statistics import wilson_ends

ROUNDING = 1e-9
"""A share within this of another counts as equal: products of fractions are not exact."""


@dataclass(frozen=True, eq=False)
class Survival:
    """Share of inputs that stand, as a function of the budget.

    Attributes:
        times: distances at which inputs were broken, ascending, each once, `(times,)`.
        share: S at and above each of them, up to the next, `(times,)`.
        error: Greenwood's standard deviation of it; NaN where none stands, `(times,)`.
        low: lower end of its interval, `(times,)`.
        high: upper end, `(times,)`.
        at_risk: how many inputs were neither broken nor censored below each time, `(times,)`.
        before: how many were at risk up to the first of them; at the largest distance, if none was broken.
        inputs: how many inputs there are.
        censored: how many of them were never broken.
        largest: the largest distance, of a broken or a censored input: nothing is known above it.
        level: nominal coverage of the intervals.
    """

    times: Float64[Tensor, " times"]
    share: Float64[Tensor, " times"]
    error: Float64[Tensor, " times"]
    low: Float64[Tensor, " times"]
    high: Float64[Tensor, " times"]
    at_risk: Int64[Tensor, " times"]
    before: int
    inputs: int
    censored: int
    largest: float
    level: float = 0.95

    def at(self, epsilon: float) -> tuple[float, float, float]:
        """Share that stands at a budget, with its interval: broken at a distance ≤ epsilon is broken.

        Raises:
            ValueError: above the largest distance, of which nothing is known unless none stands there.
        """
        need(
            0 <= epsilon <= (math.inf if len(self.share) and self.share[-1] == 0 else self.largest),
            expected=f"a budget from 0 to {self.largest:g}, the largest distance known",
            got=f"{epsilon:g}",
            remedy="Attack with larger budgets to know more.",
        )
        place = int((self.times <= epsilon).sum()) - 1
        if place < 0:
            low, high = wilson_ends(1.0, self.before, self.level)
            return 1.0, low, high
        return float(self.share[place]), float(self.low[place]), float(self.high[place])

    def quantile(self, share: float = 0.5) -> tuple[float, float, float]:
        """Smallest distance at which at most 1 − share of the inputs stand, with its interval.

        Infinite where that many stand beyond the largest distance: read it as "> largest". The interval holds the
        distances at which 1 − share lies in the interval of S.
        """
        stands = 1 - share
        return (
            self._first(self.share <= stands + ROUNDING),
            self._first(self.low <= stands + ROUNDING),
            self._first(self.high <= stands + ROUNDING),
        )

    def _first(self, fallen: Bool[Tensor, " times"]) -> float:
        return float(self.times[int(fallen.int().argmax())]) if bool(fallen.any()) else math.inf

    def shown(self, share: float = 0.5) -> str:
        """A quantile as text: its value with three digits, or "> largest"."""
        value = self.quantile(share)[0]
        return f"{value:.3g}" if math.isfinite(value) else f"> {self.largest:.3g}"


def survival(distances: Sequence[float] | Tensor, broken: Sequence[bool] | Tensor, level: float = 0.95) -> Survival:
    """Kaplan-Meier curve of distances, some of them censored.

    Args:
        distances: of each input: how far it is to what broke it, 0 for a clean error; or, if nothing did, up to where
            it was tried. In any unit.
        broken: of each input, whether it was broken there; otherwise it is censored there.
        level: nominal coverage of the intervals.

    Raises:
        ValueError: if there is no input, not as many of one as of the other, or a distance is negative or not finite.
    """
    at, fell = torch.as_tensor(distances, dtype=torch.float64), torch.as_tensor(broken, dtype=torch.bool)
    need(
        at.ndim == 1 and at.shape == fell.shape and len(at) >= 1,
        expected="at least one distance, and whether it is one that broke the input, for each",
        got=f"shapes {tuple(at.shape)} and {tuple(fell.shape)}",
        remedy="Give both for the same inputs.",
    )
    need(
        bool(at.isfinite().all()) and float(at.min()) >= 0,
        expected="distances that are finite and not negative",
        got=f"values from {float(at.min()):g} to {float(at.max()):g}",
        remedy="Put an input that was never broken at the largest budget tried, as censored.",
    )
    times, fallen = at[fell].unique(return_counts=True)
    at_risk = len(at) - torch.searchsorted(at.sort().values, times)  # whoever is censored at a time is at risk there
    share = (1 - fallen / at_risk.double()).cumprod(0)
    variance = share.square() * (fallen / (at_risk.double() * (at_risk - fallen))).cumsum(0)
    largest = float(at.max())
    before = int(at_risk[0]) if len(times) else int((at == largest).sum())
    ends, effective = [], float(before)
    for value, spread in zip(share.tolist(), variance.tolist()):
        if value > 0:
            effective = value * (1 - value) / spread
        ends.append(wilson_ends(value, effective, level))
    low, high = torch.tensor(ends, dtype=torch.float64).reshape(-1, 2).unbind(1)
    return Survival(
        times=times,
        share=share,
        error=variance.sqrt(),
        low=low,
        high=high,
        at_risk=at_risk,
        before=before,
        inputs=len(at),
        censored=int((~fell).sum()),
        largest=largest,
        level=level,
    )


def of_distances(distances: Float64[Tensor, " inputs"], largest: float, level: float = 0.95) -> Survival:
    """Kaplan-Meier curve of a robustness curve's distances, infinite where no attack broke the input.

    If an input was broken beyond the largest budget, an attack without one tried every input: the unbroken ones are
    then censored at the largest distance that was found.

    Args:
        distances: smallest verified norm of what broke each input; 0 for a clean error, infinite if nothing did.
        largest: budget up to which every input was tried, at which the unbroken ones are censored.
        level: nominal coverage of the intervals.
    """
    broken = distances.isfinite()
    return survival(torch.where(broken, distances, reached(distances, largest)), broken, level)


def reached(distances: Float64[Tensor, " inputs"], largest: float) -> float:
    """Up to where every input was tried: the largest budget, or the largest distance that was found beyond it."""
    found = distances[distances.isfinite()]
    return max(largest, float(found.max())) if len(found) else largest
