import math
import os
from dataclasses import replace
from pathlib import Path

import naive
import numpy as np
import pytest
import scipy.io
import scipy.stats
import torch
from exact import power_law, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from eigenfall.fits.leastsquares import PRESETS, LeastSquares
from eigenfall.types import Spectrum


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def of(values, stimuli=None):
    values = torch.as_tensor(values, dtype=torch.float64)
    return Spectrum(values, stimuli=stimuli or len(values) + 1, units=len(values))


def data(name):
    folder = os.environ.get("EIGENFALL_DATA")
    if not folder or not (Path(folder) / "neural" / name).is_file():
        pytest.skip(f"EIGENFALL_DATA has no neural/{name}")
    return Path(folder) / "neural" / name


# ------------------------------------------------------------------------ known answers


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 1.3, 3.0])
@pytest.mark.parametrize("weights", ["1/n", "none"])
def test_a_power_law_is_found(alpha, weights):
    fit = LeastSquares(weights=weights)(power_law(alpha, 2800))  # D1
    assert fit.alpha == pytest.approx(alpha, abs=1e-12)
    assert fit.parameters["scale"].value == pytest.approx(1, abs=1e-11)
    assert fit.misfit == pytest.approx(0, abs=1e-12)
    assert (fit.asked, fit.used, fit.left_out, fit.notices) == ((11, 500), (11, 500), (), ())
    assert math.isnan(fit.r2) if alpha == 0 else fit.r2 == pytest.approx(1, abs=1e-12)


def test_scale_is_in_the_units_of_the_eigenvalues():
    fit = LeastSquares(1, 50)(of(7 * power_law(1.2, 60).eigenvalues))
    assert fit.alpha == pytest.approx(1.2)
    assert fit.parameters["scale"].value == pytest.approx(7)


@pytest.mark.parametrize("column, alpha", [(0, 1.27303594), (1, 1.28654758)])
def test_published_electrophysiology(column, alpha):  # D2
    file = scipy.io.loadmat(data("stringer2019_ephys_eigsControls.mat"))
    spectrum = replace(of(file["specEphys"][2, column].ravel(), stimuli=700), units=877)
    fit = LeastSquares(10, 500, fold=True)(spectrum)
    assert fit.alpha == pytest.approx(alpha, abs=1e-7)
    assert fit.alpha == pytest.approx(float(file["alphaEphys"][2, column]), abs=1e-12)
    assert fit.used == (10, 500)


@pytest.mark.parametrize("preset", ["stringer2019electrophysiology", "stringer2019gratings"])
def test_presets_meet_the_published_windows(preset):  # D2, D3
    if preset.endswith("gratings"):
        values = torch.arange(1, 200, dtype=torch.float64).repeat_interleave(2) ** -3
        assert PRESETS[preset](of(values)).alpha == pytest.approx(2.8807, abs=1e-4)
        return
    file = scipy.io.loadmat(data("stringer2019_ephys_eigsControls.mat"))
    found = [PRESETS[preset](of(file["specEphys"][2, column].ravel(), stimuli=700)).alpha for column in (0, 1)]
    assert found == pytest.approx([1.27303594, 1.28654758], abs=1e-7)


@pytest.mark.parametrize("first_rank, alpha", [(5, 2.8208), (11, 2.8807)])
def test_the_circle_code(first_rank, alpha):  # D3: eigenvalues k⁻³, each twice
    values = torch.arange(1, 200, dtype=torch.float64).repeat_interleave(2) ** -3
    assert LeastSquares(first_rank, 30)(of(values)).alpha == pytest.approx(alpha, abs=1e-4)


@pytest.mark.parametrize("first_rank, alpha", [(5, 3.5012), (11, 3.4306)])
def test_thirty_two_directions(first_rank, alpha):  # D4
    k = np.arange(-320_000, 320_001)
    powers = (1.0 + k.astype(float) ** 2) ** -2.0
    folded = np.bincount(k % 32, weights=powers)[1:]
    fit = LeastSquares(first_rank, 30, clip=False)(of(np.sort(folded)[::-1].copy()))
    assert fit.alpha == pytest.approx(alpha, abs=1e-4)


