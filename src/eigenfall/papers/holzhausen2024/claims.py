"""Every claim of the paper (spec `holzhausen2024` §7): what it says, and what both semantics say of it.

A claim whose arms hold a layer that did not pass its gates is NOT TESTED. Bands are of 2 000 units at the full
schedule, and tested at `paper` scale alone; the exponents of raw images and of untrained layers, which no schedule
touches, at `small` too. Orders and ratios are tested at every scale that has five seeds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from eigenfall.papers.holzhausen2024 import verdicts
from eigenfall.papers.holzhausen2024.found import (
    COMPARED,
    PERTURBATIONS,
    Found,
    Number,
    accuracy,
    alpha,
    corrected_distance,
    corrected_median,
    half,
    own_distance,
    published_distance,
    single_step_median,
    squared_weights,
    straightness,
)
from eigenfall.papers.holzhausen2024.ensembles import counted
from eigenfall.papers.holzhausen2024.fronts import at_equal_accuracy
from eigenfall.papers.holzhausen2024.planes import STEEPNESS
from eigenfall.types import Answer, Claim, Judged, Record

ORDERS = ("quick", "small", "paper")
NUMBERS = ("paper",)
_NO_TARGET = "its target is not anchored, its basis half arbitrary and its weights never moved (§5.2)"

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
HALVES = {"KH": (0.18, 0.0023, 0.0022), "L2": (0.13, 0.0019, None), "JReg": (0.09, 0.0012, None), "BP": (0.055, 0.0008, None)}
PENALISED = ("SpecReg", "SpecReg-KH")
NEAR = 0.05


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
            _questions, _accuracies, _weights, _exponents, _distances, _halves, _landscapes, _ensemble, _spectral,
        )
        for each in claims(found)
    )  # fmt: skip


def _section(key: str) -> str:
    return next(section for start, section in SECTIONS.items() if key.startswith(start))


def _told(claim: Claim, found: Found, arms: Sequence[str], answer: Callable[[], Answer]) -> Answer:
    """An answer, unless the claim is void, an arm is missing or unconverged, or the scale is another."""
    if claim.void:
        return verdicts.void(claim)
    missing = [arm for arm in arms if not found.has(arm)]
    if missing:
        return verdicts.untested(f"no run of {', '.join(missing)}")
    unconverged = found.unconverged(*arms)
    if unconverged:
        return verdicts.untested(f"UNCONVERGED: {unconverged}")
    made = answer()
    if found.scale not in claim.scales and made.verdict != "VOID":
        return Answer("NOT TESTED", made.number, f"{made.told}; tested at {', '.join(claim.scales)}", made.seeds)
    return made


def _band(claim: Claim, found: Found, arm: str, number: Number) -> Judged:
    """A number of one arm against its band under the published semantics; the corrected one is told without one."""
    values = found.values(arm, number) if found.has(arm) and not claim.void else []
    answer = _told(claim, found, [arm], lambda: verdicts.band(claim, values))
    return Judged(claim, answer, verdicts.untested("the band is of the published semantics"))


def _accuracies(found: Found) -> Iterator[Judged]:
    for arm, (low, high) in ACCURACIES.items():
        claim = Claim(f"7.1 accuracy {arm}", "§7.1", f"{arm} classifies {low:g}–{high:g} of the test images", low, high, NUMBERS)
        yield _band(claim, found, arm, accuracy)
    for arm in PENALISED:
        yield _band(Claim(f"7.1 accuracy {arm}", "§7.1", f"accuracy of {arm}", void=_NO_TARGET), found, arm, accuracy)
    order = ("BP", "JReg", "L2", "KH")
    claim = Claim("7.1 order of accuracies", "§7.1", " > ".join(order), scales=ORDERS)
    answer = _told(claim, found, order, lambda: verdicts.order(_values(found, order, accuracy)))
    yield Judged(claim, answer, answer)


def _weights(found: Found) -> Iterator[Judged]:
    order = ("BP", "JReg", "L2", "KH pruned")
    claim = Claim(
        "7.1 order of weights", "§7.1", "‖W‖²: BP (16 800) > JReg (447) > L2 (290) > KH (173, of W̃)", scales=ORDERS
    )
    answer = _told(claim, found, order, lambda: verdicts.order(_values(found, order, squared_weights)))
    yield Judged(claim, answer, answer)


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
                _told(claim, found, [name], lambda of=of, on=(claim, name): verdicts.band(on[0], found.values(on[1], of)))
                for of in (alpha(f"{layer}{suffix}{released}", -1), alpha(f"{layer}{suffix}", -1))
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
    order = ("BP", "KH", "JReg", "L2")
    claim = Claim(
        "7.5 order of landscapes",
        "§7.5, Fig. 4",
        "‖J‖_F on a plane: BP (79–88) > KH (15–28.5) > JReg (13.8–16.1) > L2 (10.2–13.3)",
        scales=ORDERS,
    )
    published, corrected = (
        _told(claim, found, order, lambda of=of: verdicts.order(_values(found, order, of)))
        for of in (STEEPNESS["published"], STEEPNESS["corrected"])
    )
    yield Judged(claim, published, corrected)


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
        published, corrected = (
            _told(claim, found, [plain, under], lambda of=of: verdicts.order(_values(found, [plain, under], of)))
            for of in (published_distance("random"), own_distance("random"))
        )
        yield Judged(claim, published, corrected)


def _questions(found: Found) -> Iterator[Judged]:
    for perturbation in PERTURBATIONS:
        claim = Claim(
            f"Q1 {perturbation}", "§7.8 Q1, Fig. 1", f"median distance under {perturbation}: KH > L2 > JReg > BP", scales=ORDERS
        )
        published, corrected = (
            _told(claim, found, COMPARED, lambda of=of: verdicts.order(_values(found, COMPARED, of), "L3 units"))
            for of in (published_distance(perturbation), corrected_distance(found, perturbation))
        )
        yield Judged(claim, published, corrected)
    yield _q2(found)
    yield _q3(found)
    yield _q4(found)
    yield _q5(found)
    yield _q6(found)


def _q2(found: Found) -> Judged:
    claim = Claim("Q2", "§7.8 Q2", "median distances under FGSM and PGD differ by less than 5 %", scales=ORDERS)

    def ratios() -> Answer:
        pairs = {
            arm: tuple(found.values(arm, published_distance(kind), COMPARED) for kind in ("fgsm", "pgd"))
            for arm in COMPARED
        }
        return verdicts.near(pairs, NEAR, "FGSM / PGD")  # pyright: ignore[reportArgumentType]

    published = _told(claim, found, COMPARED, ratios)
    return Judged(claim, published, _single_step(claim, found))


def _single_step(claim: Claim, found: Found) -> Answer:
    """Corrected: the L∞ distance that one gradient sign finds, over the smallest that any attack finds."""
    def ratios() -> Answer:
        pairs = {
            arm: (
                found.values(arm, single_step_median, COMPARED),
                found.values(arm, lambda record: corrected_median(record, "pgd"), COMPARED),
            )
            for arm in COMPARED
        }
        return verdicts.near(pairs, NEAR, "single step / smallest found, L∞")

    return _told(claim, found, COMPARED, ratios)


def _q3(found: Found) -> Judged:
    says = "1/n is not necessary for robustness: nets with other exponents are more robust than BP"
    claim = Claim("Q3", "§7.8 Q3", says, scales=ORDERS)
    arms = ("L2", "JReg", "KH", "BP")

    def answer(distance: Number, key: str) -> Answer:
        told, seeds = [], 0
        for arm in arms[:-1]:
            more = verdicts.order(_values(found, [arm, "BP"], distance))
            exponents = verdicts.interval(found.values(arm, alpha(key)))
            apart = exponents.low > 1 or exponents.high < 1
            seeds = more.seeds
            if more.verdict in ("HOLDS", "NOT TESTED") and apart:
                told.append(f"{arm}: {more.number.value:.3g} × BP at α = {verdicts.with_interval(exponents)}")  # pyright: ignore
        if seeds < verdicts.FEWEST:
            return Answer("NOT TESTED", told=f"{seeds} seeds of {verdicts.FEWEST}", seeds=seeds)
        return Answer("HOLDS" if told else "OPEN", told="; ".join(told) or "none is more robust and apart from 1", seeds=seeds)

    published = _told(claim, found, arms, lambda: answer(published_distance("pgd"), "currents, pca"))
    corrected = _told(claim, found, arms, lambda: answer(corrected_distance(found, "pgd"), "currents"))
    return Judged(claim, published, corrected)


def _q4(found: Found) -> Judged:
    says = "the spectral penalty gives no robustness; Nassar et al. cannot be reproduced"
    claim = Claim("Q4", "§7.8 Q4", says, scales=ORDERS)
    arms = ("BP", "spectral")
    published = verdicts.void(Claim("", "", "", void=_NO_TARGET))
    corrected = _told(
        claim, found, arms, lambda: _no_gain(verdicts.order(_values(found, ["spectral", "BP"], own_distance("pgd"))))
    )
    return Judged(claim, published, corrected)


def _no_gain(gain: Answer) -> Answer:
    """A claim of no gain fails where the gain holds, holds where a loss does, and is open between."""
    turned = {"HOLDS": "FAILS", "FAILS": "HOLDS"}.get(gain.verdict, gain.verdict)
    return Answer(turned, gain.number, gain.told, gain.seeds, gain.parts)  # pyright: ignore[reportArgumentType]


def _q5(found: Found) -> Judged:
    says = "L2 and JReg behave alike"
    claim = Claim("Q5", "§7.8 Q5", says, scales=ORDERS)

    def built_in() -> Answer:
        arms = ("JReg", "decay of W")
        pairs = {
            kind: tuple(found.values(arm, published_distance(kind), arms) for arm in arms) for kind in PERTURBATIONS
        } | {"accuracy": tuple(found.values(arm, accuracy, arms) for arm in arms)}
        answer = verdicts.near(pairs, NEAR, "JReg / the decay of W that it is in the mean")  # pyright: ignore
        return Answer(answer.verdict, answer.number, f"built in, no finding (§5.1): {answer.told}", answer.seeds)

    published = _told(claim, found, ("JReg", "decay of W"), built_in)
    corrected = at_equal_accuracy(found, "Jacobian", "L2", NEAR)
    return Judged(claim, published, corrected if found.scale in claim.scales else verdicts.untested("scale"))


def _q6(found: Found) -> Judged:
    claim = Claim(
        "Q6", "§7.8 Q6 (v2)", "λ_n ≈ λ_1 n^−α for n < 800; conflicts with the bend that Fig. 3 shows at 400–500",
        scales=NUMBERS,
    )  # fmt: skip

    def straight() -> Answer:
        told = "; ".join(
            f"{arm} R² {verdicts.with_interval(verdicts.interval(found.values(arm, straightness)))}"
            for arm in COMPARED
        )
        return Answer("NOT TESTED", told=told)

    answer = _told(claim, found, COMPARED, straight)
    return Judged(claim, answer, answer)


def _values(found: Found, names: Sequence[str], number: Number) -> Mapping[str, Sequence[float]]:
    return {name: found.values(name, number) for name in names}
