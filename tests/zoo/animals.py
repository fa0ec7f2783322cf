"""The zoo of `docs/robustness.md` §5: twelve broken defences and nine honest models, each trained for real.

An animal is made of data and a seed; it comes with its undefended twin, if it has one. On MNIST perceptrons are
784-256-256-10, on the digits 64-48-48-10: the small ones train in a second and are tested every time.
"""

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from sklearn.datasets import load_digits
from torch import nn

from eigenfall.attacks.pgd import PGD
from eigenfall.attacks.square import Square
from eigenfall.datasets.mnist import MNIST
from eigenfall.layers import fixed_random_state, left_as_found
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.presets import PRESETS
from eigenfall.robustness import gather, judged
from eigenfall.stages import seeded
from eigenfall.types import ForwardPass, LpBall, Split

BUNDLE = replace(
    PRESETS["strong"], attacks=PRESETS["quick"].attacks, headline=PRESETS["quick"].headline, blackbox=Square(1000)
)
"""The headline of three losses and every check: rule R is calibrated on it."""
EPSILONS = (0.05, 0.1, 0.2)


# ------------------------------------------------------------------------------------ data


@dataclass(frozen=True, eq=False)
class Data:
    """Flat images, and how nets of their size are made and trained."""

    train: Split
    test: Split
    widths: tuple[int, int]
    channels: tuple[int, ...]
    epochs: int
    rate: float
    radius: float  # of adversarial training

    @property
    def side(self):
        return math.isqrt(self.train.inputs.shape[1])


@functools.cache
def data(name):
    if name == "digits":
        values, classes = load_digits(return_X_y=True)
        inputs, targets = torch.tensor(values / 16, dtype=torch.float32), torch.tensor(classes)
        train, test = Split(inputs[:1297], targets[:1297]), Split(inputs[1297:], targets[1297:])
        return Data(train, test, widths=(48, 48), channels=(8,), epochs=30, rate=3e-3, radius=0.1)
    examples = MNIST(validation=0, order_seed=None)()
    train, test = (Split(split.inputs.flatten(1), split.targets) for split in (examples.train, examples.test))
    return Data(train, test, widths=(256, 256), channels=(16, 32), epochs=5, rate=1e-3, radius=0.1)


# --------------------------------------------------------------------------------- modules


class Function(nn.Module):
    """A function of the inputs, in training as in use."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, inputs):
        return self.function(inputs)


class SignUnits(nn.Module):
    """Hard sign units: trained straight-through, without a gradient in use."""

    def forward(self, values):
        if not self.training:
            return values.sign()
        soft = values.clamp(-1, 1)
        return soft + (values.sign() - soft).detach()


def winners(values, share=0.08):
    """The largest 8 % of a layer's units, of all its maps together; the others zero."""
    units = values.flatten(1)
    least = units.topk(math.ceil(share * units.shape[1]), dim=1).values[:, -1]
    return values * (values >= least.reshape(-1, *[1] * (values.ndim - 1)))


def _sorted(first, second, third):
    """Three tensors, sorted place by place."""
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    return torch.minimum(low, third), torch.maximum(low, torch.minimum(high, third)), torch.maximum(high, third)


def median(images):
    """Median of 3 × 3 pixels, through which no gradient goes: of the largest of the rows' smallest, the median of their
    medians and the smallest of their largest (17 times as fast as `Tensor.median`, and equal)."""
    side = math.isqrt(images.shape[1])
    padded = nn.functional.pad(images.detach().reshape(-1, 1, side, side), (1,) * 4, mode="reflect")[:, 0]
    rows = [_sorted(*(padded[:, row : row + side, column : column + side] for column in range(3))) for row in range(3)]
    lows, middles, highs = (_sorted(*values) for values in zip(*rows))
    return _sorted(lows[2], middles[1], highs[0])[1].flatten(1)


def normalised(values):
    """By the mean and deviation of the batch at hand."""
    return (values - values.mean(0)) / (values.std(0, correction=0) + 0.1)


def perceptron(of, activation=nn.ReLU, before=(), after_first=()):
    first, second = of.widths
    return nn.Sequential(
        *before,
        nn.Linear(of.train.inputs.shape[1], first),
        *after_first,
        activation(),
        nn.Linear(first, second),
        activation(),
        nn.Linear(second, 10),
    )


