"""How weights are fitted: the optimiser, its learning rate by epoch, batches and length.

    rate(e) = the schedule's last entry that is not after e, else the learning rate;   × exp(−max(0, e − a) / s)

e counts finished epochs, so that the rate is a function of where the loop stands, and a run that goes on needs no state
for it; `decay` is (a, s).
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from eigenfall.adversarial import Adversarial
from eigenfall.check import need
from eigenfall.layers import fusable
from eigenfall.types import Split


@dataclass(frozen=True)
class Training:
    """How weights are fitted.

    Attributes:
        optimiser: adam or sgd.
        learning_rate: from the start; constant without `schedule` and `decay`.
        schedule: how many epochs are finished, and the learning rate from then on, in pairs.
        decay: how many epochs are finished, and over how many more the learning rate falls by a factor e; `None`: it
            does not.
        amsgrad: Adam with the largest second moment so far, as Nassar et al. use it.
        momentum: of sgd.
        batch_size: inputs in one update.
        epochs: passes over the training split; `None` if `steps` is given.
        steps: updates; `None` if `epochs` is given.
        last_batch: keep or drop an epoch's short last batch.
        patience: stop after so many epochs without a better validation accuracy, and go back to the best weights;
            `None`: never. The validation inputs are clean.
        adversarial: what moves each batch before it is trained on; `None`: nothing, batches are as they are.
    """

    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    schedule: tuple[tuple[int, float], ...] = ()
    decay: tuple[int, float] | None = None
    amsgrad: bool = False
    momentum: float = 0.0
    batch_size: int = 128
    epochs: int | None = 20
    steps: int | None = None
    last_batch: Literal["keep", "drop"] = "keep"
    patience: int | None = None
    adversarial: Adversarial | None = None

    def __post_init__(self) -> None:
        need(
            (self.epochs is None) != (self.steps is None),
            expected="epochs or steps",
            got="both" if self.steps is not None else "neither",
            remedy="Set the other to none.",
        )
        for name, value in (("epochs", self.epochs), ("steps", self.steps), ("batch_size", self.batch_size)):
            need(
                value is None or value >= 1, expected=f"{name} of 1 or more", got=f"{value}", remedy="Use a larger one."
            )
        need(
            self.patience is None or self.patience >= 1,
            expected="patience of one epoch or more",
            got=f"{self.patience}",
            remedy="Leave it out to train to the end.",
        )
        need(
            self.learning_rate > 0,
            expected="a learning rate above 0",
            got=f"{self.learning_rate}",
            remedy="0.001 is Adam's own.",
        )
        after = [0, *(epoch for epoch, _ in self.schedule)]
        need(
            all(earlier < later for earlier, later in pairwise(after)),
            expected="a schedule after 1 or more finished epochs, in ascending order",
            got=f"epochs {', '.join(map(str, after[1:]))}",
            remedy="Set learning_rate to what it begins with, and sort the rest.",
        )
        need(
            all(rate > 0 for _, rate in self.schedule),
            expected="learning rates above 0 in the schedule",
            got=f"{min((rate for _, rate in self.schedule), default=0)}",
            remedy="Train for fewer epochs instead.",
        )
        need(
            self.decay is None or (self.decay[0] >= 0 and self.decay[1] > 0),
            expected="a decay after 0 or more finished epochs, over more than 0",
            got=f"{self.decay}",
            remedy="decay=(90, 30.0) divides the rate by e every 30 epochs after the 90th.",
        )

    def optimiser_of(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser, for the parameters that require gradients; one kernel for all of them where there is one."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        fused = fusable(parameters)
        if self.optimiser == "sgd":
            return torch.optim.SGD(parameters, lr=self.learning_rate, momentum=self.momentum, fused=fused)
        return torch.optim.Adam(parameters, lr=self.learning_rate, amsgrad=self.amsgrad, fused=fused)

    def rate_at(self, epoch: int) -> float:
        """The learning rate of the epoch before which so many are finished."""
        rate = ([self.learning_rate] + [rate for after, rate in self.schedule if after <= epoch])[-1]
        if self.decay is None:
            return rate
        after, span = self.decay
        return rate * math.exp(-max(0, epoch - after) / span)

    def need_validation(self, validation: Split) -> None:
        """Refuse early stopping that has nothing to look at."""
        need(
            self.patience is None or len(validation) > 0,
            expected="a validation split for early stopping",
            got="an empty one",
            remedy="Give the data set validation rows, or leave patience out.",
        )

    def batches_in(self, rows: int) -> int:
        """Updates in an epoch."""
        return max(1, rows // self.batch_size if self.last_batch == "drop" else math.ceil(rows / self.batch_size))

    def steps_for(self, rows: int) -> int:
        """Updates in all."""
        return self.steps or (self.epochs or 0) * self.batches_in(rows)


def shortened(training: Training, epochs: int) -> Training:
    """The same over fewer epochs, its schedule and decay in proportion; of changes that then coincide, the last stays.

    Raises:
        ValueError: if the training counts steps, or is not longer.
    """
    need(
        training.epochs is not None and epochs <= training.epochs,
        expected=f"at most {training.epochs} epochs" if training.epochs else "a training that counts epochs",
        got=f"{epochs}" if training.epochs else f"one of {training.steps} steps",
        remedy="Set epochs and schedule yourself." if training.epochs else "Set epochs instead of steps.",
    )
    share = epochs / (training.epochs or 1)
    changes = {max(1, round(after * share)): rate for after, rate in training.schedule}
    decay = None if training.decay is None else (round(training.decay[0] * share), training.decay[1] * share)
    return replace(training, epochs=epochs, schedule=tuple(changes.items()), decay=decay)


_STUDY = Training(learning_rate=1e-3, batch_size=1000, epochs=1000)

PRESETS = {
    "pnas_mnist": Training(
        learning_rate=1e-3,
        schedule=((100, 5e-4), (150, 1e-4), (200, 5e-5), (250, 1e-5)),
        batch_size=100,
        epochs=300,
    ),
    "pnas_cifar": Training(
        learning_rate=4e-3,
        schedule=(
            (100, 2e-3),
            (150, 1e-3),
            (200, 5e-4),
            (250, 2e-4),
            (300, 1e-4),
            (350, 5e-5),
            (400, 2e-5),
            (450, 1e-5),
        ),
        batch_size=1000,
        epochs=500,
    ),
    "holzhausen2024_head": _STUDY,
    "holzhausen2024": replace(_STUDY, schedule=((31, 5e-4), (91, 2e-4), (121, 1e-4), (161, 1e-5))),
    "holzhausen2024_spectral": replace(_STUDY, decay=(90, 30.0)),
}
"""Published ones. `holzhausen2024` is the schedule of its gradient-trained nets, `_head` of the readout on a learnt
layer, `_spectral` of the net under the spectral penalty; `pnas_*` of heads in the style of Krotov & Hopfield 2019, of
which the batch size is the rule's: a head's own is not known."""
