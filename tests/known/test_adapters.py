"""Foolbox and pyautoattack behind their adapters: the same attacks, no scale, everything left as found."""

import logging
import math
import random
import sys
import warnings

import nets
import numpy as np
import pytest
import torch
from torch import nn

from eigenfall import parts
from eigenfall.attacks._foreign import Given, by_epsilon, without_rounding
from eigenfall.attacks.autoattack import STANDARD, AutoAttack, Padded
from eigenfall.attacks.bisection import Bisection
from eigenfall.attacks.fgsm import PRESETS as FGSM_PRESETS
from eigenfall.attacks.foolbox import Foolbox
from eigenfall.attacks.pgd import PGD
from eigenfall.layers import left_as_found
from eigenfall.robustness import robustness
from eigenfall.types import GaussianNoise, LpBall, Split

pytest.importorskip("pyautoattack")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # foolbox imports a deprecated name of scipy
    foolbox = pytest.importorskip("foolbox")

LINF, L2 = LpBall("Linf"), LpBall("L2")
MODELS = {"mlp": nets.mlp, "cnn": nets.cnn}
SHORT = AutoAttack(steps=5, queries=20)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def called(attack, model, inputs, targets, threat, epsilon, seed=0):
    return attack(model, inputs, targets, threat, epsilon, seeded(seed)).inputs


def directly(attack, model, inputs, targets, epsilon):
    with left_as_found(model):
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        _, found, _ = attack(wrapped, inputs.clone(), targets, epsilons=epsilon)
    return found


def wrong(model, inputs, targets):
    with left_as_found(model), torch.no_grad():
        return model(inputs).argmax(1) != targets


# --------------------------------------------------------------------------------- foolbox


@pytest.mark.parametrize("name", MODELS)
def test_foolbox_behind_the_adapter_is_foolbox(name):
    model, data = MODELS[name](), nets.held_out(48)
    raw = Foolbox("LinfFastGradientAttack", standardise=False)
    found = called(raw, model, data.inputs, data.targets, LINF, 0.1)
    expected = directly(foolbox.attacks.LinfFastGradientAttack(), model, data.inputs, data.targets, 0.1)
    assert torch.equal(found, expected)
    with left_as_found(model):
        ours = FGSM_PRESETS["goodfellow2015"](model, data.inputs, data.targets, LINF, 0.1, seeded()).inputs
    assert torch.equal(found, ours)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("threat", "epsilon"), [(LINF, 0.1), (L2, 0.6)], ids=["Linf", "L2"])
def test_our_pgd_is_foolboxs_behind_the_adapter(name, threat, epsilon):
    model, data = MODELS[name](), nets.held_out(48)
    settings = "steps=40", f"abs_stepsize={epsilon / 10}", "random_start=false"
    found = called(Foolbox("PGD", settings, standardise=False), model, data.inputs, data.targets, threat, epsilon)
    own = PGD(loss="ce", steps=40, step_size=epsilon / 10, keep="last", stop_broken=False, zero_step="stay")
    with left_as_found(model):
        ours = own(model, data.inputs, data.targets, threat, epsilon, seeded()).inputs
    assert float((found - ours).abs().max()) <= 1e-6
    assert float((found - data.inputs).abs().max()) > 0.05


@pytest.mark.parametrize(
    ("name", "norm", "class_name", "minimal"),
    [
        ("PGD", "Linf", "LinfProjectedGradientDescentAttack", False),
        ("PGD", "L2", "L2ProjectedGradientDescentAttack", False),
        ("FGSM", "Linf", "LinfFastGradientAttack", False),
        ("FMN", "Linf", "LInfFMNAttack", True),
        ("FMN", "L2", "L2FMNAttack", True),
        ("CarliniWagner", "L2", "L2CarliniWagnerAttack", True),
        ("DDN", "L2", "DDNAttack", True),
        ("DeepFool", "Linf", "LinfDeepFoolAttack", True),
        ("Boundary", "L2", "BoundaryAttack", True),
        ("HopSkipJump", "Linf", "HopSkipJumpAttack", True),
    ],
)
def test_an_attack_is_found_by_its_short_name(name, norm, class_name, minimal):
    attack = Foolbox(name)
    made = attack._made(foolbox, LpBall(norm))
    assert type(made).__name__ == class_name
    assert attack.minimal == minimal


