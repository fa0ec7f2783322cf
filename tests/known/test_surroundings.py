"""Corrupted images and random planes: which are taken, which refused, and how far planes reach."""

from dataclasses import replace

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.attacks.pgd import PGD
from eigenfall.corruptions.fog import Fog
from eigenfall.corruptions.saturate import Saturate
from eigenfall.distances import survivals
from eigenfall.landscapes import has_room, landscape, summary
from eigenfall.planes import random_planes
from eigenfall.plans import Plan
from eigenfall.robustness import corruption_curve, robustness
from eigenfall.smoothness.distance import signed_distances
from eigenfall.stages import consumed
from eigenfall.surroundings import (
    NORMS_EVERY,
    SIDE,
    corruptions_for,
    exploring,
    need_surroundings,
    planes_through_first,
    spoiling,
)
from eigenfall.types import LpBall, Split


class Bright(nn.Module):
    """Two classes: whether the mean is above a half."""

    def __init__(self, slope=1.0):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, inputs):
        above = self.slope * (inputs.flatten(1).mean(1) - 0.5)
        return torch.stack([-above, above], 1)


def images(count=12, low=0.0, high=1.0, side=8, channels=1):
    drawn = low + (high - low) * torch.rand(count, channels, side, side, generator=seeded(0))
    return Split(drawn, (drawn.flatten(1).mean(1) > 0.5).long())


# ---------------------------------------------------------------------------- corruptions


def test_a_plans_corruptions_are_those_of_the_same_curve():
    plan = Plan(corruptions=(Fog(), Fog(strengths=(0.1, 0.2, 0.3, 0.4, 0.5))), seed=3)
    found = consumed(spoiling(Bright(), images(), plan))
    alone = corruption_curve(Bright(), {"fog": plan.corruptions[0], "fog#2": plan.corruptions[1]}, images(), seeded(3))
    assert found["corruptions"].corruptions == alone.corruptions
    assert torch.equal(found["corruptions"].correct, alone.correct)
    assert found["rows"][-1]["value"] == pytest.approx(float(alone.correct.double().mean()))
    assert found["notices"] == []


def test_of_all_corruptions_those_are_taken_that_take_the_images():
    grey, told = corruptions_for(Plan(corruptions=None), images().inputs)
    coloured, none = corruptions_for(Plan(corruptions=None), images(channels=3).inputs)
    assert set(coloured) - set(grey) == {"saturate"}
    assert len(coloured) == 17
    assert none == []
    (notice,) = told
    assert notice == f"saturate: left out of all corruptions. {refusal(Saturate(), images().inputs, 1, seeded(0))}"


def test_a_corruption_that_was_named_is_refused_in_its_own_words():
    said = refusal(need_surroundings, Plan(corruptions=(Fog(), Saturate())), images().inputs)
    assert said == refusal(Saturate(), images().inputs, 1, seeded(0))


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        (torch.ones(3, 20), "inputs of shape (20,) from 1 to 1"),
        (2 * torch.ones(3, 1, 8, 8), "inputs of shape (1, 8, 8) from 2 to 2"),
        (-torch.ones(3, 1, 8, 8), "inputs of shape (1, 8, 8) from -1 to -1"),
    ],
)
def test_inputs_that_are_no_images_are_refused_before_anything_runs(inputs, got):
    assert refusal(need_surroundings, Plan(corruptions=None), inputs) == (
        f"Expected images (channels, height, width) in [0, 1] to corrupt, got {got}. Leave corruptions out, or put the "
        "normalisation inside the model and give images in [0, 1]."
    )
    need_surroundings(Plan(), inputs)


def test_neither_has_a_place_without_classes():
    for plan in (Plan(planes=3), Plan(corruptions=(Fog(),))):
        assert refusal(need_surroundings, plan, None) == (
            "Expected inputs with their classes, for corruptions and planes, got no classes. Give targets, or leave "
            "corruptions and planes out."
        )


def test_planes_that_cannot_be_are_refused():
    assert refusal(Plan, planes=-1) == "Expected at least 0 as planes, got -1. Leave it out for the default, 0."
    for extent in (0.0, -1.0, float("nan"), float("inf")):
        assert refusal(Plan, planes=3, plane_extent=extent) == (
            f"Expected a plane extent above 0, got {extent}. Leave it out for three median critical distances of the "
            "model's own."
        )


# -------------------------------------------------------------------------------- planes


