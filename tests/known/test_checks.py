"""Checks on evidence whose verdict is known, and a small zoo: broken defences trip them, honest nets do not."""

import dataclasses
import math

import nets
import pytest
import torch
from exact import refusal
from torch import nn

from eigenfall.checks import rule_r
from eigenfall.checks.batch_independence import BatchIndependence
from eigenfall.checks.blackbox import BlackBox
from eigenfall.checks.converged import Converged
from eigenfall.checks.determinism import Determinism
from eigenfall.checks.margin_gradient import MarginGradient
from eigenfall.checks.monotone import Monotone
from eigenfall.checks.order import Order
from eigenfall.checks.probabilities import Probabilities
from eigenfall.checks.scale import Scale
from eigenfall.checks.secant import Secant
from eigenfall.checks.surrogate import Surrogate
from eigenfall.checks.threat_model import ThreatModel
from eigenfall.checks.transfer import Transfer
from eigenfall.checks.unbounded import Unbounded
from eigenfall.checks.worst_case import WorstCase
from eigenfall.checks.zero_gradients import ZeroGradients
from eigenfall.presets import PRESETS
from eigenfall.robustness import gather, headline_stands, judged
from eigenfall.statistics import wilson
from eigenfall.types import Evidence, LpBall, Split, Verdict

QUICK = PRESETS["quick"]
SHORT = dataclasses.replace(
    QUICK,
    attacks={name: dataclasses.replace(QUICK.attacks[name], steps=12) for name in ("margin", "dlr", "ce_std", "ce")}
    | {"fgsm": QUICK.attacks["fgsm"]},
    search=dataclasses.replace(QUICK.search, steps=8),
)
"""Of `quick` what the checks judge, with fewer steps."""


def on(check, settings=None, **measured):
    named = {name.replace("__", " "): value for name, value in measured.items()}
    return check(Evidence(curves={}, measured=named, settings=settings or {}))


# ----------------------------------------------------------------------------- thresholds


@pytest.mark.parametrize(
    ("check", "name", "passing", "failing"),
    [
        (Determinism(), "pass_difference", 1e-5, 1.1e-5),
        (BatchIndependence(), "batch_difference", 1e-4, 1.1e-4),
        (BatchIndependence(), "batch_difference", 0.0, math.inf),
        (Probabilities(), "probabilities", 0.99, 1.0),
        (MarginGradient(), "gradients", 0.01, 0.0),
        (Scale(), "scale_moved", 1.0, 2.0),
        (Unbounded(), "unbounded", 0.02, 0.0201),
        (Surrogate(), "derivative", 0.9, 0.899),
    ],
)
def test_either_side_of_a_threshold(check, name, passing, failing):
    good, bad = on(check, **{name: passing}), on(check, **{name: failing})
    assert (good.verdict, good.value) == ("PASS", passing)
    assert (bad.verdict, bad.value) == ("FAIL", failing)


@pytest.mark.parametrize(("fallen", "images", "verdict"), [
    (3, 256, "WARN"), (4, 256, "FAIL"), (9, 1000, "WARN"), (10, 1000, "FAIL"),
    (1, 256, "PASS"), (2, 256, "WARN"), (63, 10000, "WARN"), (64, 10000, "FAIL"), (150, 199, "NOT RUN"),
])  # fmt: skip
def test_rule_r(fallen, images, verdict):
    assert rule_r(fallen, images) == verdict


COUNTING = {
    "recovered": Monotone(),
    "converged": Converged(),
    "order": Order(),
    "blackbox": BlackBox(),
    "transfer": Transfer(),
}


@pytest.mark.parametrize("name", COUNTING)
@pytest.mark.parametrize(("count", "images", "verdict"), [
    (0, 256, "PASS"), (1, 256, "PASS"), (2, 256, "WARN"), (3, 256, "WARN"), (4, 256, "FAIL"),
    (2, 200, "WARN"), (3, 200, "FAIL"), (0, 199, "NOT RUN"), (199, 199, "NOT RUN"),
    (9, 1000, "WARN"), (10, 1000, "FAIL"),
])  # fmt: skip
def test_counts_are_judged_by_rule_r(name, count, images, verdict):
    found = on(COUNTING[name], **{name: float(count), "images": float(images), "blackbox_queries": 1000.0})
    assert (found.verdict, found.value) == (verdict, count / images)


def test_a_model_that_draws_is_not_accused_of_leaking():
    found = on(BatchIndependence(), batch_difference=0.3, pass_difference=0.3)
    assert (found.verdict, found.finding) == (
        "NOT RUN",
        "Not run: two passes over the same batch differ as well (p1).",
    )
    assert on(BatchIndependence(), batch_difference=0.3, pass_difference=1e-5).verdict == "FAIL"


