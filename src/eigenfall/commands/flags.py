"""Flags that several commands share: plain types, read into parts after tyro has parsed them."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from eigenfall import parts
from eigenfall.measurement import Plan

Parts = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
"""A part flag that may be given several times; its default is empty and filled in after parsing."""


@dataclass(frozen=True)
class Measuring:
    """What is measured.

    Attributes:
        layers: layers by module path; empty: hidden1, hidden2, … of our own architectures.
        view: convolutional maps as units: every value (flatten), channels at every place (channels), or their means
            (pool).
        spectrum: estimator of the spectrum, see `eigenfall parts spectra`.
        fit: law and window of the exponent, see `eigenfall parts fits`.
        draws: half-samples of the stimuli behind each exponent's interval; 0: no interval.
        smoothness: measure of smoothness, see `eigenfall parts smoothness`.
        smoothness_inputs: on how many inputs smoothness is measured; 0: not at all.
        preset: bundle of attacks and checks; none: no attack.
        norm: norm of the perturbations.
        epsilons: budgets of the attacks, in the inputs' unit.
        noise: standard deviations of the noise curve, in the inputs' unit.
        attacked: how many test inputs are attacked; none: all of them.
        batch_size: largest number of inputs in one measuring pass.
    """

    layers: tuple[str, ...] = ()
    view: Literal["flatten", "channels", "pool"] = "flatten"
    spectrum: str = "pca"
    fit: str = "leastsquares"
    draws: int = 20
    smoothness: str = "frobenius"
    smoothness_inputs: int = 1000
    preset: Literal["quick", "none"] = "quick"
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
            spectrum=parts.read("spectra", self.spectrum),
            fit=parts.read("fits", self.fit),
            draws=self.draws,
            smoothness=parts.read("smoothness", self.smoothness),
            smoothness_inputs=self.smoothness_inputs,
            preset=self.preset,
            norm=self.norm,
            epsilons=tuple(sorted(self.epsilons)),
            noise=tuple(sorted(self.noise)),
            attacked_inputs=self.attacked,
            batch_size=self.batch_size,
            seed=seed,
        )


Flags = Annotated[Measuring, tyro.conf.arg(name="")]


def read_all(kind: str, texts: tuple[str, ...]) -> tuple[Any, ...]:
    """Every part of a repeated flag."""
    return tuple(parts.read(kind, text) for text in texts)
