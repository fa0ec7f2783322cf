"""The jackknife of moments: known parts, and what becomes of a correction that is larger than what it corrects."""

import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.jackknife import LEAST, jackknifed


def test_one_pairing_is_the_plain_jackknife():
    effects = torch.randn(1, 30, 3, generator=seeded(0), dtype=torch.float64)
    values, covariance = jackknifed(torch.ones(1, 3).double(), effects)
    assert torch.equal(values, torch.ones(3).double())
    assert_close(covariance, effects[0].T @ effects[0])


def test_what_partners_put_into_a_mean_effect_is_taken_off():
    """ψᵣₛ = aₛ + noise of its pairing: the covariance is that of a alone, over many draws of the noise."""
    own = torch.randn(50, 2, generator=seeded(1), dtype=torch.float64)
    noise = 3 * torch.randn(400, 4, 50, 2, generator=seeded(2), dtype=torch.float64)
    level = torch.ones(4, 2).double()
    found = torch.stack([jackknifed(level, own + one)[1] for one in noise]).mean(0)
    truth = own.T @ own
    assert_close(found, truth, rtol=0, atol=4 * float(9 * 50 / 4 / 400**0.5))  # four standard errors of a mean square


def test_the_scatter_of_few_pairings_is_added():
    values = torch.tensor([[1.0], [3.0]]).double()
    effects = torch.full((2, 8, 1), 0.5).double()
    mean, covariance = jackknifed(values, effects)
    assert mean.item() == 2
    assert covariance.item() == 8 * 0.25 + 2 / 2  # Σ(m − m̂)² = 2, over R(R − 1) = 2


def test_a_moment_left_without_variance_keeps_a_share_of_it():
    pair = torch.tensor([[1.0, 0.2], [-1.0, 0.1], [0.5, -0.3], [0.4, 0.2]]).double()
    apart = torch.tensor([[0.0, 2.0], [0.0, -2.0], [0.0, 2.0], [0.0, -2.0]]).double()
    effects = torch.stack([pair + apart, pair - apart])  # the second moment's effects are its partners'
    _, covariance = jackknifed(torch.zeros(2, 2).double(), effects)
    whole = pair.T @ pair
    assert (whole - apart.T @ apart).diagonal()[1] < 0
    root = torch.linalg.cholesky(whole)
    half = torch.linalg.solve_triangular(root, covariance, upper=False)
    shares = torch.linalg.eigvalsh(torch.linalg.solve_triangular(root, half.T, upper=False))
    assert_close(shares, torch.tensor([LEAST, 1.0]).double())


def test_a_correction_that_leaves_every_moment_its_variance_stands():
    pair = torch.randn(40, 3, generator=seeded(3), dtype=torch.float64)
    apart = 0.1 * torch.randn(40, 3, generator=seeded(4), dtype=torch.float64)
    _, covariance = jackknifed(torch.zeros(2, 3).double(), torch.stack([pair + apart, pair - apart]))
    assert_close(covariance, pair.T @ pair - apart.T @ apart)


def test_moments_that_never_vary_are_left_to_be_refused():
    _, covariance = jackknifed(torch.ones(3, 2).double(), torch.zeros(3, 5, 2).double())
    assert torch.equal(covariance, torch.zeros(2, 2).double())
