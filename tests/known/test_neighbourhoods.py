"""Every measure of smoothness of a model, by distance, and the bound that stands beside them."""

import math
from dataclasses import replace

import pytest
import torch
from exact import seeded
from torch import nn

from eigenfall.architectures.mlp import MLP
from eigenfall.attacks.pgd import PGD
from eigenfall.datasets.digits import Digits
from eigenfall.distributions import by_distance
from eigenfall.neighbourhoods import DEAREST, bound_work, bounding, smoothing
from eigenfall.plans import Plan
from eigenfall.robustness import robustness
from eigenfall.smoothness.distance import Distance
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.smoothness.lipschitz import Lipschitz
from eigenfall.smoothness.logvolume import LogVolume
from eigenfall.stages import consumed
from eigenfall.statistics import wilson
from eigenfall.types import LpBall, Split

EVERY = (Frobenius(), LogVolume(), Distance(), Lipschitz(radius=0.1), Lipschitz(radius=0.5))


@pytest.fixture(scope="module")
def digits():
    return Digits()()


@pytest.fixture(scope="module")
def model(digits):
    return MLP(widths=(20, 12))(digits, seeded(0)).eval()


@pytest.fixture(scope="module")
def found(model, digits):
    return consumed(smoothing(model, digits.test.inputs[:40], ("hidden1", "hidden2"), Plan(smoothness=EVERY)))


def test_the_first_measure_has_the_layers_name_and_others_their_quantity(found):
    several = ("log_volume", "local_lipschitz", "local_lipschitz#2")
    layers = ("outputs", "hidden1", "hidden2")
    assert set(found["smoothness"]) == {
        *layers, "outputs/first_order_distance", *(f"{layer}/{quantity}" for layer in layers for quantity in several)
    }  # fmt: skip
    for name, value in found["smoothness"].items():
        assert value.layer == name.partition("/")[0]
    assert found["smoothness"]["outputs"].quantity == "jacobian_norm"
    narrow, wide = (found["smoothness"][f"hidden1/local_lipschitz{mark}"].method for mark in ("", "#2"))
    assert ("radius 0.1" in narrow, "radius 0.5" in wide) == (True, True)


def test_each_value_is_that_of_its_part(found, model, digits):
    alone = LogVolume()(model, digits.test.inputs[:40], "hidden2", seeded(0))
    assert torch.equal(found["smoothness"]["hidden2/log_volume"].values, alone.values)


def test_without_a_measure_it_is_the_frobenius_norm(model, digits):
    plain = consumed(smoothing(model, digits.test.inputs[:12], ("hidden1",), Plan()))
    assert {name: value.quantity for name, value in plain["smoothness"].items()} == {
        "outputs": "jacobian_norm",
        "hidden1": "jacobian_norm",
    }
    assert plain["by_distance"] == {}


def test_a_measure_of_decisions_alone_leaves_hidden_layers_alone(model, digits):
    only = consumed(smoothing(model, digits.test.inputs[:12], ("hidden1",), Plan(smoothness=(Distance(),))))
    assert list(only["smoothness"]) == ["outputs"]


def test_measures_of_the_outputs_are_told_by_distance(found):
    assert list(found["by_distance"]) == [
        "outputs", "outputs/log_volume", "outputs/local_lipschitz", "outputs/local_lipschitz#2"
    ]  # fmt: skip
    smoothness = found["smoothness"]
    alone = by_distance(smoothness["outputs"], smoothness["outputs/first_order_distance"], seeded(0), 4, relative=True)
    assert found["by_distance"]["outputs"] == alone
    told = [row for row in found["rows"] if row["quantity"] == "median_at_distance"]
    assert len(told) == 4 * 4


def test_few_inputs_have_fewer_bins(model, digits):
    few = consumed(smoothing(model, digits.test.inputs[:29], (), Plan(smoothness=(Frobenius(), Distance()))))
    assert few["by_distance"]["outputs"].counts == (15, 14)
    assert all(median.low <= median.value <= median.high for median in few["by_distance"]["outputs"].medians)
    fewer = consumed(smoothing(model, digits.test.inputs[:9], (), Plan(smoothness=(Frobenius(), Distance()))))
    assert fewer["by_distance"] == {}


def test_progress_names_layer_and_measure(model, digits):
    stages = [*smoothing(model, digits.test.inputs[:4], ("hidden1",), Plan(smoothness=(Frobenius(), Distance())))]
    assert [(stage.what, stage.done, stage.total) for stage in stages] == [
        ("smoothness of outputs, frobenius", 0, 3),
        ("smoothness of hidden1, frobenius", 1, 3),
        ("smoothness of outputs, distance", 2, 3),
    ]


# -------------------------------------------------------------------------------- bounds


def bounded(model, inputs, margins, curve=None):
    return consumed(bounding(model, inputs, margins, curve, "pixel", 0))


def linear(weights):
    model = nn.Sequential(nn.Flatten(), nn.Linear(len(weights[0]), len(weights)))
    model[1].weight.data, model[1].bias.data = torch.tensor(weights), torch.zeros(len(weights))
    return model


