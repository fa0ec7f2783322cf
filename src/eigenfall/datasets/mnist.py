"""Handwritten digits of 28 × 28 pixels: 60 000 images to train on, 10 000 to test on, 10 classes.

    input = byte / 255

Source: LeCun, Bottou, Bengio and Haffner 1998, Proceedings of the IEEE 86, doi:10.1109/5.726791.
Differs from the source: the last 5 000 of a seeded order are held out for validation. The preset `nassar2020` keeps
all in the file's order, `nassar2020_small` is the smaller scale of its replication, and `holzhausen2024` divides each
image of all by its L3 norm (Holzhausen et al. 2024, arXiv:2405.00679).
"""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import avg_pool2d

from eigenfall.check import need
from eigenfall.datafiles import contents
from eigenfall.defaults import later
from eigenfall.scaling import Scaling
from eigenfall.splits import assembled, idx_images, image_split, legacy_order, selected
from eigenfall.types import Examples, Split


@dataclass(frozen=True)
class MNIST:
    """Handwritten digits.

    Attributes:
        train: how many images of the training set, first of its order, to train on; none: all but those for validation.
        validation: how many images, the next of that order, are held out for choosing.
        order_seed: seed of NumPy's legacy permutation that orders the training set; none: the file's order.
        test_order_seed: the same for the test set.
        scaling: "pixel", values in [0, 1], or "l3", each image divided by its own L3 norm.
        pooled: side of the squares of pixels whose mean is one pixel of the input; 1: images as they are.
    """

    cite: ClassVar[str] = "lecun1998"
    train: int | None = None
    validation: int = 5000
    order_seed: int | None = 0
    test_order_seed: int | None = None
    scaling: Scaling = "pixel"
    pooled: int = later(1)

    def __post_init__(self) -> None:
        need(
            self.pooled >= 1 and 28 % self.pooled == 0,
            expected="pooled of 1, 2, 4, 7, 14 or 28, a divisor of 28",
            got=f"{self.pooled}",
            remedy="4 makes images of 7 × 7 pixels.",
        )

    def __call__(self) -> Examples:
        """Read the four official files, from EIGENFALL_DATA/mnist or the cache, or download them.

        Returns:
            Inputs `(inputs, 1, 28, 28)` in [0, 1], pooled 28/pooled on a side; of scaling l3, of L3 norm 1, `scale` the
            norm in pixels of each test image.

        Raises:
            ValueError: if a file is corrupt or cannot be had, or the splits do not fit in 60 000 images.
        """
        files = dict(contents("mnist"))
        images, targets = idx_images(files, "train")
        train, validation = selected(images, targets, self.train, self.validation, self.order_seed)
        images, targets = idx_images(files, "t10k")
        order = legacy_order(self.test_order_seed, len(images))
        splits = (train, validation, image_split(images[order], targets[order]))
        if self.pooled > 1:
            train, validation, test = (Split(avg_pool2d(one.inputs, self.pooled), one.targets) for one in splits)
            splits = (train, validation, test)
        return assembled("mnist", splits, classes=10, scaling=self.scaling)


PRESETS = {
    "nassar2020": MNIST(train=None, validation=0, order_seed=None, test_order_seed=None),
    "nassar2020_small": MNIST(train=20000, validation=5000, order_seed=0, test_order_seed=1),
    "holzhausen2024": MNIST(train=None, validation=0, order_seed=None, test_order_seed=None, scaling="l3"),
}
