"""The scikit-learn estimator: what the parts give by themselves, and scikit-learn's own checks."""

import pickle

import numpy as np
import pytest
import torch
from exact import refusal, seeded
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted
from torch.testing import assert_close

from eigenfall import parts, repeats
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.fits.momentlaw import MomentLaw
from eigenfall.intervals import half_samples
from eigenfall.pipeline import Eigenspectrum
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.spectra.meme import MEME
from eigenfall.spectra.pca import PCA
from eigenfall.types import Moments, Responses

FIT = "leastsquares:first_rank=2,last_rank=15"
QUICK = {"meme": "meme:moments=6,pairings=3,resamples=20"}


def drawn(count=2, stimuli=40, units=25):
    """Repeats of responses with a falling spectrum, shared by all units: scaling each does not level it."""
    signal = torch.randn(1, stimuli, units, generator=seeded(0), dtype=torch.float64)
    noise = torch.randn(count, stimuli, units, generator=seeded(1), dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(units, units, generator=seeded(2), dtype=torch.float64)).Q
    return signal * torch.arange(1, units + 1) ** -0.5 @ basis + 0.03 * noise


def stacked(values):
    """All stimuli of the first repeat, then all of the second, ..."""
    return torch.cat(list(values)).numpy()


# ---------------------------------------------------------------------------- known answers


def test_it_gives_what_the_parts_give():
    values = drawn()
    found = Eigenspectrum("cvpca:shuffles=3", FIT, repeats=2, seed=7).fit(stacked(values))
    spectrum = CvPCA(shuffles=3)(Responses(values=values), seeded(7))
    fit = LeastSquares(2, 15)(spectrum)
    np.testing.assert_array_equal(found.eigenvalues_, spectrum.eigenvalues.numpy())
    assert (found.alpha_, found.fit_.used, found.fit_.parameters) == (fit.alpha, (2, 15), fit.parameters)
    assert (found.spectrum_.stimuli, found.spectrum_.units, found.spectrum_.repeats) == (40, 25, 2)
    assert found.n_features_in_ == 25
    assert not hasattr(found, "feature_names_in_")


def test_parts_stand_for_their_names():
    rows = stacked(drawn())
    named = Eigenspectrum("cvpca:shuffles=3", FIT, repeats=2).fit(rows)
    given = Eigenspectrum(CvPCA(shuffles=3), LeastSquares(2, 15), repeats=2).fit(rows)
    assert named.alpha_ == given.alpha_


def test_moments_have_a_law_and_no_eigenvalues():
    values = drawn(units=60)
    found = Eigenspectrum(QUICK["meme"], "momentlaw", repeats=2).fit(stacked(values))
    moments = MEME(moments=6, pairings=3, resamples=20)(Responses(values=values), seeded(0))
    assert isinstance(found.spectrum_, Moments)
    assert_close(found.spectrum_.values, moments.values, rtol=0, atol=0)
    assert found.fit_.parameters["alpha"] == MomentLaw()(moments).parameters["alpha"]
    assert not hasattr(found, "eigenvalues_")


@pytest.mark.parametrize("name", parts.names("spectra"))
def test_every_estimator_is_a_step(name):
    fitter = "momentlaw" if name == "meme" else "leastsquares:first_rank=1,last_rank=5"
    steps = [("scale", StandardScaler()), ("spectrum", Eigenspectrum(QUICK.get(name, name), fitter, repeats=2))]
    pipe = Pipeline(steps).fit(stacked(drawn()))
    assert pipe[-1].alpha_ == pipe[-1].fit_.alpha > 0
    assert pipe.n_features_in_ == 25


def test_the_defaults_are_a_last_step():
    rows = stacked(drawn(1, 60, 40))
    pipe = Pipeline([("scale", StandardScaler()), ("spectrum", Eigenspectrum())]).fit(rows)
    scaled = torch.from_numpy(StandardScaler().fit_transform(rows))[None]
    spectrum = PCA()(Responses(values=scaled))
    assert_close(torch.from_numpy(pipe[-1].eigenvalues_), spectrum.eigenvalues, rtol=0, atol=1e-12)
    assert pipe[-1].fit_.used == (11, 38)


