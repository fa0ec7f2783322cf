import copy
import dataclasses
import math

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.landscapes import landscape, summary
from eigenfall.planes import adversarial_planes, planes_through, random_planes
from eigenfall.types import Plane


def flat(width=2, **settings):
    """The plane of the first two input values, through 0."""
    eye = torch.eye(width, dtype=torch.float64)
    return Plane(torch.zeros(width, dtype=torch.float64), eye[0], eye[1], **settings)


class Half(nn.Module):
    """Class 1 beyond a straight line at a distance from 0, in a direction."""

    def __init__(self, angle, distance=0.3):
        super().__init__()
        self.distance = distance
        self.way = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)

    def forward(self, x):
        lead = x @ self.way - self.distance
        return torch.stack((-lead, lead), 1)


class Ring(nn.Module):
    """Class 0 inside a circle, 1 around it, 2 beyond a second one."""

    def __init__(self, near=0.5, far=math.inf):
        super().__init__()
        self.near, self.far = near, far

    def forward(self, x):
        r = x.norm(dim=1)
        return torch.stack((self.near - r, torch.zeros_like(r), r - self.far if self.far < 9 else r * 0 - 1), 1)


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4, 2.0])
def test_a_straight_line_has_its_own_length_and_cuts_two_regions(angle):
    found = landscape(Half(angle), flat(), extent=1.0, side=21, bounds=None)
    ends = []
    for t in torch.linspace(-3, 3, 600_001, dtype=torch.float64)[None]:
        x, y = 0.3 * math.cos(angle) - t * math.sin(angle), 0.3 * math.sin(angle) + t * math.cos(angle)
        inside = t[(x.abs() <= 1) & (y.abs() <= 1)]
        ends = [float(inside.min()), float(inside.max())]
    assert found.boundary == pytest.approx(ends[1] - ends[0], rel=1e-4)
    assert found.area == pytest.approx(4)
    assert (found.regions, found.base_class) == (2, 0)


def test_the_length_of_a_circle_converges_with_the_square_of_the_spacing():
    errors = []
    for side in (21, 41, 81):
        found = landscape(Ring(), flat(), extent=1.0, side=side, bounds=None)
        errors.append(abs(found.boundary / math.pi - 1))
    assert errors[0] < 0.01
    assert errors[2] < errors[0] / 10
    assert found.base_share == pytest.approx(math.pi / 4 / 4, rel=0.01)
    assert found.regions == 2


def test_regions_are_counted_by_piece():
    class Stripes(nn.Module):
        def forward(self, x):
            return torch.stack((torch.sin(8 * x[:, 0]), 0 * x[:, 0]), 1)

    found = landscape(Stripes(), flat(), extent=1.0, side=81, bounds=None)
    assert found.regions == 6  # crossings of sin 8x at −π/4, −π/8, 0, π/8, π/4 lie inside
    assert found.boundary == pytest.approx(5 * 2, rel=1e-3)
    nested = landscape(Ring(0.4, 0.8), flat(), extent=1.0, side=81, bounds=None)
    assert nested.regions == 1 + 1 + 1
    assert nested.boundary == pytest.approx(2 * math.pi * 1.2, rel=0.01)


def test_three_regions_meet_in_a_point():
    class Thirds(nn.Module):
        def forward(self, x):
            angles = torch.tensor([0.1, 0.1 + 2 * math.pi / 3, 0.1 - 2 * math.pi / 3], dtype=torch.float64)
            return x @ torch.stack((angles.cos(), angles.sin()))

    found = landscape(Thirds(), flat(), extent=1.0, side=41, bounds=None)
    edges = [0.1 + math.pi / 3, 0.1 - math.pi / 3, 0.1 + math.pi]
    truth = sum(1 / max(abs(math.cos(edge)), abs(math.sin(edge))) for edge in edges)
    assert found.regions == 3
    assert found.boundary == pytest.approx(truth, rel=0.01)


def test_what_is_outside_the_box_counts_nowhere():
    plane = Plane(torch.full((2,), 0.25, dtype=torch.float64), *torch.eye(2, dtype=torch.float64))
    found = landscape(Half(0.0, 0.325), plane, extent=1.0, side=41, bounds=(0.0, 1.0))
    whole = found.along >= -0.25
    inside = whole & (found.along <= 0.75)
    assert torch.equal(found.inside, inside[:, None] & inside[None])
    assert found.area == pytest.approx(1.0)
    assert found.boundary == pytest.approx(1.0)
    assert found.base_share == pytest.approx(0.325)
    assert found.regions == 2


def test_norms_are_those_of_the_logits_on_a_coarser_grid_around_the_middle():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3)).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=seeded(5), dtype=torch.float64)
    kept = copy.deepcopy(model.state_dict())
    found = landscape(model, flat(), extent=1.0, side=9, bounds=(-0.6, 0.6), norms_every=2)
    assert found.norms.shape == (5, 5)
    assert torch.isnan(found.norms).sum() == 25 - 9
    truth = torch.autograd.functional.jacobian(model, torch.tensor([0.5, -0.5], dtype=torch.float64)).norm()
    assert found.norms[1, 3] == pytest.approx(float(truth))  # ξ₂ = −.5 by rows, ξ₁ = .5 by columns
    known = found.norms[torch.isfinite(found.norms)]
    assert found.norm_spread == pytest.approx(float(known.std() / known.mean()))
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


