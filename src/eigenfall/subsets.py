"""Responses to some of the stimuli, or of some of the units; a stream is filtered as it is read."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Int64
from torch import Tensor

from eigenfall.check import given, need
from eigenfall.streams import Stream
from eigenfall.types import Responses


def of_stimuli(responses: Responses, indices: Int64[Tensor, " drawn"], stimuli: int) -> Responses:
    """The responses to some of the stimuli, in ascending order if they are a stream.

    Args:
        responses: in memory or in chunks.
        indices: which stimuli, counted from 0.
        stimuli: how many there are.

    Raises:
        ValueError: when read, if the stream has another number of stimuli.
    """
    if responses.chunks is None:
        values = given(responses.values, "responses", "none", "Give `values` or `chunks`.")
        return replace(responses, values=values[:, indices.to(values.device)])
    size = None if responses.size is None else (responses.size[0], len(indices), responses.size[2])
    if responses.chunked_over == "units":
        return replace(responses, chunks=Stream(responses.chunks, partial(_rows, indices=indices)), size=size)
    mask = torch.zeros(stimuli, dtype=torch.bool)
    mask[indices] = True

    def chunks() -> Iterator[Tensor]:
        start = 0
        for piece in responses.pieces():
            here = mask[start : start + piece.shape[1]].to(piece.device)
            start += piece.shape[1]
            _need_same(start <= stimuli, stimuli, f"at least {start}")
            if bool(here.any()):
                yield piece[:, here]
        _need_same(start == stimuli, stimuli, f"{start}")

    return replace(responses, chunks=chunks, size=size)


def of_units(responses: Responses, indices: Int64[Tensor, " drawn"], units: int) -> Responses:
    """The responses of some of the units, in ascending order if they are a stream.

    Args:
        responses: in memory or in chunks.
        indices: which units, counted from 0.
        units: how many there are.
    """
    if responses.chunks is None:
        values = given(responses.values, "responses", "none", "Give `values` or `chunks`.")
        return replace(responses, values=values[..., indices.to(values.device)])
    size = None if responses.size is None else (*responses.size[:2], len(indices))
    if responses.chunked_over == "stimuli":
        return replace(responses, chunks=Stream(responses.chunks, partial(_columns, indices=indices)), size=size)
    mask = torch.zeros(units, dtype=torch.bool)
    mask[indices] = True

    def chunks() -> Iterator[Tensor]:
        start = 0
        for piece in responses.pieces():
            here = mask[start : start + piece.shape[2]].to(piece.device)
            start += piece.shape[2]
            if bool(here.any()):
                yield piece[..., here]

    return replace(responses, chunks=chunks, size=size)


def _rows(piece: Tensor, indices: Tensor) -> Tensor:
    return piece[:, indices.to(piece.device)]


def _columns(piece: Tensor, indices: Tensor) -> Tensor:
    return piece[..., indices.to(piece.device)]


def _need_same(held: bool, stimuli: int, got: str) -> None:
    need(
        held,
        expected=f"{stimuli} stimuli from every reading of the chunks",
        got=got,
        remedy="Let the stream give the same stimuli each time.",
    )
