"""The harness: what it refuses, what it verifies, and curves whose answer is known in closed form."""

import math
from dataclasses import dataclass

import naive
import nets
import pytest
import torch
from torch import nn

from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD
from eigenfall.presets import PRESETS
from eigenfall.robustness import attacking, flip_epsilon, only, robustness
from eigenfall.types import GaussianNoise, LpBall, Proposal, Split

LINF, L2 = LpBall("Linf"), LpBall("L2")
EPSILONS = (0.02, 0.05, 0.1)
HEADLINE = {name: PRESETS["quick"].attacks[name] for name in PRESETS["quick"].headline}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(features=6, classes=3, seed=0):
    model = nn.Linear(features, classes).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(classes, features, generator=seeded(seed)))
        model.bias.copy_(torch.randn(classes, generator=seeded(seed + 1)) / 5)
    return model


def labelled(model, count, seed=5):
    inputs = torch.rand(count, model.in_features, generator=seeded(seed)).double()
    with torch.no_grad():
        return Split(inputs, model(inputs).argmax(1))


@dataclass(frozen=True)
class Moved:
    """Proposes the inputs moved by a share of epsilon, or something faulty."""

    share: float = 1.0
    fault: str = ""

    def __call__(self, model, inputs, targets, threat, epsilon, generator):
        moved = inputs + self.share * epsilon
        if self.fault == "dtype":
            moved = moved.double()
        elif self.fault == "shape":
            moved = moved[:, :1]
        elif self.fault == "nan":
            moved = moved * math.nan
        elif self.fault == "raises":
            raise RuntimeError("in the middle")
        elif self.fault == "writes":
            inputs += 5
            targets += 1
            moved = inputs.clone()
        return Proposal(moved, torch.zeros(len(inputs), dtype=torch.bool), passes=1)


# --------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize(
    ("norm", "bounds", "attack", "worst", "median"),
    [
        ("L2", None, PGD(steps=40), 0.03, 0.01),
        ("Linf", None, FGSM(), 0.03, 0.01),
        ("Linf", (0.0, 1.0), PGD(steps=40), 0.05, 0.02),
    ],
)
def test_distances_of_a_linear_classifier(norm, bounds, attack, worst, median):
    model = linear(classes=2)  # with more, the loss climbs towards the likeliest class, not the nearest one
    data = labelled(model, 60)
    weights, bias = model.weight.tolist(), model.bias.tolist()
    exact = [
        naive.linear_distance(weights, bias, one, y, norm, bounds)
        for one, y in zip(data.inputs.tolist(), data.targets.tolist())
    ]
    chosen = torch.tensor([place for place, distance in enumerate(exact) if 0.01 < distance < 0.7][:16])
    assert len(chosen) == 16
    exact = torch.tensor(exact, dtype=torch.float64)[chosen]
    data = Split(data.inputs[chosen], data.targets[chosen])
    grid = sorted({round(float(distance) * share, 9) for distance in exact for share in (0.998, 1 + median, 1 + worst)})
    curve = robustness(model, {"one": attack}, data, LpBall(norm, bounds), grid, seeded())
    over = curve.distances / exact - 1
    assert float(over.min()) >= -1e-6  # an attack is an upper bound
    assert float(over.max()) <= worst
    assert float(over.median()) <= median
    budgets = torch.tensor(grid, dtype=torch.float64)[:, None]
    assert torch.equal(curve.worst(), curve.distances[None] <= budgets)  # "distance ≤ ε" and "broken at ε" agree


def test_flip_probability_of_a_linear_classifier():
    model, draws, sigma = linear(classes=2), 400, 0.4
    data = labelled(model, 60)
    curve = robustness(model, {"noise": Noise(draws)}, data, GaussianNoise(None), (sigma,), seeded())
    with torch.no_grad():
        outputs = model(data.inputs)
    margin = (outputs[:, 0] - outputs[:, 1]).abs()
    length = float((model.weight[0] - model.weight[1]).detach().norm())
    exact = torch.special.ndtr(-margin / (sigma * length))
    error = (exact * (1 - exact) / draws).sqrt() + 0.5 / draws
    assert ((curve.flip_probability[0, 0] - exact).abs() <= 4 * error).all()
    assert float(curve.flip_probability.mean()) == pytest.approx(float(exact.mean()), abs=0.01)
    assert torch.equal(curve.broken, curve.flip_probability > 0)
    assert curve.mean_accuracy()[0] == pytest.approx(1 - float(curve.flip_probability.mean()))
    assert curve.accuracy()[0].value == pytest.approx(float((curve.flip_probability == 0).double().mean()))
    assert curve.passes == {"noise": draws}


