"""The atlas: its methods, what is read off records, what goes with robustness, the verdict, figures and page."""

import csv
import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
from pageoutline import HOSTILE, outline
from plantedatlas import planted, record, records_of, shrunk

from eigenfall import cli
from eigenfall.atlas import answers, drawn, figures
from eigenfall.atlas.answers import EXPONENT, FROM_ONE
from eigenfall.atlas.methods import FAMILIES, METHODS, NAMES, method_of, runs
from eigenfall.atlas.points import ALPHA, CLEAN, DISTANCE, LAYERED, MARGIN, NOISE, PGD, SLOPE, WORST, gathered, order_of
from eigenfall.atlas.sizes import SIZES
from eigenfall.commands import charting
from eigenfall.figures.style import series
from eigenfall.papers import figuring
from eigenfall.papers.found import Found, by_arm
from eigenfall.report import atlas as pages
from eigenfall.settings import settings_of
from eigenfall.statistics import t_interval

# ------------------------------------------------------------------------------ methods and runs


def test_every_way_of_making_a_representation_is_there_once():
    assert len(set(NAMES)) == len(NAMES) == 20
    wanted = {"plain", "weight decay", "dropout", "whitened", "Jacobian", "adversarial", "Krotov-Hopfield", "Oja"}
    wanted |= {"SoftHebb", "BCM", "similarity matching", "random", "untrained"}
    wanted |= {f"spectral {alpha}{how}" for alpha in ("0.5", "1", "2") for how in ("", ", published")}
    assert wanted | {"Sanger"} == set(NAMES)


def test_a_family_has_one_colour_and_a_method_a_mark_of_its_own():
    looks = {method.name: series(order_of(method)) for method in METHODS}
    colours = {
        family: {looks[method.name].colour for method in METHODS if method.family == family} for family in FAMILIES
    }
    assert all(len(found) == 1 for found in colours.values())
    assert len({colour for found in colours.values() for colour in found}) == len(FAMILIES)
    assert len({(look.colour, look.mark) for look in looks.values()}) == len(METHODS)
    assert (looks["plain"].mark, looks["weight decay"].mark) == ("o", "s")


def test_quick_has_every_method_at_five_seeds_seed_by_seed():
    found = runs("quick")
    assert [run.arm for run in found[:20]] == list(NAMES)
    assert [run.seed for run in found] == [seed for seed in range(5) for _ in NAMES]
    told = {json.dumps(settings_of(run, "digest") | {"arm": ""}, sort_keys=True) for run in found[:20]}
    assert len(told) == 20


def test_local_rules_stand_in_one_architecture_alone():
    arms = [run.arm for run in runs("small", seeds=[0])]
    assert len(arms) == len(set(arms)) == 20 + 13
    assert {"plain", "plain, deep", "untrained, deep", "Oja"} <= set(arms)
    assert not {"Oja, deep", "random, deep"} & set(arms)
    assert "adversarial, cnn" in [run.arm for run in runs("paper", seeds=[0])]


def test_a_method_changes_what_it_is_named_after_and_nothing_else():
    made = {run.arm: run for run in runs("small", seeds=[0])}
    plain = made["plain, deep"]
    assert made["whitened, deep"].architecture.whitened_layer == 3
    assert made["dropout"].architecture.dropout == 0.5
    assert made["adversarial"].training.adversarial.epsilon == SIZES["small", "shallow"].adversarial
    assert made["spectral 2, published"].penalties[0].alpha == 2.0
    assert made["untrained"].verb == "measure"
    assert made["Krotov-Hopfield"].learning.epochs > made["BCM"].learning.epochs
    assert {run.plan for run in made.values()} == {plain.plan}
    by_gradient = [run for run in made.values() if run.verb == "train" and run.arm != "adversarial"]
    assert {run.training for run in by_gradient if not run.training.adversarial} == {plain.training}


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError) as refusal:
        method_of("softheb")
    assert str(refusal.value) == "Expected a known method, got 'softheb'. Did you mean 'SoftHebb'?"


