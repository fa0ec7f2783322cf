"""Eigenmoments against a loop over cycles, in closed form, without bias; and the laws that are fitted to them."""

import math
from dataclasses import replace
from pathlib import Path

import naive
import numpy as np
import pytest
import torch
from exact import seeded
from scipy import stats
from torch.testing import assert_close

from eigenfall import eigenmoments, momentfits
from eigenfall.fits.momentlaw import PRESETS, MomentLaw
from eigenfall.grams import gram
from eigenfall.spectra.meme import MEME
from eigenfall.types import Moments, Responses

DATA = Path(__import__("os").environ.get("EIGENFALL_DATA", "nowhere"))
NEURAL = DATA / "neural" / "pospisil2024_meme_moments.npz"


def drawn(stimuli, units, noise=0.5, seed=0):
    signal = torch.randn(stimuli, units, generator=seeded(seed), dtype=torch.float64)
    signal = signal * torch.arange(1, units + 1, dtype=torch.float64) ** -0.5 + 3
    return signal + noise * torch.randn(2, stimuli, units, generator=seeded(seed + 1), dtype=torch.float64)


def powers(theta, units, count, breaks=None):
    """Moments of a law by adding up eigenvalues."""
    ranks = torch.arange(1, units + 1, dtype=torch.float64)
    if breaks is None:
        logs = theta[0] - theta[1] * ranks.log()
    else:
        corner = math.log(breaks)
        logs = theta[0] - theta[1] * ranks.log().clamp_max(corner) - theta[2] * (ranks.log() - corner).clamp_min(0)
    return torch.stack([(p * logs).exp().mean() for p in range(1, count + 1)])


# -------------------------------------------------------------------------------- moments


def test_moments_equal_a_loop_over_cycles():
    values = drawn(16, 6)
    order = eigenmoments.orders(16, 1, seeded(0))
    products = eigenmoments.paired(values[0] @ values[1].T, order)
    truth = naive.eigenmoments(values[0], values[1], order[0], 5, 6)
    one = eigenmoments.moments(products, 6, 5, both=False)[0]
    assert_close(one, torch.tensor(truth, dtype=torch.float64), rtol=1e-11, atol=0)
    other = naive.eigenmoments(values[1], values[0], order[0], 5, 6)
    both = eigenmoments.moments(products, 6, 5)[0]
    mean = torch.tensor([(a + b) / 2 for a, b in zip(truth, other)], dtype=torch.float64)
    assert_close(both, mean, rtol=1e-11, atol=0)


@pytest.mark.parametrize("block", [3, 128])
def test_blocks_change_nothing(monkeypatch, block):
    values = drawn(40, 9)
    products = eigenmoments.paired(values[0] @ values[1].T, eigenmoments.orders(40, 3, seeded(0)))
    truth = eigenmoments.moments(products, 9)
    monkeypatch.setattr(eigenmoments, "BLOCK", block)
    assert_close(eigenmoments.moments(products, 9), truth, rtol=1e-12, atol=0)


def test_the_effect_of_a_pair_is_the_derivative_in_its_weight():
    values = drawn(24, 8)
    order = eigenmoments.orders(24, 1, seeded(0))
    products = eigenmoments.paired(values[0] @ values[1].T, order)[0]
    found, effects = eigenmoments.influences(products, 8, 6)
    assert_close(found, eigenmoments.moments(products[None], 8, 6)[0], rtol=1e-12, atol=0)

    def weighted(weights):
        """Weighted mean over cycles: products of weights in numerator and in denominator."""
        ones = torch.ones(12, 12, dtype=torch.float64)
        scale = [math.comb(12, p) * 8 for p in range(1, 7)]
        top = eigenmoments.moments((weights[:, None] * products)[None], 8, 6)[0] * torch.tensor(scale)
        below = eigenmoments.moments((weights[:, None] * ones)[None], 8, 6)[0] * torch.tensor(scale)
        return top / below / 8

    step = 1e-5
    for pair in range(12):
        change = torch.zeros(12, dtype=torch.float64)
        change[pair] = step
        slope = (weighted(1 + change) - weighted(1 - change)) / (2 * step)
        assert_close(effects[pair], slope, rtol=1e-6, atol=1e-9 * float(found.abs().max()))
    assert float(effects.sum(0).abs().max()) < 1e-10 * float(effects.abs().max())


