"""Attacks proposed, verified and judged; and what the checks of a bundle need, gathered."""

from eigenfall.robustness.curves import flip_epsilon, only
from eigenfall.robustness.evidence import gather, gathering, headline_stands, judged
from eigenfall.robustness.harness import attacking, robustness
from eigenfall.robustness.transfer import transferred, transferring

__all__ = [
    "attacking",
    "flip_epsilon",
    "gather",
    "gathering",
    "headline_stands",
    "judged",
    "only",
    "robustness",
    "transferred",
    "transferring",
]
