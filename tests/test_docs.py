"""What is shown, runs: every page from top to bottom, every example, every link, every name of a file or a field.

A page's commands run at a smaller scale than they are written for (`THRIFT`, one seed, fewer steps in each attack of
the preset, fewer resamples in MEME), and in one process; those of `HEAVY` have their flags read and their parts built,
but do not run. Those of `READ` read their recording, and measure nothing: the same as a .npy's that
is measured on the page.
"""

import functools
import importlib
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import is_dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tyro
import zarr
from pynwb import NWBHDF5IO, NWBFile
from short import short

from eigenfall import commands, exponents, parts, presets, types
from eigenfall.bases import Staleness
from eigenfall.cli import COMMANDS, main
from eigenfall.clients import Jobs
from eigenfall.commands.subjects import run_of
from eigenfall.commands.sweep import cluster_of
from eigenfall.contracts import CALLS
from eigenfall.grids import grid_of
from eigenfall.penalties.spectral import SpectralState
from eigenfall.spectra.meme import MEME

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NAMES = {path: str(path.relative_to(ROOT)) for path in (*PAGES, *EXAMPLES)}

HEAVY = ("demo", "reproduce", "atlas", "data fetch", "sweep grid.toml --cluster")
FORMATS = ("matlab:", "stringer:", "session.h5", "zarr:", "nwb:", "suite2p:", "file:path=trials.npz")
READ = tuple(f"measure {format}" for format in (*FORMATS, "session.npy --axes"))
MEASURED = ("--attacked", "40", "--epsilons", "0.05", "0.1", "--draws", "2", "--smoothness-inputs", "20")
THRIFT = {
    "train": ("--steps", "30", "--seeds", "1", "--workers", "1", *MEASURED),
    "measure": (*MEASURED, "--simulations", "0", "--subsets", "0"),
    "attack": ("--images", "40"),
    "sweep": ("--workers", "1", "--set", "seeds", "1", "--set", "draws", "2", "--set", "smoothness-inputs", "20"),
    "learn": ("--seeds", "1", "--workers", "1", *MEASURED),
}

MODEL = """
import torch
from sklearn.datasets import load_digits
from torch import nn

digits = load_digits()
images = torch.tensor(digits.images[:100], dtype=torch.float32) / 16
classes = torch.tensor(digits.target[:100])


def make_model():
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("flatten", nn.Flatten())
    model.add_module("fc1", nn.Sequential(nn.Linear(64, 40), nn.Tanh()))
    model.add_module("fc2", nn.Sequential(nn.Linear(40, 30), nn.Tanh()))
    model.add_module("readout", nn.Linear(30, 10))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(images), classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


model = make_model()
"""


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """The same recording in every format, each written by the format's own writer."""
    folder, generator = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    values = generator.standard_normal((120, 40)) * np.arange(1, 41) ** -0.5 + 0.3 * generator.standard_normal(
        (2, 120, 40)
    )
    trials = values.reshape(240, 40)
    ids = np.tile(np.arange(1, 121), 2)
    np.savez(folder / "trials.npz", responses=trials, stimulus=ids)
    scipy.io.savemat(folder / "session.mat", {"stim": {"resp": values.transpose(2, 1, 0), "rate": 30.0}})
    spont = generator.standard_normal((60, 40))
    scipy.io.savemat(folder / "natimg.mat", {"stim": {"resp": trials, "istim": ids.astype(float), "spont": spont}})
    with h5py.File(folder / "session.h5", "w") as file:
        file["responses"] = values
    zarr.open_group(str(folder / "session.zarr"), mode="w").create_array("responses", data=values)
    frames = 10 + 5 * np.arange(240)
    (folder / "suite2p" / "plane0").mkdir(parents=True)
    np.save(folder / "suite2p" / "plane0" / "spks.npy", generator.standard_normal((40, 1300)))
    np.save(folder / "suite2p" / "plane0" / "iscell.npy", np.ones((40, 2)))
    shown = np.where(ids == 120, -1, ids)
    rows = "".join(f"{frame},{one}\n" for frame, one in zip(frames, shown))
    (folder / "events.csv").write_text(f"frame,stimulus\n{rows}")
    session = NWBFile("a session", "id", datetime(2020, 1, 1, tzinfo=UTC))
    session.add_trial_column("image", "which")
    for start, one in zip(np.arange(240) / 2, ids):
        session.add_trial(start_time=start, stop_time=start + 0.4, image=int(one))
    for unit in range(40):
        session.add_unit(spike_times=np.sort(generator.uniform(0, 120, 100 * (unit + 1))))
    with NWBHDF5IO(str(folder / "session.nwb"), "w") as io:
        io.write(session)
    return folder


