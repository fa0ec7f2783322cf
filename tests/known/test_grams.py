"""Second moments of all repeat pairs: against their definition, however the responses come."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from exact import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from eigenfall import grams
from eigenfall.grams import added, among, averaged, centred_apart, gram, gramming, reliability, route
from eigenfall.stages import consumed
from eigenfall.types import Responses


def drawn(repeats=2, stimuli=9, units=14, seed=0, offset=3.0):
    values = torch.randn(repeats, stimuli, units, generator=seeded(seed), dtype=torch.float64)
    return values + offset * torch.arange(1, units + 1)


def defined(values, side):
    """X less each unit's one mean, all pairs of repeats, one product after the other."""
    repeats, stimuli, units = values.shape
    centred = values - values.flatten(0, 1).mean(0)
    count = stimuli if side == "stimuli" else units
    matrix = torch.zeros(repeats * count, repeats * count, dtype=torch.float64)
    for t in range(repeats):
        for u in range(repeats):
            block = centred[t] @ centred[u].T if side == "stimuli" else centred[t].T @ centred[u]
            matrix[t * count : (t + 1) * count, u * count : (u + 1) * count] = block
    return matrix


def streamed(values, size, over, told=True):
    axis = 1 if over == "stimuli" else 2
    pieces = values.split(size, dim=axis)
    return Responses(chunks=lambda: pieces, chunked_over=over, size=tuple(values.shape) if told else None)


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def same(found, truth):
    """Equal up to rounding in everything that a Gram carries."""
    assert (found.side, found.stimuli, found.units, found.repeats) == (
        truth.side,
        truth.stimuli,
        truth.units,
        truth.repeats,
    )
    near = {"rtol": 0, "atol": 1e-12 * float(truth.matrix.abs().max()), "equal_nan": True}
    for name in ("matrix", "across", "means", "per_unit"):
        one, other = getattr(found, name), getattr(truth, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert_close(one, other, **near, msg=name)


# ---------------------------------------------------------------------------- known answers


@pytest.mark.parametrize("side", ["stimuli", "units"])
@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_every_pair_of_repeats_stands_in_its_block(side, repeats):
    values = drawn(repeats)
    found = gram(Responses(values=values), side=side)
    assert_close(found.matrix, defined(values, side), rtol=0, atol=1e-11)
    assert_close(found.pair(0, repeats - 1), defined(values, side)[: len(found.pair(0, 0)), -len(found.pair(0, 0)) :])
    assert (found.stimuli, found.units, found.repeats, found.averaged) == (9, 14, repeats, 1)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("over", ["stimuli", "units"])
@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("stimuli, units", [(9, 14), (14, 9)])
def test_streams_equal_one_shot(stimuli, units, size, over, told):
    values = drawn(2, stimuli, units)
    same(gram(streamed(values, size, over, told)), gram(Responses(values=values)))


@given(st.integers(1, 3), st.integers(2, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_a_stream_larger_than_memory_is_read_in_parts(repeats, stimuli, units, size, part):
    values = drawn(repeats, stimuli, units)
    for over in ("stimuli", "units"):
        rest = units if over == "stimuli" else stimuli
        memory = 8e-9 * repeats * rest * part
        stream = streamed(values, size, over)
        readings = route(stream, memory=memory, side=over).readings
        if values.numel() * 8e-9 > memory:
            assert readings > 1
        same(gram(stream, memory=memory, side=over), gram(Responses(values=values), side=over))


def test_mixed_precision_is_close_and_not_equal():
    values = drawn(2, 30, 500)
    exact = gram(Responses(values=values), side="stimuli")
    for size in (7, 500):
        mixed = gram(streamed(values, size, "units"), "mixed", side="stimuli")
        error = float((exact.matrix - mixed.matrix).abs().max() / exact.matrix.abs().max())
        assert 0 < error < 1e-6


def test_a_large_mean_costs_no_digits():
    small = drawn(2, 20, 40, offset=0.0)
    moved = small + 2.0**20
    for side in ("stimuli", "units"):
        found, truth = gram(Responses(values=moved), side=side), gram(Responses(values=moved - 2.0**20), side=side)
        assert_close(found.matrix, truth.matrix, rtol=0, atol=1e-7)


def test_groups_of_units_add_up_to_the_whole():
    values, groups = drawn(2, 6, 20), grams.Groups(3, seed=5)
    labels = torch.cat([groups(piece, units) for piece, units in enumerate((6, 6, 6, 2))])
    total, *parts = consumed(gramming(streamed(values, 6, "units"), groups=groups))
    assert len(parts) == 3
    for group, part in enumerate(parts):
        alone = gram(Responses(values=values[..., labels == group]), side="stimuli")
        assert_close(part.matrix, alone.matrix, rtol=0, atol=1e-11)
    whole = added(added(parts[0], parts[1]), parts[2])
    assert_close(whole.matrix, gram(Responses(values=values), side="stimuli").matrix, rtol=0, atol=1e-11)
    assert whole.units == total.units == 20
    assert_close(total.matrix, whole.matrix, rtol=0, atol=1e-11)
    assert torch.equal(total.per_unit, gram(streamed(values, 6, "units"), side="stimuli").per_unit)  # in their order


@pytest.mark.parametrize("equal, halvings", [(4, 3), (4, 0), (16, 2), (128, 0)])
def test_groups_are_as_large_as_they_are_meant_to_be(equal, halvings):
    groups = grams.Groups(equal, halvings, seed=1)
    labels = torch.cat([groups(piece, 1000 + piece) for piece in range(7)])
    meant = [1 / equal] * (equal - 1) + [2.0**-level / equal for level in range(1, halvings + 1)]
    meant.append(groups.smallest)
    assert len(meant) == len(groups)
    counts = torch.bincount(labels.long(), minlength=len(groups))
    assert float((counts - len(labels) * torch.tensor(meant)).abs().max()) <= 7  # a unit a piece


def test_sums_over_units_are_kept():
    values = drawn()
    centred = values - values.flatten(0, 1).mean(0)
    found = gram(Responses(values=values), side="stimuli")
    assert_close(found.across, centred.sum(2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", ["stimuli", "units"])
@pytest.mark.parametrize("repeats", [2, 3])
def test_what_repeats_in_each_unit(side, repeats):
    values = drawn(repeats)
    values[..., 3] = 7.0
    found = gram(Responses(values=values), side=side)
    assert found.dropped == {"constant units": 1}
    assert found.units == 13
    centred = values - values.flatten(0, 1).mean(0)
    pairs = [(t, u) for t in range(repeats) for u in range(repeats) if t != u]
    together = sum((centred[t] * centred[u]).sum(0) for t, u in pairs) / len(pairs)
    share = together / centred.square().sum((0, 1)) * repeats
    truth = reliability(found)
    assert truth.signal_share[3].isnan()
    others = torch.arange(14) != 3
    assert_close(truth.signal_share[others], share[others], rtol=1e-9, atol=1e-12)
    everything = float(together[others].sum() / (centred.square().sum((0, 1)) / repeats)[others].sum())
    assert truth.total == pytest.approx(everything)


def test_one_repeat_says_nothing_of_what_repeats():
    assert reliability(gram(Responses(values=drawn(1)))) is None


# ----------------------------------------------------------------------------------- algebra


@pytest.mark.parametrize("side", ["stimuli", "units"])
def test_means_over_repeats(side):
    values = drawn(3)
    found = averaged(gram(Responses(values=values), side=side))
    assert_close(found.matrix, defined(values.mean(0, keepdim=True), side), rtol=0, atol=1e-11)
    assert (found.repeats, found.averaged) == (1, 3)
    assert averaged(found) is found


@pytest.mark.parametrize("side", ["stimuli", "units"])
def test_each_repeat_about_its_own_mean(side):
    values = drawn(2) + torch.tensor([0.0, 4.0])[:, None, None]
    found = centred_apart(gram(Responses(values=values), side=side))
    centred = values - values.mean(1, keepdim=True)
    block = centred[0] @ centred[1].T if side == "stimuli" else centred[0].T @ centred[1]
    assert_close(found.pair(0, 1), block, rtol=0, atol=1e-11)


def test_some_of_the_stimuli():
    values, some = drawn(2), torch.tensor([1, 2, 5, 8])
    found = among(gram(Responses(values=values)), some)
    assert_close(found.matrix, gram(Responses(values=values[:, some])).matrix, rtol=0, atol=1e-11)
    centred = values[:, some] - values[:, some].flatten(0, 1).mean(0)
    assert_close(found.across, centred.sum(2), rtol=0, atol=1e-11)


@pytest.mark.parametrize("side", ["stimuli", "units"])
def test_grams_of_two_machines_add_up(side):
    values, axis = drawn(2), 2 if side == "stimuli" else 1
    first, second = values.split([4, values.shape[axis] - 4], dim=axis)
    both = added(gram(Responses(values=first), side=side), gram(Responses(values=second), side=side))
    whole = gram(Responses(values=values), side=side)
    assert_close(both.matrix, whole.matrix, rtol=0, atol=1e-10)
    assert (both.stimuli, both.units) == (whole.stimuli, whole.units)


def test_what_does_not_add_up_is_refused():
    first, second = gram(Responses(values=drawn(2))), gram(Responses(values=drawn(1)))
    assert refused(lambda: added(first, second)) == (
        "Expected Gram matrices over the same side, repeats and stimuli or units, got 2 repeats over stimuli, 18 rows, "
        "and 1 over stimuli, 9 rows. Add up the Grams of one recording."
    )


# ------------------------------------------------------------------------ going on, and memory


@pytest.mark.parametrize("over", ["stimuli", "units"])
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_reading_that_was_stopped_goes_on_bit_equal(over, stop):
    values = drawn(2, 30, 12) if over == "stimuli" else drawn(2, 12, 30)
    stream = streamed(values, 5, over)
    kept = {}
    for number, stage in enumerate(gramming(stream), start=1):
        kept = {name: tensor.clone() for name, tensor in stage.made.items()}
        if number == stop:
            break
    (found,) = consumed(gramming(stream, kept=kept))
    assert torch.equal(found.matrix, gram(stream).matrix)
    assert torch.equal(found.per_unit, gram(stream).per_unit)


def test_parts_that_were_stopped_go_on_bit_equal():
    values = drawn(2, 8, 20)
    stream = streamed(values, 3, "stimuli")
    working = partial(gramming, stream, memory=8e-9 * 2 * 20 * 3)
    kept = {}
    for stage in working():
        if stage.what == "second moments" and stage.done == 1:
            kept = {name: tensor.clone() for name, tensor in stage.made.items()}
            break
    (found,), (whole,) = consumed(working(kept=kept)), consumed(working())
    assert torch.equal(found.matrix, whole.matrix)


def test_the_route_is_said_before_it_is_taken():
    stream = Responses(chunks=lambda: [torch.empty(0)] * 250, chunked_over="units", size=(2, 2800, 1_000_000))
    way = route(stream)
    assert (way.side, way.readings) == ("stimuli", 1)
    assert 0.25 < way.peak_gb < 1.1
    assert str(way).startswith(
        "2 × 2800 stimuli × 1000000 units; second moments over stimuli, 5600 × 5600, from 1 reading, with at most "
    )
    by_stimuli = replace(stream, chunked_over="stimuli")
    assert route(by_stimuli, memory=4.0).readings == 13


# ---------------------------------------------------------------------------------- refusals


def test_pieces_that_do_not_fit_together_are_refused():
    uneven = Responses(chunks=lambda: iter([torch.ones(2, 3, 4), torch.ones(2, 3, 5)]), chunked_over="stimuli")
    assert refused(lambda: gram(uneven)) == (
        "Expected 4 units in every chunk of stimuli, got 5. Cut the chunks along the stimuli only."
    )
    ragged = Responses(chunks=lambda: iter([torch.ones(2, 3, 4), torch.ones(2, 2, 4)]), chunked_over="units")
    assert refused(lambda: gram(ragged)) == (
        "Expected 3 stimuli in every chunk of units, got 2. Cut the chunks along the units only."
    )


@pytest.mark.parametrize("over", ["stimuli", "units"])
def test_a_stream_that_is_not_as_long_as_it_said_is_refused(over):
    stream = replace(streamed(drawn(), 3, over), size=(2, 9, 15) if over == "units" else (2, 10, 14))
    what = "units" if over == "units" else "stimuli"
    assert refused(lambda: gram(stream)).startswith(f"Expected {15 if over == 'units' else 10} {what} from every")


def test_no_variance_in_any_unit_is_refused():
    assert refused(lambda: gram(Responses(values=torch.full((2, 5, 3), 0.1)))) == (
        "Expected responses that vary over stimuli, got no variance in any unit. Look for a dead layer, or a constant "
        "input."
    )


@pytest.mark.parametrize("over", ["stimuli", "units"])
@pytest.mark.parametrize("memory", [2.0, 1e-7])
def test_a_bad_value_is_named_by_its_place(over, memory):
    values = drawn(2, 9, 14)
    values[1, 7, 12] = torch.inf
    for side in ("stimuli", "units"):
        assert refused(lambda side=side: gram(streamed(values, 4, over), memory=memory, side=side)) == (
            "Expected finite responses, got an infinite value at repeat 1, stimulus 7, unit 12, counted from 0. "
            "Leave that stimulus or unit out."
        )


def test_groups_need_chunks_of_units():
    stream = streamed(drawn(2, 9, 14), 2, "stimuli")
    working = gramming(stream, memory=1e-7, side="stimuli", groups=grams.Groups(2))
    assert refused(lambda: consumed(working)).startswith("Expected responses that come in chunks of units")


def test_memory_is_a_limit_of_the_module():
    assert grams.MEMORY == 2.0
