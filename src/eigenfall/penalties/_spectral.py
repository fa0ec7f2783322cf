"""What the spectral penalty remembers, what it sees of a batch, and which of its settings go together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Literal

from jaxtyping import Int64
from torch import Tensor

from eigenfall.bases import Staleness
from eigenfall.check import need

LEVEL, CHECK_EVERY = 0.05, 10
"""Where `auto` begins: s_tail above its sampling level that calls for a refresh, and batches between two looks."""

EXCESS, TRUE_EXCESS = (
    [setting.name for setting in fields(Staleness)].index(name) for name in ("excess", "true_excess")
)
MEASURED = {"s_R": EXCESS, "true_R": TRUE_EXCESS}
"""What is logged of `Staleness`, and where in it that stands."""


@dataclass(frozen=True, eq=False)
class SpectralState:
    """What the penalty remembers, by layer unless it says otherwise.

    Attributes:
        basis: V, `(units, ranks)`, in falling order of the reference's eigenvalues.
        anchor: eigenvalue of rank τ + 1, averaged over batches.
        covariance: averaged over batches, for the estimator `exact` only.
        alpha: exponent of the reference's eigenvalues at the last refresh; found when it is read.
        measured: `Staleness` of the basis that the last refresh replaced, as numbers, found when it is read: until then
            the covariance and the basis replaced are held, 12 bytes an entry. Empty before the first.
        projection: `(units of the flattened map, projected)` orthonormal directions, drawn once, of the layers that are
            projected; in float32 4 bytes an entry, 7.4 MB for 3600 units and 512 directions.
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
    alpha: Mapping[str, Tensor] = field(default_factory=dict)
    measured: Mapping[str, Tensor] = field(default_factory=dict)
    projection: Mapping[str, Tensor] = field(default_factory=dict)
    indices: Int64[Tensor, " rows"] | None = None
    age: int = 0
    refreshes: int = 0
    level: float = LEVEL
    check_every: int = CHECK_EVERY
    due: Literal["no", "now", "epoch"] = "no"

    def at_refresh(self, layer: str) -> dict[str, Callable[[], Tensor]]:
        """What the last refresh found of a layer, under the names that it is logged by; found when it is called."""
        found = {f"{layer}/alpha": partial(self.alpha.__getitem__, layer)}
        if layer in self.measured:
            found |= {f"{layer}/{what}": partial(self._entry, layer, at) for what, at in MEASURED.items()}
        return found

    def _entry(self, layer: str, at: int) -> Tensor:
        return self.measured[layer][at]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a batch shows of a layer.

    Attributes:
        eigenvalues: of every rank held to the target, or of the ranks drawn.
        anchor: the eigenvalue of rank τ + 1.
        projected: the batch along the columns between which staleness is seen; `None` if there is no fixed basis.
        drawn: the ranks, if not all; counted from 1.
        remembered: the layer's averaged covariance, for the estimator `exact` only.
    """

    eigenvalues: Tensor
    anchor: Tensor
    projected: Tensor | None = None
    drawn: Int64[Tensor, " drawn"] | None = None
    remembered: Mapping[str, Tensor] = field(default_factory=dict)


def need_settings(part: Any) -> None:
    """Refuse settings of which one excludes another, or that count less than one."""
    need(
        part.order == "rank" or part.anchor != "tau",
        expected='an anchor that is not one eigenvalue of one batch with order="identity"',
        got='anchor="tau"',
        remedy='Use anchor="ema" or "window".',
    )
    need(
        0 <= part.memory < 1,
        expected="a memory from 0 to below 1",
        got=f"{part.memory}",
        remedy="0.9 averages over about ten batches.",
    )
    counts = ("k_steps", "max_age", "window", "projected")
    for name, value in ((name, getattr(part, name)) for name in counts):
        need(value >= 1, expected=f"{name} of 1 or more", got=f"{value}", remedy="Count in whole steps or ranks.")
    lowest = min(part.tau) if isinstance(part.tau, tuple) else part.tau
    need(lowest >= 0, expected="tau of 0 or more", got=f"{lowest}", remedy="10 is the paper's.")
    for name in ("strength", "alpha", "tau"):
        value = getattr(part, name)
        need(
            not isinstance(value, tuple) or len(value) in (1, len(part.layers)),
            expected=f"one value of {name}, or one per entry of layers ({len(part.layers)})",
            got=f"{len(value) if isinstance(value, tuple) else 1}",
            remedy="Name the layers in the order of the values.",
        )
    need(
        part.centre is None or part.estimator != "exact",
        expected='estimator="fixed_basis" or "low_rank" with a centre',
        got='estimator="exact"',
        remedy="Its eigenvalues are a covariance's: leave centre out.",
    )
    need(
        part.estimator != "exact" or part.zeros == "kept",
        expected='zeros="kept" with estimator="exact"',
        got='zeros="skipped"',
        remedy="Rounding alone would decide which eigenvalues of a batch are terms of the sum.",
    )
    need_subset(part)


def need_subset(part: Any) -> None:
    """Refuse a subset of ranks where something needs them all."""
    need(part.subset >= 0, expected="subset of 0 or more", got=f"{part.subset}", remedy="0 takes every rank.")
    if part.subset == 0:
        return
    need(
        part.order == "identity",
        expected='order="identity" with a subset',
        got='order="rank"',
        remedy="A rank needs every eigenvalue of the batch: use identity, or subset=0.",
    )
    need(
        part.anchor in ("ema", "absolute"),
        expected='anchor="ema" or "absolute" with a subset',
        got=f'anchor="{part.anchor}"',
        remedy="It reads ranks that are not drawn: use ema, or subset=0.",
    )
    need(
        part.estimator != "exact",
        expected='estimator="fixed_basis" or "low_rank" with a subset',
        got='estimator="exact"',
        remedy="It finds all eigenvalues at once: use fixed_basis, or subset=0.",
    )
    need(
        part.divisor == "units" or (part.zeros == "kept" and part.side != "log"),
        expected="a number of terms that is known without every rank, with a subset",
        got='divisor="terms" with ' + ('side="log"' if part.side == "log" else 'zeros="skipped"'),
        remedy="Use divisor=units, or subset=0.",
    )
    need(
        part.subset > 1 or part.refresh != "auto",
        expected='a subset of 2 or more with refresh="auto"',
        got="1",
        remedy="Staleness is seen between two columns: draw more, or use refresh=every_k_steps.",
    )
