import weakref
from dataclasses import replace

import naive
import numpy as np
import pytest
import torch
from exact import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.grams import gram
from eigenfall.spectra.pca import PCA, PRESETS
from eigenfall.types import Responses


def drawn(stimuli, units, repeats=1, seed=0):
    return torch.randn(repeats, stimuli, units, generator=seeded(seed), dtype=torch.float64) + 2


def spectrum(values, **settings):
    return PCA(**settings)(Responses(values=values), seeded(0))


def streamed(values, size, over="stimuli"):
    axis = 1 if over == "stimuli" else 2
    return Responses(chunks=lambda: iter(values.split(size, dim=axis)), chunked_over=over)


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def rotation(units, seed=5):
    return torch.linalg.qr(torch.randn(units, units, generator=seeded(seed), dtype=torch.float64)).Q


# ------------------------------------------------------------------------ known answers


def test_two_stimuli_have_one_eigenvalue():
    # stimuli (0, 1) and (2, 1): the first unit has variance 2, the second none
    found = spectrum(torch.tensor([[[0.0, 1.0], [2.0, 1.0]]]))
    assert found.eigenvalues.tolist() == [2.0]
    assert (found.stimuli, found.units, found.repeats) == (2, 1, 1)  # the constant unit is dropped
    assert (found.of, found.target, found.centred, found.estimator) == ("covariance", "total sample", True, "pca")


