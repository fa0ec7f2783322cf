"""Singular values of Jacobians, each input's on its own: all of them, or the largest by iteration.

    J u by two reverse passes:   g(w) = Jᵀw is linear in w, so that J u = ∂⟨g(w), u⟩/∂w

Source: the second reverse pass is Townsend's (2017, j-towns.github.io/2017/06/12/A-new-trick.html); it needs a
derivative of each operation's backward pass, and no forward-mode one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall.check import need

BLOCK = 64
"""How many rows of a Jacobian wait before they are folded into its triangular factor."""


class Leading(NamedTuple):
    """Largest singular value of each input's Jacobian, its residual, and the direction that is stretched most.

    The residual is ‖JᵀJu − σ²u‖/σ²: some singular value lies within half of it, as a share of σ; NaN where exact.
    """

    norms: Float64[Tensor, " some"]
    residuals: Float64[Tensor, " some"]
    directions: Float64[Tensor, "some inputs"]


def rows_of(
    values: Float[Tensor, "some values"], at: Float[Tensor, "some ..."], along: Tensor | None = None
) -> Iterator[Float64[Tensor, "some inputs"]]:
    """Rows of each input's Jacobian, one value after another; or of its products with the rows of `along`."""
    for number in range(values.shape[1] if along is None else len(along)):
        cotangent = torch.zeros_like(values)
        if along is None:
            cotangent[:, number] = 1
        else:
            cotangent[:] = along[number].to(values)
        (row,) = torch.autograd.grad(values, at, cotangent, retain_graph=True)
        yield row.flatten(1).double()


def singular_values(
    values: Float[Tensor, "some values"], at: Float[Tensor, "some ..."], along: Tensor | None = None
) -> Float64[Tensor, "some ranks"]:
    """All singular values, largest first, float64; NaN at inputs whose Jacobian is not finite.

    No more than `inputs` + 64 rows are held: of more, R of the QR decomposition stays, whose singular values are the
    same. JᵀJ is never formed, which would lose every singular value below 10⁻⁸ of the largest.
    """
    held: list[Tensor] = []
    factor: Tensor | None = None
    side = at[0].numel()
    for row in rows_of(values, at, along):
        held.append(row)
        if len(held) >= (side if factor is None else 0) + BLOCK:
            factor, held = _folded(factor, held), []
    if held or factor is None:
        stacked = torch.stack(held, 1)
        factor = stacked if factor is None else torch.cat((factor, stacked), 1)
    finite = torch.isfinite(factor).flatten(1).all(1)
    found = torch.linalg.svdvals(torch.where(finite[:, None, None], factor, 0.0))
    return torch.where(finite[:, None], found, torch.nan)


def _folded(factor: Tensor | None, held: list[Tensor]) -> Float64[Tensor, "some ranks inputs"]:
    """R of everything so far; what is not finite stays so."""
    stacked = torch.stack(held, 1)
    whole = stacked if factor is None else torch.cat((factor, stacked), 1)
    finite = torch.isfinite(whole).flatten(1).all(1)
    triangle = torch.linalg.qr(torch.where(finite[:, None, None], whole, 0.0), mode="r").R
    return torch.where(finite[:, None, None], triangle, torch.nan)


def bytes_of_rows(values: int, inputs: int) -> int:
    """What the rows of one input's Jacobian hold, thrice: as they come, as they are decomposed, and its work space."""
    return 3 * 8 * inputs * min(values, inputs + BLOCK)


def need_iteration(exact_values: int, tolerance: float, steps: int) -> None:
    """Refuse settings of an iteration that could never end, or never begin."""
    need(
        exact_values >= 0 and tolerance > 0 and steps >= 1,
        expected="exact_values of 0 or more, a tolerance above 0 and at least one step",
        got=f"exact_values={exact_values}, tolerance={tolerance}, steps={steps}",
        remedy="Use tolerance=1e-4 and steps=200, which are the defaults.",
    )


def leading(
    values: Float[Tensor, "some values"],
    at: Float[Tensor, "some ..."],
    starts: Float64[Tensor, "some inputs"] | None,
    tolerance: float,
    steps: int,
) -> Leading:
    """Largest singular value; by iteration from the starts, or from all rows if there are no starts."""
    if starts is None:
        return _from_rows(values, at)
    return _from_powers(values, at, starts, tolerance, steps)


def _from_rows(values: Tensor, at: Tensor) -> Leading:
    """Root of the largest eigenvalue of JJᵀ, float64."""
    jacobian = torch.stack(list(rows_of(values, at)), 1)
    finite = torch.isfinite(jacobian).flatten(1).all(1)
    jacobian = torch.where(finite[:, None, None], jacobian, 0.0)
    largest = jacobian.abs().flatten(1).amax(1)
    jacobian = jacobian / torch.where(largest > 0, largest, 1.0)[:, None, None]  # squares neither vanish nor overflow
    eigenvalues, vectors = torch.linalg.eigh(jacobian @ jacobian.mT)
    directions = (vectors[:, :, -1:].mT @ jacobian)[:, 0]
    lengths = directions.norm(dim=1, keepdim=True)
    norms = torch.where(finite, eigenvalues[:, -1].clamp_min(0).sqrt() * largest, torch.nan)
    return Leading(norms, torch.full_like(norms, torch.nan), directions / torch.where(lengths > 0, lengths, 1.0))


def _from_powers(values: Tensor, at: Tensor, starts: Tensor, tolerance: float, steps: int) -> Leading:
    """Power iteration on JᵀJ, every input on its own; one that is done keeps what it has."""
    weights = torch.zeros_like(values, requires_grad=True)
    (pulled,) = torch.autograd.grad(values, at, weights, create_graph=True)
    directions = starts / starts.norm(dim=1, keepdim=True)
    norms = torch.zeros(len(at), dtype=torch.float64, device=at.device)
    residuals, done = torch.full_like(norms, torch.inf), torch.zeros(len(at), dtype=torch.bool, device=at.device)
    ahead = directions
    for _ in range(steps):
        directions = torch.where(done[:, None], directions, ahead)
        (pushed,) = torch.autograd.grad(pulled, weights, directions.reshape(at.shape).to(pulled), retain_graph=True)
        (back,) = torch.autograd.grad(values, at, pushed, retain_graph=True)
        back, squares = back.flatten(1).double(), pushed.double().square().sum(1)
        away = (back - squares[:, None] * directions).norm(dim=1)
        away = torch.where(squares > 0, away / squares, away)
        norms = torch.where(done, norms, squares.sqrt())
        residuals = torch.where(done, residuals, away)
        done = done | ~(residuals > tolerance)  # NaN is done, too
        if bool(done.all()):
            break
        lengths = back.norm(dim=1, keepdim=True)
        ahead = back / torch.where(lengths > 0, lengths, 1.0)
    return Leading(norms, residuals, directions)


def drawn(some: int, inputs: int, generator: torch.Generator) -> Float64[Tensor, "some inputs"]:
    """Normal starts, input by input, so that chunks change nothing."""
    one = [torch.randn(inputs, generator=generator, device=generator.device, dtype=torch.float64) for _ in range(some)]
    return torch.stack(one)
