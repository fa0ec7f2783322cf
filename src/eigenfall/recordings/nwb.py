"""A session in NWB: spikes of units, or traces of ROIs, in a window of each trial.

    unit u, trial t:   spikes in [startₜ + start, startₜ + stop) / length of the window          per second
    ROI  u, trial t:   mean of the trace over the frames in that window                         in its unit

A column of the table of trials names the stimulus. A unit's spikes are not known outside its `obs_intervals`, if it has
any: it is NaN there; so is a trial without a frame. Traces are a RoiResponseSeries, time × ROI.

Source: Rübel et al. 2022, eLife 11, e78362, doi:10.7554/eLife.78362. Read with h5py, see `nwbtables.py`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float64

from eigenfall import digests, hdf5files, nwbtables
from eigenfall.check import need
from eigenfall.gaps import Torn
from eigenfall.labels import need_ids
from eigenfall.presentations import Arrangement
from eigenfall.types import Responses


@dataclass(frozen=True)
class NWB:
    """Responses from an NWB file, one presentation for each trial.

    Attributes:
        path: the .nwb file.
        stimulus: the column of the trials that names the stimulus; empty: guessed from the columns' names.
        start: where the window begins, in seconds after a trial's start.
        stop: where it ends, in seconds after a trial's start; none: at the trial's stop.
        trials: which table of intervals.
        series: which RoiResponseSeries, by its name or the end of its path; empty: units' spikes if there are any, else
            the only series.
        only: which units, as column=value of the table of units, such as quality=good; empty: all.
        without: stimuli that are left out, such as -1 for blanks; "largest", the largest.
        torn: what to do where a single unit is NaN: refuse; leave out such units, or such presentations; or read NaN as
            zero.
        memory: responses larger than this, in GB, are made piece by piece.
    """

    cite: ClassVar[str] = "rubel2022"
    path: Path
    stimulus: str = ""
    start: float = 0.0
    stop: float | None = None
    trials: str = "trials"
    series: str = ""
    only: str = ""
    without: tuple[str, ...] = ()
    torn: Torn = "refuse"
    memory: float = 1.0

    def __call__(self, generator: torch.Generator | None = None) -> Responses:
        """Read the file.

        Args:
            generator: not used; nothing is drawn.

        Returns:
            Responses `(repeats, stimuli, units)`, in spikes per second or in the traces' unit, NaN where a stimulus was
            shown less often than others.

        Raises:
            ValueError: if the file is missing, damaged or no NWB, has no such trials, column, series or units, or a
                window has no length.
        """
        path = Path(self.path)
        with hdf5files.opened(path, "an NWB file") as file:
            nwbtables.need_nwb(file, path)
            trials = nwbtables.intervals(file, self.trials, path)
            name = self.stimulus or nwbtables.stimulus_column(trials, self.trials)
            ids = need_ids(nwbtables.column(trials, name, self.trials), name)
            windows = self._windows(trials)
            table, what, left_out = self._table(file, path, windows)
        found = Arrangement(self.without, self.torn, memory=self.memory)(table, ids, None, left_out, path.stem)
        return replace(
            found,
            understood=f"{found.understood}; {what}, stimuli by column {name!r} of {self.trials}",
            digest="" if found.chunks is None else digests.of_path(path),
        )

    def _windows(self, trials: Any) -> Float64[np.ndarray, "2 trials"]:
        """Where each trial's window begins and ends, in seconds."""
        starts = np.asarray(nwbtables.column(trials, "start_time", self.trials), dtype=np.float64)
        if self.stop is None:
            ends = np.asarray(nwbtables.column(trials, "stop_time", self.trials), dtype=np.float64)
        else:
            ends = starts + self.stop
        windows = np.stack([starts + self.start, ends])
        short = np.flatnonzero(windows[1] <= windows[0])
        need(
            len(short) == 0,
            expected="a window with a length in every trial",
            got=f"none in trial {short[0] if len(short) else 0}, counted from 0",
            remedy="Mend start and stop.",
        )
        return windows

    def _table(
        self, file: Any, path: Path, windows: Float64[np.ndarray, "2 trials"]
    ) -> tuple[Any, str, dict[str, Bool[np.ndarray, " units"]]]:
        """Trials × units, what they are in words, and which units are left out."""
        series = nwbtables.series(file)
        if not self.series and "units" in file and "spike_times" in file["units"]:
            units = file["units"]
            spikes = nwbtables.Spikes(path, windows, nwbtables.ends(units, "spike_times"))
            return spikes, "spikes per second", self._left_out(units)
        need(
            bool(series),
            expected=f"spike times of units, or a RoiResponseSeries, in {path.name!r}",
            got="neither",
            remedy="Look at what the file holds.",
        )
        chosen = (
            [name for name in series if f"/{name}".endswith(f"/{self.series.strip('/')}")] if self.series else series
        )
        need(
            len(chosen) == 1,
            expected="the name of one RoiResponseSeries",
            got=repr(self.series) if self.series else "none said",
            remedy=f"Set series to one of: {', '.join(series)}.",
        )
        need(self.only == "", expected="`only` with units", got=f"a series, {chosen[0]}", remedy="Leave it out.")
        frames = np.searchsorted(nwbtables.times(file[chosen[0]]), windows)
        return nwbtables.Traces(path, chosen[0], frames, file[chosen[0]]["data"].shape[1:]), f"means of {chosen[0]}", {}

    def _left_out(self, units: Any) -> dict[str, Bool[np.ndarray, " units"]]:
        """Units that are not as `only` says."""
        if not self.only:
            return {}
        column, equals, value = self.only.partition("=")
        need(
            equals == "=",
            expected="only as column=value",
            got=repr(self.only),
            remedy=f"The columns of the units are: {', '.join(nwbtables.columns(units))}.",
        )
        found = nwbtables.column(units, column, "units")
        return {f"units whose {column} is not {value}": np.array([str(one) != value for one in found.tolist()])}