@pytest.mark.parametrize("stimuli, units", [(60, 40), (40, 60), (50, 50)])
def test_a_planted_spectrum_is_found(stimuli, units):
    ranks = min(stimuli - 1, units)
    planted = torch.arange(1, ranks + 1, dtype=torch.float64) ** -1.5
    scores = torch.randn(stimuli, ranks, generator=seeded(1), dtype=torch.float64)
    scores = torch.linalg.qr(scores - scores.mean(0)).Q
    responses = scores * (planted * (stimuli - 1)).sqrt() @ rotation(units)[:ranks] + 7
    assert_close(spectrum(responses[None]).eigenvalues, planted, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("stimuli, units", [(12, 7), (6, 10), (8, 8)])
def test_equals_the_definition(stimuli, units):
    responses = drawn(stimuli, units, repeats=3)
    found = spectrum(responses).eigenvalues
    assert_close(found, naive.eigenvalues(responses)[: len(found)], rtol=0, atol=1e-12)
    assert len(found) == min(stimuli - 1, units)


@pytest.mark.parametrize("size", [1, 7, 64, 500])
@pytest.mark.parametrize("over", ["stimuli", "units"])
@pytest.mark.parametrize("stimuli, units", [(150, 60), (60, 150)])
def test_streams_equal_one_shot(stimuli, units, over, size):
    values = drawn(stimuli, units) * torch.arange(1, units + 1, dtype=torch.float64) ** -0.5
    truth = torch.from_numpy(naive.eigenvalues_at_once(values[0]).copy())[: min(stimuli - 1, units)]
    for responses in (streamed(values, size, over), Responses(values=values)):
        error = (PCA()(responses, seeded(0)).eigenvalues - truth).abs().max() / truth[0]
        assert error <= 1e-12


def test_both_sides_agree():
    values = drawn(30, 30)
    by_units = PCA()(gram(Responses(values=values), side="units"), seeded(0))
    by_stimuli = PCA()(gram(Responses(values=values), side="stimuli"), seeded(0))
    assert_close(by_units.eigenvalues, by_stimuli.eigenvalues, rtol=0, atol=1e-12 * float(by_units.eigenvalues[0]))


def test_the_gram_is_on_the_smaller_side_however_it_is_read():
    assert gram(Responses(values=drawn(20, 30))).side == "stimuli"
    assert gram(Responses(values=drawn(30, 20))).side == "units"
    assert gram(streamed(drawn(20, 30), 4)).side == "stimuli"
    assert gram(streamed(drawn(30, 20), 4)).side == "units"
    assert gram(streamed(drawn(30, 20), 4, "units")).side == "units"


def test_the_gram_is_all_that_is_read():
    values = drawn(20, 9, repeats=2)
    assert_close(PCA()(gram(Responses(values=values)), seeded(0)).eigenvalues, spectrum(values).eigenvalues)
    assert PCA()(gram(Responses(values=values)), seeded(0)).repeats == 2


def test_repeats_are_averaged_over_those_that_are_there():
    values = drawn(10, 4, repeats=3)
    values[2, 3:6] = torch.nan
    averaged = values[:, :, :].nanmean(0, keepdim=True)
    assert_close(spectrum(values).eigenvalues, spectrum(averaged).eigenvalues)
    assert_close(PCA()(streamed(values, 3), seeded(0)).eigenvalues, spectrum(averaged).eigenvalues)


def test_mixed_precision_moves_eigenvalues_by_rounding_only():
    values = drawn(300, 80)
    exact, mixed = spectrum(values).eigenvalues, spectrum(values, precision="mixed").eigenvalues
    error = float((exact - mixed).abs().max() / exact[0])
    assert 0 < error < 2e-6


def test_float32_responses_are_added_up_in_float64():
    values = drawn(400, 20).float() * 1e-3 + 1e3
    truth = spectrum(values.double()).eigenvalues
    assert_close(spectrum(values).eigenvalues, truth, rtol=1e-12, atol=0)


def test_more_ranks_than_stimuli_are_not_reported():
    assert len(spectrum(drawn(5, 100)).eigenvalues) == 4
    assert (spectrum(drawn(5, 100)).eigenvalues > 0).all()


def test_ten_decades_are_found_to_their_end():
    """α = 5 over a hundred ranks: eigenvalues from 1 to 10⁻¹⁰, none negative, the same bits again."""
    ranks, stimuli = 100, 400
    planted = torch.arange(1, ranks + 1, dtype=torch.float64) ** -5.0
    scores = torch.randn(stimuli, ranks, generator=seeded(1), dtype=torch.float64)
    scores = torch.linalg.qr(scores - scores.mean(0)).Q
    values = (scores * (planted * (stimuli - 1)).sqrt() @ rotation(ranks))[None]
    found, again = spectrum(values), spectrum(values)
    assert LeastSquares(1, ranks, clip=False)(found).alpha == pytest.approx(5.0, abs=1e-5)
    assert_close(found.eigenvalues, planted, rtol=1e-4, atol=0)
    assert float(found.eigenvalues.min()) >= 0
    assert torch.equal(found.eigenvalues, again.eigenvalues)
    single = PRESETS["holzhausen2024"](Responses(values=values), seeded(0)).eigenvalues
    assert_close(single[:5], planted[:5], rtol=1e-3, atol=0)
    assert float((single / planted - 1)[-20:].abs().min()) > 1  # as published, the last two decades are rounding
    assert bool((single < 0).any())


# ----------------------------------------------------------------- float32, as published


def naive_float32(values, shift=0.0):
    """One pass in numpy, stimulus by stimulus, a scalar taken off first, numpy's solver for any matrix."""
    rows = values.numpy().astype(np.float32) - np.float32(shift)
    total, products = np.zeros(rows.shape[1], np.float32), np.zeros((rows.shape[1],) * 2, np.float32)
    for x in rows:
        total, products = total + x, products + np.outer(x, x)
    covariance = (products - np.outer(total, total) / np.float32(len(rows))) / np.float32(len(rows) - 1)
    return torch.from_numpy(np.sort(np.linalg.eigvals(covariance).real)[::-1].copy()).double()


@pytest.mark.parametrize(("stimuli", "units"), [(60, 40), (40, 60)])
def test_no_eigenvalue_is_below_the_floor_under_zero(stimuli, units):
    """Of rank five, far from the origin: what is left beyond five is rounding, of either sign."""
    made = torch.randn(stimuli, 5, generator=seeded(0), dtype=torch.float64)
    values = 1e3 + made @ torch.randn(5, units, generator=seeded(1), dtype=torch.float64)
    found = spectrum(values[None])
    assert float(found.eigenvalues.min()) >= -found.floor
    assert found.numerical_rank == 5
    assert found.floor < 1e-8 * float(found.eigenvalues[0])


@pytest.mark.parametrize("shift", [0.0, 0.05, 2.0])
def test_the_published_arithmetic_up_to_its_own_rounding_whatever_scalar_is_taken_off(shift):
    values = drawn(300, 20) * torch.arange(1, 21, dtype=torch.float64) ** -0.5
    found = PCA(precision="float32")(Responses(values=values), seeded(0))
    moment = float(values[0].square().sum(0).max())  # what cancels is of this size
    assert_close(found.eigenvalues, naive_float32(values[0], shift), rtol=0, atol=1e-5 * moment / 299)
    assert_close(found.eigenvalues, spectrum(values).eigenvalues, rtol=0, atol=1e-5 * moment / 299)
    assert found.estimator == "pca@holzhausen2024"
    assert not torch.equal(found.eigenvalues, spectrum(values).eigenvalues)


@pytest.mark.parametrize("over", ["stimuli", "units"])
def test_published_arithmetic_reads_chunks_and_repeats(over):
    values = drawn(60, 8, repeats=2)
    whole = PCA(precision="float32")(Responses(values=values), seeded(0))
    chunked = PCA(precision="float32")(streamed(values, 3, over), seeded(0))
    assert_close(chunked.eigenvalues, whole.eigenvalues, rtol=0, atol=1e-4)
    assert (chunked.stimuli, chunked.units, chunked.repeats) == (60, 8, 2)
    of_gram = PCA(precision="float32")(gram(Responses(values=values)), seeded(0))
    assert_close(of_gram.eigenvalues, whole.eigenvalues, rtol=0, atol=1e-4)


def test_a_solver_that_draws_is_not_had_in_float32():
    assert refused(lambda: PCA(precision="float32", rank=20)) == (
        "Expected the exact solver in float32, got rank=20. Leave rank at none, or take precision=mixed."
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.full((1, 9, 3), torch.nan), "Expected finite responses, got NaN or infinity. Leave that stimulus or "
         "unit out."),
        (torch.ones(1, 1, 3), "Expected at least two stimuli and one unit in responses, got 1 × 3. A covariance needs "
         "differences between stimuli."),
        (torch.ones(1, 9, 3), "Expected responses that vary over stimuli, got no variance in any unit. Look for a "
         "dead layer, or a constant input."),
    ],
    ids=["NaN", "one stimulus", "constant"],
)  # fmt: skip
def test_what_has_no_spectrum_in_float32_is_refused(values, message):
    assert refused(lambda: PCA(precision="float32")(Responses(values=values), seeded(0))) == message


