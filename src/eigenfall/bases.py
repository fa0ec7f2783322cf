"""The basis along which a penalty reads eigenvalues: what it is made from, and how far it has drifted since.

    staleness of V, with M = VᵀCV:
        s_off   ‖offdiag M‖ / ‖M‖                                       dominated by the head
        s_tail  root mean square off the diagonal of diag(M)^−½ M diag(M)^−½ over n > τ
        s_R     R(eigenvalues of C) − R(diag M)                          the decisive one
        s_α     exponent of the eigenvalues of C less that of diag M

diag M is majorised by the true eigenvalues (Schur 1923), so a stale basis always shows a spectrum that is too flat: a
network can please a penalty by turning its code off V. These numbers catch it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from eigenfall import processes
from eigenfall.check import need
from eigenfall.excess import doubled, exponent
from eigenfall.linalg import UnitSide, symmetric_eigh

ROWS_PER_UNIT = 10


# ------------------------------------------------------------------------ what it is made from


def reference_rows(
    wanted: int | Literal["enough", "all"], available: int, units: int, replacement: bool, generator: torch.Generator
) -> Int64[Tensor, " rows"]:
    """Indices of the rows that a basis is made from; "enough" are ten per unit, or all if there are fewer.

    Raises:
        ValueError: for more rows than there are, or fewer than two.
    """
    if wanted == "all":
        return torch.arange(available)
    count = min(ROWS_PER_UNIT * units, available) if wanted == "enough" else wanted
    need(
        count >= 2 and (replacement or count <= available),
        expected=f"from 2 to {available} reference rows",
        got=f"{count}",
        remedy="Use rows=all, or draw with replacement.",
    )
    if replacement:
        return torch.randint(available, (count,), generator=generator, device=generator.device).cpu()
    return torch.randperm(available, generator=generator, device=generator.device)[:count].cpu()


def covariances(
    pieces: Iterable[Mapping[str, Tensor]], precision: Literal["float64", "model"], centre: float | None = None
) -> dict[str, Tensor]:
    """Covariance of each layer over pieces of its samples, `(units, units)` float64.

    Of several processes each gives its own pieces, one or more, and all get the covariance over all.

    Args:
        pieces: `(samples, units)` by layer, one piece after the other.
        precision: "float64" adds centred products up, with divisor N − 1; "model" holds all samples at once and
            multiplies in their own type, with divisor N.
        centre: what is taken off every unit instead of its mean, which makes second moments of them.

    Raises:
        ValueError: if a layer is not finite.
    """
    sums: dict[str, UnitSide] = {}
    held: dict[str, list[Tensor]] = {}
    for piece in pieces:
        for name, values in piece.items():
            if precision == "model":
                held.setdefault(name, []).append(values.detach())
                continue
            values = doubled(values)
            if name not in sums:
                sums[name] = UnitSide(values.shape[1], device=values.device)
            sums[name].add(values)
    found = {}
    for name, total in sums.items():
        count, products = processes.joined(total.count, total.mean, total.matrix, centre)
        found[name] = products / (count - 1)
    for name, parts in held.items():
        values = torch.cat(parts) if len(parts) > 1 else parts[0]
        count, mean = processes.joint_mean(values)
        values = values - (mean if centre is None else centre)
        found[name] = doubled(processes.summed(values.T @ values) / count)
    for name, covariance in found.items():
        need(
            bool(torch.isfinite(covariance).all()),
            expected=f"finite values in layer {name!r}",
            got="NaN or infinity",
            remedy="Lower the learning rate or the penalties' strength.",
        )
    return {name: (covariance + covariance.T) / 2 for name, covariance in found.items()}


def random_projection(units: int, onto: int, generator: torch.Generator) -> Float64[Tensor, "units onto"]:
    """Orthonormal directions whose span is uniformly distributed; where the generator lies."""
    drawn = torch.randn(units, onto, generator=generator, device=generator.device, dtype=torch.float64)
    return torch.linalg.qr(drawn).Q


def numerical_rank(eigenvalues: Float64[Tensor, " ranks"], rows: int, coarse: bool) -> int:
    """Ranks above rounding: max(rows, units) · 2⁻⁵² λ₁, or 2⁻²³ λ₁ for a coarse, float32 covariance; below `rows`."""
    resolution = 2.0**-23 if coarse else max(rows, len(eigenvalues)) * 2.0**-52
    return min(rows - 1, int((eigenvalues > resolution * eigenvalues[0]).sum()))


def leading_eigenvectors(
    matrix: Float[Tensor, "units units"],
    ranks: int,
    generator: torch.Generator,
    passes: int = 8,
) -> tuple[Float[Tensor, " ranks"], Float[Tensor, "units ranks"]]:
    """Largest eigenvalues and their vectors by randomised subspace iteration with ten spare directions.

    Source: Halko, Martinsson & Tropp 2011, SIAM Review 53, doi:10.1137/090771806.
    """
    width = min(ranks + 10, len(matrix))
    block = torch.randn(len(matrix), width, generator=generator, dtype=matrix.dtype, device=generator.device)
    block = block.to(matrix.device)
    for _ in range(passes):
        block = torch.linalg.qr(matrix @ block).Q
    small = block.T @ matrix @ block
    values, inside = symmetric_eigh((small + small.T) / 2)
    return values[:ranks], block @ inside[:, :ranks].to(block)


# ---------------------------------------------------------------------------- staleness


@dataclass(frozen=True)
class Staleness:
    """How far a basis is from diagonalising a covariance.

    Attributes:
        off: Frobenius norm off the diagonal of VᵀCV over that of the whole.
        tail: root mean square correlation between the directions beyond τ.
        excess: R of the true eigenvalues less R of the variances along the basis.
        alpha: exponent of the true eigenvalues less that along the basis.
        true_excess: R of the true eigenvalues.
        true_alpha: exponent of the true eigenvalues.
    """

    off: float
    tail: float
    excess: float
    alpha: float
    true_excess: float
    true_alpha: float

    @property
    def stale(self) -> bool:
        """Whether a run that ends so must be marked: s_R > 0.1."""
        return self.excess > 0.1


def tail_correlation(moments: Float[Tensor, "ranks ranks"]) -> Float[Tensor, ""]:
    """s_tail: root mean square off-diagonal entry of the moments scaled to unit diagonal; dead directions count 0."""
    diagonal = moments.diagonal()
    alive = diagonal > 0
    inverse = torch.where(alive, diagonal, torch.ones_like(diagonal)).rsqrt() * alive
    squares = (moments * inverse[:, None] * inverse).square()
    pairs = len(moments) * (len(moments) - 1)
    return ((squares.sum() - squares.diagonal().sum()) / max(pairs, 1)).clamp_min(0).sqrt()


def staleness(
    covariance: Float[Tensor, "units units"],
    eigenvalues: Float[Tensor, " every_rank"],
    basis: Float[Tensor, "units ranks"],
    tau: int,
    excess_of: Callable[[Tensor], Tensor],
) -> Staleness:
    """Measure a basis against a covariance whose eigenvalues, largest first, are known.

    Args:
        covariance: of the layer now.
        eigenvalues: its own, as many as the basis has columns or more.
        basis: the one in use.
        tau: of the penalty.
        excess_of: R of eigenvalues in falling order.
    """
    basis = basis.to(covariance)
    moments = basis.T @ (covariance @ basis)
    true = eigenvalues[: basis.shape[1]]
    along = moments.diagonal().sort(descending=True).values
    true_excess, true_alpha = float(excess_of(true)), float(exponent(true, tau))
    whole, diagonal = moments.norm(), moments.diagonal().norm()
    return Staleness(
        off=float(((whole**2 - diagonal**2).clamp_min(0)).sqrt() / whole) if float(whole) > 0 else 0.0,
        tail=float(tail_correlation(moments[tau:, tau:])),
        excess=true_excess - float(excess_of(along)),
        alpha=true_alpha - float(exponent(along, tau)),
        true_excess=true_excess,
        true_alpha=true_alpha,
    )
