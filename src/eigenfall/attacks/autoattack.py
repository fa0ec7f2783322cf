"""AutoAttack: APGD, FAB and Square of pyautoattack, one after the other on the inputs that still stand.

    standard:   APGD-CE, targeted APGD-DLR on 9 classes, targeted FAB on 9 classes, Square of 5000 queries

The attacks are pyautoattack's own, with its settings; what they see is ours: inputs in [0, 1], logits τ z/s, parameters
frozen.

Source: Croce & Hein 2020, arXiv:2003.01690.
Differs from the source: the logits have no scale, unless `standardise` is off; inputs in other bounds are mapped onto
[0, 1], epsilon with them, and inputs that are no images are shaped as squares where their number allows, else as one
row; with C < 10 classes C − 1 are targets; with C < 4 (targeted) or C < 3 DLR divides by a logit that lies τ below the
smallest, since it has no third or fourth; none of its warnings is shown: `checks` judge. An input that stands comes
back clean, as there.
"""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from eigenfall.attacks._foreign import Given, by_epsilon, guarded, without_rounding
from eigenfall.check import given, need
from eigenfall.extras import imported
from eigenfall.objectives import TEMPERATURE, need_ball
from eigenfall.types import Epsilon, Proposal, Threat

Name = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"]
STANDARD: tuple[Name, ...] = ("apgd-ce", "apgd-t", "fab-t", "square")