# -------------------------------------------------------------------------- invariances


@given(st.integers(2, 15), st.integers(1, 15), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_rotations_permutations_shifts_and_scale(stimuli, units, seed):
    values = drawn(stimuli, units, seed=seed)
    found = spectrum(values).eigenvalues
    near = {"rtol": 1e-9, "atol": 1e-12}
    assert_close(spectrum(values @ rotation(units)).eigenvalues, found, **near)
    assert_close(spectrum(values[:, torch.randperm(stimuli, generator=seeded(seed))]).eigenvalues, found, **near)
    assert_close(spectrum(values[..., torch.randperm(units, generator=seeded(seed))]).eigenvalues, found, **near)
    assert_close(spectrum(values + torch.arange(units)).eigenvalues, found, **near)
    assert_close(spectrum(2 * values).eigenvalues, 4 * found, **near)


def test_a_constant_unit_changes_nothing():
    values = drawn(20, 5)
    with_constant = torch.cat([values, torch.full((1, 20, 1), 3.0, dtype=torch.float64)], 2)
    assert_close(spectrum(with_constant).eigenvalues, spectrum(values).eigenvalues)
    assert spectrum(with_constant).units == 5


def test_doubled_units_tie_and_double():
    values = drawn(20, 4)
    found = spectrum(torch.cat([values, values], 2)).eigenvalues
    assert_close(found[:4], 2 * spectrum(values).eigenvalues)
    assert_close(found[4:], torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-13)


def test_arguments_are_left_alone():
    values = drawn(20, 4)
    before = values.clone()
    spectrum(values)
    moments = gram(Responses(values=values))
    matrix = moments.matrix.clone()
    PCA()(moments, seeded(0))
    assert torch.equal(values, before)
    assert torch.equal(moments.matrix, matrix)


# ---------------------------------------------------------------------------- refusals


def test_one_stimulus_is_refused():
    message = (
        "Expected at least two stimuli and one unit in responses, got 1 × 5. "
        "A covariance needs differences between stimuli."
    )
    assert refused(lambda: spectrum(drawn(1, 5))) == message
    assert refused(lambda: PCA()(streamed(drawn(1, 5), 1), seeded(0))) == message
    assert refused(lambda: PCA()(streamed(drawn(1, 5), 2, "units"), seeded(0))) == message


@pytest.mark.parametrize("units", [3, 30])
def test_no_variance_anywhere_is_refused(units):
    assert refused(lambda: spectrum(torch.ones(1, 10, units, dtype=torch.float64))) == (
        "Expected responses that vary over stimuli, got no variance in any unit. "
        "Look for a dead layer, or a constant input."
    )


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("over", ["memory", "stimuli", "units"])
def test_nan_is_refused_by_its_place(over, repeats):
    values = drawn(20, 9, repeats=repeats)
    values[:, 13, 7] = torch.nan
    responses = (
        Responses(values=values, name="v4") if over == "memory" else replace(streamed(values, 4, over), name="v4")
    )
    assert refused(lambda: PCA()(responses, seeded(0))) == (
        "Expected finite v4, got no finite repeat at stimulus 13, unit 7, counted from 0. "
        "Leave that stimulus or unit out."
    )


def test_infinity_is_refused_by_its_place():
    values = drawn(20, 9)
    values[0, 2, 1] = -torch.inf
    assert refused(lambda: spectrum(values)) == (
        "Expected finite responses, got an infinite value at stimulus 2, unit 1, counted from 0. "
        "Leave that stimulus or unit out."
    )


def test_a_stream_without_chunks_is_refused():
    empty = Responses(chunks=lambda: iter(()))
    assert refused(lambda: PCA()(empty, seeded(0))).startswith("Expected at least two stimuli and one unit")
    by_units = replace(empty, chunked_over="units")
    assert refused(lambda: PCA()(by_units, seeded(0))).startswith("Expected at least two stimuli and one unit")


@pytest.mark.parametrize("over", ["stimuli", "units"])
def test_a_stream_is_never_held(over):
    """Each chunk is let go before the one after the next is asked for."""
    alive, most = weakref.WeakSet(), []

    def chunks():
        for number in range(50):
            piece = drawn(10, 6, seed=number)
            alive.add(piece)
            most.append(len(alive))
            yield piece
            del piece

    moments = gram(Responses(chunks=chunks, chunked_over=over))
    assert (moments.stimuli, moments.units) == ((500, 6) if over == "stimuli" else (10, 300))
    assert max(most) <= 2
