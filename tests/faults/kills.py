"""Jobs that are killed, and what must hold afterwards: nothing lost, nothing half, nothing changed, nothing twice.

    undisturbed   how long it takes, how often it writes, and what: the contents of every file, in order
    killed        SIGKILL at a moment uniform over that time, or at a write uniform over those
    looked at     what a reader takes as whole is what was written, and what was written last is there
    resumed       goes on to the byte: all that both have written is what the undisturbed job writes

Each job is run in children of one process that has imported everything, which is cheap: a fork takes milliseconds. So
are the workers of a sweep; `tests/known/test_sweep.py` kills ones that are started as users start them. Every child
keeps an account outside of its output, a line before and after each write, which outlives it.

A write is a call of `os.fsync`, `os.replace` or `os.rename`. The process that makes it kills itself before it, after
it, or, where the contents of a file are forced to the disk, with half of them there.

.venv/bin/python tests/faults/kills.py --moments 2 --writes 2     a line of JSON for each job
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import stat
import statistics
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import jinja2  # noqa: F401
import matplotlib.backends.backend_svg
import matplotlib.pyplot  # noqa: F401
import sklearn.datasets  # noqa: F401
import torch
import tyro  # noqa: F401

import eigenfall.commands.report
import eigenfall.report.page  # noqa: F401
from eigenfall import index, records, runs, workers
from eigenfall.architectures.mlp import MLP
from eigenfall.atomic import sha256
from eigenfall.cli import main as command
from eigenfall.datasets.digits import Digits
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.heads.linear import LinearHead
from eigenfall.learning import Learning
from eigenfall.penalties.spectral import Spectral
from eigenfall.plans import Plan
from eigenfall.report import templates
from eigenfall.rules.oja import Oja
from eigenfall.runs import Event
from eigenfall.settings import Run
from eigenfall.sweep import execute_all
from eigenfall.training import Training

MEMORY = Path("/dev/shm")
"""A kill takes nothing from the system's memory, so that a disk would only cost time."""
PATIENCE = 120.0
"""Seconds until a job that does not end is stuck."""
RESULTS = ("lost", "half", "changed", "twice", "stuck")
"""What may come of a kill, and must not."""

Note = Callable[..., None]

# ------------------------------------------------------------------------------------- jobs

PLAN = Plan(fits=(LeastSquares(first_rank=2),), draws=0, smoothness_inputs=0, preset="none")
TRAINED = Run(
    arm="trained",
    data=Digits(),
    architecture=MLP(widths=(24, 24)),
    penalties=(Spectral(strength=2.0, tau=3, refresh="every_epoch"),),
    training=Training(batch_size=64, epochs=None, steps=24),
    plan=PLAN,
)
LEARNT = Run(
    verb="learn",
    arm="learnt",
    data=Digits(),
    rule=Oja(),
    head=LinearHead(),
    learning=Learning(units=12, epochs=2, batch_size=200),
    training=Training(batch_size=256, epochs=2),
    plan=PLAN,
)
SWEPT = tuple(
    replace(TRAINED, arm=arm, penalties=(), seed=seed, training=replace(TRAINED.training, steps=12))
    for arm in ("left", "right")
    for seed in range(2)
)


def _followed(events: Iterator[Event], note: Note) -> None:
    """Account for the end of each run."""
    for event in events:
        if event.ends:
            note("end", name=event.record.name if event.record else "", again=event.again, error=event.error)


def train(folder: Path, note: Note) -> None:
    """Two nets, one after the other."""
    _followed(execute_all([TRAINED, replace(TRAINED, seed=1)], folder / "runs"), note)


def learn(folder: Path, note: Note) -> None:
    """Two layers that learn by a rule, with their heads."""
    _followed(execute_all([LEARNT, replace(LEARNT, seed=1)], folder / "runs"), note)


