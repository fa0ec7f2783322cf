"""A model that draws at random: closed forms of its accuracy over draws, and what a few gradient misses."""

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import nn

from eigenfall.attacks.pgd import PGD
from eigenfall.checks.determinism import Determinism
from eigenfall.presets import PRESETS
from eigenfall.robustness import gather, robustness
from eigenfall.robustness.randomised import Averaged, averaging
from eigenfall.rows import of_randomised
from eigenfall.stages import consumed, seeded
from eigenfall.types import Evidence, LpBall, Split

CLIMB = {"margin": PGD(steps=10)}
FREE = LpBall("Linf", None, "unit")


class Noisy(nn.Module):
    """Two logits of a linear map, each with fresh normal noise; or its inputs, each kept with some probability."""

    def __init__(self, noise=0.0, kept=1.0, features=20):
        super().__init__()
        self.map = nn.Linear(features, 2).double()
        self.noise, self.kept = noise, kept
        with torch.no_grad():
            self.map.weight.copy_(torch.randn(2, features, generator=seeded(0)))
            self.map.bias.zero_()

    def forward(self, inputs):
        if self.kept < 1:
            inputs = inputs * (torch.rand_like(inputs) < self.kept) / self.kept
        outputs = self.map(inputs)
        return outputs + self.noise * torch.randn_like(outputs) if self.noise else outputs


def labelled(model, count=400):
    inputs = torch.randn(count, 20, generator=seeded(1)).double()
    with torch.no_grad():
        return Split(inputs, model.map(inputs).argmax(1))


def found(model, examples, epsilons, draws=20, attacks=None):
    return consumed(averaging(model, attacks or CLIMB, examples, FREE, epsilons, 0, 256, draws))


def test_accuracy_under_noise_on_the_logits_is_the_normal_distribution_of_the_margin():
    model = Noisy(noise=2.0)
    examples = labelled(model)
    got = found(model, examples, (0.1, 0.3), draws=200)
    weights = model.map.weight.detach()
    with torch.no_grad():
        outputs = model.map(examples.inputs)
    margins = (outputs[:, 1] - outputs[:, 0]).abs()
    for epsilon in (0.0, 0.1, 0.3):
        left = margins - epsilon * (weights[1] - weights[0]).abs().sum()
        right = stats.norm.cdf(left.numpy() / (2.0 * math.sqrt(2)))
        error = math.sqrt((right * (1 - right)).sum() / 200) / len(right)
        assert got[f"randomised_accuracy {epsilon:g}"] == pytest.approx(right.mean(), abs=4 * error)
        spread = math.sqrt((right * (1 - right)).sum()) / len(right)
        assert got[f"randomised_spread {epsilon:g}"] == pytest.approx(spread, rel=0.25)


def test_a_model_that_draws_nothing_has_the_harness_accuracy_and_no_spread():
    model = Noisy()
    examples = labelled(model)
    got = found(model, examples, (0.1, 0.3), draws=3)
    curve = robustness(model, CLIMB, examples, FREE, (0.1, 0.3), seeded(0))
    assert [got["randomised_accuracy 0.1"], got["randomised_accuracy 0.3"]] == pytest.approx(curve.mean_accuracy())
    assert got["randomised_accuracy 0"] == 1.0
    assert {value for name, value in got.items() if "spread" in name} == {0.0}


def test_mean_logits_are_the_mean_of_the_same_draws():
    model, inputs = Noisy(noise=1.0), torch.randn(6, 20, generator=seeded(2)).double()
    torch.manual_seed(3)
    whole = Averaged(model, 4)(inputs)
    torch.manual_seed(3)
    assert torch.allclose(whole, torch.stack([model(inputs) for _ in range(4)]).mean(0), atol=1e-14)


def test_averaging_over_more_draws_breaks_more():
    model = Noisy(kept=0.1)
    examples = labelled(model)
    few = found(model, examples, (0.5,), draws=2)
    many = found(model, examples, (0.5,), draws=20)
    assert many["randomised_accuracy 0.5"] < few["randomised_accuracy 0.5"] - 0.02


def test_the_worst_of_several_attacks_counts():
    model = Noisy(noise=0.5)
    examples = labelled(model)
    weak = {"weak": PGD(steps=1, step_share=0.1)}
    both = found(model, examples, (0.3,), attacks={**weak, **CLIMB})
    assert both["randomised_accuracy 0.3"] == found(model, examples, (0.3,))["randomised_accuracy 0.3"]
    assert both["randomised_accuracy 0.3"] < found(model, examples, (0.3,), attacks=weak)["randomised_accuracy 0.3"]


def test_p1_says_what_is_left_over_draws_and_takes_the_headline_away():
    quick = PRESETS["quick"]
    bundle = replace(
        quick, attacks={**quick.attacks, "margin": PGD(steps=5)}, headline=("margin",), checks=quick.checks[:1]
    )
    model = Noisy(noise=0.5)
    evidence = gather(model, labelled(model, 50), bundle, FREE, (0.1,))
    verdict = Determinism()(evidence)
    assert verdict.verdict == "FAIL"
    clean, attacked = (100 * evidence.measured[f"randomised_accuracy {epsilon}"] for epsilon in ("0", "0.1"))
    assert f"over 20 further draws, is {clean:.1f} ± " in verdict.finding
    assert f"{attacked:.1f} ± " in verdict.finding
    assert verdict.finding.endswith("% at ε = 0.1.")
    rows = list(of_randomised(evidence.measured, norm="Linf"))
    assert [(entry["epsilon"], round(100 * entry["value"], 6)) for entry in rows] == [
        (0.0, round(clean, 6)),
        (0.1, round(attacked, 6)),
    ]
    assert all(entry["spread"] > 0 for entry in rows)


def test_without_an_attack_that_climbs_p1_says_so():
    verdict = Determinism()(Evidence(curves={}, measured={"pass_difference": 0.1}))
    assert verdict.finding == (
        "Two passes differ by 0.1 of the largest logit: the model is randomised. No attack of the bundle could average "
        "its gradients over draws."
    )
