"""Effective rank: the exponential of the entropy of the eigenvalues' shares.

    exp(−Σₙ pₙ ln pₙ),   pₙ = λₙ / Σλ

Source: Roy & Vetterli 2007, 15th European Signal Processing Conference, 606-610.
Differs from the source: it takes the singular values of any matrix; ours is the covariance, whose singular values are
its eigenvalues λ. The package `reptrix` adds 10⁻⁷ to each share and calls the result RankMe; the preset `reptrix` does
the former. RankMe as published is `rankme`.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from eigenfall.check import need
from eigenfall.dimensions._eigenvalues import described, entropy_rank, spectrum_of, without_negative
from eigenfall.types import Dimension, Gram, Responses, Spectrum


@dataclass(frozen=True)
class EffectiveRank:
    """Number of equal eigenvalues that have the same entropy as those of the covariance.

    Attributes:
        offset: added to each share.
    """

    cite: ClassVar[str] = "roy2007"
    offset: float = 0.0

    def __post_init__(self) -> None:
        need(self.offset >= 0, expected="offset ≥ 0", got=f"{self.offset:g}", remedy="Use 0, or 1e-7 as reptrix does.")

    def __call__(self, responses: Responses | Gram | Spectrum) -> Dimension:
        """Effective rank of the total sample covariance, or of a spectrum.

        Args:
            responses: `(repeats, stimuli, units)`, averaged over repeats first; their Gram matrix; or a spectrum.

        Returns:
            A number between 1 and the number of eigenvalues.

        Raises:
            ValueError: if nothing varies, or more than 5 % of a spectrum's eigenvalues are negative.

        Example:
            >>> round(EffectiveRank()(power_law(alpha=1.0, ranks=1000)).value.value, 2)
            179.65
        """
        spectrum = spectrum_of(responses)
        values, notices = without_negative(spectrum)
        found = described(spectrum, "effective_rank", entropy_rank(values, self.offset), "effectiverank")
        return replace(found, notices=found.notices + notices)


PRESETS = {"reptrix": EffectiveRank(offset=1e-7)}
