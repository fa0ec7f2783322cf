"""The plane of robust and clean accuracy, fronts of sweeps, and robustness against α and steepness, from records.

    robust      worst-case accuracy of the headline at the budget that claims are judged at
    clean       accuracy over all test images
    matched     plain training stopped early runs along a path; where it passes an arm's clean accuracy, its robust
                accuracy is that of the fit-matched control

Source: spec `nassar2020` §7, §8 (corrected additions; the paper draws none of them).
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import scipy

from eigenfall.papers.drawn.canvas import number
from eigenfall.papers.figuring import Figure, Semantics, failing, there
from eigenfall.papers.found import SCALES, Found
from eigenfall.papers.nassar2020.drawn import points
from eigenfall.papers.nassar2020.drawn.points import Plane, Spot
from eigenfall.papers.nassar2020.runs import STRENGTH, arms
from eigenfall.papers.nassar2020.sizes import SIZES, Net
from eigenfall.papers.nassar2020.style import DECAY, JACOBIAN, SPECTRAL, STOPPED, bare, looks, stamp_of
from eigenfall.types import Estimate, Record, Row

NETS: tuple[Net, ...] = ("shallow", "deep", "cnn")
MIDDLE = {SPECTRAL: ("spectral, fresh basis", f"{STRENGTH:g}"), JACOBIAN: ("Jacobian", "0.01")}
"""The arm of each sweep that has a name of its own, and its strength: of the Jacobian one of equal updates."""

FEWEST = 5
"""Arms over which a rank correlation is told."""

One = Callable[[Record], Estimate]


# -------------------------------------------------------------------------------- numbers of a record


def clean(record: Record) -> Estimate:
    """Accuracy over test images, %, with Wilson's interval over images."""
    row = next(row for row in record.measurement.rows if row["quantity"] == "clean_accuracy")
    ends = (float(row.get(end, math.nan)) for end in ("value", "low", "high"))
    return Estimate(*(100 * end for end in ends), over="images")


def robust(epsilon: float) -> One:
    """Worst-case accuracy of the headline at a budget, %, with Wilson's interval over images."""

    def at(record: Record) -> Estimate:
        curve = record.measurement.curves["headline"]
        found = curve.accuracy()[curve.epsilons.index(epsilon)]
        return Estimate(100 * found.value, 100 * found.low, 100 * found.high, over="images")

    return at


def last_alpha(record: Record) -> Estimate:
    """Exponent of the last hidden layer's spectrum; NaN if it has none."""
    layer = list(record.measurement.spectra)[-1]
    fit = record.measurement.fits.get(layer)
    return Estimate(math.nan) if fit is None else fit.parameters["alpha"]


def steepness(record: Record) -> Estimate:
    """Median over test images of ‖J‖_F of the outputs."""
    return Estimate(float(record.measurement.smoothness["outputs"].values.median()))


# -------------------------------------------------------------------------------- arms of a network


