"""The command line, as a user meets it: small runs, real ones."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exact import refusal

from eigenfall.cli import COMMANDS, main, overview
from eigenfall.commands import screen
from eigenfall.commands.summary import gathered, headings, show
from eigenfall.corruptions.saturate import Saturate
from eigenfall.records import load_all

pytestmark = pytest.mark.usefixtures("few_steps")

QUICK = ["--steps", "60", "--architecture", "mlp:widths=16/16", "--fit", "leastsquares:first_rank=2", "--draws", "4"]
SMALL = [*QUICK, "--smoothness-inputs", "20", "--attacked", "40", "--epsilons", "0.05", "0.1", "--noise", "0.2"]


def rows(path):
    content = json.loads(Path(path).read_text())
    assert content["schema"] == 1
    return content["rows"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two arms of one seed, trained by the command."""
    folder = tmp_path_factory.mktemp("trained")
    for penalty in ([], ["--penalty", "jacobian:strength=0.01"]):
        assert (
            main(["train", *penalty, *SMALL, "--output", str(folder / "runs"), "--json", str(folder / "rows.json")])
            == 0
        )
    return folder


def test_help_lists_every_command_and_teaches():
    text = overview()
    assert all(f"  {name} " in text for name in COMMANDS)
    assert "eigenfall train --data mnist" in text


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: eigenfall {command}" in text
    assert "--json" in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("eigenfall ")


def test_training_writes_a_record_per_seed_and_every_number_as_a_row(trained):
    assert len([path for path in (trained / "runs").iterdir() if path.name[0] != "."]) == 2
    found = rows(trained / "rows.json")
    quantities = {entry["quantity"] for entry in found}
    assert {"alpha", "clean_accuracy", "robust_accuracy", "noise_accuracy", "jacobian_norm", "check"} <= quantities
    assert {entry["arm"] for entry in found} == {"jacobian"}
    assert not (trained / "runs" / ".partial").exists()


def test_a_finished_run_is_not_run_again(trained, capsys):
    before = {path: path.stat().st_mtime_ns for path in (trained / "runs").glob("*/record.json")}
    assert main(["train", *SMALL, "--output", str(trained / "runs")]) == 0
    assert "kept from before" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in (trained / "runs").glob("*/record.json")}


