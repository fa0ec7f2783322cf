"""Every claim of the paper (spec `nassar2020` §9.1): what it says, and what both semantics say of it.

    published   the epoch basis, accuracy under PGD of 40 steps of .01 on cross-entropy
    corrected   the fresh basis, worst case per image of the headline, where no check failed; equal updates

Of each gain there is a second line, *matched*: the same against plain training stopped at the arm's clean accuracy. The
paper has no such control. Nothing is tested at `quick`: on the digits C1 reverses (§9.3), and seeds are few.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from eigenfall.papers import verdicts
from eigenfall.papers.found import measured
from eigenfall.papers.nassar2020.found import Found, chosen, headline
from eigenfall.papers.nassar2020.judging import (
    SIDES,
    TESTED,
    Side,
    above,
    above_matched,
    interaction,
    no_gain,
    no_gain_matched,
)
from eigenfall.papers.nassar2020.sizes import SIZES, Net
from eigenfall.types import Answer, Claim, Judged

RANGE = (0.02, 0.05)
"""The range of ε over which C1 is judged: at both."""
SECTIONS = {
    "C": "What the paper claims (§9)",
    "M": "The same against plain training stopped at the arm's clean accuracy",
    "T": "The same with strengths chosen on the validation split",
}


def judged(found: Found) -> tuple[Judged, ...]:
    """Every claim with its answers."""
    nets: tuple[Net, ...] = ("deep", "cnn")
    made = [*_shallow(found)]
    for net in nets:
        made += _layered(found, net) if (found.scale, net) in SIZES else ()
    ordered = sorted(made, key=lambda one: tuple(SECTIONS).index(one.claim.key[0]))
    return tuple(
        replace(one, claim=replace(one.claim, scales=TESTED, section=SECTIONS[one.claim.key[0]])) for one in ordered
    )


def _both(key: str, where: str, says: str, answer: Callable[[Side], Answer]) -> Judged:
    return Judged(Claim(key, where, says), *(answer(side) for side in SIDES))


def _shallow(found: Found) -> Iterator[Judged]:
    """Experiment 1: one hidden layer."""
    epsilon = SIZES[found.scale, "shallow"].epsilon

    def spectral(side: Side) -> str:
        return f"shallow spectral, {side.basis}"

    yield _both(
        "C1",
        "Fig. 2",
        f"one hidden layer with batch-norm: 1/n is more robust than plain (at ε = {RANGE[0]:g} and {RANGE[1]:g})",
        lambda side: above(found, spectral(side), "shallow plain", [side.robust(e) for e in RANGE], side.checked),
    )
    yield _both(
        "M1",
        "§9.2",
        "C1 at equal clean accuracy",
        lambda side: above_matched(found, spectral(side), [side.robust(e) for e in RANGE], side.checked),
    )
    yield _both(
        "C2",
        "Fig. 2, S",
        "batch-norm helps the penalty more than it helps plain training (epoch basis)",
        lambda side: interaction(
            found,
            ("shallow plain", "shallow spectral, epoch basis"),
            ("shallow plain, no batch-norm", "shallow spectral, epoch basis, no batch-norm"),
            side.robust(epsilon),
            side.checked,
        ),
    )
    dimension = measured("rank_at_90_percent", "hidden1")
    yield _both(
        "C3",
        "Fig. 2",
        "the penalty raises the dimension: ranks with 90 % of the variance, one hidden layer",
        lambda side: above(found, spectral(side), "shallow plain", [dimension], False, 1, "ranks"),
    )
    yield _both(
        "C7 shallow",
        "–",
        "the Jacobian penalty is more robust than 1/n in one hidden layer",
        lambda side: above(found, "shallow Jacobian", spectral(side), [side.robust(epsilon)], side.checked),
    )
    yield _adversarial(found, "shallow", " shallow")
    yield from _tuned(found, "shallow")


def _layered(found: Found, net: Net) -> Iterator[Judged]:
    """Experiments 2 and 3: several hidden layers, the last of them or all."""
    epsilon, suffix = SIZES[found.scale, net].epsilon, "" if net == "deep" else f" {net}"
    plain, all_layers = f"{net} plain", f"{net} spectral"

    def last(side: Side) -> str:
        """As published, the last layer alone was held with a basis renewed at each update at small scale (§9.2)."""
        published = "step basis" if SIZES[found.scale, net].fresh else "epoch basis"
        return f"{net} last layer, {side.basis if side.checked else published}"

    def jacobian(side: Side) -> str:
        return f"{net} Jacobian{', equal updates' if side.checked else ''}"

    yield _both(
        f"C4{suffix}",
        "Fig. 3",
        "1/n in the last hidden layer alone is not enough",
        lambda side: no_gain(found, last(side), plain, side.robust(epsilon), side.checked),
    )
    yield _both(
        f"M4{suffix}",
        "§9.2",
        "C4 at equal clean accuracy",
        lambda side: no_gain_matched(found, last(side), side.robust(epsilon), side.checked),
    )
    yield _both(
        f"C5{suffix}",
        "Fig. 3",
        "whitening the layer before takes the last layer's robustness away",
        lambda side: above(found, last(side), f"{net} whitened, last layer", [side.robust(epsilon)], side.checked),
    )
    yield _both(
        f"C6{suffix}",
        "Fig. 4",
        "1/n in all hidden layers is more robust than plain",
        lambda side: above(found, f"{all_layers}, {side.basis}", plain, [side.robust(epsilon)], side.checked),
    )
    yield _both(
        f"M6{suffix}",
        "§9.2",
        "C6 at equal clean accuracy",
        lambda side: above_matched(found, f"{all_layers}, {side.basis}", [side.robust(epsilon)], side.checked),
    )
    yield _both(
        f"C7{suffix}",
        "Fig. 4",
        "the Jacobian penalty is more robust than 1/n in all layers (the paper's direction is not known)",
        lambda side: above(found, jacobian(side), f"{all_layers}, {side.basis}", [side.robust(epsilon)], side.checked),
    )
    yield _both(
        f"M7{suffix}",
        "§9.2",
        "the Jacobian penalty is more robust than plain at equal clean accuracy",
        lambda side: above_matched(found, jacobian(side), [side.robust(epsilon)], side.checked),
    )
    yield _adversarial(found, net, suffix)
    yield from _tuned(found, net)


def _adversarial(found: Found, net: Net, suffix: str) -> Judged:
    epsilon = SIZES[found.scale, net].epsilon
    return _both(
        f"C8{suffix}",
        "–",
        "1/n stays below adversarial training",
        lambda side: above(
            found, f"{net} adversarial", f"{net} spectral, {side.basis}", [side.robust(epsilon)], side.checked
        ),
    )


def _tuned(found: Found, net: Net) -> Iterator[Judged]:
    """Each penalty against plain, at the strength that the validation split allows."""
    if found.scale == "quick" or net == "cnn":
        return
    none = verdicts.untested("nothing is chosen on validation as published")
    for family, says in (("spectral", "1/n is more robust than plain"), ("Jacobian", "the Jacobian penalty is")):
        name, told = chosen(found, net, family)
        answer = verdicts.untested(told)
        if name:
            answer = above(found, name, f"{net} plain", [headline(SIZES[found.scale, net].epsilon)], True)
            answer = replace(answer, told=f"{answer.told}; {told}")
        yield Judged(Claim(f"T {net}, {family}", "§7", f"{net}: {says}"), none, answer)
