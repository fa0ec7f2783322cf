"""MATLAB files of both versions, and real ones."""

import os
from pathlib import Path

import h5py
import matlab73
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from exact import read_whole, refusal
from torch.testing import assert_close

from eigenfall import matfiles, streams
from eigenfall.recordings.matlab import Matlab


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape)


VALUES = drawn(8, 30, 3)
SESSION = {
    "stim": {"resp": VALUES, "ids": np.arange(1.0, 31.0), "note": "by hand"},
    "cells": [VALUES[:, :, 0], VALUES[:4, :, 1]],
    "name": "monkey",
    "one": 3.0,
}


def saved(folder, version, content=None):
    """A file of this version."""
    path, content = folder / "session.mat", SESSION if content is None else content
    if version == "7.3":
        matlab73.save(path, content)
        return path
    plain = {}
    for name, value in content.items():
        if isinstance(value, list):
            plain[name] = np.empty((len(value), 1), dtype=object)
            plain[name][:, 0] = value
        else:
            plain[name] = value
    scipy.io.savemat(path, plain)
    return path


@pytest.fixture(params=["5", "7.3"])
def version(request):
    return request.param


# ---------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_a_field_is_read_in_matlabs_order(version, memory, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 50)
    found = Matlab(saved(tmp_path, version), "stim.resp", memory=memory)()
    assert found.understood == "30 stimuli × 8 units × 3 repeats; axes guessed as units stimuli repeats"
    assert_close(read_whole(found), torch.from_numpy(VALUES.transpose(2, 1, 0).copy()), rtol=0, atol=0)
    assert found.name == "session"
    on_disk = version == "7.3" and memory < 1
    assert (found.values is None, found.digest != "") == (on_disk, on_disk)


@pytest.mark.parametrize("name", ["cells.2", "cells{2}", "cells(2)"])
def test_a_cell_is_read_by_its_number(version, name, tmp_path):
    found = Matlab(saved(tmp_path, version), name, axes="units stimuli")()
    assert_close(found.values[0], torch.from_numpy(VALUES[:4, :, 1].T.copy()), rtol=0, atol=0)


def test_the_only_array_needs_no_name(version, tmp_path):
    path = saved(tmp_path, version, {"info": {"who": "me"}, "resp": VALUES, "rate": 30.0, "ids": np.arange(5.0)})
    assert Matlab(path)().understood.startswith("30 stimuli × 8 units × 3 repeats")


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_presentations_have_their_ids_beside_them(version, memory, tmp_path):
    ids = np.tile([1.0, 2.0, 3.0], 10)
    path = saved(tmp_path, version, {"stim": {"resp": VALUES[:, :, 0].T, "istim": ids}})
    found = Matlab(path, "stim.resp", ids="stim.istim", without=("largest",), memory=memory)()
    truth = np.stack([VALUES[:, ids == one, 0].T for one in (1, 2)], 1)
    assert_close(read_whole(found), torch.from_numpy(truth), rtol=0, atol=0)
    assert found.understood.endswith("from 20 presentations; axes guessed as presentations units")


def test_structs_within_an_array_of_them_are_reached_by_number(tmp_path):
    structs = np.zeros((1, 2), dtype=[("resp", object)])
    structs["resp"][0, 0], structs["resp"][0, 1] = VALUES[:, :, 0], VALUES[:, :, 1]
    scipy.io.savemat(tmp_path / "a.mat", {"runs": structs})
    found = Matlab(tmp_path / "a.mat", "runs.2.resp")()
    assert_close(found.values[0], torch.from_numpy(VALUES[:, :, 1]), rtol=0, atol=0)


def test_a_sparse_array_is_filled_up(tmp_path):
    counts = np.where(drawn(20, 9) > 1, 1.0, 0.0)
    scipy.io.savemat(tmp_path / "a.mat", {"counts": scipy.sparse.csc_array(counts)})
    assert Matlab(tmp_path / "a.mat", "counts")().values[0].tolist() == counts.tolist()


def test_a_field_of_every_struct(version, tmp_path):
    if version == "5":
        stat = np.zeros((1, 3), dtype=[("redcell", object), ("med", object)])
        for number in range(3):
            stat["redcell"][0, number], stat["med"][0, number] = float(number == 1), np.ones(2)
        scipy.io.savemat(tmp_path / "session.mat", {"stat": stat})
    else:
        matlab73.save(tmp_path / "session.mat", {"stat": {"redcell": [0.0, 1.0, 0.0], "med": [np.ones(2)] * 3}})
    with matfiles.opened(tmp_path / "session.mat") as file:
        assert file.each("stat", "redcell").tolist() == [0, 1, 0]
        assert file.each("stat", "blue") is None
        assert file.each("stats", "redcell") is None
        assert file.has("stat")


def test_a_field_of_every_struct_in_a_cell(version, tmp_path):
    cells = [{"redcell": 0.0, "x": 1.0}, {"redcell": 1.0, "x": 2.0}]
    path = saved(tmp_path, version, {"stat": cells, "odd": [{"redcell": 0.0}, {"x": 1.0}]})
    with matfiles.opened(path) as file:
        assert file.each("stat", "redcell").tolist() == [0, 1]
        assert file.each("odd", "redcell") is None


