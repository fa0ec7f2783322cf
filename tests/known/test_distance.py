import math

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.smoothness.distance import Distance, signed_distances


def linear(classes=5, width=6, dtype=torch.float64):
    model = nn.Sequential(nn.Linear(width, classes)).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=seeded(3), dtype=torch.float64)
    return model.to(dtype)


def inputs(count=40, width=6):
    return torch.rand(count, width, generator=seeded(1), dtype=torch.float64)


@pytest.mark.parametrize("norm, dual", [("L2", 2), ("Linf", 1)])
def test_of_a_linear_model_it_is_the_distance_to_the_nearest_hyperplane(norm, dual):
    model, at = linear(), inputs()
    weights, bias = (parameter.detach() for parameter in model[0].parameters())
    truth = []
    for one in at:
        logits = weights @ one + bias
        own = int(logits.argmax())
        truth.append(min(float((logits[own] - logits[j]) / (weights[own] - weights[j]).norm(dual))
                         for j in range(5) if j != own))  # fmt: skip
    found = Distance(norm=norm, others="all")(model, at, "outputs", seeded(0))
    assert_close(found.values, torch.tensor(truth).double())
    nearer = Distance(norm=norm)(model, at, "outputs", seeded(0)).values  # the runner-up need not be the nearest
    assert (nearer >= found.values * (1 - 1e-12)).all()
    assert (nearer > found.values * (1 + 1e-9)).any()
    assert found.method == f"distance, {norm}, all classes, own decision"


def test_a_step_of_that_length_reaches_the_boundary_of_a_linear_model():
    model, at = linear(classes=2), inputs()
    way = (model[0].weight[1] - model[0].weight[0]).detach()
    signs = torch.where(model(at).argmax(1) == 0, 1.0, -1.0).double()
    found = Distance()(model, at, "outputs", seeded(0)).values
    there = at + (signs * found / way.norm())[:, None] * way
    assert_close(model(there)[:, 0], model(there)[:, 1], rtol=0, atol=1e-12)


class Ball(nn.Module):
    """Two classes: inside a ball, and outside."""

    def forward(self, x):
        lead = 0.5 - x.norm(dim=1)
        return torch.stack((lead, torch.zeros_like(lead)), 1)


def test_of_a_ball_it_is_the_distance_to_the_sphere():
    at = inputs() - 0.5
    found = signed_distances(Ball(), at, torch.zeros(40, dtype=torch.int64))
    assert_close(found.values, 0.5 - at.norm(dim=1))
    assert (found.values < 0).any()


def test_targets_make_it_negative_where_the_model_errs():
    model, at = linear(), inputs()
    own = model(at).argmax(1)
    right = signed_distances(model, at, own, others="all", chunk_size=7)
    assert_close(right.values, Distance(others="all")(model, at, "outputs", seeded(0)).values)
    assert (signed_distances(model, at, (own + 1) % 5).values < 0).all()
    assert right.method == "distance, L2, all classes, targets"


def test_a_tie_is_at_the_boundary_and_a_constant_lead_infinitely_far():
    model = linear(classes=2)
    model[0].weight.data[:] = 1.0
    model[0].bias.data[:] = 0.0
    assert (Distance()(model, inputs(), "outputs", seeded(0)).values == 0).all()
    model[0].bias.data[0] = 1.0
    assert (Distance()(model, inputs(), "outputs", seeded(0)).values == math.inf).all()


def test_single_precision_and_scale():
    model, at = linear(dtype=torch.float32), inputs().float()
    found = Distance()(model, at, "outputs", seeded(0))
    assert_close(found.values, Distance()(linear(), inputs(), "outputs", seeded(0)).values, rtol=1e-4, atol=1e-6)
    for parameter in model.parameters():
        parameter.data *= 1024
    assert torch.equal(Distance()(model, at, "outputs", seeded(0)).values, found.values)
    assert torch.equal(found.relative, found.values)


def test_what_cannot_be_decided_is_refused():
    assert refusal(Distance(), linear(classes=1), inputs(), "outputs", seeded(0)) == (
        "Expected two values or more of 'outputs' to decide between, got 1. Give a model with a logit per class."
    )
    assert refusal(signed_distances, linear(), inputs(), torch.zeros(3, dtype=torch.int64)) == (
        "Expected a target for each input, got 3 targets and 40 inputs. Give the class of each input."
    )
