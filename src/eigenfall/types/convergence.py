"""What a learnt layer is judged to be: converged or not, and which of its units are kept."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float64, Int64
from torch import Tensor

REMEDY = "Start from N(0, 1), not from a Glorot-sized start, and learn again."


@dataclass(frozen=True, eq=False)
class Convergence:
    """Whether a learnt layer has converged, unit by unit.

    Attributes:
        p: of the norm.
        radius: norm that a converged unit has.
        norms: ‖W_μ‖_p of each unit, `(units,)`.
        means: mean weight of each unit.
        variances: variance of each unit's weights, divided by how many there are.
        positive: share of each unit's weights that are above 0.
        off: units whose norm is not yet the radius.
        negative: units that are nearly all negative.
        wins: at how many inputs each unit had the largest current, the first of those that tie as computed; `None`
            without inputs.
        silent: units whose current was positive at no input, so that ReLU leaves nothing of them; `None` likewise.
        inputs: at how many inputs wins were counted.
        norms_hold: gate (a), that few units are off.
        signs_hold: gate (b), corrected: few or no units are negative.
        signs_hold_published: gate (b), published: no unit's mean weight is below −radius/2. It nearly always holds.
        reading: which of the two decides.
        collapsed: whether most units are negative or silent: the all-negative attractor.
        converged: whether both gates hold, and the layer has not collapsed.
    """

    p: float
    radius: float
    norms: Float64[Tensor, " units"]
    means: Float64[Tensor, " units"]
    variances: Float64[Tensor, " units"]
    positive: Float64[Tensor, " units"]
    off: Bool[Tensor, " units"]
    negative: Bool[Tensor, " units"]
    wins: Int64[Tensor, " units"] | None
    silent: Bool[Tensor, " units"] | None
    inputs: int
    norms_hold: bool
    signs_hold: bool
    signs_hold_published: bool
    reading: Literal["corrected", "holzhausen2024"]
    collapsed: bool
    converged: bool

    @property
    def unconverged(self) -> float:
        """Share of units that are off."""
        return float(self.off.double().mean())

    @property
    def dead(self) -> Bool[Tensor, " units"] | None:
        """Units that won at no input. Where inputs are few, so are winners."""
        return None if self.wins is None else self.wins == 0

    def __str__(self) -> str:
        units = len(self.norms)
        told = [
            f"{int(self.off.sum())} of {units} units ({100 * self.unconverged:.1f} %) are off norm {self.radius:g}",
            f"{int(self.negative.sum())} are nearly all negative",
        ]
        if self.wins is not None:
            told.append(f"{int((self.wins == 0).sum())} won at none of {self.inputs} inputs")
        words = ", ".join(told)
        if self.collapsed:
            return f"COLLAPSED into the all-negative attractor: {words}. {REMEDY}"
        return f"{'Converged' if self.converged else 'UNCONVERGED'}: {words}."


@dataclass(frozen=True)
class Mixture:
    """A mixture of normals on a line.

    Attributes:
        means: of the components, ascending.
        spreads: standard deviation of each.
        shares: weight of each.
        fitted: to how many values it was fitted.
        log_likelihood: of these values, natural.
    """

    means: tuple[float, ...]
    spreads: tuple[float, ...]
    shares: tuple[float, ...]
    fitted: int
    log_likelihood: float

    @property
    def parameters(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        """Means, spreads and shares."""
        return self.means, self.spreads, self.shares


@dataclass(frozen=True, eq=False)
class Pruned:
    """Which units of a layer are kept, by the variance of their weights.

    Attributes:
        kept: units below the cutoff, `(units,)`.
        variances: variance of each unit's weights, divided by how many there are.
        cutoff: lowest variance that is pruned; infinite if none is.
        reason: how the cutoff came about, in words.
        mixture: of ln variances, from which it came; `None` for a cutoff that was given.
    """

    kept: Bool[Tensor, " units"]
    variances: Float64[Tensor, " units"]
    cutoff: float
    reason: str
    mixture: Mixture | None = None

    @property
    def count(self) -> int:
        """How many units are pruned."""
        return int((~self.kept).sum())

    def __str__(self) -> str:
        return f"{self.count} of {len(self.kept)} units pruned: {self.reason}."
