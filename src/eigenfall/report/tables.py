"""Tables of the page: rows of cells, made from arms; the template only sets them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy

from eigenfall.figures.smoothness import SHORT
from eigenfall.report import arms as read
from eigenfall.report.arms import Arm
from eigenfall.report.numbers import digits, percent, value_and_interval
from eigenfall.types import Estimate, RobustnessCurve, Spectrum, Verdict


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: the value.
        interval: under it.
        note: under that, for instance the window of an exponent.
        box: a verdict's word, shown in a box before the text.
        best: bold.
    """

    text: str = ""
    interval: str = ""
    note: str = ""
    box: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A row: its name, the look of its arm if it is one, a note under the name, and the cells."""

    name: str
    cells: tuple[Cell, ...]
    note: str = ""
    order: int | None = None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: what it shows.
        columns: heading of each column, and a second line under it.
        rows: the rows.
        corner: heading of the first column.
    """

    caption: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    corner: str = "arm"


Better = Literal["high", "low", ""]


def cell(estimate: Estimate | None, note: str = "") -> Cell:
    """An estimate as a cell; a dash where there is none."""
    if estimate is None:
        return Cell("–")
    value, interval = value_and_interval(estimate)
    return Cell(value, interval, note)


def best(estimates: Sequence[Estimate | None], better: Better) -> int | None:
    """Which estimate is best, if its interval parts from every other's; else none is."""
    known = [(place, one) for place, one in enumerate(estimates) if one is not None and math.isfinite(one.value)]
    if better == "" or len(known) < 2:
        return None
    sign = 1 if better == "high" else -1
    place, top = max(known, key=lambda entry: sign * entry[1].value)
    others = [one for other, one in known if other != place]
    parts = all(one.high < top.low if better == "high" else one.low > top.high for one in others)
    return place if parts else None


def column(estimates: Sequence[Estimate | None], better: Better, notes: Sequence[str] = ()) -> list[Cell]:
    """Estimates as cells, the best bold, each with its note."""
    bold = best(estimates, better)
    notes = notes or [""] * len(estimates)
    return [replace(cell(one, note), best=place == bold) for place, (one, note) in enumerate(zip(estimates, notes))]


def rows_of(found: Sequence[Arm], columns: Sequence[Sequence[Cell]]) -> tuple[Row, ...]:
    """A row per arm, from columns of cells."""

    def seeds(arm: Arm) -> str:
        return "" if not arm.seeds else f"{'seeds' if len(arm.records) > 1 else 'seed'} {arm.seeds}"

    return tuple(
        Row(arm.name, tuple(column[place] for column in columns), seeds(arm), arm.order)
        for place, arm in enumerate(found)
    )


def over(estimates: Sequence[Estimate | None]) -> str:
    """What the intervals are over, in words."""
    kinds = dict.fromkeys(one.over for one in estimates if one is not None and not math.isnan(one.low))
    return " and ".join(kinds)


