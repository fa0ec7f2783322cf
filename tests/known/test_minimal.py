"""Minimal-norm attacks: distances known in closed form, and what the harness makes of an attack without epsilon."""

import math
import warnings
from dataclasses import dataclass, replace
from itertools import pairwise

import nets
import pytest
import torch
from torch import nn

from eigenfall import parts
from eigenfall.attacks.bisection import Bisection
from eigenfall.attacks.deepfool import DeepFool
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.fmn import FMN
from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD
from eigenfall.layers import left_as_found
from eigenfall.objectives import margin, surely_broken
from eigenfall.robustness import attacking, only, robustness
from eigenfall.shrinking import Nearest, farthest, first_order
from eigenfall.types import GaussianNoise, LpBall, Proposal, Split

LINF, L2 = LpBall("Linf"), LpBall("L2")
MINIMAL = {"bisection": Bisection(), "deepfool": DeepFool(), "fmn": FMN()}
MODELS = {"mlp": nets.mlp, "cnn": nets.cnn}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def called(attack, model, inputs, targets, threat, seed=0):
    with left_as_found(model):
        return attack(model, inputs, targets, threat, None, seeded(seed))


# --------------------------------------------------------------------------- closed forms


def linear(features, classes, seed=0):
    model = nn.Linear(features, classes).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(classes, features, generator=seeded(seed)))
        model.bias.copy_(torch.randn(classes, generator=seeded(seed + 1)) / 5)
    return model


def labelled(model, count, seed=5):
    inputs = torch.rand(count, model.in_features, generator=seeded(seed)).double()
    with torch.no_grad():
        return Split(inputs, model(inputs).argmax(1))


def exact_distance(model, one, target, norm, bounds):
    """Nearest error of a linear classifier by bisection over how far each value goes: t, or t|Δw|, or to its bound."""
    weights, bias, best = model.weight.tolist(), model.bias.tolist(), math.inf
    logits = [sum(w * x for w, x in zip(row, one)) + b for row, b in zip(weights, bias)]
    for other in range(len(bias)):
        if other == target:
            continue
        slope = [a - b for a, b in zip(weights[target], weights[other])]
        gap = logits[target] - logits[other]
        room = [math.inf if bounds is None else x - bounds[0] if w > 0 else bounds[1] - x for w, x in zip(slope, one)]
        speed = [1.0 if norm == "Linf" else abs(w) for w in slope]
        low, high = 0.0, 1e3
        for _ in range(100):
            middle = (low + high) / 2
            reached = sum(min(middle * v, r) * abs(w) for v, r, w in zip(speed, room, slope))
            low, high = (low, middle) if reached >= gap else (middle, high)
        moved = [min(high * v, r) for v, r in zip(speed, room)]
        if sum(d * abs(w) for d, w in zip(moved, slope)) >= gap * (1 - 1e-9):
            best = min(best, max(moved) if norm == "Linf" else math.sqrt(sum(d * d for d in moved)))
    return best


def test_the_oracle_is_the_closed_form_without_a_box():
    model = linear(6, 3)
    data = labelled(model, 5)
    for norm, order in (("L2", 2), ("Linf", 1)):
        for one, target in zip(data.inputs, data.targets.tolist()):
            others = [k for k in range(3) if k != target]
            logits, weight = model(one).detach(), model.weight.detach()
            ratios = [float((logits[target] - logits[k]) / (weight[target] - weight[k]).norm(p=order)) for k in others]
            assert exact_distance(model, one.tolist(), target, norm, None) == pytest.approx(min(ratios), rel=1e-9)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)], ids=["free", "box"])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("name", MINIMAL)
