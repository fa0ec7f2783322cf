"""The nouns: frozen values with shapes. They hold no settings and read no files.

Axes are named as in `docs/notation.md`. Ranks count from 1 and a window includes both ends. Tensors
inside a noun are never changed after it is made.
"""

from eigenfall.types.corruption import CorruptionCurve
from eigenfall.types.data import Bounds, Examples, Responses, Split
from eigenfall.types.diagnostics import Diagnostics, LawScore, LocalSlopes, Reliability, SimulatedBias, Subsampling
from eigenfall.types.results import Measurement, Record, Row
from eigenfall.types.robustness import (
    Epsilon,
    Evidence,
    GaussianNoise,
    LpBall,
    Proposal,
    RobustnessCurve,
    Smoothness,
    Threat,
    Verdict,
    per_input,
)
from eigenfall.types.spectra import Dimension, Estimate, Gram, Moments, Spectrum, SpectrumFit
from eigenfall.types.stages import Stage
from eigenfall.types.training import ForwardPass, Penalty, Progress, Reference, Step, Task

__all__ = [
    "Bounds",
    "CorruptionCurve",
    "Diagnostics",
    "Dimension",
    "Epsilon",
    "Estimate",
    "Evidence",
    "Examples",
    "ForwardPass",
    "GaussianNoise",
    "Gram",
    "LawScore",
    "LocalSlopes",
    "LpBall",
    "Measurement",
    "Moments",
    "Penalty",
    "Progress",
    "Proposal",
    "Record",
    "Reference",
    "Reliability",
    "Responses",
    "RobustnessCurve",
    "Row",
    "SimulatedBias",
    "Smoothness",
    "Spectrum",
    "SpectrumFit",
    "Split",
    "Stage",
    "Step",
    "Subsampling",
    "Task",
    "Threat",
    "Verdict",
    "per_input",
]
