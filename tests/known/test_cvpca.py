"""Cross-validated PCA against explicit projections, closed forms and the V4 recording."""

import os
from dataclasses import replace
from pathlib import Path

import naive
import numpy as np
import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.grams import gram, reliability
from eigenfall.recordings.file import File
from eigenfall.repeats import two
from eigenfall.spectra.cvpca import PRESETS, CvPCA
from eigenfall.stages import consumed, seeds
from eigenfall.types import Responses

DATA = os.environ.get("EIGENFALL_DATA")


def drawn(stimuli, units, noise=0.7, seed=0):
    signal = torch.randn(stimuli, units, generator=seeded(seed), dtype=torch.float64)
    signal = signal * torch.arange(1, units + 1, dtype=torch.float64) ** -0.5 + 2
    return signal + noise * torch.randn(2, stimuli, units, generator=seeded(seed + 1), dtype=torch.float64)


def coins(part, stimuli, seed=0):
    """The coins that a part tosses with this seed."""
    if part.shuffles == 1:
        return np.zeros((1, stimuli), dtype=bool)
    tossed = [torch.rand(stimuli, generator=seeded(one)) < 0.5 for one in seeds(seeded(seed), part.shuffles)]
    return torch.stack(tossed).numpy()


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


# ---------------------------------------------------------------------------- known answers


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("stimuli, units", [(20, 33), (33, 20)])
def test_equals_projections_on_singular_vectors(name, stimuli, units):
    part, values = PRESETS[name], drawn(stimuli, units)
    found = part(Responses(values=values), seeded(0))
    truth, noise = naive.cross_validated(
        values[0], values[1], coins(part, stimuli), part.centring == "apart", part.remove == "stimulus_means"
    )
    count = min(len(truth), len(found.eigenvalues))
    near = {"rtol": 0, "atol": 1e-10 * float(found.eigenvalues[0])}
    # the last axis of centred responses has no variance, and its direction is arbitrary
    last = count - 2
    assert_close(found.eigenvalues[:last], torch.from_numpy(truth[:last]), **near)
    assert_close(found.beside["noise"][:last], torch.from_numpy(noise[:last]), **near)


@pytest.mark.parametrize("stimuli, units", [(20, 33), (33, 20)])
def test_all_ranks_add_up_to_what_repeats(stimuli, units):
    values = drawn(stimuli, units)
    moments = gram(Responses(values=values), side="stimuli")
    total = float(moments.pair(0, 1).trace()) / (stimuli - 1)
    assert float(CvPCA()(Responses(values=values), seeded(0)).eigenvalues.sum()) == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("stimuli, units", [(20, 33), (33, 20)])
def test_identical_repeats_give_the_variances(stimuli, units):
    rows = drawn(stimuli, units)[0]
    found = CvPCA()(Responses(values=torch.stack([rows, rows])), seeded(0))
    variances = torch.linalg.svdvals(rows - rows.mean(0)).square() / (stimuli - 1)
    assert_close(found.eigenvalues, variances[: len(found.eigenvalues)], rtol=0, atol=1e-10 * float(variances[0]))
    assert_close(found.beside["noise"], found.eigenvalues, rtol=0, atol=1e-9 * float(variances[0]))


@pytest.mark.parametrize("stimuli, units", [(20, 33), (33, 20)])
def test_the_gram_is_all_that_is_read(stimuli, units):
    values = drawn(stimuli, units)
    by_stimuli = CvPCA()(gram(Responses(values=values), side="stimuli"), seeded(0)).eigenvalues
    found = CvPCA()(Responses(values=values), seeded(0)).eigenvalues
    count = min(stimuli, units) - 1
    assert_close(found[:count], by_stimuli[:count], rtol=0, atol=1e-10 * float(found[0]))
    pieces = values.split(4, dim=1)
    streamed = CvPCA()(Responses(chunks=lambda: iter(pieces)), seeded(0)).eigenvalues
    assert_close(streamed, found, rtol=0, atol=1e-11 * float(found[0]))


def test_pure_noise_has_values_of_either_sign_and_no_exponent():
    # λ̂ₖ (S − 1) ~ N(0, σₖ²): s.d. about √N = 44.7, mean near 0, about half of them negative
    values = torch.randn(2, 300, 2000, generator=seeded(3), dtype=torch.float64)
    found = CvPCA()(Responses(values=values), seeded(0))
    scaled = CvPCA(shuffles=1)(Responses(values=values), seeded(0)).eigenvalues * 299
    assert 41 <= float(scaled.std()) <= 50
    assert abs(float(scaled.mean())) <= 9
    assert 0.41 <= float((scaled < 0).double().mean()) <= 0.59
    assert "at most 5 % of ranks" in refused(lambda: LeastSquares()(found))