# ------------------------------------------------------------------------------- what is read off


def test_the_numbers_of_a_record_are_read_as_they_were_planted():
    held = {"clean": 0.9, "worst": 0.4, "pgd": 0.5, "noise": 0.7, "distance": 0.13, "alpha": 1.2, "slope": 7.0}
    (point,) = planted({"Jacobian": held | {"margin": 3.0, "failed": "c"}}, seeds=1).points
    assert [point.value(name) for name in (CLEAN, WORST, PGD, NOISE)] == pytest.approx([90, 40, 50, 70])
    assert [point.value(name) for name in (DISTANCE, ALPHA, SLOPE, MARGIN)] == pytest.approx([0.13, 1.2, 7.0, 3.0])
    assert (point.method, point.family, point.architecture, point.failed) == (
        "Jacobian", "robust by design", "shallow", ("c",)
    )  # fmt: skip
    assert (point.numbers[CLEAN].low, point.run) == (pytest.approx(85), "Jacobian-s0")
    assert math.isnan(point.value("no such axis"))


def test_a_wrong_image_breaks_at_0_so_that_more_than_half_of_them_make_the_median_0():
    assert planted({"plain": {"clean": 0.4, "distance": 0.3}}, seeds=1).points[0].value(DISTANCE) == 0


def test_a_deeper_net_has_an_exponent_of_each_layer():
    atlas = planted({"plain": {}}, scale="small")
    assert [name for name in atlas.axes if name.startswith(LAYERED)] == ["α hidden1", "α hidden2", "α hidden3"]
    assert LAYERED + "1" not in planted({"plain": {}}).axes


def test_other_records_are_left_out_and_methods_stand_in_their_order():
    records = [record("Oja", 1), record("Oja", 0), record("plain", 0), record("something else", 0)]
    atlas = gathered(records, "quick")
    assert [(point.method, point.seed) for point in atlas.points] == [("plain", 0), ("Oja", 0), ("Oja", 1)]
    assert atlas.methods("shallow") == ("plain", "Oja")
    assert (atlas.architectures, atlas.data) == (("shallow",), "digits:validation=0,scaling=pixel")


def test_a_mean_is_over_the_seeds_that_have_the_number():
    atlas = planted({"plain": {"alpha": lambda seed: None if seed == 1 else 1.0 + seed}, "Oja": {"alpha": None}})
    found = atlas.mean("plain", "shallow", ALPHA)
    assert (found.value, found.low, found.high, found.over) == (*t_interval([1.0, 3.0]), "seeds")
    assert math.isnan(atlas.mean("Oja", "shallow", ALPHA).value)
    one = planted({"plain": {}}, seeds=1).mean("plain", "shallow", ALPHA)
    assert (one.value, math.isnan(one.low)) == (2.0, True)


def test_a_share_stays_a_share():
    found = planted({"plain": {"worst": lambda seed: (0.0, 0.02, 0.9)[seed]}}).mean("plain", "shallow", WORST)
    assert (found.low, found.high) == (0.0, 100.0)


# ------------------------------------------------------------------------- what goes with robustness

SEVEN = ("plain", "weight decay", "dropout", "Jacobian", "adversarial", "BCM", "random")
SHUFFLED = (3, 0, 5, 1, 6, 2, 4)
OTHER = (1, 4, 0, 6, 2, 5, 3)


