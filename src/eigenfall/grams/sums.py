"""Second moments that add up over chunks, on either side. All sums are float64; products too, unless "mixed"."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.grams import routes
from eigenfall.linalg import Precision, UnitSide, add_products, mirrored
from eigenfall.types import Gram

HELD_BY_FLOAT32 = (torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16)
"""Types whose values float32 holds; others are centred in float64 before products are float32."""

ROUNDING = 2.0**-49
"""A unit whose root mean square is no larger than this share of its mean is constant."""


class OverStimuli:
    """Sums over units that come in chunks: G on the stimulus side, one for each group of units."""

    def __init__(
        self,
        piece: Float[Tensor, "repeats stimuli units"],
        precision: Precision,
        labels: Tensor | None = None,
        groups: int = 1,
    ) -> None:
        self.repeats, self.stimuli, _ = piece.shape
        self.precision: Precision = precision
        self.labels, self.units = labels, 0
        rows = self.repeats * self.stimuli
        self.matrices = torch.zeros(groups, rows, rows, dtype=torch.float64, device=piece.device)
        self.across = torch.zeros(groups, self.repeats, self.stimuli, dtype=torch.float64, device=piece.device)
        self.energies: list[Tensor] = []

    @property
    def size(self) -> routes.Size:
        """What was read so far."""
        return self.repeats, self.stimuli, self.units

    def add(self, piece: Float[Tensor, "repeats stimuli units"], name: str) -> None:
        """Add a chunk of units; its tensor may be used again afterwards."""
        need_alike(self.size, piece, "units")
        kind = torch.float32 if self.precision == "mixed" else torch.float64
        for block in piece.split(max(1, routes.BLOCK // (self.repeats * self.stimuli)), dim=2):
            exact = kind if block.dtype in HELD_BY_FLOAT32 else torch.float64
            columns = block.flatten(0, 1).to(exact)
            means = columns.mean(0, dtype=torch.float64)
            if not bool(torch.isfinite(means.sum())):
                need_finite(block, name, 0, self.units)
            columns = (columns - means.to(exact)).to(kind)
            self.energies.append(_energies(columns, self.repeats, means))
            self._multiply(columns)
            self.units += block.shape[2]

    def _multiply(self, columns: Float[Tensor, "rows units"]) -> None:
        if self.labels is None:
            self._multiply_into(0, columns)
            return
        here = self.labels[self.units : self.units + columns.shape[1]].to(columns.device)
        for group in here.unique().tolist():
            self._multiply_into(group, columns[:, here == group])

    def _multiply_into(self, group: int, columns: Float[Tensor, "rows units"]) -> None:
        add_products(self.matrices[group], columns.T, self.precision)
        self.across[group] += columns.sum(1, dtype=torch.float64).view_as(self.across[group])

    def made(self) -> dict[str, Tensor]:
        """From these the same sums go on."""
        return {"matrices": self.matrices, "across": self.across, "energies": torch.cat(self.energies, 1)}

    @staticmethod
    def resumed(kept: Mapping[str, Tensor], precision: Precision, labels: Tensor | None) -> "OverStimuli":
        """The sums as they were when these were made."""
        sums = OverStimuli(kept["across"][0, :, :, None], precision, labels, 0)
        sums.matrices, sums.across = kept["matrices"].clone(), kept["across"].clone()
        sums.energies, sums.units = [kept["energies"]], kept["energies"].shape[1]
        return sums

    def merge(self, made: Mapping[str, Tensor]) -> None:
        """Add what other sums made of the units that come next, from another process or machine."""
        need_alike(self.size, made["across"][0, :, :, None], "units")
        self.matrices += made["matrices"]
        self.across += made["across"]
        self.energies.append(made["energies"])
        self.units += made["energies"].shape[1]

    def grams(self, name: str) -> tuple[Gram, ...]:
        """The Gram of each group of units; constant units are not counted."""
        energies, found = torch.cat(self.energies, 1), []
        for group, matrix in enumerate(self.matrices):
            mine = energies if self.labels is None else energies[:, self.labels == group]
            found.append(
                Gram(
                    mirrored(matrix),
                    "stimuli",
                    self.stimuli,
                    int((mine[1] > 0).sum()),
                    self.repeats,
                    name=name,
                    across=self.across[group],
                    per_unit=mine,
                    dropped=dropped(mine),
                )
            )
        return tuple(found)


class OverUnits:
    """Sums over stimuli that come in chunks: G on the unit side, repeats side by side."""

    def __init__(self, piece: Float[Tensor, "repeats stimuli units"], precision: Precision) -> None:
        self.repeats, _, self.units = piece.shape
        self.sums = UnitSide(self.repeats * self.units, precision, piece.device)

    @property
    def size(self) -> routes.Size:
        """What was read so far."""
        return self.repeats, self.sums.count, self.units

    def add(self, piece: Float[Tensor, "repeats stimuli units"], name: str) -> None:
        """Add a chunk of stimuli; its tensor may be used again afterwards."""
        need_alike(self.size, piece, "stimuli")
        if not bool(torch.isfinite(piece.sum(dtype=torch.float64))):
            need_finite(piece, name, self.sums.count, 0)
        self.sums.add(piece.transpose(0, 1).flatten(1) if len(piece) > 1 else piece[0])

    def made(self) -> dict[str, Tensor]:
        """From these the same sums go on."""
        counts = {"count": torch.tensor(self.sums.count), "repeats": torch.tensor(self.repeats)}
        return {"sums": self.sums.sums, "mean": self.sums.mean, **counts}

    @staticmethod
    def resumed(kept: Mapping[str, Tensor], precision: Precision) -> "OverUnits":
        """The sums as they were when these were made."""
        repeats, mean = int(kept["repeats"]), kept["mean"]
        found = OverUnits(mean.new_empty(repeats, 0, len(mean) // repeats), precision)
        found.sums.sums, found.sums.mean, found.sums.count = kept["sums"].clone(), mean.clone(), int(kept["count"])
        return found

    def merge(self, made: Mapping[str, Tensor]) -> None:
        """Add what other sums made of the stimuli that come next, from another process or machine."""
        need_alike(self.size, made["mean"].view(int(made["repeats"]), 1, -1), "stimuli")
        self.sums.merge(int(made["count"]), made["mean"], made["sums"])

    def grams(self, name: str) -> tuple[Gram, ...]:
        """The one Gram; constant units are left out of it."""
        stimuli, matrix = self.sums.count, self.sums.matrix
        means = self.sums.mean.unflatten(0, (self.repeats, self.units))
        off = (means - means.mean(0)).flatten()
        matrix = matrix.addr(off, off, alpha=stimuli) if self.repeats > 1 else matrix
        energies = _energies_of(matrix, means, stimuli)
        varies = energies[1] > 0
        if not bool(varies.all()):
            every = varies.repeat(self.repeats)
            matrix, means = matrix[every][:, every], means[:, varies]
        return (
            Gram(
                matrix,
                "units",
                stimuli,
                int(varies.sum()),
                self.repeats,
                name=name,
                means=means,
                per_unit=energies,
                dropped=dropped(energies),
            ),
        )


# ------------------------------------------------------------------------------ of each unit


def _energies(
    columns: Float[Tensor, "rows units"], repeats: int, means: Float64[Tensor, " units"]
) -> Float64[Tensor, "2 units"]:
    """Mean over pairs of repeats of Σₛ xₜxᵤ, mean over repeats of Σₛ xₜ²; both 0 for a constant unit."""
    squares = torch.linalg.vecdot(columns, columns, dim=0).double()
    varies = squares > len(columns) * (ROUNDING * means).square()
    if repeats == 1:
        together = torch.full_like(squares, math.nan)
    else:
        total = columns.unflatten(0, (repeats, -1)).sum(0)
        together = (torch.linalg.vecdot(total, total, dim=0).double() - squares) / (repeats * (repeats - 1))
    return torch.where(varies, torch.stack([together, squares / repeats]), 0)


def _energies_of(
    matrix: Float64[Tensor, "rows rows"], means: Float64[Tensor, "repeats units"], stimuli: int
) -> Float64[Tensor, "2 units"]:
    """The same from the matrix over units."""
    repeats, units = means.shape
    squares = matrix.diagonal().unflatten(0, (repeats, units)).sum(0)
    varies = squares > repeats * stimuli * (ROUNDING * means.mean(0)).square()
    together = torch.full_like(squares, math.nan)
    if repeats > 1:
        blocks = matrix.unflatten(0, (repeats, units)).unflatten(2, (repeats, units))
        together = (blocks.diagonal(dim1=1, dim2=3).sum((0, 1)) - squares) / (repeats * (repeats - 1))
    return torch.where(varies, torch.stack([together, squares / repeats]), 0)


def dropped(energies: Float64[Tensor, "2 all_units"]) -> dict[str, int]:
    """How many units are constant, if any are."""
    constant = int((energies[1] == 0).sum())
    return {"constant units": constant} if constant else {}


# ---------------------------------------------------------------------------------- refusals


def need_finite(values: Float[Tensor, "repeats stimuli units"], name: str, stimulus: int, unit: int) -> None:
    """Refuse NaN and infinity, by the place of the first, counted from 0."""
    for repeat, row, column in (~torch.isfinite(values)).nonzero()[:1].tolist():
        what = "an infinite value" if bool(torch.isinf(values[repeat, row, column])) else "no finite repeat"
        of_repeat = "" if len(values) == 1 else f"repeat {repeat}, "
        need(
            False,
            expected=f"finite {name}",
            got=f"{what} at {of_repeat}stimulus {row + stimulus}, unit {column + unit}, counted from 0",
            remedy="Leave that stimulus or unit out.",
        )


def need_alike(size: Sequence[int], piece: Tensor, over: routes.Side) -> None:
    """Refuse a piece of another length than earlier ones across the axis along which pieces are cut."""
    words, axis = ("repeats", "stimuli", "units"), 1 if over == "stimuli" else 2
    for other in {0, 1, 2} - {axis}:
        need(
            piece.shape[other] == size[other],
            expected=f"{size[other]} {words[other]} in every chunk of {over}",
            got=f"{piece.shape[other]}",
            remedy=f"Cut the chunks along the {over} only.",
        )


def need_same(said: routes.Size | None, found: routes.Size) -> None:
    """Refuse a stream that gives another number of stimuli or units than it said."""
    for expected, got, what in zip(said or found, found, ("repeats", "stimuli", "units")):
        need(
            expected == got,
            expected=f"{expected} {what} from every reading of the chunks",
            got=f"{got}",
            remedy=f"Let the stream give the same {what} each time.",
        )
