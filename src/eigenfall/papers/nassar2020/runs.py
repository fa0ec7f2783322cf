"""The arms of the reproduction, and their runs at each scale.

An arm is one way of training a network, under one name: `NET what it is under`. All arms of one network have as many
updates and the same batches, but the published Jacobian arm; all are measured alike, under both semantics: the
published reading (FGSM, PGD of 40 steps of .01 on cross-entropy), and the headline with its checks.

    epoch basis   the preset `nassar2020`: eigenvectors of all training rows, once an epoch; a run of it reproduces
    step basis    the same but for the refresh: after every update, of rows drawn anew with replacement
    fresh basis   the penalty's default: renewed when the batch shows it stale; its reading of the paper is corrected
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from eigenfall.adversarial import Adversarial
from eigenfall.attacks.pgd import PRESETS as PGD
from eigenfall.optimisation import Training
from eigenfall.papers.nassar2020.sizes import SIZES, Net, Scale, Size
from eigenfall.penalties.jacobian import PRESETS as JACOBIAN
from eigenfall.penalties.spectral import PRESETS as SPECTRAL
from eigenfall.penalties.spectral import Spectral
from eigenfall.penalties.weightdecay import PRESETS as DECAY
from eigenfall.plans import Plan
from eigenfall.settings import Run

Kind = Literal["paper", "beside", "stop", "sweep", "variant", "why", "slip"]

STRENGTH = 5.0
SPECTRAL_SWEEP = (0.1, 1.0)
JACOBIAN_SWEEP = (0.001, 0.1)
DECAY_SWEEP = (1e-4, 1e-3)
ADVERSARIAL = 0.1

EPOCH_BASIS = replace(SPECTRAL["nassar2020"], strength=STRENGTH)
FRESH_BASIS = Spectral(strength=STRENGTH, view="flatten")


def step_basis(rows: Any, k_steps: int = 1) -> Spectral:
    """The preset but for its refresh: after every update or every few, of so many rows drawn anew."""
    drawn = {"rows": rows} if rows == "all" else {"rows": rows, "replacement": True, "fixed": False}
    return replace(EPOCH_BASIS, refresh="every_k_steps", k_steps=k_steps, **drawn)


@dataclass(frozen=True)
class Arm:
    """One way of training a network.

    Attributes:
        name: as tables and figures show it.
        net: which of the paper's networks, at the scale's size.
        kind: "paper", one of the paper's own; "beside", what should stand beside them; "stop", plain training stopped
            early; "sweep", a point of a front; "variant", one of the appendix; "slip", see `slips`.
        architecture: the network.
        training: how it is trained.
        penalties: what is added to the loss.
        seeds: of its runs.
    """

    name: str
    net: Net
    kind: Kind
    architecture: Any
    training: Training
    penalties: tuple[Any, ...] = ()
    seeds: tuple[int, ...] = ()


def arms(scale: Scale) -> tuple[Arm, ...]:
    """Every arm, in the order of tables."""
    found: list[Arm] = []
    for at, net in SIZES:
        if at == scale:
            found += _shallow(scale) if net == "shallow" else _layered(scale, net)
    if scale == "quick":
        return tuple(arm for arm in found if arm.kind in ("paper", "stop") or arm.name in QUICK_BESIDE)
    return tuple(found)


QUICK_BESIDE = ("shallow spectral, step basis",)


def _layered(scale: Scale, net: Net) -> Iterator[Arm]:
    """Arms of experiments 2 and 3: several hidden layers, the last of them or all under the penalty."""
    size = SIZES[scale, net]
    last = (f"hidden{depth(size)}",)

    def arm(name: str, kind: Kind, *penalties: Any, **more: Any) -> Arm:
        held = {"architecture": size.network, "training": size.training, "seeds": size.seeds} | more
        return Arm(f"{net} {name}", net, kind, penalties=penalties, **held)

    renewed = step_basis(size.fresh) if size.fresh else FRESH_BASIS
    yield arm("plain", "paper")
    yield arm("spectral, epoch basis", "paper", EPOCH_BASIS)
    if size.fresh:
        yield arm("spectral, step basis", "paper", renewed)
        yield arm("last layer, step basis", "paper", replace(renewed, layers=last))
    whole = _in_whole_batches(size.training, size)
    white = replace(size.network, whiten="cholesky")
    yield arm("whitened", "paper", architecture=white, training=whole)
    yield arm("whitened, last layer", "paper", replace(renewed, layers=last), architecture=white, training=whole)
    batch, updates = size.jacobian
    published = replace(size.training, batch_size=batch, epochs=None, steps=updates)
    yield arm("Jacobian", "paper", JACOBIAN["nassar2020"], training=published)
    yield from _stops(arm, size)
    if scale == "quick":
        return
    yield arm("last layer, epoch basis", "beside", replace(EPOCH_BASIS, layers=last), seeds=size.swept)
    yield arm("spectral, fresh basis", "beside", FRESH_BASIS)
    yield arm("last layer, fresh basis", "beside", replace(FRESH_BASIS, layers=last), seeds=size.swept)
    yield arm("Jacobian, equal updates", "beside", JACOBIAN["nassar2020"])
    yield arm("adversarial", "beside", training=_adversarial(size.training), seeds=size.swept)
    if net != "cnn":
        yield from _sweeps(arm, size)
        relu = replace(size.network, activation="relu")
        yield arm("plain, ReLU", "variant", architecture=relu, seeds=size.swept)
        yield arm("spectral, fresh basis, ReLU", "variant", FRESH_BASIS, architecture=relu, seeds=size.swept)


def _shallow(scale: Scale) -> Iterator[Arm]:
    """Arms of experiment 1: one hidden layer, with batch-norm as in the paper's results, and without."""
    size = SIZES[scale, "shallow"]

    def arm(name: str, kind: Kind, *penalties: Any, **more: Any) -> Arm:
        held = {"architecture": size.network, "training": size.training, "seeds": size.seeds} | more
        return Arm(f"shallow {name}", "shallow", kind, penalties=penalties, **held)

    yield arm("plain", "paper")
    yield arm("spectral, epoch basis", "paper", EPOCH_BASIS)
    if size.fresh:
        yield arm("spectral, step basis", "beside", step_basis(size.fresh, 1 if scale == "quick" else 2))
    yield from _stops(arm, size)
    if scale == "quick":
        return
    yield arm("spectral, fresh basis", "beside", FRESH_BASIS)
    yield arm("Jacobian", "beside", JACOBIAN["nassar2020"])
    yield arm("adversarial", "beside", training=_adversarial(size.training), seeds=size.swept)
    bare = replace(size.network, batch_norm="none")
    yield arm("plain, no batch-norm", "paper", architecture=bare)
    yield arm("spectral, epoch basis, no batch-norm", "paper", EPOCH_BASIS, architecture=bare)
    yield from _sweeps(arm, size)
    relu = replace(size.network, activation="relu")
    yield arm("plain, ReLU", "variant", architecture=relu)
    yield arm("spectral, epoch basis, ReLU", "variant", EPOCH_BASIS, architecture=relu)
    for strength in DECAY_SWEEP:
        decay = replace(DECAY["nassar2020"], strength=strength)
        yield arm(f"decay {strength:g}", "sweep", decay, seeds=size.swept)


