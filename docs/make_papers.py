"""Draw the tables of docs/papers/nassar2020.md from what `eigenfall reproduce nassar2020 --json ROWS` wrote.

.venv/bin/python docs/make_papers.py ROWS      keeps the means over seeds in docs/papers/nassar2020-small.json
.venv/bin/python docs/make_papers.py           only draws the tables anew
"""

import json
import sys
from pathlib import Path

PAPERS = Path(__file__).with_name("papers")
KEPT = PAPERS / "nassar2020-small.json"
PAGE = PAPERS / "nassar2020.md"
COMMAND = ["eigenfall", "reproduce", "nassar2020", "--scale", "small"]
START, END = "<!-- tables: docs/make_papers.py -->", "<!-- end of tables -->"

COLUMNS = (
    ("clean", {"quantity": "clean_accuracy"}),
    ("FGSM .05", {"quantity": "robust_accuracy", "attack": "fgsm", "epsilon": 0.05}),
    ("worst .02", {"quantity": "robust_accuracy", "attack": "headline", "epsilon": 0.02}),
    ("worst .05", {"quantity": "robust_accuracy", "attack": "headline", "epsilon": 0.05}),
    ("worst .1", {"quantity": "robust_accuracy", "attack": "headline", "epsilon": 0.1}),
    ("noise .3", {"quantity": "noise_accuracy", "attack": "noise", "epsilon": 0.3}),
    ("α 1", {"quantity": "alpha", "layer": "hidden1"}),
    ("α 2", {"quantity": "alpha", "layer": "hidden2"}),
    ("α 3", {"quantity": "alpha", "layer": "hidden3"}),
)


def kept(rows: list[dict]) -> list[dict]:
    """Means over seeds of the numbers in the tables, and what was held against a band."""
    means = [row for row in rows if row.get("over") == "seeds" and "claim" not in row]
    wanted = [row for row in means if any(_says(row, says) for _, says in COLUMNS)]
    return wanted + [row for row in rows if "claim" in row]


def _says(row: dict, says: dict) -> bool:
    return all(row.get(name) == value for name, value in says.items())


def _cell(rows: list[dict], arm: str, says: dict) -> str:
    for row in rows:
        if "claim" not in row and row.get("arm") == arm and _says(row, says):
            percent = row["quantity"].endswith("accuracy")
            digits, by = (1, 100) if percent else (2, 1)
            low, high = (min(max(row[end], 0), 1 if percent else row[end]) for end in ("low", "high"))
            ends = f" [{by * low:.{digits}f}, {by * high:.{digits}f}]"
            return f"{by * row['value']:.{digits}f}{ends}"
    return "–"


def tables(rows: list[dict]) -> str:
    """Both tables, in Markdown."""
    arms = list(dict.fromkeys(row["arm"] for row in rows if "band_low" in row))
    seeds = {row["arm"]: row["seeds"] for row in rows if "claim" not in row}
    lines = ["| arm (seeds) | " + " | ".join(name for name, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for arm in arms:
        lines.append(f"| {arm} ({seeds[arm]}) | " + " | ".join(_cell(rows, arm, says) for _, says in COLUMNS) + " |")
    lines += ["", "| arm | number | here | band | verdict |", "|---|---|---|---|---|"]
    for row in rows:
        if "band_low" in row:
            percent = row["quantity"].endswith("accuracy")
            digits, by = (1, 100) if percent else (2, 1)
            band = f"{by * row['band_low']:g}–{by * row['band_high']:g}"
            lines.append(
                f"| {row['arm']} | {row['claim']} | {by * row['value']:.{digits}f} | {band} | {row['verdict']} |"
            )
        elif "claim" in row:
            lines.append(f"| {row['arm']} | {row['claim']} |  |  | {row['verdict']} |")
    return "\n".join(lines)


def page(text: str, rows: list[dict]) -> str:
    """The page with its tables drawn anew."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{tables(rows)}\n\n{END}{after}"


def main() -> None:
    """Keep the means, if rows are given, and draw the tables."""
    if len(sys.argv) > 1:
        written = json.loads(Path(sys.argv[1]).read_text())
        KEPT.write_text(json.dumps({**written, "command": COMMAND, "rows": kept(written["rows"])}, indent=1) + "\n")
    PAGE.write_text(page(PAGE.read_text(), json.loads(KEPT.read_text())["rows"]))


if __name__ == "__main__":
    main()
