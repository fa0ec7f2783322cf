"""On trained models our APGD is AutoAttack's within half a point, and `strong` never leaves half a point more."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("pyautoattack")

PATH = Path(__file__).parents[2] / "docs" / "make_autoattack.py"
SPEC = importlib.util.spec_from_file_location("make_autoattack", PATH)
beside = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(beside)


@pytest.mark.slow
@pytest.mark.parametrize("name", beside.MODELS)
def test_our_attacks_beside_autoattacks(name):
    found = beside.examined(name, 1000)
    assert 0.1 < found["AutoAttack standard"] < 0.9
    for attack in beside.STEPS:
        assert abs(found[f"{attack}, ours"] - found[f"{attack}, theirs"]) <= 0.005
    assert found["strong"] <= found["AutoAttack standard"] + 0.005
    assert found["strong"] <= found["quick"]
