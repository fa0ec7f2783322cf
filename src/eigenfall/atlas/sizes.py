"""Every size and schedule of the atlas, in one table: what a scale is.

    quick   8 × 8 digits, one hidden layer of 64 units: at most ten minutes on two cores
    small   20 000 images of MNIST, one hidden layer of 200 units and three of them: hours
    paper   CIFAR-10, one hidden layer of 1 000 units, three of them, and a convolutional network: on a GPU

All that is trained by gradient has one optimiser, as many updates and the same batches; all that learns by a local rule
has the same units, rectified, and one readout. So a difference between two methods is the method's, and not its
schedule's; no method has a schedule of its own but Krotov and Hopfield's rule, which needs more epochs to converge, and
at `quick` leaves a few units short of it.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from eigenfall.architectures.cnn import CNN
from eigenfall.architectures.mlp import MLP
from eigenfall.datasets.cifar10 import CIFAR10
from eigenfall.datasets.digits import Digits
from eigenfall.datasets.mnist import PRESETS as MNIST_PRESETS
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.learning import Learning
from eigenfall.optimisation import Training
from eigenfall.papers.found import Scale

Net = Literal["shallow", "deep", "cnn"]


@dataclass(frozen=True)
class Size:
    """What one architecture is run at.

    Attributes:
        data: the data set, pixels in [0, 1].
        network: without dropout and whitening; that of local rules has its last width and its activation, a ReLU.
        training: of everything that is trained by gradient.
        adversarial: radius of adversarial training, L∞, in pixels.
        learning: how long local rules learn.
        krotov: how long that of Krotov and Hopfield learns.
        head: how a readout is fitted on what was learnt.
        window: first and last rank of every exponent; a shorter spectrum shortens it, and says so.
        epsilons: budgets of the worst case, L∞, in pixels.
        epsilon: that which tables and figures quote.
        noise: standard deviations of the noise, in pixels.
        sigma: that which tables and figures quote.
        attacked: how many test images are attacked.
        smooth: at how many test images smoothness is measured.
        draws: half-samples of the stimuli behind each exponent's interval.
        seeds: of every method.
        device: where.
    """

    data: Any
    network: MLP | CNN
    training: Training
    adversarial: float
    learning: Learning
    krotov: Learning
    head: Training
    window: tuple[int, int]
    epsilons: tuple[float, ...]
    epsilon: float
    noise: tuple[float, ...]
    sigma: float
    attacked: int
    smooth: int
    draws: int = 10
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    device: str = "cpu"

    @property
    def fit(self) -> LeastSquares:
        """Unweighted, over the ranks of the window."""
        return LeastSquares(*self.window, "none")

    @property
    def layers(self) -> int:
        """How many hidden layers."""
        return len(self.network.widths) + len(getattr(self.network, "channels", ()))


_UNITS = 64
_QUICK = Size(
    data=Digits(validation=0),
    network=MLP(widths=(_UNITS,), activation="relu"),
    training=Training(learning_rate=3e-3, batch_size=128, epochs=None, steps=500, last_batch="drop"),
    adversarial=0.1,
    learning=Learning(units=_UNITS, epochs=20, batch_size=50, last_batch="drop"),
    krotov=Learning(units=_UNITS, epochs=300, batch_size=50, last_batch="drop"),
    head=Training(learning_rate=3e-3, batch_size=128, epochs=None, steps=500, last_batch="drop"),
    window=(11, 60),
    epsilons=(0.05, 0.1, 0.2),
    epsilon=0.1,
    noise=(0.2, 0.4),
    sigma=0.4,
    attacked=100,
    smooth=100,
    draws=10,
)

_SMALL = replace(
    _QUICK,
    data=MNIST_PRESETS["nassar2020_small"],
    network=MLP(widths=(200,), activation="relu"),
    training=Training(learning_rate=1e-3, batch_size=300, epochs=30, last_batch="drop"),
    learning=Learning(units=200, epochs=20, batch_size=100, last_batch="drop"),
    krotov=Learning(units=200, epochs=200, batch_size=100, last_batch="drop"),
    head=Training(learning_rate=1e-3, batch_size=300, epochs=30, last_batch="drop"),
    window=(11, 150),
    epsilons=(0.02, 0.05, 0.1, 0.2),
    epsilon=0.05,
    attacked=500,
    smooth=500,
    draws=20,
)
_SMALL_DEEP = replace(_SMALL, network=MLP(widths=(200, 200, 200), activation="relu"))

_PAPER = replace(
    _SMALL,
    data=CIFAR10(validation=5000),
    network=MLP(widths=(1000,), activation="relu", normalise="channels"),
    training=Training(learning_rate=3e-4, batch_size=1500, epochs=100, last_batch="drop"),
    adversarial=8 / 255,
    learning=Learning(units=1000, epochs=20, batch_size=1000, last_batch="drop"),
    krotov=Learning(units=1000, epochs=300, batch_size=1000, last_batch="drop"),
    head=Training(learning_rate=3e-4, batch_size=1500, epochs=100, last_batch="drop"),
    window=(11, 500),
    epsilons=(2 / 255, 4 / 255, 8 / 255, 16 / 255),
    epsilon=4 / 255,
    noise=(0.05, 0.1),
    sigma=0.1,
    attacked=1000,
    device="auto",
)

SIZES: dict[tuple[Scale, Net], Size] = {
    ("quick", "shallow"): _QUICK,
    ("small", "shallow"): _SMALL,
    ("small", "deep"): _SMALL_DEEP,
    ("paper", "shallow"): _PAPER,
    ("paper", "deep"): replace(_PAPER, network=MLP(widths=(1000,) * 3, activation="relu", normalise="channels")),
    ("paper", "cnn"): replace(
        _PAPER, network=CNN(channels=(16, 32), widths=(1000,), activation="relu", normalise="channels")
    ),
}
"""By scale and architecture. Local rules learn one hidden layer: they stand under `shallow` alone."""
