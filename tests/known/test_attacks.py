"""FGSM, PGD and noise: against foolbox, against a bare loop, and on problems whose answer is known."""

import math
import warnings
from dataclasses import replace
from itertools import pairwise

import naive
import nets
import pytest
import torch
from torch import nn

from eigenfall.attacks._iterates import uniform
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.fgsm import PRESETS as FGSM_PRESETS
from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD, PRESETS
from eigenfall.layers import left_as_found
from eigenfall.types import GaussianNoise, LpBall

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # foolbox imports a deprecated name of scipy
    import foolbox

LINF, L2 = LpBall("Linf"), LpBall("L2")
MODELS = {"mlp": nets.mlp, "cnn": nets.cnn}
PUBLISHED = {"loss": "ce", "keep": "last", "stop_broken": False, "zero_step": "stay"}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def called(attack, model, inputs, targets, threat, epsilon, seed=0):
    with left_as_found(model):
        return attack(model, inputs, targets, threat, epsilon, seeded(seed))


def by_foolbox(attack, model, inputs, targets, epsilon):
    with left_as_found(model):
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        _, found, _ = attack(wrapped, inputs.clone(), targets, epsilons=epsilon)
    return found


def wrong(model, inputs, targets):
    with torch.no_grad():
        outputs = model(inputs)
    others = outputs.scatter(1, targets[:, None], -math.inf).amax(1)
    return outputs.gather(1, targets[:, None])[:, 0] <= others


# --------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("epsilon", [0.03, 0.1, 0.3])
def test_fgsm_is_foolboxs_bit_for_bit(name, epsilon):
    model, data = MODELS[name](), nets.held_out(128)
    found = called(FGSM_PRESETS["goodfellow2015"], model, data.inputs, data.targets, LINF, epsilon).inputs
    expected = by_foolbox(foolbox.attacks.LinfFastGradientAttack(), model, data.inputs, data.targets, epsilon)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("threat", "epsilon", "oracle"),
    [(LINF, 0.1, foolbox.attacks.LinfPGD), (L2, 0.6, foolbox.attacks.L2PGD)],
    ids=["Linf", "L2"],
)
def test_pgd_is_foolboxs(name, threat, epsilon, oracle):
    model, data = MODELS[name](), nets.held_out(128)
    attack = PGD(steps=40, step_size=epsilon / 10, **PUBLISHED)
    theirs = oracle(steps=40, abs_stepsize=epsilon / 10, random_start=False)
    found = called(attack, model, data.inputs, data.targets, threat, epsilon).inputs
    expected = by_foolbox(theirs, model, data.inputs, data.targets, epsilon)
    assert float((found - expected).abs().max()) <= 1e-6
    assert float((found - data.inputs).abs().max()) > 0.05


@pytest.mark.parametrize("name", MODELS)
def test_the_published_preset_is_the_bare_loop(name):
    model, data = MODELS[name](), nets.held_out(128)
    found = called(PRESETS["nassar2020"], model, data.inputs, data.targets, LINF, 0.1).inputs
    with left_as_found(model):
        expected = naive.pgd(model, data.inputs, data.targets, 0.1, 0.01, 40)
    assert torch.equal(found, expected)
    broken = naive.attacked_by_pgd(model, data.inputs, data.targets, 0.1, 0.01, 40)
    assert torch.equal(broken, wrong(model, expected, data.targets) | wrong(model, data.inputs, data.targets))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("epsilon", [0.004, 0.01, 0.03, 0.2])
def test_holzhausens_preset_is_the_bare_loop_clipped_once_at_the_end(name, epsilon):
    model, data = MODELS[name]().double(), nets.held_out(64)
    inputs = data.inputs.double()
    found = called(PRESETS["holzhausen2024"], model, inputs, data.targets, LINF, epsilon).inputs
    at, step = inputs.clone(), 0.01 if epsilon >= 0.01 else 0.1 * epsilon
    with left_as_found(model):
        for _ in range(20):
            at.requires_grad_()
            loss = nn.functional.cross_entropy(model(at), data.targets, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, at)
            at = at.detach() + step * gradient.sign()
            at = inputs + (at - inputs).clamp(-epsilon, epsilon)
    assert torch.allclose(found, at.clamp(0, 1), rtol=0, atol=1e-12)


