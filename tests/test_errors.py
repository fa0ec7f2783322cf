"""Wrong input at the prompt: one sentence, a non-zero exit, no traceback, nothing lost."""

import os
import subprocess
import sys

import numpy as np
import pytest

from eigenfall.cli import main

TINY = ["--steps", "2", "--preset", "none", "--draws", "0", "--smoothness-inputs", "0"]


def refused(capsys, *arguments):
    """The one sentence that a command ends with."""
    assert main([str(argument) for argument in arguments]) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text.strip().splitlines()[-1]


def test_unknown_command(capsys):
    assert refused(capsys, "trian") == "eigenfall: Expected a known command, got 'trian'. Did you mean 'train'?"


def test_unknown_part(capsys):
    assert refused(capsys, "train", "--penalty", "spectrall") == (
        "eigenfall: Expected a known part of kind penalties, got 'spectrall'. Did you mean 'spectral'?"
    )


def test_unknown_setting(capsys):
    assert refused(capsys, "train", "--penalty", "spectral:strenght=2") == (
        "eigenfall: Expected a known setting of spectral, got 'strenght'. Did you mean 'strength'?"
    )


def test_unknown_flag(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--penalti", "spectral"])
    assert stop.value.code == 2
    assert "--penalty" in capsys.readouterr().err


def test_missing_file(capsys, tmp_path):
    assert refused(capsys, "measure", tmp_path / "none.npy").startswith(
        f"eigenfall: Expected a file '{tmp_path / 'none.npy'}', got none there."
    )


def test_wrong_shape(capsys, tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros(5))
    assert "Expected" in refused(capsys, "measure", tmp_path / "flat.npy", "--output", tmp_path)


def test_nan(capsys, tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 20))
    values[3, 4] = np.nan
    np.save(tmp_path / "holes.npy", values)
    sentence = refused(capsys, "measure", tmp_path / "holes.npy", "--output", tmp_path)
    assert "NaN" in sentence


def test_corrupt_file(capsys, tmp_path):
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY and then nothing")
    assert "broken.npy" in refused(capsys, "measure", tmp_path / "broken.npy", "--output", tmp_path)


def test_layer_that_does_not_exist(capsys, tmp_path):
    sentence = refused(capsys, "train", *TINY, "--layers", "hiden1", "--output", tmp_path)
    assert "got 'hiden1'. Did you mean 'hidden1'?" in sentence
    assert "Its layers are:" in sentence


