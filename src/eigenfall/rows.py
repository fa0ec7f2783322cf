"""Values as tidy rows: one number each, with all it depends on. Records, tables and `--json` are made from these."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from eigenfall.distances import QUARTILES, has_distances, sizes, survivals
from eigenfall.statistics import t_interval, wilson
from eigenfall.types import (
    Diagnostics,
    Dimension,
    Estimate,
    Moments,
    Reliability,
    RobustnessCurve,
    Row,
    Spectrum,
    SpectrumFit,
    Verdict,
)


def row(quantity: str, value: float | Estimate, **about: Any) -> Row:
    """One number; an estimate brings its interval, and what does not apply is left out."""
    found: dict[str, Any] = {"quantity": quantity}
    if isinstance(value, Estimate):
        found["value"] = value.value
        if not math.isnan(value.low):
            found |= {"low": value.low, "high": value.high, "level": value.level, "over": value.over}
    else:
        found["value"] = float(value)
    found |= {name: entry for name, entry in about.items() if entry is not None and entry != ""}
    return {
        name: entry
        for name, entry in found.items()
        if name == "value" or not (isinstance(entry, float) and math.isnan(entry))
    }


def of_spectrum(
    spectrum: Spectrum, fit: SpectrumFit, layer: str, semantics: str = "default", method: str = ""
) -> Iterator[Row]:
    """Exponent, dimension and straightness of one layer; `method` is the fit in the grammar."""
    yield from of_exponent(spectrum, fit, layer, semantics, method)
    yield from of_dimensions(spectrum, layer)


def of_dimensions(spectrum: Spectrum, layer: str) -> Iterator[Row]:
    """What needs no fit: participation ratio, and the rank at which cumulative variance passes 90 %."""
    about = _about(spectrum, layer)
    yield row("participation_ratio", spectrum.participation_ratio, **about)
    yield row("rank_at_90_percent", spectrum.rank_at_90_percent, **about)


def of_exponent(
    estimate: Spectrum | Moments, fit: SpectrumFit, layer: str, semantics: str = "default", method: str = ""
) -> Iterator[Row]:
    """Exponent and straightness, or misfit, of one layer or estimator; `method` is the fit in the grammar."""
    about = {**_about(estimate, layer), "method": method or fit.method, "semantics": semantics, **_window(fit)}
    yield row("alpha", fit.parameters["alpha"], **about)
    if isinstance(estimate, Spectrum):
        yield row("straightness", fit.r2, **about)
    for name, value in fit.statistics.items():
        yield row(f"fit_{name}", value, **about)


def _about(estimate: Spectrum | Moments, layer: str) -> dict[str, Any]:
    return {
        "layer": layer,
        "estimator": estimate.estimator,
        "target": estimate.target,
        "n": estimate.stimuli,
        "units": estimate.units,
        "repeats": estimate.repeats,
    }


def _window(fit: SpectrumFit) -> dict[str, Any]:
    return {
        "first_rank": fit.used[0],
        "last_rank": fit.used[1],
        "weights": fit.weights,
        "ranks_left_out": len(fit.left_out),
    }


def of_diagnostics(found: Diagnostics, layer: str) -> Iterator[Row]:
    """What stands beside an exponent: other laws and windows, other sources of variation, curves, simulations."""
    for fit in found.fits:
        about = {"layer": layer, "estimator": fit.estimator, "target": fit.target, "method": fit.method}
        for name, value in fit.parameters.items():
            yield row(f"other_{name}", value, **about, **_window(fit))
    for fit in found.windows:
        about = {"layer": layer, "estimator": fit.estimator, "target": fit.target, "method": fit.method}
        yield row("window_alpha", fit.parameters["alpha"], **about, **_window(fit))
    for source, value in found.over.items():
        yield row(f"alpha_over_{source.replace(' ', '_')}", value, layer=layer)
    for curve in found.subsampling:
        for count, alpha, (first, last) in zip(curve.counts.tolist(), curve.alphas, curve.windows):
            about = {"layer": layer, "subsampled": curve.over, "count": count}
            yield row("subsampled_alpha", alpha, **about, first_rank=first, last_rank=last)
    for bias in found.bias:
        about = {"layer": layer, "estimator": bias.estimator, "method": bias.method, "runs": bias.runs}
        about |= {"n": bias.stimuli, "units": bias.units, "signal_share": bias.signal_share}
        about |= {"alignment": bias.alignment, "noise_alpha": bias.noise_alpha, "planted_alpha": bias.truth}
        yield row("simulated_alpha", bias.found, **about)
        yield row("simulated_bias", bias.found.value - bias.truth, **about)
        yield row("simulated_spread", bias.spread, **about)
    for law in found.laws:
        about = {"layer": layer, "law": law.fit.law, "method": law.fit.method, "splits": law.splits}
        yield row("law_error", law.error, **about)
        yield row("law_against_power", law.against_power, **about)


def of_dimension(found: Dimension) -> Iterator[Row]:
    """A dimension, and how it depends on its scale."""
    about = {"method": found.method, "of": found.of, "target": found.target, "convention": found.convention}
    about |= {"n": found.stimuli, "units": found.units, "repeats": found.repeats}
    yield row(found.name, found.value, **about)
    if found.scales is not None and found.by_scale is not None:
        for scale, value in zip(found.scales.tolist(), found.by_scale.tolist()):
            yield row(f"{found.name}_by_scale", value, **about, scale_of=found.scale, at=scale)


def of_reliability(found: Reliability) -> Iterator[Row]:
    """Share of signal in the variance of all units together, and of units by quartile."""
    share = found.signal_share[~found.signal_share.isnan()]
    yield row("signal_share", found.total, statistic="total", units=len(share))
    for name, place in (("lower quartile", 0.25), ("median", 0.5), ("upper quartile", 0.75)) if len(share) else ():
        yield row("signal_share", float(share.quantile(place)), statistic=name, units=len(share))


def of_clean(correct: torch.Tensor) -> Row:
    """Clean accuracy with Wilson's interval over images."""
    count = int(correct.sum())
    return row("clean_accuracy", Estimate(*wilson(count, len(correct)), over="images"), n=len(correct))


