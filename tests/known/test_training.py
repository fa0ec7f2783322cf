"""The gradient loop: bit-equal after any kill, deaf to the global random state, and honest about what it sees."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from exact import seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.heads.tanh import TanhHead
from eigenfall.optimisation import PRESETS, shortened
from eigenfall.packing import opened, seal
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.penalties.spectral import Spectral
from eigenfall.penalties.weightdecay import WeightDecay
from eigenfall.settings import training_settings
from eigenfall.snapshots import flattened, unflattened
from eigenfall.training import Diverged, Training, captured_by, reference_of, train
from eigenfall.types import ForwardPass, Penalty, Split, Task


def network(seed=0, dropout=0.0, norm=True, units=16):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential()
        model.add_module("linear1", nn.Linear(8, units))
        model.add_module("hidden1", nn.Tanh())
        model.add_module("norm", nn.BatchNorm1d(units) if norm else nn.Identity())
        model.add_module("dropout", nn.Dropout(dropout))
        model.add_module("linear2", nn.Linear(units, units))
        model.add_module("hidden2", nn.Tanh())
        model.add_module("readout", nn.Linear(units, 3))
        return model


def data(rows=70, seed=0):
    inputs = torch.rand(rows, 8, generator=seeded(seed))
    return Split(inputs, (3 * inputs.mean(1) + inputs[:, 0]).long().clamp(0, 2))


NOTHING = Split(torch.zeros(0, 8), torch.zeros(0, dtype=torch.int64))
SETTINGS = Training(learning_rate=0.01, batch_size=16, epochs=3)
STATEFUL = {
    "spectral": Spectral(tau=3, refresh="every_k_steps", k_steps=2, fixed=False, rows=40),
    "exact": Spectral(tau=3, estimator="exact", layers=("hidden2",), rows="all"),
    "epoch": Spectral(tau=2, refresh="every_epoch", layers=("hidden1",)),
    "auto": Spectral(tau=2, max_age=4, layers=("hidden2",)),
    "jacobian": JacobianNorm(),
    "decay": WeightDecay(),
}


def finished(model, penalties, settings=SETTINGS, **other):
    steps = list(train(model, data(), other.pop("validation", NOTHING), penalties, settings, **other))
    return steps, {name: value.clone() for name, value in model.state_dict().items()}


# ------------------------------------------------------------------------------ the updates


def test_it_is_the_loop_that_anyone_would_write():
    ours, theirs, split = network(norm=False), network(norm=False), data()
    steps, weights = finished(ours, {})
    optimiser = torch.optim.Adam(theirs.parameters(), lr=0.01, fused=True)
    batches, losses = seeded(0), []
    for _ in range(3):
        for rows in torch.randperm(70, generator=batches).split(16):
            loss = nn.functional.cross_entropy(theirs(split.inputs[rows]), split.targets[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    assert_close(weights, dict(theirs.state_dict()), rtol=0, atol=0)
    assert [step.values["loss"] for step in steps] == losses
    assert [step.last_of_epoch for step in steps] == [False, False, False, False, True] * 3
    assert [step.last for step in steps] == [False] * 14 + [True]
    assert (steps[7].progress.step, steps[7].progress.steps, steps[7].progress.epoch, steps[7].progress.epochs) == (
        8,
        15,
        1,
        3,
    )


@pytest.mark.parametrize(
    "settings, made",
    [
        (Training(optimiser="sgd", momentum=0.9, learning_rate=0.1), torch.optim.SGD),
        (Training(amsgrad=True), torch.optim.Adam),
    ],
)
def test_the_optimiser_is_the_one_asked_for(settings, made):
    optimiser = settings.optimiser_of(network())
    group = optimiser.param_groups[0]
    assert type(optimiser) is made
    assert (group["lr"], group["weight_decay"]) == (settings.learning_rate, 0)
    assert group.get("amsgrad", False) is settings.amsgrad
    assert group.get("momentum", 0.0) == settings.momentum


@pytest.mark.parametrize("settings", [Training(amsgrad=True), Training(optimiser="sgd", momentum=0.9)])
def test_one_kernel_takes_the_steps_that_many_take(settings):
    ours, theirs = network().double(), network().double()
    plain = {"lr": settings.learning_rate, "fused": False}
    if settings.optimiser == "sgd":
        reference = torch.optim.SGD(theirs.parameters(), momentum=0.9, **plain)
    else:
        reference = torch.optim.Adam(theirs.parameters(), amsgrad=True, **plain)
    optimiser = settings.optimiser_of(ours)
    assert optimiser.param_groups[0]["fused"]
    for number in range(20):
        for mine, other in zip(ours.parameters(), theirs.parameters()):
            mine.grad = torch.randn(mine.shape, generator=seeded(number), dtype=torch.float64)
            other.grad = mine.grad.clone()
        optimiser.step()
        reference.step()
    for mine, other in zip(ours.parameters(), theirs.parameters()):
        assert torch.allclose(mine, other, rtol=1e-12, atol=1e-14)


def test_a_short_last_batch_is_kept_or_dropped():
    sizes = {}
    for last_batch in ("keep", "drop"):
        Watching.sizes.clear()
        finished(network(), {"watching": Watching()}, replace(SETTINGS, epochs=1, last_batch=last_batch))
        sizes[last_batch] = list(Watching.sizes)
    assert sizes == {"keep": [16, 16, 16, 16, 6], "drop": [16, 16, 16, 16]}


def test_steps_instead_of_epochs():
    steps, _ = finished(network(), {}, replace(SETTINGS, epochs=None, steps=7))
    assert [step.progress.epochs for step in steps] == [2] * 7
    assert [step.progress.step for step in steps] == list(range(1, 8))


def test_penalties_add_to_the_loss_and_are_logged():
    steps, _ = finished(network(), {"decay": WeightDecay(strength=0.5), "jacobian": JacobianNorm(strength=0.1)})
    for step in steps:
        weights = sum(value for name, value in step.values.items() if name.startswith("decay/"))
        total = step.values["task_loss"] + 0.5 * weights + 0.1 * step.values["jacobian/outputs"]
        assert step.values["loss"] == pytest.approx(total, rel=1e-5)
    assert all(isinstance(value, float) for step in steps for value in step.values.values())


def test_the_gradient_norm_that_is_logged_is_that_of_loss_and_penalties():
    """Of plain gradient descent it is the step over the learning rate."""
    model = network(norm=False)
    before = [value.detach().clone() for value in model.parameters()]
    settings = Training(optimiser="sgd", learning_rate=0.1, batch_size=70, epochs=1)
    (step,), _ = finished(model, {"decay": WeightDecay(strength=3.0)}, settings)
    moved = torch.cat([(new.detach() - old).flatten() for new, old in zip(model.parameters(), before)])
    assert step.values["gradient_norm"] == pytest.approx(float(moved.norm()) / 0.1, rel=1e-5)
    assert step.values["gradient_norm"] > 1


def test_a_basis_is_not_renewed_after_the_last_update():
    """What ends is the basis in use: one that is renewed when nothing follows would hide how stale it was."""
    penalty = Spectral(tau=3, refresh="every_k_steps", k_steps=2)
    settings = Training(batch_size=16, epochs=None, steps=6)
    steps, _ = finished(network(norm=False), {"spectral": penalty}, settings)
    assert [step.states["spectral"].refreshes for step in steps] == [0, 1, 1, 2, 2, 2]
    assert [step.states["spectral"].age for step in steps] == [1, 0, 1, 0, 1, 2]


@pytest.mark.filterwarnings("ignore:16 samples for 16 units")
def test_arms_that_differ_in_penalties_see_the_same_batches():
    seen = []
    for penalties in ({"watching": None}, {"watching": None, **STATEFUL}):
        Watching.first.clear()
        finished(network(dropout=0.3), {**penalties, "watching": Watching()})
        seen.append(torch.stack(Watching.first))
    assert_close(*seen, rtol=0, atol=0)


@dataclass(frozen=True)
class Watching:
    """A penalty of nothing that keeps what it was shown; deliberately impure."""

    layers: tuple[str, ...] = ("hidden1",)
    sizes = []  # noqa: RUF012
    first = []  # noqa: RUF012
    shown = []  # noqa: RUF012

    def start(self, reference, generator):
        return None

    def __call__(self, forward_pass: ForwardPass, state, generator) -> Penalty:
        self.sizes.append(len(forward_pass.inputs))
        self.first.append(forward_pass.inputs[0].detach())
        self.shown.append((forward_pass.inputs.requires_grad, tuple(forward_pass.hidden)))
        return Penalty(total=forward_pass.outputs.sum() * 0)

    def refreshed(self, state, reference, generator):
        return None


@dataclass(frozen=True)
class NotReading(Watching):
    """Does not read the inputs."""

    reads_inputs = False


@pytest.mark.parametrize("penalty, required", [(Watching(), True), (NotReading(), False)])
def test_inputs_require_gradients_only_for_who_reads_them(penalty, required):
    Watching.shown.clear()
    finished(network(), {"one": penalty, "spectral": Spectral(tau=3)}, replace(SETTINGS, epochs=1))
    assert set(Watching.shown) == {(required, ("hidden1",))}


def test_a_penalty_that_names_no_layer_gets_the_hidden_ones():
    model = network()
    assert captured_by(model, {"a": Spectral()}) == ("hidden1", "hidden2")
    assert captured_by(model, {"a": Spectral(layers=("norm",))}) == ("norm",)
    assert captured_by(model, {"a": Spectral()}, ["norm", "hidden2"]) == ("norm", "hidden2")
    assert captured_by(model, {"a": JacobianNorm(), "b": WeightDecay()}) == ()
    penalties = {"spectral": Spectral(tau=3), "jacobian": JacobianNorm(layer="norm")}
    steps, _ = finished(model, penalties, replace(SETTINGS, epochs=1))
    assert "spectral/norm" not in steps[0].values
    assert "jacobian/norm" in steps[0].values


def test_a_heads_own_loss_is_minimised():
    head, ours, theirs, split = TanhHead(beta=0.5), network(norm=False), network(norm=False), data()
    steps, weights = finished(ours, {}, validation=data(30, seed=5), task=Task(objective=head))
    optimiser, batches = torch.optim.Adam(theirs.parameters(), lr=0.01, fused=True), seeded(0)
    for _ in range(3):
        for rows in torch.randperm(70, generator=batches).split(16):
            signs = 2 * nn.functional.one_hot(split.targets[rows], 3) - 1
            loss = ((0.5 * theirs(split.inputs[rows])).tanh() - signs).pow(6).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert_close(weights, dict(theirs.state_dict()), rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        expected = head.loss(ours.eval()(data(30, seed=5).inputs), data(30, seed=5).targets)
    assert steps[-1].values["validation_loss"] == pytest.approx(float(expected))


# ------------------------------------------------------------------------- learning rates by epoch

SCHEDULED = replace(SETTINGS, epochs=6, schedule=((1, 0.004), (4, 0.001)), decay=(3, 2.0))
RATES = [0.01, 0.004, 0.004, 0.004, 0.001 * 0.6065306597126334, 0.001 * 0.36787944117144233]


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_the_learning_rate_follows_the_epochs(optimiser):
    """A twin sets the rate by hand before each epoch."""
    settings = replace(SCHEDULED, optimiser=optimiser)
    ours, theirs, split = network(norm=False), network(norm=False), data()
    steps, weights = finished(ours, {}, settings)
    made, batches = settings.optimiser_of(theirs), seeded(0)
    for epoch in range(6):
        made.param_groups[0]["lr"] = RATES[epoch]
        for rows in torch.randperm(70, generator=batches).split(16):
            made.zero_grad()
            nn.functional.cross_entropy(theirs(split.inputs[rows]), split.targets[rows]).backward()
            made.step()
    assert_close(weights, dict(theirs.state_dict()), rtol=1e-6, atol=1e-7)
    assert [step.values["learning_rate"] for step in steps[::5]] == pytest.approx(RATES, rel=1e-12)
    assert "learning_rate" not in finished(network(), {})[0][0].values  # nothing is said of a constant one


def test_a_schedule_counts_epochs_of_steps_too():
    steps, _ = finished(network(), {}, replace(SETTINGS, epochs=None, steps=7, schedule=((1, 0.5),)))
    assert [step.values["learning_rate"] for step in steps] == [0.01] * 5 + [0.5] * 2


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_scheduled_run_goes_on_bit_equal(optimiser):
    settings = replace(SCHEDULED, optimiser=optimiser, momentum=0.5)
    whole = network(dropout=0.3)
    steps = [(step.values, step.snapshot()) for step in train(whole, data(), NOTHING, {}, settings)]
    for killed in (0, 4, 5, 12, 19, 20, 28):
        model = network(seed=killed, dropout=0.3)
        again = train(model, data(), NOTHING, {}, settings, start=steps[killed][1])
        assert str([step.values for step in again]) == str([values for values, _ in steps[killed + 1 :]])
        assert_close(dict(model.state_dict()), dict(whole.state_dict()), rtol=0, atol=0)


def test_published_learning_rates():
    def rates(name, *epochs):
        return [PRESETS[name].rate_at(epoch) for epoch in epochs]

    assert rates("pnas_mnist", 0, 99, 100, 149, 150, 199, 200, 249, 250, 299) == [
        *(1e-3, 1e-3, 5e-4, 5e-4, 1e-4, 1e-4, 5e-5, 5e-5, 1e-5, 1e-5),
    ]
    assert PRESETS["pnas_mnist"].epochs == 300
    assert rates("pnas_cifar", *range(99, 500, 50)) == [4e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5, 1e-5]
    assert rates("pnas_cifar", 100, 450) == [2e-3, 1e-5]
    assert PRESETS["pnas_cifar"].epochs == 500
    assert rates("holzhausen2024", 0, 30, 31, 90, 91, 120, 121, 160, 161, 999) == [
        *(1e-3, 1e-3, 5e-4, 5e-4, 2e-4, 2e-4, 1e-4, 1e-4, 1e-5, 1e-5),
    ]
    assert rates("holzhausen2024_spectral", 0, 90, 120, 150) == pytest.approx(
        [1e-3, 1e-3, 1e-3 / 2.718281828459045, 1e-3 / 7.38905609893065]
    )
    assert rates("holzhausen2024_head", 0, 999) == [1e-3, 1e-3]
    for name in ("holzhausen2024", "holzhausen2024_head", "holzhausen2024_spectral"):
        assert (PRESETS[name].epochs, PRESETS[name].batch_size, PRESETS[name].optimiser) == (1000, 1000, "adam")


def test_fewer_epochs_keep_the_schedule_in_proportion():
    found = shortened(PRESETS["pnas_mnist"], 30)
    assert (found.epochs, found.schedule) == (30, ((10, 5e-4), (15, 1e-4), (20, 5e-5), (25, 1e-5)))
    assert shortened(PRESETS["pnas_mnist"], 300) == PRESETS["pnas_mnist"]
    assert shortened(PRESETS["holzhausen2024_spectral"], 100).decay == pytest.approx((9, 3.0))
    assert shortened(PRESETS["pnas_cifar"], 4).schedule == ((1, 1e-3), (2, 1e-4), (3, 2e-5), (4, 1e-5))


def test_settings_without_a_schedule_are_hashed_as_before_there_were_any():
    names = "optimiser learning_rate amsgrad momentum batch_size epochs steps last_batch patience"
    assert set(training_settings(Training())) == set(names.split())
    told = training_settings(SCHEDULED)
    assert (told["schedule"], told["decay"]) == (((1, 0.004), (4, 0.001)), (3, 2.0))
    assert hash(SCHEDULED) == hash(replace(SCHEDULED))


# ------------------------------------------------------------------- killed and gone on with


@pytest.mark.filterwarnings("ignore:16 samples for 16 units")
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_run_killed_anywhere_goes_on_bit_equal(optimiser, tmp_path):
    settings = replace(SETTINGS, optimiser=optimiser, momentum=0.5, amsgrad=True, patience=3)
    validation = data(30, seed=5)

    def run(model, start=None, seed=3):
        return train(model, data(), validation, STATEFUL, settings, seed=seed, start=start)

    whole = network(dropout=0.3)
    values, paths = [], []
    for step in run(whole):
        values.append(step.values)
        path = tmp_path / f"{step.progress.step}"
        path.write_bytes(seal(step.snapshot()))
        paths.append(path)
    expected = {name: value.clone() for name, value in whole.state_dict().items()}
    assert len(values) == 15
    for killed in range(0, 15, 2):
        torch.rand(killed)
        model = network(seed=killed, dropout=0.3)
        again = [step.values for step in run(model, opened(paths[killed]))]
        assert str(again) == str(values[killed + 1 :]), killed
        assert_close(dict(model.state_dict()), expected, rtol=0, atol=0)


def test_snapshots_hold_only_plain_things():
    for step in train(network(), data(), NOTHING, {"auto": STATEFUL["auto"]}, SETTINGS):
        snapshot = step.snapshot()
    kinds = {type(value) for value in snapshot.values()}
    assert kinds <= {torch.Tensor, bool, int, float, str}
    frozen = snapshot["model/linear1.weight"].clone()
    with torch.no_grad():
        step.model.linear1.weight += 1
    assert_close(snapshot["model/linear1.weight"], frozen, rtol=0, atol=0)


def test_the_global_random_state_neither_matters_nor_moves():
    results = []
    for seed in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            results.append(finished(network(dropout=0.5), {"spectral": Spectral(tau=3)})[1])
            assert torch.equal(torch.get_rng_state(), before)
    assert_close(*results, rtol=0, atol=0)


def test_another_seed_is_another_run():
    one, other = (finished(network(), {}, seed=seed)[1]["linear1.weight"] for seed in (0, 1))
    assert not torch.equal(one, other)


def test_a_snapshot_of_other_data_is_refused():
    step = next(train(network(), data(), NOTHING, {}, SETTINGS))
    with pytest.raises(ValueError) as refusal:
        next(train(network(), data(50), NOTHING, {}, SETTINGS, start=step.snapshot()))
    assert str(refusal.value) == (
        "Expected a snapshot of training on 50 rows, got one on 70. "
        "Go on with the data that the run began with, or begin anew."
    )


def test_a_state_comes_back_as_it_was():
    @dataclass(frozen=True, eq=False)
    class State:
        tensors: dict = field(default_factory=dict)
        rows: torch.Tensor | None = None
        number: float = 0.1
        count: int = 3
        due: str = "no"

    state = State({"a.b/c": torch.randn(3, 2), "d": torch.ones(())}, torch.arange(4), 1 / 3, 7, "epoch")
    flat = flattened(state, "state/x/")
    assert set(flat) == {f"state/x/{name}" for name in ("tensors/a.b/c", "tensors/d", "rows", "number", "count", "due")}
    back = unflattened(State(), {**flat, "state/y/number": 3}, "state/x/", torch.device("cpu"))
    assert (back.number, back.count, back.due) == (1 / 3, 7, "epoch")
    assert_close((back.tensors, back.rows), (state.tensors, state.rows), rtol=0, atol=0)
    assert unflattened(State(rows=torch.ones(1)), flattened(State(), ""), "", torch.device("cpu")).rows is None


# ------------------------------------------------------------------------------ reference rows


def test_reference_passes_leave_the_model_as_it_was():
    model, split = network(dropout=0.5).train(), data()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    reference = reference_of(model, split, ("hidden2",), batch_size=23)
    for mode in ("train", "eval"):
        first, again = (list(reference(torch.arange(70), mode)) for _ in range(2))
        assert [len(found.inputs) for found in first] == ([18, 18, 17, 17] if mode == "train" else [70])
        for one, other in zip(first, again):
            assert_close(one.hidden["hidden2"], other.hidden["hidden2"], rtol=0, atol=0)
            assert not one.outputs.requires_grad
        with torch.random.fork_rng():
            outputs = model.eval()(split.inputs)
            model.train()
        assert torch.equal(torch.cat([found.outputs for found in first]), outputs) is (mode == "eval")
    assert model.training
    assert reference.rows == 70
    assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


# ------------------------------------------------------------------------ stopping and failing


def test_early_stopping_goes_back_to_the_best_weights():
    validation, scores, best = data(40, seed=9), [], {}
    settings = replace(SETTINGS, epochs=40, learning_rate=0.05, patience=3)
    model = network()
    for step in train(model, data(), validation, {}, settings):
        if step.last_of_epoch:
            scores.append((step.values["validation_accuracy"], -step.values["validation_loss"]))
            if scores[-1] == max(scores) and not step.last:
                best = {name: value.clone() for name, value in model.state_dict().items()}
    assert len(scores) < 40
    assert len(scores) - 1 - scores.index(max(scores)) == 3
    assert step.last
    assert_close(dict(model.state_dict()), best, rtol=0, atol=0)


def test_whoever_watches_may_switch_modes():
    model = network(dropout=0.5)
    for step in train(model, data(), NOTHING, {}, SETTINGS):
        step.model.eval()
    assert_close(dict(model.state_dict()), finished(network(dropout=0.5), {})[1], rtol=0, atol=0)


@dataclass(frozen=True)
class Exploding:
    """A penalty that is not finite from its third batch on; or whose gradient is not."""

    what: str = "loss"
    reads_inputs = False

    def start(self, reference, generator):
        return 0

    def __call__(self, forward_pass, state, generator):
        weight = forward_pass.parameters["linear1.weight"]
        total = weight.sum() * 0
        if state == 2:
            total = total + float("inf") if self.what == "loss" else ((weight - weight) ** 0.5).sum()
        return Penalty(total=total, state=state + 1)

    def refreshed(self, state, reference, generator):
        return state


@pytest.mark.parametrize(
    "what, shown", [("loss", "loss at step 3, got inf"), ("gradient", "gradient norm at step 3, got nan")]
)
def test_divergence_keeps_the_last_good_weights(what, shown):
    model, before = network(), None
    with pytest.raises(Diverged) as refusal:  # noqa: PT012
        for step in train(model, data(), NOTHING, {"bad": Exploding(what)}, SETTINGS):
            if step.progress.step == 1:
                before = {name: value.clone() for name, value in model.state_dict().items() if "norm" not in name}
    assert str(refusal.value) == (
        f"Expected a finite {shown}. The last good weights are kept; "
        "lower the learning rate or the penalties' strength."
    )
    after = {name: value for name, value in model.state_dict().items() if "norm" not in name}
    assert_close(after, before, rtol=0, atol=0)
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())


def test_weights_that_explode_in_the_last_update_are_seen():
    model = network(norm=False)
    with pytest.raises(Diverged) as refusal:
        finished(model, {}, Training(optimiser="sgd", learning_rate=1e38, epochs=None, steps=1))
    assert str(refusal.value).startswith("Expected a finite norm of the weights at step 1, got inf.")
    assert_close(dict(model.state_dict()), dict(network(norm=False).state_dict()), rtol=0, atol=0)


REFUSALS = [
    (
        lambda: Training(epochs=3, steps=3),
        "Expected epochs or steps, got both. Set the other to none.",
    ),
    (
        lambda: Training(epochs=None),
        "Expected epochs or steps, got neither. Set the other to none.",
    ),
    (
        lambda: Training(batch_size=0),
        "Expected batch_size of 1 or more, got 0. Use a larger one.",
    ),
    (
        lambda: Training(patience=0),
        "Expected patience of one epoch or more, got 0. Leave it out to train to the end.",
    ),
    (
        lambda: Training(learning_rate=0.0),
        "Expected a learning rate above 0, got 0.0. 0.001 is Adam's own.",
    ),
    (
        lambda: Training(schedule=((100, 5e-4), (50, 1e-4))),
        "Expected a schedule after 1 or more finished epochs, in ascending order, got epochs 100, 50. "
        "Set learning_rate to what it begins with, and sort the rest.",
    ),
    (
        lambda: Training(schedule=((0, 5e-4),)),
        "Expected a schedule after 1 or more finished epochs, in ascending order, got epochs 0. "
        "Set learning_rate to what it begins with, and sort the rest.",
    ),
    (
        lambda: Training(schedule=((5, 1e-4), (9, 0.0))),
        "Expected learning rates above 0 in the schedule, got 0.0. Train for fewer epochs instead.",
    ),
    (
        lambda: Training(decay=(90, 0.0)),
        "Expected a decay after 0 or more finished epochs, over more than 0, got (90, 0.0). "
        "decay=(90, 30.0) divides the rate by e every 30 epochs after the 90th.",
    ),
    (
        lambda: shortened(Training(epochs=20), 30),
        "Expected at most 20 epochs, got 30. Set epochs and schedule yourself.",
    ),
    (
        lambda: shortened(Training(epochs=None, steps=7), 3),
        "Expected a training that counts epochs, got one of 7 steps. Set epochs instead of steps.",
    ),
    (
        lambda: next(train(network(), NOTHING, NOTHING, {}, SETTINGS)),
        "Expected training rows, got none. Use fewer rows for validation.",
    ),
    (
        lambda: next(train(network(), data(), NOTHING, {}, replace(SETTINGS, patience=1))),
        "Expected a validation split for early stopping, got an empty one. "
        "Give the data set validation rows, or leave patience out.",
    ),
    (
        lambda: next(train(nn.Linear(8, 3), data(), NOTHING, {"spectral": Spectral()}, SETTINGS)),
        "Expected the layers that the penalty is about, got a model without layers named hidden1, hidden2, …. "
        "Set the penalty's layers=….",
    ),
    (
        lambda: next(train(network(), data(), NOTHING, {"spectral": Spectral(layers=("hiden1",))}, SETTINGS)),
        "Expected a layer of the model, got 'hiden1'. Did you mean 'hidden1'? "
        "Its layers are: linear1, hidden1, norm, dropout, linear2, hidden2, readout.",
    ),
]


@pytest.mark.parametrize("wrong, sentence", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(wrong, sentence):
    with pytest.raises(ValueError) as refusal:
        wrong()
    assert str(refusal.value) == sentence
