"""Exponent as the median of all slopes between two ranks of the window.

    α = −median over n < m of (ln λₘ − ln λₙ) / (ln m − ln n)

Source: Sen 1968, JASA 63, doi:10.1080/01621459.1968.10480934.
Differs from the source: no interval of its own; `eigenfall` draws half-samples of the stimuli.
"""

from dataclasses import dataclass

import torch

from eigenfall.check import need
from eigenfall.types import Estimate, Spectrum, SpectrumFit


@dataclass(frozen=True)
class TheilSen:
    """Exponent of a spectrum by the median slope: a few odd ranks do not move it.

    Attributes:
        first_rank: first rank of the window, counted from 1.
        last_rank: last rank of the window, included; that of the numerical rank if that is less.
    """

    first_rank: int = 11
    last_rank: int = 500

    def __call__(self, spectrum: Spectrum) -> SpectrumFit:
        """Fit λₙ ∝ n^−alpha inside the window.

        Args:
            spectrum: eigenvalues `(ranks,)`, in rank order.

        Raises:
            ValueError: if the window has fewer than three ranks, or one that is not positive.
        """
        last_rank = min(self.last_rank, spectrum.numerical_rank)
        values = spectrum.eigenvalues[self.first_rank - 1 : last_rank]
        need(
            len(values) >= 3 and bool((values > 0).all()),
            expected="a window of at least three ranks, all positive",
            got=f"{len(values)} ranks from {self.first_rank}, {int((values <= 0).sum())} of them not positive",
            remedy="Start the window earlier, or end it earlier.",
        )
        ranks = torch.arange(self.first_rank, last_rank + 1, dtype=torch.float64)
        earlier, later = torch.triu_indices(len(values), len(values), offset=1)
        slopes = (values[later] / values[earlier]).log() / (ranks[later] / ranks[earlier]).log()
        return SpectrumFit(
            parameters={"alpha": Estimate(-float(slopes.median()))},
            asked=(self.first_rank, self.last_rank),
            used=(self.first_rank, last_rank),
            method="theilsen",
            target=spectrum.target,
            estimator=spectrum.estimator,
            stimuli=spectrum.stimuli,
            units=spectrum.units,
        )


if __name__ == "__main__":
    eigenvalues = torch.arange(1, 101, dtype=torch.float64) ** -1.3
    eigenvalues[49] *= 0.999  # an odd rank, kept in order
    print(TheilSen(11, 100)(Spectrum(eigenvalues, stimuli=1000, units=100)))
