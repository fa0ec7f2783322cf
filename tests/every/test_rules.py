"""What every rule must do; a new file in the folder is under test the moment it exists."""

import inspect
import typing
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from functools import cache

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.datasets.digits import Digits
from eigenfall.packing import opened, seal
from eigenfall.parts import attributes, names, part_class, presets, read, spell
from eigenfall.snapshots import flattened, unflattened
from eigenfall.types import Progress
from eigenfall.types.learning import one_seed, placed

NAMES = names("rules")
PARTS = {
    **{name: part_class("rules", name)() for name in NAMES},
    **{f"{name}@{preset}": part for name in NAMES for preset, part in presets("rules", name).items()},
}
INPUTS, UNITS, ROWS = 64, 12, 40


@pytest.fixture(params=PARTS)
def rule(request):
    return PARTS[request.param]


@cache
def images():
    """Digits of L3 norm 1: in [0, 1] too, so that every preset's scaling holds."""
    values = Digits(validation=0)().train.inputs.flatten(1).double()
    return values / values.norm(p=3, dim=1, keepdim=True)


def batch_of(seed, step, dtype=torch.float64):
    """One seed's batch of this step; 32 of them share no image."""
    order = torch.randperm(len(images()), generator=seeded(100 + seed))
    return images()[order[ROWS * step : ROWS * (step + 1)]].to(dtype)


def drawn(rule, seeds, dtype=torch.float64):
    """The state that these seeds start from, and their generators after it."""
    generators = [seeded(seed) for seed in seeds]
    return placed(rule.start(INPUTS, UNITS, generators), torch.empty(0, dtype=dtype)), generators


def learnt(rule, seeds, steps=4, dtype=torch.float64):
    """The state after these steps of one epoch of ten."""
    state, generators = drawn(rule, seeds, dtype)
    for step in range(steps):
        batch = torch.stack([batch_of(seed, step, dtype) for seed in seeds])
        state = rule(state, batch, Progress(step, 10 * steps, 0, 10), generators)
    return state


def tensors(state):
    return {
        field.name: getattr(state, field.name)
        for field in fields(state)
        if isinstance(getattr(state, field.name), torch.Tensor)
    }


def contents(state):
    """All that a state holds, as values that compare exactly."""
    return {
        name: value.tolist() if isinstance(value, torch.Tensor) else value
        for name, value in flattened(state, "").items()
    }


def test_a_state_is_tensors_with_an_axis_of_seeds_and_numbers(rule):
    start = rule.start(INPUTS, UNITS, [seeded(0), seeded(1), seeded(2)])
    for state in (start, learnt(rule, (0, 1, 2))):
        assert is_dataclass(state)
        assert type(state) is type(start)
        with pytest.raises(FrozenInstanceError):
            state.weights = None
        assert fields(state)[0].name == "weights"
        assert state.weights.shape == (3, UNITS, INPUTS)
        assert type(state).__eq__ is object.__eq__
        for value in vars(state).values():
            assert isinstance(value, (torch.Tensor, int, float, str))
        for tensor in tensors(state).values():
            assert tensor.shape[0] == 3
            assert not tensor.requires_grad
    floating = [tensor for tensor in tensors(start).values() if tensor.is_floating_point()]
    assert {(tensor.dtype, tensor.device.type) for tensor in floating} == {(torch.float32, "cpu")}


def test_same_seed_same_bits(rule):
    assert contents(learnt(rule, (3,))) == contents(learnt(rule, (3,)))


def test_the_start_of_a_seed_does_not_depend_on_others(rule):
    together = rule.start(INPUTS, UNITS, [seeded(5), seeded(3)])
    assert contents(one_seed(together, 1)) == contents(rule.start(INPUTS, UNITS, [seeded(3)]))


def test_seeds_learnt_together_equal_each_alone(rule):
    together = learnt(rule, (5, 3))
    for place, seed in enumerate((5, 3)):
        alone = learnt(rule, (seed,))
        assert_close(tensors(one_seed(together, place)), tensors(alone), rtol=1e-12, atol=1e-12)
        outputs = [rule.layer(state)(batch_of(9, 0)) for state in (one_seed(together, place), alone)]
        assert_close(*outputs, rtol=1e-10, atol=1e-10)


def test_a_state_survives_the_disk_and_goes_on_bit_equal(rule, tmp_path):
    state, blank = learnt(rule, (0, 1)), drawn(rule, (0, 1))[0]
    (tmp_path / "state").write_bytes(seal(flattened(state, "state/")))
    back = unflattened(blank, opened(tmp_path / "state"), "state/", torch.device("cpu"))
    assert contents(back) == contents(state)
    batch = torch.stack([batch_of(seed, 4) for seed in (0, 1)])
    after = [rule(some, batch, Progress(4, 40, 0, 10), [seeded(7), seeded(8)]) for some in (state, back)]
    assert contents(after[0]) == contents(after[1])


