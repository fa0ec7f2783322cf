"""Splits of a data set: seeded orders, images in [0, 1], and the digest of their contents."""

import hashlib
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from eigenfall.check import need
from eigenfall.formats import gunzipped, idx
from eigenfall.scaling import Scaling, divided
from eigenfall.types import Bounds, Examples, Split


def legacy_order(seed: int | None, rows: int) -> Integer[np.ndarray, " rows"]:
    """NumPy's legacy permutation of a seed, the one that specifications name; without a seed, the rows as they come."""
    return np.arange(rows) if seed is None else np.random.RandomState(seed).permutation(rows)


def image_split(
    images: UInt8[np.ndarray, "images channels height width"], targets: Integer[np.ndarray, " images"]
) -> Split:
    """Bytes as float32 in [0, 1], each divided by 255; targets as int64."""
    return Split(
        inputs=torch.from_numpy(np.ascontiguousarray(images)).to(torch.float32).div_(255),
        targets=torch.from_numpy(targets.astype(np.int64)),
    )


def idx_images(
    files: Mapping[str, bytes], part: Literal["train", "t10k"]
) -> tuple[UInt8[np.ndarray, "images 1 28 28"], UInt8[np.ndarray, " images"]]:
    """Images and targets of one part of an MNIST-like data set, from its gzipped IDX files."""
    images, targets = (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz")
    values, classes = (idx(gunzipped(files[name], name), name) for name in (images, targets))
    need(
        values.shape[1:] == (28, 28) and classes.shape == values.shape[:1],
        expected=f"28 × 28 images and one target each in {images} and {targets}",
        got=f"shapes {values.shape} and {classes.shape}",
        remedy="Get the official files again.",
    )
    return values[:, None], classes


def selected(
    images: UInt8[np.ndarray, "images channels height width"],
    targets: Integer[np.ndarray, " images"],
    train: int | None,
    validation: int,
    order_seed: int | None,
) -> tuple[Split, Split]:
    """Train and validation split of a training set: the first `train` images of an order, and those that follow.

    Args:
        images: the training set, in the file's order.
        targets: class of each image.
        train: how many images go to train; `None`: all but those for validation.
        validation: how many images of the order follow for validation.
        order_seed: seed of the legacy permutation; `None` for the file's order.

    Raises:
        ValueError: if the training set has fewer images.
    """
    rows = len(images)
    kept = rows - validation if train is None else train
    need(
        kept >= 1 and validation >= 0 and kept + validation <= rows,
        expected=f"train of 1 or more and validation of 0 or more that fit in {rows} images",
        got=f"train={'none' if train is None else train}, validation={validation}",
        remedy="Lower them.",
    )
    order = legacy_order(order_seed, rows)
    first, second = order[:kept], order[kept : kept + validation]
    return image_split(images[first], targets[first]), image_split(images[second], targets[second])


def digest(splits: tuple[Split, ...]) -> str:
    """SHA-256 over shape, values (float32, little-endian) and targets (int64) of each split in turn."""
    total = hashlib.sha256()
    for split in splits:
        total.update(repr(tuple(split.inputs.shape)).encode())
        for tensor, width in ((split.inputs, "<f4"), (split.targets, "<i8")):
            total.update(np.ascontiguousarray(tensor.numpy(), dtype=width).data)
    return total.hexdigest()


def assembled(
    name: str,
    splits: tuple[Split, Split, Split],
    classes: int,
    bounds: Bounds | None = (0.0, 1.0),
    unit: str = "pixel",
    scale: Float[Tensor, " inputs"] | None = None,
    scaling: Scaling = "pixel",
) -> Examples:
    """Train, validation and test as examples that carry their digest.

    Args:
        name: of the data set.
        splits: train, validation and test, images in [0, 1] if they are scaled.
        classes: how many there are.
        bounds: of an input.
        unit: of an input.
        scale: pixels per unit for each test input.
        scaling: "l3": every image is divided by its own L3 norm, which is its scale; bounds stay what they were
            (`docs/decisions/0024-l3-units.md`).

    Raises:
        ValueError: if an image to be divided is black.
    """
    if scaling == "l3":
        (first, _), (second, _), (third, norms) = (divided(split.inputs, name) for split in splits)
        unit, scale = "L3", norms.float()
        train, validation, test = splits
        splits = (Split(first, train.targets), Split(second, validation.targets), Split(third, test.targets))
    train, validation, test = splits
    return Examples(name, train, validation, test, classes, bounds, unit, scale, digest(splits))
