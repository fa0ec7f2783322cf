"""The page: one HTML file that opens from disk, without network, and prints well; without script unless asked for."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from eigenfall.check import given
from eigenfall.report import arms as read
from eigenfall.report import explore, exponents, learnt, pictures, recording, smoothness, surroundings, tables, words
from eigenfall.report.arms import Arm
from eigenfall.report.recorded import Recorded, recorded
from eigenfall.report.templates import filled
from eigenfall.report.templates import write as written
from eigenfall.types import Record

_IDENTITY = ("arm", "seed", "hash", "name")


def write(records: Sequence[Record], path: Path, title: str, command: str, interactive: bool = False) -> Path:
    """Write the page of some records.

    Args:
        records: what to show; those with equal `run["arm"]` are one arm, measured with several seeds.
        path: the file; it appears whole or not at all.
        title: heading of the page.
        command: what was typed, so that a reader can repeat it.
        interactive: put every run on axes that the reader chooses; the page is 5 MB larger.

    Returns:
        The path.

    Raises:
        ValueError: if there is no record; if it is to be interactive, and plotly is not installed, or no two numbers of
            two runs differ; if the file cannot be written: nothing is left behind then.
    """
    return written(path, html(records, title, command, interactive))


def html(records: Sequence[Record], title: str, command: str, interactive: bool = False) -> str:
    """The page as text."""
    every = read.arms(records)
    of_models = [record for record in records if "recording" not in record.run]
    found = read.arms(of_models) if of_models else ()
    sessions = recorded([record for record in records if "recording" in record.run])
    return filled(
        "template.html",
        title=title,
        understood=recording.understood(sessions),
        question=words.question(found) if found else recording.question(sessions),
        answer=_answer(found, sessions),
        models=bool(found),
        recorded=bool(sessions),
        exponents=exponents.exponents(sessions),
        exponents_reading=exponents.reading(sessions),
        targets=exponents.targets(sessions),
        dimensions=exponents.dimensions(sessions),
        sections=recording.sections(sessions),
        summary=tables.summary(found),
        bold=len(found) > 1,
        reading=_reading(found) if found else [],
        layers=learnt.layers(found),
        layers_reading=learnt.READING,
        fields=learnt.pictures(found),
        spectra=pictures.spectra(found),
        sensitivity=tables.sensitivity(found),
        smoothness=smoothness.pictures(found),
        smoothness_reading=smoothness.reading(found),
        bounds=smoothness.bounds(found),
        planes=surroundings.planes(found),
        landscapes=surroundings.landscapes(found),
        corruptions=surroundings.corruptions(found),
        by_severity=surroundings.by_severity(found, guess(found)),
        curves=pictures.curves(found, guess(found)),
        budgets=tables.budgets(found),
        losses=tables.losses(found),
        checks=tables.checks(found),
        doubts=[*recording.doubts(sessions), *words.doubts(found)],
        training=pictures.training(found),
        settings=_settings(every),
        versions=_versions(every),
        names=[record.name for arm in every for record in arm.records],
        command=command,
        bibliography=_bibliography(every),
        **_scripted(records, interactive),
    )


def _scripted(records: Sequence[Record], interactive: bool) -> dict[str, Any]:
    """What the section of every run needs, if there is to be one."""
    if not interactive:
        return {"explored": None}
    shown = given(
        explore.explored(records),
        expected="two numbers or more that differ between runs, for an interactive page",
        got="fewer",
        remedy="Name the folder of several runs of models, or leave --interactive out.",
    )
    texts = explore.scripts()
    return {"explored": shown, "scripts": texts, "policy": Markup(explore.policy(texts))}


def _answer(found: Sequence[Arm], sessions: Sequence[Recorded]) -> str:
    """What recordings say, then what models say."""
    told = [words.answer(found)] if found or not sessions else []
    return " ".join([f"{words.kept_together(exponents.answer(sessions))}."] * bool(sessions) + told)


def guess(found: Sequence[Arm]) -> float | None:
    """Accuracy of guessing: one over the number of classes, if the records hold it; else `None`."""
    for arm in found:
        for record in arm.records:
            if record.run.get("classes"):
                return 1 / int(record.run["classes"])
    return None


def _reading(found: Sequence[Arm]) -> list[str]:
    """How to read the table: budgets, intervals, bold."""
    said = []
    read_at = {name: read.budget(found, name) for name in ("headline", "noise")}
    symbols = [f"{'σ' if name == 'noise' else 'ε'} = {value:g}" for name, value in read_at.items() if value is not None]
    if symbols:
        said.append(
            f"Accuracies are read at {words.listed(symbols)}, where {found[0].name} keeps nearest half of its clean "
            "accuracy; all budgets stand further down."
        )
    if len(found) > 1:
        said.append(
            "Bold: the best of its column (highest accuracy, smallest norm), only where no other's interval reaches it."
        )
    if any(arm.fits(layer) for arm in found for layer in read.every(found, lambda one: list(one.fits))):
        said.append("α holds for the ranks under it only.")
    return said


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Settings as lines of name and text, nested ones joined by a point."""
    lines: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            lines |= _flat(value, f"{before}{name}.")
        elif isinstance(value, list | tuple):
            lines[f"{before}{name}"] = " ".join(str(entry) for entry in value) or "none"
        else:
            lines[f"{before}{name}"] = str(value)
    return lines


def _settings(found: Sequence[Arm]) -> tables.Table:
    """Every setting: once if all arms share it, else by arm."""
    by_arm = [
        {name: text for name, text in _flat(arm.records[0].run).items() if name not in _IDENTITY} for arm in found
    ]
    rows = []
    for name in dict.fromkeys(name for lines in by_arm for name in lines):
        texts = [lines.get(name, "–") for lines in by_arm]
        shared = len(set(texts)) == 1
        cells = (tables.Cell(texts[0]),) if shared else tuple(tables.Cell(text) for text in texts)
        rows.append(tables.Row(name, cells))
    rows.append(tables.Row("seeds", tuple(tables.Cell(arm.seeds or "none") for arm in found)))
    headings = tuple((arm.name, "") for arm in found)
    return tables.Table("Settings, parts in the grammar of the command line.", headings, tuple(rows), corner="setting")


def _versions(found: Sequence[Arm]) -> dict[str, str]:
    """Each version, with all values that occur."""
    versions: dict[str, dict[str, None]] = {}
    for record in (record for arm in found for record in arm.records):
        for name, text in record.versions.items():
            versions.setdefault(name, {})[str(text)] = None
    return {name: ", ".join(texts) for name, texts in versions.items()}


def _bibliography(found: Sequence[Arm]) -> str:
    """BibTeX entries of all records, each once."""
    entries: dict[str, None] = {}
    for record in (record for arm in found for record in arm.records):
        for entry in re.split(r"\n(?=@)", record.bibliography):
            if entry.strip():
                entries[entry.strip()] = None
    return "\n\n".join(entries)
