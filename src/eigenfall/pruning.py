"""Units that stay noise while a layer learns, told by the variance of their weights, and taken out.

    x_μ = ln Var_i W_μi;   Gaussian mixtures of c = 1, 2, … components; one more is accepted while it lowers BIC
    cutoff: the deepest valley of the accepted mixture's density above its highest hump;   pruned: x ≥ cutoff

Source: the code of Holzhausen et al. 2024, arXiv:2405.00679; the first version of the study cut at a variance of .0015.
Differs from the source, which is the preset `holzhausen2024`: it accepts a component while the likelihood ratio has a
χ²₃ tail below .01, goes on with the mixture that was refused, and cuts in the middle of its two largest means. So
even one hump is cut in two. The preset `holzhausen2024_accepted` mends that alone. What it leaves: under one
component the second has no share, or the first's mean, and its other parameters are free, so that the ratio is not
χ²; two normals fit one skewed hump better than one does, so that a criterion does not find humps but shapes, and a
valley is asked for; and the means that the source starts from, made for its own layer, leave a component without
units on a narrow hump, after which noise that stands far apart is not found. `bench/pruning.py` measures how often
each is wrong.
"""

import math
import warnings
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.types import Mixture, Pruned

_PARAMETERS = 3
"""Each further component brings a mean, a variance and a share."""
_PLACES = 20001
_DEPTH = math.log(2)
"""A valley is at most half as high as the hump above it: fitted to a hump with an edge, mixtures have shallow ones."""


