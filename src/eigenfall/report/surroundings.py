"""What the page shows of corrupted images, and of decisions on planes of inputs."""

from collections.abc import Sequence
from typing import Any

from eigenfall import figures
from eigenfall.figures import corruption, landscape
from eigenfall.figures.style import legend, plain
from eigenfall.report import tables
from eigenfall.report.arms import Arm
from eigenfall.report.numbers import digits, percent, sentence
from eigenfall.report.pictures import Picture, svg
from eigenfall.types import CorruptionCurve, Estimate, LandscapeSummary

# ---------------------------------------------------------------------------- corruptions


def _curves(arm: Arm) -> list[CorruptionCurve]:
    return [one.corruptions for one in arm.measurements if one.corruptions is not None]


def _having(found: Sequence[Arm]) -> list[tuple[Arm, list[CorruptionCurve]]]:
    return [(arm, _curves(arm)) for arm in found if _curves(arm)]


def corruptions(found: Sequence[Arm]) -> list[tables.Table]:
    """Of each arm accuracy under every corruption at every severity; then the arms beside each other."""
    have = _having(found)
    each = [_of_arm(arm, curves, len(found) > 1) for arm, curves in have]
    return [*([_beside(found)] if len(have) > 1 else []), *each]


def _of_arm(arm: Arm, curves: list[CorruptionCurve], named: bool) -> tables.Table:
    first = curves[0]
    alike = [
        one for one in curves if (list(one.corruptions), one.severities) == (list(first.corruptions), first.severities)
    ]

    def shares(values: Sequence[Estimate]) -> tables.Cell:
        return tables.cell(percent(figures.across_seeds(values, 0.0, 1.0)))

    rows = []
    for place, name in enumerate(first.corruptions):
        severities = [shares(values) for values in zip(*(one.accuracy(name) for one in alike))]
        means = [Estimate(float(one.correct[place].double().mean())) for one in alike]
        rows.append(tables.Row(name, (*severities, shares(means))))
    means = [shares(values) for values in zip(*(one.mean_accuracy() for one in alike))]
    rows.append(tables.Row("mean", (*means, shares([one.overall for one in alike]))))
    whose = f"{arm.name}: accuracy" if named else "Accuracy"
    return tables.Table(
        f"{whose} under each corruption and severity, % of {first.correct.shape[2]} images; clean "
        f"{sentence(percent(figures.across_seeds([_clean(one) for one in alike], 0.0, 1.0)), ' %')}.",
        (*((f"severity {severity}", "") for severity in first.severities), ("mean", "")),
        tuple(rows),
        corner="corruption",
    )


def _clean(curve: CorruptionCurve) -> Estimate:
    return Estimate(float(curve.clean_correct.double().mean()))


def _beside(found: Sequence[Arm]) -> tables.Table:
    """Mean accuracy of each arm, and its mean corruption error relative to the first that was corrupted."""
    have = _having(found)
    first = have[0][0]
    errors = [None if arm is first else corruption.mean_errors(_by_seed(arm), _by_seed(first)) for arm, _ in have]
    overall = [percent(figures.across_seeds([one.overall for one in curves], 0.0, 1.0)) for _, curves in have]
    columns = [
        tables.column(overall, "" if None in errors[1:] else "high"),
        [
            tables.Cell("1", note="the reference") if arm is first else tables.cell(one)
            for (arm, _), one in zip(have, errors)
        ],
    ]
    told = "" if None not in errors[1:] else (
        " –: seeds, images or corruptions differ, or the reference makes no error under one of these."
    )  # fmt: skip
    return tables.Table(
        f"Mean accuracy over corruptions and severities, and mean corruption error relative to {first.name}: below 1 "
        f"is better than it.{told}",
        (
            ("mean accuracy", f"%; over {tables.over(overall)}"),
            ("mean corruption error", f"over {tables.over(errors)}" if tables.over(errors) else ""),
        ),
        tables.rows_of([arm for arm, _ in have], columns),
    )


def _by_seed(arm: Arm) -> dict[Any, CorruptionCurve]:
    """Curves by what decides the images and draws."""
    found = {}
    for record in arm.records:
        curve = record.measurement.corruptions
        if curve is not None:
            found[f"{record.run.get('inputs')} {curve.seed}"] = curve
    return found