def test_the_first_moment_is_what_repeats_in_a_unit():
    # every pairing: mean over pairs of ½ (x₁ₐ − x₁ᵦ)(x₂ₐ − x₂ᵦ), the unbiased covariance of the repeats
    values = drawn(30, 7)
    across = values[0] @ values[1].T
    every = [(a, b) for a in range(30) for b in range(a + 1, 30)]
    products = torch.stack([eigenmoments.paired(across, torch.tensor([pair]))[0, 0, 0] for pair in every])
    centred = values - values.mean(1, keepdim=True)
    truth = float((centred[0] * centred[1]).sum()) / 29
    assert float(products.mean()) == pytest.approx(truth, rel=1e-12)


@pytest.mark.slow
def test_moments_have_no_bias_long():
    # specification T2: 100 units, 1000 stimuli, α = 1, c = .1, aligned, 50 simulations
    check_bias(stimuli=1000, simulations=50, orders=10)


def test_moments_have_no_bias():
    check_bias(stimuli=200, simulations=150, orders=4)


def check_bias(stimuli, simulations, orders):
    spectrum = torch.arange(1, 101, dtype=torch.float64) ** -1
    truth = torch.stack([(spectrum**p).mean() for p in range(1, orders + 1)])
    found = []
    for seed in range(simulations):
        generator = seeded(seed)
        z, *noise = (torch.randn(stimuli, 100, generator=generator, dtype=torch.float64) for _ in range(3))
        first, second = (z * spectrum.sqrt() + 5 + e * (0.1 * spectrum).sqrt() for e in noise)
        products = eigenmoments.paired(first @ second.T, eigenmoments.orders(stimuli, 4, generator))
        found.append(eigenmoments.moments(products, 100, orders).mean(0))
    ratios = torch.stack(found) / truth
    p = stats.ttest_1samp(ratios.numpy(), 1.0, axis=0).pvalue
    assert (p > 1e-4).all(), (ratios.mean(0), p)
    assert 0.9 < float(ratios.mean(0)[0]) < 1.1


# ---------------------------------------------------------------------------------- fits


@pytest.mark.parametrize("first, last", [(1, 30), (1, 64), (1, 65), (3, 5000), (70, 300_000), (10, 9)])
def test_power_sums_and_their_slopes(first, last):
    exponents = torch.tensor([0.0, 0.25, 0.5, 0.999999, 1.0, 1.0001, 2.0, 5.0], dtype=torch.float64)
    ends = (torch.full((8,), float(end), dtype=torch.float64) for end in (first, last))
    total, slope = momentfits.power_sums(exponents, 4, *ends)
    ranks = torch.arange(first, last + 1, dtype=torch.float64)
    terms = ranks ** -(exponents[:, None] * torch.arange(1, 5))[..., None]
    assert_close(total, terms.sum(2), rtol=1e-13, atol=0)
    assert_close(slope, -(terms * ranks.log()).sum(2), rtol=1e-9, atol=0)


def test_moments_of_laws_and_their_slopes():
    for theta, breaks in ([[0.3, 1.1]], None), ([[0.3, 0.6, 1.3]], 17.0):
        at = torch.tensor(theta, dtype=torch.float64)
        corner = None if breaks is None else torch.tensor([breaks], dtype=torch.float64)
        found, slopes = momentfits.law_moments(at, corner, 500, 10)
        assert_close(found[0], powers(at[0], 500, 10, breaks), rtol=1e-12, atol=0)
        for place in range(at.shape[1]):
            change = torch.zeros_like(at)
            change[0, place] = 1e-6
            near = [momentfits.law_moments(at + sign * change, corner, 500, 10)[0][0] for sign in (1, -1)]
            assert_close(slopes[0, :, place], (near[0] - near[1]) / 2e-6, rtol=1e-7, atol=1e-9 * float(found.max()))


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("units", [50, 20_000])
def test_a_single_law_is_found_from_its_moments(alpha, units):
    values = powers((0.7, alpha), units, 10)
    root = momentfits.inverse_root(torch.diag((0.1 * values).square()))
    found = momentfits.fitted(values[None], root, units)
    assert found.theta[0].tolist() == pytest.approx([0.7, alpha], abs=1e-5)
    assert float(found.costs[0]) < 1e-8


