"""Planes of inputs x₀ + ξ₁u + ξ₂v, drawn before any model is asked, so that models are compared on the same ones.

    ‖u‖ = ‖v‖ = 1,   u ⊥ v:   both random; to an adversarial input, and random; through three images

Source: Somepalli et al. 2022, arXiv:2203.08124, for planes through three images.
Differs from the source: u and v are made orthonormal, so that lengths on the plane are those of the input.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.types import Plane


def random_planes(images: Float[Tensor, "images ..."], generator: torch.Generator, each: int = 1) -> tuple[Plane, ...]:
    """Planes through each image in two random orthogonal directions.

    Args:
        images: base images.
        generator: of the directions.
        each: how many planes through each image.
    """
    return tuple(
        _plane(image, _normal(image, generator), _normal(image, generator), base, "random")
        for base, image in enumerate(images)
        for _ in range(each)
    )


def adversarial_planes(
    images: Float[Tensor, "images ..."],
    perturbed: Float[Tensor, "..."],
    generator: torch.Generator,
    each: int = 1,
) -> tuple[Plane, ...]:
    """Planes through each image and what an attack made of it, the other direction random; ξ₁ > 0 is towards the
    attack.

    Args:
        images: base images.
        perturbed: adversarial inputs, one for each.
        generator: of the other directions.
        each: how many planes through each image.

    Raises:
        ValueError: if an adversarial input is its image.
    """
    _need_pairs(images, perturbed)
    return tuple(
        _plane(image, moved - image, _normal(image, generator), base, "adversarial", (moved,))
        for base, (image, moved) in enumerate(zip(images, perturbed))
        for _ in range(each)
    )


def planes_through(images: Float[Tensor, "images ..."], generator: torch.Generator, count: int) -> tuple[Plane, ...]:
    """Planes through three different images, drawn at random; x₀ is the first, ξ₁ > 0 is towards the second.

    Args:
        images: to draw from.
        generator: of the draws.
        count: how many planes.

    Raises:
        ValueError: for fewer than three images, or three that lie on a line.
    """
    need(len(images) >= 3, expected="three images or more", got=f"{len(images)}", remedy="Give more of them.")
    planes = []
    for _ in range(count):
        drawn = torch.randperm(len(images), generator=generator, device=generator.device)[:3].tolist()
        first, second, third = (images[place] for place in drawn)
        planes.append(_plane(first, second - first, third - first, drawn[0], "images", (second, third)))
    return tuple(planes)


def places(
    plane: Plane, right: Float64[Tensor, " places"], up: Float64[Tensor, " places"]
) -> Float[Tensor, "places ..."]:
    """Inputs x₀ + ξ₁u + ξ₂v of a plane, in its own precision.

    Args:
        plane: where.
        right: ξ₁ of each place.
        up: ξ₂ of each place.
    """
    shape = (-1, *[1] * plane.origin.ndim)
    right, up = right.reshape(shape).to(plane.origin.device), up.reshape(shape).to(plane.origin.device)
    return (plane.origin.double() + right * plane.first.double() + up * plane.second.double()).to(plane.origin)


def plane_points(
    base: Float[Tensor, "..."], generator: torch.Generator, extent: float = 20.0, steps: int = 100
) -> Float[Tensor, "steps steps ..."]:
    """The whole grid x₀ + ξ₁u + ξ₂v, ξ₂ by rows and ξ₁ by columns, on a random plane: 123 MB for 100 × 100 of CIFAR.

    Args:
        base: x₀, one input.
        generator: of the directions, as `random_planes` draws them.
        extent: ξ₁ and ξ₂ go from −extent to extent, in input units (L2).
        steps: places along each.

    Raises:
        ValueError: if the extent is not above 0, or there are fewer than two steps.
    """
    need(
        extent > 0 and steps >= 2,
        expected="an extent above 0 and 2 steps or more",
        got=f"extent={extent:g}, steps={steps}",
        remedy="Holzhausen et al. use 20 and 100.",
    )
    (plane,) = random_planes(base[None], generator)
    along = torch.linspace(-extent, extent, steps, dtype=torch.float64)
    return torch.stack([places(plane, along, row.expand(steps)) for row in along])


def _normal(image: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(image.shape, generator=generator, device=generator.device, dtype=torch.float64)
    return drawn.to(image.device)


def _need_pairs(images: Tensor, perturbed: Tensor) -> None:
    need(
        images.shape == perturbed.shape,
        expected=f"a perturbed input for each image, shape {tuple(images.shape)}",
        got=f"{tuple(perturbed.shape)}",
        remedy="Give what the attack proposed for these images.",
    )


def _plane(origin: Tensor, first: Tensor, second: Tensor, base: int, kind: str, marked: Sequence[Tensor] = ()) -> Plane:
    """The plane, its directions made orthonormal in float64 (Gram and Schmidt's second direction is made so twice)."""
    start = origin.double()
    u = first.double()
    u = u / u.norm().clamp_min(1e-300)
    v = second.double()
    for _ in range(2):
        v = v - (u * v).sum() * u
    need(
        float(u.norm()) > 0.5 and float(v.norm()) > 1e-9 * max(1.0, float(second.double().norm())),
        expected="a plane: two different directions",
        got="a line or a point",
        remedy="Leave out images that no attack moved, and images given twice.",
    )
    v = v / v.norm()
    v = v - (u * v).sum() * u
    places = [[float(((one.double() - start) * way).sum()) for way in (u, v)] for one in marked]
    marks = torch.tensor(places, dtype=torch.float64) if places else None
    return Plane(origin, u.to(origin), v.to(origin), base, kind, marks)
