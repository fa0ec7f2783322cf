"""A simulated recording whose signal has a known spectrum: the test bed of the estimators, and a user's tool.

    xₜ = g · [ [z + o]₊ + ν (eₜ + o) ]₊       of unit standard deviation:   z the signal,   eₜ the noise of repeat t

Cov z has eigenvalues n^−α (or a broken law) over all units, Cov e has n^−β; their eigenvectors are random, those of the
noise in part the signal's. o, the rectification [·]₊ and the gain g = ½ + γ · Exp(1), one for each stimulus and repeat,
are off by default. With `drawn="sample"` it is the noise-free responses to these very stimuli, not the population, that
have the spectrum, and each repeat's noise likewise.

The basis of the units is made of random signs and cosine transforms, exactly orthonormal. If the whole does not fit
into `memory` the units come in blocks, each a basis of its own for the leading ranks, as many as a block has units;
what the other ranks add up to is spread evenly over units. So a million units stream.

`calcium` is a trace at 2.5 Hz, three bins a stimulus, of the responses convolved with a decay of 2 s, with noise of .25
standard deviations, then deconvolved by the same first-order recursion and averaged over each stimulus's bins.

Source: Stringer et al. 2019, Nature 571, doi:10.1038/s41586-019-1346-5, simulations of that paper.
Differs from the source: its noise spectrum was measured; a law stands in.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Literal, overload

import numpy as np
import scipy
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.laws import eigenvalues
from eigenfall.stages import seeded
from eigenfall.types import Responses

BLOCK = 4096
"""How many units a block has if the whole does not fit into memory."""

BIN_SECONDS, BINS, DECAY_SECONDS, TRACE_NOISE = 0.4, 3, 2.0, 0.25


@dataclass(frozen=True)
class PowerLaw:
    """Responses of a population with a planted spectrum.

    Attributes:
        stimuli: how many.
        units: how many.
        repeats: how many.
        alpha: exponent of the signal's eigenvalues; of a broken law, beyond its break.
        alpha_1: exponent up to the break; none: no break.
        break_rank: rank of the break; none: no break.
        drawn: whether the law is that of the "population" from which stimuli are drawn, or of this very "sample".
        noise: standard deviation of one repeat's noise over that of the signal; 2 is a signal share of one fifth.
        noise_alpha: exponent of the noise's eigenvalues.
        alignment: share of the noise's variance that has the signal's eigenvectors, from 0 to 1.
        offset: added to signal and noise, in standard deviations of each.
        rectify: negative responses become 0, of the signal and of the sum.
        gain: coefficient γ of a random gain on each presentation; 0: none.
        calcium: responses are read off a simulated calcium trace.
        seed: of every draw.
        memory: GB that the responses may take at once; more units come in blocks.
    """

    cite: ClassVar[str] = "stringer2019"
    stimuli: int = 2800
    units: int = 10_000
    repeats: int = 2
    alpha: float = 1.0
    alpha_1: float | None = None
    break_rank: int | None = None
    drawn: Literal["population", "sample"] = "population"
    noise: float = 2.0
    noise_alpha: float = 1.0
    alignment: float = 0.0
    offset: float = 0.0
    rectify: bool = False
    gain: float = 0.0
    calcium: bool = False
    seed: int = 0
    memory: float = 1.0

    def __post_init__(self) -> None:
        need(
            min(self.stimuli, self.units, self.repeats) >= 1 and self.stimuli >= 2,
            expected="at least two stimuli, one unit and one repeat",
            got=f"stimuli={self.stimuli}, units={self.units}, repeats={self.repeats}",
            remedy="Say the size of the recording to simulate.",
        )
        need(
            (self.alpha_1 is None) == (self.break_rank is None),
            expected="alpha_1 and break_rank together, for a broken law, or neither",
            got=f"alpha_1={self.alpha_1}, break_rank={self.break_rank}",
            remedy="Give both.",
        )
        need(
            0 <= self.alignment <= 1 and self.noise >= 0 and self.gain >= 0,
            expected="an alignment between 0 and 1, noise and gain that are not negative",
            got=f"alignment={self.alignment}, noise={self.noise}, gain={self.gain}",
            remedy="noise=2 is twice the signal's standard deviation.",
        )
        need(
            self.drawn == "population" or self.units >= self.stimuli,
            expected="at least as many units as stimuli, for a law of the sample",
            got=f"{self.units} units and {self.stimuli} stimuli",
            remedy="Use drawn=population, or more units.",
        )

    def __call__(self, generator: torch.Generator | None = None) -> Responses:
        """Simulate the recording.

        Args:
            generator: if given, everything is drawn with it instead of `seed`.

        Returns:
            Responses `(repeats, stimuli, units)`, float32, in standard deviations of the signal of one unit on average;
            a stream over units if they do not fit into `memory`.
        """
        seed = self.seed if generator is None else int(torch.randint(2**62, (), generator=generator))
        part = replace(self, seed=seed)
        gigabytes = 4e-9 * self.stimuli * self.units * self.repeats
        blocks = 1 if gigabytes <= self.memory else max(1, math.ceil(self.units / BLOCK))
        need(
            blocks == 1 or self.drawn == "population" or self.units // blocks >= self.stimuli,
            expected=f"blocks of at least {self.stimuli} units, for a law of the sample of so many stimuli",
            got=f"{self.units // blocks}",
            remedy="Allow more memory, or use drawn=population.",
        )
        pieces = _Blocks(part, blocks)
        told = hashlib.sha256(f"{part}".encode()).hexdigest() if generator is None else ""
        return Responses(
            values=pieces[0] if blocks == 1 else None,
            chunks=None if blocks == 1 else pieces.all,
            chunked_over="units",
            name="simulated",
            understood=f"{self.stimuli} stimuli × {self.units} units × {self.repeats} repeats, simulated",
            size=None if blocks == 1 else (self.repeats, self.stimuli, self.units),
            digest=told,
        )

    @property
    def signal(self) -> Float64[Tensor, " ranks"]:
        """Planted eigenvalues of the signal, which add up to the number of units."""
        ranks = self.units if self.drawn == "population" else self.stimuli
        law, parameters = "power", {"scale": 1.0, "alpha": self.alpha}
        if self.alpha_1 is not None and self.break_rank is not None:
            law, parameters = "broken", {**parameters, "alpha_1": self.alpha_1, "break_rank": float(self.break_rank)}
        return _scaled(eigenvalues(law, ranks, parameters), self.units)

    @property
    def noise_spectrum(self) -> Float64[Tensor, " ranks"]:
        """Eigenvalues of one repeat's noise, of the size that it has."""
        ranks = self.units if self.drawn == "population" else self.stimuli
        values = eigenvalues("power", ranks, {"scale": 1.0, "alpha": self.noise_alpha})
        return self.noise**2 * _scaled(values, self.units)


