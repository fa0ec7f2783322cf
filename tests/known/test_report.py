"""The page: digits, sentences, order of sections, escaping, and a file that is there whole or not at all."""

import itertools
import math
import os
import re
from dataclasses import replace

import pagerecords
import pytest
import torch
from pageoutline import HOSTILE, outline

from eigenfall.corruptionerror import mean_corruption_error
from eigenfall.report import arms, numbers, page, smoothness, surroundings, tables, words
from eigenfall.types import Estimate, Smoothness, Verdict


@pytest.fixture(scope="module")
def text():
    return page.html(pagerecords.records(), "A title", "eigenfall demo")


def failing(record, check="p3"):
    verdict = Verdict(check, "outputs are logits", "FAIL", 1.0, "no probabilities", "Outputs are probabilities.")
    return replace(record, measurement=replace(record.measurement, verdicts=(verdict,)))


@pytest.mark.parametrize(
    "estimate, shown",
    [
        (Estimate(1.0431, 0.9912, 1.0951), ("1.04", "[0.99, 1.10]")),
        (Estimate(1.0431, 0.91, 1.17), ("1.04", "[0.91, 1.17]")),
        (Estimate(1.0431, 0.64, 1.44), ("1.0", "[0.6, 1.4]")),
        (Estimate(94.62, 94.5, 94.74), ("94.62", "[94.50, 94.74]")),
        (Estimate(31.4, 22.0, 41.0), ("31", "[22, 41]")),
        (Estimate(12345.0, 12000.0, 12690.0), ("12300", "[12000, 12700]")),
        (Estimate(1 / 3), ("0.333", "")),
        (Estimate(1 / 3, 1 / 3, 1 / 3), ("0.333", "[0.333, 0.333]")),
        (Estimate(0.123456789, 0.1234567889, 0.1234567891), ("0.123457", "[0.123457, 0.123457]")),
        (Estimate(-0.5, -0.6, -0.4), ("−0.50", "[−0.60, −0.40]")),
        (Estimate(0.0001234), ("1.23 · 10⁻⁴", "")),
        (Estimate(math.nan), ("–", "")),
        (Estimate(math.inf), ("∞", "")),
        (Estimate(0.0, 0.0, 2.7), ("0.0", "[0.0, 2.7]")),
        (Estimate(-0.001, -0.3, 0.3), ("0.0", "[−0.3, 0.3]")),
    ],
)
def test_digits_are_those_that_the_interval_earns(estimate, shown):
    assert numbers.value_and_interval(estimate) == shown


def test_bold_only_where_intervals_part():
    apart = [Estimate(0.9, 0.85, 0.95), Estimate(0.5, 0.4, 0.6), None]
    assert tables.best(apart, "high") == 0
    assert tables.best(apart, "low") == 1
    assert tables.best(apart, "") is None
    assert tables.best([Estimate(0.9, 0.55, 0.95), Estimate(0.5, 0.4, 0.6)], "high") is None
    assert tables.best([Estimate(0.9), Estimate(0.5)], "high") is None
    assert tables.best([Estimate(0.9, 0.8, 1.0)], "high") is None


def test_records_are_grouped_by_arm_with_seeds_in_order():
    shuffled = pagerecords.records()[::-1]
    found = arms.arms(shuffled)
    assert [(arm.name, arm.seeds, arm.order) for arm in found] == [("plain", "0, 1, 2", 0), ("tilted", "0, 1, 2", 1)]


def test_the_median_has_the_interval_of_order_statistics():
    found = arms.median(torch.arange(1.0, 102.0, dtype=torch.float64))
    assert (found.value, found.low, found.high, found.over) == (51.0, 41.0, 61.0, "images")
    assert math.isnan(arms.median(torch.tensor([1.0, 2.0], dtype=torch.float64)).low)
    assert math.isnan(arms.median(torch.tensor([], dtype=torch.float64)).value)


