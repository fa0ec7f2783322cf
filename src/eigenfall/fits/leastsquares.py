"""Straight line through log eigenvalue against log rank.

    minimise over α, c:   Σₙ wₙ (ln λₙ + α ln n − c)²,   wₙ = 1/n or 1,   n = first_rank … last_rank

Source: Stringer et al. 2019, Nature 571, Methods, doi:10.1038/s41586-019-1346-5.
Differs from the source: ranks whose eigenvalue is ≤ 0 are left out and counted, and more than 5 % of them is refused.
The source's code fits |λₙ|, which folds negative tail values upward; the presets of that code do too. It ends its
window two below the count of eigenvalues at the latest; ours ends two below their numerical rank.

Presets that are other papers' own: `stringer2019…` are that paper's windows, `stringer2019python` that of its Python
code, whose array of ranks is one off. `kong2022…`: Kong et al. 2022, doi:10.1371/journal.pcbi.1009739, the same code.
`elmoznino2024`: Elmoznino & Bonner 2024, doi:10.1371/journal.pcbi.1011792, fifty log-spaced ranks of the whole
spectrum, unweighted. `gauthaman2024`: Gauthaman, Ménard & Bonner 2024, arXiv:2409.06843, about three bins per decade,
unweighted; they take the middle of a bin's edges as its rank, the least sum of squares at right angles to the line, and
leave the last two bins out. `holzhausen2024`: Holzhausen et al. 2024, arXiv:2405.00679, of layers' spectra over
images, `holzhausen2024_noise` over white noise; unweighted. Their ± is the textbook's standard error of the slope,
which stands beside every unweighted fit: it takes neighbouring ranks, which depend on one another, as independent, and
is no uncertainty of the exponent.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from eigenfall.bins import Weights
from eigenfall.check import need
from eigenfall.types import Spectrum, SpectrumFit
from eigenfall.windows import Window, fitted, need_window, windowed


@dataclass(frozen=True)
class LeastSquares:
    """Exponent of a spectrum by least squares in log-log.

    Attributes:
        first_rank: first rank of the window, counted from 1.
        last_rank: last rank of the window, included; two below the numerical rank if that is less, unless `clip` is
            off. `None`: the numerical rank itself.
        weights: "1/n", every decade of ranks counts alike; or "none".
        clip: shorten a window that passes the numerical rank; off, refuse one that passes the last rank.
        fold: fit |λₙ|, as the source's code does.
        bins_per_decade: average the eigenvalues inside geometric bins of ranks before the logarithm, about so many
            bins per decade; 0: fit every rank.
        log_ranks: fit this many log-spaced ranks of the window; 0: fit every rank.
    """

    cite: ClassVar[str] = "stringer2019"
    first_rank: int = 11
    last_rank: int | None = 500
    weights: Weights = "1/n"
    clip: bool = True
    fold: bool = False
    bins_per_decade: float = 0
    log_ranks: int = 0

    def __post_init__(self) -> None:
        need_window(self.first_rank, self.last_rank)
        need(
            self.bins_per_decade >= 0 and self.log_ranks >= 0 and not (self.bins_per_decade and self.log_ranks),
            expected="bins_per_decade or log_ranks, or neither",
            got=f"bins_per_decade={self.bins_per_decade:g}, log_ranks={self.log_ranks}",
            remedy="Each replaces the ranks that are fitted: leave one at 0.",
        )

    def __call__(self, spectrum: Spectrum) -> SpectrumFit:
        """Fit λₙ = scale · n^−alpha inside the window.

        Args:
            spectrum: eigenvalues `(ranks,)`, in rank order, in squared response units such as (ΔF/F)².

        Returns:
            The fit with the window used and the ranks left out. `alpha` has no unit; `scale` has that of the
            eigenvalues. Without weights, `slope_error` is the textbook's standard error of the slope.

        Raises:
            ValueError: if more than 5 % of the window is not positive, fewer than three ranks are left, or, without
                `clip`, the window passes the last rank.

        Example:
            >>> spectrum = power_law(alpha=1.0, ranks=100)
            >>> round(LeastSquares(1, 100)(spectrum).alpha, 6)
            1.0
        """
        window = windowed(
            spectrum,
            self.first_rank,
            self.last_rank,
            self.weights,
            self.clip,
            self.fold,
            self.bins_per_decade,
            self.log_ranks,
        )
        alpha, intercept = window.power()
        error = {"slope_error": _slope_error(window)} if self.weights == "none" else {}
        return fitted(window, spectrum, "power", {"alpha": alpha, "scale": math.exp(intercept)}, "leastsquares", error)


def _slope_error(window: Window) -> float:
    """√(Σ r² / (n − 2) / Σ (x − x̄)²) of n points x = ln rank with residuals r, as if independent of one another."""
    alpha, intercept = window.power()
    x = window.ranks.log()
    residuals = window.logs - intercept + alpha * x
    return math.sqrt(float(residuals.square().sum() / (x - x.mean()).square().sum()) / max(1, len(x) - 2))


PRESETS = {
    "stringer2019": LeastSquares(11, 500, "1/n", True, True, 0, 0),
    "stringer2019python": LeastSquares(12, 500, "1/n", True, True, 0, 0),
    "stringer2019electrophysiology": LeastSquares(10, 500, "1/n", True, True, 0, 0),
    "stringer2019gratings": LeastSquares(11, 30, "1/n", False, True, 0, 0),
    "stringer2019pixels": LeastSquares(25, 500, "1/n", True, True, 0, 0),
    "stringer2019gabors": LeastSquares(5, 500, "1/n", True, True, 0, 0),
    "kong2022mouse": LeastSquares(12, 500, "1/n", True, True, 0, 0),
    "kong2022macaque": LeastSquares(9, 100, "1/n", True, True, 0, 0),
    "kong2022networks": LeastSquares(10, 999, "1/n", True, True, 0, 0),
    "elmoznino2024": LeastSquares(1, None, "none", True, False, 0, 50),
    "gauthaman2024": LeastSquares(1, None, "none", True, False, 3, 0),
    "holzhausen2024": LeastSquares(11, 500, "none", True, False, 0, 0),
    "holzhausen2024_noise": LeastSquares(11, 100, "none", True, False, 0, 0),
}
