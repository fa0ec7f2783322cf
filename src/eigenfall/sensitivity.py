"""Which input values an eigenvalue depends on: ∂λₙ/∂x in closed form.

    C = Σᵢ (hᵢ − h̄)(hᵢ − h̄)ᵀ/(S − 1),   λₙ = vₙᵀC vₙ   ⇒   ∂λₙ/∂xᵢ = 2/(S − 1) · (vₙᵀ(hᵢ − h̄)) · Jᵢᵀvₙ

hᵢ is the layer at input xᵢ, Jᵢ its Jacobian there. What vₙ itself changes by adds nothing, since it stays a unit vector
and stationary; nor does what h̄ changes by, since Σᵢ vₙᵀ(hᵢ − h̄) = 0. One reverse pass for each eigenvalue gives the
maps of all inputs, since no row sees another.

Source: Magnus 1985, Econometric Theory 1, 179-191, doi:10.1017/S0266466600011129, for the derivative of an eigenvalue.
Differs from the source: nothing. It holds for simple eigenvalues. Where two meet, neither has a derivative of its own
(their sum has): vₙ is then any vector of their plane, and the map is told to be of no one eigenvalue. Close to that the
map turns fast with the inputs: `gaps` says how close.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import left_as_found, need_gradient, values_of
from eigenfall.linalg import symmetric_eigh
from eigenfall.types import SensitivityMap

TOO_CLOSE = 1e-6
"""Share of an eigenvalue within which another makes it no eigenvalue of its own."""


def sensitivity(
    model: nn.Module,
    inputs: Float[Tensor, "stimuli ..."],
    layer: str,
    ranks: Sequence[int] = (1, 2, 3),
    chunk_size: int = 256,
) -> SensitivityMap:
    """Derivatives of eigenvalues of a layer's covariance, as `PCA` has them, by every input value.

    Args:
        model: any module whose rows do not see each other in eval mode; it is left as it was found.
        inputs: the stimuli over which the covariance is taken.
        layer: module path, or "outputs"; a map counts with all its values.
        ranks: of the eigenvalues, from 1.
        chunk_size: how many inputs go through together.

    Returns:
        A map for each rank and input, in squared layer units per input unit, with each eigenvalue's gap to the next.

    Raises:
        ValueError: for fewer than two inputs, ranks that the covariance does not have, values that are not finite, or a
            layer that does not depend on the inputs or does not vary.
    """
    count = len(inputs)
    need(count >= 2, expected="at least two stimuli", got=f"{count}", remedy="Give more inputs.")
    need(
        chunk_size >= 1,
        expected="a chunk_size of 1 or more",
        got=f"{chunk_size}",
        remedy="Use 256, which is the default.",
    )
    with left_as_found(model):
        with torch.no_grad():
            rows = torch.cat([values_of(model, some, layer) for some in inputs.split(chunk_size)]).double()
        centred = rows - rows.mean(0)
        most = min(count - 1, rows.shape[1])
        need(
            len(ranks) >= 1 and min(ranks) >= 1 and max(ranks) <= most,
            expected=f"ranks from 1 to {most}",
            got=", ".join(map(str, ranks)) or "none",
            remedy=f"{count} stimuli and {rows.shape[1]} units have no more.",
        )
        need(
            bool(torch.isfinite(centred).all()) and bool((rows != rows[0]).any()),
            expected=f"finite values of {layer!r} that vary over stimuli",
            got="NaN, infinity, or the same everywhere",
            remedy="Look for a dead layer, or diverged weights.",
        )
        every, vectors, scores = _decomposed(centred, [rank - 1 for rank in ranks])
        maps = torch.empty(len(ranks), *inputs.shape, dtype=inputs.dtype)
        for first in range(0, count, chunk_size):
            at = inputs[first : first + chunk_size].detach().clone().requires_grad_()
            values = values_of(model, at, layer)
            need_gradient(values, layer)
            for number in range(len(ranks)):
                towards = scores[first : first + len(at), number, None] * vectors[:, number]
                (gradient,) = torch.autograd.grad(values, at, (2 / (count - 1) * towards).to(values), retain_graph=True)
                maps[number, first : first + len(at)] = gradient.cpu()
    chosen = torch.tensor([rank - 1 for rank in ranks])
    gaps = _gaps(every[:most], count - 1 < rows.shape[1])[chosen]
    close = [rank for rank, gap in zip(ranks, gaps.tolist()) if gap < TOO_CLOSE]
    told = f"eigenvalues {', '.join(map(str, close))} meet others: their maps are of no one eigenvalue."
    return SensitivityMap(
        layer=layer,
        ranks=tuple(ranks),
        eigenvalues=(every[chosen] / (count - 1)).clamp_min(0),
        maps=maps,
        gaps=gaps,
        images=inputs.detach().cpu(),
        notices=(told,) if close else (),
    )


def _decomposed(
    centred: Float64[Tensor, "stimuli units"], chosen: list[int]
) -> tuple[Float64[Tensor, " all"], Float64[Tensor, "units ranks"], Float64[Tensor, "stimuli ranks"]]:
    """All eigenvalues of the second moments, and of the chosen ones the vectors vₙ and the scores vₙᵀ(hᵢ − h̄).

    The matrix is taken on the smaller side. On that of the stimuli vₙ follows from the scores.
    """
    stimuli, units = centred.shape
    if units <= stimuli:
        every, vectors = symmetric_eigh(centred.T @ centred)
        vectors = vectors[:, chosen]
        return every.cpu(), vectors, centred @ vectors
    every, sides = symmetric_eigh(centred @ centred.T)
    vectors = centred.T @ sides[:, chosen]
    vectors = vectors / vectors.norm(dim=0).clamp_min(1e-300)
    return every.cpu(), vectors, centred @ vectors


def _gaps(eigenvalues: Float64[Tensor, " ranks"], cut: bool) -> Float64[Tensor, " ranks"]:
    """Distance of each eigenvalue to the nearest other, as a share of it; 0 stands past the last if ranks were cut."""
    values = eigenvalues.clamp_min(0)
    after = torch.cat((values[1:], torch.zeros(1, dtype=values.dtype))) if cut else values[1:]
    steps = values[: len(after)] - after
    above = torch.cat((torch.full((1,), torch.inf, dtype=values.dtype), values[:-1] - values[1:]))
    below = steps if cut else torch.cat((steps, torch.full((1,), torch.inf, dtype=values.dtype)))
    return torch.minimum(above, below) / torch.where(values > 0, values, 1.0)
