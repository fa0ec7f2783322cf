"""`eigenfall learn`: learn a layer by a local rule, fit a head on it, measure, keep records."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from eigenfall import parts
from eigenfall.check import need, one_of
from eigenfall.commands.flags import Flags, Measuring
from eigenfall.commands.train import finish, workers_for
from eigenfall.learning import Learning
from eigenfall.optimisation import PRESETS as TRAININGS
from eigenfall.optimisation import Training, shortened
from eigenfall.pruning import PRESETS, Pruning
from eigenfall.settings import Run
from eigenfall.tracking import Tracker

LAYERS = ("currents", "hidden1")
"""What is measured unless layers are named: the currents, and what the head's activation makes of them."""


@dataclass(frozen=True)
class LearnRuns:
    """Layers that learn by a rule, one per seed.

    Attributes:
        rule: by what the layer learns, see `eigenfall parts rules`.
        data: data set, see `eigenfall parts datasets`.
        units: of the layer.
        epochs: passes over the training inputs.
        learn_batch: inputs in one step of the layer.
        last_batch: keep or drop an epoch's short last batch.
        prune: which units are taken out before the head is fitted: none, mixture, or a preset: iclr2024,
            holzhausen2024, holzhausen2024_accepted.
        pruned: whether they are removed, or zeroed as published.
        head: activation, readout and its loss, see `eigenfall parts heads`.
        head_training: how the head is fitted, a published schedule that is shortened to `head_epochs`: pnas_mnist,
            pnas_cifar, holzhausen2024_head, holzhausen2024, holzhausen2024_spectral; empty: Adam at a constant rate.
        head_epochs: passes over the training split that fit the head.
        learning_rate: of Adam, which fits the head; none: 0.001, or the schedule's.
        train_batch: inputs in one update of the head; none: 128, or as published.
        patience: stop fitting after so many epochs without a better validation accuracy; none: never.
        arm: name of these runs; empty: the rule's.
        seeds: how many seeds.
        first_seed: the first of them.
        stimuli: the split whose inputs the spectra are over.
        device: auto, cpu, cuda or mps.
    """

    rule: str = "krotov"
    data: str = "digits"
    units: int = 100
    epochs: int = 1000
    learn_batch: int = 100
    last_batch: Literal["keep", "drop"] = "keep"
    prune: str = "none"
    pruned: Literal["removed", "zeroed"] = "removed"
    head: str = "repu"
    head_training: str = ""
    head_epochs: int = 50
    learning_rate: float | None = None
    train_batch: int | None = None
    patience: int | None = None
    arm: str = ""
    seeds: int = 1
    first_seed: int = 0
    stimuli: Literal["train", "test"] = "test"
    device: str = "auto"
    measuring: Flags = Measuring()  # noqa: RUF009

    def runs(self) -> list[Run]:
        """A run for each seed, parts read."""
        need(self.seeds >= 1, expected="at least one seed", got=f"{self.seeds}", remedy="Use --seeds 1 or more.")
        made = parts.read("rules", self.rule)
        training = training_of(
            self.head_training, self.head_epochs, self.learning_rate, self.train_batch, self.patience
        )
        return [
            Run(
                verb="learn",
                arm=self.arm or parts.name_of(made),
                seed=seed,
                data=parts.read("datasets", self.data),
                rule=made,
                head=parts.read("heads", self.head),
                learning=Learning(self.units, self.epochs, self.learn_batch, self.last_batch),
                pruning=pruning_of(self.prune),
                pruned=self.pruned,
                training=training,
                plan=replace(plan, layers=plan.layers or LAYERS),
                stimuli=self.stimuli,
                device=self.device,
            )
            for seed in range(self.first_seed, self.first_seed + self.seeds)
            for plan in [self.measuring.plan(seed)]
        ]


def learn(
    asked: Annotated[LearnRuns, tyro.conf.arg(name="")] = LearnRuns(),
    workers: int = 0,
    output: Path = Path("runs"),
    track: Tracker = "none",
    track_project: str = "eigenfall",
    json: str = "",
) -> None:
    """Learn layers by a local rule, without targets, one per seed; fit a head on each, measure it, keep a record.

    A run that is finished is not run again; one that was stopped goes on from its last checkpoint.

    Args:
        asked: what learns, and how it is measured.
        workers: runs side by side; 0: as many as cores, or as GPUs.
        output: folder of the records.
        track: log runs as they go with trackio or wandb, if you have it; none: not.
        track_project: the tracker's project.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    finish(asked.runs(), output, workers_for(workers, asked.device), json, "Learnt layers", track, track_project)


def pruning_of(name: str) -> Pruning | None:
    """How units are pruned, by its name at the prompt."""
    known = {"none": None, "mixture": Pruning(), **PRESETS}
    one_of(name, known, "way of pruning")
    return known[name]


def training_of(
    name: str, epochs: int, learning_rate: float | None, batch_size: int | None, patience: int | None
) -> Training:
    """How the head is fitted: a published training over fewer epochs, or Adam at a constant rate."""
    if name:
        one_of(name, TRAININGS, "training of a head")
        need(
            learning_rate is None,
            expected="--learning-rate or --head-training",
            got="both",
            remedy="A published training brings its learning rates: leave one out.",
        )
    training = shortened(TRAININGS[name], epochs) if name else Training(epochs=epochs)
    given = {"learning_rate": learning_rate, "batch_size": batch_size}
    return replace(training, patience=patience, **{key: value for key, value in given.items() if value is not None})
