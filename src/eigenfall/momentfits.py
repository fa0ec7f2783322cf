"""Power laws whose eigenmoments are nearest to estimated ones: many fits at once.

    minimise over c, α:   ‖W (m(θ) − m̂)‖²,   mₚ(θ) = (1/N) Σᵢ λᵢᵖ,   ln λᵢ = c − α ln i,   i = 1 … N
    with a break:         slope −α₁ up to rank B, −α beyond it, continuous

W is the inverse root of a covariance of the moments, each moment divided by its standard deviation first: they span so
many decades that the root of the raw covariance is lost to rounding. Σᵢ i⁻ˢ is a direct sum over 64 ranks and
Euler-Maclaurin's formula beyond them, so that a million units cost no more than a hundred.

Source: Pospisil & Pillow, `meme`, which sums over all ranks and calls a bounded least squares per fit.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from eigenfall.check import need

DIRECT = 64
STEEPEST = 8.0
STARTS = 33
SMALL_STEP = 1e-6


def inverse_root(covariance: Float64[Tensor, "orders orders"]) -> Float64[Tensor, "orders orders"]:
    """W with WᵀW = C⁻¹, through the correlation matrix.

    Raises:
        ValueError: if a variance is not positive, or not finite.
    """
    spread = covariance.diagonal().sqrt()
    need(
        bool(torch.isfinite(covariance).all()) and bool((spread > 0).all()),
        expected="a covariance of moments with positive variances",
        got=f"variances {', '.join(f'{value:.3g}' for value in covariance.diagonal().tolist())}",
        remedy="Look for stimuli that are all alike, or take fewer moments.",
    )
    values, vectors = torch.linalg.eigh(covariance / torch.outer(spread, spread))
    scaled = vectors * values.clamp_min(values[-1] * 2.0**-50).rsqrt()
    return scaled @ vectors.T / spread


def power_sums(
    exponents: Float64[Tensor, " fits"], orders: int, first: Float64[Tensor, " fits"], last: Float64[Tensor, " fits"]
) -> tuple[Float64[Tensor, "fits orders"], Float64[Tensor, "fits orders"]]:
    """Σ i⁻ˢ over first ≤ i ≤ last for s = α, 2α, … orders · α, and its derivative in s; 0 if first is larger.

    Args:
        exponents: α ≥ 0 of each.
        orders: how many multiples of it.
        first: whole numbers, from 1.
        last: whole numbers.
    """
    logs = (first[:, None] + torch.arange(DIRECT, dtype=torch.float64, device=exponents.device)).log()
    inside = (logs <= last[:, None].log()).to(exponents)
    # i^−pα is the p-th power of i^−α: one exponential for all orders
    terms = (torch.exp(-exponents[:, None] * logs) * inside)[:, None].expand(-1, orders, -1).cumprod(1)
    total, slope = (terms @ torch.stack([inside, -logs], 2)).unbind(2)
    low, high = (first + DIRECT)[:, None], last[:, None]
    beyond = high >= low
    if bool(beyond.any()):
        p = torch.arange(1, orders + 1, dtype=torch.float64, device=exponents.device)
        rest, rest_slope = _euler_maclaurin(p * exponents[:, None], low, torch.where(beyond, high, low))
        total, slope = total + torch.where(beyond, rest, 0), slope + torch.where(beyond, rest_slope, 0)
    return total, slope


def _euler_maclaurin(s: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Σ i⁻ˢ from low to high and its derivative in s, to about 1e-15 for low ≥ 64."""
    reach = (high / low).log()
    power = (1 - s) * reach
    small = power.abs() < 1e-3
    safe = torch.where(small, 1.0, power)
    ratio = torch.where(small, 1 + power / 2 * (1 + power / 3 * (1 + power / 4)), torch.expm1(safe) / safe)
    ratio_slope = torch.where(
        small, 0.5 + power / 3 * (1 + 3 * power / 8), (safe.exp() - torch.expm1(safe) / safe) / safe
    )
    at_low, at_high = torch.exp(-s * low.log()), torch.exp(-s * high.log())
    low_slope, high_slope = -low.log() * at_low, -high.log() * at_high
    value = at_low * low * reach * ratio + (at_low + at_high) / 2
    slope = low * reach * (low_slope * ratio - at_low * reach * ratio_slope) + (low_slope + high_slope) / 2
    for place, divisor, factor, factor_slope in (
        (1, 12, s, torch.ones_like(s)),
        (3, -720, s * (s + 1) * (s + 2), 3 * s**2 + 6 * s + 2),
        (5, 30240, s * (s + 1) * (s + 2) * (s + 3) * (s + 4), 5 * s**4 + 40 * s**3 + 105 * s**2 + 100 * s + 24),
    ):
        ends = (at_low / low**place - at_high / high**place) / divisor
        value = value + factor * ends
        slope = slope + factor_slope * ends + factor * (low_slope / low**place - high_slope / high**place) / divisor
    return value, slope


