"""Architectures: widths, order within a layer, seeds, normalisation, and other people's models."""

import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from eigenfall import blocks, parts
from eigenfall.architectures.cnn import CNN
from eigenfall.architectures.imported import Imported
from eigenfall.architectures.mlp import MLP
from eigenfall.blocks import channel_moments, need_outputs
from eigenfall.layers import hidden_names, hidden_of
from eigenfall.types import Examples, Split

WRAP = "Mend the name, start in the folder that holds it, or wrap it in a function without arguments."


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(*shape, rows=20, classes=10):
    inputs = torch.rand(rows, *shape, generator=seeded())
    split = Split(inputs, torch.arange(rows) % classes)
    return Examples("pictures", split, split, split, classes)


def refusal(call, *arguments):
    with pytest.raises(ValueError) as refused:
        call(*arguments)
    return str(refused.value)


def widths(model, examples):
    _, hidden = hidden_of(model.eval(), examples.train.inputs[:2], hidden_names(model))
    return [values.flatten(1).shape[1] for values in hidden.values()]


@pytest.mark.parametrize(
    "text, shape, expected",
    [
        ("mlp@nassar2020_shallow", (1, 28, 28), [2000]),
        ("mlp@nassar2020_deep", (1, 28, 28), [1000] * 3),
        ("mlp@nassar2020_shallow_small", (1, 28, 28), [400]),
        ("mlp@nassar2020_deep_small", (1, 28, 28), [200] * 3),
        ("mlp@nassar2020_shallow_quick", (1, 8, 8), [128]),
        ("mlp@nassar2020_deep_quick", (1, 8, 8), [64] * 3),
        ("cnn@nassar2020", (1, 28, 28), [2704, 800, 1000]),
        ("cnn@nassar2020_cifar10", (3, 32, 32), [3600, 1152, 1000]),
        ("cnn@nassar2020_cifar10_head", (3, 32, 32), [3600, 1152, 256, 256]),
    ],
)
def test_published_widths(text, shape, expected):
    examples = images(*shape)
    model = parts.read("architectures", text)(examples, seeded())
    assert widths(model, examples) == expected
    assert list(dict(model.named_children()))[-1] == "readout"
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(norms) == ("shallow" in text)


