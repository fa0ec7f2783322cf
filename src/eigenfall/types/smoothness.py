"""How fast a layer changes, input by input and over a population; bounds of it; maps and landscapes of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from eigenfall.types.spectra import Estimate

Scaling = Literal["proportional", "logarithmic", "free"]


@dataclass(frozen=True, eq=False)
class Smoothness:
    """One value per input of a measure of how fast a layer changes.

    Attributes:
        quantity: for instance "jacobian_norm".
        layer: module path, or "outputs" for the logits.
        values: `(inputs,)` float64; in layer units per input unit if they are proportional to the layer.
        scale: root mean square of the layer's values about their mean over these inputs; `relative` values do not
            change when the layer is multiplied by a number.
        method: the part that made it, in the grammar.
        scaling: what multiplying the layer by k does to a value: "proportional" multiplies it by k, "logarithmic" adds
            `ranks` · ln k, "free" leaves it.
        ranks: of what each value counts, `(inputs,)`, where it is not the same for all; only values of one rank
            compare.
        residuals: of an iteration, `(inputs,)`, as a share of the squared value; `None`: exact.
        points: where it was measured, in words, if not at the inputs as they are.
    """

    quantity: str
    layer: str
    values: Float64[Tensor, " inputs"]
    scale: float = math.nan
    method: str = ""
    scaling: Scaling = "proportional"
    ranks: Int64[Tensor, " inputs"] | None = None
    residuals: Float64[Tensor, " inputs"] | None = None
    points: str = ""

    @property
    def relative(self) -> Float64[Tensor, " inputs"]:
        """Values over the layer's own scale: the same for every multiple of the layer."""
        if self.scaling == "free":
            return self.values
        if self.scaling == "proportional":
            return self.values / self.scale
        ranks = torch.ones_like(self.values) if self.ranks is None else self.ranks.double()
        return self.values - ranks * (math.log(self.scale) if self.scale > 0 else -math.inf)

    @property
    def comparable(self) -> Bool[Tensor, " inputs"]:
        """Which values a summary is made of: the finite ones of the commonest rank."""
        finite = torch.isfinite(self.values)
        if self.ranks is None or not bool(finite.any()):
            return finite
        return finite & (self.ranks == self.ranks[finite].mode().values)


@dataclass(frozen=True)
class Distribution:
    """Values over inputs in a few numbers, with intervals over inputs.

    Attributes:
        quantity: what is distributed.
        layer: module path, or "outputs".
        median: half of the inputs lie below.
        lower_quartile: a quarter does.
        upper_quartile: three quarters do.
        percentile_95: 95 % do.
        inputs: how many values there are.
        left_out: how many were not finite, or of another rank than most.
        rank: of the values, where they have one.
        relative: whether they are over the layer's own scale.
    """

    quantity: str
    layer: str
    median: Estimate
    lower_quartile: Estimate
    upper_quartile: Estimate
    percentile_95: Estimate
    inputs: int
    left_out: int = 0
    rank: int | None = None
    relative: bool = False


@dataclass(frozen=True)
class ByDistance:
    """Values as a function of the distance from the decision boundary, in bins of equal count.

    Attributes:
        quantity: what depends on it.
        layer: module path, or "outputs".
        distances: median distance of each bin, ascending.
        medians: median value of each bin, with its interval over inputs.
        counts: inputs in each bin.
        correlation: Spearman's ρ of value and distance over all inputs, with its interval over inputs.
        left_out: how many inputs had no finite value and distance, or another rank than most.
    """

    quantity: str
    layer: str
    distances: tuple[float, ...]
    medians: tuple[Estimate, ...]
    counts: tuple[int, ...]
    correlation: Estimate
    left_out: int = 0


@dataclass(frozen=True)
class OperatorNorm:
    """Largest factor by which a linear map stretches an input, in L2.

    Attributes:
        value: the norm, found within the tolerance that was asked for; never above the truth but for rounding.
        upper: what the norm is certainly not above: certificates use it.
        residual: of the singular vector, as a share of the squared norm; 0 where the form is closed.
        method: how it was found.
    """

    value: float
    upper: float
    residual: float = 0.0
    method: str = ""


