"""A record measured again, from its own settings and weights: does each of its numbers hold?

    files → their sums;   data → their digest;   settings + weights → model → the record's own plan → each number

What is cheap and decides most is measured again: spectra and exponents, smoothness, margins, clean accuracy, and, of
the first images, right or wrong under each attack of the headline that needs few passes, at the middle epsilon. Draws
of an attack depend on the seed and the block of images alone, so that a part of the curve is the curve's part. With
`whole`, everything is. Numbers of training itself (staleness, units that converged) are not: they take the training.

Where software, instructions of the processor, threads and device are those of the record, numbers are equal. Elsewhere
sums are rounded in another order, and a number HOLDS within a tolerance:

    ROUNDED · |kept|        of what is computed from outputs and hidden values
    max(IMAGES, 2 / n)      of a share of n images
    CLIMBED · |kept|        of other numbers of attacks, which climb on rounded gradients
    none, but the verdict   of a check, whose number may be rounding itself
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from eigenfall import parts, records
from eigenfall.check import need
from eigenfall.exponents import measuring_responses
from eigenfall.layers import device_of
from eigenfall.measurement import measuring
from eigenfall.models import model_of, need_trust
from eigenfall.plans import Plan
from eigenfall.robustness import attacking
from eigenfall.rows import OF_ONE_RUN, labels
from eigenfall.runs import device_for
from eigenfall.settings import model_digest, plan_of
from eigenfall.stages import consumed
from eigenfall.subnormals import zeroing
from eigenfall.types import Examples, Measurement, Record, Responses, RobustnessCurve, Row, Split, Stage

ROUNDED = 1e-3
CLIMBED = 2e-2
IMAGES = 1e-2
"""Tolerances between machines, as the module says."""

FEW_PASSES = 200
"""An attack that takes at most so many passes per image is run again without being asked."""

CONTEXT = ("run", "arm", "seed", "data")
INTERVAL = ("value", "low", "high")


@dataclass(frozen=True)
class Held:
    """One number of a record, and what it is now.

    Attributes:
        name: of the number.
        kept: what the record says.
        found: what was measured now; NaN if it was not found at all.
        difference: the largest, of the number and the ends of its interval, or of several values at once.
        tolerance: largest difference at which it holds.
        holds: whether it does, and stands in the same window with the same verdict.
        row: the record's row.
    """

    name: str
    kept: float
    found: float
    difference: float
    tolerance: float
    holds: bool
    row: Row = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """HOLDS or FAILS."""
        return "HOLDS" if self.holds else "FAILS"


@dataclass(frozen=True)
class Verification:
    """Whether a record holds.

    Attributes:
        record: its name.
        numbers: each number that was measured again.
        left: quantities that were not measured again, and how many numbers of each.
        said: how tolerances were chosen, and what else a reader must know.
    """

    record: str
    numbers: tuple[Held, ...]
    left: Mapping[str, int]
    said: tuple[str, ...]

    @property
    def failed(self) -> tuple[Held, ...]:
        """The numbers that do not hold."""
        return tuple(held for held in self.numbers if not held.holds)

    def __str__(self) -> str:
        left = ", ".join(f"{name} {count}" for name, count in self.left.items())
        lines = [f"{self.record}: {len(self.numbers) - len(self.failed)} of {len(self.numbers)} numbers hold."]
        lines += [
            f"  FAILS {held.name}: {held.kept!r} in the record, {held.found!r} now; they differ by "
            f"{held.difference:.3g}, {held.tolerance:.3g} at most."
            for held in self.failed
        ]
        lines += [f"  {said}" for said in self.said]
        return "\n".join([*lines, *([f"  Not measured again: {left}."] if left else [])])


Verifying = Generator[Stage, None, Verification]


def verify(
    record: Record, *, whole: bool = False, data: str = "", trusted: bool = False, device: str = ""
) -> Verification:
    """Measure a record again, from its weights, or its recording, and hold each number against what it says.

    Args:
        record: of a finished run.
        whole: everything that it measured, attacks of all images among it; else what is cheap and decides most.
        data: where its data set or recording lies now, in the grammar; empty: where the record says.
        trusted: modules, factories and programs that the record names may be run.
        device: auto, cpu, cuda or mps; empty: the record's, or the CPU where there is no such device.

    Returns:
        A value with each number; it prints well.

    Raises:
        ValueError: if a file was changed, the data are others, there are no weights, or the model cannot be made again.
    """
    return consumed(verifying(record, whole=whole, data=data, trusted=trusted, device=device))


def verifying(
    record: Record, *, whole: bool = False, data: str = "", trusted: bool = False, device: str = ""
) -> Verifying:
    """As `verify`, piece by piece."""
    yield Stage("sums of the files", 0, 1)
    for _ in records.files(record):
        pass
    need(
        {"measurement", "inputs"} <= record.run.keys(),
        expected=f"a record that says how and on what it was measured, in {record.path}",
        got="one that does not",
        remedy="Verify records of train, learn, measure or attack.",
    )
    plan = plan_of(record.run["measurement"], trusted)
    place = _device(record, device)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(record.versions.get("threads", threads))))
    try:
        with zeroing(record.versions.get("subnormals") == "zero"):
            others = _others(record, place)
            if "recording" in record.run:
                numbers, left = yield from _of_recording(record, plan, whole, data, trusted, bool(others))
            else:
                numbers, left = yield from _of_model(record, plan, whole, data, trusted, place, bool(others))
    finally:
        torch.set_num_threads(threads)
    return Verification(record.name, numbers, left, (_chosen(others),))


# ------------------------------------------------------------------------------------ where


def _device(record: Record, asked: str) -> torch.device:
    """The device asked for, or the record's; the CPU where this machine has no such device."""
    if asked:
        return device_for(asked)
    try:
        return device_for(str(record.run.get("device", "cpu")))
    except ValueError:
        return torch.device("cpu")


