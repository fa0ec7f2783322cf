"""Second moments, spectra and the laws fitted to them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """Second moments of all pairs of repeats on the smaller side, float64. All that PCA, cvPCA and MEME read.

    Each unit's mean over all stimuli and repeats was removed. Those of other units (stimulus side) or other stimuli
    (unit side) add up.

    Attributes:
        matrix: `(repeats · side, repeats · side)`; block (t, u) is XₜXᵤᵀ (stimuli) or XₜᵀXᵤ (units) of the centred
            responses X.
        side: which axis the matrix is over.
        stimuli: how many stimuli went in.
        units: how many units went in; constant ones are not counted.
        repeats: how many repeats the matrix has blocks for.
        averaged: how many recorded repeats were averaged in each of them, at most.
        name: carried over from the responses.
        across: stimulus side: sum over units of the centred responses, `(repeats, stimuli)`.
        means: unit side: mean over stimuli of each repeat and unit, as recorded, `(repeats, units)`.
        per_unit: for each unit Σₛ xₜxᵤ over pairs of different repeats and Σₛ xₜ², means over pairs and over repeats,
            `(2, units)`; from them follows the share of signal in a unit's variance. The first is NaN for one repeat;
            constant units are 0.
        dropped: what was left out, and how many.
        sampled_over: what the responses' second axis counts.
        block: how many successive stimuli belong together; carried over from the responses, as resampling needs it.
    """

    matrix: Float64[Tensor, "rows rows"]
    side: Literal["units", "stimuli"]
    stimuli: int
    units: int
    repeats: int = 1
    averaged: int = 1
    name: str = "responses"
    across: Float64[Tensor, "repeats stimuli"] | None = None
    means: Float64[Tensor, "repeats units"] | None = None
    per_unit: Float64[Tensor, "2 all_units"] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    sampled_over: Literal["stimuli", "time"] = "stimuli"
    block: int = 1

    def pair(self, first: int, second: int) -> Float64[Tensor, "side side"]:
        """The block of two repeats, counted from 0: a view."""
        side = len(self.matrix) // self.repeats
        return self.matrix[first * side : (first + 1) * side, second * side : (second + 1) * side]


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
        beside: other curves over the same ranks, by name, such as the noise.
        notices: what a reader must know, in words.
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
    beside: Mapping[str, Float64[Tensor, " ranks"]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

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


@dataclass(frozen=True, eq=False)
class Moments:
    """Eigenmoments of the signal covariance, without the eigenvalues themselves.

    Attributes:
        values: `(orders,)` float64; the p-th, p = 1, 2, …, estimates (1/units) Σₙ λₙᵖ without bias.
        covariance: of the values over stimuli, `(orders, orders)`: what makes the intervals of a fit.
        weighting: the covariance whose inverse root weighs a fit, from resampling or from a fitted model: smoother than
            the former, and less bound to the very values that are fitted.
        stimuli: how many stimuli they were estimated from.
        units: how many units, and so how many eigenvalues there are.
        repeats: how many repeats.
        pairings: over how many random orders of the stimuli the values were averaged.
        target: what they are moments of.
        estimator: the part that made them.
        name: layer or recording.
        notices: what a reader must know, in words.
    """

    values: Float64[Tensor, " orders"]
    covariance: Float64[Tensor, "orders orders"]
    weighting: Float64[Tensor, "orders orders"]
    stimuli: int
    units: int
    repeats: int = 2
    pairings: int = 1
    target: Literal["signal population"] = "signal population"
    estimator: str = ""
    name: str = "responses"
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class SpectrumFit:
    """A fitted law, with everything its exponent depends on.

    Attributes:
        parameters: each with value and interval; `alpha` is the rank exponent in λₙ ∝ n^−alpha. A law without one
            exponent has its local exponent at the geometric middle of the window there; a broken law the exponent
            beyond its break.
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
        law: the form that was fitted, a name in `laws.LAWS`.
        statistics: other numbers of the fit by name, such as a χ² with its degrees of freedom and p.
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
    law: str = "power"
    statistics: Mapping[str, float] = field(default_factory=dict)

    @property
    def alpha(self) -> float:
        """Exponent of the rank law λₙ ∝ n^−alpha."""
        return self.parameters["alpha"].value

    def __str__(self) -> str:
        first, last = self.used
        return f"α = {self.parameters['alpha']} over ranks {first}–{last}"


@dataclass(frozen=True, eq=False)
class Dimension:
    """A number of dimensions, or an exponent under a convention of its own.

    Attributes:
        name: for instance "participation_ratio".
        value: the number.
        of: what it was computed from, in words.
        target: what that estimates, as a spectrum's target.
        convention: of an exponent: "rank" (λₙ ∝ n^−α) or "density" (p(λ) ∝ λ^−a, a = 1 + 1/α); empty otherwise.
        stimuli: how many stimuli went in.
        units: how many units.
        repeats: how many repeats.
        scales: where a dimension depends on a scale: the scales, such as a number of neighbours.
        by_scale: the dimension at each of them.
        scale: what the scales count.
        method: the part that made it.
        name_of: layer or recording.
        notices: what a reader must know, in words.
    """

    name: str
    value: Estimate
    of: str
    target: str = "total sample"
    convention: Literal["", "rank", "density"] = ""
    stimuli: int = 0
    units: int = 0
    repeats: int = 1
    scales: Float64[Tensor, " scales"] | None = None
    by_scale: Float64[Tensor, " scales"] | None = None
    scale: str = ""
    method: str = ""
    name_of: str = "responses"
    notices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name.replace('_', ' ')} = {self.value}" + (
            f" ({self.convention} convention)" if self.convention else ""
        )
