"""Square: draws, windows and bumps whose values are known, models without gradients, and every invariance."""

import math

import naive
import nets
import pytest
import torch
from torch import nn

from eigenfall.attacks import _squares
from eigenfall.attacks import square as module
from eigenfall.attacks.square import Square
from eigenfall.layers import left_as_found
from eigenfall.robustness import robustness
from eigenfall.types import GaussianNoise, LpBall, Split

LINF, L2 = LpBall("Linf"), LpBall("L2")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def called(attack, model, inputs, targets, threat, epsilon, seed=0):
    with left_as_found(model):
        return attack(model, inputs, targets, threat, epsilon, seeded(seed))


def wrong(model, inputs, targets):
    with torch.no_grad():
        return model(inputs).argmax(1) != targets


class Watched(nn.Module):
    """Keeps every batch of inputs that it is asked for; its answer is always class 0, by a margin of `slope`·x + 1."""

    def __init__(self, slope=0.0):
        super().__init__()
        self.slope, self.seen = slope, []

    def forward(self, inputs):
        self.seen.append(inputs.clone())
        assert not torch.is_grad_enabled()
        sum_ = inputs.flatten(1).sum(1, keepdim=True)
        return torch.cat((1 + self.slope * sum_, torch.zeros_like(sum_)), 1)


# ------------------------------------------------------------------------- the published parts


def test_a_square_covers_the_published_share():
    attack = Square(queries=10_000)
    shares = {
        2: 0.8,
        10: 0.8,
        11: 0.4,
        50: 0.4,
        51: 0.2,
        201: 0.1,
        501: 0.05,
        1001: 0.025,
        2001: 0.0125,
        8001: 0.8 / 512,
    }
    for query, share in shares.items():
        side = max(round(math.sqrt(share * 32 * 32)), 1)
        assert attack._window(query, 32, 32, "Linf") == (side, side)
        odd = max(side, 3) + 1 - max(side, 3) % 2
        assert attack._window(query, 32, 32, "L2") == (odd, odd)
    fewer = Square(queries=1000)  # the same schedule, ten times faster
    for query in (11, 51, 201, 501, 2001):
        assert fewer._window(math.ceil(query / 10), 32, 32, "Linf") == attack._window(query, 32, 32, "Linf")


def test_windows_of_lines_and_oblongs_keep_their_share():
    attack = Square(queries=10_000)
    assert attack._window(2, 1, 100, "Linf") == (1, 80)
    assert attack._window(300, 1, 100, "Linf") == (1, 10)
    assert attack._window(9000, 1, 100, "L2") == (1, 3)
    assert attack._window(2, 4, 40, "Linf") == (4, 32)
    assert attack._window(2, 40, 4, "Linf") == (32, 4)
    assert attack._window(2, 2, 2, "L2") == (2, 2)
    assert attack._window(9000, 8, 12, "L2") == (1, 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 5), (4, 7), (1, 6), (6, 1), (2, 9)])
