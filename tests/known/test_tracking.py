"""Runs in a tracker: what goes there, and that nothing a tracker does harms a run.

Neither trackio nor wandb is installed here: each stands as a true small module with the interface that its
documentation gives, which writes what it is told into a file.
"""

import json
import sys

import pytest
import torch
from exact import refusal

from eigenfall import records
from eigenfall.architectures.mlp import MLP
from eigenfall.cli import main
from eigenfall.datasets.digits import Digits
from eigenfall.heads.linear import LinearHead
from eigenfall.rules.oja import Oja
from eigenfall.runs import Event
from eigenfall.settings import Run
from eigenfall.tracking import log_record, tracked
from eigenfall.types import Measurement

MODULE = """
import json
from pathlib import Path

OPEN = []


class Run:
    def __init__(self, project, name, group, config):
        self.name = name
        OPEN.append(name)
        say("init", name, project=project, group=group, config=config)

    def log(self, {log}):
        {trouble}
        say("log", self.name, {numbers}, step=step)

    def finish(self{finish}):
        OPEN.remove(self.name)
        say("finish", self.name{told})


def say(what, name, numbers=None, **about):
    print("* tracker:", what)
    with (Path(__file__).parent / "said.jsonl").open("a") as file:
        file.write(json.dumps([what, name, numbers, about]) + "\\n")


def init(project, name=None, group=None, config=None{init}):
    {refused}
    return Run(project, name, group, config)
"""
WAYS = {
    "trackio": {"log": "metrics, step=None", "numbers": "metrics", "finish": "", "told": "", "init": ""},
    "wandb": {
        "log": "data, step=None, commit=None",
        "numbers": "data",
        "finish": ", exit_code=None",
        "told": ", exit_code=exit_code",
        "init": ", reinit=None",
    },
}
RUN = Run(arm="plain", data=Digits(), architecture=MLP(widths=(4,)))
NAME = "plain seed 0"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a tracker where it is imported from; what it was told, afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def put(tracker, trouble="pass", refused="pass"):
        monkeypatch.delitem(sys.modules, tracker, raising=False)
        text = MODULE.format(**WAYS[tracker], trouble=trouble, refused=refused)
        (folder / f"{tracker}.py").write_text(text)

    def said():
        path = folder / "said.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    yield put, said
    for tracker in WAYS:
        sys.modules.pop(tracker, None)


def saved(root):
    rows = [{"quantity": "alpha", "layer": f"hidden{layer}", "value": float(layer)} for layer in (1, 2)]
    rows += [{"quantity": "check", "check": "a", "value": float("nan")}]
    run = {"verb": "train", "arm": "plain", "seed": 0, "inputs": "0" * 64}
    return records.save(root, run, Measurement("plain", rows=tuple(rows)), history=({"step": 9, "loss": 0.5},))


@pytest.mark.parametrize("tracker", WAYS)
def test_a_tracker_is_told_history_and_numbers(install, tmp_path, capsys, tracker):
    put, said = install
    put(tracker)
    record = saved(tmp_path)
    events = [
        Event(NAME, "training", 1, 9, logged=({"step": 1, "epoch": 1, "loss": 2.0, "spectral#2/R/hidden1": 0.5},)),
        Event(NAME, "spectrum", 0, 1),
        Event(NAME, "finished", record=record.path),
    ]
    assert list(tracked(iter(events), [RUN], tracker, "mine")) == events
    begun, step, numbers, done = said()
    config = begun[3]["config"]
    assert begun[:2] == ["init", NAME]
    assert (begun[3]["project"], begun[3]["group"]) == ("mine", "plain")
    assert (config["data"], config["training"]["optimiser"]) == ("digits:validation=200,scaling=pixel", "adam")
    assert "inputs" not in config
    assert step == ["log", NAME, {"step": 1, "epoch": 1, "loss": 2.0, "spectral_2/R/hidden1": 0.5}, {"step": 1}]
    assert numbers == ["log", NAME, {"alpha/hidden1": 1.0, "alpha/hidden2": 2.0}, {"step": 1}]
    assert done == ["finish", NAME, None, {"exit_code": None} if tracker == "wandb" else {}]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("* tracker: log") == 2


def test_runs_side_by_side_stay_apart_and_one_that_fails_is_ended(install, tmp_path):
    put, said = install
    put("wandb")
    other = Run(arm="plain", seed=1, data=Digits(), architecture=MLP(widths=(4,)))
    events = [
        Event(NAME, "training", logged=({"step": 1, "loss": 1.0},)),
        Event("plain seed 1", "training", logged=({"step": 1, "loss": 2.0},)),
        Event("plain seed 1", "failed", error="Expected a finite loss, got nan."),
        Event(NAME, "finished", record=saved(tmp_path).path),
    ]
    assert list(tracked(iter(events), [RUN, other], "wandb")) == events
    ends = {name: about for what, name, _, about in said() if what == "finish"}
    assert ends == {"plain seed 1": {"exit_code": 1}, NAME: {"exit_code": None}}
    assert [(name, numbers["loss"]) for what, name, numbers, _ in said() if what == "log" and "loss" in numbers] == [
        (NAME, 1.0),
        ("plain seed 1", 2.0),
    ]


