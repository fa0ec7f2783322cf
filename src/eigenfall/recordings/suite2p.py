"""A folder that suite2p wrote: traces of ROIs in a window of frames after each event.

    ROI u, event t:   mean of the trace over frames  onsetₜ + first … onsetₜ + first + frames − 1

Read are F.npy or spks.npy (ROI × frames), iscell.npy and redcell.npy; never stat.npy and ops.npy, which are pickled.
Events, the frame at which each stimulus came on and its id, come from a file of the user's.

Source: Pachitariu et al. 2017, bioRxiv 061507, doi:10.1101/061507; its outputs, suite2p.readthedocs.io.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from eigenfall import digests, suite2pfolder
from eigenfall.check import need
from eigenfall.events import read_events
from eigenfall.gaps import Torn
from eigenfall.presentations import Arrangement
from eigenfall.types import Responses


@dataclass(frozen=True)
class Suite2p:
    """Responses from a suite2p folder, one presentation for each event.

    Attributes:
        path: the folder that suite2p wrote, with plane0, plane1, …; or one plane.
        events: frame of onset and id of each event: a .csv with columns frame and stimulus, an .npz with arrays of
            these names, or an .npy of two columns. Frames count from 0.
        traces: spks, deconvolved activity, or F, fluorescence.
        first: first frame of the window after the onset; 0 is that of the onset.
        frames: how many frames are averaged.
        cells: keep only ROIs that iscell.npy calls cells.
        red: keep ROIs that redcell.npy calls red.
        without: ids that are left out, such as -1 for blanks; "largest", the largest.
        spontaneous: frames of spontaneous activity, first/last, both included: each ROI is z-scored by it; none: ROIs
            are left as they are.
        components: how many dimensions of spontaneous activity are removed.
        torn: what to do where a single ROI is NaN: refuse; leave out such ROIs (units), or such presentations; or read
            NaN as zero.
        memory: responses larger than this, in GB, are made piece by piece.
    """

    cite: ClassVar[str] = "pachitariu2017"
    path: Path
    events: Path
    traces: Literal["spks", "F"] = "spks"
    first: int = 0
    frames: int = 1
    cells: bool = True
    red: bool = False
    without: tuple[str, ...] = ()
    spontaneous: tuple[int, int] | None = None
    components: int = 0
    torn: Torn = "refuse"
    memory: float = 1.0

    def __call__(self, generator: torch.Generator | None = None) -> Responses:
        """Read the folder.

        Args:
            generator: not used; nothing is drawn.

        Returns:
            Responses `(repeats, stimuli, units)` in the traces' unit, or in standard deviations of spontaneous
            activity; events whose window passes an end of the recording are left out and counted.

        Raises:
            ValueError: if the folder holds no traces, a file is damaged or holds objects, the planes' masks do not fit
                their traces, or the events cannot be read.
        """
        path, events = Path(self.path), Path(self.events)
        need(self.frames >= 1, expected="a window of at least one frame", got=str(self.frames), remedy="Set frames.")
        planes = suite2pfolder.planes(path, self.traces)
        onsets, ids = read_events(events)
        shapes = tuple(suite2pfolder.traces_of(plane, self.traces).shape for plane in planes)
        table = suite2pfolder.Windows(planes, self.traces, shapes, onsets + self.first, self.frames)
        left_out = {}
        if self.cells:
            left_out["ROIs that are no cells"] = ~suite2pfolder.marks(planes, shapes, "iscell")
        if not self.red:
            left_out["red cells"] = suite2pfolder.marks(planes, shapes, "redcell")
        left_out = {what: mask for what, mask in left_out.items() if mask.any()}
        spontaneous, scale = None, "none"
        if self.spontaneous is not None:
            begin, end = self.spontaneous
            need(
                0 <= begin < end < table.length,
                expected=f"spontaneous frames between 0 and {table.length - 1}, first/last",
                got=f"{begin}/{end}",
                remedy="Frames count from 0.",
            )
            spontaneous, scale = replace(table, starts=np.arange(begin, end + 1), frames=1), "spontaneous"
        arrangement = Arrangement(self.without, self.torn, scale, self.components, self.memory)
        found = arrangement(table, ids, spontaneous, left_out, path.stem)
        used = [*(plane / f"{self.traces}.npy" for plane in planes), *suite2pfolder.masks(planes)]
        lengths = {shape[1] for shape in shapes}
        uneven = f"Planes have {min(lengths)} to {max(lengths)} frames: the last ones are not used."
        return replace(
            found,
            understood=f"{found.understood}; {self.traces} of {len(planes)} plane{'s' if len(planes) > 1 else ''}",
            digest="" if found.chunks is None else digests.of_files(path, used) + digests.of_file(events),
            notices=(*found.notices, *((uneven,) if len(lengths) > 1 else ())),
        )