def summary(found: Sequence[Arm]) -> Table:
    """A row per arm, a column per number; a FAIL where a failed check forbids the robustness numbers."""
    headings: list[tuple[str, str]] = []
    columns: list[list[Cell]] = []

    def add(title: str, unit: str, estimates: Sequence[Estimate | None], better: Better, notes: Sequence[str] = ()):
        spread = over(estimates)
        headings.append((title, f"{unit}{'; ' if unit and spread else ''}{f'over {spread}' if spread else ''}"))
        columns.append(column(estimates, better, notes))

    clean = [read.clean_accuracy(arm) for arm in found]
    if any(math.isfinite(one.value) for one in clean):
        add("clean accuracy", "%", [percent(one) for one in clean], "high")
    for name, words in (("headline", "worst case"), ("fgsm", "FGSM"), ("noise", "noise")):
        epsilon = read.budget(found, name)
        if name == "fgsm":
            epsilon = read.shared(found, name, read.budget(found, "headline"))
        if epsilon is None:
            continue
        shares = [read.accuracy(arm, name, epsilon) for arm in found]
        symbol = "σ" if name == "noise" else "ε"
        add(f"{words}, {symbol} = {epsilon:g}", "%", [percent(one) for one in shares], "high")
        if name == "headline":
            columns[-1] = [_blocked(arm, shown) for arm, shown in zip(found, columns[-1])]
    for layer in read.every(found, lambda one: list(one.fits)):
        add(
            f"α of {layer}", "", [read.alpha(arm, layer) for arm in found], "",
            [read.windows(arm, layer) and f"ranks {read.windows(arm, layer)}" for arm in found],
        )  # fmt: skip
    for name in read.every(found, lambda one: list(one.smoothness)):
        quantity, layer = quantity_and_layer(found, name)
        if name == layer or layer == "outputs":  # other measures of hidden layers stand with their distributions
            better = "low" if quantity.startswith("‖J‖") else ""
            add(quantity, "median", [read.smoothness(arm, name) for arm in found], better)
    corrupted = [read.told(arm, "mean_corruption_accuracy", severity=None) for arm in found]
    if any(corrupted):
        spoilt = [one.corruptions for arm in found for one in arm.measurements if one.corruptions is not None]
        alike = len({str((dict(one.corruptions), one.severities)) for one in spoilt}) == 1
        add("corrupted", "%", [one and percent(one) for one in corrupted], "high" if alike else "")
    return Table(
        "One row per arm. Under each number stands its 95 % interval.", tuple(headings), rows_of(found, columns)
    )


def quantity_and_layer(found: Sequence[Arm], name: str) -> tuple[str, str]:
    """A measure of smoothness in words, and its layer; `layer/quantity#2` is a second measure of the same."""
    value = next(one.smoothness[name] for arm in found for one in arm.measurements if name in one.smoothness)
    symbol = SHORT.get(value.quantity, value.quantity.replace("_", " "))
    _, mark, number = name.removeprefix(value.layer).rpartition("#")
    where = f", {value.points}" if value.points else ""
    return f"{symbol} of {value.layer}{f', number {number}' if mark else ''}{where}", value.layer


def _blocked(arm: Arm, shown: Cell) -> Cell:
    if not arm.failed:
        return shown
    return Cell(box="FAIL", note="check " + ", ".join(verdict.check for verdict in arm.failed))


def budgets(found: Sequence[Arm]) -> Table | None:
    """Worst-case accuracy at every budget, absolute, and in the note divided by clean accuracy."""
    curves = [curve for arm in found for curve in arm.curves("headline")]
    if not curves:
        return None
    common = sorted(set.intersection(*(set(curve.epsilons) for curve in curves)) - {0.0})
    having = [arm for arm in found if arm.curves("headline")]
    columns = []
    for epsilon in common:
        shares = [read.accuracy(arm, "headline", epsilon) for arm in having]
        relative = [
            math.fsum(
                read.at(curve, epsilon).value / (read.clean(curve).value or math.nan)
                for curve in arm.curves("headline")
            )
            / len(arm.curves("headline"))
            for arm in having
        ]
        notes = [f"{100 * share:.0f} % of clean" if math.isfinite(share) else "" for share in relative]
        columns.append(column([percent(one) for one in shares], "high", notes))
    columns = [[_blocked(arm, shown) for arm, shown in zip(having, column)] for column in columns]
    return Table(
        "Worst-case accuracy at each budget, % of all images; under it the share of the clean accuracy.",
        tuple((f"ε = {epsilon:g}", "") for epsilon in common), rows_of(having, columns),
    )  # fmt: skip


