"""Every claim of the paper (spec `holzhausen2024` §7): what it says, and what both semantics say of it.

A claim whose arms hold a layer that did not pass its gates is NOT TESTED. Bands are of 2 000 units at the full
schedule, and tested at `paper` scale alone; the exponents of raw images and of untrained layers, which no schedule
touches, at `small` too, as orders and ratios are.
"""

from collections.abc import Iterator
from dataclasses import replace

from eigenfall.papers import verdicts
from eigenfall.papers.holzhausen2024.ensembles import counted
from eigenfall.papers.holzhausen2024.found import (
    PERTURBATIONS,
    Found,
    Number,
    accuracy,
    alpha,
    half,
    own_distance,
    published_distance,
    squared_weights,
)
from eigenfall.papers.holzhausen2024.judging import NO_TARGET, NUMBERS, ORDERS, ordered, within
from eigenfall.papers.holzhausen2024.planes import STEEPNESS
from eigenfall.papers.holzhausen2024.questions import questions
from eigenfall.types import Claim, Judged

ACCURACIES = {"KH": (0.465, 0.478), "BP": (0.558, 0.565), "L2": (0.516, 0.522), "JReg": (0.554, 0.561)}
EXPONENTS = {
    "raw": ((-1.47, 0.02), (-0.05, 0.01)),
    "Init": ((-1.53, 0.03), (-0.11, 0.02)),
    "KH pruned": ((-2.67, 0.10), (-1.29, 0.15)),
    "BP": ((-2.92, 0.10), (-0.97, 0.10)),
    "L2": ((-4.11, 0.25), (-2.46, 0.30)),
    "JReg": ((-3.54, 0.25), (-1.42, 0.20)),
}
DISTANCES = {
    "KH": (3.15, 0.123, 0.120),
    "L2": (2.60, 0.104, 0.101),
    "JReg": (1.77, 0.068, 0.065),
    "BP": (1.14, 0.040, 0.039),
}
HALVES = {
    "KH": (0.18, 0.0023, 0.0022),
    "L2": (0.13, 0.0019, None),
    "JReg": (0.09, 0.0012, None),
    "BP": (0.055, 0.0008, None),
}
PENALISED = ("SpecReg", "SpecReg-KH")

SECTIONS = {
    "Q": "What the paper concludes (§7.8)",
    "7.1": "Accuracy and weights (§7.1)",
    "7.2": "Exponents (§7.2)",
    "7.3": "Critical distances (§7.3)",
    "7.4": "Where half of the accuracy is lost (§7.4)",
    "7.5": "Landscapes (§7.5)",
    "7.6": "The ensemble (§7.6)",
    "7.7": "The spectral penalty on MNIST (§7.7)",
}


def judged(found: Found) -> tuple[Judged, ...]:
    """Every claim with its answers, conclusions first."""
    return tuple(
        replace(each, claim=replace(each.claim, section=_section(each.claim.key)))
        for claims in (
            questions, _accuracies, _weights, _exponents, _distances, _halves, _landscapes, _ensemble, _spectral,
        )
        for each in claims(found)
    )  # fmt: skip


def _section(key: str) -> str:
    return next(section for start, section in SECTIONS.items() if key.startswith(start))


def _band(claim: Claim, found: Found, arm: str, number: Number, attacked: bool = True) -> Judged:
    """A number of one arm against its band under the published semantics; there is none for the corrected one."""
    published = within(claim, found, arm, number, attacked)
    return Judged(claim, published, verdicts.untested("the band is of the published semantics"))


def _accuracies(found: Found) -> Iterator[Judged]:
    for arm, (low, high) in ACCURACIES.items():
        claim = Claim(
            f"7.1 accuracy {arm}", "§7.1", f"{arm} classifies {low:g}–{high:g} of the test images", low, high, NUMBERS
        )
        yield _band(claim, found, arm, accuracy, attacked=False)
    for arm in PENALISED:
        claim = Claim(f"7.1 accuracy {arm}", "§7.1", f"accuracy of {arm}", void=NO_TARGET)
        answer = within(claim, found, arm, accuracy)
        yield Judged(claim, answer, answer)
    order = ("BP", "JReg", "L2", "KH")
    claim = Claim("7.1 order of accuracies", "§7.1", " > ".join(order), scales=ORDERS)
    yield ordered(claim, found, order, accuracy, accuracy, attacked=False)


