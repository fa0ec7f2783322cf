"""Eigenmoments of the signal covariance of the population of stimuli: MEME, without eigenvalues of any sample.

    m̂ₚ = tr(Uᵖ⁻¹ A) / (C(n, p) N),   p = 1 … K       (`eigenmoments.py` says what A and U are)

unbiased for (1/N) Σ λᵢᵖ at any number of stimuli and any noise that is independent between repeats. A fit of kind
`momentlaw` turns moments into a law; the law's form is then an assumption, for the tail above all: a spectrum with
another tail beyond the stimuli gives moments that the fit can hardly tell apart.

Their covariance over stimuli, which makes the intervals, is the infinitesimal jackknife's, less what a finite number of
pairings puts into it. The covariance that weighs a fit is either that of bootstraps of the stimuli with replacement,
as in the source, or that of simulated recordings ("model"): a power law fitted with each moment weighed by itself, and
noise of the recording's own size, spread and alignment. The bootstrap's duplicates make the weights noisy and the
intervals short; those of simulated recordings are held to account by the study of `docs/intervals.md`.

Source: Pospisil & Pillow 2024, doi:10.1101/2024.02.16.580726 (`meme`), after Kong & Valiant 2017.
Differs from the source: random order instead of the stored one, in which neighbours may be alike; many pairings
averaged; both roles of the repeats, and all pairs of more than two repeats, averaged; weights and intervals as above.
The preset `pospisil2024` is the source's way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from eigenfall import eigenmoments, grams
from eigenfall.check import need
from eigenfall.jackknife import jackknifed
from eigenfall.linalg import Precision
from eigenfall.spectra._lawweights import Weighing
from eigenfall.stages import Working, consumed, kept_under, seeded, seeds, under
from eigenfall.subsets import of_stimuli
from eigenfall.types import Gram, Moments, Responses, Stage

AT_ONCE = 10
"""Bootstrap samples that are made together."""


@dataclass(frozen=True)
class MEME:
    """Eigenmoments of the signal, from two repeats or more.

    Attributes:
        moments: how many, K.
        pairings: over how many random orders of the stimuli they are averaged.
        order: "random", or "stored": neighbours in the file are paired, once.
        roles: "both" repeats in either role, or "one".
        weights: covariance that weighs a fit: of "model" recordings or "bootstrap" samples.
        resamples: how many of these.
        stimuli: at most so many are used, drawn at random if there are more; time grows with their third power.
        precision: "float64", or "mixed": products in float32, sums in float64.
    """

    cite: ClassVar[str] = "pospisil2024"
    moments: int = 10
    pairings: int = 10
    order: Literal["random", "stored"] = "random"
    roles: Literal["both", "one"] = "both"
    weights: Literal["model", "bootstrap"] = "model"
    resamples: int = 200
    stimuli: int = 4000
    precision: Precision = "float64"

    def __post_init__(self) -> None:
        need(
            self.moments >= 3 and self.pairings >= 1 and self.resamples > self.moments and self.stimuli >= 2,
            expected="at least three moments, one pairing, and more resamples than moments",
            got=f"moments={self.moments}, pairings={self.pairings}, resamples={self.resamples}",
            remedy="A law with one exponent needs three moments to be tested; twenty resamples a moment are few.",
        )

    def __call__(self, responses: Responses | Gram, generator: torch.Generator | None = None) -> Moments:
        """Eigenmoments with their covariance.

        Args:
            responses: two or more complete repeats `(repeats, stimuli, units)` in any response unit, in memory or in
                chunks; or their Gram matrix over stimuli.
            generator: orders and resamples are drawn with it.

        Returns:
            m̂ₚ in squared response units to the p-th power.

        Raises:
            ValueError: for one repeat, fewer stimuli than twice the moments, no variance anywhere, values that are not
                finite, or a Gram over units.
        """
        return consumed(self.working(responses, generator))

    def working(
        self,
        responses: Responses | Gram,
        generator: torch.Generator | None = None,
        kept: Mapping[str, Tensor] | None = None,
    ) -> Working[Moments]:
        """As `__call__`, piece by piece; `kept` are pieces of an earlier call that did not end."""
        pieces = dict(kept or {})
        subset, pairing, resampling = seeds(generator, 3)
        moments, notices = yield from self._moments(responses, seeded(subset), kept_under("gram", pieces))
        values, covariance = yield from self._averaged(moments, seeded(pairing), pieces)
        if self.weights == "bootstrap":
            weighting = yield from self._bootstrapped(moments, seeded(resampling), pieces)
        else:
            weighing = Weighing(self.moments, self.roles == "both", self.resamples)
            weighting = yield from weighing(moments, values, covariance, seeded(resampling), pieces)
        return Moments(
            values=values,
            covariance=covariance,
            weighting=weighting,
            stimuli=moments.stimuli,
            units=moments.units,
            repeats=moments.repeats * moments.averaged,
            pairings=len(list(self._orders(moments, seeded(0)))),
            estimator="meme",
            name=moments.name,
            notices=notices,
        )

    def again(self, moments: Gram, like: Moments, generator: torch.Generator | None = None) -> Moments:
        """Moments of another recording of a population, with the covariances of a first: redraws fit as it was fitted.

        Args:
            moments: of the other recording, over stimuli.
            like: the first.
            generator: orders are drawn with it.
        """
        subset, pairing = seeds(generator, 2)
        some, _ = consumed(self._moments(moments, seeded(subset), {}))
        found = [
            eigenmoments.moments(
                eigenmoments.paired(across, order[None]), some.units, self.moments, self.roles == "both"
            )[0]
            for across, order in self._orders(some, seeded(pairing))
        ]
        return replace(like, values=torch.stack(found).mean(0).cpu(), name=moments.name)

    def _moments(
        self, responses: Responses | Gram, generator: torch.Generator, kept: Mapping[str, Tensor]
    ) -> Working[tuple[Gram, tuple[str, ...]]]:
        """Second moments over no more stimuli than are wanted."""
        repeats, stimuli = (
            (responses.repeats, responses.stimuli) if isinstance(responses, Gram) else grams.size_of(responses)[:2]
        )
        need(
            repeats >= 2,
            expected=f"at least two repeats of {responses.name}",
            got=f"{repeats}",
            remedy="Use pca with the fit marchenkopastur for one repeat, or record each stimulus twice.",
        )
        some, notices = None, ()
        if stimuli > self.stimuli:
            some = torch.randperm(stimuli, generator=generator)[: self.stimuli].sort().values
            notices = (f"{self.stimuli} of {stimuli} stimuli were used, drawn at random.",)
        if isinstance(responses, Gram):
            need(
                responses.side == "stimuli",
                expected="responses, or a Gram matrix over stimuli, to pair stimuli",
                got="a Gram matrix over units",
                remedy="Give the responses: their chunks are read again.",
            )
            moments = responses if some is None else grams.among(responses, some)
        else:
            chosen = responses if some is None else of_stimuli(responses, some, stimuli)
            working = grams.gramming(chosen, self.precision, side="stimuli", kept=kept)
            (moments,) = yield from under("gram", working)
        need(
            moments.stimuli >= 2 * self.moments,
            expected=f"at least {2 * self.moments} stimuli for {self.moments} moments of {moments.name}",
            got=f"{moments.stimuli}",
            remedy="Take fewer moments, or record more stimuli.",
        )
        return moments, notices

    def _orders(
        self, moments: Gram, generator: torch.Generator
    ) -> Iterator[tuple[Float64[Tensor, "stimuli stimuli"], Int64[Tensor, " even"]]]:
        """X₁X₂ᵀ of a pair of repeats and an order of the stimuli, for each pairing; every pair of repeats as often."""
        pairs = list(combinations(range(moments.repeats), 2))
        if self.order == "stored":
            for t, u in pairs:
                yield moments.pair(t, u), torch.arange(moments.stimuli - moments.stimuli % 2)
            return
        rounds = -(-self.pairings // len(pairs))
        orders = eigenmoments.orders(moments.stimuli, rounds * len(pairs), generator)
        for number, order in enumerate(orders):
            yield moments.pair(*pairs[number % len(pairs)]), order

    def _averaged(
        self, moments: Gram, generator: torch.Generator, pieces: dict[str, Tensor]
    ) -> Working[tuple[Tensor, Tensor]]:
        """Mean over pairings, and its covariance over stimuli by the infinitesimal jackknife."""
        found, effects = [], []
        pairings = list(self._orders(moments, generator))
        for number, (across, order) in enumerate(pairings):
            name = f"pairing {number}"
            if name not in pieces:
                products = eigenmoments.paired(across, order[None])[0]
                values, of_pairs = eigenmoments.influences(products, moments.units, self.moments, self.roles == "both")
                of_stimuli = torch.zeros(moments.stimuli, self.moments, dtype=torch.float64)
                of_stimuli[order[0::2]], of_stimuli[order[1::2]] = of_pairs.cpu(), of_pairs.cpu()
                pieces[name] = torch.cat([values.cpu()[None], of_stimuli])
            found.append(pieces[name][0])
            effects.append(pieces[name][1:])
            yield Stage("MEME, pairings", number + 1, len(pairings), {name: pieces[name]})
        values, effect = torch.stack(found), torch.stack(effects)
        return jackknifed(values, effect)

    def _bootstrapped(
        self, moments: Gram, generator: torch.Generator, pieces: dict[str, Tensor]
    ) -> Working[Float64[Tensor, "orders orders"]]:
        """Covariance of the moments of samples of the stimuli with replacement, each paired once."""
        draws, across = [], moments.pair(0, 1)
        for number, seed in enumerate(seeds(generator, -(-self.resamples // AT_ONCE))):
            name, size = f"bootstrap {number}", min(AT_ONCE, self.resamples - number * AT_ONCE)
            if name not in pieces:
                order = eigenmoments.orders(moments.stimuli, size, seeded(seed), replacement=True)
                products = eigenmoments.paired(across, order)
                pieces[name] = eigenmoments.moments(products, moments.units, self.moments, self.roles == "both").cpu()
            draws.append(pieces[name])
            done = min((number + 1) * AT_ONCE, self.resamples)
            yield Stage("MEME, bootstraps", done, self.resamples, {name: pieces[name]})
        return torch.cov(torch.cat(draws).T)


PRESETS = {
    "pospisil2024": MEME(
        moments=10,
        pairings=1,
        order="stored",
        roles="one",
        weights="bootstrap",
        resamples=230,
        stimuli=1_000_000,
        precision="float64",
    ),
}
