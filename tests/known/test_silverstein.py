import math

import naive
import numpy as np
import pytest
import torch
from exact import power_law, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from eigenfall.silverstein import Atoms, atoms, places, sample_eigenvalues


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def law(alpha, units):
    return power_law(alpha, units).eigenvalues


def every(population, freedom):
    return sample_eigenvalues(population, freedom, torch.arange(1, min(freedom, len(population)) + 1))


def simulated(population, stimuli, draws, seed=0):
    """ln λ of Gaussian samples, means removed: mean over draws and its standard error."""
    generator, found = seeded(seed), []
    for _ in range(draws):
        rows = torch.randn(stimuli, len(population), generator=generator, dtype=torch.float64) * population.sqrt()
        rows = rows - rows.mean(0)
        side = rows @ rows.T if stimuli <= len(population) else rows.T @ rows
        found.append(torch.linalg.eigvalsh(side).flip(0)[: min(stimuli - 1, len(population))] / (stimuli - 1))
    logs = torch.stack(found).log()
    return logs.mean(0), logs.std(0) / math.sqrt(draws)


# -------------------------------------------------------------------------- white noise


@pytest.mark.parametrize("units, freedom", [(50, 100), (100, 100), (400, 100), (1000, 99)])
def test_edges_of_white_noise(units, freedom):
    """a = τ(1 ± √γ) are the ends of the curve, and x there is σ²(1 ± √γ)²."""
    gamma, tau = units / freedom, 2.5
    white = atoms(torch.full((units,), tau, dtype=torch.float64), freedom)
    for sign, count in ((1, 0), (-1, min(units, freedom))):
        a = tau * (1 + sign * math.sqrt(gamma)) + sign * 1e-9
        found = places(torch.tensor([a], dtype=torch.float64), white)
        assert float(found.x) == pytest.approx(tau * (1 + sign * math.sqrt(gamma)) ** 2, abs=1e-6)
        assert float(found.density) == 0
        assert float(found.count) == pytest.approx(count, abs=1e-4)


@pytest.mark.parametrize("units, freedom", [(50, 100), (400, 100)])
def test_density_of_white_noise_is_marchenko_and_pasturs(units, freedom):
    gamma = units / freedom
    low, high = (1 - math.sqrt(gamma)) ** 2, (1 + math.sqrt(gamma)) ** 2
    a = torch.linspace(1 - math.sqrt(gamma), 1 + math.sqrt(gamma), 101, dtype=torch.float64)[1:-1]
    found = places(a, atoms(torch.ones(units, dtype=torch.float64), freedom))
    truth = freedom * ((high - found.x) * (found.x - low)).sqrt() / (2 * math.pi * found.x)
    assert found.density.tolist() == pytest.approx(truth.tolist(), rel=1e-9)


@pytest.mark.parametrize("units, freedom", [(60, 120), (400, 100)])
def test_ranks_of_white_noise_are_quantiles_of_its_density(units, freedom):
    gamma, count = units / freedom, min(units, freedom)
    low, high = (1 - math.sqrt(gamma)) ** 2, (1 + math.sqrt(gamma)) ** 2
    x = np.linspace(low, high, 200_001)
    density = freedom * np.sqrt((high - x) * (x - low)) / (2 * math.pi * x)
    above = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(x))[::1]])
    above = above[-1] - above
    found = every(torch.ones(units, dtype=torch.float64), freedom)
    truth = np.interp(np.arange(1, count + 1) - 0.5, above[::-1], x[::-1])
    assert found.tolist() == pytest.approx(truth.tolist(), rel=1e-4)


# ------------------------------------------------------------------------- any population


@pytest.mark.parametrize("alpha, units, freedom", [(0.5, 60, 40), (1.0, 40, 60), (1.5, 80, 30)])
def test_the_curve_solves_the_companion_equation(alpha, units, freedom):
    """v = −1/w from the curve, against a repeated substitution a little above the real line."""
    population = law(alpha, units)
    spectrum = Atoms(population, torch.ones(units, dtype=torch.float64), freedom)
    found = places(torch.logspace(-2, 0.02, 24, dtype=torch.float64), spectrum)
    inside = (found.density > 0.01 * found.density.max()).nonzero()[:, 0].tolist()
    assert len(inside) >= 5
    for place in inside:
        v = naive.companion(population.numpy(), freedom, float(found.x[place]), height=1e-7)
        assert freedom * v.imag / math.pi == pytest.approx(float(found.density[place]), rel=1e-3)


@given(st.floats(0, 3), st.integers(3, 80), st.integers(2, 80))
@settings(max_examples=60, deadline=None)
def test_x_rises_and_the_count_falls_with_a(alpha, units, freedom):
    spectrum = atoms(law(alpha, units), freedom)
    a = torch.cat([torch.linspace(-9, 9, 800, dtype=torch.float64), spectrum.values]).sort().values
    a = a[a.abs() > 1e-9]
    found = places(a, spectrum)
    assert bool((found.x.diff() >= -1e-12).all())
    assert bool((found.count.diff() <= 1e-9 * freedom).all())
    assert float(found.count[-1]) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("alpha, units, freedom", [(1.0, 60, 40), (0.5, 40, 60)])
