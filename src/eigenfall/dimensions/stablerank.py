"""Stable rank: the total variance over the largest eigenvalue.

    Σλ / λ₁ = ‖X‖²_F / ‖X‖²₂

Source: Rudelson & Vershynin 2007, Journal of the ACM 54, article 21, doi:10.1145/1255443.1255449, where it is called
the numerical rank of X; here X are the responses less each unit's mean.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.check import need
from eigenfall.dimensions._eigenvalues import described, spectrum_of
from eigenfall.types import Dimension, Gram, Responses, Spectrum


@dataclass(frozen=True)
class StableRank:
    """How many times the largest variance along an axis goes into the total variance."""

    cite: ClassVar[str] = "rudelson2007"

    def __call__(self, responses: Responses | Gram | Spectrum) -> Dimension:
        """Stable rank of the total sample covariance, or of a spectrum.

        Args:
            responses: `(repeats, stimuli, units)`, averaged over repeats first; their Gram matrix; or a spectrum, in
                which negative eigenvalues count as they are.

        Returns:
            A number that small eigenvalues hardly move.

        Raises:
            ValueError: if nothing varies.

        Example:
            >>> round(StableRank()(power_law(alpha=1.0, ranks=1000)).value.value, 4)
            7.4855
        """
        spectrum = spectrum_of(responses)
        largest = float(spectrum.eigenvalues.max())
        need(
            largest > 0,
            expected="a largest eigenvalue above 0",
            got=f"{largest:.3g}",
            remedy="Look at what the spectrum was made of.",
        )
        return described(spectrum, "stable_rank", float(spectrum.eigenvalues.sum()) / largest, "stablerank")
