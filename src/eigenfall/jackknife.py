"""How eigenmoments vary over stimuli: the infinitesimal jackknife over few pairings of them.

    C = Σₛ ψ̄ₛ ψ̄ₛᵀ + (Σᵣ (m̂ᵣ − m̂)(m̂ᵣ − m̂)ᵀ − Σᵣₛ (ψᵣₛ − ψ̄ₛ)(ψᵣₛ − ψ̄ₛ)ᵀ) / (R (R − 1))

ψᵣₛ is the effect of stimulus s in pairing r, that of the pair it was in. Its mean over R pairings varies with its
partners too, which is taken off; and so does the mean of the moments, which is added. Where noise outweighs signal,
what is left may give a moment no variance; then every combination of the moments keeps a share of what it had before.

Source: Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, ch. 6.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

LEAST = 0.1
"""Share of the uncorrected variance that every combination of moments then keeps."""


def jackknifed(
    values: Float64[Tensor, "pairings orders"], effects: Float64[Tensor, "pairings stimuli orders"]
) -> tuple[Float64[Tensor, " orders"], Float64[Tensor, "orders orders"]]:
    """Moments averaged over pairings, and their covariance over stimuli.

    Args:
        values: m̂₁ … of each pairing.
        effects: of each stimulus in each pairing.
    """
    mean, count = effects.mean(0), len(values)
    whole = mean.T @ mean
    if count == 1:
        return values[0], whole
    off, among = (effects - mean).flatten(0, 1), values - values.mean(0)
    return values.mean(0), _at_least(whole + (among.T @ among - off.T @ off) / (count * (count - 1)), whole)


def _at_least(
    corrected: Float64[Tensor, "orders orders"], whole: Float64[Tensor, "orders orders"]
) -> Float64[Tensor, "orders orders"]:
    """The corrected covariance; if it gives a moment no variance, no combination has less than its least share."""
    size = whole.diagonal().sqrt()
    if bool((corrected.diagonal() > 0).all()) or not bool((size > 0).all()):
        return corrected
    values, vectors = torch.linalg.eigh(whole / torch.outer(size, size))
    values = values.clamp_min(values[-1] * 2.0**-50)
    there, back = vectors * values.rsqrt(), vectors * values.sqrt()
    shares, turned = torch.linalg.eigh(there.T @ (corrected / torch.outer(size, size)) @ there)
    sides = (back @ turned) * shares.clamp_min(LEAST).sqrt()
    return (sides @ sides.T) * torch.outer(size, size)
