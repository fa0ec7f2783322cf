"""Figures of Nassar et al. 2020 hold the numbers of the records that they are drawn from, real but tiny ones."""

import csv
import dataclasses
import io
import math
import os

import pytest
import torch
from tinynassar import STOPS, UNITS, tiny_found, tiny_sizes  # noqa: F401

from eigenfall.excess import exponent
from eigenfall.figures.style import series
from eigenfall.layers import values_of
from eigenfall.models import model_of
from eigenfall.papers import figuring
from eigenfall.papers.found import accuracy
from eigenfall.papers.nassar2020 import attackfigures, basisfigures, figures, pointfigures
from eigenfall.papers.nassar2020.drawn import concept, curves, points, sheets
from eigenfall.papers.nassar2020.drawn.curves import Curve, Panel
from eigenfall.papers.nassar2020.drawn.points import Plane, Spot
from eigenfall.papers.nassar2020.experiments import EXPERIMENTS
from eigenfall.papers.nassar2020.found import Found, headline
from eigenfall.papers.nassar2020.runs import arms
from eigenfall.papers.nassar2020.style import PLACES, TAU, bare, looks
from eigenfall.spectra.pca import PCA
from eigenfall.types import Estimate, Responses


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Records in one folder for all workers: what one has finished, another does not make again."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if worker else base) / "tinynassar"
    return tiny_found(root, backwards=worker == "gw1")


def gid(ax, name):
    return [line for line in ax.get_lines() if line.get_gid() == name]


def panels(figure):
    """All axes with words on both sides, in subfigures too."""
    return [ax for part in (figure, *_parts(figure)) for ax in part.axes if ax.get_xlabel() and ax.get_ylabel()]


def _parts(figure):
    return [inner for part in figure.subfigs for inner in (part, *_parts(part))]


def caption(figure):
    return figure.legends[0].get_title().get_text().replace("\n", " ")


def without(found, *names):
    return Found(found.scale, {name: held for name, held in found.records.items() if name not in names})


def column(rows, arm, panel, seed=0):
    return [row["y"] for row in rows if (row["arm"], row["panel"], row["seed"]) == (arm, panel, seed)]


# -------------------------------------------------------------------------------- spectra, known answers


def inverse(count=100):
    ranks = torch.arange(1, count + 1, dtype=torch.float64)
    return Panel("A", {"plain": Curve(ranks, 7 / ranks[None], (0,))}, "rank n", "λ")


def drawn(panel, guide="plain"):
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    curves.spectrum(ax, panel, looks(panel.curves), TAU, guide)
    return ax


def test_the_star_of_one_over_n_lies_where_the_harmonic_sum_passes_90_percent():
    harmonic = [sum(1 / n for n in range(1, rank + 1)) for rank in range(1, 101)]
    expected = next(rank for rank in range(1, 101) if harmonic[rank - 1] >= 0.9 * harmonic[-1])
    (star,) = gid(drawn(inverse()), "star")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (expected, pytest.approx(7 / expected))
    assert expected == 60


def test_the_band_ends_at_tau_and_the_guide_lies_on_one_over_n():
    ax = drawn(inverse())
    (band,) = [patch for patch in ax.patches if patch.get_gid() == "band"]
    assert band.get_x() + band.get_width() == TAU == 10
    (guide,) = gid(ax, "guide")
    assert list(guide.get_ydata()) == pytest.approx([7.0, 0.07])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_means_and_deviations_of_a_spectrum_are_those_of_its_logarithm():
    ranks = torch.arange(1, 21, dtype=torch.float64)
    both = torch.stack((1 / ranks, 4 / ranks))
    ax = drawn(Panel("A", {"plain": Curve(ranks, both, (0, 1))}, "rank n", "λ"))
    (line,) = gid(ax, "series")
    assert list(line.get_ydata()) == pytest.approx((2 / ranks).tolist())
    (band,) = [one for one in ax.collections if one.get_gid() == "sd"]
    factor = math.exp(math.sqrt(2) * math.log(2))  # deviation of ln 1 and ln 4, over n − 1
    edges = band.get_paths()[0].vertices
    assert edges[:, 1].max() == pytest.approx(2 * factor)
    assert edges[:, 1].min() == pytest.approx(0.1 / factor)