MINIMAL = {
    "DDN": (L2, ("steps=20",)),
    "CarliniWagner": (L2, ("steps=40", "binary_search_steps=4")),
    "DeepFool": (LINF, ()),
    "FMN": (LINF, ("steps=20",)),
    "Boundary": (L2, ("steps=100",)),
    "HopSkipJump": (LINF, ("steps=2", "max_gradient_eval_steps=50")),
    "DatasetAttack": (L2, ()),
}


@pytest.mark.parametrize("name", MINIMAL)
def test_attacks_of_smallest_norm_give_distances(name):
    threat, settings = MINIMAL[name]
    model, data = nets.mlp(), nets.held_out(10)
    attack = Foolbox(name, settings)
    curve = robustness(model, {"it": attack}, data, threat, (0.1, 0.5), seeded())
    right = curve.clean_correct
    assert right.sum() >= 8
    assert torch.equal(curve.broken[0], curve.distances <= torch.tensor([[0.1], [0.5]]).double())
    found = curve.distances[right]
    assert (found > 0).all()
    assert int(found.isfinite().sum()) >= len(found) - 1
    nearest = robustness(model, {"it": Bisection()}, data, threat, (0.1,), seeded()).distances[right]
    assert float(found[found < math.inf].median()) < 12 * float(nearest.median())


def test_an_attack_that_starts_from_a_wrong_input_needs_none_where_there_is_none():
    class Constant(nn.Module):
        def forward(self, inputs):
            return torch.stack((inputs.sum(1) * 0 + 1, inputs.sum(1) * 0, inputs.sum(1) * 0 - 1), 1)

    inputs, targets = torch.rand(3, 4, generator=seeded()), torch.tensor([0, 0, 1])
    proposal = Foolbox("Boundary", ("steps=3",))(Constant(), inputs, targets, L2, None, seeded())
    assert torch.equal(proposal.inputs, inputs)


# -------------------------------------------------------------------------------- autoattack


def test_apgd_behind_the_adapter_is_pyautoattacks():
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
    from pyautoattack.square import SquareAttack

    model, data = nets.mlp(), nets.held_out(24)
    shaped = nets.Then(model, before=lambda x: x.flatten(1))
    seed = int(torch.randint(2**31 - 1, (), generator=seeded()))
    alike = {"norm": "Linf", "eps": 0.08, "seed": seed, "device": "cpu"}
    theirs = {
        "apgd-ce": APGDAttack(shaped, n_iter=10, loss="ce", **alike),
        "apgd-t": APGDAttack_targeted(shaped, n_iter=10, n_target_classes=9, **alike),
        "square": SquareAttack(shaped, n_queries=50, resc_schedule=False, **alike),
    }
    right = ~wrong(model, data.inputs, data.targets)
    for name, attack in theirs.items():
        with left_as_found(model):
            expected = attack.perturb(data.inputs[right].reshape(-1, 1, 8, 8), data.targets[right]).flatten(1)
        own = AutoAttack(attacks=(name,), steps=10, queries=50, standardise=False)
        found = called(own, model, data.inputs, data.targets, LINF, 0.08)[right]
        broken = wrong(model, expected, data.targets[right])
        assert 0 < int(broken.sum()) < len(broken)
        assert torch.equal(found[broken], expected.detach()[broken])
        assert torch.equal(found[~broken], data.inputs[right][~broken])  # what stands comes back clean


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "epsilon"), [("Linf", 0.06), ("L2", 0.4)])
def test_the_default_is_pyautoattacks_standard(norm, epsilon):
    from pyautoattack import AutoAttack as Theirs

    model, data = nets.cnn(), nets.held_out(48)
    images = nets.Then(model, before=lambda x: x.flatten(1))
    with left_as_found(model):
        engine = Theirs(images, eps=epsilon, norm=norm, seed=0, device="cpu")
        expected, _ = engine.run_standard_evaluation(data.inputs.reshape(-1, 1, 8, 8), data.targets, batch_size=48)
    theirs = wrong(model, expected.flatten(1), data.targets)
    curve = robustness(model, {"aa": AutoAttack()}, data, LpBall(norm), (epsilon,), seeded())
    assert 0.1 < float(theirs.double().mean()) < 0.9
    assert int((curve.broken[0, 0] != theirs).sum()) <= 1


