"""The deep convolutional network: its size, its maps, its equation, its first weights and refusals."""

import math

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.architectures.vgg import PRESETS, VGG
from eigenfall.layers import hidden_names, hidden_of
from eigenfall.types import Examples, Split

SMALL = {"blocks": (1, 2), "widths": (2, 3)}


def images(*shape, rows=4, classes=10):
    split = Split(torch.rand(rows, *shape, generator=seeded(0)), torch.arange(rows) % classes)
    return Examples("pictures", split, split, split, classes)


def built(*shape, seed=0, **settings):
    return VGG(**settings)(images(*(shape or (3, 32, 32))), seeded(seed))


def test_vgg_11_has_its_known_parameters():
    convolutions = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512)
    channels = 64 + 128 + 2 * 256 + 4 * 512
    readout = 512 * 10 + 10
    assert (convolutions, channels, readout) == (9_217_728, 2_752, 5_130)
    assert sum(value.numel() for value in built().parameters()) == convolutions + 3 * channels + readout == 9_231_114
    plain = PRESETS["simonyan2015"](images(3, 32, 32), seeded(0))
    assert sum(value.numel() for value in plain.parameters()) == convolutions + channels + readout == 9_225_610


@pytest.mark.parametrize("blocks, layers", [((1, 1, 2, 2, 2), 8), ((2, 2, 3, 3, 3), 13), ((2, 2, 4, 4, 4), 16)])
def test_depth_is_the_paper_s(blocks, layers):
    """Table 1 of Simonyan & Zisserman 2015: convolutions of A, D and E; three fully connected layers follow there."""
    model = built(blocks=blocks, widths=(2, 2, 4, 4, 4))
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == len(hidden_names(model)) == layers
    assert sum(isinstance(module, nn.MaxPool2d) for module in model.modules()) == 5


def test_shape_of_every_hidden_layer():
    model = built().eval()
    _, hidden = hidden_of(model, images(3, 32, 32).test.inputs, hidden_names(model))
    expected = [
        (64, 16, 16), (128, 8, 8), (256, 8, 8), (256, 4, 4), (512, 4, 4), (512, 2, 2), (512, 2, 2), (512, 1, 1),
    ]  # fmt: skip
    assert {name: tuple(values.shape[1:]) for name, values in hidden.items()} == {
        f"hidden{place}": shape for place, shape in enumerate(expected, start=1)
    }
    assert list(dict(model.named_children()))[-2:] == ["flatten", "readout"]


def test_larger_images_leave_several_places_to_the_readout():
    model = built(3, 8, 13, **SMALL).eval()
    _, hidden = hidden_of(model, images(3, 8, 13).test.inputs, ["hidden3"])
    assert hidden["hidden3"].shape == (4, 3, 2, 3)
    assert model.readout.in_features == 18


@torch.no_grad()
def test_it_is_its_equation():
    """Images whose sides are not powers of 2: pooling leaves out what does not fill a window."""
    model = built(2, 5, 7, batch_norm="none", normalise="none", **SMALL).double().eval()
    layers = [model.get_submodule(f"hidden{place}.transform") for place in (1, 2, 3)]
    for layer in layers:
        layer.bias.uniform_(-0.5, 0.5, generator=seeded(1))
    inputs = torch.rand(2, 2, 5, 7, generator=seeded(2), dtype=torch.float64)
    for image, logits in zip(inputs, model(inputs)):
        maps = image
        for layer, pooled in zip(layers, (True, False, True)):
            maps = slow(maps, layer, pooled)
        expected = maps.flatten() @ model.readout.weight.T + model.readout.bias
        assert_close(logits, expected, rtol=1e-12, atol=1e-12)


def slow(maps, layer, pooled):
    """Place by place: padded by zeros, each kernel laid upon it, and the largest of four places kept."""
    channels, height, width = maps.shape
    padded = torch.zeros(channels, height + 2, width + 2, dtype=maps.dtype)
    padded[:, 1:-1, 1:-1] = maps
    out = torch.zeros(layer.out_channels, height, width, dtype=maps.dtype)
    for unit in range(layer.out_channels):
        for i in range(height):
            for j in range(width):
                current = (layer.weight[unit] * padded[:, i : i + 3, j : j + 3]).sum() + layer.bias[unit]
                out[unit, i, j] = max(float(current), 0)
    if not pooled:
        return out
    kept = torch.zeros(layer.out_channels, height // 2, width // 2, dtype=maps.dtype)
    for i in range(height // 2):
        for j in range(width // 2):
            kept[:, i, j] = out[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].amax((1, 2))
    return kept


@pytest.mark.parametrize(
    "batch_norm, order",
    [
        ("none", ["transform", "activation"]),
        ("before_activation", ["transform", "batch_norm", "activation"]),
        ("after_activation", ["transform", "activation", "batch_norm"]),
    ],
)
def test_order_within_a_layer(batch_norm, order):
    model = built(3, 4, 4, batch_norm=batch_norm, **SMALL)
    assert list(dict(model.hidden1.named_children())) == [*order, "pool"]
    assert list(dict(model.hidden2.named_children())) == order


def test_first_weights_of_he():
    model = built()
    for name, channels in (("hidden1", 3), ("hidden2", 64), ("hidden5", 256)):
        layer = model.get_submodule(f"{name}.transform")
        # variance v = 2 / (9 channels); the mean square of m normal values has variance 2 v² / m
        expected, count = 2 / (9 * channels), layer.weight.numel()
        assert float(layer.weight.detach().square().mean()) == pytest.approx(
            expected, abs=4 * expected * math.sqrt(2 / count)
        )
        assert not layer.bias.any()


def test_the_generator_gives_the_weights():
    first, again, other = (built(3, 4, 4, seed=seed, **SMALL) for seed in (0, 0, 1))
    assert_close(dict(first.state_dict()), dict(again.state_dict()), rtol=0, atol=0)
    for name in ("hidden1", "hidden2", "hidden3"):
        weights = f"{name}.transform.weight"
        assert not torch.equal(first.get_parameter(weights), other.get_parameter(weights))


def test_refusals():
    assert refusal(built, 1, 28, 28) == (
        "Expected images of at least 32 × 32 pixels for 5 blocks, got 28 × 28 in pictures. "
        "Use fewer blocks and widths, or architecture mlp."
    )
    assert refusal(built, 16) == (
        "Expected inputs (inputs, channels, height, width) for a vgg, got shape (4, 16) in train of pictures. "
        "Reshape the inputs, and leave some to train on."
    )
    for settings in ({"blocks": (1, 1)}, {"blocks": (), "widths": ()}, {"blocks": (1, 0), "widths": (4, 4)}):
        tried = {"blocks": (1, 1, 2, 2, 2), "widths": (64, 128, 256, 512, 512), **settings}
        assert refusal(built, **settings) == (
            "Expected as many blocks as widths, at least one, and each 1 or more, "
            f"got blocks={tried['blocks']}, widths={tried['widths']}. "
            "Write for instance blocks=1/1/2,widths=64/128/256."
        )
