"""Krotov-Hopfield learning: the unit that answers most moves towards the input, the one of rank k away from it.

    I = V W̃ᵀ,   W̃ = sgn(W) |W|^(p−1),   g = 1 at rank 1 of I, −Δ at rank k, 0 elsewhere
    D = R^p gᵀ V − s ∘ W,   s_μ = Σ_b g_bμ I_bμ
    fast:  W ← W + ε D / max(max |D|, smallest);   slow:  sample after sample, W ← W + ε D

A unit that keeps winning ends at ‖W_μ‖_p = R. Layers answer with I: the map is W̃'s, never W's.

Source: Krotov & Hopfield 2019, PNAS 116, doi:10.1073/pnas.1820458116, equations 3, 8 and 9, and its published program
for the fast form, which normalises each batch's largest change to ε.
Differs from the source: units of equal current are ranked by their index, the lowest first. Only the rows of winners
and of punished units are touched, and inputs that are zero throughout a batch left out of its product, which changes no
number beyond rounding. Non-integer p is allowed. `ranks_2_to_k` is
the reading of Holzhausen et al.'s slow class, and matches neither paper. Each preset's table is spec `holzhausen2024`
§2.5; those of `pnas_cifar` and of Talloen et al. are at second hand, and their schedule is assumed to be the linear
one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._shared import linear, need_batch, need_one_seed, need_sizes, normal
from eigenfall.types import Progress

COPYING = 25
"""What copying a weight costs, in multiplications of it in a product: 15 measured while caches are warm, and room."""


@dataclass(frozen=True, eq=False)
class State:
    """A layer in learning.

    Attributes:
        weights: W, a row for each unit.
        effective: W̃ = sgn(W) |W|^(p−1), kept beside W since a step moves few of its rows.
    """

    weights: Float[Tensor, "seeds units inputs"]
    effective: Float[Tensor, "seeds units inputs"]


@dataclass(frozen=True)
class Krotov:
    """Krotov-Hopfield learning.

    Attributes:
        p: Lebesgue norm, 2 or more, whole or not.
        k: rank of the unit that is punished, counted from 1.
        delta: strength of the punishment.
        radius: p-norm at which weights settle.
        learning_rate: ε at first: the largest change of a step in the fast form, a factor in the slow one.
        schedule: linear: ε falls from its first value in epoch 1 towards 0; linear_from_second: it begins one epoch
            further down, so that the last epoch has none; constant.
        form: fast: a batch at once; slow: sample after sample.
        gate: rank_k; ranks_2_to_k: every unit of rank 2 to k is punished; threshold: a unit with Q above `threshold`
            learns, one between 0 and it is punished, where Q = I / ‖W‖_p^(p−1).
        threshold: of that gate.
        rank_on: what is ranked: current, I, or q.
        smallest: the least that the largest change counts as, in the fast form.
        initial_sd: of the normal draws that weights start from. A small one ends in the all-negative attractor.
        scaling: what images must be like: pixel, in [0, 1]; l3, of L3 norm 1; any. Whoever learns is told, never are
            images scaled silently.
    """

    cite: ClassVar[str] = "krotov2019"
    p: float = 3.0
    k: int = 2
    delta: float = 0.4
    radius: float = 1.0
    learning_rate: float = 0.02
    schedule: Literal["linear", "linear_from_second", "constant"] = "linear"
    form: Literal["fast", "slow"] = "fast"
    gate: Literal["rank_k", "ranks_2_to_k", "threshold"] = "rank_k"
    threshold: float = 0.5
    rank_on: Literal["current", "q"] = "current"
    smallest: float = 1e-30
    initial_sd: float = 1.0
    scaling: Literal["any", "pixel", "l3"] = "any"

    def __post_init__(self) -> None:
        need(
            self.p >= 2,
            expected="a Lebesgue norm p of 2 or more",
            got=f"p={self.p:g}",
            remedy="The papers use 2, 3 and 5: below 2, |W|^(p−2) has no bound where weights are near 0.",
        )
        need(
            self.k >= 2,
            expected="a punished rank k of 2 or more",
            got=f"k={self.k}",
            remedy="Rank 1 is the winner's; to punish nobody, use delta=0.",
        )
        for name in ("radius", "learning_rate", "smallest", "initial_sd"):
            value = getattr(self, name)
            need(value > 0, expected=f"{name} above 0", got=f"{value:g}", remedy="Leave it out for the default.")

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Normal draws, one layer for each generator.

        Args:
            inputs: values of an input.
            units: of the layer.
            generators: one for each seed.

        Raises:
            ValueError: if there are fewer units than the punished rank.
        """
        need_sizes(inputs, units)
        need(
            self.gate == "threshold" or self.k <= units,
            expected=f"at least k={self.k} units",
            got=f"{units}",
            remedy=f"Use k={units} or less, or more units.",
        )
        weights = self.initial_sd * normal((units, inputs), generators)
        return State(weights, self._effective(weights))

    def __call__(
        self,
        state: State,
        batch: Float[Tensor, "seeds batch inputs"],
        progress: Progress,
        generators: Sequence[torch.Generator],
    ) -> State:
        """Learn from one batch. The state's tensors are written into: what comes back is the state.

        Args:
            state: the layer.
            batch: inputs, each seed its own.
            progress: where the loop stands, for the schedule.
            generators: unused; nothing is drawn.

        Raises:
            ValueError: if the batch is empty or does not fit.
        """
        need_batch(batch, state.weights)
        rate = self.rate(progress)
        if rate == 0:
            return state
        for piece in (batch,) if self.form == "fast" else batch.split(1, dim=1):
            if batch.device.type == "cpu" and self.gate != "threshold":
                self._move_few(state, piece, rate)
            else:  # also where a scattered sum would not give the same bits twice
                self._move_all(state, piece, rate)
        return state

    def layer(self, state: State) -> nn.Module:
        """The map from inputs to currents, of one seed."""
        need_one_seed(state.weights)
        return linear(state.effective[0])

    def rate(self, progress: Progress) -> float:
        """ε in the present epoch."""
        if self.schedule == "constant":
            return self.learning_rate
        passed = progress.epoch + (self.schedule == "linear_from_second")
        return self.learning_rate * (1 - passed / progress.epochs)

    def _effective(self, weights: Tensor) -> Tensor:
        """W̃."""
        if self.p == 2:
            return weights.clone()
        if self.p == 3:
            return weights.abs().mul_(weights)
        return weights.abs().pow_(self.p - 1).copysign_(weights)

    def _judged(self, state: State, currents: Tensor) -> Tensor:
        """What is ranked: I, or Q = I / ‖W‖_p^(p−1), where Σ|W|^p = Σ W W̃."""
        if self.rank_on == "current" and self.gate != "threshold":
            return currents
        size = (state.weights * state.effective).sum(-1).pow((self.p - 1) / self.p)
        return currents / size.clamp_min(torch.finfo(size.dtype).tiny)[:, None]

    def _chosen(self, judged: Tensor) -> tuple[Int[Tensor, "seeds batch chosen"], list[float]]:
        """Units that learn from each input, and how much: the winner, and whoever is punished."""
        ranked = in_order(judged, self.k)
        if self.delta == 0:
            return ranked[..., :1], [1.0]
        if self.gate == "rank_k":
            return ranked[..., :: self.k - 1], [1.0, -self.delta]
        return ranked, [1.0, *[-self.delta] * (self.k - 1)]

    def _move_few(self, state: State, batch: Tensor, rate: float) -> None:
        """The step on the rows that learn, all other rows' change being zero: 4BN operations beside the currents'."""
        seeds, units, inputs = state.weights.shape
        currents = _currents(*_narrowed(batch, state.effective))
        chosen, signs = self._chosen(self._judged(state, currents))
        signed = currents.gather(2, chosen) * currents.new_tensor(signs)
        if seeds > 1:
            chosen = chosen + units * torch.arange(seeds)[:, None, None]
        rows, places = torch.unique(chosen, return_inverse=True)  # ascending, seed after seed
        samples = batch.reshape(-1, inputs)
        change = batch.new_zeros(len(rows), inputs)
        for place, sign in enumerate(signs):
            change.index_add_(0, places[..., place].flatten(), samples, alpha=sign * self.radius**self.p)
        pull = batch.new_zeros(len(rows)).index_add_(0, places.flatten(), signed.flatten())
        weights, effective = state.weights.view(-1, inputs), state.effective.view(-1, inputs)
        moved = weights.index_select(0, rows)
        change.addcmul_(moved, pull[:, None], value=-1)
        ends = torch.searchsorted(rows, units * torch.arange(1, seeds + 1)).tolist()
        for begin, end in pairwise((0, *ends)):
            scale = rate / max(_largest(change[begin:end]), self.smallest) if self.form == "fast" else rate
            moved[begin:end].add_(change[begin:end], alpha=scale)
        weights.index_copy_(0, rows, moved)
        effective.index_copy_(0, rows, self._effective(moved))

    def _move_all(self, state: State, batch: Tensor, rate: float) -> None:
        """The step as it is written, on all rows."""
        currents = _currents(batch, state.effective)
        judged = self._judged(state, currents)
        if self.gate == "threshold":
            learns = judged >= self.threshold
            learning = learns.to(batch) - self.delta * ((judged >= 0) & ~learns).to(batch)
        else:
            chosen, signs = self._chosen(judged)
            learning = torch.zeros_like(currents).scatter_(2, chosen, currents.new_tensor(signs).expand(chosen.shape))
        pull = (learning * currents).sum(1)
        change = self.radius**self.p * learning.mT @ batch - pull[..., None] * state.weights
        if self.form == "fast":
            change /= change.abs().amax((1, 2), keepdim=True).clamp_min(self.smallest)
        state.weights.add_(change, alpha=rate)
        state.effective.copy_(self._effective(state.weights))


