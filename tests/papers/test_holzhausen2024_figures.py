"""Figures of Holzhausen et al. 2024 hold the numbers of the records that they are drawn from, real but tiny ones."""

import dataclasses
import math
import os

import numpy
import pytest
import torch
from tinypaper import UNITS, tiny_found
from torch.testing import assert_close

from eigenfall import records
from eigenfall.figures.spectrum import shown_ranks
from eigenfall.figures.style import series
from eigenfall.papers.drawn.canvas import quartiles
from eigenfall.papers.holzhausen2024 import codefigures, figures, robustfigures
from eigenfall.papers.holzhausen2024.found import (
    Found,
    accuracy,
    corrected_distances,
    own_distance,
    published_distance,
    published_lengths,
)
from eigenfall.papers.holzhausen2024.planes import landscape
from eigenfall.papers.holzhausen2024.style import STUDY
from eigenfall.robustness import relative_accuracy
from eigenfall.spectra.pca import PCA


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Records in one folder for all workers: what one has finished, another does not make again."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if worker else base) / "tinypaper"
    return tiny_found(root, backwards=worker == "gw1")


def gid(ax, name):
    return [line for line in ax.get_lines() if line.get_gid() == name]


def coloured(ax, name, arm):
    return [line for line in gid(ax, name) if line.get_color() == series(STUDY.index(arm)).colour]


def caption(figure):
    return figure.legends[0].get_title().get_text().replace("\n", " ")


def stamps(figure):
    return {text.get_text() for text in figure.texts if text.get_gid() == "stamp"}


def without(found, *arms):
    return Found(found.scale, {name: held for name, held in found.records.items() if name not in arms})


def panels(figure):
    return [ax for ax in figure.axes if ax.get_title(loc="left")]


# -------------------------------------------------------------------------------- Figure 1


def test_figure_1_published_holds_relative_accuracy_and_the_lengths_of_first_flips(found):
    left, right = panels(figures.draw("fig1", found, "published"))[:2]
    curves = [found.records["BP"][seed].measurement.curves["published_random"] for seed in (0, 1)]
    (line,) = coloured(left, "series", "BP")
    mean = torch.stack([relative_accuracy(curve) for curve in curves]).mean(0)
    assert list(line.get_xdata()) == pytest.approx(list(curves[0].epsilons))
    assert list(line.get_ydata()) == pytest.approx(mean.tolist(), abs=1e-12)
    lengths = torch.cat([published_lengths(found.records["BP"][seed], "random") for seed in (0, 1)])
    (median,) = coloured(right, "median", "BP")
    assert median.get_xdata()[0] == pytest.approx(quartiles(lengths)[1])
    assert "L2 norm" in right.get_xlabel()


def test_figure_1_corrected_is_of_the_images_that_all_compared_nets_get_right(found):
    axes = panels(figures.draw("fig1", found, "corrected"))
    records_, common = found.records["BP"], found.common
    keep = [common[seed] & records_[seed].measurement.curves["headline"].clean_correct for seed in (0, 1)]
    kept = [seed for seed in (0, 1) if bool(keep[seed].any())]
    for row, (kind, words) in enumerate((("random", "half-flip σ"), ("fgsm", "L2 norm"), ("pgd", "L∞ norm"))):
        left, right = axes[2 * row : 2 * row + 2]
        distances = [corrected_distances(records_[seed], kind)[keep[seed]] for seed in kept]
        middle = quartiles(torch.cat(distances))[1]
        medians = coloured(right, "median", "BP")
        assert [line.get_xdata()[0] for line in medians] == pytest.approx([middle] if math.isfinite(middle) else [])
        assert words in right.get_xlabel()
        if kind != "random":
            (line,) = coloured(left, "series", "BP")
            shares = [[float((each > at).double().mean()) for at in line.get_xdata()] for each in distances]
            assert list(line.get_ydata()) == pytest.approx([sum(column) / len(shares) for column in zip(*shares)])


def test_figure_1_corrected_says_that_there_are_no_common_images(found):
    wrong = {
        seed: _with_curves(record, lambda curve: torch.zeros_like(curve.clean_correct))
        for seed, record in found.records["KH"].items()
    }
    with pytest.raises(ValueError, match="Expected images") as refusal:
        figures.draw("fig1", Found("small", {**found.records, "KH": wrong}), "corrected")
    assert str(refusal.value) == (
        "Expected images that KH, L2, JReg, BP all classify correctly, got none. Attack more images, or train longer."
    )


