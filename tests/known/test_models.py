"""A learnt or trained record gives its model back: the same bits of outputs, pruned or not, of any rule."""

import re
from dataclasses import replace

import pytest
import torch
from exact import refusal
from safetensors.torch import save_file
from torch.testing import assert_close

import eigenfall
from eigenfall import parts, records
from eigenfall.architectures.imported import Imported
from eigenfall.architectures.learnt import LearntLayer
from eigenfall.architectures.mlp import MLP
from eigenfall.cli import main
from eigenfall.commands.subjects import run_of
from eigenfall.datasets.digits import Digits
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.heads.linear import LinearHead
from eigenfall.heads.repu import RePUHead
from eigenfall.learning import Learning
from eigenfall.learnt import learning_model
from eigenfall.models import architecture_of, model_of
from eigenfall.optimisation import Training
from eigenfall.plans import Plan
from eigenfall.pruning import Pruning
from eigenfall.rules.foldiak import Foldiak
from eigenfall.rules.krotov import Krotov
from eigenfall.rules.oja import Oja
from eigenfall.rules.sanger import Sanger
from eigenfall.rules.similarity import Similarity
from eigenfall.settings import Run
from eigenfall.sweep import execute_all

EXAMPLES = Digits()()
PLAN = Plan(draws=0, smoothness_inputs=0, preset="none", layers=("currents",), fits=(LeastSquares(first_rank=1),))
RUN = Run(
    verb="learn",
    arm="krotov",
    data=Digits(),
    rule=Krotov(learning_rate=0.04),
    head=RePUHead(),
    learning=Learning(units=20, epochs=3, batch_size=100),
    training=Training(epochs=2, batch_size=200),
    plan=PLAN,
    stimuli="test",
)
SAID = r"WARN: currents: UNCONVERGED: 20 of 20 units"


def record_of(run, folder):
    (event,) = [event for event in execute_all([run], folder) if event.record or event.error]
    assert not event.error
    return records.load(event.record)


def learnt(run):
    """The model itself, as the run had it in memory."""
    work = learning_model(run.rule, run.head, EXAMPLES, run.learning, run.training, run.seed, run.pruning, run.pruned)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def krotov(tmp_path_factory):
    return record_of(RUN, tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"head": LinearHead(standardise=True)},
        {"head": RePUHead(power=2.0, scale=1.5)},
        {"pruning": Pruning(variance=1.0)},
        {"pruning": Pruning(variance=1.0), "pruned": "zeroed"},
        {"rule": Foldiak(slope=1.0, settle_steps=5), "head": RePUHead(power=1.0)},
        {"rule": Oja(centre="running")},
        {"rule": Similarity()},
    ],
    ids=["repu", "standardised", "scaled", "pruned", "zeroed", "settled", "centred", "solved"],
)
def test_a_learnt_record_gives_back_the_model_that_was_learnt(changed, tmp_path):
    run = replace(RUN, **changed)
    expected = learnt(run).model.eval()
    model = eigenfall.model_of(record_of(run, tmp_path))
    assert not model.training
    assert [name for name, _ in model.named_children()] == ["flatten", "currents", "hidden1", "readout"]
    assert not any(parameter.requires_grad for parameter in model.currents.parameters())
    assert torch.equal(model(EXAMPLES.test.inputs), expected(EXAMPLES.test.inputs))


def test_a_trained_record_gives_back_its_model(tmp_path):
    made = MLP(widths=(7,), batch_norm="after_activation", normalise="channels")
    record = record_of(
        Run(
            arm="plain",
            data=Digits(),
            architecture=made,
            training=RUN.training,
            plan=replace(PLAN, layers=("hidden1",)),
        ),
        tmp_path,
    )
    model = model_of(record, EXAMPLES)
    assert_close(dict(model.state_dict()), records.weights(record), rtol=0, atol=0)
    assert architecture_of(record) == Imported(architecture=made, weights=record.path / "weights.safetensors")
    assert not model.training


def test_the_scale_that_was_found_is_kept_and_decides_no_hash(krotov):
    head = parts.read("heads", krotov.run["fitted_head"])
    assert krotov.run["head"] == "repu:power=4.5,scale=none"
    assert head == learnt(RUN).head
    without = {name: value for name, value in krotov.run.items() if name != "fitted_head"}
    assert records.run_hash(without) == records.run_hash(krotov.run)


def test_a_learnt_record_is_measured_again_and_stays_unconverged(krotov, tmp_path):
    run = replace(run_of(str(krotov.path)), plan=PLAN, stimuli="test")
    assert (run.verb, run.arm, run.data) == ("measure", "krotov s0", Digits())
    found = record_of(run, tmp_path)
    before, after = krotov.measurement, found.measurement
    assert_close(after.spectra["currents"].eigenvalues, before.spectra["currents"].eigenvalues, rtol=0, atol=0)
    assert torch.equal(after.convergence.norms, before.convergence.norms)
    assert torch.equal(after.fields.weights, before.fields.weights)
    assert any(re.match(SAID, notice) for notice in after.notices)
    (row,) = [row for row in after.rows if row["quantity"] == "unconverged_units"]
    assert (row["value"], row["verdict"], row["arm"]) == (1.0, "UNCONVERGED", "krotov s0")
    again = record_of(replace(run_of(str(found.path)), plan=PLAN, stimuli="train"), tmp_path)  # and once more
    assert any(re.match(SAID, notice) for notice in again.measurement.notices)
    assert torch.equal(model_of(again)(EXAMPLES.test.inputs), model_of(krotov)(EXAMPLES.test.inputs))


