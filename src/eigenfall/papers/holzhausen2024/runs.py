"""The arms of the reproduction, and their runs at each scale.

An arm is one way of making a hidden layer, under one name. The paper's own are made as its code makes them, slips
included; beside each stands what should have been compared. All are measured alike, under both semantics: the
published one is read off their readings, the corrected one off everything else (`found`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from eigenfall.adversarial import Adversarial
from eigenfall.architectures.mlp import MLP
from eigenfall.architectures.shlp import PRESETS as SHLP_PRESETS
from eigenfall.attacks.pgd import PRESETS as PGD
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.heads.repu import PRESETS as REPU
from eigenfall.heads.repu import RePUHead
from eigenfall.papers.holzhausen2024.sizes import SEEDS, SIZES, Scale, Size
from eigenfall.penalties.jacobian import PRESETS as JACOBIAN
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.penalties.spectral import PRESETS as SPECTRAL
from eigenfall.penalties.spectral import Spectral
from eigenfall.penalties.weightdecay import PRESETS as DECAY
from eigenfall.penalties.weightdecay import WeightDecay
from eigenfall.plans import Plan
from eigenfall.pruning import PRESETS as PRUNING
from eigenfall.pruning import Pruning
from eigenfall.rules.bcm import BCM
from eigenfall.rules.foldiak import Foldiak
from eigenfall.rules.images import Images
from eigenfall.rules.oja import Oja
from eigenfall.rules.random import Random
from eigenfall.rules.sanger import Sanger
from eigenfall.rules.similarity import Similarity
from eigenfall.rules.softhebb import SoftHebb
from eigenfall.settings import Run
from eigenfall.spectra.pca import PCA
from eigenfall.spectra.pca import PRESETS as PCA_PRESETS

Kind = Literal["paper", "beside", "sweep", "rule", "spectral", "codes"]

L2_SWEEP = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2)
JACOBIAN_SWEEP = (1e-4, 1e-3, 1e-2, 1e-1)
WIDE = 2000
"""Units of the untrained layer whose exponent the paper prints; nothing is trained, so that `small` has it too."""
WIDE_WINDOWS = ((11, 500), (11, 100))
NOT_QUICK = {
    *(
        "SpecReg-KH",
        "KH, valleys",
        "dropout",
        "adversarial",
        "L2 0.0001",
        "L2 0.003",
        "Jacobian 0.0001",
        "Jacobian 0.1",
    ),
    *("Oja", "Sanger", "similarity", "BCM", "Földiák", "MNIST tanh", "MNIST tanh, spectral", "KH ensemble"),
    *("raw", "Init, 2 000 units"),
}
"""Arms that `quick` leaves out."""
QUICK_SEEDS = 2


@dataclass(frozen=True)
class Arm:
    """One way of making a hidden layer.

    Attributes:
        name: as tables and figures show it.
        kind: "paper", one of the paper's own; "beside", what should stand beside them; "sweep", a point of a front;
            "rule", another local rule or a control under the same head; "spectral", a net of §7.7; "codes", of which
            spectra alone are measured.
        settings: what the run is, beside data, plan and seed.
        layers: whose spectra are measured.
        seeds: of its runs.
    """

    name: str
    kind: Kind
    settings: dict[str, Any]
    layers: tuple[str, ...] = ("currents", "hidden1")
    seeds: tuple[int, ...] = SEEDS


def arms(scale: Scale) -> tuple[Arm, ...]:
    """Every arm, in the order of tables; `quick` has fewer, and fewer seeds."""
    main, under_spectrum = SIZES[scale, "main"], SIZES[scale, "spectral"]
    found = (*_paper(main), *_beside(main), *_sweeps(main), *_rules(main), *_spectral(under_spectrum), *_codes(main))
    if scale != "quick":
        return found
    return tuple(replace(arm, seeds=arm.seeds[:QUICK_SEEDS]) for arm in found if arm.name not in NOT_QUICK)


def decay_like_jreg(batch_size: int) -> WeightDecay:
    """The decay that the published Jacobian penalty is in the mean: strength · (1 + 2/B)/3 · ‖W‖², on W alone."""
    return WeightDecay(
        strength=2 * JACOBIAN["holzhausen2024"].strength * (1 + 2 / batch_size) / 3, modules=("currents",)
    )


def _learnt(size: Size, **more: Any) -> dict[str, Any]:
    return {"verb": "learn", "rule": size.rule, "head": REPU["holzhausen2024"], "learning": size.learning,
            "training": size.head, **more}  # fmt: skip


def _trained(size: Size, *penalties: Any, **more: Any) -> dict[str, Any]:
    network = replace(SHLP_PRESETS["holzhausen2024"], width=size.units)
    return {"verb": "train", "architecture": network, "penalties": penalties, "training": size.training, **more}


def _under_spectrum(size: Size, penalty: Any) -> dict[str, Any]:
    network = replace(SHLP_PRESETS["holzhausen2024_spectral"], width=size.units)
    return _trained(size, penalty, architecture=network, training=size.spectral)


def _paper(size: Size) -> Iterator[Arm]:
    """KH and the nets of the paper, as its code makes them."""
    published = PRUNING["holzhausen2024"]
    yield Arm("KH", "paper", _learnt(size))
    yield Arm("KH pruned", "paper", _learnt(size, pruning=published, pruned="zeroed"))
    yield Arm("BP", "paper", _trained(size))
    yield Arm("L2", "paper", _trained(size, DECAY["holzhausen2024"]))
    yield Arm("JReg", "paper", _trained(size, JACOBIAN["holzhausen2024"]))
    for name, preset in (("SpecReg", "holzhausen2024"), ("SpecReg-KH", "holzhausen2024_kh")):
        rows = size.spectral.batch_size  # the basis is the last batch's
        yield Arm(name, "paper", _under_spectrum(size, replace(SPECTRAL[preset], rows=rows)))
    untrained = replace(SHLP_PRESETS["holzhausen2024"], width=size.units)
    yield Arm("Init", "paper", {"verb": "measure", "architecture": untrained})


def _beside(size: Size) -> Iterator[Arm]:
    """What should have been compared."""
    yield Arm("KH, valleys", "beside", _learnt(size, pruning=Pruning()))
    yield Arm("decay of W", "beside", _trained(size, decay_like_jreg(size.training.batch_size)))
    yield Arm("spectral", "beside", _trained(size, Spectral(strength=1.0, alpha=1.0, tau=0, layers=("hidden1",))))
    dropped = replace(SHLP_PRESETS["holzhausen2024"], width=size.units, dropout=0.5)
    yield Arm("dropout", "beside", _trained(size, architecture=dropped))
    attack = Adversarial(PGD["wong2020"], epsilon=size.epsilons[len(size.epsilons) // 2 - 1])
    yield Arm("adversarial", "beside", _trained(size, training=replace(size.training, adversarial=attack)))


def _sweeps(size: Size) -> Iterator[Arm]:
    """Fronts of accuracy and robustness: weight decay, and the Jacobian of the logits."""
    for strength in L2_SWEEP:
        yield Arm(f"L2 {strength:g}", "sweep", _trained(size, WeightDecay(strength=strength)))
    for strength in JACOBIAN_SWEEP:
        yield Arm(f"Jacobian {strength:g}", "sweep", _trained(size, JacobianNorm(strength=strength)))


def _rules(size: Size) -> Iterator[Arm]:
    """Other local rules, and layers that learn nothing, under the same power and readout."""
    rules = {
        "Oja": Oja(),
        "Sanger": Sanger(centre="running"),
        "similarity": Similarity(centre="running"),
        "SoftHebb": SoftHebb(),
        "BCM": BCM(),
        "Földiák": Foldiak(),
        "random": Random(),
        "images": Images(),
    }
    for name, rule in rules.items():
        yield Arm(name, "rule", _learnt(size, rule=rule, head=RePUHead(), learning=size.other))


def _spectral(size: Size) -> Iterator[Arm]:
    """The four nets of §7.7, with Nassar et al.'s penalty as it should be and without."""
    for activation in ("relu", "tanh"):
        network = MLP(widths=(size.units,), activation=activation)
        yield Arm(f"MNIST {activation}", "spectral", _trained(size, architecture=network), ("hidden1",))
        under = SPECTRAL["nassar2020"]
        settings = _trained(size, under, architecture=network, training=size.spectral)
        yield Arm(f"MNIST {activation}, spectral", "spectral", settings, ("hidden1",))


