"""Values go to strict JSON and arrays and come back exactly."""

import dataclasses
import io
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eigenfall import types
from eigenfall.packing import NOUNS, canonical, npz, opened, pack, seal, sha256_of, unpack
from eigenfall.types import (
    Estimate,
    GaussianNoise,
    LpBall,
    Measurement,
    RobustnessCurve,
    Spectrum,
    SpectrumFit,
    Verdict,
)

DTYPES = (torch.float64, torch.float32, torch.bool, torch.int64, torch.uint8)


def same(one, other):
    """Equal in type and value, NaN equal to NaN, −0 unequal to 0, down to each tensor's bytes."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and sha256_of({"": one}) == sha256_of({"": other})
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    return one == other


def through_files(value):
    """Packed, written as strict JSON and an npz archive, and read again."""
    tree, arrays = pack(value)
    text = json.dumps(tree, allow_nan=False)
    with np.load(io.BytesIO(npz(arrays)), allow_pickle=False) as stored:
        return unpack(json.loads(text), stored)


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    dtype = draw(st.sampled_from(DTYPES))
    values = draw(st.lists(st.floats(width=32), min_size=math.prod(shape), max_size=math.prod(shape)))
    tensor = torch.tensor(values, dtype=torch.float64).reshape(shape)
    return (tensor if dtype.is_floating_point else tensor.nan_to_num(0, 1, 0).clamp(0, 200)).to(dtype)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ESTIMATES = st.builds(Estimate, st.floats(), st.floats(), st.floats(), st.floats(0, 1), st.sampled_from(["", "seeds"]))
KEYS = st.text(max_size=4) | st.sampled_from(["$tensor", "$float", "$noun", "a/b", "a_b"])
VALUES = st.recursive(
    PLAIN | tensors() | ESTIMATES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
@settings(deadline=None, max_examples=150)
def test_any_value_comes_back_exactly(value):
    assert same(through_files(value), value)


def test_the_comparison_sees_differences():
    assert not same(1, 1.0)
    assert not same(0.0, -0.0)
    assert not same((1,), [1])
    assert not same(torch.zeros(2), torch.zeros(2, dtype=torch.float64))
    assert not same(Estimate(1.0), Estimate(2.0))
    assert same(Estimate(math.nan), Estimate(math.nan))


def measurement():
    broken = torch.tensor([[[True, False], [True, True]]])
    return Measurement(
        name="plain",
        spectra={
            "hidden1": Spectrum(torch.tensor([2.0, 0.1], dtype=torch.float64), stimuli=5, units=2, name="hidden1")
        },
        fits={"hidden1": SpectrumFit({"alpha": Estimate(1.04, 0.99, 1.09, over="stimuli")}, (11, 500), (1, 2), (2,))},
        smoothness={"outputs": types.Smoothness("jacobian_norm", "outputs", torch.ones(2, dtype=torch.float64))},
        curves={
            "headline": RobustnessCurve(
                LpBall(),
                {"pgd": "pgd:steps=40"},
                (0.0, 0.1),
                broken,
                torch.tensor([True, False]),
                distances=torch.tensor([0.05, math.inf], dtype=torch.float64),
                reach={"pgd": math.inf},
            ),
            "noise": RobustnessCurve(GaussianNoise(bounds=None), {"noise": "noise"}, (0.0, 0.1), broken, broken[0, 0]),
        },
        verdicts=(Verdict("p1", "gradients", "PASS", math.nan, "< 1e-3", "fine"),),
        rows=({"quantity": "alpha", "value": 1.04, "low": math.nan, "layer": "hidden1"},),
        notices=("ranks 3–4 were left out",),
        by_distance={
            "outputs": types.ByDistance(
                "relative_jacobian_norm", "outputs", (0.1, 0.3), (Estimate(2.0), Estimate(1.0)), (5, 5), Estimate(-0.4)
            )
        },
        lipschitz=types.LipschitzBound(6.0, {"readout": 6.0}),
        corruptions=types.CorruptionCurve(
            {"fog": "fog:exponent=2.5"},
            (1, 5),
            broken,
            torch.tensor([True, False]),
            torch.tensor([[0.1, 0.3]], dtype=torch.float64),
            seed=3,
        ),
        landscapes=types.LandscapeSummary(
            "random", 8, 4, Estimate(2.0), Estimate(1.0), Estimate(0.5), Estimate(math.nan), 1, 0.6, "as asked", False
        ),
        landscape=types.Landscape(
            types.Plane(torch.ones(1, 2), torch.eye(2)[:1], torch.eye(2)[1:]),
            torch.linspace(-0.6, 0.6, 3, dtype=torch.float64),
            torch.tensor([[0, 0, 1]] * 3),
            torch.ones(3, 3, dtype=torch.bool),
            0,
            2,
            1.44,
            1.2,
        ),
    )


def test_a_record_from_before_these_were_measured_is_read_without_them():
    tree, arrays = pack(measurement())
    for name in ("by_distance", "lipschitz", "corruptions", "landscapes", "landscape"):
        del tree[name]
    del tree["smoothness"]["outputs"]["ranks"]
    before = unpack(tree, arrays)
    assert (before.by_distance, before.lipschitz, before.corruptions) == ({}, None, None)
    assert (before.landscapes, before.landscape, before.smoothness["outputs"].ranks) == (None, None, None)
    assert same(before.curves, measurement().curves)


def test_a_whole_measurement_comes_back_exactly():
    assert same(through_files(measurement()), measurement())


def test_what_is_written_is_legible():
    tree, arrays = pack({"fit": Estimate(0.1, -math.inf), "values": (torch.tensor([1.5]),), "name": "α"})
    assert tree == {
        "fit": {
            "$noun": "Estimate",
            "value": 0.1,
            "low": {"$float": "-inf"},
            "high": {"$float": "nan"},
            "level": 0.95,
            "over": "",
        },
        "values": [{"$tensor": "values/0"}],
        "name": "α",
    }
    assert {name: array.tolist() for name, array in arrays.items()} == {"values/0": [1.5]}


def test_arrays_whose_names_would_clash_stay_apart():
    value = {"a b": torch.tensor([1]), "a:b": torch.tensor([2]), "a_b": torch.tensor([3]), "file": torch.tensor([4])}
    assert list(pack(value)[1]) == ["a_b", "a_b~2", "a_b~3", "file"]
    assert same(through_files(value), value)


def test_every_noun_of_results_is_known():
    assert {"Estimate", "Spectrum", "SpectrumFit", "Smoothness", "RobustnessCurve", "LpBall", "Verdict"} <= set(NOUNS)
    assert all(noun.__module__.startswith("eigenfall.types.") for noun in NOUNS.values())


def test_numpy_scalars_and_gradients_are_stored_as_numbers():
    assert same(through_files(np.float64(0.1)), 0.1)
    assert same(through_files(np.int32(3)), 3)
    assert same(through_files(torch.ones(2, requires_grad=True)), torch.ones(2))


def test_the_canonical_text_does_not_depend_on_order():
    assert (
        canonical({"b": [1.0, True], "a": "α"})
        == canonical({"a": "α", "b": [1.0, True]})
        == '{"a":"\\u03b1","b":[1.0,true]}'
    )


@dataclasses.dataclass(frozen=True)
class Estimates:
    value: float = 0.0


class Spoken:
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"a": (Spoken(),)},
            "Expected a plain value, a tensor or a noun at /a/0, got a Spoken. Store its numbers instead.",
        ),
        (
            Estimates(),
            "Expected a plain value, a tensor or a noun at the top, got a Estimates. Store its numbers instead.",
        ),
        ({1: 2}, "Expected text as keys of a mapping, got 1. Only mappings by name are stored."),
        (
            {"h": torch.ones(2, dtype=torch.complex64)},
            "Expected a tensor of real numbers, integers or truth values at /h, got torch.complex64. Convert it first.",
        ),
        (
            torch.ones(2, dtype=torch.bfloat16),
            "Expected a tensor of real numbers, integers or truth values at the top, got torch.bfloat16. "
            "Convert it first.",
        ),
    ],
)
def test_what_cannot_be_stored_is_refused(value, message):
    with pytest.raises(ValueError) as refusal:
        pack(value)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"$noun": "Spectrom"}, "Expected a known noun, got 'Spectrom'. Did you mean 'Spectrum'?"),
        ({"$noun": "Path"}, "Expected a known noun, got 'Path'."),
        ({"$noun": "Estimate", "valeu": 1.0}, "Expected a known field of Estimate, got 'valeu'. Did you mean 'value'?"),
        ({"$tensor": "a"}, "Expected a known array, got 'a'. There are none."),
    ],
)
def test_what_is_not_known_is_not_made(tree, message):
    with pytest.raises(ValueError) as refusal:
        unpack(tree, {})
    assert str(refusal.value).startswith(message)


# ------------------------------------------------------------------------------ snapshots

SNAPSHOT = {
    "weights/a": torch.arange(6.0).reshape(2, 3).T,
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "complex": torch.tensor([1 + 2j]),
    "empty": torch.zeros(0, 3),
    "scalar": torch.tensor(3),
    "mask": torch.tensor([True, False]),
    "generator": torch.Generator().manual_seed(3).get_state(),
    "step": 12,
    "best": math.inf,
    "loss": 0.1,
    "history": '[{"step": 1}]',
}


def test_a_snapshot_comes_back_bit_equal(tmp_path):
    (tmp_path / "s").write_bytes(seal(SNAPSHOT))
    found = opened(tmp_path / "s")
    assert found.keys() == SNAPSHOT.keys()
    assert all(same(found[name], SNAPSHOT[name]) for name in SNAPSHOT)


def test_tied_weights_are_sealed_apart(tmp_path):
    weight = torch.ones(2)
    (tmp_path / "s").write_bytes(seal({"one": weight, "other": weight, "part": weight[:1]}))
    assert same(opened(tmp_path / "s"), {"one": weight, "other": weight, "part": weight[:1]})


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(deadline=None, max_examples=60)
def test_one_changed_byte_anywhere_is_seen(tmp_path_factory, place, change):
    data = bytearray(seal(SNAPSHOT))
    data[place % len(data)] ^= change
    path = tmp_path_factory.mktemp("sealed") / "s"
    path.write_bytes(data)
    with pytest.raises(ValueError) as refusal:
        opened(path)
    assert str(refusal.value) == (
        f"Expected {path} as it was written, got a damaged file. Remove it; the run then starts anew."
    )


@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, 0.999])
def test_a_snapshot_cut_short_is_seen(tmp_path, keep):
    data = seal(SNAPSHOT)
    (tmp_path / "s").write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(ValueError, match="got a damaged file"):
        opened(tmp_path / "s")
