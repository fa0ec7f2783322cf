"""The residual network: its size, its maps, its equation by loops, its shortcuts, its first weights and refusals."""

import math

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.architectures.resnet import ResidualBlock, ResNet, shortcut
from eigenfall.globalbounds import lipschitz_bound
from eigenfall.layers import hidden_names, hidden_of
from eigenfall.types import Examples, Split

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def images(*shape, rows=4, classes=10):
    split = Split(torch.rand(rows, *shape, generator=seeded(0)), torch.arange(rows) % classes)
    return Examples("pictures", split, split, split, classes)


def built(*shape, seed=0, **settings):
    return ResNet(**settings)(images(*(shape or (3, 32, 32))), seeded(seed))


def parameters(model, *kinds):
    chosen = [module for module in model.modules() if isinstance(module, kinds)]
    return sum(value.numel() for module in chosen for value in module.parameters(recurse=False))


# ------------------------------------------------------------------------------------ sizes


def test_resnet_20_has_its_known_parameters():
    model = built()
    convolutions = 9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    readout = 64 * 10 + 10
    assert (convolutions, norms, readout) == (267_696, 1_376, 650)
    assert parameters(model, nn.Conv2d) == convolutions
    assert parameters(model, nn.BatchNorm2d) == norms
    assert parameters(model, nn.Linear) == readout
    assert sum(value.numel() for value in model.parameters()) == 269_722


@pytest.mark.parametrize("blocks, depth, millions", [(3, 20, 0.27), (5, 32, 0.46), (7, 44, 0.66), (9, 56, 0.85)])
def test_depth_and_size_are_the_paper_s(blocks, depth, millions):
    """Table 6 of He et al. 2016."""
    model = built(blocks=blocks)
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == depth
    assert round(sum(value.numel() for value in model.parameters()) / 1e6, 2) == millions


def test_shape_of_every_hidden_layer():
    model, examples = built().eval(), images(3, 32, 32)
    _, hidden = hidden_of(model, examples.test.inputs, hidden_names(model))
    expected = [(16, 32, 32)] * 4 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3
    assert {name: tuple(values.shape[1:]) for name, values in hidden.items()} == {
        f"hidden{place}": shape for place, shape in enumerate(expected, start=1)
    }
    assert list(dict(model.named_children()))[-3:] == ["pool", "flatten", "readout"]


# --------------------------------------------------------------------- the equation, by loops


def convolved(maps, kernels, stride):
    """Place by place: the image is padded by zeros, and each kernel is laid upon it."""
    count, channels, height, width = maps.shape
    padded = torch.zeros(count, channels, height + 2, width + 2, dtype=maps.dtype)
    padded[:, :, 1:-1, 1:-1] = maps
    rows, columns = range(0, height, stride), range(0, width, stride)
    out = torch.zeros(count, len(kernels), len(rows), len(columns), dtype=maps.dtype)
    for image in range(count):
        for unit, kernel in enumerate(kernels):
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    out[image, unit, i, j] = (kernel * padded[image, :, row : row + 3, column : column + 3]).sum()
    return out


def normed(maps, norm):
    """Channel by channel, with the batch's moments in training and the running ones otherwise."""
    out = torch.zeros_like(maps)
    for channel in range(maps.shape[1]):
        values = maps[:, channel]
        mean = values.mean() if norm.training else norm.running_mean[channel]
        variance = ((values - mean) ** 2).mean() if norm.training else norm.running_var[channel]
        out[:, channel] = (values - mean) / (variance + norm.eps) ** 0.5 * norm.weight[channel] + norm.bias[channel]
    return out


def shortened(maps, width, stride):
    """Every stride-th place of each channel; the added channels stay zero."""
    count, channels, height, columns = maps.shape
    out = torch.zeros(count, width, math.ceil(height / stride), math.ceil(columns / stride), dtype=maps.dtype)
    for channel in range(channels):
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                out[:, channel, i, j] = maps[:, channel, stride * i, stride * j]
    return out


