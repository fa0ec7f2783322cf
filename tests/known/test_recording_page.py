"""The page of a recording: what was understood first, every exponent with what it depends on, nothing corrected."""

import html
import itertools
import math
import re
from dataclasses import replace

import pagerecords
import pytest
import recordingrecords
import torch
from pageoutline import HOSTILE, outline

from eigenfall.figures import called
from eigenfall.report import exponents, numbers, page, recorded, recording
from eigenfall.types import Diagnostics, Dimension, Estimate, Measurement, Spectrum


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    responses, measurement = recordingrecords.simulated_session()
    return recordingrecords.saved(
        tmp_path_factory.mktemp("runs"), responses, "powerlaw:stimuli=120,units=60", measurement
    )


@pytest.fixture(scope="module")
def text(record):
    return page.html([record], "session", "eigenfall measure session.npy")


def headings(text, level=2):
    return [html.unescape(found) for found in re.findall(rf"<h{level}[^>]*>(.*?)</h{level}>", text)]


def words(text):
    """The text as it is read: no tags, no joiners."""
    plain = html.unescape(re.sub(r"<[^>]*>", " ", text)).replace("\u2060", "").replace("\u00a0", " ")
    return re.sub(r"\s+", " ", plain)


def measured(record, **changed):
    return replace(record, measurement=replace(record.measurement, **changed))


def test_it_leads_with_what_was_understood(text):
    top = words(text[text.index("<header>") : text.index("</header>")])
    assert top.startswith(" session Understood as 120 stimuli × 60 units × 2 repeats .")
    assert top.index("Understood") < top.index("How fast") < top.index("α is")


def test_the_answer_names_each_estimator_with_its_window_and_target(record, text):
    top = words(text[text.index("<header>") : text.index("</header>")])
    for key, fit in record.measurement.fits.items():
        window = f"ranks {fit.used[0]}–{fit.used[1]}"
        assert f"{numbers.sentence(fit.parameters['alpha'])} by {called(key)} ({window}, {fit.target}" in top


def test_sections_stand_in_order_and_models_sections_are_gone(text):
    assert headings(text) == [
        "The numbers",
        "Spectra",
        "cvPCA, and how far to trust it",
        "MEME, and how far to trust it",
        "PCA, and how far to trust it",
        "Signal-to-noise of the units",
        "Dimensions by scale",
        "What could be wrong",
        "How it was made",
    ]
    assert headings(text, 3)[:9] == [
        "All estimators",
        "Spectrum",
        "Local exponent",
        "Fewer stimuli",
        "Fewer units",
        "Other windows",
        "Simulated at this size",
        "Rival laws",
        "Moments",
    ]


def test_the_table_has_a_row_per_fit_with_all_that_it_depends_on(record):
    (one,) = recorded.recorded([record])
    table = exponents.exponents([one])
    assert table.columns == (
        ("α", "over stimuli"), ("target", ""), ("ranks", ""), ("interval", "over trials"), ("straightness", ""),
        ("bias at this size", "simulated"),
    )  # fmt: skip
    assert [(row.name, row.note) for row in table.rows] == [
        ("cvPCA", "least squares"),
        ("cvPCA", "broken power law"),
        ("MEME", "law of the moments, power law"),
        ("MEME", "law of the moments, broken law"),
        ("PCA", "least squares"),
        ("PCA", "Marčenko–Pastur"),
        ("PCA", "broken power law"),
    ]
    fit, beside = record.measurement.fits["pca"], record.measurement.diagnostics["pca"]
    alpha, target, window, trials, straight, bias = table.rows[4].cells
    assert (alpha.text, alpha.interval) == numbers.value_and_interval(fit.parameters["alpha"])
    assert (target.text, window.text, window.interval) == ("total sample", "3–40", "weights 1/n")
    assert trials.text == numbers.value_and_interval(beside.over["trials"])[1]
    assert straight.text == f"r² = {fit.r2:.3f}"
    away = recorded.off(beside.bias[0])
    assert bias.text == numbers.plus_minus(away)
    assert bias.interval == "4 recordings"
    assert bias.note == f"less it: α = {numbers.number(fit.alpha - away.value, numbers.decimals(away))}"
    broken = table.rows[1].cells[0].note
    assert re.fullmatch(r"beyond rank \d+; before it [−\d.]+", broken)
    assert table.rows[1].cells[5].text == "–"


