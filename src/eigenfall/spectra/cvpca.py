"""Cross-validated PCA: how much of each principal component of one repeat is found again in the other.

    G₁₁ aₖ = σₖ² aₖ,   λ̂ₖ = aₖᵀ G₁₂ aₖ / (S − 1),   averaged over shuffles in which each stimulus's repeats are swapped
                                                      by a fair coin

with Gₜᵤ = XₜXᵤᵀ of responses less each unit's one mean over stimuli and both repeats. This is what projecting both
repeats on the k-th right singular vector of X₁ and multiplying the scores gives; the sum over all ranks is tr G₁₂. With
fewer units than stimuli the same is found on the unit side, vₖ of X₁ᵀX₁ and vₖᵀ X₁ᵀX₂ vₖ. Values may be negative and
are returned as they are. Beside them stands what the source calls noise, Σ(c₁² + c₂²) − Σ c₁c₂ of the scores c: it
still holds one share of signal.

The estimate is biased: noise turns the axes, so that at low signal-to-noise high ranks mix into low ones and the
exponent comes out too low if the noise has axes of its own. `eigenfall.simulated` says by how much at a given size.

Source: Stringer et al. 2019, Nature 571, 361-365, doi:10.1038/s41586-019-1346-5, MATLAB code of that paper.
Differs from the source: divisor S − 1, where the source divides by the sum over all ranks, which no exponent sees.
The presets are other implementations: `stringer2019python` also takes each stimulus's mean over units off before the
axes are computed and keeps 1024 components, from 5 shuffles; `pospisil2024` centres each repeat by itself and does not
shuffle; `kong2022` does both with 20 shuffles and 2000 components.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall import grams
from eigenfall.check import need
from eigenfall.linalg import VECTORS_LIMIT, Precision, symmetric_eigh
from eigenfall.stages import Working, consumed, kept_under, seeded, seeds, under
from eigenfall.types import Gram, Responses, Spectrum, Stage


@dataclass(frozen=True)
class CvPCA:
    """Spectrum of the signal over these stimuli, from two repeats of each.

    Attributes:
        shuffles: over how many random swaps of repeats the values are averaged; 1: none is swapped.
        components: how many leading ranks are kept; none: as many as there are.
        centring: "together", one mean for both repeats of a unit, or "apart", each repeat's own.
        remove: "none", or "stimulus_means": each stimulus's mean over units is taken off first.
        precision: "float64", or "mixed": products in float32, sums in float64.
        rank: columns of a randomised solver, of whose ranks the leading half is kept; none: exact, or 1024 columns if
            both stimuli and units are more than the exact solver takes.
    """

    cite: ClassVar[str] = "stringer2019"
    shuffles: int = 10
    components: int | None = None
    centring: Literal["together", "apart"] = "together"
    remove: Literal["none", "stimulus_means"] = "none"
    precision: Precision = "float64"
    rank: int | None = None

    def __post_init__(self) -> None:
        need(
            self.shuffles >= 1 and (self.components is None or self.components >= 1),
            expected="at least one shuffle and one component",
            got=f"shuffles={self.shuffles}, components={self.components}",
            remedy="Use shuffles=1 for none, components=none for all.",
        )

    def __call__(self, responses: Responses | Gram, generator: torch.Generator | None = None) -> Spectrum:
        """Cross-validated eigenvalues, in the order of the axes' variance in the first repeat.

        Args:
            responses: two repeats `(2, stimuli, units)` in any response unit, in memory or in chunks; or their Gram
                matrix. More repeats are made into two by `eigenfall.repeats.two`.
            generator: the coins are tossed with it.

        Returns:
            Values in squared response units, with the source's noise spectrum `beside` them.

        Raises:
            ValueError: for another number of repeats than two, fewer than two stimuli, no variance anywhere, values
                that are not finite, or a Gram over units when repeats are to be swapped.

        Example:
            >>> rows = torch.tensor([[0.0, 1.0], [2.0, 1.0], [1.0, 4.0]])
            >>> found = CvPCA()(Responses(values=torch.stack([rows, rows])), seeded(0))
            >>> [round(float(value), 6) for value in found.eigenvalues]
            [3.0, 1.0]
        """
        return consumed(self.working(responses, generator))

    def working(
        self,
        responses: Responses | Gram,
        generator: torch.Generator | None = None,
        kept: Mapping[str, Tensor] | None = None,
    ) -> Working[Spectrum]:
        """As `__call__`, shuffle by shuffle; `kept` are pieces of an earlier call that did not end."""
        pieces = dict(kept or {})
        if isinstance(responses, Responses) and (columns := self._columns(responses)) is not None:
            return (yield from self._randomised(responses, columns, generator, pieces))
        moments = yield from self._moments(responses, kept_under("gram", pieces))
        coins = self._coins(moments.stimuli, generator)
        pairs = self._pairs(responses, moments, coins)
        for shuffle in range(self.shuffles):
            name = f"shuffle {shuffle}"
            if name not in pieces:
                pieces[name] = _scores(*pairs(shuffle))[:, : self.components]
            yield Stage("cvPCA, shuffles", shuffle + 1, self.shuffles, {name: pieces[name]})
        scores = torch.stack([pieces[f"shuffle {shuffle}"] for shuffle in range(self.shuffles)])
        scores = scores[..., : moments.units]  # beyond it nothing but rounding, on the stimulus side
        values, noise = scores.mean(0) / (moments.stimuli - 1)
        return Spectrum(
            eigenvalues=values,
            stimuli=moments.stimuli,
            units=moments.units,
            repeats=2 * moments.averaged,
            target="signal sample",
            estimator="cvpca",
            name=moments.name,
            beside={"noise": noise},
        )

    def _columns(self, responses: Responses) -> int | None:
        """Columns of the randomised solver; `None`: the exact one."""
        if self.rank is not None or responses.shape is None:
            return self.rank
        return grams.RANK if min(responses.shape[1:]) > VECTORS_LIMIT else None

    def _randomised(
        self, responses: Responses, columns: int, generator: torch.Generator | None, pieces: dict[str, Tensor]
    ) -> Working[Spectrum]:
        """The same in the leading directions of each shuffle, from a few readings for each."""
        repeats, stimuli, units = grams.size_of(responses)
        _need_two(repeats, responses.name)
        need(
            self.centring == "together" and self.remove == "none",
            expected="centring=together and remove=none for a randomised solver",
            got=f"centring={self.centring}, remove={self.remove}",
            remedy="Take fewer stimuli or units, or the default settings.",
        )
        coins, found = self._coins(stimuli, generator), []
        bases = seeds(seeded(0) if generator is None else generator, self.shuffles)
        for shuffle, (coin, basis) in enumerate(zip(coins, bases)):
            name = f"shuffle {shuffle}"
            if name not in pieces:
                sketch_name = f"sketch {name}"
                working = grams.sketching(responses, columns, seeded(basis), coin, kept=kept_under(sketch_name, pieces))
                sketch = yield from under(sketch_name, working, f"{name}, ")
                pieces[name] = _scores(sketch.first, sketch.across, torch.empty(0))[:1]
            found.append(pieces[name])
            yield Stage("cvPCA, shuffles", shuffle + 1, self.shuffles, {name: pieces[name]})
        values = torch.stack(found).mean(0)[0] / (stimuli - 1)
        return Spectrum(
            eigenvalues=values[: max(1, len(values) // 2)],
            stimuli=stimuli,
            units=units,
            repeats=repeats,
            target="signal sample",
            estimator="cvpca",
            name=responses.name,
            notices=(grams.said_of_sketch(len(values)),),
        )

    def _moments(self, responses: Responses | Gram, kept: Mapping[str, Tensor]) -> Working[Gram]:
        """Second moments of both repeats, centred and reduced as the settings say."""
        if isinstance(responses, Gram):
            moments = responses
        else:
            if responses.shape is not None:
                _need_two(responses.shape[0], responses.name)
            (moments,) = yield from under("gram", grams.gramming(responses, self.precision, kept=kept))
        _need_two(moments.repeats, moments.name)
        if self.centring == "apart":
            moments = grams.centred_apart(moments)
        if self.remove == "stimulus_means" and moments.side == "stimuli":
            moments = grams.less_stimulus_means(moments)
        return moments

    def _coins(self, stimuli: int, generator: torch.Generator | None) -> Bool[Tensor, "shuffles stimuli"]:
        """Which stimuli have their repeats swapped in each shuffle; none if there is one shuffle only."""
        if self.shuffles == 1:
            return torch.zeros(1, stimuli, dtype=torch.bool)
        tossed = [torch.rand(stimuli, generator=seeded(seed)) < 0.5 for seed in seeds(generator, self.shuffles)]
        return torch.stack(tossed)

    def _pairs(
        self, responses: Responses | Gram, moments: Gram, coins: Bool[Tensor, "shuffles stimuli"]
    ) -> Callable[[int], tuple[Tensor, Tensor, Tensor]]:
        """For each shuffle what `_scores` wants: the first repeat's second moments, those of both, of the second."""
        coins = coins.to(moments.matrix.device)
        if moments.side == "stimuli":
            return lambda shuffle: (*grams.swapped(moments, coins[shuffle]), torch.empty(0))
        across = moments.pair(0, 1) + moments.pair(1, 0)
        both = moments.pair(0, 0) + moments.pair(1, 1)
        firsts = both[None] - moments.pair(1, 1) if self.shuffles == 1 else self._swapped(responses, moments, coins)
        if self.remove == "stimulus_means":
            firsts = firsts - firsts.mean(1, keepdim=True)
            firsts = firsts - firsts.mean(2, keepdim=True)
        return lambda shuffle: (firsts[shuffle], across / 2, both - firsts[shuffle])

    def _swapped(self, responses: Responses | Gram, moments: Gram, coins: Tensor) -> Tensor:
        need(
            isinstance(responses, Responses) and moments.means is not None,
            expected="responses, or a Gram matrix over stimuli, to swap repeats",
            got="a Gram matrix over units",
            remedy="Give the responses, or use shuffles=1.",
        )
        assert isinstance(responses, Responses)
        assert moments.means is not None
        assert moments.per_unit is not None
        means = moments.means if self.centring == "apart" else moments.means.mean(0).expand(2, -1)
        return grams.swapped_over_units(responses, means, moments.per_unit[1] > 0, coins, self.precision)


