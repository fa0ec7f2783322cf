"""The nouns: frozen values with shapes. They hold no settings and read no files.

Axes are named as in `docs/notation.md`. Ranks count from 1 and a window includes both ends. Tensors
inside a noun are never changed after it is made.
"""

from eigenfall.types.atlas import Atlas, AtlasAxis, AtlasPoint
from eigenfall.types.claims import Answer, Claim, ClaimVerdict, Judged
from eigenfall.types.convergence import Convergence, Mixture, Pruned
from eigenfall.types.corruption import CorruptionCurve
from eigenfall.types.data import Bounds, Examples, Responses, Split
from eigenfall.types.diagnostics import Diagnostics, LawScore, LocalSlopes, Reliability, SimulatedBias, Subsampling
from eigenfall.types.learning import LearningStep, ReceptiveFields, one_seed, placed
from eigenfall.types.results import Measurement, Record, Row
from eigenfall.types.robustness import (
    Epsilon,
    Evidence,
    GaussianNoise,
    LpBall,
    Proposal,
    RobustnessCurve,
    Threat,
    Verdict,
    per_input,
)
from eigenfall.types.smoothness import (
    ByDistance,
    Distribution,
    Landscape,
    LandscapeSummary,
    LipschitzBound,
    OperatorNorm,
    Plane,
    SensitivityMap,
    Smoothness,
)
from eigenfall.types.spectra import Dimension, Estimate, Gram, Moments, Spectrum, SpectrumFit
from eigenfall.types.stages import Stage
from eigenfall.types.training import ForwardPass, Penalty, Progress, Reference, Step, Task

__all__ = [
    "Answer",
    "Atlas",
    "AtlasAxis",
    "AtlasPoint",
    "Bounds",
    "ByDistance",
    "Claim",
    "ClaimVerdict",
    "Convergence",
    "CorruptionCurve",
    "Diagnostics",
    "Dimension",
    "Distribution",
    "Epsilon",
    "Estimate",
    "Evidence",
    "Examples",
    "ForwardPass",
    "GaussianNoise",
    "Gram",
    "Judged",
    "Landscape",
    "LandscapeSummary",
    "LawScore",
    "LearningStep",
    "LipschitzBound",
    "LocalSlopes",
    "LpBall",
    "Measurement",
    "Mixture",
    "Moments",
    "OperatorNorm",
    "Penalty",
    "Plane",
    "Progress",
    "Proposal",
    "Pruned",
    "ReceptiveFields",
    "Record",
    "Reference",
    "Reliability",
    "Responses",
    "RobustnessCurve",
    "Row",
    "SensitivityMap",
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
    "one_seed",
    "per_input",
    "placed",
]
