"""What every measure of dimension must do; a new file in the folder is under test the moment it exists."""

from dataclasses import FrozenInstanceError, fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from exact import power_law, seeded
from torch.testing import assert_close

from eigenfall.grams import gram
from eigenfall.parts import attributes, names, part_class, presets, read, spell
from eigenfall.types import Gram, Responses, Spectrum

NAMES = names("dimensions")
MADE = [(name, part_class("dimensions", name)()) for name in NAMES]
MADE += [(f"{name}@{preset}", part) for name in NAMES for preset, part in presets("dimensions", name).items()]
UNCENTRED = {"rankme"}
"""Measures in which a unit's mean counts."""


@pytest.fixture(params=[part for _, part in MADE], ids=[name for name, _ in MADE])
def part(request):
    return request.param


def accepts(part, noun):
    return noun in get_args(get_type_hints(type(part).__call__)["responses"])


def drawn(stimuli=160, units=130, repeats=2, seed=0):
    """Responses whose signal covaries between units and falls as a power law, with noise in every repeat."""
    scale = torch.arange(1, units + 1, dtype=torch.float64) ** -0.5
    axes = torch.linalg.qr(torch.randn(units, units, generator=seeded(7), dtype=torch.float64)).Q
    signal = torch.randn(1, stimuli, units, generator=seeded(seed), dtype=torch.float64) * scale @ axes
    noise = torch.randn(repeats, stimuli, units, generator=seeded(seed + 1), dtype=torch.float64)
    return signal + 0.05 * noise


def value(part, values):
    return part(Responses(values=values)).value.value


def test_what_a_dimension_carries(part):
    found = part(Responses(values=drawn(), name="v1"))
    assert found.value.value > 0
    assert (found.stimuli, found.units, found.repeats, found.name_of) == (160, 130, 2, "v1")
    assert found.name
    assert found.of
    assert found.target
    assert found.method.partition(":")[0] in NAMES
    assert str(found).startswith(found.name.replace("_", " "))
    assert (found.scales is None) == (found.by_scale is None) == (found.scale == "")
    if found.scales is not None and found.by_scale is not None:
        assert found.scales.shape == found.by_scale.shape
        assert found.value.value in found.by_scale.tolist()


def test_an_exponent_says_its_convention(part):
    found = part(Responses(values=drawn()))
    assert (found.convention != "") == any(word in found.name for word in ("alpha", "exponent"))


def test_the_same_twice_and_arguments_are_left_alone(part):
    values = drawn()
    before = values.clone()
    assert value(part, values) == value(part, values)
    assert torch.equal(values, before)


@pytest.mark.parametrize("over", ["stimuli", "units"])
@pytest.mark.parametrize("stimuli, units", [(160, 130), (130, 160)])
def test_chunks_equal_all_at_once(part, over, stimuli, units):
    values = drawn(stimuli, units)
    pieces = values.split(37, dim=1 if over == "stimuli" else 2)
    streamed = part(Responses(chunks=lambda: iter(pieces), chunked_over=over))
    assert streamed.value.value == pytest.approx(value(part, values), rel=1e-8)
    assert (streamed.stimuli, streamed.units, streamed.repeats) == (stimuli, units, 2)


@pytest.mark.parametrize("stimuli, units", [(160, 130), (130, 160)])
def test_second_moments_are_enough_where_they_are_accepted(part, stimuli, units):
    if not accepts(part, Gram) or getattr(part, "debias", "") == "both":
        return
    values = drawn(stimuli, units)
    moments = gram(Responses(values=values), side="stimuli")
    assert part(moments).value.value == pytest.approx(value(part, values), rel=1e-8)
    assert part(moments).repeats == 2


def test_stimuli_and_units_may_be_permuted_and_responses_scaled(part):
    values = drawn()
    found = value(part, values)
    for axis in (1, 2):
        order = torch.randperm(values.shape[axis], generator=seeded(1))
        assert value(part, values.index_select(axis, order)) == pytest.approx(found, rel=1e-8)
    if hasattr(part, "delta"):  # in squared response units
        part = replace(part, delta=4 * part.delta)
    assert value(part, 2 * values) == pytest.approx(found, rel=1e-8)


def part_name(part):
    return type(part).__module__.rpartition(".")[2]


