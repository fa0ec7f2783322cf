"""Figures 1 and A2 of the paper, the spectral nets, fronts of sweeps and the other local rules, from records.

    published   relative accuracy of own right images;  distance: L2 norm at the first ε of a grid that flips
    corrected   noise: mean accuracy over draws, distance the standard deviation that flips half of them;
                L2 and L∞: the smallest perturbation that any search finds, accuracy the share that lies further than ε
                Figures 1 and A2: on the images that KH, L2, JReg and BP all get right;  others: own right images

Source: Holzhausen et al. 2024, arXiv:2405.00679; spec `holzhausen2024` §6, §8.
Differs from the source: a single-step attack has no corrected form, so that the smallest perturbation in L2 stands in
its place. The paper's medians are drawn beside its own data set and reading alone.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.papers.figuring import Semantics, failing, there, without
from eigenfall.papers.holzhausen2024 import drawn
from eigenfall.papers.holzhausen2024.drawn import Attacked, Front, Standing
from eigenfall.papers.holzhausen2024.found import (
    COMPARED,
    CORRECTED,
    PERTURBATIONS,
    Found,
    Number,
    Perturbation,
    accuracy,
    corrected_distance,
    corrected_distances,
    own_distance,
    published_distance,
    published_lengths,
)
from eigenfall.papers.holzhausen2024.fronts import swept
from eigenfall.papers.holzhausen2024.style import (
    PAPER_ACCURACIES,
    PAPER_DISTANCES,
    PAPER_SPECTRAL,
    STUDY,
    of_the_papers_images,
    stamp_of,
    unit_of,
)
from eigenfall.robustness import relative_accuracy
from eigenfall.types import Record, RobustnessCurve

NAMES = {
    "published": {"random": "random noise", "fgsm": "FGSM", "pgd": "PGD"},
    "corrected": {"random": "random noise", "fgsm": "smallest perturbation, L2", "pgd": "smallest perturbation, L∞"},
}
MEASURES = {
    "published": dict.fromkeys(PERTURBATIONS, "L2 norm"),
    "corrected": {"random": "half-flip σ", "fgsm": "L2 norm", "pgd": "L∞ norm"},
}
NOTES = {
    "published": "Published reading: each model’s own right images; those that nothing flips are left out, and a "
    "distance is where a grid of ε first flips, noise being drawn anew at each ε.",
    "corrected": "Corrected: images that KH, L2, JReg and BP all classify correctly, of the same seed. Half-flip σ: "
    "standard deviation of noise at which half of the draws flip.",
}
OWN = "Each model’s own right images. Half-flip σ: standard deviation of noise at which half of the draws flip."


# -------------------------------------------------------------------------------- accuracy and distances


def attacked_of(arms: Sequence[str]) -> Callable[[Found, Semantics], Any]:
    """A function that draws Figure 1 of these arms."""

    def draw(found: Found, semantics: Semantics) -> Any:
        rows = [
            drawn.Perturbation(
                NAMES[semantics][kind],
                _curve(_first(found, arms[0]), kind, semantics).threat.norm,
                {arm: attacked(found, arm, kind, semantics) for arm in arms},
                MEASURES[semantics][kind],
            )
            for kind in PERTURBATIONS
        ]
        unit = unit_of(_first(found, arms[0]))
        return drawn.robustness(
            rows, unit, stamp=stamp_of(found, arms), study=STUDY, note=_note(NOTES[semantics], failing(found, arms))
        )

    return draw


def _first(found: Found, arm: str) -> Record:
    return found.records[arm][found.seeds(arm)[0]]


def _curve(record: Record, kind: Perturbation, semantics: Semantics) -> RobustnessCurve:
    name = f"published_{kind}" if semantics == "published" else CORRECTED[kind]
    return record.measurement.curves[name]


def attacked(found: Found, arm: str, kind: Perturbation, semantics: Semantics) -> Attacked:
    """One arm under one perturbation, its seeds together.

    Raises:
        ValueError: if, corrected, there is no image that all compared nets get right.
    """
    if semantics == "published":
        made = [found.records[arm][seed] for seed in found.seeds(arm)]
        shares = [relative_accuracy(_curve(record, kind, semantics)) for record in made]
        distances = [published_lengths(record, kind) for record in made]
        paper = PAPER_DISTANCES.get(arm) if of_the_papers_images(made[0]) else None
        median = math.nan if paper is None else paper[PERTURBATIONS.index(kind)]
        return Attacked(_epsilons(made[0], kind, semantics), torch.stack(shares), torch.cat(distances), median)
    shares, distances = [], []
    for seed in found.seeds(arm, *COMPARED):
        record = found.records[arm][seed]
        curve = _curve(record, kind, semantics)
        keep = found.common[seed] & curve.clean_correct
        if bool(keep.any()):
            distances.append(corrected_distances(record, kind)[keep])
            shares.append(standing(curve, keep))
    need(
        bool(shares),
        expected=f"images that {', '.join(dict.fromkeys((*COMPARED, arm)))} all classify correctly",
        got="none",
        remedy="Attack more images, or train longer.",
    )
    return Attacked(_epsilons(_first(found, arm), kind, semantics), torch.stack(shares), torch.cat(distances))


def _epsilons(record: Record, kind: Perturbation, semantics: Semantics) -> Float64[Tensor, " epsilons"]:
    return torch.tensor(_curve(record, kind, semantics).epsilons, dtype=torch.float64)


def standing(curve: RobustnessCurve, keep: Bool[Tensor, " inputs"]) -> Float64[Tensor, " epsilons"]:
    """Share of the kept images that are right at each ε: of noise the mean over draws, else those that lie further."""
    if curve.distances is None:
        return relative_accuracy(curve, keep)
    budgets = torch.tensor(curve.epsilons, dtype=torch.float64)
    return (curve.distances[keep] > budgets[:, None]).double().mean(1)


# -------------------------------------------------------------------------------- against accuracy


def points_of(arms: Sequence[str]) -> Callable[[Found, Semantics], Any]:
    """A function that draws Figure A2 of these arms: accuracy, and the median distance."""

    def draw(found: Found, semantics: Semantics) -> Any:
        paper = semantics == "published" and of_the_papers_images(_first(found, arms[0]))
        panels, lost = [], []
        for kind in ("random", "pgd"):
            distance = published_distance(kind) if semantics == "published" else corrected_distance(found, kind)
            given = {arm: (PAPER_ACCURACIES[arm], PAPER_DISTANCES[arm][PERTURBATIONS.index(kind)])
                     for arm in arms if arm in PAPER_ACCURACIES}  # fmt: skip
            beside = () if semantics == "published" else COMPARED
            models = {arm: _standing(found, arm, distance, lost, NAMES[semantics][kind], beside=beside) for arm in arms}
            panels.append(_front(kind, semantics, {arm: (one,) for arm, one in models.items() if one},
                                 given if paper else {}))  # fmt: skip
        unit = unit_of(_first(found, arms[0]))
        note = _note(NOTES[semantics], failing(found, arms), _lost(lost))
        return drawn.accuracy_against_distance(panels, unit, stamp=stamp_of(found, arms), study=STUDY, note=note)

    return draw


def swept_beside(beside: Sequence[str], families: Sequence[str]) -> Callable[[Found, Semantics], Any]:
    """A function that draws arms as points beside sweeps as lines: corrected distances of own right images."""

    def draw(found: Found, semantics: Semantics) -> Any:
        points, panels, lost = there(found, beside), [], []
        for kind in PERTURBATIONS:
            distance, where = own_distance(kind), NAMES["corrected"][kind]
            models = {arm: tuple(filter(None, [_standing(found, arm, distance, lost, where)])) for arm in points}
            for family in families:
                every = there(found, swept(found, family))
                models[f"{family} sweep"] = tuple(
                    filter(None, (_standing(found, arm, distance, lost, where, _strength(arm)) for arm in every))
                )
            panels.append(_front(kind, "corrected", {name: each for name, each in models.items() if each}, {}))
        sweeps = [f"{family} sweep" for family in families]
        note = _note(
            OWN,
            "A sweep’s first point is BP, of strength 0.",
            without(found, beside),
            failing(found, beside),
            _lost(lost),
        )
        return drawn.accuracy_against_distance(
            panels,
            unit_of(_first(found, "BP")),
            stamp=stamp_of(found, points),
            study=("KH", "BP", *sweeps, *beside),
            note=note,
        )

    return draw


def _strength(arm: str) -> str:
    """A sweep's arm by its strength; the net without a penalty is 0."""
    return "0" if arm == "BP" else arm.rpartition(" ")[2]


