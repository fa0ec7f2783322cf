"""Eigenvalues of the sample covariance.

    λ = eig XᵀX / (S − 1) = eig XXᵀ / (S − 1),   X the S × N responses less each unit's mean over stimuli

Repeats are averaged first, over those that are there. The matrix is taken on the smaller side, units or stimuli; both
have the same eigenvalues. Chunks are read once and added up in float64.

Source: Pearson 1901, Phil. Mag. 2, 559-572, doi:10.1080/14786440109462720.
Differs from the source: divisor S − 1. No Gram matrix is ever squared, which would lose ranks below 10⁻⁸ of the top.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from eigenfall.check import need
from eigenfall.linalg import BLOCK, Precision, SmallerSide, stimulus_side, symmetric_eigenvalues
from eigenfall.types import Gram, Responses, Spectrum


def repeat_mean(
    piece: Float[Tensor, "repeats stimuli units"], first_stimulus: int = 0, first_unit: int = 0, name: str = "responses"
) -> Float[Tensor, "stimuli units"]:
    """Mean over the repeats that are there.

    Raises:
        ValueError: if a unit has no repeat at a stimulus, or a value is infinite; the place is named, counted from 0.
    """
    mean = piece[0] if len(piece) == 1 else piece.double().nanmean(0)
    if not bool(torch.isfinite(mean.sum(dtype=torch.float64))):
        bad = ~torch.isfinite(mean)
        need(
            not bool(bad.any()),
            expected=f"finite {name}",
            got=_place(mean, bad, first_stimulus, first_unit),
            remedy="Leave that stimulus or unit out.",
        )
    return mean


def _place(mean: Tensor, bad: Tensor, first_stimulus: int, first_unit: int) -> str:
    """The first bad value and where it stands; empty without one."""
    for stimulus, unit in bad.nonzero()[:1].tolist():
        what = "no finite repeat" if bool(torch.isnan(mean[stimulus, unit])) else "an infinite value"
        return f"{what} at stimulus {stimulus + first_stimulus}, unit {unit + first_unit}, counted from 0"
    return ""


def _need_stimuli(stimuli: int, units: int, name: str) -> None:
    need(
        stimuli >= 2 and units >= 1,
        expected=f"at least two stimuli and one unit in {name}",
        got=f"{stimuli} × {units}",
        remedy="A covariance needs differences between stimuli.",
    )


def _in_blocks(responses: Responses) -> Responses:
    """Responses in memory as a stream of views, cut along the longer of stimuli and units."""
    if responses.values is None:
        return responses
    repeats, stimuli, units = responses.values.shape
    over, axis, across = ("units", 2, stimuli) if stimuli <= units else ("stimuli", 1, units)
    views = responses.values.split(max(1, BLOCK // max(1, repeats * across)), dim=axis)
    return replace(responses, values=None, chunks=lambda: views, chunked_over=over)


def _means(responses: Responses, repeats: list[int]) -> Iterator[Tensor]:
    """Repeat means, chunk by chunk; how many repeats each is over is noted in the list."""
    stimuli = units = 0
    for piece in responses.pieces():
        repeats.append(len(piece))
        yield repeat_mean(piece, stimuli, units, responses.name)
        stimuli += piece.shape[1] if responses.chunked_over == "stimuli" else 0
        units += piece.shape[2] if responses.chunked_over == "units" else 0


def gram(responses: Responses, precision: Precision = "float64") -> Gram:
    """Second moments of the repeat means on the smaller side, centred over stimuli, from one reading of the chunks.

    A stream over stimuli keeps its rows until there are more of them than units; a stream over units is on the side
    of the stimuli.

    Raises:
        ValueError: for fewer than two stimuli, chunks that do not fit together, or values that are not finite.
    """
    responses = _in_blocks(responses)
    repeats: list[int] = []
    means = _means(responses, repeats)
    if responses.chunked_over == "units":
        matrix, units = stimulus_side(means, precision)
        stimuli, side = len(matrix), "stimuli"
        _need_stimuli(stimuli, units, responses.name)
    else:
        sums = SmallerSide(precision)
        for mean in means:
            sums.add(mean)
        stimuli, units = sums.stimuli, sums.units
        _need_stimuli(stimuli, units, responses.name)
        matrix, side = sums.matrix()
    return Gram(matrix, side, stimuli, units, max(repeats), responses.name)


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
        moments = responses if isinstance(responses, Gram) else gram(responses, self.precision)
        _need_stimuli(moments.stimuli, moments.units, moments.name)
        need(
            bool(moments.matrix.diagonal().max() > 0),
            expected=f"{moments.name} that vary over stimuli",
            got="no variance in any unit",
            remedy="Look for a dead layer, or a constant input.",
        )
        eigenvalues = symmetric_eigenvalues(moments.matrix)[: min(moments.stimuli - 1, moments.units)]
        return Spectrum(
            eigenvalues=eigenvalues.clamp_min(0) / (moments.stimuli - 1),
            stimuli=moments.stimuli,
            units=moments.units,
            repeats=moments.repeats,
            estimator="pca",
            name=moments.name,
        )