@pytest.mark.parametrize(
    "noise, alphas", [("low_noise", (0.8567, 0.9871, 1.0734)), ("high_noise", (0.8013, 0.9145, 1.0040))]
)
def test_stored_simulations(noise, alphas):  # D7
    stored = np.load(data("pospisil2024_small_power_law_sims.npz"))[f"{noise}/cvpca"]
    spectrum = of(stored, stimuli=500)
    for last_rank, alpha in zip((100, 400, 499), alphas):
        assert LeastSquares(11, last_rank, clip=False, fold=True)(spectrum).alpha == pytest.approx(alpha, abs=1e-4)


@pytest.mark.parametrize(
    "ranks, alpha, ratio",
    [
        (1000, 0.5, 510.24),
        (1000, 1.0, 34.084),
        (1000, 1.5, 5.4059),
        (100, 0.5, 66.618),
        (100, 1.0, 16.458),
        (100, 1.5, 4.8435),
        (10_000, 0.5, 4027.54),
        (10_000, 1.0, 58.241),
        (10_000, 1.5, 5.591),
    ],
)
def test_participation_ratio_of_power_laws(ranks, alpha, ratio):  # D5
    assert power_law(alpha, ranks).participation_ratio == pytest.approx(ratio, rel=1e-4)


def test_rank_at_ninety_percent():
    assert of([6.0, 3.0, 0.5, 0.5]).rank_at_90_percent == 2
    assert of([1.0] * 10).rank_at_90_percent == 9


@pytest.mark.parametrize("weights", ["1/n", "none"])
def test_equals_the_fit_term_by_term(weights):
    values = power_law(1.1, 90).eigenvalues * torch.linspace(0.5, 2, 90, dtype=torch.float64).sin().abs()
    values[40] = 0.0
    fit = LeastSquares(3, 80, weights=weights)(of(values))
    assert fit.alpha == pytest.approx(naive.exponent(values.tolist(), 3, 80, weights == "1/n"), rel=1e-12)
    assert fit.left_out == (41,)
    assert fit.notices == ("1 of 78 ranks are not positive and were left out.",)


def test_r2_is_the_squared_correlation_at_a_hundred_log_spaced_ranks():
    values = power_law(1.0, 300).eigenvalues * (1 + 0.3 * torch.arange(300, dtype=torch.float64).cos())
    ranks = np.round(np.exp(np.linspace(np.log(11), np.log(200), 100))).astype(int)
    truth = np.corrcoef(np.log(ranks), np.log(values.numpy()[ranks - 1]))[0, 1] ** 2
    assert LeastSquares(11, 200)(of(values)).r2 == pytest.approx(truth, rel=1e-10)


def test_misfit_is_the_weighted_root_mean_square_of_residuals():
    values = power_law(1.0, 40).eigenvalues * torch.tensor([1.0, 1.5] * 20, dtype=torch.float64)
    fit = LeastSquares(1, 38)(of(values))
    n = np.arange(1, 39)
    rest = np.log(values.numpy()[:38]) - np.log(fit.parameters["scale"].value) + fit.alpha * np.log(n)
    assert fit.misfit == pytest.approx(math.sqrt((rest**2 / n).sum() / (1 / n).sum()), rel=1e-10)


# --------------------------------------------------------------------------- the window


def test_the_error_of_a_slope_is_that_of_ordinary_regression():
    ranks = torch.arange(1, 601, dtype=torch.float64)
    noise = torch.randn(600, generator=seeded(0), dtype=torch.float64)
    spectrum = Spectrum(ranks**-2.67 * (0.1 * noise).exp(), stimuli=10_000, units=2000)
    for preset, last in (("holzhausen2024", 500), ("holzhausen2024_noise", 100)):
        fit = PRESETS[preset](spectrum)
        inside = slice(10, last)
        theirs = scipy.stats.linregress(ranks[inside].log().numpy(), spectrum.eigenvalues[inside].log().numpy())
        assert fit.alpha == pytest.approx(-theirs.slope, rel=1e-12)
        assert fit.statistics == {"slope_error": pytest.approx(theirs.stderr, rel=1e-9)}
        assert fit.used == (11, last)
    assert LeastSquares()(spectrum).statistics == {}  # weighted: the formula is another


def test_a_window_is_shortened_to_two_below_the_numerical_rank():
    fit = LeastSquares(11, 500)(power_law(1.0, 300))
    assert (fit.asked, fit.used) == ((11, 500), (11, 298))
    assert fit.notices == ("window shortened from ranks 11–500 to end at 298.",)
    padded = of(torch.cat([power_law(1.0, 60).eigenvalues, torch.full((40,), 1e-17, dtype=torch.float64)]))
    assert LeastSquares(11, 500)(padded).used == (11, 58)
    assert LeastSquares(11, 58)(padded).notices == ()