def test_where_it_meets_the_bounds_moves_what_it_breaks_by_little():
    """Clipped after every step or once at the end: the answer of under one image in fifty differs."""
    model, data = nets.mlp(), nets.held_out(256)
    once = PRESETS["holzhausen2024"]
    for epsilon in (0.03, 0.1):
        broken = [
            wrong(model, called(attack, model, data.inputs, data.targets, LINF, epsilon).inputs, data.targets)
            for attack in (once, replace(once, clip="steps"))
        ]
        assert 0 <= float((broken[0] ^ broken[1]).double().mean()) < 0.02
        assert broken[0].any()


def test_a_random_start_that_is_clipped_at_the_end_may_climb_outside_the_bounds():
    model, data = nets.mlp(), nets.held_out(16)
    attack = PGD(steps=3, start="random", clip="end", keep="last", stop_broken=False)
    found = called(attack, model, data.inputs, data.targets, LINF, 0.1).inputs
    LINF.check(found, data.inputs, 0.1, "this")
    assert not torch.equal(found, called(replace(attack, clip="steps"), model, *vars(data).values(), LINF, 0.1).inputs)


def test_noise_afresh_is_another_draw_at_every_epsilon_and_the_same_at_the_same():
    inputs = torch.zeros(3, 40, dtype=torch.float64)
    free = GaussianNoise(None)

    def drawn(attack, epsilon):
        return attack(nn.Identity(), inputs, torch.zeros(3).long(), free, epsilon, seeded()).inputs / epsilon

    same, afresh = Noise(draws=1), Noise(draws=1, afresh=True)
    assert torch.allclose(drawn(same, 0.1), drawn(same, 0.2), rtol=0, atol=1e-12)
    assert torch.equal(drawn(afresh, 0.1), drawn(afresh, 0.1))
    correlation = torch.corrcoef(torch.stack([drawn(afresh, 0.1).flatten(), drawn(afresh, 0.2).flatten()]))[0, 1]
    assert abs(float(correlation)) < 4 / math.sqrt(120)


def test_the_published_preset_cannot_leave_four_tenths():
    model, data = nets.mlp(), nets.held_out(64)
    found = called(PRESETS["nassar2020"], model, data.inputs, data.targets, LINF, 0.9)
    assert float((found.inputs - data.inputs).abs().max()) <= 0.4 + 1e-6
    assert found.reach == pytest.approx(0.4 / 0.9)


@pytest.mark.parametrize("first", [None, 0.03])
def test_steps_that_decay_are_the_bare_loop_with_its_steps_shrinking_to_nothing(first):
    model, data = nets.mlp(), nets.held_out(64)
    found = called(PGD(steps=12, decay="cosine", step_size=first, **PUBLISHED), model, *vars(data).values(), LINF, 0.1)
    lengths = [(first or 0.1) * (1 + math.cos(math.pi * k / 12)) / 2 for k in range(12)]
    with left_as_found(model):
        expected = naive.pgd(model, data.inputs, data.targets, 0.1, lengths, 12)
    assert torch.allclose(found.inputs, expected, atol=1e-6)
    assert found.reach == pytest.approx(sum(lengths) / 0.1)


def test_a_step_is_never_shorter_than_the_smallest():
    attack = PGD(steps=6, decay="cosine", smallest_step=0.02)
    for epsilon in (0.04, torch.full((4,), 0.04)):
        lengths = [float(torch.as_tensor(attack._length(*attack._step(epsilon)[:1], k)).max()) for k in range(6)]
        assert lengths == pytest.approx([max(0.04 * (1 + math.cos(math.pi * k / 6)) / 2, 0.02) for k in range(6)])


@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
def test_one_step_from_the_clean_input_is_fgsm(threat):
    model, data = nets.mlp(), nets.held_out(64)
    one = PGD(steps=1, step_size=0.1, keep="last", stop_broken=False)
    found = called(one, model, data.inputs, data.targets, threat, 0.1).inputs
    assert torch.equal(found, called(FGSM(), model, data.inputs, data.targets, threat, 0.1).inputs)


# ------------------------------------------------------------------------------- step sizes