def _with_curves(record, right):
    curves = {
        name: dataclasses.replace(curve, clean_correct=right(curve))
        for name, curve in record.measurement.curves.items()
    }
    return dataclasses.replace(record, measurement=dataclasses.replace(record.measurement, curves=curves))


# -------------------------------------------------------------------------------- Figures 2, 3


@pytest.mark.parametrize("semantics", ["published", "corrected"])
def test_spectra_are_the_records_and_subsets_those_of_its_first_units(found, semantics):
    figure = figures.draw("fig3", found, semantics)
    record = found.records["L2"][0]
    ending = ", pca" if semantics == "published" else ""
    for column, suffix in enumerate(("", " at white noise")):
        ax = panels(figure)[2 * 2 + column]
        assert ax.get_title(loc="left").startswith("L2 on ")
        spectrum = record.measurement.spectra[f"currents{suffix}{ending}"].eigenvalues
        (whole,) = gid(ax, f"m={UNITS}")
        share = (spectrum / spectrum[0]).numpy()[shown_ranks(UNITS) - 1]
        assert list(whole.get_ydata()) == pytest.approx(list(share))
        (part,) = gid(ax, "m=10")
        currents = codefigures.currents(record, "white noise" if suffix else "images").double()[:, :10]
        eigenvalues = torch.linalg.eigvalsh(currents.T.cov()).flip(0)
        assert list(part.get_ydata()) == pytest.approx((eigenvalues / eigenvalues[0]).tolist(), rel=1e-3, abs=1e-6)
        fit = record.measurement.fits[f"currents{suffix}{ending}"]
        (line,) = gid(ax, "fit")
        first, last = line.get_ydata()
        assert list(line.get_xdata()) == list(fit.used)
        assert math.log(first / last) / math.log(fit.used[1] / fit.used[0]) == pytest.approx(fit.alpha)
        assert first == pytest.approx(fit.parameters["scale"].value * fit.used[0] ** -fit.alpha / float(spectrum[0]))


@pytest.mark.parametrize("what", ["images", "white noise"])
def test_currents_of_all_units_have_the_spectrum_of_the_record(found, what):
    for arm, key in (("KH", "currents"), ("raw", "flatten")):
        record = found.records[arm][1]
        values = codefigures.currents(record, what).double()
        spectrum = record.measurement.spectra[f"{key}{codefigures.INPUTS[what]}"].eigenvalues
        eigenvalues = torch.linalg.eigvalsh(values.T.cov()).flip(0)[: len(spectrum)]
        assert eigenvalues.tolist() == pytest.approx(spectrum.tolist(), rel=1e-5, abs=1e-6 * float(spectrum[0]))


def test_raw_images_stand_in_figure_2_with_all_their_pixels(found):
    ax = panels(figures.draw("fig2", found, "published"))[0]
    assert ax.get_title(loc="left") == "raw on images"
    assert len(gid(ax, "m=64")) == len(gid(ax, "m=10")) == 1


def test_without_raw_images_figure_2_says_so(found):
    assert "No run of raw." in caption(figures.draw("fig2", without(found, "raw"), "published"))


# -------------------------------------------------------------------------------- Figures 4, A1


def test_figure_4_is_the_plane_of_the_first_seed(found, monkeypatch):
    monkeypatch.setattr(codefigures, "STEPS", 5)
    figure = figures.draw("fig4", found)
    pictures = [image for ax in figure.axes for image in ax.get_images() if image.get_gid() == "norms"]
    assert len(pictures) == 5
    assert_close(torch.tensor(numpy.asarray(pictures[1].get_array())), landscape(found.records["BP"][0], 5).norms)


