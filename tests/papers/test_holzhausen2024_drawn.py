"""The figures of Holzhausen et al. 2024 hold what they are given: lines, boxes, units, counts and stamps."""

import math

import numpy
import pytest
import torch
from numpy.testing import assert_allclose

from eigenfall.figures.spectrum import shown_ranks
from eigenfall.figures.style import series
from eigenfall.papers.drawn.canvas import number, quartiles
from eigenfall.papers.holzhausen2024.drawn import (
    Attacked,
    Code,
    Front,
    History,
    Line,
    Logged,
    Perturbation,
    Pruned,
    Seen,
    Standing,
    Unit,
    accuracy_against_distance,
    ensemble,
    landscapes,
    mnist_spectral,
    robustness,
    spectra,
    training_curves,
    weights,
    within_bound,
)
from eigenfall.statistics import t_interval

L3 = Unit(pixels=8.0)


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def power(count, alpha, first=1.0):
    return first * torch.arange(1, count + 1, dtype=torch.float64) ** -alpha


def attacked(scale=1.0, distances=None, **settings):
    epsilons = torch.logspace(-6, 0, 43, dtype=torch.float64)
    accuracy = torch.stack([1 / (1 + epsilons * one * scale) for one in (10.0, 20.0)])
    return Attacked(epsilons, accuracy, vector(1, 2, 3, 4, 5) * scale if distances is None else distances, **settings)


def three(**models):
    kinds = (("random noise", "gaussian"), ("FGSM", "Linf"), ("PGD", "Linf"))
    return [Perturbation(name, norm, models) for name, norm in kinds]


def gid(ax, name):
    return [line for line in ax.get_lines() if line.get_gid() == name]


def caption(figure):
    return figure.legends[0].get_title().get_text().replace("\n", " ")


def entries(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def fields(units, channels=1):
    return torch.arange(units * channels * 16, dtype=torch.float64).reshape(units, channels, 4, 4)


def pruned(**settings):
    given = {
        "fields": fields(20),
        "kept_fields": fields(16),
        "variances": torch.cat([torch.full((30,), 8e-4), torch.full((5,), 1.8e-3), torch.full((2,), 9e-3)]).double(),
        "cutoff": 1.5e-3,
        "raw": {"images": power(37, 1.5, 15.0), "white noise": power(37, 1.0, 1e4)},
        "pruned": {"images": power(30, 1.5, 10.0), "white noise": power(30, 1.0, 100.0)},
    }
    return Pruned(**{**given, **settings})


def seen(low=10.0):
    side = torch.linspace(0, 1, 12, dtype=torch.float64)
    classes = (side[None, :] > 0.5).long().expand(12, 12).clone()
    return Seen(20.0, low + side[:6, None] * side[None, :6], classes, 0.5 + side[:, None] * side[None, :] / 2)


def codes(*names):
    subsets = {10: power(10, 1.0), 40: power(40, 2.0, 7.0)}
    one = Code(subsets, Line(3, 30, 2.0, 0.014, 1.5, 0.9954), {"float32": 1e-3, "float64": 1e-13})
    return {name: {"images": one, "white noise": Code({40: power(40, 0.5)})} for name in names}


STANDINGS = {"KH": (Standing(vector(0.47, 0.48, 0.46), vector(3.0, 3.2, 3.1)),)}
SWEEP = tuple(Standing(vector(0.5 - 0.1 * s), vector(1.0 + s), f"strength {s}") for s in range(3))

EVERY = {
    "robustness": lambda **more: robustness(three(KH=attacked(), BP=attacked(0.5)), L3, **more),
    "spectra": lambda **more: spectra(codes("raw", "KH"), **more),
    "landscapes": lambda **more: landscapes({"KH": seen(), "BP": seen(80.0)}, L3, **more),
    "weights": lambda **more: weights(pruned(), **more),
    "fronts": lambda **more: accuracy_against_distance([Front("PGD", {**STANDINGS, "L2": SWEEP}, {})], L3, **more),
    "training": lambda **more: training_curves([History("loss", {"KH": logged(2)}, log=True)], **more),
    "ensemble": lambda **more: ensemble({"images": power(9, 2.0).expand(4, 9).clone()}, {}, **more),
    "mnist": lambda **more: mnist_spectral({"ReLU": STANDINGS["KH"][0]}, L3, {}, **more),
}


def logged(seeds):
    epochs = torch.arange(1, 6, dtype=torch.float64)
    return Logged(epochs, torch.stack([2.0 / epochs + seed for seed in range(seeds)]))


@pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)
def test_a_stamp_is_written_and_does_not_move_the_panels(draw):
    plain, stamped = draw(), draw(stamp="UNCONVERGED")
    assert [text.get_text() for text in stamped.texts if text.get_gid() == "stamp"] == ["UNCONVERGED"] * max(
        1, round(stamped.get_figheight() / 8)
    )
    assert not [text for text in plain.texts if text.get_gid() == "stamp"]
    for figure in (plain, stamped):
        figure.draw_without_rendering()
    for before, after in zip(plain.axes, stamped.axes, strict=True):
        assert_allclose(before.get_position().bounds, after.get_position().bounds)


@pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)
def test_figures_are_900_pixels_wide_and_take_a_title(draw):
    figure = draw(title="What $was$ found")
    assert figure.get_figwidth() == 9.0
    assert title(figure) == r"What \$was\$ found"


def ticks_in_view(ax):
    low, high = sorted(ax.get_ylim())
    return [tick for tick in ax.get_yticklabels() if low <= tick.get_position()[1] <= high]


@pytest.mark.parametrize("count", [2, 12])
@pytest.mark.parametrize("kind", ["robustness", "spectra", "landscapes", "fronts", "training"])
def test_names_and_numbers_do_not_overlap_for_any_number_of_models(kind, count):
    names = [f"a model no. {place}" for place in range(count)]
    draw = {
        "robustness": lambda: robustness(three(**{name: attacked(1 + 0.1 * len(name)) for name in names}), L3),
        "spectra": lambda: spectra(codes(*names)),
        "landscapes": lambda: landscapes({name: seen() for name in names}, L3),
        "fronts": lambda: accuracy_against_distance([Front("PGD", dict.fromkeys(names, SWEEP[:1]), {})], L3),
        "training": lambda: training_curves([History("loss", {name: logged(1) for name in names})]),
    }
    figure = draw[kind]()
    figure.draw_without_rendering()
    texts = [text for ax in figure.axes for text in (ax._left_title, ax.xaxis.label, *ticks_in_view(ax))]
    texts += figure.legends[0].get_texts()
    boxes = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
    assert not [1 for place, one in enumerate(boxes) for other in boxes[:place] if one.overlaps(other)]
    assert all(box.x0 >= 0 and box.x1 <= 900.5 for box in boxes)


def test_accuracy_is_the_mean_over_seeds_with_their_range():
    one = attacked()
    left = robustness(three(KH=one), L3).axes[0]
    (line,) = gid(left, "series")
    assert_allclose(line.get_xdata(), one.epsilons)
    assert_allclose(line.get_ydata(), one.accuracy.mean(0))
    ends = left.collections[0].get_paths()[0].vertices[:, 1]
    assert_allclose((ends.min(), ends.max()), (one.accuracy.min(), one.accuracy.max()))
    assert left.get_xscale() == "log"
    assert left.get_ylabel() == "relative accuracy"


def test_epsilons_axis_begins_a_decade_below_the_first_loss():
    one = attacked()
    mean = one.accuracy.mean(0)
    first = float(one.epsilons[mean < 0.99 * mean[0]][0])
    assert_allclose(robustness(three(KH=one), L3).axes[0].get_xlim(), (first / 10, 1.0))


def test_absolute_accuracy_has_no_half_and_is_called_so():
    figure = robustness(three(KH=attacked()), L3, relative=False)
    assert figure.axes[0].get_ylabel() == "accuracy"
    assert len(figure.axes[0].get_lines()) == 1
    assert "ε₅₀" not in caption(figure)
    assert "ε₅₀" in caption(robustness(three(KH=attacked()), L3))