def test_the_bias_is_the_difference_from_what_was_planted(record):
    for beside in record.measurement.diagnostics.values():
        for bias in beside.bias:
            away = recorded.off(bias)
            assert away.value == pytest.approx(bias.found.value - bias.truth)
            assert away.high - away.low == pytest.approx(bias.found.high - bias.found.low)


def test_a_bias_stands_beside_the_very_fit_that_was_simulated(record):
    (one,) = recorded.recorded([record])
    fit, bias = record.measurement.fits["cvpca"], record.measurement.diagnostics["cvpca"].bias[0]
    assert recorded.bias_of(one, "cvpca", fit) is bias
    for other in (
        replace(fit, weights="none"),
        replace(fit, asked=(5, 40)),
        replace(fit, asked=(3, 41)),
        replace(fit, method="marchenkopastur"),
    ):
        assert recorded.bias_of(one, "cvpca", other) is None
    single, broken = record.measurement.fits["meme"], record.measurement.diagnostics["meme"].fits[0]
    assert recorded.bias_of(one, "meme", single) is record.measurement.diagnostics["meme"].bias[0]
    assert recorded.bias_of(one, "meme", broken) is None


def test_a_window_says_what_was_left_out_and_where_the_interval_comes_from(record):
    fit = replace(record.measurement.fits["cvpca"], left_out=(7, 9), resampled=(3, 35), weights="none")
    table = exponents.exponents(recorded.recorded([measured(record, fits={"cvpca": fit}, diagnostics={})]))
    window = table.rows[0].cells[2]
    assert (window.text, window.interval, window.note) == ("3–40", "no weights", "2 left out; interval: 3–35")


@pytest.mark.parametrize(
    "estimate, shown",
    [
        (Estimate(-0.04, -0.05, -0.03), "−0.040 ± 0.010"),
        (Estimate(0.1, 0.06, 0.14), "+0.10 ± 0.04"),
        (Estimate(0.0, -0.3, 0.3), "0.0 ± 0.3"),
        (Estimate(0.25), "+0.250"),
    ],
)
def test_a_difference_has_a_sign_and_the_digits_of_its_interval(estimate, shown):
    assert numbers.plus_minus(estimate) == shown


def test_the_simulation_is_said_in_full_and_nothing_is_corrected(record, text):
    fit, bias = record.measurement.fits["cvpca"], record.measurement.diagnostics["cvpca"].bias[0]
    told = words(text)
    assert f"where {bias.truth:.2f} is planted, {numbers.sentence(bias.found)} is found" in told
    assert f"Noise-free responses of this size give {bias.sample_truth:.2f}." in told
    assert f"less that bias would read {fit.alpha - recorded.off(bias).value:.2f}." in told
    assert "No exponent on this page is corrected by it" in told


def test_different_targets_are_warned_of_and_equal_ones_are_not(record, text):
    told = words(text)
    assert (
        "WARN Targets differ (signal sample: cvPCA; signal population: MEME; total sample: PCA; total population: "
        in told
    )
    assert "Marčenko–Pastur of PCA). Exponents of different targets are not comparable." in told
    one = measured(record, spectra={}, moments={}, diagnostics={}, fits={"cvpca": record.measurement.fits["cvpca"]})
    assert exponents.targets(recorded.recorded([one])) == ""


def test_a_refused_law_is_said_wherever_its_exponent_stands(record):
    fit = record.measurement.fits["meme"]
    refused = replace(fit, statistics={"chi2": 66.7, "freedom": 4.0, "p": 1e-13})
    text = words(
        page.html([measured(record, diagnostics={}, fits={**record.measurement.fits, "meme": refused})], "t", "c")
    )
    assert "signal population; the law does not hold)" in text
    assert "WARN χ² = 66.7 4 free, p < 0.001" in text
    assert (
        "WARN MEME, law of the moments: χ² = 66.7 with 4 degrees of freedom refuses the power law (p < 0.001)" in text
    )
    assert "MEME’s does not hold (χ²)" in text


