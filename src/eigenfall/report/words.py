"""The sentences of the page, generated from the numbers: question, answer, and what could be wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eigenfall.report import arms as read
from eigenfall.report.arms import Arm
from eigenfall.report.numbers import digits, number, percent, sentence
from eigenfall.types import Estimate


@dataclass(frozen=True)
class Doubt:
    """One thing that could be wrong: a verdict's word or "", whom it concerns, and a sentence."""

    box: str
    whom: str
    text: str


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _common(found: Sequence[Arm], setting: str) -> str:
    values = dict.fromkeys(str(record.run[setting]) for arm in found for record in arm.records if setting in record.run)
    return next(iter(values)) if len(values) == 1 else ""


def question(found: Sequence[Arm]) -> str:
    """What was asked."""
    curves = any(arm.curves("headline") for arm in found)
    smooth = any(one.smoothness for arm in found for one in arm.measurements)
    asked = "How fast do the eigenvalues of the code fall"
    asked += f"{', how smooth is it' if smooth and curves else ' and how smooth is it' if smooth else ''}"
    asked += f"{', and how robust does that leave the network' if curves else ''}?"
    if curves and not smooth and not any(one.spectra for arm in found for one in arm.measurements):
        asked = "How robust is the network?"
    data, architecture = _common(found, "data"), _common(found, "architecture")
    data = data if data.startswith("file:") else data.partition(":")[0]
    seeds = {len(arm.records) for arm in found}
    subject = "One arm" if len(found) == 1 else f"{len(found)} arms: {listed([arm.name for arm in found])}"
    subject = subject if architecture or len(found) > 1 else ""
    if not subject:
        return f"{asked} Measured on {data}." if data else asked
    each = (
        f", {max(seeds)} seed{'s' if max(seeds) > 1 else ''}{' each' if len(found) > 1 else ''}"
        if len(seeds) == 1
        else ""
    )
    network = f" of {architecture.partition(':')[0]}" if architecture else ""
    return f"{asked} {subject}{network if len(found) == 1 else ''}{f' on {data}' if data else ''}{each}."


def _apart(first: Estimate, second: Estimate) -> bool:
    return first.low > second.high or second.low > first.high


def _of_alpha(found: Sequence[Arm]) -> str:
    layers = read.every(found, lambda one: list(one.fits))
    if not layers:
        return ""
    layer = layers[-1]
    have = [(arm, read.alpha(arm, layer)) for arm in found if arm.fits(layer)]
    place = f"of the last layer ({layer})" if len(layers) > 1 else f"of {layer}"
    if len(have) == 1:
        arm, estimate = have[0]
        return f"α {place} is {sentence(estimate)} over ranks {read.windows(arm, layer)}"
    told = [f"{sentence(estimate)} in {arm.name}" for arm, estimate in have]
    spans = dict.fromkeys(read.windows(arm, layer) for arm, _ in have)
    return f"α {place} is {listed(told)}" + (f", over ranks {next(iter(spans))}" if len(spans) == 1 else "")


def _of_robustness(found: Sequence[Arm]) -> str:
    epsilon = read.budget(found, "headline")
    if epsilon is None:
        return ""
    sound = [arm for arm in found if arm.curves("headline") and not arm.failed]
    if not sound:
        return "no robustness is stated, because a check FAILs in every arm"
    norm = next(curve.threat.norm for arm in sound for curve in arm.curves("headline"))
    shares = {arm.name: percent(read.accuracy(arm, "headline", epsilon)) for arm in sound}
    top = max(sound, key=lambda arm: shares[arm.name].value)
    budget = f"ε = {epsilon:g} ({norm.replace('Linf', 'L∞')})"
    if len(sound) == 1:
        return f"{sentence(shares[top.name], ' %')} of images survive {budget}"
    against = sound[0] if top is not sound[0] else max(sound[1:], key=lambda arm: shares[arm.name].value)
    said = (
        f"{sentence(shares[top.name], ' %')} of images survive {budget} in {top.name}, against "
        f"{sentence(shares[against.name], ' %')} in {against.name}"
    )
    return said if _apart(shares[top.name], shares[against.name]) else f"{said} (the intervals overlap)"


