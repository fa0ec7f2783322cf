"""`eigenfall compare`: paired tests between finished runs."""

from pathlib import Path
from typing import Annotated

import tyro

from eigenfall.commands import screen
from eigenfall.commands.summary import gathered
from eigenfall.comparison import compare as compared


def compare(
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    baseline: str = "",
    curve: str = "headline",
    json: str = "",
) -> None:
    """Hold runs against a baseline on common images: differences, intervals over seeds, paired tests, Holm,
    ratios of median critical distances; the rows hold every arm's curve, absolute and relative, too.

    Args:
        folders: records, or folders of records.
        baseline: the arm that the others are held against; empty: the first record's.
        curve: which curve: headline, margin, dlr, ce_std, ce, fgsm.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    found = gathered(folders)
    result = compared(found, baseline, curve)
    screen.printing(json).print(str(result), markup=False, soft_wrap=True)
    screen.emit(result.every_row, json)
