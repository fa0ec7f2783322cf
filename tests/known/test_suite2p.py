"""suite2p folders: windows of frames against a loop, masks, planes, and what is never opened."""

import pickle

import naive
import numpy as np
import pytest
import torch
from exact import read_whole, refusal
from torch.testing import assert_close

from eigenfall import streams
from eigenfall.recordings.suite2p import Suite2p

FRAMES, IDS = 400, np.tile([3, 1, 2, 9], 12)
ONSETS = 60 + 7 * np.arange(48)


def traces(rois, seed, frames=FRAMES):
    return np.random.default_rng(seed).standard_normal((rois, frames)).astype("float32")


class Trap:
    """Must not be unpickled."""

    def __reduce__(self):
        return pytest.fail, ("stat.npy or ops.npy was unpickled",)


def plane(folder, rois, seed, frames=FRAMES, red=True):
    folder.mkdir(parents=True)
    np.save(folder / "spks.npy", traces(rois, seed, frames))
    np.save(folder / "F.npy", traces(rois, seed + 100, frames))
    np.save(folder / "iscell.npy", np.stack([np.arange(rois) % 5 > 0, np.full(rois, 0.5)], 1))
    if red:
        np.save(folder / "redcell.npy", np.stack([np.arange(rois) % 4 == 1, np.full(rois, 0.5)], 1))
    for name in ("stat.npy", "ops.npy"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
    return folder


@pytest.fixture
def session(tmp_path):
    np.savez(tmp_path / "events.npz", frame=ONSETS, stimulus=IDS)
    plane(tmp_path / "suite2p" / "plane0", 10, 0)
    plane(tmp_path / "suite2p" / "plane1", 7, 1)
    return tmp_path


def windows(session, first=0, frames=1, what="spks"):
    """Events × ROIs of both planes, one value at a time."""
    whole = np.concatenate([np.load(session / "suite2p" / f"plane{number}" / f"{what}.npy") for number in (0, 1)])
    return np.array(
        [[np.mean([float(roi[onset + first + k]) for k in range(frames)]) for roi in whole] for onset in ONSETS]
    )


def arranged(table, ids=IDS):
    return torch.from_numpy(np.stack([table[ids == one] for one in sorted(set(ids.tolist()))], 1))


KEPT = np.concatenate([(np.arange(n) % 5 > 0) & (np.arange(n) % 4 != 1) for n in (10, 7)])


@pytest.mark.parametrize("memory", [1.0, 1e-9])
@pytest.mark.parametrize("first, frames", [(0, 1), (2, 3), (-1, 2)])
def test_traces_are_averaged_over_windows_of_frames(first, frames, memory, session, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 200)
    found = Suite2p(session / "suite2p", session / "events.npz", first=first, frames=frames, memory=memory)()
    assert_close(read_whole(found), arranged(windows(session, first, frames)[:, KEPT]), rtol=1e-6, atol=1e-6)
    assert found.understood == "4 stimuli × 10 units × 12 repeats, from 48 presentations; spks of 2 planes"
    assert found.dropped == {"ROIs that are no cells": 4, "red cells": 3}  # two red ones are no cells
    assert (found.values is None, found.digest != "") == (memory < 1, memory < 1)


@pytest.mark.parametrize("inner", ["", "suite2p"])
def test_every_roi_may_be_kept(inner, session):
    found = Suite2p(session / inner, session / "events.npz", "F", cells=False, red=True)()
    assert_close(found.values, arranged(windows(session, what="F")), rtol=1e-6, atol=1e-6)
    assert found.dropped == {}


def test_one_plane_without_masks_will_do(tmp_path):
    np.savez(tmp_path / "events.npz", frame=ONSETS, stimulus=IDS)
    folder = plane(tmp_path / "plane0", 10, 0, red=False)
    (folder / "iscell.npy").unlink()
    found = Suite2p(folder, tmp_path / "events.npz", without=("largest",))()
    assert found.understood == "3 stimuli × 10 units × 12 repeats, from 36 presentations; spks of 1 plane"
    assert found.dropped == {"presentations of stimulus 9": 12}


def test_planes_are_in_the_order_of_their_numbers(tmp_path):
    np.savez(tmp_path / "events.npz", frame=ONSETS, stimulus=IDS)
    for number in (10, 2):
        plane(tmp_path / f"plane{number}", 1, number, red=False)
        np.save(tmp_path / f"plane{number}" / "spks.npy", np.full((1, FRAMES), number))
    found = Suite2p(tmp_path, tmp_path / "events.npz", cells=False)()
    assert found.values[0, 0].tolist() == [2, 10]


def test_windows_that_pass_an_end_are_left_out(session):
    np.savez(
        session / "events.npz",
        frame=np.append(ONSETS, [-1, FRAMES - 1, FRAMES + 5]),
        stimulus=np.append(IDS, [1, 1, 1]),
    )
    found = Suite2p(session, session / "events.npz", frames=2)()
    assert found.dropped["presentations without a value"] == 3
    assert found.shape == (12, 4, 10)


def test_planes_of_unlike_length_are_told_of(session):
    plane(session / "suite2p" / "plane2", 3, 2, frames=FRAMES - 1)
    found = Suite2p(session, session / "events.npz")()
    assert found.notices == (f"Planes have {FRAMES - 1} to {FRAMES} frames: the last ones are not used.",)


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_spontaneous_frames_scale_and_are_removed(memory, session, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 200)
    found = Suite2p(session, session / "events.npz", spontaneous=(0, 49), components=3, memory=memory)()
    whole = np.concatenate([np.load(session / "suite2p" / f"plane{number}" / "spks.npy") for number in (0, 1)])
    ids = np.append(IDS, 99)  # the twin drops the largest id
    responses = np.concatenate([windows(session)[:, KEPT], np.zeros((1, 10))])
    truth = naive.stringer_repeats(responses, ids, whole[KEPT, :50].T, np.zeros(10, dtype=bool), 3)
    assert_close(read_whole(found), torch.from_numpy(truth), rtol=1e-6, atol=1e-6)


def test_the_digest_is_of_what_is_read(session):
    def digest():
        return Suite2p(session, session / "events.npz", memory=1e-9)().digest

    first = digest()
    (session / "suite2p" / "plane0" / "ops.npy").write_bytes(b"other")
    assert digest() == first
    np.save(session / "suite2p" / "plane1" / "iscell.npy", np.ones((7, 2)))
    second = digest()
    np.savez(session / "events.npz", frame=ONSETS + 1, stimulus=IDS)
    assert len({first, second, digest()}) == 3


# -------------------------------------------------------------------------------- refusals


def test_folders_without_traces_are_refused(session):
    assert refusal(Suite2p(session / "none", session / "events.npz")) == (
        f"Expected a folder {str(session / 'none')!r}, got none there. Mend the path."
    )
    (session / "empty").mkdir()
    assert refusal(Suite2p(session / "empty", session / "events.npz")) == (
        f"Expected spks.npy in {str(session / 'empty')!r}, or in its plane0, plane1, …, got none there. "
        "Name the folder "
        "that suite2p wrote, and set traces to spks or F."
    )


@pytest.mark.parametrize("name", ["spks.npy", "iscell.npy", "redcell.npy"])
@pytest.mark.parametrize("harm", ["cut", "objects", "other"])
def test_damaged_files_and_objects_are_refused(name, harm, session):
    path = session / "suite2p" / "plane1" / name
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-4])
    elif harm == "objects":
        np.save(path, np.array([Trap()] * 7, dtype=object))
    else:
        path.write_text("frame,stimulus\n")
    message = refusal(Suite2p(session, session / "events.npz"))
    assert message.startswith(f"Expected plane1/{name} to hold an array of numbers, got what numpy refuses: ")
    assert message.endswith(". Save it again with numpy.save, without objects.")