def of_curve(name: str, curve: RobustnessCurve, verdict: str = "") -> Iterator[Row]:
    """Accuracy at each epsilon; repeated noise gives mean and worst of its draws."""
    about: dict[str, Any] = {
        "attack": name,
        "method": " + ".join(curve.attacks.values()),
        "norm": curve.threat.norm,
        "unit": curve.threat.unit,
        "n": curve.broken.shape[2],
        "verdict": verdict,
        "reach": min(curve.reach.values(), default=None),
    }
    if about["reach"] == math.inf:
        del about["reach"]
    clean = float(curve.clean_correct.double().mean())
    noisy = curve.flip_probability is not None
    if noisy:
        for epsilon, value in zip(curve.epsilons, curve.mean_accuracy()):
            yield row("noise_accuracy", value, epsilon=epsilon, **about)
    for epsilon, value in zip(curve.epsilons, curve.accuracy()):
        yield row("worst_draw_accuracy" if noisy else "robust_accuracy", value, epsilon=epsilon, **about)
        if not noisy and clean > 0:
            yield row("relative_robust_accuracy", value.value / clean, epsilon=epsilon, **about)
    if has_distances(curve):
        for key in ("norm", "unit", "n"):
            del about[key]
        yield from of_distances(curve, **about)


def of_distances(curve: RobustnessCurve, keep: torch.Tensor | None = None, /, **about: Any) -> Iterator[Row]:
    """Quartiles of the critical distance in each norm and unit: infinite if that many stand at the largest epsilon.

    Beside them, under an Linf threat, the median L2 norm of what broke an image, of the broken ones only.
    """
    for (norm, unit), stands in survivals(curve, keep).items():
        shared = {**about, "norm": norm, "unit": unit, "n": stands.inputs, "censored": stands.censored}
        for name, share in QUARTILES.items():
            value = Estimate(*stands.quantile(share), over="images")
            beyond = f"> {stands.largest:g}" if math.isinf(value.value) else None
            yield row("critical_distance", value, statistic=name, beyond=beyond, **shared)
    lengths = sizes(curve, keep)
    if curve.threat.norm != "L2" and len(lengths):
        shared = {**about, "norm": "L2", "unit": curve.threat.unit, "n": len(lengths), "statistic": "median"}
        yield row("perturbation_size", float(lengths.median()), **shared)
        if curve.input_size:
            rms = float(lengths.median()) / math.sqrt(curve.input_size)
            yield row("perturbation_size", rms, **{**shared, "norm": "rms"})


def of_gap(curves: Mapping[str, RobustnessCurve], name: str) -> Iterator[Row]:
    """What the headline's other attacks leave standing that this one breaks, at each epsilon; nothing without it."""
    if name not in curves or "headline" not in curves:
        return
    whole = curves["headline"]
    others = [row for row, attack in enumerate(whole.attacks) if attack != name]
    gaps = (~whole.broken[others].any(0)).double().mean(1) - (~whole.broken.any(0)).double().mean(1)
    for epsilon, gap in zip(whole.epsilons, gaps.tolist()):
        yield row("headline_gap", gap, attack=name, epsilon=epsilon, norm=whole.threat.norm, n=whole.broken.shape[2])


