"""Colour photographs of 32 × 32 pixels: 50 000 images to train on, 10 000 to test on, 10 classes.

    input = byte / 255

Source: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, technical report, University of Toronto;
the python version, whose files are pickles: they are read by an unpickler that knows arrays of bytes and nothing else.
Differs from the source: the last 5 000 of a seeded order are held out for validation. The preset `nassar2020` keeps all
in the files' order, and `holzhausen2024` divides each of them by its L3 norm (Holzhausen et al. 2024, arXiv:2405.00679;
its code has channels last: another order of the values of a flat image).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eigenfall.check import need
from eigenfall.datafiles import contents
from eigenfall.formats import unpickled
from eigenfall.scaling import Scaling
from eigenfall.splits import assembled, image_split, legacy_order, selected
from eigenfall.types import Examples

_FILES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
_ROWS = 10000


@dataclass(frozen=True)
class CIFAR10:
    """Colour photographs of ten kinds of animals and vehicles.

    Attributes:
        train: how many images of the training set, first of its order, to train on; none: all but those for validation.
        validation: how many images, the next of that order, are held out for choosing.
        order_seed: seed of NumPy's legacy permutation that orders the training set; none: the files' order.
        test_order_seed: the same for the test set.
        scaling: "pixel", values in [0, 1], or "l3", each image divided by its own L3 norm.
    """

    cite: ClassVar[str] = "krizhevsky2009"
    train: int | None = None
    validation: int = 5000
    order_seed: int | None = 0
    test_order_seed: int | None = None
    scaling: Scaling = "pixel"

    def __call__(self) -> Examples:
        """Read the six batches, plain or .xz, from EIGENFALL_DATA/cifar-10 or the cache, or download the archive.

        Returns:
            Inputs `(inputs, 3, 32, 32)` in [0, 1], channels red, green, blue; of scaling l3, of L3 norm 1,
            `scale` the norm in pixels of each test image.

        Raises:
            ValueError: if a file is corrupt or cannot be had, or the splits do not fit in 50 000 images.
        """
        images = np.empty((len(_FILES), _ROWS, 3, 32, 32), np.uint8)
        targets = np.empty((len(_FILES), _ROWS), np.int64)
        for name, batch in contents("cifar10"):
            place = _FILES.index(name)
            images[place], targets[place] = _batch(unpickled(batch, name), name)
        train, validation = selected(
            images[:-1].reshape(-1, 3, 32, 32), targets[:-1].ravel(), self.train, self.validation, self.order_seed
        )
        order = legacy_order(self.test_order_seed, _ROWS)
        return assembled(
            "cifar10",
            (train, validation, image_split(images[-1][order], targets[-1][order])),
            classes=10,
            scaling=self.scaling,
        )


def _batch(held: Any, name: str) -> tuple[np.ndarray, list[int]]:
    """Images and targets of one batch; a row holds the red plane, then green, then blue."""
    named: dict[Any, Any] = {"data": None, "labels": None, **(held if isinstance(held, dict) else {})}
    data, labels = named["data"], named["labels"]
    need(
        isinstance(data, np.ndarray)
        and data.shape == (_ROWS, 3072)
        and isinstance(labels, list)
        and len(labels) == _ROWS
        and all(isinstance(label, int) and 0 <= label < 10 for label in labels),
        expected=f"{_ROWS} × 3072 bytes and {_ROWS} labels of 0 to 9 in {name}",
        got="something else",
        remedy="Get the official file again.",
    )
    return data.reshape(_ROWS, 3, 32, 32), labels


PRESETS = {
    "nassar2020": CIFAR10(train=None, validation=0, order_seed=None, test_order_seed=None),
    "holzhausen2024": CIFAR10(train=None, validation=0, order_seed=None, test_order_seed=None, scaling="l3"),
}