def test_a_rank_without_variance_is_left_out():
    curve = Curve(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), torch.tensor([[2.0, 1.0, 0.0]]).double(), (0,))
    assert curves.logarithms(curve).x.tolist() == [1.0, 2.0]


def test_accuracies_have_their_mean_and_one_standard_deviation():
    from matplotlib.figure import Figure

    x = torch.tensor([0.0, 0.1], dtype=torch.float64)
    y = torch.tensor([[1.0, 0.2], [0.8, 0.6]], dtype=torch.float64)
    ax = Figure().subplots()
    curves.accuracies(ax, Panel("B", {"plain": Curve(x, y, (0, 1))}, "ε", "%"), looks(["plain"]))
    (line,) = gid(ax, "series")
    assert list(line.get_ydata()) == pytest.approx([90, 40])
    (clean,) = gid(ax, "clean")
    assert (clean.get_xdata()[0], clean.get_ydata()[0]) == (0, pytest.approx(90))
    (band,) = [one for one in ax.collections if one.get_gid() == "sd"]
    deviation = 100 * math.sqrt(0.08)
    assert sorted(band.get_paths()[0].vertices[:, 1])[0] == pytest.approx(40 - deviation)


# -------------------------------------------------------------------------------- Figure 1


def test_the_codes_of_figure_1_have_the_spectra_that_they_are_said_to_have():
    for alpha in (4.0, 1.04):
        values = concept.code(alpha, units=20, stimuli=64)
        spectrum = PCA()(Responses(values=values[None])).eigenvalues * 63 / 64
        assert spectrum.tolist() == pytest.approx([n**-alpha for n in range(1, 21)], rel=1e-9)


def test_a_fractal_code_is_the_longer_the_closer_it_is_looked_at_and_a_smooth_one_is_not():
    def length(alpha, units):
        values = concept.code(alpha, units, 4000)
        return float((values - values.roll(1, 0)).norm(dim=1).sum())

    assert length(1.04, 1000) / length(1.04, 100) > 5
    assert length(4.0, 1000) / length(4.0, 100) == pytest.approx(1, abs=1e-2)


def test_figure_1_needs_no_run(tmp_path):
    nothing = Found("quick", {})
    assert figures.missing("fig1", nothing) == ""
    names = [path.name for path in figures.saved(nothing, tmp_path, ["fig1"])]
    assert names == ["fig1.svg", "fig1.png", "fig1.csv"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "fig1.csv").read_text())))
    assert float(next(row["y"] for row in rows if row["panel"] == "spectrum" and row["x"] == "10")) == 1e-4


# -------------------------------------------------------------------------------- Figures 2-4


def test_spectra_and_accuracies_are_the_records(found, tiny_sizes):  # noqa: F811
    rows = figures.FIGURES["fig4"].rows(found, "published")
    record = found.records["deep plain"][1]
    for layer, letter in zip(("hidden1", "hidden2", "hidden3"), "ABC"):
        expected = record.measurement.spectra[layer].eigenvalues.tolist()
        assert column(rows, "deep plain", f"deep, {letter}  spectrum of {layer}", 1) == pytest.approx(expected)
    curve = record.measurement.curves["published_pgd"]
    shares = [float((~curve.broken[0, place]).double().mean()) for place in range(len(curve.epsilons))]
    clean = float(curve.clean_correct.double().mean())
    assert column(rows, "deep plain", "deep, E  PGD, 40 steps of .01", 1) == pytest.approx([clean, *shares])
    x = [row["x"] for row in rows if row["panel"] == "deep, D  FGSM" and row["arm"] == "deep Jacobian"]
    assert x[:2] == [0.0, 0.01]


def test_corrected_panels_are_the_headline_and_the_mean_over_draws_of_noise(found, tiny_sizes):  # noqa: F811
    rows = figures.FIGURES["fig2"].rows(found, "corrected")
    record = found.records["shallow plain"][0]
    worst = column(rows, "shallow plain", "shallow, B  worst case of all attacks")
    assert worst[1:] == pytest.approx([headline(epsilon)(record) for epsilon in (0.02, 0.05)])
    noisy = column(rows, "shallow plain", "shallow, C  white noise")
    assert noisy[1:] == pytest.approx(list(record.measurement.curves["noise"].mean_accuracy()))


