"""Why the spectral penalty makes one shallow net robust and another not: one setting changed at a time.

C1, the shallow net under the penalty against the plain one, holds at small scale and reverses on the digits; a basis
renewed once an epoch and one renewed every two updates end with nearly the same spectrum and differ in robustness
(spec `nassar2020` §9.1, §14.6). What differs between these runs is taken apart here:

    age         updates between two renewals of the basis: 5 and 34, an epoch; and 2, 340, never
    sample      rows that a basis is made from: all 20 000, or 4 000 or 1 000 drawn anew each time
    strength    five times as much where the basis is fresh, a fifth where it is old: an old basis leaves more to push
    on optimiser   amsgrad divides by the largest second moment there ever was, so that one spike of the penalty slows
    all
                later updates; Adam forgets it
    updates     a quarter as many; on the digits as few per image as at small scale. Plain training stopped early is on
                the path of `runs`
    activation  ReLU has no saturation
    data        MNIST with as many images, batches and updates as the digits
    pixels      MNIST of 7 × 7 pixels, with fewer units than those and with twice as many, and of 14 × 14
    width       fewer units than pixels, or more: the digits' net has 128 units for 64 pixels, and a linear map cannot
                fill 1/n over more ranks than there are pixels

Each arm is one of `runs` with one of these changed, of the same seeds, so that ratios are paired. Robustness is that
under the named attack on the same 1000 images: the published PGD, and PGD on the margin.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from eigenfall.datasets.mnist import MNIST
from eigenfall.papers.nassar2020.runs import EPOCH_BASIS, Arm, plan, step_basis
from eigenfall.papers.nassar2020.sizes import SIZES, Scale, Size
from eigenfall.plans import Plan
from eigenfall.settings import Run

SEEDS = (0, 1, 2)
NEVER = 1_000_000
"""Updates between two renewals that no run comes to."""
BASE = ("shallow plain", "shallow spectral, epoch basis", "shallow spectral, step basis")
"""What everything is held against; `runs` has them."""
DATA = {
    "1297 images": MNIST(train=1297, validation=5000, order_seed=0, test_order_seed=1),
    "14x14 pixels": replace(SIZES["small", "shallow"].data, pooled=2),
    "7x7 pixels": replace(SIZES["small", "shallow"].data, pooled=4),
}
"""Other data, by what the names of their arms hold: as many images as the digits have, and coarser ones."""


def arms(scale: Scale) -> tuple[Arm, ...]:
    """Arms that take the difference apart, what takes longest first; none at the scale of the paper."""
    if scale == "paper":
        return ()
    return tuple(_quick() if scale == "quick" else _small())


def _of(scale: Scale) -> Callable[..., Arm]:
    """What makes an arm of the scale's shallow net, one thing changed."""
    size = SIZES[scale, "shallow"]

    def arm(name: str, *penalties: Any, **more: Any) -> Arm:
        held = {"architecture": size.network, "training": size.training, "seeds": SEEDS} | more
        return Arm(f"shallow {name}", "shallow", "why", penalties=penalties, **held)

    return arm


