"""What the slips came to: how much more robust than plain training each arm is, and the same in words.

    ratio = geometric mean over seeds of (worst-case accuracy of the arm / of plain training of the same seed)

with Student's interval of the logarithms. An effect is *there* if the interval lies above 1, *reversed* if below; with
one seed, if the ratio itself does. An arm is held against the one without slips by the ratio of their ratios.

An arm of which no attacked image is left right counts as half an image: a ratio needs a number above 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from eigenfall.papers.found import Number, accuracy, alpha
from eigenfall.papers.nassar2020.found import Found, along, stops
from eigenfall.papers.nassar2020.sizes import SIZES
from eigenfall.papers.nassar2020.slips import CASES, SLIPS, Case, in_l3
from eigenfall.papers.verdicts import with_interval
from eigenfall.statistics import t_interval
from eigenfall.types import Estimate, Record

IMAGES = 500
"""On the first so many ratios are taken, whether or not more were attacked."""
SMALLER = 0.02
"""A second budget of the attacks, in pixels."""
NOISE = 0.3
"""Standard deviation of the noise beside the attacks, in pixels: what Holzhausen et al. look at first."""
THEIRS = "currents"
"""The module that makes the currents of their net."""
BASE, ALL = "slips none", "slips all"
FIRST, SECOND = tuple(SLIPS)[:2]
BOTH = f"slips all but {FIRST} and {SECOND}"
BESIDE: dict[str, tuple[str, str]] = {
    "no batch-norm": ("shallow spectral, epoch basis, no batch-norm", "shallow plain, no batch-norm"),
    "ReLU": ("shallow spectral, epoch basis, ReLU", "shallow plain, ReLU"),
}
"""Arms of the reproduction in which the nets of both papers differ, and the plain ones that they are held against."""


@dataclass(frozen=True)
class Standing:
    """Where one arm stands.

    Attributes:
        name: of the arm.
        each: worst-case accuracy over that of plain training, for each seed.
        ratio: its geometric mean.
        matched: the same over plain training stopped at the arm's clean accuracy; NaN without records of stops, and in
            narrow batches, of which there are none.
        smaller: as `ratio`, at a smaller budget, where more is left right.
        noise: the same of accuracy under white noise.
        alpha: mean exponent of the hidden layer.
        currents: mean exponent of its currents; NaN if it was not measured.
        variance: mean total variance of its currents.
        clean: mean clean accuracy.
        worst: mean worst-case accuracy.
        seeds: which.
    """

    name: str
    each: tuple[float, ...]
    ratio: Estimate
    matched: Estimate
    smaller: Estimate
    noise: Estimate
    alpha: float
    currents: float
    variance: float
    clean: float
    worst: float
    seeds: tuple[int, ...]

    @property
    def there(self) -> bool:
        """Whether the arm is more robust than plain training, beyond doubt if there are seeds to doubt with."""
        return (self.ratio.value if math.isnan(self.ratio.low) else self.ratio.low) > 1

    @property
    def reversed(self) -> bool:
        """Whether it is less robust, in the same sense."""
        return (self.ratio.value if math.isnan(self.ratio.high) else self.ratio.high) < 1


def standings(found: Found) -> dict[str, Standing]:
    """Every arm under a penalty that has records, and its plain one, by name."""
    named = {case.name: (case.beside, *_readings(case, found)) for case in CASES.values() if not case.plain}
    ours = _readings(CASES[BASE], found)
    named |= {f"published, {what}": (plain, *ours) for what, (_, plain) in BESIDE.items()}
    arms = {f"published, {what}": arm for what, (arm, _) in BESIDE.items()}
    return {
        name: _standing(name, found, arms.get(name, name), *held)
        for name, held in named.items()
        if found.seeds(arms.get(name, name), held[0])
    }


def _readings(case: Case, found: Found) -> tuple[Number, Number, Number, str]:
    """Worst-case accuracy at both budgets and accuracy under noise of a case's records; the name of its currents."""
    ours = case.net == "slips"
    budgets = (SIZES[found.scale, "shallow"].epsilon, SMALLER, NOISE)
    epsilon, smaller, deviation = budgets if ours else map(in_l3, budgets)
    currents = "hidden1.transform" if ours else THEIRS
    return left("headline", epsilon), left("headline", smaller), left("noise", deviation), currents


