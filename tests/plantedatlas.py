"""Records with planted numbers for the atlas: real nouns, nothing trained."""

from dataclasses import replace
from pathlib import Path

import torch

from eigenfall import presets
from eigenfall.atlas.methods import arm_of
from eigenfall.atlas.points import gathered
from eigenfall.atlas.sizes import SIZES
from eigenfall.attacks.deepfool import DeepFool
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.noise import Noise
from eigenfall.types import (
    Estimate,
    GaussianNoise,
    LpBall,
    Measurement,
    Record,
    RobustnessCurve,
    Smoothness,
    Spectrum,
    SpectrumFit,
    Verdict,
)

IMAGES = 100


def broken(share, epsilons):
    """The same share of a hundred images right at every budget."""
    return (torch.arange(IMAGES) >= round(share * IMAGES)).repeat(1, len(epsilons), 1)


def record(method, seed, architecture="shallow", **numbers):
    """A record of a method: clean, worst, pgd, noise as shares, distance, alpha, slope, hidden, margin, failed."""
    held = {"clean": 0.9, "worst": 0.4, "pgd": 0.45, "noise": 0.6, "distance": 0.1, "alpha": 2.0, "slope": 4.0}
    held |= {"hidden": 3.0, "margin": 2.0, "failed": "", "dimension": 5.0} | numbers
    size = SIZES["quick", "shallow"]
    clean = torch.arange(IMAGES) < round(held["clean"] * IMAGES)
    ball, sigmas = LpBall("Linf", (0.0, 1.0), "pixel"), size.noise
    distances = torch.where(clean, held["distance"], 0.0).double()
    curves = {
        "headline": RobustnessCurve(ball, {"pgd": "pgd"}, size.epsilons, broken(held["worst"], size.epsilons), clean),
        "margin": RobustnessCurve(ball, {"pgd": "pgd"}, size.epsilons, broken(held["pgd"], size.epsilons), clean),
        "noise": RobustnessCurve(
            GaussianNoise(),
            {"noise": "noise"},
            sigmas,
            broken(held["noise"], sigmas),
            clean,
            flip_probability=broken(held["noise"], sigmas).double(),
        ),
        "minimal_linf": RobustnessCurve(ball, {"fmn": "fmn"}, (1.0,), broken(0.0, (1.0,)), clean, distances=distances),
    }
    fits = {} if held["alpha"] is None else {
        "hidden1": SpectrumFit({"alpha": Estimate(held["alpha"])}, size.window, size.window)
    }  # fmt: skip
    share = held["clean"]
    measurement = Measurement(
        name=method,
        spectra={"hidden1": Spectrum(torch.ones(4).double(), 9, 4)},
        fits=fits,
        curves=curves,
        rows=(
            {"quantity": "clean_accuracy", "value": share, "low": share - 0.05, "high": share + 0.05, "n": IMAGES},
            {"quantity": "participation_ratio", "value": held["dimension"], "layer": "hidden1"},
        ),
        verdicts=tuple(Verdict(letter, "planted", "FAIL") for letter in held["failed"]),
        smoothness={
            "outputs": Smoothness("jacobian_norm", "outputs", torch.full((3,), held["slope"]).double()),
            "hidden1": Smoothness("jacobian_norm", "hidden1", torch.full((3,), held["hidden"]).double()),
        },
        margins=torch.full((3,), held["margin"]).double(),
    )
    run = {"verb": "train", "arm": arm_of(method, architecture), "seed": seed}
    return Record(Path(f"{method}-s{seed}"), run, {}, measurement)


def planted(numbers, seeds=3, scale="quick"):
    """The atlas of methods: of each, settings of `record`, of which a function is called with the seed."""
    return gathered(records_of(numbers, seeds), scale)


def records_of(numbers, seeds=3):
    """Their records."""
    return [
        record(method, seed, **{name: value(seed) if callable(value) else value for name, value in held.items()})
        for method, held in numbers.items()
        for seed in range(seeds)
    ]


def shrunk(monkeypatch, steps):
    """Quick with so many updates, a dozen units and twenty images: a second a run."""
    whole = SIZES["quick", "shallow"]
    tiny = replace(
        whole,
        network=replace(whole.network, widths=(12,)),
        training=replace(whole.training, steps=steps),
        learning=replace(whole.learning, units=12, epochs=1),
        head=replace(whole.head, steps=steps),
        window=(2, 10),
        attacked=20,
        smooth=8,
        draws=2,
    )
    monkeypatch.setitem(SIZES, ("quick", "shallow"), tiny)
    attacks = {"margin": FGSM(loss="margin"), "noise": Noise()}
    reading = replace(presets.PRESETS["atlas"].readings["minimal_linf"], attacks={"deepfool": DeepFool()})
    bundle = presets.Preset(attacks, ("margin",), readings={"minimal_linf": reading})
    monkeypatch.setitem(presets.PRESETS, "atlas", bundle)
