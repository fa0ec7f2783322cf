"""Figures of a recording's diagnostics hold the numbers: slopes, windows, subsets, simulations, rivals, moments."""

import math
from dataclasses import replace

import numpy
import pytest
import recordingrecords
import torch
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from eigenfall import figures
from eigenfall.figures.diagnostics import told_windows
from eigenfall.figures.style import PALETTE
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.slopes import local_slopes, sensitivity
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.types import (
    Diagnostics,
    Dimension,
    Estimate,
    Measurement,
    Moments,
    Reliability,
    Responses,
    SimulatedBias,
    Spectrum,
    Subsampling,
)


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture(scope="module")
def measured():
    return recordingrecords.simulated_session()[1]


def power(alpha=1.2, ranks=100):
    return Spectrum(torch.arange(1, ranks + 1, dtype=torch.float64) ** -alpha, 300, ranks)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def with_gid(ax, gid):
    return [line for line in ax.get_lines() if line.get_gid() == gid]


def in_order(arrays):
    return sorted(float(value) for array in arrays for value in numpy.ravel(array))


# ------------------------------------------------------------------------ spectra and slopes


def test_every_negative_value_of_cvpca_is_an_open_mark_as_long_as_there_are_few(ax):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 80, 60, generator=generator, dtype=torch.float64)
    spectrum = CvPCA(shuffles=2)(Responses(values=noise), generator)
    negative = (spectrum.eigenvalues < 0).nonzero()[:, 0] + 1
    assert 10 < len(negative) < 60
    figures.plot(spectrum, ax)
    (sunk,) = [line for line in ax.get_lines() if line.get_markerfacecolor() == "none" and len(line.get_xdata()) > 1]
    assert_allclose(sunk.get_xdata(), negative)


def test_a_single_negative_value_is_shown_although_marks_thin(ax):
    values = torch.arange(1, 601, dtype=torch.float64) ** -1.0
    values[554] = -1e-4
    figures.plot(Spectrum(values, 700, 600), ax)
    (sunk,) = [line for line in ax.get_lines() if line.get_markerfacecolor() == "none" and len(line.get_xdata())]
    assert_allclose(sunk.get_xdata(), [555])


def test_local_slopes_are_a_line_with_gaps_and_the_fit_stands_in_its_window(ax):
    spectrum = power(1.2)
    slopes = local_slopes(spectrum)
    slopes = replace(slopes, alpha=torch.where(slopes.ranks > 30, math.nan, slopes.alpha))
    figures.plot(slopes, ax, fit=LeastSquares(5, 60)(spectrum))
    (line,) = with_gid(ax, "series")
    assert_allclose(line.get_xdata(), slopes.ranks)
    assert_allclose(line.get_ydata(), slopes.alpha)
    level = next(line for line in ax.get_lines() if line.get_label() == "fit over the whole window, α = 1.20")
    assert_allclose([*level.get_xdata(), *level.get_ydata()], [5, 60, 1.2, 1.2])
    assert "window of the fit, ranks 5–60" in labels(ax)
    assert ax.get_xscale() == "log"


# ---------------------------------------------------------------------------------- windows


def test_a_table_of_windows_has_a_cell_for_each_and_a_frame_for_its_own(ax, measured):
    fits = measured.diagnostics["cvpca"].windows
    assert len(fits) > 6
    figures.windows(ax, fits)
    firsts, lasts = (sorted({fit.used[end] for fit in fits}) for end in (0, 1))
    assert [text.get_text() for text in ax.get_yticklabels()] == [str(first) for first in firsts]
    assert [text.get_text() for text in ax.get_xticklabels()] == [str(last) for last in lasts]
    shown = {text.get_position(): text.get_text() for text in ax.texts}
    for fit in fits:
        place = lasts.index(fit.used[1]), firsts.index(fit.used[0])
        assert shown[place] == f"{fit.alpha:.2f}".replace("-", "−")
    (frame,) = with_gid(ax, "own")
    assert_allclose(frame.get_xdata().mean(), lasts.index(fits[0].used[1]), atol=0.21)
    assert frame.get_ydata().min() == firsts.index(fits[0].used[0]) - 0.5


