"""Figures 2, 3, 4 and A1 of the paper, its training curves and its ensemble, from records.

    nested subsets:   λ(m) = eig cov(h₁ … h_m),   m = 10, 50, 100, … units, the first that the layer has

Currents h = W̃ x of subsets are computed anew, from a record's weights and data, and its own white noise; the whole
layer's spectrum and the fitted line are the record's.

Source: Holzhausen et al. 2024, arXiv:2405.00679; spec `holzhausen2024` §8.
Differs from the source: a subset whose units are all zeros, as pruned ones are, is left out; under the corrected
semantics the arithmetic is that of float64, on one draw of white noise for all.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall import records
from eigenfall.activations import white_noise
from eigenfall.papers.figuring import Semantics, first_seed, there, without
from eigenfall.papers.holzhausen2024 import drawn, ensembles
from eigenfall.papers.holzhausen2024.drawn import Code, History, Line, Logged, Seen
from eigenfall.papers.holzhausen2024.found import Found
from eigenfall.papers.holzhausen2024.planes import examples_of, landscape
from eigenfall.papers.holzhausen2024.style import (
    PAPER_SHARES,
    STUDY,
    of_the_papers_images,
    stamp_of,
    unit_of,
)
from eigenfall.spectra.pca import PCA
from eigenfall.spectra.pca import PRESETS as PCA_PRESETS
from eigenfall.types import Record, Responses, Row, SpectrumFit

SUBSETS = (10, 50, 100, 500, 1000, 1500, 2000)
STEPS = 60
INPUTS = {"images": "", "white noise": " at white noise"}
"""Kinds of input, and what a record calls a layer's spectrum over them."""
ESTIMATORS = {"published": (PCA_PRESETS["holzhausen2024"], ", pca"), "corrected": (PCA(), "")}
"""What makes the spectra, and what a record calls them."""


# -------------------------------------------------------------------------------- spectra


def spectra_of(arms: Sequence[str]) -> Any:
    """A function that draws the spectra of those of these arms that there are, of the first seed of each."""

    def draw(found: Found, semantics: Semantics) -> Any:
        seeds = {arm: first_seed(found, [arm]) for arm in there(found, arms)}
        codes = {
            arm: {what: code(found.records[arm][seed], what, semantics) for what in INPUTS}
            for arm, seed in seeds.items()
        }
        told = ", ".join(map(str, sorted(set(seeds.values()))))
        note = f"{semantics.capitalize()} arithmetic; seed {told}. {without(found, arms)}".strip()
        return drawn.spectra(codes, stamp=stamp_of(found, arms), study=STUDY, note=note)

    return draw


def layer_of(record: Record) -> str:
    """The layer whose spectrum is drawn: the currents, or, of raw images, the pixels."""
    return "currents" if "currents" in record.measurement.spectra else "flatten"


def code(record: Record, what: str, semantics: Semantics) -> Code:
    """Spectra of a record's nested subsets on one kind of input, with the record's line through the whole layer's."""
    measured = f"{layer_of(record)}{INPUTS[what]}"
    if f"{measured}{ESTIMATORS[semantics][1]}" not in record.measurement.spectra:
        semantics = "corrected"  # of raw images there is no other: no schedule, and a spectrum far above rounding
    estimator, ending = ESTIMATORS[semantics]
    key = f"{measured}{ending}"
    spectrum = record.measurement.spectra[key]
    whole, values = spectrum.eigenvalues, currents(record, what)
    first, fit = float(whole[0]), record.measurement.fits.get(key)
    floor = {"float32": torch.finfo(torch.float32).eps} if ending else {"float64": spectrum.floor / first}
    subsets = {**nested(values, estimator), values.shape[1]: whole}
    return Code(subsets, None if fit is None else line(fit, first), floor)


def line(fit: SpectrumFit, first: float) -> Line:
    """A record's fit as it is drawn, over the first eigenvalue."""
    error, scale = fit.statistics.get("slope_error", math.nan), fit.parameters["scale"].value / first
    return Line(*fit.used, alpha=fit.alpha, error=error, scale=scale, r2=fit.r2)


def nested(values: Float[Tensor, "stimuli units"], estimator: Any) -> dict[int, Float64[Tensor, "..."]]:
    """Eigenvalues of the first m units, for each m below the number that there is, unless they are constant."""
    sizes = [size for size in SUBSETS if size < values.shape[1]]
    kept = [size for size in sizes if bool((values[:, :size] != values[:1, :size]).any())]
    return {size: estimator(Responses(values=values[None, :, :size])).eigenvalues for size in kept}


def currents(record: Record, what: str) -> Float[Tensor, "stimuli units"]:
    """What the layer makes of a record's own stimuli, or of its own white noise; a bias, which covariances do not
    see, is left out."""
    examples = examples_of(str(record.run["data"]))
    inputs = (examples.test if record.run["stimuli"] == "test" else examples.train).inputs
    if what == "white noise":
        plan = record.run["measurement"]
        inputs = white_noise(inputs, int(plan["probe"]), int(plan["seed"]))
    if layer_of(record) == "flatten":
        return inputs.flatten(1)
    return inputs.flatten(1) @ records.weights(record)["currents.weight"].T