def slow(model, inputs, strides):
    """The network as the paper tells it; `strides` of its blocks."""
    mean, sd = model.normalise.mean, model.normalise.sd
    stem = model.hidden1
    maps = normed(convolved((inputs - mean) / sd, stem.transform.weight, 1), stem.batch_norm).clamp(min=0)
    for place, stride in enumerate(strides, start=2):
        block = getattr(model, f"hidden{place}").branch
        inner = normed(convolved(maps, block.transform1.weight, stride), block.batch_norm1).clamp(min=0)
        outer = normed(convolved(inner, block.transform2.weight, 1), block.batch_norm2)
        maps = (outer + shortened(maps, outer.shape[1], stride)).clamp(min=0)
    means = torch.stack([maps[:, channel].mean((1, 2)) for channel in range(maps.shape[1])], 1)
    return means @ model.readout.weight.T + model.readout.bias


@torch.no_grad()
def test_it_is_its_equation_in_training_and_after():
    """Three passes move the running moments away from where they start; odd sides, and channels that are added."""
    model = built(2, 5, 6, blocks=2, widths=(2, 3)).double().train()
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.weight.uniform_(0.5, 2, generator=seeded(1))
        norm.bias.uniform_(-1, 1, generator=seeded(2))
    strides = (1, 1, 2, 1)
    for step in range(3):
        inputs = torch.rand(3, 2, 5, 6, generator=seeded(3 + step), dtype=torch.float64)
        expected = slow(model, inputs, strides)
        assert_close(model(inputs), expected, **EXACT)
    model.eval()
    assert_close(model(inputs), slow(model, inputs, strides), **EXACT)


# ---------------------------------------------------------------------------------- shortcuts


@pytest.mark.parametrize("sides", [(4, 4), (5, 4), (3, 7)])
def test_option_a_is_its_definition(sides):
    maps = torch.rand(2, 3, *sides, generator=seeded(0), dtype=torch.float64)
    part = shortcut(3, 5, stride=2)
    assert list(part.parameters()) == list(part.buffers()) == []
    assert torch.equal(part(maps), shortened(maps, 5, 2))
    assert torch.equal(part(maps)[:, 3:], torch.zeros_like(part(maps)[:, 3:]))


def test_a_shortcut_between_maps_of_one_shape_is_the_identity():
    maps = torch.rand(2, 3, 4, 4, generator=seeded(0))
    assert torch.equal(shortcut(3, 3, stride=1)(maps), maps)


@torch.no_grad()
def test_a_block_whose_branch_is_silent_is_its_shortcut():
    block = ResidualBlock(2, 4, 2, True)
    block.branch.batch_norm2.weight.zero_()
    maps = torch.rand(3, 2, 6, 6, generator=seeded(0))
    assert torch.equal(block(maps), shortened(maps, 4, 2))