def test_cells_are_blue_below_and_vermilion_above_the_own_window(ax):
    own = LeastSquares(5, 40)(power(1.0))
    fits = [own, *(replace(own, used=used, parameters={"alpha": Estimate(alpha)}) for used, alpha in (
        ((1, 40), 0.8), ((10, 40), 1.4)))]  # fmt: skip
    figures.windows(ax, fits)
    colours = {patch.get_xy()[0][1]: patch for patch in ax.patches}
    below, same, above = (colours[place] for place in (-0.5, 0.5, 1.5))
    assert below.get_facecolor()[:3] == pytest.approx(
        [int(PALETTE[0][place : place + 2], 16) / 255 for place in (1, 3, 5)]
    )
    assert above.get_facecolor()[:3] == pytest.approx(
        [int(PALETTE[1][place : place + 2], 16) / 255 for place in (1, 3, 5)]
    )
    assert same.get_alpha() == pytest.approx(0, abs=1e-9)
    assert above.get_alpha() == pytest.approx(2 * below.get_alpha())


def test_the_finding_of_a_table_of_windows_is_its_range():
    fits = sensitivity(power(1.2), LeastSquares(5, 60))
    assert told_windows(fits) == f"α = 1.20 over ranks 5–60, from 1.20 to 1.20 over {len(fits)} windows"
    assert told_windows(fits[:1]) == "α = 1.20 over ranks 5–60; no other window can be fitted"


# --------------------------------------------------------------- subsets, simulations, rivals


def test_a_subsampling_curve_holds_means_intervals_and_changed_windows(ax, measured):
    curve = measured.diagnostics["cvpca"].subsampling[1]
    figures.plot(curve, ax)
    (line,) = with_gid(ax, "series")
    assert_allclose(line.get_xdata(), curve.counts)
    assert_allclose(line.get_ydata(), [one.value for one in curve.alphas])
    bars = [sorted(bar.get_ydata()) for bar in with_gid(ax, "interval")]
    assert_allclose(bars, [[one.low, one.high] for one in curve.alphas if math.isfinite(one.low)])
    changed = [f"{a}–{b}" for a, b in curve.windows if (a, b) != curve.windows[-1]]
    assert changed
    assert [text.get_text() for text in ax.texts] == changed
    assert ax.get_xlabel() == "units kept"
    assert [text.get_text() for text in ax.get_xticklabels()] == [str(int(count)) for count in curve.counts]


def test_curves_over_stimuli_and_units_stand_side_by_side(ax, measured):
    curves = measured.diagnostics["pca"].subsampling
    figures.plot(curves, ax)
    lines = with_gid(ax, "series")
    assert [line.get_label() for line in lines] == ["subsets of the stimuli", "subsets of the units"]
    assert lines[0].get_color() != lines[1].get_color()
    assert ax.get_xlabel() == "stimuli or units kept"
    low, high = ax.get_xlim()
    assert low < 15
    assert high > 120


def test_simulations_are_rows_with_what_was_planted_and_found(ax, measured):
    biases = measured.diagnostics["pca"].bias
    assert len(biases) == 2
    figures.plot(biases, ax)
    assert [line.get_xdata()[0] for line in with_gid(ax, "truth")] == [bias.truth for bias in biases]
    assert in_order(line.get_xdata() for line in with_gid(ax, "sample")) == sorted(bias.sample_truth for bias in biases)
    assert in_order(line.get_xdata() for line in with_gid(ax, "series")) == sorted(bias.found.value for bias in biases)
    spreads = [(line.get_xdata()[1] - line.get_xdata()[0]) / 2 for line in with_gid(ax, "spread")]
    assert_allclose(spreads, [bias.spread for bias in biases])
    ends = [bar.get_xdata() for bar in with_gid(ax, "interval")]
    assert_allclose(ends, [[bias.found.low, bias.found.high] for bias in biases])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["PCA,\nleast squares", "PCA,\nMarčenko–Pastur"]
    assert "same fit, noise-free responses" in labels(ax)


