"""Eigenvalues of each layer's covariance, held to a power law κ n^−α.

    R_l = (1/divisor) Σₙ>τ₊₁ rₙ² + max(0, rₙ),   rₙ = eₙ/γₙ − 1,   γₙ = κ n^−α,   loss += Σ_l strength_l R_l

    eₙ   variance of the batch along the n-th column of a constant basis V, sorted
    V    eigenvectors of the covariance of reference rows, renewed as `refresh` says
    κ    detached, so that the target's scale floats

Source: Nassar, Sokol, Chung, Harris & Park 2020, arXiv:2012.04729.
Differs from the source: the basis is renewed when it goes stale instead of every epoch, from a fixed random subset in
float64, in the mode of batch-norm in which the batch is seen; the anchor is an average over batches; ranks that cannot
rise are left out; the sum is divided by the number of its terms; convolutional maps are read channel by channel. The
preset `nassar2020` does as the released code does: anchor at τ + 1 and sum from τ + 2 (the text says τ), divisor N for
V and B − 1 for e, covariance for V in the model's own precision and in eval mode, e ≤ 0 skipped, division by D. The
mathematics is in `eigenfall.excess`.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from eigenfall import excess as law
from eigenfall.check import need, one_of
from eigenfall.layers import View, view
from eigenfall.linalg import UnitSide, symmetric_eigh
from eigenfall.types import ForwardPass, Penalty, Reference

LEVEL, CHECK_EVERY, ROWS_PER_UNIT = 0.05, 10, 10


@dataclass(frozen=True, eq=False)
class SpectralState:
    """What the penalty remembers, by layer unless it says otherwise.

    Attributes:
        basis: V, `(units, ranks)`, in falling order of the reference's eigenvalues.
        anchor: eigenvalue of rank τ + 1, averaged over batches.
        covariance: averaged over batches, for the estimator `exact` only.
        staleness: of the basis that the last refresh replaced: off, tail, excess (s_R), alpha; not before the first.
        alpha: exponent of the reference's eigenvalues at the last refresh.
        indices: the reference rows, all layers; `None` if they are drawn anew.
        age: batches since the last refresh.
        refreshes: how many there were.
        level: s_tail above its sampling level that calls for a refresh.
        check_every: how many batches lie between two looks at s_tail.
        due: when a refresh is due.
    """

    basis: Mapping[str, Tensor]
    anchor: Mapping[str, Tensor]
    covariance: Mapping[str, Tensor] = field(default_factory=dict)
    staleness: Mapping[str, Tensor] = field(default_factory=dict)
    alpha: Mapping[str, Tensor] = field(default_factory=dict)
    indices: Int64[Tensor, " rows"] | None = None
    age: int = 0
    refreshes: int = 0
    level: float = LEVEL
    check_every: int = CHECK_EVERY
    due: Literal["no", "now", "epoch"] = "no"


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
        side: "paper" r² + max(0, r); "two_sided" r²; "above" max(0, r)²; "below" max(0, −r)²; "log" (ln e − ln γ)².
        anchor: what κ is read off: "ema", average of e at rank tau + 1; "window", log-space intercept of `window` ranks
            from there; "trace", equal sums; "tau", this batch's e at tau + 1; "absolute", κ = `scale`, which is not
            this paper.
        window: ranks that the anchor "window" reads.
        scale: κ of the anchor "absolute".
        last_rank: last rank held to the target: a number, "rank" for min(units, rows − 1, numerical rank) of the
            reference, or "units".
        divisor: of the sum: number of its "terms", or of the layer's "units".
        zeros: whether ranks with e ≤ 0 are "kept" in the sum or "skipped".
        view: how convolutional maps become samples × units: "channels", "pool" or "flatten".
        max_units: wider layers are refused.
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
    side: law.Side = "paper"
    anchor: law.Anchor = "ema"
    window: int = 10
    scale: float = 1.0
    last_rank: int | Literal["rank", "units"] = "rank"
    divisor: Literal["terms", "units"] = "terms"
    zeros: Literal["kept", "skipped"] = "kept"
    view: View = "channels"
    max_units: int = 8192

    def __post_init__(self) -> None:
        need(
            self.order == "rank" or self.anchor != "tau",
            expected='an anchor that is not one eigenvalue of one batch with order="identity"',
            got='anchor="tau"',
            remedy='Use anchor="ema" or "window".',
        )
        need(
            0 <= self.memory < 1,
            expected="a memory from 0 to below 1",
            got=f"{self.memory}",
            remedy="0.9 averages over about ten batches.",
        )
        for name, value in (("k_steps", self.k_steps), ("max_age", self.max_age), ("window", self.window)):
            need(value >= 1, expected=f"{name} of 1 or more", got=f"{value}", remedy="Count in whole steps or ranks.")
        for name in ("strength", "alpha", "tau"):
            value = getattr(self, name)
            need(
                not isinstance(value, tuple) or len(value) in (1, len(self.layers)),
                expected=f"one value of {name}, or one per entry of layers ({len(self.layers)})",
                got=f"{len(value) if isinstance(value, tuple) else 1}",
                remedy="Name the layers in the order of the values.",
            )

    def start(self, reference: Reference, generator: torch.Generator) -> SpectralState:
        """First basis and anchor, from the initial weights.

        Raises:
            ValueError: for a layer that is not captured, is not wider than tau + 1, or is wider than max_units; for
                more rows than there are; for NaN in the layer.
        """
        (probe,) = reference(torch.zeros(1, dtype=torch.int64), "eval")
        widths = {name: values.shape[1] for name, values in self._views(probe)}
        for place, (name, units) in enumerate(widths.items()):
            tau = _of(self.tau, place)
            need(
                units > tau + 1,
                expected=f"more than tau + 1 = {tau + 1} units in layer {name!r}",
                got=f"{units}",
                remedy=f"Use tau={max(units - 2, 0)} or less, or leave the layer out.",
            )
            need(
                units <= self.max_units,
                expected=f"at most {self.max_units} units in layer {name!r}",
                got=f"{units}",
                remedy='Use view="channels" or "pool" for a convolutional map, or raise max_units.',
            )
        blank = SpectralState(basis={}, anchor={}, indices=None)
        if self.fixed:
            blank = replace(blank, indices=self._draw(reference.rows, max(widths.values()), generator))
        return replace(self._renewed(blank, reference, generator, max(widths.values())), refreshes=0)

    def __call__(self, forward_pass: ForwardPass, state: SpectralState, generator: torch.Generator) -> Penalty:
        """Penalty of a batch, from its hidden values and the state's basis.

        Returns:
            `per_layer` is R; logged are the exponent along the basis, the basis' age and, on the first batch after a
            refresh, the true exponent and the staleness of the basis that was replaced. The device is waited for only
            when s_tail is looked at.
        """
        total, per_layer, anchors, covariances = 0.0, {}, dict(state.anchor), dict(state.covariance)
        logged = {"basis_age": torch.tensor(float(state.age))}
        checking = self.refresh == "auto" and (state.age + 1) % state.check_every == 0
        tails = []
        for place, (name, values) in enumerate(self._views(forward_pass)):
            alpha, tau, basis = _of(self.alpha, place), _of(self.tau, place), state.basis[name]
            with torch.autocast(values.device.type, enabled=False):
                values = values.to(basis.dtype)
                if self.estimator == "exact":
                    eigenvalues, remembered = self._exact(values, state, name)
                    covariances |= remembered
                else:
                    eigenvalues, projected = law.projected_variances(values, basis)
                    if checking:
                        tails.append(_tail_above_sampling(projected[:, tau:], len(forward_pass.inputs)))
                    if self.order == "rank":
                        eigenvalues = eigenvalues.sort(descending=True).values
                anchors[name] = torch.lerp(eigenvalues[tau].detach(), state.anchor[name], self.memory)
                anchored = eigenvalues.detach()
                if self.anchor == "ema":
                    anchored = anchored.clone()
                    anchored[tau] = anchors[name]
                kappa = law.anchor(anchored, alpha, tau, self.anchor, self.window, self.scale)
                excess = self._excess(eigenvalues, kappa, place, values.shape[1])
            total = total + _of(self.strength, place) * excess
            per_layer[name] = excess.detach()
            logged[f"alpha_along_basis/{name}"] = law.exponent(eigenvalues, tau)
        if state.age == 0:
            logged |= {f"alpha/{name}": value for name, value in state.alpha.items()}
            logged |= {f"staleness/{name}": value[2] for name, value in state.staleness.items()}
        stale = len(tails) > 0 and bool(torch.stack(tails).max() > state.level)
        after = replace(
            state, anchor=anchors, covariance=covariances, age=state.age + 1, due=self._due(state.age + 1, stale)
        )
        return Penalty(total=total, per_layer=per_layer, logged=logged, state=after)

    def refreshed(self, state: SpectralState, reference: Reference, generator: torch.Generator) -> SpectralState:
        """A new basis. Staleness of the old one is measured; if it was too large, `auto` looks closer from now on.

        Raises:
            ValueError: for NaN in a layer.
        """
        renewed = self._renewed(state, reference, generator, max(len(basis) for basis in state.basis.values()))
        worst = max((float(m[2]) - max(0.02, float(m[4]) / 4) for m in renewed.staleness.values()), default=0.0)
        if self.refresh == "auto" and worst > 0:
            soonest = state.age <= state.check_every
            every = max(1, state.check_every // 2) if soonest else state.check_every
            renewed = replace(renewed, level=state.level / 2, check_every=every)
        return renewed

    def staleness(
        self, state: SpectralState, reference: Reference, generator: torch.Generator
    ) -> Mapping[str, law.Staleness]:
        """Exact staleness of each layer's basis on ten rows per unit, or all if there are fewer, in eval mode.

        A run whose final `excess` passes 0.1 in any layer is `stale`.
        """
        indices = replace(self, rows="enough", replacement=False)._draw(
            reference.rows, max(len(basis) for basis in state.basis.values()), generator
        )
        covariances, _ = replace(self, mode="eval", precision="float64")._covariances(reference, indices)
        return {
            name: self._staleness(covariance, symmetric_eigh(covariance)[0], state.basis[name], place)
            for place, (name, covariance) in enumerate(covariances.items())
        }

    # ------------------------------------------------------------------- inside

    def _views(self, forward_pass: ForwardPass) -> Iterator[tuple[str, Tensor]]:
        for name in self.layers or tuple(forward_pass.hidden):
            one_of(name, forward_pass.hidden, "captured layer")
            yield name, view(forward_pass.hidden[name], self.view, name)

    def _draw(self, available: int, units: int, generator: torch.Generator) -> Tensor:
        """Indices of the reference rows."""
        if self.rows == "all":
            return torch.arange(available)
        wanted = min(ROWS_PER_UNIT * units, available) if self.rows == "enough" else self.rows
        if self.replacement:
            return torch.randint(available, (wanted,), generator=generator, device=generator.device).cpu()
        need(
            2 <= wanted <= available,
            expected=f"from 2 to {available} reference rows",
            got=f"{wanted}",
            remedy="Use rows=all, or draw with replacement.",
        )
        return torch.randperm(available, generator=generator, device=generator.device)[:wanted].cpu()

    def _covariances(self, reference: Reference, indices: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Covariance of each layer over the reference rows, float64, and one row of it to know type and device by."""
        sums: dict[str, UnitSide] = {}
        held: dict[str, list[Tensor]] = {}
        examples: dict[str, Tensor] = {}
        for forward_pass in reference(indices, self.mode):
            for name, values in self._views(forward_pass):
                examples[name] = values[:1]
                if self.precision == "model":
                    held.setdefault(name, []).append(values)
                else:
                    if name not in sums:
                        device = "cpu" if values.device.type == "mps" else values.device
                        sums[name] = UnitSide(values.shape[1], device=device)
                    sums[name].add(law.doubled(values))
        covariances = {name: total.matrix / (total.count - 1) for name, total in sums.items()}
        for name, pieces in held.items():
            values = torch.cat(pieces)
            values = values - values.mean(0)
            covariances[name] = law.doubled(values.T @ values / len(values))
        for name, covariance in covariances.items():
            need(
                bool(torch.isfinite(covariance).all()),
                expected=f"finite values in layer {name!r}",
                got="NaN or infinity",
                remedy="Lower the learning rate or the penalties' strength.",
            )
            covariances[name] = (covariance + covariance.T) / 2
        return covariances, examples

    def _renewed(
        self, state: SpectralState, reference: Reference, generator: torch.Generator, units: int
    ) -> SpectralState:
        """The state with a new basis; what it had averaged over batches is kept."""
        indices = self._draw(reference.rows, units, generator) if state.indices is None else state.indices
        covariances, examples = self._covariances(reference, indices)
        basis, anchor, covariance, staleness, alpha = {}, dict(state.anchor), dict(state.covariance), {}, {}
        for place, (name, matrix) in enumerate(covariances.items()):
            like, tau = examples[name], _of(self.tau, place)
            dtype = like.dtype if like.dtype == torch.float64 else torch.float32
            if self.estimator == "low_rank":
                eigenvalues, vectors = law.leading_eigenvectors(matrix, max(self.ranks, tau + 1), generator)
            else:
                eigenvalues, vectors = symmetric_eigh(matrix)
            columns = self._last_rank(eigenvalues, len(indices), name, dtype)
            if columns <= tau + 1:
                warnings.warn(
                    f"Layer {name!r} has {columns} ranks above zero and tau + 1 = {tau + 1} are free: nothing is held "
                    "to the target. Use a smaller tau, or look at why the layer varies so little.",
                    stacklevel=3,
                )
            basis[name] = vectors[:, : max(columns, tau + 1)].to(like.device, dtype).contiguous()
            alpha[name] = law.exponent(eigenvalues[:columns], tau).cpu()
            if name in state.basis:
                measured = self._staleness(matrix, eigenvalues, state.basis[name], place)
                staleness[name] = torch.tensor(astuple(measured), dtype=torch.float64)
            anchor.setdefault(name, eigenvalues[tau].to(like.device, dtype))
            if self.estimator == "exact" and self.memory > 0:
                covariance.setdefault(name, matrix)
        return replace(
            state,
            basis=basis,
            anchor=anchor,
            covariance=covariance,
            staleness=staleness,
            alpha=alpha,
            age=0,
            refreshes=state.refreshes + 1,
            due=self._due(0, False),
        )

    def _last_rank(self, eigenvalues: Tensor, rows: int, name: str, dtype: torch.dtype) -> int:
        """Last rank that is held to the target."""
        units = len(eigenvalues)
        if self.last_rank == "units":
            return units
        if self.last_rank != "rank":
            need(
                self.last_rank <= units,
                expected=f"a last rank of at most {units} in layer {name!r}",
                got=f"{self.last_rank}",
                remedy=f"Use last_rank={units} or fewer.",
            )
            return self.last_rank
        coarse = self.precision == "model" and dtype == torch.float32
        resolution = 2.0**-23 if coarse else max(rows, units) * 2.0**-52
        return min(rows - 1, int((eigenvalues > resolution * eigenvalues[0]).sum()))

    def _exact(self, values: Tensor, state: SpectralState, name: str) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Eigenvalues of the averaged batch covariance, and what is to be remembered of it."""
        samples, units = values.shape
        if samples < 10 * units and state.age == 0:
            warnings.warn(
                f"{samples} samples for {units} units of layer {name!r}: exact eigenvalues of fewer than ten samples "
                'per unit are too steep. Use estimator="fixed_basis", or larger batches.',
                stacklevel=3,
            )
        eigenvalues, covariance = law.current_eigenvalues(values, state.covariance.get(name), self.memory)
        ranks = state.basis[name].shape[1]
        if name not in state.covariance:
            return eigenvalues[: min(ranks, samples - 1)], {}
        return eigenvalues[:ranks], {name: covariance}

    def _excess(self, eigenvalues: Tensor, kappa: Tensor, place: int, units: int) -> Tensor:
        divisor = units if self.divisor == "units" else None
        alpha, tau = _of(self.alpha, place), _of(self.tau, place)
        return law.excess(eigenvalues, kappa, alpha, tau, self.side, divisor, self.zeros)

    def _staleness(self, covariance: Tensor, eigenvalues: Tensor, basis: Tensor, place: int) -> law.Staleness:
        alpha, tau = _of(self.alpha, place), _of(self.tau, place)

        def excess_of(values: Tensor) -> Tensor:
            kappa = law.anchor(values, alpha, tau, self.anchor, self.window, self.scale)
            return self._excess(values, kappa, place, len(covariance))

        return law.staleness(covariance, eigenvalues, basis, tau, excess_of)

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


def _tail_above_sampling(projected: Tensor, rows: int) -> Tensor:
    """s_tail of a batch, less what independent rows show of a basis that is not stale at all."""
    return law.tail_correlation(projected.T @ projected) - (rows - 1) ** -0.5


PRESETS = {
    "nassar2020": Spectral(
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
        side="paper",
        anchor="tau",
        window=10,
        scale=1.0,
        last_rank="units",
        divisor="units",
        zeros="skipped",
        view="flatten",
        max_units=8192,
    )
}