def spread(by_alpha=False, **more):
    """Seven methods whose distance falls with the Jacobian norm, or rises with α; the rest is shuffled."""
    made = {}
    for place, method in enumerate(SEVEN):
        slope, alpha = (SHUFFLED[place], place) if by_alpha else (place, SHUFFLED[place])
        made[method] = {
            "distance": lambda seed, place=place: 0.2 + 0.02 * (place if by_alpha else -place) + 0.001 * seed,
            "slope": lambda seed, slope=slope: 2.0 + slope - 0.03 * seed,
            "alpha": lambda seed, alpha=alpha: 1.5 + 0.5 * alpha + 0.01 * (seed % 2),
            "margin": lambda seed, place=place: 2.0 + OTHER[place] + 0.02 * (seed == 1),
            "clean": lambda seed, place=place: 0.8 + 0.02 * ((place * 3) % 7) + 0.01 * (seed == 2),
            **more.get(method.replace(" ", "_"), {}),
        }
    return made


def test_what_decides_the_distance_is_found_and_alpha_stays_open():
    found = answers.associations(planted(spread()), "shallow", DISTANCE)
    assert list(found) == [EXPONENT, SLOPE, MARGIN, CLEAN]
    assert found[SLOPE].raw.value < -0.95
    assert found[SLOPE].partial.high < -0.9
    assert not answers.told_apart(found[EXPONENT].partial)
    assert (found[SLOPE].models, found[SLOPE].groups) == (21, 7)


def test_what_alpha_decides_is_alphas():
    atlas = planted(spread(by_alpha=True))
    found = answers.associations(atlas, "shallow", DISTANCE)
    assert found[EXPONENT].partial.low > 0.7
    assert "a steeper spectrum goes with robustness beside smoothness, margin and accuracy." in answers.answer(atlas)


def test_the_distance_of_alpha_from_one_stands_in_its_place():
    numbers = {
        method: held | {"alpha": 1 - 0.5 * SHUFFLED[place]} for place, (method, held) in enumerate(spread().items())
    }
    atlas = planted(numbers)
    steep = answers.associations(atlas, "shallow", DISTANCE)[EXPONENT]
    far = answers.associations(atlas, "shallow", DISTANCE, FROM_ONE)[FROM_ONE]
    assert far.raw.value == pytest.approx(-steep.raw.value)


def test_few_methods_or_a_number_that_is_the_same_of_all_make_no_correlation():
    few = {method: spread()[method] for method in SEVEN[:5]}
    assert answers.associations(planted(few), "shallow", DISTANCE) == {}
    same = {method: held | {"margin": 2.0} for method, held in spread().items()}
    assert answers.associations(planted(same), "shallow", DISTANCE) == {}
    assert answers.findings(planted(few)) == []


def test_what_is_not_compared_is_told_with_its_reason():
    atlas = planted(
        {
            "plain": {},
            "Oja": {"alpha": None},
            "untrained": {"clean": 0.1},
            "adversarial": {"failed": lambda seed: "cj" if seed == 2 else ""},
            "BCM": {"distance": math.inf},
        }
    )
    assert {point.method for point in answers.compared(atlas, "shallow")} == {"plain", "adversarial"}
    assert answers.left_out(atlas, "shallow") == [
        ("adversarial", "1 of 3 runs: checks c, j FAIL"),
        ("Oja", "3 of 3 runs: no exponent"),
        ("BCM", "3 of 3 runs: a number that is not finite"),
        ("untrained", "3 of 3 runs: wrong on half of the images or more"),
    ]


# ---------------------------------------------------------------------------------- in plain words


def test_the_most_robust_stands_beside_plain_with_its_accuracy():
    near = {"distance": lambda seed: 0.1 + 0.01 * seed}
    atlas = planted({"plain": near, "adversarial": {"distance": 0.2, "clean": 0.8}, "dropout": near, "BCM": near})
    assert answers.most_robust(atlas, "shallow") == (
        "Adversarial stands the largest perturbations of 4 methods: half of the images up to 0.2 [0.2, 0.2] (L∞, "
        "pixels; 80.0 % right when clean), plain training up to 0.11 [0.0852, 0.135] (90.0 % right when clean)."
    )
    equal = planted({"plain": near, "dropout": {"distance": lambda seed: 0.105 + 0.01 * seed}})
    assert answers.most_robust(equal, "shallow").endswith("not told apart from it: plain.")
    assert "not told apart" not in answers.most_robust(planted({"plain": {}, "dropout": near}, seeds=1), "shallow")


