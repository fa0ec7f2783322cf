import naive
import pytest
import torch
from exact import power_law, seeded

from eigenfall import grams
from eigenfall.dimensions.effectiverank import EffectiveRank
from eigenfall.dimensions.rankme import RankMe
from eigenfall.types import Responses


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def drawn(stimuli, units, seed=0):
    return torch.randn(1, stimuli, units, generator=seeded(seed), dtype=torch.float64) + 0.3


def of_singular_values(values, offset=1e-7):
    return naive.entropy_rank(torch.linalg.svdvals(values[0]).tolist(), offset)


@pytest.mark.parametrize("alpha, value", [(0.5, 958.88), (1.0, 786.64), (1.5, 468.36)])
def test_power_laws(alpha, value):  # D5, without the 1e-7
    assert RankMe(offset=0.0)(power_law(alpha, 1000)).value.value == pytest.approx(value, rel=1e-4)


def test_half_the_exponent_is_the_effective_rank():
    found = RankMe(offset=0.0)(power_law(1.4, 300)).value.value
    assert found == pytest.approx(EffectiveRank()(power_law(0.7, 300)).value.value, rel=1e-12)


@pytest.mark.parametrize("stimuli, units", [(60, 40), (40, 60)])
def test_equals_the_singular_values_of_the_embedding(stimuli, units):
    values = drawn(stimuli, units)
    found = RankMe()(Responses(values=values))
    assert found.value.value == pytest.approx(of_singular_values(values), rel=1e-9)
    assert (found.notices, found.of) == ((), "square roots of eigenvalues of the un-centred covariance")


def test_singular_values_that_are_rounding_count_as_zero():
    low = drawn(60, 3) @ torch.randn(3, 40, generator=seeded(1), dtype=torch.float64)
    exact = [*torch.linalg.svdvals(low[0])[:3].tolist(), *[0.0] * 37]
    assert RankMe()(Responses(values=low)).value.value == pytest.approx(naive.entropy_rank(exact, 1e-7), rel=1e-9)


def test_the_mean_is_a_dimension():
    shifted = drawn(60, 40) + 1000
    assert RankMe()(Responses(values=shifted)).value.value < 2
    assert RankMe()(Responses(values=shifted - shifted.mean(1, keepdim=True))).value.value > 30


def test_a_constant_unit_counts():
    values = torch.cat([drawn(60, 10), torch.full((1, 60, 1), 5.0, dtype=torch.float64)], 2)
    assert RankMe()(Responses(values=values)).value.value == pytest.approx(of_singular_values(values), rel=1e-9)


def test_a_spectrum_that_was_centred_says_so():
    assert RankMe()(power_law(1.0, 20)).notices == ("Each unit's mean was removed: the source leaves it in.",)


@pytest.mark.parametrize("stimuli, units, over", [(60, 40, "units"), (40, 60, "stimuli")])
def test_chunks_along_the_smaller_side_must_fit_into_memory(stimuli, units, over, monkeypatch):
    values = drawn(stimuli, units)
    pieces = values.split(7, 1 if over == "stimuli" else 2)
    stream = Responses(chunks=lambda: iter(pieces), chunked_over=over)
    assert RankMe()(stream).value.value == pytest.approx(of_singular_values(values), rel=1e-9)
    monkeypatch.setattr(grams, "MEMORY", 1e-6)
    other = "stimuli" if over == "units" else "units"
    assert refused(lambda: RankMe()(stream)) == (
        f"Expected chunks of {other}, or responses of at most 1e-06 GB, got chunks of {over}, 1.9e-05 GB together. "
        f"Store responses in chunks of {other}."
    )


def test_nothing_but_zero_is_refused():
    assert refused(lambda: RankMe()(Responses(values=torch.zeros(1, 9, 4)))) == (
        "Expected responses that are not all 0, got nothing else. Look for a dead layer."
    )


def test_a_place_without_a_value_is_told():
    values = drawn(60, 40)
    values[0, 7, 3] = torch.inf
    assert refused(lambda: RankMe()(Responses(values=values))) == (
        "Expected finite responses, got an infinite value at stimulus 7, unit 3, counted from 0. "
        "Leave that stimulus or unit out."
    )


def test_a_negative_offset_is_refused():
    assert refused(lambda: RankMe(offset=-1.0)) == "Expected offset ≥ 0, got -1. The source's is 1e-7."
