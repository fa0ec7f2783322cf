"""Tables and time series of NWB files, read with h5py, and responses of units and ROIs in the windows of trials.

NWB is a layout of HDF5: a table is a group with a dataset for each column, named in its attribute `colnames`. A ragged
column has a second dataset, `<column>_index`, of where each row ends. A time series has `timestamps`, or a
`starting_time` with a `rate`. h5py alone reads what is needed here of any version and whatever extensions a file uses;
no schema is loaded from it, and no object reference is followed.

Source: Rübel et al. 2022, eLife 11, e78362, doi:10.7554/eLife.78362; NWB format 2, nwb-schema.readthedocs.io.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from eigenfall import hdf5files
from eigenfall.check import need, one_of

TIMES = ("start_time", "stop_time", "id", "tags", "timeseries", "timeseries_index", "tags_index")
"""Columns of a table of intervals that name no stimulus."""

LIKELY = ("stim", "image", "condition")
"""What is in the name of a column that names stimuli."""


def need_nwb(file: Any, path: Path) -> None:
    """Refuse an HDF5 file that does not say that it is NWB."""
    need(
        "nwb_version" in file.attrs,
        expected=f"an NWB file at {str(path)!r}",
        got="an HDF5 file that does not say nwb_version",
        remedy="Use hdf5:path=…,dataset=… for a plain HDF5 file.",
    )


def intervals(file: Any, name: str, path: Path) -> Any:
    """A table of intervals.

    Raises:
        ValueError: if there is none of this name, with those that there are.
    """
    there = [key for key, inside in file["intervals"].items() if hasattr(inside, "keys")] if "intervals" in file else []
    need(
        name in there,
        expected=f"a table {name!r} among the intervals in {path.name!r}",
        got="none",
        remedy=f"Set trials to one of: {', '.join(there)}." if there else "The file has no trials to average over.",
    )
    return file["intervals"][name]


def columns(table: Any) -> list[str]:
    """Names of a table's columns."""
    return [str(name) for name in np.asarray(table.attrs.get("colnames", []), dtype=str).tolist() if name in table]


def column(table: Any, name: str, what: str) -> Shaped[np.ndarray, " rows ..."]:
    """A column, texts as text, values of an enumeration as what they stand for.

    Raises:
        ValueError: for an unknown name, with the nearest one, or a ragged column.
    """
    one_of(name, columns(table), f"column of {what}")
    need(
        f"{name}_index" not in table,
        expected=f"one value for each row in column {name!r} of {what}",
        got="several",
        remedy="Choose another column.",
    )
    found = table[name]
    if "elements" in found.attrs:
        elements = hdf5files.text_of(table[f"{name}_elements"]) if f"{name}_elements" in table else None
        return hdf5files.text_of(found) if elements is None else elements[np.asarray(found[()], dtype=np.int64)]
    return hdf5files.text_of(found)


def stimulus_column(table: Any, what: str) -> str:
    """The column that names stimuli, guessed from its name.

    Raises:
        ValueError: if no column or more than one may.
    """
    there = [name for name in columns(table) if name not in TIMES]
    likely = [name for name in there if any(word in name.lower() for word in LIKELY)] or there
    need(
        len(likely) == 1,
        expected=f"the column of {what} that names the stimulus",
        got="none said",
        remedy=f"Set stimulus to one of: {', '.join(there)}." if there else "The table has no such column.",
    )
    return likely[0]


def ends(table: Any, name: str) -> Int64[np.ndarray, " ends"]:
    """Where each row of a ragged column begins and ends: 0, and where each ends."""
    return np.concatenate([[0], np.asarray(table[f"{name}_index"][()], dtype=np.int64)])


def series(file: Any, kind: str = "RoiResponseSeries") -> list[str]:
    """Paths of the time series of a kind, in the order of their names."""
    found: list[str] = []

    def look(name: str, inside: Any) -> None:
        told = inside.attrs.get("neurodata_type", "")
        told = told.decode() if isinstance(told, bytes) else str(told)
        if told == kind and "data" in inside:
            found.append(name)

    file.visititems(look)
    return found


