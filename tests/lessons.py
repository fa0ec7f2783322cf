"""Lessons for local rules: seeded states, whole runs of steps, and what every run must be indifferent to."""

from dataclasses import fields, replace

import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.snapshots import flattened, unflattened
from eigenfall.types import Progress, one_seed, placed

DOUBLE = torch.zeros(0, dtype=torch.float64)


def generators(seeds, first=0):
    return [seeded(first + seed) for seed in range(seeds)]


def started(part, inputs, units, seeds=1, first=0):
    """The first state, in float64."""
    return placed(part.start(inputs, units, generators(seeds, first)), DOUBLE)


def tensors(state):
    held = {field.name: getattr(state, field.name) for field in fields(state)}
    return {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}


def learnt(part, state, batches, epochs=1):
    """The state after epochs of batches `(seeds, batch, inputs)`; the one given stays as it was."""
    state = replace(state, **{name: value.clone() for name, value in tensors(state).items()})
    steps, draws = len(batches) * epochs, generators(len(state.weights))
    for epoch in range(epochs):
        for place, batch in enumerate(batches):
            state = part(state, batch, Progress(epoch * len(batches) + place, steps, epoch, epochs), draws)
    return state


def drawn(seeds=1, batch=7, inputs=5, steps=4, seed=9):
    """Batches of standard normal inputs."""
    every = torch.randn(steps, seeds, batch, inputs, generator=seeded(seed), dtype=torch.float64)
    return list(every)


def equal(one, other, tolerance=1e-12):
    assert_close(flattened(one, ""), flattened(other, ""), rtol=tolerance, atol=tolerance)


def check_indifference(part, units=4):
    """Seeds learn alone what they learn together; order in a batch and the names of units do not matter."""
    state, batches = started(part, 5, units, seeds=3), drawn(seeds=3)
    together = learnt(part, state, batches, 2)
    for place in range(3):
        alone = started(part, 5, units, first=place)
        equal(one_seed(state, place), alone, 0)
        equal(
            one_seed(together, place),
            learnt(part, alone, [batch[place : place + 1] for batch in batches], 2),
        )
    mixed = torch.randperm(7, generator=seeded(1))
    equal(together, learnt(part, state, [batch[:, mixed] for batch in batches], 2))
    order = torch.randperm(units, generator=seeded(2))
    equal(renamed(together, order), learnt(part, renamed(state, order), batches, 2))


def renamed(state, order):
    """The state with its units in another order."""
    found = {name: value[:, order] for name, value in tensors(state).items() if value.ndim > 1}
    return replace(state, **{name: value[..., order] if name == "lateral" else value for name, value in found.items()})


def check_stores(part, units=4):
    """The same bits twice, single precision kept, and a state that goes on bit-equal from its flat form."""
    state, batches = started(part, 5, units, seeds=2), drawn(seeds=2)
    after = learnt(part, state, batches)
    equal(after, learnt(part, state, batches), 0)
    assert not torch.equal(after.weights, state.weights)
    back = unflattened(state, flattened(after, "state/"), "state/", torch.device("cpu"))
    equal(learnt(part, back, batches), learnt(part, after, batches), 0)
    blank = part.start(5, units, generators(2))
    single = learnt(part, blank, [batch.float() for batch in batches])
    for name, value in tensors(single).items():
        assert value.dtype == torch.float32
        assert value.shape == getattr(blank, name).shape
        assert_close(value.double(), getattr(after, name), rtol=1e-3, atol=1e-3)
