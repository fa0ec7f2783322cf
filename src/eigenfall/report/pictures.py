"""Figures as inline SVG: text stays text, colours follow the reader's light or dark setting."""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from eigenfall import figures
from eigenfall.figures import robustness
from eigenfall.figures.style import INK, PALETTE, REFERENCE, legend, plain
from eigenfall.report import arms as read
from eigenfall.report import tables
from eigenfall.report.arms import Arm
from eigenfall.report.numbers import percent, sentence

WIDTH = 480
_RULES: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 11.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Picture:
    """A figure: heading, the SVG element (safe markup), and what stands under it."""

    heading: str
    svg: str
    caption: str = ""


def svg(draw: Callable[[Any], None], finding: str, height: float = 300, top: float = 14) -> str:
    """An SVG element of what `draw` puts on its axes, the legend below them, named by its finding.

    Args:
        draw: called with the axes.
        finding: what the figure shows, in words: its name for those who do not see it.
        height: of the axes, in CSS pixels.
        top: room above the axes.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

    left, right = 66, 14
    with matplotlib.rc_context({**_RULES, "svg.hashsalt": finding}), warnings.catch_warnings():
        # The reader's browser has glyphs that the font measured with here may lack.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(WIDTH / 72, (height + top) / 72))
        canvas = FigureCanvasAgg(figure)
        box = (left / WIDTH, 0, (WIDTH - left - right) / WIDTH, height / (height + top))
        ax = figure.add_axes(box)
        draw(ax)
        legend(ax)
        drawn: Any = ax.get_legend()
        if drawn:
            handles, labels = drawn.legend_handles, [text.get_text() for text in drawn.get_texts()]
            ax.legend(
                handles, labels, frameon=False, loc="upper left", bbox_to_anchor=(-0.02, -46 / height),
                borderpad=0, borderaxespad=0, labelspacing=0.35, handlelength=2.4,
            )  # fmt: skip
        tight = figure.get_tightbbox(canvas.get_renderer())
        whole = Bbox.from_extents(min(0, tight.x0), tight.y0 - 0.05, max(WIDTH / 72, tight.x1), tight.y1 + 0.05)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", bbox_inches=whole, metadata=nothing)
    return _inline(buffer.getvalue(), finding)


def _inline(text: str, finding: str) -> str:
    """The bare element: no prologue, no metadata, no ids that could meet those of another figure, colours by name."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text).replace(' id="series"', "")  # of an image
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    for place, colour in enumerate(PALETTE):
        text = text.replace(colour, f"var(--series-{place}, {colour})")
    text = text.replace(INK, f"var(--ink, {INK})").replace(REFERENCE, f"var(--reference, {REFERENCE})")
    text = text.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    head, _, body = text.partition(">")
    view = re.search(r'viewBox="([^"]*)"', head)
    size = view.group(1) if view else "0 0 1 1"
    return f'<svg role="img" aria-label="{escape(finding, quote=True)}" viewBox="{size}">{body}'


def spectra(found: Sequence[Arm]) -> list[Picture]:
    """A spectrum per layer, arms together; then the exponents."""
    pictures = []
    for layer in read.every(found, lambda one: list(one.spectra)):
        have = [(arm, [one for one in arm.measurements if layer in one.spectra]) for arm in found]
        have = [(arm, group) for arm, group in have if group]

        def draw(ax: Any, layer: str = layer, have: list = have) -> None:
            for arm, group in have:
                fits = [one.fits[layer] for one in group if layer in one.fits]
                figures.plot([one.spectra[layer] for one in group], ax, arm.name, arm.order, fit=fits or None)

        told = [f"{arm.name} α = {sentence(read.alpha(arm, layer))}" for arm, _ in have if arm.fits(layer)]
        spectrum = have[0][1][0].spectra[layer]
        many = max(len(group) for _, group in have)
        pictures.append(
            Picture(
                layer,
                svg(draw, f"Eigenvalues of {layer} against rank. {'; '.join(told)}", 330),
                f"{spectrum.stimuli} stimuli, {spectrum.units} units; {spectrum.target} {spectrum.of}"
                + (f"; geometric mean over {many} seeds, band: their range." if many > 1 else "."),
            )
        )
    layers = read.every(found, lambda one: list(one.fits))
    if layers:
        by_arm = {arm.name: {layer: arm.fits(layer) for layer in layers if arm.fits(layer)} for arm in found}
        told = [
            f"{layer} {arm.name} {sentence(read.alpha(arm, layer))}"
            for layer in layers for arm in found if arm.fits(layer)
        ]  # fmt: skip
        spread = tables.over([read.alpha(arm, layer) for arm in found for layer in layers])
        interval = f"Bars: 95 % intervals over {spread}. " if spread else "No interval is known. "
        pictures.append(
            Picture(
                "Exponents",
                svg(
                    lambda ax: figures.exponents(ax, by_arm),
                    f"Exponent α by layer and arm: {'; '.join(told)}",
                    max(90, len(layers) * (30 + 22 * len(found))),
                ),
                interval + ("Ticks: each seed." if any(len(arm.records) > 1 for arm in found) else ""),
            )
        )
    return pictures


