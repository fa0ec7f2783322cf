"""The numbers of recordings: their exponents with all that they depend on, their dimensions, and what was simulated."""

import math
from collections.abc import Sequence

from eigenfall.figures import called
from eigenfall.report.numbers import decimals, digits, number, plus_minus, sentence, value_and_interval
from eigenfall.report.recorded import REFUSED, Recorded, bias_of, fits, off, ranks, refused
from eigenfall.report.tables import Cell, Row, Table, cell
from eigenfall.types import Dimension, Estimate, SimulatedBias, SpectrumFit

WEIGHTS = {"none": "no weights", "1/n": "weights 1/n"}


# ------------------------------------------------------------------------------ exponents


def exponents(found: Sequence[Recorded]) -> Table:
    """A row per estimator and fit: exponent with interval, target, window, other sources, straightness, simulation."""
    every = [(one, key, fit, main) for one in found for key, fit, main in fits(one)]
    sources = list(
        dict.fromkeys(
            source for one in found for beside in one.measurement.diagnostics.values() for source in beside.over
        )
    )
    simulated = any(beside.bias for one in found for beside in one.measurement.diagnostics.values())
    straight = any(_straight(fit).text for _, _, fit, _ in every)
    headings = [("α", "over stimuli"), ("target", ""), ("ranks", "")]
    headings += [("interval", f"over {source}") for source in sources]
    headings += [("straightness", "")] * straight + [("bias at this size", "simulated")] * simulated
    rows = []
    for one, key, fit, main in every:
        beside = one.measurement.diagnostics.get(key)
        cells = [_alpha(fit), Cell(fit.target), _window(fit)]
        cells += [_interval(beside.over.get(source) if beside and main else None) for source in sources]
        cells += [_straight(fit)] * straight
        if simulated:
            cells.append(_bias(bias_of(one, key, fit), fit))
        note = called(fit.method) + (f", {fit.law} law" if fit.method.startswith("momentlaw") else "")
        rows.append(Row(one.named(key), tuple(cells), note, one.order[key]))
    return Table(
        "Exponents, λₙ ∝ n⁻ᵅ, each with its 95 % interval under it.", tuple(headings), tuple(rows), corner="estimator"
    )


def _alpha(fit: SpectrumFit) -> Cell:
    alpha = fit.parameters["alpha"]
    note = "" if alpha.over in ("", "stimuli") else f"over {alpha.over}"
    if "break_rank" in fit.parameters:
        before = f"; before it {digits(fit.parameters['alpha_1'].value)}" if "alpha_1" in fit.parameters else ""
        note = f"beyond rank {digits(round(fit.parameters['break_rank'].value))}{before}"
    elif fit.law != "power":
        note = "at the window’s middle"
    return cell(alpha, note)


def _window(fit: SpectrumFit) -> Cell:
    notes = [f"{len(fit.left_out)} left out"] if fit.left_out else []
    if fit.resampled not in (None, fit.used):
        notes.append(f"interval: {fit.resampled[0]}–{fit.resampled[1]}")
    return Cell(ranks(fit), WEIGHTS.get(fit.weights, ""), "; ".join(notes))


def _interval(estimate: Estimate | None) -> Cell:
    """The interval alone: the value is that of the first column."""
    if estimate is None:
        return Cell("–")
    return Cell(value_and_interval(estimate)[1] or "–")


def _straight(fit: SpectrumFit) -> Cell:
    if "chi2" in fit.statistics:
        p = fit.statistics.get("p", math.nan)
        shown = "p < 0.001" if p < REFUSED else f"p = {p:.2g}"
        text = f"χ² = {digits(fit.statistics['chi2'])}"
        return Cell(
            text, f"{fit.statistics.get('freedom', math.nan):g} free, {shown}", box="WARN" if refused(fit) else ""
        )
    if math.isfinite(fit.r2):
        return Cell(f"r² = {fit.r2:.3f}", f"misfit {digits(fit.misfit)}" if math.isfinite(fit.misfit) else "")
    return Cell(f"misfit {digits(fit.misfit)}") if math.isfinite(fit.misfit) else Cell("")


def _bias(bias: SimulatedBias | None, fit: SpectrumFit) -> Cell:
    if bias is None or not math.isfinite(bias.truth):
        return Cell("–")
    away = off(bias)
    places = decimals(away)
    return Cell(
        plus_minus(away),
        f"{bias.runs} recordings",
        f"less it: α = {number(fit.alpha - away.value, places)}",
    )


