"""Spectrum, smoothness and robustness of a model of one's own: train a small network on digits, then measure it."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import eigenfall
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.plans import Plan

torch.manual_seed(0)
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32) / 16  # in [0, 1], so that epsilon is in pixels
classes = torch.tensor(digits.target)
train, test = slice(0, 1297), slice(1297, None)

model = nn.Sequential()
model.add_module("flatten", nn.Flatten())
model.add_module("fc1", nn.Sequential(nn.Linear(64, 64), nn.Tanh()))
model.add_module("fc2", nn.Sequential(nn.Linear(64, 32), nn.Tanh()))
model.add_module("readout", nn.Linear(32, 10))

optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(100):
    loss = nn.functional.cross_entropy(model(images[train]), classes[train])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

plan = Plan(fits=(LeastSquares(first_rank=2, last_rank=20),), epsilons=(0.05, 0.1), attacked_inputs=100)
measurement = eigenfall.measure(model, images[test], classes[test], layers=["fc1", "fc2"], plan=plan)
print(measurement)
