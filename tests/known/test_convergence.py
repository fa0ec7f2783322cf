"""Gates of a learnt layer: planted units, the layer that the published gate lets through, wins counted by a loop."""

import pytest
import torch
from exact import refusal, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from eigenfall.convergence import PRESETS, Gates

N, P = 3072, 3.0


def drawn(units, inputs, p=P, radius=1.0, seed=0):
    """Normal units of one p-norm."""
    weights = torch.randn(units, inputs, generator=seeded(seed), dtype=torch.float64)
    return radius * weights / torch.linalg.vector_norm(weights, p, dim=1, keepdim=True)


def attractor(units=50, inputs=N, p=P, radius=1.0):
    return torch.full((units, inputs), -radius * inputs ** (-1 / p), dtype=torch.float64)


# -------------------------------------------------------------------------------- the gates


@pytest.mark.parametrize("radius", [1.0, 2.5])
@pytest.mark.parametrize(("p", "inputs"), [(2, 784), (3, 3072), (4.5, 784)])
def test_the_attractor_fails_the_corrected_gate_and_passes_the_published_one(p, inputs, radius):
    weights = attractor(inputs=inputs, p=p, radius=radius)
    found = Gates()(weights, p, radius)
    assert_close(found.norms, torch.full((50,), radius, dtype=torch.float64))
    assert found.norms_hold
    assert found.signs_hold_published
    assert not found.signs_hold
    assert found.negative.all()
    assert found.collapsed
    assert not found.converged
    assert PRESETS["holzhausen2024"](weights, p, radius).converged  # the slip, kept


def test_the_published_gate_can_fail_where_inputs_are_few():
    found = Gates()(attractor(inputs=7), 3.0)
    assert not found.signs_hold_published
    assert Gates()(attractor(inputs=9), 3.0).signs_hold_published


def test_balanced_units_of_the_right_norm_converge():
    found = Gates()(drawn(40, 784), P)
    assert found.converged
    assert not found.collapsed
    assert found.unconverged == 0
    assert found.wins is None
    assert found.silent is None
    assert found.dead is None


def test_planted_units_are_found():
    weights = drawn(40, 784)
    weights[3] *= 1.02
    weights[7] *= 0.98
    weights[11] *= 1.009
    weights[20] = -weights[20].abs()
    weights[21] = weights[21].abs()
    weights[30] = 0.0
    found = Gates()(weights, P)
    assert found.off.nonzero()[:, 0].tolist() == [3, 7, 30]
    assert found.negative.nonzero()[:, 0].tolist() == [20, 30]  # a unit of zeros has no positive weight
    assert found.unconverged == pytest.approx(3 / 40)
    assert found.norms_hold
    assert not found.signs_hold
    assert not found.collapsed
    assert not found.converged
    assert Gates(negative_share=0.05)(weights, P).converged
    weights[12] *= 2
    assert not Gates()(weights, P).norms_hold  # 4 of 40 are not under a tenth


def test_untrained_units_are_off_and_not_negative():
    weights = torch.randn(400, 784, generator=seeded(1))
    found = Gates()(weights, 2.0)
    assert found.off.all()
    assert not found.negative.any()
    assert (found.means < -0.5 * 784**-0.5).double().mean() > 0.2  # what measuring by R would flag


def test_a_unit_that_is_mostly_negative_by_number_alone():
    weights = torch.full((2, 100), -1e-3, dtype=torch.float64)
    weights[0, :9] = 1.0
    weights[1, :10] = 1.0
    weights /= torch.linalg.vector_norm(weights, 2, dim=1, keepdim=True)
    assert Gates()(weights, 2.0).negative.tolist() == [True, False]


def test_the_sum_criterion_is_one_sided():
    weights = drawn(10, 50, p=3, radius=2.0)
    weights[0] *= 1.1 ** (1 / 3) * 1.0001
    weights[1] *= 1.1 ** (1 / 3) * 0.9999
    weights[2] *= 0.1
    found = PRESETS["talloen2021"](weights, 3.0, 2.0)
    assert found.off.tolist() == [True] + [False] * 9


def test_per_unit_numbers_equal_a_loop():
    weights = drawn(5, 30, p=2.5)
    found = Gates()(weights, 2.5)
    for unit, row in enumerate(weights.tolist()):
        mean = sum(row) / 30
        assert float(found.means[unit]) == pytest.approx(mean, rel=1e-12)
        assert float(found.norms[unit]) == pytest.approx(sum(abs(w) ** 2.5 for w in row) ** (1 / 2.5), rel=1e-12)
        assert float(found.variances[unit]) == pytest.approx(sum((w - mean) ** 2 for w in row) / 30, rel=1e-12)
        assert float(found.positive[unit]) == pytest.approx(sum(w > 0 for w in row) / 30)


@settings(max_examples=60, deadline=None)
@given(
    row=st.lists(st.floats(-1e3, 1e3).map(lambda value: value if abs(value) > 1e-30 else 0.0), min_size=1, max_size=40),
    p=st.floats(2.0, 8.0),
)
def test_no_mean_is_below_what_the_norm_allows(row, p):
    found = Gates()(torch.tensor([row], dtype=torch.float64), p)
    lowest = float(found.norms[0]) * len(row) ** (-1 / p)
    assert abs(float(found.means[0])) <= lowest * (1 + 1e-12) + 1e-300


# ------------------------------------------------------------------------------ the inputs


