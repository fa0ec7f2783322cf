"""Randomised leading spectra: exact where the rank is low, on both sides; close on power laws; their loss is known."""

import pytest
import torch
from exact import power_law, seeded
from torch.testing import assert_close

from eigenfall.excess import exponent
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.grams import bias_of_sketch, gram, lost, sketching
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.spectra.pca import PCA
from eigenfall.stages import consumed
from eigenfall.types import Responses


def drawn(repeats=2, stimuli=60, units=90, rank=6, noise=0.0):
    scores = torch.randn(stimuli, rank, generator=seeded(0), dtype=torch.float64)
    loadings = torch.randn(rank, units, generator=seeded(1), dtype=torch.float64)
    values = scores @ loadings + 3
    return values + noise * torch.randn(repeats, stimuli, units, generator=seeded(2), dtype=torch.float64)


def streamed(values, over, size=7):
    pieces = values.split(size, dim=1 if over == "stimuli" else 2)
    return Responses(chunks=lambda: pieces, chunked_over=over, size=tuple(values.shape))


@pytest.mark.parametrize("over", ["memory", "stimuli", "units"])
def test_what_has_few_ranks_is_found_exactly(over):
    values = drawn()
    responses = Responses(values=values) if over == "memory" else streamed(values, over)
    for part in (PCA(), CvPCA(shuffles=3)):
        truth = part(Responses(values=values), seeded(0)).eigenvalues
        found = type(part)(**{**vars(part), "rank": 20})(responses, seeded(0))
        assert len(found.eigenvalues) == 10
        assert_close(found.eigenvalues[:6], truth[:6], rtol=1e-9, atol=0)
        assert float(found.eigenvalues[6:].abs().max()) < 1e-9 * float(truth[0])
        assert found.notices == (
            "randomised: the leading 10 ranks, from 20 columns and 2 power iterations; the rest was not computed. Of a "
            "law n^−1 or n^−0.5 the last of these ranks is 2.8 % or 9.8 % too small.",
        )


def test_all_columns_are_the_exact_solver():
    values = drawn(noise=0.5)
    truth = PCA()(Responses(values=values)).eigenvalues
    found = PCA(rank=60)(Responses(values=values), seeded(0))
    assert_close(found.eigenvalues, truth, rtol=1e-9, atol=0)
    assert found.notices == ()


@pytest.mark.parametrize("over", ["stimuli", "units"])
def test_the_coins_are_those_of_the_exact_solver(over):
    values = drawn(noise=0.5)
    truth = CvPCA(shuffles=4)(Responses(values=values), seeded(7)).eigenvalues
    found = CvPCA(shuffles=4, rank=58)(streamed(values, over), seeded(7)).eigenvalues
    assert_close(found[:10], truth[:10], rtol=1e-3, atol=1e-3 * float(truth[0]))


def test_a_gram_can_be_sketched_as_well():
    values = drawn(noise=0.2)
    truth = PCA()(Responses(values=values)).eigenvalues
    found = PCA(rank=30)(gram(Responses(values=values)), seeded(0))
    assert_close(found.eigenvalues[:6], truth[:6], rtol=1e-6, atol=0)
    assert len(found.eigenvalues) == 15


def test_what_was_read_is_kept():
    stream, kept = streamed(drawn(noise=0.5), "units"), {}
    whole = consumed(sketching(stream, 20, seeded(0)))
    for stage in sketching(stream, 20, seeded(0)):
        kept = {name: tensor.clone() for name, tensor in stage.made.items()}
        if stage.done == 3:
            break
    again = consumed(sketching(stream, 20, seeded(99), kept=kept))  # the basis is kept, so that nothing is drawn anew
    assert torch.equal(again.first, whole.first)
    assert torch.equal(again.across, whole.across)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_twice_the_last_rank_loses_little_of_a_power_law(alpha):
    # specification §8: 1200 stimuli, ranks 11-500; its rule k ≥ 2 · 500 with q ≥ 1 leaves .508, 1.004, 1.502 at worst
    law = power_law(alpha, 1200)
    found = lost(law.eigenvalues, 1000, seeded(0))
    assert len(found) == 500
    kept = type(law)(found, stimuli=1201, units=1200)
    assert LeastSquares(11, 500, clip=False)(kept).alpha == pytest.approx(alpha, abs=0.004)


def test_too_few_columns_steepen_the_law():
    # no iteration and hardly any spare column: the table's first line gives 1.110 for α = 1
    law = power_law(1.0, 1200)
    basis = torch.linalg.qr(law.eigenvalues.sqrt()[:, None] * torch.randn(1200, 510, generator=seeded(0)).double()).Q
    found = torch.linalg.svdvals(law.eigenvalues.sqrt()[:, None] * basis)[:500].square()
    kept = type(law)(found, stimuli=1201, units=1200)
    assert LeastSquares(11, 500, clip=False)(kept).alpha == pytest.approx(1.110, abs=0.01)


def exact_law(alpha, stimuli, units):
    """One repeat whose covariance over these very stimuli has the eigenvalues n^−α."""
    scores = torch.randn(stimuli, stimuli - 1, generator=seeded(0), dtype=torch.float64)
    scores = torch.linalg.qr(scores - scores.mean(0)).Q
    basis = torch.linalg.qr(torch.randn(units, stimuli - 1, generator=seeded(1), dtype=torch.float64)).Q
    weights = torch.arange(1, stimuli, dtype=torch.float64) ** (-alpha / 2) * (stimuli - 1) ** 0.5
    return (scores * weights @ basis.T)[None]


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("over", ["stimuli", "units"])
def test_what_is_said_to_be_lost_is_lost(alpha, over):
    values = exact_law(alpha, 513, 560)
    found = PCA(rank=128)(streamed(values, over, 100), seeded(3)).eigenvalues
    short, steeper = bias_of_sketch(alpha, 128)
    law = torch.arange(1, 65, dtype=torch.float64) ** -alpha
    assert float((1 - found / law)[-8:].mean()) == pytest.approx(short, rel=0.25)
    assert float(exponent(found, 10)) - alpha == pytest.approx(steeper, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("alpha, most", [(0.5, 0.008), (1.0, 0.005), (1.5, 0.002)])
def test_twice_the_last_rank_is_enough_of_a_recording(alpha, most):
    # specification §8: 1200 stimuli, ranks 11-500, k ≥ 2 · 500
    found = PCA(rank=1000)(streamed(exact_law(alpha, 1200, 1300), "units", 400), seeded(3))
    fitted = LeastSquares(11, 500, clip=False)(found).alpha
    assert fitted == pytest.approx(alpha, abs=most)
    assert fitted - alpha <= bias_of_sketch(alpha, 1000)[1]


def test_a_sketch_needs_the_default_centring():
    with pytest.raises(ValueError, match=r"^Expected centring=together and remove=none for a randomised solver, got"):
        CvPCA(rank=10, centring="apart")(Responses(values=drawn()), seeded(0))
