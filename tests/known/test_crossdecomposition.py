"""Cross-decomposition against singular vectors over units, and what it must give in special cases."""

import naive
import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.grams import gram
from eigenfall.spectra.crossdecomposition import CrossDecomposition
from eigenfall.stages import consumed, seeds
from eigenfall.types import Responses


def drawn(stimuli, units, noise=0.7, seed=0):
    signal = torch.randn(stimuli, units, generator=seeded(seed), dtype=torch.float64)
    signal = signal * torch.arange(1, units + 1, dtype=torch.float64) ** -0.5 + 2
    return signal + noise * torch.randn(2, stimuli, units, generator=seeded(seed + 1), dtype=torch.float64)


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


@pytest.mark.parametrize("stimuli, units", [(24, 40), (48, 10)])
@pytest.mark.parametrize("folds", [4, 8])
def test_equals_singular_vectors_over_units(stimuli, units, folds):
    values = drawn(stimuli, units)
    found = CrossDecomposition(folds=folds)(Responses(values=values), seeded(3))
    cut = seeds(seeded(3), 1 + folds)[0]
    parts = torch.randperm(stimuli, generator=seeded(cut)).tensor_split(folds)
    truth = naive.cross_decomposed(values[0], values[1], [part.numpy() for part in parts])
    count = len(found.eigenvalues)
    assert_close(found.eigenvalues, torch.from_numpy(truth[:count]), rtol=0, atol=1e-10 * float(abs(truth).max()))
    assert (found.target, found.estimator, found.stimuli, found.units) == (
        "held-out",
        "crossdecomposition",
        stimuli,
        units,
    )


def test_nothing_reliable_gives_nothing():
    values = torch.randn(2, 160, 300, generator=seeded(5), dtype=torch.float64)
    found = CrossDecomposition(permutations=200)(Responses(values=values), seeded(0))
    error = found.eigenvalues.std() / len(found.eigenvalues) ** 0.5
    assert abs(float(found.eigenvalues.mean())) < 4 * float(error)
    # 97.5 % of values lie below the null's 97.5 % quantile, rank by rank
    below = float((found.eigenvalues < found.beside["null"]).double().mean())
    assert 0.92 < below <= 1.0


def test_what_is_reliable_stands_above_the_null():
    found = CrossDecomposition(permutations=200)(Responses(values=drawn(160, 30, noise=0.1)), seeded(0))
    assert bool((found.eigenvalues[:10] > found.beside["null"][:10]).all())


def test_held_out_covariance_is_below_that_of_its_own_axes():
    values = drawn(60, 90)
    held_out = float(CrossDecomposition()(Responses(values=values), seeded(0)).eigenvalues.sum())
    both = values - values.mean(1, keepdim=True)
    own = float(torch.linalg.svdvals(both[0].T @ both[1]).sum()) / 60
    assert 0 < held_out < own


def test_the_gram_is_all_that_is_read_and_folds_are_kept():
    values = drawn(24, 40)
    part, moments = CrossDecomposition(folds=4), gram(Responses(values=values))
    whole = part(Responses(values=values), seeded(0)).eigenvalues
    assert_close(part(moments, seeded(0)).eigenvalues, whole)
    kept = {}
    for stage in part.working(moments, seeded(0)):
        kept |= stage.made
        if stage.done == 2:
            break
    assert torch.equal(consumed(part.working(moments, seeded(0), kept)).eigenvalues, whole)
    assert not torch.equal(part(moments, seeded(1)).eigenvalues, whole)


def test_refusals():
    values = drawn(24, 40)
    one = Responses(values=values[:1], name="v1")
    assert refused(lambda: CrossDecomposition()(one, seeded(0))) == (
        "Expected two repeats of v1, got 1. Use pca for one repeat; make more into two with eigenfall.repeats.two, or "
        "--split halves."
    )
    assert refused(lambda: CrossDecomposition(folds=20)(Responses(values=values), seeded(0))) == (
        "Expected at least 40 stimuli for 20 folds, got 24. Take fewer folds, or record more stimuli."
    )
    assert refused(lambda: CrossDecomposition()(gram(Responses(values=drawn(24, 10))), seeded(0))) == (
        "Expected responses, or a Gram matrix over stimuli, to hold stimuli out, got a Gram matrix over units. Give "
        "the responses: their chunks are read again."
    )
    assert refused(lambda: CrossDecomposition(folds=1)) == (
        "Expected at least two folds, got folds=1, permutations=0. Use folds=8: seven eighths of the stimuli then find "
        "the axes."
    )
