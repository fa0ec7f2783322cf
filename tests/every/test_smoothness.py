"""What every measure of smoothness must do; a new file in the folder is under test the moment it exists."""

import copy
import dataclasses
import math
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.parts import attributes, names, part_class, presets, read, spell

NAMES = names("smoothness")
LAYERS = ("1", "3", "outputs")


@pytest.fixture(params=NAMES)
def part(request):
    return part_class("smoothness", request.param)()


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        modules = (nn.Conv2d(1, 3, 3), nn.Tanh(), nn.BatchNorm2d(3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(27, 4))
        return nn.Sequential(*modules).double()


def images(count=8):
    return torch.rand(count, 1, 5, 5, generator=seeded(1), dtype=torch.float64)


@pytest.mark.parametrize("layer", LAYERS)
def test_what_a_measure_carries(part, layer, model):
    found = part(model, images(), layer, seeded(0))
    assert found.values.shape == (8,)
    assert found.values.dtype == torch.float64
    assert found.values.device.type == "cpu"
    assert torch.isfinite(found.values).all()
    assert found.scaling == "logarithmic" or (found.values >= 0).all()
    assert (found.ranks is not None) == (found.scaling == "logarithmic")
    assert found.scale > 0
    assert (found.layer, bool(found.quantity), bool(found.method)) == (layer, True, True)


def test_the_same_generator_gives_the_same(part, model):
    assert torch.equal(*(part(model, images(), "outputs", seeded(2)).values for _ in range(2)))


def test_the_model_is_left_as_it_was_found(part, model):
    model.train()
    before, at = copy.deepcopy(model.state_dict()), images()
    kept = at.clone()
    part(model, at, "3", seeded(0))
    assert model.training
    assert torch.equal(at, kept)
    assert not at.requires_grad
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_inputs_do_not_see_each_other(part, model):
    together = part(model, images(), "outputs", seeded(0)).values
    assert_close(part(model, images()[:1], "outputs", seeded(0)).values, together[:1], rtol=1e-10, atol=0)


def test_doubling_the_outputs_scales_value_and_scale(part, model):
    found = part(model, images(), "outputs", seeded(0))
    model[5].weight.data *= 2
    model[5].bias.data *= 2
    doubled = part(model, images(), "outputs", seeded(0))
    truth = {
        "proportional": lambda: 2 * found.values,
        "logarithmic": lambda: found.values + found.ranks.double() * math.log(2),
        "free": lambda: found.values,
    }
    assert_close(doubled.values, truth[found.scaling]())
    assert doubled.scale == pytest.approx(2 * found.scale)
    assert_close(doubled.relative, found.relative)


@pytest.mark.parametrize("layer", LAYERS)
def test_chunks_change_nothing(part, layer, model):
    whole = part(model, images(), layer, seeded(0))
    for chunk_size in (1, 7):
        pieces = dataclasses.replace(part, chunk_size=chunk_size)(model, images(), layer, seeded(0))
        assert_close(pieces.values, whole.values, rtol=1e-6, atol=1e-9)
        assert pieces.scale == pytest.approx(whole.scale, rel=1e-9)


def test_no_inputs_and_no_room_are_refused(part, model):
    assert (
        refusal(part, model, images()[:0], "outputs", seeded(0)) == "Expected at least one input, got none. Give some."
    )
    for settings in ({"chunk_size": 0}, {"memory": 0.0}):
        assert refusal(dataclasses.replace, part, **settings).startswith("Expected ")


def test_what_cannot_be_measured_is_refused_in_the_house_form(part, model):
    with pytest.raises(ValueError, match=r"^Expected .+, got .+\. .+\.$"):
        part(model, images(), "nowhere", seeded(0))
    model[5].weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"^Expected .+, got .+\. .+\.$"):
        part(model, images(), "outputs", seeded(0))


@pytest.mark.parametrize("name", NAMES)
def test_a_part_is_frozen_spelt_and_documented(name):
    for made in (part_class("smoothness", name)(), *presets("smoothness", name).values()):
        assert read("smoothness", spell(made)) == made
        with pytest.raises(FrozenInstanceError):
            setattr(made, fields(made)[0].name, None)
    assert all(words for _, _, words in attributes("smoothness", name))
    assert part_class("smoothness", name).cite