def by_severity(found: Sequence[Arm], guess: float | None) -> list[Picture]:
    """Mean accuracy of each arm by severity."""
    have = _having(found)
    if not have:
        return []

    def draw(ax: Any) -> None:
        for arm, curves in have:
            corruption.by_severity(ax, curves, plain(arm.name), figures.series(arm.order))
        if guess is not None:
            figures.guessing(ax, guess)
        legend(ax)

    told = [
        f"{arm.name} {sentence(percent(figures.across_seeds([one.overall for one in curves], 0.0, 1.0)), ' %')} over "
        f"{len(curves[0].corruptions)} corruptions"
        for arm, curves in have
    ]
    many = max(len(curves) for _, curves in have) > 1
    return [
        Picture(
            "Mean accuracy by severity",
            svg(draw, f"Mean accuracy under corruptions by severity. Over all: {'; '.join(told)}"),
            f"Band: 95 % over {'seeds' if many else 'images'}. Over all severities: {'; '.join(told)}.",
        )
    ]


# -------------------------------------------------------------------------------- planes


def _summaries(arm: Arm) -> list[LandscapeSummary]:
    return [one.landscapes for one in arm.measurements if one.landscapes is not None]


def planes(found: Sequence[Arm]) -> tables.Table | None:
    """What decisions look like on many planes; `None` if no arm was looked at so."""
    if not any(_summaries(arm) for arm in found):
        return None
    extents = [one.extent for arm in found for one in _summaries(arm)]
    shared = max(extents) - min(extents) <= 1e-9 * max(extents)
    columns, headings = [], []
    reach = [
        figures.across_seeds([Estimate(one.extent) for one in _summaries(arm)]) if _summaries(arm) else None
        for arm in found
    ]
    for name, title, unit, scaled in (
        ("base_share", "decision of the image", "% of the area", True),
        ("regions", "regions", "by plane", False),
        ("boundary_per_area", "boundary", "length by area", False),
        ("norm_spread", "spread of ‖J‖", "s.d. by mean", False),
    ):
        values = [
            figures.across_seeds([getattr(one, name) for one in _summaries(arm)], 0.0) if _summaries(arm) else None
            for arm in found
        ]
        shown = [one and percent(one) if scaled else one for one in values]
        columns.append([tables.cell(one) for one in shown])
        headings.append((title, f"{unit}{'; over ' if tables.over(shown) else ''}{tables.over(shown)}"))
    columns.append([tables.cell(one, _why(arm)) for arm, one in zip(found, reach)])
    headings.append(("extent, ±", "L2 of the input"))
    first = next(one for arm in found for one in _summaries(arm))
    apart = "" if shared else " Each network to an extent of its own: --plane-extent sets one for all."
    return tables.Table(
        f"Means over {first.planes} {first.kind} planes through {first.images} images.{apart}"
        + ("" if first.masked else " Places outside the inputs’ bounds count as well."),
        tuple(headings),
        tables.rows_of(found, columns),
    )


def _why(arm: Arm) -> str:
    return ", ".join(dict.fromkeys(one.extent_of for one in _summaries(arm)))


def landscapes(found: Sequence[Arm]) -> list[Picture]:
    """The first plane of each arm's first seed."""
    made = []
    for arm in found:
        shown = next((one for one in arm.measurements if one.landscape is not None), None)
        if shown is None or shown.landscape is None or shown.landscapes is None:
            continue
        value, many = shown.landscape, shown.landscapes

        def draw(ax: Any, value: Any = value) -> None:
            landscape.decisions(ax, value, "")

        pieces = f"{value.regions} region{'s' if value.regions != 1 else ''}"
        told = f"{pieces}, {digits(100 * value.base_share)} % of the area decided as at the image"
        made.append(
            Picture(
                f"One plane of {many.planes}" + (f", {arm.name}" if len(found) > 1 else ""),
                svg(draw, f"Decisions of {arm.name} on one plane of inputs: {told}", 400),
                f"{told[0].upper()}{told[1:]}. Colours and numbers: decisions; dot: the image. One picture is an "
                "illustration; the numbers are in the table.",
            )
        )
    return made
