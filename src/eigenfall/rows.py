"""Values as tidy rows: one number each, with all it depends on. Records, tables and `--json` are made from these."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from eigenfall.statistics import t_interval, wilson
from eigenfall.types import Estimate, RobustnessCurve, Row, Smoothness, Spectrum, SpectrumFit, Verdict


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
    about: dict[str, Any] = {
        "layer": layer,
        "estimator": spectrum.estimator,
        "target": spectrum.target,
        "n": spectrum.stimuli,
        "units": spectrum.units,
        "repeats": spectrum.repeats,
    }
    window = {
        "method": method or fit.method,
        "semantics": semantics,
        "first_rank": fit.used[0],
        "last_rank": fit.used[1],
        "weights": fit.weights,
        "ranks_left_out": len(fit.left_out),
    }
    yield row("alpha", fit.parameters["alpha"], **about, **window)
    yield row("straightness", fit.r2, **about, **window)
    yield row("participation_ratio", spectrum.participation_ratio, **about)
    yield row("rank_at_90_percent", spectrum.rank_at_90_percent, **about)


def of_smoothness(smoothness: Smoothness) -> Iterator[Row]:
    """Mean with its interval over inputs, and quantiles, raw and over the layer's own scale."""
    values = smoothness.values
    mean, low, high = t_interval(values.tolist())
    about = {"layer": smoothness.layer, "method": smoothness.method, "n": len(values)}
    yield row(smoothness.quantity, Estimate(mean, low, high, over="images"), statistic="mean", **about)
    for name, share in (("lower quartile", 0.25), ("median", 0.5), ("upper quartile", 0.75), ("95th percentile", 0.95)):
        yield row(smoothness.quantity, float(values.quantile(share)), statistic=name, **about)
    if smoothness.scale > 0:
        over = Estimate(mean / smoothness.scale, low / smoothness.scale, high / smoothness.scale, over="images")
        yield row(f"relative_{smoothness.quantity}", over, statistic="mean", scale=smoothness.scale, **about)


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
    if not noisy and curve.distances is not None:
        censored = int(curve.distances.isinf().sum())
        middle = float(curve.distances.sort().values[(len(curve.distances) - 1) // 2])
        shown = {**about, "censored": censored, "largest_epsilon": curve.epsilons[-1], "statistic": "median"}
        if math.isfinite(middle):
            yield row("critical_distance", middle, **shown)


def of_verdicts(verdicts: Iterable[Verdict]) -> Iterator[Row]:
    """Each check with its number."""
    for found in verdicts:
        yield row(
            "check", found.value, check=found.check, title=found.title, verdict=found.verdict, threshold=found.threshold
        )


def with_context(rows: Iterable[Row], context: Mapping[str, Any]) -> tuple[Row, ...]:
    """Rows with what they all share: run, arm, seed, data."""
    return tuple({**entry, **context} for entry in rows)


OF_ONE_RUN = ("value", "low", "high", "level", "over", "run", "seed", "verdict", "ranks_left_out", "scale", "censored")
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
