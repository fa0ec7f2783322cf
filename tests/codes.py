"""Hidden values with power-law spectra, as penalties are shown them: batches, reference rows, first states."""

import torch
from exact import power_law, seeded

from eigenfall.types import ForwardPass, Reference


def passed(hidden):
    """A forward pass in which only the hidden values matter."""
    hidden = hidden if isinstance(hidden, dict) else {"hidden1": hidden}
    rows = len(next(iter(hidden.values())))
    inputs = torch.zeros(rows, 1)
    return ForwardPass(inputs, torch.zeros(rows, dtype=torch.int64), torch.zeros(rows, 2), hidden, {})


def reference(hidden, seen=None):
    """Training rows whose hidden values are these, in chunks of 64; the indices asked for go to `seen`."""
    hidden = hidden if isinstance(hidden, dict) else {"hidden1": hidden}

    def passes(indices, mode):
        if seen is not None and len(indices) > 1:
            seen.append((indices, mode))
        for some in indices.split(64):
            yield passed({name: values[some] for name, values in hidden.items()})

    return Reference(len(next(iter(hidden.values()))), passes)


def rotation(units, seed=0):
    return torch.linalg.qr(torch.randn(units, units, generator=seeded(seed), dtype=torch.float64)).Q


def code(samples=200, units=30, alpha=1.0, seed=0, turn=0, dtype=torch.float64):
    values = power_law(alpha, units).eigenvalues.sqrt()
    rows = torch.randn(samples, units, generator=seeded(seed), dtype=torch.float64) * values
    return (rows @ rotation(units, turn).T).to(dtype)


def started(part, hidden, **other):
    return part.start(reference(hidden, **other), seeded(0))


def total(part, hidden, state):
    return part(passed(hidden), state, seeded(0)).total
