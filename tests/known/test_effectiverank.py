import naive
import pytest
import torch
from exact import power_law, seeded

from eigenfall.dimensions.effectiverank import PRESETS, EffectiveRank
from eigenfall.grams import gram
from eigenfall.types import Responses, Spectrum


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def of(values):
    values = torch.as_tensor(values, dtype=torch.float64)
    return Spectrum(values, stimuli=len(values) + 1, units=len(values), estimator="cvpca")


@pytest.mark.parametrize("alpha, value", [(0.5, 786.64), (1.0, 179.65), (1.5, 18.507)])
def test_power_laws(alpha, value):  # D5
    assert EffectiveRank()(power_law(alpha, 1000)).value.value == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("offset", [0.0, 1e-7])
def test_equals_the_entropy_term_by_term(offset):
    values = [5.0, 2.0, 1.0, 0.5, 0.0]
    assert EffectiveRank(offset)(of(values)).value.value == pytest.approx(naive.entropy_rank(values, offset), rel=1e-12)


def test_equal_eigenvalues_count_each_as_one():
    assert EffectiveRank()(of([2.0] * 9)).value.value == pytest.approx(9)
    assert EffectiveRank()(of([2.0] + [0.0] * 9)).value.value == pytest.approx(1)


@pytest.mark.parametrize("stimuli, units", [(50, 30), (30, 50)])
def test_responses_and_either_gram_matrix_have_the_rank_of_their_covariance(stimuli, units):
    values = torch.randn(3, stimuli, units, generator=seeded(0), dtype=torch.float64) + 2
    truth = naive.entropy_rank(naive.eigenvalues(values).clamp_min(0).tolist())
    responses = Responses(values=values)
    for given in (responses, gram(responses, side="units"), gram(responses, side="stimuli")):
        found = EffectiveRank()(given)
        assert found.value.value == pytest.approx(truth, rel=1e-10)
        assert (found.target, found.repeats, found.of) == (
            "total sample",
            3,
            "eigenvalues of the covariance by pca",
        )


def test_what_reptrix_calls_rankme():  # D8
    torch.manual_seed(0)
    responses = Responses(values=torch.randn(1000, 1024)[None])
    assert PRESETS["reptrix"](responses).value.value == pytest.approx(613.4726, abs=1e-3 * 613)
    assert PRESETS["reptrix"] == EffectiveRank(offset=1e-7)


def test_equals_reptrix():
    rankme = pytest.importorskip("reptrix.rankme")
    values = torch.randn(90, 60, generator=seeded(1))
    assert PRESETS["reptrix"](Responses(values=values[None])).value.value == pytest.approx(
        float(rankme.get_rankme(values)), rel=1e-5
    )


def test_a_few_negative_eigenvalues_are_left_out_and_counted():
    values = [1 / n for n in range(1, 40)] + [-0.01]
    found = EffectiveRank()(of(values))
    assert found.value.value == pytest.approx(naive.entropy_rank(values[:-1]))
    assert found.notices == ("1 of 40 eigenvalues are negative and were left out.",)
    assert found.of == "eigenvalues of the covariance by cvpca"


def test_many_negative_eigenvalues_have_no_entropy():
    assert refused(lambda: EffectiveRank()(of([1.0] * 37 + [-0.01] * 3))) == (
        "Expected at most 5 % of negative eigenvalues, which have no entropy, got 3 of 40. "
        "Use participation, stablerank or variancerank, or end the spectrum where it is noise."
    )


def test_a_spectrum_without_variance_is_refused():
    assert refused(lambda: EffectiveRank()(of([1.0, -2.0]))) == (
        "Expected a spectrum of responses whose eigenvalues add up to more than 0, got 2 eigenvalues that add up to "
        "-1. Without variance there is no dimension: look at what the spectrum was made of."
    )


def test_responses_that_do_not_vary_are_refused():
    assert refused(lambda: EffectiveRank()(Responses(values=torch.ones(2, 9, 4)))) == (
        "Expected responses that vary over stimuli, got no variance in any unit. "
        "Look for a dead layer, or a constant input."
    )


def test_a_negative_offset_is_refused():
    assert refused(lambda: EffectiveRank(offset=-1.0)) == (
        "Expected offset ≥ 0, got -1. Use 0, or 1e-7 as reptrix does."
    )