@pytest.fixture
def reader(tmp_path, recordings, monkeypatch):
    """The folder of someone who reads a page: a project, images and recordings of their own."""
    project = tmp_path / "my_project"
    project.mkdir()
    (project / "__init__.py").touch()
    (project / "model.py").write_text(MODEL)
    shutil.copy(ROOT / "examples" / "sweep.toml", tmp_path / "grid.toml")
    for name in ("theilsen", "competitive"):
        shutil.copy(ROOT / "examples" / f"{name}.py", project / f"{name}.py")
    generator = np.random.default_rng(0)
    scale = np.arange(1, 61) ** -0.5
    signal = generator.standard_normal((160, 60)) * scale
    np.save(tmp_path / "session.npy", signal)
    np.save(tmp_path / "recording.npy", signal + 0.2 * generator.standard_normal((2, 160, 60)))
    shutil.copytree(recordings, tmp_path, dirs_exist_ok=True)
    images = generator.random((200, 1, 8, 8), dtype=np.float32)
    np.savez(tmp_path / "images.npz", inputs=images, targets=np.arange(200) % 10)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setitem(presets.PRESETS, "quick", short(presets.PRESETS["quick"], 4))
    monkeypatch.setattr(exponents, "MEME", functools.partial(MEME, resamples=20))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.partition(".")[0] == "my_project":
            del sys.modules[name]


def blocks(page):
    """Language and text of each fenced block of a page, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def typed(text):
    """The `eigenfall` commands of a block."""
    return [line for line in text.splitlines() if line.startswith("eigenfall ")]


def read_only(arguments, monkeypatch):
    """Read a command's flags and build the parts that they name, without running it."""
    function = getattr(importlib.import_module(f"eigenfall.commands.{arguments[0]}"), arguments[0])
    found = {}

    @functools.wraps(function)
    def instead(*positional, **named):
        found.update(named)

    tyro.cli(instead, args=arguments[1:])
    for flags in [value for value in found.values() if is_dataclass(value)]:
        found |= vars(flags)
    for flag, kind in (("data", "datasets"), ("architecture", "architectures")):
        if isinstance(found.get(flag), str) and found[flag]:
            parts.read(kind, found[flag])
    for flag, kind in (("penalty", "penalties"), ("attack", "attacks")):
        for text in found.get(flag, ()):
            parts.read(kind, text)
    return found


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(language for language, _ in blocks(page))], ids=NAMES.get
)
def test_a_page_runs_from_top_to_bottom(page, reader, monkeypatch, capsys):
    names = {"__name__": "page"}
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, NAMES[page], "exec"), names)
        for line in typed(text) if language == "console" else ():
            arguments = shlex.split(line)[1:]
            if " ".join(arguments).startswith(HEAVY):
                read_only(arguments, monkeypatch)
            elif " ".join(arguments).startswith(READ):
                found = read_only(arguments, monkeypatch)
                recording = run_of(arguments[1], axes=found["axes"]).recording()
                assert recording.shape in ((2, 120, 40), (2, 119, 40), (1, 160, 60))
            else:
                status = main([*arguments, *THRIFT.get(arguments[0], ())])
                assert status == 0, f"{line}: {capsys.readouterr().err}"


