"""Accuracy under corruptions; `eigenfall.corruptionerror` holds it against that of a baseline.

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261, §4.1.
Differs from the source: intervals, Wilson's for one accuracy, Student's over images for a mean of several.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import device_of, left_as_found
from eigenfall.objectives import Batched
from eigenfall.parts import spell
from eigenfall.rows import row
from eigenfall.stages import consumed
from eigenfall.types import CorruptionCurve, Row, Split, Stage, Task

SEVERITIES = (1, 2, 3, 4, 5)


def corruption_curve(
    model: nn.Module,
    corruptions: Mapping[str, Any],
    examples: Split,
    generator: torch.Generator,
    severities: Sequence[int] = SEVERITIES,
    batch_size: int = 256,
) -> CorruptionCurve:
    """Right or wrong for each corruption, severity and input.

    Args:
        model: logits of inputs; left as it was found.
        corruptions: parts of kind corruptions by name.
        examples: images `(inputs, channels, height, width)` in [0, 1], and the class of each.
        generator: its seed, not its position, decides every draw.
        severities: from 1, ascending.
        batch_size: largest number of inputs in one of the model's passes; it changes no corrupted image.

    Raises:
        ValueError: if there is nothing to corrupt, severities do not ascend, or a corruption refuses the images.
    """
    return consumed(corrupting(model, corruptions, examples, generator, severities, batch_size))


def corrupting(
    model: nn.Module,
    corruptions: Mapping[str, Any],
    examples: Split,
    generator: torch.Generator,
    severities: Sequence[int] = SEVERITIES,
    batch_size: int = 256,
) -> Generator[Stage, None, CorruptionCurve]:
    """As `corruption_curve`, but yields a `Stage` before each (corruption, severity) and returns the curve."""
    need(
        len(corruptions) >= 1 and len(examples) >= 1,
        expected="at least one corruption and one image",
        got=f"{len(corruptions)} and {len(examples)}",
        remedy="Give {'fog': Fog()}, for instance.",
    )
    need(
        len(severities) >= 1 and list(severities) == sorted(set(severities)),
        expected="severities that ascend",
        got=", ".join(map(str, severities)) or "none",
        remedy="Give each once, weakest first.",
    )
    shape = (len(corruptions), len(severities), len(examples))
    correct, rms = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape[:2], dtype=torch.float64)
    seed = generator.initial_seed()
    clean = _correct(model, examples, batch_size, seed)
    for row_of, (name, corruption) in enumerate(corruptions.items()):
        for column, severity in enumerate(severities):
            yield Stage(f"{name}, severity {severity}", row_of * shape[1] + column, shape[0] * shape[1])
            moved = torch.cat([corruption(part, severity, _seeded(seed)) for part in examples.inputs.split(batch_size)])
            rms[row_of, column] = (moved.double() - examples.inputs).square().mean().sqrt()
            correct[row_of, column] = _correct(model, Split(moved, examples.targets), batch_size, seed)
    spelt = {name: spell(corruption) for name, corruption in corruptions.items()}
    return CorruptionCurve(spelt, tuple(severities), correct, clean, rms, seed)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _correct(model: nn.Module, examples: Split, batch_size: int, seed: int) -> Tensor:
    """Whether each input is classified correctly; a tie is an error."""
    device = device_of(model)
    with left_as_found(model, seed=seed % 2**62), torch.no_grad():
        outputs = Batched(model, batch_size)(examples.inputs.to(device))
        return Task().correct(outputs, examples.targets.to(device).long()).cpu()


def of_corruptions(curve: CorruptionCurve) -> Iterator[Row]:
    """Accuracy under each corruption and severity, how far it moved the images, and means over corruptions."""
    about = {"n": curve.correct.shape[2]}
    for (name, method), moved in zip(curve.corruptions.items(), curve.rms.tolist()):
        for severity, value, rms in zip(curve.severities, curve.accuracy(name), moved):
            shared = {"corruption": name, "method": method, "severity": severity, **about}
            yield row("corruption_accuracy", value, **shared)
            yield row("corruption_rms", rms, unit="pixel", **shared)
    about["corruptions"] = len(curve.corruptions)
    for severity, value in zip(curve.severities, curve.mean_accuracy()):
        yield row("mean_corruption_accuracy", value, severity=severity, **about)
    yield row("mean_corruption_accuracy", curve.overall, **about)