def test_what_is_kept_is_not_made_again():
    responses = Responses(values=drawn(20, 33))
    part, kept = CvPCA(shuffles=4), {}
    for stage in part.working(responses, seeded(0)):
        kept |= {name: tensor.clone() for name, tensor in stage.made.items()}
        if "shuffle 1" in kept:
            break
    marked = {**kept, "shuffle 1": kept["shuffle 1"] + 1000}
    whole = part(responses, seeded(0)).eigenvalues
    assert torch.equal(consumed(part.working(responses, seeded(0), kept)).eigenvalues, whole)
    assert float(consumed(part.working(responses, seeded(0), marked)).eigenvalues.min()) > 5


def test_more_shuffles_change_little_and_one_swaps_none():
    responses = Responses(values=drawn(60, 90, noise=0.1))
    one, many = (CvPCA(shuffles=n)(responses, seeded(0)).eigenvalues for n in (1, 20))
    assert_close(one[:20], many[:20], rtol=0.3, atol=0.0)
    assert torch.equal(one, CvPCA(shuffles=1)(responses, seeded(9)).eigenvalues)


# ------------------------------------------------------------------------- a real recording


@pytest.mark.skipif(DATA is None, reason="needs EIGENFALL_DATA")
def test_the_macaque_recording_gives_its_numbers():
    # specification §10.3, T5: 82 units × 600 images, means of odd against even presentations, 100 shuffles
    responses = two(File(Path(DATA) / "v4-responses" / "responses_201016.npy")(), "alternate")
    found = CvPCA(shuffles=100)(responses, seeded(0))
    assert (found.stimuli, found.units) == (600, 82)
    assert found.eigenvalues[:5].tolist() == pytest.approx(
        [36.59, 17.39, 11.78, 10.32, 8.08], rel=6e-3
    )  # coins move them by .3 %
    assert float(found.eigenvalues.sum()) == pytest.approx(174.397, abs=5e-3)
    assert found.participation_ratio == pytest.approx(13.64, abs=0.02)
    assert LeastSquares(1, 40)(found).alpha == pytest.approx(1.004, abs=0.005)
    assert LeastSquares(5, 40)(found).alpha == pytest.approx(1.197, abs=0.005)
    assert float(reliability(gram(responses)).signal_share.mean()) == pytest.approx(0.5935, abs=0.001)


@pytest.mark.skipif(DATA is None, reason="needs EIGENFALL_DATA")
@pytest.mark.parametrize("how, alpha", [("alternate", 1.197), ("halves", 1.2055), ("first", 1.132)])
def test_the_way_to_split_moves_the_exponent(how, alpha):
    responses = two(File(Path(DATA) / "v4-responses" / "responses_201016.npy")(), how)
    assert LeastSquares(5, 40)(CvPCA(shuffles=100)(responses, seeded(0))).alpha == pytest.approx(alpha, abs=0.005)


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("repeats", [1, 3])
def test_another_number_of_repeats_is_refused(repeats):
    values = torch.ones(repeats, 10, 12, dtype=torch.float64)
    values[0, 0] = 0
    message = (
        f"Expected two repeats of v1, got {repeats}. Use pca for one repeat; make more into two with "
        "eigenfall.repeats.two, or --split halves."
    )
    responses = Responses(values=values, name="v1")
    assert refused(lambda: CvPCA()(responses, seeded(0))) == message
    assert refused(lambda: CvPCA()(gram(responses), seeded(0))) == message
    streamed = Responses(chunks=lambda: iter([values]), name="v1")
    assert refused(lambda: CvPCA()(streamed, seeded(0))) == message


def test_a_gram_over_units_cannot_swap():
    moments = gram(Responses(values=drawn(20, 8)))
    assert moments.side == "units"
    assert refused(lambda: CvPCA()(moments, seeded(0))) == (
        "Expected responses, or a Gram matrix over stimuli, to swap repeats, got a Gram matrix over units. Give the "
        "responses, or use shuffles=1."
    )
    found = CvPCA(shuffles=1)(moments, seeded(0)).eigenvalues
    truth, _ = naive.cross_validated(*drawn(20, 8), np.zeros((1, 20), dtype=bool))
    assert_close(found, torch.from_numpy(truth), rtol=0, atol=1e-10 * float(found[0]))


def test_settings_that_mean_nothing_are_refused():
    assert refused(lambda: replace(CvPCA(), shuffles=0)) == (
        "Expected at least one shuffle and one component, got shuffles=0, components=None. Use shuffles=1 for none, "
        "components=none for all."
    )
