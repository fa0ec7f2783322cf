"""`eigenfall train`: train under penalties, measure, keep records."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from eigenfall import parts
from eigenfall.adversarial import Adversarial
from eigenfall.check import need
from eigenfall.commands import screen
from eigenfall.commands.flags import Flags, Measuring, Parts, read_all
from eigenfall.commands.summary import gathered, show, show_attacked, show_recording, summarised
from eigenfall.runs import device_for
from eigenfall.settings import Run
from eigenfall.sweep import execute_all, gpus
from eigenfall.tracking import Tracker, tracked
from eigenfall.training import Training


@dataclass(frozen=True)
class TrainRuns:
    """Networks that are trained, one per seed.

    Attributes:
        data: data set, see `eigenfall parts datasets`.
        architecture: network, see `eigenfall parts architectures`.
        penalty: what is added to the loss, see `eigenfall parts penalties`; may be given several times.
        arm: name of these runs; empty: the penalties' names, adversarial, or plain.
        seeds: how many seeds.
        first_seed: the first of them.
        optimiser: adam or sgd.
        learning_rate: of the optimiser.
        amsgrad: Adam's variant that the paper of Nassar et al. uses.
        train_batch: inputs in one update.
        epochs: passes over the training split.
        steps: updates, instead of epochs.
        last_batch: keep or drop an epoch's short last batch.
        patience: stop after so many epochs without a better validation accuracy; none: never.
        adversarial: attack that moves each batch before it is trained on, for instance pgd@madry2018 or its single
            fast step, pgd@wong2020; see `eigenfall parts attacks`; empty: none.
        adversarial_epsilon: its radius, in the inputs' unit.
        adversarial_norm: of that radius.
        stimuli: the split whose inputs the spectra are over.
        device: auto, cpu, cuda or mps.
    """

    data: str = "digits"
    architecture: str = "mlp"
    penalty: Parts = ()
    arm: str = ""
    seeds: int = 1
    first_seed: int = 0
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    amsgrad: bool = False
    train_batch: int = 128
    epochs: int = 20
    steps: int | None = None
    last_batch: Literal["keep", "drop"] = "keep"
    patience: int | None = None
    adversarial: str = ""
    adversarial_epsilon: float | None = None
    adversarial_norm: Literal["Linf", "L2"] = "Linf"
    stimuli: Literal["train", "test"] = "train"
    device: str = "auto"
    measuring: Flags = Measuring()  # noqa: RUF009

    def runs(self) -> list[Run]:
        """A run for each seed, parts read."""
        penalties = read_all("penalties", self.penalty)
        need(self.seeds >= 1, expected="at least one seed", got=f"{self.seeds}", remedy="Use --seeds 1 or more.")
        need(
            bool(self.adversarial) == (self.adversarial_epsilon is not None),
            expected="--adversarial and --adversarial-epsilon together",
            got="one of them",
            remedy="For instance --adversarial pgd@madry2018 --adversarial-epsilon 0.1.",
        )
        attacked = None
        if self.adversarial_epsilon is not None:
            attack = parts.read("attacks", self.adversarial)
            attacked = Adversarial(attack, self.adversarial_epsilon, self.adversarial_norm)
        named = [*map(parts.name_of, penalties), *(["adversarial"] if self.adversarial else [])]
        settings = Training(
            optimiser=self.optimiser,
            learning_rate=self.learning_rate,
            amsgrad=self.amsgrad,
            batch_size=self.train_batch,
            epochs=None if self.steps is not None else self.epochs,
            steps=self.steps,
            last_batch=self.last_batch,
            patience=self.patience,
            adversarial=attacked,
        )
        return [
            Run(
                verb="train",
                arm=self.arm or "+".join(named) or "plain",
                seed=seed,
                data=parts.read("datasets", self.data),
                architecture=parts.read("architectures", self.architecture),
                penalties=penalties,
                training=settings,
                plan=self.measuring.plan(seed),
                stimuli=self.stimuli,
                device=self.device,
            )
            for seed in range(self.first_seed, self.first_seed + self.seeds)
        ]


def train(
    asked: Annotated[TrainRuns, tyro.conf.arg(name="")] = TrainRuns(),
    workers: int = 0,
    output: Path = Path("runs"),
    track: Tracker = "none",
    track_project: str = "eigenfall",
    json: str = "",
) -> None:
    """Train networks under penalties, one per seed; measure each; keep a record of each.

    A run that is finished is not run again; one that was stopped goes on from its last checkpoint.

    Args:
        asked: what is trained, and how it is measured.
        workers: runs side by side; 0: as many as cores, or as GPUs.
        output: folder of the records.
        track: log runs as they go with trackio or wandb, if you have it; none: not.
        track_project: the tracker's project.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    finish(asked.runs(), output, workers_for(workers, asked.device), json, "Trained runs", track, track_project)


def default_workers(device: str = "cpu") -> int:
    """As many as this process may use cores; one on each GPU."""
    found = device_for(device)
    if found.type == "cpu":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return len(gpus()) if found.type == "cuda" and found.index is None else 1


def workers_for(asked: int, device: str = "cpu") -> int:
    """How many workers: as many as asked for, or by default.

    Raises:
        ValueError: for fewer than none.
    """
    need(asked >= 0, expected="0 workers or more", got=f"{asked}", remedy="Leave --workers out: as many as cores.")
    return asked or default_workers(device)


def finish(
    runs: list[Run],
    output: Path,
    workers: int,
    json: str,
    title: str,
    track: Tracker = "none",
    project: str = "eigenfall",
) -> list[Path]:
    """Execute runs under progress, print their table, write their rows; a failed run makes the command fail."""
    events = tracked(execute_all(runs, output, workers), runs, track, project)
    finished, failed = screen.followed(events, len(runs))
    found = gathered(finished)
    if found:
        console = screen.printing(json)
        if len(found) == 1 and "recording" in found[0].run:
            show_recording(found[0], console)
        elif len(found) == 1 and found[0].measurement.curves and not found[0].measurement.spectra:
            show_attacked(found[0], console)
        elif len(found) == 1:
            console.print(str(found[0].measurement), markup=False, soft_wrap=True)
        else:
            show(found, title, console)
        console.print(f"Records: {output.resolve()}", markup=False, soft_wrap=True)
    screen.emit([*(row for record in found for row in record.measurement.rows), *summarised(found)], json)
    if failed:
        raise ValueError("\n".join(screen.failures(failed, len(runs))))
    return finished
