"""Random noise, as the threat defines it: how often a perturbation that nobody chose changes the answer.

    gaussian  x + ε·n, n ~ N(0, I)      Linf  x + ε·u, u uniform in [−1, 1]^d      L2  x + ε·n/‖n‖₂

then clipped to the threat's bounds. A call makes one draw; `robustness` makes `draws` of them, each seeded by block
and draw alone, so that they are the same for every epsilon and every model. It reports the mean accuracy, the
worst-of-`draws` accuracy and each input's flip probability apart.

Source: `docs/robustness.md` §3; Franceschi, Fawzi & Fawzi 2018, arXiv:1802.05568, for the uniform and normal cases.
Differs from the source: the first flip over draws is never taken for a distance, since it shrinks with their number.
The preset `holzhausen2024` (arXiv:2405.00679) is one draw that is another at every epsilon, of which that study takes
the first that flips the answer.
"""

import zlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.types import Epsilon, Proposal, Threat, per_input


@dataclass(frozen=True)
class Noise:
    """Noise of the threat's own kind: normal, uniform in the Linf ball, or uniform on the L2 sphere.

    Attributes:
        draws: how many times each input is drawn, at each epsilon.
        afresh: each epsilon has draws of its own; off, they are the same ones, longer.
    """

    cite: ClassVar[str] = "franceschi2018"
    draws: int = 100
    afresh: bool = False

    def __post_init__(self) -> None:
        need(
            self.draws >= 1,
            expected="at least one draw of noise",
            got=str(self.draws),
            remedy="Use draws=100, which is the default.",
        )

    def __call__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        threat: Threat,
        epsilon: Epsilon,
        generator: torch.Generator,
    ) -> Proposal:
        """Propose one noisy input for each input.

        Args:
            model: not used.
            inputs: `(batch, ...)`, inside the threat's bounds.
            targets: not used.
            threat: `GaussianNoise`, or an Linf or L2 ball.
            epsilon: standard deviation or radius, one for all or one per input, in the threat's unit.
            generator: where the draw comes from.

        Raises:
            ValueError: if the threat is none of these.
        """
        need(
            threat.norm in ("gaussian", "Linf", "L2"),
            expected="threat 'gaussian', 'Linf' or 'L2' for noise",
            got=repr(threat.norm),
            remedy="Give GaussianNoise() or LpBall(norm='Linf').",
        )
        generator = _of_epsilon(generator, epsilon) if self.afresh else generator
        draw = torch.rand if threat.norm == "Linf" else torch.randn
        noise = draw(inputs.shape, generator=generator, device=generator.device).to(inputs)
        if threat.norm == "Linf":
            noise = 2 * noise - 1
        elif threat.norm == "L2":
            noise = noise / per_input(noise.flatten(1).norm(dim=1), inputs)
        moved = threat.project(inputs + per_input(epsilon, inputs) * noise, inputs, epsilon)
        return Proposal(moved, torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device), passes=1)


def _of_epsilon(generator: torch.Generator, epsilon: Epsilon) -> torch.Generator:
    """Another generator for every epsilon, the same one for the same."""
    told = np.asarray(torch.as_tensor(epsilon, dtype=torch.float64).cpu()).tobytes()
    drawn = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    return torch.Generator(generator.device).manual_seed(drawn << 32 | zlib.crc32(told))


PRESETS = {"holzhausen2024": Noise(draws=1, afresh=True)}
