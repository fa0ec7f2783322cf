"""Finished runs held against one another: the same images, the same budgets, paired tests.

Across seeds: paired t on per-seed differences. Within one seed: McNemar's mid-p on the images. Holm over everything
that is tested. Both on all images (clean errors count) and on those that every compared run classifies correctly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from eigenfall import records
from eigenfall.check import need, one_of
from eigenfall.rows import row
from eigenfall.statistics import holm, mcnemar, paired_t, t_interval
from eigenfall.types import Estimate, Record, RobustnessCurve, Row

FEW_SEEDS = 5


@dataclass(frozen=True)
class Comparison:
    """Differences in robust accuracy against a baseline.

    Attributes:
        baseline: the arm that the others are held against.
        inputs: how many images every run was attacked on.
        common: how many of them every run classifies correctly.
        rows: one per arm, epsilon and set of images: difference in robust accuracy, its interval over seeds, p-value
            of the paired test and the same after Holm.
        notices: what a reader must know.
    """

    baseline: str
    inputs: int
    common: int
    rows: tuple[Row, ...]
    notices: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"Robust accuracy less that of {self.baseline!r}, {self.inputs} images, {self.common} of them common"
        lines = [
            f"  {entry['arm']:<24} ε = {entry['epsilon']:<6g} {entry['subset']:<7}"
            f" {100 * entry['value']:+6.1f} points"
            + (f" [{100 * entry['low']:+.1f}, {100 * entry['high']:+.1f}]" if "low" in entry else "")
            + f"  p = {entry['p']:.2g} (Holm {entry['p_holm']:.2g}, {entry['test']}, seeds {entry['seeds']})"
            for entry in self.rows
        ]
        return "\n".join([head, *lines, *self.notices])


def compare(found: Sequence[Record | str | Path], baseline: str = "", curve: str = "headline") -> Comparison:
    """Hold runs against the runs of a baseline arm, on common images.

    Args:
        found: records or their folders, of at least two arms.
        baseline: an arm; empty: that of the first record.
        curve: which curve of the records.

    Raises:
        ValueError: if the runs were not attacked alike: other data, images, epsilons or threat.
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
    standing = {(str(r.run["arm"]), int(r.run["seed"])): ~c.worst() for r, c in zip(loaded, curves)}
    need(
        len(standing) == len(loaded),
        expected="one record per arm and seed",
        got="two with the same",
        remedy="Give them different arms: `--arm NAME`.",
    )
    rows = [
        _difference(standing, arm, baseline, step, epsilon, subset, keep)
        for arm in arms
        if arm != baseline
        for subset, keep in (("all", torch.ones_like(common)), ("common", common))
        if keep.any()
        for step, epsilon in enumerate(curves[0].epsilons)
    ]
    adjusted = holm([entry["p"] for entry in rows])
    few = {arm for arm in arms if sum(name == arm for name, _ in standing) < FEW_SEEDS}
    notices = [f"Fewer than {FEW_SEEDS} seeds: {', '.join(sorted(few))}."] if few else []
    notices += [
        f"{record.name}: check {found.check} FAILs, so its accuracy under attack does not stand. {found.finding}"
        for record in loaded
        for found in record.measurement.verdicts
        if found.verdict == "FAIL"
    ]
    return Comparison(
        baseline,
        len(common),
        int(common.sum()),
        tuple({**entry, "p_holm": p, "curve": curve} for entry, p in zip(rows, adjusted)),
        tuple(notices),
    )


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
        ):
            need(
                here == there,
                expected=f"runs with the same {what}",
                got=f"{record.name} with {here} and {first.name} with {there}",
                remedy="Compare runs that were measured alike.",
            )


def _difference(
    standing: dict[tuple[str, int], Tensor],
    arm: str,
    baseline: str,
    step: int,
    epsilon: float,
    subset: str,
    keep: Tensor,
) -> Row:
    """One arm less the baseline at one epsilon."""
    own = {seed: right for (name, seed), right in standing.items() if name == arm}
    other = {seed: right for (name, seed), right in standing.items() if name == baseline}
    seeds = sorted(own.keys() & other.keys())
    need(
        bool(seeds),
        expected=f"a seed that {arm!r} and {baseline!r} share",
        got="none",
        remedy="Train both with the same seeds.",
    )
    ours = [float(own[seed][step, keep].double().mean()) for seed in seeds]
    theirs = [float(other[seed][step, keep].double().mean()) for seed in seeds]
    about = {"arm": arm, "baseline": baseline, "epsilon": epsilon, "subset": subset, "n": int(keep.sum())}
    if len(seeds) == 1:
        mine, base = own[seeds[0]][step, keep], other[seeds[0]][step, keep]
        p = mcnemar(int((mine & ~base).sum()), int((base & ~mine).sum()))
        return row("robust_accuracy_difference", ours[0] - theirs[0], p=p, test="McNemar mid-p", seeds=1, **about)
    mean, low, high = t_interval([a - b for a, b in zip(ours, theirs)])
    return row(
        "robust_accuracy_difference",
        Estimate(mean, low, high, over="seeds"),
        p=paired_t(ours, theirs),
        test="paired t",
        seeds=len(seeds),
        **about,
    )
