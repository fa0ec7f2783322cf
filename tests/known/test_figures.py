"""What is drawn holds the numbers: marks, windows, bands, shares; refusals in the house form."""

import math
from dataclasses import replace

import numpy
import pagerecords
import pytest
import torch
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from eigenfall import figures
from eigenfall.figures.corruption import mean_errors
from eigenfall.figures.robustness import accuracies, kind
from eigenfall.figures.smoothness import against_margin, margin_correlation
from eigenfall.figures.spectrum import shown_ranks
from eigenfall.figures.style import MARKS, PALETTE, plain
from eigenfall.types import (
    ByDistance,
    CorruptionCurve,
    Estimate,
    GaussianNoise,
    LpBall,
    Measurement,
    RobustnessCurve,
    Smoothness,
    Spectrum,
)


@pytest.fixture
def ax():
    return Figure().add_subplot()


def spectrum(values, stimuli=50, units=40):
    return Spectrum(torch.tensor(values, dtype=torch.float64), stimuli, units, name="layer")


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def drawn(ax, label):
    return next(line for line in ax.get_lines() if line.get_label().startswith(label))


def ball(broken, clean, epsilons=(0.1, 0.2), name="pgd:steps=5", distances=None):
    return RobustnessCurve(
        LpBall(), {"a": name}, epsilons, torch.tensor([broken]), torch.tensor(clean), distances=distances
    )


def test_a_spectrum_is_drawn_on_logarithmic_axes_with_its_values(ax):
    values = [n**-1.0 for n in range(1, 31)]
    figures.plot(spectrum(values), ax)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    line = next(line for line in ax.get_lines() if line.get_gid() == "series")
    assert_allclose(line.get_xdata(), range(1, 31))
    assert_allclose(line.get_ydata(), values)
    assert labels(ax)[0] == "layer"


def test_marks_thin_with_rank():
    ranks = shown_ranks(5000)
    assert ranks[0] == 1
    assert ranks[-1] == 5000
    assert len(ranks) <= 60
    assert_allclose(shown_ranks(12), range(1, 13))


def test_the_fit_is_drawn_inside_its_window_only(ax):
    values = spectrum([3 * n**-1.3 for n in range(1, 61)])
    fit = pagerecords.straight_line(values, 4, 20)
    figures.plot(values, ax, "code", fit=fit)
    line = drawn(ax, "code: fit α = 1.30")
    assert_allclose(line.get_xdata(), [4, 20])
    assert_allclose(line.get_ydata(), [3 * 4**-1.3, 3 * 20**-1.3])
    assert "window of the fit, ranks 4–20" in labels(ax)
    assert "rank left out of the fit" in labels(ax)
    assert labels(ax).index("code") < labels(ax).index("slope of 1/n")


def test_a_fit_alone_takes_the_colour_of_the_spectrum_drawn_before(ax):
    values = spectrum([1 / n for n in range(1, 61)])
    figures.plot(values, ax)
    figures.plot(pagerecords.straight_line(values), ax)
    assert drawn(ax, "fit").get_color() == PALETTE[0]


def test_a_fit_without_a_scale_has_no_line_but_its_window(ax):
    fit = pagerecords.straight_line(spectrum([1 / n for n in range(1, 61)]))
    figures.plot(replace(fit, parameters={"alpha": fit.parameters["alpha"]}), ax)
    assert len(drawn(ax, "fit").get_xdata()) == 0
    assert "window of the fit, ranks 5–40" in labels(ax)


def test_the_star_stands_where_the_variance_passes_90_percent(ax):
    values = spectrum([8.0, 0.5, 0.6, 0.5, 0.4])
    figures.plot(values, ax)
    star = next(line for line in ax.get_lines() if line.get_marker() == "*" and len(line.get_xdata()))
    assert_allclose(star.get_xdata(), [3])


