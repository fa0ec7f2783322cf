"""What a user points at: a factory, a finished run, a saved model, or a file of responses."""

from pathlib import Path

from eigenfall import parts, records
from eigenfall.architectures.imported import Imported
from eigenfall.check import need
from eigenfall.runs import Run

RECORDINGS = (".npy", ".npz")


def run_of(subject: str, data: str = "", weights: Path | None = None, trusted: bool = False) -> Run:
    """The run that measures a subject, everything else at its default.

    Raises:
        ValueError: if the subject is none of what can be measured, or a model comes without data.
    """
    if Path(subject).is_dir():
        return _of_record(Path(subject), data)
    if Path(subject).suffix in RECORDINGS or subject.partition(":")[0] in parts.names("recordings"):
        text = subject if subject.partition(":")[0] in parts.names("recordings") else f"file:path=[{subject}]"
        recording = parts.read("recordings", text)
        return Run(verb="measure", arm=Path(recording.path).stem, recording=recording)
    need(
        Path(subject).is_file() or ":" in subject,
        expected="package.module:factory, a folder of a finished run, a saved model, or a file of responses",
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


def _of_record(folder: Path, data: str) -> Run:
    """A finished run's model, with its weights, on its own data unless others are named."""
    run = records.load(folder).run
    need(
        "architecture" in run,
        expected=f"a finished run of a model in {folder}",
        got="one of a recording",
        remedy="Name the file of responses itself.",
    )
    architecture = parts.read("architectures", str(run["architecture"]))
    if not isinstance(architecture, Imported):
        architecture = Imported(architecture=architecture, weights=folder / "weights.safetensors")
    return Run(
        verb="measure",
        arm=f"{run['arm']} s{run['seed']}",
        seed=int(run["seed"]),
        data=parts.read("datasets", data or str(run["data"])),
        architecture=architecture,
    )
