"""`eigenfall demo`: the whole path on the embedded digits."""

from pathlib import Path

from eigenfall.commands import screen
from eigenfall.commands.summary import command_line, gathered
from eigenfall.commands.train import finish, workers_for
from eigenfall.papers.nassar2020.demonstration import demo_runs
from eigenfall.report.page import write


def demo(output: Path = Path("eigenfall-demo"), seeds: int = 3, workers: int = 0, json: str = "") -> None:
    """Train three arms on scikit-learn's digits, measure them, and write a page to look at: at most two minutes.

    Plain, spectral penalty, Jacobian penalty; a multilayer perceptron 64-64-64-64-10; three seeds each. Needs no
    network. Ctrl-C keeps finished runs, and the same command goes on from them.

    Args:
        output: folder of the records and the page.
        seeds: how many seeds of each arm.
        workers: runs side by side; 0: as many as cores.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    paths = finish(demo_runs(seeds), output, workers_for(workers), json, "Three penalties on the digits")
    page = write(
        gathered(paths),
        output / "report.html",
        "What a 1/n spectrum and a small Jacobian do to a network on the digits",
        command_line(),
    )
    screen.printing(json).print(f"Report: {page.resolve()}", markup=False, soft_wrap=True)
