"""Eigenvalues of a batch with their gradient, and how far they stand off a power law.

    γₙ = κ n^−α,  rₙ = λₙ/γₙ − 1,   R = (1/divisor) Σₙ>τ₊₁ rₙ² + max(0, rₙ),   κ detached

    eigenvalue of a batch along vₙ:   eₙ = Σ_b ((h_b − h̄)·vₙ)² / (B − 1),   unbiased given V
    R from k of the T ranks beyond τ + 1:   (T/k) Σ over the k / divisor,   unbiased given eₙ and κ

Source: Nassar et al. 2020, arXiv:2012.04729.
Differs from the source: V is projected on, so that no product of two D × D matrices is formed; the anchor, the sides,
the divisor and the treatment of zeros are settings; the sum can be estimated from some of its terms.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from eigenfall import processes
from eigenfall.linalg import symmetric_eigh

Side = Literal["paper", "two_sided", "above", "below", "log"]
Anchor = Literal["ema", "window", "trace", "tau", "absolute"]


# ---------------------------------------------------------------- eigenvalues along a basis


class _ProjectedVariances(torch.autograd.Function):
    """eₙ = ‖Pₙ‖²/(B−1), P = (H − h̄)V. Two products of B × D × ranks, one each way, and no other large pass."""

    @staticmethod
    def forward(ctx, responses: Tensor, basis: Tensor, centre: float | None) -> tuple[Tensor, Tensor]:
        samples, mean = processes.joint_mean(responses)
        projected = (responses - (mean if centre is None else centre)) @ basis
        ctx.samples = samples
        ctx.save_for_backward(projected, basis)
        ctx.mark_non_differentiable(projected)
        return (processes.summed(projected.square().sum(0)) / (samples - 1)).to(projected), projected

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # about the mean the columns of P sum to zero, so its own dependence on H drops out, and a constant has none;
        # the factor of several processes makes up for the average that their loop takes of gradients
        projected, basis = ctx.saved_tensors
        factor = 2 * processes.count() / (ctx.samples - 1)
        return (projected * (gradients[0] * factor).to(projected)) @ basis.T, None, None


def projected_variances(
    responses: Float[Tensor, "samples units"], basis: Float[Tensor, "units ranks"], centre: float | None = None
) -> tuple[Float[Tensor, " ranks"], Float[Tensor, "samples ranks"]]:
    """Variance of the responses along each column of a constant basis, and the centred projections (no gradient).

    With a centre, second moments about that number instead, divided by B − 1 as well. Of a batch that lies in several
    processes, the joint variance, and the projections of this process's rows.
    """
    return _ProjectedVariances.apply(responses, basis, centre)


def doubled(values: Tensor) -> Tensor:
    """Detached and in float64; on the CPU if the device knows no float64."""
    return values.detach().to("cpu" if values.device.type == "mps" else values.device).double()


def current_eigenvalues(
    responses: Float[Tensor, "samples units"],
    earlier: Float64[Tensor, "units units"] | None = None,
    memory: float = 0.0,
) -> tuple[Float[Tensor, " ranks"], Float64[Tensor, "units units"] | None]:
    """Eigenvalues, largest first, of C = memory · earlier + (1 − memory) · C_batch, with their exact gradient; and C.

    No eigenvector is differentiated: dλₙ = vₙᵀ dC vₙ, so along its own eigenvectors, held constant, a covariance has
    its eigenvalues as variances, and they have the right gradient, ties included. With fewer samples than units and
    nothing remembered, the Gram matrix XXᵀ is decomposed instead: there are as many eigenvalues as samples, and no C.
    A batch in several processes has no Gram matrix in any of them: C is decomposed, ranks beyond the samples are 0.
    """
    samples, mean = processes.joint_mean(responses)
    centred = responses - mean
    scaled = doubled(centred) / math.sqrt(int(samples) - 1)
    if earlier is None and len(responses) < responses.shape[1] and processes.count() == 1:
        _, vectors = symmetric_eigh(scaled @ scaled.T)
        along = centred.T @ vectors.to(responses)
        return along.square().sum(0) / (len(responses) - 1), None
    covariance = processes.summed(scaled.T @ scaled)
    if earlier is not None:
        covariance = torch.lerp(covariance, earlier, memory)
    vectors = processes.agreed(symmetric_eigh(covariance)[1])
    variances, _ = projected_variances(responses, vectors.to(responses))
    if earlier is not None:
        kept = (earlier @ vectors * vectors).sum(0).to(responses)
        variances = memory * kept + (1 - memory) * variances
    return variances, covariance


# ------------------------------------------------------------------- distance from the law


def anchor(
    eigenvalues: Float[Tensor, " ranks"], alpha: float, tau: int, how: Anchor, window: int = 10, scale: float = 1.0
) -> Float[Tensor, ""]:
    """Scale κ of the target κ n^−α, detached.

    Args:
        eigenvalues: in the order in which they are held against the target.
        alpha: exponent of the target.
        tau: the target passes through rank τ + 1.
        how: "tau" and "ema" take the eigenvalue of rank τ + 1 (averaging over batches is the caller's); "window" the
            log-space intercept over ranks τ + 1 … τ + window; "trace" makes the sums equal; "absolute" takes `scale`.
        window: how many ranks "window" reads; those that are not positive are left out.
        scale: κ itself, for "absolute".
    """
    values = eigenvalues.detach()
    if how == "absolute":
        return values.new_tensor(scale)
    ranks = torch.arange(1, len(values) + 1, device=values.device, dtype=values.dtype)
    if how == "trace":
        return values.sum() / (ranks**-alpha).sum()
    if how == "window":
        values, ranks = values[tau : tau + window], ranks[tau : tau + window]
        positive = values > 0
        logs = torch.where(positive, values, torch.ones_like(values)).log() + alpha * ranks.log()
        return ((logs * positive).sum() / positive.sum().clamp_min(1)).exp() * positive.any()
    return values[tau] * (tau + 1) ** alpha


def excess(
    eigenvalues: Float[Tensor, " ranks"],
    kappa: Float[Tensor, ""],
    alpha: float,
    tau: int,
    side: Side = "paper",
    units: int | None = None,
    zeros: Literal["kept", "skipped"] = "kept",
) -> Float[Tensor, ""]:
    """R: how far the eigenvalues of ranks τ + 2 and beyond stand off κ n^−α.

    Args:
        eigenvalues: largest first, or in a fixed order.
        kappa: scale of the target; no gradient flows into it. At zero nothing is held against anything, and R is 0.
        alpha: exponent of the target.
        tau: the first τ + 1 ranks are free.
        side: "paper" r² + max(0, r); "two_sided" r²; "above" max(0, r)²; "below" max(0, −r)²; "log" (ln λ − ln γ)².
        units: what the sum is divided by; `None`: the number of its terms.
        zeros: whether ranks with λ ≤ 0 are terms of the sum. With "log" they never are.
    """
    ranks = torch.arange(1, len(eigenvalues) + 1, device=eigenvalues.device, dtype=eigenvalues.dtype)
    target = kappa.detach() * ranks**-alpha
    terms, counted = _terms(eigenvalues[tau + 1 :], target[tau + 1 :], side, zeros)
    return terms.sum() / (counted.sum().clamp_min(1) if units is None else units)


def drawn_ranks(count: int, tau: int, last_rank: int, generator: torch.Generator) -> Int64[Tensor, " drawn"]:
    """So many of the ranks τ + 2 … last_rank, without replacement, in ascending order; where the generator lies."""
    drawn = torch.randperm(last_rank - tau - 1, generator=generator, device=generator.device)[:count]
    return drawn.sort().values + tau + 2


def drawn_excess(
    eigenvalues: Float[Tensor, " drawn"],
    ranks: Int64[Tensor, " drawn"],
    tail: int,
    kappa: Float[Tensor, ""],
    alpha: float,
    side: Side = "paper",
    units: int | None = None,
    zeros: Literal["kept", "skipped"] = "kept",
) -> Float[Tensor, ""]:
    """R estimated from k ranks that were drawn without replacement out of the `tail` ranks beyond τ + 1.

    Over the draws its mean is R, and the mean of its gradient is R's. Its variance is that of a mean of k terms drawn
    without replacement: (tail/divisor)² (1 − k/tail) s²/k, with s² the variance of the terms over the tail, divisor
    tail − 1.

    Args:
        eigenvalues: those of the ranks drawn.
        ranks: counted from 1, each once.
        tail: how many ranks they were drawn from.
        kappa: as in `excess`.
        alpha: exponent of the target.
        side: as in `excess`.
        units: what the sum is divided by; `None`: `tail`, which is the number of terms if every rank is one.
        zeros: whether ranks with λ ≤ 0 are terms of the sum. With "log" they never are.
    """
    target = kappa.detach() * ranks.to(eigenvalues) ** -alpha
    terms, _ = _terms(eigenvalues, target, side, zeros)
    return terms.sum() * (tail / len(ranks)) / (tail if units is None else units)


def _terms(
    eigenvalues: Float[Tensor, " some"],
    target: Float[Tensor, " some"],
    side: Side,
    zeros: Literal["kept", "skipped"],
) -> tuple[Float[Tensor, " some"], Bool[Tensor, " some"]]:
    """What each eigenvalue adds to the sum, 0 where it does not count, and whether it counts."""
    counted = target > 0
    if zeros == "skipped" or side == "log":
        counted = counted & (eigenvalues > 0)
    # a rank that does not count is put where its value and its gradient are finite, before they are taken times 0
    if side == "log":
        ratio = torch.where(counted, eigenvalues, 1.0) / torch.where(counted, target, 1.0)
        terms = ratio.log().square()
    else:
        above = eigenvalues / torch.where(counted, target, torch.inf) - 1
        terms = {
            "paper": lambda: above.square() + above.relu(),
            "two_sided": above.square,
            "above": lambda: above.relu().square(),
            "below": lambda: (-above).relu().square(),
        }[side]()
    return terms * counted, counted


def exponent(eigenvalues: Float[Tensor, " ranks"], tau: int) -> Float[Tensor, ""]:
    """Unweighted least-squares slope of −ln λ on ln n over the positive ranks beyond τ; NaN for fewer than two."""
    values = eigenvalues.detach()[tau:]
    positive = (values > 0).to(values)
    count = positive.sum()
    x = torch.arange(tau + 1, tau + 1 + len(values), device=values.device, dtype=values.dtype).log()
    y = torch.where(values > 0, values, torch.ones_like(values)).log()
    x = (x - (x * positive).sum() / count) * positive
    return -(x * y).sum() / x.square().sum()
