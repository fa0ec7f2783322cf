"""Every check in the folder: the contract of the kind."""

import pytest

from eigenfall import parts
from eigenfall.presets import PRESETS
from eigenfall.robustness.evidence import ORDER
from eigenfall.types import Evidence

EVERY = {name: parts.part_class("checks", name) for name in parts.names("checks")}


@pytest.fixture(params=EVERY, ids=str)
def check(request):
    return EVERY[request.param]()


def test_without_evidence_it_is_no_pass(check):
    verdict = check(Evidence(curves={}))
    assert verdict.verdict in ("NOT RUN", "FAIL")
    assert verdict.finding
    assert verdict.threshold


def test_its_title_is_the_one_in_the_list(check):
    assert ORDER[check.letter] == check.title


def test_letters_are_its_own(check):
    assert [made.letter for made in EVERY.values()].count(check.letter) == 1


def test_strong_holds_it(check):
    assert check in PRESETS["strong"].checks


def test_quick_holds_all_but_three():
    held = {check.letter for check in PRESETS["quick"].checks}
    assert held == set(ORDER) - {"c", "e", "f"}