def test_gradients_reach_the_images_past_the_branches():
    """With every branch silent the net is a mean of strided places: its gradient is that, and no more."""
    model = built(1, 8, 8, blocks=1, widths=(1, 1), normalise="none").double().eval()
    with torch.no_grad():
        for block in (model.hidden2, model.hidden3):
            block.branch.batch_norm2.weight.zero_()
        model.hidden1.transform.weight.copy_(torch.eye(3, dtype=torch.float64)[1].outer(torch.eye(3)[1].double()))
        model.readout.weight.fill_(1)
    inputs = torch.rand(1, 1, 8, 8, generator=seeded(0), dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(model(inputs)[0, 0], inputs)
    expected = torch.zeros(8, 8, dtype=torch.float64)
    expected[::2, ::2] = 1 / 16 / math.sqrt(1 + 1e-5)  # 16 places are left; a batch-norm before its first batch
    assert_close(gradient[0, 0], expected, **EXACT)


# ------------------------------------------------------------------------- weights and settings


def test_first_weights_of_he():
    model = built(blocks=1)
    for name, channels in (
        ("hidden1.transform", 3),
        ("hidden3.branch.transform1", 16),
        ("hidden4.branch.transform2", 64),
    ):
        weights = model.get_submodule(name).weight.detach()
        # variance v = 2 / (9 channels); the mean square of m normal values has variance 2 v² / m
        expected = 2 / (9 * channels)
        assert float(weights.square().mean()) == pytest.approx(
            expected, abs=4 * expected * (2 / weights.numel()) ** 0.5
        )
        assert float(weights.mean()) == pytest.approx(0, abs=4 * (expected / weights.numel()) ** 0.5)


def test_the_generator_gives_the_weights():
    first, again, other = built(blocks=1), built(blocks=1), built(blocks=1, seed=1)
    assert_close(dict(first.state_dict()), dict(again.state_dict()), rtol=0, atol=0)
    for name, values in first.named_parameters():
        if "transform" in name or name == "readout.weight":
            assert not torch.equal(values, other.get_parameter(name)), name


def test_without_batch_norm_convolutions_have_biases():
    with_norm, without = built(blocks=1, widths=(4, 8)), built(blocks=1, widths=(4, 8), batch_norm=False)
    assert not [module for module in without.modules() if isinstance(module, nn.BatchNorm2d)]
    biases = [module.bias for module in without.modules() if isinstance(module, nn.Conv2d)]
    assert [len(bias) for bias in biases] == [4, 4, 4, 8, 8]
    assert not any(bias.any() for bias in biases)
    assert all(module.bias is None for module in with_norm.modules() if isinstance(module, nn.Conv2d))
    assert without(images(3, 32, 32).test.inputs).isfinite().all()


@torch.no_grad()
def test_the_lipschitz_bound_knows_its_steps():
    """Below it, what images really do: the largest ratio of a hundred pairs, some close and some far apart."""
    model = built(3, 8, 8, blocks=1, widths=(4, 8)).double().eval()
    first = torch.rand(100, 3, 8, 8, generator=seeded(1), dtype=torch.float64)
    apart = torch.randn(100, 3, 8, 8, generator=seeded(2), dtype=torch.float64)
    second = first + apart * torch.logspace(-4, 0, 100)[:, None, None, None]
    ratios = (model(first) - model(second)).norm(dim=1) / (first - second).flatten(1).norm(dim=1)
    assert 0 < float(ratios.max()) <= lipschitz_bound(model, first).value
    assert lipschitz_bound(shortcut(3, 5, 2), first).value == 1


# ----------------------------------------------------------------------------------- refusals


def test_refusals():
    assert refusal(built, 3, 4, 6) == (
        "Expected images of at least 5 × 5 pixels for 3 stages, got 4 × 6 in pictures. "
        "Use fewer widths, or architecture mlp."
    )
    assert refusal(built, 16) == (
        "Expected inputs (inputs, channels, height, width) for a resnet, got shape (4, 16) in train of pictures. "
        "Reshape the inputs, and leave some to train on."
    )
    for settings in ({"blocks": 0}, {"widths": ()}, {"widths": (0, 4)}):
        tried = {"blocks": 3, "widths": (16, 32, 64), **settings}
        assert refusal(built, **settings) == (
            "Expected blocks of 1 or more, and widths of 1 or more for at least one stage, "
            f"got blocks={tried['blocks']}, widths={tried['widths']}. Write for instance blocks=3,widths=16/32/64."
        )
    assert refusal(built, widths=(32, 16)) == (
        "Expected widths that do not fall, as shortcuts can add channels and not leave any out, got widths=(32, 16). "
        "Write for instance widths=16/32/64."
    )


def test_the_smallest_images_leave_four_places():
    model = built(1, 5, 5, blocks=1).eval()
    _, hidden = hidden_of(model, images(1, 5, 5).test.inputs, ["hidden4"])
    assert hidden["hidden4"].shape == (4, 64, 2, 2)
