"""Every run as a point: two of its numbers against each other, chosen by the reader, in the page itself.

The page stays one file that asks the network for nothing: the plotting library is in it, its policy allows the scripts
of this module by their sums and no other, and what users named is data, never markup. Without a script, or on paper,
the table of runs stands there with the same numbers.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from eigenfall.extras import imported
from eigenfall.report import arms as read
from eigenfall.report.numbers import percent, value_and_interval
from eigenfall.types import Estimate, Record, Row

MANY = 12
"""How many numbers the table of runs shows; all of them can be axes."""


@dataclass(frozen=True)
class Axis:
    """A number that runs have.

    Attributes:
        key: what its rows say, as one text.
        label: with its unit, as the axis shows it.
        share: whether it is a share, shown in percent.
        log: whether its axis is logarithmic.
    """

    key: str
    label: str
    share: bool = False
    log: bool = False


@dataclass(frozen=True)
class Point:
    """A run.

    Attributes:
        arm: whose seed it is.
        order: of the arm: its colour and mark.
        seed: as text; empty if it has none.
        anchor: of its row in the table.
        numbers: by the axis' key.
        failed: which checks fail, in words.
    """

    arm: str
    order: int
    seed: str
    anchor: str
    numbers: Mapping[str, Estimate]
    failed: str = ""


@dataclass(frozen=True)
class Explored:
    """What the section shows.

    Attributes:
        axes: numbers that two runs or more have, and that differ.
        points: runs.
        x: key of the axis that is chosen at first.
        y: the same, upright.
    """

    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    x: str
    y: str

    @property
    def arms(self) -> tuple[tuple[str, int], ...]:
        """Name and order of each arm."""
        return tuple(dict.fromkeys((point.arm, point.order) for point in self.points))

    @property
    def data(self) -> str:
        """What the script reads, as JSON in which nothing ends an element."""
        arms = {arm: number for number, arm in enumerate(self.arms)}
        told = {
            "axes": [{"key": axis.key, "label": axis.label, "log": axis.log} for axis in self.axes],
            "arms": [{"name": name, "order": order} for name, order in arms],
            "x": self.x,
            "y": self.y,
            "points": [
                {
                    "arm": arms[point.arm, point.order],
                    "seed": point.seed,
                    "anchor": point.anchor,
                    "failed": point.failed,
                    "numbers": {
                        axis.key: _told(point.numbers[axis.key], axis)
                        for axis in self.axes
                        if axis.key in point.numbers
                    },
                }
                for point in self.points
            ],
        }
        return json.dumps(told, allow_nan=False).replace("<", "\\u003c").replace("&", "\\u0026")

    @property
    def shown(self) -> tuple[Axis, ...]:
        """The numbers of the table: those that are chosen at first, then the others as far as there is room."""
        first = [axis for axis in self.axes if axis.key in (self.x, self.y)]
        return tuple([*first, *(axis for axis in self.axes if axis not in first)][:MANY])

    def cell(self, point: Point, axis: Axis) -> tuple[str, str]:
        """A number and its interval as text."""
        if axis.key not in point.numbers:
            return "–", ""
        found = point.numbers[axis.key]
        return value_and_interval(percent(found) if axis.share else found)


def explored(records: Sequence[Record]) -> Explored | None:
    """The section of some records; `None` where no two numbers of two runs differ."""
    points = [
        Point(
            arm.name,
            arm.order,
            str(record.run.get("seed", "")),
            f"run-{place}-{number}",
            _numbers(record.measurement.rows),
            ", ".join(sorted(one.check for one in record.measurement.verdicts if one.verdict == "FAIL")),
        )
        for place, arm in enumerate(read.arms(records))
        for number, record in enumerate(arm.records)
    ]
    axes = tuple(axis for key, axis in _axes(records).items() if _differ([point.numbers.get(key) for point in points]))
    if len(axes) < 2:
        return None
    x = _chosen(axes, ("alpha", "jacobian_norm", "participation_ratio"))
    rest = tuple(axis for axis in axes if axis.key != x)
    return Explored(axes, tuple(points), x, _spread(rest, points))


def scripts() -> tuple[str, str]:
    """The plotting library, and what draws with it.

    Raises:
        ValueError: if plotly is not installed.
    """
    library = imported("plotly.offline", "report", "an interactive page").get_plotlyjs()
    own = resources.files("eigenfall.report").joinpath("explore.js").read_text(encoding="utf-8")
    return library, own


def policy(texts: Sequence[str]) -> str:
    """The sums by which a page's policy allows these scripts, as they stand between their tags."""
    sums = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{one}'" for one in sums)


