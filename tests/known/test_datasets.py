"""Data sets: official files, their refusals, and the user's own images."""

import gzip
import hashlib
import io
import lzma
import os
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eigenfall import datafiles, downloads, parts, splits
from eigenfall.attacks.fgsm import FGSM
from eigenfall.datasets.cifar10 import CIFAR10
from eigenfall.datasets.digits import Digits
from eigenfall.datasets.file import File
from eigenfall.datasets.mnist import MNIST
from eigenfall.distances import survivals
from eigenfall.formats import gunzipped, idx, unpickled
from eigenfall.plans import Plan
from eigenfall.robustness import robustness
from eigenfall.sources import SOURCES, Source
from eigenfall.surroundings import need_surroundings
from eigenfall.types import LpBall, Split

DAMAGED = "The file is damaged; get it again from its makers."


def refusal(call, *arguments, **settings):
    with pytest.raises(ValueError) as refused:
        call(*arguments, **settings)
    return str(refused.value)


@pytest.fixture
def official():
    if not os.environ.get(datafiles.FOLDER):
        pytest.skip(f"{datafiles.FOLDER} is not set")


# ------------------------------------------------------------------------------- formats


def test_idx_is_read_last_axis_fastest():
    head = bytes([0, 0, 8, 2]) + (2).to_bytes(4, "big") + (3).to_bytes(4, "big")
    assert idx(head + bytes(range(6)), "a").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert refusal(idx, head + bytes(5), "a") == f"Expected 2 × 3 values in a, got 5. {DAMAGED}"
    assert refusal(idx, b"\x00\x00\x0d\x01", "a") == (
        f"Expected an IDX file of unsigned bytes in a, got a file that starts with 00000d01. {DAMAGED}"
    )
    assert refusal(idx, b"", "a") == (
        f"Expected an IDX file of unsigned bytes in a, got a file that starts with nothing. {DAMAGED}"
    )


def test_idx_whose_product_overflows_is_refused():
    head = bytes([0, 0, 8, 4]) + (2**16).to_bytes(4, "big") * 4  # 2⁶⁴ values: 0 in 64 bits
    assert refusal(idx, head, "a").startswith("Expected 65536 × 65536 × 65536 × 65536 values in a, got 0.")


def test_truncated_gzip_is_refused():
    packed = gzip.compress(bytes(1000), mtime=0)
    assert refusal(gunzipped, packed[:-9], "a.gz") == (
        "Expected a whole gzip file in a.gz, got Compressed file ended before the end-of-stream marker was reached. "
        + DAMAGED
    )


def test_arrays_of_bytes_are_unpickled():
    held = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 2], "name": "ü"}
    again = unpickled(pickle.dumps(held, protocol=3), "a")
    assert again["labels"] == [1, 2]
    assert again["data"].tolist() == [[0, 1, 2], [3, 4, 5]]


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("broken_in",)


