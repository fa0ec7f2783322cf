"""Pieces of arrays on disk: where they are cut, and that each reads what it should, in any process."""

import concurrent.futures
import multiprocessing
import pickle
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import h5py
import numpy as np
import pytest
import torch
from exact import read_there, read_whole, refusal
from torch.testing import assert_close

from eigenfall import npyfiles, stored, streams
from eigenfall.pieces import Pieces, cut
from eigenfall.recordings.file import File
from eigenfall.recordings.hdf5 import HDF5
from eigenfall.streams import after, length


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@pytest.fixture
def small(monkeypatch):
    """Pieces of at most a hundred values."""
    monkeypatch.setattr(streams, "PIECE", 100)


# ---------------------------------------------------------------------------------- cutting


@pytest.mark.parametrize(
    "size, storage, over, width",
    [
        ((2, 30, 80), None, "units", 1),  # 100 // 60
        ((1, 80, 30), None, "stimuli", 3),
        ((1, 10, 80), (1, 10, 4), "units", 8),  # whole chunks
        ((1, 10, 80), (1, 10, 16), "units", 16),  # one chunk is more than a piece, but few bytes
    ],
)
def test_an_array_is_cut_along_the_longer_axis(size, storage, over, width, small):
    found = cut(size, storage, memory=1.0)
    assert (found.over, found.width, found.times, found.notice) == (over, width, 1, "")


def test_where_storage_lies_along_the_stimuli_it_is_read_that_way(small):
    found = cut((2, 50, 2000), (2, 1, 2000), memory=1e-5)
    assert (found.over, found.width, found.times) == ("stimuli", 1, 1)
    assert found.notice == (
        "Read along the stimuli, as the storage's chunks of 2 × 1 × 2000 (repeats × stimuli × units) "
        "lie: along the units "
        "each would be read 2000 times."
    )


def test_where_both_ways_are_bad_the_better_is_taken(small):
    found = cut((1, 500, 1000), (1, 500, 1000), memory=1e-9)
    assert (found.over, found.times) == ("stimuli", 500)


def test_a_piece_reads_a_million_units_in_small_parts():
    found = cut((2, 2800, 1_000_000), None, memory=1.0)
    assert found.over == "units"
    assert 4 * 2 * 2800 * found.width <= 34e6


# ----------------------------------------------------------------------------------- pieces


@pytest.fixture
def recording(tmp_path, small):
    """A file larger than its `memory`, with a missing repeat and a torn unit, and what it should give."""
    values = drawn(2, 9, 40)
    values[1, 4] = np.nan
    values[0, 2, 7] = np.nan
    np.save(tmp_path / "session.npy", values)
    kept = [unit for unit in range(40) if unit != 7]
    return File(tmp_path / "session.npy", memory=1e-9, torn="units")(), torch.from_numpy(values[:, :, kept])


def test_pieces_can_be_asked_for_in_any_order(recording):
    responses, truth = recording
    pieces = responses.chunks()
    assert isinstance(pieces, Pieces)
    assert (responses.size, responses.chunked_over) == ((2, 9, 39), "units")
    assert length(pieces) == len(pieces) == 8
    assert_close(
        torch.cat([pieces[-1], pieces[0]], 2), torch.cat([truth[:, :, -5:], truth[:, :, :5]], 2), equal_nan=True
    )
    assert_close(torch.cat(list(pieces[2:4]), 2), torch.cat([pieces[2], pieces[3]], 2), equal_nan=True)
    assert_close(torch.cat(list(after(pieces, 3)), 2), truth[:, :, 14:], equal_nan=True)
    assert_close(torch.cat(list(pieces), 2), truth, rtol=0, atol=0, equal_nan=True)
    assert all(piece.is_contiguous() for piece in pieces)
    with pytest.raises(IndexError):
        pieces[8]


def test_pieces_are_read_by_another_process(recording):
    responses, truth = recording
    sent = pickle.dumps(responses.chunks)
    assert len(sent) < 5000  # what is sent is where to read, not what was read
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        found = pool.submit(read_there, sent, 3).result()
    assert_close(torch.from_numpy(found), truth[:, :, 14:19], rtol=0, atol=0, equal_nan=True)


def test_a_piece_of_which_nothing_is_kept_is_left_out(tmp_path, small):
    values = drawn(9, 40)
    values[3, 10:32] = np.nan  # pieces of eleven units
    np.save(tmp_path / "session.npy", values)
    found = File(tmp_path / "session.npy", memory=1e-9, torn="units")()
    assert [piece.shape[2] for piece in found.pieces()] == [10, 1, 7]
    assert found.dropped == {"units with a NaN": 22}
    assert_close(read_whole(found)[0], torch.from_numpy(np.delete(values, range(10, 32), 1)))


def test_what_stays_on_disk_has_a_digest_of_its_bytes(tmp_path, recording):
    responses, _ = recording
    content = (tmp_path / "session.npy").read_bytes()
    assert responses.digest == File(tmp_path / "session.npy", memory=1e-9, torn="presentations")().digest
    changed = bytearray(content)
    changed[-1] ^= 1
    (tmp_path / "session.npy").write_bytes(changed)
    assert responses.digest != File(tmp_path / "session.npy", memory=1e-9, torn="units")().digest
    assert File(tmp_path / "session.npy", torn="units")().digest == ""


