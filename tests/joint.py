"""A small net under the spectral penalty, trained by a plain loop in one process or in several that share batches."""

from dataclasses import replace
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from eigenfall import processes
from eigenfall.passes import forward, reference_of
from eigenfall.penalties.spectral import PRESETS, Spectral
from eigenfall.training import due
from eigenfall.types import Split

ROWS, BATCH, STEPS, EPOCH = 160, 40, 6, 3
OFTEN = Spectral(tau=2, refresh="every_k_steps", k_steps=2)
PARTS = {
    "channels": OFTEN,
    "rows drawn anew": replace(OFTEN, rows=120, replacement=True, fixed=False, view="pool"),
    "auto": Spectral(tau=2, view="pool", max_age=100),
    "nassar2020": replace(PRESETS["nassar2020"], tau=2),
    "subset of a projection": replace(OFTEN, order="identity", subset=4, view="project", projected=20, rows="all"),
    "low rank": replace(OFTEN, estimator="low_rank", ranks=8, view="flatten"),
    "exact": replace(OFTEN, estimator="exact", view="pool", tau=1),
    "exact, nothing remembered": replace(OFTEN, estimator="exact", memory=0.0, view="flatten", rows="all"),
}
"""Batches of 40 are fewer than the 96 units of a flattened map."""


def net(dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential()
        model.add_module("hidden1", nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh()))
        model.add_module("flatten", nn.Flatten())
        model.add_module("hidden2", nn.Sequential(nn.Linear(96, 12), nn.Tanh()))
        model.add_module("readout", nn.Linear(12, 3))
    return model.to(dtype)


def rows(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(ROWS, 1, 6, 6, generator=generator, dtype=torch.float64)
    return Split(inputs.to(dtype), torch.randint(3, (ROWS,), generator=generator))


def trained(part, dtype=torch.float64, seed=0):
    """Weights, values and last state after some updates; each process takes its share of every batch."""
    model, split = net(dtype), rows(dtype)
    wrapped = DistributedDataParallel(model) if processes.count() > 1 else model
    names = [f"{'module.' if wrapped is not model else ''}{layer}" for layer in ("hidden1", "hidden2")]
    part = replace(part, layers=tuple(names))
    reference = reference_of(wrapped, split, names)
    generator, order = (torch.Generator().manual_seed(number) for number in (seed, 7))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    state, values = part.start(reference, generator), []
    if part.refresh == "auto":
        state = replace(state, check_every=2, level=-1.0)
    for step in range(STEPS):
        indices = processes.share(torch.randperm(ROWS, generator=order)[:BATCH])
        found = forward(wrapped, split.inputs[indices], split.targets[indices], names, requires_grad=False)
        value = part(found, state, generator)
        state = value.state
        loss = nn.functional.cross_entropy(found.outputs, found.targets) + value.total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(value.total.detach()))
        if due(state, (step + 1) % EPOCH == 0):
            state = part.refreshed(state, reference, generator)
    measured = {name: vars(found) for name, found in part.staleness(state, reference, generator).items()}
    plain = [{name.removeprefix("module."): value for name, value in some.items()} for some in (state.basis, measured)]
    return {"weights": dict(model.state_dict()), "values": values, "basis": plain[0], "staleness": plain[1],
            "refreshes": state.refreshes, "due": state.due}  # fmt: skip


def uneven_gradient():
    """Gradient of the penalty alone where one process holds 5 rows and the other 35; averaged as loops do."""
    model, split = net(), rows()
    part = replace(OFTEN, layers=("hidden1", "hidden2"))
    state = part.start(reference_of(model, split, part.layers), torch.Generator().manual_seed(0))
    held = slice(0, BATCH) if processes.count() == 1 else (slice(0, 5), slice(5, BATCH))[processes.place()]
    found = forward(model, split.inputs[held], split.targets[held], part.layers, requires_grad=False)
    part(found, state, torch.Generator().manual_seed(0)).total.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return [processes.summed(gradient) / processes.count() for gradient in gradients]


def refused():
    """What a library's own loop, and fewer reference rows than processes, are told."""
    from eigenfall.training import Training, train
    from eigenfall.whitening import Whiten

    told, split = [], rows()
    for call in (
        lambda: next(train(net(), split, split, {"spectral": OFTEN}, Training())),
        lambda: replace(OFTEN, layers=("hidden2",), rows="all").start(
            reference_of(net(), Split(split.inputs[:1], split.targets[:1]), ("hidden2",)), torch.Generator()
        ),
        lambda: Whiten(3)(torch.randn(20, 3)),
    ):
        try:
            call()
        except ValueError as refusal:
            told.append(str(refusal))
    return told


def work(rank, world, root):
    """One of several processes: everything that the tests look at, into a file."""
    torch.set_num_threads(1)
    file = f"file://{root}/meet"
    distributed.init_process_group("gloo", file, timedelta(seconds=120), world, rank)
    found = {name: trained(part) for name, part in PARTS.items()}
    found["float32"] = trained(OFTEN, torch.float32)
    # a generator of another seed: draws are the first process's all the same
    found["other seeds"] = trained(PARTS["rows drawn anew"], seed=10 * rank)
    found["uneven"] = uneven_gradient()
    found["refused"] = refused()
    torch.save(found, f"{root}/{rank}.pt")
    distributed.destroy_process_group()
