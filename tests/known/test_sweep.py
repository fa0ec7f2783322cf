"""Sweeps: who is killed, who waits for whom, what is kept, and what the command says."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exact import refusal
from perils import Fatal, Faulty

from eigenfall import records, sweep
from eigenfall.architectures.mlp import MLP
from eigenfall.cli import main
from eigenfall.clients import Jobs
from eigenfall.commands.learn import LearnRuns
from eigenfall.commands.screen import time_left
from eigenfall.commands.sweep import cluster_of, runs_of
from eigenfall.commands.train import TrainRuns
from eigenfall.datasets.digits import Digits
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.grids import grid_of
from eigenfall.plans import Plan
from eigenfall.runs import Event, execute
from eigenfall.settings import Run
from eigenfall.sweep import execute_all, finished_before, slots_for
from eigenfall.training import Training
from eigenfall.workers import side_by_side

PLAN = Plan(fits=(LeastSquares(first_rank=2),), draws=0, smoothness_inputs=0, preset="none")
RUN = Run(
    data=Digits(), architecture=MLP(widths=(24,)), training=Training(batch_size=64, epochs=None, steps=12), plan=PLAN
)
SMALL = ["--set", "steps", "5", "--set", "preset", "none", "--set", "draws", "0", "--set", "smoothness-inputs", "0"]


def ends(events):
    return [event for event in events if event.ends]


def weights_of(event):
    assert not event.error
    return records.weights(records.load(event.record))


# -------------------------------------------------------------------------- killed workers


def test_a_run_whose_worker_is_killed_is_taken_up_again_once_from_its_checkpoint(tmp_path):
    fatal = replace(RUN, penalties=(Fatal(tmp_path / "calls", kills=(6, 10)),))
    events = [*side_by_side([fatal], tmp_path / "runs", [""])]
    assert [event.said for event in events if event.said] == [
        "plain seed 0: its process was killed (SIGKILL); it goes on from its last checkpoint."
    ]
    assert [event.error for event in events if event.ends] == [
        "Its process was killed (SIGKILL), and so did the one that took it up again, perhaps for want of memory. Give "
        "it more, or fewer --workers."
    ]
    (last,) = ends(execute_all([fatal], tmp_path / "runs"))  # in this process, which nobody kills
    assert (tmp_path / "calls").stat().st_size == 12 + 2  # steps 6 and 9 were called for twice, none was done twice
    (whole,) = ends(execute_all([replace(fatal, penalties=(Fatal(tmp_path / "others"),))], tmp_path / "whole"))
    mine, theirs = weights_of(last), weights_of(whole)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert not (tmp_path / "runs" / ".partial").exists()


@pytest.mark.slow
def test_a_killed_worker_takes_nothing_of_the_others_with_it(tmp_path):
    fatal = replace(RUN, arm="fatal", penalties=(Fatal(tmp_path / "calls", kills=(3,)),))
    deadly = replace(RUN, arm="deadly", penalties=(Fatal(tmp_path / "more", kills=tuple(range(100))),))
    others = [replace(RUN, seed=seed) for seed in range(6)]
    found = ends(execute_all([fatal, deadly, *others], tmp_path / "runs", workers=2))
    assert sorted(event.name for event in found) == sorted(
        ["fatal seed 0", "deadly seed 0", *(f"plain seed {seed}" for seed in range(6))]
    )
    assert [event.name for event in found if event.error] == ["deadly seed 0"]
    assert (tmp_path / "calls").stat().st_size == 13


SCRIPT = """
import sys
from pathlib import Path
from eigenfall.cli import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_sweep_whose_driver_is_killed_again_and_again_loses_nothing_and_runs_nothing_twice(tmp_path):
    """Each run writes a file of its own calls: as many as it has steps, and one for each kill that fell into it."""
    table = "\n".join(
        f'[[runs]]\narm = "arm{number}"\nseeds = 1\npenalty = "perils:Fatal:calls={tmp_path / str(number)}"\n'
        for number in range(4)
    )
    (tmp_path / "grid.toml").write_text(
        '[run]\nsteps = 600\npreset = "none"\ndraws = 0\nsmoothness-inputs = 0\narchitecture = "mlp:widths=24"\n'
        + table
    )
    (tmp_path / "driver.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "driver.py", "sweep", tmp_path / "grid.toml", "--output", tmp_path / "runs"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    kills = 0
    for pause in (9, 10, 11, 600):
        process = subprocess.Popen([*map(str, command), "--workers", "2"], env=environment, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=pause)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert process.returncode == 0
    calls = [(tmp_path / str(number)).stat().st_size for number in range(4)]
    assert all(600 <= count <= 600 + 2 * kills for count in calls)  # a checkpoint after every step
    assert len(records.load_all(tmp_path / "runs")) == 4
    assert not (tmp_path / "runs" / ".partial").exists()


# -------------------------------------------------------------------------- one run, two processes


def held(run, root):
    """Have a run as another process would."""
    return records.claimed(root, records.run_hash(sweep.settings_of(run, Digits()().digest)))


def test_a_run_that_another_process_has_is_left_to_it(tmp_path):
    with held(RUN, tmp_path):
        assert [*execute(RUN, tmp_path)] == [Event("plain seed 0", "waiting for another process", elsewhere=True)]
    assert [event.again for event in ends(execute(RUN, tmp_path))] == [False]


def test_the_others_are_run_meanwhile_and_it_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "LOOK_AGAIN", 0.01)
    other = replace(RUN, seed=1)
    context = held(RUN, tmp_path)
    context.__enter__()
    names, said = [], []
    for event in execute_all([RUN, other], tmp_path):
        said += [event.said] if event.said else []
        if event.ends:
            names.append(event.name)
            if event.name == "plain seed 1":
                context.__exit__(None, None, None)
    assert names == ["plain seed 1", "plain seed 0"]
    assert said == ["plain seed 0: another process has it; it is looked at again until that one has ended."]


