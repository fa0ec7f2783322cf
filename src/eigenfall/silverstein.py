"""Eigenvalues of a sample covariance, given those of the population.

    v(z):   z = −1/v + (1/F) Σⱼ τⱼ / (1 + τⱼv),   density of the F sample eigenvalues at x:  Im v(x + i0) / π

τⱼ are the population's eigenvalues, one for each of N units; F the degrees of freedom, stimuli less one where means
were taken off. With w = −1/v = a + ib the same equation is

    x = w + (1/F) Σⱼ τⱼ w / (w − τⱼ),   Im x = 0   ⇔   b = 0 or (1/F) Σⱼ τⱼ² / |w − τⱼ|² = 1

For each real a there is one height b ≥ 0, the root of a decreasing function (0 if there is none: a gap), and x rises
with a. So every x is found by itself, exactly on the real line: nothing is continued from afar, and no small imaginary
part blurs the edges. The number of sample eigenvalues above x, F ∫ Im v / π from x on, has the antiderivative
vz + ln v − (1/F) Σ ln(1 + τⱼv):

    count(x) = (F/π) (arg w − x b/|w|²) + (1/π) Σⱼ arg(1 − τⱼ/w)

λₙ of the sample is where the count is n − ½.

Source: Marčenko & Pastur 1967, Math. USSR-Sbornik 1, doi:10.1070/SM1967v001n04ABEH001994; Silverstein & Choi 1995,
J. Multivariate Anal. 54, doi:10.1006/jmva.1995.1058. That x rises with a: Biane 1997, Indiana Univ. Math. J. 46,
doi:10.1512/iumj.1997.46.1467, whose map H(w) this is, of the measure (1/F) Σ τⱼ² δ(τⱼ).
Differs from the source: population eigenvalues are one atom each where they stand apart, and are averaged in groups
that are narrow beside b where they are dense, so that a million of them take some hundred atoms.
"""

import math
from dataclasses import dataclass

import scipy
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from eigenfall.check import need

NARROW = 0.1
"""Width of a group of population ranks about n, over n, as a share of n/F; b over τ is about 3 n/(αF) there."""

WIDEST = 0.02
"""Most that a group's width may be, over its rank."""

STEPS = 100
PRECISE = 1e-12


@dataclass(frozen=True, eq=False)
class Atoms:
    """A population spectrum in groups.

    Attributes:
        values: mean eigenvalue of each group, largest first.
        counts: how many eigenvalues each holds.
        freedom: degrees of freedom of the sample.
    """

    values: Float64[Tensor, " atoms"]
    counts: Float64[Tensor, " atoms"]
    freedom: int

    @property
    def rank(self) -> int:
        """How many sample eigenvalues are not zero."""
        return min(self.freedom, round(float(self.counts.sum())))


@dataclass(frozen=True, eq=False)
class Places:
    """Places on the real line, by the real part a of w = −1/v.

    Attributes:
        x: sample eigenvalue there.
        count: expected number of sample eigenvalues above x.
        density: how many of them there are per unit of x.
        stretch: dx/da.
    """

    x: Float64[Tensor, " places"]
    count: Float64[Tensor, " places"]
    density: Float64[Tensor, " places"]
    stretch: Float64[Tensor, " places"]


def atoms(population: Float64[Tensor, " population"], freedom: int) -> Atoms:
    """A population spectrum, largest first, in groups as narrow as a sample of this size needs.

    Raises:
        ValueError: without a positive eigenvalue, or a degree of freedom.
    """
    population = population[population > 0]
    need(
        len(population) > 0 and freedom >= 1,
        expected="positive population eigenvalues and at least one degree of freedom",
        got=f"{len(population)} of them and {freedom}",
        remedy="Take two stimuli or more.",
    )
    ends = [0]
    while ends[-1] < len(population):
        rank = ends[-1] + 1
        ends.append(min(len(population), ends[-1] + max(1, int(rank * min(NARROW * rank / freedom, WIDEST)))))
    edges = torch.tensor(ends)
    counts = edges.diff()
    groups = torch.arange(len(counts)).repeat_interleave(counts)
    sums = torch.zeros(len(counts), dtype=torch.float64).index_add(0, groups, population)
    return Atoms(sums / counts, counts.double(), freedom)


def places(a: Float64[Tensor, " places"], spectrum: Atoms) -> Places:
    """Sample eigenvalues, counts and densities along a, in any order."""
    tau, freedom = spectrum.values, spectrum.freedom
    weights = spectrum.counts * tau.square() / freedom
    b = _heights(a, tau, weights)
    size = a.square() + b.square()
    w = torch.complex(a, b)
    away = w[:, None] - tau
    x = (w * (1 + (spectrum.counts / freedom * tau / away).sum(1))).real
    turned = torch.atan2(tau * b[:, None], size[:, None] - tau * a[:, None]) @ spectrum.counts
    count = (freedom * (torch.atan2(b, a) - x * b / size) + turned) / math.pi
    slope = 1 - (weights / away.square()).sum(1)
    return Places(x, count, freedom * b / size / math.pi, slope.abs().square() / slope.real)


