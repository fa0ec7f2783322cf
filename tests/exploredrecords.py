"""Records of which only the rows matter: two arms of two seeds whose numbers differ."""

from pathlib import Path

from eigenfall.types import Measurement, Record


def record(arm, seed, rows):
    """A record with these rows alone."""
    return Record(Path(f"{arm}-{seed}"), {"arm": arm, "seed": seed}, {}, Measurement(arm, rows=tuple(rows)), ())


def rows(alpha, robust, beside=()):
    """What a run of one layer tells; the clean accuracy and the mean norm are the same of all."""
    return [
        {"quantity": "alpha", "value": alpha, "low": alpha - 0.1, "high": alpha + 0.1, "layer": "hidden1"},
        {"quantity": "clean_accuracy", "value": 0.9},
        {"quantity": "robust_accuracy", "value": robust, "attack": "headline", "norm": "Linf", "epsilon": 0.05},
        {"quantity": "robust_accuracy", "value": robust + 0.1, "attack": "fgsm", "norm": "Linf", "epsilon": 0.05},
        {"quantity": "jacobian_norm", "value": 3.0, "layer": "outputs", "statistic": "mean"},
        *beside,
    ]


def two(beside=()):
    """A run of each arm; of the first, further rows."""
    return [record("plain", 0, rows(2.0, 0.1, beside)), record("spectral", 0, rows(1.0, 0.3))]


def four():
    """Two seeds of each arm; one arm is named as if it were markup."""
    return [
        record(arm, seed, rows(alpha + seed / 10, robust + seed / 50))
        for arm, alpha, robust in (("plain", 2.0, 0.1), ("<img src=x onerror=alert(1)>", 1.0, 0.3))
        for seed in (0, 1)
    ]
