"""What every penalty must do; a new file in the folder is under test the moment it exists."""

import inspect
import typing
from dataclasses import FrozenInstanceError, is_dataclass, replace

import pytest
import torch
from exact import seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.layers import hidden_of
from eigenfall.packing import opened, seal
from eigenfall.parts import attributes, names, part_class, presets, read, spell
from eigenfall.snapshots import flattened, unflattened
from eigenfall.training import reference_of
from eigenfall.types import ForwardPass, Penalty, Reference, Split

NAMES = names("penalties")
PARTS = {
    **{name: part_class("penalties", name)() for name in NAMES},
    **{f"{name}@{preset}": part for name in NAMES for preset, part in presets("penalties", name).items()},
}
LAYERS = ("currents", "hidden1", "hidden2")
INPUTS, ROWS = 24, 1100  # more inputs than units, as many rows as the largest reference that a preset asks for


@pytest.fixture(params=PARTS)
def penalty(request):
    return PARTS[request.param]


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential()
        for name, module in (
            ("currents", nn.Linear(INPUTS, 16)),
            ("hidden1", nn.Tanh()),
            ("linear2", nn.Linear(16, 14)),
            ("hidden2", nn.Tanh()),
            ("readout", nn.Linear(14, 3)),
        ):
            model.add_module(name, module)
        return model.double()


def split():
    return Split(torch.randn(ROWS, INPUTS, generator=seeded(0), dtype=torch.float64), torch.arange(ROWS) % 3)


def reference(model):
    return reference_of(model, split(), LAYERS, 50)


def passed(model, rows=40):
    inputs = split().inputs[:rows].clone().requires_grad_()
    outputs, hidden = hidden_of(model, inputs, LAYERS)
    return ForwardPass(inputs, split().targets[:rows], outputs, hidden, dict(model.named_parameters()))


def contents(state):
    """All that a state holds, as values that compare exactly."""
    flat = flattened(state, "") if is_dataclass(state) else {}
    return {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in flat.items()}


def test_same_batch_same_penalty(penalty, model):
    forward_pass = passed(model)
    before = {name: layer.detach().clone() for name, layer in forward_pass.hidden.items()}
    state = penalty.start(reference(model), seeded(0))
    kept = contents(state)
    first, again = (penalty(forward_pass, state, seeded(1)) for _ in range(2))
    assert isinstance(first, Penalty)
    assert float(first.total.detach()) == float(again.total.detach()) >= 0
    assert first.total.shape == ()
    assert_close({name: layer.detach() for name, layer in forward_pass.hidden.items()}, before, rtol=0, atol=0)
    assert contents(state) == kept


def test_it_moves_the_weights(penalty, model):
    penalty(passed(model), penalty.start(reference(model), seeded(0)), seeded(1)).total.backward()
    norms = [float(p.grad.norm()) for p in model.parameters() if p.grad is not None]
    assert sum(norms) > 0
    assert all(norm == norm for norm in norms)


def test_strength_is_a_factor_and_shown_values_are_without_it(penalty, model):
    double = replace(penalty, strength=2 * penalty.strength)
    one, two = (part(passed(model), part.start(reference(model), seeded(0)), seeded(1)) for part in (penalty, double))
    assert float(two.total.detach()) == pytest.approx(2 * float(one.total.detach()))
    assert float(one.total.detach()) == pytest.approx(penalty.strength * sum(map(float, one.per_layer.values())))
    assert_close(dict(two.per_layer), dict(one.per_layer))
    assert not any(value.requires_grad for value in (*one.per_layer.values(), *one.logged.values()))
    assert all(value.ndim == 0 for value in (*one.per_layer.values(), *one.logged.values()))


def test_refreshed_gives_a_state_of_the_same_kind(penalty, model):
    state = penalty.start(reference(model), seeded(0))
    after = penalty(passed(model), state, seeded(1)).state
    kept = contents(after)
    renewed = penalty.refreshed(after, reference(model), seeded(2))
    assert type(renewed) is type(after) is type(state)
    assert contents(after) == kept
    assert getattr(renewed, "due", "no") in ("no", "now", "epoch")
    if state is not None:
        assert is_dataclass(state)
        with pytest.raises(FrozenInstanceError):
            state.due = "now"


def test_state_survives_the_disk(penalty, model, tmp_path):
    blank = penalty.start(reference(model), seeded(0))
    if blank is None:
        return
    state = penalty(passed(model), penalty.refreshed(blank, reference(model), seeded(3)), seeded(1)).state
    (tmp_path / "state").write_bytes(seal(flattened(state, "state/")))
    back = unflattened(blank, opened(tmp_path / "state"), "state/", torch.device("cpu"))
    assert contents(back) == contents(state)
    values = [penalty(passed(model), some, seeded(4)) for some in (state, back)]
    assert float(values[0].total.detach()) == float(values[1].total.detach())


def test_the_global_random_state_neither_matters_nor_moves(penalty, model):
    values = []
    with torch.random.fork_rng():
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            state = penalty.start(reference(model), seeded(0))
            values.append(float(penalty(passed(model), state, seeded(1)).total.detach()))
            assert torch.equal(torch.get_rng_state(), before)
    assert values[0] == values[1]


def test_it_says_whether_it_reads_the_inputs(penalty, model):
    forward_pass = passed(model)
    still = replace(forward_pass, inputs=forward_pass.inputs.detach())
    state = penalty.start(reference(model), seeded(0))
    if type(penalty).reads_inputs:
        with pytest.raises(ValueError, match="inputs that require gradients"):
            penalty(still, state, seeded(1))
    else:
        penalty(still, state, seeded(1))


def test_the_grammar_knows_it(penalty):
    assert read("penalties", spell(penalty)) == penalty


@pytest.mark.parametrize("name", NAMES)
def test_it_is_frozen_documented_and_cited(name):
    made = part_class("penalties", name)
    with pytest.raises(FrozenInstanceError):
        made().strength = 1.0
    assert made.cite
    assert all(words for _, _, words in attributes("penalties", name))
    assert "Source:" in inspect.getmodule(made).__doc__
    assert "Differs from the source:" in inspect.getmodule(made).__doc__
    for method in (made.start, made.__call__, made.refreshed):
        assert typing.get_type_hints(method)
    assert typing.get_type_hints(made.start)["reference"] is Reference
