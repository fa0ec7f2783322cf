"""Records of a reproduction by arm and seed, and numbers of an arm over its seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from eigenfall.types import Record

Scale = Literal["quick", "small", "paper"]
SCALES: tuple[Scale, ...] = ("quick", "small", "paper")

Number = Callable[[Record], float]


@dataclass(frozen=True, eq=False)
class Found:
    """Records of a scale.

    Attributes:
        scale: quick, small or paper.
        records: by arm and seed.
    """

    scale: Scale
    records: Mapping[str, Mapping[int, Record]]

    def has(self, *names: str) -> bool:
        """Whether there are records of all these arms."""
        return all(self.records.get(name) for name in names)

    def seeds(self, *names: str) -> list[int]:
        """Seeds that all these arms have, ascending."""
        every = [set(self.records.get(name, {})) for name in names]
        return sorted(set.intersection(*every)) if every else []

    def values(self, name: str, number: Number, beside: Sequence[str] = ()) -> list[float]:
        """A number of an arm for each seed, ascending, that the arms beside it have too."""
        return [number(self.records[name][seed]) for seed in self.seeds(name, *beside)]

    def failed(self, *names: str) -> str:
        """Which checks of their headlines failed, in words; empty if none did."""
        told = []
        for name in names:
            records = self.records.get(name, {}).values()
            letters = {one.check for record in records for one in record.measurement.verdicts if one.verdict == "FAIL"}
            if letters:
                told.append(f"{name}: checks {', '.join(sorted(letters))} FAIL")
        return "; ".join(told)


def by_arm(records: Sequence[Record]) -> dict[str, dict[int, Record]]:
    """Records by arm and seed; of two of the same, the later."""
    by: dict[str, dict[int, Record]] = {}
    for record in records:
        by.setdefault(str(record.run["arm"]), {})[int(record.run["seed"])] = record
    return by


def accuracy(record: Record) -> float:
    """Share of test images classified correctly."""
    return next(float(row["value"]) for row in record.measurement.rows if row["quantity"] == "clean_accuracy")


def alpha(key: str, sign: int = 1) -> Number:
    """Exponent of a layer's spectrum, NaN if it has none; `sign` −1: as holzhausen2024 prints it."""

    def number(record: Record) -> float:
        fit = record.measurement.fits.get(key)
        return math.nan if fit is None else sign * fit.alpha

    return number


def measured(quantity: str, layer: str) -> Number:
    """A row of a layer that there is one of, NaN if there is none."""

    def number(record: Record) -> float:
        rows = (row for row in record.measurement.rows if row["quantity"] == quantity and row.get("layer") == layer)
        return next((float(row["value"]) for row in rows), math.nan)

    return number


def slope(record: Record) -> float:
    """Median Frobenius norm of the Jacobian of the logits over the first test images."""
    found = record.measurement.smoothness.get("outputs")
    return math.nan if found is None else float(found.values.double().median())


def margin(record: Record) -> float:
    """Median margin of the test images: the target's logit less the largest other."""
    found = record.measurement.margins
    return math.nan if found is None else float(found.double().median())
