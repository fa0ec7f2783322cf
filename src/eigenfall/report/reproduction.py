"""The page of a reproduced paper: what it says, what we got under both semantics, verdicts, figures."""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from eigenfall.report.tables import Cell, Row, Table
from eigenfall.report.templates import filled
from eigenfall.types import Answer, Judged

READING = (
    "Each claim is measured twice: as the paper's own code measures, slips included, and as it should be. A number is "
    "a mean over seeds with its 95 % interval; in an order or several ratios the interval is that of the closest pair, "
    "widened for their number. An order HOLDS or FAILS only where that interval does not reach over the border, and is "
    "OPEN where it does; a number HOLDS where its mean lies inside the band. Fewer than five seeds, another scale or a "
    "layer that did not converge: NOT TESTED, with the reason. VOID: nothing could test it, and why."
)
WORDS = ("HOLDS", "FAILS", "OPEN", "NOT TESTED", "VOID")


@dataclass(frozen=True)
class Shown:
    """A figure on the page.

    Attributes:
        heading: above it.
        svg: the file's content; it is embedded, as an image that can run nothing.
        alt: what it shows, in words.
        caption: under it.
    """

    heading: str
    svg: bytes
    alt: str
    caption: str = ""

    @property
    def data(self) -> str:
        """The image as a data URL."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


@dataclass(frozen=True)
class Doubt:
    """What could be wrong: a word in a box, whom it is about, a sentence."""

    text: str
    box: str = ""
    whom: str = ""


def claims(judged: Sequence[Judged]) -> tuple[Table, ...]:
    """A table for each section of claims, a row for each claim."""
    columns = (
        ("where", ""),
        ("paper says", ""),
        ("as published", "verdict, what we got"),
        ("corrected", "verdict, what we got"),
    )
    return tuple(
        Table(section, columns, tuple(_row(one) for one in group), corner="claim")
        for section, group in groupby(judged, lambda one: one.claim.section)
    )


def _row(one: Judged) -> Row:
    return Row(
        one.claim.key,
        (Cell(one.claim.where), Cell(one.claim.says), _answer(one.published), _answer(one.corrected)),
    )


def _answer(answer: Answer) -> Cell:
    return Cell(answer.told, box=answer.verdict)


def tally(judged: Sequence[Judged]) -> str:
    """How many claims there are with each verdict, under both semantics."""
    told = []
    for name in ("published", "corrected"):
        counts = Counter(getattr(one, name).verdict for one in judged)
        told.append(f"{name}: " + ", ".join(f"{counts[word]} {word}" for word in WORDS if counts[word]))
    return "; ".join(told)


def html(
    title: str,
    question: str,
    answer: str,
    judged: Sequence[Judged],
    tables: Sequence[Table],
    pictures: Sequence[Shown],
    doubts: Sequence[Doubt],
    settings: Table,
    command: str,
    beside: str = "",
    reading: str = READING,
    findings: Sequence[str] = (),
) -> str:
    """The page as text.

    Args:
        title: heading of the page.
        question: what was asked.
        answer: the answer in a sentence or two, made from the numbers.
        judged: every claim.
        tables: what goes beyond the paper.
        pictures: figures.
        doubts: what could be wrong.
        settings: sizes and schedules.
        command: what was typed.
        beside: name of the page of all runs, in the same folder.
        reading: how a claim is judged.
        findings: what experiments beside the paper found, a sentence or two each.
    """
    return filled(
        "reproduction.html",
        title=title,
        question=question,
        answer=answer,
        reading=reading,
        findings=findings,
        claims=claims(judged),
        tables=tables,
        pictures=pictures,
        doubts=doubts,
        settings=settings,
        command=command,
        beside=beside,
    )
