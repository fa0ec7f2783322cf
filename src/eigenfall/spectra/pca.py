"""Eigenvalues of the sample covariance.

    λ = eig XᵀX / (S − 1) = eig XXᵀ / (S − 1),   X the S × N responses less each unit's mean over stimuli

Repeats are averaged first, over those that are there. The matrix is taken on the smaller side, units or stimuli; both
have the same eigenvalues. Chunks are read once and added up in float64.

Source: Pearson 1901, Phil. Mag. 2, 559-572, doi:10.1080/14786440109462720.
Differs from the source: divisor S − 1. No Gram matrix is ever squared, which would lose ranks below 10⁻⁸ of the top.

The preset `holzhausen2024` is the arithmetic of Holzhausen et al. 2024, arXiv:2405.00679: sums in float32, in one pass,
and the real parts from a solver for matrices of any kind. Eigenvalues below 10⁻⁷ of the top, and more of them where
units' means are large, are rounding, and some are negative. The code takes a scalar, the mean of its first input batch,
off each value first; read as the shift of a one-pass covariance it cancels, and is not there. (Read as the point about
which an uncentred moment is taken it would stay; the exponent of CIFAR-10's own pixels is 1.468 centred and 1.470 so,
and −1.47 in print: that row cannot tell.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from eigenfall import grams, repeats
from eigenfall.check import need
from eigenfall.linalg import VALUES_LIMIT, Precision, symmetric_eigenvalues
from eigenfall.spectra._onepass import general_eigenvalues, one_pass
from eigenfall.stages import Working, consumed, seeded
from eigenfall.types import Gram, Responses, Spectrum


@dataclass(frozen=True)
class PCA:
    """Spectrum of the total sample covariance: signal and noise of the repeat means together.

    Attributes:
        precision: "float64", or "mixed": products in float32, sums in float64. Mixed moves an eigenvalue by up to
            2e-6 of the largest. "float32": everything, solver included, as in the preset.
        rank: columns of a randomised solver, of whose ranks the leading half is kept; none: exact, or 1024 columns if
            both stimuli and units are more than the exact solver takes.
    """

    cite: ClassVar[str] = "pearson1901"
    precision: Precision | Literal["float32"] = "float64"
    rank: int | None = None

    def __post_init__(self) -> None:
        need(
            self.precision != "float32" or self.rank is None,
            expected="the exact solver in float32",
            got=f"rank={self.rank}",
            remedy="Leave rank at none, or take precision=mixed.",
        )

    def __call__(self, responses: Responses | Gram, generator: torch.Generator | None = None) -> Spectrum:
        """Eigenvalues of the covariance, min(stimuli − 1, units) of them.

        Args:
            responses: `(repeats, stimuli, units)` in any response unit, in memory or in chunks; or their Gram matrix.
            generator: the randomised solver starts from it; nothing else is drawn.

        Returns:
            Eigenvalues in squared response units, largest first; those that rounding made negative are 0, but in
            float32 stay as they are.

        Raises:
            ValueError: for fewer than two stimuli, no variance anywhere, or values that are not finite.

        Example:
            >>> rows = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
            >>> PCA()(Responses(values=rows[None])).eigenvalues
            tensor([2.], dtype=torch.float64)
        """
        return consumed(self.working(responses, generator))

    def working(
        self,
        responses: Responses | Gram,
        generator: torch.Generator | None = None,
        kept: Mapping[str, Tensor] | None = None,
    ) -> Working[Spectrum]:
        """As `__call__`, chunk by chunk; `kept` are pieces of an earlier call that did not end."""
        generator = generator or seeded(0)
        seen: list[int] = []
        if self.precision == "float32":
            return self._single(responses, seen)
        if isinstance(responses, Gram):
            moments = grams.averaged(responses)
            _need_variance(moments)
            size, recorded, name = (moments.averaged, moments.stimuli, moments.units), moments.averaged, moments.name
            if self.rank is None:
                eigenvalues = symmetric_eigenvalues(moments.matrix)
            else:
                sketch = grams.sketched(moments.matrix, moments.matrix, size, self.rank, generator)
                eigenvalues = symmetric_eigenvalues(sketch.first)
        elif (columns := self._columns(responses)) is None:
            (moments,) = yield from grams.gramming(repeats.averaged(responses, seen), self.precision, kept=kept)
            size, recorded, name = (1, moments.stimuli, moments.units), max(seen), moments.name
            eigenvalues = symmetric_eigenvalues(moments.matrix)
        else:
            sketch = yield from grams.sketching(repeats.averaged(responses, seen), columns, generator, kept=kept)
            size, recorded, name = sketch.size, max(seen), responses.name
            eigenvalues = symmetric_eigenvalues(sketch.first)
        count = min(size[1] - 1, size[2])
        exact = len(eigenvalues) >= count
        kept_ranks = count if exact else max(1, len(eigenvalues) // 2)
        return Spectrum(
            eigenvalues=eigenvalues[:kept_ranks].clamp_min(0) / (size[1] - 1),
            stimuli=size[1],
            units=size[2],
            repeats=recorded,
            estimator="pca",
            name=name,
            notices=() if exact else (grams.said_of_sketch(len(eigenvalues)),),
        )

    def _single(self, responses: Responses | Gram, seen: list[int]) -> Spectrum:
        """As a first script would have it: no part of it in float64."""
        given = isinstance(responses, Gram)
        moments = grams.averaged(responses) if given else one_pass(repeats.averaged(responses, seen))
        _need_variance(moments)
        stimuli, units = moments.stimuli, moments.units
        return Spectrum(
            eigenvalues=general_eigenvalues(moments.matrix)[: min(stimuli - 1, units)] / (stimuli - 1),
            stimuli=stimuli,
            units=units,
            repeats=moments.averaged if given else max(seen),
            estimator="pca@holzhausen2024",
            name=moments.name,
        )

    def _columns(self, responses: Responses) -> int | None:
        """Columns of the randomised solver; `None`: the exact one."""
        if self.rank is not None or responses.shape is None:
            return self.rank
        return grams.RANK if min(responses.shape[1:]) > VALUES_LIMIT else None


def _need_variance(moments: Gram) -> None:
    need(
        moments.stimuli >= 2 and moments.units >= 1 and bool(moments.matrix.diagonal().max() > 0),
        expected=f"{moments.name} that vary over stimuli",
        got="no variance in any unit" if moments.stimuli >= 2 else f"{moments.stimuli} of them",
        remedy="Look for a dead layer, or a constant input.",
    )


PRESETS = {"holzhausen2024": PCA(precision="float32")}
