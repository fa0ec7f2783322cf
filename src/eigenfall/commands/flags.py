"""Flags that several commands share: plain types, read into parts after tyro has parsed them."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import tyro

from eigenfall import parts
from eigenfall.grams import MEMORY
from eigenfall.plans import Plan, Points, Splitting

Parts = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
"""A part flag that may be given several times; its default is empty and filled in after parsing."""


Bundle = Literal["quick", "strong", "standard"]
"""Bundles of attacks that checks judge."""


@dataclass(frozen=True)
class Measuring:
    """What is measured.

    Attributes:
        layers: layers by module path; empty: hidden1, hidden2, … of our own architectures.
        view: convolutional maps as units: every value (flatten), channels at every place (channels), or their means
            (pool).
        spectrum: estimator of the spectrum, see `eigenfall parts spectra`; may be given several times. Without it: pca
            of a model's layers and of a recording without repeats, cvpca and, from 20 stimuli on, meme of one with
            repeats.
        fit: law and window of the exponent, see `eigenfall parts fits`; may be given several times: the first that
            reads what an estimator gives makes the exponent. Without it: leastsquares, and momentlaw for meme.
        draws: half-samples of the stimuli behind each exponent's interval, twice the halves of the units; 0: none.
        smoothness: measure of smoothness, see `eigenfall parts smoothness`; may be given several times. Without it:
            frobenius.
        smoothness_inputs: on how many inputs smoothness is measured; 0: not at all.
        corruption: what spoils images, see `eigenfall parts corruptions`, each at five severities; may be given several
            times; all: every one that takes these images.
        planes: on how many random planes through test images decisions are looked at; 100 are many, 0: none.
        plane_extent: half the side of each plane, in the inputs' unit (L2); none: three median critical distances.
        points: measure smoothness of the outputs at noisy (noise) or attacked (adversarial) inputs as well.
        preset: bundle of attacks and checks; none: no attack.
        norm: norm of the perturbations.
        epsilons: budgets of the attacks, in the inputs' unit.
        noise: standard deviations of the noise curve, in the inputs' unit.
        attacked: how many test inputs are attacked; none: all of them.
        batch_size: largest number of inputs in one measuring pass.
    """

    layers: tuple[str, ...] = ()
    view: Literal["flatten", "channels", "pool"] = "flatten"
    spectrum: Parts = ()
    fit: Parts = ()
    draws: int = 20
    smoothness: Parts = ()
    smoothness_inputs: int = 1000
    points: tuple[Points, ...] = ()
    corruption: Parts = ()
    planes: int = 0
    plane_extent: float | None = None
    preset: Bundle | Literal["none"] = "quick"
    norm: Literal["Linf", "L2"] = "Linf"
    epsilons: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
    noise: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5)
    attacked: int | None = 1000
    batch_size: int = 256

    def plan(self, seed: int = 0) -> Plan:
        """The plan, parts read."""
        return Plan(
            layers=self.layers,
            view=self.view,
            spectra=read_all("spectra", self.spectrum),
            fits=read_all("fits", self.fit),
            draws=self.draws,
            smoothness=read_all("smoothness", self.smoothness),
            smoothness_inputs=self.smoothness_inputs,
            points=tuple(dict.fromkeys(self.points)),
            corruptions=None if "all" in self.corruption else read_all("corruptions", self.corruption),
            planes=self.planes,
            plane_extent=self.plane_extent,
            preset=self.preset,
            norm=self.norm,
            epsilons=tuple(sorted(set(self.epsilons))),
            noise=tuple(sorted(set(self.noise))),
            attacked_inputs=self.attacked,
            batch_size=self.batch_size,
            seed=seed,
        )


@dataclass(frozen=True)
class Recording:
    """How a recording is measured.

    Attributes:
        axes: what the axes of its array are, in order, such as repeats,stimuli,units; empty: guessed.
        split: how presentations are made into two repeats: the first half against the last (halves), odd against even
            (alternate), the first two (first), or not at all (none).
        simulations: simulated recordings of the same size behind each estimator's bias, and, with their signal held,
            behind its interval over trials; 0: none.
        redraws: recordings redrawn, signal and noise, behind an interval over stimuli and trials together; 200 are
            many, 0: none.
        subsets: random subsets at each fraction of the units and of the stimuli; 0: no curves.
        dimension: measure of dimension, see `eigenfall parts dimensions`; may be given several times. Without it: all.
        precision: of second moments, float64, or mixed: products in float32, sums in float64.
        memory: GB that second moments may take.
        cluster: address of a Dask scheduler, such as tcp://node1:8786, whose workers find the second moments.
    """

    axes: str = ""
    split: Splitting = "halves"
    simulations: int = 8
    redraws: int = 0
    subsets: int = 2
    dimension: Parts = ()
    precision: Literal["float64", "mixed"] = "float64"
    memory: float = MEMORY
    cluster: str = ""

    def plan(self, plan: Plan) -> Plan:
        """The plan with these settings."""
        return replace(
            plan,
            split=self.split,
            simulations=self.simulations,
            redraws=self.redraws,
            subsets=self.subsets,
            dimensions=read_all("dimensions", self.dimension) or None,
            precision=self.precision,
            memory=self.memory,
            cluster=self.cluster,
        )


Flags = Annotated[Measuring, tyro.conf.arg(name="")]
RecordingFlags = Annotated[Recording, tyro.conf.arg(name="")]


def read_all(kind: str, texts: tuple[str, ...]) -> tuple[Any, ...]:
    """Every part of a repeated flag."""
    return tuple(parts.read(kind, text) for text in texts)