def test_every_distance_axis_says_its_unit_and_the_pixels_beside_it():
    panels = robustness(three(KH=attacked()), L3).axes
    assert [ax.get_xlabel() for ax in panels] == [
        "ε, standard deviation of the noise, L3 units",
        "critical distance, L2 norm, L3 units",
        *["ε, L∞ norm, L3 units", "critical distance, L2 norm, L3 units"] * 2,
    ]
    for ax in panels:
        (above,) = ax.child_axes
        assert above.get_xlabel() == "in [0, 1] pixels of the average image"
        assert_allclose(above.get_xlim(), 8.0 * numpy.array(ax.get_xlim()))
    assert not any(ax.child_axes for ax in robustness(three(KH=attacked()), Unit()).axes)


def test_boxes_hold_median_quartiles_and_tukeys_whiskers():
    distances = torch.cat([torch.arange(1, 102, dtype=torch.float64), vector(1000)])
    right = robustness(three(KH=attacked(distances=distances, paper=40.0)), L3).axes[1]
    low, middle, high = numpy.quantile(distances, (0.25, 0.5, 0.75))
    (median,) = gid(right, "median")
    assert_allclose(median.get_xdata(), [middle, middle])
    (box,) = right.patches
    assert_allclose((box.get_x(), box.get_x() + box.get_width()), (low, high))
    assert_allclose([line.get_xdata() for line in gid(right, "whisker")], [[1, low], [high, 101]])
    assert_allclose(gid(right, "paper")[0].get_xdata(), [40.0])
    assert right.get_yticklabels()[0].get_text() == "KH"


def test_images_that_nothing_broke_are_not_dropped():
    figure = robustness(three(KH=attacked(distances=vector(1, 2, 3, math.inf, math.inf))), L3)
    right = figure.axes[1]
    assert_allclose(gid(right, "median")[0].get_xdata(), [3, 3])
    assert len(gid(right, "beyond")) == 1
    assert right.get_yticklabels()[0].get_text() == "KH (40 %)"
    (box,) = right.patches
    assert_allclose(box.get_x() + box.get_width(), right.get_xlim()[1])
    most = robustness(three(KH=attacked(distances=vector(1, math.inf, math.inf))), L3)
    assert gid(most.axes[1], "median") == []
    assert title(most).startswith("KH: largest median critical distance, beyond the largest ε under random noise")


def test_the_title_says_which_model_stands_furthest_off():
    found = title(robustness(three(KH=attacked(), BP=attacked(0.5)), L3))
    assert found == "KH: largest median critical distance, 3 under random noise, 3 under FGSM, 3 under PGD, in L3 units"
    mixed = [*three(KH=attacked(), BP=attacked(0.5))[:1], Perturbation("PGD", "Linf", {"BP": attacked(4.0)})]
    assert title(robustness(mixed, L3)) == (
        "Largest median critical distance, in L3 units: KH under random noise (3), BP under PGD (12)"
    )


def test_quartiles_are_numpys_and_infinite_where_infinity_decides():
    some = vector(3, 1, 4, 1, 5, 9, 2, 6)
    assert_allclose(quartiles(some), numpy.quantile(some, (0.25, 0.5, 0.75)))
    assert quartiles(vector(1, 2, math.inf)) == (1.5, 2.0, math.inf)


def test_a_model_keeps_its_look_in_every_figure():
    study = ("raw", "BP", "KH")
    right = robustness(three(KH=attacked()), L3, study=study).axes[1]
    assert gid(right, "median")[0].get_color() == series(2).colour
    ax = spectra(codes("KH"), study=study).axes[0]
    assert gid(ax, "m=40")[0].get_color() == series(2).colour


