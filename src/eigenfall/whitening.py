"""Whitening inside a network: a hidden layer's values with zero mean and unit covariance over the batch.

    C = (1/B) Σ (h − h̄)(h − h̄)ᵀ,   C' = C + (jitter + shrinkage · tr C/units) I,   y = W (h − h̄),   W C' Wᵀ = I
    cholesky  W = L⁻¹, C' = L Lᵀ        zca  W = C'^(−1/2)        pca  W = Λ^(−1/2) Vᵀ, C' = V Λ Vᵀ

A direction of variance λ comes out with λ/(λ + jitter), whatever the method: at a jitter of 1e-5 small ones stay small.

Source: Nassar, Sokol, Chung, Harris and Park 2020, On 1/n neural representation and robustness, NeurIPS 33,
arXiv:2012.04729. Its code has `cholesky`, a jitter of 1e-5 and, in every mode, the statistics of whatever batch comes.
Differs from the source: in eval mode a layer uses statistics that it remembers, so that no prediction and no attack's
gradient depends on other inputs of the batch; `statistics="batch"` is as published. Everything is float64 inside.

The axes of `pca` swap when two eigenvalues do, from batch to batch and from train to eval mode; `zca` and `cholesky` do
not (Huang et al. 2018, Decorrelated batch normalization, CVPR, arXiv:1804.08450).
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eigenfall import processes
from eigenfall.check import need, one_of
from eigenfall.layers import device_of, left_as_found
from eigenfall.linalg import UnitSide
from eigenfall.whiteningmatrices import METHODS, whitening_matrix

Whitening = Literal["none", "cholesky", "zca", "pca"]
Statistics = Literal["running", "batch"]

CHUNK = 4096
"""How many inputs a pass without gradient takes at once."""
REMEDY = (
    "Directions without variance would be blown up by 1/√jitter: "
    "use larger batches, last_batch=drop or a narrower layer."
)


# --------------------------------------------------------------------------------- module


class Whiten(nn.Module):
    """Whitens the values of a hidden layer.

    In train mode by the mean and covariance of the batch, with gradients through both, and remembers them: a plain
    average over the first 1/momentum batches, then an exponential one. In eval mode by what it remembers; before any
    batch that is mean 0 and covariance I. Under `statistics="batch"`, as published, by the batch in every mode, until
    `statistics_from` or `freeze` pins it; a pin is of this module, and is not saved with the weights.

    Attributes:
        method: "cholesky", as published; "zca"; "pca".
        jitter: added to the covariance's diagonal.
        shrinkage: times the mean variance of a unit, added to the diagonal as well.
        demean: off, the mean is not taken off: un-centred second moments, as in the source's last revision.
        statistics: "running", what eval mode uses is remembered; "batch", nothing is.
        momentum: weight of a batch in what is remembered.
        pinned: whether eval mode uses what is remembered although `statistics` is "batch".
        mean: `(units,)` float64, a buffer.
        covariance: `(units, units)` float64, divisor the rows, nothing added to its diagonal; a buffer.
        batches: how many were remembered; a buffer.
    """

    mean: Tensor
    covariance: Tensor
    batches: Tensor

    def __init__(
        self,
        units: int,
        method: str = "cholesky",
        jitter: float = 1e-5,
        shrinkage: float = 0.0,
        demean: bool = True,
        statistics: str = "running",
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        one_of(method, METHODS, "method of whitening")
        one_of(statistics, get_args(Statistics), "kind of statistics")
        need(
            jitter >= 0 and shrinkage >= 0,
            expected="a jitter and a shrinkage of 0 or more",
            got=f"{jitter} and {shrinkage}",
            remedy="A jitter of 1e-5 is the paper's.",
        )
        need(
            0 < momentum <= 1, expected="a momentum above 0, up to 1", got=f"{momentum}", remedy="Use for instance 0.1."
        )
        self.units, self.method, self.jitter, self.shrinkage = units, method, jitter, shrinkage
        self.demean, self.statistics, self.momentum, self.pinned = demean, statistics, momentum, False
        self.register_buffer("mean", torch.zeros(units, dtype=torch.float64))
        self.register_buffer("covariance", torch.eye(units, dtype=torch.float64))
        self.register_buffer("batches", torch.tensor(0))
        self._known: tuple[Tensor, int, Tensor] | None = None

    @property
    def of_batch(self) -> bool:
        """Whether values are whitened by their own batch."""
        return self.training or (self.statistics == "batch" and not self.pinned)

    def forward(self, values: Float[Tensor, "batch units"]) -> Float[Tensor, "batch units"]:
        """Whitened values, in the precision of the values.

        Raises:
            ValueError: for other units; for a singular covariance; in train mode for no more rows than units (as
                published, a warning instead), and for a batch in several processes.
        """
        need(
            values.shape[1] == self.units,
            expected=f"values (batch, {self.units})",
            got=f"shape {tuple(values.shape)}",
            remedy="Make the layer with as many units as it is to whiten.",
        )
        wide = values.double()
        if not self.of_batch:
            return ((wide - self.mean) @ self.matrix().T).to(values.dtype)
        need(
            processes.count() == 1,
            expected="one process to whiten by the batch in",
            got=f"a group of {processes.count()}, each with a part of it",
            remedy="Freeze the layer (eigenfall.whitening.freeze), or train in one process.",
        )
        self._need_rows(len(values))
        mean = wide.mean(0) if self.demean else torch.zeros_like(wide[0])
        centred = wide - mean
        covariance = centred.T @ centred / len(values)
        if self.training and self.statistics == "running":
            self._remember(mean.detach(), covariance.detach())
        return (centred @ whitening_matrix(self._regular(covariance), self.method).T).to(values.dtype)

    def matrix(self) -> Float64[Tensor, "units units"]:
        """W of what is remembered; found anew only when that has changed."""
        held = self.covariance
        if held.is_inference():  # which does not count its changes
            return whitening_matrix(self._regular(held.double()), self.method)
        if self._known is None or self._known[0] is not held or self._known[1] != held._version:
            with torch.inference_mode(False), torch.no_grad():  # else no gradient could lead through it later
                self._known = (held, held._version, whitening_matrix(self._regular(held.double()), self.method))
        return self._known[2]

    def extra_repr(self) -> str:
        """What a printed model tells of it."""
        return (
            f"{self.units}, method={self.method}, jitter={self.jitter}, shrinkage={self.shrinkage}, "
            f"demean={self.demean}, statistics={self.statistics}, momentum={self.momentum}"
        )

    def _regular(self, covariance: Tensor) -> Tensor:
        """The covariance with what is added to its diagonal."""
        added = self.jitter + self.shrinkage * covariance.diagonal().mean()
        return covariance + added * torch.eye(self.units, dtype=covariance.dtype, device=covariance.device)

    @torch.no_grad()
    def _remember(self, mean: Tensor, covariance: Tensor) -> None:
        weight = (1 / (self.batches + 1)).clamp(min=self.momentum).to(self.mean)
        self.mean.lerp_(mean.to(self.mean), weight)
        self.covariance.lerp_(covariance.to(self.covariance), weight)
        self.batches += 1

    def _need_rows(self, rows: int) -> None:
        """Refuse a batch whose covariance is sure to be singular; as published, warn of it."""
        if self.statistics == "batch" and rows <= self.units:
            warnings.warn(f"{rows} rows to whiten {self.units} units by. {REMEDY}", stacklevel=3)
            return
        need(
            rows > self.units,
            expected=f"more rows in a batch than the {self.units} units to be whitened",
            got=f"{rows}",
            remedy=REMEDY,
        )


# --------------------------------------------------------------------------- from outside


def statistics_from(layer: Whiten, inputs: Float[Tensor, "rows units"]) -> None:
    """Let a layer whiten, in eval mode and from now on, by the statistics of these rows, which are its own inputs.

    Raises:
        ValueError: for no more rows than units.
    """
    sums = UnitSide(layer.units, device=inputs.device)
    sums.add(inputs.detach())
    _pin(layer, sums)


def freeze(model: nn.Module, inputs: Float[Tensor, "rows ..."], published: bool = True) -> tuple[str, ...]:
    """Let every whitening layer of a model use, in eval mode, the statistics of all these inputs of the model.

    One pass in eval mode for each layer, earlier ones first, in chunks whose sums are float64; the rest of the model is
    left as it was.

    Args:
        model: with layers `Whiten`, or without.
        inputs: of the model, all that count: the training set.
        published: also the layers with `statistics="batch"`; off, they go on with the statistics of each batch.

    Returns:
        The names of the layers that were set.

    Raises:
        ValueError: for no more inputs than a layer has units.
    """
    found = {name: layer for name, layer in _whitening(model).items() if published or layer.statistics == "running"}
    for layer in found.values():
        sums = UnitSide(layer.units, device=layer.mean.device)
        with left_as_found(model), torch.no_grad():
            pinned, layer.pinned = layer.pinned, True  # its output is of no matter, and needs no statistics
            layer.register_forward_pre_hook(partial(_add, sums))
            try:
                for chunk in inputs.split(CHUNK):
                    model(chunk.to(device_of(model)))
            finally:
                layer.pinned = pinned
        _pin(layer, sums)
    return tuple(found)


def frozen_buffers(model: nn.Module, inputs: Float[Tensor, "inputs ..."], rows: Tensor) -> dict[str, Tensor]:
    """What the buffers of layers with running statistics would hold after `freeze` on these rows of the inputs.

    The model is left as it was. Empty without such layers, or for no more rows than one of them has units.
    """
    running = _running(model, len(rows))
    if not running:
        return {}
    with _pins_kept(running), left_as_found(model):
        freeze(model, inputs[rows], published=False)
        return {f"{name}.{key}": held.clone() for name, layer in running.items() for key, held in layer.named_buffers()}


@contextmanager
def freezing(model: nn.Module, rows: int) -> Iterator[None]:
    """A pass of so many rows, in eval mode, sees layers with running statistics as `freeze` on its rows leaves them.

    One pass in all: a layer is set when its own rows come to it, and the next one sees what it makes of them. Nothing
    happens for no more rows than one of them has units. The caller puts buffers back.
    """
    running = _running(model, rows)
    held = [layer.register_forward_pre_hook(_pin_by) for layer in running.values()]
    try:
        with _pins_kept(running):
            yield
    finally:
        for hook in held:
            hook.remove()


def _running(model: nn.Module, rows: int) -> dict[str, Whiten]:
    """Layers with running statistics; none if one of them has as many units as there are rows."""
    found = {name: layer for name, layer in _whitening(model).items() if layer.statistics == "running"}
    return found if rows > max((layer.units for layer in found.values()), default=0) else {}


@contextmanager
def _pins_kept(layers: Mapping[str, Whiten]) -> Iterator[None]:
    """Which of the layers are pinned is put back on exit."""
    pinned = {layer: layer.pinned for layer in layers.values()}
    try:
        yield
    finally:
        for layer, before in pinned.items():
            layer.pinned = before


def _pin_by(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    """Give a layer the statistics of the rows that come to it."""
    assert isinstance(layer, Whiten)
    sums = UnitSide(layer.units, device=layer.mean.device)
    sums.add(arguments[0])
    _pin(layer, sums)


def _whitening(model: nn.Module) -> dict[str, Whiten]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, Whiten)}


def _add(sums: UnitSide, layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    sums.add(arguments[0])


@torch.no_grad()
def _pin(layer: Whiten, sums: UnitSide) -> None:
    need(
        sums.count > layer.units,
        expected=f"more rows than the {layer.units} units to be whitened",
        got=f"{sums.count}",
        remedy="Give all training inputs, or use a narrower layer.",
    )
    covariance = sums.matrix / sums.count
    layer.mean.copy_(sums.mean if layer.demean else torch.zeros_like(sums.mean))
    layer.covariance.copy_(covariance if layer.demean else covariance + sums.mean.outer(sums.mean))
    layer.batches.fill_(max(1, int(layer.batches)))
    layer.pinned = True
