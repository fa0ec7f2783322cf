"""What signs and currents tell of layers that learn and of layers that collapse, by data set and rule.

    EIGENFALL_DATA=... python bench/gates.py

100 Krotov-Hopfield units on 5,000 images of L3 norm 1, in the dense form of the rule, 25 epochs: from N(0, 1), and from
N(0, 1/N), which collapses. For each: the share of units off norm 1; the lowest and highest mean weight over ‖W‖_p
N^(−1/p) and the lowest and highest share of positive weights; units that are negative, silent, and dead. The one unit
that wins all in a collapsed layer is left out of its lowest and highest.
"""

import torch

from eigenfall import parts
from eigenfall.convergence import Gates

UNITS, EPOCHS, BATCH, DELTA = 100, 25, 100, 0.4
RULES = ((3, 2), (2, 2), (3, 7))
DATA = {
    "digits": "digits:validation=0,scaling=l3",
    "mnist": "mnist:train=5000,validation=0,scaling=l3",
    "fashion": "fashion_mnist:train=5000,validation=0,scaling=l3",
    "cifar10": "cifar10:train=5000,validation=0,scaling=l3",
}


def learnt(images, p, rank, rate, spread):
    """The fast rule as its formula reads: C = V W̃ᵀ, D = gᵀ V − s W, W + ε D / max |D|."""
    source = torch.Generator().manual_seed(0)
    weights = spread * torch.randn(UNITS, images.shape[1], generator=source)
    for epoch in range(EPOCHS):
        for rows in torch.randperm(len(images), generator=source).split(BATCH):
            currents = images[rows] @ (weights.sign() * weights.abs() ** (p - 1)).T
            places = currents.topk(rank, 1).indices
            gains = torch.zeros_like(currents).scatter_(1, places[:, :1], 1.0)
            gains.scatter_(1, places[:, rank - 1 :], -DELTA)
            change = gains.T @ images[rows] - weights * (gains * currents).sum(0)[:, None]
            weights = weights + rate * (1 - epoch / EPOCHS) * change / change.abs().max().clamp_min(1e-30)
    return weights


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, text in DATA.items():
        images = parts.read("datasets", text)().train.inputs.flatten(1)
        for p, rank in RULES:
            for start, spread in (("N(0, 1)", 1.0), ("N(0, 1/N)", images.shape[1] ** -0.5)):
                weights = learnt(images, p, rank, 0.02 if p == 2 else 0.04, spread)
                found = Gates()(weights, p, inputs=images)
                shares = found.means / (found.norms * images.shape[1] ** (-1 / p))
                kept = found.wins < len(images) / 2
                print(
                    f"{name:8} p {p} k {rank} {start:10} off {100 * found.unconverged:5.1f} %  mean "
                    f"{float(shares[kept].min()):6.3f} to {float(shares[kept].max()):6.3f}  positive "
                    f"{float(found.positive[kept].min()):.3f} to {float(found.positive[kept].max()):.3f}  negative "
                    f"{int(found.negative.sum()):3} silent {int(found.silent.sum()):3} dead {int(found.dead.sum()):3}"
                    f"  {str(found).split()[0].rstrip(':')}",
                    flush=True,
                )
