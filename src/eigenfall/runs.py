"""One run from settings to record: build, train, measure, checkpoint, go on.

`execute` is a generator of `Event`: whatever draws progress consumes it. A finished run is never run again; one that
was stopped goes on from its last checkpoint, bit-equal.
"""

import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eigenfall import parts, records
from eigenfall.adversarial import MANY
from eigenfall.check import need
from eigenfall.deferred import Deferred
from eigenfall.exponents import measuring_responses
from eigenfall.histories import overfitted, stale_of
from eigenfall.judgements import judged_before
from eigenfall.layers import device_of
from eigenfall.learnt import Learnt, learning_model
from eigenfall.measurement import measuring
from eigenfall.rows import with_context
from eigenfall.settings import Run, follows, name_of, parts_of, settings_of
from eigenfall.surroundings import need_surroundings
from eigenfall.training import Diverged, captured_by, reference_of, train
from eigenfall.types import Examples, Measurement, Responses, Row, Split, Stage, Step
from eigenfall.whitening import freeze

CHECKPOINT_SECONDS = 5.0
LOGGED_STEPS = 200
AT_REFRESHES = ("alpha", "s_R", "true_R")
"""What penalties measure at refreshes alone: kept for the next row of the history."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a run.

    Attributes:
        name: arm and seed.
        stage: what is being done.
        done: pieces of the stage that are finished.
        total: pieces of the stage.
        record: the finished record's folder.
        error: why the run failed, one sentence.
        again: whether the record was there already.
        said: what a reader must know now; it stays on the screen.
        elsewhere: whether another process has this run now; then this is its last event here, and it is neither
            finished nor failed.
        seconds: how long the run took here, as its last event says.
        logged: rows of the history since the event before; the first event of a run that goes on has those of before.
    """

    name: str
    stage: str
    done: int = 0
    total: int = 0
    record: Path | None = None
    error: str = ""
    again: bool = False
    said: str = ""
    elsewhere: bool = False
    seconds: float = 0.0
    logged: tuple[Row, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether no other event of this run comes after it, from whoever had it."""
        return self.record is not None or bool(self.error) or self.elsewhere


Running = Generator[Event, None, None]


def device_for(name: str) -> torch.device:
    """The device of that name; "auto" takes CUDA, then MPS, then the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = name.partition(":")[0]
    need(
        there.get(kind, False),
        expected="a device that this machine has",
        got=repr(name),
        remedy=f"Choose among: auto, {', '.join(sorted(key for key, value in there.items() if value))}.",
    )
    return torch.device(name)


def built(run: Run, examples: Examples) -> nn.Module:
    """The run's untrained model, on its device; weights depend on the seed alone."""
    return _made(run.architecture, run, examples)


def _made(architecture: Any, run: Run, examples: Examples) -> nn.Module:
    return architecture(examples, torch.Generator().manual_seed(run.seed)).to(device_for(run.device))


def _named(penalties: Sequence[Any]) -> dict[str, Any]:
    """Penalties by name; a second of the same name gets a number."""
    found: dict[str, Any] = {}
    for penalty in penalties:
        name = parts.name_of(penalty)
        same = sum(key.partition("#")[0] == name for key in found)
        found[f"{name}#{same + 1}" if same else name] = penalty
    return found


def _trained(
    run: Run, model: nn.Module, examples: Examples, root: Path, key: str
) -> Generator[Event, None, tuple[Row, ...]]:
    """Train in place, with checkpoints; the logged history.

    A row holds the numbers of its step; what a penalty measured at a refresh since the row before, it holds too. At the
    end, layers that whiten by running statistics are given those of all training rows.
    """
    start = records.read_checkpoint(root, key)
    history: list[Row] = json.loads(str(start.pop("history"))) if start else []
    since: dict[str, Any] = json.loads(str(start.pop("since", "{}"))) if start else {}
    told = 0
    training = run.training
    if training.adversarial is not None:
        training = replace(training, adversarial=replace(training.adversarial, bounds=examples.bounds))
    steps: Iterator[Step] = train(
        model, examples.train, examples.validation, _named(run.penalties), training, seed=run.seed, start=start
    )
    last = time.monotonic()
    for step in _guarded(steps, model, root, key):
        at = step.progress
        if step.last:
            freeze(step.model, examples.train.inputs, published=False)
        since |= {
            key: partial(step.values.__getitem__, key) for key in step.values if key.split("/")[-1] in AT_REFRESHES
        }
        if at.step % max(1, at.steps // LOGGED_STEPS) == 0 or step.last or MANY in step.values:
            history.append({"step": at.step, "epoch": at.epoch, **Deferred(since), **step.values})
            since = {}
            yield Event(name_of(run), "training", at.step, at.steps, logged=tuple(history[told:]))
            told = len(history)
        if step.last:
            history[-1] = {**history[-1], **_final_staleness(run, step, examples)}
        if time.monotonic() - last > CHECKPOINT_SECONDS or step.last:
            kept = {"history": json.dumps(history), "since": json.dumps(dict(Deferred(since)))}
            records.write_checkpoint(root, key, {**step.snapshot(), **kept})
            last = time.monotonic()
    return tuple(history)


def _guarded(steps: Iterator[Step], model: nn.Module, root: Path, key: str) -> Iterator[Step]:
    """The steps; if training diverges, the last good weights are written beside the checkpoint, as the error says."""
    try:
        yield from steps
    except Diverged as reason:
        path = records.write_weights(root, key, model.state_dict())
        raise Diverged(f"{reason} They lie in {path}.") from reason


def _final_staleness(run: Run, step: Step, examples: Examples) -> dict[str, float]:
    """How far each spectral penalty's basis is from the truth at the end: s_R, true exponent and true R by layer."""
    found: dict[str, float] = {}
    for name, penalty in _named(run.penalties).items():
        if not hasattr(penalty, "staleness"):
            continue
        layers = captured_by(step.model, {name: penalty})
        device = device_of(step.model)
        here = Split(examples.train.inputs.to(device), examples.train.targets.to(device))
        reference = reference_of(step.model, here, layers)
        generator = torch.Generator().manual_seed(run.seed)
        for layer, stale in penalty.staleness(step.states[name], reference, generator).items():
            measured = {"staleness": stale.excess, "alpha": stale.true_alpha, "R": stale.true_excess}
            found |= {f"{name}/final_{what}/{layer}": value for what, value in measured.items()}
    return found


def _relayed(run: Run, stages: Generator[Stage, None, Measurement]) -> Generator[Event, None, Measurement]:
    """A measurement's stages as events; its value."""
    while True:
        try:
            stage = next(stages)
        except StopIteration as finished:
            return finished.value
        yield Event(name_of(run), stage.what, stage.done, stage.total, said=stage.said)


def _keeping(
    stages: Generator[Stage, None, Measurement], kept: dict[str, Any], root: Path, key: str
) -> Generator[Stage, None, Measurement]:
    """The same stages; the pieces that they make are written beside those of before, at the latest when they stop.

    Writing takes at most a twentieth of the time, as second moments may be gigabytes.
    """
    last, cost = time.monotonic(), 0.0
    fresh = False
    try:
        while True:
            try:
                stage = next(stages)
            except StopIteration as finished:
                fresh = False
                return finished.value
            kept.update(stage.made)
            fresh = fresh or bool(stage.made)
            if fresh and time.monotonic() - last > max(CHECKPOINT_SECONDS, 20 * cost):
                start = time.monotonic()
                records.write_checkpoint(root, key, kept)
                last, fresh = time.monotonic(), False
                cost = last - start
            yield stage
    finally:
        if fresh:
            records.write_checkpoint(root, key, kept)


@dataclass(frozen=True, eq=False)
class _Done:
    """What a run came to."""

    measurement: Measurement
    weights: Mapping[str, Tensor] | None = None
    history: tuple[Row, ...] = ()
    found: Mapping[str, Any] = field(default_factory=dict)
    """Settings that the run itself found: kept beside those that it was given."""


def _of_responses(run: Run, responses: Responses, root: Path, key: str) -> Generator[Event, None, _Done]:
    kept = records.read_checkpoint(root, key) or {}
    stages = measuring_responses(responses, run.plan, dict(kept))
    return _Done((yield from _relayed(run, _keeping(stages, kept, root, key))))


def _of_learnt(run: Run, examples: Examples, root: Path, key: str) -> Generator[Event, None, _Done]:
    """A layer learns, a head is fitted, and the model is measured as any other."""
    start = records.read_checkpoint(root, key)
    history: list[Row] = json.loads(str(start.pop("history"))) if start else []
    told = 0
    work = learning_model(
        run.rule,
        run.head,
        examples,
        run.learning,
        run.training,
        run.seed,
        run.pruning,
        run.pruned,
        device_for(run.device),
        start,
    )
    last = time.monotonic()
    while True:
        try:
            moment = next(work)
        except StopIteration as finished:
            learnt: Learnt = finished.value
            break
        if moment.logged is not None:
            history.append(moment.logged)
        if moment.logged is not None or moment.said or moment.done % max(1, moment.total // LOGGED_STEPS) == 0:
            logged = tuple(history[told:])
            yield Event(name_of(run), moment.what, moment.done, moment.total, said=moment.said, logged=logged)
            told = len(history)
        if moment.last or time.monotonic() - last > CHECKPOINT_SECONDS:
            records.write_checkpoint(root, key, {**moment.snapshot(), "history": json.dumps(history)})
            last = time.monotonic()
    done = yield from _measured(run, learnt.model, None, examples)
    measurement = replace(
        done.measurement,
        convergence=learnt.convergence,
        pruned=learnt.pruned,
        fields=learnt.fields,
        rows=(*learnt.rows, *done.measurement.rows),
        notices=(*learnt.notices, *done.measurement.notices),
    )
    found = {"fitted_head": parts.spell(learnt.head)}
    return replace(done, measurement=measurement, history=tuple(history), found=found)


def _of_model(
    run: Run, model: nn.Module, twin: nn.Module | None, examples: Examples, root: Path, key: str
) -> Generator[Event, None, _Done]:
    history: tuple[Row, ...] = ()
    if run.verb == "train":
        history = yield from _trained(run, model, examples, root, key)
    done = yield from _measured(run, model, twin, examples)
    measurement = judged_before(run.architecture, done.measurement)
    return replace(done, measurement=measurement, history=history)


def _measured(run: Run, model: nn.Module, twin: nn.Module | None, examples: Examples) -> Generator[Event, None, _Done]:
    """A finished model under the run's plan."""
    stimuli = getattr(examples, run.stimuli).inputs
    stages = measuring(
        model,
        stimuli,
        examples.test,
        run.plan,
        examples.bounds,
        examples.unit,
        run.arm,
        scale=examples.scale,
        twin=twin,
    )
    measurement = yield from _relayed(run, stages)
    return _Done(measurement, {name: value.detach().cpu() for name, value in model.state_dict().items()})


def digest_of(subject: Responses | Examples) -> str:
    """Digest of the contents of a data set or a recording."""
    if isinstance(subject, Responses):
        return subject.digest or records.digest_of(subject.pieces())
    return subject.digest


def execute(run: Run, root: Path, read: Responses | Examples | None = None) -> Running:
    """One run to its record; an event for each piece of it.

    One process at a time has a run: if another has this one, the first event says so, and is the last.

    Args:
        run: what to do.
        root: folder of the records; checkpoints lie in its `.partial`.
        read: what the run's data or recording gave, if it was read before; `None`: it is read.
    """
    part = run.data if run.recording is None else run.recording
    subject: Responses | Examples = part() if read is None else read
    model = twin = None
    if not follows(run):
        assert isinstance(subject, Examples)
        model = built(run, subject)
        twin = None if run.twin is None else _made(run.twin, run, subject)
    settings = settings_of(run, digest_of(subject), model, twin)
    key = records.run_hash(settings)
    before = records.finished(root, key)
    if before is None:
        with records.claimed(root, key) as held:
            if not held:
                yield Event(name_of(run), "waiting for another process", elsewhere=True)
                return
            before = records.finished(root, key)  # by whoever had it until now
            if before is None:
                yield from _executed(run, subject, model, twin, root, key, settings)
                return
    yield Event(name_of(run), "finished", record=before, again=True)


def _executed(
    run: Run,
    subject: Responses | Examples,
    model: nn.Module | None,
    twin: nn.Module | None,
    root: Path,
    key: str,
    settings: Mapping[str, Any],
) -> Running:
    """A run that is not finished, and that nobody else has."""
    classes = None
    if isinstance(subject, Responses):
        done = yield from _of_responses(run, subject, root, key)
    else:
        classes = subject.classes
        need_surroundings(run.plan, subject.test.inputs)
        if run.verb == "learn":
            done = yield from _of_learnt(run, subject, root, key)
        else:
            done = yield from _of_model(run, model or built(run, subject), twin, subject, root, key)
    context = {
        "run": key[:12],
        "arm": run.arm,
        "seed": run.seed,
        "data": settings.get("data", settings.get("recording")),
    }
    stale, notices = stale_of(done.history)
    measurement = replace(
        done.measurement,
        rows=with_context([*done.measurement.rows, *stale], context),
        notices=(*done.measurement.notices, *notices, *overfitted(done.history)),
    )
    told = {**settings, **done.found, "device": run.device, "classes": classes}
    record = records.save(root, told, measurement, done.weights, done.history, parts_of(run, measurement))
    yield Event(name_of(run), "finished", record=record.path)