def law_moments(
    theta: Float64[Tensor, "fits parameters"], breaks: Float64[Tensor, " fits"] | None, units: int, count: int
) -> tuple[Float64[Tensor, "fits orders"], Float64[Tensor, "fits orders parameters"]]:
    """m₁ … of power laws, and their derivatives in each parameter.

    Args:
        theta: c and α, or c, α₁ and α with breaks.
        breaks: rank B of each break.
        units: N.
        count: how many moments.
    """
    p = torch.arange(1, count + 1, dtype=torch.float64, device=theta.device)
    one = torch.ones(len(theta), dtype=torch.float64, device=theta.device)
    scale = torch.exp(p * theta[:, :1]) / units
    if breaks is None:
        total, slope = power_sums(theta[:, 1], count, one, units * one)
        return scale * total, torch.stack([p * scale * total, p * scale * slope], 2)
    before, after, corner = p * theta[:, 1:2], p * theta[:, 2:3], breaks.log()[:, None]
    head, head_slope = power_sums(theta[:, 1], count, one, breaks)
    tail, tail_slope = power_sums(theta[:, 2], count, breaks + 1, units * one)
    joint = torch.exp((after - before) * corner)
    tail, tail_slope = joint * tail, joint * tail_slope
    found = scale * (head + tail)
    slopes = p * scale * (head_slope - corner * tail), p * scale * (tail_slope + corner * tail)
    return found, torch.stack([p * found, *slopes], 2)


@dataclass(frozen=True, eq=False)
class MomentFits:
    """Several fits.

    Attributes:
        theta: c and α, or c, α₁ and α, of each.
        breaks: rank of each break; `None` without.
        costs: ‖W(m(θ) − m̂)‖² of each.
    """

    theta: Float64[Tensor, "fits parameters"]
    breaks: Float64[Tensor, " fits"] | None
    costs: Float64[Tensor, " fits"]


def fitted(
    values: Float64[Tensor, "fits orders"],
    root: Float64[Tensor, "orders orders"],
    units: int,
    breaks: Float64[Tensor, " fits"] | None = None,
    start: Float64[Tensor, "fits 2"] | None = None,
    steps: int = 100,
) -> MomentFits:
    """The nearest law to each of several estimates: Levenberg and Marquardt, slopes held between 0 and 8.

    Args:
        values: m̂₁ … of each.
        root: W.
        units: N.
        breaks: rank of the break of each; `None`: single laws.
        start: c and α to start from; `None`: the best of a grid of α, each with the c that gives m̂₁.
        steps: at most so many.
    """
    start = _start(values, root, units) if start is None else start
    theta = start.clone() if breaks is None else torch.cat([start, start[:, 1:]], 1)
    damping = torch.full((len(values),), 1e-2, dtype=torch.float64, device=values.device)
    residual, slope = _linearised(theta, breaks, values, root, units)
    costs, live = residual.square().sum(1), torch.arange(len(values), device=values.device)
    for _ in range(steps):
        step = _step(residual[live], slope[live], damping[live])
        tried = theta[live] + step
        tried[:, 1:] = tried[:, 1:].clamp(0, STEEPEST)
        here = None if breaks is None else breaks[live]
        new_residual, new_slope = _linearised(tried, here, values[live], root, units)
        new_costs = new_residual.square().sum(1)
        better = new_costs < costs[live]
        gone = live[better]
        theta[gone], residual[gone], slope[gone] = tried[better], new_residual[better], new_slope[better]
        costs[gone] = new_costs[better]
        damping[live] = torch.where(better, damping[live] / 5, damping[live] * 4).clamp_min(1e-12)
        live = live[step.abs().amax(1) > SMALL_STEP]
        if not len(live):
            break
    return MomentFits(theta, breaks, costs)


