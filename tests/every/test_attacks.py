"""Every attack in the folder, its default and its presets: the contract of the kind."""

import math
from dataclasses import replace

import nets
import pytest
import torch

from eigenfall import parts
from eigenfall.layers import left_as_found
from eigenfall.robustness import robustness
from eigenfall.types import GaussianNoise, LpBall

SHORT = {"apgd": {"steps": 20}, "autoattack": {"steps": 5, "queries": 20}, "square": {"queries": 100}}
"""What would take minutes, with fewer steps."""
EVERY = {
    f"{name}@{preset}": replace(part, **SHORT.get(name, {}))
    for name in parts.names("attacks")
    for preset, part in {"default": parts.part_class("attacks", name)(), **parts.presets("attacks", name)}.items()
}
THREATS = {"Linf": LpBall("Linf"), "L2": LpBall("L2"), "free": LpBall("L2", None), "gaussian": GaussianNoise()}


def seeded():
    return torch.Generator().manual_seed(0)


def budget(attack, epsilon):
    """An attack that looks for the smallest perturbation gets no epsilon."""
    return None if getattr(attack, "minimal", False) else epsilon


@pytest.fixture(params=EVERY, ids=str)
def attack(request):
    return EVERY[request.param]


@pytest.fixture(params=[nets.mlp, nets.cnn], ids=["mlp", "cnn"])
def model(request):
    return request.param()


@pytest.mark.parametrize("threat", ["Linf", "L2", "free"])
@pytest.mark.parametrize("epsilon", [0.001, 0.1, 2.0])
def test_a_proposal_stays_in_the_threat(attack, model, threat, epsilon):
    data, ball, limit = nets.held_out(16), THREATS[threat], budget(attack, epsilon)
    if limit is None and epsilon != 0.1:
        pytest.skip("once is enough without an epsilon")
    with left_as_found(model):
        proposal = attack(model, data.inputs, data.targets, ball, limit, seeded())
    ball.check(proposal.inputs, data.inputs, math.inf if limit is None else limit, "this")
    assert proposal.zero_gradients.shape == (16,)
    assert proposal.passes >= 1
    assert proposal.reach > 0
    assert not proposal.inputs.requires_grad


def test_arguments_are_left_alone(attack, model):
    data = nets.held_out(16)
    inputs, targets = data.inputs.clone(), data.targets.clone()
    with left_as_found(model):
        attack(model, inputs, targets, LpBall(), budget(attack, 0.1), seeded())
    assert torch.equal(inputs, data.inputs)
    assert torch.equal(targets, data.targets)
    assert not inputs.requires_grad


def test_same_seed_same_proposal(attack, model):
    data = nets.held_out(16)
    with left_as_found(model):
        first, again = (
            attack(model, data.inputs, data.targets, LpBall(), budget(attack, 0.1), seeded()).inputs for _ in range(2)
        )
    assert torch.equal(first, again)


def test_it_breaks_more_than_nothing_does(attack):
    curve = robustness(nets.mlp(), {"a": attack}, nets.held_out(64), LpBall(), (0.3,), seeded())
    assert curve.accuracy()[0].value < float(curve.clean_correct.double().mean())


def test_one_class_of_inputs_alone(attack):
    model, data = nets.mlp(), nets.held_out(1)
    with left_as_found(model):
        proposal = attack(model, data.inputs, data.targets, LpBall(), budget(attack, 0.1), seeded())
    assert proposal.inputs.shape == (1, 64)
