"""Every way of making a representation that there is here, and its runs at each scale.

    plain and regularised   plain, weight decay, dropout, whitened
    robust by design        Jacobian, adversarial
    spectral, published     the penalty's preset `nassar2020`, slips included, at several α
    spectral                the penalty as it should be, at the same α
    local rules             Krotov-Hopfield, Oja, Sanger, SoftHebb, BCM, similarity matching: one hidden layer
    nothing learnt          random (a fitted readout on drawn weights), untrained (drawn weights throughout)

Nothing is chosen by robustness, nor for a method: strengths are those of the papers that the parts are of, one for all
scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from eigenfall.adversarial import Adversarial
from eigenfall.atlas.sizes import SIZES, Net, Size
from eigenfall.attacks.pgd import PRESETS as PGD
from eigenfall.check import one_of
from eigenfall.heads.repu import RePUHead
from eigenfall.papers.found import Scale
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.penalties.spectral import PRESETS as SPECTRAL
from eigenfall.penalties.spectral import Spectral
from eigenfall.penalties.weightdecay import WeightDecay
from eigenfall.plans import Plan
from eigenfall.rules.bcm import BCM
from eigenfall.rules.krotov import Krotov
from eigenfall.rules.oja import Oja
from eigenfall.rules.random import Random
from eigenfall.rules.sanger import Sanger
from eigenfall.rules.similarity import Similarity
from eigenfall.rules.softhebb import SoftHebb
from eigenfall.settings import Run
from eigenfall.whitening import Whitening

Family = Literal[
    "plain and regularised",
    "robust by design",
    "spectral, published",
    "spectral",
    "local rules",
    "nothing learnt",
]
FAMILIES: tuple[Family, ...] = (
    "plain and regularised",
    "robust by design",
    "spectral, published",
    "spectral",
    "local rules",
    "nothing learnt",
)
"""In the order of the table, of the legend and of the colours."""
ALPHAS = (0.5, 1.0, 2.0)
"""Exponents that the spectral penalties hold a layer to."""
STRENGTH = 5.0


@dataclass(frozen=True)
class Method:
    """One way of making a representation.

    Attributes:
        name: as tables, figures and `--method` have it.
        family: which colour it has.
        penalties: what is added to the loss.
        dropout: share of hidden values that is set to zero in training.
        whiten: method by which the last hidden layer is whitened.
        adversarial: whether it is trained on attacked batches.
        rule: by what its only hidden layer learns; `None`: by gradient.
        trained: off: it is measured as it was drawn.
    """

    name: str
    family: Family
    penalties: tuple[Any, ...] = ()
    dropout: float = 0.0
    whiten: Whitening = "none"
    adversarial: bool = False
    rule: Any = None
    trained: bool = True


METHODS: tuple[Method, ...] = (
    Method("plain", "plain and regularised"),
    Method("weight decay", "plain and regularised", (WeightDecay(strength=1e-3),)),
    Method("dropout", "plain and regularised", dropout=0.5),
    Method("whitened", "plain and regularised", whiten="zca"),
    Method("Jacobian", "robust by design", (JacobianNorm(strength=0.01),)),
    Method("adversarial", "robust by design", adversarial=True),
    *(
        Method(
            f"spectral {alpha:g}, published",
            "spectral, published",
            (replace(SPECTRAL["nassar2020"], strength=STRENGTH, alpha=alpha),),
        )
        for alpha in ALPHAS
    ),
    *(
        Method(f"spectral {alpha:g}", "spectral", (Spectral(strength=STRENGTH, alpha=alpha, view="flatten"),))
        for alpha in ALPHAS
    ),
    Method("Krotov-Hopfield", "local rules", rule=Krotov(p=3.0, k=2, learning_rate=0.04)),
    Method("Oja", "local rules", rule=Oja()),
    Method("Sanger", "local rules", rule=Sanger(centre="running")),
    Method("SoftHebb", "local rules", rule=SoftHebb()),
    Method("BCM", "local rules", rule=BCM()),
    Method("similarity matching", "local rules", rule=Similarity(centre="running")),
    Method("random", "nothing learnt", rule=Random()),
    Method("untrained", "nothing learnt", trained=False),
)
"""In the order of tables."""

NAMES = tuple(method.name for method in METHODS)


def method_of(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: if there is none; the nearest is named.
    """
    one_of(name, NAMES, "method")
    return next(method for method in METHODS if method.name == name)


def arm_of(method: str, net: Net) -> str:
    """What runs of a method are called: its name, and the architecture where it is not that which all methods have."""
    return method if net == "shallow" else f"{method}, {net}"


def runs(scale: Scale, names: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """The runs of a scale, of all methods and seeds or of those named.

    Seed by seed, so that what is stopped early has whole seeds.

    Args:
        scale: quick, small or paper.
        names: of methods.
        seeds: among those of the scale.

    Raises:
        ValueError: for an unknown method.
    """
    chosen = [method_of(name) for name in dict.fromkeys(names)] or METHODS
    here: dict[Net, Size] = {net: size for (at, net), size in SIZES.items() if at == scale}
    every = sorted({seed for size in here.values() for seed in size.seeds if not seeds or seed in seeds})
    return [
        run(method, net, size, seed)
        for seed in every
        for net, size in here.items()
        for method in chosen
        if seed in size.seeds and (net == "shallow" or method.rule is None)
    ]


def run(method: Method, net: Net, size: Size, seed: int) -> Run:
    """One run of a method on one architecture; each is measured by the same plan."""
    whole = Run(
        verb="train",
        arm=arm_of(method.name, net),
        seed=seed,
        data=size.data,
        plan=plan(size, seed),
        device=size.device,
    )
    if method.rule is not None:
        length = size.krotov if isinstance(method.rule, Krotov) else size.learning
        head = RePUHead(power=1.0)
        return replace(whole, verb="learn", rule=method.rule, head=head, learning=length, training=size.head)
    network = replace(size.network, dropout=method.dropout)
    if method.whiten != "none":
        network = replace(network, whiten=method.whiten, whitened_layer=size.layers)
    if not method.trained:
        return replace(whole, verb="measure", architecture=network)
    training = size.training
    if method.adversarial:
        training = replace(training, adversarial=Adversarial(PGD["madry2018"], epsilon=size.adversarial))
    return replace(whole, architecture=network, penalties=method.penalties, training=training)


def plan(size: Size, seed: int) -> Plan:
    """What is measured of every run."""
    return Plan(
        fits=(size.fit,),
        unfit="say",
        draws=size.draws,
        smoothness_inputs=size.smooth,
        preset="atlas",
        epsilons=size.epsilons,
        noise=size.noise,
        attacked_inputs=size.attacked,
        seed=seed,
    )
