import copy
import math

import naive
import pytest
import torch
from exact import seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.smoothness._passes import bytes_per_input
from eigenfall.smoothness.frobenius import Frobenius

DISTRIBUTIONS = ("signs", "gaussian", "sphere")


def built(*modules, dtype=torch.float64):
    """Modules with weights that depend on no global state."""
    model = nn.Sequential(*modules)
    generator = seeded(7)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 3
    return model.to(dtype)


def inputs(count=9, *shape, dtype=torch.float64):
    return torch.rand(count, *(shape or (6,)), generator=seeded(1), dtype=torch.float64).to(dtype)


def norms(model, at, layer="outputs", seed=0, **settings):
    return Frobenius(**settings)(model, at, layer, seeded(seed)).values


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


# -------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_a_linear_map_has_the_norm_of_its_weights(dtype, tolerance):
    model = built(nn.Linear(6, 4), dtype=dtype)
    truth = model[0].weight.detach().double().norm().expand(9)
    assert_close(norms(model, inputs(dtype=dtype)), truth, rtol=tolerance, atol=0)


def test_a_scaled_isometry_has_root_k_times_the_scale():
    model = nn.Sequential(nn.Linear(6, 4, bias=False)).double()
    model[0].weight.data = 2.5 * torch.linalg.qr(torch.randn(6, 6, generator=seeded(0), dtype=torch.float64)).Q[:4]
    assert_close(norms(model, inputs()), torch.full((9,), 2.5 * 2.0, dtype=torch.float64))
    # all eigenvalues of JJᵀ are alike, so a projection on the sphere has no variance
    assert_close(norms(model, inputs(), projections=1, distribution="sphere"), norms(model, inputs()))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_a_relu_network_is_its_masked_weights(dtype, tolerance):
    model = built(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 4), dtype=dtype)
    at, truth = inputs(dtype=dtype), []
    for one in at.double():
        active = (model[0].weight.double() @ one + model[0].bias.double() > 0).double()
        truth.append((model[2].weight.double() * active) @ model[0].weight.double())
    assert_close(norms(model, at), torch.stack(truth).detach().flatten(1).norm(dim=1), rtol=tolerance, atol=0)


class RePU(nn.Module):
    def forward(self, x):
        return x.relu() ** 3


def test_powers_of_relu():
    # ‖J‖² = Σ q² ReLU(h)^{2(q−1)} ‖w‖²
    model, at = built(nn.Linear(6, 5, bias=False), RePU()), inputs()
    rows = model[0].weight.detach()
    truth = (9 * (at @ rows.T).relu() ** 4 * rows.square().sum(1)).sum(1).sqrt()
    assert_close(norms(model, at), truth, rtol=1e-10, atol=0)


def test_a_circular_convolution_is_its_kernel_at_every_place():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular", bias=False)).double()
    truth = float(model[0].weight.detach().norm()) * math.sqrt(25)
    assert_close(norms(model, inputs(4, 1, 5, 5)), torch.full((4,), truth, dtype=torch.float64))


@pytest.mark.parametrize("layer", ["1", "3", "outputs"])
def test_equals_finite_differences_at_every_layer(layer):
    model = built(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(18, 7), nn.Softplus(), nn.Linear(7, 3))
    at = inputs(3, 1, 5, 5)
    until = {"1": model[:2], "3": model[:4], "outputs": model}[layer]
    truth = torch.stack([naive.jacobian(until, one).norm() for one in at])
    assert_close(norms(model, at, layer), truth, rtol=1e-7, atol=0)


# ------------------------------------------------------------------------- projections


@pytest.fixture(scope="module")
def smooth():
    return built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))


def variance(model, one, distribution):
    """Variance of one draw of ‖Jᵀv‖² by its closed form."""
    jacobian = torch.autograd.functional.jacobian(lambda x: model(x[None])[0], one)
    a = jacobian @ jacobian.T
    classes, square, trace = len(a), (a @ a).trace(), a.trace()
    return {
        "gaussian": 2 * square,
        "signs": 2 * (square - a.diagonal().square().sum()),
        "sphere": 2 * classes / (classes + 2) * (square - trace**2 / classes),
    }[distribution]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_projections_have_the_exact_mean_and_the_closed_form_variance(distribution, smooth):
    one, draws = inputs(1), 20_000
    many = norms(smooth, one.expand(draws, -1), projections=1, distribution=distribution).square()
    exact, spread = float(norms(smooth, one)) ** 2, float(variance(smooth, one[0], distribution))
    assert abs(float(many.mean()) - exact) < 4 * math.sqrt(spread / draws)
    assert float(many.var()) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("projections", [3, 4])
def test_the_mean_does_not_depend_on_how_many_projections(distribution, projections, smooth):
    one, draws = inputs(1), 4000
    many = norms(smooth, one.expand(draws, -1), projections=projections, distribution=distribution).square()
    spread = float(variance(smooth, one[0], distribution)) / projections
    assert abs(float(many.mean()) - float(norms(smooth, one)) ** 2) < 4 * math.sqrt(spread / draws)


def test_error_falls_with_the_root_of_the_projections(smooth):
    exact, counts, errors = norms(smooth, inputs(60)).square(), [1, 4, 16, 64], []
    for count in counts:
        errors.append(float((norms(smooth, inputs(60), projections=count).square() / exact - 1).square().mean().sqrt()))
    x, y = torch.tensor(counts).double().log(), torch.tensor(errors).double().log()
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
    assert slope == pytest.approx(-0.5, abs=0.1)