def left(curve: str, epsilon: float) -> Number:
    """Share of the first images that a curve leaves right at a budget, of noise its mean over draws."""

    def number(record: Record) -> float:
        held = record.measurement.curves[curve]
        place = held.epsilons.index(epsilon)
        wrong = held.worst()[place] if held.flip_probability is None else held.flip_probability.amax(0)[place]
        first = wrong[:IMAGES].double()
        return max(1 - float(first.mean()), 0.5 / len(first))

    return number


def _standing(
    name: str, found: Found, arm: str, plain: str, worst: Number, smaller: Number, noise: Number, currents: str
) -> Standing:
    seeds = found.seeds(arm, plain)

    def mean(number: Number) -> float:
        return math.fsum(number(found.records[arm][seed]) for seed in seeds) / len(seeds)

    def each(number: Number) -> tuple[float, ...]:
        return tuple(number(found.records[arm][seed]) / number(found.records[plain][seed]) for seed in seeds)

    path = [stop for stop in stops(found.scale, "shallow") if found.has(stop)] if plain == "slips plain" else []

    def control(seed: int) -> float:
        held = [found.records[stop][seed] for stop in path]
        points = [(accuracy(record), worst(record)) for record in held]
        return along(points, accuracy(found.records[arm][seed]))[0]

    matched = [worst(found.records[arm][seed]) / control(seed) for seed in found.seeds(arm, *path) if path]
    return Standing(
        name=name,
        each=each(worst),
        ratio=geometric(each(worst)),
        matched=geometric(matched) if matched else Estimate(math.nan),
        smaller=geometric(each(smaller)),
        noise=geometric(each(noise)),
        alpha=mean(exponent("hidden1")),
        currents=mean(exponent(currents)),
        variance=mean(variance(currents)),
        clean=mean(accuracy),
        worst=mean(worst),
        seeds=tuple(seeds),
    )


def exponent(layer: str) -> Number:
    """Exponent of a layer's spectrum over the ranks that there are: dead units leave fewer than the window asks for."""
    window = SIZES["small", "shallow"].fit

    def number(record: Record) -> float:
        measured, spectrum = record.measurement.fits.get(layer), record.measurement.spectra.get(layer)
        if measured is not None or spectrum is None:
            return alpha(layer)(record)
        return replace(window, clip=True)(spectrum).alpha

    return number


def variance(layer: str) -> Number:
    """Total variance of a layer: the sum of its eigenvalues; NaN if it was not measured."""

    def number(record: Record) -> float:
        spectrum = record.measurement.spectra.get(layer)
        return math.nan if spectrum is None else float(spectrum.eigenvalues.sum())

    return number


def geometric(ratios: Sequence[float]) -> Estimate:
    """Geometric mean over seeds, with Student's interval of the logarithms."""
    ends = t_interval([math.log(ratio) for ratio in ratios])
    return Estimate(*(math.exp(end) for end in ends), over="seeds")


def contrast(one: Standing, other: Standing) -> Estimate:
    """Geometric mean over the seeds that both have of one ratio to plain training over another.

    NaN if there is no such seed.
    """
    beside = dict(zip(other.seeds, other.each))
    found = [ratio / beside[seed] for seed, ratio in zip(one.seeds, one.each) if seed in beside]
    return geometric(found) if found else Estimate(math.nan)


# ---------------------------------------------------------------------------- in words