def _need_two(repeats: int, name: str) -> None:
    need(
        repeats == 2,
        expected=f"two repeats of {name}",
        got=f"{repeats}",
        remedy="Use pca for one repeat; make more into two with eigenfall.repeats.two, or --split halves.",
    )


def _scores(
    first: Float64[Tensor, "side side"], across: Float64[Tensor, "side side"], second: Tensor
) -> Float64[Tensor, "2 side"]:
    """Products of the two repeats' scores on the axes of the first, and Σ(c₁² + c₂²) − Σ c₁c₂, summed over stimuli.

    Args:
        first: X₁X₁ᵀ, or X₁ᵀX₁.
        across: X₂X₁ᵀ, or the symmetric part of X₁ᵀX₂.
        second: empty on the stimulus side, X₂ᵀX₂ on the unit side.
    """
    variances, axes = symmetric_eigh(first)
    found = across @ axes
    products = (axes * found).sum(0)
    if len(second):
        theirs = (axes * (second @ axes)).sum(0)
    else:
        floor = len(variances) * 2.0**-52 * variances[0]
        theirs = torch.where(variances > floor, found.square().sum(0) / variances.clamp_min(floor), 0)
    return torch.stack([products, variances + theirs - products])


PRESETS = {
    "stringer2019": CvPCA(
        shuffles=10, components=None, centring="together", remove="none", precision="float64", rank=None
    ),
    "stringer2019python": CvPCA(
        shuffles=5, components=1024, centring="together", remove="stimulus_means", precision="float64", rank=None
    ),
    "pospisil2024": CvPCA(shuffles=1, components=None, centring="apart", remove="none", precision="float64", rank=None),
    "kong2022": CvPCA(
        shuffles=20, components=2000, centring="apart", remove="stimulus_means", precision="float64", rank=None
    ),
}
