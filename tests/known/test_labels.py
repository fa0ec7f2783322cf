"""Ids of presentations as numbers of stimuli."""

import math

import numpy as np
import pytest
import torch
from exact import refusal

from eigenfall import labels


@pytest.mark.parametrize(
    "ids, stimuli, codes",
    [
        ([30, 10, 30, 20], [10, 20, 30], [2, 0, 2, 1]),
        (np.array([3.0, 1.0, 2.5]), [1, 2.5, 3], [2, 0, 1]),
        (torch.tensor([2, 0, 2]), [0, 2], [1, 0, 1]),
        (["b", "a", "", "b"], ["a", "b"], [1, 0, -1, 1]),
        ([b"b", "a"], ["a", "b"], [1, 0]),
        ([("im", 3), ("im", 1), ("im", 3)], [("im", 1), ("im", 3)], [1, 0, 1]),
        ([2, "grey", None, 2, math.nan], [2, "grey"], [0, 1, -1, 0, -1]),  # no order: as they came
        (np.array([[1, 2], [1, 3], [1, 2]]), [(1, 2), (1, 3)], [0, 1, 0]),  # rows of numbers
    ],
)
def test_each_stimulus_has_a_number(ids, stimuli, codes):
    found, known, dropped = labels.coded(ids, len(ids))
    assert (found.tolist(), known) == (codes, stimuli)
    nameless = codes.count(-1)
    assert dropped == ({"presentations without a stimulus": nameless} if nameless else {})


@pytest.mark.parametrize(
    "without, left, said",
    [
        (("largest",), [-1, 4, 7], "12"),
        (("-1",), [4, 7, 12], "-1"),
        ((-1, "largest"), [4, 7], "-1, 12"),
        ((4.0,), [-1, 7, 12], "4"),
    ],
)
def test_ids_are_left_out_and_counted(without, left, said):
    codes, known, dropped = labels.coded([4, 12, -1, 7, 12, -1], 6, without)
    assert known == left
    assert dropped == {f"presentations of stimulus {said}": codes.tolist().count(-1)}


def test_a_stimulus_may_be_called_largest():
    assert labels.coded(["largest", "a"], 2, ("largest",))[1] == ["a"]


@pytest.mark.parametrize(
    "ids, without, message",
    [
        (
            [1, 2],
            (),
            (
                "Expected the stimulus of each of 3 presentations, got 2 ids. Give one id per presentation, in "
                "the same order."
            ),
        ),
        ([1, 2, 3], ("9",), "Expected an id that occurs, to leave it out, got '9'. Ids go from 1 to 3."),
        (["a", "b", "c"], ("largest",), "Expected numbers as ids, to leave out the largest, got none. Name the id."),
        ([4, 4, 4], ("largest",), "Expected a stimulus that is kept, got none. Leave fewer ids out."),
        ([None, math.nan, ""], (), "Expected at least one stimulus, got no ids. Look at where the ids come from."),
    ],
)
def test_ids_that_cannot_be_are_refused(ids, without, message):
    assert refusal(labels.coded, ids, 3, without) == message


def test_repeats_are_in_temporal_order():
    """Against a loop over presentations."""
    codes = np.random.default_rng(0).integers(0, 7, 50)
    codes[codes == 4] = 5
    found, counted = labels.table_of(codes, 7), {}
    for presentation, code in enumerate(codes.tolist()):
        counted.setdefault(code, []).append(presentation)
    assert found.shape == (max(map(len, counted.values())), 6)
    for column, code in zip(found.T.tolist(), sorted(counted)):
        assert column == counted[code] + [-1] * (len(column) - len(counted[code]))


def test_what_looks_odd_is_said():
    assert labels.often(labels.table_of(np.arange(5), 5)) == ("No stimulus was shown twice.",)
    assert labels.often(labels.table_of(np.tile(np.arange(5), 3), 5)) == ()
    often = labels.often(labels.table_of(np.concatenate([np.tile(np.arange(5), 2), np.full(20, 3)]), 5))
    assert often == ("One stimulus was shown 22 times, most 2 times or fewer: if it is a blank, leave its id out.",)


@pytest.mark.parametrize("found", [np.ones((3, 2)), np.zeros(0), np.array([1j, 2j]), np.array([None, 1])])
def test_what_names_no_stimuli_is_refused(found):
    assert refusal(labels.need_ids, found, "istim") == (
        f"Expected a number or a name for each presentation in 'istim', got {found.dtype} of shape {found.shape}. "
        "Give one id per presentation."
    )