def _weights(found: Found) -> Iterator[Judged]:
    order = ("BP", "JReg", "L2", "KH pruned")
    claim = Claim(
        "7.1 order of weights", "§7.1", "‖W‖²: BP (16 800) > JReg (447) > L2 (290) > KH (173, of W̃)", scales=ORDERS
    )
    yield ordered(claim, found, order, squared_weights, squared_weights, attacked=False)


def _exponents(found: Found) -> Iterator[Judged]:
    for arm, bands in EXPONENTS.items():
        for (value, half_width), what, suffix in zip(bands, ("images", "white noise"), ("", " at white noise")):
            scales = ("small", "paper") if arm in ("raw", "Init") else NUMBERS
            claim = Claim(
                f"7.2 α {arm}, {what}",
                "§7.2, Fig. 2 and 3",
                f"α of {arm} over {what} is {value:g}",
                value - half_width,
                value + half_width,
                scales,
            )
            name = f"{arm}, 2 000 units" if arm == "Init" else arm
            layer = "flatten" if arm == "raw" else "currents"
            released = "" if arm in ("raw", "Init") else ", pca"  # no schedule, no float32: the slips cancel there
            published, corrected = (
                within(claim, found, name, alpha(f"{layer}{suffix}{estimator}", -1), attacked=False)
                for estimator in (released, "")
            )
            yield Judged(claim, published, corrected)


def _distances(found: Found) -> Iterator[Judged]:
    for arm, values in DISTANCES.items():
        for value, perturbation in zip(values, PERTURBATIONS):
            claim = Claim(
                f"7.3 {perturbation} {arm}",
                "§7.3, Fig. 1",
                f"median critical L2 of {arm} under {perturbation} is {value:g}",
                0.93 * value,
                1.07 * value,
                NUMBERS,
            )
            yield _band(claim, found, arm, published_distance(perturbation))


def _halves(found: Found) -> Iterator[Judged]:
    for arm, values in HALVES.items():
        for value, perturbation in zip(values, PERTURBATIONS):
            if value is None:
                continue
            says = f"relative accuracy of {arm} falls to ½ at ε = {value:g} under {perturbation}"
            claim = Claim(f"7.4 {perturbation} {arm}", "§7.4, Fig. 1", says, 0.9 * value, 1.1 * value, NUMBERS)
            yield _band(claim, found, arm, half(perturbation))


def _landscapes(found: Found) -> Iterator[Judged]:
    order = ("BP", "KH pruned", "JReg", "L2")
    claim = Claim(
        "7.5 order of landscapes",
        "§7.5, Fig. 4",
        "‖J‖_F on a plane: BP (79–88) > KH (15–28.5) > JReg (13.8–16.1) > L2 (10.2–13.3)",
        scales=ORDERS,
    )
    yield ordered(claim, found, order, STEEPNESS["published"], STEEPNESS["corrected"], attacked=False)


def _ensemble(found: Found) -> Iterator[Judged]:
    for what, count, width in (("images", 79, 11), ("white noise", 7, 7), ("both", 7, 7)):
        says = f"{count} of 100 layers have λ_n ≤ λ_1/n at every rank, over {what}"
        claim = Claim(f"7.6 {what}", "§7.6", says, (count - width) / 100, (count + width) / 100, NUMBERS)
        answer = counted(claim, found, what)
        yield Judged(claim, answer, answer)


def _spectral(found: Found) -> Iterator[Judged]:
    for activation in ("relu", "tanh"):
        plain, under = f"MNIST {activation}", f"MNIST {activation}, spectral"
        says = f"the spectral penalty lowers the random distance of the {activation} net, four- to fivefold"
        claim = Claim(f"7.7 {activation}", "§7.7", says, scales=ORDERS)
        yield ordered(claim, found, (plain, under), published_distance("random"), own_distance("random"))
