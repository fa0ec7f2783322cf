"""`eigenfall atlas`: every way of making a representation, side by side, and the verdict."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def atlas(
    scale: Literal["quick", "small", "paper"] = "quick",
    method: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    seeds: tuple[int, ...] = (),
    workers: int = 0,
    output: Path | None = None,
    json: str = "",
    interactive: bool = False,
) -> None:
    """Make a representation in every way that there is, measure all alike, and say what goes with robustness.

    A table of methods, robustness against α, smoothness and margin, rank correlations with the others held, and a
    verdict in plain words. What is finished is kept; the same command goes on from it.

    Args:
        scale: quick: digits, one hidden layer, ten minutes on two cores. small: MNIST, one and three hidden layers;
            hours. paper: CIFAR-10, a convolutional network as well, on a GPU.
        method: only this method; may be given several times. plain, weight decay, dropout, whitened, Jacobian,
            adversarial, spectral 0.5, spectral 1, spectral 2, each of these three with ", published" as well,
            Krotov-Hopfield, Oja, Sanger, SoftHebb, BCM, similarity matching, random, untrained.
        seeds: only these seeds; by default five.
        workers: runs side by side; 0: as many as cores.
        output: folder of the records; by default runs/atlas-SCALE.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
        interactive: put every run on axes that the reader chooses, in runs.html; needs plotly.
    """
    from eigenfall.commands.charting import chart

    chart(scale, method, seeds, workers, output, json, interactive)