def convolutional(of):
    modules, maps, side = [nn.Unflatten(1, (1, of.side, of.side))], 1, of.side
    for channels in of.channels:
        modules += [nn.Conv2d(maps, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2)]
        maps, side = channels, (side - 2) // 2
    return nn.Sequential(*modules, nn.Flatten(), nn.Linear(maps * side**2, 10))


def strided(of, activation=nn.ReLU):
    """Two convolutions of stride 2 without pooling, whose maps keep every unit for the activation to choose from."""
    modules, maps, side = [nn.Unflatten(1, (1, of.side, of.side))], 1, of.side
    for channels in (16, 32):
        modules += [nn.Conv2d(maps, channels, 3, stride=2, padding=int(side < 10)), activation()]
        maps, side = channels, ((side + 1) // 2 if side < 10 else (side - 1) // 2)
    return nn.Sequential(*modules, nn.Flatten(), nn.Linear(maps * side**2, 10))


# -------------------------------------------------------------------------------- training


def trained(make, of, seed, epochs=None, rows=None, decay=0.0, penalty=None, radius=None):
    """A model made and trained from a seed, in eval mode."""
    train = Split(of.train.inputs[:rows], of.train.targets[:rows])
    climb = PGD(loss="ce", steps=7, keep="last", stop_broken=False)
    source = seeded(seed)
    with fixed_random_state(seed):
        model = make().train()
        optimiser = torch.optim.Adam(model.parameters(), of.rate, weight_decay=decay)
        for _ in range(of.epochs if epochs is None else epochs):
            for chosen in torch.randperm(len(train), generator=source).split(128):
                inputs, targets = train.inputs[chosen], train.targets[chosen]
                if radius is not None:
                    with left_as_found(model):
                        inputs = climb(model, inputs, targets, LpBall(), radius, source).inputs
                if penalty is not None:
                    inputs = inputs.clone().requires_grad_()
                outputs = model(inputs)
                loss = nn.functional.cross_entropy(outputs, targets)
                if penalty is not None:
                    loss = loss + penalty(ForwardPass(inputs, targets, outputs, {}, {}), None, source).total
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    for parameter in model.parameters():
        parameter.grad = None
    return model.eval()


@functools.cache
def _twin(name, seed, activation):
    of = data(name)
    return trained(lambda: perceptron(of, activation), of, seed)


def twin(name, seed, activation=nn.ReLU):
    """The undefended perceptron of this seed."""
    return copy.deepcopy(_twin(name, seed, activation))


# --------------------------------------------------------------------------------- animals


@dataclass(frozen=True, eq=False)
class Animal:
    """One kind of model.

    Attributes:
        make: of the data's name and a seed, the model.
        fails: checks that must FAIL.
        warns: checks that must WARN.
        twin: of the same, its undefended twin; `None`: it has none.
    """

    make: Callable
    fails: str = ""
    warns: str = ""
    twin: Callable | None = twin

    @property
    def broken(self):
        return bool(self.fails or self.warns)


def defended(activation=nn.ReLU, before=None, after_first=None):
    """Trained with the defence inside."""

    def make(name, seed):
        of = data(name)
        lists = [[] if one is None else [Function(one)] for one in (before, after_first)]
        return trained(lambda: perceptron(of, activation, *lists), of, seed)

    return make


def topped(function):
    """The undefended perceptron, its outputs put through a function."""
    return lambda name, seed: nn.Sequential(twin(name, seed), Function(function)).eval()


def alone(activation=None, **settings):
    def make(name, seed):
        of = data(name)
        return trained(lambda: perceptron(of, activation or nn.ReLU), of, seed, **settings)

    return make


def linear(name, seed):
    of = data(name)
    return trained(lambda: nn.Sequential(nn.Linear(of.train.inputs.shape[1], 10)), of, seed)


def repu(name, seed):
    of = data(name)
    units = Function(lambda h: h.relu() ** 4.5)
    return trained(
        lambda: nn.Sequential(nn.Linear(of.train.inputs.shape[1], of.widths[0]), units, nn.Linear(of.widths[0], 10)),
        of,
        seed,
    )


def adversarial(name, seed):
    of = data(name)
    return trained(lambda: perceptron(of), of, seed, radius=of.radius)


def batch_norm(name, seed):
    of = data(name)
    return trained(lambda: convolutional(of), of, seed, epochs=max(2, of.epochs // 2))


def _tanh_twin(name, seed):
    return twin(name, seed, nn.Tanh)


def _strided(name, seed, activation=nn.ReLU):
    of = data(name)
    return trained(lambda: strided(of, activation), of, seed, epochs=max(2, of.epochs // 2))


def winning(name, seed):
    return _strided(name, seed, lambda: Function(winners))


ANIMALS = {
    "logits × 100": Animal(topped(lambda z: 100 * z), warns="j g"),
    "logits × 1000": Animal(topped(lambda z: 1000 * z), warns="j g"),
    "input rounded to 8 levels": Animal(defended(before=lambda x: (7 * x).round() / 7), "p4 a e f g"),
    "fresh noise, s.d. .15": Animal(defended(before=lambda x: x + 0.15 * torch.randn_like(x)), "p1"),
    "softmax inside": Animal(topped(lambda z: z.softmax(1)), "p3"),
    "softmax of 20z inside": Animal(topped(lambda z: (20 * z).softmax(1)), "p3 a c e f g"),
    "shattered, x + .02 sin 500x": Animal(defended(before=lambda x: x + 0.02 * (500 * x).sin()), "a b c d e f"),
    "dropout left on, .3": Animal(defended(after_first=lambda h: nn.functional.dropout(h, 0.3)), "p1"),
    "saturating tanh × 40": Animal(defended(nn.Tanh, after_first=lambda h: 40 * h), "c e f", twin=_tanh_twin),
    "median filter, gradient cut": Animal(defended(before=median), "p4 a e f g"),
    "sign units": Animal(defended(SignUnits), "p4 a e f g"),
    "outputs rounded to .5": Animal(topped(lambda z: (2 * z).round() / 2), "p4 a e f g"),
    "8 % winners take all, CNN": Animal(winning, "c e f", twin=_strided),
    "batch statistics": Animal(defended(after_first=normalised), "p2"),
    "plain": Animal(twin, twin=None),
    "BatchNorm CNN": Animal(batch_norm, twin=None),
    "tanh": Animal(_tanh_twin, twin=None),
    "linear": Animal(linear, twin=None),
    "Jacobian-regularised": Animal(alone(penalty=JacobianNorm(strength=0.05))),
    "adversarially trained": Animal(adversarial),
    "RePU, power 4.5": Animal(repu, twin=None),
    "over-trained": Animal(alone(epochs=40, rows=10_000)),
    "weight-decayed": Animal(alone(decay=1e-3)),
}
"""The twelve broken defences, two of them in two strengths, then the nine honest models."""


def right(model, of, count=256):
    """The first test images that a model gets right."""
    with left_as_found(model, seed=0), torch.no_grad():
        kept = (model(of.test.inputs[: 4 * count]).argmax(1) == of.test.targets[: 4 * count]).nonzero()[:count, 0]
        clean = float((model(of.test.inputs).argmax(1) == of.test.targets).double().mean())
    return Split(of.test.inputs[kept], of.test.targets[kept]), clean


def examined(name, animal, seed, bundle=BUNDLE, count=256):
    """Verdicts by check, what was measured, and clean accuracy, of one animal."""
    made = ANIMALS[animal]
    model = made.make(name, seed)
    chosen, clean = right(model, data(name), count)
    beside = None if made.twin is None else made.twin(name, seed)
    evidence = gather(model, chosen, bundle, LpBall(), EPSILONS, seed=seed, images=count, twin=beside)
    return {verdict.check: verdict for verdict in judged(bundle, evidence)}, evidence, clean


def missed(animal, verdicts):
    """Checks that did not say what they must of this animal: named ones, or any FAIL of an honest model."""
    made = ANIMALS[animal]
    if not made.broken:
        return {name for name, verdict in verdicts.items() if verdict == "FAIL"}
    wanted = dict.fromkeys(made.fails.split(), "FAIL") | dict.fromkeys(made.warns.split(), "WARN")
    return {name for name, verdict in wanted.items() if verdicts[name] != verdict}
