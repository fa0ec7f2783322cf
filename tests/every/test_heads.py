"""What every head must do; a new file in the folder is under test the moment it exists."""

import inspect
from dataclasses import FrozenInstanceError

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from eigenfall.parts import attributes, names, part_class, presets, read, spell

NAMES = names("heads")
PARTS = {
    **{name: part_class("heads", name)() for name in NAMES},
    **{f"{name}@{preset}": part for name in NAMES for preset, part in presets("heads", name).items()},
}
TARGETS = torch.arange(12) % 4


@pytest.fixture(params=PARTS)
def head(request):
    return PARTS[request.param]


def logits(rows=12, seed=0):
    return torch.randn(rows, 4, generator=seeded(seed), dtype=torch.float64)


def test_currents_become_responses_and_logits(head):
    made = head(6, 4, seeded(0))
    assert isinstance(made, nn.Sequential)
    assert [name for name, _ in made.named_children()] == ["hidden1", "readout"]
    assert isinstance(made.readout, nn.Linear)
    currents = torch.randn(12, 6, generator=seeded(1))
    assert made.hidden1(currents).shape == (12, 6)
    outputs = made(currents)
    assert outputs.shape == (12, 4)
    assert outputs.dtype == torch.float32
    assert_close(outputs, made.readout(made.hidden1(currents)), rtol=0, atol=0)
    assert head.loss(outputs, TARGETS).shape == ()


def test_the_seed_decides_the_weights(head):
    one, again, other = (dict(head(6, 4, seeded(seed)).named_parameters()) for seed in (0, 0, 1))
    assert_close(one, again, rtol=0, atol=0)
    assert not torch.equal(one["readout.weight"], other["readout.weight"])


def test_the_global_random_state_neither_matters_nor_moves(head):
    found = []
    with torch.random.fork_rng():
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            found.append(head(6, 4, seeded(0)).readout.weight)
            assert torch.equal(torch.get_rng_state(), before)
    assert_close(*found, rtol=0, atol=0)


def test_the_gradient_of_the_loss(head):
    outputs = (3 * logits()).requires_grad_()
    assert gradcheck(lambda z: head.loss(z, TARGETS), (outputs,))
    assert float(torch.autograd.grad(head.loss(outputs, TARGETS), outputs)[0].norm()) > 0


def test_the_gradient_of_the_head(head):
    made = head(6, 4, seeded(0)).double()
    currents = torch.rand(12, 6, generator=seeded(1), dtype=torch.float64) - 0.3
    weight = (made.readout.weight.detach() * 20).requires_grad_()

    def loss(currents, weight):
        outputs = torch.func.functional_call(made, {"readout.weight": weight}, (currents,))
        return 1e3 * head.loss(outputs, TARGETS)

    assert gradcheck(loss, (currents.requires_grad_(), weight))


def test_a_perfect_prediction_has_the_lowest_loss(head):
    signs = 2.0 * nn.functional.one_hot(TARGETS, 4).double() - 1
    perfect = float(head.loss(1e4 * signs, TARGETS))
    assert 0 <= perfect < 1e-12
    for seed in range(20):
        some = 10 * logits(seed=seed)
        assert float(head.loss(some, TARGETS)) > perfect
        towards = some + 100 * signs  # a step in the right direction is a lower loss
        assert float(head.loss(towards, TARGETS)) < float(head.loss(some, TARGETS))
    assert float(head.loss(-signs, TARGETS)) > float(head.loss(signs, TARGETS))


def test_the_loss_is_a_mean_over_the_batch(head):
    outputs = logits()
    alone = torch.stack([head.loss(outputs[[row]], TARGETS[[row]]) for row in range(12)])
    assert_close(head.loss(outputs, TARGETS), alone.mean())


def test_logits_order_the_classes_as_the_head_does(head):
    outputs = 3 * logits(200)
    own = head.predictions(outputs)
    assert own.shape == outputs.shape
    assert torch.equal(own.argsort(1), outputs.argsort(1))


def test_what_it_is_given_stays_as_it_was(head):
    outputs, targets, currents = logits(), TARGETS.clone(), torch.randn(12, 6, generator=seeded(1))
    kept = [outputs.clone(), currents.clone()]
    head.loss(outputs, targets), head.predictions(outputs), head(6, 4, seeded(0))(currents)
    assert_close([outputs, currents], kept, rtol=0, atol=0)
    assert torch.equal(targets, TARGETS)


def test_its_numbers_stay_finite_in_float32(head):
    for size in (1e-20, 1.0, 1e6):
        outputs = (size * logits().float()).requires_grad_()
        loss = head.loss(outputs, TARGETS)
        loss.backward()
        assert bool(loss.isfinite())
        assert bool(outputs.grad.isfinite().all())


def test_refusals(head):
    for units, classes in ((0, 4), (6, 1)):
        assert refusal(head, units, classes, seeded(0)) == (
            f"Expected at least one unit and two classes, got {units} units and {classes} classes. "
            "Give the layer's units and the data's classes."
        )
    assert refusal(head.loss, logits(0), TARGETS[:0]) == (
        "Expected logits (batch, classes) and as many targets (batch,), at least one, "
        "got shapes (0, 4) and (0,). Give one class for each row of logits."
    )


def test_the_grammar_knows_it(head):
    assert read("heads", spell(head)) == head


@pytest.mark.parametrize("name", NAMES)
def test_it_is_frozen_documented_and_cited(name):
    made = part_class("heads", name)
    with pytest.raises(FrozenInstanceError):
        made().power = 1.0
    assert made.cite
    assert all(words for _, _, words in attributes("heads", name))
    assert "Source:" in inspect.getmodule(made).__doc__
    assert "Differs from the source:" in inspect.getmodule(made).__doc__
