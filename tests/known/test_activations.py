import copy

import numpy as np
import pytest
import torch
from exact import seeded
from torch import nn
from torch.testing import assert_close
from torch.utils.data import DataLoader, TensorDataset

from eigenfall.activations import accuracy, activations, batches, margins
from eigenfall.spectra.pca import PCA
from eigenfall.types import Split


@pytest.fixture
def mlp():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Dropout(0.5), nn.Linear(9, 4))


@pytest.fixture
def cnn():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 5))


def inputs(count=23, *shape):
    return torch.rand(count, *(shape or (6,)), generator=seeded(1))


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def read(responses):
    return torch.cat(list(responses.pieces()), 1)[0]


def test_layers_are_what_the_model_computes_in_eval_mode(mlp):
    found = activations(mlp, inputs(), ["2", "outputs"])
    mlp.eval()
    with torch.no_grad():
        assert_close(read(found["2"]), mlp[:3](inputs()))
        assert_close(read(found["outputs"]), mlp(inputs()))
    assert list(found) == ["2", "outputs"]
    assert found["2"].name == "2"
    assert not read(found["2"]).requires_grad


FORMS = {
    "tensor": lambda x: x,
    "array": lambda x: x.numpy(),
    "float64 array": lambda x: x.double().numpy(),
    "loader of pairs": lambda x: DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=7),
    "loader of inputs": lambda x: DataLoader(x, batch_size=7),
    "list of batches": lambda x: list(x.split(7)),
    "list of arrays": lambda x: [part.numpy() for part in x.split(7)],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_every_form_of_inputs_gives_the_same(form, memory, mlp):
    truth = read(activations(mlp, inputs(), ["2"])["2"])
    found = activations(mlp, FORMS[form](inputs()), ["2"], batch_size=5, memory=memory)["2"]
    assert_close(read(found), truth)
    assert_close(read(found), truth)  # a second reading
    assert_close(PCA()(found, seeded(0)).eigenvalues, PCA()(activations(mlp, inputs(), ["2"])["2"]).eigenvalues)
    in_memory = form in ("tensor", "array", "float64 array") and memory == 1.0
    assert (found.values is not None) == in_memory


def counted(model):
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    return passes


def test_several_layers_take_one_pass_over_inputs_in_memory(mlp):
    passes = counted(mlp)
    activations(mlp, inputs(20), ["0", "2", "outputs"], batch_size=5)
    assert len(passes) == 1 + 4  # one to learn the sizes


def test_a_stream_is_run_when_it_is_read_and_not_before(mlp):
    passes = counted(mlp)
    found = activations(mlp, list(inputs(20).split(5)), ["0", "2"])
    assert len(passes) == 1
    chunks = found["2"].pieces()
    next(chunks)
    assert len(passes) == 2
    assert len(list(chunks)) == 3


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_as_it_was_found_between_chunks(mlp, training):
    mlp.train(training)
    before, grad_mode = copy.deepcopy(mlp.state_dict()), torch.is_grad_enabled()
    for _ in activations(mlp, list(inputs().split(7)), ["2"])["2"].pieces():
        assert mlp.training == training
        assert torch.is_grad_enabled() == grad_mode
        assert all(parameter.requires_grad for parameter in mlp.parameters())
    for name, value in mlp.state_dict().items():
        assert torch.equal(value, before[name])
    assert len(mlp[2]._forward_hooks) == 0


@pytest.mark.parametrize(
    "how, shape, block", [("flatten", (8, 48), 1), ("channels", (8 * 16, 3), 16), ("pool", (8, 3), 1)]
)
@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_maps_are_viewed_as_asked(how, shape, block, memory, cnn):
    images = inputs(8, 1, 6, 6)
    found = activations(cnn, images, ["1"], how, batch_size=3, memory=memory)["1"]
    assert read(found).shape == shape
    assert found.block == block
    with torch.no_grad():
        maps = cnn[:2](images)
    if how == "pool":
        assert_close(read(found), maps.mean((2, 3)))
    if how == "channels":
        assert_close(read(found)[17], maps[1, :, 0, 1])