def test_units_may_be_rotated_unless_they_are_drawn_from_a_population(part):
    values = drawn()
    rotation = torch.linalg.qr(torch.randn(130, 130, generator=seeded(9), dtype=torch.float64)).Q
    same = value(part, values @ rotation) == pytest.approx(value(part, values), rel=1e-7)
    assert same == (getattr(part, "debias", "") != "both")


def test_a_shift_of_a_unit_does_not_matter_where_its_mean_is_removed(part):
    values = drawn()
    same = value(part, values + torch.arange(130)) == pytest.approx(value(part, values), rel=1e-7)
    assert same == (part_name(part) not in UNCENTRED)


def test_a_dead_unit_changes_nothing(part):
    values = torch.cat([drawn(), torch.zeros(2, 160, 1, dtype=torch.float64)], 2)
    offset = 1e-5 if getattr(part, "offset", 0) else 1e-8  # an axis without variance has a share too
    assert value(part, values) == pytest.approx(value(part, drawn()), rel=offset)


def test_a_spectrum_is_left_alone_and_says_what_it_estimates(part):
    if not accepts(part, Spectrum) or getattr(part, "debias", "none") != "none":
        return
    law = power_law(1.0, 200)
    spectrum = Spectrum(
        law.eigenvalues, stimuli=300, units=250, repeats=2, target="signal sample", estimator="cvpca", name="v1"
    )
    before = spectrum.eigenvalues.clone()
    found = part(spectrum)
    assert (found.target, found.stimuli, found.units, found.repeats) == ("signal sample", 300, 250, 2)
    assert found.of.endswith("by cvpca")
    assert found.name_of == "v1"
    assert torch.equal(spectrum.eigenvalues, before)
    scaled = Spectrum(spectrum.eigenvalues * 1e-9, stimuli=300, units=250)
    assert part(scaled).value.value == pytest.approx(found.value.value, rel=1e-9)


@pytest.mark.parametrize("count", [0, 3])
def test_a_spectrum_without_variance_is_refused(part, count):
    if not accepts(part, Spectrum) or getattr(part, "debias", "none") != "none":
        return
    with pytest.raises(ValueError, match=r"^Expected a spectrum .+, got .+\. .+\.$"):
        part(Spectrum(torch.zeros(count, dtype=torch.float64), stimuli=4, units=4))


@pytest.mark.parametrize(
    "values",
    [
        torch.full((2, 40, 12), torch.nan, dtype=torch.float64),
        torch.full((2, 40, 12), torch.inf, dtype=torch.float64),
        torch.zeros(2, 40, 12, dtype=torch.float64),
        torch.zeros(2, 1, 12, dtype=torch.float64),
    ],
    ids=["NaN", "infinite", "zero", "one stimulus"],
)
def test_what_has_no_dimension_is_refused_in_the_house_form(part, values):
    with pytest.raises(ValueError, match=r"^Expected .+, got .+\. .+\.$"):
        part(Responses(values=values))


def test_float32_is_summed_in_float64(part):
    values = drawn().float()
    assert_close(value(part, values), value(part, values.double()), rtol=1e-9, atol=0)


CHOICES = [
    (name, setting, get_args(hint))
    for name in NAMES
    for setting, hint in get_type_hints(part_class("dimensions", name)).items()
    if get_origin(hint) is Literal
]


@pytest.mark.parametrize("name, setting, known", CHOICES)
def test_a_choice_that_is_none_is_refused_in_python_too(name, setting, known):
    made = object.__new__(part_class("dimensions", name))  # past the check of types, which users do not have
    for field in fields(made):
        object.__setattr__(made, field.name, "neither" if field.name == setting else field.default)
    with pytest.raises(ValueError) as refusal:
        made.__post_init__()
    assert str(refusal.value) == (f"Expected a known {setting}, got 'neither'. There are: {', '.join(sorted(known))}.")


@pytest.mark.parametrize("name", NAMES)
def test_a_part_is_frozen_spelt_and_documented(name):
    for made in (part_class("dimensions", name)(), *presets("dimensions", name).values()):
        assert read("dimensions", spell(made)) == made
        for field in fields(made):
            with pytest.raises(FrozenInstanceError):
                setattr(made, field.name, None)
    assert all(words for _, _, words in attributes("dimensions", name))
    assert part_class("dimensions", name).cite
