import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall import streams
from eigenfall.recordings.file import File
from eigenfall.spectra.pca import PCA


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).numpy()


@pytest.fixture
def saved(tmp_path):
    def save(values, name="session.npy"):
        path = tmp_path / name
        if name.endswith(".npz"):
            np.savez(path, **values)
        else:
            np.save(path, values)
        return path

    return save


def read(responses):
    if responses.values is not None:
        return responses.values
    return torch.cat(list(responses.pieces()), 1 if responses.chunked_over == "stimuli" else 2)


# ---------------------------------------------------------------------- what is understood


@pytest.mark.parametrize(
    "shape, axes, understood",
    [
        ((30, 8), "", "30 stimuli × 8 units × 1 repeat; axes guessed as stimuli units"),
        ((8, 30), "units stimuli", "30 stimuli × 8 units × 1 repeat"),
        ((8, 30), "units × time", "30 time points × 8 units × 1 repeat"),
        ((2, 30, 8), "", "30 stimuli × 8 units × 2 repeats; axes guessed as repeats stimuli units"),
        ((8, 30, 3), "", "30 stimuli × 8 units × 3 repeats; axes guessed as units stimuli repeats"),
        ((8, 30, 3), "stimuli/units/repeats", "8 stimuli × 30 units × 3 repeats"),
        ((30, 4, 8), "stimuli, repeats, units", "30 stimuli × 8 units × 4 repeats"),
        ((5, 5, 5), "", "5 stimuli × 5 units × 5 repeats; axes guessed as repeats stimuli units"),
    ],
)
@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_axes_are_said_or_guessed(shape, axes, understood, memory, saved, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 50)
    values = drawn(*shape)
    found = File(saved(values), axes=axes, memory=memory)()
    assert found.understood == understood
    names = (
        axes.replace("×", " ").replace("/", " ").replace(",", " ").split() or understood.rpartition(" as ")[2].split()
    )
    order = [names.index(name) for name in names if name == "repeats"]
    order += [names.index(name) for name in names if name in ("stimuli", "time")] + [names.index("units")]
    truth = values.transpose(order) if values.ndim == 3 else values.transpose(order)[None]
    assert_close(read(found), torch.from_numpy(truth.copy()), rtol=0, atol=0)
    assert (found.values is None) == (memory < 1)
    assert found.sampled_over == ("time" if "time" in axes else "stimuli")
    assert (found.name, found.dropped) == ("session", {})


def test_missing_repeats_say_which_axis_is_the_units(saved):
    """Ten units and thirty repeats: the shape alone would be read the other way round."""
    values = drawn(10, 40, 30)
    values[:, 3, 5:] = np.nan
    found = File(saved(values))()
    assert found.understood == "40 stimuli × 10 units × 5-30 repeats; axes guessed as units stimuli repeats"
    assert found.dropped == {"missing repeats": 25}


def test_missing_repeats_are_averaged_over_the_others(saved):
    values = drawn(3, 20, 6)
    values[2, 4:7] = np.nan
    found = PCA()(File(saved(values))(), seeded(0))
    truth = np.linalg.eigvalsh(np.cov(np.nanmean(values, 0), rowvar=False))[::-1].copy()
    assert_close(found.eigenvalues, torch.from_numpy(truth))