def test_distances_of_a_linear_classifier(name, norm, bounds, classes):
    attack = MINIMAL[name]
    if name == "bisection" and classes > 2:  # the margin climbs to the likeliest class, not to the nearest one
        pytest.skip("bisection goes where the attack inside it goes")
    model = linear(20, classes)
    data = labelled(model, 64)
    exact = torch.tensor(
        [exact_distance(model, one, y, norm, bounds) for one, y in zip(data.inputs.tolist(), data.targets.tolist())],
        dtype=torch.float64,
    )
    reachable = exact < math.inf
    data, exact = Split(data.inputs[reachable], data.targets[reachable]), exact[reachable]
    assert len(exact) >= 40
    curve = robustness(model, {name: attack}, data, LpBall(norm, bounds), (0.1,), seeded())
    over = curve.distances / exact - 1
    assert float(over.min()) >= -1e-9
    assert float(over.median()) <= (0.01 if bounds is None else 0.02)
    assert float(over.max()) <= (0.03 if bounds is None else 0.05)


class Ball(nn.Module):
    """Class 0 inside a sphere of this radius about a centre, class 1 outside; the logits are no distance."""

    def __init__(self, centre, radius):
        super().__init__()
        self.register_buffer("centre", centre)
        self.radius = radius

    def forward(self, inputs):
        away = (inputs - self.centre).square().sum(1) - self.radius**2
        return torch.stack((-away, away), 1)


@pytest.mark.parametrize("name", MINIMAL)
def test_distances_of_a_sphere(name):
    centre = torch.full((5,), 0.5).double()
    model = Ball(centre, 1.0)
    directions = torch.randn(40, 5, generator=seeded()).double()
    directions /= directions.norm(dim=1, keepdim=True)
    inputs = centre + directions * torch.linspace(0.1, 2.5, 40).double()[:, None]
    exact = ((inputs - centre).norm(dim=1) - 1).abs()
    with torch.no_grad():
        targets = model(inputs).argmax(1)
    assert set(targets.tolist()) == {0, 1}
    found = robustness(model, MINIMAL, Split(inputs, targets), LpBall("L2", None), (0.1,), seeded())
    alone = robustness(model, {name: MINIMAL[name]}, Split(inputs, targets), LpBall("L2", None), (0.1,), seeded())
    assert float((alone.distances / exact).min()) >= 1 - 1e-9
    assert float((alone.distances / exact).max()) <= 1.03
    assert (found.distances <= alone.distances).all()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("name", MODELS)
def test_a_denser_grid_changes_little(name, norm):
    model, data = MODELS[name](), nets.held_out(48)
    coarse, dense = Bisection(), Bisection(ratio=2**0.25, tolerance=0.005)
    found = [
        robustness(model, {"b": attack}, data, LpBall(norm), (0.1,), seeded()).distances for attack in (coarse, dense)
    ]
    right = found[0] > 0
    change = (found[1] / found[0] - 1)[right].abs()
    assert float(change.median()) < 0.01


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_a_denser_grid_changes_less_than_a_hundredth_of_an_exact_distance(norm):
    model = linear(20, 2)
    data = labelled(model, 40)
    grids = Bisection(), Bisection(ratio=2**0.25, tolerance=0.005)
    coarse, dense = (
        robustness(model, {"b": attack}, data, LpBall(norm, None), (0.1,), seeded()).distances for attack in grids
    )
    assert float((dense / coarse - 1).abs().max()) < 0.01


def test_bisection_ends_at_its_tolerance():
    model, data = nets.mlp(), nets.held_out(48)
    found = robustness(model, {"b": Bisection(halvings=0)}, data, LINF, (0.1,), seeded())
    epsilons = found.distances[found.distances > 0] / 1.03
    below = [
        robustness(model, {"pgd": PGD()}, Split(data.inputs[k : k + 1], data.targets[k : k + 1]), LINF, (e,), seeded())
        for k, e in zip((found.distances > 0).nonzero()[:, 0].tolist()[:8], epsilons.tolist())
    ]
    assert sum(bool(curve.broken[0, 0, 0]) for curve in below) <= 1  # 3 % below, the same attack fails