def explored(model, examples, plan, bounds=(0.0, 1.0), curve=None):
    return consumed(exploring(model, examples, plan, bounds, curve))


def test_planes_are_decided_by_seed_and_images():
    first = planes_through_first(images().inputs, 5, 7)
    for plane, alone in zip(first, random_planes(images().inputs[:5], seeded(7)), strict=True):
        assert torch.equal(plane.first, alone.first)
        assert torch.equal(plane.second, alone.second)
    more = planes_through_first(images().inputs[:4], 10, 7)
    assert [plane.base for plane in more] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert not torch.equal(more[0].first, more[4].first)


def test_two_models_are_looked_at_on_the_same_planes():
    gentle, steep = (explored(Bright(slope), images(), Plan(planes=4)) for slope in (1.0, 5.0))
    for name in ("origin", "first", "second"):
        assert torch.equal(getattr(gentle["landscape"].plane, name), getattr(steep["landscape"].plane, name))


def test_the_summary_is_that_of_the_landscapes():
    plan = Plan(planes=6, plane_extent=0.3, seed=2)
    found = explored(Bright(), images(low=0.3, high=0.7), plan)
    alone = [
        landscape(Bright(), plane, 0.3, SIDE, (0.0, 1.0), NORMS_EVERY)
        for plane in planes_through_first(images(low=0.3, high=0.7).inputs, 6, 2)
    ]
    told = found["landscapes"]
    assert told == replace(summary(alone, seeded(2)), extent_of="as asked", masked=True)
    assert (told.planes, told.images, told.extent, told.left_out) == (6, 6, pytest.approx(0.3), 0)
    assert torch.equal(found["landscape"].classes, alone[0].classes)
    rows = {row["quantity"]: row for row in found["rows"]}
    assert rows["landscape_base_share"]["extent"] == pytest.approx(0.3)
    assert rows["landscape_base_share"]["bounds"] == "masked"
    assert found["notices"] == []


def test_planes_reach_three_median_critical_distances():
    some = images()
    curve = robustness(Bright(), {"pgd": PGD(steps=20)}, some, LpBall("L2"), (0.1, 0.5, 3.0), seeded(0))
    told = explored(Bright(), some, Plan(planes=3), curve=curve)["landscapes"]
    assert told.extent == pytest.approx(3 * survivals(curve)["L2", "pixel"].quantile(0.5)[0])
    assert told.extent_of == "3 × the median critical distance"


def test_without_an_l2_distance_they_reach_three_median_first_order_distances():
    some = images()
    linf = robustness(Bright(), {"pgd": PGD(steps=5)}, some, LpBall("Linf"), (0.1,), seeded(0))
    first = signed_distances(Bright(), some.inputs[:3], some.targets[:3]).values.abs().median()
    for curve in (None, linf):
        told = explored(Bright(), some, Plan(planes=3), curve=curve)["landscapes"]
        assert told.extent == pytest.approx(3 * float(first))
        assert told.extent_of == "3 × the median first-order distance"


def test_where_no_distance_is_known_they_reach_a_tenth_of_the_range():
    told = explored(Bright(slope=0.0), images(), Plan(planes=3), bounds=(-1.0, 1.0))["landscapes"]
    assert told.extent == pytest.approx(2 * 8 / 10)
    assert told.extent_of == "a tenth of the inputs’ range, as no distance was known"


def test_nothing_is_masked_where_images_touch_their_bounds():
    black = images()
    black.inputs[:, :, 0] = 0
    plane = random_planes(black.inputs[:1], seeded(0))[0]
    assert not has_room(plane, 0.3, SIDE, (0.0, 1.0))
    assert has_room(plane, 0.3, SIDE, None)
    found = explored(Bright(), black, Plan(planes=3, plane_extent=0.3))
    assert found["notices"] == [
        "Planes: places outside the bounds count as well, since 3 of 3 planes leave them at once: their images touch "
        "the bounds."
    ]
    assert not found["landscapes"].masked
    assert_close(found["landscape"].area, 0.36, rtol=1e-9, atol=0)
    unbounded = explored(Bright(), black, Plan(planes=3, plane_extent=0.3), bounds=None)
    assert unbounded["notices"] == []


def test_a_measured_model_is_left_as_it_was():
    model = Bright().train()
    explored(model, images(), Plan(planes=2))
    assert model.training
    assert model.slope.grad is None