def _others(record: Record, place: torch.device) -> list[str]:
    """What is other than where the record was made, in words; nothing there: numbers must be equal."""
    now, then = records.versions(), record.versions
    found = [f"{name} {then.get(name, 'unknown')}, now {now[name]}" for name in now if then.get(name) != now[name]]
    device = str(record.run.get("device", "cpu"))
    if device not in ("auto", str(place)):
        found.append(f"device {device}, now {place}")
    return found


def _chosen(others: Sequence[str]) -> str:
    """How tolerances were chosen."""
    if not others:
        return "Software, instructions, threads and device are the record's: numbers must be equal."
    return (
        f"Other than the record's: {'; '.join(others)}. So numbers may differ by {ROUNDED:g} of themselves, shares of "
        f"images by {IMAGES:g} or two images, other numbers of attacks by {CLIMBED:g} of themselves."
    )


def _tolerance(row: Row, elsewhere: bool) -> float:
    """Largest difference at which a row's number holds."""
    if not elsewhere:
        return 0.0
    if row["quantity"] == "check":
        return math.inf
    if row["quantity"].endswith("accuracy"):
        return max(IMAGES, 2 / row["n"]) if "n" in row else IMAGES
    return (CLIMBED if "attack" in row else ROUNDED) * abs(row["value"])


# ----------------------------------------------------------------------------------- subjects


def _read(kind: str, text: str, trusted: bool, record: Record, wanted: str) -> Any:
    """A record's data, or its recording, refused unless they are the same."""
    subject = parts.read(kind, text, trusted)()
    if isinstance(subject, Responses):
        digest = subject.digest or records.digest_of(subject.pieces())
    else:
        digest = subject.digest
    need(
        digest == wanted,
        expected=f"the {'recording' if kind == 'recordings' else 'data'} of {record.name}, digest {wanted[:12]}",
        got=f"others, digest {digest[:12]}, from {text}",
        remedy="Say where the same lie now with --data.",
    )
    return subject


def _of_recording(
    record: Record, plan: Plan, whole: bool, data: str, trusted: bool, elsewhere: bool
) -> Generator[Stage, None, tuple[tuple[Held, ...], dict[str, int]]]:
    """The numbers of a recording's record; without `whole`, no intervals, curves and simulations."""
    yield Stage("recording", 0, 1)
    text = data or str(record.run["recording"])
    responses = _read("recordings", text, trusted, record, str(record.run["inputs"]))
    again = plan if whole else replace(plan, draws=0, simulations=0, redraws=0, subsets=0)
    measured = yield from measuring_responses(responses, again)
    return _held(record, measured, whole, elsewhere)


def _of_model(
    record: Record, plan: Plan, whole: bool, data: str, trusted: bool, place: torch.device, elsewhere: bool
) -> Generator[Stage, None, tuple[tuple[Held, ...], dict[str, int]]]:
    """The numbers of a model's record."""
    yield Stage("data and weights", 0, 1)
    run = record.run
    records.weights(record)
    text = data or str(run["data"])
    examples: Examples = _read("datasets", text, trusted, record, str(run["inputs"]))
    model = model_of(record, examples, trusted).to(place)
    again = plan if whole else replace(plan, draws=0, corruptions=(), planes=0, preset="none")
    measured = yield from measuring(
        model,
        getattr(examples, str(run["stimuli"])).inputs,
        examples.test,
        again,
        examples.bounds,
        examples.unit,
        str(run["arm"]),
        scale=examples.scale,
        twin=_twin(record, examples, trusted, place) if whole else None,
    )
    numbers, left = _held(record, measured, whole, elsewhere)
    kept = record.measurement.margins
    if kept is not None and measured.margins is not None:
        numbers = (*numbers, _several("margin, each image", kept, measured.margins, elsewhere))
    if not whole and "headline" in record.measurement.curves:
        curve = record.measurement.curves["headline"]
        numbers += yield from _attacked(model, curve, examples, trusted, elsewhere)
    return numbers, left


def _twin(record: Record, examples: Examples, trusted: bool, place: torch.device) -> nn.Module | None:
    """The twin that a record's attacks came from; refused if its weights are others now."""
    told = record.run.get("twin")
    if told is None:
        return None
    made = parts.read("architectures", str(told["architecture"]), trusted)
    need_trust(made, trusted)
    twin = made(examples, torch.Generator().manual_seed(int(record.run["seed"]))).to(place)
    need(
        model_digest(twin) == told["model"],
        expected=f"the twin of {record.name}, digest {str(told['model'])[:12]}",
        got=f"another, digest {model_digest(twin)[:12]}, from {told['architecture']}",
        remedy="Restore its weights, or verify without --whole.",
    )
    return twin


