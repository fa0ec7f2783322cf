"""The exponent along the penalty's basis beside the exact one through training, for each way of renewing the basis.

    along the basis   over ranks beyond τ, unweighted, of a batch's variances along the basis: what the penalty sees
    exact             the same of eigenvalues: of the covariance that a new basis is made of, logged as it is renewed;
                      at the end of the record's spectrum, which is of all training rows

Where the two part, the basis is stale: the penalty is small and the spectrum stays steep.

Source: spec `nassar2020` §3, §8 (a corrected addition; the paper does not draw it).
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import torch

from eigenfall.excess import exponent
from eigenfall.papers.drawn.canvas import number
from eigenfall.papers.figuring import Figure, Semantics, there, without
from eigenfall.papers.found import Found
from eigenfall.papers.nassar2020.drawn import exponents
from eigenfall.papers.nassar2020.drawn.curves import Curve
from eigenfall.papers.nassar2020.drawn.exponents import Trail
from eigenfall.papers.nassar2020.runs import arms
from eigenfall.papers.nassar2020.style import TAU, bare, looks
from eigenfall.types import Record, Row

PENALTY = "spectral"
"""Under which name a history has the penalty."""


def trail(found: Found, arm: str, layer: str) -> Trail:
    """One layer of an arm, at the updates that all its seeds logged."""
    seeds = tuple(found.seeds(arm))
    made = [found.records[arm][seed] for seed in seeds]
    every = [dict(logged(record, f"{PENALTY}/{layer}/alpha_along_basis")) for record in made]
    shared = sorted(set.intersection(*(set(one) for one in every)))
    y = torch.tensor([[one[at] for at in shared] for one in every], dtype=torch.float64)
    return Trail(
        arm,
        bare(arm),
        f"{arm.partition(' ')[0]} {layer}",
        Curve(torch.tensor(shared, dtype=torch.float64), y.reshape(len(seeds), len(shared)), seeds),
        tuple(tuple(logged(record, f"{PENALTY}/{layer}/alpha")) for record in made),
        tuple((float(record.history[-1]["step"]), at_end(record, layer)) for record in made),
        tuple(logged(record, f"{PENALTY}/final_staleness/{layer}")[-1][1] for record in made),
    )


def at_end(record: Record, layer: str) -> float:
    """Exponent of a record's spectrum over the ranks that the penalty's exponents are over."""
    return float(exponent(record.measurement.spectra[layer].eigenvalues, TAU))


def logged(record: Record, key: str) -> list[tuple[float, float]]:
    """Updates and value of every row of a history that has a finite one."""
    return [
        (float(row["step"]), float(row[key])) for row in record.history if key in row and math.isfinite(float(row[key]))
    ]


def trails(found: Found, names: Sequence[str]) -> list[Trail]:
    """Every layer under the penalty of those arms that have records, basis by basis."""
    bases = tuple(dict.fromkeys(map(bare, names)))
    ordered = sorted(there(found, names), key=lambda arm: bases.index(bare(arm)))
    return [
        trail(found, arm, layer)
        for arm in ordered
        for layer in found.records[arm][found.seeds(arm)[0]].measurement.spectra
        if logged(found.records[arm][found.seeds(arm)[0]], f"{PENALTY}/final_alpha/{layer}")
    ]


def figure(title: str, shows: str, names: Sequence[str], needs: Sequence[str]) -> Figure:
    """A figure of these arms, each under the penalty.

    Args:
        title: what it is.
        shows: what is to be seen.
        names: of the arms, basis by basis.
        needs: arms without which it is not drawn.
    """

    def draw(found: Found, semantics: Semantics) -> Any:
        made = trails(found, names)
        known = {arm.name for arm in arms(found.scale)}
        note = (
            "Along the basis: variances of one batch along it, ranks beyond τ. s_R at the end, of the worst seed: "
            "penalty of the exact spectrum less that along the basis; above 0.1 a run is told to be stale. "
            f"{without(found, [name for name in names if name in known])}"
        ).strip()
        return exponents.exponents(made, looks(one.basis for one in made), _title(made), note)

    def rows(found: Found, semantics: Semantics) -> list[Row]:
        return exponents.rows(trails(found, names))

    return Figure(title, shows, tuple(names), draw, (), tuple(needs), rows)


def _title(made: Sequence[Trail]) -> str:
    """Furthest that the exact exponent lies above what the penalty saw last."""
    gaps = {
        f"{one.arm}, {one.layer.partition(' ')[2]}": (float(one.seen.y[:, -1].mean()), _mean(one))
        for one in made
        if len(one.seen.x)
    }
    if not gaps:
        return "Exact exponents at the end"
    widest = max(gaps, key=lambda name: gaps[name][1] - gaps[name][0])
    seen, exact = gaps[widest]
    return f"Widest gap at the end: α is {number(exact)} where the penalty sees {number(seen)}, {widest}"


def _mean(one: Trail) -> float:
    return statistics.fmean(value for _, value in one.last)
