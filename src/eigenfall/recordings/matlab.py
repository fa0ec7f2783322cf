"""One variable of a MATLAB file (.mat), version 5 or 7.3, by its path into structs and cells.

Axes are in MATLAB's order, and are said in words or guessed as in `file`. A file of version 7.3 is read in pieces if
its array is larger than memory; a variable of version 5, at most 2 GB, is read whole.

Source: MATLAB MAT-File Format, The MathWorks; read through SciPy and, version 7.3, h5py.
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch

from eigenfall import hdf5files, matfiles, stored
from eigenfall.gaps import Torn
from eigenfall.labels import need_ids
from eigenfall.types import Responses


@dataclass(frozen=True)
class Matlab:
    """Responses from one variable of a MATLAB file.

    Attributes:
        path: a .mat file.
        variable: which variable, with dots into structs and numbers from 1 into cells, such as stim.resp or spikes.3;
            empty: the only one with two or three axes.
        axes: what the array's axes are, in MATLAB's order, for instance "units stimuli repeats"; empty: guessed.
        ids: for presentations × units, the variable with the stimulus of each presentation, such as stim.istim.
        without: ids that are left out, such as -1 for blanks; "largest", the largest.
        torn: what to do where a single unit is NaN: refuse; leave out such units, or such presentations; or read NaN as
            zero.
        memory: arrays of version 7.3 larger than this, in GB, stay on disk and are read in pieces.
        block: how many successive stimuli, or time points, belong together when the interval is drawn.
    """

    cite: ClassVar[str] = ""
    path: Path
    variable: str = ""
    axes: str = ""
    ids: str = ""
    without: tuple[str, ...] = ()
    torn: Torn = "refuse"
    memory: float = 1.0
    block: int = 1

    def __call__(self, generator: torch.Generator | None = None) -> Responses:
        """Read the file.

        Args:
            generator: not used; nothing is drawn.

        Returns:
            Responses `(repeats, stimuli, units)` in the file's unit, NaN for a missing repeat, with what was understood
            in words.

        Raises:
            ValueError: if the file is missing, damaged or of another format, holds no such variable, its axes are not
                as said, or a value is infinite or NaN outside a missing repeat.
        """
        path = Path(self.path)
        with matfiles.opened(path, (self.variable, self.ids) if self.variable else ()) as file:
            shapes = {} if self.variable else file.arrays()
            name = self.variable or hdf5files.only(shapes, path, "variable", self.ids)
            array = file.find(name)
            ids = need_ids(file.find(self.ids)[:, :], self.ids) if self.ids else None
            if not file.on_disk:
                return stored.responses(
                    replace(self, memory=math.inf), partial(nullcontext, array), path.stem, path, ids
                )
        return stored.responses(self, partial(matfiles.variable, path, name), path.stem, path, ids)
