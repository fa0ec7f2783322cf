"""Broken defences trip the checks named for them, honest models FAIL none: a small zoo always, the whole one slowly."""

from dataclasses import replace

import pytest
import torch
from zoo import animals

from eigenfall.attacks.noise import Noise
from eigenfall.attacks.square import Square
from eigenfall.checks.blackbox import BlackBox
from eigenfall.presets import PRESETS

SMALL = replace(
    animals.BUNDLE,
    attacks={**animals.BUNDLE.attacks, "noise": Noise(20)},
    checks=tuple(BlackBox(queries=200) if check.letter == "e" else check for check in animals.BUNDLE.checks),
    blackbox=Square(200),
)
"""Fewer draws and queries; the headline and its comparisons are the whole ones."""

STRONG = replace(SMALL, attacks={**PRESETS["strong"].attacks, "noise": Noise(20)}, headline=PRESETS["strong"].headline)
"""The headline of `strong`, the bundle in which users meet every check."""

TRIPS = {
    "logits × 1000": ("", "j g"),
    "input rounded to 8 levels": ("p4 a f g", ""),
    "fresh noise, s.d. .15": ("p1", ""),
    "softmax of 20z inside": ("p3 g", ""),
    "sign units": ("p4 f g", ""),
    "batch statistics": ("p2", ""),
    "median filter, gradient cut": ("p4 p6 f g", ""),
}
"""What must FAIL and what must WARN on the digits, of 64 pixels: fewer of the checks than on MNIST."""


def verdicts(name, animal, seed, bundle, count):
    found, evidence, clean = animals.examined(name, animal, seed, bundle, count)
    return {check: verdict.verdict for check, verdict in found.items()}, evidence, clean


LONGER = (
    *("input rounded to 8 levels", "median filter, gradient cut", "softmax of 20z inside", "sign units"),
    *("batch statistics", "fresh noise, s.d. .15", "plain", "tanh", "linear"),
)
"""What takes a third of a minute, and shows what the others, or honest nets in `known/test_checks.py`, show as well."""


def each(names):
    """Parameters of a test, the longer ones marked slow."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in LONGER else name for name in names]


@pytest.mark.parametrize("animal", each(TRIPS))
def test_small_broken_defences_trip(animal):
    found, _, clean = verdicts("digits", animal, 0, SMALL, 200)
    fails, warns = TRIPS[animal]
    assert clean > 0.8
    assert {found[check] for check in fails.split()} <= {"FAIL"}
    assert {found[check] for check in warns.split()} <= {"WARN"}


@pytest.mark.parametrize("animal", each(["plain", "tanh", "linear"]))
def test_small_honest_models_fail_nothing(animal):
    found, _, clean = verdicts("digits", animal, 0, STRONG, 200)
    assert clean > 0.85
    assert animals.missed(animal, found) == set()
    assert "NOT RUN" not in found.values()


@pytest.mark.slow
def test_large_logits_leave_the_headline_where_it_was():
    _, evidence, _ = verdicts("digits", "logits × 1000", 0, SMALL, 200)
    _, plain, _ = verdicts("digits", "plain", 0, SMALL, 200)
    moved = evidence.curves["headline"].worst().sum(1) - plain.curves["headline"].worst().sum(1)
    assert int(moved.abs().max()) <= 1


def test_there_are_twelve_defences_two_of_them_in_two_strengths_and_nine_honest_models():
    assert [animal.broken for animal in animals.ANIMALS.values()] == [True] * 14 + [False] * 9


@pytest.mark.parametrize("animal", animals.ANIMALS)
def test_every_animal_can_be_made_and_answers(animal, monkeypatch):
    of = replace(animals.data("digits"), epochs=1)
    monkeypatch.setattr(animals, "data", lambda name: of)
    monkeypatch.setattr(animals, "_twin", animals._twin.__wrapped__)  # the other tests' twins are trained to the end
    model = animals.ANIMALS[animal].make("digits", 0)
    assert not model.training
    assert model(of.test.inputs[:8]).shape == (8, 10)


def test_k_winners_keep_the_largest_units():
    values = torch.tensor([[3.0, -1.0, 2.0, 5.0]])
    assert animals.winners(values, share=0.5).tolist() == [[3.0, -0.0, 0.0, 5.0]]


def test_the_median_filter_is_the_median_of_nine_pixels():
    images = torch.rand(5, 64, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images.reshape(-1, 1, 8, 8), (1,) * 4, mode="reflect")
    assert torch.equal(animals.median(images), torch.nn.functional.unfold(padded, 3).median(1).values)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("animal", animals.ANIMALS)
def test_the_whole_zoo(animal, seed):
    found, _, clean = verdicts("mnist", animal, seed, animals.BUNDLE, 256)
    assert clean >= 0.9
    assert animals.missed(animal, found) == set()
    if not animals.ANIMALS[animal].broken:
        assert "NOT RUN" not in found.values()
