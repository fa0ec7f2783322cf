"""Linear readout by ridge regression, in closed form for all strengths at once, over responses that come in chunks.

    minimise over A, b   Σᵢ ‖A xᵢ + b − yᵢ‖² + ρ ‖A‖²,   yᵢ the one-hot target;   ρ = strength · mean eigenvalue of S

    S = Σᵢ (xᵢ − x̄)(xᵢ − x̄)ᵀ = U Λ Uᵀ,   Aᵀ = U (Λ + ρ)⁻¹ Uᵀ Σᵢ (xᵢ − x̄) yᵢᵀ,   b = ȳ − A x̄

    left out, input i is read as   yᵢ − (yᵢ − ŷᵢ) / (1 − hᵢ),   hᵢ = 1/n + (xᵢ − x̄)ᵀ (S + ρ)⁻¹ (xᵢ − x̄)

Source: Hoerl & Kennard 1970, Technometrics 12, doi:10.1080/00401706.1970.10488634; leaving one out in closed form:
Allen 1974, Technometrics 16, doi:10.1080/00401706.1974.10489157.
Differs from the source: a strength is relative to the mean eigenvalue, so that the responses' unit does not matter; the
bias is not penalised. All sums are float64, and what is held is units × units, whatever the number of inputs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from eigenfall.check import given, need
from eigenfall.linalg import UnitSide, symmetric_eigh
from eigenfall.types import Task

Chunks = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Yields responses `(some inputs, units)` with their targets `(some inputs,)`, int64; may be called again."""

STRENGTHS = tuple(10 ** (power / 2) for power in range(-16, 3))
"""1e-8 to 10, two to a decade."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear readout, and how its strength was chosen.

    Attributes:
        weight: `(classes, units)`.
        bias: `(classes,)`.
        strength: the chosen one: of the best accuracy, the largest.
        penalty: ρ, the strength in the responses' own squared unit.
        strengths: all that were tried.
        accuracies: share of right answers for each: of the validation inputs or, without any, of each training input
            when it is left out.
        chosen_by: "validation" or "leave-one-out".
    """

    weight: Float64[Tensor, "classes units"]
    bias: Float64[Tensor, " classes"]
    strength: float
    penalty: float
    strengths: tuple[float, ...]
    accuracies: tuple[float, ...]
    chosen_by: str

    @property
    def accuracy(self) -> float:
        """Of the chosen strength: a little too high, as it was chosen for it."""
        return self.accuracies[self.strengths.index(self.strength)]

    @property
    def at_the_edge(self) -> bool:
        """Whether the chosen strength is the smallest or the largest tried: then another may be better."""
        return self.strength in (min(self.strengths), max(self.strengths))

    def readout(self) -> nn.Linear:
        """The readout as a float32 module on the CPU."""
        classes, units = self.weight.shape
        made = nn.Linear(units, classes, device="meta")
        made.weight, made.bias = (nn.Parameter(value.float().cpu()) for value in (self.weight, self.bias))
        return made