def test_empty_cells_and_references_to_nothing_are_no_arrays(tmp_path):
    matlab73.save(tmp_path / "a.mat", {"cells": [VALUES[:, :, 0], VALUES[:, :, 1]]})
    with h5py.File(tmp_path / "a.mat", "a") as file:
        gone = file.create_dataset("gone", data=np.zeros(2, dtype=np.uint64))
        gone.attrs["MATLAB_empty"] = np.uint8(1)
        cells = file["cells"][()]
        cells[1, 0] = h5py.Reference()
        file["cells"][...] = cells
    assert "got none. There are: cells.1 (8 × 30)." in refusal(Matlab(tmp_path / "a.mat", "cells.2"))
    assert "got nothing: it is empty. There are: cells.1 (8 × 30)." in refusal(Matlab(tmp_path / "a.mat", "gone"))
    assert Matlab(tmp_path / "a.mat")().understood.startswith("8 stimuli × 30 units")


# -------------------------------------------------------------------------------- refusals


THERE = {
    "stim.resp (8 × 30 × 3)",
    "stim.ids (1 × 30)",
    "cells.1 (8 × 30)",
    "cells.2 (4 × 30)",
    "one (1 × 1)",
}


@pytest.mark.parametrize(
    "name, got",
    [("stim.res", "none"), ("resp", "none"), ("cells.3", "none"), ("stim.resp.x", "none"), ("#refs#.r0", "none")],
)
def test_a_file_without_the_field_is_refused_naming_what_is_there(version, name, got, tmp_path):
    before, _, there = refusal(Matlab(saved(tmp_path, version), name)).partition(" There are: ")
    assert before == f"Expected a variable {name!r} in 'session.mat', got {got}."
    everything = version == "7.3" or name in ("resp", "#refs#.r0")
    assert set(there[:-1].split(", ")) == {one for one in THERE if everything or one.startswith(name.partition(".")[0])}


@pytest.mark.parametrize(
    "name, got",
    [
        ("stim", ("a struct of 1 × 1", "a struct")),
        ("cells", ("a cell of 2 × 1", "a cell of 1 × 2")),
        ("name", ("text", "text")),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(version, name, got, tmp_path):
    message = refusal(Matlab(saved(tmp_path, version), name))
    assert message.startswith(f"Expected an array of numbers at {name!r} in 'session.mat', got ")
    assert message.split(", got ")[1].startswith(tuple(f"{one}. There are: " for one in got))


def test_several_arrays_need_a_name(version, tmp_path):
    message = refusal(Matlab(saved(tmp_path, version)))
    assert message.startswith("Expected the name of one array in 'session.mat', got none. Set variable to one of: ")
    assert "stim.resp (8 × 30 × 3)" in message


def test_a_file_without_arrays_is_refused(version, tmp_path):
    assert refusal(Matlab(saved(tmp_path, version, {"name": "monkey"}))) == (
        "Expected the name of one array in 'session.mat', got none. Set variable to one of: no arrays of numbers."
    )


def test_complex_numbers_are_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"a": np.ones((3, 3)) * 1j})
    assert refusal(Matlab(tmp_path / "a.mat", "a")) == (
        "Expected real numbers, got an array of type complex128. Save responses as integers or floats."
    )


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.1, 0.01])
def test_a_truncated_file_is_refused(version, keep, tmp_path):
    path = saved(tmp_path, version)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    message = refusal(Matlab(path, "stim.resp"))
    assert message.startswith(("Expected a whole MATLAB file at ", "Expected a MATLAB file at "))
    assert message.count(". ") <= 2
    assert "\n" not in message


def test_other_files_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    (tmp_path / "a.npy").rename(tmp_path / "a.mat")
    assert refusal(Matlab(tmp_path / "a.mat")) == (
        f"Expected a MATLAB file at {str(tmp_path / 'a.mat')!r}, got a NumPy array (.npy). "
        "Save it in MATLAB with -v7 or -v7.3; a text file is not read."
    )
    assert refusal(Matlab(tmp_path / "b.mat")).startswith("Expected a MATLAB file at ")


# ------------------------------------------------------------------------------ real files


def neural(name):
    folder = os.environ.get("EIGENFALL_DATA")
    path = Path(folder or "") / "neural" / name
    if not folder or not path.is_file():
        pytest.skip(f"EIGENFALL_DATA has no neural/{name}")
    return path


def test_a_real_session_is_read_by_the_name_of_its_cell():
    path = neural("golub2018_bci_exampleData.mat")
    found = Matlab(path, "beforeLearning.clouds.spikes{3}", axes="units time")()
    truth = scipy.io.loadmat(path)["beforeLearning"]["clouds"][0, 0]["spikes"][0, 0][0, 2]
    assert found.values[0].T.tolist() == truth.tolist()
    assert found.understood == f"{truth.shape[1]} time points × 86 units × 1 repeat"
    guessed = Matlab(path, "beforeLearning.clouds.spikes{3}")()
    assert "the values look like the latter" in guessed.notices[0]  # 86 units are along the rows
    message = refusal(Matlab(path, "beforeLearning.spikes"))
    assert message.startswith(
        "Expected a variable 'beforeLearning.spikes' in 'golub2018_bci_exampleData.mat', got none."
    )
    assert "beforeLearning.clouds.factorActivity.1 (10 × 69)" in message
    assert message.endswith("more.")


def test_a_real_file_of_spectra_is_read_by_the_name_of_its_cell():
    path = neural("stringer2019_ephys_eigsControls.mat")
    with matfiles.opened(path) as file:
        assert file.find("specEphys{4}").shape == (700, 1)
        assert file.find("alphaEphys")[2, 0] == pytest.approx(1.273, abs=1e-3)
    assert "specEphys.4 (700 × 1)" in refusal(Matlab(path, "resp"))
