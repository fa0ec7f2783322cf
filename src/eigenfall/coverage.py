"""What the study of the intervals found of an estimator: bias and coverage where the exponent was known.

The study is `docs/make_intervals.py`, its table docs/intervals.md; its numbers lie in `coverage.json` beside this file.
"""

import json
from functools import cache
from importlib import resources
from typing import Any

from eigenfall import parts


@cache
def _rows() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(resources.files("eigenfall").joinpath("coverage.json").read_text(encoding="utf-8")))


def studied(estimator: Any, fit: Any) -> tuple[str, ...]:
    """What the study says of an estimator and a fit, in words; nothing of what it did not study.

    Args:
        estimator: a part of kind spectra.
        fit: a part of kind fits.
    """
    name, law = parts.name_of(estimator), parts.name_of(fit)
    method = law if (name, law) == ("pca", "marchenkopastur") else name
    usual = {"meme": "momentlaw", "cvpca": "leastsquares", "pca": "leastsquares", "marchenkopastur": "marchenkopastur"}
    rows = [row for row in _rows() if row["method"] == method] if usual.get(method) == law else []
    if not rows:
        return ()
    bias, cover = [row["bias"] for row in rows], [100 * row["coverage"] for row in rows]
    first = rows[0]
    where = " over ranks {}–{}, shortened,".format(*first["window"]) if first["window"] else ""
    return (
        f"against the exponent of the population, its bias{where} was {_between(bias, '+.2f')} and its 95 % interval "
        f"over stimuli held that exponent in {_between(cover, '.0f')} % of simulated recordings of "
        f"{first['stimuli']} stimuli × {first['units']} units, over {len(rows)} cells of exponent and noise "
        "(docs/intervals.md).",
    )


def _between(values: list[float], digits: str) -> str:
    low, high = f"{min(values):{digits}}", f"{max(values):{digits}}"
    return (low if low == high else f"{low} to {high}").replace("-", "−")