def test_a_simulation_without_noise_free_fit_has_no_mark_for_it(ax, measured):
    (bias,) = measured.diagnostics["meme"].bias
    assert math.isnan(bias.sample_truth)
    figures.plot(bias, ax)
    assert not with_gid(ax, "sample")
    assert "same fit, noise-free responses" not in labels(ax)


def test_rival_laws_are_rows_left_of_the_power_law_where_they_are_better(ax, measured):
    scores = measured.diagnostics["cvpca"].laws
    figures.plot(scores, ax)
    rivals = [score for score in scores if score.fit.method != "leastsquares"]
    assert [line.get_xdata()[0] for line in with_gid(ax, "series")] == [one.against_power.value for one in rivals]
    assert_allclose(
        [bar.get_xdata() for bar in with_gid(ax, "interval")],
        [[one.against_power.low, one.against_power.high] for one in rivals],
    )
    assert labels(ax) == [f"power law, error {scores[0].error.value:.3g}"]
    assert ax.get_yticklabels()[0].get_text() == f"broken power law,\nerror {rivals[0].error.value:.3g}"


# ------------------------------------------------------------- moments, reliability, dimensions


def test_moments_are_roots_with_their_spread_and_the_moments_of_the_law(ax, measured):
    moments, law = measured.moments["meme"], measured.fits["meme"]
    figures.plot(moments, ax, fit=law)
    orders = numpy.arange(1, len(moments.values) + 1)
    (marks,) = with_gid(ax, "series")
    roots = moments.values.numpy() ** (1 / orders)
    assert_allclose(marks.get_ydata(), roots)
    bars = ax.containers[0].lines[2][0].get_segments()
    spread = numpy.sqrt(moments.covariance.diagonal().numpy())
    for p, root, bar in zip(orders, roots, bars):
        assert bar[1][1] - bar[0][1] == pytest.approx(2 * root * spread[p - 1] / (p * moments.values[p - 1]))
    (line,) = with_gid(ax, "law")
    n = numpy.arange(1, moments.units + 1)
    eigenvalues = law.parameters["scale"].value * n**-law.alpha
    assert_allclose(line.get_ydata(), [(eigenvalues**p).mean() ** (1 / p) for p in orders])
    assert line.get_label() == f"moments of the power law, α = {law.alpha:.2f}"


def test_a_moment_that_is_not_positive_is_an_open_mark_below(ax):
    values = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    eye = torch.eye(3, dtype=torch.float64)
    figures.plot(Moments(values, eye, eye, 50, 20), ax)
    (sunk,) = [line for line in ax.get_lines() if line.get_label() == "not positive: it has no root"]
    assert_allclose(sunk.get_xdata(), [2])


def test_the_law_of_the_moments_is_a_line_over_the_ranks_without_a_window(ax, measured):
    law = measured.fits["meme"]
    figures.moment_law(ax, law, 40, figures.series(1), "MEME’s law")
    (line,) = with_gid(ax, "law")
    assert_allclose(line.get_xdata()[[0, -1]], [1, 40])
    assert_allclose(line.get_ydata(), law.parameters["scale"].value * line.get_xdata() ** -law.alpha)
    assert not ax.patches


def test_reliability_is_a_histogram_of_every_unit_with_the_total(ax, measured):
    value = measured.reliability
    figures.plot(value, ax)
    assert sum(patch.get_height() for patch in ax.patches) == len(value.signal_share)
    (total,) = with_gid(ax, "total")
    assert total.get_xdata()[0] == value.total
    assert f"all units together {value.total:.2f}" in labels(ax)


def test_constant_units_are_counted(ax):
    shares = torch.tensor([0.5, math.nan, -0.1, 0.4], dtype=torch.float64)
    figures.plot(Reliability(shares, 0.45), ax)
    assert sum(patch.get_height() for patch in ax.patches) == 3
    assert "signal share, 3 units; 1 constant ones have none" in labels(ax)
    figures.plot(Reliability(torch.full((2,), math.nan, dtype=torch.float64), 0.0), Figure().add_subplot())


