"""The guard leaves a model as it was found: every flag, buffer, gradient, state and function, also after exceptions."""

import random
import sys

import nets
import numpy as np
import pytest
import torch
from torch import nn

from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD
from eigenfall.layers import left_as_found
from eigenfall.robustness import robustness
from eigenfall.types import LpBall, Proposal


class Rude:
    """An attack that disturbs whatever it can reach, and then proposes the inputs, or raises."""

    def __init__(self, raises):
        self.raises = raises

    def __call__(self, model, inputs, targets, threat, epsilon, generator):
        model.train()
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        nn.functional.cross_entropy(model(inputs), targets).backward()
        for module in model.modules():
            module.register_forward_hook(lambda *_: None)
            module.register_forward_pre_hook(lambda *_: None)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean = module.running_mean + 1  # another tensor in its place
                module.running_var.mul_(2)
        torch.rand(3)
        np.random.rand(3)
        random.random()
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_autocast_enabled("cpu", True)
        torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
        torch.backends.cudnn.deterministic = not torch.backends.cudnn.deterministic
        torch.backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision("medium")
        sys.settrace(None)
        if self.raises:
            raise RuntimeError("in the middle")
        return Proposal(inputs, torch.zeros(len(inputs), dtype=torch.bool), passes=1)


def found_model():
    """A net in a state of its own: flags mixed, some gradients there, some parameters frozen."""
    model = nets.cnn()
    model.train()
    model[2].eval()
    model[6].training = False
    model[1].weight.grad = torch.full_like(model[1].weight, 0.25)
    model[7].bias.requires_grad_(False)
    model[3].register_forward_hook(own_hook)
    return model


def own_hook(module, arguments, output):
    return None


def state(model):
    """Everything that must be the same afterwards, the objects themselves among them."""
    return {
        "flags": [(name, module.training) for name, module in model.named_modules()],
        "buffers": [(name, id(buffer), buffer.clone()) for name, buffer in model.named_buffers()],
        "parameters": [
            (name, id(p), p.requires_grad, id(p.grad), None if p.grad is None else p.grad.clone(), p.detach().clone())
            for name, p in model.named_parameters()
        ],
        "hooks": [
            (list(module._forward_hooks), list(module._forward_pre_hooks), list(module._backward_hooks))
            for module in model.modules()
        ],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].tolist(),
        "modes": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_default_dtype(),
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.allow_tf32,
            torch.get_float32_matmul_precision(),
            sys.gettrace(),
        ),
    }


def assert_same(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for first, second in zip(one, other):
            assert_same(first, second)
    else:
        assert one == other


@pytest.fixture
def traced():
    before, function = sys.gettrace(), lambda *_: None
    sys.settrace(function)
    yield function
    sys.settrace(before)


ATTACKS = {"fgsm": FGSM(), "pgd": PGD(steps=3, restarts=2), "noise": Noise(3), "rude": Rude(raises=False)}


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_leaves_the_model_as_it_was(name, traced, monkeypatch):
    monkeypatch.setattr("eigenfall.robustness.harness.spell", lambda attack: "an attack")
    model, data = found_model(), nets.held_out(20)
    before = state(model)
    robustness(model, {"a": ATTACKS[name]}, data, LpBall(), (0.1,), torch.Generator().manual_seed(0))
    assert_same(before, state(model))
    assert sys.gettrace() is traced
    assert not data.inputs.requires_grad


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_also_after_an_exception_and_under_any_mode(mode, traced):
    model, data = found_model(), nets.held_out(20)
    before = state(model)
    with mode():
        inside = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        with pytest.raises(RuntimeError, match="in the middle"):
            robustness(model, {"a": Rude(raises=True)}, data, LpBall(), (0.1,), torch.Generator().manual_seed(0))
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == inside
    assert_same(before, state(model))


def test_inside_it_is_evaluated_frozen_and_differentiable():
    model = found_model()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16), left_as_found(model):
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert model(nets.held_out(4).inputs).dtype == torch.float32


def test_in_training_mode_the_buffers_are_put_back():
    model, data = nets.cnn(), nets.held_out(20)
    before = state(model)
    with left_as_found(model, training=True, frozen=False):
        assert model[2].training
        assert model[1].weight.requires_grad
        model(data.inputs)
        assert not torch.equal(model[2].running_mean, before["buffers"][0][2])
    assert_same(before, state(model))


def test_random_states_are_put_back():
    model = nets.mlp()
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # a type checker draws, too
    with left_as_found(model):
        random.random(), np.random.rand(), torch.rand(1)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_seed_settles_what_a_model_draws():
    model, data = nn.Dropout(0.5), torch.ones(100)
    drawn = []
    for seed in (0, 0, 1):
        with left_as_found(model, seed=seed):
            drawn.append(nn.functional.dropout(data, 0.5, training=True))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_graph_that_stands_is_not_spoilt():
    model, data = nets.cnn(), nets.held_out(4)
    loss = model(data.inputs).sum()  # its graph holds the buffers
    robustness(model, {"fgsm": FGSM()}, data, LpBall(), (0.1,), torch.Generator().manual_seed(0))
    loss.backward()
    assert model[1].weight.grad is not None