def _of_corruptions(found: Sequence[Arm]) -> str:
    have = [(arm, read.told(arm, "mean_corruption_accuracy", severity=None)) for arm in found]
    shown = [(arm, sentence(percent(one), " %")) for arm, one in have if one is not None]
    if not shown:
        return ""
    named = [f"{share} in {arm.name}" if len(found) > 1 else share for arm, share in shown]
    return f"of corrupted images {listed(named)} are classified correctly"


def _of_checks(found: Sequence[Arm]) -> str:
    verdicts = [verdict for arm in found for one in arm.measurements for verdict in one.verdicts]
    if not verdicts:
        return ""
    checks = {word: {one.check for one in verdicts if one.verdict == word} for word in read.SEVERITY}
    ran = len({one.check for one in verdicts} - (checks["NOT RUN"] - checks["PASS"] - checks["WARN"] - checks["FAIL"]))
    idle = len({one.check for one in verdicts}) - ran
    if checks["FAIL"]:
        failing = listed([arm.name for arm in found if arm.failed])
        told = f"check{'s' if len(checks['FAIL']) > 1 else ''} {listed(sorted(checks['FAIL']))} FAIL in {failing}"
    elif checks["WARN"]:
        told = f"no check FAILs, check {listed(sorted(checks['WARN']))} WARN{'s' if len(checks['WARN']) == 1 else ''}"
    else:
        told = f"all {ran} checks that ran pass" if ran else "no check ran"
    return told + (f", {idle} more {'was' if idle == 1 else 'were'} not run" if idle and ran else "")


def kept_together(text: str) -> str:
    """The text with no break inside a range of ranks, before a per cent sign, or about an equals sign of ε."""
    return text.replace("–", "\u2060–\u2060").replace(" %", "\u00a0%").replace("ε = ", "ε\u00a0=\u00a0")


def answer(found: Sequence[Arm]) -> str:
    """The answer in one sentence."""
    every = (_of_alpha, _of_robustness, _of_corruptions, _of_checks)
    told = [said for said in (of_part(found) for of_part in every) if said]
    if not told:
        return "Nothing was measured that this page can show."
    whole = kept_together("; ".join(told))
    return f"{whole[0].upper() if whole[0].isascii() else whole[0]}{whole[1:]}."


def doubts(found: Sequence[Arm]) -> list[Doubt]:
    """Everything that a referee would hold against the numbers, most severe first."""
    raised: list[Doubt] = []
    epsilon = read.budget(found, "headline")
    for arm in found:
        by_check: dict[str, list] = {}
        for verdict in (verdict for one in arm.measurements for verdict in one.verdicts):
            by_check.setdefault(verdict.check, []).append(verdict)
        for verdicts in by_check.values():
            one = read.worst(verdicts)
            if one.verdict in ("FAIL", "WARN"):
                many = sum(other.verdict == one.verdict for other in verdicts)
                seeds = f" ({many} of {len(verdicts)} seeds)" if len(verdicts) > 1 else ""
                raised.append(Doubt(one.verdict, arm.name, f"Check {one.check}, {one.title}{seeds}. {one.finding}"))
        raised += [Doubt("", arm.name, text) for text in [*_spectral(arm), *_robust(arm, epsilon), *_stale(arm)]]
        noted = [one.notices for one in arm.measurements]
        said = " ".join(text for group in noted for text in group)
        for layer, fit in ((layer, fit) for one in arm.measurements for layer, fit in one.fits.items()):
            noted.append(tuple(f"{layer}: {text}" for text in fit.notices if text not in said))
        raised += [_noted(arm.name, text) for text in dict.fromkeys(text for group in noted for text in group)]
        if 1 < len(arm.records) < 5:
            raised.append(Doubt("", arm.name, f"{len(arm.records)} seeds; a published comparison needs five."))
        elif len(arm.records) == 1 and arm.seeds:
            raised.append(Doubt("", arm.name, "One seed: how much a new training would differ is not known."))
    idle = dict.fromkeys(
        f"{verdict.check} ({verdict.title})"
        for arm in found for one in arm.measurements for verdict in one.verdicts if verdict.verdict == "NOT RUN"
    )  # fmt: skip
    if idle:
        raised.append(Doubt("NOT RUN", "", f"{', '.join(idle)}. What a check did not look at, it did not exclude."))
    return _merged(sorted(raised, key=lambda one: {"FAIL": 0, "WARN": 1, "": 2, "NOT RUN": 3}[one.box]))