# ------------------------------------------------------------------------- special cases


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_one_step_of_deepfool_is_the_projection_on_a_plane(norm):
    model = linear(6, 2)
    data = labelled(model, 12)
    once = DeepFool(steps=1, overshoot=1e-6, halvings=0)
    found = called(once, model, data.inputs, data.targets, LpBall(norm, None)).inputs
    slope = (model.weight[0] - model.weight[1]).detach()
    for one, moved, target in zip(data.inputs, found, data.targets.tolist()):
        logits = model(one).detach()
        gap = float(logits[target] - logits[1 - target]) * (1 + 1e-6)
        away = slope if target == 1 else -slope
        step = away * gap / slope.square().sum() if norm == "L2" else away.sign() * gap / slope.abs().sum()
        assert torch.allclose(moved, one + step, atol=1e-9)


def test_deepfool_of_all_classes_is_that_of_the_top_ones_when_there_are_few():
    model, data = nets.mlp(), nets.held_out(24)
    every, nine, one = (
        called(DeepFool(classes=count), model, data.inputs, data.targets, L2).inputs for count in (None, 9, 1)
    )
    assert torch.equal(every, nine)
    assert float(L2.size(one, data.inputs).mean()) > float(L2.size(every, data.inputs).mean())


def test_deepfool_is_foolboxs_up_to_the_segment():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # foolbox imports a deprecated name of scipy
        foolbox = pytest.importorskip("foolbox")
    model, data = nets.mlp(), nets.held_out(32)
    for threat, theirs in ((L2, foolbox.attacks.L2DeepFoolAttack), (LINF, foolbox.attacks.LinfDeepFoolAttack)):
        with left_as_found(model):
            wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
            expected, _, _ = theirs()(wrapped, data.inputs.clone(), data.targets, epsilons=None)
        found = called(DeepFool(), model, data.inputs, data.targets, threat).inputs
        ratio = threat.size(found, data.inputs) / threat.size(expected, data.inputs)
        moved = threat.size(found, data.inputs) > 0
        assert float(ratio[moved].median()) <= 1.01
        assert 0.8 < float(ratio[moved].mean()) < 1.02


def test_fmn_from_the_input_goes_to_the_likeliest_class_and_from_deepfool_to_the_nearest():
    model, data = nets.mlp(), nets.held_out(64)
    here, there = (
        robustness(model, {"f": FMN(start=start)}, data, LINF, (0.1,), seeded()).distances
        for start in ("input", "deepfool")
    )
    right = there > 0
    assert float((there <= 1.001 * here)[right].double().mean()) >= 0.9
    assert float((there / here)[right].mean()) < 0.97


def test_each_is_better_than_the_one_it_starts_from():
    model, data = nets.cnn(), nets.held_out(48)
    curve = robustness(model, MINIMAL, data, L2, (0.5,), seeded())
    fool, fmn = (
        robustness(model, {name: MINIMAL[name]}, data, L2, (0.5,), seeded()).distances for name in ("deepfool", "fmn")
    )
    assert (fmn <= fool * (1 + 1e-4)).all()
    assert float(fmn.mean()) < 0.97 * float(fool.mean())
    assert (curve.distances <= fmn).all()


# -------------------------------------------------------------------------------- shrinking


class Stripes(nn.Module):
    """Wrong in a stripe around 0.6, and above 0.9."""

    def forward(self, inputs):
        away = torch.minimum((inputs[:, :1] - 0.6).abs() - 0.05, 0.9 - inputs[:, :1])
        return torch.cat((away, torch.zeros_like(away)), 1)


def test_a_success_is_drawn_along_the_segment_while_it_stays_wrong():
    inputs, targets = torch.tensor([[0.2], [0.2], [0.2]]).double(), torch.tensor([0, 0, 0])
    nearest = Nearest(inputs, LINF)
    nearest.offer(torch.tensor([[0.95], [0.62], [0.3]]).double(), torch.tensor([True, True, False]))
    assert nearest.distances.tolist() == pytest.approx([0.75, 0.42, math.inf])
    nearest.shrink(Stripes(), targets, halvings=20)
    assert nearest.distances.tolist() == pytest.approx([0.35, 0.35, math.inf], abs=1e-5)  # 0.575 is in the stripe
    assert torch.equal(nearest.inputs[2], inputs[2])
    assert nearest.found.tolist() == [True, True, False]


