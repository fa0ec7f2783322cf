"""Accuracy under corruptions by severity, and the mean corruption error over seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from eigenfall.corruptionerror import mean_corruption_error
from eigenfall.figures.style import Series, across_seeds
from eigenfall.types import CorruptionCurve, Estimate


def mean_errors(curves: Mapping[Any, CorruptionCurve], baselines: Mapping[Any, CorruptionCurve]) -> Estimate | None:
    """Mean corruption error relative to a baseline, over the seeds that both have.

    Args:
        curves: by seed, or whatever else says which images and draws they are of.
        baselines: by the same.

    Returns:
        The mean over seeds; `None` without a seed in common, if the two were not corrupted alike, or if the baseline
        makes no error under some corruption.
    """
    found = []
    for seed in sorted(curves.keys() & baselines.keys()):
        try:
            found.append(mean_corruption_error(curves[seed], baselines[seed]))
        except ValueError:
            return None
    return across_seeds(found, 0.0) if found else None


def by_severity(ax: Any, curves: Sequence[CorruptionCurve], label: str, look: Series) -> None:
    """Mean accuracy over corruptions at each severity, clean accuracy at 0; the band is over seeds, else over images.

    Args:
        ax: the axes.
        curves: one per seed.
        label: name in the legend.
        look: colour, mark and line.
    """
    alike = [curve for curve in curves if curve.severities == curves[0].severities]
    means = [across_seeds(found, 0.0, 1.0) for found in zip(*(curve.mean_accuracy() for curve in alike))]
    clean = math.fsum(float(curve.clean_correct.double().mean()) for curve in alike) / len(alike)
    places, severities = [0, *alike[0].severities], list(alike[0].severities)
    ax.plot(
        places, [clean, *(mean.value for mean in means)], color=look.colour, linewidth=2, linestyle=look.line,
        marker=look.mark, markersize=5, label=label, gid="series",
    )  # fmt: skip
    ends = [(mean.value, mean.value) if math.isnan(mean.low) else (mean.low, mean.high) for mean in means]
    ax.fill_between(severities, *zip(*ends), color=look.colour, alpha=0.16, linewidth=0)
    ax.set_xticks(places, ["clean", *map(str, severities)])
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("severity")
    ax.set_ylabel("accuracy, mean over corruptions")
