"""What a shallow net is like beside how robust it is: everything that may stand between a setting and robustness.

    distance = (margin / slope) · bend        medians over test images

    margin      target's logit less the largest other
    slope       ‖∇ₓ(z_y − z_j)‖₁ of the runner-up j: how fast an L∞ step takes that margin away, to first order
    distance    smallest L∞ perturbation that the named attack finds
    bend        what is left: 1 for a net that is linear on the way

    saturated   share of values of tanh beyond .99 in size. The column of that name in spec `nassar2020` §9.2 is of
                batch-norm's values, and runs the other way
    moved       ‖W − W₀‖ / ‖W₀‖ of the hidden layer's weights, W₀ what its seed began with
    aligned     Σ wᵀΣw / Σ ‖w‖² over hidden units, Σ the pixels' covariance: the variance that a weight vector looks
                along. Low where weights amplify faint directions of the images, and any L∞ step with them
    linear      share of the hidden variance beyond rank 11 that the best linear map of the pixels explains, on images
                that the map was not fitted to. Ranks can be filled so, or by the nonlinearity

Rebuilt from the record's weights; nothing is trained or attacked here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eigenfall import parts
from eigenfall.activations import margins
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.layers import hidden_of, left_as_found
from eigenfall.linalg import symmetric_eigh
from eigenfall.models import model_of
from eigenfall.papers.found import accuracy, alpha
from eigenfall.papers.nassar2020.found import Found
from eigenfall.smoothness.distance import signed_distances
from eigenfall.types import Examples, Record, RobustnessCurve, Split

EPSILON = 0.05
BEYOND = 0.99
IMAGES = 500
FITTED = 6000
FREE = 11
"""Ranks that the penalty leaves alone."""


@dataclass(frozen=True)
class Traits:
    """One trained net.

    Attributes:
        robust: how many of the attacked images stay right under the named attack at ε = .05.
        attacked: how many were attacked.
        clean: share of all test images classified correctly.
        distance: median L∞ distance that the named attack finds.
        margin: median margin of the first test images.
        slope: median slope there.
        saturated: share of saturated units there; NaN without tanh.
        moved: how far the hidden weights went from where they began, relative to their size there.
        aligned: variance of the pixels along the hidden weights.
        linear: share of the tail's variance that is linear in the pixels; below 0 if a fit misses by more than all.
        alpha: exponent of the hidden layer's spectrum.
        n90: ranks with 90 % of its variance.
        participation: its participation ratio.
    """

    robust: int
    attacked: int
    clean: float
    distance: float
    margin: float
    slope: float
    saturated: float
    moved: float
    aligned: float
    linear: float
    alpha: float
    n90: float
    participation: float

    @property
    def share(self) -> float:
        """Robust accuracy, half an image added on either side, so that none is 0 or 1."""
        return (self.robust + 0.5) / (self.attacked + 1)

    @property
    def log_odds(self) -> float:
        """Of the robust accuracy."""
        return math.log(self.share / (1 - self.share))

    @property
    def first_order(self) -> float:
        """Where a linear net of this margin and slope would break."""
        return self.margin / self.slope

    @property
    def bend(self) -> float:
        """The distance over that."""
        return self.distance / self.first_order


Seen = Mapping[str, Mapping[int, Traits]]
"""Traits by arm and seed."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """What traits read of a data set, made once for all its nets.

    Attributes:
        examples: the data set.
        images: the first test images, at which traits are measured.
        fitted: images of the train and validation split that linear maps are fitted to.
        centre: their mean.
        covariance: of the training images.
        axes: directions, scaled so that the centred fitted images along them have orthonormal columns.
    """

    examples: Examples
    images: Split
    fitted: Float[Tensor, "fitted ..."]
    centre: Float64[Tensor, " pixels"]
    covariance: Float64[Tensor, "pixels pixels"]
    axes: Float64[Tensor, "pixels rank"]

    @classmethod
    def of(cls, examples: Examples) -> "Pixels":
        """Those of a data set."""
        fitted = torch.cat([examples.train.inputs, examples.validation.inputs])[:FITTED]
        values = fitted.flatten(1).double()
        moments = (values - values.mean(0)).T @ (values - values.mean(0))
        squares, directions = symmetric_eigh(moments)
        there = squares > 1e-12 * len(squares) * squares[0]
        return cls(
            examples,
            Split(examples.test.inputs[:IMAGES], examples.test.targets[:IMAGES]),
            fitted,
            values.mean(0),
            examples.train.inputs.flatten(1).double().T.cov(),
            directions[:, there] / squares[there].sqrt(),
        )


def seen(found: Found) -> Seen:
    """Traits of every net with one hidden layer; each data set is read once."""
    data: dict[str, Pixels] = {}

    def of(record: Record) -> Traits:
        told = str(record.run["data"])
        if told not in data:
            data[told] = Pixels.of(parts.read("datasets", told)())
        return traits(record, data[told])

    shallow = {arm: records for arm, records in found.records.items() if arm.startswith("shallow ")}
    return {arm: {seed: of(record) for seed, record in sorted(records.items())} for arm, records in shallow.items()}


def traits(record: Record, pixels: Pixels) -> Traits:
    """A record's, its model rebuilt from its weights."""
    examples, images = pixels.examples, pixels.images
    model, held = model_of(record, examples), named_curve(record)
    lead = margins(model, images)
    first = signed_distances(model, images.inputs, images.targets, "Linf").values
    broken = held.worst()[held.epsilons.index(EPSILON)]
    distances = torch.full((len(broken),), math.inf) if held.distances is None else held.distances
    measured = {str(row["quantity"]): float(row["value"]) for row in record.measurement.rows}
    return Traits(
        robust=int((~broken).sum()),
        attacked=len(broken),
        clean=accuracy(record),
        distance=float(distances.median()),
        margin=float(lead.median()),
        slope=float((lead / first)[lead != 0].median()),
        saturated=saturated(model, images.inputs),
        moved=moved(record, model, examples),
        aligned=aligned(weights_of(model), pixels.covariance),
        linear=linear(model, pixels),
        alpha=exponent(record),
        n90=measured["rank_at_90_percent"],
        participation=measured["participation_ratio"],
    )


