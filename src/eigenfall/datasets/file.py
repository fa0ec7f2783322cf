"""The user's own images and targets, from an .npz file of plain arrays.

    uint8:   input = byte / 255;   floating point: input as it is, inside the bounds

Format: arrays `inputs` and `targets`, or `x` and `y`, or `images` and `labels`; or, already divided, `x_train`,
`y_train`, `x_test`, `y_test`. Rows are split by NumPy's legacy permutation of a seed: train, validation, test. Pickled
objects are never read.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from eigenfall.check import need
from eigenfall.scaling import Scaling
from eigenfall.splits import assembled, legacy_order
from eigenfall.types import Examples, Split

_PAIRS = (("inputs", "targets"), ("x", "y"), ("images", "labels"), ("x_train", "y_train"))
_TEST = ("x_test", "y_test")


@dataclass(frozen=True)
class File:
    """Images and targets from an .npz file.

    Attributes:
        path: the .npz file.
        bounds: lowest and highest value an input may take, low/high; none if there are none. Bytes become 0 to 1.
        channels: where the channel axis of four-axis inputs stands, "first" or "last"; none: first, and refused if the
            shape looks like last.
        classes: how many classes the targets count; none: each of 0 to the largest target occurs.
        validation: share of the rows (of the training rows, if test rows come with the file) held out for choosing.
        test: share of the rows kept for testing, unless test rows come with the file.
        seed: of the permutation that divides the rows.
        scaling: "pixel", values as they are, or "l3", each image divided by its own L3 norm, if the bounds are 0 and 1.
    """

    cite: ClassVar[str] = ""
    path: Path
    bounds: tuple[float, float] | None = (0.0, 1.0)
    channels: Literal["first", "last"] | None = None
    classes: int | None = None
    validation: float = 0.1
    test: float = 0.2
    seed: int = 0
    scaling: Scaling = "pixel"

    def __call__(self) -> Examples:
        """Read the file.

        Returns:
            Inputs `(inputs, channels, height, width)`, float32. If the bounds are not 0 and 1, the unit is "native" and
            `scale` holds 1 / (high − low). Of scaling l3, the unit is "L3" and `scale` each test image's norm.

        Raises:
            ValueError: if the file is missing, damaged or holds objects; if an array has another shape, type, length or
                range, or NaN; or if the shares leave no row to test on.
        """
        arrays = _read(self.path)
        found = [pair for pair in _PAIRS if all(name in arrays for name in pair)]
        need(
            len(found) == 1,
            expected=f"one pair of arrays in {self.path}: {', '.join(f'{x} and {y}' for x, y in _PAIRS)}",
            got=f"{len(found)} pairs among {', '.join(sorted(arrays)) or 'no arrays'}",
            remedy="Save them with numpy.savez(path, inputs=…, targets=…).",
        )
        divided = found[0] == _PAIRS[3]
        need(
            not divided or all(name in arrays for name in _TEST),
            expected=f"x_test and y_test beside x_train and y_train in {self.path}",
            got=", ".join(sorted(arrays)),
            remedy="Save all four, or inputs and targets alone.",
        )
        need(
            self.validation >= 0 and self.test > 0 and self.validation + (0 if divided else self.test) <= 1,
            expected="shares validation of 0 or more and test above 0 that add up to 1 at most",
            got=f"validation={self.validation}, test={self.test}",
            remedy="Lower them.",
        )
        need(
            self.scaling == "pixel" or self.bounds == (0.0, 1.0),
            expected="bounds=0/1 for scaling=l3",
            got=f"bounds={'none' if self.bounds is None else '/'.join(f'{bound:g}' for bound in self.bounds)}",
            remedy="Save images in [0, 1], or leave scaling out.",
        )
        rows = self._rows(arrays, *found[0])
        held_out = self._rows(arrays, *_TEST) if divided else None
        need(
            held_out is None or held_out.inputs.shape[1:] == rows.inputs.shape[1:],
            expected=f"x_test of the shape of x_train in {self.path}",
            got=f"{tuple(held_out.inputs.shape[1:])} beside {tuple(rows.inputs.shape[1:])}" if held_out else "",
            remedy="Save images of one size.",
        )
        classes = self._classes([rows.targets, *([held_out.targets] if held_out else [])])
        order = torch.from_numpy(legacy_order(self.seed, len(rows)))
        tested = 0 if held_out else round(self.test * len(rows))
        checked = min(round(self.validation * len(rows)), len(rows) - tested)
        need(
            held_out is not None or tested > 0,
            expected="at least one row to test on",
            got=f"test={self.test} of {len(rows)} rows",
            remedy="Raise it.",
        )
        first, second, third = order.split([len(rows) - checked - tested, checked, tested])
        train, validation, test = (Split(rows.inputs[part], rows.targets[part]) for part in (first, second, third))
        splits = (train, validation, held_out or test)
        if self.bounds in ((0.0, 1.0), None):
            unit = "native" if self.bounds is None else "pixel"
            return assembled(self.path.stem, splits, classes, self.bounds, unit, scaling=self.scaling)
        low, high = self.bounds
        scale = torch.full((len(splits[2]),), 1 / (high - low))
        return assembled(self.path.stem, splits, classes, self.bounds, "native", scale)

    def _rows(self, arrays: dict[str, np.ndarray], inputs: str, targets: str) -> Split:
        """One pair of arrays as inputs with four axes and int64 targets."""
        values, labels = self._inputs(arrays[inputs], inputs), arrays[targets]
        need(
            labels.ndim == 1 and labels.dtype.kind in "iu",
            expected=f"{targets} as one whole number per input in {self.path}",
            got=f"{labels.dtype} of shape {labels.shape}",
            remedy="Save class numbers as integers, one axis.",
        )
        need(
            len(labels) == len(values) > 0,
            expected=f"as many {targets} as {inputs}, and at least one, in {self.path}",
            got=f"{len(labels)} and {len(values)}",
            remedy="Save one target for each input.",
        )
        return Split(values, torch.from_numpy(labels.astype(np.int64)))

    def _inputs(self, values: np.ndarray, name: str) -> Tensor:
        need(
            values.ndim in (3, 4),
            expected=f"{name} (inputs, height, width) or (inputs, channels, height, width) in {self.path}",
            got=f"shape {values.shape}",
            remedy="Reshape them, flat inputs for instance to (inputs, 1, 1, features).",
        )
        if values.ndim == 3:
            values = values[:, None]
        elif self.channels == "last":
            values = np.moveaxis(values, 3, 1)
        else:
            need(
                self.channels == "first" or values.shape[3] not in (1, 3, 4) or values.shape[1] in (1, 3, 4),
                expected=f"{name} (inputs, channels, height, width) in {self.path}",
                got=f"shape {values.shape}, which looks like channels last",
                remedy="Set channels=last, or channels=first if it is not.",
            )
        need(
            values.dtype == np.uint8 or values.dtype.kind == "f",
            expected=f"{name} as uint8 or floating point in {self.path}",
            got=str(values.dtype),
            remedy="Save bytes as uint8, anything else as float32.",
        )
        if values.dtype == np.uint8:
            need(
                self.bounds == (0.0, 1.0),
                expected=f"bounds=0/1 for uint8 {name}, which are divided by 255",
                got=f"bounds={self.bounds}",
                remedy="Leave bounds out, or save floating point values.",
            )
            return torch.from_numpy(np.ascontiguousarray(values)).to(torch.float32).div_(255)
        finite = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        need(
            bool(finite.isfinite().all()),
            expected=f"finite {name} in {self.path}",
            got=f"NaN or infinity in {int((~finite.isfinite()).flatten(1).any(1).sum())} of {len(finite)} inputs",
            remedy="Leave those inputs out.",
        )
        if self.bounds is not None and finite.numel():
            low, high = self.bounds
            need(low < high, expected="bounds as low/high", got=f"{low}/{high}", remedy="Write the lower one first.")
            need(
                low <= float(finite.min()) and float(finite.max()) <= high,
                expected=f"{name} from {low:g} to {high:g} in {self.path}",
                got=f"{float(finite.min()):g} to {float(finite.max()):g}",
                remedy="Set bounds=low/high or bounds=none, or rescale the inputs.",
            )
        return finite

    def _classes(self, targets: list[Tensor]) -> int:
        present = torch.cat(targets).unique()
        count = int(present[-1]) + 1 if self.classes is None else self.classes
        need(
            int(present[0]) >= 0 and int(present[-1]) < count,
            expected=f"targets of 0 to {count - 1} in {self.path}",
            got=f"{int(present[0])} to {int(present[-1])}",
            remedy="Number the classes from 0.",
        )
        need(
            self.classes is not None or len(present) == count,
            expected=f"each class of 0 to {count - 1} in {self.path}",
            got=f"{len(present)} of {count}",
            remedy="Number the classes from 0 without gaps, or set classes to their number.",
        )
        return count


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name, none of them unpickled."""
    need(path.is_file(), expected=f"a file at {path}", got="none", remedy="Mend the path; it ends in .npz.")
    need(
        zipfile.is_zipfile(path),
        expected=f"an .npz file at {path}",
        got="something else, or a damaged one",
        remedy="Save it with numpy.savez.",
    )
    try:
        with np.load(path, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except ValueError as reason:
        need(
            "Object arrays" not in str(reason),
            expected=f"arrays of numbers in {path}",
            got="an array of objects, which only a pickle can hold",
            remedy="Save each array with one numeric type.",
        )
        raise ValueError(_damaged(path, reason)) from reason
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, MemoryError) as reason:
        raise ValueError(_damaged(path, reason)) from reason


def _damaged(path: Path, reason: Exception) -> str:
    return f"Expected a whole .npz file at {path}, got {type(reason).__name__}. The file is damaged; save it again."


PRESETS: dict[str, File] = {}
