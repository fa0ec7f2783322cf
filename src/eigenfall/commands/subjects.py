"""What a user points at: a factory, a finished run, a saved model, or a recording in any format."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from eigenfall import matfiles, parts, records
from eigenfall.architectures.imported import Imported
from eigenfall.check import need
from eigenfall.hdf5files import holds
from eigenfall.models import architecture_of
from eigenfall.settings import Run
from eigenfall.signatures import contents
from eigenfall.suite2pfolder import is_suite2p

SUFFIXES = {
    ".npy": "file",
    ".npz": "file",
    ".mat": "matlab",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".nwb": "nwb",
    ".zarr": "zarr",
}
"""Part of kind recordings that reads a path of this suffix, unless its contents say more."""


def run_of(subject: str, data: str = "", weights: Path | None = None, trusted: bool = False, axes: str = "") -> Run:
    """The run that measures a subject, everything else at its default.

    Args:
        subject: what is measured.
        data: data set of a model.
        weights: of a model that a factory makes.
        trusted: whether loading a program may run what is in it.
        axes: what the axes of a recording are; "": as its part says.

    Raises:
        ValueError: if the subject is none of what can be measured, a model comes without data, or axes are said of what
            has none.
    """
    text = recording_of(subject)
    if text:
        return _of_recording(parts.read("recordings", text), axes)
    need(
        axes == "",
        expected="a recording whose axes can be said",
        got=repr(subject),
        remedy="Leave --axes out for a model.",
    )
    if Path(subject).is_dir():
        return _of_record(Path(subject), data)
    need(
        Path(subject).is_file() or ":" in subject,
        expected="package.module:factory, a folder of a finished run, a saved model, or a recording",
        got=repr(subject),
        remedy="Mend the name or the path.",
    )
    need(
        data != "",
        expected="data for the model",
        got="none",
        remedy="Add --data, for instance --data cifar10 or --data file:path=images.npz.",
    )
    model = (
        Imported(path=Path(subject), trusted=trusted)
        if Path(subject).is_file()
        else Imported(factory=subject, weights=weights)
    )
    name = Path(subject).stem if Path(subject).is_file() else subject.rpartition(":")[2]
    return Run(verb="measure", arm=name, data=parts.read("datasets", data), architecture=model)


def beside(run: Run, twin: str, trusted: bool = False) -> Run:
    """The run with its twin, named as a subject is.

    Args:
        run: of the subject.
        twin: its name; "" for none.
        trusted: whether loading a program may run what is in it.

    Raises:
        ValueError: if the run is of a recording, or the twin is none of what can be measured.
    """
    if not twin:
        return run
    need(
        run.data is not None and not recording_of(twin),
        expected="a model as the twin of a model",
        got="a recording",
        remedy="Leave --twin out.",
    )
    return replace(run, twin=run_of(twin, parts.spell(run.data), trusted=trusted).architecture)


def recording_of(subject: str) -> str:
    """The part that reads a recording, in the grammar; "" for what is none."""
    if subject.partition("@")[0].partition(":")[0] in parts.names("recordings"):
        return subject
    path = Path(subject)
    if path.is_dir():
        name = "zarr" if contents(path) == "zarr" else "suite2p" if is_suite2p(path) else SUFFIXES.get(path.suffix, "")
        return f"{name}:path=[{subject}]" if name else ""
    name = SUFFIXES.get(path.suffix.lower(), "")
    if name == "hdf5" and path.is_file() and holds(path, attribute="nwb_version"):
        name = "nwb"
    if name == "matlab" and path.is_file() and matfiles.holds(path, ("stim.resp", "stim.istim")):
        name = "stringer"
    return f"{name}:path=[{subject}]" if name else ""


def _of_recording(recording: Any, axes: str) -> Run:
    """A run of a recording, its axes said if they are."""
    name = parts.name_of(recording)
    if axes:
        need(
            hasattr(recording, "axes"),
            expected="a recording whose axes can be said",
            got=name,
            remedy="Leave --axes out: its format says what they are.",
        )
        need(
            recording.axes == "",
            expected="the axes once",
            got=f"--axes {axes} and {name}:axes={recording.axes}",
            remedy="Leave one out.",
        )
        recording = replace(recording, axes=axes)
    path = getattr(recording, "path", None)
    return Run(verb="measure", arm=name if path is None else Path(path).stem, recording=recording)


def _of_record(folder: Path, data: str) -> Run:
    """A finished run's model, with its weights, on its own data unless others are named."""
    record = records.load(folder)
    run, architecture = record.run, architecture_of(record)
    return Run(
        verb="measure",
        arm=f"{run['arm']} s{run['seed']}",
        seed=int(run["seed"]),
        data=parts.read("datasets", data or str(run["data"])),
        architecture=architecture,
    )