def test_a_method_whose_checks_fail_is_not_the_most_robust():
    atlas = planted({"plain": {}, "dropout": {}, "adversarial": {"distance": 0.5, "failed": "c"}})
    assert "dversarial" not in answers.most_robust(atlas, "shallow")


@pytest.mark.parametrize(
    ("spectral", "jacobian", "told"),
    [
        (0.05, 0.2, ("not necessary", "0 more, 1 less, 0 not told apart", "not sufficient")),
        (0.3, 0.2, ("not shown to be unnecessary", "1 more, 0 less, 0 not told apart", "not shown to be insufficient")),
        (0.1, 0.1, ("not shown to be unnecessary", "0 more, 0 less, 1 not told apart", "open as sufficient")),
    ],
)
def test_one_over_n_is_judged_by_intervals(spectral, jacobian, told):
    atlas = planted(
        {
            "plain": {"distance": 0.1, "alpha": 2.5},
            "Jacobian": {"distance": jacobian, "alpha": 3.0},
            "spectral 1": {"distance": spectral, "alpha": 1.05},
        }
    )
    found = answers.near_one(atlas, "shallow")
    assert found.startswith("Within 0.15 of 1 lies α of spectral 1 (1.05); ")
    necessary, counts, sufficient = told
    assert found.endswith(
        f"1/n is {necessary}. Of the 1 beside plain training, held against it: {counts}: 1/n is {sufficient}."
    )


def test_one_over_n_is_not_judged_without_plain_without_seeds_or_where_nobody_is_near():
    near = {"alpha": 1.0}
    assert answers.near_one(planted({"Jacobian": near}), "shallow") == ""
    assert answers.near_one(planted({"plain": near, "Jacobian": near}, seeds=2), "shallow") == (
        "Whether 1/n is necessary or sufficient is not judged by fewer than 3 seeds."
    )
    assert answers.near_one(planted({"plain": {}, "Jacobian": {}}), "shallow") == "No method's α lies within 0.15 of 1."
    assert answers.near_one(planted({"plain": near, "Jacobian": {}}), "shallow") == (
        "Within 0.15 of 1 lies α of plain (1.00); no method away from it stands larger perturbations than all of "
        "these: 1/n is not shown to be unnecessary."
    )


def test_the_verdict_names_what_is_apart_and_what_is_open():
    told = answers.answer(planted(spread()))
    assert (
        "Over 21 runs of 7 methods, each number with the others held, that distance goes with Jacobian norm (−" in told
    )
    assert "whether α tells anything that smoothness, margin and accuracy do not is open." in told
    assert answers.answer(planted({"Oja": {}})) == "Nothing is compared: it takes plain training and another method."


def test_a_finding_for_each_outcome():
    told = answers.findings(planted(spread()))
    assert [sentence.partition(", over 21 runs of 7 methods")[0] for sentence in told] == [
        "Median smallest perturbation"
    ]  # worst case and noise are the same of all
    assert "; |α − 1| in the place of α " in told[0]


# ------------------------------------------------------------------------------------------ figures


def test_a_point_for_each_run_a_large_one_for_each_method_and_a_cross_for_what_failed():
    atlas = planted(spread(BCM={"failed": "c"}))
    figure = drawn.scattered(atlas, DISTANCE, figures.ACROSS, {ALPHA: 1.0}, "A title")
    for ax in figure.axes:
        small = [line for line in ax.lines if line.get_gid() == "run"]
        assert len(small) == 21
        assert sum(line.get_marker() == "x" for line in small) == 3
        assert len([line for line in ax.lines if line.get_gid() == "series"]) == 7
    assert [ax.get_xlabel() for ax in figure.axes] == [
        "α of the last hidden layer", "Jacobian norm of the logits, per pixel", "margin, logits", "clean accuracy, %"
    ]  # fmt: skip
    assert figure.axes[0].get_ylabel() == "median smallest perturbation, L∞, pixels"
    assert "Cross: a check FAILs" in figure.legends[0].get_title().get_text()