def test_epsilon_at_which_noise_flips_half():
    model = nn.Linear(1, 2).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model.bias.zero_()
    data = Split(torch.tensor([[0.2], [0.6], [9.0], [-0.1]]).double(), torch.tensor([0, 0, 0, 0]))
    square = robustness(model, {"noise": Noise(200)}, data, LpBall("Linf", None), (0.1, 1.6), seeded())
    crossing = flip_epsilon(square)
    assert crossing[2:].tolist() == [math.inf, 0.0]  # never; wrong before any noise
    assert crossing[:2].isinf().all()  # at most half of a symmetric cloud is beyond
    skewed = Split(data.inputs[:2], torch.tensor([0, 0]))
    bent = nets.Then(model, after=lambda z: torch.cat((z[:, :1].abs().neg() + 1, z[:, 1:] * 0), 1))
    curve = robustness(bent, {"noise": Noise(200)}, skewed, LpBall("Linf", None), (1.0, 2.0, 4.0), seeded())
    coarse = flip_epsilon(curve)  # |x| > 1: half of [−ε, ε] from ε = 2 on
    assert float(coarse[0]) == pytest.approx(2.0, rel=0.15)
    with pytest.raises(ValueError) as refusal:
        flip_epsilon(robustness(model, {"fgsm": FGSM()}, data, LpBall("Linf", None), (0.1,), seeded()))
    assert str(refusal.value) == (
        "Expected a curve of repeated noise, got one of fgsm. Use the attack `noise` with draws=100."
    )


# ----------------------------------------------------------------------------- invariances


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_the_batch_size_changes_no_success(name):
    model, data = {"mlp": nets.mlp, "cnn": nets.cnn}[name]().double(), nets.held_out(60)
    data = Split(data.inputs.double(), data.targets)
    attacks = {"pgd": PGD(steps=10, restarts=2), "fgsm": FGSM(), "noise": Noise(5)}
    found = [robustness(model, attacks, data, LINF, EPSILONS, seeded(), batch_size=size) for size in (1, 7, 60)]
    for other in found[1:]:
        assert torch.equal(other.broken, found[0].broken)
        assert torch.allclose(other.distances, found[0].distances, atol=1e-9)


def test_the_batch_size_changes_no_success_in_float32():
    model, data = nets.mlp(), nets.held_out(40)
    found = [robustness(model, HEADLINE, data, LINF, (0.05,), seeded(), batch_size=size) for size in (1, 7, 40)]
    assert torch.equal(found[0].worst(), found[1].worst())
    assert torch.equal(found[0].worst(), found[2].worst())


def test_one_seed_one_curve_wherever_the_generator_stands():
    model, data = nets.mlp(), nets.held_out(60)
    generator = seeded(3)
    torch.rand(10, generator=generator)
    attacks = {"pgd": PGD(restarts=2), "noise": Noise(5)}
    first = robustness(model, attacks, data, LINF, EPSILONS, generator, block=25)
    again = robustness(model, attacks, data, LINF, EPSILONS, seeded(first.seed), block=25)
    assert torch.equal(first.broken, again.broken)
    assert torch.equal(first.distances, again.distances)
    assert torch.equal(first.flip_probability, again.flip_probability)
    alone = robustness(model, {"noise": Noise(5)}, data, LINF, EPSILONS[1:2], seeded(3), block=25)
    assert torch.equal(alone.flip_probability[0, 0], first.flip_probability[1, 1])  # whatever else is attacked


