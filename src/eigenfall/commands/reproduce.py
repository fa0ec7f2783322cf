"""`eigenfall reproduce`: a paper's runs, its figures and claims, ours beside them."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def reproduce(
    paper: Annotated[Literal["nassar2020", "holzhausen2024"], tyro.conf.Positional] = "nassar2020",
    /,
    scale: Literal["quick", "small", "paper"] = "small",
    figure: str = "",
    arm: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    seeds: tuple[int, ...] = (),
    workers: int = 0,
    output: Path | None = None,
    json: str = "",
    interactive: bool = False,
) -> None:
    """Redo a paper: its runs, its figures, and for each claim what it says, what we got, and a verdict.

    What is finished is kept; the same command goes on from it. At the small scale of nassar2020 some numbers are held
    against bands of other implementations: one outside of its band makes the command fail.

    Args:
        paper: nassar2020 or holzhausen2024.
        scale: quick: digits, for holzhausen2024 a subset of MNIST; minutes. small: MNIST, for holzhausen2024 CIFAR-10
            too, with smaller nets; hours on two cores. paper: as published, on a GPU.
        figure: only this figure and the runs that it needs. nassar2020: fig1, fig2, fig3, fig4, figS-bn,
            figS-strengths, figS-relu, figS-noise, figS-decay, plane, alpha, fronts, exact, loophole, why, slips.
            holzhausen2024: fig1, fig2, fig3, fig4, figA1, figA2, curves, ensemble, spectral, fronts, rules.
        arm: only this arm; may be given several times.
        seeds: only these seeds; by default five, of shallow networks and sweeps of nassar2020 three; two at quick. Of
            nassar2020 every arm asked for can have further ones.
        workers: runs side by side; 0: as many as cores.
        output: folder of the records; by default runs/PAPER-SCALE.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
        interactive: put every run on axes that the reader chooses, in runs.html; needs plotly.
    """
    from eigenfall.commands import holzhausen2024, nassar2020

    verb = {"nassar2020": nassar2020.reproduce, "holzhausen2024": holzhausen2024.reproduce}[paper]
    verb(scale, figure, arm, seeds, workers, output, json, interactive)
