"""Ridge regression against scikit-learn, against refits with each input left out, and under a change of unit."""

import pytest
import torch
from exact import refusal, seeded
from sklearn.linear_model import Ridge as Theirs
from torch.testing import assert_close

from eigenfall.ridge import STRENGTHS, ridge_readout


def data(rows=90, units=12, classes=4, seed=0):
    """Classes that overlap, of units whose scales span two decades, far from the origin."""
    targets = torch.arange(rows) % classes
    means = torch.randn(classes, units, generator=seeded(100), dtype=torch.float64)
    noise = torch.randn(rows, units, generator=seeded(seed), dtype=torch.float64)
    return (means[targets] + 1.5 * noise) * torch.logspace(-1, 1, units, dtype=torch.float64) + 30, targets


def whole(responses, targets):
    return lambda: [(responses, targets)]


def in_chunks(responses, targets, size):
    return lambda: zip(responses.split(size), targets.split(size))


def theirs(responses, targets, penalty, classes=4):
    wanted = torch.nn.functional.one_hot(targets, classes).double()
    return Theirs(alpha=penalty, solver="svd", tol=0).fit(responses.numpy(), wanted.numpy())


def read_by(model, responses):
    return torch.from_numpy(model.predict(responses.numpy()))


def mean_eigenvalue(responses):
    return float((responses - responses.mean(0)).square().sum()) / responses.shape[1]


@pytest.mark.parametrize("strength", [1e-6, 1e-2, 1.0, 10.0])
def test_it_is_scikit_learns(strength):
    responses, targets = data()
    ours = ridge_readout(whole(responses, targets), 4, [strength])
    assert ours.penalty == pytest.approx(strength * mean_eigenvalue(responses), rel=1e-12)
    expected = theirs(responses, targets, ours.penalty)
    assert_close(ours.weight, torch.from_numpy(expected.coef_), rtol=1e-8, atol=1e-10)
    assert_close(ours.bias, torch.from_numpy(expected.intercept_), rtol=1e-8, atol=1e-10)


def test_more_units_than_inputs():
    responses, targets = data(rows=20, units=50)
    ours = ridge_readout(whole(responses, targets), 4, [1e-3])
    assert_close(ours.weight, torch.from_numpy(theirs(responses, targets, ours.penalty).coef_), rtol=1e-8, atol=1e-10)


def test_the_strength_is_chosen_on_the_validation_inputs():
    (responses, targets), (others, right) = data(), data(rows=200, seed=1)
    ours = ridge_readout(whole(responses, targets), 4, STRENGTHS, whole(others, right))
    expected = []
    for strength in STRENGTHS:
        read = read_by(theirs(responses, targets, strength * mean_eigenvalue(responses)), others)
        expected.append(float((read.argmax(1) == right).double().mean()))
    assert ours.accuracies == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) > 3  # it matters here
    assert ours.strength == max(s for s, found in zip(STRENGTHS, expected) if found == max(expected))
    assert ours.accuracy == max(expected)
    assert ours.chosen_by == "validation"
    assert ours.strengths == STRENGTHS


def test_without_validation_each_input_is_left_out():
    """The closed form against as many refits; a refit keeps the penalty of the whole."""
    responses, targets = data(rows=30)
    strengths = (1e-3, 0.1, 3.0)
    ours = ridge_readout(in_chunks(responses, targets, 7), 4, strengths)
    for strength, accuracy in zip(strengths, ours.accuracies):
        right = 0
        for left in range(30):
            kept = torch.arange(30) != left
            model = theirs(responses[kept], targets[kept], strength * mean_eigenvalue(responses))
            right += int(read_by(model, responses[[left]]).argmax()) == int(targets[left])
        assert accuracy == pytest.approx(right / 30)
    assert len(set(ours.accuracies)) > 1
    assert ours.chosen_by == "leave-one-out"


def test_chunks_do_not_matter():
    (responses, targets), validation = data(), whole(*data(rows=40, seed=1))
    one = ridge_readout(whole(responses, targets), 4, validation=validation)
    for size in (1, 13, 89):
        other = ridge_readout(in_chunks(responses, targets, size), 4, validation=validation)
        assert_close(one.weight, other.weight, rtol=1e-9, atol=1e-11)
        assert one.accuracies == other.accuracies


