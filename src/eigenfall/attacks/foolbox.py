"""Any attack of foolbox by name: of fixed epsilon (PGD, FGSM …) or of smallest norm (C&W, DDN, boundary …).

The attack is foolbox's own; what it sees is ours: inputs in [0, 1], logits τ z/s, parameters frozen. An attack that
needs a starting point gets the nearest input of the same block that the model gives another class, else uniform noise;
an input for which neither is wrong comes back clean.

Source: Rauber, Zimmermann, Bethge & Brendel 2020, doi:10.21105/joss.02607.
Differs from the source: the logits have no scale, unless `standardise` is off; bounds other than [0, 1] are mapped onto
it, epsilon with them; random states, flags and gradients are put back.
"""

import ast
import inspect
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eigenfall.attacks._foreign import Given, by_epsilon, guarded, without_rounding
from eigenfall.check import given, need, one_of
from eigenfall.extras import imported
from eigenfall.objectives import need_ball
from eigenfall.shrinking import need_no_epsilon
from eigenfall.types import Epsilon, Proposal, Threat

STARTED = ("BinarizationRefinement", "Boundary", "BrendelBethge", "HopSkipJump", "Pointwise")
"""Attacks that go from a wrong input towards the clean one."""
WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Foolbox:
    """An attack of foolbox.

    Attributes:
        attack: its name there, for instance PGD, FGSM, DDN, CarliniWagner, Boundary; the norm before it and "Attack"
            behind it may be left out.
        settings: of its constructor there, joined by a slash: steps=100/random_start=false.
        standardise: it sees logits τ z/s, so that a cross-entropy does not go blind; off, the logits as they are.
    """

    cite: ClassVar[str] = "rauber2020"
    attack: str = "PGD"
    settings: tuple[str, ...] = ()
    standardise: bool = True

    @property
    def minimal(self) -> bool:
        """Whether it looks for the smallest perturbation."""
        library = _library()
        found = next((one for norm in ("Linf", "L2") if (one := _class_of(library, self.attack, norm))), None)
        return found is not None and issubclass(found, library.attacks.base.MinimizationAttack)

    def __call__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        threat: Threat,
        epsilon: Epsilon | None,
        generator: torch.Generator,
    ) -> Proposal:
        """Propose one perturbed input for each input.

        Args:
            model: logits of inputs.
            inputs: `(batch, ...)`, inside the threat's bounds.
            targets: class of each input.
            threat: an Linf or L2 ball.
            epsilon: radius, one for all or one per input, in the threat's unit; none for an attack of smallest norm.
            generator: seeds foolbox's own draws.

        Raises:
            ValueError: if foolbox is missing, or has no such attack of this norm, or the attack no such setting; if
                the threat is no ball; if an attack of smallest norm gets an epsilon or no bounds.
        """
        need_ball(threat, "foolbox")
        with guarded(model, generator) as seed:
            attack = self._made(_library(), threat)
            return self._proposed(attack, model, inputs, targets, threat, epsilon, seed)

    def _proposed(
        self,
        attack: Any,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        threat: Threat,
        epsilon: Epsilon | None,
        seed: int,
    ) -> Proposal:
        """Call foolbox's attack once for each epsilon that there is."""
        library = _library()
        groups, reach = self._groups(
            isinstance(attack, library.attacks.base.MinimizationAttack), inputs, threat, epsilon
        )
        moved, reached = inputs.clone(), math.inf
        seen = Given(model, inputs, threat, reach, self.standardise)
        boxed = seen.boxed(inputs)
        wrapped = library.PyTorchModel(seen, bounds=(0, 1), device=inputs.device)
        more: dict[str, Any] = {}
        starts, has = None, seen.clean == seen.clean
        if any(name in type(attack).__name__ for name in STARTED):
            starts, has = _starts(seen, boxed, targets, seed)
        if isinstance(attack, library.attacks.DatasetAttack):
            attack.feed(wrapped, boxed)
        for one, places in groups:
            places = places.to(inputs.device)
            places = places[has[places]]
            if len(places) == 0:
                continue
            if starts is not None:
                more = {"starting_points": starts[places]}
            limit = None if one is None else one / seen.span
            kind = library.criteria.Misclassification(targets[places])
            _, found, _ = attack(wrapped, boxed[places].clone(), kind, epsilons=limit, **more)
            back = seen.unboxed(found, boxed[places], inputs[places], threat)
            moved[places] = back if one is None else without_rounding(threat, back, inputs[places], one)
            reached = min(reached, _reach(attack, limit))
        zero = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
        return Proposal(moved, zero, passes=max(seen.passes, 1), reach=reached)

    def _groups(
        self, minimal: bool, inputs: Tensor, threat: Threat, epsilon: Epsilon | None
    ) -> tuple[Sequence[tuple[float | None, Tensor]], float]:
        """Each epsilon, or none, with the places of its inputs; and the largest epsilon."""
        if minimal:
            need_no_epsilon(epsilon, f"foolbox {self.attack}")
            need(
                threat.bounds is not None,
                expected=f"bounds for foolbox {self.attack}, which looks for the smallest perturbation inside them",
                got="none",
                remedy="Give LpBall(bounds=(low, high)), or use fmn, which needs none.",
            )
            return [(None, torch.arange(len(inputs)))], 0.0
        radius = given(epsilon, f"an epsilon for foolbox {self.attack}", "none", "Bisect around it for a distance.")
        groups = by_epsilon(radius, len(inputs))
        return groups, max((one for one, _ in groups), default=0.0)

    def _made(self, library: ModuleType, threat: Threat) -> Any:
        """Foolbox's attack with these settings; its norm must be the threat's."""
        made = _class_of(library, self.attack, threat.norm)
        if made is None:
            one_of(self.attack, _classes(library), f"foolbox attack of norm {threat.norm}")
        made = given(made, "an attack", "none", "")
        known = [name for name in inspect.signature(made.__init__).parameters if name != "self"]
        own: dict[str, Any] = {}
        if "distance" in known:
            own["distance"] = library.distances.linf if threat.norm == "Linf" else library.distances.l2
        if "constraint" in known:
            own["constraint"] = threat.norm.lower()
        for text in self.settings:
            name, equals, value = text.partition("=")
            need(equals == "=", "setting=value", repr(text), "Join the two by an equals sign.")
            one_of(name, known, f"setting of {made.__name__}")
            own[name] = _value(value)
        try:
            attack = made(**own)
        except ImportError as reason:
            raise ValueError(
                f"Expected the package {reason.name} for foolbox's {made.__name__}, got none. "
                f"Install it: pip install {reason.name}"
            ) from reason
        norm = getattr(attack.distance, "p", math.nan)
        need(
            norm == (math.inf if threat.norm == "Linf" else 2),
            expected=f"a foolbox attack of norm {threat.norm}",
            got=f"{made.__name__}, of norm L{norm:g}",
            remedy="Leave the norm out of its name, or change the threat's.",
        )
        return attack