def test_a_head_comes_after_its_layer(install):
    put, said = install
    put("trackio")
    run = Run(verb="learn", arm="plain", data=Digits(), rule=Oja(), head=LinearHead())
    rows = ({"layer_step": 11, "layer_epoch": 1}, {"layer_step": 22, "layer_epoch": 2}, {"step": 3}, {"step": 6})
    list(tracked([Event(NAME, "learning", logged=rows)], [run], "trackio"))
    assert [about["step"] for what, _, _, about in said() if what == "log"] == [11, 22, 25, 28]


def test_a_run_that_went_on_at_its_end_has_its_history_still(install, tmp_path):
    put, said = install
    put("trackio")
    list(tracked([Event(NAME, "finished", record=saved(tmp_path).path)], [RUN], "trackio"))
    assert [about["step"] for what, _, _, about in said() if what == "log"] == [9, 9]


def test_a_run_that_was_kept_from_before_is_left_out(install, tmp_path):
    put, said = install
    put("trackio")
    list(tracked([Event(NAME, "finished", record=saved(tmp_path).path, again=True)], [RUN], "trackio"))
    assert said() == []


def test_a_finished_run_is_logged_by_itself(install, tmp_path):
    put, said = install
    put("trackio")
    log_record(saved(tmp_path), "trackio", "mine")
    assert [(what, numbers) for what, _, numbers, _ in said()] == [
        ("init", None),
        ("log", {"step": 9, "loss": 0.5}),
        ("log", {"alpha/hidden1": 1.0, "alpha/hidden2": 2.0}),
        ("finish", None),
    ]


@pytest.mark.parametrize(
    ("where", "line", "told"),
    [
        ("trouble", "raise RuntimeError('no network.')", "RuntimeError: no network"),
        ("refused", "raise SystemExit('log in first')", "SystemExit: log in first"),
    ],
)
def test_a_tracker_that_fails_is_said_once_and_harms_nothing(install, tmp_path, where, line, told):
    put, _ = install
    put("trackio", **{where: line})
    events = [
        Event(NAME, "training", logged=({"step": 1, "loss": 2.0},), said="Heard before."),
        Event(NAME, "training", logged=({"step": 2, "loss": 2.0},)),
        Event(NAME, "finished", record=saved(tmp_path).path),
    ]
    found = list(tracked(iter(events), [RUN], "trackio"))
    assert [(event.stage, event.record, event.said) for event in found] == [
        (
            "training",
            None,
            f"Heard before.\nWARN: plain seed 0: trackio failed, {told}. The run goes on without it.",
        ),
        ("training", None, ""),
        ("finished", events[2].record, ""),
    ]


def test_a_driver_that_stops_ends_what_is_open(install):
    put, said = install
    put("wandb")

    def events():
        yield Event(NAME, "training", logged=({"step": 1, "loss": 2.0},))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(tracked(events(), [RUN], "wandb"))
    assert said()[-1] == ["finish", NAME, None, {"exit_code": 1}]


def test_a_tracker_that_is_not_there_is_refused_before_anything_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "trackio", None)
    assert main(["train", "--track", "trackio", "--output", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err == (
        "eigenfall: Expected the package trackio for --track trackio, got none. Install it: pip install trackio\n"
    )
    assert not (tmp_path / "runs").exists()


def test_an_unknown_tracker_is_refused():
    assert refusal(tracked, [], [], "wandbb") == "Expected a known tracker, got 'wandbb'. Did you mean 'wandb'?"


def test_the_command_logs_a_run_as_it_goes(install, tmp_path, capsys):
    put, said = install
    put("trackio")
    tiny = ["--steps", "3", "--architecture", "mlp:widths=6", "--layers", "hidden1", "--draws", "0"]
    small = ["--fit", "leastsquares:first_rank=1", "--preset", "none", "--smoothness-inputs", "0", "--workers", "1"]
    arguments = ["train", *tiny, *small, "--output", str(tmp_path / "runs"), "--track", "trackio", "--json", "-"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    (record,) = records.load_all(tmp_path / "runs")
    steps = [numbers for what, _, numbers, _ in said() if what == "log"][:-1]
    assert [entry["step"] for entry in steps] == [1, 2, 3]
    assert [entry["loss"] for entry in steps] == [entry["loss"] for entry in record.history]
    alpha = next(row["value"] for row in printed["rows"] if row["quantity"] == "alpha")
    assert said()[-2][2]["alpha/hidden1"] == alpha
    assert said()[-1][:2] == ["finish", NAME]
    assert torch.get_num_threads() == 1