def test_a_bump_is_its_formula(size):
    bump = _squares.bump(*size)
    assert torch.allclose(bump, torch.tensor(naive.bump(*size), dtype=torch.float64), atol=1e-12)
    pair = _squares.bumps(*size, torch.zeros(1, dtype=torch.float64))
    assert pair.shape == (2, *size)
    assert torch.allclose(pair.flatten(1).norm(dim=1), torch.ones(2, dtype=torch.float64))
    tall, wide = size
    if tall > 1:
        assert (pair[0, : tall // 2] > 0).all()
        assert (pair[0, tall // 2 :] < 0).all()
    if wide > 1:
        assert (pair[1, :, : wide // 2] > 0).all()
        assert (pair[1, :, wide // 2 :] < 0).all()


def test_the_start_is_stripes_and_each_step_a_square():
    model, inputs = Watched(slope=1.0), torch.full((3, 2, 6, 6), 0.5, dtype=torch.float64)
    attack = Square(queries=40)
    called(attack, model, inputs, torch.zeros(3, dtype=torch.long), LINF, 0.1)
    clean, stripes, *rest = model.seen
    assert torch.equal(clean, inputs)
    assert torch.allclose((stripes - 0.5).abs(), torch.full_like(stripes, 0.1))
    assert torch.equal(stripes, stripes[:, :, :1].expand_as(stripes))
    assert not torch.equal(stripes[0], stripes[1])
    best, taken = stripes, 0
    for query, candidate in enumerate(rest, start=2):
        side, _ = attack._window(query, 6, 6, "Linf")
        for new, old in zip(candidate, best):
            changed = new != old
            for values, where in zip(new - 0.5, changed):
                assert values[where].sign().unique().numel() <= 1  # one sign per channel
                assert torch.allclose(values[where].abs(), torch.full_like(values[where], 0.1))
            places = changed.any(0).nonzero()
            assert not len(places) or int((places.amax(0) - places.amin(0)).max()) < side
        lower = candidate.flatten(1).sum(1) < best.flatten(1).sum(1) - 1e-12
        taken += int(lower.sum())
        best = torch.where(lower[:, None, None, None], candidate, best)
    assert taken > 10


def test_shifted_budget_is_its_slow_twin():
    generator = seeded(3)
    inputs = torch.rand(4, 2, 7, 7, generator=generator, dtype=torch.float64)
    change = torch.randn(inputs.shape, generator=generator, dtype=torch.float64)
    change = 0.8 * change / change.flatten(1).norm(dim=1)[:, None, None, None]
    free, radius = LpBall("L2", None), 1.0
    drawn = torch.rand(4, 7, generator=generator, dtype=torch.float64)
    found = _squares.shifted(inputs + change, inputs, free, radius, drawn, (3, 3)) - inputs
    for one in range(4):
        expected = naive.square_shift(change[one].tolist(), drawn[one].tolist(), 3, radius)
        assert torch.allclose(found[one], torch.tensor(expected, dtype=torch.float64), atol=1e-9)
    assert float(found.flatten(1).norm(dim=1).max()) <= 1 + 1e-9


def test_the_start_in_an_l2_ball_is_tiles_of_norm_epsilon():
    inputs = torch.full((2, 3, 11, 11), 0.5)
    change = _squares.tiles(inputs, LpBall("L2", None), 2.0, seeded()) - inputs
    assert torch.allclose(change.flatten(1).norm(dim=1), torch.full((2,), 2.0), atol=1e-5)
    inner = change[:, :, :10, :10].abs()  # five tiles of two by two along each side, the last line is left
    assert (inner > 0).all()
    assert torch.equal(change[:, :, 10], torch.zeros(2, 3, 11))
    assert torch.allclose(inner[:, :, :2, :2].repeat(1, 1, 5, 5), inner, atol=1e-6)


# ------------------------------------------------------------------------ models without gradients


class Signs(nn.Module):
    """A model of sign units, whose derivative is zero wherever there is one."""

    def __init__(self):
        super().__init__()
        inputs = nets.digits()[0]
        self.inner, self.outer = nn.Linear(64, 128), nn.Linear(128, 10)
        with torch.no_grad():
            self.inner.weight.copy_(torch.randn(128, 64, generator=seeded()))
            self.inner.bias.copy_(-self.inner.weight @ inputs.mean(0))  # half of the digits on either side
        nets.fitted(self, inputs, epochs=20)

    def forward(self, inputs):
        return self.outer(self.inner(inputs).sign())


@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
@pytest.mark.parametrize("kind", ["signs", "rounded"])
def test_a_model_without_gradients_breaks(kind, threat):
    model = Signs() if kind == "signs" else nets.Then(nets.mlp(), before=lambda x: (x * 7).round() / 7)
    data, epsilon = nets.held_out(48), 0.15 if threat is LINF else 1.2
    curve = robustness(model, {"square": Square(queries=300)}, data, threat, (epsilon,), seeded())
    assert float(curve.clean_correct.double().mean()) > 0.75
    assert curve.accuracy()[0].value < float(curve.clean_correct.double().mean()) / 2
    assert not curve.zero_gradients.any()


@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
def test_it_never_asks_for_a_gradient(threat):
    model, inputs = Watched(), torch.rand(2, 9)  # Watched asserts that gradients are off
    found = called(Square(queries=20), model, inputs, torch.zeros(2, dtype=torch.long), threat, 0.1)
    assert len(model.seen) == found.passes == 20
    assert not found.zero_gradients.any()
    assert found.reach == math.inf


# ------------------------------------------------------------------------------ what it asks for


def test_who_is_broken_leaves_with_what_broke_it():
    model, inputs = Watched(slope=-1.0), torch.tensor([[0.1] * 9, [0.9] * 9])  # the second is wrong from the start
    found = called(Square(queries=10), model, inputs, torch.zeros(2, dtype=torch.long), LINF, 0.01).inputs
    assert [len(batch) for batch in model.seen] == [2] + [1] * 9
    assert torch.equal(found[1], inputs[1])


def test_draws_do_not_depend_on_which_inputs_broke():
    model, data = nets.mlp().double(), nets.held_out(30)
    inputs, given = data.inputs.double(), data.targets.clone()
    for threat, epsilon in ((LINF, 0.06), (L2, 0.5)):
        one = called(Square(queries=80), model, inputs, given, threat, epsilon).inputs
        mixed = torch.where(torch.arange(30) % 2 == 0, (given + 1) % 10, given)  # half are broken from the start
        other = called(Square(queries=80), model, inputs, mixed, threat, epsilon).inputs
        assert torch.allclose(one[1::2], other[1::2], atol=1e-12)
        assert torch.equal(other[::2], inputs[::2])


def test_when_broken_inputs_leave_changes_no_proposal(monkeypatch):
    model, data = nets.mlp().double(), nets.held_out(30)
    inputs = data.inputs.double()
    each = called(Square(queries=100), model, inputs, data.targets, LINF, 0.1).inputs
    monkeypatch.setattr(module, "_looked", lambda device, turn: turn == 0)  # as off a CPU
    late = called(Square(queries=100), model, inputs, data.targets, LINF, 0.1).inputs
    assert torch.allclose(each, late, atol=1e-12)
    assert int(wrong(model, late, data.targets).sum()) > 5


@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
def test_the_batch_size_changes_no_success(threat):
    model, data = nets.mlp().double(), nets.held_out(30)
    data, epsilon = Split(data.inputs.double(), data.targets), 0.08 if threat is LINF else 0.7
    attack = {"square": Square(queries=60)}
    found = [robustness(model, attack, data, threat, (epsilon,), seeded(), batch_size=size) for size in (7, 30)]
    assert torch.equal(found[0].broken, found[1].broken)
    assert torch.allclose(found[0].distances, found[1].distances, atol=1e-9)
    assert 0 < int(found[0].broken.sum()) < 30


@pytest.mark.parametrize("threat", [LINF, L2], ids=["Linf", "L2"])
def test_the_scale_of_logits_does_not_count(threat):
    model, data, epsilon = nets.mlp(), nets.held_out(48), 0.08 if threat is LINF else 0.7
    attack = Square(queries=60)
    plain = called(attack, model, data.inputs, data.targets, threat, epsilon).inputs
    for factor in (2.0**-20, 2.0**10):
        scaled = nets.Then(model, after=lambda z, factor=factor: z * factor)
        assert torch.equal(called(attack, scaled, data.inputs, data.targets, threat, epsilon).inputs, plain)
    broken = int(wrong(model, plain, data.targets).sum())
    for factor in (0.01, 100.0, 1000.0):
        scaled = nets.Then(model, after=lambda z, factor=factor: z * factor)
        moved = called(attack, scaled, data.inputs, data.targets, threat, epsilon).inputs
        assert abs(int(wrong(model, moved, data.targets).sum()) - broken) <= 1


def test_an_epsilon_per_input_is_an_attack_per_input():
    model, data = nets.mlp().double(), nets.held_out(6)
    inputs, epsilons = data.inputs.double(), torch.linspace(0.02, 0.3, 6, dtype=torch.float64)
    for threat in (LINF, L2):
        together = called(Square(queries=20), model, inputs, data.targets, threat, epsilons).inputs
        threat.check(together, inputs, epsilons, "square")
        for place, epsilon in enumerate(epsilons.tolist()):
            alone = called(Square(queries=20), model, inputs, data.targets, threat, epsilon).inputs[place]
            assert torch.allclose(together[place], alone, atol=1e-9)


def test_one_seed_one_proposal():
    model, data = nets.mlp(), nets.held_out(16)
    first, second, other = (
        called(Square(queries=20), model, data.inputs, data.targets, LINF, 0.03, seed).inputs for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


# ------------------------------------------------------------------------- closed forms, shapes


@pytest.mark.parametrize(("norm", "short", "beyond"), [("Linf", 0.999, 1.3), ("L2", 0.999, 2.0)])
def test_a_linear_classifier_stands_below_its_distance_and_falls_beyond(norm, short, beyond):
    model = nn.Linear(9, 2).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(2, 9, generator=seeded()))
        model.bias.zero_()
        inputs = torch.rand(40, 9, generator=seeded(1)).double()
        targets = model(inputs).argmax(1)
    exact = torch.tensor(
        [
            naive.linear_distance(model.weight.tolist(), [0.0, 0.0], one, y, norm)
            for one, y in zip(inputs.tolist(), targets.tolist())
        ],
        dtype=torch.float64,
    )
    threat = LpBall(norm, None)
    attack = Square(queries=1000)
    assert not wrong(model, called(attack, model, inputs, targets, threat, short * exact).inputs, targets).any()
    fell = wrong(model, called(attack, model, inputs, targets, threat, beyond * exact).inputs, targets)
    assert float(fell.double().mean()) > 0.9


@pytest.mark.parametrize("shape", [(7,), (9,), (3, 4), (2, 5, 5), (2, 3, 4, 6), (1,)])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
def test_inputs_of_any_shape(shape, norm, bounds):
    inputs = torch.rand(3, *shape, generator=seeded())
    model, threat = Watched(slope=0.01), LpBall(norm, bounds)
    found = called(Square(queries=12), model, inputs, torch.zeros(3, dtype=torch.long), threat, 0.2).inputs
    threat.check(found, inputs, 0.2, "square")
    assert all(batch.shape == inputs.shape for batch in model.seen)


def test_a_shape_that_is_given_is_taken():
    inputs, targets = torch.full((1, 27), 0.5), torch.zeros(1, dtype=torch.long)
    model = Watched()
    called(Square(queries=2, shape=(3, 3, 3)), model, inputs, targets, LINF, 0.1)
    stripes = model.seen[1].reshape(3, 3, 3)
    assert torch.equal(stripes, stripes[:, :1].expand_as(stripes))
    assert Square()._layout(torch.zeros(1, 64)) == (1, 8, 8)
    assert Square()._layout(torch.zeros(1, 27)) == (1, 1, 27)
    assert Square()._layout(torch.zeros(1, 2, 3, 4, 5)) == (6, 4, 5)


# ------------------------------------------------------------------------- the authors' code


@pytest.mark.parametrize(("norm", "epsilon"), [("Linf", 0.08), ("L2", 0.7)])
def test_it_is_as_strong_as_the_authors(norm, epsilon):
    authors = pytest.importorskip("pyautoattack.square")
    model, data = nets.Then(nets.mlp(), before=lambda x: x.flatten(1)), nets.held_out(96)
    inputs = data.inputs.reshape(-1, 1, 8, 8)
    found = called(Square(queries=300), model, inputs, data.targets, LpBall(norm), epsilon).inputs
    with left_as_found(model):
        theirs = authors.SquareAttack(
            model, norm=norm, n_queries=300, eps=epsilon, p_init=0.8, seed=0, device="cpu", resc_schedule=True
        ).perturb(inputs.clone(), data.targets.clone())
    ours, expected = (int(wrong(model, x, data.targets).sum()) for x in (found, theirs))
    assert 15 < expected < 85
    assert ours >= expected - 5  # random search: another seed moves either by a few inputs


# ---------------------------------------------------------------------------------- refusals


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def test_refusals():
    inputs, targets = torch.rand(1, 4), torch.tensor([0])
    assert refused(lambda: Square(queries=1, p_init=2.0)) == (
        "Expected at least two queries, and squares of a share of the input in (0, 1], got queries=1, p_init=2. "
        "Use queries=5000 and p_init=0.8, which are the defaults."
    )
    assert refused(lambda: Square(shape=(3, 2, 2))(nn.Identity(), inputs, targets, LINF, 0.1, seeded())) == (
        "Expected inputs of 12 values, for shape=3/2/2, got inputs of 4. "
        "Give channels, height and width of an input, or leave shape out."
    )
    assert refused(lambda: Square()(nn.Identity(), inputs, targets, GaussianNoise(), 0.1, seeded())) == (
        "Expected an Linf or L2 ball for attack 'square', got threat 'gaussian'. "
        "Use noise under this threat, or give LpBall(norm='Linf')."
    )