def test_what_is_nearer_stays():
    inputs = torch.zeros(2, 1).double()
    nearest = Nearest(inputs, LINF)
    nearest.offer(torch.tensor([[0.3], [0.3]]).double(), torch.tensor([True, True]))
    nearest.offer(torch.tensor([[0.4]]).double(), torch.tensor([True]), torch.tensor([1]))
    nearest.offer(torch.tensor([[0.2]]).double(), torch.tensor([False]), torch.tensor([0]))
    assert nearest.inputs[:, 0].tolist() == pytest.approx([0.3, 0.3])
    nearest.offer(torch.tensor([[0.1]]).double(), torch.tensor([True]), torch.tensor([1]))
    assert nearest.inputs[:, 0].tolist() == pytest.approx([0.3, 0.1])


def test_wrong_beyond_doubt():
    targets = torch.tensor([0, 0, 0, 0])
    outputs = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0 + 1e-4, 0.0], [2.0, 1.0, 0.0], [math.nan, 1.0, 0.0]])
    for scaled, found in ((outputs, [False, True, False, True]), (1e6 * outputs, [False, True, False, True])):
        assert surely_broken(scaled, margin(scaled, targets)).tolist() == found  # a tie is within rounding
    half = outputs.half()
    assert surely_broken(half, margin(half, targets)).tolist() == [True, True, False, True]


def test_farthest_and_first_order():
    inputs = torch.tensor([[0.5, 0.2], [0.0, 0.0]])
    assert farthest(inputs, LINF).tolist() == pytest.approx([0.8, 1.0])
    assert farthest(inputs, L2).tolist() == pytest.approx([math.hypot(0.5, 0.8), math.sqrt(2)])
    assert farthest(inputs, LpBall("L2", None)).tolist() == [math.inf, math.inf]
    gradient = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    margins = torch.tensor([2.0, 1.0])
    assert first_order(margins, gradient, "L2").tolist() == pytest.approx([0.4, math.inf])
    assert first_order(margins, gradient, "Linf").tolist() == pytest.approx([2 / 7, math.inf])


# ------------------------------------------------------------------------------ the harness


@dataclass(frozen=True)
class Given:
    """A minimal-norm attack that proposes the inputs moved by a number."""

    minimal = True
    by: float = 0.1
    fault: str = ""

    def __call__(self, model, inputs, targets, threat, epsilon, generator):
        assert epsilon is None
        moved = inputs + self.by
        if self.fault == "nan":
            moved = moved * math.nan
        elif self.fault == "shape":
            moved = moved[:, :1]
        return Proposal(moved, torch.zeros(len(inputs), dtype=torch.bool), passes=3)


class Above(nn.Module):
    """Class 1 above a threshold of the first value."""

    def __init__(self, threshold=0.55):
        super().__init__()
        self.threshold = threshold

    def forward(self, inputs):
        away = inputs[:, 0] - self.threshold
        return torch.stack((-away, away), 1)


def test_one_call_breaks_an_input_at_every_epsilon_above_its_norm():
    data = Split(torch.tensor([[0.5, 0.5], [0.4, 0.5], [0.6, 0.5]]).double(), torch.tensor([0, 0, 0]))
    curve = robustness(Above(), {"one": Given(0.1)}, data, LINF, (0.0, 0.05, 0.1 + 1e-9, 0.2), seeded())
    assert curve.clean_correct.tolist() == [True, True, False]
    assert curve.broken[0].T.tolist() == [[False, False, True, True], [False] * 4, [True] * 4]
    assert curve.distances.tolist() == pytest.approx([0.1, math.inf, 0.0])
    assert curve.distances_l2.tolist() == pytest.approx([0.1 * math.sqrt(2), math.inf, 0.0])
    assert curve.found_by.tolist() == [0, -1, -1]
    assert curve.passes == {"one": 3}
    assert curve.reach == {"one": math.inf}
    assert curve.flip_probability is None


