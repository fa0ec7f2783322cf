"""AutoPGD: a slow twin, linear classifiers in closed form, PGD and the authors' own code beside it."""

import math
from dataclasses import replace

import naive
import nets
import pytest
import torch
from torch import nn

from eigenfall.attacks import apgd as module
from eigenfall.attacks.apgd import APGD, PRESETS, checkpoints
from eigenfall.attacks.pgd import PGD
from eigenfall.layers import left_as_found
from eigenfall.robustness import robustness
from eigenfall.types import GaussianNoise, LpBall, Split

LINF, L2 = LpBall("Linf"), LpBall("L2")
SCALE_FREE = ("margin", "dlr", "ce_std")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def called(attack, model, inputs, targets, threat, epsilon, seed=0):
    with left_as_found(model):
        return attack(model, inputs, targets, threat, epsilon, seeded(seed))


def linear(features=6, classes=3, seed=0):
    model = nn.Linear(features, classes).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(classes, features, generator=seeded(seed)))
        model.bias.copy_(torch.randn(classes, generator=seeded(seed + 1)) / 5)
    return model


def labelled(model, count, seed=5):
    inputs = torch.rand(count, model.in_features, generator=seeded(seed)).double()
    with torch.no_grad():
        return Split(inputs, model(inputs).argmax(1))


def wrong(model, inputs, targets):
    with torch.no_grad():
        return model(inputs).argmax(1) != targets


# ------------------------------------------------------------------------- the slow twin


def test_checkpoints_are_the_papers():
    assert checkpoints(100) == (22, 41, 57, 70, 80, 87, 93, 99)
    assert checkpoints(1000) == (220, 410, 570, 700, 800, 870, 930, 990)
    assert checkpoints(5) == (2, 3, 4)
    assert checkpoints(1) == ()


@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
@pytest.mark.parametrize("loss", ["margin", "ce"])
def test_it_is_its_slow_twin(threat, loss):
    model, data = nets.mlp().double(), nets.held_out(4)
    inputs, epsilon = data.inputs.double(), 0.1 if threat is LINF else 0.9
    attack = APGD(loss=loss, steps=25, start="clean", stop_broken=False)
    found = called(attack, model, inputs, data.targets, threat, epsilon).inputs
    halvings = []
    for place, (one, target) in enumerate(zip(inputs, data.targets)):
        expected, halved = naive.apgd(model, one, target, loss, threat.norm, epsilon, 25)
        assert torch.allclose(found[place], expected, atol=1e-9)
        halvings.append(halved)
    assert max(halvings) >= 2  # steps were halved, and climbs went back


def test_reach_is_what_steps_halved_at_every_checkpoint_cover():
    model, data = nets.mlp(), nets.held_out(2)
    reach = 2 * (22 + 19 / 2 + 16 / 4 + 13 / 8 + 10 / 16 + 7 / 32 + 6 / 64 + 6 / 128 + 1 / 256)
    assert called(APGD(), model, data.inputs, data.targets, LINF, 0.1).reach == pytest.approx(reach)
    assert called(APGD(steps=1), model, data.inputs, data.targets, LINF, 0.1).reach == 2
    two = APGD(steps=10, restarts=2, targets=3)
    assert called(two, model, data.inputs, data.targets, LINF, 0.1).passes == 60