def sweep(folder: Path, note: Note) -> None:
    """Four nets in two processes, then the list of them."""
    workers.get_context = lambda _: multiprocessing.get_context("fork")
    work = workers._work

    def noted(*arguments: Any) -> None:
        note("worker", pid=os.getpid())
        work(*arguments)

    workers._work = noted
    _followed(execute_all(SWEPT, folder / "runs", workers=2), note)
    index.listed(folder / "runs")


def report(folder: Path, note: Note) -> None:
    """A page over one that is there, and its numbers."""
    sys.argv[1:] = ["report"]
    if command(["report", str(folder / "runs"), "--output", str(folder / "page.html"), "--json", str(folder / "rows")]):
        raise ValueError("Expected a page, got a refusal.")


def reported(folder: Path) -> None:
    """What a report is made of, and the page of yesterday."""
    train(folder, lambda *_, **__: None)
    for name in ("page.html", "rows"):
        (folder / name).write_text("of yesterday")


JOBS = {"training": train, "learning": learn, "sweep": sweep, "report": report}

# ----------------------------------------------------------------------------- in the child


@dataclass(frozen=True)
class Site:
    """A write that kills.

    Attributes:
        number: which one, from 1, of all processes together.
        draw: in [0, 1): which of the ways that this write has.
    """

    number: int
    draw: float


def _noting(account: Path) -> Note:
    def note(what: str, **more: Any) -> None:
        handle = os.open(account, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, (json.dumps({"what": what, **more}) + "\n").encode())
        os.close(handle)

    return note


def digest(contents: bytes | Mapping[str, bytes]) -> str:
    """SHA-256 of a file, or of a folder of files."""
    if isinstance(contents, bytes):
        return sha256(_ordered(contents))
    return sha256(json.dumps({name: sha256(data) for name, data in sorted(contents.items())}).encode())


def _ordered(data: bytes) -> bytes:
    """A file of tensors with its header in order, which is drawn each time it is written; others as they are."""
    length = int.from_bytes(data[:8], "little")
    if data[8:9] != b"{" or length > len(data):
        return data
    return json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode() + data[8 + length :]


def _account_for(folder: Path, module: Any, name: str, note: Note) -> None:
    """Have a line before and after each call of what writes files."""
    write = getattr(module, name)

    def noted(path: Path, *others: Any) -> None:
        said = {"path": str(Path(path).relative_to(folder)), "digest": digest(others[-1])}
        note("begun", **said)
        write(path, *others)
        note("done", **said)

    setattr(module, name, noted)


def _count(name: str, account: Path, note: Note, deadly: Site | None) -> None:
    """Count the calls of a function of `os`, of all processes together, and die at one of them."""
    call = getattr(os, name)

    def counted(*arguments: Any, **settings: Any) -> Any:
        with account.with_suffix(".writes").open("ab") as file:
            file.write(b".")
            file.flush()
            number = file.tell()
        if deadly is None or number != deadly.number:
            return call(*arguments, **settings)
        regular = name == "fsync" and stat.S_ISREG(os.fstat(arguments[0]).st_mode)
        ways = ("before", "after", "half") if regular else ("before", "after")
        way = ways[int(deadly.draw * len(ways))]
        note("dies", at=name, way=way, pid=os.getpid())
        if way == "after":
            call(*arguments, **settings)
        if way == "half":
            os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, name, counted)


def started(job: str, folder: Path, account: Path, deadly: Site | None = None) -> int:
    """Start a job in a child; its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with account.with_suffix(".said").open("w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            note = _noting(account)
            for module, name in ((records, "write_file"), (records, "write_folder"), (templates, "write_file")):
                _account_for(folder, module, name, note)
            for name in ("fsync", "replace", "rename"):
                _count(name, account, note, deadly)
            runs.CHECKPOINT_SECONDS = -1.0  # after every step
            JOBS[job](folder, note)
            code = 0
    except BaseException:
        account.with_suffix(".said").write_text(traceback.format_exc())
    finally:
        os._exit(code)


# --------------------------------------------------------------------------- in the parent


def accounted(account: Path) -> list[dict[str, Any]]:
    """Lines of an account; the last may be cut short."""
    text = account.read_text() if account.is_file() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def ended(child: int) -> int:
    """Wait for a child: its exit code, negative for a signal; one that is stuck is killed, and that is -1."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def team(account: Path) -> list[int]:
    """Workers that are alive."""
    return [line["pid"] for line in accounted(account) if line["what"] == "worker" and alive(line["pid"])]


