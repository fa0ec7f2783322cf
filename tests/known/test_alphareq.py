import naive
import pytest
import torch
from exact import power_law, seeded

from eigenfall.dimensions.alphareq import PRESETS, AlphaReQ
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.spectra.pca import PCA
from eigenfall.types import Responses, Spectrum


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def of(values, stimuli=None):
    values = torch.as_tensor(values, dtype=torch.float64)
    return Spectrum(values, stimuli=stimuli or len(values) + 1, units=len(values))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 1.3, 3.0])
@pytest.mark.parametrize("weights", ["1/n", "none"])
def test_a_power_law_is_found(alpha, weights):  # D1
    found = AlphaReQ(11, 500, weights)(power_law(alpha, 2800))
    assert found.value.value == pytest.approx(alpha, abs=1e-12)
    assert (found.convention, found.notices) == ("rank", ())
    assert found.of == f"eigenvalues, ranks 11–500, weights {weights}, of the covariance"


def test_normal_activations():  # D8
    torch.manual_seed(0)
    found = PRESETS["reptrix"](Responses(values=torch.randn(1000, 1024)[None]))
    assert found.value.value == pytest.approx(0.148936, abs=1e-5)
    assert PRESETS["reptrix"] == AlphaReQ(first_rank=11, last_rank=100, weights="1/n", clip=False)


def test_equals_reptrix():
    alpha = pytest.importorskip("reptrix.alpha")
    values = torch.randn(300, 200, generator=seeded(1))
    assert PRESETS["reptrix"](Responses(values=values[None])).value.value == pytest.approx(
        float(alpha.get_alpha(values)[0]), rel=1e-4
    )


@pytest.mark.parametrize("first_rank, alpha", [(5, 2.8208), (11, 2.8807)])
def test_the_circle_code(first_rank, alpha):  # D3: eigenvalues k⁻³, each twice
    values = torch.arange(1, 200, dtype=torch.float64).repeat_interleave(2) ** -3
    assert AlphaReQ(first_rank, 30)(of(values)).value.value == pytest.approx(alpha, abs=1e-4)


@pytest.mark.parametrize("weights", ["1/n", "none"])
def test_equals_the_fit_term_by_term(weights):
    values = power_law(1.1, 90).eigenvalues * torch.linspace(0.5, 2, 90, dtype=torch.float64).sin().abs()
    values[40] = 0.0
    found = AlphaReQ(3, 80, weights)(of(values))
    assert found.value.value == pytest.approx(naive.exponent(values.tolist(), 3, 80, weights == "1/n"), rel=1e-12)
    assert found.notices == ("1 of 78 ranks are not positive and were left out.",)


def test_equals_the_fit_of_the_spectrum_of_pca():
    responses = Responses(values=torch.randn(2, 300, 80, generator=seeded(2), dtype=torch.float64))
    fit = LeastSquares(11, 100)(PCA()(responses))
    found = AlphaReQ()(responses)
    assert found.value.value == pytest.approx(fit.alpha, rel=1e-12)
    assert found.notices == fit.notices == ("window shortened from ranks 11–100 to end at 78.",)
    assert found.of == "eigenvalues, ranks 11–78, weights 1/n, of the covariance by pca"


def test_window_past_the_end_is_refused():
    assert refused(lambda: PRESETS["reptrix"](power_law(1.0, 60))) == (
        "Expected at least 100 ranks, got a spectrum of 60. Use last_rank=60 or fewer, or record more stimuli."
    )


@pytest.mark.parametrize("ranks", [1, 5, 14])
def test_fewer_than_three_ranks_are_refused_naming_the_stimuli(ranks):
    assert refused(lambda: AlphaReQ()(power_law(1.0, ranks))) == (
        f"Expected a window of at least three ranks, got {max(0, ranks - 12)}: it starts at rank 11, and the numerical "
        f"rank is {ranks} with S = {ranks + 1} stimuli and {ranks} units. Start the window earlier, or record more "
        "stimuli."
    )


def test_more_than_five_percent_that_are_not_positive_are_refused():
    values = power_law(1.0, 110).eigenvalues.clone()
    values[[19, 39, 49, 69, 79, 89]] *= -1
    assert refused(lambda: AlphaReQ(1, 100)(of(values))) == (
        "Expected at most 5 % of ranks 1–100 without a positive eigenvalue, got 6 of 100. "
        "End the window earlier: this spectrum is noise there."
    )


@pytest.mark.parametrize("window", [(0, 10), (5, 5), (9, 3)])
def test_a_window_that_is_none_is_refused(window):
    assert refused(lambda: AlphaReQ(*window)) == (
        f"Expected 1 ≤ first_rank < last_rank, got first_rank={window[0]}, last_rank={window[1]}. "
        "Ranks count from 1, and the window includes both ends."
    )