@pytest.mark.parametrize("name", [*STANDARD, "apgd-dlr", "fab"])
@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
def test_each_attack_breaks_inputs_inside_the_ball(name, threat):
    model, data = nets.cnn(), nets.held_out(16)
    epsilon = 0.25 if threat is LINF else 1.5
    attack = AutoAttack(attacks=(name,), steps=10, queries=60)
    curve = robustness(model, {name: attack}, data, threat, (epsilon,), seeded())
    assert int((curve.broken[0, 0] & curve.clean_correct).sum()) >= 4
    assert curve.passes[name] >= 1


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("name", [*STANDARD, "apgd-dlr", "fab"])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_few_classes(name, classes, norm):
    model = nn.Linear(36, classes)
    with torch.no_grad():
        model.weight.copy_(torch.randn(classes, 36, generator=seeded()))
        model.bias.zero_()
    inputs = torch.rand(12, 36, generator=seeded(1))
    targets = model(inputs).argmax(1)
    attack = AutoAttack(attacks=(name,), steps=20, queries=300)
    found = called(attack, model, inputs, targets, LpBall(norm), 0.4 if norm == "Linf" else 2.5)
    assert int(wrong(model, found, targets).sum()) >= (4 if name == "square" else 9)


def test_classes_that_are_none_lie_below_the_others():
    outputs = torch.tensor([[1.0, 4.0], [2.0, -1.0]])
    padded = Padded(nn.Identity(), 4)(outputs)
    assert padded.tolist() == [[1.0, 4.0, -2.0, -2.0], [2.0, -1.0, -4.0, -4.0]]


# ------------------------------------------------------------------------------ both of them


ADAPTERS = {
    "foolbox": Foolbox("PGD", ("steps=5",)),
    "autoattack": SHORT,
}


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("factor", [2.0**-12, 2.0**12])
def test_logits_have_no_scale(name, factor):
    model, data = nets.mlp(), nets.held_out(16)
    scaled = nets.Then(model, after=lambda z: z * factor)
    plain, other = (called(ADAPTERS[name], m, data.inputs, data.targets, LINF, 0.06) for m in (model, scaled))
    assert torch.equal(plain, other)


def test_with_two_classes_the_scale_is_one_number_and_losses_move():
    model = nn.Linear(4, 2)
    inputs = torch.rand(6, 4, generator=seeded())
    for factor in (1.0, 2.0**10):
        seen = Given(nets.Then(model, after=lambda z, factor=factor: z * factor), inputs, LINF, 0.1, True)
        outputs = seen(inputs).detach()
        assert float(outputs.std(1, correction=0).mean()) == pytest.approx(3.0, rel=1e-5)
        assert float(outputs.std(1, correction=0).std()) > 0.01
    three = Given(nn.Linear(4, 3), inputs, LINF, 0.1, True)(inputs)
    assert three.std(1, correction=0).tolist() == pytest.approx([3.0] * 6, rel=1e-4)


