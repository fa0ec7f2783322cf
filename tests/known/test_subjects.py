"""A path to the part that reads it, by its suffix and its contents; and axes said at the prompt."""

import h5py
import matlab73
import numpy as np
import pytest
import scipy.io
import zarr
from exact import refusal

from eigenfall.architectures.imported import Imported
from eigenfall.cli import main
from eigenfall.commands.subjects import beside, recording_of, run_of
from eigenfall.recordings.file import File


def made(folder, name):
    """A recording of this name, as small as its format allows."""
    path = folder / name
    if name.endswith(".mat"):
        stim = {"stim": {"resp": np.ones((4, 3)), "istim": np.arange(4.0)}}
        content = stim if "stringer" in name else {"resp": np.ones((4, 3))}
        matlab73.save(path, content) if "73" in name else scipy.io.savemat(path, content)
    elif "suite2p" in name or name == "plane0":
        plane = path / "plane0" if name == "suite2p" else path / "suite2p" / "plane0" if name == "my_suite2p" else path
        plane.mkdir(parents=True)
        np.save(plane / "F.npy", np.ones((3, 9)))
    elif "zarr" in name:
        zarr.create_array(str(path), shape=(4, 3), dtype="f4")
    else:
        with h5py.File(path, "w") as file:
            if "nwb" in name:
                file.attrs["nwb_version"] = "2.9.0"
    return path


@pytest.mark.parametrize(
    "name, part",
    [
        ("session.mat", "matlab"),
        ("session73.mat", "matlab"),
        ("stringer.mat", "stringer"),
        ("stringer73.mat", "stringer"),
        ("session.h5", "hdf5"),
        ("session.HDF5", "hdf5"),
        ("nwb.h5", "nwb"),
        ("session.nwb", "nwb"),
        ("session.zarr", "zarr"),
        ("zarr_without_a_suffix", "zarr"),
        ("suite2p", "suite2p"),
        ("my_suite2p", "suite2p"),
        ("plane0", "suite2p"),
    ],
)
def test_a_path_is_read_by_what_it_is(name, part, tmp_path):
    path = made(tmp_path, name)
    assert recording_of(str(path)) == f"{part}:path=[{path}]"


@pytest.mark.parametrize(
    "name, part",
    [
        ("none.npy", "file"),
        ("none.npz", "file"),
        ("none.mat", "matlab"),
        ("none.h5", "hdf5"),
        ("none.nwb", "nwb"),
        ("none.zarr", "zarr"),
    ],
)
def test_what_is_not_there_is_refused_by_the_part_of_its_suffix(name, part, tmp_path):
    assert recording_of(str(tmp_path / name)) == f"{part}:path=[{tmp_path / name}]"
    assert "got none there" in refusal(run_of(str(tmp_path / name)).recording)


@pytest.mark.parametrize("subject", ["my.module:make", "runs/plain-s0-abc", "model.pt2", "data.csv"])
def test_what_is_no_recording_is_left_to_others(subject, tmp_path):
    (tmp_path / "runs").mkdir()
    assert recording_of(subject) == ""
    assert recording_of(str(tmp_path / "runs")) == ""


def test_a_suite2p_folder_needs_events(tmp_path):
    path = made(tmp_path, "suite2p")
    assert refusal(run_of, str(path)) == (
        f"Expected suite2p with events, got 'suite2p:path=[{path}]'. Write suite2p:events=…"
    )


def test_a_recording_without_a_path_is_called_as_its_part():
    assert run_of("powerlaw").arm == "powerlaw"


def test_a_twin_is_named_as_a_subject_is():
    run = run_of("my.module:make", "digits")
    assert beside(run, "") is run
    assert beside(run, "my.module:plain").twin == Imported(factory="my.module:plain")


@pytest.mark.parametrize("subject, twin", [("powerlaw", "my.module:make"), ("my.module:make", "powerlaw")])
def test_a_recording_is_no_twin_and_has_none(subject, twin):
    run = run_of(subject, "digits")
    assert refusal(beside, run, twin) == "Expected a model as the twin of a model, got a recording. Leave --twin out."


def test_axes_are_handed_to_the_part(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4, 3)))
    run = run_of(str(tmp_path / "a.npy"), axes="units,stimuli")
    assert run.recording == File(tmp_path / "a.npy", axes="units,stimuli")
    assert run.arm == "a"
    assert run_of(f"file:path={tmp_path / 'a.npy'},memory=2", axes="units stimuli").recording.memory == 2


@pytest.mark.parametrize(
    "subject, message",
    [
        (
            "file:path=a.npy,axes=stimuli/units",
            "Expected the axes once, got --axes units,stimuli and file:axes=stimuli/units. Leave one out.",
        ),
        (
            "nwb:path=a.nwb",
            "Expected a recording whose axes can be said, got nwb. Leave --axes out: its format says what they are.",
        ),
        (
            "my.module:make",
            "Expected a recording whose axes can be said, got 'my.module:make'. Leave --axes out for a model.",
        ),
    ],
)
def test_axes_that_cannot_be_said_are_refused(subject, message):
    assert refusal(run_of, subject, axes="units,stimuli") == message


def test_a_recording_is_measured_with_its_axes_from_the_prompt(tmp_path, capsys):
    values = (
        np.random.default_rng(0).normal(size=(3, 20, 60)).transpose(1, 2, 0) * np.arange(1, 21)[:, None, None] ** -0.5
    )
    with h5py.File(tmp_path / "session.h5", "w") as file:
        file["resp"] = values
    arguments = ["measure", str(tmp_path / "session.h5"), "--fit", "leastsquares:first_rank=2,last_rank=15"]
    arguments += ["--draws", "0", "--simulations", "0", "--subsets", "0", "--output", str(tmp_path / "runs")]
    assert main([*arguments, "--axes", "units,stimuli,repeats"]) == 0
    assert "60 stimuli × 20 units × 3 repeats" in capsys.readouterr().out
    assert main([*arguments, "--axes", "units,stimuly,repeats"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "eigenfall: Expected a known axis, got 'stimuly'. Did you mean 'stimuli'?"
    )