def reading(found: Found) -> list[str]:
    """What the slips came to, a sentence each; those whose arms have no records are left out."""
    held = standings(found)
    if BASE not in held:
        return []
    epsilon = SIZES[found.scale, "shallow"].epsilon
    told = [
        f"{words} the published penalty is {'' if held[name].there else 'not '}more robust than plain training at "
        f"ε = {epsilon:g}: {_told(held[name])}."
        for name, words in ((BASE, "Without a slip"), (ALL, "With all slips"))
        if name in held
    ]
    told += _sides(held, "only", ("Alone, {} take{} the effect away", "No slip alone takes the effect away"), False)
    mended = ("Mended alone, {} bring{} it back above plain", "No slip mended alone brings it back")
    told += _sides(held, "all but", mended, True)
    if BOTH in held:
        told.append(f"With the first two mended and no other: {_told(held[BOTH])}.")
    steps = [(f"first {count}", f"slips {name}") for count, name in path()]
    walked = [f"{words}: {with_interval(held[name].ratio)}" for words, name in steps if name in held]
    if walked:
        told.append(f"One after the other, in the order of the list: {'; '.join(walked)}.")
    told += _sizes(held)
    for name, words in {
        "theirs none": "In their net the published penalty",
        "theirs all": "In their net all slips",
        **{f"published, {what}": f"With {what} the published penalty" for what in BESIDE},
    }.items():
        if name in held:
            told.append(f"{words}: {_told(held[name])}.")
    return told


def _sizes(held: dict[str, Standing]) -> list[str]:
    """How large the currents are: what a penalty on them makes cheap to change."""
    named = {
        "without a slip": BASE,
        "with the first alone": f"slips only {FIRST}",
        "with the first two": "slips first 2",
        "with all": ALL,
    }
    sizes = [f"{words} {held[name].variance:.3g}" for words, name in named.items() if name in held]
    return [f"Total variance of the currents: {', '.join(sizes)}."]


def path() -> list[tuple[int, str]]:
    """The first so many slips, by the name of the arm that has them and no others."""
    every = tuple(SLIPS)
    named = {case.slips: name.removeprefix("slips ") for name, case in CASES.items() if case.net == "slips"}
    return [(count, named[every[:count]]) for count in range(1, len(every) + 1)]


def _sides(held: dict[str, Standing], which: str, words: tuple[str, str], there: bool) -> list[str]:
    """Which slips flip the conclusion alone, made or mended, then how the others stand.

    One that takes the effect away does so beyond doubt if its ratio to the arm without slips has an interval below 1.
    """
    arms = {slip: held[f"slips {which} {slip}"] for slip in SLIPS if f"slips {which} {slip}" in held}
    if not arms:
        return []
    flips = []
    for slip, one in arms.items():
        beyond = one.ratio.low > 1 if there else contrast(one, held[BASE]).high < 1
        if one.there == there:
            flips.append(slip if beyond else f"{slip} (not beyond doubt at {_seeds(one)})")
    some, none = words
    told = some.format(" and ".join(flips), "" if len(flips) > 1 else "s") if flips else none
    each = "; ".join(f"{slip} {_short(one, held[BASE])}" for slip, one in arms.items())
    return [f"{told}. {which.capitalize()} each: {each}."]


def _seeds(one: Standing) -> str:
    return "one seed" if len(one.seeds) == 1 else f"{len(one.seeds)} seeds"


def _told(one: Standing) -> str:
    """Ratio, what is left right, exponent, clean accuracy."""
    return (
        f"{with_interval(one.ratio)} × plain ({_seeds(one)}; worst case {100 * one.worst:.1f} %, clean "
        f"{100 * one.clean:.1f} %, α {one.alpha:.2f}; at ε = {SMALLER:g} {with_interval(one.smaller)}, under noise "
        f"{with_interval(one.noise)} × plain{_fit_matched(one)})"
    )


def _short(one: Standing, base: Standing) -> str:
    return (
        f"{with_interval(one.ratio)} × plain and {with_interval(contrast(one, base))} × that without a slip, clean "
        f"{100 * one.clean:.1f} %, α {one.alpha:.2f}{_fit_matched(one)}"
    )


def _fit_matched(one: Standing) -> str:
    return "" if math.isnan(one.matched.value) else f", {with_interval(one.matched)} × plain stopped at its accuracy"
