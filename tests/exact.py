"""Exact values that tests and doctests start from: power laws, and seeded generators."""

import torch

from eigenfall.types import Spectrum


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def power_law(alpha: float, ranks: int) -> Spectrum:
    """λₙ = n^−alpha exactly, as if from one stimulus more than ranks."""
    eigenvalues = torch.arange(1, ranks + 1, dtype=torch.float64) ** -alpha
    return Spectrum(eigenvalues, stimuli=ranks + 1, units=ranks)
