"""Second moments of responses: how they are found, how they are added up, and what is computed from them alone."""

from eigenfall.grams.algebra import added, among, averaged, centred_apart, less_stimulus_means, reliability
from eigenfall.grams.groups import Groups, most_for
from eigenfall.grams.readings import gram, gramming
from eigenfall.grams.routes import MEMORY, Route, route, size_of
from eigenfall.grams.sketch import RANK, Sketch, bias_of_sketch, lost, said_of_sketch, sketched, sketching
from eigenfall.grams.swaps import swapped, swapped_over_units

__all__ = [
    "MEMORY",
    "RANK",
    "Groups",
    "Route",
    "Sketch",
    "added",
    "among",
    "averaged",
    "bias_of_sketch",
    "centred_apart",
    "gram",
    "gramming",
    "less_stimulus_means",
    "lost",
    "most_for",
    "reliability",
    "route",
    "said_of_sketch",
    "size_of",
    "sketched",
    "sketching",
    "swapped",
    "swapped_over_units",
]