def test_tables_are_read_where_the_first_arm_keeps_half():
    found = arms.arms(pagerecords.records())
    epsilon = arms.budget(found, "headline")
    clean = arms.clean_accuracy(found[0]).value
    others = [abs(arms.accuracy(found[0], "headline", other).value - clean / 2) for other in pagerecords.EPSILONS]
    assert others[pagerecords.EPSILONS.index(epsilon)] == min(others)


def test_the_summary_has_a_row_per_arm_and_says_what_intervals_are_over():
    table = tables.summary(arms.arms(pagerecords.records()))
    assert [row.name for row in table.rows] == ["plain", "tilted"]
    titles = [title for title, _ in table.columns]
    assert titles[0] == "clean accuracy"
    assert titles[4:] == ["α of hidden1", "‖J‖ of hidden1", "‖J‖ of outputs"]
    assert all("over seeds" in unit for _, unit in table.columns)
    assert table.rows[0].cells[4].note == "ranks 5–40"
    assert [row.cells[6].best for row in table.rows] == [False, True]


def test_one_seed_has_the_interval_of_images_or_stimuli():
    table = tables.summary(arms.arms(pagerecords.records()[:1]))
    units = dict(table.columns)
    assert units["clean accuracy"] == "%; over images"
    assert units["α of hidden1"] == "over stimuli"
    assert units["‖J‖ of outputs"] == "median; over images"


def test_a_fail_stands_where_the_headline_would_have_stood():
    records = [failing(record) if record.run["arm"] == "tilted" else record for record in pagerecords.records()]
    found = arms.arms(records)
    sound, broken = (row.cells[1] for row in tables.summary(found).rows)
    assert (sound.box, broken.box, broken.text, broken.interval) == ("", "FAIL", "", "")
    assert broken.note == "check p3"
    assert all(cell.box == "FAIL" and not cell.text for cell in tables.budgets(found).rows[1].cells)
    assert "check p3 FAIL in tilted" in words.answer(found)
    assert "in tilted, against" not in words.answer(found)
    doubt = words.doubts(found)[0]
    told = "Check p3, outputs are logits (3 of 3 seeds). Outputs are probabilities."
    assert (doubt.box, doubt.whom, doubt.text) == ("FAIL", "tilted", told)


def test_the_answer_is_made_of_the_numbers():
    found = arms.arms(pagerecords.records())
    said = words.answer(found).replace("\u2060", "").replace("\u00a0", " ")
    layer = numbers.sentence(arms.alpha(found[0], "hidden1"))
    epsilon = arms.budget(found, "headline")
    share = numbers.sentence(numbers.percent(arms.accuracy(found[0], "headline", epsilon)), " %")
    assert said.startswith(f"α of hidden1 is {layer} in plain and ")
    assert f"{share}" in said
    assert said.endswith("all 2 checks that ran pass, 1 more was not run.")


def test_the_worst_verdict_over_seeds_is_shown():
    verdicts = [Verdict("j", "scale", word, value) for word, value in (("PASS", 9.0), ("WARN", 1.0), ("WARN", 2.0))]
    assert arms.worst(verdicts) is verdicts[2]


def test_sections_stand_in_order(text):
    order = ["The numbers", "Spectra", "Smoothness", "Robustness", "What could be wrong", "How it was made"]
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", text) == order
    assert text.index('class="answer"') < text.index("The numbers</h2>")


def test_the_page_asks_for_nothing_and_runs_nothing(text):
    parsed = outline(text)
    assert "script" not in parsed.tags
    assert all(url.startswith(("#", "data:")) for url in parsed.urls)
    assert "url(http" not in text
    assert "@import" not in text


def test_headings_are_an_outline_and_figures_say_their_finding(text):
    levels = outline(text).headings
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for label in re.findall(r'<svg role="img" aria-label="([^"]*)"', text):
        assert re.search(r"\d", label)
    assert text.count("<svg") == text.count('<svg role="img" aria-label=')


def test_ids_do_not_meet(text):
    ids = re.findall(r'\sid="([^"]*)"', text)
    assert len(set(ids)) == len(ids)


