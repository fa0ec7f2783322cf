"""What every fit of a spectrum must do; a new file in the folder is under test the moment it exists."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from exact import power_law

from eigenfall.parts import attributes, names, part_class, presets, read, spell
from eigenfall.types import Spectrum

NAMES = names("fits")
MADE = [(name, part_class("fits", name)()) for name in NAMES]
MADE += [(f"{name}@{preset}", part) for name in NAMES for preset, part in presets("fits", name).items()]


@pytest.fixture(params=[part for _, part in MADE], ids=[name for name, _ in MADE])
def part(request):
    return request.param


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_a_power_law_is_found(part, alpha):
    assert part(power_law(alpha, 1000)).alpha == pytest.approx(alpha, abs=1e-6)


def test_what_a_fit_carries(part):
    spectrum = replace(power_law(1.0, 1000), target="signal sample", estimator="cvpca")
    fit = part(spectrum)
    assert (fit.target, fit.estimator, fit.stimuli, fit.units) == ("signal sample", "cvpca", 1001, 1000)
    assert fit.method
    assert 1 <= fit.asked[0] <= fit.used[0] < fit.used[1] <= fit.asked[1]
    assert all(fit.used[0] <= rank <= fit.used[1] for rank in fit.left_out)


def test_units_of_the_responses_do_not_matter(part):
    spectrum = power_law(1.2, 1000)
    scaled = replace(spectrum, eigenvalues=spectrum.eigenvalues * 1e-9)
    assert part(scaled).alpha == pytest.approx(part(spectrum).alpha, abs=1e-9)


def test_the_spectrum_is_left_alone_and_a_second_fit_is_the_same(part):
    spectrum = power_law(1.2, 1000)
    before = spectrum.eigenvalues.clone()
    assert part(spectrum) == part(spectrum)
    assert torch.equal(spectrum.eigenvalues, before)


def test_a_window_that_was_shortened_is_said(part):
    fit = part(power_law(1.0, 40))
    assert fit.used[1] <= 40
    assert fit.used == fit.asked or fit.notices


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.5], [0.0] * 600, [1.0] + [-1.0] * 600])
def test_what_has_no_exponent_is_refused_in_the_house_form(part, values):
    eigenvalues = torch.tensor(values, dtype=torch.float64)
    spectrum = Spectrum(eigenvalues, stimuli=len(values) + 1, units=max(1, len(values)))
    if getattr(part, "fold", False) and values[-1:] == [-1.0]:
        assert any("folded upward" in notice for notice in part(spectrum).notices)
        return
    with pytest.raises(ValueError, match=r"^Expected .+, got .+\. .+\.$"):
        part(spectrum)


@pytest.mark.parametrize("name", NAMES)
def test_a_part_is_frozen_spelt_and_documented(name):
    for made in (part_class("fits", name)(), *presets("fits", name).values()):
        assert read("fits", spell(made)) == made
        with pytest.raises(FrozenInstanceError):
            setattr(made, fields(made)[0].name, None)
    assert all(words for _, _, words in attributes("fits", name))
    assert part_class("fits", name).cite
