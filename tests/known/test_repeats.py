"""Two repeats from many presentations, against a loop over stimuli and units."""

import math

import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.repeats import averaged, complete, presence, two
from eigenfall.types import Responses


def drawn(counts=(5, 2, 1, 4, 6, 3), units=3, most=7):
    """Presentations of each stimulus, scattered over the repeats in order, NaN elsewhere."""
    values = torch.full((most, len(counts), units), math.nan, dtype=torch.float64)
    for stimulus, count in enumerate(counts):
        places = torch.randperm(most, generator=seeded(stimulus))[:count].sort().values
        values[places, stimulus] = torch.randn(count, units, generator=seeded(99 + stimulus), dtype=torch.float64)
    return values


def by_loop(values, how):
    """Two repeats, one stimulus and unit at a time, presentations numbered from 1 as in the specification."""
    kept = []
    for stimulus in range(values.shape[1]):
        shown = [values[t, stimulus] for t in range(len(values)) if not torch.isnan(values[t, stimulus]).all()]
        n = len(shown)
        if n < 2:
            continue
        numbers = range(1, n + 1)
        if how == "halves":
            first = [k for k in numbers if k <= n // 2]
            second = [k for k in numbers if math.ceil(n / 2) + 1 <= k <= math.ceil(n / 2) + n // 2]
        elif how == "alternate":
            first, second = [k for k in numbers if k % 2], [k for k in numbers if not k % 2]
        else:
            first, second = [1], [2]
        kept.append(torch.stack([torch.stack([shown[k - 1] for k in some]).mean(0) for some in (first, second)]))
    return torch.stack(kept, 1)


@pytest.mark.parametrize("how", ["halves", "alternate", "first"])
def test_two_repeats_equal_the_loop(how):
    values = drawn()
    found = two(Responses(values=values), how)
    assert_close(found.values, by_loop(values, how))
    assert found.dropped["stimuli with fewer than two repeats"] == 1
    assert found.dropped.get("presentations in the middle of an odd number", 0) == (2 if how == "halves" else 0)


@pytest.mark.parametrize("over, size", [("stimuli", 2), ("stimuli", 1), ("units", 2)])
@pytest.mark.parametrize("told", [True, False])
def test_a_stream_is_changed_as_it_is_read(over, size, told):
    values = drawn()
    pieces = values.split(size, dim=1 if over == "stimuli" else 2)
    stream = Responses(chunks=lambda: pieces, chunked_over=over, size=tuple(values.shape) if told else None)
    found = two(stream)
    assert_close(torch.cat(list(found.pieces()), 1 if over == "stimuli" else 2), by_loop(values, "halves"))
    assert found.shape == ((2, 5, 3) if told else None)
    assert len(found.chunks()) == len(pieces)
    kept = complete(stream)
    assert_close(
        torch.cat(list(kept.pieces()), 1 if over == "stimuli" else 2), complete(Responses(values=values)).values
    )


def test_two_whole_repeats_stay_as_they_are():
    responses = Responses(values=torch.randn(2, 4, 3, generator=seeded(0)))
    assert two(responses) is responses
    assert complete(responses) is responses


def test_as_many_repeats_as_every_stimulus_has():
    values = drawn(counts=(3, 2, 4))
    found = complete(Responses(values=values))
    assert found.values.shape == (2, 3, 3)
    for stimulus in range(3):
        shown = values[~torch.isnan(values[:, stimulus, 0]), stimulus]
        assert_close(found.values[:, stimulus], shown[:2])
    assert found.dropped == {"repeats beyond the fewest": 3}


def test_means_leave_out_what_is_missing():
    values = drawn()
    seen = []
    found = averaged(Responses(values=values), seen)
    assert_close(found.values[0], values.nanmean(0))
    assert seen == [7]


def test_float32_is_averaged_in_float64():
    values = torch.tensor([1.0, 2.0**-30, -1.0, 2.0**-30])[:, None, None].expand(4, 1, 1).contiguous()
    found = two(Responses(values=values.float()), "alternate")
    assert found.values.flatten().tolist() == [0.0, 2.0**-30]


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def test_what_has_no_two_repeats_is_refused():
    remedy = "Use an estimator that needs one repeat, such as pca, or record each stimulus twice."
    assert refused(lambda: two(Responses(values=torch.ones(1, 3, 2), name="v1"))) == (
        f"Expected at least two repeats in v1, to tell signal from noise, got one. {remedy}"
    )
    assert refused(lambda: two(Responses(values=drawn(counts=(1, 1))))) == (
        f"Expected at least two repeats in responses, to tell signal from noise, got no stimulus that has two. {remedy}"
    )


def test_a_stimulus_without_repeats_is_refused():
    assert refused(lambda: complete(Responses(values=drawn(counts=(2, 0, 3))))) == (
        "Expected at least one repeat of every stimulus in responses, got none of stimulus 1, counted from 0. Leave "
        "that stimulus out."
    )


def test_a_torn_repeat_is_refused():
    values = drawn(counts=(7, 7))
    values[2, 1, 2] = math.nan
    assert refused(lambda: presence(Responses(values=values))) == (
        "Expected NaN in responses only where a repeat is missing for all units, got a single one at repeat 2, "
        "stimulus 1, unit 2, counted from 0. Leave that unit or that repeat out."
    )
