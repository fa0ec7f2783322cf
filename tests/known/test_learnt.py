"""A layer learns, a head is fitted, the model is measured: from settings to a record, and on from any moment."""

import itertools
from dataclasses import dataclass, replace

import pytest
import torch
from torch.testing import assert_close

from eigenfall import records
from eigenfall.datasets.digits import Digits
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.heads.repu import RePUHead
from eigenfall.judgements import notices_of, rows_of
from eigenfall.learning import Learning, learn
from eigenfall.learnt import learning_model
from eigenfall.optimisation import Training
from eigenfall.packing import opened, seal
from eigenfall.plans import Plan
from eigenfall.pruning import Pruning
from eigenfall.readout import unit_scale
from eigenfall.rules.krotov import Krotov, State
from eigenfall.rules.oja import Oja
from eigenfall.settings import Run
from eigenfall.sweep import execute_all
from eigenfall.types import Split

EXAMPLES = Digits()()
RULE = Krotov(k=2, learning_rate=0.04)
LEARNING = Learning(units=20, epochs=3, batch_size=100)
TRAINING = Training(epochs=2, batch_size=200)
RUN = Run(
    verb="learn",
    arm="krotov",
    data=Digits(),
    rule=RULE,
    head=RePUHead(),
    learning=LEARNING,
    training=TRAINING,
    plan=Plan(
        layers=("currents", "hidden1"),
        fits=(LeastSquares(first_rank=2),),
        draws=0,
        smoothness_inputs=0,
        preset="none",
    ),
    stimuli="test",
)


def finished(work):
    """All moments at which the work got on, and its value; that the layer was judged again is none."""
    moments = []
    while True:
        try:
            moment = next(work)
        except StopIteration as end:
            return moments, end.value
        if moment.what != "judging the layer":
            moments.append(moment)


def working(**changed):
    given = {"rule": RULE, "head": RePUHead(), "examples": EXAMPLES, "learning": LEARNING, "training": TRAINING}
    return learning_model(**{**given, **changed})


def test_the_layer_is_what_the_loop_learns():
    moments, learnt = finished(working())
    *_, last = learn(RULE, EXAMPLES.train.inputs, LEARNING, (0,))
    assert_close(learnt.model.currents.weight, last.state.effective[0], rtol=0, atol=0)
    scale = unit_scale(RULE.layer(last.state), 4.5, EXAMPLES.train.inputs)
    assert learnt.model.hidden1.scale == pytest.approx(scale)
    assert learnt.fields.units == 20
    assert torch.equal(learnt.fields.weights.flatten(1), last.state.weights[0])
    assert learnt.fields.weights.shape == (20, 1, 8, 8)
    assert [moment.last for moment in moments].count(True) == 2


@pytest.mark.parametrize("stop", [1, 12, 33, 34, 40, -1])
def test_from_any_moment_the_work_goes_on_bit_equal(stop, tmp_path):
    moments, whole = finished(working())
    work, path = working(), tmp_path / "kept"
    steps = (moment for moment in work if moment.what != "judging the layer")
    for number, moment in enumerate(steps):
        if number == (stop if stop >= 0 else len(moments) - 1):
            path.write_bytes(seal(moment.snapshot()))
            break
    rest, again = finished(working(start=opened(path)))
    assert len(rest) == (len(moments) - 1 - stop if stop >= 0 else 0)
    mine, theirs = again.model.state_dict(), whole.model.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert again.rows == whole.rows


@pytest.mark.parametrize("stop", [None, 38])
def test_from_the_judgement_of_the_layer_it_goes_on_where_the_head_was(stop, tmp_path):
    path, kept = tmp_path / "kept", None
    if stop is not None:
        moments, _ = finished(working())
        kept = moments[stop].snapshot()
    (judged,) = [one for one in working(start=kept) if one.what == "judging the layer"]
    path.write_bytes(seal(judged.snapshot()))
    mine, theirs = finished(working(start=opened(path)))[1], finished(working())[1]
    assert_close(mine.model.state_dict(), theirs.model.state_dict(), rtol=0, atol=0)
    if kept is not None:
        assert {name for name in judged.snapshot() if name.startswith("head/")} == {
            name for name in kept if name.startswith("head/")
        }


def test_a_collapsed_layer_is_named_before_anything_else_is_tried():
    """All weights −N^(−1/3): no unit answers, and no head can be fitted on it."""

    @dataclass(frozen=True)
    class Sunk(Krotov):
        def start(self, inputs, units, generators):
            weights = torch.full((1, units, inputs), -(inputs ** (-1 / 3)))
            return State(weights, -weights.square())

        def __call__(self, state, batch, progress, generators):
            return state

    work = working(rule=Sunk())
    told = next(moment.said for moment in work if moment.said)
    with pytest.raises(ValueError, match="positive current"):
        next(work)
    assert told.startswith("WARN: currents: COLLAPSED into the all-negative attractor: ")
    assert told.endswith("Start from N(0, 1), not from a Glorot-sized start, and learn again.")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"head": RePUHead(power=0.5)}, "Expected a power of 1 or more, got 0.5. A power of 1 is a ReLU."),
        (
            {
                "training": replace(TRAINING, patience=1),
                "examples": replace(EXAMPLES, validation=Split(EXAMPLES.test.inputs[:0], EXAMPLES.test.targets[:0])),
            },
            "Expected a validation split for early stopping, got an empty one. Give the data set validation rows, or "
            "leave patience out.",
        ),
    ],
)
def test_a_head_that_cannot_be_fitted_is_refused_before_the_layer_learns(changed, message):
    with pytest.raises(ValueError) as raised:
        next(working(**changed))
    assert str(raised.value) == message


