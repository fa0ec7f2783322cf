"""Attacks proposed, verified and judged; and what the checks of a bundle need, gathered."""

from eigenfall.robustness.evidence import gather, gathering, headline_stands, judged
from eigenfall.robustness.harness import attacking, flip_epsilon, only, robustness
from eigenfall.robustness.published import judged_curve
from eigenfall.robustness.transfer import transferred, transferring

__all__ = [
    "attacking",
    "flip_epsilon",
    "gather",
    "gathering",
    "headline_stands",
    "judged",
    "judged_curve",
    "only",
    "robustness",
    "transferred",
    "transferring",
]
