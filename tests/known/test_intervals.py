import math

import naive
import pytest
import torch
from exact import power_law, seeded
from scipy import stats

from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.grams import gram
from eigenfall.intervals import centred_on, half, half_samples, over_seeds
from eigenfall.spectra.pca import PCA
from eigenfall.types import Gram, Responses


def gaussian(stimuli, units, seed, alpha=1.0):
    """Responses whose population spectrum is n^−alpha."""
    scale = power_law(alpha, units).eigenvalues.sqrt()
    return torch.randn(stimuli, units, generator=seeded(seed), dtype=torch.float64) * scale


def interval(responses, fit, seed=0, draws=20):
    spectrum = PCA()(responses, seeded(seed))
    return half_samples(responses, spectrum, PCA(), fit, seeded(seed), draws=draws)


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


# ------------------------------------------------------------------------ known answers


def test_half_of_the_stimuli_without_replacement():
    drawn = half(101, 1, seeded(0))
    assert len(drawn) == 50
    assert (drawn.diff() > 0).all()
    assert not torch.equal(drawn, half(101, 1, seeded(1)))
    assert torch.equal(drawn, half(101, 1, seeded(0)))


def test_every_stimulus_is_drawn_half_the_time():
    counts = torch.zeros(40)
    generator = seeded(0)
    for _ in range(2000):
        counts[half(40, 1, generator)] += 1
    assert ((counts / 2000 - 0.5).abs() < 0.06).all()


