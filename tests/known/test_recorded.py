"""A recording read once: groups of units add up to it, and what estimators are given is the same either way."""

import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall import grams
from eigenfall.recorded import groups_for, recording
from eigenfall.spectra.cvpca import PRESETS as CVPCA
from eigenfall.stages import consumed
from eigenfall.types import Responses


def drawn(stimuli=60, units=40, seed=0):
    values = torch.randn(2, stimuli, units, generator=seeded(seed), dtype=torch.float64) + 5
    values[:, :, 5] = 3.0  # a constant unit
    return values


def test_groups_add_up_to_the_whole():
    responses = Responses(values=drawn())
    found, whole = consumed(recording(responses, seeded(0))), grams.gram(responses, side="stimuli")
    assert found.size == (2, 60, 39)
    assert len(found.groups) == 32
    assert_close(found.whole.matrix, whole.matrix, rtol=0, atol=1e-10)
    assert_close(found.whole.across, whole.across, rtol=0, atol=1e-10)
    assert_close(found.whole.per_unit, whole.per_unit, rtol=1e-10, atol=1e-10)  # in the order of the recording
    assert found.whole.dropped == whole.dropped == {"constant units": 1}


def test_estimators_that_take_stimulus_means_off_get_what_they_need():
    responses = Responses(values=drawn())
    part = CVPCA["stringer2019python"]
    ours = part(consumed(recording(responses, seeded(0))).given, seeded(1))
    assert_close(ours.eigenvalues, part(grams.gram(responses, side="stimuli"), seeded(1)).eigenvalues)


def one_stimulus_each(units=64):
    """Each unit answers one stimulus of its own, so that a Gram says which units are in it."""
    values = torch.zeros(1, units + 1, units, dtype=torch.float64)
    values[0, torch.arange(units), torch.arange(units)] = 1.0
    return Responses(values=values)


def units_in(moments, units=64):
    return set((moments.matrix.diagonal()[:units] > 0.5).nonzero()[:, 0].tolist())


@pytest.mark.parametrize("groups", [7, 9, 64])
@pytest.mark.parametrize("count", [2, 5, 16, 32, 64])
def test_some_units_are_those_units(count, groups):
    """The second moments of a subset are those of a set of units of about that size, each unit in it once."""
    responses = one_stimulus_each()
    found = consumed(recording(responses, seeded(0), memory=groups * 8e-9 * 65**2 * 1.01))
    assert sum(groups_for((1, 65, 64), groups * 8e-9 * 65**2 * 1.01)) == len(found.groups)
    some = found.with_units(count, seeded(1))
    assert len(units_in(some)) == some.units
    assert abs(some.units - count) <= max(1, count // 3)


@pytest.mark.parametrize("groups", [7, 64])
def test_two_subsets_of_one_draw_have_no_unit_in_common(groups):
    found = consumed(recording(one_stimulus_each(), seeded(0), memory=groups * 8e-9 * 65**2 * 1.01))
    for count in (2, 4, 8, 16, 32):
        first, second = (units_in(found.with_units(count, seeded(1), place)) for place in (0, 1))
        assert len(first) == len(second) == count
        assert not first & second


def test_every_unit_is_drawn_as_often_as_any_other():
    counts = torch.zeros(64)
    for seed in range(300):
        found = consumed(recording(one_stimulus_each(), seeded(seed), memory=7 * 8e-9 * 65**2 * 1.01))
        counts[list(units_in(found.with_units(8, seeded(seed + 1000))))] += 1
    assert counts.sum() == 300 * 8
    assert float((counts - 37.5).square().sum() / 37.5) < 110  # χ² with 63 degrees of freedom: 1 in 4,000


def test_a_streams_units_are_not_read_again():
    values, readings = drawn(), []

    def chunks():
        readings.append(1)  # when the first piece is asked for
        yield from values.split(8, dim=2)

    stream = Responses(chunks=chunks, chunked_over="units", size=(2, 60, 40))
    found = consumed(recording(stream, seeded(0)))
    found.with_units(20, seeded(1))
    found.with_stimuli(torch.arange(30))
    assert len(readings) == 1
    assert_close(found.whole.matrix, grams.gram(Responses(values=values), side="stimuli").matrix, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "size, memory, groups",
    [
        ((2, 600, 82), 2.0, (64, 0)),  # no more groups than units
        ((2, 600, 5000), 2.0, (128, 0)),
        ((2, 2800, 10_000), 2.0, (4, 3)),  # a quarter of a GB each: seven of them
        ((2, 2800, 10_000), 5.0, (16, 3)),  # nineteen, down to 1/128
        ((2, 2800, 10), 2.0, (4, 1)),
        ((2, 5000, 10_000), 1.0, (1, 0)),
        ((2, 50_000, 100), 2.0, (0, 0)),  # the matrix over stimuli would not fit: estimators read for themselves
    ],
)
def test_as_many_groups_as_memory_allows(size, memory, groups):
    assert groups_for(size, memory) == groups


def test_without_second_moments_estimators_are_given_the_responses():
    responses = Responses(values=drawn(200, 6))
    found = consumed(recording(responses, seeded(0), memory=1e-7))
    assert found.given is responses
    assert found.with_stimuli(torch.arange(10)).shape == (2, 10, 6)
    assert found.with_units(3, seeded(0)).shape == (2, 200, 3)
