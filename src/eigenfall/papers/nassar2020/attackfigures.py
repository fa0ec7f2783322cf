"""Figures 2, 3 and 4 of the paper and those of its appendix, from records.

    published   accuracy under the paper's FGSM and PGD, each ε counted by itself, as the paper's code counts
    corrected   worst case per image of the headline, and white noise, the mean over draws

Spectra, exponents and dimensions are the records'. Sensitivity maps are computed anew, from a record's weights and the
first test images, of the smallest seed.

Source: Nassar et al. 2020, arXiv:2012.04729; spec `nassar2020` §8.
Differs from the source: which ranks and images it maps is not known; here n = 1, the anchor τ + 1, and 50 or the last.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch

from eigenfall import parts
from eigenfall.check import need
from eigenfall.models import model_of
from eigenfall.papers.drawn import canvas
from eigenfall.papers.figuring import BOTH, Figure, Semantics, failing, there, without
from eigenfall.papers.found import Found
from eigenfall.papers.nassar2020.drawn import sheets
from eigenfall.papers.nassar2020.drawn.curves import Curve, Panel, rank_at
from eigenfall.papers.nassar2020.drawn.sheets import Maps, Part
from eigenfall.papers.nassar2020.runs import arms as every_arm
from eigenfall.papers.nassar2020.style import TAU, bare, looks, stamp_of
from eigenfall.sensitivity import sensitivity
from eigenfall.types import Examples, Record, RobustnessCurve, Row

STIMULI, IMAGES, RANK = 1000, 2, 50
"""Test images behind a map's covariance; how many of them are shown; the highest rank that is mapped."""

PERTURBATIONS: dict[Semantics, dict[str, str]] = {
    "published": {"published_fgsm": "FGSM", "published_pgd": "PGD, 40 steps of .01"},
    "corrected": {"headline": "worst case of all attacks", "noise": "white noise"},
}
"""What a record calls a curve, and its name here, by semantics."""
AXES = {"noise": "noise σ, pixels in [0, 1]"}
EPSILON = "L∞ budget ε, pixels in [0, 1]"
NOTES: dict[Semantics, str] = {
    "published": "Published reading: attacks on raw cross-entropy from the clean image; each ε is counted by itself.",
    "corrected": "Corrected: worst case per image over margin, DLR and scaled cross-entropy from two starts; noise is "
    "clipped to pixels.",
}

CLIPPED = "Noise is clipped to pixels in [0, 1]."
JUDGED = 0.05
"""The budget that titles tell of."""


# -------------------------------------------------------------------------------- what is collected


def right(record: Record, name: str) -> tuple[tuple[float, ...], list[float]]:
    """ε from 0, and the share of attacked images that are right there; of repeated noise the mean over draws."""
    curves = record.measurement.curves
    need(
        name in curves,
        expected=f"a curve {name} in {record.name}",
        got=", ".join(curves) or "none",
        remedy="Make the record anew: remove its folder, and reproduce again.",
    )
    curve = curves[name]
    return (0.0, *curve.epsilons), [float(curve.clean_correct.double().mean()), *_shares(curve, name)]


def _shares(curve: RobustnessCurve, name: str) -> list[float]:
    if name == "noise":
        return list(curve.mean_accuracy())
    return [each.value for each in curve.accuracy(monotone=not name.startswith("published"))]


def accuracy_panel(found: Found, arms: Sequence[str], name: str, title: str) -> Panel:
    """Accuracy against ε of those arms that have records."""
    curves = {}
    for arm in there(found, arms):
        made = [right(found.records[arm][seed], name) for seed in found.seeds(arm)]
        y = torch.tensor([each for _, each in made], dtype=torch.float64)
        curves[bare(arm)] = Curve(torch.tensor(made[0][0], dtype=torch.float64), y, tuple(found.seeds(arm)))
    return Panel(title, curves, AXES.get(name, EPSILON), "test images right, %")


def hidden_layers(record: Record) -> list[str]:
    """Layers that have a spectrum, first to last."""
    return list(record.measurement.spectra)