def test_raw_cross_entropy_goes_blind_behind_the_adapter_only_if_asked_for():
    model, data = nets.mlp(), nets.held_out(48)
    loud = nets.Then(model, after=lambda z: z * 1000)
    attacks = {name: Foolbox("PGD", ("steps=10",), standardise=name == "ours") for name in ("ours", "raw")}
    curve = robustness(loud, attacks, data, LINF, (0.15,), seeded())
    assert int(curve.broken[0, 0].sum()) > int(curve.broken[1, 0].sum()) + 10


@pytest.mark.parametrize("bounds", [(-2.0, 3.0), None])
@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_bounds_are_the_threats(name, bounds, norm):
    model, data = nets.mlp(), nets.held_out(12)
    stretched = nets.Then(model, before=lambda x: (x + 2) / 5)
    threat, epsilon = LpBall(norm, bounds), 0.5 if norm == "Linf" else 3.0
    inputs = 5 * data.inputs - 2
    found = called(ADAPTERS[name], stretched, inputs, data.targets, threat, epsilon)
    threat.check(found, inputs, epsilon, name)
    assert (bounds is None) == (float(found.min()) < -2.001)
    plain = called(ADAPTERS[name], model, data.inputs, data.targets, LpBall(norm), epsilon / 5)
    if bounds is not None:
        ours, theirs = wrong(stretched, found, data.targets), wrong(model, plain, data.targets)
        assert int((ours != theirs).sum()) <= 1


def test_a_smallest_norm_in_other_bounds_is_in_their_unit():
    model, data = nets.mlp(), nets.held_out(12)
    stretched = nets.Then(model, before=lambda x: (x + 2) / 5)
    attack = {"ddn": Foolbox("DDN", ("steps=30",))}
    plain = robustness(model, attack, data, L2, (1.0,), seeded()).distances
    other = Split((5 * data.inputs - 2).clamp(-2, 3), data.targets)
    wide = robustness(stretched, attack, other, LpBall("L2", (-2.0, 3.0)), (1.0,), seeded()).distances
    assert torch.allclose(wide / 5, plain, rtol=0.02)


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_epsilon_per_input_is_an_attack_of_each(name):
    model, data = nets.mlp(), nets.held_out(8)
    epsilons = torch.tensor([0.0, 0.05, 0.05, 0.3, 0.3, 0.3, 0.05, 0.0])
    found = called(ADAPTERS[name], model, data.inputs, data.targets, LINF, epsilons)
    LINF.check(found, data.inputs, epsilons, name)
    assert torch.equal(found[[0, 7]], data.inputs[[0, 7]])
    moved = (found - data.inputs).abs().flatten(1).amax(1)
    assert float(moved[3:6].max()) > 0.1


def test_epsilons_are_grouped():
    groups = by_epsilon(torch.tensor([0.2, 0.0, 0.1, 0.2]), 4)
    assert [(pytest.approx(one, rel=1e-6), places.tolist()) for one, places in groups] == [(0.1, [2]), (0.2, [0, 3])]
    assert [(one, places.tolist()) for one, places in by_epsilon(0.3, 2)] == [(0.3, [0, 1])]
    assert by_epsilon(0.0, 2) == []


@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
def test_rounding_is_put_back_and_cheating_is_not(threat):
    inputs = torch.full((2, 3), 0.5)
    step = torch.tensor([[1.0, 0, 0]])
    moved = torch.cat((inputs[:1] + step * (1 + 5e-6), inputs[1:] + step * 1.01))
    found = without_rounding(threat, moved, inputs, 1.0)
    assert float(threat.size(moved, inputs)[0]) > 1 + 4e-6
    assert float(threat.size(found, inputs)[0]) <= 1 + 1e-6
    assert torch.equal(found[1], moved[1])


@pytest.mark.parametrize("name", ADAPTERS)
def test_double_precision_images_and_batches(name):
    model, data = nets.mlp().double(), nets.held_out(9)
    inputs = data.inputs.double()
    images = nets.Then(model, before=lambda x: x.flatten(1))
    split = Split(inputs.reshape(-1, 1, 8, 8), data.targets)
    found = [
        robustness(images, {name: ADAPTERS[name]}, split, LINF, (0.07,), seeded(), batch_size=size)
        for size in (1, 7, 9)
    ]
    assert torch.equal(found[0].broken, found[1].broken)
    assert torch.equal(found[0].broken, found[2].broken)
    assert 0 < int(found[0].broken.sum()) < 9