@pytest.mark.parametrize("stimuli, block", [(40, 4), (42, 4), (9, 2)])
def test_blocks_are_drawn_together(stimuli, block):
    drawn = half(stimuli, block, seeded(0)).tolist()
    numbers = {index // block for index in drawn}
    assert sorted(drawn) == [i for i in range(stimuli) if i // block in numbers]
    assert len(numbers) == math.ceil(stimuli / block) // 2


def test_the_interval_of_a_mean_is_the_textbook_one():
    # half-samples of a mean: s.d. over draws, rescaled, is σ/√S, whatever the size of the half
    values = torch.randn(61, generator=seeded(2), dtype=torch.float64)
    generator = seeded(0)
    draws = [float(values[half(61, 1, generator)].mean()) for _ in range(4000)]
    found = centred_on(float(values.mean()), draws, 30, 61)
    truth = 1.96 * float(values.std()) / math.sqrt(61)
    assert found.high - found.value == pytest.approx(truth, rel=0.04)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert (found.level, found.over) == (0.95, "stimuli")


def test_without_two_draws_there_is_no_interval():
    assert math.isnan(centred_on(1.0, [0.9], 5, 10).low)


def test_over_seeds_is_students():
    found = over_seeds([1.0, 2.0, 3.0])
    assert (found.value, found.over) == (2.0, "seeds")
    assert found.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)
    assert math.isnan(over_seeds([1.0]).low)


# ---------------------------------------------------------------------------- coverage


@pytest.mark.slow
def test_the_interval_covers_the_exponent_as_often_as_it_says():
    """Ten units, many stimuli: the estimate is nearly unbiased, and 200 intervals cover like 200 coins of .95."""
    fit, covered, values = LeastSquares(1, 8), 0, []
    for seed in range(200):
        found = interval(Responses(values=gaussian(500, 10, seed)[None]), fit, seed).parameters["alpha"]
        covered += found.low <= 1 <= found.high
        values.append(found.value)
    low, high = stats.binom.ppf([0.001, 0.999], 200, 0.95)
    assert low <= covered <= high
    assert abs(sum(values) / 200 - 1) < 0.02


@pytest.mark.slow
def test_the_width_is_the_spread_over_data_sets():
    fit = LeastSquares(1, 8)
    found = [
        interval(Responses(values=gaussian(400, 10, seed)[None]), fit, seed).parameters["alpha"] for seed in range(60)
    ]
    spread = float(torch.tensor([estimate.value for estimate in found]).std())
    half_width = sum(estimate.high - estimate.value for estimate in found) / len(found)
    assert half_width / float(stats.t.ppf(0.975, 19)) == pytest.approx(spread, rel=0.3)


def test_a_bootstrap_with_replacement_misses_and_half_samples_do_not():
    rows = gaussian(400, 200, seed=0)
    fit = interval(Responses(values=rows[None]), LeastSquares(11, 500))
    estimate = fit.parameters["alpha"]
    bootstrap = torch.tensor(naive.bootstrap_exponents(rows, 11, 198, 10, seeded(0)))
    assert estimate.value == pytest.approx(1.280, abs=0.02)
    assert float(bootstrap.mean()) == pytest.approx(1.585, abs=0.03)
    assert estimate.value < float(bootstrap.min()) - 0.2  # it lies outside its own bootstrap interval
    assert estimate.low < estimate.value < estimate.high
    assert estimate.high - estimate.low < 0.1


# ---------------------------------------------------------------------------- the window


def test_a_shorter_window_of_the_half_samples_is_said():
    fit = interval(Responses(values=gaussian(100, 200, seed=1)[None]), LeastSquares(11, 500))
    assert fit.used == (11, 97)
    assert fit.resampled == (11, 47)
    assert fit.notices == (
        "window shortened from ranks 11–500 to end at 97.",
        "WARN: the interval comes from half-samples of 50 stimuli, which hold ranks 11–47 of 11–97.",
    )


def test_the_same_window_needs_no_warning():
    fit = interval(Responses(values=gaussian(400, 40, seed=1)[None]), LeastSquares(1, 30))
    assert fit.used == fit.resampled == (1, 30)
    assert fit.notices == ()


def test_half_samples_are_shortened_even_where_the_fit_would_refuse():
    fit = interval(Responses(values=gaussian(60, 80, seed=1)[None]), LeastSquares(5, 50, clip=False))
    assert fit.used == (5, 50)
    assert fit.resampled == (5, 27)


def test_half_samples_too_small_for_the_window_leave_the_estimate_without_interval():
    fit = interval(Responses(values=gaussian(24, 80, seed=1)[None]), LeastSquares(11, 500))
    assert fit.used == (11, 21)
    assert math.isnan(fit.parameters["alpha"].low)
    assert fit.resampled is None
    assert fit.notices[1] == (
        "WARN: 20 of 20 half-samples could not be fitted: no interval. Expected a window of at least three ranks, got "
        "0: it starts at rank 11, and the numerical rank is 11 with S = 12 stimuli and 80 units. Start the window "
        "earlier, or record more stimuli."
    )


@pytest.mark.parametrize("refused_draws, kept", [(1, True), (2, True), (3, False)])
def test_no_interval_where_more_than_one_half_sample_in_twenty_is_refused(refused_draws, kept):
    calls, fit = [], LeastSquares(1, 8)

    def sometimes(spectrum):
        calls.append(spectrum)
        if 1 < len(calls) <= 1 + refused_draws:
            raise ValueError("Expected better, got this. Try again.")
        return fit(spectrum)

    responses = Responses(values=gaussian(60, 10, seed=6)[None])
    found = half_samples(responses, PCA()(responses, seeded(0)), PCA(), sometimes, seeded(0), draws=40)
    assert math.isnan(found.parameters["alpha"].low) != kept
    assert found.notices == (
        f"WARN: {refused_draws} of 40 half-samples could not be fitted{'' if kept else ': no interval'}. "
        "Expected better, got this. Try again.",
    )


def test_time_points_drawn_singly_are_warned_of():
    values = gaussian(60, 10, seed=6)[None]
    assert interval(Responses(values=values, sampled_over="time"), LeastSquares(1, 8)).notices == (
        "WARN: the interval takes successive time points for independent; say with `block` how many are not.",
    )
    assert interval(Responses(values=values, sampled_over="time", block=5), LeastSquares(1, 8)).notices == ()
    moments = gram(Responses(values=values, sampled_over="time"), side="stimuli")
    drawn = half_samples(moments, PCA()(moments), PCA(), LeastSquares(1, 8), seeded(0), draws=4)
    assert drawn.notices[0].startswith("WARN: the interval takes successive time points")


# ---------------------------------------------------------------------- what is resampled


@pytest.mark.parametrize("over, stimuli, units", [("stimuli", 90, 20), ("units", 40, 60), ("stimuli", 40, 60)])
def test_streams_are_read_again_and_give_the_same(over, stimuli, units):
    values, readings = gaussian(stimuli, units, seed=3)[None], []

    def chunks():
        readings.append(over)
        return iter(values.split(7, dim=1 if over == "stimuli" else 2))

    fit = LeastSquares(1, 12)
    streamed = interval(Responses(chunks=chunks, chunked_over=over), fit, draws=10)
    kept = interval(Responses(values=values), fit, draws=10)
    assert len(readings) == 11
    assert streamed.parameters["alpha"].low == pytest.approx(kept.parameters["alpha"].low, abs=1e-9)


@pytest.mark.parametrize("block", [1, 4])
def test_a_gram_over_stimuli_is_enough(block):
    responses = Responses(values=gaussian(40, 60, seed=4)[None], block=block)
    fit, spectrum = LeastSquares(1, 12), PCA()(responses, seeded(0))
    from_gram = half_samples(gram(responses), spectrum, PCA(), fit, seeded(0), draws=10)
    assert from_gram.parameters["alpha"].low == pytest.approx(
        half_samples(responses, spectrum, PCA(), fit, seeded(0), draws=10).parameters["alpha"].low, abs=1e-9
    )


def test_blocks_widen_the_interval_of_repeated_stimuli():
    """Every stimulus twice in a row is no more than once: only blocks of two know it."""
    rows = gaussian(200, 10, seed=5).repeat_interleave(2, 0)[None]
    fit = LeastSquares(1, 8)
    widths = []
    for block in (1, 2):
        found = interval(Responses(values=rows, block=block), fit, draws=200).parameters["alpha"]
        widths.append(found.high - found.low)
    assert widths[1] / widths[0] == pytest.approx(math.sqrt(2), rel=0.2)


def test_the_same_seed_gives_the_same_interval():
    responses = Responses(values=gaussian(60, 10, seed=6)[None])
    assert interval(responses, LeastSquares(1, 8)) == interval(responses, LeastSquares(1, 8))


# ---------------------------------------------------------------------------- refusals


def test_too_few_stimuli_or_draws_are_refused():
    responses = Responses(values=gaussian(7, 10, seed=0)[None])
    assert refused(lambda: interval(responses, LeastSquares(1, 8), draws=1)) == (
        "Expected at least two half-samples, got draws=1. Take 20 or more."
    )
    few = Responses(values=gaussian(7, 10, seed=0)[None], block=3)
    assert refused(lambda: interval(few, LeastSquares(1, 8))) == (
        "Expected at least four stimuli, or blocks of them, to draw half-samples, got 3. "
        "Record more stimuli, or switch the interval off with draws=0."
    )


def test_a_gram_over_units_is_refused():
    responses = Responses(values=gaussian(60, 10, seed=0)[None])
    spectrum = PCA()(responses, seeded(0))
    moments = gram(responses)
    assert isinstance(moments, Gram)
    assert refused(lambda: half_samples(moments, spectrum, PCA(), LeastSquares(1, 8), seeded(0))) == (
        "Expected responses, or a Gram matrix over stimuli, to draw stimuli from, got a Gram matrix over units. "
        "Give the responses: their chunks are read again."
    )


@pytest.mark.parametrize("later, got", [(5, "55"), (-5, "45"), (15, "at least 60")])
def test_a_stream_that_changes_its_length_is_refused(later, got):
    values, lengths = gaussian(80, 10, seed=0)[None], iter([50, 50 + later])
    responses = Responses(chunks=lambda: iter(values[:, : next(lengths)].split(30 if later < 15 else 20, dim=1)))
    message = refused(lambda: interval(responses, LeastSquares(1, 8)))
    assert message.startswith("Expected 50 stimuli from every reading of the chunks, got ")
    assert message.endswith("Let the stream give the same stimuli each time.")
    assert got.removeprefix("at least ") in message
