"""Every size and schedule of the reproduction, in one table: what a scale is.

    quick   8 × 8 digits; checks the machinery. C1 reverses there (spec §9.3) and is never judged at it
    small   20 000 images of MNIST, narrower nets: every claim is tested
    paper   the nets, batches, learning rates and numbers of updates of the paper, 55 000 images of MNIST

Source: spec `nassar2020` §6. Differs from the paper at `paper`: 5 000 of the 60 000 training images are held out, so
that strengths and stopping can be chosen on them; updates are as many as published.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from eigenfall.architectures.cnn import CNN
from eigenfall.architectures.cnn import PRESETS as CNNS
from eigenfall.architectures.mlp import MLP
from eigenfall.architectures.mlp import PRESETS as MLPS
from eigenfall.datasets.digits import Digits
from eigenfall.datasets.mnist import MNIST
from eigenfall.datasets.mnist import PRESETS as MNIST_PRESETS
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.optimisation import Training
from eigenfall.papers.found import Scale

Net = Literal["deep", "shallow", "cnn"]


@dataclass(frozen=True)
class Size:
    """What one network of the paper is run at.

    Attributes:
        data: the data set, pixels in [0, 1].
        network: without whitening.
        training: of every arm whose updates are as many as the others'.
        fresh: rows, drawn anew, of which a basis is made where it is renewed at each update; 0: no arm does that.
        stops: updates after which plain training is stopped: the path that an arm is matched on by its accuracy.
        window: first and last rank of every exponent; a fit's last rank may lie beyond the numerical rank.
        jacobian: batch size and number of updates of the Jacobian arm that is not of equal updates.
        seeds: of the arms that claims are about.
        swept: of sweeps of a strength and of stops.
        epsilons: budgets of the headline, in pixels.
        epsilon: the budget at which claims are judged.
        attacked: how many test images are attacked.
        attacked_beside: how many, of stops, sweeps and variants.
        smooth: at how many test images smoothness is measured.
        draws: half-samples of the stimuli behind each exponent's interval.
        device: where.
    """

    data: Any
    network: MLP | CNN
    training: Training
    fresh: int | Literal["all"]
    stops: tuple[int, ...]
    window: tuple[int, int]
    jacobian: tuple[int, int]
    seeds: tuple[int, ...]
    swept: tuple[int, ...]
    epsilons: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2)
    epsilon: float = 0.05
    attacked: int = 1000
    attacked_beside: int = 500
    smooth: int = 500
    draws: int = 20
    device: str = "cpu"

    @property
    def fit(self) -> LeastSquares:
        """Unweighted, over all ranks of the window, whatever the numerical rank."""
        return LeastSquares(*self.window, "none", clip=False)


_DEEP = Training(optimiser="adam", amsgrad=True, learning_rate=3e-4, batch_size=300, epochs=60, last_batch="keep")

_SMALL_DEEP = Size(
    data=MNIST_PRESETS["nassar2020_small"],
    network=MLPS["nassar2020_deep_small"],
    training=_DEEP,
    fresh=4000,
    stops=(201, 335, 536, 804, 1340, 2680),
    window=(11, 199),
    jacobian=(100, 8000),
    seeds=(0, 1, 2, 3, 4),
    swept=(0, 1, 2),
)
_SMALL_SHALLOW = replace(
    _SMALL_DEEP,
    network=MLPS["nassar2020_shallow_small"],
    training=replace(_DEEP, learning_rate=1e-3, batch_size=600),
    stops=(68, 136, 272, 510, 1020),
    window=(11, 399),
    seeds=(0, 1, 2),
)

_QUICK_DEEP = Size(
    data=Digits(validation=0),
    network=MLPS["nassar2020_deep_quick"],
    training=replace(_DEEP, batch_size=128, epochs=None, steps=4000, last_batch="drop"),
    fresh="all",
    stops=(400, 700),
    window=(11, 63),
    jacobian=(128, 4000),
    seeds=(0, 1),
    swept=(0, 1),
    epsilons=(0.02, 0.05, 0.1, 0.2),
    attacked=200,
    attacked_beside=200,
    smooth=100,
    draws=5,
)
_QUICK_SHALLOW = replace(
    _QUICK_DEEP,
    network=MLPS["nassar2020_shallow_quick"],
    training=replace(_DEEP, learning_rate=1e-3, batch_size=256, epochs=None, steps=1500, last_batch="drop"),
    stops=(),
    window=(11, 127),
)

_PAPER_DEEP = Size(
    data=MNIST(train=55_000, validation=5000, order_seed=0, test_order_seed=1),
    network=MLPS["nassar2020_deep"],
    training=replace(_DEEP, learning_rate=1e-4, batch_size=1500, epochs=None, steps=4000),
    fresh=0,
    stops=(150, 250, 400, 650, 1000, 2000),
    window=(11, 500),
    jacobian=(100, 60_000),
    seeds=(0, 1, 2),
    swept=(0, 1, 2),
    epsilons=(0.02, 0.05, 0.1, 0.2),
    attacked=500,
    draws=0,
    device="auto",
)
_PAPER_SHALLOW = replace(
    _PAPER_DEEP,
    network=MLPS["nassar2020_shallow"],
    training=replace(_DEEP, learning_rate=1e-3, batch_size=3500, epochs=None, steps=900),
    stops=(30, 60, 120, 240, 480),
)
_PAPER_CNN = replace(
    _PAPER_DEEP,
    network=CNNS["nassar2020"],
    training=replace(_DEEP, learning_rate=1e-4, batch_size=6000, epochs=None, steps=1000),
    stops=(50, 100, 200, 400),
)

SIZES: dict[tuple[Scale, Net], Size] = {
    ("quick", "deep"): _QUICK_DEEP,
    ("quick", "shallow"): _QUICK_SHALLOW,
    ("small", "deep"): _SMALL_DEEP,
    ("small", "shallow"): _SMALL_SHALLOW,
    ("paper", "deep"): _PAPER_DEEP,
    ("paper", "shallow"): _PAPER_SHALLOW,
    ("paper", "cnn"): _PAPER_CNN,
}
"""By scale and network; the convolutional one is of `paper` alone."""