def test_colours_follow_the_setting(text):
    assert "prefers-color-scheme: dark" in text
    assert "var(--series-0, #0072b2)" in text
    svg = text[text.index("<svg") :]
    assert not re.search(r"(?<!, )#0072b2", svg[: svg.index("</svg>")])


def test_what_users_named_is_shown_and_never_run(tmp_path):
    record = pagerecords.records()[0]
    one = record.measurement
    hostile = replace(
        one,
        spectra={HOSTILE: one.spectra["hidden1"]},
        fits={HOSTILE: replace(one.fits["hidden1"], notices=(HOSTILE,))},
        smoothness={HOSTILE: replace(one.smoothness["outputs"], layer=HOSTILE)},
        notices=(HOSTILE,),
    )
    run = {**record.run, "arm": HOSTILE, "data": HOSTILE, "architecture": HOSTILE, "training": {HOSTILE: HOSTILE}}
    versions = {HOSTILE: HOSTILE}
    shown = replace(
        record, path=tmp_path / 'a"<b>', run=run, versions=versions, measurement=hostile, bibliography=HOSTILE
    )
    text = page.html([shown], HOSTILE, HOSTILE)
    parsed = outline(text)
    assert "script" not in parsed.tags
    assert text.count("&lt;script&gt;") > 10


def test_awkward_names_reach_the_figures_as_they_are():
    record = pagerecords.records()[0]
    text = page.html([replace(record, run={**record.run, "arm": "_α$β$ 網"})], "t", "c")
    assert "_α$β$ 網" in text


def test_responses_alone_make_a_page():
    text = page.html([pagerecords.responses_record()], "session.npz", "eigenfall measure session.npz")
    assert "Not measured: it needs a model and labelled inputs." in text
    assert "over ranks 5\u2060–\u206040." in text


def test_no_interval_is_said():
    text = page.html([pagerecords.responses_record(interval=False)], "t", "c")
    assert "No interval is known." in text


def test_empty_measurements_make_a_page():
    record = pagerecords.responses_record()
    empty = replace(record, measurement=replace(record.measurement, spectra={}, fits={}))
    text = page.html([empty], "t", "c")
    assert "Nothing was measured that this page can show." in text


def test_staleness_windows_and_censoring_are_doubts():
    record = pagerecords.records()[0]
    one = record.measurement
    fit = replace(one.fits["hidden1"], asked=(5, 500), left_out=(7,))
    history = (
        {"step": 1, "loss": 2.0, "spectral/hidden1/s_R": 0.3},
        {"step": 2, "loss": 1.0, "spectral/hidden1/s_R": 0.1},
    )
    changed = replace(record, measurement=replace(one, fits={"hidden1": fit}), history=history)
    said = [doubt.text for doubt in words.doubts(arms.arms([changed]))]
    assert "hidden1: the window asked for was ranks 5–500; ranks 5–40 were used." in said
    assert "hidden1: left out of the fit because not positive: 1 of the ranks in the window." in said
    assert "spectral/hidden1: staleness of the basis was at most 0.300; at the end 0.100." in said
    assert "One seed: how much a new training would differ is not known." in said
    assert "Training" in page.html([changed], "t", "c")


def test_halves_of_a_power_law_agree():
    spectrum = pagerecords.records()[0].measurement.spectra["hidden1"]
    exact = replace(spectrum, eigenvalues=torch.arange(1, 101, dtype=torch.float64) ** -1.3)
    assert tables.slope(exact, 5, 20) == pytest.approx(1.3)
    assert math.isnan(tables.slope(exact, 5, 6))


def test_settings_are_said_once_where_arms_share_them(text):
    made = text[text.index("Settings</h3>") :]
    assert made.count("mlp:widths=128") == 1
    assert "ridge:strength=0.01" in made.replace("<wbr>", "")
    assert "@article{stringer2019," in made
    assert made.count("@article") == 1


