import os
from pathlib import Path

import naive
import pytest
import torch
from exact import power_law, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from eigenfall import repeats
from eigenfall.dimensions._distinct import of_equal_units, of_stimuli, of_units, traces
from eigenfall.dimensions._repeated import norms_over_units, repeated, sums_of_each
from eigenfall.dimensions.participation import PRESETS, Participation
from eigenfall.grams import gram
from eigenfall.recordings.file import File
from eigenfall.spectra.pca import PCA
from eigenfall.types import Responses


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def drawn(count, stimuli, units, seed=0):
    """Repeats of one signal, in which units covary, far from zero."""
    signal = torch.randn(1, stimuli, units, generator=seeded(seed), dtype=torch.float64).cumsum(2)
    return 3 + signal + torch.randn(count, stimuli, units, generator=seeded(seed + 1), dtype=torch.float64)


def ratio(values, debias):
    return Participation(debias)(Responses(values=values)).value.value


# ------------------------------------------------------------------------ known answers


@pytest.mark.parametrize(
    "ranks, alpha, value",
    [
        (100, 0.5, 66.618),
        (100, 1.0, 16.458),
        (100, 1.5, 4.8435),
        (1000, 0.5, 510.24),
        (1000, 1.0, 34.084),
        (1000, 1.5, 5.4059),
        (10_000, 0.5, 4027.54),
        (10_000, 1.0, 58.241),
        (10_000, 1.5, 5.591),
    ],
)
def test_power_laws(ranks, alpha, value):  # D5
    assert Participation("none")(power_law(alpha, ranks)).value.value == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("stimuli, units", [(60, 40), (40, 60)])
def test_the_sample_equals_the_spectrum_of_pca(stimuli, units):
    responses = Responses(values=drawn(3, stimuli, units))
    found = Participation("none")(responses)
    assert found.value.value == pytest.approx(PCA()(responses).participation_ratio, rel=1e-12)
    assert (found.target, found.repeats) == ("total sample", 3)
    assert Participation("none")(gram(responses)).value.value == pytest.approx(found.value.value, rel=1e-12)


@pytest.mark.parametrize("stimuli, units", [(6, 3), (5, 8)])  # either side
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("debias", ["stimuli", "both"])
def test_equals_the_mean_over_all_distinct_stimuli_and_units(stimuli, units, count, debias):
    values = drawn(count, stimuli, units)
    above, below = naive.distinct_traces(values, equal_units=debias == "stimuli")
    if below > 0:
        assert ratio(values, debias) == pytest.approx(above / below, rel=1e-9)
    else:
        assert f"got estimates of {above:.3g} and {below:.3g}" in refused(lambda: ratio(values, debias))


@pytest.mark.parametrize("stimuli, units", [(7, 3), (6, 8)])
@pytest.mark.parametrize("over", ["stimuli", "units"])
@pytest.mark.parametrize("debias", ["stimuli", "both"])
def test_repeats_may_be_missing(stimuli, units, over, debias):
    values = drawn(4, stimuli, units, seed=3)
    values[3, :4] = torch.nan
    values[1, 2] = torch.nan  # stimulus 2 has two
    values[:3, 5] = torch.nan  # stimulus 5 has one: it is left out
    above, below = naive.distinct_traces(values, equal_units=debias == "stimuli")
    pieces = values.split(2, 1 if over == "stimuli" else 2)
    for responses in (Responses(values=values), Responses(chunks=lambda: iter(pieces), chunked_over=over)):
        found = Participation(debias)(responses)
        assert found.value.value == pytest.approx(above / below, rel=1e-9)
        assert found.notices == ("1 stimuli with fewer than two repeats were left out.",)
        assert (found.stimuli, found.units, found.repeats) == (stimuli - 1, units, 4)


def test_a_code_of_equal_axes_has_as_many_dimensions():
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 5)[None]  # of a cube
    assert ratio(corners, "none") == pytest.approx(5)
    assert ratio(corners.repeat(1, 100, 1), "stimuli") == pytest.approx(5, rel=2e-2)


def test_one_dimension_is_one():
    line = torch.randn(1, 50, 1, generator=seeded(0), dtype=torch.float64) * torch.ones(7)
    assert ratio(line, "none") == pytest.approx(1)
    assert ratio(line, "stimuli") == pytest.approx(ratio(line, "both"), rel=1e-10)


def test_identical_repeats_equal_one_repeat():
    one = drawn(1, 30, 12)
    for debias in ("stimuli", "both"):
        assert ratio(one.repeat(3, 1, 1), debias) == pytest.approx(ratio(one, debias), rel=1e-10)


@pytest.mark.parametrize("stimuli, units", [(40, 25), (25, 40)])
def test_two_repeats_equal_the_covariance_between_them(stimuli, units):
    values = drawn(2, stimuli, units)
    above, below = naive.two_repeat_traces(*values.numpy())
    assert ratio(values, "stimuli") == pytest.approx(above / below, rel=1e-9)


