"""A made-up session of Stringer et al., in both versions of MATLAB's files, against the paper's steps one by one."""

import os
from pathlib import Path

import matlab73
import naive
import numpy as np
import pytest
import scipy.io
import torch
from exact import read_whole, refusal
from torch.testing import assert_close

from eigenfall import repeats, streams
from eigenfall.grams import gram
from eigenfall.recordings.stringer import Stringer

STIMULI, UNITS, TIMES = 40, 30, 50


def session(seed=0, nan=True):
    """Two or three presentations of each stimulus in random order, a grey screen, spontaneous activity, red cells."""
    generator = np.random.default_rng(seed)
    shown = [*range(1, STIMULI + 1)] * 2 + [4, 9, 9] + [STIMULI + 1] * 12
    istim = generator.permutation(shown).astype(float)
    shared = generator.standard_normal((TIMES, 3)) @ generator.standard_normal((3, UNITS))
    spont = generator.exponential(1, (TIMES, UNITS)) + 2 + shared
    tuning = generator.standard_normal((STIMULI + 2, UNITS))
    resp = 2 + tuning[istim.astype(int)] + generator.standard_normal((len(istim), UNITS))
    if nan:
        resp[3, 5] = np.nan
    red = (np.arange(UNITS) % 7 == 2).astype(float)
    return {"resp": resp, "istim": istim, "spont": spont}, red


def saved(folder, version, stim, red=None):
    path = folder / "session.mat"
    if version == "7.3":
        stat = {} if red is None else {"stat": {"redcell": list(red), "med": [np.ones(2)] * len(red)}}
        matlab73.save(path, {"stim": stim, "med": np.zeros((UNITS, 3)), **stat}, chunks=(7, 20))
        return path
    stat = {}
    if red is not None:
        stat["stat"] = np.zeros((1, len(red)), dtype=[("redcell", object), ("med", object)])
        for unit, flag in enumerate(red):
            stat["stat"]["redcell"][0, unit], stat["stat"]["med"][0, unit] = flag, np.ones(2)
    scipy.io.savemat(path, {"stim": stim, "med": np.zeros((UNITS, 3)), **stat}, do_compression=True)
    return path


@pytest.fixture(params=["5", "7.3"])
def version(request):
    return request.param


@pytest.mark.parametrize("components", [0, 1, 4, 16])
@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_the_whole_preparation_is_the_papers(version, components, memory, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 1000)
    stim, red = session()
    found = Stringer(saved(tmp_path, version, stim, red), components, memory=memory)()
    truth = naive.stringer_repeats(stim["resp"], stim["istim"].tolist(), stim["spont"], red > 0, components)
    assert_close(read_whole(found), torch.from_numpy(truth), rtol=1e-9, atol=1e-9, equal_nan=True)
    assert found.understood == (
        f"40 stimuli × 26 units × 2-4 repeats, from 83 presentations; {components} dimensions of spontaneous activity "
        "(50 time points) removed"
    )
    assert found.dropped == {"presentations of stimulus 41": 12, "red cells": 4, "NaN, read as 0": 1}
    assert (found.values is None) == (found.digest != "") == (version == "7.3" and memory < 1)


def test_the_papers_32_are_the_default():
    assert Stringer(Path("a.mat")).components == 32