def test_marks_lie_where_the_numbers_are():
    atlas = planted({"plain": {"alpha": lambda seed: 1.0 + seed, "distance": 0.1}, "Oja": {"alpha": None}})
    ax = drawn.scattered(atlas, DISTANCE, [ALPHA], {}, "A title").axes[0]
    places = sorted(line.get_xydata()[0].tolist() for line in ax.lines if line.get_gid() == "run")
    assert places == [pytest.approx([1.0 + seed, 0.1]) for seed in range(3)]
    (mean,) = (line.get_xydata()[0].tolist() for line in ax.lines if line.get_gid() == "series")
    assert mean == pytest.approx([2.0, 0.1])


def test_an_interval_that_reaches_0_ends_at_the_mark_of_a_logarithmic_axis():
    atlas = planted({"plain": {"slope": lambda seed: (0.1, 0.2, 3.0)[seed]}})
    ax = drawn.scattered(atlas, DISTANCE, [SLOPE], {}, "A title").axes[0]
    (bar,) = (line for line in ax.lines if line.get_gid() == "interval" and line.get_ydata()[0] == line.get_ydata()[1]
              and line.get_xdata()[0] != line.get_xdata()[1])  # fmt: skip
    assert bar.get_xdata()[0] == pytest.approx(1.1)


def test_two_architectures_are_told_apart_by_the_fill_of_their_marks():
    numbers = {"plain": {}, "dropout": {}}
    deep = [record(name, 0, "deep") for name in numbers]
    for one in deep:
        measured = one.measurement
        measured.smoothness["hidden3"] = measured.smoothness["hidden1"]
        measured.curves.update({name: curve_at(measured.curves[name], "small") for name in measured.curves})
    shallow = [record(name, 0) for name in numbers]
    for one in shallow:
        one.measurement.curves.update({name: curve_at(held, "small") for name, held in one.measurement.curves.items()})
    rows = [{"quantity": "participation_ratio", "value": 5.0, "layer": "hidden3"}]
    deep = [with_rows(one, rows) for one in deep]
    atlas = gathered([*shallow, *deep], "small")
    assert atlas.architectures == ("shallow", "deep")
    figure = drawn.scattered(atlas, DISTANCE, [SLOPE], {}, "A title")
    fills = [line.get_fillstyle() for line in figure.axes[0].lines if line.get_gid() == "series"]
    assert fills == ["full", "full", "none", "none"]
    assert "filled: shallow, hollow: deep." in figure.legends[0].get_title().get_text()


def curve_at(curve, scale):
    """A planted curve at the budgets of another scale."""
    size = SIZES[scale, "shallow"]
    budgets = {"gaussian": size.noise, "Linf": size.epsilons}[curve.threat.norm]
    if curve.distances is not None:
        return curve
    flips = None if curve.flip_probability is None else curve.flip_probability[:, :1].repeat(1, len(budgets), 1)
    return replace(
        curve, epsilons=budgets, broken=curve.broken[:, :1].repeat(1, len(budgets), 1), flip_probability=flips
    )


def with_rows(one, rows):
    return replace(one, measurement=replace(one.measurement, rows=(*one.measurement.rows, *rows)))


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError) as refusal:
        drawn.scattered(planted({}), DISTANCE, [ALPHA], {}, "A title")
    assert str(refusal.value) == "Expected at least one run to draw, got none. Measure before drawing."