def test_samples_that_belong_together_are_told():
    told = ("Samples that follow one another are no distinct stimuli: some of the bias is left.",)
    assert Participation()(Responses(values=drawn(1, 20, 5), sampled_over="time")).notices == told
    assert Participation()(Responses(values=drawn(1, 20, 5), block=4)).notices == told
    assert Participation()(Responses(values=drawn(1, 20, 5))).notices == ()


# -------------------------------------------------------------------------------- no bias


def traces_of(values):
    """(tr C)² and tr C², and both without pairs of equal units."""
    data = repeated(Responses(values=values))
    each, of_unit = sums_of_each(data)
    above, below = traces(each, norms_over_units(data, each))
    equal = of_equal_units(of_unit, len(each))
    return [above, below, above - equal, below - equal]


def test_both_traces_are_without_bias_whatever_the_noise_and_the_mean():
    """Skewed signal, noise that units share, few stimuli: the mean over draws is the trace of the signal alone."""
    mixing = torch.randn(4, 4, generator=seeded(1), dtype=torch.float64)
    covariance = mixing.T @ mixing
    equal = covariance.diagonal().square().sum()
    whole = torch.stack([covariance.trace() ** 2, covariance.square().sum()])
    truth = torch.cat([whole, whole - equal])
    generator, found = seeded(2), []
    for _ in range(100):
        signal = (torch.empty(1, 20, 4, dtype=torch.float64).exponential_(generator=generator) - 1) @ mixing
        noise = torch.randn(2, 20, 4, generator=generator, dtype=torch.float64) @ mixing.roll(1, 1)
        found.append(traces_of(5 + signal + noise))
    found = torch.tensor(found, dtype=torch.float64)
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - truth).abs() < 4 * error).all()
    assert (error < 0.2 * truth).all()


def population(seed=1, units=1000, noise=0.25):
    """A power law of exponent 1 on random axes, with noise on others: draws of two repeats, and both truths."""
    eigenvalues = torch.arange(1, units + 1, dtype=torch.float64) ** -1.0
    axes = [
        torch.linalg.qr(torch.randn(units, units, generator=seeded(seed + place), dtype=torch.float64)).Q
        for place in range(2)
    ]
    signal, rest = ((eigenvalues * share).sqrt()[:, None] * one.T for share, one in zip((1, noise), axes))
    variances = signal.square().sum(0)
    above, below = eigenvalues.sum() ** 2, eigenvalues.square().sum()
    equal = variances.square().sum()

    def draw(stimuli, generator):
        signals = torch.randn(1, stimuli, units, generator=generator, dtype=torch.float64) @ signal
        return signals + torch.randn(2, stimuli, units, generator=generator, dtype=torch.float64) @ rest

    return draw, float(above / below), float((above - equal) / (below - equal))


def of_draws(stimuli, draws):
    """Mean and standard error of the ratio by debias, over draws, and both truths."""
    draw, truth, of_units_too = population()
    generator, found = seeded(5), []
    for _ in range(draws):
        values = draw(stimuli, generator)
        found.append([ratio(values, debias) for debias in ("none", "stimuli", "both")])
    found = torch.tensor(found, dtype=torch.float64)
    return found.mean(0).tolist(), (found.std(0) / draws**0.5).tolist(), truth, of_units_too


def test_a_hundred_stimuli_of_a_power_law():  # T4
    """The ratio of two unbiased traces has a bias of its own, of order 1/S: 4 % here."""
    mean, error, truth, of_units_too = of_draws(100, 20)
    assert truth == pytest.approx(34.084, abs=1e-3)
    assert of_units_too == pytest.approx(1 / (1 / truth - 1 / 1000), rel=0.01)  # 1000 units of a larger population
    assert mean[0] < truth - 2
    assert abs(mean[1] - truth) < 3 * error[1] + 0.04 * truth
    assert abs(mean[2] - of_units_too) < 3 * error[2] + 0.04 * of_units_too


@pytest.mark.slow
@pytest.mark.parametrize("stimuli, draws, own_bias", [(100, 400, 0.04), (500, 200, 0.01)])
def test_many_draws_of_a_power_law(stimuli, draws, own_bias):  # T4: 35.5 ± .2 and 36.9 ± .3; 34.4 ± .2 and 35.7 ± .2
    mean, error, truth, of_units_too = of_draws(stimuli, draws)
    assert abs(mean[1] - truth) < 3 * error[1] + own_bias * truth
    assert abs(mean[2] - of_units_too) < 3 * error[2] + own_bias * of_units_too


@pytest.mark.slow
@pytest.mark.parametrize("stimuli", [100, 500])
def test_the_samples_bias_is_as_the_source_says(stimuli):
    draw, truth, _ = population(noise=0.0)
    found = [ratio(draw(stimuli, seeded(seed))[:1], "none") for seed in range(50)]
    assert sum(found) / 50 == pytest.approx(1 / (1 / stimuli + 1 / truth), rel=0.06)


def test_equals_the_authors_package():
    dimensionality = pytest.importorskip("dimensionality")
    for stimuli, units in ((40, 25), (25, 40)):
        values = drawn(2, stimuli, units)
        theirs = dimensionality.participation_ratio(values[0].numpy(), return_all=True)
        for debias, name in (("none", "naive"), ("stimuli", "row"), ("both", "both")):
            assert ratio(values[:1], debias) == pytest.approx(theirs[name], rel=1e-7)


