"""A record of a recording, and what each of its fits is read with: its window, its χ², what was simulated for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eigenfall.figures import called
from eigenfall.types import Estimate, Measurement, Record, SimulatedBias, SpectrumFit

REFUSED = 0.001
"""Below this p a law of the moments does not hold (Pospisil & Pillow 2024)."""

ENDS = ("first_rank", "last_rank")


@dataclass(frozen=True, eq=False)
class Recorded:
    """One record of a recording.

    Attributes:
        label: what the page calls it; empty if it is alone.
        record: the record.
    """

    label: str
    record: Record

    @property
    def measurement(self) -> Measurement:
        """What was measured."""
        return self.record.measurement

    @property
    def order(self) -> dict[str, int]:
        """Place of each estimator, which gives its colour and mark."""
        found = self.measurement
        return {key: place for place, key in enumerate(dict.fromkeys([*found.fits, *found.spectra, *found.moments]))}

    def target(self, key: str) -> str:
        """What an estimator estimates; empty if it left neither fit nor spectrum nor moments."""
        found = self.measurement
        values = [group[key] for group in (found.fits, found.spectra, found.moments) if key in group]
        return values[0].target if values else ""

    def named(self, key: str) -> str:
        """An estimator in words, after the recording's name if there are several."""
        return f"{self.label}: {called(key)}" if self.label else called(key)


def recorded(records: Sequence[Record]) -> tuple[Recorded, ...]:
    """Records of recordings with a name each: the arm's, or the record's where two arms bear one name."""
    if len(records) == 1:
        return (Recorded("", records[0]),)
    arms = [str(record.run.get("arm", record.name)) for record in records]
    return tuple(Recorded(arm if arms.count(arm) == 1 else record.name, record) for arm, record in zip(arms, records))


def fits(one: Recorded) -> Iterator[tuple[str, SpectrumFit, bool]]:
    """Every fit of a recording: the estimator's name, the fit, and whether it is the main one."""
    for key in one.order:
        if key in one.measurement.fits:
            yield key, one.measurement.fits[key], True
        if key in one.measurement.diagnostics:
            yield from ((key, further, False) for further in one.measurement.diagnostics[key].fits)


def bias_of(one: Recorded, key: str, fit: SpectrumFit) -> SimulatedBias | None:
    """What was simulated for this estimator and this very fit, if anything."""
    beside = one.measurement.diagnostics.get(key)
    return next((bias for bias in (beside.bias if beside else ()) if _is_of(bias, fit)), None)


def _is_of(bias: SimulatedBias, fit: SpectrumFit) -> bool:
    """Whether a simulation was fitted as this fit was made: same part, law, weights and window."""
    name, _, settings = bias.method.partition(":")
    said = {setting: text for setting, _, text in (pair.partition("=") for pair in settings.split(","))}
    asked = {"weights": (fit.weights,), **{end: (str(rank), "none") for end, rank in zip(ENDS, fit.asked)}}
    return (
        name.partition("@")[0] == fit.method.partition(":")[0].partition("@")[0]
        and (said.get("breaks") == "grid") == (name == "momentlaw" and fit.law == "broken")
        and all(said[setting] in fitting for setting, fitting in asked.items() if setting in said)
    )


def off(bias: SimulatedBias) -> Estimate:
    """How far the mean over simulations lies from the planted exponent, with its interval."""
    return Estimate(
        bias.found.value - bias.truth, bias.found.low - bias.truth, bias.found.high - bias.truth, bias.found.level
    )


def ranks(fit: SpectrumFit) -> str:
    """The window that was used."""
    return f"{fit.used[0]}–{fit.used[1]}"


def refused(fit: SpectrumFit) -> bool:
    """Whether a law of the moments is refused by its own χ²."""
    return fit.statistics.get("p", 1.0) < REFUSED
