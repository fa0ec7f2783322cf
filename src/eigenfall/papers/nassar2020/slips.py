"""Which slip of a follow-up takes the effect away: the published penalty with each slip alone, and all but each.

Holzhausen et al. 2024 found nets under their spectral penalty no more robust than plain ones. Their code departs from
the one that it is after in six ways, each a setting here; they are made one by one in the net in which that one works,
the shallow one of Nassar et al. 2020 with batch-norm:

    only S       the published penalty with slip S and no other
    all but S    all slips but S
    all but S and T   all but the first two, which neither brings the effect back alone
    first n      the first n slips, in the order of the list: n = 1 is only the first, n = 6 all of them

    ratio of an arm = worst-case accuracy at ε / that of plain training of the same net, batches and seed

A slip *takes the effect away* if the ratio's interval over seeds lies above 1 for the published penalty and not for
`only S`; mending it *brings the effect back* if it does not for all slips and does for `all but S`.

Source: Holzhausen et al. 2024, arXiv:2405.00679, and its released code; spec `holzhausen2024` §5.2.
Differs from the source: rows of the last batch are drawn when the basis is renewed, as the last batch itself is not
remembered; one constant, .02, is taken off for the basis and for the batch, where the code takes the inputs' mean off
for the basis. The divisor is no slip: both codes divide the sum by the number of units. Their net is made of as many
units as ours, on the same images in their unit, and their schedule is its first fifth, shrunk to as many updates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from eigenfall.architectures.shlp import PRESETS as SHLP_PRESETS
from eigenfall.check import one_of
from eigenfall.optimisation import PRESETS as TRAINING
from eigenfall.optimisation import Training, shortened
from eigenfall.papers.nassar2020.runs import EPOCH_BASIS, Arm
from eigenfall.papers.nassar2020.runs import plan as plan_of
from eigenfall.papers.nassar2020.sizes import SIZES, Scale, Size
from eigenfall.penalties.spectral import Spectral
from eigenfall.plans import Plan
from eigenfall.settings import Run

SLIPS: dict[str, str] = {
    "pre-activation": "the currents are held to the law instead of the layer's output",
    "no anchor": "the target is n^−1 itself, whatever the size of the code",
    "last batch": "the basis is made of as many rows as one batch has",
    "second moments": "moments about .02 instead of covariances",
    "narrow batch": "half as many samples in a batch as the layer has units",
    "strength 1, τ 0": "a fifth of the strength, and rank 2 is held as well",
}
"""In the order of the specification; the last is no slip but a choice, without which theirs is not whole."""

CENTRE = 0.02
EPSILONS = (0.02, 0.05, 0.1)
"""Budgets of the headline, in pixels."""
PIXELS = 4.27
"""Pixels in an L3 unit: mean L3 norm of MNIST's test images."""

Net = Literal["slips", "theirs"]


@dataclass(frozen=True)
class Case:
    """One arm: a net, and what is wrong with the penalty.

    Attributes:
        name: of the arm.
        net: "slips", Nassar et al.'s shallow net; "theirs", that of Holzhausen et al.
        slips: those that are made.
        plain: no penalty at all; of the slips only the batch then matters.
        first: among the runs that are made first.
    """

    name: str
    net: Net
    slips: tuple[str, ...] = ()
    plain: bool = False
    first: bool = True

    @property
    def beside(self) -> str:
        """The arm of plain training that it is held against."""
        if self.net == "theirs":
            return "theirs plain"
        return "slips plain, narrow batch" if "narrow batch" in self.slips else "slips plain"


def cases() -> tuple[Case, ...]:
    """Every arm, in the order of figures."""
    every = tuple(SLIPS)
    return (
        Case("slips plain", "slips", plain=True),
        Case("slips plain, narrow batch", "slips", ("narrow batch",), plain=True),
        Case("slips none", "slips"),
        *(Case(f"slips only {slip}", "slips", (slip,)) for slip in every),
        *(Case(f"slips first {count}", "slips", every[:count], first=False) for count in range(2, len(every) - 1)),
        *(Case(f"slips all but {slip}", "slips", tuple(one for one in every if one != slip)) for slip in every),
        Case(f"slips all but {every[0]} and {every[1]}", "slips", every[2:]),
        Case("slips all", "slips", every),
        Case("theirs plain", "theirs", ("narrow batch",), plain=True, first=False),
        Case("theirs none", "theirs", ("narrow batch",), first=False),
        Case("theirs all", "theirs", every, first=False),
    )