def test_the_unit_of_the_responses_does_not_matter():
    (responses, targets), (others, right) = data(), data(rows=40, seed=1)
    one = ridge_readout(whole(responses, targets), 4, validation=whole(others, right))
    tiny = ridge_readout(whole(responses * 1e-6, targets), 4, validation=whole(others * 1e-6, right))
    assert (tiny.strength, tiny.accuracies) == (one.strength, one.accuracies)
    assert_close(tiny.weight * 1e-6, one.weight, rtol=1e-8, atol=1e-10)
    assert tiny.penalty == pytest.approx(one.penalty * 1e-12)


def test_the_bias_is_not_penalised():
    responses, targets = data()
    shifted = ridge_readout(whole(responses + 1000, targets), 4, [0.1])
    assert_close(shifted.weight, ridge_readout(whole(responses, targets), 4, [0.1]).weight, rtol=1e-8, atol=1e-10)
    shrunk = ridge_readout(whole(responses, targets), 4, [1e12])
    assert_close(shrunk.bias, torch.bincount(targets) / 90, check_dtype=False, rtol=1e-6, atol=1e-6)


def test_the_readout_is_a_module():
    responses, targets = data()
    ours = ridge_readout(whole(responses.float(), targets), 4, [1e-2])
    found = ours.readout()(responses.float())
    assert found.dtype == torch.float32
    assert_close(found.double(), responses.float().double() @ ours.weight.T + ours.bias, rtol=1e-4, atol=1e-4)


def test_an_end_of_the_grid_is_told():
    responses, targets = data()
    assert ridge_readout(whole(responses, targets), 4, [1e3, 1e4]).at_the_edge
    chosen = ridge_readout(whole(responses, targets), 4)
    assert chosen.at_the_edge is (chosen.strength in (STRENGTHS[0], STRENGTHS[-1]))
    assert not ridge_readout(whole(responses, targets), 4, [1e-30, chosen.strength, 1e30]).at_the_edge


def test_a_unit_that_is_silent_and_a_class_that_is_missing():
    responses, targets = data()
    silent = torch.cat([responses, torch.zeros(90, 1, dtype=torch.float64)], 1)
    found = ridge_readout(whole(silent, targets), 5, [1e-3])
    assert_close(found.weight[:, -1], torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-12)
    assert_close(found.weight[4], torch.zeros(13, dtype=torch.float64), rtol=0, atol=1e-12)
    assert found.weight.shape == (5, 13)


ROWS, TARGETS = data()
BROKEN = ROWS.clone()
BROKEN[3, 2] = float("inf")
REFUSALS = [
    (
        lambda: ridge_readout(whole(ROWS, TARGETS), 4, []),
        "Expected one or more strengths, above 0, got []. "
        "Small ones are relative to the mean eigenvalue: 1e-8 hardly shrinks anything.",
    ),
    (
        lambda: ridge_readout(whole(ROWS, TARGETS), 4, [0.0, 1.0]),
        "Expected one or more strengths, above 0, got [0.0, 1.0]. "
        "Small ones are relative to the mean eigenvalue: 1e-8 hardly shrinks anything.",
    ),
    (
        lambda: ridge_readout(whole(ROWS, TARGETS), 3),
        "Expected targets from 0 to 2, got 0 to 3. Count classes from 0, or give their number.",
    ),
    (
        lambda: ridge_readout(whole(ROWS, TARGETS[:50]), 4),
        "Expected chunks of responses (inputs, units), each with targets (inputs,), got shapes (90, 12) and (50,). "
        "Flatten the responses, and give one class for each row.",
    ),
    (
        lambda: ridge_readout(whole(BROKEN, TARGETS), 4),
        "Expected finite responses, got NaN or infinity in them. "
        "Look at the layer's scale: high powers of large currents overflow.",
    ),
    (
        lambda: ridge_readout(whole(ROWS[:0], TARGETS[:0]), 4),
        "Expected responses to read from, got no rows. Give inputs.",
    ),
    (
        lambda: ridge_readout(whole(ROWS, TARGETS), 4, validation=list),
        "Expected responses to read from, got no rows. Give inputs.",
    ),
    (
        lambda: ridge_readout(whole(0 * ROWS, TARGETS), 4),
        "Expected responses that vary over the inputs, got 90 rows that are all the same. "
        "Look whether every unit is silent.",
    ),
]


@pytest.mark.parametrize("wrong, sentence", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(wrong, sentence):
    assert refusal(wrong) == sentence