# -------------------------------------------------------------------------- published numbers


def v4():
    folder = os.environ.get("EIGENFALL_DATA")
    file = Path(folder or "") / "v4-responses" / "responses_201016.npy"
    if not folder or not file.is_file():
        pytest.skip("EIGENFALL_DATA has no v4-responses")
    return File(path=file, axes="units stimuli repeats")()


def test_macaque_v4():  # T5: 13.7-13.9 by moments, from means of odd and of even presentations
    recording = v4()
    found = Participation()(repeats.two(recording, "alternate"))
    assert 13.7 < found.value.value < 13.9
    assert (found.stimuli, found.units, found.target) == (600, 82, "signal population")
    every = Participation()(recording)  # all pairs of five to nine presentations
    assert 13.7 < every.value.value < 13.9
    assert every.repeats == 9


# ------------------------------------------------------------------------- either side, chunks


@given(st.integers(4, 9), st.integers(2, 9), st.integers(1, 3), st.integers(0, 2**20))
@settings(max_examples=40, deadline=None)
def test_both_sides_agree(stimuli, units, count, seed):
    values = drawn(count, stimuli, units, seed)
    data = repeated(Responses(values=values))
    each, _ = sums_of_each(data)
    by_units = traces(each, norms_over_units(data, each))
    norms, each = of_stimuli(gram(data.filled, side="stimuli"), data.weights)
    assert traces(each, norms) == pytest.approx(by_units, rel=1e-8, abs=1e-8)


def test_a_unit_that_is_constant_in_its_mean_only_still_has_noise():
    values = drawn(2, 30, 5)
    values[1, :, 2] = -values[0, :, 2]  # the mean over repeats is 0, its noise is not
    data = repeated(Responses(values=values))
    each, _ = sums_of_each(data)
    by_units = traces(each, norms_over_units(data, each))
    norms, each = of_stimuli(gram(data.filled, side="stimuli"), data.weights)
    assert traces(each, norms) == pytest.approx(by_units, rel=1e-9)


def test_norms_over_units_are_those_of_matrices():
    mean, noise = torch.tensor([[2.0, 1.0], [1.0, 3.0]]).double(), torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    norms = of_units(mean, noise)
    assert (norms.mean, norms.signal, norms.both) == (15.0, 7.0, 10.0)


# ---------------------------------------------------------------------------------- refusals


def test_a_spectrum_cannot_be_freed_of_its_bias():
    assert refused(lambda: Participation()(power_law(1.0, 10))) == (
        "Expected responses, or their Gram matrix over stimuli, to leave the bias out, got a spectrum, in which it is "
        "already. Give the responses, or use debias=none."
    )


def test_a_gram_matrix_is_enough_for_stimuli_only_and_over_them():
    responses = Responses(values=drawn(2, 20, 12))
    assert refused(lambda: Participation()(gram(responses, side="units"))) == (
        "Expected a Gram matrix over stimuli, got one over units. Give the responses."
    )
    assert refused(lambda: Participation("both")(gram(responses, side="stimuli"))) == (
        "Expected responses to leave out equal units, got a Gram matrix, which has no fourth powers of a unit. Give "
        "the responses, or use debias=stimuli."
    )


def test_three_stimuli_are_too_few():
    for values in (drawn(1, 3, 5), drawn(1, 3, 2)):
        assert refused(lambda values=values: ratio(values, "stimuli")) == (
            "Expected at least four stimuli in responses, got 3. Record more stimuli, or use debias=none."
        )
    with_one = drawn(2, 6, 5)
    with_one[1, 3:] = torch.nan
    assert refused(lambda: ratio(with_one, "stimuli")) == (
        "Expected at least four stimuli in responses with two repeats, got 3. Record more stimuli, or use debias=none."
    )
    assert refused(lambda: Participation()(gram(Responses(values=drawn(1, 3, 5))))) == (
        "Expected at least four stimuli in responses, got 3. Record more stimuli, or use debias=none."
    )


def test_one_unit_has_no_other():
    assert refused(lambda: ratio(drawn(1, 9, 1), "both")) == (
        "Expected at least two units in responses, got 1. Use debias=stimuli."
    )


def test_noise_alone_is_refused():
    noise = torch.randn(2, 20, 30, generator=seeded(3), dtype=torch.float64)
    told = refused(lambda: ratio(noise, "stimuli"))
    assert told.startswith("Expected (Σλ)² and Σλ² of responses above 0, got estimates of ")
    assert told.endswith("What stimuli, repeats or units share is lost in noise here: record more of them.")


def test_chunks_that_give_nothing_are_refused():
    assert refused(lambda: Participation()(Responses(chunks=lambda: iter(())))) == (
        "Expected pieces of responses, got none. Look at where the chunks come from."
    )


def test_presets_say_every_field():
    assert PRESETS["chun2026"] == Participation(debias="both")
