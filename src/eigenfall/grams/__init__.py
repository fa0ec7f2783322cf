"""Second moments of responses: how they are found, how they are added up, and what is computed from them alone."""

from eigenfall.grams.algebra import added, among, averaged, centred_apart, less_stimulus_means, reliability
from eigenfall.grams.readings import gram, gramming
from eigenfall.grams.routes import MEMORY, Route, route, size_of
from eigenfall.grams.swaps import swapped, swapped_over_units

__all__ = [
    "MEMORY",
    "Route",
    "added",
    "among",
    "averaged",
    "centred_apart",
    "gram",
    "gramming",
    "less_stimulus_means",
    "reliability",
    "route",
    "size_of",
    "swapped",
    "swapped_over_units",
]
