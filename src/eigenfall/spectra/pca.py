"""Eigenvalues of the sample covariance.

    λ = eig XᵀX / (S − 1) = eig XXᵀ / (S − 1),   X the S × N responses less each unit's mean over stimuli

Repeats are averaged first, over those that are there. The matrix is taken on the smaller side, units or stimuli; both
have the same eigenvalues. Chunks are read once and added up in float64.

Source: Pearson 1901, Phil. Mag. 2, 559-572, doi:10.1080/14786440109462720.
Differs from the source: divisor S − 1. No Gram matrix is ever squared, which would lose ranks below 10⁻⁸ of the top.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from eigenfall import grams, repeats
from eigenfall.check import need
from eigenfall.linalg import Precision, symmetric_eigenvalues
from eigenfall.types import Gram, Responses, Spectrum


@dataclass(frozen=True)
class PCA:
    """Spectrum of the total sample covariance: signal and noise of the repeat means together.

    Attributes:
        precision: "float64", or "mixed": products in float32, sums in float64. Mixed moves an eigenvalue by up to
            2e-6 of the largest.
    """

    cite: ClassVar[str] = "pearson1901"
    precision: Precision = "float64"

    def __call__(self, responses: Responses | Gram, generator: torch.Generator | None = None) -> Spectrum:
        """Eigenvalues of the covariance, min(stimuli − 1, units) of them.

        Args:
            responses: `(repeats, stimuli, units)` in any response unit, in memory or in chunks; or their Gram matrix.
            generator: not used; nothing is drawn.

        Returns:
            Eigenvalues in squared response units, largest first; those that rounding made negative are 0.

        Raises:
            ValueError: for fewer than two stimuli, no variance anywhere, or values that are not finite.

        Example:
            >>> rows = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
            >>> PCA()(Responses(values=rows[None])).eigenvalues
            tensor([2.], dtype=torch.float64)
        """
        moments = grams.averaged(responses) if isinstance(responses, Gram) else self._moments(responses)
        need(
            moments.stimuli >= 2 and moments.units >= 1 and bool(moments.matrix.diagonal().max() > 0),
            expected=f"{moments.name} that vary over stimuli",
            got="no variance in any unit" if moments.stimuli >= 2 else f"{moments.stimuli} of them",
            remedy="Look for a dead layer, or a constant input.",
        )
        eigenvalues = symmetric_eigenvalues(moments.matrix)[: min(moments.stimuli - 1, moments.units)]
        return Spectrum(
            eigenvalues=eigenvalues.clamp_min(0) / (moments.stimuli - 1),
            stimuli=moments.stimuli,
            units=moments.units,
            repeats=moments.averaged,
            estimator="pca",
            name=moments.name,
        )

    def _moments(self, responses: Responses) -> Gram:
        """Second moments of the repeat means."""
        seen: list[int] = []
        found = grams.gram(repeats.averaged(responses, seen), self.precision)
        return replace(found, averaged=max(seen))
