"""A record says what was saved, under a name that follows from the settings alone."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from eigenfall import records
from eigenfall.packing import pack
from eigenfall.types import Measurement, Spectrum

RUN = {"arm": "spectral", "seed": 3, "inputs": "ab12", "penalties": ["spectral:strength=5.0"], "widths": (10, 20)}


@dataclass(frozen=True)
class Cited:
    cite: ClassVar[str] = "nassar2020"


def measurement(alpha=1.25):
    spectrum = Spectrum(torch.tensor([2.0, 0.5], dtype=torch.float64), stimuli=5, units=2)
    row = {"quantity": "alpha", "value": alpha, "low": math.nan, "layer": "hidden1"}
    return Measurement("plain", spectra={"hidden1": spectrum}, rows=(row,), notices=("α is low",))


WEIGHTS = {"fc.weight": torch.arange(6.0).reshape(2, 3).T, "fc.bias": torch.zeros(2), "steps": torch.tensor(7)}


# ------------------------------------------------------------------------------- identity


def test_the_hash_is_of_settings_and_schema():
    text = '{"run":{"arm":"a","seed":1,"widths":[10,20]},"schema":1}'
    assert records.run_hash({"seed": 1, "widths": (10, 20), "arm": "a"}) == hashlib.sha256(text.encode()).hexdigest()


def test_order_device_and_kind_of_sequence_do_not_enter_the_hash():
    shuffled = dict(reversed(RUN.items())) | {"widths": [10, 20], "device": "cuda", "hash": "x"}
    assert records.run_hash(shuffled) == records.run_hash(RUN)


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"inputs": "ab13"}, {"arm": "plain"}, {"new": None}, {"widths": (10,)}]
)
def test_every_setting_enters_the_hash(change):
    assert records.run_hash(RUN | change) != records.run_hash(RUN)


def test_a_whole_number_and_a_broken_one_differ_in_a_run():
    assert records.run_hash({"a": 5}) != records.run_hash({"a": 5.0})  # parts give numbers their field's type before


@pytest.mark.parametrize(
    ("arm", "safe"),
    [
        ("spectral+jacobian_2.5", "spectral+jacobian_2.5"),
        ("../../etc/passwd", "etc-passwd"),
        ("/root", "root"),
        ("..", "run"),
        ("", "run"),
        (".hidden", "hidden"),
        ("α = 1\n", "1"),
        ("a" * 300, "a" * 60),
    ],
)
def test_a_name_stays_inside_the_folder(tmp_path, arm, safe):
    name = records.record_name({"arm": arm, "seed": 0})
    assert re.fullmatch(re.escape(safe) + r"-s0-[0-9a-f]{12}", name)
    record = records.save(tmp_path / "runs", {"arm": arm, "seed": 0}, measurement())
    assert record.path.parent == tmp_path / "runs"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert record.run["arm"] == arm


def test_a_run_without_arm_and_seed_has_a_name():
    assert re.fullmatch(r"run-[0-9a-f]{12}", records.record_name({"inputs": "ab"}))


def test_a_digest_is_of_the_contents():
    pieces = [torch.zeros(1, 2, 3), torch.ones(1, 2, 3)]
    assert records.digest_of(pieces) == records.digest_of(piece.clone() for piece in pieces)
    assert records.digest_of(pieces) != records.digest_of(pieces[::-1])
    assert records.digest_of(pieces) != records.digest_of([piece.double() for piece in pieces])
    assert records.digest_of([torch.zeros(0)]) != records.digest_of([])


# -------------------------------------------------------------------------------- records


def test_what_is_saved_is_loaded(tmp_path):
    history = ({"step": 1, "loss": 0.1}, {"step": 2, "loss": math.inf})
    made = records.save(
        tmp_path, RUN | {"device": "cpu", "path": Path("a/b")}, measurement(), WEIGHTS, history, [Cited()]
    )
    found = records.load(tmp_path / made.name)
    assert found.path == made.path
    assert found.name == made.name == records.record_name(RUN | {"path": "a/b"})
    assert found.run == RUN | {"penalties": ("spectral:strength=5.0",), "device": "cpu", "path": "a/b"}
    assert pack(found.measurement)[0] == pack(measurement())[0]
    assert found.measurement.spectra["hidden1"].eigenvalues.tolist() == [2.0, 0.5]
    assert found.history == history
    assert found.bibliography.startswith("@inproceedings{nassar2020,")
    assert found.versions == records.versions()
    weights = records.weights(found)
    assert weights.keys() == WEIGHTS.keys()
    assert all(
        torch.equal(weights[name], WEIGHTS[name]) and weights[name].dtype == WEIGHTS[name].dtype for name in WEIGHTS
    )


def test_a_folder_holds_what_the_docstring_says(tmp_path):
    record = records.save(tmp_path, RUN, measurement(), WEIGHTS)
    names = {path.name for path in record.path.iterdir()}
    assert names == {"record.json", "arrays.npz", "weights.safetensors", "SHA256SUMS"}
    content = json.loads((record.path / "record.json").read_text(), parse_constant=pytest.fail)
    assert (content["schema"], content["hash"]) == (1, records.run_hash(RUN))
    assert content["rows"][0]["value"] == 1.25
    with np.load(record.path / "arrays.npz", allow_pickle=False) as arrays:
        assert arrays["measurement/spectra/hidden1/eigenvalues"].tolist() == [2.0, 0.5]
    for line in (record.path / "SHA256SUMS").read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((record.path / name).read_bytes()).hexdigest() == digest


def test_the_same_run_is_written_the_same(tmp_path):
    one, other = (records.save(tmp_path / name, RUN, measurement(), WEIGHTS).path for name in "ab")
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_versions_say_what_numbers_depend_on():
    found = records.versions()
    parts = ["eigenfall", "python", "torch", "numpy", "platform", "threads", "instructions", "subnormals"]
    assert list(found) == parts
    assert found["torch"] == torch.__version__
    assert found["threads"] == "1"
    assert all(isinstance(text, str) for text in found.values())


def test_all_records_of_a_folder_come_sorted(tmp_path):
    made = [records.save(tmp_path, {"arm": arm, "seed": seed}, measurement()) for arm in "ba" for seed in (1, 0)]
    records.write_checkpoint(tmp_path, "0" * 64, {"step": 1})
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "figures").mkdir()
    found = [record.name for record in records.load_all(tmp_path)]
    assert found == sorted(record.name for record in made)
    assert len(found) == 4
    assert [record.name for record in records.load_all(made[0].path)] == [made[0].name]


def test_a_finished_run_is_found_by_its_hash(tmp_path):
    assert records.finished(tmp_path / "none", records.run_hash(RUN)) is None
    record = records.save(tmp_path, RUN, measurement())
    assert records.finished(tmp_path, records.run_hash(RUN)) == record.path
    assert records.finished(tmp_path, records.run_hash(RUN | {"seed": 9})) is None


# ---------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_is_replaced_read_and_dropped(tmp_path):
    key = records.run_hash(RUN)
    assert records.read_checkpoint(tmp_path, key) is None
    for step in (1, 2):
        records.write_checkpoint(tmp_path, key, {"step": step, "weights": torch.full((2,), float(step))})
    found = records.read_checkpoint(tmp_path, key)
    assert found["step"] == 2
    assert found["weights"].tolist() == [2.0, 2.0]
    assert [path.name for path in (tmp_path / ".partial" / key).iterdir()] == ["checkpoint.safetensors"]
    assert records.load_all(tmp_path) == []
    assert records.finished(tmp_path, key) is None
    records.drop_checkpoint(tmp_path, key)
    records.drop_checkpoint(tmp_path, key)
    assert records.read_checkpoint(tmp_path, key) is None


def test_a_finished_run_keeps_no_checkpoint_of_its_own(tmp_path):
    key, other = records.run_hash(RUN), records.run_hash(RUN | {"seed": 4})
    for one in (key, other):
        records.write_checkpoint(tmp_path, one, {"step": 1})
    records.save(tmp_path, RUN, measurement())
    assert records.read_checkpoint(tmp_path, key) is None
    assert records.read_checkpoint(tmp_path, other) == {"step": 1}


# ----------------------------------------------------------------------- numbers for machines

ROWS = (
    {"quantity": "alpha", "value": 0.1, "low": math.nan, "high": float("nan"), "layer": "hidden1"},
    {"quantity": "critical_distance", "value": math.inf, "n": np.int64(3), "level": np.float64(0.95)},
)
WRITTEN = [
    {"quantity": "alpha", "value": 0.1, "layer": "hidden1"},
    {"quantity": "critical_distance", "value": "inf", "n": 3, "level": 0.95},
]


def test_rows_are_strict_json(tmp_path):
    records.write_rows(tmp_path / "new" / "rows.json", ROWS, ["eigenfall", "measure"])
    content = json.loads((tmp_path / "new" / "rows.json").read_text(), parse_constant=pytest.fail)
    assert list(content) == ["eigenfall", "schema", "command", "rows"]
    assert content["schema"] == 1
    assert content["command"] == ["eigenfall", "measure"]
    assert content["rows"] == WRITTEN
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["rows.json"]


def test_rows_go_to_standard_output_alone(capsys):
    records.write_rows("-", ROWS, [])
    assert json.loads(capsys.readouterr().out)["rows"] == WRITTEN


def test_rows_go_through_a_link_and_into_a_device(tmp_path):
    (tmp_path / "there.json").write_text("old")
    (tmp_path / "link.json").symlink_to("there.json")
    records.write_rows(tmp_path / "link.json", ROWS, [])
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "there.json").read_text())["rows"] == WRITTEN
    records.write_rows("/dev/null", ROWS, [])
    assert Path("/dev/null").is_char_device()


# ------------------------------------------------------------------------------- refusals


def test_what_is_not_plain_is_no_setting(tmp_path):
    with pytest.raises(ValueError) as refusal:
        records.save(tmp_path, {"training": {"loss": (1, torch.zeros(1))}}, measurement())
    assert str(refusal.value) == (
        "Expected a plain value for run.training.loss, got a Tensor. "
        "A run is told in numbers, text, tuples and mappings of them; spell its parts."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_never_overwritten(tmp_path):
    record = records.save(tmp_path, RUN, measurement(1.25))
    with pytest.raises(ValueError) as refusal:
        records.save(tmp_path, RUN, measurement(9.0))
    assert str(refusal.value) == (
        f"Expected no record at {record.path} yet, got one. "
        "The same run was finished before: load it, or remove it to run again."
    )
    assert records.load(record.path).measurement.rows[0]["value"] == 1.25


def test_a_run_that_made_no_model_has_no_weights(tmp_path):
    record = records.save(tmp_path, RUN, measurement())
    with pytest.raises(ValueError) as refusal:
        records.weights(record)
    assert (
        str(refusal.value) == f"Expected weights in {record.path}, got none. Only runs that train or learn keep them."
    )


def test_an_unknown_key_leaves_nothing(tmp_path):
    @dataclass(frozen=True)
    class Unknown:
        cite: ClassVar[str] = "nobody1900"

    with pytest.raises(ValueError, match="got 'nobody1900'"):
        records.save(tmp_path, RUN, measurement(), parts=[Unknown()])
    assert list(tmp_path.iterdir()) == []
