"""What a reader must know of a finished training, read from its history: stale bases, catastrophic overfitting."""

from collections.abc import Sequence

from eigenfall.adversarial import MANY, SINGLE, collapsed
from eigenfall.rows import row
from eigenfall.types import Row

STALE = 0.1
"""Excess of the spectrum that a penalty's basis does not see, above which it is stale."""


def stale_of(history: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Final staleness as rows, and what a reader must know of it."""
    rows, notices = [], []
    for key, value in (history[-1] if history else {}).items():
        penalty, _, layer = str(key).partition("/final_staleness/")
        if not layer:
            continue
        rows.append(row("staleness", value, penalty=penalty, layer=layer, verdict="STALE" if value > STALE else None))
        if value > STALE:
            notices.append(
                f"{layer}: the penalty's basis is stale at the end, s_R = {value:.3g} > {STALE}: the penalty saw a "
                "flatter spectrum than the true one."
            )
    return rows, notices


def overfitted(history: Sequence[Row]) -> list[str]:
    """What a reader must know of epochs after which a single step failed where many steps did not."""
    found = [entry for entry in history if MANY in entry and collapsed(entry[SINGLE], entry[MANY])]
    if not found:
        return []
    worst, checked = min(found, key=lambda entry: entry[MANY]), sum(MANY in entry for entry in history)
    return [
        f"Catastrophic overfitting after {len(found)} of {checked} epochs: of the batch after epoch {worst['epoch']}, "
        f"{100 * worst[SINGLE]:.0f} % withstand a single step and {100 * worst[MANY]:.0f} % ten of them. Train with "
        "more steps, or a smaller epsilon."
    ]
