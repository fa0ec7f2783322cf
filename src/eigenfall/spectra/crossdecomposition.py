"""Covariance that repeats on stimuli which took no part in finding its axes.

    training stimuli:   X₁ᵀX₂ / n = U S Vᵀ         held-out stimuli:   λ̂ₖ = (1/m) Σₛ (x₁ₛᵀuₖ)(x₂ₛᵀvₖ)

with each repeat less its mean over the training stimuli. Stimuli are cut into folds at random, each is held out once,
and λ̂ₖ is the mean over folds. Its expectation is 0 where nothing is reliable, and values may be negative. It measures
how much covariance axes found on some stimuli carry on others: a number below the variance of the best axes, not an
estimate of it, so that its exponents should not be held against those of cvPCA or MEME.

Everything follows from second moments over stimuli: with Kₜₜ = AₜΣₜ²Aₜᵀ of the training stimuli, U and V are the
singular vectors of Σ₁A₁ᵀA₂Σ₂, and a held-out score is its row of Kₜₜ times Aₜ Σₜ⁻¹.

The null permutes the held-out stimuli of the second repeat: `beside` holds the 97.5 % quantile of λ̂ₖ over permutations.

Source: Gauthaman, Ménard & Bonner 2024, arXiv:2409.06843, code of that paper.
Differs from the source: in squared response units, where the source divides by the number of units; no bins here (a fit
of kind `leastsquares` has them).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from eigenfall import grams
from eigenfall.check import need
from eigenfall.linalg import Precision, symmetric_eigh
from eigenfall.stages import Working, consumed, kept_under, seeded, seeds, under
from eigenfall.types import Gram, Responses, Spectrum, Stage

QUANTILE = 0.975


@dataclass(frozen=True)
class CrossDecomposition:
    """Spectrum of reliable covariance on held-out stimuli, from two repeats.

    Attributes:
        folds: into how many parts the stimuli are cut; each is held out once.
        permutations: of held-out stimuli behind the null; 0: none.
        precision: "float64", or "mixed": products in float32, sums in float64.
    """

    cite: ClassVar[str] = "gauthaman2024"
    folds: int = 8
    permutations: int = 0
    precision: Precision = "float64"

    def __post_init__(self) -> None:
        need(
            self.folds >= 2 and self.permutations >= 0,
            expected="at least two folds",
            got=f"folds={self.folds}, permutations={self.permutations}",
            remedy="Use folds=8: seven eighths of the stimuli then find the axes.",
        )

    def __call__(self, responses: Responses | Gram, generator: torch.Generator | None = None) -> Spectrum:
        """Held-out covariance along the axes of the training stimuli, in the order of their covariance there.

        Args:
            responses: two repeats `(2, stimuli, units)` in any response unit, in memory or in chunks; or their Gram
                matrix over stimuli.
            generator: folds and permutations are drawn with it.

        Raises:
            ValueError: for another number of repeats than two, fewer than two stimuli a fold, no variance anywhere,
                values that are not finite, or a Gram over units.
        """
        return consumed(self.working(responses, generator))

    def working(
        self,
        responses: Responses | Gram,
        generator: torch.Generator | None = None,
        kept: Mapping[str, Tensor] | None = None,
    ) -> Working[Spectrum]:
        """As `__call__`, fold by fold; `kept` are pieces of an earlier call that did not end."""
        pieces = dict(kept or {})
        moments = yield from self._moments(responses, kept_under("gram", pieces))
        cut, *permuted = seeds(generator, 1 + self.folds)
        parts = torch.randperm(moments.stimuli, generator=seeded(cut)).tensor_split(self.folds)
        ranks = min(moments.stimuli - max(len(part) for part in parts) - 1, moments.units)
        for fold, held_out in enumerate(parts):
            name = f"fold {fold}"
            if name not in pieces:
                pieces[name] = self._fold(moments, held_out, ranks, seeded(permuted[fold]))
            yield Stage("cross-decomposition, folds", fold + 1, self.folds, {name: pieces[name]})
        every = torch.stack([pieces[f"fold {fold}"] for fold in range(self.folds)]).mean(0)
        beside = {"null": every[1:].quantile(QUANTILE, 0)} if self.permutations else {}
        return Spectrum(
            eigenvalues=every[0],
            stimuli=moments.stimuli,
            units=moments.units,
            repeats=2 * moments.averaged,
            target="held-out",
            estimator="crossdecomposition",
            name=moments.name,
            beside=beside,
        )

    def _moments(self, responses: Responses | Gram, kept: Mapping[str, Tensor]) -> Working[Gram]:
        if isinstance(responses, Gram):
            moments = responses
        else:
            working = grams.gramming(responses, self.precision, side="stimuli", kept=kept)
            (moments,) = yield from under("gram", working)
        need(
            moments.repeats == 2,
            expected=f"two repeats of {moments.name}",
            got=f"{moments.repeats}",
            remedy="Use pca for one repeat; make more into two with eigenfall.repeats.two, or --split halves.",
        )
        need(
            moments.side == "stimuli",
            expected="responses, or a Gram matrix over stimuli, to hold stimuli out",
            got="a Gram matrix over units",
            remedy="Give the responses: their chunks are read again.",
        )
        need(
            moments.stimuli >= 2 * self.folds,
            expected=f"at least {2 * self.folds} stimuli for {self.folds} folds",
            got=f"{moments.stimuli}",
            remedy="Take fewer folds, or record more stimuli.",
        )
        return moments

    def _fold(
        self, moments: Gram, held_out: Int64[Tensor, " held_out"], ranks: int, generator: torch.Generator
    ) -> Float64[Tensor, "curves ranks"]:
        """Held-out covariance by rank, then the same under each permutation."""
        chosen = torch.ones(moments.stimuli, dtype=torch.bool)
        chosen[held_out] = False
        training = chosen.nonzero()[:, 0].to(moments.matrix.device)
        first, second = self._scores(moments, training, held_out.to(training), ranks)
        rows = [(first * second).mean(0)]
        for _ in range(self.permutations):
            order = torch.randperm(len(held_out), generator=generator).to(training)
            rows.append((first * second[order]).mean(0))
        return torch.stack(rows)

    def _scores(
        self, moments: Gram, training: Tensor, held_out: Tensor, ranks: int
    ) -> Iterator[Float64[Tensor, "held_out ranks"]]:
        """Held-out scores of each repeat on its singular vectors of the training stimuli."""
        roots, axes, theirs = [], [], []
        for repeat in range(2):
            block = moments.pair(repeat, repeat)
            inside, outside = block[training][:, training], block[held_out][:, training]
            mean = inside.mean(0)
            outside = outside - mean
            inside = inside - mean
            inside = inside - inside.mean(1, keepdim=True)
            outside = outside - outside.mean(1, keepdim=True)
            variances, vectors = symmetric_eigh(inside)
            kept = variances > len(variances) * 2.0**-50 * variances[0]
            roots.append(variances[kept].sqrt())
            axes.append(vectors[:, kept])
            theirs.append(outside @ (vectors[:, kept] / variances[kept].sqrt()))
        left, _, right = torch.linalg.svd(roots[0][:, None] * (axes[0].T @ axes[1]) * roots[1], full_matrices=False)
        for scores, vectors in zip(theirs, (left, right.T)):
            found = scores @ vectors[:, :ranks]
            yield torch.nn.functional.pad(found, (0, ranks - found.shape[1]))


PRESETS = {"gauthaman2024": CrossDecomposition(folds=8, permutations=5000, precision="float64")}
