"""Tables give every number back to the last bit; archives hold whole records, and nothing leaves their folder."""

import csv
import io
import json
import math
import os
import shutil
import subprocess
import sys

import pandas
import pyarrow.parquet
import pytest
import torch
from exact import refusal

from eigenfall import records
from eigenfall.atomic import making_folder
from eigenfall.cli import main
from eigenfall.exporting import archiving, columns, csv_of, parquet_of, reading, write_table
from eigenfall.rows import labels
from eigenfall.stages import consumed
from eigenfall.types import Measurement, Spectrum

AWKWARD = (0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, math.pi, 1 / 3, math.nan, math.inf, -math.inf)
ROWS = [
    *({"quantity": "alpha", "value": value, "layer": "fc1", "n": 2**53 + 1} for value in AWKWARD),
    {"quantity": "check", "value": 0.0, "title": 'says "a, b"\nand more', "low": 0.25, "high": 1, "open": True},
]


def bits(values):
    return [None if value is None else "nan" if math.isnan(value) else float(value).hex() for value in values]


def saved(root, arm="plain", seed=0, rows=ROWS, weights=None):
    values = Spectrum(torch.tensor([2.0, 0.5], dtype=torch.float64), stimuli=9, units=2)
    measurement = Measurement("plain", spectra={"hidden1": values}, rows=tuple(rows))
    run = {"verb": "train", "arm": arm, "seed": seed, "data": "digits"}
    return records.save(root, run, measurement, weights)


# ------------------------------------------------------------------------------------- tables


def test_csv_gives_every_number_back_to_the_last_bit():
    found = list(csv.DictReader(io.StringIO(csv_of(ROWS).decode(), newline="")))
    assert bits(float(entry["value"]) for entry in found) == bits(entry["value"] for entry in ROWS)
    assert found[0]["n"] == str(2**53 + 1)
    assert (found[0]["title"], found[-1]["title"], found[-1]["open"]) == ("", ROWS[-1]["title"], "true")


def test_pandas_reads_the_csv_as_it_is():
    found = pandas.read_csv(io.BytesIO(csv_of(ROWS)))
    assert bits(found["value"]) == bits(entry["value"] for entry in ROWS)
    assert found["low"].isna().tolist() == ["low" not in entry for entry in ROWS]


def test_parquet_gives_every_number_back_with_its_type():
    found = pyarrow.parquet.read_table(io.BytesIO(parquet_of(ROWS)))
    assert {name: str(found.schema.field(name).type) for name in found.column_names} == {
        "quantity": "string",
        "value": "double",
        "low": "double",
        "high": "int64",
        "layer": "string",
        "n": "int64",
        "title": "string",
        "open": "bool",
    }
    assert bits(found["value"].to_pylist()) == bits(entry["value"] for entry in ROWS)
    assert found["n"].to_pylist() == [entry.get("n") for entry in ROWS]
    assert found["low"].null_count == len(ROWS) - 1
    assert found.schema.metadata[b"schema"] == b"1"


@pytest.mark.parametrize(
    ("values", "kind"),
    [((1, 0.5), "double"), ((2**53 + 1, 0.5), "string"), ((2**70,), "string"), ((0.5, "high"), "string")],
)
def test_a_column_is_of_the_one_type_that_keeps_all_its_values(values, kind):
    found = pyarrow.parquet.read_table(io.BytesIO(parquet_of([{"at": value} for value in values])))
    assert str(found.schema.field("at").type) == kind
    assert [type(value)(text) for value, text in zip(values, found["at"].to_pylist())] == list(values)


def test_columns_say_first_what_a_number_belongs_to():
    rows = [{"quantity": "alpha", "value": 1.0, "layer": "a", "arm": "x"}, {"value": 1.0, "epsilon": 0.1, "run": "0"}]
    assert columns(rows) == ("run", "arm", "quantity", "value", "layer", "epsilon")


