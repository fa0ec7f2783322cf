"""What every estimator of a spectrum must do; a new file in the folder is under test the moment it exists."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.parts import attributes, names, part_class, presets, read, spell
from eigenfall.types import Moments, Responses

NAMES = names("spectra")
QUICK = {"meme": {"moments": 6, "pairings": 3, "resamples": 20}}
"""Settings with which a slow part is tried."""


@pytest.fixture(params=NAMES)
def part(request):
    return part_class("spectra", request.param)(**QUICK.get(request.param, {}))


def values_of(found):
    """Eigenvalues, or the roots of moments, which have their unit."""
    if not isinstance(found, Moments):
        return found.eigenvalues
    orders = torch.arange(1, len(found.values) + 1, dtype=torch.float64)
    return found.values.sign() * found.values.abs() ** (1 / orders)


def drawn(stimuli=40, units=12, repeats=2, seed=0):
    """Responses with signal in every repeat, so that any estimator finds a spectrum."""
    signal = torch.randn(1, stimuli, units, generator=seeded(seed), dtype=torch.float64)
    signal = signal * torch.arange(1, units + 1, dtype=torch.float64) ** -0.5
    noise = torch.randn(repeats, stimuli, units, generator=seeded(seed + 1), dtype=torch.float64)
    return signal + 0.05 * noise


def test_what_a_spectrum_carries(part):
    found = part(Responses(values=drawn(), name="v1"), seeded(0))
    assert values_of(found).dtype == torch.float64
    assert torch.isfinite(values_of(found)).all()
    assert 0 < len(values_of(found)) <= 40
    assert values_of(found)[0] == values_of(found).max() > 0 or isinstance(found, Moments)
    assert (found.stimuli, found.units, found.repeats, found.name) == (40, 12, 2, "v1")
    assert found.estimator


def test_the_same_generator_gives_the_same_and_arguments_are_left_alone(part):
    values = drawn()
    before = values.clone()
    first, again = (values_of(part(Responses(values=values), seeded(3))) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(values, before)


@pytest.mark.parametrize("over", ["stimuli", "units"])
@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("stimuli, units", [(40, 12), (24, 40)])
def test_chunks_equal_all_at_once(part, over, size, stimuli, units):
    values = drawn(stimuli, units)
    pieces = values.split(size, dim=1 if over == "stimuli" else 2)
    whole = values_of(part(Responses(values=values), seeded(0)))
    streamed = values_of(part(Responses(chunks=lambda: iter(pieces), chunked_over=over), seeded(0)))
    assert_close(streamed, whole, rtol=0, atol=1e-12 * float(whole[0]))


def test_units_may_be_rotated_permuted_shifted_and_scaled(part):
    values = drawn()
    found = values_of(part(Responses(values=values), seeded(0)))
    near = {"rtol": 0, "atol": 1e-12 * float(found[0])}
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=seeded(9), dtype=torch.float64)).Q
    order = torch.randperm(12, generator=seeded(1))
    for same in (values @ rotation, values[..., order], values + 5 * torch.arange(12)):
        assert_close(values_of(part(Responses(values=same), seeded(0))), found, **near)
    doubled = values_of(part(Responses(values=2 * values), seeded(0)))
    assert_close(doubled, 4 * found, rtol=0, atol=4e-12 * float(found[0]))


def test_a_dead_unit_changes_no_eigenvalue(part):
    values = torch.cat([drawn(), torch.zeros(2, 40, 1, dtype=torch.float64)], 2)
    found = values_of(part(Responses(values=values), seeded(0)))
    truth = values_of(part(Responses(values=drawn()), seeded(0)))
    assert_close(found[: len(truth)], truth, rtol=0, atol=1e-12 * float(truth[0]))


@pytest.mark.parametrize(
    "values",
    [
        torch.full((2, 40, 12), torch.nan, dtype=torch.float64),
        torch.full((2, 40, 12), torch.inf, dtype=torch.float64),
        torch.ones(2, 40, 12, dtype=torch.float64),
        torch.ones(2, 1, 12, dtype=torch.float64),
    ],
    ids=["NaN", "infinite", "constant", "one stimulus"],
)
def test_what_has_no_spectrum_is_refused_in_the_house_form(part, values):
    with pytest.raises(ValueError, match=r"^Expected .+, got .+\. .+\.$"):
        part(Responses(values=values), seeded(0))


@pytest.mark.parametrize("name", NAMES)
def test_a_part_is_frozen_spelt_and_documented(name):
    for made in (part_class("spectra", name)(), *presets("spectra", name).values()):
        assert read("spectra", spell(made)) == made
        with pytest.raises(FrozenInstanceError):
            setattr(made, fields(made)[0].name, None)
    assert all(words for _, _, words in attributes("spectra", name))
    assert part_class("spectra", name).cite
