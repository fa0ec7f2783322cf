"""α-ReQ: the exponent of a representation's spectrum over a fixed window of ranks.

    λₙ / Σλ ∝ n^−α,   least squares in log-log, weights 1/n, n = 11 … 100

Source: Agrawal et al. 2022, Advances in Neural Information Processing Systems 35; the fit is that of Stringer et al.
2019, Nature 571. The window is the default of the authors' package `reptrix`: the article gives none to hold on to.
Differs from the source: all eigenvalues are computed, not the first 2048, which moves no exponent inside the window.
A window that passes the numerical rank is shortened; `reptrix` fits logarithms of rounding there. Its fitting function
adds 1 to its caller's array of ranks, so that a second call with the same array fits another window; ours holds none.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from eigenfall.check import one_of
from eigenfall.dimensions._eigenvalues import described, spectrum_of
from eigenfall.dimensions._line import Weights, line, need_window
from eigenfall.types import Dimension, Gram, Responses, Spectrum


@dataclass(frozen=True)
class AlphaReQ:
    """Exponent of the rank law, as it is quoted for networks: not a number of dimensions, and smaller where more count.

    Attributes:
        first_rank: first rank of the window, counted from 1.
        last_rank: last rank of the window, included; two below the numerical rank if that is less, unless `clip` is
            off.
        weights: "1/n", every decade of ranks counts alike; or "none".
        clip: shorten a window that passes the numerical rank; off, refuse one that passes the last rank.
    """

    cite: ClassVar[str] = "agrawal2022"
    first_rank: int = 11
    last_rank: int = 100
    weights: Weights = "1/n"
    clip: bool = True

    def __post_init__(self) -> None:
        one_of(self.weights, ("1/n", "none"), "weights")
        need_window(self.first_rank, self.last_rank)

    def __call__(self, responses: Responses | Gram | Spectrum) -> Dimension:
        """α of the total sample covariance, or of a spectrum.

        Args:
            responses: `(repeats, stimuli, units)`, averaged over repeats first; their Gram matrix; or a spectrum.

        Returns:
            The exponent, under the rank convention; `of` says over which ranks.

        Raises:
            ValueError: if nothing varies, fewer than three ranks are left, more than 5 % of the window is not positive,
                or, without `clip`, the window passes the last rank.

        Example:
            >>> print(AlphaReQ()(power_law(alpha=1.3, ranks=200)))
            alpha req = 1.3 (rank convention)
        """
        spectrum = spectrum_of(responses)
        found = line(spectrum, self.first_rank, self.last_rank, self.weights, self.clip)
        first, last = found.used
        of = f"eigenvalues, ranks {first}–{last}, weights {self.weights},"
        dimension = described(spectrum, "alpha_req", found.alpha, "alphareq", of)
        return replace(dimension, convention="rank", notices=dimension.notices + found.notices)


PRESETS = {"reptrix": AlphaReQ(first_rank=11, last_rank=100, weights="1/n", clip=False)}
