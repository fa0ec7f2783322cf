"""One run as a value: everything that says what it does, as plain values for its hash, and what it owes to whom."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from torch import nn

from eigenfall import parts
from eigenfall.architectures.imported import Imported
from eigenfall.atomic import sha256
from eigenfall.check import one_of
from eigenfall.learning import Learning
from eigenfall.packing import sha256_of
from eigenfall.plans import Plan
from eigenfall.presets import PRESETS
from eigenfall.pruning import Pruning
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.training import Training
from eigenfall.types import Measurement

SEVERAL = {
    "spectra": "spectra",
    "fits": "fits",
    "probe_fits": "fits",
    "dimensions": "dimensions",
    "smoothness": "smoothness",
    "corruptions": "corruptions",
}
"""Settings of a plan that are parts, and of which kind."""


@dataclass(frozen=True)
class Run:
    """Everything about one `train`, `learn` or `measure`.

    Attributes:
        verb: "train": fit weights, then measure; "learn": learn a layer by a local rule, fit a head on it, then
            measure; "measure": measure what is there.
        arm: the name under which runs that differ by seed only stand together.
        seed: of weights, batches and penalties.
        data: a data set; `None` with a recording.
        architecture: what builds the model; `None` with a recording or a rule.
        twin: what builds an undefended model of the same inputs and classes, from which check f attacks; `None`: a net
            distilled on the model's outputs stands in for it.
        recording: a file of responses, instead of data and architecture.
        penalties: parts of kind penalties.
        training: how weights are fitted; those of the head, where a layer learns by a rule.
        rule: by what a layer learns.
        head: what stands on it.
        learning: size of that layer, and how long it learns.
        pruning: which of its units are taken out before the head is fitted; `None`: none.
        pruned: whether they are removed, or zeroed as published.
        plan: what is measured.
        stimuli: the split whose inputs the spectra are over: "train" has the most rows.
        device: "auto", "cpu", "cuda" or "mps".
    """

    verb: Literal["train", "learn", "measure"] = "train"
    arm: str = "plain"
    seed: int = 0
    data: Any = None
    architecture: Any = None
    twin: Any = None
    recording: Any = None
    penalties: tuple[Any, ...] = ()
    training: Training = field(default_factory=Training)
    rule: Any = None
    head: Any = None
    learning: Learning = field(default_factory=Learning)
    pruning: Pruning | None = None
    pruned: Literal["removed", "zeroed"] = "removed"
    plan: Plan = field(default_factory=Plan)
    stimuli: Literal["train", "test"] = "train"
    device: str = "cpu"


def name_of(run: Run) -> str:
    """Arm and seed, as progress shows them."""
    return f"{run.arm} seed {run.seed}"


def plan_settings(plan: Plan) -> dict[str, Any]:
    """A plan as plain values, parts in the grammar.

    White noise stands there only if there is any, and spectra without a fit only if they may be: a plan without either
    has the hash that it had before there were such settings.
    """
    several = {name: getattr(plan, name) for name in SEVERAL}
    plain = asdict(replace(plan, **dict.fromkeys(SEVERAL, ())))
    del plain["cluster"]  # where second moments are found
    spelt = {name: None if some is None else [parts.spell(one) for one in some] for name, some in several.items()}
    told = plain | spelt
    if not plan.probe:
        del told["probe"], told["probe_fits"]
    if plan.unfit == "refuse":
        del told["unfit"]
    return told


def plan_of(settings: Mapping[str, Any], foreign: bool = True) -> Plan:
    """The plan that a record tells: `plan_settings` the other way round.

    Args:
        settings: of a record's measurement.
        foreign: whether dotted parts may be imported, which runs what is in their modules.

    Raises:
        ValueError: for a setting or a part that this eigenfall does not know.
    """
    known = [field.name for field in fields(Plan)]
    for name in settings:
        one_of(name, known, "setting of a measurement")
    one_of(settings.get("preset", "none"), (*PRESETS, "none"), "bundle of attacks")
    read = {
        name: None if settings[name] is None else tuple(parts.read(kind, text, foreign) for text in settings[name])
        for name, kind in SEVERAL.items()
        if name in settings
    }
    return Plan(**{**settings, **read})


def training_settings(training: Training) -> dict[str, Any]:
    """How weights are fitted as plain values. Bounds are the data's; adversarial settings only if there are any.

    A schedule and a decay stand there only if there are any: a run without them has the hash that it had before there
    were such settings.
    """
    plain, adversarial = asdict(replace(training, adversarial=None)), training.adversarial
    del plain["adversarial"]
    for name in ("schedule", "decay"):
        if not plain[name]:
            del plain[name]
    if adversarial is None:
        return plain
    told = {"attack": parts.spell(adversarial.attack), "epsilon": adversarial.epsilon, "norm": adversarial.norm}
    return plain | {"adversarial": told}


def settings_of(run: Run, digest: str, model: nn.Module | None = None, twin: nn.Module | None = None) -> dict[str, Any]:
    """A run as plain values, every field explicit, with the digest of its inputs' contents: what its hash is of.

    A model that does not follow from the settings, since it is measured as it is or made elsewhere, is an input: its
    modules and weights count. What its own Python code does with them cannot be seen.
    """
    found: dict[str, Any] = {"verb": run.verb, "arm": run.arm, "seed": run.seed, "inputs": digest}
    if run.recording is not None:
        return found | {"recording": parts.spell(run.recording), "measurement": plan_settings(run.plan)}
    found["data"] = parts.spell(run.data)
    if run.verb == "learn":
        found |= {"rule": parts.spell(run.rule), "head": parts.spell(run.head), "learning": asdict(run.learning)}
        found["training"] = training_settings(run.training)
        if run.pruning is not None:
            found |= {"pruning": asdict(run.pruning), "pruned": run.pruned}
    else:
        found["architecture"] = parts.spell(run.architecture)
    if run.verb == "train":
        found["penalties"] = [parts.spell(penalty) for penalty in run.penalties]
        found["training"] = training_settings(run.training)
    if model is not None and (run.verb == "measure" or isinstance(run.architecture, Imported)):
        found["model"] = model_digest(model)
    if twin is not None:
        found["twin"] = {"architecture": parts.spell(run.twin), "model": model_digest(twin)}
    return found | {"measurement": plan_settings(run.plan), "stimuli": run.stimuli}


def follows(run: Run) -> bool:
    """Whether a run's hash follows from its settings and the digest of its inputs, so that no model need be made."""
    if run.recording is not None or run.verb == "learn":
        return True
    return run.verb == "train" and run.twin is None and not isinstance(run.architecture, Imported)


