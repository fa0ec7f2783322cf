"""Clouds: random fields whose amplitude falls as a power of frequency, and smooth displacements."""

import scipy
import torch
from torch import Tensor


def cloud(height: int, width: int, exponent: float, own: torch.Generator) -> Tensor:
    """A field of amplitude ∝ frequency^−exponent, spanning [0, 1]: a window of one twice as large, since that wraps."""
    noise = torch.randn(2 * height, 2 * width, generator=own, dtype=torch.float64)
    down, right = torch.fft.fftfreq(2 * height)[:, None], torch.fft.fftfreq(2 * width)[None]
    frequency = (down**2 + right**2).sqrt()
    amplitude = torch.where(frequency > 0, frequency, torch.inf) ** -exponent
    field = torch.fft.ifft2(torch.fft.fft2(noise) * amplitude).real[:height, :width]
    low, high = field.aminmax()
    return (field - low) / (high - low if high > low else 1.0)


def displacement(height: int, width: int, sigma: float, own: torch.Generator) -> Tensor:
    """A smooth field of root mean square 1, rows then columns, `(2, height, width)`."""
    noise = torch.rand(2, height, width, generator=own, dtype=torch.float64) * 2 - 1
    smooth = torch.from_numpy(scipy.ndimage.gaussian_filter(noise.numpy(), (0, sigma, sigma), mode="mirror"))
    return smooth / smooth.square().mean().sqrt()