def test_json_to_standard_output_is_alone_there(trained, capsys):
    assert main(["report", str(trained / "runs"), "--json", "-"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["rows"]
    assert (trained / "runs" / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_compare(trained, capsys, tmp_path):
    assert main(["compare", str(trained / "runs"), "--baseline", "plain", "--json", str(tmp_path / "rows.json")]) == 0
    text, found = capsys.readouterr().out, rows(tmp_path / "rows.json")
    assert "Robust accuracy less that of 'plain'" in text
    assert "median distance all" in text
    assert {entry["arm"] for entry in found if "baseline" in entry} == {"jacobian"}
    assert {entry["arm"] for entry in found if entry["quantity"] == "critical_distance"} == {"plain", "jacobian"}


def test_attack_on_a_finished_run(trained, capsys, tmp_path):
    (record,) = (trained / "runs").glob("plain-*")
    arguments = ["--attack", "fgsm", "--attack", "pgd:steps=5", "--epsilons", "0.05", "0.1", "--images", "50"]
    assert main(["attack", str(record), *arguments, "--json", str(tmp_path / "rows.json")]) == 0
    found = [entry for entry in rows(tmp_path / "rows.json") if entry["quantity"] == "robust_accuracy"]
    assert {entry["attack"] for entry in found} == {"fgsm", "pgd", "worst"}
    assert {entry["n"] for entry in found} == {50}
    by = {(entry["attack"], entry["epsilon"]): entry["value"] for entry in found}
    assert all(by["worst", epsilon] <= min(by["fgsm", epsilon], by["pgd", epsilon]) for epsilon in (0.05, 0.1))


def test_attack_with_a_bundle_keeps_a_record_with_its_checks_and_a_page(trained, capsys, tmp_path):
    (record,) = (trained / "runs").glob("plain-*")
    arguments = ["--images", "210", "--epsilons", "0.05", "0.1", "--noise", "0.2", "--output", str(tmp_path)]
    assert main(["attack", str(record), *arguments, "--json", str(tmp_path / "rows.json")]) == 0
    said = capsys.readouterr().out
    assert "clean accuracy" in said
    assert "NOT RUN: " in said
    found = rows(tmp_path / "rows.json")
    headline = {
        entry["epsilon"]: entry["value"]
        for entry in found
        if entry["quantity"] == "robust_accuracy" and entry["attack"] == "headline"
    }
    assert headline[0.1] <= headline[0.05]
    assert {entry["check"]: entry["verdict"] for entry in found if entry["quantity"] == "check"}["h"] == "PASS"
    (kept,) = load_all(tmp_path)
    assert not kept.measurement.spectra
    assert (tmp_path / f"{kept.name}.html").is_file()


def test_everything_is_reached_from_the_prompt(trained, tmp_path, capsys):
    (record,) = (trained / "runs").glob("plain-*")
    asked = ["--smoothness", "frobenius", "--smoothness", "distance", "--corruption", "all", "--planes", "10"]
    small = [*SMALL[4:], "--norm", "L2", "--plane-extent", "0.5"]
    arguments = ["measure", str(record), *asked, *small, "--output", str(tmp_path / "runs")]
    assert main([*arguments, "--json", str(tmp_path / "rows.json")]) == 0
    found = rows(tmp_path / "rows.json")
    assert {entry["corruption"] for entry in found if "corruption" in entry} >= {"fog", "jpeg", "snow"}
    assert {entry["extent"] for entry in found if "extent" in entry} == {0.5}
    assert {"distance_correlation", "certified_accuracy", "lipschitz_bound"} <= {entry["quantity"] for entry in found}
    said = " ".join(capsys.readouterr().out.split())
    assert "mean accuracy under corruptions (16, severities 1 2 3 4 5)" in said
    assert "on 10 planes, ± 0.5 L2" in said
    assert "saturate: left out of all corruptions." in said
    (made,) = load_all(tmp_path / "runs")
    assert made.run["measurement"]["corruptions"] is None
    assert [text.partition(":")[0] for text in made.run["measurement"]["smoothness"]] == ["frobenius", "distance"]
    for key in ("hendrycks2019", "elsayed2018", "hoffman2019"):
        assert key in made.bibliography
    assert main(["report", str(tmp_path / "runs"), "--output", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert all(f'id="{section}"' in page for section in ("planes", "corruptions", "smoothness"))


def test_arms_stand_in_one_table_with_what_only_some_were_measured_by(trained, tmp_path, capsys):
    both = [str(path) for path in sorted((trained / "runs").glob("*-s0-*"))]
    for path, asked in zip(both, (["--corruption", "fog"], []), strict=True):
        command = ["measure", path, *SMALL[4:], "--preset", "none", *asked, "--output", str(tmp_path / "runs")]
        assert main(command) == 0
    capsys.readouterr()
    found = gathered([tmp_path / "runs"])
    show(found, "Both", screen.printing(""))
    lines = capsys.readouterr().out.splitlines()
    (corrupted,) = [line for line in lines if line.strip().startswith("corrupted")]
    assert corrupted.count("%") == 1
    assert "–" in corrupted
    (bound,) = [line for line in lines if line.strip().startswith("Lipschitz bound, L2")]
    assert "–" not in bound


def test_what_cannot_be_corrupted_is_refused_before_training(tmp_path, capsys):
    command = ["train", *SMALL, "--corruption", "fog", "--corruption", "saturate", "--output", str(tmp_path / "runs")]
    assert main(command) == 2
    said = capsys.readouterr().err
    refused = refusal(Saturate(), torch.zeros(1, 1, 8, 8), 1, torch.Generator())
    assert refused.startswith("Expected")
    assert refused in " ".join(said.split())
    assert "training" not in said


def test_a_twin_is_part_of_what_was_run(trained, capsys, tmp_path):
    plain, other = (next((trained / "runs").glob(f"{arm}-*")) for arm in ("plain", "jacobian"))
    arguments = ["--images", "20", "--epsilons", "0.1", "--noise", "0.2", "--output", str(tmp_path)]
    for twin in ([], ["--twin", str(plain)]):
        assert main(["attack", str(other), *twin, *arguments]) == 0
    alone, beside = sorted(load_all(tmp_path), key=lambda kept: "twin" in kept.run)
    assert "twin" not in alone.run
    assert str(plain) in beside.run["twin"]["architecture"]
    assert beside.name != alone.name


def test_the_table_tells_smoothness_at_the_inputs_not_at_moved_ones(trained, capsys, tmp_path):
    folders = [str(next((trained / "runs").glob(f"{arm}-*"))) for arm in ("plain", "jacobian")]
    more = ["--preset", "none", "--draws", "0", "--smoothness-inputs", "20", "--points", "noise", "--noise", "0.2"]
    for folder in folders:
        assert main(["measure", folder, "--fit", "leastsquares:first_rank=2", *more, "--output", str(tmp_path)]) == 0
    found = [entry for kept in load_all(tmp_path) for entry in kept.measurement.rows]
    told = {"quantity": "jacobian_norm", "layer": "outputs", "statistic": "mean"}
    means = [entry for entry in found if told.items() <= entry.items()]
    assert sorted(entry.get("points", "") for entry in means) == ["", "", "noise σ = 0.2", "noise σ = 0.2"]
    says = headings(means)["‖J‖ logits"]
    shown = [entry for entry in means if all(entry.get(name) == value for name, value in says.items())]
    assert shown == [entry for entry in means if "points" not in entry]


@pytest.mark.parametrize("more", [[], ["--attack", "fgsm"]])
def test_no_image_is_no_attack(trained, capsys, more):
    (record,) = (trained / "runs").glob("plain-*")
    assert main(["attack", str(record), "--images", "0", *more]) == 2
    assert capsys.readouterr().err.strip() == (
        "eigenfall: Expected at least 1 as attacked inputs, got 0. Leave it out for the default, 1000."
    )


def test_a_bundle_needs_a_ball(trained, capsys):
    (record,) = (trained / "runs").glob("plain-*")
    assert main(["attack", str(record), "--norm", "gaussian"]) == 2
    assert capsys.readouterr().err.strip() == (
        "eigenfall: Expected an Linf or L2 ball for a bundle of attacks, got --norm gaussian. Add --attack noise, or "
        "leave --norm out: the bundle draws noise, too."
    )


def test_measure_a_finished_run_finds_what_training_found(trained, tmp_path):
    (record,) = (trained / "runs").glob("plain-*")
    shared = SMALL[4:]
    arguments = ["measure", str(record), *shared, "--output", str(tmp_path), "--json", str(tmp_path / "rows.json")]
    assert main(arguments) == 0
    before = json.loads((record / "record.json").read_text())["rows"]
    clean = [entry["value"] for entry in before if entry["quantity"] == "clean_accuracy"]
    again = [entry["value"] for entry in rows(tmp_path / "rows.json") if entry["quantity"] == "clean_accuracy"]
    assert again[0] == clean[0]


def test_measure_a_recording(tmp_path, capsys):
    generator = np.random.default_rng(0)
    values = generator.normal(size=(300, 60)) * np.arange(1, 61) ** -0.5
    np.save(tmp_path / "session.npy", values)
    arguments = ["measure", str(tmp_path / "session.npy"), "--fit", "leastsquares:first_rank=2,last_rank=40"]
    assert main([*arguments, "--output", str(tmp_path / "runs"), "--json", str(tmp_path / "rows.json")]) == 0
    assert "300 stimuli × 60 units" in capsys.readouterr().out
    (alpha,) = [entry for entry in rows(tmp_path / "rows.json") if entry["quantity"] == "alpha" and "seed" in entry]
    assert alpha["low"] < alpha["value"] < alpha["high"]
    assert (alpha["n"], alpha["units"], alpha["first_rank"], alpha["last_rank"]) == (300, 60, 2, 40)


def test_a_recording_without_an_exponent_is_kept_and_fails(tmp_path, capsys):
    np.save(tmp_path / "few.npy", np.random.default_rng(0).normal(size=(2, 9, 50)))
    assert main(["measure", str(tmp_path / "few.npy"), "--output", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr()
    assert "WARN: cvpca: Expected a window of at least three ranks" in said.out
    assert said.err.splitlines()[-1] == (
        "eigenfall: Expected an exponent of few, got none: every fit was refused, for the reasons above. Look at the "
        "spectrum on the page, then choose a window with --fit, or record more stimuli."
    )
    (record,) = load_all(tmp_path / "runs")
    assert len(record.measurement.spectra["cvpca"].eigenvalues) == 9
    assert (tmp_path / "runs" / f"{record.name}.html").is_file()


def test_measure_your_own_model(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import torch\n\n\ndef make():\n    torch.manual_seed(0)\n"
        "    layers = torch.nn.Flatten(), torch.nn.Linear(64, 20), torch.nn.Tanh(), torch.nn.Linear(20, 10)\n"
        "    return torch.nn.Sequential(*layers)\n"
    )
    monkeypatch.chdir(tmp_path)
    shared = SMALL[4:]
    arguments = ["measure", "mine:make", "--data", "digits", "--layers", "2", *shared, "--json", "rows.json"]
    assert main(arguments) == 0
    assert {entry["layer"] for entry in rows("rows.json") if entry["quantity"] == "alpha"} == {"2"}


def test_a_model_whose_weights_changed_is_measured_again(tmp_path, monkeypatch, capsys):
    code = (
        "import torch\n\n\ndef make():\n    torch.manual_seed({seed})\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    plain = ("--preset", "none", "--draws", "0", "--fit", "leastsquares:first_rank=1")
    for name, seed in (("first", 0), ("second", 1)):
        (tmp_path / f"{name}.py").write_text(code.format(seed=seed))
        command = ["measure", f"{name}:make", "--arm", "mine", "--data", "digits", "--layers", "1", *plain]
        assert main(command) == 0
    (tmp_path / "second.py").write_text(code.format(seed=20))  # of another length: bytecode of the same second is stale
    monkeypatch.delitem(sys.modules, "second")
    capsys.readouterr()
    assert main(command) == 0  # the same command, other weights
    assert "kept from before" not in capsys.readouterr().err
    assert main(command) == 0  # the same command, the same weights
    assert "kept from before" in capsys.readouterr().err
    pages = sorted(path.stem for path in (tmp_path / "runs").glob("mine-*.html"))
    assert pages == sorted(path.name for path in (tmp_path / "runs").glob("mine-*") if path.is_dir())
    assert len(pages) == 3


def test_parts_and_settings_are_listed(capsys):
    assert main(["parts"]) == 0
    assert "spectral" in capsys.readouterr().out
    assert main(["parts", "penalties", "spectral"]) == 0
    text = capsys.readouterr().out
    assert "strength" in text
    assert "spectral@nassar2020" in text


def test_data_sets_are_listed(capsys):
    assert main(["data"]) == 0
    assert "fashion_mnist" in capsys.readouterr().out


def test_run_as_a_module():
    found = subprocess.run([sys.executable, "-m", "eigenfall", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("eigenfall ")
