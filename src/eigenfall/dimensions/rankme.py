"""RankMe: the exponential of the entropy of an embedding's singular values, nothing taken off the embedding.

    exp(−Σₖ qₖ ln qₖ),   qₖ = sₖ / Σs + 10⁻⁷,   s the singular values of the S × N embedding

Source: Garrido, Balestriero, Najman & LeCun 2023, Proceedings of Machine Learning Research 202.
Differs from the source: s² are the eigenvalues of the second moments about zero, on the smaller side, in float64; where
s² is below max(S, N) · 2⁻⁵² of the largest, it is rounding, and s counts as 0. The package `reptrix` has another
measure under this name: the effective rank of the covariance, `effectiverank@reptrix`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall import grams, repeats
from eigenfall.check import need
from eigenfall.dimensions._eigenvalues import described, entropy_rank, spectrum_of, without_negative
from eigenfall.grams.sums import need_finite
from eigenfall.linalg import symmetric_eigenvalues
from eigenfall.types import Dimension, Responses, Spectrum

BLOCK = 2**23
"""How many values are multiplied at once: 64 MB in float64."""


@dataclass(frozen=True)
class RankMe:
    """Number of equal singular values that have the same entropy as those of the un-centred embedding.

    A mean that is common to all stimuli counts as a dimension, and as a large one if it is large.

    Attributes:
        offset: added to each share.
    """

    cite: ClassVar[str] = "garrido2023"
    offset: float = 1e-7

    def __post_init__(self) -> None:
        need(self.offset >= 0, expected="offset ≥ 0", got=f"{self.offset:g}", remedy="The source's is 1e-7.")

    def __call__(self, responses: Responses | Spectrum) -> Dimension:
        """RankMe of the repeat means, or of a spectrum.

        Args:
            responses: `(repeats, stimuli, units)`, averaged over repeats first, in memory or in chunks; or a spectrum,
                whose square roots are the singular values. A spectrum that was centred says so in the notices.

        Returns:
            A number between 1 and the number of singular values, or a little above for the offset.

        Raises:
            ValueError: if every response is 0, a value is not finite, more than 5 % of a spectrum's eigenvalues are
                negative, or chunks along the smaller side do not fit into memory.

        Example:
            >>> round(RankMe(offset=0.0)(power_law(alpha=1.0, ranks=1000)).value.value, 2)
            786.64
        """
        spectrum = spectrum_of(responses) if isinstance(responses, Spectrum) else _about_zero(responses)
        values, notices = without_negative(spectrum)
        if spectrum.centred:
            notices = ("Each unit's mean was removed: the source leaves it in.", *notices)
        value = entropy_rank(values.sqrt(), self.offset)
        found = described(spectrum, "rankme", value, "rankme", "square roots of eigenvalues")
        return replace(found, notices=found.notices + notices)


def _about_zero(responses: Responses) -> Spectrum:
    """Eigenvalues of Σ xxᵀ / S of the repeat means x; rounding is 0."""
    seen: list[int] = []
    means = repeats.averaged(responses, seen)
    _, stimuli, units = grams.size_of(means)
    side = "units" if units < stimuli else "stimuli"
    matrix = torch.zeros(min(stimuli, units), min(stimuli, units), dtype=torch.float64)
    start = 0
    for piece in _pieces(means, side):
        if not bool(torch.isfinite(piece.sum(dtype=torch.float64))):
            need_finite(piece, means.name, *((start, 0) if side == "units" else (0, start)))
        rows = piece[0].double()
        start += rows.shape[0 if side == "units" else 1]
        matrix = matrix.to(rows.device)
        matrix += rows.T @ rows if side == "units" else rows @ rows.T
    eigenvalues = symmetric_eigenvalues(matrix)
    need(
        bool(eigenvalues[0] > 0),
        expected=f"{means.name} that are not all 0",
        got="nothing else",
        remedy="Look for a dead layer.",
    )
    floor = max(stimuli, units) * 2.0**-52 * eigenvalues[0]
    return Spectrum(
        eigenvalues=torch.where(eigenvalues > floor, eigenvalues, 0) / stimuli,
        stimuli=stimuli,
        units=units,
        repeats=max(seen),
        centred=False,
        name=means.name,
    )


def _pieces(means: Responses, side: str) -> Iterator[Tensor]:
    """Pieces that add up on a side: cut along the other axis, from memory, or as they come; else all at once."""
    axis = 1 if side == "units" else 2
    if means.values is not None:
        across = max(1, means.values.numel() // max(1, means.values.shape[axis]))
        yield from means.values.split(max(1, BLOCK // across), dim=axis)
    elif means.chunked_over != side:
        yield from means.pieces()
    else:
        _, stimuli, units = grams.size_of(means)
        other = "stimuli" if side == "units" else "units"
        need(
            8e-9 * stimuli * units <= grams.MEMORY,
            expected=f"chunks of {other}, or responses of at most {grams.MEMORY:g} GB",
            got=f"chunks of {side}, {8e-9 * stimuli * units:.2g} GB together",
            remedy=f"Store {means.name} in chunks of {other}.",
        )
        yield torch.cat(list(means.pieces()), 1 if side == "stimuli" else 2)