def test_seeds_with_unlike_many_eigenvalues_share_the_ranks_that_both_have(found):
    """A unit that died leaves a rank without variance, which a spectrum has not."""
    record = found.records["shallow plain"][0]
    spectrum = record.measurement.spectra["hidden1"]
    fewer = dataclasses.replace(spectrum, eigenvalues=spectrum.eigenvalues[:-3], units=spectrum.units)
    measured = dataclasses.replace(record.measurement, spectra={"hidden1": fewer})
    both = Found(found.scale, {"shallow plain": {0: record, 1: dataclasses.replace(record, measurement=measured)}})
    (curve,) = attackfigures.spectrum_panel(both, ["shallow plain"], "hidden1", "").curves.values()
    assert curve.y.shape == (2, len(spectrum.eigenvalues) - 3)
    assert torch.equal(curve.y[0], spectrum.eigenvalues[:-3].double())


def test_a_single_attack_is_counted_at_each_budget_by_itself(found):
    record = found.records["deep plain"][0]
    curve = record.measurement.curves["published_pgd"]
    broken = torch.zeros_like(curve.broken)
    broken[:, 0] = True
    held = dataclasses.replace(curve, broken=broken)
    measured = dataclasses.replace(record.measurement, curves={"published_pgd": held})
    _, shares = attackfigures.right(dataclasses.replace(record, measurement=measured), "published_pgd")
    assert shares[1:3] == [0.0, 1.0]  # as an attack that fails at the larger budget shows


def test_lines_are_means_over_seeds_of_the_rows(found, tiny_sizes):  # noqa: F811
    figure = figures.draw("fig2", found, "published")
    rows = figures.FIGURES["fig2"].rows(found, "published")
    ax = next(ax for ax in panels(figure) if ax.get_title(loc="left") == "C  PGD, 40 steps of .01")
    for name in ("plain", "spectral, epoch basis"):
        (line,) = [one for one in gid(ax, "series") if one.get_color() == series(PLACES[name]).colour]
        both = [column(rows, f"shallow {name}", "shallow, C  PGD, 40 steps of .01", seed) for seed in (0, 1)]
        assert list(line.get_ydata()) == pytest.approx([50 * (a + b) for a, b in zip(*both)])
    assert "No run of shallow spectral, step basis; shallow spectral, fresh basis." in caption(figure)
    assert "cnn" not in caption(figure)


def test_maps_are_derivatives_of_the_eigenvalues(found):
    """Central differences of λₙ over the same test images, by one pixel of one image; in float64."""
    record = found.records["shallow plain"][0]
    one = attackfigures.maps_of(record, "hidden1")
    assert one.ranks == (1, TAU + 1, UNITS - 1)
    examples = attackfigures.examples_of(str(record.run["data"]))
    model = model_of(record, examples).double()
    inputs = examples.test.inputs[: attackfigures.STIMULI].double()

    def eigenvalues(step, image, pixel):
        moved = inputs.clone()
        moved[image].view(-1)[pixel] += step
        return torch.linalg.eigvalsh(values_of(model, moved, "hidden1").T.cov()).flip(0)

    with torch.no_grad():
        for image, pixel in ((0, 27), (1, 36)):
            slope = (eigenvalues(1e-4, image, pixel) - eigenvalues(-1e-4, image, pixel)) / 2e-4
            for place, rank in enumerate(one.ranks):
                pixels = one.maps[place, image].flatten()
                within = 1e-3 * float(pixels.abs().max())  # they are made in float32
                assert float(pixels[pixel]) == pytest.approx(float(slope[rank - 1]), abs=within)


def test_rows_of_a_map_are_its_pixels(found, tiny_sizes):  # noqa: F811
    rows = figures.FIGURES["fig2"].rows(found, "published")
    one = attackfigures.maps_of(found.records["shallow plain"][0], "hidden1")
    pixels = column(rows, "shallow plain", f"shallow, ∂λ_{TAU + 1}/∂x of hidden1, image 1")
    assert pixels == pytest.approx(one.maps[1, 1].flatten().tolist())


