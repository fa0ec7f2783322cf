"""The loophole: a penalty on a basis that is seldom renewed is satisfied while the true spectrum stays steep.

    R along the basis   = R(diag VᵀCV): what the loss sees
    R of the spectrum   = R(eigenvalues of C) = R along the basis + s_R

Variances along a stale basis are majorised by the true eigenvalues (Schur 1923), so they fall more slowly. Training
lowers the penalty either way: by a flatter code, or by a code turned off V, whose own spectrum need not change. How far
it turns grows with the learning rate and with the updates between two refreshes.

Arms beside those of `runs`, each like its epoch basis but for one thing: the learning rate; or the updates from one
refresh to the next, up to all of them.

Source: spec `nassar2020` §3.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from eigenfall import excess as law
from eigenfall import parts
from eigenfall.check import need
from eigenfall.papers.found import Found
from eigenfall.papers.nassar2020 import runs as of_paper
from eigenfall.papers.nassar2020.sizes import SIZES, Scale
from eigenfall.settings import Run
from eigenfall.types import Record, Row

EPOCH = "deep spectral, epoch basis"
LAST = "deep last layer, epoch basis"
STEP = "deep spectral, step basis"
FRESH = "deep spectral, fresh basis"
NEVER = "deep spectral, first basis"
SLOW = "deep spectral, epoch basis, low rate"
FAST = "deep spectral, epoch basis, high rate"

PERIODS: dict[Scale, tuple[int, ...]] = {"quick": (200, 1000), "small": (10, 670), "paper": (400,)}
"""Updates from one refresh to the next, beside those of an epoch: 10 at quick, 67 at small, 37 at paper."""


def every(updates: int) -> str:
    """Name of the arm whose basis is renewed after so many updates."""
    return f"deep spectral, basis of {updates} updates"


def runs(scale: Scale, seeds: Sequence[int] = ()) -> list[Run]:
    """Runs of the arms that only the loophole needs, seed by seed; measured as all others are."""
    base = of_paper.runs(scale, (EPOCH,), seeds or SIZES[scale, "deep"].swept)
    return [run for epoch_basis in base for run in _beside(epoch_basis, scale)]


def _beside(run: Run, scale: Scale) -> Iterator[Run]:
    """The arms of one seed, from the run of the epoch basis."""
    training = run.training
    updates = training.steps_for(getattr(run.data, "train", None) or 1297)
    for name, period in {NEVER: updates, **{every(period): period for period in PERIODS[scale]}}.items():
        seldom = replace(of_paper.EPOCH_BASIS, refresh="every_k_steps", k_steps=period)
        yield replace(run, arm=name, penalties=(seldom,))
    if scale == "small":
        yield replace(run, arm=SLOW, training=replace(training, learning_rate=1e-4, epochs=150))
    if scale == "paper":
        yield replace(run, arm=FAST, training=replace(training, learning_rate=1e-3))


# -------------------------------------------------------------------------------- what a run came to

QUANTITIES = {
    "": "R along the basis",
    "true_R": "R of the spectrum",
    "alpha_along_basis": "α along the basis",
    "alpha": "α of the spectrum",
}
"""What a history has of a layer, and what it is."""
LAST_ROWS = 0.1
"""Share of a history over which what a single batch shows is averaged."""


@dataclass(frozen=True)
class Ending:
    """What the penalty saw of a layer when training ended, and what there was.

    Attributes:
        seen: R along the basis, mean over batches in the last tenth of training.
        true: R of the spectrum that was measured at the end, over all training rows.
        seen_alpha: exponent along the basis, mean over the same batches.
        true_alpha: exponent of the same spectrum, over all ranks beyond τ.
    """

    seen: float
    true: float
    seen_alpha: float
    true_alpha: float

    @property
    def excess(self) -> float:
        """What the penalty did not see."""
        return self.true - self.seen


def endings(record: Record) -> Mapping[str, Ending]:
    """How a run of the spectral penalty ended, by layer that it was on.

    Raises:
        ValueError: for a record of another penalty.
    """
    history = record.history
    last, start = (history[-1] if history else {}), "spectral/final_alpha/"
    layers = [key.removeprefix(start) for key in last if key.startswith(start)]
    need(bool(layers), expected="a run of the spectral penalty", got=record.name, remedy="Other losses have no basis.")
    late = history[-max(1, math.ceil(LAST_ROWS * len(history))) :]
    found = {}
    for layer in layers:
        true, true_alpha = _of_spectrum(record, layer)
        seen, seen_alpha = (_mean(late, f"spectral/{layer}{what}") for what in ("", "/alpha_along_basis"))
        found[layer] = Ending(seen, true, seen_alpha, true_alpha)
    return found


def through_training(record: Record) -> list[Row]:
    """R and α of each layer, along the basis and of the spectrum, at each update for which they were logged."""
    found: list[Row] = []
    last = record.history[-1]
    for layer, ending in endings(record).items():
        for key, quantity in QUANTITIES.items():
            name = f"spectral/{layer}/{key}" if key else f"spectral/{layer}"
            found += [_point(layer, quantity, row["step"], row[name]) for row in record.history if name in row]
        found.append(_point(layer, QUANTITIES["true_R"], last["step"], ending.true))
        found.append(_point(layer, QUANTITIES["alpha"], last["step"], ending.true_alpha))
    return found


def rows(found: Found) -> list[Row]:
    """Everything that the figure draws: arm, seed, panel, x, y."""
    return [
        {"arm": arm, "seed": seed, "panel": f"{point['layer']}, {point['quantity']}", "x": point["x"], "y": point["y"]}
        for arm in there(found)
        for seed in found.seeds(arm)
        for point in through_training(found.records[arm][seed])
    ]


SELDOM = tuple(every(updates) for updates in sorted({period for some in PERIODS.values() for period in some}))
ARMS = (EPOCH, LAST, SLOW, FAST, *SELDOM, NEVER, STEP, FRESH)
"""In the order in which they are drawn, of those that a scale has."""


def there(found: Found) -> list[str]:
    """Arms that have records."""
    return [arm for arm in ARMS if found.has(arm)]


def _of_spectrum(record: Record, layer: str) -> tuple[float, float]:
    """R and exponent of a layer's measured spectrum; R by the law of its penalty, anchored at its own rank τ + 1."""
    spelled = next(text for text in record.run["penalties"] if text.partition(":")[0] == "spectral")
    part, values = parts.read("penalties", spelled), record.measurement.spectra[layer].eigenvalues
    kappa = law.anchor(values, part.alpha, part.tau, "tau")
    units = len(values) if part.divisor == "units" else None
    true = law.excess(values, kappa, part.alpha, part.tau, part.side, units, part.zeros)
    return float(true), float(law.exponent(values, part.tau))


