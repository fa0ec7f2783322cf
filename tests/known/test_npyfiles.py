"""Parts of .npy files, against slices of the array."""

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eigenfall import npyfiles


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=3),
    st.sampled_from(["C", "F"]),
    st.sampled_from(["<f4", ">f8", "u1", "<i2"]),
    st.sampled_from([0, 3, 2**16]),
    st.data(),
)
def test_a_part_is_the_slice_of_the_array(tmp_path_factory, shape, order, kind, many, data):
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    values = np.asarray(np.arange(np.prod(shape)).reshape(shape), dtype=kind, order=order)
    np.save(path, values)
    parts = [tuple(sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))) for n in shape]
    slices = tuple(data.draw(st.sampled_from([slice(*part), slice(None)])) for part in parts)
    raw = npyfiles.opened(path)
    assert (raw.shape, raw.dtype, raw.ndim) == (values.shape, values.dtype, values.ndim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npyfiles, "MANY", many)
        found = raw[slices]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values[slices])


def test_an_array_inside_an_archive_is_read_where_it_lies(tmp_path):
    values = np.random.default_rng(0).standard_normal((4, 5, 6))
    np.savez(tmp_path / "a.npz", other=np.ones(1000), one=values)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        start = archive.getinfo("one.npy").header_offset
    start = (tmp_path / "a.npz").read_bytes().index(b"\x93NUMPY", start)
    np.testing.assert_array_equal(npyfiles.opened(tmp_path / "a.npz", start)[:2, 1:3, :], values[:2, 1:3])


def test_a_file_that_is_cut_meanwhile_is_noticed(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4, 5)))
    raw = npyfiles.opened(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    raw[:3, :]
    with pytest.raises(ValueError, match=r"^a\.npy ends too early$"):
        raw[:, :]


def test_other_versions_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    content = bytearray((tmp_path / "a.npy").read_bytes())
    content[6] = 3
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"^version \(3, 0\) of the format$"):
        npyfiles.opened(tmp_path / "a.npy")
