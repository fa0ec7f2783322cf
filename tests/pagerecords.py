"""Small records computed on the spot for the tests of figures and pages: digits, random features, ridge readouts.

Nothing here is trained by gradient and nothing is made up: spectra, Jacobian norms and attacks are computed, in a
few plain lines, on a net whose first layer is random and whose readout is solved for.
"""

import functools
import math
from dataclasses import replace
from pathlib import Path

import numpy
import torch
from sklearn.datasets import load_digits

from eigenfall.corruptions.contrast import Contrast
from eigenfall.corruptions.fog import Fog
from eigenfall.neighbourhoods import bounding, smoothing
from eigenfall.plans import Plan
from eigenfall.smoothness.distance import Distance
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.smoothness.logvolume import LogVolume
from eigenfall.stages import consumed
from eigenfall.surroundings import exploring, spoiling
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
    Split,
    Verdict,
)  # fmt: skip

EPSILONS = (0.02, 0.05, 0.1, 0.15, 0.2)
BIBLIOGRAPHY = (
    "@article{stringer2019,\n  title = {High-dimensional geometry of population responses},\n  year = {2019}\n}"
)


@functools.cache
def digits():
    images, targets = load_digits(return_X_y=True)
    return torch.tensor(images / 16), torch.tensor(targets)


def net(tilt, ridge, seed, width=128):
    """First layer random, unit k scaled by k^−tilt, readout by ridge regression on one-hot targets: weights of both."""
    images, targets = digits()
    generator = torch.Generator().manual_seed(seed)
    scales = torch.arange(1, width + 1, dtype=torch.float64) ** -tilt
    first = torch.randn(64, width, generator=generator, dtype=torch.float64) * scales / 8
    hidden = (images[:1200] @ first).relu()
    wanted = torch.nn.functional.one_hot(targets[:1200], 10).double()
    gram = hidden.T @ hidden + ridge * len(hidden) * torch.eye(width, dtype=torch.float64)
    return first, torch.linalg.solve(gram, hidden.T @ wanted)


def pca(values, name):
    centred = values - values.mean(0)
    eigenvalues = torch.linalg.eigvalsh(centred.T @ centred / (len(values) - 1)).flip(0)
    return Spectrum(eigenvalues, *values.shape, estimator="pca", name=name)


def straight_line(spectrum, first=5, last=40, interval=True):
    ranks = numpy.arange(first, last + 1)
    logs = numpy.log(spectrum.eigenvalues[first - 1 : last].numpy())
    slope, offset = numpy.polyfit(numpy.log(ranks), logs, 1)
    misfit = float(numpy.std(logs - slope * numpy.log(ranks) - offset))
    half = 2 * misfit / numpy.sqrt(len(ranks)) if interval else math.nan
    alpha = Estimate(-float(slope), -float(slope) - half, -float(slope) + half, over="stimuli" if interval else "")
    return SpectrumFit(
        {"alpha": alpha, "scale": Estimate(float(numpy.exp(offset)))},
        (first, last),
        (first, last),
        method="leastsquares",
        misfit=misfit,
        stimuli=spectrum.stimuli,
        units=spectrum.units,
    )  # fmt: skip


def logits(weights, inputs):
    return (inputs @ weights[0]).relu() @ weights[1]


def wrong(weights, inputs, targets):
    return logits(weights, inputs).argmax(1) != targets


def ascend(weights, inputs, targets, epsilon, steps):
    start = inputs
    for _ in range(steps):
        moving = inputs.clone().requires_grad_()
        found = logits(weights, moving)
        own = found.gather(1, targets[:, None])[:, 0]
        others = found.scatter(1, targets[:, None], -math.inf).amax(1)
        (gradient,) = torch.autograd.grad((others - own).sum(), moving)
        size = epsilon if steps == 1 else 2.5 * epsilon / steps
        inputs = (inputs + size * gradient.sign()).clamp(start - epsilon, start + epsilon).clamp(0, 1)
    return inputs


def curve(weights, images, targets, steps, name):
    broken = torch.stack(
        [wrong(weights, ascend(weights, images, targets, epsilon, steps), targets) for epsilon in EPSILONS]
    )[None]
    clean = ~wrong(weights, images, targets)
    broken = broken | ~clean
    first = torch.full((len(images),), math.inf, dtype=torch.float64)
    for epsilon, row in reversed(list(zip(EPSILONS, broken[0]))):
        first[row] = epsilon
    first[~clean] = 0
    return RobustnessCurve(LpBall(), {name: name}, EPSILONS, broken, clean, distances=first)


def noisy(weights, images, targets, seed):
    generator = torch.Generator().manual_seed(seed)
    shares = []
    for epsilon in (0.1, 0.2, 0.4):
        draws = [
            wrong(weights, (images + epsilon * torch.randn(images.shape, generator=generator)).clamp(0, 1), targets)
            for _ in range(10)
        ]
        shares.append(torch.stack(draws).double().mean(0))
    shares = torch.stack(shares)[None]
    clean = ~wrong(weights, images, targets)
    return RobustnessCurve(
        GaussianNoise(), {"noise": "gaussian"}, (0.1, 0.2, 0.4), shares > 0, clean, flip_probability=shares
    )


