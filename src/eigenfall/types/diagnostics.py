"""What stands beside an exponent so that a reader can judge it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float64, Int64
from torch import Tensor

from eigenfall.types.spectra import Estimate, SpectrumFit


@dataclass(frozen=True, eq=False)
class LocalSlopes:
    """Exponent of a spectrum rank by rank.

    Attributes:
        ranks: geometric middle of each stretch of ranks.
        alpha: −d ln λ / d ln n in it, by a straight line; NaN where too few values are positive.
        span: last over first rank of a stretch.
    """

    ranks: Float64[Tensor, " places"]
    alpha: Float64[Tensor, " places"]
    span: float


@dataclass(frozen=True, eq=False)
class Subsampling:
    """How an exponent depends on how many units or stimuli there are.

    Attributes:
        over: what was left out.
        counts: how many were kept, ascending; the last is all.
        alphas: mean over random subsets at each count, with an interval for a new subset where there are several.
        subsets: how many subsets at each count.
        windows: ranks that were used at each count.
    """

    over: Literal["units", "stimuli"]
    counts: Int64[Tensor, " counts"]
    alphas: tuple[Estimate, ...]
    subsets: tuple[int, ...]
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class SimulatedBias:
    """What an estimator says of simulated recordings whose exponent is known, of the user's own size.

    Attributes:
        estimator: the part, in the grammar.
        method: the fit, in the grammar.
        planted: parameters of the planted law.
        truth: exponent of the planted law.
        sample_truth: what the same fit says of the noise-free responses' own spectrum, averaged over simulations; NaN
            if it was not computed.
        found: mean over simulations, with the interval of the mean.
        spread: standard deviation over simulations.
        runs: how many simulations.
        stimuli: stimuli of each.
        units: units of each.
        signal_share: share of signal in the variance of one repeat.
        alignment: share of the noise that has the signal's eigenvectors; the rest has its own.
        noise_alpha: exponent of the noise's spectrum.
    """

    estimator: str
    method: str
    planted: Mapping[str, float]
    truth: float
    sample_truth: float
    found: Estimate
    spread: float
    runs: int
    stimuli: int
    units: int
    signal_share: float
    alignment: float
    noise_alpha: float


@dataclass(frozen=True, eq=False)
class LawScore:
    """How well a law that was fitted on some stimuli predicts the spectrum of the others.

    Attributes:
        fit: the law, fitted to all stimuli.
        error: root mean square of ln λ off the law on held-out stimuli, weighted as the fit; mean over splits.
        against_power: error² less that of the power law, mean over splits, with its interval; negative: better.
        splits: how many random splits.
    """

    fit: SpectrumFit
    error: Estimate
    against_power: Estimate
    splits: int


@dataclass(frozen=True, eq=False)
class Reliability:
    """How much of each unit's variance repeats.

    Attributes:
        signal_share: ⟨x₁x₂⟩ / (½⟨x₁²⟩ + ½⟨x₂²⟩) of each unit over stimuli, `(units,)`; NaN for a constant unit.
        total: the same of the whole population, Σ over units above and below.
    """

    signal_share: Float64[Tensor, " units"]
    total: float


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """Everything that a page shows beside the exponents of one spectrum.

    Attributes:
        fits: further laws, or the same law with other weights, fitted to the same spectrum.
        windows: the same fit in other windows.
        slopes: local exponents.
        subsampling: curves over units and stimuli.
        bias: simulations of the same size.
        laws: rival laws on held-out stimuli.
        over: the exponent with the interval that another source of variation gives it, by source: "units", "trials".
    """

    fits: tuple[SpectrumFit, ...] = ()
    windows: tuple[SpectrumFit, ...] = ()
    slopes: LocalSlopes | None = None
    subsampling: tuple[Subsampling, ...] = ()
    bias: tuple[SimulatedBias, ...] = ()
    laws: tuple[LawScore, ...] = ()
    over: Mapping[str, Estimate] = field(default_factory=dict)
