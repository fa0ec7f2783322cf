import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.sensitivity import sensitivity
from eigenfall.spectra.pca import PCA
from eigenfall.types import Responses


def built(*modules):
    model = nn.Sequential(*modules)
    generator = seeded(7)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 2
    return model.double()


def inputs(count=7, width=5):
    return torch.rand(count, width, generator=seeded(1), dtype=torch.float64)


def eigenvalues(model, at):
    rows = model(at).flatten(1)
    centred = rows - rows.mean(0)
    return torch.linalg.eigvalsh(centred.T @ centred / (len(at) - 1)).flip(0)


@pytest.mark.parametrize("units", [4, 12])  # fewer and more than stimuli
@pytest.mark.parametrize("chunk_size", [1, 3, 256])
def test_equals_autograd_through_the_eigenvalues(units, chunk_size):
    model, at = built(nn.Linear(5, units), nn.Tanh()), inputs()
    found = sensitivity(model, at, "1", ranks=(1, 2, 4), chunk_size=chunk_size)
    for number, rank in enumerate(found.ranks):
        leaf = at.clone().requires_grad_()
        (truth,) = torch.autograd.grad(eigenvalues(model, leaf)[rank - 1], leaf)
        assert_close(found.maps[number], truth, rtol=1e-7, atol=1e-10)


def test_equals_finite_differences():
    model, at, step = built(nn.Linear(5, 4), nn.Softplus(), nn.Linear(4, 3)), inputs(), 1e-5
    found = sensitivity(model, at, "outputs", ranks=(1, 3))
    with torch.no_grad():
        for image in range(7):
            for pixel in range(5):
                moved = [at.clone(), at.clone()]
                moved[0][image, pixel] += step
                moved[1][image, pixel] -= step
                slope = (eigenvalues(model, moved[0]) - eigenvalues(model, moved[1]))[[0, 2]] / (2 * step)
                assert_close(found.maps[:, image, pixel], slope, rtol=1e-6, atol=1e-9)


def test_its_eigenvalues_are_those_of_pca():
    model, at = built(nn.Linear(5, 4), nn.Tanh()), inputs()
    with torch.no_grad():
        truth = PCA()(Responses(values=model(at)[None])).eigenvalues
    found = sensitivity(model, at, "1", ranks=(1, 2, 3, 4))
    assert_close(found.eigenvalues, truth)
    steps = truth[:-1] - truth[1:]
    assert_close(found.gaps, torch.stack((steps[0], min(steps[:2]), min(steps[1:]), steps[2])) / truth)
    assert found.notices == ()


def test_of_the_inputs_themselves_it_is_the_score_times_the_component():
    at = inputs()
    found = sensitivity(nn.Sequential(nn.Identity()), at, "0", ranks=(1,))
    centred = at - at.mean(0)
    vector = torch.linalg.svd(centred).Vh[0]
    assert_close(found.maps[0], 2 / 6 * (centred @ vector)[:, None] * vector)


def test_all_together_they_make_the_derivative_of_the_total_variance():
    model, at = built(nn.Linear(5, 4), nn.Tanh()), inputs()
    leaf = at.clone().requires_grad_()
    (truth,) = torch.autograd.grad(model(leaf).var(0).sum(), leaf)
    assert_close(sensitivity(model, at, "1", ranks=(1, 2, 3, 4)).maps.sum(0), truth)


def test_moving_every_input_alike_through_a_shift_moves_nothing():
    found = sensitivity(built(nn.Linear(5, 4)), inputs(), "0", ranks=(1, 2))
    assert_close(found.maps.sum(1), torch.zeros(2, 5, dtype=torch.float64), rtol=0, atol=1e-12)


def test_eigenvalues_that_meet_are_told():
    at = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)  # a circle: both eigenvalues 2/3
    found = sensitivity(nn.Sequential(nn.Identity()), at, "0", ranks=(1, 2))
    assert found.notices == ("eigenvalues 1, 2 meet others: their maps are of no one eigenvalue.",)
    assert (found.gaps < 1e-12).all()
    leaf = at.clone().requires_grad_()
    (truth,) = torch.autograd.grad(leaf.var(0).sum(), leaf)
    assert_close(found.maps.sum(0), truth)  # the sum over the pair stays right


def test_convolutional_maps_and_the_model_left_as_found():
    model = built(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh()).train()
    at = torch.rand(6, 1, 5, 5, generator=seeded(1), dtype=torch.float64)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    found = sensitivity(model, at, "2", ranks=(1, 5))
    assert found.maps.shape == (2, 6, 1, 5, 5)
    assert model.training
    assert not at.requires_grad
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_has_no_map_is_refused():
    model = built(nn.Linear(5, 4), nn.Tanh())
    assert refusal(sensitivity, model, inputs(), "1", ranks=(1, 5)) == (
        "Expected ranks from 1 to 4, got 1, 5. 7 stimuli and 4 units have no more."
    )
    assert refusal(sensitivity, model, inputs(1), "1") == ("Expected at least two stimuli, got 1. Give more inputs.")
    assert refusal(sensitivity, model, inputs(), "1", chunk_size=0) == (
        "Expected a chunk_size of 1 or more, got 0. Use 256, which is the default."
    )
    model[0].weight.data *= 0
    assert refusal(sensitivity, model, inputs(), "1") == (
        "Expected finite values of '1' that vary over stimuli, got NaN, infinity, or the same everywhere. "
        "Look for a dead layer, or diverged weights."
    )
