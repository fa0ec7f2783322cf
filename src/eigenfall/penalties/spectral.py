"""Eigenvalues of each layer's covariance, held to a power law κ n^−α.

    R_l = (1/divisor) Σₙ>τ₊₁ rₙ² + max(0, rₙ),   rₙ = eₙ/γₙ − 1,   γₙ = κ n^−α,   loss += Σ_l strength_l R_l

    eₙ   variance of the batch along the n-th column of a constant basis V, sorted
    V    eigenvectors of the covariance of reference rows, renewed as `refresh` says
    κ    detached, so that the target's scale floats

    subset:  Σₙ ≈ (T/k) Σ over k of the T ranks beyond τ + 1, drawn without replacement at each step

Source: Nassar, Sokol, Chung, Harris & Park 2020, arXiv:2012.04729.
Differs from the source: the basis is renewed when it goes stale instead of every epoch, from a fixed random subset in
float64, in the mode of batch-norm in which the batch is seen; the anchor is an average over batches; ranks that cannot
rise are left out; the sum is divided by the number of its terms; convolutional maps are read channel by channel, or
through a random projection; the sum can be estimated from some of its terms. The
preset `nassar2020` does as the released code does: anchor at τ + 1 and sum from τ + 2 (the text says τ), divisor N for
V and B − 1 for e, covariance for V in the model's own precision and in eval mode, e ≤ 0 skipped, division by D. The
mathematics is in `eigenfall.excess` and `eigenfall.bases`.

The presets `holzhausen2024` and `holzhausen2024_kh` are near the code of Holzhausen et al. 2024, arXiv:2405.00679: the
currents instead of a layer's output, a target n^−α that no eigenvalue anchors, and V from as many rows as a batch has
(1000 for 2000 units: half of V is arbitrary). Where they differ from it: those rows are drawn when V is renewed, as
the last batch of the epoch is not remembered; both covariances are centred, while the code takes second moments less
constants; rank 1 is free, while the code may hold it to 1.

A short last batch counts as much as a whole one, as published, and its R is noisier: train with `last_batch="drop"`,
and choose nothing by the R of one batch.

Of several processes that hold parts of one batch (`torch.distributed`), each gets the R of the joint batch, and the
average of their gradients is the gradient of that R: see `eigenfall.processes`. Every process calls the same methods in
the same order, and is given a reference to all training rows, of which it passes its share.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from eigenfall import excess as law
from eigenfall import processes
from eigenfall.bases import (
    Staleness,
    covariances,
    leading_eigenvectors,
    numerical_rank,
    random_projection,
    reference_rows,
    staleness,
    tail_correlation,
)
from eigenfall.check import need, one_of
from eigenfall.defaults import later
from eigenfall.deferred import Deferred
from eigenfall.layers import view
from eigenfall.linalg import symmetric_eigenvalues, symmetric_eigh
from eigenfall.penalties._spectral import CHECK_EVERY, LEVEL, Seen, SpectralState, need_settings
from eigenfall.types import ForwardPass, Penalty, Reference


@dataclass(frozen=True)
class Spectral:
    """Holds each layer's eigenvalues to λₙ ∝ n^−alpha beyond rank tau + 1.

    `strength`, `alpha` and `tau` take one value for all layers, or one per entry of `layers`.

    Attributes:
        strength: factor of the layer's R.
        alpha: exponent of the target.
        tau: the first tau + 1 ranks are free.
        layers: module paths; empty: every layer that is captured.
        refresh: when the basis is renewed: "auto" when the batch shows it stale, "every_k_steps", "every_epoch".
        k_steps: k of "every_k_steps".
        max_age: batches after which "auto" renews it all the same.
        rows: how many training rows the basis is made from, "all", or "enough": ten per unit of the widest layer, or
            all if there are fewer.
        replacement: draw the rows with replacement.
        fixed: draw the rows once; off, anew at each refresh.
        mode: of the model when the basis is made: "train" (batch statistics, as the batches are seen) or "eval".
        precision: of the basis' covariance: "float64", streamed, or the "model"'s own with all rows held at once.
        estimator: eigenvalues of a batch: "fixed_basis", variances along V; "low_rank", along its first `ranks`
            columns, found by random projections; "exact", of the averaged batch covariance, too steep unless batches
            hold ten times as many samples as units.
        ranks: how many columns "low_rank" has.
        memory: weight of the past in what is averaged over batches: the anchor "ema", the covariance of "exact".
        order: held against the target by "rank" (sorted), or by "identity" (as the basis is ordered).
        subset: how many of the T ranks beyond tau + 1 each batch is projected on, drawn anew without replacement; the
            sum over them is scaled up, so that value and gradient have the full ones' mean given the batch. The mean
            square of the gradient at the layer is T/subset times the full one's: training takes more updates. 0, or
            no fewer than T: all. Only with order "identity" and anchor "ema" or "absolute".
        side: "paper" r² + max(0, r); "two_sided" r²; "above" max(0, r)²; "below" max(0, −r)²; "log" (ln e − ln γ)².
        anchor: what κ is read off: "ema", average of e at rank tau + 1; "window", log-space intercept of `window` ranks
            from there; "trace", equal sums; "tau", this batch's e at tau + 1; "absolute", κ = `scale`, which is not
            this paper.
        window: ranks that the anchor "window" reads.
        scale: κ of the anchor "absolute".
        last_rank: last rank held to the target: a number, "rank" for the numerical rank of the reference, which must
            have more rows than units, or "units".
        divisor: of the sum: number of its "terms", or of the layer's "units".
        zeros: whether ranks with e ≤ 0 are "kept" in the sum or "skipped".
        view: how convolutional maps become samples × units: "channels", "pool", "flatten", or "project", flattened and
            then taken along fixed random orthonormal directions. The law is asked of the projected map. Where alpha is
            about 1 that falls more slowly than the map, as all its variance beyond those ranks is spread over them:
            1200 units that fall as 1/n fall as n^−0.83 in 170 directions, those that fall as n^−2 nearly as before.
        projected: how many directions "project" has; a map with no more units is taken whole.
        max_units: wider layers are refused.
        centre: what is taken off every unit before its moments: none, its mean; a number, that, which makes second
            moments of covariances, as a slip does in the code of Holzhausen et al. 2024. Not with "exact".
    """

    cite: ClassVar[str] = "nassar2020"
    reads_inputs: ClassVar[bool] = False
    strength: float | tuple[float, ...] = 1.0
    alpha: float | tuple[float, ...] = 1.0
    tau: int | tuple[int, ...] = 10
    layers: tuple[str, ...] = ()
    refresh: Literal["auto", "every_k_steps", "every_epoch"] = "auto"
    k_steps: int = 1
    max_age: int = 100
    rows: int | Literal["enough", "all"] = "enough"
    replacement: bool = False
    fixed: bool = True
    mode: Literal["train", "eval"] = "train"
    precision: Literal["float64", "model"] = "float64"
    estimator: Literal["fixed_basis", "low_rank", "exact"] = "fixed_basis"
    ranks: int = 100
    memory: float = 0.9
    order: Literal["rank", "identity"] = "rank"
    subset: int = later(0)
    side: law.Side = "paper"
    anchor: law.Anchor = "ema"
    window: int = 10
    scale: float = 1.0
    last_rank: int | Literal["rank", "units"] = "rank"
    divisor: Literal["terms", "units"] = "terms"
    zeros: Literal["kept", "skipped"] = "kept"
    view: Literal["channels", "pool", "flatten", "project"] = "channels"
    projected: int = later(512)
    max_units: int = 8192
    centre: float | None = later(None)

    def __post_init__(self) -> None:
        need_settings(self)

    def start(self, reference: Reference, generator: torch.Generator) -> SpectralState:
        """First basis and anchor, from the initial weights.

        Raises:
            ValueError: for a layer that is not captured, is not wider than tau + 1, or is wider than max_units; for
                more rows than there are, or no more than the layer has units; for NaN in the layer.
        """
        (probe,) = reference(torch.zeros(1, dtype=torch.int64), "eval")
        blank: dict[str, Tensor] = {}
        projection: dict[str, Tensor] = {}
        for place, (name, values) in enumerate(self._views(probe)):
            units, tau = values.shape[1], _of(self.tau, place)
            dtype = torch.promote_types(values.dtype, torch.float32)
            if self.view == "project" and probe.hidden[name].ndim > 2 and units > self.projected:
                directions = processes.agreed(random_projection(units, self.projected, generator))
                projection[name], units = directions.to(values.device, dtype), self.projected
            need(
                units > tau + 1,
                expected=f"more than tau + 1 = {tau + 1} units in layer {name!r}",
                got=f"{units}",
                remedy="Use a smaller tau, or leave the layer out.",
            )
            need(
                units <= self.max_units,
                expected=f"at most {self.max_units} units in layer {name!r}",
                got=f"{units}",
                remedy="Use view=channels, pool or project for a convolutional map, or raise max_units.",
            )
            blank[name] = values.new_zeros(units, 0, dtype=dtype)
        need(len(blank) > 0, expected="a layer to hold to the target", got="none", remedy="Set layers=….")
        indices = self._draw(reference, blank, generator) if self.fixed else None
        state = SpectralState(blank, {}, projection=projection, indices=indices)
        return self._renewed(state, reference, generator)

    def __call__(self, forward_pass: ForwardPass, state: SpectralState, generator: torch.Generator) -> Penalty:
        """Penalty of a batch, from its hidden values and the state's basis.

        Returns:
            `per_layer` is R, with a subset its estimate. Logged are the basis' age in batches, each layer's exponent
            along the basis, unless it is read along a subset of it, and, on the first batch after a refresh, its true
            exponent and R, and the s_R of the basis that was replaced. The device is waited for only when s_tail is
            looked at. With a subset s_tail is that of the columns drawn: over the draws the mean of its square is the
            square of s_tail beyond rank tau + 1.

        Raises:
            ValueError: for a layer that is not captured, or a batch of one.
        """
        batch = len(forward_pass.inputs) * processes.count()
        need(batch >= 2, expected="a batch of two or more", got="one", remedy="Use last_batch=drop.")
        checking = self.refresh == "auto" and (state.age + 1) % state.check_every == 0
        terms, per_layer, tails = [], {}, []
        logged: dict[str, Any] = {"age": torch.tensor(float(state.age))}
        anchors, averaged = dict(state.anchor), dict(state.covariance)
        for place, (name, values) in enumerate(self._views(forward_pass)):
            tau, basis = _of(self.tau, place), state.basis[name]
            with torch.autocast(values.device.type, enabled=False):
                seen = self._seen(values.to(basis.dtype), state, name, tau, generator)
                anchors[name] = torch.lerp(seen.anchor.detach(), state.anchor[name], self.memory)
                tail = basis.shape[1] - tau - 1
                excess = self._excess(seen.eigenvalues, place, len(basis), anchors[name], seen.drawn, tail)
                if checking and seen.projected is not None:
                    tails.append(_tail_above_sampling(seen.projected, forward_pass.inputs))
            averaged |= seen.remembered
            terms.append(_of(self.strength, place) * excess)
            per_layer[name] = excess.detach()
            if seen.drawn is None:
                logged[f"{name}/alpha_along_basis"] = partial(law.exponent, seen.eigenvalues.detach(), tau)
            if state.age == 0:
                logged |= state.at_refresh(name)
        stale = len(tails) > 0 and bool(torch.stack(tails).max() > state.level)
        age = state.age + 1
        after = replace(state, anchor=anchors, covariance=averaged, age=age, due=self._due(age, stale))
        return Penalty(total=torch.stack(terms).sum(), per_layer=per_layer, logged=Deferred(logged), state=after)

    def refreshed(self, state: SpectralState, reference: Reference, generator: torch.Generator) -> SpectralState:
        """A new basis, and how stale the old one was.

        Where s_R passed max(0.02, R/4), `auto` looks closer from now on: at half the level and, if the basis fell at
        the first look, twice as often. Where it stayed below a fifth of that, it goes one such step back.

        Raises:
            ValueError: for NaN in a layer.
        """
        renewed = replace(self._renewed(state, reference, generator), refreshes=state.refreshes + 1)
        if self.refresh != "auto":
            return renewed
        found = [Staleness(*numbers.tolist()) for numbers in renewed.measured.values()]
        worst = max(of_layer.excess / max(0.02, of_layer.true_excess / 4) for of_layer in found)
        if worst > 1:
            often = state.check_every // 2 if state.age <= state.check_every else state.check_every
            return replace(renewed, level=state.level / 2, check_every=max(1, often))
        if worst < 0.2:
            every = min(CHECK_EVERY, 2 * state.check_every)
            return replace(renewed, level=min(LEVEL, 2 * state.level), check_every=every)
        return renewed

    def staleness(
        self, state: SpectralState, reference: Reference, generator: torch.Generator
    ) -> Mapping[str, Staleness]:
        """Exact staleness of each layer's basis on ten rows per unit, or all if there are fewer, in eval mode.

        A run that ends with `stale` in any layer must be marked so. It is of the covariance, whatever the `centre`.
        """
        closely = replace(self, rows="enough", replacement=False, mode="eval", precision="float64", centre=None)
        indices = closely._draw(reference, state.basis, generator)
        return {
            name: self._staleness(covariance, symmetric_eigenvalues(covariance), state.basis[name], place)
            for place, (name, covariance) in enumerate(
                closely._covariances(reference, indices, state.projection).items()
            )
        }

    # ------------------------------------------------------------------------------ inside

    def _views(self, forward_pass: ForwardPass) -> Iterator[tuple[str, Tensor]]:
        for name in self.layers or tuple(forward_pass.hidden):
            one_of(name, forward_pass.hidden, "captured layer")
            how = "flatten" if self.view == "project" else self.view
            yield name, view(forward_pass.hidden[name], how, name)

    def _draw(self, reference: Reference, basis: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        widest = max(len(columns) for columns in basis.values())
        indices = reference_rows(self.rows, reference.rows, widest, self.replacement, generator)
        need(
            len(indices) >= processes.count(),
            expected=f"a reference row or more for each of {processes.count()} processes",
            got=f"{len(indices)}",
            remedy="Use more rows, or fewer processes.",
        )
        return processes.agreed(indices)

    def _covariances(
        self, reference: Reference, indices: Tensor, projection: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        def seen(found: ForwardPass) -> Iterator[tuple[str, Tensor]]:
            for name, values in self._views(found):
                if name not in projection:
                    yield name, values
                elif self.precision == "model":
                    yield name, values.to(projection[name].dtype) @ projection[name]
                else:
                    yield name, law.doubled(values) @ law.doubled(projection[name])

        passes = reference(processes.share(indices), self.mode)
        return covariances((dict(seen(found)) for found in passes), self.precision, self.centre)

    def _renewed(self, state: SpectralState, reference: Reference, generator: torch.Generator) -> SpectralState:
        """The state with a new basis; what it had averaged over batches is kept."""
        indices = self._draw(reference, state.basis, generator) if state.indices is None else state.indices
        basis: dict[str, Tensor] = {}
        alpha, measured = {}, {}
        anchor, averaged = dict(state.anchor), dict(state.covariance)
        for place, (name, matrix) in enumerate(self._covariances(reference, indices, state.projection).items()):
            old, tau = state.basis[name], _of(self.tau, place)
            if self.estimator == "low_rank":
                eigenvalues, vectors = leading_eigenvectors(matrix, max(self.ranks, tau + 2), generator)
            else:
                eigenvalues, vectors = symmetric_eigh(matrix)
            eigenvalues, vectors = processes.agreed(eigenvalues), processes.agreed(vectors)
            last = self._last_rank(eigenvalues, len(indices), name, old.dtype, old.shape[1] == 0)
            if last < tau + 2:
                warnings.warn(
                    f"Layer {name!r} has {last} ranks above zero and the first tau + 1 = {tau + 1} are free: nothing "
                    "is held to the target. Use a smaller tau, or look at why the layer varies so little.",
                    stacklevel=3,
                )
            basis[name] = vectors[:, : max(last, tau + 1)].to(old).contiguous()
            alpha[name] = partial(law.exponent, eigenvalues[:last], tau)
            if old.shape[1] > 0:
                measured[name] = partial(self._measured, matrix, eigenvalues, old, place)
            anchor.setdefault(name, eigenvalues[tau].to(old))
            if self.estimator == "exact" and self.memory > 0:
                averaged.setdefault(name, matrix)
        renewed = replace(state, basis=basis, anchor=anchor, covariance=averaged, age=0, due=self._due(0, False))
        return replace(renewed, alpha=Deferred(alpha), measured=Deferred(measured))

    def _last_rank(self, eigenvalues: Tensor, rows: int, name: str, dtype: torch.dtype, first: bool) -> int:
        """Last rank that is held to the target; a warning at the first basis where some of them cannot rise."""
        above = numerical_rank(eigenvalues, rows, self.precision == "model" and dtype == torch.float32)
        if self.last_rank == "rank":
            need(
                rows > len(eigenvalues),
                expected=f"more reference rows than {len(eigenvalues)}, the ranks of layer {name!r}",
                got=f"{rows}",
                remedy=f"Use more rows, a narrower layer, or estimator=low_rank with fewer than {rows} ranks.",
            )
            return above
        last = len(eigenvalues) if self.last_rank == "units" else self.last_rank
        need(
            last <= len(eigenvalues),
            expected=f"a last rank of at most {len(eigenvalues)} in layer {name!r}",
            got=f"{last}",
            remedy=f"Use last_rank={len(eigenvalues)} or fewer.",
        )
        if last > above and self.precision == "float64" and first:
            warnings.warn(
                f"Layer {name!r} has {above} ranks above rounding, and {last} are held to the target: a direction "
                "without variance has no gradient and cannot rise. Use last_rank=rank.",
                stacklevel=4,
            )
        return last

    def _seen(self, values: Tensor, state: SpectralState, name: str, tau: int, generator: torch.Generator) -> Seen:
        """Eigenvalues of a batch: all that are held to the target, or those of a subset of the ranks."""
        basis, projection = state.basis[name], state.projection.get(name)
        ranks = basis.shape[1]
        if 0 < self.subset < ranks - tau - 1:
            drawn = processes.agreed(law.drawn_ranks(self.subset, tau, ranks, generator)).to(basis.device)
            # rank τ + 1, which the anchor reads, then the ranks drawn; no other column is touched
            columns = basis[:, torch.cat([torch.full_like(drawn[:1], tau), drawn - 1])]
            columns = columns if projection is None else projection @ columns
            variances, projected = law.projected_variances(values, columns, self.centre)
            return Seen(variances[1:], variances[0], projected[:, 1:], drawn)
        if projection is not None:
            values = values @ projection
        if self.estimator == "exact":
            eigenvalues, remembered = self._exact(values, state, name)
            return Seen(eigenvalues, eigenvalues[tau], remembered=remembered)
        eigenvalues, projected = law.projected_variances(values, basis, self.centre)
        if self.order == "rank":
            eigenvalues = eigenvalues.sort(descending=True).values
        return Seen(eigenvalues, eigenvalues[tau], projected[:, tau:])

    def _exact(self, values: Tensor, state: SpectralState, name: str) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Eigenvalues of the averaged batch covariance, and what is to be remembered of it."""
        samples, units = int(processes.joint_mean(values)[0]), values.shape[1]
        if samples < 10 * units and state.age == 0:
            warnings.warn(
                f"{samples} samples for {units} units of layer {name!r}: exact eigenvalues of fewer than ten samples "
                'per unit are too steep. Use estimator="fixed_basis", or larger batches.',
                stacklevel=3,
            )
        eigenvalues, covariance = law.current_eigenvalues(values, state.covariance.get(name), self.memory)
        ranks = state.basis[name].shape[1]
        if covariance is None or name not in state.covariance:
            return eigenvalues[: min(ranks, samples - 1)], {}
        return eigenvalues[:ranks], {name: covariance}

    def _excess(
        self,
        eigenvalues: Tensor,
        place: int,
        units: int,
        averaged: Tensor | None = None,
        drawn: Tensor | None = None,
        tail: int = 0,
    ) -> Tensor:
        """R of a layer; without an average the anchor `ema` is read off the eigenvalues themselves.

        With ranks drawn out of a tail, whose eigenvalues these are, its estimate.
        """
        alpha, tau = _of(self.alpha, place), _of(self.tau, place)
        if self.anchor == "ema" and averaged is not None:
            kappa = averaged * (tau + 1) ** alpha
        else:
            kappa = law.anchor(eigenvalues, alpha, tau, self.anchor, self.window, self.scale)
        divisor = units if self.divisor == "units" else None
        if drawn is None:
            return law.excess(eigenvalues, kappa, alpha, tau, self.side, divisor, self.zeros)
        return law.drawn_excess(eigenvalues, drawn, tail, kappa, alpha, self.side, divisor, self.zeros)

    def _staleness(self, covariance: Tensor, eigenvalues: Tensor, basis: Tensor, place: int) -> Staleness:
        def excess_of(values: Tensor) -> Tensor:
            return self._excess(values, place, len(covariance))

        return staleness(covariance, eigenvalues, basis, _of(self.tau, place), excess_of)

    def _measured(self, covariance: Tensor, eigenvalues: Tensor, basis: Tensor, place: int) -> Tensor:
        """`Staleness` as numbers."""
        return torch.tensor(astuple(self._staleness(covariance, eigenvalues, basis, place)), dtype=torch.float64)

    def _due(self, age: int, stale: bool) -> Literal["no", "now", "epoch"]:
        if self.estimator == "exact":
            return "no"
        if self.refresh == "every_epoch":
            return "epoch"
        return "now" if stale or age >= (self.k_steps if self.refresh == "every_k_steps" else self.max_age) else "no"