def test_an_interval_comes_from_half_samples():
    values = drawn()
    found = Eigenspectrum("pca", FIT, repeats=2, draws=10, seed=3).fit(stacked(values))
    responses = Responses(values=values)
    generator = seeded(3)
    wanted = half_samples(responses, PCA()(responses, generator), PCA(), LeastSquares(2, 15), generator, draws=10)
    assert found.fit_.parameters == wanted.parameters
    assert found.fit_.parameters["alpha"].low < found.alpha_ < found.fit_.parameters["alpha"].high


def test_more_repeats_are_made_into_two_and_missing_ones_are_nan():
    values = drawn(3)
    values[2, 5] = torch.nan
    found = Eigenspectrum("cvpca:shuffles=2", FIT, repeats=3, split="halves").fit(stacked(values))
    wanted = CvPCA(shuffles=2)(repeats.two(Responses(values=values), "halves"), seeded(0))
    np.testing.assert_array_equal(found.eigenvalues_, wanted.eigenvalues.numpy())
    averaged = Eigenspectrum("pca", None, repeats=3).fit(stacked(values))
    assert_close(
        torch.from_numpy(averaged.eigenvalues_), PCA()(Responses(values=values.nanmean(0, keepdim=True))).eigenvalues
    )


# --------------------------------------------------------------------- settings and searches


def test_settings_of_parts_are_settings():
    made = Eigenspectrum("cvpca:shuffles=20", "leastsquares", repeats=2)
    known = made.get_params()
    assert (known["estimator__shuffles"], known["fitter__first_rank"], known["fitter__last_rank"]) == (20, 11, 500)
    assert set(made.get_params(deep=False)) == {"estimator", "fitter", "repeats", "split", "draws", "seed"}
    assert made.set_params(fitter__first_rank=3, fitter__last_rank=30, estimator="cvpca", estimator__shuffles=2) is made
    assert parts.read("fits", made.fitter) == LeastSquares(3, 30)
    assert parts.read("spectra", made.estimator) == CvPCA(shuffles=2)
    given = Eigenspectrum(CvPCA(), None).set_params(estimator__shuffles=4)
    assert given.estimator == CvPCA(shuffles=4)


def test_clones_and_pickles_are_equal():
    rows = stacked(drawn())
    made = Eigenspectrum("cvpca:shuffles=3", LeastSquares(2, 15), repeats=2, seed=5)
    fitted = clone(made).fit(rows)
    assert clone(fitted).get_params() == made.get_params()
    with pytest.raises(NotFittedError):
        check_is_fitted(clone(fitted))
    again = pickle.loads(pickle.dumps(fitted))
    assert again.alpha_ == fitted.alpha_ == again.fit(rows).alpha_
    np.testing.assert_array_equal(again.eigenvalues_, fitted.eigenvalues_)


def test_a_search_over_settings_keeps_a_stimulus_together():
    values = drawn(2, 60, 25)
    pipe = Pipeline([("scale", StandardScaler()), ("spectrum", Eigenspectrum("cvpca:shuffles=2", FIT, repeats=2))])
    search = GridSearchCV(
        pipe,
        {"spectrum__fitter__first_rank": np.arange(1, 4), "spectrum__estimator": ["pca", "cvpca:shuffles=2"]},
        scoring=lambda fitted, rows: -fitted[-1].fit_.misfit,
        cv=GroupKFold(2),
        error_score="raise",
    ).fit(stacked(values), groups=np.tile(np.arange(60), 2))
    assert len(search.cv_results_["params"]) == 6
    best = search.best_params_
    expected = Eigenspectrum(
        best["spectrum__estimator"], LeastSquares(int(best["spectrum__fitter__first_rank"]), 15), 2
    )
    scaled = StandardScaler().fit_transform(stacked(values))
    assert search.best_estimator_[-1].alpha_ == expected.fit(scaled).alpha_
    seen = next(GroupKFold(2).split(stacked(values), groups=np.tile(np.arange(60), 2)))[0]
    assert (seen[:30] + 60 == seen[30:]).all()


