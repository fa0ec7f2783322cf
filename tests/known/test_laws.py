import math

import pytest
import torch

from eigenfall.laws import LAWS, eigenvalues, log_eigenvalues

AT = {
    "power": ({"alpha": 1.3}, lambda n: n**-1.3),
    "broken": (
        {"alpha_1": 0.5, "break_rank": 12.0, "alpha": 1.4},
        lambda n: n**-0.5 if n <= 12 else 12**-0.5 * (n / 12) ** -1.4,
    ),
    "cutoff": ({"alpha_1": 0.7, "decay": 0.01}, lambda n: n**-0.7 * math.exp(-0.01 * n)),
    "stretched": ({"rate": 0.8, "beta": 0.4}, lambda n: math.exp(-0.8 * n**0.4)),
    "lognormal": ({"alpha_1": 0.2, "curvature": 0.1}, lambda n: math.exp(-0.2 * math.log(n) - 0.1 * math.log(n) ** 2)),
}


def test_every_law_is_held_here():
    assert set(AT) == set(LAWS)


@pytest.mark.parametrize("law", AT)
def test_a_law_is_its_formula(law):
    parameters, formula = AT[law]
    found = eigenvalues(law, 60, {**parameters, "scale": 3.0})
    assert found.tolist() == pytest.approx([3 * formula(n) for n in range(1, 61)], rel=1e-13)


def test_ranks_need_not_be_whole():
    found = log_eigenvalues("power", torch.tensor([2.5], dtype=torch.float64), {"alpha": 2.0, "scale": 1.0})
    assert float(found) == pytest.approx(-2 * math.log(2.5))


def test_an_unknown_law_is_refused():
    with pytest.raises(ValueError) as refusal:
        eigenvalues("brocken", 3, {"scale": 1.0})
    assert str(refusal.value) == "Expected a known law, got 'brocken'. Did you mean 'broken'?"
