import math

import numpy as np
import pytest
import torch
from exact import power_law, seeded

from eigenfall.fits.brokenlaw import BrokenLaw
from eigenfall.fits.cutoff import Cutoff
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.lognormal import Lognormal
from eigenfall.fits.marchenkopastur import MarchenkoPastur
from eigenfall.fits.stretched import Stretched
from eigenfall.grams import gram
from eigenfall.intervals import half
from eigenfall.laws import eigenvalues
from eigenfall.rivals import score, scoring
from eigenfall.spectra.pca import PCA
from eigenfall.stages import consumed, seeds
from eigenfall.types import Responses

WINDOW = (1, 40)
LAWS = (LeastSquares(*WINDOW), BrokenLaw(*WINDOW), Cutoff(*WINDOW), Stretched(*WINDOW), Lognormal(*WINDOW))
PLANTED = {
    "power": {"alpha": 1.0},
    "broken": {"alpha_1": 0.3, "break_rank": 12, "alpha": 1.5},
    "cutoff": {"alpha_1": 0.5, "decay": 0.05},
    "stretched": {"rate": 0.7, "beta": 0.5},
    "lognormal": {"alpha_1": 0.2, "curvature": 0.2},
}


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def gaussian(law, stimuli, units, seed, **changed):
    values = eigenvalues(law, units, {**PLANTED[law], **changed, "scale": 1.0})
    rows = torch.randn(stimuli, units, generator=seeded(seed), dtype=torch.float64)
    return Responses(values=(rows * values.sqrt())[None])


def plain(scores):
    return [(found.fit, found.error, found.against_power, found.splits) for found in scores]


# ------------------------------------------------------------------------ known answers


@pytest.mark.parametrize("law", [law for law in PLANTED if law != "power"])
def test_the_law_that_was_planted_predicts_best(law):
    scores = score(gaussian(law, 6000, 60, 0), PCA(), LAWS, seeded(0), splits=10)
    best = min(scores, key=lambda found: found.error.value)
    assert best.fit.law == law
    assert best.against_power.high < 0
    assert best.splits == 10
    assert best.error.value < 0.04


@pytest.mark.parametrize("seed", [0, 1])
def test_where_the_power_law_is_true_no_rival_is_better(seed):
    scores = score(gaussian("power", 6000, 60, seed), PCA(), LAWS, seeded(seed), splits=10)
    assert [found.fit.law for found in scores] == ["power", "broken", "cutoff", "stretched", "lognormal"]
    for found in scores:
        assert found.against_power.low <= found.against_power.value <= found.against_power.high
        assert found.against_power.high > 0 or found.fit.law == "power"
    for tied in (scores[2], scores[4]):  # these hold the power law, and find it
        assert tied.against_power.low < 0 < tied.against_power.high
    assert (scores[0].against_power.low, scores[0].against_power.high) == (0, 0)


def test_a_bend_that_the_sample_makes_needs_no_other_law():
    """S = 200, N = 100: the sample bends a power law, laws that bend win, and the bent power law beats them all."""
    window = (5, 80)
    laws = [part(*window) for part in (LeastSquares, MarchenkoPastur, Cutoff, Stretched, Lognormal)]
    scores = score(gaussian("power", 200, 100, 0), PCA(), laws, seeded(0))
    assert all(found.against_power.high < 0 for found in scores[1:])
    assert min(scores, key=lambda found: found.error.value).fit.method == "marchenkopastur"