def _stops(arm: Any, size: Size) -> Iterator[Arm]:
    """Plain training stopped early: the first updates of the plain arm, of the same seeds."""
    for updates in size.stops:
        stopped = replace(size.training, epochs=None, steps=updates)
        yield arm(f"plain, {updates} updates", "stop", training=stopped)


def _sweeps(arm: Any, size: Size) -> Iterator[Arm]:
    """Fronts of accuracy and robustness: the penalty with a fresh basis, and the Jacobian's, of equal updates."""
    for strength in SPECTRAL_SWEEP:
        penalty = replace(FRESH_BASIS, strength=strength)
        yield arm(f"spectral {strength:g}", "sweep", penalty, seeds=size.swept)
    for strength in JACOBIAN_SWEEP:
        penalty = replace(JACOBIAN["nassar2020"], strength=strength)
        yield arm(f"Jacobian {strength:g}", "sweep", penalty, seeds=size.swept)


def _adversarial(training: Training) -> Training:
    return replace(training, adversarial=Adversarial(PGD["madry2018"], epsilon=ADVERSARIAL))


def depth(size: Size) -> int:
    """How many hidden layers."""
    return len(size.network.widths) + len(getattr(size.network, "channels", ()))


def _in_whole_batches(training: Training, size: Size) -> Training:
    """As many updates, none of a short batch: whitening needs more rows than units."""
    rows = size.data.train if getattr(size.data, "train", None) else 1297
    return replace(training, epochs=None, steps=training.steps_for(rows), last_batch="drop")


def runs(scale: Scale, names: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """The runs of a scale, of all arms and seeds or of those named; a seed that no arm has is of every arm named.

    Seed by seed, so that what is stopped early has whole seeds; within one, slow ones first.
    """
    further = set(seeds) - {seed for arm in arms(scale) for seed in arm.seeds}
    found = [arm for arm in arms(scale) if not names or arm.name in names]
    found.sort(key=lambda arm: (len(arm.penalties) == 0 and arm.training.adversarial is None, arm.kind == "sweep"))
    every = sorted({seed for arm in found for seed in arm.seeds} | further)
    return [
        Run(
            verb="train",
            arm=arm.name,
            seed=seed,
            data=SIZES[scale, arm.net].data,
            architecture=arm.architecture,
            penalties=arm.penalties,
            training=arm.training,
            plan=plan(SIZES[scale, arm.net], arm.kind, seed),
            device=SIZES[scale, arm.net].device,
        )
        for seed in every
        if not seeds or seed in seeds
        for arm in found
        if seed in arm.seeds or seed in further
    ]


def plan(size: Size, kind: Kind, seed: int) -> Plan:
    """What is measured of every arm, on fewer images where it is a point of a path or an appendix."""
    return Plan(
        fits=(size.fit,),
        unfit="say",
        draws=size.draws,
        smoothness_inputs=size.smooth,
        preset="nassar2020_both",
        epsilons=size.epsilons,
        noise=(0.1, 0.2, 0.3),
        attacked_inputs=size.attacked if kind in ("paper", "beside") else size.attacked_beside,
        seed=seed,
    )