def reading(found: Sequence[Recorded]) -> str:
    """How to read the table of exponents."""
    said = ["α holds for the ranks beside it only. Each interval says over what it varies; they do not add up."]
    if any(bias_of(one, key, fit) for one in found for key, fit, _ in fits(one)):
        said.append(
            "Bias: mean over simulated recordings of this size, noise and signal less the exponent that was planted. "
            "No exponent on this page is corrected by it; “less it” says what it would read."
        )
    return " ".join(said)


def targets(found: Sequence[Recorded]) -> str:
    """A warning where exponents of different targets stand side by side; else nothing."""
    by_target: dict[str, dict[str, None]] = {}
    for one in found:
        for key, fit, _ in fits(one):
            usual = fit.target == one.target(key)
            name = called(key) if usual else f"{called(fit.method)} of {called(key)}"
            by_target.setdefault(fit.target, {})[name] = None
    if len(by_target) < 2:
        return ""
    told = "; ".join(f"{target}: {', '.join(names)}" for target, names in by_target.items())
    return f"Targets differ ({told}). Exponents of different targets are not comparable."


# ------------------------------------------------------------------------------ dimensions


def dimensions(found: Sequence[Recorded]) -> Table | None:
    """A row per dimension: value with interval, what it is of, and, of an exponent, its convention."""
    every = [(one, key, value) for one in found for key, value in one.measurement.dimensions.items()]
    if not every:
        return None
    exponent = any(value.convention for _, _, value in every)
    headings = [("value", ""), ("of", ""), ("target", "")] + [("convention", "of an exponent")] * exponent
    rows = []
    for one, key, value in every:
        cells = [_dimension(value), Cell(value.of), Cell(value.target)] + [Cell(_convention(value))] * exponent
        name = called(key)
        rows.append(Row(f"{one.label}: {name}" if one.label else name, tuple(cells)))
    return Table("Dimensions.", tuple(headings), tuple(rows), corner="measure")


def _dimension(value: Dimension) -> Cell:
    return cell(value.value, f"over {value.value.over}" if value.value.over and math.isfinite(value.value.low) else "")


def _convention(value: Dimension) -> str:
    return {"rank": "rank, λₙ ∝ n⁻ᵅ", "density": "density, p(λ) ∝ λ⁻ᵃ, a = 1 + 1/α", "": ""}[value.convention]


# ------------------------------------------------------------------------------ in words


def answer(found: Sequence[Recorded]) -> str:
    """The exponents of a recording in one sentence; of several, their ranges by estimator."""
    if len(found) == 1:
        told = [
            f"{sentence(fit.parameters['alpha'])} by {called(key)} (ranks {ranks(fit)}, {fit.target}"
            f"{'; the law does not hold' if refused(fit) else ''})"
            for key, fit in found[0].measurement.fits.items()
        ]
    else:
        by_estimator: dict[str, list[float]] = {}
        for one in found:
            for key, fit in one.measurement.fits.items():
                by_estimator.setdefault(called(key), []).append(fit.alpha)
        told = [
            f"{number(min(values), 2)} to {number(max(values), 2)} by {name}" for name, values in by_estimator.items()
        ]
    if not told:
        return "No exponent could be fitted"
    words = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    return f"α is {words}" if len(found) == 1 else f"Over {len(found)} recordings, α is {words}"


def simulated(one: Recorded, key: str) -> list[str]:
    """What was simulated for an estimator, in sentences, a paragraph per fit."""
    said = []
    for fit in [fit for name, fit, _ in fits(one) if name == key]:
        bias = bias_of(one, key, fit)
        if bias is None or not math.isfinite(bias.truth):
            continue
        away = off(bias)
        clean = (
            f" Noise-free responses of this size give {number(bias.sample_truth, 2)}."
            if math.isfinite(bias.sample_truth)
            else ""
        )
        said.append(
            f"{called(fit.method)[:1].upper()}{called(fit.method)[1:]} at this size and signal-to-noise "
            f"({bias.stimuli} stimuli, {bias.units} units, signal share {number(bias.signal_share, 2)}): where "
            f"{number(bias.truth, 2)} is planted, {sentence(bias.found)} is found, a bias of {plus_minus(away)} over "
            f"{bias.runs} simulated recordings that scatter by {number(bias.spread, max(decimals(away), 2))}.{clean} "
            f"The recording’s α = {number(fit.alpha, 2)} less that bias would read "
            f"{number(fit.alpha - away.value, 2)}."
        )
    return said
