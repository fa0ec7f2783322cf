"""Second moments that add up over chunks, on either side. All sums are float64; products too, unless "mixed"."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.grams import perunit, routes
from eigenfall.grams.groups import Groups
from eigenfall.linalg import Precision, UnitSide, add_products, mirrored
from eigenfall.types import Gram

HELD_BY_FLOAT32 = (torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16)
"""Types whose values float32 holds; others are centred in float64 before products are float32."""


class OverStimuli:
    """Sums over units that come in chunks: G on the stimulus side, one for each group of units.

    A block is centred into a room that the next one uses again.
    """

    def __init__(
        self,
        piece: Float[Tensor, "repeats stimuli units"],
        precision: Precision,
        groups: Groups | None = None,
        first: int = 0,
    ) -> None:
        self.repeats, self.stimuli, _ = piece.shape
        self.precision: Precision = precision
        self.groups, self.pieces, self.units = groups, first, 0
        rows, count = self.repeats * self.stimuli, 1 if groups is None else len(groups)
        self.matrices = torch.zeros(count, rows, rows, dtype=torch.float64, device=piece.device)
        self.across = torch.zeros(count, self.repeats, self.stimuli, dtype=torch.float64, device=piece.device)
        self.energies = perunit.Growing(self.across.new_empty(2, 0))
        self.labels = perunit.Growing(torch.empty(1, 0, dtype=torch.int16))
        self.room = torch.empty(0, dtype=torch.float32 if precision == "mixed" else torch.float64, device=piece.device)

    @property
    def size(self) -> routes.Size:
        """What was read so far."""
        return self.repeats, self.stimuli, self.units

    def add(self, piece: Float[Tensor, "repeats stimuli units"], name: str) -> None:
        """Add a chunk of units; its tensor may be used again afterwards."""
        need_alike(self.size, piece, "units")
        if self.groups is not None:
            self.labels.add(self.groups(self.pieces, piece.shape[2])[None])
        self.pieces += 1
        for block in piece.split(max(1, routes.BLOCK // max(1, self.repeats * self.stimuli)), dim=2):
            step = max(1, perunit.CACHED // max(1, self.repeats * block.shape[2]))
            means = self.across.new_zeros(block.shape[2])
            for part in block.split(step, dim=1):
                means += part.sum((0, 1), dtype=torch.float64)
            means /= self.repeats * self.stimuli
            if not bool(torch.isfinite(means.sum())):
                need_finite(block, name, 0, self.units)
            columns = self._centred(block, means, step)
            self._multiply(columns)
            self.units += block.shape[2]

    def _centred(
        self, block: Float[Tensor, "repeats stimuli units"], means: Float64[Tensor, " units"], step: int
    ) -> Float[Tensor, "rows units"]:
        """The block's units less their means, a few stimuli at a time; their energies and sums over units."""
        exact = self.room.dtype if block.dtype in HELD_BY_FLOAT32 else torch.float64
        if self.room.numel() < block.numel():
            self.room = self.room.new_empty(block.numel())
        columns = self.room[: block.numel()].view(block.shape)
        energies = perunit.Energies(columns, block.shape[2])
        for part, into, along in zip(*(whole.split(step, dim=1) for whole in (block, columns, self.across[0]))):
            into.copy_(part.to(exact) - means.to(exact))
            if self.groups is None:
                along += into.sum(2, dtype=torch.float64)
            energies.add(into)
        self.energies.add(perunit.varying(energies.each(self.repeats), means, self.stimuli))
        return columns.flatten(0, 1)

    def _multiply(self, columns: Float[Tensor, "rows units"]) -> None:
        if self.groups is None:
            add_products(self.matrices[0], columns.T, self.precision)
            return
        here = self.labels.columns[0, self.units : self.units + columns.shape[1]].to(columns.device)
        for group in here.unique().tolist():
            mine = columns[:, here == group]
            add_products(self.matrices[group], mine.T, self.precision)
            self.across[group] += mine.sum(1, dtype=torch.float64).view_as(self.across[group])

    def made(self) -> dict[str, Tensor]:
        """From these the same sums go on."""
        known = {"energies": self.energies.columns.clone(), "pieces": torch.tensor(self.pieces)}
        if self.groups is not None:
            known["labels"] = self.labels.columns.clone()
        return {"matrices": self.matrices, "across": self.across, **known}

    @staticmethod
    def resumed(kept: Mapping[str, Tensor], precision: Precision, groups: Groups | None) -> "OverStimuli":
        """The sums as they were when these were made."""
        sums = OverStimuli(kept["across"][0, :1, :1, None], precision, None, int(kept["pieces"]))
        sums.groups, (sums.repeats, sums.stimuli) = groups, kept["across"].shape[1:]
        if groups is not None:
            sums.labels = perunit.Growing(kept["labels"])
        sums.matrices, sums.across = kept["matrices"].clone(), kept["across"].clone()
        sums.energies, sums.units = perunit.Growing(kept["energies"]), kept["energies"].shape[1]
        return sums

    def merge(self, made: Mapping[str, Tensor]) -> None:
        """Add what other sums made of the units that come next, from another process or machine."""
        need_alike(self.size, made["across"][0, :, :, None], "units")
        self.matrices += made["matrices"]
        self.across += made["across"]
        self.energies.add(made["energies"])
        if self.groups is not None:
            self.labels.add(made["labels"])
        self.pieces = int(made["pieces"])
        self.units += made["energies"].shape[1]

    def grams(self, name: str) -> tuple[Gram, ...]:
        """The Gram of all units, and after it that of each group; constant units are not counted."""
        energies = self.energies.columns.clone()
        if self.groups is None:
            return (self._gram(self.matrices[0], self.across[0], energies, name),)
        labels = self.labels.columns[0].to(energies.device)
        whole = self._gram(self.matrices.sum(0), self.across.sum(0), energies, name)
        each = enumerate(zip(self.matrices, self.across))
        return whole, *(self._gram(*sums, energies[:, labels == group], name) for group, sums in each)

    def _gram(self, matrix: Tensor, across: Tensor, energies: Float64[Tensor, "2 units"], name: str) -> Gram:
        return Gram(
            mirrored(matrix),
            "stimuli",
            self.stimuli,
            int((energies[1] > 0).sum()),
            self.repeats,
            name=name,
            across=across,
            per_unit=energies,
            dropped=perunit.dropped(energies),
        )


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
        for place, part in enumerate(piece.split(step := max(1, perunit.CACHED // max(1, piece[:, 0].numel())), dim=1)):
            if not bool(torch.isfinite(part.sum(dtype=torch.float64))):
                need_finite(part, name, self.sums.count + place * step, 0)
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
        off = means - means.mean(0)
        blocks = matrix.unflatten(0, means.shape).unflatten(2, means.shape)
        diagonals = blocks.diagonal(dim1=1, dim2=3) + stimuli * off[:, None] * off
        energies = perunit.of_blocks(diagonals, means.mean(0), stimuli)
        varies = energies[1] > 0
        if self.repeats > 1 or not bool(varies.all()):
            matrix = perunit.among_rows(matrix, varies.repeat(self.repeats), off.flatten(), stimuli)
        return (
            Gram(
                matrix,
                "units",
                stimuli,
                int(varies.sum()),
                self.repeats,
                name=name,
                means=means[:, varies],
                per_unit=energies,
                dropped=perunit.dropped(energies),
            ),
        )


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