def test_norms_of_every_attack_are_merged_and_the_curve_says_whose_they_are():
    data = Split(torch.tensor([[0.5, 0.5], [0.3, 0.5], [0.6, 0.5]]).double(), torch.tensor([0, 0, 0]))
    attacks = {"fgsm": FGSM(), "near": Given(0.06), "far": Given(0.3)}
    curve = robustness(Above(), attacks, data, LpBall("Linf", None), (0.1, 0.28), seeded())
    assert curve.distances.tolist() == pytest.approx([0.06, 0.28, 0.0])
    assert [list(attacks)[row] if row >= 0 else "" for row in curve.found_by.tolist()] == ["near", "fgsm", ""]
    assert curve.broken[:, 0, 0].tolist() == [True, True, False]


def test_each_minimal_attack_runs_once_per_block():
    data = nets.held_out(20)
    stages = attacking(nets.mlp(), {"d": DeepFool(), "f": FGSM()}, data, LINF, (0.1, 0.2), seeded(), block=8)
    seen = list(stages)
    assert [stage.what for stage in seen[:4]] == ["d, smallest norm"] * 3 + ["f, ε = 0.1"]
    assert [(stage.done, stage.total) for stage in seen] == [(done, 9) for done in range(9)]


@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
@pytest.mark.parametrize("name", MODELS)
def test_distance_at_most_epsilon_is_broken_at_epsilon(name, threat):
    data = nets.held_out(32)
    given = data.targets.clone()
    given[:4] = (given[:4] + 1) % 10
    grid = [epsilon * (1 if threat is LINF else 6) for epsilon in (0.01, 0.03, 0.06, 0.1, 0.2)]
    attacks = {**MINIMAL, "pgd": PGD(steps=5), "fgsm": FGSM(), "noise": Noise(3)}
    curve = robustness(MODELS[name](), attacks, Split(data.inputs, given), threat, grid, seeded(), block=20)
    budgets = torch.tensor(grid, dtype=torch.float64)[:, None]
    assert torch.equal(curve.worst(), curve.distances <= budgets)
    assert 0.02 < curve.accuracy()[3].value < curve.accuracy()[0].value
    for row, wanted in enumerate(attacks):
        if wanted in MINIMAL:
            own = robustness(
                MODELS[name](), {wanted: attacks[wanted]}, Split(data.inputs, given), threat, grid, seeded(), block=20
            )
            assert torch.equal(own.broken[0], own.distances <= budgets)
            assert torch.equal(own.broken[0], curve.broken[row])
    assert curve.distances_l2[curve.distances < math.inf].isfinite().all()


def test_a_smaller_perturbation_found_at_a_larger_epsilon_counts_at_the_smaller_one():
    @dataclass(frozen=True)
    class Only(Given):
        minimal = False

        def __call__(self, model, inputs, targets, threat, epsilon, generator):
            moved = inputs + (0.06 if epsilon > 0.15 else 0.0)
            return Proposal(moved, torch.zeros(len(inputs), dtype=torch.bool), passes=1)

    data = Split(torch.tensor([[0.5, 0.5]]).double(), torch.tensor([0]))
    curve = robustness(Above(), {"only": Only()}, data, LINF, (0.05, 0.1, 0.2), seeded())
    assert curve.worst(monotone=False)[:, 0].tolist() == [False, False, True]
    assert curve.worst()[:, 0].tolist() == [False, True, True]
    assert only(curve, "only").worst()[:, 0].tolist() == [False, False, True]  # no distances, no claim


def test_noise_that_is_no_ball_has_no_distances():
    data = nets.held_out(20)
    curve = robustness(nets.mlp(), {"noise": Noise(1)}, data, GaussianNoise(), (0.1, 0.5), seeded())
    assert curve.distances is None
    assert curve.distances_l2 is None
    assert curve.found_by is None
    assert torch.equal(curve.worst()[0], curve.broken[0, 0])