def test_every_spectrum_is_summed_up(found, tiny_sizes):  # noqa: F811
    rows = figures.FIGURES["fig2"].rows(found, "published")
    fit = found.records["shallow plain"][1].measurement.fits["hidden1"]
    assert column(rows, "shallow plain", "shallow, α of hidden1", 1) == [pytest.approx(fit.alpha)]
    star = column(rows, "shallow plain", "shallow, rank of the star of hidden1", 1)
    assert star == column(rows, "shallow plain", "shallow, n90 of hidden1", 1)
    words = caption(figures.draw("fig2", found, "published"))
    mean = sum(found.records["shallow plain"][seed].measurement.fits["hidden1"].alpha for seed in (0, 1)) / 2
    assert f"hidden1: plain {mean:.2f} / " in words
    assert f"α (n = 2–{UNITS - 1})" in words


def test_a_record_without_a_curve_is_refused(found):
    record = found.records["deep plain"][0]
    bare_of = dataclasses.replace(record, measurement=dataclasses.replace(record.measurement, curves={}))
    with pytest.raises(ValueError, match="Expected a curve") as refusal:
        attackfigures.right(bare_of, "noise")
    assert str(refusal.value) == (
        f"Expected a curve noise in {record.name}, got none. Make the record anew: remove its folder, and reproduce "
        "again."
    )


# -------------------------------------------------------------------------------- planes


def test_points_are_means_of_clean_and_of_headline_accuracy(found, tiny_sizes):  # noqa: F811
    figure = figures.draw("plane", found)
    ax = next(ax for ax in panels(figure) if ax.get_title(loc="left") == "deep")
    made = [found.records["deep whitened"][seed] for seed in (0, 1)]
    look = series(PLACES["whitened"])
    (mark,) = [line for line in gid(ax, "series") if (line.get_color(), line.get_marker()) == (look.colour, look.mark)]
    assert mark.get_xdata()[0] == pytest.approx(50 * sum(map(accuracy, made)))
    assert mark.get_ydata()[0] == pytest.approx(50 * sum(map(headline(0.05), made)))


def test_the_stopping_path_joins_stops_to_the_whole_of_plain_training(found, tiny_sizes):  # noqa: F811
    ax = next(ax for ax in panels(figures.draw("plane", found)) if ax.get_title(loc="left") == "deep")
    (path,) = gid(ax, "path")
    names = [*(f"deep plain, {updates} updates" for updates in STOPS), "deep plain"]
    expected = [50 * sum(accuracy(found.records[name][seed]) for seed in (0, 1)) for name in names]
    assert list(path.get_xdata()) == pytest.approx(expected)
    look = series(PLACES["plain, stopped early"])
    marks = [line for line in gid(ax, "series") if (line.get_color(), line.get_marker()) == (look.colour, look.mark)]
    assert [line.get_xdata()[0] for line in marks] == pytest.approx(expected[:-1])  # the last is marked as plain


def test_rows_hold_every_arm_and_seed_once(found, tiny_sizes):  # noqa: F811
    rows = figures.FIGURES["plane"].rows(found, "corrected")
    held = [(row["arm"], row["seed"]) for row in rows]
    assert len(held) == len(set(held))
    assert set(held) == {(arm, seed) for arm, seeds in found.records.items() for seed in seeds}


def test_robustness_stands_against_alpha_of_the_last_layer_and_against_steepness(found, tiny_sizes):  # noqa: F811
    rows = figures.FIGURES["alpha"].rows(found, "corrected")
    record = found.records["deep Jacobian"][0]
    x = {row["panel"]: row["x"] for row in rows if (row["arm"], row["seed"]) == ("deep Jacobian", 0)}
    assert x["deep: α"] == pytest.approx(record.measurement.fits["hidden3"].alpha)
    assert x["deep: steepness"] == pytest.approx(float(record.measurement.smoothness["outputs"].values.median()))


def test_fronts_begin_at_plain_training_and_rise_in_strength(found, tiny_sizes):  # noqa: F811
    groups = pointfigures.grouped(found, "deep", ("spectral", "Jacobian"))
    assert groups == {
        "spectral sweep": [("deep plain", "0"), ("deep spectral 0.1", "0.1"), ("deep spectral, fresh basis", "5")],
        "Jacobian sweep": [
            ("deep plain", "0"),
            ("deep Jacobian 0.001", "0.001"),
            ("deep Jacobian, equal updates", "0.01"),
        ],
    }
    ax = next(ax for ax in panels(figures.draw("fronts", found)) if ax.get_title(loc="left") == "deep")
    assert len(gid(ax, "path")) == 3  # and the stops


