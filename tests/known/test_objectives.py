"""Losses against their formulas, one input at a time; gradients against finite differences."""

import math

import pytest
import torch
from torch import nn

from eigenfall.objectives import Batched, ascent, is_zero, losses, margin, need_ball, steepest
from eigenfall.types import GaussianNoise

LOSSES = ("margin", "dlr", "ce_std", "ce")


def by_hand(z, y, loss):
    others = [value for place, value in enumerate(z) if place != y]
    distance = z[y] - max(others)
    if loss == "margin" or (loss in ("dlr", "ce_std") and len(z) < 3):
        return -distance
    if loss == "dlr":
        top = sorted(z, reverse=True)
        return -distance / (top[0] - top[2])
    if loss == "ce_std":
        mean = sum(z) / len(z)
        spread = math.sqrt(sum((value - mean) ** 2 for value in z) / len(z))
        z = [3 * value / spread for value in z]
    return math.log(sum(math.exp(value) for value in z)) - z[y]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classes", [2, 3, 4, 9, 10])
def test_losses_are_their_formulas(loss, classes):
    generator = torch.Generator().manual_seed(classes)
    outputs = torch.randn(20, classes, generator=generator, dtype=torch.float64)
    targets = torch.randint(classes, (20,), generator=generator)
    expected = [by_hand(z, y, loss) for z, y in zip(outputs.tolist(), targets.tolist())]
    assert losses(outputs, targets, loss).tolist() == pytest.approx(expected, rel=1e-12)


def towards(z, y, goal, loss):
    if loss == "margin" or (loss == "dlr" and len(z) < 4) or (loss == "ce_std" and len(z) == 2):
        return z[goal] - z[y]
    if loss == "dlr":
        top = sorted(z, reverse=True)
        return -(z[y] - z[goal]) / (top[0] - (top[2] + top[3]) / 2)
    return -by_hand(z, goal, loss)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classes", [2, 3, 4, 9, 10])
def test_losses_towards_a_goal_are_their_formulas(loss, classes):
    generator = torch.Generator().manual_seed(classes)
    outputs = torch.randn(20, classes, generator=generator, dtype=torch.float64)
    targets = torch.randint(classes, (20,), generator=generator)
    goals = (targets + torch.randint(1, classes, (20,), generator=generator)) % classes
    expected = [towards(*one, loss) for one in zip(outputs.tolist(), targets.tolist(), goals.tolist())]
    assert losses(outputs, targets, loss, goals).tolist() == pytest.approx(expected, rel=1e-12)
    if classes == 2 and loss in ("margin", "dlr", "ce_std"):  # the only goal there is
        assert torch.equal(losses(outputs, targets, loss, goals), losses(outputs, targets, loss))


@pytest.mark.parametrize("loss", ["margin", "dlr", "ce"])
@pytest.mark.parametrize("goals", [None, torch.tensor([1, 0, 3, 2, 2])])
def test_gradients_are_finite_differences(loss, goals):
    outputs = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 3, 0])
    assert torch.autograd.gradcheck(lambda z: losses(z, targets, loss, goals), outputs)


def test_the_spread_of_ce_std_carries_no_gradient():
    outputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 1, 2])
    (found,) = torch.autograd.grad(losses(outputs, targets, "ce_std").sum(), outputs)
    spread = outputs.detach().std(1, correction=0, keepdim=True)
    held = lambda z: nn.functional.cross_entropy(3 * z / spread, targets, reduction="sum")  # noqa: E731
    (expected,) = torch.autograd.grad(held(outputs), outputs)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("loss", ["dlr", "ce_std"])
@pytest.mark.parametrize("factor", [2.0**-20, 0.25, 2.0**10])
@pytest.mark.parametrize("goals", [None, (torch.arange(50) + 2) % 6])
def test_scale_free_losses_do_not_see_powers_of_two(loss, factor, goals):
    outputs = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    targets = torch.arange(50) % 6
    assert torch.equal(losses(outputs * factor, targets, loss, goals), losses(outputs, targets, loss, goals))


def test_of_two_classes_every_scale_free_loss_grows_as_the_margin_falls():
    """Two logits less their mean, over their spread, are ±1 whatever they are: that cross-entropy stood still."""
    outputs = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.5, 0.0], [0.1, 0.0], [0.0, 0.2]])
    for loss in ("margin", "dlr", "ce_std"):
        assert bool((losses(outputs, torch.zeros(5, dtype=torch.long), loss).diff() > 0).all())


def test_equal_logits_give_finite_losses_and_gradients():
    targets = torch.tensor([0, 3])
    for loss in LOSSES:
        for goals in (None, torch.tensor([1, 1])):
            outputs = torch.ones(2, 5, requires_grad=True)
            found = losses(outputs, targets, loss, goals)
            (gradient,) = torch.autograd.grad(found.sum(), outputs)
            assert found.isfinite().all()
            assert gradient.isfinite().all()


def test_a_tie_is_no_margin():
    assert margin(torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([0])).tolist() == [0.0]


class Detached(nn.Module):
    def forward(self, inputs):
        return inputs.detach() @ torch.ones(3, 4)


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, inputs):
        return self.bias.expand(len(inputs), 4)


@pytest.mark.parametrize("model", [Detached(), Constant()], ids=["detached", "constant"])
def test_an_absent_gradient_is_zero(model):
    gradient, outputs, _ = ascent(model, torch.rand(2, 3), torch.tensor([0, 1]), "margin")
    assert torch.equal(gradient, torch.zeros(2, 3))
    assert outputs.shape == (2, 4)
    assert is_zero(gradient).all()


def test_batches_change_no_gradient():
    model = nn.Linear(3, 4).double()
    inputs, targets = torch.rand(10, 3, dtype=torch.float64), torch.arange(10) % 4
    for goals in (None, (targets + 1) % 4):
        whole = ascent(model, inputs, targets, "ce", goals)
        split = ascent(Batched(model, 3), inputs, targets, "ce", goals)
        for one, other in zip(whole, split):
            assert torch.allclose(one, other, rtol=1e-13, atol=0)
    assert torch.allclose(Batched(model, 3)(inputs), model(inputs), rtol=1e-13, atol=0)


def test_ascent_leaves_the_inputs_alone():
    inputs = torch.rand(2, 3)
    with torch.no_grad():
        ascent(nn.Linear(3, 4), inputs, torch.tensor([0, 1]), "ce")
    assert not inputs.requires_grad


def test_the_steepest_direction_has_norm_one_however_small_the_gradient():
    gradient = torch.tensor([[3e-30, -4e-30], [0.0, 0.0], [3.0, -4.0]])
    assert torch.allclose(steepest(gradient, "L2"), torch.tensor([[0.6, -0.8], [0.0, 0.0], [0.6, -0.8]]))
    assert steepest(gradient, "Linf").tolist() == [[1, -1], [0, 0], [1, -1]]
    assert is_zero(gradient).tolist() == [False, True, False]


def test_a_threat_without_a_ball_is_refused():
    with pytest.raises(ValueError) as refusal:
        need_ball(GaussianNoise(), "pgd")
    assert str(refusal.value) == (
        "Expected an Linf or L2 ball for attack 'pgd', got threat 'gaussian'. "
        "Use noise under this threat, or give LpBall(norm='Linf')."
    )
