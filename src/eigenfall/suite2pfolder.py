"""What a suite2p folder holds that is not pickled: traces of ROIs, and which are cells and which are red.

Source: Pachitariu et al. 2017, bioRxiv 061507, doi:10.1101/061507; its outputs, suite2p.readthedocs.io.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from eigenfall.check import need


@dataclass(frozen=True, eq=False)
class Windows:
    """Events × ROIs: means of the traces in the window of each event; NaN where it passes an end of the recording.

    Attributes:
        planes: folders.
        traces: spks or F.
        shapes: ROIs and frames of each plane.
        starts: first frame of each window.
        frames: how many frames a window has.
    """

    planes: tuple[Path, ...]
    traces: str
    shapes: tuple[tuple[int, ...], ...]
    starts: Int64[np.ndarray, " events"]
    frames: int

    @property
    def shape(self) -> tuple[int, int]:
        """`(events, ROIs)`."""
        return len(self.starts), sum(shape[0] for shape in self.shapes)

    @property
    def length(self) -> int:
        """How many frames all planes have."""
        return min(shape[1] for shape in self.shapes)

    def __call__(self, first: int, last: int) -> Float64[np.ndarray, "events some_units"]:
        """ROIs from the first to before the last."""
        inside = (self.starts >= 0) & (self.starts + self.frames <= self.length)
        means, before = np.full((self.shape[0], last - first), np.nan), 0
        for plane, (count, _) in zip(self.planes, self.shapes):
            start, stop = max(first, before), min(last, before + count)
            if start < stop:
                some = traces_of(plane, self.traces)[start - before : stop - before, : self.length]
                total = np.zeros((int(inside.sum()), stop - start))
                for frame in range(self.frames):
                    total += some[:, self.starts[inside] + frame].T
                means[inside, start - first : stop - first] = total / self.frames
            before += count
        return means


# ---------------------------------------------------------------------------------- the folder


TRACES = ("spks", "F")
"""Arrays of traces that are read."""


def is_suite2p(path: Path) -> bool:
    """Whether a folder holds traces, or planes with traces."""
    return any(_with_traces(path, traces) for traces in TRACES)


def _with_traces(path: Path, traces: str) -> tuple[Path, ...]:
    """The folders of planes with traces, in their order."""
    if (path / f"{traces}.npy").is_file():
        return (path,)
    for folder in (path, path / "suite2p"):
        found = [plane for plane in folder.glob("plane*") if (plane / f"{traces}.npy").is_file()]
        if found:
            return tuple(sorted(found, key=lambda plane: (len(plane.name), plane.name)))
    return ()


def planes(path: Path, traces: str) -> tuple[Path, ...]:
    """The folders of the planes, in their order."""
    need(path.is_dir(), expected=f"a folder {str(path)!r}", got="none there", remedy="Mend the path.")
    found = _with_traces(path, traces)
    need(
        bool(found),
        expected=f"{traces}.npy in {str(path)!r}, or in its plane0, plane1, …",
        got="none there",
        remedy="Name the folder that suite2p wrote, and set traces to spks or F.",
    )
    return found


def _loaded(path: Path) -> np.ndarray:
    """An array of numbers, mapped from an .npy file."""
    try:
        found = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, OSError) as reason:
        told = (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
        raise ValueError(
            f"Expected {path.parent.name}/{path.name} to hold an array of numbers, got what numpy refuses: {told}. "
            "Save it again with numpy.save, without objects."
        ) from reason
    need(
        found.dtype.kind in "biuf",
        expected=f"numbers in {path.parent.name}/{path.name}",
        got=f"type {found.dtype}",
        remedy="Save it again with numpy.save, without objects.",
    )
    return found


def traces_of(plane: Path, traces: str) -> Shaped[np.ndarray, "rois frames"]:
    """The traces of a plane, mapped."""
    found = _loaded(plane / f"{traces}.npy")
    need(
        found.ndim == 2 and min(found.shape) > 0,
        expected=f"ROIs × frames in {plane.name}/{traces}.npy",
        got=f"shape {found.shape}",
        remedy="Name the folder that suite2p wrote.",
    )
    return found


def masks(planes: tuple[Path, ...]) -> list[Path]:
    """The files of marks that there are."""
    return [path for plane in planes for path in (plane / "iscell.npy", plane / "redcell.npy") if path.is_file()]


def marks(planes: tuple[Path, ...], shapes: tuple[tuple[int, ...], ...], name: str) -> Bool[np.ndarray, " rois"]:
    """A mark for each ROI: the first column of iscell.npy or redcell.npy; without the file all are cells, none red."""
    found_marks: list[np.ndarray] = []
    for plane, (count, _) in zip(planes, shapes):
        path = plane / f"{name}.npy"
        if not path.is_file():
            found_marks.append(np.full(count, name == "iscell"))
            continue
        found = _loaded(path)
        need(
            found.shape[:1] == (count,),
            expected=f"a row for each of {count} ROIs in {plane.name}/{path.name}",
            got=f"shape {found.shape}",
            remedy="Use files of one run of suite2p.",
        )
        found_marks.append(found.reshape(count, -1)[:, 0] > 0)
    return np.concatenate(found_marks)