def ridge_readout(
    training: Chunks, classes: int, strengths: Sequence[float] = STRENGTHS, validation: Chunks | None = None
) -> Ridge:
    """Fit a linear readout for each strength, and keep the one that reads best.

    Args:
        training: responses with targets to fit on.
        classes: how many there are; targets count from 0.
        strengths: to choose among, above 0, relative to the mean eigenvalue of the responses' scatter.
        validation: responses with targets to choose the strength on; `None`: each training input is left out in turn.

    Returns:
        The readout of the best strength, with the accuracies of all. What a readout is worth is told by data that
        chose nothing.

    Raises:
        ValueError: if there are no strengths or none above 0, no rows, rows that are not finite or do not match, or
            responses that do not vary.

    Example:
        >>> rows, classes = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 2
        >>> rows[classes == 1, 0] += 8
        >>> ridge_readout(lambda: [(rows, classes)], classes=2).accuracy
        1.0
    """
    need(
        len(strengths) > 0 and min(strengths) > 0,
        expected="one or more strengths, above 0",
        got=f"{list(strengths)}",
        remedy="Small ones are relative to the mean eigenvalue: 1e-8 hardly shrinks anything.",
    )
    scatter, sums, counts = _moments(training, classes)
    values, vectors = symmetric_eigh(scatter.matrix)
    values, mean, share = values.clamp(min=0), scatter.mean, counts / counts.sum()
    need(
        float(values[0]) > 0,
        expected="responses that vary over the inputs",
        got=f"{scatter.count} rows that are all the same",
        remedy="Look whether every unit is silent.",
    )
    penalties = torch.tensor(strengths, dtype=torch.float64, device=mean.device) * values.mean()
    shrunk = 1 / (values + penalties[:, None])  # (strengths, units)
    products = (sums - counts[:, None] * mean) @ vectors  # (classes, units), along the eigenvectors
    shrunk_products = products * shrunk[:, None]  # (strengths, classes, units)
    weights = shrunk_products @ vectors.T
    biases = share - weights @ mean

    right = torch.zeros(len(strengths), dtype=torch.float64)
    rows = 0
    for some, targets in _checked(validation or training, classes):
        if validation is not None:
            read = torch.einsum("iu,scu->sic", some, weights) + biases[:, None]
        else:
            along = (some - mean) @ vectors
            fitted = share + torch.einsum("iu,scu->sic", along, shrunk_products)
            leverage = 1 / scatter.count + along.square() @ shrunk.T  # (some inputs, strengths)
            wanted = nn.functional.one_hot(targets, classes).double()
            read = wanted - (wanted - fitted) / (1 - leverage.T[..., None])
        right += torch.stack([Task().correct(one, targets).double().sum() for one in read]).cpu()
        rows += len(targets)
    accuracies = tuple((right / rows).tolist())
    best = max(range(len(strengths)), key=lambda place: (accuracies[place], strengths[place]))
    return Ridge(
        weight=weights[best].clone(),
        bias=biases[best].clone(),
        strength=float(strengths[best]),
        penalty=float(penalties[best]),
        strengths=tuple(float(strength) for strength in strengths),
        accuracies=accuracies,
        chosen_by="leave-one-out" if validation is None else "validation",
    )


def _checked(chunks: Chunks, classes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Each chunk in float64, on the CPU where its device knows no float64; refused if it does not fit."""
    found = 0
    for rows, targets in chunks():
        need(
            rows.ndim == 2 and tuple(targets.shape) == (len(rows),),
            expected="chunks of responses (inputs, units), each with targets (inputs,)",
            got=f"shapes {tuple(rows.shape)} and {tuple(targets.shape)}",
            remedy="Flatten the responses, and give one class for each row.",
        )
        need(
            len(targets) == 0 or (int(targets.min()) >= 0 and int(targets.max()) < classes),
            expected=f"targets from 0 to {classes - 1}",
            got=f"{int(targets.min())} to {int(targets.max())}" if len(targets) else "none",
            remedy="Count classes from 0, or give their number.",
        )
        need(
            bool(rows.isfinite().all()),
            expected="finite responses",
            got="NaN or infinity in them",
            remedy="Look at the layer's scale: high powers of large currents overflow.",
        )
        found += len(rows)
        home = "cpu" if rows.device.type == "mps" else rows.device
        if len(rows):
            yield rows.detach().to(home).double(), targets.to(home)
    need(found > 0, expected="responses to read from", got="no rows", remedy="Give inputs.")


def _moments(training: Chunks, classes: int) -> tuple[UnitSide, Tensor, Tensor]:
    """Scatter of all responses, their sum in each class `(classes, units)`, and how many each has."""
    scatter, sums, counts = None, torch.zeros(()), torch.zeros(())
    for rows, targets in _checked(training, classes):
        if scatter is None:
            scatter = UnitSide(rows.shape[1], device=rows.device)
        wanted = nn.functional.one_hot(targets, classes).double()
        scatter.add(rows)
        sums, counts = sums.to(rows) + wanted.T @ rows, counts.to(rows) + wanted.sum(0)
    return given(scatter, "responses to read from", "no rows", "Give inputs."), sums, counts
