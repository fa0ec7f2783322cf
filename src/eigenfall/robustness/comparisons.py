"""What the checks compare the headline with, and what came of it: counts of inputs, no judgement.

Everything runs at the epsilon that halves the clean successes of the model, at that of an undefended twin if one is
given, and at twice each. Attacks that may only add to what the headline breaks run on its survivors alone, so that
their cost falls with the accuracy.

Source: `docs/robustness.md` §5.
"""

import copy
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from eigenfall.robustness.distillation import distilling
from eigenfall.robustness.preflight import secant, span
from eigenfall.robustness.trials import Scaled, Trial, halving
from eigenfall.statistics import wilson
from eigenfall.types import LpBall, RobustnessCurve, Split, Stage

SCALES = (0.01, 100.0, 1000.0)
WEAKER = ("fgsm", "noise")
"""Names of the bundle's attacks that may not beat the headline."""
MORE_STEPS, STARTS, FEWER_STEPS = 2.5, 5, 4
"""Check c's factor and starts; what the steps are divided by for check b."""
ROOM, DECAYING_ROOM = 1.05, 1.2
"""More effort always shortens a distance a little: c counts what the headline leaves standing at this much more.

Steps that decay shorten more of an honest net with max-pooling, by up to 15 %, than equal ones: they have more room.
"""

Found = tuple[dict[str, float], dict[str, Any]]
"""Numbers by name, and what stands where there is no number."""
Finding = Generator[Stage, None, Found]


def recoveries(broken: Bool[Tensor, "budgets inputs"]) -> Bool[Tensor, " inputs"]:
    """Whether an input falls at one budget and stands at a larger one; budgets ascend."""
    return (broken.int().cummax(0).values.bool() & ~broken).any(0)


def recovered(curve: RobustnessCurve) -> dict[str, float]:
    """How many inputs of a curve recover at a larger epsilon, of how many, in the words of check b."""
    return {"recovered": float(recoveries(curve.worst(monotone=False)).sum()), "recovered_of": curve.broken.shape[2]}


def worse(first: Mapping[str, float], second: Mapping[str, float]) -> Mapping[str, float]:
    """Of two counts of inputs that recover, the one whose share is more surely above a threshold."""

    def lower(one: Mapping[str, float]) -> float:
        return wilson(int(one["recovered"]), int(one["recovered_of"]))[1] if "recovered" in one else -1.0

    return second if lower(second) > lower(first) else first


# ----------------------------------------------------------------------------- what a check needs


def _unbounded(trial: Trial, plain: RobustnessCurve, half: float) -> Finding:
    """What the headline's attacks leave in an Linf ball of half the inputs' range (a)."""
    low, high = span(trial.examples, trial.threat)
    epsilon, ball = (high - low) / 2, LpBall("Linf", trial.threat.bounds, trial.threat.unit)
    curve = yield from trial.curve("unbounded", trial.headline, (epsilon,), threat=ball)
    left = float((~curve.worst()).double().mean())
    return {"unbounded": left, "unbounded_epsilon": epsilon}, {}


