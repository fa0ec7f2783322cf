"""Events of an experiment from a user's file: the frame at which each stimulus came on, and its id.

| file | holds |
|---|---|
| .csv | a first line with names, among them frame and stimulus |
| .npz | arrays frame and stimulus |
| .npy | two columns of numbers: frame, id |

Frames count from 0. Also `onset` for frame, and `id` for stimulus. Nothing is unpickled.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from eigenfall.check import need
from eigenfall.labels import need_ids

FRAMES = ("frame", "frames", "onset", "onsets")
IDS = ("stimulus", "stimuli", "id", "ids", "istim")
"""Names of the columns of events."""


def read_events(path: Path) -> tuple[Int64[np.ndarray, " events"], list[Any]]:
    """Frame of onset and id of each event.

    Raises:
        ValueError: if the file is missing, damaged, holds objects, or has no frame and id for each event.
    """
    need(path.is_file(), expected=f"a file of events {str(path)!r}", got="none there", remedy="Mend the path.")
    need(
        path.suffix in (".csv", ".npy", ".npz"),
        expected="events in a .csv, .npy or .npz file",
        got=repr(path.name),
        remedy="Save the frame of onset and the id of each event.",
    )
    frames, ids = _of_text(path) if path.suffix == ".csv" else _of_arrays(path)
    numbers = np.asarray(frames, dtype=np.float64)
    whole = len(numbers) == len(ids) > 0
    need(
        whole and bool((np.isfinite(numbers) & (numbers == np.round(numbers))).all()),
        expected=f"a whole number as the frame, counted from 0, and an id for each event in {path.name!r}",
        got="frames that are none" if whole else f"{len(numbers)} frames and {len(ids)} ids",
        remedy="Give one row per event.",
    )
    return numbers.astype(np.int64), ids


def _of_text(path: Path) -> tuple[list[float], list[Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    frame, label = (next((name for name in names if name in head), "") for names in (FRAMES, IDS))
    need(
        bool(frame) and bool(label),
        expected=f"columns frame and stimulus in {path.name!r}",
        got=", ".join(head) or "an empty file",
        remedy="Name the columns in the first line.",
    )
    at, named = head.index(frame), head.index(label)
    try:
        return [float(row[at]) for row in rows[1:]], [_number(row[named].strip()) for row in rows[1:]]
    except (ValueError, IndexError) as reason:
        raise ValueError(
            f"Expected a frame and a stimulus in every line of {path.name!r}, got: {reason}. Mend that line."
        ) from reason


def _number(text: str) -> Any:
    """A whole number as one, anything else as text."""
    return int(text) if text.removeprefix("-").isdigit() else text


def _of_arrays(path: Path) -> tuple[list[float], list[Any]]:
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            arrays = dict(found) if hasattr(found, "files") else {"": found}
    except Exception as reason:  # whatever a damaged archive makes numpy raise
        told = (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
        raise ValueError(
            f"Expected events in {path.name!r}, got what numpy refuses: {told}. Save them again, without objects."
        ) from reason
    if "" in arrays:
        need(
            arrays[""].ndim == 2 and arrays[""].shape[1] == 2 and arrays[""].dtype.kind in "iuf",
            expected=f"two columns, frame and id, in {path.name!r}",
            got=f"{arrays[''].dtype} of shape {arrays[''].shape}",
            remedy="Use a .csv or .npz for ids that are no numbers.",
        )
        return arrays[""][:, 0].tolist(), arrays[""][:, 1].tolist()
    frame, label = (next((name for name in names if name in arrays), "") for names in (FRAMES, IDS))
    need(
        bool(frame) and bool(label),
        expected=f"arrays frame and stimulus in {path.name!r}",
        got=", ".join(sorted(arrays)) or "none",
        remedy="Save them with numpy.savez(path, frame=…, stimulus=…).",
    )
    need(
        arrays[frame].dtype.kind in "iuf",
        expected=f"numbers of frames in {path.name!r}",
        got=str(arrays[frame].dtype),
        remedy="Save them as integers.",
    )
    return arrays[frame].reshape(-1).tolist(), need_ids(arrays[label], label).tolist()
