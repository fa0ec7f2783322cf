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


def copied(state):
    return replace(state, **{field.name: getattr(state, field.name).clone() for field in fields(state)})


def learnt(part, state, batches, epochs=1, first=0):
    """The state after epochs of batches `(seeds, batch, inputs)`, from step `first` on; the one given stays."""
    state, steps, draws = copied(state), first + len(batches) * epochs, generators(len(state.weights))
    for epoch in range(epochs):
        for place, batch in enumerate(batches):
            at = Progress(first + epoch * len(batches) + place, steps, epoch, epochs)
            state = part(state, batch, at, draws)
    return state


def drawn(seeds=1, batch=7, inputs=5, steps=4, seed=9):
    """Batches of standard normal inputs."""
    every = torch.randn(steps, seeds, batch, inputs, generator=seeded(seed), dtype=torch.float64)
    return list(every)


def equal(one, other, tolerance=1e-12):
    assert_close(flattened(one, ""), flattened(other, ""), rtol=tolerance, atol=tolerance)


def check_indifference(part, units=4, first=0):
    """Seeds learn alone what they learn together; order in a batch and the names of units do not matter."""
    state, batches = started(part, 5, units, seeds=3), drawn(seeds=3)
    together = learnt(part, state, batches, 2, first)
    for place in range(3):
        alone = started(part, 5, units, first=place)
        equal(one_seed(state, place), alone, 0)
        equal(
            one_seed(together, place),
            learnt(part, alone, [batch[place : place + 1] for batch in batches], 2, first),
        )
    mixed = torch.randperm(7, generator=seeded(1))
    equal(together, learnt(part, state, [batch[:, mixed] for batch in batches], 2, first))
    order = torch.randperm(units, generator=seeded(2))
    equal(renamed(together, order), learnt(part, renamed(state, order), batches, 2, first))


def renamed(state, order):
    """The state with its units in another order."""
    found = {field.name: getattr(state, field.name)[:, order] for field in fields(state)}
    return replace(state, **{name: value[..., order] if name == "lateral" else value for name, value in found.items()})


def check_stores(part, units=4, first=0):
    """The same bits twice, single precision kept, and a state that goes on bit-equal from its flat form."""
    state, batches = started(part, 5, units, seeds=2), drawn(seeds=2)
    after = learnt(part, state, batches, first=first)
    equal(after, learnt(part, state, batches, first=first), 0)
    assert not torch.equal(after.weights, state.weights)
    back = unflattened(state, flattened(after, "state/"), "state/", torch.device("cpu"))
    equal(learnt(part, back, batches, first=first), learnt(part, after, batches, first=first), 0)
    blank = part.start(5, units, generators(2))
    single = learnt(part, blank, [batch.float() for batch in batches], first=first)
    for field in fields(single):
        value = getattr(single, field.name)
        assert value.dtype == torch.float32
        assert value.shape == getattr(state, field.name).shape
        assert len(value) == 2
        assert_close(value.double(), getattr(after, field.name), rtol=1e-3, atol=1e-3)