def test_a_file_that_does_not_say_its_format_is_refused(tmp_path):
    assert refusal(write_table, tmp_path / "numbers.txt", ROWS) == (
        f"Expected a file that ends in .csv or .parquet, got {tmp_path / 'numbers.txt'}. Name it so, or say the format."
    )


def test_labels_are_short_and_no_two_are_alike():
    rows = [
        {"quantity": "robust_accuracy", "attack": "pgd", "epsilon": 0.1, "value": 1.0, "norm": "L2", "n": 9},
        {"quantity": "robust_accuracy", "attack": "pgd", "epsilon": 0.2, "value": 1.0, "norm": "L2", "n": 9},
        {"quantity": "clean_accuracy", "value": 1.0, "n": 9},
        {"quantity": "alpha", "layer": "fc1", "value": 1.0, "n": 9},
        {"quantity": "alpha", "layer": "fc1", "value": 2.0, "n": 10},
        {"quantity": "alpha", "layer": "fc1", "value": 3.0, "n": 10},
    ]
    assert labels(rows) == (
        "robust_accuracy/pgd/epsilon=0.1",
        "robust_accuracy/pgd/epsilon=0.2",
        "clean_accuracy",
        "alpha/fc1/n=9",
        "alpha/fc1/n=10",
        "alpha/fc1/n=10~2",
    )


# ------------------------------------------------------------------------------------- archives


def test_an_archive_holds_whole_records_and_what_others_need(tmp_path):
    made = [saved(tmp_path / "runs", arm, weights={"w": torch.ones(3)}) for arm in ("plain", "<b>`odd`\n# arm")]
    (tmp_path / "runs" / "notes.txt").write_text("mine")
    place = consumed(archiving(consumed(reading([tmp_path / "runs"])), tmp_path / "out" / "archive"))
    assert place == tmp_path / "out" / "archive"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "runs"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["archive"]
    for record in made:
        for path in record.path.iterdir():
            assert (place / "records" / record.name / path.name).read_bytes() == path.read_bytes()
    everything = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    listed = {line.partition("  ")[2] for line in (place / "SHA256SUMS").read_text().splitlines()}
    assert everything == listed | {"SHA256SUMS"}
    said = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=place, capture_output=True, text=True, check=True)
    assert said.stdout.count(": OK\n") == len(listed)
    readme = (place / "README.md").read_text()
    assert all(f"- `{name}" in readme for name in ("rows.csv", "references.bib", "versions.json", "records/"))
    assert "`: `train` of `<b>odd # arm`, seed 0, on `digits`\n" in readme
    assert len((place / "rows.csv").read_bytes().decode().split("\r\n")) == 2 * len(ROWS) + 2
    assert json.loads((place / "versions.json").read_text())[made[0].name] == records.versions()
    assert len(records.load_all(place / "records")) == 2


def test_each_paper_stands_once_in_the_bibliography(tmp_path):
    entry = "@article{one,\n  year = {2019}\n}"
    made = [saved(tmp_path, seed=seed) for seed in (0, 1)]
    for record in made:
        content = json.loads((record.path / "record.json").read_text())
        rewrite(record.path, content | {"bibliography": entry})
    place = consumed(archiving(records.load_all(tmp_path), tmp_path / "archive"))
    assert (place / "references.bib").read_text().count("@article{one,") == 1


def rewrite(path, content):
    (path / "record.json").write_text(json.dumps(content))
    lines = (path / "SHA256SUMS").read_text().splitlines()
    kept = [line for line in lines if not line.endswith("  record.json")]
    digest = records.sha256((path / "record.json").read_bytes())
    (path / "SHA256SUMS").write_text("\n".join([*kept, f"{digest}  record.json"]) + "\n")


