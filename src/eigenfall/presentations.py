"""Presentations in temporal order, each with the stimulus that was shown, as repeats of stimuli.

    presentations × units, a stimulus for each   →   repeats × stimuli × units, NaN where one was shown less often

The repeats of a stimulus are its presentations in temporal order; `eigenfall.repeats.two` makes two of them. Ids can be
left out, such as a grey screen, and units, such as red cells; units can be z-scored by spontaneous activity, and its
largest dimensions be removed (`spontaneous.py`).

Source: Stringer et al. 2019, Nature 571, doi:10.1038/s41586-019-1346-5, and its code, where the grey screen has the
largest id. Differs from the source: means over presentations are taken off later, with the second moments, one for all
repeats.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from eigenfall import axes, gaps, labels, streams
from eigenfall.check import need, one_of
from eigenfall.spontaneous import ADDED, Baseline, Columns, Held, baseline
from eigenfall.types import Responses

Scale = Literal["none", "spontaneous", "responses"]
SCALES = ("none", "spontaneous", "responses")


@dataclass(frozen=True)
class Arrangement:
    """How presentations become repeats of stimuli.

    Attributes:
        without: ids that are left out; "largest" is the largest of those that occur.
        torn: what to do where a single unit is NaN: refuse, leave out such units or such presentations, or read NaN as
            zero.
        scale: z-score each unit by its spontaneous activity, if there is any, or else by its responses; by its
            responses; or none: leave units as they are.
        components: how many dimensions of spontaneous activity are removed.
        memory: responses larger than this, in GB, are made piece by piece.
    """

    without: tuple[Hashable, ...] = ()
    torn: gaps.Torn = "refuse"
    scale: Scale = "none"
    components: int = 0
    memory: float = 1.0

    def __call__(
        self,
        values: Columns | Tensor | np.ndarray,
        ids: Sequence[Hashable] | Tensor | np.ndarray,
        spontaneous: Columns | Tensor | np.ndarray | None = None,
        left_out: Mapping[str, Any] | None = None,
        name: str = "presentations",
    ) -> Responses:
        """Arrange the presentations.

        Args:
            values: `(presentations, units)` in temporal order; or what gives some units at a time.
            ids: the stimulus of each presentation: numbers, or labels of any kind. `None` and NaN are no stimulus.
            spontaneous: `(times, units)`.
            left_out: masks of units that are left out, `(units,)`, by what they are, such as red cells.
            name: what the responses are called.

        Returns:
            Responses `(repeats, stimuli, units)`, stimuli in the order of their ids, or, where these have none, in that
            of their first presentations; NaN where a stimulus was shown less often than others.

        Raises:
            ValueError: if there is another number of ids than of presentations, an id that is to be left out does not
                occur, nothing is left, a value is infinite, or NaN where that is refused.

        Example:
            >>> rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
            >>> found = Arrangement(without=("grey",))(rows, ["b", "a", "grey", "b"])
            >>> found.understood
            '2 stimuli × 2 units × 1-2 repeats, from 3 presentations'
            >>> found.values[:, 1].tolist()
            [[1.0, 2.0], [7.0, 8.0]]
        """
        one_of(self.scale, SCALES, "value of scale")
        columns = _columns(values, self.memory)
        presentations, units = columns.shape
        codes, stimuli, dropped = labels.coded(ids, presentations, self.without)
        mask = np.ones(units, dtype=bool)
        for what, out in (left_out or {}).items():
            out = np.asarray(out, dtype=bool)
            need(
                out.shape == (units,),
                expected=f"a mark for each of {units} units in {what}",
                got=f"shape {out.shape}",
                remedy="Give one value per unit.",
            )
            dropped |= {what: int((out & mask).sum())}
            mask &= ~out
        need(bool(mask.any()), expected="a unit that is kept", got="none", remedy="Leave fewer units out.")
        rows = np.flatnonzero(codes >= 0)
        found = self._gaps(columns, rows, mask)
        rows, mask = rows[found.stimuli], _within(mask, found.units)
        table = labels.table_of(codes[rows], len(stimuli))
        dropped["stimuli without a presentation"] = len(stimuli) - table.shape[1]
        notices = labels.often(table)
        changed: Baseline | None = None
        if self.scale != "none":
            by_responses = spontaneous is None or self.scale == "responses"
            spont = None if by_responses else _columns(spontaneous, self.memory)
            changed = baseline(columns, rows, mask, spont, self.components)
            notices += _said_of(changed, mask, by_responses, self.components)
        size = (*table.shape, int(mask.sum()))
        dtype = gaps.kind(np.asarray(columns(0, 1)).dtype)
        width = max(1, streams.PIECE // max(presentations, table.size))
        bounds = streams.bounds(mask, width)
        pieces = partial(Pieces, columns, mask, rows, table, str(dtype), changed, found.zero, bounds)
        in_memory = float(np.prod(size, dtype=np.float64)) * dtype.itemsize <= self.memory * 1e9
        present = (table >= 0).sum(0)
        return Responses(
            values=streams.joined(pieces(), size, 2) if in_memory else None,
            chunks=None if in_memory else pieces,
            chunked_over="units",
            name=name,
            understood=f"{axes.understood(size, present)}, from {len(rows)} presentations",
            dropped={what: count for what, count in {**dropped, **found.dropped}.items() if count},
            size=None if in_memory else size,
            notices=notices,
        )

    def _gaps(self, columns: Columns, rows: np.ndarray, mask: np.ndarray) -> gaps.Gaps:
        """What is missing among the presentations and units that count."""
        width = max(1, streams.PIECE // max(1, len(rows)))
        kept = np.flatnonzero(mask)

        def slabs():
            for start in range(0, len(kept), width):
                yield "units", start, _some(columns, rows, kept[start : start + width])[None]

        def row(_: int, presentation: int) -> np.ndarray:
            return _some(columns, rows[presentation : presentation + 1], kept)[0]

        exact = np.asarray(columns(0, 1)).dtype.kind != "f"
        return gaps.found(() if exact else slabs(), (1, len(rows), len(kept)), "presentations", self.torn, row)


@dataclass(frozen=True, eq=False)
class Pieces(Sequence[Tensor]):
    """Pieces of units, arranged when they are asked for.

    Attributes:
        columns: presentations × units.
        units: which units are kept.
        rows: numbers of the presentations that are kept.
        table: which of these is each repeat of each stimulus; −1: none.
        dtype: of the pieces.
        changed: how the responses are changed first.
        zero: whether NaN are read as 0.
        bounds: first and last unit of each piece.
    """

    columns: Columns
    units: Bool[np.ndarray, " units"]
    rows: Int64[np.ndarray, " presentations"]
    table: Int64[np.ndarray, "repeats stimuli"]
    dtype: str
    changed: Baseline | None
    zero: bool
    bounds: tuple[tuple[int, int], ...]

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> "Pieces": ...

    def __getitem__(self, index):
        """The piece at a place, `(repeats, stimuli, some units)`."""
        if isinstance(index, slice):
            settings = (self.units, self.rows, self.table, self.dtype, self.changed, self.zero)
            return Pieces(self.columns, *settings, self.bounds[index])
        first, last = self.bounds[index]
        shown = self.columns(first, last)[self.rows]
        if self.changed is not None:
            shown = self.changed.removed(shown, first)
        elif self.zero:
            shown = np.nan_to_num(shown)
        shown = shown[:, self.units[first:last]].astype(self.dtype, copy=False)
        piece = np.full((*self.table.shape, shown.shape[1]), np.nan, dtype=self.dtype)
        there = self.table >= 0
        piece[there] = shown[self.table[there]]
        return torch.from_numpy(piece)

    def __len__(self) -> int:
        return len(self.bounds)


# ------------------------------------------------------------------------------------ units


def _columns(values: Any, memory: float) -> Columns:
    """Presentations × units, whatever they came as; what fits into memory is read once."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    if not isinstance(values, np.ndarray):
        rows, units = values.shape
        if 8e-9 * rows * units > memory or rows == 0 or units == 0:
            return values
        values = values(0, units)
    need(
        values.ndim == 2 and values.size > 0 and values.dtype.kind in "fiu",
        expected="numbers as (presentations, units)",
        got=f"{values.dtype} of shape {values.shape}",
        remedy="Give one row per presentation and one column per unit.",
    )
    return Held(values)


def _some(columns: Columns, rows: np.ndarray, units: np.ndarray) -> Shaped[np.ndarray, "rows some_units"]:
    first, last = int(units[0]), int(units[-1]) + 1
    return columns(first, last)[rows][:, units - first]


def _within(mask: Bool[np.ndarray, " units"], kept: Bool[np.ndarray, " some_units"]) -> Bool[np.ndarray, " units"]:
    """The mask of those units of a mask that are kept."""
    found = mask.copy()
    found[mask] = kept
    return found


def _said_of(changed: Baseline, mask: np.ndarray, by_responses: bool, components: int) -> tuple[str, ...]:
    """What a reader must know of z-scores and removed dimensions."""
    silent = int((changed.deviation[mask] == ADDED).sum())
    said = []
    if by_responses:
        said.append(
            "Units are z-scored by their responses"
            + (": there is no spontaneous activity, and no dimension of it is removed." if components else ".")
        )
    if silent and not by_responses:
        said.append(
            f"{silent} units do not vary in spontaneous activity: their responses are divided by {ADDED:g}, as in the "
            "source's code, and may rule the spectrum."
        )
    return tuple(said)