def test_noise_is_common_to_every_epsilon_and_model():
    seen = {}

    def keeping(name):
        def keep(z):
            seen.setdefault(name, []).append(z.clone())
            return z

        return keep

    data = Split(torch.full((9, 4), 0.5), torch.zeros(9, dtype=torch.long))
    for name in ("one", "other"):
        model = nets.Then(nn.Linear(4, 2), before=keeping(name))
        robustness(model, {"noise": Noise(3)}, data, LINF, (0.1, 0.2), seeded())
    one, other = (torch.stack(seen[name][1:]) - 0.5 for name in ("one", "other"))
    assert torch.equal(one, other)
    assert torch.allclose(2 * one[:3], one[3:], atol=1e-6)
    assert not torch.allclose(one[0], one[1], atol=1e-3)  # draws differ


@pytest.mark.parametrize("factor", [0.01, 100.0, 1000.0, 2.0**-20, 2.0**6])
def test_the_headline_does_not_see_the_scale_of_the_logits(factor):
    model, data = nets.mlp(), nets.held_out()
    scaled = nets.Then(model, after=lambda z: z * factor)
    plain, other = (robustness(m, HEADLINE, data, LINF, EPSILONS, seeded()) for m in (model, scaled))
    moved = (plain.worst().sum(1) - other.worst().sum(1)).abs().max()
    if math.log2(factor).is_integer():
        assert torch.equal(plain.broken, other.broken)
    assert int(moved) <= 1
    assert 0.2 < plain.accuracy()[1].value < 0.95  # there was something to move


def test_raw_cross_entropy_does_see_it():
    model, data = nets.mlp(), nets.held_out()
    scaled = nets.Then(model, after=lambda z: z * 1000)
    attack = {"ce": PRESETS["quick"].attacks["ce"]}
    plain, other = (robustness(m, attack, data, LINF, (0.1,), seeded()) for m in (model, scaled))
    assert other.accuracy()[0].value > plain.accuracy()[0].value + 0.3


# -------------------------------------------------------------------------------- the curve


def test_the_worst_case_is_taken_per_input():
    model, data = nets.mlp(), nets.held_out()
    curve = robustness(model, HEADLINE, data, LINF, EPSILONS, seeded())
    rows = [robustness(model, {name: attack}, data, LINF, EPSILONS, seeded()) for name, attack in HEADLINE.items()]
    union = torch.stack([row.broken[0] for row in rows]).any(0)
    assert torch.equal(curve.worst(monotone=False), union)
    assert torch.equal(curve.distances, torch.stack([row.distances for row in rows]).amin(0))
    assert torch.equal(only(curve, "dlr").broken, rows[1].broken)
    assert curve.attacks["dlr"].startswith("pgd:loss=dlr,steps=40")
    assert curve.reach == {"margin": 2.5, "dlr": 2.5, "ce_std": 2.5}


def test_clean_errors_are_broken_and_have_distance_zero():
    model, data = nets.mlp(), nets.held_out(64)
    given = data.targets.clone()
    given[:5] = (given[:5] + 1) % 10
    curve = robustness(
        model, {"fgsm": FGSM(), "idle": Moved(0.0)}, Split(data.inputs, given), LINF, (0, 0.05), seeded()
    )
    assert not curve.clean_correct[:5].any()
    assert curve.broken[:, :, :5].all()
    assert (curve.distances[:5] == 0).all()
    assert (curve.distances_l2[:5] == 0).all()
    assert torch.equal(curve.broken[:, 0], (~curve.clean_correct).expand(2, -1))  # ε = 0 is the clean input
    assert torch.equal(curve.broken[1, 1], ~curve.clean_correct)
    right = curve.clean_correct
    assert torch.equal(curve.distances[right].isinf(), ~curve.worst()[1][right])
    broken = right & curve.worst()[1]
    assert (curve.distances[broken] <= 0.05).all()
    assert (curve.distances_l2[broken] <= 0.05 * 8 + 1e-6).all()
    assert (curve.distances_l2[broken] >= curve.distances[broken] - 1e-9).all()


