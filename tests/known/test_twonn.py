import naive
import numpy as np
import pytest
import torch
from exact import seeded
from sklearn.datasets import make_s_curve, make_swiss_roll
from torch.testing import assert_close

from eigenfall.dimensions._neighbours import points_of
from eigenfall.dimensions.twonn import TwoNN
from eigenfall.grams import gram
from eigenfall.types import Responses


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def cube(points, dimensions, units=None, seed=0):
    """Points of a cube, turned into more units."""
    inside = torch.rand(points, dimensions, generator=seeded(seed), dtype=torch.float64)
    if units is None:
        return inside[None]
    axes = torch.linalg.qr(torch.randn(units, dimensions, generator=seeded(seed + 1), dtype=torch.float64)).Q
    return (inside @ axes.T)[None]


def sphere(points, dimensions, seed=0):
    """The surface of a ball: one dimension fewer than it has units."""
    drawn = torch.randn(points, dimensions + 1, generator=seeded(seed), dtype=torch.float64)
    return (drawn / drawn.norm(dim=1, keepdim=True))[None]


def of(values, **settings):
    return TwoNN(**settings)(Responses(values=torch.as_tensor(values, dtype=torch.float64)))


# ------------------------------------------------------------------------ known answers


@pytest.mark.parametrize("estimator", ["slope", "likelihood"])
@pytest.mark.parametrize("dimensions", [1, 2, 4])
def test_cubes_and_spheres(estimator, dimensions):
    for values in (cube(2000, dimensions, units=20), sphere(2000, dimensions)):
        # the ratio's logarithm is exponential with rate d: the standard error is d / √2000
        found = of(values, estimator=estimator).value.value
        assert found == pytest.approx(dimensions, rel=4 / 2000**0.5 + 0.03 * (dimensions > 2))


@pytest.mark.parametrize("make", [make_swiss_roll, make_s_curve])
def test_a_bent_sheet_has_two_dimensions_where_its_variance_fills_three(make):
    values, _ = make(2000, random_state=0)
    assert of(values[None]).value.value == pytest.approx(2, abs=0.15)


def test_noise_shows_at_the_small_scale_only():
    """A circle with noise in two dimensions: all stimuli see the noise, an eighth of them the circle."""
    angle = 2 * torch.pi * torch.rand(4000, generator=seeded(0), dtype=torch.float64)
    values = torch.stack([angle.cos(), angle.sin()], 1) + 2e-3 * torch.randn(
        4000, 2, generator=seeded(1), dtype=torch.float64
    )
    found = of(values[None])
    assert found.scale == "share of the stimuli"
    assert found.scales.tolist() == [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128]
    assert found.by_scale[0] == found.value.value > 1.5
    assert found.by_scale[5:].mean() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("points, units", [(60, 3), (60, 40), (40, 60)])
@pytest.mark.parametrize("discard", [0.1, 0.3])
def test_equals_the_slope_pair_by_pair(points, units, discard):
    values = torch.randn(1, points, units, generator=seeded(3), dtype=torch.float64)
    assert of(values, discard=discard).value.value == pytest.approx(naive.two_nn(values[0], discard), rel=1e-9)


def test_repeats_are_averaged_first():
    values = torch.randn(3, 50, 7, generator=seeded(4), dtype=torch.float64)
    values[2, 10] = torch.nan
    found = of(values)
    assert found.value.value == pytest.approx(naive.two_nn(values.nanmean(0)), rel=1e-9)
    assert (found.of, found.repeats) == ("distances between stimuli, repeats averaged", 3)


def test_the_curve_depends_on_the_seed_and_the_dimension_does_not():
    values = cube(200, 2)
    first, second = of(values), of(values, seed=1)
    assert first.value == second.value
    assert first.by_scale[1] != second.by_scale[1]


def test_a_subset_has_twenty_stimuli_or_there_is_none():
    assert of(cube(159, 2)).scales.tolist() == [1, 1 / 2, 1 / 4]
    assert of(cube(160, 2)).scales.tolist() == [1, 1 / 2, 1 / 4, 1 / 8]
    assert of(cube(20, 2)).scales.tolist() == [1]


