"""Handwritten digits of 8 × 8 pixels, embedded in scikit-learn: 1 797 images, 10 classes, no network.

    input = value / 16,   value = 0 … 16

Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI, doi:10.24432/C50P49; here the 1 797
test images, as scikit-learn carries them. Split: NumPy's legacy seed-0 permutation, first 1 297 to train on, the other
500 to test on.
Differs from the source: the last images of the 1 297 are held out for validation; the preset `nassar2020` keeps all.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch

from eigenfall.check import need
from eigenfall.scaling import Scaling
from eigenfall.splits import assembled, legacy_order
from eigenfall.types import Examples, Split

_POOL = 1297


@dataclass(frozen=True)
class Digits:
    """Embedded 8 × 8 digits.

    Attributes:
        validation: how many images, the last of the 1 297 that are not for testing, are held out for choosing.
        scaling: "pixel", values in [0, 1], or "l3", each image divided by its own L3 norm.
    """

    cite: ClassVar[str] = "alpaydin1998"
    validation: int = 200
    scaling: Scaling = "pixel"

    def __call__(self) -> Examples:
        """Read the images.

        Returns:
            Inputs `(inputs, 1, 8, 8)` in [0, 1]; test is the same 500 images for every setting. Of scaling l3, of L3
            norm 1, `scale` the norm in pixels of each test image.

        Raises:
            ValueError: if validation leaves nothing to train on.

        Example:
            >>> examples = Digits(validation=0)()
            >>> len(examples.train), len(examples.validation), len(examples.test)
            (1297, 0, 500)
        """
        need(
            0 <= self.validation < _POOL,
            expected=f"validation of 0 to {_POOL - 1}",
            got=str(self.validation),
            remedy=f"At least one of the {_POOL} images must be left to train on.",
        )
        values, classes = _embedded()
        images = torch.from_numpy(values.astype(np.float32)).reshape(-1, 1, 8, 8).div_(16)
        targets = torch.from_numpy(classes.astype(np.int64))
        order = torch.from_numpy(legacy_order(0, len(targets)))
        first = _POOL - self.validation
        train, validation, test = (
            Split(images[rows], targets[rows]) for rows in (order[:first], order[first:_POOL], order[_POOL:])
        )
        return assembled("digits", (train, validation, test), classes=10, scaling=self.scaling)


def _embedded() -> tuple[np.ndarray, np.ndarray]:
    """Values `(1797, 64)` and classes, off scikit-learn's own file: to import it takes a second, in every process."""
    spec = find_spec("sklearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits  # wherever a later release keeps it

    return cast(tuple[np.ndarray, np.ndarray], load_digits(return_X_y=True))


PRESETS = {"nassar2020": Digits(validation=0)}