def test_the_certified_distance_of_a_linear_model_by_hand():
    model = linear([[3.0, 0.0], [0.0, 4.0]])
    found = bounded(model, torch.zeros(1, 2), torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    assert found["lipschitz"].value == pytest.approx(4)
    (row,) = [entry for entry in found["rows"] if entry["quantity"] == "certified_distance"]
    assert row["value"] == pytest.approx(1 / (math.sqrt(2) * 4))  # the median; where the model errs it is 0
    assert row["n"] == 3
    assert found["notices"] == []


@pytest.fixture(scope="module")
def attacked(model, digits):
    """A net whose readout leads by far, under an L2 attack."""
    steep = MLP(widths=(12,))(digits, seeded(1)).eval()
    some = Split(digits.test.inputs[:30], steep(digits.test.inputs[:30]).argmax(1).detach())
    curve = robustness(steep, {"pgd": PGD(steps=10)}, some, LpBall("L2"), (0.001, 0.05, 2.0), seeded(0))
    logits = steep(some.inputs).double().sort(1).values.detach()
    return steep, some, curve, logits[:, -1] - logits[:, -2]


def test_certified_accuracy_stays_below_accuracy_under_attack(attacked):
    model, some, curve, margins = attacked
    found = bounded(model, some.inputs[:1], margins, curve)
    rows = {entry["epsilon"]: entry for entry in found["rows"] if entry["quantity"] == "certified_accuracy"}
    assert list(rows) == [0.001, 0.05, 2.0]
    for place, epsilon in enumerate(rows):
        certified = int((margins / (math.sqrt(2) * found["lipschitz"].value) > epsilon).sum())
        told = rows[epsilon]
        assert (told["value"], told["low"], told["high"]) == pytest.approx(wilson(certified, 30)[:3])
        assert told["value"] <= curve.accuracy()[place].value
    assert rows[0.001]["value"] > rows[2.0]["value"]
    assert found["notices"] == []


def test_an_attack_nearer_than_the_bound_allows_is_said(attacked):
    model, some, curve, margins = attacked
    nearer = replace(curve, distances=torch.full_like(curve.distances, 1e-9))
    assert bounded(model, some.inputs[:1], margins, nearer)["notices"] == [
        "Lipschitz bound of the outputs: 30 images were broken nearer than it allows. The bound, or the model's "
        "repeatability, is at fault: trust neither number."
    ]


def test_an_linf_attack_certifies_nothing_and_is_held_against_the_bound_in_l2(attacked):
    model, some, _, margins = attacked
    curve = robustness(model, {"pgd": PGD(steps=10)}, some, LpBall("Linf"), (0.3,), seeded(0))
    found = bounded(model, some.inputs[:1], margins, curve)
    assert not [entry for entry in found["rows"] if entry["quantity"] == "certified_accuracy"]
    assert found["notices"] == []
    nearer = replace(curve, distances_l2=torch.full_like(curve.distances_l2, 1e-9))
    assert "30 images were broken nearer" in bounded(model, some.inputs[:1], margins, nearer)["notices"][0]


class Square(nn.Module):
    def forward(self, inputs):
        return inputs.flatten(1) ** 2


def test_a_model_without_a_bound_is_measured_and_told():
    found = bounded(Square(), torch.zeros(1, 2), torch.ones(1, dtype=torch.float64))
    assert found == {
        "notices": [
            "Lipschitz bound of the outputs: none. Expected steps whose Lipschitz bound is known, got 'pow', which "
            "is not among them. Measure from below with the part `lipschitz` instead."
        ]
    }


def test_a_model_that_does_not_move_certifies_nothing():
    found = bounded(linear([[0.0, 0.0]] * 2), torch.zeros(1, 2), torch.ones(1, dtype=torch.float64))
    assert found == {"notices": ["Lipschitz bound of the outputs: 0, which certifies nothing."]}


def test_what_a_bound_costs_is_counted_before():
    model = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, groups=2), nn.Conv2d(6, 3, 1))
    # maps of 3 × 3: strides 2 × 2 and fewest channels 4/2 in each of two groups; then fewest channels 3
    assert bound_work(model, torch.zeros(1, 4, 8, 8)) == 9 * 4 / 2 * 2 * 2**3 + 9 / 2 * 3**3


def test_a_bound_that_is_dear_is_left_to_the_user():
    wide = nn.Sequential(nn.Conv2d(1600, 1600, 1), nn.Flatten(), nn.Linear(1600, 2))
    assert bound_work(wide, torch.zeros(1, 1600, 1, 1)) > DEAREST
    found = bounded(wide, torch.zeros(1, 1600, 1, 1), torch.ones(1, dtype=torch.float64))
    assert found == {
        "notices": [
            "Lipschitz bound of the outputs: left out, since its convolutions are wide (2e+09 steps, 2e+09 at most). "
            "Call eigenfall.globalbounds.lipschitz_bound."
        ]
    }
