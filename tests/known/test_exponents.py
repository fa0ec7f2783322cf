"""A whole recording: what is measured by default, what stands beside it, and that it goes on from what was finished."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exact import refusal, seeded
from torch.testing import assert_close

from eigenfall.exponents import measuring_responses
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.momentlaw import MomentLaw
from eigenfall.plans import Plan
from eigenfall.recordings.file import File
from eigenfall.recordings.powerlaw import PowerLaw
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.spectra.meme import MEME
from eigenfall.spectra.pca import PCA
from eigenfall.stages import consumed
from eigenfall.types import Responses

QUICK = MEME(moments=5, pairings=2, resamples=12)
WINDOW = LeastSquares(first_rank=3, last_rank=30)
PLAN = Plan(
    spectra=(CvPCA(shuffles=2), QUICK), fits=(WINDOW,), draws=4, simulations=2, redraws=3, subsets=1, dimensions=()
)


@pytest.fixture(scope="module")
def responses():
    return PowerLaw(stimuli=120, units=60, noise=0.5, alignment=1.0)()


@pytest.fixture(scope="module")
def found(responses):
    return consumed(measuring_responses(responses, PLAN))


def test_every_estimator_has_its_exponent_and_says_of_what(found):
    assert {key: fit.target for key, fit in found.fits.items()} == {
        "cvpca": "signal sample",
        "meme": "signal population",
    }
    assert found.fits["cvpca"].used == (3, 30)
    assert found.fits["meme"].law == "power"
    assert [fit.law for fit in found.diagnostics["meme"].fits] == ["broken"]
    assert [fit.weights for fit in found.diagnostics["cvpca"].fits] == ["none"]


def test_targets_that_differ_are_warned_of(found):
    (warning,) = [notice for notice in found.notices if "different targets" in notice]
    assert warning == (
        "WARN: these exponents have different targets (cvpca: signal sample; meme: signal population). Compare like "
        "with like only."
    )


def test_every_source_of_variation_has_an_interval_of_its_own(found):
    for key in ("cvpca", "meme"):
        stimuli, over = found.fits[key].parameters["alpha"], found.diagnostics[key].over
        assert stimuli.over == "stimuli"
        assert set(over) == {"stimuli and trials", "trials", "units"}
        assert all(one.over == source for source, one in over.items())
        assert all(one.low < stimuli.value < one.high for one in (stimuli, *over.values()))


def test_what_stands_beside_an_exponent(found):
    beside = found.diagnostics["cvpca"]
    assert beside.windows[0].used == (3, 30)
    assert beside.slopes is not None
    assert [curve.over for curve in beside.subsampling] == ["stimuli", "units"]
    assert all(curve.alphas[-1].value == found.fits["cvpca"].alpha for curve in beside.subsampling)
    (bias,) = beside.bias
    assert (bias.stimuli, bias.units, bias.runs) == (120, 60, 3)
    assert bias.planted["alpha"] == found.fits["meme"].alpha
    assert bias.signal_share == pytest.approx(0.8, abs=0.1)  # noise of half the signal's standard deviation
    assert {law.fit.law for law in beside.laws} == {"power", "broken", "cutoff", "stretched", "lognormal"}


def test_every_number_is_a_row(found):
    said = {row["quantity"] for row in found.rows}
    assert {"alpha", "other_alpha", "window_alpha", "subsampled_alpha", "simulated_bias", "signal_share"} <= said
    assert {"alpha_over_units", "alpha_over_trials", "alpha_over_stimuli_and_trials", "law_against_power"} <= said


@pytest.mark.parametrize("stops", [9, pytest.param(40, marks=pytest.mark.slow)])
def test_it_goes_on_from_what_was_finished(responses, found, stops):
    """Interrupted after some stages and begun again with the pieces: the same numbers, and those stages are not made
    again."""
    kept, work = {}, measuring_responses(responses, PLAN)
    for _, stage in zip(range(stops), work):
        kept |= {name: tensor.clone() for name, tensor in stage.made.items()}
    work.close()
    again = consumed(measuring_responses(responses, PLAN, kept))
    for key, fit in found.fits.items():
        assert again.fits[key] == fit
    assert again.rows == found.rows


def test_finished_pieces_are_not_made_again(responses):
    kept, plan = {}, replace(PLAN, spectra=(CvPCA(shuffles=2),), simulations=0, redraws=0, subsets=0)
    for stage in measuring_responses(responses, plan):
        kept |= {name: tensor.clone() for name, tensor in stage.made.items()}
    kept["cvpca/shuffle 0"] = kept["cvpca/shuffle 0"] * 2  # not what would be made again
    again = consumed(measuring_responses(responses, plan, kept))
    first = kept["cvpca/shuffle 0"][0] + kept["cvpca/shuffle 1"][0]
    assert_close(again.spectra["cvpca"].eigenvalues, first[:60] / 2 / 119)  # as many ranks as units


def test_without_repeats_a_sample_and_the_population_behind_it():
    values = torch.randn(150, 80, generator=seeded(0)) * torch.arange(1, 81) ** -0.5
    plan = Plan(fits=(LeastSquares(3, 40),), draws=4, simulations=2, subsets=0, dimensions=())
    found = consumed(measuring_responses(Responses(values=values[None]), plan))
    assert set(found.fits) == {"pca"}
    assert [fit.method for fit in found.diagnostics["pca"].fits] == ["leastsquares", "marchenkopastur"]
    assert "marchenkopastur" in {law.fit.method for law in found.diagnostics["pca"].laws}
    assert found.reliability is None
    assert set(found.diagnostics["pca"].over) == {"units"}


def test_everything_beside_can_be_left_out(responses):
    plan = Plan(spectra=(CvPCA(shuffles=2),), fits=(WINDOW,), draws=0, simulations=0, subsets=0, dimensions=())
    found = consumed(measuring_responses(responses, plan))
    beside = found.diagnostics["cvpca"]
    assert not beside.over
    assert not beside.bias
    assert not beside.subsampling
    assert not beside.laws


def test_a_repeat_too_few_is_refused(responses):
    one = Responses(values=responses.values[:1], name="session")
    plan = Plan(spectra=(MEME(),), dimensions=())
    assert refusal(lambda: consumed(measuring_responses(one, plan))) == (
        "Expected at least two repeats of session, got 1. Use pca with the fit marchenkopastur for one repeat, or "
        "record each stimulus twice."
    )


def test_a_spectrum_that_every_fit_refuses_is_there_with_the_reason():
    values = torch.randn(2, 9, 50, generator=seeded(0))
    plan = Plan(spectra=(PCA(),), dimensions=())
    found = consumed(measuring_responses(Responses(values=values), plan))
    assert not found.fits
    assert len(found.spectra["pca"].eigenvalues) == 8
    assert found.notices[-1] == (
        "WARN: pca: Expected a window of at least three ranks, got 0: it starts at rank 11, and the numerical rank "
        "is 8 with S = 9 stimuli and 50 units. Start the window earlier, or record more stimuli."
    )


def test_stimuli_too_few_for_moments_are_measured_without_them():
    values = PowerLaw(stimuli=15, units=40, noise=0.1)().values
    plan = Plan(fits=(LeastSquares(1, 6),), draws=0, simulations=0, subsets=0, dimensions=())
    assert set(consumed(measuring_responses(Responses(values=values), plan)).fits) == {"cvpca"}


def test_fits_that_no_estimator_feeds_are_refused(responses):
    plan = Plan(spectra=(CvPCA(),), fits=(MomentLaw(),))
    assert refusal(lambda: consumed(measuring_responses(responses, plan))) == (
        "Expected a fit that reads what the estimators give, got momentlaw for cvpca. momentlaw reads the moments of "
        "meme, every other fit a spectrum."
    )


def test_macaque_v4():
    """T5 of the specification, through everything: windows and values as published there."""
    path = Path(__import__("os").environ.get("EIGENFALL_DATA", "nowhere")) / "v4-responses" / "responses_201016.npy"
    if not path.is_file():
        pytest.skip("no V4 responses")
    plan = Plan(
        spectra=(CvPCA(),),
        fits=(LeastSquares(5, 40),),
        draws=0,
        simulations=0,
        subsets=0,
        dimensions=(),
        split="halves",
    )
    found = consumed(measuring_responses(File(path)(), plan))
    assert found.fits["cvpca"].alpha == pytest.approx(1.2055, abs=0.02)
    assert found.notices[0].startswith("600 stimuli × 82 units × 5-9 repeats")
    assert "2323 missing repeats left out." in found.notices