def test_a_dimension_is_its_curve_over_scales_and_the_reported_one_is_filled(ax, measured):
    value = measured.dimensions["twonn"]
    figures.plot(value, ax)
    (line,) = with_gid(ax, "series")
    assert_allclose(line.get_xdata(), value.scales)
    assert_allclose(line.get_ydata(), value.by_scale)
    (mark,) = with_gid(ax, "reported")
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (1.0, value.value.value)
    assert ax.get_ylim()[1] > float(value.by_scale.max())
    assert labels(ax) == [f"TwoNN: {value.value.value:.3g}"]


# ------------------------------------------------------------------------- panels and refusals


def panels(value):
    from matplotlib import pyplot

    drawn = figures.plot(value)
    pyplot.close(drawn[0].figure)
    return drawn


def test_diagnostics_make_a_panel_per_part(measured):
    drawn = panels(measured.diagnostics["pca"])
    assert [ax.get_xlabel().partition(" (")[0] for ax in drawn] == [
        "rank n", "last rank of the window", "stimuli kept", "units kept", "exponent α",
        "held-out error² less the power law’s; < 0: better",
    ]  # fmt: skip


def test_a_measured_recording_has_panels_for_spectra_moments_and_units(measured):
    drawn = panels(measured)
    assert [ax.get_xlabel() for ax in drawn] == [
        "rank n", "rank n", "order p", "share of a unit’s variance that repeats",
    ]  # fmt: skip
    assert len(panels(Measurement("moments alone", moments=measured.moments))) == 1


def test_words_for_parts():
    assert figures.called("cvpca:shuffles=10") == "cvPCA"
    assert figures.called("cvpca@python#2") == "cvPCA, second"
    assert figures.called("pca#11") == "PCA, number 11"
    assert figures.called("lab.own:Estimator") == "lab.own:Estimator"
    assert figures.called("my_estimator") == "my_estimator"


BIAS = SimulatedBias("pca", "leastsquares", {}, 1.0, 1.0, Estimate(1.0), 0.1, 4, 50, 20, 0.5, 0.0, 1.0)
CURVE = Subsampling("units", torch.tensor([4]), (Estimate(1.0),), (1,), ((1, 4),))
FLAT = Dimension("stable_rank", Estimate(3.0), "eigenvalues")
SCALES = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: figures.plot(FLAT),
            "Expected a dimension with a curve over scales, got stable_rank, one number. Print it: it has nothing to "
            "draw.",
        ),
        (
            lambda: figures.plot(
                [
                    replace(FLAT, name=name, scales=SCALES, by_scale=SCALES, scale=scale)
                    for name, scale in (("twonn", "share of the stimuli"), ("levina_bickel", "neighbours"))
                ]
            ),
            "Expected dimensions over the same scale, 'share of the stimuli', got levina_bickel over 'neighbours'. "
            "Plot it on axes of its own.",
        ),
        (
            lambda: figures.plot([Reliability(SCALES, 1.0)] * 2),
            "Expected one Reliability per call, got 2 of them. Plot the others on axes of their own.",
        ),
        (
            lambda: figures.plot(BIAS, fit=LeastSquares(5, 60)(power())),
            "Expected a Spectrum, Moments or LocalSlopes to go with the fit, got a SimulatedBias. Leave `fit` out.",
        ),
        (
            lambda: figures.plot([BIAS, CURVE]),
            "Expected values of one type, got SimulatedBias and Subsampling. Plot one type per call, on the same axes.",
        ),
        (
            lambda: figures.plot(Diagnostics()),
            "Expected something to draw, got empty Diagnostics. Measure before plotting.",
        ),
        (
            lambda: figures.plot(Diagnostics(bias=(BIAS,)), Figure().add_subplot()),
            "Expected one Diagnostics, and no axes: it makes a panel per part, got axes. Plot its parts one by one on "
            "axes of your own.",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError) as refusal:
        call()
    assert str(refusal.value) == message
