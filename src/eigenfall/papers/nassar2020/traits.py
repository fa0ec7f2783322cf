"""What a shallow net is like beside how robust it is: everything that may stand between a setting and robustness.

    distance = (margin / slope) · bend        medians over test images

    margin      target's logit less the largest other
    slope       ‖∇ₓ(z_y − z_j)‖₁ of the runner-up j: how fast an L∞ step takes that margin away, to first order
    distance    smallest L∞ perturbation that the named attack finds
    bend        what is left: 1 for a net that is linear on the way

    saturated   share of values of tanh beyond .99 in size
    moved       ‖W − W₀‖ / ‖W₀‖ of the hidden layer's weights, W₀ what its seed began with

Rebuilt from the record's weights; nothing is trained or attacked here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall import parts
from eigenfall.activations import margins
from eigenfall.layers import hidden_of, left_as_found
from eigenfall.models import model_of
from eigenfall.papers.found import accuracy, alpha
from eigenfall.papers.nassar2020.found import Found
from eigenfall.smoothness.distance import signed_distances
from eigenfall.types import Examples, Record, RobustnessCurve, Split

EPSILON = 0.05
BEYOND = 0.99
IMAGES = 500


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


def seen(found: Found) -> Seen:
    """Traits of every shallow net with one hidden layer; each data set is read once."""
    data: dict[str, Examples] = {}

    def of(record: Record) -> Traits:
        told = str(record.run["data"])
        if told not in data:
            data[told] = parts.read("datasets", told)()
        return traits(record, data[told])

    shallow = {arm: records for arm, records in found.records.items() if arm.startswith("shallow ")}
    return {arm: {seed: of(record) for seed, record in sorted(records.items())} for arm, records in shallow.items()}


def traits(record: Record, examples: Examples) -> Traits:
    """A record's, its model rebuilt from its weights."""
    model, held = model_of(record, examples), named_curve(record)
    images = Split(examples.test.inputs[:IMAGES], examples.test.targets[:IMAGES])
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
        alpha=alpha("hidden1")(record),
        n90=measured["rank_at_90_percent"],
        participation=measured["participation_ratio"],
    )


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
    name = "hidden1.transform.weight"
    start, end = (one.get_parameter(name).detach().double() for one in (begun, model))
    return float((end - start).norm() / start.norm())