def grouped(found: Found, net: Net, kinds: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Arms of a network that have records, each with its label, by what they share a look with.

    Args:
        found: what the runs came to.
        net: the network.
        kinds: "single": arms that are no point of a sweep or a path; "plain": plain training alone; "stop"; "spectral",
            "Jacobian" and "decay": sweeps in the order of their strength, beginning with plain training.
    """
    every = [arm for arm in arms(found.scale) if arm.net == net and found.has(arm.name)]
    plain = f"{net} plain"
    groups: dict[str, list[tuple[str, str]]] = {}
    stops = [(arm.name, bare(arm.name).split()[1]) for arm in every if arm.kind == "stop"]
    if "stop" in kinds and stops:
        groups[STOPPED] = [*stops, (plain, "")] if found.has(plain) else stops
    for kind, look in (("spectral", SPECTRAL), ("Jacobian", JACOBIAN), ("decay", DECAY)):
        swept = [(arm.name, arm.name.rpartition(" ")[2]) for arm in every
                 if arm.kind == "sweep" and bare(arm.name).startswith(f"{kind} ")]  # fmt: skip
        if kind in kinds and swept:
            swept += [(name, MIDDLE[look][1]) for name in there(found, _middle(net, look))]
            swept.sort(key=lambda pair: float(pair[1]))
            groups[look] = [(plain, "0"), *swept] if found.has(plain) else swept
    if "plain" in kinds and found.has(plain):
        groups["plain"] = [(plain, "plain")]
    if "single" in kinds:
        groups |= {bare(arm.name): [(arm.name, "")] for arm in every if arm.kind not in ("stop", "sweep")}
    return groups


def _middle(net: Net, look: str) -> list[str]:
    if look not in MIDDLE:
        return []
    name = MIDDLE[look][0]
    return [f"{net} {name}, equal updates" if look == JACOBIAN and net != "shallow" else f"{net} {name}"]


def spot(found: Found, arm: str, x: One, y: One, label: str) -> Spot:
    """An arm's seeds, of those where both numbers are finite."""
    made = [(seed, x(found.records[arm][seed]), y(found.records[arm][seed])) for seed in found.seeds(arm)]
    kept = [one for one in made if math.isfinite(one[1].value) and math.isfinite(one[2].value)]
    seeds, across, up = (tuple(column) for column in zip(*kept)) if kept else ((), (), ())
    return Spot(arm, seeds, across, up, label)


@dataclass(frozen=True)
class View:
    """What robust accuracy is drawn against.

    Attributes:
        name: in a few words.
        x: a number of a record.
        label: of the abscissa, with its unit.
        log: whether it is logarithmic.
        at: where a dotted line stands; NaN: nowhere.
        share: whether it is in per cent of images.
    """

    name: str
    x: One
    label: str
    log: bool = False
    at: float = math.nan
    share: bool = False


CLEAN = View("clean accuracy", clean, "clean test images right, %", share=True)
ALPHA = View("α", last_alpha, "α of the last hidden layer", at=1.0)
STEEPNESS = View("steepness", steepness, "median norm of the logits’ Jacobian, per pixel", log=True)


def plane(found: Found, net: Net, kinds: Sequence[str], view: View, joined: Sequence[str] = ()) -> Plane:
    """One network's arms: robust accuracy against a number; ends of what is joined are labelled."""
    size = SIZES[found.scale, net]
    spots = {}
    for look, group in grouped(found, net, kinds).items():
        ends = (0, len(group) - 1) if look in joined else ()
        made = [
            spot(found, arm, view.x, robust(size.epsilon), label if place in ends else "")
            for place, (arm, label) in enumerate(group)
        ]
        if held := tuple(one for one in made if one.seeds):
            spots[look] = held
    ordinate = f"right in the worst case, ε = {size.epsilon:g}, %"
    return Plane(f"{net}: {view.name}", spots, view.label, ordinate, view.log, tuple(joined), view.at, view.share)


def planes(found: Found, kinds: Sequence[str], views: Sequence[View], joined: Sequence[str] = ()) -> list[Plane]:
    """A plane for each network that has arms of these kinds, and each view."""
    nets: list[Net] = [net for net in NETS if (found.scale, net) in SIZES]
    every = [plane(found, net, kinds, view, joined) for net in nets for view in views]
    whole = [replace(one, name=one.name.partition(":")[0]) if len(views) == 1 else one for one in every]
    return [one for one in whole if one.spots]


def figure(
    title: str,
    shows: str,
    needs: Sequence[str],
    kinds: Sequence[str],
    views: Sequence[View],
    note: str,
    joined: Sequence[str] = (),
) -> Figure:
    """A figure of planes.

    Args:
        title: what it is.
        shows: what is to be seen.
        needs: arms without which it is not drawn.
        kinds: of arms, as `grouped` has them.
        views: a panel of each network for each.
        note: ends the caption.
        joined: looks whose spots a line joins.
    """
    wanted = {"single": ("paper", "beside", "variant"), "stop": ("stop",)}
    held = {kind for name in kinds for kind in wanted.get(name, ("sweep",))}
    every = [arm for scale in SCALES for arm in arms(scale)]
    names = tuple(dict.fromkeys(arm.name for arm in every if arm.kind in held or bare(arm.name) == "plain"))

    def draw(found: Found, semantics: Semantics) -> Any:
        made = planes(found, kinds, views, joined)
        drawn = [one.arm for each in made for spots in each.spots.values() for one in spots]
        told = f"{note} {failing(found, tuple(dict.fromkeys(drawn)))}".strip()
        look = looks(name for each in made for name in each.spots)
        words = _associated(made) if len(views) > 1 else _most_robust(made)
        return points.scattered(made, look, words, stamp_of(found, tuple(dict.fromkeys(drawn))), told)

    def rows(found: Found, semantics: Semantics) -> list[Row]:
        return points.rows(planes(found, kinds, views, joined))

    return Figure(title, shows, names, draw, ("corrected",), tuple(needs), rows)


def _means(one: Plane) -> dict[str, tuple[float, float]]:
    """Mean over seeds of both numbers of each arm, once."""
    return {
        spot.arm: (statistics.fmean(each.value for each in spot.x), statistics.fmean(each.value for each in spot.y))
        for spots in one.spots.values()
        for spot in spots
    }


def _most_robust(made: Sequence[Plane]) -> str:
    told = []
    for one in made:
        means = _means(one)
        arm = max(means, key=lambda name: means[name][1])
        told.append(f"{arm} {number(means[arm][1])} %, {number(means[arm][0])} % clean")
    return f"Most robust: {'; '.join(told)}"


def _associated(made: Sequence[Plane]) -> str:
    """Spearman's rank correlation over arms, which are not independent of each other."""
    told = []
    for one in made:
        means = list(_means(one).values())
        if len(means) >= FEWEST:
            across, up = zip(*means)
            rho: Any = scipy.stats.spearmanr(list(across), list(up))[0]
            told.append(f"{one.name} {number(float(rho), 2)} over {len(means)} arms")
    return f"Spearman’s ρ with robust accuracy: {'; '.join(told)}" if told else "Robust accuracy of arms"