def test_pruned_units_are_removed_or_zeroed():
    pruning = Pruning(variance=0.5)
    _, whole = finished(working())
    _, less = finished(working(pruning=pruning))
    _, zeroed = finished(working(pruning=pruning, prune="zeroed"))
    kept = less.pruned.kept
    assert 0 < int(kept.sum()) < 20
    assert torch.equal(less.model.currents.weight, whole.model.currents.weight[kept])
    assert torch.equal(zeroed.model.currents.weight[kept], whole.model.currents.weight[kept])
    assert not zeroed.model.currents.weight[~kept].any()
    (share,) = [row["value"] for row in less.rows if row["quantity"] == "pruned_units"]
    assert share == pytest.approx(float((~kept).double().mean()))


def test_a_rule_without_radius_has_no_gates_but_the_last_change_of_its_weights():
    settings = replace(LEARNING, units=5)
    moments, learnt = finished(working(rule=Oja(), learning=settings))
    after = [
        step.state.weights[0].clone() for step in learn(Oja(), EXAMPLES.train.inputs, settings) if step.last_of_epoch
    ]
    changes = [float((now - before).norm() / before.norm()) for before, now in itertools.pairwise(after)]
    assert learnt.convergence is None
    assert learnt.change == pytest.approx(changes[-1], rel=1e-5)
    (row,) = learnt.rows
    assert (row["quantity"], row["value"], row["n"]) == ("last_change", learnt.change, 5)
    logged = [moment.logged.get("layer_change") for moment in moments if moment.what == "learning" and moment.logged]
    assert logged == [None, *(pytest.approx(change, rel=1e-5) for change in changes)]


@pytest.mark.parametrize("stop", [5, 11, 12, 23, 32, 33, 38])
def test_the_last_change_is_the_same_from_any_moment(stop, tmp_path):
    given, path = {"rule": Oja(), "learning": replace(LEARNING, units=5)}, tmp_path / "kept"
    _, whole = finished(working(**given))
    path.write_bytes(seal(next(itertools.islice(working(**given), stop, None)).snapshot()))
    _, again = finished(working(**given, start=opened(path)))
    assert again.change == whole.change
    assert again.rows == whole.rows


@pytest.mark.parametrize(
    ("change", "verdict", "notices"),
    [
        (0.01, "CONVERGED", []),
        (
            0.0123,
            "UNCONVERGED",
            [
                "WARN: currents: UNCONVERGED: the weights changed by 1.2 % over the last epoch, more than 1 %. Learn "
                "for longer, or at a rate that falls."
            ],
        ),
    ],
)
def test_a_layer_that_still_moves_is_told(change, verdict, notices):
    assert notices_of(None, None, change) == notices
    assert [row["verdict"] for row in rows_of(None, None, change, 3)] == [verdict]


def test_a_single_epoch_has_no_change():
    _, learnt = finished(working(rule=Oja(), learning=replace(LEARNING, units=5, epochs=1)))
    assert learnt.change is None
    assert learnt.rows == ()
    assert learnt.notices == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"rule": Oja(), "pruning": Pruning()},
            "Expected a rule whose units' variance says whether they have learnt, got oja. Only krotov's units are "
            "pruned.",
        ),
        (
            {"rule": replace(RULE, scaling="l3")},
            "Expected images of L3 norm 1, got norms from 1.927 to 2.756. Use a data set's scaling=l3, for instance "
            "--data cifar10:scaling=l3.",
        ),
    ],
)
def test_what_cannot_be_learnt(changed, message):
    with pytest.raises(ValueError) as raised:
        finished(working(**changed))
    assert str(raised.value) == message


def test_a_run_becomes_a_record(tmp_path):
    (event,) = [event for event in execute_all([RUN], tmp_path) if event.record or event.error]
    assert not event.error
    record = records.load(event.record)
    found = record.measurement
    assert record.run["rule"].startswith("krotov:p=3.0,k=2")
    assert record.run["learning"] == {"units": 20, "epochs": 3, "batch_size": 100, "last_batch": "keep"}
    assert "architecture" not in record.run
    assert set(found.spectra) == {"currents", "hidden1"}
    assert found.spectra["hidden1"].units == 20
    assert found.convergence.unconverged == 1.0
    assert any(notice.startswith("WARN: currents: UNCONVERGED") for notice in found.notices)
    assert [row["layer_epoch"] for row in record.history if "layer_epoch" in row] == [1, 2, 3]
    assert {"unconverged_units", "clean_accuracy", "alpha"} <= {row["quantity"] for row in found.rows}
    assert "Krotov" in record.bibliography
    (again,) = [event for event in execute_all([RUN], tmp_path) if event.record]
    assert again.again