def _small() -> Iterator[Arm]:
    """Of small scale, where an epoch has 34 updates."""
    size, arm = SIZES["small", "shallow"], _of("small")
    training, network, two = size.training, size.network, step_basis(size.fresh, 2)
    wide, narrow = replace(network, widths=(1200,)), replace(network, widths=(100,))
    yield arm("spectral, epoch basis, 1200 units", EPOCH_BASIS, architecture=wide)
    yield arm("plain, 1200 units", architecture=wide)
    yield arm("spectral, 5 updates of all", step_basis("all", 5))
    yield arm("spectral, 34 updates of 4000", step_basis(4000, 34))
    yield arm("spectral, 5 updates of 4000", step_basis(4000, 5))
    adam = replace(training, amsgrad=False)
    yield arm("spectral, step basis, Adam", two, training=adam)
    yield arm("spectral, epoch basis, Adam", EPOCH_BASIS, training=adam)
    yield arm("plain, Adam", training=adam)
    yield arm("spectral, step basis, ReLU", two, architecture=replace(network, activation="relu"))
    few = {"training": replace(training, batch_size=256, epochs=None, steps=1500, last_batch="drop")}
    yield arm("spectral, step basis, 1297 images", step_basis("all", 1), **few)
    yield arm("spectral, epoch basis, 1297 images", EPOCH_BASIS, **few)
    yield arm("plain, 1297 images", **few)
    yield arm("spectral, never renewed", step_basis("all", NEVER))
    yield arm("spectral, 340 updates of all", step_basis("all", 340))
    yield arm("spectral, 5 updates of 1000", step_basis(1000, 5))
    yield arm("spectral, 34 updates of 1000", step_basis(1000, 34))
    yield arm("spectral, 5 updates of 4000, strength 25", replace(step_basis(4000, 5), strength=25.0))
    yield arm("spectral, epoch basis, strength 1", replace(EPOCH_BASIS, strength=1.0))
    yield arm("spectral, epoch basis, 100 units", EPOCH_BASIS, architecture=narrow)
    yield arm("plain, 100 units", architecture=narrow)
    for told, width in (("7x7 pixels, 32 units", 32), ("7x7 pixels, 100 units", 100), ("14x14 pixels", 400)):
        coarse = replace(network, widths=(width,))
        yield arm(f"spectral, step basis, {told}", two, architecture=coarse)
        yield arm(f"spectral, epoch basis, {told}", EPOCH_BASIS, architecture=coarse)
        yield arm(f"plain, {told}", architecture=coarse)
    short = replace(training, epochs=None, steps=510)
    yield arm("spectral, epoch basis, 510 updates", EPOCH_BASIS, training=short)
    yield arm("spectral, step basis, 510 updates", two, training=short)


def _quick() -> Iterator[Arm]:
    """Of the digits, where an epoch has 5 updates: the arms of `runs` again, of as many seeds, then changed ones."""
    size, arm = SIZES["quick", "shallow"], _of("quick")
    training, network, every = size.training, size.network, step_basis("all", 1)
    changes = {
        "": {},
        ", 300 updates": {"training": replace(training, steps=300)},
        ", 32 units": {"architecture": replace(network, widths=(32,))},
        ", 64 units": {"architecture": replace(network, widths=(64,))},
        ", 256 units": {"architecture": replace(network, widths=(256,))},
        ", ReLU": {"architecture": replace(network, activation="relu")},
        ", Adam": {"training": replace(training, amsgrad=False)},
    }
    for told, changed in changes.items():
        yield arm(f"spectral, step basis{told}", every, **changed)
        yield arm(f"spectral, epoch basis{told}", EPOCH_BASIS, **changed)
        yield arm(f"plain{told}", **changed)
    yield arm("spectral, 34 updates of all", step_basis("all", 34))
    yield arm("spectral, never renewed", step_basis("all", NEVER))


