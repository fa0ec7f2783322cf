"""Which search finds the nearest perturbation: DeepFool, FMN from its result or from the input, bisection around PGD.

    EIGENFALL_DATA=... python bench/nearest.py

Two nets on MNIST images of L3 norm 1: 300 rectified units; 500 training images as weights with units of power 4.5. Of
each search, over the first 200 test images that are right: how far its distance is above the smallest of the four, in
the mean and at most, and on how many images it is the smallest.
"""

import torch
from torch import nn

from eigenfall import parts
from eigenfall.attacks.deepfool import DeepFool
from eigenfall.presets import SEARCHES
from eigenfall.robustness import robustness
from eigenfall.types import LpBall, Split

COUNT = 200


class Images(nn.Module):
    """Units that hold training images: (x·w/3)₊^4.5, and a linear readout."""

    def __init__(self, images: torch.Tensor):
        super().__init__()
        self.register_buffer("weight", nn.functional.normalize(images.flatten(1)).T.contiguous())
        self.readout = nn.Linear(len(images), 10)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.readout((inputs.flatten(1) @ self.get_buffer("weight") / 3).relu() ** 4.5)


def fitted(model: nn.Module, data: Split, rate: float) -> nn.Module:
    """Three epochs of Adam."""
    optimiser = torch.optim.Adam(model.parameters(), rate)
    for _ in range(3):
        for rows in torch.randperm(len(data)).split(200):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(data.inputs[rows]), data.targets[rows]).backward()
            optimiser.step()
    return model.requires_grad_(False)


def main() -> None:
    """Print a line for each net, norm and search."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    examples = parts.read("datasets", "mnist@holzhausen2024")()
    data = Split(examples.test.inputs[:COUNT], examples.test.targets[:COUNT])
    rectified = nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 10))
    nets = {
        "rectified": fitted(rectified, examples.train, 1e-3),
        "power 4.5": fitted(Images(examples.train.inputs[:500]), examples.train, 1e-2),
    }
    for name, model in nets.items():
        for norm in ("Linf", "L2"):
            ball, found, right = LpBall(norm, examples.bounds, examples.unit), {}, None
            for search, attack in {"deepfool": DeepFool(), **SEARCHES}.items():
                curve = robustness(model, {search: attack}, data, ball, (1.0,), torch.Generator().manual_seed(0))
                found[search], right = curve.distances, curve.clean_correct
            nearest = torch.stack(list(found.values())).amin(0)
            for search, distances in found.items():
                above = (distances / nearest)[right] - 1
                print(
                    f"{name:10} {norm:5} {search:15} {int(right.sum())} right, median "
                    f"{float(distances[right].median()):.4f} , above the smallest {100 * float(above.mean()):.1f} %, "
                    f"at most {100 * float(above.max()):.0f} %, the smallest on {int((above <= 1e-6).sum())}"
                )


if __name__ == "__main__":
    main()
