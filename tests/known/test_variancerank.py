import pytest
import torch
from exact import power_law, seeded

from eigenfall.dimensions.variancerank import VarianceRank
from eigenfall.spectra.pca import PCA
from eigenfall.types import Responses, Spectrum


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def of(values):
    values = torch.as_tensor(values, dtype=torch.float64)
    return Spectrum(values, stimuli=len(values) + 1, units=len(values))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("share", [0.8, 0.9])
def test_power_laws(alpha, share):
    total, reached, rank = sum(n**-alpha for n in range(1, 1001)), 0.0, 0
    while reached < share * total:
        rank += 1
        reached += rank**-alpha
    found = VarianceRank(share)(power_law(alpha, 1000))
    assert found.value.value == rank
    assert found.name == f"rank_at_{100 * share:.0f}_percent"


def test_a_share_that_is_met_exactly_is_met():
    assert VarianceRank(0.9)(of([6.0, 3.0, 0.5, 0.5])).value.value == 2
    assert VarianceRank(0.8)(of([0.1] * 10)).value.value == 8
    assert VarianceRank(1.0)(of([0.1] * 10)).value.value == 10


def test_agrees_with_the_spectrum_itself():
    responses = Responses(values=torch.randn(2, 60, 40, generator=seeded(0), dtype=torch.float64))
    assert VarianceRank(0.9)(responses).value.value == PCA()(responses).rank_at_90_percent


def test_negative_eigenvalues_count_as_they_are():
    assert VarianceRank(0.8)(of([4.0, 3.0, 2.0, -1.0])).value.value == 2  # of 8


@pytest.mark.parametrize("share", [0.0, 80.0])
def test_a_share_that_is_none_is_refused(share):
    assert refused(lambda: VarianceRank(share)) == (
        f"Expected a share above 0 and at most 1, got {share:g}. Write 80 % as 0.8."
    )
