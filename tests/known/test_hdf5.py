"""HDF5 files that h5py wrote, whole and damaged."""

import h5py
import numpy as np
import pytest
import torch
from exact import read_whole, refusal
from torch.testing import assert_close

from eigenfall import streams
from eigenfall.recordings.hdf5 import HDF5
from eigenfall.spectra.pca import PCA


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape)


VALUES = drawn(2, 30, 80)


@pytest.fixture
def session(tmp_path):
    def save(chunks=(1, 30, 8), **more):
        with h5py.File(tmp_path / "session.h5", "w") as file:
            file.create_dataset("run/resp", data=VALUES, chunks=chunks, compression="gzip" if chunks else None)
            for name, value in {"rate": 30.0, "ids": np.arange(30), **more}.items():
                file[name] = value
        return tmp_path / "session.h5"

    return save


@pytest.mark.parametrize("chunks", [None, (1, 30, 8), (2, 7, 80), (1, 1, 1)])
@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_a_dataset_is_read_whole_or_in_pieces(chunks, memory, session, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 500)
    found = HDF5(session(chunks), memory=memory)()
    assert found.understood == "30 stimuli × 80 units × 2 repeats; axes guessed as repeats stimuli units"
    assert_close(read_whole(found), torch.from_numpy(VALUES), rtol=0, atol=0)
    assert (found.values is None) == (memory < 1)


def test_streamed_and_whole_spectra_agree(session, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 500)
    whole = PCA()(HDF5(session(), "run/resp")()).eigenvalues
    assert_close(
        PCA()(HDF5(session(), "run/resp", memory=1e-9)()).eigenvalues, whole, rtol=0, atol=1e-12 * float(whole[0])
    )


@pytest.mark.parametrize("ids", [np.tile([4, 2, 9], 10), np.array(["a", "b", "a"] * 10, dtype=object)])
def test_presentations_have_their_ids_beside_them(ids, session):
    found = HDF5(session(one=VALUES[0], labels=ids), "one", ids="labels")()
    order = sorted(set(ids.tolist()))
    for repeat in range(10):
        for stimulus, label in enumerate(order):
            shown = np.flatnonzero(ids == label)[repeat]
            assert found.values[repeat, stimulus].tolist() == VALUES[0, shown].tolist()


THERE = "There are: run/resp (2 × 30 × 80), ids (30), rate (one value)."


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"dataset": "resp"}, f"Expected a dataset 'resp' in 'session.h5', got none. {THERE}"),
        ({"dataset": "run"}, f"Expected a dataset 'run' in 'session.h5', got a group. {THERE}"),
        ({"dataset": "run/resp", "ids": "labels"}, f"Expected a dataset 'labels' in 'session.h5', got none. {THERE}"),
        (
            {"dataset": "ids"},
            (
                "Expected an array of two or three axes, none of them empty, got shape (30,). Save (stimuli, "
                "units) or (repeats, stimuli, units)."
            ),
        ),
        (
            {"axes": "units stimuli"},
            (
                "Expected names for 3 axes, such as 'units stimuli repeats', got 'units stimuli'. The array's "
                "shape is (2, 30, 80)."
            ),
        ),
    ],
)
def test_what_is_not_there_is_refused(settings, message, session):
    assert refusal(HDF5(session(), **settings)) == message


def test_several_arrays_need_a_name_and_many_are_not_all_listed(session):
    message = refusal(HDF5(session(**{f"more{number:02}": drawn(3, 4) for number in range(20)})))
    assert message.startswith(
        "Expected the name of one array in 'session.h5', got none. Set dataset to one of: run/resp (2 × "
        "30 × 80), more00"
    )
    assert message.endswith("more10 (3 × 4) and 9 more.")


def test_objects_and_texts_are_refused(session):
    path = session(texts=np.array([["a", "b"]], dtype=object))
    with h5py.File(path, "a") as file:
        references = file.create_dataset("references", (2, 2), h5py.ref_dtype)
        references[:] = file["ids"].ref
        file.create_dataset("pairs", (2, 2), [("a", "f4"), ("b", "i4")])
    for name in ("texts", "references", "pairs"):
        message = refusal(HDF5(path, name))
        assert message.startswith("Expected real numbers, got an array of type ")
        assert message.endswith(". Save responses as integers or floats.")


# ----------------------------------------------------------------------------- hostile files


@pytest.mark.parametrize("keep", [0.99, 0.5, 0.05])
def test_a_truncated_file_is_refused(keep, session):
    path = session()
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    message = refusal(HDF5(path))
    assert message.startswith(f"Expected an HDF5 file at {str(path)!r}, got what h5py refuses: ")
    assert message.endswith(". The file is damaged, or a filter is missing; save it again.")


def test_a_damaged_chunk_is_refused(session):
    path = session()
    with h5py.File(path) as file:
        place = file["run/resp"].id.get_chunk_info(7)
    content = bytearray(path.read_bytes())
    content[place.byte_offset + 5 : place.byte_offset + 40] = b"x" * 35
    path.write_bytes(content)
    message = refusal(HDF5(path, "run/resp"))
    assert message.startswith(f"Expected an HDF5 file at {str(path)!r}, got what h5py refuses: ")
    assert "\n" not in message


def test_other_files_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    (tmp_path / "a.npy").rename(tmp_path / "a.h5")
    assert refusal(HDF5(tmp_path / "a.h5")) == (
        f"Expected an HDF5 file at {str(tmp_path / 'a.h5')!r}, got a NumPy array (.npy). Look at what the "
        "file is, or save "
        "it again."
    )
    assert refusal(HDF5(tmp_path / "b.h5")) == (
        f"Expected an HDF5 file at {str(tmp_path / 'b.h5')!r}, got none there. Mend the path."
    )
