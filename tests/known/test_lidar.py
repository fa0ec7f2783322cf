import naive
import pytest
import torch
from exact import seeded

from eigenfall.dimensions.lidar import PRESETS, LiDAR
from eigenfall.types import Responses


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def drawn(count, stimuli, units, noise=0.3, seed=0):
    signal = torch.randn(1, stimuli, units, generator=seeded(seed), dtype=torch.float64)
    return 2 + signal + noise * torch.randn(count, stimuli, units, generator=seeded(seed + 1), dtype=torch.float64)


def of(values, **settings):
    return LiDAR(**settings)(Responses(values=values))


@pytest.mark.parametrize("count, stimuli, units", [(2, 30, 6), (4, 9, 12), (3, 5, 20)])
@pytest.mark.parametrize("delta", [1e-2, 1e-6])
def test_equals_the_definition(count, stimuli, units, delta):
    values = drawn(count, stimuli, units)
    found = of(values, delta=delta)
    assert found.value.value == pytest.approx(naive.lidar(values, delta), rel=1e-6)
    assert (found.stimuli, found.units, found.repeats) == (stimuli, units, count)


def test_normal_activations():  # D8: the package squares; the definition does not
    torch.manual_seed(0)
    values = torch.randn(1000, 10, 1024).transpose(0, 1)
    assert PRESETS["reptrix"](Responses(values=values)).value.value == pytest.approx(348.08795, rel=1e-3)
    assert of(values).value.value == pytest.approx(588.557, rel=1e-4)
    assert PRESETS["reptrix"] == LiDAR(delta=1e-6, shares="squares", offset=1e-7)


def test_equals_reptrix():
    lidar = pytest.importorskip("reptrix.lidar")
    values = drawn(5, 80, 12).float()
    theirs = lidar.get_lidar(values.transpose(0, 1).contiguous(), 80, 5)
    # their column means, taken off the matrix of 12 rows, cost up to one dimension of it
    assert PRESETS["reptrix"](Responses(values=values)).value.value == pytest.approx(float(theirs), abs=1)


def test_an_axis_counts_for_how_far_stimuli_stand_apart_on_it_not_for_its_variance():
    """Axes of variances 1 and 10⁴ with noise in proportion count alike; without a signal an axis counts nothing."""
    values = drawn(10, 4000, 3, noise=0.1) * torch.tensor([1.0, 100.0, 1.0])
    values[..., 2] = torch.randn(10, 4000, generator=seeded(9), dtype=torch.float64)
    assert of(values).value.value == pytest.approx(2, abs=0.05)


def test_the_first_repeats_that_all_have_are_used():
    values = drawn(4, 30, 6)
    holed = values.clone()
    holed[3, :10] = torch.nan
    found = of(holed)
    assert found.value.value == pytest.approx(naive.lidar(values[:3], 1e-6), rel=1e-6)
    assert found.notices == ("20 repeats beyond the fewest of a stimulus were left out.",)
    assert found.repeats == 3


def test_one_repeat_is_refused():
    assert refused(lambda: of(drawn(1, 9, 4))) == (
        "Expected at least two repeats of every stimulus in responses, got one. "
        "LiDAR compares stimuli with their repeats: record or augment each twice."
    )


def test_identical_repeats_are_refused():
    assert refused(lambda: of(drawn(1, 9, 4).repeat(2, 1, 1))) == (
        "Expected differences between repeats of responses that vary over stimuli, got no variance in any unit. "
        "Look for a dead layer, or a constant input."
    )


def test_a_delta_that_rounding_swallows_is_refused():
    low = drawn(2, 40, 2) @ torch.randn(2, 8, generator=seeded(4), dtype=torch.float64)
    assert refused(lambda: of(1e9 * low)) == (
        "Expected a covariance between repeats that can be inverted, got one that rounding makes singular, with "
        "delta=1e-06. Raise delta, or scale the responses to a standard deviation near 1."
    )


def test_settings_that_are_none_are_refused():
    assert refused(lambda: LiDAR(delta=0.0)) == (
        "Expected delta > 0 and offset ≥ 0, got delta=0, offset=0. Usual are delta=1e-6 and offset=0."
    )
