"""What a robustness curve says against itself, judged from printed numbers alone.

Of a published curve there are only accuracies at budgets and a number of images: enough for check a, and for the part
of check b that shows in accuracies, since images that recover raise them again.

Source: `docs/robustness.md` §5, curve-only test.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from eigenfall.check import need
from eigenfall.checks.monotone import Monotone
from eigenfall.checks.unbounded import Unbounded
from eigenfall.types import Evidence, Verdict


def judged_curve(
    accuracies: Mapping[float, float], images: int, span: float, largest_class: float = math.nan
) -> tuple[Verdict, Verdict]:
    """Verdicts of checks a and b on a curve of accuracy under an Linf attack.

    Args:
        accuracies: epsilon to accuracy in [0, 1].
        images: how many the accuracies are shares of.
        span: from the lowest to the highest value of an input, in epsilon's unit: at half of it every image can
            become the same grey.
        largest_class: share of the images that the most frequent class has, if it is known.

    Returns:
        Check a, of the accuracy at the smallest epsilon of half the span or more; NOT RUN if there is none. Check b,
        of how many images must have recovered between two budgets; at most a WARN, since accuracies do not say which
        images they were, nor whether each budget was attacked by the same draws.

    Raises:
        ValueError: for an accuracy outside [0, 1], no curve, no image, or no span.

    Example:
        >>> [verdict.verdict for verdict in judged_curve({0: 0.9, 0.1: 0.3, 0.2: 0.5, 0.5: 0.0}, images=500, span=1)]
        ['PASS', 'WARN']
    """
    need(
        len(accuracies) >= 1 and all(0 <= one <= 1 for one in accuracies.values()),
        expected="accuracies from 0 to 1, one for each epsilon",
        got=", ".join(f"{one:g}" for one in accuracies.values()) or "none",
        remedy="Divide percentages by 100.",
    )
    need(
        images >= 1 and span > 0 and math.isfinite(span),
        expected="at least one image, and inputs that span something",
        got=f"images={images}, span={span:g}",
        remedy="Give the number of test images, and highest less lowest input in epsilon's unit.",
    )
    measured = {"images": float(images), "largest_class": largest_class}
    settings = {"unbounded": f"no epsilon spans half the range, {span / 2:g}"}
    enough = sorted(epsilon for epsilon in accuracies if epsilon >= span / 2)
    if enough:
        measured |= {"unbounded": accuracies[enough[0]], "unbounded_epsilon": enough[0]}
    values = [accuracies[epsilon] for epsilon in sorted(accuracies)]
    rise = max((later - earlier for earlier, later in combinations(values, 2)), default=0.0)
    measured["recovered"] = float(round(max(0.0, rise) * images))
    evidence = Evidence({}, measured, settings)
    falls = Monotone(least=1)(evidence)
    return Unbounded()(evidence), replace(falls, verdict="WARN") if falls.verdict == "FAIL" else falls
