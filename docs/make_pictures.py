"""Draw the README's picture from the demo's records: python docs/make_pictures.py [eigenfall-demo]"""

import sys
from pathlib import Path

import matplotlib
from matplotlib import pyplot

import eigenfall
from eigenfall.records import load_all

ARMS = {"plain": "plain", "spectral": "spectral penalty", "jacobian": "Jacobian penalty"}
PICTURE = Path(__file__).parent / "pictures" / "demo.svg"
KEPT = ("fit α", "slope of 1/n", "window of the fit")


def draw(folder: Path) -> Path:
    """Spectrum of the last hidden layer and worst-case accuracy of each arm, every seed in it."""
    found = load_all(folder)
    matplotlib.rcParams["svg.hashsalt"] = "eigenfall"  # the same records draw the same file
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.4, 3.9), layout="constrained")
    for order, (arm, label) in enumerate(ARMS.items()):
        seeds = [record.measurement for record in found if record.run["arm"] == arm]
        layer = list(seeds[0].spectra)[-1]
        fits = [seed.fits[layer] for seed in seeds]
        eigenfall.plot([seed.spectra[layer] for seed in seeds], left, label=label, order=order, fit=fits)
        eigenfall.plot([seed.curves["headline"] for seed in seeds], right, label=label, order=order)
    left.set_title("How fast the eigenvalues of the last hidden layer fall", fontsize=10)
    right.set_title("Accuracy under attack, worst case per image", fontsize=10)
    _for_the_first_look(left, right)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})
    return PICTURE


def _for_the_first_look(left, right) -> None:
    """Fewer marks than the report has: no stars, no second axis, a legend of what the eye asks for."""
    for line in [line for line in left.lines if line.get_marker() == "*"]:
        line.remove()
    named = dict(zip(*reversed(left.get_legend_handles_labels())))
    kept = {label.replace("fit ", ""): handle for key in KEPT for label, handle in named.items() if key in label}
    left.legend(kept.values(), kept, frameon=False, fontsize=8.5, loc="lower left")
    left.set_ylabel("eigenvalue λₙ")
    for axis in right.child_axes:
        axis.remove()
    right.set_xlabel("ε, largest change of a pixel in [0, 1]")
    right.legend(frameon=False, fontsize=9.5, loc="upper right")
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    print(draw(Path(sys.argv[1] if len(sys.argv) > 1 else "eigenfall-demo")))
