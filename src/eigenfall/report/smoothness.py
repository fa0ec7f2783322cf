"""What the page says and shows of smoothness: every measure, its distributions, what it depends on, global bounds."""

import math
from collections.abc import Sequence
from typing import Any

from eigenfall import figures
from eigenfall.figures import smoothness
from eigenfall.figures.style import legend, plain
from eigenfall.report import arms as read
from eigenfall.report import tables
from eigenfall.report.arms import Arm
from eigenfall.report.numbers import percent, sentence
from eigenfall.report.pictures import Picture, svg
from eigenfall.types import Estimate, Smoothness

MEANING = {
    "jacobian_norm": "‖J‖: Frobenius norm of the Jacobian by input, how far a layer moves when the input does.",
    "spectral_norm": "‖J‖₂: its spectral norm, how far a layer moves in the direction that moves it most.",
    "local_lipschitz": "Local Lipschitz constant: the steepest that was found near an input, so a bound from below.",
    "log_volume": "Log-volume: by how much a layer magnifies volume, as a logarithm; only inputs of one rank compare.",
    "first_order_distance": "First-order distance: how far away a linear model of the logits puts another decision.",
}


def reading(found: Sequence[Arm]) -> str:
    """What the measures are, and how to read the distributions."""
    quantities = dict.fromkeys(
        one.smoothness[name].quantity for arm in found for one in arm.measurements for name in one.smoothness
    )
    told = [MEANING[quantity] for quantity in quantities if quantity in MEANING]
    how = (
        "Filled: mean over seeds; lines: each seed; bar and mark: quartiles and median. Heights are scaled row by row."
    )
    return " ".join([*told, how])


def pictures(found: Sequence[Arm]) -> list[Picture]:
    """Distributions of each measure, raw and over the layer's spread; then those of the outputs against distances."""
    names = read.every(found, lambda one: list(one.smoothness))
    return [*(picture for name in names for picture in _distributions(found, name)), *_against(found, names)]


def _having(found: Sequence[Arm], name: str) -> list[tuple[Arm, list[Smoothness]]]:
    """Arms with a measure of this name, and its value of each seed that has it."""
    have = [(arm, [one.smoothness[name] for one in arm.measurements if name in one.smoothness]) for arm in found]
    return [(arm, values) for arm, values in have if values]


def _distributions(found: Sequence[Arm], name: str) -> list[Picture]:
    have, made = _having(found, name), []
    first = have[0][1][0]
    scaled = first.scaling != "free" and all(value.scale > 0 for _, values in have for value in values)
    for relative in (False, True) if scaled else (False,):

        def draw(ax: Any, relative: bool = relative) -> None:
            ax.spines["left"].set_visible(False)
            for arm, values in have:
                smoothness.ridge(ax, values, plain(arm.name, 16), figures.series(arm.order), relative)

        told = [f"{arm.name} {sentence(read.smoothness(arm, name, relative))}" for arm, _ in have]
        title, _ = tables.quantity_and_layer(found, name)
        how = f" Measured by {first.method}." if first.method else ""
        heading = f"{title}{', over the spread of the layer' if relative else ''}"
        made.append(
            Picture(
                heading,
                svg(draw, f"{heading}: distribution over inputs, medians {'; '.join(told)}", 44 + 62 * len(found)),
                f"{len(first.values)} inputs; medians {'; '.join(told)}.{how}",
            )
        )
    return made


def _against(found: Sequence[Arm], names: Sequence[str]) -> list[Picture]:
    """Each measure of the logits against the margin, then against the first-order distance, where records hold them."""
    firsts = {name: _having(found, name)[0][1][0] for name in names}
    of_outputs = [name for name, first in firsts.items() if first.layer == "outputs" and not first.points]
    drawn = [_against_margin(found, name) for name in of_outputs]
    drawn += [_against_distance(found, name) for name in of_outputs]
    return [picture for picture in drawn if picture is not None]


def _against_margin(found: Sequence[Arm], name: str) -> Picture | None:
    have = []
    for arm in found:
        some = [one for one in arm.measurements if one.margins is not None and _scaled(one.smoothness.get(name))]
        if some:
            margins = [one.margins.numpy() for one in some if one.margins is not None]
            have.append((arm, [one.smoothness[name] for one in some], margins))
    if not have:
        return None

    def draw(ax: Any) -> None:
        for arm, values, margins in have:
            look = figures.series(arm.order)
            smoothness.against_margin(ax, values, margins, plain(arm.name, 16), look)
        legend(ax)

    ranks = [
        f"{arm.name} {smoothness.margin_correlation(values, margins):+.2f}".replace("-", "−")
        for arm, values, margins in have
    ]
    told = f"Spearman ρ over inputs: {'; '.join(ranks)}."
    title, _ = tables.quantity_and_layer(found, name)
    return Picture(
        f"{title} against margin",
        svg(draw, f"{title} against the margin. {told}"),
        f"Ten bins of equal count: medians and quartiles over inputs, averaged over seeds. {told}",
    )


def _scaled(value: Smoothness | None) -> bool:
    return value is not None and value.scale > 0 and bool(value.comparable.any())


def _against_distance(found: Sequence[Arm], name: str) -> Picture | None:
    have = [(arm, [one.by_distance[name] for one in arm.measurements if name in one.by_distance]) for arm in found]
    have = [(arm, values) for arm, values in have if values]
    if not have:
        return None

    def draw(ax: Any) -> None:
        for arm, values in have:
            smoothness.against_distance(ax, values, plain(arm.name, 16), figures.series(arm.order))
        legend(ax)

    ranks = [
        f"{arm.name} {sentence(figures.across_seeds([value.correlation for value in values], -1.0, 1.0))}"
        for arm, values in have
    ]
    told = f"Spearman ρ over inputs: {'; '.join(ranks)}."
    title, _ = tables.quantity_and_layer(found, name)
    return Picture(
        f"{title} against first-order distance",
        svg(draw, f"{title} against the first-order distance. {told}"),
        f"Bins of equal count, {sum(have[0][1][0].counts)} inputs: medians and their 95 % intervals, averaged over "
        f"seeds. {told}",
    )


def bounds(found: Sequence[Arm]) -> tables.Table | None:
    """A bound for all inputs, and the distances that it certifies; `None` if no arm has one."""
    values = [[one.lipschitz.value for one in arm.measurements if one.lipschitz is not None] for arm in found]
    if not any(values):
        return None
    bounded = [figures.across_seeds([Estimate(value) for value in some], 0.0) if some else None for some in values]
    columns = [[tables.cell(one) for one in bounded]]
    headings = [("Lipschitz bound, L2", tables.over(bounded) and f"over {tables.over(bounded)}")]
    certified = [read.told(arm, "certified_distance") for arm in found]
    columns.append([tables.cell(one) for one in certified])
    headings.append(("certified distance", f"median, {_spread(certified)}"))
    epsilon = read.budget(found, "headline")
    shares = [read.told(arm, "certified_accuracy", epsilon=epsilon) for arm in found]
    if any(shares):
        columns.append([tables.cell(one and percent(one)) for one in shares])
        headings.append((f"certified, ε = {epsilon:g}", f"%; {_spread(shares)}"))
    return tables.Table(
        "A bound for all inputs: L of the outputs, and m/(√2 L), nearer than which no perturbation of that L2 length "
        "changes a right decision. The true distance lies between it and what attacks found.",
        tuple(headings),
        tables.rows_of(found, columns),
    )


def _spread(estimates: Sequence[Estimate | None]) -> str:
    known = [one for one in estimates if one is not None and not math.isnan(one.low)]
    return f"over {tables.over(known)}" if known else "no interval"