def test_figure_a1_holds_the_variances_the_cutoff_and_both_spectra(found):
    figure = figures.draw("figA1", found, "published")
    raw, pruned = (found.records[arm][0].measurement for arm in ("KH", "KH pruned"))
    axes = [ax for part in figure.subfigs for ax in part.axes]
    (cutoff,) = [line for ax in axes for line in gid(ax, "cutoff")] or [None]
    if math.isfinite(pruned.pruned.cutoff):
        assert cutoff.get_xdata()[0] == pytest.approx(pruned.pruned.cutoff)
    else:
        assert cutoff is None
    lines = [line for ax in axes for line in gid(ax, "raw")]
    eigenvalues = raw.spectra["currents at white noise, pca"].eigenvalues
    assert list(lines[1].get_ydata()) == pytest.approx(eigenvalues[eigenvalues > 0].tolist())
    histogram = next(ax for ax in axes if ax.get_title(loc="left").startswith("b"))
    assert "lie outside" not in histogram.get_title(loc="left")
    assert_close(pruned.pruned.variances, raw.convergence.variances)  # one layer, learnt twice


# -------------------------------------------------------------------------------- A2, fronts, rules, spectral


def test_figure_a2_holds_accuracy_and_median_published_distance(found):
    ax = panels(figures.draw("figA2", found, "published"))[1]
    (mark,) = coloured(ax, "series", "L2")
    made = [found.records["L2"][seed] for seed in (0, 1)]
    assert mark.get_xdata()[0] == pytest.approx(50 * sum(map(accuracy, made)))
    assert mark.get_ydata()[0] == pytest.approx(sum(map(published_distance("pgd"), made)) / 2)
    assert gid(ax, "paper") == []  # the paper's numbers are of CIFAR-10


