"""Adversarial training: the loop that anyone would write, exact seeds, a model that withstands more, and its traps."""

from dataclasses import dataclass, replace

import nets
import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall import records
from eigenfall.adversarial import MANY, SINGLE, Adversarial, accuracies, collapsed, perturbed
from eigenfall.architectures.mlp import MLP
from eigenfall.attacks import pgd
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.pgd import PGD
from eigenfall.cli import main
from eigenfall.datasets.digits import Digits
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.histories import overfitted
from eigenfall.packing import opened, seal
from eigenfall.plans import Plan
from eigenfall.robustness import robustness
from eigenfall.settings import Run, training_settings
from eigenfall.sweep import execute_all
from eigenfall.training import Diverged, Training, train
from eigenfall.types import LpBall, Proposal, Split

FAST = pgd.PRESETS["wong2020"]
NOTHING = Split(torch.zeros(0, 64), torch.zeros(0, dtype=torch.int64))
SETTINGS = Training(batch_size=128, epochs=None, steps=6, learning_rate=0.01)
AGAINST = replace(SETTINGS, adversarial=Adversarial(FAST, 0.1))


def rows(count=300):
    inputs, targets = nets.digits()
    return Split(inputs[:count].clone(), targets[:count].clone())


def network(seed=0, dropout=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules = (nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, 10))
        return nn.Sequential(*modules)


def finished(model, settings, seed=0, start=None, data=None):
    return list(train(model, data or rows(), NOTHING, {}, settings, seed=seed, start=start))


# --------------------------------------------------------------------------------- the loop


def test_it_is_the_loop_that_anyone_would_write():
    """Fast training of Wong et al.: a random point of the cube, a step of 1.25 ε, back into cube and box; train."""
    ours, theirs, split = network(), network(), rows()
    finished(ours, replace(AGAINST, steps=2))
    optimiser = torch.optim.Adam(theirs.parameters(), lr=0.01, fused=True)
    order, draws = seeded(0), torch.Generator().manual_seed(104_729)
    for some in torch.randperm(300, generator=order).split(128)[:2]:
        inputs, targets = split.inputs[some], split.targets[some]
        torch.randint(2**62, (), generator=draws)  # the seed of steps at a zero gradient
        at = (inputs + 0.1 * (2 * torch.rand(inputs.shape, generator=draws) - 1)).clamp(0, 1).requires_grad_()
        theirs.eval()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(theirs(at), targets, reduction="sum"), at)
        moved = at.detach() + 0.125 * gradient.sign()
        moved = (inputs + (moved - inputs).clamp(-0.1, 0.1)).clamp(0, 1)
        theirs.train()
        optimiser.zero_grad()
        nn.functional.cross_entropy(theirs(moved), targets).backward()
        optimiser.step()
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=1e-5, atol=1e-6)


def test_a_ball_of_no_size_changes_nothing():
    """By sgd: Adam makes steps of full size even of a gradient that is rounding alone."""
    plain, tiny = network(), network()
    settings = replace(SETTINGS, optimiser="sgd")
    finished(plain, settings)
    finished(tiny, replace(settings, adversarial=Adversarial(FAST, 1e-9)))
    assert_close(dict(plain.state_dict()), dict(tiny.state_dict()), rtol=0, atol=1e-4)


