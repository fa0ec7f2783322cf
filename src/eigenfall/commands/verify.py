"""`eigenfall verify`: do the numbers of finished runs hold?"""

from pathlib import Path
from typing import Annotated

import tyro

from eigenfall import records
from eigenfall.check import need
from eigenfall.commands import screen
from eigenfall.types import Row
from eigenfall.verification import Held, Verification, verifying


def verify(
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    whole: bool = False,
    data: str = "",
    trusted: bool = False,
    device: str = "",
    json: str = "",
) -> None:
    """Compare a record's files with their sums, make its model again, measure it again, and say what holds.

    A recording is measured again, if it is where the record says. Where software, instructions of the processor,
    threads and device are those of the record, numbers must be equal; elsewhere, within a tolerance that is said.

    Args:
        folders: records, or folders of records.
        whole: measure everything again, attacks of all images among it; else what is cheap and decides most.
        data: where the data set or the recording lies now, for instance file:path=images.npz; empty: where the record
            says.
        trusted: the records are your own, so that modules, factories and programs that they name may be run.
        device: auto, cpu, cuda or mps; empty: the record's.
        json: write each number with what it is now as tidy rows to this file, `-` for standard output.
    """
    console, found, refused = screen.printing(json), [], []
    paths = list(dict.fromkeys(path.resolve() for folder in folders for path in records.folders(folder)))
    need(bool(paths), expected=f"a finished run in {folders[0]}", got="none", remedy="Run `eigenfall train` first.")
    for path in paths:
        try:
            work = verifying(records.load(path), whole=whole, data=data, trusted=trusted, device=device)
            held = screen.watched(work)
        except ValueError as reason:
            refused.append(f"{path.name}: {reason}")
            continue
        found.append(held)
        lines = [_line(one) for one in held.numbers]
        columns = ("number", "in the record", "now", "differ by", "at most", "verdict")
        screen.table(f"{held.record}, measured again", columns, lines, console)
        console.print(str(held), markup=False, soft_wrap=True)
    screen.emit([row for held in found for row in _rows(held)], json)
    failed = [f"{held.record}: {len(held.failed)} of {len(held.numbers)}" for held in found if held.failed]
    if failed:
        refused.append(
            f"Expected every number to hold, got some that do not: {'; '.join(failed)}. Look at them above; what "
            "changed between versions is in CHANGELOG.md."
        )
    if refused:
        raise ValueError("\n".join(refused))


def _line(one: Held) -> tuple[str, ...]:
    """A number as a line of the table."""
    apart = (f"{one.difference:.2g}", f"{one.tolerance:.2g}")
    return one.name, f"{one.kept:.6g}", f"{one.found:.6g}", *apart, one.verdict


def _rows(held: Verification) -> list[Row]:
    """Each number with what it is now."""
    return [
        {
            **{name: one.row[name] for name in one.row if name not in ("value", "low", "high", "verdict")},
            "quantity": one.row.get("quantity", one.name),
            "number": one.name,
            "record": held.record,
            "value": one.kept,
            "found": one.found,
            "difference": one.difference,
            "tolerance": one.tolerance,
            "verdict": one.verdict,
        }
        for one in held.numbers
    ]