@pytest.mark.parametrize(
    "held, asked",
    [
        (Hostile(), "posix.mkdir"),
        (np.float64(1.0), "numpy.*scalar"),
        (np.zeros(2), "an array of 'f8'"),
        (np.array([None]), "an array of 'O8'"),
        (Path("a"), "pathlib.*Posix.*"),
        (getattr, "builtins.getattr|__builtin__.getattr"),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_what_a_pickle_must_not_hold_is_named_and_not_looked_up(held, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError,
        match=rf"^Expected only containers, text and arrays of unsigned bytes in a, got .*({asked})\. "
        r"Do not open this file; get it again from its makers\.$",
    ):
        unpickled(pickle.dumps(held, protocol=3), "a")
    assert not list(tmp_path.iterdir())


def test_a_damaged_pickle_is_refused():
    whole = pickle.dumps({"data": np.zeros(3, np.uint8)}, protocol=3)
    assert refusal(unpickled, whole[:20], "a").startswith("Expected ")
    assert refusal(unpickled, b"", "a") == f"Expected a whole pickle in a, got EOFError: Ran out of input. {DAMAGED}"


# ------------------------------------------------------------------------------- splits


def test_the_digest_follows_contents_and_division():
    examples = Digits()()
    first = splits.digest((examples.train, examples.test))
    assert first == splits.digest((examples.train, examples.test))
    altered = replace(examples.train, targets=examples.train.targets.clone().index_fill_(0, torch.tensor([3]), 0))
    assert examples.train.targets[3] != 0
    assert splits.digest((altered, examples.test)) != first
    nudged = replace(examples.train, inputs=examples.train.inputs + 2**-20)
    assert splits.digest((nudged, examples.test)) != first
    assert Digits(validation=0)().digest != Digits(validation=100)().digest


def test_bytes_become_exact_fractions():
    split = splits.image_split(np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1), np.zeros(256, np.int64))
    assert split.inputs.flatten().tolist() == [np.float32(b) / np.float32(255) for b in range(256)]


# ------------------------------------------------------------------------------- digits


def test_digits_are_divided_as_the_specification_says():
    from sklearn.datasets import load_digits

    embedded = load_digits()
    order = np.random.RandomState(0).permutation(1797)
    examples = parts.read("datasets", "digits@nassar2020")()
    assert (len(examples.train), len(examples.validation), len(examples.test)) == (1297, 0, 500)
    assert np.array_equal(examples.train.inputs.numpy(), embedded.images[order[:1297], None].astype(np.float32) / 16)
    assert np.array_equal(examples.test.targets.numpy(), embedded.target[order[1297:]])
    default = Digits()()
    assert torch.equal(torch.cat([default.train.inputs, default.validation.inputs]), examples.train.inputs)
    assert torch.equal(default.test.inputs, examples.test.inputs)


def test_digits_are_the_same_where_scikit_learn_keeps_them_elsewhere(monkeypatch):
    straight = Digits()()
    monkeypatch.setattr("eigenfall.datasets.digits.find_spec", lambda name: None)
    through = Digits()()
    assert torch.equal(straight.train.inputs, through.train.inputs)
    assert torch.equal(straight.test.targets, through.test.targets)


def test_digits_refuse_to_leave_nothing():
    assert refusal(Digits(validation=1297)) == (
        "Expected validation of 0 to 1296, got 1297. At least one of the 1297 images must be left to train on."
    )


# ------------------------------------------------------------------------------- official files


@pytest.mark.usefixtures("official")
def test_mnist_small_is_divided_as_the_specification_says():
    folder = Path(os.environ[datafiles.FOLDER]) / "mnist"
    images = np.frombuffer(gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    order = np.random.RandomState(0).permutation(60000)
    examples = parts.read("datasets", "mnist@nassar2020_small")()
    assert (len(examples.train), len(examples.validation), len(examples.test)) == (20000, 5000, 10000)
    for split, rows in ((examples.train, order[:20000]), (examples.validation, order[20000:25000])):
        pixels = images.reshape(60000, 1, 28, 28)[rows]
        assert np.array_equal((split.inputs * 255).round().numpy().astype(np.uint8), pixels)
    assert np.array_equal(examples.test.targets.numpy(), labels[np.random.RandomState(1).permutation(10000)])
    assert examples.bounds == (0.0, 1.0)
    assert 0.0 <= float(examples.train.inputs.min()) < float(examples.train.inputs.max()) <= 1.0


@pytest.mark.usefixtures("official")
@pytest.mark.parametrize("name, mean", [("mnist", 0.1307), ("fashion_mnist", 0.2860)])
def test_the_whole_set_has_its_known_mean(name, mean):
    examples = parts.read("datasets", f"{name}:validation=0")()
    assert len(examples.train) == 60000
    assert float(examples.train.inputs.double().mean()) == pytest.approx(mean, abs=1e-4)
    assert torch.bincount(examples.test.targets).sum() == 10000


@pytest.mark.usefixtures("official")
def test_splits_that_do_not_fit_are_refused():
    assert refusal(MNIST(train=58000, validation=5000)) == (
        "Expected train of 1 or more and validation of 0 or more that fit in 60000 images, got train=58000, "
        "validation=5000. Lower them."
    )


@pytest.mark.usefixtures("official")
def test_pooled_images_are_means_of_squares():
    fine, coarse = MNIST(train=20, validation=10)(), MNIST(train=20, validation=10, pooled=4)()
    for whole, pooled in ((fine.train, coarse.train), (fine.validation, coarse.validation), (fine.test, coarse.test)):
        assert pooled.inputs.shape == (len(whole), 1, 7, 7)
        assert torch.equal(pooled.targets, whole.targets)
        square = whole.inputs[:5, 0, 8:12, 12:16].double().mean((1, 2))
        assert pooled.inputs[:5, 0, 2, 3].double().tolist() == pytest.approx(square.tolist(), abs=1e-6)
    assert MNIST(train=20, validation=10, pooled=1)().digest == fine.digest
    assert parts.spell(MNIST()) == parts.spell(MNIST(pooled=1))


def test_squares_that_do_not_fill_an_image_are_refused():
    assert refusal(lambda: MNIST(pooled=3)) == (
        "Expected pooled of 1, 2, 4, 7, 14 or 28, a divisor of 28, got 3. 4 makes images of 7 × 7 pixels."
    )


@pytest.mark.usefixtures("official")
def test_cifar10_test_batch_is_the_original():
    held = next(held for held in datafiles.status("cifar10").files if held.file == "test_batch")
    if held.path is None:
        pytest.skip("no CIFAR-10")
    batch = unpickled(datafiles._checked("cifar10", held), "test_batch")
    assert np.bincount(batch["labels"]).tolist() == [1000] * 10
    assert batch["data"].shape == (10000, 3072)
    assert batch["labels"][:6] == [3, 8, 8, 0, 6, 6]  # cat, ship, ship, plane, frog, frog


# ------------------------------------------------------------------------------- where files lie


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A data set `toy` of two files, read as .xz too, with an archive; an empty data folder and an empty cache."""
    files = {"one": b"first", "two": b"second"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in (("../../out", b"x"), *((f"in/{name}", data) for name, data in files.items())):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    tar = packed.getvalue()
    source = Source(
        "toys", sums, ("https://a/", "https://b/"), ("toy.tar.gz", hashlib.sha256(tar).hexdigest()), "in", True
    )
    monkeypatch.setitem(SOURCES, "toy", source)
    monkeypatch.setenv(datafiles.FOLDER, str(tmp_path / "own"))
    monkeypatch.setattr(datafiles, "cache_folder", lambda name: tmp_path / "cache" / "toys")
    (tmp_path / "own" / "toys").mkdir(parents=True)
    (tmp_path / "cache" / "toys").mkdir(parents=True)
    return tmp_path, files, tar


def test_plain_and_packed_files_are_read_before_the_cache(toy):
    folder, files, tar = toy
    (folder / "own/toys/one").write_bytes(files["one"])
    (folder / "own/toys/two.xz").write_bytes(lzma.compress(files["two"]))
    (folder / "cache/toys/toy.tar.gz").write_bytes(tar)
    assert dict(datafiles.contents("toy")) == files
    found = datafiles.verify("toy")
    assert (found.place, found.present, found.checked, found.faults) == ("EIGENFALL_DATA", True, True, ())


def test_an_archive_is_read_where_it_lies_and_writes_nothing(toy):
    folder, files, tar = toy
    (folder / "cache/toys/toy.tar.gz").write_bytes(tar)
    before = sorted(folder.rglob("*"))
    assert dict(datafiles.contents("toy")) == files
    assert sorted(folder.rglob("*")) == before
    assert datafiles.status("toy").place == "cache"


@pytest.mark.parametrize("place", ["own", "cache"])
def test_a_corrupt_file_is_refused_by_name(toy, place):
    folder, files, _ = toy
    for name, data in files.items():
        (folder / place / "toys" / name).write_bytes(data)
    path = folder / place / "toys/two"
    path.write_bytes(b"secone")
    expected, got = SOURCES["toy"].files["two"], hashlib.sha256(b"secone").hexdigest()
    remedy = {"own": "Put the official file there, or delete it and run", "cache": "Run"}[place]
    sentence = (
        f"Expected SHA-256 {expected} for {path}, got {got}: the file is corrupt, truncated or another version. "
        f"{remedy} `eigenfall data fetch toy`."
    )
    assert refusal(lambda: dict(datafiles.contents("toy"))) == sentence
    assert datafiles.verify("toy").faults == (sentence,)


def test_a_truncated_xz_is_refused_by_name(toy):
    folder, files, _ = toy
    (folder / "own/toys/one").write_bytes(files["one"])
    path = folder / "own/toys/two.xz"
    path.write_bytes(lzma.compress(files["two"])[:-12])
    assert refusal(lambda: dict(datafiles.contents("toy"))) == (
        f"Expected a whole .xz file at {path}, got Compressed data ended before the end-of-stream marker was reached. "
        "Put the official file there, or delete it and run `eigenfall data fetch toy`."
    )


def test_a_corrupt_archive_is_refused_before_it_is_opened(toy):
    folder, _, tar = toy
    path = folder / "own/toys/toy.tar.gz"
    path.write_bytes(tar[:-5])
    assert refusal(lambda: dict(datafiles.contents("toy"))).startswith(
        f"Expected SHA-256 {SOURCES['toy'].archive[1]} for {path}, got {hashlib.sha256(tar[:-5]).hexdigest()}: the file"
    )


def test_an_archive_without_the_files_is_refused(toy, monkeypatch):
    folder, _, tar = toy
    (folder / "own/toys/toy.tar.gz").write_bytes(tar)
    monkeypatch.setitem(SOURCES, "toy", replace(SOURCES["toy"], inside="elsewhere"))
    assert refusal(lambda: dict(datafiles.contents("toy"))) == (
        f"Expected the official files in {folder / 'own/toys/toy.tar.gz'}, got an archive without elsewhere/one, "
        "elsewhere/two. Put the official file there, or delete it and run `eigenfall data fetch toy`."
    )


def test_a_missing_set_is_fetched_whole(toy, monkeypatch):
    _, files, tar = toy

    def retrieve(url, known_hash, fname, path, downloader):
        if url.startswith("https://a/"):
            raise ConnectionError("no")
        assert known_hash == f"sha256:{SOURCES['toy'].archive[1]}"
        downloader.progressbar.total = len(tar)
        downloader.progressbar.update(len(tar))
        downloader.progressbar.reset()
        (path / fname).write_bytes(tar)
        return str(path / fname)

    monkeypatch.setattr("pooch.retrieve", retrieve)
    assert not datafiles.status("toy").present
    assert datafiles.fetch("toy", progress=False).place == "cache"
    assert dict(datafiles.contents("toy")) == files


@pytest.mark.parametrize("own", [True, False])
def test_without_a_network_the_variable_is_named(toy, monkeypatch, own):
    def retrieve(url, known_hash, fname, path, downloader):
        raise ConnectionError("no")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    if not own:
        monkeypatch.delenv(datafiles.FOLDER)
    now = f"it is now {toy[0] / 'own'}, where they are not" if own else "it is not set"
    assert refusal(lambda: dict(datafiles.contents("toy"))) == (
        "Expected to download toy.tar.gz, got ConnectionError from https://a/ and ConnectionError from https://b/. "
        f"Connect to the network. Or set EIGENFALL_DATA ({now}) to a folder that holds toys/toy.tar.gz."
    )


def test_a_cache_that_cannot_be_written_is_refused(toy, monkeypatch):
    def retrieve(url, known_hash, fname, path, downloader):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    assert refusal(downloads.download, "f", "0", ("https://a/",), toy[0], "Or not.", progress=False) == (
        f"Expected to write f in {toy[0]}, got: Permission denied. Make room there or grant write permission. Or not."
    )


def test_an_unknown_set_is_refused_with_the_nearest():
    assert refusal(datafiles.status, "mnits") == "Expected a known data set, got 'mnits'. Did you mean 'mnist'?"
    assert datafiles.status("digits").place == "embedded"


# ------------------------------------------------------------------------------- the user's own file

IMAGES = np.random.RandomState(0).randint(0, 256, (50, 6, 7)).astype(np.uint8)
LABELS = np.arange(50) % 5


@pytest.fixture
def saved(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "own.npz", **arrays)
        return tmp_path / "own.npz"

    return save


@pytest.mark.parametrize("names", [("inputs", "targets"), ("x", "y"), ("images", "labels")])
def test_images_are_divided_by_255_and_split_by_seed(saved, names):
    examples = File(saved(**dict(zip(names, (IMAGES, LABELS)))))()
    order = np.random.RandomState(0).permutation(50)
    assert (len(examples.train), len(examples.validation), len(examples.test)) == (35, 5, 10)
    assert torch.equal(
        examples.test.inputs, torch.tensor(IMAGES[order[40:], None].astype(np.float32) / np.float32(255))
    )
    assert examples.validation.targets.tolist() == LABELS[order[35:40]].tolist()
    assert (examples.name, examples.classes, examples.unit, examples.scale) == ("own", 5, "pixel", None)


def test_test_rows_that_come_with_the_file_stay_apart(saved):
    path = saved(x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:8], y_test=LABELS[:8])
    examples = File(path)()
    assert (len(examples.train), len(examples.validation), len(examples.test)) == (45, 5, 8)
    assert examples.test.targets.tolist() == LABELS[:8].tolist()


def test_other_bounds_carry_a_scale(saved):
    examples = File(saved(x=IMAGES / 127.5 - 1, y=LABELS), bounds=(-1.0, 1.0))()
    assert (examples.unit, examples.bounds, examples.scale.tolist()) == ("native", (-1.0, 1.0), [0.5] * 10)
    free = File(saved(x=IMAGES * 1.0, y=LABELS), bounds=None)()
    assert (free.unit, free.bounds, free.scale) == ("native", None, None)


def test_channels_last_are_moved_when_asked(saved):
    colour = np.random.RandomState(1).randint(0, 256, (50, 6, 7, 3)).astype(np.uint8)
    path = saved(x=colour, y=LABELS)
    assert refusal(File(path)) == (
        f"Expected x (inputs, channels, height, width) in {path}, got shape (50, 6, 7, 3), which looks like channels "
        f"last. "
        "Set channels=last, or channels=first if it is not."
    )
    moved = File(path, channels="last", test=1.0, validation=0.0)()
    order = np.random.RandomState(0).permutation(50)
    assert torch.equal(moved.test.inputs, torch.tensor(colour[order].transpose(0, 3, 1, 2)).float() / 255)
    assert File(path, channels="first")().train.inputs.shape == (35, 6, 7, 3)


NAN = IMAGES / 255
NAN[3, 2, 1] = np.nan


@pytest.mark.parametrize(
    "arrays, settings, sentence",
    [
        (
            {"a": IMAGES},
            {},
            "Expected one pair of arrays in {path}: inputs and targets, x and y, images and labels, x_train and "
            "y_train, "
            "got 0 pairs among a. Save them with numpy.savez(path, inputs=…, targets=…).",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS},
            {},
            "Expected x_test and y_test beside x_train and y_train in {path}, got x_train, y_train. Save all four, "
            "or inputs "
            "and targets alone.",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, 1:], "y_test": LABELS},
            {},
            "Expected x_test of the shape of x_train in {path}, got (1, 5, 7) beside (1, 6, 7). Save images of one "
            "size.",
        ),
        (
            {"x": IMAGES, "y": LABELS},
            {"test": 0.9, "validation": 0.2},
            "Expected shares validation of 0 or more and test above 0 that add up to 1 at most, got validation=0.2, "
            "test=0.9. Lower them.",
        ),
        (
            {"x": IMAGES, "y": LABELS},
            {"test": 0.001},
            "Expected at least one row to test on, got test=0.001 of 50 rows. Raise it.",
        ),
        (
            {"x": IMAGES.reshape(50, -1), "y": LABELS},
            {},
            "Expected x (inputs, height, width) or (inputs, channels, height, width) in {path}, got shape (50, 42). "
            "Reshape them, flat inputs for instance to (inputs, 1, 1, features).",
        ),
        (
            {"x": IMAGES.astype(np.int64), "y": LABELS},
            {},
            "Expected x as uint8 or floating point in {path}, got int64. Save bytes as uint8, anything else as "
            "float32.",
        ),
        (
            {"x": IMAGES, "y": LABELS},
            {"bounds": None},
            "Expected bounds=0/1 for uint8 x, which are divided by 255, got bounds=None. Leave bounds out, or save "
            "floating "
            "point values.",
        ),
        (
            {"x": NAN, "y": LABELS},
            {},
            "Expected finite x in {path}, got NaN or infinity in 1 of 50 inputs. Leave those inputs out.",
        ),
        (
            {"x": IMAGES * 1.0, "y": LABELS},
            {},
            "Expected x from 0 to 1 in {path}, got " + f"{IMAGES.min():g} to {IMAGES.max():g}"
            ". Set bounds=low/high or bounds=none, or rescale the inputs.",
        ),
        (
            {"x": IMAGES / 255, "y": LABELS},
            {"bounds": (1.0, 0.0)},
            "Expected bounds as low/high, got 1.0/0.0. Write the lower one first.",
        ),
        (
            {"x": IMAGES, "y": LABELS + 0.5},
            {},
            "Expected y as one whole number per input in {path}, got float64 of shape (50,). Save class numbers as "
            "integers, "
            "one axis.",
        ),
        (
            {"x": IMAGES, "y": np.eye(50, dtype=np.int64)},
            {},
            "Expected y as one whole number per input in {path}, got int64 of shape (50, 50). Save class numbers as "
            "integers, one axis.",
        ),
        (
            {"x": IMAGES, "y": LABELS[1:]},
            {},
            "Expected as many y as x, and at least one, in {path}, got 49 and 50. Save one target for each input.",
        ),
        (
            {"x": IMAGES, "y": LABELS - 1},
            {},
            "Expected targets of 0 to 3 in {path}, got -1 to 3. Number the classes from 0.",
        ),
        (
            {"x": IMAGES, "y": LABELS + 1},
            {},
            "Expected each class of 0 to 5 in {path}, got 5 of 6. Number the classes from 0 without gaps, or set "
            "classes to "
            "their number.",
        ),
        (
            {"x": IMAGES, "y": LABELS},
            {"classes": 4},
            "Expected targets of 0 to 3 in {path}, got 0 to 4. Number the classes from 0.",
        ),
        (
            {"x": IMAGES, "y": np.array([None] * 50)},
            {},
            "Expected arrays of numbers in {path}, got an array of objects, which only a pickle can hold. Save each "
            "array "
            "with one numeric type.",
        ),
    ],
)
def test_what_a_file_must_not_hold_is_refused(saved, arrays, settings, sentence):
    path = saved(**arrays)
    assert refusal(File(path, **settings)) == sentence.replace("{path}", str(path))


def test_a_class_that_does_not_occur_is_allowed_when_counted(saved):
    assert File(saved(x=IMAGES, y=LABELS + 1), classes=10)().classes == 10


def test_files_that_are_no_npz_are_refused(saved, tmp_path):
    path = tmp_path / "none.npz"
    assert refusal(File(path)) == f"Expected a file at {path}, got none. Mend the path; it ends in .npz."
    path.write_bytes(pickle.dumps(Hostile()))
    assert refusal(File(path)) == (
        f"Expected an .npz file at {path}, got something else, or a damaged one. Save it with numpy.savez."
    )
    whole = saved(x=IMAGES, y=LABELS)
    data = bytearray(whole.read_bytes())
    data[200] ^= 255
    whole.write_bytes(bytes(data))
    assert (
        refusal(File(whole))
        == f"Expected a whole .npz file at {whole}, got BadZipFile. The file is damaged; save it again."
    )


def test_presets_of_cifar10_keep_every_image():
    assert parts.read("datasets", "cifar10@nassar2020") == CIFAR10(None, 0, None, None)
    assert parts.read("datasets", "cifar10@holzhausen2024") == CIFAR10(None, 0, None, None, "l3")
    assert parts.read("datasets", "mnist@holzhausen2024") == MNIST(None, 0, None, None, "l3")


# -------------------------------------------------------------------------------------- L3


def test_l3_divides_each_image_by_its_own_norm():
    pixels, scaled = Digits()(), Digits(scaling="l3")()
    assert (scaled.unit, scaled.bounds, scaled.name) == ("L3", (0.0, 1.0), "digits")
    assert (pixels.unit, pixels.scale) == ("pixel", None)
    for before, after in (
        (pixels.train, scaled.train),
        (pixels.validation, scaled.validation),
        (pixels.test, scaled.test),
    ):
        assert torch.equal(after.targets, before.targets)
        for place in (0, 1, 7):
            norm = sum(value**3 for value in before.inputs[place].flatten().double().tolist()) ** (1 / 3)
            assert torch.allclose(after.inputs[place].double(), before.inputs[place].double() / norm, rtol=1e-6)
    assert scaled.digest != pixels.digest


def test_scale_leads_back_to_pixels():
    """One native unit is ‖x‖₃ pixels: distances in both units are one."""
    pixels, scaled = Digits()(), Digits(scaling="l3")()
    assert scaled.scale.shape == (500,)
    assert torch.allclose(scaled.test.inputs * scaled.scale.reshape(-1, 1, 1, 1), pixels.test.inputs, rtol=1e-6)


@pytest.mark.slow
def test_one_average_l3_unit_of_cifar10_in_pixels(official):
    examples = parts.read("datasets", "cifar10:train=100,validation=0,scaling=l3")()
    assert float(examples.scale.mean()) == pytest.approx(8.17, abs=0.01)  # the specification says about 8.3
    assert float(examples.scale.min()) > 1  # so that (0, 1) holds each image's own box (decision 0024)
    lengths = examples.test.inputs.flatten(1).norm(dim=1)
    assert float(lengths.max()) <= 3072 ** (1 / 6) * (1 + 1e-6)
    assert float(lengths.median()) == pytest.approx(3.5, abs=0.1)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_bytes_first_or_fractions_first(official, name):
    """As the source does it, on bytes."""
    settings = "train=50,validation=0,order_seed=none"
    scaled = parts.read("datasets", f"{name}:{settings},scaling=l3")()
    levels = parts.read("datasets", f"{name}:{settings}")().test.inputs[:200] * 255
    norms = levels.double().pow(3).sum((1, 2, 3), keepdim=True) ** (1 / 3)
    assert torch.allclose(scaled.test.inputs[:200].double(), levels.double() / norms, rtol=1e-5)


def test_the_user_s_own_images_in_l3_units(saved):
    path = saved(inputs=IMAGES, targets=LABELS)
    pixels, scaled = File(path)(), File(path, scaling="l3")()
    assert scaled.unit == "L3"
    assert torch.allclose(scaled.test.inputs * scaled.scale.reshape(-1, 1, 1, 1), pixels.test.inputs, rtol=1e-6)
    black = IMAGES.copy()
    black[[4, 9]] = 0
    words = refusal(File(saved(inputs=black, targets=LABELS), scaling="l3", validation=0.0, test=1.0))
    assert words == (
        "Expected inputs of own that are not zero everywhere, to divide by their L3 norm, got 2 of 50 that are. "
        "Leave those out, or use scaling=pixel."
    )
    other = File(saved(inputs=IMAGES.astype(np.float32), targets=LABELS), bounds=(0.0, 255.0), scaling="l3")
    assert refusal(other) == (
        "Expected bounds=0/1 for scaling=l3, got bounds=0/255. Save images in [0, 1], or leave scaling out."
    )
    assert "got bounds=none." in refusal(replace(other, bounds=None))


def test_corruptions_refuse_images_in_l3_units():
    """Their severities are those of [0, 1] pixels, and L3 images lie in [0, 1], too."""
    plan = Plan(corruptions=(parts.read("corruptions", "fog"),))
    need_surroundings(plan, Digits()().test.inputs)
    assert refusal(need_surroundings, plan, Digits(scaling="l3")().test.inputs) == (
        "Expected images in [0, 1] pixels, got images of L3 norm 1. "
        "Use a data set's scaling=pixel, for instance --data cifar10:scaling=pixel."
    )


def test_distances_are_told_in_l3_units_and_in_pixels():
    """A linear classifier's distance is known in closed form, in L3 units; in pixels it is ‖x‖₃ times that."""
    examples = Digits(scaling="l3")()
    some = slice(0, 12)
    held = Split(examples.test.inputs[some], torch.zeros(12, dtype=torch.int64))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[0] = 1.0
        model[1].bias.copy_(torch.tensor([-2.0, 0.0]))
    margins = held.inputs.flatten(1).double().sum(1) - 2
    assert (margins > 0).all()
    epsilons = tuple(torch.linspace(0.001, 0.2, 200).tolist())
    threat = LpBall("Linf", None, examples.unit)
    curve = robustness(model, {"fgsm": FGSM()}, held, threat, epsilons, torch.Generator().manual_seed(0))
    curve = replace(curve, scale=examples.scale[some])
    native = curve.distances
    assert torch.allclose(native, margins / 64, atol=0.0011)
    found = survivals(curve)
    assert set(found) == {("Linf", "L3"), ("Linf", "pixel")}
    expected = native * examples.scale[some].double()
    assert found["Linf", "pixel"].quantile(0.5)[0] == pytest.approx(float(expected.sort().values[5]), rel=0.05)