def _mean(history: Sequence[Row], key: str) -> float:
    values = [float(row[key]) for row in history if key in row]
    return math.fsum(values) / len(values) if values else math.nan


def _point(layer: str, quantity: str, step: int, value: float) -> Row:
    return {"layer": layer, "quantity": quantity, "x": int(step), "y": float(value)}


# -------------------------------------------------------------------------------- in words


def reading(found: Found) -> list[str]:
    """What the records say: of each arm its steepest layer, what the penalty saw there and what there was."""
    told = []
    for arm in there(found):
        each = [endings(found.records[arm][seed]) for seed in found.seeds(arm)]
        means = {
            layer: [
                math.fsum(getattr(one[layer], what) for one in each) / len(each)
                for what in ("seen", "true", "seen_alpha", "true_alpha")
            ]
            for layer in each[0]
        }
        layer, (seen, true, seen_alpha, true_alpha) = max(means.items(), key=lambda entry: entry[1][1] - entry[1][0])
        told.append(
            f"{arm} ({len(each)} {'seed' if len(each) == 1 else 'seeds'}): in {layer} the penalty saw R = {seen:.2g} "
            f"and α = {seen_alpha:.2f} along its basis; the spectrum had R = {true:.2g} and α = {true_alpha:.2f}."
        )
    return told
