import math

import pytest
import torch
from exact import refusal, seeded
from torch import nn

from eigenfall.operatornorms import (
    certified_distances,
    convolution_bound,
    convolution_norm,
    linear_norm,
    reshaped_bound,
)


def convolution(channels=(2, 3), kernel=3, **settings):
    layer = nn.Conv2d(*channels, kernel, **settings)
    layer.weight.data = torch.randn(layer.weight.shape, generator=seeded(4))
    return layer


def dense(layer, size):
    """The matrix of a convolution, a column for each input value, float64."""
    twin = nn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
        layer.groups, bias=False, padding_mode=layer.padding_mode,
    ).double()  # fmt: skip
    twin.weight.data = layer.weight.data.double()
    count = layer.in_channels * size[0] * size[1]
    with torch.no_grad():
        return twin(torch.eye(count, dtype=torch.float64).reshape(count, layer.in_channels, *size)).flatten(1).T


def truth(layer, size):
    return float(torch.linalg.matrix_norm(dense(layer, size), 2))


@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_equals_the_dense_matrix(kernel, stride, padding_mode):
    layer = convolution(kernel=kernel, stride=stride, padding=kernel // 2, padding_mode=padding_mode)
    found, exact = convolution_norm(layer, (6, 7), seeded(0)), truth(layer, (6, 7))
    assert found.value == pytest.approx(exact, rel=1e-5)
    assert exact <= found.upper * (1 + 1e-12)
    closed = stride == 1 and padding_mode == "circular"
    assert found.method == ("Fourier, closed form" if closed else "Lanczos")
    assert found.residual <= 1e-5


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"padding": 0}, (6, 6)),
        ({"padding": 2, "dilation": 2}, (6, 6)),
        ({"padding": 2, "dilation": 2, "padding_mode": "circular"}, (5, 6)),
        ({"padding": 1, "padding_mode": "reflect"}, (6, 6)),
        ({"padding": 2, "padding_mode": "replicate"}, (6, 6)),
        ({"padding": 2, "padding_mode": "circular"}, (6, 6)),  # wider than whole: places repeat
        ({"padding": "same"}, (6, 7)),
        ({"padding": "valid", "stride": (1, 2)}, (6, 7)),
        ({"padding": 3}, (4, 4)),
        ({"channels": (4, 6), "groups": 2, "padding": 1}, (4, 5)),
        ({"channels": (4, 6), "groups": 2, "padding": 1, "padding_mode": "circular"}, (4, 5)),
        ({"channels": (1, 2), "padding": 1}, (4, 4)),  # few input values: written out
        ({"kernel": (1, 4), "padding": "same"}, (6, 7)),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_settings_of_every_kind(settings, size):
    layer = convolution(**settings)
    found, exact = convolution_norm(layer, size, seeded(0)), truth(layer, size)
    assert found.value == pytest.approx(exact, rel=1e-5)
    assert exact <= convolution_bound(layer, size) * (1 + 1e-12)
    assert exact <= found.upper * (1 + 1e-12)


def test_one_reshaped_kernel_is_no_bound_and_the_four_together_are():
    layer = convolution(channels=(1, 1), padding=1)
    layer.weight.data = torch.ones_like(layer.weight)
    exact = truth(layer, (12, 12))
    assert float(torch.linalg.matrix_norm(layer.weight.flatten(1).detach(), 2)) == pytest.approx(3)
    assert exact > 2.5 * 3
    assert exact <= reshaped_bound(layer)
    assert reshaped_bound(layer) == pytest.approx(9)  # √9 · 3, what an endless image of ones would give


def test_the_bound_closes_in_on_large_images():
    layer = convolution(padding=1)
    found = convolution_norm(layer, (14, 14), seeded(0))
    assert found.value <= found.upper <= 1.1 * found.value


def test_a_linear_layer_has_its_largest_singular_value():
    layer = nn.Linear(5, 4)
    found = linear_norm(layer)
    assert found.value == found.upper == pytest.approx(float(torch.linalg.svdvals(layer.weight.detach().double())[0]))


def test_the_layer_is_left_alone_and_zero_has_norm_zero():
    layer = convolution(padding=1)
    kept = layer.weight.detach().clone()
    convolution_norm(layer, (5, 5), seeded(0))
    assert torch.equal(layer.weight, kept)
    assert layer.weight.dtype == torch.float32
    assert layer.weight.grad is None
    layer.weight.data *= 0
    assert convolution_norm(layer, (5, 5), seeded(0)).value == 0


def test_certified_distances_are_those_of_a_linear_model_within_root_two():
    margins = torch.tensor([2.0, 0.0, -1.0])
    assert certified_distances(margins, 4.0).tolist() == pytest.approx([2 / (4 * math.sqrt(2)), 0, 0])
    assert refusal(certified_distances, margins, 0.0) == (
        "Expected a bound above 0, got 0.0. Give lipschitz_bound(...).value."
    )


def test_what_cannot_be_measured_is_refused():
    layer = convolution()
    assert refusal(convolution_norm, layer, (2, 6), seeded(0)) == (
        "Expected inputs of at least 3 × 3 with their padding, got 2 × 6. "
        "Give the height and width of this layer's own input."
    )
    assert refusal(convolution_norm, layer, (6, 6), seeded(0), tolerance=0.0) == (
        "Expected a tolerance above 0, got 0.0. Use 1e-6, which is the default."
    )
    assert refusal(convolution_norm, layer, (9, 9), seeded(0), tolerance=1e-15, steps=1) == (
        "Expected the norm of the convolution within 1e-15, got no convergence in 1 restarts. "
        "Allow more steps, or a larger tolerance."
    )
    layer.weight.data[0, 0, 0, 0] = torch.nan
    assert refusal(convolution_norm, layer, (6, 6), seeded(0)) == (
        "Expected finite weights, got NaN or infinity. Look for diverged training."
    )