@dataclass(frozen=True)
class LipschitzBound:
    """Upper bound of how far a model's outputs move for an L2 step of its input, anywhere.

    Attributes:
        value: the bound, in output units per input unit.
        steps: bound of the map from the input to each step, in the order of the forward pass, by name.
    """

    value: float
    steps: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane of inputs, x₀ + ξ₁u + ξ₂v.

    Attributes:
        origin: x₀, in the input's own shape.
        first: u, of L2 length 1.
        second: v, of L2 length 1, orthogonal to u.
        base: number of the image that x₀ is; planes of one image are not independent.
        kind: "random", "adversarial" or "images".
        marks: places (ξ₁, ξ₂) of what the plane was put through besides x₀, `(marks, 2)`.
    """

    origin: Float[Tensor, "..."]
    first: Float[Tensor, "..."]
    second: Float[Tensor, "..."]
    base: int = 0
    kind: str = "random"
    marks: Float64[Tensor, "marks 2"] | None = None


@dataclass(frozen=True, eq=False)
class Landscape:
    """Decisions of a model on a plane of inputs.

    Attributes:
        plane: where.
        along: ξ of the grid's rows and columns, `(side,)`, ascending, in input units (L2).
        classes: decision at each place, `(ξ₂, ξ₁)`.
        inside: whether the input lies within its bounds, `(ξ₂, ξ₁)`; the others count nowhere.
        base_class: decision at x₀.
        regions: connected pieces of equal decision, inside.
        area: of the grid's cells whose four corners are inside, in squared input units.
        boundary: length of the lines between decisions in those cells, in input units.
        norms: ‖J‖_F of the logits on a coarser grid, `(ξ₂, ξ₁)`, NaN outside; `None`: not measured.
    """

    plane: Plane
    along: Float64[Tensor, " side"]
    classes: Int64[Tensor, "side side"]
    inside: Bool[Tensor, "side side"]
    base_class: int
    regions: int
    area: float
    boundary: float
    norms: Float64[Tensor, "coarse coarse"] | None = None

    @property
    def base_share(self) -> float:
        """Share of the area where the decision is that at x₀, each corner a quarter of its cell; NaN without area."""
        same, inside = (self.classes == self.base_class).double(), self.inside.double()
        ends = (slice(None, -1), slice(1, None))
        corners = [(rows, columns) for rows in ends for columns in ends]
        whole = torch.stack([inside[corner] for corner in corners]).amin(0)
        share = torch.stack([same[corner] for corner in corners]).mean(0)
        return float((share * whole).sum() / whole.sum())

    @property
    def boundary_per_area(self) -> float:
        """Length of the lines between decisions over the area; NaN without area."""
        return self.boundary / self.area if self.area > 0 else math.nan

    @property
    def norm_spread(self) -> float:
        """Standard deviation of ‖J‖_F over the plane by its mean; NaN if fewer than two places were measured."""
        if self.norms is None:
            return math.nan
        norms = self.norms[torch.isfinite(self.norms)]
        return float(norms.std() / norms.mean()) if len(norms) > 1 else math.nan


@dataclass(frozen=True)
class LandscapeSummary:
    """Landscapes of one model on many planes: means over planes, intervals over base images.

    Attributes:
        kind: of the planes.
        planes: how many there are.
        images: how many base images they go through.
        regions: connected pieces of equal decision on a plane.
        boundary_per_area: length of the lines between decisions over the area.
        base_share: share of a plane on which the decision is that at its base image.
        norm_spread: standard deviation of ‖J‖_F over a plane by its mean.
        left_out: planes with no area inside the bounds.
        extent: planes go from −extent to extent along both directions, in input units (L2).
        extent_of: where it comes from, in words.
        masked: whether places outside the inputs' bounds were left out.
    """

    kind: str
    planes: int
    images: int
    regions: Estimate
    boundary_per_area: Estimate
    base_share: Estimate
    norm_spread: Estimate
    left_out: int = 0
    extent: float = math.nan
    extent_of: str = ""
    masked: bool = True


@dataclass(frozen=True, eq=False)
class SensitivityMap:
    """How eigenvalues of a layer's covariance change with each input value.

    Attributes:
        layer: module path, or "outputs".
        ranks: of the eigenvalues, from 1.
        eigenvalues: `(ranks,)`, in squared layer units.
        maps: ∂λₙ/∂xᵢ for every image i, `(ranks, stimuli, ...)`, in squared layer units per input unit.
        gaps: distance of each eigenvalue to the nearest other, as a share of it, `(ranks,)`.
        images: the inputs xᵢ, `(stimuli, ...)`.
        notices: what a reader must know, in words.
    """

    layer: str
    ranks: tuple[int, ...]
    eigenvalues: Float64[Tensor, " ranks"]
    maps: Float[Tensor, "ranks stimuli ..."]
    gaps: Float64[Tensor, " ranks"]
    images: Float[Tensor, "stimuli ..."]
    notices: tuple[str, ...] = ()