def test_spectra_are_over_the_first_eigenvalue_paler_for_fewer_units():
    ax = spectra(codes("KH")).axes[0]
    small, large = gid(ax, "m=10")[0], gid(ax, "m=40")[0]
    ranks = shown_ranks(40)
    assert_allclose(large.get_xdata(), ranks)
    assert_allclose(large.get_ydata(), ranks**-2.0)
    assert_allclose(small.get_ydata(), numpy.arange(1, 11) ** -1.0)
    assert (small.get_alpha(), large.get_alpha()) == (0.3, 1.0)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_the_fitted_line_lies_in_its_window_and_says_alpha():
    figure = spectra(codes("KH"))
    ax = figure.axes[0]
    (line,) = gid(ax, "fit")
    assert_allclose(line.get_xdata(), [3, 30])
    assert_allclose(line.get_ydata(), [1.5 * 3**-2.0, 1.5 * 30**-2.0])
    (window,) = [patch for patch in ax.patches if patch.get_gid() == "window"]
    assert_allclose(window.get_extents().transformed(ax.transData.inverted()).intervalx, [3, 30])
    assert [text.get_text() for text in ax.texts] == ["α = 2.00 ± 0.01\nranks 3–30, R² = 0.995"]
    assert not figure.axes[1].texts  # nothing was fitted on noise
    assert title(figure) == "α, λₙ ∝ n⁻ᵅ: on images KH 2"


def test_floors_are_drawn_or_said_to_lie_below():
    figure = spectra(codes("KH"))
    assert_allclose(gid(figure.axes[0], "floor float32")[0].get_ydata(), [1e-3, 1e-3])
    assert gid(figure.axes[0], "floor float64") == []
    assert "Rounding of float64 lies below the axes." in caption(figure)
    assert entries(figure) == ["m = 10", "m = 40", "fitted line", "its window", "rounding, float32"]


def test_a_spectrum_of_zeros_leaves_its_panel_empty():
    ax = spectra({"KH": {"images": Code({5: torch.zeros(5, dtype=torch.float64)})}}).axes[0]
    assert not ax.get_lines()


def test_landscapes_hold_norms_decisions_and_certainty():
    one = seen()
    figure = landscapes({"KH": one}, L3, names=("cat", "dog"))
    top, bottom, bar = figure.axes
    assert_allclose(top.images[0].get_array(), one.norms)
    assert_allclose(bottom.images[0].get_array()[..., 3], one.certainty)
    assert len(numpy.unique(bottom.images[0].get_array()[..., :3].reshape(-1, 3), axis=0)) == 2
    assert len(bottom.collections[0].levels) >= 18
    assert {text.get_text() for text in bottom.texts} == {"0", "1"}
    assert (bottom.get_xlabel(), bottom.get_ylabel(), bar.get_xlabel()) == ("ξ₁, L3 units", "ξ₂, L3 units", "‖J‖_F")
    assert entries(figure) == ["0 cat", "1 dog"]
    assert "one of the L3 units is 8 in [0, 1] pixels" in caption(figure)
    assert title(figure) == "‖J‖_F on the plane: KH 10 to 10.2"


def test_more_models_than_fit_begin_a_new_row():
    figure = landscapes({f"model {place}": seen(10.0 + place) for place in range(7)}, L3)
    tops = [ax for ax in figure.axes if ax.images and ax.images[0].get_gid() == "norms"]
    assert len({round(ax.get_position().y0, 3) for ax in tops}) == 2
    assert [ax.get_title(loc="left") for ax in tops] == [f"model {place}" for place in range(7)]
    assert title(figure) == "‖J‖_F on the plane: smallest for model 0, 10 to 10.2; largest for model 6, 16 to 16.2"