# --------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize(("norm", "bounds"), [("Linf", None), ("Linf", (0.0, 1.0)), ("L2", None)])
@pytest.mark.parametrize(
    "attack",
    [APGD(loss="margin", steps=40, targets=9), APGD(loss="dlr", steps=40, targets=9)]
    + [APGD(loss=loss, steps=40) for loss in ("margin", "ce_std", "ce")],
    ids=lambda attack: f"{attack.loss}-{attack.targets}",
)
def test_a_linear_classifier_breaks_just_beyond_its_distance(norm, bounds, attack):
    classes = 5 if attack.targets else 2  # towards every class, the nearest among them; or there is but one
    model = linear(classes=classes)
    data = labelled(model, 24)
    exact = torch.tensor(
        [
            naive.linear_distance(model.weight.tolist(), model.bias.tolist(), one, y, norm, bounds)
            for one, y in zip(data.inputs.tolist(), data.targets.tolist())
        ],
        dtype=torch.float64,
    )
    chosen = (exact > 1e-3) & (exact < 0.9)
    data, exact = Split(data.inputs[chosen], data.targets[chosen]), exact[chosen]
    assert len(exact) >= 8
    threat = LpBall(norm, bounds)
    beyond = called(attack, model, data.inputs, data.targets, threat, 1.001 * exact).inputs
    threat.check(beyond, data.inputs, 1.001 * exact, "apgd")
    assert wrong(model, beyond, data.targets).all()
    short = called(attack, model, data.inputs, data.targets, threat, 0.999 * exact).inputs
    assert not wrong(model, short, data.targets).any()


@pytest.mark.parametrize("classes", [2, 3, 4, 9, 10])
@pytest.mark.parametrize("loss", ["margin", "dlr", "ce_std", "ce"])
@pytest.mark.parametrize("targets", [0, 9])
def test_any_number_of_classes(classes, loss, targets):
    model = linear(classes=classes)
    data = labelled(model, 20)
    attack = APGD(loss=loss, steps=10, targets=targets)
    found = called(attack, model, data.inputs, data.targets, LpBall("Linf", None), 5.0)
    assert wrong(model, found.inputs, data.targets).all()
    assert found.passes == 10 * (min(targets, classes - 1) or 1)


# ------------------------------------------------------------------------------ invariances


@pytest.mark.parametrize("targets", [0, 3])
@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
@pytest.mark.parametrize("loss", SCALE_FREE)
def test_powers_of_two_change_no_bit(loss, threat, targets):
    model, data = nets.mlp(), nets.held_out(48)
    attack = APGD(loss=loss, steps=12, targets=targets, start="random")
    epsilon = 0.06 if threat is LINF else 0.5
    plain = called(attack, model, data.inputs, data.targets, threat, epsilon).inputs
    for factor in (2.0**-20, 2.0**10):
        scaled = nets.Then(model, after=lambda z, factor=factor: z * factor)
        assert torch.equal(called(attack, scaled, data.inputs, data.targets, threat, epsilon).inputs, plain)


@pytest.mark.parametrize("loss", SCALE_FREE)
def test_other_factors_move_at_most_one_input(loss):
    model, data = nets.mlp(), nets.held_out(96)
    attack = {"apgd": APGD(loss=loss, steps=20)}
    plain = robustness(model, attack, data, LINF, (0.06,), seeded()).broken
    assert 10 < int(plain.sum()) < 86
    for factor in (0.01, 100.0, 1000.0):
        scaled = nets.Then(model, after=lambda z, factor=factor: z * factor)
        moved = robustness(scaled, attack, data, LINF, (0.06,), seeded()).broken
        assert abs(int(moved.sum()) - int(plain.sum())) <= 1


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_the_batch_size_changes_no_success(name):
    model, data = {"mlp": nets.mlp, "cnn": nets.cnn}[name]().double(), nets.held_out(15)
    data = Split(data.inputs.double(), data.targets)
    attacks = {"apgd": APGD(steps=8, restarts=2), "targeted": APGD(loss="dlr", steps=8, targets=2, start="random")}
    found = [robustness(model, attacks, data, LINF, (0.03, 0.08), seeded(), batch_size=size) for size in (1, 7, 15)]
    for other in found[1:]:
        assert torch.equal(other.broken, found[0].broken)
        assert torch.allclose(other.distances, found[0].distances, atol=1e-9)