@pytest.mark.parametrize("settings", [{}, *({"projections": 2, "distribution": name} for name in DISTRIBUTIONS)])
@pytest.mark.parametrize("chunk_size", [1, 7, 50])
def test_chunks_change_nothing(settings, chunk_size, smooth):
    whole = Frobenius(**settings)(smooth, inputs(20), "outputs", seeded(0))
    parts = Frobenius(**settings, chunk_size=chunk_size)(smooth, inputs(20), "outputs", seeded(0))
    assert_close(parts.values, whole.values, rtol=1e-12, atol=0)
    assert parts.scale == pytest.approx(whole.scale, rel=1e-12)


def test_the_generator_decides_the_draws(smooth):
    assert torch.equal(norms(smooth, inputs(), projections=1), norms(smooth, inputs(), projections=1))
    assert not torch.equal(norms(smooth, inputs(), projections=1), norms(smooth, inputs(), projections=1, seed=1))
    state = (generator := seeded(0)).get_state()
    Frobenius()(smooth, inputs(), "outputs", generator)
    assert torch.equal(generator.get_state(), state)


# ------------------------------------------------------------------- scale, state, memory


def test_scale_is_the_spread_of_the_layer_about_its_mean(smooth):
    found = Frobenius(chunk_size=4)(smooth, inputs(20), "1", seeded(0))
    with torch.no_grad():
        values = smooth[:2](inputs(20))
    assert found.scale == pytest.approx(float((values - values.mean(0)).square().mean().sqrt()), rel=1e-12)
    assert (found.quantity, found.layer, found.method) == ("jacobian_norm", "1", "frobenius, exact")


def test_multiplying_a_layer_moves_norm_and_scale_alike(smooth):
    found = Frobenius()(smooth, inputs(), "outputs", seeded(0))
    scaled = copy.deepcopy(smooth)
    scaled[2].weight.data *= 3
    scaled[2].bias.data *= 3
    other = Frobenius()(scaled, inputs(), "outputs", seeded(0))
    assert_close(other.values, 3 * found.values)
    assert_close(other.values / other.scale, found.values / found.scale)


def test_the_model_and_the_inputs_are_left_as_found():
    model = built(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 4)).train()
    before, at = copy.deepcopy(model.state_dict()), inputs()
    norms(model, at)
    assert model.training
    assert not at.requires_grad
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_works_where_gradients_are_switched_off(smooth):
    with torch.no_grad():
        assert_close(norms(smooth, inputs()), norms(smooth, inputs()))


def test_chunks_follow_from_the_memory(monkeypatch):
    model, sizes = built(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)), []
    model.register_forward_hook(lambda module, arguments, output: sizes.append(len(output)))
    # float64: outputs 8 + 8 + 4, the whole model's 4 once more, the layer 4 thrice, the input 6 thrice
    assert bytes_per_input(model, inputs(1), "outputs") == 8 * (8 + 8 + 4 + 4 + 12 + 18)
    sizes.clear()
    norms(model, inputs(20), memory=2 * 5 * 8 * 54 / 1e9)  # values, and what is pulled back
    assert sizes == [1, 5, 5, 5, 5]
    sizes.clear()
    norms(model, inputs(20), memory=1e-12)
    assert sizes == [1] * 21


def test_a_layer_that_is_constant_has_norm_and_scale_zero():
    model = built(nn.Linear(6, 8), nn.ReLU())
    model[0].bias.data -= 100
    found = Frobenius()(model, inputs(), "outputs", seeded(0))
    assert (found.values == 0).all()
    assert found.scale == 0


@pytest.mark.parametrize("values, projections", [(256, None), (257, 32)])
def test_by_default_wide_layers_are_projected_and_the_others_exact(values, projections):
    model = built(nn.Linear(6, values))
    found = Frobenius()(model, inputs(), "outputs", seeded(0))
    told = "frobenius, exact" if projections is None else "frobenius, 32 projections"
    assert found.method == told
    assert_close(found.values, norms(model, inputs(), projections=projections))


# ---------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("settings", [{"projections": 0}, {"memory": 0.0}, {"chunk_size": 0}])
def test_settings_that_measure_nothing_are_refused(settings):
    assert refused(lambda: Frobenius(**settings)).startswith(
        "Expected at least one projection, one input at a time and some memory, got projections="
    )


def test_a_layer_that_does_not_exist_is_refused(smooth):
    assert refused(lambda: norms(smooth, inputs(), "hidden")).startswith("Expected a layer of the model, got 'hidden'.")


def test_no_inputs_are_refused(smooth):
    assert refused(lambda: norms(smooth, inputs()[:0])) == "Expected at least one input, got none. Give some."


class Cut(nn.Module):
    def forward(self, x):
        return x.detach()


def test_a_layer_that_is_cut_off_is_refused():
    assert refused(lambda: norms(nn.Sequential(Cut()), inputs())) == (
        "Expected values of 'outputs' that depend on the inputs by differentiable steps, "
        "got values without a gradient. Name another layer, or take `detach` out of the model."
    )


def test_diverged_weights_are_refused():
    model = built(nn.Linear(6, 8))
    model[0].weight.data[0, 0] = torch.inf
    assert refused(lambda: norms(model, inputs())) == (
        "Expected a finite Jacobian of 'outputs', got NaN or infinity at 9 of 9 inputs. "
        "Look for diverged weights, or inputs that are not finite."
    )


def test_a_layer_without_a_row_per_input_is_refused():
    model = nn.Sequential(nn.Flatten(0))
    assert refused(lambda: norms(model, inputs())) == (
        "Expected one row per input in layer 'outputs', got shape (54,) for 9 inputs. "
        "Name a layer whose output has one row per input."
    )
