"""Blurs and warps of images. Beyond the border the nearest pixel stands."""

import numpy as np
import scipy
import torch
from torch import Tensor
from torch.nn import functional


def blurred(inputs: Tensor, sigma: float) -> Tensor:
    """Normal blur of standard deviation `sigma` pixels, cut off at four of them."""
    array = inputs.detach().cpu().numpy()
    return torch.from_numpy(scipy.ndimage.gaussian_filter(array, (0, 0, sigma, sigma), mode="nearest")).to(inputs)


def filtered(inputs: Tensor, kernels: Tensor) -> Tensor:
    """Each image under its own kernel, `(batch or 1, side, side)`, side odd, all channels alike."""
    batch, channels, height, width = inputs.shape
    side = kernels.shape[-1]
    weights = kernels.to(inputs).expand(batch, side, side).repeat_interleave(channels, 0)[:, None]
    padded = functional.pad(inputs, (side // 2,) * 4, mode="replicate")
    maps = padded.reshape(1, batch * channels, *padded.shape[2:])
    return functional.conv2d(maps, weights, groups=batch * channels).reshape(batch, channels, height, width)


def warped(inputs: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each image read at other places, linearly between pixels.

    Args:
        inputs: `(batch, channels, height, width)`.
        down: row to read for each pixel, `(batch or 1, height, width)`, 0 the first.
        right: column to read, same shape.
    """
    height, width = inputs.shape[2:]
    grid = torch.stack(((2 * right + 1) / width - 1, (2 * down + 1) / height - 1), dim=-1)
    grid = grid.to(inputs).expand(len(inputs), height, width, 2)
    return functional.grid_sample(inputs, grid, mode="bilinear", padding_mode="border", align_corners=False)


def places(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of each pixel, `(1, height, width)`."""
    height, width = inputs.shape[2:]
    rows = torch.arange(height, dtype=inputs.dtype, device=inputs.device)
    columns = torch.arange(width, dtype=inputs.dtype, device=inputs.device)
    down, right = torch.meshgrid(rows, columns, indexing="ij")
    return down[None], right[None]


def disc(radius: float, fineness: int = 16) -> Tensor:
    """A disc of sum 1, each pixel weighted by how much of it the disc covers: `(1, side, side)`."""
    half = int(np.ceil(radius + 0.5))
    fine = (np.arange((2 * half + 1) * fineness) + 0.5) / fineness - half - 0.5
    inside = (fine[:, None] ** 2 + fine[None] ** 2 <= radius**2).astype(np.float64)
    cover = inside.reshape(2 * half + 1, fineness, 2 * half + 1, fineness).mean((1, 3))
    return torch.from_numpy(cover / cover.sum())[None]


def streaks(radius: int, sigma: float, angles: Tensor) -> Tensor:
    """Half a normal curve along a line from the centre, of sum 1, for each angle in radians: `(batch, side, side)`."""
    side, steps = 2 * radius + 1, np.arange(radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    kernels = np.zeros((len(angles), side, side))
    for kernel, angle in zip(kernels, angles.tolist()):
        for weight, down, right in zip(weights, radius + steps * np.sin(angle), radius + steps * np.cos(angle)):
            row, column = min(int(down), side - 2), min(int(right), side - 2)
            below, beside = down - row, right - column
            kernel[row : row + 2, column : column + 2] += weight * np.outer((1 - below, below), (1 - beside, beside))
    return torch.from_numpy(kernels / kernels.sum((1, 2), keepdims=True))
