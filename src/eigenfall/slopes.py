"""How straight a spectrum is: its exponent rank by rank, and the same fit in other windows.

α(n) = −d ln λ / d ln n,   by a straight line with weights 1/n through the ranks from n/√span to n·√span
"""

import math
from dataclasses import replace
from typing import Any

import torch

from eigenfall.bins import log_spaced
from eigenfall.check import need
from eigenfall.types import LocalSlopes, Spectrum, SpectrumFit
from eigenfall.windows import SHARE_LEFT_OUT, need_ranks

FIRST = (0.25, 0.5, 1.0, 2.0, 4.0)
LAST = (1.0, 0.5, 0.25, 0.125)
NARROWEST = 4


def local_slopes(spectrum: Spectrum, span: float = 3.0, places: int = 100) -> LocalSlopes:
    """Exponent of a spectrum in stretches of ranks, of equal width in ln n.

    Args:
        spectrum: eigenvalues in rank order, up to their numerical rank.
        span: last over first rank of a stretch.
        places: how many stretches at most, log-spaced; each has three ranks at least.

    Returns:
        The exponent at the geometric middle of each stretch; NaN where more than 5 % of the ranks are not positive.

    Raises:
        ValueError: for a span that is not above 1, or a spectrum of fewer than three ranks.

    Example:
        >>> float(local_slopes(power_law(alpha=1.2, ranks=300)).alpha.mean().round(decimals=6))
        1.2
    """
    need(
        span > 1, expected="a span above 1", got=f"{span:g}", remedy="It is the last rank of a stretch over its first."
    )
    rank = spectrum.numerical_rank
    need_ranks(rank, 1, spectrum)
    longest = max(1, min(rank - 2, math.floor(rank / span)))
    first = log_spaced(1, longest, places).unique()
    last = torch.maximum(first + 2, (first * span).floor().long())
    x = torch.arange(1, rank + 1, dtype=torch.float64).log()
    values = spectrum.eigenvalues.detach().cpu()[:rank]
    usable = values > 0
    w = torch.where(usable, 1 / x.exp(), 0)
    y = torch.where(usable, values, 1).log()
    y = y - y.mean()
    sums = torch.stack([w, w * x, w * x * x, w * y, w * x * y, (~usable).double()]).cumsum(1)
    sums = torch.cat([torch.zeros(len(sums), 1, dtype=torch.float64), sums], 1)
    ones, linear, square, value, product, out = sums[:, last] - sums[:, first - 1]
    alpha = -(product - linear * value / ones) / (square - linear * linear / ones)
    alpha[out > SHARE_LEFT_OUT * (last - first + 1)] = math.nan
    return LocalSlopes((first * last).double().sqrt(), alpha, span)


def sensitivity(spectrum: Spectrum, fit: Any) -> tuple[SpectrumFit, ...]:
    """The same fit in a table of windows.

    First ranks are ¼, ½, 1, 2 and 4 times the fit's; last ranks two below the numerical rank, and 1, ½, ¼ and ⅛ times
    the last that the fit used; of these the windows whose last rank is at least four times the first.

    Args:
        spectrum: eigenvalues in rank order.
        fit: a fit with settings `first_rank` and `last_rank`.

    Returns:
        The fit in its own window first, then in the others, by first and last rank. Windows that were refused are left
        out, and counted in a notice of the first.

    Raises:
        ValueError: for a fit without a window, or one that refuses the spectrum in its own.
    """
    need(
        hasattr(fit, "first_rank") and hasattr(fit, "last_rank"),
        expected="a fit with settings first_rank and last_rank",
        got=type(fit).__name__,
        remedy="Other windows can be tried only where a window is a setting.",
    )
    own = fit(spectrum)
    found, refusals = [], []
    for first, last in _table(spectrum, own.used):
        try:
            found.append(replace(fit, first_rank=first, last_rank=last)(spectrum))
        except ValueError as reason:
            refusals.append(str(reason))
    if refusals:
        tried = len(found) + len(refusals)
        words = f"{len(refusals)} of {tried} other windows could not be fitted. {refusals[0]}"
        own = replace(own, notices=(*own.notices, words))
    return own, *found


def _table(spectrum: Spectrum, used: tuple[int, int]) -> list[tuple[int, int]]:
    """Other windows than the one that was used, as far as the spectrum goes."""
    first, last = used
    firsts = {max(1, round(first * factor)) for factor in FIRST}
    lasts = {round(last * factor) for factor in LAST} | {max(last, spectrum.numerical_rank - 2)}
    every = [(a, b) for a in sorted(firsts) for b in sorted(lasts) if b >= NARROWEST * a and b >= a + 2]
    return [window for window in every if window != used]
