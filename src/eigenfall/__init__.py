"""How fast do the eigenvalues of a neural code fall, how smooth is the code, and how robust does that make it?

    measurement = eigenfall.measure(model, inputs, targets, layers=("fc1",))
    measurement = eigenfall.measure(responses)

A module is imported when one of its names is first used: `import eigenfall` alone loads neither torch nor NumPy.
`__init__.pyi` says the same to type checkers.
"""

import importlib
from typing import Any

_HOME = {
    "compare": "comparison",
    "listed": "index",
    "load": "records",
    "measure": "measurement",
    "model_of": "models",
    "plot": "figures",
    "verify": "verification",
    "ByDistance": "types",
    "Convergence": "types",
    "CorruptionCurve": "types",
    "Diagnostics": "types",
    "Dimension": "types",
    "Distribution": "types",
    "Estimate": "types",
    "Evidence": "types",
    "Examples": "types",
    "ForwardPass": "types",
    "GaussianNoise": "types",
    "Gram": "types",
    "Landscape": "types",
    "LandscapeSummary": "types",
    "LawScore": "types",
    "LearningStep": "types",
    "LipschitzBound": "types",
    "Listed": "index",
    "LocalSlopes": "types",
    "LpBall": "types",
    "Measurement": "types",
    "Mixture": "types",
    "Moments": "types",
    "OperatorNorm": "types",
    "Penalty": "types",
    "Plane": "types",
    "Progress": "types",
    "Proposal": "types",
    "Pruned": "types",
    "Answer": "types",
    "Atlas": "types",
    "AtlasAxis": "types",
    "AtlasPoint": "types",
    "Claim": "types",
    "Judged": "types",
    "ReceptiveFields": "types",
    "Record": "types",
    "Reference": "types",
    "Reliability": "types",
    "Responses": "types",
    "RobustnessCurve": "types",
    "SensitivityMap": "types",
    "SimulatedBias": "types",
    "Smoothness": "types",
    "Spectrum": "types",
    "SpectrumFit": "types",
    "Split": "types",
    "Stage": "types",
    "Step": "types",
    "Subsampling": "types",
    "Task": "types",
    "Threat": "types",
    "Verdict": "types",
}
"""The module in which each name of the package's top level stands."""

__all__ = ["__version__", *_HOME]  # pyright: ignore[reportUnsupportedDunderAll] -- the stub lists them


def __getattr__(name: str) -> Any:
    if name == "__version__":
        metadata = importlib.import_module("importlib.metadata")
        value = metadata.version("eigenfall")
    elif name in _HOME:
        value = getattr(importlib.import_module(f"eigenfall.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'eigenfall' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