def test_a_second_fit_leaves_nothing_of_the_first():
    rows = stacked(drawn())
    made = Eigenspectrum("pca", FIT).fit(rows)
    made.set_params(estimator=QUICK["meme"], fitter=None, repeats=2).fit(rows)
    assert [name for name in vars(made) if name.endswith("_")] == ["n_features_in_", "spectrum_"]


def test_a_fit_that_is_refused_leaves_it_as_it_was():
    made = Eigenspectrum("pca", "leastsquares:first_rank=1,last_rank=3000,clip=false")
    assert refusal(made.fit, stacked(drawn())).startswith("Expected at least 3000 ranks")
    with pytest.raises(NotFittedError):
        check_is_fitted(made, "spectrum_")


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "made, message",
    [
        (
            Eigenspectrum(repeats=3),
            "Expected rows of 3 repeats, all stimuli of one after all of another, got 80 rows. Stack as many rows for "
            "each repeat; fill those that are missing with NaN.",
        ),
        (
            Eigenspectrum("cvpca", repeats=1),
            "Expected two repeats of X, got 1. Use pca for one repeat; make more into two with eigenfall.repeats.two, "
            "or --split halves.",
        ),
        (
            Eigenspectrum("meme", repeats=2),
            "Expected a fitter that reads the moments of estimator='meme', got fitter='leastsquares'. Use "
            "fitter='momentlaw'.",
        ),
        (
            Eigenspectrum("pca", "momentlaw"),
            "Expected a fitter that reads the spectrum of estimator='pca', got fitter='momentlaw'. Use "
            "fitter='leastsquares'.",
        ),
        (Eigenspectrum("cvpac"), "Expected a known part of kind spectra, got 'cvpac'. Did you mean 'cvpca'?"),
        (
            Eigenspectrum(3),
            f"Expected a part of kind spectra as estimator, got 3. There are: {', '.join(parts.names('spectra'))}.",
        ),
        (
            Eigenspectrum(draws=2.5),
            "Expected a whole number of at least 0 as draws, got 2.5. Say how many: 1 repeat, 0 draws and seed 0 are "
            "the defaults.",
        ),
        (
            Eigenspectrum(split="thirds", repeats=2),
            "Expected a known way to make two repeats, got 'thirds'. There are: alternate, first, halves.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(made, message):
    assert refusal(made.fit, stacked(drawn())) == message


def test_a_single_nan_is_refused():
    rows = stacked(drawn())
    rows[3, 4] = np.nan
    assert refusal(Eigenspectrum(repeats=2).fit, rows) == (
        "Expected NaN in X only where a repeat is missing for all units, got a single one at repeat 0, stimulus 3, "
        "unit 4, counted from 0. Leave that unit or that repeat out."
    )


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"estimater": "pca"},
            "Expected a known setting of Eigenspectrum, got 'estimater'. Did you mean 'estimator'?",
        ),
        ({"seed__x": 1}, "Expected a known setting of Eigenspectrum, got 'seed'. There are: estimator, fitter."),
        (
            {"fitter__first_rnk": 1},
            "Expected a known setting of fitter='leastsquares', got 'first_rnk'. Did you mean 'first_rank'?",
        ),
        (
            {"fitter": None, "fitter__first_rank": 1},
            "Expected a known setting of fitter=None, got 'first_rank'. There are none.",
        ),
    ],
)
def test_unknown_settings_are_refused(settings, message):
    assert refusal(Eigenspectrum().set_params, **settings) == message


# --------------------------------------------------------------------- scikit-learn's checks


@parametrize_with_checks([Eigenspectrum(fitter=None), Eigenspectrum("pca:rank=1", None)])
def test_scikit_learns_own_checks(estimator, check):
    """Without a fit: its data have two to ten features, and an exponent takes a window of three ranks at least."""
    check(estimator)