def test_negative_values_are_open_marks_under_the_break(ax):
    figures.plot(spectrum([4.0, 2.0, 1.0, -0.1, -0.2]), ax)
    sunk = [line for line in ax.get_lines() if line.get_markerfacecolor() == "none" and len(line.get_xdata())]
    assert_allclose(sunk[0].get_xdata(), [4, 5])
    assert "below the axis: near the floor, or negative" in labels(ax)


def test_a_spectrum_of_zeros_can_be_drawn(ax):
    figures.plot(spectrum([0.0, 0.0, 0.0]), ax)


def test_seeds_are_one_series_with_the_geometric_mean_and_their_range(ax):
    figures.plot([spectrum([4.0, 1.0]), spectrum([1.0, 0.25])], ax)
    line = next(line for line in ax.get_lines() if line.get_gid() == "series")
    assert_allclose(line.get_ydata(), [2.0, 0.5])
    (band,) = ax.collections[:1]
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.25, 4.0)


def test_what_is_drawn_next_looks_different(ax):
    for _ in range(2):
        figures.plot(spectrum([2.0, 1.0]), ax)
    lines = [line for line in ax.get_lines() if line.get_gid() == "series"]
    assert [line.get_color() for line in lines] == list(PALETTE[:2])


def test_colour_and_mark_together_are_distinct_for_36_arms():
    looks = {(figures.series(order).colour, figures.series(order).mark) for order in range(36)}
    assert len(looks) == 36
    assert len(set(PALETTE)) == len(set(MARKS)) == 6


def test_accuracy_starts_at_the_clean_accuracy_and_is_monotone(ax):
    curve = ball([[False, True, True, False], [True, False, True, False]], [True, True, False, True])
    figures.plot(curve, ax, "model")
    line = drawn(ax, "model")
    assert_allclose(line.get_xdata(), [0, 0.1, 0.2])
    assert_allclose(line.get_ydata(), [0.75, 0.5, 0.25])
    assert ax.get_xlim()[0] == ax.get_ylim()[0] == 0
    assert ax.get_xlabel() == "ε, L∞ norm, in [0, 1] pixels"
    (above,) = ax.child_axes
    assert above.get_xlabel() == "ε in n/255"


def test_a_grid_that_begins_at_zero_is_left_as_it_is():
    curve = ball([[False, True], [True, True]], [True, False], (0.0, 0.2))
    assert accuracies(curve)[0] == (0.0, 0.2)


def test_the_headline_is_thicker_than_single_steps_and_noise(ax):
    curve = ball([[False], [True]], [True])
    noise = replace(curve, threat=GaussianNoise(), attacks={"noise": "noise:draws=10"})
    steps = replace(curve, attacks={"fgsm": "fgsm@goodfellow:loss=ce"})
    assert [kind(one) for one in (curve, steps, noise)] == ["worst case", "single step", "noise"]
    for one, label in ((curve, "thick"), (steps, "step"), (noise, "noise")):
        figures.plot(one, ax, label)
    assert drawn(ax, "thick").get_linewidth() > 2 * drawn(ax, "step").get_linewidth()
    assert drawn(ax, "thick").get_linewidth() > 2 * drawn(ax, "noise").get_linewidth()


def test_survival_counts_images_beyond_each_distance_and_names_the_censored(ax):
    distances = torch.tensor([0.0, 0.05, 0.15, math.inf], dtype=torch.float64)
    curve = ball(
        [[True, True, False, False], [True, True, True, False]], [False, True, True, True], distances=distances
    )
    figures.survival(ax, [curve], "model", figures.series(0))
    line = drawn(ax, "model")
    assert_allclose(line.get_xdata(), [0, 0.05, 0.15, 0.2])
    assert_allclose(line.get_ydata(), [0.75, 0.5, 0.25, 0.25])
    assert line.get_label() == "model: 25.0 % censored at ε = 0.2"


def test_smoothness_is_a_row_and_zeros_are_counted(ax):
    values = torch.tensor([0.0, *numpy.linspace(1, 3, 50)], dtype=torch.float64)
    figures.plot(Smoothness("jacobian_norm", "hidden1", values), ax)
    (name,) = [text.get_text() for text in ax.get_yticklabels()]
    assert name == "hidden1\n(1 zero left out)"
    middle = next(line for line in ax.get_lines() if line.get_marker() == "o")
    assert_allclose(middle.get_xdata(), [2.0], rtol=1e-3)


