"""Every architecture: seeded, finite, one logit per class, hidden layers by name. Those of elsewhere need a maker."""

import pytest
import torch

from eigenfall import parts
from eigenfall.layers import hidden_names, hidden_of
from eigenfall.types import Examples, Split

OWN = [name for name in parts.names("architectures") if name not in ("imported", "learnt")]
EVERY = [name for own in OWN for name in (own, *(f"{own}@{preset}" for preset in parts.presets("architectures", own)))]


pytestmark = pytest.mark.filterwarnings("ignore:.* rows to whiten")  # the published whitening of six inputs


@pytest.fixture(params=EVERY)
def architecture(request):
    return parts.read("architectures", request.param)


@pytest.fixture
def examples():
    inputs = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    split = Split(inputs, torch.arange(6) % 4)
    return Examples("pictures", split, split, split, classes=4)


def build(architecture, examples, seed=0):
    return architecture(examples, torch.Generator().manual_seed(seed)).eval()


def test_hidden_layers_and_logits(architecture, examples):
    model = build(architecture, examples)
    names = hidden_names(model)
    assert names == tuple(f"hidden{place}" for place in range(1, len(names) + 1))
    assert len(names) > 0
    outputs, hidden = hidden_of(model, examples.test.inputs, [*names, "readout"])
    assert outputs.shape == (6, 4)
    assert torch.equal(hidden["readout"], outputs)
    assert all(values.isfinite().all() and len(values) == 6 for values in hidden.values())


def test_the_generator_alone_decides(architecture, examples):
    torch.manual_seed(1)
    first = build(architecture, examples).state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again, other = build(architecture, examples).state_dict(), build(architecture, examples, seed=1).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["readout.weight"], other["readout.weight"])


def test_inputs_are_left_alone(architecture, examples):
    before = examples.train.inputs.clone()
    build(architecture, examples)(examples.train.inputs)
    assert torch.equal(examples.train.inputs, before)
