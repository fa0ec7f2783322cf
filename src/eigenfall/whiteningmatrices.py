"""Whitening matrices, W C Wᵀ = I, and their derivatives.

    cholesky  W = L⁻¹, C = L Lᵀ        zca  W = C^(−1/2)        pca  W = Λ^(−1/2) Vᵀ, C = V Λ Vᵀ

Source: Kessy, Lewin and Strimmer 2018, The American Statistician 72, doi:10.1080/00031305.2016.1277159.
Derivatives: of C^(−1/2) by the Lyapunov equation W dW + dW W = −C⁻¹ dC C⁻¹, which divides by no difference of
eigenvalues. Of V by dV = V (F ∘ Vᵀ dC V), Fᵢⱼ = 1/(λⱼ − λᵢ), with no rotation between eigenvectors of equal
eigenvalues, where V has no derivative; W is still white to first order there.
"""

from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need, one_of
from eigenfall.linalg import symmetric_eigh

METHODS = ("cholesky", "zca", "pca")

TIE = 1e-10
"""Eigenvalues that differ by less than this share of the largest are taken as equal."""


class _Lyapunov(torch.autograd.Function):
    """X of W X + X W = Q, for symmetric W = U diag(roots) Uᵀ; its derivative is another such equation."""

    @staticmethod
    def forward(ctx: Any, root: Tensor, right: Tensor, roots: Tensor, vectors: Tensor) -> Tensor:
        solution = vectors @ ((vectors.T @ right @ vectors) / (roots[:, None] + roots)) @ vectors.T
        ctx.save_for_backward(root, solution, roots, vectors)
        return solution

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        root, solution, roots, vectors = ctx.saved_tensors
        of_right: Any = _Lyapunov.apply(root, gradients[0], roots, vectors)
        return -(of_right @ solution.T + solution.T @ of_right), of_right, None, None


class _InverseRoot(torch.autograd.Function):
    """C^(−1/2) of C = U diag(eigenvalues) Uᵀ."""

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, eigenvalues: Tensor, vectors: Tensor) -> Tensor:
        roots = eigenvalues.rsqrt()
        root = (vectors * roots) @ vectors.T
        ctx.save_for_backward(root, roots, vectors)
        return root

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        root, roots, vectors = ctx.saved_tensors
        inverse = root @ root
        solution: Any = _Lyapunov.apply(root, gradients[0], roots, vectors)
        return -inverse @ solution @ inverse, None, None


class _Eigenvectors(torch.autograd.Function):
    """Eigenvalues and eigenvectors as found, with their derivatives; those of equal eigenvalues do not rotate."""

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, eigenvalues: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        eigenvalues, vectors = eigenvalues.clone(), vectors.clone()
        ctx.save_for_backward(eigenvalues, vectors)
        return eigenvalues, vectors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        eigenvalues, vectors = ctx.saved_tensors
        gaps = eigenvalues - eigenvalues[:, None]
        apart = gaps.abs() > TIE * eigenvalues[0]
        turned = torch.where(apart, vectors.T @ gradients[1] / torch.where(apart, gaps, 1.0), 0.0)
        found = vectors @ (turned + gradients[0].diag()) @ vectors.T
        return (found + found.T) / 2, None, None


def whitening_matrix(
    covariance: Float64[Tensor, "units units"], method: str = "cholesky"
) -> Float64[Tensor, "units units"]:
    """W with W C Wᵀ = I, differentiable, twice and more, in the covariance.

    Args:
        covariance: symmetric, positive definite.
        method: "cholesky", the lower triangular one; "zca", the symmetric one; "pca", along the eigenvectors, largest
            variance first, the largest entry of each above 0.

    Raises:
        ValueError: if the covariance is singular within rounding, or not finite, or the method is unknown.
    """
    one_of(method, METHODS, "method of whitening")
    tiny = torch.finfo(torch.float64).eps * len(covariance)
    if method == "cholesky":
        factor, failed = torch.linalg.cholesky_ex(covariance)
        pivots = factor.detach().diagonal().square()
        _need_regular(not bool(failed) and bool(pivots.min() > tiny * pivots.max()))
        identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
        return torch.linalg.solve_triangular(factor, identity, upper=False)
    eigenvalues, vectors = symmetric_eigh(covariance)
    _need_regular(bool(eigenvalues[-1] > tiny * eigenvalues[0]))
    root: Any = _InverseRoot.apply(covariance, eigenvalues, vectors)
    if method == "zca":
        return root
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    turned: Any = _Eigenvectors.apply(covariance, eigenvalues, vectors * largest.sign())
    return turned[1].T @ root


def _need_regular(held: bool) -> None:
    need(
        held,
        expected="a covariance that has an inverse",
        got="a singular one, or NaN in it",
        remedy="Set a jitter or a shrinkage above 0, take more rows, or look for units that do not vary.",
    )
