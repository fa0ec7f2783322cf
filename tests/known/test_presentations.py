"""Presentations as repeats of stimuli, against a loop."""

import math
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass

import naive
import numpy as np
import pytest
import torch
from exact import read_whole, refusal
from torch.testing import assert_close

from eigenfall import repeats, streams
from eigenfall.presentations import Arrangement


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@dataclass(frozen=True)
class OnDisk:
    """Columns that can be sent to another process."""

    values: np.ndarray

    @property
    def shape(self):
        return self.values.shape

    def __call__(self, first, last):
        return self.values[:, first:last]


IDS = [3, 1, 9, 1, 2, 3, 9, 1, 9, 9, 2, 5]


def by_loop(values, ids, without=()):
    trials = {one: [k for k, label in enumerate(ids) if label == one] for one in sorted(set(ids) - set(without))}
    found = np.full((max(map(len, trials.values())), len(trials), values.shape[1]), np.nan)
    for place, shown in enumerate(trials.values()):
        found[: len(shown), place] = values[shown]
    return torch.from_numpy(found)


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy, OnDisk])
@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_presentations_become_repeats_in_temporal_order(form, memory, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 40)
    values = drawn(12, 7)
    found = Arrangement(memory=memory)(form(values), IDS)
    assert_close(read_whole(found), by_loop(values, IDS), rtol=0, atol=0, equal_nan=True)
    assert found.understood == "5 stimuli × 7 units × 1-4 repeats, from 12 presentations"
    assert (found.values is None, found.shape, found.chunked_over) == (memory < 1, (4, 5, 7), "units")
    assert found.dropped == {}
    found = Arrangement(("largest",), memory=memory)(form(values), IDS)
    assert_close(read_whole(found), by_loop(values, IDS, (9,)), rtol=0, atol=0, equal_nan=True)
    assert found.understood == "4 stimuli × 7 units × 1-3 repeats, from 8 presentations"
    assert found.dropped == {"presentations of stimulus 9": 4}


def test_a_stream_is_indexed_and_sent(monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 40)
    values = drawn(12, 7)
    pieces = pickle.loads(pickle.dumps(Arrangement(memory=1e-9)(OnDisk(values), IDS).chunks))()
    assert len(pieces) == 4  # 20 places × 2 units
    assert_close(pieces[1], by_loop(values, IDS)[:, :, 2:4], equal_nan=True)
    assert_close(torch.cat(list(pieces[2:]), 2), by_loop(values, IDS)[:, :, 4:], equal_nan=True)


def test_two_halves_are_those_of_the_source():
    """First ⌊n/2⌋ against the last ⌊n/2⌋ presentations; fewer than two are dropped."""
    values = drawn(12, 7)
    two = repeats.two(Arrangement(("largest",))(values, IDS))
    assert two.dropped["stimuli with fewer than two repeats"] == 1  # stimulus 5
    expected = np.stack([[values[1], values[4], values[0]], [values[7], values[10], values[5]]])
    assert_close(two.values, torch.from_numpy(expected))


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_units_are_left_out_by_what_they_are(memory, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 40)
    values = drawn(12, 7)
    masks = {"red cells": np.array([1, 0, 0, 1, 1, 0, 0]), "ROIs that are no cells": [0, 1, 0, 1, 0, 0, 0]}
    found = Arrangement(memory=memory)(OnDisk(values), IDS, left_out=masks)
    assert_close(read_whole(found), by_loop(values[:, [2, 5, 6]], IDS), equal_nan=True)
    assert found.dropped == {"red cells": 3, "ROIs that are no cells": 1}


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_torn_nan_are_left_out_as_asked(memory, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 40)
    values = drawn(12, 7)
    values[4, 3] = values[6] = values[11, 1] = np.nan
    columns = OnDisk(values)
    assert refusal(Arrangement(memory=memory), columns, IDS) == (
        "Expected NaN only where a repeat is missing for all units, got a single one at presentation 4, "
        "unit 3, counted "
        "from 0. Leave such units or such repeats out, with torn set to units or presentations, or say the axes."
    )
    found = Arrangement(torn="units", memory=memory)(columns, IDS)
    rows = [k for k in range(12) if k != 6]
    expected = by_loop(values[rows][:, [0, 2, 4, 5, 6]], [IDS[k] for k in rows])
    assert_close(read_whole(found), expected, equal_nan=True)
    assert found.dropped == {"units with a NaN": 2, "presentations without a value": 1}
    found = Arrangement(torn="presentations", memory=memory)(columns, IDS)
    rows = [k for k in range(12) if k not in (4, 6, 11)]
    assert_close(read_whole(found), by_loop(values[rows], [IDS[k] for k in rows]), equal_nan=True)
    assert found.dropped == {
        "presentations with a NaN": 2,
        "presentations without a value": 1,
        "stimuli without a presentation": 1,
    }
    found = Arrangement(torn="zero", memory=memory)(columns, IDS)
    assert_close(read_whole(found), by_loop(np.nan_to_num(values), IDS), equal_nan=True)
    assert found.dropped == {"NaN, read as 0": 9}