def spectrum_panel(found: Found, arms: Sequence[str], layer: str, title: str) -> Panel:
    """Eigenvalues against rank of those arms that have records, as many as each seed of an arm has: units may die."""
    curves = {}
    for arm in there(found, arms):
        every = [found.records[arm][seed].measurement.spectra[layer].eigenvalues for seed in found.seeds(arm)]
        fewest = min(map(len, every))
        ranks = torch.arange(1, fewest + 1, dtype=torch.float64)
        y = torch.stack([eigenvalues[:fewest] for eigenvalues in every]).double()
        curves[bare(arm)] = Curve(ranks, y, tuple(found.seeds(arm)))
    return Panel(title, curves, "rank n", "eigenvalue λₙ, response²")


SUMMARY = {"alpha": "α", "straightness": "R²", "rank_at_90_percent": "n90", "participation_ratio": "PR"}
"""What is told of every spectrum: a record's quantity, and its letter."""


def summary(found: Found, arms: Sequence[str], layers: Sequence[str], net: str) -> tuple[Row, ...]:
    """Numbers of every spectrum, a row for each seed; x is empty."""
    told = []
    for arm in there(found, arms):
        for seed in found.seeds(arm):
            record = found.records[arm][seed]
            held = {(row["quantity"], row.get("layer")): row["value"] for row in reversed(record.measurement.rows)}
            for layer in layers:
                spectrum = record.measurement.spectra[layer]
                values = {letter: held.get((quantity, layer), math.nan) for quantity, letter in SUMMARY.items()}
                values = {"rows": spectrum.stimuli, **values, "rank of the star": rank_at(spectrum.eigenvalues)}
                told += [
                    {"arm": arm, "seed": seed, "panel": f"{net}, {name} of {layer}", "x": "", "y": value}
                    for name, value in values.items()
                ]
    return tuple(told)


def summary_told(found: Found, blocks: Sequence[tuple[str, Sequence[str], Sequence[str]]]) -> str:
    """The same in words, means over seeds, of blocks: name, arms and layers; empty without a fit."""
    told, rows, windows = [], set(), set()
    for name, arms, layers in blocks:
        for layer in layers:
            each = []
            for arm in there(found, arms):
                made = [found.records[arm][seed].measurement for seed in found.seeds(arm)]
                fits = [one.fits[layer] for one in made if layer in one.fits]
                if not fits:
                    continue
                rows |= {one.spectra[layer].stimuli for one in made}
                windows |= {fit.used for fit in fits}
                alpha, r2 = statistics.fmean(fit.alpha for fit in fits), statistics.fmean(fit.r2 for fit in fits)
                n90, pr = (_mean(made, layer, quantity) for quantity in ("rank_at_90_percent", "participation_ratio"))
                each.append(f"{bare(arm)} {alpha:.2f} / {r2:.2f} / {n90:.0f} / {pr:.1f}")
            if each:
                told.append(f"{name[:1].upper()}{name[1:]}, {layer}: {'; '.join(each)}")
    if not told:
        return ""
    window = " or ".join(f"{first}–{last}" for first, last in sorted(windows))
    over = " or ".join(str(count) for count in sorted(rows))
    return f"α (n = {window}) / its R² / n90 / participation ratio, {over} training rows. {'. '.join(told)}."


def _mean(made: Sequence[Any], layer: str, quantity: str) -> float:
    values = [
        float(row["value"])
        for one in made
        for row in one.rows
        if row["quantity"] == quantity and row.get("layer") == layer
    ]
    return statistics.fmean(values) if values else math.nan


@lru_cache(maxsize=2)
def examples_of(data: str) -> Examples:
    """A record's data, read once."""
    return parts.read("datasets", data)()


@lru_cache(maxsize=32)
def maps_of(record: Record, layer: str) -> Maps:
    """Maps of a layer's eigenvalues at the first test images."""
    examples = examples_of(str(record.run["data"]))
    inputs = examples.test.inputs[:STIMULI]
    most = min(record.measurement.spectra[layer].eigenvalues.shape[0] - 1, len(inputs) - 1)
    ranks = tuple(dict.fromkeys(min(rank, most) for rank in (1, TAU + 1, RANK)))
    found = sensitivity(model_of(record, examples), inputs, layer, ranks)
    images, maps = inputs[:IMAGES], found.maps[:, :IMAGES]
    return Maps(bare(str(record.run["arm"])), int(record.run["seed"]), layer, ranks, images.mean(1), maps.sum(2))


# -------------------------------------------------------------------------------- figures


