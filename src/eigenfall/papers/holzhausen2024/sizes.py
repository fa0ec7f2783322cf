"""Every size and schedule of the reproduction, in one table: what a scale is.

Layers learnt by the rule must pass their gates (spec `holzhausen2024` §2.6) at every scale; sizes of `quick` and
`small` were chosen so that they do, by looking at gates alone (200 epochs of `small` left 3 of 20 layers short of
them). They are smaller nets on fewer images than the paper's, so its numbers (bands of 2 000 units) are tested at
`paper` alone, its orders at `small`.

Differs from the paper, at `quick` and `small`: the rule's punishment and rate are smaller, because at 100 units the
published ones end in the all-negative attractor (96 of 100 units, `bench/collapse.py`); schedule S is taken over its
first 200 of 1 000 epochs, the rest of which run at a hundredth of the first rate.
"""

from dataclasses import dataclass, replace
from typing import Any

from eigenfall.datasets.cifar10 import CIFAR10
from eigenfall.datasets.cifar10 import PRESETS as CIFAR10_PRESETS
from eigenfall.datasets.mnist import MNIST
from eigenfall.datasets.mnist import PRESETS as MNIST_PRESETS
from eigenfall.learning import Learning
from eigenfall.optimisation import PRESETS as TRAINING
from eigenfall.optimisation import Training, shortened
from eigenfall.papers.found import Scale
from eigenfall.rules.krotov import PRESETS as KROTOV
from eigenfall.rules.krotov import Krotov

SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Size:
    """What one data set is run at.

    Attributes:
        data: the data set, images of L3 norm 1.
        units: of every hidden layer.
        rule: the Krotov-Hopfield rule.
        learning: how long it learns.
        other: how long the other local rules learn.
        head: how a head is fitted.
        training: how nets are trained by gradient: schedule S, or for the nets of §7.7 their own rate.
        spectral: how those under the spectral penalty are trained.
        window: first and last rank of every fitted exponent.
        noise_window: the same over white noise.
        epsilons: budgets of the headline, L∞, in L3 units.
        noise: standard deviations of the noise curve beside the headline, clipped to the images' bounds, in L3 units.
        attacked: how many test images are attacked.
        smooth: at how many test images smoothness is measured.
        probe: how many white-noise inputs the second spectrum is over.
        bundle: attacks, checks and readings.
        ensemble: how many layers the criterion of §7.6 is asked of.
        draws: half-samples of the images behind each exponent's interval; at paper scale none, since the published
            solver takes a minute for each.
        device: where; at paper scale whatever there is.
    """

    data: Any
    units: int
    rule: Krotov
    learning: Learning
    other: Learning
    head: Training
    training: Training
    spectral: Training
    window: tuple[int, int]
    noise_window: tuple[int, int]
    epsilons: tuple[float, ...]
    noise: tuple[float, ...]
    attacked: int
    smooth: int
    probe: int
    bundle: str
    ensemble: int
    draws: int = 20
    device: str = "cpu"


def _s(epochs: int, batch_size: int, of: str = "holzhausen2024") -> Training:
    """Schedule S, its first 200 epochs in as many as asked for."""
    return replace(shortened(replace(TRAINING[of], epochs=200), epochs), batch_size=batch_size)


_QUICK = Size(
    data=MNIST(train=2000, validation=500, order_seed=0, scaling="l3"),
    units=100,
    rule=replace(KROTOV["holzhausen_mnist"], delta=0.2),
    learning=Learning(units=100, epochs=100, batch_size=100, last_batch="drop"),
    other=Learning(units=100, epochs=10, batch_size=100, last_batch="drop"),
    head=Training(learning_rate=1e-3, batch_size=100, epochs=50),
    training=_s(20, 50),
    spectral=_s(20, 50, "holzhausen2024_spectral"),
    window=(6, 80),
    noise_window=(6, 40),
    epsilons=(0.002, 0.005, 0.01, 0.02, 0.04),
    noise=(0.1, 0.4),
    attacked=50,
    smooth=50,
    probe=2000,
    bundle="holzhausen2024_quick",
    ensemble=10,
)