def test_batches_are_left_alone(rule):
    state, generators = drawn(rule, (0, 1))
    batch = batch_of(0, 0).expand(2, ROWS, INPUTS)  # both seeds read the same memory
    rule(state, batch, Progress(0, 10, 0, 10), generators)
    assert torch.equal(batch[1], batch_of(0, 0))


def test_a_layer_maps_inputs_to_units(rule):
    state = learnt(rule, (0,))
    layer = rule.layer(state)
    assert isinstance(layer, nn.Module)
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    inputs = batch_of(9, 0)
    outputs = layer(inputs)
    assert outputs.shape == (ROWS, UNITS)
    assert outputs.dtype == torch.float64
    assert outputs.isfinite().all()
    assert_close(layer(inputs[:1]), outputs[:1])  # what one input gives does not depend on the others
    batch = batch_of(0, 4)[None]
    rule(state, batch, Progress(4, 40, 0, 10), [seeded(0)])
    assert torch.equal(layer(inputs), outputs)  # it holds a copy, and learning goes on without it


def test_a_layer_lets_gradients_through_to_the_inputs(rule):
    inputs = batch_of(9, 0).requires_grad_()
    rule.layer(learnt(rule, (0,)))(inputs).square().sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()
    assert float(inputs.grad.norm()) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_precision_is_kept(rule, dtype):
    state = learnt(rule, (0, 1), dtype=dtype)
    assert {tensor.dtype for tensor in tensors(state).values() if tensor.is_floating_point()} == {dtype}
    assert rule.layer(one_seed(state, 0))(batch_of(9, 0, dtype)).dtype == dtype


def test_weights_stay_finite_over_an_epoch_of_digits(rule):
    state = learnt(rule, (0,), steps=30, dtype=torch.float32)
    for tensor in tensors(state).values():
        assert tensor.isfinite().all()
    assert rule.layer(state)(batch_of(9, 0, torch.float32)).isfinite().all()


def test_the_global_random_state_neither_matters_nor_moves(rule):
    found = []
    with torch.random.fork_rng():
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            state = learnt(rule, (0,))
            rule.layer(state)
            found.append(contents(state))
            assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1]


def test_several_seeds_are_not_one_layer(rule):
    assert refusal(rule.layer, learnt(rule, (0, 1))) == (
        "Expected the state of one seed, got 2 seeds. Take one by eigenfall.types.one_seed(state, place)."
    )


@pytest.mark.parametrize("shape", [(1, ROWS, INPUTS), (2, ROWS, INPUTS + 1), (2, ROWS, 8, 8)], ids=str)
def test_a_batch_that_does_not_fit(rule, shape):
    state, generators = drawn(rule, (0, 1))
    call = inspect.unwrap(type(rule).__call__)  # without the tests' own check of shapes
    assert refusal(call, rule, state, torch.zeros(shape).double(), Progress(0, 1, 0, 1), generators) == (
        f"Expected a batch (2, batch, {INPUTS}): seeds, batch, inputs, got shape {shape}. "
        "Flatten the inputs, and give each seed its own batch."
    )


def test_an_empty_batch(rule):
    state, generators = drawn(rule, (0,))
    assert refusal(rule, state, torch.zeros(1, 0, INPUTS).double(), Progress(0, 1, 0, 1), generators) == (
        "Expected at least one input in a batch, got an empty batch. Leave it out."
    )


@pytest.mark.parametrize(("inputs", "units"), [(0, UNITS), (INPUTS, 0)])
def test_nothing_to_learn_from_or_with(rule, inputs, units):
    assert refusal(rule.start, inputs, units, [seeded(0)]) == (
        f"Expected at least one input and one unit, got {inputs} inputs and {units} units. Use more."
    )


def test_the_grammar_knows_it(rule):
    assert read("rules", spell(rule)) == rule
    assert replace(rule) == rule


@pytest.mark.parametrize("name", NAMES)
def test_it_is_frozen_documented_and_cited(name):
    made = part_class("rules", name)
    with pytest.raises(FrozenInstanceError):
        made().learning_rate = 1.0
    assert made.cite
    assert all(words for _, _, words in attributes("rules", name))
    assert "Source:" in inspect.getmodule(made).__doc__
    assert "Differs from the source:" in inspect.getmodule(made).__doc__
    for method, argument, kind in (
        (made.start, "units", int),
        (made.__call__, "progress", Progress),
        (made.layer, "return", nn.Module),
    ):
        assert typing.get_type_hints(method)[argument] is kind