def _library() -> ModuleType:
    """Foolbox, which imports a deprecated name of scipy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return imported("foolbox", "attacks", "its attacks")


def _classes(library: ModuleType) -> dict[str, type]:
    """Attacks by name."""
    base = library.attacks.base.AttackWithDistance
    return {
        name: made
        for name, made in vars(library.attacks).items()
        if inspect.isclass(made) and issubclass(made, base) and not inspect.isabstract(made)
    }


def _class_of(library: ModuleType, name: str, norm: str) -> type | None:
    """The attack of this name, the one of this norm first."""
    known = {own.lower(): made for own, made in _classes(library).items()}
    before = (norm, "linfinity", "") if norm == "Linf" else (norm, "")
    tried = [f"{norm}{name}{ending}".lower() for norm in before for ending in ("", "Attack")]
    return next((known[one] for one in tried if one in known), None)


def _value(text: str) -> Any:
    """A number or a word of the grammar; anything else is a text."""
    try:
        return WORDS[text] if text in WORDS else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _starts(seen: Given, boxed: Tensor, targets: Tensor, seed: int, draws: int = 20) -> tuple[Tensor, Tensor]:
    """A wrong input for each that is right: the nearest other one of the block, else noise; and which have one."""
    flat = boxed.flatten(1)
    usable = seen.clean[None, :] != targets[:, None]
    apart = torch.cdist(flat, flat).masked_fill(~usable, torch.inf)
    distance, place = apart.min(1)
    starts, has = boxed[place].clone(), distance < torch.inf
    drawn = torch.Generator().manual_seed(seed)
    for _ in range(draws):
        if has.all():
            break
        noise = torch.rand(boxed.shape, generator=drawn).to(boxed)
        with torch.no_grad():
            takes = ~has & (seen(noise).argmax(1) != targets)
        starts[takes], has = noise[takes], has | takes
    return starts, has & (seen.clean == targets)


def _reach(attack: Any, epsilon: float | None) -> float:
    """How many radii the steps can cover; infinite where foolbox does not say."""
    steps, length = getattr(attack, "steps", None), getattr(attack, "abs_stepsize", None)
    share = getattr(attack, "rel_stepsize", None)
    if epsilon is None or steps is None or (length is None and share is None):
        return math.inf
    return float(steps * share if length is None else steps * length / epsilon)
