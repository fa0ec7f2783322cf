"""The learning loop: each seed as if it were alone, every input once an epoch, and on from a snapshot bit-equal."""

import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.learning import Learning, learn
from eigenfall.packing import opened, seal
from eigenfall.rules.krotov import Krotov

DATA = torch.rand(50, 2, 3, generator=seeded(0), dtype=torch.float64)
SETTINGS = Learning(units=8, epochs=3, batch_size=16)
RULE = Krotov()


class Watching:
    """A rule that notes what it is shown, around a real one."""

    def __init__(self):
        self.seen, self.progress = [], []

    def start(self, inputs, units, generators):
        return RULE.start(inputs, units, generators)

    def __call__(self, state, batch, progress, generators):
        self.seen.append(batch.clone())
        self.progress.append(progress)
        return RULE(state, batch, progress, generators)


def test_every_input_is_shown_once_an_epoch():
    watching = Watching()
    steps = list(learn(watching, DATA, SETTINGS, (3, 4)))
    assert len(steps) == 3 * 4
    assert [step.last_of_epoch for step in steps] == [False, False, False, True] * 3
    assert [step.last for step in steps] == [False] * 11 + [True]
    assert [(at.step, at.epoch) for at in watching.progress] == [(step, step // 4) for step in range(12)]
    expected = DATA.flatten(1)[DATA.flatten(1)[:, 0].argsort()]
    orders = []
    for epoch in range(3):
        shown = torch.cat(watching.seen[4 * epoch : 4 * epoch + 4], 1)
        for seed in range(2):
            orders.append(shown[seed, :, 0].tolist())
            assert torch.equal(shown[seed][shown[seed, :, 0].argsort()], expected)
    assert len({tuple(order) for order in orders}) == 6


def test_a_short_last_batch_can_be_dropped():
    dropped = Learning(units=8, epochs=1, batch_size=16, last_batch="drop")
    watching = Watching()
    list(learn(watching, DATA, dropped))
    assert [batch.shape[1] for batch in watching.seen] == [16, 16, 16]


def test_seeds_side_by_side_are_seeds_alone():
    *_, both = learn(RULE, DATA, SETTINGS, (5, 9))
    for place, seed in enumerate((5, 9)):
        *_, alone = learn(RULE, DATA, SETTINGS, (seed,))
        assert_close(both.state.weights[place], alone.state.weights[0], rtol=1e-12, atol=1e-13)


def test_the_same_seed_gives_the_same_bits():
    *_, one = learn(RULE, DATA.float(), SETTINGS, (1,))
    *_, other = learn(RULE, DATA.float(), SETTINGS, (1,))
    assert torch.equal(one.state.weights, other.state.weights)


@pytest.mark.parametrize("stop", [1, 4, 6, 11])
def test_going_on_from_a_snapshot_is_bit_equal(stop, tmp_path):
    steps = learn(RULE, DATA.float(), SETTINGS, (1, 2))
    for _ in range(stop):
        step = next(steps)
    path = tmp_path / "kept"
    path.write_bytes(seal(step.snapshot()))
    kept = opened(path)
    *_, whole = learn(RULE, DATA.float(), SETTINGS, (1, 2))
    rest = list(learn(RULE, DATA.float(), SETTINGS, (1, 2), start=kept))
    assert len(rest) == 12 - stop
    assert torch.equal(rest[-1].state.weights, whole.state.weights)
    assert torch.equal(rest[-1].state.effective, whole.state.effective)


def test_a_snapshot_is_a_copy():
    steps = learn(RULE, DATA, SETTINGS)
    kept = next(steps).snapshot()
    before = kept["state/weights"].clone()
    list(steps)
    assert torch.equal(kept["state/weights"], before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inputs": DATA[:0]}, "Expected inputs to learn from, got none. Give the data set training rows."),
        ({"seeds": ()}, "Expected at least one seed, got none. Use seeds=(0,)."),
        (
            {"inputs": torch.where(DATA[7, 0, 0] == DATA, torch.nan, DATA)},
            "Expected finite inputs, got 1 that are not, the first at 7. Leave them out.",
        ),
    ],
)
def test_what_cannot_be_learnt_from(given, message):
    with pytest.raises(ValueError) as raised:
        list(learn(**{"rule": RULE, "inputs": DATA, "settings": SETTINGS, **given}))
    assert str(raised.value) == message


def test_a_snapshot_of_other_inputs():
    kept = next(learn(RULE, DATA, SETTINGS)).snapshot()
    with pytest.raises(ValueError) as raised:
        list(learn(RULE, DATA[:40], SETTINGS, start=kept))
    assert str(raised.value) == (
        "Expected a snapshot of learning 40 inputs with 1 seeds, got one of 50 with 1. Go on with the data and seeds "
        "that the run began with, or begin anew."
    )


def test_settings_that_cannot_be():
    with pytest.raises(ValueError) as raised:
        Learning(epochs=0)
    assert str(raised.value) == "Expected epochs of 1 or more, got 0. Use a larger one."
