"""Traces of a covariance without bias, from sums over distinct stimuli; noise drops out between repeats.

Of each stimulus i, n repeats xᵢ₁ … xᵢₙ of N units, with the same mean zᵢ and independent noise:

    mᵢ = mean over repeats           qᵢ = mean over pairs t ≠ u of xᵢₜ xᵢᵤᵀ = mᵢmᵢᵀ − Σₜ eᵢₜeᵢₜᵀ,
                                     eᵢₜ = (xᵢₜ − mᵢ) / √(n(n − 1));   with one repeat qᵢ = mᵢmᵢᵀ, and noise stays in

have the means zᵢ and zᵢzᵢᵀ. So that nothing is squared with its own error, each factor below has stimuli of its own:

    (tr C)²  =  mean over distinct i j k l of   tr qᵢ tr qⱼ − 2 tr qᵢ mⱼ·mₖ + mᵢ·mⱼ mₖ·mₗ
    tr C²    =  mean over distinct i j k l of   tr qᵢqⱼ − 2 mⱼ·qᵢmₖ + mᵢ·mⱼ mₖ·mₗ

Both are U-statistics: unbiased for the covariance C of z over all stimuli there are, whatever its distribution. Only
differences between stimuli enter, so each unit's mean may be taken off first. With Σm = 0, sums over distinct stimuli
become sums over all, and over one at a time:

    W = Σ mmᵀ   U = Σ qᵢ   dᵢ = mᵢ·mᵢ   aᵢ = tr qᵢ
    Σ aᵢaⱼ         = (Σa)² − Σa²               Σ aᵢ mⱼ·mₖ   = 2 Σad − Σa Σd
    Σ tr qᵢqⱼ      = ‖U‖² − Σ ‖qᵢ‖²            Σ mⱼ·qᵢmₖ    = 2 Σ mᵢ·qᵢmᵢ − tr UW
    Σ mᵢ·mⱼ mₖ·mₗ  = (Σd)² + 2 ‖W‖² − 6 Σd²

What pairs of equal units α add to either is the same expression of that unit alone, with W = Σd: leaving these out, for
distinct units, is one subtraction.

Source: Chun, Canatar, Chung & Lee 2026, ICLR, arXiv:2509.26560.
Differs from the source: any number of repeats, over all pairs of them and both roles, also where numbers differ between
stimuli; the source has two, each in one role. Sums are read off second moments on the smaller side.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.types import Gram

BLOCK = 2**22
"""How many values of a Gram matrix are looked at at once: 32 MB in float64."""

PerStimulus = Float64[Tensor, "stimuli rows rows"]
"""Inner products of (m, e₁ … e_T) of each stimulus."""


@dataclass(frozen=True)
class Norms:
    """What sums over pairs of stimuli contribute.

    Attributes:
        mean: ‖W‖².
        signal: ‖U‖².
        both: tr UW.
    """

    mean: float
    signal: float
    both: float


def of_units(mean: Float64[Tensor, "units units"], noise: Float64[Tensor, "units units"]) -> Norms:
    """From W = Σ mmᵀ and V = Σ eeᵀ over units: U = W − V."""
    signal = mean - noise
    return Norms(float(mean.square().sum()), float(signal.square().sum()), float((mean * signal).sum()))


def of_stimuli(moments: Gram, weights: Float64[Tensor, " stimuli"]) -> tuple[Norms, PerStimulus]:
    """From second moments of all pairs of repeats over stimuli; also the inner products of each stimulus.

    Args:
        moments: of complete repeats, a missing one replaced by the mean of the others; centred, so that Σm = 0.
        weights: 1/√(n(n − 1)) for each stimulus, n the repeats it had; 0 for one repeat.
    """
    repeats, stimuli = moments.repeats, moments.stimuli
    blocks = moments.matrix.unflatten(0, (repeats, stimuli)).unflatten(2, (repeats, stimuli))
    weights = weights.to(blocks.device)
    sums = torch.zeros(3, dtype=torch.float64, device=blocks.device)
    each = blocks.new_zeros(stimuli, 1 + repeats, 1 + repeats)
    for at in torch.arange(stimuli, device=blocks.device).split(max(1, BLOCK // (repeats**2 * stimuli))):
        here = blocks[:, at]
        by_mean = here.mean(2)
        mean = by_mean.mean(0)  # mᵢ·mⱼ
        mixed = (by_mean - mean) * weights[at, None]  # eᵢₜ·mⱼ
        noise = here - here.mean(0) - by_mean[:, :, None] + mean[:, None]  # eᵢₜ·eⱼᵤ
        noise = noise * weights[at, None, None] * weights
        sums += torch.stack([mean.square().sum(), mixed.square().sum(), noise.square().sum()])
        row = torch.arange(len(at), device=blocks.device)
        each[at, 0, 0] = mean[row, at]
        each[at, 1:, 0] = each[at, 0, 1:] = mixed[:, row, at].T
        each[at, 1:, 1:] = noise[:, row, :, at]
    squares, mixed_squares, noise_squares = sums.tolist()
    signal = squares - 2 * mixed_squares + noise_squares
    return Norms(squares, signal, squares - mixed_squares), each


def traces(each: PerStimulus, norms: Norms) -> tuple[float, float]:
    """(tr C)² and tr C², without bias.

    Args:
        each: inner products of (m, e₁ … e_T) of each stimulus.
        norms: of the same stimuli.
    """
    d, v = each[:, 0, 0], each[:, 1:, 1:].diagonal(dim1=1, dim2=2).sum(1)
    mixed = each[:, 0, 1:].square().sum(1)
    a, along = d - v, d.square() - mixed  # tr qᵢ, mᵢ·qᵢmᵢ
    squared = d.square() - 2 * mixed + each[:, 1:, 1:].square().sum((1, 2))  # ‖qᵢ‖²
    sums = torch.stack([a, d, a.square(), a * d, d.square()]).sum(1)
    stimuli = len(each)
    four = _four(sums[1], sums[4], torch.tensor(norms.mean, dtype=torch.float64), stimuli)
    two = (norms.signal - float(squared.sum())) / (stimuli * (stimuli - 1))
    three = (2 * float(along.sum()) - norms.both) / (stimuli * (stimuli - 1) * (stimuli - 2))
    return float(_two_less_three(sums, stimuli) + four), two - 2 * three + float(four)


def of_equal_units(sums: Float64[Tensor, "5 units"], stimuli: int) -> float:
    """What pairs of a unit with itself add to both traces.

    Args:
        sums: Σa, Σd, Σa², Σad, Σd² of each unit, where Σm = 0.
        stimuli: how many there are.
    """
    return float((_two_less_three(sums, stimuli) + _four(sums[1], sums[4], sums[1].square(), stimuli)).sum())


def _two_less_three(sums: Tensor, stimuli: int) -> Tensor:
    """Mean of aᵢaⱼ − 2 aᵢ mⱼ·mₖ over distinct stimuli, from Σa, Σd, Σa², Σad, Σd²."""
    a, d, aa, ad, _ = sums
    pairs = stimuli * (stimuli - 1)
    return (a.square() - aa) / pairs - 2 * (2 * ad - a * d) / (pairs * (stimuli - 2))


def _four(d: Tensor, dd: Tensor, squares: Tensor, stimuli: int) -> Tensor:
    """Mean of mᵢ·mⱼ mₖ·mₗ over distinct stimuli, from Σd, Σd² and ‖W‖²."""
    orders = stimuli * (stimuli - 1) * (stimuli - 2) * (stimuli - 3)
    return (d.square() + 2 * squares - 6 * dd) / orders