def test_an_mlp_is_its_equation():
    examples = images(1, 4, 4)
    model = MLP(widths=(7, 5))(examples, seeded()).eval()
    weights = dict(model.named_parameters())
    values = examples.test.inputs.flatten(1)
    for layer in ("hidden1.transform", "hidden2.transform"):
        values = torch.tanh(values @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
    expected = values @ weights["readout.weight"].T + weights["readout.bias"]
    assert_close(model(examples.test.inputs), expected)


@pytest.mark.parametrize(
    "batch_norm, order",
    [
        ("none", ["transform", "activation"]),
        ("after_activation", ["transform", "activation", "batch_norm"]),
        ("before_activation", ["transform", "batch_norm", "activation"]),
    ],
)
def test_order_within_a_layer(batch_norm, order):
    examples = images(3, 12, 12)
    mlp = MLP(widths=(4,), batch_norm=batch_norm)(examples, seeded())
    cnn = CNN(channels=(2,), widths=(), batch_norm=batch_norm)(examples, seeded())
    assert list(dict(mlp.hidden1.named_children())) == order
    assert list(dict(cnn.hidden1.named_children())) == [*order, "pool"]


def test_batch_norm_after_the_activation_standardises_the_layer():
    examples = images(1, 4, 4, rows=200)
    model = MLP(widths=(6,), batch_norm="after_activation")(examples, seeded()).train()
    _, hidden = hidden_of(model, examples.train.inputs, ["hidden1"])
    assert_close(hidden["hidden1"].mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    assert_close(hidden["hidden1"].var(0, correction=0), torch.ones(6), atol=1e-2, rtol=0)


def test_normalisation_standardises_each_channel():
    examples = images(3, 12, 12)
    examples = replace(examples, train=replace(examples.train, inputs=examples.train.inputs * 0.3 + 0.1))
    model = CNN(channels=(2,), normalise="channels")(examples, seeded())
    normal = model.normalise(examples.train.inputs)
    assert_close(normal.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    assert_close(normal.var((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert {"normalise.mean", "normalise.sd"} <= set(model.state_dict())
    assert not any(name.startswith("normalise") for name, _ in model.named_parameters())


def test_channel_moments_add_up_over_chunks():
    inputs = torch.rand(5000, 2, 3, 2, generator=seeded()) + 100
    mean, sd = channel_moments(inputs)
    assert_close(mean, inputs.double().mean((0, 2, 3)).float(), rtol=0, atol=1e-5)
    assert_close(sd, inputs.double().std((0, 2, 3), correction=0).float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("made", [MLP(widths=(40, 30)), CNN(channels=(4,), widths=(30,))], ids=["mlp", "cnn"])
def test_dropout_ends_each_hidden_layer_in_training_and_is_away_in_use(made):
    examples = images(1, 12, 12)
    plain, model = made(examples, seeded()), replace(made, dropout=0.5)(examples, seeded())
    assert all(torch.equal(one, other) for one, other in zip(plain.parameters(), model.parameters(), strict=True))
    assert [list(dict(layer.named_children()))[-1] for layer in (model.hidden1, model.hidden2)] == ["dropout"] * 2
    assert torch.equal(model.eval()(examples.test.inputs), plain.eval()(examples.test.inputs))
    torch.manual_seed(0)
    _, hidden = hidden_of(model.train(), examples.train.inputs, ["hidden2"])
    assert 0.35 < float((hidden["hidden2"] == 0).double().mean()) < 0.65


def test_a_network_without_dropout_is_written_as_before():
    assert "dropout" not in parts.spell(MLP())
    assert "dropout" not in parts.spell(parts.read("architectures", "cnn@nassar2020"))
    assert parts.spell(MLP(dropout=0.2)).endswith(",dropout=0.2")


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("made", [MLP(dropout=1.0), CNN(dropout=1.0)], ids=["mlp", "cnn"])
def test_all_units_dropped_is_refused(made):
    assert refusal(made, images(1, 28, 28), seeded()) == (
        "Expected dropout from 0 to below 1, got 1. It is the share of units that is left out."
    )


def test_small_images_are_refused():
    assert refusal(CNN(), images(1, 8, 8), seeded()) == (
        "Expected images of at least 10 × 10 pixels for 2 convolutional layers, got 8 × 8 in pictures. "
        "Use fewer channels, or architecture mlp."
    )
    assert widths(CNN(widths=())(images(1, 10, 10), seeded()), images(1, 10, 10)) == [16 * 16, 32]


def test_settings_without_a_network_are_refused():
    assert refusal(MLP(widths=()), images(1, 4, 4), seeded()) == (
        "Expected widths of 1 or more for at least one hidden layer, got widths=(). Write for instance widths=200/200."
    )
    assert refusal(CNN(channels=(3, 0)), images(1, 28, 28), seeded()) == (
        "Expected channels of 1 or more for at least one layer, and widths of 1 or more, got channels=(3, 0), "
        "widths=(1000,). Write for instance channels=16/32,widths=1000."
    )


def test_inputs_that_are_no_images_are_refused():
    assert refusal(MLP(), images(16), seeded()) == (
        "Expected inputs (inputs, channels, height, width) for an mlp, got shape (20, 16) in train of pictures. "
        "Reshape the inputs, and leave some to train on."
    )


def test_a_constant_channel_is_refused():
    examples = images(2, 4, 4)
    examples.train.inputs[:, 1] = 0.5
    assert refusal(MLP(normalise="channels"), examples, seeded()) == (
        "Expected every channel of pictures to vary over train, got no variance in channels [1]. Use normalise=none."
    )


# ------------------------------------------------------------------------- other people's models

FACTORY = """
import torch
from torch import nn

def make_model():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 10))

def make_wide():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12))

def make_text():
    return "model"

def make_with(width):
    return nn.Linear(width, 10)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "their_models.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("their_models", None)


@pytest.mark.usefixtures("folder")
def test_a_factory_in_the_current_folder():
    examples, before = images(1, 4, 4), list(sys.path)
    model = Imported("their_models:make_model")(examples, seeded())
    again = Imported("their_models:make_model")(examples, seeded())
    other = Imported("their_models:make_model")(examples, seeded(1))
    assert model(examples.test.inputs).shape == (20, 10)
    assert torch.equal(model[1].weight, again[1].weight)
    assert not torch.equal(model[1].weight, other[1].weight)
    assert sys.path == before


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "factory, sentence",
    [
        ("make_model", "Expected a factory as package.module:function, got 'make_model'. Write for instance "
         "my_models:make_model."),
        ("no_such:make", "Expected 'no_such:make' to be a function that can be imported and called without arguments, "
         f"got ModuleNotFoundError: No module named 'no_such'. {WRAP}"),
        ("their_models:mak", "Expected 'their_models:mak' to be a function that can be imported and called without "
         f"arguments, got AttributeError: module 'their_models' has no attribute 'mak'. {WRAP}"),
        ("their_models:make_with", "Expected 'their_models:make_with' to be a function that can be imported and called "
         "without arguments, got TypeError: make_with() missing 1 required positional argument: 'width'. " + WRAP),
        ("their_models:make_text", "Expected a torch.nn.Module from 'their_models:make_text', got str. Return the "
         "model from the function."),
        ("their_models:make_wide", "Expected outputs (1, 10), one logit for each class of pictures, got shape (1, 12). "
         "Give a model with as many outputs as the data set has classes."),
    ],
)  # fmt: skip
def test_factories_that_cannot_be_used_are_refused(factory, sentence):
    assert refusal(Imported(factory), images(1, 4, 4), seeded()) == sentence


@pytest.mark.usefixtures("folder")
def test_images_of_another_size_are_refused():
    assert refusal(Imported("their_models:make_model"), images(1, 5, 5), seeded()) == (
        "Expected a model that takes inputs (1, 1, 5, 5) of pictures, got RuntimeError: mat1 and mat2 shapes cannot be "
        "multiplied (1x25 and 16x6). Give the data that the model was made for, or reshape inside the model."
    )


def test_a_model_of_many_outputs_is_refused():
    class Pair(nn.Module):
        def forward(self, inputs):
            return inputs, inputs

    assert refusal(need_outputs, Pair(), images(1, 4, 4)) == (
        "Expected outputs (1, 10), one logit for each class of pictures, got tuple. "
        "Give a model with as many outputs as the data set has classes."
    )


def test_one_maker_is_needed():
    remedy = "Write for instance imported:factory=package.module:function."
    assert refusal(Imported(), images(1, 4, 4), seeded()) == (
        f"Expected one of factory, architecture and path, got none. {remedy}"
    )
    assert refusal(Imported("a:b", architecture=MLP()), images(1, 4, 4), seeded()) == (
        f"Expected one of factory, architecture and path, got factory and architecture. {remedy}"
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_are_put_into_the_model(folder, suffix):
    examples, path = images(1, 4, 4), folder / f"weights{suffix}"
    trained = MLP(widths=(3,), batch_norm="after_activation", normalise="channels")
    model = trained(examples, seeded(5))
    model.train()(examples.train.inputs)
    model.eval()
    (save_file if suffix == ".safetensors" else torch.save)(dict(model.state_dict()), path)
    again = Imported(architecture=trained, weights=path)(examples, seeded(0)).eval()
    assert torch.equal(again(examples.test.inputs), model(examples.test.inputs))


def test_weights_of_another_model_are_refused(folder):
    path = folder / "w.safetensors"
    save_file({"1.weight": torch.zeros(6, 16), "1.bias": torch.zeros(7), "fc.weight": torch.zeros(2)}, path)
    assert refusal(Imported("their_models:make_model", weights=path), images(1, 4, 4), seeded()) == (
        f"Expected the model's own names and shapes in {path}, got 4 that differ: 3.weight is missing, 3.bias is "
        "missing, fc.weight is not in the model and 1 more. Give the weights of this model, or the factory of that one."
    )


def test_files_that_hold_no_weights_are_refused(folder):
    def sentence(path):
        return refusal(Imported("their_models:make_model", weights=path), images(1, 4, 4), seeded())

    path = folder / "w.pt"
    assert sentence(path) == f"Expected a file of weights at {path}, got none. Mend the path."
    again = "The file is damaged, TorchScript or of another kind; save model.state_dict() again."
    path.write_bytes(b"PK")
    assert sentence(path).startswith("Expected a state dict in") or sentence(path).endswith(again)
    torch.save(nn.Linear(2, 2), path)
    assert sentence(path) == (
        f"Expected a state dict in {path}, got a pickle of other objects, which may run code when opened. "
        "Save model.state_dict(), or use .safetensors, and name the factory of the model."
    )
    torch.save({"state_dict": {}, "epoch": 3}, path)
    assert sentence(path) == (
        f"Expected a state dict of tensors in {path}, got entries state_dict, epoch. Save model.state_dict() alone."
    )
    broken = folder / "w.safetensors"
    broken.write_bytes(b"\x00" * 20)
    assert sentence(broken) == (
        f"Expected weights as .safetensors or a state dict in {broken}, got SafetensorError. {again}"
    )


EXPORT = """
import sys, torch
from torch import nn
model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(16, 6), nn.Tanh()), nn.Linear(6, 10)).eval()
inputs = torch.rand(2, 1, 4, 4)
moving = None if sys.argv[2] == "fixed" else ({0: torch.export.Dim("batch")},)
torch.export.save(torch.export.export(model, (inputs,), dynamic_shapes=moving), sys.argv[1])
torch.save(dict(model.state_dict()), sys.argv[1] + ".weights")
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A program with batches of any size, and one with batches of two."""
    folder = tmp_path_factory.mktemp("programs")
    for kind in ("any", "fixed"):
        command = [sys.executable, "-W", "ignore", "-c", EXPORT, str(folder / f"{kind}.pt2"), kind]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def test_a_program_of_ones_own_keeps_layers_and_gradients(exported):
    examples, path = images(1, 4, 4), exported / "any.pt2"
    model = Imported(path=path, trusted=True)(examples, seeded())
    own = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(16, 6), nn.Tanh()), nn.Linear(6, 10))
    own.load_state_dict(torch.load(f"{path}.weights", weights_only=True))
    inputs = examples.test.inputs.clone().requires_grad_()
    outputs, hidden = hidden_of(model, inputs, ["1"])
    expected, same = hidden_of(own, inputs, ["1"])
    assert_close(hidden["1"], same["1"])
    assert_close(torch.autograd.grad(outputs.sum(), inputs)[0], torch.autograd.grad(expected.sum(), inputs)[0])


def test_programs_that_cannot_be_used_are_refused(exported, tmp_path):
    def sentence(**settings):
        return refusal(Imported(**settings), images(1, 4, 4), seeded())

    path = exported / "any.pt2"
    assert sentence(path=path) == (
        f"Expected trusted=true for a program, whose loading can run what its maker put there, got {path}. "
        "Set it for a file of your own; from others, ask for a factory and .safetensors."
    )
    assert sentence(path=path, weights=path) == (
        f"Expected a program without weights, got weights={path}. "
        "A program carries its own; leave weights out, or name a factory."
    )
    assert sentence(path=tmp_path / "a.pt2") == f"Expected a program at {tmp_path / 'a.pt2'}, got none. Mend the path."
    (tmp_path / "a.pt").write_bytes(b"x")
    assert sentence(path=tmp_path / "a.pt") == (
        f"Expected a .pt2 file saved by torch.export, got {tmp_path / 'a.pt'}. A pickled module may run code when "
        "opened, and TorchScript hides its layers: name the model's factory, and give its state dict as weights."
    )
    (tmp_path / "b.pt2").write_bytes(b"x")
    assert sentence(path=tmp_path / "b.pt2", trusted=True).startswith(
        f"Expected a program that this torch can load at {tmp_path / 'b.pt2'}, got "
    )
    assert sentence(path=exported / "fixed.pt2", trusted=True).startswith(
        "Expected a model that takes inputs (1, 1, 4, 4) of pictures, got "
    )


def test_building_leaves_random_states_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    MLP()(images(1, 4, 4), seeded())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


def test_a_factory_draws_from_the_generator_only():
    def draws(generator):
        state = random.getstate()  # read and compared within one call: the shape checker draws too
        with blocks.seeded(generator):
            drawn = float(torch.rand(())), np.random.rand(), random.random()
        assert random.getstate() == state
        return drawn

    assert draws(seeded(0)) == draws(seeded(0))
    assert all(first != second for first, second in zip(draws(seeded(0)), draws(seeded(1))))
