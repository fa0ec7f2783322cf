"""Second moments, spectra and the laws fitted to them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the estimate.
        low: lower end of the interval, NaN if there is none.
        high: upper end of the interval, NaN if there is none.
        level: nominal coverage of the interval.
        over: what was resampled, "stimuli", "seeds", "images", or "" without interval.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    level: float = 0.95
    over: str = ""

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True, eq=False)
class Gram:
    """Second moments on the smaller side, centred over stimuli, float64.

    Attributes:
        matrix: `(side, side)`; units: XᵀX, stimuli: XXᵀ, of the centred responses X.
        side: which axis the matrix is over.
        stimuli: how many stimuli went in.
        units: how many units went in.
        repeats: how many repeats were averaged beforehand.
        name: carried over from the responses.
    """

    matrix: Float64[Tensor, "side side"]
    side: Literal["units", "stimuli"]
    stimuli: int
    units: int
    repeats: int = 1
    name: str = "responses"


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues, largest first, and what they are of.

    Attributes:
        eigenvalues: `(ranks,)` float64, in squared response units.
        stimuli: how many stimuli they were estimated from.
        units: how many units.
        repeats: how many repeats.
        of: what matrix the eigenvalues belong to.
        target: what they estimate: "total sample", "signal sample", "signal population" or "held-out".
        estimator: the part that made them, in the grammar.
        centred: whether each unit's mean over stimuli was removed.
        name: layer or recording.
    """

    eigenvalues: Float64[Tensor, " ranks"]
    stimuli: int
    units: int
    repeats: int = 1
    of: Literal["covariance", "kernel", "weights", "jacobian"] = "covariance"
    target: Literal["total sample", "signal sample", "signal population", "held-out"] = "total sample"
    estimator: str = ""
    centred: bool = True
    name: str = "responses"

    @property
    def floor(self) -> float:
        """Below it an eigenvalue is rounding: max(stimuli, units) · 2⁻⁵² · λ₁."""
        if len(self.eigenvalues) == 0:
            return 0.0
        return max(self.stimuli, self.units) * 2.0**-52 * max(float(self.eigenvalues[0]), 0.0)

    @property
    def numerical_rank(self) -> int:
        """How many leading ranks pass the floor in absolute value; cross-validated ones may be negative."""
        above = (self.eigenvalues.abs() > self.floor).nonzero()
        return int(above[-1]) + 1 if len(above) else 0

    @property
    def participation_ratio(self) -> float:
        """(Σλ)²/Σλ²."""
        return float(self.eigenvalues.sum() ** 2 / self.eigenvalues.square().sum())

    @property
    def rank_at_90_percent(self) -> int:
        """First rank at which the cumulative variance reaches 90 %."""
        share = self.eigenvalues.cumsum(0) / self.eigenvalues.sum()
        return int((share < 0.9).sum()) + 1


@dataclass(frozen=True)
class SpectrumFit:
    """A fitted law, with everything its exponent depends on.

    Attributes:
        parameters: each with value and interval; `alpha` is the rank exponent in λₙ ∝ n^−alpha.
        asked: the window that was asked for, (first rank, last rank).
        used: the window that was used.
        left_out: ranks inside the window that are not positive.
        method: the part that made the fit, in the grammar.
        weights: how ranks were weighted.
        r2: squared correlation of log rank and log eigenvalue at 100 log-spaced ranks.
        misfit: weighted root mean square of the residuals of ln λ.
        target: target of the spectrum.
        estimator: estimator of the spectrum.
        stimuli: stimuli of the spectrum.
        units: units of the spectrum.
        notices: what a reader must know, in words.
        resampled: the window on which half-samples were fitted, where that made the interval.
    """

    parameters: Mapping[str, Estimate]
    asked: tuple[int, int]
    used: tuple[int, int]
    left_out: tuple[int, ...] = ()
    method: str = ""
    weights: str = "none"
    r2: float = math.nan
    misfit: float = math.nan
    target: str = "total sample"
    estimator: str = ""
    stimuli: int = 0
    units: int = 0
    notices: tuple[str, ...] = ()
    resampled: tuple[int, int] | None = None

    @property
    def alpha(self) -> float:
        """Exponent of the rank law λₙ ∝ n^−alpha."""
        return self.parameters["alpha"].value

    def __str__(self) -> str:
        first, last = self.used
        return f"α = {self.parameters['alpha']} over ranks {first}–{last}"
