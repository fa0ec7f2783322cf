"""Draw the tables of docs/papers/holzhausen2024.md from what `eigenfall reproduce holzhausen2024 --json ROWS` wrote.

.venv/bin/python docs/make_holzhausen.py ROWS   keeps claims and numbers in docs/papers/holzhausen2024-SCALE.json
.venv/bin/python docs/make_holzhausen.py        only draws the tables anew
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from eigenfall import parts
from eigenfall.papers.holzhausen2024.sizes import SIZES, Size

PAPERS = Path(__file__).with_name("papers")
PAGE = PAPERS / "holzhausen2024.md"
SCALES = ("small",)
START, END = "<!-- {}: docs/make_holzhausen.py -->", "<!-- end of {} -->"
NUMBERS = {
    "reproduced_accuracy": ("accuracy, %", 100, 1),
    "reproduced_alpha": ("α", 1, 2),
    "reproduced_straightness": ("R²", 1, 3),
    "reproduced_alpha_hidden": ("α after activation", 1, 2),
    "reproduced_random": ("noise", 1, 3),
    "reproduced_linf": ("L∞ × 1000", 1000, 2),
    "lead_over_l2": ("lead over L2", 1, 2),
    "lead_over_jacobian": ("lead over Jacobian", 1, 2),
}
PARTS = {"main": "the five nets", "spectral": "§7.7"}
TOLD: dict[str, Callable[[Size], str]] = {
    "images": lambda size: f"`{parts.spell(size.data).partition(':')[0]}`, train={size.data.train or 'all'}",
    "units": lambda size: f"{size.units}",
    "rule": lambda size: (
        f"p = {size.rule.p:g}, k = {size.rule.k}, Δ = {size.rule.delta:g}, ε₀ = {size.rule.learning_rate:g}"
    ),
    "it learns": lambda size: f"{size.learning.epochs} epochs, batches of {size.learning.batch_size}",
    "by gradient": lambda size: f"{size.training.epochs} epochs, batches of {size.training.batch_size}",
    "attacked": lambda size: f"{size.attacked} test images",
    "ranks of α": lambda size: (
        f"{size.window[0]}–{size.window[1]}, over noise {size.noise_window[0]}–{size.noise_window[1]}"
    ),
}
CLAIMS = ("Q", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "7.7")


def kept(rows: list[dict]) -> list[dict]:
    """Claims, and numbers of arms over seeds."""
    return [row for row in rows if row["quantity"] == "claim" or row["quantity"] in NUMBERS]


def sizes() -> str:
    """The table of sizes: a line for each setting, a column for each scale and part."""
    columns = {f"{scale}, {PARTS[part]}": size for (scale, part), size in SIZES.items()}
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, told in TOLD.items():
        lines.append(f"| {name} | " + " | ".join(told(size) for size in columns.values()) + " |")
    return "\n".join(lines)


def claims(rows: list[dict], starts: tuple[str, ...]) -> str:
    """A line for each claim, both semantics beside each other."""
    found: dict[str, dict[str, dict]] = {}
    for row in rows:
        if row["quantity"] == "claim" and row["claim"].startswith(starts):
            found.setdefault(row["claim"], {})[row["semantics"]] = row
    lines = ["| claim | paper says | as published | corrected |", "|---|---|---|---|"]
    for name, both in found.items():
        cells = [f"**{both[which]['verdict']}** {both[which].get('told', '')}" for which in ("published", "corrected")]
        lines.append(f"| {name} | {both['published']['says']} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def arms(rows: list[dict]) -> str:
    """A line for each arm."""
    found: dict[str, dict[str, dict]] = {}
    for row in rows:
        if row["quantity"] in NUMBERS:
            found.setdefault(row["arm"], {})[row["quantity"]] = row
    lines = [
        "| arm (seeds) | " + " | ".join(name for name, _, _ in NUMBERS.values()) + " |",
        "|---" * (len(NUMBERS) + 1) + "|",
    ]
    for arm, numbers in found.items():
        seeds = max(row["seeds"] for row in numbers.values())
        mark = " UNCONVERGED" if any(row.get("unconverged") for row in numbers.values()) else ""
        mark += " FAIL" if any(row.get("failed") for row in numbers.values()) else ""
        cells = [_cell(numbers.get(name), by, digits) for name, (_, by, digits) in NUMBERS.items()]
        lines.append(f"| {arm}{mark} ({seeds}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: dict | None, by: float, digits: int) -> str:
    if row is None:
        return "–"
    ends = f" [{by * row['low']:.{digits}f}, {by * row['high']:.{digits}f}]" if "low" in row else ""
    word = f" {row['verdict']}" if row.get("verdict") in ("HOLDS", "FAILS", "OPEN") else ""
    return f"{by * row['value']:.{digits}f}{ends}{word}"


def drawn(text: str, name: str, table: str) -> str:
    """The page with one table drawn anew."""
    start, end = START.format(name), END.format(name)
    before, found, rest = text.partition(start)
    if not found:
        raise SystemExit(f"Expected the mark {start} in {PAGE}.")
    _, _, after = rest.partition(end)
    return f"{before}{start}\n\n{table}\n\n{end}{after}"


def main() -> None:
    """Keep the numbers if a file is named, and draw the tables."""
    if len(sys.argv) > 1:
        held = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        rows = kept(held["rows"])
        told = {name: value for name, value in held.items() if name != "rows"}
        (PAPERS / f"holzhausen2024-{rows[0]['scale']}.json").write_text(
            json.dumps({**told, "rows": rows}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    text = drawn(PAGE.read_text(encoding="utf-8"), "sizes", sizes())
    for scale in SCALES:
        path = PAPERS / f"holzhausen2024-{scale}.json"
        if not path.exists():
            continue
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        text = drawn(text, f"questions, {scale}", claims(rows, ("Q",)))
        text = drawn(text, f"arms, {scale}", arms(rows))
        text = drawn(text, f"claims, {scale}", claims(rows, CLAIMS[1:]))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