@pytest.mark.parametrize(
    "name, values, message",
    [
        (
            "spks.npy",
            np.ones(7),
            "Expected ROIs × frames in plane1/spks.npy, got shape (7,). Name the folder that suite2p wrote.",
        ),
        (
            "iscell.npy",
            np.ones((6, 2)),
            (
                "Expected a row for each of 7 ROIs in plane1/iscell.npy, got shape (6, 2). Use files of one run "
                "of suite2p."
            ),
        ),
        (
            "redcell.npy",
            np.array(["a"] * 7),
            "Expected numbers in plane1/redcell.npy, got type <U1. Save it again with numpy.save, without objects.",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name, values, message, session):
    np.save(session / "suite2p" / "plane1" / name, values)
    assert refusal(Suite2p(session, session / "events.npz")) == message


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"frames": 0}, "Expected a window of at least one frame, got 0. Set frames."),
        (
            {"spontaneous": (5, 400)},
            "Expected spontaneous frames between 0 and 399, first/last, got 5/400. Frames count from 0.",
        ),
        (
            {"spontaneous": (5, 5)},
            "Expected spontaneous frames between 0 and 399, first/last, got 5/5. Frames count from 0.",
        ),
    ],
)
def test_windows_that_cannot_be_are_refused(settings, message, session):
    assert refusal(Suite2p(session, session / "events.npz", **settings)) == message