def test_weights_show_variances_cutoff_and_both_spectra():
    figure = weights(pruned())
    raw, kept, counts, images, noise = figure.axes
    assert (raw.get_title(loc="left"), kept.get_title(loc="left")) == (
        "a  raw: 16 of 37 units",
        "pruned: 16 of 30 units",
    )
    assert raw.images[0].get_array().shape == (19, 19, 3)  # 4 × 4 pictures of 4 × 4, a line between
    heights = [patch.get_height() for patch in counts.patches]
    assert (len(heights), sum(heights)) == (50, 35)
    assert counts.get_title(loc="left") == "b  how many units (2 lie outside)"
    assert_allclose(gid(counts, "cutoff")[0].get_xdata(), [1.5e-3] * 2)
    assert_allclose(gid(images, "raw")[0].get_ydata(), power(37, 1.5, 15.0))
    assert_allclose(gid(noise, "pruned")[0].get_ydata(), power(30, 1.0, 100.0))
    assert title(figure) == "7 of 37 units are pruned; λ₁ goes from 15 to 10 on images, 10000 to 100 on white noise"


def test_nothing_pruned_is_said():
    figure = weights(pruned(cutoff=math.nan))
    assert title(figure) == "No unit is pruned"
    assert gid(figure.axes[2], "cutoff") == []


def test_fronts_join_a_sweep_and_show_intervals_both_ways():
    figure = accuracy_against_distance([Front("PGD", {**STANDINGS, "L2": SWEEP}, {"KH": (0.472, 3.15)})], L3)
    ax = figure.axes[0]
    (sweep,) = gid(ax, "sweep")
    assert_allclose(sweep.get_xdata(), [50, 40, 30])
    assert_allclose(sweep.get_ydata(), [1, 2, 3])
    assert [text.get_text() for text in ax.texts] == ["strength 0", "strength 2"]
    across, up = gid(ax, "interval")  # the sweep has one seed
    assert_allclose(across.get_xdata(), t_interval([47.0, 48.0, 46.0])[1:], rtol=1e-6)
    assert_allclose(up.get_ydata(), t_interval([3.0, 3.2, 3.1])[1:], rtol=1e-6)
    assert_allclose((gid(ax, "paper")[0].get_xdata(), gid(ax, "paper")[0].get_ydata()), [[47.2], [3.15]])
    assert ax.get_ylabel() == "median critical distance, L2 norm, L3 units"
    assert_allclose(ax.child_axes[0].get_ylim(), 8.0 * numpy.array(ax.get_ylim()))
    assert title(figure) == "PGD: KH stands furthest off, 3.1 at 47.0 % correct"
    assert caption(figure) == "Mark: mean of 1 to 3 seeds, bars: its 95 % intervals. A line joins a model’s settings."


def test_an_odd_panel_out_leaves_no_empty_axes():
    found = [Front(name, STANDINGS, {}) for name in ("random noise", "FGSM", "PGD")]
    assert len(accuracy_against_distance(found, L3).axes) == 3
    assert len(training_curves([History(name, {"KH": logged(1)}) for name in "abc"]).axes) == 3


def test_training_curves_are_means_on_the_axis_asked_for():
    figure = training_curves([History("loss", {"KH": logged(2)}, log=True), History("accuracy", {"KH": logged(1)})])
    loss, accuracy = figure.axes
    assert_allclose(gid(loss, "series")[0].get_ydata(), 2.0 / numpy.arange(1, 6) + 0.5)
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    assert (loss.get_ylabel(), loss.get_xlabel()) == ("loss", "epoch")
    assert title(figure) == "At the end, loss: KH 0.9"


def test_the_bound_is_kept_or_broken_by_each_layer():
    within, on, above = power(50, 1.5), 1 / torch.arange(1, 51, dtype=torch.float64), power(50, 1.0)
    above = torch.where(torch.arange(50) == 20, 1.01 * above, above)
    assert within_bound(torch.stack([within, 4 * within, above])).tolist() == [True, True, False]
    assert within_bound(on[None] * torch.arange(1, 51).double() ** -1e-12).all()


