"""NWB files that pynwb wrote: spikes in windows of trials against a loop over spikes, and traces of ROIs."""

from datetime import UTC, datetime

import h5py
import naive
import numpy as np
import pytest
import torch
from exact import read_whole, refusal
from pynwb import NWBHDF5IO, NWBFile
from pynwb.epoch import TimeIntervals
from pynwb.ophys import DfOverF, Fluorescence, ImageSegmentation, OpticalChannel
from torch.testing import assert_close

from eigenfall import nwbtables, streams
from eigenfall.recordings.nwb import NWB

TRIALS, UNITS = 24, 6
IDS = np.tile([3, 1, 2, 9], 6)
STARTS = 1.0 + np.arange(TRIALS) * 0.7
SPIKES = [np.sort(np.random.default_rng(unit).uniform(0, 20, 40 * (unit + 1))) for unit in range(UNITS)]
FRAMES = np.random.default_rng(9).standard_normal((600, 5)).astype("float32")


def empty():
    return NWBFile("a session", "id", datetime(2020, 1, 1, tzinfo=UTC))


def add_trials(file, stops=STARTS + 0.5):
    file.add_trial_column("stimulus_id", "which")
    file.add_trial_column("correct", "whether")
    for start, stop, one in zip(STARTS, stops, IDS):
        file.add_trial(start_time=start, stop_time=stop, stimulus_id=int(one), correct=bool(one % 2))


def add_units(file, **more):
    file.add_unit_column("quality", "by hand")
    for unit, times in enumerate(SPIKES):
        file.add_unit(
            spike_times=times, quality="good" if unit % 3 else "noise", **{k: v(unit) for k, v in more.items()}
        )


def add_traces(file, name="traces", holder=Fluorescence, **when):
    if "ophys" not in file.processing:
        file.create_processing_module(name="ophys", description="calcium")
        device = file.create_device(name="scope")
        channel = OpticalChannel(name="green", description="calcium", emission_lambda=520.0)
        plane = file.create_imaging_plane(
            name="plane",
            optical_channel=channel,
            description="one",
            device=device,
            excitation_lambda=900.0,
            indicator="GCaMP",
            location="V1",
        )
        segmentation = ImageSegmentation()
        rois = segmentation.create_plane_segmentation(description="cells", imaging_plane=plane, name="rois")
        for _ in range(5):
            rois.add_roi(pixel_mask=[(0, 0, 1.0)])
        file.processing["ophys"].add(segmentation)
    rois = file.processing["ophys"]["ImageSegmentation"]["rois"]
    region = rois.create_roi_table_region(description="all", region=list(range(5)))
    when = when or {"rate": 30.0, "starting_time": 0.5}
    held = holder()
    file.processing["ophys"].add(held)
    held.create_roi_response_series(name=name, data=FRAMES, rois=region, unit="a.u.", **when)


def written(path, file):
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


@pytest.fixture
def session(tmp_path):
    file = empty()
    add_trials(file)
    add_units(file)
    return written(tmp_path / "session.nwb", file)


def arranged(table, ids=IDS):
    """Trials × units to repeats × stimuli × units, as every stimulus was shown equally often."""
    return torch.from_numpy(np.stack([table[ids == one] for one in sorted(set(ids.tolist()))], 1))


# ----------------------------------------------------------------------------------- spikes


@pytest.mark.parametrize("memory", [1.0, 1e-9])
@pytest.mark.parametrize("start, stop", [(0.0, None), (0.05, 0.25), (-0.3, 0.0)])
def test_spikes_are_counted_in_windows(start, stop, memory, session, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 50)
    found = NWB(session, start=start, stop=stop, memory=memory)()
    ends = STARTS + (0.5 if stop is None else stop)
    truth = arranged(naive.spike_rates(SPIKES, list(zip(STARTS + start, ends))))
    assert_close(read_whole(found), truth, rtol=1e-9, atol=1e-9)
    assert found.understood == (
        "4 stimuli × 6 units × 6 repeats, from 24 presentations; spikes per second, stimuli by column 'stimulus_id' of "
        "trials"
    )
    assert (found.values is None, found.digest != "") == (memory < 1, memory < 1)


def test_a_spike_at_the_start_counts_and_one_at_the_end_does_not(tmp_path):
    file = empty()
    file.add_trial_column("stimulus", "which")
    for start in (1.0, 2.0):
        file.add_trial(start_time=start, stop_time=start + 0.5, stimulus="a")
    file.add_unit(spike_times=[2.0, 1.0, 1.25, 1.5])  # in no order
    found = NWB(written(tmp_path / "a.nwb", file))()
    assert found.values.flatten().tolist() == [4, 2]