@dataclass(frozen=True)
class Pruning:
    """Which units of a layer are noise. A layer that is mostly noise keeps all: `Gates` say that it has not converged.

    Attributes:
        variance: prune units whose variance is larger; none: a mixture finds the cutoff.
        lowest: ln variance above which a unit enters the mixture; none: any that is not constant does.
        highest: ln variance below which it does; none: any.
        components: most components of the mixture.
        means: where the fit of c components starts, the first c of these; none: where k-means puts them.
        criterion: a component is accepted if "bic" falls, or by "chi2", the tail of the likelihood ratio.
        significance: largest tail of chi2.
        mixture: the "accepted" one, or the one that was "tried" last, although refused.
        cutoff: "valley" of the density, or "middle" of the two largest means, whether or not there is a valley.
        tolerance: smallest gain of log likelihood per unit for which the fit of a mixture goes on.
        iterations: most steps of that fit.
    """

    variance: float | None = None
    lowest: float | None = None
    highest: float | None = None
    components: int = 4
    means: tuple[float, ...] | None = None
    criterion: Literal["bic", "chi2"] = "bic"
    significance: float = 0.01
    mixture: Literal["accepted", "tried"] = "accepted"
    cutoff: Literal["valley", "middle"] = "valley"
    tolerance: float = 1e-6
    iterations: int = 1000

    def __call__(self, weights: Float[Tensor, "units inputs"]) -> Pruned:
        """Tell the units that are kept from those that are noise.

        Args:
            weights: one row per unit.

        Raises:
            ValueError: if there are no weights, one is not finite, or fewer means are given than components.
        """
        need(
            weights.numel() > 0 and bool(weights.isfinite().all()),
            expected="finite weights of at least one unit",
            got="NaN or infinity" if weights.numel() else f"shape {tuple(weights.shape)}",
            remedy="Give a layer that has learnt, (units, inputs).",
        )
        need(
            self.components >= 1 and (self.means is None or len(self.means) >= self.components),
            expected=f"a mean for each of {self.components} components" if self.means else "at least one component",
            got=str(len(self.means) if self.means else self.components),
            remedy="Lower `components`, or leave `means` out." if self.means else "1 prunes nothing.",
        )
        variances = weights.detach().double().var(1, correction=0).cpu()
        if self.variance is not None:
            cutoff = math.nextafter(self.variance, math.inf)
            return Pruned(variances < cutoff, variances, cutoff, f"those of a variance above {self.variance:g}")
        places = variances.log()
        low = -math.inf if self.lowest is None else self.lowest
        high = math.inf if self.highest is None else self.highest
        found = self.fitted(places[(places > low) & (places < high)])
        cutoff, reason = self.cut(found)
        return Pruned(places < cutoff, variances, math.exp(cutoff), reason, found)

    def fitted(self, places: Float64[Tensor, " units"]) -> Mixture:
        """The mixture of ln variances that the criterion, and `mixture`, lead to; none for fewer than three values."""
        accepted = Mixture((), (), (), len(places), 0.0)
        for count in range(1, self.components + 1):
            if len(places) < _PARAMETERS * count or len(places.unique()) < count:
                break
            tried = self._fit(places, count)
            if count > 1 and not self._accepts(accepted, tried):
                return tried if self.mixture == "tried" else accepted
            accepted = tried
        return accepted

    def _fit(self, places: Float64[Tensor, " units"], count: int) -> Mixture:
        """Maximum likelihood from the given means, scikit-learn's k-means finding shares and spreads."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        column = places.numpy()[:, None]
        model = GaussianMixture(
            count,
            means_init=None if self.means is None else [[mean] for mean in self.means[:count]],
            tol=self.tolerance,
            max_iter=self.iterations,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # what was reached is compared as it is
            model.fit(column)
        means, variances, shares = (
            torch.as_tensor(found).flatten() for found in (model.means_, model.covariances_, model.weights_)
        )
        order = means.argsort(stable=True)
        columns = (tuple(column[order].tolist()) for column in (means, variances.sqrt(), shares))
        return Mixture(*columns, fitted=len(places), log_likelihood=float(model.score(column)) * len(places))

    def _accepts(self, smaller: Mixture, larger: Mixture) -> bool:
        """Whether one component more is worth it."""
        from scipy.stats import chi2

        ratio = 2 * (larger.log_likelihood - smaller.log_likelihood)
        if self.criterion == "bic":
            return ratio > _PARAMETERS * math.log(smaller.fitted)
        return float(chi2.sf(ratio, _PARAMETERS)) < self.significance

    def cut(self, found: Mixture) -> tuple[float, str]:
        """Cutoff in ln variance, infinite if nothing is to be pruned, and why."""
        count = len(found.means)
        if count < 2:
            told = "the variances have one component" if count else "too few units to fit a mixture to"
            return math.inf, told
        if self.cutoff == "middle":
            cutoff = (found.means[-1] + found.means[-2]) / 2
        else:
            cutoff = _valley(found)
        if math.isinf(cutoff):
            return cutoff, f"{count} components, but no second hump above the highest"
        return cutoff, f"those of a variance of {math.exp(cutoff):.3g} or more, by {count} components"


_OWN = Pruning(
    lowest=-9.0,
    highest=-3.0,
    means=(-7.1, -8.5, -6.5, -6.0),
    criterion="chi2",
    cutoff="middle",
    tolerance=1e-3,
    iterations=100,
)

PRESETS = {
    "iclr2024": Pruning(variance=0.0015),
    "holzhausen2024": replace(_OWN, mixture="tried"),
    "holzhausen2024_accepted": _OWN,
}


def removed(weights: Float[Tensor, "..."], kept: Bool[Tensor, " units"], axis: int = -2) -> Float[Tensor, "..."]:
    """The units that are kept, and no others.

    Args:
        weights: `(..., units, inputs)`; a readout `(classes, units)` with axis −1.
        kept: which units.
        axis: where units stand.

    Raises:
        ValueError: if there are more or fewer units, or none is kept.
    """
    _need_units(weights, kept, axis)
    need(bool(kept.any()), expected="a unit to keep", got="none", remedy="No layer would be left: raise the cutoff.")
    return weights.index_select(axis, kept.nonzero()[:, 0].to(weights.device))


def zeroed(weights: Float[Tensor, "..."], kept: Bool[Tensor, " units"], axis: int = -2) -> Float[Tensor, "..."]:
    """All units, those that are not kept with zeros for weights, as the source does: the spectrum gets exact zeros.

    Args:
        weights: `(..., units, inputs)`; a readout `(classes, units)` with axis −1.
        kept: which units.
        axis: where units stand.

    Raises:
        ValueError: if there are more or fewer units.
    """
    _need_units(weights, kept, axis)
    return weights.index_fill(axis, (~kept).nonzero()[:, 0].to(weights.device), 0)


def _need_units(weights: Tensor, kept: Bool[Tensor, " units"], axis: int) -> None:
    held = weights.shape[axis] if -weights.ndim <= axis < weights.ndim else 0
    need(
        held == len(kept),
        expected=f"weights of {len(kept)} units along axis {axis}",
        got=f"shape {tuple(weights.shape)}",
        remedy="A readout (classes, units) has them along axis -1.",
    )


def _valley(found: Mixture) -> float:
    """Above the highest hump, where the density is lowest beside what follows; infinite if it is not half of that."""
    means, spreads, shares = (torch.tensor(values, dtype=torch.float64) for values in found.parameters)
    ends = float((means - 4 * spreads).min()), float((means + 4 * spreads).max())
    places = torch.linspace(*ends, _PLACES, dtype=torch.float64)
    density = torch.distributions.Normal(means, spreads).log_prob(places[:, None]).add(shares.log()).logsumexp(1)
    places, density = places[density.argmax() :], density[density.argmax() :]
    depth = density.flip(0).cummax(0).values.flip(0) - density
    return float(places[depth.argmax()]) if float(depth.max()) >= _DEPTH else math.inf
