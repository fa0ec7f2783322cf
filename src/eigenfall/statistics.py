"""Intervals and tests: Wilson, t over seeds and over splits, paired t, Welch, bootstrap, McNemar mid-p, Holm."""

import math
from collections.abc import Callable, Sequence

import scipy
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eigenfall.check import need

FEWEST_ROWS = 10
"""Rows of which a bootstrap's interval is wide enough."""
AT_ONCE = 2**22
"""Rows that a bootstrap draws at once: 32 MB of indices."""


def normal_reach(level: float) -> float:
    """How many standard errors a normal interval of this coverage reaches to each side."""
    return float(scipy.special.ndtri(0.5 + level / 2))  # as scipy.stats, which is slow to import, has it


def t_reach(level: float, freedom: float) -> float:
    """The same of Student's t with so many degrees of freedom."""
    return float(scipy.special.stdtrit(freedom, 0.5 + level / 2))


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
    share = successes / trials
    low, high = wilson_ends(share, trials, level)
    return share, low, high, level


def wilson_ends(share: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Ends of Wilson's interval of a share; trials may be an effective number, not a whole one."""
    z = normal_reach(level)
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of independent values with Student's interval; NaN ends for fewer than two values.

    Returns:
        Mean, lower end, upper end.

    Raises:
        ValueError: if there is no value.
    """
    need(len(values) >= 1, expected="at least one value", got="none", remedy="Give a run per seed.")
    if len(values) < 2:
        return float(values[0]), math.nan, math.nan
    mean, variance = _mean_and_variance(values)
    half = t_reach(level, len(values) - 1) * math.sqrt(variance / len(values))
    return mean, mean - half, mean + half


def resampled_t(
    values: Sequence[float], splits: int, test_over_train: float, level: float = 0.95
) -> tuple[float, float]:
    """Mean over random splits of the same data, and the reach of its corrected resampled t interval.

        reach = t · √(1/J + n_test/n_train) · s.d. of the values,   J splits, J − 1 degrees of freedom

    Splits share data, so that their mean does not settle as that of independent values would: with many splits the
    reach goes to t · √(n_test/n_train) · s.d., never to 0.

    Args:
        values: of all splits; one each, or one for each way round.
        splits: how many splits there were.
        test_over_train: size of the held-out part over that of the other; 1 for halves.
        level: nominal coverage.

    Raises:
        ValueError: for fewer than two splits, or fewer values than splits.

    Source: Nadeau & Bengio 2003, Machine Learning 52, doi:10.1023/A:1024068626366.
    """
    need(
        2 <= splits <= len(values),
        expected="two splits or more, and a value of each",
        got=f"{splits} splits and {len(values)} values",
        remedy="Take 20 splits.",
    )
    mean, variance = _mean_and_variance(values)
    reach = t_reach(level, splits - 1)
    return mean, reach * math.sqrt((1 / splits + test_over_train) * variance)


def paired_t(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of Student's t on the differences of pairs, such as two arms at the same seeds.

    NaN for fewer than two pairs. Equal differences have no spread: p is 1 if they are zero, else 0.

    Raises:
        ValueError: if there are not as many of one as of the other.
    """
    need(
        len(first) == len(second),
        expected="pairs",
        got=f"{len(first)} and {len(second)} values",
        remedy="Pair them by seed, or use Welch's test.",
    )
    differences = [a - b for a, b in zip(first, second)]
    if len(differences) < 2:
        return math.nan
    mean, variance = _mean_and_variance(differences)
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    return _two_sided_t(mean / math.sqrt(variance / len(differences)), len(differences) - 1)


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of Welch's t for unpaired values of unequal variance; NaN for fewer than two values on a side.

    Source: Welch 1947, Biometrika 34, 28-35; degrees of freedom after Satterthwaite.
    """
    if len(first) < 2 or len(second) < 2:
        return math.nan
    difference, error, freedom = _welch(first, second)
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return _two_sided_t(difference / error, freedom)


def welch_interval(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Difference of two means of unpaired values, with Welch's interval; NaN ends for fewer than two on a side.

    Returns:
        First mean less second, lower end, upper end.

    Raises:
        ValueError: if a side has no value.
    """
    need(
        len(first) >= 1 and len(second) >= 1,
        expected="at least one value on each side",
        got=f"{len(first)} and {len(second)}",
        remedy="Give a run per seed.",
    )
    if len(first) < 2 or len(second) < 2:
        return math.fsum(first) / len(first) - math.fsum(second) / len(second), math.nan, math.nan
    difference, error, freedom = _welch(first, second)
    half = t_reach(level, freedom) * error if error > 0 else 0.0
    return difference, difference - half, difference + half


def _welch(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Difference of two means, its standard error, and Satterthwaite's degrees of freedom."""
    (mean, variance), (other_mean, other_variance) = _mean_and_variance(first), _mean_and_variance(second)
    a, b = variance / len(first), other_variance / len(second)
    if a + b == 0:
        return mean - other_mean, 0.0, math.inf
    return mean - other_mean, math.sqrt(a + b), (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))


def bootstrap(
    rows: int,
    statistic: Callable[[Int64[Tensor, "draws rows"]], Float[Tensor, " draws"]],
    generator: torch.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a statistic of independent rows, such as images: they are drawn with replacement.

    Args:
        rows: how many there are.
        statistic: called with the indices of the rows of each draw, gives a value for each draw.
        generator: where the draws come from.
        draws: how many.
        level: nominal coverage.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: for fewer than 10 rows, of which the interval is too narrow: of 5 seeds, by a third.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    need(
        rows >= FEWEST_ROWS,
        expected=f"at least {FEWEST_ROWS} rows for a bootstrap",
        got=f"{rows}",
        remedy="Over few seeds use Student's interval, which is as wide as it must be.",
    )
    found, count = [], max(1, AT_ONCE // rows)
    for first in range(0, draws, count):
        shape = (min(count, draws - first), rows)
        drawn = torch.randint(rows, shape, generator=generator, device=generator.device)
        found.append(statistic(drawn.cpu()).double())
    found = torch.cat(found).sort().values
    tail = (1 - level) / 2
    return float(found[math.floor(tail * (draws - 1))]), float(found[math.ceil((1 - tail) * (draws - 1))])


def _mean_and_variance(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _two_sided_t(t: float, freedom: float) -> float:
    return float(2 * scipy.special.stdtr(freedom, -abs(t)))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided mid-p of McNemar's exact test: of the discordant inputs, is each model right on half?

    Args:
        only_first: inputs that the first model gets right and the second wrong.
        only_second: the reverse.

    Returns:
        2 P(X < m) + P(X = m) for X binomial(n, ½), n discordant inputs, m the smaller count; 1 for equal counts.

    Raises:
        ValueError: for a negative count.

    Source: Fagerland, Lydersen & Laake 2013, BMC Med. Res. Methodol. 13:91.
    """
    need(
        only_first >= 0 and only_second >= 0,
        expected="two counts of discordant inputs",
        got=f"{only_first} and {only_second}",
        remedy="Count the inputs that one model alone gets right.",
    )
    total, smaller = only_first + only_second, min(only_first, only_second)
    if total == 0:
        return 1.0
    below, at = scipy.stats.binom.cdf(smaller - 1, total, 0.5), scipy.stats.binom.pmf(smaller, total, 0.5)
    return min(1.0, float(2 * below + at))


def holm(probabilities: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: reject those below the level, and the family errs at most so often.

    A NaN stays NaN and is not counted as a test.

    Source: Holm 1979, Scand. J. Statist. 6, 65-70.
    """
    order = sorted((p, place) for place, p in enumerate(probabilities) if not math.isnan(p))
    adjusted = [math.nan] * len(probabilities)
    reached = 0.0
    for rank, (p, place) in enumerate(order):
        reached = max(reached, min(1.0, (len(order) - rank) * p))
        adjusted[place] = reached
    return adjusted
