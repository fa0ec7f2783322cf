"""What is measured, and how: the settings of one measurement, of a model or of a recording."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from eigenfall.check import need
from eigenfall.grams import MEMORY
from eigenfall.layers import View
from eigenfall.linalg import Precision

Points = Literal["noise", "adversarial"]
Splitting = Literal["halves", "alternate", "first", "none"]

LEAST = {
    "draws": 0,
    "simulations": 0,
    "redraws": 0,
    "subsets": 0,
    "smoothness_inputs": 0,
    "planes": 0,
    "probe": 0,
    "attacked_inputs": 1,
    "batch_size": 1,
}
"""The least that each count may be."""

BUDGETS = {"noise": "noise", "adversarial": "epsilons"}
"""Which budgets, by their name in a plan, move inputs to each kind of point."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Attributes:
        layers: module paths; empty: every `hidden1`, `hidden2`, … of our own architectures; `None`: none, so that
            there are no spectra.
        view: convolutional maps as units: flatten, channels or pool.
        spectra: parts of kind spectra; empty: pca of a model's layers and of a recording without repeats, cvpca and,
            from 20 stimuli on, meme of one with repeats.
        fits: parts of kind fits, the first that reads what an estimator gives makes its exponent, the others stand
            beside it; empty: leastsquares, with marchenkopastur beside it without repeats, and momentlaw, single and
            broken, for moments.
        unfit: of a model's layer without a spectrum, or with one that cannot be fitted: "refuse", the measurement ends
            there; "say", a notice stands in the place of what it lacks, and all else goes on.
        split: how a recording's presentations are made into two repeats: halves, alternate, first; none: as they are.
        draws: half-samples of the stimuli behind each exponent's interval, and twice the halves of the units; 0: none.
        simulations: simulated recordings behind an estimator's bias at this size, and, with their signal held, behind
            its interval over trials; 0: none.
        redraws: recordings redrawn from the fitted law and noise behind an interval over stimuli and trials together,
            and behind the bias too; 0: none.
        subsets: random subsets at each fraction of units and of stimuli; 0: no curves.
        dimensions: parts of kind dimensions, of a recording; `None`: all that need no settings.
        precision: of a recording's second moments: float64, or mixed.
        memory: GB that a recording's second moments may take.
        cluster: address of a Dask scheduler that finds a recording's second moments; empty: this machine. It changes
            no number.
        smoothness: parts of kind smoothness, of a model's outputs and of its layers; empty: frobenius alone. A
            Lipschitz bound stands beside them, where the model has one.
        smoothness_inputs: on how many inputs, the first ones, smoothness is measured; 0: not at all, nor its bound.
        corruptions: parts of kind corruptions, each at five severities, of the inputs that are attacked; `None`: all of
            ours that take these images.
        planes: on how many random planes through inputs, the first ones, decisions are looked at; 0: none.
        plane_extent: planes go from −plane_extent to plane_extent along both directions, in the inputs' unit (L2);
            `None`: three median critical distances of the model's own.
        points: where smoothness of the outputs is measured beside the inputs as they are: noise, inputs with normal
            noise of the middle deviation of `noise`; adversarial, what PGD on the margin makes of them at the middle
            one of `epsilons`.
        probe: on how many inputs of white noise, standard normal values, a model's layers have their spectra measured
            as well, under "LAYER at white noise"; 0: on none.
        probe_fits: as `fits`, of those spectra; empty: `fits`.
        preset: bundle of attacks and checks, or "none".
        norm: of the perturbations.
        epsilons: budgets, in the inputs' unit.
        noise: standard deviations of the noise curve, in the inputs' unit.
        attacked_inputs: how many inputs, the first ones, are attacked; `None`: all.
        batch_size: largest number of inputs in one pass.
        seed: of every draw.

    Raises:
        ValueError: for a count below its least, a seed that is negative, an extent that is not above 0, budgets out of
            order, or points without a budget: before anything that takes long is begun.
    """

    layers: tuple[str, ...] | None = ()
    view: View = "flatten"
    spectra: tuple[Any, ...] = ()
    fits: tuple[Any, ...] = ()
    unfit: Literal["refuse", "say"] = "refuse"
    split: Splitting = "halves"
    draws: int = 20
    simulations: int = 8
    redraws: int = 0
    subsets: int = 2
    dimensions: tuple[Any, ...] | None = None
    precision: Precision = "float64"
    memory: float = MEMORY
    cluster: str = ""
    smoothness: tuple[Any, ...] = ()
    smoothness_inputs: int = 1000
    points: tuple[Points, ...] = ()
    corruptions: tuple[Any, ...] | None = ()
    planes: int = 0
    plane_extent: float | None = None
    probe: int = 0
    probe_fits: tuple[Any, ...] = ()
    preset: str = "quick"
    norm: Literal["Linf", "L2"] = "Linf"
    epsilons: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
    noise: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5)
    attacked_inputs: int | None = 1000
    batch_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (*LEAST.items(), ("seed", 0)):
            count = getattr(self, name)
            need(
                count is None or count >= least,
                expected=f"at least {least} as {name.replace('_', ' ')}",
                got=f"{count}",
                remedy=f"Leave it out for the default, {getattr(type(self), name)}.",
            )
        need(
            self.plane_extent is None or 0 < self.plane_extent < math.inf,
            expected="a plane extent above 0",
            got=f"{self.plane_extent}",
            remedy="Leave it out for three median critical distances of the model's own.",
        )
        for name, what in (("epsilons", "epsilons"), ("noise", "deviations of the noise")):
            budgets = getattr(self, name)
            need(
                all(math.isfinite(value) and value >= 0 for value in budgets) and list(budgets) == sorted(set(budgets)),
                expected=f"{what} that are not negative and ascend",
                got=", ".join(f"{value:g}" for value in budgets),
                remedy="Give each once, smallest first.",
            )
        for points in self.points:
            need(
                any(value > 0 for value in getattr(self, BUDGETS[points])),
                expected=f"{BUDGETS[points]} above 0 for smoothness at points of kind {points}",
                got="none",
                remedy=f"Give --{BUDGETS[points]} 0.1, say.",
            )
