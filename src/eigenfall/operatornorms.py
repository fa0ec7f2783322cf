"""Operator norms of linear layers in L2, and the Lipschitz bound of a feed-forward model that follows from them.

    linear           σ_max(W), float64
    convolution      the norm of the convolution itself, with its padding, stride, dilation, groups and input size:
                     circular, stride 1: the largest σ_max over Fourier frequencies of the kernel's transform (closed);
                     else: Lanczos on AᵀA, A the convolution, Aᵀ its reverse pass
    upper            the smaller of two bounds that hold at every stride:
                     √(k_h k_w) · the smallest norm of the kernel reshaped in four ways;
                     the norm of the circular convolution on the padded input, times that of the padding

A convolution reads its padded input, of which every place it writes is a place of the circular convolution on a torus
of that size: it embeds, convolves and leaves out, and embedding and leaving out lengthen nothing. That is the second
bound.

Source: Sedghi, Gupta & Long 2019, arXiv:1805.10408, for circular ones; Singla & Feizi 2021, arXiv:1911.10258, for the
four reshaped kernels. The norm of one reshaped kernel alone, which torch's spectral_norm takes, is no bound.
Differs from the sources: groups, dilation, stride and every padding; and Lanczos where the specification iterates
powers, since it ends in a fraction of the steps when singular values crowd, as those of convolutions do.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import scipy
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.types import OperatorNorm

Size = tuple[int, int]
DENSE = 64
"""Inputs of a convolution up to which its matrix is written out: Lanczos needs room."""


def linear_norm(layer: nn.Linear) -> OperatorNorm:
    """Largest singular value of the weights, float64."""
    found = float(torch.linalg.matrix_norm(_finite(layer.weight), 2))
    return OperatorNorm(found, found, method="singular values")


def convolution_norm(
    layer: nn.Conv2d, size: Size, generator: torch.Generator, tolerance: float = 1e-6, steps: int = 10_000
) -> OperatorNorm:
    """Norm of a convolution as a map of images of a size; its bias does not count.

    Args:
        layer: the convolution.
        size: height and width of its input.
        generator: the iteration's start is drawn from it.
        tolerance: of the squared norm, as a share of it.
        steps: most restarts of the iteration.

    Returns:
        The norm, an upper bound, and the residual ‖AᵀAu − σ²u‖/σ² of the iteration.

    Raises:
        ValueError: if weights are not finite, the size is too small for the kernel, the tolerance is not positive, or
            the iteration does not converge.
    """
    need(tolerance > 0, expected="a tolerance above 0", got=f"{tolerance}", remedy="Use 1e-6, which is the default.")
    kernel = _finite(layer.weight)
    with torch.inference_mode(False), torch.enable_grad():
        at = torch.zeros(1, layer.in_channels, *size, dtype=torch.float64, requires_grad=True)
        padded = _padded(layer, at)
        reach = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size)]
        need(
            all(side >= across for side, across in zip(padded.shape[2:], reach)),
            expected=f"inputs of at least {reach[0]} × {reach[1]} with their padding",
            got=f"{padded.shape[2]} × {padded.shape[3]}",
            remedy="Give the height and width of this layer's own input.",
        )
        out = nn.functional.conv2d(padded, kernel, None, layer.stride, 0, layer.dilation, layer.groups)
    upper = convolution_bound(layer, size)
    if _is_whole(layer, out.shape[2:], size):
        return OperatorNorm(upper, upper, method="Fourier, closed form")
    if not bool(kernel.any()):
        return OperatorNorm(0.0, 0.0, method="zero")
    if at.numel() <= DENSE:
        rows = [torch.autograd.grad(out, at, one.reshape(out.shape), retain_graph=True)[0].flatten()
                for one in torch.eye(out.numel(), dtype=torch.float64)]  # fmt: skip
        found = float(torch.linalg.matrix_norm(torch.stack(rows), 2))
        return OperatorNorm(found, min(upper, found), method="dense matrix")

    def through(vector: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            image = torch.from_numpy(np.ascontiguousarray(vector).reshape(at.shape))
            moved = nn.functional.conv2d(
                _padded(layer, image), kernel, None, layer.stride, 0, layer.dilation, layer.groups
            )
        return torch.autograd.grad(out, at, moved, retain_graph=True)[0].flatten().numpy()

    start = torch.randn(at.numel(), generator=generator, device=generator.device, dtype=torch.float64).cpu().numpy()
    # Any: scipy makes both signatures where no type checker sees them
    lanczos: Any = scipy.sparse.linalg.eigsh
    operator = cast(Any, scipy.sparse.linalg.LinearOperator)((at.numel(), at.numel()), matvec=through, dtype=np.float64)
    try:
        values, vectors = lanczos(operator, k=1, v0=start, tol=tolerance, maxiter=steps, which="LA")
    except scipy.sparse.linalg.ArpackNoConvergence as reason:
        raise ValueError(
            f"Expected the norm of the convolution within {tolerance:g}, got no convergence in {steps} restarts. "
            "Allow more steps, or a larger tolerance."
        ) from reason
    square, vector = max(float(values[0]), 0.0), vectors[:, 0]
    away = float(np.linalg.norm(through(vector) - square * vector))
    return OperatorNorm(math.sqrt(square), upper, away / square if square > 0 else 0.0, "Lanczos")


def convolution_bound(layer: nn.Conv2d, size: Size) -> float:
    """Upper bound of the same norm, for certificates: exact for a whole circular convolution, else the smaller of two.

    Args:
        layer: the convolution.
        size: height and width of its input.

    Raises:
        ValueError: if weights are not finite.
    """
    kernel = _finite(layer.weight)
    with torch.inference_mode(False), torch.enable_grad():
        at = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
        padded = _padded(layer, at)
        (copies,) = torch.autograd.grad(padded.sum(), at)
    high, wide = (int(side) for side in padded.shape[2:])
    written = [side - d * (k - 1) for side, d, k in zip((high, wide), layer.dilation, layer.kernel_size)]
    if _is_whole(layer, written, size):
        return _circular(layer, kernel, size)
    padding = math.sqrt(float(copies.max()))  # the most copied value stands at so many places
    return padding * min(reshaped_bound(layer), _circular(layer, kernel, (high, wide)))


def _is_whole(layer: nn.Conv2d, written: Sequence[int], size: Size) -> bool:
    """Whether a convolution is a circular one of stride 1: as many places come out as went in."""
    return layer.padding_mode == "circular" and tuple(layer.stride) == (1, 1) and tuple(written) == tuple(size)


def reshaped_bound(layer: nn.Conv2d) -> float:
    """√(k_h k_w) times the smallest norm of the kernel reshaped in four ways, for zero or circular padding."""
    bounds = []
    for kernel in _finite(layer.weight).chunk(layer.groups):
        out, into, high, wide = kernel.shape
        shapes = (
            kernel.permute(0, 2, 1, 3).reshape(out * high, into * wide),
            kernel.permute(0, 3, 1, 2).reshape(out * wide, into * high),
            kernel.reshape(out, into * high * wide),
            kernel.permute(0, 2, 3, 1).reshape(out * high * wide, into),
        )
        smallest = min(float(torch.linalg.matrix_norm(shape, 2)) for shape in shapes)
        bounds.append(math.sqrt(high * wide) * smallest)
    return max(bounds)


def certified_distances(margins: Float[Tensor, " inputs"], bound: float) -> Float64[Tensor, " inputs"]:
    """L2 distances below which no decision changes: m/(√2 · L), 0 where the model errs.

    z_y − z_j moves by at most √2 L for a step of 1, for ‖e_y − e_j‖₂ = √2.

    Args:
        margins: target's logit less the largest other.
        bound: Lipschitz bound of the logits in L2.

    Raises:
        ValueError: if the bound is not above 0.

    Source: Tsuzuku, Sato & Sugiyama 2018, arXiv:1802.04034.
    """
    need(bound > 0, expected="a bound above 0", got=f"{bound}", remedy="Give lipschitz_bound(...).value.")
    return margins.double().clamp_min(0) / (math.sqrt(2) * bound)


def _finite(weight: Tensor) -> Float64[Tensor, "..."]:
    need(
        bool(torch.isfinite(weight).all()),
        expected="finite weights",
        got="NaN or infinity",
        remedy="Look for diverged training.",
    )
    return weight.detach().double().cpu()


def _padded(layer: nn.Conv2d, images: Tensor) -> Tensor:
    """What the convolution reads: its input with all its padding."""
    around: list[int] = []
    for side in (1, 0):  # width first, as torch pads
        if layer.padding == "same":
            total = layer.dilation[side] * (layer.kernel_size[side] - 1)
            around += [total // 2, total - total // 2]
        elif layer.padding == "valid":
            around += [0, 0]
        else:
            around += [int(layer.padding[side])] * 2
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return nn.functional.pad(images, around, mode=mode) if any(around) else images


def _circular(layer: nn.Conv2d, kernel: Tensor, size: Size) -> float:
    """Norm of the circular convolution of stride 1 on a torus of this size: σ_max over its Fourier frequencies."""
    torus = torch.zeros(*kernel.shape[:2], *size, dtype=torch.float64)
    for row in range(layer.kernel_size[0]):
        for column in range(layer.kernel_size[1]):
            place = (row * layer.dilation[0] % size[0], column * layer.dilation[1] % size[1])
            torus[:, :, place[0], place[1]] += kernel[:, :, row, column]
    largest = 0.0
    for group in torus.chunk(layer.groups):  # the other half of the frequencies is the conjugate of this one
        transfer = torch.fft.rfft2(group).flatten(2).permute(2, 0, 1)
        if transfer.shape[1] > transfer.shape[2]:
            transfer = transfer.mH
        for some in transfer.split(256):
            largest = max(largest, float(torch.linalg.eigvalsh(some @ some.mH)[:, -1].max()))
    return math.sqrt(max(largest, 0.0))
