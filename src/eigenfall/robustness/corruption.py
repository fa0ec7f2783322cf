"""Accuracy under corruptions, and the mean corruption error relative to a baseline model.

    CE_c = Σ over severities of E_c,s / the baseline's same sum,        mCE = mean over corruptions of CE_c
    relative:  E_c,s − E_clean in place of E_c,s, in both

E are error rates. The relative one asks how much is lost from the clean accuracy, not how much is there.

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261, §4.1.
Differs from the source: intervals, Wilson's for an accuracy, a bootstrap over images for the mean corruption error; the
baseline is whichever model is given.
"""

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import device_of, left_as_found
from eigenfall.objectives import Batched
from eigenfall.parts import spell
from eigenfall.rows import row
from eigenfall.stages import consumed
from eigenfall.statistics import bootstrap
from eigenfall.types import CorruptionCurve, Estimate, Row, Split, Stage, Task

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


def mean_corruption_error(
    curve: CorruptionCurve, baseline: CorruptionCurve, relative: bool = False, draws: int = 1000
) -> Estimate:
    """Mean corruption error of a model relative to a baseline on the same images: below 1 is better than it.

    Args:
        curve: of the model.
        baseline: of the baseline.
        relative: errors less the clean error.
        draws: of the images, behind the interval; 0: none.

    Raises:
        ValueError: if the two were not corrupted alike, or the baseline makes no error that could be divided by.
    """
    for what, here, there in (
        ("corruptions", dict(curve.corruptions), dict(baseline.corruptions)),
        ("severities", curve.severities, baseline.severities),
        ("number of images", curve.correct.shape[2], baseline.correct.shape[2]),
        ("seed", curve.seed, baseline.seed),
    ):
        need(
            here == there,
            expected=f"a baseline with the same {what}",
            got=f"{there} for {here}",
            remedy="Corrupt the same images for both models alike.",
        )
    ours, theirs = (_losses(found, relative) for found in (curve, baseline))
    whole = theirs.mean(1)
    for name, loss in zip(curve.corruptions, whole.tolist()):
        need(
            loss > 0,
            expected=f"a baseline that {name!r} makes worse",
            got=f"a loss of {loss:.3g}",
            remedy="Leave the corruption out, or take a weaker baseline.",
        )
    value = float((ours.mean(1) / whole).mean())
    if draws == 0 or ours.shape[1] < 10:
        return Estimate(value)

    def redrawn(drawn: Tensor) -> Tensor:
        return torch.stack([(ours[:, rows].mean(1) / theirs[:, rows].mean(1)).mean() for rows in drawn])

    low, high = bootstrap(ours.shape[1], redrawn, _seeded(0), draws)
    if not (math.isfinite(low) and math.isfinite(high)):  # in some draw the baseline makes no error
        return Estimate(value)
    return Estimate(value, low, high, over="images")


def _losses(curve: CorruptionCurve, relative: bool) -> Float64[Tensor, "corruptions inputs"]:
    """Errors of each image over severities, less its clean error if relative."""
    wrong = (~curve.correct).double()
    return (wrong - (~curve.clean_correct).double() if relative else wrong).mean(1)


def of_corruptions(curve: CorruptionCurve) -> Iterator[Row]:
    """Accuracy under each corruption and severity, how far it moved the images, and the mean over all of them."""
    about = {"n": curve.correct.shape[2]}
    for (name, method), moved in zip(curve.corruptions.items(), curve.rms.tolist()):
        for severity, value, rms in zip(curve.severities, curve.accuracy(name), moved):
            shared = {"corruption": name, "method": method, "severity": severity, **about}
            yield row("corruption_accuracy", value, **shared)
            yield row("corruption_rms", rms, unit="pixel", **shared)
    mean = float(curve.correct.double().mean())
    yield row("mean_corruption_accuracy", mean, corruptions=len(curve.corruptions), **about)
