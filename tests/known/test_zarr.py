"""Zarr stores of both versions, whole, incomplete and hostile."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
import zarr
from exact import read_whole, refusal
from torch.testing import assert_close

from eigenfall import streams
from eigenfall.recordings.zarr import Zarr


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


VALUES = drawn(2, 30, 80)


@pytest.fixture(params=[2, 3])
def version(request):
    return request.param


def array(path, version, values=VALUES, chunks=(1, 30, 16), **more):
    made = zarr.create_array(
        str(path), shape=values.shape, chunks=chunks, dtype=values.dtype, zarr_format=version, **more
    )
    made[...] = values
    return path


def group(path, version, **arrays):
    made = zarr.open_group(str(path), mode="w", zarr_format=version)
    for name, values in arrays.items():
        made.create_array(name.replace("__", "/"), shape=values.shape, dtype=values.dtype)[...] = values
    return path


@pytest.mark.parametrize("chunks", [(1, 30, 16), (2, 7, 80), (1, 1, 80)])
@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_an_array_is_read_whole_or_in_pieces(version, chunks, memory, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 500)
    found = Zarr(array(tmp_path / "session.zarr", version, chunks=chunks), memory=memory)()
    assert found.understood == "30 stimuli × 80 units × 2 repeats; axes guessed as repeats stimuli units"
    assert_close(read_whole(found), torch.from_numpy(VALUES), rtol=0, atol=0)
    assert (found.values is None, found.digest != "", found.name) == (memory < 1, memory < 1, "session")


def test_pieces_follow_the_stores_chunks_and_can_be_sent(version, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 60 * 40)
    found = Zarr(array(tmp_path / "session.zarr", version), memory=1e-9)()
    pieces = pickle.loads(pickle.dumps(found.chunks))()
    assert [piece.shape[2] for piece in pieces] == [32, 32, 16]
    assert_close(pieces[1], torch.from_numpy(VALUES[:, :, 32:64]), rtol=0, atol=0)


def test_the_digest_is_of_the_stores_files(version, tmp_path):
    digests = {Zarr(array(tmp_path / name, version), memory=1e-9)().digest for name in ("a.zarr", "b.zarr")}
    changed = array(tmp_path / "c.zarr", version, VALUES + 1)
    assert len(digests | {Zarr(changed, memory=1e-9)().digest}) == 2


def test_shards_are_the_chunks_of_storage(tmp_path):
    path = array(tmp_path / "session.zarr", 3, chunks=(1, 10, 8), shards=(1, 30, 16))
    assert_close(read_whole(Zarr(path, memory=1e-9)()), torch.from_numpy(VALUES), rtol=0, atol=0)


def test_an_array_of_a_group_is_found_by_its_name(version, tmp_path):
    path = group(tmp_path / "g.zarr", version, run__resp=VALUES, times=drawn(30))
    for name in ("", "run/resp"):
        assert_close(Zarr(path, name)().values, torch.from_numpy(VALUES), rtol=0, atol=0)


def test_presentations_have_their_ids_beside_them(version, tmp_path):
    ids = np.tile([4, 2, 9], 10)
    path = group(tmp_path / "g.zarr", version, resp=VALUES[0], ids=ids)
    found = Zarr(path, "resp", ids="ids", without=("9",))()
    truth = np.stack([VALUES[0][ids == one] for one in (2, 4)], 1)
    assert_close(found.values, torch.from_numpy(truth), rtol=0, atol=0)


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_chunks_that_are_not_there_are_told_of(version, memory, tmp_path):
    path = array(tmp_path / "session.zarr", version)
    (path / ("c/0/0/1" if version == 3 else "0.0.1")).unlink()
    found = Zarr(path, memory=memory)()
    assert found.notices[-1] == "1 of the store's 10 chunks are not there: their values are 0.0."
    assert read_whole(found)[0, :, 16:32].abs().max() == 0


# -------------------------------------------------------------------------------- refusals


def test_what_is_not_there_is_refused(version, tmp_path):
    path = group(tmp_path / "g.zarr", version, run__resp=VALUES, times=drawn(30), other=drawn(3, 4))
    there = "There are: run/resp (2 × 30 × 80), other (3 × 4), times (30)."
    assert refusal(Zarr(path, "resp")) == f"Expected an array 'resp' in 'g.zarr', got none. {there}"
    assert refusal(Zarr(path, "run")) == f"Expected an array 'run' in 'g.zarr', got a group. {there}"
    assert refusal(Zarr(path, "other", ids="ids")) == f"Expected an array 'ids' in 'g.zarr', got none. {there}"
    assert refusal(Zarr(path)) == (
        "Expected the name of one array in 'g.zarr', got none. Set array to one of: run/resp (2 × 30 × "
        "80), other (3 × 4)."
    )


@pytest.mark.parametrize("keep", [0.9, 0.1, 0])
def test_a_damaged_chunk_is_refused(version, keep, tmp_path):
    path = array(tmp_path / "session.zarr", version)
    chunk = path / ("c/1/0/2" if version == 3 else "1.0.2")
    content = chunk.read_bytes()
    chunk.write_bytes(content[: int(keep * len(content))])
    message = refusal(Zarr(path))
    assert message.startswith(f"Expected a whole zarr store at {str(path)!r}, got what zarr refuses: ")
    assert message.endswith(". It is damaged, or a codec is missing; save it again.")
    assert "\n" not in message


def test_damaged_metadata_are_refused(version, tmp_path):
    path = array(tmp_path / "session.zarr", version)
    (path / ("zarr.json" if version == 3 else ".zarray")).write_text("{")
    assert refusal(Zarr(path)).startswith(f"Expected a whole zarr store at {str(path)!r}, got what zarr refuses: ")


class Harmful:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (self.trace, "w")


REFUSED = "got one whose codecs unpickle objects. Save it again without objects."


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"filters": [{"id": "pickle", "protocol": 5}]}, "got what zarr refuses: "),
        ({"compressor": {"id": "pickle", "protocol": 5}}, "got what zarr refuses: "),
        ({"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}], "fill_value": ""}, REFUSED),
    ],
)
@pytest.mark.parametrize("what", ["responses", "ids"])
def test_nothing_is_unpickled(changed, message, what, tmp_path):
    """A store whose codec is pickle runs what is in a chunk as soon as that is read: it is not read."""
    path, trace = group(tmp_path / "g.zarr", 2, one=VALUES, two=drawn(30)), tmp_path / "trace"
    hostile = "one" if what == "responses" else "two"
    metadata = {**json.loads((path / hostile / ".zarray").read_text()), "compressor": None, **changed}
    (path / hostile / ".zarray").write_text(json.dumps(metadata))
    chunk = path / hostile / ("0.0.0" if what == "responses" else "0")
    chunk.write_bytes(pickle.dumps(Harmful(str(trace))))
    assert message in refusal(Zarr(path, "one", ids="two"))
    assert not trace.exists()
    pickle.loads(chunk.read_bytes()).close()  # that is what unpickling does
    assert trace.exists()


def test_other_folders_are_refused(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    assert refusal(Zarr(tmp_path / "a.zarr")) == (
        f"Expected a zarr store at {str(tmp_path / 'a.zarr')!r}, got a folder. Look at what it is, or "
        "save it again with "
        "zarr."
    )
    shutil.rmtree(tmp_path / "a.zarr")
    assert refusal(Zarr(tmp_path / "a.zarr")).endswith("got none there. Mend the path.")