@pytest.mark.parametrize("scale", [1e-4, 1.0, 140.0, 1e6])
def test_the_unit_of_the_responses_does_not_matter_to_a_fit(scale):
    values = powers((math.log(scale), 1.3), 500, 10)  # from 1e-41 to 1e57: orders that no one number bounds
    root = momentfits.inverse_root(torch.diag((0.1 * values).square()))
    found = momentfits.fitted(values[None], root, 500)
    assert found.theta[0].tolist() == pytest.approx([math.log(scale), 1.3], abs=1e-5)


def test_where_moments_tell_nothing_the_interval_is_all_that_is_tried():
    values = powers((0.0, 0.0), 40, 10)
    fit = MomentLaw()(Moments(values, torch.diag((10 * values).square()), torch.diag((10 * values).square()), 200, 40))
    alpha = fit.parameters["alpha"]
    assert (alpha.low, alpha.high) == (0.0, momentfits.STEEPEST)


def test_a_broken_law_is_found_with_its_break():
    values = powers((0.2, 0.5, 1.2), 2000, 10, breaks=16)
    root = momentfits.inverse_root(torch.diag((1e-3 * values).square()))
    found = momentfits.broken(values[None], root, 2000)
    assert float(found.breaks[0]) == 16
    assert found.theta[0].tolist() == pytest.approx([0.2, 0.5, 1.2], abs=1e-3)


def test_many_fits_equal_one_by_one():
    generator = seeded(1)
    values = torch.stack([powers((0.0, 0.5 + 0.2 * k), 300, 6) for k in range(6)])
    values = values * (1 + 0.02 * torch.randn(6, 6, generator=generator, dtype=torch.float64))
    root = momentfits.inverse_root(torch.diag((0.05 * values[0]).square()))
    together = momentfits.fitted(values, root, 300)
    for one, theta in zip(values, together.theta):
        assert_close(momentfits.fitted(one[None], root, 300).theta[0], theta, rtol=0, atol=1e-6)


def test_breaks_are_looked_for_on_the_published_grid():
    ranks = momentfits.break_ranks(10_500).tolist()
    assert ranks[:24] == list(range(2, 50, 2))
    assert ranks[24] == 50
    assert ranks[-1] < 10_500
    assert len(ranks) == 24 + 25  # the last of the 26 log-spaced ranks is that of the last unit: no law begins there
    assert max(momentfits.break_ranks(30).tolist()) < 30


def test_a_root_of_the_inverse_survives_many_decades():
    scales = 10.0 ** -torch.arange(0, 40, 4, dtype=torch.float64)
    covariance = torch.outer(scales, scales) * (0.5 + 0.5 * torch.eye(10, dtype=torch.float64))
    root = momentfits.inverse_root(covariance)
    white = root @ covariance @ root.T
    assert_close(white, torch.eye(10, dtype=torch.float64), rtol=0, atol=1e-9)


# ------------------------------------------------------------------------ published numbers

RECORDINGS = {
    # single; break, α₁, α₂; χ² single, broken (specification §10.2); the same as published (§3.5)
    "MP027_2016-12-14": ((1.0124, 16, 0.6326, 1.2765, 503.9, 44.87), (1.0093, 0.6279, 18, 1.2818)),
    "MP031_2017-06-28": ((0.9291, 14, 0.4841, 1.2078, 441.8, 16.38), (0.9463, 0.5240, 16, 1.2269)),
    "MP033_2017-08-20": ((0.9373, 24, 0.5764, 1.2261, 1106.3, 94.35), (0.9311, 0.5763, 24, 1.2312)),
    "MP034_2017-09-11": ((0.8972, 12, 0.4553, 1.1140, 558.0, 20.73), (0.8975, 0.4594, 12, 1.1192)),
}