def test_equals_scikit_dimension():
    skdim = pytest.importorskip("skdim")
    for values in (cube(300, 3, units=10), cube(300, 3, units=40), sphere(200, 2)):
        theirs = skdim.id.TwoNN(discard_fraction=0.1).fit(values[0].numpy()).dimension_
        assert of(values).value.value == pytest.approx(theirs, rel=1e-6)
        with np.errstate(divide="ignore"):  # they take ln(1 − F) of the last point too, and do not use it
            theirs = skdim.id.TwoNN(discard_fraction=0, method="mle").fit(values[0].numpy()).dimension_
        assert of(values, estimator="likelihood").value.value == pytest.approx(theirs, rel=1e-6)


# ------------------------------------------------------------------------------ neighbours


def test_places_and_second_moments_have_the_same_neighbours():
    values = torch.randn(1, 80, 30, generator=seeded(5), dtype=torch.float64) + 100
    responses = Responses(values=values)
    by_places = points_of(responses, 3, "twonn")
    by_moments = points_of(gram(responses, side="stimuli"), 3, "twonn")
    assert by_places.squares is None
    assert by_moments.places is None
    truth = torch.tensor(naive.neighbour_distances(values[0], 5), dtype=torch.float64)
    assert_close(by_places.nearest(5), truth, rtol=1e-9, atol=0)
    assert_close(by_moments.nearest(5), truth, rtol=1e-9, atol=0)


def test_near_neighbours_are_told_apart_far_from_zero():
    """Blocks of products lose distances of 1e-6 at 1e3; differences do not."""
    values = 1e3 + torch.randn(50, 20, generator=seeded(6), dtype=torch.float64)
    values = torch.cat([values, values + 1e-6 * torch.randn(50, 20, generator=seeded(7), dtype=torch.float64)])
    found = points_of(Responses(values=values[None]), 3, "twonn").nearest(1)[:, 0]
    truth = (values[:50] - values[50:]).norm(dim=1)
    assert found.tolist() == pytest.approx([*truth.tolist(), *truth.tolist()], rel=1e-9)


@pytest.mark.parametrize("points, units", [(60, 4), (30, 50)])
def test_stimuli_at_the_same_place_count_once(points, units):
    values = torch.randn(1, points, units, generator=seeded(8), dtype=torch.float64)
    twice = torch.cat([values, values[:, 3:6], values[:, 3:6]], 1)
    found = of(twice)
    assert found.value.value == pytest.approx(naive.two_nn(values[0]), rel=1e-7)
    assert found.notices == ("6 stimuli at the place of another were left out.",)
    assert found.stimuli == points + 6


def test_twenty_thousand_stimuli():
    assert of(cube(20_000, 3).float(), estimator="likelihood").value.value == pytest.approx(3, rel=0.04)


# ---------------------------------------------------------------------------------- refusals


def test_too_few_stimuli_that_differ():
    values = torch.cat([cube(19, 2), cube(19, 2)], 1)
    assert refused(lambda: of(values)) == (
        "Expected at least 20 stimuli in responses that differ, got 19 of 38. "
        "Record more stimuli, or ask for fewer neighbours."
    )


def test_a_grid_has_no_ratio():
    grid = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))[None]
    assert refused(lambda: of(grid)) == (
        "Expected neighbours in responses at more than one distance, got ties everywhere. "
        "Points on a grid have no dimension of this kind."
    )


def test_a_gram_matrix_over_units_has_no_distances():
    assert refused(lambda: TwoNN()(gram(Responses(values=cube(40, 3)), side="units"))) == (
        "Expected a Gram matrix over stimuli, got one over units. Give the responses."
    )


def test_what_is_not_finite_is_refused():
    values = cube(40, 3)
    values[0, 5, 1] = torch.inf
    values[0, 9, 1] = torch.nan
    values[0, 7] = torch.nan
    assert refused(lambda: of(values)) == (
        "Expected finite responses, got NaN or infinity at 3 stimuli. Leave these stimuli out."
    )


@pytest.mark.parametrize("discard", [0.0, 1.0])
def test_a_share_that_is_none_is_refused(discard):
    assert refused(lambda: TwoNN(discard=discard)) == (
        f"Expected discard above 0 and below 1, got {discard:g}. The source leaves out a tenth: 0.1."
    )
