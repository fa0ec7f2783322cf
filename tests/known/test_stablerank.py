import pytest
import torch
from exact import power_law, seeded

from eigenfall.dimensions.stablerank import StableRank
from eigenfall.types import Responses, Spectrum


@pytest.mark.parametrize("alpha, value", [(0.5, 61.801), (1.0, 7.4855), (1.5, 2.5491)])
def test_power_laws(alpha, value):  # D5
    assert StableRank()(power_law(alpha, 1000)).value.value == pytest.approx(value, rel=1e-4)


def test_equals_the_ratio_of_matrix_norms():
    values = torch.randn(1, 40, 25, generator=seeded(0), dtype=torch.float64) + 3
    centred = values[0] - values[0].mean(0)
    truth = torch.linalg.matrix_norm(centred) ** 2 / torch.linalg.matrix_norm(centred, 2) ** 2
    assert StableRank()(Responses(values=values)).value.value == pytest.approx(float(truth), rel=1e-12)


def test_negative_eigenvalues_count_as_they_are():
    spectrum = Spectrum(torch.tensor([4.0, 3.0, -1.0], dtype=torch.float64), stimuli=9, units=3)
    assert StableRank()(spectrum).value.value == 1.5