def model_digest(model: nn.Module) -> str:
    """SHA-256 of a model's modules, as they print, and weights."""
    return sha256(f"{model} {sha256_of(model.state_dict())}".encode())


def parts_of(run: Run, measurement: Measurement) -> tuple[Any, ...]:
    """Every part that a run used, for its bibliography."""
    plan = run.plan
    bundle = PRESETS[plan.preset] if measurement.curves else None
    attacks = (
        ()
        if bundle is None
        else (*bundle.attacks.values(), *(one for each in bundle.readings.values() for one in each.attacks.values()))
    )
    smoothness = (plan.smoothness or (Frobenius(),)) if measurement.smoothness else ()
    corrupted = measurement.corruptions.corruptions.values() if measurement.corruptions is not None else ()
    estimators = {one.estimator for one in (*measurement.spectra.values(), *measurement.moments.values())}
    beside = [
        fit for found in measurement.diagnostics.values() for fit in (*found.fits, *(law.fit for law in found.laws))
    ]
    fits = {fit.method for fit in (*measurement.fits.values(), *beside)}
    dimensions = [found.method for found in measurement.dimensions.values()]
    some = (
        *(
            run.data,
            run.architecture,
            run.rule,
            run.head,
            run.recording,
            *run.penalties,
            *plan.spectra,
            *plan.fits,
            *(plan.probe_fits if plan.probe else ()),
            *smoothness,
            *attacks,
        ),
        run.training.adversarial,
        *_ours("spectra", estimators),
        *_ours("fits", fits),
        *_ours("dimensions", dimensions),
        *((plan.corruptions or ()) if corrupted else ()),
        *_ours("corruptions", corrupted),
    )
    return tuple(part for part in some if part is not None)


def _ours(kind: str, texts: Iterable[str]) -> list[Any]:
    """Parts that a measurement names; somebody else's stand in the plan."""
    known = parts.names(kind)
    return [parts.read(kind, text) for text in sorted(texts) if text.partition(":")[0].partition("@")[0] in known]