def _recovered(trial: Trial, plain: RobustnessCurve, half: float) -> Finding:
    """Inputs that fall at a smaller epsilon, or to fewer steps, and recover (b)."""
    found = recovered(plain)
    fewer = {
        name: replace(attack, steps=max(1, attack.steps // FEWER_STEPS)) for name, attack in _climbers(trial).items()
    }
    if fewer:
        curve = yield from trial.curve("fewer steps", fewer, plain.epsilons)
        most = max(int((few & ~all_steps).sum()) for few, all_steps in zip(curve.broken.any(0), plain.broken.any(0)))
        found = worse(found, {"recovered": most, "recovered_of": plain.broken.shape[2]})
    return dict(found), {}


def _converged(trial: Trial, plain: RobustnessCurve, half: float) -> Finding:
    """What stands even at more than epsilon, and falls at epsilon to more steps and starts, equal or decaying (c).

    An attack with goal classes keeps its starts: goals are.
    """
    more = {
        name: replace(attack, steps=math.ceil(MORE_STEPS * attack.steps))
        if getattr(attack, "targets", 0)
        else replace(attack, steps=math.ceil(MORE_STEPS * attack.steps), restarts=STARTS)
        for name, attack in _climbers(trial).items()
    }
    if not more:
        return {}, {"converged": "no attack of the headline is ours to give more steps and starts"}
    found = yield from _beyond(trial, plain, "converged", "more steps", more, room=ROOM)
    found |= {"converged_room": ROOM}
    if decaying := _decaying(more):
        other = yield from _beyond(trial, plain, "converged", "decaying steps", decaying, room=DECAYING_ROOM)
        if other["converged"] > found["converged"]:
            found = other | {"converged_room": DECAYING_ROOM}
    return found, {}


def _order(trial: Trial, plain: RobustnessCurve, half: float) -> Finding:
    """Survivors that fall to one step or to noise in the same ball (d)."""
    weaker = {name: trial.bundle.attacks[name] for name in WEAKER if name in trial.bundle.attacks}
    if not weaker:
        return {}, {"order": f"the bundle holds none of {', '.join(WEAKER)}"}
    return (yield from _beyond(trial, plain, "order", "weaker attacks", weaker)), {}


def _blackbox(trial: Trial, plain: RobustnessCurve, half: float) -> Finding:
    """Survivors that fall to the black-box attack (e)."""
    if trial.bundle.blackbox is None:
        return {}, {"blackbox": "the bundle holds no black-box attack"}
    attack = trial.bundle.blackbox
    found = yield from _beyond(trial, plain, "blackbox", "black box", {"blackbox": attack})
    return found | {"blackbox_queries": float(getattr(attack, "queries", 0))}, {}


def _transfer(trial: Trial, plain: RobustnessCurve, half: float) -> Finding:
    """Survivors that fall to the headline's attacks made on the twin, or on a net distilled on the outputs (f).

    Few steps and decaying ones propose other inputs than many equal ones do, and what one leaves another may break.
    """
    climbing = {
        name: replace(attack, stop_broken=False, restarts=1)
        for name, attack in _climbers(trial).items()
        if not getattr(attack, "targets", 0)
    }
    few = {f"{name}, few steps": replace(one, steps=max(1, one.steps // FEWER_STEPS)) for name, one in climbing.items()}
    climbing |= {**few, **_decaying(climbing)}
    if not climbing:
        return {}, {"transfer": "no attack of the headline can climb on another model"}
    source, found, told = trial.twin, {}, "an undefended twin"
    if source is None:
        largest = plain.epsilons[-1]
        student = yield from distilling(
            trial.model, trial.examples, trial.threat, largest, trial.batch_size, trial.seed
        )
        source, told = student.model, f"a net distilled on {student.queries} outputs"
        found = {"transfer_agreement": student.agreement}
    fallen = yield from _beyond(trial, plain, "transfer", "transfer", climbing, surrogate=source)
    return found | fallen, {"transferred": told}


def _float64(trial: Trial, plain: RobustnessCurve, half: float) -> Finding:
    """Survivors that fall to the same attacks in float64 (g). All inputs run: the starts are then the same."""
    try:
        twin = copy.deepcopy(trial.model).double()
        precise = Split(trial.examples.inputs.double(), trial.examples.targets)
        again = yield from trial.curve("float64", trial.headline, plain.epsilons, model=twin, examples=precise)
    except (RuntimeError, TypeError) as reason:
        return {}, {"float64": f"the model does not run in float64: {reason}"}
    gained = again.broken.any(0) & again.clean_correct & ~plain.broken.any(0)
    return {"float64_gained": float(gained.sum(1).max())}, {}


def _scale(trial: Trial, plain: RobustnessCurve, half: float) -> Finding:
    """How far the headline moves when logits are multiplied, and what raw cross-entropy misses of it (j)."""
    broken, found = plain.broken.any(0), {"scale_moved": 0.0, "scale_factor": 1.0}
    for factor in SCALES:
        model = Scaled(trial.model, factor)
        scaled = yield from trial.curve(f"scale {factor:g}", trial.headline, plain.epsilons, model=model)
        moved = int((scaled.broken.any(0).sum(1) - broken.sum(1)).abs().max())
        if moved > found["scale_moved"]:
            found = {"scale_moved": float(moved), "scale_factor": factor}
    raw = {"ce": trial.bundle.attacks["ce"]}
    masked = yield from trial.curve("raw cross-entropy", raw, plain.epsilons)
    gaps = (broken.sum(1) - masked.broken[0].sum(1)) / len(trial.examples)
    return found | {"raw_ce_gap": float(gaps.max())}, {}


def _secant(trial: Trial, plain: RobustnessCurve, half: float) -> Finding:
    """How well slopes foretell differences over a quarter of the halving epsilon (p5)."""
    yield Stage("checks, secants", 0, 1)
    value = secant(trial.model, trial.examples, trial.threat, half, trial.batch_size, trial.seed)
    return {"secant": value}, {}


FINDINGS: Mapping[str, Callable[[Trial, RobustnessCurve, float], Finding]] = {
    "p5": _secant,
    "a": _unbounded,
    "b": _recovered,
    "c": _converged,
    "d": _order,
    "e": _blackbox,
    "f": _transfer,
    "g": _float64,
    "j": _scale,
}
"""What is gathered for each check: of a trial, the headline's curve, and the model's halving epsilon."""


def comparing(trial: Trial) -> Finding:
    """Everything that the bundle's checks judge of comparisons; yields a `Stage` before each piece."""
    half = yield from halving(trial, trial.model)
    if half is None:
        return {}, {"halving": "no input is classified correctly"}
    other = None if trial.twin is None else (yield from halving(trial, trial.twin))
    budgets = sorted({factor * epsilon for epsilon in (half, other) if epsilon is not None for factor in (1, 2)})
    plain = yield from trial.curve("scale 1", trial.headline, budgets)
    numbers: dict[str, float] = {"halving_epsilon": half}
    notes: dict[str, Any] = {}
    for letter, finding in FINDINGS.items():
        if any(check.letter == letter for check in trial.bundle.checks):
            found, said = yield from finding(trial, plain, half)
            numbers |= found
            notes |= said
    return numbers, notes


def _climbers(trial: Trial) -> dict[str, Any]:
    """The headline's attacks that climb step by step and can go on beyond a broken input; adapters cannot."""
    return {name: attack for name, attack in trial.headline.items() if hasattr(attack, "stop_broken")}


def _decaying(attacks: Mapping[str, Any]) -> dict[str, Any]:
    """The attacks whose steps can decay, with steps that do."""
    return {
        f"{name}, decaying": replace(attack, decay="cosine")
        for name, attack in attacks.items()
        if getattr(attack, "decay", "") not in ("", "cosine")
    }


def _beyond(
    trial: Trial,
    plain: RobustnessCurve,
    name: str,
    what: str,
    attacks: Mapping[str, Any],
    room: float = 1.0,
    **changed: Any,
) -> Generator[Stage, None, dict[str, float]]:
    """How many inputs survive the headline and fall to these attacks, at the epsilon where most do.

    With room they survive the headline at that multiple of epsilon as well.
    """
    most = {name: 0.0, f"{name}_epsilon": plain.epsilons[0]}
    for column, epsilon in enumerate(plain.epsilons):
        standing = (~plain.broken[:, column].any(0)).to(trial.examples.inputs.device)
        if not standing.any():
            continue
        survivors = Split(trial.examples.inputs[standing], trial.examples.targets[standing])
        curve = yield from trial.curve(what, attacks, (epsilon,), examples=survivors, **changed)
        down = curve.broken.any(0)[0] & curve.clean_correct
        fallen = float(down.sum())
        if fallen and room > 1:
            there = down.to(survivors.inputs.device)
            some = Split(survivors.inputs[there], survivors.targets[there])
            wider = yield from trial.curve(what, trial.headline, (room * epsilon,), examples=some)
            fallen = float((~wider.broken.any(0)[0]).sum())
        if fallen > most[name]:
            most = {name: fallen, f"{name}_epsilon": epsilon}
    return most