def test_a_number_that_is_not_finite_leaves_its_seed_out(found):
    one = pointfigures.spot(found, "deep plain", lambda record: Estimate(math.nan), pointfigures.clean, "")
    assert one.seeds == ()


def test_rank_correlation_is_told_of_five_arms_or_more():
    def plane(count):
        spots = {str(n): (Spot(f"deep {n}", (0,), (Estimate(n),), (Estimate(-n * n),)),) for n in range(count)}
        return Plane("deep: α", spots, "α", "right")

    assert pointfigures._associated([plane(5)]) == "Spearman’s ρ with robust accuracy: deep: α −1 over 5 arms"
    assert pointfigures._associated([plane(4)]) == "Robust accuracy of arms"


def test_axes_of_shares_do_not_leave_what_shares_can_be():
    wide = [Estimate(3.0, 0.0, 100.0), Estimate(99.0, 0.0, 100.0)]
    assert points._limits(wide, False, True) == (-2.0, 102.0)


# -------------------------------------------------------------------------------- exact and seen


@pytest.mark.parametrize("basis", ["epoch basis", "step basis", "fresh basis"])
def test_exponents_through_training_are_the_historys(found, basis):
    record = found.records[f"deep spectral, {basis}"][1]
    one = basisfigures.trail(found, f"deep spectral, {basis}", "hidden2")
    logged = {row["step"]: row["spectral/hidden2/alpha_along_basis"] for row in record.history}
    assert one.seen.y[1].tolist() == pytest.approx([logged[step] for step in one.seen.x.tolist()])
    exact = {row["step"]: row["spectral/hidden2/alpha"] for row in record.history if "spectral/hidden2/alpha" in row}
    assert dict(one.exact[1]) == pytest.approx(exact)
    assert (len(exact) == len(logged)) == (basis == "step basis")
    spectrum = record.measurement.spectra["hidden2"].eigenvalues
    assert one.last[1] == (30.0, pytest.approx(float(exponent(spectrum, TAU))))
    assert one.staleness[1] == record.history[-1]["spectral/final_staleness/hidden2"]


def test_the_figure_of_exponents_has_a_row_for_each_basis_and_rows_for_each_point(found):
    figure = figures.draw("exact", found)
    assert [ax.get_title(loc="left") for ax in figure.axes[:4]] == [
        *("deep hidden1", "deep hidden2", "deep hidden3", "shallow hidden1"),
    ]
    rows = figures.FIGURES["exact"].rows(found, "published")
    seen = column(rows, "deep spectral, step basis", "deep hidden1, α along the basis", 0)
    one = basisfigures.trail(found, "deep spectral, step basis", "hidden1")
    assert seen == one.seen.y[0].tolist()
    assert "No run of shallow spectral, step basis" in caption(figure)


def test_without_an_arm_under_the_penalty_there_are_no_exponents():
    from eigenfall.papers.nassar2020.drawn.exponents import exponents

    with pytest.raises(ValueError, match="Expected at least one") as refusal:
        exponents([], {}, "", "")
    assert str(refusal.value) == "Expected at least one arm under the penalty, got none. Reproduce one before drawing."


# -------------------------------------------------------------------------------- all figures


def test_every_figure_that_can_be_drawn_labels_every_axis_and_names_every_line(found, tiny_sizes):  # noqa: F811
    for name in figures.FIGURES:
        if figures.missing(name, found) or name == "fig1":
            continue
        figure = figures.draw(name, found, "corrected")
        for part in (figure, *_parts(figure)):
            for ax in part.axes:
                if any(line.get_gid() in ("series", "seen") for line in ax.get_lines()):
                    shared = name in ("exact", "loophole")  # whose labels stand at its edges
                    assert shared or (ax.get_xlabel() and ax.get_ylabel()), name
        assert len({text.get_text() for text in figure.legends[0].get_texts()}) == len(figure.legends[0].get_texts())