@pytest.mark.parametrize(
    ("attack", "epsilon", "step", "reach"),
    [
        (PGD(steps=40), 0.4, 0.025, 2.5),
        (PGD(steps=40, decay="cosine"), 0.4, 0.4, 20.5),
        (PGD(steps=10, step_size=0.01), 0.2, 0.01, 0.5),
        (PGD(steps=10, step_share=0.3), 0.2, 0.06, 3.0),
        (PRESETS["nassar2020_margin"], 0.01, 0.002, 12.0),
        (PRESETS["nassar2020_margin"], 0.1, 0.01, 6.0),
        (PRESETS["holzhausen2024"], 0.004, 0.0004, 2.0),  # ε below .01: a tenth of it
        (PRESETS["holzhausen2024"], 0.01, 0.01, 20.0),
        (PRESETS["holzhausen2024"], 0.03, 0.01, 20 / 3),
    ],
)
def test_length_of_a_step_and_reach(attack, epsilon, step, reach):
    assert attack._step(epsilon) == (pytest.approx(step), pytest.approx(reach))
    steps, shared = attack._step(torch.tensor([epsilon, 2 * epsilon], dtype=torch.float64))
    assert float(steps[0]) == pytest.approx(step)
    assert shared <= reach + 1e-9


@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=5, restarts=2), Noise(draws=1)], ids=["fgsm", "pgd", "noise"])
@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
def test_an_epsilon_per_input_is_an_attack_per_input(attack, threat):
    model, data = nets.mlp().double(), nets.held_out(12)
    inputs, epsilons = data.inputs.double(), torch.linspace(0.02, 0.5, 12, dtype=torch.float64)
    together = called(attack, model, inputs, data.targets, threat, epsilons).inputs
    for place, epsilon in enumerate(epsilons.tolist()):
        alone = called(attack, model, inputs, data.targets, threat, epsilon).inputs[place]
        assert torch.allclose(together[place], alone, atol=1e-9)
    threat.check(together, inputs, epsilons, "test")


# ------------------------------------------------------------ what is kept, and what is drawn


class Valley(nn.Module):
    """One value x: the margin is positive but in a valley at `at`, of slope one either side."""

    def __init__(self, at, width, reach=math.inf):
        super().__init__()
        self.at, self.width, self.reach = at, width, reach

    def forward(self, inputs):
        away = (inputs - self.at).abs()[:, :1]
        away = torch.where(away > self.reach, away.detach(), away)
        return torch.cat((away - self.width, torch.zeros_like(away)), 1)


def test_success_at_the_last_step_counts():
    model, inputs, targets = Valley(1.0, 0.03), torch.full((1, 1), 0.5), torch.tensor([0])
    enough, short = PGD(steps=10, step_size=0.05), PGD(steps=9, step_size=0.05)
    assert wrong(model, called(enough, model, inputs, targets, LINF, 0.5).inputs, targets).all()
    assert not wrong(model, called(short, model, inputs, targets, LINF, 0.5).inputs, targets).any()


def test_success_on_the_way_counts_unless_the_last_iterate_is_asked_for():
    model, inputs, targets = Valley(0.6, 0.01), torch.full((1, 1), 0.5), torch.tensor([0])
    best = called(PGD(steps=2, step_size=0.1, stop_broken=False), model, inputs, targets, LINF, 0.5).inputs
    last = called(PGD(steps=2, step_size=0.1, keep="last", stop_broken=False), model, inputs, targets, LINF, 0.5).inputs
    assert wrong(model, best, targets).all()
    assert wrong(model, last, targets).any() == (abs(float(last) - 0.6) <= 0.01)


def test_of_an_input_that_stands_the_iterate_of_highest_loss_is_returned():
    model, inputs, targets = Valley(0.63, 0.001), torch.full((1, 1), 0.5), torch.tensor([0])
    found = called(PGD(steps=3, step_size=0.1), model, inputs, targets, LINF, 0.5).inputs
    assert float(found) == pytest.approx(0.6)
    assert float(called(PGD(steps=3, step_size=0.1, keep="last"), model, inputs, targets, LINF, 0.5).inputs) != 0.6
    assert float(called(PGD(steps=3, step_size=0.1, keep="clean"), model, inputs, targets, LINF, 0.5).inputs) == 0.5


