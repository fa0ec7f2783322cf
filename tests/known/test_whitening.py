"""Whitening: unit covariance, the published arithmetic in loops, derivatives, statistics for eval mode, refusals."""

import copy
import math
import warnings
from dataclasses import replace

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from eigenfall import load, model_of, parts, passes
from eigenfall.architectures.cnn import CNN
from eigenfall.architectures.imported import Imported
from eigenfall.architectures.mlp import MLP
from eigenfall.architectures.mlp import PRESETS as NETWORKS
from eigenfall.datasets.digits import Digits
from eigenfall.datasets.mnist import MNIST
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.globalbounds import lipschitz_bound
from eigenfall.layers import hidden_names, hidden_of, left_as_found
from eigenfall.linalg import symmetric_eigenvalues
from eigenfall.parts import spell
from eigenfall.passes import reference_of
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.penalties.spectral import Spectral
from eigenfall.plans import Plan
from eigenfall.runs import execute
from eigenfall.settings import Run
from eigenfall.training import Training, train
from eigenfall.types import Examples, Spectrum, Split
from eigenfall.whitening import Whiten, freeze, statistics_from
from eigenfall.whiteningmatrices import METHODS, whitening_matrix


def drawn(rows=60, units=5, seed=0):
    """Correlated values of several sizes, with a mean."""
    mixing = torch.randn(units, units, generator=seeded(1), dtype=torch.float64)
    return torch.randn(rows, units, generator=seeded(seed), dtype=torch.float64) @ mixing + 3


def covariance(values):
    centred = values - values.mean(0)
    return centred.T @ centred / len(values)


# -------------------------------------------------------------------------- what comes out


