"""A session of Stringer et al. 2019: a .mat file of presentations with spontaneous activity, prepared as they did.

    1  units flagged as red cells are left out                     stat.redcell
    2  presentations of the grey screen, the largest id, are left out; NaN become 0             stim.istim, stim.resp
    3  each unit is z-scored by its spontaneous activity, s.d. + 10⁻⁶, or without any by its responses     stim.spont
    4  the 32 largest dimensions of spontaneous activity are removed                       R ← R − (R V) Vᵀ
    5  the mean of each unit over all presentations is taken off                with the second moments, later
    6  presentations become repeats, in temporal order          `eigenfall.repeats.two` makes two of them, later

Source: Stringer et al. 2019, Nature 571, Methods, doi:10.1038/s41586-019-1346-5, and its code; the data are at
doi:10.25378/janelia.6845348, CC BY-NC. Control settings of the paper: components 0, 1, 4, 16, 64, 256 and 1024.
Differs from the source: step 5 takes off the mean over the presentations that an estimator uses.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from eigenfall import digests, matfiles
from eigenfall.check import need
from eigenfall.gaps import Torn
from eigenfall.labels import LARGEST, need_ids
from eigenfall.presentations import Arrangement
from eigenfall.types import Responses


@dataclass(frozen=True)
class Stringer:
    """Responses of a Stringer session, z-scored and without spontaneous dimensions.

    Attributes:
        path: the .mat file, version 5 or 7.3.
        components: how many dimensions of spontaneous activity are removed; 0: none.
        scale: z-score each unit by its spontaneous activity, if there is any; by its responses; or none: leave units as
            they are, which removes no dimension either.
        red: keep units that are flagged as red cells.
        grey: keep the presentations with the largest id, those of the grey screen.
        torn: what to do with NaN: zero, as the source's code has it; refuse; or leave out such units or presentations.
        memory: responses of version 7.3 larger than this, in GB, stay on disk and are read in pieces.
    """

    cite: ClassVar[str] = "stringer2019"
    path: Path
    components: int = 32
    scale: Literal["spontaneous", "responses", "none"] = "spontaneous"
    red: bool = False
    grey: bool = False
    torn: Torn = "zero"
    memory: float = 1.0

    def __call__(self, generator: torch.Generator | None = None) -> Responses:
        """Read and prepare the session.

        Args:
            generator: not used; nothing is drawn.

        Returns:
            Responses `(repeats, stimuli, units)` in standard deviations of spontaneous activity, NaN where a stimulus
            was shown less often than others; what was left out is counted.

        Raises:
            ValueError: if the file is missing, damaged or of another format, lacks stim.resp or stim.istim, its parts
                do not fit together, or there are fewer spontaneous dimensions than are to be removed.
        """
        path = Path(self.path)
        need(
            self.components >= 0,
            expected="components of 0 or more",
            got=str(self.components),
            remedy="Set it to 0 to remove no dimension.",
        )
        with matfiles.opened(path, ("stim", "stat")) as file:
            responses = _table(file, path, "stim.resp")
            ids = need_ids(file.find("stim.istim")[:, :], "stim.istim")
            spontaneous = _table(file, path, "stim.spont") if file.has("stim.spont") else None
            flags = None if self.red else file.each("stat", "redcell")
        if not file.on_disk:
            arrangement = self._arrangement(math.inf)
        else:
            arrangement = self._arrangement(self.memory)
        red = {} if flags is None else {"red cells": flags > 0}
        found = arrangement(responses, ids, spontaneous, red, path.stem)
        return replace(
            found,
            understood=found.understood + self._told(spontaneous),
            digest="" if found.chunks is None else digests.of_path(path),
        )

    def _arrangement(self, memory: float) -> Arrangement:
        without = () if self.grey else (LARGEST,)
        return Arrangement(without, self.torn, self.scale, self.components, memory)

    def _told(self, spontaneous: Any) -> str:
        """What was done with spontaneous activity, in words."""
        if spontaneous is None or self.scale != "spontaneous":
            return ""
        times = spontaneous.shape[0]
        return f"; {self.components} dimensions of spontaneous activity ({times} time points) removed"


def _table(file: matfiles.Variables, path: Path, name: str) -> Any:
    """Rows × units: in memory, or left in a file of version 7.3."""
    array = file.find(name)
    need(
        len(array.shape) == 2 and min(array.shape) > 0,
        expected=f"{name} with two axes, the second of them units, in {path.name!r}",
        got=f"shape {tuple(array.shape)}",
        remedy="Look at whether this is a session of Stringer et al. 2019.",
    )
    return matfiles.Table(path, name, tuple(array.shape)) if file.on_disk else array
