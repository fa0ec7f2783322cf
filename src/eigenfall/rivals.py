"""Rival laws of a spectrum, compared on stimuli that they were not fitted to.

    random halves A and B of the stimuli, J times, each both ways round:
        e²(A → B) = Σₙ wₙ (ln λₙ(B) − ln law(n; A))² / Σₙ wₙ
    against the power law:   d = e²(law) − e²(power),   d̄ ± t · √(1/J + 1) · s.d. of the 2J values of d

A law is fitted to the spectrum of one half, and held against that of the other, in the same window. A law with more
parameters gains nothing by following the noise of one half.

What is compared is the law of the spectrum of S/2 stimuli. A finite sample bends the power law of its population, so
that laws that bend predict such a spectrum better. `marchenkopastur` among the laws is the power law of the population,
bent as the sample bends it: where it does as well as they do, no other law is called for.

Source of the interval: Nadeau & Bengio 2003, Machine Learning 52, doi:10.1023/A:1024068626366. Splits share stimuli, so
that their standard deviation over √J would be too little, the more so the more splits there are.
Differs from the source: each split is used both ways round, and the standard deviation is taken over both. What the
two ways differ by varies as d does from data set to data set; their mean would hide it, and the interval be too short.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from eigenfall import grams
from eigenfall.check import need
from eigenfall.intervals import SHARE_REFUSED, Estimator, Fit, half, shortening
from eigenfall.laws import log_eigenvalues
from eigenfall.stages import Working, consumed, seeded, seeds
from eigenfall.statistics import resampled_t
from eigenfall.subsets import of_stimuli
from eigenfall.types import Estimate, Gram, LawScore, Responses, Spectrum, SpectrumFit, Stage
from eigenfall.windows import windowed


def score(
    responses: Responses | Gram,
    estimator: Estimator,
    laws: Sequence[Fit],
    generator: torch.Generator,
    splits: int = 20,
    level: float = 0.95,
) -> tuple[LawScore, ...]:
    """How well each law that was fitted on half of the stimuli predicts the spectrum of the others.

    Args:
        responses: in memory, a stream that is read twice per split, or a Gram matrix over stimuli.
        estimator: a part of kind spectra.
        laws: parts of kind fits with one window and weighting, a power law among them.
        generator: splits are drawn from it, and seeds for the estimator.
        splits: how many random splits.
        level: nominal coverage of the intervals.

    Returns:
        A score for each law, in their order. Where an interval of `against_power` holds 0, the data do not tell the law
        from the power law.

    Raises:
        ValueError: if the laws cannot be compared, one refuses the whole spectrum, or more than 5 % of the splits are
            refused.
    """
    return consumed(scoring(responses, estimator, laws, generator, splits, level))


def scoring(
    responses: Responses | Gram,
    estimator: Estimator,
    laws: Sequence[Fit],
    generator: torch.Generator,
    splits: int = 20,
    level: float = 0.95,
    kept: Mapping[str, Tensor] | None = None,
) -> Working[tuple[LawScore, ...]]:
    """As `score`, split by split.

    Args:
        responses: as for `score`.
        estimator: as for `score`.
        laws: as for `score`.
        generator: as for `score`.
        splits: as for `score`.
        level: as for `score`.
        kept: pieces of an earlier call that did not end.
    """
    need(splits >= 2, expected="at least two splits", got=f"splits={splits}", remedy="Take 20 or more.")
    drawn = torch.tensor(seeds(generator, splits + 1))
    drawn = kept["seeds"] if kept else drawn
    spectrum = estimator(responses, seeded(int(drawn[-1])))
    whole = [law(spectrum) for law in laws]
    power = _need_comparable(laws, whole, spectrum)
    errors = kept["errors"].clone() if kept else torch.full((splits, 2, len(laws)), torch.nan, dtype=torch.float64)
    reasons: list[str] = []
    for number in range(int(kept["at"]) if kept else 0, splits):
        try:
            found = _split(responses, spectrum.stimuli, estimator, laws, seeded(int(drawn[number])))
            errors[number] = torch.tensor(found, dtype=torch.float64)
        except ValueError as reason:
            reasons.append(str(reason))
        refused = int(errors[: number + 1, 0, 0].isnan().sum())
        need(
            refused <= SHARE_REFUSED * splits,
            expected=f"at most 5 % of {splits} splits that no law can be fitted to or held against",
            got=f"{refused} so far, the last for this reason: {' '.join(reasons[-1:]).rstrip('.')}",
            remedy="Choose a window that half of the stimuli can fill.",
        )
        yield Stage(
            "rival laws", number + 1, splits, {"errors": errors, "seeds": drawn, "at": torch.tensor(number + 1)}
        )
    scored = errors[~errors[:, 0, 0].isnan()]
    left_out = splits - len(scored)
    notices = [f"WARN: {left_out} of {splits} splits could not be fitted. {' '.join(reasons[:1])}"] if left_out else []
    return tuple(
        LawScore(
            replace(fit, notices=(*fit.notices, *notices)),
            _interval(scored[..., place].sqrt(), level),
            _interval(scored[..., place] - scored[..., power], level),
            len(scored),
        )
        for place, fit in enumerate(whole)
    )


def _need_comparable(laws: Sequence[Fit], fits: Sequence[SpectrumFit], spectrum: Spectrum) -> int:
    """Refuse laws that cannot be held against the same ranks of a spectrum; the place of the power law among them."""
    for law, fit in zip(laws, fits):
        need(
            (fit.used, fit.weights) == (fits[0].used, fits[0].weights),
            expected="laws with the same window and weights",
            got=f"{fits[0].method} over ranks {fits[0].used[0]}–{fits[0].used[1]}, weights {fits[0].weights}, and "
            f"{fit.method} over ranks {fit.used[0]}–{fit.used[1]}, weights {fit.weights}",
            remedy="Give all laws one window.",
        )
        need(
            fit.target == spectrum.target or hasattr(law, "sampled"),
            expected=f"laws of the {spectrum.target} spectrum",
            got=f"{fit.method}, whose target is the {fit.target}",
            remedy="Leave it out, or give it a method `sampled` that says what a sample makes of it.",
        )
    named = [fit.law if fit.target == spectrum.target else fit.method for fit in fits]
    need(
        "power" in named,
        expected="a power law among the laws",
        got=", ".join(named) or "none",
        remedy="Add leastsquares, with the same window.",
    )
    return named.index("power")


def _split(
    responses: Responses | Gram, stimuli: int, estimator: Estimator, laws: Sequence[Fit], generator: torch.Generator
) -> list[list[float]]:
    """e² of each law on one split, one way and the other."""
    first = half(stimuli, responses.block, generator)
    others = torch.ones(stimuli, dtype=torch.bool)
    others[first] = False
    halves = [estimator(_among(responses, indices, stimuli), generator) for indices in (first, others.nonzero()[:, 0])]
    return [[_error(shortening(law), *pair) for law in laws] for pair in (halves, halves[::-1])]


def _among(responses: Responses | Gram, indices: Int64[Tensor, " drawn"], stimuli: int) -> Responses | Gram:
    if isinstance(responses, Gram):
        return grams.among(responses, indices)
    return of_stimuli(responses, indices, stimuli)


def _error(law: Any, fitted: Spectrum, held: Spectrum) -> float:
    """Weighted mean of (ln λ − ln law)² over the ranks of the window that both spectra hold."""
    fit = law(fitted)
    there = windowed(held, fit.asked[0], fit.asked[1], "1/n" if fit.weights == "1/n" else "none")
    common = there.ranks <= fit.used[1]
    ranks, weights = there.ranks[common], there.weights[common]
    predicted = law.sampled(fit, ranks) if hasattr(law, "sampled") else _on_line(fit, ranks)
    return float((weights * (there.logs[common] - predicted).square()).sum() / weights.sum())


def _on_line(fit: SpectrumFit, ranks: Tensor) -> Tensor:
    return log_eigenvalues(fit.law, ranks, {name: found.value for name, found in fit.parameters.items()})


def _interval(values: Float64[Tensor, "splits ways"], level: float) -> Estimate:
    """Mean over splits and ways, with the interval that J splits into halves give it."""
    mean, reach = resampled_t(values.flatten().tolist(), len(values), 1.0, level)
    return Estimate(mean, mean - reach, mean + reach, level, "stimuli")