def _of(setting, place: int):
    """A layer's own value of a setting that has one for all, or one per layer."""
    if not isinstance(setting, tuple):
        return setting
    return setting[place if len(setting) > 1 else 0]


def _tail_above_sampling(projected: Tensor, inputs: Tensor) -> Tensor:
    """s_tail of a batch, less what independent rows show of a basis that is not stale at all."""
    rows = float(processes.summed(torch.tensor(float(len(inputs)))))
    return tail_correlation(processes.summed(projected.T @ projected)) - (rows - 1) ** -0.5


_RELEASED = Spectral(
    strength=1.0,
    alpha=1.0,
    tau=10,
    layers=(),
    refresh="every_epoch",
    k_steps=1,
    max_age=100,
    rows="all",
    replacement=False,
    fixed=True,
    mode="eval",
    precision="model",
    estimator="fixed_basis",
    ranks=100,
    memory=0.9,
    order="rank",
    subset=0,
    side="paper",
    anchor="tau",
    window=10,
    scale=1.0,
    last_rank="units",
    divisor="units",
    zeros="skipped",
    view="flatten",
    projected=512,
    max_units=8192,
)

_UNANCHORED = replace(
    _RELEASED, tau=0, layers=("currents",), rows=1000, fixed=False, mode="train", anchor="absolute", scale=1.0
)

PRESETS = {
    "nassar2020": _RELEASED,
    "holzhausen2024": _UNANCHORED,
    "holzhausen2024_kh": replace(_UNANCHORED, strength=1e-3, alpha=2.62, tau=10),
}