def test_cross_validated_tails_keep_their_rank():
    values = power_law(1.0, 100).eigenvalues.clone()
    values[98] = -1e-3
    assert of(values).numerical_rank == 100
    assert LeastSquares(11, 500)(of(values)).used == (11, 98)


def test_window_past_the_end_is_refused():
    assert refused(lambda: LeastSquares(last_rank=500, clip=False)(power_law(alpha=1.0, ranks=300))) == (
        "Expected at least 500 ranks, got a spectrum of 300. Use last_rank=300 or fewer, or record more stimuli."
    )


@pytest.mark.parametrize("ranks", [1, 5, 14])
def test_fewer_than_three_ranks_are_refused_naming_the_stimuli(ranks):
    assert refused(lambda: LeastSquares(11, 500)(power_law(1.0, ranks))) == (
        f"Expected a window of at least three ranks, got {max(0, ranks - 12)}: it starts at rank 11, and the numerical "
        f"rank is {ranks} with S = {ranks + 1} stimuli and {ranks} units. Start the window earlier, or record more "
        "stimuli."
    )
    assert LeastSquares(11, 500)(power_law(1.0, 15)).used == (11, 13)


@pytest.mark.parametrize("window", [(0, 10), (5, 5), (9, 3)])
def test_a_window_that_is_none_is_refused(window):
    assert refused(lambda: LeastSquares(*window)) == (
        f"Expected 1 ≤ first_rank < last_rank, got first_rank={window[0]}, last_rank={window[1]}. "
        "Ranks count from 1, and the window includes both ends."
    )


# --------------------------------------------------------------- what is not positive


def negative_at(ranks, total=110):
    values = power_law(1.0, total).eigenvalues.clone()
    values[[rank - 1 for rank in ranks]] *= -1
    return of(values)


def test_ranks_that_are_not_positive_are_left_out_and_counted():
    fit = LeastSquares(1, 100)(negative_at([20, 50, 70, 80, 90]))
    assert fit.left_out == (20, 50, 70, 80, 90)
    assert fit.alpha == pytest.approx(1.0, abs=1e-12)
    assert fit.notices == ("5 of 100 ranks are not positive and were left out.",)


def test_more_than_five_percent_of_them_are_refused():
    assert refused(lambda: LeastSquares(1, 100)(negative_at([20, 40, 50, 70, 80, 90]))) == (
        "Expected at most 5 % of ranks 1–100 without a positive eigenvalue, got 6 of 100. "
        "End the window earlier: this spectrum is noise there."
    )


def test_pure_noise_is_refused():  # T6
    first, second = torch.randn(2, 300, 2000, generator=seeded(0), dtype=torch.float64)
    axes = torch.linalg.eigh(first @ first.T).eigenvectors.flip(1)
    values = ((axes.T @ first) * (axes.T @ second)).sum(1)  # cross-validated: aₖᵀ G₁₂ aₖ
    assert 41 <= float(values.std()) <= 50
    assert abs(float(values.mean())) <= 9
    assert 0.41 <= float((values < 0).double().mean()) <= 0.59
    assert refused(lambda: LeastSquares()(of(values))).startswith("Expected at most 5 % of ranks 11–298 without")


def test_the_papers_preset_folds_negative_values_upward():
    fit = replace(PRESETS["stringer2019"], first_rank=1, last_rank=100)(negative_at(range(5, 100, 3)))
    assert fit.alpha == pytest.approx(1.0, abs=1e-12)
    assert fit.left_out == ()
    assert fit.notices == ("32 of 100 eigenvalues are negative and were folded upward.",)


def test_folding_does_not_invent_a_logarithm_of_zero():
    values = power_law(1.0, 110).eigenvalues.clone()
    values[9] = 0.0
    assert LeastSquares(1, 100, fold=True)(of(values)).left_out == (10,)


def test_presets_say_every_field():
    assert PRESETS["stringer2019"] == LeastSquares(first_rank=11, last_rank=500, weights="1/n", clip=True, fold=True)


