"""What one unit of an input is: a [0, 1] pixel, or the image's own L3 norm.

    pixel:  0 ≤ x ≤ 1        l3:  x / ‖x‖₃,   ‖x‖₃ = (Σᵢ |xᵢ|³)^⅓

Source: the code of Holzhausen et al. 2024, arXiv:2405.00679, divides each image by its L3 norm.
"""

from typing import Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall.check import need

Scaling = Literal["pixel", "l3"]
_BLOCK = 1000
_NEAR = 1e-3


def l3_norms(inputs: Float[Tensor, "inputs ..."]) -> Float64[Tensor, " inputs"]:
    """(Σ |x|³)^⅓ of each input, float64."""
    blocks = [torch.linalg.vector_norm(block.flatten(1).double(), 3, dim=1) for block in inputs.split(_BLOCK)]
    return torch.cat(blocks).cpu()


def divided(inputs: Float[Tensor, "inputs ..."], what: str) -> tuple[Tensor, Float64[Tensor, " inputs"]]:
    """Inputs divided by their own L3 norms, and the norms.

    Args:
        inputs: left as they are.
        what: whose they are, for the refusal.

    Raises:
        ValueError: if an input is zero everywhere, which has no direction to keep.
    """
    norms = l3_norms(inputs)
    black = int((norms == 0).sum())
    need(
        black == 0,
        expected=f"inputs of {what} that are not zero everywhere, to divide by their L3 norm",
        got=f"{black} of {len(norms)} that are",
        remedy="Leave those out, or use scaling=pixel.",
    )
    return inputs / norms.to(inputs).reshape(-1, *[1] * (inputs.ndim - 1)), norms


def need_scaling(inputs: Float[Tensor, "inputs ..."], scaling: Literal["any", "pixel", "l3"]) -> None:
    """Refuse inputs that are not scaled as a rule's preset needs; nothing is rescaled.

    Args:
        inputs: all of them are looked at.
        scaling: "pixel", values in [0, 1], not all of L3 norm 1; "l3", L3 norms of 1 to a thousandth; "any".

    Raises:
        ValueError: if they are scaled otherwise, or not finite.
    """
    if scaling == "any" or not inputs.numel():
        return
    low, high = torch.stack(inputs.detach().aminmax()).tolist()
    norms = l3_norms(inputs.detach())
    shortest, longest = torch.stack(norms.aminmax()).tolist()
    unit = shortest >= 1 - _NEAR and longest <= 1 + _NEAR  # false for NaN
    if scaling == "l3":
        need(
            unit,
            expected="images of L3 norm 1",
            got=f"norms from {shortest:.4g} to {longest:.4g}",
            remedy="Use a data set's scaling=l3, for instance --data cifar10:scaling=l3.",
        )
        return
    need(
        low >= 0 and high <= 1,
        expected="images in [0, 1] pixels",
        got=f"values from {low:.4g} to {high:.4g}",
        remedy="Divide bytes by 255.",
    )
    need(
        not (unit and high < 1),  # one white pixel in a black image is both
        expected="images in [0, 1] pixels",
        got="images of L3 norm 1",
        remedy="Use a data set's scaling=pixel, for instance --data cifar10:scaling=pixel.",
    )
