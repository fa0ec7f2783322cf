"""Every model of the zoo under every check, and the table of docs/zoo.md.

.venv/bin/python docs/make_zoo.py [--seeds 3] [--only NAME …] [--alone] [--again LETTER …]

Examines what is missing, then draws.

Twelve broken defences and nine honest models (`docs/robustness.md` §5, tests/zoo/animals.py), MNIST, the first 256
test images that a model gets right. Each model and seed is one line of runs/zoo/MODEL.jsonl; a second call goes on
where the first was stopped. --alone withholds the twins, so that check f attacks from a distilled net: those lines
stand in runs/zoo-alone, and draw no table. --again examines lines that are there anew, for checks that have changed
since: every check has draws of its own, so that the others would come out as they stand.
"""

import argparse
import json
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import torch  # noqa: E402
from zoo import animals  # noqa: E402

from eigenfall.atomic import write_file  # noqa: E402
from eigenfall.robustness.evidence import ORDER  # noqa: E402

PAGE = ROOT / "docs" / "zoo.md"
RUNS = ROOT / "runs" / "zoo"
START, END = "<!-- table: docs/make_zoo.py -->", "<!-- end of table -->"
SHORT = {"PASS": "·", "WARN": "W", "FAIL": "F", "NOT RUN": "–"}
COUNTS = ("recovered", "converged", "order", "blackbox", "transfer", "float64_gained")


def path(animal: str, folder: Path = RUNS) -> Path:
    """Lines of one model."""
    return folder / f"{re.sub(r'[^a-z0-9]+', '-', animal.lower()).strip('-')}.jsonl"


def done(animal: str, folder: Path = RUNS) -> dict[int, dict]:
    """Seeds of a model that are finished; a line that was cut short is not."""
    if not path(animal, folder).is_file():
        return {}
    lines = [line for line in path(animal, folder).read_text().splitlines() if line.endswith("}")]
    return {entry["seed"]: entry for entry in map(json.loads, lines)}


def one(animal: str, seed: int) -> dict:
    """Verdicts and numbers of one model, as a line."""
    started = time.process_time()
    verdicts, evidence, clean = animals.examined("mnist", animal, seed)
    return {
        "model": animal,
        "seed": seed,
        "clean": round(clean, 4),
        "images": int(evidence.measured["images"]),
        "verdicts": {name: verdict.verdict for name, verdict in verdicts.items()},
        "findings": {name: verdict.finding for name, verdict in verdicts.items()},
        "measured": {name: round(value, 6) for name, value in evidence.measured.items() if value < float("inf")},
        "headline": [round(found.value, 4) for found in evidence.curves["headline"].accuracy()]
        if evidence.curves
        else [],
        "seconds": round(time.process_time() - started, 1),
    }


def anew(entry: dict, letters: list[str]) -> dict:
    """A line with some of its checks examined again."""
    started = time.process_time()
    bundle = replace(animals.BUNDLE, checks=tuple(check for check in animals.BUNDLE.checks if check.letter in letters))
    verdicts, evidence, clean = animals.examined("mnist", entry["model"], entry["seed"], bundle)
    if round(clean, 4) != entry["clean"]:
        raise ValueError(f"Expected the model of before, clean accuracy {entry['clean']}, got {clean:.4f}.")
    measured = {name: round(value, 6) for name, value in evidence.measured.items() if value < float("inf")}
    return entry | {
        "verdicts": entry["verdicts"] | {name: verdicts[name].verdict for name in letters},
        "findings": entry["findings"] | {name: verdicts[name].finding for name in letters},
        "measured": entry["measured"] | measured,
        "again": {"checks": letters, "seconds": round(time.process_time() - started, 1)},
    }


def rewritten(animal: str, entry: dict, folder: Path) -> None:
    """Put a line in the place of the one of its seed."""
    lines = done(animal, folder) | {entry["seed"]: entry}
    write_file(path(animal, folder), "".join(json.dumps(lines[seed]) + "\n" for seed in sorted(lines)).encode())


