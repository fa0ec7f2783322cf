"""Events from a user's file."""

import pickle

import numpy as np
import pytest
from exact import refusal

from eigenfall.events import read_events


@pytest.mark.parametrize(
    "text, ids",
    [
        ("frame,stimulus\n3,7\n10,-1\n", [7, -1]),
        ("Stimulus, Onset\n im1 ,3\nim2,10\n\n", ["im1", "im2"]),
        ("\ufeffid,frames,note\n7,3.0,a\n8,10,\n", [7, 8]),
    ],
)
def test_a_table_of_text(text, ids, tmp_path):
    (tmp_path / "events.csv").write_text(text, encoding="utf-8")
    frames, found = read_events(tmp_path / "events.csv")
    assert (frames.tolist(), found) == ([3, 10], ids)


def test_arrays(tmp_path):
    np.save(tmp_path / "events.npy", [[3, 7], [10, -1]])
    np.savez(tmp_path / "events.npz", onsets=np.array([3.0, 10.0]), stimulus=np.array(["a", "b"]))
    frames, found = read_events(tmp_path / "events.npy")
    assert (frames.tolist(), found) == ([3, 10], [7, -1])
    frames, found = read_events(tmp_path / "events.npz")
    assert (frames.tolist(), found) == ([3, 10], ["a", "b"])


NO_TABLE = "Expected columns frame and stimulus in 'events.csv', got {}. Name the columns in the first line."


@pytest.mark.parametrize(
    "text, message",
    [
        ("", NO_TABLE.format("an empty file")),
        ("3,7\n10,8\n", NO_TABLE.format("3, 7")),
        ("frame,note\n3,7\n", NO_TABLE.format("frame, note")),
        (
            "frame,stimulus\n3\n",
            (
                "Expected a frame and a stimulus in every line of 'events.csv', got: list index out of range. "
                "Mend that line."
            ),
        ),
        (
            "frame,stimulus\nx,3\n",
            (
                "Expected a frame and a stimulus in every line of 'events.csv', got: could not convert string to "
                "float: 'x'. Mend that line."
            ),
        ),
        (
            "frame,stimulus\n3.5,3\n",
            (
                "Expected a whole number as the frame, counted from 0, and an id for each event in 'events.csv', "
                "got frames that are none. Give one row per event."
            ),
        ),
        (
            "frame,stimulus\nnan,3\n",
            (
                "Expected a whole number as the frame, counted from 0, and an id for each event in 'events.csv', "
                "got frames that are none. Give one row per event."
            ),
        ),
        (
            "frame,stimulus\n",
            (
                "Expected a whole number as the frame, counted from 0, and an id for each event in 'events.csv', "
                "got 0 frames and 0 ids. Give one row per event."
            ),
        ),
    ],
)
def test_text_that_holds_no_events_is_refused(text, message, tmp_path):
    (tmp_path / "events.csv").write_text(text)
    assert refusal(read_events, tmp_path / "events.csv") == message


@pytest.mark.parametrize(
    "arrays, message",
    [
        (
            np.ones((3, 3)),
            (
                "Expected two columns, frame and id, in 'events.npy', got float64 of shape (3, 3). Use a .csv or "
                ".npz for ids that are no numbers."
            ),
        ),
        (
            {"frame": np.arange(3)},
            (
                "Expected arrays frame and stimulus in 'events.npz', got frame. Save them with numpy.savez(path, "
                "frame=…, stimulus=…)."
            ),
        ),
        (
            {"frame": np.array(["a"]), "id": np.arange(1)},
            "Expected numbers of frames in 'events.npz', got <U1. Save them as integers.",
        ),
        (
            {"frame": np.arange(3), "id": np.arange(2)},
            (
                "Expected a whole number as the frame, counted from 0, and an id for each event in 'events.npz', "
                "got 3 frames and 2 ids. Give one row per event."
            ),
        ),
    ],
)
def test_arrays_that_hold_no_events_are_refused(arrays, message, tmp_path):
    path = tmp_path / ("events.npz" if isinstance(arrays, dict) else "events.npy")
    np.savez(path, **arrays) if isinstance(arrays, dict) else np.save(path, arrays)
    assert refusal(read_events, path) == message


@pytest.mark.parametrize("name", ["objects.npz", "pickle.npy", "cut.npz"])
def test_objects_and_damage_are_refused(name, tmp_path):
    path = tmp_path / name
    if name == "objects.npz":
        np.savez(path, frame=np.array([{}], dtype=object), id=np.arange(1))
    elif name == "pickle.npy":
        path.write_bytes(pickle.dumps([1]))
    else:
        np.savez(path, frame=np.arange(9), id=np.arange(9))
        path.write_bytes(path.read_bytes()[:-30])
    message = refusal(read_events, path)
    assert message.startswith(f"Expected events in {name!r}, got what numpy refuses: ")
    assert message.endswith(". Save them again, without objects.")


def test_other_files_are_refused(tmp_path):
    assert refusal(read_events, tmp_path / "none.csv") == (
        f"Expected a file of events {str(tmp_path / 'none.csv')!r}, got none there. Mend the path."
    )
    (tmp_path / "events.txt").touch()
    assert refusal(read_events, tmp_path / "events.txt") == (
        "Expected events in a .csv, .npy or .npz file, got 'events.txt'. Save the frame of onset and the "
        "id of each event."
    )