def _attacked(
    model: nn.Module, curve: RobustnessCurve, examples: Examples, trusted: bool, elsewhere: bool
) -> Generator[Stage, None, tuple[Held, ...]]:
    """Right or wrong of the first block of images, at the middle epsilon, under each attack that needs few passes."""
    images = min(curve.block, curve.broken.shape[2])
    column = (len(curve.epsilons) - 1) // 2
    place = device_of(model)
    some = Split(examples.test.inputs[:images].to(place), examples.test.targets[:images].to(place))
    found = []
    for row, (name, text) in enumerate(curve.attacks.items()):
        if curve.passes.get(name, math.inf) > FEW_PASSES:
            continue
        attacks, source = {name: parts.read("attacks", text, trusted)}, torch.Generator().manual_seed(curve.seed)
        budgets = curve.epsilons[column : column + 1]
        now = yield from attacking(model, attacks, some, curve.threat, budgets, source, curve.batch_size, curve.block)
        kept, broken = curve.broken[row, column, :images], now.broken[0, 0]
        differ = float((kept != broken).double().mean())
        about: Row = {"quantity": "robust_accuracy", "attack": name, "epsilon": budgets[0], "n": images}
        tolerance = _tolerance(about, elsewhere)
        before, after = (float((~each).double().mean()) for each in (kept, broken))
        label = f"stands, first {images} images/{name}/epsilon={budgets[0]}"
        found.append(Held(label, before, after, differ, tolerance, differ <= tolerance, about))
    return tuple(found)


# --------------------------------------------------------------------------------- comparison


def _several(name: str, kept: Tensor, found: Tensor, elsewhere: bool) -> Held:
    """Many values as one number: their mean, and the largest difference, relative to the largest of them."""
    kept, found = kept.detach().cpu().double(), found.detach().cpu().double()
    same = kept.shape == found.shape
    apart = float((kept - found).abs().max()) if same and kept.numel() else 0.0 if same else math.inf
    tolerance = ROUNDED * float(kept.abs().max()) if elsewhere and kept.numel() else 0.0
    return Held(name, float(kept.mean()), float(found.mean()), apart, tolerance, apart <= tolerance)


def _identity(row: Row) -> tuple[tuple[str, str], ...]:
    """What a number is of: what was asked for, not what was found. Those of one identity come in the same order."""
    own = (*OF_ONE_RUN, *CONTEXT, "first_rank", "last_rank")
    asked = {name: value for name, value in row.items() if name == "epsilon" or not isinstance(value, float)}
    return tuple(sorted((name, str(value)) for name, value in asked.items() if name not in own))


def _held(
    record: Record, measured: Measurement, whole: bool, elsewhere: bool
) -> tuple[tuple[Held, ...], dict[str, int]]:
    """Each number of a record against what was measured now, and how many were not, by quantity.

    A number of a quantity that was measured now must be there; one that is not found fails.
    """
    kept = record.measurement.rows
    now: dict[Any, list[Row]] = {}
    for row in measured.rows:
        now.setdefault(_identity(row), []).append(row)
    again = {row["quantity"] for row in measured.rows}
    numbers: list[Held] = []
    left: dict[str, int] = {}
    for row, name in zip(kept, labels(kept)):
        if row["quantity"] not in again:
            left[row["quantity"]] = left.get(row["quantity"], 0) + 1
            continue
        same = now.get(_identity(row), [])
        numbers.append(_compared(row, name, same.pop(0) if same else {}, whole, elsewhere))
    for key, spectrum in record.measurement.spectra.items():
        if key in measured.spectra:
            found = measured.spectra[key].eigenvalues
            numbers.append(_several(f"eigenvalue, each rank/{key}", spectrum.eigenvalues, found, elsewhere))
    return tuple(numbers), left


def _compared(row: Row, name: str, found: Row, whole: bool, elsewhere: bool) -> Held:
    """A number, with the ends of its interval where there is one again, its window and its verdict."""
    tolerance = _tolerance(row, elsewhere)
    alike = all(row.get(key) == found.get(key) for key in ("first_rank", "last_rank"))
    alike = alike and (not whole or row.get("verdict") == found.get("verdict"))
    asked = [key for key in INTERVAL if key in row and (key in found or whole or key == "value")]
    apart = max(_apart(float(row[key]), float(found.get(key, math.nan))) for key in asked) if found else math.inf
    holds = apart <= tolerance and alike
    return Held(name, float(row["value"]), float(found.get("value", math.nan)), apart, tolerance, holds, row)


def _apart(kept: float, found: float) -> float:
    """|kept − found|; nothing between two NaN or two equal infinities, everything between a number and none."""
    if kept == found or (math.isnan(kept) and math.isnan(found)):
        return 0.0
    difference = abs(kept - found)
    return math.inf if math.isnan(difference) else difference