@pytest.mark.parametrize(
    "attack",
    [APGD(steps=15, restarts=3, start="clean"), APGD(loss="dlr", steps=8, targets=3, start="clean")],
    ids=["ce", "t"],
)
def test_draws_do_not_depend_on_which_inputs_broke(attack):
    model, data = nets.mlp().double(), nets.held_out(40)
    inputs, given = data.inputs.double(), data.targets.clone()
    one = called(attack, model, inputs, given, LINF, 0.06)
    given[::2] = (given[::2] + 1) % 10  # these are broken from the start
    other = called(attack, model, inputs, given, LINF, 0.06)
    assert torch.allclose(one.inputs[1::2], other.inputs[1::2], atol=1e-12)
    assert torch.equal(other.inputs[::2], inputs[::2])


def test_who_leaves_keeps_the_iterate_that_broke_it():
    model, data = nets.mlp().double(), nets.held_out(24)
    inputs, attack = data.inputs.double(), APGD(loss="margin", steps=12)
    left = called(attack, model, inputs, data.targets, LINF, 0.1).inputs
    one = called(replace(attack, steps=1), model, inputs, data.targets, LINF, 0.1).inputs
    first = wrong(model, one, data.targets)
    assert 3 < int(first.sum()) < 24
    assert torch.equal(left[first], one[first])


def test_when_broken_inputs_leave_changes_no_proposal(monkeypatch):
    model, data = nets.mlp().double(), nets.held_out(24)
    inputs, attack = data.inputs.double(), APGD(steps=12, restarts=2, start="random")
    each_step = called(attack, model, inputs, data.targets, LINF, 0.08)
    monkeypatch.setattr(module, "_looked", lambda device, judged: judged)  # as off a CPU
    late = called(attack, model, inputs, data.targets, LINF, 0.08)
    assert 3 < int(wrong(model, late.inputs, data.targets).sum()) < 24
    assert torch.allclose(late.inputs, each_step.inputs, atol=1e-12)
    assert torch.equal(late.zero_gradients, each_step.zero_gradients)


def test_an_epsilon_per_input_is_an_attack_per_input():
    model, data = nets.mlp().double(), nets.held_out(8)
    inputs, epsilons = data.inputs.double(), torch.linspace(0.02, 0.3, 8, dtype=torch.float64)
    attack = APGD(steps=8, restarts=2)
    for threat in (LINF, L2):
        together = called(attack, model, inputs, data.targets, threat, epsilons).inputs
        for place, epsilon in enumerate(epsilons.tolist()):
            alone = called(attack, model, inputs, data.targets, threat, epsilon).inputs[place]
            assert torch.allclose(together[place], alone, atol=1e-9)


def test_one_seed_one_proposal():
    model, data = nets.mlp(), nets.held_out(32)
    attack = APGD(steps=6, start="random")
    first, second, other = (called(attack, model, data.inputs, data.targets, LINF, 0.03, s).inputs for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


# ------------------------------------------------------------------------ strength, and zeros


@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
def test_it_is_no_weaker_than_pgd(threat):
    model, data = nets.mlp(), nets.held_out(128)
    budgets = (0.03, 0.06) if threat is LINF else (0.25, 0.5)
    for loss in SCALE_FREE:
        attacks = {"apgd": APGD(loss=loss, steps=40), "pgd": PGD(loss=loss, steps=40)}
        ours, pgd = robustness(model, attacks, data, threat, budgets, seeded()).broken.sum(2).tolist()
        assert all(mine >= theirs - 1 for mine, theirs in zip(ours, pgd))


class Flat(nn.Module):
    """No gradient anywhere; right while the first value is below ½."""

    def forward(self, inputs):
        step = (inputs[:, :1] < 0.5).to(inputs)
        return torch.cat((step, 1 - step), 1)


def test_a_zero_gradient_takes_a_random_direction_and_is_counted():
    inputs, targets = torch.full((64, 3), 0.4), torch.zeros(64, dtype=torch.long)
    found = called(APGD(steps=10, start="clean"), Flat(), inputs, targets, LINF, 0.2)
    assert found.zero_gradients.all()
    assert wrong(Flat(), found.inputs, targets).float().mean() > 0.9
    honest = called(APGD(steps=3), nets.mlp(), *vars(nets.held_out(8)).values(), LINF, 0.01)
    assert not honest.zero_gradients.any()


def test_of_several_goals_each_is_climbed_to():
    """Class 1 is the likeliest wrong one and out of reach; class 2 is near."""
    model = nn.Linear(2, 3).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 5.0]]))
        model.bias.copy_(torch.tensor([1.0, 0.5, -2.0]))
    inputs, targets, free = torch.full((4, 2), 0.1).double(), torch.zeros(4, dtype=torch.long), LpBall("Linf", None)
    for goals, broken in ((1, False), (2, True), (9, True)):
        found = called(APGD(loss="margin", steps=5, targets=goals), model, inputs, targets, free, 0.6)
        assert wrong(model, found.inputs, targets).tolist() == [broken] * 4