def test_the_ensemble_counts_layers_that_keep_the_bound():
    steep, flat = power(30, 2.0, 3.0), power(30, 0.5)
    found = {"images": torch.stack([steep, steep, flat]), "white noise": torch.stack([steep, flat, flat])}
    figure = ensemble(found, {"images": 0.79, "both": 0.07})
    images, noise, counts = figure.axes
    assert_allclose(gid(images, "series")[0].get_ydata(), found["images"].mean(0))
    assert_allclose(gid(noise, "bound")[0].get_ydata(), power(30, 1.0, float(found["white noise"][:, 0].mean())))
    assert_allclose([bar.get_height() for bar in counts.patches], [200 / 3, 100 / 3, 100 / 3])
    assert [text.get_text() for text in counts.texts] == ["2/3", "1/3", "1/3"]
    assert [tick.get_text() for tick in counts.get_xticklabels()] == ["images", "white\nnoise", "both"]
    assert_allclose([line.get_ydata()[0] for line in gid(counts, "paper")], [79, 7])
    assert title(figure) == "λₙ ≤ λ₁/n at every n in so many of 3 layers: images 2, white noise 1, both 1"


def test_the_spectral_nets_stand_beside_the_papers_values():
    figure = mnist_spectral(
        {"ReLU": STANDINGS["KH"][0], "tanh": SWEEP[0]}, L3, {"ReLU": (0.982, 2.05)}, title="Nets on MNIST"
    )
    left, right = figure.axes
    assert_allclose([line.get_xdata()[0] for line in gid(left, "series")], [47, 50])
    assert_allclose([line.get_xdata()[0] for line in gid(right, "series")], [3.1, 1.0])
    assert_allclose([gid(left, "paper")[0].get_xdata()[0], gid(right, "paper")[0].get_xdata()[0]], [98.2, 2.05])
    assert right.get_xlabel() == "median critical distance, L2 norm, L3 units"
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["ReLU", "tanh"]


def test_numbers_in_words():
    assert [number(value) for value in (1e4, -0.5, 123456.0, 1e7, 0.0123)] == [
        "10000",
        "−0.5",
        "123000",
        "1e+07",
        "0.0123",
    ]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: robustness([], L3), "Expected at least one model to draw, got none. Measure before drawing."),
        (
            lambda: robustness([*three(KH=attacked()), Perturbation("noise", "gaussian", {})], L3),
            "Expected at least one model to draw, got none. Measure before drawing.",
        ),
        (
            lambda: accuracy_against_distance([Front("PGD", {"KH": ()}, {})], L3),
            "Expected at least one model to draw, got none. Measure before drawing.",
        ),
        (
            lambda: training_curves([History("loss", {})]),
            "Expected at least one model to draw, got none. Measure before drawing.",
        ),
        (
            lambda: landscapes({}, L3),
            "Expected at least one model to draw, got none. Measure before drawing.",
        ),
        (
            lambda: spectra({"KH": {}}),
            "Expected at least one subset of units to draw, got none. Measure before drawing.",
        ),
        (lambda: ensemble({}, {}), "Expected at least one kind of input to draw, got none. Measure before drawing."),
        (
            lambda: weights(pruned(raw={})),
            "Expected at least one spectrum to draw, got none. Measure before drawing.",
        ),
        (
            lambda: mnist_spectral({}, L3, {}),
            "Expected at least one net to draw, got none. Measure before drawing.",
        ),
        (
            lambda: mnist_spectral({"ReLU": SWEEP[0]}, L3, {"relu": (0.9, 1.0)}),
            "Expected the paper’s values of ReLU, got one of relu. Name the nets alike.",
        ),
        (
            lambda: ensemble({"a": power(9, 1.0).expand(2, 9), "b": power(9, 1.0).expand(3, 9)}, {}),
            "Expected the same layers on every kind of input, got [2, 3] layers. Measure every layer on every kind.",
        ),
        (
            lambda: quartiles(torch.zeros(0, dtype=torch.float64)),
            "Expected a critical distance or more, got none. Attack at least one image.",
        ),
        (
            lambda: robustness(three(KH=Attacked(vector(0, 1), torch.ones(1, 2).double(), vector(1.0))), L3),
            "Expected positive epsilons for KH, got 0. "
            "Leave out what is not perturbed: the axis is logarithmic.",
        ),
    ],
)  # fmt: skip
def test_refusals(draw, words):
    with pytest.raises(ValueError) as refusal:
        draw()
    assert str(refusal.value) == words