def collected(
    found: Found,
    blocks: Mapping[str, Sequence[str]],
    semantics: Semantics,
    every_layer: bool = False,
    mapped: bool = False,
    spectra: bool = True,
    perturbations: Mapping[str, str] | None = None,
) -> list[Part]:
    """What a sheet draws, block by block; a block none of whose arms has records is left out.

    Args:
        found: what the runs came to.
        blocks: arms by the block's name.
        semantics: of the accuracies.
        every_layer: spectra of all hidden layers; off: of the last.
        mapped: with sensitivity maps.
        spectra: with spectra at all.
        perturbations: names of curves, by what a record calls them; `None`: those of the semantics.
    """
    made = []
    for name, arms in blocks.items():
        have = there(found, arms)
        if not have:
            continue
        record = found.records[have[0]][found.seeds(have[0])[0]]
        layers = hidden_layers(record) if every_layer else hidden_layers(record)[-1:]
        letters = iter("ABCDEFGH")
        panels = [
            spectrum_panel(found, have, layer, f"{next(letters)}  spectrum of {layer}") for layer in layers if spectra
        ]
        named = perturbations or PERTURBATIONS[semantics]
        attacked = [accuracy_panel(found, have, curve, f"{next(letters)}  {title}") for curve, title in named.items()]
        maps = []
        if mapped:
            maps = [maps_of(found.records[arm][found.seeds(arm)[0]], layers[-1]) for arm in have]
        numbers = summary(found, have, layers, name) if spectra else ()
        made.append(Part(name, tuple(panels), tuple(attacked), tuple(maps), _guide(have), numbers))
    return made


def _guide(arms: Sequence[str]) -> str:
    """The arm through whose anchor 1/n is drawn: the first under the penalty, else the first."""
    return bare(next((arm for arm in arms if "spectral" in arm or "last layer" in arm), arms[0]))


def sheet(title: str, shows: str, blocks: Mapping[str, Sequence[str]], needs: Sequence[str], **settings: Any) -> Figure:
    """A figure of these blocks.

    Args:
        title: its name in the paper, or what it is.
        shows: what is to be seen.
        blocks: arms by the block's name.
        needs: arms without which it is not drawn.
        **settings: of `collected`.
    """
    arms = tuple(dict.fromkeys(arm for block in blocks.values() for arm in block))

    def draw(found: Found, semantics: Semantics) -> Any:
        made = collected(found, blocks, semantics, **settings)
        told = summary_told(found, [(part.net, blocks[part.net], _layers(part)) for part in made])
        reading = CLIPPED if "perturbations" in settings else NOTES[semantics]
        missing = without(found, [arm for arm in arms if arm in names_at(found)])
        note = " ".join(filter(None, (reading, told, missing, failing(found, arms))))
        names = {name for part in made for name in part.names}
        return sheets.sheet(made, looks(names), TAU, _title(made, semantics), stamp_of(found, arms), note)

    def rows(found: Found, semantics: Semantics) -> list[Row]:
        return sheets.rows(collected(found, blocks, semantics, **settings))

    semantics = () if "perturbations" in settings else BOTH
    return Figure(title, shows, arms, draw, semantics, tuple(needs), rows)


def names_at(found: Found) -> set[str]:
    """Arms that the scale has."""
    return {arm.name for arm in every_arm(found.scale)}


def _layers(part: Part) -> list[str]:
    return [panel.name.rpartition(" ")[2] for panel in part.spectra]


def _title(made: Sequence[Part], semantics: Semantics) -> str:
    """What each arm gets right at the budget that claims are about, or at the largest noise."""
    told, which = [], ""
    for part in made:
        panel = part.accuracies[-1 if semantics == "published" else 0]
        x = next(iter(panel.curves.values())).x.tolist()
        place = x.index(JUDGED) if JUDGED in x else len(x) - 1
        values = {arm: 100 * float(curve.y[:, place].mean()) for arm, curve in panel.curves.items()}
        ends = f"{canvas.number(min(values.values()))} to {canvas.number(max(values.values()))}"
        words = canvas.told(values) if len(made) < 3 else ends
        told.append(f"{part.net[:1].upper()}{part.net[1:]}: {words}")
        which = f"{panel.name[3:]}, {panel.x[panel.x.index(',') - 1]} = {x[place]:g}"
    return f"Right, %, under {which}. {'. '.join(told)}"
