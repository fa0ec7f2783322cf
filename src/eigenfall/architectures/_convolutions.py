"""Convolutions of 3 × 3 places that keep a map's size, with first weights for ReLU."""

import math

from torch import nn


def convolution(channels: int, maps: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """One padded by a place on each side: its output's side is ⌈side / stride⌉.

    First weights: normal with variance 2 / (9 · channels), biases 0 (He, Zhang, Ren & Sun 2015, arXiv:1502.01852): a
    ReLU after each such layer keeps the size of signals.
    """
    layer = nn.Conv2d(channels, maps, kernel_size=3, stride=stride, padding=1, bias=bias)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (9 * channels)))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
