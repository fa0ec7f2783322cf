"""Random features, and training images as weights: what learns nothing, exactly."""

import math

import pytest
import torch
from exact import refusal, seeded
from torch.testing import assert_close

from eigenfall.rules.images import Images
from eigenfall.rules.random import PRESETS, Random
from eigenfall.types import Progress

NOW = Progress(0, 10, 0, 5)
LATER = Progress(3, 10, 1, 5)


def test_weights_are_the_generators_own_draws():
    drawn = torch.randn(3, 16, generator=seeded(4))
    assert torch.equal(Random(gain=2.0).start(16, 3, [seeded(4)]).weights[0], 0.5 * drawn)
    sphere = Random("sphere", gain=2.0).start(16, 3, [seeded(4)]).weights[0]
    assert_close(sphere, 2 * drawn / drawn.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("part", [Random(), PRESETS["holzhausen2024"]], ids=str)
def test_rows_are_as_long_as_the_gain_in_the_mean_square(part):
    weights = part.start(400, 300, [seeded(0)]).weights[0].double()
    expected = part.gain**2
    assert float(weights.square().sum(1).mean()) == pytest.approx(expected, abs=4 * expected * math.sqrt(2 / 120_000))
    assert float(weights.mean()) == pytest.approx(0, abs=4 * part.gain / math.sqrt(400 * 120_000))


def test_the_preset_is_the_untrained_layer_of_the_study():
    """Variance 2/inputs, so that ‖W‖² is about 4 000 with 2 000 units."""
    weights = PRESETS["holzhausen2024"].start(3072, 2000, [seeded(0)]).weights
    assert float(weights.double().square().sum()) == pytest.approx(4000, rel=0.01)


def test_nothing_is_learnt():
    state = Random().start(6, 4, [seeded(0), seeded(1)])
    before = state.weights.clone()
    after = Random()(state, torch.ones(2, 5, 6), NOW, [])
    assert torch.equal(after.weights, before)


def test_a_gain_of_nothing():
    assert refusal(Random, gain=0.0) == "Expected gain above 0, got 0. Leave it out for the default."


def test_units_are_the_first_images_each_once():
    images = torch.rand(2, 10, 6, generator=seeded(0))
    state = Images().start(6, 7, [seeded(0), seeded(1)])
    for place, batch in enumerate(images.split((3, 3, 4), dim=1)):
        state = Images()(state, batch, NOW, [])
        assert state.filled == (3, 6, 7)[place]
    assert torch.equal(state.weights, images[:, :7])
    state = Images()(state, images, LATER, [])  # and no more
    assert torch.equal(state.weights, images[:, :7])


def test_an_image_answers_itself_with_its_squared_length():
    images = torch.rand(1, 5, 6, generator=seeded(0), dtype=torch.float64)
    state = Images()(Images().start(6, 5, [seeded(0)]), images.float(), NOW, [])
    outputs = Images().layer(state)(images[0].float())
    assert_close(outputs.diagonal(), images[0].square().sum(1).float())


def test_images_of_unit_length():
    images = 5 * torch.rand(1, 5, 6, generator=seeded(0))
    state = Images("unit")(Images("unit").start(6, 5, [seeded(0)]), images, NOW, [])
    assert_close(state.weights, images / images.norm(dim=-1, keepdim=True))


def test_fewer_images_than_units():
    state = Images()(Images().start(6, 7, [seeded(0)]), torch.ones(1, 4, 6), NOW, [])
    assert refusal(Images(), state, torch.ones(1, 4, 6), LATER, []) == (
        "Expected at least 7 images for 7 units, got 4 in an epoch. Use 4 units or fewer: an image is used once."
    )
    assert refusal(Images().layer, state) == (
        "Expected an image for each of 7 units, got 4. Let it see more batches, or use fewer units."
    )