def naive_wins(weights, p, inputs):
    wins, heard = [0] * len(weights), [False] * len(weights)
    for image in inputs.flatten(1).tolist():
        best, largest = 0, -float("inf")
        for unit, row in enumerate(weights.tolist()):
            current = sum((w > 0) * abs(w) ** (p - 1) * v - (w < 0) * abs(w) ** (p - 1) * v for w, v in zip(row, image))
            heard[unit] = heard[unit] or current > 0
            if current > largest:
                best, largest = unit, current
        wins[best] += 1
    return wins, [not one for one in heard]


@pytest.mark.parametrize("p", [2.0, 3.0, 2.7])
def test_wins_equal_a_loop(p):
    weights = drawn(6, 12, p=p)
    weights[2] = -weights[2].abs()
    images = torch.rand(40, 3, 2, 2, generator=seeded(3), dtype=torch.float64)
    wins, silent = naive_wins(weights, p, images)
    found = Gates()(weights, p, inputs=images)
    assert found.wins.tolist() == wins
    assert found.silent.tolist() == silent
    assert silent[2]
    assert found.dead.tolist() == [count == 0 for count in wins]
    assert found.inputs == 40


def test_chunks_count_as_one():
    weights, images = drawn(6, 12), torch.rand(2500, 12, generator=seeded(3), dtype=torch.float64)
    whole = Gates()(weights, P, inputs=images)
    parts = Gates()(weights, P, inputs=(chunk for chunk in [images[:7], images[7:7], images[7:]]))
    assert torch.equal(whole.wins, parts.wins)
    assert torch.equal(whole.silent, parts.silent)
    assert whole.inputs == parts.inputs == 2500


def test_the_first_of_equal_currents_wins():
    weights = torch.tensor(
        [[1.0, 0.0], [2.0, 1.0], [2.0, 1.0], [1.0, 2.0]]
    )  # whole numbers: no rounding tells them apart
    inputs = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    assert Gates()(weights, 2.0, inputs=inputs).wins.tolist() == [1, 2, 0, 1]


def test_a_layer_that_is_silent_has_collapsed_whatever_its_means():
    """Minus a mean image of few pixels, the rest noise: the mean is not low enough to be flagged, the currents are."""
    inked = 100
    weights = 1e-3 * torch.randn(20, 784, generator=seeded(0), dtype=torch.float64)
    weights[1:, :inked] = -1.0
    weights[0, :inked] = 1.0
    weights /= torch.linalg.vector_norm(weights, 2, dim=1, keepdim=True)
    images = torch.zeros(30, 784, dtype=torch.float64)
    images[:, :inked] = torch.rand(30, inked, generator=seeded(1), dtype=torch.float64)
    alone = Gates(mean=0.5)(weights, 2.0)
    assert alone.converged
    found = Gates(mean=0.5)(weights, 2.0, inputs=images)
    assert not found.negative.any()
    assert int(found.silent.sum()) == 19
    assert found.collapsed
    assert not found.converged


# -------------------------------------------------------------------------------- the words


def test_one_sentence_each():
    assert str(Gates()(drawn(40, 784), P)) == (
        "Converged: 0 of 40 units (0.0 %) are off norm 1, 0 are nearly all negative."
    )
    weights = drawn(40, 784)
    weights[:5] *= 1.5
    images = torch.rand(3, 784, generator=seeded(0), dtype=torch.float64)
    found = Gates()(weights, P, inputs=images)
    assert str(found) == (
        f"UNCONVERGED: 5 of 40 units (12.5 %) are off norm 1, 0 are nearly all negative, {int(found.dead.sum())} won "
        f"at none of 3 inputs."
    )
    assert str(Gates()(attractor(), P)) == (
        "COLLAPSED into the all-negative attractor: 0 of 50 units (0.0 %) are off norm 1, 50 are nearly all negative. "
        "Start from N(0, 1), not from a Glorot-sized start, and learn again."
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: Gates()(drawn(3, 5), 1.5),
            "Expected p of 2 or more, got 1.5. Below 2 the rule's bracket divides by small weights.",
        ),
        (lambda: Gates()(drawn(3, 5), 2.0, 0.0), "Expected a radius above 0, got 0. 1 is usual."),
        (
            lambda: Gates()(torch.zeros(0, 5), 2.0),
            "Expected weights of at least one unit and one input, got shape (0, 5). Give (units, inputs).",
        ),
        (
            lambda: Gates()(torch.tensor([[1.0, float("nan")], [float("inf"), 0.0], [1.0, 0.0]]), 2.0),
            "Expected finite weights, got NaN or infinity in 2 of 3 units. Learning blew up: lower the rate.",
        ),
        (
            lambda: Gates()(drawn(3, 5), 2.0, inputs=torch.zeros(4, 6)),
            "Expected inputs of 5 values, as the weights have, got 6. Give images of the data that the layer learnt.",
        ),
        (
            lambda: Gates()(drawn(3, 5), 2.0, inputs=[torch.zeros(5)]),
            "Expected chunks (inputs, ...), got shape (5,). Give a single input a first axis of length 1.",
        ),
        (
            lambda: Gates()(drawn(3, 5), 2.0, inputs=()),
            "Expected at least one input, got none. Leave inputs out, or give some.",
        ),
    ],
)
def test_refusals(call, sentence):
    assert refusal(call) == sentence


def test_weights_stay_as_they_were():
    weights = drawn(4, 9).requires_grad_()
    before = weights.detach().clone()
    found = Gates()(weights, P, inputs=torch.rand(5, 9))
    assert torch.equal(weights.detach(), before)
    assert not found.norms.requires_grad