def test_notices_are_told_in_full_and_once(record):
    spectrum = replace(record.measurement.spectra["cvpca"], notices=("3 columns were lost.",))
    fit = replace(record.measurement.fits["cvpca"], notices=("WARN: a window was short.",))
    changed = measured(
        record,
        spectra={**record.measurement.spectra, "cvpca": spectrum},
        fits={**record.measurement.fits, "cvpca": fit},
        notices=("understood", "cvpca: WARN: a window was short.", "7 units dropped."),
    )
    doubts = recording.doubts(recorded.recorded([changed]))
    assert [(doubt.box, doubt.text) for doubt in doubts if "short" in doubt.text] == [
        ("WARN", "cvpca: a window was short.")
    ]
    assert [doubt.box for doubt in doubts] == sorted((doubt.box for doubt in doubts), key=lambda box: box != "WARN")
    told = [doubt.text for doubt in doubts]
    assert {"7 units dropped.", "cvPCA: 3 columns were lost."} <= set(told)
    assert "understood" not in told


def test_negative_values_are_counted(record):
    values = record.measurement.spectra["cvpca"].eigenvalues.clone()
    values[-3:] = -values[-3:].abs() - 1e-3
    spectrum = replace(record.measurement.spectra["cvpca"], eigenvalues=values)
    count = int((values < 0).sum())
    text = words(page.html([measured(record, spectra={"cvpca": spectrum}, diagnostics={}, moments={})], "t", "c"))
    assert f"{count} of {len(values)} values below 0: open marks." in text
    assert f"cvPCA: {count} of {len(values)} eigenvalues below 0." in text


def test_signal_to_noise_is_share_over_the_rest(record, text):
    share = record.measurement.reliability.total
    assert f"Signal-to-noise {numbers.digits(share / (1 - share))} over all units together" in words(text)


def test_dimensions_say_value_origin_and_the_convention_of_exponents(record):
    dimensions = {
        **record.measurement.dimensions,
        "density_exponent": Dimension(
            "density_exponent", Estimate(2.0, 1.8, 2.2, over="stimuli"), "ranks", "total sample", "density"
        ),
        "alpha_req": Dimension("alpha_req", Estimate(1.0), "ranks", "total sample", "rank"),
    }
    table = exponents.dimensions(recorded.recorded([measured(record, dimensions=dimensions)]))
    rows = {row.name: [cell.text for cell in row.cells] for row in table.rows}
    assert rows["density exponent"] == ["2.00", "ranks", "total sample", "density, p(λ) ∝ λ⁻ᵃ, a = 1 + 1/α"]
    assert rows["α-ReQ"][3] == "rank, λₙ ∝ n⁻ᵅ"
    assert rows["TwoNN"][3] == ""
    without = exponents.dimensions(recorded.recorded([record]))
    assert [heading for heading, _ in without.columns] == ["value", "of", "target"]
    assert exponents.dimensions(recorded.recorded([measured(record, dimensions={})])) is None


def test_the_page_is_an_outline_asks_for_nothing_and_runs_nothing(text):
    parsed = outline(text)
    assert "script" not in parsed.tags
    assert all(url.startswith(("#", "data:")) for url in parsed.urls)
    assert parsed.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(parsed.headings))
    ids = re.findall(r'\sid="([^"]*)"', text)
    assert len(set(ids)) == len(ids)
    labels = re.findall(r'<svg role="img" aria-label="([^"]*)"', text)
    assert len(labels) == text.count("<svg") >= 20
    assert all(re.search(r"\d", label) for label in labels)


def test_what_users_named_is_shown_and_never_run(record):
    found = record.measurement
    notice = (HOSTILE,)
    hostile = replace(
        found,
        name=HOSTILE,
        spectra={HOSTILE: replace(found.spectra["cvpca"], name=HOSTILE, estimator=HOSTILE, notices=notice)},
        fits={HOSTILE: replace(found.fits["cvpca"], method=HOSTILE, target=HOSTILE, notices=notice)},
        diagnostics={HOSTILE: replace(found.diagnostics["cvpca"], over={HOSTILE: Estimate(1.0, 0.9, 1.1)})},
        dimensions={HOSTILE: replace(found.dimensions["twonn"], name=HOSTILE, of=HOSTILE, scale=HOSTILE)},
        notices=(HOSTILE, HOSTILE),
    )
    parsed = outline(page.html([replace(record, measurement=hostile)], HOSTILE, HOSTILE))
    assert "script" not in parsed.tags


