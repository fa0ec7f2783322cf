"""What every fit of a spectrum must do; a new file in the folder is under test the moment it exists.

A fit whose law does not hold the power law of the spectrum itself says so: `holds_power_law: ClassVar[bool] = False`.
One that reads moments (`reads: ClassVar[str] = "moments"`) must be frozen, spelt and documented like the others.
"""

import math
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from exact import power_law, seeded

from eigenfall.intervals import half_samples
from eigenfall.laws import LAWS, eigenvalues
from eigenfall.parts import attributes, name_of, names, part_class, presets, read, spell
from eigenfall.slopes import sensitivity
from eigenfall.spectra.pca import PCA
from eigenfall.types import Responses, Spectrum

EVERY = names("fits")
NAMES = [name for name in EVERY if getattr(part_class("fits", name), "reads", "spectrum") == "spectrum"]
MADE = [(name, part_class("fits", name)()) for name in NAMES]
MADE += [(f"{name}@{preset}", part) for name in NAMES for preset, part in presets("fits", name).items()]


@pytest.fixture(params=[part for _, part in MADE], ids=[name for name, _ in MADE])
def part(request):
    return request.param


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_a_power_law_is_found(part, alpha):
    if not getattr(part, "holds_power_law", True):
        pytest.skip("its law is another")
    tolerance = 0.01 if getattr(part, "bins_per_decade", 0) else 1e-6  # a bin's mean lies beside the law
    assert part(power_law(alpha, 1000)).alpha == pytest.approx(alpha, abs=tolerance)


def test_what_a_fit_carries(part):
    spectrum = replace(power_law(1.0, 1000), target="signal sample", estimator="cvpca")
    fit = part(spectrum)
    assert fit.target in ("signal sample", "signal population")
    assert (fit.estimator, fit.stimuli, fit.units) == ("cvpca", 1001, 1000)
    assert fit.method == name_of(part)
    assert fit.law in LAWS
    assert not math.isnan(fit.misfit)
    assert 1 <= fit.asked[0] <= fit.used[0] < fit.used[1] <= fit.asked[1]
    assert all(fit.used[0] <= rank <= fit.used[1] for rank in fit.left_out)


def test_its_parameters_are_those_of_its_law(part):
    fit = part(power_law(1.2, 1000))
    values = {name: found.value for name, found in fit.parameters.items()}
    assert {"alpha", "scale"} <= values.keys()
    assert bool(torch.isfinite(eigenvalues(fit.law, 10, values)).all())


def test_units_of_the_responses_do_not_matter(part):
    spectrum = power_law(1.2, 1000)
    scaled = replace(spectrum, eigenvalues=spectrum.eigenvalues * 1e-9)
    fit, small = part(spectrum), part(scaled)
    for name, found in fit.parameters.items():
        factor = 1e-9 if name == "scale" else 1
        assert small.parameters[name].value == pytest.approx(factor * found.value, rel=1e-7, abs=factor * 1e-8)
    assert small.misfit == pytest.approx(fit.misfit, abs=1e-9)


def test_the_spectrum_is_left_alone_and_a_second_fit_is_the_same(part):
    spectrum = power_law(1.2, 1000)
    before = spectrum.eigenvalues.clone()
    assert part(spectrum) == part(spectrum)
    assert torch.equal(spectrum.eigenvalues, before)


def test_a_window_that_was_shortened_is_said(part):
    fit = part(power_law(1.0, 40))
    assert fit.used[1] <= 40
    assert fit.used == fit.asked or fit.notices


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_an_interval(name):
    part = part_class("fits", name)(first_rank=2, last_rank=40)
    rows = torch.randn(120, 60, generator=seeded(3), dtype=torch.float64) * power_law(1.2, 60).eigenvalues.sqrt()
    responses = Responses(values=rows[None])
    fit = half_samples(responses, PCA()(responses), PCA(), part, seeded(0), draws=6)
    assert fit.resampled == fit.used == (2, 40)
    for found in fit.parameters.values():
        assert found.low <= found.value <= found.high
    assert fit.parameters["alpha"].low < fit.parameters["alpha"].high


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_put_into_other_windows(name):
    part = part_class("fits", name)(first_rank=4, last_rank=120)
    table = sensitivity(power_law(1.0, 200), part)
    assert table[0] == part(power_law(1.0, 200))
    assert len(table) > 6


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.5], [0.0] * 600, [1.0] + [-1.0] * 600])
def test_what_has_no_exponent_is_refused_in_the_house_form(part, values):
    eigenvalues = torch.tensor(values, dtype=torch.float64)
    spectrum = Spectrum(eigenvalues, stimuli=len(values) + 1, units=max(1, len(values)))
    if getattr(part, "fold", False) and values[-1:] == [-1.0]:
        assert any("folded upward" in notice for notice in part(spectrum).notices)
        return
    with pytest.raises(ValueError, match=r"^Expected .+, got .+\. .+\.$"):
        part(spectrum)


@pytest.mark.parametrize("name", EVERY)
def test_a_part_is_frozen_spelt_and_documented(name):
    for made in (part_class("fits", name)(), *presets("fits", name).values()):
        assert read("fits", spell(made)) == made
        with pytest.raises(FrozenInstanceError):
            setattr(made, fields(made)[0].name, None)
    assert all(words for _, _, words in attributes("fits", name))
    assert part_class("fits", name).cite
