"""Articles of clothing at 28 × 28 pixels: 60 000 images to train on, 10 000 to test on, 10 classes.

    input = byte / 255

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
Differs from the source: the last 5 000 of a seeded order are held out for validation.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.datafiles import contents
from eigenfall.scaling import Scaling
from eigenfall.splits import assembled, idx_images, image_split, legacy_order, selected
from eigenfall.types import Examples


@dataclass(frozen=True)
class FashionMNIST:
    """Articles of clothing.

    Attributes:
        train: how many images of the training set, first of its order, to train on; none: all but those for validation.
        validation: how many images, the next of that order, are held out for choosing.
        order_seed: seed of NumPy's legacy permutation that orders the training set; none: the file's order.
        test_order_seed: the same for the test set.
        scaling: "pixel", values in [0, 1], or "l3", each image divided by its own L3 norm.
    """

    cite: ClassVar[str] = "xiao2017"
    train: int | None = None
    validation: int = 5000
    order_seed: int | None = 0
    test_order_seed: int | None = None
    scaling: Scaling = "pixel"

    def __call__(self) -> Examples:
        """Read the four official files, from EIGENFALL_DATA/fashion-mnist or the cache, or download them.

        Returns:
            Inputs `(inputs, 1, 28, 28)` in [0, 1]; of scaling l3, of L3 norm 1, `scale` the norm in pixels of each
            test image.

        Raises:
            ValueError: if a file is corrupt or cannot be had, or the splits do not fit in 60 000 images.
        """
        files = dict(contents("fashion_mnist"))
        images, targets = idx_images(files, "train")
        train, validation = selected(images, targets, self.train, self.validation, self.order_seed)
        images, targets = idx_images(files, "t10k")
        order = legacy_order(self.test_order_seed, len(images))
        return assembled(
            "fashion_mnist",
            (train, validation, image_split(images[order], targets[order])),
            classes=10,
            scaling=self.scaling,
        )


PRESETS: dict[str, FashionMNIST] = {}
