"""Everything measured about one model or recording, and a finished run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float64
from torch import Tensor

from eigenfall.types.convergence import Convergence, Pruned
from eigenfall.types.corruption import CorruptionCurve
from eigenfall.types.diagnostics import Diagnostics, Reliability
from eigenfall.types.learning import ReceptiveFields
from eigenfall.types.robustness import RobustnessCurve, Verdict
from eigenfall.types.smoothness import ByDistance, Landscape, LandscapeSummary, LipschitzBound, Smoothness
from eigenfall.types.spectra import Dimension, Estimate, Moments, Spectrum, SpectrumFit

Row = Mapping[str, Any]
"""One number, as it goes to machines: `quantity`, `value`, `low`, `high`, `level`, and what it depends on."""

SIGNS = {"jacobian_norm": "‖J‖", "spectral_norm": "‖J‖₂"}
"""How a quantity is written where there is little room."""


@dataclass(frozen=True, eq=False, repr=False)
class Measurement:
    """Everything measured about one model or one recording.

    Attributes:
        name: of the model or recording.
        spectra: by layer; of a recording, by estimator.
        fits: the fit of each spectrum, or of moments, by the same name.
        smoothness: by layer and quantity: `layer` for the first measure, `layer/quantity` for others.
        curves: by name, "headline" among them.
        verdicts: of every check, in order.
        rows: every number, tidy.
        notices: what a reader must know, in words.
        margins: target's logit less the largest other, of each example, `(inputs,)`; positive: right, else wrong.
        moments: eigenmoments, by estimator.
        dimensions: by name.
        diagnostics: what stands beside a fit, by the fit's name.
        reliability: how much of each unit's variance repeats, for a recording with repeats.
        by_distance: other measures of the outputs' smoothness as functions of the first-order distance, by the same
            names, over the outputs' own scale where they have one.
        lipschitz: bound of how fast the outputs change, anywhere.
        corruptions: what corrupted inputs did to the answers.
        landscapes: what decisions look like on planes, over all of these.
        landscape: the first of these planes, an illustration.
        convergence: of a layer that learnt by a rule with a radius, before pruning.
        pruned: which of its units were kept; `None` if none were to be pruned.
        fields: what its first units look for.
    """

    name: str
    spectra: Mapping[str, Spectrum] = field(default_factory=dict)
    fits: Mapping[str, SpectrumFit] = field(default_factory=dict)
    smoothness: Mapping[str, Smoothness] = field(default_factory=dict)
    curves: Mapping[str, RobustnessCurve] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    rows: tuple[Row, ...] = ()
    notices: tuple[str, ...] = ()
    margins: Float64[Tensor, " inputs"] | None = None
    moments: Mapping[str, Moments] = field(default_factory=dict)
    dimensions: Mapping[str, Dimension] = field(default_factory=dict)
    diagnostics: Mapping[str, Diagnostics] = field(default_factory=dict)
    reliability: Reliability | None = None
    by_distance: Mapping[str, ByDistance] = field(default_factory=dict)
    lipschitz: LipschitzBound | None = None
    corruptions: CorruptionCurve | None = None
    landscapes: LandscapeSummary | None = None
    landscape: Landscape | None = None
    convergence: Convergence | None = None
    pruned: Pruned | None = None
    fields: ReceptiveFields | None = None

    def __str__(self) -> str:
        lines = [self.name]
        for entry in self.rows:
            if entry["quantity"] == "clean_accuracy":
                lines.append(f"  clean accuracy {_percent(entry)}, {entry['n']} inputs")
        lines += [f"  {layer}: {fit}" for layer, fit in self.fits.items()]
        for smoothness in self.smoothness.values():
            middle = float(smoothness.values.median())
            what = SIGNS.get(smoothness.quantity, smoothness.quantity.replace("_", " "))
            where = f", {smoothness.points}" if smoothness.points else ""
            lines.append(f"  {smoothness.layer}{where}: median {what} {middle:.4g}, {len(smoothness.values)} inputs")
        if self.lipschitz is not None:
            lines.append(f"  Lipschitz bound of the outputs, L2: {self.lipschitz.value:.4g}")
        for entry in self.rows:
            if entry["quantity"] == "robust_accuracy" and entry["attack"] == "headline":
                shown = "FAIL: see the checks" if entry.get("verdict") == "FAIL" else _percent(entry)
                lines.append(f"  worst case at ε = {entry['epsilon']:g} {entry['norm']}: {shown}")
        if self.corruptions is not None:
            lines.append(
                f"  mean accuracy under corruptions ({len(self.corruptions.corruptions)}, severities "
                f"{' '.join(map(str, self.corruptions.severities))}): {_share(self.corruptions.overall)}"
            )
        if self.landscapes is not None:
            lines.append(
                f"  on {self.landscapes.planes} planes, ± {self.landscapes.extent:.3g} L2: "
                f"{self.landscapes.regions.value:.3g} regions, decision of the image on "
                f"{_share(self.landscapes.base_share)}"
            )
        for verdict in ("FAIL", "WARN", "PASS", "NOT RUN"):
            named = [found.check for found in self.verdicts if found.verdict == verdict]
            if named:
                lines.append(f"  checks {verdict}: {' '.join(named)}")
        return "\n".join([*lines, *(f"  {notice}" for notice in self.notices)])

    __repr__ = __str__


def _percent(entry: Row) -> str:
    """A share with its interval, in percent."""
    return _share(Estimate(entry["value"], entry.get("low", math.nan), entry.get("high", math.nan)))


def _share(value: Estimate) -> str:
    """The same of an estimate."""
    ends = "" if math.isnan(value.low) else f" [{100 * value.low:.1f}, {100 * value.high:.1f}]"
    return f"{100 * value.value:.1f} %{ends}"


@dataclass(frozen=True, eq=False)
class Record:
    """One finished run, as read from its folder.

    Attributes:
        path: the folder.
        run: the run's settings, plain values; parts are in the grammar with every field explicit.
        versions: of eigenfall, Python, torch, numpy, and the machine.
        measurement: everything measured.
        history: one row per logged training step.
        bibliography: BibTeX entries of the parts used.
        name: folder name: arm, seed and the run's hash.
    """

    path: Path
    run: Mapping[str, Any]
    versions: Mapping[str, str]
    measurement: Measurement
    history: tuple[Row, ...] = ()
    bibliography: str = ""

    @property
    def name(self) -> str:
        """Folder name: arm, seed and the run's hash."""
        return self.path.name