def test_the_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "report.html"
    assert page.write([pagerecords.responses_record()], path, "t", "c") == path
    before = path.read_text()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ValueError) as refusal:
        page.write([pagerecords.responses_record()], path, "other", "c")
    assert str(refusal.value) == (
        f"Expected to write {path}, got a full disk. Free some space and run again; what was finished before is whole."
    )
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_no_record_is_refused():
    with pytest.raises(ValueError) as refusal:
        page.html([], "t", "c")
    assert str(refusal.value) == "Expected at least one record, got none. Name a folder that holds finished runs."


def test_smoothness_stands_against_the_margin_where_the_records_hold_it(text):
    assert "‖J‖ of outputs against margin" in text
    assert "Spearman ρ over inputs: plain " in text
    without = [
        replace(record, measurement=replace(record.measurement, margins=None)) for record in pagerecords.records()
    ]
    assert "against margin" not in page.html(without, "A title", "eigenfall report runs")


def test_attacks_alone_are_asked_about_alone():
    record = pagerecords.records()[0]
    alone = replace(record.measurement, spectra={}, fits={}, smoothness={})
    text = page.html([replace(record, measurement=alone)], "t", "c")
    assert "How robust is the network?" in text
    assert "eigenvalues of the code" not in text
    assert "<p>Not measured.</p>" in text


# ------------------------------------------------------------- everything around the inputs


@pytest.fixture(scope="module")
def around():
    return page.html(pagerecords.surrounded(), "A title", "eigenfall report runs")


@pytest.fixture(scope="module")
def found():
    return arms.arms(pagerecords.surrounded())


def test_sections_of_what_was_measured_stand_in_order(around):
    order = ["The numbers", "Spectra", "Smoothness", "Decisions on planes", "Robustness", "Corruptions",
             "What could be wrong", "How it was made"]  # fmt: skip
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", around) == order
    levels = outline(around).headings
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = re.findall(r'\sid="([^"]*)"', around)
    assert len(set(ids)) == len(ids)
    assert all(url.startswith(("#", "data:")) for url in outline(around).urls)
    for label in re.findall(r'<svg role="img" aria-label="([^"]*)"', around):
        assert re.search(r"\d", label)


def test_every_measure_is_told_apart(found):
    names = ["outputs", "outputs/log_volume", "outputs/jacobian_norm#2", "first/log_volume"]
    assert [tables.quantity_and_layer(found, name) for name in names] == [
        ("‖J‖ of outputs", "outputs"),
        ("log-volume of outputs", "outputs"),
        ("‖J‖ of outputs, number 2", "outputs"),
        ("log-volume of first", "first"),
    ]
    titles = [title for title, _ in tables.summary(found).columns]
    assert titles[5:] == [
        "‖J‖ of outputs", "‖J‖ of first", "log-volume of outputs", "first-order distance of outputs",
        "‖J‖ of outputs, number 2", "corrupted",
    ]  # fmt: skip
    assert "log-volume of first" not in titles  # it stands with its distributions


def test_measures_stand_against_margin_and_distance(found):
    headings = [picture.heading for picture in smoothness.pictures(found)]
    for what in ("‖J‖ of outputs", "log-volume of outputs", "‖J‖ of outputs, number 2"):
        assert f"{what} against margin" in headings
        assert f"{what} against first-order distance" in headings
    assert "first-order distance of outputs against margin" in headings
    assert "log-volume of first, over the spread of the layer" in headings
    assert "first-order distance of outputs, over the spread of the layer" not in headings
    assert smoothness.reading(found).startswith("‖J‖: Frobenius norm of the Jacobian by input, how far a layer moves")


def test_the_median_of_a_measure_is_over_inputs_that_compare():
    record = pagerecords.records()[0]
    values, ranks = torch.tensor([1.0, 2.0, 3.0, 99.0], dtype=torch.float64), torch.tensor([9, 9, 9, 8])
    volumes = Smoothness("log_volume", "outputs", values, 1.0, scaling="logarithmic", ranks=ranks)
    measured = replace(record.measurement, smoothness={"outputs": volumes})
    (arm,) = arms.arms([replace(record, measurement=measured)])
    assert arms.smoothness(arm, "outputs").value == 2


