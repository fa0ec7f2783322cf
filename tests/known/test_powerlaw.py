"""The simulated recording has the spectrum, the noise, the gain and the trace that were asked for."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from exact import seeded
from torch.testing import assert_close

from eigenfall.grams import gram, reliability
from eigenfall.parts import read
from eigenfall.population import population_of
from eigenfall.recordings.powerlaw import PRESETS, PowerLaw

PLAIN = PowerLaw(stimuli=40, units=90, noise=0.0, drawn="sample")


def second_moments(values):
    """XXᵀ / S of one repeat, not centred."""
    return values.double() @ values.double().T / len(values)


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_a_law_of_the_sample_is_exact(alpha):
    part = replace(PLAIN, alpha=alpha)
    found = torch.linalg.eigvalsh(second_moments(part().values[0])).flip(0)
    planted = torch.arange(1, 41, dtype=torch.float64) ** -alpha
    assert_close(found, planted * (90 / planted.sum()), rtol=1e-4, atol=1e-6)
    assert_close(part.signal, planted * (90 / planted.sum()))


def test_a_broken_law_is_exact():
    part = replace(PLAIN, alpha=1.4, alpha_1=0.4, break_rank=8)
    found = torch.linalg.eigvalsh(second_moments(part().values[0])).flip(0)
    ranks = torch.arange(1, 41, dtype=torch.float64)
    planted = torch.where(ranks <= 8, ranks**-0.4, 8**-0.4 * (ranks / 8) ** -1.4)
    assert_close(found, planted * (90 / planted.sum()), rtol=1e-4, atol=1e-6)


def test_a_law_of_the_population_is_that_of_many_stimuli():
    part = PowerLaw(stimuli=40_000, units=20, repeats=1, noise=0.0, alpha=1.0)
    found = torch.linalg.eigvalsh(torch.cov(part().values[0].double().T)).flip(0)
    assert_close(found, part.signal, rtol=0.03, atol=0)


def test_units_have_unit_signal_and_the_noise_that_was_asked_for():
    part = PowerLaw(stimuli=4000, units=200, noise=2.0, alpha=0.5, noise_alpha=0.5)
    moments = gram(part(), side="stimuli") if part.stimuli < 2000 else gram(part())
    together, own = moments.per_unit.sum(1) / (part.stimuli * part.units)
    assert float(together) == pytest.approx(1.0, rel=0.05)
    assert float(own - together) == pytest.approx(4.0, rel=0.05)
    assert reliability(moments).total == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("alignment", [0.0, 1.0])
def test_noise_is_aligned_as_asked(alignment):
    part = PowerLaw(stimuli=600, units=900, noise=1.5, noise_alpha=1.3, alignment=alignment)
    found = population_of(gram(part()), "power", {"scale": float(part.signal[0]), "alpha": 1.0})
    assert found.alignment == pytest.approx(alignment, abs=0.25)
    assert found.noise_alpha == pytest.approx(1.3, abs=0.15)
    assert float(found.noise.sum()) == pytest.approx(900 * 1.5**2, rel=0.1)


def test_blocks_of_units_have_the_same_law(monkeypatch):
    monkeypatch.setattr("eigenfall.recordings.powerlaw.BLOCK", 64)
    part = replace(PLAIN, units=320, memory=1e-9)
    stream = part()
    assert stream.values is None
    assert [piece.shape for piece in stream.pieces()] == [(2, 40, 64)] * 5
    whole = torch.cat(list(stream.pieces()), 2)
    found = torch.linalg.eigvalsh(second_moments(whole[0])).flip(0)
    assert_close(found, part.signal, rtol=1e-4, atol=1e-5)
    population = replace(part, drawn="population", stimuli=300)
    total = torch.cat(list(population().pieces()), 2)[0].double().square().sum() / 300
    assert float(total) == pytest.approx(320, rel=0.05)  # what is beyond the 64 drawn ranks is there too


def test_blocks_are_made_alike_wherever_they_are_made(monkeypatch):
    monkeypatch.setattr("eigenfall.recordings.powerlaw.BLOCK", 64)
    stream = PowerLaw(stimuli=30, units=200, memory=1e-9)()
    pieces = stream.chunks()
    again = pickle.loads(pickle.dumps(pieces))
    assert len(again) == 4
    assert torch.equal(again[2], pieces[2])
    assert torch.equal(pieces[-1], pieces[3])
    with pytest.raises(IndexError):
        pieces[4]


def test_the_seed_decides_everything_and_stands_in_the_digest():
    part = PowerLaw(stimuli=30, units=40)
    assert torch.equal(part().values, part().values)
    assert not torch.equal(part().values, replace(part, seed=1)().values)
    assert part().digest != replace(part, seed=1)().digest
    assert torch.equal(part(seeded(3)).values, part(seeded(3)).values)
    assert part(seeded(3)).digest == ""


def test_rectified_responses_are_not_negative_and_offset_moves_them():
    part = PowerLaw(stimuli=500, units=60, noise=1.0, offset=1.0)
    plain, rectified = part().values, replace(part, rectify=True)().values
    assert float(plain.mean()) == pytest.approx(2.0, abs=0.1)
    assert float(plain.min()) < 0 == float(rectified.min())
    # the signal is rectified before noise is added, the sum after it
    clean = replace(part, noise=0.0, rectify=True)().values[0]
    noise = plain[0] - replace(part, noise=0.0)().values[0]
    assert_close(rectified[0], (clean + noise).clamp_min(0), rtol=0, atol=1e-4)


def test_gains_are_one_for_each_stimulus_and_repeat():
    plain = PowerLaw(stimuli=400, units=30, noise=0.0)
    ratio = replace(plain, gain=1.7)().values / plain().values
    gains = ratio.median(2, keepdim=True).values
    assert_close(ratio, gains.expand_as(ratio), rtol=1e-3, atol=1e-3)
    assert float(gains.min()) >= 0.5 - 1e-4
    assert float(gains.mean()) == pytest.approx(0.5 + 1.7, rel=0.1)
    assert not torch.allclose(gains[0], gains[1])


def test_the_calcium_trace_equals_its_recursion():
    plain = PowerLaw(stimuli=25, units=7, noise=0.5, repeats=1)
    found = replace(plain, calcium=True)().values[0]
    keeps, clean = math.exp(-0.4 / 2.0), plain().values[0].numpy()
    trace = np.zeros((75, 7))
    for bin_ in range(75):
        trace[bin_] = (keeps * trace[bin_ - 1] if bin_ else 0) + clean[bin_ // 3]
    spikes = np.array([trace[k] - (keeps * trace[k - 1] if k else 0) for k in range(75)])
    assert_close(torch.from_numpy(spikes.reshape(25, 3, 7).mean(1)).float(), torch.from_numpy(clean))
    # what is left is the trace's noise: (ε_k − keeps ε_(k−1)) averaged over three bins
    spread = 0.25 * math.sqrt((1 + (1 - keeps) ** 2 * 2 + keeps**2) / 9)
    assert float((found - torch.from_numpy(clean)).std()) == pytest.approx(spread, rel=0.2)


def test_the_published_simulations_are_presets():
    for name, preset in PRESETS.items():
        small = replace(preset, stimuli=30, units=60)
        assert small().values.shape == (2, 30, 60)
        assert preset.rectify, name
    assert read("recordings", "powerlaw@stringer2019gain:stimuli=30,units=60").gain == 1.7


def test_what_cannot_be_simulated_is_refused():
    assert refused(lambda: PowerLaw(stimuli=1)) == (
        "Expected at least two stimuli, one unit and one repeat, got stimuli=1, units=10000, repeats=2. Say the size "
        "of the recording to simulate."
    )
    assert refused(lambda: PowerLaw(alpha_1=0.5)) == (
        "Expected alpha_1 and break_rank together, for a broken law, or neither, got alpha_1=0.5, break_rank=None. "
        "Give both."
    )
    assert refused(lambda: PowerLaw(alignment=2.0)).startswith("Expected an alignment between 0 and 1")
    assert refused(lambda: PowerLaw(drawn="sample", units=10, stimuli=20)) == (
        "Expected at least as many units as stimuli, for a law of the sample, got 10 units and 20 stimuli. Use "
        "drawn=population, or more units."
    )
    big = PowerLaw(drawn="sample", units=9000, stimuli=8000, memory=0.1)
    assert refused(big) == (
        "Expected blocks of at least 8000 units, for a law of the sample of so many stimuli, got 3000. Allow more "
        "memory, or use drawn=population."
    )
