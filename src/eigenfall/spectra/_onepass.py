"""Second moments as a first script adds them up: float32, one pass, sums of products less the product of sums.

    M = Σ x xᵀ − (Σ x)(Σ x)ᵀ / S

Source: the textbook formula; Chan, Golub & LeVeque 1983, The American Statistician 37,
doi:10.1080/00031305.1983.10483115, on what it loses: eigenvalues below about 2⁻²⁴ of Σ x xᵀ's largest are rounding.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.types import Gram, Responses


def one_pass(responses: Responses) -> Gram:
    """The centred second moment of one repeat, on the side of the units, as float32 left it.

    Raises:
        ValueError: for a value that is not finite.
    """
    total, products, count = torch.zeros(()), torch.zeros(()), 0
    for piece in _over_stimuli(responses):
        rows = piece[0].float()
        need(
            bool(rows.isfinite().all()),
            expected=f"finite {responses.name}",
            got="NaN or infinity",
            remedy="Leave that stimulus or unit out.",
        )
        total, products, count = total + rows.sum(0), products + rows.T @ rows, count + len(rows)
    need(
        count >= 2 and total.ndim == 1 and len(total) >= 1,
        expected=f"at least two stimuli and one unit in {responses.name}",
        got=f"{count} × {len(total) if total.ndim else 0}",
        remedy="A covariance needs differences between stimuli.",
    )
    matrix = (products - total[:, None] * total / count).double()
    return Gram(matrix, "units", count, len(total), name=responses.name)


def _over_stimuli(responses: Responses) -> Iterator[Tensor]:
    """Pieces that hold all units: of chunks over units one, put together."""
    pieces = responses.pieces()
    if responses.chunks is None or responses.chunked_over == "stimuli":
        yield from pieces
    elif together := list(pieces):
        yield torch.cat(together, 2)


def general_eigenvalues(matrix: Float[Tensor, "side side"]) -> Float64[Tensor, " side"]:
    """Real parts of a square matrix's eigenvalues, largest first, by a solver that does not know it is symmetric.

    In float32, and float64 afterwards. What rounding made complex or negative stays so, in its real part.
    """
    return torch.linalg.eigvals(matrix.float()).real.sort(descending=True).values.double()