def test_findings_of_counts_say_how_many_and_where():
    found = on(Converged(), converged=4.0, images=256.0, converged_epsilon=0.1, converged_room=1.05)
    assert (
        found.finding
        == "4 of 256 inputs survive the headline even at 1.05 ε but fall to more steps and starts at ε = 0.1."
    )
    few = on(Monotone(), recovered=7.0, images=120.0)
    assert few.finding == (
        "Not judged: 120 inputs are fewer than 200; 7 of them fall to a smaller budget and recover at a larger one."
    )
    assert on(Order(), {"halving": "no input is classified correctly"}).finding == (
        "Not run: no input is classified correctly."
    )
    assert on(BlackBox(), {"blackbox": "the bundle holds no black-box attack"}).finding == (
        "Not run: the bundle holds no black-box attack."
    )


def test_what_is_left_of_an_unbounded_attack_may_prove_that_it_failed():
    measured = {"unbounded_epsilon": 0.5, "largest_class": 0.115}
    assert on(Unbounded(), unbounded=0.1, **measured).finding == (
        "10.0% of the inputs are left standing at Linf ε = 0.5, where every input can become the same one."
    )
    assert on(Unbounded(), unbounded=0.3, **measured).finding == (
        "30.0% of the inputs are left standing at Linf ε = 0.5, where every input can become the same one: "
        "more than the largest class's 11.5%, so the attack failed."
    )


def test_few_queries_are_no_pass_but_may_fail():
    found = on(BlackBox(), blackbox=0.0, images=256.0, blackbox_queries=999.0)
    assert (found.verdict, found.finding) == ("NOT RUN", "Not judged: 999 queries an input are fewer than 1000.")
    assert on(BlackBox(), blackbox=4.0, images=256.0, blackbox_queries=999.0).verdict == "FAIL"


def test_a_distilled_net_that_disagrees_is_no_pass_but_may_fail():
    source = {"transferred": "a net distilled on 900 outputs"}
    found = on(Transfer(), source, transfer=0.0, images=256.0, transfer_agreement=0.79)
    assert found.verdict == "NOT RUN"
    assert found.finding == (
        "Not judged: a net distilled on 900 outputs gives only 79% of the inputs the model's class."
    )
    assert on(Transfer(), source, transfer=0.0, images=256.0, transfer_agreement=0.8).verdict == "PASS"
    assert on(Transfer(), source, transfer=4.0, images=256.0, transfer_agreement=0.1).verdict == "FAIL"


def test_secants_warn():
    assert on(Secant(), secant=0.6).verdict == "PASS"
    warned = on(Secant(), secant=0.59)
    assert (warned.verdict, warned.finding) == (
        "WARN",
        "Slopes and differences over a quarter of ε correlate by 0.59 (median over inputs): "
        "gradients say little about the ball.",
    )


def test_surrogate_gradients_are_declared_or_found():
    declared = on(Surrogate(), {"surrogates": ("1", "3")}, derivative=0.0)
    assert (declared.verdict, declared.finding) == (
        "PASS",
        "Surrogate gradients are declared by 1, 3: attacks climb these.",
    )
    assert on(Surrogate(), derivative=0.25).finding == (
        "The gradient is the derivative at 25.0% of the inputs: set surrogate_gradients = True on the module whose "
        "backward pass is another function's."
    )
    unknown = on(Surrogate(), {"derivative": "the model draws at random"})
    assert (unknown.verdict, unknown.finding) == ("NOT RUN", "Not run: the model draws at random.")


def test_rule_r_is_wilsons_lower_limit():
    for fallen in range(0, 12):
        assert (rule_r(fallen, 500) == "FAIL") == (wilson(fallen, 500)[1] > 0.005)


def test_zero_gradients_of_each_kind():
    honest = {"zero_gradients__margin": 0.0, "zero_gradients__dlr": 0.01, "zero_gradients__ce": 0.0, "images": 256.0}
    assert on(ZeroGradients(), **honest, float64_gained=1.0).verdict == "PASS"
    warned = on(ZeroGradients(), **honest, float64_gained=2.0)
    assert (warned.verdict, warned.value) == ("WARN", 2 / 256)
    assert on(ZeroGradients(), **honest, float64_gained=4.0).verdict == "FAIL"
    assert on(ZeroGradients(), **{**honest, "zero_gradients__dlr": 0.02}, float64_gained=0.0).verdict == "FAIL"
    masked = on(ZeroGradients(), **{**honest, "zero_gradients__ce": 0.9}, float64_gained=0.0)
    assert masked.verdict == "WARN"
    assert masked.finding == (
        "CE masked: 90.0% of inputs have gradient zero under raw cross-entropy; float64 breaks 0 of 256 more."
    )
    unrun = on(ZeroGradients(), {"float64": "the model does not run in float64: no"}, **honest)
    assert unrun.finding.endswith("float64 not run: the model does not run in float64: no.")
    few = on(ZeroGradients(), **{**honest, "images": 100.0}, float64_gained=50.0)
    assert few.finding.endswith("float64 not judged: 100 inputs are fewer than 200.")