def times(one: Any) -> Float64[np.ndarray, " frames"]:
    """When each frame of a time series was taken, in seconds."""
    if "timestamps" in one:
        return np.asarray(one["timestamps"][()], dtype=np.float64)
    need(
        "starting_time" in one and "rate" in one["starting_time"].attrs,
        expected=f"timestamps, or a starting time with a rate, in {one.name!r}",
        got="neither",
        remedy="Add them to the file.",
    )
    start = one["starting_time"]
    return float(start[()]) + np.arange(one["data"].shape[0]) / float(start.attrs["rate"])


# ---------------------------------------------------------------------------- trials × units


@dataclass(frozen=True, eq=False)
class Spikes:
    """Trials × units: spikes per second in each trial's window.

    Attributes:
        path: of the file.
        windows: where each begins and ends, in seconds.
        ends: 0, and where the spike times of each unit end among those of all.
    """

    path: Path
    windows: Float64[np.ndarray, "2 trials"]
    ends: Int64[np.ndarray, " ends"]

    @property
    def shape(self) -> tuple[int, int]:
        """`(trials, units)`."""
        return self.windows.shape[1], len(self.ends) - 1

    def __call__(self, first: int, last: int) -> Float64[np.ndarray, "trials some_units"]:
        """Units from the first to before the last."""
        rates = np.empty((self.shape[0], last - first))
        length = self.windows[1] - self.windows[0]
        with hdf5files.opened(self.path, "an NWB file") as file:
            units = file["units"]
            known = ends(units, "obs_intervals") if "obs_intervals" in units else None
            for place, unit in enumerate(range(first, last)):
                times = np.sort(units["spike_times"][self.ends[unit] : self.ends[unit + 1]])
                before = np.searchsorted(times, self.windows)
                rates[:, place] = (before[1] - before[0]) / length
                if known is not None and known[unit + 1] > known[unit]:
                    seen = _covered(units["obs_intervals"][known[unit] : known[unit + 1]], self.windows)
                    rates[~seen, place] = np.nan
        rates[np.isnan(length)] = np.nan
        return rates


def _covered(
    observed: Float64[np.ndarray, "intervals 2"], windows: Float64[np.ndarray, "2 trials"]
) -> Bool[np.ndarray, " trials"]:
    """Which windows lie in what was observed; intervals that touch are one. A microsecond does not count."""
    order = np.argsort(observed[:, 0])
    starts, ends = observed[order, 0], np.maximum.accumulate(observed[order, 1])
    fresh = np.concatenate([[True], starts[1:] > ends[:-1] + 1e-6])
    starts, ends = starts[fresh], ends[np.concatenate([np.flatnonzero(fresh)[1:] - 1, [len(ends) - 1]])]
    place = np.searchsorted(starts, windows[0] + 1e-6, side="right") - 1
    return (place >= 0) & (windows[1] <= ends[np.maximum(place, 0)] + 1e-6)


@dataclass(frozen=True, eq=False)
class Traces:
    """Trials × ROIs: means of the traces over the frames in each trial's window.

    Attributes:
        path: of the file.
        series: path of the time series in it.
        frames: first frame of each window, and the first after it.
        inner: lengths of the axes of the data after time.
    """

    path: Path
    series: str
    frames: Int64[np.ndarray, "2 trials"]
    inner: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """`(trials, ROIs)`."""
        return self.frames.shape[1], self.inner[0] if self.inner else 1

    def __call__(self, first: int, last: int) -> Float64[np.ndarray, "trials some_units"]:
        """ROIs from the first to before the last."""
        means = np.full((self.shape[0], last - first), np.nan)
        with hdf5files.opened(self.path, "an NWB file") as file:
            data = file[self.series]["data"]
            factor, offset = (float(data.attrs.get(name, value)) for name, value in (("conversion", 1), ("offset", 0)))
            for trial, (start, stop) in enumerate(self.frames.T.tolist()):
                if stop > start:
                    seen: Shaped[np.ndarray, "frames ..."] = (
                        data[start:stop, first:last] if self.inner else data[start:stop]
                    )
                    means[trial] = seen.reshape(stop - start, -1).mean(0, dtype=np.float64) * factor + offset
        return means
