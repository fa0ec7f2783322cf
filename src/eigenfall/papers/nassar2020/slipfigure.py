"""Slips of the follow-up's penalty: a line per arm, its robustness over that of plain training; exponents beside it."""

import math
from typing import Any

from eigenfall.papers.drawn import canvas
from eigenfall.papers.nassar2020.found import Found
from eigenfall.papers.nassar2020.sizes import SIZES
from eigenfall.papers.nassar2020.slipratios import ALL, BASE, BOTH, FIRST, Standing, standings
from eigenfall.types import Estimate

_COLUMNS = (1.04, 1.11, 1.18)
"""Of the numbers beside the panel, in widths of it."""
_GROUPS = {
    "made": "no slip, or one alone",
    "path": "the first n of the single ones",
    "mended": "all slips, or all but one",
    "net": "another net",
}


def draw(found: Found, title: str = "") -> Any:
    """A line per arm: its ratio to plain training with its interval and every seed; exponents beside it.

    Args:
        found: records of the arms.
        title: what was found; "": the ratios without a slip and with all.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if no arm and its plain one have a record of one seed.
    """
    held = standings(found)
    names = canvas.need_models(held, "arm under the penalty")
    look = canvas.looks(("made", "mended", "path", "net"), ())
    with canvas.house():
        figure = canvas.empty(1.9 + 0.27 * len(names), title or _title(held))
        ax = figure.subplots()
        ax.set_xscale("log")
        for place, name in enumerate(names):
            one = held[name]
            style = look[_group(name)]
            canvas.cross(ax, one.ratio, Estimate(-float(place)), style)
            ticks = {"marker": "|", "markersize": 7, "color": style.colour, "gid": "seed"}
            ax.plot(one.each, [-place] * len(one.seeds), linestyle="", **ticks)
            numbers = (_number(one.alpha), _number(one.currents), f"{100 * one.clean:.1f}")
            for across, told in zip(_COLUMNS, numbers):
                _beside(ax, across, -float(place), told)
        for across, told in zip(_COLUMNS, ("α", "α of I", "clean")):
            _beside(ax, across, 0.9, told)
        ax.axvline(1.0, color=canvas.INK, linewidth=0.9, linestyle=":")
        ax.set_yticks([-float(place) for place in range(len(names))], [_label(name) for name in names])
        ax.set_ylim(-len(names) + 0.4, 0.6)
        every = [ratio for one in held.values() for ratio in one.each]
        ax.set_xlim(min(every) / 2, max(*every, 1.0) * 2)
        canvas.log_ticks(ax)
        epsilon = SIZES[found.scale, "shallow"].epsilon
        ax.set_xlabel(f"worst-case accuracy at ε = {epsilon:g} (L∞, pixels), × that of plain training")
        keys = [canvas.key(look[group], words) for group, words in _GROUPS.items() if group in map(_group, names)]
        return canvas.finish(figure, keys, _caption(held), "")


def _beside(ax: Any, across: float, up: float, told: str) -> None:
    ax.text(across, up, told, transform=ax.get_yaxis_transform(), ha="center", va="center", fontsize=9)


def _group(name: str) -> str:
    if not name.startswith("slips "):
        return "net"
    if name.startswith("slips first"):
        return "path"
    return "made" if name.startswith(("slips none", "slips only")) else "mended"


def _label(name: str) -> str:
    words = {
        "slips none": "published, no slip",
        BOTH: "all but the first two",
        "theirs none": "their net, no slip",
        "theirs all": "their net, all slips",
    }
    return words.get(name, name.removeprefix("slips "))


def _number(value: float) -> str:
    return " –  " if math.isnan(value) else f"{value:.2f}"


def _title(held: dict[str, Standing]) -> str:
    """The ratio without a slip, with the first alone, and with all."""
    words = {BASE: "no slip", f"slips only {FIRST}": f"{FIRST} alone", ALL: "all slips"}
    told = [f"{what} {canvas.number(held[name].ratio.value)}" for name, what in words.items() if name in held]
    return f"Robustness under the penalty, × plain training: {', '.join(told)}" if told else "Slips of the penalty"


def _caption(held: dict[str, Standing]) -> str:
    """What every symbol means."""
    over = canvas.seeds_told(
        [len(one.seeds) for one in held.values()], "mark", "bar its 95 % interval (it may go on beyond the panel)"
    )
    return (
        f"{over}, ticks each seed, paired by seed. Geometric means; where no image is left, half an image. α: exponent "
        "of the hidden layer's spectrum, α of I: of its currents; clean: accuracy on clean test images, %. Dotted: as "
        "robust as plain training of the same net and batches. Their net's ε is .05 pixels of the average image in L3 "
        "units."
    )
