"""A record measured again holds; what was changed in it, however little, fails, and what cannot be done is said."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from exact import refusal
from safetensors.torch import load_file, save_file

import eigenfall
from eigenfall import records
from eigenfall.architectures.imported import Imported
from eigenfall.architectures.mlp import MLP
from eigenfall.cli import main
from eigenfall.commands.subjects import run_of
from eigenfall.datasets.digits import Digits
from eigenfall.dimensions.participation import Participation
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.heads.linear import LinearHead
from eigenfall.learning import Learning
from eigenfall.optimisation import Training
from eigenfall.plans import Plan
from eigenfall.rules.oja import Oja
from eigenfall.settings import Run, plan_of, plan_settings
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.spectra.cvpca import CvPCA
from eigenfall.sweep import execute_all
from eigenfall.verification import verify

PLAN = Plan(
    draws=2,
    smoothness_inputs=3,
    fits=(LeastSquares(first_rank=1),),
    epsilons=(0.1,),
    noise=(),
    attacked_inputs=6,
)
PLAIN = replace(PLAN, preset="none", draws=0)
RUN = Run(arm="plain", data=Digits(), architecture=MLP(widths=(5,)), training=Training(steps=4, epochs=None), plan=PLAN)


def record_of(run, folder):
    (event,) = [event for event in execute_all([run], folder) if event.record or event.error]
    assert not event.error
    return records.load(event.record)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One tiny run with attacks."""
    torch.set_num_threads(1)
    return record_of(RUN, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(trained.path, tmp_path / trained.name)


def rewritten(path, change=None, weights=None):
    """A record changed by somebody who mends its sums."""
    content = json.loads((path / "record.json").read_text())
    if weights is not None:
        save_file(weights, path / "weights.safetensors")
        content["sizes"]["weights.safetensors"] = (path / "weights.safetensors").stat().st_size
    if change is not None:
        change(content)
    (path / "record.json").write_text(json.dumps(content))
    names = sorted(each.name for each in path.iterdir() if each.name != "SHA256SUMS")
    sums = "".join(f"{records.sha256((path / name).read_bytes())}  {name}\n" for name in names)
    (path / "SHA256SUMS").write_text(sums)
    return records.load(path)


def failing(found):
    return [held.name for held in found.failed]


def alpha(content):
    return next(row for row in content["rows"] if row["quantity"] == "alpha")


# ---------------------------------------------------------------------------------- what holds


def test_a_record_of_this_machine_is_equal(trained):
    found = verify(trained)
    assert found.failed == ()
    assert {held.difference for held in found.numbers} == {0.0}
    assert {held.tolerance for held in found.numbers} == {0.0}
    names = [held.name for held in found.numbers]
    assert {"alpha/hidden1", "clean_accuracy", "margin, each image", "eigenvalue, each rank/hidden1"} <= set(names)
    assert "stands, first 6 images/margin/epsilon=0.1" in names
    count = sum(row["quantity"] == "robust_accuracy" for row in trained.measurement.rows)
    assert found.left["robust_accuracy"] == count
    assert found.said == ("Software, instructions, threads and device are the record's: numbers must be equal.",)
    assert str(found).startswith(f"{trained.name}: {len(names)} of {len(names)} numbers hold.\n")


def test_the_whole_record_is_equal_intervals_and_attacks_too(trained):
    found = verify(trained, whole=True)
    assert found.failed == ()
    assert found.left == {}
    assert len([held for held in found.numbers if held.row]) == len(trained.measurement.rows)


def test_a_learnt_layer_is_equal(tmp_path):
    run = Run(
        verb="learn",
        arm="oja",
        data=Digits(),
        rule=Oja(),
        head=LinearHead(),
        learning=Learning(units=8, epochs=2, batch_size=500),
        training=Training(epochs=1, batch_size=500),
        plan=replace(PLAIN, layers=("currents",)),
        stimuli="test",
    )
    found = verify(record_of(run, tmp_path))
    assert found.failed == ()
    assert found.left == {"last_change": 1}


def test_a_plan_is_read_back():
    plan = replace(PLAN, smoothness=(Frobenius(),), corruptions=None, layers=None, probe=9, unfit="say")
    assert plan_of(plan_settings(plan)) == plan
    assert plan_of(plan_settings(PLAIN)) == PLAIN
    assert refusal(plan_of, {"drows": 3}) == (
        "Expected a known setting of a measurement, got 'drows'. Did you mean 'draws'?"
    )
    assert refusal(plan_of, {"preset": "quik"}) == (
        "Expected a known bundle of attacks, got 'quik'. Did you mean 'quick'?"
    )


# ---------------------------------------------------------------------------------- what fails


def test_a_number_that_was_changed_fails_alone(copied):
    def change(content):
        alpha(content)["value"] *= 1 + 1e-12

    found = verify(rewritten(copied, change))
    assert failing(found) == ["alpha/hidden1"]
    (held,) = found.failed
    assert held.difference == held.kept - held.found > 0
    assert str(found).splitlines()[1] == (
        f"  FAILS alpha/hidden1: {held.kept!r} in the record, {held.found!r} now; they differ by "
        f"{held.difference:.3g}, 0 at most."
    )


def test_weights_that_were_changed_fail_whatever_the_sums_say(copied, capsys, tmp_path):
    weights = {name: 1.5 * tensor for name, tensor in load_file(copied / "weights.safetensors").items()}
    rewritten(copied, weights=weights)
    assert main(["verify", str(copied), "--json", str(tmp_path / "rows.json")]) == 2
    captured = capsys.readouterr()
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    fails = [row["number"] for row in rows if row["verdict"] == "FAILS"]
    assert {"alpha/hidden1", "margin, each image", "jacobian_norm/outputs/mean"} & set(fails) >= {
        "margin, each image",
        "jacobian_norm/outputs/mean",
    }
    assert captured.err.splitlines()[-1] == (
        f"eigenfall: Expected every number to hold, got some that do not: {copied.name}: {len(fails)} of {len(rows)}. "
        "Look at them above; what changed between versions is in CHANGELOG.md."
    )
    assert "FAILS" in captured.out


def test_an_image_that_was_marked_as_broken_fails(copied):
    with np.load(copied / "arrays.npz") as archive:
        arrays = dict(archive)
    arrays["measurement/curves/headline/broken"][0, 0, 2] ^= True
    np.savez(copied / "arrays.npz", **arrays)

    def change(content):
        content["sizes"]["arrays.npz"] = (copied / "arrays.npz").stat().st_size

    found = verify(rewritten(copied, change))
    assert failing(found) == ["stands, first 6 images/margin/epsilon=0.1"]
    assert found.failed[0].difference == 1 / 6


def test_a_number_that_is_not_found_again_fails(copied):
    def change(content):
        alpha(content)["layer"] = "hidden7"

    (held,) = verify(rewritten(copied, change)).failed
    assert (held.name, held.difference) == ("alpha/hidden7", math.inf)
    assert math.isnan(held.found)


def test_another_window_fails(copied):
    def change(content):
        alpha(content)["last_rank"] += 1

    assert failing(verify(rewritten(copied, change))) == ["alpha/hidden1"]


# ------------------------------------------------------------------------------- other machines


@pytest.mark.parametrize(("factor", "fails"), [(1 + 5e-4, []), (1 + 5e-3, ["alpha/hidden1"])])
def test_elsewhere_a_number_may_be_rounded(copied, factor, fails):
    def change(content):
        alpha(content)["value"] *= factor
        content["versions"]["torch"] = "1.0"
        del content["versions"]["instructions"]

    found = verify(rewritten(copied, change))
    assert failing(found) == fails
    now = records.versions()
    assert found.said == (
        f"Other than the record's: torch 1.0, now {now['torch']}; instructions unknown, now {now['instructions']}. So "
        "numbers may differ by 0.001 of themselves, shares of images by 0.01 or two images, other numbers of attacks "
        "by 0.02 of themselves.",
    )
    share = next(held for held in found.numbers if held.name.startswith("stands"))
    assert share.tolerance == 2 / 6


def test_a_device_that_is_not_here_is_said(copied):
    found = verify(rewritten(copied, lambda content: content["run"].update(device="mps")))
    assert "device mps, now cpu" in found.said[0]


# ------------------------------------------------------------------------------------- refusals


def test_a_damaged_file_is_refused(copied):
    data = bytearray((copied / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (copied / "weights.safetensors").write_bytes(data)
    assert refusal(verify, records.load(copied)) == (
        f"Expected {copied / 'weights.safetensors'} as it was written, got one with another SHA-256. It was changed or "
        "cut short: restore it, or remove the record and run again."
    )


def test_other_data_are_refused_first(trained, capsys):
    ours, theirs = trained.run["inputs"][:12], Digits(validation=100)().digest[:12]
    assert main(["verify", str(trained.path), "--data", "digits:validation=100"]) == 2
    assert capsys.readouterr().err == (
        f"eigenfall: {trained.name}: Expected the data of {trained.name}, digest {ours}, got others, digest {theirs}, "
        "from digits:validation=100. Say where the same lie now with --data.\n"
    )


def test_a_record_without_weights_is_refused(copied):
    (copied / "weights.safetensors").unlink()
    record = rewritten(copied, lambda content: content["sizes"].pop("weights.safetensors"))
    assert refusal(verify, record) == (
        f"Expected weights in {copied}, got none. Only runs that train or learn keep them."
    )


def test_a_record_of_a_later_schema_is_refused_and_the_others_are_verified(copied, capsys):
    later = shutil.copytree(copied, copied.parent / "later-0123456789ab")
    content = json.loads((later / "record.json").read_text())
    (later / "record.json").write_text(json.dumps(content | {"schema": 9, "eigenfall": "9.0"}))
    digest = records.sha256((later / "record.json").read_bytes())
    (later / "SHA256SUMS").write_text(f"{digest}  record.json\n")
    assert main(["verify", str(copied.parent)]) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        f"eigenfall: later-0123456789ab: Expected a record of schema 1 or older at {later}, got schema 9, written by "
        "eigenfall 9.0. Update eigenfall.\n"
    )
    assert "numbers hold." in captured.out


MODEL = """
import torch


def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
"""


def test_what_a_record_names_is_run_only_if_it_is_trusted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stranger.py").write_text(MODEL)
    model, plan = Imported(factory="stranger:make"), replace(PLAIN, layers=("1",))
    run = Run(verb="measure", arm="theirs", data=Digits(), architecture=model, plan=plan)
    record = record_of(run, tmp_path / "runs")
    assert verify(record, trusted=True).failed == ()
    (tmp_path / "stranger.py").write_text("raise RuntimeError('ran')")
    assert refusal(verify, record) == (
        "Expected a model that eigenfall makes itself, got the record's own word for 'stranger:make'. Making it runs "
        "what is in it: say that you trust the record that names it."
    )


@pytest.mark.parametrize(
    ("trusted", "sentence"),
    [
        (
            False,
            "Expected a part of kind fits that is installed here under a name of its own, got 'theirs.fits:Line'. "
            "Importing it runs what is in its module: say that you trust the record that names it.",
        ),
        (
            True,
            "Expected 'theirs.fits:Line' to be importable as package.module:Class, got ModuleNotFoundError: No module "
            "named 'theirs'. Install the package, or mend the name.",
        ),
    ],
)
def test_a_part_of_somebody_else_is_refused_or_not_found(copied, trusted, sentence):
    record = rewritten(copied, lambda content: content["run"]["measurement"].update(fits=["theirs.fits:Line:a=1"]))
    assert refusal(verify, record, trusted=trusted) == sentence


def test_an_attack_of_somebody_else_is_not_run(copied):
    def change(content):
        content["measurement"]["curves"]["headline"]["attacks"]["margin"] = "theirs.attacks:Push"

    assert refusal(verify, rewritten(copied, change)).startswith(
        "Expected a part of kind attacks that is installed here under a name of its own, got 'theirs.attacks:Push'. "
    )


def test_what_says_nothing_of_its_measurement_is_refused(copied, capsys, tmp_path):
    record = rewritten(copied, lambda content: content["run"].pop("measurement"))
    assert refusal(verify, record) == (
        f"Expected a record that says how and on what it was measured, in {copied}, got one that does not. Verify "
        "records of train, learn, measure or attack."
    )
    (tmp_path / "empty").mkdir()
    assert main(["verify", str(tmp_path / "empty")]) == 2
    assert capsys.readouterr().err == (
        f"eigenfall: Expected a finished run in {tmp_path / 'empty'}, got none. Run `eigenfall train` first.\n"
    )


# ------------------------------------------------------------------------------------ recordings


def test_a_recording_is_measured_again_where_it_is(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 40, 12)) * np.arange(1, 13) ** -0.5
    np.save(tmp_path / "session.npy", values)
    plan = replace(PLAIN, simulations=0, subsets=0, spectra=(CvPCA(),), dimensions=(Participation(),))
    record = record_of(replace(run_of(str(tmp_path / "session.npy")), plan=plan), tmp_path / "runs")
    found = verify(record)
    assert found.failed == ()
    assert {"eigenvalue, each rank/cvpca"} <= {held.name for held in found.numbers}
    (tmp_path / "session.npy").rename(tmp_path / "moved.npy")
    assert refusal(verify, record).startswith(f"Expected a file '{tmp_path / 'session.npy'}', got none there.")
    moved = f"file:path={tmp_path / 'moved.npy'}"
    assert verify(record, data=moved).failed == ()
    np.save(tmp_path / "moved.npy", 2 * values)
    assert refusal(verify, record, data=moved).startswith(f"Expected the recording of {record.name}, digest ")


def test_the_top_level_has_it():
    assert eigenfall.verify is verify