def test_what_is_not_drawn_is_named():
    atlas = planted({"plain": {}, "untrained": {"clean": 0.1}, "BCM": {"alpha": None}})
    assert {point.method for point in figures.shown(atlas).points} == {"plain", "BCM"}
    assert figures.not_shown(atlas) == (
        "Not drawn, as wrong on half of the images or more: untrained. Not in the first panel, for want of an "
        "exponent: BCM."
    )
    assert figures.not_shown(planted({"plain": {}})) == ""


def test_correlations_are_drawn_with_their_intervals():
    by = figures.by_outcome(planted(spread()))
    assert list(by) == ["smallest perturbation"]
    assert list(by["smallest perturbation"]) == [EXPONENT, SLOPE, MARGIN, CLEAN, FROM_ONE]
    ax = drawn.correlated(by, figures.parted(by)).axes[0]
    bars = [line.get_xdata().tolist() for line in ax.lines if line.get_gid() == "interval"]
    assert bars[1] == pytest.approx([by["smallest perturbation"][SLOPE].partial.low,
                                     by["smallest perturbation"][SLOPE].partial.high])  # fmt: skip
    assert figures.parted(by) == (
        "With the others held, what goes together beyond its interval: smallest perturbation with Jacobian norm"
    )


def test_each_architecture_has_a_row_of_correlations():
    by = figures.by_outcome(planted(spread()))["smallest perturbation"]
    outcomes = ("smallest perturbation", "worst case", "noise")
    found = {f"{one}: {outcome}": by for one in ("shallow", "deep") for outcome in outcomes}
    figure = drawn.correlated(found, "A title")
    figure.draw_without_rendering()
    titles = [ax.title.get_window_extent() for ax in figure.axes]
    assert len(titles) == 6
    assert all(one.x1 < other.x0 for one, other in pairwise(titles) if one.y0 == other.y0)
    assert titles[0].y0 > titles[3].y1
    assert [bool(ax.get_xlabel()) for ax in figure.axes] == [False] * 3 + [True] * 3


