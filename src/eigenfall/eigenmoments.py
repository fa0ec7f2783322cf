"""Moments of the eigenvalues of a signal covariance, without the eigenvalues: unbiased at any number of stimuli.

    stimuli in random order, paired:   dₜᵢ = (xₜ,₂ᵢ − xₜ,₂ᵢ₊₁) / √2,   A = D₁ D₂ᵀ,   U = strict upper triangle of A
    m̂ₚ = tr(Uᵖ⁻¹ A) / (C(n, p) · N)   estimates   (1/N) Σᵢ λᵢᵖ,   n = ⌊S/2⌋ pairs, N units

It is a mean over increasing cycles i₁ < i₂ < … < iₚ of A[iₚ,i₁] A[i₁,i₂] … A[iₚ₋₁,iₚ]: each index enters with one row
of each repeat, so that independent noise drops out, and the differences drop the mean. Both roles of the repeats are
averaged. One repeat with noise of known mean zero is the case D₁ = D₂ (Kong & Valiant).

The first-order effect of each pair i on m̂ₚ, from weights w on pairs, is

    ψᵢₚ = Σ_q [U^(p−q) A U^(q−1)]ᵢᵢ / (C(n, p) · N) − (p/n) m̂ₚ,   q = 1 … p

and Σ over stimuli of ψψᵀ, each stimulus with the mean effect of the pairs it was in, estimates the covariance of the
moments over stimuli (the infinitesimal jackknife).

Sources: Pospisil & Pillow, `meme`; Kong & Valiant 2017, Ann. Statist. 45, doi:10.1214/16-AOS1525; Efron 1982, The
Jackknife, the Bootstrap and Other Resampling Plans, ch. 6.
"""

import math

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

BLOCK = 128
"""How many rows of a triangular product are computed at once, at most."""


def orders(
    stimuli: int, count: int, generator: torch.Generator, replacement: bool = False
) -> Int64[Tensor, "count even"]:
    """Random orders of the stimuli, one dropped if their number is odd; or draws with replacement."""
    even = stimuli - stimuli % 2
    if replacement:
        return torch.randint(0, stimuli, (count, even), generator=generator)
    return torch.rand(count, stimuli, generator=generator).argsort(1)[:, :even]


def paired(
    across: Float64[Tensor, "stimuli stimuli"], order: Int64[Tensor, "batch even"]
) -> Float64[Tensor, "batch pairs pairs"]:
    """D₁D₂ᵀ of differences of stimuli that follow one another in an order.

    Args:
        across: X₁X₂ᵀ, centred or not.
        order: of the stimuli.
    """
    order = order.to(across.device)
    first, second = order[:, 0::2], order[:, 1::2]
    rows = across[first] - across[second]
    index = first[:, None, :].expand(-1, first.shape[1], -1)
    other = second[:, None, :].expand(-1, first.shape[1], -1)
    return (rows.gather(2, index) - rows.gather(2, other)) / 2


def _counts(pairs: int, units: int, count: int) -> Float64[Tensor, " orders"]:
    """C(n, p) · N for p = 1 … count."""
    return torch.tensor([float(math.comb(pairs, p)) * units for p in range(1, count + 1)], dtype=torch.float64)


def _times_upper(powers: Tensor, upper: Tensor) -> Tensor:
    """A strictly upper triangular matrix times another: half of the products are never made."""
    found = torch.zeros_like(powers)
    side = powers.shape[-1]
    block = min(BLOCK, max(32, side // 4))
    for start in range(0, side, block):
        end = min(start + block, side)
        found[..., start:end, start:] = powers[..., start:end, start:] @ upper[..., start:, start:]
    return found


def moments(
    products: Float64[Tensor, "batch pairs pairs"], units: int, count: int = 10, both: bool = True
) -> Float64[Tensor, "batch orders"]:
    """m̂₁ … of each of several orders: Uᵃ⁺ᵇA from few powers, tr(UᵃUᵇA), 2√K products for K moments.

    Args:
        products: D₁D₂ᵀ, as `paired` makes them.
        units: N.
        count: how many moments, at most as many as there are pairs.
        both: average over both roles of the repeats.
    """
    pairs = products.shape[-1]
    scale = _counts(pairs, units, count).to(products.device)
    total = torch.zeros(len(products), count, dtype=torch.float64, device=products.device)
    step = max(1, math.isqrt(count - 1))
    for own in (products, products.transpose(1, 2))[: 1 + both]:
        upper, closing = own.triu(1), own.tril()  # of UᵇA only what stands on and below the diagonal closes a cycle
        total[:, 0] += own.diagonal(dim1=1, dim2=2).sum(1)
        powers, openings = upper, [upper.mT.flatten(1)]  # Uᵃ, a = 1 … step
        for _ in range(step - 1):
            powers = _times_upper(powers, upper)
            openings.append(powers.mT.flatten(1))
        for order in range(1, count):
            giant, baby = divmod(order - 1, step)
            if giant and not baby:
                closing = _lower_of(powers, closing)
            total[:, order] += torch.linalg.vecdot(openings[baby], closing.flatten(1))
    return total / ((1 + both) * scale)


def influences(
    products: Float64[Tensor, "pairs pairs"], units: int, count: int = 10, both: bool = True
) -> tuple[Float64[Tensor, " orders"], Float64[Tensor, "pairs orders"]]:
    """m̂₁ … of one order, and the first-order effect ψ of each pair on each.

    Holds 2 · count matrices of the size of `products`. The arguments are those of `moments`.
    """
    pairs = len(products)
    scale = _counts(pairs, units, count).to(products.device)
    found = torch.zeros(count, dtype=torch.float64, device=products.device)
    effects = torch.zeros(pairs, count, dtype=torch.float64, device=products.device)
    for own in (products, products.T)[: 1 + both]:
        upper = own.triu(1)
        closing = [own.tril()]  # of Uᵇ A only what stands on and below the diagonal closes a cycle
        openings: list[Tensor] = []  # Uᵃ transposed, a = 1 …
        powers = upper
        for order in range(1, count):
            closing.append(_lower_of(upper, closing[-1]))
            openings.append(powers.T.contiguous())
            if order + 1 < count:
                powers = _times_upper(powers, upper)
        for order in range(count):
            through = closing[order].diagonal().clone()
            found[order] += through.sum()
            for place in range(1, order + 1):
                through += torch.linalg.vecdot(closing[order - place], openings[place - 1])
            effects[:, order] += through
    found, effects = found / ((1 + both) * scale), effects / ((1 + both) * scale)
    share = torch.arange(1, count + 1, dtype=torch.float64, device=products.device) / pairs
    return found, effects - share * found


def _lower_of(upper: Tensor, closing: Tensor) -> Tensor:
    """On and below the diagonal, a strictly upper triangular matrix times a lower triangular one."""
    found = torch.zeros_like(closing)
    side = closing.shape[-1]
    block = min(BLOCK, max(32, side // 4))
    for start in range(0, side, block):
        end = min(start + block, side)
        found[..., start:end, :end] = upper[..., start:end, start:] @ closing[..., start:, :end]
    return found.tril_()
