"""How a layer magnifies volume at each input, as a logarithm.

    ½ ln det(JJᵀ) = Σᵢ ln σᵢ,   J the Jacobian, σᵢ its singular values;   JᵀJ in place of JJᵀ if it is the smaller

Logits are first projected on the subspace of sum zero, of dimension C − 1: what all C of them share moves no decision.
Multiplying the layer by k adds rank · ln k.

Source: Zavatone-Veth, Yang, Rubinfien & Pehlevan 2023, arXiv:2301.11375, the volume element of the pullback metric.
Differs from the source: singular values in float64 in place of a determinant, which underflows; those that are zero to
rounding are left out and the rank is told, since a dead unit would make every volume zero. Only equal ranks compare.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import OUTPUTS, left_as_found
from eigenfall.smoothness._passes import Spread, chunks, need_finite, need_room
from eigenfall.smoothness._singular import bytes_of_rows, singular_values
from eigenfall.types import Smoothness


@dataclass(frozen=True)
class LogVolume:
    """Logarithm of the volume element per input, with the rank it is of.

    Attributes:
        rank: how many singular values, from the largest, are multiplied; inputs of a lower rank get minus infinity;
            none: each input's own numerical rank.
        memory: what the passes may hold at once, in GB; how many inputs go through together follows from it.
        chunk_size: how many inputs go through together, instead of what follows from `memory`.
    """

    cite: ClassVar[str] = "zavatoneveth2023"
    rank: int | None = None
    memory: float = 1.0
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        need(
            self.rank is None or self.rank >= 1,
            expected="a rank of 1 or more, or none",
            got=f"rank={self.rank}",
            remedy="Use rank=none for each input's own.",
        )
        need_room(self.memory, self.chunk_size)

    def __call__(
        self, model: nn.Module, inputs: Float[Tensor, "inputs ..."], layer: str, generator: torch.Generator
    ) -> Smoothness:
        """Sum of the logarithms of a Jacobian's singular values.

        Args:
            model: any module whose rows do not see each other in eval mode; it is left as it was found.
            inputs: `(inputs, ...)`, in the unit of the data set, on the model's device.
            layer: module path, or "outputs" for the logits, which are projected. A map counts with all its values.
            generator: unused.

        Returns:
            Natural logarithms, with each input's rank; the scale is that of the values measured: of logits after the
            projection. An input at which the layer does not move at all has rank 0 and minus infinity.

        Raises:
            ValueError: if there are no inputs, the model has no such layer, the layer does not depend on the inputs,
                it has fewer values than `rank`, logits are fewer than two, or a Jacobian is not finite.
        """
        volumes, ranks, spread = [], [], Spread()
        with left_as_found(model):
            for at, values in chunks(
                model,
                inputs,
                layer,
                self.memory,
                self.chunk_size,
                lambda one: bytes_of_rows(one.values, one.inputs),
            ):
                along = _sum_zero(values.shape[1]).to(at.device) if layer == OUTPUTS else None
                spread.add(values if along is None else values - values.mean(1, keepdim=True))
                found = singular_values(values, at, along)
                need(
                    self.rank is None or self.rank <= found.shape[1],
                    expected=f"at least {self.rank} singular values at {layer!r}",
                    got=f"{found.shape[1]}",
                    remedy=f"Use rank={found.shape[1]} or less.",
                )
                need_finite(found[:, 0], layer)
                rounding = torch.finfo(values.dtype).eps * max(values.shape[1], at[0].numel())
                counted = (found > rounding * found[:, :1]).sum(1)
                used = counted if self.rank is None else counted.clamp_max(self.rank)
                kept = torch.arange(found.shape[1], device=found.device) < used[:, None]
                volume = torch.where(kept, found, 1.0).log().sum(1)
                full = used > 0 if self.rank is None else used == self.rank
                volumes.append(torch.where(full, volume, -math.inf))
                ranks.append(used)
        return Smoothness(
            "log_volume",
            layer,
            torch.cat(volumes).cpu(),
            spread.root_mean_square,
            method="logvolume, each input's own rank" if self.rank is None else f"logvolume, rank {self.rank}",
            scaling="logarithmic",
            ranks=torch.cat(ranks).cpu(),
        )


def _sum_zero(classes: int) -> Float64[Tensor, "ranks classes"]:
    """Orthonormal rows that span the vectors of sum zero (Helmert's)."""
    need(
        classes >= 2,
        expected="two logits or more",
        got=f"{classes}",
        remedy="Name a hidden layer: one logit has no volume of its own once the common part is taken out.",
    )
    rows = torch.zeros(classes - 1, classes, dtype=torch.float64)
    for k in range(1, classes):
        rows[k - 1, :k], rows[k - 1, k] = 1.0, -float(k)
        rows[k - 1] /= math.sqrt(k * (k + 1))
    return rows