def _step(residual: Tensor, slope: Tensor, damping: Tensor) -> Float64[Tensor, "fits parameters"]:
    """Levenberg and Marquardt's step, no longer than .7 in any parameter."""
    normal, towards = slope.transpose(1, 2) @ slope, (slope * residual[:, :, None]).sum(1)
    ridge = torch.diag_embed(normal.diagonal(dim1=1, dim2=2).clamp_min(1e-300) * damping[:, None])
    return -torch.linalg.solve(normal + ridge, towards).clamp(-0.7, 0.7)


def _linearised(
    theta: Tensor, breaks: Tensor | None, values: Tensor, root: Tensor, units: int
) -> tuple[Float64[Tensor, "fits orders"], Float64[Tensor, "fits orders parameters"]]:
    """Weighted residuals and their derivatives."""
    found, slopes = law_moments(theta, breaks, units, values.shape[1])
    return (found - values) @ root.T, root @ slopes


def spread(
    theta: Float64[Tensor, " parameters"],
    root: Float64[Tensor, "orders orders"],
    covariance: Float64[Tensor, "orders orders"],
    units: int,
) -> Float64[Tensor, "parameters parameters"]:
    """First-order covariance of the parameters of a single law that was fitted with W to moments of a covariance."""
    _, slopes = law_moments(theta[None], None, units, len(root))
    effect = torch.linalg.pinv(root @ slopes[0]) @ root
    return effect @ covariance @ effect.T


def _start(values: Tensor, root: Tensor, units: int) -> Float64[Tensor, "fits 2"]:
    """The best of a grid of exponents from 0 to 3.2, each with the scale that gives the first moment."""
    slopes = torch.linspace(0, 3.2, STARTS, dtype=torch.float64, device=values.device)
    shape, _ = law_moments(torch.stack([torch.zeros_like(slopes), slopes], 1), None, units, values.shape[1])
    p = torch.arange(1, values.shape[1] + 1, dtype=torch.float64, device=values.device)
    smallest = 1e-12 * (values.abs() ** (1 / p)).amax(1, keepdim=True)  # each in response units squared
    scale = (torch.maximum(values[:, :1], smallest) / shape[:, 0]).log()  # (fits, slopes)
    tried = torch.exp(p * scale[:, :, None]) * shape
    best = ((tried - values[:, None]) @ root.T).square().sum(2).argmin(1)
    return torch.stack([scale.gather(1, best[:, None])[:, 0], slopes[best]], 1)


def break_ranks(units: int) -> Int64[Tensor, " breaks"]:
    """Where a break is looked for: 2, 4, …, 48, and 26 log-spaced ranks from 50 to the last but one, each once."""
    even = torch.arange(2, 50, 2)
    far = torch.logspace(math.log10(50), math.log10(max(units, 51)), 26, dtype=torch.float64).round().long()
    ranks = torch.cat([even, far]).unique()
    return ranks[ranks < units]


def broken(values: Float64[Tensor, "fits orders"], root: Float64[Tensor, "orders orders"], units: int) -> MomentFits:
    """The nearest broken law to each of several estimates, every rank of the grid tried as its break."""
    grid = break_ranks(units).double().to(values.device)
    start = fitted(values, root, units).theta
    count = len(grid)
    every = fitted(
        values.repeat_interleave(count, 0),
        root,
        units,
        breaks=grid.repeat(len(values)),
        start=start.repeat_interleave(count, 0),
    )
    costs = every.costs.view(len(values), count)
    best = costs.argmin(1) + count * torch.arange(len(values), device=values.device)
    assert every.breaks is not None
    return MomentFits(every.theta[best], every.breaks[best], every.costs[best])