def test_each_input_keeps_its_own_start():
    model, inputs, targets = Valley(0.1, 0.02, reach=0.1), torch.full((64, 1), 0.5), torch.zeros(64, dtype=torch.long)
    found = []
    for restarts in range(1, 9):
        attack = PGD(steps=20, step_size=0.02, restarts=restarts, zero_step="stay")
        found.append(wrong(model, called(attack, model, inputs, targets, LINF, 0.5).inputs, targets))
    counts = [int(broken.sum()) for broken in found]
    assert counts[0] == 0
    assert all((later | ~earlier).all() for earlier, later in pairwise(found))  # never lost again
    assert sum(later > earlier for earlier, later in pairwise(counts)) >= 5  # won by different starts


@pytest.mark.parametrize("stop", [True, False])
def test_a_zero_gradient_takes_a_random_step_and_is_counted(stop):
    model, inputs = Valley(0.1, 0.02, reach=0.0), torch.full((64, 1), 0.3)
    targets = torch.zeros(64, dtype=torch.long)
    walked = called(PGD(steps=10, step_size=0.1, stop_broken=stop), model, inputs, targets, LINF, 0.3)
    stayed = called(PGD(steps=10, zero_step="stay", stop_broken=stop), model, inputs, targets, LINF, 0.3)
    assert walked.zero_gradients.all()
    assert stayed.zero_gradients.all()
    assert torch.equal(stayed.inputs, inputs)
    assert int(wrong(model, walked.inputs, targets).sum()) >= 20
    assert not called(PGD(steps=3), Valley(0.9, 0.02), inputs, targets, LINF, 0.3).zero_gradients.any()


def test_draws_do_not_depend_on_which_inputs_broke():
    model, data = nets.mlp().double(), nets.held_out(40)
    inputs, given = data.inputs.double(), data.targets.clone()
    attack = PGD(steps=8, restarts=3)
    one = called(attack, model, inputs, given, LINF, 0.06)
    given[::2] = (given[::2] + 1) % 10  # these are broken from the start
    other = called(attack, model, inputs, given, LINF, 0.06)
    assert torch.allclose(one.inputs[1::2], other.inputs[1::2], atol=1e-12)
    assert torch.equal(other.inputs[::2], inputs[::2])