def orphans_ended(account: Path) -> bool:
    """Wait until the workers of a driver that is gone have seen it."""
    until = time.monotonic() + PATIENCE
    while team(account) and time.monotonic() < until:
        time.sleep(0.02)
    return not team(account)


def on_disk(path: Path) -> str | None:
    """Digest of what lies there: a file, or a folder of files; `None`: nothing."""
    if path.is_dir():
        return digest({file.name: file.read_bytes() for file in path.iterdir()})
    return digest(path.read_bytes()) if path.is_file() else None


@dataclass(frozen=True)
class Undisturbed:
    """What a job does if it is let.

    Attributes:
        seconds: the median of several times.
        writes: how often it calls for a write.
        contents: of each file or record that it writes, digests in order.
    """

    seconds: float
    writes: int
    contents: dict[str, list[str]]


@dataclass(frozen=True)
class Kill:
    """A kill and what came of it.

    Attributes:
        job: of `JOBS`.
        at: "moment", or the call that it fell into.
        place: where in the job: the share of the time, or of the writes, that lay before it.
        way: of a write: before it, after it, or with half of a file written.
        victim: "driver", or "worker" of a sweep.
        finished: records that were whole when it came.
        going: unfinished runs whose checkpoint was there.
        left: files that nothing removes afterwards.
        faults: pairs of one of `RESULTS` and a sentence.
    """

    job: str
    at: str
    place: float
    way: str = ""
    victim: str = "driver"
    finished: int = 0
    going: int = 0
    left: int = 0
    faults: tuple[tuple[str, str], ...] = ()


@dataclass
class Bench:
    """Where jobs are run.

    Attributes:
        folder: for all that they write.
        draws: of moments, writes and victims.
        used: how many folders are in use.
    """

    folder: Path
    draws: random.Random = field(default_factory=lambda: random.Random(0))
    used: int = 0

    def fresh(self, job: str) -> tuple[Path, Path]:
        """A folder for a job, with what it starts from, and the place of its account."""
        self.used += 1
        folder = self.folder / f"{job}-{self.used}"
        before = self.folder / "before-report"
        if job == "report":
            if not before.exists():
                child = os.fork()
                if child == 0:
                    reported(before.with_suffix(".making"))
                    os._exit(0)
                ended(child)
                before.with_suffix(".making").rename(before)
            shutil.copytree(before, folder)
        else:
            folder.mkdir()
        return folder, self.folder / f"{job}-{self.used}.account"


def undisturbed(job: str, bench: Bench, times: int = 3) -> Undisturbed:
    """Run a job in peace: how long it takes and what it writes, which must be the same each time."""
    seconds, told = [], []
    for _ in range(times):
        folder, account = bench.fresh(job)
        start = time.monotonic()
        code = ended(started(job, folder, account))
        seconds.append(time.monotonic() - start)
        if code:
            raise ValueError(f"Expected {job} to end, got {account.with_suffix('.said').read_text()}")
        told.append((account.with_suffix(".writes").stat().st_size, _contents(accounted(account))))
        shutil.rmtree(folder)
    if any(one != told[0] for one in told):
        raise ValueError(f"Expected {job} to write the same each time, got something else.")
    return Undisturbed(statistics.median(seconds), *told[0])


