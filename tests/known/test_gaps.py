"""Missing repeats and torn NaN, against a look at every value."""

import numpy as np
import pytest
import torch
from exact import refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from eigenfall import gaps


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def look(values, torn="refuse", samples="stimuli", over="units", width=3):
    """The gaps, found from slabs along an axis, and what is kept by them, put together from the slabs."""
    axis = 2 if over == "units" else 1
    slabs = [
        (over, start, np.take(values, range(start, min(start + width, values.shape[axis])), axis))
        for start in range(0, values.shape[axis], width)
    ]
    found = gaps.found(slabs, values.shape, samples, torn, lambda repeat, stimulus: values[repeat, stimulus])
    return found, torch.cat([found.kept(slab) for slab in slabs], axis)


@pytest.mark.parametrize("over", ["units", "stimuli"])
def test_nothing_missing_is_left_as_it_is(over):
    values = drawn(2, 7, 5)
    found, kept = look(values, over=over)
    assert_close(kept, torch.from_numpy(values), rtol=0, atol=0)
    assert (found.dropped, found.size, found.present.tolist()) == ({}, (2, 7, 5), [2] * 7)


@pytest.mark.parametrize("over", ["units", "stimuli"])
def test_missing_repeats_are_counted(over):
    values = drawn(3, 7, 5)
    values[2, 4:6] = np.nan
    values[0, 1] = np.nan
    found, kept = look(values, over=over)
    assert_close(kept, torch.from_numpy(values), rtol=0, atol=0, equal_nan=True)
    assert found.dropped == {"missing repeats": 3}
    assert found.present.tolist() == [3, 2, 3, 3, 2, 2, 3]


@pytest.mark.parametrize("over", ["units", "stimuli"])
def test_torn_units_are_left_out_and_counted(over):
    values = drawn(3, 7, 5)
    values[2, 4] = np.nan
    values[1, 3, 2] = values[:, :, 4] = np.nan
    found, kept = look(values, "units", over=over)
    assert_close(kept, torch.from_numpy(values[:, :, [0, 1, 3]]), rtol=0, atol=0, equal_nan=True)
    assert found.dropped == {"units with a NaN": 2, "missing repeats": 1}


@pytest.mark.parametrize("over", ["units", "stimuli"])
def test_torn_presentations_are_left_out_and_counted(over):
    values = drawn(2, 7, 5)
    values[1, 3, 2] = values[1, 5] = np.nan
    values[0, 6, 0] = values[1, 6, 1] = np.nan
    found, kept = look(values, "presentations", over=over)
    expected = values.copy()
    expected[1, 3] = np.nan
    assert_close(kept, torch.from_numpy(expected[:, :6]), rtol=0, atol=0, equal_nan=True)
    assert found.dropped == {"presentations with a NaN": 3, "missing repeats": 1, "stimuli without a repeat": 1}
    assert found.present.tolist() == [2, 2, 2, 1, 2, 1]


def test_zero_is_what_the_source_makes_of_nan():
    values = drawn(2, 4, 3)
    values[1, 2] = values[0, 0, 1] = np.nan
    found, kept = look(values, "zero")
    assert_close(kept, torch.from_numpy(np.where(np.isnan(values), 0, values)), rtol=0, atol=0)
    assert found.dropped == {"NaN, read as 0": 4}


def test_presentations_without_a_value_are_left_out():
    values = drawn(1, 6, 3)
    values[0, 2] = np.nan
    found, kept = look(values, samples="presentations")
    assert_close(kept, torch.from_numpy(values[:, [0, 1, 3, 4, 5]]))
    assert found.dropped == {"presentations without a value": 1}


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(["units", "presentations"]),
    st.sampled_from(["units", "stimuli"]),
    st.data(),
)
def test_whatever_is_missing_what_is_kept_has_whole_repeats_only(repeats, stimuli, units, torn, over, data):
    values = drawn(repeats, stimuli, units)
    holes = data.draw(st.lists(st.booleans(), min_size=values.size, max_size=values.size))
    values[np.array(holes).reshape(values.shape)] = np.nan
    try:
        found, kept = look(values, torn, over=over, width=2)
    except ValueError as reason:
        assert str(reason).startswith("Expected at least one ")  # noqa: PT017
        return
    empty = torch.isnan(kept)
    assert bool((empty.all(2) == empty.any(2)).all())
    assert (~empty.all(2)).sum(0).tolist() == found.present.tolist()
    assert int(found.present.min()) >= 1
    assert tuple(kept.shape) == found.size


# -------------------------------------------------------------------------------- refusals


def test_a_torn_nan_is_refused_by_its_place():
    values = drawn(2, 20, 6)
    values[1, 13, 4] = np.nan
    assert refusal(look, values) == (
        "Expected NaN only where a repeat is missing for all units, got a single one at repeat 1, stimulus 13, unit 4, "
        "counted from 0. Leave such units or such repeats out, with torn set to units or presentations, "
        "or say the axes."
    )


@pytest.mark.parametrize("over", ["units", "stimuli"])
def test_infinity_is_refused_by_its_place(over):
    values = drawn(2, 20, 6)
    values[0, 7, 5] = -np.inf
    assert refusal(look, values, "units", over=over) == (
        "Expected finite responses, got an infinite value at repeat 0, stimulus 7, unit 5, counted from 0. "
        "Mend the file, or leave that unit out."
    )


@pytest.mark.parametrize(
    "torn, samples, message",
    [
        (
            "units",
            "stimuli",
            (
                "Expected at least one unit without NaN, got none, as every one has a NaN somewhere. Set torn to "
                "presentations"
            ),
        ),
        (
            "presentations",
            "stimuli",
            "Expected at least one repeat without NaN, got none, as every one has a NaN. Set torn to units",
        ),
        (
            "presentations",
            "presentations",
            "Expected at least one presentation without NaN, got none, as every one has a NaN. Set torn to units",
        ),
    ],
)
def test_nan_that_leave_nothing_are_refused(torn, samples, message):
    values = drawn(1, 6, 6)
    values[0, range(6), range(6)] = np.nan
    assert refusal(look, values, torn, samples) == f"{message}, or say the axes if they are mixed up."


def test_a_stimulus_without_any_repeat_is_refused():
    values = drawn(2, 20, 6)
    values[:, 9] = np.nan
    assert refusal(look, values) == (
        "Expected at least one repeat of everything, got none at stimuli number 9, counted from 0. "
        "Leave it out of the file."
    )