CASES = {case.name: case for case in cases()}


def penalty(slips: Sequence[str], size: Size, currents: str = "hidden1.transform") -> Spectral:
    """The published penalty, epoch basis and all, with these slips.

    Args:
        slips: of `SLIPS`.
        size: of the net.
        currents: the module that makes a layer's currents.

    Raises:
        ValueError: for an unknown slip.
    """
    for slip in slips:
        one_of(slip, SLIPS, "slip")
    changes: dict[str, Any] = {}
    if "pre-activation" in slips:
        changes["layers"] = (currents,)
    if "no anchor" in slips:
        changes["anchor"] = "absolute"
    if "last batch" in slips:
        changes |= {"rows": training(slips, size).batch_size, "fixed": False, "mode": "train"}
    if "second moments" in slips:
        changes["centre"] = CENTRE
    if "strength 1, τ 0" in slips:
        changes |= {"strength": 1.0, "tau": 0}
    return replace(EPOCH_BASIS, **changes)


def training(slips: Sequence[str], size: Size) -> Training:
    """As the paper's net is trained; in narrow batches, as many updates."""
    if "narrow batch" not in slips:
        return size.training
    return replace(size.training, batch_size=_units(size) // 2, epochs=None, steps=_updates(size))


def arm(case: Case, scale: Scale) -> Arm:
    """The arm of a case at a scale."""
    size = SIZES[scale, "shallow"]
    ours = case.net == "slips"
    network: Any = size.network
    if not ours:
        network = replace(SHLP_PRESETS["holzhausen2024_spectral"], width=_units(size))
    held = () if case.plain else (penalty(case.slips, size, "hidden1.transform" if ours else "currents"),)
    fitted = training(case.slips, size) if ours else _theirs(size)
    return Arm(case.name, "shallow", "slip", network, fitted, held, size.seeds)


def runs(scale: Scale, names: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """The runs of a scale, of all cases and seeds or of those named, what matters most first.

    At `quick` there are none: the effect that slips are to take away is not there.
    """
    return [] if scale == "quick" else list(_runs(scale, names, seeds))


def _runs(scale: Scale, names: Sequence[str], seeds: Sequence[int]) -> Iterator[Run]:
    size = SIZES[scale, "shallow"]
    for first in (True, False):
        for seed in (seed for seed in size.seeds if not seeds or seed in seeds):
            for case in cases():
                if case.first != first or (names and case.name not in names):
                    continue
                made = arm(case, scale)
                yield Run(
                    verb="train",
                    arm=made.name,
                    seed=seed,
                    data=size.data if case.net == "slips" else replace(size.data, scaling="l3"),
                    architecture=made.architecture,
                    penalties=made.penalties,
                    training=made.training,
                    plan=plan(case, size, seed),
                    device=size.device,
                )


def plan(case: Case, size: Size, seed: int) -> Plan:
    """What is measured: the headline and its checks, on as many images as of a variant, and the currents' spectrum.

    Of their net, whose images are in another unit, at the same budgets on the average image.
    """
    common = replace(plan_of(size, "slip", seed), preset="quick", epsilons=EPSILONS)
    if case.net == "slips":
        return replace(common, layers=("hidden1", "hidden1.transform"))
    return replace(
        common,
        layers=("hidden1", "currents"),
        epsilons=tuple(in_l3(epsilon) for epsilon in EPSILONS),
        noise=tuple(in_l3(deviation) for deviation in common.noise),
    )


def in_l3(pixels: float) -> float:
    """A budget in L3 units of the average image."""
    return round(pixels / PIXELS, 5)


def _units(size: Size) -> int:
    return size.network.widths[0]


def _updates(size: Size) -> int:
    return size.training.steps_for(size.data.train)


def _theirs(size: Size) -> Training:
    """Their schedule in as many updates of narrow batches: the first 200 of 1 000 epochs, shrunk."""
    batch = _units(size) // 2
    epochs = max(1, _updates(size) * batch // size.data.train)
    return replace(shortened(replace(TRAINING["holzhausen2024_spectral"], epochs=200), epochs), batch_size=batch)