def _scaled(values: Float64[Tensor, " ranks"], units: int) -> Float64[Tensor, " ranks"]:
    return values * (units / values.sum())


@dataclass(frozen=True)
class _Blocks(Sequence[Tensor]):
    """The recording in blocks of units; each is made when it is asked for, here or in another process."""

    part: PowerLaw
    blocks: int

    def all(self) -> "_Blocks":
        """Itself: what a `Responses` calls for its chunks."""
        return self

    def __len__(self) -> int:
        return self.blocks

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...

    def __getitem__(self, index):
        """Responses `(repeats, stimuli, units of the block)`."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(self.blocks))]
        if not -self.blocks <= index < self.blocks:
            raise IndexError(index)
        number = index % self.blocks
        ends = [place * self.part.units // self.blocks for place in (number, number + 1)]
        return _block(self.part, number, self.blocks, ends[1] - ends[0])


@dataclass(frozen=True, eq=False)
class _Latent:
    """What all blocks share: scores of the leading ranks, of the signal and of each repeat's noise, and gains."""

    signal: Float32[np.ndarray, "stimuli ranks"]
    aligned: Float32[np.ndarray, "repeats stimuli ranks"]
    apart: Float32[np.ndarray, "repeats stimuli ranks"]
    gains: Float32[np.ndarray, "repeats stimuli 1"]


@lru_cache(maxsize=1)
def _latent(part: PowerLaw, ranks: int) -> _Latent:
    generator = seeded(part.seed)
    signal, noise = part.signal[:ranks].sqrt().float(), part.noise_spectrum[:ranks].sqrt().float()
    scores = _scores(part, ranks, generator) * signal
    noisy = [[_scores(part, ranks, generator) * noise for _ in range(part.repeats)] for _ in range(2)]
    gains = 0.5 + part.gain * torch.empty(part.repeats, part.stimuli, 1).exponential_(generator=generator)
    return _Latent(
        scores.numpy(),
        torch.stack(noisy[0]).numpy() * math.sqrt(part.alignment),
        torch.stack(noisy[1]).numpy() * math.sqrt(1 - part.alignment),
        (gains if part.gain else torch.ones_like(gains)).numpy(),
    )


