"""One batch over several processes: sums over all of them, and what they must agree on.

    B = Σ_w B_w,   h̄ = (1/B) Σ_w Σ_b h_b,   eₙ = (1/(B − 1)) Σ_w Σ_b ((h_b − h̄)·vₙ)²       of processes w = 1 … W

Every process ends with the same R(e), and knows the part of its gradient that runs through its own rows. Loops over
several processes average gradients (`DistributedDataParallel`), which divides by W; so each part is multiplied by W
first, and what the loop ends with is the gradient of R of the joint batch. A loop that adds gradients instead of
averaging them must divide them by W.

Where no process group was begun, or it has one process, nothing is sent, and every function gives back what it got.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, distributed


def count() -> int:
    """Processes that hold parts of one batch."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def place() -> int:
    """Which of them this is, from 0."""
    return distributed.get_rank() if count() > 1 else 0


def summed(values: Tensor) -> Tensor:
    """Sum over processes, without gradient; the same everywhere."""
    if count() == 1:
        return values
    sent = _sendable(values.detach())
    distributed.all_reduce(sent)
    return sent.to(values.device)


def agreed(values: Tensor) -> Tensor:
    """What the first process has, of the same shape everywhere: signs of eigenvectors and draws agree."""
    if count() == 1:
        return values
    sent = _sendable(values.detach())
    distributed.broadcast(sent, 0)
    return sent.to(values.device)


def share(indices: Tensor) -> Tensor:
    """This process's part of indices that all have, in turn."""
    return indices[place() :: count()]


def joint_mean(rows: Float[Tensor, "samples units"]) -> tuple[int | Tensor, Float[Tensor, " units"]]:
    """How many rows there are in all processes together, and their mean. The number is no tensor where it is known."""
    if count() == 1:
        return len(rows), rows.mean(0)
    samples = torch.full_like(rows[:1, 0], len(rows), dtype=torch.float64)
    packed = summed(torch.cat([rows.detach().sum(0).double(), samples]))
    return packed[-1], (packed[:-1] / packed[-1]).to(rows)


def joined(
    rows: int,
    mean: Float64[Tensor, " units"],
    products: Float64[Tensor, "units units"],
    centre: float | None = None,
) -> tuple[int, Float64[Tensor, "units units"]]:
    """Rows in all processes, and Σ (x − c)(x − c)ᵀ over them, from those of each about its own mean.

    c is the joint mean, or a number.
    """
    if count() == 1 and centre is None:
        return rows, products
    packed = summed(torch.cat([mean * rows, mean.new_tensor([rows])]))
    off = mean - (packed[:-1] / packed[-1] if centre is None else centre)
    return int(packed[-1]), summed(products + rows * torch.outer(off, off))


def _sendable(values: Tensor) -> Tensor:
    """A contiguous copy, on a device that the processes can send from."""
    if values.device.type == "cpu" and distributed.get_backend() == "nccl":
        values = values.to(torch.device("cuda", torch.cuda.current_device()))
    return values.clone(memory_format=torch.contiguous_format)