def test_figures_are_kept_with_their_numbers(tmp_path):
    records = records_of(spread())
    atlas = gathered(records, "quick")
    found = Found("quick", by_arm(records))
    rows = figures.FIGURES["distance"].rows(found, "published")
    assert [row["seed"] for row in rows] == [0, 1, 2] * 7
    assert rows[0][DISTANCE] == atlas.points[0].value(DISTANCE)
    written = figuring.saved(figures.FIGURES, found, tmp_path, ["correlations"])
    assert {path.name for path in written} == {f"correlations.{ending}" for ending in ("svg", "png", "csv")}
    with (tmp_path / "correlations.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 10
    assert f'alt="{figures.parted(figures.by_outcome(atlas))}"' in charting.page_of(atlas, records, written)
    assert figures.drawable(planted({"plain": {}})) == ["distance", "worst-case", "noise"]
    assert figures.drawable(planted({"untrained": {"clean": 0.1}})) == []


def test_a_figure_of_few_methods_says_which_has_most():
    assert figures.told(planted({"plain": {}, "dropout": {"distance": 0.3}}), DISTANCE) == (
        "Smallest perturbation: dropout has most, 0.3; too few methods for a correlation"
    )


# --------------------------------------------------------------------------------------------- page


def test_the_table_has_a_fail_where_a_check_takes_a_number_away():
    atlas = planted({"plain": {}, "BCM": {"failed": "c", "alpha": lambda seed: None if seed else 2.0}, "Oja": {}})
    table = pages.methods(atlas, "shallow", "Methods")
    headings = [heading for heading, _ in table.columns]
    assert headings[0] == "clean accuracy"
    by = {row.name: dict(zip(headings, row.cells, strict=True)) for row in table.rows}
    assert (by["BCM"]["worst case, ε = 0.1"].box, by["BCM"]["worst case, ε = 0.1"].note) == ("FAIL", "check c")
    assert by["BCM"]["median smallest perturbation"].box == "FAIL"
    assert (by["BCM"]["clean accuracy"].text, by["BCM"]["noise, σ = 0.4"].box) == ("90.0", "")
    assert by["BCM"]["α of the last hidden layer"].note == "1 of 3 runs"
    assert [row.order for row in table.rows] == [order_of(method_of(name)) for name in ("plain", "Oja", "BCM")]


def test_the_page_is_an_outline_and_runs_nothing_that_it_is_told():
    atlas = planted({"plain": {}, "Oja": {"alpha": None}})
    table = pages.methods(atlas, "shallow", HOSTILE)
    text = pages.html(HOSTILE, HOSTILE, HOSTILE, [HOSTILE], [table], None, [], [], table, HOSTILE)
    parsed = outline(text)
    assert "script" not in parsed.tags
    assert parsed.headings[0] == 1
    assert all(later - earlier <= 1 for earlier, later in zip(parsed.headings, parsed.headings[1:]))


def test_doubts_name_failed_checks_and_what_is_not_compared():
    records = records_of({"plain": {}, "BCM": {"failed": "c"}, "untrained": {"clean": 0.1}})
    page = charting.page_of(gathered(records, "quick"), records, [])
    assert "checks c: what attacks find of it is no measure of robustness." in page
    assert "BCM: 3 of 3 runs: checks c FAIL; untrained: 3 of 3 runs: wrong on half of the images or more." in page


def test_rows_hold_every_mean_and_every_correlation():
    rows = charting.rows(planted(spread(BCM={"failed": "c"})))
    worst = [row for row in rows if row["quantity"] == f"atlas {WORST}"]
    assert [row["method"] for row in worst] == [name for name in NAMES if name in SEVEN]
    assert {row["method"]: row.get("failed") for row in worst}["BCM"] == "c"
    assert {row["held"] for row in rows if row["quantity"] == "association"} == {"the others", "none"}


# ------------------------------------------------------------------------------------ from end to end


def test_two_methods_from_the_prompt_to_a_page_without_figures_as_hardly_anything_is_right(tmp_path, monkeypatch):
    shrunk(monkeypatch, 10)
    asked = ["atlas", "--method", "untrained", "--method", "random", "--seeds", "0", "--workers", "1"]
    asked += ["--output", str(tmp_path / "runs"), "--json", str(tmp_path / "rows.json")]
    assert cli.main(asked) == 0
    page = (tmp_path / "runs" / "report.html").read_text()
    assert "Every method on digits:validation=0,scaling=pixel, shallow" in page
    assert "untrained: 1 of 1 runs: wrong on half of the images or more." in page
    assert "Nothing is compared: it takes plain training and another method." in page
    assert not (tmp_path / "runs" / "figures").exists()
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["method"] for row in rows if row["quantity"] == f"atlas {CLEAN}"} == {"untrained", "random"}


@pytest.mark.slow
def test_two_methods_from_the_prompt_to_the_page(tmp_path, monkeypatch):
    shrunk(monkeypatch, 200)
    asked = ["atlas", "--method", "plain", "--method", "random", "--seeds", "0", "--workers", "1"]
    assert cli.main([*asked, "--output", str(tmp_path / "runs")]) == 0
    page = (tmp_path / "runs" / "report.html").read_text()
    assert "Whether 1/n is necessary or sufficient is not judged by fewer than 3 seeds." in page
    assert {path.name for path in (tmp_path / "runs" / "figures").iterdir()} >= {"distance.svg", "noise.csv"}
    assert (tmp_path / "runs" / "runs.html").is_file()


@pytest.mark.slow
def test_the_whole_of_quick(tmp_path):
    """Every method and all five seeds, about ten minutes of processor time."""
    asked = ["atlas", "--scale", "quick", "--output", str(tmp_path / "runs"), "--json", str(tmp_path / "rows.json")]
    assert cli.main(asked) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["method"] for row in rows if row["quantity"] == f"atlas {CLEAN}"} == set(NAMES)
    assert [row for row in rows if row["quantity"] == "association"]