def _contents(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What was written, by path; what was begun again as it was, or is there already, stands once."""
    found: dict[str, list[str]] = {}
    there: dict[str, str] = {}
    for line in lines:
        if line["what"] == "done":
            there[line["path"]] = line["digest"]
        if line["what"] == "begun":
            before = found.setdefault(line["path"], [])
            if line["digest"] not in (*before[-1:], there.get(line["path"])):
                before.append(line["digest"])
    return found


def killed(job: str, peace: Undisturbed, bench: Bench, write: bool) -> Kill | None:
    """Kill a job once and see what comes of it; `None` if it ended before."""
    folder, account = bench.fresh(job)
    before = {path.relative_to(folder): on_disk(path) for path in folder.glob("*") if path.is_file()}
    if write:
        site = Site(bench.draws.randint(1, peace.writes), bench.draws.random())
        place, found = (site.number - 1) / peace.writes, ended(started(job, folder, account, site))
        (dies,) = [line for line in accounted(account) if line["what"] == "dies"]
        hit = {line["pid"] for line in accounted(account) if line["what"] == "worker"}
        kill = Kill(job, dies["at"], place, dies["way"], "worker" if dies["pid"] in hit else "driver")
    else:
        place = bench.draws.random()
        victim = bench.draws.choice(["driver", "worker"]) if job == "sweep" else "driver"
        child = started(job, folder, account)
        time.sleep(place * peace.seconds)
        target = child if victim == "driver" else bench.draws.choice(team(account) or [0])
        if target:
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, signal.SIGKILL)
        found = ended(child)
        if not target or (victim == "driver" and found == 0):
            shutil.rmtree(folder)
            return None
        kill = Kill(job, "moment", place, victim=victim)
    faults = [] if found in (0, -signal.SIGKILL) else [("stuck", _said(account))]
    if not orphans_ended(account):
        faults.append(("stuck", "Workers outlive their driver."))
    lines = accounted(account)
    faults += _looked_at(folder, lines, before)
    whole = _records(folder)
    going = len([*folder.glob("runs/.partial/*/checkpoint.safetensors")])
    stamps = {path: _stamp(path) for record in whole for path in (folder / "runs" / record).iterdir()}
    again = account.with_suffix(".again")
    if ended(started(job, folder, again)):
        faults.append(("stuck", _said(again)))
    else:
        faults += _compared(folder, lines, accounted(again), peace, whole, stamps)
    expected = {folder / path for path in peace.contents if ".partial" not in path} | {folder / "runs" / ".index"}
    left = [path for path in folder.rglob("*") if path.is_file() and not {path, path.parent} & expected]
    finished, left = len(whole) if job != "report" else 0, [path for path in left if job != "report" or _hidden(path)]
    shutil.rmtree(folder)
    return replace(kill, finished=finished, going=going, left=len(left), faults=tuple(faults))


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _said(account: Path) -> str:
    """The last line that a job said."""
    return account.with_suffix(".said").read_text().strip().rpartition("\n")[2]


def _stamp(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def _records(folder: Path) -> list[str]:
    """Names of what looks like a finished record."""
    return [path.name for path in records.folders(folder / "runs")] if (folder / "runs").is_dir() else []


def _looked_at(folder: Path, lines: Sequence[Mapping[str, Any]], before: Mapping[Path, str | None]) -> list:
    """What a reader finds after a kill: each file as it was written last, or before that."""
    faults = []
    root = folder / "runs"
    try:
        for record in records.load_all(root) if root.is_dir() else ():
            records.weights(record)
        for path in root.glob(".partial/*/checkpoint.safetensors"):
            records.read_checkpoint(root, path.parent.name)
        if root.is_dir() and [entry.name for entry in index.listed(root)] != _records(folder):
            faults.append(("lost", "The list lacks a record."))
    except Exception as reason:
        faults.append(("half", str(reason)))
    whole = _records(folder)
    for path in {line["path"] for line in lines if line["what"] == "begun"}:
        begun = [line["digest"] for line in lines if line["what"] == "begun" and line["path"] == path]
        done = [line["digest"] for line in lines if line["what"] == "done" and line["path"] == path]
        found = on_disk(folder / path)
        dropped = ".partial" in path and any(Path(path).parent.name.startswith(name[-12:]) for name in whole)
        if found is None and (dropped or not (done or Path(path) in before)):
            continue
        if found is None:
            faults.append(("lost", f"{path} was written and is gone."))
        elif found not in (begun[-1], done[-1] if done else before.get(Path(path))):
            faults.append(("half" if found not in begun else "lost", f"{path} is not as it was written last."))
    for line in lines:
        if line["what"] == "end" and line["name"] not in whole:
            faults.append(("lost", f"A run was said to be finished and is not: {line['name'] or line['error']}"))
    return faults


def _compared(
    folder: Path,
    lines: Sequence[Mapping[str, Any]],
    again: Sequence[Mapping[str, Any]],
    peace: Undisturbed,
    whole: Sequence[str],
    stamps: Mapping[Path, tuple[int, int]],
) -> list:
    """What the job has done when it went on, beside what it does in peace."""
    faults = []
    contents = _contents([*lines, *again])
    for path in sorted(contents.keys() | peace.contents.keys()):
        found, wanted = contents.get(path, []), peace.contents.get(path, [])
        if found != wanted:
            strange = set(found) - set(wanted)
            which = f"{len(found)} contents for {len(wanted)}, {len(strange)} of them others"
            faults.append(("changed" if strange else "twice", f"{path}: {which}."))
        if ".partial" not in path and on_disk(folder / path) != wanted[-1]:
            faults.append(("changed", f"{path} is not what it is in peace."))
    ends = {line["name"]: line for line in again if line["what"] == "end"}
    for name in whole:
        if ends and not ends[name]["again"]:
            faults.append(("twice", f"{name} was run again."))
    faults += [("twice", f"{path} was written again.") for path, stamp in stamps.items() if _stamp(path) != stamp]
    return faults


def suite(job: str, moments: int, writes: int, bench: Bench, times: int = 3) -> tuple[Undisturbed, list[Kill], int]:
    """So many kills at moments and in writes; the job in peace, the kills, and how many met nobody.

    How long the job takes in peace is measured anew after each ten tries, since a machine has others to serve.
    """
    peace = undisturbed(job, bench, times)
    kills, tries, seconds = [], 0, [peace.seconds]
    while len(kills) < moments:
        if tries % 10 == 9:
            seconds.append(undisturbed(job, bench, 1).seconds)
        kill = killed(job, replace(peace, seconds=statistics.median(seconds[-3:])), bench, write=False)
        kills += [kill] if kill is not None else []
        tries += 1
    kills += [kill for _ in range(writes) if (kill := killed(job, peace, bench, write=True)) is not None]
    return replace(peace, seconds=statistics.median(seconds)), kills, tries - moments


def ready() -> None:
    """Read and import what every job needs, in one thread, so that its children need not."""
    torch.set_num_threads(1)
    Digits()()
    torch.optim.Adam([torch.zeros(1)])


def careless(path: Path, data: bytes) -> None:
    """A file as it must not be written: in its place, while others may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    """Kill jobs, and write a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--moments", type=int, default=2)
    parser.add_argument("--writes", type=int, default=2)
    parser.add_argument("--times", type=int, default=3, help="how often each job is first run in peace")
    parser.add_argument("--careless", action="store_true", help="write checkpoints in their place: kills must show it")
    asked = parser.parse_args()
    ready()
    if asked.careless:
        records.write_file = careless
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        bench = Bench(Path(folder))
        for job in asked.only:
            peace, kills, late = suite(job, asked.moments, asked.writes, bench, asked.times)
            faults = Counter(kind for kill in kills for kind, _ in kill.faults)
            told = {"job": job, "seconds": peace.seconds, "writes": peace.writes, "late": late, "faults": dict(faults)}
            print(json.dumps({**told, "kills": [asdict(kill) for kill in kills]}), flush=True)


if __name__ == "__main__":
    main()
