"""The one table of several runs: a column per arm, mean and interval over seeds."""

import math
import shlex
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console

from eigenfall import records
from eigenfall.commands import screen
from eigenfall.index import Listed
from eigenfall.rows import over_seeds
from eigenfall.types import Diagnostics, Estimate, Record, Row, SpectrumFit


def command_line() -> str:
    """The command as it was typed, program path shortened."""
    return shlex.join(["eigenfall", *sys.argv[1:]])


def gathered(folders: Sequence[Path]) -> list[Record]:
    """Every record in these folders, or these records: arms without a penalty first, seeds in order."""
    found = [record for folder in folders for record in records.load_all(folder)]
    return sorted(found, key=lambda r: (bool(r.run.get("penalties")), str(r.run.get("arm")), r.run.get("seed", 0)))


def summarised(found: Sequence[Record]) -> tuple[Row, ...]:
    """Every number of every arm, over seeds."""
    return over_seeds(row for record in found for row in record.measurement.rows)


def _shown(epsilons: Sequence[float]) -> float | None:
    """The epsilon that the table quotes: the middle one."""
    ordered = sorted(set(epsilons))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def headings(rows: Sequence[Row]) -> dict[str, dict[str, object]]:
    """Heading of each line, and what a row must say to stand in it."""
    found: dict[str, dict[str, object]] = {}
    if any(row["quantity"] == "clean_accuracy" for row in rows):
        found["clean"] = {"quantity": "clean_accuracy"}
    for name, label in (("headline", "worst case"), ("fgsm", "FGSM"), ("noise", "noise")):
        quantity = "noise_accuracy" if name == "noise" else "robust_accuracy"
        here = [row for row in rows if row["quantity"] == quantity and row.get("attack") == name]
        epsilon = _shown([row["epsilon"] for row in here])
        if epsilon is not None:
            found[f"{label}, {'sd' if name == 'noise' else 'ε'} = {epsilon:g}"] = {
                "quantity": quantity,
                "attack": name,
                "epsilon": epsilon,
            }
    for layer in dict.fromkeys(row["layer"] for row in rows if row["quantity"] == "alpha"):
        found[f"α {layer}"] = {"quantity": "alpha", "layer": layer}
    if any(row["quantity"] == "jacobian_norm" and row["layer"] == "outputs" for row in rows):
        found["‖J‖ logits"] = {"quantity": "jacobian_norm", "layer": "outputs", "statistic": "mean", "points": None}
    others: dict[str, dict[str, object]] = {
        "Lipschitz bound, L2": {"quantity": "lipschitz_bound", "layer": None},
        "corrupted": {"quantity": "mean_corruption_accuracy", "severity": None},
        "planes: as at the image": {"quantity": "landscape_base_share"},
    }
    quantities = {row["quantity"] for row in rows}
    found |= {heading: says for heading, says in others.items() if says["quantity"] in quantities}
    return found


def show(found: Sequence[Record], title: str, console: Console) -> None:
    """Print the table of these records."""
    rows = summarised(found)
    wanted = headings(rows)
    arms = list(dict.fromkeys(row.get("arm", "") for row in rows))
    lines = []
    for heading, says in wanted.items():
        found_rows = [row for row in rows if all(row.get(k) == v for k, v in says.items())]
        by_arm = {row.get("arm"): _cell(row) for row in reversed(found_rows)}  # of several the first
        lines.append((heading, *(by_arm.get(arm, "–") for arm in arms)))
    screen.table(title, ("", *map(str, arms)), lines, console)
    seeds = max((row.get("seeds", 1) for row in rows), default=1)
    console.print(
        f"Mean and 95 % interval over {seeds} seeds." if seeds > 1 else "One seed: no interval over seeds.", style="dim"
    )
    for said in stale(found):
        console.print(said, markup=False, soft_wrap=True, style="bold")


LINES = 60
"""How many arms a table of a sweep shows."""


def show_arms(found: Sequence[Listed], title: str, console: Console) -> None:
    """Print a line for each arm of a sweep, mean and interval over its seeds, in the order that they are given in."""
    alone = [row for entry in found for row in entry.rows]
    rows = over_seeds(alone)
    wanted = headings(rows)
    arms: dict[str, list[Row]] = {}
    for row in rows:
        arms.setdefault(str(row.get("arm", "")), []).append(row)
    lines = []
    for arm, here in list(arms.items())[:LINES]:
        cells = ((row for row in here if all(row.get(k) == v for k, v in says.items())) for says in wanted.values())
        lines.append((arm, *(_cell(row) if (row := next(some, None)) else "–" for some in cells)))
    screen.table(title, ("arm", *wanted), lines, console)
    if len(arms) > LINES:
        console.print(f"{len(arms) - LINES} more arms: eigenfall report draws them all.", markup=False)
    seeds = max((row.get("seeds", 1) for row in rows), default=1)
    console.print(
        f"Mean and 95 % interval over {seeds} seeds." if seeds > 1 else "One seed: no interval over seeds.", style="dim"
    )
    for said in stale_rows(alone):
        console.print(said, markup=False, soft_wrap=True, style="bold")


def stale(found: Sequence[Record]) -> list[str]:
    """A sentence for each layer of an arm whose penalty ended on a stale basis: its exponent is not what it held to."""
    return stale_rows(row for record in found for row in record.measurement.rows)