def of_randomised(measured: Mapping[str, float], **about: Any) -> Iterator[Row]:
    """Mean accuracy over draws of a model that draws at random, at each epsilon, with the deviation over draws."""
    name = "randomised_accuracy "
    for key, value in measured.items():
        if key.startswith(name):
            epsilon = key.removeprefix(name)
            spread = measured[f"randomised_spread {epsilon}"]
            yield row("randomised_accuracy", value, epsilon=float(epsilon), spread=spread, **about)


def of_verdicts(verdicts: Iterable[Verdict]) -> Iterator[Row]:
    """Each check with its number."""
    for found in verdicts:
        yield row(
            "check", found.value, check=found.check, title=found.title, verdict=found.verdict, threshold=found.threshold
        )


def with_context(rows: Iterable[Row], context: Mapping[str, Any]) -> tuple[Row, ...]:
    """Rows with what they all share: run, arm, seed, data."""
    return tuple({**entry, **context} for entry in rows)


OF_ONE_RUN = (
    "value",
    "low",
    "high",
    "level",
    "over",
    "run",
    "seed",
    "verdict",
    "ranks_left_out",
    "scale",
    "censored",
    "beyond",
    "distance",
    "extent",
    "extent_of",
    "largest_residual",
    "left_out",
    "spread",
)
"""What a row of one run says of that run alone; the rest says what it is a number of."""

NOT_AVERAGED = ("check",)


def over_seeds(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The mean over seeds of each number of each arm, with Student's interval; `seeds` counts them.

    A window that is clipped to the numerical rank may end elsewhere from seed to seed: then first and last rank are
    left out of the mean's row.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for entry in rows:
        if entry["quantity"] in NOT_AVERAGED:
            continue
        about = {name: value for name, value in entry.items() if name not in (*OF_ONE_RUN, "first_rank", "last_rank")}
        groups.setdefault(tuple(sorted((name, str(value)) for name, value in about.items())), []).append(entry)
    found = []
    for same in groups.values():
        mean, low, high = t_interval([entry["value"] for entry in same])
        about = {name: value for name, value in same[0].items() if name not in OF_ONE_RUN}
        for name in ("first_rank", "last_rank"):
            if len({entry.get(name) for entry in same}) > 1:
                about.pop(name, None)
        quantity = about.pop("quantity")
        verdict = "FAIL" if any(entry.get("verdict") == "FAIL" for entry in same) else None
        if quantity.endswith("accuracy"):
            low, high = max(low, 0.0), min(high, 1.0)
        estimate = Estimate(mean, low, high, over="seeds")
        found.append(
            row(quantity, estimate, **about, seeds=len({entry.get("seed") for entry in same}), verdict=verdict)
        )
    return tuple(found)


ALWAYS = ("layer", "attack", "epsilon")
FIRST = ("statistic", "norm", "unit", "points", "check", "penalty", "estimator")


def labels(rows: Sequence[Row]) -> tuple[str, ...]:
    """A short name for each number, no two alike: its quantity, and as much of the rest as tells it from the others.

    Example:
        >>> labels([row("alpha", 1.0, layer="fc1", n=9), row("alpha", 2.0, layer="fc2", n=9)])
        ('alpha/fc1', 'alpha/fc2')
    """
    groups: dict[str, list[int]] = {}
    for number, entry in enumerate(rows):
        groups.setdefault(entry["quantity"], []).append(number)
    found = [""] * len(rows)
    for quantity, numbers in groups.items():
        same = [rows[number] for number in numbers]
        keys = [key for key in ALWAYS if any(key in entry for entry in same)]
        rest = [key for entry in same for key in entry if key not in (*OF_ONE_RUN, *ALWAYS, "quantity")]
        for key in (*FIRST, *dict.fromkeys(rest)):
            if len(_told(same, keys)) < len(_told(same, [*keys, key])):
                keys.append(key)
        taken: dict[str, int] = {}
        for number in numbers:
            name = "/".join([quantity, *(_said(key, rows[number][key]) for key in keys if key in rows[number])])
            taken[name] = taken.get(name, 0) + 1
            found[number] = name if taken[name] == 1 else f"{name}~{taken[name]}"
    return tuple(found)


def _told(rows: Sequence[Row], keys: Sequence[str]) -> set[tuple[str, ...]]:
    """What rows say under these keys, each once."""
    return {tuple(str(entry.get(key)) for key in keys) for entry in rows}


def _said(key: str, entry: Any) -> str:
    return entry if isinstance(entry, str) else f"{key}={entry}"
