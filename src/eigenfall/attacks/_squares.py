"""What the Square attack proposes: stripes and squares in an Linf ball, tiles and shifted budgets in an L2 ball.

Inputs are pictures, `(batch, channels, height, width)`; a line is a picture of height one. See `square.py`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eigenfall.objectives import rows
from eigenfall.types import Epsilon, Threat, per_input

Pictures = Float[Tensor, "batch channels height width"]
TILES = 5
"""Tiles along each side of the start in an L2 ball."""

# ------------------------------------------------------------------------------------ Linf


def stripes(inputs: Pictures, threat: Threat, epsilon: Epsilon, generator: torch.Generator) -> Pictures:
    """Vertical stripes one value wide, each ε up or down."""
    count, channels, _, width = inputs.shape
    drawn = torch.rand((count, channels, 1, width), generator=generator, device=generator.device)
    change = per_input(epsilon, inputs) * _signs(drawn, inputs)
    return threat.project(inputs + change, inputs, epsilon)


def painted(
    best: Pictures, inputs: Pictures, threat: Threat, epsilon: Epsilon, drawn: Tensor, window: tuple[int, int]
) -> Pictures:
    """A square ε up or down from the input, one sign per channel.

    Args:
        best: where each search stands.
        inputs: the inputs.
        threat: an Linf ball.
        epsilon: its radius.
        drawn: uniform numbers `(batch, 2 + channels)`: corner, signs.
        window: height and width of the square.
    """
    height, width = inputs.shape[2:]
    top, left = _corner(drawn[:, 0], height, window[0]), _corner(drawn[:, 1], width, window[1])
    down, across = (torch.arange(size, device=drawn.device)[None] for size in (height, width))
    inside = ((down >= top) & (down < top + window[0]))[:, None, :, None]
    inside = inside & ((across >= left) & (across < left + window[1]))[:, None, None, :]
    change = per_input(epsilon, inputs) * _signs(drawn[:, 2:], inputs)[:, :, None, None]
    return torch.where(inside, threat.project(inputs + change, inputs, epsilon), best)


def _signs(drawn: Tensor, like: Tensor) -> Tensor:
    """−1 or 1, each for half of the uniform numbers."""
    return torch.where(drawn < 0.5, -1.0, 1.0).to(like)


def _corner(drawn: Tensor, size: int, side: int) -> Tensor:
    """Uniform first place of a window, `(batch, 1)`."""
    return (drawn * (size - side + 1)).long().clamp_max(size - side)[:, None]


# -------------------------------------------------------------------------------------- L2


def bump(height: int, width: int) -> Float[Tensor, "height width"]:
    """Falls from the centre: Σ 1/j² for j from the distance + 1 to half the longer side + 1."""
    half = max(height, width) // 2
    down, across = ((torch.arange(size) - size // 2).abs() for size in (height, width))
    terms = torch.arange(1, half + 2, dtype=torch.float64) ** -2
    return terms.flip(0).cumsum(0).flip(0)[torch.maximum(down[:, None], across[None, :])]


def bumps(height: int, width: int, like: Tensor) -> Float[Tensor, "2 height width"]:
    """Two bumps of opposite sign, one above the other and side by side, of norm one; as many as fit."""
    above = side = bump(height, width)
    if height > 1:
        above = torch.cat((bump(height // 2, width), -bump(height - height // 2, width)))
    if width > 1:
        side = torch.cat((bump(height, width // 2), -bump(height, width - width // 2)), 1)
    pair = torch.stack((above if height > 1 else side, side if width > 1 else above))
    return (pair / pair.flatten(1).norm(dim=1)[:, None, None]).to(like)


def tiles(inputs: Pictures, threat: Threat, epsilon: Epsilon, generator: torch.Generator) -> Pictures:
    """A grid of tiles, each two bumps, one sign per tile and channel, one direction per input; of norm ε in all."""
    count, channels, height, width = inputs.shape
    tall, wide = max(height // TILES, 1), max(width // TILES, 1)
    down, across = height // tall, width // wide
    drawn = torch.rand((count, channels * down * across + 1), generator=generator, device=generator.device).to(inputs)
    signs = _signs(drawn[:, 1:], inputs).reshape(count, channels, down, 1, across, 1)
    tile = bumps(tall, wide, inputs)[(drawn[:, 0] < 0.5).long()][:, None, None, :, None, :]
    grid = (signs * tile).reshape(count, channels, down * tall, across * wide)
    top, left = (height - down * tall) // 2, (width - across * wide) // 2
    change = torch.zeros_like(inputs)
    change[:, :, top : top + down * tall, left : left + across * wide] = grid
    change = change * rows(1 / change.flatten(1).norm(dim=1), change)
    return threat.project(inputs + per_input(epsilon, inputs) * change, inputs, epsilon)


def shifted(
    best: Pictures, inputs: Pictures, threat: Threat, epsilon: Epsilon, drawn: Tensor, window: tuple[int, int]
) -> Pictures:
    """The budget of one square given to another, on which two bumps are laid.

    Args:
        best: where each search stands.
        inputs: the inputs.
        threat: an L2 ball.
        epsilon: its radius.
        drawn: uniform numbers `(batch, 5 + channels)`: both corners, the bumps' direction, signs.
        window: height and width of the squares.
    """
    _, channels, height, width = inputs.shape
    change = (best - inputs).flatten(2)
    first, second = (_places(drawn[:, pair], (height, width), window, channels) for pair in ([0, 1], [2, 3]))
    radius = per_input(epsilon, change)
    unused = (radius**2 - change.square().sum((1, 2), keepdim=True)).clamp_min(0) / channels
    inside = change.gather(2, first)
    change = change.scatter(2, first, 0.0)
    budget = inside.square().sum(2, keepdim=True) + change.gather(2, second).square().sum(2, keepdim=True) + unused
    change = change.scatter(2, second, 0.0)
    signs = _signs(drawn[:, 5:], change)[:, :, None]
    laid = bumps(*window, change)[(drawn[:, 4] < 0.5).long()].flatten(1)[:, None]
    direction = _of_norm_one(signs * laid + _of_norm_one(inside))
    change = change.scatter(2, first, direction * budget.sqrt())
    return threat.project(inputs + change.reshape(inputs.shape), inputs, epsilon)


def _of_norm_one(values: Tensor) -> Tensor:
    """Last axis divided by its norm; zeros stay."""
    length = values.norm(dim=2, keepdim=True)
    return values / torch.where(length > 0, length, torch.ones_like(length))


def _places(drawn: Tensor, size: tuple[int, int], window: tuple[int, int], channels: int) -> Tensor:
    """Which values of a flattened channel a window at a random corner holds, `(batch, channels, places)`."""
    tops, lefts = (_corner(drawn[:, axis], size[axis], window[axis]) for axis in (0, 1))
    down = tops + torch.arange(window[0], device=drawn.device)
    across = lefts + torch.arange(window[1], device=drawn.device)
    return (down[:, :, None] * size[1] + across[:, None, :]).flatten(1)[:, None].expand(-1, channels, -1)
