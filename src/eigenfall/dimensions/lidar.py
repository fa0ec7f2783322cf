"""LiDAR: the effective rank of what tells stimuli apart, measured in units of how much each varies by itself.

    eig Σ_w^−½ Σ_b Σ_w^−½,   p = eigenvalue / Σ,   exp(−Σ p ln p)

    Σ_b = mean over stimuli of (mᵢ − m)(mᵢ − m)ᵀ         Σ_w = mean over repeats of (xᵢₜ − mᵢ)(xᵢₜ − mᵢ)ᵀ + δ I

Stimuli are the source's objects, repeats its augmentations of them.

Source: Thilak et al. 2024, 12th International Conference on Learning Representations, arXiv:2312.04000.
Differs from the source: no offset is added to p, and δ is that of the package `reptrix`. That package takes the entropy
of the squares of the eigenvalues, with 10⁻⁷ added, and takes the matrix's column means off before: it runs PCA on the
matrix as if its rows were responses. The preset `reptrix` squares and adds, and leaves the column means where they are.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from eigenfall import grams, repeats
from eigenfall.check import need, one_of
from eigenfall.dimensions._eigenvalues import entropy_rank
from eigenfall.dimensions._repeated import of_all_units
from eigenfall.linalg import symmetric_eigenvalues
from eigenfall.streams import Stream
from eigenfall.types import Dimension, Estimate, Responses


@dataclass(frozen=True)
class LiDAR:
    """Number of equally separable directions in which stimuli differ beyond their repeats.

    Attributes:
        delta: δ, variance that is added along every axis, in squared response units.
        shares: what has the entropy: "eigenvalues", or their "squares".
        offset: added to each share.
    """

    cite: ClassVar[str] = "thilak2024"
    delta: float = 1e-6
    shares: Literal["eigenvalues", "squares"] = "eigenvalues"
    offset: float = 0.0

    def __post_init__(self) -> None:
        one_of(self.shares, ("eigenvalues", "squares"), "shares")
        need(
            self.delta > 0 and self.offset >= 0,
            expected="delta > 0 and offset ≥ 0",
            got=f"delta={self.delta:g}, offset={self.offset:g}",
            remedy="Usual are delta=1e-6 and offset=0.",
        )

    def __call__(self, responses: Responses) -> Dimension:
        """LiDAR of responses with two or more repeats.

        Args:
            responses: `(repeats, stimuli, units)`, in memory or in chunks. Where stimuli have different numbers of
                repeats, the first ones that all have are used.

        Returns:
            A number between 1 and the smaller of stimuli − 1 and units.

        Raises:
            ValueError: for one repeat, no variance between stimuli or between repeats, or a `delta` too small to invert
                Σ_w.

        Example:
            >>> generator = torch.Generator().manual_seed(0)
            >>> signal = torch.randn(1, 500, 3, generator=generator, dtype=torch.float64)
            >>> noise = torch.randn(4, 500, 3, generator=generator, dtype=torch.float64)
            >>> round(LiDAR()(Responses(values=signal + 0.1 * noise)).value.value, 1)
            3.0
        """
        complete = repeats.complete(responses)
        count, stimuli, units = grams.size_of(complete)
        need(
            count >= 2,
            expected=f"at least two repeats of every stimulus in {responses.name}",
            got="one",
            remedy="LiDAR compares stimuli with their repeats: record or augment each twice.",
        )
        between = of_all_units(grams.gram(repeats.averaged(complete), side="units"), units) / stimuli
        within = of_all_units(grams.gram(_differences(complete, count, stimuli, units), side="units"), units)
        within = within / (count * stimuli) + self.delta * torch.eye(units, dtype=torch.float64, device=within.device)
        eigenvalues = self._eigenvalues(between, within)[: min(stimuli - 1, units)].clamp_min(0)
        values = eigenvalues.square() if self.shares == "squares" else eigenvalues
        left_out = complete.dropped.get("repeats beyond the fewest", 0)
        return Dimension(
            name="lidar",
            value=Estimate(entropy_rank(values, self.offset)),
            of="covariance between stimuli in units of that between repeats",
            target="signal sample",
            stimuli=stimuli,
            units=units,
            repeats=count,
            method="lidar",
            name_of=responses.name,
            notices=(f"{left_out} repeats beyond the fewest of a stimulus were left out.",) * bool(left_out),
        )

    def _eigenvalues(self, between: Tensor, within: Tensor) -> Tensor:
        """Those of Σ_w^−½ Σ_b Σ_w^−½, which L⁻¹ Σ_b L⁻ᵀ has too, LLᵀ = Σ_w."""
        root, failed = torch.linalg.cholesky_ex(within)
        need(
            int(failed) == 0,
            expected="a covariance between repeats that can be inverted",
            got=f"one that rounding makes singular, with delta={self.delta:g}",
            remedy="Raise delta, or scale the responses to a standard deviation near 1.",
        )
        half = torch.linalg.solve_triangular(root, between, upper=False)
        matrix = torch.linalg.solve_triangular(root, half.T, upper=False)
        return symmetric_eigenvalues((matrix + matrix.T) / 2)


def _differences(complete: Responses, count: int, stimuli: int, units: int) -> Responses:
    """Each repeat less the mean of its stimulus, repeats one after the other."""
    name = f"differences between repeats of {complete.name}"
    if complete.values is not None:
        return replace(complete, values=_of_piece(complete.values), name=name)
    assert complete.chunks is not None
    return replace(complete, chunks=Stream(complete.chunks, _of_piece), size=(1, count * stimuli, units), name=name)


def _of_piece(piece: Tensor) -> Tensor:
    piece = piece.double()
    return (piece - piece.mean(0)).flatten(0, 1)[None]


PRESETS = {"reptrix": LiDAR(delta=1e-6, shares="squares", offset=1e-7)}