def test_what_is_there_is_never_written_over(tmp_path):
    record = saved(tmp_path / "runs")
    (tmp_path / "archive").mkdir()
    assert refusal(lambda: consumed(archiving([record], tmp_path / "archive"))) == (
        f"Expected nothing at {tmp_path / 'archive'} yet, got a folder. Choose another name: an archive is never "
        "written over."
    )
    assert list((tmp_path / "archive").iterdir()) == []
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert "yet, got a link. " in refusal(lambda: consumed(archiving([record], tmp_path / "link")))
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_record_leaves_no_archive(tmp_path):
    record = saved(tmp_path / "runs", weights={"w": torch.ones(3)})
    data = bytearray((record.path / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (record.path / "weights.safetensors").write_bytes(data)
    assert refusal(lambda: consumed(archiving([record], tmp_path / "archive"))) == (
        f"Expected {record.path / 'weights.safetensors'} as it was written, got one with another SHA-256. It was "
        "changed or cut short: restore it, or remove the record and run again."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_name_that_leads_out_of_a_record_is_refused(tmp_path):
    record = saved(tmp_path / "runs")
    (tmp_path / "secret").write_text("mine")
    digest = records.sha256(b"mine")
    with (record.path / "SHA256SUMS").open("a") as file:
        file.write(f"{digest}  ../../secret\n")
    assert refusal(lambda: consumed(archiving([record], tmp_path / "archive"))) == (
        f"Expected plain names of files in {record.path / 'SHA256SUMS'}, got '../../secret'. It was changed: restore "
        "it, or remove the record and run again."
    )
    assert not (tmp_path / "archive").exists()


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_nothing_is_put_outside_of_a_folder_that_is_made(tmp_path, name):
    def make():
        with making_folder(tmp_path / "made", tmp_path / "aside") as put:
            put(name, b"")

    assert refusal(make) == (
        f"Expected the name of a file inside {tmp_path / 'made'}, got {name!r}. Name it by letters and digits."
    )
    assert list(tmp_path.iterdir()) == []


def test_records_of_one_name_are_archived_apart(tmp_path):
    one = saved(tmp_path / "a")
    shutil.copytree(one.path, tmp_path / "b" / one.name)
    found = consumed(reading([tmp_path / "a", tmp_path / "b", tmp_path / "a"]))
    assert [record.path.parent.name for record in found] == ["a", "b"]
    assert refusal(lambda: consumed(archiving(found, tmp_path / "archive"))) == (
        f"Expected records of different names, got {found[0].path} and {found[1].path}. Archive them apart."
    )


# ---------------------------------------------------------------------------------- the command


def test_the_command_writes_a_table_and_an_archive(tmp_path, capsys, monkeypatch):
    record = saved(tmp_path / "runs")
    monkeypatch.chdir(record.path)
    arguments = ["export", ".", "--output", "../../a.csv", "--archive", "../../archive", "--json", "-"]
    assert main(arguments) == 0
    assert (tmp_path / "a.csv").read_bytes() == csv_of(ROWS)
    assert (tmp_path / "archive" / "records" / record.name).is_dir()
    assert len(json.loads(capsys.readouterr().out)["rows"]) == len(ROWS)
    assert main(["export", ".", "--output", "../../numbers", "--format", "parquet"]) == 0
    assert (tmp_path / "numbers").read_bytes() == parquet_of(ROWS)


def test_the_command_says_what_it_lacks(tmp_path, capsys):
    assert main(["export", str(tmp_path)]) == 2
    assert main(["export", str(tmp_path), "--output", str(tmp_path / "a.csv")]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "eigenfall: Expected a place for the numbers, got none. Add --output numbers.csv, or --archive FOLDER.",
        f"eigenfall: Expected a finished run in {tmp_path}, got none. Run `eigenfall train` first.",
    ]
    assert not os.listdir(tmp_path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, capsys, monkeypatch):
    record = saved(tmp_path / "runs")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["export", str(record.path), "--output", str(tmp_path / "a.parquet")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "eigenfall: Expected the package pyarrow for Parquet, got none. Install it: pip install 'eigenfall[export]'"
    )
    assert not (tmp_path / "a.parquet").exists()
