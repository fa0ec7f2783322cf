"""Finished runs held against one another: the same images, budgets and draws, paired tests.

Across seeds: paired t on per-seed differences, Welch where seeds do not pair. Within one seed: McNemar's mid-p on the
images. Holm over every budget and pair that is tested. All of it on all images (clean errors count) and on those that
every compared run classifies correctly; never on images that each model chooses for itself.

Source: `docs/robustness.md` §6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from eigenfall import records
from eigenfall.check import need, one_of
from eigenfall.contrasts import Curves, Pairing, differences, effects, of_arm, pairing
from eigenfall.statistics import holm
from eigenfall.types import Record, RobustnessCurve, Row

FEW_SEEDS = 5
OWN_IMAGES = "Attack all of them on the same images; those that every run gets right are found here, never per model."


@dataclass(frozen=True)
class Comparison:
    """Arms on common images, and their differences from a baseline.

    Attributes:
        baseline: the arm that the others are held against.
        inputs: how many images every run was attacked on.
        common: how many of them every run classifies correctly.
        rows: one per arm, epsilon and set of images: difference in robust accuracy, its interval over seeds, p-value
            of the paired test and the same after Holm.
        effects: differences in relative robust accuracy, and ratios of median critical distances.
        arms: of each arm on each set of images: clean, robust and relative accuracy, quartiles of critical distances.
        notices: what a reader must know.
    """

    baseline: str
    inputs: int
    common: int
    rows: tuple[Row, ...]
    effects: tuple[Row, ...] = ()
    arms: tuple[Row, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def every_row(self) -> tuple[Row, ...]:
        """All numbers: tested differences first."""
        return (*self.rows, *self.effects, *self.arms)

    def __str__(self) -> str:
        head = f"Robust accuracy less that of {self.baseline!r}, {self.inputs} images, {self.common} of them common"
        lines = [
            f"  {entry['arm']:<24} ε = {entry['epsilon']:<6g} {entry['subset']:<7}"
            f" {100 * entry['value']:+6.1f} points"
            + (f" [{100 * entry['low']:+.1f}, {100 * entry['high']:+.1f}]" if "low" in entry else "")
            + f"  p = {entry['p']:.2g} (Holm {entry['p_holm']:.2g}, {entry['test']}, seeds {entry['seeds']})"
            for entry in self.rows
        ]
        ratios = [
            f"  {entry['arm']:<24} median distance {entry['subset']:<7} × {_times(entry)}"
            for entry in self.effects
            if entry["quantity"] == "critical_distance_ratio"
        ]
        return "\n".join([head, *lines, *ratios, *self.notices])


def _times(entry: Row) -> str:
    """A ratio as text, with its interval and what it is over."""
    if "beyond" in entry:
        return str(entry["beyond"])
    ends = f" [{entry['low']:.3g}, {entry['high']:.3g}] over {entry['over']}" if "low" in entry else ""
    return f"{entry['value']:.3g}{ends}"


def compare(found: Sequence[Record | str | Path], baseline: str = "", curve: str = "headline") -> Comparison:
    """Hold runs against the runs of a baseline arm, on common images.

    Args:
        found: records or their folders, of at least two arms.
        baseline: an arm; empty: that of the first record.
        curve: which curve of the records.

    Raises:
        ValueError: if the runs were not attacked alike: other data, images, epsilons, threat, attacks, blocks or draws.
    """
    loaded = [entry if isinstance(entry, Record) else records.load(entry) for entry in found]
    arms = list(dict.fromkeys(str(record.run["arm"]) for record in loaded))
    need(
        len(arms) >= 2,
        expected="records of at least two arms",
        got=f"{len(loaded)} of {len(arms)}",
        remedy="Give the runs to compare, for instance `eigenfall compare runs`.",
    )
    baseline = baseline or arms[0]
    one_of(baseline, arms, "arm")
    curves = [_curve(record, curve) for record in loaded]
    _need_alike(loaded, curves)
    common = torch.stack([each.clean_correct for each in curves]).all(0)
    by_arm: dict[str, dict[int, RobustnessCurve]] = {arm: {} for arm in arms}
    for record, each in zip(loaded, curves):
        by_arm[str(record.run["arm"])][int(record.run["seed"])] = each
    need(
        sum(map(len, by_arm.values())) == len(loaded),
        expected="one record per arm and seed",
        got="two with the same",
        remedy="Give them different arms: `--arm NAME`.",
    )
    subsets = {name: keep for name, keep in (("all", torch.ones_like(common)), ("common", common)) if keep.any()}
    pairs = {arm: pairing(list(by_arm[arm]), list(by_arm[baseline]), arm, baseline) for arm in arms if arm != baseline}
    rows, sized = [], []
    for arm, pair in pairs.items():
        _need_same_draws(by_arm[arm], by_arm[baseline], pair, arm, baseline)
        for subset, keep in subsets.items():
            about = {"arm": arm, "baseline": baseline, "subset": subset, "curve": curve}
            rows += differences(by_arm[arm], by_arm[baseline], pair, keep, **about)
            sized += effects(by_arm[arm], by_arm[baseline], pair, keep, **about)
    adjusted = holm([entry["p"] for entry in rows])
    alone = [
        entry
        for arm in arms
        for subset, keep in subsets.items()
        for entry in of_arm(by_arm[arm], keep, arm=arm, subset=subset, curve=curve)
    ]
    return Comparison(
        baseline,
        len(common),
        int(common.sum()),
        tuple({**entry, "p_holm": p} for entry, p in zip(rows, adjusted)),
        tuple(sized),
        tuple(alone),
        tuple(_notices(loaded, by_arm, pairs)),
    )


def _notices(loaded: Sequence[Record], by_arm: Mapping[str, Curves], pairs: Mapping[str, Pairing]) -> list[str]:
    """Few seeds, seeds that were left out or do not pair, and checks that FAIL."""
    few = sorted(arm for arm, curves in by_arm.items() if len(curves) < FEW_SEEDS)
    notices = [f"Fewer than {FEW_SEEDS} seeds: {', '.join(few)}."] if few else []
    for arm, pair in pairs.items():
        if not pair.paired:
            notices.append(f"{arm}: fewer than two seeds are the baseline's, too: Welch's test, on unpaired seeds.")
        if pair.left_out:
            seeds = ", ".join(map(str, pair.left_out))
            notices.append(f"{arm}: not in its differences, since only one side has them: seeds {seeds}.")
    return notices + [
        f"{record.name}: check {found.check} FAILs, so its accuracy under attack does not stand. {found.finding}"
        for record in loaded
        for found in record.measurement.verdicts
        if found.verdict == "FAIL"
    ]


def _curve(record: Record, name: str) -> RobustnessCurve:
    one_of(name, record.measurement.curves, f"curve of {record.name}")
    return record.measurement.curves[name]


def _need_alike(loaded: Sequence[Record], curves: Sequence[RobustnessCurve]) -> None:
    first = loaded[0]
    for record, curve in zip(loaded[1:], curves[1:]):
        for what, here, there in (
            ("inputs", record.run["inputs"], first.run["inputs"]),
            ("number of attacked images", curve.broken.shape[2], curves[0].broken.shape[2]),
            ("epsilons", curve.epsilons, curves[0].epsilons),
            ("threat", str(curve.threat), str(curves[0].threat)),
            ("attacks", _told(curve.attacks), _told(curves[0].attacks)),
            ("number of images in a block", curve.block, curves[0].block),
        ):
            need(
                here == there,
                expected=f"runs with the same {what}",
                got=f"{record.name} with {here} and {first.name} with {there}",
                remedy=OWN_IMAGES
                if "images" in what and "block" not in what
                else "Compare runs that were measured alike.",
            )


def _told(attacks: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {attack}" for name, attack in sorted(attacks.items()))


def _need_same_draws(own: Curves, other: Curves, pair: Pairing, arm: str, baseline: str) -> None:
    """Refuse pairs whose attacks drew otherwise: their difference would be the draws', too."""
    for seed in pair.own if pair.paired else ():
        need(
            own[seed].seed == other[seed].seed,
            expected=f"the same draws of the attacks for both runs of seed {seed}",
            got=f"attack seed {own[seed].seed} for {arm!r} and {other[seed].seed} for {baseline!r}",
            remedy="Measure both with the same seed.",
        )
