"""Slips of the follow-up's penalty: a line per arm, its robustness over that of plain training; exponents beside it."""

import math
from typing import Any

from eigenfall.papers.holzhausen2024.drawn import canvas
from eigenfall.papers.nassar2020.found import Found
from eigenfall.papers.nassar2020.sizes import SIZES
from eigenfall.papers.nassar2020.slipratios import ALL, BASE, Standing, standings
from eigenfall.papers.verdicts import with_interval
from eigenfall.types import Estimate

_COLUMNS = (1.05, 1.13, 1.22)
"""Of the numbers beside the panel, in widths of it."""
_GROUPS = {"made": "no slip, or one alone", "path": "the first n slips", "mended": "all slips, or all but one",
           "net": "another net"}  # fmt: skip


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
            ax.plot(
                one.each, [-place] * one.seeds, linestyle="", marker="|", markersize=7, color=style.colour, gid="seed"
            )
            numbers = (_number(one.alpha), _number(one.currents), f"{100 * one.clean:.1f}")
            for across, told in zip(_COLUMNS, numbers):
                _beside(ax, across, -float(place), told)
        for across, told in zip(_COLUMNS, ("α", "α in I", "clean, %")):
            _beside(ax, across, 0.9, told)
        ax.axvline(1.0, color=canvas.INK, linewidth=0.9, linestyle=":")
        ax.set_yticks([-float(place) for place in range(len(names))], [_label(name) for name in names])
        ax.set_ylim(-len(names) + 0.4, 0.6)
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
        "theirs none": "their net, no slip",
        "theirs all": "their net, all slips",
    }
    return words.get(name, name.removeprefix("slips "))


def _number(value: float) -> str:
    return " –  " if math.isnan(value) else f"{value:.2f}"


def _title(held: dict[str, Standing]) -> str:
    if BASE not in held or ALL not in held:
        return "Slips of the follow-up's penalty"
    none, every = (with_interval(held[name].ratio) for name in (BASE, ALL))
    return f"The published penalty is {none} × as robust as plain training, with all slips {every}"


def _caption(held: dict[str, Standing]) -> str:
    """What every symbol means."""
    over = canvas.seeds_told([one.seeds for one in held.values()], "mark", "bar its 95 % interval, paired by seed")
    return (
        f"{over}, ticks each seed. Geometric means. α: exponent of the hidden layer's spectrum, α in I: of its "
        f"currents; clean: accuracy on clean test images. Dotted: as robust as plain training of the same net and "
        f"batches. Their net's ε is .05 pixels of the average image in L3 units."
    )
