"""Kills, and every other fault, and the tables of docs/faults.md.

.venv/bin/python docs/make_faults.py [--each N]

The kills are those of tests/faults/kills.py, the other faults those of the tests named here, which are run. About six
minutes of one core. With --each, so many kills of each job at a moment and in a write, and nothing is drawn. Each kill
is a line of docs/faults.json. Ends with 1 if anything was lost or a test failed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from faults import kills  # noqa: E402

from eigenfall.atomic import write_file  # noqa: E402

PAGE, KEPT = ROOT / "docs" / "faults.md", ROOT / "docs" / "faults.json"
START, END = "<!-- table: docs/make_faults.py -->", "<!-- end of table -->"
MANY = {"training": (50, 20), "learning": (50, 20), "sweep": (40, 20), "report": (25, 12)}
"""Kills of each job: at moments, and in writes."""


@dataclass(frozen=True)
class Fault:
    """A fault that is no kill.

    Attributes:
        what: goes wrong.
        holds: all the same.
        tests: which show it, by file and name.
    """

    what: str
    holds: str
    tests: tuple[str, ...]


RECORDS, COMMANDS = "tests/faults/test_records.py", "tests/faults/test_commands.py"
LOCKS, SWEEP, INDEX = "tests/known/test_locks.py", "tests/known/test_sweep.py", "tests/known/test_index.py"
DATA, EXPORT, REPORT = "tests/known/test_datasets.py", "tests/known/test_exporting.py", "tests/known/test_report.py"
WEIGHTS = "tests/known/test_architectures.py"
FAULTS = (
    Fault(
        "disk full",
        "what was finished is whole, what is written over stays; the run goes on when there is room",
        (
            f"{RECORDS}::test_a_full_disk_costs_only_the_record_that_found_it",
            f"{RECORDS}::test_a_full_disk_leaves_the_checkpoint_before",
            f"{RECORDS}::test_a_full_disk_leaves_the_rows_before",
            f"{COMMANDS}::test_training_on_a_full_disk_says_so_and_goes_on_when_there_is_room",
            f"{COMMANDS}::test_a_page_that_finds_a_full_disk_leaves_the_one_before",
        ),
    ),
    Fault(
        "output that may only be read",
        "nothing changes; what is finished is listed and found",
        (
            f"{RECORDS}::test_a_folder_that_may_not_be_written_is_named",
            f"{RECORDS}::test_a_file_that_may_not_be_read_is_named",
            f"{RECORDS}::test_a_file_in_the_place_of_a_folder_is_named",
            f"{COMMANDS}::test_commands_that_may_not_write_say_so",
            f"{COMMANDS}::test_what_is_finished_on_a_read_only_disk_is_listed_and_found",
            f"{INDEX}::test_a_cache_that_cannot_be_written_costs_only_time",
        ),
    ),
    Fault(
        "two processes on one record",
        "one runs it, the other finds it; without locks, the second refuses to write over it",
        (
            f"{COMMANDS}::test_two_processes_with_one_run_make_one_record",
            f"{COMMANDS}::test_a_record_that_another_process_wrote_meanwhile_is_not_written_over",
            f"{SWEEP}::test_a_run_that_another_process_has_is_left_to_it",
            f"{SWEEP}::test_what_the_other_process_finished_is_kept_and_not_run_again",
            f"{LOCKS}::test_in_a_crowd_nobody_has_it_beside_another",
            f"{LOCKS}::test_it_dies_with_its_process",
        ),
    ),
    Fault(
        "a record damaged, cut short or lost in part",
        "refused by the name of the file",
        (
            f"{RECORDS}::test_one_changed_byte_is_refused_by_the_name_of_its_file",
            f"{RECORDS}::test_a_file_cut_short_is_refused_by_its_name",
            f"{RECORDS}::test_a_lost_file_is_refused_by_its_name",
            f"{RECORDS}::test_a_lost_head_is_not_overlooked_in_a_folder",
            f"{RECORDS}::test_wrong_sums_are_refused",
            f"{INDEX}::test_a_record_that_is_not_whole_is_refused_as_when_it_is_loaded",
            f"{EXPORT}::test_a_damaged_record_leaves_no_archive",
        ),
    ),
    Fault(
        "weights damaged",
        "refused when they are read",
        (
            f"{RECORDS}::test_changed_weights_are_refused_when_they_are_read",
            f"{WEIGHTS}::test_files_that_hold_no_weights_are_refused",
        ),
    ),
    Fault(
        "a checkpoint damaged",
        "refused; without it the run starts anew, with the same numbers",
        (f"{COMMANDS}::test_a_damaged_checkpoint_is_named_and_the_run_starts_anew_without_it",),
    ),
    Fault(
        "a cache damaged: the list of records, downloads",
        "the list is made anew; a download whose sum differs is refused",
        (
            f"{INDEX}::test_a_damaged_cache_costs_only_time",
            f"{DATA}::test_a_corrupt_file_is_refused_by_name",
            f"{DATA}::test_a_truncated_xz_is_refused_by_name",
            f"{DATA}::test_a_corrupt_archive_is_refused_before_it_is_opened",
            f"{DATA}::test_a_missing_set_is_fetched_whole",
        ),
    ),
    Fault(
        "a clock that goes back, or was ahead",
        "the same numbers, from the same checkpoint; a list sees what is new",
        (
            f"{COMMANDS}::test_a_run_does_not_mind_a_clock_that_goes_back",
            f"{COMMANDS}::test_a_checkpoint_from_the_future_is_gone_on_from",
            f"{COMMANDS}::test_a_record_that_is_older_than_the_list_is_read_anew",
        ),
    ),
    Fault(
        "a file of weights, arrays or images that is a trap",
        "no code is run; refused",
        (
            f"{COMMANDS}::test_a_file_of_weights_runs_nothing",
            f"{RECORDS}::test_a_pickled_array_is_never_opened",
            f"{DATA}::test_what_a_pickle_must_not_hold_is_named_and_not_looked_up",
            f"{DATA}::test_files_that_are_no_npz_are_refused",
        ),
    ),
    Fault(
        "an archive, a record or an arm with `../` in a name",
        "nothing is written or read outside",
        (
            f"{DATA}::test_an_archive_is_read_where_it_lies_and_writes_nothing",
            f"{EXPORT}::test_a_name_that_leads_out_of_a_record_is_refused",
            f"{EXPORT}::test_nothing_is_put_outside_of_a_folder_that_is_made",
            "tests/known/test_records.py::test_a_name_stays_inside_the_folder",
        ),
    ),
    Fault(
        "HTML in the name of an arm, a part, a layer, a setting",
        "text on the page; no script, no image",
        (
            f"{REPORT}::test_what_users_named_is_shown_and_never_run",
            f"{COMMANDS}::test_html_in_the_name_of_a_part_is_text_on_the_page",
        ),
    ),
)


# ------------------------------------------------------------------------------------ kills


def kill(each: int | None) -> list[dict]:
    """All kills of each job, one job after the other."""
    kills.ready()
    found = []
    with tempfile.TemporaryDirectory(dir=kills.MEMORY if kills.MEMORY.is_dir() else None) as folder:
        bench = kills.Bench(Path(folder))
        for job, many in MANY.items():
            start = time.monotonic()
            peace, made, void = kills.suite(job, *((each, each) if each is not None else many), bench)
            found.append(
                {
                    "job": job,
                    "seconds": round(peace.seconds, 3),
                    "writes": peace.writes,
                    "void": void,
                    "kills": [asdict(one) for one in made],
                }
            )
            bad = [fault for one in made for fault in one.faults]
            print(f"{job}: {len(made)} kills, {time.monotonic() - start:.0f} s, {bad or 'nothing lost'}", flush=True)
    return found


def counted(name: str, made: Sequence[dict], seconds: str, writes: str) -> str:
    """A line of the table of kills."""
    ways = Counter(one["way"] for one in made)
    results = Counter(kind for one in made for kind, _ in one["faults"])
    cells = [
        name,
        seconds,
        writes,
        len(made),
        ways[""],
        *(ways[way] for way in ("before", "half", "after")),
        sum(one["victim"] == "worker" for one in made),
        sum(one["finished"] for one in made),
        sum(one["going"] for one in made),
        *(results[kind] for kind in kills.RESULTS),
        sum(one["left"] for one in made),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def table_of_kills(found: Sequence[dict]) -> str:
    """A line for each job, and one for all, in Markdown."""
    headings = ["job", "in peace, s", "its writes", "kills", "at a moment", "before a write", "half-way", "after"]
    headings += ["of workers", "finished, whole", "gone on from", *kills.RESULTS, "left"]
    every = [one for line in found for one in line["kills"]]
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    lines += [counted(one["job"], one["kills"], f"{one['seconds']:.2f}", str(one["writes"])) for one in found]
    lines.append(counted("all", every, "", ""))
    places = [100 * one["place"] for one in every if one["at"] == "moment"]
    told = [min(places), *statistics.quantiles(places, n=4), max(places)]
    least, first, middle, third, most = (f"{place:.0f}" for place in told)
    losses = sum(bool(one["faults"]) for one in every)
    inside = sum(one["at"] != "moment" for one in every)
    void = sum(one["void"] for one in found)
    return "\n".join(
        [
            *lines,
            "",
            f"{len(every)} kills, {inside} of them inside a write: {losses} with a loss. The moments lie at {least} to "
            f"{most} % of the job's time, quartiles {first}, {middle} and {third} %. {void} more met nobody, since the "
            "job had ended or its workers had not begun, and are not counted.",
        ]
    )


# ------------------------------------------------------------------------------------ tests


def tested() -> dict[str, Counter]:
    """How often each test passed, failed and was skipped, over its cases."""
    ids = [test for fault in FAULTS for test in fault.tests]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={path}", *ids]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(done.stdout[-2000:], flush=True)
        cases = ElementTree.parse(path).getroot().iter("testcase")
        found: dict[str, Counter] = {test: Counter() for test in ids}
        for case in cases:
            file = f"{case.attrib['classname'].replace('.', '/')}.py"
            result = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
            found[f"{file}::{case.attrib['name'].partition('[')[0]}"][result] += 1
    return found


def table_of_faults(results: dict[str, Counter]) -> str:
    """A line for each fault, with its tests and how they went, in Markdown."""
    lines = ["| fault | what holds | tests | cases passed |", "|---|---|---|---|"]
    for fault in FAULTS:
        total = sum((results[test] for test in fault.tests), Counter())
        others = ", ".join(f"{count} {name}" for name, count in sorted(total.items()) if name != "passed")
        names = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in fault.tests)
        told = f"{total['passed']} of {total.total()}" + (f" ({others})" if others else "")
        lines.append(f"| {fault.what} | {fault.holds} | {names} | {told} |")
    return "\n".join(lines)


def main() -> int:
    """Kill, test, and draw both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, help="kills of each job at a moment, and in a write; nothing is drawn")
    asked = parser.parse_args()
    found, results = kill(asked.each), tested()
    where = f"eigenfall {version('eigenfall')}, Python {platform.python_version()}, {platform.system()}, one thread."
    tables = f"{table_of_kills(found)}\n\n{table_of_faults(results)}\n\n{where}"
    if asked.each is None:
        before, _, rest = PAGE.read_text().partition(START)
        write_file(PAGE, f"{before}{START}\n\n{tables}\n\n{END}{rest.partition(END)[2]}".encode())
        jobs = [{name: entry for name, entry in job.items() if name != "kills"} for job in found]
        lines = ",\n".join(json.dumps(one) for job in found for one in job["kills"])
        head = json.dumps({"where": where, "jobs": jobs, "tests": results}, indent=1).removesuffix("\n}")
        write_file(KEPT, f'{head},\n "kills": [\n{lines}\n ]\n}}\n'.encode())
    else:
        print(tables)
    clean = not any(one["faults"] for job in found for one in job["kills"])
    return 0 if clean and all(set(result) <= {"passed", "skipped"} for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