def losses(found: Sequence[Arm]) -> Table | None:
    """Accuracy under each loss alone at the headline's budget."""
    epsilon = read.budget(found, "headline")
    names = [
        name for name in read.every(found, lambda one: list(one.curves)) if name not in ("headline", "noise", "fgsm")
    ]
    names = [
        name for name in names
        if epsilon is not None and all(epsilon in curve.epsilons for arm in found for curve in arm.curves(name))
        and all(_same_ball(curve, found) for arm in found for curve in arm.curves(name))
    ]  # fmt: skip
    if not names or epsilon is None:
        return None
    columns = []
    for name in ["headline", *names]:
        shares = [read.accuracy(arm, name, epsilon) for arm in found]
        columns.append(column([percent(one) for one in shares], ""))
    headings = [("worst case", ""), *((name, "diagnostic only" if name == "ce" else "") for name in names)]
    return Table(
        f"Accuracy at ε = {epsilon:g} under each loss alone, %. Raw cross-entropy (ce) never enters the worst case.",
        tuple(headings), rows_of(found, columns),
    )  # fmt: skip


def _same_ball(curve: RobustnessCurve, found: Sequence[Arm]) -> bool:
    """Whether a curve is of the headline's norm and bounds: a reading may have others."""
    threats = [one.threat for arm in found for one in arm.curves("headline")]
    return all((curve.threat.norm, curve.threat.bounds) == (each.norm, each.bounds) for each in threats)


def checks(found: Sequence[Arm]) -> Table | None:
    """A row per check, a column per arm: the worst verdict over seeds in a box, with its number."""
    by_check: dict[str, dict[str, list[Verdict]]] = {}
    for arm in found:
        for verdict in (verdict for one in arm.measurements for verdict in one.verdicts):
            by_check.setdefault(verdict.check, {}).setdefault(arm.name, []).append(verdict)
    if not by_check:
        return None
    rows = []
    for check, by_arm in by_check.items():
        shown = [read.worst(by_arm[arm.name]) if arm.name in by_arm else None for arm in found]
        first = next(verdict for verdict in shown if verdict)
        limits = dict.fromkeys(verdict.threshold for verdict in shown if verdict and verdict.threshold)
        cells = [
            Cell("–")
            if verdict is None
            else Cell("" if math.isnan(verdict.value) else digits(verdict.value), box=verdict.verdict)
            for verdict in shown
        ]
        rows.append(Row(f"{check} {first.title}", (*cells, Cell("; ".join(limits))), ""))
    headings = tuple((arm.name, "worst of its seeds" if len(arm.records) > 1 else "") for arm in found)
    return Table("Checks, each with its number.", (*headings, ("held against", "")), tuple(rows), corner="check")


def slope(spectrum: Spectrum, first: int, last: int) -> float:
    """Exponent by an unweighted straight line through the positive values of a window, as a diagnostic."""
    ranks = numpy.arange(first, min(last, len(spectrum.eigenvalues)) + 1)
    values = spectrum.eigenvalues[first - 1 : last].cpu().numpy()
    kept = values > 0
    if kept.sum() < 3:
        return math.nan
    return -float(numpy.polyfit(numpy.log(ranks[kept]), numpy.log(values[kept]), 1)[0])


def sensitivity(found: Sequence[Arm]) -> Table | None:
    """Exponent from the window's lower and upper half (in log rank): a power law gives the same in both."""
    layers = read.every(found, lambda one: [layer for layer in one.fits if layer in one.spectra])
    columns: list[list[Cell]] = []
    headings: list[tuple[str, str]] = []
    for layer in layers:
        for half in ("lower", "upper"):
            estimates = []
            for arm in found:
                values = []
                for one in arm.measurements:
                    if layer in one.fits and layer in one.spectra:
                        first, last = one.fits[layer].used
                        middle = round(math.sqrt(first * last))
                        ends = (first, middle) if half == "lower" else (middle, last)
                        values.append(Estimate(slope(one.spectra[layer], *ends)))
                estimates.append(read.across_seeds(values) if values else None)
            columns.append([cell(one) for one in estimates])
            headings.append((f"{layer}, {half} half", over(estimates) and f"over {over(estimates)}"))
    if not columns:
        return None
    return Table(
        "α if only half of the window is used (straight line, no weights). A power law gives the same in both halves.",
        tuple(headings), rows_of(found, columns),
    )  # fmt: skip
