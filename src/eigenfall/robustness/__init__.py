"""Attacks proposed, verified and judged; what the checks of a bundle need, gathered; accuracy under corruptions."""

from eigenfall.corruptionerror import mean_corruption_error
from eigenfall.robustness.corruption import corrupting, corruption_curve, of_corruptions
from eigenfall.robustness.curves import flip_epsilon, only
from eigenfall.robustness.evidence import gather, gathering, headline_stands, judged
from eigenfall.robustness.harness import attacking, robustness
from eigenfall.robustness.published import judged_curve
from eigenfall.robustness.transfer import transferred, transferring

__all__ = [
    "attacking",
    "corrupting",
    "corruption_curve",
    "flip_epsilon",
    "gather",
    "gathering",
    "headline_stands",
    "judged",
    "judged_curve",
    "mean_corruption_error",
    "of_corruptions",
    "only",
    "robustness",
    "transferred",
    "transferring",
]
