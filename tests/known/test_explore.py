"""The section of every run: which numbers are axes, what the script is told, what the page allows."""

import base64
import hashlib
import json
import math
import re
from dataclasses import replace

import pytest
from exploredrecords import record, two

from eigenfall.report import explore, page
from eigenfall.types import Estimate


def test_axes_are_numbers_that_differ_and_the_first_choice_is_worst_case_against_the_exponent():
    found = explore.explored(two())
    assert [axis.label for axis in found.axes] == [
        "exponent α, hidden1",
        "worst-case accuracy, ε = 0.05 (%)",
        "accuracy under fgsm, ε = 0.05 (%)",
    ]  # of clean accuracies there is one, of Jacobian norms only the median is an axis
    assert (found.x, found.y) == ("alpha|hidden1", "robust_accuracy|headline|Linf|0.05")


def test_runs_of_unequal_depth_are_held_against_the_exponent_of_their_last_layer():
    deeper = {"quantity": "alpha", "value": 1.5, "layer": "hidden2"}
    found = explore.explored(two(beside=[deeper]))
    labels = {axis.key: axis.label for axis in found.axes}
    assert (found.x, labels["alpha"]) == ("alpha", "exponent α, last layer of each run")
    assert [point.numbers["alpha"].value for point in found.points] == [1.5, 1.0]


def test_the_script_is_told_numbers_in_the_unit_of_their_axis_and_nothing_that_ends_an_element():
    first, second = two()
    hostile = replace(first, run={"arm": "</script><b>&", "seed": 0})
    told = explore.explored([hostile, second]).data
    assert "<" not in told
    assert "&" not in told
    content = json.loads(told)
    assert content["arms"][0] == {"name": "</script><b>&", "order": 0}
    assert content["points"][0]["numbers"]["robust_accuracy|headline|Linf|0.05"] == [10.0, None, None]
    assert content["points"][0]["numbers"]["alpha|hidden1"] == [2.0, 1.9, 2.1]


def test_an_infinite_number_is_no_point():
    censored = {"quantity": "critical_distance", "value": math.inf, "statistic": "median", "attack": "headline"}
    found = explore.explored(two(beside=[censored]))
    assert "critical_distance" not in found.data


def test_a_run_that_lacks_a_number_shows_a_dash():
    found = explore.explored(two(beside=[{"quantity": "alpha", "value": 1.5, "layer": "hidden2"}]))
    only = explore.Axis("alpha|hidden2", "")
    assert found.cell(found.points[1], only) == ("–", "")
    assert found.cell(replace(found.points[0], numbers={"alpha|hidden2": Estimate(1.5, 1.4, 1.6)}), only) == (
        "1.50",
        "[1.40, 1.60]",
    )


@pytest.mark.parametrize("records", [two()[:1], [record("a", 0, []), record("b", 0, [])]])
def test_nothing_to_choose_is_refused_in_a_sentence(records):
    assert explore.explored(records) is None
    with pytest.raises(ValueError) as refusal:
        page.html(records, "A title", "eigenfall report", interactive=True)
    assert f"{refusal.value}" == (
        "Expected two numbers or more that differ between runs, for an interactive page, got fewer. Name the folder of "
        "several runs of models, or leave --interactive out."
    )


def test_the_policy_is_the_sum_of_every_script_and_of_no_other():
    text = page.html(two(), "A title", "eigenfall report", interactive=True)
    allowed = re.search(r"script-src ([^\"]*)\"", text).group(1).split()
    found = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(found) == len(allowed) == 2
    for script, told in zip(found, allowed):
        assert told == f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def test_a_page_has_no_script_unless_asked():
    text = page.html(two(), "A title", "eigenfall report")
    assert "<script" not in text
    assert "script-src" not in text