@pytest.mark.skipif(not NEURAL.is_file(), reason="needs EIGENFALL_DATA")
@pytest.mark.parametrize("recording", sorted(RECORDINGS))
def test_stored_moments_give_the_published_exponents(recording):
    stored = np.load(NEURAL)
    covariance = torch.cov(torch.from_numpy(stored[f"{recording}/bootstraps"]).T)
    values = torch.from_numpy(stored[f"{recording}/moments"])
    moments = Moments(values, covariance, covariance, stimuli=2800, units=10_500)
    (single, corner, before, after, chi2, chi2_broken), published = RECORDINGS[recording]
    one, two = (PRESETS[name](moments) for name in ("pospisil2024", "pospisil2024broken"))
    assert one.alpha == pytest.approx(single, abs=0.003)
    assert one.statistics["chi2"] == pytest.approx(chi2, rel=1e-3)
    assert two.parameters["break_rank"].value == corner
    assert two.parameters["alpha_1"].value == pytest.approx(before, abs=0.003)
    assert two.alpha == pytest.approx(after, abs=0.003)
    assert two.statistics["chi2"] == pytest.approx(chi2_broken, rel=1e-3)
    assert one.alpha == pytest.approx(published[0], abs=0.025)
    assert two.parameters["alpha_1"].value == pytest.approx(published[1], abs=0.065)
    assert two.parameters["break_rank"].value == pytest.approx(published[2], abs=2)
    assert two.alpha == pytest.approx(published[3], abs=0.02)
    assert (one.statistics["freedom"], two.statistics["freedom"]) == (8, 6)
    assert one.statistics["p"] < 1e-50


def test_intervals_of_a_law_shrink_with_the_covariance():
    for part, theta, corner in ((MomentLaw(), (0.0, 1.0), None), (MomentLaw("grid", draws=40), (0.2, 0.5, 1.2), 16)):
        values = powers(theta, 300, 10, corner)
        wide = torch.diag((1e-3 * values).square())
        moments = Moments(values, wide, wide, stimuli=100, units=300)
        narrow = replace(moments, covariance=wide / 100)
        one, other = (part(given).parameters["alpha"] for given in (moments, narrow))
        assert one.low < one.value < one.high
        assert 5 < (one.high - one.low) / (other.high - other.low) < 20
        assert one.over == "stimuli"


def test_first_order_intervals_equal_redraws():
    values = powers((0.0, 1.0), 300, 10)
    covariance = torch.diag((0.01 * values).square())
    found = MomentLaw()(Moments(values, covariance, covariance, stimuli=100, units=300)).parameters["alpha"]
    drawn = values + torch.randn(4000, 10, generator=seeded(0), dtype=torch.float64) * 0.01 * values
    alphas = momentfits.fitted(drawn, momentfits.inverse_root(covariance), 300).theta[:, 1]
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(float(alphas.std()), rel=0.05)


# ------------------------------------------------------------------------------- refusals


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def test_too_few_moments_are_refused():
    values = powers((0.0, 1.0), 300, 4)
    moments = Moments(values, torch.diag(values), torch.diag(values), stimuli=100, units=300)
    assert refused(lambda: MomentLaw(breaks="grid")(moments)) == (
        "Expected more than 4 and at most 4 moments for a law with 4 parameters, got 4. Estimate more moments, or "
        "fit a law with fewer parameters."
    )
    assert refused(lambda: MomentLaw(moments=9)(moments)).startswith("Expected more than 2 and at most 4 moments")


def test_moments_without_variance_are_refused():
    values = torch.ones(3, dtype=torch.float64)
    nothing = torch.zeros(3, 3, dtype=torch.float64)
    message = refused(lambda: MomentLaw()(Moments(values, nothing, nothing, stimuli=100, units=300)))
    assert message == (
        "Expected a covariance of moments with positive variances, got variances 0, 0, 0. Look for stimuli that are "
        "all alike, or take fewer moments."
    )


def test_the_estimator_says_what_it_needs():
    one = Responses(values=drawn(30, 8)[:1], name="v1")
    assert refused(lambda: MEME()(one, seeded(0))) == (
        "Expected at least two repeats of v1, got 1. Use pca with the fit marchenkopastur for one repeat, or record "
        "each stimulus twice."
    )
    assert refused(lambda: MEME()(Responses(values=drawn(18, 8)), seeded(0))) == (
        "Expected at least 20 stimuli for 10 moments of responses, got 18. Take fewer moments, or record more stimuli."
    )
    assert refused(lambda: MEME()(gram(Responses(values=drawn(30, 8))), seeded(0))).startswith(
        "Expected responses, or a Gram matrix over stimuli, to pair stimuli, got a Gram matrix over units."
    )
    assert refused(lambda: MEME(moments=2)).startswith("Expected at least three moments, one pairing")
