import math

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.smoothness.logvolume import LogVolume


def built(*modules, dtype=torch.float64):
    model = nn.Sequential(*modules)
    generator = seeded(7)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 3
    return model.to(dtype)


def inputs(count=9, width=6, dtype=torch.float64):
    return torch.rand(count, width, generator=seeded(1), dtype=torch.float64).to(dtype)


def measured(model, at, layer="outputs", **settings):
    return LogVolume(**settings)(model, at, layer, seeded(0))


def jacobian(model, one):
    return torch.autograd.functional.jacobian(lambda x: model(x[None])[0], one)


def test_of_a_hidden_layer_it_is_half_the_log_determinant():
    model, at = built(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)), inputs()
    truth = torch.stack([torch.logdet(jacobian(model[:2], one) @ jacobian(model[:2], one).T) / 2 for one in at])
    found = measured(model, at, "1")
    assert_close(found.values, truth, rtol=0, atol=1e-8)
    assert (found.ranks == 4).all()


def test_of_a_layer_wider_than_the_input_the_smaller_product_counts():
    model, at = built(nn.Linear(3, 200), nn.Tanh()), inputs(5, 3)  # 200 rows are folded into a triangle of 3
    truth = torch.stack([torch.logdet(jacobian(model, one).T @ jacobian(model, one)) / 2 for one in at])
    found = measured(model, at, "1")
    assert_close(found.values, truth, rtol=0, atol=1e-8)
    assert (found.ranks == 3).all()


def test_logits_are_projected_on_the_sum_zero_subspace():
    model, at = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)), inputs()
    basis = torch.linalg.qr(torch.eye(4, dtype=torch.float64) - 0.25).Q[:, :3].T
    truth = [torch.logdet(basis @ jacobian(model, one) @ (basis @ jacobian(model, one)).T) / 2 for one in at]
    found = measured(model, at)
    assert_close(found.values, torch.stack(truth), rtol=0, atol=1e-8)
    assert (found.ranks == 3).all()
    assert (found.quantity, found.scaling) == ("log_volume", "logarithmic")


class Lifted(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x) + 5 * x.square().sum(1, keepdim=True)


def test_what_all_logits_share_changes_nothing():
    model = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    plain, lifted = measured(model, inputs()), measured(Lifted(model), inputs())
    assert_close(lifted.values, plain.values, rtol=0, atol=1e-8)
    assert lifted.scale == pytest.approx(plain.scale, rel=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e9])
def test_scaling_adds_rank_times_the_logarithm(factor):
    model = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    plain = measured(model, inputs())
    model[2].weight.data *= factor
    model[2].bias.data *= factor
    scaled = measured(model, inputs())
    assert_close(scaled.values, plain.values + 3 * math.log(factor), rtol=0, atol=1e-8)
    assert_close(scaled.relative, plain.relative, rtol=0, atol=1e-8)


def test_a_scaled_isometry_has_rank_times_log_scale():
    model = nn.Sequential(nn.Linear(6, 4, bias=False)).double()
    model[0].weight.data = 2.5 * torch.linalg.qr(torch.randn(6, 6, generator=seeded(0), dtype=torch.float64)).Q[:4]
    assert_close(measured(model, inputs(), "0").values, torch.full((9,), 4 * math.log(2.5), dtype=torch.float64))
    assert_close(measured(model, inputs()).values, torch.full((9,), 3 * math.log(2.5), dtype=torch.float64))


def test_a_determinant_that_underflows_does_not():
    model = nn.Sequential(nn.Linear(60, 60, bias=False)).double()
    model[0].weight.data = 1e-8 * torch.eye(60, dtype=torch.float64)
    assert_close(measured(model, inputs(2, 60), "0").values, torch.full((2,), 60 * math.log(1e-8)).double())


def test_singular_values_far_below_the_largest_are_kept():
    model = nn.Sequential(nn.Linear(3, 3, bias=False)).double()
    model[0].weight.data = torch.diag(torch.tensor([1.0, 1e-6, 1e-12], dtype=torch.float64))  # JᵀJ would lose the last
    found = measured(model, inputs(2, 3), "0")
    assert_close(found.values, torch.full((2,), math.log(1e-18)).double(), rtol=0, atol=1e-3)
    assert (found.ranks == 3).all()


def test_dead_units_lower_the_rank_and_only_equal_ranks_compare():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU()).double()
    model[0].weight.data = torch.tensor([[2.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    at = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [2.0, 1.0]], dtype=torch.float64)
    found = measured(model, at, "1")
    assert found.ranks.tolist() == [2, 1, 0, 2]
    assert_close(found.values, torch.tensor([math.log(6), math.log(2), -math.inf, math.log(6)]).double())
    assert found.comparable.tolist() == [True, False, False, True]
    first = measured(model, at, "1", rank=1)
    assert_close(first.values, torch.tensor([math.log(3), math.log(2), -math.inf, math.log(3)]).double())
    assert first.ranks.tolist() == [1, 1, 0, 1]


def test_single_precision_agrees():
    model = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    double = measured(model, inputs())
    assert_close(measured(model.float(), inputs(dtype=torch.float32)).values, double.values, rtol=0, atol=1e-5)


def test_what_has_no_volume_is_refused():
    assert refusal(measured, built(nn.Linear(6, 1)), inputs()) == (
        "Expected two logits or more, got 1. "
        "Name a hidden layer: one logit has no volume of its own once the common part is taken out."
    )
    assert refusal(measured, built(nn.Linear(6, 4)), inputs(), rank=4) == (
        "Expected at least 4 singular values at 'outputs', got 3. Use rank=3 or less."
    )
    assert refusal(LogVolume, rank=0) == (
        "Expected a rank of 1 or more, or none, got rank=0. Use rank=none for each input's own."
    )


def test_rows_that_are_held_count_against_the_memory():
    model, sizes = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)), []
    model.register_forward_hook(lambda module, arguments, output: sizes.append(len(output)))
    # two passes of 54 values; rows: 3 · 6 · 4 values, all of 8 bytes
    measured(model, inputs(20), memory=5 * 8 * (2 * 54 + 72) / 1e9)
    assert sizes == [1, 5, 5, 5, 5]