def test_a_faulty_minimal_attack_is_refused():
    data, end = (
        Split(torch.full((3, 2), 0.5), torch.tensor([0, 1, 0])),
        "The attack is faulty; nothing was measured with it.",
    )

    def refused(attack, threat=LINF):
        with pytest.raises(ValueError) as refusal:
            robustness(nn.Linear(2, 2), {"mine": attack}, data, threat, (0.1,), seeded())
        return str(refusal.value)

    assert refused(Given(0.7)) == (
        f"Expected perturbed inputs inside (0.0, 1.0) from attack 'mine', got values from 1.2 to 1.2. {end}"
    )
    assert refused(Given(fault="nan")) == (
        f"Expected finite perturbed inputs from attack 'mine', got NaN or infinity. {end}"
    )
    assert "got shape (3, 1)" in refused(Given(fault="shape"))


# ----------------------------------------------------------------------------- invariances


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("attack", MINIMAL)
def test_the_batch_size_changes_no_distance(name, attack):
    """But of one image in 30 at a kink of max-pooling, where on some processors the last bit chooses the side."""
    model, data = MODELS[name]().double(), nets.held_out(30)
    data = Split(data.inputs.double(), data.targets)
    part = {"bisection": Bisection(attack=PGD(steps=10, restarts=2)), "deepfool": DeepFool(), "fmn": FMN(steps=40)}
    found = [
        robustness(model, {"a": part[attack]}, data, LINF, (0.05, 0.1), seeded(), batch_size=size)
        for size in (1, 7, 30)
    ]
    for other in found[1:]:
        same = torch.isclose(other.distances, found[0].distances, rtol=1e-6, atol=1e-8)
        assert int((~same).sum()) <= (1 if name == "cnn" else 0)
        assert torch.equal(other.broken[..., same], found[0].broken[..., same])


@pytest.mark.parametrize("attack", MINIMAL)
def test_the_batch_size_loses_no_success_in_float32(attack):
    model, data = nets.cnn(), nets.held_out(12)
    found = [
        robustness(model, {"a": MINIMAL[attack]}, data, L2, (0.3, 0.6), seeded(), batch_size=size).distances
        for size in (1, 5, 12)
    ]
    assert all(other.isfinite().all() for other in found)
    assert all(torch.allclose(other, found[0], rtol=1e-2) for other in found[1:])


@pytest.mark.parametrize("attack", MINIMAL)
def test_one_seed_one_distance(attack):
    model, data = nets.mlp(), nets.held_out(40)
    first, again = (
        robustness(model, {"a": MINIMAL[attack]}, data, LINF, (0.1,), seeded(3), block=25) for _ in range(2)
    )
    assert torch.equal(first.distances, again.distances)
    assert torch.equal(first.broken, again.broken)


@pytest.mark.parametrize("attack", MINIMAL)
@pytest.mark.parametrize("factor", [2.0**-20, 2.0**10])
def test_the_scale_of_the_logits_changes_no_distance(attack, factor):
    model, data = nets.mlp(), nets.held_out(30)
    scaled = nets.Then(model, after=lambda z: z * factor)
    plain, other = (
        robustness(m, {"a": MINIMAL[attack]}, data, L2, (0.5,), seeded()).distances for m in (model, scaled)
    )
    assert torch.equal(plain, other)


@pytest.mark.parametrize("attack", MINIMAL)
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_other_bounds_are_another_unit(attack, norm):
    model, data = nets.mlp().double(), nets.held_out(24)
    inputs = data.inputs.double()
    stretched = nets.Then(model, before=lambda x: (x + 2) / 5)
    plain = robustness(model, {"a": MINIMAL[attack]}, Split(inputs, data.targets), LpBall(norm), (0.1,), seeded())
    wide = robustness(
        stretched,
        {"a": MINIMAL[attack]},
        Split(5 * inputs - 2, data.targets),
        LpBall(norm, (-2.0, 3.0)),
        (0.5,),
        seeded(),
    )
    assert torch.allclose(wide.distances / 5, plain.distances, rtol=1e-3)


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("attack", MINIMAL)
def test_few_classes(attack, classes):
    model = linear(8, classes)
    data = labelled(model, 30)
    curve = robustness(model, {"a": MINIMAL[attack]}, data, LpBall("L2", None), (0.1,), seeded())
    assert curve.distances.isfinite().all()


