"""Rank at a share of the variance: how many axes it takes to reach 80 %, say.

    min n:   λ₁ + … + λₙ ≥ share · Σλ

Source: Pearson 1901, Phil. Mag. 2, 559-572, doi:10.1080/14786440109462720, for the axes; the share is a habit.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.check import need
from eigenfall.dimensions._eigenvalues import described, spectrum_of
from eigenfall.types import Dimension, Gram, Responses, Spectrum

ROUNDING = 1e-12


@dataclass(frozen=True)
class VarianceRank:
    """First rank at which the cumulative variance reaches a share of the total.

    Attributes:
        share: of the total variance, above 0 and at most 1; 0.8 and 0.9 are usual.
    """

    cite: ClassVar[str] = "pearson1901"
    share: float = 0.8

    def __post_init__(self) -> None:
        need(
            0 < self.share <= 1,
            expected="a share above 0 and at most 1",
            got=f"{self.share:g}",
            remedy="Write 80 % as 0.8.",
        )

    def __call__(self, responses: Responses | Gram | Spectrum) -> Dimension:
        """The rank, counted from 1.

        Args:
            responses: `(repeats, stimuli, units)`, averaged over repeats first; their Gram matrix; or a spectrum, in
                which negative eigenvalues count as they are.

        Returns:
            A whole number, named after the share: `rank_at_80_percent`.

        Raises:
            ValueError: if nothing varies.

        Example:
            >>> print(VarianceRank(share=0.9)(power_law(alpha=1.0, ranks=1000)))
            rank at 90 percent = 473
        """
        spectrum = spectrum_of(responses)
        reached = spectrum.eigenvalues.cumsum(0) / spectrum.eigenvalues.sum() >= self.share - ROUNDING
        name = f"rank_at_{100 * self.share:g}_percent"
        return described(spectrum, name, int(reached.int().argmax()) + 1, f"variancerank:share={self.share}")
