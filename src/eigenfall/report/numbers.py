"""Numbers as a reader sees them: the digits that their interval earns, and no more."""

import math

from eigenfall.types import Estimate

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def decimals(estimate: Estimate) -> int:
    """How many decimals a value earns.

    Half the interval's width is shown with one digit, with two if it begins with 1 or 2. Without an interval, or with
    one of no width, the value has three digits. Never more than six digits in all.
    """
    size = math.floor(math.log10(abs(estimate.value))) if estimate.value and math.isfinite(estimate.value) else 0
    half = (estimate.high - estimate.low) / 2
    if not math.isfinite(half) or half <= 0:
        return 2 - size
    place = math.floor(math.log10(half))
    return min(-place + (1 if round(half / 10**place, 9) < 3 else 0), 5 - size)


def number(value: float, places: int) -> str:
    """A value to so many decimals, with a true minus; very small and very large ones as a power of ten."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = math.floor(math.log10(abs(value))) if value else 0
    if value and (size < -3 or size > 5):
        mantissa, _, power = f"{value:.{max(size + places, 0)}e}".partition("e")
        return f"{mantissa} · 10{str(int(power)).translate(_RAISED)}".replace("-", "−")
    rounded = round(value, places)
    shown = f"{rounded + 0.0:.{max(places, 0)}f}"
    return shown.replace("-", "−") if rounded else shown.replace("-", "")


def digits(value: float) -> str:
    """A value without interval: three digits, a whole number as it is."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return number(value, 0)
    return number(value, decimals(Estimate(value)))


def value_and_interval(estimate: Estimate) -> tuple[str, str]:
    """Value and interval as two texts with the same decimals; the second is empty without an interval."""
    places = decimals(estimate)
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return number(estimate.value, places), ""
    return number(estimate.value, places), f"[{number(estimate.low, places)}, {number(estimate.high, places)}]"


def sentence(estimate: Estimate, unit: str = "") -> str:
    """Value, unit and interval in a running text."""
    value, interval = value_and_interval(estimate)
    return f"{value}{unit} {interval}".rstrip()


def percent(estimate: Estimate) -> Estimate:
    """A share as per cent."""
    return Estimate(
        100 * estimate.value, 100 * estimate.low, 100 * estimate.high, level=estimate.level, over=estimate.over
    )


def plus_minus(estimate: Estimate) -> str:
    """A difference with its sign, and half the width of its interval after ±."""
    places = decimals(estimate)
    shown = number(estimate.value, places)
    signed = shown if shown.startswith("−") or not shown.strip("0.") else f"+{shown}"
    half = (estimate.high - estimate.low) / 2
    return f"{signed} ± {number(half, places)}" if math.isfinite(half) else signed