def exponent(record: Record) -> float:
    """α of the hidden layer: the record's, or, where ranks ran out for that, over those from 11 on that there are."""
    own = alpha("hidden1")(record)
    if math.isfinite(own):
        return own
    return LeastSquares(11, record.measurement.spectra["hidden1"].units - 1, "none")(
        record.measurement.spectra["hidden1"]
    ).alpha


def named_curve(record: Record) -> RobustnessCurve:
    """The curve of the named attack: of its own where the headline is another, else the headline."""
    curves = record.measurement.curves
    return curves["named"] if "named" in curves else curves["headline"]


def saturated(model: nn.Module, inputs: Float[Tensor, "inputs ..."]) -> float:
    """Share of the values of the first hidden layer's tanh beyond .99 in size; NaN if it is another activation."""
    layer = "hidden1.activation"
    if not isinstance(model.get_submodule(layer), nn.Tanh):
        return math.nan
    with left_as_found(model), torch.no_grad():
        values = hidden_of(model, inputs, [layer])[1][layer]
    return float((values.abs() > BEYOND).double().mean())


def moved(record: Record, model: nn.Module, examples: Examples) -> float:
    """‖W − W₀‖ / ‖W₀‖ of the first hidden layer's weights."""
    made = parts.read("architectures", str(record.run["architecture"]))
    begun = made(examples, torch.Generator().manual_seed(int(record.run["seed"])))
    start, end = weights_of(begun), weights_of(model)
    return float((end - start).norm() / start.norm())


def weights_of(model: nn.Module) -> Float64[Tensor, "units pixels"]:
    """Weights of the first hidden layer."""
    return model.get_parameter("hidden1.transform.weight").detach().double()


def aligned(weights: Float64[Tensor, "units pixels"], covariance: Float64[Tensor, "pixels pixels"]) -> float:
    """Σ wᵀΣw / Σ ‖w‖²: between the smallest and the largest eigenvalue of the pixels' covariance."""
    return float(((weights @ covariance) * weights).sum() / weights.square().sum())


def linear(model: nn.Module, pixels: Pixels) -> float:
    """Share of the tail's variance that least squares of the pixels explain, fitted to some images, tried on others.

    The tail is what the hidden layer varies by beyond its first 11 principal axes over the images of the fit.
    """
    with left_as_found(model), torch.no_grad():
        known, other = (
            hidden_of(model, some, ["hidden1"])[1]["hidden1"].double() for some in (pixels.fitted, pixels.images.inputs)
        )
    along, along_others = (
        (some.flatten(1).double() - pixels.centre) @ pixels.axes for some in (pixels.fitted, pixels.images.inputs)
    )
    centre = known.mean(0)
    _, axes = symmetric_eigh((known - centre).T @ (known - centre))
    known, other = (known - centre) @ axes[:, FREE:], (other - centre) @ axes[:, FREE:]
    missed = other - along_others @ (along.T @ known)
    return float(1 - missed.var(0).sum() / other.var(0).sum())
