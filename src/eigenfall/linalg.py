"""Second moments that add up over chunks, and eigenvalues of symmetric matrices. All sums are float64.

    rows A and B, n and m of them:   M(A ∪ B) = M(A) + M(B) + nm/(n+m) (ā − b̄)(ā − b̄)ᵀ,   M(A) = Σ (x − ā)(x − ā)ᵀ

Source: Chan, Golub & LeVeque 1983, The American Statistician 37, doi:10.1080/00031305.1983.10483115.
E[xxᵀ] − x̄x̄ᵀ is never formed: it loses every eigenvalue below 2⁻⁵² ‖x̄‖².
"""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall.check import need

Precision = Literal["float64", "mixed"]

BLOCK = 2**20
"""How many float64 values a block of rows or columns may have: 8 MB."""

PANEL = 128
"""How many rows of a symmetric product are computed at once on the CPU."""

VALUES_LIMIT, VECTORS_LIMIT = 46_340, 32_766
"""Sides above which the 32-bit LAPACK of torch fails on the CPU, without and with vectors."""


# --------------------------------------------------------------------------- eigenvalues


def _checked(matrix: Tensor, limit: int) -> Float64[Tensor, "side side"]:
    """The matrix as float64, on the CPU where its device knows no float64; refused if it cannot be decomposed."""
    need(
        matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.shape[0] > 0,
        expected="a square matrix",
        got=f"shape {tuple(matrix.shape)}",
        remedy="Give a covariance or a Gram matrix.",
    )
    matrix = matrix.detach()
    side = len(matrix)
    block = max(1, BLOCK // side)
    largest = asymmetry = 0.0
    for start in range(0, side, block):
        rows, columns = matrix[start : start + block], matrix[:, start : start + block].T
        largest = max(largest, float(rows.abs().max())) if bool(torch.isfinite(rows).all()) else float("nan")
        need(
            largest == largest,
            expected="a finite matrix",
            got="NaN or infinity in it",
            remedy="Look for NaN, or for diverged weights, in what it was computed from.",
        )
        asymmetry = max(asymmetry, float((rows - columns).abs().max()))
    need(
        asymmetry <= (1e-10 if matrix.dtype == torch.float64 else 1e-4) * largest,
        expected="a symmetric matrix",
        got=f"entries that differ by {asymmetry:.3g} from their mirror image",
        remedy="Give a covariance or a Gram matrix.",
    )
    need(
        side <= limit or matrix.device.type == "cuda",
        expected=f"a side of at most {limit} on the CPU",
        got=f"{side}",
        remedy="Take fewer stimuli or units, or a GPU.",
    )
    return matrix.to("cpu" if matrix.device.type == "mps" else matrix.device).double()


def _attempts(matrix: Tensor) -> Iterator[Tensor]:
    """The matrix; on the CPU; on the CPU with growing multiples of 2⁻⁵² ‖matrix‖ alternating along its diagonal."""
    yield matrix
    if matrix.device.type != "cpu":
        yield matrix.cpu()
    host = matrix.cpu()
    signs = torch.ones(len(host), dtype=torch.float64)
    signs[1::2] = -1
    for factor in (1.0, 16.0, 256.0):
        yield host + torch.diag(factor * 2.0**-52 * host.norm() * signs)


def _decomposed(matrix: Tensor, decompose, limit: int):
    checked = _checked(matrix, limit)
    refusal = ""
    for attempt in _attempts(checked):
        try:
            return decompose(attempt), checked.device
        except torch.linalg.LinAlgError as reason:  # pyright: ignore[reportPrivateImportUsage]
            refusal = str(reason).split("\n")[0]
    raise ValueError(
        f"Expected a matrix whose eigenvalues converge, got {refusal!r} on the device, on the CPU and with jitter. "
        "Look at the matrix: its entries may span too many decades."
    )


def symmetric_eigenvalues(matrix: Float[Tensor, "side side"]) -> Float64[Tensor, " side"]:
    """Eigenvalues of a symmetric matrix, largest first, float64, detached.

    A solver that fails is tried again on the CPU, then with jitter of at most 256 · 2⁻⁵² ‖matrix‖ on the diagonal,
    which moves no eigenvalue by more than that.

    Raises:
        ValueError: if the matrix is not square, symmetric and finite, is too large for the CPU's LAPACK, or if no
            attempt converges.
    """
    values, device = _decomposed(matrix, torch.linalg.eigvalsh, VALUES_LIMIT)
    return values.flip(0).to(device)


def symmetric_eigh(
    matrix: Float[Tensor, "side side"],
) -> tuple[Float64[Tensor, " side"], Float64[Tensor, "side side"]]:
    """Eigenvalues, largest first, and the eigenvectors that belong to them as columns; float64, detached.

    Fallbacks and refusals are those of `symmetric_eigenvalues`.
    """
    (values, vectors), device = _decomposed(matrix, torch.linalg.eigh, VECTORS_LIMIT)
    return values.flip(0).to(device), vectors.flip(1).to(device)


# ------------------------------------------------------------------------ second moments


def _panel(matrix: Tensor) -> int:
    """How many rows of a symmetric matrix are filled at once: on the CPU few, so that half of it is never computed."""
    return PANEL if matrix.device.type == "cpu" else max(1, len(matrix))


def add_products(matrix: Tensor, factor: Tensor, precision: Precision) -> None:
    """Add factorᵀ factor to the matrix, in place, on and below the diagonal only."""
    width = _panel(matrix)
    factor = factor.float() if precision == "mixed" else factor
    for start in range(0, len(matrix), width):
        end = min(start + width, len(matrix))
        left, right = factor[:, start:end].T, factor[:, :end]
        if precision == "mixed":
            matrix[start:end, :end] += left @ right
        else:
            matrix[start:end, :end].addmm_(left, right)


def mirrored(matrix: Tensor) -> Tensor:
    """The matrix with what is above the diagonal copied from below, in place."""
    width = _panel(matrix)
    for start in range(0, len(matrix), width):
        rows = matrix[start : start + width]
        matrix[:start, start : start + width] = rows[:, :start].T
        corner = rows[:, start : start + width]
        corner.copy_(corner.tril() + corner.tril(-1).T)
    return matrix


class UnitSide:
    """Σ (x − x̄)(x − x̄)ᵀ over rows that come in chunks.

    Attributes:
        count: rows so far.
        mean: their mean, `(units,)` float64.
    """

    def __init__(self, units: int, precision: Precision = "float64", device: torch.device | str = "cpu"):
        self.precision: Precision = precision
        self.count = 0
        self.mean = torch.zeros(units, dtype=torch.float64, device=device)
        self.sums = torch.zeros(units, units, dtype=torch.float64, device=device)

    @property
    def matrix(self) -> Float64[Tensor, "units units"]:
        """`(units, units)` float64, centred at the mean: a view of the sums, which later rows change."""
        return mirrored(self.sums)

    def add(self, rows: Float[Tensor, "stimuli units"]) -> None:
        """Add rows, block by block."""
        for block in rows.split(max(1, BLOCK // max(1, rows.shape[1]))):
            if len(block) == 0:
                continue
            block = block.double()
            mean = block.mean(0)
            add_products(self.sums, block - mean, self.precision)
            self._shift(len(block), mean)

    def merge(self, count: int, mean: Float64[Tensor, " units"], matrix: Float64[Tensor, "units units"]) -> None:
        """Add the rows that another sum holds, from another process or machine."""
        if count:
            self.sums.add_(matrix)
            self._shift(count, mean)

    def _shift(self, count: int, mean: Tensor) -> None:
        total = self.count + count
        change = mean - self.mean
        self.sums.addr_(change, change, alpha=self.count * count / total)
        self.mean = self.mean + change * (count / total)
        self.count = total
