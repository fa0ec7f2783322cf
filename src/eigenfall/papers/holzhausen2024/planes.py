"""How steep hidden layers are: on one plane, as published, and over test images, as it should be told (§6.3, §7.5).

published   ‖J‖_F of a on the plane x₀ + ξ₁û + ξ₂v̂, ξ within ±20: one image, one plane; middle of its range
corrected   the median of ‖J‖_F over test images
"""

import math
from functools import lru_cache

import torch

from eigenfall import parts
from eigenfall.hiddenlandscapes import HiddenLandscape, hidden_landscape
from eigenfall.models import model_of
from eigenfall.papers.holzhausen2024.found import Number
from eigenfall.planes import random_planes
from eigenfall.types import Examples, Record

REACH = 20.0
STEPS = 25
"""Places along each side; the paper's map has 100, which changes the range of so smooth a map by little."""


@lru_cache(maxsize=2)
def examples_of(data: str) -> Examples:
    """A record's data, read once."""
    return parts.read("datasets", data)()


def landscape(record: Record, steps: int = STEPS) -> HiddenLandscape:
    """The plane through the first test image, along directions that depend on the seed alone."""
    examples = examples_of(str(record.run["data"]))
    generator = torch.Generator().manual_seed(int(record.run["seed"]))
    (plane,) = random_planes(examples.test.inputs[:1], generator)
    return hidden_landscape(model_of(record, examples), plane, REACH, steps)


def on_plane(record: Record) -> float:
    """Geometric middle of the range of ‖J‖_F on the plane."""
    norms = landscape(record).norms
    return math.sqrt(float(norms.min()) * float(norms.max()))


def at_images(record: Record) -> float:
    """Median of ‖J‖_F over test images."""
    return float(record.measurement.smoothness["hidden1"].values.median())


STEEPNESS: dict[str, Number] = {"published": on_plane, "corrected": at_images}