def _heights(
    a: Float64[Tensor, " places"], tau: Float64[Tensor, " atoms"], weights: Float64[Tensor, " atoms"]
) -> Float64[Tensor, " places"]:
    """b ≥ 0 with Σ weights / ((τ − a)² + b²) = 1, or 0 where the sum is below 1 at b = 0.

    In q = b², 1/Σ is concave and rising, so that Newton's steps from below never pass the root. Each term alone is at
    most 1 at the root: q starts from there.
    """
    distances = (tau - a[:, None]).square()
    q = (weights - distances).amax(1).clamp_min(0)
    for _ in range(STEPS):
        terms = weights / (distances + q[:, None])
        total = terms.sum(1)
        step = (total.square() - total) / (terms / (distances + q[:, None])).sum(1)
        step = torch.where((total > 1) & torch.isfinite(step), step, 0)
        q = q + step
        if bool((step <= 1e-15 * q).all()):
            break
    return q.sqrt()


def sample_eigenvalues(
    population: Float64[Tensor, " population"], freedom: int, ranks: Int64[Tensor, " ranks"]
) -> Float64[Tensor, " ranks"]:
    """Eigenvalues that a sample covariance has, where its population has these.

    Args:
        population: its eigenvalues, largest first.
        freedom: degrees of freedom: stimuli, less one where means were taken off.
        ranks: which are wanted, ascending, from 1 to at most min(freedom, population).

    Returns:
        λ at these ranks, in the unit of the population's. Far ranks are interpolated between log-spaced ones, to a
        part in 10⁵.

    Raises:
        ValueError: for ranks that the sample does not have.

    Example:
        >>> white = sample_eigenvalues(torch.ones(200, dtype=torch.float64), 200, torch.tensor([1, 100]))
        >>> white.numpy().round(2)  # all between 0 and 4
        array([3.87, 0.66])
    """
    spectrum = atoms(population, freedom)
    need(
        len(ranks) > 0 and int(ranks[0]) >= 1 and int(ranks[-1]) <= spectrum.rank,
        expected=f"ranks from 1 to {spectrum.rank}, as {freedom} degrees of freedom and {len(population)} units have",
        got=f"{int(ranks[0])} to {int(ranks[-1])}" if len(ranks) else "none",
        remedy="Ask for those.",
    )
    knots = _knots(spectrum, int(ranks[0]), int(ranks[-1]))
    found = _at_counts(knots.double() - 0.5, spectrum)
    if len(knots) == 1:
        return found.x.expand(len(ranks))
    slopes = -knots / (found.density * found.x)
    spline = scipy.interpolate.CubicHermiteSpline(knots.double().log().numpy(), found.x.log().numpy(), slopes.numpy())
    return torch.as_tensor(spline(ranks.double().log().numpy())).exp()


def _knots(spectrum: Atoms, first: int, last: int) -> Int64[Tensor, " knots"]:
    """Ranks that are solved for: each where atoms stand apart and at either end, log-spaced between."""
    apart = int(2 * math.sqrt(spectrum.freedom / NARROW))
    near = torch.arange(first, max(first, min(last, apart)) + 1)
    if last <= max(first, apart):
        return near
    far = torch.logspace(math.log10(max(first, apart)), math.log10(last), 64, dtype=torch.float64)
    left = torch.logspace(0, math.log10(spectrum.rank), 64, dtype=torch.float64)
    every = torch.cat([near, far.round().long(), spectrum.rank + 1 - left.round().long()]).unique()
    return torch.cat([every[(every > first) & (every < last)], torch.tensor([first, last])]).sort().values


def _at_counts(counts: Float64[Tensor, " places"], spectrum: Atoms) -> Places:
    """The places with these counts, ascending: Newton in a between brackets."""
    grid = _grid(spectrum)
    known = places(grid, spectrum).count.cummax(0).values
    after = torch.searchsorted(known, counts).clamp(1, len(grid) - 1)
    high, low = grid[after - 1], grid[after]
    share = (counts - known[after - 1]) / (known[after] - known[after - 1])
    a = high + (low - high) * share.nan_to_num(0.5).clamp(0, 1)
    found = places(a, spectrum)
    for _ in range(STEPS):
        off = found.count - counts
        high, low = torch.where(off < 0, a, high), torch.where(off >= 0, a, low)
        if bool((off.abs() <= PRECISE * spectrum.freedom).all()):
            break
        step = a + off / (found.density * found.stretch)
        a = torch.where((step <= high) & (step >= low), step, (high + low) / 2)
        found = places(a, spectrum)
    return found


def _grid(spectrum: Atoms) -> Float64[Tensor, " places"]:
    """Values of a, descending, between which all counts lie: at atoms, between them, and beyond them on either side.

    Below 0 there is something only where the population has as many eigenvalues as the sample, or more.
    """
    tau = spectrum.values
    reach = (spectrum.counts * tau.square()).sum().div(spectrum.freedom).sqrt()
    fall = torch.logspace(0, -6, 40, dtype=torch.float64)
    parts = [tau[:1] + reach * fall, tau, (tau[1:] + tau[:-1]) / 2, tau[-1] * fall]
    if float(spectrum.counts.sum()) >= spectrum.freedom:
        parts.append(-reach * fall)
    return torch.cat(parts).unique().flip(0)
