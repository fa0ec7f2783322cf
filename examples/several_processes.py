"""A spectral penalty on batches that several processes share.

torchrun --nproc-per-node 2 several_processes.py

One process, started without torchrun, ends with the same weights.
"""

import torch
from sklearn.datasets import load_digits
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from eigenfall.passes import forward, reference_of
from eigenfall.penalties.spectral import Spectral
from eigenfall.training import due
from eigenfall.types import Split

if distributed.is_torchelastic_launched():  # by torchrun
    distributed.init_process_group("gloo")  # nccl on GPUs
else:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
rank, world = distributed.get_rank(), distributed.get_world_size()

digits = load_digits()
rows = Split(torch.tensor(digits.images, dtype=torch.float32) / 16, torch.tensor(digits.target))

torch.manual_seed(0)  # the same weights everywhere
model = nn.Sequential()
model.add_module("flatten", nn.Flatten())
model.add_module("fc1", nn.Sequential(nn.Linear(64, 48), nn.Tanh()))
model.add_module("fc2", nn.Sequential(nn.Linear(48, 32), nn.Tanh()))
model.add_module("readout", nn.Linear(32, 10))
shared = DistributedDataParallel(model)
layers = ("module.fc1", "module.fc2")  # as `shared` names them

penalty = Spectral(strength=2.0, layers=layers)
reference = reference_of(shared, rows, layers)  # every process has all rows, and passes its share
generator, order = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
state = penalty.start(reference, generator)
optimiser = torch.optim.Adam(shared.parameters(), lr=0.003)

for _ in range(60):
    batch = torch.randperm(len(rows), generator=order)[:256][rank::world]
    found = forward(shared, rows.inputs[batch], rows.targets[batch], layers, requires_grad=False)
    value = penalty(found, state, generator)
    state = value.state
    loss = nn.functional.cross_entropy(found.outputs, found.targets) + value.total
    optimiser.zero_grad()
    loss.backward()  # averages gradients over processes
    optimiser.step()
    if due(state, last_of_epoch=False):
        state = penalty.refreshed(state, reference, generator)

for layer, found in penalty.staleness(state, reference, generator).items():
    if rank == 0:
        print(f"{layer}: α = {found.true_alpha:.6f}, s_R = {found.excess:.6f}")
distributed.destroy_process_group()