def test_what_still_moved_stays_said_too(tmp_path):
    record = record_of(replace(RUN, arm="sanger", rule=Sanger()), tmp_path)
    found = record_of(replace(run_of(str(record.path)), plan=PLAN, stimuli="test"), tmp_path)
    before, after = (
        [(row["value"], row["n"], row["verdict"]) for row in one.measurement.rows if row["quantity"] == "last_change"]
        for one in (record, found)
    )
    assert before == after
    assert before[0][1:] == (20, "UNCONVERGED")
    assert [note for note in record.measurement.notices if "over the last epoch" in note] == [
        note for note in found.measurement.notices if "over the last epoch" in note
    ]


def test_the_architecture_is_written_in_the_grammar(krotov):
    made = architecture_of(krotov)
    assert made.rule == RUN.rule
    text = parts.spell(made)
    assert text.startswith("learnt:rule=[krotov:p=3.0,")
    assert parts.read("architectures", text) == made


def test_a_learnt_layer_is_measured_attacked_and_compared_from_the_prompt(krotov, tmp_path, capsys):
    few = ["--epsilons", "0.1", "--output", str(tmp_path), "--twin", str(krotov.path)]
    measured = ["--draws", "0", "--smoothness-inputs", "20", "--attacked", "30", "--layers", "currents", "hidden1"]
    assert main(["measure", str(krotov.path), *few, *measured, "--arm", "one"]) == 0
    assert main(["attack", str(krotov.path), *few, "--images", "30", "--arm", "two"]) == 0
    assert main(["attack", str(krotov.path), *few, "--images", "30", "--attack", "fgsm"]) == 0
    assert main(["compare", str(tmp_path), "--baseline", "one"]) == 0
    assert "UNCONVERGED: 20 of 20 units" in capsys.readouterr().out


# ------------------------------------------------------------------------------- refusals


def test_a_record_without_the_scale_of_its_head_is_refused(krotov):
    run = {name: value for name, value in krotov.run.items() if name != "fitted_head"}
    old = replace(krotov, run=run, versions={**krotov.versions, "eigenfall": "0.0"})
    assert refusal(architecture_of, old) == (
        f"Expected a record in {krotov.path} that knows the scale of its head, got one of eigenfall 0.0 without it. "
        "Remove it and learn again by the same command."
    )


def test_a_recording_has_no_model(krotov):
    assert refusal(model_of, replace(krotov, run={"verb": "measure", "recording": "powerlaw"})) == (
        f"Expected a finished run of a model in {krotov.path}, got one of a recording. Name the file of responses "
        "itself."
    )


def test_changed_weights_are_refused(tmp_path):
    record = record_of(RUN, tmp_path)
    path = record.path / "weights.safetensors"
    state = records.weights(record)
    save_file({**state, "readout.bias": state["readout.bias"] + 1}, path)
    assert refusal(model_of, record) == (
        f"Expected {path} as it was written, got one with another SHA-256. It was changed or cut short: restore it, or "
        "remove the record and run again."
    )


def made_by(layer, tmp_path, tensors):
    save_file(tensors, tmp_path / "w.safetensors")
    return refusal(replace(layer, weights=tmp_path / "w.safetensors"), EXAMPLES, torch.Generator())


def test_a_layer_that_cannot_be_made_is_refused(tmp_path):
    layer = LearntLayer(Krotov(), RePUHead(scale=1.0))
    assert refusal(LearntLayer(rule=Krotov()), EXAMPLES, torch.Generator()) == (
        "Expected rule, head and weights of a learnt layer, got no head and no weights. Name the folder of a finished "
        "run of eigenfall learn instead: its record knows them."
    )
    assert made_by(replace(layer, head=RePUHead()), tmp_path, {"a": torch.zeros(1)}) == (
        "Expected a head with the scale that it was fitted with, got RePUHead without one. Set its scale: "
        "eigenfall.readout.unit_scale finds it at the inputs that the head was fitted on."
    )
    assert made_by(layer, tmp_path, {"a": torch.zeros(1)}) == (
        "Expected currents.weight (units, inputs), with or without currents.bias, got none. Give weights of a learnt "
        "model; a rule whose layer is not linear needs a method restored(tensors)."
    )
    path = tmp_path / "w.safetensors"
    currents = {"currents.weight": torch.zeros(5, 64)}
    assert made_by(layer, tmp_path, currents) == (
        f"Expected weights of a readout (classes, units) in {path}, got none. Give those of a learnt model."
    )
    assert made_by(layer, tmp_path, {**currents, "readout.weight": torch.zeros(10, 5)}) == (
        f"Expected the model's own names and shapes in {path}, got 1 that differ: readout.bias is missing. Give the "
        "weights of this model, or the factory of that one."
    )
    settled = replace(layer, rule=Foldiak())
    assert made_by(settled, tmp_path, currents) == (
        "Expected weights, lateral, thresholds of a settled layer, got weight. Give the weights of a layer that learnt "
        "by this rule."
    )


def test_making_it_again_draws_nothing_from_the_global_state(krotov):
    before = torch.get_rng_state()
    model_of(krotov, EXAMPLES)
    assert torch.equal(torch.get_rng_state(), before)