def _noted(whom: str, text: str) -> Doubt:
    """A notice; one that warns does so in a box."""
    return Doubt("WARN" if text.startswith("WARN: ") else "", whom, text.removeprefix("WARN: "))


def _merged(raised: Sequence[Doubt]) -> list[Doubt]:
    """The same sentence about several arms, or several layers, said once."""
    whom: dict[tuple[str, str], list[str]] = {}
    for one in raised:
        whom.setdefault((one.box, one.text), []).append(one.whom)
    layers: dict[tuple[str, str, str], list[str]] = {}
    for (box, text), names in whom.items():
        before, colon, rest = text.partition(": ") if not box else ("", "", text)
        layers.setdefault((box, ", ".join(dict.fromkeys(filter(None, names))), f"{colon}{rest}"), []).append(before)
    return [Doubt(box, names, ", ".join(before) + rest) for (box, names, rest), before in layers.items()]


def _spectral(arm: Arm) -> list[str]:
    said = []
    for layer in read.every([arm], lambda one: list(one.fits)):
        fits = arm.fits(layer)
        moved = dict.fromkeys((fit.asked, fit.used) for fit in fits if fit.asked != fit.used and not fit.notices)
        said += [
            f"{layer}: the window asked for was ranks {asked[0]}–{asked[1]}; ranks {used[0]}–{used[1]} were used."
            for asked, used in moved
        ]
        gone = sum(len(fit.left_out) for fit in fits)
        if gone:
            said.append(f"{layer}: left out of the fit because not positive: {gone} of the ranks in the window.")
    for layer in read.every([arm], lambda one: list(one.spectra)):
        spectra = [one.spectra[layer] for one in arm.measurements if layer in one.spectra]
        lost = [len(spectrum.eigenvalues) - spectrum.numerical_rank for spectrum in spectra]
        if any(lost):
            said.append(
                f"{layer}: {listed([str(count) for count in lost])} of {len(spectra[0].eigenvalues)} ranks lie below "
                "the numerical floor (silent or redundant units, or too few stimuli)."
            )
    return said


def _robust(arm: Arm, epsilon: float | None) -> list[str]:
    said = []
    distances = [curve.distances for curve in arm.curves("headline") if curve.distances is not None]
    if distances:
        share = math.fsum(float(seed.isinf().double().mean()) for seed in distances) / len(distances)
        last = arm.curves("headline")[0].epsilons[-1]
        if share:
            said.append(
                f"{number(100 * share, 1)} % of images survive the largest budget, ε = {last:g}: their critical "
                "distance is censored there, not known."
            )
    raw = arm.curves("ce")
    if epsilon is not None and raw and all(epsilon in curve.epsilons for curve in raw):
        gap = 100 * (read.accuracy(arm, "ce", epsilon).value - read.accuracy(arm, "headline", epsilon).value)
        if abs(gap) >= 0.05:
            said.append(
                f"Raw cross-entropy alone would have left {number(gap, 1)} points more accuracy at ε = {epsilon:g} "
                "than the worst case does."
            )
    return said


def _stale(arm: Arm) -> list[str]:
    """Staleness that training logged, per layer: the last and the largest value."""
    said = []
    keys = dict.fromkeys(key for record in arm.records for row in record.history for key in row)
    for key in keys:
        if key.rpartition("/")[2] not in ("s_R", "age", "staleness"):
            continue
        values = [float(row[key]) for record in arm.records for row in record.history if row.get(key) is not None]
        last = [[float(row[key]) for row in record.history if row.get(key) is not None] for record in arm.records]
        ends = listed([digits(found[-1]) for found in last if found])
        what = "age of the basis in steps" if key.endswith("age") else "staleness of the basis"
        said.append(f"{key.rpartition('/')[0]}: {what} was at most {digits(max(values))}; at the end {ends}.")
    return said
