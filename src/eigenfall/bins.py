"""The points of a spectrum that a law is held against: each rank, geometric bins of ranks, or log-spaced ranks.

Sources: Gauthaman, Ménard & Bonner 2024, arXiv:2409.06843, for spectra averaged inside geometric bins, about three per
decade; Elmoznino & Bonner 2024, doi:10.1371/journal.pcbi.1011792, for log-spaced ranks.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

Weights = Literal["1/n", "none"]
"""Every decade of ranks counts alike, or every point."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a spectrum.

    Attributes:
        ranks: rank of each; of a bin, the geometric mean of its ranks.
        values: eigenvalue; of a bin, the mean.
        weights: 1/n, of a bin the sum over its ranks; or 1.
        members: ranks that went into points.
        of: which point each of them went into.
        where: what the points are, in words.
    """

    ranks: Float64[Tensor, " points"]
    values: Float64[Tensor, " points"]
    weights: Float64[Tensor, " points"]
    members: Int64[Tensor, " members"]
    of: Int64[Tensor, " members"]
    where: str


def points(
    values: Float64[Tensor, " ranks"], first_rank: int, weights: Weights, per_decade: float = 0, log_ranks: int = 0
) -> Points:
    """The points of successive eigenvalues.

    Args:
        values: eigenvalues from the first rank on.
        first_rank: counted from 1.
        weights: "1/n" or "none".
        per_decade: average geometric bins, about so many per decade; 0: do not.
        log_ranks: take so many log-spaced ranks, some of them several times; 0: do not.
    """
    last_rank = first_rank + len(values) - 1
    ranks, where = torch.arange(first_rank, last_rank + 1), f"{first_rank}–{last_rank}"
    each = 1 / ranks.double() if weights == "1/n" else torch.ones_like(values)
    if per_decade:
        held = geometric(first_rank, last_rank, per_decade)
        middles, averages = means(ranks.double().log(), held).exp(), means(values, held)
        each = sums(each, held) if weights == "1/n" else torch.ones_like(averages)
        return Points(middles, averages, each, ranks, held, f"the {len(averages)} bins of ranks {where}")
    if log_ranks:
        picked = log_spaced(first_rank, last_rank, log_ranks)
        at, every = picked - first_rank, torch.arange(log_ranks)
        return Points(picked.double(), values[at], each[at], picked, every, f"{log_ranks} log-spaced ranks of {where}")
    return Points(ranks.double(), values, each, ranks, ranks - first_rank, f"ranks {where}")


def geometric(first: int, last: int, per_decade: float) -> Int64[Tensor, " ranks"]:
    """Bin of each rank from the first to the last, from 0.

    Bins are equally wide in ln n from the first rank to one past the last; those without a rank are not counted.
    """
    ranks = torch.arange(first, last + 1, dtype=torch.float64)
    width = math.log((last + 1) / first)
    count = max(1, round(per_decade * width / math.log(10)))
    return (count * (ranks / first).log() / width).floor().long().unique_consecutive(return_inverse=True)[1]


def sums(values: Float64[Tensor, " ranks"], bins: Int64[Tensor, " ranks"]) -> Float64[Tensor, " bins"]:
    """Sum over each bin."""
    return torch.zeros(int(bins.max()) + 1, dtype=torch.float64).index_add(0, bins, values)


def means(values: Float64[Tensor, " ranks"], bins: Int64[Tensor, " ranks"]) -> Float64[Tensor, " bins"]:
    """Mean over each bin."""
    return sums(values, bins) / sums(torch.ones_like(values), bins)


def log_spaced(first: int, last: int, count: int) -> Int64[Tensor, " count"]:
    """Ranks evenly spaced in ln n from the first to the last, rounded; low ones may come several times."""
    grid = torch.logspace(0, 1, count, base=last / first, dtype=torch.float64) * first
    return grid.round().long().clamp(first, last)
