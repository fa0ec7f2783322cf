"""Power law of the population, fitted through what a finite sample makes of it.

    minimise over α, c:   Σₙ wₙ (ln λₙ − ln mₙ(α) − c)²,   wₙ = 1/n or 1,   n = first_rank … last_rank

mₙ(α) is the n-th eigenvalue of a sample covariance whose population has the eigenvalues j^−α, j = 1 … units, with as
many degrees of freedom as the spectrum's stimuli, less one if means were taken off (`silverstein.py`). A sample spreads
its eigenvalues: the top ones come out too large, the last ones too small, and a straight line through them has an
exponent that depends on the window. Here the law is bent as the sample bends it, and no window is better than another.

mₙ is tabulated in steps of .05 in α, kept for the next spectrum of the same size, and interpolated by six points.

Source: Marčenko & Pastur 1967, Math. USSR-Sbornik 1, doi:10.1070/SM1967v001n04ABEH001994, for the sample's spectrum.
Differs from the source: it is used for a fit. Stimuli are taken for independent draws, and the power law for true at
every rank: noise is part of the population, and beyond the window the exponent is an extrapolation.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.bins import Weights
from eigenfall.check import need
from eigenfall.silverstein import sample_eigenvalues
from eigenfall.types import Spectrum, SpectrumFit
from eigenfall.windows import Window, fitted, need_window, windowed

STEP = 0.05
POINTS = 6
ALPHAS = (0.0, 8.0)
TARGETS = {"total sample": "total population", "signal sample": "signal population"}


@dataclass(frozen=True)
class MarchenkoPastur:
    """Exponent of the population behind a sample spectrum, by least squares in ln λ of the sample.

    Attributes:
        first_rank: first rank of the window, counted from 1.
        last_rank: last rank of the window, included; two below the numerical rank if that is less, unless `clip` is
            off. `None`: the numerical rank itself.
        weights: "1/n", every decade of ranks counts alike; or "none".
        clip: shorten a window that passes the numerical rank; off, refuse one that passes the last rank.
    """

    cite: ClassVar[str] = "marchenko1967"
    holds_power_law: ClassVar[bool] = False
    first_rank: int = 11
    last_rank: int | None = 500
    weights: Weights = "1/n"
    clip: bool = True

    def __post_init__(self) -> None:
        need_window(self.first_rank, self.last_rank)

    def __call__(self, spectrum: Spectrum) -> SpectrumFit:
        """Fit a population with eigenvalues scale · n^−alpha, n = 1 … units.

        Args:
            spectrum: of the covariance of a sample, such as `pca` gives, in squared response units.

        Returns:
            The fit; its target is the population that the spectrum's sample was drawn from, and its misfit is that of
            the sample's spectrum. `sample_alpha` among the statistics is the exponent of a straight line in the same
            window.

        Raises:
            ValueError: for a spectrum of anything but a sample covariance, more ranks than its stimuli and units can
                have, a window with more than 5 % that is not positive or fewer than three ranks, or, without `clip`,
                a window that passes the last rank.
        """
        _need_sample(spectrum)
        window = windowed(spectrum, self.first_rank, self.last_rank, self.weights, self.clip)
        sizes = (spectrum.units, spectrum.stimuli - int(spectrum.centred))
        _need_possible(window, sizes)
        alpha, intercept, predicted = _least(window, sizes)
        found = fitted(
            window,
            spectrum,
            "power",
            {"alpha": alpha, "scale": math.exp(intercept)},
            "marchenkopastur",
            {"sample_alpha": window.power()[0], "freedom": sizes[1]},
            _notices(alpha, spectrum),
        )
        return replace(found, target=TARGETS[spectrum.target], misfit=window.misfit(intercept + predicted))

    def sampled(self, fit: SpectrumFit, ranks: Float64[Tensor, " ranks"]) -> Float64[Tensor, " ranks"]:
        """ln λ that a sample of the same size has at whole ranks, where this fit is true."""
        logs = _predicted(fit.alpha, (fit.units, int(fit.statistics["freedom"])))[0]
        return math.log(fit.parameters["scale"].value) + logs[ranks.long() - 1]


Sizes = tuple[int, int]
"""Units, degrees of freedom."""


@lru_cache(maxsize=128)
def _tabulated(step: int, sizes: Sizes) -> Float64[Tensor, " ranks"]:
    """ln m at every rank, for α = step · STEP. Kept: it must not be changed."""
    units, freedom = sizes
    population = torch.arange(1, units + 1, dtype=torch.float64) ** -(step * STEP)
    return sample_eigenvalues(population, freedom, torch.arange(1, min(sizes) + 1)).log()


def _predicted(alpha: float, sizes: Sizes) -> tuple[Float64[Tensor, " ranks"], Float64[Tensor, " ranks"]]:
    """ln m and its derivative in α, by the polynomial through the six nearest steps."""
    place = alpha / STEP
    first = min(max(0, math.floor(place) - POINTS // 2 + 1), round(ALPHAS[1] / STEP) - POINTS + 1)
    rows = torch.stack([_tabulated(step, sizes) for step in range(first, first + POINTS)])
    powers = torch.arange(POINTS, dtype=torch.float64)
    nodes = powers - (POINTS - 1) / 2
    x = place - first - (POINTS - 1) / 2
    coefficients = torch.linalg.solve(nodes[:, None] ** powers, rows)
    values = torch.tensor(x, dtype=torch.float64) ** powers
    slopes = powers[1:] * values[:-1]
    return values @ coefficients, slopes @ coefficients[1:] / STEP


def _least(window: Window, sizes: Sizes) -> tuple[float, float, Float64[Tensor, " points"]]:
    """α and c of the least misfit, and ln m there: Gauss–Newton, halved where it would not descend."""
    w = window.weights / window.weights.sum()
    places = window.ranks.long() - 1

    def off(alpha: float) -> tuple[Tensor, Tensor, Tensor]:
        logs, slopes = (found[places] for found in _predicted(alpha, sizes))
        rest = window.logs - logs
        return logs, rest - w @ rest, slopes - w @ slopes

    alpha = min(max(window.power()[0], ALPHAS[0]), ALPHAS[1])
    logs, rest, slopes = off(alpha)
    for _ in range(100):
        step = float((w * rest) @ slopes / ((w * slopes) @ slopes))
        ahead = min(max(alpha + step, ALPHAS[0]), ALPHAS[1])
        there = off(ahead)
        while w @ there[1].square() > w @ rest.square() and abs(ahead - alpha) > 1e-10:
            ahead = (alpha + ahead) / 2
            there = off(ahead)
        moved, alpha, (logs, rest, slopes) = abs(ahead - alpha), ahead, there
        if moved < 1e-10:
            break
    return alpha, float(w @ (window.logs - logs)), logs


def _need_sample(spectrum: Spectrum) -> None:
    need(
        spectrum.of == "covariance" and spectrum.target in TARGETS,
        expected="the spectrum of a sample covariance, such as pca gives",
        got=f"a {spectrum.target} spectrum" if spectrum.of == "covariance" else f"a spectrum of the {spectrum.of}",
        remedy="Only a sample is bent as this fit bends its law: use leastsquares.",
    )


def _need_possible(window: Window, sizes: Sizes) -> None:
    need(
        window.used[1] <= min(sizes),
        expected=f"at most {min(sizes)} ranks from {sizes[0]} units and {sizes[1]} degrees of freedom",
        got=f"a window of ranks {window.used[0]}–{window.used[1]}",
        remedy="Say how many stimuli and units the spectrum comes from.",
    )


def _notices(alpha: float, spectrum: Spectrum) -> list[str]:
    notices = []
    if alpha in ALPHAS:
        notices.append(f"alpha is at its bound, {alpha:g}: no power law of the population gives this spectrum.")
    if spectrum.target == "signal sample":
        notices.append("only the finite number of stimuli is corrected for, not what noise does to the estimator.")
    return notices