def _scores(part: PowerLaw, ranks: int, generator: torch.Generator) -> Tensor:
    """Independent normal scores of variance 1; of a sample law, orthonormal ones, times the root of the stimuli."""
    if part.drawn == "population":
        return torch.randn(part.stimuli, ranks, generator=generator)
    square = torch.randn(part.stimuli, part.stimuli, generator=generator)
    return torch.linalg.qr(square).Q[:, :ranks] * math.sqrt(part.stimuli)


def _block(part: PowerLaw, number: int, count: int, units: int) -> Float32[Tensor, "repeats stimuli units"]:
    """One block: leading ranks in a basis of its own, and what the others add up to."""
    spectrum, noisy = part.signal, part.noise_spectrum
    ranks = min(part.units // count, len(spectrum))
    latent = _latent(part, ranks)
    generator = seeded(part.seed + 1 + number)
    signs = torch.randint(0, 2, (3, units), generator=generator).numpy().astype(np.float32) * 2 - 1
    beyond, noisy_beyond = (float(values[ranks:].sum()) / part.units for values in (spectrum, noisy))
    common = _turned(latent.signal, signs[:1], units, count) + _even(part, beyond, units, generator)
    common = common + part.offset
    common = np.maximum(common, 0) if part.rectify else common
    found = np.empty((part.repeats, part.stimuli, units), dtype=np.float32)
    for repeat in range(part.repeats):
        own = common + part.noise * part.offset + _even(part, noisy_beyond, units, generator)
        if part.noise and part.alignment:
            own += _turned(latent.aligned[repeat], signs[:1], units, count)
        if part.noise and part.alignment < 1:
            own += _turned(latent.apart[repeat], signs[1:], units, count)
        own = np.maximum(own, 0) if part.rectify else own
        found[repeat] = own * latent.gains[repeat]
        if part.calcium:
            found[repeat] = _through_calcium(found[repeat], generator)
    return torch.from_numpy(found)


def _turned(
    scores: Float32[np.ndarray, "stimuli ranks"], signs: Float32[np.ndarray, "turns units"], units: int, count: int
) -> Float32[np.ndarray, "stimuli units"]:
    """Scores in an orthonormal basis of the block's units, of which there are `count` blocks."""
    padded = np.zeros((len(scores), units), dtype=np.float32)
    padded[:, : scores.shape[1]] = scores
    for turn in signs:
        padded = np.asarray(scipy.fft.dct(padded * turn, norm="ortho", overwrite_x=True))
    return padded / math.sqrt(count) if count > 1 else padded


def _even(part: PowerLaw, variance: float, units: int, generator: torch.Generator) -> Float32[np.ndarray, "..."]:
    """Normal values of this variance for each stimulus and unit; a plain zero for none."""
    if variance <= 0:
        return np.zeros((1, 1), dtype=np.float32)
    return torch.randn(part.stimuli, units, generator=generator).numpy() * np.float32(math.sqrt(variance))


def _through_calcium(
    responses: Float32[np.ndarray, "stimuli units"], generator: torch.Generator
) -> Float32[np.ndarray, "stimuli units"]:
    """The trace of three bins a stimulus, decaying, with noise; deconvolved, and averaged over each stimulus's bins."""
    keeps = math.exp(-BIN_SECONDS / DECAY_SECONDS)
    trace = np.asarray(scipy.signal.lfilter([1.0], [1.0, -keeps], np.repeat(responses, BINS, axis=0), axis=0))
    trace = trace + TRACE_NOISE * torch.randn(*trace.shape, generator=generator).numpy()
    spikes = np.asarray(scipy.signal.lfilter([1.0, -keeps], [1.0], trace, axis=0))
    return spikes.reshape(len(responses), BINS, -1).mean(1).astype(np.float32)


PRESETS = {
    "stringer2019additive": PowerLaw(
        stimuli=2800,
        units=10_000,
        repeats=2,
        alpha=1.0,
        alpha_1=None,
        break_rank=None,
        drawn="sample",
        noise=2.45 * 0.97,
        noise_alpha=1.14,
        alignment=1.0,
        offset=3.0,
        rectify=True,
        gain=0.0,
        calcium=False,
        seed=0,
        memory=1.0,
    )
}
PRESETS |= {
    "stringer2019gain": replace(PRESETS["stringer2019additive"], noise=0.0, gain=1.7),
    "stringer2019both": replace(PRESETS["stringer2019additive"], noise=0.25, gain=0.7),
}