def test_a_gap_of_raw_cross_entropy_warns():
    verdict = on(Scale(), scale_moved=0.0, raw_ce_gap=0.06)
    assert verdict.verdict == "WARN"
    assert verdict.finding == "CE masked: raw cross-entropy leaves 6.0% of inputs standing that the headline breaks."
    assert on(Scale(), scale_moved=0.0, raw_ce_gap=0.05).verdict == "PASS"
    assert on(Scale(), scale_moved=5.0, scale_factor=100.0).finding == "Logits × 100 move the headline by 5 inputs."


TRIVIAL = (MarginGradient(), Scale(), ZeroGradients(), Secant(), Unbounded(), *COUNTING.values())


@pytest.mark.parametrize("check", TRIVIAL, ids=lambda check: check.letter)
def test_a_constant_predictor_is_not_judged(check):
    measured = {"gradients": 0.0, "scale_moved": 9.0, "zero_gradients__margin": 1.0, "trivial": 1.0, "images": 256.0}
    measured |= {"secant": 0.0, "unbounded": 1.0, **dict.fromkeys(COUNTING, 99.0)}
    verdict = on(check, **measured)
    assert verdict.verdict == "NOT RUN"
    assert verdict.finding == "The model gives every input the same class: nothing to judge."


# ------------------------------------------------------------------------ the headline's own


@pytest.fixture(scope="module")
def honest():
    return gather(nets.mlp(), nets.held_out(), QUICK, LpBall(), (0.02, 0.05), (0.1,), images=256)


def with_headline(evidence, **changes):
    headline = dataclasses.replace(evidence.curves["headline"], **changes)
    return dataclasses.replace(evidence, curves={**evidence.curves, "headline": headline})


def test_a_headline_that_lacks_something_is_refused(honest):
    curve = honest.curves["headline"]
    assert WorstCase()(honest).verdict == "PASS"
    without = {name: text for name, text in curve.attacks.items() if name != "dlr"}
    assert WorstCase()(with_headline(honest, attacks=without)).finding == "The headline lacks: dlr from 2 starts."
    single = {name: text.replace("restarts=2", "restarts=1") for name, text in curve.attacks.items()}
    assert WorstCase()(with_headline(honest, attacks=single)).verdict == "FAIL"
    forgiven = with_headline(honest, broken=curve.broken & curve.clean_correct)
    assert WorstCase()(forgiven).finding == "The headline lacks: clean errors among the broken."
    other = with_headline(honest)
    object.__setattr__(other.curves["headline"], "clean_correct", curve.clean_correct[:-1])
    assert WorstCase()(other).finding == "The headline lacks: clean accuracy on the same inputs."


@pytest.mark.parametrize("name", ThreatModel().recorded)
def test_a_threat_model_with_a_gap_is_refused(honest, name):
    assert ThreatModel()(honest).verdict == "PASS"
    settings = {key: value for key, value in honest.settings.items() if key != name}
    verdict = ThreatModel()(dataclasses.replace(honest, settings=settings))
    assert (verdict.verdict, verdict.finding) == ("FAIL", f"Not on record: {name}.")


def test_steps_that_cannot_cross_the_ball_are_refused(honest):
    verdict = ThreatModel()(with_headline(honest, reach={"margin": 2.5, "dlr": 0.8}))
    assert verdict.verdict == "FAIL"
    assert verdict.finding == "Steps cover too few radii: dlr 0.8. Give more steps or longer ones."


def test_a_fail_stands_in_the_place_of_the_headline():
    good, warned = Verdict("a", "", "PASS"), Verdict("b", "", "WARN")
    assert headline_stands([good, warned, Verdict("c", "", "NOT RUN")])
    assert not headline_stands([good, Verdict("p1", "", "FAIL"), warned])


# ---------------------------------------------------------------------------- a small zoo


def verdicts(model, bundle=SHORT):
    evidence = gather(model, nets.held_out(200), bundle, LpBall(), (0.05,))
    return {verdict.check: verdict for verdict in judged(bundle, evidence)}, evidence


