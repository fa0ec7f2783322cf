"""z-scores and removed dimensions, against NumPy as the paper has it, and on second moments alone."""

from dataclasses import dataclass

import numpy as np
import pytest
from exact import refusal

from eigenfall import spontaneous
from eigenfall.spontaneous import Held, baseline


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def truth(responses, spont, components):
    """R − (R V) Vᵀ with V from a full SVD of z-scored spontaneous activity; and V."""
    mean, deviation = spont.mean(0), spont.std(0) + 1e-6
    scored = (responses - mean) / deviation
    basis = np.linalg.svd((spont - mean) / deviation, full_matrices=False)[2][:components].T
    return scored - scored @ basis @ basis.T, basis


@pytest.mark.parametrize("times, units", [(40, 25), (25, 40), (30, 30)])
@pytest.mark.parametrize("components", [0, 1, 4, 20])
@pytest.mark.parametrize("block", [2**22, 200])
def test_removed_dimensions_are_those_of_an_svd(times, units, components, block, monkeypatch):
    monkeypatch.setattr(spontaneous, "BLOCK", block)
    responses, spont = drawn(30, units), 3 + drawn(times, units, seed=1) * np.linspace(0.5, 2, units)
    every = np.ones(units, dtype=bool)
    found = baseline(Held(responses), np.arange(30), every, Held(spont), components)
    expected, basis = truth(responses, spont, components)
    np.testing.assert_allclose(found.removed(responses, 0), expected, atol=1e-12)
    np.testing.assert_allclose(found.basis @ found.basis.T, basis @ basis.T, atol=1e-10)
    np.testing.assert_allclose(found.removed(responses[:, 4:9], 4), expected[:, 4:9], atol=1e-12)


def test_second_moments_need_only_the_scores():
    """G − (R V)(R V)ᵀ is the Gram of the projected responses."""
    responses, spont = drawn(30, 50), drawn(40, 50, seed=1)
    found = baseline(Held(responses), np.arange(30), np.ones(50, dtype=bool), Held(spont), 7)
    scored, removed = found.scored(responses, 0), found.removed(responses, 0)
    np.testing.assert_allclose(scored @ scored.T - found.scores @ found.scores.T, removed @ removed.T, atol=1e-11)
    assert np.linalg.matrix_rank(removed) == 30
    np.testing.assert_allclose(removed @ found.basis, 0, atol=1e-12)


@pytest.mark.parametrize("times, units", [(40, 60), (60, 40)])
def test_few_of_many_dimensions_are_found_without_the_others(times, units, monkeypatch):
    spont = drawn(times, units, seed=1) * np.arange(1, units + 1) ** -0.5
    args = Held(drawn(10, units)), np.arange(10), np.ones(units, dtype=bool), Held(spont), 5
    whole = baseline(*args).basis
    monkeypatch.setattr(spontaneous, "DENSE", 10)
    few = baseline(*args).basis
    np.testing.assert_allclose(few @ few.T, whole @ whole.T, atol=1e-10)
    assert (baseline(*args).basis == few).all()  # the same again


def test_units_that_do_not_count_have_no_say():
    responses, spont = drawn(30, 12), drawn(40, 12, seed=1)
    kept = np.arange(12) % 3 > 0
    found = baseline(Held(responses), np.arange(30), kept, Held(spont), 4)
    expected, _ = truth(responses[:, kept], spont[:, kept], 4)
    np.testing.assert_allclose(found.removed(responses, 0)[:, kept], expected, atol=1e-12)


def test_presentations_that_do_not_count_have_no_say():
    responses, rows = drawn(30, 12), np.array([2, 5, 7, 20])
    found = baseline(Held(responses), rows, np.ones(12, dtype=bool))
    mean, deviation = responses[rows].mean(0), responses[rows].std(0) + 1e-6
    np.testing.assert_allclose(found.removed(responses[rows], 0), (responses[rows] - mean) / deviation)


def test_nan_count_as_zero():
    responses, spont = drawn(10, 4), drawn(20, 4, seed=1)
    responses[3, 1] = spont[5, 2] = np.nan
    found = baseline(Held(responses), np.arange(10), np.ones(4, dtype=bool), Held(spont), 2)
    expected, _ = truth(np.nan_to_num(responses), np.nan_to_num(spont), 2)
    np.testing.assert_allclose(found.removed(responses, 0), expected, atol=1e-12)


def test_dimensions_that_are_not_there_are_not_invented():
    """Spontaneous activity of rank 3: nothing else is removed."""
    spont = drawn(20, 3, seed=1) @ drawn(3, 9, seed=2)
    found = baseline(Held(drawn(10, 9)), np.arange(10), np.ones(9, dtype=bool), Held(spont), 6)
    assert found.basis.shape == (9, 3)
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(3), atol=1e-10)


@dataclass(frozen=True)
class Counting:
    """Columns that keep an account of how many values were held at once."""

    values: np.ndarray
    read: list

    @property
    def shape(self):
        return self.values.shape

    def __call__(self, first, last):
        self.read.append(self.values[:, first:last].size)
        return self.values[:, first:last]


def test_units_are_read_some_at_a_time(monkeypatch):
    monkeypatch.setattr(spontaneous, "BLOCK", 200)
    read = []
    columns = Counting(drawn(40, 100), read)
    baseline(columns, np.arange(40), np.ones(100, dtype=bool), Counting(drawn(30, 100, seed=1), read), 5)
    assert max(read) <= 200


@pytest.mark.parametrize(
    "spont, components, message",
    [
        (
            (20, 5),
            2,
            "Expected spontaneous activity of the same 8 units, got 5. Look at whether time × units is transposed.",
        ),
        (
            (20, 8),
            9,
            "Expected at most 8 dimensions of spontaneous activity, got components=9. Lower it; 0 removes none.",
        ),
        (
            (6, 8),
            7,
            "Expected at most 6 dimensions of spontaneous activity, got components=7. Lower it; 0 removes none.",
        ),
    ],
)
def test_spontaneous_activity_that_does_not_fit_is_refused(spont, components, message):
    args = Held(drawn(10, 8)), np.arange(10), np.ones(8, dtype=bool), Held(drawn(*spont)), components
    assert refusal(baseline, *args) == message