def runs(scale: Scale, names: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """The runs of a scale, arm by arm, so that what is stopped early has whole arms.

    Args:
        scale: small or quick; there are none at the paper's.
        names: of arms; empty: all.
        seeds: of runs; empty: all.
    """
    size = SIZES[scale, "shallow"]
    return [
        Run(
            verb="train",
            arm=arm.name,
            seed=seed,
            data=next((data for told, data in DATA.items() if told in arm.name), size.data),
            architecture=arm.architecture,
            penalties=arm.penalties,
            training=arm.training,
            plan=measured(replace(size, window=(size.window[0], arm.architecture.widths[0] - 1)), seed),
            device="auto" if "1200 units" in arm.name else size.device,
        )
        for arm in arms(scale)
        if not names or arm.name in names
        for seed in arm.seeds
        if not seeds or seed in seeds
    ]


def measured(size: Size, seed: int) -> Plan:
    """What is measured of each: as of the arms of `runs`, but for the headline and its checks, which take longest.

    The named attack is of the same steps and images as there; on the digits all 500 test images are attacked.
    """
    return replace(
        plan(size, "why", seed),
        preset="nassar2020",
        epsilons=(0.02, 0.05, 0.1),
        noise=(0.3,),
        draws=0,
        smoothness_inputs=500,
        attacked_inputs=max(size.attacked, 500),
    )


@dataclass(frozen=True)
class Contrast:
    """Two arms that differ in one setting.

    Attributes:
        factor: which setting.
        told: from what to what.
        above: the changed arm.
        below: what it is held against.
    """

    factor: str
    told: str
    above: str
    below: str


def contrasts(scale: Scale) -> tuple[Contrast, ...]:
    """Pairs of arms that differ in one setting, by factor: those of this module, and those of `runs` beside them."""
    return tuple(_against_plain(scale)) + tuple(_ages(scale)) + (() if scale == "quick" else _SAMPLES + _STRENGTHS)


PENALTIES = {"the penalty, epoch basis": "spectral, epoch basis", "the penalty, step basis": "spectral, step basis"}
CHANGES: dict[Scale, tuple[str, ...]] = {
    "small": (
        *("", "Adam", "ReLU", "510 updates", "1297 images", "100 units", "1200 units"),
        *("7x7 pixels, 32 units", "7x7 pixels, 100 units", "14x14 pixels"),
    ),
    "quick": ("", "Adam", "ReLU", "300 updates", "32 units", "64 units", "256 units"),
    "paper": (),
}
"""What else is changed, in both arms, where one is held against plain training; "": nothing."""


def _against_plain(scale: Scale) -> Iterator[Contrast]:
    for changed in CHANGES[scale]:
        end, told = f", {changed}" if changed else "", changed or "as it is"
        old, new = (f"shallow {penalty}{end}" for penalty in PENALTIES.values())
        for factor, above in zip(PENALTIES, (old, new)):
            yield Contrast(factor, told, above, f"shallow plain{end}")
        yield Contrast("an old basis instead of a fresh one", told, old, new)


def _ages(scale: Scale) -> Iterator[Contrast]:
    """Older bases against younger of the same rows, neighbours in age."""
    epoch, step = (f"shallow {penalty}" for penalty in PENALTIES.values())
    if scale == "quick":
        of_all = {
            1: step,
            5: epoch,
            34: "shallow spectral, 34 updates of all",
            NEVER: "shallow spectral, never renewed",
        }
        yield from _neighbours("all", of_all)
        return
    of_all = {5: "shallow spectral, 5 updates of all", 34: epoch, 340: "shallow spectral, 340 updates of all"}
    yield from _neighbours("all", of_all | {NEVER: "shallow spectral, never renewed"})
    drawn = {age: f"shallow spectral, {age} updates of 4000" for age in (5, 34)}
    yield from _neighbours("4000", {2: step} | drawn)
    yield from _neighbours("1000", {age: f"shallow spectral, {age} updates of 1000" for age in (5, 34)})


def _neighbours(rows: str, arms: Mapping[int, str]) -> Iterator[Contrast]:
    for (young, below), (old, above) in pairwise(arms.items()):
        age = "never renewed" if old == NEVER else f"{old} updates"
        yield Contrast("age", f"{young} to {age}, {rows} rows", above, below)


_SAMPLES = tuple(
    Contrast("sample", f"all to {rows} rows, {age} updates", f"shallow spectral, {age} updates of {rows}", whole)
    for age, whole in ((5, "shallow spectral, 5 updates of all"), (34, "shallow spectral, epoch basis"))
    for rows in (4000, 1000)
)
_STRENGTHS = (
    Contrast(
        "strength",
        "5 to 25, 5 updates of 4000 rows",
        "shallow spectral, 5 updates of 4000, strength 25",
        "shallow spectral, 5 updates of 4000",
    ),
    Contrast(
        "strength", "5 to 1, epoch basis", "shallow spectral, epoch basis, strength 1", "shallow spectral, epoch basis"
    ),
)
