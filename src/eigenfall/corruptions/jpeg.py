"""JPEG: a real one, written and read by Pillow.

    decode(encode(round(255·x), quality))/255

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: one channel is written as a grey JPEG. Bytes depend on Pillow's libjpeg.
"""

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from eigenfall.check import need
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class JPEG:
    """Compression as JPEG.

    Attributes:
        qualities: of the encoder at each severity, of 100.
    """

    cite: ClassVar[str] = "hendrycks2019"
    qualities: tuple[int, ...] = (80, 65, 58, 50, 40)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Write and read.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: not used.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1] of one or three channels, or a severity that there is
                not.
        """
        quality = level(inputs, severity, self.qualities, "jpeg")
        need(
            inputs.shape[1] in (1, 3),
            expected="images of one or three channels for corruption 'jpeg'",
            got=f"{inputs.shape[1]}",
            remedy="A JPEG is grey or in colour; leave it out.",
        )
        pixels = (inputs.detach() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        read = np.stack([_through(image, quality) for image in pixels])
        return torch.from_numpy(read).permute(0, 3, 1, 2).to(inputs) / 255


def _through(image: np.ndarray, quality: int) -> np.ndarray:
    """One image, `(height, width, channels)` of 8 bits, written and read."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "JPEG", quality=quality)
    with Image.open(file) as read:
        return np.asarray(read).reshape(image.shape)
