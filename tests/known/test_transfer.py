"""Transfer: what a surrogate's proposals do to a model, against the attack itself and in closed form."""

import copy

import nets
import pytest
import torch
from torch import nn

from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD
from eigenfall.robustness import robustness, transferred, transferring
from eigenfall.types import LpBall, Proposal, Split

LINF, FREE = LpBall("Linf"), LpBall("L2", None)
ON = {"pgd": PGD(steps=8, stop_broken=False)}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Masked(nn.Module):
    """The small perceptron behind an input that carries no gradient."""

    def __init__(self):
        super().__init__()
        self.model = nets.mlp()

    def forward(self, inputs):
        return self.model(inputs.detach())


def linear(weights):
    model = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([weights, [0.0, 0.0]]))
    return model


def test_from_the_model_itself_it_is_the_attack():
    model, data = nets.mlp(), nets.held_out(48)
    attacks = {"pgd": PGD(steps=8, restarts=2), "noise": Noise(3)}
    plain = robustness(model, attacks, data, LINF, (0.03, 0.08), seeded(), batch_size=20, block=32)
    moved = transferred(model, copy.deepcopy(model), attacks, data, LINF, (0.03, 0.08), seeded(), 20, 32)
    assert torch.equal(moved.broken, plain.broken)
    assert torch.equal(moved.distances, plain.distances)
    assert torch.equal(moved.flip_probability, plain.flip_probability)
    assert moved.attacks == plain.attacks
    assert moved.passes == plain.passes
    assert moved.seed == plain.seed


def test_two_linear_classifiers_at_an_angle():
    """Against w·x > 0, a step of length ε along −v, v at 60°, takes w·x down by ε cos 60°."""
    model, surrogate = linear([1.0, 0.0]), linear([0.5, 3**0.5 / 2])
    inputs = torch.tensor([[0.2, 0.0], [0.2, 5.0], [0.4, 0.1]]).double()
    curve = transferred(
        model, surrogate, ON, Split(inputs, torch.zeros(3, dtype=torch.long)), FREE, (0.39, 0.41, 0.81), seeded()
    )
    assert curve.broken[0].tolist() == [[False] * 3, [True, True, False], [True] * 3]


def test_a_model_without_gradients_falls_to_its_twin():
    model, twin, data = Masked(), nets.mlp(), nets.held_out(48)
    alone = robustness(model, {"pgd": PGD(steps=8, zero_step="stay")}, data, LINF, (0.1,), seeded())
    moved = transferred(model, twin, ON, data, LINF, (0.1,), seeded())
    direct = robustness(twin, ON, data, LINF, (0.1,), seeded())
    assert alone.zero_gradients.all()
    assert torch.equal(alone.broken[0, 0], ~alone.clean_correct)
    assert torch.equal(moved.broken, direct.broken)
    assert not moved.zero_gradients.any()  # the surrogate's


def test_clean_errors_are_the_models():
    model, data = nets.mlp(), nets.held_out(24)
    silly = nets.Then(nets.mlp(), after=lambda z: z.roll(1, 1))  # wrong nearly everywhere: it stops at the clean input
    curve = transferred(model, silly, {"pgd": PGD(steps=3)}, data, LINF, (0.1,), seeded())
    assert torch.equal(curve.broken[0, 0], ~curve.clean_correct)


def test_a_fault_is_refused_and_both_models_are_left_as_found():
    class Far:
        def __call__(self, model, inputs, targets, threat, epsilon, generator):
            return Proposal(inputs + 1, torch.zeros(len(inputs), dtype=torch.bool), passes=1)

    model, surrogate, data = nets.mlp().train(), nets.cnn().train(), nets.held_out(24)
    before = copy.deepcopy(surrogate.state_dict())
    with pytest.raises(ValueError, match="perturbations of Linf norm at most epsilon from attack 'far'"):
        transferred(model, surrogate, {"far": Far()}, data, LpBall("Linf", None), (0.1,), seeded())
    transferred(model, surrogate, ON, data, LINF, (0.1,), seeded())
    assert model.training
    assert all(module.training for module in surrogate.modules())
    assert all(torch.equal(before[name], value) for name, value in surrogate.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in (*model.parameters(), *surrogate.parameters()))


def test_its_stages_are_the_harness():
    data = nets.held_out(20)
    stages = transferring(nets.mlp(), nets.mlp(), ON, data, LINF, (0.01, 0.1), seeded(), block=10)
    assert [stage.what for stage in stages] == ["pgd, ε = 0.01"] * 2 + ["pgd, ε = 0.1"] * 2


def test_a_surrogate_of_other_classes_is_refused():
    data = Split(torch.rand(3, 64), torch.tensor([0, 9, 1]))
    with pytest.raises(ValueError) as refusal:
        transferred(nets.mlp(), nn.Linear(64, 4), ON, data, LINF, (0.1,), seeded())
    assert str(refusal.value) == (
        "Expected a surrogate with a logit for class 9, got outputs of shape (2, 4) for 2 inputs. "
        "Give a model trained on the same classes in the same order."
    )
