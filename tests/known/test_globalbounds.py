import math

import nets
import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.nn import functional as F

from eigenfall.architectures.cnn import CNN
from eigenfall.architectures.mlp import MLP
from eigenfall.attacks.pgd import PGD
from eigenfall.datasets.digits import Digits
from eigenfall.globalbounds import lipschitz_bound
from eigenfall.objectives import margin
from eigenfall.operatornorms import certified_distances, convolution_bound, linear_norm
from eigenfall.robustness import robustness
from eigenfall.smoothness.lipschitz import Lipschitz
from eigenfall.types import LpBall


def linear(width=4):
    layer = nn.Linear(width, width)
    layer.weight.data = torch.randn(width, width, generator=seeded(2))
    return layer


def bound(model, *shape):
    return lipschitz_bound(model, torch.zeros(1, *(shape or (4,)))).value


def test_layers_after_one_another_multiply():
    first, second = linear(), linear()
    norms = [linear_norm(layer).upper for layer in (first, second)]
    assert bound(nn.Sequential(first, nn.ReLU(), nn.Dropout(0.5), second)) == pytest.approx(math.prod(norms))
    assert bound(nn.Sequential(first, nn.Sigmoid(), nn.LeakyReLU(-3.0))) == pytest.approx(norms[0] / 4 * 3)


def test_batch_norm_counts_with_its_running_variance():
    layer = nn.BatchNorm1d(4)
    layer.running_var = torch.tensor([0.25, 4.0, 1.0, 1.0])
    layer.weight.data = torch.tensor([1.0, -8.0, 1.0, 1.0])
    assert bound(nn.Sequential(layer)) == pytest.approx(4, rel=1e-4)  # |−8|/√4


@pytest.mark.parametrize(
    ("pool", "factor"),
    [
        (nn.MaxPool2d(2), 1),
        (nn.MaxPool2d(3, 2), 2),  # a place is seen by up to four windows
        (nn.AvgPool2d(2), 1 / 2),
        (nn.AvgPool2d(3, 1, padding=1), 1),
        (nn.AdaptiveAvgPool2d(1), 1 / 6),
        (nn.AdaptiveAvgPool2d((3, None)), 1 / math.sqrt(2)),
    ],
)
def test_pooling(pool, factor):
    assert bound(nn.Sequential(pool), 2, 6, 6) == pytest.approx(factor)
    if not isinstance(pool, nn.MaxPool2d):  # linear: its own norm is no larger
        matrix = pool(torch.eye(72).reshape(72, 2, 6, 6)).flatten(1).T
        assert float(torch.linalg.matrix_norm(matrix, 2)) <= factor * (1 + 1e-5)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(linear(), nn.ReLU())
        self.readout = linear()

    def forward(self, x):
        y = F.relu(x + self.branch(x))
        return self.readout(y - x / 4)


def test_a_residual_block_adds_one():
    model = Residual()
    norm = linear_norm(model.readout).upper
    assert bound(model) == pytest.approx(((1 + norm) + 0.25) * norm)


class Beside(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = linear()

    def forward(self, x):
        return torch.cat([self.first(x), x, x], 1).view(x.size(0), -1)


def test_branches_side_by_side_add_in_squares():
    model = Beside()
    assert bound(model) == pytest.approx(math.sqrt(linear_norm(model.first).upper ** 2 + 2))


class Powered(nn.Module):
    def forward(self, x):
        return x.relu() ** 3


class Squared(nn.Module):
    def forward(self, x):
        return x * x


class Repeated(nn.Module):
    def forward(self, x):
        return x[:, :1] + x


class Spread(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(4, 1)

    def forward(self, x):
        return x + self.one(x)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (Powered(), "'pow', which is not among them"),
        (Squared(), "'mul', which is not among them"),
        (Repeated(), "'getitem', which is not among them"),
        (Spread(), "'add', which is not among them"),  # one value is repeated: the sum of bounds is none
        (nn.Sequential(nn.Softmax(1)), "'0', which is a Softmax"),
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)),
         "'0', which is a BatchNorm1d that takes the mean of its batch"),
        (nn.Sequential(nn.Flatten(0)), "'0', which mixes rows, or returns no tensor"),
    ],
)  # fmt: skip
def test_what_has_no_known_bound_is_refused_by_name(model, told):
    assert refusal(bound, model) == (
        f"Expected steps whose Lipschitz bound is known, got {told}. "
        "Measure from below with the part `lipschitz` instead."
    )


def test_a_ragged_pooling_is_refused():
    assert "'0', which is a AvgPool2d with windows of several sizes" in refusal(
        bound, nn.Sequential(nn.AvgPool2d(2, ceil_mode=True)), 2, 5, 5
    )


def test_a_model_that_cannot_be_traced_is_refused():
    assert refusal(bound, Branching()).startswith(
        "Expected a model whose forward pass torch.fx can trace, got TraceError"
    )
    assert refusal(lipschitz_bound, linear(), torch.zeros(0, 4)) == (
        "Expected at least one input, got none. Give some, for their shape."
    )


def test_our_own_architectures_have_a_bound():
    examples = Digits()()
    at = examples.test.inputs[:1]
    mlp = MLP(widths=(6, 5), batch_norm="after_activation", normalise="channels")(examples, seeded(0)).train()
    found = lipschitz_bound(mlp, at)
    assert mlp.training
    truth = math.prod(float(torch.linalg.matrix_norm(p.detach().double(), 2)) for n, p in mlp.named_parameters()
                      if n.endswith("transform.weight") or n == "readout.weight")  # fmt: skip
    scales = float(1 / mlp.get_submodule("normalise").sd.min()) * (1 / math.sqrt(1 + 1e-5)) ** 2
    assert found.value == pytest.approx(truth * scales, rel=1e-5)
    assert list(found.steps)[-1] == "readout"
    cnn = CNN(channels=(3,), widths=(5,))(examples, seeded(0))
    convolutional = convolution_bound(cnn.get_submodule("hidden1.transform"), (8, 8))
    rest = [linear_norm(cnn.get_submodule(name)).upper for name in ("hidden2.transform", "readout")]
    assert lipschitz_bound(cnn, at).value == pytest.approx(convolutional * math.prod(rest))


@pytest.mark.parametrize("made", [nets.mlp, nets.cnn])
def test_certificate_below_truth_below_what_an_attack_reached(made):
    model, data = made(), nets.held_out(48)
    ball = LpBall(norm="L2", bounds=(0.0, 1.0))
    limit = lipschitz_bound(model, data.inputs).value
    curve = robustness(model, {"pgd": PGD(steps=15)}, data, ball, (0.5, 1.0, 2.0, 4.0), seeded(0))
    with torch.no_grad():
        certified = certified_distances(margin(model(data.inputs), data.targets), limit)
    assert torch.isfinite(curve.distances).sum() > 24
    assert (certified <= curve.distances).all()
    assert (certified > 0).sum() > 24
    local = Lipschitz(segments=1, points=1)(model, data.inputs[:8], "outputs", seeded(0)).values
    assert (local <= limit).all()
