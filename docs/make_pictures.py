"""Draw the README's picture from the demo's records: python docs/make_pictures.py [eigenfall-demo]"""

import sys
from pathlib import Path

import matplotlib
from matplotlib import pyplot

import eigenfall
from eigenfall.records import load_all

ARMS = ("plain", "spectral", "jacobian")
PICTURE = Path(__file__).parent / "pictures" / "demo.svg"


def draw(folder: Path) -> Path:
    """Spectrum of the last hidden layer and worst-case accuracy of each arm, every seed in it."""
    found = load_all(folder)
    matplotlib.rcParams["svg.hashsalt"] = "eigenfall"  # the same records draw the same file
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for order, arm in enumerate(ARMS):
        seeds = [record.measurement for record in found if record.run["arm"] == arm]
        layer = list(seeds[0].spectra)[-1]
        fits = [seed.fits[layer] for seed in seeds]
        eigenfall.plot([seed.spectra[layer] for seed in seeds], left, label=arm, order=order, fit=fits)
        eigenfall.plot([seed.curves["headline"] for seed in seeds], right, label=arm, order=order)
    left.set_title(f"Spectrum of {layer}")
    right.set_title("Worst case over the attacks")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})
    return PICTURE


if __name__ == "__main__":
    print(draw(Path(sys.argv[1] if len(sys.argv) > 1 else "eigenfall-demo")))