def _currents(batch: Tensor, effective: Tensor) -> Float[Tensor, "seeds batch units"]:
    """V W̃ᵀ of each seed; a plain product for one."""
    return (batch[0] @ effective[0].T)[None] if len(batch) == 1 else batch @ effective.mT


def _narrowed(batch: Tensor, effective: Tensor) -> tuple[Tensor, Tensor]:
    """Both without the inputs that are zero throughout the batch, as a third of MNIST's are, if that saves time."""
    _, samples, inputs = batch.shape
    used = batch.abs().amax((0, 1)).nonzero().flatten()
    if len(used) * (samples + COPYING) >= inputs * samples:
        return batch, effective
    # Of a matrix torch takes columns seven times as fast as along the last of three axes.
    few, narrow = (values.flatten(0, 1).index_select(1, used) for values in (batch, effective))
    return few.unflatten(0, batch.shape[:2]), narrow.unflatten(0, effective.shape[:2])


def _largest(change: Tensor) -> float:
    """max |D|."""
    low, high = change.aminmax()
    return max(float(high), -float(low))


def in_order(values: Float[Tensor, "*rows units"], count: int) -> Int[Tensor, "*rows count"]:
    """Indices of the largest values of each row, largest first; among equal ones the lowest index comes first."""
    top, indices = values.topk(min(count + 1, values.shape[-1]), dim=-1)
    same = top[..., 1:] == top[..., :-1]
    if bool(same.any()):
        tied = same.any(-1)
        indices[tied] = values[tied].sort(dim=-1, descending=True, stable=True)[1][..., : top.shape[-1]]
    return indices[..., :count]


_PAPER = Krotov(
    p=3.0,
    k=7,
    delta=0.4,
    radius=1.0,
    learning_rate=0.04,
    schedule="linear",
    form="fast",
    gate="rank_k",
    threshold=0.5,
    rank_on="current",
    smallest=1e-30,
    initial_sd=1.0,
    scaling="pixel",
)
_STUDY = replace(_PAPER, schedule="linear_from_second", smallest=1e-9, scaling="l3")

PRESETS = {
    "holzhausen_cifar": replace(_STUDY, k=2, learning_rate=0.02),
    "holzhausen_mnist": _STUDY,
    "krotov_demo": replace(_PAPER, p=2.0, k=2, learning_rate=0.02),
    "pnas_mnist": _PAPER,
    "pnas_cifar": replace(_PAPER, p=2.0, k=2, delta=0.0, learning_rate=0.02),
    "talloen_cifar": replace(_PAPER, p=5.0, k=2, delta=0.1, learning_rate=0.02),
    "talloen_mnist": _PAPER,
    "talloen_fashion": replace(_PAPER, k=5, delta=0.3),
}
