"""Draw the tables of docs/papers/nassar2020.md from what `eigenfall reproduce nassar2020 --json ROWS` wrote.

.venv/bin/python docs/make_nassar.py ROWS     keeps claims, arms, controls, associations in nassar2020-small.json
.venv/bin/python docs/make_nassar.py --paper FOLDER SMALL
                                              the same of records at the paper's scale, in nassar2020-paper.json,
                                              and how old bases were there and in the records at small
.venv/bin/python docs/make_nassar.py          only draws the tables anew

The table of bands shows the same means at an earlier commit too, from nassar2020-bands.json; that of seeds shows the
bands that the commands in nassar2020-seeds.json print.
"""

import json
import math
import sys
from pathlib import Path

import tables

from eigenfall.commands.nassar2020 import rows as rows_of
from eigenfall.papers.nassar2020.claims import judged
from eigenfall.papers.nassar2020.found import gathered
from eigenfall.papers.nassar2020.runs import runs
from eigenfall.records import load_all

PAPERS = Path(__file__).with_name("papers")
EARLIER = "4f23a60"
SEEDS = PAPERS / "nassar2020-seeds.json"
FULL = PAPERS / "nassar2020-paper.json"
KEPT, BANDS, PAGE = PAPERS / "nassar2020-small.json", PAPERS / "nassar2020-bands.json", PAPERS / "nassar2020.md"
COMMAND = ["eigenfall", "reproduce", "nassar2020", "--scale", "small"]
WANTED = ("claim", "band", "association", "matched control", "gain over matched control")
SHARES = ("clean", "headline", "published", "named", "matched", "gain")
NUMBERS = {
    "clean": "clean",
    "headline 0.02": "worst .02",
    "headline 0.05": "worst .05",
    "headline 0.1": "worst .1",
    "published PGD": "published PGD .05",
    "α 1": "α 1",
    "α 2": "α 2",
    "α 3": "α 3",
    "n90": "n90",
    "jacobian": "‖J‖",
}
BESIDE = {"matched control": "matched control .05", "gain over matched control": "gain over it"}


def kept(rows: list[dict]) -> list[dict]:
    """What the tables are drawn from."""
    return [row for row in rows if row["quantity"] in WANTED or row["quantity"].startswith("reproduced ")]


def number(row: dict | None) -> str:
    """Value and interval, shares in per cent."""
    if row is None:
        return "–"
    quantity = row["quantity"].removeprefix("reproduced ")
    share = quantity.startswith(SHARES)
    by, digits = (100, 1) if share else (1, 0 if quantity == "n90" else 2)
    told = f"{by * row['value']:.{digits}f}"
    ends = [end for end in (row.get("low"), row.get("high")) if end is not None and not math.isnan(end)]
    if len(ends) < 2:
        return told
    if share and quantity != "gain over matched control":
        ends = [min(max(end, 0), 1) for end in ends]
    return f"{told} [{by * ends[0]:.{digits}f}, {by * ends[1]:.{digits}f}]"


def ages(records: list, scale: str) -> list[dict]:
    """Mean age of the basis over the logged updates of both halves of training, of arms under the whole penalty."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in records:
        aged = [line["spectral/age"] for line in record.history if "spectral/age" in line]
        if record.run["arm"].endswith(("spectral, fresh basis", "spectral, epoch basis", "spectral, step basis")):
            middle = len(aged) // 2
            for half, some in (("first", aged[:middle]), ("second", aged[middle:])):
                found.setdefault((record.run["arm"], half), []).append(sum(some) / len(some))
    about = {"quantity": "age of the basis", "scale": scale}
    return [
        {**about, "arm": arm, "half": half, "value": sum(each) / len(each), "seeds": len(each)}
        for (arm, half), each in sorted(found.items())
    ]


def of_paper(folder: Path, small: Path) -> dict:
    """What the tables of the paper's scale are drawn from; a claim none of whose arms was run is left out."""
    order = {(run.arm, run.seed): place for place, run in enumerate(runs("paper"))}
    records = sorted(load_all(folder), key=lambda record: order[record.run["arm"], record.run["seed"]])
    found = gathered(records, "paper")
    rows = kept([dict(row) for row in rows_of(found, judged(found))])
    told = {row["claim"] for row in rows if row["quantity"] == "claim" and not row["told"].startswith("no run of")}
    made = [{"arm": one.run["arm"], "seed": one.run["seed"], "torch": one.versions["torch"]} for one in records]
    return {
        "command": [*COMMAND[:-1], "paper"],
        "made": made,
        "rows": [
            *(row for row in rows if row["quantity"] != "claim" or row["claim"] in told),
            *ages(records, "paper"),
            *ages(load_all(small), "small"),
        ],
    }


def aged(rows: list[dict]) -> str:
    """How old bases were, beside the small scale."""
    lines = ["| arm | scale (seeds) | first half | second half |", "|---|---|---|---|"]
    by = {(row["arm"], row["scale"], row["half"]): row for row in rows if row["quantity"] == "age of the basis"}
    for arm, scale in sorted({(arm, scale) for arm, scale, _ in by}):
        first, second = (by[arm, scale, half] for half in ("first", "second"))
        lines.append(f"| {arm} | {scale} ({first['seeds']}) | {first['value']:.1f} | {second['value']:.1f} |")
    return "\n".join(lines)


