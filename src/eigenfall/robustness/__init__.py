"""Attacks proposed, verified and judged; and what the checks of a bundle need, gathered."""

from eigenfall.robustness.evidence import gather, gathering, headline_stands, judged
from eigenfall.robustness.harness import Stage, attacking, consumed, flip_epsilon, only, robustness

__all__ = [
    "Stage",
    "attacking",
    "consumed",
    "flip_epsilon",
    "gather",
    "gathering",
    "headline_stands",
    "judged",
    "only",
    "robustness",
]