# -------------------------------------------------------------------------------- numbers of a run

KEYS = ("layer", "attack", "norm", "epsilon")
SHARES = ("clean_accuracy", "robust_accuracy", "noise_accuracy")
LOGARITHMIC = ("jacobian_norm", "lipschitz_bound", "critical_distance", "certified_distance")
MEDIANS = ("jacobian_norm", "critical_distance", "certified_distance")
WORDS = {
    "alpha": "exponent α",
    "participation_ratio": "participation ratio",
    "rank_at_90_percent": "ranks with 90 % of the variance",
    "jacobian_norm": "Jacobian norm, median over images",
    "clean_accuracy": "clean accuracy",
    "robust_accuracy": "accuracy under",
    "noise_accuracy": "accuracy under Gaussian noise",
    "critical_distance": "median critical distance",
    "certified_distance": "median certified distance",
    "lipschitz_bound": "Lipschitz bound",
}
"""What of a record can be an axis, in the order of the lists."""
LAST = Axis("alpha", "exponent α, last layer of each run")
"""Runs of different depth have no layer of the same name last."""
UNITS = {"Linf": "pixels, L∞", "L2": "pixels, L2", "L1": "pixels, L1"}


def _told(estimate: Estimate, axis: Axis) -> list[float | None]:
    """Value and ends of the interval, in the axis' unit; `None` for what is not finite."""
    ends = (estimate.value, estimate.low, estimate.high)
    return [(100 * end if axis.share else end) if math.isfinite(end) else None for end in ends]


def _is_number(row: Row) -> bool:
    if row["quantity"] not in WORDS or not isinstance(row["value"], float | int):
        return False
    return row["quantity"] not in MEDIANS or row.get("statistic") == "median"


def _key(row: Row) -> str:
    told = (f"{row[name]:g}" if name == "epsilon" else str(row[name]) for name in KEYS if name in row)
    return "|".join([row["quantity"], *told])


def _numbers(rows: Sequence[Row]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for row in rows:
        if _is_number(row):
            number = Estimate(row["value"], row.get("low", math.nan), row.get("high", math.nan))
            found.setdefault(_key(row), number)
            if row["quantity"] == "alpha":
                found[LAST.key] = number
    return found


def _axes(records: Sequence[Record]) -> dict[str, Axis]:
    found = {
        _key(row): Axis(_key(row), _label(row), row["quantity"] in SHARES, row["quantity"] in LOGARITHMIC)
        for record in records
        for row in record.measurement.rows
        if _is_number(row)
    }
    if sum(key.startswith("alpha|") for key in found) > 1:
        found[LAST.key] = LAST
    order = list(WORDS)
    return dict(sorted(found.items(), key=lambda entry: order.index(entry[0].partition("|")[0])))


def _label(row: Row) -> str:
    words, quantity = WORDS[row["quantity"]], row["quantity"]
    attack = row.get("attack", "")
    if quantity == "robust_accuracy":
        words = "worst-case accuracy" if attack == "headline" else f"{words} {attack}"
    elif quantity == "critical_distance":
        words = words if attack == "headline" else f"{words} under {attack}"
    if "layer" in row:
        words = f"{words}, {row['layer']}"
    if "epsilon" in row:
        words = f"{words}, {'σ' if quantity == 'noise_accuracy' else 'ε'} = {row['epsilon']:g}"
    if quantity in SHARES:
        return f"{words} (%)"
    if quantity in ("critical_distance", "certified_distance"):
        return f"{words} ({UNITS.get(row.get('norm', ''), row.get('norm', ''))})"
    return words


def _differ(found: Sequence[Estimate | None]) -> bool:
    return len({one.value for one in found if one is not None and math.isfinite(one.value)}) > 1


def _chosen(axes: Sequence[Axis], quantities: Sequence[str]) -> str:
    """The first quantity of these that is an axis: over all layers if there is one, else of the last; else any axis."""
    for quantity in quantities:
        found = [axis.key for axis in axes if axis.key.partition("|")[0] == quantity]
        if found:
            return quantity if quantity in found else found[-1]
    return axes[0].key


def _spread(axes: Sequence[Axis], points: Sequence[Point]) -> str:
    """The headline's accuracy at the budget at which runs differ most; else another share, else the first axis."""

    def spread(axis: Axis) -> float:
        values = [point.numbers[axis.key].value for point in points if axis.key in point.numbers]
        return max(values) - min(values)

    headline = [axis for axis in axes if axis.key.startswith("robust_accuracy|headline")]
    shares = headline or [axis for axis in axes if axis.share]
    return max(shares, key=spread).key if shares else axes[0].key
