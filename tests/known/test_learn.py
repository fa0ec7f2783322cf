"""The flags of `eigenfall learn` that say how the head is fitted, and what units that never win are told."""

from dataclasses import replace

import pytest
import torch
from exact import refusal

from eigenfall.commands.learn import training_of
from eigenfall.convergence import Gates
from eigenfall.judgements import notices_of
from eigenfall.optimisation import PRESETS, Training, shortened

PUBLISHED = PRESETS["pnas_mnist"]


def test_without_a_name_it_is_adam_at_a_constant_rate():
    assert training_of("", 50, None, None, None) == Training(epochs=50)
    assert training_of("", 7, 0.01, 64, 3) == Training(epochs=7, learning_rate=0.01, batch_size=64, patience=3)


def test_a_published_training_is_shortened():
    found = training_of("pnas_mnist", 30, None, None, None)
    assert found == shortened(PUBLISHED, 30)
    assert (found.epochs, found.schedule) == (30, ((10, 5e-4), (15, 1e-4), (20, 5e-5), (25, 1e-5)))
    assert training_of("pnas_mnist", 300, None, None, None) == PUBLISHED
    assert training_of("pnas_mnist", 300, None, 64, 2) == replace(PUBLISHED, batch_size=64, patience=2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("pnas_mnits", 30, None, None, None),
            "Expected a known training of a head, got 'pnas_mnits'. Did you mean 'pnas_mnist'?",
        ),
        (
            ("pnas_mnist", 30, 0.01, None, None),
            "Expected --learning-rate or --head-training, got both. A published training brings its learning rates: "
            "leave one out.",
        ),
        (
            ("pnas_mnist", 301, None, None, None),
            "Expected at most 300 epochs, got 301. Set epochs and schedule yourself.",
        ),
    ],
)
def test_trainings_that_cannot_be(given, message):
    assert refusal(training_of, *given) == message


@pytest.mark.parametrize(
    ("dead", "words"),
    [
        (0, ""),
        (1, " 1 unit that is off won at no input, which longer learning hardly moves: prune, or use fewer units."),
        (2, " 2 units that are off won at no input, which longer learning hardly moves: prune, or use fewer units."),
    ],
)
def test_units_that_never_win_are_told(dead, words):
    """Two of five units are off: as many as said lose everywhere, the others win at an input of their own."""
    weights = torch.eye(5)
    weights[0, 0] = weights[1, 1] = 1.5
    inputs = torch.eye(5)[dead:]
    found = Gates(negative_share=1.0)(weights, 2.0, 1.0, inputs)
    (notice,) = notices_of(found, None)
    assert notice == f"WARN: currents: {found}{words}"


def test_few_units_that_are_off_are_not_told():
    weights = torch.eye(20)
    weights[0, 0] = 1.5
    assert notices_of(Gates(negative_share=1.0, positive=0.0)(weights, 2.0, 1.0, torch.eye(20)[1:]), None) == []