def curves(found: Sequence[Arm], guess: float | None) -> list[Picture]:
    """Accuracy against epsilon, then critical distances as survival curves."""
    sound = [arm for arm in found if arm.curves("headline")]
    if not sound:
        return []
    epsilon = read.budget(found, "headline")

    def draw(ax: Any) -> None:
        for name, words in (("headline", "worst case"), ("fgsm", "FGSM"), ("noise", "Gaussian noise, ε is its s.d.")):
            for arm in found:
                if arm.curves(name):
                    label = f"{plain(arm.name, 24)}, {words}" if name != "headline" else f"{plain(arm.name)}, {words}"
                    robustness.accuracy(ax, arm.curves(name), label, figures.series(arm.order))
        if guess is not None:
            figures.guessing(ax, guess)

    told = [
        f"{arm.name} {sentence(percent(read.accuracy(arm, 'headline', epsilon)), ' %')}" for arm in sound
    ] if epsilon is not None else []  # fmt: skip
    many = max(len(arm.records) for arm in sound)
    band = (
        f"mean of {many} seeds with its 95 % t-interval; points: each seed" if many > 1 else "95 % Wilson over images"
    )
    at = f" at ε = {epsilon:g}" if epsilon is not None else ""
    pictures = [
        Picture(
            "Accuracy against budget",
            svg(draw, f"Worst-case accuracy against epsilon.{at}: {'; '.join(told)}", 330, 56),
            f"Clean errors count as broken. Thick, with band: {band}.",
        )
    ]
    if all(curve.distances is not None for arm in sound for curve in arm.curves("headline")):

        def survive(ax: Any) -> None:
            for arm in sound:
                figures.survival(ax, arm.curves("headline"), plain(arm.name), figures.series(arm.order))

        pictures.append(
            Picture(
                "Critical distances",
                svg(survive, f"Share of images whose critical distance is larger.{at}: {'; '.join(told)}", 330, 56),
                "Smallest verified perturbation that broke each image. Images that nothing broke are censored at the "
                "largest budget, not dropped." + (" Thin: each seed." if many > 1 else ""),
            )
        )
    return pictures


def training(found: Sequence[Arm]) -> list[Picture]:
    """The loss that training logged, if it did."""
    logged = {
        arm: [
            [(row["step"], row["loss"]) for row in record.history if "step" in row and "loss" in row]
            for record in arm.records
        ]
        for arm in found
    }
    if not any(any(rows) for rows in logged.values()):
        return []

    def draw(ax: Any) -> None:
        for arm, seeds in logged.items():
            look = figures.series(arm.order)
            for place, rows in enumerate(filter(None, seeds)):
                ax.plot(
                    *zip(*rows),
                    color=look.colour,
                    linestyle=look.line,
                    linewidth=0.9,
                    label=plain(arm.name) if not place else "_",
                )
        ax.set_yscale("log")
        ax.set_xlabel("training step")
        ax.set_ylabel("loss on the batch, penalties included")

    last = [f"{arm.name} {rows[0][-1][1]:.3g}" for arm, rows in logged.items() if rows and rows[0]]
    return [Picture("Training", svg(draw, f"Training loss; at the end {'; '.join(last)}", 240), "One line per seed.")]
