"""What corruptions did to a model's answers."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall.statistics import t_interval, wilson
from eigenfall.types.spectra import Estimate


@dataclass(frozen=True, eq=False)
class CorruptionCurve:
    """Right or wrong per corruption, severity and input.

    Attributes:
        corruptions: each in the grammar, by the name under which it stands in the first axis of `correct`.
        severities: ascending.
        correct: whether the corrupted input was classified correctly, `(corruptions, severities, inputs)`.
        clean_correct: whether the clean input was, `(inputs,)`.
        rms: root mean square over inputs and their values of what was changed, in [0, 1] pixels,
            `(corruptions, severities)`.
        seed: of the generator.
    """

    corruptions: Mapping[str, str]
    severities: tuple[int, ...]
    correct: Bool[Tensor, "corruptions severities inputs"]
    clean_correct: Bool[Tensor, " inputs"]
    rms: Float64[Tensor, "corruptions severities"]
    seed: int = 0

    def accuracy(self, name: str) -> tuple[Estimate, ...]:
        """Accuracy under one corruption at each severity, Wilson 95 % interval over inputs."""
        counts = self.correct[list(self.corruptions).index(name)].sum(1).tolist()
        return tuple(Estimate(*wilson(int(count), self.correct.shape[2]), over="images") for count in counts)

    def mean_accuracy(self) -> tuple[Estimate, ...]:
        """Mean accuracy over corruptions at each severity, with its 95 % interval over images."""
        return tuple(_mean(self.correct[:, place]) for place in range(len(self.severities)))

    @property
    def overall(self) -> Estimate:
        """Mean accuracy over corruptions and severities, with its 95 % interval over images."""
        return _mean(self.correct.flatten(0, 1))


def _mean(correct: Bool[Tensor, "corruptions inputs"]) -> Estimate:
    """Mean over inputs of the share of corruptions under which each is right.

    The interval is Student's, as an image's answers under several corruptions hang together; Wilson's for one of them.
    """
    corruptions, inputs = correct.shape
    if corruptions == 1:
        return Estimate(*wilson(int(correct.sum()), inputs), over="images")
    mean, low, high = t_interval(correct.double().mean(0).tolist())
    return Estimate(mean, max(low, 0.0), min(high, 1.0), over="images")