def test_half_precision_comes_out_as_float32():
    model = nn.Sequential(nn.Linear(6, 3)).bfloat16()
    found = read(activations(model, inputs(), ["0"])["0"])
    assert found.dtype == torch.float32
    assert read(activations(model.double(), inputs(), ["0"])["0"]).dtype == torch.float64


def test_an_array_on_disk_is_read_slice_by_slice(mlp, tmp_path):
    np.save(tmp_path / "images.npy", inputs().numpy())
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert_close(read(activations(mlp, mapped, ["2"])["2"]), read(activations(mlp, inputs(), ["2"])["2"]))


def test_accuracy_per_input(mlp):
    targets = torch.arange(23) % 4
    mlp.eval()
    truth = mlp(inputs()).argmax(1) == targets
    mlp.train()
    assert torch.equal(accuracy(mlp, Split(inputs(), targets), 5), truth)
    assert mlp.training


def test_margins_are_the_targets_logit_less_the_largest_other(mlp):
    targets = torch.arange(23) % 4
    mlp.eval()
    logits = mlp(inputs()).detach()
    truth = [
        float(row[target] - max(value for place, value in enumerate(row) if place != target))
        for row, target in zip(logits, targets)
    ]
    assert_close(margins(mlp, Split(inputs(), targets), 7), torch.tensor(truth, dtype=torch.float64))


def test_a_tie_is_an_error():
    model = nn.Sequential(nn.Linear(6, 3))
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    assert not accuracy(model, Split(inputs(4), torch.zeros(4, dtype=torch.long))).any()


# ---------------------------------------------------------------------------- refusals


def test_a_layer_that_does_not_exist_is_refused(mlp):
    message = refused(lambda: activations(mlp, inputs(), ["hidden1"]))
    assert message.startswith("Expected a layer of the model, got 'hidden1'.")
    assert message.endswith("Its layers are: 0, 1, 2, 3, 4.")


def test_inputs_that_are_used_up_are_refused(mlp):
    assert refused(lambda: activations(mlp, iter([inputs()]), ["2"])) == (
        "Expected batches that can be iterated again, such as a list or a DataLoader, got a list_iterator that is used "
        "up by one reading. Pass what it is made from."
    )


def test_integers_are_refused(mlp):
    assert refused(lambda: activations(mlp, torch.zeros(3, 6, dtype=torch.uint8), ["2"])) == (
        "Expected inputs of a floating type, got torch.uint8. For images, divide by 255 and give values in [0, 1]."
    )


def test_batches_that_are_no_tensors_are_refused():
    assert refused(lambda: next(batches([{"image": inputs()}], 5))) == (
        "Expected batches of tensors or arrays, or of pairs (inputs, targets), got dict. "
        "Let the DataLoader collate tensors."
    )


def test_no_inputs_are_refused(mlp):
    message = "Expected at least one input, got none. Give some."
    assert refused(lambda: activations(mlp, torch.zeros(0, 6), ["2"])) == message
    assert refused(lambda: activations(mlp, [], ["2"])) == message


class Summed(nn.Module):
    def forward(self, x):
        return x.sum(0, keepdim=True)


class Flat(nn.Module):
    def forward(self, x):
        return x.flatten()


@pytest.mark.parametrize("odd, shape", [(Summed(), "(1, 6)"), (Flat(), "(42,)")])
def test_a_layer_without_a_row_per_input_is_refused(odd, shape):
    model = nn.Sequential(odd)
    stream = activations(nn.Sequential(nn.Identity()), [inputs(7)], ["0"])
    assert read(stream["0"]).shape == (7, 6)
    message = refused(lambda: [read(r) for r in activations(model, [inputs(7)], ["0"], memory=1e-9).values()])
    assert message.startswith("Expected one row per input in layer '0', got shape ")
    assert message.endswith("Name a layer whose output has one row per input.")
    assert shape in message or "for 1 inputs" in message