def test_a_nan_in_what_is_left_out_does_not_count():
    values = drawn(12, 7)
    values[2, 3] = values[:, 5] = np.nan
    found = Arrangement(("9",))(values, IDS, left_out={"dead units": np.arange(7) == 5})
    assert found.dropped == {"presentations of stimulus 9": 4, "dead units": 1}


@pytest.mark.parametrize("kind", ["float32", "float64", "uint8", "int16"])
@pytest.mark.parametrize("memory", [1.0, 1e-9])
@pytest.mark.parametrize("components", [0, 3])
def test_the_whole_preparation_is_the_papers(kind, memory, components, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 60)
    generator = np.random.default_rng(0)
    values = (generator.exponential(3, (12, 9)) * 20).astype(kind)
    spont = (generator.exponential(3, (30, 9)) * 20).astype(kind)
    red = np.arange(9) % 4 == 1
    if kind.startswith("float"):
        values[4, 3] = np.nan
    arrangement = Arrangement(("largest",), "zero", "spontaneous", components, memory)
    found = arrangement(OnDisk(values), IDS, OnDisk(spont), {"red cells": red})
    truth = torch.from_numpy(naive.stringer_repeats(values, IDS, spont, red, components))
    close = {"rtol": 1e-10, "atol": 1e-10} if kind == "float64" else {"rtol": 1e-5, "atol": 1e-5}
    assert_close(read_whole(found).double(), truth, equal_nan=True, **close)
    assert read_whole(found).dtype == (torch.float64 if kind == "float64" else torch.float32)
    assert found.notices == ()


def test_without_spontaneous_activity_units_are_z_scored_by_their_responses():
    values = drawn(12, 7)
    for arrangement, spont in (
        (Arrangement(("9",), scale="spontaneous", components=4), None),
        (Arrangement(("9",), scale="responses"), drawn(20, 7)),
    ):
        found = arrangement(values, IDS, spont)
        rows = [k for k, one in enumerate(IDS) if one != 9]
        scored = (values[rows] - values[rows].mean(0)) / (values[rows].std(0) + 1e-6)
        assert_close(found.values, by_loop(scored, [IDS[k] for k in rows]), equal_nan=True)
        (notice,) = found.notices
        assert notice == (
            (
                "Units are z-scored by their responses: there is no spontaneous activity, and no dimension of it "
                "is removed."
            )
            if spont is None
            else "Units are z-scored by their responses."
        )


def test_units_that_are_silent_without_stimuli_are_told_of():
    spont = drawn(20, 7)
    spont[:, 2:4] = 5.0
    found = Arrangement(scale="spontaneous")(drawn(12, 7), IDS, spont)
    assert found.notices == (
        "2 units do not vary in spontaneous activity: their responses are divided by 1e-06, as in the "
        "source's code, and "
        "may rule the spectrum.",
    )


def test_labels_of_any_kind_in_the_order_in_which_they_came():
    found = Arrangement()(drawn(4, 2), [("a", 1), None, 2, ("a", 1)])
    assert (found.shape, found.dropped) == ((2, 2, 2), {"presentations without a stimulus": 1})


@pytest.mark.parametrize(
    "values, masks, message",
    [
        (
            drawn(12),
            None,
            (
                "Expected numbers as (presentations, units), got float64 of shape (12,). Give one row per "
                "presentation and one column per unit."
            ),
        ),
        (
            np.full((12, 2), "a"),
            None,
            (
                "Expected numbers as (presentations, units), got <U1 of shape (12, 2). Give one row per "
                "presentation and one column per unit."
            ),
        ),
        (
            drawn(12, 3),
            {"red cells": np.ones(2)},
            "Expected a mark for each of 3 units in red cells, got shape (2,). Give one value per unit.",
        ),
        (drawn(12, 3), {"red cells": np.ones(3)}, "Expected a unit that is kept, got none. Leave fewer units out."),
        (
            np.full((12, 3), math.inf),
            None,
            (
                "Expected finite responses, got an infinite value at presentation 0, unit 0, counted from 0. "
                "Mend the file, or leave that unit out."
            ),
        ),
        (
            np.full((12, 3), math.nan),
            None,
            (
                "Expected at least one presentation without NaN, got none, as every one has a NaN. Set torn to "
                "units, or say the axes if they are mixed up."
            ),
        ),
    ],
)
def test_what_cannot_be_arranged_is_refused(values, masks, message):
    assert refusal(Arrangement(), values, IDS, left_out=masks) == message


UNKNOWN = """
import numpy as np
from eigenfall.presentations import Arrangement
for settings in ({"torn": "unit"}, {"scale": "spontaneus"}):
    try:
        Arrangement(**settings)(np.full((2, 2), np.nan), [1, 2])
    except ValueError as refusal:
        print(refusal)
"""


def test_unknown_ways_are_refused_where_no_type_checker_looks():
    done = subprocess.run([sys.executable, "-c", UNKNOWN], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.splitlines() == [
        "Expected a known value of torn, got 'unit'. Did you mean 'units'?",
        "Expected a known value of scale, got 'spontaneus'. Did you mean 'spontaneous'?",
    ]
