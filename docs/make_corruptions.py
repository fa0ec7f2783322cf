"""Draw every corruption at each severity: python docs/make_corruptions.py [FILE.png]

The image is a tile of 32 × 32 pixels, at a quarter of its size, of a photograph that scikit-learn carries; seed 0.
"""

import sys
from pathlib import Path

import torch
from matplotlib import pyplot
from sklearn.datasets import load_sample_image

from eigenfall import parts

PICTURE = Path(__file__).parent / "pictures" / "corruptions.png"
SEVERITIES = range(1, 6)


def tile() -> torch.Tensor:
    """One small colour image, `(1, 3, 32, 32)`."""
    pixels = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None].float() / 255
    return torch.nn.functional.avg_pool2d(pixels, 4)[..., 32:64, 40:72].contiguous()


def draw(file: Path) -> Path:
    """A row per corruption: the image, then its severities, each with its rms change in [0, 1] pixels."""
    image, names = tile(), parts.names("corruptions")
    figure, axes = pyplot.subplots(len(names), 6, figsize=(7.2, 1.3 * len(names)), layout="constrained")
    for row, name in zip(axes, names):
        corruption = parts.part_class("corruptions", name)()
        found = [image, *(corruption(image, severity, torch.Generator().manual_seed(0)) for severity in SEVERITIES)]
        for place, (ax, moved) in enumerate(zip(row, found)):
            ax.imshow(moved[0].permute(1, 2, 0), interpolation="nearest", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            rms = float((moved - image).square().mean().sqrt())
            ax.set_title(f"{place}: rms {rms:.3f}" if place else name, fontsize=7, pad=2)
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, dpi=80, metadata={"Software": None})
    return file


if __name__ == "__main__":
    print(draw(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE))