# -------------------------------------------------------------------------------- planes, pruning


def planes_of(arms: Sequence[str]) -> Any:
    """A function that draws one plane through one image, as each of these arms sees it."""

    def draw(found: Found, semantics: Semantics) -> Any:
        seed = first_seed(found, arms)
        made = {arm: found.records[arm][seed] for arm in arms}
        seen = {arm: _seen(record) for arm, record in made.items()}
        note = f"Seed {seed}; one image and one plane, which say nothing of others."
        return drawn.landscapes(seen, unit_of(made[arms[0]]), stamp=stamp_of(found, arms), note=note)

    return draw


def _seen(record: Record) -> Seen:
    found = landscape(record, STEPS)
    return Seen(found.reach, found.norms, found.classes, found.certainty)


def pruning(found: Found, semantics: Semantics) -> Any:
    """Figure A1: the layer before and after pruning, of the first seed that has both."""
    arms = ("KH", "KH pruned")
    seed = first_seed(found, arms)
    raw, pruned = (found.records[arm][seed].measurement for arm in arms)
    assert raw.fields is not None
    assert pruned.fields is not None
    assert pruned.pruned is not None  # all three are there for a layer that was learnt, and pruned
    variances, cutoff = pruned.pruned.variances, pruned.pruned.cutoff
    ending = ESTIMATORS[semantics][1]
    highest = float(variances.max())
    spectra = [
        {what: one.spectra[f"currents{key}{ending}"].eigenvalues for what, key in INPUTS.items()}
        for one in (raw, pruned)
    ]
    layer = drawn.Pruned(
        raw.fields.weights,
        pruned.fields.weights,
        variances,
        cutoff if math.isfinite(cutoff) else math.nan,
        *spectra,
        span=(1e-9, 3e-3) if highest <= 3e-3 else (0.0, 1.02 * highest),
    )
    return drawn.weights(layer, stamp=stamp_of(found, arms), note=f"Seed {seed}.")


# -------------------------------------------------------------------------------- training, ensemble


LOGGED = {
    "cross-entropy": ("task_loss", True),
    "loss with penalty": ("loss", True),
    "accuracy on validation images": ("validation_accuracy", False),
}
"""What is drawn over epochs: the name that a history has for it, and whether its axis is logarithmic."""


def training(arms: Sequence[str]) -> Any:
    """A function that draws what these arms' training logged: of learnt layers, of the head, and how the layer came."""

    def draw(found: Found, semantics: Semantics) -> Any:
        panels = [
            History(name, models, log)
            for name, (key, log) in LOGGED.items()
            if (models := _logged(found, arms, key, "step", "epoch"))
        ]
        layers = _logged(found, there(found, ("KH",)), "unconverged", "layer_step", "layer_epoch")
        if layers:
            panels.append(History("KH: share of units off norm", layers))
        return drawn.training_curves(panels, stamp=stamp_of(found, arms), study=STUDY)

    return draw


def _logged(found: Found, arms: Sequence[str], key: str, step: str, epoch: str) -> dict[str, Logged]:
    """Of each arm that logs it, means over the rows of an epoch, at the epochs that all its seeds have."""
    every = {arm: [by_epoch(one.history, key, step, epoch) for one in found.records[arm].values()] for arm in arms}
    models = {}
    for arm, seeds in every.items():
        shared = sorted(set.intersection(*(set(one) for one in seeds)))
        if shared:
            values = [[one[at] for at in shared] for one in seeds]
            along = torch.tensor(shared, dtype=torch.float64)
            models[arm] = Logged(along, torch.tensor(values, dtype=torch.float64))
    return models


def by_epoch(history: Sequence[Row], key: str, step: str = "step", epoch: str = "epoch") -> Mapping[int, float]:
    """Mean of what was logged in each epoch, the first being 1."""
    rows = [row for row in history if step in row]
    if not rows or not rows[-1][epoch]:
        return {}
    each = rows[-1][step] / rows[-1][epoch]
    held: dict[int, list[float]] = {}
    for row in rows:
        if key in row:
            held.setdefault(math.ceil(row[step] / each - 1e-9), []).append(float(row[key]))
    return {at: math.fsum(values) / len(values) for at, values in held.items()}


def ensemble(found: Found, semantics: Semantics) -> Any:
    """Every unpruned layer: mean spectrum, range, and how many keep λ_n ≤ λ_1/n."""
    layers = ensembles.layers(found)
    spectra = {
        what: torch.stack([record.measurement.spectra[key].eigenvalues for record in layers])
        for what, key in ensembles.KEYS.items()
    }
    paper = PAPER_SHARES if of_the_papers_images(layers[0]) else {}
    return drawn.ensemble(spectra, paper, stamp=stamp_of(found, there(found, ensembles.ARMS)))
