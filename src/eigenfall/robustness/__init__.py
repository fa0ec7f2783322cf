"""Attacks proposed, verified and judged; what the checks of a bundle need, gathered; accuracy under corruptions."""

from eigenfall.corruptionerror import mean_corruption_error
from eigenfall.robustness.corruption import corrupting, corruption_curve, of_corruptions
from eigenfall.robustness.curves import first_flip, flip_epsilon, flip_lengths, only, relative_accuracy
from eigenfall.robustness.evidence import gather, gathering, headline_stands, judged
from eigenfall.robustness.harness import attacking, robustness
from eigenfall.robustness.published import judged_curve
from eigenfall.robustness.readings import Reading, log_grid, of_reading, reading
from eigenfall.robustness.transfer import transferred, transferring

__all__ = [
    "Reading",
    "attacking",
    "corrupting",
    "corruption_curve",
    "first_flip",
    "flip_epsilon",
    "flip_lengths",
    "gather",
    "gathering",
    "headline_stands",
    "judged",
    "judged_curve",
    "log_grid",
    "mean_corruption_error",
    "of_corruptions",
    "of_reading",
    "only",
    "reading",
    "relative_accuracy",
    "robustness",
    "transferred",
    "transferring",
]
