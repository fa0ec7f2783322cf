"""What checks compare the headline with: planted attacks whose counts are exact, and gradients whose truth is known."""

import math
from dataclasses import dataclass

import nets
import pytest
import torch
from torch import nn

from eigenfall.attacks.square import Square
from eigenfall.checks.blackbox import BlackBox
from eigenfall.checks.converged import Converged
from eigenfall.checks.monotone import Monotone
from eigenfall.checks.order import Order
from eigenfall.checks.secant import Secant
from eigenfall.checks.surrogate import Surrogate
from eigenfall.checks.transfer import Transfer
from eigenfall.checks.unbounded import Unbounded
from eigenfall.presets import PRESETS, Preset
from eigenfall.robustness import gather, judged, judged_curve
from eigenfall.robustness.comparisons import recoveries, worse
from eigenfall.robustness.distillation import distilling
from eigenfall.robustness.preflight import derivative, secant, surrogates
from eigenfall.stages import consumed, seeded
from eigenfall.types import LpBall, Proposal, Split

LINF, L2 = LpBall("Linf"), LpBall("L2")
IMAGES = 256

# ------------------------------------------------------------------------- planted attacks


class Half(nn.Module):
    """Two classes: whether the first value is above a half. The second value is the input's number."""

    def forward(self, inputs):
        return torch.stack((inputs[:, 0] - 0.5, 0.5 - inputs[:, 0]), 1)


def numbered(images=IMAGES):
    values = torch.full((images, 4), 0.5)
    values[:, 0] = 0.5001
    values[:, 1] = torch.arange(images) / 1024
    return Split(values, torch.zeros(images, dtype=torch.long))


@dataclass(frozen=True)
class Planted:
    """Breaks the inputs numbered below `count`, and others according to its settings: no gradient, no chance."""

    count: int = 0
    steps: int = 40
    restarts: int = 2
    stop_broken: bool = True
    more: int = 0
    fewer: int = 0
    elsewhere: int = 0
    above: float = 1.0
    recover: int = 0
    near: int = 0  # how many more the headline breaks when it is asked of the few that fell to more steps

    def __call__(self, model, inputs, targets, threat, epsilon, generator):
        count = self.count
        if self.steps > 40 and self.restarts == 5:
            count += self.more
        if not self.stop_broken:
            count += self.elsewhere
        if self.steps == 40 and len(inputs) < IMAGES // 4:
            count += self.near
        number = (inputs[:, 1] * 1024).round()
        chosen = number < count
        if self.steps < 40:
            chosen |= number >= IMAGES - self.fewer
        if epsilon > self.above:
            chosen &= number >= self.recover
        moved = inputs.clone()
        moved[chosen, 0] -= 0.0002
        return Proposal(moved, torch.zeros(len(inputs), dtype=torch.bool), passes=1)