def test_exponents_stand_at_the_mean_of_the_seeds(ax):
    fits = [pagerecords.straight_line(spectrum([n**-alpha for n in range(1, 61)])) for alpha in (1.0, 1.2)]
    figures.exponents(ax, {"plain": {"hidden1": fits}})
    dot = next(line for line in ax.get_lines() if line.get_gid() == "series")
    assert_allclose(dot.get_xdata(), [1.1])


def test_mean_over_seeds_has_students_interval_held_between_bounds():
    mean = figures.across_seeds([Estimate(0.9), Estimate(1.0)], 0.0, 1.0)
    assert mean.value == pytest.approx(0.95)
    assert (mean.low, mean.high, mean.over) == (pytest.approx(0.95 - 12.7062 * 0.05, abs=1e-4), 1.0, "seeds")
    alone = Estimate(0.5, 0.4, 0.6, over="images")
    assert figures.across_seeds([alone]) is alone
    assert math.isnan(figures.across_seeds([Estimate(math.nan), Estimate(math.nan)]).value)


def test_a_measurement_makes_a_panel_per_part():
    from matplotlib import pyplot

    panels = figures.plot(pagerecords.records()[0].measurement)
    try:
        assert len(panels) == 3
    finally:
        pyplot.close(panels[0].figure)


def test_names_are_shown_as_they_are():
    assert plain("$a_1$") == r"\$a_1\$"
    assert plain("_hidden") == " _hidden"
    assert plain("a\nb") == "a�b"
    assert plain("x" * 60) == "x" * 47 + "…"


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: figures.plot([]),
            "Expected values of one type, got an empty list. Plot one type per call, on the same axes.",
        ),
        (
            lambda: figures.plot([spectrum([1.0]), 3]),
            "Expected values of one type, got Spectrum and int. Plot one type per call, on the same axes.",
        ),
        (
            lambda: figures.plot(3),
            "Expected one of Spectrum, SpectrumFit, Smoothness, RobustnessCurve, ByDistance, CorruptionCurve, "
            "LocalSlopes, Subsampling, SimulatedBias, LawScore, Moments, Reliability, Dimension, Landscape, "
            "SensitivityMap, ReceptiveFields, Convergence, Measurement, Diagnostics, got a int. Plot one of its "
            "values.",
        ),
        (
            lambda: figures.plot(ball([[True]], [True], (0.1,)), fit=pagerecords.straight_line(spectrum([1.0] * 50))),
            "Expected a Spectrum, Moments or LocalSlopes to go with the fit, got a RobustnessCurve. Leave `fit` out.",
        ),
        (
            lambda: figures.plot(Measurement("empty")),
            "Expected something measured, got an empty Measurement. Measure before plotting.",
        ),
        (
            lambda: figures.plot(Measurement("empty"), Figure().add_subplot()),
            "Expected one Measurement, and no axes: it makes a panel per part, got axes. Plot its spectra, smoothness "
            "and curves one by one on axes of your own.",
        ),
        (lambda: figures.across_seeds([]), "Expected at least one estimate, got none. Give a run per seed."),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError) as refusal:
        call()
    assert str(refusal.value) == message


# ----------------------------------------------------------------- smoothness against margin


def test_smoothness_against_margin_draws_bin_medians_and_says_the_rank_correlation():
    ax = Figure().subplots()
    margins = numpy.linspace(-1, 3, 100)
    rising = Smoothness("jacobian_norm", "outputs", torch.from_numpy(numpy.exp(margins)), scale=2.0)
    against_margin(ax, [rising], [margins], "up", figures.series(0))
    assert margin_correlation([rising, rising], [margins, -margins]) == pytest.approx(0.0)
    line = ax.get_lines()[0]
    bins = margins.reshape(10, 10)
    assert numpy.allclose(line.get_xdata(), numpy.median(bins, axis=1) / 2)
    assert numpy.allclose(line.get_ydata(), numpy.median(numpy.exp(bins), axis=1) / 2)
    assert line.get_label() == "up: Spearman ρ = +1.00"