def test_the_v4_session_is_understood():
    folder = os.environ.get("EIGENFALL_DATA")
    path = Path(folder or "") / "v4-responses" / "responses_201016.npy"
    if not folder or not path.is_file():
        pytest.skip("EIGENFALL_DATA has no v4-responses")
    found = File(path, axes="units stimuli repeats")()
    assert found.understood == "600 stimuli × 82 units × 5-9 repeats"
    assert File(path)().understood == "600 stimuli × 82 units × 5-9 repeats; axes guessed as units stimuli repeats"
    assert found.dropped == {"missing repeats": 2323}
    values = np.load(path)
    assert_close(found.values, torch.from_numpy(values.transpose(2, 1, 0).copy()), equal_nan=True, rtol=0, atol=0)
    truth = np.linalg.eigvalsh(np.cov(np.nanmean(values, 2)))[::-1].copy()
    assert_close(PCA()(found, seeded(0)).eigenvalues, torch.from_numpy(truth), rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    "kind, found",
    [("uint8", "float32"), ("int16", "float32"), ("int64", "float64"), ("float16", "float32"), (">f8", "float64")],
)
def test_every_type_of_number_keeps_its_values(kind, found, saved):
    values = np.arange(60).reshape(12, 5).astype(kind)
    tensor = File(saved(values))().values
    assert str(tensor.dtype) == f"torch.{found}"
    assert tensor[0].tolist() == values.tolist()


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_file_stays_on_disk_and_is_read_in_chunks(order, saved, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 100)
    for shape, over in (((90, 12), "stimuli"), ((12, 90), "units")):
        values = np.asarray(drawn(*shape), order=order)
        found = File(saved(values), memory=1e-9)()
        assert found.values is None
        assert found.chunked_over == over
        assert max(piece.numel() for piece in found.pieces()) <= 100
        whole = PCA()(File(saved(values))(), seeded(0)).eigenvalues
        assert_close(PCA()(found, seeded(0)).eigenvalues, whole, rtol=0, atol=1e-12 * float(whole[0]))


def test_an_array_of_an_archive_is_chosen_by_name(saved):
    path = saved({"spikes": drawn(9, 4), "times": drawn(9)}, "session.npz")
    assert File(path, array="spikes")().understood.startswith("9 stimuli × 4 units")
    assert File(saved({"only": drawn(9, 4)}, "one.npz"))().name == "one"
    assert refused(File(path)) == (
        f"Expected the name of one array in {path.name!r}, got none. Set array to one of: spikes, times."
    )
    assert refused(File(path, array="spike")) == (
        "Expected a known array in 'session.npz', got 'spike'. Did you mean 'spikes'?"
    )


def test_blocks_and_time_go_with_the_responses(saved):
    found = File(saved(drawn(40, 6)), axes="time units", block=5)()
    assert (found.block, found.sampled_over) == (5, "time")


# ------------------------------------------------------------------------- hostile files


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "nowhere.npy"
    assert refused(File(path)) == f"Expected a file {str(path)!r}, got none there. Mend the path."
    assert refused(File(tmp_path)).startswith("Expected a file ")


def test_an_archive_without_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "none.npz")
    message = (
        "Expected the name of one array in 'none.npz', got a file without named arrays. Save it again with numpy.savez."
    )
    assert refused(File(tmp_path / "none.npz")) == message
    np.save(tmp_path / "session.npy", drawn(3, 3))
    (tmp_path / "session.npy").replace(tmp_path / "none.npz")
    assert refused(File(tmp_path / "none.npz", array="a")) == message


def test_another_format_is_refused(tmp_path):
    (tmp_path / "session.csv").write_text("1,2")
    assert refused(File(tmp_path / "session.csv")) == (
        "Expected a .npy or .npz file, got 'session.csv'. Save the array with numpy.save."
    )


