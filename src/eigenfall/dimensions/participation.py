"""Participation ratio: how many equal eigenvalues would share the variance as these do, free of bias if asked.

    none      (Σλ)² / Σλ²,   λ the eigenvalues of the sample covariance, or of a spectrum
    stimuli   (tr C)² / tr C²,   each trace an unbiased mean over distinct stimuli
    both      (Σ_{α≠β} Cαα Cββ) / (Σ_{α≠β} Cαβ²),   over distinct units as well

The sample's ratio is too low: 1/ratio ≈ 1/S + 1/truth for S stimuli, and 1/N more if N units stand for many. With two
or more repeats every product takes its two factors from different repeats, or from different stimuli, so that
independent noise drops out as well. `_distinct.py` derives the sums. They are unbiased; their ratio is so for many
stimuli.

Source: Chun, Canatar, Chung & Lee 2026, ICLR, arXiv:2509.26560; their package is `dimensionality`.
Differs from the source: all repeats, all pairs of them and both roles, where the source has two, each in one role. Sums
come from second moments on the smaller side.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch

from eigenfall import grams
from eigenfall.check import need, one_of
from eigenfall.dimensions._distinct import Norms, PerStimulus, of_equal_units, of_stimuli, traces
from eigenfall.dimensions._eigenvalues import averaged, described, spectrum_of
from eigenfall.dimensions._repeated import Repeated, need_four, norms_over_units, repeated, sums_of_each
from eigenfall.types import Dimension, Estimate, Gram, Responses, Spectrum

DEBIASED = ("none", "stimuli", "both")


@dataclass(frozen=True)
class Participation:
    """(Σλ)²/Σλ² of these stimuli and units, of all stimuli, or of all stimuli and units.

    Attributes:
        debias: "stimuli", the population of stimuli and these units, whatever axes they are given in; "both", a
            population of units too, of which these were drawn at random; or "none", these stimuli, noise included.
    """

    cite: ClassVar[str] = "chun2026"
    debias: Literal["none", "stimuli", "both"] = "stimuli"

    def __post_init__(self) -> None:
        one_of(self.debias, DEBIASED, "debias")

    def __call__(self, responses: Responses | Gram | Spectrum) -> Dimension:
        """The ratio, without interval.

        Args:
            responses: `(repeats, stimuli, units)`, NaN for a missing repeat, in memory or in chunks. With
                `debias="stimuli"` also their Gram matrix over stimuli; with "none" either, or a spectrum.

        Returns:
            The ratio. Its target is the signal's population with two or more repeats, signal and noise together with
            one. Stimuli with fewer than two repeats, where others have more, are left out and counted.

        Raises:
            ValueError: for fewer than four stimuli (debiased), no variance, an input that cannot be debiased, or
                estimates that are not positive.

        Example:
            >>> round(Participation(debias="none")(power_law(alpha=1.0, ranks=1000)).value.value, 3)
            34.084
        """
        if self.debias == "none":
            return self._of_sample(responses)
        need(
            not isinstance(responses, Spectrum),
            expected="responses, or their Gram matrix over stimuli, to leave the bias out",
            got="a spectrum, in which it is already",
            remedy="Give the responses, or use debias=none.",
        )
        assert not isinstance(responses, Spectrum)
        found = _of_gram(responses, self.debias) if isinstance(responses, Gram) else self._of_responses(responses)
        return replace(found, method=f"participation:debias={self.debias}")

    def _of_sample(self, responses: Responses | Gram | Spectrum) -> Dimension:
        if isinstance(responses, Spectrum):
            spectrum = spectrum_of(responses)
            return described(spectrum, "participation_ratio", spectrum.participation_ratio, "participation:debias=none")
        moments = averaged(responses)
        value = float(moments.matrix.trace() ** 2 / moments.matrix.square().sum())
        return Dimension(
            name="participation_ratio",
            value=Estimate(value),
            of="second moments of the repeat means",
            stimuli=moments.stimuli,
            units=moments.units,
            repeats=moments.averaged,
            method="participation:debias=none",
            name_of=moments.name,
        )

    def _of_responses(self, responses: Responses) -> Dimension:
        data = repeated(responses)
        _, stimuli, units = grams.size_of(data.filled)
        need(
            self.debias == "stimuli" or units >= 2,
            expected=f"at least two units in {responses.name}",
            got=f"{units}",
            remedy="Use debias=stimuli.",
        )
        each, norms, equal = self._summed(data, units < stimuli)
        found = _ratio(each, norms, equal, responses.name)
        return replace(found, units=units, repeats=data.repeats, notices=_notices(data, responses))

    def _summed(self, data: Repeated, over_units: bool) -> tuple[PerStimulus, Norms, float | None]:
        """Sums of each stimulus, of pairs of them, and what equal units add, if that is to be left out."""
        if over_units:
            each, of_each_unit = sums_of_each(data)
            norms = norms_over_units(data, each)
        else:
            norms, each = of_stimuli(grams.gram(data.filled, side="stimuli"), data.weights)
            if self.debias == "stimuli":
                return each, norms, None
            _, of_each_unit = sums_of_each(data)
        return each, norms, of_equal_units(of_each_unit, len(each)) if self.debias == "both" else None


def _notices(data: Repeated, responses: Responses) -> tuple[str, ...]:
    found = []
    if data.dropped:
        found.append(f"{data.dropped} stimuli with fewer than two repeats were left out.")
    if responses.sampled_over == "time" or responses.block > 1:
        found.append("Samples that follow one another are no distinct stimuli: some of the bias is left.")
    return tuple(found)


def _of_gram(moments: Gram, debias: str) -> Dimension:
    need(
        debias == "stimuli" and moments.side == "stimuli",
        expected="responses to leave out equal units" if debias == "both" else "a Gram matrix over stimuli",
        got="a Gram matrix, which has no fourth powers of a unit" if debias == "both" else "one over units",
        remedy="Give the responses" + (", or use debias=stimuli." if debias == "both" else "."),
    )
    need_four(moments.stimuli, moments.name)
    count = moments.repeats
    weight = (count * (count - 1)) ** -0.5 if count > 1 else 0.0
    norms, each = of_stimuli(moments, torch.full((moments.stimuli,), weight, dtype=torch.float64))
    found = _ratio(each, norms, None, moments.name)
    return replace(found, units=moments.units, repeats=count * moments.averaged)


def _ratio(each: PerStimulus, norms: Norms, equal: float | None, name: str) -> Dimension:
    above, below = (trace - (equal or 0.0) for trace in traces(each, norms))
    repeats = each.shape[1] - 1
    need(
        above > 0 and below > 0,
        expected=f"(Σλ)² and Σλ² of {name} above 0",
        got=f"estimates of {above:.3g} and {below:.3g}",
        remedy="What stimuli, repeats or units share is lost in noise here: record more of them.",
    )
    distinct = "stimuli" if equal is None else "stimuli and units"
    of = f"second moments over distinct {distinct}" + (", different repeats" if repeats > 1 else ", noise included")
    return Dimension(
        name="participation_ratio",
        value=Estimate(above / below),
        of=of,
        target="signal population" if repeats > 1 else "total population",
        stimuli=len(each),
        name_of=name,
    )


PRESETS = {"chun2026": Participation(debias="both")}
