"""What subnormal weights cost: a pass forwards and backwards through a layer with a tenth of them, kept and as zero.

    ratio = seconds with subnormals kept / seconds with subnormals taken for zero,   median of five, side by side

400 units on 784 pixels, 300 images, one thread, as the first layer of `nassar2020_shallow` becomes under weight decay.
"""

import os
import statistics
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from eigenfall.subnormals import zeroing

REPEATS, PASSES, LEAST = 5, 40, 1.0


def seconds(weights: torch.Tensor, inputs: torch.Tensor, zero: bool) -> float:
    with zeroing(zero):
        start = time.perf_counter()
        for _ in range(PASSES):
            (inputs @ weights.T).tanh().sum().backward()
        return time.perf_counter() - start


def main() -> int:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    weights = 0.02 * torch.randn(400, 784, generator=generator)
    weights[:, :78] *= 1e-38
    inputs = torch.rand(300, 784, generator=generator, requires_grad=True)
    seconds(weights, inputs, True)
    ratios = [seconds(weights, inputs, False) / seconds(weights, inputs, True) for _ in range(REPEATS)]
    told = ", ".join(f"{ratio:.1f}" for ratio in sorted(ratios))
    print(f"subnormals kept: {statistics.median(ratios):.1f} times as long as zero ({told})")
    return 0 if statistics.median(ratios) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
