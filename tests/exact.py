"""Exact values that tests and doctests start from: power laws, and seeded generators."""

import pickle

import pytest
import torch

from eigenfall.types import Spectrum


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def power_law(alpha: float, ranks: int) -> Spectrum:
    """λₙ = n^−alpha exactly, as if from one stimulus more than ranks."""
    eigenvalues = torch.arange(1, ranks + 1, dtype=torch.float64) ** -alpha
    return Spectrum(eigenvalues, stimuli=ranks + 1, units=ranks)


def refusal(call, *arguments, **named) -> str:
    """The one sentence with which a call is refused."""
    with pytest.raises(ValueError) as refused:
        call(*arguments, **named)
    return str(refused.value)


def read_whole(responses) -> torch.Tensor:
    """Responses in memory, or all their pieces beside one another."""
    if responses.values is not None:
        return responses.values
    return torch.cat(list(responses.pieces()), 1 if responses.chunked_over == "stimuli" else 2)


def read_there(sent: bytes, place: int):
    """A piece of pickled chunks, for another process to call."""
    return pickle.loads(sent)()[place].numpy()