def test_files_are_pictures_and_numbers(found, tiny_sizes, tmp_path):  # noqa: F811
    paths = figures.saved(found, tmp_path, ["fig2", "figS-bn", "plane", "exact"])
    assert [path.name for path in paths] == [
        *("fig2-published.svg", "fig2-published.png", "fig2-published.csv"),
        *("fig2-corrected.svg", "fig2-corrected.png", "fig2-corrected.csv"),
        *("plane-corrected.svg", "plane-corrected.png", "plane-corrected.csv"),
        *("exact.svg", "exact.png", "exact.csv"),
    ]
    rows = list(csv.DictReader(io.StringIO(paths[2].read_text())))
    assert list(rows[0]) == ["arm", "seed", "panel", "x", "y"]
    expected = figures.FIGURES["fig2"].rows(found, "published")
    assert [(row["arm"], row["panel"]) for row in rows] == [(row["arm"], row["panel"]) for row in expected]
    assert [float(row["y"]) for row in rows] == [row["y"] for row in expected]  # in full
    assert figures.heading(paths[6]) == (
        "Robust and clean, corrected: worst-case against clean accuracy of every arm, beside plain training stopped "
        "early"
    )
    assert figures.heading(tmp_path / "figS-bn-published.svg").startswith("Appendix: no batch-norm, published: ")


def test_missing_arms_are_named(found):
    some = without(found, "deep whitened")
    assert figures.missing("fig3", some) == "no run of deep whitened"
    with pytest.raises(ValueError, match="Expected records") as refusal:
        figures.draw("fig3", some)
    assert str(refusal.value) == (
        "Expected records for fig3, got no run of deep whitened. Reproduce the arms that are missing first."
    )
    assert figures.missing("figS-bn", found) == (
        "no run of shallow plain, no batch-norm, shallow spectral, epoch basis, no batch-norm"
    )


def test_an_unknown_figure_is_refused(found):
    with pytest.raises(ValueError, match="Expected a figure") as refusal:
        figures.missing("fig9", found)
    assert str(refusal.value) == (
        "Expected a figure among fig1, fig2, fig3, fig4, figS-bn, figS-strengths, figS-relu, figS-noise, figS-decay, "
        "plane, alpha, fronts, exact, loophole, why, slips, got 'fig9'. Name one of these."
    )


def test_an_arm_a_check_of_which_failed_is_stamped_and_named(found, tiny_sizes):  # noqa: F811
    from eigenfall.types import Verdict

    record = found.records["deep Jacobian"][0]
    failed = Verdict(check="b", title="accuracy falls with the budget", verdict="FAIL", value=0.1)
    measured = dataclasses.replace(record.measurement, verdicts=(failed,))
    spoilt = {**found.records, "deep Jacobian": {0: dataclasses.replace(record, measurement=measured)}}
    for name in ("fig4", "plane"):
        figure = figures.draw(name, Found("small", spoilt), "corrected")
        stamps = {text.get_text() for text in figure.texts if text.get_gid() == "stamp"}
        assert stamps == {"CHECKS FAIL: deep Jacobian"}
        assert "deep Jacobian: checks b FAIL: what attacks find of it is no measure of robustness." in caption(figure)


def test_each_figure_names_arms_that_are_run():
    known = {arm.name for scale in ("quick", "small", "paper") for arm in arms(scale)}
    known |= {run.arm for each in EXPERIMENTS.values() for run in each.runs("small", ())}
    assert {arm for figure in figures.FIGURES.values() for arm in (*figure.arms, *figure.needs)} <= known


def test_every_arm_has_a_look_of_its_own():
    named = {bare(arm.name) for scale in ("quick", "small", "paper") for arm in arms(scale) if arm.kind != "stop"}
    assert named <= set(PLACES)
    every = [series(place) for place in PLACES.values()]
    assert len({(look.colour, look.mark) for look in every}) == len(every)


@pytest.mark.parametrize("name", ["fig2", "fig3", "fig4", "figS-bn", "figS-decay"])
def test_arms_of_one_figure_differ_in_their_look_even_without_colour(name):
    names = {bare(arm) for arm in figures.FIGURES[name].arms}
    assert len({(look.mark, str(look.line)) for look in looks(names).values()}) == len(names)


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="Expected at least one model"):
        sheets.sheet([], {}, TAU, "", "", "")


def test_a_table_of_rows_is_a_csv_file():
    assert figuring.table([{"arm": "a, b", "x": 0.1 + 0.2}]) == b'arm,x\n"a, b",0.30000000000000004\n'