def test_bounds_stand_with_what_they_certify(found):
    table = smoothness.bounds(found)
    assert [title for title, _ in table.columns] == ["Lipschitz bound, L2", "certified distance"]
    told = arms.told(found[0], "certified_distance")
    values = [
        next(row["value"] for row in one.rows if row["quantity"] == "certified_distance")
        for one in found[0].measurements
    ]
    assert told.value == pytest.approx(sum(values) / 2)
    assert table.rows[-1].name == "bare"
    assert all(cell.text == "–" for cell in table.rows[-1].cells)
    assert smoothness.bounds(arms.arms(pagerecords.records())) is None


def test_corruptions_are_told_by_arm_and_against_the_first(found):
    beside, plain, tilted = surroundings.corruptions(found)
    assert [row.name for row in beside.rows] == ["plain", "tilted"]
    assert beside.rows[0].cells[1].note == "the reference"
    assert "relative to plain" in beside.caption
    curves = [[one.corruptions for one in arm.measurements] for arm in found[:2]]
    errors = [mean_corruption_error(ours, theirs).value for ours, theirs in zip(curves[1], curves[0])]
    assert float(beside.rows[1].cells[1].text) == pytest.approx(sum(errors) / 2, abs=0.05)
    assert [row.name for row in plain.rows] == ["fog", "contrast", "mean"]
    assert [title for title, _ in plain.columns] == [*(f"severity {severity}" for severity in range(1, 6)), "mean"]
    assert plain.caption.startswith("plain: accuracy under each corruption and severity, % of 40 images; clean ")
    fog = 100 * sum(float(one.correct[0, 4].double().mean()) for one in curves[0]) / 2
    assert float(plain.rows[0].cells[4].text) == pytest.approx(fog, abs=6)
    assert tilted.caption.startswith("tilted: ")


def test_arms_that_were_corrupted_otherwise_have_no_mean_corruption_error():
    records = list(pagerecords.surrounded())
    for place in (2, 3):
        record = records[place]
        other = replace(record.measurement.corruptions, seed=99)
        records[place] = replace(record, measurement=replace(record.measurement, corruptions=other))
    beside = surroundings.corruptions(arms.arms(records))[0]
    assert beside.rows[1].cells[1].text == "–"
    assert beside.caption.endswith(
        " –: seeds, images or corruptions differ, or the reference makes no error under one of these."
    )
    page.html(records, "A title", "c")


def test_planes_are_told_with_their_extent_and_one_is_shown(found, around):
    table = surroundings.planes(found)
    assert table.columns[-1] == ("extent, ±", "L2 of the input")
    assert table.rows[0].cells[-1].note == "3 × the median first-order distance"
    assert table.caption.startswith("Means over 4 random planes through 4 images.")
    assert "Each network to an extent of its own: --plane-extent sets one for all." in table.caption
    assert [picture.heading for picture in surroundings.landscapes(found)] == [
        "One plane of 4, plain",
        "One plane of 4, tilted",
    ]
    assert around.count("One picture is an illustration") == 2
    assert surroundings.planes(arms.arms(pagerecords.records())) is None


def test_the_answer_says_what_corruptions_leave(found):
    said = words.answer(found).replace("\u00a0", " ").replace("\u2060", "")
    share = numbers.sentence(numbers.percent(arms.told(found[0], "mean_corruption_accuracy", severity=None)), " %")
    assert f"of corrupted images {share} in plain and " in said
    assert " are classified correctly" in said


def test_one_arm_alone_makes_a_page():
    text = page.html(pagerecords.surrounded()[:1], "A title", "c")
    assert "Mean accuracy by severity" in text
    assert "mean corruption error" not in text
    assert "Accuracy under each corruption and severity, % of 40 images; clean " in text