@pytest.mark.parametrize(
    "preset, window",
    [
        ("stringer2019python", (12, 500)),
        ("stringer2019electrophysiology", (10, 500)),
        ("stringer2019gratings", (11, 30)),
        ("stringer2019pixels", (25, 500)),
        ("stringer2019gabors", (5, 500)),
        ("kong2022mouse", (12, 500)),
        ("kong2022macaque", (9, 100)),
        ("kong2022networks", (10, 999)),
    ],
)
def test_presets_are_the_windows_of_their_papers(preset, window):
    fit = PRESETS[preset](power_law(1.0, 1100))
    assert (fit.asked, fit.used, fit.weights) == (window, window, "1/n")
    assert PRESETS[preset].fold


def test_fifty_log_spaced_ranks_as_their_code_takes_them():  # Elmoznino & Bonner 2024
    values = (power_law(0.8, 700).eigenvalues * (1 + 0.3 * torch.arange(700, dtype=torch.float64).cos())).numpy()
    ranks = np.logspace(0, np.log10(700), num=50).round().astype(int)
    truth = -np.polyfit(np.log10(ranks), np.log10(values[ranks - 1]), 1)[0]
    fit = PRESETS["elmoznino2024"](of(values))
    assert fit.alpha == pytest.approx(truth, rel=1e-12)
    assert (fit.asked, fit.used) == ((1, 700), (1, 700))


def test_bins_are_fitted_by_their_means():
    values = power_law(1.1, 600).eigenvalues * (1 + 0.3 * torch.arange(600, dtype=torch.float64).cos())
    ranks, means = naive.bins(values.tolist(), 1, 600, 3)
    truth = -np.polyfit(np.log(ranks), np.log(means), 1)[0]
    assert PRESETS["gauthaman2024"](of(values)).alpha == pytest.approx(truth, rel=1e-10)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_bins_of_a_power_law_lie_near_it(alpha):
    assert PRESETS["gauthaman2024"](power_law(alpha, 1000)).alpha == pytest.approx(alpha, abs=0.01)


def test_bins_see_a_law_below_the_noise_of_single_ranks():
    """Cross-validated values whose noise is as large as they are: most single ranks are lost, all bins are kept."""
    found = []
    for seed in range(20):
        noise = torch.randn(2000, generator=seeded(seed), dtype=torch.float64)
        spectrum = of(power_law(1.0, 2000).eigenvalues + 2e-3 * noise)
        assert "without a positive eigenvalue" in refused(lambda spectrum=spectrum: LeastSquares(11, 1998)(spectrum))
        found.append(LeastSquares(11, 1998, "none", bins_per_decade=3)(spectrum).alpha)
    assert sum(found) / 20 == pytest.approx(1.0, abs=0.05)


def test_bins_and_log_spaced_ranks_exclude_one_another():
    assert refused(lambda: LeastSquares(bins_per_decade=3, log_ranks=50)) == (
        "Expected bins_per_decade or log_ranks, or neither, got bins_per_decade=3, log_ranks=50. "
        "Each replaces the ranks that are fitted: leave one at 0."
    )


# -------------------------------------------------------------------------- invariances


@given(st.floats(0, 4), st.integers(5, 60), st.integers(1, 4), st.floats(1e-3, 1e3))
@settings(max_examples=50, deadline=None)
def test_scale_changes_nothing_but_the_scale(alpha, ranks, first_rank, factor):
    spectrum = power_law(alpha, ranks + first_rank + 4)
    fit = LeastSquares(first_rank, ranks + first_rank)(spectrum)
    scaled = LeastSquares(first_rank, ranks + first_rank)(of(spectrum.eigenvalues * factor))
    assert scaled.alpha == pytest.approx(fit.alpha, abs=1e-9)
    assert scaled.parameters["scale"].value == pytest.approx(factor, rel=1e-8)


def test_neither_argument_nor_part_is_changed_and_a_second_call_gives_the_same():
    spectrum, part = power_law(1.4, 200), LeastSquares(11, 150)
    before = spectrum.eigenvalues.clone()
    assert part(spectrum) == part(spectrum)
    assert torch.equal(spectrum.eigenvalues, before)
    assert part == LeastSquares(11, 150)


def test_the_fit_carries_what_the_exponent_depends_on():
    spectrum = replace(power_law(1.0, 100), target="signal sample", estimator="cvpca", stimuli=300)
    fit = LeastSquares(1, 90)(spectrum)
    assert (fit.target, fit.estimator, fit.stimuli, fit.units) == ("signal sample", "cvpca", 300, 100)
    assert (fit.method, fit.weights) == ("leastsquares", "1/n")
    assert str(fit) == "α = 1 over ranks 1–90"
