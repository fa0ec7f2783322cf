"""A list says of each record what the record says, and reads again only what has changed."""

import math
from dataclasses import replace

import pytest
from exact import refusal

from eigenfall import records
from eigenfall.index import Listed, listed, listing
from eigenfall.types import Measurement

ROWS = (
    {"quantity": "clean_accuracy", "value": 0.9, "low": 0.8, "high": math.inf, "method": "long"},
    {"quantity": "critical_distance", "value": 1.0},
    {"quantity": "alpha", "value": math.nan, "layer": "hidden1"},
    {"quantity": "robust_accuracy", "value": 0.5, "attack": "headline"},
    {"quantity": "robust_accuracy", "value": 0.6, "attack": "pgd"},
    {"quantity": "jacobian_norm", "value": 2.0, "statistic": "mean"},
    {"quantity": "jacobian_norm", "value": 1.0, "statistic": "median"},
)
CONTEXT = {"arm": "plain", "data": "digits"}


def written(root, seed):
    run = {**CONTEXT, "seed": seed, "penalties": ["a"]}
    context = {**CONTEXT, "seed": seed, "run": records.run_hash(run)[:12]}
    return records.save(root, run, Measurement("plain", rows=tuple({**row, **context} for row in ROWS)))


@pytest.fixture
def three(tmp_path):
    return [written(tmp_path, seed) for seed in range(3)]


def of_record(record):
    """What a list should say of a record, from the whole of it."""
    rows = [record.measurement.rows[place] for place in (0, 2, 3, 5)]
    short = tuple({key: value for key, value in row.items() if key != "method"} for row in rows)
    return Listed(record.path, record.run, record.versions["eigenfall"], short)


def same(found, truth):
    """Equal; rows by their text, as NaN equals nothing."""
    assert [replace(one, rows=()) for one in found] == [replace(one, rows=()) for one in truth]
    sorted_rows = [[sorted(map(repr, row.items())) for entry in some for row in entry.rows] for some in (found, truth)]
    assert sorted_rows[0] == sorted_rows[1]
    return True


def test_a_list_says_what_the_records_say(tmp_path, three):
    assert same(listed(tmp_path), [of_record(record) for record in records.load_all(tmp_path)])
    assert [entry.name for entry in listed(tmp_path)] == sorted(record.name for record in three)


def test_rows_that_json_can_hold_as_they_are(tmp_path):
    record = records.save(tmp_path, CONTEXT, Measurement("plain", rows=({"quantity": "alpha", "value": 1.5},)))
    listed(tmp_path)
    ((entry,),) = [one.rows for one in listed(tmp_path)]
    assert entry == {"quantity": "alpha", "value": 1.5, **CONTEXT, "run": record.name[-12:]}


def test_what_was_listed_is_not_read_again(tmp_path, three, monkeypatch):
    before = listed(tmp_path)
    monkeypatch.setattr(records, "read_told", None)
    assert same(listed(tmp_path), before)


def test_only_what_is_new_is_read(tmp_path, three):
    listed(tmp_path)
    written(tmp_path, 3)
    assert [(stage.done, stage.total) for stage in listing(tmp_path)] == [(1, 1)]
    assert len(listed(tmp_path)) == 4


def test_what_is_gone_is_gone(tmp_path, three):
    listed(tmp_path)
    three[0].path.rename(tmp_path.parent / three[0].name)
    assert [entry.run["seed"] for entry in listed(tmp_path)] == [1, 2]
    assert [*listing(tmp_path)] == []


@pytest.mark.parametrize("damage", [b"", b"nonsense", None, b"\n{}"])
def test_a_damaged_cache_costs_only_time(damage, tmp_path, three):
    before = listed(tmp_path)
    path = tmp_path / ".index"
    path.write_bytes(path.read_bytes().replace(b"0.9", b"0.7") if damage is None else damage)
    assert same(listed(tmp_path), before)
    assert [*listing(tmp_path)] == []  # it was written anew


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, three):
    (tmp_path / ".index").mkdir()
    assert len(listed(tmp_path)) == 3


def test_a_record_that_is_not_whole_is_refused_as_when_it_is_loaded(tmp_path, three):
    listed(tmp_path)
    path = three[1].path / "record.json"
    path.write_text(path.read_text().replace("0.9", "0.7"))
    assert refusal(listed, tmp_path) == refusal(records.load, three[1].path)
    path.unlink()
    assert refusal(listed, tmp_path) == refusal(records.load, three[1].path)


def test_a_folder_that_is_not_there(tmp_path):
    assert refusal(listed, tmp_path / "none") == refusal(records.load_all, tmp_path / "none")