def _front(kind: Perturbation, semantics: Semantics, models: Any, paper: Any) -> Front:
    return Front(NAMES[semantics][kind], models, paper, MEASURES[semantics][kind])


def _standing(
    found: Found,
    arm: str,
    distance: Number,
    lost: list[str],
    where: str,
    label: str = "",
    beside: Sequence[str] = (),
) -> Standing | None:
    """An arm's seeds, of those that the arms beside it have, whose median is known; the others are told."""
    made = list(zip(found.values(arm, accuracy, beside), found.values(arm, distance, beside)))
    known = [(right, far) for right, far in made if math.isfinite(far)]
    if len(known) < len(made):
        lost.append(f"{arm} ({where}, {len(made) - len(known)} of {len(made)} seeds)")
    if not known:
        return None
    rights, distances = (torch.tensor(column, dtype=torch.float64) for column in zip(*known))
    return Standing(rights, distances, label)


def _lost(lost: Sequence[str]) -> str:
    """What is not drawn, in words."""
    told = "; ".join(dict.fromkeys(lost))
    return f"Not drawn, the median being of no image or beyond the largest ε: {told}." if told else ""


def _note(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def spectral_of(arms: Sequence[str]) -> Callable[[Found, Semantics], Any]:
    """A function that draws the nets of §7.7."""

    def draw(found: Found, semantics: Semantics) -> Any:
        lost: list[str] = []
        nets = there(found, arms)
        distance = published_distance("random") if semantics == "published" else own_distance("random")
        models = {arm: _standing(found, arm, distance, lost, "random noise") for arm in nets}
        kept = {arm: one for arm, one in models.items() if one}
        record = _first(found, nets[0])
        paper = semantics == "published" and of_the_papers_images(record, "mnist")
        reading = NOTES["published"] if semantics == "published" else OWN
        note = _note(reading, without(found, arms), failing(found, arms), _lost(lost))
        return drawn.mnist_spectral(
            kept,
            unit_of(record),
            {arm: PAPER_SPECTRAL[arm] for arm in kept} if paper else {},
            stamp=stamp_of(found, nets),
            study=arms,
            measure=MEASURES[semantics]["random"],
            note=note,
        )

    return draw