@pytest.mark.parametrize("method", METHODS)
def test_the_output_is_white(method):
    white = Whiten(5, method, jitter=0)(drawn())
    assert_close(white.mean(0), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-12)
    assert_close(covariance(white), torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_what_the_jitter_leaves(method):
    values = drawn()
    variances = symmetric_eigenvalues(covariance(values))
    left = symmetric_eigenvalues(covariance(Whiten(5, method, jitter=0.3)(values)))
    assert_close(left, variances / (variances + 0.3))
    shrunk = symmetric_eigenvalues(covariance(Whiten(5, method, jitter=0, shrinkage=0.2)(values)))
    assert_close(shrunk, variances / (variances + 0.2 * variances.mean()))
    again = symmetric_eigenvalues(covariance(Whiten(5, method, jitter=0, shrinkage=0.2)(1000 * values)))
    assert_close(again, shrunk)  # a share of the trace knows no unit


def test_which_matrix_each_method_is():
    matrix = covariance(drawn())
    cholesky, zca, pca = (whitening_matrix(matrix, method) for method in METHODS)
    assert torch.equal(cholesky, cholesky.tril())
    assert (cholesky.diagonal() > 0).all()
    assert_close(zca, zca.T)
    assert (symmetric_eigenvalues((zca + zca.T) / 2) > 0).all()
    assert_close(zca @ matrix @ zca, torch.eye(5, dtype=torch.float64))
    scales = (pca @ pca.T).diagonal()  # 1/λ, along eigenvectors
    assert_close(pca @ pca.T, scales.diag(), rtol=0, atol=1e-10)
    assert_close(scales, 1 / symmetric_eigenvalues(matrix))
    assert (pca.gather(1, pca.abs().argmax(1, keepdim=True)) > 0).all()
    turned = torch.linalg.qr(torch.randn(5, 5, generator=seeded(3), dtype=torch.float64)).Q
    assert_close(whitening_matrix(turned @ matrix @ turned.T, "zca"), turned @ zca @ turned.T)  # ZCA alone turns along


def published(values, jitter, demean):
    """Cholesky whitening of a batch, unit by unit."""
    rows, units = values.shape
    mean = [sum(values[row][i] for row in range(rows)) / rows if demean else 0.0 for i in range(units)]
    t = [[float(values[row][i] - mean[i]) for i in range(units)] for row in range(rows)]
    c = [[sum(t[row][i] * t[row][j] for row in range(rows)) / rows for j in range(units)] for i in range(units)]
    factor = [[0.0] * units for _ in range(units)]
    for i in range(units):
        c[i][i] += jitter
        for j in range(i + 1):
            rest = c[i][j] - sum(factor[i][k] * factor[j][k] for k in range(j))
            factor[i][j] = math.sqrt(rest) if i == j else rest / factor[j][j]
    white = []
    for row in range(rows):
        y = []
        for i in range(units):
            y.append((t[row][i] - sum(factor[i][k] * y[k] for k in range(i))) / factor[i][i])
        white.append(y)
    return torch.tensor(white, dtype=torch.float64)


@pytest.mark.parametrize("demean", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_as_published_it_is_its_loop_in_every_mode(demean, training):
    layer = Whiten(4, demean=demean, statistics="batch").train(training)
    for seed in range(3):
        values = drawn(rows=9, units=4, seed=seed)
        assert_close(layer(values), published(values, 1e-5, demean), rtol=1e-12, atol=1e-12)
    assert int(layer.batches) == 0


# ------------------------------------------------------------------------------ derivatives


@pytest.mark.parametrize("method", METHODS)
def test_gradients_go_through_mean_and_matrix(method):
    layer = Whiten(3, method, jitter=1e-3)
    values = drawn(rows=7, units=3).requires_grad_()
    assert gradcheck(layer, values)
    assert gradgradcheck(layer, values)  # a Jacobian penalty differentiates twice


@pytest.mark.parametrize("method", ["cholesky", "zca"])
def test_gradients_at_equal_variances(method):
    """Two exactly equal eigenvalues, where eigenvectors have no derivative and these matrices do."""
    matrix = torch.diag(torch.tensor([2.0, 2.0, 0.5], dtype=torch.float64)).requires_grad_()

    def of_symmetric(entries):
        return whitening_matrix((entries + entries.T) / 2, method)

    assert gradcheck(of_symmetric, matrix)
    assert gradgradcheck(of_symmetric, matrix)


def test_pca_at_equal_variances_stays_white_and_rotates_nothing():
    """W turns freely there: what does not see the turn agrees with finite differences, and nothing is infinite."""
    matrix = torch.diag(torch.tensor([2.0, 2.0, 0.5], dtype=torch.float64)).requires_grad_()
    target = torch.randn(3, 3, generator=seeded(5), dtype=torch.float64)

    def unturned(entries):
        pca = whitening_matrix((entries + entries.T) / 2, "pca")
        return pca[:2].T @ pca[:2] @ target + pca[2:].T @ pca[2:]

    assert gradcheck(unturned, matrix)
    tangent = (target + target.T) / 2
    found = torch.autograd.functional.jvp(lambda entries: whitening_matrix(entries, "pca"), matrix.detach(), tangent)
    pca, change = found
    assert change.isfinite().all()
    white = change @ matrix @ pca.T + pca @ tangent @ pca.T + pca @ matrix @ change.T
    assert_close(white, torch.zeros_like(white), rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------- statistics


def test_what_is_remembered_is_a_plain_then_an_exponential_average():
    layer = Whiten(4, momentum=0.4)
    batches = [drawn(rows=9, units=4, seed=seed) for seed in range(4)]
    for batch in batches[:2]:
        layer(batch)
    assert_close(layer.mean, torch.stack([batch.mean(0) for batch in batches[:2]]).mean(0))
    assert_close(layer.covariance, (covariance(batches[0]) + covariance(batches[1])) / 2)
    before = layer.covariance.clone()
    layer(batches[2])
    layer(batches[3])
    expected = 0.6 * (0.6 * before + 0.4 * covariance(batches[2])) + 0.4 * covariance(batches[3])
    assert_close(layer.covariance, expected)
    assert int(layer.batches) == 4
    held = copy.deepcopy(layer.state_dict())
    layer.eval()(batches[0])
    assert_close(dict(layer.state_dict()), dict(held), rtol=0, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_frozen_it_whitens_the_full_set_and_each_row_by_itself(method):
    values = drawn(rows=40)
    layer = Whiten(5, method, jitter=0).eval()
    statistics_from(layer, values)
    white = layer(values)
    assert_close(covariance(white), torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)
    assert_close(layer(values[3:4]), white[3:4], rtol=1e-12, atol=1e-12)
    uncentred = Whiten(5, method, jitter=0, demean=False).eval()
    statistics_from(uncentred, values)
    white = uncentred(values)
    assert_close(white.T @ white / 40, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)
    assert float(white.mean(0).abs().max()) > 0.1


def test_before_any_batch_eval_mode_changes_nothing():
    values = drawn()
    assert_close(Whiten(5, jitter=0).eval()(values), values)


def test_precision_of_the_values_is_kept():
    layer = Whiten(5)
    values = drawn().float()
    assert layer(values).dtype == torch.float32
    assert layer.eval()(values).dtype == torch.float32
    assert layer.covariance.dtype == torch.float64


def test_state_makes_the_round_trip_and_old_matrices_are_forgotten():
    layer, other = Whiten(5), Whiten(5)
    layer(drawn())
    other(drawn(seed=7))
    first = other.eval()(drawn())  # other has found its matrix
    other.load_state_dict(layer.state_dict())
    assert set(layer.state_dict()) == {"mean", "covariance", "batches"}
    assert torch.equal(other(drawn()), layer.eval()(drawn()))
    assert not torch.allclose(other(drawn()), first)
    assert torch.equal(copy.deepcopy(layer)(drawn()), layer(drawn()))
    assert_close(copy.deepcopy(layer).float()(drawn()), layer(drawn()), rtol=1e-4, atol=1e-4)


def test_a_guarded_pass_leaves_it_as_it_was():
    layer, values = Whiten(5), drawn()
    layer(values)
    held, white = copy.deepcopy(layer.state_dict()), layer.eval()(values)
    with left_as_found(layer, training=True):
        layer(drawn(seed=8))
        layer.eval()(values)
    assert_close(dict(layer.state_dict()), dict(held), rtol=0, atol=0)
    assert torch.equal(layer(values), white)


def test_a_matrix_found_without_gradients_lets_them_through_later():
    layer = Whiten(5, "zca")
    layer(drawn())
    layer.eval()
    with torch.inference_mode():
        layer(drawn())
    values = drawn().requires_grad_()
    layer(values).sum().backward()
    assert values.grad is not None
    assert_close(values.grad, layer.matrix().sum(0).expand(60, 5))


# ---------------------------------------------------------------------------------- networks


def pictures(rows=64, side=4, classes=3):
    inputs = torch.rand(rows, 1, side, side, generator=seeded(0), dtype=torch.float64)
    split = Split(inputs, torch.arange(rows) % classes)
    return Examples("pictures", split, split, split, classes)


def gradient(model, inputs):
    """Of the first row's first logit."""
    inputs = inputs.clone().requires_grad_()
    model(inputs)[0, 0].backward()
    assert inputs.grad is not None
    return inputs.grad


@pytest.mark.parametrize("method", METHODS)
def test_frozen_gradients_do_not_leak_through_batch_mates(method):
    examples = pictures()
    model = MLP(widths=(8, 6), whiten=method)(examples, seeded(0)).double()
    inputs = examples.train.inputs
    coupled = gradient(model.train(), inputs)
    assert freeze(model, inputs) == ("hidden2.whiten",)
    frozen = gradient(model.eval(), inputs)
    assert float(frozen[1:].abs().max()) == 0
    assert float(coupled[1:].abs().max()) > 1e-6
    assert not torch.allclose(frozen[0], coupled[0], rtol=1e-3)
    alone = gradient(model, inputs[:1])
    assert_close(frozen[:1], alone, rtol=1e-10, atol=1e-12)
    assert_close(model(inputs)[:1], model(inputs[:1]), rtol=1e-10, atol=1e-12)


def test_published_networks_are_coupled_until_they_are_frozen():
    examples = pictures(rows=80)
    model = replace(NETWORKS["nassar2020_deep_quick_whitened"], widths=(8, 6))(examples, seeded(0)).double().eval()
    inputs = examples.train.inputs
    assert not torch.allclose(model(inputs[:40])[0], model(inputs)[0])
    assert freeze(model, inputs, published=False) == ()
    assert freeze(model, inputs) == ("hidden2.whiten",)
    assert_close(model(inputs[:40])[0], model(inputs)[0], rtol=1e-12, atol=1e-12)


def test_several_layers_are_frozen_in_order_and_the_rest_is_left_alone():
    model = nn.Sequential(nn.Linear(5, 5), Whiten(5, jitter=0), nn.Tanh(), nn.BatchNorm1d(5), Whiten(5, jitter=0))
    model = model.double().train()
    norm = copy.deepcopy(model[3].state_dict())
    assert freeze(model, drawn()) == ("1", "4")
    assert model.training
    assert_close(dict(model[3].state_dict()), dict(norm), rtol=0, atol=0)
    assert_close(covariance(model.eval()(drawn())), torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)


def test_the_whitened_values_are_hidden_layer_two():
    examples = pictures()
    model = MLP(widths=(8, 6, 5), whiten="zca", batch_norm="after_activation")(examples, seeded(0)).double()
    assert hidden_names(model) == ("hidden1", "hidden2", "hidden3")
    assert [name for name, _ in model.hidden2.named_children()] == ["transform", "activation", "batch_norm", "whiten"]
    _, hidden = hidden_of(model.train(), examples.train.inputs, ["hidden2"])
    assert_close(covariance(hidden["hidden2"]), torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-3)


def test_in_a_cnn_the_pooled_maps_are_flattened_and_whitened():
    examples = pictures(rows=60, side=10)
    cnn = CNN(channels=(2, 3), widths=(4,), whiten="cholesky")(examples, seeded(0)).double()
    assert [name for name, _ in cnn.named_children()] == ["hidden1", "hidden2", "flatten", "hidden3", "readout"]
    inside = [name for name, _ in cnn.hidden2.named_children()]
    assert inside == ["transform", "activation", "pool", "flatten", "whiten"]
    _, hidden = hidden_of(cnn.train(), examples.train.inputs, ["hidden1", "hidden2", "hidden3"])
    assert [tuple(values.shape[1:]) for values in hidden.values()] == [(2, 4, 4), (3,), (4,)]
    last = CNN(channels=(2, 3), widths=(4,), whiten="zca", whitened_layer=3)(examples, seeded(0)).double()
    plain = CNN(channels=(2, 3), widths=(4,))(examples, seeded(0)).double()
    _, before = hidden_of(plain, examples.train.inputs, ["hidden2", "hidden3"])
    for layer, whitened in (("hidden2", cnn), ("hidden3", last)):
        _, after = hidden_of(whitened.train(), examples.train.inputs, [layer])
        was = symmetric_eigenvalues(covariance(before[layer].flatten(1)))
        assert_close(symmetric_eigenvalues(covariance(after[layer])), was / (was + 1e-5))


def test_whitening_draws_nothing():
    examples = pictures()
    plain = MLP(widths=(8, 6))(examples, seeded(0)).state_dict()
    white = MLP(widths=(8, 6), whiten="zca")(examples, seeded(0)).state_dict()
    assert all(torch.equal(white[name], values) for name, values in plain.items())
    assert set(white) - set(plain) == {f"hidden2.whiten.{name}" for name in ("mean", "covariance", "batches")}


def test_presets_are_as_published():
    for text in ("mlp@nassar2020_deep_whitened", "cnn@nassar2020_whitened", "cnn@nassar2020_cifar10_whitened"):
        made = parts.read("architectures", text)
        assert (made.whiten, made.whitened_layer, made.whitening_statistics) == ("cholesky", 2, "batch")
        plain = parts.read("architectures", text.removesuffix("_whitened"))
        assert replace(made, whiten="none", whitening_statistics="running") == plain
    layer = NETWORKS["nassar2020_deep_quick_whitened"](Digits()(), seeded(0)).hidden2.whiten
    assert (layer.method, layer.jitter, layer.shrinkage, layer.demean) == ("cholesky", 1e-5, 0.0, True)


def test_a_frozen_network_has_a_lipschitz_bound():
    examples = pictures()
    inputs = examples.train.inputs
    model = MLP(widths=(8, 6), whiten="cholesky")(examples, seeded(0)).double()
    freeze(model, inputs)
    plain = MLP(widths=(8, 6))(examples, seeded(0)).double()
    norm = float(torch.linalg.matrix_norm(model.hidden2.whiten.matrix(), 2))
    assert lipschitz_bound(model, inputs).value == pytest.approx(lipschitz_bound(plain, inputs).value * norm)
    coupled = MLP(widths=(1,), whiten="cholesky", whitened_layer=1, whitening_statistics="batch")(examples, seeded(0))
    assert refusal(lipschitz_bound, coupled.double(), inputs) == (
        "Expected steps whose Lipschitz bound is known, got 'hidden1.whiten', which is a Whiten that takes the "
        "covariance of its batch. Measure from below with the part `lipschitz` instead."
    )


# -------------------------------------------------------------------------------------- runs


def test_a_run_without_whitening_keeps_its_hash():
    plain = "mlp:widths=200/200/200,activation=tanh,batch_norm=none,normalise=none"
    assert spell(NETWORKS["nassar2020_deep_small"]) == plain
    within = spell(Imported(architecture=CNN()))
    assert "[cnn:channels=16/32,widths=1000,activation=tanh,batch_norm=none,normalise=none]" in within
    white = spell(NETWORKS["nassar2020_deep_small_whitened"])
    assert white == f"{plain},whiten=cholesky,whitening_statistics=batch"
    for text, made in ((plain, NETWORKS["nassar2020_deep_small"]), (white, NETWORKS["nassar2020_deep_small_whitened"])):
        assert parts.read("architectures", text) == made


def test_a_run_ends_with_the_statistics_of_all_training_rows(tmp_path):
    run = Run(
        verb="train",
        arm="white",
        seed=0,
        data=Digits(),
        architecture=MLP(widths=(9, 8), whiten="zca"),
        training=Training(batch_size=100, epochs=None, steps=6, last_batch="drop"),
        plan=Plan(layers=None, smoothness_inputs=0, preset="none", noise=(), draws=0),
    )
    record = [event for event in execute(run, tmp_path) if event.record][-1].record
    assert record is not None
    found = load(record)
    model, inputs = model_of(found), Digits()().train.inputs
    _, hidden = hidden_of(model.double(), inputs.double(), ["hidden2", "hidden2.activation"])
    before = hidden["hidden2.activation"].detach()
    assert_close(covariance(before), model.hidden2.whiten.covariance, rtol=1e-5, atol=1e-8)
    assert parts.read("architectures", found.run["architecture"]) == run.architecture


def test_training_goes_on_bit_equal_with_penalties_that_look_through_it():
    """Spectral on the layer after the whitening, and a Jacobian, which differentiates twice through the matrix."""
    examples = Digits()()
    settings = Training(batch_size=100, epochs=None, steps=6, last_batch="drop")
    penalties = {"spectral": Spectral(tau=2, layers=("hidden3",), k_steps=2), "jacobian": JacobianNorm(strength=0.01)}

    def trained(start=None):
        model = MLP(widths=(9, 8, 7), whiten="zca")(examples, seeded(0))
        kept = None
        for step in train(model, examples.train, examples.validation, penalties, settings, start=start):
            if step.progress.step == 3:
                kept = step.snapshot()
        return model.state_dict(), kept

    whole, kept = trained()
    again, _ = trained(kept)
    assert all(torch.equal(again[name], values) for name, values in whole.items())
    assert int(whole["hidden2.whiten.batches"]) == 6


def test_a_penalty_sees_the_layer_white_over_the_rows_that_it_asks_for():
    """A basis from what the layer remembers would be that of other weights."""
    examples = pictures()
    model = MLP(widths=(8, 6), whiten="zca")(examples, seeded(0)).double().train()
    for _ in range(3):
        model(examples.train.inputs[:20])
    held = copy.deepcopy(model.state_dict())
    reference = reference_of(model, examples.train, ["hidden2", "hidden2.activation"])
    rows = torch.arange(10, 60)
    (found,) = reference(rows, "eval")
    was = symmetric_eigenvalues(covariance(found.hidden["hidden2.activation"]))
    assert_close(symmetric_eigenvalues(covariance(found.hidden["hidden2"])), was / (was + 1e-5))
    (few,) = reference(rows[:2], "eval")  # too few to whiten by: what is remembered
    assert_close(few.hidden["hidden2"], copy.deepcopy(model.eval()[:3])(examples.train.inputs[10:12]))
    assert not model[2].whiten.pinned
    assert_close(dict(model.state_dict()), dict(held), rtol=0, atol=0)


def test_one_pass_sees_what_freezing_on_its_rows_leaves(monkeypatch):
    """Bit for bit, though `freeze` passes once for each layer; rows in several chunks show the same to rounding."""
    examples = pictures()
    model = MLP(widths=(9, 8, 6), whiten="cholesky")(examples, seeded(0)).double()
    for _ in range(2):
        model.train()(examples.train.inputs[:20])
    rows = torch.arange(5, 47)
    frozen = copy.deepcopy(model)
    freeze(frozen, examples.train.inputs[rows])
    _, expected = hidden_of(frozen.eval(), examples.train.inputs[rows], ["hidden1", "hidden2", "hidden3"])
    reference = reference_of(model, examples.train, list(expected))
    (found,) = reference(rows, "eval")
    assert all(torch.equal(found.hidden[name], values) for name, values in expected.items())
    monkeypatch.setattr(passes, "REFERENCE_BATCH", 21)
    both = [chunk.hidden for chunk in reference(rows, "eval")]
    assert len(both) == 2
    for name, values in expected.items():
        assert_close(torch.cat([hidden[name] for hidden in both]), values)
    assert not any(layer.pinned or layer._forward_pre_hooks for layer in model.modules() if isinstance(layer, Whiten))


def alpha(values):
    spectrum = Spectrum(symmetric_eigenvalues(covariance(values.double())), stimuli=len(values), units=values.shape[1])
    return LeastSquares(11, 63, "none", clip=False)(spectrum).alpha


@pytest.mark.slow
def test_a_deep_whitened_net_of_digits():
    """Quick scale of the specification, one seed: clean accuracy 98.7 %, exponents 4.29, 0.69 and 1.80 over seeds."""
    examples = Digits(validation=0)()
    architecture = replace(NETWORKS["nassar2020_deep_quick_whitened"], whitening_statistics="running")
    model = architecture(examples, seeded(0))
    settings = Training(
        optimiser="adam", amsgrad=True, learning_rate=3e-4, batch_size=128, epochs=None, steps=4000, last_batch="drop"
    )
    for _ in train(model, examples.train, examples.validation, {}, settings):
        pass
    freeze(model, examples.train.inputs)
    model.eval()
    with torch.no_grad():
        clean = float((model(examples.test.inputs).argmax(1) == examples.test.targets).double().mean())
        _, hidden = hidden_of(model, examples.train.inputs, ["hidden1", "hidden2", "hidden3"])
    found = [alpha(values) for values in hidden.values()]
    assert clean > 0.97
    assert 0.4 < found[1] < 0.75
    assert found[0] > 3
    assert 1.3 < found[2] < 2.3


@pytest.mark.slow
def test_what_the_jitter_leaves_of_the_published_networks():
    """Untrained, at the paper's widths and batches: the convolutional layer is nearly white, the other far from it."""
    examples = MNIST()()
    bands = {"cnn@nassar2020_whitened": (6000, 0.6, 0.75), "mlp@nassar2020_deep_whitened": (1500, 0.001, 0.01)}
    for network, (batch, low, high) in bands.items():
        model = parts.read("architectures", network)(examples, seeded(0)).train()
        with torch.no_grad():
            _, hidden = hidden_of(model, examples.train.inputs[:batch], ["hidden2"])
        assert low < float(symmetric_eigenvalues(covariance(hidden["hidden2"].double()))[-1]) < high


# ----------------------------------------------------------------------------------- refusals


def test_batches_no_larger_than_the_layer_are_refused_in_train_mode():
    layer = Whiten(5)
    assert refusal(layer, drawn(rows=5)) == (
        "Expected more rows in a batch than the 5 units to be whitened, got 5. Directions without variance would be "
        "blown up by 1/√jitter: use larger batches, last_batch=drop or a narrower layer."
    )
    assert int(layer.batches) == 0
    layer(drawn(rows=6))
    layer.eval()(drawn(rows=1))


@pytest.mark.parametrize("training", [True, False])
def test_as_published_there_is_a_warning_instead(training):
    layer = Whiten(5, statistics="batch").train(training)
    with pytest.warns(UserWarning, match="3 rows") as warned:
        white = layer(drawn(rows=3))
    assert [str(one.message) for one in warned] == [
        "3 rows to whiten 5 units by. Directions without variance would be blown up by 1/√jitter: "
        "use larger batches, last_batch=drop or a narrower layer."
    ]
    assert white.isfinite().all()
    statistics_from(layer, drawn())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer.eval()(drawn(rows=3))


def test_null_directions_are_blown_up():
    """Why so few rows are refused: what the batch does not vary along comes out up to 316 times larger."""
    values = drawn(rows=5, units=5)
    matrix = covariance(values) + 1e-5 * torch.eye(5, dtype=torch.float64)
    for method in METHODS:
        largest = float(torch.linalg.matrix_norm(whitening_matrix(matrix, method), 2))
        assert largest == pytest.approx(1e-5**-0.5, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_singular_covariances_are_refused(method):
    values = drawn()
    values[:, 2] = 1.0
    sentence = (
        "Expected a covariance that has an inverse, got a singular one, or NaN in it. "
        "Set a jitter or a shrinkage above 0, take more rows, or look for units that do not vary."
    )
    assert refusal(Whiten(5, method, jitter=0), values) == sentence
    assert Whiten(5, method)(values).isfinite().all()
    values[0, 0] = math.nan
    assert refusal(Whiten(5, method), values) == (
        sentence if method == "cholesky" else
        "Expected a finite matrix, got NaN or infinity in it. Look for NaN, or for diverged weights, in what it was "
        "computed from."
    )  # fmt: skip


def test_a_unit_that_never_varies_has_finite_gradients():
    for method in METHODS:
        values = drawn()
        values[:, 1:3] = 1.0  # two equal eigenvalues: the jitter
        values.requires_grad_()
        Whiten(5, method)(values).square().sum().backward()
        assert values.grad is not None
        assert values.grad.isfinite().all()


def test_settings_without_a_meaning_are_refused():
    assert refusal(Whiten, 5, "zcca") == "Expected a known method of whitening, got 'zcca'. Did you mean 'zca'?"
    assert refusal(Whiten, 5, statistics="batches") == (
        "Expected a known kind of statistics, got 'batches'. Did you mean 'batch'?"
    )
    assert refusal(Whiten, 5, jitter=-1.0) == (
        "Expected a jitter and a shrinkage of 0 or more, got -1.0 and 0.0. A jitter of 1e-5 is the paper's."
    )
    assert refusal(Whiten, 5, momentum=0.0) == ("Expected a momentum above 0, up to 1, got 0.0. Use for instance 0.1.")
    assert refusal(Whiten(5), drawn(units=4)) == (
        "Expected values (batch, 5), got shape (60, 4). Make the layer with as many units as it is to whiten."
    )
    assert refusal(statistics_from, Whiten(5), drawn(rows=5)) == (
        "Expected more rows than the 5 units to be whitened, got 5. Give all training inputs, or use a narrower layer."
    )
    assert refusal(MLP(widths=(4,), whiten="zca"), pictures(), seeded(0)) == (
        "Expected a layer to whiten among hidden layers 1 to 1, got whitened_layer=2. "
        "Name one of them, or use whiten=none."
    )
    assert refusal(CNN(whiten="zca", whitened_layer=1), pictures(), seeded(0)) == (
        "Expected a layer to whiten among hidden layers 2, the last convolutional one, to 3, got whitened_layer=1. "
        "Name one of them, or use whiten=none."
    )
