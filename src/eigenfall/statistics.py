"""Intervals and paired tests: Wilson, t over seeds, McNemar, Holm."""

import math
from collections.abc import Sequence

from scipy import stats

from eigenfall.check import need


def wilson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float, float, float]:
    """Proportion with Wilson's score interval.

    Args:
        successes: how many of the trials held.
        trials: how many trials, at least 1.
        level: nominal coverage.

    Returns:
        The proportion, the interval's lower and upper end, and the level.

    Raises:
        ValueError: if there are no trials, or more successes than trials.

    Source: Wilson 1927, JASA 22, 209-212.
    """
    need(
        trials >= 1 and 0 <= successes <= trials,
        expected="between 0 and n successes in n ≥ 1 trials",
        got=f"{successes} in {trials}",
        remedy="Give at least one input.",
    )
    z = float(stats.norm.ppf(0.5 + level / 2))
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)), level


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of independent values with Student's interval; NaN ends for fewer than two values.

    Returns:
        Mean, lower end, upper end.

    Raises:
        ValueError: if there is no value.
    """
    need(len(values) >= 1, expected="at least one value", got="none", remedy="Give a run per seed.")
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan, math.nan
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * math.sqrt(variance / len(values))
    return mean, mean - half, mean + half