def claims(rows: list[dict]) -> str:
    """Paper says, we got, verdict."""
    found = {(row["claim"], row["semantics"]): row for row in rows if row["quantity"] == "claim"}
    lines = ["| claim | paper says | as published | corrected |", "|---|---|---|---|"]
    for key in dict.fromkeys(key for key, _ in found):
        cells = [found[key, side] for side in ("published", "corrected")]
        told = " | ".join(f"**{one['verdict']}** {one['told']}" for one in cells)
        lines.append(f"| {key} | {cells[0]['says']} | {told} |")
    return "\n".join(lines)


def arms(rows: list[dict], net: str) -> str:
    """Every arm of a network."""
    mine = [row for row in rows if str(row.get("arm", "")).startswith(f"{net} ")]
    columns = {f"reproduced {key}": told for key, told in NUMBERS.items()} | BESIDE
    present = [key for key in columns if any(row["quantity"] == key for row in mine)]
    lines = [f"| arm (seeds) | {' | '.join(columns[key] for key in present)} |", "|---" * (len(present) + 1) + "|"]
    for arm in dict.fromkeys(row["arm"] for row in mine if row["quantity"] == "reproduced clean"):
        by = {row["quantity"]: row for row in mine if row["arm"] == arm}
        seeds, off = by["reproduced clean"]["seeds"], by.get("matched control", {}).get("off")
        cells = " | ".join(number(by.get(key)) for key in present)
        lines.append(f"| {arm.removeprefix(f'{net} ')} ({seeds}){' †' if off else ''} | {cells} |")
    return "\n".join(lines)


def associations(rows: list[dict]) -> str:
    """What goes with robust accuracy."""
    lines = ["| nets | with | raw | the other two held |", "|---|---|---|---|"]
    for (net, what), by in tables.associations(rows, "net").items():
        raw, partial = by["none"], by["the other two"]
        nets = f"{net}, {raw['models']} in {raw['arms']} arms"
        lines.append(f"| {nets} | {tables.cell(what)} | {number(raw)} | {number(partial)} |")
    return "\n".join(lines)


def bands(rows: list[dict], before: list[dict]) -> str:
    """Our means beside their bands, and the same made with earlier code."""
    lines = [f"| arm | number | here | at commit {EARLIER} | band | verdict |", "|---|---|---|---|---|---|"]
    now, then = ([row for row in some if "band_low" in row] for some in (rows, before))
    for row, earlier in zip(now, then, strict=True):
        if row["arm"] != earlier["arm"] or row["band_low"] != earlier["band_low"]:
            raise ValueError(
                f"Expected {row['arm']} {row['says']} in {BANDS}, got another. Keep the order of the bands."
            )
        by, digits = (1, 2) if row["says"].startswith("α") else (100, 1)
        values = (f"{by * one['value']:.{digits}f}" for one in (row, earlier))
        band = f"{by * row['band_low']:g}–{by * row['band_high']:g}"
        lines.append(f"| {row['arm']} | {row['says']} | {' | '.join(values)} | {band} | {row['verdict']} |")
    return "\n".join(lines)


def seeds() -> str:
    """The arm that had one mean outside its band: the five seeds of that pass, five new ones, and all ten."""
    told = json.loads(SEEDS.read_text())
    lines = ["| number | seeds 0 to 4 | 5 to 9 | 0 to 9 | band | verdict of ten |", "|---|---|---|---|---|---|"]
    for first, new, every in zip(*(told[key]["rows"] for key in ("first", "new", "all")), strict=True):
        by, digits = (1, 2) if new["says"].startswith("α") else (100, 1)
        ends = ((one["value"], one["low"], one["high"]) for one in (first, new, every))
        cells = (f"{by * mean:.{digits}f} [{by * low:.{digits}f}, {by * high:.{digits}f}]" for mean, low, high in ends)
        band = f"{by * new['band_low']:g}–{by * new['band_high']:g}"
        lines.append(f"| {new['says']} | {' | '.join(cells)} | {band} | {every['verdict']} |")
    return "\n".join(lines)


def page(text: str, rows: list[dict], before: list[dict], full: list[dict]) -> str:
    """The page with its tables drawn anew."""
    drawn = {
        "claims": claims(rows),
        "shallow": arms(rows, "shallow"),
        "deep": arms(rows, "deep"),
        "associations": associations(rows),
        "bands": bands(rows, before),
        "seeds": seeds(),
        "paper claims": claims(full),
        "paper shallow": arms(full, "shallow"),
        "paper deep": arms(full, "deep"),
        "paper cnn": arms(full, "cnn"),
        "paper ages": aged(full),
    }
    for name, table in drawn.items():
        start, end = f"<!-- {name}: docs/make_nassar.py -->", f"<!-- end of {name} -->"
        above, found, rest = text.partition(start)
        if not found:
            raise ValueError(f"Expected {start} in {PAGE}, got none. Put it where the table stands.")
        text = f"{above}{start}\n\n{table}\n\n{end}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Keep the rows, if they are given, and draw the tables."""
    if sys.argv[1:2] == ["--paper"]:
        FULL.write_text(json.dumps(of_paper(*map(Path, sys.argv[2:])), indent=1) + "\n")
    elif len(sys.argv) > 1:
        written = json.loads(Path(sys.argv[1]).read_text())
        KEPT.write_text(json.dumps({**written, "command": COMMAND, "rows": kept(written["rows"])}, indent=1) + "\n")
    rows, before, full = (json.loads(path.read_text())["rows"] for path in (KEPT, BANDS, FULL))
    PAGE.write_text(page(PAGE.read_text(), rows, before, full))


if __name__ == "__main__":
    main()
