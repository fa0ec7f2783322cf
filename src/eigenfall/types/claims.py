"""A paper's claim, and what measuring it came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from eigenfall.types.spectra import Estimate

ClaimVerdict = Literal["HOLDS", "FAILS", "OPEN", "NOT TESTED", "VOID"]
"""OPEN: the interval reaches over the border. NOT TESTED: not here, for a reason. VOID: it cannot be tested at all."""


@dataclass(frozen=True)
class Claim:
    """What a paper says, and where.

    Attributes:
        key: short name, unique within the paper.
        where: section, table or figure.
        says: what the paper says, in words.
        low: lower end of the band in which our number must lie; `None` for an order.
        high: its upper end.
        scales: at which it is tested.
        void: why it cannot be tested at all; empty: it can.
        section: under which heading it stands.
    """

    key: str
    where: str
    says: str
    low: float | None = None
    high: float | None = None
    scales: tuple[str, ...] = ()
    void: str = ""
    section: str = ""


@dataclass(frozen=True)
class Answer:
    """What one way of measuring says of a claim.

    Attributes:
        verdict: HOLDS, FAILS, OPEN, NOT TESTED or VOID.
        number: what decides, with its interval over seeds; `None` if nothing was measured.
        told: the number in words, or the reason of NOT TESTED and VOID.
        seeds: how many seeds the number is over.
        parts: further numbers that it was made from, by name.
    """

    verdict: ClaimVerdict
    number: Estimate | None = None
    told: str = ""
    seeds: int = 0
    parts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """A claim with its answers.

    Attributes:
        claim: what the paper says.
        published: measured as the paper's code measures, slips included.
        corrected: measured as it should be.
    """

    claim: Claim
    published: Answer
    corrected: Answer
