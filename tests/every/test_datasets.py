"""Every data set: four axes, float32 inside the bounds, int64 targets, splits apart, a digest that repeats."""

import dataclasses
import os

import numpy as np
import pytest
import torch

from eigenfall import datafiles, parts
from eigenfall.scaling import need_scaling


@pytest.fixture(params=parts.names("datasets"), scope="module")
def dataset(request, tmp_path_factory):
    """Each at its default, but for `file`, which reads a few made-up images, and CIFAR-10, of which a part is kept."""
    if request.param == "file":
        path = tmp_path_factory.mktemp("file") / "own.npz"
        images = np.random.RandomState(0).randint(0, 256, (40, 5, 5)).astype(np.uint8)
        np.savez(path, inputs=images, targets=np.arange(40) % 3)
        return parts.read("datasets", f"file:path=[{path}]")
    if request.param not in ("digits",) and not os.environ.get(datafiles.FOLDER):
        pytest.skip(f"{datafiles.FOLDER} is not set")
    if request.param in datafiles.names() and not datafiles.status(request.param).present:
        pytest.skip(f"{request.param} is not here")
    kept = ":train=5000,validation=1000" if request.param == "cifar10" else ""
    return parts.read("datasets", request.param + kept)


@pytest.fixture(scope="module")
def examples(dataset):
    return dataset()


def test_contract(examples):
    low, high = examples.bounds
    for split in (examples.train, examples.validation, examples.test):
        assert split.inputs.ndim == 4
        assert split.inputs.dtype == torch.float32
        assert split.targets.dtype == torch.int64
        assert len(split.inputs) == len(split.targets) > 0
        assert low <= float(split.inputs.min()) <= float(split.inputs.max()) <= high
        assert torch.equal(split.targets.unique(), torch.arange(examples.classes))
    assert len(examples.digest) == 64


def test_no_image_of_one_split_is_in_another(examples):
    held_out = {image.numpy().tobytes() for image in examples.validation.inputs}
    assert not any(image.numpy().tobytes() in held_out for image in examples.train.inputs[:5000])


def test_reading_twice_gives_the_same(dataset, examples):
    if examples.name not in ("digits", "own"):
        pytest.skip("read once; the known answers pin its contents")
    again = dataset()
    assert again.digest == examples.digest
    assert torch.equal(again.train.inputs, examples.train.inputs)


def test_in_l3_units_every_image_has_norm_one(dataset, examples):
    if examples.name == "cifar10":
        pytest.skip("unpacked once; a slow test of its own reads it in L3 units")
    fewer = {"train": 2000} if hasattr(dataset, "train") else {}
    scaled = dataclasses.replace(dataset, scaling="l3", **fewer)()
    need_scaling(scaled.train.inputs, "l3")
    need_scaling(scaled.test.inputs, "l3")
    assert (scaled.unit, scaled.bounds, scaled.classes) == ("L3", examples.bounds, examples.classes)
    assert scaled.digest != examples.digest
    back = scaled.test.inputs * scaled.scale.reshape(-1, 1, 1, 1)
    assert torch.allclose(back, examples.test.inputs, rtol=1e-6)
    assert torch.equal(scaled.train.targets, examples.train.targets[: len(scaled.train)])


def test_a_scaling_that_there_is_not(dataset):
    name = parts.name_of(dataset)
    with pytest.raises(ValueError, match=r"^Expected a known value of scaling, got 'l4'\. There are: l3, pixel\.$"):
        parts.read("datasets", f"{name}:scaling=l4")
