"""Who is compared with whom: a bundle of attacks and checks, and a trial of one model by it.

Source: `docs/robustness.md` §5.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from eigenfall.robustness.preflight import span
from eigenfall.robustness.readings import Reading
from eigenfall.types import RobustnessCurve, Split, Stage, Threat


@runtime_checkable
class Run(Protocol):
    """What makes a curve: seed, batches and blocks are settled."""

    def __call__(
        self,
        model: nn.Module,
        attacks: Mapping[str, Any],
        examples: Split,
        threat: Threat,
        epsilons: Sequence[float],
        surrogate: nn.Module | None = None,
    ) -> Generator[Stage, None, RobustnessCurve]:
        """The curve of a model; the attacks climb on the surrogate, if there is one."""
        ...


@runtime_checkable
class Bundle(Protocol):
    """What is gathered for; see `presets`."""

    @property
    def attacks(self) -> Mapping[str, Any]:
        """By the name under which each is shown."""
        ...

    @property
    def headline(self) -> tuple[str, ...]:
        """Which of them make the headline."""
        ...

    @property
    def readings(self) -> Mapping[str, Reading]:
        """Further curves by name, none of which is judged."""
        ...

    @property
    def search(self) -> Any:
        """The attack that looks for the halving epsilon."""
        ...

    @property
    def blackbox(self) -> Any:
        """The attack of check e, or nothing."""
        ...

    @property
    def again(self) -> tuple[str, ...]:
        """Which of the headline's attacks the checks run again; empty: all."""
        ...

    @property
    def checks(self) -> tuple[Any, ...]:
        """What judges it."""
        ...


class Scaled(nn.Module):
    """A model whose logits are multiplied by a number: every prediction stays.

    Attributes:
        model: the model.
        factor: the number.
    """

    def __init__(self, model: nn.Module, factor: float):
        super().__init__()
        self.model = model
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits times the factor."""
        return self.model(inputs) * self.factor


@dataclass(frozen=True, eq=False)
class Trial:
    """Who is compared, on what, and how.

    Attributes:
        model: whose headline it is.
        examples: what the comparisons run on.
        bundle: attacks and checks.
        threat: an Linf or L2 ball.
        run: makes a curve.
        seed: of every draw.
        batch_size: largest number of inputs in one pass.
        twin: an undefended model of the same inputs and classes, or `None`.
    """

    model: nn.Module
    examples: Split
    bundle: Bundle
    threat: Threat
    run: Run
    seed: int
    batch_size: int
    twin: nn.Module | None = None

    @property
    def headline(self) -> dict[str, Any]:
        """The headline's attacks that the checks run again, by name."""
        return {name: self.bundle.attacks[name] for name in self.bundle.again or self.bundle.headline}

    def curve(
        self, what: str, attacks: Mapping[str, Any], epsilons: Sequence[float], **changed: Any
    ) -> Generator[Stage, None, RobustnessCurve]:
        """A curve of some attacks; its stages have a name of their own.

        Args:
            what: that name.
            attacks: by name.
            epsilons: budgets, ascending.
            changed: model, examples or threat in place of the trial's own; a surrogate to climb on.
        """
        asked = {"model": self.model, "examples": self.examples, "threat": self.threat, **changed}
        return _at(what, self.run(attacks=attacks, epsilons=epsilons, **asked))


def halving(trial: Trial, model: nn.Module, times: int = 7) -> Generator[Stage, None, float | None]:
    """Epsilon at which half of the clean successes are left, by bisection on a log scale, to 6 %.

    Between half the range of the inputs, where an attack reaches one grey image for all, and a 1024th of it.
    """
    low, high = span(trial.examples, trial.threat)
    top = (high - low) / 2 * (math.sqrt(trial.examples.inputs[0].numel()) if trial.threat.norm == "L2" else 1.0)
    bottom = top / 1024
    for _ in range(times):
        middle = math.sqrt(bottom * top)
        curve = yield from trial.curve("search", {"search": trial.bundle.search}, (middle,), model=model)
        clean = int(curve.clean_correct.sum())
        if clean == 0:
            return None
        bottom, top = (bottom, middle) if int((~curve.broken[0, 0]).sum()) <= clean / 2 else (middle, top)
    return top


def _at(what: str, stages: Generator[Stage, None, RobustnessCurve]) -> Generator[Stage, None, RobustnessCurve]:
    """A curve's stages under a name of their own."""
    while True:
        try:
            stage = next(stages)
        except StopIteration as finished:
            return finished.value
        yield Stage(f"checks, {what}: {stage.what}", stage.done, stage.total)