def test_model_without_named_layers_lists_them(capsys, tmp_path, monkeypatch):
    (tmp_path / "bare.py").write_text(
        "import torch\n\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    sentence = refused(capsys, "measure", "bare:make", "--data", "digits")
    assert sentence.endswith("got no layers. Choose among: 0, 1.")


def test_class_count_mismatch(capsys, tmp_path, monkeypatch):
    (tmp_path / "narrow.py").write_text(
        "import torch\n\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))\n"
    )
    monkeypatch.chdir(tmp_path)
    sentence = refused(capsys, "measure", "narrow:make", "--data", "digits", "--layers", "1")
    assert "10" in sentence
    assert "3" in sentence


def test_model_without_data(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, "measure", "some.module:make") == (
        "eigenfall: Expected data for the model, got none. Add --data, for instance --data cifar10 or --data "
        "file:path=images.npz."
    )


def test_a_module_that_is_not_there(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no_such_module" in refused(capsys, "measure", "no_such_module:make", "--data", "digits", "--layers", "a")


def test_report_of_nothing(capsys, tmp_path):
    assert refused(capsys, "report", tmp_path) == (
        f"eigenfall: Expected a finished run in {tmp_path}, got none. Run `eigenfall train` first."
    )


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--figure", "fig5"], "Expected a known figure, got 'fig5'. Did you mean 'fig4'?"),
        (["--figure", "frnts"], "Expected a known figure, got 'frnts'. Did you mean 'fronts'?"),
        (["--arm", "KH", "--arm", "JRag"], "Expected a known arm, got 'JRag'. Did you mean 'JReg'?"),
        (
            ["--arm", "BP", "--seeds", "99"],
            "Expected at least one run, got no arm with these seeds. Leave --seeds out.",
        ),
        (["--workers", "-1"], "Expected 0 workers or more, got -1. Leave --workers out: as many as cores."),
    ],
)
def test_a_paper_is_asked_for_what_it_does_not_have(capsys, tmp_path, flags, sentence):
    found = refused(capsys, "reproduce", "holzhausen2024", "--scale", "quick", *flags, "--output", tmp_path / "runs")
    assert found == f"eigenfall: {sentence}"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--figure", "fig9"], "Expected a known figure, got 'fig9'. "),
        (["--arm", "shallow pain"], "Expected a known arm, got 'shallow pain'. "),
        (["--arm", "deep plain", "--seeds", "0", "-1"], "Expected seeds from 0, got -1. Use --seeds 0 1 2."),
        (
            ["--scale", "small", "--arm", "shallow plain", "--seeds", "4"],
            "Expected at least one run, got no arm with these seeds. ",
        ),
    ],
)
def test_the_other_paper_is_asked_for_what_it_does_not_have(capsys, tmp_path, flags, sentence):
    found = refused(capsys, "reproduce", "nassar2020", "--scale", "quick", *flags, "--output", tmp_path / "runs")
    assert found.startswith(f"eigenfall: {sentence}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("figure", "scale"), [("why", "paper"), ("slips", "quick")])
def test_a_question_is_asked_at_some_scales_only(capsys, tmp_path, figure, scale):
    asked = ("--scale", scale, "--figure", figure, "--output", tmp_path / "runs")
    assert refused(capsys, "reproduce", "nassar2020", *asked) == (
        f"eigenfall: Expected a scale at which the question of {figure} is asked, got {scale}. Use --scale small."
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--method", "softheb"], "Expected a known method, got 'softheb'. Did you mean 'SoftHebb'?"),
        (
            ["--method", "plain", "--seeds", "7", "9"],
            "Expected at least one run of seeds 0, 1, 2, 3, 4, got --seeds 7 9. Leave --seeds out.",
        ),
        (["--workers", "-1"], "Expected 0 workers or more, got -1. Leave --workers out: as many as cores."),
    ],
)
def test_the_atlas_is_asked_for_what_it_does_not_have(capsys, tmp_path, flags, sentence):
    assert refused(capsys, "atlas", *flags, "--output", tmp_path / "runs") == f"eigenfall: {sentence}"
    assert not (tmp_path / "runs").exists()


def test_what_all_runs_lack_is_said_once(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("EIGENFALL_DATA", str(tmp_path / "empty"))
    asked = ("--scale", "quick", "--arm", "KH", "--arm", "BP", "--workers", "1", "--output", tmp_path / "runs")
    sentence = refused(capsys, "reproduce", "holzhausen2024", *asked).splitlines()[-1]
    assert sentence.startswith("eigenfall: KH seed 0, BP seed 0 and 2 more: Expected ")
    assert "mnist/train-images-idx3-ubyte.gz" in sentence


def test_an_unknown_arm_of_the_other_paper(capsys, tmp_path):
    sentence = refused(capsys, "reproduce", "nassar2020", "--arm", "shalow", "--output", tmp_path / "runs")
    assert sentence.startswith("eigenfall: Expected a known arm, got 'shalow'. ")


def test_corrupt_data_file_is_refused_by_name(capsys, tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "mnist" / f"{name}-ubyte.gz").write_bytes(b"\x1f\x8b not quite")
    monkeypatch.setenv("EIGENFALL_DATA", str(tmp_path))
    assert "-ubyte.gz" in refused(capsys, "train", "--data", "mnist", *TINY, "--output", tmp_path / "runs")


@pytest.mark.skipif(os.getuid() == 0 and not os.path.exists("/usr/bin/setpriv"), reason="root may write anywhere")
def test_no_write_permission(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    command = [sys.executable, "-m", "eigenfall", "train", *TINY, "--output", str(folder)]
    if os.getuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    environment = {**os.environ, "HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path)}
    found = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, check=False)
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "locked" in found.stderr.strip().splitlines()[-1]