def test_the_attack_sees_eval_mode_and_leaves_no_trace():
    model = network(dropout=0.5).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = (perturbed(AGAINST.adversarial, model, rows().inputs, rows().targets, seeded(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert model.training
    assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert float((first - rows().inputs).abs().max()) <= 0.1 + 1e-6
    assert (float(first.min()), float(first.max())) == (0.0, 1.0)


@pytest.mark.parametrize("attack", [FAST, PGD(steps=3), pgd.PRESETS["madry2018"]], ids=["fast", "early", "madry"])
def test_a_run_stopped_anywhere_goes_on_bit_equal(attack, tmp_path):
    settings = replace(AGAINST, steps=7, adversarial=Adversarial(attack, 0.1))
    whole, paths = network(dropout=0.3), []
    for step in train(whole, rows(), NOTHING, {}, settings, seed=3):
        paths.append(tmp_path / f"{step.progress.step}")
        paths[-1].write_bytes(seal(step.snapshot()))
    for stopped in (0, 3, 5):
        torch.rand(stopped)
        model = network(seed=stopped, dropout=0.3)
        finished(model, settings, seed=3, start=opened(paths[stopped]))
        assert_close(dict(model.state_dict()), dict(whole.state_dict()), rtol=0, atol=0)


@dataclass(frozen=True)
class Cheat:
    """Goes one per cent too far."""

    def __call__(self, model, inputs, targets, threat, epsilon, generator):
        zero = torch.zeros(len(inputs), dtype=torch.bool)
        return Proposal((inputs + 1.01 * epsilon).clamp(0, 1), zero, passes=1)


def test_an_attack_that_leaves_the_threat_is_refused():
    sentence = refusal(finished, network(), replace(SETTINGS, adversarial=Adversarial(Cheat(), 0.1)))
    assert "Expected perturbations of Linf norm at most epsilon from attack '" in sentence
    assert "test_adversarial:Cheat', got one that is 0.001 larger. The attack is faulty" in sentence


def test_a_model_that_diverges_is_said_to():
    with pytest.raises(Diverged):
        finished(network(), replace(AGAINST, optimiser="sgd", learning_rate=1e38))


def test_an_epsilon_of_zero_is_refused():
    assert refusal(Adversarial, FAST, 0.0) == (
        "Expected an adversarial epsilon above 0, got 0. Leave adversarial out to train on the inputs as they are."
    )


# ------------------------------------------------------------------------- what comes of it


@pytest.mark.parametrize("attack", [FAST, pgd.PRESETS["madry2018"]], ids=["fast", "madry"])
def test_the_trained_model_withstands_more_at_equal_seeds(attack):
    settings = Training(batch_size=128, epochs=8, learning_rate=0.005)
    held, data = nets.held_out(200), rows(1000)
    standing = []
    for adversarial in (None, Adversarial(attack, 0.15)):
        model = network()
        finished(model, replace(settings, adversarial=adversarial), data=data)
        curve = robustness(model, {"pgd": PGD(steps=20)}, held, LpBall(), (0.15,), seeded(0))
        standing.append(curve.accuracy()[0])
    assert standing[1].low > standing[0].high, standing


# ------------------------------------------------------------------- catastrophic overfitting


class Bent(nn.Module):
    """Wrong only in a ring half a step away: a step of 0.2 jumps over it, smaller ones fall in."""

    def forward(self, inputs):
        away = (inputs.flatten(1)[:, 0] - 0.6) ** 2
        return torch.stack((away - 0.005, 0.0 * away), 1)


def test_a_planted_bend_is_seen():
    inputs = torch.full((40, 1), 0.5) + torch.linspace(-0.01, 0.01, 40)[:, None]
    found = accuracies(Adversarial(FAST, 0.2), Bent(), inputs, torch.zeros(40, dtype=torch.int64))
    assert found == {SINGLE: 1.0, MANY: 0.0}
    assert collapsed(found[SINGLE], found[MANY])


@pytest.mark.parametrize(
    ("attack", "epsilon", "seen"),
    [(FGSM(loss="ce"), 0.3, True), (FAST, 0.1, False), (pgd.PRESETS["madry2018"], 0.3, False)],
    ids=["one step, large", "fast, small", "seven steps, large"],
)
def test_a_true_collapse_is_seen_and_honest_training_is_not_blamed(attack, epsilon, seen):
    """Single steps of 0.3 from the clean digits: the net learns to hide from just that step."""
    against = Training(batch_size=128, epochs=25, learning_rate=0.01, adversarial=Adversarial(attack, epsilon))
    steps = [step.values for step in finished(network(), against, data=rows(1000)) if MANY in step.values]
    assert len(steps) == 25
    assert collapsed(steps[-1][SINGLE], steps[-1][MANY]) is seen
    assert any(collapsed(values[SINGLE], values[MANY]) for values in steps) is seen


@pytest.mark.parametrize(
    ("single", "many", "answer"), [(0.9, 0.1, True), (0.6, 0.45, False), (0.15, 0.0, False), (0.5, 0.29, False)]
)
def test_what_counts_as_a_collapse(single, many, answer):
    assert collapsed(single, many) is answer


def test_the_end_of_each_epoch_is_checked():
    steps = finished(network(), replace(AGAINST, steps=7))  # three batches an epoch
    assert [step.progress.step for step in steps if MANY in step.values] == [3, 6, 7]
    assert all(0 <= step.values[MANY] <= step.values[SINGLE] <= 1 for step in steps if MANY in step.values)
    assert not any(MANY in step.values for step in finished(network(), SETTINGS))


def test_a_collapse_becomes_a_notice():
    history = [
        {"epoch": 1, SINGLE: 0.8, MANY: 0.6},
        {"epoch": 1, "loss": 1.0},
        {"epoch": 2, SINGLE: 0.98, MANY: 0.02},
        {"epoch": 3, SINGLE: 0.9, MANY: 0.3},
    ]
    assert overfitted(history[:2]) == []
    assert overfitted(history) == [
        "Catastrophic overfitting after 2 of 3 epochs: of the batch after epoch 2, 98 % withstand a single step and 2 "
        "% ten of them. Train with more steps, or a smaller epsilon."
    ]


# ------------------------------------------------------------------------------------- runs


def test_settings_tell_the_attack_and_leave_plain_runs_as_they_were():
    assert "adversarial" not in training_settings(SETTINGS)
    told = training_settings(AGAINST)["adversarial"]
    assert (told["epsilon"], told["norm"]) == (0.1, "Linf")
    assert told["attack"].startswith("pgd:loss=ce,steps=1,")


def test_a_run_keeps_what_was_checked(tmp_path):
    run = Run(
        arm="adversarial",
        data=Digits(),
        architecture=MLP(widths=(24, 24)),
        training=replace(AGAINST, steps=None, epochs=2),
        plan=Plan(fits=(LeastSquares(first_rank=2),), draws=0, smoothness_inputs=0, preset="none"),
    )
    (last,) = [event for event in execute_all([run], tmp_path) if event.record or event.error]
    assert not last.error
    record = records.load(last.record)
    assert sum(MANY in entry for entry in record.history) == 2
    assert record.run["training"]["adversarial"]["epsilon"] == 0.1
    assert "madry2018" in record.bibliography


def test_the_command_trains_against_an_attack(tmp_path, capsys):
    small = ["--data", "digits", "--architecture", "mlp:widths=16", "--epochs", "1", "--preset", "none", "--draws", "0"]
    small += ["--smoothness-inputs", "0", "--workers", "1", "--fit", "leastsquares:first_rank=2"]
    small += ["--output", str(tmp_path / "runs"), "--device", "cpu"]
    assert main(["train", *small, "--adversarial", "pgd@wong2020", "--adversarial-epsilon", "0.1"]) == 0
    (record,) = records.load_all(tmp_path / "runs")
    assert (record.run["arm"], record.run["training"]["adversarial"]["norm"]) == ("adversarial", "Linf")
    assert main(["train", *small, "--adversarial", "pgd@wong2020"]) != 0
    assert (
        "Expected --adversarial and --adversarial-epsilon together, got one of them. For instance --adversarial "
        "pgd@madry2018 --adversarial-epsilon 0.1."
    ) in " ".join(capsys.readouterr().err.split())


def test_fgsm_without_a_start_is_what_its_paper_trains_on():
    settings = Adversarial(FGSM(loss="ce"), 0.1)
    inputs, targets = rows().inputs, rows().targets
    moved = perturbed(settings, network().eval(), inputs, targets, seeded(0))
    inside = (inputs > 0.1) & (inputs < 0.9)
    assert_close((moved - inputs)[inside].abs(), torch.full((int(inside.sum()),), 0.1), rtol=0, atol=1e-6)