@pytest.mark.parametrize("attack", [FGSM(), PGD(restarts=2), Noise()], ids=["fgsm", "pgd", "noise"])
def test_one_seed_one_proposal(attack):
    model, data = nets.mlp(), nets.held_out(64)
    first, second, other = (called(attack, model, data.inputs, data.targets, LINF, 0.05, s).inputs for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert torch.equal(first, other) == isinstance(attack, FGSM)


# --------------------------------------------------------------------- scale, classes, bounds


@pytest.mark.parametrize("loss", ["margin", "dlr", "ce_std"])
@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
@pytest.mark.parametrize("attack", [FGSM, PGD], ids=["fgsm", "pgd"])
def test_powers_of_two_change_no_bit(loss, threat, attack):
    model, data = nets.mlp(), nets.held_out(64)
    made = attack(loss=loss) if attack is FGSM else attack(loss=loss, restarts=2)
    for factor in (2.0**-20, 2.0**10):
        scaled = nets.Then(model, after=lambda z, factor=factor: z * factor)
        found = called(made, scaled, data.inputs, data.targets, threat, 0.1).inputs
        assert torch.equal(found, called(made, model, data.inputs, data.targets, threat, 0.1).inputs)


@pytest.mark.parametrize("classes", [2, 3, 4, 9, 10])
@pytest.mark.parametrize("loss", ["margin", "dlr", "ce_std", "ce"])
def test_any_number_of_classes(classes, loss):
    model = nn.Linear(6, classes)
    with torch.no_grad():
        model.weight.copy_(torch.randn(classes, 6, generator=seeded()))
        model.bias.zero_()
    inputs = torch.rand(30, 6, generator=seeded(1))
    with torch.no_grad():
        targets = model(inputs).argmax(1)
    found = called(PGD(loss=loss, steps=10), model, inputs, targets, LpBall("Linf", None), 5.0).inputs
    assert wrong(model, found, targets).all()


@pytest.mark.parametrize("bounds", [(-2.0, 3.0), None])
@pytest.mark.parametrize("attack", [FGSM(), PGD(restarts=2), Noise()], ids=["fgsm", "pgd", "noise"])
def test_bounds_are_the_threats(bounds, attack):
    inputs, targets = 5 * torch.rand(40, 5, generator=seeded()) - 2, torch.arange(40) % 3
    model = nn.Linear(5, 3)
    with torch.no_grad():
        model.weight.copy_(torch.randn(3, 5, generator=seeded(1)))
        model.bias.zero_()
    for norm in ("Linf", "L2"):
        threat = LpBall(norm, bounds)
        found = called(attack, model, inputs, targets, threat, 2.0).inputs
        threat.check(found, inputs, 2.0, "test")
        assert bounds is None or -2 <= float(found.min()) <= float(found.max()) <= 3
        assert bounds is not None or float(found.min()) < -2


# ------------------------------------------------------------------------------------- draws


def test_random_starts_are_uniform_in_the_ball():
    inputs, free = torch.zeros(20000, 3), LpBall("L2", None)
    radius = uniform(inputs, free, 2.0, seeded()).norm(dim=1)
    share = (radius / 2) ** 3  # uniform on [0, 1] if the points are
    assert float(radius.max()) <= 2
    for level in (0.1, 0.5, 0.9):
        assert float((share < level).float().mean()) == pytest.approx(
            level, abs=4 * math.sqrt(level * (1 - level) / 2e4)
        )
    cube = uniform(inputs, LpBall("Linf", None), 2.0, seeded())
    assert float(cube.abs().max()) <= 2
    assert float(cube.var()) == pytest.approx(4 / 3, rel=0.02)


def test_noise_is_of_the_threats_kind():
    inputs, targets, model = torch.full((5000, 4), 0.5), torch.zeros(5000, dtype=torch.long), nn.Identity()
    normal = Noise()(model, inputs, targets, GaussianNoise(bounds=None), 0.3, seeded()).inputs - 0.5
    assert float(normal.std()) == pytest.approx(0.3, rel=0.02)
    assert float((normal.abs() < 0.3).float().mean()) == pytest.approx(0.6827, abs=0.015)
    cube = Noise()(model, inputs, targets, LINF, 0.3, seeded()).inputs - 0.5
    assert float(cube.abs().max()) <= 0.3 + 1e-6
    assert float(cube.std()) == pytest.approx(0.3 / math.sqrt(3), rel=0.02)
    sphere = Noise()(model, inputs, targets, L2, 0.3, seeded()).inputs - 0.5
    assert torch.allclose(sphere.norm(dim=1), torch.full((5000,), 0.3), atol=1e-6)
    clipped = Noise()(model, inputs, targets, GaussianNoise(), 3.0, seeded()).inputs
    assert float(clipped.min()) == 0
    assert float(clipped.max()) == 1


# ---------------------------------------------------------------------------------- refusals


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def test_refusals():
    assert refused(lambda: PGD(steps=0)) == (
        "Expected at least one step and one start, got steps=0, restarts=1. Use steps=40 and restarts=2."
    )
    assert refused(lambda: Noise(draws=0)) == (
        "Expected at least one draw of noise, got 0. Use draws=100, which is the default."
    )
    model, inputs, targets = nn.Linear(2, 2), torch.rand(1, 2), torch.tensor([0])
    for attack, name in ((FGSM(), "fgsm"), (PGD(), "pgd")):
        assert refused(lambda attack=attack: attack(model, inputs, targets, GaussianNoise(), 0.1, seeded())) == (
            f"Expected an Linf or L2 ball for attack {name!r}, got threat 'gaussian'. "
            "Use noise under this threat, or give LpBall(norm='Linf')."
        )


class Strange(LpBall):
    norm = "L7"


def test_noise_refuses_a_threat_it_does_not_know():
    threat = Strange()
    object.__setattr__(threat, "norm", "L7")
    assert refused(lambda: Noise()(nn.Identity(), torch.rand(1, 2), torch.tensor([0]), threat, 0.1, seeded())) == (
        "Expected threat 'gaussian', 'Linf' or 'L2' for noise, got 'L7'. Give GaussianNoise() or LpBall(norm='Linf')."
    )