def cell(entries: list[dict], name: str, must: bool) -> str:
    """A check's verdict for each seed, one letter if they agree; in bold if the model must trip it."""
    letters = [SHORT[entry["verdicts"][name]] for entry in entries]
    told = letters[0] if len(set(letters)) == 1 else "".join(letters)
    return f"**{told}**" if must else told


def table(found: dict[str, list[dict]]) -> str:
    """Model × check, counts beside it, and what came out, in Markdown."""
    lines = ["| model (seeds) | clean, % | " + " | ".join(ORDER) + " |", "|---" * (len(ORDER) + 2) + "|"]
    for animal, entries in found.items():
        must = {*animals.ANIMALS[animal].fails.split(), *animals.ANIMALS[animal].warns.split()}
        clean = " ".join(f"{100 * entry['clean']:.1f}" for entry in entries)
        cells = " | ".join(cell(entries, name, name in must) for name in ORDER)
        lines.append(f"| {animal} ({len(entries)}) | {clean} | {cells} |")
    lines += ["", "| model | halving ε | left at ½ | b | c | d | e | f | g, float64 |", "|---" * 9 + "|"]
    for animal, entries in found.items():
        numbers = [entry["measured"] for entry in entries]
        halves = " ".join(f"{one['halving_epsilon']:.3f}" if "halving_epsilon" in one else "–" for one in numbers)
        left = " ".join(f"{100 * one['unbounded']:.0f} %" if "unbounded" in one else "–" for one in numbers)
        counts = (" ".join(f"{one[name]:.0f}" if name in one else "–" for one in numbers) for name in COUNTS)
        lines.append(f"| {animal} | {halves} | {left} | {' | '.join(counts)} |")
    return "\n".join([*lines, "", outcome(found)])


def outcome(found: dict[str, list[dict]]) -> str:
    """How many broken defences were flagged by the checks named for them, and how many honest models FAIL."""
    wrong = {
        animal: {name for entry in entries for name in animals.missed(animal, entry["verdicts"])}
        for animal, entries in found.items()
    }
    broken = [animal for animal in found if animals.ANIMALS[animal].broken]
    honest = [animal for animal in found if not animals.ANIMALS[animal].broken]
    told = [
        f"{sum(not wrong[animal] for animal in broken)} of {len(broken)} broken defences trip every check named for "
        f"them at every seed; {sum(bool(wrong[animal]) for animal in honest)} of {len(honest)} honest models FAIL any."
    ]
    for animal, names in wrong.items():
        if names:
            told.append(f"{animal}: {', '.join(name for name in ORDER if name in names)}.")
    return " ".join(told)


def page(text: str, found: dict[str, list[dict]]) -> str:
    """The page with its tables drawn anew."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{table(found)}\n\n{END}{after}"


def main() -> None:
    """Examine every model and seed that is missing, one after the other, and draw the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(animals.ANIMALS), default=list(animals.ANIMALS))
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--again", nargs="+", choices=list(ORDER), default=[])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    folder = RUNS.with_name("zoo-alone") if asked.alone else RUNS
    if asked.alone:
        animals.ANIMALS.update({name: replace(made, twin=None) for name, made in animals.ANIMALS.items()})
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(asked.seeds):  # every model once, then every model again
        for animal in asked.only:
            known = done(animal, folder).get(seed)
            if known is not None and asked.again and known.get("again", {}).get("checks") != asked.again:
                entry = anew(known, asked.again)
                rewritten(animal, entry, folder)
                print(
                    f"{animal}, seed {seed}, again: {entry['verdicts']}, {entry['again']['seconds']:.0f} s", flush=True
                )
            elif known is None:
                entry = one(animal, seed)
                with path(animal, folder).open("a") as lines:
                    lines.write(json.dumps(entry) + "\n")
                print(f"{animal}, seed {seed}: {entry['verdicts']}, {entry['seconds']:.0f} s", flush=True)
    found = {name: [entry for _, entry in sorted(done(name, folder).items())] for name in animals.ANIMALS}
    found = {name: entries for name, entries in found.items() if entries}
    if asked.alone or not found:
        print(table(found))
    else:
        PAGE.write_text(page(PAGE.read_text(), found))


if __name__ == "__main__":
    main()