def test_units_are_chosen_by_a_column(session):
    found = NWB(session, only="quality=good")()
    whole = NWB(session)().values
    assert_close(found.values, whole[:, :, [1, 2, 4, 5]])
    assert found.dropped == {"units whose quality is not good": 2}


def test_stimuli_are_left_out(session):
    found = NWB(session, without=("largest", "1"))()
    assert found.dropped == {"presentations of stimulus 1, 9": 12}
    assert_close(found.values, NWB(session)().values[:, 1:3])


def test_another_column_may_name_the_stimulus(session):
    found = NWB(session, stimulus="correct")()
    assert found.understood.startswith("2 stimuli × 6 units × 6-18 repeats")


def test_outside_of_what_was_observed_nothing_is_known(tmp_path):
    file = empty()
    add_trials(file)
    observed = {1: [[0.0, 3.0], [3.0, 20.0]], 2: [[0.0, 5.0], [7.0, 20.0]]}
    add_units(file, obs_intervals=lambda unit: observed.get(unit, [[0.0, 20.0]]))
    path = written(tmp_path / "session.nwb", file)
    unknown = [a < 7 - 1e-6 and b > 5 + 1e-6 for a, b in zip(STARTS, STARTS + 0.5)]
    assert "got a single one at presentation" in refusal(NWB(path))
    found = NWB(path, torn="units")()
    assert found.dropped == {"units with a NaN": 1}
    found = NWB(path, torn="presentations")()
    assert found.dropped == {"presentations with a NaN": sum(unknown)}


@pytest.mark.parametrize(
    "observed, covered",
    [
        ([[0, 10]], [True, True, True]),
        ([[5, 10], [0, 5]], [True, True, True]),  # they touch
        ([[0, 4.5], [5.5, 10]], [True, False, True]),
        ([[0, 9], [1, 2], [9, 10]], [True, True, True]),  # one within another
        ([[1, 2], [4, 6], [8, 9]], [True, True, True]),  # just so
        ([[1.1, 2], [4, 5.9], [8, 9]], [False, False, True]),
    ],
)
def test_windows_are_covered_by_intervals(observed, covered):
    windows = np.array([[1.0, 4.0, 8.0], [2.0, 6.0, 9.0]])
    assert nwbtables._covered(np.array(observed, dtype=float), windows).tolist() == covered


# ----------------------------------------------------------------------------------- traces


@pytest.mark.parametrize("memory", [1.0, 1e-9])
@pytest.mark.parametrize("timed", [False, True])
def test_traces_are_averaged_over_the_frames_of_windows(timed, memory, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 50)
    times = 0.5 + np.arange(600) / 30
    if timed:
        times = times + np.random.default_rng(3).uniform(0, 0.01, 600)
    file = empty()
    add_trials(file)
    add_traces(file, **({"timestamps": times} if timed else {}))
    path = written(tmp_path / "session.nwb", file)
    found = NWB(path, start=0.1, stop=0.4, memory=memory)()
    means = [FRAMES[[a + 0.1 <= t < a + 0.4 for t in times]].astype(float).mean(0) for a in STARTS]
    assert_close(read_whole(found), arranged(np.array(means)), rtol=1e-6, atol=1e-6)
    assert found.understood.endswith(
        "; means of processing/ophys/Fluorescence/traces, stimuli by column 'stimulus_id' of trials"
    )


def test_trials_without_a_frame_are_left_out(tmp_path):
    file = empty()
    add_trials(file)
    add_traces(file, rate=30.0, starting_time=5.0)
    found = NWB(written(tmp_path / "session.nwb", file))()
    assert found.dropped == {"presentations without a value": int((STARTS + 0.5 <= 5).sum())}


def test_one_of_several_series_is_named(tmp_path):
    file = empty()
    add_trials(file)
    add_traces(file)
    add_traces(file, "dff", DfOverF, rate=30.0, starting_time=0.5, conversion=2.0, offset=1.0)
    path = written(tmp_path / "session.nwb", file)
    names = "processing/ophys/DfOverF/dff, processing/ophys/Fluorescence/traces"
    assert refusal(NWB(path)) == (
        f"Expected the name of one RoiResponseSeries, got none said. Set series to one of: {names}."
    )
    assert refusal(NWB(path, series="df")) == (
        f"Expected the name of one RoiResponseSeries, got 'df'. Set series to one of: {names}."
    )
    one, two = NWB(path, series="traces")().values, NWB(path, series="DfOverF/dff")().values
    assert_close(two, 2 * one + 1)
    assert refusal(NWB(path, series="dff", only="quality=good")).startswith("Expected `only` with units, got a series")


def test_units_come_before_traces(tmp_path):
    file = empty()
    add_trials(file)
    add_units(file)
    add_traces(file)
    path = written(tmp_path / "session.nwb", file)
    assert NWB(path)().values.shape[2] == UNITS
    assert NWB(path, series="traces")().values.shape[2] == 5