def test_what_the_other_process_finished_is_kept_and_not_run_again(tmp_path, monkeypatch):
    (made,) = ends(execute_all([RUN], tmp_path / "elsewhere"))
    claimed = records.claimed

    def after_the_other(root, digest):
        made.record.rename(tmp_path / "runs" / made.record.name)  # between the first look and the lock
        return claimed(root, digest)

    (tmp_path / "runs").mkdir()
    monkeypatch.setattr(records, "claimed", after_the_other)
    assert [event.again for event in ends(execute_all([RUN], tmp_path / "runs"))] == [True]


# -------------------------------------------------------------------------- failures, finished runs


def test_a_fault_in_somebody_elses_part_fails_its_run_and_says_where(tmp_path):
    found = ends(execute_all([replace(RUN, arm="faulty", data=Faulty()), RUN], tmp_path))
    line = next(
        number
        for number, text in enumerate(Path(sys.modules["perils"].__file__).read_text().splitlines(), 1)
        if '{}["digits"]' in text
    )
    assert [event.error for event in found] == [f"KeyError: 'digits', in perils.py, line {line}.", ""]


def test_what_is_finished_is_found_without_running_and_each_data_set_is_read_once(tmp_path, monkeypatch):
    [*execute_all([RUN], tmp_path)]
    reads = []
    monkeypatch.setattr(Digits, "__call__", lambda part, call=Digits.__call__: reads.append(part) or call(part))
    runs = [replace(RUN, seed=1), RUN, replace(RUN, data=Faulty()), replace(RUN, verb="measure")]
    assert list(finished_before(runs, tmp_path)) == [1]
    assert len(reads) == 1
    assert finished_before(runs, tmp_path / "none") == {}


def test_a_second_call_starts_no_process(tmp_path, monkeypatch):
    runs = [RUN, replace(RUN, seed=1)]
    first = [event.record for event in ends(execute_all(runs, tmp_path))]
    monkeypatch.setattr(sweep, "side_by_side", None)
    found = ends(execute_all(runs, tmp_path, workers=2))
    assert [(event.record, event.again) for event in found] == [(record, True) for record in first]


def test_each_worker_sees_one_gpu_in_turn(monkeypatch):
    assert slots_for([RUN], 2) == ["", ""]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert slots_for([replace(RUN, device="auto")], 3) == ["0", "1", "0"]
    assert slots_for([RUN], 2) == ["", ""]  # on the CPU
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert slots_for([replace(RUN, device="cuda")], 3) == ["2", "5", "2"]


