"""Digests of files and folders, against hashlib over the whole."""

import hashlib

from eigenfall import digests


def test_a_file_is_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 5000)
    assert digests.of_path(tmp_path / "a") == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()


def test_a_folder_is_names_and_contents(tmp_path):
    (tmp_path / "one" / "inner").mkdir(parents=True)
    (tmp_path / "one" / "b").write_bytes(b"1")
    (tmp_path / "one" / "inner" / "a").write_bytes(b"2")
    first = digests.of_path(tmp_path / "one")
    lines = "".join(f"{name}\0{hashlib.sha256(data).hexdigest()}\n" for name, data in (("b", b"1"), ("inner/a", b"2")))
    assert first == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / "one").rename(tmp_path / "two")
    assert digests.of_path(tmp_path / "two") == first
    files = [tmp_path / "two" / "inner" / "a", tmp_path / "two" / "b"]
    assert digests.of_files(tmp_path / "two", files) == digests.of_files(tmp_path / "two", files[::-1]) == first
    (tmp_path / "two" / "b").rename(tmp_path / "two" / "c")
    assert digests.of_path(tmp_path / "two") != first