def _codes(size: Size) -> Iterator[Arm]:
    """More layers for the criterion of §7.6; what no schedule touches: raw images, white noise, an untrained layer."""
    brief = replace(size.head, epochs=1, schedule=())
    learnt = _learnt(size, training=brief)
    yield Arm("KH ensemble", "codes", learnt, ("currents",), tuple(range(len(SEEDS), size.ensemble)))
    untrained = {"verb": "measure", "architecture": replace(SHLP_PRESETS["holzhausen2024"], width=WIDE)}
    yield Arm("raw", "codes", untrained, ("flatten",))
    yield Arm("Init, 2 000 units", "codes", untrained, ("currents",))


def runs(scale: Scale, names: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """The runs of a scale, of all arms and seeds or of those named.

    Seed by seed, so that what is stopped early has whole seeds; within one, those of one data set together.
    """
    found = [arm for arm in arms(scale) if not names or arm.name in names]
    every = sorted({seed for arm in found for seed in arm.seeds})
    return [
        Run(
            arm=arm.name,
            seed=seed,
            data=size.data,
            stimuli="test",
            device=size.device,
            plan=plan(size, arm, seed),
            **arm.settings,
        )
        for seed in every
        if not seeds or seed in seeds
        for arm in found
        if seed in arm.seeds
        for size in [size_of(scale, arm)]
    ]


def size_of(scale: Scale, arm: Arm) -> Size:
    """The table's line of an arm."""
    return SIZES[scale, "spectral" if arm.kind == "spectral" else "main"]


def plan(size: Size, arm: Arm, seed: int) -> Plan:
    """What is measured of an arm: the same of all, but for the published readings, which the paper's own alone have."""
    released = (PCA(), PCA_PRESETS["holzhausen2024"])
    if arm.kind == "codes":
        learnt = arm.settings["verb"] == "learn"
        return Plan(
            layers=arm.layers,
            spectra=released if learnt else (),
            fits=(LeastSquares(*(size.window if learnt else WIDE_WINDOWS[0]), "none"),),
            probe_fits=(LeastSquares(*(size.noise_window if learnt else WIDE_WINDOWS[1]), "none"),),
            unfit="say",
            draws=0,
            probe=size.probe,
            smoothness_inputs=0,
            preset="none",
            seed=seed,
        )
    published = arm.kind in ("paper", "spectral")
    return Plan(
        layers=arm.layers,
        spectra=released if published else (),
        fits=(LeastSquares(*size.window, "none"),),
        probe_fits=(LeastSquares(*size.noise_window, "none"),) if published else (),
        unfit="say",
        draws=size.draws,
        smoothness_inputs=size.smooth,
        probe=size.probe if published else 0,
        preset=size.bundle if published else f"{size.bundle}_corrected",
        epsilons=size.epsilons,
        noise=size.noise,
        attacked_inputs=size.attacked,
        seed=seed,
    )