# ------------------------------------------------------------------------------- planes


def images(count=5):
    return torch.rand(count, 1, 4, 4, generator=seeded(1))


def assert_orthonormal(plane):
    for one, other, truth in ((plane.first, plane.first, 1), (plane.first, plane.second, 0),
                              (plane.second, plane.second, 1)):  # fmt: skip
        assert float((one * other).sum()) == pytest.approx(truth, abs=1e-6)


def test_planes_of_every_kind_are_orthonormal_and_the_same_for_the_same_generator():
    moved = images() + 0.1 * images().roll(1, 0)
    for made in (
        lambda: random_planes(images(), seeded(0), each=2),
        lambda: adversarial_planes(images(), moved, seeded(0), each=2),
        lambda: planes_through(images(), seeded(0), 10),
    ):
        planes, again = made(), made()
        assert len(planes) == 10
        for plane, other in zip(planes, again):
            assert_orthonormal(plane)
            assert torch.equal(plane.origin, images()[plane.base])
            assert torch.equal(plane.second, other.second)
        assert not torch.equal(planes[0].second, planes[1].second)


def test_marks_are_where_the_plane_was_put_through():
    moved = images() + 0.1
    plane = adversarial_planes(images(), moved, seeded(0))[2]
    assert_close(plane.marks, torch.tensor([[0.4, 0.0]]).double(), rtol=0, atol=1e-6)
    plane = planes_through(images(), seeded(0), 1)[0]
    for mark in plane.marks:
        there = plane.origin + mark[0] * plane.first + mark[1] * plane.second
        assert float((images() - there.float()).flatten(1).norm(dim=1).min()) < 1e-5


def test_planes_that_are_none_are_refused():
    line = "Expected a plane: two different directions, got a line or a point. "
    remedy = "Leave out images that no attack moved, and images given twice."
    assert refusal(adversarial_planes, images(), images(), seeded(0)) == line + remedy
    assert refusal(planes_through, images()[:1].expand(3, -1, -1, -1), seeded(0), 1) == line + remedy
    assert refusal(planes_through, images(2), seeded(0), 1) == (
        "Expected three images or more, got 2. Give more of them."
    )
    assert refusal(adversarial_planes, images(), images(4), seeded(0)) == (
        "Expected a perturbed input for each image, shape (5, 1, 4, 4), got (4, 1, 4, 4). "
        "Give what the attack proposed for these images."
    )


# ------------------------------------------------------------------------------ numbers


def rings(images, twice=()):
    """Rings of growing radius, each around a base image of its own; those named twice have two planes."""
    bases = [base for base in range(images) for _ in range(1 + (base in twice))]
    radii = [0.2 + 0.05 * place for place in range(len(bases))]
    return [landscape(Ring(radius), flat(base=base), 1.0, side=21, bounds=None) for base, radius in zip(bases, radii)]


def test_a_summary_is_the_mean_over_planes_with_intervals_over_images():
    shapes = rings(12, twice=(0,))
    found = summary(shapes, seeded(0))
    assert (found.planes, found.images, found.kind, found.left_out) == (13, 12, "random", 0)
    assert found.boundary_per_area.value == pytest.approx(sum(one.boundary / 4 for one in shapes) / 13)
    assert found.base_share.value == pytest.approx(sum(one.base_share for one in shapes) / 13)
    assert found.regions.value == 2
    assert (found.regions.low, found.regions.high) == (2, 2)
    assert found.base_share.low < found.base_share.value < found.base_share.high
    assert math.isnan(found.norm_spread.value)


def test_planes_of_one_image_are_no_more_certain_than_the_image():
    shapes = rings(12)
    once, often = summary(shapes, seeded(0)).base_share, summary(shapes * 20, seeded(0)).base_share
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_few_images_give_no_interval():
    found = summary(rings(3), seeded(0)).base_share
    assert math.isfinite(found.value)
    assert math.isnan(found.low)


def test_what_cannot_be_summed_up_or_drawn_is_refused():
    one = landscape(Ring(), flat(), 1.0, side=5, bounds=None)
    other = dataclasses.replace(one, plane=flat(kind="images"))
    assert refusal(summary, [one, other], seeded(0)) == (
        "Expected landscapes on planes of one kind, got images and random. Summarise each kind apart."
    )
    assert refusal(summary, [dataclasses.replace(one, area=0.0)], seeded(0)) == (
        "Expected a plane with some area inside the bounds, got none of 1. Take a smaller extent."
    )
    assert refusal(landscape, Ring(), flat(), 1.0, side=4) == (
        "Expected an extent above 0, an odd side of at least 3, and norms_every of 0 or more, "
        "got extent=1.0, side=4, norms_every=0. Use side=41 and norms_every=5."
    )
    assert refusal(landscape, Ring(), flat(), 1.0, side=5, bounds=(0.5, 1.0)) == (
        "Expected a base image inside (0.5, 1.0), got values from 0 to 0. Give the bounds that the images have, or "
        "none."
    )
    assert refusal(landscape, nn.Linear(2, 1).double(), flat(), 1.0, side=5, bounds=None) == (
        "Expected finite logits of two classes or more, got outputs of shape (25, 1), 0 of them not finite. "
        "Give a classifier."
    )
