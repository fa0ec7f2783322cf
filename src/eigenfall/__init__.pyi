"""The package's top level as type checkers see it; `tests/test_package.py` holds it against `__init__.py`."""

from eigenfall.comparison import compare as compare
from eigenfall.figures import plot as plot
from eigenfall.measurement import measure as measure
from eigenfall.records import load as load
from eigenfall.types import CorruptionCurve as CorruptionCurve
from eigenfall.types import Diagnostics as Diagnostics
from eigenfall.types import Dimension as Dimension
from eigenfall.types import Estimate as Estimate
from eigenfall.types import Evidence as Evidence
from eigenfall.types import Examples as Examples
from eigenfall.types import ForwardPass as ForwardPass
from eigenfall.types import GaussianNoise as GaussianNoise
from eigenfall.types import Gram as Gram
from eigenfall.types import LawScore as LawScore
from eigenfall.types import LocalSlopes as LocalSlopes
from eigenfall.types import LpBall as LpBall
from eigenfall.types import Measurement as Measurement
from eigenfall.types import Moments as Moments
from eigenfall.types import Penalty as Penalty
from eigenfall.types import Progress as Progress
from eigenfall.types import Proposal as Proposal
from eigenfall.types import Record as Record
from eigenfall.types import Reference as Reference
from eigenfall.types import Reliability as Reliability
from eigenfall.types import Responses as Responses
from eigenfall.types import RobustnessCurve as RobustnessCurve
from eigenfall.types import SimulatedBias as SimulatedBias
from eigenfall.types import Smoothness as Smoothness
from eigenfall.types import Spectrum as Spectrum
from eigenfall.types import SpectrumFit as SpectrumFit
from eigenfall.types import Split as Split
from eigenfall.types import Stage as Stage
from eigenfall.types import Step as Step
from eigenfall.types import Subsampling as Subsampling
from eigenfall.types import Task as Task
from eigenfall.types import Threat as Threat
from eigenfall.types import Verdict as Verdict

__version__: str
