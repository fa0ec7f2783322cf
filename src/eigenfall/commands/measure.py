"""`eigenfall measure`: your model, or your recording."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from eigenfall.check import need
from eigenfall.commands import screen
from eigenfall.commands.flags import Flags, Measuring, Recording, RecordingFlags
from eigenfall.commands.subjects import beside, run_of
from eigenfall.commands.summary import command_line
from eigenfall.commands.train import finish
from eigenfall.records import load
from eigenfall.report.page import write


def measure(
    subject: Annotated[str, tyro.conf.Positional],
    /,
    data: str = "",
    weights: Path | None = None,
    trusted: bool = False,
    twin: str = "",
    arm: str = "",
    stimuli: Literal["train", "test"] = "test",
    measuring: Flags = Measuring(),  # noqa: B008
    recording: RecordingFlags = Recording(),  # noqa: B008
    seed: int = 0,
    device: str = "auto",
    output: Path = Path("runs"),
    json: str = "",
) -> None:
    """Measure spectrum, smoothness and robustness of a model, or the spectrum of a recording; keep a record and a page.

    The subject is one of: package.module:factory, your function that returns a torch model; a folder of a finished
    run; a saved model; a recording: a file or folder (.npy, .npz, .mat, .h5, .nwb, .zarr, suite2p), or a part with its
    settings, such as matlab:path=session.mat,variable=responses.

    Args:
        subject: what is measured.
        data: data set of a model, for instance cifar10 or file:path=images.npz; of a finished run: its own.
        weights: your model's weights, .safetensors or a state dict.
        trusted: .pt2 files are your own, so that loading them may run what is in them.
        twin: a model of the same inputs and classes without the subject's defence, as a subject is named; the presets
            strong and standard attack from it; without it from a net distilled on the subject's outputs.
        arm: name of this measurement; empty: the subject's.
        stimuli: the split whose inputs the spectra are over.
        seed: of the measurement's draws.
        device: auto, cpu, cuda or mps.
        output: folder of the record.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    run = beside(run_of(subject, data, weights, trusted, recording.axes), twin, trusted)
    plan = recording.plan(measuring.plan(seed))
    run = replace(run, arm=arm or run.arm, seed=seed, plan=plan, stimuli=stimuli, device=device)
    (folder,) = finish([run], output, 1, json, f"Measured {run.arm}")
    found = load(folder)
    title = f"The spectrum of {run.arm}" if run.recording is not None else f"Everything measured of {run.arm}"
    page = write([found], output / f"{found.name}.html", title, command_line())
    screen.printing(json).print(f"Report: {page.resolve()}", markup=False, soft_wrap=True)
    need(
        run.recording is None or bool(found.measurement.fits),
        expected=f"an exponent of {run.arm}",
        got="none: every fit was refused, for the reasons above",
        remedy="Look at the spectrum on the page, then choose a window with --fit, or record more stimuli.",
    )