@dataclass(frozen=True)
class AutoAttack:
    """Attacks of pyautoattack; the default is its `standard`.

    Attributes:
        attacks: apgd-ce, apgd-dlr, apgd-t (targeted DLR), fab, fab-t (targeted), square, joined by a slash; in this
            order, each on the inputs that still stand.
        steps: of APGD and FAB.
        restarts: of each of them.
        targets: how many classes apgd-t and fab-t aim at.
        queries: of Square.
        standardise: they see logits τ z/s, so that APGD-CE does not go blind; off, the logits as they are.
    """

    cite: ClassVar[str] = "croce2020"
    attacks: tuple[Name, ...] = STANDARD
    steps: int = 100
    restarts: int = 1
    targets: int = 9
    queries: int = 5000
    standardise: bool = True

    def __post_init__(self) -> None:
        counts = self.steps, self.restarts, self.targets, self.queries
        need(
            len(self.attacks) >= 1 and min(counts) >= 1,
            expected="at least one attack, step, restart, target and query",
            got=f"{len(self.attacks)} attacks, steps={self.steps}, restarts={self.restarts}, "
            f"targets={self.targets}, queries={self.queries}",
            remedy="Use the defaults: attacks=apgd-ce/apgd-t/fab-t/square, 100, 1, 9 and 5000.",
        )

    def __call__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        threat: Threat,
        epsilon: Epsilon | None,
        generator: torch.Generator,
    ) -> Proposal:
        """Propose one perturbed input for each input; one that stands comes back clean.

        Args:
            model: logits of inputs.
            inputs: `(batch, ...)`, inside the threat's bounds.
            targets: class of each input.
            threat: an Linf or L2 ball.
            epsilon: radius, one for all or one per input, in the threat's unit.
            generator: seeds pyautoattack's own draws.

        Raises:
            ValueError: if pyautoattack is missing, the threat is no ball, there is no epsilon, or Square under L2 is
                to run on inputs less than 5 pixels high or wide.
        """
        need_ball(threat, "autoattack")
        radius = given(epsilon, "an epsilon for attack 'autoattack'", "none", "Bisect around it for a distance.")
        imported("pyautoattack", "attacks", "APGD, FAB and Square as published")
        shape = _image(inputs)
        need(
            "square" not in self.attacks or threat.norm == "Linf" or min(shape[1:]) >= 5,
            expected="inputs at least 5 pixels high and wide for Square under L2",
            got=f"{shape[1]} × {shape[2]}",
            remedy="Leave it out: attacks=apgd-ce/apgd-t/fab-t.",
        )
        moved = inputs.clone()
        with guarded(model, generator) as seed:
            groups = by_epsilon(radius, len(inputs))
            seen = Given(model, inputs, threat, max((one for one, _ in groups), default=0.0), self.standardise)
            boxed = seen.boxed(inputs).float().reshape(-1, *shape)
            for one, places in groups:
                places = places.to(inputs.device)
                places = places[seen.clean[places] == targets[places]]
                found = self._attacked(seen, boxed[places], targets[places], threat, one / seen.span, seed)
                back = seen.unboxed(found, boxed[places], inputs[places], threat)
                moved[places] = without_rounding(threat, back, inputs[places], one)
        zero = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
        return Proposal(moved, zero, passes=max(seen.passes, 1))

    def _attacked(
        self, seen: Given, boxed: Tensor, targets: Tensor, threat: Threat, epsilon: float, seed: int
    ) -> Tensor:
        """Each attack on the inputs that still stand, as pyautoattack's own loop does."""
        found = boxed.clone()
        standing = torch.arange(len(boxed), device=boxed.device)
        for name in self.attacks:
            if len(standing) == 0:
                break
            attack = self._made(name, seen, threat.norm, epsilon, seed, boxed.device)
            moved = attack.perturb(boxed[standing].clone(), targets[standing].clone()).detach()
            with torch.no_grad():
                gone = seen(moved).argmax(1) != targets[standing]
            found[standing[gone]] = moved[gone]
            standing = standing[~gone]
        return found

    def _made(self, name: Name, seen: Given, norm: str, epsilon: float, seed: int, device: torch.device) -> Any:
        """One of pyautoattack's attacks, with the settings of its `standard`."""
        alike: dict[str, Any] = {"norm": norm, "eps": epsilon, "seed": seed, "verbose": False, "device": device}
        library, count = _library(), min(self.targets, seen.classes - 1)
        if name == "square":
            return library["square"].SquareAttack(
                seen, p_init=0.8, n_queries=self.queries, n_restarts=self.restarts, resc_schedule=False, **alike
            )
        alike |= {"n_iter": self.steps, "n_restarts": self.restarts}
        if name in ("fab", "fab-t"):
            return library["fab_pt"].FABAttack_PT(seen, targeted=name == "fab-t", n_target_classes=count, **alike)
        alike |= {"eot_iter": 1, "rho": 0.75}
        if name == "apgd-t":
            model = seen if seen.classes >= 4 else Padded(seen, 4)
            return library["autopgd_base"].APGDAttack_targeted(model, n_target_classes=count, **alike)
        model = seen if name == "apgd-ce" or seen.classes >= 3 else Padded(seen, 3)
        return library["autopgd_base"].APGDAttack(model, loss=name.removeprefix("apgd-"), **alike)


class Padded(nn.Module):
    """A model of few classes with more of them, that no input is given: their logits lie τ below the smallest.

    Attributes:
        model: the model.
        classes: how many it has then.
    """

    def __init__(self, model: nn.Module, classes: int):
        super().__init__()
        self.model = model
        self.classes = classes

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, and those of the classes that are none."""
        outputs = self.model(inputs)
        lowest = outputs.detach().amin(1, keepdim=True) - TEMPERATURE
        return torch.cat((outputs, lowest.expand(-1, self.classes - outputs.shape[1])), 1)


def _library() -> dict[str, ModuleType]:
    what = "APGD, FAB and Square as published"
    return {part: imported(f"pyautoattack.{part}", "attacks", what) for part in ("autopgd_base", "fab_pt", "square")}


def _image(inputs: Tensor) -> tuple[int, int, int]:
    """Channels, height and width under which Square takes an input; images keep theirs."""
    sizes = tuple(inputs.shape[1:])
    if len(sizes) == 3:
        return sizes[0], sizes[1], sizes[2]
    if len(sizes) == 2:
        return 1, sizes[0], sizes[1]
    count = math.prod(sizes)
    side = math.isqrt(count)
    return (1, side, side) if side * side == count else (1, 1, count)