def test_a_spectrum_alone_and_nothing_at_all_make_pages(record):
    lone = Measurement("lone", spectra={"pca": record.measurement.spectra["pca"]}, notices=("90 stimuli × 4 units",))
    text = page.html([replace(record, measurement=lone)], "t", "c")
    assert headings(text) == ["The numbers", "PCA, and how far to trust it", "What could be wrong", "How it was made"]
    assert "No exponent could be fitted." in text
    empty = page.html([replace(record, measurement=Measurement("empty"))], "t", "c")
    assert headings(empty) == ["The numbers", "What could be wrong", "How it was made"]


def test_a_refused_main_fit_leaves_the_others(record):
    fits = {key: fit for key, fit in record.measurement.fits.items() if key != "pca"}
    table = exponents.exponents(recorded.recorded([measured(record, fits=fits)]))
    assert ("PCA", "Marčenko–Pastur") in [(row.name, row.note) for row in table.rows]
    beside = {"pca": replace(record.measurement.diagnostics["pca"], windows=(), subsampling=(), laws=())}
    text = page.html([measured(record, fits=fits, diagnostics=beside)], "t", "c")
    assert "no fit. 120 stimuli, 60 units" in text


def test_local_slopes_that_are_nowhere_known_are_said(record):
    beside = record.measurement.diagnostics["pca"]
    slopes = replace(beside.slopes, alpha=torch.full_like(beside.slopes.alpha, math.nan))
    changed = measured(record, spectra={}, moments={}, diagnostics={"pca": Diagnostics(slopes=slopes)})
    assert "Nowhere enough positive values." in words(page.html([changed], "t", "c"))


def test_several_recordings_stand_one_after_the_other_with_their_names(record):
    first = measured(record, diagnostics={})
    second = replace(first, run={**record.run, "arm": "other"}, measurement=replace(first.measurement, name="other"))
    text = page.html([first, second], "t", "c")
    assert "How fast do the eigenvalues of 2 recordings fall" in text
    assert "Over 2 recordings, α is" in words(text)
    found = headings(text)
    assert found.count("session: Spectra") == found.count("other: cvPCA, and how far to trust it") == 1
    assert "session: cvPCA" in text
    twins = recorded.recorded([record, record])
    assert [one.label for one in twins] == [record.name] * 2


def test_models_and_recordings_share_a_page(record):
    text = page.html([*pagerecords.records()[:1], measured(record, diagnostics={})], "t", "c")
    found = headings(text)
    assert found[:3] == ["The numbers", "Spectra", "Spectra"]
    assert {"Smoothness", "Robustness", "cvPCA, and how far to trust it"} <= set(found)
    assert "clean accuracy" in text
    ids = re.findall(r'\sid="([^"]*)"', text)
    assert len(set(ids)) == len(ids)


@pytest.mark.skipif(not recordingrecords.V4.exists(), reason="the V4 recording is not on this machine")
def test_the_macaque_recording_makes_a_page(tmp_path):
    responses, measurement = recordingrecords.v4()
    record = recordingrecords.saved(tmp_path, responses, "file:path=responses_201016.npy", measurement)
    path = page.write([record], tmp_path / "report.html", "V4", "eigenfall measure responses_201016.npy")
    told = words(path.read_text())
    assert "Understood as 600 stimuli × 82 units × 5-9 repeats ; axes guessed as units stimuli repeats." in told
    alpha = measurement.fits["cvpca"].alpha
    assert alpha == pytest.approx(1.2055, abs=0.01)  # specification, §2.1: halves, ranks 5 to 40
    assert f"{alpha:.2f}" in told
    assert "2323 missing repeats left out." in told
    assert path.stat().st_size < 2_000_000


def test_ranks_below_the_floor_are_said(record):
    values = torch.cat([torch.arange(1, 21, dtype=torch.float64) ** -1.0, torch.zeros(5, dtype=torch.float64)])
    flat = measured(record, spectra={"pca": Spectrum(values, 60, 25)}, fits={}, diagnostics={}, moments={})
    assert "PCA: 5 of 25 ranks lie below the numerical floor" in words(page.html([flat], "t", "c"))
