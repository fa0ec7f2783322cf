"""Assemblies of xarray, as Brain-Score has them, without importing xarray in the package."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr
from exact import refusal
from torch.testing import assert_close

from eigenfall import assemblies
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.measurement import measure
from eigenfall.plans import Plan
from eigenfall.spectra.pca import PCA


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape)


STIMULI, REPEATS, UNITS = 6, 3, 5


def assembly(values, shuffled=True, index=False, extra=()):
    """Presentation × neuroid (× time_bin) with stimulus and repetition, presentations in no order."""
    order = np.random.default_rng(1).permutation(REPEATS * STIMULI) if shuffled else np.arange(REPEATS * STIMULI)
    repetition, stimulus = (place.reshape(-1)[order] for place in np.indices((REPEATS, STIMULI)))
    flat = values.reshape(REPEATS * STIMULI, *values.shape[2:])[order]
    coords = {
        "stimulus_id": ("presentation", [f"im{one}" for one in stimulus]),
        "repetition": ("presentation", repetition),
        "neuroid_id": ("neuroid", np.arange(UNITS)),
        "region": ("neuroid", ["V4"] * UNITS),
    }
    found = xr.DataArray(flat, dims=("presentation", "neuroid", *extra), coords=coords, name="V4")
    return found.set_index(presentation=["stimulus_id", "repetition"]) if index else found


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_presentations_are_pivoted(index, turned):
    values = drawn(REPEATS, STIMULI, UNITS)
    found = assemblies.responses_of(assembly(values, index=index).T if turned else assembly(values, index=index))
    assert_close(found.values, torch.from_numpy(values), rtol=0, atol=0)
    assert found.name == "V4"
    assert found.understood == (
        "6 stimuli × 5 units × 3 repeats, from 18 presentations; stimuli by coordinate 'stimulus_id'"
    )


def test_an_assembly_is_measured_as_it_is():
    values = drawn(REPEATS, STIMULI, UNITS)
    found = measure(
        assembly(values),
        plan=Plan(spectra=(PCA(),), fits=(LeastSquares(1, 4),), draws=0, simulations=0, subsets=0, dimensions=()),
    )
    assert found.name == "V4"
    halves = torch.from_numpy(np.stack([values[0], values[2]])).mean(0)  # the one in the middle is left out
    assert_close(found.spectra["pca"].eigenvalues, torch.linalg.eigvalsh(torch.cov(halves.T)).flip(0))


def test_one_time_bin_is_no_axis_and_several_are_asked_about():
    values = drawn(REPEATS, STIMULI, UNITS, 4)
    one = assembly(values[..., :1], extra=("time_bin",))
    assert_close(assemblies.responses_of(one).values, torch.from_numpy(values[..., 0]))
    several = assembly(values, extra=("time_bin",))
    assert refusal(assemblies.responses_of, several) == (
        "Expected one time bin, got 4 along time_bin. Select one, or set time to mean for assembly.mean('time_bin')."
    )
    assert_close(assemblies.responses_of(several, time="mean").values, torch.from_numpy(values.mean(3)))


def test_stimuli_and_torn_values_are_left_out_as_asked():
    values = drawn(REPEATS, STIMULI, UNITS)
    values[1, 2, 3] = np.nan
    found = assemblies.responses_of(assembly(values), without=("im5",), torn="presentations")
    assert found.dropped == {"presentations of stimulus im5": 3, "presentations with a NaN": 1}
    assert "single one" in refusal(assemblies.responses_of, assembly(values))


def test_another_coordinate_may_name_the_stimulus():
    values = drawn(REPEATS, STIMULI, UNITS)
    for name in ("image_id", "the_stimulus"):
        renamed = assembly(values, shuffled=False).rename(stimulus_id=name).drop_vars("repetition")
        assert_close(assemblies.responses_of(renamed, name="mine").values, torch.from_numpy(values))
    ambiguous = renamed.assign_coords(stimulus_set=("presentation", ["a"] * 18))
    assert refusal(assemblies.responses_of, ambiguous) == (
        "Expected a coordinate stimulus_id along the presentations, got the_stimulus, stimulus_set. Add "
        "one, or name the "
        "axes repetition, stimulus and unit."
    )


@pytest.mark.parametrize(
    "dims, shape",
    [
        (("repetition", "stimulus", "neuroid"), (0, 1, 2)),
        (("neuron", "condition", "trial"), (2, 1, 0)),
        (("image", "neuroid"), (1, 2)),
    ],
)
def test_axes_of_the_usual_names_are_taken_as_they_are(dims, shape):
    values = drawn(REPEATS, STIMULI, UNITS)
    whole = values if len(shape) == 3 else values[:1]
    array = xr.DataArray(
        (whole if len(shape) == 3 else whole[0]).transpose([axis - (len(shape) == 2) for axis in shape]), dims=dims
    )
    found = assemblies.responses_of(array)
    assert_close(found.values, torch.from_numpy(whole), rtol=0, atol=0)
    assert found.name == "assembly"
    array[...] = np.nan
    assert "got none at stimuli number 0" in refusal(assemblies.responses_of, array)


def test_repeats_that_are_missing_are_counted():
    values = drawn(REPEATS, STIMULI, UNITS)
    values[2, 1:3] = np.nan
    found = assemblies.responses_of(xr.DataArray(values, dims=("repetition", "stimulus", "neuroid")))
    assert (found.understood, found.dropped) == ("6 stimuli × 5 units × 2-3 repeats", {"missing repeats": 2})


@pytest.mark.parametrize(
    "array, message",
    [
        (
            xr.DataArray(drawn(4, 5), dims=("x", "neuroid")),
            (
                "Expected a coordinate stimulus_id along the presentations, got no coordinates. Add one, or name "
                "the axes repetition, stimulus and unit."
            ),
        ),
        (
            xr.DataArray(drawn(4, 5), dims=("stimulus", "depth")),
            (
                "Expected axes that are repetitions, stimuli and units, got stimulus × depth. Rename them to "
                "repetition, stimulus and unit."
            ),
        ),
        (
            xr.DataArray([["a", "b"]], dims=("stimulus", "neuroid")),
            "Expected an assembly of numbers, got <U1 of shape (1, 2). Look at what it holds.",
        ),
        (
            xr.DataArray(
                drawn(4, 5, 2),
                dims=("presentation", "neuroid", "depth"),
                coords={"stimulus_id": ("presentation", list("aabb"))},
            ),
            (
                "Expected axes presentation × units, got presentation × neuroid × depth. Select or average over "
                "the other axes."
            ),
        ),
    ],
)
def test_what_is_no_assembly_is_refused(array, message):
    assert refusal(assemblies.responses_of, array) == message


def test_a_table_by_hand_will_do():
    """Anything with dims, coords and values is one."""

    class Coordinate:
        dims = ("presentation",)
        values = np.array(["a", "b", "a"])

    class Table:
        dims = ("presentation", "unit")
        values = np.arange(6).reshape(3, 2)

    Table.coords = {"stimulus_id": Coordinate()}
    found = assemblies.responses_of(Table())
    assert found.values[:, 0].tolist() == [[0, 1], [4, 5]]
    assert bool(found.values[1, 1].isnan().all())


def test_the_package_does_not_import_xarray():
    code = "import eigenfall.assemblies, sys; print('xarray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
