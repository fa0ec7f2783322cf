"""What is found beside the paper, each with runs of its own: the loophole, why C1 flips, what the follow-up's slips do.

They are made when their figure is asked for. A whole reproduction draws and reads those whose records are there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eigenfall import records
from eigenfall.papers.found import Scale
from eigenfall.papers.nassar2020 import loophole, reasons, slipratios, slips, why
from eigenfall.papers.nassar2020.found import Found
from eigenfall.records import run_hash
from eigenfall.settings import Run, settings_of
from eigenfall.types import Record


@dataclass(frozen=True)
class Experiment:
    """One question.

    Attributes:
        runs: of a scale, of all seeds or of those given.
        reading: what the records say, a sentence or two each; nothing where they are missing.
    """

    runs: Callable[[Scale, Sequence[int]], list[Run]]
    reading: Callable[[Found], list[str]]


EXPERIMENTS: Mapping[str, Experiment] = {
    "loophole": Experiment(loophole.runs, loophole.reading),
    "why": Experiment(lambda scale, seeds: why.runs(scale, (), seeds), reasons.reading),
    "slips": Experiment(lambda scale, seeds: slips.runs(scale, (), seeds), slipratios.reading),
}
"""By the name of their figure."""


def finished_before(scale: Scale, folder: Path) -> list[Record]:
    """Records of experiments that a folder holds; those made with other settings under the same name are left out."""
    if not folder.is_dir():
        return []
    own = {(run.arm, run.seed): run for each in EXPERIMENTS.values() for run in each.runs(scale, ())}
    there = [(record, own.get((record.run["arm"], record.run["seed"]))) for record in records.load_all(folder)]
    return [record for record, run in there if run is not None and _is_of(record, run)]


def _is_of(record: Record, run: Run) -> bool:
    """Whether the run, on the data that the record was made of, is the record's."""
    return run_hash(settings_of(run, record.run["inputs"])) == run_hash(record.run)