@pytest.mark.parametrize("attack", MINIMAL)
def test_a_model_without_a_gradient_is_not_broken_and_is_told(attack):
    model, data = nets.Then(nets.mlp(), before=lambda x: x.round()), nets.held_out(20)
    with left_as_found(model):
        proposal = MINIMAL[attack](model, data.inputs, data.targets, LINF, None, seeded())
    right = robustness(model, {"f": FGSM()}, data, LINF, (0.1,), seeded()).clean_correct
    assert proposal.zero_gradients[right].all()
    assert proposal.inputs.isfinite().all()


@pytest.mark.parametrize("attack", MINIMAL)
def test_clean_errors_stay_where_they_are(attack):
    model, data = nets.mlp(), nets.held_out(20)
    given = (data.targets + 1) % 10
    found = called(MINIMAL[attack], model, data.inputs, given, LINF).inputs
    with torch.no_grad():
        wrong = model(data.inputs).argmax(1) != given
    assert wrong.sum() >= 18
    assert torch.equal(found[wrong], data.inputs[wrong])


def test_better_attacks_inside_bisection_give_smaller_distances():
    model, data = nets.mlp(), nets.held_out(40)
    found = [
        robustness(model, {"b": Bisection(attack=attack)}, data, LINF, (0.1,), seeded()).distances
        for attack in (FGSM(), PGD(steps=10), PGD(steps=40, restarts=4))
    ]
    means = [float(distances[distances < math.inf].mean()) for distances in found]
    assert all(better < worse for worse, better in pairwise(means))


# ----------------------------------------------------------------- grammar and refusals


def test_a_part_within_a_part_is_read():
    found = parts.read("attacks", "bisection:attack=[pgd:steps=40,loss=dlr],tolerance=0.01")
    assert found == Bisection(attack=PGD(steps=40, loss="dlr"), tolerance=0.01)
    assert parts.read("attacks", parts.spell(found)) == found


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


@pytest.mark.parametrize("attack", MINIMAL)
def test_an_epsilon_and_a_threat_that_is_no_ball_are_refused(attack):
    model, inputs, targets = nn.Linear(2, 2), torch.rand(1, 2), torch.tensor([0])
    assert refused(lambda: MINIMAL[attack](model, inputs, targets, LINF, 0.1, seeded())) == (
        f"Expected no epsilon for attack {attack!r}, which looks for the smallest perturbation, got 0.1. "
        "Give epsilon=None."
    )
    assert refused(lambda: MINIMAL[attack](model, inputs, targets, GaussianNoise(), None, seeded())) == (
        f"Expected an Linf or L2 ball for attack {attack!r}, got threat 'gaussian'. "
        "Use noise under this threat, or give LpBall(norm='Linf')."
    )


def test_settings_that_do_not_fit_are_refused():
    told = refused(lambda: Bisection(ratio=1.0))
    assert told == (
        "Expected a ratio above 1, a tolerance above 0, at least one call, "
        "got ratio=1, tolerance=0.02, halvings=10, calls=40. Use ratio=2, tolerance=0.02, halvings=10, calls=40."
    )
    assert refused(lambda: Bisection(attack=DeepFool())) == (
        "Expected an attack with an epsilon inside bisection, "
        "got DeepFool, which looks for the smallest perturbation itself. "
        "Use that one alone, or bisect around pgd."
    )
    assert refused(lambda: DeepFool(steps=0)) == (
        "Expected at least one step and one class, and no negative overshoot, "
        "got steps=0, classes=9, overshoot=0.02. Use steps=50, classes=9, overshoot=0.02."
    )
    assert refused(lambda: replace(FMN(), last_step=2.0)) == (
        "Expected at least one step, and lengths and changes that fall and stay positive, "
        "got steps=100, 1 to 2, 0.05 to 0.0001. "
        "Use steps=100, first_step=1, last_step=0.01, first_change=0.05, last_change=0.0001."
    )