def measured(tilt, ridge, seed, name="model"):
    weights = net(tilt, ridge, seed)
    images, targets = digits()[0][1200:1400], digits()[1][1200:1400]
    hidden = (images @ weights[0]).relu()
    spectra = {"hidden1": pca(hidden, "hidden1")}
    masked = weights[0][None] * (hidden > 0)[:, None, :]
    norms = {
        "hidden1": Smoothness("jacobian_norm", "hidden1", masked.flatten(1).norm(dim=1), float(hidden.std(0).norm())),
        "outputs": Smoothness(
            "jacobian_norm", "outputs", (masked @ weights[1]).flatten(1).norm(dim=1),
            float(logits(weights, images).std(0).norm()),
        ),
    }  # fmt: skip
    headline = curve(weights, images, targets, 5, "pgd:steps=5,loss=margin")
    rescaled = curve((weights[0], 4 * weights[1]), images, targets, 5, "pgd:steps=5,loss=margin")
    moved = int((headline.worst() ^ rescaled.worst()).sum())
    verdicts = (
        Verdict("p3", "outputs are logits", "PASS", 0.0, "no probabilities", "Outputs are no probabilities."),
        Verdict(
            "j", "scale of the logits", "PASS" if moved <= 1 else "FAIL", float(moved), "at most 1 image",
            f"{moved} images change when the logits are multiplied by 4.",
        ),
        Verdict("e", "black-box attack", "NOT RUN", finding="Not part of this preset."),
    )  # fmt: skip
    curves = {
        "headline": headline,
        "margin": headline,
        "ce": curve(weights, images, targets, 5, "pgd:steps=5,loss=margin"),
        "fgsm": curve(weights, images, targets, 1, "fgsm:loss=ce"),
        "noise": noisy(weights, images, targets, seed),
    }
    fits = {layer: straight_line(spectrum) for layer, spectrum in spectra.items()}
    own = logits(weights, images).gather(1, targets[:, None])[:, 0]
    others = logits(weights, images).scatter(1, targets[:, None], -torch.inf).amax(1)
    return Measurement(name, spectra, fits, norms, curves, verdicts, margins=(own - others).double())


def record(arm, seed, measurement, penalties=()):
    run = {
        "verb": "train",
        "arm": arm,
        "seed": seed,
        "data": "digits",
        "architecture": "mlp:widths=128",
        "penalties": list(penalties),
        "training": {"first_layer": "random", "readout": "ridge"},
        "measurement": {"window": "5/40"},
        "device": "cpu",
        "classes": 10,
        "hash": f"{arm}-{seed}",
    }
    versions = {"eigenfall": "0.1.0", "torch": torch.__version__}
    return Record(Path(f"{arm}-seed{seed}"), run, versions, measurement, bibliography=BIBLIOGRAPHY)


@functools.cache
def records(seeds=3, arms=(("plain", 0.0, 1e-6), ("tilted", 0.5, 1e-2))):
    return tuple(
        record(arm, seed, measured(tilt, ridge, seed, arm), () if place == 0 else (f"ridge:strength={ridge}",))
        for place, (arm, tilt, ridge) in enumerate(arms)
        for seed in range(seeds)
    )


class Net(torch.nn.Module):
    """The same net as a module of images."""

    def __init__(self, tilt, ridge, seed):
        super().__init__()
        first, second = net(tilt, ridge, seed)
        self.first = torch.nn.Linear(64, first.shape[1], bias=False)
        self.second = torch.nn.Linear(first.shape[1], 10, bias=False)
        self.first.weight.data, self.second.weight.data = first.T.float(), second.T.float()

    def forward(self, inputs):
        return self.second(self.first(inputs.flatten(1)).relu())


@functools.cache
def surrounded(seeds=2):
    """Two arms with everything measured around 40 images, and one with nothing of it."""
    images, targets = digits()
    some = Split(images[1200:1240].reshape(-1, 1, 8, 8).float(), targets[1200:1240])
    measures = (Frobenius(), LogVolume(), Distance(), Frobenius(projections=4))
    plain = records(seeds)
    made = []
    for entry, (tilt, ridge) in zip(plain, [(0.0, 1e-6)] * seeds + [(0.5, 1e-2)] * seeds, strict=True):
        seed = entry.run["seed"]
        plan = Plan(smoothness=measures, corruptions=(Fog(), Contrast()), planes=4, seed=seed)
        model, one, rows = Net(tilt, ridge, seed).eval(), entry.measurement, list(entry.measurement.rows)
        fields = {}
        for found in (
            consumed(smoothing(model, some.inputs, ("first",), plan)),
            consumed(bounding(model, some.inputs[:1], one.margins, one.curves["headline"], "pixel", seed)),
            consumed(spoiling(model, some, plan)),
            consumed(exploring(model, some, plan, (0.0, 1.0), None)),
        ):
            rows += found["rows"]
            fields |= {name: value for name, value in found.items() if name not in ("rows", "notices")}
        made.append(replace(entry, measurement=replace(one, **fields, rows=tuple(rows))))
    bare = [record("bare", seed, measured(0.0, 1e-3, seed, "bare"), ("ridge:strength=0.001",)) for seed in range(seeds)]
    bare = [replace(entry, measurement=replace(entry.measurement, smoothness={}, margins=None)) for entry in bare]
    return (*made, *bare)


def responses_record(name="session.npz", interval=True):
    """What a file of responses alone gives: a spectrum and a fit, and nothing else."""
    spectrum = pca(digits()[0][:600] @ net(0.0, 1e-3, 7)[0], name)
    measurement = Measurement(name, {name: spectrum}, {name: straight_line(spectrum, interval=interval)})
    return Record(Path(name), {"verb": "measure", "arm": name, "data": name}, {"eigenfall": "0.1.0"}, measurement)