# -------------------------------------------------------------------------- from tables to runs


def test_a_point_is_what_the_flags_would_give():
    settings = {
        "architecture": "mlp:widths=24",
        "penalty": ["jacobian:strength=0.01", "spectral"],
        "steps": 7,
        "learning_rate": 1,
        "amsgrad": True,
        "epsilons": [0.1, 0.2],
        "layers": "hidden1",
        "attacked": "none",
        "seeds": 2,
        "arm": "mine",
    }
    assert (
        runs_of(grid_of(settings, {}))
        == TrainRuns(
            architecture="mlp:widths=24",
            penalty=("jacobian:strength=0.01", "spectral"),
            steps=7,
            learning_rate=1.0,
            amsgrad=True,
            seeds=2,
            arm="mine",
            measuring=replace(TrainRuns().measuring, epsilons=(0.1, 0.2), layers=("hidden1",), attacked=None),
        ).runs()
    )


def test_a_list_may_hold_both_commands_and_what_only_one_of_them_knows_is_shared_by_its_own():
    grid = grid_of({"steps": 3, "epochs": 4, "units": 9}, {}, [{"arm": "a"}, {"command": "learn", "rule": "oja"}])
    assert runs_of(grid) == [
        *TrainRuns(arm="a", steps=3, epochs=4).runs(),
        *LearnRuns(rule="oja", epochs=4, units=9).runs(),
    ]


def test_runs_of_one_data_set_stand_together_and_the_same_run_stands_once():
    grid = grid_of(
        {}, {"penalty": ["none", "jacobian:strength={s}"], "s": [1, 2], "data": ["digits", "digits:scaling=l3"]}
    )
    found = [(run.arm, run.data.scaling) for run in runs_of(grid)]
    arms = ["no-penalty", "jacobian:strength=1", "jacobian:strength=2"]
    assert found == [
        (f"{arm} {data}", run) for data, run in (("digits", "pixel"), ("digits:scaling=l3", "l3")) for arm in arms
    ]


@pytest.mark.parametrize(
    "tables, sentence",
    [
        (({}, {"penalti": ["none"]}), "Expected a known flag of train, got 'penalti'. Did you mean 'penalty'?"),
        (
            ({"unit": 3}, {}, [{"rule": "oja", "command": "learn"}]),
            "Expected a known flag of learn, got 'unit'. Did you mean 'units'?",
        ),
        (({"units": 3}, {"seeds": [1]}), "Expected a known flag of train, got 'units'. Did you mean 'noise'?"),
        (({"command": "lern"}, {}), "Expected a known command of a sweep, got 'lern'. Did you mean 'learn'?"),
        (
            ({"steps": "ten"}, {}),
            "Expected a whole number for steps, got 'ten'. `eigenfall train --help` tells what it means.",
        ),
        (
            ({"data": ["digits", "mnist"]}, {}),
            "Expected one value for data, got ['digits', 'mnist']. Only what may be given several times takes a list.",
        ),
        (
            ({"arm": "one"}, {"steps": [1, 2]}),
            "Expected an arm of its own for each run of a sweep, got 'one' for two that differ in more than their "
            'seed. Leave `arm` out of a grid, or put into it what varies, as in arm = "strength {strength}"; name '
            "each of [[runs]].",
        ),
    ],
)
def test_what_a_sweep_may_not_ask_for(tables, sentence):
    assert refusal(runs_of, grid_of(*tables)) == sentence


def test_where_a_sweep_is_run():
    grid = grid_of({}, {}, (), {"address": "pbs", "queue": "long"})
    assert cluster_of(grid, "") == Jobs("pbs", {"queue": "long"})
    assert cluster_of(grid, "slurm") == Jobs("slurm", {"queue": "long"})
    assert cluster_of(grid, "tcp://node1:8786") == "tcp://node1:8786"
    assert cluster_of(grid_of({}, {}), "") is None
    assert refusal(cluster_of, grid, "slrm") == (
        "Expected the address of a Dask scheduler, slurm or pbs, got 'slrm'. For instance --cluster tcp://node1:8786"
    )
    assert refusal(cluster_of, grid_of({}, {}, (), {"address": "slurm", "que": "long"}), "") == (
        "Expected a known setting of a job, got 'que'. Did you mean 'queue'?"
    )
    assert refusal(cluster_of, grid_of({}, {}, (), {"address": "slurm", "walltime": 3}), "") == (
        "Expected text for walltime, got 3. See docs/sweeps.md, on Slurm and PBS."
    )