def test_chunks_along_the_stimuli_are_read_along_the_stimuli(tmp_path, small):
    values = drawn(30, 400)
    with h5py.File(tmp_path / "session.h5", "w") as file:
        file.create_dataset("resp", data=values, chunks=(1, 400))
    found = HDF5(tmp_path / "session.h5", memory=1e-9, axes="stimuli units")()
    assert (found.chunked_over, len(found.chunks())) == ("stimuli", 30)
    assert found.notices[0].startswith("Read along the stimuli, as the storage's chunks of 1 × 1 × 400")
    assert_close(read_whole(found)[0], torch.from_numpy(values), rtol=0, atol=0)
    assert HDF5(tmp_path / "session.h5", axes="stimuli units")().notices == ()


# ------------------------------------------------------------------------------- settings


def test_axes_that_missing_repeats_contradict_are_refused(tmp_path):
    values = drawn(10, 40, 5)
    values[:, 3, 2:] = np.nan
    np.save(tmp_path / "session.npy", values)
    for memory in (1.0, 1e-9):
        assert refusal(File(tmp_path / "session.npy", axes="stimuli units repeats", memory=memory)) == (
            "Expected NaN together along the units, as axes 'stimuli units repeats' names them, got NaN "
            "together along the "
            "axis of length 10, there called stimuli. Call that axis units: a missing repeat is missing for "
            "all of them."
        )
    assert File(tmp_path / "session.npy", axes="units stimuli repeats")().dropped == {"missing repeats": 3}


@pytest.mark.parametrize("memory", [1.0, 1e-9])
@pytest.mark.parametrize("axes", ["", "units presentations"])
def test_presentations_with_ids_become_repeats(tmp_path, axes, memory, small):
    values, ids = drawn(12, 30), np.tile([5, 3, 9], 10)
    np.save(tmp_path / "session.npy", values)
    np.save(tmp_path / "ids.npy", ids)
    found = File(tmp_path / "session.npy", axes=axes, ids="ids.npy", without=("9",), memory=memory)()
    truth = np.stack([values[:, ids == one].T for one in (3, 5)], 1)
    assert_close(read_whole(found), torch.from_numpy(truth), rtol=0, atol=0)
    told = "" if axes else "; axes guessed as units presentations"
    assert found.understood == f"2 stimuli × 12 units × 10 repeats, from 20 presentations{told}"
    assert found.dropped == {"presentations of stimulus 9": 10}
    assert (found.digest == "") == (memory == 1)


def test_either_axis_may_be_the_presentations(tmp_path):
    np.savez(tmp_path / "session.npz", resp=drawn(8, 8), ids=np.arange(8) % 4)
    found = File(tmp_path / "session.npz", ids="ids")()
    assert found.notices == ("Either axis may be the presentations: both have 8 entries.",)


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"axes": "presentations units"},
            "Expected the stimulus of each presentation, got no ids. Set ids to where they are.",
        ),
        ({"without": ("9",)}, "Expected the stimulus of each presentation, got no ids. Set ids to where they are."),
        (
            {"ids": "none.npy"},
            "Expected a file of ids 'none.npy', got none there. Mend its path, or put it beside the recording.",
        ),
        (
            {"ids": "short.npy"},
            (
                "Expected presentations × units with 3 presentations, one for each id, got shape (12, 30). Give "
                "one id per presentation."
            ),
        ),
        (
            {"ids": "short.npy", "axes": "presentations units"},
            (
                "Expected the stimulus of each of 12 presentations, got 3 ids. Give one id per presentation, in "
                "the same order."
            ),
        ),
        (
            {"ids": "wide.npy"},
            (
                "Expected a number or a name for each presentation in 'wide.npy', got float64 of shape (3, 2). "
                "Give one id per presentation."
            ),
        ),
        (
            {"ids": "ids.npy", "axes": "stimuli units"},
            (
                "Expected axes 'presentations units' or 'units presentations', as the stimulus of each is given, "
                "got 'stimuli units'. Leave axes out, or leave ids out."
            ),
        ),
    ],
)
def test_ids_that_do_not_fit_are_refused(tmp_path, settings, message):
    np.save(tmp_path / "session.npy", drawn(12, 30))
    np.save(tmp_path / "ids.npy", np.arange(12))
    np.save(tmp_path / "short.npy", np.arange(3))
    np.save(tmp_path / "wide.npy", np.ones((3, 2)))
    assert refusal(File(tmp_path / "session.npy", **settings)) == message


@pytest.mark.parametrize("order, axes, slowest", [("C", "stimuli units", "stimuli"), ("F", "stimuli units", "units")])
def test_an_array_is_looked_through_in_the_order_in_which_it_lies(order, axes, slowest, tmp_path):
    np.save(tmp_path / "a.npy", np.asarray(drawn(30, 8), order=order))
    assert stored.laid(partial(opened, tmp_path / "a.npy"), axes, "refuse", 1.0).slowest == slowest


@contextmanager
def opened(path):
    yield npyfiles.opened(path)


@dataclass(frozen=True)
class Counted:
    """An array that counts how many values were read of it."""

    values: np.ndarray
    read: list

    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)
    dtype = property(lambda self: self.values.dtype)

    def __getitem__(self, slices):
        self.read.append(self.values[slices].size)
        return self.values[slices]

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        return None


def test_no_more_than_a_piece_is_read_at_once(tmp_path, small):
    """While the file is looked through, and while pieces are made; a guess looks at a corner."""
    read = []
    opening = partial(Counted, drawn(2, 10, 400), read)
    np.save(tmp_path / "here.npy", np.zeros(1))
    found = stored.responses(File(tmp_path / "here.npy", "repeats stimuli units", memory=1e-9), opening, "a", tmp_path)
    assert sum(read[1:]) == 8000  # the first is the corner that must not contradict the axes
    assert max(read[1:]) <= 800  # a slab of one stimulus, the least that lies together
    read.clear()
    list(found.pieces())
    assert sum(read) == 8000
    assert max(read) <= 100
