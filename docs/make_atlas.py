"""Draw the tables of docs/atlas.md from the records of `eigenfall atlas`.

.venv/bin/python docs/make_atlas.py SCALE      keeps the numbers of runs/atlas-SCALE in docs/atlas-SCALE.json
.venv/bin/python docs/make_atlas.py            only draws the tables anew, of every scale that is kept
"""

import json
import sys
from pathlib import Path

import tables

from eigenfall.atlas import answers, points
from eigenfall.commands.charting import rows
from eigenfall.records import load_all

HERE = Path(__file__).parent
PAGE = HERE / "atlas.md"
SCALES = ("quick", "small")
COLUMNS = {
    points.CLEAN: "clean, %",
    points.WORST: "worst case, %",
    points.NOISE: "noise, %",
    points.DISTANCE: "distance",
    points.ALPHA: "α",
    points.DIMENSION: "dimension",
    points.SLOPE: "‖J‖",
    points.MARGIN: "margin",
}
DIGITS = {points.CLEAN: 1, points.WORST: 1, points.NOISE: 1, points.DISTANCE: 3}
"""After the point; of every other number two."""
JUDGED = (points.WORST, points.DISTANCE)
"""What a check that FAILs takes away."""


def kept_in(scale: str) -> Path:
    """Where the numbers of a scale lie."""
    return HERE / f"atlas-{scale}.json"


def keep(scale: str, folder: Path) -> None:
    """Write every method's numbers, the correlations and the answer in words."""
    atlas = points.gathered(load_all(folder), scale)
    seeds = [str(seed) for seed in sorted({point.seed for point in atlas.points})]
    command = ["eigenfall", "atlas", "--scale", scale, "--seeds", *seeds]
    told = {"command": command, "answer": answers.answer(atlas), "rows": rows(atlas)}
    kept_in(scale).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def cell(row: dict | None, digits: int) -> str:
    """A mean with its interval."""
    if row is None:
        return "–"
    told = f"{row['value']:.{digits}f}"
    low, high = row.get("low"), row.get("high")
    return told if low is None or high is None or low != low else f"{told} [{low:.{digits}f}, {high:.{digits}f}]"


def methods(told: list[dict], architecture: str) -> str:
    """Every method of an architecture."""
    lines = [f"| method (seeds) | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    mine = [row for row in told if row.get("architecture") == architecture]
    for method in dict.fromkeys(row["method"] for row in mine):
        by = {row["quantity"].removeprefix("atlas "): row for row in mine if row["method"] == method}
        cells = [cell(by.get(name), DIGITS.get(name, 2)) for name in COLUMNS]
        if failed := by[points.CLEAN].get("failed"):
            cells = [f"FAIL {failed}" if name in JUDGED else told for name, told in zip(COLUMNS, cells)]
        lines.append(f"| {method} ({by[points.CLEAN]['seeds']}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def correlations(told: list[dict]) -> str:
    """Of each outcome, with the others held and alone."""
    lines = ["| outcome | with | the others held | alone |", "|---|---|---|---|"]
    for (outcome, what), by in tables.associations(told, "outcome").items():
        lines.append(f"| {outcome} | {tables.cell(what)} | {cell(by['the others'], 2)} | {cell(by['none'], 2)} |")
    return "\n".join(lines)


def drawn(scale: str) -> str:
    """Answer and tables of a scale."""
    told = json.loads(kept_in(scale).read_text())
    parts = [f"> {told['answer']}"]
    for architecture in dict.fromkeys(row["architecture"] for row in told["rows"] if "architecture" in row):
        parts += [f"{architecture.capitalize()}:", methods(told["rows"], architecture)]
    parts += ["Rank correlations over runs, 95 % intervals by jackknife over methods:", correlations(told["rows"])]
    return "\n\n".join(parts)


def main() -> None:
    """Keep the numbers, if a scale is given, and draw every table."""
    if len(sys.argv) > 1:
        keep(sys.argv[1], Path("runs") / f"atlas-{sys.argv[1]}")
    text = PAGE.read_text()
    for scale in SCALES:
        start, end = f"<!-- {scale}: docs/make_atlas.py -->", f"<!-- end of {scale} -->"
        if start in text and kept_in(scale).exists():
            before, _, rest = text.partition(start)
            text = f"{before}{start}\n\n{drawn(scale)}\n\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
