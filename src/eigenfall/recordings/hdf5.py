"""One array of an HDF5 file (.h5, .hdf5), read in pieces if it is larger than memory.

Axes as in `file`: said in words or guessed, and told. Datasets that hold objects or references are refused, unread.

Source: the HDF5 file format, The HDF Group; read through h5py.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch

from eigenfall import hdf5files, stored
from eigenfall.gaps import Torn
from eigenfall.labels import need_ids
from eigenfall.types import Responses


@dataclass(frozen=True)
class HDF5:
    """Responses from one dataset of an HDF5 file.

    Attributes:
        path: the file.
        dataset: which dataset, for instance session/responses; empty: the only one with two or three axes.
        axes: what the array's axes are, in order, for instance "units stimuli repeats"; empty: guessed.
        ids: for presentations × units, the dataset with the stimulus of each presentation.
        without: ids that are left out, such as -1 for blanks; "largest", the largest.
        torn: what to do where a single unit is NaN: refuse; leave out such units, or such presentations; or read NaN as
            zero.
        memory: arrays larger than this, in GB, stay on disk and are read in pieces.
        block: how many successive stimuli, or time points, belong together when the interval is drawn.
    """

    cite: ClassVar[str] = ""
    path: Path
    dataset: str = ""
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
            ValueError: if the file is missing, damaged or of another format, holds no such dataset, its axes are not as
                said, or a value is infinite or NaN outside a missing repeat.
        """
        path = Path(self.path)
        with hdf5files.opened(path) as file:
            name = self.dataset or hdf5files.only(hdf5files.arrays(file), path, "dataset", self.ids)
            ids = None
            if self.ids:
                ids = need_ids(hdf5files.text_of(hdf5files.found(file, self.ids, path)), self.ids)
        return stored.responses(self, partial(hdf5files.dataset, path, name), path.stem, path, ids)