def hostile(tmp_path, name):
    path = tmp_path / ("bad.npz" if name.startswith("zip") else "bad.npy")
    if name == "empty":
        path.write_bytes(b"")
    if name == "text":
        path.write_text("hello")
    if name == "truncated":
        np.save(path, drawn(30, 8))
        path.write_bytes(path.read_bytes()[:-100])
    if name == "header cut":
        np.save(path, drawn(30, 8))
        path.write_bytes(path.read_bytes()[:40])
    if name == "objects":
        np.save(path, np.array([{"a": 1}], dtype=object))
    if name == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    if name == "zip truncated":
        np.savez(path, a=drawn(30, 8))
        path.write_bytes(path.read_bytes()[:-200])
    if name == "zip flipped":
        np.savez(path, a=drawn(30, 8))
        content = bytearray(path.read_bytes())
        content[600] ^= 255
        path.write_bytes(content)
    if name == "zip objects":
        np.savez(path, a=np.array([{"a": 1}], dtype=object))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "empty",
        "text",
        "truncated",
        "header cut",
        "objects",
        "pickle",
        "zip truncated",
        "zip flipped",
        "zip objects",
    ],
)
def test_damaged_files_and_objects_are_refused_by_name(name, tmp_path):
    path = hostile(tmp_path, name)
    message = refused(File(path))
    assert message.startswith(f"Expected {path.name!r} to hold arrays of numbers, got what numpy refuses: ")
    assert message.endswith(". Save it again with numpy.save, without objects.")
    assert "\n" not in message


@pytest.mark.parametrize(
    "values, message",
    [
        (np.zeros(5), "Expected an array of two or three axes, none of them empty, got shape (5,)."),
        (np.zeros((2, 2, 2, 2)), "Expected an array of two or three axes, none of them empty, got shape (2, 2, 2, 2)."),
        (np.zeros((0, 3)), "Expected an array of two or three axes, none of them empty, got shape (0, 3)."),
        (np.zeros((3, 3), dtype=complex), "Expected real numbers, got an array of type complex128. "),
        (np.array([["a", "b"]]), "Expected real numbers, got an array of type <U1. "),
    ],
)
def test_what_is_no_responses_is_refused(values, message, saved):
    assert refused(File(saved(values))).startswith(message)


def test_a_shape_that_cannot_be_guessed_is_refused(saved):
    assert refused(File(saved(drawn(30, 4, 8)))) == (
        "Expected axes that can be guessed: repeats, the shortest, first or last, got shape (30, 4, 8). "
        "Set axes, for instance 'stimuli repeats units'."
    )


@pytest.mark.parametrize(
    "axes", ["units stimuli", "units units repeats", "stimuli time units", "units repeats time stimuli"]
)
def test_axes_that_do_not_fit_are_refused(axes, saved):
    assert refused(File(saved(drawn(4, 5, 6)), axes=axes)) == (
        f"Expected names for 3 axes, such as 'units stimuli repeats', got {axes!r}. The array's shape is (4, 5, 6)."
    )


def test_a_misspelt_axis_is_refused_with_the_nearest(saved):
    assert refused(File(saved(drawn(4, 5)), axes="unit stimuli")) == (
        "Expected a known axis, got 'unit'. Did you mean 'units'?"
    )


def test_a_single_nan_is_refused_by_its_place(saved):
    values = drawn(2, 20, 6)
    values[1, 13, 4] = np.nan
    assert refused(File(saved(values))) == (
        "Expected NaN only where a repeat is missing for all units, got a single one at repeat 1, stimulus 13, unit 4, "
        "counted from 0. Leave such units or such repeats out, with torn set to units or presentations, "
        "or say the axes."
    )
    assert "at repeat 0, time 3, unit 2" in refused(File(saved(one_nan(20, 6)), axes="time units"))


def one_nan(stimuli, units):
    values = drawn(stimuli, units)
    values[3, 2] = np.nan
    return values


def test_infinity_is_refused_by_its_place_also_in_a_later_chunk(saved, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 50)
    values = drawn(2, 20, 6)
    values[0, 7, 5] = np.inf
    assert refused(File(saved(values))) == (
        "Expected finite responses, got an infinite value at repeat 0, stimulus 7, unit 5, counted from 0. "
        "Mend the file, or leave that unit out."
    )


def test_a_stimulus_without_any_repeat_is_refused(saved):
    values = drawn(2, 20, 6)
    values[:, 9] = np.nan
    assert refused(File(saved(values))) == (
        "Expected at least one repeat of everything, got none at stimuli number 9, counted from 0. "
        "Leave it out of the file."
    )