@pytest.mark.parametrize("name", ADAPTERS)
def test_one_seed_one_proposal(name):
    model, data = nets.mlp(), nets.held_out(12)
    first, again, other = (called(ADAPTERS[name], model, data.inputs, data.targets, LINF, 0.06, s) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def state(model):
    return (
        [(name, module.training, len(module._forward_hooks)) for name, module in model.named_modules()],
        [buffer.clone() for buffer in model.buffers()],
        [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()],
        [p.detach().clone() for p in model.parameters()],
        (torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype(np.int64)), random.getstate()),
        (torch.is_grad_enabled(), torch.get_default_dtype(), torch.backends.cudnn.benchmark, sys.gettrace()),
        (list(warnings.filters), list(logging.getLogger().handlers), logging.getLogger().level),
    )


def assert_same(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for first, second in zip(one, other):
            assert_same(first, second)
    else:
        assert one == other


def own_state():
    """A net whose state is its own: flags mixed, a gradient there, a parameter frozen."""
    model = nets.cnn()
    model.train()
    model[2].eval()
    model[1].weight.grad = torch.full_like(model[1].weight, 0.25)
    model[7].bias.requires_grad_(False)
    return model


@pytest.fixture
def traced():
    before, function = sys.gettrace(), lambda *_: None
    sys.settrace(function)
    yield function
    sys.settrace(before)


LEFT = {
    **ADAPTERS,
    "foolbox DDN": Foolbox("DDN", ("steps=3",)),
    "foolbox Boundary": Foolbox("Boundary", ("steps=3",)),
    "fab": AutoAttack(attacks=("fab",), steps=2),
}


@pytest.mark.parametrize("name", LEFT)
def test_everything_is_left_as_it_was(name, traced):
    model, data, attack = own_state(), nets.held_out(6), LEFT[name]
    inputs, targets = data.inputs.clone(), data.targets.clone()
    threat, epsilon = (L2, None) if getattr(attack, "minimal", False) else (LINF, 0.1)
    before = state(model)
    attack(model, inputs, targets, threat, epsilon, seeded())
    assert_same(before, state(model))
    assert sys.gettrace() is traced
    assert torch.equal(inputs, data.inputs)
    assert torch.equal(targets, data.targets)
    assert not inputs.requires_grad


class Failing(nn.Module):
    """A model that works for some passes, leaves its mark, and then raises."""

    def __init__(self, model, passes):
        super().__init__()
        self.model, self.left = model, passes

    def forward(self, inputs):
        self.left -= 1
        if self.left < 0:
            torch.rand(1)
            random.random()
            self.model.train()
            sys.settrace(None)
            raise RuntimeError("in the middle")
        return self.model(inputs)


@pytest.mark.parametrize("name", LEFT)
def test_also_after_an_exception(name, traced):
    model, data, attack = own_state(), nets.held_out(6), LEFT[name]
    failing = Failing(model, 4)
    threat, epsilon = (L2, None) if getattr(attack, "minimal", False) else (LINF, 0.1)
    before = state(model)
    with pytest.raises(RuntimeError, match="in the middle"):
        attack(failing, data.inputs, data.targets, threat, epsilon, seeded())
    assert_same(before, state(model))
    assert sys.gettrace() is traced


# ----------------------------------------------------------------- grammar and refusals


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def test_settings_are_read_from_the_grammar():
    found = parts.read("attacks", "foolbox:attack=CarliniWagner,settings=steps=100/binary_search_steps=6")
    assert found == Foolbox("CarliniWagner", ("steps=100", "binary_search_steps=6"))
    assert found._made(foolbox, L2).steps == 100
    assert parts.read("attacks", "autoattack:attacks=apgd-ce/square,queries=100") == AutoAttack(
        attacks=("apgd-ce", "square"), queries=100
    )
    assert Foolbox("PGD", ("random_start=false",))._made(foolbox, LINF).random_start is False


def test_refusals():
    model, inputs, targets = nn.Linear(3, 2), torch.rand(2, 3), torch.tensor([0, 1])

    def call(attack, threat=LINF, epsilon=0.1):
        return refused(lambda: attack(model, inputs, targets, threat, epsilon, seeded()))

    assert call(Foolbox("PGDD")).startswith("Expected a known foolbox attack of norm Linf, got 'PGDD'. Did you mean")
    assert call(Foolbox("PGD", ("step=3",))) == (
        "Expected a known setting of LinfProjectedGradientDescentAttack, got 'step'. Did you mean 'steps'?"
    )
    assert call(Foolbox("PGD", ("steps",))) == "Expected setting=value, got 'steps'. Join the two by an equals sign."
    assert call(Foolbox("L2PGD")) == (
        "Expected a foolbox attack of norm Linf, got L2ProjectedGradientDescentAttack, of norm L2. "
        "Leave the norm out of its name, or change the threat's."
    )
    assert call(Foolbox("PGD"), epsilon=None) == (
        "Expected an epsilon for foolbox PGD, got none. Bisect around it for a distance."
    )
    assert call(Foolbox("DDN"), L2) == (
        "Expected no epsilon for attack 'foolbox DDN', which looks for the smallest perturbation, got 0.1. "
        "Give epsilon=None."
    )
    assert call(Foolbox("DDN"), LpBall("L2", None), None) == (
        "Expected bounds for foolbox DDN, which looks for the smallest perturbation inside them, got none. "
        "Give LpBall(bounds=(low, high)), or use fmn, which needs none."
    )
    assert call(AutoAttack(), epsilon=None) == (
        "Expected an epsilon for attack 'autoattack', got none. Bisect around it for a distance."
    )
    assert call(AutoAttack(), L2) == (
        "Expected inputs at least 5 pixels high and wide for Square under L2, got 1 × 3. "
        "Leave it out: attacks=apgd-ce/apgd-t/fab-t."
    )
    for attack, name in ((Foolbox(), "foolbox"), (AutoAttack(), "autoattack")):
        assert call(attack, GaussianNoise()) == (
            f"Expected an Linf or L2 ball for attack {name!r}, got threat 'gaussian'. "
            "Use noise under this threat, or give LpBall(norm='Linf')."
        )
    assert refused(lambda: AutoAttack(steps=0)) == (
        "Expected at least one attack, step, restart, target and query, "
        "got 4 attacks, steps=0, restarts=1, targets=9, queries=5000. "
        "Use the defaults: attacks=apgd-ce/apgd-t/fab-t/square, 100, 1, 9 and 5000."
    )


@pytest.mark.parametrize(
    ("attack", "package", "what"),
    [
        (Foolbox(), "foolbox", "its attacks"),
        (AutoAttack(), "pyautoattack", "APGD, FAB and Square as published"),
    ],
    ids=["foolbox", "autoattack"],
)
def test_a_missing_extra_is_refused_with_the_command(attack, package, what, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    told = refused(lambda: attack(nn.Linear(3, 3), torch.rand(2, 3), torch.tensor([0, 1]), LINF, 0.1, seeded()))
    assert told == (
        f"Expected the package {package} for {what}, got none. Install it: pip install 'eigenfall[attacks]'"
    )


def test_what_foolbox_itself_needs_and_does_not_bring_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    model, inputs, targets = nn.Linear(3, 2), torch.rand(2, 3), torch.tensor([0, 1])
    assert refused(lambda: Foolbox("BrendelBethge")(model, inputs, targets, LINF, None, seeded())) == (
        "Expected the package numba for foolbox's LinfinityBrendelBethgeAttack, got none. Install it: pip install numba"
    )