_SMALL_CIFAR = Size(
    data=CIFAR10(train=10_000, validation=1000, order_seed=0, scaling="l3"),
    units=100,
    rule=replace(KROTOV["holzhausen_cifar"], learning_rate=0.01, delta=0.3),
    learning=Learning(units=100, epochs=300, batch_size=100, last_batch="drop"),
    other=Learning(units=100, epochs=20, batch_size=100, last_batch="drop"),
    head=Training(learning_rate=1e-3, batch_size=100, epochs=50),
    training=_s(40, 100),
    spectral=_s(40, 50, "holzhausen2024_spectral"),
    window=(6, 80),
    noise_window=(6, 40),
    epsilons=(0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008),
    noise=(0.05, 0.2),
    attacked=250,
    smooth=200,
    probe=10_000,
    bundle="holzhausen2024_small",
    ensemble=20,
)

_SMALL_MNIST = replace(
    _SMALL_CIFAR,
    data=MNIST(train=10_000, validation=1000, order_seed=0, scaling="l3"),
    units=200,
    rule=replace(KROTOV["holzhausen_mnist"], delta=0.2),
    learning=Learning(units=200, epochs=100, batch_size=100, last_batch="drop"),
    other=Learning(units=200, epochs=20, batch_size=100, last_batch="drop"),
    training=Training(learning_rate=1e-3, batch_size=100, epochs=20),
    spectral=Training(learning_rate=1e-3, batch_size=250, epochs=20),
    window=(6, 150),
    epsilons=(0.002, 0.005, 0.01, 0.02, 0.04, 0.08),
    noise=(0.1, 0.4),
)

_PAPER_CIFAR = Size(
    data=CIFAR10_PRESETS["holzhausen2024"],
    units=2000,
    rule=KROTOV["holzhausen_cifar"],
    learning=Learning(units=2000, epochs=1000, batch_size=1000, last_batch="drop"),
    other=Learning(units=2000, epochs=20, batch_size=1000, last_batch="drop"),
    head=TRAINING["holzhausen2024_head"],
    training=TRAINING["holzhausen2024"],
    spectral=TRAINING["holzhausen2024_spectral"],
    window=(11, 500),
    noise_window=(11, 100),
    epsilons=_SMALL_CIFAR.epsilons,
    noise=_SMALL_CIFAR.noise,
    attacked=10_000,
    smooth=1000,
    probe=10_000,
    bundle="holzhausen2024",
    ensemble=100,
    draws=0,
    device="auto",
)

_PAPER_MNIST = replace(
    _PAPER_CIFAR,
    data=MNIST_PRESETS["holzhausen2024"],
    rule=KROTOV["holzhausen_mnist"],
    learning=Learning(units=2000, epochs=1000, batch_size=100, last_batch="drop"),
    training=Training(learning_rate=1e-4, batch_size=3500, epochs=500),
    spectral=Training(learning_rate=1e-4, batch_size=3500, epochs=500),
    epsilons=_SMALL_MNIST.epsilons,
    noise=_SMALL_MNIST.noise,
)

SIZES: dict[tuple[Scale, str], Size] = {
    ("quick", "main"): _QUICK,
    ("quick", "spectral"): replace(
        _QUICK,
        training=Training(learning_rate=1e-3, batch_size=100, epochs=20),
        spectral=Training(learning_rate=1e-3, batch_size=200, epochs=20),
    ),
    ("small", "main"): _SMALL_CIFAR,
    ("small", "spectral"): _SMALL_MNIST,
    ("paper", "main"): _PAPER_CIFAR,
    ("paper", "spectral"): _PAPER_MNIST,
}
"""By scale and part: `main`, the five nets and all that stands beside them; `spectral`, the test of §7.7 on MNIST."""
