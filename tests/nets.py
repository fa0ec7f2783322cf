"""Small networks, really trained, that attacks and checks are tested on."""

import copy
import functools

import torch
from sklearn.datasets import load_digits
from torch import nn

from eigenfall.types import Split


@functools.cache
def digits():
    values, classes = load_digits(return_X_y=True)
    return torch.tensor(values / 16, dtype=torch.float32), torch.tensor(classes)


def held_out(count=256):
    inputs, targets = digits()
    return Split(inputs[1297 : 1297 + count].clone(), targets[1297 : 1297 + count].clone())


def fitted(model, inputs, epochs=25):
    targets = digits()[1]
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(epochs):
            for rows in torch.randperm(1297).split(128):
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
                optimiser.step()
    for parameter in model.parameters():
        parameter.grad = None
    return model.eval()


@functools.cache
def _mlp():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 10))
    return fitted(model, digits()[0])


@functools.cache
def _cnn():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(72, 10),
        )
    return fitted(model, digits()[0], epochs=8)


def mlp():
    """A perceptron 64-48-48-10 on digits, about 95 % right."""
    return copy.deepcopy(_mlp())


def cnn():
    """A convolutional net with batch-norm and dropout, on digits."""
    return copy.deepcopy(_cnn())


class Then(nn.Module):
    """A model followed, or preceded, by a function."""

    def __init__(self, model, after=lambda z: z, before=lambda x: x):
        super().__init__()
        self.model, self.after, self.before = model, after, before

    def forward(self, inputs):
        return self.after(self.model(self.before(inputs)))
