"""Many ways of making a representation, measured alike: what tables and figures of the atlas are made from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from eigenfall.statistics import t_interval
from eigenfall.types.spectra import Estimate


@dataclass(frozen=True)
class AtlasAxis:
    """What one number of the atlas is.

    Attributes:
        heading: of its column, and of an axis, in words.
        unit: of both; "%" for a share of the images, which then goes from 0 to 100.
        log: whether its axis is logarithmic.
        better: "high" or "low" where one of them is; empty: neither.
        judged: whether it is what attacks leave, so that a check that FAILs takes it away.
    """

    heading: str
    unit: str = ""
    log: bool = False
    better: Literal["high", "low", ""] = ""
    judged: bool = False

    @property
    def label(self) -> str:
        """Heading and unit, as beside an axis."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading


@dataclass(frozen=True)
class AtlasPoint:
    """One run.

    Attributes:
        method: by which its representation was made.
        family: what kind of method that is.
        architecture: in which.
        seed: of its weights and batches.
        run: name of its record's folder.
        order: the method's place in the order that gives colour and mark; colour is the family's.
        numbers: by the names of the atlas' axes, each with its interval of this run; NaN where it has none.
        failed: letters of the checks of its worst case that FAIL.
    """

    method: str
    family: str
    architecture: str
    seed: int
    run: str
    order: int
    numbers: Mapping[str, Estimate]
    failed: tuple[str, ...] = ()

    def value(self, axis: str) -> float:
        """A number without its interval; NaN if there is none."""
        return self.numbers[axis].value if axis in self.numbers else math.nan


@dataclass(frozen=True)
class Atlas:
    """Every run of a scale.

    Attributes:
        scale: quick, small or paper.
        data: the data set, as parts are written.
        axes: what numbers there are, in the order of the table.
        points: the runs, in the order of the methods, of architectures, of seeds.
    """

    scale: str
    data: str
    axes: Mapping[str, AtlasAxis]
    points: tuple[AtlasPoint, ...]

    @property
    def architectures(self) -> tuple[str, ...]:
        """Those that have a run, in order."""
        return tuple(dict.fromkeys(point.architecture for point in self.points))

    def methods(self, architecture: str) -> tuple[str, ...]:
        """Those that have a run in this architecture, in order."""
        return tuple(dict.fromkeys(point.method for point in self.points if point.architecture == architecture))

    def of(self, method: str, architecture: str) -> tuple[AtlasPoint, ...]:
        """A method's runs in an architecture."""
        return tuple(point for point in self.points if (point.method, point.architecture) == (method, architecture))

    def mean(self, method: str, architecture: str, axis: str) -> Estimate:
        """Mean over those of a method's runs that have this number, with Student's interval; NaN if none has it.

        A share stays between 0 and 100, in its interval too.
        """
        values = [point.value(axis) for point in self.of(method, architecture)]
        kept = [value for value in values if math.isfinite(value)]
        if not kept:
            return Estimate(math.nan)
        mean, low, high = t_interval(kept)
        if len(kept) == 1:
            return Estimate(mean)
        if self.axes[axis].unit == "%":
            low, high = max(low, 0.0), min(high, 100.0)
        return Estimate(mean, low, high, over="seeds")