def stale_rows(found: Iterable[Row]) -> list[str]:
    """As `stale`, from rows."""
    ends: dict[tuple[str, str], list[Row]] = {}
    for row in (row for row in found if row["quantity"] == "staleness"):
        ends.setdefault((row.get("arm", ""), row["layer"]), []).append(row)
    said = []
    for (arm, layer), rows in ends.items():
        worst = [row["value"] for row in rows if row.get("verdict") == "STALE"]
        if worst:
            seeds = "" if len(rows) == 1 else f" in {len(worst)} of {len(rows)} seeds"
            said.append(
                f"STALE: {arm}, {layer}{seeds}: s_R up to {max(worst):.3g}; the penalty saw a flatter spectrum than "
                f"the true one."
            )
    return said


def show_recording(record: Record, console: Console) -> None:
    """Print the exponents of a recording: of what, over which ranks, with which interval; then what must be known."""
    found = record.measurement
    console.print(found.notices[0], markup=False, soft_wrap=True)
    simulated = any(beside.bias for beside in found.diagnostics.values())
    columns = ["", "target", "fit", "ranks", "α, over stimuli", "bias at this size"]
    lines = []
    for key, fit in found.fits.items():
        beside = found.diagnostics[key]
        lines.append((*_about(key, fit), _bias(beside)))
        lines += [("", "", f"over {source}", "", _ends(value), "") for source, value in beside.over.items()]
        lines += [(*_about("", other), "") for other in beside.fits]
    if lines:
        screen.table(
            f"Exponents of {found.name}",
            columns if simulated else columns[:-1],
            lines if simulated else [line[:-1] for line in lines],
            console,
            words=4,
        )
    for notice in found.notices[1:]:
        console.print(notice, markup=False, soft_wrap=True, style="bold" if notice.startswith("WARN") else "")


ATTACKED = {"robust_accuracy": "", "noise_accuracy": ", mean of draws", "worst_draw_accuracy": ", worst of draws"}


def show_attacks(rows: Sequence[Row], name: str, console: Console) -> None:
    """Print clean accuracy, and accuracy under each attack: a table for each norm, a column for each epsilon."""
    clean = next(row for row in rows if row["quantity"] == "clean_accuracy")
    attacked = [row for row in rows if row["quantity"] in ATTACKED]
    console.print(f"{name}: clean accuracy {screen.percent(clean)}, {clean['n']} images", markup=False)
    for norm in dict.fromkeys(row["norm"] for row in attacked):
        here = [row for row in attacked if row["norm"] == norm]
        budgets = list(dict.fromkeys(row["epsilon"] for row in here))
        cells = {(row["attack"], row["quantity"], row["epsilon"]): row for row in here}
        lines = [
            (f"{attack}{ATTACKED[quantity]}", *map(_cell, filter(None, found)))
            for attack, quantity in dict.fromkeys((row["attack"], row["quantity"]) for row in here)
            if any(found := [cells.get((attack, quantity, epsilon)) for epsilon in budgets])
        ]
        sign = "s.d." if norm == "gaussian" else "ε"
        unit = here[0].get("unit", "")
        title = f"Accuracy under attack, {norm}{f', {unit}' if unit else ''}, {here[0]['n']} images"
        screen.table(title, ("attack", *(f"{sign} = {epsilon:g}" for epsilon in budgets)), lines, console)


def show_attacked(record: Record, console: Console) -> None:
    """Print what attacks left of a model's accuracy, and every check with its verdict."""
    found = record.measurement
    show_attacks(found.rows, found.name, console)
    lines = [
        (one.check, one.verdict, "" if math.isnan(one.value) else f"{one.value:.3g}", one.title, one.finding)
        for one in found.verdicts
        if one.verdict != "NOT RUN"
    ]
    if lines:
        screen.table("Checks", ("", "verdict", "number", "asks", "found"), lines, console, words=5)
    for why, idle in groupby((one for one in found.verdicts if one.verdict == "NOT RUN"), lambda one: one.finding):
        told = ", ".join(f"{one.check} {one.title}" for one in idle)
        console.print(f"NOT RUN: {told}. {why}", markup=False, soft_wrap=True)
    for notice in found.notices:
        console.print(notice, markup=False, soft_wrap=True)


def _about(key: str, fit: SpectrumFit) -> tuple[str, ...]:
    alpha = fit.parameters["alpha"]
    ends = "" if math.isnan(alpha.low) else f"\n[{alpha.low:.3f}, {alpha.high:.3f}]"
    weights = ", weights 1/n" if fit.weights == "1/n" and fit.law == "power" else ""
    law = f"{fit.method}{weights}" if fit.law == "power" else f"{fit.method}, {fit.law}"
    return key, fit.target if key else "", law, f"{fit.used[0]}–{fit.used[1]}", f"{alpha.value:.3f}{ends}"


def _ends(estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return ""
    return f"[{estimate.low:.3f}, {estimate.high:.3f}]"


def _bias(found: Diagnostics) -> str:
    """Mean of simulated recordings of the same size less what was planted."""
    if not found.bias:
        return ""
    bias = found.bias[0]
    return f"{bias.found.value - bias.truth:+.3f} ± {(bias.found.high - bias.found.low) / 2:.3f}".replace("-", "−")


def _cell(row: Row) -> str:
    """Value over its interval; a failed check stands where the headline would have stood."""
    if row.get("verdict") == "FAIL":
        return "FAIL"
    percent = row["quantity"].endswith("accuracy")
    digits, factor, unit = (".1f", 100, " %") if percent else (".3g", 1, "")
    text = f"{factor * row['value']:{digits}}{unit}"
    return f"{text}\n[{factor * row['low']:{digits}}, {factor * row['high']:{digits}}]" if "low" in row else text