def test_equals_one_split_by_hand():
    """Two splits, each both ways round, with NumPy's eigenvalues and lines."""
    responses, n = gaussian("cutoff", 80, 30, 3), np.arange(2, 26)
    (found, _) = score(responses, PCA(), (LeastSquares(2, 25), Cutoff(2, 25)), seeded(5), splits=2)
    rows, w, errors = responses.values[0].numpy(), 1 / n, []
    for seed in seeds(seeded(5), 3)[:2]:
        chosen = half(80, 1, seeded(seed)).numpy()
        parts = rows[chosen], rows[np.setdiff1d(np.arange(80), chosen)]
        logs = [np.log(np.linalg.eigvalsh(np.cov(part, rowvar=False))[::-1][1:25]) for part in parts]
        for fitted, held in (logs, logs[::-1]):
            line = np.polynomial.Polynomial.fit(np.log(n), fitted, 1, w=np.sqrt(w))
            errors.append(math.sqrt((w * (held - line(np.log(n))) ** 2).sum() / w.sum()))
    assert found.error.value == pytest.approx(np.mean(errors), rel=1e-9)
    reach = 12.7062 * math.sqrt(1 / 2 + 1) * np.std(errors, ddof=1)
    assert found.error.high - found.error.value == pytest.approx(reach, rel=1e-4)


def test_differences_are_covered_as_often_as_they_say():
    """Over data sets, the mean difference lies in 95 % of the intervals, or in more: 40 of them, a cut-off planted."""
    laws = LeastSquares(1, 18), Cutoff(1, 18)
    found = [
        score(gaussian("cutoff", 200, 20, seed, alpha_1=0.8, decay=0.04), PCA(), laws, seeded(seed), splits=8)[1]
        for seed in range(40)
    ]
    centre = sum(one.against_power.value for one in found) / 40
    assert sum(one.against_power.low <= centre <= one.against_power.high for one in found) >= 34
    assert centre < 0


@pytest.mark.slow
@pytest.mark.parametrize("law", ["power", "cutoff"])
def test_differences_are_covered_at_another_size(law):
    changed = {} if law == "power" else {"alpha_1": 0.8, "decay": 0.01}
    laws = (*LAWS, MarchenkoPastur(*WINDOW))
    found = [score(gaussian(law, 2000, 60, seed, **changed), PCA(), laws, seeded(seed)) for seed in range(100)]
    for place in range(1, len(laws)):
        differences = [one[place].against_power for one in found]
        centre = sum(difference.value for difference in differences) / 100
        assert sum(difference.low <= centre <= difference.high for difference in differences) >= 88


# --------------------------------------------------------------------------- ways to get there


def test_a_gram_over_stimuli_is_enough():
    responses, laws = gaussian("power", 60, 90, 0), (LeastSquares(2, 25), Cutoff(2, 25))
    for from_rows, from_gram in zip(
        score(responses, PCA(), laws, seeded(1), splits=4), score(gram(responses), PCA(), laws, seeded(1), splits=4)
    ):
        assert from_gram.error.value == pytest.approx(from_rows.error.value, rel=1e-8)
        assert from_gram.against_power.low == pytest.approx(from_rows.against_power.low, abs=1e-10)


def test_streams_give_the_same():
    responses, laws = gaussian("power", 90, 30, 0), (LeastSquares(2, 25), Cutoff(2, 25))
    streamed = Responses(chunks=lambda: iter(responses.values.split(7, dim=1)))
    for kept, read in zip(*(score(one, PCA(), laws, seeded(1), splits=4) for one in (responses, streamed))):
        assert read.error.value == pytest.approx(kept.error.value, rel=1e-8)


def test_blocks_stay_in_one_half():
    """Every stimulus twice in a row: halves that share stimuli would know each other's noise."""
    rows = gaussian("power", 100, 20, 0).values.repeat_interleave(2, 1)
    laws = (LeastSquares(1, 18),)
    torn, together = (
        score(Responses(values=rows, block=block), PCA(), laws, seeded(0))[0].error.value for block in (1, 2)
    )
    assert together > 1.2 * torn