def test_whoever_watches_consumes_stages():
    data = nets.held_out(20)
    stages = attacking(nets.mlp(), {"fgsm": FGSM()}, data, LINF, (0.1, 0.2), seeded(), block=8)
    seen = []
    while True:
        try:
            seen.append(next(stages))
        except StopIteration as finished:
            curve = finished.value
            break
        assert torch.is_grad_enabled()
    assert (seen[0].what, seen[0].done, seen[0].total) == ("fgsm, ε = 0.1", 0, 6)
    assert [stage.done for stage in seen] == list(range(6))
    assert curve.block == 8


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_inside_no_grad_and_inference_mode(mode):
    model, data = nets.cnn(), nets.held_out(30)
    expected = robustness(model, HEADLINE, data, LINF, (0.05,), seeded())
    with mode():
        inside = Split(data.inputs.clone(), data.targets.clone())  # inference tensors, under inference_mode
        found = robustness(model, HEADLINE, inside, LINF, (0.05,), seeded())
    assert torch.equal(found.broken, expected.broken)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_callers_tensors_are_left_alone():
    model, data = nets.mlp(), nets.held_out(30)
    before = data.inputs.clone()
    data.inputs.requires_grad_()
    robustness(model, {"pgd": PGD(steps=3)}, data, LINF, (0.05,), seeded())
    assert data.inputs.requires_grad
    assert data.inputs.grad is None
    assert torch.equal(data.inputs.detach(), before)


# --------------------------------------------------------------------------------- refusals


def unsound(inputs, targets):
    """A split that its own constructor would not take in a checked run."""
    data = Split(torch.zeros(1, 1), torch.zeros(1))
    object.__setattr__(data, "inputs", inputs)
    object.__setattr__(data, "targets", targets)
    return data


def refused(attack=None, data=None, threat=LINF, epsilons=(0.1,), model=None, attacks=None, batch_size=16):
    model = nn.Linear(2, 2) if model is None else model
    data = Split(torch.full((3, 2), 0.5), torch.tensor([0, 1, 0])) if data is None else data
    attacks = {"mine": attack} if attacks is None else attacks
    with pytest.raises(ValueError) as refusal:
        robustness(model, attacks, data, threat, epsilons, seeded(), batch_size=batch_size)
    return str(refusal.value)


FAULTY = "from attack 'mine'"
END = "The attack is faulty; nothing was measured with it."


def test_a_cheating_attack_is_refused():
    assert refused(Moved(1.01)) == (
        f"Expected perturbations of Linf norm at most epsilon {FAULTY}, got one that is 0.001 larger. {END}"
    )
    assert "of L2 norm at most epsilon" in refused(Moved(1.0), threat=L2)
    assert refused(Moved(1.0), epsilons=(0.7,)) == (
        f"Expected perturbed inputs inside (0.0, 1.0) {FAULTY}, got values from 1.2 to 1.2. {END}"
    )
    assert refused(Moved(fault="dtype")) == (
        f"Expected perturbed inputs of shape (3, 2) and type torch.float32 {FAULTY}, "
        f"got shape (3, 2) and type torch.float64. {END}"
    )
    assert "got shape (3, 1) and type torch.float32" in refused(Moved(fault="shape"))
    assert refused(Moved(fault="nan")) == f"Expected finite perturbed inputs {FAULTY}, got NaN or infinity. {END}"
    assert "norm at most epsilon" in refused(Moved(fault="writes"), threat=LpBall("Linf", None))


@pytest.mark.parametrize("norm, epsilon", [("Linf", 2.55), ("L2", 37.3)])
@pytest.mark.parametrize("bounds, low, high", [((0, 255), 0, 255), (None, -900, 900)])
def test_inputs_in_other_units_are_no_fault_of_an_attack(norm, epsilon, bounds, low, high):
    model = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 3))
    inputs = low + (high - low) * torch.rand(40, 64, generator=seeded(3))
    data, threat = Split(inputs, torch.arange(40) % 3), LpBall(norm, bounds)
    curve = robustness(model, {"pgd": PGD(steps=5, restarts=3)}, data, threat, (epsilon,), seeded())
    assert curve.broken.shape == (1, 1, 40)
    with pytest.raises(ValueError, match=r"^Expected perturbations of \w+ norm at most epsilon"):
        robustness(model, {"mine": Moved(1.01)}, data, LpBall("Linf", None), (epsilon,), seeded())


