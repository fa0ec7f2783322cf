"""Random numbers of each image's own, from the generator's seed and the image's contents.

So a corrupted image depends on the seed and the image alone: not on the batch it stands in, its place there, or what
was drawn before; and its draws are the same at every severity, so that a severity adds to the one below it.
"""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor


def own_generators(inputs: Tensor, generator: torch.Generator) -> list[torch.Generator]:
    """A generator on the CPU for each image."""
    seed = str(generator.initial_seed()).encode()
    digests = [
        hashlib.blake2b(seed + image.numpy().tobytes(), digest_size=8).digest()
        for image in inputs.detach().float().cpu().contiguous()
    ]
    return [torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1) for digest in digests]


def each(inputs: Tensor, generator: torch.Generator, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """What is drawn from each image's own generator, stacked, where the inputs lie and of their type."""
    return torch.stack([draw(own) for own in own_generators(inputs, generator)]).to(inputs)
