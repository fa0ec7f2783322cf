"""A population of known spectrum, and second moments of recordings from it: nothing of the size of its units is made.

    xₜ = z + eₜ,   Cov z = V Λ Vᵀ,   Cov e = a V M Vᵀ + (1 − a) R M Rᵀ,   z and e normal, e new in each repeat

Λ is a rank law, M = scale · n^−β, V and R random orthonormal bases, a the share of noise that has the signal's
eigenvectors. Only Gram matrices over stimuli are drawn, in the eigenbasis of the signal: the first ranks as they are,
the rest by what they add up to, Σλ on the diagonal and normal entries of variance Σλ² everywhere. A rotation of the
units changes no Gram matrix, so that V need not exist; R relative to V is a product of random signs and cosine
transforms.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.laws import eigenvalues
from eigenfall.types import Gram

EXPLICIT = 4096
"""How many ranks are drawn one by one."""


@dataclass(frozen=True)
class Population:
    """What a recording is drawn from.

    Attributes:
        law: of the signal's eigenvalues, a name in `laws.LAWS`.
        parameters: of the law, by name.
        units: how many units, and eigenvalues.
        noise_scale: largest eigenvalue of one repeat's noise.
        noise_alpha: exponent of the noise's eigenvalues.
        alignment: share of the noise that has the signal's eigenvectors, from 0 to 1.
    """

    law: str
    parameters: Mapping[str, float]
    units: int
    noise_scale: float
    noise_alpha: float
    alignment: float

    @property
    def signal(self) -> Float64[Tensor, " units"]:
        """Eigenvalues of the signal."""
        return eigenvalues(self.law, self.units, self.parameters)

    @property
    def noise(self) -> Float64[Tensor, " units"]:
        """Eigenvalues of the noise of one repeat, of either part before it is weighed."""
        return eigenvalues("power", self.units, {"scale": self.noise_scale or 1.0, "alpha": self.noise_alpha}) * (
            self.noise_scale > 0
        )

    @property
    def signal_share(self) -> float:
        """Share of the signal in the variance of one repeat."""
        signal = float(self.signal.sum())
        return signal / (signal + float(self.noise.sum()))


# ------------------------------------------------------------------------------- from a recording


def population_of(moments: Gram, law: str, parameters: Mapping[str, float]) -> Population:
    """The population with this signal whose noise has the size, the spread and the alignment of a recording's.

    Noise is read off differences of repeats: δ = (x₁ − x₂)/√2 has covariance C_N and mean 0, so that

        tr C_N = E δᵢᵀδᵢ,   tr C_N² = E (δᵢᵀδⱼ)²,   tr C_S C_N = E (x₁ᵢᵀδⱼ)(x₂ᵢᵀδⱼ),   i ≠ j

    and scale, exponent and alignment of the noise are those that give the three.

    Args:
        moments: of two repeats, on the stimulus side.
        law: of the signal.
        parameters: of the law.
    """
    need(
        moments.side == "stimuli" and moments.repeats >= 2,
        expected="a Gram matrix of two repeats over stimuli, to tell noise from signal",
        got=f"{moments.repeats} over {moments.side}",
        remedy="Make it with eigenfall.grams.gram(responses, side='stimuli').",
    )
    own, cross = moments.pair(0, 0), moments.pair(0, 1)
    theirs = moments.pair(1, 1)
    others = ~torch.eye(moments.stimuli, dtype=torch.bool, device=own.device)
    size = float(((own + theirs - cross - cross.T).diagonal() / 2).mean())
    square = float(((own + theirs - cross - cross.T) / 2)[others].square().mean())
    shared = float((((own - cross) * (cross.T - theirs)) / 2)[others].mean())
    signal = eigenvalues(law, moments.units, parameters)
    alignment, alpha, scale = 0.0, 1.0, size
    for _ in range(20):
        alpha = _noise_alpha(size, square, alignment, moments.units)
        shape = _powers(alpha, moments.units)
        scale = size / float(shape.sum())
        apart = float(signal.sum()) * size / moments.units
        aligned = float((signal * shape).sum()) * scale
        share = (shared - apart) / (aligned - apart) if aligned > apart else 0.0
        alignment = min(max(share, 0.0), 1.0)
    return Population(law, dict(parameters), moments.units, max(scale, 0.0), alpha, alignment)


def _powers(alpha: float, units: int) -> Float64[Tensor, " units"]:
    return torch.arange(1, units + 1, dtype=torch.float64) ** -alpha


def _noise_alpha(size: float, square: float, alignment: float, units: int) -> float:
    """The exponent, from 0 to 4, at which noise of this size has this sum of squared eigenvalues."""
    low, high = 0.0, 4.0
    for _ in range(50):
        middle = (low + high) / 2
        shape = _powers(middle, units)
        total = float(shape.sum())
        spread = float(shape.square().sum()) / total**2
        mixed = (alignment**2 + (1 - alignment) ** 2) * spread + 2 * alignment * (1 - alignment) / units
        low, high = (middle, high) if mixed * size**2 < square else (low, middle)
    return (low + high) / 2


# --------------------------------------------------------------------------------- a recording


def recording(
    population: Population,
    stimuli: int,
    generator: torch.Generator,
    repeats: int = 2,
    explicit: int = EXPLICIT,
    signal: torch.Generator | None = None,
) -> Gram:
    """Second moments of a recording of the population, on the stimulus side, each unit's one mean taken off.

    Args:
        population: what is recorded.
        stimuli: S.
        generator: everything is drawn from it.
        repeats: T.
        explicit: how many ranks are drawn one by one; the others by what they add up to.
        signal: draws the signal instead, so that several recordings can share it.
    """
    along, apart = _drawn(population, stimuli, generator, repeats, explicit, signal or generator)
    whole = torch.cat(along)
    matrix = (whole @ whole.T).double()
    if apart:
        rest = torch.cat(apart)
        matrix += (rest @ rest.T).double()
    if population.units > explicit:
        matrix += _beyond(population, explicit, stimuli, repeats, generator, signal or generator)
    matrix = matrix - matrix.mean(0)
    matrix = matrix - matrix.mean(1, keepdim=True)
    return Gram(matrix, "stimuli", stimuli, population.units, repeats, name="simulated")


def cross_products(
    population: Population, stimuli: int, generator: torch.Generator, explicit: int = EXPLICIT
) -> Float64[Tensor, "stimuli stimuli"]:
    """X₁X₂ᵀ of a recording of two repeats, not centred: all that eigenmoments read, for a third of the work."""
    along, apart = _drawn(population, stimuli, generator, 2, explicit, generator)
    matrix = (along[0] @ along[1].T).double()
    if apart:
        matrix += (apart[0] @ apart[1].T).double()
    if population.units > explicit:
        matrix += _beyond(population, explicit, stimuli, 2, generator, generator)[:stimuli, stimuli:]
    return matrix


def _drawn(
    population: Population,
    stimuli: int,
    generator: torch.Generator,
    repeats: int,
    explicit: int,
    of_signal: torch.Generator,
) -> tuple[list[Float[Tensor, "stimuli ranks"]], list[Float[Tensor, "stimuli ranks"]]]:
    """Responses along the leading eigenvectors of the signal; and what noise has beyond them, if anything.

    Noise that has axes of its own lies in the leading ones of the signal by a share of ranks over units.
    """
    ranks = min(population.units, explicit)
    signal, noise, share = population.signal[:ranks], population.noise[:ranks], population.alignment
    z = _normal(of_signal, stimuli, signal)
    along = [z] * repeats
    if share > 0:
        along = [one + _normal(generator, stimuli, share * noise) for one in along]
    if share == 1:
        return along, []
    signs = (torch.randint(0, 2, (2, ranks), generator=generator) * 2 - 1).float()
    apart = [_normal(generator, stimuli, (1 - share) * noise) for _ in range(repeats)]
    inside = ranks / population.units
    along = [one + math.sqrt(inside) * _turned(own, signs) for one, own in zip(along, apart)]
    return along, [math.sqrt(1 - inside) * own for own in apart] if inside < 1 else []


def _normal(
    generator: torch.Generator, stimuli: int, variances: Float64[Tensor, " ranks"]
) -> Float[Tensor, "stimuli ranks"]:
    return torch.randn(stimuli, len(variances), generator=generator) * variances.sqrt().float()


def _turned(rows: Float[Tensor, "rows ranks"], signs: Float[Tensor, "2 ranks"]) -> Float[Tensor, "rows ranks"]:
    """Rows in another orthonormal basis, the same for all rows with these signs."""
    turned = rows.numpy()
    for turn in signs.numpy():
        turned = scipy.fft.dct(turn * turned, norm="ortho", overwrite_x=True)
    return torch.from_numpy(np.asarray(turned))


def _beyond(
    population: Population,
    ranks: int,
    stimuli: int,
    repeats: int,
    generator: torch.Generator,
    of_signal: torch.Generator,
) -> Float64[Tensor, "rows rows"]:
    """What the ranks that are not drawn add up to: means on diagonals, normal entries elsewhere."""
    signal, noise, share, units = population.signal, population.noise, population.alignment, population.units
    tail, noisy = signal[ranks:], noise[ranks:]
    found = torch.zeros(repeats, stimuli, repeats, stimuli, dtype=torch.float64)
    common = _symmetric(stimuli, float(tail.square().sum()), float(tail.sum()), of_signal)
    for t in range(repeats):
        for u in range(t, repeats):
            block = common.clone()
            if t == u:
                block += _symmetric(stimuli, float(noisy.square().sum()), float(noisy.sum()), generator)
            else:
                spread = math.sqrt(float(noisy.square().sum()))
                block += spread * torch.randn(stimuli, stimuli, generator=generator, dtype=torch.float64)
            found[t, :, u] += block
            if t != u:
                found[u, :, t] += block.T
    total, drawn = float(signal.sum()) * float(noise.sum()), float(signal[:ranks].sum()) * float(noise[:ranks].sum())
    crossed = share * float((tail * noisy).sum()) + (1 - share) * max(total - drawn, 0.0) / units
    mixed = [
        math.sqrt(crossed) * torch.randn(stimuli, stimuli, generator=generator, dtype=torch.float64)
        for _ in range(repeats)
    ]
    for t in range(repeats):
        for u in range(repeats):
            found[t, :, u] += mixed[u] + mixed[t].T  # signal of t on noise of u, and the other way round
    rows = repeats * stimuli
    return found.reshape(rows, rows)


def _symmetric(side: int, variance: float, mean: float, generator: torch.Generator) -> Float64[Tensor, "side side"]:
    """A symmetric matrix of normal entries, twice the variance on the diagonal, around a multiple of the identity."""
    drawn = torch.randn(side, side, generator=generator, dtype=torch.float64) * math.sqrt(variance / 2)
    return drawn + drawn.T + mean * torch.eye(side, dtype=torch.float64)
