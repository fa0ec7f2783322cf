"""The residual and the deep convolutional network at work: on CIFAR-10, under penalties, and one image at a time."""

import os
from itertools import pairwise

import numpy as np
import pytest
import torch
from exact import seeded
from torch import nn
from torch.testing import assert_close

from eigenfall import datafiles
from eigenfall.architectures.resnet import ResNet
from eigenfall.architectures.vgg import VGG
from eigenfall.datasets.cifar10 import _batch
from eigenfall.formats import unpickled
from eigenfall.layers import hidden_names, hidden_of, view
from eigenfall.passes import reference_of
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.penalties.spectral import Spectral
from eigenfall.splits import image_split
from eigenfall.training import Training, train
from eigenfall.types import Examples, Split

NETS = {
    "resnet": ResNet(blocks=1, widths=(4, 8, 16)),
    "vgg": VGG(blocks=(1, 1, 2), widths=(4, 8, 16)),
}


@pytest.fixture(params=NETS)
def net(request):
    return NETS[request.param]


@pytest.fixture(scope="module")
def photographs():
    """The first 2 500 images of CIFAR-10's test batch, which holds all ten classes."""
    if not os.environ.get(datafiles.FOLDER):
        pytest.skip(f"{datafiles.FOLDER} is not set")
    held = next(held for held in datafiles.status("cifar10").files if held.file == "test_batch")
    if held.path is None:
        pytest.skip("no CIFAR-10")
    images, targets = _batch(unpickled(datafiles._checked("cifar10", held), "test_batch"), "test_batch")
    return image_split(images[:2500], np.array(targets[:2500]))


def of(split):
    return Examples("photographs", split, split, split, classes=10)


def noise(rows=48, side=16):
    inputs = torch.rand(rows, 3, side, side, generator=seeded(0))
    return of(Split(inputs, torch.arange(rows) % 10))


def some(split, first, last):
    return Split(split.inputs[first:last], split.targets[first:last])


def test_one_step_lowers_the_loss_on_real_images(net, photographs):
    """In eval mode, on the 64 images it was made with, at a small step along the gradient."""
    few = some(photographs, 0, 64)
    model = net(of(few), seeded(0)).eval()
    loss = nn.functional.cross_entropy(model(few.inputs), few.targets)
    loss.backward()
    loss = float(loss.detach())
    slope = sum(float(value.grad.square().sum()) for value in model.parameters())
    step = 0.01 * loss / slope  # to first order the loss falls by a hundredth of itself
    with torch.no_grad():
        for value in model.parameters():
            value -= step * value.grad
        after = float(nn.functional.cross_entropy(model(few.inputs), few.targets))
    assert loss - after == pytest.approx(0.01 * loss, rel=0.3)


def test_each_update_lowers_the_loss_on_real_images(net, photographs):
    few = some(photographs, 0, 64)
    model = net(of(few), seeded(0))
    fit = Training(optimiser="sgd", learning_rate=0.02, batch_size=64, epochs=6)
    losses = [step.values["loss"] for step in train(model, few, some(few, 0, 0), {}, fit)]
    assert all(after < before for before, after in pairwise(losses)), losses


def test_images_do_not_depend_on_their_batch(net):
    examples = noise()
    model = net(examples, seeded(0)).double()
    inputs = examples.test.inputs.double()
    model.train()(inputs)  # so that running moments are not those it starts with
    model.eval()
    whole = model(inputs)
    assert_close(torch.cat([model(image[None]) for image in inputs]), whole, rtol=1e-12, atol=1e-12)
    assert_close(model(inputs.flip(0)).flip(0), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("how", ["channels", "pool"])
def test_the_last_layer_takes_the_spectral_penalty(net, how):
    """16 channels, of which up to 13 are held to the target: R falls, and further than it does without the penalty."""
    examples = noise(rows=160)
    model = net(examples, seeded(0)).eval()
    last = hidden_names(model)[-1]
    hidden = hidden_of(model, examples.train.inputs, [last])[1][last]
    places = hidden.shape[2] * hidden.shape[3]
    assert view(hidden, how).shape == (160 * (places if how == "channels" else 1), 16)
    state = Spectral(layers=(last,), tau=2, view=how).start(reference_of(model, examples.train, [last]), seeded(0))
    assert state.basis[last].shape[0] == 16

    def excess(strength):
        part = Spectral(strength=strength, layers=(last,), tau=2, view=how)
        fit = Training(optimiser="sgd", learning_rate=0.02, batch_size=160, epochs=15)
        steps = train(net(examples, seeded(0)), examples.train, some(examples.train, 0, 0), {"spectral": part}, fit)
        return [step.values[f"spectral/{last}"] for step in steps]

    held, free = excess(5.0), excess(0.0)
    assert held[0] == free[0]
    assert held[-1] < 0.5 * min(held[0], free[-1])


def test_the_jacobian_penalty_moves_every_weight(net):
    """Its gradient is a second derivative: through the sums, the paddings and the poolings."""
    examples = noise(rows=12)
    model = net(examples, seeded(0)).double()
    split = Split(examples.train.inputs.double(), examples.train.targets)
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit = Training(optimiser="sgd", learning_rate=0.01, batch_size=12, steps=1, epochs=None)
    (step,) = train(model, split, some(split, 0, 0), {"jacobian": JacobianNorm(strength=1.0)}, fit)
    assert step.last
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert {name for name in before if name.endswith("weight")} <= moved


@pytest.mark.slow
def test_resnet_8_learns_real_images(photographs):
    """2 000 images, two epochs: of 500 others it names well over a tenth."""
    fitted, held_out = some(photographs, 0, 2000), some(photographs, 2000, 2500)
    model = ResNet(blocks=1)(of(fitted), seeded(0))
    fit = Training(optimiser="adam", learning_rate=3e-3, batch_size=64, epochs=2)
    for _ in train(model, fitted, some(fitted, 0, 0), {}, fit):
        pass
    with torch.no_grad():
        right = float((model.eval()(held_out.inputs).argmax(1) == held_out.targets).double().mean())
    assert right > 0.1 + 5 * (0.1 * 0.9 / 500) ** 0.5  # five standard errors above chance
