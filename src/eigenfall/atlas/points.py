"""From records to the atlas: what is read off each run, the same of all.

worst case      share of images that are right and that margin, DLR and scaled cross-entropy, from two starts each,
                all leave standing at the size's ε (L∞)
PGD on margin   the same of the first of these alone
noise           share of draws of normal noise of the size's standard deviation, and of images, that are right
distance        median over images of the smallest L∞ perturbation that two searches find; 0 for a wrong image
α               exponent of each hidden layer's spectrum over the training images; of the last one in figures
dimension       participation ratio of the last hidden layer
Jacobian norm   median over test images of ‖∂ logits/∂ pixels‖_F
margin          median over test images of the target's logit less the largest other
"""

import math
from collections.abc import Callable, Sequence

from eigenfall import parts
from eigenfall.atlas.methods import FAMILIES, METHODS, Method, arm_of
from eigenfall.atlas.sizes import SIZES, Net, Size
from eigenfall.distances import survivals
from eigenfall.figures.style import MARKS, PALETTE
from eigenfall.papers.found import Scale, by_arm
from eigenfall.types import Atlas, AtlasAxis, AtlasPoint, Estimate, Record

CLEAN, WORST, PGD, NOISE, DISTANCE = "clean accuracy", "worst case", "PGD on margin", "noise", "distance"
ALPHA, DIMENSION, SLOPE, HIDDEN_SLOPE, MARGIN = "α", "dimension", "Jacobian norm", "hidden Jacobian norm", "margin"
LAYERED = "α hidden"
"""What exponents of single layers are named by, the layer's number after it."""


def gathered(records: Sequence[Record], scale: Scale) -> Atlas:
    """The atlas of a scale's records, of two of the same method, architecture and seed the later; others are left out.

    Args:
        records: in any order.
        scale: quick, small or paper.
    """
    found = by_arm(records)
    here: dict[Net, Size] = {net: size for (at, net), size in SIZES.items() if at == scale}
    points = [
        _point(record, method, net, size)
        for net, size in here.items()
        for method in METHODS
        for _, record in sorted(found.get(arm_of(method.name, net), {}).items())
    ]
    first = next(iter(here.values()))
    return Atlas(scale, parts.spell(first.data), axes(first, max(size.layers for size in here.values())), tuple(points))


def axes(size: Size, layers: int) -> dict[str, AtlasAxis]:
    """What is told of every run, in the order of the table."""
    told = {
        CLEAN: AtlasAxis("clean accuracy", "%", better="high"),
        WORST: AtlasAxis(f"worst case, ε = {size.epsilon:.3g}", "%", better="high", judged=True),
        PGD: AtlasAxis(f"PGD on margin, ε = {size.epsilon:.3g}", "%", better="high", judged=True),
        NOISE: AtlasAxis(f"noise, σ = {size.sigma:g}", "%", better="high"),
        DISTANCE: AtlasAxis("median smallest perturbation", "L∞, pixels", better="high", judged=True),
        ALPHA: AtlasAxis("α of the last hidden layer"),
    }
    if layers > 1:
        told |= {f"{LAYERED}{layer}": AtlasAxis(f"α of hidden{layer}") for layer in range(1, layers + 1)}
    return told | {
        DIMENSION: AtlasAxis("participation ratio", "dimensions"),
        SLOPE: AtlasAxis("Jacobian norm of the logits", "per pixel", log=True),
        HIDDEN_SLOPE: AtlasAxis("Jacobian norm of the last hidden layer", "per pixel", log=True),
        MARGIN: AtlasAxis("margin", "logits"),
    }


def order_of(method: Method) -> int:
    """Place in the order of looks at which the colour is the family's, and the mark the method's within it."""
    family = FAMILIES.index(method.family)
    place = [other for other in METHODS if other.family == method.family].index(method)
    return len(PALETTE) * ((place - family) % len(MARKS)) + family


def _point(record: Record, method: Method, net: Net, size: Size) -> AtlasPoint:
    numbers = {name: read(record, size) for name, read in READ.items()}
    if size.layers > 1:
        numbers |= {f"{LAYERED}{layer}": _exponent(record, layer) for layer in range(1, size.layers + 1)}
    failed = tuple(sorted({one.check for one in record.measurement.verdicts if one.verdict == "FAIL"}))
    return AtlasPoint(
        method.name, method.family, net, int(record.run["seed"]), record.name, order_of(method), numbers, failed
    )


def _clean(record: Record, size: Size) -> Estimate:
    row = next(row for row in record.measurement.rows if row["quantity"] == "clean_accuracy")
    return _percent(Estimate(row["value"], row["low"], row["high"], over="images"))


def _under(curve: str) -> Callable[[Record, Size], Estimate]:
    def read(record: Record, size: Size) -> Estimate:
        held = record.measurement.curves[curve]
        return _percent(held.accuracy()[held.epsilons.index(size.epsilon)])

    return read


def _noise(record: Record, size: Size) -> Estimate:
    held = record.measurement.curves["noise"]
    return _percent(Estimate(held.mean_accuracy()[held.epsilons.index(size.sigma)]))


def _distance(record: Record, size: Size) -> Estimate:
    held = record.measurement.curves["minimal_linf"]
    value, low, high = survivals(held)[held.threat.norm, held.threat.unit].quantile()
    return Estimate(value, low, high, over="images")


def _exponent(record: Record, layer: int) -> Estimate:
    fit = record.measurement.fits.get(f"hidden{layer}")
    return Estimate(math.nan) if fit is None else fit.parameters["alpha"]


def _last_exponent(record: Record, size: Size) -> Estimate:
    return _exponent(record, size.layers)


def _dimension(record: Record, size: Size) -> Estimate:
    rows = record.measurement.rows
    return Estimate(
        next(
            (
                float(row["value"])
                for row in rows
                if row["quantity"] == "participation_ratio" and row.get("layer") == f"hidden{size.layers}"
            ),
            math.nan,  # all its units are dead: it has no spectrum
        )
    )


def _slope(record: Record, size: Size) -> Estimate:
    return _median(record, "outputs")


def _hidden_slope(record: Record, size: Size) -> Estimate:
    return _median(record, f"hidden{size.layers}")


def _median(record: Record, layer: str) -> Estimate:
    return Estimate(float(record.measurement.smoothness[layer].values.double().median()))


def _margin(record: Record, size: Size) -> Estimate:
    found = record.measurement.margins
    return Estimate(math.nan if found is None else float(found.double().median()))


def _percent(share: Estimate) -> Estimate:
    return Estimate(100 * share.value, 100 * share.low, 100 * share.high, over=share.over)


READ: dict[str, Callable[[Record, Size], Estimate]] = {
    CLEAN: _clean,
    WORST: _under("headline"),
    PGD: _under("margin"),
    NOISE: _noise,
    DISTANCE: _distance,
    ALPHA: _last_exponent,
    DIMENSION: _dimension,
    SLOPE: _slope,
    HIDDEN_SLOPE: _hidden_slope,
    MARGIN: _margin,
}
"""How each number of an axis is read off a record."""
