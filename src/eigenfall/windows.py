"""The ranks of a spectrum that a law is fitted to, and how they are weighted.

    minimise over the law's parameters:   Σₙ wₙ (ln λₙ − ln law(n))²,   wₙ = 1/n or 1,   n = first_rank … last_rank

A window that passes the numerical rank is shortened to end two below it, or refused. Points of it that are not positive
have no logarithm: they are left out and counted, and more than 5 % of them is refused. A point is a rank; or a
geometric bin of ranks, whose eigenvalues are averaged before the logarithm; or one of some log-spaced ranks.

Source: Stringer et al. 2019, Nature 571, Methods, doi:10.1038/s41586-019-1346-5.
Differs from the source: its code ends a window two below the count of eigenvalues, ours two below their numerical rank;
and it fits |λₙ|, which folds negative tail values upward: ours does so only on request.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall import bins
from eigenfall.bins import Weights
from eigenfall.check import need
from eigenfall.laws import log_eigenvalues
from eigenfall.types import Estimate, Spectrum, SpectrumFit

SHARE_LEFT_OUT = 0.05
R2_RANKS = 100
WORDS = {3: "three", 4: "four", 5: "five"}


@dataclass(frozen=True, eq=False)
class Window:
    """Points of a spectrum that a law is fitted to.

    Attributes:
        asked: the window that was asked for, (first rank, last rank).
        used: the window that was used.
        ranks: rank of each point; of a bin, the geometric mean of its ranks.
        logs: ln λ of each point.
        weights: weight of each point; of a bin, the sum over its ranks.
        weighting: "1/n" or "none".
        left_out: ranks that are not positive.
        r2: squared correlation of log rank and log eigenvalue at 100 log-spaced ranks.
        notices: what was shortened, left out and folded, in words.
    """

    asked: tuple[int, int]
    used: tuple[int, int]
    ranks: Float64[Tensor, " points"]
    logs: Float64[Tensor, " points"]
    weights: Float64[Tensor, " points"]
    weighting: Weights
    left_out: tuple[int, ...]
    r2: float
    notices: tuple[str, ...]

    @property
    def middle(self) -> float:
        """Geometric middle of the window, a rank that need not be whole."""
        return math.sqrt(self.used[0] * self.used[1])

    def power(self) -> tuple[float, float]:
        """α and c of the power law ln λₙ = c − α ln n."""
        x, y, w = self.ranks.log(), self.logs, self.weights
        x_mean, y_mean = (w * x).sum() / w.sum(), (w * y).sum() / w.sum()
        alpha = -float((w * (x - x_mean) * (y - y_mean)).sum() / (w * (x - x_mean).square()).sum())
        return alpha, float(y_mean) + alpha * float(x_mean)

    def solved(self, columns: Sequence[Tensor]) -> list[float]:
        """Coefficients of the columns, each `(points,)` and none a sum of others, whose sum is nearest to ln λ."""
        matrix = torch.stack(list(columns), 1)
        size = matrix.abs().amax(0)
        root = self.weights.sqrt()[:, None]
        # "gels" gives the same bits each time; the default driver does not
        found = torch.linalg.lstsq(root * matrix / size, root * self.logs[:, None], driver="gels").solution
        return (found[:, 0] / size).tolist()

    def misfit(self, logs: Float64[Tensor, " points"]) -> float:
        """Weighted root mean square of ln λ less these."""
        return float(((self.weights * (self.logs - logs).square()).sum() / self.weights.sum()).sqrt())


def need_window(first_rank: int, last_rank: int | None) -> None:
    """Refuse ranks that are no window."""
    need(
        first_rank >= 1 and (last_rank is None or first_rank < last_rank),
        expected="1 ≤ first_rank < last_rank",
        got=f"first_rank={first_rank}, last_rank={last_rank}",
        remedy="Ranks count from 1, and the window includes both ends.",
    )


def need_ranks(count: int, first_rank: int, spectrum: Spectrum, least: int = 3) -> None:
    """Refuse a window of too few ranks, naming what the spectrum came from."""
    need(
        count >= least,
        expected=f"a window of at least {WORDS[least]} ranks",
        got=f"{max(0, count)}: it starts at rank {first_rank}, and the numerical rank is {spectrum.numerical_rank} "
        f"with S = {spectrum.stimuli} stimuli and {spectrum.units} units",
        remedy="Start the window earlier, or record more stimuli.",
    )


def windowed(
    spectrum: Spectrum,
    first_rank: int,
    last_rank: int | None,
    weights: Weights = "1/n",
    clip: bool = True,
    fold: bool = False,
    bins_per_decade: float = 0,
    log_ranks: int = 0,
) -> Window:
    """The points of a spectrum inside a window.

    Args:
        spectrum: eigenvalues in rank order.
        first_rank: counted from 1.
        last_rank: included; `None`: the numerical rank.
        weights: "1/n" or "none".
        clip: shorten a window that passes the numerical rank to two below it; off, refuse one that passes the last
            rank.
        fold: take |λₙ|.
        bins_per_decade: average the eigenvalues inside geometric bins of ranks, about so many per decade; 0: do not.
        log_ranks: take this many log-spaced ranks, rounded; those that come twice count twice. 0: do not.

    Raises:
        ValueError: if more than 5 % of the points are not positive, fewer than three are left, or, without `clip`, the
            window passes the last rank.
    """
    last = _last_rank(spectrum, first_rank, last_rank, clip)
    asked = (first_rank, last if last_rank is None else last_rank)
    eigenvalues = spectrum.eigenvalues.detach().cpu()[first_rank - 1 : last]
    points = bins.points(eigenvalues, first_rank, weights, bins_per_decade, log_ranks)
    values = points.values.abs() if fold else points.values
    usable = values > 0
    out = int((~usable).sum())
    need(
        out <= SHARE_LEFT_OUT * len(values),
        expected=f"at most 5 % of {points.where} without a positive {'mean' if bins_per_decade else 'eigenvalue'}",
        got=f"{out} of {len(values)}",
        remedy="End the window earlier: this spectrum is noise there.",
    )
    if bins_per_decade:
        _need_three_bins(int(usable.sum()), points.where)
    need_ranks(int(usable.sum()), first_rank, spectrum)
    notices = []
    if last < asked[1]:
        notices.append(f"window shortened from ranks {first_rank}–{asked[1]} to end at {last}.")
    if out:
        what = "bins" if bins_per_decade else "ranks"
        notices.append(f"{out} of {len(values)} {what} are not positive and were left out.")
    negative = int((eigenvalues < 0).sum())
    if negative and (fold or bins_per_decade):
        how = "averaged with others in their bins" if bins_per_decade else "folded upward"
        notices.append(f"{negative} of {len(eigenvalues)} eigenvalues are negative and were {how}.")
    return Window(
        asked,
        (first_rank, last),
        points.ranks[usable],
        values[usable].log(),
        points.weights[usable],
        weights,
        tuple(points.members[~usable[points.of]].unique().tolist()),
        _r2(eigenvalues.abs() if fold else eigenvalues, first_rank, last),
        tuple(notices),
    )


def fitted(
    window: Window,
    spectrum: Spectrum,
    law: str,
    parameters: Mapping[str, float],
    method: str,
    statistics: Mapping[str, float] | None = None,
    notices: Sequence[str] = (),
) -> SpectrumFit:
    """The fit of a law, with its misfit to the window, beside that of the power law if it is another.

    Args:
        window: what it was fitted to.
        spectrum: where that comes from.
        law: a name in `laws.LAWS`.
        parameters: the law's, and `alpha`.
        method: the part's name.
        statistics: further numbers.
        notices: further words.
    """
    alpha, intercept = window.power()
    beside = {} if law == "power" else {"misfit_of_power": window.misfit(intercept - alpha * window.ranks.log())}
    return SpectrumFit(
        parameters={name: Estimate(value) for name, value in parameters.items()},
        asked=window.asked,
        used=window.used,
        left_out=window.left_out,
        method=method,
        weights=window.weighting,
        r2=window.r2,
        misfit=window.misfit(log_eigenvalues(law, window.ranks, parameters)),
        target=spectrum.target,
        estimator=spectrum.estimator,
        stimuli=spectrum.stimuli,
        units=spectrum.units,
        notices=(*window.notices, *notices),
        law=law,
        statistics={**beside, **(statistics or {})},
    )


def _last_rank(spectrum: Spectrum, first_rank: int, last_rank: int | None, clip: bool) -> int:
    """Last rank of the window, shortened or refused."""
    if last_rank is None or clip:
        rank = spectrum.numerical_rank
        last = rank if last_rank is None else min(last_rank, rank - 2)
        need_ranks(last - first_rank + 1, first_rank, spectrum)
        return last
    ranks = len(spectrum.eigenvalues)
    need(
        last_rank <= ranks,
        expected=f"at least {last_rank} ranks",
        got=f"a spectrum of {ranks}",
        remedy=f"Use last_rank={ranks} or fewer, or record more stimuli.",
    )
    return last_rank


def _need_three_bins(count: int, where: str) -> None:
    need(
        count >= 3,
        expected="at least three bins to fit",
        got=f"{count} of {where}",
        remedy="Take more bins per decade, or a wider window.",
    )


def _r2(values: Float64[Tensor, " ranks"], first_rank: int, last_rank: int) -> float:
    """Squared correlation of ln n and ln λₙ at 100 log-spaced (rounded) ranks; NaN if either is constant."""
    ranks = bins.log_spaced(first_rank, last_rank, R2_RANKS)
    sampled = values[ranks - first_rank]
    x, y = ranks[sampled > 0].double().log(), sampled[sampled > 0].log()
    if len(x) == 0:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    if float(x.abs().max()) == 0 or float(y.abs().max()) < 1e-12:
        return math.nan
    return float((x * y).sum() ** 2 / (x.square().sum() * y.square().sum()))
