"""Inputs with known principal components, and a rule that learns from them."""

import math

import torch
from exact import seeded

from eigenfall.types import Progress
from eigenfall.types.learning import placed

SPECTRUM = (4.0, 2.0, 1.0, 0.5, 0.25)


def planted(rows=40, mean=None):
    """Inputs whose second moment about the mean is exactly Q diag(SPECTRUM) Qᵀ, and Q's columns as rows."""
    size = len(SPECTRUM)
    scores = torch.randn(rows, size, generator=seeded(1), dtype=torch.float64)
    scores = torch.linalg.qr(scores - scores.mean(0))[0] * math.sqrt(rows)
    basis = torch.linalg.qr(torch.randn(size, size, generator=seeded(2), dtype=torch.float64))[0]
    inputs = (scores * torch.tensor(SPECTRUM, dtype=torch.float64).sqrt()) @ basis.T
    return inputs if mean is None else inputs + mean, basis.T


def learnt(rule, batch, units, steps, seed=0):
    """The state after steps on one and the same batch, float64."""
    state = placed(rule.start(batch.shape[-1], units, [seeded(seed)]), batch)
    for step in range(steps):
        state = rule(state, batch[None], Progress(step, steps, step, steps), [])
    return state
