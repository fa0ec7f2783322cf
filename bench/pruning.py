"""How often pruning is wrong about 2,000 ln variances of which the truth is known.

    python bench/pruning.py [DRAWS [CASE ...]]

One hump: a normal as narrow as a converged layer's, wider ones, and humps that are no normals. Two: 50 units of noise
above the hump. `published` and `accepted` are the presets of Holzhausen et al. 2024; `χ²` and `BIC` fit from k-means
and cut in the middle of the two largest means; `default` asks for BIC and a valley. For each: in how many draws a
second component was used, in how many some unit was pruned, and the mean number of units pruned.
"""

import sys

import numpy as np
import torch

from eigenfall.pruning import PRESETS, Pruning

UNITS, NOISE = 2000, 50
RULES = {
    "published": PRESETS["holzhausen2024"],
    "accepted": PRESETS["holzhausen2024_accepted"],
    "χ²": Pruning(criterion="chi2", cutoff="middle"),
    "BIC": Pruning(cutoff="middle"),
    "default": Pruning(),
}
ONE = {
    "normal .1": lambda source: source.normal(-7.1, 0.1, UNITS),
    "normal .3": lambda source: source.normal(-7.1, 0.3, UNITS),
    "Gumbel .1": lambda source: -7.1 + 0.1 * source.gumbel(size=UNITS),
    "Student 5, .1": lambda source: -7.1 + 0.1 * source.standard_t(5, size=UNITS),
    "exponential .3": lambda source: -7.1 + 0.3 * source.exponential(size=UNITS),
}
TWO = {
    "normal .1 + 50 at -6.3": lambda source: np.r_[
        source.normal(-7.1, 0.1, UNITS - NOISE), source.normal(-6.3, 0.1, NOISE)
    ],
    "Gumbel .1 + 50 at -6": lambda source: np.r_[
        -7.1 + 0.1 * source.gumbel(size=UNITS - NOISE), source.normal(-6, 0.1, NOISE)
    ],
    "normal .1 + 50 untrained": lambda source: np.r_[
        source.normal(-7.1, 0.1, UNITS - NOISE), source.normal(0, 0.026, NOISE)
    ],
}


def tell(name, draw, draws):
    """One line per rule."""
    for label, rule in RULES.items():
        split = pruned = units = 0
        for seed in range(draws):
            places = torch.from_numpy(draw(np.random.default_rng(seed)))
            mixture = rule.fitted(places if rule.lowest is None else places[(places > -9) & (places < -3)])
            above = int((places >= rule.cut(mixture)[0]).sum())
            split, pruned, units = split + (len(mixture.means) > 1), pruned + (above > 0), units + above
        print(
            f"{name:26} {label:10} split {split:4} pruned {pruned:4} of {draws}, {units / draws:7.1f} units", flush=True
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    wanted = sys.argv[2:] or [*ONE, *TWO]
    for case in wanted:
        tell(case, {**ONE, **TWO}[case], count)