# --------------------------------------------------------------------------------- refusals


def test_a_file_without_trials_is_refused(tmp_path):
    file = empty()
    add_units(file)
    path = written(tmp_path / "a.nwb", file)
    assert refusal(NWB(path)) == (
        "Expected a table 'trials' among the intervals in 'a.nwb', got none. The file has no trials to average over."
    )
    file = empty()
    add_units(file)
    table = TimeIntervals(name="images", description="presentations")
    table.add_column(name="frame", description="which")
    for start, one in zip(STARTS, IDS):
        table.add_interval(start_time=start, stop_time=start + 0.5, frame=int(one))
    file.add_time_intervals(table)
    path = written(tmp_path / "b.nwb", file)
    assert refusal(NWB(path)) == (
        "Expected a table 'trials' among the intervals in 'b.nwb', got none. Set trials to one of: images."
    )
    assert NWB(path, trials="images")().understood.endswith("stimuli by column 'frame' of images")


def test_an_unknown_column_is_refused_with_the_nearest(session):
    assert refusal(NWB(session, stimulus="stimulus_ids")) == (
        "Expected a known column of trials, got 'stimulus_ids'. Did you mean 'stimulus_id'?"
    )
    assert refusal(NWB(session, only="qualiti=good")) == (
        "Expected a known column of units, got 'qualiti'. Did you mean 'quality'?"
    )
    assert refusal(NWB(session, only="quality")) == (
        "Expected only as column=value, got 'quality'. The columns of the units are: quality, spike_times."
    )


def test_a_column_that_is_not_clear_is_asked_for(tmp_path):
    file = empty()
    for name in ("image", "stimulus_set"):
        file.add_trial_column(name, "which")
    file.add_trial(start_time=0.0, stop_time=1.0, image=1, stimulus_set=1)
    assert refusal(NWB(written(tmp_path / "a.nwb", file))) == (
        "Expected the column of trials that names the stimulus, got none said. Set stimulus to one of: "
        "image, stimulus_set."
    )
    file = empty()
    file.add_trial(start_time=0.0, stop_time=1.0)
    assert refusal(NWB(written(tmp_path / "b.nwb", file))) == (
        "Expected the column of trials that names the stimulus, got none said. The table has no such column."
    )


def test_columns_with_several_values_are_refused(tmp_path):
    file = empty()
    file.add_trial_column("stimuli", "which", index=True)
    file.add_trial(start_time=0.0, stop_time=1.0, stimuli=[1, 2])
    assert refusal(NWB(written(tmp_path / "a.nwb", file))) == (
        "Expected one value for each row in column 'stimuli' of trials, got several. Choose another column."
    )


def test_a_file_without_responses_is_refused(tmp_path):
    file = empty()
    add_trials(file)
    assert refusal(NWB(written(tmp_path / "a.nwb", file))) == (
        "Expected spike times of units, or a RoiResponseSeries, in 'a.nwb', got neither. Look at what the file holds."
    )


@pytest.mark.parametrize("start, stop", [(0.5, None), (0.2, 0.1)])
def test_windows_need_a_length(start, stop, session):
    assert refusal(NWB(session, start=start, stop=stop)) == (
        "Expected a window with a length in every trial, got none in trial 0, counted from 0. Mend start and stop."
    )


def test_traces_need_times(tmp_path):
    file = empty()
    add_trials(file)
    add_traces(file)
    path = written(tmp_path / "a.nwb", file)
    with h5py.File(path, "a") as raw:
        del raw["processing/ophys/Fluorescence/traces/starting_time"]
    assert refusal(NWB(path)) == (
        "Expected timestamps, or a starting time with a rate, in '/processing/ophys/Fluorescence/traces', got neither. "
        "Add them to the file."
    )


def test_other_files_are_refused(tmp_path, session):
    with h5py.File(tmp_path / "plain.nwb", "w") as file:
        file["a"] = np.ones(3)
    assert refusal(NWB(tmp_path / "plain.nwb")) == (
        f"Expected an NWB file at {str(tmp_path / 'plain.nwb')!r}, got an HDF5 file that does not say nwb_version. Use "
        "hdf5:path=…,dataset=… for a plain HDF5 file."
    )
    content = session.read_bytes()
    session.write_bytes(content[: len(content) // 2])
    assert refusal(NWB(session)).startswith(f"Expected an NWB file at {str(session)!r}, got what h5py refuses: ")
    assert refusal(NWB(tmp_path / "no.nwb")) == (
        f"Expected an NWB file at {str(tmp_path / 'no.nwb')!r}, got none there. Mend the path."
    )
