"""Rank laws: how ln λₙ falls with the rank n. Each is a straight line in its parameters, but for at most one.

    power      ln λₙ = c − α ln n
    broken     ln λₙ = c − α₁ ln n up to rank B,   c − α₁ ln B − α (ln n − ln B) beyond it
    cutoff     ln λₙ = c − α₁ ln n − δ n
    stretched  ln λₙ = c − r n^β
    lognormal  ln λₙ = c − α₁ ln n − κ (ln n)²

Parameters by name: `scale` = exp(c), `alpha` = α, `alpha_1` = α₁, `break_rank` = B, `decay` = δ, `rate` = r,
`beta` = β, `curvature` = κ. The last three laws have no one exponent: fits of them give as `alpha` the slope at one
rank.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import one_of

Parameters = Mapping[str, float]


def _power(ranks: Tensor, at: Parameters) -> Tensor:
    return -at["alpha"] * ranks.log()


def _broken(ranks: Tensor, at: Parameters) -> Tensor:
    first, last, x = at["alpha_1"], at["alpha"], ranks.log()
    corner = torch.tensor(float(at["break_rank"]), dtype=torch.float64).log()
    return torch.where(x <= corner, -first * x, -first * corner - last * (x - corner))


def _cutoff(ranks: Tensor, at: Parameters) -> Tensor:
    return -at["alpha_1"] * ranks.log() - ranks * at["decay"]


def _stretched(ranks: Tensor, at: Parameters) -> Tensor:
    return -at["rate"] * ranks ** at["beta"]


def _lognormal(ranks: Tensor, at: Parameters) -> Tensor:
    x = ranks.log()
    return -at["alpha_1"] * x - at["curvature"] * x.square()


LAWS: Mapping[str, Callable[[Tensor, Parameters], Tensor]] = {
    "power": _power,
    "broken": _broken,
    "cutoff": _cutoff,
    "stretched": _stretched,
    "lognormal": _lognormal,
}
"""ln λₙ − ln scale of each law, from ranks `(ranks,)` float64 and the parameters by name."""


def log_eigenvalues(law: str, ranks: Float64[Tensor, " ranks"], parameters: Parameters) -> Float64[Tensor, " ranks"]:
    """ln λₙ at some ranks, which need not be whole.

    Args:
        law: a name in `LAWS`.
        ranks: from 1.
        parameters: by name, as the fit of that law names them, `scale` among them.

    Raises:
        ValueError: for an unknown law.
    """
    one_of(law, LAWS, "law")
    return LAWS[law](ranks, parameters) + torch.tensor(float(parameters["scale"]), dtype=torch.float64).log()


def eigenvalues(law: str, count: int, parameters: Parameters) -> Float64[Tensor, " ranks"]:
    """λ₁ … λ_count of a law."""
    return log_eigenvalues(law, torch.arange(1, count + 1, dtype=torch.float64), parameters).exp()