# -------------------------------------------------------------------------- the command


def test_the_command_runs_lists_and_keeps(tmp_path, capsys):
    command = [
        "sweep",
        *SMALL,
        "--grid",
        "penalty",
        "none",
        "jacobian:strength=0.1",
        "--workers",
        "1",
        "--output",
        str(tmp_path / "runs"),
    ]
    assert main([*command, "--json", str(tmp_path / "rows.json")]) == 0
    said = capsys.readouterr()
    assert "no-penalty seed 0: finished (1 of 2, about " in said.err
    assert "jacobian:strength=0.1 seed 0: finished (2 of 2)" in said.err
    assert [line.split()[0] for line in said.out.splitlines() if "%" in line] == ["no-penalty", "jacobian:strength=0.1"]
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["arm"] for row in rows} == {"no-penalty", "jacobian:strength=0.1"}
    assert {row.get("quantity") for row in rows} >= {"clean_accuracy", "participation_ratio", "alpha"}
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    assert main(command) == 0
    assert capsys.readouterr().err.count("kept from before") == 2
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    assert main([*command, "--grid", "steps", "5", "6", "--show"]) == 0
    assert "4 runs, 0 of them finished" in capsys.readouterr().out  # their arms say more
    assert main([*command, "--show"]) == 0
    assert "2 runs, 2 of them finished" in capsys.readouterr().out


def test_a_run_that_fails_is_listed_with_its_reason_and_the_command_fails(tmp_path, capsys):
    command = ["sweep", *SMALL, "--grid", "layers", "hidden1", "hiden1", "--workers", "1", "--output", str(tmp_path)]
    assert main(command) == 2
    said = capsys.readouterr()
    assert "hiden1 seed 0: failed (2 of 2)" in said.err
    assert "  hiden1 seed 0: Expected " in said.err
    assert "got 'hiden1'. Did you mean 'hidden1'?" in said.err
    assert said.err.strip().splitlines()[-1] == (
        "eigenfall: Expected 2 runs that finish, got 1 that failed, each listed above with its reason. Mend what is "
        "said there; the same command runs only those again."
    )
    assert "hidden1" in said.out


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (
            ["--set", "steps", "3"],
            "Expected a sweep, got neither a file nor --grid. For instance: eigenfall sweep --set data digits --grid "
            "penalty none spectral:strength=5",
        ),
        (
            ["--grid", "penalty"],
            "Expected a name and a value after --grid, got penalty. For instance --grid data digits",
        ),
        (["none.toml"], "Expected a sweep in TOML at none.toml, got no such file. Look at the path."),
        (
            ["--grid", "steps", "1", "2", "--workers", "-1"],
            "Expected 0 workers or more, got -1. Leave --workers out: as many as cores.",
        ),
    ],
)
def test_what_the_prompt_may_not_say(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *arguments]) == 2
    assert capsys.readouterr().err.strip() == f"eigenfall: {sentence}"


@pytest.mark.parametrize(
    "numbers, said",
    [
        ((10.0, 0, 2, 8), ""),  # nothing to go by
        ((10.0, 5, 0, 0), ""),
        ((10.0, 5, 0, 5), ", about 10 s left"),
        ((10.0, 1, 0, 18), ", about 3 min left"),
        ((3600.0, 1, 0, 5), ", about 5 h left"),
        ((86400.0, 1, 0, 3), ", about 3 d left"),
        ((60.0, 1, 2, 8), ", about 4 min left"),  # 60 · (8 − 1) / (1 + 1) = 210 s
        ((0.1, 9, 0, 1), ", about 1 s left"),
    ],
)
def test_the_time_left(numbers, said):
    assert time_left(*numbers) == said