def test_the_count_is_the_integral_of_the_density(alpha, units, freedom):
    spectrum = atoms(law(alpha, units), freedom)
    a = torch.linspace(-2, 3, 100_001, dtype=torch.float64)
    found = places(a[a.abs() > 1e-9], spectrum)
    steps = (found.density[1:] + found.density[:-1]) / 2 * found.x.diff()
    assert float(steps.sum()) == pytest.approx(spectrum.rank, rel=1e-3)
    halfway = int((found.x > found.x.quantile(0.6)).nonzero()[0])
    assert float(steps[halfway:].sum()) == pytest.approx(float(found.count[halfway]), rel=1e-3)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("units", [100, 400, 2000])
def test_ranks_are_those_of_simulated_samples(alpha, units):
    """γ = .5, 2, 10: every rank from the fifth on to within .02 in ln λ, or four standard errors."""
    population = law(alpha, units)
    mean, error = simulated(population, 200, 40 if units < 2000 else 16)
    off = (every(population, 199).log() - mean).abs()[4:-2]
    assert bool((off <= torch.maximum(torch.tensor(0.02), 4.5 * error[4:-2])).all())
    assert float(off[15:].mean()) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("units", [100, 400, 2000])
def test_ranks_are_those_of_many_simulated_samples(alpha, units):
    mean, _ = simulated(law(alpha, units), 200, 300)
    off = (every(law(alpha, units), 199).log() - mean).abs()[4:-2]
    assert float(off.max()) < 0.02
    assert float(off.square().mean().sqrt()) < 0.006


# -------------------------------------------------------------------- groups and interpolation


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("units, freedom", [(1000, 499), (490, 499), (5000, 300)])
def test_groups_move_nothing(alpha, units, freedom):
    population = law(alpha, units)
    grouped = atoms(population, freedom)
    assert len(grouped.values) < 0.6 * units
    assert float((grouped.counts * grouped.values).sum()) == pytest.approx(float(population.sum()), rel=1e-12)
    a = torch.cat([population[:: units // 60], -population[:: units // 20]])
    single = places(a, Atoms(population, torch.ones(units, dtype=torch.float64), freedom))
    found = places(a, grouped)
    inside = (single.density > 0) & (single.x > 0)
    assert float((found.count - single.count)[inside].abs().max()) < 0.02


def test_far_ranks_are_interpolated_to_a_part_in_a_hundred_thousand():
    population = law(1.0, 1000)
    together = every(population, 499)
    alone = torch.cat([sample_eigenvalues(population, 499, torch.tensor([rank])) for rank in (3, 150, 301, 402, 498)])
    assert together[[2, 149, 300, 401, 497]].tolist() == pytest.approx(alone.tolist(), rel=1e-5)


def test_the_trace_is_kept():
    for alpha, units in ((0.5, 1000), (1.0, 250), (1.5, 499)):
        assert float(every(law(alpha, units), 499).sum()) == pytest.approx(float(law(alpha, units).sum()), rel=1e-3)


def test_many_stimuli_leave_the_population_as_it_is():
    found = sample_eigenvalues(law(1.0, 100), 10**6, torch.arange(1, 101))
    assert found.tolist() == pytest.approx(law(1.0, 100).tolist(), rel=1e-3)


def test_scale_is_that_of_the_population():
    ranks = torch.arange(1, 60)
    found = sample_eigenvalues(1e-9 * law(1.0, 100), 80, ranks)
    assert found.tolist() == pytest.approx((1e-9 * sample_eigenvalues(law(1.0, 100), 80, ranks)).tolist(), rel=1e-8)


def test_a_million_units_take_some_hundred_atoms():
    population = law(1.0, 10**6)
    assert len(atoms(population, 2799).values) < 1000
    found = sample_eigenvalues(population, 2799, torch.arange(11, 501))
    assert bool((found.diff() < 0).all())


# ------------------------------------------------------------------------------ refusals


def test_ranks_that_the_sample_does_not_have_are_refused():
    assert refused(lambda: sample_eigenvalues(law(1.0, 100), 49, torch.arange(1, 51))) == (
        "Expected ranks from 1 to 49, as 49 degrees of freedom and 100 units have, got 1 to 50. Ask for those."
    )


def test_a_population_without_variance_is_refused():
    assert refused(lambda: atoms(torch.zeros(5, dtype=torch.float64), 10)) == (
        "Expected positive population eigenvalues and at least one degree of freedom, got 0 of them and 10. "
        "Take two stimuli or more."
    )
