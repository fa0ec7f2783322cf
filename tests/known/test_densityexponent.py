import math

import pytest
import torch
from exact import power_law, seeded

from eigenfall.dimensions.alphareq import AlphaReQ
from eigenfall.dimensions.densityexponent import PRESETS, DensityExponent
from eigenfall.types import Responses, Spectrum


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def of(values):
    values = torch.as_tensor(values, dtype=torch.float64)
    return Spectrum(values, stimuli=len(values) + 1, units=len(values))


@pytest.mark.parametrize("alpha, value, hill", [(0.5, 3, 3.009), (1.0, 2, 2.004), (1.5, 1.667, 1.670)])
def test_power_laws(alpha, value, hill):  # D5: the line, and Hill on exact ranks
    law = power_law(alpha, 1000)
    assert DensityExponent()(law).value.value == pytest.approx(value, abs=5e-4)
    assert DensityExponent()(law).value.value == pytest.approx(1 + 1 / alpha, rel=1e-12)
    found = DensityExponent("hill", 1, 1000)(law)
    assert found.value.value == pytest.approx(hill, abs=5e-4)
    # 1 + N / Σ ln(λₙ/λ_N) with Σ = α (N ln N − ln N!)
    assert found.value.value == pytest.approx(1 + 1000 / (alpha * (1000 * math.log(1000) - math.lgamma(1001))))
    assert found.convention == DensityExponent()(law).convention == "density"


def test_one_is_the_other_plus_one():
    responses = Responses(values=torch.randn(1, 300, 200, generator=seeded(0), dtype=torch.float64))
    alpha = AlphaReQ(11, 100)(responses).value.value
    assert DensityExponent()(responses).value.value == pytest.approx(1 + 1 / alpha, rel=1e-12)


def test_draws_from_a_density_have_its_exponent():
    """Independent draws of p(λ) ∝ λ^−2.5, sorted: Hill, of all of them, within four standard errors."""
    uniform = torch.rand(4000, generator=seeded(1), dtype=torch.float64)
    drawn = (uniform ** (-1 / 1.5)).sort(descending=True).values
    found = DensityExponent("hill", 1, 4000)(of(drawn)).value.value
    assert found == pytest.approx(2.5, abs=4 * 1.5 / math.sqrt(4000))


def test_hills_curve_is_hill_at_each_end():
    law = power_law(1.2, 60)
    found = DensityExponent("hill", 1, 50)(law)
    assert found.scale == "largest eigenvalues"
    assert found.scales.tolist() == list(range(2, 51))
    for last in (3, 17, 50):
        assert found.by_scale[last - 2] == pytest.approx(DensityExponent("hill", 1, last)(law).value.value)
    assert found.by_scale[-1] == found.value.value


def test_equal_largest_eigenvalues_leave_a_gap_in_the_curve():
    found = DensityExponent("hill", 1, 4)(of([2.0, 2.0, 1.0, 0.5]))
    assert math.isnan(found.by_scale[0])
    assert found.value.value == pytest.approx(1 + 4 / math.log(4 * 4 * 2))


def test_a_window_that_was_shortened_is_said():
    assert DensityExponent("hill", 1, 500)(power_law(1.0, 60)).notices == (
        "window shortened from ranks 1–500 to end at 60.",
    )
    assert DensityExponent()(power_law(1.0, 60)).notices == ("window shortened from ranks 11–100 to end at 58.",)


def test_a_flat_spectrum_has_none():
    for part, used in ((DensityExponent(), "11–98"), (DensityExponent("hill", 1, 100), "1–100")):
        for level in (1.0, 0.3, 7e-9):
            assert refused(lambda part=part, level=level: part(of([level] * 100))) == (
                f"Expected eigenvalues that fall with the rank, got none that do over ranks {used}. "
                "A flat spectrum has no density exponent: choose another window."
            )


def test_hill_needs_positive_eigenvalues():
    assert refused(lambda: DensityExponent("hill", 1, 5)(of([3.0, 2.0, 1.0, -0.1, 0.5]))) == (
        "Expected at least three eigenvalues up to rank 5, all positive, got 5, 1 of them not positive. "
        "End the window earlier."
    )


def test_hill_begins_at_the_largest():
    assert refused(lambda: DensityExponent("hill", 11, 100)) == (
        "Expected first_rank=1 with estimator=hill, got first_rank=11. "
        "The tail of a density begins at its largest value; use estimator=line for other windows."
    )


def test_presets_say_every_field():
    assert PRESETS["hill1975"] == DensityExponent(estimator="hill", first_rank=1, last_rank=100)
