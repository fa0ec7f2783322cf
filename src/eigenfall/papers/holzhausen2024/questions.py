"""The paper's conclusions (spec `holzhausen2024` §7.8), each as a comparison that can fail."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from eigenfall.papers import verdicts
from eigenfall.papers.holzhausen2024.found import (
    COMPARED,
    PERTURBATIONS,
    Found,
    Number,
    accuracy,
    alpha,
    corrected_distance,
    corrected_median,
    own_distance,
    published_distance,
    single_step_median,
    squared_weights,
    straightness,
)
from eigenfall.papers.holzhausen2024.fronts import at_equal_accuracy, lead
from eigenfall.papers.holzhausen2024.judging import NO_TARGET, NUMBERS, ORDERS, ordered, told
from eigenfall.types import Answer, Claim, ClaimVerdict, Judged

NEAR = 0.05
TURNED: Mapping[str, ClaimVerdict] = {"HOLDS": "FAILS", "FAILS": "HOLDS"}


def questions(found: Found) -> Iterator[Judged]:
    """Q1 to Q6."""
    for first, suffix in (("KH", ""), ("KH pruned", ", pruned")):
        order = (first, *COMPARED[1:])
        for perturbation in PERTURBATIONS:
            claim = Claim(
                f"Q1 {perturbation}{suffix}",
                "§7.8 Q1, Fig. 1",
                f"median distance under {perturbation}: {' > '.join(order)}",
                scales=ORDERS,
            )
            corrected = corrected_distance(found, perturbation)
            yield ordered(claim, found, order, published_distance(perturbation), corrected, "L3 units")
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

    published = told(claim, found, COMPARED, ratios)
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

    return told(claim, found, COMPARED, ratios)


def _q3(found: Found) -> Judged:
    says = "1/n is not necessary for robustness: nets with other exponents are more robust than BP"
    claim = Claim("Q3", "§7.8 Q3", says, scales=ORDERS)
    arms = ("L2", "JReg", "KH", "BP")

    def answer(distance: Number, key: str) -> Answer:
        """HOLDS if one net will do, FAILS if all three are less robust than BP; levels shared by the three."""
        words, less, seeds = [], 0, len(found.seeds(*arms))
        for arm in arms[:-1]:
            more = verdicts.order({each: found.values(each, distance) for each in (arm, "BP")}, among=len(arms) - 1)
            exponents = verdicts.interval(found.values(arm, alpha(key)))
            less += more.verdict == "FAILS"
            if more.verdict == "HOLDS" and more.number and (exponents.low > 1 or exponents.high < 1):
                words.append(f"{arm}: {more.number.value:.3g} × BP at α = {verdicts.with_interval(exponents)}")
        if seeds < verdicts.FEWEST:
            return verdicts.untested(f"{seeds} {'seed' if seeds == 1 else 'seeds'} of {verdicts.FEWEST}")
        verdict = "HOLDS" if words else "FAILS" if less == len(arms) - 1 else "OPEN"
        return Answer(verdict, told="; ".join(words) or "none is more robust and apart from 1", seeds=seeds)

    published = told(claim, found, arms, lambda: answer(published_distance("pgd"), "currents, pca"))
    corrected = told(claim, found, arms, lambda: answer(corrected_distance(found, "pgd"), "currents"))
    return Judged(claim, published, corrected)


def _q4(found: Found) -> Judged:
    says = "the spectral penalty gives no robustness; Nassar et al. cannot be reproduced"
    claim = Claim("Q4", "§7.8 Q4", says, scales=ORDERS)
    arms = ("spectral", "BP")

    def answer() -> Answer:
        """A claim of no gain fails where the gain holds, holds where a loss does, and is open between."""
        gain = verdicts.order({arm: found.values(arm, own_distance("pgd")) for arm in arms}, "L3 units, L∞")
        held = verdicts.interval(found.values("spectral", alpha("hidden1")))
        words = f"{gain.told}; α of the hidden layer {verdicts.with_interval(held)}; {lead(found, 'spectral').told}"
        return Answer(TURNED.get(gain.verdict, gain.verdict), gain.number, words, gain.seeds, gain.parts)

    return Judged(claim, verdicts.void(replace(claim, void=NO_TARGET)), told(claim, found, arms, answer))


def _q5(found: Found) -> Judged:
    says = "L2 and JReg behave alike"
    claim = Claim("Q5", "§7.8 Q5", says, scales=ORDERS)

    def built_in() -> Answer:
        arms = ("JReg", "decay of W")
        pairs = {kind: tuple(found.values(arm, own_distance(kind), arms) for arm in arms) for kind in PERTURBATIONS} | {
            "accuracy": tuple(found.values(arm, accuracy, arms) for arm in arms),
            "‖W‖²": tuple(found.values(arm, squared_weights, arms) for arm in arms),
        }
        answer = verdicts.near(pairs, NEAR, "JReg / the decay of W that it is in the mean")  # pyright: ignore
        means = ", ".join(f"{name} {ratio:.3g}" for name, ratio in answer.parts.items())
        words = f"built in, no finding (§5.1): {answer.told}; means: {means}"
        return Answer(answer.verdict, answer.number, words, answer.seeds, answer.parts)

    published = told(claim, found, ("JReg", "decay of W"), built_in)
    return Judged(claim, published, at_equal_accuracy(found, "Jacobian", "L2", NEAR))


def _q6(found: Found) -> Judged:
    claim = Claim(
        "Q6", "§7.8 Q6 (v2)", "λ_n ≈ λ_1 n^−α for n < 800; conflicts with the bend that Fig. 3 shows at 400–500",
        scales=NUMBERS,
    )  # fmt: skip

    def straight() -> Answer:
        words = "; ".join(
            f"{arm} R² {verdicts.with_interval(verdicts.interval(found.values(arm, straightness)))}" for arm in COMPARED
        )
        return Answer("NOT TESTED", told=words)

    answer = told(claim, found, COMPARED, straight, attacked=False)
    return Judged(claim, answer, answer)
