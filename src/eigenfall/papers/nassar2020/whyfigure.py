"""Figure of why it differs: what each change of a setting did to robust accuracy, beside what explains it.

Left, ratios of robust accuracy with intervals over seeds, a row for each change; right, every arm by its slope, margin
held fixed, against the log-odds of its robust accuracy.
"""

import math
from typing import Any

from eigenfall.figures.style import INK, REFERENCE, plain, series
from eigenfall.papers.drawn import canvas
from eigenfall.papers.nassar2020.causes import effect, mean, ratio, there
from eigenfall.papers.nassar2020.found import Found
from eigenfall.papers.nassar2020.reasons import QUESTIONS
from eigenfall.papers.nassar2020.traits import Seen, seen
from eigenfall.papers.nassar2020.why import contrasts

TICKS = (0.25, 0.5, 1, 2, 4, 8)


def draw(found: Found, known: Seen | None = None, title: str = "", stamp: str = "") -> Any:
    """Robust accuracy by factor, beside the first-order distance that explains it.

    Args:
        found: records of a scale, those of `why` and of `runs` together.
        known: their traits, if they were made before.
        title: what was found; "": what is shown.
        stamp: written across the figure.

    Returns:
        The figure.

    Raises:
        ValueError: if no two arms that differ in one setting were run.
    """
    known = seen(found) if known is None else known
    every = contrasts(found.scale)
    rows = [contrast for factor in QUESTIONS for contrast in there(known, every, factor)]
    canvas.need_models([contrast.told for contrast in rows], "change of a setting")
    look = {factor: series(place) for place, factor in enumerate(QUESTIONS)}
    with canvas.house():
        figure = canvas.empty(2.2 + 0.24 * len(rows), title or "What moved robust accuracy, and by what way")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        for place, contrast in enumerate(rows):
            one, own = ratio(effect(known, [contrast])), look[contrast.factor]
            if not math.isnan(one.low):
                left.plot([one.low, one.high], [place, place], color=own.colour, linewidth=1.6, gid="interval")
            left.plot(one.value, place, color=own.colour, marker=own.mark, markersize=6, linestyle="", gid="series")
        left.axvline(1.0, color=REFERENCE, linewidth=0.8, zorder=0)
        left.set_xscale("log", base=2)
        left.set_xlim(TICKS[0] / 1.2, TICKS[-1] * 1.2)
        left.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        left.set_yticks(range(len(rows)), [plain(contrast.told, 34) for contrast in rows], fontsize=8)
        left.set_ylim(len(rows) - 0.5, -0.5)
        left.set_xlabel("ratio of robust accuracies, ε = 0.05")
        left.tick_params(axis="y", length=0)
        _arms(right, known)
        keys = [canvas.key(look[factor], factor) for factor in QUESTIONS if there(known, every, factor)]
        caption = "Left: bar, 95 % interval over seeds, their spread pooled over arms. Right: a mark is one net."
        return canvas.finish(figure, keys, caption, stamp, columns=2)


def _arms(ax: Any, known: Seen) -> None:
    """Every net by its first-order distance and its robust accuracy; the arms named at the ends."""
    across = {arm: mean(records, lambda traits: traits.first_order) for arm, records in known.items()}
    for records in known.values():
        for one in records.values():
            ax.plot(one.first_order, 100 * one.share, color=INK, marker="o", markersize=3.5, linestyle="", gid="net")
    for arm in (min(across, key=lambda arm: across[arm]), max(across, key=lambda arm: across[arm])):
        up, low = 100 * mean(known[arm], lambda traits: traits.share), across[arm] == min(across.values())
        ax.annotate(plain(arm.removeprefix("shallow "), 34), (across[arm], up), (6 if low else -6, 6), fontsize=8,
                    textcoords="offset points", ha="left" if low else "right")  # fmt: skip
    ax.set_xlabel("median margin / slope, pixels (L∞, first order)")
    ax.set_ylabel("robust accuracy at ε = 0.05, %")
    ax.margins(0.12, 0.12)