# ------------------------------------------------------------------------- the authors' code


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_it_is_as_strong_as_the_authors(norm, loss):
    authors = pytest.importorskip("pyautoattack.autopgd_base")
    model, data = nets.mlp(), nets.held_out(256)
    epsilon = {"Linf": 0.05, "L2": 0.4}[norm]
    attack = replace(PRESETS[f"croce2020_{loss}"], restarts=3)  # one start of dlr moves by two inputs with the seed
    own = robustness(model, {"own": attack}, data, LpBall(norm), (epsilon,), seeded())
    with left_as_found(model):
        theirs = authors.APGDAttack(
            model, n_iter=100, norm=norm, n_restarts=3, eps=epsilon, seed=0, loss=loss, rho=0.75, device="cpu"
        )
        found = theirs.perturb(data.inputs.clone(), data.targets.clone())
    standing = 1 - float(wrong(model, found, data.targets).double().mean())
    ours = own.accuracy()[0].value
    assert 0.1 < ours < 0.9
    assert abs(ours - standing) <= 0.005 + 1 / 256


@pytest.mark.parametrize(("norm", "epsilon"), [("Linf", 0.05), ("L2", 0.4)])
def test_towards_goals_it_is_as_strong_as_the_authors(norm, epsilon):
    authors = pytest.importorskip("pyautoattack.autopgd_base")
    model, data = nets.mlp(), nets.held_out(128)
    attack = replace(PRESETS["croce2020_targeted"], steps=40)
    own = called(attack, model, data.inputs, data.targets, LpBall(norm), epsilon).inputs
    with left_as_found(model):
        theirs = authors.APGDAttack_targeted(
            model, n_iter=40, norm=norm, n_restarts=1, eps=epsilon, seed=0, n_target_classes=9, device="cpu"
        ).perturb(data.inputs.clone(), data.targets.clone())
    ours, expected = (int(wrong(model, x, data.targets).sum()) for x in (own, theirs))
    assert 10 < expected < 118
    assert abs(ours - expected) <= 1


# ---------------------------------------------------------------------------------- refusals


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def test_refusals():
    assert refused(lambda: APGD(steps=0, targets=-1)) == (
        "Expected at least one step and one start, and no negative number of goal classes, got steps=0, restarts=1, "
        "targets=-1. Use steps=100, restarts=1 and targets=0, which are the defaults."
    )
    assert refused(
        lambda: APGD()(nn.Identity(), torch.rand(1, 2), torch.tensor([0]), GaussianNoise(), 0.1, seeded())
    ) == (
        "Expected an Linf or L2 ball for attack 'apgd', got threat 'gaussian'. "
        "Use noise under this threat, or give LpBall(norm='Linf')."
    )
    assert math.isfinite(called(APGD(steps=2), nets.mlp(), *vars(nets.held_out(2)).values(), LINF, 0.1).reach)