def test_the_papers_marks_stand_beside_its_own_images(found):
    named = {
        arm: {seed: dataclasses.replace(one, run={**one.run, "data": "cifar10:scaling=l3"}) for seed, one in by.items()}
        for arm, by in found.records.items()
    }
    ax = panels(figures.draw("figA2", Found("small", named), "published"))[0]
    marks = sorted((float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in gid(ax, "paper"))
    assert [right for right, _ in marks] == pytest.approx([44.7, 47.2, 51.9, 55.8, 56.2])
    assert [far for _, far in marks] == [0.95, 3.15, 2.6, 1.77, 1.14]


def test_fronts_join_a_sweep_from_the_net_without_a_penalty_and_say_what_is_missing(found):
    figure = figures.draw("fronts", found)
    ax = panels(figure)[2]
    (sweep, _jacobian) = gid(ax, "sweep")
    expected = [sum(map(own_distance("pgd"), found.records[arm].values())) / 2 for arm in ("BP", "L2 0.01")]
    assert list(sweep.get_ydata()) == pytest.approx(expected)
    assert "No run of KH, valleys; decay of W; spectral; adversarial." in caption(figure)
    assert "L∞ norm" in ax.get_ylabel()


def test_rules_stand_beside_the_l2_sweep(found):
    figure = figures.draw("rules", found)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(names) == {"KH", "KH pruned", "random", "L2 sweep"}
    assert "No run of Oja; Sanger" in caption(figure)


def test_a_median_that_is_not_known_is_not_drawn_and_said(found):
    lost = []
    one = robustfigures._standing(found, "BP", lambda _: math.inf, lost, "random noise")
    assert one is None
    assert robustfigures._lost(lost) == (
        "Not drawn, the median being of no image or beyond the largest ε: BP (random noise, 2 of 2 seeds)."
    )


def test_the_spectral_nets_hold_the_random_distance(found):
    figure = figures.draw("spectral", found, "published")
    marks = gid(figure.axes[1], "series")
    expected = [
        sum(map(published_distance("random"), found.records[arm].values())) / 2
        for arm in ("MNIST relu", "MNIST relu, spectral")
    ]
    assert [mark.get_xdata()[0] for mark in marks] == pytest.approx(expected)
    assert stamps(figure) == set()  # no layer of it has gates


# -------------------------------------------------------------------------------- curves, ensemble


def test_curves_are_means_of_what_each_epoch_logged(found):
    figure = figures.draw("curves", found)
    task, *_, norms = panels_with_axes(figure)
    history = found.records["BP"][0].history
    each = history[-1]["step"] // history[-1]["epoch"]
    third = [row["task_loss"] for row in history if 2 * each < row["step"] <= 3 * each]
    assert codefigures.by_epoch(history, "task_loss")[3] == pytest.approx(sum(third) / len(third))
    (line,) = coloured(task, "series", "BP")
    seeds = [codefigures.by_epoch(one.history, "task_loss") for one in found.records["BP"].values()]
    assert list(line.get_ydata()) == pytest.approx([sum(one[at] for one in seeds) / 2 for at in line.get_xdata()])
    (off,) = coloured(norms, "series", "KH")
    last = [one.measurement.convergence.unconverged for one in found.records["KH"].values()]
    assert off.get_ydata()[-1] == pytest.approx(sum(last) / 2)


def panels_with_axes(figure):
    return [ax for ax in figure.axes if ax.get_xlabel() == "epoch"]


def test_the_ensemble_is_of_every_unpruned_layer(found):
    figure = figures.draw("ensemble", found)
    spectra = [one.measurement.spectra["currents, pca"].eigenvalues for one in found.records["KH"].values()]
    (mean,) = gid(figure.axes[0], "series")
    expected = sum(spectra) / 2
    assert list(mean.get_ydata()[: UNITS // 2]) == pytest.approx(expected[: UNITS // 2].tolist())


# -------------------------------------------------------------------------------- stamps, missing arms, files


def test_an_unconverged_layer_is_stamped_with_its_name(found):
    assert found.unconverged("KH")  # four epochs are few
    assert stamps(figures.draw("figA2", found, "published")) == {"UNCONVERGED: KH"}


def test_a_missing_arm_is_said(found):
    some = without(found, "L2", "SpecReg")
    assert figures.missing("fig1", some) == "no run of L2, SpecReg"
    assert figures.missing("fig2", some) == ""
    with pytest.raises(ValueError, match="Expected records") as refusal:
        figures.draw("fig1", some)
    assert str(refusal.value) == (
        "Expected records for fig1, got no run of L2, SpecReg. Reproduce the arms that are missing first."
    )


def test_arms_of_different_seeds_are_no_figure(found):
    apart = {"KH": {0: found.records["KH"][0]}, "KH pruned": {1: found.records["KH pruned"][1]}}
    assert figures.missing("figA1", Found("small", apart)) == "no seed that KH, KH pruned share"


def test_an_unknown_figure_is_refused(found):
    with pytest.raises(ValueError, match="Expected a figure") as refusal:
        figures.missing("fig9", found)
    assert str(refusal.value) == (
        "Expected a figure among fig1, fig2, fig3, fig4, figA1, figA2, curves, ensemble, spectral, fronts, rules, "
        "got 'fig9'. Name one of these."
    )


def test_files_are_named_after_figure_and_semantics_and_those_with_missing_arms_left_out(found, tmp_path):
    some = without(found, "SpecReg")
    paths = figures.saved(some, tmp_path / "figures", ["fig1", "figA1", "curves", "ensemble"])
    assert [path.name for path in paths] == [
        *("figA1-published.svg", "figA1-published.png", "figA1-corrected.svg", "figA1-corrected.png"),
        *("ensemble-published.svg", "ensemble-published.png"),
    ]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(path.name for path in paths)
    assert paths[1].read_bytes()[:4] == b"\x89PNG"
    assert 'id="stamp"' in paths[0].read_text()
    again = figures.saved(some, tmp_path / "again", ["ensemble"])
    assert again[0].read_bytes() == paths[4].read_bytes()
    assert figures.heading(paths[0]) == "Figure A1, published: the layer of KH before and after pruning"
    assert figures.heading(tmp_path / "curves.svg") == (
        "Training curves: losses and accuracy, and how units of KH came to their norm"
    )


def test_what_has_one_semantics_is_drawn_in_that(found):
    assert "half-flip σ" in panels(figures.draw("fronts", found, "published"))[0].get_ylabel()


def test_each_figure_names_arms_that_are_run():
    from eigenfall.papers.holzhausen2024.runs import arms

    known = {arm.name for arm in arms("small")}
    assert {arm for figure in figures.FIGURES.values() for arm in (*figure.arms, *figure.needs)} <= known


def test_weights_of_records_are_those_of_their_currents(found):
    assert records.weights(found.records["KH"][0])["currents.weight"].shape == (UNITS, 64)


def test_subsets_of_units_that_are_zero_are_left_out():
    values = torch.randn(40, 60, generator=torch.Generator().manual_seed(0))
    values[:, :10] = 0
    assert list(codefigures.nested(values, PCA())) == [50]