def planted(check, epsilons=(0.01, 0.1), images=IMAGES, twin=None, fgsm=0, blackbox=0, **settings):
    """The verdict of one check when the headline breaks the first hundred inputs."""
    bundle = Preset(
        attacks={"headline attack": Planted(count=100, **settings), "fgsm": Planted(count=100 + fgsm)},
        headline=("headline attack",),
        checks=(check,),
        search=Planted(count=images // 2),
        blackbox=Planted(count=100 + blackbox) if blackbox is not None else None,
    )
    evidence = gather(Half(), numbered(images), bundle, LINF, epsilons, images=images, twin=twin)
    return {verdict.check: verdict for verdict in judged(bundle, evidence)}[check.letter]


RULE_R = [(0, "PASS"), (1, "PASS"), (2, "WARN"), (3, "WARN"), (4, "FAIL")]


@pytest.mark.parametrize(("extra", "verdict"), RULE_R)
@pytest.mark.parametrize(
    ("check", "setting"),
    [(Monotone(), "fewer"), (Converged(), "more"), (Order(), "fgsm"), (BlackBox(queries=0), "blackbox")],
    ids=lambda value: getattr(value, "letter", value),
)
def test_planted_attacks_are_counted_exactly(check, setting, extra, verdict):
    found = planted(check, **{setting: extra})
    assert (found.verdict, found.value) == (verdict, extra / IMAGES)


@pytest.mark.parametrize(
    ("near", "verdict", "left"), [(0, "FAIL", 10), (6, "FAIL", 4), (7, "WARN", 3), (10, "PASS", 0)]
)
def test_what_the_headline_breaks_a_little_further_does_not_count_against_its_convergence(near, verdict, left):
    found = planted(Converged(), more=10, near=near)
    assert (found.verdict, found.value) == (verdict, left / IMAGES)


@pytest.mark.parametrize(("extra", "verdict"), RULE_R)
def test_what_a_twin_opens_is_counted_exactly(extra, verdict):
    found = planted(Transfer(), elsewhere=extra, twin=Half())
    assert (found.verdict, found.value) == (verdict, extra / IMAGES)
    assert "made on an undefended twin" in found.finding


@pytest.mark.parametrize(("images", "verdict"), [(199, "NOT RUN"), (200, "FAIL")])
def test_fewer_than_two_hundred_inputs_are_not_judged(images, verdict):
    assert planted(Order(), images=images, fgsm=50).verdict == verdict


@pytest.mark.parametrize(("extra", "verdict"), RULE_R)
def test_inputs_that_recover_along_the_curve_are_counted_exactly(extra, verdict):
    found = planted(Monotone(), epsilons=(0.01, 0.3, 0.4), above=0.2, recover=extra)
    assert (found.verdict, found.value) == (verdict, extra / IMAGES)


def test_what_is_left_at_half_the_range_is_an_accuracy():
    found = planted(Unbounded())
    assert (found.verdict, found.value) == ("FAIL", (IMAGES - 100) / IMAGES)
    assert not found.finding.endswith("so the attack failed.")  # all are of one class: that proves nothing


def test_without_a_black_box_attack_it_is_not_run():
    found = planted(BlackBox(), blackbox=None)
    assert (found.verdict, found.finding) == ("NOT RUN", "Not run: the bundle holds no black-box attack.")


def test_comparisons_run_at_the_twins_epsilon_too():
    class Later(nn.Module):
        def forward(self, inputs):
            return Half()(inputs) + torch.tensor([0.4, 0.0])

    data, seen = numbered(), []

    @dataclass(frozen=True)
    class Watching:
        def __call__(self, model, inputs, targets, threat, epsilon, generator):
            seen.append(epsilon)
            return Proposal(inputs, torch.zeros(len(inputs), dtype=torch.bool), passes=1)

    attacks = {"one": PRESETS["quick"].attacks["margin"], "fgsm": Watching()}
    bundle = Preset(attacks, headline=("one",), checks=(Order(),))
    gather(Half(), data, bundle, LINF, (0.1,), twin=Later())
    assert set(seen) == {0.1}  # the shown curve: wherever it is compared, Half has no survivor
    seen.clear()
    gather(Later(), data, bundle, LINF, (0.1,), twin=Half())
    compared = sorted(set(seen) - {0.1})
    assert compared[1] == pytest.approx(2 * compared[0])
    assert compared[0] < 0.001


def test_recoveries_are_falls_that_do_not_last():
    broken = torch.tensor([[0, 1, 1, 0, 1], [0, 1, 0, 1, 1], [0, 1, 1, 0, 1]], dtype=torch.bool)
    assert recoveries(broken).tolist() == [False, False, True, True, False]
    assert not recoveries(broken[:1]).any()


def test_the_worse_of_two_counts_is_the_surer():
    few, many = {"recovered": 3.0, "recovered_of": 256.0}, {"recovered": 20.0, "recovered_of": 10000.0}
    assert worse(few, many) is few  # 0.4 % and 0.13 % at least
    assert worse(many, few) is few
    assert worse({}, many) is many


# ------------------------------------------------------------------------------- gradients


class Straight(nn.Module):
    """Rounds; its backward pass is the identity's."""

    def __init__(self, declared=False):
        super().__init__()
        if declared:
            self.surrogate_gradients = True

    def forward(self, inputs):
        return inputs + ((7 * inputs).round() / 7 - inputs).detach()


def share(model, threat=LINF):
    found, notes = derivative(model.eval(), nets.held_out(64), threat, batch_size=40, seed=0)
    return found.get("derivative", notes.get("derivative"))


@pytest.mark.parametrize("model", [nets.mlp, nets.cnn], ids=["mlp", "cnn"])
def test_the_gradient_of_an_honest_net_is_its_derivative(model):
    assert share(model()) == 1.0
    assert share(model(), LpBall("Linf", None)) == 1.0


def test_a_flat_model_has_the_right_gradient():
    assert share(nets.Then(nets.mlp(), before=lambda x: (7 * x).round() / 7)) == 1.0
    assert share(nets.Then(nets.mlp(), after=lambda z: (20 * z).softmax(1))) == 1.0


def test_a_gradient_that_is_cut_or_another_functions_is_found():
    assert share(nn.Sequential(Straight(), nets.mlp())) < 0.1
    assert share(nets.Then(nets.mlp(), before=lambda x: x.detach())) < 0.1


def test_declarations_are_read_from_any_module():
    assert surrogates(nn.Sequential(Straight(declared=True), nets.mlp())) == ("0",)
    assert surrogates(Straight(declared=True)) == ("the model",)
    assert surrogates(nn.Sequential(Straight(), nets.mlp())) == ()


def test_where_float64_is_not_had_nothing_is_said():
    class Single(nn.Module):
        def __init__(self, back):
            super().__init__()
            self.model, self.back = nets.mlp(), back

        def forward(self, inputs):
            outputs = self.model.float()(inputs.float())
            return outputs.double() if self.back else outputs

    assert share(Single(back=False)) == "in float64 the model answers in torch.float32"
    assert share(Single(back=True)) == "difference quotients do not settle in float64"
    broken = nets.Then(nets.mlp(), before=lambda x: x @ torch.eye(64))
    assert share(broken).startswith("the model does not run in float64: ")


@pytest.mark.parametrize("threat", [LINF, L2, LpBall("Linf", None)], ids=["Linf", "L2", "unbounded"])
def test_slopes_of_a_linear_model_are_its_secants(threat):
    data = nets.held_out(64)
    data = Split(data.inputs, data.targets % 2)  # of two classes: with more, the runner-up may change on the way
    assert secant(nn.Linear(64, 2), data, threat, 0.1, 256, seed=0) == pytest.approx(1.0, abs=1e-4)


def test_slopes_of_a_flat_or_shattered_model_say_nothing():
    flat = nets.Then(nets.mlp(), before=lambda x: (7 * x).round() / 7)
    assert secant(flat, nets.held_out(64), LINF, 0.1, 256, seed=0) == 0.0
    shattered = nets.Then(nets.mlp(), before=lambda x: x + 0.02 * (500 * x).sin())
    anywhere = Split(torch.rand(64, 64, generator=seeded(0)), nets.held_out(64).targets)  # not on levels of 1/16
    assert secant(shattered, anywhere, LINF, 0.1, 256, seed=0) < 0.6
    assert secant(nets.mlp(), anywhere, LINF, 0.1, 256, seed=0) > 0.6


def test_what_is_measured_of_gradients_reaches_the_verdicts():
    bundle = Preset(
        attacks={"one": PRESETS["quick"].attacks["margin"]}, headline=("one",), checks=(Surrogate(), Secant())
    )
    for model, verdict in ((Straight(), "FAIL"), (Straight(declared=True), "PASS")):
        evidence = gather(nn.Sequential(model, nets.mlp()).eval(), nets.held_out(40), bundle, LINF, (0.05,))
        found = {one.check: one for one in judged(bundle, evidence)}
        assert found["p6"].verdict == verdict
        assert found["p5"].value == evidence.measured["secant"]
    noisy = nets.Then(nets.mlp(), before=lambda x: x + 0.1 * torch.randn_like(x))
    evidence = gather(noisy, nets.held_out(40), bundle, LINF, (0.05,))
    assert judged(bundle, evidence)[5].finding == "Not run: the model draws at random."


# ---------------------------------------------------------------------------- distillation


def student(model, threat=LINF, seed=0):
    return consumed(distilling(model, nets.held_out(100), threat, 0.2, batch_size=64, seed=seed))


@pytest.fixture(scope="module")
def taught():
    """A student of the perceptron, of the usual seed."""
    return student(nets.mlp())


def test_a_student_agrees_and_is_the_same_for_the_same_seed(taught):
    model, asked = nets.mlp(), []
    watched = nets.Then(model, after=lambda z: asked.append(len(z)) or z)
    first = student(watched)
    assert first.agreement > 0.95
    assert sum(asked) == first.queries
    for one, other in zip(first.model.state_dict().values(), taught.model.state_dict().values()):
        assert torch.equal(one, other)
    inputs = nets.held_out(100).inputs
    assert not torch.equal(first.model(inputs), student(model, seed=1).model(inputs))


def test_a_student_follows_the_models_kind():
    flat = student(nets.cnn())  # its inputs are flat, whatever is inside
    assert not any(isinstance(module, nn.Conv2d) for module in flat.model.modules())

    class Pictures(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nets.cnn()

        def forward(self, inputs):
            return self.model(inputs.flatten(1))

    data = nets.held_out(60)
    data = Split(data.inputs.reshape(-1, 1, 8, 8), data.targets)
    made = consumed(distilling(Pictures().eval(), data, LINF, 0.2, batch_size=64, seed=0))
    assert any(isinstance(module, nn.Conv2d) for module in made.model.modules())
    assert made.agreement > 0.9


def test_large_logits_teach_as_small_ones_do(taught):
    large = student(nets.Then(nets.mlp(), after=lambda z: 1024 * z))
    assert large.agreement == pytest.approx(taught.agreement, abs=0.02)


def test_examples_made_on_a_student_open_what_gradients_do_not():
    """A rounded input has no gradient; a net that never sees the rounding climbs across it."""
    rounded = nets.Then(nets.mlp(), before=lambda x: (7 * x).round() / 7)
    bundle = Preset(
        attacks={"one": PRESETS["quick"].attacks["margin"]},
        headline=("one",),
        checks=(Transfer(), BlackBox(queries=200)),
        blackbox=Square(200),
    )
    evidence = gather(rounded, nets.held_out(200), bundle, LINF, (0.05,))
    found = {one.check: one for one in judged(bundle, evidence)}
    assert (found["e"].verdict, found["f"].verdict) == ("FAIL", "FAIL")
    assert evidence.settings["transferred"] in found["f"].finding


# ------------------------------------------------------------------------ published curves

VGG = {0: 0.80, 0.1: 0.71, 0.3: 0.68, 0.4: 0.73, 0.5: 0.65, 1: 0.51, 2: 0.20, 4.95: 0.14}
"""A fine-tuned VGG-11 of 120 images; epsilon in normalised units, of which .245 are one pixel range."""


@pytest.mark.parametrize(("span", "left", "at"), [(4.0, 0.20, 2.0), (1 / 0.245, 0.14, 4.95)])
def test_the_published_vgg_curve_judges_itself(span, left, at):
    unbounded, monotone = judged_curve(VGG, images=120, span=span, largest_class=0.1)
    assert (unbounded.check, unbounded.verdict, unbounded.value) == ("a", "FAIL", left)
    assert f"ε = {at:g}" in unbounded.finding
    assert unbounded.finding.endswith("so the attack failed.")
    assert (monotone.check, monotone.verdict, monotone.value) == ("b", "WARN", 6 / 120)


def test_the_whole_curve_as_it_was_read_off_the_plot():
    """Spec `nassar2020` §9.4: SpecReg FAILs where its baseline passes."""
    shown = {0: 0.80, 0.1: 0.71, 0.2: 0.71, 0.4: 0.73, 0.7: 0.58, 1: 0.51, 2: 0.20, 4.95: 0.14}
    baseline = {0: 0.808, 0.1: 0.08, 0.2: 0.017, **dict.fromkeys((0.4, 0.7, 1, 2, 4.95), 0.0)}
    for curve, expected in ((shown, ["FAIL", "WARN"]), (baseline, ["PASS", "PASS"])):
        assert [one.verdict for one in judged_curve(curve, 120, 1 / 0.247, 0.1)] == expected


def test_its_baseline_judges_itself_as_sound():
    baseline = {0: 0.8, 0.1: 0.2, **dict.fromkeys((0.3, 0.4, 0.5, 1, 2, 4.95), 0.0)}
    assert [verdict.verdict for verdict in judged_curve(baseline, 120, 4.0)] == ["PASS", "PASS"]


def test_a_curve_that_ends_early_is_not_judged_by_a():
    unbounded, monotone = judged_curve({0: 0.9, 0.1: 0.5}, 1000, span=1.0)
    assert (unbounded.verdict, unbounded.finding) == ("NOT RUN", "Not run: no epsilon spans half the range, 0.5.")
    assert monotone.verdict == "PASS"


def test_a_rise_is_at_most_a_warning():
    assert judged_curve({0.1: 0.5, 0.2: 0.6}, 10_000, span=1.0)[1].verdict == "WARN"
    assert judged_curve({0.1: 0.5, 0.2: 0.5001}, 10_000, span=1.0)[1].verdict == "PASS"  # one image


def test_a_curve_that_is_none_is_refused():
    for curve, told in (({}, "none"), ({0.1: 71.0}, "71"), ({0.1: math.nan}, "nan")):
        with pytest.raises(ValueError) as refusal:
            judged_curve(curve, 120, 1.0)
        assert str(refusal.value) == (
            f"Expected accuracies from 0 to 1, one for each epsilon, got {told}. Divide percentages by 100."
        )
    with pytest.raises(ValueError) as refusal:
        judged_curve({0.1: 0.5}, 0, 0.0)
    assert str(refusal.value) == (
        "Expected at least one image, and inputs that span something, got images=0, span=0. "
        "Give the number of test images, and highest less lowest input in epsilon's unit."
    )
