import naive
import pytest
import torch
from exact import seeded
from sklearn.datasets import make_swiss_roll

from eigenfall.dimensions.levinabickel import LevinaBickel
from eigenfall.grams import gram
from eigenfall.types import Responses


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def sphere(points, dimensions, seed=0):
    """The surface of a ball: no edge, at which neighbours are on one side only."""
    drawn = torch.randn(points, dimensions + 1, generator=seeded(seed), dtype=torch.float64)
    return (drawn / drawn.norm(dim=1, keepdim=True))[None]


def of(values, **settings):
    return LevinaBickel(**settings)(Responses(values=torch.as_tensor(values, dtype=torch.float64)))


@pytest.mark.parametrize("dimensions", [1, 2, 4])
def test_spheres(dimensions):
    found = of(sphere(2000, dimensions))
    assert found.value.value == pytest.approx(dimensions, rel=0.03 + 0.02 * (dimensions > 2))
    assert found.scale == "neighbours"
    assert found.scales.tolist() == list(range(3, 21))
    assert found.by_scale[-1] == found.value.value


def test_a_bent_sheet_has_two_dimensions():
    values, _ = make_swiss_roll(2000, random_state=0)
    assert of(values[None]).value.value == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("points, units", [(60, 3), (40, 60)])
def test_equals_the_likelihood_pair_by_pair(points, units):
    values = torch.randn(1, points, units, generator=seeded(3), dtype=torch.float64)
    found = of(values, neighbours=12)
    for k, value in zip(found.scales.tolist(), found.by_scale.tolist()):
        assert value == pytest.approx(naive.levina_bickel(values[0], int(k)), rel=1e-9)


def test_the_curve_ends_where_a_smaller_k_does():
    values = sphere(300, 2)
    curve = of(values, neighbours=20).by_scale
    assert of(values, neighbours=8).value.value == pytest.approx(float(curve[5]))


def test_which_way_is_without_bias():
    """Tᵢ is gamma(k − 1): for k = 5 the mean of (k − 1)/Tᵢ is 4/3 of the dimension, those of the other two are it."""
    values = sphere(6000, 2)
    found = {
        (pooling, unbiased): of(values, neighbours=5, pooling=pooling, unbiased=unbiased).value.value
        for pooling in ("harmonic", "mean")
        for unbiased in (False, True)
    }
    assert found["harmonic", False] == pytest.approx(2, rel=0.03)
    assert found["mean", True] == pytest.approx(2, rel=0.04)
    assert found["mean", False] == pytest.approx(2 * 4 / 3, rel=0.04)
    assert found["mean", True] / found["mean", False] == pytest.approx(3 / 4)
    assert found["harmonic", True] / found["harmonic", False] == pytest.approx(3 / 4)


def test_equals_scikit_dimension():
    skdim = pytest.importorskip("skdim")
    for values in (sphere(200, 3), torch.randn(1, 200, 40, generator=seeded(1), dtype=torch.float64)):
        for pooling, comb in (("harmonic", "mle"), ("mean", "mean")):
            for unbiased in (False, True):
                theirs = skdim.id.MLE(unbiased=unbiased).fit(values[0].numpy(), n_neighbors=20, comb=comb).dimension_
                assert of(values, pooling=pooling, unbiased=unbiased).value.value == pytest.approx(theirs, rel=1e-6)


def test_too_few_stimuli_for_so_many_neighbours():
    assert refused(lambda: of(sphere(20, 2))) == (
        "Expected at least 21 stimuli in responses that differ, got 20 of 20. "
        "Record more stimuli, or ask for fewer neighbours."
    )


def test_neighbours_at_one_distance_have_no_dimension():
    simplex = torch.eye(30, dtype=torch.float64)[None]
    assert refused(lambda: of(simplex)) == (
        "Expected neighbours in responses at more than one distance, got ties everywhere. "
        "Points on a grid have no dimension of this kind."
    )


def test_a_gram_matrix_over_units_has_no_distances():
    assert refused(lambda: LevinaBickel()(gram(Responses(values=sphere(40, 3)), side="units"))) == (
        "Expected a Gram matrix over stimuli, got one over units. Give the responses."
    )


def test_two_neighbours_are_too_few():
    assert refused(lambda: LevinaBickel(neighbours=2)) == (
        "Expected at least three neighbours, got 2. The default is 20; twonn needs two."
    )