def test_two_halves_of_the_session_are_the_papers(version, tmp_path):
    stim, red = session(nan=False)
    two = repeats.two(Stringer(saved(tmp_path, version, stim, red), 4)())
    truth = naive.stringer_repeats(stim["resp"], stim["istim"].tolist(), stim["spont"], red > 0, 4)
    halves = []
    for stimulus in range(STIMULI):
        trials = truth[:, stimulus][~np.isnan(truth[:, stimulus, 0])]
        n = len(trials)
        halves.append([trials[: n // 2].mean(0), trials[(n + 1) // 2 :].mean(0)])
    assert_close(two.values, torch.from_numpy(np.array(halves).transpose(1, 0, 2)))
    assert two.dropped["presentations in the middle of an odd number"] == 1


def test_streamed_and_whole_second_moments_agree(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 1000)
    stim, red = session()
    path = saved(tmp_path, "7.3", stim, red)
    whole, streamed = (gram(repeats.two(Stringer(path, 4, memory=memory)())) for memory in (1.0, 1e-9))
    assert_close(streamed.matrix, whole.matrix, rtol=0, atol=1e-10 * float(whole.matrix.abs().max()))


def test_red_cells_and_the_grey_screen_may_be_kept(version, tmp_path):
    stim, red = session(nan=False)
    found = Stringer(saved(tmp_path, version, stim, red), 0, "none", red=True, grey=True)()
    assert (found.shape, found.dropped) == ((12, 41, 30), {})
    assert found.understood == "41 stimuli × 30 units × 2-12 repeats, from 95 presentations"
    shown = stim["resp"][stim["istim"] == 9]
    assert_close(found.values[:4, 8], torch.from_numpy(shown))
    assert found.notices == (
        "One stimulus was shown 12 times, most 2 times or fewer: if it is a blank, leave its id out.",
    )


def test_a_session_without_flags_has_no_red_cells(version, tmp_path):
    stim, _ = session()
    assert Stringer(saved(tmp_path, version, stim), 2)().shape[2] == UNITS


def test_a_session_without_spontaneous_activity_is_z_scored_by_its_responses(version, tmp_path):
    stim, _ = session(nan=False)
    found = Stringer(saved(tmp_path, version, {"resp": stim["resp"], "istim": stim["istim"]}))()
    rows = stim["istim"] <= STIMULI
    scored = (stim["resp"] - stim["resp"][rows].mean(0)) / (stim["resp"][rows].std(0) + 1e-6)
    assert_close(found.values[:2, 6], torch.from_numpy(scored[stim["istim"] == 7]))
    assert found.notices[0].endswith("there is no spontaneous activity, and no dimension of it is removed.")
    assert found.understood.endswith("from 83 presentations")


@pytest.mark.parametrize(
    "torn, dropped", [("units", {"units with a NaN": 1}), ("presentations", {"presentations with a NaN": 1})]
)
def test_nan_may_be_left_out_instead(torn, dropped, version, tmp_path):
    stim, _ = session()
    stim["istim"][3] = 1
    found = Stringer(saved(tmp_path, version, stim), 2, torn=torn)()
    assert {what: count for what, count in found.dropped.items() if "NaN" in what} == dropped


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("gone", ["resp", "istim"])
def test_a_file_without_the_field_is_refused(gone, version, tmp_path):
    stim, red = session()
    del stim[gone]
    message = refusal(Stringer(saved(tmp_path, version, stim, red)))
    assert message.startswith(f"Expected a variable 'stim.{gone}' in 'session.mat', got none. There are: ")
    assert "stim.spont (50 × 30)" in message


@pytest.mark.parametrize(
    "change, settings, message",
    [
        ({}, {"components": -1}, "Expected components of 0 or more, got -1. Set it to 0 to remove no dimension."),
        (
            {},
            {"components": 27},
            "Expected at most 26 dimensions of spontaneous activity, got components=27. Lower it; 0 removes none.",
        ),
        (
            {"spont": np.ones((20, 9))},
            {},
            "Expected spontaneous activity of the same 30 units, got 9. Look at whether time × units is transposed.",
        ),
        (
            {"istim": np.ones(7)},
            {},
            (
                "Expected the stimulus of each of 95 presentations, got 7 ids. Give one id per presentation, in "
                "the same order."
            ),
        ),
        (
            {"resp": np.ones((5, 6, 7))},
            {},
            (
                "Expected stim.resp with two axes, the second of them units, in 'session.mat', got shape (5, 6, "
                "7). Look at whether this is a session of Stringer et al. 2019."
            ),
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, settings, message, version, tmp_path):
    stim, red = session()
    assert refusal(Stringer(saved(tmp_path, version, stim | change, red), **settings)) == message


def test_flags_that_do_not_fit_are_refused(version, tmp_path):
    stim, red = session()
    assert refusal(Stringer(saved(tmp_path, version, stim, red[:7]))) == (
        "Expected a mark for each of 30 units in red cells, got shape (7,). Give one value per unit."
    )


def test_a_file_of_spectra_is_no_session():
    folder = os.environ.get("EIGENFALL_DATA")
    path = Path(folder or "") / "neural" / "stringer2019_ephys_eigsControls.mat"
    if not folder or not path.is_file():
        pytest.skip("EIGENFALL_DATA has no neural/stringer2019_ephys_eigsControls.mat")
    message = refusal(Stringer(path))
    assert message.startswith("Expected a variable 'stim.resp' in 'stringer2019_ephys_eigsControls.mat', got none.")
    assert "specEphys.1 (700 × 1)" in message
