"""Which records a reproduction takes as those of its experiments."""

from dataclasses import replace

from eigenfall import records
from eigenfall.papers.nassar2020.experiments import EXPERIMENTS, finished_before
from eigenfall.settings import settings_of
from eigenfall.types import Measurement


def saved(folder, run):
    """A record of a run, with nothing measured."""
    return records.save(folder, settings_of(run, "0" * 64) | {"device": "cpu", "classes": ("0", "1")}, Measurement("x"))


def test_records_of_an_experiment_are_found_and_others_are_not(tmp_path):
    run = EXPERIMENTS["slips"].runs("small", (0,))[0]
    own = saved(tmp_path, run)
    saved(tmp_path, replace(run, arm="somebody else's"))
    assert [record.path for record in finished_before("small", tmp_path)] == [own.path]


def test_a_record_of_the_same_name_made_with_other_settings_is_left_out(tmp_path):
    run = EXPERIMENTS["why"].runs("small", (0,))[0]
    saved(tmp_path, replace(run, training=replace(run.training, learning_rate=0.5)))
    assert finished_before("small", tmp_path) == []


def test_a_folder_that_is_not_there_holds_none(tmp_path):
    assert finished_before("small", tmp_path / "none") == []