def test_the_jacobian_of_a_linear_model_depends_on_no_margin():
    margins = numpy.linspace(-1, 3, 100)
    for values in (numpy.full(100, 2.0), 2.0 + 1e-12 * numpy.arange(100)):  # the latter is rounding
        same = Smoothness("jacobian_norm", "outputs", torch.from_numpy(values), scale=1.0)
        assert margin_correlation([same], [margins]) == 0.0
        against_margin(Figure().subplots(), [same], [margins], "flat", figures.series(0))


def test_smoothness_against_margin_leaves_out_what_does_not_compare():
    ax = Figure().subplots()
    margins = numpy.linspace(-1, 3, 100)
    ranks = torch.full((100,), 9)
    ranks[::4] = 8
    values = torch.from_numpy(2 * margins)
    values[::4] = 1e6
    volumes = Smoothness("log_volume", "outputs", values, 1.0, scaling="logarithmic", ranks=ranks)
    against_margin(ax, [volumes], [margins], "up", figures.series(0))
    assert margin_correlation([volumes], [margins]) == pytest.approx(1)
    assert ax.get_yscale() == "linear"
    assert ax.get_lines()[0].get_ydata().max() < 10


def by_distance(*medians, rank=-0.4):
    middles = tuple(Estimate(value, 0.9 * value, 1.1 * value) for value in medians)
    places = tuple(float(2**place) for place in range(len(medians)))
    return ByDistance("relative_jacobian_norm", "outputs", places, middles, (5,) * len(medians), Estimate(rank))


def test_smoothness_against_distance_draws_medians_and_their_intervals_averaged_over_seeds():
    ax = Figure().subplots()
    figures.plot([by_distance(4.0, 2.0, 1.0), by_distance(2.0, 2.0, 3.0, rank=-0.2)], ax, "net")
    (line,) = ax.get_lines()
    assert numpy.allclose(line.get_xdata(), (1, 2, 4))
    assert numpy.allclose(line.get_ydata(), (3, 2, 2))
    assert line.get_label() == "net: Spearman ρ = −0.30"
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.9 * 2, 1.1 * 3))


def corrupted(*errors, seed=0):
    """A corruption's curve over 20 images, so many of them wrong at each severity; clean ones are right."""
    correct = torch.stack([torch.arange(20) >= wrong for wrong in errors])[None]
    severities = tuple(range(1, 1 + len(errors)))
    rms = torch.zeros(1, len(errors), dtype=torch.float64)
    return CorruptionCurve({"fog": "fog"}, severities, correct, torch.ones(20, dtype=torch.bool), rms, seed)


def test_corruptions_are_drawn_by_severity_from_the_clean_accuracy():
    ax = Figure().subplots()
    figures.plot([corrupted(2, 10), corrupted(4, 14, seed=1)], ax, "net")
    (line,) = ax.get_lines()
    assert list(line.get_xdata()) == [0, 1, 2]
    assert numpy.allclose(line.get_ydata(), (1, 0.85, 0.4))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["clean", "1", "2"]


def test_the_mean_corruption_error_is_taken_seed_by_seed():
    ours = {0: corrupted(2, 10), 1: corrupted(4, 14, seed=1), 2: corrupted(20, 20, seed=2)}
    theirs = {0: corrupted(4, 20), 1: corrupted(4, 14, seed=1), 5: corrupted(1, 1, seed=5)}
    assert mean_errors(ours, theirs).value == pytest.approx((12 / 24 + 1) / 2)
    assert mean_errors(ours, {7: corrupted(4, 20)}) is None  # no seed in common
    assert mean_errors(ours, {0: corrupted(0, 0)}) is None  # nothing to divide by
