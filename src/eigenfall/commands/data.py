"""`eigenfall data`: where the data sets are read from; fetch and verify them."""

from typing import Annotated, Literal

import tyro

from eigenfall import datafiles
from eigenfall.check import need
from eigenfall.commands import screen
from eigenfall.rows import row


def data(
    action: Annotated[Literal["list", "fetch", "verify"], tyro.conf.Positional] = "list",
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    json: str = "",
) -> None:
    """Say where each data set is read from; fetch what is missing; compare with the checksums.

    Official files are read from the folder that EIGENFALL_DATA names, else from the user's cache folder, into which
    `fetch` downloads them. Your own images: `--data file:path=images.npz`.

    Args:
        action: list, fetch or verify.
        names: data sets; empty: all of them (not for fetch).
        json: write how many files are there as tidy rows to this file, `-` for standard output.
    """
    need(
        action != "fetch" or bool(names),
        expected="the data sets to fetch",
        got="none",
        remedy=f"There are: {', '.join(datafiles.names())}.",
    )
    look = {"list": datafiles.status, "verify": datafiles.verify, "fetch": datafiles.fetch}[action]
    found = [look(name) for name in names or datafiles.names()]
    lines = [(each.name, each.place, _state(each)) for each in found]
    screen.table("Data sets", ("name", "read from", "state"), lines, screen.printing(json), numbers=False)
    screen.emit([row("files", len(each.files), data=each.name, place=each.place) for each in found], json)
    faults = [fault for each in found for fault in each.faults]
    if faults:
        raise ValueError("\n".join(faults))


def _state(status: datafiles.Status) -> str:
    if status.place == "embedded":
        return "comes with scikit-learn"
    if not status.present:
        return f"not here: eigenfall data fetch {status.name}"
    if status.faults:
        return f"{len(status.faults)} of {len(status.files)} files corrupt"
    return f"{len(status.files)} files, " + ("checksums agree" if status.checked else "not verified")