def test_every_documented_command_has_flags_that_can_be_read(reader, monkeypatch):
    lines = [line for page in PAGES for language, text in blocks(page) if language == "console" for line in typed(text)]
    assert len(lines) > 10
    for line in lines:
        arguments = shlex.split(line)[1:]
        assert arguments[0] in COMMANDS
        read_only(arguments, monkeypatch)


def test_every_command_is_documented():
    text = "\n".join(page.read_text() for page in PAGES)
    assert [command for command in COMMANDS if f"eigenfall {command}" not in text] == []


def test_the_readme_keeps_its_promise_of_lines():
    counted = [
        len([line for line in text.splitlines() if line])
        for language, text in blocks(ROOT / "README.md")
        if language == "python"
    ]
    assert counted == [5, 3]


def test_every_make_target_that_is_shown_exists():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        name for page in PAGES for name in re.findall(r"\bmake (\w+)$|`make (\w+)`", page.read_text(), re.MULTILINE)
    }
    named = {one or other for one, other in shown}
    assert {"demo", "test"} <= named <= targets


def test_a_users_own_model_is_found_from_where_they_stand(reader):
    program = Path(sys.executable).parent / "eigenfall"
    line = "attack my_project.model:make_model --data file:path=images.npz --attack fgsm --epsilons 0.1 --images 20"
    done = subprocess.run(
        [program, *shlex.split(line)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""}
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", EXAMPLES, ids=NAMES.get)
def test_an_example_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert "α" in capsys.readouterr().out


# ------------------------------------------------------------------------- links and names


def anchors(page):
    """Anchors of a page's headings, as they are made for the web."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_every_local_link_leads_somewhere(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        goal = page.parent / path if path else page
        assert goal.exists(), target
        assert not anchor or anchor in anchors(goal), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_every_file_that_is_named_exists(page):
    for name in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|md|bib|toml|txt))`", page.read_text()):
        if "NAME" not in name and not name.startswith("my_project"):
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_every_field_that_is_named_exists(page):
    nouns = {**vars(types), "SpectralState": SpectralState, "Staleness": Staleness}
    for noun, field in re.findall(r"`(\w+)\.(\w+)(?:\[\w+\])?`", page.read_text()):
        if isinstance(nouns.get(noun), type):
            assert field in dir(nouns[noun]) or field in nouns[noun].__dataclass_fields__, f"{noun}.{field}"


@pytest.mark.parametrize(
    ("page", "file"),
    [("adding-a-part.md", "examples/theilsen.py"), ("tutorials/adding-a-rule.md", "examples/competitive.py")],
)
def test_a_page_on_parts_shows_a_real_file(page, file):
    text = (ROOT / "docs" / page).read_text()
    shown = re.findall(r"<!-- (\S+) -->\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown == [(file, (ROOT / file).read_text())]


def test_the_page_on_sweeps_shows_the_file_that_is_run():
    page = (ROOT / "docs" / "sweeps.md").read_text()
    (shown,) = re.findall(r"<!-- examples/sweep.toml -->\n```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert shown == (ROOT / "examples" / "sweep.toml").read_text()
    (jobs,) = (tomllib.loads(text) for language, text in blocks(ROOT / "docs" / "sweeps.md") if "[cluster]" in text)
    assert isinstance(cluster_of(grid_of({}, {}, (), jobs["cluster"]), ""), Jobs)


def test_the_page_on_parts_names_every_kind():
    page = (ROOT / "docs" / "adding-a-part.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(parts.KINDS)


def test_the_page_on_parts_names_every_call():
    page = (ROOT / "docs" / "adding-a-part.md").read_text()
    for kind, calls in CALLS.items():
        (line,) = re.findall(rf"^\| `{kind}` \|(.*)$", page, re.MULTILINE)
        for method, arguments in calls.items():
            assert f"{method.replace('__call__', '')}({', '.join(arguments)}" in line.replace(" or gram", "")


def test_every_decision_is_listed():
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_every_command_has_a_module_of_its_name():
    folder = Path(commands.__file__).parent
    assert [name for name in COMMANDS if not (folder / f"{name}.py").exists()] == []