def test_inputs_outside_the_bounds_are_refused():
    data = Split(torch.tensor([[0.5, -1.5], [0.1, 2.25]]), torch.tensor([0, 1]))
    assert refused(FGSM(), data) == (
        "Expected inputs inside (0.0, 1.0), got values from -1.5 to 2.25. "
        "Put the normalisation inside the model and give raw pixels, or give the inputs' own bounds."
    )
    assert refused(FGSM(), Split(torch.tensor([[math.nan, 0.0]]), torch.tensor([0]))) == (
        "Expected finite inputs, got NaN or infinity. Leave out the inputs that are not complete."
    )
    assert refused(FGSM(), unsound(torch.tensor([[1, 0]]), torch.tensor([0]))) == (
        "Expected inputs as floating-point numbers, got torch.int64. Divide 8-bit pixels by 255."
    )


def test_labels_are_mandatory():
    assert refused(FGSM(), unsound(torch.full((3, 2), 0.5), None)) == (
        "Expected the class of each input, got none. "
        "Labels are never guessed: attacking away from the model's own answer can raise its accuracy."
    )


def test_classes_that_do_not_fit_are_refused():
    half = torch.full((3, 2), 0.5)
    assert refused(FGSM(), unsound(half, torch.tensor([0, 1]))) == (
        "Expected at least one input, and a class for each, got 3 inputs and 2 classes. "
        "Give inputs and targets of the same length."
    )
    assert refused(FGSM(), Split(half, torch.tensor([0, 1, 7]))) == (
        "Expected classes from 0 to 1, since the model has 2 outputs, got class 7. "
        "Give the labels that the model was trained on."
    )
    assert refused(FGSM(), Split(half, torch.tensor([0.0, 1.0, 0.0]))) == (
        "Expected classes as whole numbers from 0, got torch.float32 from 0.0. Give the index of each input's class."
    )
    assert refused(FGSM(), model=nn.Linear(2, 1)) == (
        "Expected logits as (batch, classes), of at least two classes, got shape (3, 1) for 3 inputs. "
        "Attack a classifier that returns one row of logits per input."
    )


@pytest.mark.parametrize("when", ["clean", "perturbed"])
@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=5), Noise(2)], ids=["fgsm", "pgd", "noise"])
def test_nan_logits_name_the_input(when, attack):
    limit = 0.9 if when == "clean" else 0.951
    model = nets.Then(nn.Linear(2, 2), before=lambda x: torch.where(x > limit, math.nan, x))
    with torch.no_grad():
        model.model.weight.copy_(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
        model.model.bias.copy_(torch.tensor([9.0, 0.0]))
    inputs = torch.full((40, 2), 0.1)
    inputs[33] = 0.95
    told = refused(
        attack, Split(inputs, torch.zeros(40, dtype=torch.long)), model=model, epsilons=(0.05,), batch_size=8
    )
    assert told == (
        "Expected logits that are numbers, got NaN for input 33. "
        "The model overflows there: nothing can be said about its robustness."
    )


def test_settings_that_do_not_fit_are_refused():
    ending = "Give each budget once, smallest first."
    for epsilons, told in (((), "none"), ((0.2, 0.1), "0.2, 0.1"), ((-1.0,), "-1"), ((0.1, 0.1), "0.1, 0.1")):
        expected = f"Expected epsilons that are not negative and ascend, got {told}. {ending}"
        assert refused(FGSM(), epsilons=epsilons) == expected
    assert refused(attacks={}) == "Expected at least one attack, got none. Give {'pgd': PGD()}, for instance."
    assert refused(FGSM(), batch_size=0) == (
        "Expected batches and blocks of at least one input, got batch_size=0, block=256. Use 256 for both."
    )
    with torch.inference_mode():
        model = nn.Linear(2, 2)
    assert refused(FGSM(), model=model) == (
        "Expected a model that can be differentiated, got one created under torch.inference_mode. "
        "Create or load it outside inference_mode; calling us inside is fine."
    )
