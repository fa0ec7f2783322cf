"""Inputs with targets, and responses of units to stimuli."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float, Shaped
from torch import Tensor

from eigenfall.check import need

Bounds = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs with their targets.

    Attributes:
        inputs: `(inputs, ...)`, float32, inside the bounds of the examples.
        targets: class of each input, `(inputs,)`, int64.
    """

    inputs: Float[Tensor, "inputs ..."]
    targets: Shaped[Tensor, " inputs"]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class Examples:
    """A data set in three splits. Code that selects anything is handed `train` and `validation` only.

    Attributes:
        name: the data set's name.
        train: what weights are fitted on.
        validation: what stopping and strengths are chosen on; may be empty.
        test: what is reported, and nothing else.
        classes: how many classes the targets count.
        bounds: lowest and highest value an input may take; `None` if there are none.
        unit: what one unit of an input is, "pixel" for images in [0, 1].
        scale: [0, 1] pixels per native unit for each test input, if the unit is not "pixel".
        digest: SHA-256 of the contents of all splits.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    bounds: Bounds | None = (0.0, 1.0)
    unit: str = "pixel"
    scale: Float[Tensor, " inputs"] | None = None
    digest: str = ""


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses of units to stimuli: in memory, or yielded in chunks by a function that can be called again.

    Exactly one of `values` and `chunks` is given.

    Attributes:
        values: `(repeats, stimuli, units)`, NaN for a missing repeat.
        chunks: called without arguments, yields pieces `(repeats, some stimuli, units)`, or
            `(repeats, stimuli, some units)` if `chunked_over` is "units". What it returns may have a length and be
            indexed: then progress knows its end, and an interrupted reading goes on where it stopped.
        chunked_over: the axis along which pieces are cut.
        sampled_over: what the second axis counts.
        name: what is shown in tables, for instance a layer or a file.
        understood: how a file was read, in words, for instance `600 stimuli × 82 units × 5-9 repeats`.
        dropped: what was left out on the way here, and how many.
        block: how many successive samples belong together, such as the places of one input, or a stretch of time;
            resampling keeps them together.
        size: `(repeats, stimuli, units)` of a stream, if it is known before reading.
        digest: SHA-256 of the contents, if it is known without reading; empty if not.
        notices: what a reader must know of how the responses came about, in words.
    """

    values: Float[Tensor, "repeats stimuli units"] | None = None
    chunks: Callable[[], Iterable[Tensor]] | None = None
    chunked_over: Literal["stimuli", "units"] = "stimuli"
    sampled_over: Literal["stimuli", "time"] = "stimuli"
    name: str = "responses"
    understood: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)
    block: int = 1
    size: tuple[int, int, int] | None = None
    digest: str = ""
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        need(
            (self.values is None) != (self.chunks is None),
            expected="responses either in memory or in chunks",
            got="both" if self.values is not None else "neither",
            remedy="Give `values` or `chunks`, not both.",
        )

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """`(repeats, stimuli, units)`; `None` for a stream that does not say."""
        if self.values is None:
            return self.size
        repeats, stimuli, units = self.values.shape
        return repeats, stimuli, units

    def pieces(self) -> Iterator[Tensor]:
        """The responses as three-axis pieces: the whole, or chunk by chunk, each checked for its axes."""
        whole = () if self.values is None else (self.values,)
        for piece in whole if self.chunks is None else self.chunks():
            need(
                piece.ndim == 3,
                expected="responses as (repeats, stimuli, units)",
                got=f"shape {tuple(piece.shape)}",
                remedy="For one repeat, add a first axis of length 1.",
            )
            yield piece