def test_an_interrupted_comparison_goes_on_bit_equal():
    responses, laws = gaussian("power", 90, 30, 0), (LeastSquares(2, 25), Cutoff(2, 25))
    whole = score(responses, PCA(), laws, seeded(2), splits=6)
    kept, stages = {}, []
    for stage in scoring(responses, PCA(), laws, seeded(2), splits=6):
        kept = {name: tensor.clone() for name, tensor in stage.made.items()}
        stages.append((stage.what, stage.done, stage.total))
        if stage.done == 4:
            break
    assert stages == [("rival laws", done, 6) for done in range(1, 5)]
    assert plain(consumed(scoring(responses, PCA(), laws, seeded(9), splits=6, kept=kept))) == plain(whole)
    assert [stage.done for stage in scoring(responses, PCA(), laws, seeded(9), splits=6, kept=kept)] == [5, 6]


def test_the_same_seed_gives_the_same_scores():
    responses, laws = gaussian("power", 60, 20, 0), (LeastSquares(2, 15), Lognormal(2, 15))
    first, again, other = (plain(score(responses, PCA(), laws, seeded(seed), 4)) for seed in (1, 1, 2))
    assert first == again != other


# ------------------------------------------------------------------------------ refusals


def test_laws_in_different_windows_are_refused():
    responses = gaussian("power", 100, 60, 0)
    assert refused(lambda: score(responses, PCA(), (LeastSquares(2, 40), Cutoff(2, 30)), seeded(0))) == (
        "Expected laws with the same window and weights, got leastsquares over ranks 2–40, weights 1/n, and cutoff "
        "over ranks 2–30, weights 1/n. Give all laws one window."
    )


def test_a_comparison_without_the_power_law_is_refused():
    responses = gaussian("power", 100, 60, 0)
    laws = (Cutoff(2, 40), MarchenkoPastur(2, 40))
    assert refused(lambda: score(responses, PCA(), laws, seeded(0))) == (
        "Expected a power law among the laws, got cutoff, marchenkopastur. Add leastsquares, with the same window."
    )


def test_a_law_of_something_else_is_refused():
    def other(spectrum):
        return MarchenkoPastur(2, 40)(spectrum)

    responses = gaussian("power", 100, 60, 0)
    assert refused(lambda: score(responses, PCA(), (LeastSquares(2, 40), other), seeded(0))) == (
        "Expected laws of the total sample spectrum, got marchenkopastur, whose target is the total population. "
        "Leave it out, or give it a method `sampled` that says what a sample makes of it."
    )


def test_fewer_than_two_splits_are_refused():
    assert refused(lambda: score(gaussian("power", 60, 20, 0), PCA(), LAWS, seeded(0), splits=1)) == (
        "Expected at least two splits, got splits=1. Take 20 or more."
    )


def test_halves_that_are_too_small_are_refused():
    laws = (LeastSquares(11, 500), Cutoff(11, 500))
    assert refused(lambda: score(gaussian("power", 30, 80, 0), PCA(), laws, seeded(0), splits=10)) == (
        "Expected at most 5 % of 10 splits that no law can be fitted to or held against, got 1 so far, the last for "
        "this reason: Expected a window of at least three ranks, got 2: it starts at rank 11, and the numerical rank "
        "is 14 with S = 15 stimuli and 80 units. Start the window earlier, or record more stimuli. Choose a window "
        "that half of the stimuli can fill."
    )


def test_a_split_that_is_refused_is_counted():
    calls = []

    def sometimes(spectrum):
        calls.append(spectrum)
        if len(calls) == 4:
            raise ValueError("Expected better, got this. Try again.")
        return LeastSquares(2, 15)(spectrum)

    responses = gaussian("power", 60, 20, 0)
    (found,) = score(responses, PCA(), (sometimes,), seeded(0), splits=20)
    assert found.splits == 19
    assert found.fit.notices == ("WARN: 1 of 20 splits could not be fitted. Expected better, got this. Try again.",)


def test_the_whole_is_fitted_too():
    responses = gaussian("power", 300, 40, 0)
    (found, _) = score(responses, PCA(), (LeastSquares(2, 30), Cutoff(2, 30)), seeded(0), splits=3)
    assert found.fit == LeastSquares(2, 30)(PCA()(responses))
    assert found.error.over == found.against_power.over == "stimuli"
    assert power_law(1.0, 3).numerical_rank == 3