def failing(found):
    return {name for name, verdict in found.items() if verdict.verdict == "FAIL"}


@pytest.mark.parametrize("net", [nets.mlp, nets.cnn], ids=["mlp", "cnn"])
def test_honest_nets_do_not_fail(net):
    found, _ = verdicts(net(), QUICK if net is nets.mlp else SHORT)
    assert failing(found) == set()
    assert list(found) == [*(f"p{number}" for number in range(1, 7)), *"abcdefghij"]
    assert {name for name, verdict in found.items() if verdict.verdict == "NOT RUN"} == set("cef")


def test_large_logits_warn_and_move_nothing():
    found, evidence = verdicts(nets.Then(nets.mlp(), after=lambda z: 100 * z))
    _, plain = verdicts(nets.mlp())
    assert (found["g"].verdict, found["j"].verdict) == ("WARN", "WARN")
    assert failing(found) == set()
    moved = evidence.curves["headline"].worst().sum() - plain.curves["headline"].worst().sum()
    assert abs(int(moved)) <= 1


def test_raw_cross_entropy_in_the_headline_is_found():
    spoilt = dataclasses.replace(SHORT, headline=("ce",))
    evidence = gather(nets.mlp(), nets.held_out(), spoilt, LpBall(), (0.05,))
    assert Scale()(evidence).verdict == "FAIL"
    assert WorstCase()(evidence).verdict == "FAIL"


class Noisy(nn.Module):
    def forward(self, inputs):
        return inputs + 0.15 * torch.randn_like(inputs)


class BatchStatistics(nn.Module):
    def __init__(self, refuse=False):
        super().__init__()
        self.refuse = refuse

    def forward(self, inputs):
        if self.refuse:
            return nn.functional.batch_norm(inputs, None, None, training=True)
        return (inputs - inputs.mean(0)) / (inputs.std(0, correction=0) + 0.1)


BROKEN = {
    "noise layer": (lambda: nn.Sequential(Noisy(), nets.mlp()), {"p1"}),
    "dropout left on": (lambda: nets.Then(nets.mlp(), before=lambda x: nn.functional.dropout(x, 0.3)), {"p1"}),
    "softmax inside": (lambda: nets.Then(nets.mlp(), after=lambda z: z.softmax(1)), {"p3"}),
    "batch statistics": (lambda: nn.Sequential(nets.mlp()[:1], BatchStatistics(), nets.mlp()[1:]), {"p2"}),
    "rounded inputs": (lambda: nets.Then(nets.mlp(), before=lambda x: (7 * x).round() / 7), {"p4", "g"}),
    "rounded outputs": (lambda: nets.Then(nets.mlp(), after=lambda z: (2 * z).round() / 2), {"p4", "g"}),
    "batch statistics, one input refused": (
        lambda: nn.Sequential(nets.mlp()[:1], BatchStatistics(refuse=True), nets.mlp()[1:]),
        {"p2", "h"},
    ),
    "gradient cut": (lambda: nets.Then(nets.mlp(), before=lambda x: x.detach()), {"p4", "g"}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_defences_trip(name):
    make, expected = BROKEN[name]
    found, _ = verdicts(make().eval())
    assert expected <= failing(found)
    assert not headline_stands(list(found.values()))


def test_a_constant_net_is_trivial():
    model = nn.Linear(64, 10)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.arange(10.0))
    found, evidence = verdicts(model)
    assert evidence.measured["trivial"] == 1
    assert failing(found) == set()


def test_a_model_that_is_never_right_is_not_judged_on_scale():
    data = nets.held_out()
    wrong = dataclasses.replace(data, targets=(data.targets + 1) % 10)
    model = nets.mlp()
    with torch.no_grad():
        keep = model(data.inputs).argmax(1) != wrong.targets
    never = dataclasses.replace(wrong, inputs=wrong.inputs[keep], targets=wrong.targets[keep])
    evidence = gather(model, never, SHORT, LpBall(), (0.05,))
    verdict = Scale()(evidence)
    assert (verdict.verdict, verdict.finding) == ("NOT RUN", "Not run: no input is classified correctly.")


def test_a_model_whose_weights_are_not_finite_is_refused_by_name():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[2].bias[1] = math.inf
    assert refusal(
        gather, model, Split(torch.rand(5, 4), torch.zeros(5).long()), PRESETS["quick"], LpBall(), (0.1,)
    ) == (
        "Expected finite weights, got NaN or infinity in 2.bias. Training diverged, or the file is damaged: nothing "
        "can be said about this model."
    )
