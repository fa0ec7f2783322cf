"""What a layer that has learnt is judged to be: by gates, or by how much its weights still change; rows and notices.

    change = ‖W(e) − W(e − 1)‖ / ‖W(e − 1)‖,   W(e) the weights after epoch e, e ≥ 2

stands in for the gates of a rule whose norms go nowhere in particular. A learning rate that falls to 0 makes the last
change small by itself: the history has that of every epoch.
"""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from eigenfall import records
from eigenfall.architectures.learnt import LearntLayer
from eigenfall.convergence import Gates
from eigenfall.rows import row
from eigenfall.snapshots import flattened
from eigenfall.types import Convergence, Measurement, Pruned, Row

SETTLED = 0.01
"""Largest change of the weights over the last epoch, relative to them, at which a layer without gates has settled."""


@dataclass(frozen=True, eq=False)
class Watched:
    """What is remembered of a rule without a radius: weights after the last epoch, and their change over it."""

    weights: Tensor | None = None
    change: float | None = None

    def after(self, weights: Tensor) -> "Watched":
        """One epoch later."""
        now, change = weights.detach().cpu().clone(), None
        if self.weights is not None and bool(self.weights.any()):
            before = self.weights.double()
            change = float((now.double() - before).norm() / before.norm())
        return Watched(now, change)

    @property
    def kept(self) -> dict[str, Any]:
        """As a snapshot holds it."""
        return flattened(self, "watched/")


def judged(rule: Any, weights: Tensor, inputs: Tensor) -> Convergence | None:
    """The gates of a rule with a radius, wins counted at the training inputs."""
    return Gates()(weights, rule.p, rule.radius, inputs) if hasattr(rule, "radius") else None


def rows_of(
    convergence: Convergence | None, pruned: Pruned | None, change: float | None = None, units: int = 0
) -> list[Row]:
    """Shares of units, or the last change of their weights, each one number."""
    found = []
    if change is not None:
        verdict = "CONVERGED" if change <= SETTLED else "UNCONVERGED"
        found.append(row("last_change", change, verdict=verdict, layer="currents", n=units))
    if convergence is not None:
        verdict = "CONVERGED" if convergence.converged else "UNCONVERGED"
        about = {"layer": "currents", "n": len(convergence.norms)}
        found.append(row("unconverged_units", convergence.unconverged, verdict=verdict, **about))
        found.append(row("negative_units", float(convergence.negative.double().mean()), **about))
        if convergence.dead is not None:
            found.append(row("dead_units", float(convergence.dead.double().mean()), **about))
        if convergence.silent is not None:
            found.append(row("silent_units", float(convergence.silent.double().mean()), **about))
    if pruned is not None:
        found.append(row("pruned_units", pruned.count / len(pruned.kept), layer="currents", n=len(pruned.kept)))
    return found


def notices_of(convergence: Convergence | None, pruned: Pruned | None, change: float | None = None) -> list[str]:
    """What a reader must know of the layer."""
    told = []
    if change is not None and not change <= SETTLED:
        told.append(
            f"WARN: currents: UNCONVERGED: the weights changed by {100 * change:.1f} % over the last epoch, more than "
            f"{100 * SETTLED:g} %. Learn for longer, or at a rate that falls."
        )
    if convergence is not None and not convergence.converged:
        told.append(f"WARN: currents: {convergence}{_left_behind(convergence)}")
    return [*told, *([f"currents: {pruned}"] if pruned is not None and pruned.count else [])]


def _left_behind(convergence: Convergence) -> str:
    """How many units that are off never win, said where it matters."""
    count = 0 if convergence.dead is None else int((convergence.off & convergence.dead).sum())
    if count == 0 or convergence.norms_hold or convergence.collapsed:
        return ""
    whose = "that is off" if count == 1 else "that are off"
    units = "1 unit" if count == 1 else f"{count} units"
    return f" {units} {whose} won at no input, which longer learning hardly moves: prune, or use fewer units."


def judged_before(architecture: Any, measurement: Measurement) -> Measurement:
    """A measurement of a learnt layer with what its record says of it: one that is off stays so, measured again."""
    folder = architecture.weights.parent if isinstance(architecture, LearntLayer) and architecture.weights else None
    if folder is None or not (folder / "record.json").is_file():
        return measurement
    before = records.load(folder).measurement
    last = next((entry for entry in before.rows if entry["quantity"] == "last_change"), {})
    change, units = last.get("value"), last.get("n", 0)
    return replace(
        measurement,
        convergence=before.convergence,
        pruned=before.pruned,
        fields=before.fields,
        rows=(*rows_of(before.convergence, before.pruned, change, units), *measurement.rows),
        notices=(*notices_of(before.convergence, before.pruned, change), *measurement.notices),
    )
