"""Covariance that weighs MEME's fit: of the moments of simulated recordings about the laws that they were drawn from.

    W⁻² = Cov(m̂ − m(θ)) · S′/S,   θ near a first fit, S′ stimuli simulated

The law of each recording is drawn around a first fit, more widely than that fit is uncertain: otherwise combinations of
moments that hardly vary for one law would bind the fit to it, and weights that follow the errors of these very moments
would make intervals too short. Two rounds, the second around the first's fit. Noise has the recording's own size,
spread and alignment.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall import eigenmoments, momentfits
from eigenfall.population import Population, cross_products, population_of
from eigenfall.stages import Working, seeded, seeds
from eigenfall.types import Gram, Stage

MOST_STIMULI, PAIRINGS = 500, 2
AT_ONCE = 10
ALPHAS = 0.05, momentfits.STEEPEST / 2
WIDENED, WIDEST = 2.0, 0.3
"""Exponents of the laws whose recordings make the weights; over how many standard deviations of the first fit they are
spread, and how far at most."""


@dataclass(frozen=True)
class Weighing:
    """How moments are weighed by simulation.

    Attributes:
        orders: how many moments.
        both: whether both roles of the repeats are averaged.
        resamples: recordings of the last round; the first has half as many.
    """

    orders: int
    both: bool
    resamples: int

    def __call__(
        self,
        moments: Gram,
        values: Float64[Tensor, " orders"],
        covariance: Float64[Tensor, "orders orders"],
        generator: torch.Generator,
        pieces: dict[str, Tensor],
    ) -> Working[Float64[Tensor, "orders orders"]]:
        """The covariance, scaled to the number of stimuli.

        Args:
            moments: second moments of the recording, over stimuli.
            values: its eigenmoments.
            covariance: of these.
            generator: laws and recordings are drawn with it.
            pieces: those of an earlier call that did not end; new ones are added.
        """
        root = torch.diag(covariance.diagonal().rsqrt())
        stimuli = min(moments.stimuli, MOST_STIMULI)
        weighting = covariance
        for number, (count, seed) in enumerate(zip((self.resamples // 2, self.resamples), seeds(generator, 2))):
            theta = momentfits.fitted(values[None], root, moments.units).theta[0]
            theta[1] = theta[1].clamp(*ALPHAS)
            spread = momentfits.spread(theta, root, covariance, moments.units)
            spread = spread * (WIDEST**2 / spread[1, 1]).clamp(max=WIDENED**2)
            population = population_of(moments, "power", _parameters(theta))
            quieter = replace(population, noise_scale=population.noise_scale * 2 / moments.repeats)
            draws = []
            for batch, own in enumerate(seeds(seeded(seed), -(-count // AT_ONCE))):
                name, size = f"model {number} {batch}", min(AT_ONCE, count - batch * AT_ONCE)
                if name not in pieces:
                    laws = _near(theta, spread, size, seeded(own))
                    pieces[name] = self._about_laws(laws, quieter, stimuli, seeded(own + 1))
                draws.append(pieces[name])
                done = number * (self.resamples // 2) + min((batch + 1) * AT_ONCE, count)
                yield Stage("MEME, weights", done, self.resamples // 2 + self.resamples, {name: pieces[name]})
            weighting = torch.cov(torch.cat(draws).T)
            root = momentfits.inverse_root(weighting)
        return weighting * (stimuli / moments.stimuli)

    def _about_laws(
        self, laws: Float64[Tensor, "draws 2"], population: Population, stimuli: int, generator: torch.Generator
    ) -> Float64[Tensor, "draws orders"]:
        """Moments of a recording of each law, less those of the law."""
        found = []
        for theta in laws:
            across = cross_products(replace(population, parameters=_parameters(theta)), stimuli, generator)
            products = eigenmoments.paired(across, eigenmoments.orders(stimuli, PAIRINGS, generator))
            found.append(eigenmoments.moments(products, population.units, self.orders, self.both).mean(0))
        return torch.stack(found) - momentfits.law_moments(laws, None, population.units, self.orders)[0]


def _parameters(theta: Float64[Tensor, "2"]) -> dict[str, float]:
    return {"scale": float(theta[0].exp()), "alpha": float(theta[1])}


def _near(
    theta: Float64[Tensor, "2"], spread: Float64[Tensor, "2 2"], count: int, generator: torch.Generator
) -> Float64[Tensor, "draws 2"]:
    """Normal draws around a fit, exponents held between those that are tried."""
    values, vectors = torch.linalg.eigh(spread)
    drawn = torch.randn(count, 2, generator=generator, dtype=torch.float64) * values.clamp_min(0).sqrt()
    laws = theta + drawn @ vectors.T
    return torch.stack([laws[:, 0], laws[:, 1].clamp(*ALPHAS)], 1)
